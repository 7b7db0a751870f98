using System;
using System.Threading;
using Asterinas.Ostd.Memory;

namespace Asterinas.Services.Allocators;

/// <summary>
/// The slots of one size that one CPU keeps at hand, as a stack. Guarded by a claim like <see cref="FrameCache"/>: who finds it claimed goes to the slabs.
/// </summary>
internal sealed class SlotMagazine(int capacity)
{
    private readonly HeapSlot[] _slots = new HeapSlot[capacity];
    private int _count;
    private int _isClaimed;

    public int Capacity => _slots.Length;

    /// <summary>Slots in it. A snapshot.</summary>
    public int Count => _count;

    public bool TryClaim() => Volatile.Read(ref _isClaimed) == 0 && Interlocked.CompareExchange(ref _isClaimed, 1, 0) == 0;

    public void Release() => Volatile.Write(ref _isClaimed, 0);

    // ---- While it is claimed

    public bool TryPop(out HeapSlot slot)
    {
        int last = _count - 1;
        if ((uint)last >= (uint)_slots.Length)
        {
            slot = default;
            return false;
        }
        slot = _slots[last];
        _slots[last] = default;                 // a full slab is kept alive by its slots alone
        _count = last;
        return true;
    }

    public bool TryPush(HeapSlot slot)
    {
        int count = _count;
        if ((uint)count >= (uint)_slots.Length) return false;
        _slots[count] = slot;
        _count = count + 1;
        return true;
    }

    /// <summary>Room for a refill of an empty magazine; <see cref="Filled"/> says how much of it was used.</summary>
    public Span<HeapSlot> Room(int slots) => _slots.AsSpan(0, slots);

    public void Filled(int slots) => _count = slots;
}
