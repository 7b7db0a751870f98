using System;
using System.Collections.Generic;
using System.Threading;
using Asterinas.Ostd.Collections;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Sync;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Memory;

/// <summary>The device behind a page cache: where pages come from and go to. Without one the cache is the file (tmpfs).</summary>
internal interface IPageStore
{
    /// <summary>Whether nothing is stored for a page: it reads as zeroes.</summary>
    bool IsHole(ulong index);

    /// <summary>Fills a page, with zeroes behind the end of the file. EIO. May block.</summary>
    Errno ReadPage(ulong index, Frame frame);

    /// <summary>Stores a page. EIO, ENOSPC. May block.</summary>
    Errno WritePage(ulong index, Frame frame);
}

/// <summary>How many pages a file system may hold.</summary>
internal interface IPageQuota
{
    /// <summary>One page more. False when there is no room: ENOSPC.</summary>
    bool TryCharge();

    /// <summary>Pages given back.</summary>
    void Uncharge(long pages);
}

/// <summary>
/// The contents of a file: frames by page index, and the size. What has no frame is a hole and reads as zeroes, without allocating any. Bytes of a frame behind the size are
/// zero whenever the size grows over them.
/// <code>
///   operation                          lock
///   write, truncate, allocate, punch    the inode's Lock, held by the caller: one at a time
///   read                                _contents for reading: frames stay while they are copied from
///   frames leave (truncate, punch)      _contents for writing
///   a page fault looks up or adds       _frames: nobody disposes a frame between finding and sharing it
/// </code>
/// LOCK ORDER: the inode's Lock, _contents, an address space (copies to user memory fault), _frames. A page fault comes from below an address space's lock, so it may not take
/// _contents.
/// </summary>
internal sealed class PageCache : MemoryObject
{
    private const int PageBytes = PageSize.Small;
    private const XMark Dirty = XMark.Mark0;

    private readonly RwMutex _contents = new();
    private readonly SpinLock _frames = new("page cache");
    private readonly XArray<Frame> _pages = new();
    private readonly IPageQuota? _quota;
    private readonly IPageStore? _store;
    private long _size;

    public PageCache(Inode inode, IPageQuota? quota = null, IPageStore? store = null, long size = 0)
    {
        Inode = inode;
        _quota = quota;
        _store = store;
        _size = size;
    }

    public override Inode Inode { get; }

    /// <summary>Bytes of the file.</summary>
    public long Size => Volatile.Read(ref _size);

    /// <summary>Pages present.</summary>
    public long PageCount => _pages.Count;

    /// <summary>Pages present in all caches.</summary>
    public static long TotalPages => Interlocked.Read(ref s_totalPages);
    private static long s_totalPages;

    private static ulong PagesFor(long bytes) => ((ulong)bytes + PageBytes - 1) >> 12;

    // ---- reading and writing

    /// <summary>Copies from a position on, to the end of the file at most. EFAULT when not a byte could be copied, EIO. May block.</summary>
    public Result<long> Read(ref IoSink sink, long position)
    {
        using RwMutex.Guard guard = _contents.Read();
        long done = 0;
        long size = Size;
        while (position < size && sink.Remaining > 0)
        {
            int offset = (int)(position & (PageBytes - 1));
            long chunk = Math.Min(Math.Min(PageBytes - offset, size - position), sink.Remaining);
            ulong index = (ulong)position >> 12;
            Frame? frame = _pages.Load(index);
            if (frame is null && _store is not null && !_store.IsHole(index))
            {
                Errno error = Add(index, out frame);
                if (error != Errno.None) return done > 0 ? done : error;
            }
            long moved;
            if (frame is null)
            {
                moved = sink.Fill(chunk);
            }
            else
            {
                VmReader reader = frame.Reader(offset, chunk);
                moved = sink.Write(ref reader, chunk);
            }
            done += moved;
            position += moved;
            if (moved < chunk) break;
            if ((done & 0xFFFFF) == 0) Task.YieldIfNeeded();
        }
        return done == 0 && sink.IsFaulted ? Errno.EFAULT : done;
    }

