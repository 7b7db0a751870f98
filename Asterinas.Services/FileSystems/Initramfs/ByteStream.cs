using System;
using Asterinas.Ostd.Boot;

namespace Asterinas.Services.FileSystems.Initramfs;

/// <summary>Bytes front to back, from memory or through a decompressor.</summary>
internal abstract class ByteStream
{
    /// <summary>What is wrong with the stream: it ends there. Null for nothing so far.</summary>
    public string? Problem { get; protected set; }

    /// <summary>Fills a span. Returns fewer bytes only at the end, or at a problem.</summary>
    public abstract int Read(Span<byte> destination);

    /// <summary>Skips bytes. False at the end.</summary>
    public bool Skip(long count)
    {
        Span<byte> waste = stackalloc byte[256];
        while (count > 0)
        {
            int step = Read(waste[..(int)Math.Min(count, waste.Length)]);
            if (step == 0) return false;
            count -= step;
        }
        return true;
    }
}

/// <summary>The initramfs as the boot loader left it in memory, with a look at the bytes to come.</summary>
internal sealed class BootImageStream(BootInfo boot) : ByteStream
{
    private readonly byte[] _buffer = new byte[16384];
    private int _next, _end;

    /// <summary>Bytes read so far.</summary>
    public long Position { get; private set; }

    public override int Read(Span<byte> destination)
    {
        int done = 0;
        while (done < destination.Length && Fill(1) > 0)
        {
            int step = Math.Min(destination.Length - done, _end - _next);
            _buffer.AsSpan(_next, step).CopyTo(destination[done..]);
            Take(step);
            done += step;
        }
        return done;
    }

    /// <summary>The bytes to come, at least so many unless the end is near; they are not taken.</summary>
    public ReadOnlySpan<byte> Peek(int least) => _buffer.AsSpan(_next, Fill(least));

    /// <summary>Takes bytes that <see cref="Peek"/> showed.</summary>
    public void Take(int count)
    {
        _next += count;
        Position += count;
    }

    private int Fill(int least)
    {
        if (_end - _next >= least) return _end - _next;
        _buffer.AsSpan(_next, _end - _next).CopyTo(_buffer);
        _end -= _next;
        _next = 0;
        _end += boot.ReadInitramfs((ulong)(Position + _end), _buffer.AsSpan(_end));
        return _end;
    }
}
