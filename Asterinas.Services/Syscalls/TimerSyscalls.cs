using System;
using System.Buffers.Binary;
using Asterinas.Services.Processes;
using Asterinas.Services.Signals;
using Asterinas.Services.Time;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>Timers: man 2 setitimer, alarm, timer_create, timerfd_create.</summary>
internal static class TimerSyscalls
{
    private const int Absolute = 1, CancelOnSet = 2;
    private const int EventBytes = 20;                  // of struct sigevent: what is looked at
    private const int NotifySignal = 0, NotifyNone = 1, NotifyThread = 2, NotifyThreadId = 4;

    public static void Register()
    {
        SyscallTable.Add(36, "getitimer", GetInterval);
        SyscallTable.Add(37, "alarm", Alarm);
        SyscallTable.Add(38, "setitimer", SetInterval);
        SyscallTable.Add(222, "timer_create", Create);
        SyscallTable.Add(223, "timer_settime", Set);
        SyscallTable.Add(224, "timer_gettime", Get);
        SyscallTable.Add(225, "timer_getoverrun", GetOverrun);
        SyscallTable.Add(226, "timer_delete", static (in SyscallArguments a) => SyscallAnswer.From(a.Thread.Process.Timers.Remove(a.Int(0))));
        SyscallTable.Add(283, "timerfd_create", CreateFile, "", "ENODEV, ENFILE: cannot happen");
        SyscallTable.Add(286, "timerfd_settime", SetFile);
        SyscallTable.Add(287, "timerfd_gettime", GetFile);
    }

    // ---- interval timers

    private static long GetInterval(in SyscallArguments a)
    {
        if (a.UInt(0) > 2) return -(long)Errno.EINVAL;
        a.Thread.Process.Timers.Interval(a.Int(0)).Get(out long remaining, out long interval);
        return SyscallAnswer.From(UserTime.WritePair(a.Thread.Memory, a.Address(1), 1000, interval, RoundUp(remaining)));
    }

    private static long SetInterval(in SyscallArguments a)
    {
        long interval = 0, value = 0;
        if (a.A1 != 0)
        {
            Errno error = UserTime.ReadPair(a.Thread.Memory, a.Address(1), 1000, out interval, out value);
            if (error != Errno.None) return -(long)error;
        }
        if (a.UInt(0) > 2) return -(long)Errno.EINVAL;
        a.Thread.Process.Timers.Interval(a.Int(0)).Set(false, value, interval, out long oldRemaining, out long oldInterval);
        return a.A2 == 0 ? 0 : SyscallAnswer.From(UserTime.WritePair(a.Thread.Memory, a.Address(2), 1000, oldInterval, RoundUp(oldRemaining)));
    }

    // Less than a microsecond left is not none.
    private static long RoundUp(long nanoseconds) => nanoseconds is > 0 and < 1000 ? 1000 : nanoseconds;

    private static long Alarm(in SyscallArguments a)
    {
        a.Thread.Process.Timers.Interval(0).Set(false, a.UInt(0) * UserTime.Second, 0, out long remaining, out long _);
        // What is left in whole seconds, but not 0 for a timer that was set (man 2 alarm).
        return remaining == 0 ? 0 : Math.Max((remaining + UserTime.Second / 2) / UserTime.Second, 1);
    }

    // ---- POSIX timers

    private static long Create(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        Process process = thread.Process;
        int id = a.Int(0);
        Errno error = ClockSource.Find(id, thread, out ClockSource clock);
        if (error != Errno.None) return -(long)error;
        if (id is ClockSource.MonotonicRawId or ClockSource.RealTimeCoarseId or ClockSource.MonotonicCoarseId) return -(long)Errno.EOPNOTSUPP;
        if (id is ClockSource.RealTimeAlarmId or ClockSource.BootTimeAlarmId && !thread.Credentials.Has(Capability.WakeAlarm)) return -(long)Errno.EPERM;
        var signal = Signal.SIGALRM;
        Thread? target = null;
        ulong value = 0;
        if (a.A1 != 0)
        {
            Span<byte> bytes = stackalloc byte[EventBytes];
            if (thread.Memory.Read(a.Address(1), bytes) != Errno.None) return -(long)Errno.EFAULT;
            value = BinaryPrimitives.ReadUInt64LittleEndian(bytes);
            signal = (Signal)BinaryPrimitives.ReadInt32LittleEndian(bytes[8..]);
            int notify = BinaryPrimitives.ReadInt32LittleEndian(bytes[12..]);
            if (notify == (NotifySignal | NotifyThreadId))
            {
                target = thread.Namespaces.Pid.Find(BinaryPrimitives.ReadInt32LittleEndian(bytes[16..]))?.Thread;
                if (target is null || !ReferenceEquals(target.Process, process)) return -(long)Errno.EINVAL;
            }
            else if (notify is not (NotifySignal or NotifyNone or NotifyThread))
            {
                return -(long)Errno.EINVAL;
            }
            if (notify == NotifyNone) signal = Signal.None;
            else if (signal is < Signal.SIGHUP or > Signal.Last) return -(long)Errno.EINVAL;
        }
        var timer = new PosixTimer(process, clock, signal, target, value);
        error = process.Timers.Add(timer, process.Limits.Soft(Resource.PendingSignals));
        if (error != Errno.None) return -(long)error;
        if (a.A1 == 0) timer.Value = (ulong)timer.Id;
        error = thread.Memory.Write(a.Address(2), timer.Id);
        if (error != Errno.None) process.Timers.Remove(timer.Id);
        return -(long)error;
    }

