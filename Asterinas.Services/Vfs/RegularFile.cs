using System;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Signals;

namespace Asterinas.Services.Vfs;

/// <summary>Seals of a file in memory (man 2 fcntl, F_ADD_SEALS).</summary>
[Flags]
internal enum FileSeals
{
    None = 0,
    /// <summary>No more seals.</summary>
    Seal = 1,
    Shrink = 2,
    Grow = 4,
    Write = 8,
    FutureWrite = 16,
    /// <summary>Permissions to execute are fixed.</summary>
    Execute = 32,
    All = 63,
}

/// <summary>A regular file whose contents are in a page cache: what most file systems derive theirs from.</summary>
internal abstract class RegularInode : Inode
{
    protected RegularInode(FileSystem fileSystem, ulong number, int permissions, uint uid, uint gid, IPageQuota? quota, IPageStore? store, long size)
        : base(fileSystem, number, InodeType.Regular, permissions, uid, gid) => Cache = new PageCache(this, quota, store, size);

    public PageCache Cache { get; }
    public override MemoryObject Pages => Cache;
    public override long Size => Cache.Size;

    /// <summary>Seals set so far; null for a file system without. Changed with <see cref="Inode.Lock"/> held.</summary>
    public virtual FileSeals? Seals { get => null; set { } }

    public override Result<OpenFile> Open(VfsPath path, OpenFlags flags, Thread thread)
    {
        if ((flags & OpenFlags.AccessMask) != OpenFlags.ReadOnly && !TryAddWriter()) return Errno.ETXTBSY;
        return new RegularFile(path, flags);
    }

    public override Errno Truncate(long size)
    {
        long old = Size;
        if (Seals is { } seals && ((size < old && (seals & FileSeals.Shrink) != 0) || (size > old && (seals & FileSeals.Grow) != 0))) return Errno.EPERM;
        Errno error = Cache.Truncate(size);
        if (error == Errno.None) TouchModify();
        return error;
    }

    public override void Evict() => Cache.Clear();
}

/// <summary>An open regular file over a page cache.</summary>
internal sealed class RegularFile(VfsPath path, OpenFlags flags) : OpenFile(path, flags)
{
    private const uint FIONREAD = 0x541B;
    private const int KeepSize = 1, PunchHole = 2;

    private RegularInode File => (RegularInode)Inode;

    /// <summary>Whether it is a program being executed, which nobody may write to as long as it is open.</summary>
    internal bool DeniesWriters { get; set; }

    public override bool IsSeekable => true;

    protected override void OnRelease()
    {
        if ((Flags & OpenFlags.AccessMask) != OpenFlags.ReadOnly) Inode.DropWriter();
        if (DeniesWriters) Inode.AllowWriters();
    }

    public override Result<long> ReadAt(ref IoSink sink, long position)
    {
        if (sink.Remaining == 0) return 0;
        Result<long> result = File.Cache.Read(ref sink, position);
        if (result.Value > 0)
        {
            if ((Flags & OpenFlags.NoAccessTime) == 0 && Path.Mount is { } mount && (mount.Flags & (MountFlags.NoAccessTime | MountFlags.ReadOnly)) == 0) Inode.TouchAccess();
            FileEvents.OnFile(Path.Dentry, InodeEvents.Access);
        }
        return result;
    }

    public override Result<long> WriteAt(ref IoSource source, ref long position)
    {
        RegularInode file = File;
        Result<long> result;
        using (Mutex.Guard guard = file.Lock.Lock())
        {
            if ((Flags & OpenFlags.Append) != 0 || position == AtEnd) position = file.Size;
            if (source.Remaining == 0) return 0;
            Errno error = Prepare(file, ref source, position);
            if (error != Errno.None) return error;
            result = file.Cache.Write(ref source, position);
            if (result.Value > 0) file.TouchModify();
        }
        if (result.Value > 0)
        {
            FileEvents.OnFile(Path.Dentry, InodeEvents.Modify);
            if ((Flags & OpenFlags.DataSync) != 0)
            {
                Errno error = Sync((Flags & OpenFlags.Sync) != OpenFlags.Sync);
                if (error != Errno.None) return error;
            }
        }
        return result;
    }

