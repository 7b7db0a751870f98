using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// Virtual addresses for stacks, device memory and large heap blocks. One region of 64 GiB a size class (32 KiB · 2^n); a bitmap a class,
/// made when the class is first used. Slots are aligned to their size. Freed slots are used again; the search starts where the last one ended.
/// </summary>
// SAFETY: a bitmap has one bit a slot, frames of its own, and lives for ever; slots are checked against its size and handed out once, under Lock. Pages of a freed
// area are unmapped and flushed before their frames go back.
internal static unsafe class KernelArea
{
    private const int Classes = 16;
    private const int MinShift = 15;
    private const ulong RegionBytes = 64UL << 30;

    private struct State
    {
        public fixed ulong Bitmaps[Classes];        // pointers
        public fixed ulong Hints[Classes];
        public int Lock;
    }

    private static State s_state;

    /// <summary>A range of at least <paramref name="bytes"/>, unmapped; 0 when there is none.</summary>
    public static ulong Allocate(ulong bytes)
    {
        int index = ClassOf(bytes);
        if (index >= Classes) return 0;
        ulong slots = RegionBytes >> (MinShift + index);
        if (slots > 1 << 18) slots = 1 << 18;
        ulong words = (slots + 63) / 64;
        Lock();
        ulong* bitmap = (ulong*)s_state.Bitmaps[index];
        if (bitmap == null)
        {
            int order = 0;
            while ((4096UL << order) < words * 8) order++;
            ulong frames = FrameReserve.Allocate(order, FrameState.KernelHeap);
            if (frames == 0)
            {
                Unlock();
                return 0;
            }
            bitmap = (ulong*)KernelMap.PhysToVirt(frames);
            X64.Fill(bitmap, 0, (nuint)(4096UL << order));
            s_state.Bitmaps[index] = (ulong)bitmap;
        }
        ulong start = s_state.Hints[index];
        for (ulong i = 0; i < words; i++)
        {
            ulong word = (start + i) % words;
            if (bitmap[word] == ulong.MaxValue) continue;
            int bit = 0;
            while ((bitmap[word] >> bit & 1) != 0) bit++;
            ulong slot = word * 64 + (ulong)bit;
            if (slot >= slots) continue;
            bitmap[word] |= 1UL << bit;
            s_state.Hints[index] = word;
            Unlock();
            return KernelMap.AreaBase + (ulong)index * RegionBytes + (slot << (MinShift + index));
        }
        Unlock();
        return 0;
    }

    public static void Free(ulong address, ulong bytes)
    {
        int index = ClassOf(bytes);
        ulong slot = (address - KernelMap.AreaBase - (ulong)index * RegionBytes) >> (MinShift + index);
        Lock();
        ulong* bitmap = (ulong*)s_state.Bitmaps[index];
        ulong mask = 1UL << (int)(slot & 63);
        if ((bitmap[slot / 64] & mask) == 0) Panic.Fail("kernel area freed twice\n"u8);
        bitmap[slot / 64] &= ~mask;
        Unlock();
    }

    /// <summary>Maps fresh frames over part of an area. All or nothing.</summary>
    public static bool Populate(ulong start, ulong bytes, FrameState state, bool zero)
    {
        for (ulong at = start; at < start + bytes; at += 4096)
        {
            ulong frame = FrameReserve.Allocate(0, state);
            if (frame != 0 && zero) X64.Fill(KernelMap.PhysToVirt(frame), 0, 4096);
            if (frame != 0 && KernelMap.Map(at, frame, KernelMap.Writable | KernelMap.NoExecute)) continue;
            if (frame != 0) FrameReserve.Free(frame, 0);
            Depopulate(start, at - start);
            return false;
        }
        return true;
    }

    /// <summary>Unmaps, flushes every TLB, then frees the frames.</summary>
    public static void Depopulate(ulong start, ulong bytes)
    {
        ulong at = start;
        while (at < start + bytes)
        {
            ulong* batch = stackalloc ulong[64];
            int count = 0;
            ulong first = at;
            while (at < start + bytes && count < 64)
            {
                ulong frame = KernelMap.Unmap(at, 0);
                if (frame != 0) batch[count++] = frame;
                at += 4096;
            }
            Tlb.Flush(0, first, (at - first) >> 12);
            for (int i = 0; i < count; i++) FrameReserve.Free(batch[i], 0);
        }
    }

    /// <summary>Maps device memory. Cache type: 0 uncached, 1 write-combining, 2 write-back. Returns 0 when there is no address space or memory.</summary>
    [RuntimeExport("ostd_map_io")]
    private static nint MapIo(ulong physical, nuint bytes, int cacheType)
    {
        ulong offset = physical & 0xFFF, length = (bytes + offset + 0xFFF) & ~0xFFFUL;
        if (bytes == 0 || physical + bytes < physical || physical + bytes > 1UL << 46) return 0;
        ulong start = Allocate(length);
        if (start == 0) return 0;
        // PAT is left at its reset value: entry 3 (PCD, PWT) uncached, entry 1 (PWT) is set to write-combining at boot.
        ulong cache = cacheType == 0 ? KernelMap.CacheDisable | KernelMap.WriteThrough : cacheType == 1 ? KernelMap.WriteThrough : 0;
        for (ulong at = 0; at < length; at += 4096)
        {
            if (KernelMap.Map(start + at, (physical & ~0xFFFUL) + at, KernelMap.Writable | KernelMap.NoExecute | cache)) continue;
            UnmapIo((nint)start, (nuint)length);
            return 0;
        }
        return (nint)(start + offset);
    }

    [RuntimeExport("ostd_unmap_io")]
    private static void UnmapIo(nint address, nuint bytes)
    {
        ulong start = (ulong)address & ~0xFFFUL, length = (bytes + ((ulong)address & 0xFFF) + 0xFFF) & ~0xFFFUL;
        for (ulong at = 0; at < length; at += 4096) KernelMap.Unmap(start + at, 0);
        Tlb.Flush(0, start, length >> 12);
        Free(start, length);
    }

    private static int ClassOf(ulong bytes)
    {
        int index = 0;
        while (1UL << (MinShift + index) < bytes && index < Classes) index++;
        return index;
    }

    private static void Lock()
    {
        while (Interlocked.CompareExchange(ref s_state.Lock, 1, 0) != 0) X64.Pause();
    }

    private static void Unlock() => Volatile.Write(ref s_state.Lock, 0);
}
