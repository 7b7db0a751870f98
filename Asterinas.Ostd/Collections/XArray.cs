using System;
using System.Diagnostics.CodeAnalysis;
using System.Numerics;
using System.Threading;
using Asterinas.Ostd.Memory;

namespace Asterinas.Ostd.Collections;

/// <summary>One of the three marks that an entry of an <see cref="XArray{T}"/> can carry, such as dirty or under write-back.</summary>
public enum XMark
{
    /// <summary>The first mark.</summary>
    Mark0,
    /// <summary>The second mark.</summary>
    Mark1,
    /// <summary>The third mark.</summary>
    Mark2,
}

/// <summary>
/// A sparse array of objects over 64-bit indices: a radix tree of 64-way nodes that grows and shrinks with its highest index. Each inner node knows
/// which of its children hold a marked entry, so marked entries are found without visiting others.
/// <code>
///   Load, TryFind*, enumeration    no lock: one volatile read a level; see each entry before or after a change, never half of it
///   Store, Erase, marks            the writer lock
/// </code>
/// Nodes taken out of the tree are never reused, the garbage collector frees them, so a reader that still walks one is harmless.
/// </summary>
/// <typeparam name="T">Entries; null means absent.</typeparam>
public sealed class XArray<T> where T : class
{
    private const int Bits = 6, Width = 1 << Bits, Marks = 3;

    private sealed class Node(int shift)
    {
        // Index bits below this node: 0 at the leaves.
        public readonly int Shift = shift;
        public readonly object?[] Slots = new object?[Width];
        // A bit a slot, for each mark.
        public ulong Marks0, Marks1, Marks2;
        public int Count;

        public ulong Last => Shift + Bits >= 64 ? ulong.MaxValue : (1UL << (Shift + Bits)) - 1;

        public int Slot(ulong index) => (int)(index >> Shift) & (Width - 1);

        public ref ulong MarkBits(int mark)
        {
            if (mark == 0) return ref Marks0;
            if (mark == 1) return ref Marks1;
            return ref Marks2;
        }
    }

    private SpinGate _gate;
    private Node? _root;
    private long _count;

    /// <summary>Entries. A snapshot.</summary>
    public long Count => Interlocked.Read(ref _count);

    /// <summary>The entry at an index; null when there is none. Lock-free.</summary>
    /// <param name="index">Any index.</param>
    public T? Load(ulong index)
    {
        Node? node = Volatile.Read(ref _root);
        if (node is null || index > node.Last) return null;
        while (true)
        {
            object? entry = Volatile.Read(ref node.Slots[node.Slot(index)]);
            if (node.Shift == 0) return (T?)entry;
            if (entry is null) return null;
            node = (Node)entry;
        }
    }

    /// <summary>Puts an entry at an index and returns the one before, null if none. The marks of a replaced entry stay. Null erases.</summary>
    /// <param name="index">Any index.</param>
    /// <param name="value">The entry.</param>
    /// <exception cref="OutOfMemoryException">No memory for a node; nothing was stored.</exception>
    public T? Store(ulong index, T? value)
    {
        if (value is null) return Erase(index);
        _gate.Enter();
        try
        {
            Node leaf = Reach(index);
            int slot = leaf.Slot(index);
            var old = (T?)leaf.Slots[slot];
            Volatile.Write(ref leaf.Slots[slot], value);
            if (old is null)
            {
                leaf.Count++;
                Interlocked.Increment(ref _count);
            }
            return old;
        }
        finally
        {
            _gate.Exit();
        }
    }

    /// <summary>Puts an entry at an index where there is none. False when there is one.</summary>
    /// <param name="index">Any index.</param>
    /// <param name="value">The entry.</param>
    /// <param name="present">The entry that is there already.</param>
    /// <exception cref="OutOfMemoryException">No memory for a node; nothing was stored.</exception>
    public bool TryAdd(ulong index, T value, [NotNullWhen(false)] out T? present)
    {
        ArgumentNullException.ThrowIfNull(value);
        _gate.Enter();
        try
        {
            Node leaf = Reach(index);
            int slot = leaf.Slot(index);
            present = (T?)leaf.Slots[slot];
            if (present is not null) return false;
            Volatile.Write(ref leaf.Slots[slot], value);
            leaf.Count++;
            Interlocked.Increment(ref _count);
            return true;
        }
        finally
        {
            _gate.Exit();
        }
    }

