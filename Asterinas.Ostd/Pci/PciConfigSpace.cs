using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Io;
using Asterinas.Ostd.Memory;

namespace Asterinas.Ostd.Pci;

/// <summary>
/// Reads and writes configuration space: memory-mapped (ECAM, PCI Express Base 5.0 §7.2.2) where the ACPI table MCFG describes it, else through ports 0xCF8 and 0xCFC, which reach
/// 256 bytes of a function of segment 0. A bus is mapped when the enumeration comes to it and stays mapped.
/// </summary>
internal sealed class PciConfigSpace
{
    /// <summary>Bytes of a function's configuration space with ECAM, and without.</summary>
    public const int Bytes = 4096, LegacyBytes = 256;

    private const ushort AddressPort = 0xCF8, DataPort = 0xCFC;
    private const int EntriesOffset = AcpiTable.HeaderBytes + 8, EntryBytes = 16;
    private const ulong BusBytes = 1 << 20;
    private const ulong PhysicalLimit = 1UL << 46;

    private readonly record struct Window(ushort Segment, byte FirstBus, byte LastBus, ulong Base);

    private readonly List<Window> _windows = [];
    private readonly Dictionary<(ushort Segment, byte Bus), nint> _mapped = [];
    private SpinGate _ports;

    /// <summary>Looks for windows in MCFG. What overlaps RAM or makes no sense is logged and left out.</summary>
    public PciConfigSpace()
    {
        if (AcpiTable.TryRead("MCFG"u8) is not { } table) return;
        for (int at = EntriesOffset; at + EntryBytes <= table.Length; at += EntryBytes)
        {
            ReadOnlySpan<byte> entry = table.AsSpan(at, EntryBytes);
            var window = new Window(BinaryPrimitives.ReadUInt16LittleEndian(entry[8..]), entry[10], entry[11], BinaryPrimitives.ReadUInt64LittleEndian(entry));
            if (IsUsable(window))
            {
                _windows.Add(window);
                IoMem.AddSensitive(window.Base + window.FirstBus * BusBytes, (ulong)(window.LastBus - window.FirstBus + 1) * BusBytes);
            }
            else
            {
                Log.Warning($"pci: MCFG says that buses {window.FirstBus:x2} to {window.LastBus:x2} of segment {window.Segment:x4} lie at 0x{window.Base:x}: ignored");
            }
        }
    }

    /// <summary>The segments that can be reached, each with its first bus.</summary>
    public IEnumerable<(ushort Segment, byte FirstBus)> Segments
    {
        get
        {
            bool hasZero = false;
            foreach (Window window in _windows)
            {
                hasZero |= window.Segment == 0;
                yield return (window.Segment, window.FirstBus);
            }
            if (!hasZero) yield return (0, 0);
        }
    }

    /// <summary>Whether the enumeration can look at a bus. Maps it where it is memory-mapped. At boot only.</summary>
    public bool TryOpen(ushort segment, byte bus)
    {
        if (_mapped.ContainsKey((segment, bus))) return true;
        foreach (Window window in _windows)
        {
            if (window.Segment != segment || bus < window.FirstBus || bus > window.LastBus) continue;
            nint mapping = Machine.MapIo(window.Base + bus * BusBytes, (nuint)BusBytes, (int)IoCaching.Uncached);
            if (mapping == 0) break;
            _mapped.Add((segment, bus), mapping);
            return true;
        }
        return segment == 0;
    }

    /// <summary>Bytes of configuration space that a function's accesses reach.</summary>
    public int Reach(PciAddress address) => _mapped.ContainsKey((address.Segment, address.Bus)) ? Bytes : LegacyBytes;

    // Offsets are aligned to the width and below Reach, by all callers.

    public byte Read8(PciAddress address, int offset) => (byte)Access(address, offset, 1, false, 0);

    public ushort Read16(PciAddress address, int offset) => (ushort)Access(address, offset, 2, false, 0);

    public uint Read32(PciAddress address, int offset) => Access(address, offset, 4, false, 0);

    public void Write16(PciAddress address, int offset, ushort value) => Access(address, offset, 2, true, value);

    public void Write32(PciAddress address, int offset, uint value) => Access(address, offset, 4, true, value);

    private uint Access(PciAddress address, int offset, int width, bool isWrite, uint value)
    {
        if ((uint)offset >= (uint)Reach(address) || (offset & (width - 1)) != 0) throw new ArgumentOutOfRangeException(nameof(offset));
        if (_mapped.TryGetValue((address.Segment, address.Bus), out nint bus)) return AccessMemory(bus + ((address.RequesterId & 0xFF) << 12) + offset, width, isWrite, value);
        if (address.Segment != 0) return uint.MaxValue;
        _ports.Enter();
        try
        {
            return AccessPorts(0x80000000 | (uint)address.RequesterId << 8 | (uint)offset & 0xFC, (ushort)(DataPort + (offset & 3)), width, isWrite, value);
        }
        finally
        {
            _ports.Exit();
        }
    }

    // SAFETY: the address is inside the mapping of one bus: 256 functions of 4 KiB, and the offset was checked. Callers write only what this class's users (Ostd) decide.
    private static unsafe uint AccessMemory(nint at, int width, bool isWrite, uint value)
    {
        var address = (byte*)at;
        switch (width)
        {
            case 1: return Machine.IoRead8(address);
            case 2 when isWrite: Machine.IoWrite16(address, (ushort)value); return 0;
            case 2: return Machine.IoRead16(address);
            case 4 when isWrite: Machine.IoWrite32(address, value); return 0;
            default: return Machine.IoRead32(address);
        }
    }

    private static uint AccessPorts(uint selector, ushort port, int width, bool isWrite, uint value)
    {
        Machine.Out32(AddressPort, selector);
        switch (width)
        {
            case 1: return Machine.In8(port);
            case 2 when isWrite: Machine.Out16(port, (ushort)value); return 0;
            case 2: return Machine.In16(port);
            case 4 when isWrite: Machine.Out32(port, value); return 0;
            default: return Machine.In32(port);
        }
    }

    private static bool IsUsable(Window window)
    {
        if (window.Base == 0 || window.Base % BusBytes != 0 || window.FirstBus > window.LastBus || window.Base > PhysicalLimit) return false;
        ulong start = window.Base + window.FirstBus * BusBytes, end = window.Base + (window.LastBus + 1UL) * BusBytes;
        return end <= PhysicalLimit && !BootInfo.Current.OverlapsMemory(start, end - start);
    }
}
