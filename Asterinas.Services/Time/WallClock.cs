using System;
using System.Threading;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Timers;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Time;

/// <summary>CLOCK_REALTIME: the RTC at boot plus the monotonic clock, and what clock_settime(2) added.</summary>
internal static class WallClock
{
    private const ulong Second = 1000000000;
    private static readonly WaitQueue s_changed = new();
    // Nanoseconds since 1970 at monotonic time 0.
    private static long s_offsetNs = ReadOffset();
    private static int s_changes;

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

    /// <summary>Sets the clock. Timers that are set for a moment of it are told.</summary>
    public static void Set(long nanosecondsSince1970)
    {
        Volatile.Write(ref s_offsetNs, nanosecondsSince1970 - (long)Clock.MonotonicNs);
        Interlocked.Increment(ref s_changes);
        Vdso.OnClockSet();
        s_changed.WakeAll();
        IntervalTimer.OnWallClockSet();
    }

    /// <summary>Sleeps until the clock shows a moment, however it is set meanwhile. None, or ERESTARTNOHAND when a signal came.</summary>
    public static Errno SleepUntil(long nanosecondsSince1970)
    {
        while (true)
        {
            int changes = Volatile.Read(ref s_changes);
            long left = nanosecondsSince1970 - NowNs;
            if (left <= 0) return Errno.None;
            WaitResult result = s_changed.WaitInterruptible(changes, static seen => Volatile.Read(ref s_changes) != seen, (ulong)left);
            if (result == WaitResult.Interrupted) return Errno.ERESTARTNOHAND;
        }
    }

    private static long ReadOffset() => (Clock.UtcNow - DateTime.UnixEpoch).Ticks * 100 - (long)Clock.MonotonicNs;
}