    /// <summary>Removes the entry at an index with its marks and returns it; null when there was none.</summary>
    /// <param name="index">Any index.</param>
    public T? Erase(ulong index)
    {
        _gate.Enter();
        try
        {
            var path = new Path();
            if (!TryPath(index, ref path, out int depth)) return null;
            Node leaf = path[depth - 1];
            int slot = leaf.Slot(index);
            var old = (T?)leaf.Slots[slot];
            if (old is null) return null;
            for (int mark = 0; mark < Marks; mark++) ClearMark(ref path, depth, index, mark);
            Volatile.Write(ref leaf.Slots[slot], null);
            leaf.Count--;
            Interlocked.Decrement(ref _count);
            Shrink(ref path, depth, index);
            return old;
        }
        finally
        {
            _gate.Exit();
        }
    }

    /// <summary>Removes all entries.</summary>
    public void Clear()
    {
        _gate.Enter();
        Volatile.Write(ref _root, null);
        Interlocked.Exchange(ref _count, 0);
        _gate.Exit();
    }

    /// <summary>Marks an entry; false when there is none.</summary>
    /// <param name="index">Any index.</param>
    /// <param name="mark">The mark.</param>
    public bool SetMark(ulong index, XMark mark)
    {
        CheckMark(mark);
        _gate.Enter();
        try
        {
            var path = new Path();
            if (!TryPath(index, ref path, out int depth) || path[depth - 1].Slots[path[depth - 1].Slot(index)] is null) return false;
            for (int i = 0; i < depth; i++)
            {
                ref ulong bits = ref path[i].MarkBits((int)mark);
                Volatile.Write(ref bits, bits | (1UL << path[i].Slot(index)));
            }
            return true;
        }
        finally
        {
            _gate.Exit();
        }
    }

    /// <summary>Takes a mark from an entry; false when it had none.</summary>
    /// <param name="index">Any index.</param>
    /// <param name="mark">The mark.</param>
    public bool ClearMark(ulong index, XMark mark)
    {
        CheckMark(mark);
        _gate.Enter();
        try
        {
            var path = new Path();
            return TryPath(index, ref path, out int depth) && ClearMark(ref path, depth, index, (int)mark);
        }
        finally
        {
            _gate.Exit();
        }
    }

    /// <summary>Whether an entry is marked. Lock-free.</summary>
    /// <param name="index">Any index.</param>
    /// <param name="mark">The mark.</param>
    public bool IsMarked(ulong index, XMark mark)
    {
        CheckMark(mark);
        Node? node = Volatile.Read(ref _root);
        if (node is null || index > node.Last) return false;
        while (true)
        {
            int slot = node.Slot(index);
            if ((Volatile.Read(ref node.MarkBits((int)mark)) & (1UL << slot)) == 0) return false;
            if (node.Shift == 0) return true;
            if (Volatile.Read(ref node.Slots[slot]) is not Node next) return false;
            node = next;
        }
    }

    /// <summary>Finds the first entry at or after an index. Lock-free.</summary>
    /// <param name="index">Where to begin; the entry's index when one is found.</param>
    /// <param name="last">The last index to look at.</param>
    /// <param name="value">The entry.</param>
    public bool TryFind(ref ulong index, ulong last, [NotNullWhen(true)] out T? value) => TryFind(ref index, last, -1, out value);

