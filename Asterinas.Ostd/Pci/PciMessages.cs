using System;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Interrupts;
using Asterinas.Ostd.Io;

namespace Asterinas.Ostd.Pci;

/// <summary>
/// The MSI capability (PCI Local Bus 3.0 §6.8.1). Its address and data say which vector of which CPU a device interrupts, so nobody but Ostd writes them. One message is used,
/// whatever the function offers: each has a line of its own.
/// </summary>
/// <param name="Offset">Where the capability lies.</param>
/// <param name="Is64Bit">The address has an upper half.</param>
/// <param name="HasMask">There are mask bits.</param>
internal sealed record PciMsiCapability(int Offset, bool Is64Bit, bool HasMask)
{
    private const ushort EnableBit = 1, MultipleEnable = 7 << 4, Is64BitFlag = 1 << 7, HasMaskFlag = 1 << 8;
    private const int ControlAt = 2, AddressAt = 4, UpperAt = 8;

    private int DataAt => Is64Bit ? 12 : 8;

    private int MaskAt => DataAt + 4;

    /// <summary>The capability of a function; null when there is none or it leaves configuration space.</summary>
    public static PciMsiCapability? TryRead(PciConfigSpace config, PciAddress address, PciCapability[] capabilities)
    {
        int index = Array.FindIndex(capabilities, c => c.Id == PciCapability.Msi);
        if (index < 0) return null;
        int offset = capabilities[index].Offset;
        ushort control = config.Read16(address, offset + ControlAt);
        var found = new PciMsiCapability(offset, (control & Is64BitFlag) != 0, (control & HasMaskFlag) != 0);
        return offset + found.MaskAt + (found.HasMask ? 8 : 0) <= PciConfigSpace.LegacyBytes ? found : null;
    }

    public void Enable(PciConfigSpace config, PciAddress address, ulong messageAddress, int vector)
    {
        Disable(config, address);
        config.Write32(address, Offset + AddressAt, (uint)messageAddress);
        if (Is64Bit) config.Write32(address, Offset + UpperAt, (uint)(messageAddress >> 32));
        config.Write16(address, Offset + DataAt, (ushort)vector);
        if (HasMask) config.Write32(address, Offset + MaskAt, ~1u);
        ushort control = config.Read16(address, Offset + ControlAt);
        config.Write16(address, Offset + ControlAt, (ushort)((control & ~MultipleEnable) | EnableBit));
    }

    public void Disable(PciConfigSpace config, PciAddress address)
    {
        ushort control = config.Read16(address, Offset + ControlAt);
        config.Write16(address, Offset + ControlAt, (ushort)(control & ~EnableBit));
    }
}

/// <summary>
/// The MSI-X capability (PCI Local Bus 3.0 §6.8.2): a table of messages in device memory. Its pages are never writable for anybody but Ostd.
/// </summary>
/// <param name="Offset">Where the capability lies.</param>
/// <param name="Count">Entries, 1 to 2,048.</param>
/// <param name="Table">Where the table is.</param>
/// <param name="Pending">Where the pending bits are.</param>
internal sealed record PciMsiXCapability(int Offset, int Count, MemoryRange Table, MemoryRange Pending)
{
    public const int EntryBytes = 16;
    private const ushort EnableBit = 1 << 15, FunctionMask = 1 << 14, CountMask = 0x7FF;
    private const int ControlAt = 2, TableAt = 4, PendingAt = 8, CapabilityBytes = 12;
    private const ulong PageMask = Memory.PageSize.Small - 1;

    /// <summary>The capability of a function; null when there is none, or the table or the pending bits are not inside memory of the function.</summary>
    public static PciMsiXCapability? TryRead(PciConfigSpace config, PciAddress address, PciCapability[] capabilities, PciBar?[] bars)
    {
        int index = Array.FindIndex(capabilities, c => c.Id == PciCapability.MsiX);
        if (index < 0) return null;
        int offset = capabilities[index].Offset;
        if (offset + CapabilityBytes > PciConfigSpace.LegacyBytes) return null;
        int count = (config.Read16(address, offset + ControlAt) & CountMask) + 1;
        MemoryRange? table = Locate(config.Read32(address, offset + TableAt), (ulong)count * EntryBytes, bars);
        MemoryRange? pending = Locate(config.Read32(address, offset + PendingAt), (ulong)(count + 63) / 64 * 8, bars);
        if (table is { } t && pending is { } p) return new PciMsiXCapability(offset, count, t, p);
        Log.Warning($"pci: {address}: the MSI-X table of {count} entries is not inside the function's memory: not used");
        return null;
    }

