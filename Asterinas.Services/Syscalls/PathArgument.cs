using System;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Syscalls;

/// <summary>Flags of the calls whose names end in "at".</summary>
[Flags]
internal enum AtFlags
{
    None = 0,
    NoFollow = 0x100,
    RemoveDirectory = 0x200,
    EffectiveAccess = 0x200,
    Follow = 0x400,
    NoAutomount = 0x800,
    EmptyPath = 0x1000,
    SyncMask = 0x6000,
}

/// <summary>Paths, and directories that they begin at, as system calls get them.</summary>
internal static class PathArgument
{
    /// <summary>AT_FDCWD: the working directory.</summary>
    public const int WorkingDirectory = -100;
    /// <summary>Bytes of a buffer that most paths fit into; longer ones get one from the heap.</summary>
    public const int SmallBytes = 256;
    private const int MostBytes = 4096;

    /// <summary>Reads a path. EFAULT, ENAMETOOLONG.</summary>
    public static Errno Read(Thread thread, UserAddress address, Span<byte> small, out ReadOnlySpan<byte> path)
    {
        Result<int> length = thread.Memory.ReadString(address, small);
        path = small[..length.Value];
        if (length.Error != Errno.ENAMETOOLONG) return length.Error;
        var large = new byte[MostBytes];
        length = thread.Memory.ReadString(address, large);
        path = large.AsSpan(0, length.Value);
        return length.Error;
    }

    /// <summary>Where a path begins. EBADF, ENOTDIR. An absolute path does not look at the descriptor.</summary>
    public static Errno Start(Thread thread, int descriptor, ReadOnlySpan<byte> path, out VfsPath start)
    {
        if (descriptor == WorkingDirectory || (path.Length > 0 && path[0] == '/'))
        {
            start = thread.FileSystem.Current;
            return Errno.None;
        }
        start = default;
        Errno error = thread.Files.Get(descriptor, out FileHandle handle, allowPath: true);
        if (error != Errno.None) return error;
        using (handle) start = handle.File.Path;
        return path.Length > 0 && !start.Inode.IsDirectory ? Errno.ENOTDIR : Errno.None;
    }

    /// <summary>The place that a path leads to.</summary>
    public static Errno Resolve(Thread thread, int descriptor, UserAddress address, WalkFlags flags, out VfsPath place, Credentials? credentials = null)
    {
        place = default;
        Errno error = Read(thread, address, stackalloc byte[SmallBytes], out ReadOnlySpan<byte> path);
        if (error != Errno.None) return error;
        if (path.IsEmpty && (flags & WalkFlags.AllowEmpty) == 0) return Errno.ENOENT;
        error = Start(thread, descriptor, path, out VfsPath start);
        if (error != Errno.None) return error;
        var walker = new PathWalker(thread, start, path, flags, credentials);
        error = walker.Walk();
        place = walker.Current;
        return error;
    }

    /// <summary>The same with AT_ flags; those that the call does not have were refused before.</summary>
    public static Errno Resolve(Thread thread, int descriptor, UserAddress address, AtFlags flags, out VfsPath place, Credentials? credentials = null)
    {
        WalkFlags walk = (flags & AtFlags.NoFollow) != 0 ? WalkFlags.None : WalkFlags.Follow;
        if ((flags & AtFlags.EmptyPath) != 0) walk |= WalkFlags.AllowEmpty;
        return Resolve(thread, descriptor, address, walk, out place, credentials);
    }
}
