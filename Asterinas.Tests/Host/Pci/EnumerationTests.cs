using System;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Io;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Pci;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Pci;

public sealed class EnumerationTests : PciFixture
{
    [TestCase(true)]
    [TestCase(false)]
    public void Functions_are_found_behind_bridges(bool isMemoryMapped)
    {
        if (isMemoryMapped) AcpiTables.Install("MCFG", AcpiTables.Mcfg(SimulatedPci.EcamBase, 0, 0, 255));
        Pci.Add(0, 0, 0, new SimulatedFunction(0x8086, 0x29C0, 0x060000));
        Pci.Add(0, 31, 0, new SimulatedFunction(0x8086, 0x2918, 0x060100, 0x80));
        Pci.Add(0, 31, 2, new SimulatedFunction(0x8086, 0x2922, 0x010601));
        Pci.AddBridge(0, 2, 1);
        Pci.AddBridge(1, 5, 7);
        Pci.Add(7, 9, 0, new SimulatedFunction(0x1234, 0x11E8));
        Assert.That(Enumerate(), Is.EqualTo(new[] { "0000:00:00.0", "0000:00:02.0", "0000:00:1f.0", "0000:00:1f.2", "0000:01:05.0", "0000:07:09.0" }));
        PciFunction last = PciBus.Functions[^1];
        Assert.That((last.VendorId, last.DeviceId, last.Bridge!.Address.Bus, last.Bridge.Bridge!.Address.Device), Is.EqualTo(((ushort)0x1234, (ushort)0x11E8, (byte)1, (byte)2)));
        Assert.That(Pci.PortAccesses == 0, Is.EqualTo(isMemoryMapped));
        Assert.That(last.ReadConfig32(0x100), Is.EqualTo(isMemoryMapped ? 0u : uint.MaxValue), "extended configuration space");
        Assert.That(PciBus.Find(last.Address), Is.SameAs(last));
        Assert.That(PciBus.Find(new PciAddress(0, 7, 9, 1)), Is.Null);
    }

    [Test]
    public void Bridges_that_point_back_or_to_one_bus_make_no_loop()
    {
        Pci.AddBridge(0, 1, 1);
        Pci.AddBridge(0, 2, 1);
        Pci.AddBridge(0, 3, 0);
        Pci.AddBridge(1, 1, 1);
        Pci.AddBridge(1, 2, 0);
        Pci.AddBridge(1, 3, 255);
        Pci.AddBridge(255, 0, 1);
        Assert.That(Enumerate(), Has.Length.EqualTo(7));
    }

    [Test]
    public void Function_0_decides_whether_a_device_has_others()
    {
        Pci.Add(0, 4, 0, new SimulatedFunction(1, 1));
        Pci.Add(0, 4, 1, new SimulatedFunction(1, 2));
        Pci.Add(0, 5, 3, new SimulatedFunction(1, 3, 0xFF0000, 0x80));
        Assert.That(Enumerate(), Is.EqualTo(new[] { "0000:00:04.0" }));
    }

    [TestCase(0UL, (byte)0, (byte)255, Description = "no address")]
    [TestCase(0xB0000010UL, (byte)0, (byte)255, Description = "not aligned")]
    [TestCase(0xB0000000UL, (byte)5, (byte)4, Description = "the last bus before the first")]
    [TestCase(0x100000UL, (byte)0, (byte)255, Description = "over RAM")]
    [TestCase(0xFFFFFFFFFFF00000UL, (byte)0, (byte)255, Description = "beyond physical addresses")]
    public void Windows_that_make_no_sense_are_not_used_and_ports_are(ulong start, byte first, byte last)
    {
        AcpiTables.Install("MCFG", AcpiTables.Mcfg(start, 0, first, last));
        Pci.Add(0, 4, 0, new SimulatedFunction(1, 1));
        Assert.That(Enumerate(), Has.Length.EqualTo(1));
        Assert.That(Pci.PortAccesses, Is.Positive);
        Assert.That(Machine.TakeConsoleOutput(), Does.Contain("MCFG says").And.Contain("ignored"));
    }

    [Test]
    public void Table_with_a_wrong_checksum_or_length_is_not_used()
    {
        byte[] table = AcpiTables.Mcfg(SimulatedPci.EcamBase, 0, 0, 255);
        table[50] ^= 1;
        AcpiTables.Install("MCFG", table);
        Enumerate();
        Assert.That(Machine.TakeConsoleOutput(), Does.Contain("MCFG has a wrong checksum"));
        table[4] = 20;
        AcpiTables.Install("MCFG", table);
        Enumerate();
        Assert.That(Machine.TakeConsoleOutput(), Does.Contain("MCFG has a length of 20"));
        AcpiTables.Install("MCFG", AcpiTables.Make("MCFG", new byte[8 + 15]));
        Assert.That(Enumerate(), Is.Empty, "a truncated entry is none");
    }

    [Test]
    public void Configuration_space_cannot_be_acquired_as_device_memory()
    {
        AcpiTables.Install("MCFG", AcpiTables.Mcfg(SimulatedPci.EcamBase, 0, 0, 15));
        Enumerate();
        Assert.That(IoMem.TryAcquire(new PhysicalAddress(SimulatedPci.EcamBase + 0x8000), 4), Is.Null);
        Assert.That(IoMem.TryAcquire(new PhysicalAddress(SimulatedPci.EcamBase + (16UL << 20) - 1), 1), Is.Null);
    }

    [Test]
    public void Functions_are_quiet_and_bridges_forward()
    {
        SimulatedFunction endpoint = Pci.Add(0, 4, 0, new SimulatedFunction(1, 1).Capabilities((0x40, 5, [0x01, 0]), (0x50, 17, [0, 0x80, 0, 0, 0, 0, 0, 8, 0, 0])));
        endpoint.Memory(0, 0xC0000000, 0x1000);
        endpoint.SetWritable(0x40, 0x710000);
        endpoint.SetWritable(0x50, 0xC0000000);
        endpoint.Set16(0x04, 0x0147);
        SimulatedFunction bridge = Pci.AddBridge(0, 1, 1);
        Enumerate();
        Assert.That(endpoint.Command, Is.EqualTo(0x0543), "no bus mastering, no INTx; decoding and error reporting as they were");
        Assert.That((endpoint.Get16(0x42) & 1, endpoint.Get16(0x52) & 0x8000), Is.EqualTo((0, 0)), "no MSI, no MSI-X");
        Assert.That(bridge.Command & 7, Is.EqualTo(7));
    }

    [Test]
    public void Bridges_cannot_be_claimed()
    {
        Pci.Add(0, 0, 0, new SimulatedFunction(0x8086, 0x29C0, 0x060000));
        Pci.AddBridge(0, 1, 1);
        Enumerate();
        foreach (PciFunction function in PciBus.Functions) Assert.That(function.TryClaim(), Is.Null);
    }
}
