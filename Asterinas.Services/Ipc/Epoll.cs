using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Text;
using System.Threading;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Ipc;

/// <summary>
/// An epoll instance (man 7 epoll): files watched once and for all, and a list of those where something came.
/// <code>
///   operation                                lock
///   add, change, remove                      _control (blocks), one at a time
///   items, ready list                        _lock, spinning; taken by a file that notifies, under its pollee's lock
///   list of the items that watch a file      Links, spinning
///   edges between instances                  s_topology (blocks), around an addition of an instance
/// </code>
/// LOCK ORDER: s_topology, _control; a pollee, _lock, this instance's own pollee is notified without _lock. Files are asked without any of these spin locks.
/// </summary>
internal sealed class Epoll : OpenFile
{
    private const int EventBytes = 12;
    /// <summary>Instances in a chain of nested ones, at most (man 2 epoll_ctl, ELOOP).</summary>
    private const int MostNested = 5;
    private const PollEvents AlwaysReported = PollEvents.Error | PollEvents.HangUp;

    /// <summary>Guards <see cref="OpenFile.Watchers"/> of all files.</summary>
    internal static readonly SpinLock Links = new("epoll links");
    private static readonly Mutex s_topology = new("epoll topology");

    private readonly Mutex _control = new("epoll control");
    private readonly SpinLock _lock = new("epoll");
    private readonly Dictionary<(OpenFile, int), EpollItem> _items = [];
    private readonly Pollee _pollee = new();
    private EpollItem? _first, _last;
    private int _readyCount;

    public Epoll() : base(new VfsPath(null, AnonymousFileSystem.Files.Shared), OpenFlags.ReadWrite)
    {
    }

    public override bool IsPollable => true;

    public override string? AnonymousName => "anon_inode:[eventpoll]";

    // ---- epoll_ctl

    /// <summary>EPOLL_CTL_ADD. EEXIST, EPERM for what cannot be watched, EINVAL, ELOOP. May block.</summary>
    public Errno Add(OpenFile file, int descriptor, PollEvents events, EpollFlags flags, ulong data)
    {
        if (!file.IsPollable) return Errno.EPERM;
        if (ReferenceEquals(file, this)) return Errno.EINVAL;
        const PollEvents AllowedWithExclusive = PollEvents.In | PollEvents.Out | PollEvents.Error | PollEvents.HangUp;
        if ((flags & EpollFlags.Exclusive) != 0 && ((events & ~AllowedWithExclusive) != 0 || (flags & EpollFlags.OneShot) != 0 || file is Epoll)) return Errno.EINVAL;
        if (file is not Epoll inner) return AddAlone(file, descriptor, events, flags, data);
        using Mutex.Guard guard = s_topology.Lock();
        int below = inner.DepthBelow(this), above = DepthAbove(0);
        if (below < 0 || below + above > MostNested) return Errno.ELOOP;
        return AddAlone(file, descriptor, events, flags, data);
    }

    private Errno AddAlone(OpenFile file, int descriptor, PollEvents events, EpollFlags flags, ulong data)
    {
        using Mutex.Guard guard = _control.Lock();
        var item = new EpollItem(this, file, descriptor, flags) { Mask = events | AlwaysReported, Data = data };
        using (SpinLock.Guard inner = _lock.Lock())
        {
            if (!_items.TryAdd((file, descriptor), item)) return Errno.EEXIST;
        }
        using (SpinLock.Guard inner = Links.Lock())
        {
            item.NextOfFile = file.Watchers;
            file.Watchers = item;
        }
        if ((file.Poll(item) & item.Mask) != PollEvents.None) MakeReady(item);
        return Errno.None;
    }

    /// <summary>EPOLL_CTL_MOD: also arms a one-shot item again. ENOENT; EINVAL with EPOLLEXCLUSIVE. May block.</summary>
    public Errno Modify(OpenFile file, int descriptor, PollEvents events, EpollFlags flags, ulong data)
    {
        if (ReferenceEquals(file, this) || (flags & EpollFlags.Exclusive) != 0) return Errno.EINVAL;
        using Mutex.Guard guard = _control.Lock();
        EpollItem? item;
        using (SpinLock.Guard inner = _lock.Lock())
        {
            if (!_items.TryGetValue((file, descriptor), out item)) return Errno.ENOENT;
            if (item.IsExclusive) return Errno.EINVAL;
            item.Flags = flags;
            item.Data = data;
            item.Mask = events | AlwaysReported;
        }
        if ((file.Poll(null) & item.Mask) != PollEvents.None) MakeReady(item);
        return Errno.None;
    }

