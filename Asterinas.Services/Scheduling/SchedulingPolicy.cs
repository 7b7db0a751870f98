namespace Asterinas.Services.Scheduling;

/// <summary>How a task competes for CPUs. The values are those of the Linux ABI (sched(7)); <c>SCHED_DEADLINE</c> (6) is not offered.</summary>
public enum SchedulingPolicy
{
    /// <summary><c>SCHED_OTHER</c>: a fair share by nice value.</summary>
    Other = 0,
    /// <summary><c>SCHED_FIFO</c>: real-time, runs until it waits, yields or a higher priority comes.</summary>
    Fifo = 1,
    /// <summary><c>SCHED_RR</c>: real-time, takes turns with its equals.</summary>
    RoundRobin = 2,
    /// <summary><c>SCHED_BATCH</c>: a fair share, but a wake-up of it preempts nobody.</summary>
    Batch = 3,
    /// <summary><c>SCHED_IDLE</c>: the crumbs of the fair class, whatever the nice value.</summary>
    Idle = 5,
}
