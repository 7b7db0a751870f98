using System;
using Asterinas.Ostd.Memory;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Memory;

/// <summary>Frames that only mappings own, copy on write, and pages without access.</summary>
public sealed class PrivatePageTests : MemoryFixture
{
    private const ulong Base = 0x4000_0000;

    [Test]
    public void New_page_is_zero_and_goes_with_its_mapping()
    {
        using (VmSpace space = VmSpace.Create())
        {
            VmCursor cursor = space.Cursor(Range(Base, 0x2000));
            Assert.That(cursor.MapNew(ReadWrite), Is.EqualTo(MapStatus.Mapped));
            Assert.That(cursor.Address.Value, Is.EqualTo(Base + 0x1000));
            var bytes = new byte[4096];
            Assert.That(space.Reader(new UserAddress(Base), 4096).Read(bytes), Is.EqualTo(4096));
            Assert.That(bytes, Is.All.Zero);
            cursor.Seek(new UserAddress(Base));
            Assert.That(cursor.MapNew(ReadWrite), Is.EqualTo(MapStatus.AlreadyMapped));
            cursor.Unmap(0x2000, out long pages);
            Assert.That(pages, Is.EqualTo(1));
            Assert.That(Leaked, Is.EqualTo(1), "the root");
        }
        Assert.That(Leaked, Is.Zero);
    }

    [Test]
    public void Clone_shares_pages_until_one_side_writes()
    {
        using (VmSpace parent = VmSpace.Create(), child = VmSpace.Create())
        {
            VmCursor cursor = parent.Cursor(Range(Base, 0x400000));
            for (int i = 0; i < 3; i++) cursor.MapNew(ReadWrite);
            parent.Writer(new UserAddress(Base), 4).Write([1, 2, 3, 4]);
            cursor.Seek(new UserAddress(Base));
            Assert.That(cursor.CloneTo(child, 0x400000, CloneMode.CopyOnWrite), Is.EqualTo(MapStatus.Mapped));
            Assert.That(cursor.IsAtEnd);
            Assert.That(parent.Writer(new UserAddress(Base), 1).Write([9]), Is.Zero, "nobody may write");
            Assert.That(child.Writer(new UserAddress(Base), 1).Write([9]), Is.Zero);

            VmCursor own = child.Cursor(Range(Base, 0x1000));
            Assert.That(own.MakePrivate(ReadWrite), Is.EqualTo(PrivateStatus.Copied));
            Assert.That(child.Writer(new UserAddress(Base), 1).Write([9]), Is.EqualTo(1));
            Assert.That(Byte(parent, Base), Is.EqualTo(1));
            Assert.That(Byte(child, Base), Is.EqualTo(9));
            Assert.That(Byte(child, Base + 3), Is.EqualTo(4), "the rest of the page was copied");
            cursor.Seek(new UserAddress(Base));
            Assert.That(cursor.MakePrivate(ReadWrite), Is.EqualTo(PrivateStatus.Kept), "the other one has a copy of its own");
        }
        Assert.That(Leaked, Is.Zero);
    }

    [Test]
    public void Clone_that_shares_shows_writes_of_both()
    {
        using (VmSpace parent = VmSpace.Create(), child = VmSpace.Create())
        {
            parent.Cursor(Range(Base, 0x1000)).MapNew(ReadWrite);
            parent.Cursor(Range(Base, 0x1000)).CloneTo(child, 0x1000, CloneMode.Shared);
            child.Writer(new UserAddress(Base), 1).Write([7]);
            Assert.That(Byte(parent, Base), Is.EqualTo(7));
        }
        Assert.That(Leaked, Is.Zero);
    }

    [Test]
    public void Clone_splits_nothing_and_shares_large_pages()
    {
        using (VmSpace parent = VmSpace.Create(), child = VmSpace.Create())
        {
            using (Segment large = Segment.Allocate(512, 512)) parent.Cursor(Range(Base, 2 << 20)).MapLarge(large, 0, ReadWrite);
            Assert.That(parent.Cursor(Range(Base, 2 << 20)).CloneTo(child, 2 << 20, CloneMode.CopyOnWrite), Is.EqualTo(MapStatus.Mapped));
            Assert.That(child.Cursor(Range(Base, 2 << 20)).Query()!.Value.Bytes, Is.EqualTo(PageSize.Large));
            VmCursor page = child.Cursor(Range(Base + 0x5000, 0x1000));
            Assert.That(page.MakePrivate(ReadWrite), Is.EqualTo(PrivateStatus.Copied), "a write needs one small page only");
            Assert.That(page.Query()!.Value.Bytes, Is.EqualTo(PageSize.Small));
        }
        Assert.That(Leaked, Is.Zero);
    }

