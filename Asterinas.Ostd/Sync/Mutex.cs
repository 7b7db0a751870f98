using System;
using System.Threading;
using Asterinas.Ostd.Tasks;

namespace Asterinas.Ostd.Sync;

/// <summary>A lock that blocks. Not recursive; the wait ends when the holder gives it back, so it is as bounded as the holder's section.</summary>
public sealed class Mutex
{
    private readonly LockClass? _class;
    private readonly WaitQueue _waiters = new();
    private Task? _owner;

    /// <summary>A free mutex.</summary>
    /// <param name="name">Its class for the lock-order checker; null: not checked.</param>
    public Mutex(string? name = null) => _class = name is null ? null : LockOrder.Class(name);

    /// <summary>Whether somebody holds it at the moment.</summary>
    public bool IsHeld => Volatile.Read(ref _owner) is not null;

    /// <summary>Waits for the mutex and takes it. Disposing the guard gives it back.</summary>
    /// <exception cref="InvalidOperationException">The task holds it already, or may not block.</exception>
    public Guard Lock()
    {
        Task current = Task.Current;
        Scheduler.CheckMayBlock(current);
        if (ReferenceEquals(_owner, current)) throw new InvalidOperationException("the task holds this mutex already");
        LockOrder.Acquiring(_class);
        if (!TryTake()) _waiters.WaitForHolder(this, static mutex => mutex.TryTake());
        return new Guard(this);
    }

    /// <summary>Takes the mutex when it is free. The guard's IsHeld tells.</summary>
    public Guard TryLock()
    {
        if (!TryTake()) return default;
        LockOrder.Acquired(_class);
        return new Guard(this);
    }

    /// <summary>Waits for the mutex for a time; an interrupt of the task ends the wait too. The guard's IsHeld tells.</summary>
    /// <param name="timeoutNs">Nanoseconds; <see cref="ulong.MaxValue"/> for no limit.</param>
    /// <param name="result">How the wait ended.</param>
    public Guard TryLockInterruptible(ulong timeoutNs, out WaitResult result)
    {
        LockOrder.Acquiring(_class);
        result = TryTake() ? WaitResult.Woken : _waiters.WaitInterruptible(this, static mutex => mutex.TryTake(), timeoutNs);
        if (result == WaitResult.Woken) return new Guard(this);
        LockOrder.Released(_class);
        return default;
    }

    private bool TryTake() => Interlocked.CompareExchange(ref _owner, Task.Current, null) is null;

    private void Release()
    {
        LockOrder.Released(_class);
        Volatile.Write(ref _owner, null);       // IsEmpty has the fence
        if (!_waiters.IsEmpty) _waiters.WakeOne();
    }

    /// <summary>Releases the mutex when it goes out of scope.</summary>
    public ref struct Guard
    {
        private Mutex? _mutex;

        internal Guard(Mutex mutex) => _mutex = mutex;

        /// <summary>False for a failed attempt and after release.</summary>
        public readonly bool IsHeld => _mutex is not null;

        /// <summary>Releases the mutex; a second call does nothing.</summary>
        public void Dispose()
        {
            Mutex? mutex = _mutex;
            _mutex = null;
            mutex?.Release();
        }
    }
}
