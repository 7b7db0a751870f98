using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Text;
using Asterinas.Ostd.Arch;

namespace Asterinas.Tests.Host.Pci;

/// <summary>Makes ACPI tables and shows them to the simulated machine.</summary>
internal static class AcpiTables
{
    private const ulong At = 0x8000;

    /// <summary>A table with a header, a right checksum and the given bytes behind the header.</summary>
    public static byte[] Make(string signature, params ReadOnlySpan<byte> body)
    {
        byte[] table = new byte[36 + body.Length];
        Encoding.ASCII.GetBytes(signature, table);
        BinaryPrimitives.WriteUInt32LittleEndian(table.AsSpan(4), (uint)table.Length);
        table[8] = 1;
        body.CopyTo(table.AsSpan(36));
        return Seal(table);
    }

    /// <summary>Mends the checksum.</summary>
    public static byte[] Seal(byte[] table)
    {
        table[9] = 0;
        byte sum = 0;
        foreach (byte value in table) sum += value;
        table[9] = (byte)-sum;
        return table;
    }

    /// <summary>MCFG with one window.</summary>
    public static byte[] Mcfg(ulong start, ushort segment, byte firstBus, byte lastBus)
    {
        byte[] body = new byte[8 + 16];
        BinaryPrimitives.WriteUInt64LittleEndian(body.AsSpan(8), start);
        BinaryPrimitives.WriteUInt16LittleEndian(body.AsSpan(16), segment);
        body[18] = firstBus;
        body[19] = lastBus;
        return Make("MCFG", body);
    }

    public static void Install(string signature, byte[] table)
    {
        Machine.WriteFirmware(At, table);
        Machine.SetAcpiTable(Code(signature), At);
    }

    public static void Remove(string signature) => Machine.SetAcpiTable(Code(signature), 0);

    private static uint Code(string signature) => BinaryPrimitives.ReadUInt32LittleEndian(Encoding.ASCII.GetBytes(signature));
}
