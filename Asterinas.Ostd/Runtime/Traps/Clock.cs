using System;
using System.Runtime;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// Monotonic time from the time-stamp counter, calibrated once against the PIT's channel 2 (1,193,182 Hz; Intel 8254), and the wall clock read from
/// the CMOS RTC at boot.
/// </summary>
// SAFETY: the only pointers are to locals of a caller on the same stack.
internal static unsafe class Clock
{
    private const uint PitFrequency = 1193182;
    private static ulong s_tscAtBoot;
    private static ulong s_multiplier;                      // ns = ticks * multiplier >> 32
    public static ulong TscFrequency;                       // Hz
    public static ulong RealTimeAtBoot;                     // ns since 1970-01-01 UTC

    public static void Initialize()
    {
        s_tscAtBoot = X64.ReadTsc();
        ulong best = 0;
        // The smallest of three short runs: a host that takes the CPU away between the PIT's end and our look adds ticks, it never removes any.
        for (int i = 0; i < 3; i++)
        {
            ulong frequency = MeasureTsc();
            if (best == 0 || frequency < best) best = frequency;
        }
        TscFrequency = best;
        s_multiplier = Divide128(1000000000, best);
        RealTimeAtBoot = ReadRtc() * 1000000000;
    }

    [RuntimeExport("ostd_monotonic_ns")]
    public static ulong Nanoseconds()
    {
        ulong ticks = X64.ReadTsc() - s_tscAtBoot;
        // 64 x 64 -> 128 bit product, shifted right by 32.
        ulong low = (ticks & 0xFFFFFFFF) * s_multiplier, high = (ticks >> 32) * s_multiplier;
        return (low >> 32) + high;
    }

    [RuntimeExport("ostd_real_time_ns_at_boot")]
    private static ulong RealTimeNsAtBoot() => RealTimeAtBoot;

    [RuntimeExport("ostd_tsc_frequency")]
    private static ulong Frequency() => TscFrequency;

    [RuntimeExport("ostd_tsc_at_boot")]
    private static ulong TscAtBoot() => s_tscAtBoot;

    [RuntimeExport("ostd_tsc_multiplier")]
    private static ulong TscMultiplier() => s_multiplier;

    /// <summary>Spins: before the timer works.</summary>
    public static void Spin(ulong nanoseconds)
    {
        ulong end = Nanoseconds() + nanoseconds;
        while (Nanoseconds() < end) X64.Pause();
    }

    private static ulong MeasureTsc()
    {
        const uint Count = PitFrequency / 100;              // 10 ms
        byte gate = X64.In8(0x61);
        X64.Out8(0x61, (byte)((gate & ~2) | 1));            // gate on, speaker off
        X64.Out8(0x43, 0xB0);                               // channel 2, low then high byte, mode 0
        X64.Out8(0x42, (byte)(Count & 0xFF));
        X64.Out8(0x42, (byte)(Count >> 8));
        ulong start = X64.ReadTsc();
        ulong limit = start + (20UL << 30);                 // no PIT: give up after 20 G ticks
        while ((X64.In8(0x61) & 0x20) == 0)
        {
            if (X64.ReadTsc() > limit) Panic.Fail("the PIT does not count: cannot calibrate time\n"u8);
        }
        ulong end = X64.ReadTsc();
        X64.Out8(0x61, gate);
        return (end - start) * PitFrequency / Count;
    }

    /// <summary>(value &lt;&lt; 32) / divisor for value below 2^32.</summary>
    private static ulong Divide128(ulong value, ulong divisor) => divisor == 0 ? 0 : (value << 32) / divisor;

    /// <summary>Seconds since the epoch from the RTC (MC146818: registers 0 to 9, A bit 7 update in progress, B bit 2 binary, bit 1 24 h).</summary>
    private static ulong ReadRtc()
    {
        Time first = default, second = default;
        for (int tries = 0; tries < 10; tries++)
        {
            ReadOnce(&first);
            ReadOnce(&second);
            if (first.Second == second.Second && first.Minute == second.Minute && first.Hour == second.Hour && first.Day == second.Day) break;
        }
        byte format = Cmos(0x0B);
        bool pm = (second.Hour & 0x80) != 0;
        second.Hour &= 0x7F;
        if ((format & 4) == 0)
        {
            second.Second = FromBcd(second.Second);
            second.Minute = FromBcd(second.Minute);
            second.Hour = FromBcd(second.Hour);
            second.Day = FromBcd(second.Day);
            second.Month = FromBcd(second.Month);
            second.Year = FromBcd(second.Year);
        }
        if ((format & 2) == 0)
        {
            second.Hour %= 12;
            if (pm) second.Hour += 12;
        }
        int year = 2000 + second.Year, month = second.Month;
        if (month is < 1 or > 12) return 0;
        // Days from the civil date: years start in March, so that the leap day is the last.
        if (month <= 2)
        {
            year--;
            month += 12;
        }
        long days = 365L * year + year / 4 - year / 100 + year / 400 + (153 * (month - 3) + 2) / 5 + second.Day - 719469;
        return (ulong)(((days * 24 + second.Hour) * 60 + second.Minute) * 60 + second.Second);
    }

    private struct Time
    {
        public int Second, Minute, Hour, Day, Month, Year;
    }

    private static void ReadOnce(Time* time)
    {
        for (int i = 0; i < 100000 && (Cmos(0x0A) & 0x80) != 0; i++) X64.Pause();
        time->Second = Cmos(0);
        time->Minute = Cmos(2);
        time->Hour = Cmos(4);
        time->Day = Cmos(7);
        time->Month = Cmos(8);
        time->Year = Cmos(9);
    }

    private static byte Cmos(byte register)
    {
        X64.Out8(0x70, register);
        return X64.In8(0x71);
    }

    private static int FromBcd(int value) => (value & 15) + (value >> 4) * 10;
}
