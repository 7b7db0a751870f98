using System;
using System.Threading;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Smp;

namespace Asterinas.Services.Allocators;

/// <summary>
/// The frame allocator: a cache of single pages for each CPU (<see cref="FrameCache"/>) over buddies (<see cref="BuddyZone"/>), injected once at boot.
/// <code>
///   one page     the CPU's cache ── empty ──► a batch from a zone ── none ──► half of another CPU's cache ── none ──► null
///   more pages   a block of a zone ── none ──► all caches back to the zones, then a run of free neighbours ── none ──► null
///   free         one page: the CPU's cache ── full ──► its older half to the zones;   more: the zones
/// </code>
/// Steady state allocates nothing on the GC heap; only new zones do. LOCK ORDER: a cache's claim, then a zone's lock; never two of a kind.
/// </summary>
public sealed class BuddyFrameAllocator : IFrameAllocator
{
    /// <summary>Most contiguous pages: 1 GiB.</summary>
    public const int MostPages = BuddyZone.PageCount;

    private const int MostBatch = (FrameCache.Capacity - 1) / 2;
    private const int Patience = 1000;          // looks at a claimed cache before it counts as empty

    private readonly SpinLock _growLock = new("frame zones");
    private readonly FrameCache[] _caches;
    private readonly CpuLocal<FrameCache> _local;
    private BuddyZone[] _zones = [];            // replaced when one is added
    private BuddyZone?[] _byNumber = [];        // by number of the GiB; likewise
    private long _pagesReceived;
    private int _batch = 1;

    /// <summary>An allocator without memory.</summary>
    public BuddyFrameAllocator()
    {
        int cpus = CpuSet.Online.Count;
        _caches = new FrameCache[cpus];
        for (int i = 0; i < cpus; i++) _caches[i] = new FrameCache(i);
        _local = new CpuLocal<FrameCache>(cpu => _caches[cpu]);
        Active = this;
    }

    /// <summary>The allocator that was made last: the system's, once it is injected. Null before.</summary>
    public static BuddyFrameAllocator? Active { get; private set; }

    /// <summary>Free pages, those in the CPUs' caches included. A snapshot.</summary>
    public long FreePages
    {
        get
        {
            long sum = CachedPages;
            foreach (BuddyZone zone in Volatile.Read(ref _zones)) sum += zone.FreePages;
            return sum;
        }
    }

    /// <summary>Free pages in the CPUs' caches. A snapshot.</summary>
    public long CachedPages
    {
        get
        {
            long sum = 0;
            foreach (FrameCache cache in _caches) sum += cache.Count;
            return sum;
        }
    }

    /// <summary>Free blocks of 2^order pages, without the caches: what /proc/buddyinfo tells. A snapshot.</summary>
    /// <param name="order">0 to 18.</param>
    public long FreeBlocks(int order)
    {
        long sum = 0;
        foreach (BuddyZone zone in Volatile.Read(ref _zones)) sum += zone.FreeBlocks(order);
        return sum;
    }

    /// <inheritdoc/>
    public PhysicalAddress? Allocate(FrameLayout layout)
    {
        uint page;
        if (layout is { PageCount: 1, AlignmentPages: 1 })
        {
            FrameCache cache = _local.Value;
            if (cache.TryClaim())
            {
                bool isFound = cache.TryPop(out page) || Refill(cache, out page);
                cache.Release();
                if (isFound) return new PhysicalAddress((ulong)page << 12);
            }
            page = TakeSingle(cache.Home);
        }
        else
        {
            page = TakeBlock(layout);
        }
        return page == 0 ? null : new PhysicalAddress((ulong)page << 12);
    }

    /// <inheritdoc/>
    public void Deallocate(PhysicalAddress start, int pageCount)
    {
        uint page = (uint)(start.Value >> 12);
        if (pageCount == 1)
        {
            FrameCache cache = _local.Value;
            if (cache.TryClaim())
            {
                cache.TryPush(page);
                if (cache.Count > 2 * _batch) EmptyAndRelease(cache, cache.Count - _batch);
                else cache.Release();
                return;
            }
        }
        Free(page, pageCount);
    }

