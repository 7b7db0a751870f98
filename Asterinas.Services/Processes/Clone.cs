using System;
using System.Threading;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.User;
using Asterinas.Services.Memory;
using Asterinas.Services.Scheduling;
using Asterinas.Services.Signals;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Processes;

/// <summary>Flags of clone(2).</summary>
[Flags]
internal enum CloneFlags : ulong
{
    None = 0,
    SignalMask = 0xFF,
    NewTime = 0x80,
    Memory = 0x100,
    FileSystem = 0x200,
    Files = 0x400,
    SignalHandlers = 0x800,
    PidFd = 0x1000,
    Ptrace = 0x2000,
    Vfork = 0x4000,
    Parent = 0x8000,
    Thread = 0x10000,
    NewMount = 0x20000,
    SystemVSemaphores = 0x40000,
    SetTls = 0x80000,
    ParentSetTid = 0x100000,
    ChildClearTid = 0x200000,
    Detached = 0x400000,
    Untraced = 0x800000,
    ChildSetTid = 0x1000000,
    NewCgroup = 0x2000000,
    NewUts = 0x4000000,
    NewIpc = 0x8000000,
    NewUser = 0x10000000,
    NewPid = 0x20000000,
    NewNetwork = 0x40000000,
    Io = 0x80000000,
    ClearSignalHandlers = 0x100000000,
    IntoCgroup = 0x200000000,
    NewNamespaces = NewMount | NewUts | NewIpc | NewPid | NewNetwork,
}

/// <summary>What clone(2) and clone3(2) ask for.</summary>
internal readonly ref struct CloneRequest
{
    public CloneFlags Flags { get; init; }
    /// <summary>What the parent gets when the child ends.</summary>
    public int ExitSignal { get; init; }
    /// <summary>The child's stack pointer; 0: the parent's.</summary>
    public ulong StackPointer { get; init; }
    public ulong ParentTid { get; init; }
    public ulong ChildTid { get; init; }
    public ulong Tls { get; init; }
    public ulong PidFd { get; init; }
    /// <summary>clone3's set_tid, from the innermost namespace outwards.</summary>
    public ReadOnlySpan<int> Numbers { get; init; }
    public bool Has(CloneFlags flags) => (Flags & flags) == flags;
}

/// <summary>
/// Makes threads and processes (man 2 clone). Everything that can fail comes before the child is visible to anybody.
/// </summary>
internal static class Clone
{
    /// <summary>Most threads in the system; set at boot by the memory there is (/proc/sys/kernel/threads-max).</summary>
    public static int MaxThreads { get; set; } = 4096;
    private static int s_threads;

    /// <summary>Threads that exist.</summary>
    public static int ThreadCount => Volatile.Read(ref s_threads);

    internal static void OnThreadGone() => Interlocked.Decrement(ref s_threads);

    /// <summary>Makes a child. Returns its number as the parent sees it; EAGAIN, EINVAL, ENOMEM, EPERM, EMFILE, EEXIST. May block (vfork).</summary>
    public static Result<int> Run(Thread parent, in CloneRequest request) => RunKernel(parent, request, null, out _);

    /// <summary>As <see cref="Run"/>, for a child that begins in the kernel.</summary>
    /// <param name="parent">The parent.</param>
    /// <param name="request">What is asked for.</param>
    /// <param name="prologue">What the child does before it goes to user mode; null for nothing.</param>
    /// <param name="process">The child's process; null when there is none.</param>
    public static Result<int> RunKernel(Thread parent, in CloneRequest request, Action<Thread>? prologue, out Process? process)
    {
        process = null;
        Errno error = Check(parent, request);
        if (error != Errno.None) return error;
        if (!parent.MayFork) return Errno.EAGAIN;
        if (Interlocked.Increment(ref s_threads) > MaxThreads)
        {
            Interlocked.Decrement(ref s_threads);
            return Errno.EAGAIN;
        }
        Thread? child = null;
        try
        {
            Result<Thread> made = Make(parent, request);
            if (!made.IsOk) return made.Error;
            child = made.Value;
        }
        finally
        {
            if (child is null) Interlocked.Decrement(ref s_threads);
        }
        int number = child.Pid.NumberIn(parent.Namespaces.Pid);
        process = child.Process;
        child.Prologue = prologue;
        bool isVfork = request.Has(CloneFlags.Vfork);
        if (isVfork) process.BeginVfork();
        if (child.Start(ChildScheduling(parent)) != Errno.None)
        {
            child.Abandon();
            return Errno.ENOMEM;
        }
        SystemTimes.CountFork();
        if (isVfork) process.WaitForVfork();
        return number;
    }

    private static SchedulingAttributes ChildScheduling(Thread parent) =>
        LinuxScheduler.AttributesOf(parent.Task) is { } attributes ? attributes.CreateForChild() : new SchedulingAttributes();

