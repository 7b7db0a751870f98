using System;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Memory;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Memory;

/// <summary>Copies, for a space that is active (the CPU's walk) and for one that is not (the walk in software).</summary>
[TestFixture(true)]
[TestFixture(false)]
public sealed class UserCopyTests(bool isActive) : MemoryFixture
{
    private const ulong Base = 0x4000_0000;
    private VmSpace _space = null!;

    [SetUp]
    public void MapThreePages()
    {
        // Two writable pages, one read-only page, then nothing.
        _space = VmSpace.Create();
        VmCursor cursor = _space.Cursor(Range(Base, 3 * 4096));
        for (int i = 0; i < 3; i++)
        {
            using Frame frame = Frame.Allocate();
            cursor.Map(frame, i < 2 ? ReadWrite : ReadOnly);
        }
        if (isActive) _space.Activate();
    }

    [TearDown]
    public void Dispose()
    {
        _space.Dispose();
        Assert.That(Leaked, Is.Zero);
    }

    [Test]
    public void Bytes_written_are_read_back_across_pages()
    {
        byte[] data = new byte[5000];
        new Random(1).NextBytes(data);
        VmWriter writer = _space.Writer(new UserAddress(Base + 1000), 5000);
        Assert.That(writer.Write(data), Is.EqualTo(5000));
        Assert.That(writer.Remaining, Is.Zero);
        byte[] back = new byte[6000];
        VmReader reader = _space.Reader(new UserAddress(Base + 1000), 5000);
        Assert.That(reader.Read(back), Is.EqualTo(5000));
        Assert.That(back.AsSpan(0, 5000).SequenceEqual(data), Is.True);
    }

    [Test]
    public void Fault_gives_a_short_count_and_the_copy_goes_on_after_it()
    {
        VmWriter writer = _space.Writer(new UserAddress(Base + 4096), 8192);
        byte[] data = new byte[8192];
        Array.Fill(data, (byte)7);
        Assert.That(writer.Write(data), Is.EqualTo(4096), "the third page is read-only");
        Assert.That(writer.Remaining, Is.EqualTo(4096));
        _space.Cursor(Range(Base + 8192, 4096)).Protect(4096, ReadWrite);
        Assert.That(writer.Write(data.AsSpan(4096)), Is.EqualTo(4096));
        VmReader reader = _space.Reader(new UserAddress(Base + 4096), 16384);
        Assert.That(reader.Read(new byte[16384]), Is.EqualTo(8192), "then nothing is mapped");
    }

    [Test]
    public void Hostile_addresses_are_faults()
    {
        foreach (ulong address in new ulong[] { 0UL, 0x8000, 0x7F80_0000_0000, 0x7F80_0000_0000 - 4, 0xFFFF_8000_0010_0000, ulong.MaxValue, ulong.MaxValue - 3, 0x8000_0000_0000 })
        {
            Assert.That(_space.Reader(new UserAddress(address), 64).Read(new byte[64]), Is.Zero, $"{address:x}");
            Assert.That(_space.Writer(new UserAddress(address), 64).Write(new byte[64]), Is.Zero, $"{address:x}");
            Assert.That(_space.Writer(new UserAddress(address), 64).Fill(64), Is.Zero, $"{address:x}");
            Assert.That(_space.CompareExchange32(new UserAddress(address & ~3UL), 0, 1, out _), Is.False, $"{address:x}");
        }
        VmReader wrapping = _space.Reader(new UserAddress(ulong.MaxValue - 10), long.MaxValue);
        wrapping.Skip((long)(Base + 11));
        Assert.That(wrapping.Read(new byte[1]), Is.Zero, "does not wrap round into mapped memory");
    }

    [Test]
    public void Integers_are_all_or_nothing()
    {
        VmWriter writer = _space.Writer(new UserAddress(Base), 16);
        Assert.That(writer.TryWrite(0x1122334455667788UL) && writer.TryWrite(-5) && writer.TryWrite((short)-2), Is.True);
        Assert.That(writer.TryWrite(1UL), Is.False);
        Assert.That(writer.Remaining, Is.EqualTo(2));
        VmReader reader = _space.Reader(new UserAddress(Base), 16);
        Assert.That(reader.TryRead(out ulong a) && a == 0x1122334455667788UL, Is.True);
        Assert.That(reader.TryRead(out int b) && b == -5, Is.True);
        Assert.That(reader.TryRead(out ushort c) && c == 0xFFFE, Is.True);
        Assert.That(reader.TryRead(out uint d), Is.False);
        Assert.That((d, reader.Remaining), Is.EqualTo((0u, 2L)));
        VmReader faulting = _space.Reader(new UserAddress(Base + 3 * 4096 - 4), 8);
        Assert.That(faulting.TryRead(out ulong _), Is.False);
        Assert.That(faulting.Remaining, Is.EqualTo(8));
    }

