using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// mmap, mprotect, munmap and madvise as the garbage collector uses them: reserve address space, commit, decommit, release.
/// All of it lies in PML4 slot 255. Commit is eager: a page that was committed never faults, so running out of memory is an error
/// of the commit (the runtime turns it into <c>OutOfMemoryException</c>), not a fault later.
/// </summary>
// SAFETY: every range is checked to lie in the collector's slot, where nothing else is ever mapped; frames become reachable zeroed, and are freed only after they were
// unmapped and flushed. The free list is indexed below Count, which stays at most MaxRanges; under Lock.
internal static unsafe class GcMemory
{
    private const int MaxRanges = 1024;
    private const int ProtNone = 0, ProtWrite = 2, ProtExec = 4;
    private const int MapFixed = 0x10, MapAnonymous = 0x20;
    private const int AdviceDontNeed = 4;

    private struct Range
    {
        public ulong Start, Length;
    }

    private struct State
    {
        public fixed ulong Free[MaxRanges * 2];     // sorted, disjoint, never adjacent
        public int Count;
        public int Lock;
        public long CommittedPages, DecommittedPages, RecommittedPages, PeakPages;
    }

    private static State s_state;

    public static void Initialize()
    {
        // The first GiB of the slot stays unused: nothing near the user limit.
        fixed (ulong* free = s_state.Free)
        {
            free[0] = KernelMap.GcBase + (1UL << 30);
            free[1] = KernelMap.GcLength - (2UL << 30);
        }
        s_state.Count = 1;
    }

    [RuntimeExport("mmap64")]
    private static void* Map(ulong address, nuint length, int protection, int flags, int descriptor, long offset)
    {
        ulong bytes = (length + 4095) & ~4095UL;
        if (bytes == 0 || (flags & MapAnonymous) == 0 || descriptor != -1 || (protection & ProtExec) != 0) return Fail(Errno.EINVAL);
        if ((flags & MapFixed) != 0)
        {
            if (!InSlot(address, bytes)) return Fail(Errno.EINVAL);
            Decommit(address, bytes);
            if (protection != ProtNone && !Commit(address, bytes)) return Fail(Errno.ENOMEM);
            return (void*)address;
        }
        Lock();
        ulong start = Take(bytes);
        Unlock();
        if (start == 0) return Fail(Errno.ENOMEM);
        if (protection != ProtNone && !Commit(start, bytes))
        {
            Lock();
            Give(start, bytes);
            Unlock();
            return Fail(Errno.ENOMEM);
        }
        return (void*)start;
    }

    [RuntimeExport("munmap")]
    private static int Unmap(ulong address, nuint length)
    {
        ulong bytes = (length + 4095) & ~4095UL;
        if (bytes == 0 || (address & 4095) != 0 || !InSlot(address, bytes)) return Errno.Fail(Errno.EINVAL);
        Decommit(address, bytes);
        Lock();
        bool given = Give(address, bytes);
        Unlock();
        return given ? 0 : Errno.Fail(Errno.ENOMEM);
    }

    [RuntimeExport("mprotect")]
    private static int Protect(ulong address, nuint length, int protection)
    {
        ulong bytes = (length + 4095) & ~4095UL;
        if ((address & 4095) != 0 || (protection & ProtExec) != 0) return Errno.Fail(Errno.EINVAL);
        // Outside the slot only the image's read-only data is asked for: the runtime sets its stack cookie there once, at start.
        if (!InSlot(address, bytes)) return KernelMap.ProtectRodata(address, bytes, (protection & ProtWrite) != 0) ? 0 : Errno.Fail(Errno.ENOMEM);
        if (protection == ProtNone)
        {
            // Not the decommit (that is mmap): contents must survive, and the runtime never asks for it on a committed page.
            return Errno.Fail(Errno.EINVAL);
        }
        return Commit(address, bytes) ? 0 : Errno.Fail(Errno.ENOMEM);
    }

    [RuntimeExport("madvise")]
    private static int Advise(ulong address, nuint length, int advice)
    {
        if (advice != AdviceDontNeed) return 0;     // the others are hints (man 2 madvise)
        ulong bytes = (length + 4095) & ~4095UL;
        if (!InSlot(address, bytes)) return Errno.Fail(Errno.EINVAL);
        for (ulong at = address; at < address + bytes; at += 4096)
        {
            if ((KernelMap.Query(at) & KernelMap.Present) != 0) X64.Fill((void*)at, 0, 4096);
        }
        return 0;
    }

    // Nothing is ever paged out: everything is locked.
    [RuntimeExport("mlock")] private static int LockPages(void* address, nuint length) => 0;
    [RuntimeExport("munlock")] private static int UnlockPages(void* address, nuint length) => 0;

