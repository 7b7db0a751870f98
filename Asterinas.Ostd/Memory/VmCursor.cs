using System;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Runtime;

namespace Asterinas.Ostd.Memory;

/// <summary>How a change of mappings ended.</summary>
public enum MapStatus
{
    /// <summary>Done.</summary>
    Mapped,
    /// <summary>Something is mapped there already; nothing was changed.</summary>
    AlreadyMapped,
    /// <summary>No memory for a page table. The pages before the cursor are done.</summary>
    OutOfMemory,
    /// <summary>The page does not fit into what is left of the cursor's range, or the address is not aligned to it.</summary>
    OutOfRange,
}

/// <summary>One mapping of a user address space, as it was when asked for.</summary>
/// <param name="Start">Its first address.</param>
/// <param name="Bytes">4 KiB or 2 MiB.</param>
/// <param name="Property">What the program may do.</param>
/// <param name="Physical">Where it leads.</param>
/// <param name="IsIoMemory">Whether that is device memory.</param>
/// <param name="IsAccessed">Whether the CPU used it.</param>
/// <param name="IsDirty">Whether the CPU wrote through it.</param>
/// <param name="ReferenceCount">Of the first frame: mappings, handles, lists. 0 for device memory.</param>
/// <param name="Mark">Of the first frame (<see cref="Frame.Mark"/>).</param>
public readonly record struct VmMapping(UserAddress Start, int Bytes, PageProperty Property, PhysicalAddress Physical, bool IsIoMemory, bool IsAccessed, bool IsDirty,
    int ReferenceCount, uint Mark);

