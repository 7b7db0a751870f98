using System;
using System.Runtime.InteropServices;
using System.Threading;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Runtime;

namespace Asterinas.Ostd.Arch;

/// <summary>
/// Simulated physical memory: one block of host memory, the same reserve and the same page-table format as on x86-64, and a software page walk where
/// the CPU has an MMU. Every call to <see cref="Initialize"/> is a fresh machine; blocks of earlier machines stay allocated, so a forgotten handle's
/// finalizer never meets freed memory (it compares <see cref="MemoryEpoch"/> and does nothing).
/// </summary>
// SAFETY: every address is checked against the block's size before it becomes a pointer, and blocks are never freed.
internal static unsafe partial class Machine
{
    /// <summary>First address beyond user space, as on x86-64.</summary>
    public const ulong UserEnd = 0x00007F8000000000;
    private const ulong DefaultMemoryBytes = 64UL << 20;
    private const ulong FirstFreeByte = 1UL << 20;

    private static byte* s_memory;
    private static ulong s_memoryBytes;
    private static FrameMeta* s_metas;
    private static ulong s_kernelRoot;
    private static ulong s_activeRoot;
    private static int s_memoryEpoch;
    private static readonly Lock s_memoryLock = new();

    /// <summary>Number of the simulated machine: grows with each <see cref="Initialize"/>.</summary>
    public static int MemoryEpoch
    {
        get
        {
            EnsureMemory();
            return s_memoryEpoch;
        }
    }

    /// <summary>How often a TLB flush was asked for, and by whom tests can be told: (root, address, pages).</summary>
    public static long FlushCount;
    public static Action<ulong, ulong, ulong>? OnFlush;

    /// <summary>Switches on a fresh machine with so many bytes of RAM, a multiple of 2 MiB, at least 4 MiB. The first MiB is firmware's.</summary>
    public static void Initialize(ulong bytes)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bytes, 4UL << 20);
        if (bytes % (2UL << 20) != 0) throw new ArgumentOutOfRangeException(nameof(bytes));
        lock (s_memoryLock)
        {
            byte* memory = (byte*)NativeMemory.AlignedAlloc((nuint)bytes, 2 << 20);
            ulong frames = bytes >> 12;
            s_metas = (FrameMeta*)NativeMemory.AllocZeroed((nuint)frames, (nuint)sizeof(FrameMeta));
            s_memoryBytes = bytes;
            s_memory = memory;
            s_memoryEpoch++;
            FrameReserve.Initialize(s_metas, frames);
            FrameReserve.AddRange(FirstFreeByte, (bytes - FirstFreeByte) >> 12);
            s_kernelRoot = NewKernelTable();
            ulong shared = NewKernelTable() | PageTable.Present | PageTable.Writable;
            for (int i = 255; i < 512; i++) ((ulong*)(s_memory + s_kernelRoot))[i] = shared;
            s_activeRoot = s_kernelRoot;
            FlushCount = 0;
            OnFlush = null;
            OnCacheFlush = null;
            FrameAllocator.Reset();
        }
    }

    public static byte* PhysToVirt(ulong physical)
    {
        EnsureMemory();
        if (physical >= s_memoryBytes) throw new InvalidOperationException($"physical address {physical:x} is beyond the simulated RAM");
        return s_memory + physical;
    }

    public static FrameMeta* FrameMetas()
    {
        EnsureMemory();
        return s_metas;
    }

    public static ulong FrameCount()
    {
        EnsureMemory();
        return s_memoryBytes >> 12;
    }

    public static ulong ReserveAllocate(int order)
    {
        EnsureMemory();
        return FrameReserve.Allocate(order, FrameState.Unused);
    }

    public static int ReserveFree(ulong physical, int order) => FrameReserve.Free(physical, order) ? 1 : 0;

    public static ulong ReserveFreePages()
    {
        EnsureMemory();
        return FrameReserve.FreePages;
    }

    /// <summary>Host threads have host stacks.</summary>
    public static ulong IdleStackPages() => 0;

    public static void ReserveSetLowWater(ulong pages)
    {
        EnsureMemory();
        FrameReserve.LowWater = pages;
    }

    public static ulong KernelRoot()
    {
        EnsureMemory();
        return s_kernelRoot;
    }

    public static void ActivateRoot(ulong physical) => Volatile.Write(ref s_activeRoot, physical);

    public static ulong ActiveRoot()
    {
        EnsureMemory();
        return Volatile.Read(ref s_activeRoot);
    }

    public static void FlushTlb(ulong root, ulong address, ulong pages)
    {
        Interlocked.Increment(ref FlushCount);
        OnFlush?.Invoke(root, address, pages);
    }

    /// <summary>Told of each range that is written back from the caches: (physical address, bytes).</summary>
    public static Action<ulong, ulong>? OnCacheFlush { get; set; }

    public static void FlushCache(byte* address, nuint bytes) => OnCacheFlush?.Invoke((ulong)(address - s_memory), bytes);

    /// <summary>What a device reads from RAM.</summary>
    public static ulong ReadPhysical(ulong physical) => Volatile.Read(ref *(ulong*)PhysToVirt(physical & ~7UL));

    /// <summary>What a device writes to RAM.</summary>
    public static void WritePhysical32(ulong physical, uint value) => Volatile.Write(ref *(uint*)PhysToVirt(physical & ~3UL), value);

    public static nuint CopyFromUser(byte* destination, ulong source, nuint count) =>
        WalkUser(source, count, false, (page, done, length) => Buffer.MemoryCopy((void*)page, destination + done, length, length));

    public static nuint CopyToUser(ulong destination, byte* source, nuint count) =>
        WalkUser(destination, count, true, (page, done, length) => Buffer.MemoryCopy(source + done, (void*)page, length, length));

    public static nuint ZeroUser(ulong destination, nuint count) =>
        WalkUser(destination, count, true, (page, done, length) => NativeMemory.Clear((void*)page, length));

    public static int CompareExchangeUser32(ulong address, uint expected, uint value, uint* found)
    {
        if ((address & 3) != 0 || address >= UserEnd) return 0;
        ulong physical = PageTable.TranslateUser(ActiveRoot(), address, true);
        if (physical == 0) return 0;
        *found = Interlocked.CompareExchange(ref *(uint*)PhysToVirt(physical), value, expected);
        return 1;
    }

    private static nuint WalkUser(ulong address, nuint count, bool write, Action<nint, nuint, nuint> copy)
    {
        if (address >= UserEnd || count > UserEnd - address) return 0;
        nuint done = 0;
        while (done < count)
        {
            ulong at = address + done;
            ulong physical = PageTable.TranslateUser(ActiveRoot(), at, write);
            if (physical == 0) break;
            nuint chunk = (nuint)Math.Min(count - done, 4096 - (at & 4095));
            copy((nint)PhysToVirt(physical), done, chunk);
            done += chunk;
        }
        return done;
    }

    private static ulong NewKernelTable()
    {
        ulong table = FrameReserve.Allocate(0, FrameState.PageTable);
        NativeMemory.Clear(s_memory + table, 4096);
        return table;
    }

    private static void EnsureMemory()
    {
        if (s_memory != null) return;
        lock (s_memoryLock)
        {
            if (s_memory == null) Initialize(DefaultMemoryBytes);
        }
    }
}
