using System;
using System.Buffers.Binary;
using System.Linq;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Dma;
using Asterinas.Ostd.Dma.Vtd;
using Asterinas.Ostd.Pci;
using Asterinas.Tests.Host.Pci;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Dma;

public sealed class DmarTableTests : PciFixture
{
    /// <summary>DMAR with structures.</summary>
    internal static byte[] Dmar(params byte[][] structures) => AcpiTables.Make("DMAR", [47, 0, .. new byte[10], .. structures.SelectMany(s => s)]);

    /// <summary>A remapping unit.</summary>
    internal static byte[] Unit(ulong start, bool includesAll, params byte[][] scopes)
    {
        byte[] unit = [0, 0, 0, 0, includesAll ? (byte)1 : (byte)0, 0, 0, 0, .. new byte[8], .. scopes.SelectMany(s => s)];
        BinaryPrimitives.WriteUInt16LittleEndian(unit.AsSpan(2), (ushort)unit.Length);
        BinaryPrimitives.WriteUInt64LittleEndian(unit.AsSpan(8), start);
        return unit;
    }

    private static byte[] Scope(byte type, byte bus, params byte[] path) => [type, (byte)(6 + path.Length), 0, 0, 0, bus, .. path];

    private static string Problem(byte[] table)
    {
        DmarUnit[]? units = DmarTable.TryParse(table, out string problem);
        Assert.That(units is null, Is.EqualTo(problem.Length > 0));
        return problem;
    }

    [Test]
    public void Units_and_scopes_are_read()
    {
        byte[] reserved = [1, 0, 24, 0, .. new byte[20]];
        DmarUnit[] units = DmarTable.TryParse(Dmar(Unit(0xFED90000, false, Scope(1, 0, 2, 0), Scope(2, 0, 28, 1, 3, 0), Scope(3, 0xF0, 31, 0)), reserved, Unit(0xFED91000, true)), out _)!;
        Assert.That(units.Select(u => (u.RegisterBase, u.IncludesAll, u.Scopes.Length)), Is.EqualTo(new[] { (0xFED90000UL, false, 2), (0xFED91000UL, true, 0) }));
        Assert.That(units[0].Scopes[1].Path, Is.EqualTo(new[] { ((byte)28, (byte)1), ((byte)3, (byte)0) }));
        Assert.That(units[0].Scopes.Select(s => s.IsHierarchy), Is.EqualTo(new[] { false, true }));
    }

    [Test]
    public void Every_truncation_is_broken_or_whole()
    {
        byte[] table = Dmar(Unit(0xFED90000, false, Scope(1, 0, 2, 0)), Unit(0xFED91000, true));
        for (int length = 0; length < table.Length; length++)
        {
            bool endsBetween = length == 48 + 24;
            Assert.That(Problem(table[..length]).Length == 0, Is.EqualTo(endsBetween), $"{length} bytes");
        }
    }

    [Test]
    public void Random_bytes_do_no_harm()
    {
        var random = new Random(1);
        for (int round = 0; round < 20000; round++)
        {
            byte[] table = Dmar(Unit(0xFED90000, false, Scope(1, 0, 2, 0), Scope(2, 0, 28, 1, 3, 0)), Unit(0xFED91000, true));
            for (int i = random.Next(1, 6); i > 0; i--) table[random.Next(48, table.Length)] = (byte)random.Next(256);
            if (DmarTable.TryParse(table, out _) is { } units) _ = units.Any(unit => unit.Scopes.Any(scope => scope.Path.Length == 0));
        }
    }

