using System.Collections.Generic;
using System.Threading;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Timers;
using Asterinas.Services.Memory;
using Asterinas.Services.Signals;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Processes;

/// <summary>
/// A process: threads that share memory, signal handlers, limits and a parent (man 7 pthreads). It is born with one thread, becomes a zombie with its last, and is gone when its
/// parent has waited for it.
/// <code>
///   Running ──last thread ends──► Zombie ──wait──► Reaped
/// </code>
/// </summary>
internal sealed partial class Process
{
    private AddressSpace _memory;
    private int _isVforkDone = 1;

    public Process(Pid pid, AddressSpace memory, ResourceLimits limits)
    {
        Pid = pid;
        _memory = memory;
        Limits = limits;
    }

    /// <summary>Its number: that of its first thread.</summary>
    public Pid Pid { get; }

    /// <summary>Its memory. Replaced by exec.</summary>
    public AddressSpace Memory
    {
        get => Volatile.Read(ref _memory);
        set => Volatile.Write(ref _memory, value);
    }

    public ResourceLimits Limits { get; }

    // Under the tree lock.
    public Process? Parent;
    /// <summary>The thread that made it: __WNOTHREAD looks at it, and its end sends PR_SET_PDEATHSIG.</summary>
    public Thread? ParentThread;
    public readonly List<Process> Children = [];
    public ProcessGroup Group = null!;
    public Session Session => Group.Session;

    /// <summary>Changed under the tree lock and the signal lock: walked under either.</summary>
    public readonly List<Thread> Threads = [];

    /// <summary>What the parent gets when it ends; 0 for nothing (man 2 clone).</summary>
    public int ExitSignal = (int)Signal.SIGCHLD;

    /// <summary>prctl(PR_SET_CHILD_SUBREAPER): orphans among its descendants become its children.</summary>
    public bool IsSubreaper;

    /// <summary>Whether it has executed a program since its birth: its parent may not move it between groups any more (setpgid(2)).</summary>
    public bool HasExecuted;

    /// <summary>prctl(PR_SET_DUMPABLE): 0 after a change of rights.</summary>
    public int Dumpable = 1;

    /// <summary>personality(2).</summary>
    public uint Personality;

    /// <summary>membarrier(2): what it has registered for.</summary>
    public int MemoryBarriers;

    /// <summary>prctl(PR_SET_THP_DISABLE). There are no huge pages for programs here: nothing else comes of it.</summary>
    public bool HasNoHugePages;

    /// <summary>When it was made, on the monotonic clock.</summary>
    public ulong StartNs { get; } = Clock.MonotonicNs;

    /// <summary>Whether it is the init of its pid namespace: only signals from above kill it.</summary>
    public bool IsNamespaceInit => ReferenceEquals(Pid.Namespace.Init, this);

    /// <summary>Those who wait for a child of this process.</summary>
    public readonly WaitQueue ChildQueue = new();

    /// <summary>Readable when the process has ended (pidfd_open(2)).</summary>
    public readonly Pollee ExitPollee = new();

    /// <summary>Its number as a thread's pid namespace sees it; 0 when it cannot.</summary>
    public int NumberFor(Thread thread) => Pid.NumberIn(thread.Namespaces.Pid);

    /// <summary>Sends a signal of the kernel's own to the process.</summary>
    public void Kill(Signal signal) => Send(new SignalInfo(signal, SignalInfo.Kernel), null, null, true);

    /// <summary>setsid(2): a new session and a new group, without a terminal. EPERM for a process whose number names a group already.</summary>
    public Errno StartSession()
    {
        using SpinLock.Guard tree = ProcessTree.Lock.Lock();
        if (Pid.Group is not null || Pid.Session is not null) return Errno.EPERM;
        ProcessGroup old = Group;
        new ProcessGroup(Pid, new Session(Pid) { Leader = this }).Add(this);
        old.Remove(this);
        HasLeftTerminal = false;
        return Errno.None;
    }

    // ---- vfork: the parent sleeps until the child has a memory of its own, or none

    private readonly WaitQueue _vforkQueue = new();

    internal void BeginVfork() => Volatile.Write(ref _isVforkDone, 0);

    internal void CompleteVfork()
    {
        if (Interlocked.Exchange(ref _isVforkDone, 1) == 0) _vforkQueue.WakeAll();
    }

    /// <summary>Waits until the child has left the parent's memory, or the parent is killed.</summary>
    internal void WaitForVfork() => _vforkQueue.WaitKillable(this, static process => Volatile.Read(ref process._isVforkDone) != 0);
}
