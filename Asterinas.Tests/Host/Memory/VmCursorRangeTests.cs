using System;
using System.Collections.Generic;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Memory;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Memory;

/// <summary>Changes of whole ranges, frames that only mappings own, and copies on write.</summary>
public sealed class VmCursorRangeTests : MemoryFixture
{
    private const ulong Base = 0x4000_0000;
    private const ulong Page = PageSize.Small;

    private static byte Peek(VmSpace space, ulong address) =>
        space.TryRead(new UserAddress(address), out byte value) ? value : throw new InvalidOperationException($"{address:x} cannot be read");

    private static VmCursor At(VmSpace space, ulong address, ulong bytes = Page) => space.Cursor(Range(address, bytes));

    [Test]
    public void New_frames_fill_what_is_absent_and_nothing_else()
    {
        using (VmSpace space = VmSpace.Create())
        {
            using Frame kept = Frame.Allocate();
            kept.Writer().Fill(0);
            kept.Writer().Write([7]);
            At(space, Base + (3 * Page)).Map(kept, ReadOnly);
            ulong start = Base - (20 * Page), bytes = 700 * Page;
            VmCursor cursor = At(space, start, bytes);
            Assert.That(cursor.MapNew(bytes, ReadWrite, out long pages), Is.EqualTo(MapStatus.Mapped));
            Assert.That((pages, cursor.IsAtEnd), Is.EqualTo((699L, true)));
            for (ulong at = start; at < start + bytes; at += Page) Assert.That(Peek(space, at), Is.EqualTo(at == Base + (3 * Page) ? 7 : 0));
            cursor.Seek(new UserAddress(start));
            Assert.That(cursor.MapNew(bytes, ReadWrite, out pages), Is.EqualTo(MapStatus.Mapped));
            Assert.That(pages, Is.Zero);
            cursor.Seek(new UserAddress(start));
            Assert.That(cursor.Unmap(bytes, out pages), Is.EqualTo(MapStatus.Mapped));
            Assert.That((pages, kept.ReferenceCount, Leaked), Is.EqualTo((700L, 1, 2L)), "the root and the frame");
        }
        Assert.That(Leaked, Is.Zero);
    }

    [Test]
    public void New_frames_end_where_memory_ends_and_the_cursor_says_where()
    {
        using (VmSpace space = VmSpace.Create())
        {
            const ulong Bytes = 20000 * Page;
            VmCursor cursor = At(space, Base, Bytes);
            Assert.That(cursor.MapNew(Bytes, ReadWrite, out long pages), Is.EqualTo(MapStatus.OutOfMemory));
            Assert.That(pages, Is.GreaterThan(7000));
            Assert.That(cursor.Address.Value, Is.EqualTo(Base + ((ulong)pages * Page)), "all before the cursor is mapped");
            cursor.Seek(new UserAddress(Base));
            cursor.Unmap(Bytes, out long unmapped);
            Assert.That((unmapped, Leaked), Is.EqualTo((pages, 1L)));
        }
        Assert.That(Leaked, Is.Zero);
    }

    [Test]
    public void Frames_are_mapped_around_those_that_are_there()
    {
        using (VmSpace space = VmSpace.Create())
        {
            var frames = new Frame?[10];
            for (int i = 0; i < frames.Length; i++)
            {
                if (i == 4) continue;
                frames[i] = Frame.Allocate();
                frames[i]!.Writer().Write([(byte)(i + 1)]);
            }
            // Across the border of two page tables.
            ulong start = Base + PageSize.Large - (5 * Page);
            At(space, start + (7 * Page)).MapNew(ReadWrite);
            VmCursor cursor = At(space, start, 10 * Page);
            Assert.That(cursor.Map(frames, ReadOnly, out int pages), Is.EqualTo(MapStatus.Mapped));
            Assert.That((pages, cursor.IsAtEnd), Is.EqualTo((8, true)));
            for (int i = 0; i < frames.Length; i++)
            {
                VmMapping? mapping = At(space, start + ((ulong)i * Page)).Query();
                if (i == 4) Assert.That(mapping, Is.Null);
                else if (i == 7) Assert.That(Peek(space, start + (7 * Page)), Is.Zero);
                else Assert.That((mapping!.Value.Physical, mapping.Value.ReferenceCount), Is.EqualTo((frames[i]!.Start, 2)));
            }
            frames[2]!.Dispose();
            Assert.That(() => { At(space, Base, 10 * Page).Map(frames, ReadOnly, out _); }, Throws.TypeOf<ObjectDisposedException>());
            Assert.That(At(space, Base).Query(), Is.Not.Null, "what came before is mapped");
            Assert.That(() => { At(space, Base, 9 * Page).Map(frames, ReadOnly, out _); }, Throws.TypeOf<ArgumentOutOfRangeException>());
            foreach (Frame? frame in frames) frame?.Dispose();
        }
        Assert.That(Leaked, Is.Zero);
    }

