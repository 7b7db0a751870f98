using System;
using System.Globalization;
using System.Text;
using Asterinas.Services.Processes;

namespace Asterinas.Services.Vfs;

/// <summary>Opens files by path (man 2 open, openat2).</summary>
internal static class FileOpener
{
    /// <summary>Opens, and makes the file with O_CREAT. Flags were checked by the system call. May block.</summary>
    /// <param name="thread">Who opens.</param>
    /// <param name="start">Where relative paths begin.</param>
    /// <param name="path">The path.</param>
    /// <param name="flags">O_ flags.</param>
    /// <param name="mode">Permission bits of a new file, before the umask.</param>
    /// <param name="walk">Restrictions of openat2(2), and <see cref="WalkFlags.AllowEmpty"/>.</param>
    public static Result<OpenFile> Open(Thread thread, VfsPath start, ReadOnlySpan<byte> path, OpenFlags flags, int mode, WalkFlags walk = WalkFlags.None)
    {
        if ((flags & OpenFlags.NoFollow) == 0) walk |= WalkFlags.Follow;
        if ((flags & OpenFlags.Path) != 0) return OpenPath(thread, start, path, flags & (OpenFlags.Path | OpenFlags.Directory | OpenFlags.NoFollow | OpenFlags.CloseOnExec), walk);
        if ((flags & OpenFlags.TemporaryFile) == OpenFlags.TemporaryFile) return OpenTemporary(thread, start, path, flags, mode, walk);
        VfsPath place;
        bool isNew = false;
        if ((flags & OpenFlags.Create) != 0)
        {
            Errno error = FindOrCreate(thread, start, path, flags, mode, walk, out place, out isNew);
            if (error != Errno.None) return error;
            if (!isNew && (flags & OpenFlags.Exclusive) != 0) return Errno.EEXIST;
            if (place.Inode.IsDirectory) return Errno.EISDIR;
        }
        else
        {
            var walker = new PathWalker(thread, start, path, walk);
            Errno error = walker.Walk();
            if (error != Errno.None) return error;
            place = walker.Current;
        }
        return OpenPlace(thread, place, isNew ? flags & ~OpenFlags.Truncate : flags, isNew);
    }

    /// <summary>Opens a place that was found. May block.</summary>
    public static Result<OpenFile> OpenPlace(Thread thread, VfsPath place, OpenFlags flags, bool isNew)
    {
        Inode inode = place.Inode;
        bool isTruncating = (flags & OpenFlags.Truncate) != 0;
        if ((flags & OpenFlags.Directory) != 0 && !inode.IsDirectory) return Errno.ENOTDIR;
        Permission wanted = (flags & OpenFlags.AccessMask) switch
        {
            OpenFlags.ReadOnly => Permission.Read,
            OpenFlags.WriteOnly => Permission.Write,
            _ => Permission.Read | Permission.Write,
        };
        if (isTruncating) wanted |= Permission.Write;
        switch (inode.Type)
        {
            case InodeType.SymbolicLink:
                return Errno.ELOOP;
            case InodeType.Directory when (wanted & Permission.Write) != 0:
                return Errno.EISDIR;
            case InodeType.CharacterDevice or InodeType.BlockDevice when place.Mount is { } mount && (mount.Flags & MountFlags.NoDevices) != 0:
                return Errno.EACCES;
        }
        if (!isNew)
        {
            Errno error = AccessRights.Check(thread, place, wanted);
            if (error != Errno.None) return error;
        }
        if ((flags & OpenFlags.NoAccessTime) != 0 && !AccessRights.IsOwner(thread.Credentials, inode)) return Errno.EPERM;
        // From here on the inode cannot be evicted: the open file has a use of its own.
        if (!inode.TryAddUse()) return Errno.ENOENT;
        try
        {
            // Truncation needs a moment as a writer, also when the file is opened for reading.
            bool isWriter = isTruncating && inode.Type == InodeType.Regular;
            if (isWriter && !inode.TryAddWriter()) return Errno.ETXTBSY;
            Result<OpenFile> opened = inode.Open(place, flags, thread);
            if (opened.IsOk && isWriter)
            {
                Errno error;
                using (Mutex.Guard guard = inode.Lock.Lock()) error = inode.Truncate(0);
                if (error != Errno.None)
                {
                    opened.Value.Release();
                    opened = error;
                }
            }
            if (isWriter) inode.DropWriter();
            if (!opened.IsOk) return opened;
            if (isWriter) FileEvents.OnFile(place.Dentry, InodeEvents.Modify);
            FileEvents.OnFile(place.Dentry, InodeEvents.Open);
            return opened;
        }
        finally
        {
            inode.DropUse();
        }
    }

