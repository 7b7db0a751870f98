using System;
using System.Threading;
using Asterinas.Ostd.Sync;
using Asterinas.Services.Memory;

namespace Asterinas.Services.Vfs;

/// <summary>
/// An open file description (man 2 open): what descriptors refer to, shared by dup and fork. Counted, because closing is an event: the last reference releases it.
/// </summary>
internal abstract class OpenFile
{
    private readonly Mutex _positionLock = new("file position");
    private readonly bool _isWriter;
    private int _references = 1;
    private int _flags;
    private long _position;

    protected OpenFile(VfsPath path, OpenFlags flags)
    {
        Path = path;
        // What stays with the open file (man 2 fcntl, F_GETFL).
        _flags = (int)(flags & ~(OpenFlags.Create | OpenFlags.Exclusive | OpenFlags.NoControllingTerminal | OpenFlags.Truncate | OpenFlags.CloseOnExec));
        path.Mount?.AddReference();
        path.Dentry.Inode!.TryAddUse();
        _isWriter = path.Mount is not null && IsWritable && Inode.Type is InodeType.Regular;
        if (_isWriter) path.Mount!.ChangeWriters(1);
    }

    /// <summary>Where it was opened; a path without mount for what has no name (a pipe).</summary>
    public VfsPath Path { get; }

    public Inode Inode => Path.Dentry.Inode!;

    public OpenFlags Flags => (OpenFlags)Volatile.Read(ref _flags);
    // Access mode 3 asks for both permissions and gives neither (man 2 open).
    public bool IsReadable => (Flags & OpenFlags.AccessMask) is OpenFlags.ReadOnly or OpenFlags.ReadWrite && (Flags & OpenFlags.Path) == 0;
    public bool IsWritable => (Flags & OpenFlags.AccessMask) is OpenFlags.WriteOnly or OpenFlags.ReadWrite && (Flags & OpenFlags.Path) == 0;
    public bool IsNonBlocking => (Flags & OpenFlags.NonBlock) != 0;

    /// <summary>Changes the flags that fcntl(F_SETFL) may change.</summary>
    public void ChangeFlags(OpenFlags mask, OpenFlags value)
    {
        int old;
        do old = Volatile.Read(ref _flags);
        while (Interlocked.CompareExchange(ref _flags, (old & ~(int)mask) | (int)(value & mask), old) != old);
    }

    /// <summary>Who gets SIGIO (fcntl F_SETOWN); null for nobody.</summary>
    public object? Owner;
    /// <summary>The signal that the owner gets in place of SIGIO (fcntl F_SETSIG); 0 for SIGIO.</summary>
    public int OwnerSignal;

    /// <summary>The epoll items that watch it; under <see cref="Ipc.Epoll.Links"/>.</summary>
    internal Ipc.EpollItem? Watchers;

    // ---- life

    /// <summary>One more reference; the caller has one.</summary>
    public void AddReference() => Interlocked.Increment(ref _references);

    /// <summary>One more reference, unless the last one is gone.</summary>
    public bool TryAddReference()
    {
        int count = Volatile.Read(ref _references);
        while (count > 0)
        {
            int seen = Interlocked.CompareExchange(ref _references, count + 1, count);
            if (seen == count) return true;
            count = seen;
        }
        return false;
    }

    /// <summary>One reference less; the last one closes the file.</summary>
    public void Release()
    {
        if (Interlocked.Decrement(ref _references) != 0) return;
        if (Volatile.Read(ref Watchers) is not null) Ipc.Epoll.OnFileClosed(this);
        // A lock of flock(2) or OFD belongs to the open file and goes with it.
        Inode.Locks?.ReleaseOwner(this);
        if ((Flags & OpenFlags.Path) == 0) FileEvents.OnFile(Path.Dentry, IsWritable ? InodeEvents.CloseWrite : InodeEvents.CloseNoWrite);
        OnRelease();
        Inode.DropUse();
        if (_isWriter) Path.Mount!.ChangeWriters(-1);
        Path.Mount?.Release();
    }

    /// <summary>The last reference is gone. May block shortly.</summary>
    protected virtual void OnRelease()
    {
    }

    // ---- reading and writing

    /// <summary>In place of a position: behind the last byte (RWF_APPEND).</summary>
    public const long AtEnd = -1;

    /// <summary>Whether it has a position (lseek, pread).</summary>
    public virtual bool IsSeekable => false;

    /// <summary>Reads at a position (ignored by what has none). 0 at the end. EAGAIN, EINTR-like, EIO. A fault after some bytes is a short count. May block.</summary>
    public virtual Result<long> ReadAt(ref IoSink sink, long position) => Errno.EINVAL;

    /// <summary>Writes at a position; with O_APPEND at the end. EAGAIN, EFBIG, ENOSPC, EPIPE. May block.</summary>
    /// <param name="source">The bytes.</param>
    /// <param name="position">Where, or <see cref="AtEnd"/>; set to where it was written, for what is appended.</param>
    public virtual Result<long> WriteAt(ref IoSource source, ref long position) => Errno.EINVAL;

