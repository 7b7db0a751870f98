using System;
using System.Buffers.Binary;
using Asterinas.Services.Processes;
using Asterinas.Services.Time;

namespace Asterinas.Services.Syscalls;

/// <summary>adjtimex(2) and clock_adjtime(2).</summary>
internal static class ClockAdjustSyscalls
{
    private const int Bytes = 208;                      // struct timex
    private const uint Frequency = 0x2, MaximumError = 0x4, EstimatedError = 0x8, StatusMode = 0x10, TimeConstant = 0x20, TaiMode = 0x80, SetOffset = 0x100,
        Micro = 0x1000, Nano = 0x2000, Tick = 0x4000, SingleShot = 0x8001, SingleShotRead = 0xA001;
    private const int Unsynchronised = 0x40, NanoStatus = 0x2000, ReadOnlyStatus = 0xFF00;
    private const int ErrorState = 5;

    private static readonly SpinLock s_lock = new("adjtimex");
    private static long s_frequency, s_maximumError = 16000000, s_estimatedError = 16000000, s_timeConstant = 2, s_tick = 10000;
    private static int s_status = Unsynchronised, s_tai;

    public static void Register()
    {
        SyscallTable.Add(159, "adjtimex", static (in SyscallArguments a) => Adjust(a.Thread, a.Address(0)), "the frequency is kept but does not steer the clock; offsets are not slewed");
        SyscallTable.Add(305, "clock_adjtime", static (in SyscallArguments a) =>
        {
            Errno error = ClockSource.Find(a.Int(0), a.Thread, out ClockSource _);
            if (error != Errno.None) return -(long)error;
            return a.Int(0) == ClockSource.RealTimeId ? Adjust(a.Thread, a.Address(1)) : -(long)Errno.EOPNOTSUPP;
        }, "as adjtimex");
    }

    private static long Adjust(Thread thread, Ostd.Memory.UserAddress address)
    {
        Span<byte> bytes = stackalloc byte[Bytes];
        if (thread.Memory.Read(address, bytes) != Errno.None) return -(long)Errno.EFAULT;
        uint modes = BinaryPrimitives.ReadUInt32LittleEndian(bytes);
        bool isSingleShot = (modes & SingleShot) == SingleShot;
        if ((isSingleShot ? modes != SingleShotRead : modes != 0) && !thread.Credentials.Has(Capability.SysTime)) return -(long)Errno.EPERM;
        if (isSingleShot && modes is not (SingleShot or SingleShotRead)) return -(long)Errno.EINVAL;
        long step = 0;
        if (!isSingleShot)
        {
            if ((modes & Tick) != 0 && BinaryPrimitives.ReadInt64LittleEndian(bytes[88..]) is < 9000 or > 11000) return -(long)Errno.EINVAL;
            if ((modes & SetOffset) != 0)
            {
                long seconds = BinaryPrimitives.ReadInt64LittleEndian(bytes[72..]), fraction = BinaryPrimitives.ReadInt64LittleEndian(bytes[80..]);
                bool isNano = (modes & Nano) != 0;
                if (fraction < 0 || fraction >= (isNano ? UserTime.Second : 1000000) || Math.Abs(seconds) > long.MaxValue / UserTime.Second / 2) return -(long)Errno.EINVAL;
                step = seconds * UserTime.Second + fraction * (isNano ? 1 : 1000);
            }
        }
        using (SpinLock.Guard guard = s_lock.Lock())
        {
            if (!isSingleShot) Store(modes, bytes);
            Encode(bytes);
        }
        if (step != 0) WallClock.Set(WallClock.NowNs + step);
        long now = WallClock.NowNs;
        BinaryPrimitives.WriteInt64LittleEndian(bytes[72..], now / UserTime.Second);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[80..], (s_status & NanoStatus) != 0 ? now % UserTime.Second : now % UserTime.Second / 1000);
        if (thread.Memory.Write(address, bytes) != Errno.None) return -(long)Errno.EFAULT;
        return (s_status & Unsynchronised) != 0 ? ErrorState : 0;
    }

    private static void Store(uint modes, ReadOnlySpan<byte> bytes)
    {
        const long MostFrequency = 500L << 16;
        if ((modes & StatusMode) != 0) s_status = (s_status & ReadOnlyStatus) | (BinaryPrimitives.ReadInt32LittleEndian(bytes[40..]) & ~ReadOnlyStatus);
        if ((modes & Nano) != 0) s_status |= NanoStatus;
        if ((modes & Micro) != 0) s_status &= ~NanoStatus;
        if ((modes & Frequency) != 0) s_frequency = Math.Clamp(BinaryPrimitives.ReadInt64LittleEndian(bytes[16..]), -MostFrequency, MostFrequency);
        if ((modes & MaximumError) != 0) s_maximumError = BinaryPrimitives.ReadInt64LittleEndian(bytes[24..]);
        if ((modes & EstimatedError) != 0) s_estimatedError = BinaryPrimitives.ReadInt64LittleEndian(bytes[32..]);
        if ((modes & TimeConstant) != 0) s_timeConstant = Math.Clamp(BinaryPrimitives.ReadInt64LittleEndian(bytes[48..]), 0, 10);
        if ((modes & TaiMode) != 0 && BinaryPrimitives.ReadInt64LittleEndian(bytes[48..]) is >= 0 and <= 100000 and var tai) s_tai = (int)tai;
        if ((modes & Tick) != 0) s_tick = BinaryPrimitives.ReadInt64LittleEndian(bytes[88..]);
    }

    private static void Encode(Span<byte> bytes)
    {
        const long ToleranceScaled = 500L << 16;
        BinaryPrimitives.WriteInt64LittleEndian(bytes[8..], 0);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[16..], s_frequency);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[24..], s_maximumError);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[32..], s_estimatedError);
        BinaryPrimitives.WriteInt32LittleEndian(bytes[40..], s_status);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[48..], s_timeConstant);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[56..], 1);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[64..], ToleranceScaled);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[88..], s_tick);
        bytes[96..160].Clear();
        BinaryPrimitives.WriteInt32LittleEndian(bytes[160..], s_tai);
    }
}