    /// <summary>Copies to a position; the file grows as needed. EFAULT, ENOSPC, ENOMEM, EIO when not a byte could be stored. Under the inode's Lock. May block.</summary>
    public Result<long> Write(ref IoSource source, long position)
    {
        long done = 0;
        Errno error = Errno.None;
        if (position > Size) ClearTail();
        while (source.Remaining > 0)
        {
            int offset = (int)(position & (PageBytes - 1));
            int chunk = (int)Math.Min(PageBytes - offset, source.Remaining);
            ulong index = (ulong)position >> 12;
            Frame? frame = _pages.Load(index);
            long moved;
            if (frame is not null)
            {
                VmWriter writer = frame.Writer(offset, chunk);
                moved = source.Read(ref writer, chunk);
            }
            else
            {
                error = WriteNew(ref source, index, offset, chunk, out moved);
            }
            if (moved > 0 && _store is not null) _pages.SetMark(index, Dirty);
            done += moved;
            position += moved;
            if (moved > 0 && position > Size) Volatile.Write(ref _size, position);
            if (moved < chunk) break;
            if ((done & 0xFFFFF) == 0) Task.YieldIfNeeded();
        }
        if (done > 0) return done;
        return error != Errno.None ? error : source.IsFaulted ? Errno.EFAULT : 0;
    }

    // Bytes for a page without a frame. The frame becomes visible when it is filled: the copy may fault, and the fault may ask this cache for the same page.
    private Errno WriteNew(ref IoSource source, ulong index, int offset, int chunk, out long moved)
    {
        moved = 0;
        bool isWhole = chunk == PageBytes;
        if (_quota is not null && !_quota.TryCharge()) return Errno.ENOSPC;
        Frame? frame = Frame.TryAllocate(isWhole ? FrameContents.Arbitrary : FrameContents.Zeroed);
        bool isAdded = false;
        try
        {
            if (frame is null) return Errno.ENOMEM;
            if (!isWhole && _store is not null && index < PagesFor(Size) && !_store.IsHole(index))
            {
                Errno error = _store.ReadPage(index, frame);
                if (error != Errno.None) return error;
            }
            VmWriter writer = frame.Writer(offset, chunk);
            moved = source.Read(ref writer, chunk);
            if (moved == 0) return Errno.EFAULT;
            if (isWhole && moved < chunk) writer.Fill(chunk - moved);
            Frame? present;
            using (SpinLock.Guard guard = _frames.Lock()) isAdded = _pages.TryAdd(index, frame, out present);
            if (isAdded) Interlocked.Increment(ref s_totalPages);
            if (!isAdded)
            {
                VmReader reader = frame.Reader(offset, moved);
                VmWriter other = present!.Writer(offset, moved);
                reader.CopyTo(ref other);
            }
            return Errno.None;
        }
        finally
        {
            if (!isAdded)
            {
                frame?.Dispose();
                _quota?.Uncharge(1);
            }
        }
    }

    // ---- page faults

    /// <inheritdoc/>
    public override Result<Frame> GetPage(ulong index, Access access)
    {
        if (index >= PagesFor(Size)) return Errno.EFAULT;
        if (_store is not null && access == Access.Write) return GetDirty(index);
        using (SpinLock.Guard guard = _frames.Lock())
        {
            if (_pages.Load(index) is { } present) return present.Share();
        }
        Errno error = Add(index, out _);
        if (error != Errno.None) return error;
        return Share(index);
    }

    private Result<Frame> GetDirty(ulong index)
    {
        if (_pages.Load(index) is null)
        {
            Errno error = Add(index, out _);
            if (error != Errno.None) return error;
        }
        Result<Frame> shared = Share(index);
        if (shared.IsOk) _pages.SetMark(index, Dirty);
        return shared;
    }

