using Asterinas.Services.Memory;

namespace Asterinas.Services.Processes.Exec;

/// <summary>What other parts of the kernel put into each new program's memory.</summary>
internal static class ProgramHooks
{
    /// <summary>Maps the vDSO. ENOMEM.</summary>
    public static Errno MapVdso(AddressSpace memory) => Time.Vdso.Map(memory);
}
