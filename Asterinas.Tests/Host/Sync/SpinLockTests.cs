using System;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Sync;
using NUnit.Framework;
using Mutex = Asterinas.Ostd.Sync.Mutex;
using SpinLock = Asterinas.Ostd.Sync.SpinLock;
using Task = Asterinas.Ostd.Tasks.Task;

namespace Asterinas.Tests.Host.Sync;

/// <summary>Threads that the machine did not start stand for other CPUs: they take spin locks while the test's CPU runs.</summary>
public sealed class SpinLockTests : MachineFixture
{
    [Test]
    public void Lock_is_held_until_its_guard_is_disposed_and_twice_is_once()
    {
        var spinLock = new SpinLock();
        SpinLock.Guard guard = spinLock.Lock();
        Assert.That((spinLock.IsHeld, guard.IsHeld), Is.EqualTo((true, true)));
        guard.Dispose();
        Assert.That((spinLock.IsHeld, guard.IsHeld), Is.EqualTo((false, false)));
        using SpinLock.Guard second = spinLock.Lock();
        guard.Dispose();
        Assert.That(spinLock.IsHeld, Is.True, "the old guard is dead");
    }

    [Test]
    public void Attempt_on_a_held_lock_fails_and_leaves_no_trace()
    {
        var spinLock = new SpinLock();
        using (spinLock.Lock())
        {
            using SpinLock.Guard attempt = spinLock.TryLock();
            Assert.That(attempt.IsHeld, Is.False);
        }
        Assert.That(spinLock.IsHeld, Is.False);
        Task.Sleep(1);
        using SpinLock.Guard free = spinLock.TryLock();
        Assert.That(free.IsHeld, Is.True);
    }

    [Test]
    public void Holder_cannot_block_in_any_way()
    {
        var spinLock = new SpinLock();
        var mutex = new Mutex();
        var rwMutex = new RwMutex();
        var queue = new WaitQueue();
        Task task = Spawn(() => { });
        using (spinLock.Lock())
        {
            Action[] ways =
            [
                () => Task.Sleep(1), Task.Yield, () => mutex.Lock(), () => rwMutex.Read(), () => rwMutex.Write(), () => queue.WaitInterruptible(0, _ => false),
                () => queue.WaitBounded(0, _ => false, 5), () => task.Join(), Rcu.Synchronize,
            ];
            foreach (Action way in ways) Assert.That(way, Throws.TypeOf<InvalidOperationException>());
            Assert.That(Task.YieldIfNeeded, Throws.Nothing);
        }
        Join([task]);
        Assert.That(mutex.IsHeld, Is.False);
        using (rwMutex.Write()) Assert.That(queue.IsEmpty, Is.True);
    }

    [Test]
    public void Spinner_waits_until_the_other_cpu_gives_the_lock_back()
    {
        var spinLock = new SpinLock();
        using var taken = new ManualResetEventSlim();
        using var release = new ManualResetEventSlim();
        var other = new Thread(() =>
        {
            using (spinLock.Lock())
            {
                taken.Set();
                release.Wait();
            }
        });
        other.Start();
        taken.Wait();
        int pauses = 0;
        Machine.OnSchedulePoint = point =>
        {
            if (point == "pause" && ++pauses == 3) release.Set();
        };
        using (spinLock.Lock()) Machine.OnSchedulePoint = null;
        other.Join();
        Assert.That(pauses, Is.GreaterThanOrEqualTo(3));
    }

    [Test]
    public void Only_one_cpu_is_inside()
    {
        const int Rounds = 20000;
        var spinLock = new SpinLock("only one");
        int unprotected = 0;
        void Count()
        {
            for (int i = 0; i < Rounds; i++)
            {
                using SpinLock.Guard guard = spinLock.Lock();
                unprotected++;
            }
        }
        var others = new[] { new Thread(Count), new Thread(Count) };
        foreach (Thread other in others) other.Start();
        Count();
        foreach (Thread other in others) other.Join();
        Assert.That(unprotected, Is.EqualTo(3 * Rounds));
    }

    [Test]
    public void Pending_bottom_halves_wait_until_the_lock_is_free()
    {
        var spinLock = new SpinLock();
        bool fired = false;
        var timer = new Asterinas.Ostd.Timers.Timer(() =>
        {
            using SpinLock.Guard inner = spinLock.TryLock();
            fired = inner.IsHeld;
        });
        timer.Set(Asterinas.Ostd.Timers.Clock.MonotonicNs + 10);
        using (spinLock.Lock())
        {
            Advance(20);
            Assert.That(timer.IsSet, Is.True, "not run under the lock");
        }
        Task.YieldIfNeeded();
        Assert.That(fired, Is.True);
    }
}
