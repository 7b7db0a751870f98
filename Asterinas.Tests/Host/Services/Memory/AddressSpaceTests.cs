using System;
using System.Collections.Generic;
using Asterinas.Ostd.Memory;
using Asterinas.Services;
using Asterinas.Services.Memory;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Services.Memory;

/// <summary>Address spaces against a model: a dictionary of pages.</summary>
public sealed class AddressSpaceTests : MachineFixture
{
    private const ulong Base = 0x10_0000_0000;
    private const int Pages = 48;
    private const Protection ReadWrite = Protection.Read | Protection.Write;

    private sealed class Model
    {
        // Protection and first byte of each mapped page.
        public readonly Dictionary<ulong, (Protection Protection, byte Value)> Pages = [];

        public Model Copy()
        {
            var copy = new Model();
            foreach ((ulong page, (Protection, byte) state) in Pages) copy.Pages.Add(page, state);
            return copy;
        }
    }

    [Test]
    public void Random_operations_agree_with_a_model([Range(1, 12)] int seed)
    {
        var random = new Random(seed);
        long free = FrameAllocator.ReserveFreePages, committed = CommitAccount.CommittedPages;
        var live = new List<(AddressSpace Space, Model Model)> { (AddressSpace.Create().Value, new Model()) };
        for (int step = 0; step < 1500; step++)
        {
            int which = random.Next(live.Count);
            (AddressSpace space, Model model) = live[which];
            ulong first = (ulong)random.Next(Pages), count = (ulong)random.Next(1, Pages - (int)first + 1);
            ulong start = Base + (first << 12), length = count << 12;
            switch (random.Next(9))
            {
                case 0:
                    var protection = (Protection)random.Next(4);
                    Result<ulong> mapped = space.Map(new MapRequest { Address = start, Length = length, Protection = protection, MaxProtection = (Protection)7, Flags = MapFlags.Private | MapFlags.Anonymous | MapFlags.Fixed });
                    Assert.That(mapped.Value, Is.EqualTo(start));
                    for (ulong i = 0; i < count; i++) model.Pages[first + i] = (protection, 0);
                    break;
                case 1:
                    Assert.That(space.Unmap(start, length), Is.EqualTo(Errno.None));
                    for (ulong i = 0; i < count; i++) model.Pages.Remove(first + i);
                    break;
                case 2:
                    var changed = (Protection)random.Next(4);
                    Errno expected = Errno.None;
                    for (ulong i = 0; i < count; i++)
                    {
                        if (!model.Pages.TryGetValue(first + i, out (Protection, byte Value) state))
                        {
                            expected = Errno.ENOMEM;
                            break;
                        }
                        model.Pages[first + i] = (changed, state.Value);
                    }
                    Assert.That(space.Protect(start, length, changed), Is.EqualTo(expected));
                    break;
                case 3 when live.Count < 4:
                    live.Add((space.Fork().Value, model.Copy()));
                    break;
                case 4 when live.Count > 1:
                    space.Release();
                    live.RemoveAt(which);
                    break;
                case 5:
                    Errno discarded = space.Discard(start, start + length);
                    bool isWhole = true;
                    for (ulong i = 0; i < count; i++)
                    {
                        if (model.Pages.TryGetValue(first + i, out (Protection Protection, byte) state)) model.Pages[first + i] = (state.Protection, 0);
                        else isWhole = false;
                    }
                    Assert.That(discarded, Is.EqualTo(isWhole ? Errno.None : Errno.ENOMEM));
                    break;
                default:
                    Access(random, space, model, first);
                    break;
            }
        }
        foreach ((AddressSpace space, Model model) in live)
        {
            for (ulong page = 0; page < Pages; page++) Check(space, model, page);
            Assert.That(space.TotalPages, Is.EqualTo(model.Pages.Count));
            space.Release();
        }
        Assert.That(FrameAllocator.ReserveFreePages, Is.EqualTo(free), "frames");
        Assert.That(CommitAccount.CommittedPages, Is.EqualTo(committed), "promises");
    }

    [Test]
    public void Neighbours_that_are_alike_become_one_mapping()
    {
        AddressSpace space = AddressSpace.Create().Value;
        for (ulong i = 0; i < 8; i++) space.Map(Anonymous(Base + (i << 12), 1));
        Assert.That(space.MappingCount, Is.EqualTo(1));
        space.Protect(Base + 0x3000, 0x1000, Protection.Read);
        Assert.That(space.MappingCount, Is.EqualTo(3));
        space.Protect(Base + 0x3000, 0x1000, ReadWrite);
        Assert.That(space.MappingCount, Is.EqualTo(1));
        space.Release();
    }

