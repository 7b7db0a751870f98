using System;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Tasks;
using Asterinas.Ostd.Timers;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Interleaving;

/// <summary>
/// Waits against wakers, interrupts and lock holders on other CPUs, under every interleaving with a few preemptions. Every wait has a limit of simulated time, and time passes only
/// when all sleep: a run that took any has lost a wake-up, even when its condition held in the end.
/// </summary>
public sealed class WaitInterleavingTests : MachineFixture
{
    /// <summary>The other CPU has put a task in this one's run queue: the interrupt that says so.</summary>
    private static void Kick() => Machine.KickCpu(0);

    private static void Report(Explorer explorer) => TestContext.Out.WriteLine($"{TestContext.CurrentContext.Test.MethodName}: {explorer.Runs} interleavings");

    /// <summary>No wake-up is left over, nobody is queued twice, nobody sits on a seat.</summary>
    private static void AssertQuiet(Explorer explorer, WaitQueue queue)
    {
        Assert.That(explorer.ElapsedNs, Is.Zero, "a wake-up was lost");
        Assert.That(queue.IsEmpty, Is.True);
        Assert.That(Task.Current.State, Is.EqualTo(TaskState.Running));
        Task.Current.ClearInterrupt();
        ulong start = Clock.MonotonicNs;
        Assert.That(Task.Sleep(100), Is.EqualTo(WaitResult.Woken));
        Assert.That(Clock.MonotonicNs - start, Is.EqualTo(100), "no wake-up is left over");
        Assert.That(Scheduler.PolicyViolations, Is.Zero);
    }

    [Test]
    public void No_wake_up_is_lost_between_look_and_sleep()
    {
        var queue = new WaitQueue();
        bool flag = false;
        WaitResult result = default;
        Explorer explorer = null!;
        using (explorer = new Explorer(3, () =>
        {
            flag = true;
            explorer.Point("flag is set");
            queue.WakeOne();
            Kick();
        }))
        {
            Scheduler.Inject(new PointingScheduler(explorer));
            explorer.Run(() => flag = false, () => result = queue.WaitBounded(0, _ =>
            {
                explorer.Point("look");
                bool seen = flag;
                explorer.Point("looked");
                return seen;
            }, Second), () =>
            {
                Assert.That(result, Is.EqualTo(WaitResult.Woken));
                AssertQuiet(explorer, queue);
            });
            Report(explorer);
            Assert.That(explorer.Runs, Is.GreaterThan(100));
        }
    }

    [Test]
    public void Wake_up_and_interrupt_at_the_same_time_end_the_wait_once()
    {
        var queue = new WaitQueue();
        bool flag = false;
        WaitResult result = default;
        int woken = 0, interrupted = 0;
        Task waiter = Task.Current;
        using var explorer = new Explorer(2, () =>
        {
            flag = true;
            queue.WakeOne();
            Kick();
        }, () =>
        {
            waiter.Interrupt();
            Kick();
        });
        Scheduler.Inject(new PointingScheduler(explorer));
        explorer.Run(() => flag = false, () => result = queue.WaitInterruptible(0, _ => flag, Second), () =>
        {
            Assert.That(result, Is.Not.EqualTo(WaitResult.TimedOut));
            if (result == WaitResult.Woken) woken++; else interrupted++;
            AssertQuiet(explorer, queue);
        });
        Report(explorer);
        Assert.That((woken > 0, interrupted > 0), Is.EqualTo((true, true)), "both outcomes were seen");
    }

    [Test]
    public void Two_wakers_with_a_token_each_serve_two_waiters()
    {
        var queue = new WaitQueue();
        int tokens = 0;
        var results = new WaitResult[2];
        Action give = () =>
        {
            System.Threading.Interlocked.Increment(ref tokens);
            queue.WakeOne();
            Kick();
        };
        using var explorer = new Explorer(1, give, give);
        Scheduler.Inject(new PointingScheduler(explorer));
        explorer.Run(() => tokens = 0, () =>
        {
            var tasks = new Task[2];
            for (int i = 0; i < 2; i++)
            {
                int number = i;
                tasks[i] = Spawn(() => results[number] = queue.WaitKillable(0, _ => tokens > 0 && tokens-- > 0, Second));
            }
            Join(tasks);
        }, () =>
        {
            Assert.That(results, Is.All.EqualTo(WaitResult.Woken));
            Assert.That(tokens, Is.Zero);
            AssertQuiet(explorer, queue);
        });
        Report(explorer);
    }

    [Test]
    public void Mutex_given_back_on_another_cpu_reaches_its_waiter()
    {
        var mutex = new Mutex();
        bool isInside = false, overlapped = false;
        WaitResult result = default;
        Explorer explorer = null!;
        using (explorer = new Explorer(4, () =>
        {
            using (Mutex.Guard guard = mutex.TryLock())
            {
                if (guard.IsHeld) Inside();
            }
            Kick();
        }))
        {
            Scheduler.Inject(new PointingScheduler(explorer));
            explorer.Run(() => { }, () =>
            {
                explorer.Point("begin");
                using Mutex.Guard guard = mutex.TryLockInterruptible(Second, out result);
                if (guard.IsHeld) Inside();
            }, () =>
            {
                Assert.That(explorer.ElapsedNs, Is.Zero, "a wake-up was lost");
                Assert.That((result, mutex.IsHeld, overlapped), Is.EqualTo((WaitResult.Woken, false, false)));
            });
            Report(explorer);
        }

        void Inside()
        {
            overlapped |= isInside;
            isInside = true;
            explorer.Point("inside");
            isInside = false;
        }
    }

    [Test]
    public void Writer_is_woken_by_the_last_reader_on_another_cpu()
    {
        var rwLock = new RwLock();
        int readers = 0;
        bool met = false;
        Explorer explorer = null!;
        Action read = () =>
        {
            using RwLock.Guard guard = rwLock.Read();
            readers++;
            explorer.Point("reading");
            readers--;
        };
        using (explorer = new Explorer(2, read, read))
        {
            Scheduler.Inject(new PointingScheduler(explorer));
            explorer.Run(() => { }, () =>
            {
                explorer.Point("begin");
                using RwLock.Guard guard = rwLock.Write();
                met |= readers != 0;
                explorer.Point("writing");
                met |= readers != 0;
            }, () => Assert.That(met, Is.False));
            Report(explorer);
        }
    }

    [Test]
    public void Timer_cancelled_on_another_cpu_fires_before_or_not_at_all()
    {
        int fired = 0;
        bool cancelled = false;
        var timer = new Timer(() => fired++);
        using var explorer = new Explorer(3, () => cancelled = timer.Cancel());
        Scheduler.Inject(new PointingScheduler(explorer));
        explorer.Run(() => (fired, cancelled) = (0, false), () =>
        {
            timer.Set(Clock.MonotonicNs + 10);
            Task.Sleep(20);
        }, () =>
        {
            timer.Cancel();
            // The other CPU may have come before the timer was set: then it cancelled nothing.
            Assert.That(fired, Is.EqualTo(cancelled ? 0 : 1));
        });
        Report(explorer);
    }
}
