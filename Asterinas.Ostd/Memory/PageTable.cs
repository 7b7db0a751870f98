using System;
using System.Runtime.CompilerServices;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Runtime;

namespace Asterinas.Ostd.Memory;

/// <summary>Frames and page tables that left an address space and wait for its TLB flush: nothing goes back while a CPU may still use it.</summary>
internal struct UnmapBatch
{
    public const int Capacity = 96;
    /// <summary>Most items one step adds: a leaf and the tables above it.</summary>
    public const int StepItems = 4;

    [InlineArray(Capacity)]
    private struct Items
    {
        private ulong _first;
    }

    private const ulong Large = 1, Table = 2;
    private Items _items;
    private int _count;
    private ulong _start, _end;

    public readonly bool IsFull => _count > Capacity - StepItems;
    public readonly bool IsEmpty => _end == 0;

    public void Cover(ulong start, ulong bytes)
    {
        _start = _end == 0 ? start : Math.Min(_start, start);
        _end = Math.Max(_end, start + bytes);
    }

    public void AddFrame(ulong physical, bool isLarge) => _items[_count++] = physical | (isLarge ? Large : 0);

    public void AddTable(ulong physical) => _items[_count++] = physical | Table;

    public void Flush(ulong root)
    {
        if (_end != 0) Machine.FlushTlb(root, _start, (_end - _start) >> 12);
        _start = _end = 0;
    }

    /// <summary>Gives everything back. Only after the flush, and outside of locks: policies are called.</summary>
    public void Release()
    {
        for (int i = 0; i < _count; i++)
        {
            ulong item = _items[i];
            ulong physical = item & ~4095UL;
            if ((item & Table) != 0) PageTable.FreeTable(physical);
            else FrameAllocator.Drop(physical, (item & Large) != 0 ? PageSize.PagesInLarge : 1);
        }
        _count = 0;
    }
}

/// <summary>
/// Page tables of x86-64: four levels of 512 entries, leaves of 4 KiB (level 1) and 2 MiB (level 2) (SDM vol. 3 §4.5). The user half of one root is
/// changed under its VmSpace's gate; the CPU itself sets accessed and dirty bits at any time, so present leaves change by atomic operations only.
///
/// INVARIANT: the metadata of a table below the root counts its non-empty entries, and an empty table is unlinked at once. A user leaf, present or hidden, without
/// the Device bit holds one reference to each of its frames.
/// </summary>
// SAFETY: table addresses come from NewTable or from entries written here, tables stay in state PageTable until no entry and no TLB refers to them, and
// indices are nine bits.
internal static unsafe class PageTable
{
    public const ulong Present = 1, Writable = 2, User = 4, WriteThrough = 8, CacheDisable = 16, Accessed = 32, Dirty = 64, LargeLeaf = 128, NoExecute = 1UL << 63;
    /// <summary>Software bit: the leaf is I/O memory and holds no references.</summary>
    public const ulong Device = 1UL << 9;
    /// <summary>Software bit of an entry that is not present: a leaf that nobody may access. It keeps its frame; entries that are no leaf and not present are 0.</summary>
    public const ulong Hidden = 1UL << 10;
    public const ulong AddressMask = 0x000FFFFFFFFFF000;
    private const ulong LinkBits = Present | Writable | User;
    private const int UserEntries = 255;

    public static ulong BytesAt(int level) => 1UL << (12 + 9 * (level - 1));

    /// <summary>A root with the kernel's half in it and one reference, its owner's; 0 when there is no memory.</summary>
    public static ulong NewRoot()
    {
        ulong root = NewTable();
        if (root == 0) return 0;
        var own = (ulong*)Machine.PhysToVirt(root);
        var kernel = (ulong*)Machine.PhysToVirt(Machine.KernelRoot());
        for (int i = UserEntries; i < 512; i++) own[i] = kernel[i];
        FrameTable.Slot(root >> 12).ReferenceCount = 1;
        return root;
    }

