using System;
using Asterinas.Services.Ipc;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>eventfd(2) and signalfd(2).</summary>
internal static class EventSyscalls
{
    private const int Semaphore = 1;

    public static void Register()
    {
        SyscallTable.Add(284, "eventfd", static (in SyscallArguments a) => CreateEvent(a.Thread, a.UInt(0), 0));
        SyscallTable.Add(290, "eventfd2", static (in SyscallArguments a) => CreateEvent(a.Thread, a.UInt(0), a.Int(1)));
        SyscallTable.Add(282, "signalfd", static (in SyscallArguments a) => CreateSignal(a, 0));
        SyscallTable.Add(289, "signalfd4", static (in SyscallArguments a) => CreateSignal(a, a.Int(3)));
    }

    private static long CreateEvent(Thread thread, uint count, int flags)
    {
        if ((flags & ~(Semaphore | (int)OpenFlags.NonBlock | (int)OpenFlags.CloseOnExec)) != 0) return -(long)Errno.EINVAL;
        var file = new EventFile(count, (flags & Semaphore) != 0, (OpenFlags)flags & OpenFlags.NonBlock);
        return PipeSyscalls.Install(thread, file, (flags & (int)OpenFlags.CloseOnExec) != 0);
    }

    private static long CreateSignal(in SyscallArguments a, int flags)
    {
        Thread thread = a.Thread;
        if ((flags & ~((int)OpenFlags.NonBlock | (int)OpenFlags.CloseOnExec)) != 0 || a.A2 != 8) return -(long)Errno.EINVAL;
        if (thread.Memory.Read(a.Address(1), out ulong bits) != Errno.None) return -(long)Errno.EFAULT;
        var mask = new Signals.SignalSet(bits) & ~Signals.SignalSet.Unblockable;
        int descriptor = a.Int(0);
        if (descriptor == -1)
        {
            return PipeSyscalls.Install(thread, new SignalFile(mask, (OpenFlags)flags & OpenFlags.NonBlock), (flags & (int)OpenFlags.CloseOnExec) != 0);
        }
        Errno error = thread.Files.Get(descriptor, out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            if (handle.File is not SignalFile file) return -(long)Errno.EINVAL;
            file.SetMask(mask);
            return descriptor;
        }
    }
}
