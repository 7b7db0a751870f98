using System.Threading;

namespace Asterinas.Services.Memory;

/// <summary>How much memory the space has and may have: RLIMIT_AS, RLIMIT_DATA, and what overcommit allows (man 5 proc, vm.overcommit_memory).</summary>
internal sealed partial class AddressSpace
{
    private long _residentPages;
    // Private writable pages that are no stack: what RLIMIT_DATA counts. Under the lock for writing.
    private long _dataPages;

    /// <summary>Pages that are present: the resident set.</summary>
    public long ResidentPages => long.Max(0, Interlocked.Read(ref _residentPages));

    /// <summary>Pages of private writable mappings.</summary>
    public long DataPages => Interlocked.Read(ref _dataPages);

    /// <summary>RLIMIT_DATA in pages.</summary>
    public ulong DataLimitPages { get; set; } = ulong.MaxValue;

    // Under the lock for writing. Counts so many more pages of a mapping, when the limits allow them.
    private bool TryGrow(ulong pages, Mapping mapping)
    {
        if ((ulong)Interlocked.Read(ref _totalPages) + pages > LimitPages) return false;
        bool isData = IsData(mapping, mapping.Protection);
        if (isData && (ulong)_dataPages + pages > DataLimitPages) return false;
        bool isCharged = CommitAccount.Counts(mapping, mapping.Protection);
        if (isCharged && !CommitAccount.TryCharge((long)pages, true)) return false;
        mapping.IsCharged |= isCharged;
        if (isData) Interlocked.Add(ref _dataPages, (long)pages);
        Interlocked.Add(ref _totalPages, (long)pages);
        return true;
    }

    // A protection that allows writing makes private pages count.
    private bool TryCharge(Mapping mapping, Protection protection)
    {
        long pages = (long)(mapping.Length >> 12);
        bool wasData = IsData(mapping, mapping.Protection), isData = IsData(mapping, protection);
        if (isData && !wasData && (ulong)(_dataPages + pages) > DataLimitPages) return false;
        if (!mapping.IsCharged && CommitAccount.Counts(mapping, protection))
        {
            if (!CommitAccount.TryCharge(pages, true)) return false;
            mapping.IsCharged = true;
        }
        if (isData != wasData) Interlocked.Add(ref _dataPages, isData ? pages : -pages);
        return true;
    }

    // A mapping, or a part that was cut off, is gone: what was charged for it is given back.
    private void OnShrink(Mapping mapping, ulong pages)
    {
        Interlocked.Add(ref _totalPages, -(long)pages);
        if (IsData(mapping, mapping.Protection)) Interlocked.Add(ref _dataPages, -(long)pages);
        if (mapping.IsCharged) CommitAccount.Release((long)pages);
    }

    private static bool IsData(Mapping mapping, Protection protection) => !mapping.IsShared && !mapping.GrowsDown && (protection & Protection.Write) != 0;
}
