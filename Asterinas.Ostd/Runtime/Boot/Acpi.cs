using System;
using System.Runtime;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// The little of ACPI (6.5) that the platform layer needs: find tables by signature, soft-off and reset, the local and I/O APICs.
/// Firmware is trusted for content but not for sizes: every length is checked against the mapped physical range.
/// </summary>
// SAFETY: tables are mapped for their stated length, which is bounded, before they are read, and every entry is checked against its table's length;
// indices of the two fixed arrays are checked.
internal static unsafe class Acpi
{
    private const uint CpuEnabled = 1;

    private static ulong s_root;
    private static bool s_rootIs64;
    public static ushort PmTimerPort;
    public static ulong LocalApicAddress = 0;
    public static ulong IoApicAddress = 0;
    public static uint IoApicGsiBase = 0;
    /// <summary>Entries of ApicIds: the CPUs that the firmware describes.</summary>
    public static int CpuCount;
    public static OverrideTable Overrides;
    public static ApicIdTable ApicIds;

    /// <summary>ISA interrupt to global system interrupt, with the flags of the MADT's override entries.</summary>
    public struct OverrideTable
    {
        public fixed uint Gsi[16];
        public fixed ushort Flags[16];
    }

    public struct ApicIdTable
    {
        public fixed uint Id[PerCpu.MaxCpus];
    }

    public static void Initialize(ulong rsdp)
    {
        for (int i = 0; i < 16; i++) Overrides.Gsi[i] = (uint)i;
        if (rsdp == 0) rsdp = Scan(0xE0000, 0x100000);
        if (rsdp == 0) return;
        byte* p = (byte*)KernelMap.PhysToVirt(rsdp);
        s_rootIs64 = p[15] >= 2 && *(ulong*)(p + 24) != 0;
        s_root = s_rootIs64 ? *(ulong*)(p + 24) : *(uint*)(p + 16);
        ReadFadt();
        ReadMadt();
    }

    /// <summary>Physical address of the table with a signature (four ASCII letters, little endian), or 0.</summary>
    [RuntimeExport("ostd_acpi_find")]
    public static ulong Find(uint signature)
    {
        if (s_root == 0 || !KernelMap.MapFirmware(s_root, 36)) return 0;
        byte* root = (byte*)KernelMap.PhysToVirt(s_root);
        uint length = *(uint*)(root + 4);
        if (length < 36 || length > 1 << 20 || !KernelMap.MapFirmware(s_root, length)) return 0;
        uint size = s_rootIs64 ? 8u : 4u;
        for (uint at = 36; at + size <= length; at += size)
        {
            ulong table = s_rootIs64 ? *(ulong*)(root + at) : *(uint*)(root + at);
            if (table == 0 || !KernelMap.MapFirmware(table, 36)) continue;
            byte* header = (byte*)KernelMap.PhysToVirt(table);
            if (*(uint*)header != signature) continue;
            uint tableLength = *(uint*)(header + 4);
            if (tableLength < 36 || tableLength > 16 << 20 || !KernelMap.MapFirmware(table, tableLength)) return 0;
            return table;
        }
        return 0;
    }

    private static ulong Scan(ulong start, ulong end)
    {
        for (ulong at = start; at < end; at += 16)
        {
            ulong* p = (ulong*)KernelMap.PhysToVirt(at);
            if (*p == 0x2052545020445352) return at;        // "RSD PTR "
        }
        return 0;
    }

    private static void ReadFadt()
    {
        ulong fadt = Find(0x50434146);                      // "FACP"
        if (fadt == 0) return;
        byte* p = (byte*)KernelMap.PhysToVirt(fadt);
        uint length = *(uint*)(p + 4);
        if (length < 116) return;
        PmTimerPort = (ushort)*(uint*)(p + 76);
        ushort pm1a = (ushort)*(uint*)(p + 64), pm1b = (ushort)*(uint*)(p + 68);
        if (length >= 129) Power.SetReset(p[116], *(ulong*)(p + 120), p[128]);
        ulong dsdt = length >= 148 && *(ulong*)(p + 140) != 0 ? *(ulong*)(p + 140) : *(uint*)(p + 40);
        if (dsdt == 0 || pm1a == 0 || !KernelMap.MapFirmware(dsdt, 36)) return;
        byte* aml = (byte*)KernelMap.PhysToVirt(dsdt);
        uint amlLength = *(uint*)(aml + 4);
        if (amlLength < 40 || amlLength > 16 << 20 || !KernelMap.MapFirmware(dsdt, amlLength)) return;
        // \_S5 is a package of integers; the first two are SLP_TYPa and SLP_TYPb. A byte scan finds the NameOp without an AML interpreter.
        for (uint i = 36; i + 14 <= amlLength; i++)
        {
            if (*(uint*)(aml + i) != 0x5F35535F) continue;  // "_S5_"
            byte* at = aml + i + 4;
            if (*at != 0x12) continue;                      // PackageOp
            at++;
            at += (*at >> 6) + 1;                           // PkgLength
            at++;                                           // NumElements
            ushort typeA = ReadSmallInteger(&at), typeB = ReadSmallInteger(&at);
            Power.SetSleep(pm1a, pm1b, typeA, typeB);
            return;
        }
    }

    private static ushort ReadSmallInteger(byte** at)
    {
        byte op = *(*at)++;
        if (op == 0x0A) return *(*at)++;                    // BytePrefix
        return op == 0x01 ? (ushort)1 : (ushort)0;          // OneOp, ZeroOp
    }

    // CPUs that may only be plugged in later are left out. One that is listed as xAPIC and as x2APIC is one.
    private static void AddCpu(uint apicId)
    {
        for (int i = 0; i < CpuCount; i++)
        {
            if (ApicIds.Id[i] == apicId) return;
        }
        if (CpuCount < PerCpu.MaxCpus) ApicIds.Id[CpuCount++] = apicId;
    }

    private static void ReadMadt()
    {
        ulong madt = Find(0x43495041);                      // "APIC"
        if (madt == 0) return;
        byte* p = (byte*)KernelMap.PhysToVirt(madt);
        uint length = *(uint*)(p + 4);
        if (length < 44) return;
        LocalApicAddress = *(uint*)(p + 36);
        for (uint at = 44; at + 2 <= length;)
        {
            byte type = p[at], size = p[at + 1];
            if (size < 2 || at + size > length) break;
            if (type == 0 && size >= 8 && (*(uint*)(p + at + 4) & CpuEnabled) != 0) AddCpu(p[at + 3]);
            else if (type == 9 && size >= 16 && (*(uint*)(p + at + 8) & CpuEnabled) != 0) AddCpu(*(uint*)(p + at + 4));     // x2APIC
            else if (type == 1 && size >= 12 && IoApicAddress == 0)
            {
                IoApicAddress = *(uint*)(p + at + 4);
                IoApicGsiBase = *(uint*)(p + at + 8);
            }
            else if (type == 2 && size >= 10 && p[at + 3] < 16)
            {
                Overrides.Gsi[p[at + 3]] = *(uint*)(p + at + 4);
                Overrides.Flags[p[at + 3]] = *(ushort*)(p + at + 8);
            }
            else if (type == 5 && size >= 12) LocalApicAddress = *(ulong*)(p + at + 4);
            at += size;
        }
    }
}
