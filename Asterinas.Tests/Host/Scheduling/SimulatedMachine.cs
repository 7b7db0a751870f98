using System;
using System.Collections.Generic;
using Asterinas.Ostd.Tasks;
using Asterinas.Services.Scheduling;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Scheduling;

/// <summary>
/// CPUs, time and tasks without threads: drives the policy as the mechanism does (an update before each pick, a look after a kick, one-shot ticks) and checks every answer
/// as the mechanism does: a picked task is runnable, runs nowhere else, and is allowed there.
/// </summary>
internal sealed class SimulatedMachine
{
    private sealed class Cpu
    {
        public SimulatedTask? Running;
        public bool IsKicked;
        public ulong TickAt;
    }

    private readonly Cpu[] _cpus;
    private readonly List<SimulatedTask> _tasks = [];
    private ulong _now = 1_000_000;

    public SimulatedMachine(int cpuCount)
    {
        _cpus = new Cpu[cpuCount];
        for (int i = 0; i < cpuCount; i++) _cpus[i] = new Cpu();
        Core = new SchedulerCore(cpuCount, () => _now, cpu => _cpus[cpu].IsKicked = true);
    }

    public SchedulerCore Core { get; }

    public ulong Now => _now;

    public IReadOnlyList<SimulatedTask> Tasks => _tasks;

    public long Ticks { get; private set; }

    /// <summary>Called after each step.</summary>
    public Action? AfterStep { get; set; }

    public SimulatedTask? RunningOn(int cpu) => _cpus[cpu].Running;

    public SimulatedTask Spawn(SimulatedTask task)
    {
        _tasks.Add(task);
        MakeRunnable(task, EnqueueReason.Spawn);
        return task;
    }

    public SimulatedTask Spawn(string name, SchedulingParameters? parameters = null, ulong affinity = ulong.MaxValue, ulong burstNs = 0, ulong sleepNs = 0, bool yields = false) =>
        Spawn(SimulatedTask.Create(name, parameters, affinity, burstNs, sleepNs, yields));

    public void Wake(SimulatedTask task)
    {
        if (task.IsRunnable || task.HasEnded) return;
        task.WakeAtNs = 0;
        task.LeftOfBurstNs = task.BurstNs;
        MakeRunnable(task, EnqueueReason.Wake);
    }

    /// <summary>The task waits until it is woken; only for one that runs.</summary>
    public void Block(SimulatedTask task)
    {
        Leave(task, UpdateReason.Wait);
        PickOn(task);
    }

    /// <summary>As <see cref="Block"/>, but the waker comes before the task has left its CPU.</summary>
    public void BlockThoughWoken(SimulatedTask task)
    {
        Core.Update(Core.Queue(task.OnCpu), UpdateReason.Wait);
        MakeRunnable(task, EnqueueReason.Wake);
        Assert.That(Core.DequeueCurrent(Core.Queue(task.OnCpu)), Is.SameAs(task));
        PickOn(task);
    }

    public void Yield(SimulatedTask task)
    {
        if (Core.Update(Core.Queue(task.OnCpu), UpdateReason.Yield)) PickNext(task.OnCpu); else AskTick(task.OnCpu);
    }

    public void SetAffinity(SimulatedTask task, ulong affinity)
    {
        task.SetAffinity(affinity);
        Core.AffinityChanged(task);
    }

    public void RunFor(ulong ns)
    {
        ulong end = _now + ns;
        HandleKicks();
        while (_now < end)
        {
            AdvanceTo(Math.Min(end, NextEvent()));
            HandleEvents();
            HandleKicks();
            AfterStep?.Invoke();
        }
    }

    /// <summary>Throws unless each runnable task is in exactly one queue, the others in none, and the queues are sound.</summary>
    public void Check()
    {
        var seen = new HashSet<Entity>();
        for (int cpu = 0; cpu < _cpus.Length; cpu++)
        {
            RunQueue queue = Core.Queue(cpu);
            queue.Check(entity => Assert.That(seen.Add(entity), Is.True, $"{entity} is in two places"));
            Assert.That(queue.Current, Is.SameAs(_cpus[cpu].Running), $"current of CPU {cpu}");
            bool idle = queue.Current is null && queue.Waiting == 0;
            Assert.That((Core.IdleCpus >> cpu & 1) != 0, Is.EqualTo(idle), $"idle bit of CPU {cpu}");
        }
        foreach (SimulatedTask task in _tasks) Assert.That(seen.Contains(task), Is.EqualTo(task.IsRunnable), $"{task} is {(task.IsRunnable ? "lost" : "queued")}");
    }

