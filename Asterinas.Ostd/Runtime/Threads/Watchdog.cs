using System;
using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>What a thread says about the policy that it is calling: written by the thread, read by the watchdog. PolicyWatch in managed Ostd knows the layout.</summary>
internal struct PolicyMark
{
    public int Depth;                       // calls inside each other
    public int Sequence;                    // counts the outermost calls
    public int Kind;                        // of the outermost one
    public int Padding;
}

/// <summary>
/// Once a second the boot CPU looks at what every CPU runs. A thread that is in the same call of a policy for ten seconds (<c>policylimit=N</c> on the command line: N seconds) hangs in
/// it: the machine panics with the policy's name and the stack trace of that thread. One that keeps its CPU for a collection does not count.
/// </summary>
// SAFETY: a thread that another CPU runs may end while it is looked at; its memory stays mapped, and only numbers are read from it. Names are copied into fixed buffers.
internal static unsafe class Watchdog
{
    private const ulong PeriodNs = 1000000000;
    private const int DefaultLimit = 10, Kinds = 3, NameBytes = 96;

    private struct State
    {
        public fixed ulong Threads[PerCpu.MaxCpus];
        public fixed int Sequences[PerCpu.MaxCpus];
        public fixed int Counts[PerCpu.MaxCpus];
        public fixed byte Names[Kinds * NameBytes];
        public int Limit;
        public int Suspect;                 // number + 1 of the CPU that is asked for its stack trace
    }

    private static State s_state;

    public static void Initialize(PerCpu* bootCpu, BootInfoData* info)
    {
        int limit = BootText.Number(info, "policylimit=\0"u8.Pointer);
        s_state.Limit = limit > 0 ? limit : DefaultLimit;
        bootCpu->WatchDeadline = Clock.Nanoseconds() + PeriodNs;
        ApicTimer.Program(bootCpu);
    }

    /// <summary>Names the policy of a kind: 0 scheduler, 1 frame allocator, 2 slab allocator.</summary>
    [RuntimeExport("ostd_watch_policy")]
    private static void Name(int kind, byte* name, int length)
    {
        if (kind is < 0 or >= Kinds) return;
        if (length > NameBytes - 1) length = NameBytes - 1;
        fixed (byte* names = s_state.Names)
        {
            X64.Copy(names + kind * NameBytes, name, (nuint)length);
            names[kind * NameBytes + length] = 0;
        }
    }

    [RuntimeExport("ostd_thread_policy_mark")]
    private static PolicyMark* MarkOf(nint thread) => &((Thread*)thread)->Policy;

    /// <summary>Top half of the boot CPU's timer.</summary>
    public static void OnTimer(PerCpu* self, ulong now, TrapFrame* frame)
    {
        if (self->WatchDeadline == 0 || now < self->WatchDeadline) return;
        self->WatchDeadline = now + PeriodNs;
        for (int cpu = 0; cpu < Cpus.Count; cpu++)
        {
            Thread* thread = (Thread*)Volatile.Read(ref *(nint*)&Cpus.Of(cpu)->Current);
            int sequence = Volatile.Read(ref thread->Policy.Sequence);
            bool isInside = Volatile.Read(ref thread->Policy.Depth) > 0 && thread->State != ThreadState.Waiting;
            bool isSame = isInside && s_state.Threads[cpu] == (ulong)thread && s_state.Sequences[cpu] == sequence;
            s_state.Threads[cpu] = (ulong)thread;
            s_state.Sequences[cpu] = sequence;
            s_state.Counts[cpu] = isSame ? s_state.Counts[cpu] + 1 : 0;
            if (s_state.Counts[cpu] < s_state.Limit) continue;
            s_state.Counts[cpu] = 0;
            if (cpu == self->CpuId) Report(thread, frame);
            Volatile.Write(ref s_state.Suspect, cpu + 1);
            Apic.SendNmi(Cpus.Of(cpu));
            return;
        }
    }

    /// <summary>An NMI has come: is it for a stack trace?</summary>
    public static void OnNmi(PerCpu* self, TrapFrame* frame)
    {
        if (Volatile.Read(ref s_state.Suspect) == self->CpuId + 1) Report(self->Current, frame);
    }

    private static void Report(Thread* thread, TrapFrame* frame)
    {
        int kind = thread->Policy.Kind;
        Panic.FailPolicy(kind == 0 ? "scheduler"u8 : kind == 1 ? "frame allocator"u8 : "slab allocator"u8, NameOf(kind), (ulong)s_state.Limit, frame);
    }

    private static byte* NameOf(int kind)
    {
        fixed (byte* names = s_state.Names) return names + kind * NameBytes;
    }
}
