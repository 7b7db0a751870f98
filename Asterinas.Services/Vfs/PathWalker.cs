using System;
using Asterinas.Services.Processes;

namespace Asterinas.Services.Vfs;

/// <summary>How a path is walked (man 7 path_resolution, man 2 openat2).</summary>
[Flags]
internal enum WalkFlags
{
    None = 0,
    /// <summary>A symbolic link at the end is followed.</summary>
    Follow = 1,
    /// <summary>Stops before the last component: the result is its directory and <see cref="PathWalker.Last"/>.</summary>
    Parent = 2,
    /// <summary>AT_EMPTY_PATH: an empty path is the start itself.</summary>
    AllowEmpty = 4,
    /// <summary>RESOLVE_NO_XDEV.</summary>
    NoCrossing = 8,
    /// <summary>RESOLVE_NO_MAGICLINKS.</summary>
    NoMagicLinks = 16,
    /// <summary>RESOLVE_NO_SYMLINKS.</summary>
    NoLinks = 32,
    /// <summary>RESOLVE_BENEATH.</summary>
    Beneath = 64,
    /// <summary>RESOLVE_IN_ROOT.</summary>
    InRoot = 128,
    /// <summary>RESOLVE_CACHED.</summary>
    CachedOnly = 256,
}

/// <summary>What the last component of a path is.</summary>
internal enum LastComponent
{
    /// <summary>A name.</summary>
    Name,
    /// <summary>"."</summary>
    Dot,
    /// <summary>".."</summary>
    DotDot,
    /// <summary>There is none: the path is "/", or empty where that is allowed.</summary>
    Nothing,
}

