using System;
using System.Runtime.CompilerServices;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Runtime;

namespace Asterinas.Ostd.Memory;

/// <summary>What new frames contain.</summary>
public enum FrameContents
{
    /// <summary>Zeroes.</summary>
    Zeroed,
    /// <summary>Whatever was there: for callers that overwrite all of it before anybody else sees it.</summary>
    Arbitrary,
}

/// <summary>
/// A handle of contiguous untyped frames: memory that holds nothing the kernel relies on, so it may be mapped for users and devices. It is reached by
/// copying only (<see cref="VmReader"/>, <see cref="VmWriter"/>). Each handle holds one reference to each of its frames; the last reference of a frame
/// returns it to the allocator that chose it.
/// <code>
///   open, n copies inside --Dispose--> closed, n copies inside --last copy leaves--> references dropped
/// </code>
/// A closed handle answers with <see cref="ObjectDisposedException"/>, never with somebody else's page: copies enter and leave by compare-and-swap,
/// and the references go when nobody is inside. A handle that its owner forgot is closed by its <see cref="HandleGuard"/>.
/// </summary>
public abstract class UntypedMemory : IDisposable
{
    private const int Closed = int.MinValue;

    // INVARIANT: the references are held until _uses is exactly Closed.
    private int _uses;
    private readonly int _epoch = FrameTable.Epoch;
    private ulong _start;                       // set before anybody else sees the object
    private HandleGuard? _guard;

    private protected UntypedMemory(int pageCount)
    {
        PageCount = pageCount;
        _guard = HandleGuard.Take(this);
    }

    /// <summary>Physical address of the first byte.</summary>
    /// <exception cref="ObjectDisposedException">The handle was disposed.</exception>
    public PhysicalAddress Start
    {
        get
        {
            ThrowIfDisposed();
            return new PhysicalAddress(_start);
        }
    }

    /// <summary>Frames of 4 KiB.</summary>
    public int PageCount { get; }

    /// <summary>Bytes.</summary>
    public long Length => (long)PageCount * PageSize.Small;

    /// <summary>Whether the handle was disposed.</summary>
    public bool IsDisposed => Volatile.Read(ref _uses) < 0;

    internal ulong StartUnchecked => _start;

    /// <summary>A reader over all bytes.</summary>
    /// <exception cref="ObjectDisposedException">The handle was disposed.</exception>
    public VmReader Reader() => Reader(0, Length);

    /// <summary>A reader over some bytes.</summary>
    /// <param name="offset">Bytes from the start.</param>
    /// <param name="length">Bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside.</exception>
    /// <exception cref="ObjectDisposedException">The handle was disposed.</exception>
    public VmReader Reader(long offset, long length)
    {
        CheckRange(offset, length);
        ThrowIfDisposed();
        return new VmReader(new MemoryWindow(this, (ulong)offset, (ulong)length));
    }

    /// <summary>A writer over all bytes.</summary>
    /// <exception cref="ObjectDisposedException">The handle was disposed.</exception>
    public VmWriter Writer() => Writer(0, Length);

    /// <summary>A writer over some bytes.</summary>
    /// <param name="offset">Bytes from the start.</param>
    /// <param name="length">Bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">The range is not inside.</exception>
    /// <exception cref="ObjectDisposedException">The handle was disposed.</exception>
    public VmWriter Writer(long offset, long length)
    {
        CheckRange(offset, length);
        ThrowIfDisposed();
        return new VmWriter(new MemoryWindow(this, (ulong)offset, (ulong)length));
    }

    /// <summary>Closes the handle. Frames without another reference become free. Further calls do nothing.</summary>
    public void Dispose() => Close();

    /// <summary>Makes the object, which was allocated before, the handle of frames: the caller's references become its own. 0: of none, and closed.</summary>
    private protected void Adopt(ulong start)
    {
        _start = start;
        if (start != 0) return;
        _uses = Closed;
        HandleGuard.Return(_guard!);
        _guard = null;
    }

    /// <summary>The collector found the handle open and forgotten.</summary>
    internal void CloseForgotten()
    {
        _guard = null;                          // it has done its work
        if (_start != 0 && Close() && _epoch == FrameTable.Epoch) FrameAllocator.CountForgotten();
    }

