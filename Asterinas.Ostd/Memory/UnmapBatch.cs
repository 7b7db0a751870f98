using System;
using System.Runtime.CompilerServices;
using Asterinas.Ostd.Arch;

namespace Asterinas.Ostd.Memory;

/// <summary>Frames and page tables that left an address space and wait for its TLB flush: nothing goes back while a CPU may still use it.</summary>
internal struct UnmapBatch
{
    public const int Capacity = 96;
    /// <summary>Most items one step adds: a leaf and the tables above it.</summary>
    public const int StepItems = 4;

    [InlineArray(Capacity)]
    private struct Items
    {
        private ulong _first;
    }

    private const ulong Large = 1, Table = 2;
    private Items _items;
    private int _count;
    private ulong _start, _end;

    public readonly bool IsFull => _count > Capacity - StepItems;
    public readonly bool IsEmpty => _end == 0;

    public void Cover(ulong start, ulong bytes)
    {
        _start = _end == 0 ? start : Math.Min(_start, start);
        _end = Math.Max(_end, start + bytes);
    }

    public void AddFrame(ulong physical, bool isLarge) => _items[_count++] = physical | (isLarge ? Large : 0);

    public void AddTable(ulong physical) => _items[_count++] = physical | Table;

    public void Flush(ulong root)
    {
        if (_end != 0) Machine.FlushTlb(root, _start, (_end - _start) >> 12);
        _start = _end = 0;
    }

    /// <summary>Gives everything back. Only after the flush, and outside of locks: policies are called.</summary>
    public void Release()
    {
        FrameRun run = default;
        for (int i = 0; i < _count; i++)
        {
            ulong item = _items[i];
            ulong physical = item & ~4095UL;
            if ((item & Table) != 0) PageTable.FreeTable(physical);
            else run.Add(physical, (item & Large) != 0 ? PageSize.PagesInLarge : 1);
        }
        run.Drop();
        _count = 0;
    }
}

/// <summary>References to drop, neighbours together: a program's pages often are.</summary>
internal struct FrameRun
{
    private ulong _start, _end;

    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public void Add(ulong physical, int pages)
    {
        if (physical != _end) Begin(physical);
        _end += (ulong)pages << 12;
    }

    public void Drop()
    {
        if (_end != _start) FrameAllocator.Drop(_start, (int)((_end - _start) >> 12));
        _start = _end = 0;
    }

    private void Begin(ulong physical)
    {
        Drop();
        _start = _end = physical;
    }
}
