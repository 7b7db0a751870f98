using System.Linq;
using Asterinas.Services.Scheduling;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Scheduling;

/// <summary>The real-time classes; the rules are those of sched(7).</summary>
public sealed class RealTimeTests
{
    private const ulong Ms = 1_000_000;

    private static SchedulingParameters Fifo(int priority) => new() { Policy = SchedulingPolicy.Fifo, Priority = priority };

    private static SchedulingParameters RoundRobin(int priority) => new() { Policy = SchedulingPolicy.RoundRobin, Priority = priority };

    [Test]
    public void A_real_time_task_preempts_a_fair_one_at_once()
    {
        var machine = new SimulatedMachine(1);
        machine.Spawn("busy", new() { Nice = -20 });
        SimulatedTask urgent = machine.Spawn("urgent", Fifo(1), burstNs: Ms, sleepNs: 7 * Ms);
        machine.RunFor(1000 * Ms);
        Assert.That(urgent.LongestWaitNs, Is.Zero);
        Assert.That(urgent.RanNs, Is.GreaterThanOrEqualTo(124 * Ms));
    }

    [Test]
    public void A_higher_priority_preempts_a_lower_one()
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask low = machine.Spawn("low", Fifo(10)), high = machine.Spawn("high", RoundRobin(11), burstNs: 2 * Ms, sleepNs: 3 * Ms);
        machine.RunFor(500 * Ms);
        Assert.That(high.LongestWaitNs, Is.Zero);
        Assert.That(high.RanNs + low.RanNs, Is.EqualTo(500 * Ms));
        Assert.That(high.RanNs, Is.EqualTo(200 * Ms));
    }

    [Test]
    public void Fifo_runs_until_it_waits()
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask first = machine.Spawn("first", Fifo(5), burstNs: 700 * Ms), second = machine.Spawn("second", Fifo(5));
        machine.RunFor(700 * Ms);
        Assert.That((first.RanNs, second.RanNs), Is.EqualTo((700 * Ms, 0ul)));
        machine.RunFor(100 * Ms);
        Assert.That((first.HasEnded, second.RanNs), Is.EqualTo((true, 100 * Ms)));
    }

    [Test]
    public void Round_robin_takes_turns_of_100_ms_with_its_equals()
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask[] tasks = [.. Enumerable.Range(0, 3).Select(i => machine.Spawn($"{i}", RoundRobin(7)))];
        SimulatedTask lower = machine.Spawn("lower", RoundRobin(6));
        machine.RunFor(100 * Ms);
        Assert.That(tasks[0].RanNs, Is.EqualTo(100 * Ms));
        machine.RunFor(100 * Ms);
        Assert.That(tasks[1].RanNs, Is.EqualTo(100 * Ms));
        machine.RunFor(700 * Ms);
        Assert.That(tasks.Select(task => task.RanNs), Is.All.EqualTo(300 * Ms));
        Assert.That(lower.RanNs, Is.Zero);
    }

    [Test]
    public void Round_robin_completes_its_turn_after_a_preemption()
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask one = machine.Spawn("one", RoundRobin(7)), two = machine.Spawn("two", RoundRobin(7));
        machine.RunFor(60 * Ms);
        machine.Spawn("higher", Fifo(8), burstNs: 10 * Ms);
        machine.RunFor(50 * Ms);
        Assert.That((one.RanNs, two.RanNs), Is.EqualTo((100 * Ms, 0ul)));
        machine.RunFor(Ms);
        Assert.That(two.RanNs, Is.EqualTo(Ms));
    }

    [Test]
    public void Fifo_that_was_preempted_stays_first_of_its_priority()
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask one = machine.Spawn("one", Fifo(7)), two = machine.Spawn("two", Fifo(7));
        machine.RunFor(Ms);
        machine.Spawn("higher", Fifo(8), burstNs: Ms);
        machine.RunFor(10 * Ms);
        Assert.That((one.RanNs, two.RanNs), Is.EqualTo((10 * Ms, 0ul)));
    }

    [Test]
    public void A_yield_of_a_real_time_task_lets_its_equals_go_first()
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask one = machine.Spawn("one", Fifo(7), burstNs: Ms, yields: true), two = machine.Spawn("two", Fifo(7), burstNs: Ms, yields: true);
        SimulatedTask lower = machine.Spawn("lower", Fifo(6));
        machine.RunFor(100 * Ms);
        Assert.That((one.RanNs, two.RanNs, lower.RanNs), Is.EqualTo((50 * Ms, 50 * Ms, 0ul)));
    }

    [TestCase(9, "third first second")]       // raised: last in its new list
    [TestCase(5, "first third second")]       // lowered: first in its new list
    [TestCase(7, "first second third")]       // unchanged: where it was
    public void A_changed_priority_moves_a_waiting_task(int priority, string order)
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask keeper = machine.Spawn("keeper", Fifo(50), burstNs: Ms);
        machine.RunFor(1);
        SimulatedTask first = machine.Spawn("first", Fifo(priority == 9 ? 9 : 7), burstNs: Ms);
        SimulatedTask second = machine.Spawn("second", Fifo(priority == 7 ? 7 : 5), burstNs: Ms);
        SimulatedTask third = machine.Spawn("third", Fifo(7), burstNs: Ms);
        if (priority == 9)
        {
            // "third" is at 9 before "first" is raised to it.
            first.Attributes.TrySet(Fifo(7));
            third.Attributes.TrySet(Fifo(9));
            first.Attributes.TrySet(Fifo(9));
        }
        else if (priority == 5)
        {
            third.Attributes.TrySet(Fifo(5));
        }
        else
        {
            first.Attributes.TrySet(RoundRobin(7));
        }
        machine.Check();
        string ended = "";
        machine.AfterStep = () =>
        {
            foreach (SimulatedTask task in new[] { first, second, third })
            {
                if (task.HasEnded && !ended.Contains(task.Name)) ended += (ended.Length == 0 ? "" : " ") + task.Name;
            }
        };
        machine.RunFor(10 * Ms);
        Assert.That(ended, Is.EqualTo(order));
        Assert.That(keeper.HasEnded, Is.True);
    }

    [Test]
    public void Raising_a_waiting_task_above_the_running_one_runs_it_at_once()
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask busy = machine.Spawn("busy"), waiting = machine.Spawn("waiting");
        machine.RunFor(Ms);
        SimulatedTask other = machine.RunningOn(0) == busy ? waiting : busy;
        Assert.That(other.Attributes.TrySet(Fifo(1)), Is.True);
        machine.RunFor(1);
        Assert.That(machine.RunningOn(0), Is.SameAs(other));
    }

    [Test]
    public void Lowering_the_running_task_lets_the_next_one_run_at_once()
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask one = machine.Spawn("one", Fifo(9)), two = machine.Spawn("two", Fifo(8));
        machine.RunFor(Ms);
        one.Attributes.TrySet(SchedulingParameters.Default);
        machine.RunFor(1);
        Assert.That(machine.RunningOn(0), Is.SameAs(two));
        machine.Check();
    }

    [Test]
    public void Fair_tasks_keep_a_twentieth_beside_a_real_time_task_that_never_waits()
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask hog = machine.Spawn("hog", Fifo(99)), fair = machine.Spawn("fair");
        machine.RunFor(10_000 * Ms);
        Assert.That(fair.RanNs / 10_000.0 / Ms, Is.EqualTo(0.05).Within(0.006));
        Assert.That(hog.RanNs / 10_000.0 / Ms, Is.EqualTo(0.95).Within(0.006));
    }

    [Test]
    public void A_real_time_task_alone_has_the_whole_CPU()
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask hog = machine.Spawn("hog", Fifo(99));
        machine.RunFor(3000 * Ms);
        Assert.That(hog.RanNs, Is.EqualTo(3000 * Ms));
        Assert.That(machine.Ticks, Is.Zero);
    }

    [Test]
    public void The_most_urgent_tasks_run_wherever_they_wait()
    {
        var machine = new SimulatedMachine(4);
        for (int i = 0; i < 12; i++) machine.Spawn($"fair {i}");
        SimulatedTask[] urgent = [.. Enumerable.Range(0, 8).Select(i => machine.Spawn($"urgent {i}", Fifo(10 + i), burstNs: 3 * Ms, sleepNs: 5 * Ms))];
        machine.AfterStep = () =>
        {
            int[] running = [.. Enumerable.Range(0, 4).Select(cpu => machine.RunningOn(cpu)?.Rank ?? -2).OrderDescending()];
            int[] best = [.. machine.Tasks.Where(task => task.IsRunnable).Select(task => task.Rank).OrderDescending().Take(4)];
            Assert.That(running, Is.EqualTo(best));
        };
        machine.RunFor(300 * Ms);
        Assert.That(urgent.Sum(task => (double)task.RanNs), Is.GreaterThan(0));
    }
}
