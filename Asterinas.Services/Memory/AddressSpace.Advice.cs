using System;
using System.Threading;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Sync;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Memory;

/// <summary>madvise(2), mincore(2), mlock(2), msync(2), mremap(2), and what other parts ask about mappings.</summary>
internal sealed partial class AddressSpace
{
    /// <summary>A look at one mapping, for /proc and checks: a copy, so that no lock is held.</summary>
    public readonly record struct MappingView(ulong Start, ulong End, Protection Protection, bool IsShared, bool GrowsDown, bool IsLocked, MemoryObject? Object, ulong ObjectPage,
        OpenFile? File, string? Name);

    /// <summary>The first mapping that ends behind an address. False when there is none.</summary>
    public bool TryGetMapping(ulong address, out MappingView view)
    {
        using RwMutex.Guard guard = _lock.Read();
        int index = _mappings.IndexAtOrAbove(address);
        view = default;
        if (index == _mappings.Count) return false;
        Mapping m = _mappings[index];
        view = new MappingView(m.Start, m.End, m.Protection, m.IsShared, m.GrowsDown, m.IsLocked, m.Object, m.ObjectPage, m.File, m.Name);
        return true;
    }

    /// <summary>Number of mappings.</summary>
    public int MappingCount
    {
        get
        {
            using RwMutex.Guard guard = _lock.Read();
            return _mappings.Count;
        }
    }

    /// <summary>The place in a shared object that an address shows. False for private memory (mapped then) and for none.</summary>
    public bool TryGetSharedPlace(ulong address, out MemoryObject? shared, out ulong offset, out bool isMapped)
    {
        using RwMutex.Guard guard = _lock.Read();
        Mapping? mapping = _mappings.Find(address);
        isMapped = mapping is not null;
        shared = null;
        offset = 0;
        if (mapping is null || !mapping.IsShared) return false;
        shared = mapping.Object;
        offset = (mapping.ObjectPage << 12) + (address - mapping.Start);
        return shared is not null;
    }

    /// <summary>Whether a whole range is mapped.</summary>
    public bool IsRangeMapped(ulong start, ulong end)
    {
        using RwMutex.Guard guard = _lock.Read();
        return IsCovered(start, end);
    }

    /// <summary>madvise(MADV_DONTNEED), MADV_FREE: private pages go away, and read as zero or from the file again. EINVAL for locked ones, ENOMEM when part is not mapped.</summary>
    public Errno Discard(ulong start, ulong end)
    {
        using RwMutex.Guard guard = _lock.Write();
        bool isCovered = IsCovered(start, end);
        for (int i = _mappings.IndexAtOrAbove(start); i < _mappings.Count && _mappings[i].Start < end; i++)
        {
            Mapping mapping = _mappings[i];
            if (mapping.IsLocked) return Errno.EINVAL;
            ulong from = Math.Max(start, mapping.Start), to = Math.Min(end, mapping.End);
            if (!RemovePages(from, to - from)) return Errno.ENOMEM;
        }
        return isCovered ? Errno.None : Errno.ENOMEM;
    }

    /// <summary>Sets a property of all mappings in a range, cutting them at its ends. ENOMEM when part of it is not mapped.</summary>
    public Errno Mark<TState>(ulong start, ulong end, TState state, Action<Mapping, TState> change)
    {
        using RwMutex.Guard guard = _lock.Write();
        if (_mappings.Count + 2 > MaxMappings) return Errno.ENOMEM;
        bool isCovered = IsCovered(start, end);
        for (int i = _mappings.IndexAtOrAbove(start); i < _mappings.Count && _mappings[i].Start < end; i++)
        {
            Mapping mapping = Carve(_mappings[i], Math.Max(start, _mappings[i].Start), Math.Min(end, _mappings[i].End));
            change(mapping, state);
            i = TryMergeAround(mapping);
        }
        return isCovered ? Errno.None : Errno.ENOMEM;
    }

    /// <summary>Pages of locked mappings: what RLIMIT_MEMLOCK counts.</summary>
    public long LockedPages
    {
        get
        {
            using RwMutex.Guard guard = _lock.Read();
            long pages = 0;
            for (int i = 0; i < _mappings.Count; i++)
            {
                if (_mappings[i].IsLocked) pages += (long)(_mappings[i].Length >> 12);
            }
            return pages;
        }
    }

    /// <summary>mlockall(MCL_FUTURE): new mappings are locked.</summary>
    public bool LocksFuture { get; set; }

    /// <summary>mincore(2): a byte a page, 1 for present. ENOMEM when part is not mapped. Does not fault.</summary>
    public Errno GetResidency(ulong start, scoped Span<byte> pages)
    {
        using RwMutex.Guard guard = _lock.Read();
        ulong end = start + ((ulong)pages.Length << 12);
        if (!IsCovered(start, end)) return Errno.ENOMEM;
        VmCursor cursor = Space.Cursor(new VirtualRange(new UserAddress(start), end - start));
        for (int i = 0; i < pages.Length; i++)
        {
            cursor.Seek(new UserAddress(start + ((ulong)i << 12)));
            pages[i] = cursor.Query() is null ? (byte)0 : (byte)1;
        }
        return Errno.None;
    }

