using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>open, openat, openat2, creat, close, close_range.</summary>
internal static class OpenSyscalls
{
    private const OpenFlags Known = OpenFlags.AccessMask | OpenFlags.Create | OpenFlags.Exclusive | OpenFlags.NoControllingTerminal | OpenFlags.Truncate | OpenFlags.Append
        | OpenFlags.NonBlock | OpenFlags.Sync | OpenFlags.Async | OpenFlags.Direct | OpenFlags.LargeFile | OpenFlags.Directory | OpenFlags.NoFollow | OpenFlags.NoAccessTime
        | OpenFlags.CloseOnExec | OpenFlags.Path | OpenFlags.TemporaryFile;
    private const OpenFlags TemporaryBit = OpenFlags.TemporaryFile & ~OpenFlags.Directory;
    private const OpenFlags PathFlags = OpenFlags.Path | OpenFlags.Directory | OpenFlags.NoFollow | OpenFlags.CloseOnExec;
    private const uint RangeUnshare = 2, RangeCloseOnExec = 4;

    public static void Register()
    {
        SyscallTable.Add(2, "open", Open);
        SyscallTable.Add(3, "close", Close);
        SyscallTable.Add(85, "creat", Create);
        SyscallTable.Add(257, "openat", OpenAt);
        SyscallTable.Add(436, "close_range", CloseRange);
        SyscallTable.Add(437, "openat2", OpenAt2);
    }

    private static long Open(in SyscallArguments a) => Legacy(a.Thread, PathArgument.WorkingDirectory, a.Address(0), a.Int(1), a.Int(2));
    private static long OpenAt(in SyscallArguments a) => Legacy(a.Thread, a.Int(0), a.Address(1), a.Int(2), a.Int(3));

    private static long Create(in SyscallArguments a) =>
        Legacy(a.Thread, PathArgument.WorkingDirectory, a.Address(0), (int)(OpenFlags.Create | OpenFlags.WriteOnly | OpenFlags.Truncate), a.Int(1));

    // The old calls ignore flags that they do not know, and a mode that nobody asked for.
    private static long Legacy(Thread thread, int descriptor, UserAddress path, int flags, int mode)
    {
        OpenFlags known = (OpenFlags)flags & Known;
        if ((known & OpenFlags.Path) != 0) known &= PathFlags;
        bool makes = (known & OpenFlags.Create) != 0 || (known & TemporaryBit) != 0;
        return Open(thread, descriptor, path, known, makes ? mode & 0xFFF : 0, WalkFlags.None);
    }

    private static long Open(Thread thread, int descriptor, UserAddress address, OpenFlags flags, int mode, WalkFlags walk)
    {
        Errno error = CheckFlags(ref flags);
        if (error != Errno.None) return -(long)error;
        error = PathArgument.Read(thread, address, stackalloc byte[PathArgument.SmallBytes], out ReadOnlySpan<byte> path);
        if (error != Errno.None) return -(long)error;
        // The descriptor comes first: without one nothing is made.
        Result<int> number = thread.Files.Reserve(thread.Process.Limits.Soft(Resource.OpenFiles));
        if (!number.IsOk) return -(long)number.Error;
        bool isInstalled = false;
        try
        {
            if (path.IsEmpty) return -(long)Errno.ENOENT;
            error = PathArgument.Start(thread, descriptor, path, out VfsPath start);
            if (error != Errno.None) return -(long)error;
            Result<OpenFile> opened = FileOpener.Open(thread, start, path, flags, mode, walk);
            if (!opened.IsOk) return -(long)opened.Error;
            thread.Files.Install(number.Value, opened.Value, (flags & OpenFlags.CloseOnExec) != 0);
            isInstalled = true;
            return number.Value;
        }
        finally
        {
            if (!isInstalled) thread.Files.Cancel(number.Value);
        }
    }

    private static Errno CheckFlags(ref OpenFlags flags)
    {
        if ((flags & TemporaryBit) != 0)
        {
            if ((flags & OpenFlags.TemporaryFile) != OpenFlags.TemporaryFile || (flags & OpenFlags.Create) != 0) return Errno.EINVAL;
            if ((flags & OpenFlags.AccessMask) == OpenFlags.ReadOnly) return Errno.EINVAL;
        }
        // Making a directory by opening it does not exist (man 2 open, BUGS).
        if ((flags & (OpenFlags.Directory | OpenFlags.Create)) == (OpenFlags.Directory | OpenFlags.Create)) return Errno.EINVAL;
        if ((flags & OpenFlags.Path) == 0) flags |= OpenFlags.LargeFile;
        return Errno.None;
    }

