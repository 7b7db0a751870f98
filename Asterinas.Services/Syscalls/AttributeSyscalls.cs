using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Time;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>chmod, chown, utimes and their variants, umask.</summary>
internal static class AttributeSyscalls
{
    private const int Here = PathArgument.WorkingDirectory;
    private const uint Unchanged = uint.MaxValue;
    private const long Now = (1 << 30) - 1, Omit = (1 << 30) - 2;

    public static void Register()
    {
        SyscallTable.Add(90, "chmod", (in a) => ChangeMode(a.Thread, Here, a.Address(0), a.Int(1), AtFlags.None));
        SyscallTable.Add(91, "fchmod", (in a) => OnDescriptor(a.Thread, a.Int(0), false, out VfsPath p) is var e && e != Errno.None ? -(long)e : -(long)SetMode(a.Thread, p, a.Int(1)));
        SyscallTable.Add(92, "chown", (in a) => ChangeOwner(a.Thread, Here, a.Address(0), a.UInt(1), a.UInt(2), AtFlags.None));
        SyscallTable.Add(93, "fchown", (in a) => OnDescriptor(a.Thread, a.Int(0), false, out VfsPath p) is var e && e != Errno.None ? -(long)e : -(long)SetOwner(a.Thread, p, a.UInt(1), a.UInt(2)));
        SyscallTable.Add(94, "lchown", (in a) => ChangeOwner(a.Thread, Here, a.Address(0), a.UInt(1), a.UInt(2), AtFlags.NoFollow));
        SyscallTable.Add(95, "umask", (in a) => a.Thread.FileSystem.SetUmask(a.Int(0)));
        SyscallTable.Add(132, "utime", SetTimesInSeconds);
        SyscallTable.Add(235, "utimes", (in a) => SetTimesInMicroseconds(a.Thread, Here, a.Address(0), a.Address(1)));
        SyscallTable.Add(260, "fchownat", (in a) => ChangeOwner(a.Thread, a.Int(0), a.Address(1), a.UInt(2), a.UInt(3), (AtFlags)a.Int(4)));
        SyscallTable.Add(261, "futimesat", (in a) => SetTimesInMicroseconds(a.Thread, a.Int(0), a.Address(1), a.Address(2)));
        SyscallTable.Add(268, "fchmodat", (in a) => ChangeMode(a.Thread, a.Int(0), a.Address(1), a.Int(2), AtFlags.None));
        SyscallTable.Add(280, "utimensat", SetTimesInNanoseconds);
        SyscallTable.Add(452, "fchmodat2", (in a) => ChangeMode(a.Thread, a.Int(0), a.Address(1), a.Int(2), (AtFlags)a.Int(3)));
    }

    private static Errno OnDescriptor(Thread thread, int descriptor, bool allowPath, out VfsPath place)
    {
        place = default;
        Errno error = thread.Files.Get(descriptor, out FileHandle handle, allowPath);
        if (error != Errno.None) return error;
        using (handle) place = handle.File.Path;
        return Errno.None;
    }

    // ---- permissions

    private static long ChangeMode(Thread thread, int descriptor, UserAddress path, int mode, AtFlags flags)
    {
        if ((flags & ~(AtFlags.NoFollow | AtFlags.EmptyPath)) != 0) return -(long)Errno.EINVAL;
        Errno error = PathArgument.Resolve(thread, descriptor, path, flags, out VfsPath place);
        return error != Errno.None ? -(long)error : -(long)SetMode(thread, place, mode);
    }

    private static Errno SetMode(Thread thread, VfsPath place, int mode)
    {
        Inode inode = place.Inode;
        Credentials credentials = thread.Credentials;
        if (place.Mount is { IsReadOnly: true }) return Errno.EROFS;
        if (inode.Type == InodeType.SymbolicLink) return Errno.EOPNOTSUPP;
        if (!AccessRights.IsOwner(credentials, inode)) return Errno.EPERM;
        mode &= 0xFFF;
        // Set-group-ID is not given to members of other groups; no error (man 2 chmod).
        if ((mode & 0x400) != 0 && !credentials.IsInGroup(inode.Gid) && !credentials.Has(Capability.Fsetid)) mode &= ~0x400;
        if (inode is RegularInode { Seals: { } seals } && (seals & FileSeals.Execute) != 0 && ((mode ^ inode.Permissions) & 0x49) != 0) return Errno.EPERM;
        Errno error = inode.SetPermissions(mode);
        if (error == Errno.None) FileEvents.OnFile(place.Dentry, InodeEvents.Attributes);
        return error;
    }

    // ---- owner

    private static long ChangeOwner(Thread thread, int descriptor, UserAddress path, uint uid, uint gid, AtFlags flags)
    {
        if ((flags & ~(AtFlags.NoFollow | AtFlags.EmptyPath)) != 0) return -(long)Errno.EINVAL;
        Errno error = PathArgument.Resolve(thread, descriptor, path, flags, out VfsPath place);
        return error != Errno.None ? -(long)error : -(long)SetOwner(thread, place, uid, gid);
    }

