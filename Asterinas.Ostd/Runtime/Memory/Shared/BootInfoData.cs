namespace Asterinas.Ostd.Runtime;

/// <summary>Kind of a range of the firmware's memory map; the numbers are those of E820 (ACPI 6.5 §15.1).</summary>
internal enum BootMemoryKind : uint
{
    Usable = 1,
    Reserved = 2,
    AcpiReclaimable = 3,
    AcpiNvs = 4,
    Bad = 5,
}

/// <summary>One range of physical memory as the firmware describes it.</summary>
internal struct BootMemoryRange
{
    public ulong Start;
    public ulong Length;
    public BootMemoryKind Kind;
    public uint Padding;
}

/// <summary>
/// What the boot loader told us, copied out of its memory by the boot code. Filled once, then read-only. Both compilations see this struct.
/// </summary>
// SAFETY: an index of Range is below RangeCount, at most MaxRanges, by all callers; the only instances are the boot code's static and Mirch's unmovable block, so the
// pointer outlives the fixed statement.
internal unsafe struct BootInfoData
{
    public const int MaxRanges = 128;
    public const int MaxCommandLine = 4096;

    public uint Protocol;                   // 1 PVH, 2 Multiboot2
    public int RangeCount;
    public fixed byte Ranges[MaxRanges * 24];
    public fixed byte CommandLine[MaxCommandLine];   // UTF-8, zero-terminated; an over-long line is cut
    public ulong InitramfsStart;            // physical; 0 when there is none
    public ulong InitramfsLength;
    public ulong Rsdp;                      // physical; 0 when there is none
    public ulong FramebufferAddress;        // physical; 0 when there is none
    public uint FramebufferPitch;           // bytes a line
    public uint FramebufferWidth;           // pixels
    public uint FramebufferHeight;          // pixels
    public uint FramebufferBitsPerPixel;

    public BootMemoryRange* Range(int index)
    {
        fixed (byte* ranges = Ranges) return (BootMemoryRange*)ranges + index;
    }
}
