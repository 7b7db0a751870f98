using System;
using System.Collections.Generic;
using System.Linq;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Tasks;
using Asterinas.Ostd.Timers;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Timers;

public sealed class TimerHeapTests : MachineFixture
{
    [Test]
    public void Random_timers_agree_with_a_sorted_list([Values(1, 2, 3, 4, 5)] int seed)
    {
        var random = new Random(seed);
        var fired = new List<int>();
        var timers = new Timer[200];
        var model = new Dictionary<int, ulong>();
        for (int i = 0; i < timers.Length; i++)
        {
            int number = i;
            timers[i] = new Timer(() => fired.Add(number));
        }
        for (int step = 0; step < 3000; step++)
        {
            int index = random.Next(timers.Length);
            switch (random.Next(8))
            {
                case <= 3:
                    // Few different deadlines, so that many are equal; some in the past.
                    ulong deadline = Clock.MonotonicNs + (ulong)random.Next(200) * 10 - 100;
                    timers[index].Set(deadline);
                    model[index] = deadline;
                    break;
                case <= 5:
                    Assert.That(timers[index].Cancel(), Is.EqualTo(model.Remove(index)));
                    break;
                case 6:
                    Assert.That(timers[index].IsSet, Is.EqualTo(model.ContainsKey(index)));
                    break;
                default:
                    fired.Clear();
                    Advance((ulong)random.Next(150));
                    KeyValuePair<int, ulong>[] due = [.. model.Where(entry => entry.Value <= Clock.MonotonicNs).OrderBy(entry => entry.Value)];
                    Assert.That(fired.Select(number => model[number]), Is.EqualTo(due.Select(entry => entry.Value)), "in the order of the deadlines");
                    Assert.That(fired, Is.EquivalentTo(due.Select(entry => entry.Key)));
                    foreach (KeyValuePair<int, ulong> entry in due) model.Remove(entry.Key);
                    if (model.Count > 0) Assert.That(Machine.ArmedDeadline(), Is.InRange(1UL, model.Values.Min()), "the CPU's timer comes in time");
                    break;
            }
        }
        foreach (Timer timer in timers) timer.Cancel();
    }

    [Test]
    public void Timer_never_fires_early_and_fires_once()
    {
        int fired = 0;
        var timer = new Timer(() => fired++);
        timer.Set(Clock.MonotonicNs + 100);
        Advance(99);
        Assert.That((fired, timer.IsSet), Is.EqualTo((0, true)));
        Advance(1);
        Assert.That((fired, timer.IsSet), Is.EqualTo((1, false)));
        Advance(Second);
        Assert.That(fired, Is.EqualTo(1));
        Assert.That(timer.Cancel(), Is.False);
    }

    [Test]
    public void Deadline_that_has_passed_fires_at_the_next_safe_point_not_inside_set()
    {
        int fired = 0;
        var timer = new Timer(() => fired++);
        foreach (ulong deadline in new[] { 0UL, 1UL, Clock.MonotonicNs })
        {
            fired = 0;
            timer.Set(deadline);
            Assert.That(fired, Is.Zero);
            Task.YieldIfNeeded();
            Assert.That(fired, Is.EqualTo(1));
        }
    }

    [Test]
    public void Set_anew_moves_the_deadline_both_ways()
    {
        int fired = 0;
        var timer = new Timer(() => fired++);
        ulong start = Clock.MonotonicNs;
        timer.Set(start + 100);
        timer.Set(start + 1000);
        Advance(500);
        Assert.That(fired, Is.Zero);
        timer.Set(start + 600);
        Advance(100);
        Assert.That(fired, Is.EqualTo(1));
        Advance(1000);
        Assert.That(fired, Is.EqualTo(1));
    }

    [Test]
    public void Callback_may_set_its_timer_again_and_cancel_others()
    {
        int ticks = 0, other = 0;
        Timer? periodic = null;
        var victim = new Timer(() => other++);
        victim.Set(Clock.MonotonicNs + 250);
        periodic = new Timer(() =>
        {
            if (++ticks == 2) victim.Cancel();
            if (ticks < 5) periodic!.Set(Clock.MonotonicNs + 100);
        });
        periodic.Set(Clock.MonotonicNs + 100);
        Task.Sleep(1000);
        Assert.That((ticks, other), Is.EqualTo((5, 0)));
    }

    [Test]
    public void Callback_that_throws_is_logged_and_the_others_run()
    {
        int fired = 0;
        ulong deadline = Clock.MonotonicNs + 10;
        Timer[] timers = [new(() => fired++), new(() => throw new FormatException("bad callback")), new(() => fired++)];
        foreach (Timer timer in timers) timer.Set(deadline);
        Advance(10);
        Assert.That(fired, Is.EqualTo(2));
        Assert.That(Machine.TakeConsoleOutput(), Does.Contain("bad callback"));
    }

    [Test]
    public void Callback_cannot_block()
    {
        Exception? seen = null;
        var timer = new Timer(() =>
        {
            try
            {
                Task.Sleep(1);
            }
            catch (InvalidOperationException problem)
            {
                seen = problem;
            }
        });
        timer.Set(0);
        Task.YieldIfNeeded();
        Assert.That(seen, Is.Not.Null);
    }

    [Test]
    public void Timer_in_the_far_future_and_one_now_do_not_disturb_each_other()
    {
        int fired = 0;
        var far = new Timer(() => fired += 100);
        var near = new Timer(() => fired++);
        far.Set(ulong.MaxValue);
        near.Set(Clock.MonotonicNs + 10);
        Task.Sleep(100);
        Assert.That(fired, Is.EqualTo(1));
        Assert.That(far.Cancel(), Is.True);
    }

    [Test]
    public void Timer_wakes_a_task_from_an_idle_cpu_at_its_very_nanosecond()
    {
        var queue = new WaitQueue();
        bool open = false;
        ulong start = Clock.MonotonicNs;
        new Timer(() =>
        {
            open = true;
            queue.WakeAll();
        }).Set(start + 777);
        Assert.That(queue.WaitKillable(0, _ => open), Is.EqualTo(WaitResult.Woken));
        Assert.That(Clock.MonotonicNs - start, Is.EqualTo(777));
    }

    [Test]
    public void Wall_clock_is_boot_time_plus_monotonic_time()
    {
        DateTime before = Clock.UtcNow;
        Machine.AdvanceTime(90 * Second);
        Assert.That(Clock.UtcNow - before, Is.EqualTo(TimeSpan.FromSeconds(90)));
        Assert.That(before, Is.EqualTo(DateTime.UnixEpoch.AddTicks((long)((Machine.RealTimeAtBoot + 1000000000) / 100))));
    }
}
