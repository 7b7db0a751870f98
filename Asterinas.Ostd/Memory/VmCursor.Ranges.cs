using System;
using System.Threading;

namespace Asterinas.Ostd.Memory;

/// <summary>What the CPU notes about a page in its page-table entry.</summary>
[Flags]
public enum PageMarks
{
    /// <summary>Nothing.</summary>
    None = 0,
    /// <summary>It was read, written or executed through the mapping.</summary>
    Accessed = 1,
    /// <summary>It was written through the mapping.</summary>
    Dirty = 2,
}

/// <summary>Changes of whole ranges. They walk each page table once; a range that is not mapped costs a step a table.</summary>
public ref partial struct VmCursor
{
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
        MapStatus status = MapStatus.Mapped;
        while (_at < end && status == MapStatus.Mapped)
        {
            _space.Lock();
            try
            {
                // SAFETY: entries come from Find under the gate and are used before it is left; what is removed stays allocated until the flush.
                unsafe
                {
                    while (!batch.IsFull)
                    {
                        ulong* entry = NextWhole(end, out status);
                        if (entry == null) break;
                        if (!PageTable.IsLarge(*entry))
                        {
                            pages += PageTable.UnmapRun(_space.Root, entry, ref _at, end, ref batch);
                            continue;
                        }
                        PageTable.Unmap(_space.Root, _at, 2, entry, ref batch);
                        pages += PageSize.PagesInLarge;
                        _at += PageSize.Large;
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
        return status;
    }

    /// <summary>
    /// Gives all mappings between the cursor and so many bytes further another property, and moves there. Pages that are not mapped stay so.
    /// </summary>
    /// <param name="bytes">A multiple of 4 KiB, within the range.</param>
    /// <param name="property">What the program may do from now on; <see cref="PageAccess.None"/> keeps the pages but lets nobody in.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not whole pages, beyond the range, or the property is not valid.</exception>
    /// <exception cref="ObjectDisposedException">The space was disposed.</exception>
    public MapStatus Protect(ulong bytes, PageProperty property) => ProtectRange(bytes, property, false);

    /// <summary>
    /// As <see cref="Protect"/>, but writing is withheld from pages whose frame somebody else uses too (another mapping, a handle): those go on to be copied on
    /// write (<see cref="MakePrivate"/>). For ranges of private memory, whose other pages need no fault then.
    /// </summary>
    /// <param name="bytes">A multiple of 4 KiB, within the range.</param>
    /// <param name="property">What the program may do from now on.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not whole pages, beyond the range, or the property is not valid.</exception>
    /// <exception cref="ObjectDisposedException">The space was disposed.</exception>
    public MapStatus ProtectPrivate(ulong bytes, PageProperty property) => ProtectRange(bytes, property, true);

    /// <summary>
    /// Clears marks of all mappings between the cursor and so many bytes further, and moves there. Returns how many 4 KiB pages had one of them; a large page counts as 512. When
    /// the dirty mark is cleared, a later write sets it again, on every CPU.
    /// </summary>
    /// <param name="bytes">A multiple of 4 KiB, within the range.</param>
    /// <param name="marks">Which ones.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not whole pages, or beyond the range.</exception>
    /// <exception cref="ObjectDisposedException">The space was disposed.</exception>
    public long ClearMarks(ulong bytes, PageMarks marks)
    {
        ulong end = CheckStep(bytes), bits = Bits(marks);
        long pages = 0;
        UnmapBatch cleared = default;
        _space.Lock();
        try
        {
            // SAFETY: entries come from SkipAbsent under the gate and are changed atomically before it is left.
            unsafe
            {
                for (ulong* entry; (entry = SkipAbsent(end)) != null;)
                {
                    ulong size = PageTable.IsLarge(*entry) ? (ulong)PageSize.Large : PageSize.Small, start = _at & ~(size - 1);
                    if ((*entry & bits) != 0)
                    {
                        Interlocked.And(ref *entry, ~bits);
                        pages += (long)(size >> 12);
                        cleared.Cover(start, size);
                    }
                    _at = Math.Min(start + size, end);
                }
            }
            // A stale accessed mark in a TLB only makes the page look older. A stale dirty mark would lose a write.
            if ((marks & PageMarks.Dirty) != 0) cleared.Flush(_space.Root);
        }
        finally
        {
            _space.Unlock();
        }
        return pages;
    }

    /// <summary>Clears marks of the mapping at the cursor and returns those that were set; the cursor stays. None when nothing is mapped there.</summary>
    /// <param name="marks">Which ones.</param>
    /// <exception cref="ObjectDisposedException">The space was disposed.</exception>
    public readonly PageMarks TakeMarks(PageMarks marks)
    {
        if (_at == _end) return PageMarks.None;
        ulong bits = Bits(marks), old = 0;
        _space.Lock();
        try
        {
            // SAFETY: as for ClearMarks.
            unsafe
            {
                ulong* entry = PageTable.Find(_space.Root, _at, out int level);
                if ((*entry & bits) != 0) old = Interlocked.And(ref *entry, ~bits) & bits;
                if ((old & PageTable.Dirty) != 0)
                {
                    UnmapBatch cleared = default;
                    cleared.Cover(_at & ~(PageTable.BytesAt(level) - 1), PageTable.BytesAt(level));
                    cleared.Flush(_space.Root);
                }
            }
        }
        finally
        {
            _space.Unlock();
        }
        return ((old & PageTable.Accessed) != 0 ? PageMarks.Accessed : 0) | ((old & PageTable.Dirty) != 0 ? PageMarks.Dirty : 0);
    }

    private MapStatus ProtectRange(ulong bytes, PageProperty property, bool isPrivate)
    {
        ulong end = CheckStep(bytes);
        if (!property.IsValidChange) throw new ArgumentOutOfRangeException(nameof(property));
        ulong full = property.ToEntry();
        isPrivate &= (full & PageTable.Writable) != 0;
        MapStatus status;
        UnmapBatch flushed = default;
        _space.Lock();
        try
        {
            // SAFETY: entries come from NextWhole under the gate and are changed atomically before it is left. Frames of mapped pages stay while the gate is held.
            unsafe
            {
                for (ulong* entry; (entry = NextWhole(end, out status)) != null;)
                {
                    if (PageTable.IsLarge(*entry))
                    {
                        ulong wanted = isPrivate && IsShared(*entry, PageSize.PagesInLarge) ? full & ~PageTable.Writable : full;
                        if (PageTable.Protect(entry, wanted)) flushed.Cover(_at, PageSize.Large);
                        _at += PageSize.Large;
                        continue;
                    }
                    for (int run = PageTable.RunLength(entry, _at, end); run > 0; run--, entry++, _at += PageSize.Small)
                    {
                        if (*entry == 0) continue;
                        ulong wanted = isPrivate && IsShared(*entry, 1) ? full & ~PageTable.Writable : full;
                        if (PageTable.Protect(entry, wanted)) flushed.Cover(_at, PageSize.Small);
                    }
                }
            }
            flushed.Flush(_space.Root);
        }
        finally
        {
            _space.Unlock();
        }
        return status;
    }

    private static bool IsShared(ulong leaf, int pages)
    {
        if ((leaf & PageTable.Device) != 0) return false;
        ulong first = (leaf & PageTable.AddressMask) >> 12;
        for (int i = 0; i < pages; i++)
        {
            if (Volatile.Read(ref FrameTable.Slot(first + (ulong)i).ReferenceCount) != 1) return true;
        }
        return false;
    }

    // SAFETY (contract): under the gate. Moves to the first leaf before an address and returns it, when it lies inside of the range with all its bytes; a large one that does not is
    // split. Null, and the status says why: there is none (Mapped), or no memory to split it.
    private unsafe ulong* NextWhole(ulong end, out MapStatus status)
    {
        status = MapStatus.Mapped;
        while (true)
        {
            ulong* entry = SkipAbsent(end);
            if (entry == null || !PageTable.IsLarge(*entry) || ((_at & (PageSize.Large - 1)) == 0 && end - _at >= PageSize.Large)) return entry;
            if (PageTable.Split(entry)) continue;
            status = MapStatus.OutOfMemory;
            return null;
        }
    }

    private static ulong Bits(PageMarks marks) =>
        ((marks & PageMarks.Accessed) != 0 ? PageTable.Accessed : 0) | ((marks & PageMarks.Dirty) != 0 ? PageTable.Dirty : 0);
}
