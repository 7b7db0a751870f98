using System;
using System.Collections.Generic;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Tasks;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Memory;

public sealed class FramePolicyTests : MemoryFixture
{
    /// <summary>An honest stack of single frames, with a place to lie.</summary>
    private sealed class StackAllocator : IFrameAllocator
    {
        public readonly Stack<ulong> Free = new();
        public Func<PhysicalAddress?>? Lie;
        public bool ThrowsOnDeallocate, ThrowsOnAdd;

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
            if (ThrowsOnAdd) throw new InvalidOperationException("lost");
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
        long reserve = FrameAllocator.ReserveFreePages;
        before.Dispose();
        Assert.That(FrameAllocator.ReserveFreePages, Is.EqualTo(reserve + 1), "older frames go back to the policy that chose them");
        Assert.That(FrameAllocator.AddMemory(10), Is.EqualTo(10));
        Assert.That(policy.Free, Has.Count.EqualTo(110));
        Assert.That(Segment.TryAllocate(2), Is.Null, "this one has single frames only");
    }

    [Test]
    public void Reserve_keeps_its_floor()
    {
        long given = FrameAllocator.Inject(new StackAllocator(), long.MaxValue);
        Assert.That(FrameAllocator.ReserveFreePages, Is.EqualTo(FrameAllocator.ReserveFloorPages));
        Assert.That(given, Is.Positive);
    }

    [Test]
    public void Policy_without_memory_gets_more_of_the_reserve_until_that_is_low()
    {
        var policy = new StackAllocator();
        FrameAllocator.Inject(policy, 0);
        var frames = new List<Frame>();
        while (Frame.TryAllocate(FrameContents.Arbitrary) is { } frame) frames.Add(frame);
        Assert.That(frames, Has.Count.GreaterThan(5000));
        Assert.That(FrameAllocator.ReserveFreePages, Is.EqualTo(2 * FrameAllocator.ReserveFloorPages));
        Assert.That((policy.Free.Count, FrameAllocator.PolicyFaults), Is.EqualTo((0, 0)));
        foreach (Frame frame in frames) frame.Dispose();
        Assert.That(policy.Free, Has.Count.EqualTo(frames.Count));
    }

    [Test]
    public void Reserve_that_runs_low_is_refilled_at_a_safe_point()
    {
        OstdStartup.Restart(1);
        var policy = new StackAllocator();
        FrameAllocator.Inject(policy, long.MaxValue);
        int free = policy.Free.Count;
        var taken = new List<ulong>();
        for (int i = 0; i < 600; i++) taken.Add(Machine.ReserveAllocate(0));
        Assert.That(policy.Free, Has.Count.EqualTo(free), "no policy is called under the runtime");
        Task.YieldIfNeeded();
        Assert.That(FrameAllocator.ReserveFreePages, Is.EqualTo(2 * FrameAllocator.ReserveFloorPages));
        long refilled = FrameAllocator.RefilledPages;
        Assert.That(refilled, Is.EqualTo(FrameAllocator.ReserveFloorPages + 600));
        Assert.That(policy.Free, Has.Count.EqualTo(free - refilled));
        // A policy that has nothing is not asked at each safe point, but memory that it gets later is found.
        var hoard = new Stack<ulong>();
        while (policy.Free.TryPop(out ulong page)) hoard.Push(page);
        while (FrameAllocator.ReserveFreePages > 100) taken.Add(Machine.ReserveAllocate(0));
        Task.YieldIfNeeded();
        Assert.That(FrameAllocator.ReserveFreePages, Is.EqualTo(100));
        while (hoard.TryPop(out ulong page)) policy.Free.Push(page);
        for (int i = 0; i < 60; i++) taken.Add(Machine.ReserveAllocate(0));
        Task.YieldIfNeeded();
        Assert.That(FrameAllocator.ReserveFreePages, Is.EqualTo(2 * FrameAllocator.ReserveFloorPages));
        foreach (ulong page in taken) Assert.That(Machine.ReserveFree(page, 0), Is.EqualTo(1));
        Assert.That(FrameAllocator.PolicyFaults, Is.Zero);
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
        using (Frame other = Frame.Allocate()) Assert.That(other.Start, Is.Not.EqualTo(start), "the reserve serves in place of a liar");
        using (Segment other = Segment.Allocate(2)) Assert.That(other.Start, Is.Not.EqualTo(start));
        Assert.That(FrameAllocator.PolicyFaults, Is.EqualTo(2));
        var bytes = new byte[3];
        victim.Reader().Read(bytes);
        Assert.That(bytes, Is.EqualTo(new byte[] { 1, 2, 3 }));
        Assert.That(victim.ReferenceCount, Is.EqualTo(1));
        policy.Lie = null;
        int free = policy.Free.Count;
        using Frame next = Frame.Allocate();
        Assert.That(policy.Free, Has.Count.EqualTo(free - 1), "the policy is asked again");
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
            long faults = FrameAllocator.PolicyFaults;
            second.Lie = () => new PhysicalAddress(lie);
            using Frame frame = Frame.Allocate();
            Assert.That((frame.Start.Value, FrameAllocator.PolicyFaults), Is.Not.EqualTo((lie, faults)), $"{lie:x}");
            Assert.That(FrameAllocator.PolicyFaults, Is.EqualTo(faults + 1), $"{lie:x}");
        }
        second.Lie = () => new PhysicalAddress((Machine.FrameCount() - 1) << 12);
        Segment.Allocate(2).Dispose();
        Assert.That(FrameAllocator.PolicyFaults, Is.EqualTo(lies.Length + 1), "ends beyond RAM");
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

