using System;
using System.Threading;
using Asterinas.Ostd.Sync;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Ipc;

/// <summary>One file and what poll(2) or select(2) want to know of it.</summary>
internal struct PollItem
{
    public int Descriptor;
    public PollEvents Wanted;
    public PollEvents Found;
}

/// <summary>
/// A thread's seat at poll(2) and select(2): the observers that watch files while it waits. Made with the first wait and kept, so that later ones allocate nothing.
/// </summary>
internal sealed class PollSeat
{
    private sealed class Observer(PollSeat seat) : PollObserver
    {
        public OpenFile? File;
        public PollEvents Wanted;

        public override bool OnEvents(PollEvents events)
        {
            if (events != PollEvents.None && (events & Wanted) == 0) return false;
            Volatile.Write(ref seat._isTold, 1);
            seat._queue.WakeAll();
            return true;
        }
    }

    private const PollEvents AlwaysReported = PollEvents.Error | PollEvents.HangUp | PollEvents.Invalid;

    private readonly WaitQueue _queue = new();
    private Observer?[] _observers = new Observer?[4];
    private PollItem[] _items = new PollItem[8];
    private int _isTold;

    /// <summary>Room for items, kept with the seat.</summary>
    public Span<PollItem> Items(int count)
    {
        if (_items.Length < count) _items = new PollItem[Math.Max(count, 2 * _items.Length)];
        return _items.AsSpan(0, count);
    }

    /// <summary>Waits until one of the files is ready. How many are; 0 when the time is up; ERESTARTNOHAND when a signal came.</summary>
    /// <param name="thread">The caller.</param>
    /// <param name="items">What to look at; answers are put there. Negative descriptors are skipped, unknown ones answer POLLNVAL.</param>
    /// <param name="deadlineNs">On the monotonic clock; <see cref="ulong.MaxValue"/> for none, 0 for no wait at all.</param>
    /// <param name="onlyWanted">Whether errors and hang-ups count only where they are wanted: select(2).</param>
    public Result<int> Wait(Thread thread, Span<PollItem> items, ulong deadlineNs, bool onlyWanted = false)
    {
        PollEvents always = onlyWanted ? PollEvents.Invalid : AlwaysReported;
        int ready = Look(thread, items, always);
        if (ready != 0 || deadlineNs == 0) return ready;
        int watched = 0;
        try
        {
            while (true)
            {
                Volatile.Write(ref _isTold, 0);
                ready = watched == 0 ? Watch(thread, items, always, ref watched) : Look(thread, items, always);
                if (ready != 0) return ready;
                ulong timeout = ulong.MaxValue;
                if (deadlineNs != ulong.MaxValue)
                {
                    ulong now = Ostd.Timers.Clock.MonotonicNs;
                    if (now >= deadlineNs) return 0;
                    timeout = deadlineNs - now;
                }
                WaitResult waited = _queue.WaitInterruptible(this, static seat => Volatile.Read(ref seat._isTold) != 0, timeout);
                if (waited == WaitResult.Interrupted)
                {
                    ready = Look(thread, items, always);
                    return ready != 0 ? ready : Errno.ERESTARTNOHAND;
                }
                if (waited == WaitResult.TimedOut) return Look(thread, items, always);
            }
        }
        finally
        {
            for (int i = 0; i < watched; i++)
            {
                Observer observer = _observers[i]!;
                observer.Unregister();
                observer.File!.Release();
                observer.File = null;
            }
        }
    }

    private static int Look(Thread thread, Span<PollItem> items, PollEvents always)
    {
        int ready = 0;
        for (int i = 0; i < items.Length; i++)
        {
            ref PollItem item = ref items[i];
            item.Found = PollEvents.None;
            if (item.Descriptor < 0) continue;
            if (thread.Files.Get(item.Descriptor, out FileHandle handle) != Errno.None)
            {
                item.Found = PollEvents.Invalid;
                ready++;
                continue;
            }
            using (handle) item.Found = handle.File.Poll(null) & (item.Wanted | always);
            if (item.Found != PollEvents.None) ready++;
        }
        return ready;
    }

    // Looks, and watches from then on, so that no change is missed. Each file watched is held.
    private int Watch(Thread thread, Span<PollItem> items, PollEvents always, ref int watched)
    {
        int ready = 0;
        for (int i = 0; i < items.Length; i++)
        {
            ref PollItem item = ref items[i];
            item.Found = PollEvents.None;
            if (item.Descriptor < 0) continue;
            if (thread.Files.Get(item.Descriptor, out FileHandle handle) != Errno.None)
            {
                item.Found = PollEvents.Invalid;
                ready++;
                continue;
            }
            using (handle)
            {
                Observer observer = Seat(watched);
                handle.File.AddReference();
                observer.File = handle.File;
                observer.Wanted = item.Wanted | always;
                watched++;
                item.Found = handle.File.Poll(observer) & (item.Wanted | always);
            }
            if (item.Found != PollEvents.None) ready++;
        }
        return ready;
    }

    private Observer Seat(int index)
    {
        if (index == _observers.Length) Array.Resize(ref _observers, 2 * index);
        return _observers[index] ??= new Observer(this);
    }
}
