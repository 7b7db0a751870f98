using System;
using System.Collections.Generic;
using System.Linq;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Pci;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Pci;

/// <summary>A fresh simulated machine with an empty PCI segment.</summary>
public abstract class PciFixture : MachineFixture
{
    private protected SimulatedPci Pci { get; private set; } = null!;

    [SetUp]
    public void PlugPci()
    {
        Pci = new SimulatedPci();
        Pci.Plug(true);
    }

    [TearDown]
    public void UnplugPci()
    {
        Pci.Unplug();
        AcpiTables.Remove("MCFG");
        Machine.TakeConsoleOutput();
        PciBus.Enumerate();
        Assert.That(PciBus.Functions, Is.Empty);
    }

    private protected static string[] Enumerate()
    {
        PciBus.Enumerate();
        return [.. PciBus.Functions.Select(function => function.Address.ToString())];
    }

    /// <summary>Enumerates with one function at 00:03.0 and answers it.</summary>
    private protected PciFunction Only(SimulatedFunction function)
    {
        Pci.Add(0, 3, 0, function);
        PciBus.Enumerate();
        return PciBus.Functions.Single();
    }
}
