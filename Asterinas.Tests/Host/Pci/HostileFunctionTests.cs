using System;
using System.Linq;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Io;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Pci;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Pci;

/// <summary>Configuration space with hostile values: base address registers, capability lists, MSI-X tables.</summary>
public sealed class HostileFunctionTests : PciFixture
{
    private static ulong s_next = 0x9000_0000;

    /// <summary>An address that no test used before: a claim lives until its object is collected.</summary>
    private static uint Fresh() => (uint)(s_next += 0x100000);

    [Test]
    public void Registers_are_sized_and_keep_their_values()
    {
        SimulatedFunction device = new SimulatedFunction(1, 1).Bar(0, 0xC0000008, 0xFFF00000).Bar(1, 0xC101, 0xFFFFFFE0).Bar(2, 0xD000000C, 0xFFFFC000).Bar(3, 0x1, 0xFFFFFFFF).Bar(5, 0xE001, 0xFFC0);
        PciFunction function = Only(device);
        Assert.That(function.GetBar(0), Is.EqualTo(new PciBar(PciBarKind.Memory32, 0xC0000000, 0x100000, true)));
        Assert.That(function.GetBar(1), Is.EqualTo(new PciBar(PciBarKind.Ports, 0xC100, 32, false)));
        Assert.That(function.GetBar(2), Is.EqualTo(new PciBar(PciBarKind.Memory64, 0x1D0000000, 0x4000, true)));
        Assert.That(function.GetBar(3), Is.Null, "the upper half of register 2");
        Assert.That(function.GetBar(4), Is.Null);
        Assert.That(function.GetBar(5), Is.EqualTo(new PciBar(PciBarKind.Ports, 0xE000, 64, false)), "16-bit decoding");
        Assert.That(function.GetBar(-1), Is.Null);
        Assert.That(function.GetBar(6), Is.Null);
        Assert.That(new[] { 0x10, 0x14, 0x18, 0x1C, 0x24 }.Select(device.Get32), Is.EqualTo(new[] { 0xC0000008, 0xC101u, 0xD000000C, 1u, 0xE001u }));
    }

    [Test]
    public void Decoding_is_off_while_registers_are_sized()
    {
        SimulatedFunction device = new SimulatedFunction(1, 1).Memory(0, 0xC0000000, 0x1000);
        device.Set16(4, 3);
        Only(device);
        ushort command = 3;
        foreach ((int offset, _, uint value) in device.Writes)
        {
            if (offset == 4) command = (ushort)value;
            if (offset == 0x10) Assert.That(command & 7, Is.Zero);
        }
        Assert.That(command & 3, Is.EqualTo(3));
    }

    [TestCase(0xE0000000u, 0xF0000000u, 0u, ExpectedResult = true, Description = "256 MiB that fit")]
    [TestCase(0xC0000000u, 0xFF0F0000u, 0u, ExpectedResult = false, Description = "holes in the mask")]
    [TestCase(0xC0000400u, 0xFFFFF400u, 0u, ExpectedResult = false, Description = "start and mask with a hole")]
    [TestCase(0xC0000006u, 0xFFFFF000u, 0u, ExpectedResult = false, Description = "reserved type")]
    [TestCase(0xC0000000u, 0x0u, 0u, ExpectedResult = false, Description = "nothing writable, not zero")]
    [TestCase(0xFFFFFFFFu, 0x0u, 0u, ExpectedResult = false, Description = "all ones")]
    [TestCase(0x0000000Cu, 0x0u, 0xFFFFFFFFu, ExpectedResult = false, Description = "4 GiB at the end of 64 bits")]
    [TestCase(0xFFFFF004u, 0xFFFFF000u, 0xFFFFFFFFu, ExpectedResult = false, Description = "4 KiB at the end of 64 bits")]
    [TestCase(0x00100000u, 0xFFFFF000u, 0u, ExpectedResult = false, Description = "over RAM")]
    [TestCase(0xFEE00000u, 0xFFFFF000u, 0u, ExpectedResult = false, Description = "over the local APIC")]
    public bool Memory_registers_that_no_device_may_have_are_absent(uint value, uint writable, uint upper)
    {
        SimulatedFunction device = new SimulatedFunction(1, 1).Bar(0, value, writable);
        if (upper != 0) device.Bar(1, upper, upper);
        return Only(device).GetBar(0) is not null;
    }

