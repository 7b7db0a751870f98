using System;
using System.Runtime.CompilerServices;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Io;
using Asterinas.Ostd.Memory;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Io;

[NonParallelizable]
public sealed class IoMemTests
{
    private const ulong DeviceAt = 0xE000_0000;
    private static ulong s_next = 0xD000_0000;

    private readonly SimulatedRegisterFile _device = new();

    [SetUp]
    public void Plug()
    {
        _device.Accesses.Clear();
        _device.Registers.Clear();
    }

    [TearDown]
    public void Unplug() => Machine.DeviceMemory.Detach(_device);

    /// <summary>An address that no test used before: a claim lives until its object is collected.</summary>
    private static ulong Fresh() => s_next += 0x10000;

    [Test]
    public void Accesses_reach_the_device_once_with_their_width()
    {
        ulong at = Fresh();
        Machine.DeviceMemory.Attach(at, 0x100, _device);
        using IoMem memory = IoMem.TryAcquire(new PhysicalAddress(at), 0x100)!;
        memory.Write8(1, 0x12);
        memory.Write16(2, 0x3456);
        memory.Write32(4, 0x789ABCDE);
        memory.Write64(8, 0xF0F1F2F3F4F5F6F7);
        Assert.That((memory.Read8(1), memory.Read16(2), memory.Read32(4), memory.Read64(8)),
            Is.EqualTo(((byte)0x12, (ushort)0x3456, 0x789ABCDEu, 0xF0F1F2F3F4F5F6F7UL)));
        Assert.That(_device.Accesses, Is.EqualTo(new[]
        {
            "w8 1=12", "w16 2=3456", "w32 4=789abcde", "w64 8=f0f1f2f3f4f5f6f7", "r8 1", "r16 2", "r32 4", "r64 8",
        }));
        Assert.That((memory.Length, memory.Start.Value), Is.EqualTo((0x100UL, at)));
    }

