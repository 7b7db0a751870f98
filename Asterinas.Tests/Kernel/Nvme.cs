using System;
using System.Text;
using Asterinas.Ostd.Dma;
using Asterinas.Ostd.Interrupts;
using Asterinas.Ostd.Io;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Pci;
using Asterinas.Ostd.Tasks;

namespace Asterinas.Tests.Kernel;

/// <summary>The admin queue of an NVMe controller (NVM Express 1.4), as much as it takes to ask who it is: completions interrupt through entry 0 of its MSI-X table.</summary>
internal sealed class Nvme : IDisposable
{
    public const ushort Vendor = 0x1B36, Device = 0x0010;
    private const ulong Configuration = 0x14, Status = 0x1C, QueueSizes = 0x24, SubmissionBase = 0x28, CompletionBase = 0x30, SubmissionDoorbell = 0x1000, CompletionDoorbell = 0x1004;
    private const int Entries = 4, SubmissionBytes = 64, CompletionBytes = 16;
    private const int TableAt = 0x2000;

    private readonly PciDevice _device;
    private readonly IoMem _registers;
    private DmaCoherent? _submission, _completion;
    private int _sent;

    public Nvme()
    {
        PciFunction function = Devices.Find(Vendor, Device);
        _device = function.TryClaim() ?? throw new TestFailure("nvme is claimed");
        _registers = Devices.Map(_device, 0);
    }

    /// <summary>The table lies in the register's memory: its page can be read and not written, by any way.</summary>
    public void CheckTableIsClosed()
    {
        PciFunction function = _device.Function;
        uint table = function.ReadConfig32(function.FindCapability(PciCapability.MsiX)!.Value.Offset + 4);
        Expect.Equal((uint)TableAt, table, "where the table is");
        _registers.Read32(TableAt);
        foreach (ulong offset in new ulong[] { TableAt, TableAt + 8, TableAt + 0xFFC })
        {
            Expect.Throws<UnauthorizedAccessException>(() => _registers.Write32(offset, 0xFEE00000));
            Expect.Throws<UnauthorizedAccessException>(() => _registers.Write8(offset, 0));
        }
        Expect.True(IoMem.TryAcquire(new PhysicalAddress(function.GetBar(0)!.Value.Start + TableAt), 4) is null, "the table as device memory of its own");
    }

    /// <summary>Brings the controller up with an admin queue whose completions go to a line.</summary>
    public void Start(IrqLine line)
    {
        _submission = DmaCoherent.TryAllocate(_device.Dma, 1) ?? throw new TestFailure("no memory");
        _completion = DmaCoherent.TryAllocate(_device.Dma, 1) ?? throw new TestFailure("no memory");
        _device.IsBusMaster = true;
        Expect.True(_device.TryBindMsiX(0, line), "entry 0 of the table");
        _registers.Write32(Configuration, 0);
        WaitReady(0);
        _registers.Write32(QueueSizes, (Entries - 1) << 16 | (Entries - 1));
        _registers.Write64(SubmissionBase, _submission.Address.Value);
        _registers.Write64(CompletionBase, _completion.Address.Value);
        // 64-byte commands, 16-byte completions, 4 KiB pages, on.
        _registers.Write32(Configuration, 4 << 20 | 6 << 16 | 1);
        WaitReady(1);
    }

    /// <summary>Asks the controller for its model number and waits for the answer in memory.</summary>
    public string Identify()
    {
        using DmaCoherent answer = DmaCoherent.TryAllocate(_device.Dma, 1) ?? throw new TestFailure("no memory");
        int slot = _sent % Entries, phase = 1 - _sent / Entries % 2;
        _sent++;
        Span<byte> command = stackalloc byte[SubmissionBytes];
        command.Clear();
        command[0] = 6;                                     // Identify
        BitConverter.TryWriteBytes(command[2..], (ushort)_sent);
        BitConverter.TryWriteBytes(command[24..], answer.Address.Value);
        command[40] = 1;                                    // the controller
        VmWriter writer = _submission!.Writer(slot * SubmissionBytes, SubmissionBytes);
        writer.Write(command);
        _registers.Write32(SubmissionDoorbell, (uint)(_sent % Entries));
        int completion = slot * CompletionBytes + 12;
        for (int i = 0; i < 5000 && (_completion!.ReadUInt32(completion) >> 16 & 1) != phase; i++) Task.Sleep(1000000);
        uint end = _completion!.ReadUInt32(completion);
        Expect.Equal((uint)phase, end >> 16 & 1, "the controller answers");
        Expect.Equal(0u, end >> 17, "status");
        _registers.Write32(CompletionDoorbell, (uint)(_sent % Entries));
        Span<byte> model = stackalloc byte[40];
        VmReader reader = answer.Reader(24, 40);
        reader.Read(model);
        return Encoding.ASCII.GetString(model).TrimEnd();
    }

    public void Dispose()
    {
        _registers.Write32(Configuration, 0);
        _device.Dispose();
        _registers.Dispose();
        _submission?.Dispose();
        _completion?.Dispose();
    }

    private void WaitReady(uint ready)
    {
        for (int i = 0; i < 5000 && (_registers.Read32(Status) & 1) != ready; i++) Task.Sleep(1000000);
        Expect.Equal(ready, _registers.Read32(Status) & 3, "the controller's state");
    }
}