    [Test]
    public void A_64_bit_register_without_a_second_half_is_absent()
    {
        Assert.That(Only(new SimulatedFunction(1, 1).Bar(5, 0xC0000004, 0xFFFFF000)).GetBar(5), Is.Null);
    }

    [Test]
    public void Unassigned_registers_have_a_size_and_cannot_be_mapped()
    {
        PciFunction function = Only(new SimulatedFunction(1, 1).Memory(0, 0, 0x2000).Bar(1, 1, 0xFFFFFF00));
        Assert.That((function.GetBar(0)!.Value.IsAssigned, function.GetBar(0)!.Value.Length), Is.EqualTo((false, 0x2000UL)));
        using PciDevice device = function.TryClaim()!;
        Assert.That(device.TryMapBar(0), Is.Null);
        Assert.That(device.TryAcquirePorts(1), Is.Null);
    }

    [Test]
    public void Capability_list_in_a_circle_ends()
    {
        SimulatedFunction device = new SimulatedFunction(1, 1).Capabilities((0x40, 9, []), (0x50, 16, []), (0x60, 9, []));
        device.Config[0x61] = 0x50;
        PciFunction function = Only(device);
        Assert.That(function.Capabilities, Is.EqualTo(new[] { new PciCapability(9, 0x40), new PciCapability(16, 0x50), new PciCapability(9, 0x60) }));
        Assert.That(function.FindCapability(9, 1), Is.EqualTo(new PciCapability(9, 0x60)));
        Assert.That(function.FindCapability(5), Is.Null);
    }

    [TestCase((byte)0x3C)]
    [TestCase((byte)0x04)]
    [TestCase((byte)0x00)]
    public void Capability_list_that_leads_into_the_header_ends(byte pointer)
    {
        SimulatedFunction device = new SimulatedFunction(1, 1).Capabilities((0x40, 9, []));
        device.Config[0x41] = pointer;
        Assert.That(Only(device).Capabilities, Has.Count.EqualTo(1));
    }

    [Test]
    public void Capability_list_of_all_ones_ends()
    {
        SimulatedFunction device = new SimulatedFunction(1, 1);
        device.Set16(6, 0x10);
        Array.Fill(device.Config, (byte)0xFF, 0x34, 0x100 - 0x34);
        PciFunction function = Only(device);
        Assert.That((function.Capabilities.Count, function.HasMsi, function.MsiXCount), Is.EqualTo((0, false, 0)));
    }

    [TestCase((byte)0xF4, (ushort)0x80, ExpectedResult = false, Description = "64-bit address: data ends at 0x102")]
    [TestCase((byte)0xF4, (ushort)0x00, ExpectedResult = true)]
    [TestCase((byte)0xF0, (ushort)0x180, ExpectedResult = false, Description = "mask bits beyond the end")]
    [TestCase((byte)0xE8, (ushort)0x180, ExpectedResult = true)]
    public bool Msi_capability_must_lie_inside(byte offset, ushort control)
    {
        SimulatedFunction device = new SimulatedFunction(1, 1).Capabilities((offset, 5, [(byte)control, (byte)(control >> 8)]));
        PciFunction function = Only(device);
        Assert.That(device.Writes, Has.All.Matches<(int Offset, int Width, uint Value)>(write => write.Offset + write.Width <= 256));
        return function.HasMsi;
    }

    private static byte[] MsiX(int count, uint table, uint pending) =>
        [(byte)(count - 1), (byte)((count - 1) >> 8), .. BitConverter.GetBytes(table), .. BitConverter.GetBytes(pending)];

    [TestCase(16, 0u, 0x800u, ExpectedResult = 16)]
    [TestCase(256, 0u, 0u, ExpectedResult = 256, Description = "exactly the whole register")]
    [TestCase(257, 0u, 0u, ExpectedResult = 0, Description = "one entry beyond")]
    [TestCase(16, 0xFF8u, 0u, ExpectedResult = 0, Description = "across the end")]
    [TestCase(16, 0x1000u, 0u, ExpectedResult = 0, Description = "at the end")]
    [TestCase(16, 0xFFFFFFF8u, 0u, ExpectedResult = 0, Description = "far beyond")]
    [TestCase(16, 0u, 0x1000u, ExpectedResult = 0, Description = "pending bits beyond")]
    [TestCase(16, 1u, 0u, ExpectedResult = 0, Description = "register 1 has ports")]
    [TestCase(16, 2u, 0u, ExpectedResult = 0, Description = "register 2 is not there")]
    [TestCase(16, 3u, 0u, ExpectedResult = 0, Description = "register 3 has no address")]
    [TestCase(16, 7u, 0u, ExpectedResult = 0, Description = "there is no register 7")]
    public int MsiX_table_must_lie_inside_memory_of_the_function(int count, uint table, uint pending)
    {
        SimulatedFunction device = new SimulatedFunction(1, 1).Memory(0, Fresh(), 0x1000).Bar(1, 0xC001, 0xFFFFFFE0).Memory(3, 0, 0x1000).Capabilities((0x40, 17, MsiX(count, table, pending)));
        PciFunction function = Only(device);
        Assert.That(Machine.TakeConsoleOutput().Contains("MSI-X table", StringComparison.Ordinal), Is.EqualTo(function.MsiXCount == 0));
        return function.MsiXCount;
    }

