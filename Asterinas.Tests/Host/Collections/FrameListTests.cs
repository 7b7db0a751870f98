using System;
using System.Collections.Generic;
using System.Linq;
using Asterinas.Ostd.Collections;
using Asterinas.Ostd.Memory;
using Asterinas.Tests.Host.Memory;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Collections;

public sealed class FrameListTests : MemoryFixture
{
    [Test]
    public void List_agrees_with_a_model([Values(1, 2, 3)] int seed)
    {
        var random = new Random(seed);
        var frames = Enumerable.Range(0, 40).Select(_ => Frame.Allocate()).ToArray();
        var model = new LinkedList<ulong>();
        using var list = new FrameList();
        for (int step = 0; step < 3000; step++)
        {
            Frame frame = frames[random.Next(frames.Length)];
            ulong start = frame.Start.Value;
            switch (random.Next(5))
            {
                case 0 or 1 when !model.Contains(start):
                    bool front = random.Next(2) == 0;
                    if (front) list.PushFront(frame);
                    else list.PushBack(frame);
                    if (front) model.AddFirst(start);
                    else model.AddLast(start);
                    break;
                case 2:
                    Assert.That(list.Remove(frame), Is.EqualTo(model.Remove(start)));
                    break;
                case 3:
                    bool fromFront = random.Next(2) == 0;
                    using (Frame? popped = fromFront ? list.PopFront() : list.PopBack())
                    {
                        ulong? expected = model.Count == 0 ? null : fromFront ? model.First!.Value : model.Last!.Value;
                        Assert.That(popped?.Start.Value, Is.EqualTo(expected));
                        if (expected is not null) model.Remove(expected.Value);
                    }
                    break;
                default:
                    Assert.That(list.Contains(frame), Is.EqualTo(model.Contains(start)));
                    break;
            }
            Assert.That(list.Count, Is.EqualTo(model.Count));
            var found = new List<ulong>();
            FrameList.Cursor cursor = list.GetCursor();
            while (cursor.MoveNext())
            {
                using Frame current = cursor.Current();
                found.Add(current.Start.Value);
            }
            Assert.That(found, Is.EqualTo(model));
        }
        list.Clear();
        Assert.That(frames.Select(frame => frame.ReferenceCount), Is.All.EqualTo(1));
        foreach (Frame frame in frames) frame.Dispose();
        Assert.That(Leaked, Is.Zero);
    }

    [Test]
    public void Frame_is_in_at_most_one_list()
    {
        using var first = new FrameList();
        using var second = new FrameList();
        using Frame frame = Frame.Allocate();
        first.PushBack(frame);
        Assert.That(() => first.PushBack(frame), Throws.InvalidOperationException);
        Assert.That(() => second.PushFront(frame), Throws.InvalidOperationException);
        using (Frame other = frame.Share()) Assert.That(() => second.PushFront(other), Throws.InvalidOperationException, "another handle of the same frame");
        Assert.That(second.Remove(frame), Is.False);
        Assert.That(frame.ReferenceCount, Is.EqualTo(2));
        Assert.That(first.Remove(frame), Is.True);
        second.PushFront(frame);
        Assert.That((first.Count, second.Count), Is.EqualTo((0, 1)));
    }

    [Test]
    public void List_keeps_its_frames_alive_and_dispose_releases_them()
    {
        var list = new FrameList();
        using (Frame frame = Frame.Allocate()) list.PushBack(frame);
        using (Frame frame = Frame.Allocate()) list.PushBack(frame);
        Assert.That(Leaked, Is.EqualTo(2));
        list.Dispose();
        Assert.That(Leaked, Is.Zero);
        using Frame late = Frame.Allocate();
        Assert.That(() => list.PushBack(late), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(late.ReferenceCount, Is.EqualTo(1));
    }

    [Test]
    public void Cursor_removes_in_passing_and_notices_other_changes()
    {
        using var list = new FrameList();
        Frame[] frames = Enumerable.Range(0, 6).Select(_ => Frame.Allocate()).ToArray();
        foreach (Frame frame in frames) list.PushBack(frame);
        FrameList.Cursor cursor = list.GetCursor();
        for (int i = 0; cursor.MoveNext(); i++)
        {
            if (i % 2 != 0) continue;
            using Frame removed = cursor.RemoveCurrent();
            Assert.That(removed.Start, Is.EqualTo(frames[i].Start));
            Assert.That(() => cursor.Current(), Throws.InvalidOperationException);
        }
        Assert.That(list.Count, Is.EqualTo(3));
        cursor = list.GetCursor();
        cursor.MoveNext();
        list.PopFront()!.Dispose();
        Assert.That(() => cursor.MoveNext(), Throws.InvalidOperationException);
        Assert.That(() => cursor.Current(), Throws.InvalidOperationException);
        Assert.That(() => cursor.RemoveCurrent(), Throws.InvalidOperationException);
        foreach (Frame frame in frames) frame.Dispose();
        list.Clear();
        Assert.That(Leaked, Is.Zero);
    }
}
