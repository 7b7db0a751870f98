using System;
using System.Text;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>mount(2), umount2(2), pivot_root(2).</summary>
internal static class MountSyscalls
{
    private const uint MagicMask = 0xFFFF0000, Magic = 0xC0ED0000;
    private const MountFlags Propagation = MountFlags.Unbindable | MountFlags.Private | MountFlags.Slave | MountFlags.Shared;

    public static void Register()
    {
        SyscallTable.Add(165, "mount", Mount, "propagation: all mounts are private; file systems on devices");
        SyscallTable.Add(166, "umount2", Unmount, "MNT_EXPIRE");
        SyscallTable.Add(155, "pivot_root", PivotRoot);
    }

    private static long Mount(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        uint raw = (uint)a.A3;
        if ((raw & MagicMask) == Magic) raw &= ~MagicMask;
        var flags = (MountFlags)raw;
        string type = "", source = "none", options = "";
        Errno error = ReadText(thread, a.Address(2), ref type);
        if (error == Errno.None) error = ReadText(thread, a.Address(0), ref source);
        if (error == Errno.None && a.A4 != 0) error = ReadOptions(thread, a.Address(4), ref options);
        if (error != Errno.None) return -(long)error;
        error = PathArgument.Resolve(thread, PathArgument.WorkingDirectory, a.Address(1), WalkFlags.Follow, out VfsPath place);
        if (error != Errno.None) return -(long)error;
        if (!thread.Credentials.Has(Capability.SysAdmin)) return -(long)Errno.EPERM;
        if ((flags & MountFlags.Remount) != 0) return SyscallAnswer.From(Remount(place, flags, options));
        if ((flags & MountFlags.Bind) != 0) return SyscallAnswer.From(Bind(thread, a.Address(0), place, (flags & MountFlags.Recursive) != 0));
        if ((flags & Propagation) != 0) return SyscallAnswer.From(SetPropagation(place, flags));
        if ((flags & MountFlags.Move) != 0) return SyscallAnswer.From(Move(thread, a.Address(0), place));
        if (FileSystemRegistry.Find(type) is not { } known) return -(long)Errno.ENODEV;
        Result<FileSystem> made = known.Create(thread, source, options);
        if (!made.IsOk) return -(long)made.Error;
        return SyscallAnswer.From(Attach(new Mount(null, made.Value, made.Value.RootDentry, PerMount(flags)) { Source = source }, place));
    }

    private static long Unmount(in SyscallArguments a)
    {
        const int force = 1, detach = 2, expire = 4, noFollow = 8;
        int flags = a.Int(1);
        if ((flags & ~(force | detach | expire | noFollow)) != 0) return -(long)Errno.EINVAL;
        if ((flags & expire) != 0) return -(long)Errno.EINVAL;
        Thread thread = a.Thread;
        if (!thread.Credentials.Has(Capability.SysAdmin)) return -(long)Errno.EPERM;
        Errno error = PathArgument.Resolve(thread, PathArgument.WorkingDirectory, a.Address(0), (flags & noFollow) != 0 ? WalkFlags.None : WalkFlags.Follow, out VfsPath place);
        if (error != Errno.None) return -(long)error;
        if (place.Mount is not { } mount || !ReferenceEquals(place.Dentry, mount.Root) || mount.Namespace != thread.Namespaces.Mount) return -(long)Errno.EINVAL;
        return SyscallAnswer.From(MountNamespace.Detach(mount, (flags & detach) != 0));
    }

    private static long PivotRoot(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        if (!thread.Credentials.Has(Capability.SysAdmin)) return -(long)Errno.EPERM;
        Errno error = PathArgument.Resolve(thread, PathArgument.WorkingDirectory, a.Address(0), WalkFlags.Follow, out VfsPath newRoot);
        if (error != Errno.None) return -(long)error;
        error = PathArgument.Resolve(thread, PathArgument.WorkingDirectory, a.Address(1), WalkFlags.Follow, out VfsPath putOld);
        if (error != Errno.None) return -(long)error;
        if (!newRoot.Inode.IsDirectory || !putOld.Inode.IsDirectory) return -(long)Errno.ENOTDIR;
        VfsPath oldRoot = thread.FileSystem.Root;
        error = MountNamespace.Pivot(newRoot, putOld, oldRoot);
        if (error != Errno.None) return -(long)error;
        // Every process that had the old root gets the new one (man 2 pivot_root).
        foreach (Process process in thread.Namespaces.Pid.Processes())
        {
            using SpinLock.Guard guard = process.SignalLock.Lock();
            foreach (Thread other in process.Threads)
            {
                FileSystemContext context = other.FileSystem;
                if (context.Root == oldRoot) context.Root = newRoot;
                if (context.Current == oldRoot) context.Current = newRoot;
            }
        }
        return 0;
    }