    /// <summary>Keeps the references alive until <see cref="Exit"/>; false when the handle is closed.</summary>
    internal bool TryEnter()
    {
        int uses = Volatile.Read(ref _uses);
        while (uses >= 0)
        {
            int seen = Interlocked.CompareExchange(ref _uses, uses + 1, uses);
            if (seen == uses) return true;
            uses = seen;
        }
        return false;
    }

    /// <exception cref="ObjectDisposedException">The handle is closed.</exception>
    internal void Enter()
    {
        if (!TryEnter()) ThrowDisposed();
    }

    /// <summary>From here on an object with a finalizer of its own closes the handle, forgotten or not: the order of its steps matters. Called by that object, once.</summary>
    internal void DismissGuard()
    {
        HandleGuard.Return(_guard!);
        _guard = null;
    }

    internal void Exit()
    {
        if (Interlocked.Decrement(ref _uses) == Closed) DropReferences();
    }

    /// <summary>Adds a reference to some of the frames for a new handle or mapping. The caller is inside.</summary>
    internal void AcquirePages(int firstPage, int pageCount)
    {
        int done = 0;
        try
        {
            for (; done < pageCount; done++) FrameTable.Acquire((_start >> 12) + (ulong)(firstPage + done));
        }
        catch (InvalidOperationException)
        {
            FrameAllocator.Drop(_start + ((ulong)firstPage << 12), done);
            throw;
        }
    }

    /// <summary>The bytes at an offset. The caller is inside and keeps to the length.</summary>
    // SAFETY: offsets come from a MemoryWindow, which stays within the handle's range; the direct map covers all RAM.
    internal unsafe byte* Pointer(ulong offset) => Machine.PhysToVirt(_start + offset);

    private protected void ThrowIfDisposed()
    {
        if (Volatile.Read(ref _uses) < 0) ThrowDisposed();
    }

    private void CheckRange(long offset, long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        if (offset > Length || length > Length - offset) throw new ArgumentOutOfRangeException(nameof(length));
    }

    private bool Close()
    {
        int uses = Volatile.Read(ref _uses);
        while (uses >= 0)
        {
            int seen = Interlocked.CompareExchange(ref _uses, uses | Closed, uses);
            if (seen == uses)
            {
                if (uses == 0) DropReferences();
                return true;
            }
            uses = seen;
        }
        return false;
    }

    private void DropReferences()
    {
        if (_guard is { } guard)
        {
            _guard = null;
            HandleGuard.Return(guard);
        }
        if (_epoch == FrameTable.Epoch) FrameAllocator.Drop(_start, PageCount);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private void ThrowDisposed() => throw new ObjectDisposedException(GetType().Name);

    internal static ulong Allocate(FrameLayout layout, FrameContents contents)
    {
        ulong start = FrameAllocator.Claim(layout, FrameState.Untyped);
        if (start == 0 || contents == FrameContents.Arbitrary) return start;
        // SAFETY: the frames were claimed by compare-and-swap, so nobody else reaches them, and the layout's pages are contiguous RAM.
        unsafe
        {
            for (int i = 0; i < layout.PageCount; i++) new Span<byte>(Machine.PhysToVirt(start + ((ulong)i << 12)), PageSize.Small).Clear();
        }
        return start;
    }
}

/// <summary>A handle of one untyped frame.</summary>
public sealed class Frame : UntypedMemory
{
    private Frame() : base(1)
    {
    }

    /// <summary>A handle that adopts one reference. The allocation comes last here: for callers that have no way to allocate it before they have the reference.</summary>
    internal static Frame Adopting(ulong start)
    {
        Frame frame;
        try
        {
            frame = new Frame();
        }
        catch (OutOfMemoryException)
        {
            FrameAllocator.Drop(start, 1);
            throw;
        }
        frame.Adopt(start);
        return frame;
    }

    /// <summary>References to the frame: handles, mappings, lists. A snapshot.</summary>
    /// <exception cref="ObjectDisposedException">The handle was disposed.</exception>
    public int ReferenceCount
    {
        get
        {
            Enter();
            int count = Volatile.Read(ref FrameTable.Slot(StartUnchecked >> 12).ReferenceCount);
            Exit();
            return count;
        }
    }

