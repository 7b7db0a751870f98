using System.Collections.Generic;
using System.Threading;
using Asterinas.Ostd.Sync;

namespace Asterinas.Services.Vfs;

/// <summary>
/// A tree of mounts (man 7 mount_namespaces). All mounts are private: nothing propagates to other trees (man 7, "SHARED SUBTREES").
/// </summary>
internal sealed class MountNamespace
{
    /// <summary>Guards the shape of all trees: mounting is rare. Lookups take no lock.</summary>
    public static readonly SpinLock TreeLock = new("mount tree");

    private Mount _root = null!;

    /// <summary>Most mounts in a namespace (fs.mount-max).</summary>
    public const int MostMounts = 100000;

    /// <summary>A namespace with one mount. The tree changes by <see cref="Attach"/> and its kin.</summary>
    public MountNamespace(FileSystem rootFileSystem, MountFlags flags = MountFlags.None) => _root = new Mount(this, rootFileSystem, rootFileSystem.RootDentry, flags);

    private MountNamespace()
    {
    }

    /// <summary>The mount at the bottom of the tree.</summary>
    public Mount Root => Volatile.Read(ref _root);

    /// <summary>The root directory as processes see it: whatever is mounted on top of the bottom.</summary>
    public VfsPath RootPath => Cross(new VfsPath(Root, Root.Root));

    /// <summary>Goes up through everything mounted on a place.</summary>
    public static VfsPath Cross(VfsPath path)
    {
        while (path.Dentry.IsMountPoint && path.Mount?.FindChild(path.Dentry) is { } child) path = new VfsPath(child, child.Root);
        return path;
    }

    /// <summary>Mounts on a place. EINVAL for a place that is in no tree, ENOENT when its name is gone, ENOTDIR and EISDIR-like mixtures answer ENOTDIR.</summary>
    public static Errno Attach(Mount mount, VfsPath place)
    {
        if (place.Mount is not { Namespace: { } space } parent) return Errno.EINVAL;
        if (place.Inode.IsDirectory != mount.Root.Inode!.IsDirectory) return Errno.ENOTDIR;
        using SpinLock.Guard guard = TreeLock.Lock();
        if (place.Dentry.IsUnlinked) return Errno.ENOENT;
        if (!IsInTree(parent)) return Errno.EINVAL;
        SetNamespace(mount, space);
        Link(mount, place);
        return Errno.None;
    }

    /// <summary>
    /// Takes a mount out of its tree, with all mounts on it. EBUSY when it or one of them is in use, unless that does not matter (MNT_DETACH); EINVAL for the root of the tree.
    /// </summary>
    public static Errno Detach(Mount mount, bool isLazy)
    {
        List<Mount> gone = [];
        using (SpinLock.Guard guard = TreeLock.Lock())
        {
            if (mount.Place is null || mount.Namespace is null) return Errno.EINVAL;
            Collect(mount, gone);
            if (!isLazy && (gone.Count > 1 || mount.Uses != 0)) return Errno.EBUSY;
            foreach (Mount each in gone)
            {
                Unlink(each);
                each.Namespace = null;
            }
        }
        foreach (Mount each in gone) each.Detach();
        return Errno.None;
    }

    /// <summary>mount(2) with MS_MOVE: another place for a mount and all on it. EINVAL for the root of a tree, ELOOP for a place below itself.</summary>
    public static Errno Move(Mount mount, VfsPath place)
    {
        if (place.Mount is not { Namespace: { } space } parent || mount.Namespace != space) return Errno.EINVAL;
        if (place.Inode.IsDirectory != mount.Root.Inode!.IsDirectory) return Errno.ENOTDIR;
        using SpinLock.Guard guard = TreeLock.Lock();
        if (mount.Place is null || !IsInTree(parent)) return Errno.EINVAL;
        for (Mount? at = parent; at is not null; at = at.Parent)
        {
            if (ReferenceEquals(at, mount)) return Errno.ELOOP;
        }
        Unlink(mount);
        Link(mount, place);
        return Errno.None;
    }

    /// <summary>A copy of a mount with another top, in no tree yet; with the mounts on it if that is wanted (MS_REC).</summary>
    public static Mount Copy(Mount mount, Dentry root, bool isRecursive)
    {
        using SpinLock.Guard guard = TreeLock.Lock();
        return CopyTree(mount, root, isRecursive);
    }

    /// <summary>A copy that found no place goes, with all on it.</summary>
    public static void Drop(Mount copy)
    {
        List<Mount> all = [];
        using (SpinLock.Guard guard = TreeLock.Lock())
        {
            Collect(copy, all);
            foreach (Mount each in all) Unlink(each);
        }
        foreach (Mount each in all) each.Detach();
    }

