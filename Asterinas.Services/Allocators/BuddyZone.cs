using System;
using System.Numerics;

namespace Asterinas.Services.Allocators;

/// <summary>
/// The free pages of one GiB of physical memory, as buddies: blocks of 2^order pages, order 0 to 18, one set of free blocks an order. Every GiB has a lock of its own, so
/// CPUs that refill their caches from different zones do not meet. The sets are bitmaps beside the memory, never links in it: nothing that a program or a device does to
/// a free page can damage them.
///
/// INVARIANT: a page is in at most one free block, and never are both buddies of an order free. All of it under the lock.
/// </summary>
internal sealed class BuddyZone
{
    public const int PageShift = 18;
    public const int PageCount = 1 << PageShift;
    public const int MaxOrder = PageShift;

    private const int MostSearchSteps = 4096;   // the lock is held meanwhile

    private readonly SpinLock _lock = new("frame zone");
    private readonly BitTree[] _free = new BitTree[MaxOrder + 1];
    private readonly int[] _blocks = new int[MaxOrder + 1];
    private uint _nonEmpty;                     // bit n: there are free blocks of order n
    private int _freePages;

    /// <param name="number">Number of the GiB.</param>
    public BuddyZone(uint number)
    {
        First = number << PageShift;
        for (int order = 0; order <= MaxOrder; order++) _free[order] = new BitTree(PageCount >> order);
    }

    /// <summary>Page frame number of the first page.</summary>
    public uint First { get; }

    /// <summary>Free pages. A snapshot.</summary>
    public int FreePages => _freePages;

    /// <summary>Free blocks of an order. A snapshot.</summary>
    public int FreeBlocks(int order) => _blocks[order];

    /// <summary>
    /// Takes single pages, as many as there are up to the span's length, out of the smallest blocks: what is in pieces already is used first. Returns how many. Those of
    /// one block come in descending order, so that a stack of them hands them out ascending.
    /// </summary>
    public int Take(Span<uint> pages)
    {
        int count = 0;
        using SpinLock.Guard guard = _lock.Lock();
        while (count < pages.Length && _nonEmpty != 0)
        {
            int order = BitOperations.TrailingZeroCount(_nonEmpty);
            int start = _free[order].FirstFrom(0) << order;
            Remove(start >> order, order);
            int wanted = Math.Min(1 << order, pages.Length - count);
            for (int i = wanted; i-- > 0;) pages[count++] = First + (uint)(start + i);
            Insert(start + wanted, (1 << order) - wanted);
        }
        return count;
    }

    /// <summary>Takes contiguous aligned pages; their first page frame number, or 0 when there are none.</summary>
    public uint TakeBlock(int pageCount, int alignment)
    {
        if (pageCount > PageCount || alignment > PageCount) return 0;
        int order = BitOperations.Log2(BitOperations.RoundUpToPowerOf2((uint)Math.Max(pageCount, alignment)));
        using SpinLock.Guard guard = _lock.Lock();
        uint larger = _nonEmpty >> order << order;
        if (larger == 0) return Search(pageCount, alignment);
        int found = BitOperations.TrailingZeroCount(larger);
        int start = _free[found].FirstFrom(0) << found;
        Remove(start >> found, found);
        Insert(start + pageCount, (1 << found) - pageCount);
        return First + (uint)start;
    }

    /// <summary>Frees contiguous pages of the zone, in one piece or not the one they were taken in.</summary>
    /// <exception cref="InvalidOperationException">One of them is free.</exception>
    public void Free(uint page, int pageCount)
    {
        using SpinLock.Guard guard = _lock.Lock();
        Insert((int)(page - First), pageCount);
    }

    /// <summary>Frees single pages of the zone.</summary>
    public void Free(ReadOnlySpan<uint> pages)
    {
        using SpinLock.Guard guard = _lock.Lock();
        foreach (uint page in pages) Insert((int)(page - First), 1);
    }

    // No block is as large as asked for with its alignment, but neighbours that are no buddies may be together: first fit over the runs of free blocks.
    private uint Search(int pageCount, int alignment)
    {
        if (_freePages < pageCount || (pageCount == 1 && alignment == 1)) return 0;
        int runStart = 0, runEnd = 0;
        for (int step = 0; step < MostSearchSteps && FirstBlockFrom(runEnd, out int start, out int order); step++)
        {
            if (start != runEnd) runStart = start;
            runEnd = start + (1 << order);
            int aligned = (runStart + alignment - 1) & -alignment;
            if (runEnd - aligned < pageCount) continue;
            TakeRun(aligned, pageCount);
            return First + (uint)aligned;
        }
        return 0;
    }

    private bool FirstBlockFrom(int page, out int start, out int order)
    {
        start = int.MaxValue;
        order = 0;
        for (uint left = _nonEmpty; left != 0; left &= left - 1)
        {
            int at = BitOperations.TrailingZeroCount(left);
            int block = _free[at].FirstFrom((page + (1 << at) - 1) >> at);
            if (block < 0 || block << at >= start) continue;
            start = block << at;
            order = at;
        }
        return start != int.MaxValue;
    }

    // Removes the blocks that the range touches and puts back what lies outside of it.
    private void TakeRun(int first, int pageCount)
    {
        int end = first + pageCount;
        for (int at = first; at < end;)
        {
            int order = 0;
            while (!_free[order].Contains(at >> order)) order++;
            int start = at >> order << order, stop = start + (1 << order);
            Remove(start >> order, order);
            if (start < first) Insert(start, first - start);
            if (stop > end) Insert(end, stop - end);
            at = stop;
        }
    }

    // Frees a range: the largest aligned blocks that it consists of, each united with its free buddies.
    private void Insert(int start, int pageCount)
    {
        int end = start + pageCount;
        _freePages += pageCount;
        while (start < end)
        {
            int order = Math.Min(BitOperations.TrailingZeroCount(start | PageCount), BitOperations.Log2((uint)(end - start)));
            int block = start >> order;
            start += 1 << order;
            while (order < MaxOrder && _free[order].Remove(block ^ 1))
            {
                Count(order, -1);
                block >>= 1;
                order++;
            }
            if (!_free[order].Add(block)) throw new InvalidOperationException($"frames at page {First + (uint)(block << order):x} are free already");
            Count(order, 1);
        }
    }

    private void Remove(int block, int order)
    {
        _free[order].Remove(block);
        Count(order, -1);
        _freePages -= 1 << order;
    }

    private void Count(int order, int change)
    {
        _blocks[order] += change;
        if (_blocks[order] == 0) _nonEmpty &= ~(1u << order);
        else _nonEmpty |= 1u << order;
    }
}
