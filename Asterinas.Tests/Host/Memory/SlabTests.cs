using System;
using System.Collections.Generic;
using System.Threading;
using Asterinas.Ostd.Memory;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Memory;

public sealed class SlabTests : MemoryFixture
{
    private sealed class LyingAllocator : ISlabAllocator
    {
        public HeapSlot? Answer;
        public HeapSlot LastReturned;

        public HeapSlot? Allocate(int size) => Answer;

        public void Deallocate(HeapSlot slot) => LastReturned = slot;
    }

    private sealed class ThrowingAllocator : ISlabAllocator
    {
        public int Calls;

        public HeapSlot? Allocate(int size)
        {
            Calls++;
            throw new InvalidOperationException("hostile");
        }

        public void Deallocate(HeapSlot slot) => throw new InvalidOperationException("hostile");
    }

    [Test]
    public void Slots_hold_their_bytes_and_come_zeroed()
    {
        HeapSlot slot = SlabHeap.TryAllocate(100)!.Value;
        Assert.That(slot.Size, Is.EqualTo(128));
        slot.Write(120, [1, 2, 3, 4, 5, 6, 7, 8]);
        byte[] bytes = new byte[8];
        slot.Read(120, bytes);
        Assert.That(bytes, Is.EqualTo(new byte[] { 1, 2, 3, 4, 5, 6, 7, 8 }));
        Assert.That(() => slot.Write(121, bytes), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => slot.Read(-1, bytes), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(SlabHeap.Free(slot), Is.True);
        HeapSlot next = SlabHeap.TryAllocate(128)!.Value;
        next.Read(120, bytes);
        Assert.That(bytes, Is.All.Zero);
        SlabHeap.Free(next);
    }

    [Test]
    public void Freed_slot_is_dead_whoever_has_it_now()
    {
        HeapSlot old = SlabHeap.TryAllocate(64)!.Value;
        SlabHeap.Free(old);
        HeapSlot current = SlabHeap.TryAllocate(64)!.Value;
        Assert.That((current.Slab, current.Index), Is.EqualTo((old.Slab, old.Index)), "the same place");
        Assert.That(() => old.Write(0, [1]), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => old.Read(0, new byte[1]), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(SlabHeap.Free(old), Is.False, "a stale handle frees nothing");
        Assert.That(old.IsValid, Is.False);
        Assert.That(current.IsValid, Is.True);
        Assert.That(SlabHeap.Free(current), Is.True);
        Assert.That(SlabHeap.Free(current), Is.False, "double free");
        Assert.That(SlabHeap.Free(default), Is.False, "no slot");
        Assert.That(() => default(HeapSlot).Read(0, new byte[1]), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public void Slab_with_slots_in_use_cannot_be_freed()
    {
        Slab slab = Slab.TryCreate(256)!;
        Assert.That(slab.TryTake(out HeapSlot slot), Is.True);
        Assert.That(() => slab.Dispose(), Throws.InvalidOperationException);
        slot.Write(0, [1]);
        Assert.That(slab.Return(slot), Is.True);
        Assert.That(slab.Return(slot), Is.False);
        slab.Dispose();
        slab.Dispose();
        Assert.That(() => slab.TryTake(out _), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => slot.Write(0, [1]), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(Leaked, Is.Zero);
        Assert.That(() => Slab.TryCreate(100), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => Slab.TryCreate(4096), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void Lying_slab_allocator_is_caught()
    {
        Slab slab = Slab.TryCreate(64)!;
        slab.TryTake(out HeapSlot taken);
        var policy = new LyingAllocator { Answer = taken };
        SlabHeap.Inject(policy);
        HeapSlot client = SlabHeap.TryAllocate(64)!.Value;
        ExpectRefusal(64, "the same slot twice");
        policy.Answer = client;
        ExpectRefusal(64, "a client's slot");
        policy.Answer = default(HeapSlot);
        ExpectRefusal(64, "no slot");
        slab.TryTake(out HeapSlot other);
        policy.Answer = other;
        ExpectRefusal(65, "too small");
        slab.Return(other);
        ExpectRefusal(64, "returned to its slab");
        Assert.That(() => taken.Write(0, [1]), Throws.TypeOf<ObjectDisposedException>(), "the policy's own value is dead");
        Assert.That(slab.Return(taken), Is.False);
        Assert.That(slab.Return(client), Is.False, "a client has it");
        client.Write(0, [9]);
        Assert.That(SlabHeap.Free(client), Is.True);
        Assert.That(slab.Return(policy.LastReturned), Is.True);
        slab.Dispose();

        // A lie costs its client nothing: the default policy serves.
        void ExpectRefusal(int size, string what)
        {
            long faults = SlabHeap.PolicyFaults;
            HeapSlot served = SlabHeap.TryAllocate(size)!.Value;
            Assert.That(SlabHeap.PolicyFaults, Is.EqualTo(faults + 1), what);
            Assert.That(served.Slab, Is.Not.SameAs(slab), what);
            Assert.That(SlabHeap.Free(served), Is.True);
            Assert.That(policy.LastReturned.Slab, Is.Null, "it goes back to the policy that chose it");
        }
    }

    [Test]
    public void Slab_allocator_that_throws_again_and_again_is_deposed()
    {
        var policy = new ThrowingAllocator();
        SlabHeap.Inject(policy);
        for (int i = 0; i < 3 * SlabHeap.MostPolicyFaults; i++) Assert.That(SlabHeap.Free(SlabHeap.TryAllocate(8)!.Value), Is.True);
        Assert.That(policy.Calls, Is.EqualTo(SlabHeap.MostPolicyFaults));
    }

    [Test]
    public void Torn_and_forged_values_give_no_access()
    {
        // A HeapSlot is two words; a race can pair the slab of one with the token of another.
        Slab slab = Slab.TryCreate(64)!, other = Slab.TryCreate(64)!;
        Assert.That(slab.TryTake(out HeapSlot mine) && other.TryTake(out HeapSlot _), Is.True);
        Assert.That(other.TryTake(out HeapSlot second), Is.True);
        HeapSlot[] forged = [new(slab, second.Token), new(other, mine.Token), new(slab, 0), new(slab, ulong.MaxValue), new(slab, mine.Token + 8), new(slab, mine.Token ^ 1), new(slab, mine.Token | 4)];
        foreach (HeapSlot slot in forged)
        {
            Assert.That(slot.IsValid, Is.False);
            Assert.That(() => slot.Write(0, [1]), Throws.TypeOf<ObjectDisposedException>());
            Assert.That(() => slot.Read(0, new byte[1]), Throws.TypeOf<ObjectDisposedException>());
            Assert.That(SlabHeap.Free(slot), Is.False);
            Assert.That(slab.Return(slot) || other.Return(slot), Is.False);
        }
        Assert.That(slab.Return(mine), Is.True);
        slab.Dispose();
    }

    [Test]
    public void Tokens_are_never_used_twice()
    {
        var seen = new HashSet<ulong>();
        for (int round = 0; round < 3; round++)
        {
            using Slab slab = Slab.TryCreate(2048)!;
            for (int i = 0; i < 2000; i++)
            {
                slab.TryTake(out HeapSlot slot);
                Assert.That(seen.Add(slot.Token), Is.True);
                Assert.That(slab.Return(slot), Is.True);
                Assert.That(slot.IsValid, Is.False);
            }
        }
    }

    [Test]
    public void Copies_that_race_with_a_free_see_their_slot_or_an_exception()
    {
        // Every slot holds one value in all bytes; a copy that saw a mixture, or another's value, saw somebody else's slot.
        var stop = new CancellationTokenSource();
        HeapSlot current = SlabHeap.TryAllocate(512)!.Value;
        object gate = new();
        int reads = 0, mixtures = 0;
        var reader = new Thread(() =>
        {
            byte[] bytes = new byte[512];
            while (!stop.IsCancellationRequested)
            {
                HeapSlot slot;
                lock (gate) slot = current;
                try
                {
                    slot.Read(0, bytes);
                    if (bytes.AsSpan().IndexOfAnyExcept(bytes[0]) >= 0) mixtures++;
                    reads++;
                }
                catch (ObjectDisposedException)
                {
                    // Freed meanwhile.
                }
            }
        });
        Exception? failure = null;
        reader.Start();
        try
        {
            byte[] bytes = new byte[512];
            for (int i = 0; i < 30000 || reads < 100; i++)
            {
                HeapSlot old = current;
                Assert.That(SlabHeap.Free(old), Is.True);
                HeapSlot next = SlabHeap.TryAllocate(512)!.Value;
                Array.Fill(bytes, (byte)i);
                next.Write(0, bytes);
                lock (gate) current = next;
            }
        }
        catch (Exception problem)
        {
            failure = problem;
        }
        stop.Cancel();
        reader.Join();
        Assert.That((failure, mixtures), Is.EqualTo(((Exception?)null, 0)));
    }

    [Test]
    public void Default_allocator_agrees_with_a_model_and_gives_slabs_back([Values(1, 2)] int seed)
    {
        var random = new Random(seed);
        var live = new List<(HeapSlot Slot, byte Value, int Size)>();
        byte[] bytes = new byte[2048];
        for (int step = 0; step < 6000; step++)
        {
            if (live.Count == 0 || random.Next(100) < 55 && live.Count < 800)
            {
                int size = random.Next(1, 2049);
                HeapSlot? slot = SlabHeap.TryAllocate(size);
                if (slot is null) continue;
                Assert.That(slot.Value.Size, Is.GreaterThanOrEqualTo(size).And.LessThan(Math.Max(9, 2 * size)));
                byte value = (byte)random.Next(1, 256);
                Array.Fill(bytes, value);
                slot.Value.Write(0, bytes.AsSpan(0, size));
                live.Add((slot.Value, value, size));
            }
            else
            {
                int index = random.Next(live.Count);
                (HeapSlot slot, byte value, int size) = live[index];
                live.RemoveAt(index);
                slot.Read(0, bytes.AsSpan(0, size));
                Assert.That(bytes.AsSpan(0, size).IndexOfAnyExcept(value), Is.EqualTo(-1), "nobody else wrote here");
                Assert.That(SlabHeap.Free(slot), Is.True);
            }
        }
        foreach ((HeapSlot slot, _, _) in live) Assert.That(SlabHeap.Free(slot), Is.True);
        Assert.That(Leaked, Is.LessThanOrEqualTo(7 + 2 + 4), "one slab of each class stays");
    }

    private sealed class RandomAllocator(Random random) : ISlabAllocator
    {
        private readonly Slab _slab = Slab.TryCreate(64)!;
        public readonly List<HeapSlot> Known = [];

        public HeapSlot? Allocate(int size)
        {
            switch (random.Next(5))
            {
                case 0:
                    throw new InvalidOperationException("hostile");
                case 1:
                    return default(HeapSlot);
                case 2 when _slab.TryTake(out HeapSlot honest):
                    Known.Add(honest);
                    return honest;
                default:
                    return Known.Count == 0 ? null : Known[random.Next(Known.Count)];
            }
        }

        public void Deallocate(HeapSlot slot)
        {
            Known.Add(slot);
            if (random.Next(3) == 0) _slab.Return(slot);
            if (random.Next(3) == 0) throw new InvalidOperationException("hostile");
        }
    }

    [Test]
    public void Random_answers_never_give_a_slot_two_owners([Values(1, 2, 3)] int seed)
    {
        var random = new Random(seed);
        var live = new List<(HeapSlot Slot, byte Value)>();
        var policy = new RandomAllocator(random);
        byte[] bytes = new byte[64];
        for (int step = 0; step < 5000; step++)
        {
            if (step % 100 == 0) SlabHeap.Inject(policy);
            if (random.Next(2) == 0 || live.Count == 0)
            {
                if (SlabHeap.TryAllocate(random.Next(1, 65)) is not { } slot) continue;
                byte value = (byte)step;
                Array.Fill(bytes, value);
                slot.Write(0, bytes.AsSpan(0, slot.Size));
                live.Add((slot, value));
                policy.Known.Add(slot);
            }
            else
            {
                int index = random.Next(live.Count);
                (HeapSlot slot, byte value) = live[index];
                live.RemoveAt(index);
                slot.Read(0, bytes.AsSpan(0, slot.Size));
                Assert.That(bytes.AsSpan(0, slot.Size).IndexOfAnyExcept(value), Is.EqualTo(-1), "nobody else wrote here");
                Assert.That((SlabHeap.Free(slot), SlabHeap.Free(slot), slot.IsValid), Is.EqualTo((true, false, false)));
            }
        }
        Assert.That(SlabHeap.PolicyFaults, Is.GreaterThan(500));
    }
}
