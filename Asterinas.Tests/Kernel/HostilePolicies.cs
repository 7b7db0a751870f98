using System;
using System.Collections.Generic;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.User;

namespace Asterinas.Tests.Kernel;

/// <summary>
/// A frame allocator that offers frames that are in use, page tables, the kernel, what it was never given, nonsense, or throws, and a slab allocator of the same kind. A
/// boot of its own: every liar is deposed in the end, and the next one is injected.
/// </summary>
internal static class HostilePolicies
{
    private sealed class LyingFrameAllocator : IFrameAllocator
    {
        public readonly Stack<ulong> Free = new(8192);
        public Func<PhysicalAddress?>? Lie;
        public bool Throws;

        public PhysicalAddress? Allocate(FrameLayout layout)
        {
            if (Throws) throw new InvalidOperationException("hostile");
            if (Lie is { } lie) return lie();
            return layout.PageCount == 1 && Free.TryPop(out ulong page) ? new PhysicalAddress(page) : null;
        }

        public void Deallocate(PhysicalAddress start, int pageCount) => AddFreeMemory(start, pageCount);

        public void AddFreeMemory(PhysicalAddress start, int pageCount)
        {
            if (Throws) throw new InvalidOperationException("hostile");
            for (int i = 0; i < pageCount; i++) Free.Push(start.Value + ((ulong)i << 12));
        }
    }

    private sealed class LyingSlabAllocator : ISlabAllocator
    {
        private readonly Slab _slab = Slab.TryCreate(64)!;
        private readonly List<HeapSlot> _known = [];
        private readonly Random _random = new(5);
        public bool Throws;

        public void Learn(HeapSlot slot) => _known.Add(slot);

        // Slots of clients, stale ones, freed ones, none, and now and then an honest one.
        public HeapSlot? Allocate(int size)
        {
            if (Throws) throw new InvalidOperationException("hostile");
            if (_random.Next(4) == 0 && _slab.TryTake(out HeapSlot honest))
            {
                _known.Add(honest);
                return honest;
            }
            return _random.Next(8) == 0 || _known.Count == 0 ? default(HeapSlot) : _known[_random.Next(_known.Count)];
        }

        public void Deallocate(HeapSlot slot)
        {
            if (Throws) throw new InvalidOperationException("hostile");
            _known.Add(slot);
            if (_random.Next(2) == 0) _slab.Return(slot);
        }
    }

    public static int Run()
    {
        LyingFrames();
        LyingSlots();
        Log.Info("every lie was caught");
        return 0;
    }

    private static LyingFrameAllocator InjectFrames()
    {
        var policy = new LyingFrameAllocator();
        Expect.Equal(512L, FrameAllocator.Inject(policy, 512), "pages given");
        return policy;
    }

    private static void LyingFrames()
    {
        using Frame foreign = Frame.Allocate();                 // the default policy's
        LyingFrameAllocator policy = InjectFrames();
        using Frame victim = Frame.Allocate();
        victim.Writer().Write("untouched"u8);
        using var program = new UserProgram([0x0F, 0x05]);
        program.RunToSyscall();

        ulong[] lies = [victim.Start.Value, foreign.Start.Value, 0, 0x1000, 0x200000, 123, ulong.MaxValue, ulong.MaxValue & ~4095UL, 1UL << 45];
        foreach (ulong lie in lies)
        {
            policy.Lie = () => new PhysicalAddress(lie);
            ExpectFault(lie, 1);
            ExpectFault(lie, 3);
            VmSpace.Create().Dispose();                         // page tables are the mechanism's own: the policy is not asked
        }
        policy.Throws = true;
        ExpectFault(1, 1);
        policy.Throws = false;
        policy.Lie = static () => null;
        Expect.True(Frame.TryAllocate() is null, "null is an honest answer: no memory");

        // Pages below 64 MiB at random: whatever they are used for, they are not handed out. Every liar is deposed after 64 lies.
        var random = new Random(3);
        for (int round = 0; round < 30; round++)
        {
            policy = InjectFrames();
            for (int i = 0; i < FrameAllocator.MostPolicyFaults; i++)
            {
                ulong page = (ulong)random.Next(16384) << 12;
                if (policy.Free.Contains(page)) continue;
                policy.Lie = () => new PhysicalAddress(page);
                if (FrameAllocator.IsPolicyInCharge) ExpectFault(page, 1);
            }
        }
        policy.Lie = static () => new PhysicalAddress(0);
        while (FrameAllocator.IsPolicyInCharge) ExpectFault(0, 1);
        policy.Throws = true;
        for (int i = 0; i < 100; i++) Frame.Allocate().Dispose();

        byte[] text = new byte[9];
        victim.Reader().Read(text);
        Expect.True(text.AsSpan().SequenceEqual("untouched"u8), "the victim's contents");
        program.Context.InstructionPointer = UserProgram.Code;
        Expect.Equal(ReturnReason.UserSyscall, program.Run(), "the program runs on");
        GC.Collect();
    }

    private static void ExpectFault(ulong lie, int pages)
    {
        long faults = FrameAllocator.PolicyFaults;
        using Segment segment = Segment.Allocate(pages);
        Expect.True(segment.Start.Value != lie, $"page {lie:x} was handed out");
        Expect.Equal(faults + 1, FrameAllocator.PolicyFaults, $"faults after the lie {lie:x}");
    }

    private static void LyingSlots()
    {
        var owned = new Dictionary<HeapSlot, byte>();
        var policy = new LyingSlabAllocator();
        byte[] bytes = new byte[64];
        for (int round = 0; round < 2000; round++)
        {
            if (round % 40 == 0) SlabHeap.Inject(policy);       // whoever is deposed comes again
            policy.Throws = round % 17 == 0;
            if (round % 3 != 0 || owned.Count == 0)
            {
                HeapSlot slot = SlabHeap.TryAllocate(64) ?? throw new OutOfMemoryException();
                Array.Fill(bytes, (byte)round);
                slot.Write(0, bytes);
                Expect.True(owned.TryAdd(slot, (byte)round), "a slot of its own");
                policy.Learn(slot);
            }
            else
            {
                foreach ((HeapSlot slot, byte value) in owned)
                {
                    slot.Read(0, bytes);
                    Expect.True(bytes.AsSpan().IndexOfAnyExcept(value) < 0, "nobody else wrote to the slot");
                    owned.Remove(slot);
                    Expect.True(SlabHeap.Free(slot), "free");
                    Expect.True(!SlabHeap.Free(slot) && !slot.IsValid, "free twice");
                    break;
                }
            }
        }
        foreach ((HeapSlot slot, byte value) in owned)
        {
            slot.Read(0, bytes);
            Expect.True(bytes.AsSpan().IndexOfAnyExcept(value) < 0, "nobody else wrote to the slot");
        }
        Expect.True(SlabHeap.PolicyFaults > 100, $"{SlabHeap.PolicyFaults} lies");
    }
}
