using System;
using System.Threading;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Sync;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Memory;

/// <summary>What mmap(2) asks for, checked and rounded by the system call.</summary>
internal readonly struct MapRequest
{
    /// <summary>Where, with <see cref="MapFlags.Fixed"/>; else a wish. A multiple of 4 KiB.</summary>
    public ulong Address { get; init; }
    /// <summary>Bytes, a multiple of 4 KiB, not 0.</summary>
    public ulong Length { get; init; }
    public Protection Protection { get; init; }
    public Protection MaxProtection { get; init; }
    public MapFlags Flags { get; init; }
    /// <summary>What to show; null for private anonymous memory.</summary>
    public MemoryObject? Object { get; init; }
    public ulong ObjectPage { get; init; }
    /// <summary>The open file, null for anonymous memory. The space takes a reference of its own.</summary>
    public OpenFile? File { get; init; }
    public string? Name { get; init; }
}

/// <summary>Changes of the mappings: man 2 mmap, munmap, mprotect, brk.</summary>
internal sealed partial class AddressSpace
{
    /// <summary>Makes a mapping. Returns its address. ENOMEM, EEXIST (MAP_FIXED_NOREPLACE), EINVAL. May block.</summary>
    public Result<ulong> Map(in MapRequest request)
    {
        Mapping mapping;
        using (RwMutex.Guard guard = _lock.Write())
        {
            Result<ulong> placed = Place(request);
            if (!placed.IsOk) return placed.Error;
            ulong start = placed.Value, end = start + request.Length;
            if (_mappings.Count + 2 > MaxMappings) return Errno.ENOMEM;
            if ((request.Flags & (MapFlags.Fixed | MapFlags.FixedNoReplace)) == MapFlags.Fixed)
            {
                Errno cleared = RemoveRange(start, end);
                if (cleared != Errno.None) return cleared;
            }
            mapping = new Mapping(this)
            {
                Start = start, End = end, Protection = request.Protection, MaxProtection = request.MaxProtection, IsShared = (request.Flags & MapFlags.Private) == 0,
                GrowsDown = (request.Flags & MapFlags.GrowsDown) != 0, IsLocked = (request.Flags & MapFlags.Locked) != 0, IsNoReserve = (request.Flags & MapFlags.NoReserve) != 0,
                Object = request.Object, ObjectPage = request.ObjectPage, File = request.File, Name = request.Name,
            };
            _mappings.Reserve(1);
            if (!TryGrow(request.Length >> 12, mapping)) return Errno.ENOMEM;
            request.File?.AddReference();
            request.Object?.AddMapping(mapping);
            Insert(mapping);
        }
        if ((request.Flags & (MapFlags.Populate | MapFlags.Locked)) != 0 && (request.Flags & MapFlags.NonBlock) == 0) Populate(mapping.Start, mapping.Start + request.Length);
        return mapping.Start;
    }

    /// <summary>Removes whatever is mapped in a range of whole pages. ENOMEM when a mapping would have to be cut and there are too many. May block.</summary>
    public Errno Unmap(ulong start, ulong length)
    {
        using RwMutex.Guard guard = _lock.Write();
        return RemoveRange(start, start + length);
    }

    /// <summary>Changes what may be done with a range of whole pages. ENOMEM when part of it is not mapped, EACCES when the file does not allow it. May block.</summary>
    public Errno Protect(ulong start, ulong length, Protection protection)
    {
        using RwMutex.Guard guard = _lock.Write();
        ulong end = start + length;
        ulong at = start;
        if (_mappings.Count + 2 > MaxMappings) return Errno.ENOMEM;
        for (int index = _mappings.IndexAtOrAbove(start); at < end; index++)
        {
            if (index == _mappings.Count || _mappings[index].Start > at) return Errno.ENOMEM;
            Mapping mapping = _mappings[index];
            if ((protection & ~mapping.MaxProtection) != 0) return Errno.EACCES;
            if (mapping.Protection != protection)
            {
                mapping = Carve(mapping, at, Math.Min(end, mapping.End));
                if (!TryCharge(mapping, protection)) return Errno.ENOMEM;
                mapping.Protection = protection;
                if (!ProtectPages(mapping)) return Errno.ENOMEM;
                index = TryMergeAround(mapping);
                mapping = _mappings[index];
            }
            at = mapping.End;
        }
        return Errno.None;
    }

