using System;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Tasks;

namespace Asterinas.Ostd.Sync;

/// <summary>
/// A lock for short sections that never block. The kernel is not preempted and bottom halves run at safe points, so no interrupts are switched off. Waiting is visible to the
/// garbage collector: a spinner leaves cooperative mode.
/// </summary>
public sealed class SpinLock
{
    private readonly LockClass? _class;
    private int _held;

    /// <summary>A free lock.</summary>
    /// <param name="name">Its class for the lock-order checker; locks of one name are one class. Null: not checked.</param>
    public SpinLock(string? name = null) => _class = name is null ? null : LockOrder.Class(name);

    /// <summary>Whether somebody holds it at the moment.</summary>
    public bool IsHeld => Volatile.Read(ref _held) != 0;

    /// <summary>Spins until the lock is free and takes it. Disposing the guard gives it back.</summary>
    public Guard Lock()
    {
        LockOrder.Acquiring(_class);
        Task.EnterAtomic();
        while (Interlocked.CompareExchange(ref _held, 1, 0) != 0)
        {
            while (Volatile.Read(ref _held) != 0) Machine.Pause();
        }
        return new Guard(this);
    }

    /// <summary>Takes the lock when it is free. The guard's IsHeld tells.</summary>
    public Guard TryLock()
    {
        Task.EnterAtomic();
        if (Interlocked.CompareExchange(ref _held, 1, 0) == 0)
        {
            LockOrder.Acquired(_class);
            return new Guard(this);
        }
        Task.LeaveAtomic();
        return default;
    }

    /// <summary>Releases the lock when it goes out of scope.</summary>
    public ref struct Guard
    {
        private SpinLock? _lock;

        internal Guard(SpinLock spinLock) => _lock = spinLock;

        /// <summary>False for a failed attempt and after release.</summary>
        public readonly bool IsHeld => _lock is not null;

        /// <summary>Releases the lock; a second call does nothing.</summary>
        public void Dispose()
        {
            if (_lock is not { } spinLock) return;
            _lock = null;
            LockOrder.Released(spinLock._class);
            Volatile.Write(ref spinLock._held, 0);
            Task.LeaveAtomic();
        }
    }
}
