using System;
using System.Collections.Generic;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.User;

namespace Asterinas.Tests.Kernel;

/// <summary>
/// A frame allocator that offers frames that are in use, page tables, the kernel, what it was never given, nonsense, or throws. A boot of its own, since a policy
/// cannot be taken back.
/// </summary>
internal sealed class LyingFrameAllocator : IFrameAllocator
{
    private readonly Stack<ulong> _free = new(8192);
    private Func<PhysicalAddress?>? _lie;

    public PhysicalAddress? Allocate(FrameLayout layout)
    {
        if (_lie is { } lie) return lie();
        return layout.PageCount == 1 && _free.TryPop(out ulong page) ? new PhysicalAddress(page) : null;
    }

    public void Deallocate(PhysicalAddress start, int pageCount) => AddFreeMemory(start, pageCount);

    public void AddFreeMemory(PhysicalAddress start, int pageCount)
    {
        for (int i = 0; i < pageCount; i++) _free.Push(start.Value + ((ulong)i << 12));
    }

    public static int Run()
    {
        using Frame foreign = Frame.Allocate();                 // the default policy's
        var policy = new LyingFrameAllocator();
        Expect.Equal(4096L, FrameAllocator.Inject(policy, 4096), "pages given");
        using Frame victim = Frame.Allocate();
        victim.Writer().Write("untouched"u8);
        using var program = new UserProgram([0x0F, 0x05]);
        program.RunToSyscall();

        ulong[] lies = [victim.Start.Value, foreign.Start.Value, 0, 0x1000, 0x200000, 123, ulong.MaxValue, ulong.MaxValue & ~4095UL, 1UL << 45];
        foreach (ulong lie in lies)
        {
            policy._lie = () => new PhysicalAddress(lie);
            Expect.Throws<FramePolicyViolationException>(() => Frame.Allocate());
            Expect.Throws<FramePolicyViolationException>(() => Segment.Allocate(3));
            VmSpace.Create().Dispose();                         // page tables are the mechanism's own: the policy is not asked
        }
        // Pages below 64 MiB at random: whatever they are used for, they are not handed out.
        var random = new Random(3);
        for (int i = 0; i < 2000; i++)
        {
            ulong page = (ulong)random.Next(16384) << 12;
            if (policy._free.Contains(page)) continue;
            policy._lie = () => new PhysicalAddress(page);
            try
            {
                Frame.Allocate().Dispose();
                Expect.True(false, $"page {page:x} was handed out");
            }
            catch (FramePolicyViolationException)
            {
                // What must happen.
            }
        }
        policy._lie = () => throw new InvalidOperationException("hostile");
        Expect.Throws<InvalidOperationException>(() => Frame.Allocate());
        policy._lie = static () => null;
        Expect.Throws<OutOfMemoryException>(() => Frame.Allocate());
        policy._lie = null;

        byte[] text = new byte[9];
        victim.Reader().Read(text);
        Expect.True(text.AsSpan().SequenceEqual("untouched"u8), "the victim's contents");
        program.Context.InstructionPointer = UserProgram.Code;
        Expect.Equal(ReturnReason.UserSyscall, program.Run(), "the program runs on");
        for (int i = 0; i < 100; i++) Frame.Allocate().Dispose();
        GC.Collect();
        Log.Info("every lie was caught");
        return 0;
    }
}
