using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// The buddy allocator of the mechanism itself. It owns all RAM at boot; what the runtime commits, page tables, stacks and the kernel heap come from
/// here without asking any managed policy. Blocks of 2^order pages, order 0 to 10 (4 MiB). Free lists are doubly linked through the metadata.
///
/// INVARIANT: a block is on the free list of its order if and only if its first page is in state Free with that Order; the other pages of the
/// block are Free with Order -1. All of it under s_lock.
/// </summary>
// SAFETY: page numbers are checked against s_count where they come in; links and buddies name pages below it by the invariant. Slots are never freed.
internal static unsafe class FrameReserve
{
    public const int MaxOrder = 10;

    private struct Heads
    {
        public fixed uint First[MaxOrder + 1];
    }

    private static FrameMeta* s_metas;
    private static ulong s_count;
    private static Heads s_heads;
    private static int s_lock;
    private static ulong s_freePages;
    private static ulong s_totalPages;
    private static ulong s_lowWater;

    public static FrameMeta* Metas => s_metas;
    public static ulong Count => s_count;
    public static ulong FreePages => s_freePages;
    public static ulong TotalPages => s_totalPages;

    /// <summary>Fewer free pages than this, and every allocation notes the event that makes managed code refill the reserve. 0: never.</summary>
    public static ulong LowWater
    {
        get => Volatile.Read(ref s_lowWater);
        set => Volatile.Write(ref s_lowWater, value);
    }

    /// <summary>Takes over a zeroed metadata array: every page is Reserved until a range is added.</summary>
    public static void Initialize(FrameMeta* metas, ulong count)
    {
        s_metas = metas;
        s_count = count;
        s_freePages = 0;
        s_totalPages = 0;
        s_lowWater = 0;
        s_lock = 0;
        for (int i = 0; i <= MaxOrder; i++) s_heads.First[i] = 0;
    }

    /// <summary>Gives RAM to the reserve. Pages beyond the metadata or already known are left out.</summary>
    public static void AddRange(ulong start, ulong pages)
    {
        ulong first = start >> 12;
        Lock();
        for (ulong pfn = first; pfn < first + pages && pfn < s_count; pfn++)
        {
            if (s_metas[pfn].State != (int)FrameState.Reserved) continue;
            s_metas[pfn].State = (int)FrameState.Free;
            s_totalPages++;
            Insert(pfn, 0);
        }
        Unlock();
    }

    /// <summary>A block of 2^order pages in the given state, as its physical address; 0 when there is none. Contents are whatever they were.</summary>
    public static ulong Allocate(int order, FrameState state)
    {
        if (order < 0 || order > MaxOrder || state <= FrameState.Free) return 0;
        Lock();
        int at = order;
        while (at <= MaxOrder && s_heads.First[at] == 0) at++;
        if (at > MaxOrder)
        {
            Unlock();
            if (s_lowWater != 0) ReserveEvents.NoteLow();
            return 0;
        }
        ulong pfn = s_heads.First[at] - 1;
        Remove(pfn, at);
        while (at > order)
        {
            at--;
            Link(pfn + (1UL << at), at);
        }
        for (ulong i = 0; i < 1UL << order; i++)
        {
            FrameMeta* meta = s_metas + pfn + i;
            meta->State = (int)state;
            meta->Order = -1;
            meta->Next = meta->Previous = 0;
            meta->ReferenceCount = 0;
            meta->Owner = 0;
            meta->Generation++;
        }
        s_metas[pfn].Order = order;
        s_freePages -= 1UL << order;
        bool isLow = s_freePages < s_lowWater;
        Unlock();
        if (isLow) ReserveEvents.NoteLow();
        return pfn << 12;
    }

    /// <summary>Returns a block. False, and nothing done, when it is not an allocated block of that order (a double free, a forged address).</summary>
    public static bool Free(ulong address, int order)
    {
        ulong pfn = address >> 12;
        if ((address & 0xFFF) != 0 || order < 0 || order > MaxOrder || pfn + (1UL << order) > s_count || (pfn & ((1UL << order) - 1)) != 0) return false;
        Lock();
        for (ulong i = 0; i < 1UL << order; i++)
        {
            if (s_metas[pfn + i].State > (int)FrameState.Free) continue;
            Unlock();
            return false;
        }
        for (ulong i = 0; i < 1UL << order; i++)
        {
            s_metas[pfn + i].State = (int)FrameState.Free;
            s_metas[pfn + i].Order = -1;
        }
        Insert(pfn, order);
        Unlock();
        return true;
    }

    private static void Insert(ulong pfn, int order)
    {
        s_freePages += 1UL << order;
        while (order < MaxOrder)
        {
            ulong buddy = pfn ^ (1UL << order);
            if (buddy >= s_count || s_metas[buddy].State != (int)FrameState.Free || s_metas[buddy].Order != order) break;
            Remove(buddy, order);
            s_metas[pfn].Order = -1;
            if (buddy < pfn) pfn = buddy;
            order++;
        }
        Link(pfn, order);
    }

    private static void Link(ulong pfn, int order)
    {
        FrameMeta* meta = s_metas + pfn;
        meta->Order = order;
        meta->Previous = 0;
        meta->Next = s_heads.First[order];
        if (meta->Next != 0) s_metas[meta->Next - 1].Previous = (uint)pfn + 1;
        s_heads.First[order] = (uint)pfn + 1;
    }

    private static void Remove(ulong pfn, int order)
    {
        FrameMeta* meta = s_metas + pfn;
        if (meta->Previous != 0) s_metas[meta->Previous - 1].Next = meta->Next;
        else s_heads.First[order] = meta->Next;
        if (meta->Next != 0) s_metas[meta->Next - 1].Previous = meta->Previous;
        meta->Next = meta->Previous = 0;
        meta->Order = -1;
    }

    private static void Lock()
    {
        while (Interlocked.CompareExchange(ref s_lock, 1, 0) != 0) SpinHint.Pause();
    }

    private static void Unlock() => Volatile.Write(ref s_lock, 0);
}
