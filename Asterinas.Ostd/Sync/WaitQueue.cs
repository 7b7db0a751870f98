using System;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Tasks;
using Asterinas.Ostd.Timers;
using Timer = Asterinas.Ostd.Timers.Timer;

namespace Asterinas.Ostd.Sync;

/// <summary>How a wait ended.</summary>
public enum WaitResult
{
    /// <summary>The condition holds.</summary>
    Woken,
    /// <summary>The task was interrupted (<see cref="Task.Interrupt"/>) or killed.</summary>
    Interrupted,
    /// <summary>The time is up.</summary>
    TimedOut,
}

/// <summary>
/// Tasks that wait for a condition. Whoever changes what a condition depends on calls <see cref="WakeOne"/> or <see cref="WakeAll"/> afterwards. The kind of wait says how it
/// can end: interruptible, killable, or bounded by time.
/// </summary>
public sealed class WaitQueue
{
    // INVARIANT: doubly linked through the waiters, whose Queue is this one; under _lock.
    private readonly SpinLock _lock = new("wait queue");
    private Waiter? _first, _last;

    /// <summary>
    /// Whether nobody waits, at the moment of the call. A full memory fence comes first: a task that is not seen yet will see what the caller has written before.
    /// </summary>
    public bool IsEmpty
    {
        get
        {
            Interlocked.MemoryBarrier();
            return Volatile.Read(ref _first) is null;
        }
    }

    /// <summary>Waits until the condition holds, an interrupt or a kill comes, or the time is up.</summary>
    /// <param name="state">Handed to the condition: a static lambda needs no allocation.</param>
    /// <param name="condition">Must not block, not even for a lock of the BCL. Called again after each wake-up.</param>
    /// <param name="timeoutNs">Nanoseconds; <see cref="ulong.MaxValue"/> for no limit.</param>
    /// <exception cref="InvalidOperationException">The task holds a spin lock or runs a bottom half.</exception>
    public WaitResult WaitInterruptible<TState>(TState state, Func<TState, bool> condition, ulong timeoutNs = ulong.MaxValue) =>
        Task.Current.Waiter.Wait(this, state, condition, Task.SignalInterrupt | Task.SignalKill, timeoutNs);

    /// <summary>Waits until the condition holds, a kill comes, or the time is up.</summary>
    /// <inheritdoc cref="WaitInterruptible"/>
    public WaitResult WaitKillable<TState>(TState state, Func<TState, bool> condition, ulong timeoutNs = ulong.MaxValue) =>
        Task.Current.Waiter.Wait(this, state, condition, Task.SignalKill, timeoutNs);

    /// <summary>Waits until the condition holds or the time is up; nothing else ends it.</summary>
    /// <inheritdoc cref="WaitInterruptible"/>
    public WaitResult WaitBounded<TState>(TState state, Func<TState, bool> condition, ulong timeoutNs) =>
        Task.Current.Waiter.Wait(this, state, condition, 0, timeoutNs);

    /// <summary>For locks: ends when the condition holds, which the holder of the lock sees to.</summary>
    internal void WaitForHolder<TState>(TState state, Func<TState, bool> condition) => Task.Current.Waiter.Wait(this, state, condition, 0, ulong.MaxValue);

    /// <summary>Wakes the task that has waited longest. False when nobody waits.</summary>
    public bool WakeOne()
    {
        while (true)
        {
            Task task;
            using (SpinLock.Guard guard = _lock.Lock())
            {
                if (_first is not { } waiter) return false;
                Unlink(waiter);
                task = waiter.Task;
            }
            // One that is leaving by itself (time, interrupt) does not count.
            if (Scheduler.Wake(task)) return true;
        }
    }

    /// <summary>Wakes every task that waits now; returns how many.</summary>
    public int WakeAll()
    {
        int count = 0;
        while (WakeOne()) count++;
        return count;
    }

    internal void Add(Waiter waiter)
    {
        using SpinLock.Guard guard = _lock.Lock();
        waiter.Queue = this;
        waiter.Next = null;
        waiter.Previous = _last;
        if (_last is null) _first = waiter; else _last.Next = waiter;
        _last = waiter;
    }

    internal void Remove(Waiter waiter)
    {
        using SpinLock.Guard guard = _lock.Lock();
        if (waiter.Queue == this) Unlink(waiter);
    }

