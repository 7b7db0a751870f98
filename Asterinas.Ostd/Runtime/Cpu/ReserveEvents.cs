using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>The reserve runs low: noted for this CPU's next safe point, where managed code may ask the policy for frames.</summary>
// SAFETY: the per-CPU area is this CPU's own and lives for ever.
internal static unsafe class ReserveEvents
{
    public static void NoteLow() => Interlocked.Or(ref X64.PerCpu()->Events, CpuEvents.ReserveLow);
}
