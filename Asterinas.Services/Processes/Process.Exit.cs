using System.Collections.Generic;
using System.Threading;
using Asterinas.Ostd.Sync;
using Asterinas.Services.Signals;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.Processes;

/// <summary>What a parent hears about a child (man 2 sigaction, CLD_*).</summary>
internal enum ChildEvent
{
    Exited = 1,
    Killed = 2,
    Dumped = 3,
    Stopped = 5,
    Continued = 6,
}

/// <summary>The end of a process: exit, zombies, orphans, and what the parent hears.</summary>
internal sealed partial class Process
{
    private readonly WaitQueue _threadQueue = new();
    private int _isExiting, _exitStatus, _liveThreads = 1;
    private int _isZombie;
    internal Thread? ExecutingThread;       // under the signal lock: all others are to end

    /// <summary>Whether exit_group(2), or a signal that kills, has begun to end all threads.</summary>
    public bool IsExiting => Volatile.Read(ref _isExiting) != 0;

    /// <summary>Whether all threads are gone and the parent has not waited yet.</summary>
    public bool IsZombie => Volatile.Read(ref _isZombie) != 0;

    /// <summary>As wait(2) reports it.</summary>
    public int ExitStatus => Volatile.Read(ref _exitStatus);

    /// <summary>Ends all threads. The first call decides the status.</summary>
    /// <param name="status">As wait(2) reports it: a code in the second byte, or a signal in the first.</param>
    public void StartExit(int status)
    {
        using SpinLock.Guard guard = SignalLock.Lock();
        StartExitLocked(status);
    }

    internal void StartExitLocked(int status)
    {
        if (IsExiting) return;
        Volatile.Write(ref _exitStatus, status);
        Volatile.Write(ref _isExiting, 1);
        foreach (Thread thread in Threads) thread.End();
        EndStop(false);
    }

    /// <summary>exit(2) of one thread: the status is the process' when it is the last one (since Linux 5.19; before, the first thread's counted).</summary>
    internal void OnThreadExit(Thread thread, int status)
    {
        using SpinLock.Guard guard = SignalLock.Lock();
        thread.End();
        if (IsExiting) return;
        foreach (Thread other in Threads)
        {
            if (!other.IsEnding) return;
        }
        Volatile.Write(ref _exitStatus, status);
    }

    internal void AddLiveThread() => Interlocked.Increment(ref _liveThreads);

    /// <summary>A thread begins to end. True for the last one: the process ends with it.</summary>
    internal bool RemoveLiveThread() => Interlocked.Decrement(ref _liveThreads) == 0;

    /// <summary>A thread has given back everything: it leaves the process. The last one makes the process a zombie.</summary>
    internal void RemoveThread(Thread thread)
    {
        bool mustTellStop = false, isZombie = false;
        UserAccount.Of(thread.Credentials.Uid).RemoveThread();
        using (SpinLock.Guard tree = ProcessTree.Lock.Lock())
        {
            using (SpinLock.Guard signals = SignalLock.Lock())
            {
                Threads.Remove(thread);
                _lastCredentials = thread.Credentials;
                thread.OwnSignals.Remove(~default(SignalSet));
                AddEnded(thread);
                if (Threads.Count != 0) mustTellStop = OnThreadGone();
            }
            thread.Pid.Thread = null;
            if (!ReferenceEquals(thread.Pid, Pid)) PidNamespace.Release(thread.Pid);
            ReparentChildrenOf(thread);
            if (Threads.Count == 0)
            {
                isZombie = true;
                BecomeZombie();
            }
        }
        if (mustTellStop) TellParent(ChildEvent.Stopped, StopSignal);
        if (isZombie) ExitPollee.Notify(PollEvents.In | PollEvents.ReadNormal);
        _threadQueue.WakeAll();
    }

    /// <summary>
    /// exec(2) from a thread of many: ends all others and waits until they are gone. EAGAIN when the process ends anyway, or another thread was faster.
    /// </summary>
    internal Errno BecomeSingleThreaded(Thread survivor)
    {
        using (SpinLock.Guard guard = SignalLock.Lock())
        {
            if (IsExiting || ExecutingThread is not null || survivor.IsEnding) return Errno.EAGAIN;
            ExecutingThread = survivor;
            foreach (Thread thread in Threads)
            {
                if (!ReferenceEquals(thread, survivor)) thread.End();
            }
        }
        WaitResult result = _threadQueue.WaitKillable(this, static process => process.Threads.Count == 1);
        if (result != WaitResult.Woken) return Errno.EINTR;
        if (!ReferenceEquals(survivor.Pid, Pid))
        {
            // The survivor takes the first thread's number over.
            using SpinLock.Guard tree = ProcessTree.Lock.Lock();
            Pid own = survivor.Pid;
            own.Thread = null;
            PidNamespace.Release(own);
            survivor.Pid = Pid;
            Pid.Thread = survivor;
        }
        return Errno.None;
    }

    internal void EndExecution()
    {
        using SpinLock.Guard guard = SignalLock.Lock();
        ExecutingThread = null;
    }

    // ---- under the tree lock

    // The thread's children become those of another thread of the process, or of somebody above.
    private void ReparentChildrenOf(Thread thread)
    {
        foreach (Process child in Children)
        {
            if (!ReferenceEquals(child.ParentThread, thread)) continue;
            child.ParentThread = Threads.Count == 0 ? null : Threads[0];
            child.SendParentDeathSignal(this);
        }
    }

