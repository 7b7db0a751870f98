using System;
using System.Threading;
using Asterinas.Ostd.Sync;

namespace Asterinas.Services.Vfs;

/// <summary>
/// The descriptors of a thread (man 2 open); shared with CLONE_FILES.
/// <code>
///   operation                        lock
///   look up, table used by one       none: only the thread itself changes it
///   look up, shared                  none: an atomic reference to a file that still has one
///   everything that changes          _lock
/// </code>
/// </summary>
internal sealed class FileTable
{
    private struct Slot
    {
        public OpenFile? File;
        public bool CloseOnExec;
        // A number promised to an open(2) that is under way.
        public bool IsReserved;
    }

    private readonly SpinLock _lock = new("file table");
    private Slot[] _slots;
    private int _firstFree;
    private int _users = 1;

    public FileTable() => _slots = new Slot[64];

    private FileTable(Slot[] slots, int firstFree)
    {
        _slots = slots;
        _firstFree = firstFree;
    }

    /// <summary>Whether several threads use it.</summary>
    public bool IsShared => Volatile.Read(ref _users) > 1;

    /// <summary>Descriptors that there is room for at the moment.</summary>
    public int Capacity => Volatile.Read(ref _slots).Length;

    public void AddUser() => Interlocked.Increment(ref _users);

    /// <summary>One user less; the last one closes everything.</summary>
    public void Release(Thread thread)
    {
        if (Interlocked.Decrement(ref _users) != 0) return;
        for (int i = 0; i < _slots.Length; i++)
        {
            OpenFile? file = _slots[i].File;
            _slots[i] = default;
            if (file is not null) Close(file, thread);
        }
    }

    /// <summary>What closing a descriptor does to its file: POSIX locks of this table on it go, whoever else has it open (man 2 fcntl).</summary>
    public Errno Close(OpenFile file, Thread thread)
    {
        file.Inode.Locks?.ReleaseOwner(this);
        Errno error = file.Flush(thread);
        file.Release();
        return error;
    }

    /// <summary>
    /// The file of a descriptor, held until the handle is disposed. EBADF, also for one opened with O_PATH unless that is allowed.
    /// </summary>
    public Errno Get(int descriptor, out FileHandle handle, bool allowPath = false)
    {
        handle = default;
        Slot[] slots = Volatile.Read(ref _slots);
        if ((uint)descriptor >= (uint)slots.Length) return Errno.EBADF;
        OpenFile? file = Volatile.Read(ref slots[descriptor].File);
        if (file is null || (!allowPath && (file.Flags & OpenFlags.Path) != 0)) return Errno.EBADF;
        if (!IsShared)
        {
            handle = new FileHandle(file, false);
            return Errno.None;
        }
        if (!file.TryAddReference()) return Errno.EBADF;
        handle = new FileHandle(file, true);
        return Errno.None;
    }

    /// <summary>The file of a descriptor with a reference of its own, for a thread that the table is not of; null for none.</summary>
    public OpenFile? GetFromOutside(int descriptor)
    {
        using SpinLock.Guard guard = _lock.Lock();
        return (uint)descriptor < (uint)_slots.Length && _slots[descriptor].File is { } file && file.TryAddReference() ? file : null;
    }

    /// <summary>Gives a file the lowest free descriptor from a number on; the table takes the caller's reference over. EMFILE: the reference stays the caller's.</summary>
    /// <param name="file">The file.</param>
    /// <param name="closeOnExec">FD_CLOEXEC.</param>
    /// <param name="limit">RLIMIT_NOFILE.</param>
    /// <param name="from">The least number.</param>
    public Result<int> Add(OpenFile file, bool closeOnExec, ulong limit, int from = 0)
    {
        Result<int> number = Reserve(limit, from);
        if (number.IsOk) Install(number.Value, file, closeOnExec);
        return number;
    }

    /// <summary>Promises the lowest free descriptor to a file that is still to be opened: <see cref="Install"/> or <see cref="Cancel"/> follows. EMFILE.</summary>
    public Result<int> Reserve(ulong limit, int from = 0)
    {
        int most = (int)Math.Min(limit, int.MaxValue);
        while (true)
        {
            int capacity;
            using (SpinLock.Guard guard = _lock.Lock())
            {
                int at = Math.Max(from, _firstFree);
                while (at < _slots.Length && (_slots[at].File is not null || _slots[at].IsReserved)) at++;
                if (at >= most) return Errno.EMFILE;
                if (at < _slots.Length)
                {
                    _slots[at].IsReserved = true;
                    if (from <= _firstFree) _firstFree = at + 1;
                    return at;
                }
                capacity = at;
            }
            Grow(capacity);
        }
    }

    /// <summary>Gives a promised descriptor to a file; the table takes the caller's reference over.</summary>
    public void Install(int descriptor, OpenFile file, bool closeOnExec)
    {
        using SpinLock.Guard guard = _lock.Lock();
        _slots[descriptor].IsReserved = false;
        _slots[descriptor].CloseOnExec = closeOnExec;
        Volatile.Write(ref _slots[descriptor].File, file);
    }