    /// <summary>Makes all pages of a range present, as far as there is memory and access. May block.</summary>
    public void Populate(ulong start, ulong end)
    {
        for (ulong at = start; at < end; at += PageSize.Small)
        {
            Access access = Access.Read;
            using (RwMutex.Guard guard = _lock.Read())
            {
                Mapping? mapping = _mappings.Find(at);
                if (mapping is null) return;
                if ((mapping.Protection & Protection.Write) != 0 && !mapping.IsShared) access = Access.Write;
            }
            if (Fault(at, access) != FaultOutcome.Resolved) return;
        }
    }

    /// <summary>A copy for fork(2): shared mappings show the same pages, private ones are copied when one of the two writes. ENOMEM. May block.</summary>
    public Result<AddressSpace> Fork()
    {
        Result<AddressSpace> made = Create();
        if (!made.IsOk) return made;
        AddressSpace copy = made.Value;
        bool isDone = false;
        try
        {
            using RwMutex.Guard guard = _lock.Write();
            copy._mappings.Reserve(_mappings.Count);
            for (int i = 0; i < _mappings.Count; i++)
            {
                Mapping mapping = _mappings[i];
                if (mapping.IsDontFork) continue;
                Mapping twin = mapping.Cut(copy, mapping.Start, mapping.End);
                twin.IsLocked = false;
                twin.File?.AddReference();
                twin.Object?.AddMapping(twin);
                copy._mappings.Insert(twin);
                Interlocked.Add(ref copy._totalPages, (long)(mapping.Length >> 12));
                if (twin.IsCharged && !CommitAccount.TryCharge((long)(mapping.Length >> 12), false))
                {
                    twin.IsCharged = false;
                    return Errno.ENOMEM;
                }
                if (mapping.IsWipeOnFork) continue;
                VmCursor cursor = Space.Cursor(new VirtualRange(new UserAddress(mapping.Start), mapping.Length));
                // Pages of shared objects fault in again: only private pages exist nowhere else.
                if (mapping.IsShared) continue;
                if (cursor.CloneTo(copy.Space, mapping.Length, CloneMode.CopyOnWrite) != MapStatus.Mapped) return Errno.ENOMEM;
            }
            copy.MapBase = MapBase;
            copy.HeapStart = HeapStart;
            copy.HeapEnd = HeapEnd;
            copy.CodeStart = CodeStart;
            copy.CodeEnd = CodeEnd;
            copy.DataStart = DataStart;
            copy.DataEnd = DataEnd;
            copy.StackStart = StackStart;
            copy.StackLimit = StackLimit;
            copy.ArgumentsStart = ArgumentsStart;
            copy.ArgumentsEnd = ArgumentsEnd;
            copy.EnvironmentStart = EnvironmentStart;
            copy.EnvironmentEnd = EnvironmentEnd;
            copy.AuxiliaryVector = AuxiliaryVector;
            copy.VdsoStart = VdsoStart;
            copy.LimitPages = LimitPages;
            copy.DataLimitPages = DataLimitPages;
            copy.SetExecutable(Executable);
            // Private pages are there in both; what was shared comes with faults. As good as what unmapping subtracts later.
            copy._residentPages = ResidentPages;
            isDone = true;
            return copy;
        }
        finally
        {
            if (!isDone) copy.Release();
        }
    }

