using System;
using System.Collections.Generic;
using System.Linq;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Tasks;
using Asterinas.Ostd.Timers;
using NUnit.Framework;
using SpinLock = Asterinas.Ostd.Sync.SpinLock;

namespace Asterinas.Tests.Host.Tasks;

public sealed class TaskLifeTests : MachineFixture
{
    [ThreadStatic]
    private static int t_own;

    [Test]
    public void Spawned_task_runs_when_its_parent_waits_and_is_exited_after_join()
    {
        bool ran = false;
        Task task = Task.Spawn(() => ran = true, new TaskOptions { Name = "child", Data = "data", SchedulerData = 7 });
        Assert.That((ran, task.State), Is.EqualTo((false, TaskState.Runnable)));
        Join([task]);
        Assert.That((ran, task.State), Is.EqualTo((true, TaskState.Exited)));
        Assert.That((task.Name, task.Data, task.SchedulerData), Is.EqualTo(("child", "data", 7)));
        Join([task]);
    }

    [Test]
    public void Tasks_that_yield_take_turns()
    {
        var order = new List<string>();
        IEnumerable<Task> tasks = new[] { "a", "b", "c" }.Select(name => Spawn(() =>
        {
            for (int i = 0; i < 3; i++)
            {
                order.Add(name + i);
                Task.Yield();
            }
        }, name)).ToArray();
        Join(tasks);
        Assert.That(order, Is.EqualTo(new[] { "a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2" }));
    }

    [Test]
    public void Yield_returns_at_once_when_nobody_else_wants_the_cpu()
    {
        long switches = Scheduler.SwitchCount;
        for (int i = 0; i < 10; i++) Task.Yield();
        Assert.That(Scheduler.SwitchCount, Is.EqualTo(switches));
    }

    [Test]
    public void Sleep_lasts_exactly_as_long_as_asked_when_the_machine_is_idle()
    {
        ulong start = Clock.MonotonicNs;
        Assert.That(Task.Sleep(1234567), Is.EqualTo(WaitResult.Woken));
        Assert.That(Clock.MonotonicNs - start, Is.EqualTo(1234567));
        Assert.That(Task.Sleep(0), Is.EqualTo(WaitResult.Woken));
        Assert.That(Clock.MonotonicNs - start, Is.EqualTo(1234567));
    }

    [Test]
    public void Sleepers_wake_in_the_order_of_their_deadlines()
    {
        var order = new List<int>();
        var tasks = new List<Task>();
        foreach (int delay in new[] { 5, 1, 4, 2, 3 })
        {
            tasks.Add(Spawn(() =>
            {
                Task.Sleep((ulong)delay * Millisecond);
                order.Add(delay);
            }));
        }
        Join(tasks);
        Assert.That(order, Is.EqualTo(new[] { 1, 2, 3, 4, 5 }));
    }

    [Test]
    public void Exception_ends_only_its_task_and_is_kept_and_logged()
    {
        var problem = new FormatException("what went wrong");
        Task task = Task.Spawn(() => throw problem, new TaskOptions { Name = "unlucky" });
        Assert.That(task.Join(), Is.EqualTo(WaitResult.Woken));
        Assert.That(task.Failure, Is.SameAs(problem));
        string log = Machine.TakeConsoleOutput();
        Assert.That(log, Does.Contain("unlucky").And.Contain("what went wrong"));
    }

    [Test]
    public void Join_ends_by_time_or_interrupt_and_refuses_the_task_itself()
    {
        var gate = new WaitQueue();
        bool open = false;
        Task target = Spawn(() => gate.WaitKillable(0, _ => open));
        ulong start = Clock.MonotonicNs;
        Assert.That(target.Join(Second), Is.EqualTo(WaitResult.TimedOut));
        Assert.That(Clock.MonotonicNs - start, Is.EqualTo(Second));
        WaitResult? seen = null;
        Task joiner = Spawn(() => seen = target.Join());
        Settle();
        joiner.Interrupt();
        Join([joiner]);
        Assert.That(seen, Is.EqualTo(WaitResult.Interrupted));
        Assert.That(() => Task.Current.Join(), Throws.TypeOf<InvalidOperationException>());
        open = true;
        gate.WakeAll();
        Join([target]);
    }

    [Test]
    public void Every_joiner_is_woken()
    {
        Task target = Spawn(() => Task.Sleep(Millisecond));
        int joined = 0;
        Task[] joiners = [.. Enumerable.Range(0, 5).Select(_ => Spawn(() =>
        {
            if (target.Join() == WaitResult.Woken) joined++;
        }))];
        Join(joiners);
        Assert.That(joined, Is.EqualTo(5));
    }

