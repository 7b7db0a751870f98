using System;
using System.Threading;

namespace Asterinas.Ostd.Arch;

/// <summary>The simulated CPUs. One that has nothing to do halts; when all have halted, time jumps to the next armed timer.</summary>
internal static partial class Machine
{
    private const int DevicePatienceMs = 1000, BusyPatienceMs = 20;

    private static SimulatedCpus s_cpus = new(1);

    /// <summary>
    /// A fresh set of CPUs and a fresh clock; the calling host thread becomes the boot thread, on CPU 0. Threads of an earlier set stay parked for good.
    /// </summary>
    public static void StartCpus(int count)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(count, 1);
        OnSchedulePoint = null;
        s_cpus = new SimulatedCpus(count);
        ResetInterruptRouting();
        AdoptBootThread(s_cpus.All[0]);
    }

    /// <summary>Starts another CPU with its idle thread.</summary>
    public static void CpuStart(int cpu, nint idleThread)
    {
        SimulatedCpu started = s_cpus.All[cpu];
        started.Idle = idleThread;
        HandOver(started, Find(idleThread));
    }

    /// <summary>The interrupt by which a CPU is asked to look at its run queue.</summary>
    public static void KickCpu(int cpu)
    {
        if ((uint)cpu < (uint)s_cpus.All.Length) Interrupt(s_cpus.All[cpu], SimulatedCpu.Reschedule);
    }

    /// <summary>
    /// Called at every point where another CPU could come in between, with the point's name: the calls of the seam that schedule or look at time and events.
    /// For tests that explore interleavings.
    /// </summary>
    public static Action<string>? OnSchedulePoint { get; set; }

    public static int CpuCount() => s_cpus.All.Length;

    /// <summary>A CPU without features.</summary>
    // SAFETY: the caller's buffer holds four words.
    public static unsafe void CpuidInstruction(uint leaf, uint subleaf, uint* four) => four[0] = four[1] = four[2] = four[3] = 0;

    public static int CpuId()
    {
        SchedulePoint("cpu");
        return Self().Cpu.Number;
    }

    /// <summary>
    /// Sleeps until something happened on this CPU. When every CPU sleeps and a timer is armed, simulated time advances to it; without one only a
    /// device of a test, which another host thread drives, can end the sleep: it has a second.
    /// </summary>
    public static void Halt()
    {
        SchedulePoint("halt");
        SimulatedCpu cpu = OnCpu().Cpu;
        lock (cpu.Cpus)
        {
            cpu.IsHalted = true;
            while (Volatile.Read(ref cpu.Events) == 0)
            {
                if (AdvanceToNextTimer(cpu.Cpus, false)) continue;
                // A CPU that is busy for a while of the host's time uses up simulated time too: who sleeps beside it wakes in the end.
                bool isAlone = cpu.Cpus.All.Length == 1;
                if (Monitor.Wait(cpu.Cpus, isAlone ? DevicePatienceMs : BusyPatienceMs) || (!isAlone && AdvanceToNextTimer(cpu.Cpus, true)) || !IsDeadlock(cpu.Cpus)) continue;
                // Every task waits and nothing will come: the boot thread hears of it, the CPUs stop for good.
                cpu.Cpus.IsDeadlocked = true;
                cpu.Cpus.Boot!.Turn.Release();
                Monitor.Wait(cpu.Cpus);
            }
            cpu.IsHalted = false;
        }
    }

    public static void Pause()
    {
        SchedulePoint("pause");
        Thread.Yield();
    }

    private static bool IsDeadlock(SimulatedCpus cpus) =>
        !cpus.IsDeadlocked && Array.TrueForAll(cpus.All, static cpu => cpu.IsHalted && Volatile.Read(ref cpu.Events) == 0 && cpu.TimerDeadline == 0);

    private static void SchedulePoint(string name) => OnSchedulePoint?.Invoke(name);
}
