using System;
using System.Collections.Generic;
using System.Threading;
using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Dma.Vtd;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Pci;

namespace Asterinas.Ostd.Dma;

/// <summary>A request of a device that an IOMMU refused.</summary>
/// <param name="Source">Who sent it.</param>
/// <param name="Address">Where it went, rounded down to a page.</param>
/// <param name="IsWrite">Whether it was a write.</param>
/// <param name="Reason">The hardware's code: 2 no domain, 5 no write permission, 6 no read permission, 7 … (VT-d 3.2 §7.3).</param>
public readonly record struct DmaFault(PciAddress Source, DeviceAddress Address, bool IsWrite, byte Reason);

/// <summary>
/// The machine's IOMMUs: Intel VT-d, as the ACPI table DMAR describes it. They are switched on at boot with nothing mapped: a function reaches no memory until it is claimed, and
/// then what is mapped in its domain. <c>iommu=off</c> on the command line leaves them off. Interrupts are not remapped: a request to 0xFEE00000 to 0xFEEFFFFF is an interrupt.
/// </summary>
public static class Iommu
{
    private static RateLimit s_log = NewLimit();
    private static SpinGate s_gate;
    private static VtdUnit[] s_units = [];
    private static long s_faults;
    private static DmaFault? s_lastFault;

    /// <summary>Whether there is one, and it is on.</summary>
    public static bool IsEnabled => s_units.Length > 0;

    /// <summary>Requests that were refused and reported. The hardware may count several as one when they come fast.</summary>
    public static long FaultCount => Interlocked.Read(ref s_faults);

    /// <summary>The last one; null when there was none.</summary>
    public static DmaFault? LastFault
    {
        get
        {
            s_gate.Enter();
            DmaFault? last = s_lastFault;
            s_gate.Exit();
            return last;
        }
    }

    /// <summary>Switches the units on and gives each function its domain. After the functions were found and made quiet. A table that is broken changes nothing.</summary>
    internal static void Initialize()
    {
        s_units = [];
        s_log = NewLimit();
        foreach (PciFunction function in PciBus.Functions) function.Dma = DmaDomain.Physical;
        if (AcpiTable.TryRead("DMAR"u8) is not { } table) return;
        if (IsSwitchedOff(BootInfo.Current.GetOption("iommu")))
        {
            Log.Info("iommu: off by the command line: devices are trusted with all memory");
            return;
        }
        if (DmarTable.TryParse(table, out string problem) is not { } description)
        {
            Log.Warning($"iommu: the table DMAR is broken ({problem}): devices are trusted with all memory");
            return;
        }
        var units = new List<VtdUnit>();
        foreach (DmarUnit unit in description)
        {
            if (VtdUnit.TryEnable(unit, out problem) is { } enabled) units.Add(enabled);
            else Log.Warning($"iommu: the unit at 0x{unit.RegisterBase:x} is not used ({problem}): its devices are trusted with all memory");
        }
        s_units = [.. units];
        if (IsEnabled) AssignDomains();
    }

    /// <summary>What the option <c>iommu</c> says: only the word off switches it off.</summary>
    internal static bool IsSwitchedOff(string? option) => option == "off";

    /// <summary>Notes and logs a refused request. At most ten lines in ten seconds.</summary>
    internal static void Report(DmaFault fault)
    {
        Interlocked.Increment(ref s_faults);
        s_gate.Enter();
        s_lastFault = fault;
        s_gate.Exit();
        if (!s_log.TryPass(out long suppressed)) return;
        string more = suppressed == 0 ? "" : $" ({suppressed} more before it)";
        Log.Warning($"iommu: {fault.Source} was refused to {(fault.IsWrite ? "write" : "read")} {fault.Address}: reason {fault.Reason}{more}");
    }

    private static RateLimit NewLimit() => new(10, 10000000000);

    private static void AssignDomains()
    {
        var domains = new Dictionary<(VtdUnit, ushort), VtdDomain>();
        int isolated = 0;
        foreach (PciFunction function in PciBus.Functions)
        {
            if (function.IsBridge) continue;
            VtdUnit? unit = Array.Find(s_units, u => u.Description.Names(function)) ?? Array.Find(s_units, u => u.Description.IncludesAll && u.Description.Segment == function.Address.Segment);
            if (unit is null)
            {
                Log.Warning($"iommu: {function.Address} is not behind one: it is trusted with all memory");
                continue;
            }
            // Requests carry the sender that the bridges on the way leave in them: functions that end up as the same sender share a domain.
            ushort[] senders = function.RequesterIds();
            if (!domains.TryGetValue((unit, senders[^1]), out VtdDomain? domain))
            {
                domain = new VtdDomain(unit, domains.Count + 1);
                domains.Add((unit, senders[^1]), domain);
            }
            function.Dma = domain;
            isolated++;
        }
        Log.Info($"iommu: {s_units.Length} VT-d unit(s) on, {isolated} function(s) in {domains.Count} domain(s), nothing mapped");
    }
}
