using System;
using Asterinas.Services.Processes;

namespace Asterinas.Services.Vfs;

/// <summary>Names come and go: man 2 mkdir, mknod, symlink, link, unlink, rmdir.</summary>
internal static class DirectoryOperations
{
    /// <summary>What an inode made by the thread in a directory gets: owner, umask, and what a set-group-ID directory hands down (man 7 inode).</summary>
    public static NewInode Attributes(Thread thread, Inode directory, InodeType type, int mode, DeviceNumber device, ReadOnlySpan<byte> linkTarget = default)
    {
        Credentials credentials = thread.Credentials;
        int permissions = type == InodeType.SymbolicLink ? 0x1FF : mode & 0xFFF & ~thread.FileSystem.Umask;
        uint gid = credentials.FsGid;
        if ((directory.Permissions & 0x400) != 0)
        {
            gid = directory.Gid;
            if (type == InodeType.Directory) permissions |= 0x400;
            else if ((permissions & 0x408) == 0x408 && !credentials.IsInGroup(gid) && !credentials.Has(Capability.Fsetid)) permissions &= ~0x400;
        }
        return new NewInode { Type = type, Permissions = permissions, Uid = credentials.FsUid, Gid = gid, Device = device, LinkTarget = linkTarget };
    }

    /// <summary>Makes the inode of a negative dentry. EROFS, EACCES, ENOENT in a directory that is gone. Under the directory's Lock. May block.</summary>
    public static Errno Fill(Thread thread, VfsPath directory, Dentry dentry, in NewInode attributes)
    {
        Errno error = AccessRights.Check(thread, directory, Permission.Write | Permission.Execute);
        if (error != Errno.None) return error;
        Inode parent = directory.Inode;
        if (parent.LinkCount == 0) return Errno.ENOENT;
        Result<Inode> made = parent.Create(dentry.Name, attributes);
        if (!made.IsOk) return made.Error;
        DentryCache.SetInode(dentry, made.Value);
        FileEvents.OnEntry(parent, dentry.Name, made.Value, InodeEvents.Create);
        return Errno.None;
    }

    /// <summary>Makes something that is no regular file by open(2): mkdir, mknod, symlink, bind. EEXIST, and what <see cref="Fill"/> says. May block.</summary>
    public static Result<VfsPath> Make(Thread thread, VfsPath start, ReadOnlySpan<byte> path, InodeType type, int mode, DeviceNumber device = default,
        ReadOnlySpan<byte> linkTarget = default)
    {
        var walker = new PathWalker(thread, start, path, WalkFlags.Parent);
        Errno error = walker.Walk();
        if (error != Errno.None) return error;
        if (walker.LastKind != LastComponent.Name) return Errno.EEXIST;
        VfsPath directory = walker.Current;
        if (!directory.Inode.IsDirectory) return Errno.ENOTDIR;
        using Mutex.Guard guard = directory.Inode.Lock.Lock();
        Result<Dentry> found = DentryCache.LookupLocked(directory.Dentry, walker.Last);
        if (!found.IsOk) return found.Error;
        if (found.Value.Inode is not null) return Errno.EEXIST;
        if (walker.MustBeDirectory && type != InodeType.Directory) return Errno.ENOENT;
        error = Fill(thread, directory, found.Value, Attributes(thread, directory.Inode, type, mode, device, linkTarget));
        return error != Errno.None ? error : new VfsPath(directory.Mount, found.Value);
    }

    /// <summary>link(2). EXDEV, EPERM for a directory, EEXIST, ENOENT for what has lost its last name. May block.</summary>
    public static Errno Link(Thread thread, VfsPath target, VfsPath start, ReadOnlySpan<byte> path)
    {
        var walker = new PathWalker(thread, start, path, WalkFlags.Parent);
        Errno error = walker.Walk();
        if (error != Errno.None) return error;
        if (walker.LastKind != LastComponent.Name) return Errno.EEXIST;
        VfsPath directory = walker.Current;
        if (!directory.Inode.IsDirectory) return Errno.ENOTDIR;
        Inode inode = target.Inode, parent = directory.Inode;
        using Mutex.Guard guard = parent.Lock.Lock();
        Result<Dentry> found = DentryCache.LookupLocked(directory.Dentry, walker.Last);
        if (!found.IsOk) return found.Error;
        Dentry dentry = found.Value;
        if (dentry.Inode is not null) return Errno.EEXIST;
        if (walker.MustBeDirectory) return Errno.ENOENT;
        if (!ReferenceEquals(target.Mount, directory.Mount)) return Errno.EXDEV;
        error = AccessRights.Check(thread, directory, Permission.Write | Permission.Execute);
        if (error != Errno.None) return error;
        if (inode.IsDirectory) return Errno.EPERM;
        if (parent.LinkCount == 0) return Errno.ENOENT;
        // Without a name a file cannot get one, but for O_TMPFILE without O_EXCL.
        if (inode.LinkCount == 0 && !inode.IsLinkable) return Errno.ENOENT;
        error = parent.Link(dentry.Name, inode);
        if (error != Errno.None) return error;
        inode.IsLinkable = false;
        DentryCache.SetInode(dentry, inode);
        FileEvents.OnInode(inode, InodeEvents.Attributes);
        FileEvents.OnEntry(parent, dentry.Name, inode, InodeEvents.Create);
        return Errno.None;
    }

