using System;
using System.Runtime.CompilerServices;
using System.Threading;
using Asterinas.Ostd.Memory;

namespace Asterinas.Ostd.Dma;

/// <summary>
/// Untyped frames that a device may reach, for as long as the object is open: the device's access ends before the frames can be released.
/// <code>
///   open --Dispose or finalizer--> unmapped for the device --> references to the frames dropped
/// </code>
/// </summary>
public abstract class DmaMemory : IDisposable
{
    private readonly DmaDomain _domain;
    private readonly int _epoch = FrameTable.Epoch;
    private DeviceAddress? _address;                // null until mapped
    private int _isDisposed;

    // The object comes first and the mapping second: an allocation that fails in between would leave a mapping that nobody ends.
    private protected DmaMemory(Segment memory, DmaDomain domain)
    {
        Memory = memory;
        _domain = domain;
        // From here on the finalizer of this object orders unmapping before the release; the segment's guard would not.
        memory.DismissGuard();
    }

    /// <summary>Ends a mapping that its owner forgot.</summary>
    ~DmaMemory()
    {
        if (Memory is not null && _epoch == FrameTable.Epoch) Close();
    }

    /// <summary>Where the device finds the first byte.</summary>
    /// <exception cref="ObjectDisposedException">Disposed.</exception>
    public DeviceAddress Address
    {
        get
        {
            ObjectDisposedException.ThrowIf(Volatile.Read(ref _isDisposed) != 0, this);
            return _address.GetValueOrDefault();
        }
    }

    /// <summary>Bytes.</summary>
    public long Length => Memory.Length;

    private protected Segment Memory { get; }

    /// <summary>A reader over some bytes.</summary>
    /// <param name="offset">Bytes from the start.</param>
    /// <param name="length">Bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside.</exception>
    /// <exception cref="ObjectDisposedException">Disposed.</exception>
    public VmReader Reader(long offset, long length) => Memory.Reader(offset, length);

    /// <summary>A writer over some bytes.</summary>
    /// <param name="offset">Bytes from the start.</param>
    /// <param name="length">Bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside.</exception>
    /// <exception cref="ObjectDisposedException">Disposed.</exception>
    public VmWriter Writer(long offset, long length) => Memory.Writer(offset, length);

    /// <summary>Ends the device's access, then drops the references to the frames. Further calls do nothing.</summary>
    public void Dispose()
    {
        Close();
        GC.SuppressFinalize(this);
    }

    private void Close()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) != 0) return;
        if (_address is { } address) _domain.Unmap(address, Memory.PageCount);
        Memory.Dispose();
    }

    /// <summary>Maps a new object's frames; one that cannot be mapped is disposed of.</summary>
    private protected static T? Mapped<T>(T memory, DmaDirection direction) where T : DmaMemory
    {
        memory._address = memory._domain.Map(memory.Memory.Start, memory.Memory.PageCount, direction);
        if (memory._address is not null) return memory;
        memory.Dispose();
        return null;
    }
}

/// <summary>
/// Memory that the CPU and a device use at the same time, such as descriptor rings. x86-64 keeps its caches coherent with devices, so it is ordinary
/// write-back memory; single words are accessed atomically and in order.
/// </summary>
public sealed class DmaCoherent : DmaMemory
{
    private DmaCoherent(Segment memory, DmaDomain domain) : base(memory, domain)
    {
    }

    /// <summary>New zeroed coherent memory; null when there is none, or no room in the domain. Does not block.</summary>
    /// <param name="domain">The device's.</param>
    /// <param name="pageCount">Contiguous frames, at least 1.</param>
    /// <param name="alignmentPages">Alignment in pages, a power of two.</param>
    public static DmaCoherent? TryAllocate(DmaDomain domain, int pageCount, int alignmentPages = 1)
    {
        ArgumentNullException.ThrowIfNull(domain);
        Segment? memory = Segment.TryAllocate(pageCount, alignmentPages);
        return memory is null ? null : Mapped(new DmaCoherent(memory, domain), DmaDirection.Bidirectional);
    }

    /// <summary>Reads a 16-bit word with acquire ordering: what the device wrote before it is seen after it.</summary>
    /// <param name="offset">A multiple of 2.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not inside, or not aligned.</exception>
    /// <exception cref="ObjectDisposedException">Disposed.</exception>
    public ushort ReadUInt16(long offset) => (ushort)Access(offset, 2, false, 0);

    /// <summary>Reads a 32-bit word with acquire ordering.</summary>
    /// <param name="offset">A multiple of 4.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not inside, or not aligned.</exception>
    /// <exception cref="ObjectDisposedException">Disposed.</exception>
    public uint ReadUInt32(long offset) => (uint)Access(offset, 4, false, 0);