    [Test]
    public void Make_private_copies_a_frame_that_a_handle_holds()
    {
        using (VmSpace space = VmSpace.Create())
        {
            using Frame cached = Frame.Allocate();
            cached.Writer().Write([5]);
            space.Cursor(Range(Base, 0x1000)).Map(cached, ReadOnly);
            Assert.That(space.Cursor(Range(Base, 0x1000)).MakePrivate(ReadWrite), Is.EqualTo(PrivateStatus.Copied));
            space.Writer(new UserAddress(Base), 1).Write([6]);
            var one = new byte[1];
            cached.Reader().Read(one);
            Assert.That(one[0], Is.EqualTo(5));
            VmCursor copy = space.Cursor(Range(Base + 0x1000, 0x1000));
            Assert.That(copy.MakePrivate(ReadWrite), Is.EqualTo(PrivateStatus.NotMapped));
            Assert.That(copy.MapCopy(cached, ReadWrite), Is.EqualTo(MapStatus.Mapped));
            Assert.That(Byte(space, Base + 0x1000), Is.EqualTo(5));
            Assert.That(cached.ReferenceCount, Is.EqualTo(1));
        }
        Assert.That(Leaked, Is.Zero);
    }

    [Test]
    public void Page_without_access_keeps_its_bytes_and_lets_nobody_in()
    {
        using (VmSpace space = VmSpace.Create(), child = VmSpace.Create())
        {
            VmCursor cursor = space.Cursor(Range(Base, 0x1000));
            cursor.MapNew(ReadWrite);
            space.Writer(new UserAddress(Base), 1).Write([8]);
            cursor.Seek(new UserAddress(Base));
            cursor.Protect(0x1000, new PageProperty(PageAccess.None));
            var one = new byte[1];
            Assert.That(space.Reader(new UserAddress(Base), 1).Read(one), Is.Zero);
            Assert.That(space.CompareExchange32(new UserAddress(Base), 0, 1, out _), Is.False);
            cursor.Seek(new UserAddress(Base));
            Assert.That(cursor.Query()!.Value.Property.Access, Is.EqualTo(PageAccess.None));
            Assert.That(cursor.MapNew(ReadWrite), Is.EqualTo(MapStatus.AlreadyMapped));
            cursor.CloneTo(child, 0x1000, CloneMode.CopyOnWrite);
            Assert.That(child.Reader(new UserAddress(Base), 1).Read(one), Is.Zero);
            cursor.Seek(new UserAddress(Base));
            cursor.Protect(0x1000, ReadOnly);
            Assert.That(Byte(space, Base), Is.EqualTo(8));
            using Frame frame = Frame.Allocate();
            Assert.That(() => space.Cursor(Range(Base + 0x2000, 0x1000)).Map(frame, new PageProperty(PageAccess.None)), Throws.TypeOf<ArgumentOutOfRangeException>(), "nothing is mapped so from the start");
        }
        Assert.That(Leaked, Is.Zero);
    }

    [Test]
    public void Large_page_without_access_keeps_its_place()
    {
        using (VmSpace space = VmSpace.Create())
        {
            using (Segment large = Segment.Allocate(512, 512)) space.Cursor(Range(Base, 2 << 20)).MapLarge(large, 0, ReadWrite);
            VmCursor cursor = space.Cursor(Range(Base, 2 << 20));
            cursor.Protect(2 << 20, new PageProperty(PageAccess.None));
            cursor.Seek(new UserAddress(Base));
            Assert.That(cursor.MapNew(ReadWrite), Is.EqualTo(MapStatus.AlreadyMapped));
            cursor.Seek(new UserAddress(Base + 0x1000));
            cursor.Protect(0x1000, ReadWrite);
            Assert.That(Byte(space, Base + 0x1000), Is.Zero);
            var one = new byte[1];
            Assert.That(space.Reader(new UserAddress(Base), 1).Read(one), Is.Zero);
        }
        Assert.That(Leaked, Is.Zero);
    }

    private static byte Byte(VmSpace space, ulong address)
    {
        var one = new byte[1];
        Assert.That(space.Reader(new UserAddress(address), 1).Read(one), Is.EqualTo(1));
        return one[0];
    }
}
