using System;
using System.Collections.Generic;
using System.Threading;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Smp;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Tasks;
using Asterinas.Ostd.Timers;
using Asterinas.Services.Scheduling;
using Mutex = Asterinas.Ostd.Sync.Mutex;
using SpinLock = Asterinas.Ostd.Sync.SpinLock;
using Task = Asterinas.Ostd.Tasks.Task;
using Timer = Asterinas.Ostd.Timers.Timer;

namespace Asterinas.Tests.Kernel;

/// <summary>Tasks, waits, timers, locks, and scheduling policies that lie.</summary>
internal static class TaskTests
{
    private const ulong Millisecond = 1000000;

    [ThreadStatic]
    private static int t_number;

    [ThreadStatic]
    private static string? t_text;

    public static void Register()
    {
        Program.Add("Tasks_run_in_turn_when_they_yield", OnOneCpu(UnderFifo(Turns)));
        Program.Add("Tasks_have_thread_statics_of_their_own", ThreadStatics);
        Program.Add("Tasks_that_end_by_an_exception_keep_it", Failures);
        Program.Add("Tasks_by_the_thousand_leave_nothing_behind", Storm);
        Program.Add("Tasks_asleep_keep_their_objects_through_collections", AsleepThroughCollections);
        Program.Add("Timers_fire_in_order_and_never_early", OnOneCpu(TimersInOrder));
        Program.Add("Waits_end_by_wake_time_interrupt_or_kill", OnOneCpu(UnderFifo(Waits)));
        Program.Add("Waits_of_two_tasks_hand_over_10000_times", PingPong);
        Program.Add("Mutex_excludes_and_wakes_in_order", MutexExcludes);
        Program.Add("RwMutex_lets_readers_share_and_writers_alone", Readers);
        Program.Add("Rcu_waits_for_readers", GracePeriods);
        Program.Add("Blocking_under_a_spin_lock_is_refused", BlockingUnderSpinLock);
        Program.Add("Scheduler_policies_that_lie_are_replaced", UnderFifo(LyingSchedulers));
    }

    private static readonly CpuSet s_boot = new(1);

    /// <summary>Runs a test whose order of events is that of one CPU: the caller on the boot CPU, as are the tasks that it starts with <see cref="SpawnHere"/>.</summary>
    private static Action OnOneCpu(Action test) => () =>
    {
        Task.Current.SetAffinity(s_boot);
        try
        {
            test();
        }
        finally
        {
            Task.Current.SetAffinity(null);
        }
    };

    /// <summary>Runs a test under the default policy, whose order is simple.</summary>
    private static Action UnderFifo(Action test) => () =>
    {
        Scheduler.Inject(new FifoScheduler());
        try
        {
            test();
        }
        finally
        {
            Scheduler.Inject(new LinuxScheduler());
        }
    };

    private static Task SpawnHere(Action entry, TaskOptions? options = null) => Task.Spawn(entry, (options ?? new TaskOptions()) with { Affinity = s_boot });

    private static void Join(params ReadOnlySpan<Task> tasks)
    {
        foreach (Task task in tasks)
        {
            Expect.Equal(WaitResult.Woken, task.Join(60000 * Millisecond), $"join of {task.Name}");
            if (task.Failure is { } failure) throw new TestFailure($"{task.Name}: {failure}");
            Expect.Equal(TaskState.Exited, task.State, "state of a joined task");
        }
    }

    private static void Turns()
    {
        var order = new List<int>();
        var tasks = new Task[3];
        for (int i = 0; i < 3; i++)
        {
            int number = i;
            tasks[i] = SpawnHere(() =>
            {
                Expect.Equal(TaskState.Running, Task.Current.State, "state of the running task");
                for (int round = 0; round < 4; round++)
                {
                    order.Add(number);
                    Task.Yield();
                }
            }, new TaskOptions { Name = $"turn {i}", Data = number });
        }
        Join(tasks);
        Expect.Equal("0 1 2 0 1 2 0 1 2 0 1 2", string.Join(' ', order), "order under round robin");
        Expect.Equal(2, (int)tasks[2].Data!, "Data");
        Expect.Throws<InvalidOperationException>(() => Task.Current.Join());
        Expect.Throws<ArgumentOutOfRangeException>(() => Task.Spawn(() => { }, new TaskOptions { StackBytes = 4096 }));
    }

