using System;
using System.Collections.Generic;
using System.Linq;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Tasks;
using NUnit.Framework;
using Task = Asterinas.Ostd.Tasks.Task;

namespace Asterinas.Tests.Host.Tasks;

/// <summary>How the policy misbehaves: once, after a few honest answers.</summary>
public enum Lie
{
    PickThrows,
    PickWaiting,
    PickExited,
    PickRunningElsewhere,
    PickTwice,
    PickBlocks,
    EnqueueThrows,
    EnqueueThrowsOnSpawn,
    EnqueueBlocks,
    UpdateThrows,
    UpdateBlocks,
    DequeueThrows,
    SliceThrows,
    QueueThrows,
    QueueIsNull,
}

public sealed class LyingSchedulerTests : MachineFixture
{
    /// <summary>A FIFO that lies once, when its countdown has run out.</summary>
    private sealed class Liar(Lie lie, int honestAnswers, Task victim) : IScheduler, ILocalRunQueue
    {
        private readonly FifoScheduler _honest = new();
        private Task? _last;

        public int Lies { get; private set; }

        public int AskedAfterwards { get; private set; }

        public Task? Current => Queue.Current;

        public ulong SliceDeadlineNs => Tell(Lie.SliceThrows) ? throw new FormatException() : Queue.SliceDeadlineNs;

        private ILocalRunQueue Queue => _honest.GetLocalRunQueue(0);

        public int Enqueue(Task task, EnqueueReason reason)
        {
            if (Tell(Lie.EnqueueThrows) || (reason == EnqueueReason.Spawn && Tell(Lie.EnqueueThrowsOnSpawn))) throw new FormatException();
            if (Tell(Lie.EnqueueBlocks)) Task.Sleep(1);
            return _honest.Enqueue(task, reason);
        }

        public ILocalRunQueue GetLocalRunQueue(int cpu)
        {
            if (Tell(Lie.QueueThrows)) throw new FormatException();
            return Tell(Lie.QueueIsNull) ? null! : this;
        }

        public bool UpdateCurrent(UpdateReason reason)
        {
            if (Tell(Lie.UpdateThrows)) throw new FormatException();
            if (Tell(Lie.UpdateBlocks)) Task.Sleep(1);
            return Queue.UpdateCurrent(reason);
        }

        public Task? PickNext()
        {
            if (Tell(Lie.PickThrows)) throw new FormatException();
            if (Tell(Lie.PickBlocks)) Task.Yield();
            if (Tell(Lie.PickWaiting) || Tell(Lie.PickExited) || Tell(Lie.PickRunningElsewhere)) return victim;
            // The one that was picked last time: by now it waits, or is queued here a second time.
            if (_last is not null && _last.State == TaskState.Waiting && Tell(Lie.PickTwice)) return _last;
            return _last = Queue.PickNext();
        }

        public Task? DequeueCurrent() => Tell(Lie.DequeueThrows) ? throw new FormatException() : Queue.DequeueCurrent();

        private bool Tell(Lie which)
        {
            if (Lies > 0) AskedAfterwards++;
            if (which != lie || Lies > 0 || honestAnswers-- > 0) return false;
            Lies++;
            AskedAfterwards = 0;
            return true;
        }
    }

    /// <summary>Tasks that yield, sleep, wait for each other, spawn and end: every answer of the policy is used.</summary>
    private static void MixedLoad()
    {
        const int Rounds = 6;
        var queue = new WaitQueue();
        int turn = 0, spawned = 0;
        var children = new List<Task>();
        Task[] tasks = [.. Enumerable.Range(0, 4).Select(number => Spawn(() =>
        {
            for (int round = 0; round < Rounds; round++)
            {
                queue.WaitKillable(0, _ => turn % 4 == number);
                turn++;
                queue.WakeAll();
                Task.Yield();
                Task.Sleep(100);
                children.Add(Spawn(() => spawned++));
            }
        }, $"load {number}"))];
        Join(tasks);
        Join(children);
        Assert.That((turn, spawned), Is.EqualTo((4 * Rounds, 4 * Rounds)), "no task is lost");
    }

