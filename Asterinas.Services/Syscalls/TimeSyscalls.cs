using System;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Timers;
using Asterinas.Services.Processes;
using Asterinas.Services.Time;

namespace Asterinas.Services.Syscalls;

/// <summary>The clocks, and sleeping: man 2 clock_gettime, clock_nanosleep, gettimeofday.</summary>
internal static class TimeSyscalls
{
    private const int Absolute = 1;
    private const long CoarseResolutionNs = 4000000;

    public static void Register()
    {
        SyscallTable.Add(35, "nanosleep", Nanosleep);
        SyscallTable.Add(96, "gettimeofday", GetTimeOfDay);
        SyscallTable.Add(164, "settimeofday", SetTimeOfDay);
        SyscallTable.Add(201, "time", GetTime);
        SyscallTable.Add(227, "clock_settime", SetClock);
        SyscallTable.Add(228, "clock_gettime", GetClock);
        SyscallTable.Add(229, "clock_getres", GetResolution);
        SyscallTable.Add(230, "clock_nanosleep", ClockNanosleep);
    }

    // ---- reading

    private static long GetClock(in SyscallArguments a)
    {
        Errno error = ClockSource.Find(a.Int(0), a.Thread, out ClockSource clock);
        return error != Errno.None ? -(long)error : SyscallAnswer.From(UserTime.WriteTimespec(a.Thread.Memory, a.Address(1), clock.NowNs));
    }

    private static long GetResolution(in SyscallArguments a)
    {
        int id = a.Int(0);
        Errno error = ClockSource.Find(id, a.Thread, out ClockSource _);
        if (error != Errno.None) return -(long)error;
        if (a.A1 == 0) return 0;
        return SyscallAnswer.From(UserTime.WriteTimespec(a.Thread.Memory, a.Address(1), id is ClockSource.RealTimeCoarseId or ClockSource.MonotonicCoarseId ? CoarseResolutionNs : 1));
    }

    private static long GetTimeOfDay(in SyscallArguments a)
    {
        if (a.A0 != 0 && UserTime.WriteTimeval(a.Thread.Memory, a.Address(0), WallClock.NowNs) != Errno.None) return -(long)Errno.EFAULT;
        if (a.A1 != 0 && a.Thread.Memory.Write(a.Address(1), Vdso.Zone) != Errno.None) return -(long)Errno.EFAULT;
        return 0;
    }

    private static long GetTime(in SyscallArguments a)
    {
        long seconds = WallClock.Now.Seconds;
        return a.A0 != 0 && a.Thread.Memory.Write(a.Address(0), seconds) != Errno.None ? -(long)Errno.EFAULT : seconds;
    }

    // ---- setting

    private static long SetClock(in SyscallArguments a)
    {
        int id = a.Int(0);
        Errno error = ClockSource.Find(id, a.Thread, out ClockSource clock);
        if (error != Errno.None) return -(long)error;
        if (clock.IsCpuTime) return -(long)Errno.EPERM;
        if (id != ClockSource.RealTimeId) return -(long)Errno.EINVAL;
        error = UserTime.ReadTimespec(a.Thread.Memory, a.Address(1), out long nanoseconds);
        return error != Errno.None ? -(long)error : SetWallClock(a.Thread, nanoseconds);
    }

    private static long SetTimeOfDay(in SyscallArguments a)
    {
        long nanoseconds = 0, zone = 0;
        if (a.A0 != 0)
        {
            Errno error = UserTime.ReadTimeval(a.Thread.Memory, a.Address(0), out nanoseconds);
            if (error != Errno.None) return -(long)error;
        }
        if (a.A1 != 0)
        {
            if (a.Thread.Memory.Read(a.Address(1), out zone) != Errno.None) return -(long)Errno.EFAULT;
            const int MostMinutesWest = 15 * 60;
            if ((int)zone is < -MostMinutesWest or > MostMinutesWest) return -(long)Errno.EINVAL;
        }
        if (!a.Thread.Credentials.Has(Capability.SysTime)) return -(long)Errno.EPERM;
        if (a.A1 != 0) Vdso.Zone = zone;
        return a.A0 != 0 ? SetWallClock(a.Thread, nanoseconds) : 0;
    }

    // The wall clock may not show less than the time since boot (man 2 clock_settime, EINVAL).
    private static long SetWallClock(Thread thread, long nanoseconds)
    {
        if (!thread.Credentials.Has(Capability.SysTime)) return -(long)Errno.EPERM;
        if (nanoseconds < (long)Clock.MonotonicNs || nanoseconds > long.MaxValue - (30L * 365 * 86400 * UserTime.Second)) return -(long)Errno.EINVAL;
        WallClock.Set(nanoseconds);
        return 0;
    }

