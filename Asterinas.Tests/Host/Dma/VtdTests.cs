using System;
using System.Collections.Generic;
using System.Linq;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Dma;
using Asterinas.Ostd.Io;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Pci;
using Asterinas.Ostd.Runtime;
using Asterinas.Ostd.Tasks;
using Asterinas.Tests.Host.Pci;
using NUnit.Framework;

namespace Asterinas.Tests.Host.Dma;

/// <summary>Domains, mappings, invalidation and faults against a simulated VT-d unit with caches.</summary>
public sealed class VtdTests : PciFixture
{
    private const ushort Sender = 3 << 3;
    private SimulatedVtd _unit = null!;

    private static IEnumerable<int> Units()
    {
        yield return (int)VtdFeatures.None;
        yield return (int)(VtdFeatures.Coherent | VtdFeatures.Queued | VtdFeatures.PageInvalidation);
        yield return (int)(VtdFeatures.Queued | VtdFeatures.PageInvalidation | VtdFeatures.FourLevels);
        yield return (int)(VtdFeatures.Queued | VtdFeatures.CachingMode);
        yield return (int)(VtdFeatures.CachingMode | VtdFeatures.PageInvalidation);
        yield return (int)(VtdFeatures.WriteBuffer | VtdFeatures.Queued);
        yield return (int)VtdFeatures.Coherent;
    }

    [SetUp]
    public void StartMemory()
    {
        GC.Collect();
        GC.WaitForPendingFinalizers();
        Machine.Initialize(64UL << 20);
    }

    [TearDown]
    public void UnplugUnit()
    {
        if (_unit is not null) Machine.DeviceMemory.Detach(_unit);
        AcpiTables.Remove("DMAR");
        Iommu.Initialize();
        Machine.OnCacheFlush = null;
        GC.Collect();
        GC.WaitForPendingFinalizers();
    }

    private PciFunction Start(VtdFeatures features)
    {
        _unit = new SimulatedVtd(features);
        Machine.DeviceMemory.Attach(SimulatedVtd.At, 0x1000, _unit);
        AcpiTables.Install("DMAR", DmarTableTests.Dmar(DmarTableTests.Unit(SimulatedVtd.At, true)));
        PciFunction function = Only(new SimulatedFunction(1, 1));
        Iommu.Initialize();
        Assert.That(Iommu.IsEnabled, Is.True, Machine.TakeConsoleOutput());
        return function;
    }

    [TestCaseSource(nameof(Units))]
    public void Devices_reach_what_is_mapped_and_nothing_else(int features)
    {
        PciFunction function = Start((VtdFeatures)features);
        Assert.That(_unit.IsTranslating, Is.True);
        Assert.That(_unit.Access(Sender, 0x100000, true), Is.Null, "nobody claimed it");
        using PciDevice device = function.TryClaim()!;
        Assert.That(device.Dma.IsIsolated, Is.True);
        Assert.That(_unit.Access(Sender, 0x100000, true), Is.Null, "nothing is mapped");

        using Segment segment = Segment.Allocate(5);
        for (int round = 0; round < 3; round++)
        {
            ulong start;
            using (DmaStream stream = DmaStream.TryMap(device.Dma, segment, DmaDirection.Bidirectional)!)
            {
                start = stream.Address.Value;
                foreach (ulong offset in new ulong[] { 0, 1, 4095, 4096, 5 * 4096 - 1 })
                {
                    Assert.That(_unit.Access(Sender, start + offset, true), Is.EqualTo(segment.Start.Value + offset));
                    Assert.That(_unit.Access(Sender, start + offset, false), Is.EqualTo(segment.Start.Value + offset));
                }
                Assert.That(_unit.Access(Sender, start + 5 * 4096, true), Is.Null, "behind it");
                Assert.That(_unit.Access(Sender, start - 1, true), Is.Null, "before it");
                Assert.That(_unit.Access(Sender + 1, start, true), Is.Null, "another sender");
                Assert.That(_unit.Access(Sender, ulong.MaxValue, false), Is.Null);
            }
            for (ulong page = 0; page < 5; page++) Assert.That(_unit.Access(Sender, start + page * 4096, false), Is.Null, "the mapping is gone");
        }
        Assert.That(_unit.Access(Sender, segment.Start.Value, true), Is.Null, "physical addresses mean nothing");
    }

