using System;
using Asterinas.Ostd.Tasks;
using Asterinas.Services.Scheduling;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Scheduling;

/// <summary>The mechanism calls the policy where an allocation is not welcome.</summary>
public sealed class AllocationTests
{
    [Test]
    public void Queueing_choosing_and_balancing_allocate_nothing()
    {
        ulong now = 1;
        var core = new SchedulerCore(4, () => now, static _ => { });
        for (int i = 0; i < 40; i++)
        {
            SchedulingParameters parameters = i % 8 == 0 ? new() { Policy = SchedulingPolicy.RoundRobin, Priority = 1 + i / 8 } : new() { Nice = i % 20 };
            core.Enqueue(SimulatedTask.Create($"{i}", parameters), EnqueueReason.Spawn);
        }
        Run(core, ref now, 1000);
        long before = GC.GetAllocatedBytesForCurrentThread();
        Run(core, ref now, 20_000);
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);
    }

    private static void Run(SchedulerCore core, ref ulong now, int rounds)
    {
        for (int round = 0; round < rounds; round++)
        {
            now += 700_000;
            RunQueue queue = core.Queue(round & 3);
            if (core.Update(queue, (round & 4) == 0 ? UpdateReason.Tick : UpdateReason.Yield)) core.PickNext(queue);
            if (round % 5 == 0 && core.DequeueCurrent(queue) is { } sleeper)
            {
                core.PickNext(queue);
                core.Enqueue(sleeper, EnqueueReason.Wake);
            }
        }
    }
}
