using System;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Services.Devices;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes;

namespace Asterinas.Services.Syscalls;

/// <summary>syslog(2).</summary>
internal static class KernelLogSyscalls
{
    private const int Close = 0, Open = 1, Read = 2, ReadAll = 3, ReadClear = 4, Clear = 5, ConsoleOff = 6, ConsoleOn = 7, ConsoleLevel = 8, SizeUnread = 9, SizeBuffer = 10;
    private const int MostLineBytes = 1024;

    private static readonly Mutex s_readers = new("syslog readers");
    private static ulong s_next;
    private static int s_savedLevel = -1;

    public static void Register() => SyscallTable.Add(103, "syslog", Syslog);

    private static long Syslog(in SyscallArguments a)
    {
        int action = a.Int(0), length = a.Int(2);
        // What a program may look at without a privilege: everything that does not change anything (dmesg_restrict is 0).
        if (action is not (ReadAll or SizeBuffer) && !a.Thread.Credentials.Has(Capability.Syslog) && !a.Thread.Credentials.Has(Capability.SysAdmin)) return -(long)Errno.EPERM;
        switch (action)
        {
            case Close or Open: return 0;
            case Read: return ReadNew(a);
            case ReadAll: return ReadKept(a, false);
            case ReadClear: return ReadKept(a, true);
            case Clear:
                KernelLog.ClearedAt = KernelLog.Next;
                return 0;
            case ConsoleOff:
                if (s_savedLevel < 0) s_savedLevel = Log.ConsoleLevel;
                Log.ConsoleLevel = 1;
                return 0;
            case ConsoleOn:
                if (s_savedLevel >= 0) Log.ConsoleLevel = s_savedLevel;
                s_savedLevel = -1;
                return 0;
            case ConsoleLevel:
                if (length is < 1 or > 8) return -(long)Errno.EINVAL;
                Log.ConsoleLevel = length;
                s_savedLevel = -1;
                return 0;
            case SizeUnread: return Unread();
            case SizeBuffer: return KernelLog.BufferBytes;
            default: return -(long)Errno.EINVAL;
        }
    }

    private static long Unread()
    {
        Span<byte> line = stackalloc byte[MostLineBytes];
        long bytes = 0;
        for (ulong at = Math.Max(s_next, KernelLog.Oldest); KernelLog.TryGet(at, out LogRecord record); at++) bytes += KernelLog.FormatOld(record, line);
        return bytes;
    }

    // SYSLOG_ACTION_READ: what has not been read this way yet; waits for at least one line.
    private static long ReadNew(in SyscallArguments a)
    {
        int length = a.Int(2);
        if (a.A1 == 0 || length < 0) return -(long)Errno.EINVAL;
        if (length == 0) return 0;
        using Mutex.Guard guard = s_readers.TryLockInterruptible(ulong.MaxValue, out Ostd.Sync.WaitResult _);
        if (!guard.IsHeld) return -(long)Errno.ERESTARTSYS;
        Errno waited = KernelLog.Pollee.Wait(0, static _ => KernelLog.Next > s_next);
        if (waited != Errno.None) return -(long)waited;
        s_next = Math.Max(s_next, KernelLog.Oldest);
        var sink = new IoSink(a.Thread.Memory, a.Address(1), length);
        Span<byte> line = stackalloc byte[MostLineBytes];
        long done = 0;
        while (KernelLog.TryGet(s_next, out LogRecord record))
        {
            int count = KernelLog.FormatOld(record, line);
            if (count > sink.Remaining) break;
            if (sink.Write(line[..count]) != count) return done > 0 ? done : -(long)Errno.EFAULT;
            done += count;
            s_next++;
        }
        return done;
    }

    // SYSLOG_ACTION_READ_ALL: the newest lines that fit.
    private static long ReadKept(in SyscallArguments a, bool clears)
    {
        int length = a.Int(2);
        if (a.A1 == 0 || length < 0) return -(long)Errno.EINVAL;
        if (length == 0) return 0;
        Span<byte> line = stackalloc byte[MostLineBytes];
        ulong end = KernelLog.Next, first = end, lowest = Math.Max(KernelLog.Oldest, KernelLog.ClearedAt);
        long bytes = 0;
        while (first > lowest && KernelLog.TryGet(first - 1, out LogRecord record))
        {
            int count = KernelLog.FormatOld(record, line);
            if (bytes + count > length) break;
            bytes += count;
            first--;
        }
        var sink = new IoSink(a.Thread.Memory, a.Address(1), length);
        long done = 0;
        for (ulong at = first; at < end && KernelLog.TryGet(at, out LogRecord record); at++)
        {
            int count = KernelLog.FormatOld(record, line);
            if (sink.Write(line[..count]) != count) return -(long)Errno.EFAULT;
            done += count;
        }
        if (clears) KernelLog.ClearedAt = end;
        return done;
    }
}
