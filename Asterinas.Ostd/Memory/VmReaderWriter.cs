using System;
using System.Numerics;
using System.Runtime.InteropServices;
using Asterinas.Ostd.Arch;

namespace Asterinas.Ostd.Memory;

/// <summary>
/// What a reader or writer stands on: a place in untyped memory, in a user address space, or a span of the caller's, and how many bytes remain.
/// INVARIANT: position + remaining stays within the handle's length, the user half, or the span.
/// </summary>
internal ref struct MemoryWindow
{
    /// <summary>An assembly copy in cooperative mode delays a collection: it moves at most this many bytes a call.</summary>
    private const ulong MostBytesACall = 64 << 10;

    private readonly UntypedMemory? _memory;
    private readonly VmSpace? _space;
    private readonly Span<byte> _span;
    private ulong _position;

    public MemoryWindow(UntypedMemory memory, ulong offset, ulong length)
    {
        _memory = memory;
        _position = offset;
        Remaining = length;
    }

    public MemoryWindow(VmSpace space, UserAddress start, ulong length)
    {
        _space = space;
        _position = start.Value;
        // Bytes beyond user space count as unmapped: they remain to the end and every copy there is short.
        Remaining = length;
    }

    public MemoryWindow(Span<byte> span)
    {
        _span = span;
        Remaining = (ulong)span.Length;
    }

    public ulong Remaining { get; private set; }

    public readonly bool IsUser => _space is not null;

    public void Skip(ulong bytes)
    {
        // A user window may lie anywhere in 64 bits: it must not wrap round to low addresses.
        _position = bytes <= ulong.MaxValue - _position ? _position + bytes : ulong.MaxValue;
        Remaining -= bytes;
    }

    public void Limit(ulong bytes) => Remaining = Math.Min(Remaining, bytes);

    /// <summary>Copies into a kernel span. Returns the bytes done; short at the end and at a fault.</summary>
    // SAFETY: the destination is pinned; untyped memory is entered for the copy and the invariant keeps the window inside of it.
    public unsafe ulong CopyOut(scoped Span<byte> destination)
    {
        fixed (byte* p = destination) return Copy(p, (ulong)destination.Length, false);
    }

    /// <summary>Copies from a kernel span. Returns the bytes done.</summary>
    // SAFETY: as for CopyOut; the source is pinned and only read.
    public unsafe ulong CopyIn(scoped ReadOnlySpan<byte> source)
    {
        fixed (byte* p = source) return Copy(p, (ulong)source.Length, true);
    }

    /// <summary>Writes zeroes. Returns the bytes done.</summary>
    // SAFETY: the chunk stays inside the window; untyped memory is entered for the time of the call.
    public unsafe ulong Zero(ulong bytes)
    {
        ulong want = Math.Min(bytes, Remaining);
        ulong done = 0;
        while (done < want)
        {
            ulong chunk = Math.Min(want - done, MostBytesACall);
            ulong moved = chunk;
            if (_space is not null)
            {
                moved = _space.ZeroUser(_position, chunk);
            }
            else if (_memory is not null)
            {
                _memory.Enter();
                new Span<byte>(_memory.Pointer(_position), (int)chunk).Clear();
                _memory.Exit();
            }
            else
            {
                _span.Slice((int)_position, (int)chunk).Clear();
            }
            Skip(moved);
            done += moved;
            if (moved < chunk) break;
        }
        return done;
    }

    /// <summary>Copies between two windows without an intermediate buffer where one of them is not user memory. Returns the bytes done.</summary>
    // SAFETY: the side that is not user memory is held (entered or pinned) while its pointer is used, for at most its remaining bytes.
    public static unsafe ulong Transfer(ref MemoryWindow source, ref MemoryWindow destination, ulong bytes)
    {
        ulong want = Math.Min(bytes, Math.Min(source.Remaining, destination.Remaining));
        ulong done = 0;
        byte* bounce = stackalloc byte[512];
        while (done < want)
        {
            ulong chunk;
            ulong moved;
            if (source._memory is not null)
            {
                chunk = Math.Min(want - done, MostBytesACall);
                source._memory.Enter();
                try
                {
                    moved = destination.Copy(source._memory.Pointer(source._position), chunk, true);
                }
                finally
                {
                    source._memory.Exit();
                }
                source.Skip(moved);
            }
            else if (source._space is null)
            {
                chunk = Math.Min(want - done, MostBytesACall);
                moved = destination.CopyIn(source._span.Slice((int)source._position, (int)chunk));
                source.Skip(moved);
            }
            else if (destination._memory is not null)
            {
                chunk = Math.Min(want - done, MostBytesACall);
                destination._memory.Enter();
                try
                {
                    moved = source.Copy(destination._memory.Pointer(destination._position), chunk, false);
                }
                finally
                {
                    destination._memory.Exit();
                }
                destination.Skip(moved);
            }
            else if (destination._space is null)
            {
                chunk = Math.Min(want - done, MostBytesACall);
                moved = source.CopyOut(destination._span.Slice((int)destination._position, (int)chunk));
                destination.Skip(moved);
            }
            else
            {
                // User to user: what was read but could not be written is not consumed.
                chunk = Math.Min(want - done, 512);
                MemoryWindow probe = source;
                ulong read = probe.Copy(bounce, chunk, false);
                moved = destination.Copy(bounce, read, true);
                source.Skip(moved);
            }
            done += moved;
            if (moved < chunk) break;
        }
        return done;
    }

    // SAFETY (contract): buffer is valid for count bytes. The window's side: see the invariant; untyped memory is entered, user memory goes through
    // routines that answer faults with a short count.
    private unsafe ulong Copy(byte* buffer, ulong count, bool toWindow)
    {
        ulong want = Math.Min(count, Remaining);
        ulong done = 0;
        while (done < want)
        {
            ulong chunk = Math.Min(want - done, MostBytesACall);
            ulong moved = chunk;
            if (_space is not null)
            {
                moved = toWindow ? _space.CopyToUser(_position, buffer + done, chunk) : _space.CopyFromUser(buffer + done, _position, chunk);
            }
            else if (_memory is not null)
            {
                _memory.Enter();
                byte* mine = _memory.Pointer(_position);
                if (toWindow) Buffer.MemoryCopy(buffer + done, mine, chunk, chunk);
                else Buffer.MemoryCopy(mine, buffer + done, chunk, chunk);
                _memory.Exit();
            }
            else
            {
                Span<byte> mine = _span.Slice((int)_position, (int)chunk);
                if (toWindow) new ReadOnlySpan<byte>(buffer + done, (int)chunk).CopyTo(mine);
                else mine.CopyTo(new Span<byte>(buffer + done, (int)chunk));
            }
            Skip(moved);
            done += moved;
            if (moved < chunk) break;
        }
        return done;
    }
}