    private static Errno SetOwner(Thread thread, VfsPath place, uint uid, uint gid)
    {
        Inode inode = place.Inode;
        Credentials credentials = thread.Credentials;
        if (place.Mount is { IsReadOnly: true }) return Errno.EROFS;
        if (!credentials.Has(Capability.Chown))
        {
            bool isOwner = credentials.FsUid == inode.Uid;
            if (uid != Unchanged && (!isOwner || uid != inode.Uid)) return Errno.EPERM;
            if (gid != Unchanged && (!isOwner || (gid != inode.Gid && !credentials.IsInGroup(gid)))) return Errno.EPERM;
        }
        int permissions = inode.Permissions;
        if (!inode.IsDirectory)
        {
            permissions &= ~0x800;
            if ((permissions & 0x8) != 0 || (!credentials.IsInGroup(inode.Gid) && !credentials.Has(Capability.Fsetid))) permissions &= ~0x400;
        }
        Errno error = inode.SetOwner(uid == Unchanged ? inode.Uid : uid, gid == Unchanged ? inode.Gid : gid, permissions);
        if (error == Errno.None) FileEvents.OnFile(place.Dentry, InodeEvents.Attributes);
        return error;
    }

    // ---- times

    private static long SetTimesInSeconds(in SyscallArguments a)
    {
        if (a.A1 == 0) return SetTimes(a.Thread, Here, a.Address(0), AtFlags.None, Now, Now, 0, 0);
        Span<byte> times = stackalloc byte[16];
        Errno error = a.Thread.Memory.Read(a.Address(1), times);
        if (error != Errno.None) return -(long)error;
        return SetTimes(a.Thread, Here, a.Address(0), AtFlags.None, 0, 0, BinaryPrimitives.ReadInt64LittleEndian(times), BinaryPrimitives.ReadInt64LittleEndian(times[8..]));
    }

    private static long SetTimesInMicroseconds(Thread thread, int descriptor, UserAddress path, UserAddress from)
    {
        if (from.Value == 0) return SetTimes(thread, descriptor, path, AtFlags.None, Now, Now, 0, 0);
        Span<byte> times = stackalloc byte[32];
        Errno error = thread.Memory.Read(from, times);
        if (error != Errno.None) return -(long)error;
        long access = BinaryPrimitives.ReadInt64LittleEndian(times[8..]), modify = BinaryPrimitives.ReadInt64LittleEndian(times[24..]);
        if (access is < 0 or > 999999 || modify is < 0 or > 999999) return -(long)Errno.EINVAL;
        return SetTimes(thread, descriptor, path, AtFlags.None, access * 1000, modify * 1000, BinaryPrimitives.ReadInt64LittleEndian(times),
            BinaryPrimitives.ReadInt64LittleEndian(times[16..]));
    }

    private static long SetTimesInNanoseconds(in SyscallArguments a)
    {
        var flags = (AtFlags)a.Int(3);
        long access = Now, modify = Now, accessSeconds = 0, modifySeconds = 0;
        if (a.A2 != 0)
        {
            Span<byte> times = stackalloc byte[32];
            Errno error = a.Thread.Memory.Read(a.Address(2), times);
            if (error != Errno.None) return -(long)error;
            accessSeconds = BinaryPrimitives.ReadInt64LittleEndian(times);
            access = BinaryPrimitives.ReadInt64LittleEndian(times[8..]);
            modifySeconds = BinaryPrimitives.ReadInt64LittleEndian(times[16..]);
            modify = BinaryPrimitives.ReadInt64LittleEndian(times[24..]);
            if (access == Omit && modify == Omit) return 0;
        }
        if (!IsValid(access) || !IsValid(modify) || (flags & ~(AtFlags.NoFollow | AtFlags.EmptyPath)) != 0) return -(long)Errno.EINVAL;
        if (a.A1 == 0 && a.Int(0) != Here)
        {
            if (flags != AtFlags.None) return -(long)Errno.EINVAL;
            Errno error = OnDescriptor(a.Thread, a.Int(0), false, out VfsPath place);
            return error != Errno.None ? -(long)error : -(long)SetTimes(a.Thread, place, access, modify, accessSeconds, modifySeconds);
        }
        return SetTimes(a.Thread, a.Int(0), a.Address(1), flags, access, modify, accessSeconds, modifySeconds);
    }

    private static bool IsValid(long nanoseconds) => nanoseconds is >= 0 and < 1000000000 or Now or Omit;

    private static long SetTimes(Thread thread, int descriptor, UserAddress path, AtFlags flags, long access, long modify, long accessSeconds, long modifySeconds)
    {
        if (path.Value == 0 && descriptor != Here)
        {
            Errno bad = OnDescriptor(thread, descriptor, false, out VfsPath open);
            return bad != Errno.None ? -(long)bad : -(long)SetTimes(thread, open, access, modify, accessSeconds, modifySeconds);
        }
        Errno error = PathArgument.Resolve(thread, descriptor, path, flags, out VfsPath place);
        return error != Errno.None ? -(long)error : -(long)SetTimes(thread, place, access, modify, accessSeconds, modifySeconds);
    }

    private static Errno SetTimes(Thread thread, VfsPath place, long access, long modify, long accessSeconds, long modifySeconds)
    {
        Inode inode = place.Inode;
        if (place.Mount is { IsReadOnly: true }) return Errno.EROFS;
        if (!AccessRights.IsOwner(thread.Credentials, inode))
        {
            // Who may write may say "now"; any other time is the owner's.
            if (access != Now || modify != Now) return Errno.EPERM;
            Errno denied = AccessRights.Check(thread, inode, Permission.Write);
            if (denied != Errno.None) return denied;
        }
        Timestamp now = WallClock.Now;
        Errno error = inode.SetTimes(
            access == Omit ? null : access == Now ? now : new Timestamp(accessSeconds, (uint)access),
            modify == Omit ? null : modify == Now ? now : new Timestamp(modifySeconds, (uint)modify));
        if (error == Errno.None) FileEvents.OnFile(place.Dentry, InodeEvents.Attributes);
        return error;
    }
}
