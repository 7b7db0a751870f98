using System;
using System.Threading;

namespace Asterinas.Services.Allocators;

/// <summary>
/// The single pages that one CPU keeps at hand: a stack, so that the page freed last, which the CPU's caches know, is used first. It is refilled and emptied by half, so
/// that no pattern of allocations crosses the border again and again.
///
/// A claim by compare-and-swap guards it. Its own CPU finds it free nearly always; the exceptions are a CPU in need that drains the others, and a task that was moved
/// or stopped by a collection in the middle. Nobody waits for it: who finds it claimed goes to the zones.
/// </summary>
internal sealed class FrameCache(int home)
{
    public const int Capacity = 128;

    private readonly uint[] _pages = new uint[Capacity];
    private int _count;
    private int _isClaimed;

    /// <summary>The zone that this CPU asks first: CPUs spread over the zones.</summary>
    public int Home { get; } = home;

    /// <summary>Pages in it. A snapshot.</summary>
    public int Count => _count;

    public bool TryClaim() => Volatile.Read(ref _isClaimed) == 0 && Interlocked.CompareExchange(ref _isClaimed, 1, 0) == 0;

    public void Release() => Volatile.Write(ref _isClaimed, 0);

    // ---- While it is claimed

    public bool TryPop(out uint page)
    {
        int last = _count - 1;
        if ((uint)last >= Capacity)
        {
            page = 0;
            return false;
        }
        page = _pages[last];
        _count = last;
        return true;
    }

    public bool TryPush(uint page)
    {
        int count = _count;
        if ((uint)count >= Capacity) return false;
        _pages[count] = page;
        _count = count + 1;
        return true;
    }

    /// <summary>Room for a refill of an empty cache; <see cref="Filled"/> says how much of it was used.</summary>
    public Span<uint> Room(int pages) => _pages.AsSpan(0, pages);

    public void Filled(int pages) => _count = pages;

    /// <summary>Moves the pages that lie here longest out.</summary>
    public void TakeOldest(Span<uint> pages)
    {
        _pages.AsSpan(0, pages.Length).CopyTo(pages);
        _count -= pages.Length;
        Array.Copy(_pages, pages.Length, _pages, 0, _count);
    }
}