    public static void AcquireRoot(ulong root) => Interlocked.Increment(ref FrameTable.Slot(root >> 12).ReferenceCount);

    /// <summary>One user of the root less. The last one frees all tables and drops the frames: no CPU walks the tree any more.</summary>
    public static void DropRoot(ulong root)
    {
        if (FrameTable.Drop(root >> 12)) Destroy(root, 4);
    }

    /// <summary>The entry that decides about an address, and its level: a leaf, or the first absent entry on the way.</summary>
    public static ulong* Find(ulong root, ulong address, out int level)
    {
        ulong table = root;
        for (level = 4; ; level--)
        {
            ulong* entry = EntryOf(table, address, level);
            ulong value = Volatile.Read(ref *entry);
            if (level == 1 || (value & Present) == 0 || (value & LargeLeaf) != 0) return entry;
            table = value & AddressMask;
        }
    }

    /// <summary>Writes a leaf where there is none.</summary>
    public static MapStatus Map(ulong root, ulong address, int leafLevel, ulong leaf)
    {
        ulong table = root;
        for (int level = 4; level > leafLevel; level--)
        {
            ulong* entry = EntryOf(table, address, level);
            if (*entry == 0)
            {
                ulong next = NewTable();
                if (next == 0)
                {
                    // Tables made on this way are empty; nothing was ever reachable through them, but the CPU may have cached the links.
                    UnmapBatch batch = default;
                    batch.Cover(address & ~4095UL, PageSize.Small);
                    Prune(root, address, level, ref batch);
                    batch.Flush(root);
                    batch.Release();
                    return MapStatus.OutOfMemory;
                }
                FrameTable.Slot(table >> 12).ReferenceCount += level == 4 ? 0 : 1;
                Volatile.Write(ref *entry, next | LinkBits);
            }
            else if ((*entry & LargeLeaf) != 0)
            {
                return MapStatus.AlreadyMapped;
            }
            table = *entry & AddressMask;
        }
        ulong* at = EntryOf(table, address, leafLevel);
        if (*at != 0) return MapStatus.AlreadyMapped;
        FrameTable.Slot(table >> 12).ReferenceCount += 1;
        Volatile.Write(ref *at, leaf | (leafLevel == 2 ? LargeLeaf : 0));
        return MapStatus.Mapped;
    }

    /// <summary>Removes the leaf found by <see cref="Find"/> and the tables that become empty; all of it goes into the batch.</summary>
    public static void Unmap(ulong root, ulong address, int level, ulong* entry, ref UnmapBatch batch)
    {
        ulong old = Interlocked.Exchange(ref *entry, 0);
        batch.Cover(address & ~(BytesAt(level) - 1), BytesAt(level));
        if ((old & Device) == 0) batch.AddFrame(old & AddressMask, level == 2);
        FrameTable.Slot(TableOf(entry)).ReferenceCount -= 1;
        Prune(root, address, level, ref batch);
    }

    /// <summary>Makes a 2 MiB leaf a table of 4 KiB leaves that say the same. False when there is no memory.</summary>
    public static bool Split(ulong* entry)
    {
        ulong table = NewTable();
        if (table == 0) return false;
        var leaves = (ulong*)Machine.PhysToVirt(table);
        while (true)
        {
            ulong old = Volatile.Read(ref *entry);
            for (ulong i = 0; i < 512; i++) leaves[i] = (old & ~LargeLeaf) + (i << 12);
            if (Interlocked.CompareExchange(ref *entry, table | LinkBits, old) == old) break;
        }
        FrameTable.Slot(table >> 12).ReferenceCount = 512;
        return true;
    }