    private static void ThreadStatics()
    {
        t_number = -1;
        t_text = "main";
        var tasks = new Task[20];
        for (int i = 0; i < tasks.Length; i++)
        {
            int number = i;
            tasks[i] = Task.Spawn(() =>
            {
                Expect.Equal(0, t_number, "a new task's thread static");
                Expect.True(t_text is null, "a new task's thread static reference");
                t_number = number;
                t_text = new string((char)('a' + number), 10);
                for (int round = 0; round < 5; round++)
                {
                    Task.Yield();
                    if (number == 7) GC.Collect();
                    Expect.Equal(number, t_number, "thread static after a switch");
                    Expect.Equal(new string((char)('a' + number), 10), t_text, "reference after a switch");
                }
            });
        }
        Join(tasks);
        Expect.Equal(-1, t_number, "the main task's value");
        Expect.Equal("main", t_text, "the main task's reference");
    }

    private static void Failures()
    {
        Task task = Task.Spawn(static () => throw new InvalidOperationException("on purpose"), new TaskOptions { Name = "failing" });
        Expect.Equal(WaitResult.Woken, task.Join(), "join");
        Expect.True(task.Failure is InvalidOperationException { Message: "on purpose" }, "the exception is kept");
    }

    private static void Storm()
    {
        void Round(int count)
        {
            var tasks = new Task[50];
            int ran = 0;
            for (int i = 0; i < count; i += tasks.Length)
            {
                for (int j = 0; j < tasks.Length; j++)
                {
                    tasks[j] = Task.Spawn(() =>
                    {
                        t_text = ran.ToString();
                        if ((Interlocked.Increment(ref ran) & 3) == 0) Task.Yield();
                    }, new TaskOptions { StackBytes = 64 * 1024 });
                }
                Join(tasks);
            }
            Expect.Equal(count, ran, "tasks that ran");
        }
        void Settle()
        {
            for (int i = 0; i < 3; i++)
            {
                GC.Collect();
                GC.WaitForPendingFinalizers();
                Task.Sleep(5 * Millisecond);
            }
        }
        Round(200);
        Settle();
        int threads = RuntimeStatistics.ThreadCount;
        long free = (long)RuntimeStatistics.FreeBytes + RuntimeStatistics.CommittedBytes;
        Round(5000);
        Settle();
        Expect.Equal(threads, RuntimeStatistics.ThreadCount, "threads after 5,000 tasks");
        long lost = free - ((long)RuntimeStatistics.FreeBytes + RuntimeStatistics.CommittedBytes);
        Expect.True(lost < 256 * 1024, $"{lost} bytes lost by 5,000 tasks");
    }

    private static void AsleepThroughCollections()
    {
        var go = new WaitQueue();
        bool open = false;
        var tasks = new Task[100];
        for (int i = 0; i < tasks.Length; i++)
        {
            int number = i;
            tasks[i] = Task.Spawn(() =>
            {
                int[] mine = new int[100];
                Array.Fill(mine, number);
                go.WaitInterruptible(0, _ => open);
                foreach (int value in mine) Expect.Equal(number, value, "an object that only a sleeping stack refers to");
            }, new TaskOptions { StackBytes = 64 * 1024 });
        }
        for (int round = 0; round < 10; round++)
        {
            Task.Yield();
            for (int i = 0; i < 10000; i++) GC.KeepAlive(new byte[100]);
            GC.Collect();
        }
        open = true;
        go.WakeAll();
        Join(tasks);
    }

    private static void TimersInOrder()
    {
        var fired = new List<(int Number, ulong At)>();
        ulong start = Clock.MonotonicNs;
        var timers = new Timer[20];
        for (int i = 0; i < timers.Length; i++)
        {
            int number = i;
            timers[i] = new Timer(() => fired.Add((number, Clock.MonotonicNs)));
            timers[i].Set(start + (ulong)(10 + (i * 7 % 20) * 2) * Millisecond);
        }
        Expect.True(timers[3].Cancel(), "a set timer can be cancelled");
        Expect.True(!timers[3].Cancel(), "a second time it cannot");
        while (fired.Count < timers.Length - 1 && Clock.MonotonicNs < start + 5000 * Millisecond) Task.Sleep(Millisecond);
        Expect.Equal(timers.Length - 1, fired.Count, "timers that fired");
        for (int i = 0; i < fired.Count; i++)
        {
            ulong deadline = start + (ulong)(10 + (fired[i].Number * 7 % 20) * 2) * Millisecond;
            Expect.True(fired[i].At >= deadline, "a timer fired early");
            Expect.True(i == 0 || fired[i].Number * 7 % 20 > fired[i - 1].Number * 7 % 20, "the order of deadlines");
        }
    }