    [TestCase(2, (ushort)0, "a structure at 48 has a length of 0")]
    [TestCase(2, (ushort)3, "a structure at 48 has a length of 3")]
    [TestCase(2, (ushort)0xFFFF, "a structure at 48 has a length of 65535")]
    [TestCase(2, (ushort)8, "a unit has 8 bytes")]
    [TestCase(17, (ushort)7, "a scope has a length of 7")]
    [TestCase(17, (ushort)6, "a scope has a length of 6")]
    [TestCase(17, (ushort)0, "a scope has a length of 0")]
    [TestCase(17, (ushort)200, "a scope has a length of 200")]
    public void Lengths_that_do_not_fit_are_named(int offset, ushort value, string problem)
    {
        byte[] table = Dmar(Unit(0xFED90000, false, Scope(1, 0, 2, 0)));
        table[48 + offset] = (byte)value;
        if (offset == 2) table[48 + 3] = (byte)(value >> 8);
        Assert.That(Problem(table), Is.EqualTo(problem));
    }

    [TestCase(0UL)]
    [TestCase(0xFED90008UL)]
    [TestCase(0x100000UL, Description = "RAM")]
    [TestCase(0xFFFFFFFFFFFFF000UL)]
    public void Registers_that_cannot_be_there_are_named(ulong start) => Assert.That(Problem(Dmar(Unit(start, true))), Is.EqualTo($"a unit's registers are at 0x{start:x}"));

    [Test]
    public void Tables_without_units_or_with_one_twice_are_broken()
    {
        Assert.That(Problem(Dmar()), Is.EqualTo("it names no unit"));
        Assert.That(Problem(Dmar(Unit(0xFED90000, true), Unit(0xFED90000, true))), Is.EqualTo("two units are at 0xfed90000"));
        Assert.That(Problem(Dmar([.. Enumerable.Range(0, 65).Select(i => Unit(0xFED00000 + (ulong)i * 4096, true))])), Is.EqualTo("it names too many units"));
        Assert.That(Problem([]), Is.EqualTo("it has 0 bytes"));
    }

    [Test]
    public void Broken_table_is_a_log_line_and_devices_work_without_an_IOMMU()
    {
        AcpiTables.Install("DMAR", Dmar(Unit(0xFED90000, true), [9, 9]));
        PciFunction function = Only(new SimulatedFunction(1, 1));
        Iommu.Initialize();
        AcpiTables.Remove("DMAR");
        Assert.That(Machine.TakeConsoleOutput(), Does.Contain("the table DMAR is broken (2 bytes are left over): devices are trusted with all memory"));
        Assert.That(Iommu.IsEnabled, Is.False);
        using PciDevice device = function.TryClaim()!;
        Assert.That(device.Dma.IsIsolated, Is.False);
    }

    [Test]
    public void Scopes_name_functions_through_bridges()
    {
        Pci.AddBridge(0, 28, 5);
        Pci.AddBridge(5, 1, 6);
        Pci.Add(6, 3, 0, new SimulatedFunction(1, 1));
        Pci.Add(0, 2, 0, new SimulatedFunction(1, 2));
        PciBus.Enumerate();
        PciFunction deep = PciBus.Find(new PciAddress(0, 6, 3, 0))!, shallow = PciBus.Find(new PciAddress(0, 0, 2, 0))!;
        bool Names(PciFunction function, params byte[] scope) => DmarTable.TryParse(Dmar(Unit(0xFED90000, false, scope)), out _)![0].Names(function);
        Assert.That(Names(shallow, Scope(1, 0, 2, 0)), Is.True);
        Assert.That(Names(deep, Scope(1, 0, 2, 0)), Is.False);
        Assert.That(Names(deep, Scope(1, 0, 28, 0, 1, 0, 3, 0)), Is.True, "a path from the root bus");
        Assert.That(Names(deep, Scope(2, 0, 28, 0)), Is.True, "everything behind the bridge");
        Assert.That(Names(deep, Scope(1, 0, 28, 0)), Is.False, "the bridge itself only");
        Assert.That(Names(deep, Scope(1, 0, 28, 0, 9, 0, 3, 0)), Is.False, "a path that leads nowhere");
        Assert.That(Names(deep, Scope(1, 0, 2, 0, 3, 0)), Is.False, "a path through what is no bridge");
        Assert.That(Names(deep, Scope(1, 6, 3, 0)), Is.True, "a path from the bus itself");
    }
}
