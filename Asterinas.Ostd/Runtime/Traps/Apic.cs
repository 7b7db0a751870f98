using System;
using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>The vectors of this kernel. Lines of devices get the ones between <see cref="FirstDevice"/> and <see cref="LastDevice"/>.</summary>
internal static class Vectors
{
    public const int FirstDevice = 0x30;
    public const int LastDevice = 0xDF;
    public const int Timer = 0xE0;
    public const int Activation = 0xE1;
    public const int Reschedule = 0xE2;
    public const int TlbShootdown = 0xE3;
    public const int MemoryBarrier = 0xE4;
    public const int Spurious = 0xFF;
}

/// <summary>The local APIC in xAPIC mode (SDM vol. 3 ch. 11) and the I/O APIC (82093AA).</summary>
// SAFETY: the registers are mapped once, uncached, at the addresses that the CPU and ACPI give, and stay mapped; offsets are constants, pins are checked against the
// chip's count, vectors against 256.
internal static unsafe class Apic
{
    private const int Id = 0x20, TaskPriority = 0x80, EndOfInterruptRegister = 0xB0, SpuriousRegister = 0xF0, LvtTimer = 0x320, LvtLint0 = 0x350, LvtLint1 = 0x360,
        LvtError = 0x370, InitialCount = 0x380, CurrentCount = 0x390, DivideConfiguration = 0x3E0;
    private const uint Masked = 1 << 16;

    private struct PinTable
    {
        public fixed byte OfVector[256];    // pin + 1 of a level-triggered vector, else 0
    }

    private static PinTable s_pins;
    private static uint* s_local;
    private static uint* s_io;
    private static int s_ioEntries;

    public static void Initialize(PerCpu* cpu)
    {
        // The legacy 8259s: moved away from the exceptions and masked.
        X64.Out8(0x20, 0x11); X64.Out8(0xA0, 0x11);
        X64.Out8(0x21, 0x20); X64.Out8(0xA1, 0x28);
        X64.Out8(0x21, 0x04); X64.Out8(0xA1, 0x02);
        X64.Out8(0x21, 0x01); X64.Out8(0xA1, 0x01);
        X64.Out8(0x21, 0xFF); X64.Out8(0xA1, 0xFF);

        ulong local = X64.ReadMsr(X64.MsrApicBase) & 0x000FFFFFFFFFF000;
        s_local = (uint*)MapDevice(local);
        X64.WriteMsr(X64.MsrApicBase, local | 0x800 | (X64.ReadMsr(X64.MsrApicBase) & 0x100));
        Write(TaskPriority, 0);
        Write(LvtLint0, Masked);
        Write(LvtLint1, 0x400);                             // NMI
        Write(LvtError, Masked);
        Write(SpuriousRegister, 0x100 | Vectors.Spurious);
        cpu->ApicId = Read(Id) >> 24;
        ApicTimer.Initialize();

        if (Acpi.IoApicAddress == 0) return;
        s_io = (uint*)MapDevice(Acpi.IoApicAddress);
        s_ioEntries = (int)(ReadIo(1) >> 16 & 0xFF) + 1;
        for (int i = 0; i < s_ioEntries; i++) WriteEntry(i, Masked);
    }

    public static uint Read(int register) => s_local[register / 4];

    public static void Write(int register, uint value)
    {
        Volatile.Write(ref s_local[register / 4], value);
    }

    public static void EndOfInterrupt() => Write(EndOfInterruptRegister, 0);

    public static void SetTimer(uint vector, uint count)
    {
        Write(LvtTimer, vector);
        Write(DivideConfiguration, 3);                      // by 16
        Write(InitialCount, count);
    }

    public static uint TimerCount() => Read(CurrentCount);

    /// <summary>
    /// Routes a global system interrupt to a vector of the boot CPU, or masks it (vector 0).
    /// Flags: bit 0 active low, bit 1 level triggered. False when there is no such pin.
    /// </summary>
    [RuntimeExport("ostd_io_apic_route")]
    private static int Route(uint gsi, int vector, int flags)
    {
        int pin = (int)(gsi - Acpi.IoApicGsiBase);
        if (s_io == null || pin < 0 || pin >= s_ioEntries) return 0;
        if (vector is not 0 and (< Vectors.FirstDevice or > Vectors.LastDevice)) return 0;
        uint low = vector == 0 ? Masked : (uint)vector;
        if ((flags & 1) != 0) low |= 1 << 13;
        if ((flags & 2) != 0) low |= 1 << 15;
        for (int i = 0; i < 256; i++) if (s_pins.OfVector[i] == pin + 1) s_pins.OfVector[i] = 0;
        WriteEntry(pin, low);
        // A level-triggered source goes on asserting until its driver has run: its pin is masked by the top half and opened again after the bottom half.
        if (vector != 0 && (flags & 2) != 0) s_pins.OfVector[vector] = (byte)(pin + 1);
        return 1;
    }

