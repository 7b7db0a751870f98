using Asterinas.Ostd.User;
using Asterinas.Services.Scheduling;

namespace Asterinas.Services.Processes;

/// <summary>CPU time in user mode and in the kernel.</summary>
/// <param name="UserNs">Nanoseconds in user mode.</param>
/// <param name="SystemNs">Nanoseconds in the kernel.</param>
internal readonly record struct CpuTimes(ulong UserNs, ulong SystemNs)
{
    public ulong TotalNs => UserNs + SystemNs;
    public static CpuTimes operator +(CpuTimes a, CpuTimes b) => new(a.UserNs + b.UserNs, a.SystemNs + b.SystemNs);
}

/// <summary>What rusage counts besides time (man 2 getrusage).</summary>
internal struct ResourceCounts
{
    public CpuTimes Times;
    public long MinorFaults, MajorFaults, VoluntarySwitches, InvoluntarySwitches;
    /// <summary>The most memory that one of them had, in pages.</summary>
    public long PeakPages;

    public void Add(in ResourceCounts other)
    {
        Times += other.Times;
        MinorFaults += other.MinorFaults;
        MajorFaults += other.MajorFaults;
        VoluntarySwitches += other.VoluntarySwitches;
        InvoluntarySwitches += other.InvoluntarySwitches;
        PeakPages = System.Math.Max(PeakPages, other.PeakPages);
    }
}

/// <summary>The usage of children that were waited for. Under the tree lock.</summary>
internal sealed class ChildUsage
{
    public ResourceCounts Counts;

    public void Add(Process child)
    {
        ResourceCounts counts = child.Usage;
        counts.Add(child.ChildUsage.Counts);
        Counts.Add(counts);
    }
}

/// <summary>CPU time of the process.</summary>
internal sealed partial class Process
{
    // Of threads that have ended. Under the signal lock.
    private CpuTimes _times;
    private ResourceCounts _endedCounts;

    /// <summary>What children that were waited for have used, theirs included.</summary>
    public readonly ChildUsage ChildUsage = new();

    /// <summary>CPU time of all its threads, those that have ended included.</summary>
    public CpuTimes Times
    {
        get
        {
            using SpinLock.Guard guard = SignalLock.Lock();
            CpuTimes sum = _times;
            foreach (Thread thread in Threads) sum += thread.Times;
            return sum;
        }
    }

    private void AddEnded(Thread thread)
    {
        ResourceCounts counts = thread.Usage;
        _times += counts.Times;
        SystemTimes.AddUser(counts.Times.UserNs);
        LastName = thread.Name;
        counts.Times = default;
        _endedCounts.Add(counts);
    }

    /// <summary>The memory is about to go: its size is remembered.</summary>
    private void NotePeak() => _endedCounts.PeakPages = System.Math.Max(_endedCounts.PeakPages, Memory.PeakPages);

    /// <summary>What all its threads have used.</summary>
    public ResourceCounts Usage
    {
        get
        {
            using SpinLock.Guard guard = SignalLock.Lock();
            ResourceCounts sum = _endedCounts;
            sum.Times = _times;
            foreach (Thread thread in Threads) sum.Add(thread.Usage);
            return sum;
        }
    }
}

/// <summary>
/// CPU time of a thread. The scheduler measures the whole to the nanosecond; ticks that find the thread in user mode or in the kernel divide it, as on Linux. A measurement at each
/// entry and exit would cost every system call two reads of the clock.
/// </summary>
internal sealed partial class Thread
{
    private uint _userTicks, _systemTicks;
    private long _minorFaults;

    public CpuTimes Times
    {
        get
        {
            if (_task is not { } task || LinuxScheduler.AttributesOf(task) is not { } attributes) return default;
            ulong run = attributes.Statistics.RunNs;
            ulong user = _userTicks, system = _systemTicks;
            if (system == 0) return new CpuTimes(run, 0);
            ulong systemPart = (ulong)((System.UInt128)run * system / (user + system));
            return new CpuTimes(run - systemPart, systemPart);
        }
    }

    public ResourceCounts Usage
    {
        get
        {
            if (_task is not { } task || LinuxScheduler.AttributesOf(task) is not { } attributes) return default;
            TaskStatistics statistics = attributes.Statistics;
            return new ResourceCounts
            {
                Times = Times, VoluntarySwitches = statistics.VoluntarySwitches, InvoluntarySwitches = statistics.InvoluntarySwitches, MinorFaults = _minorFaults,
            };
        }
    }

    // An interrupt. When the thread stands right behind a SYSCALL instruction, which leaves its address in RCX, it has not got on since: the interrupt came in the kernel.
    private void OnKernelEvent()
    {
        if (Context.InstructionPointer == Context[Register.Rcx]) _systemTicks++; else _userTicks++;
        Process.CheckCpuLimit();
        Task.YieldIfNeeded();
    }
}
