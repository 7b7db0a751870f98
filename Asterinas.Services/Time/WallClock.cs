using System;
using System.Threading;
using Asterinas.Ostd.Timers;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Time;

/// <summary>CLOCK_REALTIME: the RTC at boot plus the monotonic clock, and what clock_settime(2) added.</summary>
internal static class WallClock
{
    private const ulong Second = 1000000000;
    // Nanoseconds since 1970 at monotonic time 0.
    private static long s_offsetNs = ReadOffset();

    /// <summary>Nanoseconds since 1970.</summary>
    public static long NowNs => Volatile.Read(ref s_offsetNs) + (long)Clock.MonotonicNs;

    /// <summary>Nanoseconds between the monotonic and the wall clock's start.</summary>
    public static long OffsetNs => Volatile.Read(ref s_offsetNs);

    public static Timestamp Now
    {
        get
        {
            ulong now = (ulong)NowNs;
            return new Timestamp((long)(now / Second), (uint)(now % Second));
        }
    }

    /// <summary>Sets the clock.</summary>
    public static void Set(long nanosecondsSince1970) => Volatile.Write(ref s_offsetNs, nanosecondsSince1970 - (long)Clock.MonotonicNs);

    private static long ReadOffset() => (Clock.UtcNow - DateTime.UnixEpoch).Ticks * 100 - (long)Clock.MonotonicNs;
}
