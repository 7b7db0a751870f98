using System;
using Asterinas.Ostd.Memory;

namespace Asterinas.Services.Memory;

/// <summary>One piece of a scattered buffer, as in struct iovec (man 3 iovec).</summary>
/// <param name="Base">First byte.</param>
/// <param name="Length">Bytes.</param>
internal readonly record struct UserSegment(ulong Base, ulong Length);

/// <summary>
/// Where read(2) and its kin put bytes: user memory in one piece or scattered, or a buffer of the kernel's own. Pages that are not there yet are faulted in on the way, so a short
/// count means that the memory cannot be written (<see cref="IsFaulted"/>), or that the sink is full. May block: no spin lock may be held.
/// </summary>
internal ref struct IoSink
{
    private readonly AddressSpace? _space;
    private readonly ReadOnlySpan<UserSegment> _segments;
    private int _next;
    private ulong _address;
    private VmWriter _writer;
    private long _behind;                   // bytes in the segments behind the current one

    /// <summary>A range of user memory. Nothing is checked here: what is not writable user memory faults when it is written to.</summary>
    public IoSink(AddressSpace space, UserAddress start, long length)
    {
        _space = space;
        _address = start.Value;
        _writer = space.Space.Writer(start, length);
    }

    /// <summary>Scattered user memory; the caller has checked that the sum of the lengths fits.</summary>
    public IoSink(AddressSpace space, ReadOnlySpan<UserSegment> segments)
    {
        _space = space;
        _segments = segments;
        foreach (UserSegment segment in segments) _behind += (long)segment.Length;
        NextSegment();
    }

    /// <summary>A buffer of the kernel's own.</summary>
    public IoSink(Span<byte> buffer) => _writer = new VmWriter(buffer);

    /// <summary>Room left, in bytes.</summary>
    public readonly long Remaining => _writer.Remaining + _behind;

    /// <summary>Whether a write met memory that cannot be written.</summary>
    public bool IsFaulted { get; private set; }

    /// <summary>Copies bytes in. Returns how many.</summary>
    public int Write(scoped ReadOnlySpan<byte> source)
    {
        int done = 0;
        while (done < source.Length)
        {
            int moved = _writer.Write(source[done..]);
            done += moved;
            _address += (ulong)moved;
            if (done == source.Length || !Continue()) break;
        }
        return done;
    }

    /// <summary>Copies from untyped memory. Returns how many bytes; the reader has advanced by them.</summary>
    public long Write(ref VmReader source, long count)
    {
        long done = 0;
        while (done < count)
        {
            long moved = _writer.CopyFrom(ref source, count - done);
            done += moved;
            _address += (ulong)moved;
            if (done == count || source.Remaining == 0 || !Continue()) break;
        }
        return done;
    }

    /// <summary>Writes zeroes. Returns how many.</summary>
    public long Fill(long count)
    {
        long done = 0;
        while (done < count)
        {
            long moved = _writer.Fill(Math.Min(count - done, _writer.Remaining));
            done += moved;
            _address += (ulong)moved;
            if (done == count || !Continue()) break;
        }
        return done;
    }

    /// <summary>Ends the sink after so many bytes, if it does not before.</summary>
    public void Limit(long bytes)
    {
        if (bytes <= _writer.Remaining)
        {
            _writer.Limit(bytes);
            _behind = 0;
        }
        else
        {
            _behind = Math.Min(_behind, bytes - _writer.Remaining);
        }
    }

    // The writer stopped: at the end of a segment, at a page that is not there yet, or at memory that will never do.
    private bool Continue()
    {
        if (_writer.Remaining == 0) return NextSegment();
        if (_space is not null && _space.TryFaultIn(_address, Access.Write))
        {
            return true;
        }
        IsFaulted = true;
        return false;
    }

    private bool NextSegment()
    {
        while (_next < _segments.Length && _behind > 0)
        {
            UserSegment segment = _segments[_next++];
            long length = Math.Min((long)segment.Length, _behind);
            if (length == 0) continue;
            _behind -= length;
            _address = segment.Base;
            _writer = _space!.Space.Writer(new UserAddress(segment.Base), length);
            return true;
        }
        return false;
    }
}

/// <summary>Where write(2) and its kin take bytes from; as <see cref="IoSink"/>.</summary>
internal ref struct IoSource
{
    private readonly AddressSpace? _space;
    private readonly ReadOnlySpan<UserSegment> _segments;
    private int _next;
    private ulong _address;
    private VmReader _reader;
    private long _behind;

    /// <summary>A range of user memory.</summary>
    public IoSource(AddressSpace space, UserAddress start, long length)
    {
        _space = space;
        _address = start.Value;
        _reader = space.Space.Reader(start, length);
    }

    /// <summary>Scattered user memory; the caller has checked that the sum of the lengths fits.</summary>
    public IoSource(AddressSpace space, ReadOnlySpan<UserSegment> segments)
    {
        _space = space;
        _segments = segments;
        foreach (UserSegment segment in segments) _behind += (long)segment.Length;
        NextSegment();
    }

    /// <summary>A buffer of the kernel's own.</summary>
    public IoSource(ReadOnlySpan<byte> buffer) => _reader = new VmReader(buffer);

    /// <summary>Bytes left.</summary>
    public readonly long Remaining => _reader.Remaining + _behind;

    /// <summary>Whether a read met memory that cannot be read.</summary>
    public bool IsFaulted { get; private set; }

    /// <summary>Copies bytes out. Returns how many.</summary>
    public int Read(scoped Span<byte> destination)
    {
        int done = 0;
        while (done < destination.Length)
        {
            int moved = _reader.Read(destination[done..]);
            done += moved;
            _address += (ulong)moved;
            if (done == destination.Length || !Continue()) break;
        }
        return done;
    }

    /// <summary>Copies into untyped memory. Returns how many bytes; the writer has advanced by them.</summary>
    public long Read(ref VmWriter destination, long count)
    {
        long done = 0;
        while (done < count)
        {
            long moved = _reader.CopyTo(ref destination, count - done);
            done += moved;
            _address += (ulong)moved;
            if (done == count || destination.Remaining == 0 || !Continue()) break;
        }
        return done;
    }

    /// <summary>Skips bytes without looking at them.</summary>
    public void Skip(long count)
    {
        while (count > 0)
        {
            long step = Math.Min(count, _reader.Remaining);
            _reader.Skip(step);
            _address += (ulong)step;
            count -= step;
            if (_reader.Remaining == 0 && !NextSegment()) return;
        }
    }

    /// <summary>Ends the source after so many bytes, if it does not before.</summary>
    public void Limit(long bytes)
    {
        if (bytes <= _reader.Remaining)
        {
            _reader.Limit(bytes);
            _behind = 0;
        }
        else
        {
            _behind = Math.Min(_behind, bytes - _reader.Remaining);
        }
    }

    private bool Continue()
    {
        if (_reader.Remaining == 0) return NextSegment();
        if (_space is not null && _space.TryFaultIn(_address, Access.Read))
        {
            return true;
        }
        IsFaulted = true;
        return false;
    }

    private bool NextSegment()
    {
        while (_next < _segments.Length && _behind > 0)
        {
            UserSegment segment = _segments[_next++];
            long length = Math.Min((long)segment.Length, _behind);
            if (length == 0) continue;
            _behind -= length;
            _address = segment.Base;
            _reader = _space!.Space.Reader(new UserAddress(segment.Base), length);
            return true;
        }
        return false;
    }
}
