using System;
using System.Runtime.CompilerServices;
using Asterinas.Ostd.Arch;

namespace Asterinas.Ostd.Diagnostics;

/// <summary>Counters of the platform layer under the .NET runtime, and switches for tests.</summary>
public static class RuntimeStatistics
{
    private const int PageSize = 4096;

    /// <summary>Bytes that the garbage collector has committed now.</summary>
    public static long CommittedBytes => Machine.GcMemoryCounter(0) * PageSize;

    /// <summary>Pages that the collector has given back since boot.</summary>
    public static long DecommittedPages => Machine.GcMemoryCounter(1);

    /// <summary>Pages that were committed, given back and committed again since boot. A commit always yields zeroed pages.</summary>
    public static long RecommittedPages => Machine.GcMemoryCounter(2);

    /// <summary>Most bytes that were ever committed at once.</summary>
    public static long PeakCommittedBytes => Machine.GcMemoryCounter(3) * PageSize;

    /// <summary>Free physical memory in bytes; stacks that wait for the next task are free.</summary>
    public static ulong FreeBytes => (Machine.ReserveFreePages() + Machine.IdleStackPages()) * PageSize;

    /// <summary>Kernel threads that exist, the runtime's own included.</summary>
    public static int ThreadCount => Machine.ThreadCount();

    /// <summary>Interrupts that this CPU has taken.</summary>
    public static ulong InterruptCount => Machine.InterruptCount();

    /// <summary>Times that the collector has stopped all threads since boot.</summary>
    public static long SuspensionCount => Machine.SuspensionCount();

    /// <summary>How long the collector took to stop all threads, nanoseconds; the last 1,024 times are known, others answer 0.</summary>
    /// <param name="number">0 to <see cref="SuspensionCount"/> - 1.</param>
    public static ulong SuspensionTimeNs(long number) => Machine.SuspensionTime(number);

    /// <summary>Lets this CPU's timer fire at a rate, besides its proper work: for tests of code under interrupts.</summary>
    /// <param name="hertz">1 to 100,000; 0 stops it.</param>
    /// <exception cref="ArgumentOutOfRangeException">The rate is out of range.</exception>
    public static void SetTimerStorm(int hertz)
    {
        if (hertz is < 0 or > 100000) throw new ArgumentOutOfRangeException(nameof(hertz));
        Machine.TimerStorm(hertz == 0 ? 0 : 1000000000UL / (ulong)hertz);
    }

    /// <summary>Where an object lies at this moment; the collector may move it at any time. A number without any right, for tests of the collector.</summary>
    /// <param name="value">The object.</param>
    public static ulong AddressOf(object value)
    {
        ArgumentNullException.ThrowIfNull(value);
        // The reference is read as a number and never used as one again.
        return Unsafe.As<object, ulong>(ref value);
    }
}
