using Asterinas.Ostd.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>Whom SIGIO of a file goes to.</summary>
/// <param name="Pid">A thread, process or process group.</param>
/// <param name="Kind">F_OWNER_TID, F_OWNER_PID, F_OWNER_PGRP: 0, 1, 2.</param>
internal sealed record FileOwner(Pid Pid, int Kind)
{
    public const int OneThread = 0, WholeProcess = 1, ProcessGroup = 2;
}

/// <summary>F_SETOWN, F_GETOWN and their extended variants (man 2 fcntl).</summary>
internal static class FileOwnerArgument
{
    /// <summary>A process, a negated process group, or 0 for nobody. ESRCH, EINVAL.</summary>
    public static Errno Set(Thread thread, OpenFile file, int number)
    {
        if (number == int.MinValue) return Errno.EINVAL;
        return number < 0 ? Set(thread, file, FileOwner.ProcessGroup, -number) : Set(thread, file, FileOwner.WholeProcess, number);
    }

    /// <summary>The number as F_SETOWN takes it. Small negative numbers are no errors: the library tells them apart by F_GETOWN_EX.</summary>
    public static long Get(Thread thread, OpenFile file)
    {
        if (file.Owner is not FileOwner owner) return 0;
        int number = owner.Pid.NumberIn(thread.Namespaces.Pid);
        return owner.Kind == FileOwner.ProcessGroup ? -number : number;
    }

    public static Errno SetExtended(Thread thread, OpenFile file, UserAddress address)
    {
        Errno error = thread.Memory.Read(address, out ulong packed);
        if (error != Errno.None) return error;
        int kind = (int)packed, number = (int)(packed >> 32);
        return kind is < 0 or > FileOwner.ProcessGroup ? Errno.EINVAL : number < 0 ? Errno.ESRCH : Set(thread, file, kind, number);
    }

    public static Errno GetExtended(Thread thread, OpenFile file, UserAddress address)
    {
        var owner = file.Owner as FileOwner;
        ulong number = (uint)(owner?.Pid.NumberIn(thread.Namespaces.Pid) ?? 0);
        return thread.Memory.Write(address, number << 32 | (uint)(owner?.Kind ?? FileOwner.WholeProcess));
    }

    private static Errno Set(Thread thread, OpenFile file, int kind, int number)
    {
        FileOwner? owner = null;
        if (number != 0)
        {
            if (thread.Namespaces.Pid.Find(number) is not { } pid) return Errno.ESRCH;
            bool exists = kind switch { FileOwner.OneThread => pid.Thread is not null, FileOwner.WholeProcess => pid.Process is not null, _ => pid.Group is not null };
            if (!exists) return Errno.ESRCH;
            owner = new FileOwner(pid, kind);
        }
        file.Owner = owner;
        return Errno.None;
    }
}
