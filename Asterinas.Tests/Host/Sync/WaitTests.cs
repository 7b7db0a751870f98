using System;
using System.Collections.Generic;
using System.Linq;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Tasks;
using Asterinas.Ostd.Timers;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Sync;

public sealed class WaitTests : MachineFixture
{
    private sealed class Tokens
    {
        public int Count;

        public bool TryTake() => Count > 0 && Count-- > 0;
    }

    private readonly List<int> _order = [];

    [SetUp]
    public void Clear() => _order.Clear();

    private Task[] Waiters(WaitQueue queue, Tokens tokens, int count) => [.. Enumerable.Range(0, count).Select(number => Spawn(() =>
    {
        Assert.That(queue.WaitInterruptible(tokens, static tokens => tokens.TryTake()), Is.EqualTo(WaitResult.Woken));
        _order.Add(number);
    }))];

    [Test]
    public void Wake_one_wakes_the_one_that_waited_longest()
    {
        var queue = new WaitQueue();
        var tokens = new Tokens();
        Task[] tasks = Waiters(queue, tokens, 4);
        Settle();
        Assert.That(queue.IsEmpty, Is.False);
        for (int i = 0; i < 4; i++)
        {
            tokens.Count = 1;
            Assert.That(queue.WakeOne(), Is.True);
            Settle();
            Assert.That(_order, Is.EqualTo(Enumerable.Range(0, i + 1)));
        }
        Assert.That(queue.WakeOne(), Is.False);
        Assert.That(queue.IsEmpty, Is.True);
        Join(tasks);
    }

    [Test]
    public void Wake_all_wakes_everybody_and_says_how_many()
    {
        var queue = new WaitQueue();
        var tokens = new Tokens();
        Task[] tasks = Waiters(queue, tokens, 5);
        Settle();
        tokens.Count = 5;
        Assert.That(queue.WakeAll(), Is.EqualTo(5));
        Join(tasks);
        Assert.That(_order, Is.EqualTo(new[] { 0, 1, 2, 3, 4 }));
        Assert.That(queue.WakeAll(), Is.Zero);
    }

    [Test]
    public void Woken_task_whose_condition_does_not_hold_waits_on()
    {
        var queue = new WaitQueue();
        var tokens = new Tokens();
        Task[] tasks = Waiters(queue, tokens, 3);
        Settle();
        Assert.That(queue.WakeAll(), Is.EqualTo(3));
        Settle();
        Assert.That(_order, Is.Empty);
        Assert.That(tasks.Select(task => task.State), Is.All.EqualTo(TaskState.Waiting));
        tokens.Count = 3;
        queue.WakeAll();
        Join(tasks);
    }

    [Test]
    public void Condition_that_holds_already_needs_no_wait_even_where_blocking_is_forbidden()
    {
        var queue = new WaitQueue();
        using SpinLock.Guard guard = new SpinLock().Lock();
        Assert.That(queue.WaitInterruptible(0, _ => true), Is.EqualTo(WaitResult.Woken));
        Assert.That(queue.IsEmpty, Is.True);
    }

    [Test]
    public void Wake_before_the_task_has_blocked_is_not_lost()
    {
        var queue = new WaitQueue();
        bool open = false;
        int looks = 0;
        // The second look is the one after the task took its seat: the waker comes right there, before the task leaves its CPU.
        Assert.That(queue.WaitKillable(0, _ =>
        {
            bool seen = open;
            if (++looks == 2)
            {
                open = true;
                Assert.That(queue.WakeOne(), Is.True);
            }
            return seen;
        }, Second), Is.EqualTo(WaitResult.Woken));
        Assert.That(looks, Is.EqualTo(3));
        Assert.That(queue.IsEmpty, Is.True);
        Assert.That(Task.Current.State, Is.EqualTo(TaskState.Running));
        Settle();
    }

    [Test]
    public void Wake_that_comes_while_the_condition_is_found_true_leaves_the_task_well()
    {
        var queue = new WaitQueue();
        int looks = 0;
        Assert.That(queue.WaitKillable(0, _ => ++looks == 2 && queue.WakeOne(), Second), Is.EqualTo(WaitResult.Woken));
        Assert.That(Task.Current.State, Is.EqualTo(TaskState.Running));
        ulong start = Clock.MonotonicNs;
        Task.Sleep(100);
        Assert.That(Clock.MonotonicNs - start, Is.EqualTo(100), "no wake-up is left over");
    }

    [Test]
    public void Timeout_comes_exactly_in_time_and_leaves_no_seat_and_no_timer()
    {
        var queue = new WaitQueue();
        foreach (ulong timeout in new[] { 0UL, 1UL, Millisecond, Second })
        {
            ulong start = Clock.MonotonicNs;
            Assert.That(queue.WaitBounded(0, _ => false, timeout), Is.EqualTo(WaitResult.TimedOut));
            Assert.That(Clock.MonotonicNs - start, Is.EqualTo(timeout));
            Assert.That(queue.IsEmpty, Is.True);
        }
    }

    [Test]
    public void Condition_wins_over_a_timeout_that_comes_with_it()
    {
        var queue = new WaitQueue();
        ulong end = Clock.MonotonicNs + Millisecond;
        Assert.That(queue.WaitBounded(0, _ => Clock.MonotonicNs >= end, Millisecond), Is.EqualTo(WaitResult.Woken));
    }

    [Test]
    public void Huge_timeouts_do_not_overflow()
    {
        var queue = new WaitQueue();
        bool open = false;
        Task task = Spawn(() => Assert.That(queue.WaitBounded(0, _ => open, ulong.MaxValue - 1), Is.EqualTo(WaitResult.Woken)));
        Settle();
        Assert.That(task.State, Is.EqualTo(TaskState.Waiting));
        open = true;
        queue.WakeOne();
        Join([task]);
    }

