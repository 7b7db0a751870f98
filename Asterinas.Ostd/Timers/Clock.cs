using System;
using Asterinas.Ostd.Arch;

namespace Asterinas.Ostd.Timers;

/// <summary>Time. The monotonic clock counts from boot and is driven by the calibrated time-stamp counter.</summary>
public static class Clock
{
    /// <summary>Nanoseconds since boot; never goes back.</summary>
    public static ulong MonotonicNs => Machine.MonotonicNs();

    /// <summary>The wall clock: the RTC at boot, to the second, plus the monotonic clock. UTC.</summary>
    public static DateTime UtcNow => DateTime.UnixEpoch.AddTicks((long)((Machine.RealTimeNsAtBoot() + Machine.MonotonicNs()) / 100));

    /// <summary>Frequency of the time-stamp counter in hertz, calibrated at boot.</summary>
    public static ulong TscFrequency => Machine.TscFrequency();

    /// <summary>The time-stamp counter at monotonic time 0: with <see cref="TscMultiplier"/>, what a program needs to read the clock by itself.</summary>
    public static ulong TscAtBoot => Machine.TscAtBoot();

    /// <summary>Monotonic nanoseconds are the ticks since boot times this, shifted right by 32.</summary>
    public static ulong TscMultiplier => Machine.TscMultiplier();
}