    // A page that was there a moment ago: one that was truncated since is beyond the end.
    private Result<Frame> Share(ulong index)
    {
        using SpinLock.Guard guard = _frames.Lock();
        return _pages.Load(index) is { } present ? present.Share() : Errno.EFAULT;
    }

    // A frame for a page that has none: with what the store has for it, or zeroes. ENOSPC, ENOMEM, EIO.
    private Errno Add(ulong index, out Frame? frame, bool isBeyondEndAllowed = false)
    {
        frame = null;
        if (_quota is not null && !_quota.TryCharge()) return Errno.ENOSPC;
        bool isStored = _store is not null && !_store.IsHole(index);
        Frame? made = Frame.TryAllocate(isStored ? FrameContents.Arbitrary : FrameContents.Zeroed);
        bool isAdded = false;
        try
        {
            if (made is null) return Errno.ENOMEM;
            if (isStored)
            {
                Errno error = _store!.ReadPage(index, made);
                if (error != Errno.None) return error;
            }
            using SpinLock.Guard guard = _frames.Lock();
            // A truncation lowers the size first and takes frames out under this lock then: nothing is added behind its back.
            if (!isBeyondEndAllowed && index >= PagesFor(Size)) return Errno.EFAULT;
            isAdded = _pages.TryAdd(index, made, out Frame? present);
            if (isAdded) Interlocked.Increment(ref s_totalPages);
            frame = isAdded ? made : present;
            return Errno.None;
        }
        finally
        {
            if (!isAdded)
            {
                made?.Dispose();
                _quota?.Uncharge(1);
            }
        }
    }

    // ---- size and holes: under the inode's Lock

    /// <summary>Changes the size: what lies behind it is gone, what is added reads as zeroes. EIO. Under the inode's Lock. May block.</summary>
    public Errno Truncate(long size)
    {
        if (size >= Size)
        {
            ClearTail();
            Volatile.Write(ref _size, size);
            // What fallocate(2) laid behind the end goes, as Linux has it.
            if (PagesFor(size) < ulong.MaxValue) DropPages(PagesFor(size), ulong.MaxValue);
            return Errno.None;
        }
        Volatile.Write(ref _size, size);
        DropPages(PagesFor(size), ulong.MaxValue);
        Errno error = ClearTail();
        Unmap(PagesFor(size), ulong.MaxValue >> 12);
        return error;
    }

    /// <summary>Makes a range a hole: whole pages lose their frames, the rest is zeroed. EIO. Under the inode's Lock. May block.</summary>
    public Errno Punch(long start, long end)
    {
        ulong first = PagesFor(start), last = (ulong)end >> 12;
        if (first > last) return Clear(start, end);
        Errno error = Clear(start, Math.Min(end, (long)first << 12));
        if (error == Errno.None) error = Clear(Math.Max(start, (long)last << 12), end);
        if (first == last || error != Errno.None) return error;
        DropPages(first, last - 1);
        Unmap(first, last);
        return Errno.None;
    }

    /// <summary>Gives every page of a range a frame, and the file the size if that is wanted. All or nothing. ENOSPC, ENOMEM. Under the inode's Lock. May block.</summary>
    public Errno Allocate(long start, long end, bool keepSize)
    {
        var added = new List<ulong>();
        for (ulong index = (ulong)start >> 12; index < PagesFor(end); index++)
        {
            if (_pages.Load(index) is not null) continue;
            Errno error = Add(index, out _, isBeyondEndAllowed: true);
            if (error != Errno.None)
            {
                foreach (ulong page in added) DropPages(page, page);
                return error;
            }
            added.Add(index);
            if ((added.Count & 0xFF) == 0) Task.YieldIfNeeded();
        }
        if (!keepSize && end > Size)
        {
            ClearTail();
            Volatile.Write(ref _size, end);
        }
        return Errno.None;
    }

