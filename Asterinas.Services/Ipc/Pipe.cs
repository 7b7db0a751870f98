using System;
using System.Threading;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Signals;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Ipc;

/// <summary>
/// A pipe (man 7 pipe): a ring of pages, each with what one or several writes left in it. As on Linux a page is free for writing only when all of it has been read.
/// <code>
///   operation                  lock
///   contents, size             _lock (blocks, since copying from and to programs may)
///   readiness                  none: counters that are read once
///   readers, writers           Interlocked
/// </code>
/// INVARIANT: a write of at most a page lies in one page, so it is never mixed with another one (PIPE_BUF).
/// </summary>
internal sealed class Pipe
{
    public const int PageBytes = 4096, DefaultPages = 16;
    /// <summary>/proc/sys/fs/pipe-max-size.</summary>
    public static int MostBytes { get; set; } = 1 << 20;

    private struct Slot
    {
        public byte[]? Page;
        public int Start;
        public int Length;
        public bool IsPacket;
    }

    private readonly Mutex _lock = new("pipe");
    private Slot[] _slots = new Slot[DefaultPages];
    private byte[]?[] _spare = new byte[]?[DefaultPages];
    private int _spareCount;
    private int _first, _used;
    private long _bytes;
    private int _readers, _writers;
    private int _readerOpens, _writerOpens;

    public Pollee Pollee { get; } = new();

    public int Readers => Volatile.Read(ref _readers);
    public int Writers => Volatile.Read(ref _writers);
    /// <summary>How often it was opened for reading and for writing: tells who waited for the other end that it came, even if it has gone again.</summary>
    public int ReaderOpens => Volatile.Read(ref _readerOpens);
    public int WriterOpens => Volatile.Read(ref _writerOpens);

    /// <summary>Bytes to read (FIONREAD).</summary>
    public long Bytes => Volatile.Read(ref _bytes);
    public bool IsEmpty => Volatile.Read(ref _used) == 0;
    public bool IsFull => Volatile.Read(ref _used) >= Volatile.Read(ref _slots).Length;
    /// <summary>Bytes that it holds at most (F_GETPIPE_SZ).</summary>
    public int Capacity => Volatile.Read(ref _slots).Length * PageBytes;

    // ---- ends

    public void AddReader()
    {
        Interlocked.Increment(ref _readers);
        Interlocked.Increment(ref _readerOpens);
    }

    public void AddWriter()
    {
        Interlocked.Increment(ref _writers);
        Interlocked.Increment(ref _writerOpens);
    }

    public void RemoveReader()
    {
        if (Interlocked.Decrement(ref _readers) == 0) Pollee.Notify(PollEvents.Out | PollEvents.WriteNormal | PollEvents.Error | PollEvents.HangUp);
    }

    public void RemoveWriter()
    {
        if (Interlocked.Decrement(ref _writers) == 0) Pollee.Notify(PollEvents.In | PollEvents.ReadNormal | PollEvents.HangUp);
    }

    // ---- reading

    /// <summary>read(2). 0 at the end; EAGAIN, EFAULT, ERESTARTSYS. May block.</summary>
    public Result<long> Read(ref IoSink sink, bool nonBlocking)
    {
        if (sink.Remaining == 0) return 0;
        while (true)
        {
            using (Mutex.Guard guard = _lock.Lock())
            {
                if (_used != 0) return ReadPresent(ref sink);
            }
            Result<long> waited = WaitForData(nonBlocking);
            if (!waited.IsOk || waited.Value == 0) return waited;
        }
    }

    /// <summary>Waits until there are bytes. How many; 0 when there are none and no writer. EAGAIN, ERESTARTSYS.</summary>
    public Result<long> WaitForData(bool nonBlocking)
    {
        while (true)
        {
            // Writers before bytes: one that writes and leaves in between must not be missed.
            bool hasWriters = Writers != 0;
            if (!IsEmpty) return Math.Max(Bytes, 1);
            if (!hasWriters) return 0;
            if (nonBlocking) return Errno.EAGAIN;
            Errno waited = Pollee.Wait(this, static pipe => !pipe.IsEmpty || pipe.Writers == 0);
            if (waited != Errno.None) return waited;
        }
    }

    private Result<long> ReadPresent(ref IoSink sink)
    {
        long done = 0;
        bool isPacket = false;
        while (_used != 0 && sink.Remaining > 0 && !isPacket)
        {
            ref Slot slot = ref _slots[_first];
            int count = (int)Math.Min(slot.Length, sink.Remaining);
            int copied = sink.Write(slot.Page.AsSpan(slot.Start, count));
            done += copied;
            if (copied < count)
            {
                if (done == 0) return Errno.EFAULT;
                Take(ref slot, copied);
                break;
            }
            isPacket = slot.IsPacket;
            // What is left of a packet is lost (man 2 pipe, O_DIRECT).
            Take(ref slot, isPacket ? slot.Length : copied);
        }
        NotifyWriters();
        return done;
    }

    private void Take(ref Slot slot, int count)
    {
        slot.Start += count;
        slot.Length -= count;
        Volatile.Write(ref _bytes, _bytes - count);
        if (slot.Length != 0) return;
        if (_spareCount < _spare.Length) _spare[_spareCount++] = slot.Page;
        slot = default;
        _first = _first + 1 == _slots.Length ? 0 : _first + 1;
        Volatile.Write(ref _used, _used - 1);
    }

    // ---- writing

