using System;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>mkdir, mknod, link, symlink, readlink, unlink, rmdir, rename and their variants with a directory.</summary>
internal static class NameSyscalls
{
    private const int Here = PathArgument.WorkingDirectory;

    public static void Register()
    {
        SyscallTable.Add(82, "rename", (in a) => Rename(a.Thread, Here, a.Address(0), Here, a.Address(1), RenameFlags.None));
        SyscallTable.Add(83, "mkdir", (in a) => MakeDirectory(a.Thread, Here, a.Address(0), a.Int(1)));
        SyscallTable.Add(84, "rmdir", (in a) => RemoveDirectory(a.Thread, Here, a.Address(0)));
        SyscallTable.Add(86, "link", (in a) => Link(a.Thread, Here, a.Address(0), Here, a.Address(1), AtFlags.None));
        SyscallTable.Add(87, "unlink", (in a) => Unlink(a.Thread, Here, a.Address(0)));
        SyscallTable.Add(88, "symlink", (in a) => MakeLink(a.Thread, a.Address(0), Here, a.Address(1)));
        SyscallTable.Add(89, "readlink", (in a) => ReadLink(a.Thread, Here, a.Address(0), a.Address(1), a.Int(2)));
        SyscallTable.Add(133, "mknod", (in a) => MakeNode(a.Thread, Here, a.Address(0), a.Int(1), a.UInt(2)));
        SyscallTable.Add(258, "mkdirat", (in a) => MakeDirectory(a.Thread, a.Int(0), a.Address(1), a.Int(2)));
        SyscallTable.Add(259, "mknodat", (in a) => MakeNode(a.Thread, a.Int(0), a.Address(1), a.Int(2), a.UInt(3)));
        SyscallTable.Add(263, "unlinkat", (in a) => UnlinkAt(a));
        SyscallTable.Add(264, "renameat", (in a) => Rename(a.Thread, a.Int(0), a.Address(1), a.Int(2), a.Address(3), RenameFlags.None));
        SyscallTable.Add(265, "linkat", (in a) => Link(a.Thread, a.Int(0), a.Address(1), a.Int(2), a.Address(3), (AtFlags)a.Int(4)));
        SyscallTable.Add(266, "symlinkat", (in a) => MakeLink(a.Thread, a.Address(0), a.Int(1), a.Address(2)));
        SyscallTable.Add(267, "readlinkat", (in a) => ReadLink(a.Thread, a.Int(0), a.Address(1), a.Address(2), a.Int(3)));
        SyscallTable.Add(316, "renameat2", (in a) => Rename(a.Thread, a.Int(0), a.Address(1), a.Int(2), a.Address(3), (RenameFlags)a.UInt(4)), "RENAME_WHITEOUT");
    }

    private static Errno Read(Thread thread, int descriptor, UserAddress address, Span<byte> small, out ReadOnlySpan<byte> path, out VfsPath start)
    {
        start = default;
        Errno error = PathArgument.Read(thread, address, small, out path);
        if (error != Errno.None) return error;
        return path.IsEmpty ? Errno.ENOENT : PathArgument.Start(thread, descriptor, path, out start);
    }

    private static long MakeDirectory(Thread thread, int descriptor, UserAddress address, int mode)
    {
        Errno error = Read(thread, descriptor, address, stackalloc byte[PathArgument.SmallBytes], out ReadOnlySpan<byte> path, out VfsPath start);
        // Of the mode, mkdir(2) takes the permissions and the sticky bit.
        return error != Errno.None ? -(long)error : -(long)DirectoryOperations.Make(thread, start, path, InodeType.Directory, mode & 0x3FF).Error;
    }

    private static long MakeNode(Thread thread, int descriptor, UserAddress address, int mode, uint device)
    {
        InodeType type;
        switch (mode & 0xF000)
        {
            case 0 or (int)InodeType.Regular: type = InodeType.Regular; break;
            case (int)InodeType.Fifo or (int)InodeType.Socket: type = (InodeType)(mode & 0xF000); break;
            case (int)InodeType.CharacterDevice or (int)InodeType.BlockDevice:
                type = (InodeType)(mode & 0xF000);
                if (!thread.Credentials.Has(Capability.Mknod)) return -(long)Errno.EPERM;
                break;
            case (int)InodeType.Directory: return -(long)Errno.EPERM;
            default: return -(long)Errno.EINVAL;
        }
        Errno error = Read(thread, descriptor, address, stackalloc byte[PathArgument.SmallBytes], out ReadOnlySpan<byte> path, out VfsPath start);
        if (error != Errno.None) return -(long)error;
        DeviceNumber number = type is InodeType.CharacterDevice or InodeType.BlockDevice ? DeviceNumber.Decode(device) : default;
        return -(long)DirectoryOperations.Make(thread, start, path, type, mode & 0xFFF, number).Error;
    }

