using System.Collections.Generic;
using System.Threading;

namespace Asterinas.Ostd.Arch;

/// <summary>
/// The CPUs of one simulated machine and their time. The object is the lock under which events are noted and CPUs fall asleep; it is pulsed when a halted CPU should
/// look. Threads of an earlier machine keep theirs and stay parked.
/// </summary>
internal sealed class SimulatedCpus
{
    public readonly SimulatedCpu[] All;
    public ulong NowNs = 1000000000;
    public ulong StormPeriodNs;
    public SimulatedThread? Boot;
    public bool IsDeadlocked;
    public int LiveThreads;                 // atomic

    public SimulatedCpus(int count)
    {
        All = new SimulatedCpu[count];
        for (int i = 0; i < count; i++) All[i] = new SimulatedCpu(this, i);
    }
}

/// <summary>A simulated CPU: one thread at a time, pending events and vectors, a one-shot timer.</summary>
internal sealed class SimulatedCpu(SimulatedCpus cpus, int number)
{
    /// <summary>What happened since the CPU last looked; the numbers are those of the platform layer's CpuEvents.</summary>
    public const uint TimerExpired = 1, Reschedule = 2, InterruptPending = 4, ThreadReady = 8, ReserveLow = 32;

    /// <summary>The machine, and the lock of everything below except <see cref="Events"/>.</summary>
    public readonly SimulatedCpus Cpus = cpus;

    public readonly int Number = number;

    /// <summary>Threads that were woken under the runtime.</summary>
    public readonly LinkedList<SimulatedThread> Ready = new();

    public readonly ulong[] PendingVectors = new ulong[4];
    public SimulatedThread? Current;
    public nint Idle;
    public uint Events;                     // atomic
    public ulong TimerDeadline;             // ns, 0 = not armed
    public bool IsHalted;
    public long InterruptCount;

    /// <summary>Notes an event and wakes the CPU when it has halted. Under the lock of <see cref="Cpus"/>.</summary>
    public void Note(uint bits)
    {
        Interlocked.Or(ref Events, bits);
        if (IsHalted) Monitor.PulseAll(Cpus);
    }

    /// <summary>Takes an event bit; false when it was not set.</summary>
    public bool Take(uint bit) => (Interlocked.And(ref Events, ~bit) & bit) != 0;
}
