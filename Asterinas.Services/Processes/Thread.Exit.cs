using System;
using System.Threading;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Sync;
using Asterinas.Services.Memory;
using Asterinas.Services.Signals;

namespace Asterinas.Services.Processes;

/// <summary>The beginning and the end of a thread.</summary>
internal sealed partial class Thread
{
    // Longest robust list that is walked (ROBUST_LIST_LIMIT).
    private const int RobustListLimit = 2048;
    private const uint OwnerDied = 0x40000000, Waiters = 0x80000000, TidMask = 0x3FFFFFFF;

    /// <summary>set_robust_list(2): the head of the list of robust futexes that the thread holds.</summary>
    public ulong RobustList { get; set; }

    /// <summary>CLONE_CHILD_SETTID: where the thread writes its own id first thing; 0 for nowhere.</summary>
    internal ulong SetChildTid;

    /// <summary>prctl(PR_SET_PDEATHSIG): what it gets when the thread that made its process ends; 0 for nothing.</summary>
    public int ParentDeathSignal;

    /// <summary>prctl(PR_SET_NO_NEW_PRIVS): exec gives no rights any more.</summary>
    public bool HasNoNewPrivileges;

    /// <summary>The number of the thread as its own pid namespace has it.</summary>
    public int Tid => Pid.NumberIn(Namespaces.Pid);

    private void OnStart()
    {
        if (SetChildTid != 0) Memory.Write(new UserAddress(SetChildTid), Tid);
    }

    // The order is Linux': user memory first, then what is shared, then the parent hears of it.
    private void OnEnd()
    {
        try
        {
            bool isLast = Process.RemoveLiveThread();
            LeaveMemory(Memory);
            if (isLast)
            {
                if (Process.IsNamespaceInit) Process.EndNamespace();
                Process.ExitUid = Credentials.Uid;
                Process.LeaveSession();
                ProcessHooks.OnExit(Process);
                Process.ReleaseMemory();
            }
            Files.Release(this);
            FileSystem.Release();
            if (isLast) Process.Handlers.Release();
        }
        catch (Exception defect)
        {
            Log.Error($"defect at the end of thread {Pid.Number}: {defect}");
        }
        Process.RemoveThread(this);
        Clone.OnThreadGone();
    }

    /// <summary>The thread never ran, because there was no memory for its kernel stack: it goes as if it had ended, and nobody hears of it.</summary>
    internal void Abandon()
    {
        if (Process.RemoveLiveThread())
        {
            Process.ExitSignal = 0;
            Process.CompleteVfork();
            Process.Memory.Release();
            Process.Handlers.Release();
        }
        Files.Release(this);
        FileSystem.Release();
        Process.RemoveThread(this);
        Clone.OnThreadGone();
        if (Process.Threads.Count != 0) return;
        using SpinLock.Guard tree = ProcessTree.Lock.Lock();
        if (Process.IsZombie && !Process.IsReaped) Process.Reap(isWaitedFor: false);
    }

    /// <summary>What the program asked to be done to its memory when the thread leaves it: by exit or by exec.</summary>
    internal void LeaveMemory(AddressSpace memory)
    {
        if (RobustList != 0) WalkRobustList(memory);
        RobustList = 0;
        ulong address = ClearChildTid;
        ClearChildTid = 0;
        if (address == 0 || !memory.IsShared && !(Process.Threads.Count > 1)) return;
        if (memory.Write(new UserAddress(address), 0) == Errno.None) ProcessHooks.WakeFutex(memory, address, 1);
    }

    // man 2 get_robust_list: each futex of the list that the thread still holds is marked, and one waiter gets it.
    private void WalkRobustList(AddressSpace memory)
    {
        ulong head = RobustList;
        if (memory.Read(new UserAddress(head), out ulong entry) != Errno.None) return;
        if (memory.Read(new UserAddress(head + 8), out long offset) != Errno.None) return;
        if (memory.Read(new UserAddress(head + 16), out ulong pending) != Errno.None) return;
        const ulong PriorityInheritance = 1;
        for (int count = 0; (entry & ~PriorityInheritance) != head && count < RobustListLimit; count++)
        {
            bool hasNext = memory.Read(new UserAddress(entry & ~PriorityInheritance), out ulong next) == Errno.None;
            if ((entry & ~PriorityInheritance) != (pending & ~PriorityInheritance)) ReleaseRobust(memory, unchecked((entry & ~PriorityInheritance) + (ulong)offset), false);
            if (!hasNext) return;
            entry = next;
        }
        if ((pending & ~PriorityInheritance) != 0) ReleaseRobust(memory, unchecked((pending & ~PriorityInheritance) + (ulong)offset), true);
    }

    private void ReleaseRobust(AddressSpace memory, ulong futex, bool isPending)
    {
        if ((futex & 3) != 0) return;
        while (true)
        {
            if (memory.Read(new UserAddress(futex), out uint value) != Errno.None) return;
            // An unlock that was cut off between the store and the wake: others may wait though nobody holds it.
            if (isPending && value == 0) ProcessHooks.WakeFutex(memory, futex, 1);
            if ((value & TidMask) != (uint)Tid) return;
            uint wanted = (value & Waiters) | OwnerDied;
            if (!memory.Space.CompareExchange32(new UserAddress(futex), value, wanted, out uint found))
            {
                if (!memory.TryFaultIn(futex, Access.Write)) return;
                continue;
            }
            if (found != value) continue;
            if ((value & Waiters) != 0) ProcessHooks.WakeFutex(memory, futex, 1);
            return;
        }
    }

    /// <summary>exit(2): this thread ends.</summary>
    public void Exit(int status) => Process.OnThreadExit(this, (status & 0xFF) << 8);

    /// <summary>exit_group(2): all threads end.</summary>
    public void ExitGroup(int status) => Process.StartExit((status & 0xFF) << 8);
}

/// <summary>The parts of a process' end that concern all threads.</summary>
internal sealed partial class Process
{
    // The last thread is in kernel memory only from here on.
    internal void ReleaseMemory()
    {
        NotePeak();
        VmSpace.Deactivate();
        Memory.Release();
        CompleteVfork();
    }

    // The session's leader ends: its terminal is cut off, and those in the foreground hear of it.
    internal void LeaveSession()
    {
        Session session = Session;
        if (!ReferenceEquals(session.Leader, this)) return;
        Devices.Tty.Terminal.OnLeaderExit(session);
        using SpinLock.Guard tree = ProcessTree.Lock.Lock();
        session.Leader = null;
    }

    // The init of a pid namespace ends: everybody in it ends with it (man 7 pid_namespaces). The first namespace's init ends the system.
    internal void EndNamespace()
    {
        PidNamespace space = Pid.Namespace;
        if (space.Parent is null)
        {
            LinuxKernel.OnInitExit(ExitStatus);
            return;
        }
        space.IsDying = true;
        using (SpinLock.Guard tree = ProcessTree.Lock.Lock())
        {
            foreach (Process process in space.Processes())
            {
                if (ReferenceEquals(process, this)) continue;
                process.Kill(Signal.SIGKILL);
                if (process.IsZombie) process.Reap(isWaitedFor: false);
            }
        }
        space.WaitUntilAlone();
    }
}
