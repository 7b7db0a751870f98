using System;
using System.Threading;
using Asterinas.Ostd.Arch;

namespace Asterinas.Ostd.Io;

/// <summary>
/// A range of x86 I/O ports that belongs to one driver. Ports whose misuse could break memory safety (interrupt controllers, timers of the framework, PCI configuration, ISA
/// DMA, power management) cannot be acquired.
/// </summary>
public sealed class IoPort : IDisposable
{
    private static readonly RangeClaims s_claims = Sensitive();

    private readonly ushort _start;
    private readonly int _count;
    private int _isDisposed;

    private IoPort(ushort start, int count)
    {
        _start = start;
        _count = count;
    }

    /// <summary>Number of ports.</summary>
    public int Count => _count;

    /// <summary>Claims ports for the caller alone; null when one of them is sensitive or taken.</summary>
    /// <param name="start">First port.</param>
    /// <param name="count">1 to 65,536 - start.</param>
    /// <exception cref="ArgumentOutOfRangeException">The count is out of range.</exception>
    public static IoPort? TryAcquire(ushort start, int count)
    {
        if (count < 1 || count > 65536 - start) throw new ArgumentOutOfRangeException(nameof(count));
        return s_claims.TryClaim(start, (ulong)count) ? new IoPort(start, count) : null;
    }

    /// <summary>Reads a byte.</summary>
    /// <param name="offset">Port relative to the first one.</param>
    /// <exception cref="ArgumentOutOfRangeException">The access leaves the range.</exception>
    /// <exception cref="ObjectDisposedException">The ports were given back.</exception>
    public byte Read8(int offset) => Machine.In8(Port(offset, 1));

    /// <summary>Reads 16 bits.</summary>
    /// <inheritdoc cref="Read8"/>
    public ushort Read16(int offset) => Machine.In16(Port(offset, 2));

    /// <summary>Reads 32 bits.</summary>
    /// <inheritdoc cref="Read8"/>
    public uint Read32(int offset) => Machine.In32(Port(offset, 4));

    /// <summary>Writes a byte.</summary>
    /// <param name="offset">Port relative to the first one.</param>
    /// <param name="value">The value.</param>
    /// <exception cref="ArgumentOutOfRangeException">The access leaves the range.</exception>
    /// <exception cref="ObjectDisposedException">The ports were given back.</exception>
    public void Write8(int offset, byte value) => Machine.Out8(Port(offset, 1), value);

    /// <summary>Writes 16 bits.</summary>
    /// <inheritdoc cref="Write8"/>
    public void Write16(int offset, ushort value) => Machine.Out16(Port(offset, 2), value);

    /// <summary>Writes 32 bits.</summary>
    /// <inheritdoc cref="Write8"/>
    public void Write32(int offset, uint value) => Machine.Out32(Port(offset, 4), value);

    /// <summary>Gives the ports back.</summary>
    public void Dispose()
    {
        // Two that dispose at once must not give back the next owner's claim.
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0) return;
        s_claims.Release(_start, (ulong)_count);
    }

    /// <summary>Keeps ports for the framework (ACPI's, known only at run time).</summary>
    internal static void AddSensitive(ushort start, int count) => s_claims.AddSensitive(start, (ulong)count);

    private ushort Port(int offset, int width)
    {
        ObjectDisposedException.ThrowIf(_isDisposed != 0, this);
        if (offset < 0 || offset > _count - width) throw new ArgumentOutOfRangeException(nameof(offset));
        return (ushort)(_start + offset);
    }

    private static RangeClaims Sensitive()
    {
        var claims = new RangeClaims();
        (ushort Start, int Count)[] kept =
        [
            (0x00, 0x20), (0x80, 0x10), (0xC0, 0x20),      // ISA DMA: it reaches memory without any check
            (0x20, 2), (0xA0, 2), (0x4D0, 2),               // interrupt controllers
            (0x40, 4), (0x61, 1),                           // PIT and its gate: time is calibrated with it
            (0x70, 2),                                      // CMOS: also masks NMIs
            (0x92, 1), (0x60, 1), (0x64, 1), (0xCF9, 1),    // A20 (the keyboard controller has it too) and reset
            (0xB2, 2),                                      // SMI: firmware runs with all rights
            (0x510, 12),                                    // QEMU's fw_cfg: its DMA reaches memory without any check
            (0xA00, 32), (0xCD8, 12), (0xAF00, 32),         // QEMU's hot plug: memory and CPUs would go
            (0xCF8, 1), (0xCFA, 6),                         // PCI configuration: base addresses and MSI decide what a device may touch
            (0x3F8, 8), (0xF4, 1),                          // the framework's console and exit status
            (0x600, 0x80), (0xB000, 0x40),                  // ACPI power management of q35, i440fx and their relatives
        ];
        foreach ((ushort start, int count) in kept) claims.AddSensitive(start, (ulong)count);
        return claims;
    }
}
