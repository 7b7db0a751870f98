using System;
using System.Linq;
using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Timers;

namespace Asterinas.Tests.Kernel;

/// <summary>Boot information and time.</summary>
internal static class MachineTests
{
    public static void Register()
    {
        Program.Add("Clock_is_monotonic_and_near_the_wall_clock", ClockIsMonotonic);
        Program.Add("Boot_information_has_memory_map_command_line_and_rsdp", BootInformation);
    }

    private static void ClockIsMonotonic()
    {
        ulong last = Clock.MonotonicNs, end = last + 200000000;
        DateTime wall = Clock.UtcNow;
        while (last < end)
        {
            ulong now = Clock.MonotonicNs;
            Expect.True(now >= last, "the clock went back");
            last = now;
        }
        double passed = (Clock.UtcNow - wall).TotalMilliseconds;
        Expect.True(passed is >= 199 and < 2000, $"wall clock after 200 ms: {passed} ms");
        Expect.True(wall.Year is >= 2024 and < 2100, $"year {wall.Year}");
    }

    private static void BootInformation()
    {
        BootInfo boot = BootInfo.Current;
        ulong usable = 0;
        foreach (MemoryRegion region in boot.MemoryMap.Where(r => r.Kind == MemoryRegionKind.Usable)) usable += region.Length;
        Expect.True(usable > 200UL << 20, $"usable memory: {usable}");
        Expect.Equal("expected value", (boot.GetOption("probe") ?? "").Replace('_', ' '), "option on the command line");
        Expect.True(boot.Rsdp != 0, "the ACPI root pointer");
        if (boot.Protocol == BootProtocol.Pvh) Expect.True(boot.Framebuffer is null, "PVH has no framebuffer");
        else Expect.True(boot.Framebuffer is { Width: > 0, Height: > 0, Address: > 0 }, "Multiboot2 has a framebuffer");
    }
}