    // ---- sleeping

    private static long Nanosleep(in SyscallArguments a)
    {
        Errno error = UserTime.ReadTimespec(a.Thread.Memory, a.Address(0), out long nanoseconds);
        if (error != Errno.None) return -(long)error;
        return SleepUntil(a.Thread, Deadline(ClockSource.Monotonic, nanoseconds), a.A1);
    }

    private static long ClockNanosleep(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        int id = a.Int(0);
        Errno error = ClockSource.Find(id, thread, out ClockSource clock);
        if (error != Errno.None) return -(long)error;
        if (id is ClockSource.MonotonicRawId or ClockSource.RealTimeCoarseId or ClockSource.MonotonicCoarseId) return -(long)Errno.EOPNOTSUPP;
        if (id == ClockSource.ThreadCpuId) return -(long)Errno.EOPNOTSUPP;
        if (clock.Kind == ClockKind.ThreadCpu && ReferenceEquals(clock.Owner, thread)) return -(long)Errno.EINVAL;
        if (id is ClockSource.RealTimeAlarmId or ClockSource.BootTimeAlarmId && !thread.Credentials.Has(Capability.WakeAlarm)) return -(long)Errno.EPERM;
        error = UserTime.ReadTimespec(thread.Memory, a.Address(2), out long nanoseconds);
        if (error != Errno.None) return -(long)error;
        bool isAbsolute = (a.Int(1) & Absolute) != 0;
        if (clock.IsCpuTime) return SleepOnCpuTime(thread, clock, isAbsolute ? nanoseconds : Deadline(clock, nanoseconds), isAbsolute ? 0 : a.A3, isAbsolute);
        if (!isAbsolute) return SleepUntil(thread, Deadline(ClockSource.Monotonic, nanoseconds), a.A3);
        if (clock.Kind == ClockKind.RealTime) return SyscallAnswer.From(WallClock.SleepUntil(nanoseconds));
        return Sleep(nanoseconds) ? 0 : -(long)Errno.ERESTARTNOHAND;
    }

    private static long Deadline(ClockSource clock, long duration)
    {
        long now = clock.NowNs;
        return duration > long.MaxValue - now ? long.MaxValue : now + duration;
    }

    // Until a moment of the monotonic clock; false when a signal came first.
    private static bool Sleep(long deadline)
    {
        while (true)
        {
            long left = deadline - (long)Clock.MonotonicNs;
            if (left <= 0) return true;
            if (Task.Sleep((ulong)left) == WaitResult.Interrupted) return (long)Clock.MonotonicNs >= deadline;
        }
    }

    // A duration's end; interrupted, the rest is told, and the call goes on from there.
    private static long SleepUntil(Thread thread, long deadline, ulong remainingAddress)
    {
        if (Sleep(deadline)) return 0;
        long left = Math.Max(deadline - (long)Clock.MonotonicNs, 0);
        if (remainingAddress != 0 && UserTime.WriteTimespec(thread.Memory, new UserAddress(remainingAddress), left) != Errno.None) return -(long)Errno.EFAULT;
        thread.RestartState[0] = (ulong)deadline;
        thread.RestartState[1] = remainingAddress;
        thread.RestartBlock = static thread => SleepUntil(thread, (long)thread.RestartState[0], thread.RestartState[1]);
        return -(long)Errno.ERESTART_RESTARTBLOCK;
    }

    // CPU time that others use: looked at when it could have passed at the earliest.
    private static long SleepOnCpuTime(Thread thread, ClockSource clock, long deadline, ulong remainingAddress, bool isAbsolute)
    {
        const long LeastCheckNs = 1000000;
        while (true)
        {
            long left = deadline - clock.NowNs;
            if (left <= 0) return 0;
            int threads = clock.Owner is Process process ? Math.Max(process.Threads.Count, 1) : 1;
            if (Task.Sleep((ulong)Math.Max(left / threads, LeastCheckNs)) != WaitResult.Interrupted) continue;
            if (remainingAddress != 0 && UserTime.WriteTimespec(thread.Memory, new UserAddress(remainingAddress), left) != Errno.None) return -(long)Errno.EFAULT;
            return isAbsolute ? -(long)Errno.ERESTARTNOHAND : -(long)Errno.EINTR;
        }
    }
}
