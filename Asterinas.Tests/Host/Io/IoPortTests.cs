using System;
using System.Collections.Generic;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Io;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Io;

[NonParallelizable]
public sealed class IoPortTests
{
    private readonly SimulatedRegisterFile _device = new();

    [SetUp]
    public void Plug()
    {
        _device.Accesses.Clear();
        _device.Registers.Clear();
        Machine.Ports.Attach(0x1000, 16, _device);
    }

    [TearDown]
    public void Unplug() => Machine.Ports.Detach(_device);

    [Test]
    public void Accesses_reach_the_device_once_with_their_width()
    {
        using IoPort port = IoPort.TryAcquire(0x1000, 16)!;
        port.Write8(0, 0xAB);
        port.Write16(2, 0xCDEF);
        port.Write32(12, 0x12345678);
        Assert.That((port.Read8(0), port.Read16(2), port.Read32(12)), Is.EqualTo(((byte)0xAB, (ushort)0xCDEF, 0x12345678u)));
        Assert.That(_device.Accesses, Is.EqualTo(new[] { "w8 0=ab", "w16 2=cdef", "w32 c=12345678", "r8 0", "r16 2", "r32 c" }));
        Assert.That(port.Count, Is.EqualTo(16));
    }

    [Test]
    public void Ports_without_a_device_read_as_all_ones()
    {
        using IoPort port = IoPort.TryAcquire(0x2000, 4)!;
        port.Write32(0, 5);
        Assert.That((port.Read8(3), port.Read16(2), port.Read32(0)), Is.EqualTo((byte.MaxValue, ushort.MaxValue, uint.MaxValue)));
    }

    [Test]
    public void Accesses_outside_the_range_are_refused_and_never_reach_the_bus()
    {
        using IoPort port = IoPort.TryAcquire(0x1004, 4)!;
        Action[] bad =
        [
            () => port.Read8(-1), () => port.Read8(4), () => port.Read16(3), () => port.Read32(1), () => port.Read8(int.MinValue), () => port.Read8(int.MaxValue),
            () => port.Write8(-1, 0), () => port.Write8(4, 0), () => port.Write16(3, 0), () => port.Write32(1, 0), () => port.Write32(int.MaxValue, 0),
        ];
        foreach (Action access in bad) Assert.That(access, Throws.TypeOf<ArgumentOutOfRangeException>());
        using IoPort tiny = IoPort.TryAcquire(0x1008, 1)!;
        Assert.That(() => tiny.Read16(0), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(_device.Accesses, Is.Empty);
    }

    [Test]
    public void Claims_are_exclusive_until_they_are_disposed()
    {
        IoPort port = IoPort.TryAcquire(0x1004, 4)!;
        foreach ((ushort start, int count) in new (ushort, int)[] { (0x1004, 4), (0x1003, 2), (0x1007, 1), (0x1000, 16), (0x1005, 1) })
        {
            Assert.That(IoPort.TryAcquire(start, count), Is.Null, $"{start:x}+{count}");
        }
        using (IoPort before = IoPort.TryAcquire(0x1003, 1)!)
        using (IoPort after = IoPort.TryAcquire(0x1008, 1)!) Assert.That((before, after), Is.Not.EqualTo(((IoPort?)null, (IoPort?)null)));
        port.Dispose();
        using IoPort again = IoPort.TryAcquire(0x1004, 4)!;
        port.Dispose();
        Assert.That(IoPort.TryAcquire(0x1004, 4), Is.Null, "a second dispose gives nothing back");
        Assert.That(() => port.Read8(0), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(() => port.Write32(0, 0), Throws.TypeOf<ObjectDisposedException>());
        Assert.That(_device.Accesses, Is.Empty);
    }

    [TestCase(0x0000, 0x20, Description = "ISA DMA")]
    [TestCase(0x0020, 2, Description = "interrupt controller")]
    [TestCase(0x0040, 1, Description = "timer")]
    [TestCase(0x0061, 1, Description = "the timer's gate")]
    [TestCase(0x0070, 2, Description = "CMOS")]
    [TestCase(0x0092, 1, Description = "A20")]
    [TestCase(0x00A0, 1, Description = "second interrupt controller")]
    [TestCase(0x00C0, 1, Description = "second ISA DMA")]
    [TestCase(0x04D0, 2, Description = "edge and level control")]
    [TestCase(0x03F8, 8, Description = "console")]
    [TestCase(0x00F4, 1, Description = "exit status")]
    [TestCase(0x0CF8, 8, Description = "PCI configuration")]
    [TestCase(0x0CF9, 1, Description = "reset")]
    [TestCase(0x0CFF, 1, Description = "PCI configuration's last port")]
    [TestCase(0x0600, 1, Description = "ACPI")]
    [TestCase(0x0060, 5, Description = "keyboard controller")]
    [TestCase(0x00B2, 1, Description = "SMI")]
    [TestCase(0x0514, 4, Description = "fw_cfg's DMA")]
    [TestCase(0x0CD8, 1, Description = "hot plug of CPUs")]
    [TestCase(0x0000, 65536, Description = "everything")]
    [TestCase(0x03F7, 2, Description = "a range that touches the console")]
    public void Sensitive_ports_are_refused(int start, int count) => Assert.That(IoPort.TryAcquire((ushort)start, count), Is.Null);

    [Test]
    public void Counts_out_of_range_are_errors()
    {
        foreach ((ushort start, int count) in new (ushort, int)[] { (0, 0), (0x1000, -1), (0xFFFF, 2), (0x1000, 65536), (0x1000, int.MaxValue) })
        {
            Assert.That(() => IoPort.TryAcquire(start, count), Throws.TypeOf<ArgumentOutOfRangeException>());
        }
        using IoPort last = IoPort.TryAcquire(0xFFFF, 1)!;
        Assert.That(() => last.Read16(0), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void Random_claims_agree_with_a_map_of_ports([Values(1, 2)] int seed)
    {
        const ushort Low = 0x4000, Span = 200;
        var random = new Random(seed);
        var owned = new bool[Span];
        var claims = new List<(IoPort Port, int Start, int Count)>();
        for (int step = 0; step < 1500; step++)
        {
            if (claims.Count > 0 && random.Next(5) < 2)
            {
                int index = random.Next(claims.Count);
                (IoPort port, int start, int count) = claims[index];
                claims.RemoveAt(index);
                port.Dispose();
                Array.Clear(owned, start, count);
            }
            else
            {
                int start = random.Next(Span), count = random.Next(1, Math.Min(20, Span - start) + 1);
                bool isFree = Array.IndexOf(owned, true, start, count) < 0;
                IoPort? port = IoPort.TryAcquire((ushort)(Low + start), count);
                Assert.That(port is not null, Is.EqualTo(isFree));
                if (port is null) continue;
                claims.Add((port, start, count));
                Array.Fill(owned, true, start, count);
            }
        }
        foreach ((IoPort port, _, _) in claims) port.Dispose();
        using IoPort whole = IoPort.TryAcquire(Low, Span)!;
        Assert.That(whole, Is.Not.Null);
    }
}
