using System;
using Asterinas.Ostd.Sync;
using Asterinas.Services.Signals;

namespace Asterinas.Services.Processes;

/// <summary>Which children a wait is for.</summary>
internal enum WaitFor
{
    All = 0,
    Process = 1,
    Group = 2,
    PidFile = 3,
}

/// <summary>Options of wait4(2) and waitid(2).</summary>
[Flags]
internal enum WaitOptions : uint
{
    NoHang = 1,
    Stopped = 2,
    Exited = 4,
    Continued = 8,
    NoWait = 0x01000000,
    NoThread = 0x20000000,
    AllKinds = 0x40000000,
    Clone = 0x80000000,
}

/// <summary>What a wait found.</summary>
/// <param name="Number">The child's number as the caller sees it; 0: nothing yet, with WNOHANG.</param>
/// <param name="Event">What happened.</param>
/// <param name="Status">As wait4 reports it.</param>
/// <param name="Uid">The child's real user.</param>
/// <param name="Usage">What it used.</param>
internal readonly record struct WaitOutcome(int Number, ChildEvent Event, int Status, uint Uid, ResourceCounts Usage);

/// <summary>Waits of a parent for its children (man 2 wait).</summary>
internal sealed class ChildWait(Thread thread, WaitFor kind, object? subject, WaitOptions options)
{
    private WaitOutcome _found;
    private bool _isFound, _hasCandidates;

    /// <summary>Waits. ECHILD when there is no such child, ERESTARTSYS when interrupted. May block.</summary>
    public Result<WaitOutcome> Run()
    {
        if (Look()) return Answer();
        if ((options & WaitOptions.NoHang) != 0) return new WaitOutcome(0, default, 0, 0, default);
        WaitResult result = thread.Process.ChildQueue.WaitInterruptible(this, static wait => wait.Look());
        return result == WaitResult.Woken ? Answer() : Errno.ERESTARTSYS;
    }

    private Result<WaitOutcome> Answer() => _isFound ? _found : Errno.ECHILD;

    // True when the wait is over: something was found, or nothing can come.
    private bool Look()
    {
        using SpinLock.Guard tree = ProcessTree.Lock.Lock();
        _hasCandidates = false;
        Process parent = thread.Process;
        for (int i = 0; i < parent.Children.Count; i++)
        {
            Process child = parent.Children[i];
            // One that has ended has nothing more to tell but its end.
            if (!IsEligible(child) || (child.IsZombie && (options & WaitOptions.Exited) == 0)) continue;
            _hasCandidates = true;
            if (TryTake(child))
            {
                _isFound = true;
                return true;
            }
        }
        return !_hasCandidates;
    }

    private bool IsEligible(Process child)
    {
        switch (kind)
        {
            case WaitFor.Process when !ReferenceEquals(child, subject): return false;
            case WaitFor.PidFile when !ReferenceEquals(child, subject): return false;
            case WaitFor.Group when !ReferenceEquals(child.Group, subject): return false;
        }
        if ((options & WaitOptions.NoThread) != 0 && !ReferenceEquals(child.ParentThread, thread)) return false;
        bool isClone = child.ExitSignal != (int)Signal.SIGCHLD;
        return (options & WaitOptions.AllKinds) != 0 || isClone == ((options & WaitOptions.Clone) != 0);
    }

    private bool TryTake(Process child)
    {
        bool isKept = (options & WaitOptions.NoWait) != 0;
        if (child.IsZombie)
        {
            Found(child, child.ExitEvent, child.ExitStatus);
            if (!isKept) child.Reap(isWaitedFor: true);
            return true;
        }
        using SpinLock.Guard signals = child.SignalLock.Lock();
        if ((options & WaitOptions.Stopped) != 0 && child.IsStopUnreported && child.IsStopped)
        {
            if (!isKept) child.IsStopUnreported = false;
            FoundRunning(child, ChildEvent.Stopped, child.StopSignal << 8 | 0x7F);
            return true;
        }
        if ((options & WaitOptions.Continued) != 0 && child.IsContinueUnreported)
        {
            if (!isKept) child.IsContinueUnreported = false;
            FoundRunning(child, ChildEvent.Continued, 0xFFFF);
            return true;
        }
        return false;
    }

    private void Found(Process child, ChildEvent what, int status)
    {
        ResourceCounts usage = child.Usage;
        usage.Add(child.ChildUsage.Counts);
        _found = new WaitOutcome(child.NumberFor(thread), what, status, child.ExitUid, usage);
    }

    // Under the child's signal lock, which its usage would take.
    private void FoundRunning(Process child, ChildEvent what, int status) =>
        _found = new WaitOutcome(child.NumberFor(thread), what, status, child.Threads.Count == 0 ? child.ExitUid : child.Threads[0].Credentials.Uid, default);
}