    /// <summary>
    /// Opens a program: a regular file that the caller may execute, on a mount that allows it, that nobody has open for writing, nor can as long as this open file lives. EACCES,
    /// ETXTBSY. May block.
    /// </summary>
    public static Result<OpenFile> OpenExecutable(Thread thread, VfsPath start, ReadOnlySpan<byte> path, WalkFlags walk)
    {
        var walker = new PathWalker(thread, start, path, walk);
        Errno error = walker.Walk();
        if (error != Errno.None) return error;
        VfsPath place = walker.Current;
        Inode inode = place.Inode;
        if (inode.Type == InodeType.SymbolicLink) return Errno.ELOOP;
        if (inode.Type != InodeType.Regular || (place.Mount is { } mount && (mount.Flags & MountFlags.NoExecute) != 0)) return Errno.EACCES;
        error = AccessRights.Check(thread, place, Permission.Execute);
        if (error != Errno.None) return error;
        if (!inode.TryAddUse()) return Errno.ENOENT;
        try
        {
            if (!inode.TryDenyWriters()) return Errno.ETXTBSY;
            Result<OpenFile> opened = inode.Open(place, OpenFlags.ReadOnly | OpenFlags.LargeFile, thread);
            if (opened.IsOk && opened.Value is RegularFile file) file.DeniesWriters = true; else inode.AllowWriters();
            return opened;
        }
        finally
        {
            inode.DropUse();
        }
    }

    private static Result<OpenFile> OpenPath(Thread thread, VfsPath start, ReadOnlySpan<byte> path, OpenFlags flags, WalkFlags walk)
    {
        var walker = new PathWalker(thread, start, path, walk);
        Errno error = walker.Walk();
        if (error != Errno.None) return error;
        if ((flags & OpenFlags.Directory) != 0 && !walker.Current.Inode.IsDirectory) return Errno.ENOTDIR;
        return new PathFile(walker.Current, flags);
    }

    // O_TMPFILE: a file without a name, in a directory's file system.
    private static Result<OpenFile> OpenTemporary(Thread thread, VfsPath start, ReadOnlySpan<byte> path, OpenFlags flags, int mode, WalkFlags walk)
    {
        var walker = new PathWalker(thread, start, path, walk);
        Errno error = walker.Walk();
        if (error != Errno.None) return error;
        VfsPath directory = walker.Current;
        if (!directory.Inode.IsDirectory) return Errno.ENOTDIR;
        error = AccessRights.Check(thread, directory, Permission.Write | Permission.Execute);
        if (error != Errno.None) return error;
        NewInode attributes = DirectoryOperations.Attributes(thread, directory.Inode, InodeType.Regular, mode, default);
        Result<Inode> made = directory.Inode.CreateTemporary(attributes);
        if (!made.IsOk) return made.Error;
        made.Value.IsLinkable = (flags & OpenFlags.Exclusive) == 0;
        byte[] name = Encoding.ASCII.GetBytes("#" + made.Value.Number.ToString(CultureInfo.InvariantCulture));
        var dentry = new Dentry(directory.Dentry, name, made.Value) { IsUnlinked = true };
        return OpenPlace(thread, new VfsPath(directory.Mount, dentry), flags & ~(OpenFlags.Directory | OpenFlags.Truncate), true);
    }

    // The place of a path whose last component may have to be made.
    private static Errno FindOrCreate(Thread thread, VfsPath start, ReadOnlySpan<byte> path, OpenFlags flags, int mode, WalkFlags walk, out VfsPath place, out bool isNew)
    {
        place = default;
        isNew = false;
        var walker = new PathWalker(thread, start, path, walk | WalkFlags.Parent);
        Errno error = walker.Walk();
        while (true)
        {
            if (error != Errno.None) return error;
            if (walker.LastKind == LastComponent.Nothing)
            {
                place = walker.Current;
                return Errno.None;
            }
            if (walker.LastKind != LastComponent.Name)
            {
                // A directory in any case.
                place = walker.Current;
                return place.Inode.IsDirectory ? Errno.None : Errno.ENOTDIR;
            }
            if (walker.MustBeDirectory) return Errno.EISDIR;
            error = walker.LookupLast(out place);
            if (error != Errno.None) return error;
            if (place.Dentry.Inode is null)
            {
                error = Create(thread, walker.Current, walker.Last, mode, out place, out isNew);
                // Somebody else was faster: it is like any other then.
                if (error != Errno.EEXIST) return error;
                error = walker.LookupLast(out place);
                if (error != Errno.None) return error;
                if (place.Dentry.Inode is null) continue;
            }
            if ((flags & OpenFlags.Exclusive) != 0) return Errno.EEXIST;
            if (place.Inode.Type != InodeType.SymbolicLink || (flags & OpenFlags.NoFollow) != 0) return Errno.None;
            error = walker.FollowLast(place);
        }
    }

    private static Errno Create(Thread thread, VfsPath directory, ReadOnlySpan<byte> name, int mode, out VfsPath place, out bool isNew)
    {
        place = default;
        isNew = false;
        using Mutex.Guard guard = directory.Inode.Lock.Lock();
        Result<Dentry> found = DentryCache.LookupLocked(directory.Dentry, name);
        if (!found.IsOk) return found.Error;
        if (found.Value.Inode is not null) return Errno.EEXIST;
        Errno error = DirectoryOperations.Fill(thread, directory, found.Value, DirectoryOperations.Attributes(thread, directory.Inode, InodeType.Regular, mode, default));
        if (error != Errno.None) return error;
        place = new VfsPath(directory.Mount, found.Value);
        isNew = true;
        return Errno.None;
    }
}