    /// <summary>Finds the first marked entry at or after an index, without visiting subtrees that have none. Lock-free.</summary>
    /// <param name="index">Where to begin; the entry's index when one is found.</param>
    /// <param name="last">The last index to look at.</param>
    /// <param name="mark">The mark.</param>
    /// <param name="value">The entry.</param>
    public bool TryFindMarked(ref ulong index, ulong last, XMark mark, [NotNullWhen(true)] out T? value)
    {
        CheckMark(mark);
        return TryFind(ref index, last, (int)mark, out value);
    }

    /// <summary>The entries from one index to another, both included, in order. Sees concurrent changes or not; allocates nothing.</summary>
    /// <param name="first">The first index.</param>
    /// <param name="last">The last index.</param>
    public Range Between(ulong first, ulong last) => new(this, first, last);

    /// <summary>A cursor at an index.</summary>
    /// <param name="index">Any index.</param>
    public Cursor GetCursor(ulong index) => new(this, index);

    /// <summary>A range of entries, for <c>foreach</c>.</summary>
    public struct Range
    {
        private readonly XArray<T> _array;
        private readonly ulong _last;
        private ulong _next;
        private bool _isAtEnd;

        internal Range(XArray<T> array, ulong first, ulong last)
        {
            _array = array;
            _next = first;
            _last = last;
            _isAtEnd = first > last;
        }

        /// <summary>The entry and its index.</summary>
        public (ulong Index, T Value) Current { readonly get; private set; }

        /// <summary>The range itself.</summary>
        public readonly Range GetEnumerator() => this;

        /// <summary>Moves to the next entry; false at the end.</summary>
        public bool MoveNext()
        {
            ulong index = _next;
            if (_isAtEnd || !_array.TryFind(ref index, _last, out T? value)) return false;
            Current = (index, value);
            _isAtEnd = index == _last;
            if (!_isAtEnd) _next = index + 1;
            return true;
        }
    }

    /// <summary>A position in the array, with the operations at it. A position only: it holds no lock and is valid whatever happens to the array.</summary>
    public struct Cursor
    {
        private readonly XArray<T> _array;

        internal Cursor(XArray<T> array, ulong index)
        {
            _array = array;
            Index = index;
        }

        /// <summary>The index.</summary>
        public ulong Index { readonly get; set; }

        /// <summary>The entry; null when there is none.</summary>
        public readonly T? Load() => _array.Load(Index);

        /// <summary>Stores an entry; see <see cref="XArray{T}.Store"/>.</summary>
        /// <param name="value">The entry.</param>
        public readonly T? Store(T? value) => _array.Store(Index, value);

        /// <summary>Removes the entry; see <see cref="XArray{T}.Erase"/>.</summary>
        public readonly T? Erase() => _array.Erase(Index);

        /// <summary>Marks the entry; false when there is none.</summary>
        /// <param name="mark">The mark.</param>
        public readonly bool SetMark(XMark mark) => _array.SetMark(Index, mark);

        /// <summary>Takes the mark away; false when there was none.</summary>
        /// <param name="mark">The mark.</param>
        public readonly bool ClearMark(XMark mark) => _array.ClearMark(Index, mark);

        /// <summary>Whether the entry is marked.</summary>
        /// <param name="mark">The mark.</param>
        public readonly bool IsMarked(XMark mark) => _array.IsMarked(Index, mark);

        /// <summary>Moves to the first entry behind this index; false, and the cursor stays, when there is none.</summary>
        public bool MoveToNext()
        {
            if (Index == ulong.MaxValue) return false;
            ulong index = Index + 1;
            if (!_array.TryFind(ref index, ulong.MaxValue, out _)) return false;
            Index = index;
            return true;
        }
    }

    [System.Runtime.CompilerServices.InlineArray(11)]
    private struct Path
    {
        private Node _first;
    }

