using System;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>stat, lstat, fstat, newfstatat, statx, access, faccessat, faccessat2, statfs, fstatfs, ustat.</summary>
internal static class StatusSyscalls
{
    public static void Register()
    {
        SyscallTable.Add(4, "stat", Stat);
        SyscallTable.Add(5, "fstat", StatDescriptor);
        SyscallTable.Add(6, "lstat", StatLink);
        SyscallTable.Add(21, "access", Access);
        SyscallTable.Add(137, "statfs", StatFileSystem);
        SyscallTable.Add(138, "fstatfs", StatFileSystemOfDescriptor);
        SyscallTable.Add(262, "newfstatat", StatAt);
        SyscallTable.Add(269, "faccessat", AccessAt);
        SyscallTable.Add(332, "statx", StatExtended);
        SyscallTable.Add(439, "faccessat2", AccessAt2);
    }

    private static long Stat(in SyscallArguments a) => Stat(a.Thread, PathArgument.WorkingDirectory, a.Address(0), a.Address(1), AtFlags.None);
    private static long StatLink(in SyscallArguments a) => Stat(a.Thread, PathArgument.WorkingDirectory, a.Address(0), a.Address(1), AtFlags.NoFollow);

    private static long StatDescriptor(in SyscallArguments a)
    {
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle, allowPath: true);
        if (error != Errno.None) return -(long)error;
        using (handle) return Answer(a.Thread, handle.File.Inode, a.Address(1));
    }

    private static long StatAt(in SyscallArguments a)
    {
        var flags = (AtFlags)a.Int(3);
        if ((flags & ~(AtFlags.NoFollow | AtFlags.NoAutomount | AtFlags.EmptyPath | AtFlags.SyncMask)) != 0) return -(long)Errno.EINVAL;
        // The library's fstat: no path, a descriptor.
        if ((flags & AtFlags.EmptyPath) != 0 && a.Int(0) >= 0 && IsEmpty(a.Thread, a.Address(1))) return StatOf(a.Thread, a.Int(0), a.Address(2));
        return Stat(a.Thread, a.Int(0), a.Address(1), a.Address(2), flags);
    }

    private static long StatOf(Thread thread, int descriptor, UserAddress to)
    {
        Errno error = thread.Files.Get(descriptor, out FileHandle handle, allowPath: true);
        if (error != Errno.None) return -(long)error;
        using (handle) return Answer(thread, handle.File.Inode, to);
    }

    // A null pointer counts as an empty path here (Linux 6.11).
    private static bool IsEmpty(Thread thread, UserAddress path) => path.Value == 0 || (thread.Memory.Read(path, out byte first) == Errno.None && first == 0);

    private static long Stat(Thread thread, int descriptor, UserAddress path, UserAddress to, AtFlags flags)
    {
        Errno error = PathArgument.Resolve(thread, descriptor, path, flags, out VfsPath place);
        return error != Errno.None ? -(long)error : Answer(thread, place.Inode, to);
    }

    private static long Answer(Thread thread, Inode inode, UserAddress to)
    {
        Span<byte> bytes = stackalloc byte[StatusEncoding.StatBytes];
        StatusEncoding.Stat(bytes, inode);
        return -(long)thread.Memory.Write(to, bytes);
    }

    private static long StatExtended(in SyscallArguments a)
    {
        const uint Reserved = 0x80000000;
        Thread thread = a.Thread;
        var flags = (AtFlags)a.Int(2);
        if ((a.UInt(3) & Reserved) != 0 || (flags & AtFlags.SyncMask) == AtFlags.SyncMask) return -(long)Errno.EINVAL;
        if ((flags & ~(AtFlags.NoFollow | AtFlags.NoAutomount | AtFlags.EmptyPath | AtFlags.SyncMask)) != 0) return -(long)Errno.EINVAL;
        VfsPath place;
        Errno error;
        if ((flags & AtFlags.EmptyPath) != 0 && a.Int(0) >= 0 && IsEmpty(thread, a.Address(1)))
        {
            error = thread.Files.Get(a.Int(0), out FileHandle handle, allowPath: true);
            if (error != Errno.None) return -(long)error;
            using (handle) place = handle.File.Path;
        }
        else
        {
            error = PathArgument.Resolve(thread, a.Int(0), a.Address(1), flags, out place);
            if (error != Errno.None) return -(long)error;
        }
        Span<byte> bytes = stackalloc byte[StatusEncoding.StatxBytes];
        StatusEncoding.Statx(bytes, place);
        return -(long)thread.Memory.Write(a.Address(4), bytes);
    }

    // ---- access

    private static long Access(in SyscallArguments a) => Access(a.Thread, PathArgument.WorkingDirectory, a.Address(0), a.Int(1), AtFlags.None);
    private static long AccessAt(in SyscallArguments a) => Access(a.Thread, a.Int(0), a.Address(1), a.Int(2), AtFlags.None);

    private static long AccessAt2(in SyscallArguments a)
    {
        var flags = (AtFlags)a.Int(3);
        if ((flags & ~(AtFlags.NoFollow | AtFlags.EffectiveAccess | AtFlags.EmptyPath)) != 0) return -(long)Errno.EINVAL;
        return Access(a.Thread, a.Int(0), a.Address(1), a.Int(2), flags);
    }

    // access(2) asks for the real ids, of which capabilities follow: all permitted ones for root, else none.
    private static long Access(Thread thread, int descriptor, UserAddress path, int mode, AtFlags flags)
    {
        if ((mode & ~7) != 0) return -(long)Errno.EINVAL;
        Credentials credentials = thread.Credentials;
        if ((flags & AtFlags.EffectiveAccess) == 0)
        {
            ulong effective = credentials.Uid == 0 ? credentials.Permitted : 0;
            if (credentials.Uid != credentials.FsUid || credentials.Gid != credentials.FsGid || credentials.Effective != effective)
            {
                credentials = credentials with { FsUid = credentials.Uid, FsGid = credentials.Gid, Effective = effective };
            }
        }
        Errno error = PathArgument.Resolve(thread, descriptor, path, flags, out VfsPath place, credentials);
        if (error != Errno.None || mode == 0) return -(long)error;
        Inode inode = place.Inode;
        var wanted = (Permission)mode;
        if ((wanted & Permission.Execute) != 0 && inode.Type == InodeType.Regular && place.Mount is { } mount && (mount.Flags & MountFlags.NoExecute) != 0) return -(long)Errno.EACCES;
        error = AccessRights.Check(thread, credentials, inode, wanted);
        if (error == Errno.None && (wanted & Permission.Write) != 0 && place.Mount is { IsReadOnly: true }
            && inode.Type is InodeType.Regular or InodeType.Directory or InodeType.SymbolicLink) error = Errno.EROFS;
        return -(long)error;
    }

    // ---- file systems

    private static long StatFileSystem(in SyscallArguments a)
    {
        Errno error = PathArgument.Resolve(a.Thread, PathArgument.WorkingDirectory, a.Address(0), WalkFlags.Follow, out VfsPath place);
        return error != Errno.None ? -(long)error : Answer(a.Thread, place, a.Address(1));
    }

    private static long StatFileSystemOfDescriptor(in SyscallArguments a)
    {
        Errno error = a.Thread.Files.Get(a.Int(0), out FileHandle handle, allowPath: true);
        if (error != Errno.None) return -(long)error;
        using (handle) return Answer(a.Thread, handle.File.Path, a.Address(1));
    }

    private static long Answer(Thread thread, VfsPath place, UserAddress to)
    {
        Span<byte> bytes = stackalloc byte[StatusEncoding.StatfsBytes];
        StatusEncoding.Statfs(bytes, place.Inode.FileSystem, place.Mount);
        return -(long)thread.Memory.Write(to, bytes);
    }
}
