using System;
using System.Collections.Generic;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Allocators;
using Asterinas.Tests.Host.Memory;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Allocators;

/// <summary>The frame allocator under the real mechanism, which would refuse a page that is offered twice.</summary>
public sealed class BuddyFrameAllocatorTests : MemoryFixture
{
    private const int Given = 6000;

    private static BuddyFrameAllocator Inject(int cpus = 1, long pages = Given)
    {
        OstdStartup.Restart(cpus);
        var allocator = new BuddyFrameAllocator();
        Assert.That(FrameAllocator.Inject(allocator, pages), Is.EqualTo(pages));
        Assert.That(allocator.FreePages, Is.EqualTo(pages));
        return allocator;
    }

    private static PhysicalAddress? Single(BuddyFrameAllocator allocator) => allocator.Allocate(new FrameLayout(1, 1));

    [Test]
    public void Random_frames_and_segments_have_one_owner_each_and_all_comes_back([Values(1, 2, 3)] int seed)
    {
        BuddyFrameAllocator allocator = Inject();
        var random = new Random(seed);
        var live = new List<UntypedMemory>();
        var owned = new HashSet<ulong>();
        int held = 0;
        for (int step = 0; step < 8000; step++)
        {
            int kind = random.Next(100);
            if (kind < 45)
            {
                Frame? frame = Frame.TryAllocate(FrameContents.Arbitrary);
                if (frame is not null) Keep(frame);
            }
            else if (kind < 55)
            {
                int pages = random.Next(1, 200), alignment = 1 << random.Next(0, 8);
                Segment? segment = Segment.TryAllocate(pages, alignment, FrameContents.Arbitrary);
                if (segment is null) continue;
                Assert.That((segment.Start.Value >> 12) % (ulong)alignment, Is.Zero);
                Keep(segment);
            }
            else
            {
                // Mostly down when much is held, mostly up when little is.
                for (int i = random.Next(held > 5000 ? 40 : 3); i > 0 && live.Count > 0; i--) Drop(random.Next(live.Count));
            }
            if (step % 1000 == 999) allocator.Drain();
        }
        while (live.Count > 0) Drop(live.Count - 1);
        allocator.Drain();
        Assert.That(FrameAllocator.PolicyFaults, Is.Zero, "the mechanism saw no lie");
        Assert.That((allocator.FreePages, Leaked), Is.EqualTo((allocator.FreePages, allocator.FreePages)), "what left the reserve is free in the allocator");
        long inLargeBlocks = 0;
        for (int order = 10; order <= 18; order++) inLargeBlocks += allocator.FreeBlocks(order) << order;
        Assert.That(inLargeBlocks, Is.GreaterThanOrEqualTo(4096), "neighbours have come together again");

        void Keep(UntypedMemory memory)
        {
            for (int i = 0; i < memory.PageCount; i++) Assert.That(owned.Add((memory.Start.Value >> 12) + (ulong)i), Is.True, "a page has one owner");
            live.Add(memory);
            held += memory.PageCount;
        }

        void Drop(int index)
        {
            UntypedMemory memory = live[index];
            live[index] = live[^1];
            live.RemoveAt(live.Count - 1);
            for (int i = 0; i < memory.PageCount; i++) owned.Remove((memory.Start.Value >> 12) + (ulong)i);
            held -= memory.PageCount;
            memory.Dispose();
        }
    }

    [Test]
    public void Exhaustion_is_null_to_the_last_page_and_over_again()
    {
        BuddyFrameAllocator allocator = Inject();
        for (int round = 0; round < 3; round++)
        {
            var pages = new HashSet<ulong>();
            while (Single(allocator) is { } page) Assert.That(pages.Add(page.Value), Is.True);
            Assert.That((pages.Count, allocator.FreePages), Is.EqualTo((Given, 0)));
            Assert.That(allocator.Allocate(new FrameLayout(2, 1)), Is.Null);
            foreach (ulong page in pages) allocator.Deallocate(new PhysicalAddress(page), 1);
            Assert.That(allocator.FreePages, Is.EqualTo(Given));
        }
    }

    [Test]
    public void Caches_are_drained_when_pages_are_short()
    {
        BuddyFrameAllocator allocator = Inject(cpus: 4);
        Single(allocator);
        long largest = allocator.FreePages;
        Assert.That(allocator.CachedPages, Is.Positive);
        // All other pages in one request only if the cached ones come back first.
        var blocks = new List<PhysicalAddress>();
        while (allocator.Allocate(new FrameLayout(64, 1)) is { } block) blocks.Add(block);
        Assert.That(allocator.CachedPages, Is.Zero);
        Assert.That(largest - (64L * blocks.Count), Is.LessThan(200), "hardly anything is left");
    }