    /// <summary>Counters for diagnostics: 0 committed pages now, 1 decommitted in total, 2 recommitted in total, 3 peak.</summary>
    [RuntimeExport("ostd_gc_memory_counter")]
    private static long Counter(int index) => index switch
    {
        0 => Volatile.Read(ref s_state.CommittedPages),
        1 => Volatile.Read(ref s_state.DecommittedPages),
        2 => Volatile.Read(ref s_state.RecommittedPages),
        _ => Volatile.Read(ref s_state.PeakPages),
    };

    private static bool Commit(ulong address, ulong bytes)
    {
        for (ulong at = address; at < address + bytes; at += 4096)
        {
            ulong old = KernelMap.Query(at);
            if ((old & KernelMap.Present) != 0) continue;
            ulong frame = FrameReserve.Allocate(0, FrameState.GcHeap);
            if (frame == 0 && Stacks.Drain()) frame = FrameReserve.Allocate(0, FrameState.GcHeap);
            if (frame != 0) X64.Fill(KernelMap.PhysToVirt(frame), 0, 4096);
            if (frame == 0 || !KernelMap.Map(at, frame, KernelMap.Writable | KernelMap.NoExecute | KernelMap.Global))
            {
                if (frame != 0) FrameReserve.Free(frame, 0);
                Decommit(address, at - address);
                return false;
            }
            long now = Interlocked.Increment(ref s_state.CommittedPages);
            if (now > s_state.PeakPages) s_state.PeakPages = now;
            if ((old & KernelMap.WasCommitted) != 0) Interlocked.Increment(ref s_state.RecommittedPages);
        }
        return true;
    }

    private static void Decommit(ulong address, ulong bytes)
    {
        ulong at = address;
        ulong* batch = stackalloc ulong[128];
        while (at < address + bytes)
        {
            int count = 0;
            ulong first = at;
            while (at < address + bytes && count < 128)
            {
                if ((at & 0x1FFFFF) == 0 && !KernelMap.HasTable(at))
                {
                    at += 0x200000;         // nothing below was ever committed
                    if (count == 0) first = at;
                    continue;
                }
                ulong frame = KernelMap.Unmap(at, KernelMap.WasCommitted);
                if (frame != 0) batch[count++] = frame;
                at += 4096;
            }
            if (count == 0) continue;
            Tlb.Flush(0, first, (at - first) >> 12);
            for (int i = 0; i < count; i++) FrameReserve.Free(batch[i], 0);
            Interlocked.Add(ref s_state.CommittedPages, -count);
            Interlocked.Add(ref s_state.DecommittedPages, count);
        }
    }

    private static bool InSlot(ulong address, ulong bytes) =>
        address >= KernelMap.GcBase && bytes <= KernelMap.GcLength && address - KernelMap.GcBase <= KernelMap.GcLength - bytes;

    private static ulong Take(ulong bytes)
    {
        fixed (ulong* raw = s_state.Free)
        {
            Range* free = (Range*)raw;
            for (int i = 0; i < s_state.Count; i++)
            {
                if (free[i].Length < bytes) continue;
                ulong start = free[i].Start;
                free[i].Start += bytes;
                free[i].Length -= bytes;
                if (free[i].Length == 0) Remove(free, i);
                return start;
            }
        }
        return 0;
    }

    private static bool Give(ulong start, ulong bytes)
    {
        fixed (ulong* raw = s_state.Free)
        {
            Range* free = (Range*)raw;
            int at = 0;
            while (at < s_state.Count && free[at].Start < start) at++;
            if (at < s_state.Count && start + bytes > free[at].Start) return true;      // already free: munmap of a hole succeeds
            if (at > 0 && free[at - 1].Start + free[at - 1].Length == start)
            {
                free[at - 1].Length += bytes;
                if (at < s_state.Count && free[at].Start == start + bytes)
                {
                    free[at - 1].Length += free[at].Length;
                    Remove(free, at);
                }
                return true;
            }
            if (at < s_state.Count && free[at].Start == start + bytes)
            {
                free[at].Start = start;
                free[at].Length += bytes;
                return true;
            }
            if (s_state.Count == MaxRanges) return false;
            for (int i = s_state.Count; i > at; i--) free[i] = free[i - 1];
            free[at].Start = start;
            free[at].Length = bytes;
            s_state.Count++;
            return true;
        }
    }

    private static void Remove(Range* free, int index)
    {
        for (int i = index; i + 1 < s_state.Count; i++) free[i] = free[i + 1];
        s_state.Count--;
    }

    private static void* Fail(int error)
    {
        Errno.Set(error);
        return (void*)-1;
    }

    private static void Lock()
    {
        while (Interlocked.CompareExchange(ref s_state.Lock, 1, 0) != 0) X64.Pause();
    }

    private static void Unlock() => Volatile.Write(ref s_state.Lock, 0);
}