/// <summary>
/// Walks a range of a user address space and changes it: only untyped frames and I/O memory that is not the kernel's can be mapped. Each step takes the
/// space's lock for itself. A frame that is unmapped is released after its TLB entries are gone on all CPUs.
/// </summary>
public ref partial struct VmCursor
{
    private readonly VmSpace _space;
    private readonly ulong _start, _end;
    private ulong _at;

    internal VmCursor(VmSpace space, VirtualRange range)
    {
        _space = space;
        _start = _at = range.Start.Value;
        _end = range.End.Value;
    }

    /// <summary>Where the next step happens: a multiple of 4 KiB, at most the end of the range.</summary>
    public readonly UserAddress Address => new(_at);

    /// <summary>Whether the end of the range is reached.</summary>
    public readonly bool IsAtEnd => _at == _end;

    /// <summary>Moves to another page of the range, or to its end.</summary>
    /// <param name="address">A multiple of 4 KiB.</param>
    /// <exception cref="ArgumentOutOfRangeException">Outside the range, or inside a page.</exception>
    public void Seek(UserAddress address)
    {
        if (address.Value < _start || address.Value > _end || !address.IsPageAligned) throw new ArgumentOutOfRangeException(nameof(address));
        _at = address.Value;
    }

    /// <summary>The mapping at the cursor; null when there is none.</summary>
    /// <exception cref="ObjectDisposedException">The space was disposed.</exception>
    public readonly VmMapping? Query()
    {
        if (_at == _end) return null;
        _space.Lock();
        // SAFETY: Find returns an entry of this space's tables, which stay while the gate is held.
        unsafe
        {
            ulong leaf = *PageTable.Find(_space.Root, _at, out int level);
            VmMapping? mapping = leaf == 0 ? null : Describe(leaf, level);
            _space.Unlock();
            return mapping;
        }
    }

    // Under the gate: the mapping keeps its frame.
    private readonly VmMapping Describe(ulong leaf, int level)
    {
        ulong bytes = PageTable.BytesAt(level), physical = leaf & PageTable.AddressMask;
        bool isDevice = (leaf & PageTable.Device) != 0;
        int references = 0;
        uint mark = 0;
        if (!isDevice)
        {
            ref FrameMeta meta = ref FrameTable.Slot(physical >> 12);
            references = Volatile.Read(ref meta.ReferenceCount);
            mark = Volatile.Read(ref meta.Mark);
        }
        return new VmMapping(new UserAddress(_at & ~(bytes - 1)), (int)bytes, PageProperty.FromEntry(leaf), new PhysicalAddress(physical), isDevice,
            (leaf & PageTable.Accessed) != 0, (leaf & PageTable.Dirty) != 0, references, mark);
    }

    /// <summary>A handle of the 4 KiB frame that the cursor's address leads to; null when none is mapped there.</summary>
    /// <exception cref="ObjectDisposedException">The space was disposed.</exception>
    public readonly Frame? GetFrame()
    {
        if (_at == _end) return null;
        ulong physical;
        _space.Lock();
        // SAFETY: as for Query; the mapping holds a reference while the gate is held, so acquiring another one is sound.
        unsafe
        {
            ulong leaf = *PageTable.Find(_space.Root, _at, out int level);
            if (leaf == 0 || (leaf & PageTable.Device) != 0)
            {
                _space.Unlock();
                return null;
            }
            physical = (leaf & PageTable.AddressMask) + (_at & (PageTable.BytesAt(level) - 1));
            try
            {
                FrameTable.Acquire(physical >> 12);
            }
            finally
            {
                _space.Unlock();
            }
        }
        return Frame.Adopting(physical);
    }

    /// <summary>Moves to the next mapping at or after the cursor. False, and at the end, when there is none.</summary>
    /// <exception cref="ObjectDisposedException">The space was disposed.</exception>
    public bool MoveToMapping()
    {
        _space.Lock();
        // SAFETY: as for Query.
        unsafe
        {
            SkipAbsent(_end);
        }
        _space.Unlock();
        return _at < _end;
    }

    /// <summary>Moves to the next mapping at or after the cursor and tells what it is. False, and at the end, when there is none.</summary>
    /// <param name="mapping">The mapping; its start may lie before the cursor when it is a large page.</param>
    /// <exception cref="ObjectDisposedException">The space was disposed.</exception>
    public bool MoveToMapping(out VmMapping mapping)
    {
        mapping = default;
        _space.Lock();
        // SAFETY: as for Query.
        unsafe
        {
            ulong* entry = SkipAbsent(_end);
            if (entry != null) mapping = Describe(*entry, PageTable.IsLarge(*entry) ? 2 : 1);
        }
        _space.Unlock();
        return _at < _end;
    }

    // SAFETY (contract): under the gate. Moves to the first leaf before an address and returns it; null, and moved to the address, when there is none. Whole empty tables are one
    // step, and the entries of a last-level table are looked at in place.
    private unsafe ulong* SkipAbsent(ulong end)
    {
        while (_at < end)
        {
            ulong* entry = PageTable.Find(_space.Root, _at, out int level);
            if (*entry != 0) return entry;
            if (level > 1)
            {
                _at = Math.Min(Next(_at, level), end);
                continue;
            }
            for (int run = PageTable.RunLength(entry, _at, end); run > 0; run--, entry++, _at += PageSize.Small)
            {
                if (*entry != 0) return entry;
            }
        }
        return null;
    }

    /// <summary>Maps a frame at the cursor and moves behind it. The mapping holds a reference of its own: the handle stays the caller's.</summary>
    /// <param name="frame">The frame.</param>
    /// <param name="property">What the program may do.</param>
    /// <exception cref="ArgumentOutOfRangeException">The property is not valid.</exception>
    /// <exception cref="ObjectDisposedException">The frame's handle or the space was disposed.</exception>
    public MapStatus Map(Frame frame, PageProperty property)
    {
        ArgumentNullException.ThrowIfNull(frame);
        return Map(frame, 0, 1, property);
    }

    /// <summary>Maps one page of a segment at the cursor and moves behind it.</summary>
    /// <param name="segment">The frames.</param>
    /// <param name="page">Index of the page.</param>
    /// <param name="property">What the program may do.</param>
    /// <exception cref="ArgumentOutOfRangeException">No such page, or the property is not valid.</exception>
    /// <exception cref="ObjectDisposedException">The segment's handle or the space was disposed.</exception>
    public MapStatus Map(Segment segment, int page, PageProperty property)
    {
        ArgumentNullException.ThrowIfNull(segment);
        segment.CheckPages(page, 1);
        return Map(segment, page, 1, property);
    }

    /// <summary>Maps 512 pages of a segment as one 2 MiB page at the cursor and moves behind it. Both addresses must be multiples of 2 MiB.</summary>
    /// <param name="segment">The frames.</param>
    /// <param name="firstPage">Index of the first page.</param>
    /// <param name="property">What the program may do.</param>
    /// <exception cref="ArgumentOutOfRangeException">No such pages, the segment is not aligned there, or the property is not valid.</exception>
    /// <exception cref="ObjectDisposedException">The segment's handle or the space was disposed.</exception>
    public MapStatus MapLarge(Segment segment, int firstPage, PageProperty property)
    {
        ArgumentNullException.ThrowIfNull(segment);
        segment.CheckPages(firstPage, PageSize.PagesInLarge);
        return Map(segment, firstPage, PageSize.PagesInLarge, property);
    }

    /// <summary>
    /// Maps a page of device memory at the cursor and moves behind it. Contract of the caller inside Ostd: the page belongs to an I/O range that is not
    /// sensitive. RAM that Ostd manages is refused here.
    /// </summary>
    internal MapStatus MapIoPage(PhysicalAddress page, PageProperty property)
    {
        if (!property.IsValid || (property.Access & PageAccess.Execute) != 0) throw new ArgumentOutOfRangeException(nameof(property));
        if (!page.IsPageAligned || page.Value > PageTable.AddressMask) throw new ArgumentOutOfRangeException(nameof(page));
        ulong number = page.Value >> 12;
        if (number < FrameTable.Count && FrameTable.StateOf(number) != FrameState.Reserved) throw new ArgumentOutOfRangeException(nameof(page));
        if (_at == _end) return MapStatus.OutOfRange;
        _space.Lock();
        MapStatus status;
        try
        {
            status = PageTable.Map(_space.Root, _at, 1, page.Value | property.ToEntry() | PageTable.Device);
        }
        finally
        {
            _space.Unlock();
        }
        if (status == MapStatus.Mapped) _at += PageSize.Small;
        return status;
    }

    private MapStatus Map(UntypedMemory memory, int firstPage, int pages, PageProperty property)
    {
        if (!property.IsValid) throw new ArgumentOutOfRangeException(nameof(property));
        ulong bytes = (ulong)pages << 12;
        if (_end - _at < bytes || (_at & (bytes - 1)) != 0) return MapStatus.OutOfRange;
        memory.Enter();
        try
        {
            ulong physical = memory.StartUnchecked + ((ulong)firstPage << 12);
            if ((physical & (bytes - 1)) != 0) throw new ArgumentOutOfRangeException(nameof(firstPage));
            memory.AcquirePages(firstPage, pages);
            MapStatus status = MapStatus.OutOfMemory;
            try
            {
                _space.Lock();
                try
                {
                    status = PageTable.Map(_space.Root, _at, pages == 1 ? 1 : 2, physical | property.ToEntry());
                }
                finally
                {
                    _space.Unlock();
                }
            }
            finally
            {
                if (status != MapStatus.Mapped) FrameAllocator.Drop(physical, pages);
            }
            if (status == MapStatus.Mapped) _at += bytes;
            return status;
        }
        finally
        {
            memory.Exit();
        }
    }

    private readonly ulong CheckStep(ulong bytes)
    {
        if ((bytes & (PageSize.Small - 1)) != 0 || bytes > _end - _at) throw new ArgumentOutOfRangeException(nameof(bytes));
        return _at + bytes;
    }

    // The first address behind an absent entry, kept within the range.
    private readonly ulong Next(ulong address, int level) => Math.Min((address | (PageTable.BytesAt(level) - 1)) + 1, _end);
}
