using System;
using System.Collections.Generic;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Memory;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Memory;

public sealed class VmSpaceTests : MemoryFixture
{
    private const ulong Base = 0x4000_0000;

    [Test]
    public void Mapped_page_is_found_with_its_property_and_goes_away()
    {
        using (VmSpace space = VmSpace.Create())
        {
            using Frame frame = Frame.Allocate();
            VmCursor cursor = space.Cursor(Range(Base, 0x10000));
            cursor.Seek(new UserAddress(Base + 0x3000));
            Assert.That(cursor.Map(frame, new PageProperty(PageAccess.ReadExecute, CacheMode.Uncached)), Is.EqualTo(MapStatus.Mapped));
            Assert.That(cursor.Address.Value, Is.EqualTo(Base + 0x4000));
            Assert.That(frame.ReferenceCount, Is.EqualTo(2));
            cursor.Seek(new UserAddress(Base));
            Assert.That(cursor.Query(), Is.Null);
            Assert.That(cursor.MoveToMapping(), Is.True);
            VmMapping mapping = cursor.Query()!.Value;
            Assert.That(mapping.Start.Value, Is.EqualTo(Base + 0x3000));
            Assert.That(mapping.Bytes, Is.EqualTo(PageSize.Small));
            Assert.That(mapping.Property, Is.EqualTo(new PageProperty(PageAccess.ReadExecute, CacheMode.Uncached)));
            Assert.That(mapping.Physical, Is.EqualTo(frame.Start));
            using (Frame same = cursor.GetFrame()!) Assert.That(same.Start, Is.EqualTo(frame.Start));
            Assert.That(cursor.Map(frame, ReadOnly), Is.EqualTo(MapStatus.AlreadyMapped));
            Assert.That(frame.ReferenceCount, Is.EqualTo(2));
            cursor.Seek(new UserAddress(Base));
            Assert.That(cursor.Unmap(0x10000, out long pages), Is.EqualTo(MapStatus.Mapped));
            Assert.That(pages, Is.EqualTo(1));
            Assert.That(frame.ReferenceCount, Is.EqualTo(1));
            Assert.That(Leaked, Is.EqualTo(2), "the root and the frame: empty tables are freed at once");
        }
        Assert.That(Leaked, Is.Zero);
    }

    [Test]
    public void Forbidden_addresses_cannot_be_mapped()
    {
        using VmSpace space = VmSpace.Create();
        (ulong Start, ulong Length)[] bad =
        [
            (0, 4096), (0xF000, 4096), (0xF000, 8192), (Base, 0), (Base + 1, 4096), (Base, 4095), (0x7F80_0000_0000, 4096), (0x7F7F_FFFF_F000, 8192),
            (0xFFFF_8000_0000_0000, 4096), (Base, ulong.MaxValue & ~4095UL), (ulong.MaxValue & ~4095UL, 4096),
        ];
        foreach ((ulong start, ulong length) in bad)
        {
            Assert.That(() => { space.Cursor(Range(start, length)); }, Throws.TypeOf<ArgumentOutOfRangeException>(), $"{start:x}+{length:x}");
        }
        using Frame frame = Frame.Allocate();
        foreach (ulong edge in new[] { 0x10000UL, 0x7F7F_FFFF_F000UL })
        {
            VmCursor cursor = space.Cursor(Range(edge, 4096));
            Assert.That(cursor.Map(frame, ReadWrite), Is.EqualTo(MapStatus.Mapped));
            Assert.That(cursor.IsAtEnd, Is.True);
            Assert.That(cursor.Map(frame, ReadWrite), Is.EqualTo(MapStatus.OutOfRange));
            Assert.That(cursor.Query(), Is.Null);
        }
    }

    [Test]
    public void Invalid_properties_are_refused()
    {
        using VmSpace space = VmSpace.Create();
        using Frame frame = Frame.Allocate();
        foreach (PageProperty property in new[] { new PageProperty(PageAccess.None), new PageProperty(PageAccess.Write), new PageProperty((PageAccess)9), new PageProperty(PageAccess.Read, (CacheMode)7) })
        {
            Assert.That(() => { space.Cursor(Range(Base, 4096)).Map(frame, property); }, Throws.TypeOf<ArgumentOutOfRangeException>());
        }
        Assert.That(frame.ReferenceCount, Is.EqualTo(1));
    }

