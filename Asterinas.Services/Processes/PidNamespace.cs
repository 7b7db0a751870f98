using System.Collections.Generic;
using Asterinas.Ostd.Sync;

namespace Asterinas.Services.Processes;

/// <summary>
/// A number that names a thread, and the process, process group and session that carry the number of the thread which founded them. It is free again when none of the four is
/// left. In a nested namespace it has a number on each level.
/// INVARIANT: all four references are written under the tree lock (<see cref="ProcessTree"/>); readers may look at any time.
/// </summary>
internal sealed class Pid
{
    private readonly int[] _numbers;

    internal Pid(PidNamespace space, int[] numbers)
    {
        Namespace = space;
        _numbers = numbers;
    }

    /// <summary>The innermost namespace.</summary>
    public PidNamespace Namespace { get; }

    /// <summary>Its number in the innermost namespace.</summary>
    public int Number => _numbers[Namespace.Level];

    /// <summary>Its number as a namespace sees it; 0 when it is not visible there.</summary>
    public int NumberIn(PidNamespace space) => space.Level <= Namespace.Level && Namespace.IsWithin(space) ? _numbers[space.Level] : 0;

    internal int NumberAt(int level) => _numbers[level];

    public Thread? Thread;
    public Process? Process;
    public ProcessGroup? Group;
    public Session? Session;

    /// <summary>Whether nobody uses the number any more.</summary>
    public bool IsUnused => Thread is null && Process is null && Group is null && Session is null;
}

/// <summary>Process numbers (man 7 pid_namespaces). The first process in it is the namespace's init: 1.</summary>
internal sealed class PidNamespace
{
    /// <summary>Linux' default on 64-bit machines with many CPUs; numbers start again at <see cref="FirstAfterWrap"/> behind it.</summary>
    public const int DefaultMaximum = 4194304;
    private const int FirstAfterWrap = 300;

    private readonly SpinLock _lock = new("pid namespace");
    private readonly Dictionary<int, Pid> _pids = [];
    private int _last;

    public PidNamespace(PidNamespace? parent)
    {
        Parent = parent;
        Level = parent is null ? 0 : parent.Level + 1;
        if (parent is null) Root = this;
    }

    /// <summary>The first namespace, which sees every process; null before it is made.</summary>
    public static PidNamespace? Root { get; private set; }

    public PidNamespace? Parent { get; }
    public int Level { get; }
    public int Maximum { get; set; } = DefaultMaximum;

    /// <summary>The process with number 1; its end ends the namespace.</summary>
    public Process? Init { get; set; }

    private int _processes;
    private int _isDying;
    private readonly WaitQueue _emptyQueue = new();

    /// <summary>Whether its init has ended: no new processes, and those that end are not waited for.</summary>
    public bool IsDying
    {
        get => System.Threading.Volatile.Read(ref _isDying) != 0;
        set => System.Threading.Volatile.Write(ref _isDying, value ? 1 : 0);
    }

    /// <summary>A process was born in it: it counts here and in all namespaces above.</summary>
    public void OnBorn()
    {
        for (PidNamespace? at = this; at is not null; at = at.Parent) System.Threading.Interlocked.Increment(ref at._processes);
    }

    /// <summary>A process is gone for good.</summary>
    public void OnReaped()
    {
        for (PidNamespace? at = this; at is not null; at = at.Parent)
        {
            if (System.Threading.Interlocked.Decrement(ref at._processes) <= 1) at._emptyQueue.WakeAll();
        }
    }

    /// <summary>Processes in it, zombies included.</summary>
    public int ProcessCount => System.Threading.Volatile.Read(ref _processes);

    /// <summary>Waits until only its init is left. All others have been killed: the wait ends.</summary>
    public void WaitUntilAlone() => _emptyQueue.WaitBounded(this, static space => space.ProcessCount <= 1, ulong.MaxValue);

    /// <summary>All processes in it, those of nested namespaces included. Under the tree lock.</summary>
    public List<Process> Processes()
    {
        var found = new List<Process>();
        using SpinLock.Guard guard = _lock.Lock();
        foreach (Pid pid in _pids.Values)
        {
            if (pid.Process is { } process) found.Add(process);
        }
        return found;
    }

    /// <summary>The number given last, for /proc/loadavg.</summary>
    public int Last => System.Threading.Volatile.Read(ref _last);

    /// <summary>Whether it is the other namespace, or nested inside.</summary>
    public bool IsWithin(PidNamespace other)
    {
        for (PidNamespace? at = this; at is not null; at = at.Parent)
        {
            if (ReferenceEquals(at, other)) return true;
        }
        return false;
    }

    /// <summary>A new number on this level and all above. EAGAIN when one of them is full.</summary>
    /// <param name="wanted">clone3(2)'s set_tid: the numbers from the innermost level outwards; empty for any. EEXIST when one is taken, EINVAL when it is out of range.</param>
    public Result<Pid> Allocate(System.ReadOnlySpan<int> wanted = default)
    {
        var numbers = new int[Level + 1];
        var pid = new Pid(this, numbers);
        for (PidNamespace? at = this; at is not null; at = at.Parent)
        {
            int wish = Level - at.Level < wanted.Length ? wanted[Level - at.Level] : 0;
            int number = wish == 0 ? at.Insert(pid) : at.InsertAt(pid, wish);
            if (number == 0)
            {
                for (PidNamespace? done = this; !ReferenceEquals(done, at); done = done!.Parent) done!.Remove(numbers[done.Level]);
                return wish == 0 ? Errno.EAGAIN : Errno.EEXIST;
            }
            numbers[at.Level] = number;
        }
        return pid;
    }

    /// <summary>Gives the numbers back when nobody uses them any more. Called after one of the four uses ended.</summary>
    public static void Release(Pid pid)
    {
        if (!pid.IsUnused) return;
        for (PidNamespace? at = pid.Namespace; at is not null; at = at.Parent) at.Remove(pid.NumberAt(at.Level));
    }

    /// <summary>Who has a number here; null for nobody.</summary>
    public Pid? Find(int number)
    {
        using SpinLock.Guard guard = _lock.Lock();
        return _pids.GetValueOrDefault(number);
    }

    /// <summary>All numbers in use, ascending, from a number on: for /proc. Returns 0 when there is none.</summary>
    public int NextProcess(int from)
    {
        using SpinLock.Guard guard = _lock.Lock();
        int best = 0;
        foreach ((int number, Pid pid) in _pids)
        {
            if (number >= from && pid.Process is not null && (best == 0 || number < best)) best = number;
        }
        return best;
    }

    private int Insert(Pid pid)
    {
        using SpinLock.Guard guard = _lock.Lock();
        for (int tries = 0; tries < Maximum; tries++)
        {
            _last = _last + 1 >= Maximum ? FirstAfterWrap : _last + 1;
            if (_pids.TryAdd(_last, pid)) return _last;
        }
        return 0;
    }

    private int InsertAt(Pid pid, int number)
    {
        using SpinLock.Guard guard = _lock.Lock();
        return _pids.TryAdd(number, pid) ? number : 0;
    }

    private void Remove(int number)
    {
        using SpinLock.Guard guard = _lock.Lock();
        _pids.Remove(number);
    }
}
