using System;
using System.Collections.Concurrent;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Asterinas.Ostd.Tasks;
using Asterinas.Services.Scheduling;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Scheduling;

/// <summary>The policy under real concurrency: a host thread for each CPU, and one that changes parameters and affinities under their hands.</summary>
public sealed class ConcurrencyTests
{
    private const int Cpus = 4, TaskCount = 24, Rounds = 30_000;

    private readonly ConcurrentQueue<SimulatedTask> _asleep = new();
    private readonly int[] _kicks = new int[Cpus];
    private long _now = 1;
    private volatile string? _problem;

    [Test]
    public void No_task_is_lost_or_doubled()
    {
        var core = new SchedulerCore(Cpus, () => (ulong)Interlocked.Add(ref _now, 20_000), cpu => Volatile.Write(ref _kicks[cpu], 1));
        SimulatedTask[] tasks = [.. Enumerable.Range(0, TaskCount).Select(i => SimulatedTask.Create($"{i}"))];
        foreach (SimulatedTask task in tasks) Enqueue(core, task, EnqueueReason.Spawn);
        Thread[] threads = [.. Enumerable.Range(0, Cpus).Select(cpu => new Thread(() => Guarded(() => RunCpu(core, cpu))))];
        var meddler = new Thread(() => Guarded(() => Meddle(core, tasks)));
        foreach (Thread thread in threads) thread.Start();
        meddler.Start();
        foreach (Thread thread in threads) thread.Join();
        meddler.Join();
        Assert.That(_problem, Is.Null);
        while (_asleep.TryDequeue(out SimulatedTask? task)) Enqueue(core, task, EnqueueReason.Wake);
        var seen = new HashSet<Entity>();
        for (int cpu = 0; cpu < Cpus; cpu++) core.Queue(cpu).Check(entity => Assert.That(seen.Add(entity), Is.True, $"{entity} is in two places"));
        Assert.That(seen, Has.Count.EqualTo(TaskCount));
        foreach (Entity entity in seen) Assert.That(entity.Applied, Is.SameAs(entity.Attributes.Parameters), $"{entity}");
    }

    private void Guarded(Action body)
    {
        try
        {
            body();
        }
        catch (Exception problem)
        {
            _problem ??= problem.ToString();
        }
    }

    private void Enqueue(SchedulerCore core, SimulatedTask task, EnqueueReason reason)
    {
        int look = core.Enqueue(task, reason);
        if (look >= 0) Volatile.Write(ref _kicks[look], 1);
    }

    private void RunCpu(SchedulerCore core, int cpu)
    {
        var random = new Random(cpu);
        RunQueue queue = core.Queue(cpu);
        SimulatedTask? running = null;
        for (int round = 0; round < Rounds && _problem is null; round++)
        {
            bool looks = Interlocked.Exchange(ref _kicks[cpu], 0) != 0;
            SimulatedTask? leaving = null;
            if (running is null || looks || random.Next(3) == 0)
            {
                if (running is not null && !core.Update(queue, random.Next(2) == 0 ? UpdateReason.Tick : UpdateReason.Yield)) continue;
            }
            else
            {
                // Goes to sleep. Somebody may wake it before it has left.
                core.Update(queue, UpdateReason.Wait);
                leaving = running;
                if (random.Next(4) == 0) Enqueue(core, leaving, EnqueueReason.Wake);
                else _asleep.Enqueue(leaving);
                if (core.DequeueCurrent(queue) != leaving) throw new InvalidOperationException($"CPU {cpu} dequeued another one than {leaving}");
            }
            var next = (SimulatedTask?)core.PickNext(queue);
            // As in the mechanism: the old one leaves after the pick, and who picks one that is still leaving waits.
            if (running is not null && (next is not null || queue.Current is null)) Volatile.Write(ref running.OnCpu, -1);
            if (next is null && queue.Current is not null) continue;
            running = next;
            while (running is not null && Interlocked.CompareExchange(ref running.OnCpu, cpu, -1) != -1)
            {
                if (_problem is not null) return;
                Thread.Yield();
            }
            if (random.Next(2) == 0 && _asleep.TryDequeue(out SimulatedTask? sleeper)) Enqueue(core, sleeper, EnqueueReason.Wake);
        }
    }

    private void Meddle(SchedulerCore core, SimulatedTask[] tasks)
    {
        var random = new Random(99);
        for (int round = 0; round < Rounds && _problem is null; round++)
        {
            SimulatedTask task = tasks[random.Next(tasks.Length)];
            switch (random.Next(5))
            {
                case 0:
                    task.Attributes.SetNice(random.Next(-20, 20));
                    break;
                case 1:
                    task.Attributes.TrySet(new() { Policy = SchedulingPolicy.RoundRobin, Priority = random.Next(1, 4) });
                    break;
                case 2:
                    task.Attributes.TrySet(SchedulingParameters.Default);
                    break;
                case 3:
                    task.SetAffinity((ulong)random.Next(1, 1 << Cpus));
                    core.AffinityChanged(task);
                    break;
                default:
                    TaskStatistics had = task.Attributes.Statistics;
                    if (had.Turns - had.VoluntarySwitches - had.InvoluntarySwitches is not (0 or 1)) throw new InvalidOperationException($"{task}: {had}");
                    break;
            }
        }
    }
}