    /// <inheritdoc/>
    public void AddFreeMemory(PhysicalAddress start, int pageCount)
    {
        uint page = (uint)(start.Value >> 12);
        for (uint number = page >> BuddyZone.PageShift; number <= (page + (uint)pageCount - 1) >> BuddyZone.PageShift; number++)
        {
            BuddyZone?[] zones = Volatile.Read(ref _byNumber);
            if (number >= zones.Length || zones[number] is null) AddZone(new BuddyZone(number), (int)number);
        }
        // All caches together keep an eighth of the memory at most.
        _batch = (int)Math.Clamp(Interlocked.Add(ref _pagesReceived, pageCount) / (16L * _caches.Length), 1, MostBatch);
        Free(page, pageCount);
    }

    /// <summary>Returns the pages in the CPUs' caches to the zones, where neighbours unite.</summary>
    public void Drain()
    {
        foreach (FrameCache cache in _caches)
        {
            if (Claim(cache)) EmptyAndRelease(cache, cache.Count);
        }
    }

    private bool Refill(FrameCache cache, out uint page)
    {
        BuddyZone[] zones = Volatile.Read(ref _zones);
        int count = 0, batch = _batch;
        for (int i = 0; i < zones.Length && count == 0; i++) count = zones[(cache.Home + i) % zones.Length].Take(cache.Room(batch));
        cache.Filled(count);
        return cache.TryPop(out page);
    }

    // The oldest pages of a claimed cache go back to their zones, as many of one zone at a time as follow each other.
    private void EmptyAndRelease(FrameCache cache, int count)
    {
        Span<uint> pages = stackalloc uint[FrameCache.Capacity];
        pages = pages[..count];
        cache.TakeOldest(pages);
        cache.Release();
        BuddyZone?[] zones = Volatile.Read(ref _byNumber);
        while (pages.Length > 0)
        {
            uint zone = pages[0] >> BuddyZone.PageShift;
            int run = 1;
            while (run < pages.Length && pages[run] >> BuddyZone.PageShift == zone) run++;
            zones[zone]!.Free(pages[..run]);
            pages = pages[run..];
        }
    }

    // The CPU's cache is claimed by somebody, or it and the zones are empty: a page from anywhere.
    private uint TakeSingle(int home)
    {
        BuddyZone[] zones = Volatile.Read(ref _zones);
        uint page = 0;
        for (int i = 0; i < zones.Length; i++)
        {
            if (zones[(home + i) % zones.Length].Take(new Span<uint>(ref page)) != 0) return page;
        }
        for (int i = 0; i < _caches.Length; i++)
        {
            FrameCache other = _caches[(home + i) % _caches.Length];
            if (other.Count == 0 || !Claim(other)) continue;
            bool isFound = other.TryPop(out page);
            // The next one in need finds some in the zones, without a way through all CPUs.
            EmptyAndRelease(other, other.Count / 2);
            if (isFound) return page;
        }
        return 0;
    }

    private uint TakeBlock(FrameLayout layout)
    {
        uint page = TryTakeBlock(layout);
        if (page != 0 || CachedPages == 0) return page;
        // The pages that the caches keep may be what separates free blocks.
        Drain();
        return TryTakeBlock(layout);
    }

    private uint TryTakeBlock(FrameLayout layout)
    {
        BuddyZone[] zones = Volatile.Read(ref _zones);
        int home = _local.Value.Home;
        for (int i = 0; i < zones.Length; i++)
        {
            uint page = zones[(home + i) % zones.Length].TakeBlock(layout.PageCount, layout.AlignmentPages);
            if (page != 0) return page;
        }
        return 0;
    }

    private void Free(uint page, int pageCount)
    {
        BuddyZone?[] zones = Volatile.Read(ref _byNumber);
        while (pageCount > 0)
        {
            BuddyZone zone = zones[page >> BuddyZone.PageShift]!;
            int piece = (int)Math.Min((uint)pageCount, zone.First + BuddyZone.PageCount - page);
            zone.Free(page, piece);
            page += (uint)piece;
            pageCount -= piece;
        }
    }

    // Another CPU's cache, which it claims for some hundred instructions at a time.
    private static bool Claim(FrameCache cache)
    {
        for (int i = 0; i < Patience; i++)
        {
            if (cache.TryClaim()) return true;
        }
        return false;
    }

    private void AddZone(BuddyZone zone, int number)
    {
        using SpinLock.Guard guard = _growLock.Lock();
        BuddyZone?[] byNumber = _byNumber;
        if (number < byNumber.Length && byNumber[number] is not null) return;
        if (number >= byNumber.Length) Array.Resize(ref byNumber, number + 1);
        else byNumber = [.. byNumber];
        byNumber[number] = zone;
        Volatile.Write(ref _byNumber, byNumber);
        Volatile.Write(ref _zones, [.. _zones, zone]);
    }
}
