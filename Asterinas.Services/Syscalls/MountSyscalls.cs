using System;
using System.Text;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>mount, umount2, pivot_root.</summary>
internal static class MountSyscalls
{
    private const int MostOptionBytes = 4096;
    private const MountFlags Propagation = MountFlags.Shared | MountFlags.Slave | MountFlags.Private | MountFlags.Unbindable;

    public static void Register()
    {
        SyscallTable.Add(155, "pivot_root", Pivot);
        SyscallTable.Add(165, "mount", Mount, "MS_SHARED, MS_SLAVE of a shared mount, MS_UNBINDABLE");
        SyscallTable.Add(166, "umount2", Unmount);
    }

    private static long Mount(in SyscallArguments a)
    {
        const ulong OldMagic = 0xC0ED0000, OldMagicMask = 0xFFFF0000;
        Thread thread = a.Thread;
        ulong bits = (a.A3 & OldMagicMask) == OldMagic ? a.A3 & ~OldMagicMask : a.A3;
        var flags = (MountFlags)(uint)bits;
        Errno error = ReadText(thread, a.Address(2), out string type);
        if (error != Errno.None) return -(long)error;
        error = ReadText(thread, a.Address(0), out string source);
        if (error != Errno.None) return -(long)error;
        error = ReadOptions(thread, a.Address(4), out string options);
        if (error != Errno.None) return -(long)error;
        error = PathArgument.Resolve(thread, PathArgument.WorkingDirectory, a.Address(1), WalkFlags.Follow, out VfsPath target);
        if (error != Errno.None) return -(long)error;
        if (!thread.Credentials.Has(Capability.SysAdmin)) return -(long)Errno.EPERM;
        if ((flags & (MountFlags.Remount | MountFlags.Bind)) == (MountFlags.Remount | MountFlags.Bind)) return -(long)RemountBind(target, flags);
        if ((flags & MountFlags.Remount) != 0) return -(long)Remount(target, flags, options);
        if ((flags & MountFlags.Bind) != 0) return -(long)Bind(thread, a.Address(0), target, flags);
        if ((flags & Propagation) != 0) return -(long)Propagate(target, flags);
        if ((flags & MountFlags.Move) != 0) return -(long)Move(thread, a.Address(0), target);
        return -(long)MountNew(thread, type, source, target, flags, options);
    }

    private static Errno ReadText(Thread thread, UserAddress address, out string text)
    {
        text = "";
        if (address.Value == 0) return Errno.None;
        Errno error = PathArgument.Read(thread, address, stackalloc byte[PathArgument.SmallBytes], out ReadOnlySpan<byte> bytes);
        text = Encoding.UTF8.GetString(bytes);
        return error;
    }

    // As much of a page as is there: the kernel does not know how long the options of a file system are.
    private static Errno ReadOptions(Thread thread, UserAddress address, out string options)
    {
        options = "";
        if (address.Value == 0) return Errno.None;
        var bytes = new byte[MostOptionBytes];
        var source = new Memory.IoSource(thread.Memory, address, bytes.Length);
        int length = source.Read(bytes);
        if (length == 0) return Errno.EFAULT;
        ReadOnlySpan<byte> text = bytes.AsSpan(0, length);
        int end = text.IndexOf((byte)0);
        options = Encoding.UTF8.GetString(end < 0 ? text : text[..end]);
        return Errno.None;
    }

    private static Errno MountNew(Thread thread, string type, string source, VfsPath target, MountFlags flags, string options)
    {
        if (type.Length == 0) return Errno.EINVAL;
        if (FileSystemRegistry.Find(type) is not { } known) return Errno.ENODEV;
        // Whoever asks for what a directory can never be is told before anything is made.
        if (!target.Inode.IsDirectory) return Errno.ENOTDIR;
        Result<FileSystem> made = known.Create(thread, source.Length == 0 ? "none" : source, options);
        if (!made.IsOk) return made.Error;
        var mount = new Mount(null, made.Value, made.Value.RootDentry, PerMount(flags)) { Source = source.Length == 0 ? "none" : source };
        return Attach(mount, target);
    }

    private static Errno Attach(Mount mount, VfsPath target)
    {
        Errno error = MountNamespace.Attach(mount, MountNamespace.Cross(target));
        if (error != Errno.None) mount.Detach();
        return error;
    }

    // Access times are kept up relatively unless something else is asked for (man 2 mount).
    private static MountFlags PerMount(MountFlags flags)
    {
        MountFlags own = flags & MountFlags.PerMount;
        return (own & (MountFlags.NoAccessTime | MountFlags.StrictAccessTime)) == 0 ? own | MountFlags.RelativeAccessTime : own & ~MountFlags.RelativeAccessTime;
    }

    private static Errno Bind(Thread thread, UserAddress from, VfsPath target, MountFlags flags)
    {
        Errno error = PathArgument.Resolve(thread, PathArgument.WorkingDirectory, from, WalkFlags.Follow, out VfsPath source);
        if (error != Errno.None) return error;
        if (source.Mount is not { Namespace: not null } original) return Errno.EINVAL;
        if (source.Inode.IsDirectory != target.Inode.IsDirectory) return Errno.ENOTDIR;
        Mount copy = MountNamespace.Copy(original, source.Dentry, (flags & MountFlags.Recursive) != 0);
        error = MountNamespace.Attach(copy, MountNamespace.Cross(target));
        if (error != Errno.None) MountNamespace.Drop(copy);
        return error;
    }