    [Test]
    public void Lie_is_counted_the_default_policy_takes_over_and_no_task_is_lost([Values] Lie lie, [Values(0, 1, 2, 5, 11)] int honestAnswers)
    {
        var gate = new WaitQueue();
        bool open = false;
        Task waiting = Spawn(() => gate.WaitKillable(0, _ => open), "waiting");
        Task exited = Spawn(() => { }, "exited");
        Settle();
        Task? elsewhere = null;
        var other = new Thread(() => elsewhere = Task.Current);
        other.Start();
        other.Join();
        var liar = new Liar(lie, honestAnswers, lie switch
        {
            Lie.PickExited => exited,
            Lie.PickRunningElsewhere => elsewhere!,
            _ => waiting,
        });
        long violations = Scheduler.PolicyViolations;
        Scheduler.Inject(liar);
        MixedLoad();
        Assert.That(liar.Lies, Is.EqualTo(1), "the load gave the policy its chance");
        Assert.That(Scheduler.PolicyViolations, Is.EqualTo(violations + 1));
        Assert.That(Scheduler.Policy, Is.TypeOf<FifoScheduler>());
        Assert.That(liar.AskedAfterwards, Is.LessThanOrEqualTo(2), "a policy that lied is asked no more");
        Assert.That(Machine.TakeConsoleOutput(), Does.Contain("scheduler policy violation"));
        Assert.That((waiting.State, exited.State), Is.EqualTo((TaskState.Waiting, TaskState.Exited)));
        MixedLoad();
        open = true;
        gate.WakeAll();
        Join([waiting]);
    }

    [Test]
    public void Honest_policy_is_never_accused()
    {
        var honest = new Liar(Lie.PickThrows, int.MaxValue, Task.Current);
        Scheduler.Inject(honest);
        MixedLoad();
        Assert.That(Scheduler.PolicyViolations, Is.Zero);
        Assert.That(Scheduler.Policy, Is.SameAs(honest));
    }

    [Test]
    public void Runnable_tasks_move_over_when_a_policy_is_injected_and_back()
    {
        int ran = 0;
        Task[] tasks = [.. Enumerable.Range(0, 10).Select(_ => Spawn(() =>
        {
            Task.Yield();
            ran++;
        }))];
        Scheduler.Inject(new Liar(Lie.PickThrows, int.MaxValue, Task.Current));
        Task.Yield();
        Scheduler.Inject(new FifoScheduler());
        Join(tasks);
        Assert.That(ran, Is.EqualTo(10));
        Assert.That(Scheduler.PolicyViolations, Is.Zero);
    }

    /// <summary>Throws as often as it is asked to take a task in.</summary>
    private sealed class Refuser : IScheduler
    {
        public int Enqueue(Task task, EnqueueReason reason) => throw new FormatException();

        public ILocalRunQueue GetLocalRunQueue(int cpu) => throw new FormatException();
    }

    [Test]
    public void Policy_that_throws_while_it_takes_over_loses_no_task()
    {
        int ran = 0;
        Task[] tasks = [.. Enumerable.Range(0, 5).Select(_ => Spawn(() => ran++))];
        Scheduler.Inject(new Refuser());
        Join(tasks);
        Assert.That(ran, Is.EqualTo(5));
        Assert.That(Scheduler.PolicyViolations, Is.EqualTo(1));
        Assert.That(Scheduler.Policy, Is.TypeOf<FifoScheduler>());
    }

    /// <summary>Names CPUs that do not exist.</summary>
    private sealed class BadTargets(int target) : IScheduler
    {
        private readonly FifoScheduler _honest = new();

        public int Enqueue(Task task, EnqueueReason reason)
        {
            _honest.Enqueue(task, reason);
            return target;
        }

        public ILocalRunQueue GetLocalRunQueue(int cpu) => _honest.GetLocalRunQueue(cpu);
    }

    [TestCase(-1)]
    [TestCase(int.MinValue)]
    [TestCase(1)]
    [TestCase(int.MaxValue)]
    public void Target_cpu_that_does_not_exist_is_ignored(int target)
    {
        Scheduler.Inject(new BadTargets(target));
        Scheduler.RequestReschedule(target);
        MixedLoad();
        Assert.That(Scheduler.PolicyViolations, Is.Zero);
    }

    [Test]
    public void Null_policy_is_refused() => Assert.That(() => Scheduler.Inject(null!), Throws.TypeOf<ArgumentNullException>());
}