    /// <summary>Moves the end of the heap (man 2 brk). Returns the end afterwards, unchanged when it cannot be. May block.</summary>
    /// <param name="end">The wish; 0 to ask.</param>
    /// <param name="dataLimit">RLIMIT_DATA in bytes.</param>
    public ulong SetHeapEnd(ulong end, ulong dataLimit)
    {
        using RwMutex.Guard guard = _lock.Write();
        if (end < HeapStart || end >= EndAddress || end - HeapStart > dataLimit - Math.Min(dataLimit, DataEnd - DataStart)) return HeapEnd;
        ulong oldTop = RoundUp(HeapEnd), newTop = RoundUp(end);
        if (newTop > oldTop)
        {
            if (!IsFree(oldTop, newTop) || _mappings.Count + 1 > MaxMappings) return HeapEnd;
            var mapping = new Mapping(this) { Start = oldTop, End = newTop, Protection = Protection.Read | Protection.Write, Name = "[heap]" };
            _mappings.Reserve(1);
            if (!TryGrow((newTop - oldTop) >> 12, mapping)) return HeapEnd;
            Insert(mapping);
        }
        else if (newTop < oldTop && RemoveRange(newTop, oldTop) != Errno.None)
        {
            return HeapEnd;
        }
        HeapEnd = end;
        return end;
    }

    /// <summary>RLIMIT_STACK, kept by exec and setrlimit: how far a stack may grow.</summary>
    public ulong StackLimit { get; set; } = 8 << 20;

    /// <summary>RLIMIT_AS in pages.</summary>
    public ulong LimitPages { get; set; } = ulong.MaxValue;

    /// <summary>Address of the vDSO; 0 for none.</summary>
    public ulong VdsoStart { get; set; }

    internal static ulong RoundUp(ulong value) => (value + PageMask) & ~PageMask;

    /// <summary>Pages of an object vanish from a mapping that shows it. May block.</summary>
    internal void UnmapObjectPages(MemoryObject source, Mapping hint, ulong firstIndex, ulong endIndex)
    {
        using RwMutex.Guard guard = _lock.Write();
        // The mapping may have been cut or moved since the list was copied: whatever of this space shows the object is looked at.
        for (int i = 0; i < _mappings.Count; i++)
        {
            Mapping mapping = _mappings[i];
            if (!ReferenceEquals(mapping.Object, source)) continue;
            ulong first = mapping.ObjectPage, end = mapping.ObjectPage + (mapping.Length >> 12);
            ulong from = Math.Max(first, firstIndex), to = Math.Min(end, endIndex);
            if (from >= to) continue;
            RemovePages(mapping.Start + ((from - first) << 12), (to - from) << 12);
        }
    }

    // ---- under the lock for writing

    private Result<ulong> Place(in MapRequest request)
    {
        ulong address = request.Address, length = request.Length;
        if (length > EndAddress - LowestAddress) return Errno.ENOMEM;
        if ((request.Flags & (MapFlags.Fixed | MapFlags.FixedNoReplace)) != 0)
        {
            if (address < LowestAddress) return Errno.EPERM;
            if (address > EndAddress - length) return Errno.ENOMEM;
            if ((request.Flags & MapFlags.FixedNoReplace) != 0 && !IsFree(address, address + length)) return Errno.EEXIST;
            return address;
        }
        if (address >= LowestAddress && address <= EndAddress - length && IsFree(address, address + length) && IsClearOfStack(address + length)) return address;
        ulong top = (request.Flags & MapFlags.Below4GiB) != 0 ? 1UL << 31 : MapBase;
        ulong found = FindFree(length, top);
        if (found == 0) found = FindFree(length, EndAddress - PageSize.Small);
        return found == 0 ? Errno.ENOMEM : found;
    }

    private bool IsFree(ulong start, ulong end)
    {
        int index = _mappings.IndexAtOrAbove(start);
        return index == _mappings.Count || _mappings[index].Start >= end;
    }

    private bool IsClearOfStack(ulong end)
    {
        int index = _mappings.IndexAtOrAbove(end);
        return index == _mappings.Count || !_mappings[index].GrowsDown || _mappings[index].Start >= end + StackGuardGap;
    }

