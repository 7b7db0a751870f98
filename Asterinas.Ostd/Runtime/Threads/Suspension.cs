using System.Runtime;
using System.Runtime.CompilerServices;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// How long the collector takes to stop all threads: from its request until none runs managed code. The linker lets its calls of ThreadStore::SuspendAllThreads come through here.
/// </summary>
// SAFETY: the function has this C++ signature (the link fails when the archive has none of that name) and is called as the collector would; the ring is indexed modulo its size.
internal static unsafe class Suspension
{
    private const int Capacity = 1024;

    private struct Ring
    {
        public fixed ulong Times[Capacity];
        public long Count;
    }

    private static Ring s_ring;

    [MethodImpl(MethodImplOptions.InternalCall), RuntimeImport("*", "__real__ZN11ThreadStore17SuspendAllThreadsEb")]
    private static extern void SuspendAllThreads(void* store, int waitForGcEvent);

    [RuntimeExport("__wrap__ZN11ThreadStore17SuspendAllThreadsEb")]
    private static void Measured(void* store, int waitForGcEvent)
    {
        ulong start = Clock.Nanoseconds();
        SuspendAllThreads(store, waitForGcEvent);
        // One thread suspends at a time: the thread store's lock is held.
        s_ring.Times[(int)(s_ring.Count & (Capacity - 1))] = Clock.Nanoseconds() - start;
        Volatile.Write(ref s_ring.Count, s_ring.Count + 1);
    }

    /// <summary>Suspensions since boot.</summary>
    [RuntimeExport("ostd_suspension_count")]
    private static long Count() => Volatile.Read(ref s_ring.Count);

    /// <summary>Nanoseconds that suspension number n took; the last 1,024 are known, 0 for others.</summary>
    [RuntimeExport("ostd_suspension_time")]
    private static ulong Time(long number)
    {
        long count = Volatile.Read(ref s_ring.Count);
        return number < 0 || number >= count || number < count - Capacity ? 0 : s_ring.Times[(int)(number & (Capacity - 1))];
    }
}
