using System;
using System.Runtime.CompilerServices;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Timers;
using Asterinas.Services.Allocators;

namespace Asterinas.Tests.Kernel;

/// <summary>
/// What the hot operations of the memory mechanism cost. Under QEMU with <c>-icount shift=0</c> a nanosecond of guest time is an instruction, so the figures are
/// instruction counts; the docs quote them.
/// </summary>
internal static class MemoryCosts
{
    private const int Rounds = 2000;
    private const ulong At = 0x10000000;
    private static readonly PageProperty s_readWrite = new(PageAccess.ReadWrite);

    public static int Run()
    {
        Measure("the default policies");
        FrameAllocator.Inject(new BuddyFrameAllocator(), 4096);
        SlabHeap.Inject(new SlabAllocator());
        Measure("the policies of Services");
        return 0;
    }

    private static void Measure(string policy)
    {
        Log.Info($"costs in ns a round with {policy}:");
        Report("frame, arbitrary contents, and its release", static () => Frame.Allocate(FrameContents.Arbitrary).Dispose());
        Report("frame, zeroed, and its release", static () => Frame.Allocate().Dispose());
        Report("segment of 16 frames and its release", static () => Segment.Allocate(16, 1, FrameContents.Arbitrary).Dispose());
        Report("slot of 64 bytes and its release", static () => SlabHeap.Free(SlabHeap.TryAllocate(64)!.Value));
        using VmSpace space = VmSpace.Create();
        space.Activate();
        var range = new VirtualRange(new UserAddress(At), PageSize.Large);
        using (Frame keep = Frame.Allocate()) space.Cursor(range).Map(keep, s_readWrite);
        var next = new VirtualRange(new UserAddress(At + PageSize.Small), PageSize.Small);
        Report("frame mapped and unmapped", () =>
        {
            using (Frame frame = Frame.Allocate(FrameContents.Arbitrary)) space.Cursor(next).Map(frame, s_readWrite);
            space.Cursor(next).Unmap(PageSize.Small, out _);
        });
        byte[] buffer = new byte[PageSize.Small];
        Report("4 KiB to a user page", () => space.Writer(new UserAddress(At), PageSize.Small).Write(buffer));
        Report("8 bytes to a user page", () => space.Writer(new UserAddress(At), 8).TryWrite(1UL));
        VmSpace.Deactivate();
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Report(string what, Action round)
    {
        for (int i = 0; i < 200; i++) round();
        ulong best = ulong.MaxValue;
        for (int part = 0; part < 5; part++)
        {
            ulong start = Clock.MonotonicNs;
            for (int i = 0; i < Rounds / 5; i++) round();
            best = Math.Min(best, Clock.MonotonicNs - start);
        }
        Log.Info($"  {best / (Rounds / 5),6}  {what}");
    }
}
