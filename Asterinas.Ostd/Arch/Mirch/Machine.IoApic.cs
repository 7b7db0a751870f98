using System;

namespace Asterinas.Ostd.Arch;

/// <summary>
/// A simulated I/O APIC with 24 pins and the PC's usual routing of ISA lines. As on hardware, the top half of a level-triggered vector masks its pin, and the bottom
/// half's end opens it again: a source that still asserts then interrupts again.
/// </summary>
internal static partial class Machine
{
    private const int PinCount = 24;
    private const int FlagLevel = 2;

    private struct Pin
    {
        public int Vector;                  // 0: masked for good
        public int Flags;
        public bool IsMasked;
        public bool IsAsserted;
    }

    private static Pin[] s_pins = new Pin[PinCount];

    public static int IoApicRoute(uint gsi, int vector, int flags)
    {
        if (gsi >= PinCount || vector is not 0 and (< FirstDeviceVector or > LastDeviceVector)) return 0;
        lock (s_pins)
        {
            s_pins[gsi].Vector = vector;
            s_pins[gsi].Flags = flags;
            s_pins[gsi].IsMasked = vector == 0;
            Deliver(gsi, false);
        }
        return 1;
    }

    public static void IoApicUnmask(uint gsi)
    {
        if (gsi >= PinCount) return;
        lock (s_pins)
        {
            if (s_pins[gsi].Vector == 0) return;
            s_pins[gsi].IsMasked = false;
            Deliver(gsi, false);
        }
    }

    /// <summary>Line 0 is the timer's, on pin 2; line 9 is ACPI's, level-triggered; the others are as the ISA bus had them. No line 2: it was the cascade.</summary>
    public static ulong IsaInterrupt(int line) => line switch
    {
        0 => 2,
        2 or < 0 or > 15 => ulong.MaxValue,
        9 => 9 | (ulong)FlagLevel << 32,
        _ => (ulong)line,
    };

    /// <summary>A device drives its line. An edge-triggered pin takes the rising edge, a level-triggered one interrupts as long as the line is asserted.</summary>
    public static void SetInterruptLine(uint gsi, bool isAsserted)
    {
        if (gsi >= PinCount) throw new ArgumentOutOfRangeException(nameof(gsi));
        lock (s_pins)
        {
            bool edge = isAsserted && !s_pins[gsi].IsAsserted;
            s_pins[gsi].IsAsserted = isAsserted;
            Deliver(gsi, edge);
        }
    }

    /// <summary>The vector that a pin is routed to; 0 when it is masked for good.</summary>
    public static int RoutedVector(uint gsi)
    {
        lock (s_pins) return s_pins[gsi].Vector;
    }

    private static void ResetInterruptRouting() => s_pins = new Pin[PinCount];

    private static void Deliver(uint gsi, bool edge)
    {
        ref Pin pin = ref s_pins[gsi];
        bool isLevel = (pin.Flags & FlagLevel) != 0;
        if (pin.Vector == 0 || pin.IsMasked || !(isLevel ? pin.IsAsserted : edge)) return;
        if (isLevel) pin.IsMasked = true;
        RaiseInterrupt(pin.Vector);
    }
}