    [Test]
    public void Cpu_in_need_takes_from_the_cache_of_another()
    {
        BuddyFrameAllocator allocator = Inject(cpus: 2, pages: 2000);
        var pages = new List<PhysicalAddress>();
        while (Single(allocator) is { } page) pages.Add(page);
        for (int i = 0; i < 30; i++) allocator.Deallocate(pages[i], 1);
        Assert.That(allocator.CachedPages, Is.EqualTo(30), "CPU 0 keeps them");
        int found = 0;
        HostThreads.RunOnCpus(2, cpu =>
        {
            while (cpu == 1 && Single(allocator) is not null) found++;
        });
        Assert.That(found, Is.EqualTo(30));
    }

    [Test]
    public void Contiguous_requests_come_aligned_and_leave_no_waste([Values(1, 3, 64, 500)] int count, [Values(1, 16, 512)] int alignment)
    {
        BuddyFrameAllocator allocator = Inject();
        PhysicalAddress start = allocator.Allocate(new FrameLayout(count, alignment))!.Value;
        Assert.That((start.Value >> 12) % (ulong)alignment, Is.Zero);
        allocator.Drain();
        Assert.That(allocator.FreePages, Is.EqualTo(Given - count));
        allocator.Deallocate(start, count);
        Assert.That(allocator.FreePages, Is.EqualTo(Given));
    }

    [Test]
    public void Absurd_requests_are_null()
    {
        BuddyFrameAllocator allocator = Inject();
        Assert.That(allocator.Allocate(new FrameLayout(Given + 1, 1)), Is.Null);
        Assert.That(allocator.Allocate(new FrameLayout(1, 1 << 28)), Is.Null);
        Assert.That(allocator.Allocate(new FrameLayout(1 << 28, 1)), Is.Null);
    }

    [Test]
    public void Memory_across_zones_serves_and_returns()
    {
        OstdStartup.Restart(1);
        var allocator = new BuddyFrameAllocator();
        ulong border = (ulong)BuddyZone.PageCount << 12;
        allocator.AddFreeMemory(new PhysicalAddress(border - (100UL << 12)), 300);
        allocator.AddFreeMemory(new PhysicalAddress(5 * border), 50);
        var pages = new HashSet<ulong>();
        while (Single(allocator) is { } page) Assert.That(pages.Add(page.Value), Is.True);
        Assert.That(pages, Has.Count.EqualTo(350));
        allocator.Deallocate(new PhysicalAddress(border - (100UL << 12)), 300);
        Assert.That(allocator.FreePages, Is.EqualTo(300));
        Assert.That(allocator.Allocate(new FrameLayout(200, 1))!.Value.Value, Is.EqualTo(border));
    }

    [Test]
    public void Steady_state_allocates_nothing()
    {
        BuddyFrameAllocator allocator = Inject();
        var pages = new PhysicalAddress[1000];
        Round();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 50; i++) Round();
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);

        void Round()
        {
            for (int i = 0; i < pages.Length; i++) pages[i] = allocator.Allocate(new FrameLayout(1, 1))!.Value;
            foreach (PhysicalAddress page in pages) allocator.Deallocate(page, 1);
            PhysicalAddress block = allocator.Allocate(new FrameLayout(100, 16))!.Value;
            allocator.Deallocate(block, 100);
        }
    }

    [Test]
    public void Cpus_that_race_never_share_a_page()
    {
        const int Cpus = 4;
        BuddyFrameAllocator allocator = Inject(Cpus);
        var owner = new int[Machine.FrameCount()];
        int failures = 0;
        // The last two stand for the same CPU's place: a task that was moved in the middle finds the cache claimed.
        HostThreads.RunOnCpus(Cpus, cpu =>
        {
            if (cpu == 3) Machine.StandFor(2);
            Race(cpu + 1);
        });
        allocator.Drain();
        Assert.That((failures, allocator.FreePages, FrameAllocator.PolicyFaults), Is.EqualTo((0, (long)Given, 0L)));

        void Race(int number)
        {
            var random = new Random(number);
            var live = new List<(ulong Page, int Count)>();
            for (int step = 0; step < 20000; step++)
            {
                if (random.Next(100) < 50)
                {
                    int count = random.Next(10) == 0 ? random.Next(1, 40) : 1;
                    if (allocator.Allocate(new FrameLayout(count, 1)) is not { } start) continue;
                    for (int i = 0; i < count; i++)
                    {
                        if (Interlocked.Exchange(ref owner[(start.Value >> 12) + (ulong)i], number) != 0) Interlocked.Increment(ref failures);
                    }
                    live.Add((start.Value >> 12, count));
                }
                else if (live.Count > 0)
                {
                    Release(random.Next(live.Count));
                }
            }
            while (live.Count > 0) Release(live.Count - 1);

            void Release(int index)
            {
                (ulong page, int count) = live[index];
                live[index] = live[^1];
                live.RemoveAt(live.Count - 1);
                for (int i = 0; i < count; i++)
                {
                    if (Interlocked.Exchange(ref owner[page + (ulong)i], 0) != number) Interlocked.Increment(ref failures);
                }
                allocator.Deallocate(new PhysicalAddress(page << 12), count);
            }
        }
    }
}