    [Test]
    public void Large_page_is_one_leaf_and_splits_when_partly_changed()
    {
        using (VmSpace space = VmSpace.Create())
        {
            Segment segment = Segment.Allocate(PageSize.PagesInLarge, PageSize.PagesInLarge);
            VmCursor cursor = space.Cursor(Range(Base, 2 * PageSize.Large));
            Assert.That(cursor.MapLarge(segment, 0, ReadWrite), Is.EqualTo(MapStatus.Mapped));
            Assert.That(Leaked, Is.EqualTo(512 + 3), "no level-1 table");
            segment.Dispose();
            cursor.Seek(new UserAddress(Base + 0x5000));
            VmMapping whole = cursor.Query()!.Value;
            Assert.That((whole.Start.Value, whole.Bytes), Is.EqualTo((Base, PageSize.Large)));
            Assert.That(cursor.Protect(0x1000, ReadOnly), Is.EqualTo(MapStatus.Mapped));
            cursor.Seek(new UserAddress(Base + 0x5000));
            Assert.That(cursor.Query()!.Value.Property, Is.EqualTo(ReadOnly));
            Assert.That(cursor.Query()!.Value.Physical.Value, Is.EqualTo(whole.Physical.Value + 0x5000));
            cursor.Seek(new UserAddress(Base + 0x6000));
            Assert.That(cursor.Query()!.Value.Property, Is.EqualTo(ReadWrite));
            Assert.That(cursor.Unmap(0x2000, out long pages), Is.EqualTo(MapStatus.Mapped));
            Assert.That(pages, Is.EqualTo(2));
            Assert.That(Leaked, Is.EqualTo(510 + 4));
            cursor.Seek(new UserAddress(Base));
            cursor.Unmap(2 * PageSize.Large, out pages);
            Assert.That(pages, Is.EqualTo(510));
            Assert.That(Leaked, Is.EqualTo(1));
        }
        Assert.That(Leaked, Is.Zero);
    }

    [Test]
    public void Large_page_needs_alignment_of_both_sides()
    {
        using VmSpace space = VmSpace.Create();
        using Segment segment = Segment.Allocate(1024, 512);
        Assert.That(() => { space.Cursor(Range(Base, PageSize.Large)).MapLarge(segment, 1, ReadWrite); }, Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => { space.Cursor(Range(Base, PageSize.Large)).MapLarge(segment, 513, ReadWrite); }, Throws.TypeOf<ArgumentOutOfRangeException>());
        VmCursor cursor = space.Cursor(Range(Base + 0x1000, PageSize.Large));
        Assert.That(cursor.MapLarge(segment, 512, ReadWrite), Is.EqualTo(MapStatus.OutOfRange));
        using Frame frame = Frame.Allocate();
        VmCursor aligned = space.Cursor(Range(Base, PageSize.Large));
        aligned.Seek(new UserAddress(Base + 0x1000));
        aligned.Map(frame, ReadOnly);
        aligned.Seek(new UserAddress(Base));
        Assert.That(aligned.MapLarge(segment, 512, ReadWrite), Is.EqualTo(MapStatus.AlreadyMapped));
    }

    [Test]
    public void Frame_is_released_only_after_the_flush()
    {
        using VmSpace space = VmSpace.Create();
        Frame frame = Frame.Allocate();
        ulong page = frame.Start.Value >> 12;
        space.Cursor(Range(Base, 4096)).Map(frame, ReadWrite);
        frame.Dispose();
        var seen = new List<(ulong, ulong, ulong)>();
        Machine.OnFlush = (root, address, pages) =>
        {
            seen.Add((root, address, pages));
            Assert.That(FrameTable.StateOf(page), Is.EqualTo(Asterinas.Ostd.Runtime.FrameState.Untyped), "still owned while a CPU may use it");
        };
        space.Cursor(Range(Base, 4096)).Unmap(4096, out _);
        Assert.That(seen, Is.EqualTo(new[] { (space.Root, Base, 1UL) }));
        Assert.That(FrameTable.StateOf(page), Is.EqualTo(Asterinas.Ostd.Runtime.FrameState.Free));
    }

