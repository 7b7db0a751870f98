using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Io;

namespace Asterinas.Ostd.Dma.Vtd;

/// <summary>The registers of a remapping unit (VT-d 3.2 §10.4), mapped for good.</summary>
// SAFETY: _base is a mapping of _bytes bytes, made here and never removed; At checks every offset. Only Ostd has the object: what it makes the unit do is argued there.
internal sealed unsafe class VtdRegisters
{
    public const int Version = 0x00, Capability = 0x08, ExtendedCapability = 0x10, GlobalCommand = 0x18, GlobalStatus = 0x1C, RootTable = 0x20, ContextCommand = 0x28,
        FaultStatus = 0x34, FaultControl = 0x38, FaultData = 0x3C, FaultAddress = 0x40, FaultUpperAddress = 0x44, ProtectedMemory = 0x64,
        QueueHead = 0x80, QueueTail = 0x88, QueueAddress = 0x90;

    private readonly byte* _base;
    private readonly ulong _bytes;

    private VtdRegisters(byte* mapping, ulong bytes)
    {
        _base = mapping;
        _bytes = bytes;
    }

    /// <summary>Maps registers and keeps them for the framework; null when there is no memory for the mapping.</summary>
    public static VtdRegisters? TryMap(ulong physical, ulong bytes)
    {
        nint mapping = Machine.MapIo(physical, (nuint)bytes, (int)IoCaching.Uncached);
        if (mapping == 0) return null;
        IoMem.AddSensitive(physical, bytes);
        return new VtdRegisters((byte*)mapping, bytes);
    }

    public uint Read32(int offset) => Machine.IoRead32(At(offset, 4));

    public ulong Read64(int offset) => Machine.IoRead64(At(offset, 8));

    public void Write32(int offset, uint value) => Machine.IoWrite32(At(offset, 4), value);

    public void Write64(int offset, ulong value) => Machine.IoWrite64(At(offset, 8), value);

    private byte* At(int offset, uint width)
    {
        if (offset < 0 || (ulong)offset + width > _bytes || (offset & ((int)width - 1)) != 0) throw new System.ArgumentOutOfRangeException(nameof(offset));
        return _base + offset;
    }
}
