using System;
using Asterinas.Services.Scheduling;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Scheduling;

/// <summary>What a task may ask for; sched_setscheduler(2), setpriority(2), sched(7).</summary>
public sealed class AttributesTests
{
    [TestCase(SchedulingPolicy.Other, 0, 0, true)]
    [TestCase(SchedulingPolicy.Other, 0, 1, false)]
    [TestCase(SchedulingPolicy.Other, -21, 0, false)]
    [TestCase(SchedulingPolicy.Other, 20, 0, false)]
    [TestCase(SchedulingPolicy.Batch, 19, 0, true)]
    [TestCase(SchedulingPolicy.Idle, -20, 0, true)]
    [TestCase(SchedulingPolicy.Fifo, 0, 0, false)]
    [TestCase(SchedulingPolicy.Fifo, 0, 1, true)]
    [TestCase(SchedulingPolicy.RoundRobin, 0, 99, true)]
    [TestCase(SchedulingPolicy.RoundRobin, 0, 100, false)]
    [TestCase((SchedulingPolicy)6, 0, 0, false)]
    [TestCase((SchedulingPolicy)(-1), 0, 0, false)]
    public void Parameters_that_do_not_go_together_are_refused(SchedulingPolicy policy, int nice, int priority, bool isValid)
    {
        var parameters = new SchedulingParameters { Policy = policy, Nice = nice, Priority = priority };
        var attributes = new SchedulingAttributes();
        Assert.That(attributes.TrySet(parameters), Is.EqualTo(isValid));
        Assert.That(attributes.Parameters, Is.EqualTo(isValid ? parameters : SchedulingParameters.Default));
        if (!isValid) Assert.That(() => new SchedulingAttributes(parameters), Throws.InstanceOf<ArgumentException>());
    }

    [TestCase(99_999ul, false)]
    [TestCase(100_000ul, true)]
    [TestCase(100_000_000ul, true)]
    [TestCase(100_000_001ul, false)]
    public void Slices_have_a_range(ulong sliceNs, bool isValid) => Assert.That(new SchedulingParameters { SliceNs = sliceNs }.IsValid, Is.EqualTo(isValid));

    [TestCase(-100, -20)]
    [TestCase(5, 5)]
    [TestCase(100, 19)]
    public void Nice_values_are_clamped(int nice, int expected)
    {
        var attributes = new SchedulingAttributes();
        attributes.SetNice(nice);
        Assert.That(attributes.Nice, Is.EqualTo(expected));
    }

    [Test]
    public void Children_inherit_unless_reset_is_asked_for()
    {
        var fifo = new SchedulingParameters { Policy = SchedulingPolicy.Fifo, Priority = 3, Nice = -5 };
        Assert.That(fifo.ForChild(), Is.EqualTo(fifo));
        Assert.That((fifo with { ResetOnFork = true }).ForChild(), Is.EqualTo(SchedulingParameters.Default));
        Assert.That(new SchedulingParameters { Nice = -5, ResetOnFork = true }.ForChild().Nice, Is.Zero);
        Assert.That(new SchedulingParameters { Nice = 5, ResetOnFork = true }.ForChild().Nice, Is.EqualTo(5));
        Assert.That(new SchedulingParameters { Policy = SchedulingPolicy.Batch, ResetOnFork = true }.ForChild().Policy, Is.EqualTo(SchedulingPolicy.Batch));
    }

    [Test]
    public void Intervals_are_those_of_the_policy()
    {
        Assert.That(new SchedulingAttributes().IntervalNs, Is.EqualTo(3_000_000));
        Assert.That(new SchedulingAttributes(new() { Policy = SchedulingPolicy.RoundRobin, Priority = 1 }).IntervalNs, Is.EqualTo(100_000_000));
        Assert.That(new SchedulingAttributes(new() { Policy = SchedulingPolicy.Fifo, Priority = 1 }).IntervalNs, Is.Zero);
    }

    [Test]
    public void A_change_while_the_task_is_being_queued_is_not_lost()
    {
        var machine = new SimulatedMachine(1);
        SimulatedTask task = SimulatedTask.Create("task");
        int looks = 0;
        // The queue asks for the affinity between its look at the parameters and the moment at which it shows the task as queued.
        task.OnAffinityRead = () =>
        {
            if (++looks == 2) task.Attributes.SetNice(5);
        };
        machine.Spawn(task);
        task.OnAffinityRead = null;
        Assert.That(looks, Is.GreaterThanOrEqualTo(2));
        Assert.That(task.Applied.Nice, Is.EqualTo(5));
        machine.RunFor(1);
        machine.Check();
    }

    [Test]
    public void A_change_of_a_sleeping_task_is_in_force_when_it_wakes()
    {
        var machine = new SimulatedMachine(1);
        machine.Spawn("busy");
        SimulatedTask task = machine.Spawn("task", burstNs: 1_000_000, sleepNs: ulong.MaxValue);
        machine.RunFor(50_000_000);
        Assert.That(task.IsRunnable, Is.False);
        task.Attributes.TrySet(new() { Policy = SchedulingPolicy.Fifo, Priority = 1 });
        machine.Wake(task);
        machine.RunFor(1);
        Assert.That(machine.RunningOn(0), Is.SameAs(task));
    }
}
