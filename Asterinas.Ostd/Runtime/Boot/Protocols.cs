using System;

namespace Asterinas.Ostd.Runtime;

/// <summary>Reads hvm_start_info (Xen's x86/HVM direct boot ABI, version 1). All pointers are physical and below 4 GiB.</summary>
// SAFETY: the loader's structures lie below 4 GiB of physical memory, which the boot tables map; they are trusted (the loader could have replaced the
// kernel itself), checked for their magic number, and only read.
internal static unsafe class Pvh
{
    private const uint Magic = 0x336EC578;

    public static void Read(ulong information, BootInfoData* info)
    {
        byte* p = (byte*)KernelMap.PhysToVirt(information);
        if (*(uint*)p != Magic) Boot.Refuse("boot failed: bad PVH start information\n"u8);
        uint version = *(uint*)(p + 4), modules = *(uint*)(p + 12);
        ulong moduleList = *(ulong*)(p + 16), commandLine = *(ulong*)(p + 24);
        info->Rsdp = *(ulong*)(p + 32);
        if (commandLine != 0) BootText.Copy((byte*)KernelMap.PhysToVirt(commandLine), info);
        if (modules > 0 && moduleList != 0)
        {
            ulong* module = (ulong*)KernelMap.PhysToVirt(moduleList);
            info->InitramfsStart = module[0];
            info->InitramfsLength = module[1];
        }
        if (version < 1) return;
        ulong map = *(ulong*)(p + 40);
        uint entries = *(uint*)(p + 48);
        for (uint i = 0; i < entries && info->RangeCount < BootInfoData.MaxRanges; i++)
        {
            byte* entry = (byte*)KernelMap.PhysToVirt(map) + i * 24;
            BootText.AddRange(info, *(ulong*)entry, *(ulong*)(entry + 8), *(uint*)(entry + 16));
        }
    }
}

/// <summary>Reads the Multiboot2 information (specification 2.0, §3.6): tags of 8-byte alignment, ended by type 0.</summary>
// SAFETY: as for Pvh; besides, every tag is checked against the total size before its fields are read.
internal static unsafe class Multiboot2
{
    public static void Read(ulong information, BootInfoData* info)
    {
        byte* p = (byte*)KernelMap.PhysToVirt(information);
        uint total = *(uint*)p;
        for (uint at = 8; at + 8 <= total;)
        {
            byte* tag = p + at;
            uint type = *(uint*)tag, size = *(uint*)(tag + 4);
            if (type == 0 || size < 8 || at + size > total) return;
            switch (type)
            {
                case 1:
                    BootText.Copy(tag + 8, info);
                    break;
                case 3 when info->InitramfsLength == 0:
                    info->InitramfsStart = *(uint*)(tag + 8);
                    info->InitramfsLength = *(uint*)(tag + 12) - *(uint*)(tag + 8);
                    break;
                case 6:
                    uint entrySize = *(uint*)(tag + 8);
                    if (entrySize < 24) break;
                    for (uint entry = 16; entry + entrySize <= size; entry += entrySize)
                        BootText.AddRange(info, *(ulong*)(tag + entry), *(ulong*)(tag + entry + 8), *(uint*)(tag + entry + 16));
                    break;
                case 8:
                    if (tag[29] != 1) break;                // direct RGB only
                    info->FramebufferAddress = *(ulong*)(tag + 8);
                    info->FramebufferPitch = *(uint*)(tag + 16);
                    info->FramebufferWidth = *(uint*)(tag + 20);
                    info->FramebufferHeight = *(uint*)(tag + 24);
                    info->FramebufferBitsPerPixel = tag[28];
                    break;
                case 14 when info->Rsdp == 0:
                case 15:
                    // A copy of the RSDP inside the tag; it lies in RAM that stays reserved until ACPI has been read.
                    info->Rsdp = (ulong)(tag + 8) - KernelMap.DirectMapBase;
                    break;
            }
            at += (size + 7) & ~7u;
        }
    }
}

/// <summary>What both protocols share.</summary>
// SAFETY: info is the boot code's own structure; names are literals that end with a zero, and so does the command line; both writers stop at its array's size. A command line ends with its zero (both protocols say so) or at the limit.
internal static unsafe class BootText
{
    public static void Copy(byte* text, BootInfoData* info)
    {
        int i = 0;
        for (; i < BootInfoData.MaxCommandLine - 1 && text[i] != 0; i++) info->CommandLine[i] = text[i];
        info->CommandLine[i] = 0;
    }

    /// <summary>The number behind a word of the command line that begins with a name and an equals sign; -1 when there is none.</summary>
    public static int Number(BootInfoData* info, byte* name)
    {
        byte* text = info->CommandLine;
        for (int at = 0; text[at] != 0; at++)
        {
            int i = 0;
            while (name[i] != 0 && text[at + i] == name[i]) i++;
            byte* digit = text + at + i;
            if (name[i] != 0 || (at > 0 && text[at - 1] != ' ') || *digit is < (byte)'0' or > (byte)'9') continue;
            int value = 0;
            for (; *digit is >= (byte)'0' and <= (byte)'9' && value < 1000000; digit++) value = value * 10 + *digit - '0';
            return value;
        }
        return -1;
    }

    public static void AddRange(BootInfoData* info, ulong start, ulong length, uint kind)
    {
        if (info->RangeCount >= BootInfoData.MaxRanges || length == 0 || start + length < start) return;
        BootMemoryRange* range = info->Range(info->RangeCount++);
        range->Start = start;
        range->Length = length;
        range->Kind = kind is >= 1 and <= 5 ? (BootMemoryKind)kind : BootMemoryKind.Reserved;
        range->Padding = 0;
    }
}