    [Test]
    public void Accesses_outside_or_not_aligned_are_refused_and_never_reach_the_device()
    {
        ulong at = Fresh();
        Machine.DeviceMemory.Attach(at, 0x1000, _device);
        using IoMem memory = IoMem.TryAcquire(new PhysicalAddress(at + 0x10), 0x20)!;
        Action[] bad =
        [
            () => memory.Read8(0x20), () => memory.Read8(ulong.MaxValue), () => memory.Read16(0x1F), () => memory.Read16(1), () => memory.Read32(0x1E), () => memory.Read32(2),
            () => memory.Read64(0x19), () => memory.Read64(4), () => memory.Read64(0x20), () => memory.Read64(ulong.MaxValue - 7),
            () => memory.Write8(0x20, 0), () => memory.Write16(0x1F, 0), () => memory.Write32(0x1D, 0), () => memory.Write64(1, 0), () => memory.Write64(ulong.MaxValue, 0),
        ];
        foreach (Action access in bad) Assert.That(access, Throws.TypeOf<ArgumentOutOfRangeException>());
        using IoMem tiny = IoMem.TryAcquire(new PhysicalAddress(at + 0x40), 2)!;
        Assert.That(() => tiny.Read32(0), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => tiny.Read64(0), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(_device.Accesses, Is.Empty);
    }

    [Test]
    public void Alignment_is_that_of_the_physical_address()
    {
        ulong at = Fresh();
        using IoMem memory = IoMem.TryAcquire(new PhysicalAddress(at + 2), 8)!;
        Assert.That(() => memory.Read32(0), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(memory.Read32(2), Is.EqualTo(uint.MaxValue), "no device there");
    }

    [Test]
    public void Claims_are_exclusive_and_dispose_refuses_accesses()
    {
        ulong at = Fresh();
        Machine.DeviceMemory.Attach(at, 0x1000, _device);
        IoMem memory = IoMem.TryAcquire(new PhysicalAddress(at + 0x100), 0x100)!;
        foreach ((ulong start, ulong length) in new[] { (at + 0x100, 0x100UL), (at + 0xFF, 2UL), (at + 0x1FF, 1UL), (at, 0x1000UL) })
        {
            Assert.That(IoMem.TryAcquire(new PhysicalAddress(start), length), Is.Null);
        }
        using IoMem neighbour = IoMem.TryAcquire(new PhysicalAddress(at + 0x200), 8)!;
        Assert.That(neighbour, Is.Not.Null);
        memory.Dispose();
        Assert.That(() => memory.Read8(0), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => memory.Write64(0, 0), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(_device.Accesses, Is.Empty);
        Assert.That(IoMem.TryAcquire(new PhysicalAddress(at + 0x100), 0x100), Is.Null, "still mapped: somebody has the object");
        GC.KeepAlive(memory);
    }

    [Test]
    public void Range_is_unmapped_and_free_again_when_its_object_is_collected()
    {
        ulong at = Fresh();
        Collect();
        int mappings = Machine.IoMappings;
        Acquire(at);
        Collect();
        Assert.That(Machine.IoMappings, Is.EqualTo(mappings));
        using IoMem? again = IoMem.TryAcquire(new PhysicalAddress(at), 0x1000);
        Assert.That(again, Is.Not.Null);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static void Acquire(ulong at) => Assert.That(IoMem.TryAcquire(new PhysicalAddress(at), 0x1000), Is.Not.Null);

    private static void Collect()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }

    [Test]
    public void Mapping_that_fails_gives_the_claim_back()
    {
        ulong at = Fresh();
        Machine.FailNextIoMapping = true;
        Assert.That(IoMem.TryAcquire(new PhysicalAddress(at), 16), Is.Null);
        using IoMem? memory = IoMem.TryAcquire(new PhysicalAddress(at), 16);
        Assert.That(memory, Is.Not.Null);
    }

    [TestCase(0UL, 1UL, Description = "firmware")]
    [TestCase(0xA0000UL, 0x1000UL, Description = "legacy video, reserved in the map")]
    [TestCase(0x100000UL, 1UL, Description = "RAM")]
    [TestCase(0x3FFFFFFUL, 1UL, Description = "the last byte of RAM")]
    [TestCase(0x3FFFFFFUL, 0x2000UL, Description = "a range that begins in RAM")]
    [TestCase(0xFEC00000UL, 0x1000UL, Description = "I/O APIC")]
    [TestCase(0xFEE00000UL, 0x1000UL, Description = "local APIC and MSI window")]
    [TestCase(0xFED00000UL, 0x400UL, Description = "HPET")]
    [TestCase(0xFED90000UL, 0x1000UL, Description = "IOMMU")]
    [TestCase(0xFFFFFFF0UL, 1UL, Description = "firmware's flash")]
    [TestCase(0xFEBFFFFFUL, 2UL, Description = "a range that touches the I/O APIC")]
    [TestCase(0xF0000000UL, 0x10000000UL, Description = "a range around both")]
    [TestCase(DeviceAt, 0UL, Description = "empty")]
    [TestCase(ulong.MaxValue, 2UL, Description = "wraps around")]
    [TestCase(1UL << 46, 1UL, Description = "beyond physical addresses")]
    public void Ram_and_sensitive_ranges_are_refused(ulong start, ulong length) => Assert.That(IoMem.TryAcquire(new PhysicalAddress(start), length), Is.Null);

    [Test]
    public void Range_on_the_same_page_as_ram_is_refused()
    {
        // The map's RAM ends at 64 MiB: the first byte beyond is on a page of its own, and may be taken.
        using IoMem? beyond = IoMem.TryAcquire(new PhysicalAddress(0x4000000), 16);
        Assert.That(beyond, Is.Not.Null);
    }

    [Test]
    public void Unknown_caching_is_refused() => Assert.That(IoMem.TryAcquire(new PhysicalAddress(Fresh()), 16, (IoCaching)2), Is.Null);

    [Test]
    public void Ranges_that_the_framework_keeps_later_are_refused_too()
    {
        ulong at = Fresh();
        IoMem.AddSensitive(at + 0x1000, 0x1000);
        Assert.That(IoMem.TryAcquire(new PhysicalAddress(at), 0x1001), Is.Null);
        using IoMem? before = IoMem.TryAcquire(new PhysicalAddress(at), 0x1000);
        Assert.That(before, Is.Not.Null);
    }
}