    /// <summary>unlink(2). ENOENT, EISDIR, EACCES, EPERM, EBUSY, EROFS. May block.</summary>
    public static Errno Unlink(Thread thread, VfsPath start, ReadOnlySpan<byte> path)
    {
        var walker = new PathWalker(thread, start, path, WalkFlags.Parent);
        Errno error = walker.Walk();
        if (error != Errno.None) return error;
        if (walker.LastKind != LastComponent.Name) return Errno.EISDIR;
        VfsPath directory = walker.Current;
        if (!directory.Inode.IsDirectory) return Errno.ENOTDIR;
        if (directory.Mount is { IsReadOnly: true }) return Errno.EROFS;
        Inode parent = directory.Inode;
        Inode inode;
        using (Mutex.Guard guard = parent.Lock.Lock())
        {
            Result<Dentry> found = DentryCache.LookupLocked(directory.Dentry, walker.Last);
            if (!found.IsOk) return found.Error;
            Dentry dentry = found.Value;
            if (dentry.Inode is null) return Errno.ENOENT;
            inode = dentry.Inode;
            if (walker.MustBeDirectory) return inode.IsDirectory ? Errno.EISDIR : Errno.ENOTDIR;
            error = AccessRights.CheckRemoval(thread, directory, inode);
            if (error != Errno.None) return error;
            if (inode.IsDirectory) return Errno.EISDIR;
            if (dentry.IsMountPoint) return Errno.EBUSY;
            error = parent.Unlink(dentry.Name, inode);
            if (error != Errno.None) return error;
            DentryCache.Unlink(dentry);
            FileEvents.OnInode(inode, InodeEvents.Attributes);
            FileEvents.OnEntry(parent, dentry.Name, inode, InodeEvents.Delete);
        }
        inode.EvictIfUnused();
        return Errno.None;
    }

    /// <summary>rmdir(2). ENOENT, ENOTDIR, ENOTEMPTY, EINVAL for ".", EBUSY, EACCES, EPERM, EROFS. May block.</summary>
    public static Errno RemoveDirectory(Thread thread, VfsPath start, ReadOnlySpan<byte> path)
    {
        var walker = new PathWalker(thread, start, path, WalkFlags.Parent);
        Errno error = walker.Walk();
        if (error != Errno.None) return error;
        switch (walker.LastKind)
        {
            case LastComponent.Dot: return Errno.EINVAL;
            case LastComponent.DotDot: return Errno.ENOTEMPTY;
            case LastComponent.Nothing: return Errno.EBUSY;
        }
        VfsPath directory = walker.Current;
        if (!directory.Inode.IsDirectory) return Errno.ENOTDIR;
        if (directory.Mount is { IsReadOnly: true }) return Errno.EROFS;
        Inode parent = directory.Inode;
        Inode inode;
        using (Mutex.Guard guard = parent.Lock.Lock())
        {
            Result<Dentry> found = DentryCache.LookupLocked(directory.Dentry, walker.Last);
            if (!found.IsOk) return found.Error;
            Dentry dentry = found.Value;
            if (dentry.Inode is null) return Errno.ENOENT;
            inode = dentry.Inode;
            error = AccessRights.CheckRemoval(thread, directory, inode);
            if (error != Errno.None) return error;
            if (!inode.IsDirectory) return Errno.ENOTDIR;
            if (dentry.IsMountPoint) return Errno.EBUSY;
            // Nothing may be made in it while it is looked at.
            using Mutex.Guard inner = inode.Lock.Lock();
            error = parent.RemoveDirectory(dentry.Name, inode);
            if (error != Errno.None) return error;
            DentryCache.Unlink(dentry);
            FileEvents.OnEntry(parent, dentry.Name, inode, InodeEvents.Delete);
        }
        inode.EvictIfUnused();
        return Errno.None;
    }
}
