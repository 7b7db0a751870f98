using System;
using System.Collections.Generic;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Threading;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Tasks;

namespace Asterinas.Ostd.Memory;

/// <summary>
/// The policy that chooses slots. What it answers is checked: a slot that a client has, or that is too small, is refused, and the default policy serves
/// instead. Called from any task, possibly at the same time; it must not block and should not allocate in steady state.
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

/// <summary>
/// Kernel data outside the garbage collector's heap, in slots chosen by the injected <see cref="ISlabAllocator"/>. A policy that lies or throws is replaced for the
/// call, and for good after <see cref="MostPolicyFaults"/> such calls.
/// </summary>
public static class SlabHeap
{
    /// <summary>Faults after which a policy is deposed.</summary>
    public const int MostPolicyFaults = 64;

    private static DefaultSlabAllocator s_default = new();
    private static ISlabAllocator s_policy = s_default;
    private static long s_policyFaults;
    private static int s_faultsOfThisOne;

    /// <summary>How often a policy lied or threw.</summary>
    public static long PolicyFaults => Interlocked.Read(ref s_policyFaults);

    /// <summary>Makes a policy choose all slots from now on. Slots handed out before go back to the policy that chose them.</summary>
    /// <param name="policy">The allocator.</param>
    public static void Inject(ISlabAllocator policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        PolicyWatch.Name(PolicyKind.SlabAllocator, policy);
        Volatile.Write(ref s_faultsOfThisOne, 0);
        Volatile.Write(ref s_policy, policy);
    }

    /// <summary>A zeroed slot; null when there is no memory.</summary>
    /// <param name="size">Least bytes, from 1 to 2,048.</param>
    /// <exception cref="ArgumentOutOfRangeException">The size is out of range.</exception>
    public static HeapSlot? TryAllocate(int size)
    {
        if (size is < 1 or > Slab.LargestSlot) throw new ArgumentOutOfRangeException(nameof(size));
        ISlabAllocator policy = Volatile.Read(ref s_policy);
        try
        {
            if (Ask(policy, size) is not { } offered) return null;
            if (offered.Slab is { } slab && slab.SlotSize >= size && slab.Hand(offered) is { } handed)
            {
                slab.Policy ??= policy;
                return handed;
            }
            Fault(policy, $"offered slot {offered.Index} of {offered.Size} bytes, which is in use, stale or too small for {size}");
        }
        catch (Exception problem) when (!ReferenceEquals(policy, s_default))
        {
            Fault(policy, problem.Message);
        }
        return AllocateDefault(size);
    }

    /// <summary>Frees a slot. False, and nothing done, when the value gives no right to it: freed before, or never handed out.</summary>
    /// <param name="slot">The slot.</param>
    public static bool Free(HeapSlot slot)
    {
        if (slot.Slab?.TakeBack(slot) is not { } taken) return false;
        ISlabAllocator policy = slot.Slab.Policy ?? s_default;
        try
        {
            using PolicyWatch.Call call = PolicyWatch.Begin(PolicyKind.SlabAllocator);
            policy.Deallocate(taken);
        }
        catch (Exception problem)
        {
            // The slot is lost to a policy that fails to take it back; its client is not to blame.
            Fault(policy, problem.Message);
        }
        return true;
    }

    internal static void Reset()
    {
        s_policy = s_default = new DefaultSlabAllocator();
        s_policyFaults = 0;
    }

    private static HeapSlot? Ask(ISlabAllocator policy, int size)
    {
        using PolicyWatch.Call call = PolicyWatch.Begin(PolicyKind.SlabAllocator);
        return policy.Allocate(size);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static HeapSlot? AllocateDefault(int size)
    {
        if (s_default.Allocate(size) is not { } offered || offered.Slab!.Hand(offered) is not { } handed) return null;
        offered.Slab.Policy ??= s_default;
        return handed;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Fault(ISlabAllocator policy, string what)
    {
        Interlocked.Increment(ref s_policyFaults);
        if (!ReferenceEquals(Volatile.Read(ref s_policy), policy)) return;
        int faults = Interlocked.Increment(ref s_faultsOfThisOne);
        if (faults == 1) Log.Error($"slab allocator {policy.GetType().Name}: {what}");
        if (faults != MostPolicyFaults) return;
        Log.Error($"slab allocator {policy.GetType().Name} is deposed after {faults} faults");
        Interlocked.CompareExchange(ref s_policy, s_default, policy);
    }
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
