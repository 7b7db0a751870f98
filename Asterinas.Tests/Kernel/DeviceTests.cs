using System;
using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Dma;
using Asterinas.Ostd.Interrupts;
using Asterinas.Ostd.Io;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Pci;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Tasks;

namespace Asterinas.Tests.Kernel;

/// <summary>PCI, interrupts of devices, DMA, and the IOMMU when the machine has one.</summary>
internal static class DeviceTests
{
    private const ulong Millisecond = 1000000;

    public static void Register()
    {
        Program.Add("Pci_functions_are_found_behind_bridges_and_are_quiet", Enumeration);
        Program.Add("Pci_functions_have_one_owner_and_bridges_none", Claims);
        Program.Add("Edu_answers_by_its_registers", EduRegisters);
        Program.Add("Edu_interrupts_by_message", EduMessage);
        Program.Add("Edu_interrupts_through_its_pin", EduPin);
        Program.Add("Edu_copies_by_DMA_both_ways", EduDma);
        Program.Add("Nvme_interrupts_through_an_MSIX_table_that_drivers_cannot_write", NvmeMsiX);
        Program.Add("Iommu_refuses_what_is_not_mapped", IommuRefuses);
    }

    private static void Enumeration()
    {
        PciFunction nvme = Devices.Find(Nvme.Vendor, Nvme.Device);
        Expect.True(nvme.Bridge is { IsBridge: true } bridge && bridge.Address.Bus == 0 && nvme.Address.Bus != 0, $"{nvme} behind a bridge");
        Expect.True(nvme.GetBar(0) is { IsMemory: true, IsAssigned: true, Length: >= 0x2000 }, "the registers of nvme");
        Expect.True(nvme.MsiXCount > 0 && nvme.FindCapability(PciCapability.Express) is not null, "the capabilities of nvme");
        Expect.True(nvme.ReadConfig32(0x100) != uint.MaxValue, "extended configuration space");
        PciFunction edu = Devices.Find(0x1234, 0x11E8);
        Expect.True(edu.Bridge is null && edu.HasMsi && edu.MsiXCount == 0, "edu");
        Expect.Equal(new PciBar(PciBarKind.Memory32, edu.GetBar(0)!.Value.Start, 1 << 20, false), edu.GetBar(0)!.Value, "the registers of edu");
        for (int i = 0; i < PciBus.Functions.Count; i++)
        {
            PciFunction function = PciBus.Functions[i];
            Expect.True(PciBus.Find(function.Address) == function, "find by address");
            Expect.True(i == 0 || PciBus.Functions[i - 1].Address.CompareTo(function.Address) < 0, "the order of addresses");
            int command = function.ReadConfig16(4);
            Expect.True(function.IsBridge || (command & 4) == 0 || function.IsClaimed, $"{function} sends requests and nobody claimed it");
            Expect.True(function.IsBridge || (command & 0x400) != 0 || function.IsClaimed, $"{function} may interrupt and nobody claimed it");
        }
    }

    private static void Claims()
    {
        foreach (PciFunction function in PciBus.Functions)
        {
            PciDevice? device = function.TryClaim();
            Expect.Equal(!function.IsBridge, device is not null, $"claim of {function}");
            Expect.True(function.TryClaim() is null, $"second claim of {function}");
            device?.Dispose();
            Expect.True(!function.IsClaimed, "the claim was given back");
        }
    }

    private static void EduRegisters()
    {
        using var edu = new Edu();
        Expect.Equal(0xEDu, edu.Id & 0xFF, "identification");
        foreach (uint value in new uint[] { 0, 1, 0x12345678, uint.MaxValue }) Expect.Equal(~value, edu.CheckLiveness(value), "liveness");
        Expect.Equal(3628800u, edu.ComputeFactorial(10), "10!");
        Expect.Equal(479001600u, edu.ComputeFactorial(12), "12!");
    }

    private static void EduMessage()
    {
        using var edu = new Edu();
        using IrqLine line = Devices.Line(edu.OnInterrupt);
        edu.Device.IsBusMaster = true;
        Expect.True(edu.Device.TryEnableMsi(line), "MSI");
        for (uint i = 1; i <= 20; i++)
        {
            edu.Raise(i);
            Expect.Equal(i, edu.WaitForInterrupt(), "cause");
        }
        Expect.Equal(20L, line.Count, "interrupts");
        Expect.Equal(1u, edu.ComputeFactorialWithInterrupt(5), "cause of the factorial's interrupt");

        // A message of a line that is gone reaches nobody.
        line.Dispose();
        long before = line.Count;
        edu.Raise(7);
        Task.Sleep(20 * Millisecond);
        Expect.Equal(before, line.Count, "interrupts after the end");
    }

