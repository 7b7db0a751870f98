using System;
using System.Threading;
using Asterinas.Ostd.Collections;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Sync;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Memory;

/// <summary>
/// Memory of a mapping with MAP_SHARED and MAP_ANONYMOUS: zeroed pages that live as long as a mapping shows the object. Its size is promised at once (overcommit).
/// </summary>
internal sealed class SharedAnonymous : MemoryObject
{
    private readonly XArray<Frame> _pages = new();
    private readonly SpinLock _lock = new("shared anonymous");
    private readonly ulong _pageCount;
    private int _mappingCount;

    private SharedAnonymous(ulong pageCount) => _pageCount = pageCount;

    /// <summary>An object of so many pages. ENOMEM when that is too much to promise.</summary>
    public static Result<SharedAnonymous> Create(ulong pageCount, bool isNoReserve)
    {
        bool isCharged = !isNoReserve || CommitAccount.Mode == OvercommitMode.Never;
        if (isCharged && !CommitAccount.TryCharge((long)pageCount, true)) return Errno.ENOMEM;
        return new SharedAnonymous(pageCount) { _isCharged = isCharged };
    }

    private bool _isCharged;

    public override Inode? Inode => null;

    public override Result<Frame> GetPage(ulong index, Access access)
    {
        if (index >= _pageCount) return Errno.EFAULT;
        using (SpinLock.Guard guard = _lock.Lock())
        {
            // Under the lock, so that the handle is not disposed before it is shared.
            if (_pages.Load(index) is { } present) return present.Share();
        }
        Frame? made = Frame.TryAllocate();
        if (made is null) return Errno.ENOMEM;
        using (SpinLock.Guard guard = _lock.Lock())
        {
            if (_pages.TryAdd(index, made, out Frame? other)) return made.Share();
            made.Dispose();
            return other.Share();
        }
    }

    /// <summary>MADV_REMOVE: pages read as zero again.</summary>
    public void Remove(ulong firstIndex, ulong endIndex)
    {
        Drop(firstIndex, endIndex);
        Unmap(firstIndex, endIndex);
    }

    public override void AddMapping(Mapping mapping)
    {
        Interlocked.Increment(ref _mappingCount);
        base.AddMapping(mapping);
    }

    public override void RemoveMapping(Mapping mapping)
    {
        base.RemoveMapping(mapping);
        if (Interlocked.Decrement(ref _mappingCount) == 0) Abandon();
    }

    /// <summary>The object is not mapped (any more): its pages and its promise go.</summary>
    public void Abandon()
    {
        Drop(0, _pageCount);
        if (_isCharged) CommitAccount.Release((long)_pageCount);
        _isCharged = false;
    }
    private void Drop(ulong firstIndex, ulong endIndex)
    {
        if (endIndex == 0) return;
        for (ulong index = firstIndex; _pages.TryFind(ref index, endIndex - 1, out Frame? _); index++)
        {
            Frame? frame;
            using (SpinLock.Guard guard = _lock.Lock()) frame = _pages.Erase(index);
            frame?.Dispose();
            if (index == endIndex - 1) break;
        }
    }
}