    /// <summary>EPOLL_CTL_DEL. ENOENT. May block.</summary>
    public Errno Remove(OpenFile file, int descriptor)
    {
        using Mutex.Guard guard = _control.Lock();
        EpollItem? item;
        using (SpinLock.Guard inner = _lock.Lock())
        {
            if (!_items.TryGetValue((file, descriptor), out item)) return Errno.ENOENT;
        }
        Unlink(item);
        Forget(item);
        return Errno.None;
    }

    /// <summary>The last reference to a file is gone: whatever watches it forgets it.</summary>
    public static void OnFileClosed(OpenFile file)
    {
        while (true)
        {
            EpollItem? item;
            using (SpinLock.Guard guard = Links.Lock())
            {
                item = file.Watchers;
                if (item is null) return;
                file.Watchers = item.NextOfFile;
            }
            item.Owner.Forget(item);
        }
    }

    protected override void OnRelease()
    {
        EpollItem[] items;
        using (SpinLock.Guard guard = _lock.Lock()) items = [.. _items.Values];
        foreach (EpollItem item in items)
        {
            Unlink(item);
            Forget(item);
        }
    }

    private static void Unlink(EpollItem item)
    {
        using SpinLock.Guard guard = Links.Lock();
        if (ReferenceEquals(item.File.Watchers, item))
        {
            item.File.Watchers = item.NextOfFile;
            return;
        }
        for (EpollItem? at = item.File.Watchers; at is not null; at = at.NextOfFile)
        {
            if (!ReferenceEquals(at.NextOfFile, item)) continue;
            at.NextOfFile = item.NextOfFile;
            return;
        }
    }

    private void Forget(EpollItem item)
    {
        using (SpinLock.Guard guard = _lock.Lock())
        {
            item.IsGone = true;
            if (item.IsReady) RemoveReady(item);
            _items.Remove((item.File, item.Descriptor));
        }
        item.Unregister();
    }

    // ---- nesting: under s_topology

    // Instances in the longest chain that begins here; -1 when one of them is the outer one, or the chain is too long.
    private int DepthBelow(Epoll outer, int depth = 1)
    {
        if (ReferenceEquals(this, outer) || depth > MostNested) return -1;
        List<Epoll> inner = [];
        using (SpinLock.Guard guard = _lock.Lock())
        {
            foreach ((OpenFile file, int _) in _items.Keys)
            {
                if (file is Epoll epoll) inner.Add(epoll);
            }
        }
        int deepest = 0;
        foreach (Epoll epoll in inner)
        {
            int below = epoll.DepthBelow(outer, depth + 1);
            if (below < 0) return -1;
            deepest = Math.Max(deepest, below);
        }
        return deepest + 1;
    }

    private int DepthAbove(int depth)
    {
        if (depth > MostNested) return depth;
        List<Epoll> outer = [];
        using (SpinLock.Guard guard = Links.Lock())
        {
            for (EpollItem? at = Watchers; at is not null; at = at.NextOfFile) outer.Add(at.Owner);
        }
        int highest = 0;
        foreach (Epoll epoll in outer) highest = Math.Max(highest, epoll.DepthAbove(depth + 1));
        return highest + 1;
    }

    // ---- readiness

    /// <summary>Something came for an item. Whether somebody woke for it. May be called with the pollee's lock of its file held.</summary>
    internal bool MakeReady(EpollItem item)
    {
        using (SpinLock.Guard guard = _lock.Lock())
        {
            if (item.IsGone || item.Mask == PollEvents.None) return false;
            if (!item.IsReady) AppendReady(item);
        }
        // An exclusive event that reached nobody who waits is not used up: the next instance is told too.
        return _pollee.NotifyOne(PollEvents.In | PollEvents.ReadNormal);
    }

    public override PollEvents Poll(PollObserver? observer)
    {
        if (observer is not null) _pollee.Register(observer);
        // An item in the list may have become unready since. Each is looked at once.
        int count = Volatile.Read(ref _readyCount);
        for (; count > 0 && TakeReady() is { } item; count--)
        {
            if (Ask(item) == PollEvents.None) continue;
            using (SpinLock.Guard guard = _lock.Lock())
            {
                if (!item.IsGone && !item.IsReady) AppendReady(item);
            }
            // Somebody may have looked while it was out of the list.
            _pollee.WakeOne();
            return PollEvents.In | PollEvents.ReadNormal;
        }
        return PollEvents.None;
    }

