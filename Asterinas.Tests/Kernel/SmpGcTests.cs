using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using System.Threading;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Smp;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Tasks;
using Asterinas.Ostd.Timers;
using Asterinas.Ostd.User;
using Mutex = Asterinas.Ostd.Sync.Mutex;
using Reg = Asterinas.Ostd.User.Register;
using SpinLock = Asterinas.Ostd.Sync.SpinLock;
using Task = Asterinas.Ostd.Tasks.Task;

namespace Asterinas.Tests.Kernel;

/// <summary>Collections while every CPU is busy in a way of its own, and what they cost with many tasks asleep.</summary>
internal static class SmpGcTests
{
    private const ulong Millisecond = 1000000;
    private const int Collections = 1000;

    public static void Register()
    {
        Program.Add("Gc_stops_all_cpus_1000_times_whatever_they_do", StopsEverything);
        Program.Add("Gc_pauses_with_many_tasks_asleep", PausesWithSleepers);
    }

    private static int s_stop;

    private static bool IsOver => Volatile.Read(ref s_stop) != 0;

    /// <summary>A loop that neither calls nor allocates: only an interrupt stops it.</summary>
    [MethodImpl(MethodImplOptions.NoInlining)]
    private static ulong Spin(ref int stop, int[] values)
    {
        ulong x = 88172645463325252, sum = 0;
        while (Volatile.Read(ref stop) == 0)
        {
            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            sum += x + (ulong)values[(int)(x & 1023)];
        }
        return sum;
    }

    private sealed class Tree(int depth)
    {
        public readonly Tree? Left = depth > 0 ? new Tree(depth - 1) : null;
        public readonly Tree? Right = depth > 0 ? new Tree(depth - 1) : null;

        public int Count => 1 + (Left?.Count ?? 0) + (Right?.Count ?? 0);
    }

