using System;
using System.Threading;

namespace Asterinas.Services.Vfs;

/// <summary>Flags of a mount (man 2 mount), with the numbers of MS_*.</summary>
[Flags]
internal enum MountFlags : uint
{
    None = 0,
    ReadOnly = 1,
    NoSetuid = 2,
    NoDevices = 4,
    NoExecute = 8,
    Synchronous = 16,
    Remount = 32,
    MandatoryLocks = 64,
    DirectorySync = 128,
    NoSymbolicLinks = 256,
    NoAccessTime = 1024,
    NoDirectoryAccessTime = 2048,
    Bind = 4096,
    Move = 8192,
    Recursive = 16384,
    Silent = 32768,
    Unbindable = 1 << 17,
    Private = 1 << 18,
    Slave = 1 << 19,
    Shared = 1 << 20,
    RelativeAccessTime = 1 << 21,
    StrictAccessTime = 1 << 24,
    LazyTime = 1 << 25,
    /// <summary>What a mount has for itself; the rest belongs to its file system or to the call.</summary>
    PerMount = ReadOnly | NoSetuid | NoDevices | NoExecute | NoSymbolicLinks | NoAccessTime | NoDirectoryAccessTime | RelativeAccessTime | StrictAccessTime,
}

/// <summary>Where a mount is: on a dentry as seen through another mount. Replaced as a whole.</summary>
internal sealed record MountPlace(Mount Parent, Dentry Point);

/// <summary>
/// A file system, or a part of one, at a place of a namespace's tree.
/// INVARIANT: place and children change under <see cref="MountNamespace.TreeLock"/>; readers see each of them before or after.
/// <code>
///   attached, n uses ──umount──► detached, n uses ──last use ends──► the file system has one mount less
/// </code>
/// </summary>
internal sealed class Mount
{
    private static int s_lastId;
    private int _uses;
    private uint _flags;
    private int _isDetached, _isGone, _isExpired, _writers;
    private MountPlace? _place;
    private Mount[] _children = [];

    public Mount(MountNamespace? space, FileSystem fileSystem, Dentry root, MountFlags flags)
    {
        Namespace = space;
        FileSystem = fileSystem;
        Root = root;
        _flags = (uint)flags;
        fileSystem.AddMount();
    }

    /// <summary>mnt_id of /proc/PID/mountinfo and statx(2).</summary>
    public int Id { get; } = Interlocked.Increment(ref s_lastId);
    /// <summary>Null for mounts of the kernel's own (pipes).</summary>
    public MountNamespace? Namespace { get; internal set; }
    public FileSystem FileSystem { get; }
    /// <summary>What is at the top: the root of the file system, or for a bind mount any dentry.</summary>
    public Dentry Root { get; }
    /// <summary>What it was mounted from, for /proc/mounts.</summary>
    public string Source { get => field ?? FileSystem.Source; init; }
    public MountFlags Flags
    {
        get => (MountFlags)Volatile.Read(ref _flags);
        set => Volatile.Write(ref _flags, (uint)value);
    }
    public bool IsReadOnly => (Flags & MountFlags.ReadOnly) != 0 || FileSystem.IsReadOnly;

    /// <summary>Where it is; null for the root of the tree and after umount.</summary>
    public MountPlace? Place
    {
        get => Volatile.Read(ref _place);
        internal set => Volatile.Write(ref _place, value);
    }

    public Mount? Parent => Place?.Parent;
    public Dentry? MountPoint => Place?.Point;

    /// <summary>The mounts on it; replaced as a whole.</summary>
    public Mount[] Children => Volatile.Read(ref _children);

    /// <summary>The mount on a dentry of this one; null for none.</summary>
    public Mount? FindChild(Dentry point)
    {
        foreach (Mount child in Children)
        {
            if (ReferenceEquals(child.MountPoint, point)) return child;
        }
        return null;
    }

    internal void AddChild(Mount child) => Volatile.Write(ref _children, [.. _children, child]);

    internal void RemoveChild(Mount child) => Volatile.Write(ref _children, Array.FindAll(_children, other => !ReferenceEquals(other, child)));

    /// <summary>Open files and working directories in it: umount(2) answers EBUSY while there are any.</summary>
    public int Uses => Volatile.Read(ref _uses);

    public void AddReference()
    {
        Interlocked.Increment(ref _uses);
        Volatile.Write(ref _isExpired, 0);
    }

    /// <summary>MNT_EXPIRE: whether it was marked before and not used since.</summary>
    internal bool MarkExpired() => Interlocked.Exchange(ref _isExpired, 1) != 0;

    /// <summary>Open files that may write: it cannot become read-only while there are any.</summary>
    public int Writers => Volatile.Read(ref _writers);

    internal void ChangeWriters(int by) => Interlocked.Add(ref _writers, by);

    public void Release()
    {
        if (Interlocked.Decrement(ref _uses) == 0) LeaveIfUnused();
    }

    /// <summary>It is in no tree any more: when its last user goes, its file system has one mount less.</summary>
    internal void Detach()
    {
        Volatile.Write(ref _isDetached, 1);
        LeaveIfUnused();
    }

    private void LeaveIfUnused()
    {
        if (Volatile.Read(ref _isDetached) != 0 && Uses == 0 && Interlocked.Exchange(ref _isGone, 1) == 0) FileSystem.DropMount();
    }
}
