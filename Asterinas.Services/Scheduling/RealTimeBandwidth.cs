namespace Asterinas.Services.Scheduling;

/// <summary>
/// Keeps a CPU usable under a real-time task that never waits: while fair tasks are there, the real-time class has 950 ms of each second (sched(7), "Limiting the CPU
/// usage of real-time and deadline processes"; the defaults of <c>sched_rt_runtime_us</c> and <c>sched_rt_period_us</c>).
/// </summary>
internal struct RealTimeBandwidth
{
    /// <summary>The length of a period, and the part of it that the class may use.</summary>
    public const ulong PeriodNs = 1_000_000_000, RuntimeNs = 950_000_000;

    private ulong _start, _usedNs;

    /// <summary>The end of the present period.</summary>
    public readonly ulong PeriodEnd => _start + PeriodNs;

    /// <summary>What the class may still use of the present period.</summary>
    public readonly ulong LeftNs => _usedNs >= RuntimeNs ? 0 : RuntimeNs - _usedNs;

    /// <summary>Whether the class has used up its part of the present period.</summary>
    public readonly bool IsExhausted => _usedNs >= RuntimeNs;

    /// <summary>Notes that time has passed.</summary>
    /// <param name="now">Nanoseconds.</param>
    /// <param name="usedNs">What the real-time class ran until now, since the last call.</param>
    public void Advance(ulong now, ulong usedNs)
    {
        if (now - _start >= PeriodNs)
        {
            _start = now - (now - _start) % PeriodNs;
            _usedNs = 0;
            if (usedNs > now - _start) usedNs = now - _start;
        }
        _usedNs += usedNs;
    }
}
