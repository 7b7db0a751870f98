using System;
using System.Threading;

namespace Asterinas.Ostd.Arch;

/// <summary>
/// Simulated time: it stands still while code runs. It advances when a test says so (<see cref="AdvanceTime"/>) and when all CPUs have halted (to the next armed timer),
/// so a sleep of an hour takes no time and always ends at the same nanosecond.
/// </summary>
internal static partial class Machine
{
    /// <summary>The wall clock at boot; settable before a test looks at it. 2026-01-01 00:00:00 UTC.</summary>
    public static ulong RealTimeAtBoot { get; set; } = 1767225600UL * 1000000000;

    public static ulong MonotonicNs()
    {
        SchedulePoint("clock");
        return Volatile.Read(ref Self().Cpu.Cpus.NowNs);
    }

    public static ulong RealTimeNsAtBoot() => RealTimeAtBoot;

    public static ulong TscFrequency() => 1000000000;

    public static ulong TscAtBoot() => 0;

    public static ulong TscMultiplier() => 1UL << 32;

    public static void TimerArm(ulong deadlineNs)
    {
        SimulatedCpu cpu = Self().Cpu;
        lock (cpu.Cpus)
        {
            cpu.TimerDeadline = deadlineNs;
            FireTimers(cpu.Cpus);
        }
    }

    /// <summary>Counts as many interrupts as a timer of this period would have caused. 0 stops it.</summary>
    public static void TimerStorm(ulong periodNs)
    {
        SimulatedCpus cpus = Self().Cpu.Cpus;
        lock (cpus) cpus.StormPeriodNs = periodNs;
    }

    /// <summary>Lets time pass; timers that become due are noted as events and run at the next safe point.</summary>
    public static void AdvanceTime(ulong nanoseconds)
    {
        SimulatedCpus cpus = s_cpus;
        lock (cpus) AdvanceTo(cpus, checked(cpus.NowNs + nanoseconds));
    }

    /// <summary>The deadline that a CPU's timer is armed for; 0 for none.</summary>
    public static ulong ArmedDeadline(int cpu = 0)
    {
        SimulatedCpus cpus = s_cpus;
        lock (cpus) return cpus.All[cpu].TimerDeadline;
    }

    /// <summary>When all CPUs have halted, or in any case: jumps to the earliest armed timer. False when one runs or none is armed. Under the lock.</summary>
    private static bool AdvanceToNextTimer(SimulatedCpus cpus, bool besideBusyCpus)
    {
        ulong next = ulong.MaxValue;
        foreach (SimulatedCpu cpu in cpus.All)
        {
            if (!besideBusyCpus && (!cpu.IsHalted || Volatile.Read(ref cpu.Events) != 0)) return false;
            if (cpu.TimerDeadline != 0) next = Math.Min(next, cpu.TimerDeadline);
        }
        if (next == ulong.MaxValue) return false;
        AdvanceTo(cpus, Math.Max(next, cpus.NowNs));
        return true;
    }

    private static void AdvanceTo(SimulatedCpus cpus, ulong time)
    {
        if (cpus.StormPeriodNs != 0) cpus.All[0].InterruptCount += (long)(time / cpus.StormPeriodNs - cpus.NowNs / cpus.StormPeriodNs);
        Volatile.Write(ref cpus.NowNs, time);
        FireTimers(cpus);
    }

    private static void FireTimers(SimulatedCpus cpus)
    {
        foreach (SimulatedCpu cpu in cpus.All)
        {
            if (cpu.TimerDeadline == 0 || cpu.TimerDeadline > cpus.NowNs) continue;
            cpu.TimerDeadline = 0;
            Interrupt(cpu, SimulatedCpu.TimerExpired);
        }
    }
}
