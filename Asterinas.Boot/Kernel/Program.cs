using System;
using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Tasks;
using Asterinas.Ostd.Timers;
using Asterinas.Services;
using Asterinas.Services.Allocators;
using Asterinas.Services.Scheduling;

namespace Asterinas.Boot;

/// <summary>The default kernel: Linux services under the injected policies.</summary>
internal static class Program
{
    private static int Main()
    {
        // The policies come first: nobody has frames or slots yet that would stay with the defaults. More memory follows when the allocator asks for it.
        FrameAllocator.Inject(new BuddyFrameAllocator(), FrameAllocator.ReserveFreePages / 8);
        SlabHeap.Inject(new SlabAllocator());
        Scheduler.Inject(new LinuxScheduler());
        BootInfo boot = BootInfo.Current;
        ulong usable = 0;
        foreach (MemoryRegion region in boot.MemoryMap)
        {
            if (region.Kind == MemoryRegionKind.Usable) usable += region.Length;
        }
        Log.Info("Asterinas for .NET");
        Log.Info($"boot: {boot.Protocol}, command line \"{boot.CommandLine}\"");
        Log.Info($"memory: {usable >> 20} MiB usable, {RuntimeStatistics.FreeBytes >> 20} MiB free");
        Log.Info($"initramfs: {boot.InitramfsLength} bytes");
        Log.Info($"time: {Clock.UtcNow:yyyy-MM-dd HH:mm:ss} UTC, TSC {Clock.TscFrequency / 1000000} MHz");
        Log.Info($"runtime: .NET {Environment.Version}, {GC.GetTotalMemory(false) >> 10} KiB of managed objects");
        return LinuxKernel.Run();
    }
}
