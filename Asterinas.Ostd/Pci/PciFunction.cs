using System;
using System.Collections.Generic;
using System.Threading;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Dma;
using Asterinas.Ostd.Io;

namespace Asterinas.Ostd.Pci;

/// <summary>
/// A function of a PCI device: who it is, what it has. Anybody may look; whoever wants to use it claims it (<see cref="TryClaim"/>), one driver at a time. Configuration space is
/// read here and written by Ostd alone: base addresses, bridge windows, message interrupts and the registers of chipsets decide what memory a device reaches.
/// </summary>
public sealed class PciFunction
{
    private const int VendorOffset = 0x00, DeviceOffset = 0x02, CommandOffset = 0x04, RevisionOffset = 0x08, InterfaceOffset = 0x09, SubclassOffset = 0x0A, ClassOffset = 0x0B,
        HeaderTypeOffset = 0x0E, SecondaryBusOffset = 0x19, SubsystemVendorOffset = 0x2C, SubsystemOffset = 0x2E, InterruptLineOffset = 0x3C, InterruptPinOffset = 0x3D;
    private const int EndpointBars = 6, BridgeBars = 2;
    private const byte BridgeClass = 0x06;

    private readonly PciConfigSpace _config;
    private readonly PciBar?[] _bars;
    private readonly PciCapability[] _capabilities;
    private readonly MemoryRange[] _protected = [];
    private int _isClaimed;

    /// <summary>Reads a function that is there, and makes it quiet: no bus mastering, no interrupts, until somebody claims it. Bridges go on forwarding.</summary>
    internal PciFunction(PciConfigSpace config, PciAddress address, PciFunction? bridge)
    {
        _config = config;
        Address = address;
        Bridge = bridge;
        VendorId = config.Read16(address, VendorOffset);
        DeviceId = config.Read16(address, DeviceOffset);
        Revision = config.Read8(address, RevisionOffset);
        ProgrammingInterface = config.Read8(address, InterfaceOffset);
        Subclass = config.Read8(address, SubclassOffset);
        ClassCode = config.Read8(address, ClassOffset);
        HeaderType = config.Read8(address, HeaderTypeOffset) & 0x7F;
        _capabilities = PciCapability.Read(config, address);

        var command = (PciCommand)config.Read16(address, CommandOffset);
        PciCommand decoding = command & (PciCommand.Ports | PciCommand.Memory);
        if (IsBridge)
        {
            // The framework's own: nobody sizes or claims it. What lies behind needs its forwarding.
            _bars = [];
            if (HeaderType == PciHeader.Bridge) Command = decoding | PciCommand.BusMaster | PciCommand.Memory | PciCommand.Ports | (command & PciCommand.Kept);
            return;
        }
        SubsystemVendorId = HeaderType == PciHeader.Endpoint ? config.Read16(address, SubsystemVendorOffset) : (ushort)0;
        SubsystemId = HeaderType == PciHeader.Endpoint ? config.Read16(address, SubsystemOffset) : (ushort)0;
        Command = (command & PciCommand.Kept) | PciCommand.InterruptsOff;
        _bars = PciBar.Read(config, address, HeaderType switch { PciHeader.Endpoint => EndpointBars, PciHeader.Bridge => BridgeBars, _ => 0 });
        for (int i = 0; i < _bars.Length; i++)
        {
            // Firmware that places a device over RAM or over the interrupt controllers is not followed.
            if (_bars[i] is not { IsMemory: true, IsAssigned: true } bar || IoMem.IsFree(bar.Start, bar.Length)) continue;
            Log.Warning($"pci: {Address}: the memory at 0x{bar.Start:x} belongs to the machine: not used");
            _bars[i] = null;
        }
        Command |= decoding;
        Msi = PciMsiCapability.TryRead(config, address, _capabilities);
        MsiX = PciMsiXCapability.TryRead(config, address, _capabilities, _bars);
        if (MsiX is { } table)
        {
            _protected = table.ProtectedPages(_bars);
            foreach (MemoryRange pages in _protected) IoMem.AddSensitive(pages.Start, pages.Length, this);
        }
        Msi?.Disable(config, address);
        MsiX?.Disable(config, address);
    }

