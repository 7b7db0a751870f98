using System;
using System.Runtime.CompilerServices;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Runtime;

namespace Asterinas.Ostd.Memory;

/// <summary>
/// The metadata slots of physical pages as managed code sees them. State changes go by compare-and-swap, so two owners never both win a page.
/// <code>
///   Unused --Claim (CAS)--> Busy --its policy offered it--> Untyped, Slab or PageTable
///                            |---somebody else's page-----> Unused again, and the claim failed
///   Untyped, reference count 0, or typed, end of use --Retire (CAS)--> Busy --> Unused, given back to its policy
/// </code>
/// While a page is Unused or in use here, the slot's Order holds the tag of the policy that owns the page: -2 the default, below that injected ones.
/// </summary>
// SAFETY: page numbers are checked against the number of slots by Slot(), the only place that makes a pointer to one; slots are never freed.
internal static unsafe class FrameTable
{
    /// <summary>Tag of pages that the default policy (the reserve) handed out. A fresh block of the reserve has an order of -1 or more instead.</summary>
    public const int DefaultTag = -2;

    /// <summary>More references than any sane kernel makes: beyond, acquiring fails, so the count never wraps.</summary>
    private const int MostReferences = int.MaxValue / 2;

    /// <summary>Tells handles of an earlier simulated machine (tests) from this one's. There is one machine on hardware.</summary>
    public static int Epoch
    {
        get
        {
#if ARCH_MIRCH
            return Machine.MemoryEpoch;
#else
            return 0;
#endif
        }
    }

#if ARCH_MIRCH
    private static FrameMeta* Metas => Machine.FrameMetas();
    public static ulong Count => Machine.FrameCount();
#else
    private static readonly FrameMeta* s_metas = Machine.FrameMetas();
    private static readonly ulong s_count = Machine.FrameCount();
    private static FrameMeta* Metas => s_metas;
    public static ulong Count => s_count;
#endif

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ref FrameMeta Slot(ulong pageNumber)
    {
        if (pageNumber >= Count) ThrowBeyond();
        return ref Metas[pageNumber];
    }

    public static FrameState StateOf(ulong pageNumber) => (FrameState)Volatile.Read(ref Slot(pageNumber).State);

    /// <summary>
    /// Takes an Unused page of the policy with that tag for a use, with one reference. False, and nothing changed, when the page is in use, is not
    /// RAM, or belongs to somebody else.
    /// </summary>
    public static bool TryClaim(ulong pageNumber, int tag, FrameState use)
    {
        if (pageNumber == 0 || pageNumber >= Count) return false;
        ref FrameMeta meta = ref Slot(pageNumber);
        if (Interlocked.CompareExchange(ref meta.State, (int)FrameState.Busy, (int)FrameState.Unused) != (int)FrameState.Unused) return false;
        bool isOwned = tag == DefaultTag ? meta.Order >= -1 : meta.Order == tag;
        if (!isOwned)
        {
            Volatile.Write(ref meta.State, (int)FrameState.Unused);
            return false;
        }
        // Links and owner are zero: the reserve and Retire leave them so.
        meta.Order = tag;
        meta.Generation++;
        Volatile.Write(ref meta.ReferenceCount, 1);
        Volatile.Write(ref meta.State, (int)use);
        return true;
    }

    /// <summary>Marks an Unused page, fresh from the reserve, as owned by an injected policy.</summary>
    public static void Assign(ulong pageNumber, int tag)
    {
        ref FrameMeta meta = ref Slot(pageNumber);
        if (meta.State != (int)FrameState.Unused) ThrowState(pageNumber, FrameState.Unused);
        meta.Order = tag;
    }

    /// <summary>Ends a use: the page is Unused again. Returns the tag of the policy that gets it back. A page in another state is a broken kernel.</summary>
    public static int Retire(ulong pageNumber, FrameState use)
    {
        ref FrameMeta meta = ref Slot(pageNumber);
        if (Interlocked.CompareExchange(ref meta.State, (int)FrameState.Busy, (int)use) != (int)use) ThrowState(pageNumber, use);
        int tag = meta.Order;
        meta.Owner = 0;
        meta.Next = meta.Previous = 0;
        meta.ReferenceCount = 0;
        // The default policy's pages go back to the reserve: between here and there nobody may claim them, and its test (Order >= -1) refuses the tag.
        Volatile.Write(ref meta.State, (int)FrameState.Unused);
        return tag;
    }

    /// <summary>One more reference to an untyped page that the caller knows to be referenced.</summary>
    /// <exception cref="InvalidOperationException">Far too many references.</exception>
    public static void Acquire(ulong pageNumber)
    {
        ref FrameMeta meta = ref Slot(pageNumber);
        int count = Volatile.Read(ref meta.ReferenceCount);
        while (true)
        {
            if (count <= 0 || count >= MostReferences) throw new InvalidOperationException($"frame {pageNumber:x} has {count} references");
            int seen = Interlocked.CompareExchange(ref meta.ReferenceCount, count + 1, count);
            if (seen == count) return;
            count = seen;
        }
    }

    /// <summary>One reference less; true when it was the last one, and the caller now retires the page.</summary>
    public static bool Drop(ulong pageNumber) => Interlocked.Decrement(ref Slot(pageNumber).ReferenceCount) == 0;

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void ThrowBeyond() => throw new InvalidOperationException("page number beyond physical memory");

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void ThrowState(ulong pageNumber, FrameState use) =>
        throw new InvalidOperationException($"frame {pageNumber:x} should be {use} but is {StateOf(pageNumber)}");
}
