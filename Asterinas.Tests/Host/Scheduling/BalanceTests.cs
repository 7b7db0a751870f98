using System.Linq;
using Asterinas.Services.Scheduling;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Scheduling;

/// <summary>Several CPUs: where tasks wake, how they move, and what affinity allows.</summary>
public sealed class BalanceTests
{
    private const ulong Ms = 1_000_000;

    [TestCase(2)]
    [TestCase(4)]
    [TestCase(16)]
    [TestCase(64)]
    public void As_many_busy_tasks_as_CPUs_use_them_all(int cpus)
    {
        var machine = new SimulatedMachine(cpus);
        for (int i = 0; i < cpus; i++) machine.Spawn($"{i}");
        machine.RunFor(100 * Ms);
        machine.Check();
        Assert.That(machine.Tasks.Select(task => task.RanNs), Is.All.EqualTo(100 * Ms));
        Assert.That(machine.Tasks.Select(task => task.Migrations), Is.All.Zero);
    }

    [Test]
    public void Busy_tasks_that_all_start_on_one_CPU_spread()
    {
        var machine = new SimulatedMachine(4);
        for (int i = 0; i < 4; i++) machine.Spawn($"{i}", affinity: 1);
        machine.RunFor(5 * Ms);
        // Nobody tells the policy: the ticks find out.
        foreach (SimulatedTask task in machine.Tasks) task.SetAffinity(ulong.MaxValue);
        machine.RunFor(30 * Ms);
        ulong[] before = [.. machine.Tasks.Select(task => task.RanNs)];
        machine.RunFor(100 * Ms);
        machine.Check();
        Assert.That(machine.Tasks.Select((task, i) => task.RanNs - before[i]), Is.All.EqualTo(100 * Ms));
    }

    [Test]
    public void A_CPU_that_becomes_idle_takes_from_the_busiest()
    {
        var machine = new SimulatedMachine(2);
        machine.Spawn("short", affinity: 2, burstNs: 10 * Ms);
        SimulatedTask one = machine.Spawn("one"), two = machine.Spawn("two"), three = machine.Spawn("three", affinity: 1);
        machine.RunFor(200 * Ms);
        machine.Check();
        Assert.That((one.RanNs + two.RanNs + three.RanNs) / Ms, Is.GreaterThanOrEqualTo(389));
        Assert.That(three.CpusSeen, Is.EqualTo(1));
    }

    [Test]
    public void No_CPU_idles_while_a_task_waits_that_may_run_there()
    {
        var machine = new SimulatedMachine(4);
        var random = new System.Random(4);
        for (int i = 0; i < 10; i++) machine.Spawn($"{i}", burstNs: (ulong)random.Next(1, 20) * Ms / 2, sleepNs: (ulong)random.Next(1, 20) * Ms);
        machine.AfterStep = () =>
        {
            if (machine.Core.IdleCpus == 0) return;
            for (int cpu = 0; cpu < 4; cpu++) Assert.That(machine.Core.Queue(cpu).Waiting, Is.Zero, $"CPU {cpu}, idle {machine.Core.IdleCpus:x}");
        };
        machine.RunFor(2000 * Ms);
        machine.Check();
    }

    [Test]
    public void Weights_are_balanced_over_CPUs()
    {
        var machine = new SimulatedMachine(4);
        SimulatedTask[] tasks = [.. Enumerable.Range(0, 16).Select(i => machine.Spawn($"{i}"))];
        machine.RunFor(4000 * Ms);
        foreach (SimulatedTask task in tasks) Assert.That(task.RanNs / 4000.0 / Ms, Is.EqualTo(0.25).Within(0.02), $"{task}");
    }

    [TestCase(3, 2)]
    [TestCase(5, 4)]
    [TestCase(7, 4)]
    [TestCase(9, 2)]
    public void An_imbalance_goes_round(int count, int cpus)
    {
        var machine = new SimulatedMachine(cpus);
        SimulatedTask[] tasks = [.. Enumerable.Range(0, count).Select(i => machine.Spawn($"{i}"))];
        machine.RunFor(10_000 * Ms);
        machine.Check();
        foreach (SimulatedTask task in tasks)
        {
            Assert.That(task.RanNs / 10_000.0 / Ms, Is.EqualTo((double)cpus / count).Within(0.05 * cpus / count), $"{task}");
            Assert.That(task.Migrations, Is.LessThan(200), $"{task}");
        }
    }

