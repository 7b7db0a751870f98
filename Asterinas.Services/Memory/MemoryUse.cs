using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Allocators;

namespace Asterinas.Services.Memory;

/// <summary>Where the memory is (man 5 proc, /proc/meminfo). In KiB; sampled, not consistent.</summary>
internal readonly record struct MemoryUse(long TotalKiB, long FreeKiB, long CachedKiB)
{
    private const int KiBAPage = PageSize.Small >> 10;

    public static MemoryUse Now
    {
        get
        {
            // The reserve under the runtime, and what the allocator has taken from it and not given out.
            long free = (long)(RuntimeStatistics.FreeBytes >> 10) + (BuddyFrameAllocator.Active?.FreePages ?? 0) * KiBAPage;
            return new MemoryUse(CommitAccount.TotalPages * KiBAPage, free, PageCache.TotalPages * KiBAPage);
        }
    }
}
