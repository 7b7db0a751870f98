using System;
using System.Threading;
using Asterinas.Ostd.Sync;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes;

namespace Asterinas.Services.Vfs;

/// <summary>
/// A file, directory, device, … without its names. A file system derives its kinds from this and overrides what they can do; the defaults answer as Linux does for a kind that
/// cannot. Names reach an inode as bytes: at most 255, neither empty, "." nor "..", no slash.
/// <code>
///   operation                                    lock
///   metadata (mode, owner, times)                _metadata, spinning
///   lookup, create, link, unlink, rename, …      Lock of the directory, taken by the caller (the VFS); renames take both, parents first
///   write, truncate, fallocate                   Lock of the file, taken by the open file
/// </code>
/// LOCK ORDER: directory locks (ancestors first), a file's lock, an address space, the page cache.
/// </summary>
internal abstract partial class Inode
{
    private readonly SpinLock _metadata = new("inode metadata");
    private int _mode;
    private uint _uid, _gid;
    private Timestamp _accessTime, _modifyTime, _changeTime;
    private int _links;

    protected Inode(FileSystem fileSystem, ulong number, InodeType type, int permissions, uint uid, uint gid)
    {
        FileSystem = fileSystem;
        Number = number;
        _mode = (int)type | (permissions & 0xFFF);
        _uid = uid;
        _gid = gid;
        _links = type == InodeType.Directory ? 2 : 1;
        BirthTime = _accessTime = _modifyTime = _changeTime = Time.WallClock.Now;
    }

    public FileSystem FileSystem { get; }
    public ulong Number { get; }
    public Mutex Lock { get; } = new("inode");
    public Timestamp BirthTime { get; }
    public InodeType Type => (InodeType)(Volatile.Read(ref _mode) & 0xF000);
    /// <summary>Type and permission bits, as st_mode.</summary>
    public int Mode => Volatile.Read(ref _mode);
    /// <summary>The twelve permission bits.</summary>
    public int Permissions => Volatile.Read(ref _mode) & 0xFFF;
    public uint Uid => Volatile.Read(ref _uid);
    public uint Gid => Volatile.Read(ref _gid);
    public bool IsDirectory => Type == InodeType.Directory;
    /// <summary>Directory entries that name it.</summary>
    public virtual int LinkCount => Volatile.Read(ref _links);
    /// <summary>Bytes.</summary>
    public virtual long Size => 0;
    /// <summary>512-byte blocks in use.</summary>
    public virtual long Blocks => (Size + 511) / 512;
    public virtual int BlockSize => 4096;
    /// <summary>The device that a device inode stands for.</summary>
    public virtual DeviceNumber Device => default;
    /// <summary>Events for inotify(7); made with the first watch.</summary>
    public InodeWatches? Watches;
    /// <summary>POSIX and flock locks; made with the first lock.</summary>
    public FileLocks? Locks;
    /// <summary>fcntl(F_SET_RW_HINT): kept, and otherwise of no effect here.</summary>
    public ulong WriteHint;
    /// <summary>Whether it may get a name though it has none (O_TMPFILE). Under the lock of the directory.</summary>
    public bool IsLinkable;
    /// <summary>What hangs on the inode while it is in use: a FIFO's pipe, the socket bound to it. Changed by compare-and-swap.</summary>
    public object? Attachment;

    public Timestamp AccessTime { get { using SpinLock.Guard guard = _metadata.Lock(); return _accessTime; } }
    public Timestamp ModifyTime { get { using SpinLock.Guard guard = _metadata.Lock(); return _modifyTime; } }
    public Timestamp ChangeTime { get { using SpinLock.Guard guard = _metadata.Lock(); return _changeTime; } }

    /// <summary>All three at once.</summary>
    public void ReadTimes(out Timestamp access, out Timestamp modify, out Timestamp change)
    {
        using SpinLock.Guard guard = _metadata.Lock();
        access = _accessTime;
        modify = _modifyTime;
        change = _changeTime;
    }

    // ---- metadata

    /// <summary>Changes the permission bits (chmod(2)); the caller has checked the right to.</summary>
    public virtual Errno SetPermissions(int permissions)
    {
        using SpinLock.Guard guard = _metadata.Lock();
        _mode = (_mode & 0xF000) | (permissions & 0xFFF);
        _changeTime = Time.WallClock.Now;
        return Errno.None;
    }

