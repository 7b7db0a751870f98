using System;
using System.Collections.Generic;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Runtime;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Memory;

public sealed class FrameReserveTests : MemoryFixture
{
    [Test]
    public void Random_allocations_never_overlap_and_coalesce_again([Values(1, 2, 3, 4)] int seed)
    {
        var random = new Random(seed);
        var owned = new Dictionary<ulong, ulong>();
        var blocks = new List<(ulong Address, int Order)>();
        ulong free = FrameReserve.FreePages;
        for (int step = 0; step < 4000; step++)
        {
            if (blocks.Count == 0 || random.Next(100) < 52)
            {
                int order = Math.Min(random.Next(FrameReserve.MaxOrder + 1), random.Next(FrameReserve.MaxOrder + 1));
                ulong address = FrameReserve.Allocate(order, FrameState.Unused);
                if (address == 0) continue;
                Assert.That(address % (4096UL << order), Is.Zero, "natural alignment");
                for (ulong page = 0; page < 1UL << order; page++) Assert.That(owned.TryAdd((address >> 12) + page, address), Is.True, "handed out twice");
                blocks.Add((address, order));
            }
            else
            {
                int index = random.Next(blocks.Count);
                (ulong address, int order) = blocks[index];
                blocks.RemoveAt(index);
                for (ulong page = 0; page < 1UL << order; page++) owned.Remove((address >> 12) + page);
                Assert.That(FrameReserve.Free(address, order), Is.True);
                Assert.That(FrameReserve.Free(address, order), Is.False, "double free");
            }
            Assert.That(FrameReserve.FreePages, Is.EqualTo(free - (ulong)owned.Count));
        }
        foreach ((ulong address, int order) in blocks) Assert.That(FrameReserve.Free(address, order), Is.True);
        Assert.That(FrameReserve.FreePages, Is.EqualTo(free));
        int largest = 0;
        while (FrameReserve.Allocate(FrameReserve.MaxOrder, FrameState.Unused) != 0) largest++;
        Assert.That(largest, Is.GreaterThanOrEqualTo(6), "32 MiB without its first MiB and the kernel's tables hold at least six whole 4 MiB blocks");
    }

    [Test]
    public void Forged_frees_are_refused()
    {
        Assert.That(FrameReserve.Free(0, 0), Is.False, "not RAM");
        Assert.That(FrameReserve.Free(123, 0), Is.False, "not a page");
        Assert.That(FrameReserve.Free(4096, 1), Is.False, "not aligned to its order");
        Assert.That(FrameReserve.Free(1UL << 40, 0), Is.False, "beyond");
        Assert.That(FrameReserve.Free(1UL << 20, 11), Is.False, "no such order");
        Assert.That(FrameReserve.Allocate(11, FrameState.Unused), Is.Zero);
        Assert.That(FrameReserve.Allocate(-1, FrameState.Unused), Is.Zero);
        Assert.That(FrameReserve.Allocate(0, FrameState.Free), Is.Zero, "Free is no use");
    }
}