    private static Errno Move(Thread thread, UserAddress from, VfsPath target)
    {
        Errno error = PathArgument.Resolve(thread, PathArgument.WorkingDirectory, from, WalkFlags.Follow, out VfsPath source);
        if (error != Errno.None) return error;
        if (source.Mount is not { } mount || !ReferenceEquals(mount.Root, source.Dentry)) return Errno.EINVAL;
        return MountNamespace.Move(mount, target);
    }

    // Every mount is private; that is what MS_PRIVATE and, where nothing is shared, MS_SLAVE ask for.
    private static Errno Propagate(VfsPath target, MountFlags flags)
    {
        if (target.Mount is not { } mount || !ReferenceEquals(mount.Root, target.Dentry)) return Errno.EINVAL;
        MountFlags kind = flags & Propagation;
        if ((flags & ~(Propagation | MountFlags.Recursive | MountFlags.Silent)) != 0) return Errno.EINVAL;
        return kind is MountFlags.Private or MountFlags.Slave ? Errno.None : Errno.EINVAL;
    }

    private static Errno RemountBind(VfsPath target, MountFlags flags)
    {
        if (target.Mount is not { } mount || !ReferenceEquals(mount.Root, target.Dentry)) return Errno.EINVAL;
        if ((flags & MountFlags.ReadOnly) != 0 && mount.Writers != 0) return Errno.EBUSY;
        mount.Flags = PerMount(flags);
        return Errno.None;
    }

    // The file system itself changes, at all places where it is mounted; the rest of the flags is this mount's.
    private static Errno Remount(VfsPath target, MountFlags flags, string options)
    {
        if (target.Mount is not { } mount || !ReferenceEquals(mount.Root, target.Dentry)) return Errno.EINVAL;
        FileSystem fileSystem = mount.FileSystem;
        bool isReadOnly = (flags & MountFlags.ReadOnly) != 0;
        if (isReadOnly && !fileSystem.IsReadOnly && mount.Writers != 0) return Errno.EBUSY;
        Errno error = fileSystem.Remount(options);
        if (error != Errno.None) return error;
        fileSystem.IsReadOnly = isReadOnly;
        mount.Flags = PerMount(flags & ~MountFlags.ReadOnly);
        return Errno.None;
    }

    private static long Unmount(in SyscallArguments a)
    {
        const int Force = 1, Detach = 2, Expire = 4, NoFollow = 8;
        Thread thread = a.Thread;
        int flags = a.Int(1);
        if ((flags & ~(Force | Detach | Expire | NoFollow)) != 0) return -(long)Errno.EINVAL;
        WalkFlags walk = (flags & NoFollow) != 0 ? WalkFlags.None : WalkFlags.Follow;
        Errno error = PathArgument.Resolve(thread, PathArgument.WorkingDirectory, a.Address(0), walk, out VfsPath target);
        if (error != Errno.None) return -(long)error;
        if (target.Mount is not { } mount || !ReferenceEquals(mount.Root, target.Dentry)) return -(long)Errno.EINVAL;
        if (!thread.Credentials.Has(Capability.SysAdmin)) return -(long)Errno.EPERM;
        if (!ReferenceEquals(mount.Namespace, thread.Namespaces.Mount)) return -(long)Errno.EINVAL;
        if ((flags & Expire) != 0)
        {
            if ((flags & (Force | Detach)) != 0) return -(long)Errno.EINVAL;
            if (mount.Uses != 0 || mount.Children.Length != 0) return -(long)Errno.EBUSY;
            // Two calls without use between them unmount it.
            if (!mount.MarkExpired()) return -(long)Errno.EAGAIN;
        }
        return -(long)MountNamespace.Detach(mount, (flags & Detach) != 0);
    }

    private static long Pivot(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        if (!thread.Credentials.Has(Capability.SysAdmin)) return -(long)Errno.EPERM;
        const WalkFlags Walk = WalkFlags.Follow;
        Errno error = PathArgument.Resolve(thread, PathArgument.WorkingDirectory, a.Address(0), Walk, out VfsPath newRoot);
        if (error != Errno.None) return -(long)error;
        error = PathArgument.Resolve(thread, PathArgument.WorkingDirectory, a.Address(1), Walk, out VfsPath putOld);
        if (error != Errno.None) return -(long)error;
        if (!newRoot.Inode.IsDirectory || !putOld.Inode.IsDirectory) return -(long)Errno.ENOTDIR;
        VfsPath root = thread.FileSystem.Root;
        error = MountNamespace.Pivot(newRoot, putOld, root);
        if (error != Errno.None) return -(long)error;
        ProcessTreeFollow(thread, root, newRoot);
        return 0;
    }

    // Whoever of the namespace had the old root as root or working directory has the new one (man 2 pivot_root).
    private static void ProcessTreeFollow(Thread thread, VfsPath oldRoot, VfsPath newRoot)
    {
        thread.FileSystem.Follow(oldRoot, newRoot);
        PidNamespace space = thread.Namespaces.Pid;
        for (int number = space.NextProcess(1); number != 0; number = space.NextProcess(number + 1))
        {
            if (space.Find(number)?.Process is not { } process) continue;
            Thread[] threads;
            using (Ostd.Sync.SpinLock.Guard guard = ProcessTree.Lock.Lock()) threads = [.. process.Threads];
            foreach (Thread other in threads)
            {
                if (ReferenceEquals(other.Namespaces.Mount, thread.Namespaces.Mount)) other.FileSystem.Follow(oldRoot, newRoot);
            }
        }
    }
}
