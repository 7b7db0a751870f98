using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>The CPUs that are online, by their dense numbers.</summary>
// SAFETY: an entry is written once, before Count covers it, and areas are never freed; numbers from the managed side are checked against Count.
internal static unsafe class Cpus
{
    private struct Table
    {
        public fixed ulong Areas[PerCpu.MaxCpus];
    }

    private static Table s_table;
    private static int s_count;

    /// <summary>CPUs online. Grows during boot only, before the runtime starts.</summary>
    public static int Count => s_count;

    /// <summary>Bits of all CPUs but one.</summary>
    public static ulong Others(PerCpu* self) => (s_count == 64 ? ulong.MaxValue : (1UL << s_count) - 1) & ~(1UL << self->CpuId);

    public static PerCpu* Of(int cpu) => (PerCpu*)s_table.Areas[cpu];

    /// <summary>Takes in a CPU that is ready for interrupts.</summary>
    public static void Add(PerCpu* cpu)
    {
        s_table.Areas[cpu->CpuId] = (ulong)cpu;
        Volatile.Write(ref s_count, cpu->CpuId + 1);
    }

    [RuntimeExport("ostd_cpu_count")] private static int CountForManaged() => s_count;
    [RuntimeExport("ostd_cpu_id")] private static int IdForManaged() => X64.PerCpu()->CpuId;

    /// <summary>Gives a started CPU its idle thread; from then on it runs tasks.</summary>
    [RuntimeExport("ostd_cpu_start")]
    private static void Start(int cpu, nint idle)
    {
        if ((uint)cpu >= (uint)s_count) return;
        PerCpu* target = Of(cpu);
        Volatile.Write(ref *(nint*)&target->First, idle);
        CpuCalls.Wake(target);
    }

    /// <summary>
    /// Makes a CPU look at its run queue soon: notes the event, and interrupts the CPU when it is another one, which may have halted or be in user mode. An event that was noted
    /// already has its interrupt on the way.
    /// </summary>
    [RuntimeExport("ostd_kick_cpu")]
    private static void Kick(int cpu)
    {
        if ((uint)cpu >= (uint)s_count) return;
        PerCpu* target = Of(cpu);
        ulong old = Interlocked.Or(ref target->Events, CpuEvents.Reschedule);
        if ((old & CpuEvents.Reschedule) == 0 && target != X64.PerCpu()) Apic.Send(target, Vectors.Reschedule);
    }
}
