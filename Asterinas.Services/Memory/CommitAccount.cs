using System.Threading;
using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Memory;

namespace Asterinas.Services.Memory;

/// <summary>vm.overcommit_memory (man 5 proc).</summary>
internal enum OvercommitMode
{
    /// <summary>Obvious overcommits are refused: one request of more than all memory.</summary>
    Heuristic = 0,
    /// <summary>Everything is allowed.</summary>
    Always = 1,
    /// <summary>The sum of all promises stays under the limit.</summary>
    Never = 2,
}

/// <summary>Promised memory: private writable mappings, and shared anonymous ones.</summary>
internal static class CommitAccount
{
    private static long s_committed;

    public static OvercommitMode Mode { get; set; }

    /// <summary>vm.overcommit_ratio in percent.</summary>
    public static int Ratio { get; set; } = 50;

    /// <summary>Pages of RAM.</summary>
    public static long TotalPages { get; } = ReadTotal();

    /// <summary>Pages promised: Committed_AS of /proc/meminfo.</summary>
    public static long CommittedPages => Interlocked.Read(ref s_committed);

    /// <summary>CommitLimit of /proc/meminfo, in pages.</summary>
    public static long LimitPages => TotalPages * Ratio / 100;

    /// <summary>Whether a mapping with a protection counts.</summary>
    public static bool Counts(Mapping mapping, Protection protection) =>
        !mapping.IsShared && (protection & Protection.Write) != 0 && (!mapping.IsNoReserve || Mode == OvercommitMode.Never);

    /// <summary>Promises pages. False, and nothing changed, when that is too many.</summary>
    /// <param name="pages">How many.</param>
    /// <param name="isRequest">Whether a program asks for just these: the heuristic looks at each request.</param>
    public static bool TryCharge(long pages, bool isRequest)
    {
        if (Mode == OvercommitMode.Heuristic && isRequest && pages > TotalPages) return false;
        long sum = Interlocked.Add(ref s_committed, pages);
        if (Mode != OvercommitMode.Never || sum <= LimitPages) return true;
        Interlocked.Add(ref s_committed, -pages);
        return false;
    }

    /// <summary>Takes a promise back.</summary>
    public static void Release(long pages) => Interlocked.Add(ref s_committed, -pages);

    private static long ReadTotal()
    {
        ulong bytes = 0;
        foreach (MemoryRegion region in BootInfo.Current.MemoryMap)
        {
            if (region.Kind == MemoryRegionKind.Usable) bytes += region.Length;
        }
        return (long)(bytes / PageSize.Small);
    }
}
