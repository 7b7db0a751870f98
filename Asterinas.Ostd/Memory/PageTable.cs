using System;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Runtime;

namespace Asterinas.Ostd.Memory;

/// <summary>
/// Page tables of x86-64: four levels of 512 entries, leaves of 4 KiB (level 1) and 2 MiB (level 2) (SDM vol. 3 §4.5). The user half of one root is
/// changed under its VmSpace's gate; the CPU itself sets accessed and dirty bits at any time, so present leaves change by atomic operations only.
///
/// INVARIANT: the metadata of a table counts its non-empty entries (ReferenceCount; of a root's user half: Mark), and an empty table is unlinked at once. A user leaf, present or hidden, without
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

    /// <summary>Whether a leaf is one of 2 MiB.</summary>
    public static bool IsLarge(ulong leaf) => (leaf & LargeLeaf) != 0;

    public static ulong BytesAt(int level) => 1UL << (12 + 9 * (level - 1));

    /// <summary>A root with the kernel's half in it and one reference, its owner's; 0 when there is no memory.</summary>
    public static ulong NewRoot()
    {
        ulong root = NewTable();
        if (root == 0) return 0;
        var own = (ulong*)Machine.PhysToVirt(root);
        var kernel = (ulong*)Machine.PhysToVirt(Machine.KernelRoot());
        new ReadOnlySpan<ulong>(kernel + UserEntries, 512 - UserEntries).CopyTo(new Span<ulong>(own + UserEntries, 512 - UserEntries));
        FrameTable.Slot(root >> 12).ReferenceCount = 1;
        return root;
    }

    public static void AcquireRoot(ulong root) => Interlocked.Increment(ref FrameTable.Slot(root >> 12).ReferenceCount);

    /// <summary>One user of the root less. The last one frees all tables and drops the frames: no CPU walks the tree any more.</summary>
    public static void DropRoot(ulong root)
    {
        if (!FrameTable.Drop(root >> 12)) return;
        FrameRun run = default;
        Destroy(root, 4, ref run);
        run.Drop();
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
        if (leafLevel != 1) return MapLarge(root, address, leaf);
        ulong* entry = MakeEntry(root, address, out MapStatus status);
        if (entry == null) return status;
        if (*entry != 0) return MapStatus.AlreadyMapped;
        FrameTable.Slot(TableOf(entry)).ReferenceCount += 1;
        Volatile.Write(ref *entry, leaf);
        return MapStatus.Mapped;
    }

    private static MapStatus MapLarge(ulong root, ulong address, ulong leaf)
    {
        ulong table = root;
        for (int level = 4; level > 2; level--)
        {
            ulong* entry = EntryOf(table, address, level);
            if (*entry == 0)
            {
                ulong next = NewTable();
                if (next == 0)
                {
                    DropEmptyTables(root, address, level);
                    return MapStatus.OutOfMemory;
                }
                CountLink(table, level, 1);
                Volatile.Write(ref *entry, next | LinkBits);
            }
            table = *entry & AddressMask;
        }
        ulong* at = EntryOf(table, address, 2);
        if (*at != 0) return MapStatus.AlreadyMapped;
        FrameTable.Slot(table >> 12).ReferenceCount += 1;
        Volatile.Write(ref *at, leaf | LargeLeaf);
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

    /// <summary>
    /// Removes the leaves of one last-level table from an entry on, up to another address or until the batch is full. Moves the address and the entry behind the last one looked
    /// at; returns how many were removed.
    /// </summary>
    public static int UnmapRun(ulong root, ulong* entry, ref ulong address, ulong end, ref UnmapBatch batch)
    {
        ref int left = ref FrameTable.Slot(TableOf(entry)).ReferenceCount;
        ulong first = address;
        int removed = 0;
        for (int run = RunLength(entry, address, end); run > 0 && !batch.IsFull; run--, entry++, address += PageSize.Small)
        {
            if (*entry == 0) continue;
            ulong old = Interlocked.Exchange(ref *entry, 0);
            batch.Cover(address, PageSize.Small);
            if ((old & Device) == 0) batch.AddFrame(old & AddressMask, false);
            if (++removed != left) continue;
            // Nothing is left in the table.
            address += (ulong)run << 12;
            break;
        }
        left -= removed;
        if (removed != 0) Prune(root, first, 1, ref batch);
        return removed;
    }

    /// <summary>Entries of the last-level table from one on, up to an address.</summary>
    public static int RunLength(ulong* entry, ulong address, ulong end) =>
        (int)Math.Min((end - address) >> 12, 512 - (((ulong)entry >> 3) & 511));

    /// <summary>Entries of the last-level table that an entry lies in that are not empty.</summary>
    public static int EntriesInTableOf(ulong* entry) => FrameTable.Slot(TableOf(entry)).ReferenceCount;

    /// <summary>Counts new entries of the last-level table that an entry lies in. Under the gate.</summary>
    public static void CountEntries(ulong* entry, int more) => FrameTable.Slot(TableOf(entry)).ReferenceCount += more;

    /// <summary>
    /// The entry of the last-level table for an address, with the tables on the way made; null when there is no memory (nothing was changed) or a large leaf is there. A table that
    /// was made and stays empty must be given back with <see cref="DropEmptyTables"/>.
    /// </summary>
    public static ulong* MakeEntry(ulong root, ulong address, out MapStatus status)
    {
        ulong table = root;
        for (int level = 4; level > 1; level--)
        {
            ulong* entry = EntryOf(table, address, level);
            ulong value = *entry;
            if (value == 0)
            {
                ulong next = NewTable();
                if (next == 0)
                {
                    DropEmptyTables(root, address, level);
                    status = MapStatus.OutOfMemory;
                    return null;
                }
                CountLink(table, level, 1);
                value = next | LinkBits;
                Volatile.Write(ref *entry, value);
            }
            else if ((value & LargeLeaf) != 0)
            {
                status = MapStatus.AlreadyMapped;
                return null;
            }
            table = value & AddressMask;
        }
        status = MapStatus.Mapped;
        return EntryOf(table, address, 1);
    }

    /// <summary>Gives tables on the way to an address back that have no entry, from a level upwards: nothing was ever reachable through them, but the CPU may have cached the links.</summary>
    public static void DropEmptyTables(ulong root, ulong address, int level)
    {
        UnmapBatch batch = default;
        batch.Cover(address & ~4095UL, PageSize.Small);
        Prune(root, address, level, ref batch);
        batch.Flush(root);
        batch.Release();
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

    /// <summary>
    /// Gives a leaf another property, keeping its address and the bits that the CPU sets. False when it had that property. Device memory keeps its cache mode and never becomes
    /// executable; a hidden leaf remembers how it is cached.
    /// </summary>
    public static bool Protect(ulong* entry, ulong property)
    {
        while (true)
        {
            ulong old = Volatile.Read(ref *entry);
            ulong kept = AddressMask | Accessed | Dirty | LargeLeaf | Device;
            ulong wanted = property;
            if (property == Hidden)
            {
                kept |= WriteThrough | CacheDisable;
            }
            else if ((old & Device) != 0)
            {
                kept |= WriteThrough | CacheDisable;
                wanted = (property & ~(WriteThrough | CacheDisable)) | NoExecute;
            }
            wanted |= old & kept;
            if (wanted == old) return false;
            if (Interlocked.CompareExchange(ref *entry, wanted, old) == old) return true;
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
        Machine.ZeroPage(table);
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
            CountLink(TableOf(link) << 12, level + 1, -1);
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

    private static void Destroy(ulong table, int level, ref FrameRun run)
    {
        // The table's count says when the rest is empty.
        var entries = (ulong*)Machine.PhysToVirt(table);
        if (level == 1)
        {
            int left = FrameTable.Slot(table >> 12).ReferenceCount;
            for (ulong* entry = entries; left > 0; entry++)
            {
                ulong leaf = *entry;
                if (leaf == 0) continue;
                left--;
                if ((leaf & Device) == 0) run.Add(leaf & AddressMask, 1);
            }
        }
        else
        {
            uint left = level == 4 ? FrameTable.Slot(table >> 12).Mark : (uint)FrameTable.Slot(table >> 12).ReferenceCount;
            for (ulong* next = entries; left > 0; next++)
            {
                ulong entry = *next;
                if (entry == 0) continue;
                left--;
                if ((entry & LargeLeaf) == 0) Destroy(entry & AddressMask, level - 1, ref run);
                else if ((entry & Device) == 0) run.Add(entry & AddressMask, PageSize.PagesInLarge);
            }
        }
        FreeTable(table);
    }

    private static void CountLink(ulong table, int level, int change)
    {
        ref FrameMeta meta = ref FrameTable.Slot(table >> 12);
        if (level == 4) meta.Mark += (uint)change;
        else meta.ReferenceCount += change;
    }

    private static ulong* EntryOf(ulong table, ulong address, int level) =>
        (ulong*)Machine.PhysToVirt(table) + ((address >> (12 + 9 * (level - 1))) & 511);

    // The page number of the table that an entry lies in: tables are reached through the direct map, which is linear.
    private static ulong TableOf(ulong* entry) => (ulong)((byte*)entry - Machine.PhysToVirt(0)) >> 12;
}
