using System;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Dma;
using Asterinas.Ostd.Interrupts;
using Asterinas.Ostd.Io;
using Asterinas.Ostd.Sync;

namespace Asterinas.Ostd.Pci;

/// <summary>
/// A function that one driver has for itself, until it is disposed: its memory and ports, its right to send requests, its interrupts.
/// <code>
///   quiet --TryClaim--> claimed, no requests --IsBusMaster = true--> sends requests and messages --Dispose--> quiet
/// </code>
/// Calls are serialised by a spin lock; none blocks.
/// </summary>
public sealed class PciDevice : IDisposable
{
    private sealed class Message(PciDevice device, int entry) : MessageSource
    {
        public const int Msi = -1;

        public int Entry => entry;

        public IrqLine? Line;

        public override void Stop() => device.Silence(this);
    }

    private readonly SpinLock _lock = new("pci device");
    private Message? _msi;
    private Message?[]? _messages;          // by entry of the table, once it is switched on
    private PciMsiXTable? _table;
    private bool _isDisposed;

    internal PciDevice(PciFunction function) => Function = function;

    /// <summary>What was claimed.</summary>
    public PciFunction Function { get; }

    /// <summary>What it reaches: where its <see cref="DmaCoherent"/> and <see cref="DmaStream"/> are mapped.</summary>
    public DmaDomain Dma => Function.Dma;

    /// <summary>
    /// Whether the function may send requests: read and write memory, and send message-signalled interrupts, which are writes. False at first.
    /// </summary>
    /// <exception cref="ObjectDisposedException">The claim was given back.</exception>
    public bool IsBusMaster
    {
        get
        {
            using SpinLock.Guard guard = Enter();
            return (Function.Command & PciCommand.BusMaster) != 0;
        }
        set
        {
            using SpinLock.Guard guard = Enter();
            SetBusMaster(value);
        }
    }

    /// <summary>
    /// Maps a memory register; null when there is none with that number, it has no address, or somebody has (part of) the memory: an earlier owner's object that was not
    /// collected yet, for example. The pages that hold the MSI-X table and its pending bits can be read, not written.
    /// </summary>
    /// <param name="index">Number of the base address register, 0 to 5.</param>
    /// <param name="caching">Uncached for registers; combining is for memory without side effects.</param>
    /// <exception cref="ObjectDisposedException">The claim was given back.</exception>
    public IoMem? TryMapBar(int index, IoCaching caching = IoCaching.Uncached) => Function.GetBar(index) is { } bar ? TryMapBar(index, 0, bar.Length, caching) : null;

    /// <summary>Maps part of a memory register; null as for the whole, or when the part is not inside or empty.</summary>
    /// <param name="index">Number of the base address register, 0 to 5.</param>
    /// <param name="offset">First byte, from the register's start.</param>
    /// <param name="length">Bytes.</param>
    /// <param name="caching">Uncached for registers.</param>
    /// <exception cref="ObjectDisposedException">The claim was given back.</exception>
    public IoMem? TryMapBar(int index, ulong offset, ulong length, IoCaching caching = IoCaching.Uncached)
    {
        using SpinLock.Guard guard = Enter();
        if (Function.GetBar(index) is not { IsMemory: true, IsAssigned: true } bar || offset >= bar.Length || length > bar.Length - offset) return null;
        IoMem? memory = Function.TryMap(bar, offset, length, caching);
        if (memory is not null) Function.Command |= PciCommand.Memory;
        return memory;
    }

    /// <summary>Claims the ports of a port register; null when there is none with that number, it has no address, or a port is sensitive or taken.</summary>
    /// <param name="index">Number of the base address register, 0 to 5.</param>
    /// <exception cref="ObjectDisposedException">The claim was given back.</exception>
    public IoPort? TryAcquirePorts(int index)
    {
        using SpinLock.Guard guard = Enter();
        if (Function.GetBar(index) is not { IsMemory: false, IsAssigned: true } bar) return null;
        IoPort? ports = IoPort.TryAcquire((ushort)bar.Start, (int)bar.Length);
        if (ports is not null) Function.Command |= PciCommand.Ports;
        return ports;
    }

    /// <summary>
    /// Lets the function send its interrupt as a message to a line, on the CPU that calls. It comes only while <see cref="IsBusMaster"/>. False when the function has no MSI,
    /// MSI or MSI-X is in use, or the line has a source already. It ends when the line or this object is disposed.
    /// </summary>
    /// <param name="line">A line of its own.</param>
    /// <exception cref="ObjectDisposedException">The claim was given back.</exception>
    public bool TryEnableMsi(IrqLine line)
    {
        ArgumentNullException.ThrowIfNull(line);
        using SpinLock.Guard guard = Enter();
        if (Function.Msi is not { } msi || _msi is not null || _messages is not null) return false;
        var message = new Message(this, Message.Msi) { Line = line };
        if (!line.TryAttach(message)) return false;
        _msi = message;
        Function.Command |= PciCommand.InterruptsOff;
        msi.Enable(Function.Config, Function.Address, Machine.MessageAddress(), line.Vector);
        return true;
    }

