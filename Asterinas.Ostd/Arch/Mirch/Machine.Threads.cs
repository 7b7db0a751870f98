using System;
using System.Collections.Concurrent;
using System.Threading;
using Asterinas.Ostd.Tasks;

namespace Asterinas.Ostd.Arch;

/// <summary>
/// Simulated threads: each is a host thread, and exactly one a simulated CPU runs. A switch hands the CPU over by the next thread's semaphore and parks the current one.
/// </summary>
// SAFETY: the entry function is called once, on a thread of its own, with the argument that came with it.
internal static unsafe partial class Machine
{
    private const int MinHostStack = 256 * 1024;
    private const int BootThreadPatienceMs = 30000, LeavingPatienceMs = 10000;

    private static readonly ConcurrentDictionary<nint, SimulatedThread> s_threads = new();
    private static long s_lastThread;

    [ThreadStatic]
    private static SimulatedThread? t_self;

    public static nint ThreadCreate(delegate* unmanaged<nint, void> entry, nint argument, nuint stackBytes)
    {
        if (FailNextThread)
        {
            FailNextThread = false;
            return 0;
        }
        SimulatedThread thread = NewThread(Self().Cpu, false);
        Interlocked.Increment(ref thread.Cpu.Cpus.LiveThreads);
        new Thread(() =>
        {
            t_self = thread;
            thread.Turn.Wait();
            entry(argument);
            End(thread);
        }, Math.Max(MinHostStack, (int)stackBytes))
        { IsBackground = true, Name = $"simulated {thread.Handle}" }.Start();
        return thread.Handle;
    }

    /// <summary>Lets the next <see cref="ThreadCreate"/> answer that there is no memory.</summary>
    public static bool FailNextThread { get; set; }

    public static nint ThreadCurrent() => Self().Handle;

    /// <summary>Whether this host thread is one of the machine's: the boot thread or one that it created.</summary>
    public static bool IsOwnThread => t_self is { IsForeign: false };

    /// <summary>Makes a host thread that is not the machine's stand for a CPU: it sees that CPU's number and values. For tests that race.</summary>
    public static void StandFor(int cpu)
    {
        if (t_self is { IsForeign: false }) throw new InvalidOperationException("the machine's own threads have their CPUs");
        if (t_self is { } old) s_threads.TryRemove(old.Handle, out _);
        t_self = NewThread(s_cpus.All[cpu], true);
    }

    public static void ThreadSwitch(nint next)
    {
        SchedulePoint("switch");
        SimulatedThread self = OnCpu(), to = Find(next);
        if (to == self) return;
        SimulatedCpu cpu = self.Cpu;
        Volatile.Write(ref self.IsOnCpu, 0);
        HandOver(cpu, to);
        if (self != cpu.Cpus.Boot) self.Turn.Wait();
        else if (!self.Turn.Wait(BootThreadPatienceMs)) throw new TimeoutException("the simulated machine never came back to its boot thread");
        else if (cpu.Cpus.IsDeadlocked) throw new TimeoutException("deadlock: every task waits, no timer is armed and no device interrupts");
    }

    /// <summary>Whether nothing of the runtime keeps a thread waiting any more.</summary>
    public static int ThreadIsWoken(nint thread)
    {
        SimulatedThread known = Find(thread);
        lock (known.Cpu.Cpus) return known.IsWaiting || known.Cpu.Ready.Contains(known) ? 0 : 1;
    }

    public static PolicyWatch.Mark* ThreadPolicyMark(nint thread) => Find(thread).PolicyMark;

    /// <summary>The simulated machine has no watchdog: a test that hangs is ended by its runner.</summary>
    public static void WatchPolicy(int kind, byte* name, int length)
    {
    }

    public static nint ThreadIdle() => Self().Cpu.Idle;

    public static void ThreadSetIdle(nint thread) => Self().Cpu.Idle = thread;

    public static void SetThreadTag(nint thread, nint tag) => Find(thread).Tag = tag;

    public static nint GetThreadTag(nint thread) => Find(thread).Tag;

