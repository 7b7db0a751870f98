using System;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>Size and storage of files: truncate, ftruncate, fallocate, fsync, fdatasync, sync, syncfs, sync_file_range, fadvise64, readahead.</summary>
internal static class StorageSyscalls
{
    public static void Register()
    {
        SyscallTable.Add(74, "fsync", (in a) => Sync(a, false));
        SyscallTable.Add(75, "fdatasync", (in a) => Sync(a, true));
        SyscallTable.Add(76, "truncate", Truncate);
        SyscallTable.Add(77, "ftruncate", TruncateDescriptor);
        SyscallTable.Add(162, "sync", SyncAll);
        SyscallTable.Add(187, "readahead", ReadAhead);
        SyscallTable.Add(221, "fadvise64", Advise);
        SyscallTable.Add(277, "sync_file_range", SyncRange);
        SyscallTable.Add(285, "fallocate", Allocate);
        SyscallTable.Add(306, "syncfs", SyncFileSystem);
    }

    private static long Truncate(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        long size = a.Long(1);
        if (size < 0) return -(long)Errno.EINVAL;
        Errno error = PathArgument.Resolve(thread, PathArgument.WorkingDirectory, a.Address(0), WalkFlags.Follow, out VfsPath place);
        if (error != Errno.None) return -(long)error;
        Inode inode = place.Inode;
        if (inode.IsDirectory) return -(long)Errno.EISDIR;
        if (inode.Type != InodeType.Regular) return -(long)Errno.EINVAL;
        error = AccessRights.Check(thread, place, Permission.Write);
        if (error != Errno.None) return -(long)error;
        if (!inode.TryAddUse()) return -(long)Errno.ENOENT;
        try
        {
            if (!inode.TryAddWriter()) return -(long)Errno.ETXTBSY;
            error = Resize(thread, inode, size);
            inode.DropWriter();
        }
        finally
        {
            inode.DropUse();
        }
        if (error == Errno.None) FileEvents.OnFile(place.Dentry, InodeEvents.Modify);
        return -(long)error;
    }

    private static Errno Resize(Thread thread, Inode inode, long size)
    {
        if (size > inode.Size && (ulong)size > thread.Process.Limits.Soft(Resource.FileSize)) return RegularFile.OverLimit(thread);
        using Mutex.Guard guard = inode.Lock.Lock();
        int permissions = AccessRights.WithoutPrivileges(thread.Credentials, inode);
        if (permissions != inode.Permissions) inode.SetPermissions(permissions);
        return inode.Truncate(size);
    }

    private static long TruncateDescriptor(in SyscallArguments a)
    {
        long size = a.Long(1);
        if (size < 0) return -(long)Errno.EINVAL;
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            OpenFile file = handle.File;
            if (file.Inode.Type != InodeType.Regular || !file.IsWritable) return -(long)Errno.EINVAL;
            error = Resize(a.Thread, file.Inode, size);
            if (error == Errno.None) FileEvents.OnFile(file.Path.Dentry, InodeEvents.Modify);
            return -(long)error;
        }
    }

    private static long Allocate(in SyscallArguments a)
    {
        const int KnownModes = 0x7F;
        int mode = a.Int(1);
        long offset = a.Long(2), length = a.Long(3);
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            OpenFile file = handle.File;
            if (offset < 0 || length <= 0) return -(long)Errno.EINVAL;
            if ((mode & ~KnownModes) != 0 || (mode & 3) == 2) return -(long)Errno.EOPNOTSUPP;
            if (!file.IsWritable) return -(long)Errno.EBADF;
            if (file.Inode.Type == InodeType.Fifo) return -(long)Errno.ESPIPE;
            if (file.Inode.IsDirectory) return -(long)Errno.EISDIR;
            if (file.Inode.Type != InodeType.Regular) return -(long)Errno.ENODEV;
            if (length > long.MaxValue - offset) return -(long)Errno.EFBIG;
            error = file.Allocate(mode, offset, length);
            if (error == Errno.None) FileEvents.OnFile(file.Path.Dentry, InodeEvents.Modify);
            return -(long)error;
        }
    }

    // ---- to the device

    private static long Sync(in SyscallArguments a, bool dataOnly)
    {
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle) return -(long)handle.File.Sync(dataOnly);
    }

    private static long SyncAll(in SyscallArguments a)
    {
        foreach (Mount mount in a.Thread.Namespaces.Mount.Snapshot()) mount.FileSystem.Sync();
        return 0;
    }

    private static long SyncFileSystem(in SyscallArguments a)
    {
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle) return -(long)handle.File.Inode.FileSystem.Sync();
    }

    private static long SyncRange(in SyscallArguments a)
    {
        long offset = a.Long(1), length = a.Long(2);
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            if ((a.UInt(3) & ~7U) != 0 || offset < 0 || length < 0 || length > long.MaxValue - offset) return -(long)Errno.EINVAL;
            if (handle.File.Inode.Type is not (InodeType.Regular or InodeType.BlockDevice or InodeType.Directory or InodeType.SymbolicLink)) return -(long)Errno.ESPIPE;
            if (handle.File.Inode is not RegularInode file) return 0;
            ulong last = length == 0 ? ulong.MaxValue : (ulong)(offset + length - 1) >> 12;
            return -(long)file.Cache.WriteBack((ulong)offset >> 12, last);
        }
    }

    // Advice: pages come when they are needed, and there is no reason to drop any before memory runs out.
    private static long Advise(in SyscallArguments a)
    {
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            if (handle.File.Inode.Type is InodeType.Fifo) return -(long)Errno.ESPIPE;
            return a.Long(2) < 0 || a.Int(3) is < 0 or > 5 ? -(long)Errno.EINVAL : 0;
        }
    }

    private static long ReadAhead(in SyscallArguments a)
    {
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle);
        if (error != Errno.None) return -(long)error;
        using (handle)
        {
            if (!handle.File.IsReadable) return -(long)Errno.EBADF;
            return handle.File.Inode.Type is InodeType.Regular or InodeType.BlockDevice ? 0 : -(long)Errno.EINVAL;
        }
    }
}
