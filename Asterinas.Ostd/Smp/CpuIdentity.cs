using Asterinas.Ostd.Arch;

namespace Asterinas.Ostd.Smp;

/// <summary>Answer of the CPUID instruction (SDM vol. 2, CPUID).</summary>
/// <param name="Eax">EAX.</param>
/// <param name="Ebx">EBX.</param>
/// <param name="Ecx">ECX.</param>
/// <param name="Edx">EDX.</param>
public readonly record struct CpuidAnswer(uint Eax, uint Ebx, uint Ecx, uint Edx);

/// <summary>What the CPU says about itself. All CPUs are taken to be alike.</summary>
public static class CpuIdentity
{
    /// <summary>Asks the CPU; reveals nothing that user programs cannot ask for themselves.</summary>
    /// <param name="leaf">EAX.</param>
    /// <param name="subleaf">ECX.</param>
    public static CpuidAnswer Cpuid(uint leaf, uint subleaf = 0)
    {
        // SAFETY: the routine stores four words into the local.
        unsafe
        {
            uint* four = stackalloc uint[4];
            Machine.CpuidInstruction(leaf, subleaf, four);
            return new CpuidAnswer(four[0], four[1], four[2], four[3]);
        }
    }
}
