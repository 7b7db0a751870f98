using System;
using System.Numerics;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Runtime;

namespace Asterinas.Ostd.Memory;

/// <summary>What an allocation of frames needs.</summary>
/// <param name="PageCount">Contiguous pages of 4 KiB, at least 1.</param>
/// <param name="AlignmentPages">Alignment of the first one in pages, a power of two.</param>
public readonly record struct FrameLayout(int PageCount, int AlignmentPages);

/// <summary>
/// The policy that chooses frames. It only ever handles numbers: the mechanism checks each answer against the metadata of the pages, so a wrong
/// answer fails an allocation and never hands out memory twice. Called from any task, the finalizer's included, possibly at the same time; it must
/// not block and should not allocate.
/// </summary>
public interface IFrameAllocator
{
    /// <summary>Chooses free contiguous frames out of those it was given; null when there are none.</summary>
    /// <param name="layout">How many, and how aligned.</param>
    PhysicalAddress? Allocate(FrameLayout layout);

    /// <summary>Takes frames back that nobody uses any more. Not necessarily the same piece as one allocation: a part, or several neighbours.</summary>
    /// <param name="start">The first frame.</param>
    /// <param name="pageCount">Contiguous frames.</param>
    void Deallocate(PhysicalAddress start, int pageCount);

    /// <summary>Receives frames to manage.</summary>
    /// <param name="start">The first frame.</param>
    /// <param name="pageCount">Contiguous frames.</param>
    void AddFreeMemory(PhysicalAddress start, int pageCount);
}

/// <summary>A frame allocator answered with a frame that is in use, was never given to it, or does not fit what was asked for.</summary>
public sealed class FramePolicyViolationException : InvalidOperationException
{
    internal FramePolicyViolationException(string message) : base(message)
    {
    }
}

/// <summary>
/// The mechanism of frame allocation: asks the policy, and claims what it answered page by page by compare-and-swap on the metadata.
/// INVARIANT: a page is handed out only from the state Unused and only when its slot carries the tag of the policy that offered it.
/// </summary>
public static class FrameAllocator
{
    /// <summary>Pages that stay in the reserve whatever a policy asks for: the runtime's heap, page tables and stacks live on it.</summary>
    public const int ReserveFloorPages = 1024;

    private const int MostPolicies = 64;
    private static readonly Lock s_injectLock = new();
    private static IFrameAllocator[] s_policies = [new ReserveFrameAllocator()];
    private static long s_policyFaults;
    private static long s_forgottenHandles;

    /// <summary>Pages that neither the runtime nor a policy has, in the reserve.</summary>
    public static long ReserveFreePages => (long)Machine.ReserveFreePages();

    /// <summary>How often a policy lied or threw while it took frames back.</summary>
    public static long PolicyFaults => Interlocked.Read(ref s_policyFaults);

    /// <summary>How many handles of untyped memory the finalizer had to return: each is a leak in its owner.</summary>
    public static long ForgottenHandles => Interlocked.Read(ref s_forgottenHandles);