    [Test]
    public void Private_protection_grants_writing_only_to_pages_of_ones_own()
    {
        using VmSpace space = VmSpace.Create();
        using VmSpace child = VmSpace.Create();
        VmCursor cursor = At(space, Base, 8 * Page);
        cursor.MapNew(8 * Page, ReadWrite, out _);
        At(space, Base + (2 * Page), 2 * Page).CloneTo(child, 2 * Page, CloneMode.CopyOnWrite);
        using Frame handle = At(space, Base + (6 * Page)).GetFrame()!;
        At(space, Base, 8 * Page).Protect(8 * Page, ReadOnly);
        long flushes = Machine.FlushCount;
        At(space, Base, 8 * Page).Protect(8 * Page, ReadOnly);
        Assert.That(Machine.FlushCount, Is.EqualTo(flushes), "nothing changed, nothing to flush");
        Assert.That(At(space, Base, 8 * Page).ProtectPrivate(8 * Page, ReadWrite), Is.EqualTo(MapStatus.Mapped));
        for (int i = 0; i < 8; i++)
        {
            bool isOwn = i is not (2 or 3 or 6);
            Assert.That(space.TryWrite(new UserAddress(Base + ((ulong)i * Page)), (byte)1), Is.EqualTo(isOwn), $"page {i}");
        }
    }

    [Test]
    public void Marks_are_taken_once_and_dirty_ones_flush()
    {
        using VmSpace space = VmSpace.Create();
        At(space, Base, 4 * Page).MapNew(4 * Page, ReadWrite, out _);
        VmCursor cursor = At(space, Base, 4 * Page);
        Assert.That(cursor.TakeMarks(PageMarks.Accessed | PageMarks.Dirty), Is.EqualTo(PageMarks.None));
        Peek(space, Base);
        space.TryWrite(new UserAddress(Base + Page), 1);
        space.TryWrite(new UserAddress(Base + (3 * Page)), 1);
        long flushes = Machine.FlushCount;
        Assert.That(cursor.TakeMarks(PageMarks.Accessed | PageMarks.Dirty), Is.EqualTo(PageMarks.Accessed));
        Assert.That(Machine.FlushCount, Is.EqualTo(flushes), "an old accessed mark in a TLB harms nobody");
        Assert.That(cursor.ClearMarks(4 * Page, PageMarks.Dirty), Is.EqualTo(2));
        Assert.That((Machine.FlushCount, cursor.IsAtEnd), Is.EqualTo((flushes + 1, true)));
        cursor.Seek(new UserAddress(Base + Page));
        Assert.That(cursor.Query() is { IsDirty: false, IsAccessed: true }, Is.True);
        Assert.That(cursor.TakeMarks(PageMarks.Dirty), Is.EqualTo(PageMarks.None));
        space.TryWrite(new UserAddress(Base + Page), 1);
        Assert.That(cursor.TakeMarks(PageMarks.Dirty), Is.EqualTo(PageMarks.Dirty));
    }

