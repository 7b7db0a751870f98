using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Text;
using Asterinas.Ostd.Runtime;

namespace Asterinas.Ostd.Arch;

/// <summary>
/// What the simulated firmware and boot loader hand over. A test changes it and reads it anew; the first MiB of RAM, which the frame allocator never gets, holds the
/// initramfs and ACPI tables.
/// </summary>
// SAFETY: the structure is allocated once and never freed; lengths are checked against its arrays and against the first MiB.
internal static unsafe partial class Machine
{
    private const ulong InitramfsAt = 0x10000;

    private static readonly BootInfoData* s_bootInfo = NewBootInfo();
    private static readonly Dictionary<uint, ulong> s_acpiTables = [];

    public static BootInfoData* BootInfo() => s_bootInfo;

    /// <summary>Sets the kernel command line.</summary>
    public static void SetCommandLine(string text) => WriteCommandLine(s_bootInfo, text);

    /// <summary>Sets the firmware's memory map. It describes; how much RAM there is says <see cref="Initialize"/>.</summary>
    public static void SetMemoryMap(params (ulong Start, ulong Length, BootMemoryKind Kind)[] ranges) => WriteMemoryMap(s_bootInfo, ranges);

    /// <summary>Loads an initramfs of at most 960 KiB.</summary>
    public static void SetInitramfs(ReadOnlySpan<byte> bytes)
    {
        if ((ulong)bytes.Length > FirstFreeByte - InitramfsAt) throw new ArgumentOutOfRangeException(nameof(bytes));
        if (bytes.Length > 0) bytes.CopyTo(new Span<byte>(PhysToVirt(InitramfsAt), bytes.Length));
        s_bootInfo->InitramfsStart = bytes.Length > 0 ? InitramfsAt : 0;
        s_bootInfo->InitramfsLength = (ulong)bytes.Length;
    }

    /// <summary>Tells where an ACPI table lies; 0 removes it.</summary>
    public static void SetAcpiTable(uint signature, ulong physical)
    {
        lock (s_acpiTables) s_acpiTables[signature] = physical;
    }

    /// <summary>Writes firmware's part of RAM, the first MiB.</summary>
    public static void WriteFirmware(ulong physical, ReadOnlySpan<byte> bytes)
    {
        if (physical > FirstFreeByte || (ulong)bytes.Length > FirstFreeByte - physical) throw new ArgumentOutOfRangeException(nameof(physical));
        if (bytes.Length > 0) bytes.CopyTo(new Span<byte>(PhysToVirt(physical), bytes.Length));
    }

    public static ulong AcpiFind(uint signature)
    {
        lock (s_acpiTables) return s_acpiTables.GetValueOrDefault(signature);
    }

    /// <summary>All simulated RAM is mapped; there is nothing beyond it.</summary>
    public static int MapFirmware(ulong physical, ulong bytes)
    {
        EnsureMemory();
        return physical < s_memoryBytes && bytes <= s_memoryBytes - physical ? 1 : 0;
    }

    private static BootInfoData* NewBootInfo()
    {
        var data = (BootInfoData*)NativeMemory.AllocZeroed((nuint)sizeof(BootInfoData));
        data->Protocol = 1;
        WriteMemoryMap(data, [(0, 0xA0000, BootMemoryKind.Usable), (0xA0000, 0x60000, BootMemoryKind.Reserved),
            (1 << 20, DefaultMemoryBytes - (1 << 20), BootMemoryKind.Usable)]);
        return data;
    }

    private static void WriteCommandLine(BootInfoData* data, string text)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        if (bytes.Length >= BootInfoData.MaxCommandLine) throw new ArgumentException("longer than a command line", nameof(text));
        var line = new Span<byte>(data->CommandLine, BootInfoData.MaxCommandLine);
        line.Clear();
        bytes.CopyTo(line);
    }

    private static void WriteMemoryMap(BootInfoData* data, (ulong Start, ulong Length, BootMemoryKind Kind)[] ranges)
    {
        if (ranges.Length > BootInfoData.MaxRanges) throw new ArgumentOutOfRangeException(nameof(ranges));
        data->RangeCount = ranges.Length;
        for (int i = 0; i < ranges.Length; i++)
        {
            *data->Range(i) = new BootMemoryRange { Start = ranges[i].Start, Length = ranges[i].Length, Kind = ranges[i].Kind };
        }
    }
}
