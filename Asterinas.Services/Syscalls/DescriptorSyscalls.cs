using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>dup, dup2, dup3, fcntl, ioctl, flock.</summary>
internal static class DescriptorSyscalls
{
    private const OpenFlags Settable = OpenFlags.Append | OpenFlags.NonBlock | OpenFlags.Async | OpenFlags.Direct | OpenFlags.NoAccessTime;

    public static void Register()
    {
        SyscallTable.Add(16, "ioctl", Control);
        SyscallTable.Add(32, "dup", Duplicate);
        SyscallTable.Add(33, "dup2", Duplicate2);
        SyscallTable.Add(72, "fcntl", FileControl, "F_SETLEASE, F_NOTIFY, signals of F_SETSIG");
        SyscallTable.Add(73, "flock", Lock);
        SyscallTable.Add(292, "dup3", Duplicate3);
    }

    // ---- dup

    private static long Duplicate(in SyscallArguments a) => Duplicate(a.Thread, a.Int(0), 0, false);

    private static long Duplicate(Thread thread, int descriptor, int from, bool closeOnExec)
    {
        Errno error = thread.Files.Get(descriptor, out FileHandle handle, allowPath: true);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            OpenFile file = handle.File;
            file.AddReference();
            Result<int> number = thread.Files.Add(file, closeOnExec, thread.Process.Limits.Soft(Resource.OpenFiles), from);
            if (!number.IsOk) file.Release();
            return SyscallAnswer.From(number);
        }
    }

    private static long Duplicate2(in SyscallArguments a)
    {
        if (a.Int(0) != a.Int(1)) return Replace(a.Thread, a.Int(0), a.Int(1), false);
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle, allowPath: true);
        if (error != Errno.None) return -(long)error;
        handle.Dispose();
        return a.Int(1);
    }

    private static long Duplicate3(in SyscallArguments a)
    {
        var flags = (OpenFlags)a.Int(2);
        if ((flags & ~OpenFlags.CloseOnExec) != 0 || a.Int(0) == a.Int(1)) return -(long)Errno.EINVAL;
        return Replace(a.Thread, a.Int(0), a.Int(1), (flags & OpenFlags.CloseOnExec) != 0);
    }

    private static long Replace(Thread thread, int descriptor, int target, bool closeOnExec)
    {
        ulong limit = thread.Process.Limits.Soft(Resource.OpenFiles);
        if (target < 0 || (ulong)target >= limit) return -(long)Errno.EBADF;
        Errno error = thread.Files.Get(descriptor, out FileHandle handle, allowPath: true);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            OpenFile file = handle.File;
            file.AddReference();
            error = thread.Files.Replace(target, file, closeOnExec, limit, out OpenFile? old);
            if (error != Errno.None)
            {
                file.Release();
                return -(long)error;
            }
            if (old is not null) thread.Files.Close(old, thread);
            return target;
        }
    }

    // ---- fcntl

    private static long FileControl(in SyscallArguments a)
    {
        const int DuplicateFd = 0, GetFd = 1, SetFd = 2, GetFlags = 3, SetFlags = 4, GetLock = 5, SetLock = 6, SetLockWait = 7, SetOwner = 8, GetOwner = 9, SetSignal = 10,
            GetSignal = 11, SetOwnerEx = 15, GetOwnerEx = 16, OfdGetLock = 36, OfdSetLock = 37, OfdSetLockWait = 38, SetLease = 1024, GetLease = 1025, Notify = 1026,
            DuplicateQuery = 1027, DuplicateCloseOnExec = 1030, SetPipeSize = 1031, GetPipeSize = 1032, AddSeals = 1033, GetSeals = 1034, GetHint = 1035, SetHint = 1036,
            GetFileHint = 1037, SetFileHint = 1038;
        Thread thread = a.Thread;
        FileTable files = thread.Files;
        int descriptor = a.Int(0), command = a.Int(1);
        Errno error = files.Get(descriptor, out FileHandle handle, allowPath: true);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            OpenFile file = handle.File;
            switch (command)
            {
                case DuplicateFd or DuplicateCloseOnExec:
                    if (a.A2 >= thread.Process.Limits.Soft(Resource.OpenFiles)) return -(long)Errno.EINVAL;
                    return Duplicate(thread, descriptor, (int)a.A2, command == DuplicateCloseOnExec);
                case GetFd: return SyscallAnswer.From(files.GetCloseOnExec(descriptor));
                case SetFd: return SyscallAnswer.From(files.SetCloseOnExec(descriptor, (a.A2 & 1) != 0));
                case GetFlags: return (long)file.Flags;
            }
            if ((file.Flags & OpenFlags.Path) != 0) return -(long)Errno.EBADF;
            switch (command)
            {
                case SetFlags: return SyscallAnswer.From(ChangeFlags(thread, file, (OpenFlags)a.Int(2)));
                case GetLock or OfdGetLock: return SyscallAnswer.From(RecordLockArgument.Get(thread, file, a.Address(2), command == OfdGetLock));
                case SetLock or OfdSetLock: return SyscallAnswer.From(RecordLockArgument.Set(thread, file, descriptor, a.Address(2), command == OfdSetLock, false));
                case SetLockWait or OfdSetLockWait: return SyscallAnswer.From(RecordLockArgument.Set(thread, file, descriptor, a.Address(2), command == OfdSetLockWait, true));
                case SetOwner: return SyscallAnswer.From(FileOwnerArgument.Set(thread, file, a.Int(2)));
                case GetOwner: return FileOwnerArgument.Get(thread, file);
                case SetOwnerEx: return SyscallAnswer.From(FileOwnerArgument.SetExtended(thread, file, a.Address(2)));
                case GetOwnerEx: return SyscallAnswer.From(FileOwnerArgument.GetExtended(thread, file, a.Address(2)));
                case SetSignal:
                    if (a.A2 > 64) return -(long)Errno.EINVAL;
                    file.OwnerSignal = (int)a.A2;
                    return 0;
                case GetSignal: return file.OwnerSignal;
                case AddSeals: return SyscallAnswer.From(Seal(file, (FileSeals)a.UInt(2)));
                case GetSeals: return file.Inode is RegularInode { Seals: { } seals } ? (long)seals : -(long)Errno.EINVAL;
                case DuplicateQuery: return files.Get(a.Int(2), out FileHandle other, allowPath: true) is var bad && bad != Errno.None ? -(long)bad : Same(file, other);
                case GetLease: return 2;                    // F_UNLCK: there are none
                case SetLease or Notify: return -(long)Errno.EINVAL;
                case GetHint or GetFileHint: return SyscallAnswer.From(thread.Memory.Write(a.Address(2), file.Inode.WriteHint));
                case SetHint or SetFileHint: return SyscallAnswer.From(SetWriteHint(thread, file, a.Address(2)));
                case SetPipeSize or GetPipeSize: return SyscallAnswer.From(file.ControlDescriptor(thread, command, a.A2));
                default: return -(long)Errno.EINVAL;
            }
        }
    }

    private static long Same(OpenFile file, FileHandle other)
    {
        using (other) return ReferenceEquals(file, other.File) ? 1 : 0;
    }

    private static Errno SetWriteHint(Thread thread, OpenFile file, UserAddress address)
    {
        Errno error = thread.Memory.Read(address, out ulong hint);
        if (error != Errno.None) return error;
        if (hint > 5) return Errno.EINVAL;
        file.Inode.WriteHint = hint;
        return Errno.None;
    }

    private static Errno ChangeFlags(Thread thread, OpenFile file, OpenFlags flags)
    {
        if ((flags & OpenFlags.NoAccessTime) != 0 && (file.Flags & OpenFlags.NoAccessTime) == 0 && !AccessRights.IsOwner(thread.Credentials, file.Inode)) return Errno.EPERM;
        file.ChangeFlags(Settable, flags);
        return Errno.None;
    }

    private static Errno Seal(OpenFile file, FileSeals seals)
    {
        if ((file.Flags & OpenFlags.AccessMask) == OpenFlags.ReadOnly) return Errno.EPERM;
        if ((seals & ~FileSeals.All) != 0 || file.Inode is not RegularInode { Seals: not null } inode) return Errno.EINVAL;
        using Mutex.Guard guard = inode.Lock.Lock();
        FileSeals present = inode.Seals.Value;
        if ((present & FileSeals.Seal) != 0) return Errno.EPERM;
        if ((seals & FileSeals.Write) != 0 && (present & FileSeals.Write) == 0 && inode.Cache.HasSharedWritableMapping) return Errno.EBUSY;
        // A file that is not to become executable is not to be changed either (man 2 memfd_create, MFD_NOEXEC_SEAL).
        if ((seals & FileSeals.Execute) != 0 && (inode.Permissions & 0x49) != 0) seals |= FileSeals.Shrink | FileSeals.Grow | FileSeals.Write | FileSeals.FutureWrite;
        inode.Seals = present | seals;
        return Errno.None;
    }

    // ---- ioctl

    private static long Control(in SyscallArguments a)
    {
        const uint CloseOnExecOff = 0x5450, CloseOnExecOn = 0x5451, NonBlocking = 0x5421, Asynchronous = 0x5452, BlockSize = 2, QuerySize = 0x5460, Clone = 0x40049409,
            CloneRange = 0x4020940D, DedupeRange = 0xC0189436;
        Thread thread = a.Thread;
        uint command = a.UInt(1);
        Errno error = thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            OpenFile file = handle.File;
            switch (command)
            {
                case CloseOnExecOn or CloseOnExecOff: return SyscallAnswer.From(thread.Files.SetCloseOnExec(a.Int(0), command == CloseOnExecOn));
                case NonBlocking or Asynchronous:
                    error = thread.Memory.Read(a.Address(2), out int isOn);
                    if (error != Errno.None) return -(long)error;
                    OpenFlags flag = command == NonBlocking ? OpenFlags.NonBlock : OpenFlags.Async;
                    file.ChangeFlags(flag, isOn != 0 ? flag : 0);
                    return 0;
                case BlockSize when file.Inode.Type is InodeType.Regular or InodeType.Directory: return SyscallAnswer.From(thread.Memory.Write(a.Address(2), file.Inode.BlockSize));
                case QuerySize when file.Inode.Type is InodeType.Regular or InodeType.Directory or InodeType.SymbolicLink:
                    return SyscallAnswer.From(thread.Memory.Write(a.Address(2), file.Inode.Size));
                // No file system here shares blocks between files.
                case Clone or CloneRange or DedupeRange when file.Inode.Type is InodeType.Regular: return -(long)Errno.EOPNOTSUPP;
                default: return SyscallAnswer.From(file.Control(thread, command, a.A2));
            }
        }
    }

    // ---- flock

    private static long Lock(in SyscallArguments a)
    {
        const int Shared = 1, Exclusive = 2, NonBlocking = 4, Unlock = 8;
        int operation = a.Int(1);
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            LockKind kind;
            switch (operation & ~NonBlocking)
            {
                case Shared: kind = LockKind.Read; break;
                case Exclusive: kind = LockKind.Write; break;
                case Unlock: kind = LockKind.None; break;
                default: return -(long)Errno.EINVAL;
            }
            return SyscallAnswer.From(FileLocks.Of(handle.File.Inode).SetWhole(handle.File, kind, (operation & NonBlocking) == 0));
        }
    }
}
