using Asterinas.Ostd.Sync;
using Asterinas.Services.Processes;

namespace Asterinas.Services.Syscalls;

/// <summary>Numbers of threads, processes, groups and sessions: getpid(2), setpgid(2), setsid(2) and their kin.</summary>
internal static class IdentitySyscalls
{
    public static void Register()
    {
        SyscallTable.Add(39, "getpid", GetPid);
        SyscallTable.Add(109, "setpgid", SetGroup);
        SyscallTable.Add(110, "getppid", GetParent);
        SyscallTable.Add(111, "getpgrp", GetOwnGroup);
        SyscallTable.Add(112, "setsid", SetSession);
        SyscallTable.Add(121, "getpgid", GetGroup);
        SyscallTable.Add(124, "getsid", GetSession);
        SyscallTable.Add(186, "gettid", GetTid);
        SyscallTable.Add(218, "set_tid_address", SetTidAddress);
    }

    private static long GetPid(in SyscallArguments a) => a.Thread.Process.NumberFor(a.Thread);

    private static long GetTid(in SyscallArguments a) => a.Thread.Tid;

    // 0 for a parent outside the namespace.
    private static long GetParent(in SyscallArguments a) => a.Thread.Process.Parent is { } parent ? parent.NumberFor(a.Thread) : 0;

    private static long GetOwnGroup(in SyscallArguments a) => a.Thread.Process.Group.Pid.NumberIn(a.Thread.Namespaces.Pid);

    private static long SetTidAddress(in SyscallArguments a)
    {
        a.Thread.ClearChildTid = a.A0;
        return a.Thread.Tid;
    }

    private static long GetGroup(in SyscallArguments a)
    {
        using SpinLock.Guard tree = ProcessTree.Lock.Lock();
        Process? process = ProcessLookup.FindProcess(a.Thread, a.Int(0));
        return process is null ? -(long)Errno.ESRCH : process.Group.Pid.NumberIn(a.Thread.Namespaces.Pid);
    }

    private static long GetSession(in SyscallArguments a)
    {
        using SpinLock.Guard tree = ProcessTree.Lock.Lock();
        Process? process = ProcessLookup.FindProcess(a.Thread, a.Int(0));
        return process is null ? -(long)Errno.ESRCH : process.Session.Pid.NumberIn(a.Thread.Namespaces.Pid);
    }

    private static long SetGroup(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        Process self = thread.Process;
        int pid = a.Int(0), group = a.Int(1);
        if (pid == 0) pid = self.NumberFor(thread);
        if (group == 0) group = pid;
        if (group < 0) return -(long)Errno.EINVAL;
        using SpinLock.Guard tree = ProcessTree.Lock.Lock();
        Process? process = ProcessLookup.FindProcess(thread, pid);
        if (process is null) return -(long)Errno.ESRCH;
        // A thread's number names a thread, not a process.
        if (process.NumberFor(thread) != pid) return -(long)Errno.EINVAL;
        if (ReferenceEquals(process.Parent, self) && !ReferenceEquals(process, self))
        {
            if (!ReferenceEquals(process.Session, self.Session)) return -(long)Errno.EPERM;
            if (process.HasExecuted) return -(long)Errno.EACCES;
        }
        else if (!ReferenceEquals(process, self))
        {
            return -(long)Errno.ESRCH;
        }
        if (ReferenceEquals(process.Session.Leader, process)) return -(long)Errno.EPERM;
        ProcessGroup target;
        if (group == pid)
        {
            if (ReferenceEquals(process.Group.Pid, process.Pid)) return 0;
            Session session = process.Session;
            ProcessGroup old = process.Group;
            target = process.Pid.Group ?? new ProcessGroup(process.Pid, session);
            target.Add(process);
            old.Remove(process);
            return 0;
        }
        if (thread.Namespaces.Pid.Find(group)?.Group is not { } found || !ReferenceEquals(found.Session, process.Session)) return -(long)Errno.EPERM;
        if (ReferenceEquals(found, process.Group)) return 0;
        ProcessGroup former = process.Group;
        found.Add(process);
        former.Remove(process);
        return 0;
    }

    private static long SetSession(in SyscallArguments a)
    {
        Process process = a.Thread.Process;
        Errno error = process.StartSession();
        if (error != Errno.None) return -(long)error;
        return process.Pid.NumberIn(a.Thread.Namespaces.Pid);
    }
}
