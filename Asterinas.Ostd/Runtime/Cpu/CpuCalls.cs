using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// Inter-processor calls with completion: this CPU asks others to do one of a few small things at once, and waits until all have. Each CPU has one call of its own at a time (the
/// caller does not leave its CPU meanwhile). One that waits serves what others ask of it, so CPUs that call each other never wait in a circle, with interrupts on or off.
/// <code>
///   caller                                     callee
///   writes the call, Pending = targets
///   CallsFrom[target] |= own bit, interrupt    takes CallsFrom, does each call
///   serves its own CallsFrom while Pending     clears its bit in the caller's Pending
/// </code>
/// No lock that is taken with interrupts off is held during a call; a lock that is taken with interrupts on may be held by anybody.
/// </summary>
// SAFETY: the areas of all CPUs live for ever; a call's fields are written before its bits are set (an atomic operation between) and not changed before Pending is 0.
internal static unsafe class CpuCalls
{
    public const int FlushTlb = 1, Barrier = 2, SaveExtended = 3;

    /// <summary>Makes the call that the caller has written into its area on the CPUs of a set, this one not among them.</summary>
    public static void Send(PerCpu* self, ulong targets)
    {
        if (targets == 0) return;
        Interlocked.Exchange(ref self->CallPending, targets);
        ulong own = 1UL << self->CpuId;
        for (int cpu = 0; cpu < Cpus.Count; cpu++)
        {
            if ((targets >> cpu & 1) == 0) continue;
            PerCpu* target = Cpus.Of(cpu);
            // Somebody's call is noted already: its interrupt is on the way and serves all.
            if (Interlocked.Or(ref target->CallsFrom, own) == 0) Apic.Send(target, Vectors.Call);
        }
        while (Volatile.Read(ref self->CallPending) != 0)
        {
            Serve(self);
            X64.Pause();
        }
    }

    /// <summary>Does what others ask of this CPU: in the top half, and while this CPU waits for others itself.</summary>
    public static void Serve(PerCpu* self)
    {
        if (Volatile.Read(ref self->CallsFrom) == 0) return;
        ulong from = Interlocked.Exchange(ref self->CallsFrom, 0);
        for (int cpu = 0; from != 0; cpu++, from >>= 1)
        {
            if ((from & 1) == 0) continue;
            PerCpu* caller = Cpus.Of(cpu);
            switch (caller->CallKind)
            {
                case FlushTlb:
                    Tlb.FlushHere(caller->CallAddress, caller->CallPages);
                    break;
                case SaveExtended:
                    Threads.SaveExtended(self, caller->CallFrame);
                    break;
            }
            // The atomic operation is the full fence that Barrier asks for.
            Interlocked.And(ref caller->CallPending, ~(1UL << self->CpuId));
        }
    }

    /// <summary>Interrupts a CPU for nothing else than to end its halt.</summary>
    public static void Wake(PerCpu* target)
    {
        if (target != X64.PerCpu()) Apic.Send(target, Vectors.Call);
    }

    /// <summary>A full memory fence on every CPU; membarrier(2), MEMBARRIER_CMD_PRIVATE_EXPEDITED.</summary>
    public static void FenceAll()
    {
        PerCpu* self = X64.PerCpu();
        Interlocked.MemoryBarrier();
        self->CallKind = Barrier;
        Send(self, Cpus.Others(self));
    }
}
