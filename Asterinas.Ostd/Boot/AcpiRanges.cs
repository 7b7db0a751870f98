using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Io;

namespace Asterinas.Ostd.Boot;

/// <summary>
/// Ports and device memory that ACPI tables name and the framework keeps: power management and SMI ports (FADT), I/O APICs and the local APIC (MADT), the HPET, whose timers can
/// write anywhere (IA-PC HPET 1.0a §2.3.9.2).
/// </summary>
internal static class AcpiRanges
{
    private const int LocalApicBytes = 4096, IoApicBytes = 4096, HpetBytes = 4096;

    /// <summary>Keeps them. Before the kernel's Main can ask for any.</summary>
    public static void Keep()
    {
        if (AcpiTable.TryRead("FACP"u8) is { } fadt) KeepPorts(fadt);
        if (AcpiTable.TryRead("APIC"u8) is { } madt) KeepApics(madt);
        if (AcpiTable.TryRead("HPET"u8) is { Length: >= 52 } hpet && hpet[40] == 0) KeepMemory(BinaryPrimitives.ReadUInt64LittleEndian(hpet.AsSpan(44)), HpetBytes);
    }

    // FADT (ACPI 6.5 §5.2.9): addresses of 32 bits from offset 48 on, their lengths from 88 on; the reset register is a generic address at 116.
    private static void KeepPorts(ReadOnlySpan<byte> fadt)
    {
        if (fadt.Length < 94) return;
        ReadOnlySpan<(int Address, int Length)> blocks = [(56, 88), (60, 88), (64, 89), (68, 89), (72, 90), (76, 91), (80, 92), (84, 93)];
        KeepPorts(BinaryPrimitives.ReadUInt32LittleEndian(fadt[48..]), 1);
        foreach ((int address, int length) in blocks) KeepPorts(BinaryPrimitives.ReadUInt32LittleEndian(fadt[address..]), fadt[length]);
        if (fadt.Length >= 128 && fadt[116] == 1) KeepPorts(BinaryPrimitives.ReadUInt64LittleEndian(fadt[120..]), 1);
    }

    private static void KeepPorts(ulong start, int count)
    {
        if (start is > 0 and <= ushort.MaxValue && count > 0) IoPort.AddSensitive((ushort)start, count);
    }

    private static void KeepApics(ReadOnlySpan<byte> madt)
    {
        const int entries = 44;
        const byte ioApic = 1, localApicAddress = 5;
        if (madt.Length < entries) return;
        KeepMemory(BinaryPrimitives.ReadUInt32LittleEndian(madt[36..]), LocalApicBytes);
        for (int at = entries; at + 2 <= madt.Length && madt[at + 1] >= 2; at += madt[at + 1])
        {
            ReadOnlySpan<byte> entry = madt.Slice(at, Math.Min(madt[at + 1], madt.Length - at));
            if (entry[0] == ioApic && entry.Length >= 12) KeepMemory(BinaryPrimitives.ReadUInt32LittleEndian(entry[4..]), IoApicBytes);
            else if (entry[0] == localApicAddress && entry.Length >= 12) KeepMemory(BinaryPrimitives.ReadUInt64LittleEndian(entry[4..]), LocalApicBytes);
        }
    }

    private static void KeepMemory(ulong start, ulong bytes)
    {
        if (start != 0 && start <= ulong.MaxValue - bytes) IoMem.AddSensitive(start, bytes);
    }
}