    /// <summary>
    /// Makes a policy choose all frames from now on and gives it memory out of the reserve. Frames handed out before go back to the policy that
    /// chose them. Returns the pages given, fewer than asked for when the reserve runs down to <see cref="ReserveFloorPages"/>.
    /// </summary>
    /// <param name="policy">The allocator.</param>
    /// <param name="pageCount">Pages to give to it at once.</param>
    /// <exception cref="InvalidOperationException">64 policies were injected already.</exception>
    public static long Inject(IFrameAllocator policy, long pageCount)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentOutOfRangeException.ThrowIfNegative(pageCount);
        int index;
        lock (s_injectLock)
        {
            IFrameAllocator[] policies = s_policies;
            if (policies.Length == MostPolicies) throw new InvalidOperationException("too many frame allocators");
            index = policies.Length;
            Volatile.Write(ref s_policies, [.. policies, policy]);
        }
        return Give(policy, index, pageCount);
    }

    /// <summary>Gives more memory of the reserve to the policy in charge. Returns the pages given; 0 with the default policy, which has it all.</summary>
    /// <param name="pageCount">Pages to give.</param>
    public static long AddMemory(long pageCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(pageCount);
        IFrameAllocator[] policies = Volatile.Read(ref s_policies);
        return policies.Length == 1 ? 0 : Give(policies[^1], policies.Length - 1, pageCount);
    }

    /// <summary>Frames for a use, each with one reference; 0 when there is no memory. Contents are whatever they were.</summary>
    internal static ulong Claim(FrameLayout layout, FrameState use)
    {
        IFrameAllocator[] policies = Volatile.Read(ref s_policies);
        int index = policies.Length - 1;
        PhysicalAddress? answer = policies[index].Allocate(layout);
        if (answer is null) return 0;
        ulong start = answer.Value.Value;
        ulong first = start >> 12;
        ulong pages = (ulong)layout.PageCount;
        if (!answer.Value.IsPageAligned || first % (ulong)layout.AlignmentPages != 0 || first >= FrameTable.Count || pages > FrameTable.Count - first)
        {
            throw Violation(policies[index], $"{answer.Value} does not fit {layout}");
        }
        for (ulong i = 0; i < pages; i++)
        {
            if (FrameTable.TryClaim(first + i, Tag(index), use)) continue;
            ulong refused = first + i;
            FrameState state = FrameTable.StateOf(refused);
            // What was claimed stays Unused and is lost to a policy that believes it handed it out: a leak, never a hole.
            while (i-- > 0) FrameTable.Retire(first + i, use);
            throw Violation(policies[index], $"frame 0x{refused << 12:x} is {state} or not its own");
        }
        return start;
    }

    /// <summary>Drops one reference of each page; those that nobody uses any more go back to their policies, neighbours together.</summary>
    internal static void Drop(ulong start, int pageCount)
    {
        ulong first = start >> 12;
        for (int i = 0; i < pageCount; i++)
        {
            if (!FrameTable.Drop(first + (ulong)i)) continue;
            int tag = FrameTable.Retire(first + (ulong)i, FrameState.Untyped);
            int run = 1;
            // A second tag ends the run; its page was retired already, so it starts the next one.
            while (i + run < pageCount && FrameTable.Drop(first + (ulong)(i + run)))
            {
                int next = FrameTable.Retire(first + (ulong)(i + run), FrameState.Untyped);
                if (next != tag)
                {
                    GiveBack(first + (ulong)i, run, tag);
                    i += run;
                    run = 0;
                    tag = next;
                }
                run++;
            }
            GiveBack(first + (ulong)i, run, tag);
            // The page that ended the run was only dropped, not retired: it is still used by others.
            i += run;
        }
    }

    /// <summary>Ends a typed use of frames that came from <see cref="Claim"/>.</summary>
    internal static void Release(ulong start, int pageCount, FrameState use)
    {
        for (int i = 0; i < pageCount; i++)
        {
            ulong page = (start >> 12) + (ulong)i;
            GiveBack(page, 1, FrameTable.Retire(page, use));
        }
    }

    internal static void CountForgotten() => Interlocked.Increment(ref s_forgottenHandles);

    /// <summary>Back to the default policy: for a fresh simulated machine.</summary>
    internal static void Reset()
    {
        s_policies = [new ReserveFrameAllocator()];
        s_policyFaults = s_forgottenHandles = 0;
    }

    private static int Tag(int index) => FrameTable.DefaultTag - index;

    private static void GiveBack(ulong firstPage, int pageCount, int tag)
    {
        try
        {
            Volatile.Read(ref s_policies)[FrameTable.DefaultTag - tag].Deallocate(new PhysicalAddress(firstPage << 12), pageCount);
        }
        catch (Exception) when (tag != FrameTable.DefaultTag)
        {
            // A policy that fails to take frames back has lost them; the task that dropped the last reference is not to blame.
            Interlocked.Increment(ref s_policyFaults);
        }
    }

    private static long Give(IFrameAllocator policy, int index, long pageCount)
    {
        long given = 0;
        while (given < pageCount)
        {
            long room = Math.Min(pageCount - given, (long)Machine.ReserveFreePages() - ReserveFloorPages);
            if (room <= 0) break;
            int order = Math.Min(ReserveFrameAllocator.MaxOrder, BitOperations.Log2((ulong)room));
            ulong block = 0;
            while (order >= 0 && (block = Machine.ReserveAllocate(order)) == 0) order--;
            if (block == 0) break;
            for (ulong i = 0; i < 1UL << order; i++) FrameTable.Assign((block >> 12) + i, Tag(index));
            policy.AddFreeMemory(new PhysicalAddress(block), 1 << order);
            given += 1L << order;
        }
        return given;
    }

    private static FramePolicyViolationException Violation(IFrameAllocator policy, string what)
    {
        Interlocked.Increment(ref s_policyFaults);
        return new FramePolicyViolationException($"frame allocator {policy.GetType().Name}: {what}");
    }
}

/// <summary>The default policy: the reserve's own buddy allocator, which coalesces. Blocks of up to 4 MiB; what rounds up goes back at once.</summary>
internal sealed class ReserveFrameAllocator : IFrameAllocator
{
    public const int MaxOrder = 10;

    public PhysicalAddress? Allocate(FrameLayout layout)
    {
        uint pages = BitOperations.RoundUpToPowerOf2((uint)Math.Max(layout.PageCount, layout.AlignmentPages));
        int order = BitOperations.Log2(pages);
        if (order > MaxOrder) return null;
        ulong block = Machine.ReserveAllocate(order);
        if (block == 0) return null;
        GiveBack((block >> 12) + (ulong)layout.PageCount, (block >> 12) + pages);
        return new PhysicalAddress(block);
    }

    public void Deallocate(PhysicalAddress start, int pageCount) => GiveBack(start.Value >> 12, (start.Value >> 12) + (ulong)pageCount);

    public void AddFreeMemory(PhysicalAddress start, int pageCount)
    {
        // The reserve has all memory from boot on.
    }

    private static void GiveBack(ulong from, ulong to)
    {
        while (from < to)
        {
            int order = Math.Min(MaxOrder, Math.Min(BitOperations.TrailingZeroCount(from), BitOperations.Log2(to - from)));
            if (Machine.ReserveFree(from << 12, order) == 0) throw new InvalidOperationException($"the reserve refused frame 0x{from << 12:x}");
            from += 1UL << order;
        }
    }
}