    private static Errno Check(Thread parent, in CloneRequest request)
    {
        if (request.Has(CloneFlags.NewMount) && request.Has(CloneFlags.FileSystem)) return Errno.EINVAL;
        if (request.Has(CloneFlags.NewUser) && (request.Flags & (CloneFlags.FileSystem | CloneFlags.Thread)) != 0) return Errno.EINVAL;
        if (request.Has(CloneFlags.Thread) && !request.Has(CloneFlags.SignalHandlers)) return Errno.EINVAL;
        if (request.Has(CloneFlags.SignalHandlers) && !request.Has(CloneFlags.Memory)) return Errno.EINVAL;
        if (request.Has(CloneFlags.ClearSignalHandlers) && request.Has(CloneFlags.SignalHandlers)) return Errno.EINVAL;
        if (request.Has(CloneFlags.Parent) && parent.Process.IsNamespaceInit) return Errno.EINVAL;
        if (request.Has(CloneFlags.Thread))
        {
            if ((request.Flags & (CloneFlags.NewPid | CloneFlags.NewUser)) != 0) return Errno.EINVAL;
            if (!ReferenceEquals(parent.Namespaces.PidForChildren, parent.Namespaces.Pid)) return Errno.EINVAL;
        }
        if (request.Has(CloneFlags.PidFd) && request.Has(CloneFlags.Detached)) return Errno.EINVAL;
        if (request.Has(CloneFlags.NewIpc) && request.Has(CloneFlags.SystemVSemaphores)) return Errno.EINVAL;
        if (parent.Namespaces.PidForChildren.IsDying) return Errno.ENOMEM;
        return Errno.None;
    }

    private static Result<Thread> Make(Thread parent, in CloneRequest request)
    {
        Process creator = parent.Process;
        if (request.Has(CloneFlags.SetTls) && request.Tls >= AddressSpace.EndAddress) return Errno.EPERM;
        Credentials credentials = parent.Credentials;
        if (request.Has(CloneFlags.NewUser))
        {
            Result<Credentials> inside = NamespaceChange.EnterNewUser(parent);
            if (!inside.IsOk) return inside.Error;
            credentials = inside.Value;
        }
        Result<NamespaceSet> spaces = NamespaceChange.ForChild(parent, credentials, request.Flags);
        if (!spaces.IsOk) return spaces.Error;

        // From here on what was made must be given back when something fails.
        AddressSpace? memory = null;
        FileTable? files = null;
        FileSystemContext? fileSystem = null;
        Pid? pid = null;
        OpenFile? pidFile = null;
        int pidDescriptor = -1;
        bool isThread = request.Has(CloneFlags.Thread), isDone = false;
        try
        {
            var context = new UserContext();
            context.CopyFrom(parent.Context);
            context.SyscallResult = 0;
            if (request.StackPointer != 0) context.StackPointer = request.StackPointer;
            if (request.Has(CloneFlags.SetTls)) context[Register.FsBase] = request.Tls;
            if (!isThread)
            {
                if (request.Has(CloneFlags.Memory))
                {
                    memory = creator.Memory;
                    memory.AddUser();
                }
                else
                {
                    Result<AddressSpace> copy = creator.Memory.Fork();
                    if (!copy.IsOk) return copy.Error;
                    memory = copy.Value;
                }
            }
            if (request.Has(CloneFlags.Files)) (files = parent.Files).AddUser();
            else files = parent.Files.Copy();
            if (request.Has(CloneFlags.FileSystem)) (fileSystem = parent.FileSystem).AddUser();
            else fileSystem = NamespaceChange.CopyFileSystem(parent, spaces.Value);
            Result<Pid> allocated = spaces.Value.PidForChildren.Allocate(request.Numbers);
            if (!allocated.IsOk) return allocated.Error;
            pid = allocated.Value;

            Process process = isThread ? creator : MakeProcess(creator, pid, memory!, request);
            NamespaceSet childSpaces = spaces.Value with { Pid = pid.Namespace, PidForChildren = pid.Namespace };
            var child = new Thread(process, pid, context, credentials, childSpaces, files, fileSystem)
            {
                Name = parent.Name,
                SetChildTid = request.Has(CloneFlags.ChildSetTid) ? request.ChildTid : 0,
                ClearChildTid = request.Has(CloneFlags.ChildClearTid) ? request.ChildTid : 0,
                HasNoNewPrivileges = parent.HasNoNewPrivileges,
                TimerSlackNs = parent.TimerSlackNs,
                DefaultTimerSlackNs = parent.TimerSlackNs,
            };
            child.InheritSignals(parent, isThread || request.Has(CloneFlags.Memory) && !request.Has(CloneFlags.Vfork));
            if (request.Has(CloneFlags.PidFd))
            {
                Result<int> opened = PidFile.Install(parent, process, out pidFile);
                if (!opened.IsOk) return opened.Error;
                pidDescriptor = opened.Value;
                if (parent.Memory.Write(new UserAddress(request.PidFd), pidDescriptor) != Errno.None) return Errno.EFAULT;
            }
            if (request.Has(CloneFlags.ParentSetTid)) parent.Memory.Write(new UserAddress(request.ParentTid), pid.NumberIn(parent.Namespaces.Pid));
            Errno linked = Link(parent, child, request);
            if (linked != Errno.None) return linked;
            isDone = true;
            return child;
        }
        finally
        {
            if (!isDone)
            {
                if (pidDescriptor >= 0) parent.Files.Remove(pidDescriptor)?.Release();
                if (pid is not null) PidNamespace.Release(pid);
                fileSystem?.Release();
                files?.Release(parent);
                memory?.Release();
            }
        }
    }