    private bool TryFind(ref ulong index, ulong last, int mark, [NotNullWhen(true)] out T? value)
    {
        value = null;
        ulong at = index;
        while (at <= last)
        {
            Node? node = Volatile.Read(ref _root);
            if (node is null || at > node.Last) return false;
            while (true)
            {
                int slot = node.Slot(at);
                int found = NextSlot(node, slot, mark);
                if (found != slot)
                {
                    // Nothing under the slots from here to the one found: go on at its first index, or behind this node.
                    ulong below = node.Shift + Bits >= 64 ? 0 : at >> (node.Shift + Bits) << (node.Shift + Bits);
                    if (found == Width)
                    {
                        ulong end = below + node.Last;
                        if (end == ulong.MaxValue) return false;
                        at = end + 1;
                        break;
                    }
                    at = below + ((ulong)found << node.Shift);
                    if (at > last) return false;
                }
                object? entry = Volatile.Read(ref node.Slots[found]);
                if (node.Shift == 0 && entry is not null)
                {
                    index = at;
                    value = (T)entry;
                    return true;
                }
                if (entry is null)
                {
                    // It went while we looked: step over it.
                    ulong end = at | ((1UL << node.Shift) - 1);
                    if (end == ulong.MaxValue) return false;
                    at = end + 1;
                    break;
                }
                node = (Node)entry;
            }
        }
        return false;
    }

    private static int NextSlot(Node node, int from, int mark)
    {
        if (mark >= 0)
        {
            ulong bits = Volatile.Read(ref node.MarkBits(mark)) >> from;
            return bits == 0 ? Width : from + BitOperations.TrailingZeroCount(bits);
        }
        while (from < Width && Volatile.Read(ref node.Slots[from]) is null) from++;
        return from;
    }

    // The leaf for an index, made with all nodes above it where missing. Every step leaves a valid tree: a node without entries is allowed.
    private Node Reach(ulong index)
    {
        Node? root = _root;
        if (root is null)
        {
            int shift = 0;
            while (index >> shift >= Width) shift += Bits;
            Volatile.Write(ref _root, root = new Node(shift));
        }
        while (index > root.Last)
        {
            var above = new Node(root.Shift + Bits);
            above.Slots[0] = root;
            above.Count = 1;
            for (int mark = 0; mark < Marks; mark++) above.MarkBits(mark) = root.MarkBits(mark) != 0 ? 1UL : 0;
            Volatile.Write(ref _root, root = above);
        }
        Node node = root;
        while (node.Shift > 0)
        {
            int slot = node.Slot(index);
            if (node.Slots[slot] is not Node next)
            {
                next = new Node(node.Shift - Bits);
                Volatile.Write(ref node.Slots[slot], next);
                node.Count++;
            }
            node = next;
        }
        return node;
    }

    private bool TryPath(ulong index, ref Path path, out int depth)
    {
        depth = 0;
        Node? node = _root;
        if (node is null || index > node.Last) return false;
        while (true)
        {
            path[depth++] = node;
            if (node.Shift == 0) return true;
            if (node.Slots[node.Slot(index)] is not Node next) return false;
            node = next;
        }
    }

    private static bool ClearMark(ref Path path, int depth, ulong index, int mark)
    {
        bool had = (path[depth - 1].MarkBits(mark) & (1UL << path[depth - 1].Slot(index))) != 0;
        if (!had) return false;
        for (int i = depth - 1; i >= 0; i--)
        {
            ref ulong bits = ref path[i].MarkBits(mark);
            Volatile.Write(ref bits, bits & ~(1UL << path[i].Slot(index)));
            if (bits != 0) break;
        }
        return true;
    }

    private void Shrink(ref Path path, int depth, ulong index)
    {
        for (int i = depth - 1; i > 0 && path[i].Count == 0; i--)
        {
            Volatile.Write(ref path[i - 1].Slots[path[i - 1].Slot(index)], null);
            path[i - 1].Count--;
        }
        Node root = _root!;
        while (root.Shift > 0 && root.Count == 1 && root.Slots[0] is Node only) Volatile.Write(ref _root, root = only);
        if (root.Count == 0) Volatile.Write(ref _root, null);
    }

    private static void CheckMark(XMark mark)
    {
        if (mark is < XMark.Mark0 or > XMark.Mark2) throw new ArgumentOutOfRangeException(nameof(mark));
    }
}
