using System;
using System.Runtime;

namespace Asterinas.Ostd.Runtime;

/// <summary>The CPU features that this kernel cannot do without: each missing one is named, then the boot ends with status 125.</summary>
// SAFETY: CPUID stores four words into a stack buffer of four; control registers get only bits that CPUID reported or that were checked as needed.
internal static unsafe class Features
{
    public static ulong XsaveMask;
    public static uint XsaveBytes;
    private static bool s_missing;

    public static void Check()
    {
        uint* r = stackalloc uint[4];
        X64.CpuId(0, 0, r);
        uint maxLeaf = r[0];
        X64.CpuId(1, 0, r);
        Need((r[3] & 1 << 26) != 0, "sse2"u8);
        Need((r[3] & 1 << 9) != 0, "apic"u8);
        Need((r[3] & 1 << 13) != 0, "pge"u8);
        Need((r[2] & 1 << 13) != 0, "cx16"u8);
        Need((r[2] & 1 << 20) != 0, "sse4_2"u8);
        Need((r[2] & 1 << 23) != 0, "popcnt"u8);
        Need((r[2] & 1 << 26) != 0, "xsave"u8);
        Need((r[2] & 1 << 30) != 0, "rdrand"u8);
        uint features = 0;
        if (maxLeaf >= 7)
        {
            X64.CpuId(7, 0, r);
            features = r[1];
        }
        Need((features & 1) != 0, "fsgsbase"u8);
        Need((features & 1 << 7) != 0, "smep"u8);
        Need((features & 1 << 20) != 0, "smap"u8);
        X64.CpuId(0x80000001, 0, r);
        Need((r[3] & 1 << 11) != 0, "syscall"u8);
        if (s_missing) Power.Off(Boot.ExitStatusNoBoot);
    }

    /// <summary>Switches on what the kernel relies on: SMEP, SMAP, UMIP where it exists, FSGSBASE, global pages, XSAVE with x87, SSE and AVX.</summary>
    public static void Enable()
    {
        uint* r = stackalloc uint[4];
        X64.CpuId(7, 0, r);
        ulong cr4 = X64.ReadCr4() | 1 << 7 | 1 << 9 | 1 << 10 | 1 << 16 | 1 << 18 | 1 << 20 | 1 << 21;
        if ((r[2] & 1 << 2) != 0) cr4 |= 1 << 11;           // UMIP
        X64.WriteCr4(cr4);
        X64.CpuId(0xD, 0, r);
        // x87, SSE, AVX, AVX-512 where present: what XSAVE manages of the user's registers.
        XsaveMask = ((ulong)r[3] << 32 | r[0]) & 0xE7;
        if ((XsaveMask & 4) == 0) XsaveMask &= 3;
        if ((XsaveMask & 0xE0) != 0xE0) XsaveMask &= 7;
        X64.WriteXcr0(XsaveMask);
        X64.CpuId(0xD, 0, r);
        XsaveBytes = r[1];
        // PAT entry 1 (PWT) becomes write-combining; the others keep their reset values (SDM vol. 3 §12.12.4).
        X64.WriteMsr(0x277, 0x0007040600070106);
    }

    [RuntimeExport("ostd_xsave_mask")] private static ulong Mask() => XsaveMask;
    [RuntimeExport("ostd_xsave_bytes")] private static uint Bytes() => XsaveBytes;

    private static void Need(bool present, ReadOnlySpan<byte> name)
    {
        if (present) return;
        s_missing = true;
        Console.Write("boot failed: CPU feature missing: "u8);
        Console.Write(name);
        Console.Write("\n"u8);
    }
}

/// <summary>The runtime's settings that depend on the machine; getenv answers them.</summary>
internal static class Settings
{
    public static void Initialize()
    {
        ulong bytes = Boot.TotalPages * 4096;
        ulong gen0 = bytes / 64;
        if (gen0 < 4 << 20) gen0 = 4 << 20;
        if (gen0 > 64 << 20) gen0 = 64 << 20;
        EnvironmentPlugs.Initialize(bytes / 2, gen0);
    }
}
