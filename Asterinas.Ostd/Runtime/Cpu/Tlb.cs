using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// Address spaces on the CPUs, and the invalidation of translations wherever they may be cached. The metadata of a root (Owner) is the set of CPUs that have it active: a CPU adds
/// itself before it loads CR3 and removes itself after it has loaded another one, so a flush misses nobody.
/// </summary>
// SAFETY: roots are checked against the number of frames; a root that is active on a CPU is kept by the managed side's reference. The kernel's root is never freed.
internal static unsafe class Tlb
{
    private const ulong WholeThreshold = 64;

    /// <summary>
    /// Forgets <paramref name="pages"/> translations from <paramref name="address"/> on, on every CPU that may know them, and returns when all have. Root 0 means the kernel's half.
    /// Nothing that the old translations lead to may be used for something else before.
    /// </summary>
    [RuntimeExport("ostd_flush_tlb")]
    public static void Flush(ulong root, ulong address, ulong pages)
    {
        PerCpu* self = X64.PerCpu();
        ulong targets = Cpus.Others(self);
        if (root != 0)
        {
            // The entries were changed before: whoever activates the root from here on reads the new ones.
            Interlocked.MemoryBarrier();
            targets &= Volatile.Read(ref *UsersOf(root));
        }
        if (root == 0 || self->ActiveRoot == root) FlushHere(address, pages);
        if (targets == 0) return;
        self->CallKind = CpuCalls.FlushTlb;
        self->CallAddress = address;
        self->CallPages = pages;
        CpuCalls.Send(self, targets);
    }

    public static void FlushHere(ulong address, ulong pages)
    {
        if (pages <= WholeThreshold)
        {
            for (ulong i = 0; i < pages; i++) X64.InvalidatePage(address + (i << 12));
            return;
        }
        // Toggling CR4.PGE drops global entries too (SDM vol. 3 §4.10.4.1).
        ulong cr4 = X64.ReadCr4();
        X64.WriteCr4(cr4 & ~0x80UL);
        X64.WriteCr4(cr4);
    }

    [RuntimeExport("ostd_activate_root")]
    private static void ActivateRoot(ulong root)
    {
        PerCpu* self = X64.PerCpu();
        ulong old = self->ActiveRoot, own = 1UL << self->CpuId;
        if (root == old) return;
        if (root != KernelMap.Root) Interlocked.Or(ref *UsersOf(root), own);
        X64.WriteCr3(root);
        self->ActiveRoot = root;
        if (old != KernelMap.Root) Interlocked.And(ref *UsersOf(old), ~own);
    }

    [RuntimeExport("ostd_active_root")]
    private static ulong ActiveRoot() => X64.PerCpu()->ActiveRoot;

    private static ulong* UsersOf(ulong root)
    {
        ulong page = root >> 12;
        if (page >= FrameReserve.Count) Panic.FailHex("no address space:"u8, root);
        return (ulong*)&FrameReserve.Metas[page].Owner;
    }
}
