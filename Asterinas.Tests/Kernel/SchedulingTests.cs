using System;
using System.Threading;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Smp;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Tasks;
using Asterinas.Ostd.Timers;
using Asterinas.Ostd.User;
using Asterinas.Services.Scheduling;
using Task = Asterinas.Ostd.Tasks.Task;

namespace Asterinas.Tests.Kernel;

/// <summary>The policy of Asterinas.Services on real CPUs, with programs in user mode. Judged by the policy's own accounts in guest time, never by what the host lets through.</summary>
internal static class SchedulingTests
{
    private const ulong Millisecond = 1000000;

    public static void Register()
    {
        Program.Add("Scheduling_shares_follow_nice_values_on_one_cpu", Shares);
        Program.Add("Scheduling_real_time_preempts_user_mode_at_the_next_interrupt", RealTimePreempts);
        Program.Add("Scheduling_busy_tasks_use_all_cpus", BusyCpus);
        Program.Add("Scheduling_affinity_moves_a_task_in_user_mode", AffinityInUserMode);
    }

    /// <summary>A program in an endless loop in ring 3, until it is stopped.</summary>
    private sealed class Busy
    {
        private int _stop;

        public Busy(string name, SchedulingParameters? parameters = null, CpuSet? affinity = null)
        {
            Attributes = new SchedulingAttributes(parameters);
            Task = Task.Spawn(() =>
            {
                using var program = new UserProgram([0xFF, 0xC0, 0xEB, 0xFC]);      // loop: inc eax; jmp loop
                while (Volatile.Read(ref _stop) == 0)
                {
                    Expect.Equal(ReturnReason.KernelEvent, UserMode.Execute(program.Context, program.Space), "why the loop was left");
                    Task.YieldIfNeeded();
                }
            }, new TaskOptions { Name = name, SchedulerData = Attributes, Affinity = affinity });
        }

        public Task Task { get; }

        public SchedulingAttributes Attributes { get; }

        public ulong RunNs => Attributes.Statistics.RunNs;

        public void Stop()
        {
            Volatile.Write(ref _stop, 1);
            Task.Interrupt();
        }

        public static void End(params ReadOnlySpan<Busy> all)
        {
            foreach (Busy busy in all) busy.Stop();
            foreach (Busy busy in all) SmpTests.Join(busy.Task);
        }
    }

    private static CpuSet LastCpu => new(1UL << (CpuSet.Online.Count - 1));

    /// <summary>Relative weight: each nice step is 25 % (sched(7)).</summary>
    private static double Weight(int nice)
    {
        double weight = 1;
        for (; nice > 0; nice--) weight /= 1.25;
        for (; nice < 0; nice++) weight *= 1.25;
        return weight;
    }

    private static void Shares()
    {
        int[] nices = [0, 5, -3];
        double sum = 0;
        foreach (int nice in nices) sum += Weight(nice);
        var tasks = new Busy[nices.Length];
        for (int i = 0; i < tasks.Length; i++) tasks[i] = new Busy($"nice {nices[i]}", new SchedulingParameters { Nice = nices[i] }, LastCpu);
        Task.Sleep(100 * Millisecond);
        var start = new ulong[tasks.Length];
        for (int i = 0; i < tasks.Length; i++) start[i] = tasks[i].RunNs;
        Task.Sleep(2000 * Millisecond);
        var had = new double[tasks.Length];
        double total = 0;
        for (int i = 0; i < tasks.Length; i++) total += had[i] = tasks[i].RunNs - start[i];
        Busy.End(tasks);
        for (int i = 0; i < tasks.Length; i++)
        {
            double share = had[i] / total, expected = Weight(nices[i]) / sum;
            Log.Info($"nice {nices[i]}: {share:P2} of the CPU, {expected:P2} expected");
            Expect.True(Math.Abs(share - expected) < 0.05 * expected, $"nice {nices[i]} had {share:P2}, not {expected:P2}");
        }
        Expect.True(total > 1.8e9, $"the CPU was busy for {total / 1e9} s of 2");
    }

