using System;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Memory;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Processes.Exec;

/// <summary>Maps the segments of an ELF file into an address space that no program runs in yet.</summary>
internal static class ElfMapper
{
    private const ulong PageMask = PageSize.Small - 1;
    private const ulong Refused = ulong.MaxValue;

    /// <summary>Where an image lies.</summary>
    /// <param name="Bias">What is added to the addresses in the file.</param>
    /// <param name="End">The first address behind its last segment.</param>
    /// <param name="Headers">The address of its program headers.</param>
    internal readonly record struct Placement(ulong Bias, ulong End, ulong Headers)
    {
        public ulong CodeStart { get; init; }
        public ulong CodeEnd { get; init; }
        public ulong DataStart { get; init; }
        public ulong DataEnd { get; init; }
    }

    /// <summary>Maps an image. The error of what cannot be mapped: the space is of no use then.</summary>
    /// <param name="memory">The new address space.</param>
    /// <param name="file">The file.</param>
    /// <param name="elf">Its headers.</param>
    /// <param name="wish">For a dynamic image: where it should begin; 0 for anywhere mmap likes.</param>
    public static Result<Placement> Map(AddressSpace memory, OpenFile file, ElfHeader elf, ulong wish)
    {
        ulong low = ulong.MaxValue, high = 0, alignment = PageSize.Small;
        foreach (ElfSegment segment in elf.Segments)
        {
            if (segment.Type != ElfSegment.Load) continue;
            ulong end = EndOf(segment);
            if (end == Refused) return Errno.EINVAL;
            low = Math.Min(low, segment.Address & ~PageMask);
            high = Math.Max(high, end);
            if (ulong.IsPow2(segment.Alignment) && segment.Alignment is > PageSize.Small and <= 1UL << 30) alignment = Math.Max(alignment, segment.Alignment);
        }
        if (low >= high) return Errno.EINVAL;
        ulong bias = 0;
        if (elf.IsDynamic)
        {
            Result<ulong> start = Reserve(memory, (high - low + PageMask) & ~PageMask, alignment, wish);
            if (!start.IsOk) return start.Error;
            bias = unchecked(start.Value - low);
        }
        ulong headers = 0, codeStart = ulong.MaxValue, codeEnd = 0, dataStart = 0, dataEnd = 0;
        foreach (ElfSegment segment in elf.Segments)
        {
            if (segment.Type == ElfSegment.ProgramHeaders) headers = unchecked(segment.Address + bias);
            if (segment.Type != ElfSegment.Load) continue;
            Errno error = MapSegment(memory, file, segment, unchecked(segment.Address + bias));
            if (error != Errno.None) return error;
            ulong start = unchecked(segment.Address + bias), fileEnd = start + segment.FileSize;
            if (headers == 0 && segment.Offset <= elf.HeadersOffset && elf.HeadersOffset - segment.Offset < segment.FileSize) headers = start + (elf.HeadersOffset - segment.Offset);
            if ((segment.Flags & 1) != 0)
            {
                codeStart = Math.Min(codeStart, start);
                codeEnd = Math.Max(codeEnd, fileEnd);
            }
            if (start >= dataStart) dataStart = start;
            dataEnd = Math.Max(dataEnd, fileEnd);
        }
        return new Placement(bias, unchecked(high + bias), headers) { CodeStart = codeStart == ulong.MaxValue ? 0 : codeStart, CodeEnd = codeEnd, DataStart = dataStart, DataEnd = dataEnd };
    }

    // The end of a segment in memory; Refused for one that no address space can hold.
    private static ulong EndOf(in ElfSegment segment)
    {
        if (segment.FileSize > segment.MemorySize || segment.MemorySize > AddressSpace.EndAddress || segment.Address > AddressSpace.EndAddress - segment.MemorySize) return Refused;
        if ((segment.Offset & PageMask) != (segment.Address & PageMask) || segment.Offset > long.MaxValue - segment.FileSize) return Refused;
        return segment.Address + segment.MemorySize;
    }

    // A range that all segments fit in: found by a mapping that is taken away again; nobody else is at work here.
    private static Result<ulong> Reserve(AddressSpace memory, ulong length, ulong alignment, ulong wish)
    {
        ulong slack = alignment > PageSize.Small ? alignment : 0;
        Result<ulong> found = memory.Map(new MapRequest { Address = wish, Length = length + slack, Flags = MapFlags.Private | MapFlags.Anonymous | MapFlags.NoReserve });
        if (!found.IsOk) return found;
        Errno error = memory.Unmap(found.Value, length + slack);
        return error != Errno.None ? error : (found.Value + (alignment - 1)) & ~(alignment - 1);
    }

    private static Errno MapSegment(AddressSpace memory, OpenFile file, in ElfSegment segment, ulong address)
    {
        if (segment.MemorySize == 0) return Errno.None;
        ulong start = address & ~PageMask, fileEnd = address + segment.FileSize, end = address + segment.MemorySize;
        ulong filePages = segment.FileSize == 0 ? start : (fileEnd + PageMask) & ~PageMask;
        if (filePages > start)
        {
            Result<MemoryObject> pages = file.GetMemoryObject(segment.Protection, isShared: false);
            if (!pages.IsOk) return pages.Error;
            Result<ulong> mapped = memory.Map(new MapRequest
            {
                Address = start, Length = filePages - start, Protection = segment.Protection, MaxProtection = Protection.Read | Protection.Write | Protection.Execute,
                Flags = MapFlags.Private | MapFlags.Fixed, Object = pages.Value, ObjectPage = segment.Offset >> 12, File = file,
            });
            if (!mapped.IsOk) return mapped.Error;
        }
        ulong allPages = (end + PageMask) & ~PageMask;
        if (allPages > filePages)
        {
            Result<ulong> mapped = memory.Map(new MapRequest
            {
                Address = filePages, Length = allPages - filePages, Protection = segment.Protection, MaxProtection = Protection.Read | Protection.Write | Protection.Execute,
                Flags = MapFlags.Private | MapFlags.Anonymous | MapFlags.Fixed,
            });
            if (!mapped.IsOk) return mapped.Error;
        }
        // What follows the data in its last page belongs to the zeros. In a segment that cannot be written nobody sees it.
        if (segment.MemorySize > segment.FileSize && filePages > start && fileEnd < filePages && (segment.Protection & Protection.Write) != 0)
        {
            var sink = new IoSink(memory, new UserAddress(fileEnd), (long)(filePages - fileEnd));
            if (sink.Fill((long)(filePages - fileEnd)) != (long)(filePages - fileEnd)) return Errno.EFAULT;
        }
        return Errno.None;
    }
}