    /// <summary>write(2). EPIPE without a reader, EAGAIN, EFAULT, ERESTARTSYS; a short count when some bytes were written before. May block.</summary>
    /// <param name="source">The bytes.</param>
    /// <param name="nonBlocking">O_NONBLOCK.</param>
    /// <param name="isPacket">O_DIRECT: each write, in pieces of a page, is read by itself.</param>
    public Result<long> Write(ref IoSource source, bool nonBlocking, bool isPacket)
    {
        long done = 0;
        if (source.Remaining == 0) return 0;
        while (true)
        {
            using (Mutex.Guard guard = _lock.Lock())
            {
                if (Readers == 0) return done > 0 ? done : Errno.EPIPE;
                Result<long> written = WritePresent(ref source, isPacket, done == 0);
                if (written.Value > 0)
                {
                    done += written.Value;
                    Pollee.Notify(PollEvents.In | PollEvents.ReadNormal);
                }
                if (!written.IsOk) return done > 0 ? done : written.Error;
            }
            if (source.Remaining == 0) return done;
            if (source.IsFaulted) return done > 0 ? done : Errno.EFAULT;
            Result<long> waited = WaitForRoom(nonBlocking);
            if (!waited.IsOk) return done > 0 ? done : waited;
        }
    }

    /// <summary>Waits until a page is free. Bytes of room; EPIPE, EAGAIN, ERESTARTSYS.</summary>
    public Result<long> WaitForRoom(bool nonBlocking)
    {
        while (true)
        {
            if (Readers == 0) return Errno.EPIPE;
            if (!IsFull) return (long)(Capacity - Volatile.Read(ref _used) * PageBytes);
            if (nonBlocking) return Errno.EAGAIN;
            Errno waited = Pollee.Wait(this, static pipe => !pipe.IsFull || pipe.Readers == 0);
            if (waited != Errno.None) return waited;
        }
    }

    // As much as fits now. The first piece of a write goes into the page of the one before when all of it has room there.
    private Result<long> WritePresent(ref IoSource source, bool isPacket, bool isFirst)
    {
        long done = 0;
        int tail = (int)(source.Remaining & (PageBytes - 1));
        if (isFirst && tail != 0 && _used != 0 && !isPacket)
        {
            ref Slot last = ref _slots[(_first + _used - 1) % _slots.Length];
            int end = last.Start + last.Length;
            if (!last.IsPacket && end + tail <= PageBytes)
            {
                int copied = source.Read(last.Page.AsSpan(end, tail));
                last.Length += copied;
                Volatile.Write(ref _bytes, _bytes + copied);
                done = copied;
                if (copied < tail) return done > 0 ? done : Errno.EFAULT;
            }
        }
        while (source.Remaining > 0 && _used < _slots.Length)
        {
            byte[] page = _spareCount > 0 ? _spare[--_spareCount]! : new byte[PageBytes];
            int count = (int)Math.Min(source.Remaining, PageBytes);
            int copied = source.Read(page.AsSpan(0, count));
            if (copied == 0)
            {
                if (_spareCount < _spare.Length) _spare[_spareCount++] = page;
                return done > 0 ? done : Errno.EFAULT;
            }
            _slots[(_first + _used) % _slots.Length] = new Slot { Page = page, Length = copied, IsPacket = isPacket };
            Volatile.Write(ref _bytes, _bytes + copied);
            Volatile.Write(ref _used, _used + 1);
            done += copied;
            if (copied < count) break;
        }
        return done;
    }

    private void NotifyWriters()
    {
        if (!IsFull) Pollee.Notify(PollEvents.Out | PollEvents.WriteNormal);
    }

    // ---- splicing: under the lock

    public Mutex.Guard Lock() => _lock.Lock();

    /// <summary>Copies from the front without taking. Returns how many bytes.</summary>
    public int Peek(Span<byte> destination)
    {
        int done = 0;
        for (int i = 0; i < _used && done < destination.Length; i++)
        {
            ref Slot slot = ref _slots[(_first + i) % _slots.Length];
            int count = Math.Min(slot.Length, destination.Length - done);
            slot.Page.AsSpan(slot.Start, count).CopyTo(destination[done..]);
            done += count;
        }
        return done;
    }

    /// <summary>Takes bytes from the front.</summary>
    public void Discard(int count)
    {
        while (count > 0 && _used != 0)
        {
            ref Slot slot = ref _slots[_first];
            int step = Math.Min(slot.Length, count);
            Take(ref slot, step);
            count -= step;
        }
        NotifyWriters();
    }

    // ---- size

    /// <summary>Changes the capacity (F_SETPIPE_SZ). The new one, a power of two of pages. EINVAL, EPERM beyond the limit, EBUSY when more is in it. May block.</summary>
    public Result<int> SetCapacity(uint bytes, bool isPrivileged)
    {
        if (bytes > 1u << 31) return Errno.EINVAL;
        long pages = 1;
        while (pages * PageBytes < bytes) pages *= 2;
        if (bytes == 0 && pages != 1) return Errno.EINVAL;
        if (pages * PageBytes > MostBytes && !isPrivileged && pages > _slots.Length) return Errno.EPERM;
        if (pages > 1 << 19) return Errno.ENOMEM;
        var slots = new Slot[pages];
        var spare = new byte[]?[Math.Min(pages, DefaultPages)];
        using (Mutex.Guard guard = _lock.Lock())
        {
            if (_used > pages) return Errno.EBUSY;
            for (int i = 0; i < _used; i++) slots[i] = _slots[(_first + i) % _slots.Length];
            _first = 0;
            _spare = spare;
            _spareCount = 0;
            Volatile.Write(ref _slots, slots);
        }
        Pollee.Notify(PollEvents.Out | PollEvents.WriteNormal);
        return (int)(pages * PageBytes);
    }
}