    private void MakeRunnable(SimulatedTask task, EnqueueReason reason)
    {
        task.IsRunnable = true;
        task.RunnableSince = _now;
        int look = Core.Enqueue(task, reason);
        if (look >= 0) _cpus[look].IsKicked = true;
    }

    private ulong NextEvent()
    {
        ulong next = ulong.MaxValue;
        foreach (Cpu cpu in _cpus)
        {
            if (cpu.Running is not { } running) continue;
            if (cpu.TickAt != 0) next = Math.Min(next, cpu.TickAt);
            if (running.BurstNs != 0) next = Math.Min(next, _now + running.LeftOfBurstNs);
        }
        foreach (SimulatedTask task in _tasks)
        {
            if (task.WakeAtNs != 0) next = Math.Min(next, task.WakeAtNs);
        }
        return Math.Max(next, _now);
    }

    private void AdvanceTo(ulong moment)
    {
        foreach (Cpu cpu in _cpus)
        {
            if (cpu.Running is not { } running) continue;
            running.RanNs += moment - _now;
            if (running.BurstNs != 0) running.LeftOfBurstNs -= moment - _now;
        }
        _now = moment;
    }

    private void HandleEvents()
    {
        foreach (SimulatedTask task in _tasks)
        {
            if (task.WakeAtNs != 0 && task.WakeAtNs <= _now) Wake(task);
        }
        for (int i = 0; i < _cpus.Length; i++)
        {
            Cpu cpu = _cpus[i];
            if (cpu.Running is { } running && running.BurstNs != 0 && running.LeftOfBurstNs == 0) EndBurst(running);
            if (cpu.Running is null || cpu.TickAt == 0 || cpu.TickAt > _now) continue;
            Ticks++;
            if (Core.Update(Core.Queue(i), UpdateReason.Tick)) cpu.IsKicked = true;
            AskTick(i);
        }
    }

    private void EndBurst(SimulatedTask task)
    {
        task.LeftOfBurstNs = task.BurstNs;
        if (task.Yields)
        {
            Yield(task);
            return;
        }
        if (task.SleepNs == 0) task.HasEnded = true;
        else if (task.SleepNs != ulong.MaxValue) task.WakeAtNs = _now + task.SleepNs;
        Leave(task, task.HasEnded ? UpdateReason.Exit : UpdateReason.Wait);
        PickOn(task);
    }

    private void Leave(SimulatedTask task, UpdateReason reason)
    {
        task.IsRunnable = false;
        RunQueue queue = Core.Queue(task.OnCpu);
        Core.Update(queue, reason);
        Assert.That(Core.DequeueCurrent(queue), Is.SameAs(task));
    }

    private void PickOn(SimulatedTask left)
    {
        int cpu = left.OnCpu;
        left.OnCpu = -1;
        _cpus[cpu].Running = null;
        PickNext(cpu);
    }

    private void HandleKicks()
    {
        for (bool any = true; any;)
        {
            any = false;
            for (int i = 0; i < _cpus.Length; i++)
            {
                Cpu cpu = _cpus[i];
                if (!cpu.IsKicked) continue;
                any = true;
                cpu.IsKicked = false;
                // As Scheduler.Reschedule does: a task whose affinity has changed leaves, the others have their queue updated first.
                if (cpu.Running is { } running && (running.Affinity >> i & 1) == 0) Misplaced(running);
                else if (cpu.Running is not null && !Core.Update(Core.Queue(i), UpdateReason.Tick)) AskTick(i);
                else PickNext(i);
            }
        }
    }

    private void Misplaced(SimulatedTask task)
    {
        Assert.That(Core.DequeueCurrent(Core.Queue(task.OnCpu)), Is.SameAs(task));
        MakeRunnable(task, EnqueueReason.Wake);
        PickOn(task);
    }

    private void PickNext(int index)
    {
        Cpu cpu = _cpus[index];
        var next = (SimulatedTask?)Core.PickNext(Core.Queue(index));
        if (next is not null || Core.Queue(index).Current is null)
        {
            if (cpu.Running is { } old)
            {
                old.OnCpu = -1;
                old.RunnableSince = _now;
            }
            cpu.Running = next;
            if (next is not null)
            {
                Assert.That(next.IsRunnable, Is.True, $"{next} is not runnable");
                Assert.That(next.OnCpu, Is.EqualTo(-1), $"{next} is on a CPU");
                Assert.That(next.Affinity >> index & 1, Is.EqualTo(1), $"{next} may not run on CPU {index}");
                next.OnCpu = index;
                next.CpusSeen |= 1UL << index;
                next.LongestWaitNs = Math.Max(next.LongestWaitNs, _now - next.RunnableSince);
            }
        }
        AskTick(index);
    }

    private void AskTick(int cpu) => _cpus[cpu].TickAt = Core.Queue(cpu).TickAt;
}
