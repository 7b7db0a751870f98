using System;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Smp;

namespace Asterinas.Services.Allocators;

/// <summary>
/// The slab allocator: fifteen sizes of slots, for each a magazine a CPU (<see cref="SlotMagazine"/>) over the slabs of that size (<see cref="SlabPool"/>), injected once
/// at boot.
/// <code>
///   allocate   the CPU's magazine ── empty ──► half a magazine out of slabs, a new slab if need be ── no memory ──► another CPU's magazine ──► null
///   free       the CPU's magazine ── full ──► half of it to the slabs; slabs that become free are freed, but for a few
/// </code>
/// Steady state allocates nothing on the GC heap; a new slab does. LOCK ORDER: a magazine's claim, a pool's lock, a slab's gate; never two of a kind.
/// </summary>
public sealed class SlabAllocator : ISlabAllocator
{
    private const int MostMagazineSlots = 32, LeastMagazineSlots = 8, MagazineBytes = 8192;
    private const int Patience = 1000;

    private readonly SlabPool[] _pools = new SlabPool[SizeClasses.Count];
    private readonly SlotMagazine[][] _magazines;       // by CPU and class
    private readonly CpuLocal<SlotMagazine[]> _local;

    /// <summary>An allocator without slabs.</summary>
    public SlabAllocator()
    {
        for (int i = 0; i < _pools.Length; i++) _pools[i] = new SlabPool(SizeClasses.SizeOf(i));
        _magazines = new SlotMagazine[CpuSet.Online.Count][];
        for (int cpu = 0; cpu < _magazines.Length; cpu++) _magazines[cpu] = CreateMagazines();
        _local = new CpuLocal<SlotMagazine[]>(cpu => _magazines[cpu]);
    }

    /// <summary>Slots in the CPUs' magazines. A snapshot.</summary>
    public long CachedSlots
    {
        get
        {
            long sum = 0;
            foreach (SlotMagazine[] ofCpu in _magazines)
            {
                foreach (SlotMagazine magazine in ofCpu) sum += magazine.Count;
            }
            return sum;
        }
    }

    /// <inheritdoc/>
    public HeapSlot? Allocate(int size)
    {
        int sizeClass = SizeClasses.ClassOf(size);
        SlotMagazine magazine = _local.Value[sizeClass];
        HeapSlot slot;
        if (magazine.TryClaim())
        {
            bool isFound = magazine.TryPop(out slot);
            magazine.Release();
            if (isFound) return slot;
            return Refill(magazine, sizeClass);
        }
        slot = default;
        return _pools[sizeClass].Take(new Span<HeapSlot>(ref slot)) != 0 ? slot : null;
    }

    /// <inheritdoc/>
    public void Deallocate(HeapSlot slot)
    {
        int sizeClass = SizeClasses.ClassOf(slot.Size);
        SlotMagazine magazine = _local.Value[sizeClass];
        if (magazine.TryClaim())
        {
            if (magazine.TryPush(slot))
            {
                magazine.Release();
                return;
            }
            EmptyAndRelease(magazine, _pools[sizeClass], magazine.Capacity / 2);
        }
        _pools[sizeClass].Return(new ReadOnlySpan<HeapSlot>(in slot));
    }

    /// <summary>Gives up what is kept for later: magazines and free slabs. For times of little memory.</summary>
    public void Trim()
    {
        for (int i = 0; i < _pools.Length; i++)
        {
            foreach (SlotMagazine[] ofCpu in _magazines)
            {
                if (Claim(ofCpu[i])) EmptyAndRelease(ofCpu[i], _pools[i], ofCpu[i].Count);
            }
            _pools[i].Trim();
        }
    }

    private HeapSlot? Refill(SlotMagazine magazine, int sizeClass)
    {
        // Not under the claim: a new slab is an allocation.
        HeapSlotBuffer buffer = default;
        Span<HeapSlot> slots = buffer;
        slots = slots[..(magazine.Capacity / 2)];
        int count = _pools[sizeClass].Take(slots);
        if (count == 0) return Steal(sizeClass);
        int kept = 1;
        if (magazine.TryClaim())
        {
            while (kept < count && magazine.TryPush(slots[kept])) kept++;
            magazine.Release();
        }
        if (kept < count) _pools[sizeClass].Return(slots[kept..count]);
        return slots[0];
    }

    private HeapSlot? Steal(int sizeClass)
    {
        foreach (SlotMagazine[] ofCpu in _magazines)
        {
            SlotMagazine other = ofCpu[sizeClass];
            if (other.Count == 0 || !Claim(other)) continue;
            bool isFound = other.TryPop(out HeapSlot slot);
            other.Release();
            if (isFound) return slot;
        }
        return null;
    }

    private static void EmptyAndRelease(SlotMagazine magazine, SlabPool pool, int count)
    {
        HeapSlotBuffer buffer = default;
        Span<HeapSlot> slots = buffer;
        int taken = 0;
        while (taken < count && magazine.TryPop(out slots[taken])) taken++;
        magazine.Release();
        pool.Return(slots[..taken]);
    }

    private static bool Claim(SlotMagazine magazine)
    {
        for (int i = 0; i < Patience; i++)
        {
            if (magazine.TryClaim()) return true;
        }
        return false;
    }

    private static SlotMagazine[] CreateMagazines()
    {
        var magazines = new SlotMagazine[SizeClasses.Count];
        for (int i = 0; i < magazines.Length; i++)
        {
            magazines[i] = new SlotMagazine(Math.Clamp(MagazineBytes / SizeClasses.SizeOf(i), LeastMagazineSlots, MostMagazineSlots));
        }
        return magazines;
    }

    /// <summary>Slots on the stack: room for any magazine.</summary>
    [System.Runtime.CompilerServices.InlineArray(MostMagazineSlots)]
    private struct HeapSlotBuffer
    {
        private HeapSlot _first;
    }
}
