using System;
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
public readonly record struct VmMapping(UserAddress Start, int Bytes, PageProperty Property, PhysicalAddress Physical, bool IsIoMemory, bool IsAccessed, bool IsDirty);

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
            _space.Unlock();
            if (leaf == 0) return null;
            ulong bytes = PageTable.BytesAt(level);
            return new VmMapping(new UserAddress(_at & ~(bytes - 1)), (int)bytes, PageProperty.FromEntry(leaf), new PhysicalAddress(leaf & PageTable.AddressMask),
                (leaf & PageTable.Device) != 0, (leaf & PageTable.Accessed) != 0, (leaf & PageTable.Dirty) != 0);
        }
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
            while (_at < _end)
            {
                ulong leaf = *PageTable.Find(_space.Root, _at, out int level);
                if (leaf != 0) break;
                _at = Next(_at, level);
            }
        }
        _space.Unlock();
        return _at < _end;
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

    /// <summary>
    /// Unmaps what lies between the cursor and so many bytes further, and moves there. A 2 MiB page that is only partly inside is split, which can fail
    /// without memory; the cursor then stands at it.
    /// </summary>
    /// <param name="bytes">A multiple of 4 KiB, within the range.</param>
    /// <param name="pages">4 KiB pages that were mapped and are no more.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not whole pages, or beyond the range.</exception>
    /// <exception cref="ObjectDisposedException">The space was disposed.</exception>
    public MapStatus Unmap(ulong bytes, out long pages)
    {
        ulong end = CheckStep(bytes);
        pages = 0;
        UnmapBatch batch = default;
        bool isOutOfMemory = false;
        while (_at < end && !isOutOfMemory)
        {
            _space.Lock();
            try
            {
                // SAFETY: entries come from Find under the gate and are used before it is left; what is removed stays allocated until the flush.
                unsafe
                {
                    while (_at < end && !batch.IsFull)
                    {
                        ulong* entry = PageTable.Find(_space.Root, _at, out int level);
                        if (*entry == 0)
                        {
                            _at = Math.Min(Next(_at, level), end);
                            continue;
                        }
                        ulong size = PageTable.BytesAt(level);
                        if ((_at & (size - 1)) != 0 || end - _at < size)
                        {
                            isOutOfMemory = !PageTable.Split(entry);
                            if (isOutOfMemory) break;
                            continue;
                        }
                        PageTable.Unmap(_space.Root, _at, level, entry, ref batch);
                        pages += (long)(size >> 12);
                        _at += size;
                    }
                }
                batch.Flush(_space.Root);
            }
            finally
            {
                _space.Unlock();
            }
            batch.Release();
        }
        return isOutOfMemory ? MapStatus.OutOfMemory : MapStatus.Mapped;
    }

    /// <summary>
    /// Gives all mappings between the cursor and so many bytes further another property, and moves there. Pages that are not mapped stay so.
    /// </summary>
    /// <param name="bytes">A multiple of 4 KiB, within the range.</param>
    /// <param name="property">What the program may do from now on; <see cref="PageAccess.None"/> keeps the pages but lets nobody in.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not whole pages, beyond the range, or the property is not valid.</exception>
    /// <exception cref="ObjectDisposedException">The space was disposed.</exception>
    public MapStatus Protect(ulong bytes, PageProperty property)
    {
        ulong end = CheckStep(bytes);
        if (!property.IsValidChange) throw new ArgumentOutOfRangeException(nameof(property));
        bool isOutOfMemory = false;
        UnmapBatch flushed = default;
        _space.Lock();
        try
        {
            // SAFETY: entries come from Find under the gate and are changed atomically before it is left.
            unsafe
            {
                while (_at < end)
                {
                    ulong* entry = PageTable.Find(_space.Root, _at, out int level);
                    ulong leaf = *entry;
                    if (leaf == 0)
                    {
                        _at = Math.Min(Next(_at, level), end);
                        continue;
                    }
                    ulong size = PageTable.BytesAt(level);
                    if ((_at & (size - 1)) != 0 || end - _at < size)
                    {
                        isOutOfMemory = !PageTable.Split(entry);
                        if (isOutOfMemory) break;
                        continue;
                    }
                    // Device memory keeps its cache mode and never becomes executable.
                    PageProperty wanted = (leaf & PageTable.Device) == 0 || property.Access == PageAccess.None ? property
                        : new PageProperty(property.Access & ~PageAccess.Execute, PageProperty.FromEntry(leaf).Cache);
                    PageTable.Protect(entry, wanted);
                    flushed.Cover(_at, size);
                    _at += size;
                }
            }
            flushed.Flush(_space.Root);
        }
        finally
        {
            _space.Unlock();
        }
        return isOutOfMemory ? MapStatus.OutOfMemory : MapStatus.Mapped;
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
