using System;

namespace Asterinas.Services.Scheduling;

/// <summary>
/// Weights of the fair class: a step of nice is a factor of 1.25, which moves about 10 % of the CPU between two tasks; nice 0 weighs <see cref="Unit"/>.
/// </summary>
internal static class FairWeight
{
    /// <summary>The weight of nice 0; for it virtual time is real time.</summary>
    public const long Unit = 1024;

    /// <summary>The weight of <see cref="SchedulingPolicy.Idle"/>: not zero, so that one who holds a lock gives it back some day.</summary>
    public const long Idle = 3;

    /// <summary>What a real-time task counts in a CPU's load: more than any fair one, it may take the whole CPU.</summary>
    public const long RealTime = 2 * 88818;

    // 1024 / 1.25^nice, rounded, from nice -20 to 19.
    private static ReadOnlySpan<int> ByNice =>
    [
        88818, 71054, 56843, 45475, 36380, 29104, 23283, 18626, 14901, 11921,
        9537, 7629, 6104, 4883, 3906, 3125, 2500, 2000, 1600, 1280,
        1024, 819, 655, 524, 419, 336, 268, 215, 172, 137,
        110, 88, 70, 56, 45, 36, 29, 23, 18, 15,
    ];

    /// <summary>The weight of a task's parameters.</summary>
    public static long Of(SchedulingParameters parameters) =>
        parameters.IsRealTime ? RealTime : parameters.Policy == SchedulingPolicy.Idle ? Idle : ByNice[parameters.Nice - SchedulingParameters.MinNice];
}
