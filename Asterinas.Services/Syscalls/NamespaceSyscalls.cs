using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>unshare(2), setns(2).</summary>
internal static class NamespaceSyscalls
{
    public static void Register()
    {
        SyscallTable.Add(272, "unshare", Unshare, "CLONE_NEWCGROUP, CLONE_NEWTIME");
        SyscallTable.Add(308, "setns", Enter, "cgroup and time namespaces; several at once by a pidfd of another user namespace");
    }

    private static long Unshare(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        var flags = (CloneFlags)(ulong)a.UInt(0);
        const CloneFlags Known = CloneFlags.Thread | CloneFlags.FileSystem | CloneFlags.NewNamespaces | CloneFlags.SignalHandlers | CloneFlags.Memory | CloneFlags.Files
            | CloneFlags.SystemVSemaphores | CloneFlags.NewUser;
        if ((flags & ~Known) != 0) return -(long)Errno.EINVAL;
        // What these share cannot be divided any more, once it is shared by threads.
        if ((flags & CloneFlags.NewUser) != 0) flags |= CloneFlags.Thread | CloneFlags.FileSystem;
        if ((flags & (CloneFlags.Thread | CloneFlags.SignalHandlers | CloneFlags.Memory)) != 0 && thread.Process.Threads.Count > 1) return -(long)Errno.EINVAL;
        if ((flags & (CloneFlags.SignalHandlers | CloneFlags.Memory)) != 0 && (thread.Process.Handlers.IsShared || thread.Process.Memory.IsShared)) return -(long)Errno.EINVAL;
        if ((flags & CloneFlags.NewMount) != 0) flags |= CloneFlags.FileSystem;
        Credentials credentials = thread.Credentials;
        if ((flags & CloneFlags.NewUser) != 0)
        {
            Result<Credentials> inside = NamespaceChange.EnterNewUser(thread);
            if (!inside.IsOk) return -(long)inside.Error;
            credentials = inside.Value;
        }
        Result<NamespaceSet> spaces = NamespaceChange.ForChild(thread, credentials, flags);
        if (!spaces.IsOk) return -(long)spaces.Error;
        if ((flags & CloneFlags.Files) != 0 && thread.Files.IsShared)
        {
            FileTable shared = thread.Files;
            thread.Files = shared.Copy();
            shared.Release(thread);
        }
        if ((flags & CloneFlags.FileSystem) != 0 && (thread.FileSystem.IsShared || (flags & CloneFlags.NewMount) != 0))
        {
            FileSystemContext shared = thread.FileSystem;
            thread.FileSystem = NamespaceChange.CopyFileSystem(thread, spaces.Value);
            shared.Release();
        }
        thread.Namespaces = spaces.Value;
        if ((flags & CloneFlags.NewUser) != 0) thread.ChangeCredentials(credentials);
        return 0;
    }

    // By a pidfd: the namespaces of a process. Files of /proc/PID/ns are known by their open file (NamespaceFile).
    private static long Enter(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        var flags = (CloneFlags)(ulong)a.UInt(1);
        Errno error = thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            if (handle.File is PidFile file)
            {
                if (flags == 0 || (flags & ~(CloneFlags.NewNamespaces | CloneFlags.NewUser)) != 0) return -(long)Errno.EINVAL;
                Process process = file.Process;
                NamespaceSet target;
                UserNamespace user;
                using (SpinLock.Guard guard = process.SignalLock.Lock())
                {
                    if (process.Threads.Count == 0) return -(long)Errno.ESRCH;
                    target = process.Threads[0].Namespaces;
                    user = process.Threads[0].Credentials.UserNamespace;
                }
                if (!ProcessAccess.MayRead(thread, process)) return -(long)Errno.EPERM;
                if ((flags & CloneFlags.NewUser) != 0 && !ReferenceEquals(user, thread.Credentials.UserNamespace)) return -(long)Errno.EPERM;
                return SyscallAnswer.From(NamespaceChange.Enter(thread, target, flags));
            }
            return -(long)Errno.EINVAL;
        }
    }
}