    private static void StopsEverything()
    {
        s_stop = 0;
        int cpus = CpuSet.Online.Count;
        var tasks = new List<Task>();
        var spin = new SpinLock();
        var mutex = new Mutex();
        var queue = new WaitQueue();
        long inside = 0, locked = 0, started = 0, trees = 0, handovers = 0, userRounds = 0;
        void Add(string name, Action entry) => tasks.Add(Task.Spawn(entry, new TaskOptions { Name = name, StackBytes = 128 * 1024 }));

        // A loop without calls would keep its CPU for good: it ends with the collection that has to stop it.
        Add("call-free loop", () =>
        {
            int[] values = new int[1024];
            while (!IsOver)
            {
                for (int i = 0; i < 100000; i++) values[i & 1023] += i;
                GC.KeepAlive(Spin(ref s_phase, values));
                Task.Yield();
            }
        });
        for (int i = 0; i < 2; i++)
        {
            Add("spin lock", () =>
            {
                while (!IsOver)
                {
                    using (SpinLock.Guard guard = spin.Lock())
                    {
                        Expect.Equal(1L, ++inside, "tasks under the spin lock");
                        GC.KeepAlive(new byte[100]);
                        inside--;
                    }
                    Task.YieldIfNeeded();
                }
            });
            Add("mutex", () =>
            {
                while (!IsOver)
                {
                    using Mutex.Guard guard = mutex.Lock();
                    locked++;
                    GC.KeepAlive(new byte[1000]);
                    if (locked % 7 == 0) Task.Yield();
                }
            });
            Add("monitor", () =>
            {
                while (!IsOver)
                {
                    lock (queue)
                    {
                        handovers++;
                        if (handovers % 16 == 0) Task.Yield();
                    }
                    Task.YieldIfNeeded();
                }
            });
            Add("trees", () =>
            {
                while (!IsOver)
                {
                    Expect.Equal(511, new Tree(8).Count, "nodes of a tree");
                    Interlocked.Increment(ref trees);
                    Task.YieldIfNeeded();
                }
            });
            Add("collects too", () =>
            {
                while (!IsOver)
                {
                    GC.Collect(0);
                    Task.Sleep(2 * Millisecond);
                }
            });
            Add("user mode", () =>
            {
                using var program = new UserProgram([0xFF, 0xC0, 0xEB, 0xFC]);      // loop: inc eax; jmp loop
                while (!IsOver)
                {
                    ReturnReason reason = UserMode.Execute(program.Context, program.Space);
                    Expect.Equal(ReturnReason.KernelEvent, reason, "why a loop in user mode ended");
                    Interlocked.Increment(ref userRounds);
                    Task.YieldIfNeeded();
                }
            });
        }
        Add("starts and ends tasks", () =>
        {
            while (!IsOver)
            {
                Task child = Task.Spawn(() => GC.KeepAlive(new Tree(3)), new TaskOptions { StackBytes = 64 * 1024 });
                child.Join();
                started++;
            }
        });
        for (int i = 0; i < 10; i++) Add("asleep", () => queue.WaitInterruptible(0, static _ => IsOver));

        // On one CPU a collection comes when all others have had their turn: fewer will do. Those of the other tasks count too.
        long firstStop = RuntimeStatistics.SuspensionCount, wanted = cpus == 1 ? Collections / 5 : Collections;
        var pauses = new List<ulong>();
        while (RuntimeStatistics.SuspensionCount - firstStop < wanted)
        {
            Interlocked.Exchange(ref s_phase, 0);
            ulong start = Clock.MonotonicNs;
            GC.Collect(0, GCCollectionMode.Forced, blocking: true);
            pauses.Add(Clock.MonotonicNs - start);
            Interlocked.Exchange(ref s_phase, 1);
            Task.Yield();
        }
        Volatile.Write(ref s_stop, 1);
        queue.WakeAll();
        foreach (Task task in tasks) task.Interrupt();
        SmpTests.Join([.. tasks]);
        long stops = Math.Min(RuntimeStatistics.SuspensionCount - firstStop, 1024), last = RuntimeStatistics.SuspensionCount;
        var stopTimes = new ulong[stops];
        for (int i = 0; i < stopTimes.Length; i++) stopTimes[i] = RuntimeStatistics.SuspensionTimeNs(last - stops + i);
        Print($"{stops} forced collections on {cpus} CPUs, {pauses.Count} of them timed", [.. pauses]);
        Print("from the request until all threads had stopped", stopTimes);
        Log.Info($"meanwhile: {locked} under the mutex, {handovers} under the monitor, {trees} trees, {started} tasks, {userRounds} returns from user mode");
        Expect.True(locked > 0 && trees > 0 && started > 0 && userRounds > 0 && handovers > 0, "every kind of work went on");
    }

    private static int s_phase;

    private static void PausesWithSleepers()
    {
        foreach (int count in (int[])[10, 100, 1000, 4000])
        {
            var queue = new WaitQueue();
            int go = 0;
            var tasks = new Task[count];
            for (int i = 0; i < count; i++)
            {
                tasks[i] = Task.Spawn(() => queue.WaitInterruptible(0, _ => Volatile.Read(ref go) != 0), new TaskOptions { Name = "asleep", StackBytes = 32 * 1024 });
            }
            Task.Sleep(20 * Millisecond);
            var pauses = new ulong[20];
            for (int i = 0; i < pauses.Length; i++)
            {
                ulong start = Clock.MonotonicNs;
                GC.Collect(0, GCCollectionMode.Forced, blocking: true);
                pauses[i] = Clock.MonotonicNs - start;
            }
            Volatile.Write(ref go, 1);
            queue.WakeAll();
            SmpTests.Join(tasks);
            Print($"collections with {count} tasks asleep", pauses);
        }
    }

    private static void Print(string what, ulong[] times)
    {
        Array.Sort(times);
        Log.Info($"{what}: median {times[times.Length / 2] / 1000} us, p99 {times[times.Length * 99 / 100] / 1000} us, max {times[^1] / 1000} us");
    }
}
