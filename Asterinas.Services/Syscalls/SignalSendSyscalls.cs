using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Sync;
using Asterinas.Services.Processes;
using Asterinas.Services.Signals;

namespace Asterinas.Services.Syscalls;

/// <summary>Sending of signals: kill(2), tgkill(2), rt_sigqueueinfo(2).</summary>
internal static class SignalSendSyscalls
{
    public static void Register()
    {
        SyscallTable.Add(62, "kill", Kill);
        SyscallTable.Add(129, "rt_sigqueueinfo", QueueToProcess);
        SyscallTable.Add(200, "tkill", ThreadKill);
        SyscallTable.Add(234, "tgkill", ThreadGroupKill);
        SyscallTable.Add(297, "rt_tgsigqueueinfo", QueueToThread);
    }

    private static bool IsValid(int signal) => signal is >= 0 and <= (int)Signal.Last;

    private static long Kill(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        int pid = a.Int(0), number = a.Int(1);
        if (!IsValid(number)) return -(long)Errno.EINVAL;
        var signal = (Signal)number;
        if (pid == int.MinValue) return -(long)Errno.ESRCH;
        if (pid > 0)
        {
            Process? process = ProcessLookup.FindProcess(thread, pid);
            if (process is null) return -(long)Errno.ESRCH;
            return SyscallAnswer.From(ProcessLookup.Send(thread, process, null, ProcessLookup.InfoFrom(thread, process, signal, SignalInfo.User)));
        }
        using SpinLock.Guard tree = ProcessTree.Lock.Lock();
        if (pid == -1) return KillAll(thread, signal);
        ProcessGroup? group = pid == 0 ? thread.Process.Group : thread.Namespaces.Pid.Find(-pid)?.Group;
        return group is null ? -(long)Errno.ESRCH : KillGroup(thread, group, signal);
    }

    // One that could be reached is enough; else the last error.
    private static long KillGroup(Thread thread, ProcessGroup group, Signal signal)
    {
        bool isSent = false;
        Errno last = Errno.ESRCH;
        foreach (Process member in group.Members)
        {
            Errno error = ProcessLookup.Send(thread, member, null, ProcessLookup.InfoFrom(thread, member, signal, SignalInfo.User));
            if (error == Errno.None) isSent = true; else last = error;
        }
        return isSent ? 0 : -(long)last;
    }

    // Everybody but init and the caller. EPERM for some does not count when others are there.
    private static long KillAll(Thread thread, Signal signal)
    {
        int found = 0;
        Errno last = Errno.None;
        foreach (Process process in thread.Namespaces.Pid.Processes())
        {
            if (ReferenceEquals(process, thread.Process) || process.NumberFor(thread) <= 1) continue;
            found++;
            Errno error = ProcessLookup.Send(thread, process, null, ProcessLookup.InfoFrom(thread, process, signal, SignalInfo.User));
            if (error != Errno.EPERM) last = error;
        }
        return found == 0 ? -(long)Errno.ESRCH : -(long)last;
    }

    private static long ThreadKill(in SyscallArguments a) => a.Int(0) <= 0 ? -(long)Errno.EINVAL : ToThread(a.Thread, 0, a.Int(0), a.Int(1));

    private static long ThreadGroupKill(in SyscallArguments a) =>
        a.Int(0) <= 0 || a.Int(1) <= 0 ? -(long)Errno.EINVAL : ToThread(a.Thread, a.Int(0), a.Int(1), a.Int(2));

    private static long ToThread(Thread sender, int process, int tid, int number)
    {
        if (!IsValid(number)) return -(long)Errno.EINVAL;
        Thread? target = FindThread(sender, process, tid, out bool isZombie);
        if (target is null) return isZombie ? 0 : -(long)Errno.ESRCH;
        SignalInfo info = ProcessLookup.InfoFrom(sender, target.Process, (Signal)number, SignalInfo.Tkill);
        Errno error = ProcessLookup.Send(sender, target.Process, target, info);
        // man 2 tgkill: EAGAIN belongs to queued signals of sigqueue only, but Linux answers it here too.
        return SyscallAnswer.From(error);
    }

    // A first thread that has ended keeps its number until its process is waited for: a signal to it is lost, without an error.
    private static Thread? FindThread(Thread sender, int process, int tid, out bool isZombie)
    {
        isZombie = false;
        Pid? pid = sender.Namespaces.Pid.Find(tid);
        Thread? thread = pid?.Thread;
        if (thread is null)
        {
            isZombie = pid?.Process is not null && (process == 0 || process == tid);
            return null;
        }
        return process == 0 || thread.Process.NumberFor(sender) == process ? thread : null;
    }

    /// <summary>Reads a siginfo_t. EFAULT.</summary>
    /// <param name="thread">The caller.</param>
    /// <param name="address">Where it is.</param>
    /// <param name="signal">What its number is to be.</param>
    /// <param name="info">The rest of it.</param>
    /// <param name="claimed">The number in it.</param>
    public static Errno ReadInfo(Thread thread, UserAddress address, Signal signal, out SignalInfo info, out int claimed)
    {
        Span<byte> bytes = stackalloc byte[SignalInfoLayout.Bytes];
        info = default;
        claimed = 0;
        if (thread.Memory.Read(address, bytes) != Errno.None) return Errno.EFAULT;
        claimed = BinaryPrimitives.ReadInt32LittleEndian(bytes);
        info = SignalInfoLayout.Decode(signal, bytes);
        return Errno.None;
    }

    private static long QueueToProcess(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        int number = a.Int(1);
        Errno error = ReadInfo(thread, a.Address(2), (Signal)number, out SignalInfo info, out _);
        if (error != Errno.None) return -(long)error;
        Process? process = a.Int(0) <= 0 ? null : ProcessLookup.FindProcess(thread, a.Int(0));
        // Nobody but the kernel and the process itself may claim to be the kernel or kill(2).
        if ((info.Code >= 0 || info.Code == SignalInfo.Tkill) && !ReferenceEquals(process, thread.Process)) return -(long)Errno.EPERM;
        if (process is null) return -(long)Errno.ESRCH;
        if (!IsValid(number)) return -(long)Errno.EINVAL;
        return SyscallAnswer.From(ProcessLookup.Send(thread, process, null, info));
    }

    private static long QueueToThread(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        int number = a.Int(2);
        Errno error = ReadInfo(thread, a.Address(3), (Signal)number, out SignalInfo info, out _);
        if (error != Errno.None) return -(long)error;
        if (a.Int(0) <= 0 || a.Int(1) <= 0) return -(long)Errno.EINVAL;
        Thread? target = FindThread(thread, a.Int(0), a.Int(1), out bool isZombie);
        if ((info.Code >= 0 || info.Code == SignalInfo.Tkill) && !ReferenceEquals(target?.Process, thread.Process)) return -(long)Errno.EPERM;
        if (target is null) return isZombie ? 0 : -(long)Errno.ESRCH;
        if (!IsValid(number)) return -(long)Errno.EINVAL;
        return SyscallAnswer.From(ProcessLookup.Send(thread, target.Process, target, info));
    }
}