    [Test]
    public void Mark_of_a_frame_is_seen_through_every_handle_and_mapping_and_ends_with_the_frame()
    {
        using VmSpace space = VmSpace.Create();
        Frame frame = Frame.Allocate();
        PhysicalAddress start = frame.Start;
        Assert.That(frame.Mark, Is.Zero);
        frame.Mark = 5;
        Assert.That((frame.CompareExchangeMark(9, 4), frame.CompareExchangeMark(9, 5)), Is.EqualTo((5u, 5u)));
        At(space, Base).Map(frame, ReadWrite);
        VmCursor cursor = At(space, 0x10000, Base);
        Assert.That(cursor.MoveToMapping(out VmMapping mapping), Is.True);
        Assert.That((mapping.Start.Value, mapping.Mark, mapping.ReferenceCount, mapping.Physical), Is.EqualTo((Base, 9u, 2, start)));
        using (Frame second = cursor.GetFrame()!) Assert.That(second.Mark, Is.EqualTo(9));
        cursor.Unmap(Page, out _);
        frame.Dispose();
        // Everything is handed out again, the page too.
        var all = new List<Frame>();
        bool isSeen = false;
        while (Frame.TryAllocate(FrameContents.Arbitrary) is { } next)
        {
            isSeen |= next.Start == start;
            Assert.That(next.Mark, Is.Zero);
            all.Add(next);
        }
        Assert.That(isSeen, Is.True);
        foreach (Frame next in all) next.Dispose();
    }

    [Test]
    public void Frames_are_copied_and_cleared_whole()
    {
        using Frame from = Frame.Allocate(), to = Frame.Allocate();
        byte[] bytes = new byte[PageSize.Small], back = new byte[PageSize.Small];
        new Random(1).NextBytes(bytes);
        from.Writer().Write(bytes);
        from.CopyTo(to);
        to.Reader().Read(back);
        Assert.That(back, Is.EqualTo(bytes));
        to.Clear();
        to.Reader().Read(back);
        Assert.That(back, Is.All.Zero);
        var closed = Frame.Allocate();
        closed.Dispose();
        Assert.That(() => from.CopyTo(closed), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => closed.CopyTo(from), Throws.TypeOf<ObjectDisposedException>());
        from.CopyTo(from);
    }

    [Test]
    public void Clone_without_memory_says_where_it_ended()
    {
        using (VmSpace space = VmSpace.Create())
        {
            // A page in each of many tables, so that the copy needs as many tables.
            const ulong Bytes = 100UL * PageSize.Large;
            for (ulong i = 0; i < 100; i++) At(space, Base + (i * PageSize.Large)).MapNew(ReadWrite);
            using (VmSpace copy = VmSpace.Create())
            {
                var hog = new List<ulong>();
                while (FrameAllocator.ReserveFreePages > 50) hog.Add(Machine.ReserveAllocate(0));
                VmCursor cursor = At(space, Base, Bytes);
                Assert.That(cursor.CloneTo(copy, Bytes, CloneMode.CopyOnWrite), Is.EqualTo(MapStatus.OutOfMemory));
                ulong end = cursor.Address.Value;
                Assert.That(end, Is.GreaterThan(Base).And.LessThan(Base + Bytes));
                foreach (ulong page in hog) Machine.ReserveFree(page, 0);
                Assert.That(cursor.CloneTo(copy, Base + Bytes - end, CloneMode.CopyOnWrite), Is.EqualTo(MapStatus.Mapped), "it goes on from there");
                VmCursor copies = At(copy, Base, Bytes);
                int count = 0;
                while (copies.MoveToMapping(out VmMapping mapping))
                {
                    Assert.That(mapping.ReferenceCount, Is.EqualTo(2));
                    count++;
                    copies.Seek(new UserAddress(mapping.Start.Value + Page));
                }
                Assert.That(count, Is.EqualTo(100));
            }
        }
        Assert.That(Leaked, Is.Zero);
    }

