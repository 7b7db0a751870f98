using System;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Memory;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Memory;

/// <summary>A fresh simulated machine for each test, and the check that the test gave everything back.</summary>
[NonParallelizable]
public abstract class MemoryFixture
{
    protected const PageAccess All = PageAccess.Read | PageAccess.Write | PageAccess.Execute;
    protected static readonly PageProperty ReadWrite = new(PageAccess.ReadWrite);
    protected static readonly PageProperty ReadOnly = new(PageAccess.Read);
    private long _freeAtStart;

    [SetUp]
    public void StartMachine()
    {
        // Objects that an earlier test forgot must not meet the new machine half-made.
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Machine.Initialize(32UL << 20);
        SlabHeap.Reset();
        _freeAtStart = FrameAllocator.ReserveFreePages;
    }

    protected long Leaked => _freeAtStart - FrameAllocator.ReserveFreePages;

    protected static VirtualRange Range(ulong start, ulong bytes) => new(new UserAddress(start), bytes);
}
