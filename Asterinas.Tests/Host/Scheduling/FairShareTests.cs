using System;
using System.Linq;
using Asterinas.Services.Scheduling;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Scheduling;

/// <summary>The fair class on one CPU: shares, latency, sleepers.</summary>
public sealed class FairShareTests
{
    private const ulong Ms = 1_000_000;

    private static SchedulingParameters Nice(int nice) => new() { Nice = nice };

    [TestCase(0, 0)]
    [TestCase(0, 5)]
    [TestCase(0, 0, 0, 0, 0, 0, 0)]
    [TestCase(-5, 0, 5)]
    [TestCase(-10, -3, 0, 0, 4)]
    [TestCase(-20, -19, -18)]
    [TestCase(19, 19, 18, 15)]
    [TestCase(3, 1, 4, 1, 5, 9, 2, 6)]
    public void Busy_tasks_share_a_CPU_by_weight(params int[] nices)
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask[] tasks = [.. nices.Select((nice, i) => machine.Spawn($"{i}:{nice}", Nice(nice)))];
        machine.RunFor(2000 * Ms);
        machine.Check();
        double weights = tasks.Sum(task => (double)task.Weight), ran = tasks.Sum(task => (double)task.RanNs);
        Assert.That(ran, Is.EqualTo(2000.0 * Ms), "no time is lost");
        foreach (SimulatedTask task in tasks) Assert.That(task.RanNs / ran, Is.EqualTo(task.Weight / weights).Within(0.02), $"{task}");
    }

    [Test]
    public void A_step_of_nice_is_a_factor_of_1_25()
    {
        for (int nice = -20; nice < 19; nice++)
        {
            double ratio = (double)FairWeight.Of(Nice(nice)) / FairWeight.Of(Nice(nice + 1));
            Assert.That(ratio, Is.EqualTo(1.25).Within(nice < 10 ? 0.01 : 0.06), $"{nice}");
        }
        Assert.That(FairWeight.Of(Nice(0)), Is.EqualTo(FairWeight.Unit));
    }

    [Test]
    public void Nobody_starves_beside_heavy_tasks()
    {
        var machine = new SimulatedMachine(1);
        for (int i = 0; i < 10; i++) machine.Spawn($"heavy {i}", Nice(-20));
        SimulatedTask light = machine.Spawn("light", Nice(19)), idle = machine.Spawn("idle", new() { Policy = SchedulingPolicy.Idle });
        // Its share is 1/59212 of the CPU, in slices of 3 ms: one within 178 s at the latest.
        machine.RunFor(400_000 * Ms);
        Assert.That(light.RanNs, Is.GreaterThanOrEqualTo(3 * Ms));
        machine.RunFor(1_000_000 * Ms);
        Assert.That(idle.RanNs, Is.GreaterThanOrEqualTo(3 * Ms));
    }

    [TestCase(2)]
    [TestCase(5)]
    [TestCase(20)]
    public void Service_is_never_more_than_a_slice_away_from_the_ideal_share(int count)
    {
        var random = new Random(count);
        var machine = new SimulatedMachine(1);
        SimulatedTask[] tasks = [.. Enumerable.Range(0, count).Select(i => machine.Spawn($"{i}", Nice(random.Next(-10, 11))))];
        double weights = tasks.Sum(task => (double)task.Weight);
        ulong start = machine.Now;
        machine.AfterStep = () =>
        {
            double passed = machine.Now - start;
            foreach (SimulatedTask task in tasks)
            {
                double lag = passed * task.Weight / weights - task.RanNs;
                Assert.That(Math.Abs(lag), Is.LessThanOrEqualTo(SchedulingParameters.DefaultSliceNs + 1000.0), $"{task} after {passed} ns");
            }
        };
        machine.RunFor(3000 * Ms);
    }

    [Test]
    public void A_task_that_wakes_waits_no_longer_than_the_slices_before_it()
    {
        var machine = new SimulatedMachine(1);
        for (int i = 0; i < 4; i++) machine.Spawn($"busy {i}");
        SimulatedTask waker = machine.Spawn("waker", burstNs: Ms / 5, sleepNs: 20 * Ms);
        machine.RunFor(5000 * Ms);
        Assert.That(waker.LongestWaitNs, Is.LessThanOrEqualTo(5 * SchedulingParameters.DefaultSliceNs));
        Assert.That(waker.RanNs, Is.GreaterThan(40 * Ms));
    }

    [Test]
    public void A_short_slice_is_served_sooner_for_the_same_share()
    {
        var machine = new SimulatedMachine(1);
        for (int i = 0; i < 4; i++) machine.Spawn($"busy {i}");
        SimulatedTask plain = machine.Spawn("plain", burstNs: Ms / 5, sleepNs: 17 * Ms);
        SimulatedTask eager = machine.Spawn("eager", new() { SliceNs = Ms / 5 }, burstNs: Ms / 5, sleepNs: 17 * Ms);
        machine.RunFor(5000 * Ms);
        TaskStatistics of = machine.Core.StatisticsOf(eager), other = machine.Core.StatisticsOf(plain);
        Assert.That((double)of.WaitNs / of.Turns, Is.LessThan(0.5 * other.WaitNs / other.Turns));
    }

    [TestCase(10)]
    [TestCase(1000)]
    [TestCase(100000)]
    public void A_sleeper_gains_no_more_than_two_slices(int sleepMs)
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask busy = machine.Spawn("busy");
        SimulatedTask sleeper = machine.Spawn("sleeper", burstNs: Ms, sleepNs: ulong.MaxValue);
        machine.RunFor((ulong)sleepMs * Ms);
        sleeper.BurstNs = sleeper.LeftOfBurstNs = 1000 * Ms;
        ulong before = busy.RanNs, slept = sleeper.RanNs;
        machine.Wake(sleeper);
        machine.RunFor(200 * Ms);
        Assert.That((double)(sleeper.RanNs - slept), Is.EqualTo(100.0 * Ms).Within(2.0 * SchedulingParameters.DefaultSliceNs), $"{busy.RanNs - before}");
    }

    [Test]
    public void A_short_sleep_does_not_wash_away_what_was_had_in_advance()
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask busy = machine.Spawn("busy");
        // Sleeps for a moment just before each of its slices ends, to be placed anew.
        SimulatedTask cheat = machine.Spawn("cheat", burstNs: 29 * Ms / 10, sleepNs: 1000);
        machine.RunFor(4000 * Ms);
        Assert.That(cheat.RanNs / 4000.0 / Ms, Is.EqualTo(0.5).Within(0.03), $"{busy.RanNs}");
    }

    [Test]
    public void A_yielding_task_lets_the_others_go_first()
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask busy = machine.Spawn("busy"), polite = machine.Spawn("polite", burstNs: 1000, yields: true);
        machine.RunFor(1000 * Ms);
        Assert.That(busy.RanNs, Is.GreaterThan(950 * Ms));
        Assert.That(polite.RanNs, Is.GreaterThan(0));
        // And it has saved up nothing for later.
        polite.BurstNs = 0;
        ulong before = polite.RanNs;
        machine.RunFor(200 * Ms);
        Assert.That((polite.RanNs - before) / 200.0 / Ms, Is.EqualTo(0.5).Within(0.04));
    }

    [Test]
    public void Yielding_tasks_take_turns()
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask[] tasks = [.. Enumerable.Range(0, 4).Select(i => machine.Spawn($"{i}", burstNs: 10_000, yields: true))];
        machine.RunFor(400 * Ms);
        foreach (SimulatedTask task in tasks) Assert.That(task.RanNs / 400.0 / Ms, Is.EqualTo(0.25).Within(0.02));
    }

    [Test]
    public void Yielding_tasks_take_turns_whoever_came_first()
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask creator = machine.Spawn("creator");
        for (int i = 0; i < 3; i++)
        {
            machine.Spawn($"{i}", burstNs: 1000, yields: true);
            if (i < 2) machine.RunFor(Ms / 2);          // as long as it takes to make the next one
        }
        machine.Block(creator);
        string order = "";
        machine.AfterStep = () => order += machine.RunningOn(0)?.Name;
        machine.RunFor(12_000);
        Assert.That(order, Does.StartWith("120120120").Or.StartWith("012012012").Or.StartWith("201201201"));
    }

    [Test]
    public void A_task_that_wakes_another_one_and_yields_lets_it_run()
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask sleeper = machine.Spawn("sleeper", burstNs: Ms, sleepNs: ulong.MaxValue), waker = machine.Spawn("waker");
        machine.RunFor(50 * Ms);
        Assert.That(machine.RunningOn(0), Is.SameAs(waker));
        machine.Wake(sleeper);
        machine.Yield(waker);
        Assert.That(machine.RunningOn(0), Is.SameAs(sleeper));
    }

    [Test]
    public void Idle_policy_gets_the_crumbs_and_gives_way_at_once()
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask idle = machine.Spawn("idle", new() { Policy = SchedulingPolicy.Idle });
        SimulatedTask waker = machine.Spawn("waker", burstNs: Ms, sleepNs: 10 * Ms);
        machine.RunFor(1000 * Ms);
        Assert.That(waker.LongestWaitNs, Is.Zero);
        Assert.That(idle.RanNs, Is.GreaterThan(890 * Ms));
        machine.Spawn("busy");
        ulong before = idle.RanNs;
        machine.RunFor(10_000 * Ms);
        Assert.That(idle.RanNs - before, Is.LessThan(100 * Ms).And.GreaterThan(3 * Ms));
    }

    [Test]
    public void Batch_tasks_preempt_nobody()
    {
        Assert.That(MeanWait(SchedulingPolicy.Batch), Is.GreaterThan(2 * MeanWait(SchedulingPolicy.Other)));

        static double MeanWait(SchedulingPolicy policy)
        {
            var machine = new SimulatedMachine(1);
            machine.Spawn("busy");
            SimulatedTask task = machine.Spawn("task", new() { Policy = policy, SliceNs = Ms / 5 }, burstNs: Ms / 5, sleepNs: 17 * Ms);
            machine.RunFor(5000 * Ms);
            TaskStatistics had = machine.Core.StatisticsOf(task);
            return (double)had.WaitNs / had.Turns;
        }
    }

    [Test]
    public void A_task_alone_needs_no_ticks()
    {
        var machine = new SimulatedMachine(2);
        machine.Spawn("one");
        machine.Spawn("two");
        machine.RunFor(1000 * Ms);
        Assert.That(machine.Ticks, Is.Zero);
    }

    [Test]
    public void Changing_nice_changes_the_share_of_running_and_waiting_tasks()
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask one = machine.Spawn("one"), two = machine.Spawn("two");
        machine.RunFor(100 * Ms);
        one.Attributes.SetNice(-3);
        two.Attributes.SetNice(7);
        ulong before = one.RanNs;
        machine.RunFor(2000 * Ms);
        machine.Check();
        Assert.That((one.RanNs - before) / 2000.0 / Ms, Is.EqualTo((double)one.Weight / (one.Weight + two.Weight)).Within(0.02));
        Assert.That(one.Applied.Nice, Is.EqualTo(-3));
    }

    [Test]
    public void Changing_nice_again_and_again_gains_nothing()
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask steady = machine.Spawn("steady"), cheat = machine.Spawn("cheat");
        double expected = 0;
        for (int i = 0; i < 4000; i++)
        {
            // Few when it is ahead, many when it is behind: a debt or a claim that does not keep its size would show.
            cheat.Attributes.SetNice(machine.RunningOn(0) == cheat ? 10 : -5);
            double weight = FairWeight.Of(cheat.Attributes.Parameters);
            expected += 500_000 * weight / (weight + steady.Weight);
            machine.RunFor(Ms / 2);
        }
        Assert.That(cheat.RanNs / expected, Is.EqualTo(1).Within(0.02));
    }

    [TestCase(-20)]
    [TestCase(19)]
    public void A_new_weight_leaves_the_real_size_of_lag_and_request(int nice)
    {
        var queue = new FairQueue();
        SimulatedTask one = SimulatedTask.Create("one"), two = SimulatedTask.Create("two");
        queue.Join(one, JoinReason.New, 0);
        queue.Join(two, JoinReason.New, 0);
        queue.Run(two);
        queue.Charge(two, Ms);
        double lag = (queue.Average - two.Vruntime) * (double)two.Weight, left = queue.RemainingNs;
        queue.Reweigh(two, Nice(nice), 0);
        Assert.That((queue.Average - two.Vruntime) * (double)two.Weight / lag, Is.EqualTo(1).Within(0.01));
        Assert.That(queue.RemainingNs / left, Is.EqualTo(1).Within(0.01));
        queue.Reweigh(two, Nice(nice) with { SliceNs = Ms / 2 }, 0);
        Assert.That((double)queue.RemainingNs, Is.EqualTo(Ms / 2.0).Within(200), "a shorter slice counts at once");
    }

    [Test]
    public void Nothing_is_lost_when_time_is_charged_in_small_pieces()
    {
        SimulatedTask heavy = SimulatedTask.Create("heavy", Nice(-20));
        for (int i = 0; i < 1_000_000; i++) heavy.Charge(1);
        Assert.That(heavy.Vruntime, Is.EqualTo(1_000_000 * FairWeight.Unit / heavy.Weight));
    }

    [TestCase(1)]
    [TestCase(-1)]
    public void A_lag_that_is_carried_over_is_limited(int sign)
    {
        var queue = new FairQueue();
        SimulatedTask one = SimulatedTask.Create("one"), two = SimulatedTask.Create("two");
        queue.Join(one, JoinReason.New, 0);
        two.VirtualLag = sign * 1_000_000_000_000;
        queue.Join(two, JoinReason.Woken, 0);
        Assert.That((double)(queue.Average - two.Vruntime), Is.EqualTo(sign * 2.0 * SchedulingParameters.DefaultSliceNs).Within(2));
    }

    [Test]
    public void A_debt_is_gone_after_a_long_sleep_and_a_claim_is_not()
    {
        Assert.That(LagAfterSleep(-4 * (long)Ms), Is.EqualTo(0).Within(2));
        Assert.That(LagAfterSleep(4 * (long)Ms), Is.EqualTo(4.0 * Ms).Within(2));

        static double LagAfterSleep(long lag)
        {
            var queue = new FairQueue();
            SimulatedTask one = SimulatedTask.Create("one"), two = SimulatedTask.Create("two");
            queue.Join(one, JoinReason.New, 0);
            (two.VirtualLag, two.LeftAtNs) = (lag, 0);
            queue.Join(two, JoinReason.Woken, 100 * Ms);
            return queue.Average - two.Vruntime;
        }
    }
}
