using System;
using System.Collections.Generic;
using System.Threading;
using Asterinas.Ostd.Sync;

namespace Asterinas.Services.Vfs;

/// <summary>What a lock allows others.</summary>
internal enum LockKind
{
    /// <summary>No lock.</summary>
    None,
    /// <summary>Others may read, too.</summary>
    Read,
    /// <summary>Nobody else.</summary>
    Write,
}

/// <summary>A record lock on a range of bytes.</summary>
/// <param name="Owner">A process' file table (POSIX), or an open file (OFD).</param>
/// <param name="Process">Who set it, for F_GETLK; null for an open file's lock.</param>
/// <param name="Kind">Read or write.</param>
/// <param name="Start">First byte.</param>
/// <param name="End">Last byte.</param>
internal readonly record struct RecordLock(object Owner, Processes.Process? Process, LockKind Kind, long Start, long End);

/// <summary>
/// Advisory locks of a file: POSIX and OFD record locks (man 2 fcntl), and those of flock(2). The two kinds do not see each other.
/// LOCK ORDER: a file's locks, then the graph of those who wait.
/// </summary>
internal sealed class FileLocks
{
    private const int MostSteps = 64;

    // Who waits for whom, among all owners of POSIX locks: a circle is a deadlock.
    private static readonly SpinLock s_graphLock = new("lock waiters");
    private static readonly Dictionary<object, object> s_waitsFor = [];

    private readonly SpinLock _lock = new("file locks");
    private readonly WaitQueue _waiters = new();
    // Under _lock. Of one owner they do not overlap.
    private readonly List<RecordLock> _records = [];
    private readonly List<(OpenFile Owner, LockKind Kind)> _whole = [];

    /// <summary>The locks of an inode, made if there are none yet.</summary>
    public static FileLocks Of(Inode inode) => Volatile.Read(ref inode.Locks) ?? Interlocked.CompareExchange(ref inode.Locks, new FileLocks(), null) ?? inode.Locks;

    /// <summary>All record locks, for /proc/locks.</summary>
    public RecordLock[] Records
    {
        get { using SpinLock.Guard guard = _lock.Lock(); return [.. _records]; }
    }

    /// <summary>The first lock in the way of one that is wanted; null for none (F_GETLK).</summary>
    public RecordLock? Find(in RecordLock wanted)
    {
        using SpinLock.Guard guard = _lock.Lock();
        return FindConflict(wanted);
    }

    /// <summary>Sets or, with <see cref="LockKind.None"/>, takes away a record lock. EAGAIN when it may not wait, EDEADLK, ERESTARTSYS. May block.</summary>
    public Errno Set(RecordLock wanted, bool mayWait, bool checksDeadlock)
    {
        while (true)
        {
            using (SpinLock.Guard guard = _lock.Lock())
            {
                if (FindConflict(wanted) is not { } conflict)
                {
                    Apply(wanted);
                    break;
                }
                if (!mayWait) return Errno.EAGAIN;
                if (checksDeadlock && !TryWaitFor(wanted.Owner, conflict.Owner)) return Errno.EDEADLK;
            }
            WaitResult result = _waiters.WaitInterruptible((this, wanted), static state => state.Item1.Find(state.wanted) is null);
            if (checksDeadlock) StopWaiting(wanted.Owner);
            if (result != WaitResult.Woken) return Errno.ERESTARTSYS;
        }
        // Less may be locked than before, also by a lock that replaced one.
        _waiters.WakeAll();
        return Errno.None;
    }

