using System;
using Asterinas.Ostd.Sync;

namespace Asterinas.Services.Vfs;

/// <summary>
/// Somebody who wants to know when the readiness of a file changes: a poll(2) in progress, an epoll item. Linked into the pollee it watches; one object a file watched.
/// </summary>
internal abstract class PollObserver
{
    internal Pollee? Pollee;
    internal PollObserver? Next, Previous;

    /// <summary>Something happened. Called with the pollee's lock held: must be short, must not block, and must not register or unregister anywhere.</summary>
    /// <param name="events">What may have become ready.</param>
    /// <returns>Whether the observer took it; an exclusive one that did ends the round for others that are exclusive (EPOLLEXCLUSIVE).</returns>
    public abstract bool OnEvents(PollEvents events);

    /// <summary>EPOLLEXCLUSIVE.</summary>
    public virtual bool IsExclusive => false;

    /// <summary>Watches no more. Does nothing when it does not watch.</summary>
    public void Unregister() => Pollee?.Unregister(this);
}

/// <summary>
/// The source of readiness events of something that blocks: who waits in a blocking call, and who watches by poll or epoll. A change of state is followed by
/// <see cref="Notify"/>.
/// </summary>
internal sealed class Pollee
{
    private readonly SpinLock _lock = new("pollee");
    private readonly WaitQueue _waiters = new();
    private PollObserver? _first, _last;

    /// <summary>Says that something may have become ready: wakes blocked callers and tells observers.</summary>
    public void Notify(PollEvents events)
    {
        if (!_waiters.IsEmpty) _waiters.WakeAll();
        if (System.Threading.Volatile.Read(ref _first) is null) return;
        using SpinLock.Guard guard = _lock.Lock();
        bool isTaken = false;
        for (PollObserver? at = _first; at is not null; at = at.Next)
        {
            if (at.IsExclusive && isTaken) continue;
            if (at.OnEvents(events) && at.IsExclusive) isTaken = true;
        }
    }

    /// <summary>
    /// As <see cref="Notify"/>, but wakes only the one blocked caller that has waited longest: for events that one of them uses up. Whether there was such a caller.
    /// </summary>
    public bool NotifyOne(PollEvents events)
    {
        bool hasWoken = !_waiters.IsEmpty && _waiters.WakeOne(), isTaken = false;
        if (System.Threading.Volatile.Read(ref _first) is null) return hasWoken;
        using SpinLock.Guard guard = _lock.Lock();
        for (PollObserver? at = _first; at is not null; at = at.Next)
        {
            if (at.IsExclusive && isTaken) continue;
            if (!at.OnEvents(events)) continue;
            hasWoken = true;
            if (at.IsExclusive) isTaken = true;
        }
        return hasWoken;
    }

    /// <summary>Wakes the one blocked caller that has waited longest; observers learn nothing new.</summary>
    public void WakeOne()
    {
        if (!_waiters.IsEmpty) _waiters.WakeOne();
    }

    /// <summary>
    /// Blocks until the condition holds. ERESTARTSYS when a signal came, ETIMEDOUT when the time is up.
    /// </summary>
    /// <param name="state">Handed to the condition: a static lambda needs no allocation.</param>
    /// <param name="condition">Must not block.</param>
    /// <param name="timeoutNs">Nanoseconds; <see cref="ulong.MaxValue"/> for no limit.</param>
    public Errno Wait<TState>(TState state, Func<TState, bool> condition, ulong timeoutNs = ulong.MaxValue) =>
        _waiters.WaitInterruptible(state, condition, timeoutNs) switch
        {
            WaitResult.Woken => Errno.None,
            WaitResult.TimedOut => Errno.ETIMEDOUT,
            _ => Errno.ERESTARTSYS,
        };

    /// <summary>Registers an observer, at the end. One that watches already stays where it is.</summary>
    public void Register(PollObserver observer)
    {
        using SpinLock.Guard guard = _lock.Lock();
        if (observer.Pollee is not null) return;
        observer.Pollee = this;
        observer.Next = null;
        observer.Previous = _last;
        if (_last is null) _first = observer; else _last.Next = observer;
        _last = observer;
    }

    internal void Unregister(PollObserver observer)
    {
        using SpinLock.Guard guard = _lock.Lock();
        if (!ReferenceEquals(observer.Pollee, this)) return;
        if (observer.Previous is null) _first = observer.Next; else observer.Previous.Next = observer.Next;
        if (observer.Next is null) _last = observer.Previous; else observer.Next.Previous = observer.Previous;
        observer.Next = observer.Previous = null;
        observer.Pollee = null;
    }
}