    /// <summary>
    /// mremap(2): changes the size of a mapping, moving it when it may and must. Returns where it is. EFAULT, EINVAL, ENOMEM, EAGAIN. May block.
    /// </summary>
    /// <param name="oldStart">Start of the range, whole pages.</param>
    /// <param name="oldLength">Its bytes; 0 makes a second mapping of a shared one.</param>
    /// <param name="newLength">New bytes, whole pages, not 0.</param>
    /// <param name="mayMove">MREMAP_MAYMOVE.</param>
    /// <param name="fixedStart">MREMAP_FIXED: where to, whole pages; null for anywhere.</param>
    /// <param name="keepOld">MREMAP_DONTUNMAP.</param>
    public Result<ulong> Remap(ulong oldStart, ulong oldLength, ulong newLength, bool mayMove, ulong? fixedStart, bool keepOld)
    {
        using RwMutex.Guard guard = _lock.Write();
        if (fixedStart is { } wanted)
        {
            if (wanted < LowestAddress || newLength > EndAddress || wanted > EndAddress - newLength) return Errno.EINVAL;
            if (wanted < oldStart + oldLength && oldStart < wanted + newLength) return Errno.EINVAL;
            if (_mappings.Count + 4 > MaxMappings) return Errno.ENOMEM;
        }
        Mapping? mapping = _mappings.Find(oldStart);
        if (mapping is null) return Errno.EFAULT;
        if (oldLength == 0 && (!mapping.IsShared || !mayMove)) return Errno.EINVAL;
        if (oldLength > mapping.End - oldStart) return Errno.EFAULT;
        if (keepOld && (mapping.IsShared || mapping.Object is not null)) return Errno.EINVAL;
        if (fixedStart is null && !keepOld)
        {
            if (newLength <= oldLength)
            {
                if (newLength < oldLength)
                {
                    Errno cut = RemoveRange(oldStart + newLength, oldStart + oldLength);
                    if (cut != Errno.None) return cut;
                }
                return oldStart;
            }
            ulong more = newLength - oldLength;
            if (oldLength != 0 && mapping.End == oldStart + oldLength && mapping.End <= EndAddress - more && IsFree(mapping.End, mapping.End + more))
            {
                if (!TryGrow(more >> 12, mapping)) return Errno.ENOMEM;
                mapping.End += more;
                TryMergeAround(mapping);
                return oldStart;
            }
            if (!mayMove) return Errno.ENOMEM;
        }
        return Move(mapping, oldStart, oldLength, newLength, fixedStart, keepOld);
    }

    private Result<ulong> Move(Mapping mapping, ulong oldStart, ulong oldLength, ulong newLength, ulong? fixedStart, bool keepOld)
    {
        if (_mappings.Count + 3 > MaxMappings) return Errno.ENOMEM;
        _mappings.Reserve(4);
        ulong start;
        if (fixedStart is { } wanted)
        {
            Errno cleared = RemoveRange(wanted, wanted + newLength);
            if (cleared != Errno.None) return cleared;
            start = wanted;
            // With MREMAP_FIXED a shrinking part is cut off first.
            if (newLength < oldLength)
            {
                Errno cut = RemoveRange(oldStart + newLength, oldStart + oldLength);
                if (cut != Errno.None) return cut;
                oldLength = newLength;
            }
            mapping = _mappings.Find(oldStart)!;
        }
        else
        {
            start = FindFree(newLength, MapBase);
            if (start == 0) start = FindFree(newLength, EndAddress - PageSize.Small);
            if (start == 0) return Errno.ENOMEM;
        }
        Mapping moved = mapping.Cut(this, oldStart, mapping.End);
        moved.Start = start;
        moved.End = start + newLength;
        moved.IsCharged = false;
        if (!TryGrow(newLength >> 12, moved)) return Errno.ENOMEM;
        if (!MovePages(oldStart, start, Math.Min(oldLength, newLength)))
        {
            RemovePages(start, newLength);
            OnShrink(moved, newLength >> 12);
            return Errno.ENOMEM;
        }
        moved.File?.AddReference();
        moved.Object?.AddMapping(moved);
        if (oldLength != 0 && !keepOld)
        {
            Errno removed = RemoveRange(oldStart, oldStart + oldLength);
            if (removed != Errno.None) return removed;
        }
        Insert(moved);
        return start;
    }

    // Page by page: the entry at the new place holds a reference before the old one goes.
    private bool MovePages(ulong from, ulong to, ulong length)
    {
        if (length == 0) return true;
        VmCursor source = Space.Cursor(new VirtualRange(new UserAddress(from), length));
        VmCursor target = Space.Cursor(new VirtualRange(new UserAddress(to), length));
        while (source.MoveToMapping())
        {
            ulong at = source.Address.Value;
            if (source.Query() is { } page)
            {
                using Frame? frame = source.GetFrame();
                if (frame is not null)
                {
                    target.Seek(new UserAddress(to + (at - from)));
                    PageProperty property = page.Property.Access == PageAccess.None ? new PageProperty(PageAccess.Read) : page.Property;
                    if (target.Map(frame, property) == MapStatus.OutOfMemory) return false;
                    Interlocked.Increment(ref _residentPages);
                    if (page.Property.Access == PageAccess.None)
                    {
                        target.Seek(new UserAddress(to + (at - from)));
                        target.Protect(PageSize.Small, page.Property);
                    }
                }
            }
            source.Seek(new UserAddress(at + PageSize.Small));
            if (source.IsAtEnd) break;
        }
        return RemovePages(from, length);
    }

    private bool IsCovered(ulong start, ulong end)
    {
        ulong at = start;
        for (int i = _mappings.IndexAtOrAbove(start); at < end; i++)
        {
            if (i == _mappings.Count || _mappings[i].Start > at) return false;
            at = _mappings[i].End;
        }
        return true;
    }
}