    private static void EduPin()
    {
        using var edu = new Edu();
        using IrqLine line = Devices.Line(edu.OnInterrupt), other = Devices.Line(static () => { });
        Expect.True(edu.Device.TryRoutePin(line), "the pin can be routed on QEMU's machines");
        Expect.True(!edu.Device.TryRoutePin(other), "it has an owner");
        for (uint i = 1; i <= 20; i++)
        {
            edu.Raise(i);
            Expect.Equal(i, edu.WaitForInterrupt(), "cause");
        }
        Expect.Equal(20L, line.Count, "interrupts");
    }

    private static void EduDma()
    {
        using var edu = new Edu();
        using IrqLine line = Devices.Line(edu.OnInterrupt);
        Expect.Equal(Iommu.IsEnabled, edu.Device.Dma.IsIsolated, "whether the domain is isolated");
        edu.Device.IsBusMaster = true;
        Expect.True(edu.Device.TryEnableMsi(line), "MSI");

        using Segment source = Segment.Allocate(2), target = Segment.Allocate(3);
        Devices.Fill(source, i => (byte)(i * 7 + i / 256));
        Devices.Fill(target, _ => 0xEE);
        using (DmaStream from = DmaStream.TryMap(edu.Device.Dma, source, DmaDirection.ToDevice) ?? throw new TestFailure("no mapping"))
        using (DmaStream to = DmaStream.TryMap(edu.Device.Dma, target, DmaDirection.FromDevice) ?? throw new TestFailure("no mapping"))
        {
            from.SyncForDevice(0, from.Length);
            // Across a page, and not aligned.
            edu.CopyIn(from.Address + 100, 0, Edu.MostBytes);
            edu.CopyOut(0, to.Address + 4000, Edu.MostBytes);
            to.SyncForCpu(0, to.Length);
        }
        byte[] sent = Devices.Contents(source), received = Devices.Contents(target);
        for (int i = 0; i < received.Length; i++) Expect.Equal(i is >= 4000 and < 4000 + Edu.MostBytes ? sent[i - 4000 + 100] : (byte)0xEE, received[i], $"byte {i}");

        using DmaCoherent ring = DmaCoherent.TryAllocate(edu.Device.Dma, 1) ?? throw new TestFailure("no coherent memory");
        ring.WriteUInt64(0, 0x0123456789ABCDEF);
        edu.CopyIn(ring.Address, 64, 8);
        edu.CopyOut(64, ring.Address + 2048, 8);
        Expect.Equal(0x0123456789ABCDEFUL, ring.ReadUInt64(2048), "coherent memory");
    }

    private static void NvmeMsiX()
    {
        using var nvme = new Nvme();
        nvme.CheckTableIsClosed();
        using var command = new IrqLineCounter();
        nvme.Start(command.Line);
        string model = nvme.Identify();
        Expect.True(model.StartsWith("QEMU NVMe Ctrl", StringComparison.Ordinal), $"model '{model}'");
        Expect.True(command.WaitFor(1), "an interrupt through the table");
        nvme.Identify();
        Expect.True(command.WaitFor(2), "and another one");
    }