    private static long MakeLink(Thread thread, UserAddress targetAddress, int descriptor, UserAddress address)
    {
        Errno error = PathArgument.Read(thread, targetAddress, stackalloc byte[PathArgument.SmallBytes], out ReadOnlySpan<byte> target);
        if (error != Errno.None) return -(long)error;
        if (target.IsEmpty) return -(long)Errno.ENOENT;
        error = Read(thread, descriptor, address, stackalloc byte[PathArgument.SmallBytes], out ReadOnlySpan<byte> path, out VfsPath start);
        return error != Errno.None ? -(long)error : -(long)DirectoryOperations.Make(thread, start, path, InodeType.SymbolicLink, 0x1FF, default, target).Error;
    }

    private static long Link(Thread thread, int oldDescriptor, UserAddress oldAddress, int newDescriptor, UserAddress newAddress, AtFlags flags)
    {
        if ((flags & ~(AtFlags.Follow | AtFlags.EmptyPath)) != 0) return -(long)Errno.EINVAL;
        WalkFlags walk = (flags & AtFlags.Follow) != 0 ? WalkFlags.Follow : WalkFlags.None;
        if ((flags & AtFlags.EmptyPath) != 0)
        {
            // The same rights as through /proc/self/fd would do, but Linux asks for a capability.
            if (!thread.Credentials.Has(Capability.DacReadSearch)) return -(long)Errno.ENOENT;
            walk |= WalkFlags.AllowEmpty;
        }
        Errno error = PathArgument.Resolve(thread, oldDescriptor, oldAddress, walk, out VfsPath target);
        if (error != Errno.None) return -(long)error;
        error = Read(thread, newDescriptor, newAddress, stackalloc byte[PathArgument.SmallBytes], out ReadOnlySpan<byte> path, out VfsPath start);
        return error != Errno.None ? -(long)error : -(long)DirectoryOperations.Link(thread, target, start, path);
    }

    private static long Unlink(Thread thread, int descriptor, UserAddress address)
    {
        Errno error = Read(thread, descriptor, address, stackalloc byte[PathArgument.SmallBytes], out ReadOnlySpan<byte> path, out VfsPath start);
        return error != Errno.None ? -(long)error : -(long)DirectoryOperations.Unlink(thread, start, path);
    }

    private static long RemoveDirectory(Thread thread, int descriptor, UserAddress address)
    {
        Errno error = Read(thread, descriptor, address, stackalloc byte[PathArgument.SmallBytes], out ReadOnlySpan<byte> path, out VfsPath start);
        return error != Errno.None ? -(long)error : -(long)DirectoryOperations.RemoveDirectory(thread, start, path);
    }

    private static long UnlinkAt(in SyscallArguments a)
    {
        var flags = (AtFlags)a.Int(2);
        if ((flags & ~AtFlags.RemoveDirectory) != 0) return -(long)Errno.EINVAL;
        return flags == AtFlags.None ? Unlink(a.Thread, a.Int(0), a.Address(1)) : RemoveDirectory(a.Thread, a.Int(0), a.Address(1));
    }

    private static long Rename(Thread thread, int oldDescriptor, UserAddress oldAddress, int newDescriptor, UserAddress newAddress, RenameFlags flags)
    {
        if ((flags & ~(RenameFlags.NoReplace | RenameFlags.Exchange)) != 0 || flags == (RenameFlags.NoReplace | RenameFlags.Exchange)) return -(long)Errno.EINVAL;
        Errno error = Read(thread, oldDescriptor, oldAddress, stackalloc byte[PathArgument.SmallBytes], out ReadOnlySpan<byte> oldPath, out VfsPath oldStart);
        if (error != Errno.None) return -(long)error;
        error = Read(thread, newDescriptor, newAddress, stackalloc byte[PathArgument.SmallBytes], out ReadOnlySpan<byte> newPath, out VfsPath newStart);
        return error != Errno.None ? -(long)error : -(long)Renaming.Rename(thread, oldStart, oldPath, newStart, newPath, flags);
    }

    private static long ReadLink(Thread thread, int descriptor, UserAddress address, UserAddress buffer, int size)
    {
        if (size <= 0) return -(long)Errno.EINVAL;
        Errno error = PathArgument.Read(thread, address, stackalloc byte[PathArgument.SmallBytes], out ReadOnlySpan<byte> path);
        if (error != Errno.None) return -(long)error;
        // An empty path is the descriptor itself, which O_PATH | O_NOFOLLOW can open.
        if (path.IsEmpty && descriptor == Here) return -(long)Errno.ENOENT;
        error = PathArgument.Start(thread, descriptor, path, out VfsPath start);
        if (error != Errno.None) return -(long)error;
        var walker = new PathWalker(thread, start, path, WalkFlags.AllowEmpty);
        error = walker.Walk();
        if (error != Errno.None) return -(long)error;
        Inode inode = walker.Current.Inode;
        if (inode.Type != InodeType.SymbolicLink) return path.IsEmpty ? -(long)Errno.ENOENT : -(long)Errno.EINVAL;
        Result<byte[]> target = inode.ReadLink();
        if (!target.IsOk) return -(long)target.Error;
        inode.TouchAccess();
        int length = Math.Min(size, target.Value.Length);
        error = thread.Memory.Write(buffer, target.Value.AsSpan(0, length));
        return error != Errno.None ? -(long)error : length;
    }
}
