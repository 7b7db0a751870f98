using System;
using System.Collections.Concurrent;
using System.Threading;

namespace Asterinas.Ostd.Arch;

/// <summary>
/// Simulated threads: each is a host thread, and exactly one a simulated CPU runs. A switch hands the CPU over by the next thread's semaphore and parks the current one.
/// </summary>
// SAFETY: the entry function is called once, on a thread of its own, with the argument that came with it.
internal static unsafe partial class Machine
{
    private const int MinHostStack = 256 * 1024;

    private static readonly ConcurrentDictionary<nint, SimulatedThread> s_threads = new();
    private static long s_lastThread;
    private static int s_liveThreads;

    [ThreadStatic]
    private static SimulatedThread? t_self;

    /// <summary>Starts the machine: the boot thread runs <paramref name="main"/> on CPU 0. Returns at once. The boot thread must not end: park it.</summary>
    public static void StartBootThread(Action main)
    {
        SimulatedCpu cpu = s_cpus[0];
        if (cpu.Current is not null) throw new InvalidOperationException("the machine runs already");
        SimulatedThread boot = NewThread(cpu, false);
        Interlocked.Increment(ref s_liveThreads);
        boot.IsOnCpu = 1;
        cpu.Current = boot;
        StartHostThread(boot, MinHostStack * 4, main, "boot");
        boot.Turn.Release();
    }

    public static nint ThreadCreate(delegate* unmanaged<nint, void> entry, nint argument, nuint stackBytes)
    {
        if (FailNextThread)
        {
            FailNextThread = false;
            return 0;
        }
        SimulatedThread thread = NewThread(Self().Cpu, false);
        Interlocked.Increment(ref s_liveThreads);
        StartHostThread(thread, Math.Max(MinHostStack, (int)stackBytes), () =>
        {
            entry(argument);
            End(thread);
        }, "simulated");
        return thread.Handle;
    }

    /// <summary>Lets the next <see cref="ThreadCreate"/> answer that there is no memory.</summary>
    public static bool FailNextThread { get; set; }

    public static nint ThreadCurrent() => Self().Handle;

    public static void ThreadSwitch(nint next)
    {
        SchedulePoint("switch");
        SimulatedThread self = OnCpu(), to = Find(next);
        if (to == self) return;
        SimulatedCpu cpu = self.Cpu;
        Volatile.Write(ref self.IsOnCpu, 0);
        HandOver(cpu, to);
        self.Turn.Wait();
    }

    public static void ThreadSetSuccessor(nint next) => Self().Successor = next;

    public static nint ThreadIdle() => Self().Cpu.Idle;

    public static void ThreadSetIdle(nint thread) => Self().Cpu.Idle = thread;

    public static void SetThreadTag(nint thread, nint tag) => Find(thread).Tag = tag;

    public static nint GetThreadTag(nint thread) => Find(thread).Tag;

    public static int ThreadCount() => Volatile.Read(ref s_liveThreads);

    public static nint ThreadTakeReady()
    {
        SchedulePoint("take ready");
        SimulatedCpu cpu = Self().Cpu;
        lock (Interrupts) return TakeReady(cpu, true)?.Handle ?? 0;
    }

    /// <summary>Blocks the current thread as a primitive of the .NET runtime does on hardware: the scheduler is not asked, the CPU goes to its idle thread.</summary>
    public static void BlockUnderRuntime()
    {
        SimulatedThread self = OnCpu();
        lock (Interrupts) self.IsWaiting = true;
        while (true)
        {
            SimulatedThread? next;
            lock (Interrupts)
            {
                // Threads of the scheduler (they have a tag) are left to the scheduler.
                if (!self.IsWaiting && !self.Cpu.Ready.Contains(self)) return;
                next = TakeReady(self.Cpu, false);
            }
            if (next == self) return;
            ThreadSwitch(next?.Handle ?? self.Cpu.Idle);
        }
    }

    /// <summary>Wakes a thread that blocked under the runtime. False when it did not.</summary>
    public static bool WakeUnderRuntime(nint thread)
    {
        SimulatedThread waiter = Find(thread);
        lock (Interrupts)
        {
            if (!waiter.IsWaiting) return false;
            waiter.IsWaiting = false;
            waiter.Cpu.Ready.AddLast(waiter);
            waiter.Cpu.Note(SimulatedCpu.ThreadReady);
            Monitor.PulseAll(Interrupts);
            return true;
        }
    }

    /// <summary>The thread that runs this code; a host thread of others gets a number when it first asks.</summary>
    private static SimulatedThread Self() => t_self ??= NewThread(s_cpus[0], true);

    /// <summary>The current thread, which must have a CPU.</summary>
    private static SimulatedThread OnCpu()
    {
        SimulatedThread self = Self();
        if (self.IsForeign || self.Cpu.Current != self) throw new InvalidOperationException("this thread has no CPU of the simulated machine");
        return self;
    }

    private static void End(SimulatedThread self)
    {
        SimulatedCpu cpu = self.Cpu;
        SimulatedThread next;
        lock (Interrupts) next = self.Successor != 0 ? Find(self.Successor) : TakeReady(cpu, false) ?? Find(cpu.Idle);
        s_threads.TryRemove(self.Handle, out _);
        Interlocked.Decrement(ref s_liveThreads);
        Volatile.Write(ref self.IsOnCpu, 0);
        HandOver(cpu, next);
    }

    private static void HandOver(SimulatedCpu cpu, SimulatedThread next)
    {
        if (next.IsForeign || Interlocked.Exchange(ref next.IsOnCpu, 1) != 0) throw new InvalidOperationException($"switch to thread {next.Handle}, which is on a CPU");
        next.Cpu = cpu;
        Volatile.Write(ref cpu.Current, next);
        next.Turn.Release();
    }

    private static SimulatedThread? TakeReady(SimulatedCpu cpu, bool tagged)
    {
        SimulatedThread? found = null;
        for (var at = cpu.Ready.First; at is not null && found is null; at = at.Next)
        {
            if (!tagged && at.Value.Tag != 0) continue;
            found = at.Value;
            cpu.Ready.Remove(at);
            break;
        }
        if (cpu.Ready.Count == 0) cpu.Take(SimulatedCpu.ThreadReady);
        return found;
    }

    private static SimulatedThread NewThread(SimulatedCpu cpu, bool isForeign)
    {
        var thread = new SimulatedThread((nint)Interlocked.Increment(ref s_lastThread), cpu, isForeign);
        s_threads[thread.Handle] = thread;
        return thread;
    }

    private static void StartHostThread(SimulatedThread thread, int stackBytes, Action main, string name)
    {
        var host = new Thread(() =>
        {
            t_self = thread;
            thread.Turn.Wait();
            main();
        }, stackBytes)
        { IsBackground = true, Name = $"{name} {thread.Handle}" };
        host.Start();
    }

    private static SimulatedThread Find(nint handle) =>
        s_threads.TryGetValue(handle, out SimulatedThread? thread) ? thread : throw new InvalidOperationException($"there is no thread {handle}");
}