    [Test]
    public void Policy_that_fails_again_and_again_is_deposed_and_its_frames_are_recovered()
    {
        long before = FrameAllocator.ReserveFreePages;
        var policy = new StackAllocator();
        FrameAllocator.Inject(policy, 1000);
        using Frame kept = Frame.Allocate();
        kept.Writer().Write([42]);
        policy.Lie = static () => throw new InvalidOperationException("hostile");
        for (int i = 0; i < FrameAllocator.MostPolicyFaults; i++)
        {
            Assert.That(FrameAllocator.IsPolicyInCharge, Is.True);
            Frame.Allocate().Dispose();
        }
        Assert.That(FrameAllocator.IsPolicyInCharge, Is.False);
        Assert.That(FrameAllocator.ReserveFreePages, Is.EqualTo(before - 1), "all but the frame in use");
        Frame.Allocate().Dispose();
        Assert.That(FrameAllocator.PolicyFaults, Is.EqualTo(FrameAllocator.MostPolicyFaults), "it is not asked any more");
        Assert.That(FrameAllocator.AddMemory(10), Is.Zero);
        byte[] first = new byte[1];
        kept.Reader().Read(first);
        Assert.That(first[0], Is.EqualTo(42));
        kept.Dispose();
        Assert.That(FrameAllocator.ReserveFreePages, Is.EqualTo(before), "a frame that was in use follows");
    }

    [Test]
    public void Policy_that_throws_when_it_gets_memory_gets_none()
    {
        long before = FrameAllocator.ReserveFreePages;
        var policy = new StackAllocator { ThrowsOnDeallocate = true, ThrowsOnAdd = true };
        Assert.That(FrameAllocator.Inject(policy, 100), Is.Zero);
        Assert.That(FrameAllocator.ReserveFreePages, Is.EqualTo(before));
        Assert.That(Frame.TryAllocate(), Is.Null, "an honest null, and no memory to give");
    }

    [Test]
    public void Random_answers_never_give_a_page_two_owners([Values(1, 2, 3)] int seed)
    {
        var random = new Random(seed);
        var owned = new HashSet<ulong>();
        var live = new List<UntypedMemory>();
        long before = FrameAllocator.ReserveFreePages;
        for (int round = 0; round < 20; round++)
        {
            // Honest, lost, thrown, or any page of the machine; the liar is deposed in the middle, and the next one comes.
            var policy = new StackAllocator();
            FrameAllocator.Inject(policy, 100);
            policy.Lie = () => random.Next(4) switch
            {
                0 => throw new InvalidOperationException("hostile"),
                1 => policy.Free.TryPop(out ulong page) ? new PhysicalAddress(page) : null,
                2 => live.Count == 0 ? null : live[random.Next(live.Count)].Start,
                _ => new PhysicalAddress((ulong)random.Next((int)Machine.FrameCount()) << 12),
            };
            policy.ThrowsOnDeallocate = round % 5 == 4;
            for (int step = 0; step < 300; step++)
            {
                if (random.Next(2) == 0 || live.Count == 0)
                {
                    UntypedMemory? memory = random.Next(4) == 0 ? Segment.TryAllocate(random.Next(1, 5)) : Frame.TryAllocate();
                    if (memory is null) continue;
                    for (int i = 0; i < memory.PageCount; i++) Assert.That(owned.Add(memory.Start.Value + ((ulong)i << 12)), Is.True, "a page has one owner");
                    live.Add(memory);
                }
                else
                {
                    Drop(random.Next(live.Count));
                }
            }
            Assert.That(FrameAllocator.IsPolicyInCharge, Is.False);
        }
        while (live.Count > 0) Drop(live.Count - 1);
        Assert.That(FrameAllocator.ReserveFreePages, Is.EqualTo(before), "what liars were given and lost was recovered");

        void Drop(int index)
        {
            UntypedMemory memory = live[index];
            live.RemoveAt(index);
            for (int i = 0; i < memory.PageCount; i++) owned.Remove(memory.Start.Value + ((ulong)i << 12));
            memory.Dispose();
        }
    }
}
