using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Pci;

namespace Asterinas.Ostd.Dma.Vtd;

/// <summary>A device that a remapping unit names: the bus to begin at, and device and function on each bus along the way.</summary>
/// <param name="StartBus">Where the path begins.</param>
/// <param name="Path">Device and function of each step, the last one being who is meant.</param>
/// <param name="IsHierarchy">A bridge, with everything behind it.</param>
internal sealed record DmarScope(byte StartBus, (byte Device, byte Function)[] Path, bool IsHierarchy);

/// <summary>A remapping unit as the table describes it.</summary>
/// <param name="Segment">The segment of its devices.</param>
/// <param name="RegisterBase">Physical address of its registers.</param>
/// <param name="IncludesAll">It has all functions of the segment that no other unit names.</param>
/// <param name="Scopes">Those that it names.</param>
internal sealed record DmarUnit(ushort Segment, ulong RegisterBase, bool IncludesAll, DmarScope[] Scopes)
{
    /// <summary>Whether a scope names the function, or a bridge above it.</summary>
    public bool Names(PciFunction function)
    {
        if (function.Address.Segment != Segment) return false;
        foreach (DmarScope scope in Scopes)
        {
            if (Resolve(scope) is not { } target) continue;
            for (PciFunction? at = function; at is not null; at = scope.IsHierarchy ? at.Bridge : null)
            {
                if (at == target) return true;
            }
        }
        return false;
    }

    private PciFunction? Resolve(DmarScope scope)
    {
        byte bus = scope.StartBus;
        for (int i = 0; ; i++)
        {
            PciFunction? function = PciBus.Find(new PciAddress(Segment, bus, scope.Path[i].Device, scope.Path[i].Function));
            if (function is null || i == scope.Path.Length - 1) return function;
            bus = function.SecondaryBus;
            if (bus == 0) return null;
        }
    }
}

/// <summary>
/// The ACPI table DMAR (VT-d 3.2 ch. 8). Every length is checked against the table; one that does not fit makes the whole table broken, since units and scopes that were
/// lost would leave devices to the wrong unit. Regions that firmware wants to keep for its own DMA (RMRR) are not mapped: the firmware's use of a device ends at boot.
/// </summary>
internal static class DmarTable
{
    private const int StructuresOffset = 48, UnitBytes = 16, ScopeBytes = 6;
    private const ushort RemappingUnit = 0;
    private const byte IncludeAll = 1;
    private const byte Endpoint = 1, BridgeHierarchy = 2;
    private const int MostUnits = 64;

    /// <summary>The remapping units; null, with the reason, when the table is broken or names none.</summary>
    public static DmarUnit[]? TryParse(ReadOnlySpan<byte> table, out string problem)
    {
        problem = "";
        var units = new List<DmarUnit>();
        if (table.Length < StructuresOffset) problem = $"it has {table.Length} bytes";
        for (int at = StructuresOffset; problem.Length == 0 && at < table.Length;)
        {
            if (table.Length - at < 4) problem = $"{table.Length - at} bytes are left over";
            else
            {
                ushort type = BinaryPrimitives.ReadUInt16LittleEndian(table[at..]), length = BinaryPrimitives.ReadUInt16LittleEndian(table[(at + 2)..]);
                if (length < 4 || length > table.Length - at) problem = $"a structure at {at} has a length of {length}";
                else if (type == RemappingUnit) problem = AddUnit(table.Slice(at, length), units);
                at += length;
            }
        }
        if (problem.Length == 0 && units.Count == 0) problem = "it names no unit";
        return problem.Length == 0 ? [.. units] : null;
    }

    private static string AddUnit(ReadOnlySpan<byte> unit, List<DmarUnit> units)
    {
        if (unit.Length < UnitBytes) return $"a unit has {unit.Length} bytes";
        ulong start = BinaryPrimitives.ReadUInt64LittleEndian(unit[8..]);
        if (start == 0 || start % VtdUnit.RegisterPage != 0 || start >= 1UL << 46 || BootInfo.Current.OverlapsMemory(start, VtdUnit.RegisterPage)) return $"a unit's registers are at 0x{start:x}";
        if (units.Exists(other => other.RegisterBase == start)) return $"two units are at 0x{start:x}";
        if (units.Count == MostUnits) return "it names too many units";
        var scopes = new List<DmarScope>();
        for (int at = UnitBytes; at < unit.Length;)
        {
            if (unit.Length - at < ScopeBytes) return $"a scope has {unit.Length - at} bytes";
            byte type = unit[at], length = unit[at + 1];
            if (length < ScopeBytes + 2 || length > unit.Length - at || length % 2 != 0) return $"a scope has a length of {length}";
            if (type is Endpoint or BridgeHierarchy)
            {
                var path = new (byte, byte)[(length - ScopeBytes) / 2];
                for (int i = 0; i < path.Length; i++) path[i] = (unit[at + ScopeBytes + 2 * i], unit[at + ScopeBytes + 2 * i + 1]);
                scopes.Add(new DmarScope(unit[at + 5], path, type == BridgeHierarchy));
            }
            at += length;
        }
        units.Add(new DmarUnit(BinaryPrimitives.ReadUInt16LittleEndian(unit[6..]), start, (unit[4] & IncludeAll) != 0, [.. scopes]));
        return "";
    }
}
