using System;
using System.Threading;
using Asterinas.Ostd.Dma;
using Asterinas.Ostd.Interrupts;
using Asterinas.Ostd.Io;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Pci;
using Asterinas.Ostd.Sync;

namespace Asterinas.Tests.Kernel;

/// <summary>
/// A driver of QEMU's educational device (docs/specs/edu in QEMU), in safe code: registers, a factorial, DMA to and from a buffer of 4 KiB inside the device, an interrupt.
/// </summary>
internal sealed class Edu : IDisposable
{
    /// <summary>Bytes of one transfer at most: QEMU refuses one that reaches the last byte of the buffer.</summary>
    public const int MostBytes = 4088;

    private const ulong Second = 1000000000;
    private const ulong Identification = 0x00, Liveness = 0x04, Factorial = 0x08, Status = 0x20, InterruptStatus = 0x24, RaiseInterrupt = 0x60, AcknowledgeInterrupt = 0x64,
        DmaSource = 0x80, DmaDestination = 0x88, DmaCount = 0x90, DmaCommand = 0x98, Buffer = 0x40000;
    private const uint Computing = 1, InterruptWhenDone = 0x80;
    private const uint DmaRun = 1, DmaToMemory = 2, DmaInterrupt = 4, DmaDone = 0x100;

    private readonly IoMem _registers;
    private readonly WaitQueue _interrupts = new();
    private uint _pending;

    public Edu()
    {
        Function = Devices.Find(0x1234, 0x11E8);
        Device = Function.TryClaim() ?? throw new TestFailure("edu is claimed");
        _registers = Devices.Map(Device, 0);
        // What an earlier driver left pending.
        _registers.Write32(AcknowledgeInterrupt, _registers.Read32(InterruptStatus));
    }

    public PciFunction Function { get; }

    public PciDevice Device { get; }

    public uint Id => _registers.Read32(Identification);

    /// <summary>The device inverts what was written.</summary>
    public uint CheckLiveness(uint value)
    {
        _registers.Write32(Liveness, value);
        return _registers.Read32(Liveness);
    }

    public uint ComputeFactorial(uint value)
    {
        _registers.Write32(Status, 0);
        _registers.Write32(Factorial, value);
        for (int i = 0; i < 1000 && (_registers.Read32(Status) & Computing) != 0; i++) Ostd.Tasks.Task.Sleep(1000000);
        return _registers.Read32(Factorial);
    }

    /// <summary>Lets the device interrupt when the factorial is done, and answers its cause.</summary>
    public uint ComputeFactorialWithInterrupt(uint value)
    {
        _registers.Write32(Status, InterruptWhenDone);
        _registers.Write32(Factorial, value);
        return WaitForInterrupt();
    }

    /// <summary>Asks for an interrupt with a cause of ours.</summary>
    public void Raise(uint cause) => _registers.Write32(RaiseInterrupt, cause);

    /// <summary>The bottom half: takes the cause from the device, acknowledges it, wakes whoever waits.</summary>
    public void OnInterrupt()
    {
        uint cause = _registers.Read32(InterruptStatus);
        _registers.Write32(AcknowledgeInterrupt, cause);
        Interlocked.Or(ref _pending, cause);
        _interrupts.WakeAll();
    }

    public uint WaitForInterrupt()
    {
        if (_interrupts.WaitBounded(this, static edu => Volatile.Read(ref edu._pending) != 0, 10 * Second) != WaitResult.Woken) throw new TestFailure("no interrupt within 10 s");
        return Interlocked.Exchange(ref _pending, 0);
    }

    /// <summary>Copies from memory into the device's buffer and waits for the interrupt.</summary>
    public void CopyIn(DeviceAddress from, ulong bufferOffset, ulong bytes) => Copy(from.Value, Buffer + bufferOffset, bytes, DmaRun | DmaInterrupt);

    /// <summary>Copies from the device's buffer to memory and waits for the interrupt.</summary>
    public void CopyOut(ulong bufferOffset, DeviceAddress to, ulong bytes) => Copy(Buffer + bufferOffset, to.Value, bytes, DmaRun | DmaToMemory | DmaInterrupt);

    public void Dispose()
    {
        Device.Dispose();
        _registers.Dispose();
    }

    private void Copy(ulong source, ulong destination, ulong bytes, uint command)
    {
        _registers.Write64(DmaSource, source);
        _registers.Write64(DmaDestination, destination);
        _registers.Write64(DmaCount, bytes);
        _registers.Write64(DmaCommand, command);
        Expect.Equal(DmaDone, WaitForInterrupt(), "cause of the interrupt");
    }
}

/// <summary>What tests of devices share.</summary>
internal static class Devices
{
    public static PciFunction Find(ushort vendor, ushort device)
    {
        foreach (PciFunction function in PciBus.Functions)
        {
            if (function.VendorId == vendor && function.DeviceId == device) return function;
        }
        throw new TestFailure($"no function {vendor:x4}:{device:x4}");
    }

    /// <summary>Maps a register of a function that another test had: its claim on the memory ends when the object is collected.</summary>
    public static IoMem Map(PciDevice device, int bar)
    {
        for (int i = 0; i < 5; i++)
        {
            if (device.TryMapBar(bar) is { } memory) return memory;
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }
        throw new TestFailure($"register {bar} of {device.Function} cannot be mapped");
    }

    public static IrqLine Line(Action bottomHalf)
    {
        IrqLine line = IrqLine.TryAllocate() ?? throw new TestFailure("no free vector");
        line.SetBottomHalf(bottomHalf);
        return line;
    }

    public static void Fill(Segment segment, Func<int, byte> value)
    {
        byte[] bytes = new byte[segment.Length];
        for (int i = 0; i < bytes.Length; i++) bytes[i] = value(i);
        VmWriter writer = segment.Writer();
        Expect.Equal(bytes.Length, writer.Write(bytes), "bytes written");
    }

    public static byte[] Contents(Segment segment)
    {
        byte[] bytes = new byte[segment.Length];
        VmReader reader = segment.Reader();
        Expect.Equal(bytes.Length, reader.Read(bytes), "bytes read");
        return bytes;
    }
}
