using System.Threading;
using Asterinas.Ostd.Sync;

namespace Asterinas.Services.Vfs;

/// <summary>Root, working directory and umask; shared by threads with CLONE_FS.</summary>
internal sealed class FileSystemContext
{
    private readonly SpinLock _lock = new("file-system context");
    private VfsPath _root, _current;
    private int _umask;
    private int _users = 1;

    public FileSystemContext(VfsPath root, VfsPath current, int umask)
    {
        _root = root;
        _current = current;
        _umask = umask;
        root.Mount?.AddReference();
        current.Mount?.AddReference();
    }

    public VfsPath Root
    {
        get { using SpinLock.Guard guard = _lock.Lock(); return _root; }
        set { using SpinLock.Guard guard = _lock.Lock(); Replace(ref _root, value); }
    }

    public VfsPath Current
    {
        get { using SpinLock.Guard guard = _lock.Lock(); return _current; }
        set { using SpinLock.Guard guard = _lock.Lock(); Replace(ref _current, value); }
    }

    /// <summary>Permission bits that new files do not get.</summary>
    public int Umask => Volatile.Read(ref _umask);

    /// <summary>umask(2): sets it and returns the old one.</summary>
    public int SetUmask(int value) => Interlocked.Exchange(ref _umask, value & 0x1FF);

    /// <summary>A copy (fork without CLONE_FS).</summary>
    public FileSystemContext Copy()
    {
        using SpinLock.Guard guard = _lock.Lock();
        return new FileSystemContext(_root, _current, _umask);
    }

    /// <summary>A copy with the same places in a fresh copy of the mount namespace (CLONE_NEWNS).</summary>
    public FileSystemContext Copy(MountNamespace space)
    {
        VfsPath root = Root, current = Current;
        return new FileSystemContext(space.Twin(root), space.Twin(current), Umask);
    }

    /// <summary>pivot_root(2): whoever was at the old root is at the new one.</summary>
    public void Follow(VfsPath oldRoot, VfsPath newRoot)
    {
        if (Root == oldRoot) Root = newRoot;
        if (Current == oldRoot) Current = newRoot;
    }

    public void AddUser() => Interlocked.Increment(ref _users);

    /// <summary>Whether more than one thread uses it.</summary>
    public bool IsShared => Volatile.Read(ref _users) > 1;

    public void Release()
    {
        if (Interlocked.Decrement(ref _users) != 0) return;
        _root.Mount?.Release();
        _current.Mount?.Release();
    }

    private static void Replace(ref VfsPath place, VfsPath value)
    {
        value.Mount?.AddReference();
        place.Mount?.Release();
        place = value;
    }
}
