using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Interrupts;
using Asterinas.Ostd.Io;
using Asterinas.Ostd.Pci;
using Asterinas.Ostd.Tasks;
using Asterinas.Tests.Host.Io;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Pci;

/// <summary>Claims, and the interrupts of a claimed function.</summary>
public sealed class ClaimTests : PciFixture
{
    private const uint TableAt = 0xC8000000;

    private readonly SimulatedRegisterFile _table = new();

    [TearDown]
    public void UnplugTable() => Machine.DeviceMemory.Detach(_table);

    private static SimulatedFunction WithMsi()
    {
        SimulatedFunction device = new SimulatedFunction(1, 1).Capabilities((0x40, 5, [0x86, 0x01]));
        device.SetWritable(0x40, 0x00710000);
        for (int offset = 0x44; offset < 0x58; offset += 4) device.SetWritable(offset, uint.MaxValue);
        return device;
    }

    private SimulatedFunction WithMsiX()
    {
        _table.Registers.Clear();
        Machine.DeviceMemory.Attach(TableAt, 0x1000, _table);
        SimulatedFunction device = new SimulatedFunction(1, 1).Memory(0, TableAt, 0x1000).Capabilities((0x40, 17, [3, 0, 0, 0, 0, 0, 0, 8, 0, 0]));
        device.SetWritable(0x40, 0xC0000000);
        return device;
    }

    [Test]
    public void Function_has_one_owner_at_a_time()
    {
        PciFunction function = Only(new SimulatedFunction(1, 1));
        PciDevice device = function.TryClaim()!;
        Assert.That(function.TryClaim(), Is.Null);
        Assert.That(function.IsClaimed, Is.True);
        device.Dispose();
        device.Dispose();
        using PciDevice again = function.TryClaim()!;
        device.Dispose();
        Assert.That(function.TryClaim(), Is.Null, "the second owner keeps it when the first one disposes again");
        using IrqLine line = IrqLine.TryAllocate()!;
        foreach (Action use in new Action[] { () => device.IsBusMaster = true, () => _ = device.IsBusMaster, () => device.TryMapBar(0, 0, 1), () => device.TryAcquirePorts(0),
            () => device.TryEnableMsi(line), () => device.TryBindMsiX(0, line), () => device.TryRoutePin(line) })
        {
            Assert.That(use, Throws.TypeOf<ObjectDisposedException>());
        }
        Assert.That(again.IsBusMaster, Is.False);
    }

    [Test]
    public void Owner_makes_it_bus_master_and_disposing_makes_it_quiet()
    {
        SimulatedFunction simulated = new SimulatedFunction(1, 1);
        PciDevice device = Only(simulated).TryClaim()!;
        Assert.That(device.IsBusMaster, Is.False);
        device.IsBusMaster = true;
        Assert.That((device.IsBusMaster, simulated.Command & 4), Is.EqualTo((true, 4)));
        device.Dispose();
        Assert.That(simulated.Command & 0x404, Is.EqualTo(0x400));
    }

    [Test]
    public void Part_of_a_register_can_be_mapped_and_switches_decoding_on()
    {
        SimulatedFunction simulated = new SimulatedFunction(1, 1).Memory(0, 0xC9000000, 0x4000);
        using PciDevice device = Only(simulated).TryClaim()!;
        foreach ((ulong offset, ulong length) in new (ulong, ulong)[] { (0x4000, 1), (0, 0x4001), (0x3FFF, 2), (ulong.MaxValue, 2), (1, ulong.MaxValue), (0, 0) })
        {
            Assert.That(device.TryMapBar(0, offset, length), Is.Null);
        }
        Assert.That(simulated.Command & 2, Is.Zero);
        using IoMem part = device.TryMapBar(0, 0x1000, 0x1000)!;
        Assert.That((part.Start.Value, part.Length, simulated.Command & 2), Is.EqualTo((0xC9001000UL, 0x1000UL, 2)));
        Assert.That(device.TryMapBar(0), Is.Null, "a part is taken");
        Assert.That(device.TryMapBar(1), Is.Null);
        Assert.That(device.TryAcquirePorts(0), Is.Null);
    }

