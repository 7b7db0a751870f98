using System;
using System.Threading;

namespace Asterinas.Ostd.Arch;

/// <summary>Counters of the runtime and random numbers. The numbers are a repeatable sequence (SplitMix64): a test that fails fails again.</summary>
// SAFETY: nothing is dereferenced: there are no names to copy.
internal static unsafe partial class Machine
{
    private static long s_random;
    private static long s_peakCommitted;

    /// <summary>Starts the sequence of <see cref="RandomU64"/> anew.</summary>
    public static void SeedRandom(long seed) => Volatile.Write(ref s_random, seed);

    public static ulong RandomU64()
    {
        ulong z = (ulong)Interlocked.Add(ref s_random, unchecked((long)0x9E3779B97F4A7C15));
        z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9;
        z = (z ^ (z >> 27)) * 0x94D049BB133111EB;
        return z ^ (z >> 31);
    }

    /// <summary>Pages: 0 committed now, 3 the most seen. What the host's collector does not tell is not made up.</summary>
    public static long GcMemoryCounter(int index)
    {
        long committed = GC.GetGCMemoryInfo().TotalCommittedBytes / 4096;
        s_peakCommitted = Math.Max(s_peakCommitted, committed);
        return index switch
        {
            0 => committed,
            3 => s_peakCommitted,
            _ => throw new NotSupportedException("the host's garbage collector does not count this"),
        };
    }

    public static long SuspensionCount() => throw new NotSupportedException("the host's garbage collector does not count this");

    public static ulong SuspensionTime(long number) => throw new NotSupportedException("the host's garbage collector does not measure this");

    /// <summary>There are no symbols: 0 bytes.</summary>
    public static int SymbolName(ulong address, byte* buffer, int capacity) => 0;
}
