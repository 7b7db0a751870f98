using System.Numerics;
using Asterinas.Ostd.Memory;

namespace Asterinas.Ostd.Pci;

/// <summary>What a base address register leads to.</summary>
public enum PciBarKind
{
    /// <summary>Device memory with a 32-bit address.</summary>
    Memory32,
    /// <summary>Device memory with a 64-bit address; it takes two registers.</summary>
    Memory64,
    /// <summary>I/O ports.</summary>
    Ports,
}

/// <summary>A base address register as the firmware set it and the function sized it.</summary>
/// <param name="Kind">Memory or ports.</param>
/// <param name="Start">First address, or first port; 0 when the firmware assigned none.</param>
/// <param name="Length">Bytes or ports, a power of two.</param>
/// <param name="IsPrefetchable">Reads have no side effects, so writes may be combined.</param>
public readonly record struct PciBar(PciBarKind Kind, ulong Start, ulong Length, bool IsPrefetchable)
{
    private const int FirstOffset = 0x10;
    private const uint PortFlag = 1, PortFlags = 3, MemoryFlags = 15, TypeMask = 6, Type64 = 4, TypeReserved = 6, Prefetchable = 8;
    private const ulong SmallestMemory = 16, SmallestPorts = 4, MostPorts = 65536;

    /// <summary>Whether it has an address.</summary>
    public bool IsAssigned => Start != 0;

    /// <summary>Whether it leads to device memory.</summary>
    public bool IsMemory => Kind != PciBarKind.Ports;

    /// <summary>
    /// Reads and sizes the registers of a function whose decoding is switched off (PCI Local Bus 3.0 §6.2.5.1): all ones are written, what stays 0 is the size. A register
    /// that answers what no device may (holes in the mask, a start that is not aligned, a range that wraps) counts as absent.
    /// </summary>
    internal static PciBar?[] Read(PciConfigSpace config, PciAddress address, int registers)
    {
        var bars = new PciBar?[registers];
        for (int i = 0; i < registers; i++)
        {
            int offset = FirstOffset + 4 * i;
            uint low = config.Read32(address, offset);
            uint mask = Probe(config, address, offset, low);
            if (mask is 0 or uint.MaxValue) continue;
            if ((low & PortFlag) != 0)
            {
                // Devices may decode 16 bits only: the upper half then stays 0.
                uint ports = mask & ~PortFlags;
                if (ports >> 16 == 0) ports |= 0xFFFF0000;
                bars[i] = Check(PciBarKind.Ports, low & ~PortFlags, 0xFFFFFFFF00000000 | ports, false);
                continue;
            }
            bool is64 = (low & TypeMask) == Type64;
            if ((low & TypeMask) == TypeReserved || (is64 && i + 1 == registers)) continue;
            ulong start = low & ~MemoryFlags, wide = 0xFFFFFFFF00000000 | mask & ~MemoryFlags;
            if (is64)
            {
                uint high = config.Read32(address, offset + 4);
                start |= (ulong)high << 32;
                wide = (ulong)Probe(config, address, offset + 4, high) << 32 | mask & ~MemoryFlags;
            }
            bars[i] = Check(is64 ? PciBarKind.Memory64 : PciBarKind.Memory32, start, wide, (low & Prefetchable) != 0);
            if (is64) i++;
        }
        return bars;
    }

    private static uint Probe(PciConfigSpace config, PciAddress address, int offset, uint value)
    {
        config.Write32(address, offset, uint.MaxValue);
        uint mask = config.Read32(address, offset);
        config.Write32(address, offset, value);
        return mask;
    }

    private static PciBar? Check(PciBarKind kind, ulong start, ulong mask, bool isPrefetchable)
    {
        ulong length = 0 - mask;
        bool isPorts = kind == PciBarKind.Ports;
        if (!BitOperations.IsPow2(length) || length < (isPorts ? SmallestPorts : SmallestMemory) || length > 1UL << 62) return null;
        if ((start & (length - 1)) != 0 || (isPorts && start + length > MostPorts) || start > ulong.MaxValue - length) return null;
        return new PciBar(kind, start, length, isPrefetchable);
    }
}
