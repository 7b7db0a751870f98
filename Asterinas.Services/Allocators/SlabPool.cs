using System;
using Asterinas.Ostd.Memory;

namespace Asterinas.Services.Allocators;

/// <summary>
/// The slabs of one size of slots. Those with some free slots are in a list, the emptiest last, so that the first ones fill up and the last ones become free. A full slab
/// is in no list: its slots keep it alive. A few slabs without a slot in use are kept; further ones are freed.
/// </summary>
internal sealed class SlabPool(int slotSize)
{
    /// <summary>A slab's place in the list.</summary>
    private sealed class Node(Slab slab)
    {
        public readonly Slab Slab = slab;
        public Node? Previous, Next;
        public bool IsListed;
    }

    private const int MostEmptySlabs = 4;

    private readonly SpinLock _lock = new("slab pool");
    // Under _lock.
    private Node? _first, _last;
    private int _emptySlabs;

    public int SlotSize => slotSize;

    /// <summary>Takes slots, at most as many as the span has room for. 0 when there is no memory.</summary>
    public int Take(Span<HeapSlot> slots)
    {
        while (true)
        {
            using (SpinLock.Guard guard = _lock.Lock())
            {
                int count = TakeListed(slots);
                if (count > 0) return count;
            }
            // Outside of the lock: the frame allocator has locks of its own, and a slab's frame may come from far.
            if (Slab.TryCreate(slotSize) is not { } slab) return 0;
            var node = new Node(slab);
            slab.Tag = node;
            using (SpinLock.Guard guard = _lock.Lock())
            {
                _emptySlabs++;
                Append(node);
            }
        }
    }

    /// <summary>Returns slots to their slabs, and frees slabs of which no slot is in use any more, beyond those that are kept.</summary>
    public void Return(ReadOnlySpan<HeapSlot> slots)
    {
        foreach (HeapSlot slot in slots) Return(slot);
    }

    /// <summary>Frees the slabs that are kept though no slot of them is in use.</summary>
    public void Trim()
    {
        while (true)
        {
            Node? node;
            using (SpinLock.Guard guard = _lock.Lock())
            {
                node = _emptySlabs == 0 ? null : _last;
                while (node is not null && node.Slab.FreeCount != node.Slab.SlotCount) node = node.Previous;
                if (node is null) return;
                Unlink(node);
                _emptySlabs--;
            }
            node.Slab.Dispose();
        }
    }

    private int TakeListed(Span<HeapSlot> slots)
    {
        int count = 0;
        while (count < slots.Length && _first is { } node)
        {
            bool wasEmpty = node.Slab.FreeCount == node.Slab.SlotCount;
            int taken = node.Slab.Take(slots[count..]);
            count += taken;
            if (wasEmpty && taken > 0) _emptySlabs--;
            if (node.Slab.FreeCount == 0) Unlink(node);
        }
        return count;
    }

    private void Return(HeapSlot slot)
    {
        // A slot of a slab that another policy made: the mechanism returns those to their policy, so this one is a stranger's.
        if (slot.Slab is not { Tag: Node node } slab || !ReferenceEquals(node.Slab, slab)) throw new ArgumentException("a slot of another allocator", nameof(slot));
        using (SpinLock.Guard guard = _lock.Lock())
        {
            if (!slab.Return(slot)) throw new ArgumentException("a slot that is not taken", nameof(slot));
            if (!node.IsListed) Append(node);
            if (slab.FreeCount != slab.SlotCount) return;
            // The last in the list: the others fill up first.
            Unlink(node);
            if (_emptySlabs < MostEmptySlabs)
            {
                _emptySlabs++;
                Append(node);
                return;
            }
        }
        slab.Dispose();
    }

    private void Append(Node node)
    {
        node.IsListed = true;
        node.Previous = _last;
        node.Next = null;
        if (_last is null) _first = node;
        else _last.Next = node;
        _last = node;
    }

    private void Unlink(Node node)
    {
        node.IsListed = false;
        if (node.Previous is null) _first = node.Next;
        else node.Previous.Next = node.Next;
        if (node.Next is null) _last = node.Previous;
        else node.Next.Previous = node.Previous;
        node.Previous = node.Next = null;
    }
}
