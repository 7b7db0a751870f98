using System;
using System.Threading;

namespace Asterinas.Ostd.Arch;

/// <summary>
/// Simulated time: it stands still while code runs. It advances when a test says so (<see cref="AdvanceTime"/>) and when all CPUs have halted (to the next armed timer),
/// so a sleep of an hour takes no time and always ends at the same nanosecond.
/// </summary>
internal static partial class Machine
{
    private static ulong s_now = 1000000000;
    private static ulong s_stormPeriod;

    /// <summary>The wall clock at boot; settable before a test looks at it. 2026-01-01 00:00:00 UTC.</summary>
    public static ulong RealTimeAtBoot { get; set; } = 1767225600UL * 1000000000;

    public static ulong MonotonicNs()
    {
        SchedulePoint("clock");
        return Volatile.Read(ref s_now);
    }

    public static ulong RealTimeNsAtBoot() => RealTimeAtBoot;

    public static ulong TscFrequency() => 1000000000;

    public static void TimerArm(ulong deadlineNs)
    {
        SimulatedCpu cpu = Self().Cpu;
        lock (Interrupts)
        {
            cpu.TimerDeadline = deadlineNs;
            FireTimers();
        }
    }

    /// <summary>Counts as many interrupts as a timer of this period would have caused. 0 stops it.</summary>
    public static void TimerStorm(ulong periodNs)
    {
        lock (Interrupts) s_stormPeriod = periodNs;
    }

    /// <summary>Lets time pass; timers that become due are noted as events and run at the next safe point.</summary>
    public static void AdvanceTime(ulong nanoseconds)
    {
        lock (Interrupts) AdvanceTo(checked(s_now + nanoseconds));
    }

    /// <summary>The deadline that a CPU's timer is armed for; 0 for none.</summary>
    public static ulong ArmedDeadline(int cpu = 0)
    {
        lock (Interrupts) return s_cpus[cpu].TimerDeadline;
    }

    /// <summary>When all CPUs have halted: jumps to the earliest armed timer. False when one runs or none is armed. Under <see cref="Interrupts"/>.</summary>
    private static bool AdvanceToNextTimer()
    {
        ulong next = ulong.MaxValue;
        foreach (SimulatedCpu cpu in s_cpus)
        {
            if (!cpu.IsHalted || Volatile.Read(ref cpu.Events) != 0) return false;
            if (cpu.TimerDeadline != 0) next = Math.Min(next, cpu.TimerDeadline);
        }
        if (next == ulong.MaxValue) return false;
        AdvanceTo(Math.Max(next, s_now));
        return true;
    }

    private static void AdvanceTo(ulong time)
    {
        if (s_stormPeriod != 0) s_cpus[0].InterruptCount += (long)(time / s_stormPeriod - s_now / s_stormPeriod);
        Volatile.Write(ref s_now, time);
        FireTimers();
    }

    private static void FireTimers()
    {
        foreach (SimulatedCpu cpu in s_cpus)
        {
            if (cpu.TimerDeadline == 0 || cpu.TimerDeadline > s_now) continue;
            cpu.TimerDeadline = 0;
            Interrupt(cpu, SimulatedCpu.TimerExpired);
        }
    }
}
