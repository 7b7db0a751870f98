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
        ulong now = Clock.Nanoseconds();
        // What came due since the top half looked was not seen by it: the timer fires for it at once. The top half takes these two away when it has seen them.
        ulong deadline = Earlier(cpu->TimerDeadline, cpu->WatchDeadline);
        // A sleeper stays until somebody takes it. One that is due needs its event, and no further interrupt.
        ulong sleeper = Volatile.Read(ref cpu->SleepDeadline);
        if (sleeper > now) deadline = Earlier(deadline, sleeper);
        else if (sleeper != 0) Interlocked.Or(ref cpu->Events, CpuEvents.ThreadReady);
        // Whoever naps looks at the clock before each halt.
        if (cpu->NapDeadline > now) deadline = Earlier(deadline, cpu->NapDeadline);
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

    // The earlier of two deadlines of which 0 is none.
    private static ulong Earlier(ulong a, ulong b) => a == 0 || (b != 0 && b < a) ? b : a;
}
