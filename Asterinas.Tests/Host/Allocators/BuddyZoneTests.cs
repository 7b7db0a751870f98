using System;
using System.Collections.Generic;
using Asterinas.Services.Allocators;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Allocators;

public sealed class BuddyZoneTests : MachineFixture
{
    private const uint Zone = 3, First = Zone << BuddyZone.PageShift;

    private static int FreeBlockSum(BuddyZone zone)
    {
        int sum = 0;
        for (int order = 0; order <= BuddyZone.MaxOrder; order++) sum += zone.FreeBlocks(order) << order;
        return sum;
    }

    [Test]
    public void Whole_zone_is_one_block_however_it_came_in()
    {
        var random = new Random(1);
        var zone = new BuddyZone(Zone);
        var pieces = new List<(int Start, int Length)>();
        for (int at = 0; at < BuddyZone.PageCount;)
        {
            int length = Math.Min(random.Next(1, 3000), BuddyZone.PageCount - at);
            pieces.Add((at, length));
            at += length;
        }
        random.Shuffle(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(pieces));
        foreach ((int start, int length) in pieces) zone.Free(First + (uint)start, length);
        Assert.That((zone.FreePages, zone.FreeBlocks(BuddyZone.MaxOrder)), Is.EqualTo((BuddyZone.PageCount, 1)));
        Assert.That(zone.TakeBlock(BuddyZone.PageCount, BuddyZone.PageCount), Is.EqualTo(First));
        Assert.That(zone.TakeBlock(1, 1), Is.Zero);
        Assert.That(zone.TakeBlock(BuddyZone.PageCount + 1, 1), Is.Zero);
    }

    [Test]
    public void Random_operations_agree_with_a_model_and_all_comes_back([Values(1, 2, 3, 4)] int seed)
    {
        const int Pages = 10000;
        var random = new Random(seed);
        var zone = new BuddyZone(Zone);
        zone.Free(First + 5, Pages);
        var isFree = new bool[Pages + 5];
        Array.Fill(isFree, true, 5, Pages);
        int free = Pages;
        var live = new List<(uint Page, int Count)>();
        var batch = new uint[100];
        for (int step = 0; step < 6000; step++)
        {
            int kind = random.Next(10);
            if (kind < 3)
            {
                int wanted = random.Next(1, batch.Length);
                int count = zone.Take(batch.AsSpan(0, wanted));
                Assert.That(count, Is.EqualTo(Math.Min(wanted, free)), "single pages never fail while there are some");
                for (int i = 0; i < count; i++) Own(batch[i], 1);
            }
            else if (kind < 6)
            {
                int count = random.Next(1, 1 << random.Next(1, 10)), alignment = 1 << random.Next(0, 10);
                uint page = zone.TakeBlock(count, alignment);
                if (page == 0)
                {
                    Assert.That(HasRun(count, alignment), Is.False, $"{count} aligned to {alignment} would fit");
                    continue;
                }
                Assert.That(page % alignment, Is.Zero);
                Own(page, count);
            }
            else
            {
                for (int i = random.Next(1, 60); i > 0 && live.Count > 0; i--) Release(random.Next(live.Count));
            }
            Assert.That((zone.FreePages, FreeBlockSum(zone)), Is.EqualTo((free, free)));
        }
        while (live.Count > 0) Release(live.Count - 1);
        Assert.That(zone.FreePages, Is.EqualTo(Pages));
        Assert.That(zone.TakeBlock(Pages, 1), Is.EqualTo(First + 5), "everything has come together again");

        void Own(uint page, int count)
        {
            for (int i = 0; i < count; i++)
            {
                Assert.That(isFree[page - First + i], Is.True, $"page {page + i} has an owner");
                isFree[page - First + i] = false;
            }
            free -= count;
            live.Add((page, count));
        }

        // In one piece, in two, or a page of it each.
        void Release(int index)
        {
            (uint page, int count) = live[index];
            live[index] = live[^1];
            live.RemoveAt(live.Count - 1);
            Array.Fill(isFree, true, (int)(page - First), count);
            free += count;
            int cut = random.Next(count + 1);
            if (cut == 0)
            {
                for (int i = 0; i < count; i++) zone.Free([(uint)(page + i)]);
                return;
            }
            zone.Free(page, cut);
            if (cut < count) zone.Free(page + (uint)cut, count - cut);
        }

        bool HasRun(int count, int alignment)
        {
            int run = 0;
            for (int i = 0; i < isFree.Length; i++)
            {
                run = isFree[i] ? run + 1 : 0;
                int start = i - run + 1, aligned = (int)(((First + (uint)start + (uint)alignment - 1) & ~(uint)(alignment - 1)) - First);
                if (i + 1 - aligned >= count) return true;
            }
            return false;
        }
    }

    [Test]
    public void Small_pieces_are_used_before_large_ones_are_broken()
    {
        var zone = new BuddyZone(Zone);
        zone.Free(First, 512);
        zone.Free(First + 1024 + 1, 3);
        var pages = new uint[3];
        Assert.That(zone.Take(pages), Is.EqualTo(3));
        Assert.That(pages, Is.EquivalentTo(new[] { First + 1025, First + 1026, First + 1027 }));
        Assert.That(zone.FreeBlocks(9), Is.EqualTo(1));
    }

    [Test]
    public void Neighbours_that_are_no_buddies_serve_a_request_together()
    {
        var zone = new BuddyZone(Zone);
        zone.Free(First + 6, 4);                // 6-7 and 8-9: no block of four
        Assert.That(zone.FreeBlocks(2), Is.Zero);
        Assert.That(zone.TakeBlock(4, 4), Is.Zero);
        Assert.That(zone.TakeBlock(3, 1), Is.EqualTo(First + 6));
        Assert.That(zone.FreePages, Is.EqualTo(1));
        Assert.That(zone.TakeBlock(1, 1), Is.EqualTo(First + 9));
    }

    [Test]
    public void Page_that_is_free_cannot_be_freed()
    {
        var zone = new BuddyZone(Zone);
        zone.Free(First, 1);
        zone.Free(First + 2, 1);
        Assert.That(() => zone.Free(First, 1), Throws.InvalidOperationException);
    }
}