    /// <summary>A new frame; null when there is no memory. Does not block.</summary>
    /// <param name="contents">What it contains.</param>
    public static Frame? TryAllocate(FrameContents contents = FrameContents.Zeroed)
    {
        var frame = new Frame();
        ulong start = Allocate(new FrameLayout(1, 1), contents);
        frame.Adopt(start);
        return start == 0 ? null : frame;
    }

    /// <summary>A new frame. Does not block.</summary>
    /// <param name="contents">What it contains.</param>
    /// <exception cref="OutOfMemoryException">There is no memory.</exception>
    public static Frame Allocate(FrameContents contents = FrameContents.Zeroed) => TryAllocate(contents) ?? throw new OutOfMemoryException();

    /// <summary>Another handle of the same frame.</summary>
    /// <exception cref="ObjectDisposedException">The handle was disposed.</exception>
    public Frame Share()
    {
        Enter();
        try
        {
            AcquirePages(0, 1);
            return Adopting(StartUnchecked);
        }
        finally
        {
            Exit();
        }
    }
}

/// <summary>A handle of contiguous untyped frames.</summary>
public sealed class Segment : UntypedMemory
{
    private Segment(int pageCount) : base(pageCount)
    {
    }

    /// <summary>New contiguous frames; null when there are none. The default allocator has pieces of up to 4 MiB. Does not block.</summary>
    /// <param name="pageCount">Frames, at least 1.</param>
    /// <param name="alignmentPages">Alignment of the first frame, in pages: a power of two. 512 for a large page.</param>
    /// <param name="contents">What they contain.</param>
    public static Segment? TryAllocate(int pageCount, int alignmentPages = 1, FrameContents contents = FrameContents.Zeroed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(pageCount, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(pageCount, 1 << 28);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(alignmentPages, 1 << 28);
        if (!System.Numerics.BitOperations.IsPow2(alignmentPages)) throw new ArgumentOutOfRangeException(nameof(alignmentPages));
        var segment = new Segment(pageCount);
        ulong start = Allocate(new FrameLayout(pageCount, alignmentPages), contents);
        segment.Adopt(start);
        return start == 0 ? null : segment;
    }

    /// <summary>New contiguous frames. As <see cref="TryAllocate"/>, with an exception in place of null.</summary>
    /// <param name="pageCount">Frames, at least 1.</param>
    /// <param name="alignmentPages">Alignment of the first frame, in pages: a power of two.</param>
    /// <param name="contents">What they contain.</param>
    /// <exception cref="OutOfMemoryException">There are no such frames.</exception>
    public static Segment Allocate(int pageCount, int alignmentPages = 1, FrameContents contents = FrameContents.Zeroed) =>
        TryAllocate(pageCount, alignmentPages, contents) ?? throw new OutOfMemoryException();

    /// <summary>Another handle of all frames.</summary>
    /// <exception cref="ObjectDisposedException">The handle was disposed.</exception>
    public Segment Share() => Slice(0, PageCount);

    /// <summary>Another handle of some of the frames.</summary>
    /// <param name="firstPage">The first one.</param>
    /// <param name="pageCount">How many, at least 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not inside.</exception>
    /// <exception cref="ObjectDisposedException">The handle was disposed.</exception>
    public Segment Slice(int firstPage, int pageCount)
    {
        CheckPages(firstPage, pageCount);
        var slice = new Segment(pageCount);
        Enter();
        try
        {
            AcquirePages(firstPage, pageCount);
            slice.Adopt(StartUnchecked + ((ulong)firstPage << 12));
            return slice;
        }
        finally
        {
            Exit();
        }
    }

    /// <summary>A handle of one of the frames.</summary>
    /// <param name="page">Its index.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not inside.</exception>
    /// <exception cref="ObjectDisposedException">The handle was disposed.</exception>
    public Frame GetFrame(int page)
    {
        CheckPages(page, 1);
        Enter();
        try
        {
            AcquirePages(page, 1);
            return Frame.Adopting(StartUnchecked + ((ulong)page << 12));
        }
        finally
        {
            Exit();
        }
    }

    internal void CheckPages(int firstPage, int pageCount)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(firstPage);
        ArgumentOutOfRangeException.ThrowIfLessThan(pageCount, 1);
        if (firstPage > PageCount || pageCount > PageCount - firstPage) throw new ArgumentOutOfRangeException(nameof(pageCount));
    }
}
