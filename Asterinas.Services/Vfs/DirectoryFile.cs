using Asterinas.Services.Memory;

namespace Asterinas.Services.Vfs;

/// <summary>An open directory: its position is one that the directory gave out.</summary>
internal sealed class DirectoryFile(VfsPath path, OpenFlags flags) : OpenFile(path, flags)
{
    public override bool IsSeekable => true;

    public override Result<long> ReadAt(ref IoSink sink, long position) => Errno.EISDIR;

    public override Errno ReadDirectory(IDirectorySink sink)
    {
        Result<long> done = WithPosition(sink, static (OpenFile file, IDirectorySink sink, ref long position) =>
        {
            Inode directory = file.Inode;
            using Mutex.Guard guard = directory.Lock.Lock();
            if (directory.LinkCount == 0) return Errno.ENOENT;
            Result<long> next = directory.ReadDirectory(position, sink);
            if (next.IsOk) position = next.Value;
            return next;
        });
        if (!done.IsOk) return done.Error;
        if ((Flags & OpenFlags.NoAccessTime) == 0 && Path.Mount is { } mount
            && (mount.Flags & (MountFlags.NoAccessTime | MountFlags.NoDirectoryAccessTime | MountFlags.ReadOnly)) == 0) Inode.TouchAccess();
        FileEvents.OnFile(Path.Dentry, InodeEvents.Access);
        return Errno.None;
    }

    /// <summary>Positions have an order but no distance: only absolute seeks and the present position make sense.</summary>
    protected override Result<long> SeekTarget(long position, long offset, int whence)
    {
        if (whence is < 0 or > 1) return Errno.EINVAL;
        long target = unchecked((whence == 0 ? 0 : position) + offset);
        return target < 0 ? Errno.EINVAL : target;
    }

    public override Errno Sync(bool dataOnly) => Inode.FileSystem.Sync();
}

/// <summary>A file opened with O_PATH: a place, without access to what is there (man 2 open).</summary>
internal sealed class PathFile(VfsPath path, OpenFlags flags) : OpenFile(path, flags)
{
    public override PollEvents Poll(PollObserver? observer) => PollEvents.Invalid;
}
