using System;
using System.Linq;
using Asterinas.Services.Scheduling;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Scheduling;

/// <summary>Random operations; after each one every runnable task is in exactly one queue and the queues' sums, orders and published numbers are right.</summary>
public sealed class InvariantTests
{
    private const ulong Ms = 1_000_000;

    [TestCase(1, 1)]
    [TestCase(2, 1)]
    [TestCase(3, 2)]
    [TestCase(4, 3)]
    [TestCase(5, 4)]
    [TestCase(6, 8)]
    public void Hold_under_random_operations(int seed, int cpus)
    {
        var random = new Random(seed);
        var machine = new SimulatedMachine(cpus);
        for (int step = 0; step < 6000; step++)
        {
            Act(machine, random, cpus);
            machine.RunFor(random.Next(4) switch { 0 => 0, 1 => (ulong)random.Next(1000), 2 => (ulong)random.Next(5_000_000), _ => (ulong)random.Next(200_000) });
            machine.Check();
        }
        // Nobody was forgotten: with every CPU allowed and the real-time tasks tamed, all make progress.
        foreach (SimulatedTask task in machine.Tasks)
        {
            task.Attributes.TrySet(SchedulingParameters.Default);
            machine.SetAffinity(task, ulong.MaxValue);
            machine.Wake(task);
        }
        ulong[] before = [.. machine.Tasks.Select(task => task.RanNs)];
        machine.RunFor(2000 * Ms);
        for (int i = 0; i < before.Length; i++) Assert.That(machine.Tasks[i].HasEnded || machine.Tasks[i].RanNs > before[i], Is.True, $"{machine.Tasks[i]} starves");
    }

    private static void Act(SimulatedMachine machine, Random random, int cpus)
    {
        SimulatedTask? task = machine.Tasks.Count == 0 ? null : machine.Tasks[random.Next(machine.Tasks.Count)];
        SimulatedTask? running = machine.RunningOn(random.Next(cpus));
        switch (random.Next(12))
        {
            case 0 when machine.Tasks.Count(task => !task.HasEnded) < 6 * cpus:
                machine.Spawn($"task {machine.Tasks.Count}", Parameters(random), Affinity(random, cpus), random.Next(3) == 0 ? 0 : (ulong)random.Next(1, 8_000_000), RandomSleep(random), random.Next(8) == 0);
                break;
            case 1 or 2 when running is not null:
                machine.Block(running);
                break;
            case 3 when running is not null:
                machine.BlockThoughWoken(running);
                break;
            case 4 when running is not null:
                machine.Yield(running);
                break;
            case 5 or 6 or 7 when task is not null:
                machine.Wake(task);
                break;
            case 8 when task is not null:
                task.Attributes.TrySet(Parameters(random));
                break;
            case 9 when task is not null:
                task.Attributes.SetNice(random.Next(-25, 25));
                break;
            case 10 when task is not null:
                machine.SetAffinity(task, Affinity(random, cpus));
                break;
            case 11 when task is not null:
                task.SetAffinity(Affinity(random, cpus));
                break;
        }
    }

    private static ulong RandomSleep(Random random) => random.Next(4) switch { 0 => 0, 1 => ulong.MaxValue, _ => (ulong)random.Next(1, 20_000_000) };

    private static ulong Affinity(Random random, int cpus) => (ulong)random.NextInt64(1, 1L << cpus);

    private static SchedulingParameters Parameters(Random random) => random.Next(10) switch
    {
        0 => new() { Policy = SchedulingPolicy.Fifo, Priority = random.Next(1, 5) },
        1 => new() { Policy = SchedulingPolicy.RoundRobin, Priority = random.Next(1, 5) },
        2 => new() { Policy = SchedulingPolicy.Idle },
        3 => new() { Policy = SchedulingPolicy.Batch, Nice = random.Next(-20, 20) },
        _ => new() { Nice = random.Next(-20, 20), SliceNs = (ulong)random.Next(100_000, 100_000_000) },
    };
}