    private void Unlink(Waiter waiter)
    {
        if (waiter.Previous is null) _first = waiter.Next; else waiter.Previous.Next = waiter.Next;
        if (waiter.Next is null) _last = waiter.Previous; else waiter.Next.Previous = waiter.Previous;
        waiter.Next = waiter.Previous = null;
        waiter.Queue = null;
    }
}

/// <summary>A task's seat in wait queues: one at a time, made with the task, so that waiting does not allocate.</summary>
internal sealed class Waiter
{
    private static readonly WaitQueue s_nothing = new();

    private Timer? _timer;
    private int _endedBy;                   // signals that end the present wait

    public readonly Task Task;
    public WaitQueue? Queue;
    public Waiter? Next, Previous;

    public Waiter(Task task) => Task = task;

    /// <summary>
    /// The order is what makes it safe: state Waiting, seat taken, then the condition. A waker that changed the condition earlier is seen by the look at it; one that comes later finds the seat, and
    /// whoever takes a task off its seat finds it Waiting, or woken by somebody else already: either way it looks at the condition again.
    /// </summary>
    public WaitResult Wait<TState>(WaitQueue queue, TState state, Func<TState, bool> condition, int endedBy, ulong timeoutNs)
    {
        if (condition(state)) return WaitResult.Woken;
        Scheduler.CheckMayBlock(Task);
        bool timed = timeoutNs != ulong.MaxValue;
        ulong now = Machine.MonotonicNs();
        ulong deadline = timed ? (timeoutNs > ulong.MaxValue - now ? ulong.MaxValue : now + timeoutNs) : 0;
        Volatile.Write(ref _endedBy, endedBy);
        if (timed) _timer ??= new Timer(OnTimeout);
        try
        {
            while (true)
            {
                WaitResult? end = null;
                bool blocked = false;
                Interlocked.Exchange(ref Task.StateValue, (int)TaskState.Waiting);
                try
                {
                    queue.Add(this);
                    // Set anew after a wake-up for another reason, or when this CPU's clock is a little behind that of the CPU on which it fired.
                    if (timed && !_timer!.IsSet) _timer.Set(deadline);
                    if (condition(state)) end = WaitResult.Woken;
                    else if ((Volatile.Read(ref Task.PendingSignals) & endedBy) != 0) end = WaitResult.Interrupted;
                    else if (timed && Machine.MonotonicNs() >= deadline) end = WaitResult.TimedOut;
                    if (end is null)
                    {
                        blocked = true;
                        Scheduler.Block();
                    }
                }
                finally
                {
                    if (Queue is not null) queue.Remove(this);
                    if (!blocked) StandUp();
                }
                if (end is { } result) return result;
            }
        }
        finally
        {
            Volatile.Write(ref _endedBy, 0);
            if (timed) _timer!.Cancel();
        }
    }

    public WaitResult Sleep(ulong nanoseconds)
    {
        WaitResult result = Wait(s_nothing, 0, static _ => false, Task.SignalInterrupt | Task.SignalKill, nanoseconds);
        return result == WaitResult.TimedOut ? WaitResult.Woken : result;
    }

    /// <summary>Sleeps the whole time, whatever happens.</summary>
    public void SleepUninterruptible(ulong nanoseconds) => Wait(s_nothing, 0, static _ => false, 0, nanoseconds);

    /// <summary>An interrupt or a kill was noted: end the wait when it is of a kind that ends so.</summary>
    public void OnSignal()
    {
        if ((Volatile.Read(ref Task.PendingSignals) & Volatile.Read(ref _endedBy)) != 0) Scheduler.Wake(Task);
    }

    // It may come late, in the next wait: that one looks at its own deadline.
    private void OnTimeout() => Scheduler.Wake(Task);

    /// <summary>
    /// Back to Running without having blocked. When a waker was faster than our own decision it has given the task to the scheduler, and another CPU may wait to run it already: then it
    /// leaves this CPU and is picked, or it would be in a run queue and on a CPU, or on two CPUs, at once.
    /// </summary>
    private void StandUp()
    {
        int old = Interlocked.CompareExchange(ref Task.StateValue, (int)TaskState.Running, (int)TaskState.Waiting);
        if (old != (int)TaskState.Waiting) Scheduler.Block();
    }
}