    /// <summary>pivot_root(2): the new root becomes the bottom of the tree, and the old one is mounted below it. Paths were checked by the caller as far as they need no lock.</summary>
    public static Errno Pivot(VfsPath newRoot, VfsPath putOld, VfsPath currentRoot)
    {
        using SpinLock.Guard guard = TreeLock.Lock();
        if (newRoot.Mount is not { } made || putOld.Mount is not { } below || currentRoot.Mount is not { } old || made.Namespace is not { } space) return Errno.EINVAL;
        if (!ReferenceEquals(made.Root, newRoot.Dentry) || !ReferenceEquals(old.Root, currentRoot.Dentry)) return Errno.EINVAL;
        if (made.Place is null || old.Namespace != space || below.Namespace != space) return Errno.EINVAL;
        if (ReferenceEquals(made, old)) return Errno.EBUSY;
        // The old root must go below the new one.
        if (!IsReachable(putOld, newRoot)) return Errno.EINVAL;
        MountPlace? oldPlace = old.Place;
        Unlink(made);
        if (oldPlace is not null) Unlink(old);
        Link(old, putOld);
        if (oldPlace is not null) Link(made, new VfsPath(oldPlace.Parent, oldPlace.Point)); else Volatile.Write(ref space._root, made);
        return Errno.None;
    }

    /// <summary>A copy of the tree (CLONE_NEWNS).</summary>
    public MountNamespace Clone()
    {
        var copy = new MountNamespace();
        using SpinLock.Guard guard = TreeLock.Lock();
        Mount root = CopyTree(_root, _root.Root, true);
        SetNamespace(root, copy);
        copy._root = root;
        return copy;
    }

    /// <summary>The place in this tree, a fresh copy of another one, that a place of that one is.</summary>
    public VfsPath Twin(VfsPath path)
    {
        if (path.Mount is null) return path;
        List<(Mount Mount, Mount Copy)> pending = [];
        using SpinLock.Guard guard = TreeLock.Lock();
        if (path.Mount.Namespace is not { } original) return path;
        pending.Add((original._root, _root));
        while (pending.Count > 0)
        {
            (Mount mount, Mount copy) = pending[^1];
            pending.RemoveAt(pending.Count - 1);
            if (ReferenceEquals(mount, path.Mount)) return new VfsPath(copy, path.Dentry);
            foreach (Mount child in mount.Children)
            {
                if (copy.FindChild(child.MountPoint!) is { } twin) pending.Add((child, twin));
            }
        }
        return path;
    }

    /// <summary>All mounts, parents first: for /proc/PID/mounts.</summary>
    public List<Mount> Snapshot()
    {
        List<Mount> all = [];
        using SpinLock.Guard guard = TreeLock.Lock();
        Collect(_root, all);
        return all;
    }

    /// <summary>The last process of the namespace is gone: all mounts go.</summary>
    public void Release()
    {
        List<Mount> all = Snapshot();
        using (SpinLock.Guard guard = TreeLock.Lock())
        {
            foreach (Mount each in all)
            {
                if (each.Place is not null) Unlink(each);
                each.Namespace = null;
            }
        }
        foreach (Mount each in all) each.Detach();
    }

    // ---- under TreeLock

    /// <summary>Whether a place is at or below another one.</summary>
    internal static bool IsReachable(VfsPath path, VfsPath top)
    {
        while (!ReferenceEquals(path.Mount, top.Mount))
        {
            if (path.Mount?.Place is not { } place) return false;
            path = new VfsPath(place.Parent, place.Point);
        }
        for (Dentry at = path.Dentry; ; at = at.Parent)
        {
            if (ReferenceEquals(at, top.Dentry)) return true;
            if (at.IsRoot) return false;
        }
    }

    private static bool IsInTree(Mount mount) => mount.Namespace is { } space && (mount.Place is not null || ReferenceEquals(space._root, mount));

    private static void Link(Mount mount, VfsPath place)
    {
        mount.Place = new MountPlace(place.Mount!, place.Dentry);
        place.Mount!.AddChild(mount);
        place.Dentry.ChangeMounts(1);
    }

    private static void Unlink(Mount mount)
    {
        if (mount.Place is not { } place) return;
        place.Parent.RemoveChild(mount);
        place.Point.ChangeMounts(-1);
        mount.Place = null;
    }

    private static void Collect(Mount mount, List<Mount> into)
    {
        into.Add(mount);
        foreach (Mount child in mount.Children) Collect(child, into);
    }

    private static void SetNamespace(Mount mount, MountNamespace? space)
    {
        mount.Namespace = space;
        foreach (Mount child in mount.Children) SetNamespace(child, space);
    }

    private static Mount CopyTree(Mount mount, Dentry root, bool isRecursive)
    {
        var copy = new Mount(null, mount.FileSystem, root, mount.Flags) { Source = mount.Source };
        if (!isRecursive) return copy;
        foreach (Mount child in mount.Children)
        {
            Dentry point = child.MountPoint!;
            if (!IsBelow(point, root)) continue;
            Link(CopyTree(child, child.Root, true), new VfsPath(copy, point));
        }
        return copy;
    }

    private static bool IsBelow(Dentry dentry, Dentry top)
    {
        for (Dentry at = dentry; ; at = at.Parent)
        {
            if (ReferenceEquals(at, top)) return true;
            if (at.IsRoot) return false;
        }
    }
}
