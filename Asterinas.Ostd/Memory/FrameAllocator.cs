using System;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Runtime;
using Asterinas.Ostd.Tasks;

namespace Asterinas.Ostd.Memory;

/// <summary>What an allocation of frames needs.</summary>
/// <param name="PageCount">Contiguous pages of 4 KiB, at least 1.</param>
/// <param name="AlignmentPages">Alignment of the first one in pages, a power of two.</param>
public readonly record struct FrameLayout(int PageCount, int AlignmentPages);

/// <summary>
/// The policy that chooses frames. It only ever handles numbers: the mechanism checks each answer against the metadata of the pages, so a wrong
/// answer is refused (the reserve serves instead) and never hands out memory twice. Called from any task, the finalizer's included, possibly at the
/// same time, and at safe points to refill the reserve; it must not block and should not allocate.
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

/// <summary>
/// The mechanism of frame allocation: asks the policy, and claims what it answered page by page by compare-and-swap on the metadata.
/// <code>
///   the policy's answer        │ the allocation gets
///   frames it may offer        │ those
///   null, the reserve has some │ the policy is given a piece of the reserve and asked again
///   null, the reserve is low   │ nothing: no memory
///   a lie, an exception        │ frames of the reserve; after 64 of them the policy is deposed and the reserve has its free frames back
/// </code>
/// INVARIANT: a page is handed out only from the state Unused and only when its slot carries the tag of the policy that offered it.
/// </summary>
public static class FrameAllocator
{
    /// <summary>Pages that stay in the reserve whatever a policy asks for: the runtime's heap, page tables and stacks live on it.</summary>
    public const int ReserveFloorPages = 1024;

    /// <summary>Faults after which a policy is deposed.</summary>
    public const int MostPolicyFaults = 64;

    private const int MostPolicies = 64;
    private static readonly Lock s_injectLock = new();
    private static readonly ReserveFrameAllocator s_default = new();
    private static Policy[] s_policies = [new Policy(s_default)];
    private static Policy s_inCharge = s_policies[0];
    private static long s_policyFaults;
    private static long s_forgottenHandles;
    private static long s_refilledPages;

    /// <summary>A policy and the tag of its pages.</summary>
    private sealed class Policy(IFrameAllocator allocator, int index = 0)
    {
        public readonly int Tag = FrameTable.DefaultTag - index;
        public IFrameAllocator Allocator = allocator;
        public int Faults;
        public bool IsDeposed;

        public bool IsDefault => Tag == FrameTable.DefaultTag;
    }

    /// <summary>Pages that neither the runtime nor a policy has, in the reserve.</summary>
    public static long ReserveFreePages => (long)Machine.ReserveFreePages();

    /// <summary>How often a policy lied or threw.</summary>
    public static long PolicyFaults => Interlocked.Read(ref s_policyFaults);

    /// <summary>Pages that went from the policy back to the reserve, when that ran low.</summary>
    public static long RefilledPages => Interlocked.Read(ref s_refilledPages);

    /// <summary>How many handles of untyped memory the finalizer had to return: each is a leak in its owner.</summary>
    public static long ForgottenHandles => Interlocked.Read(ref s_forgottenHandles);

    /// <summary>Whether the injected policy still chooses frames: one that lies is deposed (<see cref="MostPolicyFaults"/>).</summary>
    public static bool IsPolicyInCharge => !Volatile.Read(ref s_inCharge).IsDefault;

