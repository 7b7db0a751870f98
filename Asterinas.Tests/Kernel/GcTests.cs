using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Timers;

namespace Asterinas.Tests.Kernel;

/// <summary>The stock garbage collector on our memory: collections, moves, decommit, weak references, finalizers, interrupts meanwhile.</summary>
internal static class GcTests
{
    public static void Register()
    {
        Program.Add("Gc_collects_every_generation_200_times_with_64_MiB_live", CollectsEveryGeneration);
        Program.Add("Gc_keeps_what_interior_pointers_on_the_stack_refer_to", InteriorPointers);
        Program.Add("Gc_gives_memory_back_and_recommitted_pages_are_zero", Decommit);
        Program.Add("Gc_clears_weak_references_and_runs_finalizers", WeakReferencesAndFinalizers);
        Program.Add("Gc_survives_interrupts_at_10_kHz", TimerStorm);
    }

    /// <summary>A node whose contents can be checked: the sum depends on every field.</summary>
    private sealed class Node(int value, Node? next)
    {
        public readonly int Value = value;
        public readonly long Check = Mix(value);
        public Node? Next = next;
        public readonly byte[] Payload = Fill(value);

        public void Verify()
        {
            Expect.Equal(Mix(Value), Check, "check word of a node");
            Expect.Equal(16 + (Value & 63), Payload.Length, "payload length");
            foreach (byte b in Payload) Expect.Equal((byte)Value, b, "payload byte");
        }

        private static byte[] Fill(int value)
        {
            byte[] payload = new byte[16 + (value & 63)];
            Array.Fill(payload, (byte)value);
            return payload;
        }
    }

    private static long Mix(int value) => (value * 6364136223846793005L) ^ (value << 7);

    private static void CollectsEveryGeneration()
    {
        // 64 MiB that stay alive: 1,024 blocks of 64 KiB below the large-object limit, each with its number.
        var live = new List<long[]>();
        for (int i = 0; i < 1024 + 16; i++)
        {
            long[] block = new long[8192 - 8];
            Array.Fill(block, i);
            live.Add(block);
        }
        Expect.True(GC.GetTotalMemory(false) >= 64L << 20, "at least 64 MiB are alive");
        Node? list = null;
        for (int i = 0; i < 2000; i++)
        {
            list = new Node(i, list);
            GC.KeepAlive(new byte[100]);        // garbage between the nodes: whoever closes the gaps has to move them
        }
        ulong[] places = Places(list);
        int moved = 0, rounds = 0;
        // CollectionCount counts a collection for its generation and all younger ones. The collector may choose an older generation than it was asked for.
        int[] before = [GC.CollectionCount(0), GC.CollectionCount(1), GC.CollectionCount(2)], own = new int[3];
        while ((own[0] < 200 || own[1] < 200 || own[2] < 200) && rounds < 1000)
        {
            for (int i = 0; i < 500; i++) GC.KeepAlive(new Node(i, null));
            GC.Collect(0, GCCollectionMode.Forced, blocking: true);
            GC.Collect(1, GCCollectionMode.Forced, blocking: true, compacting: true);
            GC.Collect(2, GCCollectionMode.Forced, blocking: true, compacting: rounds % 50 == 0);
            if (rounds++ % 50 == 0)
            {
                ulong[] now = Places(list);
                for (int i = 0; i < now.Length; i++) moved += now[i] != places[i] ? 1 : 0;
                places = now;
            }
            for (int generation = 0; generation < 3; generation++)
            {
                int older = generation == 2 ? 0 : GC.CollectionCount(generation + 1) - before[generation + 1];
                own[generation] = GC.CollectionCount(generation) - before[generation] - older;
            }
        }
        Log.Info($"collections: {own[0]}, {own[1]} and {own[2]} of generations 0, 1 and 2 in {rounds} rounds; nodes moved {moved} times");
        for (int generation = 0; generation < 3; generation++) Expect.True(own[generation] >= 200, $"{own[generation]} collections of generation {generation}");
        Expect.True(moved >= 1000, $"nodes that moved: {moved}");
        int count = 0;
        for (Node? node = list; node is not null; node = node.Next)
        {
            node.Verify();
            count++;
        }
        Expect.Equal(2000, count, "nodes of the list");
        for (int i = 0; i < live.Count; i++)
        {
            foreach (long value in live[i]) Expect.Equal(i, (int)value, "word of a live block");
        }
        Expect.Equal(2, GC.GetGeneration(live[0]), "generation of an old block");
    }

