using System;
using System.Collections.Generic;
using System.Text;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Runtime;

namespace Asterinas.Ostd.Boot;

/// <summary>How the kernel was entered.</summary>
public enum BootProtocol
{
    /// <summary>Xen's PVH entry: QEMU's direct kernel boot.</summary>
    Pvh = 1,
    /// <summary>Multiboot2: GRUB, from the ISO.</summary>
    Multiboot2 = 2,
}

/// <summary>Use of a range of physical memory according to the firmware (E820, ACPI 6.5 §15.1).</summary>
public enum MemoryRegionKind
{
    /// <summary>RAM.</summary>
    Usable = 1,
    /// <summary>Not to be touched.</summary>
    Reserved = 2,
    /// <summary>RAM with ACPI tables.</summary>
    AcpiReclaimable = 3,
    /// <summary>RAM that the firmware keeps.</summary>
    AcpiNvs = 4,
    /// <summary>Broken RAM.</summary>
    Bad = 5,
}

/// <summary>One range of the firmware's memory map.</summary>
/// <param name="Start">Physical address of the first byte.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Kind">What the range is.</param>
public readonly record struct MemoryRegion(ulong Start, ulong Length, MemoryRegionKind Kind);

/// <summary>A linear framebuffer that the boot loader set up.</summary>
/// <param name="Address">Physical address.</param>
/// <param name="Pitch">Bytes from one line to the next.</param>
/// <param name="Width">Pixels a line.</param>
/// <param name="Height">Lines.</param>
/// <param name="BitsPerPixel">Bits a pixel.</param>
public readonly record struct FramebufferInfo(ulong Address, uint Pitch, uint Width, uint Height, uint BitsPerPixel);

/// <summary>What the boot loader handed over. Read once at boot; immutable.</summary>
public sealed class BootInfo
{
    private BootInfo(BootProtocol protocol, string commandLine, MemoryRegion[] memoryMap, ulong initramfsStart, ulong initramfsLength, ulong rsdp, FramebufferInfo? framebuffer)
    {
        Protocol = protocol;
        CommandLine = commandLine;
        MemoryMap = memoryMap;
        InitramfsStart = initramfsStart;
        InitramfsLength = initramfsLength;
        Rsdp = rsdp;
        Framebuffer = framebuffer;
    }

    /// <summary>The information of this boot.</summary>
    public static BootInfo Current { get; } = Read();

    /// <summary>How the kernel was entered.</summary>
    public BootProtocol Protocol { get; }

    /// <summary>The kernel command line, at most 4,095 bytes of UTF-8; empty when there is none.</summary>
    public string CommandLine { get; }

    /// <summary>The firmware's memory map, in its order.</summary>
    public IReadOnlyList<MemoryRegion> MemoryMap { get; }

    /// <summary>Bytes of the initial RAM file system; 0 when there is none.</summary>
    public ulong InitramfsLength { get; }

    /// <summary>Physical address of the ACPI root pointer; 0 when the loader gave none.</summary>
    public ulong Rsdp { get; }

    /// <summary>The loader's framebuffer; null with PVH, which has none.</summary>
    public FramebufferInfo? Framebuffer { get; }

    internal ulong InitramfsStart { get; }

    /// <summary>
    /// Copies part of the initramfs. Returns the bytes copied: fewer than asked for at its end, 0 beyond it.
    /// </summary>
    /// <param name="offset">Bytes from its start.</param>
    /// <param name="destination">Receives the bytes.</param>
    public int ReadInitramfs(ulong offset, Span<byte> destination)
    {
        if (offset >= InitramfsLength) return 0;
        int count = (int)Math.Min((ulong)destination.Length, InitramfsLength - offset);
        // SAFETY: the range was checked against the module that the loader placed; it is kept out of the frame allocator and mapped for good.
        unsafe
        {
            new ReadOnlySpan<byte>(Machine.PhysToVirt(InitramfsStart + offset), count).CopyTo(destination);
        }
        return count;
    }

    /// <summary>
    /// Value of a <c>name=value</c> word of the command line; the empty string for the bare word <c>name</c>; null when it is absent. The last one counts.
    /// </summary>
    /// <param name="name">The part before the equals sign.</param>
    public string? GetOption(string name)
    {
        string? found = null;
        foreach (string word in CommandLine.Split(' ', StringSplitOptions.RemoveEmptyEntries))
        {
            if (word == name) found = "";
            else if (word.Length > name.Length && word[name.Length] == '=' && word.StartsWith(name, StringComparison.Ordinal)) found = word[(name.Length + 1)..];
        }
        return found;
    }

    /// <summary>Whether a range touches RAM of any kind: everything in the map that is not reserved.</summary>
    internal bool OverlapsMemory(ulong start, ulong length)
    {
        foreach (MemoryRegion region in MemoryMap)
        {
            if (region.Kind != MemoryRegionKind.Reserved && region.Start < start + length && region.Start + region.Length > start) return true;
        }
        return false;
    }

    internal static unsafe BootInfo Read()
    {
        // SAFETY: the platform layer filled the structure before any managed code ran and never changes it.
        BootInfoData* data = Machine.BootInfo();
        var map = new MemoryRegion[data->RangeCount];
        for (int i = 0; i < map.Length; i++)
        {
            BootMemoryRange* range = data->Range(i);
            map[i] = new MemoryRegion(range->Start, range->Length, (MemoryRegionKind)range->Kind);
        }
        int length = 0;
        while (data->CommandLine[length] != 0) length++;
        string commandLine = Encoding.UTF8.GetString(data->CommandLine, length);
        FramebufferInfo? framebuffer = data->FramebufferAddress == 0 ? null : new FramebufferInfo(data->FramebufferAddress, data->FramebufferPitch,
            data->FramebufferWidth, data->FramebufferHeight, data->FramebufferBitsPerPixel);
        return new BootInfo((BootProtocol)data->Protocol, commandLine, map, data->InitramfsStart, data->InitramfsLength, data->Rsdp, framebuffer);
    }
}
