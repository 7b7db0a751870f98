using Asterinas.Ostd.Timers;
using Asterinas.Services.Processes;

namespace Asterinas.Services.Time;

/// <summary>What a clock counts.</summary>
internal enum ClockKind
{
    RealTime,
    Monotonic,
    ProcessCpu,
    /// <summary>Only the time in user mode (ITIMER_VIRTUAL).</summary>
    ProcessUser,
    ThreadCpu,
}

/// <summary>A clock (man 2 clock_gettime): one of the machine's, or the CPU time of somebody.</summary>
/// <param name="Kind">What it counts.</param>
/// <param name="Owner">The process or thread; null for the machine's.</param>
internal readonly record struct ClockSource(ClockKind Kind, object? Owner)
{
    /// <summary>Numbers of the ABI.</summary>
    public const int RealTimeId = 0, MonotonicId = 1, ProcessCpuId = 2, ThreadCpuId = 3, MonotonicRawId = 4, RealTimeCoarseId = 5, MonotonicCoarseId = 6, BootTimeId = 7,
        RealTimeAlarmId = 8, BootTimeAlarmId = 9, TaiId = 11;

    // Of a number that names another process or thread: the inverted id, a bit for a thread, and what is counted (clock_getcpuclockid(3)).
    private const int ThreadBit = 4, WhatMask = 3, UserAndSystem = 0, User = 1, Scheduled = 2;

    public static readonly ClockSource Monotonic = new(ClockKind.Monotonic, null);

    public bool IsCpuTime => Kind >= ClockKind.ProcessCpu;

    /// <summary>What it shows, in nanoseconds.</summary>
    public long NowNs => Kind switch
    {
        ClockKind.RealTime => WallClock.NowNs,
        ClockKind.Monotonic => (long)Clock.MonotonicNs,
        ClockKind.ProcessCpu => (long)((Process)Owner!).Times.TotalNs,
        ClockKind.ProcessUser => (long)((Process)Owner!).Times.UserNs,
        _ => (long)((Thread)Owner!).Times.TotalNs,
    };

    /// <summary>The clock with a number. EINVAL for none; also for a process or thread that is not there, or not the caller's own.</summary>
    public static Errno Find(int id, Thread thread, out ClockSource clock)
    {
        clock = Monotonic;
        switch (id)
        {
            // Time does not stop while the machine is suspended, and TAI's distance was never set (man 2 adjtimex): both are like another one.
            case RealTimeId or RealTimeCoarseId or RealTimeAlarmId or TaiId:
                clock = new ClockSource(ClockKind.RealTime, null);
                return Errno.None;
            case MonotonicId or MonotonicRawId or MonotonicCoarseId or BootTimeId or BootTimeAlarmId:
                return Errno.None;
            case ProcessCpuId:
                clock = new ClockSource(ClockKind.ProcessCpu, thread.Process);
                return Errno.None;
            case ThreadCpuId:
                clock = new ClockSource(ClockKind.ThreadCpu, thread);
                return Errno.None;
            case >= 0:
                return Errno.EINVAL;
        }
        int what = id & WhatMask, number = ~(id >> 3);
        if (what is not (UserAndSystem or User or Scheduled)) return Errno.EINVAL;
        if ((id & ThreadBit) != 0)
        {
            Thread? other = number == 0 ? thread : thread.Namespaces.Pid.Find(number)?.Thread;
            if (other is null || !ReferenceEquals(other.Process, thread.Process)) return Errno.EINVAL;
            clock = new ClockSource(ClockKind.ThreadCpu, other);
            return Errno.None;
        }
        Process? process = number == 0 ? thread.Process : thread.Namespaces.Pid.Find(number)?.Process;
        if (process is null) return Errno.EINVAL;
        clock = new ClockSource(what == User ? ClockKind.ProcessUser : ClockKind.ProcessCpu, process);
        return Errno.None;
    }
}
