using System;
using System.Collections.Generic;
using Asterinas.Ostd.Diagnostics;

namespace Asterinas.Ostd.Pci;

/// <summary>
/// The PCI functions of the machine, found at boot: bus 0 and every bus behind the bridges that the firmware set up. Functions are quiet (they send no requests and no interrupts)
/// until a driver claims them, whatever the firmware left running.
/// </summary>
public static class PciBus
{
    private const int Devices = 32, FunctionsOfDevice = 8;
    private const int HeaderTypeOffset = 0x0E, SubsystemOffset = 0x2C;
    private const byte MultiFunction = 0x80;
    private const uint QemuSubsystem = 0x11001AF4;

    private static PciFunction[] s_functions = [];

    /// <summary>All functions, in the order of their addresses. Nothing is added or removed while the kernel runs.</summary>
    public static IReadOnlyList<PciFunction> Functions => s_functions;

    /// <summary>
    /// Whether what the firmware wrote into the interrupt-line registers holds for the I/O APIC as well. QEMU's chipsets drive the 8259's input and the I/O APIC's pin of the
    /// same number; elsewhere the wiring is in AML, which Ostd does not interpret.
    /// </summary>
    internal static bool PinsReachTheIoApic { get; private set; }

    /// <summary>The function at an address; null when there is none.</summary>
    /// <param name="address">Where it sits.</param>
    public static PciFunction? Find(PciAddress address)
    {
        foreach (PciFunction function in s_functions)
        {
            if (function.Address == address) return function;
        }
        return null;
    }

    /// <summary>Looks for functions and makes them quiet. Before anything else can claim device memory; once, except on a simulated machine.</summary>
    internal static void Enumerate()
    {
        foreach (PciFunction function in s_functions) Io.IoMem.RemoveSensitive(function);
        var config = new PciConfigSpace();
        var found = new List<PciFunction>();
        foreach ((ushort segment, byte firstBus) in config.Segments)
        {
            // The bridge of every bus that was seen: one that two bridges lead to belongs to the first.
            var buses = new Queue<(byte Bus, PciFunction? Bridge)>([(firstBus, null)]);
            var seen = new HashSet<byte> { firstBus };
            while (buses.TryDequeue(out (byte Bus, PciFunction? Bridge) next))
            {
                if (!config.TryOpen(segment, next.Bus)) continue;
                int first = found.Count;
                ScanBus(config, segment, next.Bus, next.Bridge, found);
                for (int i = first; i < found.Count; i++)
                {
                    byte secondary = found[i].SecondaryBus;
                    if (secondary > firstBus && seen.Add(secondary)) buses.Enqueue((secondary, found[i]));
                }
            }
        }
        found.Sort((a, b) => a.Address.CompareTo(b.Address));
        PinsReachTheIoApic = found.Count > 0 && found[0].IsBridge && found[0].ReadConfig32(SubsystemOffset) == QemuSubsystem;
        s_functions = [.. found];
        foreach (PciFunction function in found) Log.Debug($"pci: {function}");
    }

    private static void ScanBus(PciConfigSpace config, ushort segment, byte bus, PciFunction? bridge, List<PciFunction> found)
    {
        for (int device = 0; device < Devices; device++)
        {
            int functions = 1;
            for (int number = 0; number < functions; number++)
            {
                var address = new PciAddress(segment, bus, (byte)device, (byte)number);
                if (config.Read16(address, 0) is 0 or ushort.MaxValue) continue;
                if (number == 0 && (config.Read8(address, HeaderTypeOffset) & MultiFunction) != 0) functions = FunctionsOfDevice;
                found.Add(new PciFunction(config, address, bridge));
            }
        }
    }
}