    private static Process MakeProcess(Process creator, Pid pid, AddressSpace memory, in CloneRequest request)
    {
        var process = new Process(pid, memory, creator.Limits.Copy())
        {
            ExitSignal = request.ExitSignal, Dumpable = creator.Dumpable, Personality = creator.Personality, OomAdjustment = creator.OomAdjustment, HasNoHugePages = creator.HasNoHugePages, MemoryBarriers = creator.MemoryBarriers,
            Handlers = request.Has(CloneFlags.SignalHandlers) ? creator.Handlers
                : request.Has(CloneFlags.ClearSignalHandlers) ? creator.Handlers.CopyForExec() : creator.Handlers.Copy(),
        };
        if (request.Has(CloneFlags.SignalHandlers)) creator.Handlers.AddUser();
        return process;
    }

    // The child becomes visible: to signals for its group, to waits of its parent.
    private static Errno Link(Thread parent, Thread child, in CloneRequest request)
    {
        Process creator = parent.Process, process = child.Process;
        using SpinLock.Guard tree = ProcessTree.Lock.Lock();
        using SpinLock.Guard signals = creator.SignalLock.Lock();
        // A signal that came meanwhile may be for the whole group: it goes first, and the call is made again (as Linux does).
        if (parent.IsEnding || creator.IsExiting || creator.ExecutingThread is not null || parent.HasDeliverableSignals) return Errno.ERESTARTNOINTR;
        if (child.Pid.Namespace.IsDying) return Errno.ENOMEM;
        child.Pid.Thread = child;
        UserAccount.Of(child.Credentials.Uid).AddThread();
        process.Threads.Add(child);
        if (request.Has(CloneFlags.Thread))
        {
            process.AddLiveThread();
            return Errno.None;
        }
        child.Pid.Process = process;
        bool isSibling = request.Has(CloneFlags.Parent);
        Process father = isSibling ? creator.Parent ?? creator : creator;
        process.Parent = father;
        process.ParentThread = isSibling ? creator.ParentThread : parent;
        if (isSibling) process.ExitSignal = creator.ExitSignal;
        father.Children.Add(process);
        if (child.Pid.Namespace.Init is null)
        {
            child.Pid.Namespace.Init = process;
        }
        creator.Group.Add(process);
        child.Pid.Namespace.OnBorn();
        return Errno.None;
    }
}

/// <summary>What a new thread takes over.</summary>
internal sealed partial class Thread
{
    /// <summary>prctl(PR_SET_TIMERSLACK), in nanoseconds.</summary>
    public ulong TimerSlackNs { get; set; } = 50000;

    /// <summary>What PR_SET_TIMERSLACK 0 goes back to: the slack of the thread that made this one.</summary>
    public ulong DefaultTimerSlackNs { get; init; } = 50000;

    /// <summary>Whether it has a kernel task yet.</summary>
    internal bool IsStarted => System.Threading.Volatile.Read(ref _task) is not null;

    internal bool HasDeliverableSignals => HasDeliverable;

    // The alternate stack stays only where the child has a copy of the memory that it is in (man 2 sigaltstack).
    internal void InheritSignals(Thread parent, bool sharesMemory)
    {
        _blocked = parent._blocked;
        if (!sharesMemory) AlternateStack = parent.AlternateStack;
    }

    /// <summary>RLIMIT_NPROC: the real user's threads are counted; the superuser, and who may override limits, is exempt.</summary>
    internal bool MayFork
    {
        get
        {
            Credentials credentials = Credentials;
            if (credentials.Uid == 0 || credentials.Has(Capability.SysResource) || credentials.Has(Capability.SysAdmin)) return true;
            return (ulong)UserAccount.Of(credentials.Uid).Threads < Process.Limits.Soft(Resource.Processes);
        }
    }
}
