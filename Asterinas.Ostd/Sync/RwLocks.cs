using System;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Tasks;

namespace Asterinas.Ostd.Sync;

/// <summary>The count behind the read-write locks: readers, or -1 for a writer; writers that wait keep new readers out.</summary>
internal struct RwState
{
    private int _count;
    private int _writersWaiting;

    public readonly bool IsFree => _count == 0;

    public bool TryRead()
    {
        if (Volatile.Read(ref _writersWaiting) != 0) return false;
        int count = Volatile.Read(ref _count);
        return count >= 0 && Interlocked.CompareExchange(ref _count, count + 1, count) == count;
    }

    public bool TryWrite() => Interlocked.CompareExchange(ref _count, -1, 0) == 0;

    public void Announce() => Interlocked.Increment(ref _writersWaiting);

    public void Retract() => Interlocked.Decrement(ref _writersWaiting);

    /// <summary>True when the lock became free.</summary>
    public bool EndRead() => Interlocked.Decrement(ref _count) == 0;

    public void EndWrite() => Volatile.Write(ref _count, 0);
}

/// <summary>Many readers or one writer; spins. Sections are short and never block.</summary>
public sealed class RwLock
{
    private RwState _state;

    /// <summary>Spins until no writer holds it or waits, and joins the readers.</summary>
    public Guard Read()
    {
        Task.EnterAtomic();
        while (!_state.TryRead()) Machine.Pause();
        return new Guard(this, false);
    }

    /// <summary>Spins until nobody holds it, and takes it alone.</summary>
    public Guard Write()
    {
        Task.EnterAtomic();
        if (!_state.TryWrite())
        {
            _state.Announce();
            while (!_state.TryWrite()) Machine.Pause();
            _state.Retract();
        }
        return new Guard(this, true);
    }

    /// <summary>Releases the lock when it goes out of scope.</summary>
    public ref struct Guard
    {
        private RwLock? _lock;
        private readonly bool _write;

        internal Guard(RwLock rwLock, bool write)
        {
            _lock = rwLock;
            _write = write;
        }

        /// <summary>Releases the lock; a second call does nothing.</summary>
        public void Dispose()
        {
            if (_lock is not { } rwLock) return;
            _lock = null;
            if (_write) rwLock._state.EndWrite(); else rwLock._state.EndRead();
            Task.LeaveAtomic();
        }
    }
}

/// <summary>Many readers or one writer; blocks. Writers that wait keep new readers out.</summary>
public sealed class RwMutex
{
    private readonly WaitQueue _waiters = new();
    private RwState _state;

    /// <summary>Waits until no writer holds it or waits, and joins the readers.</summary>
    /// <exception cref="InvalidOperationException">The task may not block.</exception>
    public Guard Read()
    {
        Scheduler.CheckMayBlock(Task.Current);
        if (!_state.TryRead()) _waiters.WaitForHolder(this, static rw => rw._state.TryRead());
        return new Guard(this, false);
    }

    /// <summary>Waits until nobody holds it, and takes it alone.</summary>
    /// <exception cref="InvalidOperationException">The task may not block.</exception>
    public Guard Write()
    {
        Scheduler.CheckMayBlock(Task.Current);
        if (!_state.TryWrite())
        {
            _state.Announce();
            _waiters.WaitForHolder(this, static rw => rw._state.TryWrite());
            _state.Retract();
        }
        return new Guard(this, true);
    }

    /// <summary>Releases the lock when it goes out of scope.</summary>
    public ref struct Guard
    {
        private RwMutex? _lock;
        private readonly bool _write;

        internal Guard(RwMutex rwMutex, bool write)
        {
            _lock = rwMutex;
            _write = write;
        }

        /// <summary>Releases the lock; a second call does nothing.</summary>
        public void Dispose()
        {
            if (_lock is not { } rwMutex) return;
            _lock = null;
            bool free = true;
            if (_write) rwMutex._state.EndWrite(); else free = rwMutex._state.EndRead();
            if (free && !rwMutex._waiters.IsEmpty) rwMutex._waiters.WakeAll();
        }
    }
}
