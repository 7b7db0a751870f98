using Asterinas.Services.Processes;
using Asterinas.Services.Signals;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2).</summary>
internal static class PidFdSyscalls
{
    private const uint NonBlock = 0x800;

    public static void Register()
    {
        SyscallTable.Add(424, "pidfd_send_signal", SendSignal, "PIDFD_SIGNAL_* flags");
        SyscallTable.Add(434, "pidfd_open", Open, "PIDFD_THREAD");
        SyscallTable.Add(438, "pidfd_getfd", GetFile);
    }

    /// <summary>The process of a pidfd. EBADF for anything else.</summary>
    public static Errno Get(Thread thread, int descriptor, out Process? process, out bool isNonBlocking)
    {
        process = null;
        isNonBlocking = false;
        Errno error = thread.Files.Get(descriptor, out FileHandle handle);
        if (error != Errno.None) return error;
        using (handle)
        {
            if (handle.File is not PidFile file) return Errno.EBADF;
            process = file.Process;
            isNonBlocking = file.IsNonBlocking;
        }
        return Errno.None;
    }

    private static long Open(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        int pid = a.Int(0);
        uint flags = a.UInt(1);
        if ((flags & ~NonBlock) != 0 || pid <= 0) return -(long)Errno.EINVAL;
        Pid? found = thread.Namespaces.Pid.Find(pid);
        if (found is null) return -(long)Errno.ESRCH;
        // A number of a thread that leads no process.
        if (found.Process is not { } process) return found.Thread is null ? -(long)Errno.ESRCH : -(long)Errno.ENOENT;
        return SyscallAnswer.From(PidFile.Install(thread, process, out _, flags != 0));
    }

    private static long SendSignal(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        int number = a.Int(1);
        if (a.UInt(3) != 0) return -(long)Errno.EINVAL;
        Errno error = Get(thread, a.Int(0), out Process? process, out _);
        if (error != Errno.None) return -(long)error;
        if (number is < 0 or > (int)Signal.Last) return -(long)Errno.EINVAL;
        if (!process!.Pid.Namespace.IsWithin(thread.Namespaces.Pid)) return -(long)Errno.EINVAL;
        var signal = (Signal)number;
        SignalInfo info = ProcessLookup.InfoFrom(thread, process, signal, SignalInfo.User);
        if (a.A2 != 0)
        {
            error = SignalSendSyscalls.ReadInfo(thread, a.Address(2), signal, out SignalInfo given, out int claimed);
            if (error != Errno.None) return -(long)error;
            if (claimed != number) return -(long)Errno.EINVAL;
            if ((given.Code >= 0 || given.Code == SignalInfo.Tkill) && !ReferenceEquals(process, thread.Process)) return -(long)Errno.EPERM;
            info = given;
        }
        if (process.IsReaped) return -(long)Errno.ESRCH;
        return SyscallAnswer.From(ProcessLookup.Send(thread, process, null, info));
    }

    private static long GetFile(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        if (a.UInt(2) != 0) return -(long)Errno.EINVAL;
        Errno error = Get(thread, a.Int(0), out Process? process, out _);
        if (error != Errno.None) return -(long)error;
        FileTable? files = null;
        using (SpinLock.Guard guard = process!.SignalLock.Lock())
        {
            if (process.Threads.Count != 0) files = process.Threads[0].Files;
        }
        if (files is null || process.IsZombie) return -(long)Errno.ESRCH;
        if (!ProcessAccess.MayRead(thread, process)) return -(long)Errno.EPERM;
        OpenFile? file = files.GetFromOutside(a.Int(1));
        if (file is null) return -(long)Errno.EBADF;
        Result<int> added = thread.Files.Add(file, true, thread.Process.Limits.Soft(Resource.OpenFiles));
        if (!added.IsOk) file.Release();
        return SyscallAnswer.From(added);
    }
}
