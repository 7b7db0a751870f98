using System;
using System.Threading;
using Asterinas.Ostd.Arch;

namespace Asterinas.Ostd.Memory;

/// <summary>How <see cref="VmCursor.MakePrivate"/> ended.</summary>
public enum PrivateStatus
{
    /// <summary>Nobody else used the frame: it stays, with the new property.</summary>
    Kept,
    /// <summary>The mapping leads to a new frame with a copy of the bytes.</summary>
    Copied,
    /// <summary>No frame is mapped there (any more).</summary>
    NotMapped,
    /// <summary>There is no memory; nothing was changed.</summary>
    OutOfMemory,
}

/// <summary>What <see cref="VmCursor.CloneTo"/> does with pages that may be written.</summary>
public enum CloneMode
{
    /// <summary>Both spaces write to the same frame.</summary>
    Shared,
    /// <summary>Neither may write any more until <see cref="VmCursor.MakePrivate"/>: copy on write.</summary>
    CopyOnWrite,
}

/// <summary>
/// Frames that only mappings own: no handle is made for them, so a page fault and a fork leave nothing for the garbage collector. The mapping holds the reference, and
/// unmapping drops it.
/// </summary>
public ref partial struct VmCursor
{
    /// <summary>Maps a new zeroed frame at the cursor and moves behind it.</summary>
    /// <param name="property">What the program may do.</param>
    /// <exception cref="ArgumentOutOfRangeException">The property is not valid.</exception>
    /// <exception cref="ObjectDisposedException">The space was disposed.</exception>
    public MapStatus MapNew(PageProperty property)
    {
        if (!property.IsValid) throw new ArgumentOutOfRangeException(nameof(property));
        if (_at == _end) return MapStatus.OutOfRange;
        ulong physical = UntypedMemory.Allocate(new FrameLayout(1, 1), FrameContents.Zeroed);
        return physical == 0 ? MapStatus.OutOfMemory : MapOwned(physical, property);
    }

    /// <summary>Maps a new frame with a copy of another one's bytes at the cursor and moves behind it.</summary>
    /// <param name="source">The frame to copy.</param>
    /// <param name="property">What the program may do.</param>
    /// <exception cref="ArgumentOutOfRangeException">The property is not valid.</exception>
    /// <exception cref="ObjectDisposedException">The frame's handle or the space was disposed.</exception>
    public MapStatus MapCopy(Frame source, PageProperty property)
    {
        ArgumentNullException.ThrowIfNull(source);
        if (!property.IsValid) throw new ArgumentOutOfRangeException(nameof(property));
        if (_at == _end) return MapStatus.OutOfRange;
        source.Enter();
        ulong physical;
        try
        {
            physical = UntypedMemory.Allocate(new FrameLayout(1, 1), FrameContents.Arbitrary);
            if (physical != 0) CopyPage(source.StartUnchecked, physical);
        }
        finally
        {
            source.Exit();
        }
        return physical == 0 ? MapStatus.OutOfMemory : MapOwned(physical, property);
    }

    /// <summary>
    /// Makes the 4 KiB page at the cursor one that only this mapping uses, with another property; the cursor stays. A frame that somebody else uses too (another mapping, a
    /// handle) is copied. Stale entries of other CPUs that allow less may cause a fault that finds nothing to do.
    /// </summary>
    /// <param name="property">What the program may do from now on.</param>
    /// <exception cref="ArgumentOutOfRangeException">The property is not valid.</exception>
    /// <exception cref="ObjectDisposedException">The space was disposed.</exception>
    public readonly PrivateStatus MakePrivate(PageProperty property)
    {
        if (!property.IsValid) throw new ArgumentOutOfRangeException(nameof(property));
        if (_at == _end) return PrivateStatus.NotMapped;
        ulong copy = 0;
        while (true)
        {
            ulong shared;
            _space.Lock();
            // SAFETY: the entry comes from Find under the gate and is changed atomically before it is left. A frame that is mapped here and has one reference is this
            // mapping's alone: another reference could only be taken through this entry, under the gate.
            unsafe
            {
                ulong* entry = FindSmall(out bool isOutOfMemory);
                if (entry is null)
                {
                    _space.Unlock();
                    DropUnused(copy);
                    return isOutOfMemory ? PrivateStatus.OutOfMemory : PrivateStatus.NotMapped;
                }
                shared = *entry & PageTable.AddressMask;
                if (Volatile.Read(ref FrameTable.Slot(shared >> 12).ReferenceCount) == 1)
                {
                    PageTable.Protect(entry, property);
                    _space.Unlock();
                    DropUnused(copy);
                    return PrivateStatus.Kept;
                }
                if (copy != 0)
                {
                    // Copied while the entry allows no writing, or by nobody who minds: a racing writer of the old frame is another owner.
                    CopyPage(shared, copy);
                    Interlocked.Exchange(ref *entry, copy | property.ToEntry() | PageTable.Accessed);
                    UnmapBatch batch = default;
                    batch.Cover(_at, PageSize.Small);
                    batch.AddFrame(shared, false);
                    batch.Flush(_space.Root);
                    _space.Unlock();
                    batch.Release();
                    return PrivateStatus.Copied;
                }
            }
            _space.Unlock();
            // The policy is asked outside of the gate; the page is looked at again afterwards.
            copy = UntypedMemory.Allocate(new FrameLayout(1, 1), FrameContents.Arbitrary);
            if (copy == 0) return PrivateStatus.OutOfMemory;
        }
    }

    /// <summary>
    /// Maps what is mapped between the cursor and so many bytes further at the same addresses of another space, and moves there. Frames are shared, I/O memory too. Stops
    /// with the cursor at the first page that could not be mapped.
    /// </summary>
    /// <param name="target">Another space, where nothing is mapped in the range and which no other task changes meanwhile.</param>
    /// <param name="bytes">A multiple of 4 KiB, within the range.</param>
    /// <param name="mode">What becomes of the right to write.</param>
    /// <exception cref="ArgumentException">The target is this space.</exception>
    /// <exception cref="ArgumentOutOfRangeException">Not whole pages, or beyond the range.</exception>
    /// <exception cref="ObjectDisposedException">A space was disposed.</exception>
    public MapStatus CloneTo(VmSpace target, ulong bytes, CloneMode mode)
    {
        ArgumentNullException.ThrowIfNull(target);
        if (ReferenceEquals(target, _space)) throw new ArgumentException("a space is cloned to another one", nameof(target));
        ulong end = CheckStep(bytes);
        MapStatus status = MapStatus.Mapped;
        while (_at < end && status == MapStatus.Mapped)
        {
            // One page directory's reach at a time, so that the gates are not held for long.
            ulong stop = Math.Min(end, (_at | (PageSize.Large - 1)) + 1);
            UnmapBatch changed = default;
            // LOCK ORDER: two spaces' gates by the order of their roots.
            VmSpace first = _space.Root < target.Root ? _space : target, second = ReferenceEquals(first, _space) ? target : _space;
            first.Lock();
            try
            {
                second.Lock();
                try
                {
                    status = CloneDirectory(target, stop, mode, ref changed);
                    changed.Flush(_space.Root);
                }
                finally
                {
                    second.Unlock();
                }
            }
            finally
            {
                first.Unlock();
            }
        }
        return status;
    }

    // Under both gates: entries from one last-level table, or one large leaf.
    private MapStatus CloneDirectory(VmSpace target, ulong stop, CloneMode mode, ref UnmapBatch changed)
    {
        // SAFETY: entries come from Find under this space's gate; references are taken before the leaf is written to the other tables, and dropped when it was not.
        unsafe
        {
            while (_at < stop)
            {
                ulong* entry = PageTable.Find(_space.Root, _at, out int level);
                ulong leaf = Volatile.Read(ref *entry);
                if (leaf == 0)
                {
                    _at = Math.Min(Next(_at, level), stop);
                    continue;
                }
                ulong size = PageTable.BytesAt(level);
                if ((_at & (size - 1)) != 0 || stop - _at < size)
                {
                    if (!PageTable.Split(entry)) return MapStatus.OutOfMemory;
                    continue;
                }
                int pages = (int)(size >> 12);
                bool isDevice = (leaf & PageTable.Device) != 0;
                if (mode == CloneMode.CopyOnWrite && !isDevice && (leaf & PageTable.Writable) != 0)
                {
                    Interlocked.And(ref *entry, ~PageTable.Writable);
                    changed.Cover(_at, size);
                    leaf &= ~PageTable.Writable;
                }
                ulong physical = leaf & PageTable.AddressMask;
                if (!isDevice)
                {
                    for (int i = 0; i < pages; i++) FrameTable.Acquire((physical >> 12) + (ulong)i);
                }
                const ulong fresh = PageTable.Accessed | PageTable.Dirty | PageTable.LargeLeaf;
                MapStatus status = PageTable.Map(target.Root, _at, level, leaf & ~fresh);
                if (status != MapStatus.Mapped)
                {
                    if (!isDevice) FrameAllocator.Drop(physical, pages);
                    return status;
                }
                _at += size;
            }
        }
        return MapStatus.Mapped;
    }

    // Maps a frame whose only reference is the caller's; the reference goes to the mapping, or is dropped.
    private MapStatus MapOwned(ulong physical, PageProperty property)
    {
        MapStatus status = MapStatus.OutOfMemory;
        try
        {
            _space.Lock();
            try
            {
                status = PageTable.Map(_space.Root, _at, 1, physical | property.ToEntry());
            }
            finally
            {
                _space.Unlock();
            }
        }
        finally
        {
            if (status != MapStatus.Mapped) FrameAllocator.Drop(physical, 1);
        }
        if (status == MapStatus.Mapped) _at += PageSize.Small;
        return status;
    }

    // SAFETY (contract): under the gate. The 4 KiB leaf of untyped memory at the cursor, null when there is none; a large one is split.
    private readonly unsafe ulong* FindSmall(out bool isOutOfMemory)
    {
        isOutOfMemory = false;
        while (true)
        {
            ulong* entry = PageTable.Find(_space.Root, _at, out int level);
            ulong leaf = *entry;
            if (leaf == 0 || (leaf & PageTable.Device) != 0) return null;
            if (level == 1) return entry;
            isOutOfMemory = !PageTable.Split(entry);
            if (isOutOfMemory) return null;
        }
    }

    private static void DropUnused(ulong physical)
    {
        if (physical != 0) FrameAllocator.Drop(physical, 1);
    }

    // SAFETY: both are untyped frames that the caller holds a reference to; the direct map covers all RAM.
    private static unsafe void CopyPage(ulong from, ulong to) =>
        new ReadOnlySpan<byte>(Machine.PhysToVirt(from), PageSize.Small).CopyTo(new Span<byte>(Machine.PhysToVirt(to), PageSize.Small));
}
