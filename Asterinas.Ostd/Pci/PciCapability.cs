using System.Collections.Generic;

namespace Asterinas.Ostd.Pci;

/// <summary>An entry of a function's capability list.</summary>
/// <param name="Id">What it is: 5 MSI, 9 vendor-specific, 16 PCI Express, 17 MSI-X (PCI Code and ID Assignment 1.11 §2).</param>
/// <param name="Offset">Where its header lies in configuration space.</param>
public readonly record struct PciCapability(byte Id, byte Offset)
{
    /// <summary>Message-signalled interrupts.</summary>
    public const byte Msi = 0x05;
    /// <summary>Whatever the vendor put there; virtio describes its registers in such ones.</summary>
    public const byte VendorSpecific = 0x09;
    /// <summary>PCI Express.</summary>
    public const byte Express = 0x10;
    /// <summary>Message-signalled interrupts with a table in device memory.</summary>
    public const byte MsiX = 0x11;

    private const int StatusOffset = 0x06, PointerOffset = 0x34, FirstOffset = 0x40;
    private const ushort HasList = 1 << 4;

    /// <summary>Walks the list. It ends at a pointer that leads nowhere or to an entry that was there before: a device cannot make a loop.</summary>
    internal static PciCapability[] Read(PciConfigSpace config, PciAddress address)
    {
        var found = new List<PciCapability>();
        if ((config.Read16(address, StatusOffset) & HasList) == 0) return [];
        ulong seen = 0;
        // The low two bits of a pointer are reserved (PCI Local Bus 3.0 §6.7).
        for (int at = config.Read8(address, PointerOffset) & 0xFC; at >= FirstOffset && (seen >> (at >> 2) & 1) == 0; at = config.Read8(address, at + 1) & 0xFC)
        {
            seen |= 1UL << (at >> 2);
            byte id = config.Read8(address, at);
            if (id == 0xFF) break;
            found.Add(new PciCapability(id, (byte)at));
        }
        return [.. found];
    }
}