    /// <summary>
    /// Binds an entry of the MSI-X table to a line, on the CPU that calls. Messages come only while <see cref="IsBusMaster"/>. False when the function has no usable table,
    /// MSI is in use, the entry is bound, or the line has a source already. It ends when the line or this object is disposed.
    /// </summary>
    /// <param name="entry">0 to <see cref="PciFunction.MsiXCount"/> - 1.</param>
    /// <param name="line">A line of its own.</param>
    /// <exception cref="ArgumentOutOfRangeException">The table has no such entry.</exception>
    /// <exception cref="ObjectDisposedException">The claim was given back.</exception>
    public bool TryBindMsiX(int entry, IrqLine line)
    {
        ArgumentNullException.ThrowIfNull(line);
        using SpinLock.Guard guard = Enter();
        if (Function.MsiX is not { } capability || _msi is not null) return false;
        ArgumentOutOfRangeException.ThrowIfNegative(entry);
        ArgumentOutOfRangeException.ThrowIfGreaterThanOrEqual(entry, capability.Count);
        if (_messages is null && !TryEnableTable(capability)) return false;
        if (_messages![entry] is not null) return false;
        var message = new Message(this, entry) { Line = line };
        if (!line.TryAttach(message)) return false;
        _messages[entry] = message;
        _table!.Set(entry, Machine.MessageAddress(), line.Vector);
        return true;
    }

    /// <summary>
    /// Routes the function's interrupt pin to a line through the I/O APIC. The wiring of pins is known where the firmware's 8259 routing reaches the I/O APIC too (QEMU's
    /// machines). False, and a log line that says why, elsewhere; when the function has no pin; or when another line has the pin: pins are not shared.
    /// </summary>
    /// <param name="line">A line of its own.</param>
    /// <exception cref="ObjectDisposedException">The claim was given back.</exception>
    public bool TryRoutePin(IrqLine line)
    {
        ArgumentNullException.ThrowIfNull(line);
        using SpinLock.Guard guard = Enter();
        (byte isaLine, byte pin) = Function.InterruptPin;
        string? problem = pin is 0 or > 4 ? "the function has none"
            : !PciBus.PinsReachTheIoApic ? "the wiring of this machine's pins is not known"
            : isaLine is 0 or > 15 ? "the firmware routed it nowhere"
            : _msi is not null || _messages is not null ? "the function sends messages"
            : line.TryRouteIsaLevel(isaLine) ? null
            : "the line or the pin of the I/O APIC is in use";
        if (problem is not null)
        {
            Log.Info($"pci: {Function.Address}: no interrupt pin: {problem}");
            return false;
        }
        Function.Command &= ~PciCommand.InterruptsOff;
        return true;
    }

    /// <summary>Makes the function quiet and gives the claim back. Mapped memory and ports stay what they are until they are disposed of.</summary>
    public void Dispose()
    {
        using SpinLock.Guard guard = _lock.Lock();
        if (_isDisposed) return;
        _isDisposed = true;
        SetBusMaster(false);
        Function.Command |= PciCommand.InterruptsOff;
        Function.Msi?.Disable(Function.Config, Function.Address);
        Function.MsiX?.Disable(Function.Config, Function.Address);
        _msi?.Line!.Detach(_msi);
        foreach (Message? message in _messages ?? []) message?.Line!.Detach(message);
        _msi = null;
        _messages = null;
        Function.Dma.Detach(Function);
        Function.ReleaseClaim();
    }

    private SpinLock.Guard Enter()
    {
        SpinLock.Guard guard = _lock.Lock();
        if (!_isDisposed) return guard;
        guard.Dispose();
        throw new ObjectDisposedException(nameof(PciDevice));
    }

    private void SetBusMaster(bool isMaster)
    {
        PciCommand command = Function.Command;
        Function.Command = isMaster ? command | PciCommand.BusMaster : command & ~PciCommand.BusMaster;
        // The read waits for the write: the function sends nothing new after it.
        _ = Function.Command;
    }

    private bool TryEnableTable(PciMsiXCapability capability)
    {
        _table ??= PciMsiXTable.TryMap(capability);
        if (_table is null) return false;
        Function.Command |= PciCommand.Memory | PciCommand.InterruptsOff;
        capability.EnableMasked(Function.Config, Function.Address);
        _table.MaskAll();
        capability.Unmask(Function.Config, Function.Address);
        _messages = new Message?[capability.Count];
        return true;
    }

    // Called by a line that is being disposed of. A message that was replaced meanwhile is none of its business.
    private void Silence(Message message)
    {
        using SpinLock.Guard guard = _lock.Lock();
        if (_msi == message)
        {
            Function.Msi!.Disable(Function.Config, Function.Address);
            _ = Function.Command;
            _msi = null;
        }
        else if (message.Entry >= 0 && _messages is { } messages && messages[message.Entry] == message)
        {
            _table!.Mask(message.Entry);
            messages[message.Entry] = null;
        }
    }
}
