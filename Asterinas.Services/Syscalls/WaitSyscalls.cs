using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Signals;

namespace Asterinas.Services.Syscalls;

/// <summary>wait4(2) and waitid(2).</summary>
internal static class WaitSyscalls
{
    private const WaitOptions Wait4Options = WaitOptions.NoHang | WaitOptions.Stopped | WaitOptions.Continued | WaitOptions.NoThread | WaitOptions.Clone | WaitOptions.AllKinds;
    private const WaitOptions WaitIdOptions = Wait4Options | WaitOptions.Exited | WaitOptions.NoWait;

    public static void Register()
    {
        SyscallTable.Add(61, "wait4", Wait4);
        SyscallTable.Add(247, "waitid", WaitId);
    }

    private static long Wait4(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        int pid = a.Int(0);
        var options = (WaitOptions)a.UInt(2);
        if ((options & ~Wait4Options) != 0) return -(long)Errno.EINVAL;
        if (pid == int.MinValue) return -(long)Errno.ESRCH;
        (WaitFor kind, object? subject) = pid switch
        {
            -1 => (WaitFor.All, (object?)null),
            0 => (WaitFor.Group, thread.Process.Group),
            < 0 => (WaitFor.Group, thread.Namespaces.Pid.Find(-pid)?.Group),
            _ => (WaitFor.Process, thread.Namespaces.Pid.Find(pid)?.Process),
        };
        Result<WaitOutcome> result = new ChildWait(thread, kind, subject, options | WaitOptions.Exited).Run();
        if (!result.IsOk) return -(long)result.Error;
        WaitOutcome outcome = result.Value;
        if (outcome.Number == 0) return 0;
        if (a.A1 != 0 && thread.Memory.Write(a.Address(1), outcome.Status) != Errno.None) return -(long)Errno.EFAULT;
        if (a.A3 != 0 && UsageLayout.Write(thread, a.Address(3), outcome.Usage) != Errno.None) return -(long)Errno.EFAULT;
        return outcome.Number;
    }

    private static long WaitId(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        int type = a.Int(0), id = a.Int(1);
        var options = (WaitOptions)a.UInt(3);
        if ((options & ~WaitIdOptions) != 0 || (options & (WaitOptions.Exited | WaitOptions.Stopped | WaitOptions.Continued)) == 0) return -(long)Errno.EINVAL;
        WaitFor kind;
        object? subject = null;
        switch (type)
        {
            case 0:
                kind = WaitFor.All;
                break;
            case 1:
                if (id <= 0) return -(long)Errno.EINVAL;
                kind = WaitFor.Process;
                subject = thread.Namespaces.Pid.Find(id)?.Process;
                break;
            case 2:
                if (id < 0) return -(long)Errno.EINVAL;
                kind = WaitFor.Group;
                subject = id == 0 ? thread.Process.Group : thread.Namespaces.Pid.Find(id)?.Group;
                break;
            case 3:
                if (id < 0) return -(long)Errno.EINVAL;
                Errno error = PidFdSyscalls.Get(thread, id, out Process? process, out bool isNonBlocking);
                if (error != Errno.None) return -(long)error;
                kind = WaitFor.PidFile;
                subject = process;
                if (isNonBlocking && (options & WaitOptions.NoHang) == 0) return WaitNonBlocking(a, thread, process!, options);
                break;
            default:
                return -(long)Errno.EINVAL;
        }
        Result<WaitOutcome> result = new ChildWait(thread, kind, subject, options).Run();
        return result.IsOk ? Answer(a, thread, result.Value) : -(long)result.Error;
    }

    // A descriptor with O_NONBLOCK: EAGAIN where the call would sleep.
    private static long WaitNonBlocking(in SyscallArguments a, Thread thread, Process process, WaitOptions options)
    {
        Result<WaitOutcome> result = new ChildWait(thread, WaitFor.PidFile, process, options | WaitOptions.NoHang).Run();
        if (!result.IsOk) return -(long)result.Error;
        return result.Value.Number == 0 ? -(long)Errno.EAGAIN : Answer(a, thread, result.Value);
    }

    private static long Answer(in SyscallArguments a, Thread thread, in WaitOutcome outcome)
    {
        if (a.A4 != 0 && outcome.Number != 0 && UsageLayout.Write(thread, a.Address(4), outcome.Usage) != Errno.None) return -(long)Errno.EFAULT;
        if (a.A2 == 0) return 0;
        // As Linux: the fields it knows, one by one; the rest stays as it is.
        Span<byte> bytes = stackalloc byte[28];
        bytes.Clear();
        if (outcome.Number != 0)
        {
            int status = outcome.Event switch
            {
                ChildEvent.Exited => outcome.Status >> 8 & 0xFF,
                ChildEvent.Stopped => outcome.Status >> 8,
                ChildEvent.Continued => (int)Signal.SIGCONT,
                _ => outcome.Status & 0x7F,
            };
            BinaryPrimitives.WriteInt32LittleEndian(bytes, (int)Signal.SIGCHLD);
            BinaryPrimitives.WriteInt32LittleEndian(bytes[8..], (int)outcome.Event);
            BinaryPrimitives.WriteInt32LittleEndian(bytes[16..], outcome.Number);
            BinaryPrimitives.WriteUInt32LittleEndian(bytes[20..], thread.Credentials.UserNamespace.UidToUser(outcome.Uid));
            BinaryPrimitives.WriteInt32LittleEndian(bytes[24..], status);
        }
        if (thread.Memory.Write(a.Address(2), bytes[..12]) != Errno.None) return -(long)Errno.EFAULT;
        return thread.Memory.Write(new UserAddress(a.A2 + 16), bytes[16..]) == Errno.None ? 0 : -(long)Errno.EFAULT;
    }
}

/// <summary>struct rusage (man 2 getrusage).</summary>
internal static class UsageLayout
{
    private const int Bytes = 144;

    public static Errno Write(Thread thread, UserAddress address, in ResourceCounts counts)
    {
        Span<byte> bytes = stackalloc byte[Bytes];
        bytes.Clear();
        PutTime(bytes, counts.Times.UserNs);
        PutTime(bytes[16..], counts.Times.SystemNs);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[32..], counts.PeakPages * (PageSize.Small >> 10));
        BinaryPrimitives.WriteInt64LittleEndian(bytes[64..], counts.MinorFaults);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[72..], counts.MajorFaults);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[128..], counts.VoluntarySwitches);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[136..], counts.InvoluntarySwitches);
        return thread.Memory.Write(address, bytes);
    }

    private static void PutTime(Span<byte> bytes, ulong nanoseconds)
    {
        BinaryPrimitives.WriteInt64LittleEndian(bytes, (long)(nanoseconds / 1000000000));
        BinaryPrimitives.WriteInt64LittleEndian(bytes[8..], (long)(nanoseconds % 1000000000 / 1000));
    }
}