    /// <summary>Gives a leaf another property, keeping its address and the bits that the CPU sets.</summary>
    public static void Protect(ulong* entry, PageProperty property)
    {
        // A hidden leaf remembers how it is cached: device memory must come back as it was.
        ulong kept = AddressMask | Accessed | Dirty | LargeLeaf | Device | (property.Access == PageAccess.None ? WriteThrough | CacheDisable : 0);
        while (true)
        {
            ulong old = Volatile.Read(ref *entry);
            if (Interlocked.CompareExchange(ref *entry, (old & kept) | property.ToEntry(), old) == old) return;
        }
    }

    /// <summary>
    /// What the CPU's walk does for an access from user mode: the physical address, or 0 for a fault. Sets accessed and dirty bits. I/O memory is never
    /// answered: copies in software reach RAM only.
    /// </summary>
    public static ulong TranslateUser(ulong root, ulong address, bool write)
    {
        if (address >= Machine.UserEnd) return 0;
        ulong* entry = Find(root, address, out int level);
        ulong leaf = Volatile.Read(ref *entry);
        ulong needed = Present | User | (write ? Writable : 0);
        if ((leaf & needed) != needed || (leaf & Device) != 0) return 0;
        Interlocked.Or(ref *entry, Accessed | (write ? Dirty : 0));
        return (leaf & AddressMask) + (address & (BytesAt(level) - 1));
    }

    public static void FreeTable(ulong table)
    {
        FrameTable.Retire(table >> 12, FrameState.PageTable);
        if (Machine.ReserveFree(table, 0) == 0) throw new InvalidOperationException($"the reserve refused page table 0x{table:x}");
    }

    /// <summary>A zeroed page in state PageTable; 0 when there is no memory. The IOMMU's tables are such pages too.</summary>
    public static ulong NewTable()
    {
        ulong table = Machine.ReserveAllocate(0);
        if (table == 0) return 0;
        if (!FrameTable.TryClaim(table >> 12, FrameTable.DefaultTag, FrameState.PageTable)) throw new InvalidOperationException("the reserve gave a page that is in use");
        FrameTable.Slot(table >> 12).ReferenceCount = 0;
        new Span<byte>(Machine.PhysToVirt(table), PageSize.Small).Clear();
        return table;
    }

    // Unlinks empty tables from the level of a removed entry upwards. The root stays.
    private static void Prune(ulong root, ulong address, int level, ref UnmapBatch batch)
    {
        for (; level < 4; level++)
        {
            ulong* link = LinkTo(root, address, level);
            ulong table = *link & AddressMask;
            if (FrameTable.Slot(table >> 12).ReferenceCount != 0) return;
            Volatile.Write(ref *link, 0);
            batch.AddTable(table);
            if (level + 1 < 4) FrameTable.Slot(TableOf(link)).ReferenceCount -= 1;
        }
    }

    // The entry, one level up, that links the table of this level.
    private static ulong* LinkTo(ulong root, ulong address, int level)
    {
        ulong table = root;
        for (int at = 4; ; at--)
        {
            ulong* entry = EntryOf(table, address, at);
            if (at == level + 1) return entry;
            table = *entry & AddressMask;
        }
    }

    private static void Destroy(ulong table, int level)
    {
        var entries = (ulong*)Machine.PhysToVirt(table);
        int count = level == 4 ? UserEntries : 512;
        for (int i = 0; i < count; i++)
        {
            ulong entry = entries[i];
            if (entry == 0) continue;
            bool isLeaf = level == 1 || (entry & LargeLeaf) != 0;
            if (!isLeaf) Destroy(entry & AddressMask, level - 1);
            else if ((entry & Device) == 0) FrameAllocator.Drop(entry & AddressMask, level == 2 ? PageSize.PagesInLarge : 1);
        }
        FreeTable(table);
    }

    private static ulong* EntryOf(ulong table, ulong address, int level) =>
        (ulong*)Machine.PhysToVirt(table) + ((address >> (12 + 9 * (level - 1))) & 511);

    // The page number of the table that an entry lies in: tables are reached through the direct map, which is linear.
    private static ulong TableOf(ulong* entry) => (ulong)((byte*)entry - Machine.PhysToVirt(0)) >> 12;
}