    // The highest free range below a limit; 0 for none.
    private ulong FindFree(ulong length, ulong top)
    {
        ulong end = top;
        for (int index = _mappings.IndexAtOrAbove(top) - 1; ; index--)
        {
            if (index + 1 < _mappings.Count)
            {
                Mapping above = _mappings[index + 1];
                ulong limit = above.GrowsDown ? above.Start - Math.Min(above.Start, StackGuardGap) : above.Start;
                end = Math.Min(end, limit);
            }
            ulong below = index < 0 ? LowestAddress : _mappings[index].End;
            if (end >= below && end - below >= length) return end - length;
            if (index < 0) return 0;
            end = Math.Min(end, _mappings[index].Start);
        }
    }

    private void Insert(Mapping mapping)
    {
        _mappings.Insert(mapping);
        TryMergeAround(mapping);
    }

    // Joins a mapping with its neighbours where they are alike; returns the index of the result.
    private int TryMergeAround(Mapping mapping)
    {
        int index = _mappings.IndexAtOrAbove(mapping.Start);
        if (index + 1 < _mappings.Count && _mappings[index].CanMerge(_mappings[index + 1])) Join(index);
        if (index > 0 && _mappings[index - 1].CanMerge(_mappings[index])) Join(--index);
        return index;
    }

    private void Join(int index)
    {
        Mapping next = _mappings[index + 1];
        _mappings.RemoveAt(index + 1);
        _mappings[index].End = next.End;
        Forget(next);
    }

    // The part of a mapping between two addresses as a mapping of its own.
    private Mapping Carve(Mapping mapping, ulong start, ulong end)
    {
        if (mapping.Start < start) mapping = SplitAt(mapping, start);
        if (mapping.End > end) SplitAt(mapping, end);
        return mapping;
    }

    // Cuts a mapping in two; returns the upper one.
    private Mapping SplitAt(Mapping mapping, ulong address)
    {
        Mapping upper = mapping.Cut(this, address, mapping.End);
        _mappings.Reserve(1);
        upper.File?.AddReference();
        upper.Object?.AddMapping(upper);
        mapping.End = address;
        _mappings.Insert(upper);
        return upper;
    }

    private Errno RemoveRange(ulong start, ulong end)
    {
        int index = _mappings.IndexAtOrAbove(start);
        if (index < _mappings.Count && _mappings[index].Start < start && _mappings[index].End > end && _mappings.Count + 1 > MaxMappings) return Errno.ENOMEM;
        while (index < _mappings.Count && _mappings[index].Start < end)
        {
            Mapping mapping = Carve(_mappings[index], Math.Max(start, _mappings[index].Start), Math.Min(end, _mappings[index].End));
            index = _mappings.IndexAtOrAbove(mapping.Start);
            if (!RemovePages(mapping.Start, mapping.Length)) return Errno.ENOMEM;
            _mappings.RemoveAt(index);
            OnShrink(mapping, mapping.Length >> 12);
            Forget(mapping);
        }
        return Errno.None;
    }

    private bool RemovePages(ulong start, ulong length)
    {
        MapStatus status = Space.Cursor(new VirtualRange(new UserAddress(start), length)).Unmap(length, out long pages);
        NotePeak();
        Interlocked.Add(ref _residentPages, -pages);
        return status == MapStatus.Mapped;
    }

    // Page-table entries follow the mapping's protection. What is private or shared and clean keeps faulting on its first write.
    private bool ProtectPages(Mapping mapping)
    {
        VmCursor cursor = Space.Cursor(new VirtualRange(new UserAddress(mapping.Start), mapping.Length));
        if (mapping.Protection == Protection.None) return cursor.Protect(mapping.Length, new PageProperty(PageAccess.None)) == MapStatus.Mapped;
        PageProperty property = PropertyOf(mapping.Protection);
        // Writing is granted page by page by the fault handler, which knows whose the page is.
        return cursor.Protect(mapping.Length, new PageProperty(property.Access & ~PageAccess.Write)) == MapStatus.Mapped;
    }
}
