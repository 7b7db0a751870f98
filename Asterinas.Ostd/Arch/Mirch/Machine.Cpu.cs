using System;
using System.Threading;

namespace Asterinas.Ostd.Arch;

/// <summary>The simulated CPUs. One that has nothing to do halts; when all have halted, time jumps to the next armed timer.</summary>
internal static partial class Machine
{
    private static readonly SimulatedCpu[] s_cpus = [new(0)];

    /// <summary>Held while events are noted and CPUs fall asleep; pulsed when a halted CPU should look.</summary>
    internal static readonly object Interrupts = new();

    /// <summary>
    /// Called at every point where another CPU could come in between, with the point's name: the calls of the seam that schedule or look at time and events.
    /// For tests that explore interleavings.
    /// </summary>
    public static Action<string>? OnSchedulePoint { get; set; }

    public static int CpuCount() => s_cpus.Length;

    public static int CpuId()
    {
        SchedulePoint("cpu");
        return Self().Cpu.Number;
    }

    /// <summary>
    /// Sleeps until something happened on this CPU. When every CPU sleeps and a timer is armed, simulated time advances to it; without one only a device of a test can
    /// end the sleep.
    /// </summary>
    public static void Halt()
    {
        SchedulePoint("halt");
        SimulatedCpu cpu = OnCpu().Cpu;
        lock (Interrupts)
        {
            cpu.IsHalted = true;
            while (Volatile.Read(ref cpu.Events) == 0)
            {
                if (!AdvanceToNextTimer()) Monitor.Wait(Interrupts);
            }
            cpu.IsHalted = false;
        }
    }

    public static void Pause()
    {
        SchedulePoint("pause");
        Thread.Yield();
    }

    private static void SchedulePoint(string name) => OnSchedulePoint?.Invoke(name);
}
