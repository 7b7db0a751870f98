using System.Collections.Generic;
using System.Threading;

namespace Asterinas.Ostd.Arch;

/// <summary>A simulated CPU: one thread at a time, pending events and vectors, a one-shot timer.</summary>
internal sealed class SimulatedCpu(int number)
{
    /// <summary>What happened since the CPU last looked; the numbers are those of the platform layer's CpuEvents.</summary>
    public const uint TimerExpired = 1, Reschedule = 2, InterruptPending = 4, ThreadReady = 8;

    public readonly int Number = number;

    /// <summary>Threads that were woken under the runtime. Under <see cref="Machine.Interrupts"/>.</summary>
    public readonly LinkedList<SimulatedThread> Ready = new();

    public readonly ulong[] PendingVectors = new ulong[4];
    public SimulatedThread? Current;
    public nint Idle;
    public uint Events;
    public ulong TimerDeadline;             // ns, 0 = not armed
    public bool IsHalted;
    public long InterruptCount;

    /// <summary>Notes an event. A halted CPU is woken by the caller, who holds <see cref="Machine.Interrupts"/>.</summary>
    public void Note(uint bits) => Interlocked.Or(ref Events, bits);

    /// <summary>Takes an event bit; false when it was not set.</summary>
    public bool Take(uint bit) => (Interlocked.And(ref Events, ~bit) & bit) != 0;
}
