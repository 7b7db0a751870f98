using System;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Runtime;

namespace Asterinas.Ostd.Collections;

/// <summary>
/// A doubly linked list of untyped frames, whose links lie in the frames' metadata: no allocation to insert or remove. A frame is in at most one list:
/// its metadata names the list, set by compare-and-swap. The list holds a reference of its own to each frame.
/// </summary>
/// <remarks>Thread-safe: each operation takes the list's lock.</remarks>
public sealed class FrameList : IDisposable
{
    private static long s_lastId;

    private readonly int _epoch = FrameTable.Epoch;
    private readonly nint _id = (nint)Interlocked.Increment(ref s_lastId);
    private SpinGate _gate;
    // Under _gate: page number + 1 of the first and last frame, 0 for none, as in the links; changes counts insertions and removals.
    private uint _first, _last;
    private int _count;
    private long _changes;
    private bool _isDisposed;

    /// <summary>Releases the frames of a forgotten list.</summary>
    ~FrameList()
    {
        if (_epoch == FrameTable.Epoch) Clear();
    }

    /// <summary>Frames in the list. A snapshot.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Inserts a frame before all others. The handle stays the caller's.</summary>
    /// <param name="frame">A frame that is in no list.</param>
    /// <exception cref="InvalidOperationException">It is in a list already.</exception>
    /// <exception cref="ObjectDisposedException">The handle or the list was disposed.</exception>
    public void PushFront(Frame frame) => Insert(frame, true);

    /// <summary>Inserts a frame behind all others. The handle stays the caller's.</summary>
    /// <param name="frame">A frame that is in no list.</param>
    /// <exception cref="InvalidOperationException">It is in a list already.</exception>
    /// <exception cref="ObjectDisposedException">The handle or the list was disposed.</exception>
    public void PushBack(Frame frame) => Insert(frame, false);

    /// <summary>Removes the first frame and returns a handle of it; null when the list is empty.</summary>
    public Frame? PopFront() => Pop(true);

    /// <summary>Removes the last frame and returns a handle of it; null when the list is empty.</summary>
    public Frame? PopBack() => Pop(false);

    /// <summary>Whether the frame is in this list.</summary>
    /// <param name="frame">Any frame.</param>
    /// <exception cref="ObjectDisposedException">The handle was disposed.</exception>
    public bool Contains(Frame frame)
    {
        ArgumentNullException.ThrowIfNull(frame);
        frame.Enter();
        bool isInside = Interlocked.CompareExchange(ref FrameTable.Slot(frame.StartUnchecked >> 12).Owner, 0, 0) == _id;
        frame.Exit();
        return isInside;
    }

    /// <summary>Removes a frame; false when it is not in this list.</summary>
    /// <param name="frame">Any frame.</param>
    /// <exception cref="ObjectDisposedException">The handle was disposed.</exception>
    public bool Remove(Frame frame)
    {
        ArgumentNullException.ThrowIfNull(frame);
        frame.Enter();
        try
        {
            ulong page = frame.StartUnchecked >> 12;
            _gate.Enter();
            bool isInside = FrameTable.Slot(page).Owner == _id;
            if (isInside) Unlink((uint)page + 1);
            _gate.Exit();
            if (isInside) FrameAllocator.Drop(page << 12, 1);
            return isInside;
        }
        finally
        {
            frame.Exit();
        }
    }

    /// <summary>A cursor before the first frame.</summary>
    public Cursor GetCursor() => new(this);

    /// <summary>Removes all frames.</summary>
    public void Clear()
    {
        while (true)
        {
            _gate.Enter();
            uint link = _first;
            if (link != 0) Unlink(link);
            _gate.Exit();
            if (link == 0) return;
            FrameAllocator.Drop((ulong)(link - 1) << 12, 1);
        }
    }

    /// <summary>Removes all frames and refuses new ones.</summary>
    public void Dispose()
    {
        _gate.Enter();
        _isDisposed = true;
        _gate.Exit();
        if (_epoch == FrameTable.Epoch) Clear();
        GC.SuppressFinalize(this);
    }