/// <summary>
/// Walks a path, component by component: permission to search each directory, symbolic links (at most 40), mount points, "..". Neither locks nor allocates as long as all names are
/// in the dentry cache and there is no link on the way. A local variable: its methods change it.
/// </summary>
internal ref struct PathWalker
{
    private const int MostLinks = 40;
    private const int MostNameBytes = 255;

    private readonly Thread _thread;
    private readonly Credentials _credentials;
    private readonly WalkFlags _flags;
    private readonly VfsPath _root;
    private readonly ReadOnlySpan<byte> _path;
    private int _links;
    private bool _mustBeDirectory;

    /// <param name="thread">Who asks.</param>
    /// <param name="start">Where relative paths begin.</param>
    /// <param name="path">The path, at most 4,095 bytes.</param>
    /// <param name="flags">How.</param>
    /// <param name="credentials">As whom; null for the thread's own.</param>
    public PathWalker(Thread thread, VfsPath start, ReadOnlySpan<byte> path, WalkFlags flags, Credentials? credentials = null)
    {
        _thread = thread;
        _credentials = credentials ?? thread.Credentials;
        _flags = flags;
        _path = path;
        _root = (flags & (WalkFlags.Beneath | WalkFlags.InRoot)) != 0 ? start : thread.FileSystem.Root;
        Current = start;
    }

    /// <summary>Where the walk is: the result when it succeeded.</summary>
    public VfsPath Current { get; private set; }

    /// <summary>With <see cref="WalkFlags.Parent"/>: the last component, without slashes.</summary>
    public ReadOnlySpan<byte> Last { get; private set; }

    /// <summary>With <see cref="WalkFlags.Parent"/>: what it is.</summary>
    public LastComponent LastKind { get; private set; } = LastComponent.Nothing;

    /// <summary>Whether the path ended in a slash: the last component must be a directory.</summary>
    public readonly bool MustBeDirectory => _mustBeDirectory;

    /// <summary>Walks. ENOENT, ENOTDIR, EACCES, ELOOP, ENAMETOOLONG, EXDEV, EAGAIN, and what file systems say. May block.</summary>
    public Errno Walk()
    {
        if (_path.IsEmpty) return (_flags & WalkFlags.AllowEmpty) != 0 ? Errno.None : Errno.ENOENT;
        if (_path[0] == '/')
        {
            Errno error = JumpToRoot();
            if (error != Errno.None) return error;
        }
        return Walk(_path, true);
    }

    /// <summary>
    /// After a walk with <see cref="WalkFlags.Parent"/> whose last component turned out to be a symbolic link: goes on in it, with another last component as the result. When the link
    /// leads to a place without a name (a magic link), <see cref="LastKind"/> is Nothing and the place is current.
    /// </summary>
    public Errno FollowLast(VfsPath link)
    {
        Errno error = EnterLink(link, out byte[]? target);
        if (error != Errno.None) return error;
        if (target is not null) return Walk(target, true);
        Last = default;
        LastKind = LastComponent.Nothing;
        return Errno.None;
    }

    /// <summary>The dentry of the last component after a walk with <see cref="WalkFlags.Parent"/>: negative when it does not exist. Mounts are crossed. May block.</summary>
    public readonly Errno LookupLast(out VfsPath found)
    {
        found = default;
        if (!Current.Inode.IsDirectory) return Errno.ENOTDIR;
        Errno error = Step(Last, out Dentry? dentry);
        if (error != Errno.None) return error;
        found = new VfsPath(Current.Mount, dentry!);
        return dentry!.IsMountPoint ? Cross(ref found) : Errno.None;
    }

    // isFinal: the end of this path is the end of the walk, not of a link in the middle.
    private Errno Walk(ReadOnlySpan<byte> path, bool isFinal)
    {
        while (true)
        {
            path = path.TrimStart((byte)'/');
            if (path.IsEmpty)
            {
                Last = default;
                LastKind = LastComponent.Nothing;
                return Errno.None;
            }
            Inode directory = Current.Inode;
            if (!directory.IsDirectory) return Errno.ENOTDIR;
            Errno error = AccessRights.Check(_thread, _credentials, directory, Permission.Execute);
            if (error != Errno.None) return error;
            int length = path.IndexOf((byte)'/');
            ReadOnlySpan<byte> name = length < 0 ? path : path[..length];
            ReadOnlySpan<byte> rest = length < 0 ? default : path[length..].TrimStart((byte)'/');
            bool isLast = rest.IsEmpty;
            bool hasSlash = length >= 0;
            if (name.Length > MostNameBytes) return Errno.ENAMETOOLONG;
            LastComponent kind = name[0] != '.' ? LastComponent.Name : name.Length == 1 ? LastComponent.Dot
                : name.Length == 2 && name[1] == '.' ? LastComponent.DotDot : LastComponent.Name;
            if (isLast && isFinal)
            {
                _mustBeDirectory |= hasSlash;
                if ((_flags & WalkFlags.Parent) != 0)
                {
                    Last = name;
                    LastKind = kind;
                    return Errno.None;
                }
            }
            if (kind != LastComponent.Name)
            {
                if (kind == LastComponent.DotDot && (error = GoUp()) != Errno.None) return error;
                if (isLast) return Errno.None;
                path = rest;
                continue;
            }
            error = Step(name, out Dentry? dentry);
            if (error != Errno.None) return error;
            if (dentry!.Inode is null) return Errno.ENOENT;
            var next = new VfsPath(Current.Mount, dentry);
            if (dentry.IsMountPoint && (error = Cross(ref next)) != Errno.None) return error;
            Inode inode = next.Inode;
            if (inode.Type == InodeType.SymbolicLink && (!isLast || !isFinal || hasSlash || _mustBeDirectory || (_flags & WalkFlags.Follow) != 0))
            {
                error = EnterLink(next, out byte[]? target);
                if (error != Errno.None) return error;
                if (isLast && isFinal && target is not null)
                {
                    path = target;
                    continue;
                }
                if (target is not null && (error = Walk(target, false)) != Errno.None) return error;
                inode = Current.Inode;
            }
            else
            {
                Current = next;
            }
            if (isLast) return isFinal && _mustBeDirectory && !inode.IsDirectory ? Errno.ENOTDIR : Errno.None;
            path = rest;
        }
    }

    // One name in the current directory.
    private readonly Errno Step(ReadOnlySpan<byte> name, out Dentry? dentry)
    {
        Dentry parent = Current.Dentry;
        dentry = DentryCache.Find(parent, name);
        if (dentry is not null) return Errno.None;
        if ((_flags & WalkFlags.CachedOnly) != 0) return Errno.EAGAIN;
        Result<Dentry> found = DentryCache.Lookup(parent, name);
        dentry = found.Value;
        return found.Error;
    }

    private readonly Errno Cross(ref VfsPath path)
    {
        VfsPath top = MountNamespace.Cross(path);
        if ((_flags & WalkFlags.NoCrossing) != 0 && !ReferenceEquals(top.Mount, path.Mount)) return Errno.EXDEV;
        path = top;
        return Errno.None;
    }

    private Errno GoUp()
    {
        while (true)
        {
            VfsPath here = Current;
            if (ReferenceEquals(here.Dentry, _root.Dentry) && ReferenceEquals(here.Mount, _root.Mount)) return (_flags & WalkFlags.Beneath) != 0 ? Errno.EXDEV : Errno.None;
            if (here.Mount is null || !ReferenceEquals(here.Dentry, here.Mount.Root))
            {
                var above = new VfsPath(here.Mount, here.Dentry.Parent);
                if (above.Dentry.IsMountPoint)
                {
                    Errno error = Cross(ref above);
                    if (error != Errno.None) return error;
                }
                Current = above;
                return Errno.None;
            }
            if (here.Mount.Place is not { } place) return Errno.None;
            if ((_flags & WalkFlags.NoCrossing) != 0) return Errno.EXDEV;
            Current = new VfsPath(place.Parent, place.Point);
        }
    }

    private Errno JumpToRoot()
    {
        if ((_flags & WalkFlags.Beneath) != 0) return Errno.EXDEV;
        if ((_flags & WalkFlags.NoCrossing) != 0 && !ReferenceEquals(_root.Mount, Current.Mount)) return Errno.EXDEV;
        Current = _root;
        return Errno.None;
    }

    // Reads a link that is to be followed. A link to a path: what it says, with the walk where it begins. A magic one: null, with the walk at its end.
    private Errno EnterLink(VfsPath link, out byte[]? target)
    {
        target = null;
        if (++_links > MostLinks || (_flags & WalkFlags.NoLinks) != 0 || (link.Mount is { } mount && (mount.Flags & MountFlags.NoSymbolicLinks) != 0)) return Errno.ELOOP;
        Inode inode = link.Inode;
        if (inode.FollowMagicLink(_thread) is { } magic)
        {
            if ((_flags & WalkFlags.NoMagicLinks) != 0) return Errno.ELOOP;
            if (!magic.IsOk) return magic.Error;
            if ((_flags & (WalkFlags.Beneath | WalkFlags.InRoot)) != 0) return Errno.EXDEV;
            if ((_flags & WalkFlags.NoCrossing) != 0 && !ReferenceEquals(magic.Value.Mount, Current.Mount)) return Errno.EXDEV;
            Current = magic.Value;
            return Errno.None;
        }
        Result<byte[]> read = inode.ReadLink();
        if (!read.IsOk) return read.Error;
        if (read.Value.Length == 0) return Errno.ENOENT;
        target = read.Value;
        return target[0] == '/' ? JumpToRoot() : Errno.None;
    }
}
