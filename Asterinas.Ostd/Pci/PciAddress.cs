using System;

namespace Asterinas.Ostd.Pci;

/// <summary>Where a function of a PCI device sits. A number without any right: it names a function, it does not reach it.</summary>
/// <param name="Segment">Segment group; 0 unless the machine has several.</param>
/// <param name="Bus">Bus within the segment.</param>
/// <param name="Device">Device on the bus, 0 to 31.</param>
/// <param name="Function">Function of the device, 0 to 7.</param>
public readonly record struct PciAddress(ushort Segment, byte Bus, byte Device, byte Function) : IComparable<PciAddress>
{
    /// <summary>What the function puts on the bus as the sender of its requests (PCI Express Base 5.0 §2.2.6.2).</summary>
    internal ushort RequesterId => (ushort)(Bus << 8 | (Device & 31) << 3 | (Function & 7));

    /// <inheritdoc/>
    public int CompareTo(PciAddress other) => Key.CompareTo(other.Key);

    /// <summary>The usual notation: <c>0000:00:1f.2</c>.</summary>
    public override string ToString() => $"{Segment:x4}:{Bus:x2}:{Device:x2}.{Function:x}";

    private ulong Key => (ulong)Segment << 24 | (ulong)Bus << 16 | (ulong)Device << 8 | Function;
}
