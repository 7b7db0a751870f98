using System.Collections.Generic;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Sync;

namespace Asterinas.Services.Memory;

/// <summary>
/// What a mapping shows: pages by index. It keeps the list of the mappings that show it, so that pages which go away (truncation) disappear from them.
/// LOCK ORDER: an address space's lock, then <see cref="_mappingsLock"/> (never the other way: <see cref="Unmap"/> works on a copy of the list).
/// </summary>
internal abstract class MemoryObject
{
    private readonly SpinLock _mappingsLock = new("object mappings");
    private readonly List<Mapping> _mappings = [];

    /// <summary>Identity for futexes and /proc/PID/maps: the same for all mappings of one file.</summary>
    public abstract Vfs.Inode? Inode { get; }

    /// <summary>
    /// The page with an index; the caller disposes the handle it gets. EFAULT beyond the end (SIGBUS), EIO when the data cannot be read, ENOMEM without memory. May block.
    /// </summary>
    /// <param name="index">Offset divided by 4 KiB.</param>
    /// <param name="access">What it is wanted for; a write makes a shared page dirty.</param>
    public abstract Result<Frame> GetPage(ulong index, Access access);

    /// <summary>A mapping shows a part of the object from now on.</summary>
    public virtual void AddMapping(Mapping mapping)
    {
        using SpinLock.Guard guard = _mappingsLock.Lock();
        _mappings.Add(mapping);
    }

    /// <summary>A mapping shows it no more.</summary>
    public virtual void RemoveMapping(Mapping mapping)
    {
        using SpinLock.Guard guard = _mappingsLock.Lock();
        _mappings.Remove(mapping);
    }

    /// <summary>Whether any mapping shows it.</summary>
    public bool IsMapped
    {
        get
        {
            using SpinLock.Guard guard = _mappingsLock.Lock();
            return _mappings.Count != 0;
        }
    }

    /// <summary>Whether a shared mapping that may be written shows it (file seals).</summary>
    public bool HasSharedWritableMapping
    {
        get
        {
            using SpinLock.Guard guard = _mappingsLock.Lock();
            foreach (Mapping mapping in _mappings)
            {
                if (mapping.IsShared && mapping.MayWrite) return true;
            }
            return false;
        }
    }

    /// <summary>Takes the pages from an index on, up to but without another one, out of all mappings. Private copies of them go too, as truncate(2) has it.</summary>
    public void Unmap(ulong firstIndex, ulong endIndex)
    {
        Mapping[] mappings;
        using (SpinLock.Guard guard = _mappingsLock.Lock())
        {
            if (_mappings.Count == 0) return;
            mappings = [.. _mappings];
        }
        foreach (Mapping mapping in mappings) mapping.Space.UnmapObjectPages(this, mapping, firstIndex, endIndex);
    }
}

/// <summary>
/// A range of an address space with one kind of memory behind it: a virtual memory area. Immutable but for the fields that an address space changes under its lock for writing.
/// INVARIANT: whole pages; the mappings of one space do not overlap.
/// </summary>
internal sealed class Mapping(AddressSpace space)
{
    public AddressSpace Space { get; } = space;
    public ulong Start;
    public ulong End;
    public Protection Protection;
    /// <summary>What mprotect(2) may give: a shared mapping of a file that is open for reading only can never be written.</summary>
    public Protection MaxProtection = Protection.Read | Protection.Write | Protection.Execute;
    public bool IsShared;
    /// <summary>MAP_GROWSDOWN: a stack.</summary>
    public bool GrowsDown;
    /// <summary>mlock(2): pages are made present at once.</summary>
    public bool IsLocked;
    /// <summary>MAP_NORESERVE: does not count for overcommit.</summary>
    public bool IsNoReserve;
    /// <summary>Private and once writable: its pages may all become real, so they count against the commit limit.</summary>
    public bool IsCharged;
    /// <summary>madvise(MADV_DONTFORK), MADV_WIPEONFORK, MADV_DONTDUMP.</summary>
    public bool IsDontFork, IsWipeOnFork, IsDontDump;
    /// <summary>What it shows; null for private anonymous memory.</summary>
    public MemoryObject? Object;
    /// <summary>Index of the page of the object that <see cref="Start"/> shows.</summary>
    public ulong ObjectPage;
    /// <summary>The open file it came from, which it keeps open; null for anonymous memory.</summary>
    public Vfs.OpenFile? File;
    /// <summary>Name in /proc/PID/maps for what is no file: [heap], [stack], [vdso]; null for none.</summary>
    public string? Name;

    public ulong Length => End - Start;
    public bool MayWrite => (MaxProtection & Protection.Write) != 0;

    /// <summary>Index of the object's page at an address.</summary>
    public ulong PageAt(ulong address) => ObjectPage + ((address - Start) >> 12);

    /// <summary>A mapping with the same properties for another range of the same memory.</summary>
    public Mapping Cut(AddressSpace space, ulong start, ulong end) => new(space)
    {
        Start = start, End = end, Protection = Protection, MaxProtection = MaxProtection, IsShared = IsShared, GrowsDown = GrowsDown, IsLocked = IsLocked, IsNoReserve = IsNoReserve,
        IsCharged = IsCharged, IsDontFork = IsDontFork, IsWipeOnFork = IsWipeOnFork, IsDontDump = IsDontDump, Object = Object, ObjectPage = ObjectPage + ((start - Start) >> 12), File = File, Name = Name,
    };

    /// <summary>Whether a mapping that begins where this one ends could be one with it.</summary>
    public bool CanMerge(Mapping next) =>
        End == next.Start && Protection == next.Protection && MaxProtection == next.MaxProtection && IsShared == next.IsShared && GrowsDown == next.GrowsDown
        && IsLocked == next.IsLocked && IsNoReserve == next.IsNoReserve && IsCharged == next.IsCharged && IsDontFork == next.IsDontFork && IsWipeOnFork == next.IsWipeOnFork && IsDontDump == next.IsDontDump
        && ReferenceEquals(Object, next.Object) && ReferenceEquals(File, next.File) && Name == next.Name && (Object is null || PageAt(End) == next.ObjectPage);
}