/// <summary>
/// Reads untyped memory, user memory or a span front to back, by copying. A copy that meets unmapped user memory ends there: the count says how many
/// bytes were done, and the reader stands at the first one that was not, so the caller can resolve the fault and go on.
/// </summary>
public ref struct VmReader
{
    private MemoryWindow _window;

    internal VmReader(MemoryWindow window) => _window = window;

    /// <summary>Reads a span of the kernel's own, for callees that take any source.</summary>
    /// <param name="source">The bytes; never written to.</param>
    // SAFETY: the window of a reader is only ever read (CopyOut, source of Transfer), so dropping read-only is not seen by anybody.
    public VmReader(ReadOnlySpan<byte> source) =>
        _window = new MemoryWindow(MemoryMarshal.CreateSpan(ref MemoryMarshal.GetReference(source), source.Length));

    /// <summary>Bytes not read yet.</summary>
    public readonly long Remaining => (long)_window.Remaining;

    /// <summary>Copies into a span. Returns the bytes done: fewer than the span's at the end or at a fault.</summary>
    /// <param name="destination">Receives the bytes.</param>
    /// <exception cref="ObjectDisposedException">The memory's handle was disposed.</exception>
    public int Read(scoped Span<byte> destination) => (int)_window.CopyOut(destination);

    /// <summary>Copies into a writer, at most as much as both have left. Returns the bytes done; both advanced by them.</summary>
    /// <param name="writer">The destination.</param>
    /// <param name="maximum">Most bytes to copy.</param>
    /// <exception cref="ObjectDisposedException">A handle was disposed.</exception>
    public long CopyTo(ref VmWriter writer, long maximum = long.MaxValue)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(maximum);
        return (long)MemoryWindow.Transfer(ref _window, ref writer.Window, (ulong)maximum);
    }

    /// <summary>Reads a little-endian integer. False, with nothing consumed, when fewer bytes remain or one of them faults.</summary>
    /// <param name="value">The integer; 0 on failure.</param>
    /// <typeparam name="T">An integer type: no type with invariants can be forged from raw memory.</typeparam>
    /// <exception cref="ObjectDisposedException">The memory's handle was disposed.</exception>
    public bool TryRead<T>(out T value) where T : unmanaged, IBinaryInteger<T>
    {
        value = default;
        int size = value.GetByteCount();
        Span<byte> bytes = stackalloc byte[16];
        if (size is not (1 or 2 or 4 or 8 or 16)) throw new NotSupportedException(typeof(T).Name);
        MemoryWindow before = _window;
        if ((int)_window.CopyOut(bytes[..size]) != size)
        {
            _window = before;
            return false;
        }
        bool isUnsigned = !T.IsNegative(unchecked(T.Zero - T.One));
        return T.TryReadLittleEndian(bytes[..size], isUnsigned, out value);
    }

    /// <summary>Skips bytes without reading them.</summary>
    /// <param name="bytes">At most <see cref="Remaining"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">More than remain.</exception>
    public void Skip(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, Remaining);
        _window.Skip((ulong)bytes);
    }

    /// <summary>Makes the reader end after so many bytes, if it does not before.</summary>
    /// <param name="bytes">Bytes from here on.</param>
    public void Limit(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        _window.Limit((ulong)bytes);
    }
}