    /// <summary>Changes the owner (chown(2)); the caller has checked the right to and says which mode bits go.</summary>
    public virtual Errno SetOwner(uint uid, uint gid, int permissions)
    {
        using SpinLock.Guard guard = _metadata.Lock();
        _uid = uid;
        _gid = gid;
        _mode = (_mode & 0xF000) | (permissions & 0xFFF);
        _changeTime = Time.WallClock.Now;
        return Errno.None;
    }

    /// <summary>Sets access and modification time (utimensat(2)); null leaves one as it is.</summary>
    public virtual Errno SetTimes(Timestamp? access, Timestamp? modify)
    {
        using SpinLock.Guard guard = _metadata.Lock();
        if (access is { } a) _accessTime = a;
        if (modify is { } m) _modifyTime = m;
        _changeTime = Time.WallClock.Now;
        return Errno.None;
    }

    /// <summary>The contents were read.</summary>
    public void TouchAccess()
    {
        using SpinLock.Guard guard = _metadata.Lock();
        // relatime: only when it is not newer than the last change, or a day old (man 8 mount).
        Timestamp now = Time.WallClock.Now;
        if (!IsAfter(_accessTime, _modifyTime) || !IsAfter(_accessTime, _changeTime) || now.Seconds - _accessTime.Seconds >= 86400) _accessTime = now;
    }

    private static bool IsAfter(Timestamp a, Timestamp b) => a.Seconds > b.Seconds || (a.Seconds == b.Seconds && a.Nanoseconds > b.Nanoseconds);

    /// <summary>The contents changed.</summary>
    public void TouchModify()
    {
        using SpinLock.Guard guard = _metadata.Lock();
        _modifyTime = _changeTime = Time.WallClock.Now;
    }

    /// <summary>Links or attributes changed.</summary>
    public void TouchChange()
    {
        using SpinLock.Guard guard = _metadata.Lock();
        _changeTime = Time.WallClock.Now;
    }

    /// <summary>One name more (+1) or less (-1), a directory's "." and ".." included. Returns the new count.</summary>
    public int ChangeLinks(int by)
    {
        int count = Interlocked.Add(ref _links, by);
        TouchChange();
        return count;
    }

    // ---- directories: called with the directory's Lock held

    /// <summary>The inode with a name. ENOENT when there is none. May block.</summary>
    public virtual Result<Inode> Lookup(ReadOnlySpan<byte> name) => Errno.ENOTDIR;

    /// <summary>Makes an inode with a name that does not exist yet (the caller has looked). ENOSPC, EROFS, EPERM for a kind that the file system does not have. May block.</summary>
    public virtual Result<Inode> Create(ReadOnlySpan<byte> name, in NewInode attributes) => Errno.EPERM;

    /// <summary>Makes a regular file without a name (O_TMPFILE). EOPNOTSUPP for a file system without. May block.</summary>
    public virtual Result<Inode> CreateTemporary(in NewInode attributes) => Errno.EOPNOTSUPP;

    /// <summary>Gives an inode of the same file system another name. The caller has checked that it is no directory and the name is free.</summary>
    public virtual Errno Link(ReadOnlySpan<byte> name, Inode target) => Errno.EPERM;

    /// <summary>Takes a name away that is no directory's.</summary>
    public virtual Errno Unlink(ReadOnlySpan<byte> name, Inode target) => Errno.EPERM;

    /// <summary>Takes the name of an empty directory away. ENOTEMPTY.</summary>
    public virtual Errno RemoveDirectory(ReadOnlySpan<byte> name, Inode target) => Errno.EPERM;

    /// <summary>
    /// Moves a name from this directory to another one of the same file system, replacing what has the new name. The caller holds both locks and has checked types, cycles and
    /// permissions; an exchange gives both names each other's inodes.
    /// </summary>
    public virtual Errno Rename(ReadOnlySpan<byte> name, Inode target, Inode newDirectory, ReadOnlySpan<byte> newName, Inode? replaced, bool isExchange) => Errno.EPERM;

    /// <summary>
    /// Reports entries from a position on, "." and ".." included, until the sink takes no more. Positions survive changes of the directory: an entry that was there the whole time is
    /// reported once. Returns the position after the last entry that was taken.
    /// </summary>
    public virtual Result<long> ReadDirectory(long position, IDirectorySink sink) => Errno.ENOTDIR;

