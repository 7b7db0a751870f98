using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Timers;
using Asterinas.Services.Memory;

namespace Asterinas.Services.Time;

/// <summary>Times as programs hold them: struct timespec, timeval and itimerspec (man 3 timespec).</summary>
internal static class UserTime
{
    public const long Second = 1000000000;
    private const long MostSeconds = long.MaxValue / Second - 1;

    /// <summary>Reads a struct timespec as nanoseconds; what does not fit is as good as for ever. EFAULT; EINVAL when it is negative or has a second's worth of nanoseconds.</summary>
    public static Errno ReadTimespec(AddressSpace memory, UserAddress address, out long nanoseconds)
    {
        Span<byte> bytes = stackalloc byte[16];
        nanoseconds = 0;
        return memory.Read(address, bytes) != Errno.None ? Errno.EFAULT : Decode(bytes, Second, 1, out nanoseconds);
    }

    /// <summary>Reads a struct timeval as nanoseconds. EFAULT; EINVAL when it is negative or has a second's worth of microseconds.</summary>
    public static Errno ReadTimeval(AddressSpace memory, UserAddress address, out long nanoseconds)
    {
        Span<byte> bytes = stackalloc byte[16];
        nanoseconds = 0;
        return memory.Read(address, bytes) != Errno.None ? Errno.EFAULT : Decode(bytes, 1000000, 1000, out nanoseconds);
    }

    public static Errno WriteTimespec(AddressSpace memory, UserAddress address, long nanoseconds)
    {
        Span<byte> bytes = stackalloc byte[16];
        Encode(bytes, nanoseconds, 1);
        return memory.Write(address, bytes);
    }

    public static Errno WriteTimeval(AddressSpace memory, UserAddress address, long nanoseconds)
    {
        Span<byte> bytes = stackalloc byte[16];
        Encode(bytes, nanoseconds, 1000);
        return memory.Write(address, bytes);
    }

    /// <summary>Two times in a row: interval, then value (struct itimerspec and itimerval).</summary>
    /// <param name="unit">Nanoseconds in a unit of the second field: 1 or 1000.</param>
    public static Errno ReadPair(AddressSpace memory, UserAddress address, int unit, out long interval, out long value)
    {
        Span<byte> bytes = stackalloc byte[32];
        interval = value = 0;
        if (memory.Read(address, bytes) != Errno.None) return Errno.EFAULT;
        Errno error = Decode(bytes, Second / unit, unit, out interval);
        return error != Errno.None ? error : Decode(bytes[16..], Second / unit, unit, out value);
    }

    /// <summary>Writes interval and value.</summary>
    public static Errno WritePair(AddressSpace memory, UserAddress address, int unit, long interval, long value)
    {
        Span<byte> bytes = stackalloc byte[32];
        Encode(bytes, interval, unit);
        Encode(bytes[16..], value, unit);
        return memory.Write(address, bytes);
    }

    /// <summary>The moment on the monotonic clock after so many nanoseconds; <see cref="ulong.MaxValue"/> when that is never, 0 for no time at all.</summary>
    public static ulong DeadlineAfter(long nanoseconds)
    {
        if (nanoseconds <= 0) return 0;
        ulong now = Clock.MonotonicNs;
        return (ulong)nanoseconds >= (ulong)MostSeconds * Second - now ? ulong.MaxValue : now + (ulong)nanoseconds;
    }

    private static Errno Decode(ReadOnlySpan<byte> bytes, long fractions, int unit, out long nanoseconds)
    {
        long seconds = BinaryPrimitives.ReadInt64LittleEndian(bytes), fraction = BinaryPrimitives.ReadInt64LittleEndian(bytes[8..]);
        nanoseconds = 0;
        if (seconds < 0 || fraction < 0 || fraction >= fractions) return Errno.EINVAL;
        nanoseconds = seconds > MostSeconds ? long.MaxValue : seconds * Second + fraction * unit;
        return Errno.None;
    }

    private static void Encode(Span<byte> bytes, long nanoseconds, int unit)
    {
        long seconds = Math.DivRem(nanoseconds, Second, out long rest);
        if (rest < 0)
        {
            rest += Second;
            seconds--;
        }
        BinaryPrimitives.WriteInt64LittleEndian(bytes, seconds);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[8..], rest / unit);
    }
}