    [Test]
    public void Disposing_an_active_space_is_safe()
    {
        VmSpace space = VmSpace.Create();
        using (Frame frame = Frame.Allocate()) space.Cursor(Range(Base, 4096)).Map(frame, ReadWrite);
        space.Activate();
        space.Activate();
        Assert.That(space.IsActive, Is.True);
        space.Dispose();
        Assert.That(Machine.ActiveRoot(), Is.EqualTo(Machine.KernelRoot()));
        Assert.That(Leaked, Is.Zero);
        Assert.That(() => space.Activate(), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => { space.Cursor(Range(Base, 4096)); }, Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => { space.Reader(new UserAddress(Base), 1).Read(new byte[1]); }, Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => space.CompareExchange32(new UserAddress(Base), 0, 0, out _), Throws.TypeOf<ObjectDisposedException>());
    }

    [Test]
    public void Switching_spaces_keeps_the_root_in_use()
    {
        VmSpace first = VmSpace.Create();
        VmSpace second = VmSpace.Create();
        first.Activate();
        second.Activate();
        first.Dispose();
        Assert.That(Leaked, Is.EqualTo(1));
        VmSpace.Deactivate();
        second.Dispose();
        Assert.That(Leaked, Is.Zero);
    }

    [Test]
    public void Running_out_of_tables_is_a_status_and_leaves_nothing_behind()
    {
        using VmSpace space = VmSpace.Create();
        using Frame frame = Frame.Allocate();
        var hog = new List<Frame>();
        while (Frame.TryAllocate(FrameContents.Arbitrary) is { } taken) hog.Add(taken);
        for (int tables = 0; tables < 3; tables++)
        {
            long free = FrameAllocator.ReserveFreePages;
            Assert.That(free, Is.EqualTo(tables));
            VmCursor cursor = space.Cursor(Range(Base, 4096));
            Assert.That(cursor.Map(frame, ReadWrite), Is.EqualTo(MapStatus.OutOfMemory));
            Assert.That(cursor.Address.Value, Is.EqualTo(Base));
            Assert.That(FrameAllocator.ReserveFreePages, Is.EqualTo(free));
            Assert.That(frame.ReferenceCount, Is.EqualTo(1));
            hog[tables].Dispose();
        }
        Assert.That(space.Cursor(Range(Base, 4096)).Map(frame, ReadWrite), Is.EqualTo(MapStatus.Mapped));
        foreach (Frame taken in hog) taken.Dispose();
    }

    [Test]
    public void Splitting_without_memory_is_a_status()
    {
        using VmSpace space = VmSpace.Create();
        using Segment segment = Segment.Allocate(512, 512);
        space.Cursor(Range(Base, PageSize.Large)).MapLarge(segment, 0, ReadWrite);
        var hog = new List<Frame>();
        while (Frame.TryAllocate(FrameContents.Arbitrary) is { } taken) hog.Add(taken);
        VmCursor cursor = space.Cursor(Range(Base, PageSize.Large));
        Assert.That(cursor.Unmap(4096, out long pages), Is.EqualTo(MapStatus.OutOfMemory));
        Assert.That((pages, cursor.Address.Value), Is.EqualTo((0L, Base)));
        Assert.That(cursor.Protect(4096, ReadOnly), Is.EqualTo(MapStatus.OutOfMemory));
        foreach (Frame taken in hog) taken.Dispose();
    }

    [Test]
    public void Device_memory_takes_no_references_and_managed_RAM_is_refused()
    {
        using VmSpace space = VmSpace.Create();
        using Frame frame = Frame.Allocate();
        PhysicalAddress ram = frame.Start;
        var uncached = new PageProperty(PageAccess.ReadWrite, CacheMode.Uncached);
        Assert.That(() => { space.Cursor(Range(Base, 4096)).MapIoPage(ram, uncached); }, Throws.TypeOf<ArgumentOutOfRangeException>());
        VmCursor cursor = space.Cursor(Range(Base, 4096));
        Assert.That(cursor.MapIoPage(new PhysicalAddress(0xFEB0_0000), uncached), Is.EqualTo(MapStatus.Mapped));
        cursor.Seek(new UserAddress(Base));
        Assert.That(cursor.Query()!.Value.IsIoMemory, Is.True);
        Assert.That(cursor.GetFrame(), Is.Null);
        Assert.That(space.Reader(new UserAddress(Base), 8).Read(new byte[8]), Is.Zero, "software copies reach RAM only");
        cursor.Protect(4096, new PageProperty(All));
        cursor.Seek(new UserAddress(Base));
        Assert.That(cursor.Query()!.Value.Property, Is.EqualTo(uncached), "never executable, the cache mode stays");
        cursor.Unmap(4096, out long pages);
        Assert.That(pages, Is.EqualTo(1));
    }

