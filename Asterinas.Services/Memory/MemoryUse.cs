using System.Threading;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Memory;

namespace Asterinas.Services.Memory;

/// <summary>Where the memory is (man 5 proc, /proc/meminfo). In KiB; sampled, not consistent.</summary>
internal readonly record struct MemoryUse(long TotalKiB, long FreeKiB, long CachedKiB, long AnonymousKiB)
{
    public static MemoryUse Now
    {
        get
        {
            long total = CommitAccount.TotalPages * (PageSize.Small >> 10);
            long free = (long)(RuntimeStatistics.FreeBytes >> 10);
            return new MemoryUse(total, free, 0 * (PageSize.Small >> 10), 0);
        }
    }
}