    [TestCaseSource(nameof(Units))]
    public void Directions_are_rights(int features)
    {
        using PciDevice device = Start((VtdFeatures)features).TryClaim()!;
        using Segment segment = Segment.Allocate(1);
        using DmaStream to = DmaStream.TryMap(device.Dma, segment, DmaDirection.ToDevice)!, from = DmaStream.TryMap(device.Dma, segment, DmaDirection.FromDevice)!;
        Assert.That(_unit.Access(Sender, to.Address.Value, false), Is.EqualTo(segment.Start.Value));
        Assert.That(_unit.Access(Sender, to.Address.Value, true), Is.Null);
        Assert.That(_unit.Access(Sender, from.Address.Value, true), Is.EqualTo(segment.Start.Value));
        Assert.That(_unit.Access(Sender, from.Address.Value, false), Is.Null);
    }

    [TestCaseSource(nameof(Units))]
    public void Frames_go_back_after_the_unit_forgot_them(int features)
    {
        using PciDevice device = Start((VtdFeatures)features).TryClaim()!;
        DmaCoherent memory = DmaCoherent.TryAllocate(device.Dma, 3)!;
        ulong page = _unit.Access(Sender, memory.Address.Value, true)!.Value >> 12;
        int seen = 0;
        _unit.OnInvalidate = () =>
        {
            seen++;
            Assert.That(FrameTable.StateOf(page), Is.EqualTo(FrameState.Untyped));
        };
        memory.Dispose();
        Assert.That(seen, Is.EqualTo(1));
        Assert.That(FrameTable.StateOf(page), Is.Not.EqualTo(FrameState.Untyped));
        _unit.OnInvalidate = null;
    }

    [TestCaseSource(nameof(Units))]
    public void Disposed_claim_reaches_nothing_and_a_new_one_does(int features)
    {
        PciFunction function = Start((VtdFeatures)features);
        using Segment segment = Segment.Allocate(1);
        PciDevice device = function.TryClaim()!;
        using DmaStream stream = DmaStream.TryMap(device.Dma, segment, DmaDirection.Bidirectional)!;
        ulong at = stream.Address.Value;
        Assert.That(_unit.Access(Sender, at, true), Is.Not.Null);
        device.Dispose();
        Assert.That(_unit.Access(Sender, at, true), Is.Null);
        using PciDevice again = function.TryClaim()!;
        Assert.That(_unit.Access(Sender, at, true), Is.EqualTo(segment.Start.Value), "the mapping is the function's while its owner keeps it");
    }

    [Test]
    public void Unit_that_the_firmware_left_on_is_taken_over()
    {
        _unit = new SimulatedVtd(VtdFeatures.Queued);
        _unit.LeaveOn();
        Machine.DeviceMemory.Attach(SimulatedVtd.At, 0x1000, _unit);
        AcpiTables.Install("DMAR", DmarTableTests.Dmar(DmarTableTests.Unit(SimulatedVtd.At, true)));
        Only(new SimulatedFunction(1, 1));
        Iommu.Initialize();
        Assert.That(_unit.IsTranslating, Is.True);
        Assert.That(_unit.Read(0x1C, 4) >> 25 & 1, Is.Zero, "interrupt remapping is off");
        Assert.That(_unit.Access(Sender, 0x100000, true), Is.Null);
    }

    [TestCase((int)VtdFeatures.Queued)]
    [TestCase((int)VtdFeatures.None)]
    public void Unit_that_does_not_answer_is_not_used(int features)
    {
        _unit = new SimulatedVtd((VtdFeatures)features) { IsDead = true };
        Machine.DeviceMemory.Attach(SimulatedVtd.At, 0x1000, _unit);
        AcpiTables.Install("DMAR", DmarTableTests.Dmar(DmarTableTests.Unit(SimulatedVtd.At, true)));
        PciFunction function = Only(new SimulatedFunction(1, 1));
        LetTimePass(Iommu.Initialize);
        Assert.That(Iommu.IsEnabled, Is.False);
        Assert.That(Machine.TakeConsoleOutput(), Does.Contain("it does not answer").And.Contain("trusted with all memory"));
        using PciDevice device = function.TryClaim()!;
        Assert.That(device.Dma.IsIsolated, Is.False);
    }