    [Test]
    public void Remap_grows_in_place_and_moves_with_its_bytes()
    {
        AddressSpace space = AddressSpace.Create().Value;
        space.Map(Anonymous(Base, 2));
        space.Write(new UserAddress(Base + 0x1000), [42]);
        Assert.That(space.Remap(Base, 0x2000, 0x4000, false, null, false).Value, Is.EqualTo(Base));
        space.Map(Anonymous(Base + 0x4000, 1));
        Assert.That(space.Remap(Base, 0x4000, 0x6000, false, null, false).Error, Is.EqualTo(Errno.ENOMEM), "no room, and it may not move");
        ulong moved = space.Remap(Base, 0x4000, 0x6000, true, null, false).Value;
        Assert.That(moved, Is.Not.EqualTo(Base));
        var one = new byte[1];
        Assert.That(space.Read(new UserAddress(moved + 0x1000), one), Is.EqualTo(Errno.None));
        Assert.That(one[0], Is.EqualTo(42));
        Assert.That(space.Read(new UserAddress(Base), one), Is.EqualTo(Errno.EFAULT));
        space.Release();
    }

    [Test]
    public void Shared_anonymous_memory_is_seen_by_both_sides_of_a_fork()
    {
        AddressSpace parent = AddressSpace.Create().Value;
        SharedAnonymous shared = SharedAnonymous.Create(4, false).Value;
        parent.Map(Anonymous(Base, 4) with { Flags = MapFlags.Shared | MapFlags.Anonymous | MapFlags.Fixed, Object = shared });
        AddressSpace child = parent.Fork().Value;
        child.Write(new UserAddress(Base + 0x2000), [7]);
        var one = new byte[1];
        Assert.That(parent.Read(new UserAddress(Base + 0x2000), one), Is.EqualTo(Errno.None));
        Assert.That(one[0], Is.EqualTo(7));
        parent.Release();
        child.Release();
    }

    [Test]
    public void Stack_grows_down_to_its_limit_and_keeps_its_distance()
    {
        AddressSpace space = AddressSpace.Create().Value;
        space.StackLimit = 1 << 20;
        ulong top = Base + (16 << 20);
        space.Map(Anonymous(top - 0x1000, 1) with { Flags = MapFlags.Private | MapFlags.Anonymous | MapFlags.Fixed | MapFlags.GrowsDown });
        Assert.That(space.Write(new UserAddress(top - (1 << 20)), [1]), Is.EqualTo(Errno.None));
        Assert.That(space.Write(new UserAddress(top - (1 << 20) - 1), [1]), Is.EqualTo(Errno.EFAULT));
        space.StackLimit = 8 << 20;
        space.Map(Anonymous(top - (4 << 20), 1));
        Assert.That(space.Write(new UserAddress(top - (4 << 20) + AddressSpace.StackGuardGap), [1]), Is.EqualTo(Errno.EFAULT), "inside the guard gap");
        space.Release();
    }

    [Test]
    public void Heap_moves_and_asks()
    {
        AddressSpace space = AddressSpace.Create().Value;
        space.HeapStart = space.HeapEnd = Base + 0x123;
        Assert.That(space.SetHeapEnd(0, ulong.MaxValue), Is.EqualTo(Base + 0x123));
        Assert.That(space.SetHeapEnd(Base + 0x5000, ulong.MaxValue), Is.EqualTo(Base + 0x5000));
        Assert.That(space.Write(new UserAddress(Base + 0x4FFF), [1]), Is.EqualTo(Errno.None));
        Assert.That(space.SetHeapEnd(Base + 0x9000, 0x2000), Is.EqualTo(Base + 0x5000), "beyond RLIMIT_DATA");
        Assert.That(space.SetHeapEnd(Base + 0x200, ulong.MaxValue), Is.EqualTo(Base + 0x200));
        Assert.That(space.Write(new UserAddress(Base + 0x4FFF), [1]), Is.EqualTo(Errno.EFAULT));
        space.Release();
    }

    private static MapRequest Anonymous(ulong start, ulong pages) =>
        new() { Address = start, Length = pages << 12, Protection = ReadWrite, MaxProtection = (Protection)7, Flags = MapFlags.Private | MapFlags.Anonymous | MapFlags.Fixed };

    private static void Access(Random random, AddressSpace space, Model model, ulong page)
    {
        if (random.Next(2) == 0)
        {
            Check(space, model, page);
            return;
        }
        var value = (byte)random.Next(1, 256);
        bool isWritable = model.Pages.TryGetValue(page, out (Protection Protection, byte) state) && (state.Protection & Protection.Write) != 0;
        Assert.That(space.Write(new UserAddress(Base + (page << 12)), [value]), Is.EqualTo(isWritable ? Errno.None : Errno.EFAULT));
        if (isWritable) model.Pages[page] = (state.Protection, value);
    }

    private static void Check(AddressSpace space, Model model, ulong page)
    {
        var one = new byte[1];
        Errno error = space.Read(new UserAddress(Base + (page << 12)), one);
        bool isReadable = model.Pages.TryGetValue(page, out (Protection Protection, byte Value) state) && state.Protection != Protection.None;
        Assert.That(error, Is.EqualTo(isReadable ? Errno.None : Errno.EFAULT));
        if (isReadable) Assert.That(one[0], Is.EqualTo(state.Value));
    }
}
