using System;
using System.Collections.Generic;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Tasks;
using Asterinas.Services.Allocators;

namespace Asterinas.Tests.Kernel;

/// <summary>The allocators that Services inject, on the machine: under load, at the end of memory, and with a runtime that needs its frames back. A boot of its own.</summary>
internal static class ServiceAllocators
{
    public static int Run()
    {
        var frames = new BuddyFrameAllocator();
        FrameAllocator.Inject(frames, 1024);
        SlabHeap.Inject(new SlabAllocator());
        Load();
        Tasks();
        Exhaust(frames);
        Slots();
        Expect.Equal((0L, 0L), (FrameAllocator.PolicyFaults, SlabHeap.PolicyFaults), "faults of the policies");
        Log.Info("the allocators kept their promises");
        return 0;
    }

    private static void Load()
    {
        var random = new Random(1);
        var live = new List<(UntypedMemory Memory, ulong Mark)>();
        for (int step = 0; step < 20000; step++)
        {
            if (random.Next(100) < 50 && live.Count < 3000)
            {
                UntypedMemory memory = random.Next(20) == 0 ? Segment.Allocate(random.Next(1, 64), 1 << random.Next(6)) : Frame.Allocate();
                VmReader reader = memory.Reader(memory.Length - 8, 8);
                Expect.True(reader.TryRead(out ulong old) && old == 0, "a new frame is zero");
                ulong mark = (ulong)step << 8 | 1;
                memory.Writer(0, 8).TryWrite(mark);
                memory.Writer(memory.Length - 8, 8).TryWrite(mark);
                live.Add((memory, mark));
            }
            else if (live.Count > 0)
            {
                int index = random.Next(live.Count);
                (UntypedMemory memory, ulong mark) = live[index];
                live[index] = live[^1];
                live.RemoveAt(live.Count - 1);
                VmReader first = memory.Reader(0, 8), last = memory.Reader(memory.Length - 8, 8);
                Expect.True(first.TryRead(out ulong a) && last.TryRead(out ulong b) && a == mark && b == mark, "nobody else wrote to the frame");
                memory.Dispose();
            }
        }
        foreach ((UntypedMemory memory, _) in live) memory.Dispose();
    }

    // Tasks on every CPU at once.
    private static void Tasks()
    {
        var tasks = new Task[8];
        for (int i = 0; i < tasks.Length; i++)
        {
            int seed = i;
            tasks[i] = Task.Spawn(() =>
            {
                var random = new Random(seed);
                var live = new Queue<(Frame Frame, ulong Mark, HeapSlot Slot)>();
                byte[] bytes = new byte[8];
                for (int step = 0; step < 3000; step++)
                {
                    ulong mark = (ulong)seed << 32 | (uint)step;
                    Frame frame = Frame.Allocate(FrameContents.Arbitrary);
                    frame.Writer(0, 8).TryWrite(mark);
                    HeapSlot slot = SlabHeap.TryAllocate(40) ?? throw new OutOfMemoryException();
                    BitConverter.TryWriteBytes(bytes, mark);
                    slot.Write(0, bytes);
                    live.Enqueue((frame, mark, slot));
                    if (live.Count > 100) Drop();
                    if (random.Next(50) == 0) Task.Yield();
                }
                while (live.Count > 0) Drop();

                void Drop()
                {
                    (Frame frame, ulong mark, HeapSlot slot) = live.Dequeue();
                    VmReader reader = frame.Reader(0, 8);
                    slot.Read(0, bytes);
                    Expect.True(reader.TryRead(out ulong found) && found == mark && BitConverter.ToUInt64(bytes) == mark, "nobody else wrote here");
                    frame.Dispose();
                    Expect.True(SlabHeap.Free(slot), "the slot is ours");
                }
            });
        }
        foreach (Task task in tasks)
        {
            task.Join();
            if (task.Failure is { } problem) throw problem;
        }
    }

    private static void Exhaust(BuddyFrameAllocator frames)
    {
        var pieces = new List<Segment>(1024);
        var singles = new List<Frame>(8192);
        while (Segment.TryAllocate(1024, 1, FrameContents.Arbitrary) is { } piece) pieces.Add(piece);
        while (Frame.TryAllocate(FrameContents.Arbitrary) is { } frame) singles.Add(frame);
        Expect.True(pieces.Count > 20, $"{pieces.Count} pieces");
        Expect.True(FrameAllocator.ReserveFreePages <= 2 * FrameAllocator.ReserveFloorPages, "the reserve gave what it could");
        foreach (Frame frame in singles) frame.Dispose();
        foreach (Segment piece in pieces) piece.Dispose();
        long free = frames.FreePages;
        Expect.True(free > 20 * 1024, $"{free} pages are free");
        // The collector needs memory now; the policy has it all, so it comes back through the refill at safe points.
        byte[][] garbage = new byte[64][];
        for (int i = 0; i < garbage.Length; i++)
        {
            garbage[i] = new byte[1 << 20];
            Task.YieldIfNeeded();
        }
        Expect.True(FrameAllocator.RefilledPages > 4096, $"{FrameAllocator.RefilledPages} pages went to the runtime");
        GC.KeepAlive(garbage);
    }

    private static void Slots()
    {
        var slots = new List<HeapSlot>();
        for (int i = 0; i < 3000; i++) slots.Add(SlabHeap.TryAllocate(1 + (i * 31 % 2048)) ?? throw new OutOfMemoryException());
        foreach (HeapSlot slot in slots) Expect.True(SlabHeap.Free(slot) && !SlabHeap.Free(slot), "freed once");
    }
}
