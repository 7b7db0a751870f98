using System;
using System.Collections.Generic;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Runtime;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Memory;

public sealed class FrameTests : MemoryFixture
{
    [Test]
    public void New_frame_is_zeroed_even_after_use()
    {
        for (int round = 0; round < 3; round++)
        {
            using Frame frame = Frame.Allocate();
            var bytes = new byte[PageSize.Small];
            Assert.That(frame.Reader().Read(bytes), Is.EqualTo(PageSize.Small));
            Assert.That(bytes, Is.All.Zero);
            Array.Fill(bytes, (byte)0xAA);
            Assert.That(frame.Writer().Write(bytes), Is.EqualTo(PageSize.Small));
        }
        Assert.That(Leaked, Is.Zero);
    }

    [Test]
    public void Last_reference_frees_the_frame()
    {
        Frame frame = Frame.Allocate();
        Frame second = frame.Share();
        Assert.That(frame.ReferenceCount, Is.EqualTo(2));
        frame.Dispose();
        Assert.That(Leaked, Is.EqualTo(1));
        second.Dispose();
        second.Dispose();
        Assert.That(Leaked, Is.Zero);
    }

    [Test]
    public void Disposed_handle_throws_and_never_touches_the_next_owner()
    {
        Frame frame = Frame.Allocate();
        frame.Dispose();
        Assert.That(() => frame.Reader(), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => frame.Writer(), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => frame.Share(), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => frame.Start, Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => frame.ReferenceCount, Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public void Reader_made_before_dispose_throws_after_it()
    {
        Frame frame = Frame.Allocate();
        VmReader reader = frame.Reader();
        VmWriter writer = frame.Writer();
        frame.Dispose();
        bool readThrew = false, writeThrew = false;
        try
        {
            reader.Read(new byte[1]);
        }
        catch (ObjectDisposedException)
        {
            readThrew = true;
        }
        try
        {
            writer.Write(new byte[1]);
        }
        catch (ObjectDisposedException)
        {
            writeThrew = true;
        }
        Assert.That((readThrew, writeThrew), Is.EqualTo((true, true)));
    }

    [Test]
    public void Segment_and_its_slices_share_references_page_by_page()
    {
        Segment segment = Segment.Allocate(5);
        Assert.That(Leaked, Is.EqualTo(5), "what rounds up to eight goes back at once");
        Segment slice = segment.Slice(1, 3);
        Frame one = segment.GetFrame(2);
        segment.Dispose();
        Assert.That(Leaked, Is.EqualTo(3));
        slice.Dispose();
        Assert.That(Leaked, Is.EqualTo(1));
        one.Dispose();
        Assert.That(Leaked, Is.Zero);
        Assert.That(() => Segment.Allocate(4).Slice(3, 2), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void Segment_is_aligned_as_asked([Values(1, 2, 16, 512)] int alignment)
    {
        using Segment segment = Segment.Allocate(3, alignment);
        Assert.That(segment.Start.Value % ((ulong)alignment << 12), Is.Zero);
        Assert.That(Leaked, Is.EqualTo(3));
    }

    [Test]
    public void Forgotten_handle_is_returned_by_its_finalizer()
    {
        ForgetOne();
        for (int i = 0; i < 10 && Leaked != 0; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        Assert.That(Leaked, Is.Zero);
        Assert.That(FrameAllocator.ForgottenHandles, Is.EqualTo(1));

        [System.Runtime.CompilerServices.MethodImpl(System.Runtime.CompilerServices.MethodImplOptions.NoInlining)]
        static void ForgetOne() => Frame.Allocate();
    }

    [Test]
    public void Running_out_is_null_and_everything_comes_back()
    {
        var frames = new List<Frame>();
        while (Frame.TryAllocate(FrameContents.Arbitrary) is { } frame) frames.Add(frame);
        Assert.That(FrameAllocator.ReserveFreePages, Is.Zero);
        Assert.That(Segment.TryAllocate(2), Is.Null);
        Assert.That(() => Frame.Allocate(), Throws.TypeOf<OutOfMemoryException>());
        Assert.That(VmSpace.TryCreate(), Is.Null);
        foreach (Frame frame in frames) frame.Dispose();
        Assert.That(Leaked, Is.Zero);
        using Segment largest = Segment.Allocate(1024);
        Assert.That(Segment.TryAllocate(1025), Is.Null);
    }

    [Test]
    public void Metadata_states_follow_the_diagram()
    {
        Frame frame = Frame.Allocate();
        ulong page = frame.Start.Value >> 12;
        Assert.That(FrameTable.StateOf(page), Is.EqualTo(FrameState.Untyped));
        Assert.That(FrameTable.TryClaim(page, FrameTable.DefaultTag, FrameState.Slab), Is.False, "in use");
        Assert.That(() => FrameTable.Retire(page, FrameState.Slab), Throws.InvalidOperationException, "another use");
        frame.Dispose();
        Assert.That(FrameTable.StateOf(page), Is.EqualTo(FrameState.Free));
        Assert.That(FrameTable.TryClaim(page, FrameTable.DefaultTag, FrameState.Slab), Is.False, "the reserve's");
        Assert.That(FrameTable.TryClaim(0, FrameTable.DefaultTag, FrameState.Slab), Is.False, "the first page is nobody's");
        Assert.That(FrameTable.TryClaim(FrameTable.Count, FrameTable.DefaultTag, FrameState.Slab), Is.False, "beyond RAM");
        Assert.That(() => FrameTable.Acquire(page), Throws.InvalidOperationException, "no reference to add to");
    }

    [Test]
    public void Concurrent_copies_and_dispose_never_reach_a_freed_frame()
    {
        for (int round = 0; round < 200; round++)
        {
            Frame frame = Frame.Allocate();
            var thread = new Thread(() =>
            {
                var buffer = new byte[64];
                try
                {
                    while (true)
                    {
                        frame.Reader().Read(buffer);
                    }
                }
                catch (ObjectDisposedException)
                {
                }
            });
            thread.Start();
            Thread.Yield();
            frame.Dispose();
            thread.Join();
            Assert.That(Leaked, Is.Zero);
        }
    }
}