    private static void IommuRefuses()
    {
        if (!Iommu.IsEnabled)
        {
            // The machine has none: the tests behind an IOMMU boot another one.
            Expect.True(BootInfo.Current.GetOption("tests") != "devices", "the IOMMU that this boot is about");
            return;
        }
        using var edu = new Edu();
        using IrqLine line = Devices.Line(edu.OnInterrupt);
        edu.Device.IsBusMaster = true;
        Expect.True(edu.Device.TryEnableMsi(line), "MSI");
        using Segment memory = Segment.Allocate(4), secret = Segment.Allocate(1);
        Devices.Fill(memory, _ => 0x11);
        Devices.Fill(secret, _ => 0x22);
        ulong outside = secret.Start.Value;
        DmaStream stream = DmaStream.TryMap(edu.Device.Dma, memory.Slice(1, 2), DmaDirection.Bidirectional) ?? throw new TestFailure("no mapping");
        DeviceAddress mapped = stream.Address;

        // Inside the mapping it works: the buffer of the device then holds 0x11.
        edu.CopyIn(mapped, 0, Edu.MostBytes);
        VmWriter writer = memory.Writer(4096, Edu.MostBytes);
        writer.Write(new byte[Edu.MostBytes]);
        edu.CopyOut(0, mapped, Edu.MostBytes);
        Expect.True(Array.TrueForAll(Devices.Contents(memory), b => b == 0x11), "DMA inside the mapping");

        // Outside it writes nothing: behind the mapping, at a physical address, at another frame's address, across the mapping's end.
        Refused("behind the mapping", mapped + 2 * 4096, 0, 64);
        Refused("at a frame that was never mapped", new DeviceAddress(outside), 0, 64);
        Refused("at the physical address of the mapped frames", new DeviceAddress(memory.Start.Value + 4096), 0, 64);
        Refused("at the kernel's image", new DeviceAddress(0x200000), 0, 64);
        // The device moves the last 16 bytes of the mapping and the page behind it in one request or two: what lies inside may arrive.
        Refused("across the end", new DeviceAddress(mapped.Value + 2 * 4096 - 16), 0, 32);
        Expect.True(Array.TrueForAll(Devices.Contents(memory), b => b == 0x11), "memory beside the mapping");
        Expect.True(Array.TrueForAll(Devices.Contents(secret), b => b == 0x22), "memory that was never mapped");

        // And it reads nothing: the buffer does not get the secret.
        long before = Iommu.FaultCount;
        edu.CopyIn(new DeviceAddress(outside), 512, 64);
        AwaitFault(before, "read", isWrite: false, outside);
        edu.CopyOut(512, mapped, 64);
        byte[] got = Devices.Contents(memory)[4096..(4096 + 64)];
        Expect.True(Array.TrueForAll(got, b => b != 0x22), "the device has the secret");
        edu.CopyIn(mapped + 4096, 0, Edu.MostBytes);

        // A mapping for one direction refuses the other.
        using (DmaStream readOnly = DmaStream.TryMap(edu.Device.Dma, secret, DmaDirection.ToDevice) ?? throw new TestFailure("no mapping"))
        {
            Refused("against the direction", readOnly.Address, 0, 64);
            edu.CopyIn(readOnly.Address, 0, 64);
        }
        Expect.True(Array.TrueForAll(Devices.Contents(secret), b => b == 0x22), "memory mapped for reading");

        // A mapping that is gone refuses, although the unit knew it a moment ago.
        edu.CopyOut(0, mapped, 64);
        stream.Dispose();
        Devices.Fill(memory, _ => 0x33);
        Refused("after the end of the mapping", mapped, 0, 64);
        Expect.True(Array.TrueForAll(Devices.Contents(memory), b => b == 0x33), "memory that was mapped");

        void Refused(string what, DeviceAddress to, ulong offset, ulong bytes)
        {
            long count = Iommu.FaultCount;
            edu.CopyOut(offset, to, bytes);
            AwaitFault(count, what, isWrite: true, (to.Value + bytes - 1) & ~4095UL);
        }

        void AwaitFault(long count, string what, bool isWrite, ulong page)
        {
            for (int i = 0; i < 1000 && Iommu.FaultCount == count; i++) Task.Sleep(Millisecond);
            Expect.True(Iommu.FaultCount > count, $"{what}: a fault is reported");
            DmaFault fault = Iommu.LastFault!.Value;
            Expect.Equal((edu.Function.Address, page, isWrite), (fault.Source, fault.Address.Value, fault.IsWrite), what);
        }
    }
}

/// <summary>A line that counts its bottom half's calls for whoever waits.</summary>
internal sealed class IrqLineCounter : IDisposable
{
    private readonly WaitQueue _queue = new();

    public IrqLineCounter() => Line = Devices.Line(() => _queue.WakeAll());

    public IrqLine Line { get; }

    public bool WaitFor(long count) => _queue.WaitBounded((this, count), static s => s.Item1.Line.Count >= s.count, 10000000000) == WaitResult.Woken;

    public void Dispose() => Line.Dispose();
}