    [Test]
    public void MsiX_table_over_ram_is_not_used()
    {
        PciFunction function = Only(new SimulatedFunction(1, 1).Memory(0, 0x200000, 0x1000).Capabilities((0x40, 17, MsiX(4, 0, 0x800))));
        Assert.That(function.MsiXCount, Is.Zero);
    }

    [Test]
    public void Pages_with_the_MsiX_table_are_read_only_for_the_driver_and_closed_for_others()
    {
        uint at = Fresh();
        PciFunction function = Only(new SimulatedFunction(1, 1).Memory(0, at, 0x4000).Capabilities((0x40, 17, MsiX(8, 0x1010, 0x2000))));
        Assert.That(IoMem.TryAcquire(new PhysicalAddress(at), 0x4000), Is.Null);
        Assert.That(IoMem.TryAcquire(new PhysicalAddress(at + 0x1FFF), 1), Is.Null, "the same page");
        Assert.That(IoMem.TryAcquire(new PhysicalAddress(at + 0x2FFF), 1), Is.Null, "the page of the pending bits");
        using PciDevice device = function.TryClaim()!;
        using IoMem memory = device.TryMapBar(0)!;
        memory.Write32(0xFFC, 1);
        memory.Write32(0x3000, 1);
        memory.Read32(0x1010);
        foreach (ulong offset in new ulong[] { 0x1000, 0x1010, 0x1FFC, 0x2000, 0x2FFC }) Assert.That(() => memory.Write32(offset, 1), Throws.TypeOf<UnauthorizedAccessException>());
        Assert.That(() => memory.Write8(0x1000, 1), Throws.TypeOf<UnauthorizedAccessException>());
        Assert.That(() => memory.Write16(0x1000, 1), Throws.TypeOf<UnauthorizedAccessException>());
        Assert.That(() => memory.Write64(0x1000, 1), Throws.TypeOf<UnauthorizedAccessException>());
    }

    [Test]
    public void Reads_of_configuration_space_stay_inside()
    {
        PciFunction function = Only(new SimulatedFunction(1, 1));
        Assert.That(function.ReadConfig8(255), Is.Zero);
        Assert.That(function.ReadConfig8(256), Is.EqualTo(255), "ports reach 256 bytes");
        foreach (int offset in new[] { -1, 4096, int.MinValue }) Assert.That(() => function.ReadConfig8(offset), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => function.ReadConfig16(1), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => function.ReadConfig32(2), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(() => function.ReadConfig32(4094), Throws.TypeOf<ArgumentOutOfRangeException>());
    }

    [Test]
    public void Random_configuration_space_does_no_harm()
    {
        var random = new Random(1);
        for (int round = 0; round < 500; round++)
        {
            var device = new SimulatedFunction(1, 1);
            random.NextBytes(device.Config.AsSpan(4, 252));
            random.NextBytes(device.Writable.AsSpan(4, 252));
            var pci = new SimulatedPci();
            Pci.Unplug();
            pci.Plug(false);
            pci.Add(0, 0, 0, device);
            Enumerate();
            pci.Unplug();
            Pci.Plug(true);
            PciFunction function = PciBus.Functions[0];
            for (int i = 0; i < 6; i++)
            {
                if (function.GetBar(i) is not { IsMemory: true, IsAssigned: true } bar) continue;
                Assert.That(IoMem.TryAcquire(new PhysicalAddress(0xFEE00000), 1), Is.Null);
                Assert.That(bar.Start + bar.Length, Is.GreaterThan(64UL << 20), "not over RAM");
                Assert.That((bar.Start & (bar.Length - 1), bar.Length & (bar.Length - 1)), Is.EqualTo((0UL, 0UL)));
            }
        }
        Machine.TakeConsoleOutput();
    }
}
