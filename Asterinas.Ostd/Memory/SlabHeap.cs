using System;
using System.Collections.Generic;
using System.Numerics;
using System.Threading;

namespace Asterinas.Ostd.Memory;

/// <summary>
/// The policy that chooses slots. What it answers is checked: a slot that a client has, or that is too small, fails the allocation. Called from any
/// task, possibly at the same time.
/// </summary>
public interface ISlabAllocator
{
    /// <summary>Offers a slot it took from a slab; null when there is no memory.</summary>
    /// <param name="size">Least bytes, from 1 to 2,048.</param>
    HeapSlot? Allocate(int size);

    /// <summary>Takes a slot back, to return it to its slab or to offer it again.</summary>
    /// <param name="slot">A taken slot.</param>
    void Deallocate(HeapSlot slot);
}

/// <summary>A slab allocator offered a slot that is in use, stale, or too small.</summary>
public sealed class SlabPolicyViolationException : InvalidOperationException
{
    internal SlabPolicyViolationException(string message) : base(message)
    {
    }
}

/// <summary>Kernel data outside the garbage collector's heap, in slots chosen by the injected <see cref="ISlabAllocator"/>.</summary>
public static class SlabHeap
{
    private static ISlabAllocator s_policy = new DefaultSlabAllocator();

    /// <summary>Makes a policy choose all slots from now on. Slots handed out before go to it when they are freed.</summary>
    /// <param name="policy">The allocator.</param>
    public static void Inject(ISlabAllocator policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        Volatile.Write(ref s_policy, policy);
    }

    /// <summary>A zeroed slot; null when there is no memory.</summary>
    /// <param name="size">Least bytes, from 1 to 2,048.</param>
    /// <exception cref="SlabPolicyViolationException">The injected allocator lied.</exception>
    public static HeapSlot? TryAllocate(int size)
    {
        if (size is < 1 or > Slab.LargestSlot) throw new ArgumentOutOfRangeException(nameof(size));
        ISlabAllocator policy = Volatile.Read(ref s_policy);
        HeapSlot? offered = policy.Allocate(size);
        if (offered is not { } slot) return null;
        if (slot.Slab is null || slot.Size < size || slot.Slab.Hand(slot) is not { } handed)
        {
            throw new SlabPolicyViolationException($"slab allocator {policy.GetType().Name}: slot {slot.Index} of {slot.Size} bytes is in use, stale or too small for {size}");
        }
        return handed;
    }

    /// <summary>Frees a slot. False, and nothing done, when the value gives no right to it: freed before, or never handed out.</summary>
    /// <param name="slot">The slot.</param>
    public static bool Free(HeapSlot slot)
    {
        if (slot.Slab?.TakeBack(slot) is not { } taken) return false;
        Volatile.Read(ref s_policy).Deallocate(taken);
        return true;
    }

    internal static void Reset() => s_policy = new DefaultSlabAllocator();
}

/// <summary>
/// The default policy: for each power of two from 8 to 2,048 a list of slabs with free slots; a slab that becomes empty is freed unless it is the
/// class's last one.
/// </summary>
internal sealed class DefaultSlabAllocator : ISlabAllocator
{
    private sealed class SizeClass(int slotSize)
    {
        public readonly int SlotSize = slotSize;
        public readonly List<Slab> Partial = [];
        public SpinGate Gate;
    }

    private readonly SizeClass[] _classes = CreateClasses();

    public HeapSlot? Allocate(int size)
    {
        SizeClass sizeClass = _classes[IndexOf(size)];
        while (true)
        {
            sizeClass.Gate.Enter();
            try
            {
                List<Slab> partial = sizeClass.Partial;
                while (partial.Count > 0)
                {
                    Slab slab = partial[^1];
                    if (slab.TryTake(out HeapSlot slot))
                    {
                        if (slab.FreeCount == 0) partial.RemoveAt(partial.Count - 1);
                        return slot;
                    }
                    partial.RemoveAt(partial.Count - 1);
                }
            }
            finally
            {
                sizeClass.Gate.Exit();
            }
            // Outside of the gate: the frame allocator is a policy, too.
            Slab? fresh = Slab.TryCreate(sizeClass.SlotSize);
            if (fresh is null) return null;
            sizeClass.Gate.Enter();
            try
            {
                sizeClass.Partial.Add(fresh);
            }
            finally
            {
                sizeClass.Gate.Exit();
            }
        }
    }

    public void Deallocate(HeapSlot slot)
    {
        Slab slab = slot.Slab!;
        SizeClass sizeClass = _classes[IndexOf(slab.SlotSize)];
        bool isEmpty = false;
        sizeClass.Gate.Enter();
        try
        {
            bool wasFull = slab.FreeCount == 0;
            if (!slab.Return(slot)) return;
            if (wasFull) sizeClass.Partial.Add(slab);
            isEmpty = slab.FreeCount == slab.SlotCount && sizeClass.Partial.Count > 1 && sizeClass.Partial.Remove(slab);
        }
        finally
        {
            sizeClass.Gate.Exit();
        }
        if (isEmpty) slab.Dispose();
    }

    private static int IndexOf(int size) => Math.Max(0, BitOperations.Log2((uint)(size - 1) | 1) + 1 - 3);

    private static SizeClass[] CreateClasses()
    {
        var classes = new SizeClass[9];
        for (int i = 0; i < classes.Length; i++) classes[i] = new SizeClass(Slab.SmallestSlot << i);
        return classes;
    }
}
