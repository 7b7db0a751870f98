using System;
using System.Collections.Generic;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Tasks;
using Asterinas.Ostd.Timers;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Sync;

public sealed class MutexTests : MachineFixture
{
    [Test]
    public void Waiters_get_the_mutex_one_at_a_time_in_the_order_they_came()
    {
        var mutex = new Mutex();
        var order = new List<int>();
        var tasks = new List<Task>();
        bool inside = false;
        using (mutex.Lock())
        {
            for (int i = 0; i < 4; i++)
            {
                int number = i;
                tasks.Add(Spawn(() =>
                {
                    using Mutex.Guard guard = mutex.Lock();
                    Assert.That(inside, Is.False);
                    inside = true;
                    order.Add(number);
                    Task.Sleep(Millisecond);
                    inside = false;
                }));
            }
            Settle();
            Assert.That(order, Is.Empty);
        }
        Join(tasks);
        Assert.That(order, Is.EqualTo(new[] { 0, 1, 2, 3 }));
        Assert.That(mutex.IsHeld, Is.False);
    }

    [Test]
    public void Holder_cannot_take_it_again()
    {
        var mutex = new Mutex();
        using Mutex.Guard guard = mutex.Lock();
        Assert.That(() => mutex.Lock(), Throws.TypeOf<InvalidOperationException>());
        using Mutex.Guard attempt = mutex.TryLock();
        Assert.That(attempt.IsHeld, Is.False);
        Assert.That(mutex.IsHeld, Is.True);
    }

    [Test]
    public void Exception_in_the_section_frees_the_mutex()
    {
        var mutex = new Mutex();
        Task task = Task.Spawn(() =>
        {
            using Mutex.Guard guard = mutex.Lock();
            throw new FormatException();
        });
        task.Join();
        Assert.That(task.Failure, Is.TypeOf<FormatException>());
        using Mutex.Guard mine = mutex.TryLock();
        Assert.That(mine.IsHeld, Is.True);
    }

    [Test]
    public void Guard_disposed_twice_does_not_free_the_next_holders_mutex()
    {
        var mutex = new Mutex();
        Mutex.Guard first = mutex.Lock();
        first.Dispose();
        using Mutex.Guard second = mutex.Lock();
        first.Dispose();
        Assert.That(mutex.IsHeld, Is.True);
        Assert.That(first.IsHeld, Is.False);
    }

    [Test]
    public void Timed_attempt_ends_at_its_time()
    {
        var mutex = new Mutex();
        (WaitResult Result, bool IsHeld, ulong Waited) seen = default;
        using (mutex.Lock())
        {
            Task task = Spawn(() =>
            {
                ulong start = Clock.MonotonicNs;
                using Mutex.Guard guard = mutex.TryLockInterruptible(5 * Millisecond, out WaitResult result);
                seen = (result, guard.IsHeld, Clock.MonotonicNs - start);
            });
            Join([task]);
        }
        Assert.That(seen, Is.EqualTo((WaitResult.TimedOut, false, 5 * Millisecond)));
        Assert.That(mutex.IsHeld, Is.False);
    }

    [Test]
    public void Interrupted_attempt_gives_up_and_the_next_waiter_is_served()
    {
        var mutex = new Mutex();
        WaitResult? interrupted = null;
        bool served = false;
        Task first, second;
        using (mutex.Lock())
        {
            first = Spawn(() =>
            {
                using Mutex.Guard guard = mutex.TryLockInterruptible(ulong.MaxValue, out WaitResult result);
                interrupted = result;
            });
            second = Spawn(() =>
            {
                using Mutex.Guard guard = mutex.Lock();
                served = true;
            });
            Settle();
            first.Interrupt();
        }
        Join([first, second]);
        Assert.That(served, Is.True);
        Assert.That(interrupted, Is.EqualTo(WaitResult.Interrupted).Or.EqualTo(WaitResult.Woken));
        Assert.That(mutex.IsHeld, Is.False);
    }

    [Test]
    public void Plain_lock_is_not_ended_by_a_kill()
    {
        var mutex = new Mutex();
        bool got = false;
        Task task;
        using (mutex.Lock())
        {
            task = Spawn(() =>
            {
                using Mutex.Guard guard = mutex.Lock();
                got = true;
            });
            Settle();
            task.Kill();
            Settle();
            Assert.That(got, Is.False);
            Assert.That(task.State, Is.EqualTo(TaskState.Waiting));
        }
        Join([task]);
        Assert.That(got, Is.True);
    }

    [Test]
    public void Random_crowd_never_meets_inside_and_nobody_starves([Values(1, 2, 3)] int seed)
    {
        var random = new Random(seed);
        var mutex = new Mutex();
        int inside = 0, done = 0, gaveUp = 0;
        var tasks = new List<Task>();
        for (int i = 0; i < 8; i++)
        {
            tasks.Add(Spawn(() =>
            {
                for (int round = 0; round < 20; round++)
                {
                    bool timed = random.Next(3) == 0;
                    Mutex.Guard guard = timed ? mutex.TryLockInterruptible((ulong)random.Next(1000), out _) : mutex.Lock();
                    if (!guard.IsHeld)
                    {
                        gaveUp++;
                        continue;
                    }
                    Assert.That(++inside, Is.EqualTo(1));
                    if (random.Next(2) == 0) Task.Sleep((ulong)random.Next(1, 500));
                    inside--;
                    guard.Dispose();
                    if (random.Next(2) == 0) Task.Yield();
                    done++;
                }
            }));
        }
        Join(tasks);
        Assert.That(done + gaveUp, Is.EqualTo(160));
        Assert.That(gaveUp, Is.Positive, "some attempts were too short");
        Assert.That(mutex.IsHeld, Is.False);
    }
}
