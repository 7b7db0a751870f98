using System;
using System.Globalization;
using System.Runtime.CompilerServices;
using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Diagnostics;

namespace Asterinas.Tests.Kernel;

/// <summary>Tests that end the machine: each is a boot of its own, and the host checks the output and the status.</summary>
internal static class EndingTests
{
    public static int Run(string name)
    {
        if (int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out int status)) return status;
        switch (name)
        {
            case "power-off-9":
                Power.Off(9);
                break;
            case "panic":
                PanicHere();
                break;
            case "unhandled":
                ThrowUnhandled();
                break;
            case "stack-overflow":
                Log.Info(Recurse(1).ToString(CultureInfo.InvariantCulture));
                break;
            case "task-stack-overflow":
                Ostd.Tasks.Task.Spawn(static () => Log.Info(Recurse(1).ToString(CultureInfo.InvariantCulture))).Join();
                break;
            case "hostile-policies":
                return HostilePolicies.Run();
            case "service-allocators":
                return ServiceAllocators.Run();
            case "memory-costs":
                return MemoryCosts.Run();
            case "hung-scheduler":
                HungPolicies.Scheduler();
                break;
            case "hung-frame-allocator":
                HungPolicies.FrameAllocator();
                break;
            case "hung-slab-allocator":
                HungPolicies.SlabAllocator();
                break;
            case "panic-beside-busy-cpus":
                HungPolicies.PanicBesideBusyCpus();
                break;
            case "reboot":
                Power.Reboot();
                break;
            case "hang":
                while (true) Clock();
        }
        return 1;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Clock() => GC.KeepAlive(Ostd.Timers.Clock.MonotonicNs);

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void PanicHere() => Panic.Fail("a test asked for it");

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void ThrowUnhandled() => throw new InvalidOperationException("nobody catches this");

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static long Recurse(long depth) => depth < 0 ? 0 : Recurse(depth + 1) * 3 + depth;
}
