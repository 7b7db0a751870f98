using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using Asterinas.Ostd.Arch;

namespace Asterinas.Tests.Host.Pci;

/// <summary>Configuration space of a simulated function: bytes, and for each the bits that software can change.</summary>
internal sealed class SimulatedFunction
{
    public readonly byte[] Config = new byte[4096];
    public readonly byte[] Writable = new byte[4096];
    public readonly List<(int Offset, int Width, uint Value)> Writes = [];

    public SimulatedFunction(ushort vendor, ushort device, uint classCode = 0xFF0000, byte headerType = 0)
    {
        Set16(0x00, vendor);
        Set16(0x02, device);
        Set32(0x08, classCode << 8);
        Config[0x0E] = headerType;
        SetWritable(0x04, 0x0547);
    }

    public ushort Command => BinaryPrimitives.ReadUInt16LittleEndian(Config.AsSpan(4));

    public void Set16(int offset, ushort value) => BinaryPrimitives.WriteUInt16LittleEndian(Config.AsSpan(offset), value);

    public void Set32(int offset, uint value) => BinaryPrimitives.WriteUInt32LittleEndian(Config.AsSpan(offset), value);

    public uint Get32(int offset) => BinaryPrimitives.ReadUInt32LittleEndian(Config.AsSpan(offset));

    public ushort Get16(int offset) => BinaryPrimitives.ReadUInt16LittleEndian(Config.AsSpan(offset));

    public void SetWritable(int offset, uint bits) => BinaryPrimitives.WriteUInt32LittleEndian(Writable.AsSpan(offset), bits);

    /// <summary>A base address register with its value and the bits that can be written (the size mask).</summary>
    public SimulatedFunction Bar(int index, uint value, uint writable)
    {
        Set32(0x10 + 4 * index, value);
        SetWritable(0x10 + 4 * index, writable);
        return this;
    }

    /// <summary>A 32-bit memory register of a size.</summary>
    public SimulatedFunction Memory(int index, uint start, uint size) => Bar(index, start, 0 - size);

    /// <summary>A chain of capabilities: each gets its own bytes behind id and next pointer.</summary>
    public SimulatedFunction Capabilities(params (byte Offset, byte Id, byte[] Body)[] list)
    {
        Set16(0x06, 0x10);
        Config[0x34] = list.Length > 0 ? list[0].Offset : (byte)0;
        for (int i = 0; i < list.Length; i++)
        {
            Config[list[i].Offset] = list[i].Id;
            Config[list[i].Offset + 1] = i + 1 < list.Length ? list[i + 1].Offset : (byte)0;
            list[i].Body.CopyTo(Config, list[i].Offset + 2);
        }
        return this;
    }

    public uint Read(int offset, int width)
    {
        uint value = 0;
        for (int i = 0; i < width; i++) value |= (uint)Config[offset + i] << 8 * i;
        return value;
    }

    public void Write(int offset, int width, uint value)
    {
        Writes.Add((offset, width, value));
        for (int i = 0; i < width; i++)
        {
            byte mask = Writable[offset + i];
            Config[offset + i] = (byte)((Config[offset + i] & ~mask) | ((byte)(value >> 8 * i) & mask));
        }
    }
}

/// <summary>A simulated segment with its functions, behind ports 0xCF8 and 0xCFC and, when a test attaches it there, memory-mapped.</summary>
internal sealed class SimulatedPci : ISimulatedDevice
{
    public const ulong EcamBase = 0xB0000000;
    private readonly Dictionary<(int Bus, int Device, int Function), SimulatedFunction> _functions = [];
    private readonly EcamWindow _window;
    private uint _selector;

    public SimulatedPci() => _window = new EcamWindow(this);

    public long PortAccesses { get; private set; }

    public SimulatedFunction Add(int bus, int device, int function, SimulatedFunction added)
    {
        _functions.Add((bus, device, function), added);
        return added;
    }

    /// <summary>A bridge to a bus.</summary>
    public SimulatedFunction AddBridge(int bus, int device, byte secondary, byte expressType = 0xFF)
    {
        var bridge = new SimulatedFunction(0x1B36, 0x000C, 0x060400, 1);
        bridge.Config[0x18] = (byte)bus;
        bridge.Config[0x19] = bridge.Config[0x1A] = secondary;
        if (expressType != 0xFF) bridge.Capabilities((0x40, 0x10, [(byte)(expressType << 4), 0]));
        return Add(bus, device, 0, bridge);
    }

    public void Plug(bool isMemoryMapped)
    {
        Machine.Ports.Attach(0xCF8, 8, this);
        if (isMemoryMapped) Machine.DeviceMemory.Attach(EcamBase, 256 << 20, _window);
    }

    public void Unplug()
    {
        Machine.Ports.Detach(this);
        Machine.DeviceMemory.Detach(_window);
    }

    public ulong Read(ulong offset, int width)
    {
        PortAccesses++;
        if (offset < 4) return offset == 0 && width == 4 ? _selector : uint.MaxValue;
        if ((_selector & 0x80000000) == 0) return uint.MaxValue;
        return Find((int)(_selector >> 16 & 0xFF), (int)(_selector >> 8 & 0xFF))?.Read((int)(_selector & 0xFC) + (int)offset - 4, width) ?? uint.MaxValue;
    }

    public void Write(ulong offset, int width, ulong value)
    {
        PortAccesses++;
        if (offset == 0 && width == 4) _selector = (uint)value;
        if (offset < 4 || (_selector & 0x80000000) == 0) return;
        Find((int)(_selector >> 16 & 0xFF), (int)(_selector >> 8 & 0xFF))?.Write((int)(_selector & 0xFC) + (int)offset - 4, width, (uint)value);
    }

    private SimulatedFunction? Find(int bus, int devfn) => _functions.GetValueOrDefault((bus, devfn >> 3, devfn & 7));

    private sealed class EcamWindow(SimulatedPci pci) : ISimulatedDevice
    {
        public ulong Read(ulong offset, int width) => pci.Find((int)(offset >> 20), (int)(offset >> 12 & 0xFF))?.Read((int)(offset & 0xFFF), width) ?? ulong.MaxValue;

        public void Write(ulong offset, int width, ulong value) => pci.Find((int)(offset >> 20), (int)(offset >> 12 & 0xFF))?.Write((int)(offset & 0xFFF), width, (uint)value);
    }
}