    // Limits and seals, and the bits that a write takes away.
    private static Errno Prepare(RegularInode file, ref IoSource source, long position)
    {
        Thread? thread = Thread.Current;
        if (thread is not null)
        {
            ulong limit = thread.Process.Limits.Soft(Resource.FileSize);
            if (limit != ResourceLimits.Infinity)
            {
                if ((ulong)position >= limit) return OverLimit(thread);
                source.Limit((long)Math.Min(limit - (ulong)position, long.MaxValue));
            }
        }
        if (position == long.MaxValue) return Errno.EFBIG;
        if (source.Remaining > long.MaxValue - position) source.Limit(long.MaxValue - position);
        if (file.Seals is { } seals && seals != FileSeals.Seal)
        {
            if ((seals & (FileSeals.Write | FileSeals.FutureWrite)) != 0) return Errno.EPERM;
            if ((seals & FileSeals.Grow) != 0)
            {
                if (position >= file.Size) return Errno.EPERM;
                source.Limit(file.Size - position);
            }
        }
        if (thread is not null && (file.Permissions & 0xC00) != 0)
        {
            int permissions = AccessRights.WithoutPrivileges(thread.Credentials, file);
            if (permissions != file.Permissions) file.SetPermissions(permissions);
        }
        return Errno.None;
    }

    /// <summary>RLIMIT_FSIZE is reached (man 2 getrlimit).</summary>
    internal static Errno OverLimit(Thread thread)
    {
        thread.Process.Kill(Signal.SIGXFSZ);
        return Errno.EFBIG;
    }

    protected override Result<long> SeekTarget(long position, long offset, int whence) => whence switch
    {
        3 => File.Cache.FindData(offset),
        4 => File.Cache.FindHole(offset),
        _ => base.SeekTarget(position, offset, whence),
    };

    public override Errno Truncate(long size)
    {
        using Mutex.Guard guard = Inode.Lock.Lock();
        return Inode.Truncate(size);
    }

    public override Errno Allocate(int mode, long offset, long length)
    {
        if ((mode & ~(KeepSize | PunchHole)) != 0 || mode == PunchHole) return Errno.EOPNOTSUPP;
        RegularInode file = File;
        long end = offset + length;
        using Mutex.Guard guard = file.Lock.Lock();
        FileSeals seals = file.Seals ?? FileSeals.None;
        if (Thread.Current is { } thread && (mode & KeepSize) == 0 && end > file.Size && (ulong)end > thread.Process.Limits.Soft(Resource.FileSize)) return OverLimit(thread);
        Errno error;
        if ((mode & PunchHole) != 0)
        {
            if ((seals & (FileSeals.Write | FileSeals.FutureWrite)) != 0) return Errno.EPERM;
            error = file.Cache.Punch(offset, end);
        }
        else
        {
            if ((seals & FileSeals.Grow) != 0 && end > file.Size) return Errno.EPERM;
            error = file.Cache.Allocate(offset, end, (mode & KeepSize) != 0);
        }
        if (error == Errno.None) file.TouchModify();
        return error;
    }

    public override Errno Sync(bool dataOnly) => File.Cache.WriteBack();

    public override Result<long> Control(Thread thread, uint command, ulong argument)
    {
        if (command != FIONREAD) return Errno.ENOTTY;
        Result<int> left = WithPosition(0, static (OpenFile file, int _, ref long position) => (Result<int>)(int)Math.Clamp(file.Inode.Size - position, 0, int.MaxValue));
        return thread.Memory.Write(new(argument), left.Value) is var error && error != Errno.None ? error : 0;
    }

    public override Result<MemoryObject> GetMemoryObject(Protection protection, bool isShared)
    {
        if ((protection & Protection.Execute) != 0 && Path.Mount is { } mount && (mount.Flags & MountFlags.NoExecute) != 0) return Errno.EPERM;
        if (isShared && (protection & Protection.Write) != 0 && File.Seals is { } seals && (seals & (FileSeals.Write | FileSeals.FutureWrite)) != 0) return Errno.EPERM;
        return File.Cache;
    }
}