    /// <summary>Takes the promise of a descriptor back.</summary>
    public void Cancel(int descriptor)
    {
        using SpinLock.Guard guard = _lock.Lock();
        _slots[descriptor].IsReserved = false;
        _firstFree = Math.Min(_firstFree, descriptor);
    }

    /// <summary>dup2(2), dup3(2): puts the file at a number, and returns what was there for the caller to close. EBADF beyond the limit, EBUSY when an open(2) is about to use it.</summary>
    public Errno Replace(int descriptor, OpenFile file, bool closeOnExec, ulong limit, out OpenFile? old)
    {
        old = null;
        if (descriptor < 0 || (ulong)descriptor >= limit) return Errno.EBADF;
        while (true)
        {
            using (SpinLock.Guard guard = _lock.Lock())
            {
                if (descriptor < _slots.Length)
                {
                    if (_slots[descriptor].IsReserved) return Errno.EBUSY;
                    old = _slots[descriptor].File;
                    _slots[descriptor].CloseOnExec = closeOnExec;
                    Volatile.Write(ref _slots[descriptor].File, file);
                    return Errno.None;
                }
            }
            Grow(descriptor);
        }
    }

    /// <summary>Takes a file out; null when the descriptor is not open. The caller closes it (<see cref="Close"/>).</summary>
    public OpenFile? Remove(int descriptor)
    {
        using SpinLock.Guard guard = _lock.Lock();
        if ((uint)descriptor >= (uint)_slots.Length || _slots[descriptor].File is not { } file) return null;
        Volatile.Write(ref _slots[descriptor].File, null);
        _firstFree = Math.Min(_firstFree, descriptor);
        return file;
    }

    /// <summary>FD_CLOEXEC of a descriptor. EBADF.</summary>
    public Result<int> GetCloseOnExec(int descriptor)
    {
        using SpinLock.Guard guard = _lock.Lock();
        if ((uint)descriptor >= (uint)_slots.Length || _slots[descriptor].File is null) return Errno.EBADF;
        return _slots[descriptor].CloseOnExec ? 1 : 0;
    }

    /// <summary>Sets FD_CLOEXEC. EBADF.</summary>
    public Errno SetCloseOnExec(int descriptor, bool value)
    {
        using SpinLock.Guard guard = _lock.Lock();
        if ((uint)descriptor >= (uint)_slots.Length || _slots[descriptor].File is null) return Errno.EBADF;
        _slots[descriptor].CloseOnExec = value;
        return Errno.None;
    }

    /// <summary>The next descriptor in use from a number on; -1 for none. For /proc/PID/fd and close_range(2).</summary>
    public int NextOpen(int from)
    {
        Slot[] slots = Volatile.Read(ref _slots);
        for (int i = Math.Max(from, 0); i < slots.Length; i++)
        {
            if (Volatile.Read(ref slots[i].File) is not null) return i;
        }
        return -1;
    }

    /// <summary>A copy for fork(2). May throw <see cref="OutOfMemoryException"/> before anything is changed.</summary>
    public FileTable Copy()
    {
        while (true)
        {
            var slots = new Slot[Volatile.Read(ref _slots).Length];
            using SpinLock.Guard guard = _lock.Lock();
            if (slots.Length < _slots.Length) continue;
            Array.Copy(_slots, slots, _slots.Length);
            foreach (ref Slot slot in slots.AsSpan())
            {
                slot.File?.AddReference();
                slot.IsReserved = false;
            }
            // Numbers promised in the original are free in the copy.
            return new FileTable(slots, 0);
        }
    }

    /// <summary>Closes what has FD_CLOEXEC (man 2 execve); the table is not shared.</summary>
    public void CloseOnExec(Thread thread)
    {
        for (int i = 0; i < _slots.Length; i++)
        {
            if (_slots[i].File is null || !_slots[i].CloseOnExec) continue;
            if (Remove(i) is { } file) Close(file, thread);
        }
    }

    // Room for a descriptor. Readers of the old array see files as they were: a file that was closed since has no reference left for them.
    private void Grow(int descriptor)
    {
        int capacity = _slots.Length;
        while (capacity <= descriptor) capacity *= 2;
        var slots = new Slot[capacity];
        using SpinLock.Guard guard = _lock.Lock();
        if (_slots.Length >= capacity) return;
        Array.Copy(_slots, slots, _slots.Length);
        Volatile.Write(ref _slots, slots);
    }
}

/// <summary>A file in use by a system call; disposing it gives up the reference that the lookup took, if it took one.</summary>
internal readonly ref struct FileHandle(OpenFile file, bool isCounted)
{
    public OpenFile File { get; } = file;

    public void Dispose()
    {
        if (isCounted) File.Release();
    }
}