    public static int ThreadCount() => Volatile.Read(ref s_cpus.LiveThreads);

    public static nint ThreadTakeReady()
    {
        SchedulePoint("take ready");
        SimulatedCpu cpu = Self().Cpu;
        lock (cpu.Cpus) return TakeReady(cpu)?.Handle ?? 0;
    }

    /// <summary>Blocks the current thread as a primitive of the .NET runtime does on hardware: the scheduler is not asked, the CPU goes to its idle thread.</summary>
    public static void BlockUnderRuntime()
    {
        SimulatedThread self = OnCpu();
        lock (self.Cpu.Cpus) self.IsWaiting = true;
        while (true)
        {
            lock (self.Cpu.Cpus)
            {
                // One that was woken before it had left its CPU takes itself back; others are left to the scheduler.
                if (self.Cpu.Ready.Remove(self) || !self.IsWaiting) return;
            }
            ThreadSwitch(self.Cpu.Idle);
        }
    }

    /// <summary>Wakes a thread that blocked under the runtime. False when it did not.</summary>
    public static bool WakeUnderRuntime(nint thread)
    {
        SimulatedThread waiter = Find(thread);
        lock (waiter.Cpu.Cpus)
        {
            if (!waiter.IsWaiting) return false;
            waiter.IsWaiting = false;
            waiter.Cpu.Ready.AddLast(waiter);
            waiter.Cpu.Note(SimulatedCpu.ThreadReady);
            return true;
        }
    }

    /// <summary>The host thread becomes the boot thread of a fresh machine. It is the test's own: it does not wait for ever, so a deadlock fails the test.</summary>
    private static void AdoptBootThread(SimulatedCpu cpu)
    {
        if (t_self is { } old) s_threads.TryRemove(old.Handle, out _);
        cpu.Cpus.LiveThreads = 1;
        SimulatedThread boot = t_self = NewThread(cpu, false);
        cpu.Cpus.Boot = boot;
        boot.IsOnCpu = 1;
        cpu.Current = boot;
    }

    /// <summary>The thread that runs this code; a host thread of others gets a number when it first asks.</summary>
    private static SimulatedThread Self() => t_self ??= NewThread(s_cpus.All[0], true);

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
        SimulatedThread next = Find(cpu.Idle);
        s_threads.TryRemove(self.Handle, out _);
        Interlocked.Decrement(ref cpu.Cpus.LiveThreads);
        Volatile.Write(ref self.IsOnCpu, 0);
        HandOver(cpu, next);
    }

    private static void HandOver(SimulatedCpu cpu, SimulatedThread next)
    {
        if (next.IsForeign) throw new InvalidOperationException($"switch to thread {next.Handle}, which has no CPU");
        // One that is about to leave another CPU is waited for; one that stays there is a defect of the scheduler.
        for (long start = Environment.TickCount64; Interlocked.CompareExchange(ref next.IsOnCpu, 1, 0) != 0; Pause())
        {
            if (Environment.TickCount64 - start > LeavingPatienceMs) throw new InvalidOperationException($"switch to thread {next.Handle}, which is on a CPU");
        }
        next.Cpu = cpu;
        Volatile.Write(ref cpu.Current, next);
        next.Turn.Release();
    }

    private static SimulatedThread? TakeReady(SimulatedCpu cpu)
    {
        SimulatedThread? found = cpu.Ready.First?.Value;
        if (found is not null) cpu.Ready.RemoveFirst();
        if (cpu.Ready.Count == 0) cpu.Take(SimulatedCpu.ThreadReady);
        return found;
    }

    private static SimulatedThread NewThread(SimulatedCpu cpu, bool isForeign)
    {
        var thread = new SimulatedThread((nint)Interlocked.Increment(ref s_lastThread), cpu, isForeign);
        s_threads[thread.Handle] = thread;
        return thread;
    }

    private static SimulatedThread Find(nint handle) =>
        s_threads.TryGetValue(handle, out SimulatedThread? thread) ? thread : throw new InvalidOperationException($"there is no thread {handle}");
}
