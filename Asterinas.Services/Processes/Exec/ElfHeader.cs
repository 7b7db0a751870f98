using System;
using System.Buffers.Binary;
using Asterinas.Services.Memory;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Processes.Exec;

/// <summary>A program header of an ELF64 file (man 5 elf).</summary>
internal readonly record struct ElfSegment(uint Type, uint Flags, ulong Offset, ulong Address, ulong FileSize, ulong MemorySize, ulong Alignment)
{
    public const uint Load = 1, Interpreter = 3, ProgramHeaders = 6, GnuStack = 0x6474e551;
    public const int Bytes = 56;

    public Protection Protection =>
        ((Flags & 4) != 0 ? Protection.Read : 0) | ((Flags & 2) != 0 ? Protection.Write : 0) | ((Flags & 1) != 0 ? Protection.Execute : 0);
}

/// <summary>The headers of an ELF64 file for x86-64, checked as far as Linux checks them: what is wrong in a segment shows when it is mapped.</summary>
internal sealed class ElfHeader
{
    private const int HeaderBytes = 64;
    private const ushort TypeExecutable = 2, TypeDynamic = 3, MachineX64 = 62;

    private ElfHeader(bool isDynamic, ulong entry, ulong headersOffset, ElfSegment[] segments)
    {
        IsDynamic = isDynamic;
        Entry = entry;
        HeadersOffset = headersOffset;
        Segments = segments;
    }

    /// <summary>ET_DYN: may lie anywhere.</summary>
    public bool IsDynamic { get; }
    public ulong Entry { get; }
    /// <summary>Where in the file the program headers are.</summary>
    public ulong HeadersOffset { get; }
    public ElfSegment[] Segments { get; }

    /// <summary>Whether a file begins like an ELF file.</summary>
    public static bool IsElf(ReadOnlySpan<byte> start) => start.Length >= 4 && start[..4].SequenceEqual("\x7f"u8 + "ELF"u8);

    /// <summary>Reads the headers. ENOEXEC when they are wrong, EIO when the file is too short for them.</summary>
    /// <param name="file">The file.</param>
    /// <param name="start">Its first bytes.</param>
    public static Result<ElfHeader> Read(OpenFile file, ReadOnlySpan<byte> start)
    {
        if (start.Length < HeaderBytes || !IsElf(start)) return Errno.ENOEXEC;
        ushort type = BinaryPrimitives.ReadUInt16LittleEndian(start[16..]);
        if (type is not (TypeExecutable or TypeDynamic)) return Errno.ENOEXEC;
        if (BinaryPrimitives.ReadUInt16LittleEndian(start[18..]) != MachineX64) return Errno.ENOEXEC;
        if (BinaryPrimitives.ReadUInt16LittleEndian(start[54..]) != ElfSegment.Bytes) return Errno.ENOEXEC;
        int count = BinaryPrimitives.ReadUInt16LittleEndian(start[56..]);
        if (count is 0 or > 65536 / ElfSegment.Bytes) return Errno.ENOEXEC;
        ulong offset = BinaryPrimitives.ReadUInt64LittleEndian(start[32..]);
        if (offset > long.MaxValue) return Errno.EINVAL;
        var bytes = new byte[count * ElfSegment.Bytes];
        Errno error = ProgramFile.ReadExactly(file, (long)offset, bytes);
        if (error != Errno.None) return error;
        var segments = new ElfSegment[count];
        for (int i = 0; i < count; i++) segments[i] = Decode(bytes.AsSpan(i * ElfSegment.Bytes));
        return new ElfHeader(type == TypeDynamic, BinaryPrimitives.ReadUInt64LittleEndian(start[24..]), offset, segments);
    }

    private static ElfSegment Decode(ReadOnlySpan<byte> bytes) => new(
        BinaryPrimitives.ReadUInt32LittleEndian(bytes), BinaryPrimitives.ReadUInt32LittleEndian(bytes[4..]), BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]),
        BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]), BinaryPrimitives.ReadUInt64LittleEndian(bytes[32..]), BinaryPrimitives.ReadUInt64LittleEndian(bytes[40..]),
        BinaryPrimitives.ReadUInt64LittleEndian(bytes[48..]));
}