    /// <summary>epoll_wait(2): writes events to user memory. How many; 0 when the time is up; EFAULT, EINTR. May block.</summary>
    /// <param name="thread">The caller.</param>
    /// <param name="address">Where to.</param>
    /// <param name="most">At most so many.</param>
    /// <param name="deadlineNs">On the monotonic clock; <see cref="ulong.MaxValue"/> for none, 0 for no wait at all.</param>
    public Result<int> Wait(Thread thread, UserAddress address, int most, ulong deadlineNs)
    {
        while (true)
        {
            Result<int> done = Collect(thread, address, most);
            if (!done.IsOk || done.Value != 0 || deadlineNs == 0) return done;
            ulong timeout = ulong.MaxValue;
            if (deadlineNs != ulong.MaxValue)
            {
                ulong now = Ostd.Timers.Clock.MonotonicNs;
                timeout = deadlineNs > now ? deadlineNs - now : 0;
                if (timeout == 0) return 0;
            }
            Errno waited = _pollee.Wait(this, static epoll => Volatile.Read(ref epoll._readyCount) != 0, timeout);
            if (waited == Errno.ETIMEDOUT) deadlineNs = 0;
            else if (waited != Errno.None) return Errno.EINTR;
        }
    }

    private Result<int> Collect(Thread thread, UserAddress address, int most)
    {
        Span<byte> bytes = stackalloc byte[EventBytes];
        int done = 0;
        // What is put back at the end is not looked at a second time.
        int count = Volatile.Read(ref _readyCount);
        for (; count > 0 && done < most && TakeReady() is { } item; count--)
        {
            PollEvents events = Ask(item);
            if (events == PollEvents.None) continue;
            BinaryPrimitives.WriteUInt32LittleEndian(bytes, (uint)events);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes[4..], item.Data);
            bool isWritten = thread.Memory.Write(new UserAddress(address.Value + (ulong)(done * EventBytes)), bytes) == Errno.None;
            using (SpinLock.Guard guard = _lock.Lock())
            {
                if (!isWritten || (item.Flags & (EpollFlags.EdgeTriggered | EpollFlags.OneShot)) == 0)
                {
                    if (!item.IsGone && !item.IsReady) AppendReady(item);
                }
                else if ((item.Flags & EpollFlags.OneShot) != 0)
                {
                    item.Mask = PollEvents.None;
                }
            }
            if (!isWritten) return done > 0 ? done : Errno.EFAULT;
            done++;
        }
        // Others that wait may take what is left.
        if (done > 0 && Volatile.Read(ref _readyCount) != 0) _pollee.WakeOne();
        return done;
    }

    // What is ready of an item's file now.
    private static PollEvents Ask(EpollItem item)
    {
        if (!item.File.TryAddReference()) return PollEvents.None;
        PollEvents events = item.File.Poll(null) & item.Mask;
        item.File.Release();
        return events;
    }

    // ---- ready list

    private EpollItem? TakeReady()
    {
        using SpinLock.Guard guard = _lock.Lock();
        EpollItem? item = _first;
        if (item is not null) RemoveReady(item);
        return item;
    }

    private void AppendReady(EpollItem item)
    {
        item.IsReady = true;
        item.NextReady = null;
        item.PreviousReady = _last;
        if (_last is null) _first = item; else _last.NextReady = item;
        _last = item;
        Volatile.Write(ref _readyCount, _readyCount + 1);
    }

    private void RemoveReady(EpollItem item)
    {
        item.IsReady = false;
        if (item.PreviousReady is null) _first = item.NextReady; else item.PreviousReady.NextReady = item.NextReady;
        if (item.NextReady is null) _last = item.PreviousReady; else item.NextReady.PreviousReady = item.PreviousReady;
        item.NextReady = item.PreviousReady = null;
        Volatile.Write(ref _readyCount, _readyCount - 1);
    }

    public override string DescribeForProc()
    {
        var text = new StringBuilder();
        using SpinLock.Guard guard = _lock.Lock();
        foreach (EpollItem item in _items.Values)
        {
            text.Append($"tfd: {item.Descriptor,8} events: {(uint)item.Mask | (uint)item.Flags,8:x} data: {item.Data,16:x}  pos:0 ino:{item.File.Inode.Number:x} sdev:{item.File.Inode.FileSystem.Device.Encoded:x}\n");
        }
        return text.ToString();
    }
}