    /// <summary>
    /// Makes a policy choose all frames from now on and gives it memory out of the reserve; it gets more when it has none left, and gives some back when
    /// the reserve runs low. Frames handed out before go back to the policy that chose them. Returns the pages given, fewer than asked for when the
    /// reserve runs down to <see cref="ReserveFloorPages"/>.
    /// </summary>
    /// <param name="policy">The allocator.</param>
    /// <param name="pageCount">Pages to give to it at once.</param>
    /// <exception cref="InvalidOperationException">64 policies were injected already.</exception>
    public static long Inject(IFrameAllocator policy, long pageCount)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentOutOfRangeException.ThrowIfNegative(pageCount);
        PolicyWatch.Name(PolicyKind.FrameAllocator, policy);
        Policy injected;
        lock (s_injectLock)
        {
            Policy[] policies = s_policies;
            if (policies.Length == MostPolicies) throw new InvalidOperationException("too many frame allocators");
            injected = new Policy(policy, policies.Length);
            Volatile.Write(ref s_policies, [.. policies, injected]);
            Volatile.Write(ref s_inCharge, injected);
        }
        long given = Give(injected, pageCount);
        Machine.ReserveSetLowWater(ReserveFloorPages);
        return given;
    }

    /// <summary>Gives more memory of the reserve to the policy in charge. Returns the pages given; 0 with the default policy, which has it all.</summary>
    /// <param name="pageCount">Pages to give.</param>
    public static long AddMemory(long pageCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(pageCount);
        Policy policy = Volatile.Read(ref s_inCharge);
        return policy.IsDefault ? 0 : Give(policy, pageCount);
    }

    /// <summary>Frames for a use, each with one reference; 0 when there is no memory. Contents are whatever they were.</summary>
    internal static ulong Claim(FrameLayout layout, FrameState use)
    {
        Policy policy = Volatile.Read(ref s_inCharge);
        ulong start = Ask(policy, layout, use, out bool isHonest);
        return start != 0 || policy.IsDefault ? start : ClaimAgain(policy, layout, use, isHonest);
    }

    /// <summary>Drops one reference of each page; those that nobody uses any more go back to their policies, neighbours together.</summary>
    internal static void Drop(ulong start, int pageCount)
    {
        ulong first = start >> 12;
        if (pageCount == 1)
        {
            if (FrameTable.Drop(first)) GiveBack(first, 1, FrameTable.Retire(first, FrameState.Untyped));
            return;
        }
        int run = 0;                            // pages before i that were retired and wait for their neighbours
        int tag = 0;
        for (int i = 0; i < pageCount; i++)
        {
            ulong page = first + (ulong)i;
            if (!FrameTable.Drop(page))
            {
                if (run != 0) GiveBack(page - (ulong)run, run, tag);
                run = 0;
                continue;
            }
            int next = FrameTable.Retire(page, FrameState.Untyped);
            if (run != 0 && next != tag)
            {
                GiveBack(page - (ulong)run, run, tag);
                run = 0;
            }
            tag = next;
            run++;
        }
        if (run != 0) GiveBack(first + (ulong)(pageCount - run), run, tag);
    }

    /// <summary>Ends a typed use of frames that came from <see cref="Claim"/> in one piece.</summary>
    internal static void Release(ulong start, int pageCount, FrameState use)
    {
        ulong first = start >> 12;
        int tag = FrameTable.Retire(first, use);
        for (int i = 1; i < pageCount; i++) FrameTable.Retire(first + (ulong)i, use);
        GiveBack(first, pageCount, tag);
    }

    /// <summary>
    /// Takes frames from the policy until the reserve has twice its low-water mark: at a safe point, after the event that says that it runs low.
    /// </summary>
    internal static void RefillReserve()
    {
        Policy policy = Volatile.Read(ref s_inCharge);
        int piece = 64;
        while (!policy.IsDefault && !policy.IsDeposed && piece != 0 && Machine.ReserveFreePages() < 2 * ReserveFloorPages)
        {
            ulong start = Ask(policy, new FrameLayout(piece, 1), FrameState.Busy, out _);
            if (start == 0)
            {
                piece /= 8;                     // 64, 8, 1
                continue;
            }
            s_default.Deallocate(new PhysicalAddress(start), piece);
            Interlocked.Add(ref s_refilledPages, piece);
        }
        // A policy that has nothing either is not asked again at every safe point: only when the reserve has lost half of the rest.
        ulong left = Machine.ReserveFreePages();
        Machine.ReserveSetLowWater(policy.IsDefault ? 0 : left < ReserveFloorPages ? left / 2 + 1 : ReserveFloorPages);
    }

    internal static void CountForgotten() => Interlocked.Increment(ref s_forgottenHandles);

    /// <summary>Back to the default policy: for a fresh simulated machine.</summary>
    internal static void Reset()
    {
        s_policies = [new Policy(s_default)];
        s_inCharge = s_policies[0];
        s_policyFaults = s_forgottenHandles = s_refilledPages = 0;
    }

    /// <summary>One question to a policy. 0 for no memory (the answer was null) and for a fault, told apart by isHonest.</summary>
    private static ulong Ask(Policy policy, FrameLayout layout, FrameState use, out bool isHonest)
    {
        PhysicalAddress? answer;
        try
        {
            using PolicyWatch.Call call = PolicyWatch.Begin(PolicyKind.FrameAllocator);
            answer = policy.Allocator.Allocate(layout);
        }
        catch (Exception problem) when (!policy.IsDefault)
        {
            isHonest = false;
            Fault(policy, problem.Message);
            return 0;
        }
        isHonest = true;
        if (answer is not { } offered) return 0;
        ulong first = offered.Value >> 12;
        ulong pages = (ulong)layout.PageCount;
        if (offered.IsPageAligned && (first & ((ulong)layout.AlignmentPages - 1)) == 0 && first < FrameTable.Count && pages <= FrameTable.Count - first)
        {
            ulong claimed = 0;
            while (claimed < pages && FrameTable.TryClaim(first + claimed, policy.Tag, use)) claimed++;
            if (claimed == pages) return offered.Value;
            // What was claimed is Unused again and lost to a policy that believes it handed it out: a leak, never a hole.
            for (ulong i = 0; i < claimed; i++) FrameTable.Retire(first + i, use);
        }
        isHonest = false;
        Fault(policy, $"offered {offered} for {layout}");
        return 0;
    }

    /// <summary>The policy had nothing, or lied.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static ulong ClaimAgain(Policy policy, FrameLayout layout, FrameState use, bool isHonest)
    {
        long room = ReserveFreePages - 2 * ReserveFloorPages;
        if (isHonest)
        {
            // Memory goes over in pieces that grow with the machine, so that most of it stays where both sides can have it. An aligned run may need twice its length.
            long wanted = Math.Max(Math.Max(ReserveFloorPages, (long)FrameTable.Count / 64), 2L * Math.Max(layout.PageCount, layout.AlignmentPages));
            if (room <= 0 || Give(policy, Math.Min(wanted, room)) == 0) return 0;
            Machine.ReserveSetLowWater(ReserveFloorPages);
            ulong start = Ask(policy, layout, use, out isHonest);
            if (start != 0 || isHonest) return start;
        }
        return layout.PageCount <= room ? Ask(s_policies[0], layout, use, out _) : 0;
    }

    private static void GiveBack(ulong firstPage, int pageCount, int tag)
    {
        Policy policy = Volatile.Read(ref s_policies)[FrameTable.DefaultTag - tag];
        if (policy.IsDefault)
        {
            s_default.Deallocate(new PhysicalAddress(firstPage << 12), pageCount);
            return;
        }
        if (Volatile.Read(ref policy.IsDeposed))
        {
            Recover(policy, firstPage, (ulong)pageCount);
            return;
        }
        try
        {
            using PolicyWatch.Call call = PolicyWatch.Begin(PolicyKind.FrameAllocator);
            policy.Allocator.Deallocate(new PhysicalAddress(firstPage << 12), pageCount);
        }
        catch (Exception problem)
        {
            // A policy that fails to take frames back has lost them until it is deposed; the task that dropped the last reference is not to blame.
            Fault(policy, problem.Message);
        }
    }

    private static long Give(Policy policy, long pageCount)
    {
        long given = 0;
        while (given < pageCount && !policy.IsDeposed)
        {
            long room = Math.Min(pageCount - given, (long)Machine.ReserveFreePages() - ReserveFloorPages);
            if (room <= 0) break;
            int order = Math.Min(ReserveFrameAllocator.MaxOrder, BitOperations.Log2((ulong)room));
            ulong block = 0;
            while (order >= 0 && (block = Machine.ReserveAllocate(order)) == 0) order--;
            if (block == 0) break;
            for (ulong i = 0; i < 1UL << order; i++) FrameTable.Assign((block >> 12) + i, policy.Tag);
            try
            {
                using PolicyWatch.Call call = PolicyWatch.Begin(PolicyKind.FrameAllocator);
                policy.Allocator.AddFreeMemory(new PhysicalAddress(block), 1 << order);
            }
            catch (Exception problem)
            {
                Fault(policy, problem.Message);
                Recover(policy, block >> 12, 1UL << order);
                break;
            }
            given += 1L << order;
        }
        return given;
    }

    /// <summary>Counts a fault. A policy with too many of them is asked nothing any more: the default one takes over.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Fault(Policy policy, string what)
    {
        Interlocked.Increment(ref s_policyFaults);
        int faults = Interlocked.Increment(ref policy.Faults);
        if (faults == 1) Log.Error($"frame allocator {policy.Allocator.GetType().Name}: {what}");
        if (faults != MostPolicyFaults || policy.IsDefault) return;
        Log.Error($"frame allocator {policy.Allocator.GetType().Name} is deposed after {faults} faults");
        Volatile.Write(ref policy.IsDeposed, true);
        Interlocked.CompareExchange(ref s_inCharge, s_policies[0], policy);
        // Its free frames are those that are Unused and carry its tag: found without its help. Frames in use follow when they are released.
        Recover(policy, 0, FrameTable.Count);
    }

    /// <summary>
    /// Moves the Unused pages of a policy that are in a range to the reserve. Each is claimed first, so of two that find the same page one moves it.
    /// </summary>
    private static void Recover(Policy policy, ulong firstPage, ulong pageCount)
    {
        for (ulong page = firstPage; page < firstPage + pageCount; page++)
        {
            if (FrameTable.StateOf(page) == FrameState.Unused && FrameTable.TryClaim(page, policy.Tag, FrameState.Busy))
            {
                s_default.Deallocate(new PhysicalAddress(page << 12), 1);
            }
        }
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
