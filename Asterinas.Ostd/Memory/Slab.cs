using System;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Runtime;

namespace Asterinas.Ostd.Memory;

/// <summary>
/// The right to one slot of a slab: a value that may be copied freely. It stops being valid when the slot changes hands: its token is one that no slot ever has
/// again. A value that was torn by a race between two tasks pairs a slab with a token of another one, which is as dead as a stale one.
/// </summary>
public readonly struct HeapSlot : IEquatable<HeapSlot>
{
    internal HeapSlot(Slab slab, ulong token)
    {
        Slab = slab;
        Token = token;
    }

    /// <summary>The slab that it is part of; null for the default value, which is no slot.</summary>
    public Slab? Slab { get; }

    /// <summary>Position in the slab.</summary>
    public int Index => SlotWord.IndexOf(Token);

    internal ulong Token { get; }

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
    public bool Equals(HeapSlot other) => ReferenceEquals(Slab, other.Slab) && Token == other.Token;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is HeapSlot other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Slab, Token);

    private Slab Checked() => Slab ?? throw new ObjectDisposedException(nameof(HeapSlot));
}

/// <summary>
/// The state of a slot in one word, changed by compare-and-swap:
/// <code>
///   63            12  11        3     2      1   0
///   generation        index        copying  state
/// </code>
/// A token is a slot's word without the copying bit. Generations come out of one counter in runs of 1,024, so no two slots of the machine ever have the same one; the
/// 52 bits last for four million million runs.
/// </summary>
internal static class SlotWord
{
    public const int MostSlots = 512;
    public const ulong Free = 0, Taken = 1, Handed = 2, StateMask = 3, Copying = 4;
    private const int IndexShift = 3, GenerationShift = 12;
    private const ulong Run = 1 << 10, One = 1UL << GenerationShift;
    private static ulong s_lastRun;

    /// <summary>Free slots, each in a run of its own.</summary>
    public static void Create(Span<ulong> words)
    {
        ulong run = Interlocked.Add(ref s_lastRun, (ulong)words.Length);
        for (int i = 0; i < words.Length; i++) words[i] = (run - (ulong)i) * Run << GenerationShift | (ulong)i << IndexShift;
    }

    public static int IndexOf(ulong word) => (int)(word >> IndexShift) & (MostSlots - 1);

    /// <summary>The word after a change of hands.</summary>
    public static ulong Next(ulong word, ulong state)
    {
        ulong next = (word & ~(StateMask | Copying)) + One;
        // The run is used up: go on in a fresh one.
        if ((next >> GenerationShift & (Run - 1)) == 0) next = Interlocked.Increment(ref s_lastRun) * Run << GenerationShift | (next & (One - 1));
        return next | state;
    }
}

/// <summary>
/// A few contiguous typed frames cut into slots of one size, for kernel data outside the garbage collector's heap. Safe code reaches a slot only by
/// copying through a <see cref="HeapSlot"/>.
/// <code>
///   Free --TryTake--> Taken (a policy has it) --SlabHeap.TryAllocate--> Handed (a client has it)
///     ^---Return-------'     ^------------------SlabHeap.Free------------'
///
///   change of hands    │ compare-and-swap of the slot's word; the free list under the gate
///   copy               │ the word's copying bit: who changes hands meanwhile waits for its end, at most 2 KiB
/// </code>
/// Every arrow gives the slot a new token, so all earlier <see cref="HeapSlot"/> values of it are dead.
/// INVARIANT: the frames are freed only when every slot is Free, or when no reference to the slab is left.
/// </summary>
public sealed class Slab : IDisposable
{
    /// <summary>Smallest slot in bytes; every size is a multiple of it.</summary>
    public const int SmallestSlot = 8;
    /// <summary>Largest slot in bytes.</summary>
    public const int LargestSlot = 2048;

    private readonly int _epoch = FrameTable.Epoch;
    private readonly int _pageCount;
    private readonly ulong _start;
    private readonly ulong[] _words;
    private SpinGate _gate;
    // Under _gate.
    private readonly short[] _nextFree;
    private int _firstFree;
    private int _freeCount;
    private bool _isDisposed;

