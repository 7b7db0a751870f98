using System;
using System.Threading;
using Asterinas.Ostd.Tasks;
using Asterinas.Services.Scheduling;
using NUnit.Framework;
using Task = Asterinas.Ostd.Tasks.Task;

namespace Asterinas.Tests.Host.Scheduling;

/// <summary>How Ostd's tasks come under the policy. The tasks are those of host threads: they have no part in the simulated machine's scheduling.</summary>
public sealed class LinuxSchedulerTests
{
    [Test]
    public void A_task_without_attributes_gets_the_defaults()
    {
        Task task = NewTask();
        Assert.That(LinuxScheduler.AttributesOf(task), Is.Null);
        ILocalRunQueue queue = Enqueue(new LinuxScheduler(), task);
        Assert.That(LinuxScheduler.AttributesOf(task)!.Parameters, Is.EqualTo(SchedulingParameters.Default));
        Assert.That(queue.PickNext(), Is.SameAs(task));
        Assert.That(queue.Current, Is.SameAs(task));
        Assert.That(queue.PickNext(), Is.Null);
        Assert.That(queue.DequeueCurrent(), Is.SameAs(task));
        Assert.That(queue.Current, Is.Null);
    }

    [Test]
    public void Attributes_given_at_the_start_are_kept()
    {
        Task low = NewTask(), high = NewTask();
        low.SchedulerData = new SchedulingAttributes(new() { Nice = 19 });
        var attributes = new SchedulingAttributes(new() { Policy = SchedulingPolicy.Fifo, Priority = 3 });
        high.SchedulerData = attributes;
        var policy = new LinuxScheduler();
        Enqueue(policy, low);
        ILocalRunQueue queue = Enqueue(policy, high);
        Assert.That(LinuxScheduler.AttributesOf(high), Is.SameAs(attributes));
        Assert.That(queue.PickNext(), Is.SameAs(high));
        Assert.That(attributes.Statistics.Turns, Is.EqualTo(1));
    }

    [Test]
    public void Attributes_of_another_task_are_a_template()
    {
        Task one = NewTask(), two = NewTask();
        one.SchedulerData = two.SchedulerData = new SchedulingAttributes(new() { Nice = 4 });
        var policy = new LinuxScheduler();
        Enqueue(policy, one);
        ILocalRunQueue queue = Enqueue(policy, two);
        Assert.That(two.SchedulerData, Is.Not.SameAs(one.SchedulerData));
        Assert.That(LinuxScheduler.AttributesOf(two)!.Nice, Is.EqualTo(4));
        Assert.That(queue.PickNext(), Is.SameAs(one));
        Assert.That(queue.DequeueCurrent(), Is.SameAs(one));
        Assert.That(queue.PickNext(), Is.SameAs(two));
    }

    [Test]
    public void Foreign_data_is_replaced()
    {
        Task task = NewTask();
        task.SchedulerData = "another policy's";
        Enqueue(new LinuxScheduler(), task);
        Assert.That(task.SchedulerData, Is.InstanceOf<SchedulingAttributes>());
    }

    [Test]
    public void A_task_comes_under_another_scheduler_with_its_attributes()
    {
        Task task = NewTask(), other = NewTask();
        LinuxScheduler first = new(), second = new();
        ILocalRunQueue before = Enqueue(first, task);
        Enqueue(first, other);
        SchedulingAttributes attributes = LinuxScheduler.AttributesOf(task)!;
        attributes.SetNice(7);
        ILocalRunQueue after = Enqueue(second, task);
        Assert.That(LinuxScheduler.AttributesOf(task), Is.SameAs(attributes));
        Assert.That(after.PickNext(), Is.SameAs(task));
        attributes.SetNice(8);
        Assert.That(attributes.Entity.Applied.Nice, Is.EqualTo(8));
        // The old one's queues are as they were.
        Task? one = before.PickNext();
        before.DequeueCurrent();
        Assert.That(new[] { one, before.PickNext() }, Is.EquivalentTo(new[] { task, other }));
    }

    [Test]
    public void A_second_enqueue_changes_nothing()
    {
        Task task = NewTask();
        var policy = new LinuxScheduler();
        ILocalRunQueue queue = Enqueue(policy, task);
        Assert.That(policy.Enqueue(task, EnqueueReason.Wake), Is.EqualTo(-1));
        Assert.That(queue.PickNext(), Is.SameAs(task));
        Assert.That(queue.DequeueCurrent(), Is.SameAs(task));
        Assert.That(queue.PickNext(), Is.Null);
    }

    [Test]
    public void Numbers_of_CPUs_are_checked()
    {
        var policy = new LinuxScheduler();
        Assert.That(() => policy.StatisticsOf(-1), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(() => policy.StatisticsOf(64), Throws.InstanceOf<ArgumentOutOfRangeException>());
        Assert.That(policy.StatisticsOf(0).Runnable, Is.Zero);
    }

    // Everybody on CPU 0, whatever number of CPUs the simulated machine has.
    private static ILocalRunQueue Enqueue(LinuxScheduler policy, Task task)
    {
        task.SetAffinity(new(1));
        Assert.That(policy.Enqueue(task, EnqueueReason.Spawn), Is.EqualTo(0).Or.EqualTo(-1));
        return policy.GetLocalRunQueue(0);
    }

    private static Task NewTask()
    {
        Task? task = null;
        var thread = new Thread(() => task = Task.Current);
        thread.Start();
        thread.Join();
        task!.SchedulerData = null;
        return task;
    }
}
