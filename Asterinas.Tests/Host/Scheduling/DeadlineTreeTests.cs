using System;
using System.Collections.Generic;
using System.Linq;
using Asterinas.Services.Scheduling;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Scheduling;

/// <summary>The augmented tree against a list that is searched from end to end.</summary>
public sealed class DeadlineTreeTests
{
    // The second start lets virtual times wrap during the test.
    [TestCase(1, 0)]
    [TestCase(2, long.MaxValue - 500)]
    [TestCase(3, -500)]
    public void Finds_what_a_linear_search_finds(int seed, long origin)
    {
        var random = new Random(seed);
        var tree = new DeadlineTree();
        var model = new List<SimulatedTask>();
        for (int step = 0; step < 20_000; step++)
        {
            if (model.Count == 0 || random.Next(model.Count < 200 ? 3 : 5) < 2)
            {
                SimulatedTask task = SimulatedTask.Create($"{step}", affinity: (ulong)random.Next(16));
                task.Vruntime = origin + random.Next(1000);
                task.Deadline = task.Vruntime + random.Next(1, 200);
                task.Weight = random.Next(1, 100);
                tree.Insert(task);
                model.Add(task);
            }
            else
            {
                int index = random.Next(model.Count);
                tree.Remove(model[index]);
                model.RemoveAt(index);
            }
            if (step % 16 == 0) tree.Check();
            long average = origin + random.Next(1000);
            int cpu = random.Next(4);
            IEnumerable<SimulatedTask> byDeadline = model.OrderBy(task => task.Deadline - origin).ThenBy(task => task.Id);
            Assert.That(tree.Count, Is.EqualTo(model.Count));
            Assert.That(tree.First, Is.SameAs(byDeadline.FirstOrDefault()));
            Assert.That(tree.EarliestEligible(average), Is.SameAs(byDeadline.FirstOrDefault(task => task.Vruntime - average <= 0)));
            Assert.That(tree.LastAllowedOn(cpu, long.MaxValue), Is.SameAs(byDeadline.LastOrDefault(task => (task.Affinity >> cpu & 1) != 0)));
            Entity? light = tree.LastAllowedOn(cpu, 50);
            Assert.That(light is null || (light.Weight < 50 && (light.Affinity >> cpu & 1) != 0), Is.True);
        }
    }

    [Test]
    public void Height_stays_logarithmic_when_deadlines_only_grow()
    {
        var tree = new DeadlineTree();
        for (int i = 0; i < 4096; i++)
        {
            SimulatedTask task = SimulatedTask.Create($"{i}");
            task.Deadline = i;
            tree.Insert(task);
        }
        tree.Check();
        int highest = 0;
        tree.Visit(entity => highest = Math.Max(highest, entity.Height));
        Assert.That(highest, Is.LessThanOrEqualTo(18), "1.44 log2(n)");
    }

    [Test]
    public void Removing_a_stranger_is_refused()
    {
        var tree = new DeadlineTree();
        tree.Insert(SimulatedTask.Create("member"));
        Assert.That(() => tree.Remove(SimulatedTask.Create("stranger")), Throws.InvalidOperationException);
    }
}
