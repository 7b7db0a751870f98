using System;
using System.Collections.Generic;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Tasks;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Sync;

public sealed class LockOrderTests : MachineFixture
{
    [SetUp]
    public void Learn() => LockOrder.IsEnabled = true;

    [TearDown]
    public void Forget()
    {
        LockOrder.IsEnabled = false;
        LockOrder.Reset();
    }

    [Test]
    public void Locks_taken_in_one_order_are_fine_however_often()
    {
        var a = new SpinLock("order a");
        var b = new SpinLock("order b");
        var c = new Mutex("order c");
        for (int i = 0; i < 3; i++)
        {
            using Mutex.Guard outer = c.Lock();
            using SpinLock.Guard middle = a.Lock();
            using SpinLock.Guard inner = b.Lock();
        }
        using (c.Lock())
        {
            using SpinLock.Guard inner = b.Lock();
        }
    }

    [Test]
    public void Opposite_order_is_reported_instead_of_waited_for_and_changes_nothing()
    {
        var a = new SpinLock("order a");
        var b = new SpinLock("order b");
        using (a.Lock())
        {
            using SpinLock.Guard inner = b.Lock();
        }
        using (b.Lock())
        {
            Assert.That(() => a.Lock(), Throws.TypeOf<LockOrderException>().With.Message.Contains("order a").And.Message.Contains("order b"));
            Assert.That(a.IsHeld, Is.False);
            Assert.That(() => a.Lock(), Throws.TypeOf<LockOrderException>(), "what contradicts is not learned");
        }
        Task.Sleep(1);
        using (a.Lock())
        {
            using SpinLock.Guard inner = b.Lock();
        }
    }

    [Test]
    public void Cycle_over_three_classes_and_kinds_is_found()
    {
        var a = new Mutex("order a");
        var b = new Mutex("order b");
        var c = new SpinLock("order c");
        using (a.Lock())
        {
            using Mutex.Guard inner = b.Lock();
        }
        using (b.Lock())
        {
            using SpinLock.Guard inner = c.Lock();
        }
        using (c.Lock())
        {
            Assert.That(() => a.TryLockInterruptible(0, out _), Throws.TypeOf<LockOrderException>());
        }
        Assert.That(a.IsHeld, Is.False);
    }

    [Test]
    public void Order_is_learned_across_tasks_and_per_class()
    {
        var first = new SpinLock("order a");
        var another = new SpinLock("order a");
        var b = new SpinLock("order b");
        Join([Spawn(() =>
        {
            using SpinLock.Guard outer = first.Lock();
            using SpinLock.Guard inner = b.Lock();
        })]);
        using SpinLock.Guard held = b.Lock();
        Assert.That(() => another.Lock(), Throws.TypeOf<LockOrderException>());
    }

    [Test]
    public void Attempts_that_cannot_wait_may_come_in_any_order()
    {
        var a = new SpinLock("order a");
        var b = new SpinLock("order b");
        using (a.Lock())
        {
            using SpinLock.Guard inner = b.Lock();
        }
        using SpinLock.Guard held = b.Lock();
        using SpinLock.Guard attempt = a.TryLock();
        Assert.That(attempt.IsHeld, Is.True);
    }

    [Test]
    public void Held_locks_are_the_tasks_own()
    {
        var a = new Mutex("order a");
        var b = new Mutex("order b");
        using (a.Lock())
        {
            using Mutex.Guard inner = b.Lock();
        }
        using (b.Lock())
        {
            // Another task takes a: it does not hold b.
            Join([Spawn(() =>
            {
                using Mutex.Guard guard = a.Lock();
            })]);
        }
    }

    [Test]
    public void Mutex_that_was_not_got_is_not_held()
    {
        var a = new Mutex("order a");
        var b = new Mutex("order b");
        using (a.Lock())
        {
            Join([Spawn(() =>
            {
                using Mutex.Guard attempt = a.TryLockInterruptible(1, out _);
                Assert.That(attempt.IsHeld, Is.False);
                using Mutex.Guard guard = b.Lock();
            })]);
        }
        using (b.Lock())
        {
            using Mutex.Guard guard = a.Lock();
        }
    }

    [Test]
    public void Locks_without_a_name_and_with_the_checker_off_are_not_checked()
    {
        var a = new SpinLock("order a");
        var b = new SpinLock("order b");
        var nameless = new SpinLock();
        LockOrder.IsEnabled = false;
        using (a.Lock())
        {
            using SpinLock.Guard inner = b.Lock();
        }
        LockOrder.IsEnabled = true;
        using (b.Lock())
        {
            using SpinLock.Guard inner = nameless.Lock();
            using SpinLock.Guard another = a.Lock();
        }
        using (nameless.Lock())
        {
            using SpinLock.Guard inner = b.Lock();
        }
    }

    [Test]
    public void Ostds_own_locks_have_one_order_under_a_mixed_load()
    {
        var queue = new WaitQueue();
        var mutex = new Mutex("load");
        bool isOver = false;
        var tasks = new List<Task>();
        for (int i = 0; i < 4; i++)
        {
            tasks.Add(Spawn(() =>
            {
                for (int round = 0; round < 10; round++)
                {
                    using Mutex.Guard guard = mutex.Lock();
                    Task.Sleep(10);
                    Rcu.Defer(() => queue.WakeAll());
                    queue.WaitInterruptible(0, _ => isOver, 50);
                }
            }));
        }
        Task.Sleep(300);
        foreach (Task task in tasks) task.Interrupt();
        isOver = true;
        queue.WakeAll();
        Join(tasks);
    }
}
