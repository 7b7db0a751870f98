using System.Numerics;

namespace Asterinas.Services.Allocators;

/// <summary>
/// A set of small integers in which the first element from a position on is found in a few steps: a bitmap, above it a bitmap of its words that are not empty, and so on
/// up to one word. Three levels hold 262,144 elements.
/// INVARIANT: a bit above is set if and only if the word below it is not zero.
/// </summary>
internal sealed class BitTree
{
    private const int WordShift = 6, WordMask = 63;
    private readonly ulong[][] _levels;

    /// <summary>An empty set of numbers from 0 to capacity - 1.</summary>
    public BitTree(int capacity)
    {
        int depth = 1;
        for (int words = Words(capacity); words > 1; words = Words(words)) depth++;
        _levels = new ulong[depth][];
        for (int i = 0; i < depth; i++)
        {
            capacity = Words(capacity);
            _levels[i] = new ulong[capacity];
        }
    }

    public bool Contains(int item) => (_levels[0][item >> WordShift] >> (item & WordMask) & 1) != 0;

    /// <summary>Adds an element; false when it is there already.</summary>
    public bool Add(int item)
    {
        foreach (ulong[] level in _levels)
        {
            ref ulong word = ref level[item >> WordShift];
            ulong old = word, bit = 1UL << (item & WordMask);
            word = old | bit;
            // Above level 0 the bit may be set only when the word below was not empty, and then the loop has ended there.
            if (old != 0) return (old & bit) == 0;
            item >>= WordShift;
        }
        return true;
    }

    /// <summary>Removes an element; false when it is not there.</summary>
    public bool Remove(int item)
    {
        if (!Contains(item)) return false;
        foreach (ulong[] level in _levels)
        {
            ref ulong word = ref level[item >> WordShift];
            word &= ~(1UL << (item & WordMask));
            if (word != 0) break;
            item >>= WordShift;
        }
        return true;
    }

    /// <summary>The smallest element that is not below a number; -1 when there is none.</summary>
    public int FirstFrom(int item)
    {
        for (int depth = 0; depth < _levels.Length; depth++)
        {
            int index = item >> WordShift;
            if (index >= _levels[depth].Length) return -1;
            ulong rest = _levels[depth][index] & ulong.MaxValue << (item & WordMask);
            if (rest != 0) return Descend(depth, (index << WordShift) + BitOperations.TrailingZeroCount(rest));
            item = index + 1;
        }
        return -1;
    }

    private int Descend(int depth, int item)
    {
        while (depth > 0) item = (item << WordShift) + BitOperations.TrailingZeroCount(_levels[--depth][item]);
        return item;
    }

    private static int Words(int bits) => (bits + WordMask) >> WordShift;
}