    private void SendParentDeathSignal(Process parent)
    {
        foreach (Thread thread in Threads)
        {
            if (thread.ParentDeathSignal == 0) continue;
            Send(new SignalInfo((Signal)thread.ParentDeathSignal, SignalInfo.User) { Pid = parent.Pid.NumberIn(Pid.Namespace) }, null, null, false);
        }
    }

    private void BecomeZombie()
    {
        Process heir = FindHeir();
        Process[] orphans = [.. Children];
        Children.Clear();
        foreach (Process orphan in orphans)
        {
            orphan.Parent = heir;
            orphan.ParentThread = null;
            heir.Children.Add(orphan);
            if (orphan.ExitSignal != 0) orphan.ExitSignal = (int)Signal.SIGCHLD;
            if (orphan.IsZombie) NotifyOfZombie(orphan);
            else orphan.Group.HangUpIfOrphaned(orphan, this);
        }
        Group.HangUpIfOrphaned(this, null);
        Volatile.Write(ref _isZombie, 1);
        NotifyOfZombie(this);
    }

    private static void NotifyOfZombie(Process zombie)
    {
        Process parent = zombie.Parent!;
        bool isReaped = false;
        if (zombie.ExitSignal != 0)
        {
            SignalAction action = parent.Handlers[(Signal)zombie.ExitSignal];
            // man 2 sigaction: who ignores SIGCHLD, or sets SA_NOCLDWAIT, gets no zombies.
            bool isChildSignal = zombie.ExitSignal == (int)Signal.SIGCHLD;
            isReaped = isChildSignal && (action.IsIgnore || (action.Flags & SignalActionFlags.NoChildWait) != 0);
            if (!(isChildSignal && action.IsIgnore)) parent.Send(zombie.ChildInfo(zombie.ExitEvent, zombie.ExitStatus & 0x7F) with { Signal = (Signal)zombie.ExitSignal });
        }
        if (parent.IsZombie || parent.Pid.Namespace.IsDying) isReaped = true;
        // man 2 getrusage: nobody has waited for it, so it does not count.
        if (isReaped) zombie.Reap(isWaitedFor: false);
        parent.ChildQueue.WakeAll();
    }

    internal ChildEvent ExitEvent => (ExitStatus & 0x7F) == 0 ? ChildEvent.Exited : (ExitStatus & 0x80) != 0 ? ChildEvent.Dumped : ChildEvent.Killed;

    // siginfo of SIGCHLD as the parent sees it.
    private SignalInfo ChildInfo(ChildEvent what, int signal)
    {
        Process parent = Parent!;
        int status = what == ChildEvent.Exited ? ExitStatus >> 8 & 0xFF : signal;
        CpuTimes times = Times;
        return new SignalInfo(Signal.SIGCHLD, (int)what)
        {
            Pid = Pid.NumberIn(parent.Pid.Namespace), Uid = ExitUid, Value = (ulong)status, UserTime = (long)(times.UserNs / 10000000), SystemTime = (long)(times.SystemNs / 10000000),
        };
    }

    /// <summary>The real user, kept for after the last thread.</summary>
    public uint ExitUid;

    // Who takes the children: a subreaper above, else the namespace's init (man 2 prctl).
    private Process FindHeir()
    {
        for (Process? at = Parent; at is not null && ReferenceEquals(at.Pid.Namespace, Pid.Namespace); at = at.Parent)
        {
            if (at.IsSubreaper && !at.IsZombie) return at;
        }
        Process init = Pid.Namespace.Init!;
        return ReferenceEquals(init, this) ? Parent ?? this : init;
    }

    /// <summary>The parent has waited, or does not care: nothing is left.</summary>
    internal void Reap(bool isWaitedFor)
    {
        Process parent = Parent!;
        parent.Children.Remove(this);
        if (isWaitedFor) parent.ChildUsage.Add(this);
        Group.Remove(this);
        Pid.Process = null;
        PidNamespace.Release(Pid);
        Pid.Namespace.OnReaped();
        IsReaped = true;
    }

    /// <summary>Whether its number is free again: a pidfd names nobody any more. Under the tree lock.</summary>
    public bool IsReaped { get; private set; }

    /// <summary>Whether nobody outside could continue its group from the same session (man 7 credentials).</summary>
    internal bool IsGroupOrphaned()
    {
        using SpinLock.Guard tree = ProcessTree.Lock.Lock();
        return Group.IsOrphaned(null, null);
    }

    /// <summary>Tells the parent that the process has stopped or continued, and wakes those who wait for that.</summary>
    private void TellParent(ChildEvent what, int signal)
    {
        using SpinLock.Guard tree = ProcessTree.Lock.Lock();
        if (Parent is not { } parent) return;
        SignalAction action = parent.Handlers[Signal.SIGCHLD];
        if (!action.IsIgnore && (action.Flags & SignalActionFlags.NoChildStop) == 0) parent.Send(ChildInfo(what, signal));
        parent.ChildQueue.WakeAll();
    }

    /// <summary>Threads that would take a signal instead of one that does not any more. Under the signal lock.</summary>
    internal void Redistribute(Thread former, SignalSet signals)
    {
        foreach (Thread thread in Threads)
        {
            if (ReferenceEquals(thread, former) || thread.IsEnding) continue;
            if (!(signals & (~thread.Blocked | thread.WaitedFor)).IsEmpty) thread.Notify(Thread.Work.Signal);
        }
    }
}
