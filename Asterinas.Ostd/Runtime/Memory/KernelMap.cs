using System;
using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// The kernel's half of every address space.
/// <code>
///   PML4 255      0x0000_7f80_0000_0000   GC heap reservations (the runtime tells pointers from offsets by their sign)
///   PML4 256…     0xffff_8000_0000_0000   direct map of RAM
///   PML4 384…     0xffff_c000_0000_0000   kernel virtual areas: stacks, device memory, large heap blocks (KernelArea)
///   PML4 511      0xffff_ffff_8000_0000   the image
/// </code>
/// Entries 255 to 511 exist from boot on, so address spaces share them by copying the entries once.
/// Everything here is mapped W^X: only the image's text is executable, and it is read-only.
/// </summary>
// SAFETY: every pointer is an entry of a table that was reached from the root; tables are frames of state PageTable, in the direct map, and never freed. Callers
// map only frames that they own, W^X; leaf entries of the collector's and the areas' pages change under Lock.
internal static unsafe class KernelMap
{
    public const ulong DirectMapBase = 0xFFFF800000000000;
    public const ulong ImageBase = 0xFFFFFFFF80000000;
    public const ulong GcBase = 0x00007F8000000000;
    public const ulong GcLength = 1UL << 39;
    public const ulong AreaBase = 0xFFFFC00000000000;

    public const ulong Present = 1, Writable = 2, User = 4, WriteThrough = 8, CacheDisable = 16, Large = 128, Global = 256, NoExecute = 1UL << 63;
    /// <summary>Software bit of an absent entry: the page had been committed before.</summary>
    public const ulong WasCommitted = 1UL << 9;
    private const ulong AddressMask = 0x000FFFFFFFFFF000;

    private static ulong s_root;
    private static int s_lock;
    private static ulong s_directMapEnd;

    public static ulong Root => s_root;
    public static void* PhysToVirt(ulong address) => (void*)(DirectMapBase + address);
    public static ulong ImageToPhys(ulong address) => address - ImageBase;

    [RuntimeExport("ostd_kernel_root")]
    private static ulong KernelRoot() => s_root;

    /// <summary>Builds the final tables for RAM below 4 GiB and the image and switches to them.</summary>
    public static void Initialize()
    {
        s_root = NewTable();
        ulong* root = (ulong*)PhysToVirt(s_root);
        for (int i = 255; i < 512; i++) root[i] = NewTable() | Present | Writable;
        MapImage(ImageSymbol.TextStart, ImageSymbol.TextEnd, Global);
        MapImage(ImageSymbol.RodataStart, ImageSymbol.RodataEnd, Global | NoExecute);
        MapImage(ImageSymbol.DataStart, ImageSymbol.KernelEnd, Global | Writable | NoExecute);
    }

    public static void Activate() => X64.WriteCr3(s_root);

    /// <summary>Adds physical memory to the direct map in 2 MiB pages (rounded outwards: the rest of a page is never handed out).</summary>
    public static void AddDirect(ulong start, ulong end)
    {
        start &= ~0x1FFFFFUL;
        end = (end + 0x1FFFFF) & ~0x1FFFFFUL;
        for (ulong at = start; at < end; at += 0x200000)
        {
            Lock();
            ulong* entry = Entry(s_root, DirectMapBase + at, 2, true);
            if (entry == null) Panic.Fail("out of memory for the direct map\n"u8);
            if ((*entry & Present) == 0) *entry = at | Present | Writable | Large | Global | NoExecute;
            Unlock();
        }
        if (end > s_directMapEnd) s_directMapEnd = end;
    }

    /// <summary>Makes a firmware range readable through the direct map (ACPI tables may lie outside RAM).</summary>
    public static bool MapFirmware(ulong start, ulong length)
    {
        if (start + length < start || start + length > 1UL << 46) return false;
        if (s_root == 0) return start + length <= 1UL << 32;
        AddDirect(start, start + length);
        return true;
    }

