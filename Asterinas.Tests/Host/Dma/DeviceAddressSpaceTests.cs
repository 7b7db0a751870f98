using System;
using System.Collections.Generic;
using Asterinas.Ostd.Dma.Vtd;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Dma;

public sealed class DeviceAddressSpaceTests
{
    private const ulong MessagesStart = 0xFEE00000, MessagesEnd = 0xFEF00000;

    [TestCase(1)]
    [TestCase(2)]
    [TestCase(3)]
    public void Blocks_are_aligned_disjoint_and_never_in_the_window_of_messages(int seed)
    {
        var random = new Random(seed);
        var space = new DeviceAddressSpace(34);
        var live = new List<(ulong Start, int Pages)>();
        for (int step = 0; step < 3000; step++)
        {
            if (live.Count > 0 && random.Next(3) == 0)
            {
                int index = random.Next(live.Count);
                space.GiveBack(live[index].Start, live[index].Pages);
                live.RemoveAt(index);
                continue;
            }
            int pages = random.Next(10) == 0 ? random.Next(1, 30000) : random.Next(1, 20);
            ulong start = space.TryTake(pages);
            if (start == 0) continue;
            ulong bytes = System.Numerics.BitOperations.RoundUpToPowerOf2((ulong)pages) << 12;
            Assert.That(start % bytes, Is.Zero);
            Assert.That(start, Is.GreaterThanOrEqualTo(1UL << 20));
            Assert.That(start + bytes, Is.LessThanOrEqualTo(1UL << 34));
            Assert.That(start < MessagesEnd && start + bytes > MessagesStart, Is.False);
            foreach ((ulong other, int count) in live) Assert.That(start < other + ((ulong)count << 12) && other < start + ((ulong)pages << 12), Is.False);
            live.Add((start, pages));
        }
        Assert.That(live, Is.Not.Empty);
    }

    [Test]
    public void Small_blocks_use_every_address_but_the_window()
    {
        var space = new DeviceAddressSpace(33);
        var seen = new HashSet<ulong>();
        for (ulong start; (start = space.TryTake(256)) != 0;) Assert.That(seen.Add(start), Is.True);
        Assert.That(seen, Has.Count.EqualTo((int)((1UL << 33) >> 20) - 2), "all but the first MiB and the window");
        space.GiveBack(1 << 20, 256);
        Assert.That(space.TryTake(200), Is.EqualTo(1UL << 20));
        Assert.That(space.TryTake(1), Is.Zero);
    }

    [TestCase(int.MaxValue)]
    [TestCase(1 << 29)]
    [TestCase(1 << 28)]
    public void Impossible_sizes_are_refused(int pages) => Assert.That(new DeviceAddressSpace(39).TryTake(pages) is 0 or 1UL << 40, Is.True);
}