    private static ulong[] Places(Node? list)
    {
        var places = new List<ulong>();
        for (Node? node = list; node is not null; node = node.Next) places.Add(RuntimeStatistics.AddressOf(node));
        return [.. places];
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Span<int> MiddleOfAnArray(int seed)
    {
        int[] array = new int[1000];
        for (int i = 0; i < array.Length; i++) array[i] = seed + i;
        return array.AsSpan(500, 100);          // only the interior pointer survives
    }

    private static void InteriorPointers()
    {
        for (int round = 0; round < 100; round++)
        {
            Span<int> span = MiddleOfAnArray(round);
            ref int last = ref span[99];
            for (int i = 0; i < 200; i++) GC.KeepAlive(new byte[1024]);
            GC.Collect(round % 3, GCCollectionMode.Forced, blocking: true, compacting: true);
            for (int i = 0; i < span.Length; i++) Expect.Equal(round + 500 + i, span[i], "element behind an interior pointer");
            Expect.Equal(round + 599, last, "element behind a ref local");
        }
    }

    private static void Decommit()
    {
        long decommitsBefore = RuntimeStatistics.DecommittedPages, recommitsBefore = RuntimeStatistics.RecommittedPages;
        for (int round = 0; round < 20; round++)
        {
            FillAndDrop();
            for (int i = 0; i < 3; i++) GC.Collect(2, GCCollectionMode.Aggressive, blocking: true, compacting: true);
        }
        Expect.True(RuntimeStatistics.DecommittedPages > decommitsBefore, "the collector gave pages back");
        Expect.True(RuntimeStatistics.RecommittedPages > recommitsBefore, "pages were committed again");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void FillAndDrop()
    {
        // New arrays must be zero whatever their pages held before. Large ones come straight from fresh pages.
        var blocks = new List<byte[]>();
        for (int i = 0; i < 48; i++)
        {
            byte[] block = new byte[1 << 20];
            Expect.True(!block.AsSpan().ContainsAnyExcept((byte)0), "a new array is zero");
            block.AsSpan().Fill(0xA5);
            blocks.Add(block);
        }
        GC.KeepAlive(blocks);
    }

    private static int s_finalized;

    private sealed class Finalizable
    {
        ~Finalizable() => s_finalized++;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference MakeGarbage()
    {
        for (int i = 0; i < 99; i++) GC.KeepAlive(new Finalizable());
        return new WeakReference(new Finalizable());
    }

    private static void WeakReferencesAndFinalizers()
    {
        s_finalized = 0;
        var strong = new object();
        var kept = new WeakReference(strong);
        WeakReference dropped = MakeGarbage();
        for (int i = 0; i < 10 && s_finalized < 100; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        Expect.Equal(100, s_finalized, "finalizers that ran");
        Expect.True(!dropped.IsAlive, "the weak reference to garbage is clear");
        Expect.True(kept.IsAlive, "the weak reference to a living object is not");
        GC.KeepAlive(strong);
    }

    private static void TimerStorm()
    {
        const ulong Duration = 30UL * 1000000000;
        ulong end = Clock.MonotonicNs + Duration, interrupts = RuntimeStatistics.InterruptCount;
        var table = new Node?[4096];
        var random = new Random(1);
        long rounds = 0;
        RuntimeStatistics.SetTimerStorm(10000);
        try
        {
            while (Clock.MonotonicNs < end)
            {
                for (int i = 0; i < 2000; i++)
                {
                    int slot = random.Next(table.Length);
                    table[slot]?.Verify();
                    table[slot] = new Node(random.Next(), table[random.Next(table.Length)] is { Next: null } other ? other : null);
                }
                if (++rounds % 50 == 0) GC.Collect((int)(rounds / 50 % 3), GCCollectionMode.Forced, blocking: true, compacting: true);
            }
        }
        finally
        {
            RuntimeStatistics.SetTimerStorm(0);
        }
        foreach (Node? first in table)
        {
            for (Node? node = first; node is not null; node = node.Next) node.Verify();
        }
        ulong seen = RuntimeStatistics.InterruptCount - interrupts;
        Log.Info($"timer storm: {seen} interrupts, {rounds * 2000} objects, {GC.CollectionCount(0)} collections so far");
        // Emulation cannot promise the rate, but far fewer would mean that nothing was tested.
        Expect.True(seen > 30000, $"interrupts in 30 s: {seen}");
    }
}