    [Test]
    public void A_task_wakes_on_its_previous_CPU_when_that_is_idle()
    {
        var machine = new SimulatedMachine(4);
        SimulatedTask[] tasks = [.. Enumerable.Range(0, 3).Select(i => machine.Spawn($"{i}", burstNs: 2 * Ms, sleepNs: 3 * Ms))];
        machine.RunFor(1000 * Ms);
        Assert.That(tasks.Select(task => task.Migrations), Is.All.Zero);
    }

    [Test]
    public void A_task_wakes_on_an_idle_CPU_when_its_previous_one_is_busy()
    {
        var machine = new SimulatedMachine(2);
        SimulatedTask sleeper = machine.Spawn("sleeper", burstNs: Ms, sleepNs: 4 * Ms);
        machine.RunFor(Ms / 2);
        machine.Spawn("busy", affinity: sleeper.CpusSeen);
        machine.RunFor(100 * Ms);
        Assert.That(sleeper.LongestWaitNs, Is.Zero);
        Assert.That(sleeper.Migrations, Is.EqualTo(1));
    }

    [Test]
    public void A_real_time_task_wakes_on_an_idle_CPU_rather_than_preempt_a_fair_one()
    {
        var machine = new SimulatedMachine(2);
        SimulatedTask urgent = machine.Spawn("urgent", new() { Policy = SchedulingPolicy.Fifo, Priority = 1 }, burstNs: Ms, sleepNs: 4 * Ms);
        machine.RunFor(Ms / 2);
        SimulatedTask busy = machine.Spawn("busy", affinity: urgent.CpusSeen);
        machine.RunFor(100 * Ms);
        Assert.That(busy.RanNs, Is.EqualTo(100 * Ms - Ms / 2));
    }

    [Test]
    public void Affinity_is_honoured_always()
    {
        var machine = new SimulatedMachine(4);
        var random = new System.Random(7);
        for (int i = 0; i < 12; i++) machine.Spawn($"{i}", affinity: (ulong)random.Next(1, 16), burstNs: (ulong)random.Next(1, 9) * Ms, sleepNs: (ulong)random.Next(1, 9) * Ms);
        machine.RunFor(2000 * Ms);
        machine.Check();
        foreach (SimulatedTask task in machine.Tasks) Assert.That(task.CpusSeen & ~task.Affinity, Is.Zero, $"{task}");
    }

    [TestCase(true)]
    [TestCase(false)]
    public void A_changed_affinity_moves_a_task(bool isRunning)
    {
        var machine = new SimulatedMachine(2);
        SimulatedTask one = machine.Spawn("one", affinity: 1), two = machine.Spawn("two", affinity: 1);
        machine.RunFor(10 * Ms);
        SimulatedTask task = machine.RunningOn(0) == one == isRunning ? one : two;
        Assert.That(machine.RunningOn(0) == task, Is.EqualTo(isRunning));
        machine.SetAffinity(task, 2);
        machine.RunFor(1);
        machine.Check();
        Assert.That(machine.RunningOn(1), Is.SameAs(task));
        Assert.That(machine.RunningOn(0), Is.Not.Null.And.Not.SameAs(task));
    }

    [Test]
    public void A_changed_affinity_that_nobody_tells_of_counts_when_the_task_is_next_chosen()
    {
        var machine = new SimulatedMachine(2);
        SimulatedTask one = machine.Spawn("one", affinity: 1), two = machine.Spawn("two", affinity: 1);
        machine.RunFor(Ms);
        (machine.RunningOn(0) == one ? two : one).SetAffinity(2);
        machine.RunFor(10 * Ms);
        machine.Check();
        Assert.That(machine.RunningOn(1), Is.Not.Null);
    }