    /// <summary>
    /// Walks a list front to back. A change of the list by anybody else makes the next step fail: the position would mean nothing.
    /// </summary>
    public struct Cursor
    {
        private readonly FrameList _list;
        private long _changes;
        private uint _at;
        private uint _next;
        private bool _hasStarted;

        internal Cursor(FrameList list)
        {
            _list = list;
            _changes = Volatile.Read(ref list._changes);
        }

        /// <summary>Moves to the next frame; false at the end.</summary>
        /// <exception cref="InvalidOperationException">The list was changed otherwise.</exception>
        public bool MoveNext()
        {
            Lock();
            _at = _hasStarted ? _next : _list._first;
            _hasStarted = true;
            _next = _at == 0 ? 0 : FrameTable.Slot(_at - 1).Next;
            _list._gate.Exit();
            return _at != 0;
        }

        /// <summary>A handle of the frame at the cursor.</summary>
        /// <exception cref="InvalidOperationException">The cursor is at no frame, or the list was changed otherwise.</exception>
        public readonly Frame Current()
        {
            Lock();
            try
            {
                if (_at == 0) throw new InvalidOperationException("the cursor is at no frame");
                FrameTable.Acquire(_at - 1);
            }
            finally
            {
                _list._gate.Exit();
            }
            return Frame.Adopting((ulong)(_at - 1) << 12);
        }

        /// <summary>Removes the frame at the cursor and returns a handle of it; the next step moves to its successor.</summary>
        /// <exception cref="InvalidOperationException">The cursor is at no frame, or the list was changed otherwise.</exception>
        public Frame RemoveCurrent()
        {
            Lock();
            uint link = _at;
            if (link != 0)
            {
                _list.Unlink(link);
                _changes = _list._changes;
                _at = 0;
            }
            _list._gate.Exit();
            if (link == 0) throw new InvalidOperationException("the cursor is at no frame");
            return Frame.Adopting((ulong)(link - 1) << 12);
        }

        private readonly void Lock()
        {
            _list._gate.Enter();
            if (_changes == _list._changes) return;
            _list._gate.Exit();
            throw new InvalidOperationException("the list was changed");
        }
    }

    private void Insert(Frame frame, bool atFront)
    {
        ArgumentNullException.ThrowIfNull(frame);
        frame.Enter();
        try
        {
            ulong page = frame.StartUnchecked >> 12;
            uint link = (uint)page + 1;
            ref FrameMeta meta = ref FrameTable.Slot(page);
            _gate.Enter();
            try
            {
                ObjectDisposedException.ThrowIf(_isDisposed, this);
                if (Interlocked.CompareExchange(ref meta.Owner, _id, 0) != 0) throw new InvalidOperationException("the frame is in a list");
                try
                {
                    FrameTable.Acquire(page);
                }
                catch (InvalidOperationException)
                {
                    Interlocked.Exchange(ref meta.Owner, 0);
                    throw;
                }
                meta.Previous = atFront ? 0 : _last;
                meta.Next = atFront ? _first : 0;
                if (meta.Previous != 0) FrameTable.Slot(meta.Previous - 1).Next = link;
                else _first = link;
                if (meta.Next != 0) FrameTable.Slot(meta.Next - 1).Previous = link;
                else _last = link;
                _count++;
                _changes++;
            }
            finally
            {
                _gate.Exit();
            }
        }
        finally
        {
            frame.Exit();
        }
    }

    private Frame? Pop(bool front)
    {
        _gate.Enter();
        uint link = front ? _first : _last;
        if (link != 0) Unlink(link);
        _gate.Exit();
        // The list's reference becomes the handle's.
        return link == 0 ? null : Frame.Adopting((ulong)(link - 1) << 12);
    }

    // Under _gate; the list's reference passes to the caller.
    private void Unlink(uint link)
    {
        ref FrameMeta meta = ref FrameTable.Slot(link - 1);
        if (meta.Previous != 0) FrameTable.Slot(meta.Previous - 1).Next = meta.Next;
        else _first = meta.Next;
        if (meta.Next != 0) FrameTable.Slot(meta.Next - 1).Previous = meta.Previous;
        else _last = meta.Previous;
        meta.Next = meta.Previous = 0;
        _count--;
        _changes++;
        Interlocked.Exchange(ref meta.Owner, 0);
    }
}
