using System.Collections.Generic;
using System.Threading;
using Asterinas.Ostd.Sync;

namespace Asterinas.Services.Vfs;

/// <summary>Flags of a mount (man 2 mount), with the numbers of MS_*.</summary>
[System.Flags]
internal enum MountFlags : uint
{
    None = 0,
    ReadOnly = 1,
    NoSetuid = 2,
    NoDevices = 4,
    NoExecute = 8,
    Synchronous = 16,
    Remount = 32,
    NoSymbolicLinks = 256,
    NoAccessTime = 1024,
    NoDirectoryAccessTime = 2048,
    Bind = 4096,
    Move = 8192,
    Recursive = 16384,
    RelativeAccessTime = 1 << 21,
    StrictAccessTime = 1 << 24,
}

/// <summary>A file system, or a part of one, at a place of a namespace's tree.</summary>
internal sealed class Mount(MountNamespace? space, FileSystem fileSystem, Dentry root, MountFlags flags)
{
    private static int s_lastId;
    private int _uses;
    private uint _flags = (uint)flags;

    /// <summary>mnt_id of /proc/PID/mountinfo and statx(2).</summary>
    public int Id { get; } = Interlocked.Increment(ref s_lastId);
    /// <summary>Null for mounts of the kernel's own (pipes).</summary>
    public MountNamespace? Namespace { get; internal set; } = space;
    public FileSystem FileSystem { get; } = fileSystem;
    /// <summary>What is at the top: the root of the file system, or for a bind mount any dentry.</summary>
    public Dentry Root { get; } = root;
    public MountFlags Flags
    {
        get => (MountFlags)Volatile.Read(ref _flags);
        set => Volatile.Write(ref _flags, (uint)value);
    }
    public bool IsReadOnly => (Flags & MountFlags.ReadOnly) != 0 || FileSystem.IsReadOnly;

    /// <summary>The mount it is on, and the dentry there; null for the root of the tree and after umount. Under the namespace's lock.</summary>
    public Mount? Parent { get; internal set; }
    public Dentry? MountPoint { get; internal set; }
    // Under the namespace's lock.
    internal readonly List<Mount> Children = [];

    /// <summary>Open files and working directories in it: umount(2) answers EBUSY while there are any.</summary>
    public int Uses => Volatile.Read(ref _uses);
    public void AddReference() => Interlocked.Increment(ref _uses);
    public void Release() => Interlocked.Decrement(ref _uses);
}
