using Asterinas.Ostd.Arch;

namespace Asterinas.Ostd.Smp;

/// <summary>The CPU's own source of random numbers (RDRAND, SDM vol. 1 §7.3.17).</summary>
public static class HardwareRandom
{
    /// <summary>64 random bits. Slow: for seeds.</summary>
    public static ulong Next() => Machine.RandomU64();
}
