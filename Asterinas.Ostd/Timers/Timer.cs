using System;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Tasks;
using SpinLock = Asterinas.Ostd.Sync.SpinLock;

namespace Asterinas.Ostd.Timers;

/// <summary>
/// A one-shot timer. The callback runs at a safe point after the deadline, like a bottom half: it must not block. It runs on the CPU that set the timer; one that is set or cancelled at
/// that moment may still be running when the call returns.
/// </summary>
public sealed class Timer
{
    internal readonly Action Callback;
    internal ulong Deadline;
    internal int Index = -1;                // position in the heap; -1: not set. With Deadline under the lock of the queue
    internal TimerQueue? Queue;             // where it is set, or was last: changes under the lock of the one that has it, by compare-and-swap from null

    /// <summary>A timer that is not set.</summary>
    /// <param name="callback">An exception in it is logged.</param>
    public Timer(Action callback)
    {
        ArgumentNullException.ThrowIfNull(callback);
        Callback = callback;
    }

    /// <summary>Whether it is set and has not expired.</summary>
    public bool IsSet => Volatile.Read(ref Index) >= 0;

    /// <summary>Sets it, or sets it anew.</summary>
    /// <param name="deadlineNs">On the monotonic clock; one that has passed fires at the next safe point.</param>
    public void Set(ulong deadlineNs)
    {
        TimerQueue own = TimerQueue.Own;
        while (!own.TrySet(this, deadlineNs)) TimerQueue.Release(this);
    }

    /// <summary>Takes it back. False when it was not set or has expired already.</summary>
    public bool Cancel() => TimerQueue.Remove(this);
}

/// <summary>The timers that were set on one CPU, a binary heap by deadline. The CPU's hardware timer follows the first one.</summary>
internal sealed class TimerQueue
{
    private static TimerQueue[] s_queues = Create();

    private readonly SpinLock _lock = new("timers");
    private Timer?[] _heap = new Timer?[64];
    private int _count;

#if ARCH_MIRCH
    internal static void Restart() => s_queues = Create();
#endif

    /// <summary>The queue of this CPU.</summary>
    public static TimerQueue Own => s_queues[Machine.CpuId()];

    /// <summary>The earliest deadline on this CPU, 0 when no timer is set.</summary>
    public static ulong NextDeadline() => Own.First();

    /// <summary>Runs what has expired on this CPU.</summary>
    public static void RunExpired() => Own.Run();

    /// <summary>Takes a timer out of the queue that it is in. False when it is in none.</summary>
    public static bool Remove(Timer timer)
    {
        while (Volatile.Read(ref timer.Queue) is { } queue)
        {
            using SpinLock.Guard guard = queue._lock.Lock();
            if (timer.Queue != queue) continue;
            if (timer.Index < 0) return false;
            queue.RemoveAt(timer.Index);
            return true;
        }
        return false;
    }

    /// <summary>Takes a timer out of the queue that it belongs to: another one may take it then.</summary>
    public static void Release(Timer timer)
    {
        if (Volatile.Read(ref timer.Queue) is not { } queue) return;
        using SpinLock.Guard guard = queue._lock.Lock();
        if (timer.Queue != queue) return;
        if (timer.Index >= 0) queue.RemoveAt(timer.Index);
        Volatile.Write(ref timer.Queue, null);
    }

    /// <summary>Sets a timer here. False when it belongs to another CPU's queue.</summary>
    public bool TrySet(Timer timer, ulong deadline)
    {
        using (SpinLock.Guard guard = _lock.Lock())
        {
            // A queue gives a timer up under its own lock; of two that want a free one, one wins.
            if (timer.Queue != this && Interlocked.CompareExchange(ref timer.Queue, this, null) is not null) return false;
            if (timer.Index >= 0) RemoveAt(timer.Index);
            timer.Deadline = deadline;
            if (_count == _heap.Length) Array.Resize(ref _heap, _count * 2);
            Place(_count, timer);
            Up(_count++);
            if (timer.Index != 0) return true;
        }
        Scheduler.ArmTimer();
        return true;
    }

    private static TimerQueue[] Create()
    {
        var queues = new TimerQueue[Machine.CpuCount()];
        for (int i = 0; i < queues.Length; i++) queues[i] = new TimerQueue();
        return queues;
    }

    private ulong First()
    {
        using SpinLock.Guard guard = _lock.Lock();
        return _count == 0 ? 0 : Math.Max(_heap[0]!.Deadline, 1);
    }

    private void Run()
    {
        while (true)
        {
            Timer timer;
            using (SpinLock.Guard guard = _lock.Lock())
            {
                if (_count == 0 || _heap[0]!.Deadline > Machine.MonotonicNs()) return;
                timer = _heap[0]!;
                RemoveAt(0);
            }
            try
            {
                timer.Callback();
            }
            catch (Exception problem)
            {
                Log.Error($"a timer's callback failed: {problem}");
            }
        }
    }

    private void RemoveAt(int index)
    {
        Timer last = _heap[--_count]!;
        Timer removed = _heap[index]!;
        _heap[_count] = null;
        if (index != _count)
        {
            Place(index, last);
            Up(index);
            Down(last.Index);
        }
        Volatile.Write(ref removed.Index, -1);
    }

    private void Up(int index)
    {
        Timer timer = _heap[index]!;
        while (index > 0)
        {
            int parent = (index - 1) / 2;
            if (_heap[parent]!.Deadline <= timer.Deadline) break;
            Place(index, _heap[parent]!);
            index = parent;
        }
        Place(index, timer);
    }

    private void Down(int index)
    {
        Timer timer = _heap[index]!;
        while (true)
        {
            int child = 2 * index + 1;
            if (child >= _count) break;
            if (child + 1 < _count && _heap[child + 1]!.Deadline < _heap[child]!.Deadline) child++;
            if (_heap[child]!.Deadline >= timer.Deadline) break;
            Place(index, _heap[child]!);
            index = child;
        }
        Place(index, timer);
    }

    private void Place(int index, Timer timer)
    {
        _heap[index] = timer;
        Volatile.Write(ref timer.Index, index);
    }
}