    private static long Set(in SyscallArguments a)
    {
        if (a.A2 == 0) return -(long)Errno.EINVAL;
        Errno error = UserTime.ReadPair(a.Thread.Memory, a.Address(2), 1, out long interval, out long value);
        if (error != Errno.None) return -(long)error;
        if (a.Thread.Process.Timers.Find(a.Int(0)) is not { } timer) return -(long)Errno.EINVAL;
        timer.Forget();
        timer.Set((a.Int(1) & Absolute) != 0, value, interval, out long oldRemaining, out long oldInterval);
        return a.A3 == 0 ? 0 : SyscallAnswer.From(UserTime.WritePair(a.Thread.Memory, a.Address(3), 1, oldInterval, oldRemaining));
    }

    private static long Get(in SyscallArguments a)
    {
        if (a.Thread.Process.Timers.Find(a.Int(0)) is not { } timer) return -(long)Errno.EINVAL;
        timer.Get(out long remaining, out long interval);
        return SyscallAnswer.From(UserTime.WritePair(a.Thread.Memory, a.Address(1), 1, interval, remaining));
    }

    private static long GetOverrun(in SyscallArguments a) => a.Thread.Process.Timers.Find(a.Int(0))?.Overruns ?? -(long)Errno.EINVAL;

    // ---- timers that are files

    private static long CreateFile(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        int id = a.Int(0), flags = a.Int(1);
        if ((flags & ~((int)OpenFlags.NonBlock | (int)OpenFlags.CloseOnExec)) != 0) return -(long)Errno.EINVAL;
        if (id is not (ClockSource.RealTimeId or ClockSource.MonotonicId or ClockSource.BootTimeId or ClockSource.RealTimeAlarmId or ClockSource.BootTimeAlarmId)) return -(long)Errno.EINVAL;
        if (id is ClockSource.RealTimeAlarmId or ClockSource.BootTimeAlarmId && !thread.Credentials.Has(Capability.WakeAlarm)) return -(long)Errno.EPERM;
        Errno error = ClockSource.Find(id, thread, out ClockSource clock);
        if (error != Errno.None) return -(long)error;
        return PipeSyscalls.Install(thread, new TimerFile(id, clock, (OpenFlags)flags & OpenFlags.NonBlock), (flags & (int)OpenFlags.CloseOnExec) != 0);
    }

    private static long SetFile(in SyscallArguments a)
    {
        int flags = a.Int(1);
        if ((flags & ~(Absolute | CancelOnSet)) != 0) return -(long)Errno.EINVAL;
        Errno error = UserTime.ReadPair(a.Thread.Memory, a.Address(2), 1, out long interval, out long value);
        if (error != Errno.None) return -(long)error;
        error = a.Thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            if (handle.File is not TimerFile file) return -(long)Errno.EINVAL;
            error = file.Set((flags & Absolute) != 0, (flags & CancelOnSet) != 0, value, interval, out long oldRemaining, out long oldInterval);
            if (a.A3 != 0 && UserTime.WritePair(a.Thread.Memory, a.Address(3), 1, oldInterval, oldRemaining) != Errno.None) return -(long)Errno.EFAULT;
            return -(long)error;
        }
    }

    private static long GetFile(in SyscallArguments a)
    {
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            if (handle.File is not TimerFile file) return -(long)Errno.EINVAL;
            file.Get(out long remaining, out long interval);
            return SyscallAnswer.From(UserTime.WritePair(a.Thread.Memory, a.Address(1), 1, interval, remaining));
        }
    }
}
