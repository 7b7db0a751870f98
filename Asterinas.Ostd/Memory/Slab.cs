using System;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Runtime;

namespace Asterinas.Ostd.Memory;

/// <summary>
/// The right to one slot of a slab: a value that may be copied freely. It stops being valid when the slot changes hands, which is told by the slot's
/// generation: a stale or forged one is answered with an exception.
/// </summary>
public readonly struct HeapSlot : IEquatable<HeapSlot>
{
    internal HeapSlot(Slab slab, int index, ulong generation)
    {
        Slab = slab;
        Index = index;
        Generation = generation;
    }

    /// <summary>The slab that it is part of; null for the default value, which is no slot.</summary>
    public Slab? Slab { get; }

    /// <summary>Position in the slab.</summary>
    public int Index { get; }

    internal ulong Generation { get; }

    /// <summary>Bytes of the slot.</summary>
    public int Size => Slab?.SlotSize ?? 0;

    /// <summary>Whether this value still gives access.</summary>
    public bool IsValid => Slab is not null && Slab.IsValid(this);

    /// <summary>Copies bytes out. All or nothing.</summary>
    /// <param name="offset">Bytes from the slot's start.</param>
    /// <param name="destination">Receives the bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not inside the slot.</exception>
    /// <exception cref="ObjectDisposedException">The slot changed hands.</exception>
    public void Read(int offset, Span<byte> destination) => Checked().Read(this, offset, destination);

    /// <summary>Copies bytes in. All or nothing.</summary>
    /// <param name="offset">Bytes from the slot's start.</param>
    /// <param name="source">The bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">Not inside the slot.</exception>
    /// <exception cref="ObjectDisposedException">The slot changed hands.</exception>
    public void Write(int offset, ReadOnlySpan<byte> source) => Checked().Write(this, offset, source);

    /// <inheritdoc/>
    public bool Equals(HeapSlot other) => ReferenceEquals(Slab, other.Slab) && Index == other.Index && Generation == other.Generation;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is HeapSlot other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Slab, Index, Generation);

    private Slab Checked() => Slab ?? throw new ObjectDisposedException(nameof(HeapSlot));
}

/// <summary>
/// A few contiguous typed frames cut into slots of one size, for kernel data outside the garbage collector's heap. Safe code reaches a slot only by
/// copying through a <see cref="HeapSlot"/>.
/// <code>
///   Free --TryTake--> Taken (a policy has it) --SlabHeap.TryAllocate--> Handed (a client has it)
///     ^---Return-------'     ^------------------SlabHeap.Free------------'
/// </code>
/// Every arrow gives the slot a new generation, so all earlier <see cref="HeapSlot"/> values of it are dead.
/// INVARIANT: the frames are freed only when every slot is Free, or when no reference to the slab is left.
/// </summary>
public sealed class Slab : IDisposable
{
    /// <summary>Smallest slot in bytes.</summary>
    public const int SmallestSlot = 8;
    /// <summary>Largest slot in bytes.</summary>
    public const int LargestSlot = 2048;

    private enum SlotState : byte
    {
        Free,
        Taken,
        Handed,
    }

    private readonly int _epoch = FrameTable.Epoch;
    private readonly int _pageCount;
    private readonly ulong _start;
    private SpinGate _gate;
    // Under _gate.
    private readonly ulong[] _generations;
    private readonly SlotState[] _states;
    private readonly short[] _nextFree;
    private int _firstFree;
    private bool _isDisposed;

    private Slab(int slotSize, int pageCount, int slotCount)
    {
        SlotSize = slotSize;
        SlotCount = slotCount;
        FreeCount = slotCount;
        _pageCount = pageCount;
        _generations = new ulong[slotCount];
        _states = new SlotState[slotCount];
        _nextFree = new short[slotCount];
        for (int i = 0; i < slotCount; i++) _nextFree[i] = (short)(i + 1 < slotCount ? i + 1 : -1);
        // Frames last: an exception before leaves nothing behind.
        _start = FrameAllocator.Claim(new FrameLayout(pageCount, 1), FrameState.Slab);
        if (_start == 0) _isDisposed = true;
    }

    /// <summary>Frees the frames of a forgotten slab: no slot of it is reachable any more.</summary>
    ~Slab()
    {
        if (_start != 0 && !_isDisposed && _epoch == FrameTable.Epoch) FrameAllocator.Release(_start, _pageCount, FrameState.Slab);
    }

    /// <summary>Bytes of each slot.</summary>
    public int SlotSize { get; }

    /// <summary>Slots of the slab.</summary>
    public int SlotCount { get; }

    /// <summary>Slots that nobody has. A snapshot.</summary>
    public int FreeCount { get; private set; }

    /// <summary>A new slab with all slots free; null when there is no memory.</summary>
    /// <param name="slotSize">A power of two, from 8 to 2,048 bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">Another size.</exception>
    public static Slab? TryCreate(int slotSize)
    {
        if (slotSize is < SmallestSlot or > LargestSlot || !System.Numerics.BitOperations.IsPow2(slotSize)) throw new ArgumentOutOfRangeException(nameof(slotSize));
        int pages = Math.Max(1, slotSize * 8 / PageSize.Small);
        var slab = new Slab(slotSize, pages, pages * PageSize.Small / slotSize);
        return slab._start == 0 ? null : slab;
    }