    [Test]
    public void Thread_statics_are_the_tasks_own()
    {
        t_own = 100;
        Task[] tasks = [.. Enumerable.Range(1, 4).Select(number => Spawn(() =>
        {
            Assert.That(t_own, Is.Zero);
            t_own = number;
            Task.Yield();
            Assert.That(t_own, Is.EqualTo(number));
        }))];
        Join(tasks);
        Assert.That(t_own, Is.EqualTo(100));
    }

    [Test]
    public void Hundreds_of_tasks_all_end()
    {
        int ran = 0;
        var tasks = new List<Task>();
        for (int i = 0; i < 300; i++)
        {
            tasks.Add(Spawn(() =>
            {
                Task.Yield();
                ran++;
            }));
        }
        Join(tasks);
        Assert.That(ran, Is.EqualTo(300));
    }

    [Test]
    public void Task_without_memory_for_its_stack_is_null_or_an_exception_and_nobody_ever_runs_it()
    {
        bool ran = false;
        Machine.FailNextThread = true;
        Assert.That(Task.TrySpawn(() => ran = true), Is.Null);
        Machine.FailNextThread = true;
        Assert.That(() => Task.Spawn(() => ran = true), Throws.TypeOf<OutOfMemoryException>());
        Settle();
        Assert.That(ran, Is.False);
    }

    [Test]
    public void Arguments_are_checked()
    {
        Assert.That(() => Task.Spawn(null!), Throws.TypeOf<ArgumentNullException>());
        foreach (int bytes in new[] { 0, -1, 32 * 1024 - 1, 16 * 1024 * 1024 + 1 })
        {
            Assert.That(() => Task.Spawn(() => { }, new TaskOptions { StackBytes = bytes }), Throws.TypeOf<ArgumentOutOfRangeException>());
        }
    }

    [Test]
    public void Interrupt_ends_the_present_or_the_next_sleep_once_it_is_cleared_no_more()
    {
        var results = new List<WaitResult>();
        Task task = Spawn(() =>
        {
            results.Add(Task.Sleep(Second));
            results.Add(Task.Sleep(Second));
            Task.Current.ClearInterrupt();
            results.Add(Task.Sleep(Second));
        });
        Settle();
        ulong start = Clock.MonotonicNs;
        task.Interrupt();
        Join([task]);
        Assert.That(results, Is.EqualTo(new[] { WaitResult.Interrupted, WaitResult.Interrupted, WaitResult.Woken }));
        Assert.That(Clock.MonotonicNs - start, Is.EqualTo(Second));
    }

    [Test]
    public void Kill_is_for_good()
    {
        WaitResult? after = null;
        Task task = Spawn(() =>
        {
            Task.Sleep(Second);
            Task.Current.ClearInterrupt();
            after = Task.Sleep(Second);
        });
        Settle();
        task.Kill();
        Join([task]);
        Assert.That(after, Is.EqualTo(WaitResult.Interrupted));
    }

    [Test]
    public void Signals_to_a_task_that_has_ended_do_nothing()
    {
        Task task = Spawn(() => { });
        Join([task]);
        task.Interrupt();
        task.Kill();
        Settle();
        Assert.That(task.State, Is.EqualTo(TaskState.Exited));
    }

    [Test]
    public void Task_that_ends_with_a_spin_lock_held_is_reported()
    {
        var spinLock = new SpinLock();
        Join([Spawn(() => spinLock.Lock(), "forgetful")]);
        Assert.That(Machine.TakeConsoleOutput(), Does.Contain("'forgetful' ended with 1 spin locks held"));
        Assert.That(spinLock.IsHeld, Is.True);
    }

    [Test]
    public void Task_that_blocks_under_the_runtime_leaves_the_cpu_and_comes_back_by_the_policy()
    {
        var order = new List<string>();
        nint thread = 0;
        Task blocked = Spawn(() =>
        {
            thread = Machine.ThreadCurrent();
            order.Add("blocks");
            Machine.BlockUnderRuntime();
            order.Add("is back");
            Task.Yield();
        });
        Task other = Spawn(() => order.Add("other"));
        Settle();
        Assert.That(order, Is.EqualTo(new[] { "blocks", "other" }));
        Assert.That(blocked.State, Is.EqualTo(TaskState.Waiting));
        Assert.That(Machine.WakeUnderRuntime(thread), Is.True);
        Assert.That(Machine.WakeUnderRuntime(thread), Is.False);
        Join([blocked, other]);
        Assert.That(order, Is.EqualTo(new[] { "blocks", "other", "is back" }));
    }

    [Test]
    public void Deadlock_of_the_boot_task_is_found()
    {
        var never = new WaitQueue();
        Assert.That(() => never.WaitKillable(0, _ => false), Throws.TypeOf<TimeoutException>().With.Message.Contains("deadlock"));
    }
}
