using System;
using System.Collections.Generic;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Allocators;
using Asterinas.Tests.Host.Memory;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Allocators;

public sealed class SlabAllocatorTests : MemoryFixture
{
    private static SlabAllocator Inject(int cpus = 1)
    {
        OstdStartup.Restart(cpus);
        var allocator = new SlabAllocator();
        SlabHeap.Inject(allocator);
        return allocator;
    }

    [Test]
    public void Size_classes_fit_and_waste_little()
    {
        for (int size = 1; size <= Slab.LargestSlot; size++)
        {
            int sizeClass = SizeClasses.ClassOf(size), slot = SizeClasses.SizeOf(sizeClass);
            Assert.That(slot, Is.GreaterThanOrEqualTo(size));
            if (sizeClass > 0) Assert.That(SizeClasses.SizeOf(sizeClass - 1), Is.LessThan(size), "the smallest that fits");
            if (size > 32) Assert.That(slot, Is.LessThan(size * 3 / 2 + 1));
        }
    }

    [Test]
    public void Random_slots_keep_their_bytes_and_trimming_gives_every_frame_back([Values(1, 2, 3)] int seed)
    {
        SlabAllocator allocator = Inject();
        var random = new Random(seed);
        var live = new List<(HeapSlot Slot, byte Value, int Size)>();
        byte[] bytes = new byte[2048];
        for (int step = 0; step < 20000; step++)
        {
            if (live.Count == 0 || (random.Next(100) < (step / 2000 % 2 == 0 ? 60 : 40) && live.Count < 1500))
            {
                int size = random.Next(1, random.Next(2) == 0 ? 100 : 2049);
                HeapSlot slot = SlabHeap.TryAllocate(size)!.Value;
                slot.Read(0, bytes.AsSpan(0, slot.Size));
                Assert.That(bytes.AsSpan(0, slot.Size).IndexOfAnyExcept((byte)0), Is.EqualTo(-1), "a new slot is zero");
                byte value = (byte)random.Next(1, 256);
                Array.Fill(bytes, value);
                slot.Write(0, bytes.AsSpan(0, slot.Size));
                live.Add((slot, value, slot.Size));
            }
            else
            {
                int index = random.Next(live.Count);
                (HeapSlot slot, byte value, int size) = live[index];
                live[index] = live[^1];
                live.RemoveAt(live.Count - 1);
                slot.Read(0, bytes.AsSpan(0, size));
                Assert.That(bytes.AsSpan(0, size).IndexOfAnyExcept(value), Is.EqualTo(-1), "nobody else wrote here");
                Assert.That(SlabHeap.Free(slot), Is.True);
                Assert.That(SlabHeap.Free(slot), Is.False);
            }
            if (step % 5000 == 4999) allocator.Trim();
        }
        foreach ((HeapSlot slot, _, _) in live) Assert.That(SlabHeap.Free(slot), Is.True);
        Assert.That(Leaked, Is.LessThan(200), "magazines and a slab of each size");
        allocator.Trim();
        Assert.That((Leaked, SlabHeap.PolicyFaults, allocator.CachedSlots), Is.EqualTo((0, 0, 0)));
    }

    [Test]
    public void Exhaustion_is_null_and_the_slots_of_other_cpus_serve_before()
    {
        SlabAllocator allocator = Inject(cpus: 2);
        var slots = new List<HeapSlot>();
        while (SlabHeap.TryAllocate(2048) is { } slot) slots.Add(slot);
        Assert.That(FrameAllocator.ReserveFreePages, Is.LessThan(4));
        Assert.That(slots, Has.Count.GreaterThan(15000));
        SlabHeap.Free(slots[0]);
        Assert.That(allocator.CachedSlots, Is.EqualTo(1));
        int found = 0;
        HostThreads.RunOnCpus(2, cpu =>
        {
            while (cpu == 1 && SlabHeap.TryAllocate(2048) is not null) found++;
        });
        Assert.That((found, SlabHeap.PolicyFaults), Is.EqualTo((1, 0)));
    }

    [Test]
    public void Slab_of_a_slot_in_a_magazine_is_not_freed()
    {
        Inject();
        HeapSlot slot = SlabHeap.TryAllocate(1024)!.Value;
        Slab slab = slot.Slab!;
        SlabHeap.Free(slot);
        Assert.That(() => slab.Dispose(), Throws.InvalidOperationException);
        Assert.That(SlabHeap.TryAllocate(1024)!.Value.Slab, Is.SameAs(slab));
    }

    [Test]
    public void Strangers_slots_are_refused()
    {
        SlabAllocator allocator = Inject();
        Slab strange = Slab.TryCreate(64)!;
        strange.TryTake(out HeapSlot slot);
        // The magazine takes what it gets; the pool looks.
        allocator.Deallocate(slot);
        Assert.That(() => allocator.Trim(), Throws.ArgumentException);
    }

    [Test]
    public void Steady_state_allocates_nothing()
    {
        Inject();
        var slots = new HeapSlot[300];
        Round();
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 50; i++) Round();
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.LessThan(50 * 700), "a burst that comes again finds its slabs, but for one a round");
        HeapSlot one = SlabHeap.TryAllocate(64)!.Value;
        before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
        {
            SlabHeap.Free(one);
            one = SlabHeap.TryAllocate(64)!.Value;
        }
        Assert.That(GC.GetAllocatedBytesForCurrentThread() - before, Is.Zero);

        void Round()
        {
            for (int i = 0; i < slots.Length; i++) slots[i] = SlabHeap.TryAllocate(1 + (i * 37 % 600))!.Value;
            foreach (HeapSlot slot in slots) SlabHeap.Free(slot);
        }
    }

    [Test]
    public void Cpus_that_race_never_share_a_slot()
    {
        const int Cpus = 4;
        SlabAllocator allocator = Inject(Cpus);
        HostThreads.RunOnCpus(Cpus, cpu =>
        {
            if (cpu == 3) Machine.StandFor(2);
            var random = new Random(cpu);
            var live = new List<(HeapSlot Slot, byte Value)>();
            byte[] bytes = new byte[64];
            for (int step = 0; step < 20000; step++)
            {
                if (random.Next(2) == 0 || live.Count == 0)
                {
                    HeapSlot slot = SlabHeap.TryAllocate(64)!.Value;
                    byte value = (byte)random.Next(256);
                    Array.Fill(bytes, value);
                    slot.Write(0, bytes);
                    live.Add((slot, value));
                }
                else
                {
                    (HeapSlot slot, byte value) = live[^1];
                    live.RemoveAt(live.Count - 1);
                    slot.Read(0, bytes);
                    if (bytes.AsSpan().IndexOfAnyExcept(value) >= 0) throw new InvalidOperationException("somebody else wrote here");
                    if (!SlabHeap.Free(slot)) throw new InvalidOperationException("a slot was lost");
                }
            }
            foreach ((HeapSlot slot, _) in live) SlabHeap.Free(slot);
        });
        allocator.Trim();
        Assert.That((Leaked, SlabHeap.PolicyFaults), Is.EqualTo((0, 0)));
    }
}
