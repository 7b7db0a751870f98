namespace Asterinas.Ostd.Runtime;

/// <summary>
/// What a physical page is used for. Changes go through compare-and-swap only, so that two owners can never both win a page.
/// <code>
///   Reserved (not RAM, firmware, image)
///   Free     --Allocate(state)--> typed or Untyped or Unused --Free--> Free
///   Unused   (owned by an injected frame allocator)  --Claim--> Untyped … --Release--> Unused
/// </code>
/// </summary>
internal enum FrameState
{
    Reserved = 0,
    Free = 1,
    Unused = 2,
    PageTable = 3,
    KernelStack = 4,
    GcHeap = 5,
    KernelHeap = 6,
    Slab = 7,
    Metadata = 8,
    Untyped = 9,
    /// <summary>A page between two states: its owner is the one who put it there.</summary>
    Busy = 10,
}

/// <summary>The metadata slot of one physical page: 32 bytes, one for every page frame number up to the end of RAM.</summary>
internal struct FrameMeta
{
    public int State;                       // FrameState, by compare-and-swap
    public int ReferenceCount;              // of an Untyped page
    public int Order;                       // of a free or allocated block, at its first page; -1 elsewhere
    public uint Next;                       // page frame number + 1 in a list, 0 = none
    public uint Previous;
    public uint Generation;                 // counts the uses of the page: a stale handle is told apart
    public nint Owner;                      // the list or slab that holds the page; of a page-table root: the set of CPUs that have it active
}