    private static void Waits()
    {
        var queue = new WaitQueue();
        bool condition = false;
        ulong start = Clock.MonotonicNs;
        Expect.Equal(WaitResult.TimedOut, queue.WaitInterruptible(0, _ => condition, 20 * Millisecond), "timeout");
        Expect.True(Clock.MonotonicNs - start >= 20 * Millisecond, "not early");
        Expect.Equal(WaitResult.TimedOut, queue.WaitBounded(0, _ => condition, 0), "a timeout of zero polls");

        var results = new List<string>();
        Task interruptible = SpawnHere(() => results.Add("i " + queue.WaitInterruptible(0, _ => condition)));
        Task killable = SpawnHere(() => results.Add("k " + queue.WaitKillable(0, _ => condition)));
        Task bounded = SpawnHere(() => results.Add("b " + queue.WaitBounded(0, _ => condition, 10000 * Millisecond)));
        Task.Yield();
        foreach (Task task in new[] { interruptible, killable, bounded }) task.Interrupt();
        Task.Sleep(5 * Millisecond);
        Expect.Equal("i Interrupted", string.Join(',', results), "an interrupt ends interruptible waits only");
        killable.Kill();
        bounded.Kill();
        Task.Sleep(5 * Millisecond);
        Expect.Equal("i Interrupted,k Interrupted", string.Join(',', results), "a kill ends killable waits, not bounded ones");
        condition = true;
        Expect.Equal(1, queue.WakeAll(), "tasks that still waited");
        Join(interruptible, killable, bounded);
        Expect.Equal("b Woken", results[^1], "woken");
        Expect.True(queue.IsEmpty, "nobody waits");
        Expect.Throws<NotSupportedException>(() => queue.WaitBounded(0, _ => throw new NotSupportedException(), 1));
        Expect.True(queue.IsEmpty, "a condition that throws leaves nobody behind");
    }

    private static void PingPong()
    {
        const int Rounds = 10000;
        WaitQueue ping = new(), pong = new();
        int turn = 0;
        Task other = Task.Spawn(() =>
        {
            for (int i = 0; i < Rounds; i++)
            {
                ping.WaitInterruptible(i, static _ => true);
                ping.WaitInterruptible(0, _ => turn % 2 == 1);
                turn++;
                pong.WakeOne();
            }
        });
        for (int i = 0; i < Rounds; i++)
        {
            turn++;
            ping.WakeOne();
            pong.WaitInterruptible(0, _ => turn % 2 == 0);
        }
        Join(other);
        Expect.Equal(2 * Rounds, turn, "turns");
    }

    private static void MutexExcludes()
    {
        var mutex = new Mutex("test mutex");
        int inside = 0, sum = 0;
        var order = new List<int>();
        var tasks = new Task[8];
        for (int i = 0; i < tasks.Length; i++)
        {
            int number = i;
            tasks[i] = Task.Spawn(() =>
            {
                for (int round = 0; round < 100; round++)
                {
                    using Mutex.Guard guard = mutex.Lock();
                    if (round == 0) order.Add(number);
                    Expect.Equal(1, ++inside, "tasks inside");
                    int copy = sum;
                    Task.Yield();
                    sum = copy + 1;
                    inside--;
                }
            });
        }
        Join(tasks);
        Expect.Equal(800, sum, "increments under the mutex");
        using (Mutex.Guard guard = mutex.Lock())
        {
            Expect.Throws<InvalidOperationException>(() => mutex.Lock());
            Task late = Task.Spawn(() =>
            {
                using Mutex.Guard attempt = mutex.TryLock();
                Expect.True(!attempt.IsHeld, "the mutex is taken");
                using Mutex.Guard timed = mutex.TryLockInterruptible(5 * Millisecond, out WaitResult result);
                Expect.True(!timed.IsHeld && result == WaitResult.TimedOut, "a bounded wait for a mutex");
            });
            Join(late);
        }
        Expect.True(!mutex.IsHeld, "the mutex is free");
    }

    private static void Readers()
    {
        var rw = new RwMutex();
        int readers = 0, writers = 0, value = 0;
        var tasks = new List<Task>();
        // Two readers that do not leave before both are in: a lock that did not let them share it would keep them for ever.
        for (int i = 0; i < 2; i++)
        {
            tasks.Add(Task.Spawn(() =>
            {
                using RwMutex.Guard guard = rw.Read();
                Interlocked.Increment(ref readers);
                while (Volatile.Read(ref readers) < 2) Task.Yield();
            }));
        }
        Join([.. tasks]);
        readers = 0;
        tasks.Clear();
        for (int i = 0; i < 6; i++)
        {
            tasks.Add(Task.Spawn(() =>
            {
                for (int round = 0; round < 50; round++)
                {
                    using RwMutex.Guard guard = rw.Read();
                    Interlocked.Increment(ref readers);
                    Expect.Equal(0, writers, "writers beside a reader");
                    Task.Yield();
                    Interlocked.Decrement(ref readers);
                }
            }));
        }
        for (int i = 0; i < 2; i++)
        {
            tasks.Add(Task.Spawn(() =>
            {
                for (int round = 0; round < 50; round++)
                {
                    using RwMutex.Guard guard = rw.Write();
                    Expect.Equal(1, ++writers, "writers");
                    Expect.Equal(0, readers, "readers beside a writer");
                    int copy = value;
                    Task.Yield();
                    value = copy + 1;
                    writers--;
                }
            }));
        }
        Join([.. tasks]);
        Expect.Equal(100, value, "writes");
    }