    [Test]
    public void Compare_exchange_works_on_writable_words_only()
    {
        Assert.That(_space.CompareExchange32(new UserAddress(Base + 8), 0, 42, out uint found), Is.True);
        Assert.That(found, Is.Zero);
        Assert.That(_space.CompareExchange32(new UserAddress(Base + 8), 0, 43, out found), Is.True);
        Assert.That(found, Is.EqualTo(42));
        Assert.That(_space.CompareExchange32(new UserAddress(Base + 9), 42, 43, out _), Is.False, "not aligned");
        Assert.That(_space.CompareExchange32(new UserAddress(Base + 8192), 0, 43, out _), Is.False, "read-only");
    }

    [Test]
    public void Transfer_between_all_kinds_of_memory_counts_right()
    {
        byte[] data = new byte[6000];
        new Random(2).NextBytes(data);
        using Segment segment = Segment.Allocate(2);
        VmReader fromSpan = new(data);
        VmWriter toUser = _space.Writer(new UserAddress(Base), 8192);
        Assert.That(fromSpan.CopyTo(ref toUser), Is.EqualTo(6000));
        VmReader fromUser = _space.Reader(new UserAddress(Base), 6000);
        VmWriter toSegment = segment.Writer(100, 8000);
        Assert.That(toSegment.CopyFrom(ref fromUser), Is.EqualTo(6000));
        VmReader fromSegment = segment.Reader(100, 6000);
        using Segment other = Segment.Allocate(2);
        VmWriter toOther = other.Writer(5, 7000);
        Assert.That(fromSegment.CopyTo(ref toOther, 5999), Is.EqualTo(5999));
        VmReader fromOther = other.Reader(5, 6000);
        byte[] back = new byte[6000];
        VmWriter toSpan = new(back);
        Assert.That(fromOther.CopyTo(ref toSpan), Is.EqualTo(6000));
        Assert.That(back.AsSpan(0, 5999).SequenceEqual(data.AsSpan(0, 5999)), Is.True);

        VmReader userSource = _space.Reader(new UserAddress(Base), 4096);
        VmWriter userTarget = _space.Writer(new UserAddress(Base + 8192 - 1000), 4096);
        Assert.That(userSource.CopyTo(ref userTarget), Is.EqualTo(1000), "the target's page behind is read-only");
        Assert.That((userSource.Remaining, userTarget.Remaining), Is.EqualTo((3096L, 3096L)));

        VmReader reader = _space.Reader(new UserAddress(Base + 3 * 4096 - 10), 100);
        VmWriter writer = segment.Writer();
        Assert.That(reader.CopyTo(ref writer), Is.EqualTo(10));
        Assert.That(writer.Remaining, Is.EqualTo(8182));
    }

    [Test]
    public void Reader_and_writer_stay_inside_their_range()
    {
        using Frame frame = Frame.Allocate();
        Assert.That(() => { frame.Reader(1, 4096); }, Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => { frame.Reader(-1, 1); }, Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => { frame.Writer(long.MaxValue, long.MaxValue); }, Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => { frame.Reader().Skip(4097); }, Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(frame.Writer(4090, 6).Write(new byte[10]), Is.EqualTo(6));
        VmWriter writer = frame.Writer();
        writer.Limit(10);
        writer.Skip(4);
        Assert.That(writer.Fill(100), Is.EqualTo(6));
        Assert.That(default(VmReader).Read(new byte[1]), Is.Zero);
    }

    [Test]
    public void Accessed_and_dirty_are_set_as_the_CPU_does()
    {
        VmCursor cursor = _space.Cursor(Range(Base, 4096));
        Assert.That((cursor.Query()!.Value.IsAccessed, cursor.Query()!.Value.IsDirty), Is.EqualTo((false, false)));
        _space.Reader(new UserAddress(Base), 1).Read(new byte[1]);
        Assert.That((cursor.Query()!.Value.IsAccessed, cursor.Query()!.Value.IsDirty), Is.EqualTo((true, false)));
        _space.Writer(new UserAddress(Base), 1).Write(new byte[1]);
        Assert.That(cursor.Query()!.Value.IsDirty, Is.True);
    }
}