    [RuntimeExport("ostd_map_firmware")]
    private static int MapFirmwareForManaged(ulong start, ulong length) => MapFirmware(start, length) ? 1 : 0;

    /// <summary>True when a kernel address is mapped: for stack walks over damaged memory.</summary>
    public static bool IsMapped(ulong address)
    {
        if (address < DirectMapBase || s_root == 0) return address >= DirectMapBase;
        ulong* entry = Entry(s_root, address, 1, false);
        return entry != null && (*entry & Present) != 0;
    }

    /// <summary>Maps one 4 KiB page. False when there is no memory for a page table.</summary>
    public static bool Map(ulong address, ulong physical, ulong flags)
    {
        Lock();
        ulong* entry = Entry(s_root, address, 1, true);
        if (entry != null) *entry = physical | flags | Present;
        Unlock();
        return entry != null;
    }

    /// <summary>Removes a page and returns its physical address, or 0 when there was none. The caller flushes and then frees the frame.</summary>
    public static ulong Unmap(ulong address, ulong leave)
    {
        Lock();
        ulong* entry = Entry(s_root, address, 1, false);
        ulong old = entry == null ? 0 : *entry;
        if ((old & Present) != 0) *entry = leave;
        Unlock();
        return (old & Present) != 0 ? old & AddressMask : 0;
    }

    /// <summary>Makes pages of the image's read-only data writable for a moment, or read-only again. False outside of it.</summary>
    public static bool ProtectRodata(ulong address, ulong bytes, bool writable)
    {
        if (address < X64.Symbol(ImageSymbol.RodataStart) || address + bytes > X64.Symbol(ImageSymbol.RodataEnd) || address + bytes < address) return false;
        for (ulong at = address; at < address + bytes; at += 4096)
        {
            ulong* entry = Entry(s_root, at, 1, false);     // the image's tables are complete; the runtime asks from one thread
            *entry = writable ? *entry | Writable : *entry & ~Writable;
        }
        Tlb.Flush(0, address, bytes >> 12);
        return true;
    }

    /// <summary>Whether the 2 MiB around an address have a page table at all.</summary>
    public static bool HasTable(ulong address)
    {
        ulong* entry = Entry(s_root, address, 2, false);
        return entry != null && (*entry & Present) != 0;
    }

    /// <summary>The page's entry, or 0.</summary>
    public static ulong Query(ulong address)
    {
        ulong* entry = Entry(s_root, address, 1, false);
        return entry == null ? 0 : *entry;
    }

    private static void MapImage(ImageSymbol from, ImageSymbol to, ulong flags)
    {
        ulong end = (X64.Symbol(to) + 0xFFF) & ~0xFFFUL;
        for (ulong at = X64.Symbol(from); at < end; at += 4096)
        {
            if (!Map(at, ImageToPhys(at), flags)) Panic.Fail("out of memory for the image's map\n"u8);
        }
    }

    /// <summary>The entry for an address at a level (1 = 4 KiB, 2 = 2 MiB); a larger page on the way is returned itself.</summary>
    private static ulong* Entry(ulong root, ulong address, int level, bool create)
    {
        ulong table = root;
        for (int at = 4; ; at--)
        {
            ulong* entry = (ulong*)PhysToVirt(table) + ((address >> (12 + 9 * (at - 1))) & 511);
            if (at == level || (at < 4 && (*entry & (Present | Large)) == (Present | Large))) return entry;
            if ((*entry & Present) == 0)
            {
                if (!create) return null;
                ulong next = NewTable();
                if (next == 0) return null;
                *entry = next | Present | Writable;
            }
            table = *entry & AddressMask;
        }
    }

    private static ulong NewTable()
    {
        ulong table = FrameReserve.Allocate(0, FrameState.PageTable);
        if (table != 0) X64.Fill(PhysToVirt(table), 0, 4096);
        return table;
    }

    private static void Lock()
    {
        while (Interlocked.CompareExchange(ref s_lock, 1, 0) != 0) X64.Pause();
    }

    private static void Unlock() => Volatile.Write(ref s_lock, 0);
}
