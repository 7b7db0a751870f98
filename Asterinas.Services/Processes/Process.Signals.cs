using System.Threading;
using Asterinas.Ostd.Sync;
using Asterinas.Services.Signals;

namespace Asterinas.Services.Processes;

/// <summary>
/// Signals to the process as a whole, and its stops.
/// <code>
///             a thread takes SIGSTOP, SIGTSTP, …                   its last thread has stopped
///   Running ───────────────────────────────────────► Stopping ──────────────────────────────► Stopped     (the parent is told: CLD_STOPPED)
///      ▲                                                 │                                       │
///      └────────────────SIGCONT, SIGKILL─────────────────┴───────────────────────────────────────┘        (the parent is told: CLD_CONTINUED)
/// </code>
/// LOCK ORDER: the process tree, then this signal lock. Threads may be walked under either.
/// </summary>
internal sealed partial class Process
{
    private enum JobState
    {
        Running,
        Stopping,
        Stopped,
    }

    private static readonly SignalSet s_continue = SignalSet.Of(Signal.SIGCONT);

    /// <summary>Guards everything here, the pending signals and the masks of its threads.</summary>
    public readonly SpinLock SignalLock = new("signals");

    /// <summary>What it does with signals. Replaced by exec when it was shared.</summary>
    public SignalHandlers Handlers
    {
        get => Volatile.Read(ref _handlers);
        set => Volatile.Write(ref _handlers, value);
    }
    private SignalHandlers _handlers = new();

    // Under SignalLock.
    internal readonly PendingSignals SharedSignals = new();
    private readonly WaitQueue _jobQueue = new();
    private JobState _job;
    private int _stoppedThreads;
    private bool _mustTellContinued;
    internal int StopSignal;
    // What a wait of the parent has not seen yet (WUNTRACED, WCONTINUED).
    internal bool IsStopUnreported, IsContinueUnreported;

    /// <summary>Whether all its threads have stopped.</summary>
    public bool IsStopped => _job == JobState.Stopped;

    /// <summary>Whether its threads have stopped, or are about to: until it continues it takes no signal but SIGKILL.</summary>
    internal bool IsStopping => _job != JobState.Running;

    /// <summary>Tells observers (signalfd) that a signal waits for the process or one of its threads. Notified with the signal lock held.</summary>
    public readonly Vfs.Pollee SignalPollee = new();

    /// <summary>Queues a signal for the process: one of its threads that does not block it takes it (man 7 signal). A process that has ended takes none.</summary>
    public void Send(in SignalInfo info) => Send(info, null, null, false);

    /// <summary>
    /// Queues a signal. EAGAIN when a real-time signal finds too many queued. May be called with the tree's lock held, by a timer, from any task; never blocks.
    /// </summary>
    /// <param name="info">What comes with it.</param>
    /// <param name="target">The thread it is for; null for the process.</param>
    /// <param name="source">Who wants to know when it is taken; null for nobody.</param>
    /// <param name="isFromAbove">It comes from the kernel or from a pid namespace above: then it kills and stops a namespace's init too.</param>
    public Errno Send(in SignalInfo info, Thread? target, ISignalSource? source, bool isFromAbove)
    {
        using SpinLock.Guard guard = SignalLock.Lock();
        return SendLocked(info, target, source, isFromAbove);
    }

    internal Errno SendLocked(in SignalInfo info, Thread? target, ISignalSource? source, bool isFromAbove)
    {
        Signal signal = info.Signal;
        if (IsExiting) return Errno.None;
        Thread? main = target ?? (Threads.Count == 0 ? null : Threads[0]);
        if (main is null) return Errno.None;
        if (DefaultAction.Stops(signal)) RemoveEverywhere(s_continue);
        else if (signal == Signal.SIGCONT) Continue();
        if (IsIgnored(signal, main, isFromAbove)) return Errno.None;
        UserAccount account = UserAccount.Of(main.Credentials.Uid);
        PendingSignals queue = target is null ? SharedSignals : target.OwnSignals;
        Errno error = queue.Add(info, account, Limits.Soft(Resource.PendingSignals), source);
        if (error != Errno.None) return error;
        SignalPollee.Notify(Vfs.PollEvents.In | Vfs.PollEvents.ReadNormal);
        Thread? taker = target is null ? ChooseTaker(signal) : target.WantsSignal(signal) ? target : null;
        if (taker is null)
        {
            WakeSignalWaiters(signal);
            return Errno.None;
        }
        // What certainly ends the process ends it now: all its threads at once.
        if (signal == Signal.SIGKILL || (DefaultAction.Kills(signal) && Handlers[signal].IsDefault && !taker.IsBlocking(signal) && !taker.IsWaitingFor(signal)))
        {
            StartExitLocked((int)signal);
            return Errno.None;
        }
        taker.Notify(Thread.Work.Signal);
        return Errno.None;
    }