    [Test]
    public void Waits_end_by_the_signals_that_their_kind_allows([Values] bool isKill)
    {
        var queue = new WaitQueue();
        WaitResult? interruptible = null, killable = null, bounded = null;
        Task[] tasks =
        [
            Spawn(() => interruptible = queue.WaitInterruptible(0, _ => false, Second)),
            Spawn(() => killable = queue.WaitKillable(0, _ => false, Second)),
            Spawn(() => bounded = queue.WaitBounded(0, _ => false, Second)),
        ];
        Settle();
        foreach (Task task in tasks)
        {
            if (isKill) task.Kill(); else task.Interrupt();
        }
        Settle();
        WaitResult? stillWaiting = null;
        Assert.That((interruptible, killable, bounded),
            Is.EqualTo(((WaitResult?)WaitResult.Interrupted, isKill ? WaitResult.Interrupted : stillWaiting, stillWaiting)));
        Join(tasks);
        Assert.That((killable, bounded), Is.EqualTo((isKill ? WaitResult.Interrupted : WaitResult.TimedOut, WaitResult.TimedOut)));
        Assert.That(queue.IsEmpty, Is.True);
    }

    [Test]
    public void Interrupt_between_look_and_sleep_is_not_lost()
    {
        var queue = new WaitQueue();
        int looks = 0;
        Task self = Task.Current;
        Assert.That(queue.WaitInterruptible(0, _ =>
        {
            if (++looks == 2) self.Interrupt();
            return false;
        }, Second), Is.EqualTo(WaitResult.Interrupted));
        self.ClearInterrupt();
        ulong start = Clock.MonotonicNs;
        Assert.That(Task.Sleep(100), Is.EqualTo(WaitResult.Woken));
        Assert.That(Clock.MonotonicNs - start, Is.EqualTo(100));
    }

    [Test]
    public void Waiter_that_left_by_itself_does_not_swallow_a_wake_up()
    {
        var queue = new WaitQueue();
        var tokens = new Tokens();
        WaitResult? first = null;
        Task leaver = Spawn(() => first = queue.WaitInterruptible(0, _ => false));
        Task[] stayer = Waiters(queue, tokens, 1);
        Settle();
        leaver.Interrupt();                     // runnable now, and still on its seat
        tokens.Count = 1;
        Assert.That(queue.WakeOne(), Is.True);
        Join([leaver, .. stayer]);
        Assert.That(first, Is.EqualTo(WaitResult.Interrupted));
        Assert.That(_order, Is.EqualTo(new[] { 0 }));
    }

    [Test]
    public void Condition_that_throws_ends_the_wait_and_leaves_nothing_behind([Values(1, 2, 3)] int atLook)
    {
        var queue = new WaitQueue();
        Task task = Task.Spawn(() =>
        {
            int looks = 0;
            queue.WaitInterruptible(0, _ => ++looks == atLook ? throw new FormatException() : false, 10 * Second);
        });
        Settle();
        queue.WakeAll();
        Settle();
        Assert.That(task.State, Is.EqualTo(TaskState.Exited));
        Assert.That(task.Failure, Is.TypeOf<FormatException>());
        Assert.That(queue.IsEmpty, Is.True);
        Assert.That(queue.WakeOne(), Is.False);
    }

    [Test]
    public void Condition_that_throws_after_a_wake_up_leaves_the_task_able_to_wait_again()
    {
        var queue = new WaitQueue();
        int looks = 0;
        Assert.That(() => queue.WaitInterruptible(0, _ =>
        {
            if (++looks != 2) return false;
            queue.WakeOne();
            throw new FormatException();
        }), Throws.TypeOf<FormatException>());
        Assert.That(Task.Current.State, Is.EqualTo(TaskState.Running));
        ulong start = Clock.MonotonicNs;
        Assert.That(Task.Sleep(100), Is.EqualTo(WaitResult.Woken));
        Assert.That(Clock.MonotonicNs - start, Is.EqualTo(100));
    }

    [Test]
    public void Every_token_wakes_exactly_one_in_a_random_crowd([Values(1, 2, 3, 4)] int seed)
    {
        var random = new Random(seed);
        var queue = new WaitQueue();
        var tokens = new Tokens();
        int given = 0, taken = 0, left = 0;
        bool isOver = false;
        var tasks = new List<Task>();
        for (int i = 0; i < 6; i++)
        {
            tasks.Add(Spawn(() =>
            {
                while (true)
                {
                    ulong timeout = random.Next(3) == 0 ? (ulong)random.Next(2000) : ulong.MaxValue;
                    WaitResult result = queue.WaitInterruptible(0, _ => tokens.Count > 0 || isOver, timeout);
                    Task.Current.ClearInterrupt();
                    if (result != WaitResult.Woken) left++;
                    else if (tokens.TryTake()) taken++;
                    else if (isOver) return;
                    if (random.Next(3) == 0) Task.Sleep((ulong)random.Next(500));
                }
            }));
        }
        for (int step = 0; step < 500; step++)
        {
            switch (random.Next(4))
            {
                case 0:
                    tasks[random.Next(tasks.Count)].Interrupt();
                    break;
                case 1:
                    Task.Sleep((ulong)random.Next(800));
                    break;
                default:
                    given++;
                    tokens.Count++;
                    queue.WakeOne();
                    break;
            }
        }
        isOver = true;
        queue.WakeAll();
        Join(tasks);
        Assert.That((taken + tokens.Count, left > 0), Is.EqualTo((given, true)));
        Assert.That(queue.IsEmpty, Is.True);
    }
}