    private static void GracePeriods()
    {
        bool ran = false;
        using (Rcu.Guard guard = Rcu.Read())
        {
            Rcu.Defer(() => ran = true);
            Expect.Throws<InvalidOperationException>(Rcu.Synchronize);
            Expect.True(!ran, "a deferred action in a read-side section");
        }
        Rcu.Synchronize();
        for (int i = 0; i < 100 && !ran; i++) Task.Sleep(Millisecond);
        Expect.True(ran, "the deferred action ran");
    }

    private static void BlockingUnderSpinLock()
    {
        var spin = new SpinLock();
        var mutex = new Mutex();
        using (SpinLock.Guard guard = spin.Lock())
        {
            Expect.Throws<InvalidOperationException>(() => mutex.Lock());
            Expect.Throws<InvalidOperationException>(() => Task.Sleep(1));
            Expect.Throws<InvalidOperationException>(Task.Yield);
        }
        using (Mutex.Guard guard = mutex.Lock()) Task.Yield();
        Expect.True(!spin.IsHeld, "the lock is free");
    }

    /// <summary>Lies in a chosen way once, and otherwise does what the default does.</summary>
    private sealed class Liar(string lie, Task victim) : IScheduler, ILocalRunQueue
    {
        private readonly FifoScheduler _honest = new();
        private bool _told;

        private ILocalRunQueue Queue => _honest.GetLocalRunQueue(0);

        public Task? Current => Queue.Current;

        private bool Tell(string when)
        {
            if (_told || !lie.StartsWith(when, StringComparison.Ordinal)) return false;
            return _told = true;
        }

        public int Enqueue(Task task, EnqueueReason reason)
        {
            if (Tell("enqueue-throws")) throw new InvalidOperationException("hostile");
            if (Tell("enqueue-blocks")) Task.Sleep(1000000);
            return _honest.Enqueue(task, reason);
        }

        public ILocalRunQueue GetLocalRunQueue(int cpu) => Tell("queue-null") ? null! : this;

        public bool UpdateCurrent(UpdateReason reason)
        {
            if (Tell("update-throws")) throw new InvalidOperationException("hostile");
            return Queue.UpdateCurrent(reason);
        }

        public Task? PickNext()
        {
            if (Tell("pick-throws")) throw new InvalidOperationException("hostile");
            if (Tell("pick-yields")) Task.Yield();
            if (Tell("pick-victim")) return victim;
            return Queue.PickNext();
        }

        public Task? DequeueCurrent()
        {
            if (Tell("dequeue-throws")) throw new InvalidOperationException("hostile");
            return Queue.DequeueCurrent();
        }
    }

    private static void LyingSchedulers()
    {
        Task ended = Task.Spawn(static () => { });
        Join(ended);
        var queue = new WaitQueue();
        bool open = false;
        Task waiting = Task.Spawn(() => queue.WaitInterruptible(0, _ => open), new TaskOptions { Name = "victim" });
        Task.Sleep(Millisecond);
        (string Lie, Task Victim)[] lies =
        [
            ("pick-victim", ended), ("pick-victim", waiting), ("pick-throws", ended), ("pick-yields", ended), ("enqueue-throws", ended), ("enqueue-blocks", ended),
            ("update-throws", ended), ("dequeue-throws", ended), ("queue-null", ended),
        ];
        foreach ((string lie, Task victim) in lies)
        {
            long before = Scheduler.PolicyViolations;
            Scheduler.Inject(new Liar(lie, victim));
            int ran = 0;
            var tasks = new Task[4];
            for (int i = 0; i < tasks.Length; i++)
            {
                tasks[i] = Task.Spawn(() =>
                {
                    for (int round = 0; round < 3; round++)
                    {
                        Task.Yield();
                        Task.Sleep(100000);
                    }
                    Interlocked.Increment(ref ran);
                });
            }
            Join(tasks);
            Expect.Equal(4, ran, $"tasks that ran to their end under '{lie}'");
            Expect.Equal(before + 1, Scheduler.PolicyViolations, $"violations counted for '{lie}'");
            Expect.Equal(TaskState.Waiting, waiting.State, "the waiting task was left alone");
        }
        open = true;
        queue.WakeAll();
        Join(waiting);
    }
}