    /// <summary>Where it sits.</summary>
    public PciAddress Address { get; }

    /// <summary>The bridge to its bus; null on a root bus.</summary>
    public PciFunction? Bridge { get; }

    /// <summary>Who made the chip.</summary>
    public ushort VendorId { get; }

    /// <summary>Which of the vendor's.</summary>
    public ushort DeviceId { get; }

    /// <summary>Who made the board; 0 for a bridge.</summary>
    public ushort SubsystemVendorId { get; }

    /// <summary>Which of that vendor's; 0 for a bridge.</summary>
    public ushort SubsystemId { get; }

    /// <summary>Revision of the chip.</summary>
    public byte Revision { get; }

    /// <summary>What it does: 1 storage, 2 network, 3 display, 6 bridge … (PCI Code and ID Assignment 1.11 §1).</summary>
    public byte ClassCode { get; }

    /// <summary>What it does, within the class.</summary>
    public byte Subclass { get; }

    /// <summary>How it is programmed, within the subclass.</summary>
    public byte ProgrammingInterface { get; }

    /// <summary>Whether it is a bridge of any kind: part of the machine's wiring, which cannot be claimed.</summary>
    public bool IsBridge => ClassCode == BridgeClass || HeaderType == PciHeader.Bridge;

    /// <summary>Whether a driver has it.</summary>
    public bool IsClaimed => Volatile.Read(ref _isClaimed) != 0;

    /// <summary>The capability list, in its order.</summary>
    public IReadOnlyList<PciCapability> Capabilities => _capabilities;

    /// <summary>Entries of the MSI-X table; 0 without a usable one.</summary>
    public int MsiXCount => MsiX?.Count ?? 0;

    /// <summary>Whether it can send message-signalled interrupts without a table.</summary>
    public bool HasMsi => Msi is not null;

    internal int HeaderType { get; }

    internal PciMsiCapability? Msi { get; }

    internal PciMsiXCapability? MsiX { get; }

    internal PciConfigSpace Config => _config;

    /// <summary>The first bus behind a bridge; 0 when the firmware did not give it one, or for another kind of header.</summary>
    internal byte SecondaryBus => HeaderType == PciHeader.Bridge ? _config.Read8(Address, SecondaryBusOffset) : (byte)0;

    /// <summary>The 8259 line that the firmware routed its pin to, and the pin: 0 none, 1 INTA to 4 INTD.</summary>
    internal (byte Line, byte Pin) InterruptPin => (_config.Read8(Address, InterruptLineOffset), _config.Read8(Address, InterruptPinOffset));

    /// <summary>What it reaches. Set at boot.</summary>
    internal DmaDomain Dma { get; set; } = DmaDomain.Physical;

    /// <summary>The command register. Written under the owner's lock, or by the enumeration.</summary>
    internal PciCommand Command
    {
        get => (PciCommand)_config.Read16(Address, CommandOffset);
        set => _config.Write16(Address, CommandOffset, (ushort)value);
    }

    /// <summary>A base address register; null when there is none with that number. The second half of a 64-bit one has no number of its own.</summary>
    /// <param name="index">0 to 5.</param>
    public PciBar? GetBar(int index) => (uint)index < (uint)_bars.Length ? _bars[index] : null;

    /// <summary>The first capability of a kind at or after a position in the list; null when there is none.</summary>
    /// <param name="id">What to look for.</param>
    /// <param name="start">Index in <see cref="Capabilities"/> to begin at.</param>
    public PciCapability? FindCapability(byte id, int start = 0)
    {
        for (int i = Math.Max(start, 0); i < _capabilities.Length; i++)
        {
            if (_capabilities[i].Id == id) return _capabilities[i];
        }
        return null;
    }

