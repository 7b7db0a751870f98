using Asterinas.Ostd.Arch;

namespace Asterinas.Ostd.Boot;

/// <summary>Random bits of the machine: RDRAND where the CPU has it, else what the time-stamp counter's jitter gives. A seed for generators, too slow for bulk.</summary>
public static class Entropy
{
    /// <summary>64 bits.</summary>
    public static ulong Next() => Machine.RandomU64();
}