    /// <summary>SEEK_DATA: the first position from an offset on that is no hole. ENXIO when there is none.</summary>
    public Result<long> FindData(long offset)
    {
        long size = Size;
        if (offset < 0 || offset >= size) return Errno.ENXIO;
        ulong last = PagesFor(size) - 1;
        ulong index = (ulong)offset >> 12;
        if (_store is null) return _pages.TryFind(ref index, last, out _) ? Math.Max(offset, (long)index << 12) : Errno.ENXIO;
        for (; index <= last; index++)
        {
            if (_pages.Load(index) is not null || !_store.IsHole(index)) return Math.Max(offset, (long)index << 12);
            Task.YieldIfNeeded();
        }
        return Errno.ENXIO;
    }

    /// <summary>SEEK_HOLE: the first position from an offset on that is a hole; the end of the file counts as one. ENXIO beyond it.</summary>
    public Result<long> FindHole(long offset)
    {
        long size = Size;
        if (offset < 0 || offset >= size) return Errno.ENXIO;
        for (ulong index = (ulong)offset >> 12; index < PagesFor(size); index++)
        {
            if (_pages.Load(index) is null && (_store is null || _store.IsHole(index))) return Math.Max(offset, (long)index << 12);
        }
        return size;
    }

    /// <summary>Stores the dirty pages of a range of indices, both included. EIO, ENOSPC. May block.</summary>
    public Errno WriteBack(ulong first = 0, ulong last = ulong.MaxValue)
    {
        if (_store is null) return Errno.None;
        using RwMutex.Guard guard = _contents.Read();
        Errno result = Errno.None;
        ulong index = first;
        while (_pages.TryFindMarked(ref index, last, Dirty, out Frame? frame))
        {
            // Clean before it is read: who writes meanwhile makes it dirty again.
            _pages.ClearMark(index, Dirty);
            Errno error = _store.WritePage(index, frame);
            if (error != Errno.None)
            {
                _pages.SetMark(index, Dirty);
                result = error;
            }
            if (index++ == last) break;
            Task.YieldIfNeeded();
        }
        return result;
    }

    /// <summary>Drops everything: the file is gone.</summary>
    public void Clear()
    {
        Volatile.Write(ref _size, 0);
        DropPages(0, ulong.MaxValue);
    }

    // Bytes of the last page behind the size: zero before they become part of the file. A mapping may have written there.
    private Errno ClearTail()
    {
        long size = Size;
        return (size & (PageBytes - 1)) == 0 ? Errno.None : Clear(size, (long)PagesFor(size) << 12);
    }

    // Zeroes a range within one page.
    private Errno Clear(long start, long end)
    {
        if (start >= end) return Errno.None;
        ulong index = (ulong)start >> 12;
        Frame? frame = _pages.Load(index);
        if (frame is null)
        {
            if (_store is null || _store.IsHole(index) || index >= PagesFor(Size)) return Errno.None;
            Errno error = Add(index, out frame);
            if (error != Errno.None) return error;
        }
        VmWriter writer = frame!.Writer(start & (PageBytes - 1), end - start);
        writer.Fill(end - start);
        if (_store is not null) _pages.SetMark(index, Dirty);
        return Errno.None;
    }

    private void DropPages(ulong first, ulong last)
    {
        if (_pages.Count == 0) return;
        using RwMutex.Guard guard = _contents.Write();
        ulong index = first;
        long dropped = 0;
        while (_pages.TryFind(ref index, last, out _))
        {
            Frame? frame;
            using (SpinLock.Guard lookup = _frames.Lock()) frame = _pages.Erase(index);
            if (frame is not null)
            {
                frame.Dispose();
                Interlocked.Decrement(ref s_totalPages);
                dropped++;
            }
            if (index++ == last) break;
            if ((dropped & 0x3FF) == 0) Task.YieldIfNeeded();
        }
        if (dropped > 0) _quota?.Uncharge(dropped);
    }
}
