using System;
using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// The one-shot timer of this CPU: fires at the earliest of the managed timers' deadline, the runtime's timed waits and naps, the watchdog and a test's timer storm.
/// </summary>
// SAFETY: PerCpu is this CPU's own area.
internal static unsafe class ApicTimer
{
    private static ulong s_ticksPerSecond;

    public static void Initialize()
    {
        Apic.SetTimer(1 << 16, uint.MaxValue);
        Clock.Spin(10000000);
        ulong start = Clock.Nanoseconds();
        uint first = Apic.TimerCount();
        Clock.Spin(10000000);
        uint last = Apic.TimerCount();
        ulong elapsed = Clock.Nanoseconds() - start;
        Apic.SetTimer(1 << 16, 0);
        s_ticksPerSecond = (ulong)(first - last) * 1000000000 / elapsed;
        if (s_ticksPerSecond == 0) Panic.Fail("the APIC timer does not count\n"u8);
    }

    /// <summary>Sets the deadline of the managed timers in monotonic ns; 0 switches it off.</summary>
    [RuntimeExport("ostd_timer_arm")]
    private static void Arm(ulong deadline)
    {
        PerCpu* cpu = X64.PerCpu();
        cpu->TimerDeadline = deadline;
        Program(cpu);
    }

    /// <summary>Lets the timer fire at a fixed rate too (tests); 0 stops it. Period in ns.</summary>
    [RuntimeExport("ostd_timer_storm")]
    private static void Storm(ulong period)
    {
        PerCpu* cpu = X64.PerCpu();
        cpu->StormPeriod = period;
        Program(cpu);
    }

    public static void Program(PerCpu* cpu)
    {
        bool wasEnabled = (X64.ReadFlags() & 0x200) != 0;
        X64.DisableInterrupts();
        ulong deadline = cpu->TimerDeadline, now = Clock.Nanoseconds();
        // One that is due has raised its event already: whoever takes the event programs the next.
        deadline = Earlier(deadline, Volatile.Read(ref cpu->SleepDeadline), now);
        deadline = Earlier(deadline, cpu->NapDeadline, now);
        deadline = Earlier(deadline, cpu->WatchDeadline, now);
        if (cpu->StormPeriod != 0 && (deadline == 0 || now + cpu->StormPeriod < deadline)) deadline = now + cpu->StormPeriod;
        if (deadline == 0) Apic.SetTimer(1 << 16, 0);
        else
        {
            ulong delta = deadline > now ? deadline - now : 1;
            if (delta > 2000000000) delta = 2000000000;     // fires early and is programmed again
            ulong count = delta * (s_ticksPerSecond >> 4) / (1000000000 >> 4);
            if (count == 0) count = 1;
            if (count > uint.MaxValue) count = uint.MaxValue;
            Apic.SetTimer(Vectors.Timer, (uint)count);
        }
        if (wasEnabled) X64.EnableInterrupts();
    }

    /// <summary>Top half.</summary>
    public static void OnInterrupt(PerCpu* cpu, TrapFrame* frame)
    {
        ulong now = Clock.Nanoseconds();
        if (cpu->TimerDeadline != 0 && cpu->TimerDeadline <= now)
        {
            cpu->TimerDeadline = 0;
            Interlocked.Or(ref cpu->Events, CpuEvents.TimerExpired);
        }
        ulong sleeper = Volatile.Read(ref cpu->SleepDeadline);
        if (sleeper != 0 && sleeper <= now) Interlocked.Or(ref cpu->Events, CpuEvents.ThreadReady);
        Watchdog.OnTimer(cpu, now, frame);
        Program(cpu);
    }

    private static ulong Earlier(ulong deadline, ulong other, ulong now) => other > now && (deadline == 0 || other < deadline) ? other : deadline;
}