    // The fair task has its CPU alone, so there are no ticks: without the wake-up's interrupt the real-time task would wait for ever. On one CPU its own timer is the interrupt.
    private static void RealTimePreempts()
    {
        const int Rounds = 50;
        bool isAlone = CpuSet.Online.Count == 1;
        var fair = new Busy("fair", null, LastCpu);
        var queue = new WaitQueue();
        int ticket = 0, served = 0;
        ulong wokenAt = 0, interrupts = 0;
        var latencies = new ulong[Rounds];
        Task realTime = Task.Spawn(() =>
        {
            for (int i = 0; i < Rounds; i++)
            {
                ulong before = RuntimeStatistics.InterruptCount;
                if (isAlone)
                {
                    wokenAt = Clock.MonotonicNs + 5 * Millisecond;
                    Task.Sleep(5 * Millisecond);
                }
                else
                {
                    queue.WaitBounded(i, number => Volatile.Read(ref ticket) > number, 10000 * Millisecond);
                }
                latencies[i] = Clock.MonotonicNs - Volatile.Read(ref wokenAt);
                interrupts += RuntimeStatistics.InterruptCount - before;
                Volatile.Write(ref served, i + 1);
            }
        }, new TaskOptions { Name = "real time", Affinity = LastCpu, SchedulerData = new SchedulingAttributes(new SchedulingParameters { Policy = SchedulingPolicy.Fifo, Priority = 50 }) });
        if (!isAlone)
        {
            // The waker must not be on that CPU.
            LinuxScheduler.SetAffinity(Task.Current, new CpuSet(CpuSet.Online.Bits & ~LastCpu.Bits));
            for (int i = 0; i < Rounds; i++)
            {
                Task.Sleep(4 * Millisecond);
                Volatile.Write(ref wokenAt, Clock.MonotonicNs);
                Volatile.Write(ref ticket, i + 1);
                queue.WakeAll();
                ulong end = Clock.MonotonicNs + 5000 * Millisecond;
                while (Volatile.Read(ref served) <= i && Clock.MonotonicNs < end) Task.Yield();
                Expect.Equal(i + 1, Volatile.Read(ref served), "wake-ups that were served");
            }
            LinuxScheduler.SetAffinity(Task.Current, null);
        }
        SmpTests.Join(realTime);
        ulong run = fair.RunNs;
        Busy.End(fair);
        Array.Sort(latencies);
        Log.Info($"wake-up to running, over a program in user mode: median {latencies[Rounds / 2] / 1000} us, max {latencies[^1] / 1000} us; {interrupts} interrupts for {Rounds} wake-ups");
        Expect.True(run > 50 * Millisecond, "the fair task ran meanwhile");
        Expect.True(latencies[Rounds / 2] < 20 * Millisecond, $"median latency {latencies[Rounds / 2]} ns");
        // One interrupt does it; one more may be the wait's own timer.
        Expect.True(interrupts <= 2 * Rounds, $"{interrupts} interrupts");
    }

    private static void BusyCpus()
    {
        LinuxScheduler scheduler = LinuxScheduler.Active!;
        int cpus = CpuSet.Online.Count;
        var tasks = new Busy[cpus];
        for (int i = 0; i < cpus; i++) tasks[i] = new Busy($"busy {i}");
        Task.Sleep(200 * Millisecond);
        ulong start = Clock.MonotonicNs;
        var busyBefore = new ulong[cpus];
        var ranBefore = new ulong[cpus];
        for (int i = 0; i < cpus; i++)
        {
            busyBefore[i] = scheduler.StatisticsOf(i).BusyNs;
            ranBefore[i] = tasks[i].RunNs;
        }
        Task.Sleep(1000 * Millisecond);
        double passed = Clock.MonotonicNs - start;
        var busy = new double[cpus];
        var ran = new double[cpus];
        for (int i = 0; i < cpus; i++)
        {
            busy[i] = (scheduler.StatisticsOf(i).BusyNs - busyBefore[i]) / passed;
            ran[i] = (tasks[i].RunNs - ranBefore[i]) / passed;
        }
        Busy.End(tasks);
        for (int i = 0; i < cpus; i++)
        {
            Log.Info($"CPU {i}: {busy[i]:P1} busy; task {i}: {ran[i]:P1} of a CPU");
            Expect.True(busy[i] > 0.95, $"CPU {i} was busy for {busy[i]:P1}");
            Expect.True(ran[i] > 0.85, $"task {i} ran for {ran[i]:P1}");
        }
    }

    private static void AffinityInUserMode()
    {
        int cpus = CpuSet.Online.Count;
        var task = new Busy("wanderer");
        for (int round = 0; round < 3 * cpus; round++)
        {
            int target = round % cpus;
            LinuxScheduler.SetAffinity(task.Task, new CpuSet(1UL << target));
            ulong before = task.RunNs, end = Clock.MonotonicNs + 5000 * Millisecond;
            while ((task.Attributes.Statistics.Cpu != target || task.RunNs <= before + Millisecond) && Clock.MonotonicNs < end) Task.Sleep(100000);
            Expect.Equal(target, task.Attributes.Statistics.Cpu, "the CPU after a change of the affinity");
        }
        Busy.End(task);
    }
}
