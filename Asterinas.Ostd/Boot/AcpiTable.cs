using System;
using System.Buffers.Binary;
using System.Text;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Diagnostics;

namespace Asterinas.Ostd.Boot;

/// <summary>
/// ACPI tables for the managed side (ACPI 6.5 §5.2). Firmware is not trusted for sizes: a table counts only when its length is sane, its bytes are mapped and its checksum is
/// right, and it is read from a copy.
/// </summary>
internal static class AcpiTable
{
    /// <summary>Bytes of the header that all tables share.</summary>
    public const int HeaderBytes = 36;

    private const int LengthOffset = 4;
    private const uint MostBytes = 1 << 20;

    /// <summary>A copy of the first table with a signature; null when there is none, or a broken one, which is logged.</summary>
    /// <param name="signature">Four ASCII letters.</param>
    public static byte[]? TryRead(ReadOnlySpan<byte> signature)
    {
        ulong physical = Machine.AcpiFind(BinaryPrimitives.ReadUInt32LittleEndian(signature));
        if (physical == 0 || Machine.MapFirmware(physical, HeaderBytes) == 0) return null;
        string name = Encoding.ASCII.GetString(signature);
        byte[] table;
        // SAFETY: both ranges were mapped just now, for good; nothing but firmware lies there, so a read has no effect.
        unsafe
        {
            uint length = BinaryPrimitives.ReadUInt32LittleEndian(new ReadOnlySpan<byte>(Machine.PhysToVirt(physical) + LengthOffset, 4));
            if (length is < HeaderBytes or > MostBytes || Machine.MapFirmware(physical, length) == 0)
            {
                Log.Warning($"ACPI: table {name} has a length of {length} bytes: ignored");
                return null;
            }
            table = new ReadOnlySpan<byte>(Machine.PhysToVirt(physical), (int)length).ToArray();
        }
        byte sum = 0;
        foreach (byte value in table) sum += value;
        if (sum == 0) return table;
        Log.Warning($"ACPI: table {name} has a wrong checksum: ignored");
        return null;
    }
}