    [TestCase((int)VtdFeatures.Queued)]
    [TestCase((int)VtdFeatures.None)]
    public void Invalidation_that_does_not_end_is_a_panic(int features)
    {
        PciDevice device = Start((VtdFeatures)features).TryClaim()!;
        DmaCoherent memory = DmaCoherent.TryAllocate(device.Dma, 1)!;
        _unit.IsDead = true;
        Exception? problem = null;
        LetTimePass(() =>
        {
            try
            {
                memory.Dispose();
            }
            catch (Exception panic)
            {
                problem = panic;
            }
        });
        Assert.That(problem?.Message, Does.Contain("does not finish an invalidation"));
    }

    [Test]
    public void Absent_unit_is_not_used()
    {
        AcpiTables.Install("DMAR", DmarTableTests.Dmar(DmarTableTests.Unit(SimulatedVtd.At, true)));
        Only(new SimulatedFunction(1, 1));
        Iommu.Initialize();
        Assert.That(Iommu.IsEnabled, Is.False);
        Assert.That(Machine.TakeConsoleOutput(), Does.Contain("is not used (there is none)"));
    }

    [Test]
    public void Unit_without_a_usable_width_is_not_used()
    {
        _unit = new SimulatedVtd(VtdFeatures.Queued);
        _unit.SetRegister64(0x08, _unit.Read(0x08, 8) & ~(31UL << 8));
        Machine.DeviceMemory.Attach(SimulatedVtd.At, 0x1000, _unit);
        AcpiTables.Install("DMAR", DmarTableTests.Dmar(DmarTableTests.Unit(SimulatedVtd.At, true)));
        Only(new SimulatedFunction(1, 1));
        Iommu.Initialize();
        Assert.That(Machine.TakeConsoleOutput(), Does.Contain("neither 39 nor 48 address bits"));
        Assert.That(_unit.IsTranslating, Is.False);
    }

    [TestCase("off", ExpectedResult = true)]
    [TestCase("on", ExpectedResult = false)]
    [TestCase("", ExpectedResult = false)]
    [TestCase(null, ExpectedResult = false)]
    public bool Only_the_word_off_leaves_it_off(string? option) => Iommu.IsSwitchedOff(option);

    [Test]
    public void Registers_of_the_unit_cannot_be_acquired_as_device_memory()
    {
        Start(VtdFeatures.Queued);
        Assert.That(IoMem.TryAcquire(new PhysicalAddress(SimulatedVtd.At + 0x18), 4), Is.Null);
    }

    [Test]
    public void Refused_requests_are_counted_logged_and_limited()
    {
        PciFunction function = Start(VtdFeatures.Queued);
        using PciDevice device = function.TryClaim()!;
        long before = Iommu.FaultCount;
        Assert.That(_unit.Access(Sender, 0x12345678, true), Is.Null);
        Task.YieldIfNeeded();
        Assert.That(Iommu.FaultCount, Is.EqualTo(before + 1));
        Assert.That(Iommu.LastFault, Is.EqualTo(new DmaFault(new PciAddress(0, 0, 3, 0), new DeviceAddress(0x12345000), true, 5)));
        Assert.That(Machine.TakeConsoleOutput(), Does.Contain("0000:00:03.0 was refused to write 0x12345000: reason 5"));
        Advance(20 * Second);
        for (int i = 0; i < 1000; i++)
        {
            _unit.Access(Sender, 0x1000, false);
            Task.YieldIfNeeded();
        }
        Assert.That(Machine.TakeConsoleOutput().Split('\n').Count(line => line.Contains("was refused", StringComparison.Ordinal)), Is.EqualTo(10));
        Assert.That(Iommu.FaultCount - before - 1, Is.LessThanOrEqualTo(70), "a burst, then the interrupt is masked");
        Advance(Second);
        _unit.Access(Sender, 0x1000, false);
        Task.YieldIfNeeded();
        Assert.That(Iommu.FaultCount - before, Is.GreaterThan(60), "and comes back");
        Advance(20 * Second);
        _unit.Access(Sender, 0x1000, false);
        Task.YieldIfNeeded();
        Assert.That(Machine.TakeConsoleOutput(), Does.Match(@"refused to read 0x1000: reason 6 \(\d+ more before it\)"));
    }