    /// <summary>Reads a 64-bit word with acquire ordering.</summary>
    /// <param name="offset">A multiple of 8.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not inside, or not aligned.</exception>
    /// <exception cref="ObjectDisposedException">Disposed.</exception>
    public ulong ReadUInt64(long offset) => Access(offset, 8, false, 0);

    /// <summary>Writes a 16-bit word with release ordering: the device sees all earlier writes before it.</summary>
    /// <param name="offset">A multiple of 2.</param>
    /// <param name="value">The word.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not inside, or not aligned.</exception>
    /// <exception cref="ObjectDisposedException">Disposed.</exception>
    public void WriteUInt16(long offset, ushort value) => Access(offset, 2, true, value);

    /// <summary>Writes a 32-bit word with release ordering.</summary>
    /// <param name="offset">A multiple of 4.</param>
    /// <param name="value">The word.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not inside, or not aligned.</exception>
    /// <exception cref="ObjectDisposedException">Disposed.</exception>
    public void WriteUInt32(long offset, uint value) => Access(offset, 4, true, value);

    /// <summary>Writes a 64-bit word with release ordering.</summary>
    /// <param name="offset">A multiple of 8.</param>
    /// <param name="value">The word.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not inside, or not aligned.</exception>
    /// <exception cref="ObjectDisposedException">Disposed.</exception>
    public void WriteUInt64(long offset, ulong value) => Access(offset, 8, true, value);

    private ulong Access(long offset, int size, bool write, ulong value)
    {
        if (offset < 0 || offset > Length - size || (offset & (size - 1)) != 0) throw new ArgumentOutOfRangeException(nameof(offset));
        Memory.Enter();
        try
        {
            // SAFETY: the offset was checked against the segment and the word's alignment; the segment is entered, so its frames stay.
            unsafe
            {
                byte* p = Memory.Pointer((ulong)offset);
                switch (size)
                {
                    case 2 when write: Volatile.Write(ref Unsafe.AsRef<ushort>(p), (ushort)value); break;
                    case 4 when write: Volatile.Write(ref Unsafe.AsRef<uint>(p), (uint)value); break;
                    case 8 when write: Volatile.Write(ref Unsafe.AsRef<ulong>(p), value); break;
                    case 2: return Volatile.Read(ref Unsafe.AsRef<ushort>(p));
                    case 4: return Volatile.Read(ref Unsafe.AsRef<uint>(p));
                    default: return Volatile.Read(ref Unsafe.AsRef<ulong>(p));
                }
            }
            return 0;
        }
        finally
        {
            Memory.Exit();
        }
    }
}

/// <summary>
/// Memory handed back and forth between the CPU and a device, such as packets and blocks. Around each transfer the owner changes with
/// <see cref="SyncForDevice"/> and <see cref="SyncForCpu"/>.
/// </summary>
public sealed class DmaStream : DmaMemory
{
    private DmaStream(Segment memory, DmaDomain domain, DmaDirection direction) : base(memory, domain) => Direction = direction;

    /// <summary>Who writes.</summary>
    public DmaDirection Direction { get; }

    /// <summary>
    /// Maps frames for a device; null when the domain has no room. The stream holds references of its own: the handle stays the caller's.
    /// </summary>
    /// <param name="domain">The device's.</param>
    /// <param name="segment">The frames.</param>
    /// <param name="direction">Who writes.</param>
    /// <exception cref="ObjectDisposedException">The handle was disposed.</exception>
    public static DmaStream? TryMap(DmaDomain domain, Segment segment, DmaDirection direction)
    {
        ArgumentNullException.ThrowIfNull(domain);
        ArgumentNullException.ThrowIfNull(segment);
        if (direction is < DmaDirection.ToDevice or > DmaDirection.Bidirectional) throw new ArgumentOutOfRangeException(nameof(direction));
        return Mapped(new DmaStream(segment.Share(), domain, direction), direction);
    }

    /// <summary>Makes the CPU's writes to a range visible to the device, before it is told to start.</summary>
    /// <param name="offset">Bytes from the start.</param>
    /// <param name="length">Bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside.</exception>
    /// <exception cref="ObjectDisposedException">Disposed.</exception>
    public void SyncForDevice(long offset, long length) => Sync(offset, length);

    /// <summary>Makes the device's writes to a range visible to the CPU, after it said that it was done.</summary>
    /// <param name="offset">Bytes from the start.</param>
    /// <param name="length">Bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside.</exception>
    /// <exception cref="ObjectDisposedException">Disposed.</exception>
    public void SyncForCpu(long offset, long length) => Sync(offset, length);

    // x86-64 is coherent with devices: what remains is the order of the CPU's own accesses.
    private void Sync(long offset, long length)
    {
        _ = Memory.Reader(offset, length);
        Thread.MemoryBarrier();
    }
}
