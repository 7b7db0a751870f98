namespace Asterinas.Services.Scheduling;

/// <summary>What a task may ask of the scheduler; sched(7), sched_setattr(2). Immutable: a change is a new value.</summary>
public sealed record SchedulingParameters
{
    /// <summary>The lowest and the highest nice value; the higher, the less CPU.</summary>
    public const int MinNice = -20, MaxNice = 19;

    /// <summary>The range of real-time priorities; the higher, the earlier. sched_get_priority_min(2).</summary>
    public const int MinPriority = 1, MaxPriority = 99;

    /// <summary>Nanoseconds that a fair task runs before others are due, unless it asks for something else.</summary>
    public const ulong DefaultSliceNs = 3_000_000;

    /// <summary>The range of <see cref="SliceNs"/>.</summary>
    public const ulong MinSliceNs = 100_000, MaxSliceNs = 100_000_000;

    /// <summary><c>SCHED_OTHER</c>, nice 0.</summary>
    public static SchedulingParameters Default { get; } = new();

    /// <summary>The policy.</summary>
    public SchedulingPolicy Policy { get; init; }

    /// <summary>-20 to 19. Kept, and without effect, while the policy is real-time or idle.</summary>
    public int Nice { get; init; }

    /// <summary>1 to 99 for the real-time policies, 0 for the others.</summary>
    public int Priority { get; init; }

    /// <summary>Children do not inherit privileged values: <c>SCHED_RESET_ON_FORK</c>.</summary>
    public bool ResetOnFork { get; init; }

    /// <summary>
    /// The request size of the fair class in nanoseconds, 100 us to 100 ms (<c>sched_runtime</c> of sched_setattr(2)): a smaller one is served sooner and more often, for the same share.
    /// </summary>
    public ulong SliceNs { get; init; } = DefaultSliceNs;

    /// <summary>Whether the policy is a real-time one.</summary>
    public bool IsRealTime => Policy is SchedulingPolicy.Fifo or SchedulingPolicy.RoundRobin;

    /// <summary>Whether the values go together; a system call answers <c>EINVAL</c> for others (sched_setscheduler(2)).</summary>
    public bool IsValid =>
        Policy is SchedulingPolicy.Other or SchedulingPolicy.Batch or SchedulingPolicy.Idle or SchedulingPolicy.Fifo or SchedulingPolicy.RoundRobin
        && Nice is >= MinNice and <= MaxNice
        && (IsRealTime ? Priority is >= MinPriority and <= MaxPriority : Priority == 0)
        && SliceNs is >= MinSliceNs and <= MaxSliceNs;

    /// <summary>What a child begins with: the same, unless <see cref="ResetOnFork"/> takes real-time policies and negative nice values away (sched(7)).</summary>
    public SchedulingParameters ForChild()
    {
        if (!ResetOnFork) return this;
        SchedulingParameters child = this with { ResetOnFork = false };
        if (IsRealTime) child = child with { Policy = SchedulingPolicy.Other, Priority = 0, Nice = 0 };
        return child.Nice < 0 ? child with { Nice = 0 } : child;
    }
}