    [Test]
    public void Mapping_without_memory_is_null_and_leaves_nothing_behind()
    {
        using PciDevice device = Start(VtdFeatures.Queued | VtdFeatures.PageInvalidation).TryClaim()!;
        using Segment segment = Segment.Allocate(1000);
        using (DmaStream first = DmaStream.TryMap(device.Dma, segment, DmaDirection.ToDevice)!) Assert.That(first, Is.Not.Null);
        var held = new List<Frame>();
        while (Frame.TryAllocate() is { } frame) held.Add(frame);
        // The address space is used up to the end of the tables that exist: another mapping of that size needs a new one.
        var streams = new List<DmaStream>();
        DmaStream? stream;
        while ((stream = DmaStream.TryMap(device.Dma, segment, DmaDirection.ToDevice)) is not null && streams.Count < 100) streams.Add(stream);
        Assert.That(streams.Count, Is.LessThan(100), "a mapping failed");
        ulong last = streams.Count > 0 ? streams[^1].Address.Value : 0;
        foreach (Frame frame in held) frame.Dispose();
        for (ulong page = 1 << 20; page < last + (64 << 20); page += 4096)
        {
            bool isMapped = streams.Exists(s => page >= s.Address.Value && page < s.Address.Value + (ulong)s.Length);
            Assert.That(_unit.Access(Sender, page, false) is not null, Is.EqualTo(isMapped));
            Task.YieldIfNeeded();
        }
        foreach (DmaStream open in streams) open.Dispose();
        using DmaStream again = DmaStream.TryMap(device.Dma, segment, DmaDirection.ToDevice)!;
        Assert.That(again, Is.Not.Null);
    }

    [Test]
    public void Functions_behind_a_conventional_bridge_share_a_domain_and_its_senders()
    {
        _unit = new SimulatedVtd(VtdFeatures.Queued);
        Machine.DeviceMemory.Attach(SimulatedVtd.At, 0x1000, _unit);
        AcpiTables.Install("DMAR", DmarTableTests.Dmar(DmarTableTests.Unit(SimulatedVtd.At, true)));
        Pci.AddBridge(0, 1, 1, expressType: 4);             // root port
        Pci.AddBridge(1, 0, 2, expressType: 7);             // to conventional PCI
        Pci.Add(2, 4, 0, new SimulatedFunction(1, 1));
        Pci.Add(2, 5, 0, new SimulatedFunction(1, 2));
        Pci.AddBridge(0, 2, 3, expressType: 4);
        Pci.Add(3, 0, 0, new SimulatedFunction(1, 3));
        PciBus.Enumerate();
        Iommu.Initialize();
        PciDevice Claim(byte bus, byte number) => PciBus.Find(new PciAddress(0, bus, number, 0))!.TryClaim()!;
        using PciDevice first = Claim(2, 4), second = Claim(2, 5), alone = Claim(3, 0);
        Assert.That(second.Dma, Is.SameAs(first.Dma));
        Assert.That(alone.Dma, Is.Not.SameAs(first.Dma));
        using DmaCoherent shared = DmaCoherent.TryAllocate(first.Dma, 1)!, own = DmaCoherent.TryAllocate(alone.Dma, 1)!;
        ulong at = shared.Address.Value;
        Assert.That(own.Address.Value, Is.EqualTo(at), "each domain has all addresses");
        ulong physical = _unit.Access(0x200, at, true)!.Value;
        Assert.That((_unit.Access(0x220, at, true), _unit.Access(0x228, at, true)), Is.EqualTo((physical, physical)), "by their own names too");
        Assert.That(_unit.Access(0x300, at, true), Is.Not.Null.And.Not.EqualTo(physical));
        first.Dispose();
        Assert.That(_unit.Access(0x200, at, true), Is.EqualTo(physical), "the other one sends under the bridge's name");
        Assert.That(_unit.Access(0x220, at, true), Is.Null);
        second.Dispose();
        Assert.That(_unit.Access(0x200, at, true), Is.Null);
    }

    // Runs an action while another host thread lets simulated time pass.
    private static void LetTimePass(Action action)
    {
        using var stop = new System.Threading.ManualResetEventSlim();
        var clock = new System.Threading.Thread(() =>
        {
            while (!stop.Wait(1)) Machine.AdvanceTime(100 * Millisecond);
        });
        clock.Start();
        action();
        stop.Set();
        clock.Join();
    }
}