    /// <summary>Whether names found here may be kept in the dentry cache: not where they come and go by themselves (/proc).</summary>
    public virtual bool IsCacheable => true;

    // ---- all kinds

    /// <summary>Where a symbolic link leads to. EINVAL for others.</summary>
    public virtual Result<byte[]> ReadLink() => Errno.EINVAL;

    /// <summary>A link that leads to a place without a path of its own (/proc/PID/fd/N, exe, cwd): null for ordinary ones. EACCES, ENOENT.</summary>
    public virtual Result<VfsPath>? FollowMagicLink(Thread thread) => null;

    /// <summary>Opens it; permissions were checked. ENXIO for a socket or a device without driver. May block (FIFOs).</summary>
    public virtual Result<OpenFile> Open(VfsPath path, OpenFlags flags, Thread thread) => Type switch
    {
        InodeType.Directory => new DirectoryFile(path, flags),
        InodeType.CharacterDevice or InodeType.BlockDevice => Devices.DeviceRegistry.Open(Type, Device, path, flags, thread),
        InodeType.Fifo => Ipc.Fifo.Open(this, path, flags, thread),
        InodeType.SymbolicLink => Errno.ELOOP,
        _ => Errno.ENXIO,
    };

    /// <summary>Changes the size (truncate(2)); called with Lock held. EINVAL, EFBIG, ENOSPC.</summary>
    public virtual Errno Truncate(long size) => Errno.EINVAL;

    /// <summary>What a mapping shows; null when it cannot be mapped.</summary>
    public virtual MemoryObject? Pages => null;

    /// <summary>Asks more than mode bits tell, for kinds whose access depends on the caller (/proc). Null: mode bits decide.</summary>
    public virtual Errno? CheckPermission(Thread thread, Permission wanted) => null;

    /// <summary>Attributes of a file system that keeps them in memory; made with the first one when asked to. Null for one that has none or overrides what follows.</summary>
    protected virtual AttributeSet? Attributes(bool mustMake) => null;

    /// <summary>Whether it has extended attributes at all: EOPNOTSUPP otherwise.</summary>
    protected virtual bool HasAttributes => false;

    /// <summary>The attribute with a name. ENODATA, EOPNOTSUPP.</summary>
    public virtual Result<byte[]> GetAttribute(ReadOnlySpan<byte> name) => !HasAttributes ? Errno.EOPNOTSUPP : Attributes(false)?.Get(name) ?? Errno.ENODATA;

    /// <summary>Sets an attribute. EEXIST with create and present, ENODATA with replace and absent, ENOSPC, EOPNOTSUPP.</summary>
    public virtual Errno SetAttribute(ReadOnlySpan<byte> name, ReadOnlySpan<byte> value, bool mustCreate, bool mustExist) =>
        !HasAttributes ? Errno.EOPNOTSUPP : Attributes(true)!.Set(name, value, mustCreate, mustExist);

    /// <summary>Removes an attribute. ENODATA, EOPNOTSUPP.</summary>
    public virtual Errno RemoveAttribute(ReadOnlySpan<byte> name) => !HasAttributes ? Errno.EOPNOTSUPP : Attributes(false)?.Remove(name) ?? Errno.ENODATA;

    /// <summary>Names of all attributes, each with a zero byte behind.</summary>
    public virtual Result<byte[]> ListAttributes() => Attributes(false)?.List() ?? [];

    /// <summary>The last name and the last open file are gone.</summary>
    public virtual void Evict()
    {
    }
}

/// <summary>What a new inode is to be.</summary>
internal readonly ref struct NewInode
{
    public InodeType Type { get; init; }
    public int Permissions { get; init; }
    public uint Uid { get; init; }
    public uint Gid { get; init; }
    /// <summary>Of a device.</summary>
    public DeviceNumber Device { get; init; }
    /// <summary>Where a symbolic link leads to.</summary>
    public ReadOnlySpan<byte> LinkTarget { get; init; }
}

/// <summary>Takes directory entries.</summary>
internal interface IDirectorySink
{
    /// <summary>Takes an entry. False when there is no room: it is to be reported again next time.</summary>
    /// <param name="name">Its name.</param>
    /// <param name="number">Its inode's number.</param>
    /// <param name="type">Its type.</param>
    /// <param name="nextPosition">The position behind it.</param>
    bool Add(ReadOnlySpan<byte> name, ulong number, InodeType type, long nextPosition);
}