    [Test]
    public void Random_forks_and_writes_agree_with_a_model([Values(1, 2, 3, 4)] int seed)
    {
        // Pages on both sides of a border between two tables.
        const int Pages = 24;
        const ulong Start = Base + PageSize.Large - (12 * Page);
        var random = new Random(seed);
        var spaces = new List<(VmSpace Space, byte?[] Model)> { (VmSpace.Create(), new byte?[Pages]) };
        for (int step = 0; step < 3000; step++)
        {
            int index = random.Next(spaces.Count);
            (VmSpace space, byte?[] model) = spaces[index];
            int page = random.Next(Pages);
            ulong address = Start + ((ulong)page * Page);
            switch (random.Next(8))
            {
                case 0:
                    Assert.That(At(space, address).MapNew(ReadWrite), Is.EqualTo(model[page] is null ? MapStatus.Mapped : MapStatus.AlreadyMapped));
                    model[page] ??= 0;
                    break;
                case 1:
                    int count = random.Next(1, Pages - page + 1);
                    At(space, address, (ulong)count * Page).Unmap((ulong)count * Page, out long unmapped);
                    long expected = 0;
                    for (int i = page; i < page + count; i++)
                    {
                        if (model[i] is not null) expected++;
                        model[i] = null;
                    }
                    Assert.That(unmapped, Is.EqualTo(expected));
                    break;
                case 2 when spaces.Count < 5:
                    VmSpace child = VmSpace.Create();
                    Assert.That(At(space, Start, Pages * Page).CloneTo(child, Pages * Page, CloneMode.CopyOnWrite), Is.EqualTo(MapStatus.Mapped));
                    spaces.Add((child, (byte?[])model.Clone()));
                    break;
                case 3 when spaces.Count > 1:
                    spaces.RemoveAt(index);
                    space.Dispose();
                    break;
                case 4:
                    At(space, Start, Pages * Page).ProtectPrivate(Pages * Page, ReadWrite);
                    break;
                default:
                    Write(space, model, page, address, (byte)random.Next(1, 256));
                    break;
            }
            if (step % 20 == 0) Check(spaces);
        }
        Check(spaces);
        foreach ((VmSpace space, _) in spaces) space.Dispose();
        Assert.That(Leaked, Is.Zero);

        // As a page-fault handler does it.
        static void Write(VmSpace space, byte?[] model, int page, ulong address, byte value)
        {
            bool isWritten = space.TryWrite(new UserAddress(address + 5), value);
            if (model[page] is null)
            {
                Assert.That(isWritten, Is.False);
                return;
            }
            if (!isWritten)
            {
                int references = At(space, address).Query()!.Value.ReferenceCount;
                PrivateStatus status = At(space, address).MakePrivate(ReadWrite);
                Assert.That(status, Is.EqualTo(references == 1 ? PrivateStatus.Kept : PrivateStatus.Copied));
                Assert.That(space.TryWrite(new UserAddress(address + 5), value), Is.True);
            }
            model[page] = value;
        }

        static void Check(List<(VmSpace Space, byte?[] Model)> spaces)
        {
            foreach ((VmSpace space, byte?[] model) in spaces)
            {
                VmCursor cursor = At(space, Start, Pages * Page);
                for (int i = 0; i < Pages; i++)
                {
                    if (model[i] is not { } value) continue;
                    Assert.That(cursor.MoveToMapping(out VmMapping mapping), Is.True);
                    Assert.That((mapping.Start.Value, Peek(space, mapping.Start.Value + 5)), Is.EqualTo((Start + ((ulong)i * Page), value)), $"page {i}");
                    cursor.Seek(new UserAddress(mapping.Start.Value + Page));
                }
                Assert.That(cursor.MoveToMapping(), Is.False);
            }
        }
    }

    [Test]
    public void Large_pages_are_cloned_whole_and_copied_in_small_pieces()
    {
        using (Segment segment = Segment.Allocate(PageSize.PagesInLarge, PageSize.PagesInLarge))
        {
            using VmSpace space = VmSpace.Create(), child = VmSpace.Create();
            At(space, Base, PageSize.Large).MapLarge(segment, 0, ReadWrite);
            Assert.That(At(space, Base, PageSize.Large).CloneTo(child, PageSize.Large, CloneMode.CopyOnWrite), Is.EqualTo(MapStatus.Mapped));
            Assert.That(At(child, Base).Query()!.Value.Bytes, Is.EqualTo(PageSize.Large));
            Assert.That(child.TryWrite(new UserAddress(Base + (7 * Page)), 1), Is.False);
            Assert.That(At(child, Base + (7 * Page)).MakePrivate(ReadWrite), Is.EqualTo(PrivateStatus.Copied));
            Assert.That(child.TryWrite(new UserAddress(Base + (7 * Page)), (byte)9), Is.True);
            Assert.That((Peek(space, Base + (7 * Page)), Peek(child, Base + (7 * Page)), Peek(child, Base + (8 * Page))), Is.EqualTo(((byte)0, (byte)9, (byte)0)));
            Assert.That(At(child, Base, PageSize.Large).CloneTo(space, PageSize.Large, CloneMode.Shared), Is.EqualTo(MapStatus.AlreadyMapped));
        }
        Assert.That(Leaked, Is.Zero);
    }
}