/// <summary>Writes untyped memory, user memory or a span front to back, by copying. Faults end a copy as they do for <see cref="VmReader"/>.</summary>
public ref struct VmWriter
{
    internal MemoryWindow Window;

    internal VmWriter(MemoryWindow window) => Window = window;

    /// <summary>Writes a span of the kernel's own, for callees that take any destination.</summary>
    /// <param name="destination">Receives the bytes.</param>
    public VmWriter(Span<byte> destination) => Window = new MemoryWindow(destination);

    /// <summary>Room left, in bytes.</summary>
    public readonly long Remaining => (long)Window.Remaining;

    /// <summary>Copies a span in. Returns the bytes done: fewer than the span's at the end or at a fault.</summary>
    /// <param name="source">The bytes.</param>
    /// <exception cref="ObjectDisposedException">The memory's handle was disposed.</exception>
    public int Write(scoped ReadOnlySpan<byte> source) => (int)Window.CopyIn(source);

    /// <summary>Copies from a reader, at most as much as both have left. Returns the bytes done; both advanced by them.</summary>
    /// <param name="reader">The source.</param>
    /// <param name="maximum">Most bytes to copy.</param>
    /// <exception cref="ObjectDisposedException">A handle was disposed.</exception>
    public long CopyFrom(ref VmReader reader, long maximum = long.MaxValue) => reader.CopyTo(ref this, maximum);

    /// <summary>Writes zeroes. Returns the bytes done.</summary>
    /// <param name="bytes">Most bytes to write.</param>
    /// <exception cref="ObjectDisposedException">The memory's handle was disposed.</exception>
    public long Fill(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        return (long)Window.Zero((ulong)bytes);
    }

    /// <summary>
    /// Writes a little-endian integer. False when less room remains or a byte faults; some of the bytes may have been written then, but the writer
    /// does not advance.
    /// </summary>
    /// <param name="value">The integer.</param>
    /// <typeparam name="T">An integer type.</typeparam>
    /// <exception cref="ObjectDisposedException">The memory's handle was disposed.</exception>
    public bool TryWrite<T>(T value) where T : unmanaged, IBinaryInteger<T>
    {
        Span<byte> bytes = stackalloc byte[16];
        if (!value.TryWriteLittleEndian(bytes, out int size)) throw new NotSupportedException(typeof(T).Name);
        MemoryWindow before = Window;
        if (Remaining >= size && (int)Window.CopyIn(bytes[..size]) == size) return true;
        Window = before;
        return false;
    }

    /// <summary>Leaves bytes as they are.</summary>
    /// <param name="bytes">At most <see cref="Remaining"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException">More than remain.</exception>
    public void Skip(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, Remaining);
        Window.Skip((ulong)bytes);
    }

    /// <summary>Makes the writer end after so many bytes, if it does not before.</summary>
    /// <param name="bytes">Bytes from here on.</param>
    public void Limit(long bytes)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(bytes);
        Window.Limit((ulong)bytes);
    }
}