    /// <summary>read(2): at the file's position, which moves. May block.</summary>
    public Result<long> Read(ref IoSink sink)
    {
        if (!IsSeekable) return ReadAt(ref sink, 0);
        using Mutex.Guard guard = _positionLock.Lock();
        Result<long> result = ReadAt(ref sink, _position);
        if (result.IsOk) _position += result.Value;
        return result;
    }

    /// <summary>write(2): at the file's position, which moves. May block.</summary>
    public Result<long> Write(ref IoSource source, bool mustAppend = false)
    {
        long position = 0;
        if (!IsSeekable) return WriteAt(ref source, ref position);
        using Mutex.Guard guard = _positionLock.Lock();
        position = mustAppend ? AtEnd : _position;
        Result<long> result = WriteAt(ref source, ref position);
        if (result.IsOk) _position = position + result.Value;
        return result;
    }

    /// <summary>Where the next read or write happens, at the moment: for /proc.</summary>
    public long Position => Volatile.Read(ref _position);

    /// <summary>lseek(2). EINVAL, ENXIO, EOVERFLOW, ESPIPE.</summary>
    public Result<long> Seek(long offset, int whence)
    {
        if (!IsSeekable) return Errno.ESPIPE;
        using Mutex.Guard guard = _positionLock.Lock();
        Result<long> target = SeekTarget(_position, offset, whence);
        if (target.IsOk) _position = target.Value;
        return target;
    }

    /// <summary>The position that a seek leads to. SEEK_DATA and SEEK_HOLE take the whole file for data, as lseek(2) allows.</summary>
    protected virtual Result<long> SeekTarget(long position, long offset, int whence)
    {
        long size = Inode.Size;
        long start;
        switch (whence)
        {
            case 0: start = 0; break;
            case 1: start = position; break;
            case 2: start = size; break;
            case 3: return offset < 0 || offset >= size ? Errno.ENXIO : offset;
            case 4: return offset < 0 || offset >= size ? Errno.ENXIO : size;
            default: return Errno.EINVAL;
        }
        long target = unchecked(start + offset);
        if (offset > 0 && target < start) return Errno.EOVERFLOW;
        return target < 0 ? Errno.EINVAL : target;
    }

    /// <summary>Runs under the position's lock: for getdents and others that read and move.</summary>
    protected Result<TResult> WithPosition<TState, TResult>(TState state, PositionAction<TState, TResult> action)
    {
        using Mutex.Guard guard = _positionLock.Lock();
        return action(this, state, ref _position);
    }

    /// <summary>Works with the position, and may move it.</summary>
    protected delegate Result<TResult> PositionAction<in TState, TResult>(OpenFile file, TState state, ref long position);

    /// <summary>Runs a transfer at the file's position, which moves by what was transferred: for sendfile and its kin.</summary>
    protected internal Mutex.Guard LockPosition() => _positionLock.Lock();

    /// <summary>The position; under <see cref="LockPosition"/>.</summary>
    protected internal ref long PositionLocked => ref _position;

    // ---- everything else

    /// <summary>getdents64(2): hands entries to a sink and moves. ENOTDIR for what is no directory.</summary>
    public virtual Errno ReadDirectory(IDirectorySink sink) => Errno.ENOTDIR;

    /// <summary>ioctl(2). ENOTTY for what it does not know. May block.</summary>
    public virtual Result<long> Control(Thread thread, uint command, ulong argument) => Errno.ENOTTY;

    /// <summary>Commands of fcntl(2) that only some kinds know: F_SETPIPE_SZ and F_GETPIPE_SZ (EBADF elsewhere).</summary>
    public virtual Result<long> ControlDescriptor(Thread thread, int command, ulong argument) => Errno.EBADF;

    /// <summary>
    /// What is ready now. With an observer, it is first registered with whatever the readiness depends on (<see cref="Pollee.Register"/>), so that no change is missed.
    /// Must not block.
    /// </summary>
    public virtual PollEvents Poll(PollObserver? observer) => PollEvents.Always;

    /// <summary>Whether epoll accepts it (EPERM for regular files and directories).</summary>
    public virtual bool IsPollable => false;

    /// <summary>What mmap(2) shows. ENODEV when it cannot be mapped.</summary>
    public virtual Result<MemoryObject> GetMemoryObject(Protection protection, bool isShared) => Inode.Pages is { } pages ? pages : Errno.ENODEV;

    /// <summary>A descriptor is closed, though others may be left (man 2 close). Errors reach the caller.</summary>
    public virtual Errno Flush(Thread thread) => Errno.None;

    /// <summary>fsync(2). EINVAL for what cannot be synchronised.</summary>
    public virtual Errno Sync(bool dataOnly) => Errno.EINVAL;

    /// <summary>ftruncate(2); the caller has checked that it is writable. EINVAL for what has no size.</summary>
    public virtual Errno Truncate(long size) => Errno.EINVAL;

    /// <summary>fallocate(2). EOPNOTSUPP, ENOSPC, ESPIPE, ENODEV.</summary>
    public virtual Errno Allocate(int mode, long offset, long length) => Errno.ENODEV;

    /// <summary>Lines of /proc/PID/fdinfo/N beyond the common ones.</summary>
    public virtual string DescribeForProc() => "";

    /// <summary>What /proc/PID/fd/N says when there is no path: pipe:[12], anon_inode:[eventfd].</summary>
    public virtual string? AnonymousName => null;
}