    /// <summary>The pages that hold the table and the pending bits, as far as they are the function's own.</summary>
    public MemoryRange[] ProtectedPages(PciBar?[] bars) => [Pages(Table, bars), Pages(Pending, bars)];

    /// <summary>Switches the table on with every entry masked. The caller maps it and masks the entries while the function mask is set.</summary>
    public void EnableMasked(PciConfigSpace config, PciAddress address) => Control(config, address, EnableBit | FunctionMask, 0);

    public void Unmask(PciConfigSpace config, PciAddress address) => Control(config, address, 0, FunctionMask);

    public void Disable(PciConfigSpace config, PciAddress address) => Control(config, address, 0, EnableBit);

    private void Control(PciConfigSpace config, PciAddress address, int set, int clear)
    {
        ushort control = config.Read16(address, Offset + ControlAt);
        config.Write16(address, Offset + ControlAt, (ushort)((control | set) & ~clear));
    }

    private static MemoryRange? Locate(uint register, ulong length, PciBar?[] bars)
    {
        uint bar = register & 7, offset = register & ~7u;
        if (bar >= bars.Length || bars[bar] is not { IsMemory: true, IsAssigned: true } memory) return null;
        return offset <= memory.Length && length <= memory.Length - offset ? new MemoryRange(memory.Start + offset, length) : null;
    }

    private static MemoryRange Pages(MemoryRange range, PciBar?[] bars)
    {
        ulong start = range.Start & ~PageMask, end = (range.Start + range.Length + PageMask) & ~PageMask;
        foreach (PciBar? bar in bars)
        {
            if (bar is not { IsMemory: true, IsAssigned: true } memory || range.Start < memory.Start || range.Start - memory.Start >= memory.Length) continue;
            start = Math.Max(start, memory.Start);
            end = Math.Min(end, memory.Start + memory.Length);
        }
        return new MemoryRange(start, end - start);
    }
}

/// <summary>The MSI-X table of a claimed function, mapped for Ostd alone. Under the lock of its device.</summary>
internal sealed unsafe class PciMsiXTable
{
    // SAFETY: _base is a mapping of exactly the table, made here and never removed; entries are checked against the count.
    private const int AddressAt = 0, UpperAt = 4, DataAt = 8, ControlAt = 12;
    private const uint Masked = 1;

    private readonly byte* _base;
    private readonly int _count;

    private PciMsiXTable(byte* mapping, int count)
    {
        _base = mapping;
        _count = count;
    }

    /// <summary>Maps the table and masks every entry; null when there is no memory for the mapping.</summary>
    public static PciMsiXTable? TryMap(PciMsiXCapability capability)
    {
        nint mapping = Machine.MapIo(capability.Table.Start, (nuint)capability.Table.Length, (int)IoCaching.Uncached);
        return mapping == 0 ? null : new PciMsiXTable((byte*)mapping, capability.Count);
    }

    public void MaskAll()
    {
        for (int i = 0; i < _count; i++) Mask(i);
    }

    /// <summary>Masks an entry. When it returns, no message of the entry is on its way: the read pushes posted writes ahead of it.</summary>
    public void Mask(int entry)
    {
        Machine.IoWrite32(At(entry) + ControlAt, Masked);
        _ = Machine.IoRead32(At(entry) + ControlAt);
    }

    public void Set(int entry, ulong messageAddress, int vector)
    {
        byte* at = At(entry);
        Machine.IoWrite32(at + ControlAt, Masked);
        Machine.IoWrite32(at + AddressAt, (uint)messageAddress);
        Machine.IoWrite32(at + UpperAt, (uint)(messageAddress >> 32));
        Machine.IoWrite32(at + DataAt, (uint)vector);
        Machine.IoWrite32(at + ControlAt, 0);
    }

    private byte* At(int entry) => (uint)entry < (uint)_count ? _base + entry * PciMsiXCapability.EntryBytes : throw new ArgumentOutOfRangeException(nameof(entry));
}