    /// <summary>flock(2): locks the whole file for an open file. EAGAIN, ERESTARTSYS. May block.</summary>
    public Errno SetWhole(OpenFile owner, LockKind kind, bool mayWait)
    {
        // A conversion gives the old lock up first (man 2 flock).
        using (SpinLock.Guard guard = _lock.Lock())
        {
            if (kind != LockKind.None && TryTakeWhole(owner, kind)) return Errno.None;
            RemoveWhole(owner);
        }
        _waiters.WakeAll();
        if (kind == LockKind.None) return Errno.None;
        if (!mayWait)
        {
            using SpinLock.Guard guard = _lock.Lock();
            return TryTakeWhole(owner, kind) ? Errno.None : Errno.EAGAIN;
        }
        WaitResult result = _waiters.WaitInterruptible((this, owner, kind), static state =>
        {
            using SpinLock.Guard guard = state.Item1._lock.Lock();
            return state.Item1.TryTakeWhole(state.owner, state.kind);
        });
        return result == WaitResult.Woken ? Errno.None : Errno.ERESTARTSYS;
    }

    /// <summary>Drops all locks of an owner: an open file (flock, OFD), or a process' file table (POSIX).</summary>
    public void ReleaseOwner(object owner)
    {
        int gone;
        using (SpinLock.Guard guard = _lock.Lock())
        {
            gone = _records.RemoveAll(record => ReferenceEquals(record.Owner, owner));
            if (owner is OpenFile file && RemoveWhole(file)) gone++;
        }
        if (gone > 0) _waiters.WakeAll();
    }

    // ---- under _lock

    private RecordLock? FindConflict(in RecordLock wanted)
    {
        if (wanted.Kind == LockKind.None) return null;
        foreach (RecordLock present in _records)
        {
            if (present.Start > wanted.End || present.End < wanted.Start || ReferenceEquals(present.Owner, wanted.Owner)) continue;
            if (present.Kind == LockKind.Write || wanted.Kind == LockKind.Write) return present;
        }
        return null;
    }

    // The range gets the new kind; what the owner has beside it stays, and becomes one with it where it is alike.
    private void Apply(RecordLock wanted)
    {
        _records.EnsureCapacity(_records.Count + 2);
        for (int i = _records.Count - 1; i >= 0; i--)
        {
            RecordLock present = _records[i];
            if (!ReferenceEquals(present.Owner, wanted.Owner)) continue;
            bool isAlike = present.Kind == wanted.Kind;
            bool touches = isAlike && (present.End == long.MaxValue || present.End + 1 >= wanted.Start) && (wanted.End == long.MaxValue || present.Start <= wanted.End + 1);
            bool overlaps = present.Start <= wanted.End && present.End >= wanted.Start;
            if (!touches && !overlaps) continue;
            _records.RemoveAt(i);
            if (isAlike)
            {
                wanted = wanted with { Start = Math.Min(wanted.Start, present.Start), End = Math.Max(wanted.End, present.End) };
                continue;
            }
            if (present.Start < wanted.Start) _records.Add(present with { End = wanted.Start - 1 });
            if (present.End > wanted.End) _records.Add(present with { Start = wanted.End + 1 });
        }
        if (wanted.Kind != LockKind.None) _records.Add(wanted);
    }

    private bool TryTakeWhole(OpenFile owner, LockKind kind)
    {
        foreach ((OpenFile other, LockKind present) in _whole)
        {
            if (!ReferenceEquals(other, owner) && (present == LockKind.Write || kind == LockKind.Write)) return false;
        }
        RemoveWhole(owner);
        _whole.Add((owner, kind));
        return true;
    }

    private bool RemoveWhole(OpenFile owner)
    {
        for (int i = 0; i < _whole.Count; i++)
        {
            if (!ReferenceEquals(_whole[i].Owner, owner)) continue;
            _whole.RemoveAt(i);
            return true;
        }
        return false;
    }

    // ---- deadlocks

    // False when the other one waits, by way of however many, for this one.
    private static bool TryWaitFor(object owner, object other)
    {
        using SpinLock.Guard guard = s_graphLock.Lock();
        object at = other;
        for (int step = 0; step < MostSteps; step++)
        {
            if (ReferenceEquals(at, owner)) return false;
            if (!s_waitsFor.TryGetValue(at, out object? next)) break;
            at = next;
        }
        s_waitsFor[owner] = other;
        return true;
    }

    private static void StopWaiting(object owner)
    {
        using SpinLock.Guard guard = s_graphLock.Lock();
        s_waitsFor.Remove(owner);
    }
}