    [Test]
    public void A_migration_keeps_what_a_task_is_owed()
    {
        var machine = new SimulatedMachine(2);
        // Both CPUs have had very different virtual times for long.
        SimulatedTask heavy = machine.Spawn("heavy", new() { Nice = -10 }, affinity: 1), light = machine.Spawn("light", new() { Nice = 10 }, affinity: 2);
        SimulatedTask mover = machine.Spawn("mover", new() { Nice = 10 }, affinity: 2);
        for (int i = 0; i < 100; i++)
        {
            machine.RunFor(20 * Ms);
            machine.SetAffinity(mover, mover.Affinity ^ 3);
        }
        double expected = 1000.0 * Ms * mover.Weight / (mover.Weight + heavy.Weight) + 500.0 * Ms;
        Assert.That((double)mover.RanNs, Is.EqualTo(expected).Within(0.1 * expected));
        Assert.That(mover.Migrations, Is.EqualTo(99).Within(1));
        Assert.That(light.RanNs, Is.GreaterThan(1400 * Ms));
    }

    [Test]
    public void A_real_time_task_does_not_hold_up_the_fair_tasks_of_its_CPU()
    {
        var machine = new SimulatedMachine(2);
        SimulatedTask[] fair = [.. Enumerable.Range(0, 4).Select(i => machine.Spawn($"{i}"))];
        machine.RunFor(20 * Ms);
        machine.Spawn("hog", new() { Policy = SchedulingPolicy.Fifo, Priority = 1 });
        machine.RunFor(50 * Ms);
        ulong[] before = [.. fair.Select(task => task.RanNs)];
        machine.RunFor(900 * Ms);
        for (int i = 0; i < fair.Length; i++) Assert.That((fair[i].RanNs - before[i]) / (900.0 * Ms), Is.EqualTo(0.25).Within(0.05));
    }

    [Test]
    public void A_real_time_task_that_is_preempted_goes_where_something_less_urgent_runs()
    {
        var machine = new SimulatedMachine(2);
        machine.Spawn("fair 0", affinity: 1);
        machine.Spawn("fair 1", affinity: 2);
        SimulatedTask middle = machine.Spawn("middle", new() { Policy = SchedulingPolicy.Fifo, Priority = 5 }, affinity: 1);
        machine.RunFor(Ms);
        middle.SetAffinity(3);
        SimulatedTask high = machine.Spawn("high", new() { Policy = SchedulingPolicy.Fifo, Priority = 6 }, affinity: 1);
        machine.RunFor(1);
        Assert.That((machine.RunningOn(0), machine.RunningOn(1)), Is.EqualTo((high, middle)));
    }

    [Test]
    public void Accounts_add_up()
    {
        var machine = new SimulatedMachine(2);
        for (int i = 0; i < 5; i++) machine.Spawn($"{i}", burstNs: 3 * Ms, sleepNs: (ulong)(i + 2) * Ms);
        ulong start = machine.Now;
        machine.RunFor(1000 * Ms);
        CpuStatistics[] cpus = [machine.Core.StatisticsOf(0), machine.Core.StatisticsOf(1)];
        TaskStatistics[] tasks = [.. machine.Tasks.Select(task => task.Attributes.Statistics)];
        foreach (CpuStatistics cpu in cpus) Assert.That(cpu.BusyNs + cpu.IdleNs, Is.EqualTo(machine.Now - start));
        Assert.That(cpus.Sum(cpu => (long)cpu.BusyNs), Is.EqualTo(tasks.Sum(task => (long)task.RunNs)));
        Assert.That(cpus.Sum(cpu => cpu.Switches), Is.EqualTo(tasks.Sum(task => task.Turns)));
        for (int i = 0; i < tasks.Length; i++)
        {
            Assert.That(tasks[i].RunNs, Is.EqualTo(machine.Tasks[i].RanNs));
            Assert.That(tasks[i].VoluntarySwitches, Is.GreaterThan(0));
            Assert.That(tasks[i].Turns - tasks[i].VoluntarySwitches - tasks[i].InvoluntarySwitches, Is.InRange(0, 1));
        }
    }
}