    private static Errno Attach(Mount mount, VfsPath place)
    {
        Errno error = MountNamespace.Attach(mount, place);
        if (error != Errno.None) mount.Detach();
        return error;
    }

    private static Errno Remount(VfsPath place, MountFlags flags, string options)
    {
        if (place.Mount is not { } mount || !ReferenceEquals(place.Dentry, mount.Root)) return Errno.EINVAL;
        MountFlags kept = PerMount(flags);
        if ((flags & MountFlags.Bind) != 0)
        {
            mount.Flags = kept;
            return Errno.None;
        }
        Errno error = mount.FileSystem.Remount(options);
        if (error != Errno.None) return error;
        mount.FileSystem.IsReadOnly = (flags & MountFlags.ReadOnly) != 0;
        mount.Flags = kept & ~MountFlags.ReadOnly;
        return Errno.None;
    }

    private static Errno Bind(Thread thread, UserAddress source, VfsPath place, bool isRecursive)
    {
        Errno error = PathArgument.Resolve(thread, PathArgument.WorkingDirectory, source, WalkFlags.Follow, out VfsPath from);
        if (error != Errno.None) return error;
        if (from.Mount?.Namespace is null) return Errno.EINVAL;
        return Attach(MountNamespace.Copy(from.Mount, from.Dentry, isRecursive), place);
    }

    private static Errno Move(Thread thread, UserAddress source, VfsPath place)
    {
        Errno error = PathArgument.Resolve(thread, PathArgument.WorkingDirectory, source, WalkFlags.Follow, out VfsPath from);
        if (error != Errno.None) return error;
        if (from.Mount is not { } mount || !ReferenceEquals(from.Dentry, mount.Root)) return Errno.EINVAL;
        return MountNamespace.Move(mount, place);
    }

    // All mounts are private: asking for that changes nothing. The other kinds do not exist.
    private static Errno SetPropagation(VfsPath place, MountFlags flags)
    {
        MountFlags kind = flags & Propagation;
        if ((kind & (kind - 1)) != 0 || (flags & ~(Propagation | MountFlags.Recursive | MountFlags.Silent)) != 0) return Errno.EINVAL;
        if (place.Mount is not { } mount || !ReferenceEquals(place.Dentry, mount.Root)) return Errno.EINVAL;
        return kind is MountFlags.Private or MountFlags.Slave ? Errno.None : Errno.EINVAL;
    }

    private static MountFlags PerMount(MountFlags flags)
    {
        MountFlags kept = flags & MountFlags.PerMount;
        if ((kept & (MountFlags.NoAccessTime | MountFlags.StrictAccessTime)) == 0) kept |= MountFlags.RelativeAccessTime;
        return kept;
    }

    private static Errno ReadText(Thread thread, UserAddress address, ref string text)
    {
        if (address.Value == 0) return Errno.None;
        var bytes = new byte[PageSize.Small];
        Result<int> read = thread.Memory.ReadString(address, bytes);
        if (!read.IsOk) return read.Error == Errno.ENAMETOOLONG ? Errno.EINVAL : read.Error;
        text = Encoding.Latin1.GetString(bytes, 0, read.Value);
        return Errno.None;
    }

    // Options are a page that may end at unmapped memory: what is there counts.
    private static Errno ReadOptions(Thread thread, UserAddress address, ref string text)
    {
        var bytes = new byte[PageSize.Small];
        var source = new Memory.IoSource(thread.Memory, address, bytes.Length - 1);
        int count = source.Read(bytes.AsSpan(0, bytes.Length - 1));
        if (count == 0) return Errno.EFAULT;
        int end = bytes.AsSpan(0, count).IndexOf((byte)0);
        text = Encoding.Latin1.GetString(bytes, 0, end < 0 ? count : end);
        return Errno.None;
    }
}
