using System;
using System.Numerics;
using Asterinas.Ostd.Arch;

namespace Asterinas.Ostd.Smp;

/// <summary>A set of CPUs, numbers 0 to 63.</summary>
/// <param name="Bits">Bit n stands for CPU n.</param>
public readonly record struct CpuSet(ulong Bits)
{
    /// <summary>All CPUs that are online.</summary>
    public static CpuSet Online => new(Machine.CpuCount() == 64 ? ulong.MaxValue : (1UL << Machine.CpuCount()) - 1);

    /// <summary>Number of CPUs in the set.</summary>
    public int Count => BitOperations.PopCount(Bits);

    /// <summary>Whether a CPU is in the set.</summary>
    /// <param name="cpu">Its number.</param>
    public bool Contains(int cpu) => (uint)cpu < 64 && (Bits >> cpu & 1) != 0;

    /// <summary>The set with one CPU more.</summary>
    /// <param name="cpu">0 to 63.</param>
    /// <exception cref="ArgumentOutOfRangeException">The number is out of range.</exception>
    public CpuSet With(int cpu) => (uint)cpu < 64 ? new CpuSet(Bits | 1UL << cpu) : throw new ArgumentOutOfRangeException(nameof(cpu));
}
