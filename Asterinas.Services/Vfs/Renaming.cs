using System;

namespace Asterinas.Services.Vfs;

/// <summary>Flags of renameat2(2).</summary>
[Flags]
internal enum RenameFlags : uint
{
    None = 0,
    NoReplace = 1,
    Exchange = 2,
    Whiteout = 4,
}

/// <summary>
/// rename(2), renameat2(2).
/// LOCK ORDER: the lock of all renames between directories (so that nobody's ancestors change), the directories (ancestors first), the directory that is replaced.
/// </summary>
internal static class Renaming
{
    private static readonly Mutex s_betweenDirectories = new("rename between directories");

    /// <summary>Gives a file another name. Errors as in the manual page. May block.</summary>
    public static Errno Rename(Thread thread, VfsPath oldStart, ReadOnlySpan<byte> oldPath, VfsPath newStart, ReadOnlySpan<byte> newPath, RenameFlags flags)
    {
        var from = new PathWalker(thread, oldStart, oldPath, WalkFlags.Parent);
        Errno error = from.Walk();
        if (error != Errno.None) return error;
        var to = new PathWalker(thread, newStart, newPath, WalkFlags.Parent);
        error = to.Walk();
        if (error != Errno.None) return error;
        if (!ReferenceEquals(from.Current.Mount, to.Current.Mount)) return Errno.EXDEV;
        if (from.LastKind != LastComponent.Name) return Errno.EBUSY;
        if (to.LastKind != LastComponent.Name) return (flags & RenameFlags.NoReplace) != 0 ? Errno.EEXIST : Errno.EBUSY;
        if (!from.Current.Inode.IsDirectory || !to.Current.Inode.IsDirectory) return Errno.ENOTDIR;
        if (from.Current.Mount is { IsReadOnly: true }) return Errno.EROFS;
        Inode? replaced;
        using (var pair = new DirectoryPair(from.Current.Dentry, to.Current.Dentry))
        {
            error = Locked(thread, ref from, ref to, pair.BelowFirst, pair.BelowSecond, flags, out replaced);
        }
        replaced?.EvictIfUnused();
        return error;
    }

    private static Errno Locked(Thread thread, ref PathWalker from, ref PathWalker to, Dentry? belowFrom, Dentry? belowTo, RenameFlags flags, out Inode? replaced)
    {
        replaced = null;
        bool isExchange = (flags & RenameFlags.Exchange) != 0;
        VfsPath oldDirectory = from.Current, newDirectory = to.Current;
        Result<Dentry> found = DentryCache.LookupLocked(oldDirectory.Dentry, from.Last);
        if (!found.IsOk) return found.Error;
        Dentry source = found.Value;
        if (source.Inode is not { } inode) return Errno.ENOENT;
        found = DentryCache.LookupLocked(newDirectory.Dentry, to.Last);
        if (!found.IsOk) return found.Error;
        Dentry target = found.Value;
        if ((flags & RenameFlags.NoReplace) != 0 && target.Inode is not null) return Errno.EEXIST;
        if (isExchange && target.Inode is null) return Errno.ENOENT;
        if (isExchange && !target.Inode!.IsDirectory && to.MustBeDirectory) return Errno.ENOTDIR;
        if (!inode.IsDirectory && (from.MustBeDirectory || (!isExchange && to.MustBeDirectory))) return Errno.ENOTDIR;
        // A directory cannot go below itself, nor replace one that it is in.
        if (ReferenceEquals(belowFrom, source)) return Errno.EINVAL;
        if (ReferenceEquals(belowTo, target) && belowTo is not null) return isExchange ? Errno.EINVAL : Errno.ENOTEMPTY;
        if (ReferenceEquals(inode, target.Inode)) return Errno.None;
        Errno error = Check(thread, oldDirectory, newDirectory, source, target, isExchange);
        if (error != Errno.None) return error;
        if (source.IsMountPoint || target.IsMountPoint) return Errno.EBUSY;
        if (newDirectory.Inode.LinkCount == 0) return Errno.ENOENT;

        byte[] oldName = source.Name, newName = target.Name;
        Inode? victim = target.Inode;
        if (victim is { IsDirectory: true } && !isExchange)
        {
            using Mutex.Guard guard = victim.Lock.Lock();
            error = oldDirectory.Inode.Rename(oldName, inode, newDirectory.Inode, newName, victim, false);
        }
        else
        {
            error = oldDirectory.Inode.Rename(oldName, inode, newDirectory.Inode, newName, victim, isExchange);
        }
        if (error != Errno.None) return error;
        inode.TouchChange();
        if (isExchange)
        {
            victim!.TouchChange();
            DentryCache.Exchange(source, target);
        }
        else
        {
            DentryCache.Unlink(target);
            DentryCache.Move(source, newDirectory.Dentry, newName);
            replaced = victim;
        }
        Tell(oldDirectory.Inode, newDirectory.Inode, oldName, newName, inode, victim, isExchange);
        return Errno.None;
    }