    /// <summary>Reads a byte of configuration space.</summary>
    /// <param name="offset">0 to 4,095; aligned to the width. From 256 on all ones, when the machine reaches the first 256 only.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not inside, or not aligned.</exception>
    public byte ReadConfig8(int offset) => IsReached(offset, 1) ? _config.Read8(Address, offset) : byte.MaxValue;

    /// <summary>Reads 16 bits of configuration space.</summary>
    /// <inheritdoc cref="ReadConfig8"/>
    public ushort ReadConfig16(int offset) => IsReached(offset, 2) ? _config.Read16(Address, offset) : ushort.MaxValue;

    /// <summary>Reads 32 bits of configuration space.</summary>
    /// <inheritdoc cref="ReadConfig8"/>
    public uint ReadConfig32(int offset) => IsReached(offset, 4) ? _config.Read32(Address, offset) : uint.MaxValue;

    /// <summary>Takes the function for one driver; null when somebody has it, it is a bridge, or the IOMMU has no room for it.</summary>
    public PciDevice? TryClaim()
    {
        if (IsBridge || Interlocked.CompareExchange(ref _isClaimed, 1, 0) != 0) return null;
        PciDevice? device = null;
        try
        {
            device = new PciDevice(this);
            if (!Dma.TryAttach(this)) device = null;
        }
        finally
        {
            if (device is null) ReleaseClaim();
        }
        return device;
    }

    /// <inheritdoc/>
    public override string ToString() => $"{Address} [{VendorId:x4}:{DeviceId:x4}] class {ClassCode:x2}{Subclass:x2}{ProgrammingInterface:x2}";

    internal void ReleaseClaim() => Volatile.Write(ref _isClaimed, 0);

    /// <summary>Claims part of a memory register. Pages with the MSI-X table or its pending bits are read-only in it.</summary>
    internal IoMem? TryMap(PciBar bar, ulong offset, ulong length, IoCaching caching)
    {
        var part = new MemoryRange(bar.Start + offset, length);
        MemoryRange[] readOnly = Array.FindAll(_protected, pages => pages.Overlaps(part.Start, part.Length));
        return IoMem.TryAcquire(new Memory.PhysicalAddress(part.Start), part.Length, caching, this, readOnly);
    }

    /// <summary>
    /// The senders that the IOMMU may see in this function's requests: its own, and what bridges to conventional PCI put in its place (PCI Express to PCI/PCI-X Bridge 1.0 §2.3).
    /// The last one decides which functions cannot be told apart.
    /// </summary>
    internal ushort[] RequesterIds()
    {
        const int TypeToPci = 7, TypeFromPci = 8;
        var senders = new List<ushort> { Address.RequesterId };
        for (PciFunction? bridge = Bridge; bridge is not null; bridge = bridge.Bridge)
        {
            int type = bridge.FindCapability(PciCapability.Express) is { } express ? bridge.ReadConfig16(express.Offset + 2 & ~1) >> 4 & 15 : -1;
            if (type == TypeToPci) senders.Add((ushort)(bridge.SecondaryBus << 8));
            else if (type is -1 or TypeFromPci) senders.Add(bridge.Address.RequesterId);
        }
        return [.. senders];
    }

    private bool IsReached(int offset, int width)
    {
        if ((uint)offset >= PciConfigSpace.Bytes || (offset & (width - 1)) != 0) throw new ArgumentOutOfRangeException(nameof(offset));
        return offset < _config.Reach(Address);
    }
}

/// <summary>Layouts of the configuration header.</summary>
internal static class PciHeader
{
    public const int Endpoint = 0, Bridge = 1;
}

/// <summary>Bits of the command register (PCI Local Bus 3.0 §6.2.2).</summary>
[Flags]
internal enum PciCommand : ushort
{
    Ports = 1 << 0,
    Memory = 1 << 1,
    BusMaster = 1 << 2,
    InterruptsOff = 1 << 10,
    /// <summary>Parity and error reporting: as the firmware wants them.</summary>
    Kept = 1 << 6 | 1 << 8,
}
