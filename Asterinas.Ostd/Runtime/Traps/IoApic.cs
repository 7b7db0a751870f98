using System;
using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// The I/O APIC (82093AA). Its registers are behind a window of two words that all CPUs share, top halves too: s_lock is taken with interrupts off, and nothing waits for another
/// CPU while it is held.
/// </summary>
// SAFETY: the registers are mapped once, uncached, at the address that ACPI gives, and stay mapped; pins are checked against the chip's count, vectors against 256.
internal static unsafe class IoApic
{
    private const uint Masked = 1 << 16;

    private struct PinTable
    {
        public fixed byte OfVector[256];    // pin + 1 of a level-triggered vector, else 0
    }

    private static PinTable s_pins;
    private static uint* s_io;
    private static int s_ioEntries;
    private static int s_lock;

    public static void Initialize()
    {
        if (Acpi.IoApicAddress == 0) return;
        s_io = (uint*)Apic.MapDevice(Acpi.IoApicAddress);
        s_ioEntries = (int)(ReadIo(1) >> 16 & 0xFF) + 1;
        for (int i = 0; i < s_ioEntries; i++) WriteEntry(i, Masked);
    }

    /// <summary>
    /// Routes a global system interrupt to a vector of this CPU, or masks it (vector 0).
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
        bool wasEnabled = Lock();
        for (int i = 0; i < 256; i++) if (s_pins.OfVector[i] == pin + 1) s_pins.OfVector[i] = 0;
        // A level-triggered source goes on asserting until its driver has run: its pin is masked by the top half and opened again after the bottom half.
        if (vector != 0 && (flags & 2) != 0) s_pins.OfVector[vector] = (byte)(pin + 1);
        WriteEntry(pin, low);
        Unlock(wasEnabled);
        return 1;
    }

    /// <summary>Opens a pin again after its bottom half.</summary>
    [RuntimeExport("ostd_io_apic_unmask")]
    private static void Unmask(uint gsi)
    {
        int pin = (int)(gsi - Acpi.IoApicGsiBase);
        if (s_io == null || pin < 0 || pin >= s_ioEntries) return;
        bool wasEnabled = Lock();
        uint low = ReadIo(0x10 + 2 * pin);
        if ((low & 0xFF) >= Vectors.FirstDevice) WriteIo(0x10 + 2 * pin, low & ~Masked);
        Unlock(wasEnabled);
    }

    /// <summary>Top half of a level-triggered vector, before its end of interrupt.</summary>
    public static void MaskLevel(int vector)
    {
        if (s_pins.OfVector[vector] == 0) return;
        bool wasEnabled = Lock();
        int pin = s_pins.OfVector[vector] - 1;
        if (pin >= 0) WriteIo(0x10 + 2 * pin, ReadIo(0x10 + 2 * pin) | Masked);
        Unlock(wasEnabled);
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

    // Under the lock, or before the other CPUs start.
    private static void WriteEntry(int pin, uint low)
    {
        WriteIo(0x10 + 2 * pin, Masked);                    // masked while the halves differ
        WriteIo(0x11 + 2 * pin, X64.PerCpu()->ApicId << 24);
        WriteIo(0x10 + 2 * pin, low);
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

    private static bool Lock()
    {
        bool wasEnabled = (X64.ReadFlags() & 0x200) != 0;
        X64.DisableInterrupts();
        while (Interlocked.CompareExchange(ref s_lock, 1, 0) != 0) X64.Pause();
        return wasEnabled;
    }

    private static void Unlock(bool wasEnabled)
    {
        Volatile.Write(ref s_lock, 0);
        if (wasEnabled) X64.EnableInterrupts();
    }
}