    [Test]
    public void Ports_are_claimed_and_given_back()
    {
        SimulatedFunction simulated = new SimulatedFunction(1, 1).Bar(2, 0xC0C1, 0xFFFFFFE0).Bar(3, 0xCE1, 0xFFFFFFE0);
        using PciDevice device = Only(simulated).TryClaim()!;
        using (IoPort ports = device.TryAcquirePorts(2)!)
        {
            Assert.That((ports.Count, simulated.Command & 1), Is.EqualTo((32, 1)));
            Assert.That(device.TryAcquirePorts(2), Is.Null);
        }
        Assert.That(device.TryMapBar(2), Is.Null);
        Assert.That(device.TryAcquirePorts(3), Is.Null, "over the ports of PCI configuration");
    }

    [Test]
    public void Msi_is_programmed_for_the_lines_vector_and_ends_with_the_line()
    {
        SimulatedFunction simulated = WithMsi();
        using PciDevice device = Only(simulated).TryClaim()!;
        IrqLine line = IrqLine.TryAllocate()!;
        int ran = 0;
        line.SetBottomHalf(() => ran++);
        Assert.That(device.TryEnableMsi(line), Is.True);
        Assert.That(simulated.Get16(0x42) & 0x71, Is.EqualTo(1), "one message, on");
        Assert.That((simulated.Get32(0x44), simulated.Get32(0x48), simulated.Get32(0x50)), Is.EqualTo((0xFEE00000u, 0u, 0xFFFFFFFEu)));
        Machine.SendMessage(simulated.Get32(0x44), simulated.Get16(0x4C));
        Task.YieldIfNeeded();
        Assert.That(ran, Is.EqualTo(1));
        using IrqLine other = IrqLine.TryAllocate()!;
        Assert.That(device.TryEnableMsi(other), Is.False, "in use");
        Assert.That(line.TryRoutePciInterrupt(20), Is.False, "the line has a source");
        line.Dispose();
        Assert.That(simulated.Get16(0x42) & 1, Is.Zero, "off before the vector is free");
        Assert.That(device.TryEnableMsi(line), Is.False, "a line that was given back");
        Assert.That(simulated.Get16(0x42) & 1, Is.Zero);
        Assert.That(device.TryEnableMsi(other), Is.True);
        device.Dispose();
        Assert.That(simulated.Get16(0x42) & 1, Is.Zero);
        Assert.That(other.TryRoutePciInterrupt(20), Is.True, "the line is free for another source");
    }

    [Test]
    public void MsiX_entries_have_lines_of_their_own()
    {
        SimulatedFunction simulated = WithMsiX();
        using PciDevice device = Only(simulated).TryClaim()!;
        using IrqLine first = IrqLine.TryAllocate()!, second = IrqLine.TryAllocate()!;
        int[] ran = new int[2];
        first.SetBottomHalf(() => ran[0]++);
        second.SetBottomHalf(() => ran[1]++);
        Assert.That(device.TryBindMsiX(1, first), Is.True);
        Assert.That(device.TryBindMsiX(3, second), Is.True);
        Assert.That(device.TryBindMsiX(1, second), Is.False);
        Assert.That(device.TryBindMsiX(2, second), Is.False, "a line has one source");
        Assert.That(device.TryEnableMsi(first), Is.False);
        foreach (int entry in new[] { -1, 4 }) Assert.That(() => device.TryBindMsiX(entry, first), Throws.TypeOf<ArgumentOutOfRangeException>());
        Assert.That(simulated.Get16(0x42) & 0xC000, Is.EqualTo(0x8000), "on, not masked as a whole");
        for (uint entry = 0; entry < 4; entry++) Assert.That(_table.Registers[16 * entry + 12], Is.EqualTo(entry is 1 or 3 ? 0UL : 1UL), "only bound entries send");
        foreach (ulong entry in new ulong[] { 3, 1, 3 }) Machine.SendMessage(_table.Registers[16 * entry] | _table.Registers[16 * entry + 4] << 32, (uint)_table.Registers[16 * entry + 8]);
        Task.YieldIfNeeded();
        Assert.That(ran, Is.EqualTo(new[] { 1, 1 }));
        first.Dispose();
        Assert.That((_table.Registers[16 + 12], _table.Registers[48 + 12]), Is.EqualTo((1UL, 0UL)), "its entry is masked, the others send");
        using IrqLine third = IrqLine.TryAllocate()!;
        Assert.That(device.TryBindMsiX(1, third), Is.True);
        device.Dispose();
        Assert.That(simulated.Get16(0x42) & 0x8000, Is.Zero);
        third.Dispose();
    }