    /// <summary>Opens a pin again after its bottom half.</summary>
    [RuntimeExport("ostd_io_apic_unmask")]
    private static void Unmask(uint gsi)
    {
        int pin = (int)(gsi - Acpi.IoApicGsiBase);
        if (s_io == null || pin < 0 || pin >= s_ioEntries) return;
        bool wasEnabled = (X64.ReadFlags() & 0x200) != 0;
        X64.DisableInterrupts();            // the register window is shared with the top half
        uint low = ReadIo(0x10 + 2 * pin);
        if ((low & 0xFF) >= Vectors.FirstDevice) WriteIo(0x10 + 2 * pin, low & ~Masked);
        if (wasEnabled) X64.EnableInterrupts();
    }

    /// <summary>Top half of a level-triggered vector, before its end of interrupt.</summary>
    public static void MaskLevel(int vector)
    {
        int pin = s_pins.OfVector[vector] - 1;
        if (pin < 0) return;
        WriteIo(0x10 + 2 * pin, ReadIo(0x10 + 2 * pin) | Masked);
    }

    /// <summary>The global system interrupt of an ISA line; flags as for routing in the high half.</summary>
    [RuntimeExport("ostd_isa_interrupt")]
    private static ulong IsaInterrupt(int line)
    {
        if (line is < 0 or > 15) return ulong.MaxValue;
        uint raw = Acpi.Overrides.Flags[line];
        ulong flags = ((raw & 3) == 3 ? 1UL : 0) | ((raw >> 2 & 3) == 3 ? 2UL : 0);
        return Acpi.Overrides.Gsi[line] | flags << 32;
    }

    private static void WriteEntry(int pin, uint low)
    {
        bool wasEnabled = (X64.ReadFlags() & 0x200) != 0;
        X64.DisableInterrupts();
        WriteIo(0x10 + 2 * pin, Masked);                    // masked while the halves differ
        WriteIo(0x11 + 2 * pin, X64.PerCpu()->ApicId << 24);
        WriteIo(0x10 + 2 * pin, low);
        if (wasEnabled) X64.EnableInterrupts();
    }

    private static uint ReadIo(int register)
    {
        Volatile.Write(ref s_io[0], (uint)register);
        return Volatile.Read(ref s_io[4]);
    }

    private static void WriteIo(int register, uint value)
    {
        Volatile.Write(ref s_io[0], (uint)register);
        Volatile.Write(ref s_io[4], value);
    }

    private static void* MapDevice(ulong physical)
    {
        ulong area = KernelArea.Allocate(4096);
        ulong flags = KernelMap.Writable | KernelMap.NoExecute | KernelMap.CacheDisable | KernelMap.WriteThrough;
        if (area == 0 || !KernelMap.Map(area, physical & ~0xFFFUL, flags)) Panic.Fail("cannot map an APIC\n"u8);
        return (void*)(area + (physical & 0xFFF));
    }
}

/// <summary>
/// The one-shot timer of this CPU: fires at the earliest of the managed timers' deadline, the runtime's timed waits and a test's timer storm.
/// </summary>
// SAFETY: PerCpu is this CPU's own area; the first sleeper stays on its list, under its CPU, while it is looked at.
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
        ulong deadline = cpu->TimerDeadline;
        Thread* sleeper = cpu->SleepHead;
        ulong now = Clock.Nanoseconds();
        // One that is due has raised its event already: whoever takes the event programs the next.
        if (sleeper != null && sleeper->Deadline > now && (deadline == 0 || sleeper->Deadline < deadline)) deadline = sleeper->Deadline;
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
    public static void OnInterrupt(PerCpu* cpu)
    {
        ulong now = Clock.Nanoseconds();
        if (cpu->TimerDeadline != 0 && cpu->TimerDeadline <= now)
        {
            cpu->TimerDeadline = 0;
            Interlocked.Or(ref cpu->Events, CpuEvents.TimerExpired);
        }
        if (cpu->SleepHead != null && cpu->SleepHead->Deadline <= now) Interlocked.Or(ref cpu->Events, CpuEvents.ThreadReady);
        Program(cpu);
    }
}
