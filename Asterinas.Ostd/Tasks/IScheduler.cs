namespace Asterinas.Ostd.Tasks;

/// <summary>Why a task wants a CPU.</summary>
public enum EnqueueReason
{
    /// <summary>It is new.</summary>
    Spawn,
    /// <summary>It waited, and what it waited for has come.</summary>
    Wake,
}

/// <summary>Why the run queue is told about its current task.</summary>
public enum UpdateReason
{
    /// <summary>Time has passed.</summary>
    Tick,
    /// <summary>The task gives way.</summary>
    Yield,
    /// <summary>The task is about to wait.</summary>
    Wait,
    /// <summary>The task is about to end.</summary>
    Exit,
}

/// <summary>
/// The scheduling policy, injected by <see cref="Scheduler.Inject"/>. It decides who runs; the mechanism checks every answer: a task runs on one CPU at a time, and only
/// when it is runnable. A policy that lies or throws is replaced by the default one. It must not block, and it must not allocate in steady state.
/// </summary>
public interface IScheduler
{
    /// <summary>Takes a runnable task in.</summary>
    /// <param name="task">Runnable, and in no run queue.</param>
    /// <param name="reason">Why.</param>
    /// <returns>The CPU that should look at its run queue soon, or -1 for none.</returns>
    int Enqueue(Task task, EnqueueReason reason);

    /// <summary>The run queue of a CPU. Only that CPU calls it.</summary>
    /// <param name="cpu">0 to the number of CPUs - 1.</param>
    ILocalRunQueue GetLocalRunQueue(int cpu);
}

/// <summary>The run queue of one CPU.</summary>
public interface ILocalRunQueue
{
    /// <summary>The task that the queue believes is running; null for none.</summary>
    Task? Current { get; }

    /// <summary>
    /// The moment at which the queue wants to hear <see cref="UpdateReason.Tick"/>, in nanoseconds of <see cref="Timers.Clock.MonotonicNs"/>; 0 for none, and then the CPU
    /// runs without a tick. The mechanism asks after each pick and each update, and arms the CPU's one-shot timer; a moment that has passed is taken as "soon".
    /// A queue that changes its mind at another time has the CPU look at it (<see cref="IScheduler.Enqueue"/>).
    /// </summary>
    ulong SliceDeadlineNs => 0;

    /// <summary>Tells that something happened to the current task. True when another one should run.</summary>
    /// <param name="reason">What.</param>
    bool UpdateCurrent(UpdateReason reason);

    /// <summary>
    /// Chooses the next task: it becomes the current one, and the old current one (if there still is one) is queued again. Null when nobody else wants to run.
    /// </summary>
    Task? PickNext();

    /// <summary>Takes the current task out: it waits or has ended.</summary>
    Task? DequeueCurrent();
}
