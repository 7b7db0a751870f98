using System;
using System.Collections.Generic;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Memory;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Memory;

public sealed class FramePolicyTests : MemoryFixture
{
    /// <summary>An honest stack of single frames, with a place to lie.</summary>
    private sealed class StackAllocator : IFrameAllocator
    {
        public readonly Stack<ulong> Free = new();
        public Func<PhysicalAddress?>? Lie;
        public bool ThrowsOnDeallocate;

        public PhysicalAddress? Allocate(FrameLayout layout)
        {
            if (Lie is not null) return Lie();
            return layout.PageCount == 1 && Free.TryPop(out ulong page) ? new PhysicalAddress(page) : null;
        }

        public void Deallocate(PhysicalAddress start, int pageCount)
        {
            if (ThrowsOnDeallocate) throw new InvalidOperationException("lost");
            AddFreeMemory(start, pageCount);
        }

        public void AddFreeMemory(PhysicalAddress start, int pageCount)
        {
            for (int i = 0; i < pageCount; i++) Free.Push(start.Value + ((ulong)i << 12));
        }
    }

    [Test]
    public void Injected_policy_serves_and_gets_its_frames_back()
    {
        Frame before = Frame.Allocate();
        var policy = new StackAllocator();
        Assert.That(FrameAllocator.Inject(policy, 100), Is.EqualTo(100));
        Assert.That(policy.Free, Has.Count.EqualTo(100));
        using (Frame frame = Frame.Allocate()) Assert.That(policy.Free, Has.Count.EqualTo(99));
        Assert.That(policy.Free, Has.Count.EqualTo(100));
        Assert.That(Segment.TryAllocate(2), Is.Null, "this one has single frames only");
        long reserve = FrameAllocator.ReserveFreePages;
        before.Dispose();
        Assert.That(FrameAllocator.ReserveFreePages, Is.EqualTo(reserve + 1), "older frames go back to the policy that chose them");
        Assert.That(FrameAllocator.AddMemory(10), Is.EqualTo(10));
        Assert.That(policy.Free, Has.Count.EqualTo(110));
    }

    [Test]
    public void Reserve_keeps_its_floor()
    {
        long given = FrameAllocator.Inject(new StackAllocator(), long.MaxValue);
        Assert.That(FrameAllocator.ReserveFreePages, Is.EqualTo(FrameAllocator.ReserveFloorPages));
        Assert.That(given, Is.Positive);
    }

    [Test]
    public void Frame_returned_twice_is_caught_and_stays_with_its_owner()
    {
        var policy = new StackAllocator();
        FrameAllocator.Inject(policy, 10);
        using Frame victim = Frame.Allocate();
        victim.Writer().Write([1, 2, 3]);
        PhysicalAddress start = victim.Start;
        policy.Lie = () => start;
        Assert.That(() => Frame.Allocate(), Throws.TypeOf<FramePolicyViolationException>());
        Assert.That(() => Segment.Allocate(2), Throws.TypeOf<FramePolicyViolationException>());
        Assert.That(FrameAllocator.PolicyFaults, Is.EqualTo(2));
        var bytes = new byte[3];
        victim.Reader().Read(bytes);
        Assert.That(bytes, Is.EqualTo(new byte[] { 1, 2, 3 }));
        Assert.That(victim.ReferenceCount, Is.EqualTo(1));
        policy.Lie = null;
        using Frame next = Frame.Allocate();
        Assert.That(next.Start, Is.Not.EqualTo(start));
    }

    [Test]
    public void Frames_of_others_are_refused()
    {
        Frame foreign = Frame.Allocate();
        using VmSpace space = VmSpace.Create();
        var policy = new StackAllocator();
        FrameAllocator.Inject(policy, 10);
        ulong unowned = Machine.ReserveAllocate(0);
        ulong other = 0;
        var second = new StackAllocator();
        FrameAllocator.Inject(second, 10);
        other = policy.Free.Peek();
        ulong[] lies =
        [
            foreign.Start.Value, space.Root, unowned, other, 0, 0x1000, (1UL << 20) - 4096, 123, second.Free.Peek() + 1,
            Machine.FrameCount() << 12, ulong.MaxValue, ulong.MaxValue & ~4095UL,
        ];
        foreach (ulong lie in lies)
        {
            second.Lie = () => new PhysicalAddress(lie);
            Assert.That(() => Frame.Allocate(), Throws.TypeOf<FramePolicyViolationException>(), $"{lie:x}");
        }
        second.Lie = () => new PhysicalAddress((Machine.FrameCount() - 1) << 12);
        Assert.That(() => Segment.Allocate(2), Throws.TypeOf<FramePolicyViolationException>(), "ends beyond RAM");
        second.Lie = null;
        Assert.That(Machine.ReserveFree(unowned, 0), Is.EqualTo(1));
        Frame.Allocate().Dispose();
    }

    [Test]
    public void Policy_that_throws_on_release_loses_frames_but_nobody_is_hurt()
    {
        var policy = new StackAllocator();
        FrameAllocator.Inject(policy, 4);
        Frame frame = Frame.Allocate();
        policy.ThrowsOnDeallocate = true;
        frame.Dispose();
        Assert.That(FrameAllocator.PolicyFaults, Is.EqualTo(1));
    }
}
