using System;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Memory;

namespace Asterinas.Ostd.Io;

/// <summary>How the CPU caches device memory.</summary>
public enum IoCaching
{
    /// <summary>Not at all: registers.</summary>
    Uncached = 0,
    /// <summary>Writes are combined: framebuffers.</summary>
    WriteCombining = 1,
}

/// <summary>A range of physical addresses.</summary>
/// <param name="Start">The first byte.</param>
/// <param name="Length">Bytes; the end does not wrap.</param>
internal readonly record struct MemoryRange(ulong Start, ulong Length)
{
    /// <summary>Whether it shares a byte with another one.</summary>
    public bool Overlaps(ulong start, ulong length) => start < Start + Length && Start < start + length;
}

/// <summary>
/// Memory-mapped registers or memory of a device, for one driver alone. RAM, firmware tables, the interrupt controllers, the IOMMU, PCI configuration space and the pages with
/// MSI-X tables cannot be acquired. Accesses are single loads and stores of the given width, in program order.
/// </summary>
/// <remarks>
/// The mapping lives as long as the object is reachable: <see cref="Dispose"/> only refuses further accesses, so an access that runs on another CPU at
/// that moment never meets an unmapped page. The range becomes free when the object is collected.
/// </remarks>
public sealed unsafe class IoMem : IDisposable
{
    // SAFETY: _base is the platform layer's mapping of exactly [_physical, _physical + _length), made by the constructor and removed only by the finalizer, when nobody can
    // reach the object. Every access checks its offset, width and alignment against the length and keeps the object alive until it is done.
    private static readonly RangeClaims s_claims = Sensitive();

    private readonly ulong _physical;
    private readonly ulong _length;
    private readonly byte* _base;
    private readonly MemoryRange[] _readOnly;
    private bool _disposed;

    private IoMem(ulong physical, ulong length, byte* mapping, MemoryRange[] readOnly)
    {
        _physical = physical;
        _length = length;
        _base = mapping;
        _readOnly = readOnly;
    }

    /// <summary>Unmaps the range.</summary>
    ~IoMem()
    {
        if (_base == null) return;
        Machine.UnmapIo((nint)_base, (nuint)_length);
        s_claims.Release(_physical, _length);
    }

    /// <summary>Bytes.</summary>
    public ulong Length => _length;

    /// <summary>Physical address of the first byte.</summary>
    public PhysicalAddress Start => new(_physical);

    /// <summary>Claims and maps device memory; null when any of it is RAM, sensitive or taken, or when there is no memory for the mapping.</summary>
    /// <param name="start">Physical address.</param>
    /// <param name="length">Bytes; not 0.</param>
    /// <param name="caching">Uncached for registers.</param>
    public static IoMem? TryAcquire(PhysicalAddress start, ulong length, IoCaching caching = IoCaching.Uncached) => TryAcquire(start, length, caching, null, []);

    /// <summary>As the public one, for a keeper of sensitive ranges: what it names as read-only may lie in them.</summary>
    internal static IoMem? TryAcquire(PhysicalAddress start, ulong length, IoCaching caching, object? keeper, MemoryRange[] readOnly)
    {
        if (length == 0 || start.Value + length < start.Value || start.Value + length > 1UL << 46) return null;
        if (caching is not (IoCaching.Uncached or IoCaching.WriteCombining)) return null;
        // Pages are the unit of mapping: all of the pages that the range touches must be free of RAM.
        ulong low = start.Value & ~(ulong)(PageSize.Small - 1), high = (start.Value + length + PageSize.Small - 1) & ~(ulong)(PageSize.Small - 1);
        if (BootInfo.Current.OverlapsMemory(low, high - low)) return null;
        if (!s_claims.TryClaim(start.Value, length, keeper)) return null;
        nint mapping = Machine.MapIo(start.Value, (nuint)length, (int)caching);
        if (mapping != 0) return new IoMem(start.Value, length, (byte*)mapping, readOnly);
        s_claims.Release(start.Value, length);
        return null;
    }

    /// <summary>Reads a byte.</summary>
    /// <param name="offset">Bytes from the start; aligned to the width.</param>
    /// <exception cref="ArgumentOutOfRangeException">The access leaves the range or is not aligned.</exception>
    /// <exception cref="ObjectDisposedException">The memory was given back.</exception>
    public byte Read8(ulong offset)
    {
        byte value = Machine.IoRead8(At(offset, 1));
        GC.KeepAlive(this);
        return value;
    }

