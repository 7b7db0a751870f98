using System.Runtime.InteropServices;
using System.Threading;
using Asterinas.Ostd.Tasks;

namespace Asterinas.Ostd.Arch;

/// <summary>
/// A kernel thread of the simulated machine: a host thread that runs only while a simulated CPU has been handed to it.
/// <code>
///   created --switch--> on a CPU --switch away--> parked --switch--> … --entry returns--> ended
///                          |  block under the runtime --> parked, Waiting --wake--> on its CPU's ready list
/// </code>
/// A foreign thread is a host thread that the simulation did not start (the finalizer, the test runner). It may take locks and wake tasks, never switch or halt.
/// </summary>
internal sealed class SimulatedThread(nint handle, SimulatedCpu cpu, bool isForeign)
{
    public readonly nint Handle = handle;
    public readonly bool IsForeign = isForeign;

    /// <summary>Released by whoever hands the CPU over.</summary>
    public readonly SemaphoreSlim Turn = new(0);

    /// <summary>The CPU it runs on, or ran on last.</summary>
    public SimulatedCpu Cpu = cpu;

    /// <summary>1 while a CPU is its own: a second switch to it is a defect of the scheduler.</summary>
    public int IsOnCpu;

    /// <summary>Blocked in a primitive of the runtime; under the lock of its CPUs.</summary>
    public bool IsWaiting;

    public nint Tag;

    /// <summary>Nobody watches; the memory lives as long as the process, as other threads' handles may.</summary>
    // SAFETY: zeroed memory of that size, never freed.
    public readonly unsafe PolicyWatch.Mark* PolicyMark = (PolicyWatch.Mark*)NativeMemory.AllocZeroed((nuint)sizeof(PolicyWatch.Mark));
}
