using System;
using System.Collections.Generic;
using Asterinas.Services.Allocators;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Allocators;

public sealed class BitTreeTests
{
    [Test]
    public void Tree_agrees_with_a_sorted_set([Values(1, 63, 64, 65, 4096, 4097, 262144)] int capacity)
    {
        var random = new Random(capacity);
        var tree = new BitTree(capacity);
        var model = new SortedSet<int>();
        for (int step = 0; step < 20000; step++)
        {
            // Clustered, so that words fill up and run empty.
            int item = Math.Min(capacity - 1, random.Next(2) == 0 ? random.Next(capacity) : random.Next(Math.Min(capacity, 200)));
            if (random.Next(2) == 0) Assert.That(tree.Add(item), Is.EqualTo(model.Add(item)));
            else Assert.That(tree.Remove(item), Is.EqualTo(model.Remove(item)));
            int from = random.Next(capacity);
            Assert.That(tree.Contains(from), Is.EqualTo(model.Contains(from)));
            SortedSet<int> rest = model.GetViewBetween(from, capacity);
            Assert.That(tree.FirstFrom(from), Is.EqualTo(rest.Count == 0 ? -1 : rest.Min));
        }
        Assert.That(tree.FirstFrom(capacity), Is.EqualTo(-1).Or.LessThan(0), "beyond the end");
    }

    [Test]
    public void Emptied_tree_finds_nothing_at_any_level()
    {
        var tree = new BitTree(262144);
        for (int i = 0; i < 262144; i += 61) tree.Add(i);
        for (int i = 0; i < 262144; i += 61) Assert.That(tree.Remove(i), Is.True);
        Assert.That(tree.FirstFrom(0), Is.EqualTo(-1));
        tree.Add(262143);
        Assert.That(tree.FirstFrom(0), Is.EqualTo(262143));
    }
}