    // struct open_how: flags, mode, resolve; more of it must be zero.
    private static long OpenAt2(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        ulong size = a.A3;
        if (size < 24) return -(long)Errno.EINVAL;
        if (size > 4096) return -(long)Errno.E2BIG;
        Span<byte> how = stackalloc byte[24];
        Errno error = thread.Memory.Read(a.Address(2), how);
        if (error != Errno.None) return -(long)error;
        Span<byte> rest = stackalloc byte[64];
        for (ulong at = 24; at < size;)
        {
            Span<byte> chunk = rest[..(int)Math.Min((ulong)rest.Length, size - at)];
            error = thread.Memory.Read(new UserAddress(a.A2 + at), chunk);
            if (error != Errno.None) return -(long)error;
            if (chunk.ContainsAnyExcept((byte)0)) return -(long)Errno.E2BIG;
            at += (ulong)chunk.Length;
        }
        ulong flagBits = BinaryPrimitives.ReadUInt64LittleEndian(how), mode = BinaryPrimitives.ReadUInt64LittleEndian(how[8..]);
        ulong resolve = BinaryPrimitives.ReadUInt64LittleEndian(how[16..]);
        if (flagBits > int.MaxValue || ((OpenFlags)(int)flagBits & ~Known) != 0) return -(long)Errno.EINVAL;
        var flags = (OpenFlags)(int)flagBits;
        if ((resolve & ~0x3FUL) != 0) return -(long)Errno.EINVAL;
        if ((resolve & 0x18) == 0x18) return -(long)Errno.EINVAL;
        bool makes = (flags & OpenFlags.Create) != 0 || (flags & TemporaryBit) != 0;
        if (makes ? (mode & ~0xFFFUL) != 0 : mode != 0) return -(long)Errno.EINVAL;
        if ((flags & OpenFlags.Path) != 0 && (flags & ~PathFlags) != 0) return -(long)Errno.EINVAL;
        WalkFlags walk = WalkFlags.None;
        if ((resolve & 0x01) != 0) walk |= WalkFlags.NoCrossing;
        if ((resolve & 0x02) != 0) walk |= WalkFlags.NoMagicLinks;
        if ((resolve & 0x04) != 0) walk |= WalkFlags.NoLinks;
        if ((resolve & 0x08) != 0) walk |= WalkFlags.Beneath;
        if ((resolve & 0x10) != 0) walk |= WalkFlags.InRoot;
        if ((resolve & 0x20) != 0)
        {
            if (makes || (flags & OpenFlags.Truncate) != 0) return -(long)Errno.EAGAIN;
            walk |= WalkFlags.CachedOnly;
        }
        return OpenBelow(thread, a.Int(0), a.Address(1), flags, (int)mode, walk);
    }

    // An absolute path in RESOLVE_IN_ROOT begins at the directory too.
    private static long OpenBelow(Thread thread, int descriptor, UserAddress address, OpenFlags flags, int mode, WalkFlags walk)
    {
        if ((walk & WalkFlags.InRoot) == 0 || descriptor == PathArgument.WorkingDirectory) return Open(thread, descriptor, address, flags, mode, walk);
        Errno error = CheckFlags(ref flags);
        if (error != Errno.None) return -(long)error;
        error = PathArgument.Read(thread, address, stackalloc byte[PathArgument.SmallBytes], out ReadOnlySpan<byte> path);
        if (error != Errno.None) return -(long)error;
        if (path.IsEmpty) return -(long)Errno.ENOENT;
        error = PathArgument.Start(thread, descriptor, default, out VfsPath start);
        if (error != Errno.None) return -(long)error;
        if (!start.Inode.IsDirectory) return -(long)Errno.ENOTDIR;
        Result<OpenFile> opened = FileOpener.Open(thread, start, path, flags, mode, walk);
        if (!opened.IsOk) return -(long)opened.Error;
        Result<int> number = thread.Files.Add(opened.Value, (flags & OpenFlags.CloseOnExec) != 0, thread.Process.Limits.Soft(Resource.OpenFiles));
        if (!number.IsOk) opened.Value.Release();
        return SyscallAnswer.From(number);
    }

    private static long Close(in SyscallArguments a)
    {
        FileTable files = a.Thread.Files;
        return files.Remove(a.Int(0)) is { } file ? -(long)files.Close(file, a.Thread) : -(long)Errno.EBADF;
    }

    private static long CloseRange(in SyscallArguments a)
    {
        uint first = a.UInt(0), last = a.UInt(1), flags = a.UInt(2);
        if ((flags & ~(RangeUnshare | RangeCloseOnExec)) != 0 || first > last) return -(long)Errno.EINVAL;
        Thread thread = a.Thread;
        if ((flags & RangeUnshare) != 0 && thread.Files.IsShared)
        {
            FileTable copy = thread.Files.Copy();
            FileTable shared = thread.Files;
            thread.Files = copy;
            shared.Release(thread);
        }
        if (first > int.MaxValue) return 0;
        FileTable files = thread.Files;
        int end = (int)Math.Min(last, int.MaxValue);
        for (int descriptor = files.NextOpen((int)first); descriptor >= 0 && descriptor <= end; descriptor = files.NextOpen(descriptor + 1))
        {
            if ((flags & RangeCloseOnExec) != 0) files.SetCloseOnExec(descriptor, true);
            else if (files.Remove(descriptor) is { } file) files.Close(file, thread);
        }
        return 0;
    }
}
