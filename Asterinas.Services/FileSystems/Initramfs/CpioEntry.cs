using System;

namespace Asterinas.Services.FileSystems.Initramfs;

/// <summary>Header of a file in a cpio archive of the "newc" format (Linux, Documentation/driver-api/early-userspace/buffer-format.rst).</summary>
internal readonly record struct CpioEntry(uint Inode, uint Mode, uint Uid, uint Gid, uint Links, uint ModifyTime, uint Size, uint Major, uint Minor, uint DeviceMajor,
    uint DeviceMinor, uint NameBytes)
{
    public const int HeaderBytes = 110;

    /// <summary>Whether a header begins here: "070701", or "070702" with a checksum of the data, which nobody looks at.</summary>
    public static bool IsHeader(ReadOnlySpan<byte> bytes) => bytes.StartsWith("070701"u8) || bytes.StartsWith("070702"u8);

    /// <summary>Reads a header. False when it has something else than hexadecimal digits.</summary>
    public static bool TryParse(ReadOnlySpan<byte> header, out CpioEntry entry)
    {
        Span<uint> fields = stackalloc uint[13];
        entry = default;
        for (int field = 0; field < 13; field++)
        {
            uint value = 0;
            foreach (byte digit in header.Slice(6 + field * 8, 8))
            {
                int nibble = digit switch
                {
                    >= (byte)'0' and <= (byte)'9' => digit - '0',
                    >= (byte)'a' and <= (byte)'f' => digit - 'a' + 10,
                    >= (byte)'A' and <= (byte)'F' => digit - 'A' + 10,
                    _ => -1,
                };
                if (nibble < 0) return false;
                value = value << 4 | (uint)nibble;
            }
            fields[field] = value;
        }
        entry = new CpioEntry(fields[0], fields[1], fields[2], fields[3], fields[4], fields[5], fields[6], fields[7], fields[8], fields[9], fields[10], fields[11]);
        return true;
    }

    /// <summary>Bytes from a position to the next multiple of four.</summary>
    public static int Padding(long position) => (int)(-position & 3);
}