    private static Errno Check(Thread thread, VfsPath oldDirectory, VfsPath newDirectory, Dentry source, Dentry target, bool isExchange)
    {
        Inode inode = source.Inode!;
        Errno error = AccessRights.CheckRemoval(thread, oldDirectory, inode);
        if (error != Errno.None) return error;
        if (target.Inode is { } other)
        {
            error = AccessRights.CheckRemoval(thread, newDirectory, other);
            if (error != Errno.None) return error;
            if (!isExchange && inode.IsDirectory != other.IsDirectory) return inode.IsDirectory ? Errno.ENOTDIR : Errno.EISDIR;
        }
        else
        {
            error = AccessRights.Check(thread, newDirectory, Permission.Write | Permission.Execute);
            if (error != Errno.None) return error;
        }
        if (ReferenceEquals(oldDirectory.Inode, newDirectory.Inode)) return Errno.None;
        // A directory that moves gets another "..": that is a write to it.
        if (inode.IsDirectory && (error = AccessRights.Check(thread, inode, Permission.Write)) != Errno.None) return error;
        return isExchange && target.Inode!.IsDirectory ? AccessRights.Check(thread, target.Inode, Permission.Write) : Errno.None;
    }

    private static void Tell(Inode oldDirectory, Inode newDirectory, byte[] oldName, byte[] newName, Inode inode, Inode? victim, bool isExchange)
    {
        if (!FileEvents.IsWatched) return;
        uint cookie = FileEvents.NextCookie();
        FileEvents.OnEntry(oldDirectory, oldName, inode, InodeEvents.MovedFrom, cookie);
        FileEvents.OnEntry(newDirectory, newName, inode, InodeEvents.MovedTo, cookie);
        FileEvents.OnInode(inode, InodeEvents.MoveSelf);
        if (victim is null) return;
        if (!isExchange)
        {
            FileEvents.OnInode(victim, InodeEvents.Attributes);
            return;
        }
        cookie = FileEvents.NextCookie();
        FileEvents.OnEntry(newDirectory, newName, victim, InodeEvents.MovedFrom, cookie);
        FileEvents.OnEntry(oldDirectory, oldName, victim, InodeEvents.MovedTo, cookie);
        FileEvents.OnInode(victim, InodeEvents.MoveSelf);
    }

    /// <summary>The locks of two directories, which may be one; the one that is above the other is taken first.</summary>
    private ref struct DirectoryPair
    {
        private Mutex.Guard _between, _outer, _inner;

        public DirectoryPair(Dentry first, Dentry second)
        {
            if (ReferenceEquals(first.Inode, second.Inode))
            {
                _outer = first.Inode!.Lock.Lock();
                return;
            }
            _between = s_betweenDirectories.Lock();
            BelowFirst = ChildTowards(first, second);
            BelowSecond = BelowFirst is null ? ChildTowards(second, first) : null;
            _outer = (BelowSecond is null ? first : second).Inode!.Lock.Lock();
            _inner = (BelowSecond is null ? second : first).Inode!.Lock.Lock();
        }

        /// <summary>When the second directory is below the first: the entry of the first that leads there.</summary>
        public readonly Dentry? BelowFirst { get; }

        /// <summary>When the first directory is below the second: the entry of the second that leads there.</summary>
        public readonly Dentry? BelowSecond { get; }

        public void Dispose()
        {
            _inner.Dispose();
            _outer.Dispose();
            _between.Dispose();
        }

        private static Dentry? ChildTowards(Dentry top, Dentry below)
        {
            for (Dentry at = below; !at.IsRoot; at = at.Parent)
            {
                if (ReferenceEquals(at.Parent, top)) return at;
            }
            return null;
        }
    }
}
