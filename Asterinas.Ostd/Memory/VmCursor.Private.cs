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

    /// <summary>
    /// Maps new zeroed frames wherever nothing is mapped between the cursor and so many bytes further, and moves there; with the status OutOfMemory the cursor stands where it ended.
    /// </summary>
    /// <param name="bytes">A multiple of 4 KiB, within the range.</param>
    /// <param name="property">What the program may do.</param>
    /// <param name="pages">How many pages were mapped.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not whole pages, beyond the range, or the property is not valid.</exception>
    /// <exception cref="ObjectDisposedException">The space was disposed.</exception>
    public MapStatus MapNew(ulong bytes, PageProperty property, out long pages)
    {
        const int most = 32;
        ulong end = CheckStep(bytes);
        if (!property.IsValid) throw new ArgumentOutOfRangeException(nameof(property));
        pages = 0;
        // The policy is asked outside of the gate; where others map meanwhile, frames are left for the next round.
        Span<ulong> frames = stackalloc ulong[most];
        int count = 0;
        MapStatus status = MapStatus.Mapped;
        while (_at < end)
        {
            int wanted = (int)Math.Min((end - _at) >> 12, most);
            while (count < wanted && (frames[count] = UntypedMemory.Allocate(new FrameLayout(1, 1), FrameContents.Zeroed)) != 0) count++;
            if (count == 0) status = MapStatus.OutOfMemory;
            if (status != MapStatus.Mapped) break;
            int used = MapOwned(frames[..count], end, property.ToEntry(), out status);
            frames[used..count].CopyTo(frames);
            count -= used;
            pages += used;
        }
        while (count > 0) FrameAllocator.Drop(frames[--count], 1);
        return status;
    }

    /// <summary>
    /// Maps frames at the cursor's page and those behind it, one each, wherever nothing is mapped, and moves behind them: a file's pages around the one that was asked for. The
    /// mappings hold references of their own.
    /// </summary>
    /// <param name="frames">The frames; null leaves its page as it is.</param>
    /// <param name="property">What the program may do.</param>
    /// <param name="pages">How many pages were mapped.</param>
    /// <exception cref="ArgumentOutOfRangeException">More frames than pages to the end of the range, or the property is not valid.</exception>
    /// <exception cref="ObjectDisposedException">A handle or the space was disposed; what came before is mapped.</exception>
    public MapStatus Map(ReadOnlySpan<Frame?> frames, PageProperty property, out int pages)
    {
        if (!property.IsValid) throw new ArgumentOutOfRangeException(nameof(property));
        ulong end = CheckStep((ulong)frames.Length << 12), bits = property.ToEntry();
        pages = 0;
        _space.Lock();
        try
        {
            // SAFETY: entries are of this space's tables, under the gate. Each frame is entered while its reference is taken.
            unsafe
            {
                ulong* entry = null;
                for (int i = 0; _at < end; i++, _at += PageSize.Small)
                {
                    // The next entry of the same table follows in memory.
                    entry = entry == null || (_at & (PageSize.Large - 1)) == 0 ? null : entry + 1;
                    if (frames[i] is not { } frame) continue;
                    ObjectDisposedException.ThrowIf(frame.IsDisposed, frame);
                    if (entry == null)
                    {
                        entry = PageTable.MakeEntry(_space.Root, _at, out MapStatus status);
                        if (status == MapStatus.OutOfMemory) return status;
                        if (entry == null) continue;            // part of a large page
                    }
                    if (*entry != 0) continue;
                    bool isDone = false;
                    frame.Enter();
                    try
                    {
                        FrameTable.Acquire(frame.StartUnchecked >> 12);
                        PageTable.CountEntries(entry, 1);
                        Volatile.Write(ref *entry, frame.StartUnchecked | bits);
                        isDone = true;
                    }
                    finally
                    {
                        frame.Exit();
                        if (!isDone && PageTable.EntriesInTableOf(entry) == 0) PageTable.DropEmptyTables(_space.Root, _at, 1);
                    }
                    pages++;
                }
            }
        }
        finally
        {
            _space.Unlock();
        }
        return MapStatus.Mapped;
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
            if (physical != 0) Machine.CopyPage(physical, source.StartUnchecked);
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
                    PageTable.Protect(entry, property.ToEntry());
                    _space.Unlock();
                    DropUnused(copy);
                    return PrivateStatus.Kept;
                }
                if (copy != 0)
                {
                    // Copied while the entry allows no writing, or by nobody who minds: a racing writer of the old frame is another owner.
                    Machine.CopyPage(copy, shared);
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
        // SAFETY: entries come from NextWhole under this space's gate; references are taken before the leaf is written to the other tables, and dropped when it was not.
        unsafe
        {
            for (ulong* entry; (entry = NextWhole(stop, out MapStatus status)) != null || status != MapStatus.Mapped;)
            {
                if (entry == null) return status;
                if (!PageTable.IsLarge(*entry))
                {
                    status = CloneRun(target, entry, stop, mode, ref changed);
                    if (status != MapStatus.Mapped) return status;
                    continue;
                }
                ulong leaf = ShareLeaf(entry, mode, PageSize.Large, ref changed);
                status = PageTable.Map(target.Root, _at, 2, leaf);
                if (status != MapStatus.Mapped)
                {
                    if ((leaf & PageTable.Device) == 0) FrameAllocator.Drop(leaf & PageTable.AddressMask, PageSize.PagesInLarge);
                    return status;
                }
                _at += PageSize.Large;
            }
        }
        return MapStatus.Mapped;
    }

    // SAFETY (contract): as for CloneDirectory; the entries of one last-level table, which has one there.
    private unsafe MapStatus CloneRun(VmSpace target, ulong* entry, ulong stop, CloneMode mode, ref UnmapBatch changed)
    {
        ulong first = _at;
        ulong* to = PageTable.MakeEntry(target.Root, first, out MapStatus status);
        if (to == null) return status;
        ulong* start = to;
        int copied = 0;
        try
        {
            for (int run = PageTable.RunLength(entry, first, stop), left = PageTable.EntriesInTableOf(entry); run > 0; run--, entry++, to++, _at += PageSize.Small)
            {
                if (*entry == 0) continue;
                if (*to != 0)
                {
                    status = MapStatus.AlreadyMapped;
                    break;
                }
                Volatile.Write(ref *to, ShareLeaf(entry, mode, PageSize.Small, ref changed));
                if (++copied != left) continue;
                // That was the table's last one.
                _at += (ulong)run << 12;
                break;
            }
        }
        finally
        {
            PageTable.CountEntries(start, copied);
            if (copied == 0) PageTable.DropEmptyTables(target.Root, first, 1);
        }
        return status;
    }

    // SAFETY (contract): under this space's gate, with an entry that is a leaf. Takes a reference for another mapping and returns what that one's leaf is.
    private readonly unsafe ulong ShareLeaf(ulong* entry, CloneMode mode, ulong size, ref UnmapBatch changed)
    {
        const ulong fresh = PageTable.Accessed | PageTable.Dirty | PageTable.LargeLeaf;
        ulong leaf = Volatile.Read(ref *entry);
        if ((leaf & PageTable.Device) != 0) return leaf & ~fresh;
        if (mode == CloneMode.CopyOnWrite && (leaf & PageTable.Writable) != 0)
        {
            Interlocked.And(ref *entry, ~PageTable.Writable);
            changed.Cover(_at, size);
            leaf &= ~PageTable.Writable;
        }
        ulong page = (leaf & PageTable.AddressMask) >> 12;
        for (ulong i = 0; i < size >> 12; i++) FrameTable.Acquire(page + i);
        return leaf & ~fresh;
    }

    // Maps frames whose only references are the caller's wherever nothing is mapped before an address. Returns how many; those references are the mappings'.
    private int MapOwned(scoped ReadOnlySpan<ulong> frames, ulong end, ulong bits, out MapStatus status)
    {
        int used = 0;
        status = MapStatus.Mapped;
        _space.Lock();
        try
        {
            // SAFETY: entries are of this space's tables, under the gate; the reference goes to the entry.
            unsafe
            {
                while (_at < end && used < frames.Length)
                {
                    ulong* first = PageTable.MakeEntry(_space.Root, _at, out MapStatus made);
                    if (made == MapStatus.OutOfMemory)
                    {
                        status = made;
                        break;
                    }
                    if (first == null)
                    {
                        _at = Math.Min((_at | (PageSize.Large - 1)) + 1, end);
                        continue;
                    }
                    int before = used;
                    ulong* entry = first;
                    for (int run = PageTable.RunLength(first, _at, end); run > 0 && used < frames.Length; run--, entry++, _at += PageSize.Small)
                    {
                        if (*entry == 0) Volatile.Write(ref *entry, frames[used++] | bits);
                    }
                    PageTable.CountEntries(first, used - before);
                }
            }
        }
        finally
        {
            _space.Unlock();
        }
        return used;
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
}