    private Slab(int slotSize, int pageCount, int slotCount)
    {
        SlotSize = slotSize;
        SlotCount = slotCount;
        _freeCount = slotCount;
        _pageCount = pageCount;
        _words = new ulong[slotCount];
        _nextFree = new short[slotCount];
        SlotWord.Create(_words);
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
    public int FreeCount => Volatile.Read(ref _freeCount);

    /// <summary>For the bookkeeping of the policy that made the slab.</summary>
    public object? Tag { get; set; }

    /// <summary>The policy that handed a slot of it first: freed slots go to it.</summary>
    internal ISlabAllocator? Policy;

    /// <summary>A new slab with all slots free; null when there is no memory.</summary>
    /// <param name="slotSize">A multiple of 8, from 8 to 2,048 bytes.</param>
    /// <exception cref="ArgumentOutOfRangeException">Another size.</exception>
    public static Slab? TryCreate(int slotSize)
    {
        if (slotSize is < SmallestSlot or > LargestSlot || slotSize % SmallestSlot != 0) throw new ArgumentOutOfRangeException(nameof(slotSize));
        // Eight slots at least: 1 to 4 pages.
        int pages = (slotSize * 8 + PageSize.Small - 1) / PageSize.Small;
        var slab = new Slab(slotSize, pages, pages * PageSize.Small / slotSize);
        return slab._start == 0 ? null : slab;
    }

    /// <summary>Takes a free slot, for a policy to keep or offer; false when there is none.</summary>
    /// <param name="slot">The slot.</param>
    /// <exception cref="ObjectDisposedException">The slab was disposed.</exception>
    public bool TryTake(out HeapSlot slot)
    {
        slot = default;
        return Take(new Span<HeapSlot>(ref slot)) != 0;
    }

    /// <summary>Takes as many free slots as there are room and slots, at once. Returns how many.</summary>
    /// <param name="slots">Receives them.</param>
    /// <exception cref="ObjectDisposedException">The slab was disposed.</exception>
    public int Take(Span<HeapSlot> slots)
    {
        _gate.Enter();
        bool isDisposed = _isDisposed;
        int count = 0;
        while (!isDisposed && count < slots.Length && _firstFree >= 0)
        {
            int index = _firstFree;
            // A free slot's word is changed under the gate only.
            ulong word = SlotWord.Next(_words[index], SlotWord.Taken);
            Volatile.Write(ref _words[index], word);
            _firstFree = _nextFree[index];
            _freeCount--;
            slots[count++] = new HeapSlot(this, word);
        }
        _gate.Exit();
        ObjectDisposedException.ThrowIf(isDisposed, this);
        return count;
    }

    /// <summary>Returns a slot that was taken and is not handed to a client. False, and nothing done, for any other: stale, returned before, in use.</summary>
    /// <param name="slot">The slot.</param>
    public bool Return(HeapSlot slot)
    {
        if (!IsMine(slot, SlotWord.Taken)) return false;
        _gate.Enter();
        bool isDone = TryChange(slot.Token, SlotWord.Free, out _);
        if (isDone)
        {
            _nextFree[slot.Index] = (short)_firstFree;
            _firstFree = slot.Index;
            _freeCount++;
        }
        _gate.Exit();
        return isDone;
    }

    /// <summary>Frees the frames. Further calls do nothing.</summary>
    /// <exception cref="InvalidOperationException">A slot is not free: a slot never outlives its slab.</exception>
    public void Dispose()
    {
        _gate.Enter();
        int used = SlotCount - _freeCount;
        bool wasDisposed = _isDisposed;
        if (used == 0) _isDisposed = true;
        _gate.Exit();
        if (wasDisposed) return;
        if (used != 0) throw new InvalidOperationException($"{used} slots of the slab are in use");
        GC.SuppressFinalize(this);
        if (_epoch == FrameTable.Epoch) FrameAllocator.Release(_start, _pageCount, FrameState.Slab);
    }

    internal bool IsValid(HeapSlot slot) =>
        slot.Index < SlotCount && (slot.Token & SlotWord.StateMask) != SlotWord.Free && (Volatile.Read(ref _words[slot.Index]) & ~SlotWord.Copying) == slot.Token;

    /// <summary>Hands a taken slot to a client, zeroed; null when it is not a taken slot of this slab.</summary>
    internal HeapSlot? Hand(HeapSlot slot)
    {
        // Under the copying bit while it is zeroed: the value that the policy kept reaches nothing of the client's.
        if (!IsMine(slot, SlotWord.Taken) || !TryChange(slot.Token, SlotWord.Handed | SlotWord.Copying, out ulong word)) return null;
        // SAFETY: the index is inside the slab, whose frames are typed Slab and live while a slot of it is not free.
        unsafe
        {
            new Span<byte>(Machine.PhysToVirt(_start + (ulong)(slot.Index * SlotSize)), SlotSize).Clear();
        }
        Volatile.Write(ref _words[slot.Index], word & ~SlotWord.Copying);
        GC.KeepAlive(this);
        return new HeapSlot(this, word & ~SlotWord.Copying);
    }

    /// <summary>Takes a slot back from a client; null when the value does not give it that right.</summary>
    internal HeapSlot? TakeBack(HeapSlot slot) =>
        IsMine(slot, SlotWord.Handed) && TryChange(slot.Token, SlotWord.Taken, out ulong word) ? new HeapSlot(this, word) : null;

    internal void Read(HeapSlot slot, int offset, Span<byte> destination)
    {
        CheckRange(offset, destination.Length);
        BeginCopy(slot);
        // SAFETY: as in Hand; offset and length were checked against the slot, which cannot change hands while the copying bit is set. Copies between spans do not throw.
        unsafe
        {
            new ReadOnlySpan<byte>(Machine.PhysToVirt(_start + (ulong)(slot.Index * SlotSize + offset)), destination.Length).CopyTo(destination);
        }
        EndCopy(slot);
    }

    internal void Write(HeapSlot slot, int offset, ReadOnlySpan<byte> source)
    {
        CheckRange(offset, source.Length);
        BeginCopy(slot);
        // SAFETY: as in Read.
        unsafe
        {
            source.CopyTo(new Span<byte>(Machine.PhysToVirt(_start + (ulong)(slot.Index * SlotSize + offset)), source.Length));
        }
        EndCopy(slot);
    }

    private void BeginCopy(HeapSlot slot)
    {
        if (slot.Index < SlotCount && (slot.Token & SlotWord.StateMask) != SlotWord.Free)
        {
            ref ulong word = ref _words[slot.Index];
            while (true)
            {
                ulong seen = Interlocked.CompareExchange(ref word, slot.Token | SlotWord.Copying, slot.Token);
                if (seen == slot.Token) return;
                if (seen != (slot.Token | SlotWord.Copying)) break;
                Machine.Pause();
            }
        }
        throw new ObjectDisposedException(nameof(HeapSlot));
    }

    private void EndCopy(HeapSlot slot)
    {
        Volatile.Write(ref _words[slot.Index], slot.Token);
        GC.KeepAlive(this);
    }

    private bool IsMine(HeapSlot slot, ulong state) =>
        ReferenceEquals(slot.Slab, this) && slot.Index < SlotCount && (slot.Token & SlotWord.StateMask) == state;

    /// <summary>Lets a slot change hands; false when the token is not its own (any more). Waits for a copy to end.</summary>
    private bool TryChange(ulong token, ulong state, out ulong next)
    {
        ref ulong word = ref _words[SlotWord.IndexOf(token)];
        next = SlotWord.Next(token, state);
        while (true)
        {
            ulong seen = Interlocked.CompareExchange(ref word, next, token);
            if (seen == token) return true;
            if (seen != (token | SlotWord.Copying)) return false;
            Machine.Pause();
        }
    }

    private void CheckRange(int offset, int length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        if (offset > SlotSize || length > SlotSize - offset) throw new ArgumentOutOfRangeException(nameof(offset));
    }
}