    [Test]
    public void Random_operations_agree_with_a_model([Values(1, 2, 3, 4, 5)] int seed)
    {
        var random = new Random(seed);
        const int pageCount = 3 * 512;
        var model = new Dictionary<int, (ulong Physical, PageProperty Property)>();
        using (VmSpace space = VmSpace.Create())
        {
            for (int step = 0; step < 600; step++)
            {
                int first = random.Next(pageCount);
                int count = random.Next(8) == 0 ? random.Next(1, pageCount - first + 1) : Math.Min(random.Next(1, 20), pageCount - first);
                PageProperty property = new[] { ReadOnly, ReadWrite, new PageProperty(All) }[random.Next(3)];
                VmCursor cursor = space.Cursor(Range(Base, (ulong)pageCount << 12));
                cursor.Seek(new UserAddress(Base + ((ulong)first << 12)));
                switch (random.Next(4))
                {
                    case 0:
                        using (Frame frame = Frame.Allocate(FrameContents.Arbitrary))
                        {
                            MapStatus status = cursor.Map(frame, property);
                            Assert.That(status, Is.EqualTo(model.ContainsKey(first) ? MapStatus.AlreadyMapped : MapStatus.Mapped));
                            if (status == MapStatus.Mapped) model.Add(first, (frame.Start.Value, property));
                        }
                        break;
                    case 1:
                        int large = first / 512 * 512;
                        cursor.Seek(new UserAddress(Base + ((ulong)large << 12)));
                        using (Segment? segment = Segment.TryAllocate(512, 512, FrameContents.Arbitrary))
                        {
                            if (segment is null) break;
                            bool isFree = true;
                            for (int i = 0; i < 512; i++) isFree &= !model.ContainsKey(large + i);
                            MapStatus status = cursor.MapLarge(segment, 0, property);
                            Assert.That(status, Is.EqualTo(isFree ? MapStatus.Mapped : MapStatus.AlreadyMapped));
                            if (!isFree) break;
                            for (int i = 0; i < 512; i++) model.Add(large + i, (segment.Start.Value + ((ulong)i << 12), property));
                        }
                        break;
                    case 2:
                        Assert.That(cursor.Unmap((ulong)count << 12, out long pages), Is.EqualTo(MapStatus.Mapped));
                        int removed = 0;
                        for (int i = first; i < first + count; i++) removed += model.Remove(i) ? 1 : 0;
                        Assert.That(pages, Is.EqualTo(removed));
                        break;
                    default:
                        Assert.That(cursor.Protect((ulong)count << 12, property), Is.EqualTo(MapStatus.Mapped));
                        for (int i = first; i < first + count; i++)
                        {
                            if (model.TryGetValue(i, out var old)) model[i] = (old.Physical, property);
                        }
                        break;
                }
                if (step % 20 != 0) continue;
                var found = new Dictionary<int, (ulong, PageProperty)>();
                VmCursor walk = space.Cursor(Range(Base, (ulong)pageCount << 12));
                while (walk.MoveToMapping())
                {
                    VmMapping mapping = walk.Query()!.Value;
                    ulong offset = walk.Address.Value - mapping.Start.Value;
                    found.Add((int)((walk.Address.Value - Base) >> 12), (mapping.Physical.Value + offset, mapping.Property));
                    walk.Seek(walk.Address + PageSize.Small);
                }
                Assert.That(found, Is.EquivalentTo(model));
            }
        }
        Assert.That(Leaked, Is.Zero);
    }
}
