using System.Runtime.CompilerServices;
using Asterinas.Ostd.Dma;
using Asterinas.Ostd.Pci;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Tasks;

namespace Asterinas.Ostd.Boot;

/// <summary>Sets up the managed side before the kernel's Main: module initialisers of referenced assemblies run first.</summary>
internal static class OstdStartup
{
#pragma warning disable CA2255 // the framework's start is what module initialisers are for
    [ModuleInitializer]
#pragma warning restore CA2255
    internal static void Initialize()
    {
#if ARCH_X64
        Scheduler.Initialize();
        LockOrder.IsEnabled = BootInfo.Current.GetOption("lockorder") is not null;
        // Before the kernel's Main can ask for device memory: what is sensitive must be known, and no device may still write where the firmware told it to.
        AcpiRanges.Keep();
        PciBus.Enumerate();
        Iommu.Initialize();
#endif
    }

#if ARCH_MIRCH
    /// <summary>Starts a fresh simulated machine with the calling host thread as its boot task.</summary>
    internal static void Restart(int cpus)
    {
        Arch.Machine.StartCpus(cpus);
        LockOrder.IsEnabled = false;
        LockOrder.Reset();
        Interrupts.IrqLine.Restart();
        Timers.TimerQueue.Restart();
        Rcu.Restart();
        Scheduler.Restart();
    }
#endif
}