    /// <summary>Takes a free slot, for a policy to keep or offer; false when there is none.</summary>
    /// <param name="slot">The slot.</param>
    /// <exception cref="ObjectDisposedException">The slab was disposed.</exception>
    public bool TryTake(out HeapSlot slot)
    {
        _gate.Enter();
        try
        {
            ObjectDisposedException.ThrowIf(_isDisposed, this);
            int index = _firstFree;
            slot = default;
            if (index < 0) return false;
            _firstFree = _nextFree[index];
            FreeCount--;
            _states[index] = SlotState.Taken;
            slot = new HeapSlot(this, index, ++_generations[index]);
            return true;
        }
        finally
        {
            _gate.Exit();
        }
    }

    /// <summary>Returns a slot that was taken and is not handed to a client. False, and nothing done, for any other: stale, returned before, in use.</summary>
    /// <param name="slot">The slot.</param>
    public bool Return(HeapSlot slot)
    {
        _gate.Enter();
        try
        {
            if (!IsCurrent(slot) || _states[slot.Index] != SlotState.Taken) return false;
            _generations[slot.Index]++;
            _states[slot.Index] = SlotState.Free;
            _nextFree[slot.Index] = (short)_firstFree;
            _firstFree = slot.Index;
            FreeCount++;
            return true;
        }
        finally
        {
            _gate.Exit();
        }
    }

    /// <summary>Frees the frames. Further calls do nothing.</summary>
    /// <exception cref="InvalidOperationException">A slot is not free: a slot never outlives its slab.</exception>
    public void Dispose()
    {
        _gate.Enter();
        bool isBusy = FreeCount != SlotCount;
        bool wasDisposed = _isDisposed;
        if (!isBusy) _isDisposed = true;
        _gate.Exit();
        if (wasDisposed) return;
        if (isBusy) throw new InvalidOperationException($"{SlotCount - FreeCount} slots of the slab are in use");
        GC.SuppressFinalize(this);
        if (_epoch == FrameTable.Epoch) FrameAllocator.Release(_start, _pageCount, FrameState.Slab);
    }

    internal bool IsValid(HeapSlot slot)
    {
        _gate.Enter();
        bool isValid = IsCurrent(slot);
        _gate.Exit();
        return isValid;
    }

    /// <summary>Hands a taken slot to a client, zeroed; null when it is not a taken slot of this slab.</summary>
    internal HeapSlot? Hand(HeapSlot slot)
    {
        _gate.Enter();
        try
        {
            if (!IsCurrent(slot) || _states[slot.Index] != SlotState.Taken) return null;
            _states[slot.Index] = SlotState.Handed;
            // SAFETY: the index is inside the slab, whose frames are typed Slab and live while _isDisposed is false, which the gate keeps so.
            unsafe
            {
                new Span<byte>(Machine.PhysToVirt(_start + (ulong)(slot.Index * SlotSize)), SlotSize).Clear();
            }
            return new HeapSlot(this, slot.Index, ++_generations[slot.Index]);
        }
        finally
        {
            _gate.Exit();
        }
    }

    /// <summary>Takes a slot back from a client; null when the value does not give it that right.</summary>
    internal HeapSlot? TakeBack(HeapSlot slot)
    {
        _gate.Enter();
        try
        {
            if (!IsCurrent(slot) || _states[slot.Index] != SlotState.Handed) return null;
            _states[slot.Index] = SlotState.Taken;
            return new HeapSlot(this, slot.Index, ++_generations[slot.Index]);
        }
        finally
        {
            _gate.Exit();
        }
    }

    internal void Read(HeapSlot slot, int offset, Span<byte> destination)
    {
        CheckRange(offset, destination.Length);
        _gate.Enter();
        try
        {
            ObjectDisposedException.ThrowIf(!IsCurrent(slot), typeof(HeapSlot));
            // SAFETY: as in Hand; offset and length were checked against the slot.
            unsafe
            {
                new ReadOnlySpan<byte>(Machine.PhysToVirt(_start + (ulong)(slot.Index * SlotSize + offset)), destination.Length).CopyTo(destination);
            }
        }
        finally
        {
            _gate.Exit();
        }
    }

    internal void Write(HeapSlot slot, int offset, ReadOnlySpan<byte> source)
    {
        CheckRange(offset, source.Length);
        _gate.Enter();
        try
        {
            ObjectDisposedException.ThrowIf(!IsCurrent(slot), typeof(HeapSlot));
            // SAFETY: as in Hand; offset and length were checked against the slot.
            unsafe
            {
                source.CopyTo(new Span<byte>(Machine.PhysToVirt(_start + (ulong)(slot.Index * SlotSize + offset)), source.Length));
            }
        }
        finally
        {
            _gate.Exit();
        }
    }

    private bool IsCurrent(HeapSlot slot) =>
        !_isDisposed && ReferenceEquals(slot.Slab, this) && _states[slot.Index] != SlotState.Free && _generations[slot.Index] == slot.Generation;

    private void CheckRange(int offset, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        if (offset > SlotSize || length > SlotSize - offset) throw new ArgumentOutOfRangeException(nameof(offset));
    }
}