    // A signal that the thread would not notice: it is not even queued. A blocked one is, because its action may change until it is unblocked.
    private bool IsIgnored(Signal signal, Thread thread, bool isFromAbove)
    {
        if (thread.IsBlocking(signal) || thread.IsWaitingFor(signal)) return false;
        SignalAction action = Handlers[signal];
        if (signal == Signal.SIGKILL || signal == Signal.SIGSTOP) return IsNamespaceInit && !isFromAbove;
        if (action.IsIgnore || (action.IsDefault && DefaultAction.Ignores(signal))) return true;
        return action.IsDefault && IsNamespaceInit && !isFromAbove;
    }

    private Thread? ChooseTaker(Signal signal)
    {
        // One that has nothing to do yet, if there is one.
        Thread? taker = null;
        foreach (Thread thread in Threads)
        {
            if (!thread.WantsSignal(signal)) continue;
            if (!thread.IsInterrupted) return thread;
            taker ??= thread;
        }
        return taker;
    }

    // sigtimedwait(2) waits for signals that are blocked.
    private void WakeSignalWaiters(Signal signal)
    {
        foreach (Thread thread in Threads)
        {
            if (thread.IsWaitingFor(signal)) thread.Notify(Thread.Work.Signal);
        }
    }

    private void RemoveEverywhere(SignalSet signals)
    {
        SharedSignals.Remove(signals);
        foreach (Thread thread in Threads) thread.OwnSignals.Remove(signals);
    }

    /// <summary>Signals that became ignored are forgotten (sigaction(2)). Under SignalLock.</summary>
    internal void ForgetIgnored(Signal signal)
    {
        SignalAction action = Handlers[signal];
        if (action.IsIgnore || (action.IsDefault && DefaultAction.Ignores(signal))) RemoveEverywhere(SignalSet.Of(signal));
    }

    // ---- stops. Under SignalLock.

    private void Continue()
    {
        RemoveEverywhere(DefaultAction.Stopping);
        EndStop(true);
    }

    private void EndStop(bool mustTell)
    {
        IsStopUnreported = false;
        if (_job == JobState.Running) return;
        if (mustTell && _job == JobState.Stopped)
        {
            _mustTellContinued = true;
            IsContinueUnreported = true;
        }
        _job = JobState.Running;
        foreach (Thread thread in Threads) thread.Notify(Thread.Work.Stop);
        _jobQueue.WakeAll();
    }

    /// <summary>A thread takes a stop signal: all are to stop.</summary>
    internal void StartStop(Signal signal)
    {
        if (_job != JobState.Running || IsExiting) return;
        _job = JobState.Stopping;
        StopSignal = (int)signal;
        IsContinueUnreported = false;
        _stoppedThreads = 0;
        foreach (Thread thread in Threads) thread.Notify(Thread.Work.Stop);
    }

    /// <summary>A thread that was told so stops until the process continues or ends. Called by the thread itself, without locks.</summary>
    internal void StopHere(Thread thread)
    {
        bool mustTellStop, mustTellContinued;
        using (SpinLock.Guard guard = SignalLock.Lock())
        {
            thread.ClearWork(Thread.Work.Stop);
            mustTellContinued = _mustTellContinued;
            _mustTellContinued = false;
            if (_job == JobState.Running || IsExiting)
            {
                mustTellStop = false;
            }
            else
            {
                thread.IsStopped = true;
                _stoppedThreads++;
                mustTellStop = CheckStopComplete();
            }
        }
        if (mustTellContinued) TellParent(ChildEvent.Continued, (int)Signal.SIGCONT);
        if (!thread.IsStopped) return;
        if (mustTellStop) TellParent(ChildEvent.Stopped, StopSignal);
        _jobQueue.WaitKillable(this, static process => process._job == JobState.Running || process.IsExiting);
        using (SpinLock.Guard guard = SignalLock.Lock()) thread.IsStopped = false;
    }

    // True when the last one has stopped.
    private bool CheckStopComplete()
    {
        if (_job != JobState.Stopping || _stoppedThreads < Threads.Count) return false;
        _job = JobState.Stopped;
        IsStopUnreported = true;
        return true;
    }

    /// <summary>A thread that has not stopped leaves the process. True when the others have all stopped: then the parent is to be told.</summary>
    internal bool OnThreadGone() => Threads.Count > 0 && CheckStopComplete();
}