    /// <summary>Reads 16 bits.</summary>
    /// <inheritdoc cref="Read8"/>
    public ushort Read16(ulong offset)
    {
        ushort value = Machine.IoRead16(At(offset, 2));
        GC.KeepAlive(this);
        return value;
    }

    /// <summary>Reads 32 bits.</summary>
    /// <inheritdoc cref="Read8"/>
    public uint Read32(ulong offset)
    {
        uint value = Machine.IoRead32(At(offset, 4));
        GC.KeepAlive(this);
        return value;
    }

    /// <summary>Reads 64 bits.</summary>
    /// <inheritdoc cref="Read8"/>
    public ulong Read64(ulong offset)
    {
        ulong value = Machine.IoRead64(At(offset, 8));
        GC.KeepAlive(this);
        return value;
    }

    /// <summary>Writes a byte.</summary>
    /// <param name="offset">Bytes from the start; aligned to the width.</param>
    /// <param name="value">The value.</param>
    /// <exception cref="ArgumentOutOfRangeException">The access leaves the range or is not aligned.</exception>
    /// <exception cref="UnauthorizedAccessException">The page holds a table that only the framework writes.</exception>
    /// <exception cref="ObjectDisposedException">The memory was given back.</exception>
    public void Write8(ulong offset, byte value)
    {
        Machine.IoWrite8(Writable(offset, 1), value);
        GC.KeepAlive(this);
    }

    /// <summary>Writes 16 bits.</summary>
    /// <inheritdoc cref="Write8"/>
    public void Write16(ulong offset, ushort value)
    {
        Machine.IoWrite16(Writable(offset, 2), value);
        GC.KeepAlive(this);
    }

    /// <summary>Writes 32 bits.</summary>
    /// <inheritdoc cref="Write8"/>
    public void Write32(ulong offset, uint value)
    {
        Machine.IoWrite32(Writable(offset, 4), value);
        GC.KeepAlive(this);
    }

    /// <summary>Writes 64 bits.</summary>
    /// <inheritdoc cref="Write8"/>
    public void Write64(ulong offset, ulong value)
    {
        Machine.IoWrite64(Writable(offset, 8), value);
        GC.KeepAlive(this);
    }

    /// <summary>Refuses further accesses. The range is free again once the object is collected.</summary>
    public void Dispose() => _disposed = true;

    /// <summary>Keeps a range for the framework: the IOMMU's registers, PCI configuration space, MSI-X tables.</summary>
    internal static void AddSensitive(ulong start, ulong length, object? keeper = null) => s_claims.AddSensitive(start, length, keeper);

    /// <summary>Whether a range is neither RAM nor sensitive: device memory that somebody could have.</summary>
    internal static bool IsFree(ulong start, ulong length) =>
        length != 0 && start + length > start && !BootInfo.Current.OverlapsMemory(start, length) && !s_claims.IsSensitive(start, length);

    /// <summary>Forgets what a keeper kept: for a fresh simulated machine.</summary>
    internal static void RemoveSensitive(object keeper) => s_claims.RemoveSensitive(keeper);

    private byte* At(ulong offset, uint width)
    {
        ObjectDisposedException.ThrowIf(_disposed, this);
        if (offset > _length - width || _length < width || ((_physical + offset) & (width - 1)) != 0) throw new ArgumentOutOfRangeException(nameof(offset));
        return _base + offset;
    }

    private byte* Writable(ulong offset, uint width)
    {
        byte* at = At(offset, width);
        foreach (MemoryRange range in _readOnly)
        {
            if (range.Overlaps(_physical + offset, width)) throw new UnauthorizedAccessException("this page holds a table that only the framework writes");
        }
        return at;
    }

    private static RangeClaims Sensitive()
    {
        var claims = new RangeClaims();
        claims.AddSensitive(0, 1 << 20);                        // firmware, legacy video
        claims.AddSensitive(0xFEC00000, 0x100000);              // I/O APICs
        claims.AddSensitive(0xFED00000, 0x40000);               // HPET (its timers can write anywhere), chipset configuration
        claims.AddSensitive(0xFED45000, 0xBB000);               // IOMMUs; the gap is the TPM's
        claims.AddSensitive(0xFEE00000, 0x100000);              // local APIC and the MSI window
        claims.AddSensitive(0xFF000000, 0x1000000);             // firmware's flash
        return claims;
    }
}