    [Test]
    public void An_entry_is_masked_while_it_changes()
    {
        using PciDevice device = Only(WithMsiX()).TryClaim()!;
        using IrqLine line = IrqLine.TryAllocate()!;
        device.TryBindMsiX(0, line);
        bool isMasked = false;
        foreach (string access in _table.Accesses)
        {
            if (access.StartsWith("w32 c=", StringComparison.Ordinal)) isMasked = access == "w32 c=1";
            else if (access.StartsWith("w32 0=", StringComparison.Ordinal) || access.StartsWith("w32 4=", StringComparison.Ordinal) || access.StartsWith("w32 8=", StringComparison.Ordinal)) Assert.That(isMasked, Is.True);
        }
        Assert.That(isMasked, Is.False);
    }

    [Test]
    public void Pins_are_routed_where_the_wiring_is_known()
    {
        SimulatedFunction simulated = new SimulatedFunction(1, 1);
        simulated.Config[0x3C] = 11;
        simulated.Config[0x3D] = 1;
        PciFunction function = Only(simulated);
        using IrqLine line = IrqLine.TryAllocate()!;
        using (PciDevice device = function.TryClaim()!) Assert.That(device.TryRoutePin(line), Is.False);
        Assert.That(Machine.TakeConsoleOutput(), Does.Contain("the wiring of this machine's pins is not known"));
        SimulatedFunction host = Pci.Add(0, 0, 0, new SimulatedFunction(0x8086, 0x29C0, 0x060000));
        host.Set32(0x2C, 0x11001AF4);
        PciBus.Enumerate();
        using (PciDevice device = PciBus.Functions[1].TryClaim()!)
        {
            Assert.That(device.TryRoutePin(line), Is.True);
            Assert.That((Machine.RoutedVector(11), simulated.Command & 0x400), Is.EqualTo((line.Vector, 0)));
            int ran = 0;
            line.SetBottomHalf(() =>
            {
                ran++;
                Machine.SetInterruptLine(11, false);
            });
            Machine.SetInterruptLine(11, true);
            Task.YieldIfNeeded();
            Assert.That(ran, Is.EqualTo(1));
            using IrqLine other = IrqLine.TryAllocate()!;
            Assert.That(device.TryRoutePin(other), Is.False, "the pin has an owner");
        }
        Assert.That(simulated.Command & 0x400, Is.EqualTo(0x400));
    }

    [TestCase((byte)0, (byte)11, "the function has none")]
    [TestCase((byte)9, (byte)11, "the function has none")]
    [TestCase((byte)1, (byte)0xFF, "routed it nowhere")]
    public void Pins_that_do_not_exist_are_refused_with_a_reason(byte pin, byte isaLine, string reason)
    {
        SimulatedFunction host = Pci.Add(0, 0, 0, new SimulatedFunction(0x8086, 0x29C0, 0x060000));
        host.Set32(0x2C, 0x11001AF4);
        SimulatedFunction simulated = Pci.Add(0, 3, 0, new SimulatedFunction(1, 1));
        simulated.Config[0x3C] = isaLine;
        simulated.Config[0x3D] = pin;
        PciBus.Enumerate();
        using PciDevice device = PciBus.Functions[1].TryClaim()!;
        using IrqLine line = IrqLine.TryAllocate()!;
        Assert.That(device.TryRoutePin(line), Is.False);
        Assert.That(Machine.TakeConsoleOutput(), Does.Contain(reason));
    }
}
