using System;
using System.Threading;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.User;
using Asterinas.Services.Signals;

namespace Asterinas.Services.Processes;

/// <summary>A thread's own part of signals: mask, its own pending ones, alternate stack, what to do about an interrupted system call.</summary>
internal sealed partial class Thread
{
    private static readonly WaitQueue s_nothingComes = new();

    // Under the process' signal lock.
    internal readonly PendingSignals OwnSignals = new();
    private SignalSet _blocked, _waitedFor, _savedMask;
    private bool _hasSavedMask;
    internal bool IsStopped;
    private byte[]? _stateBuffer;

    /// <summary>Where handlers with SA_ONSTACK run. Only the thread itself touches it.</summary>
    public AlternateStack AlternateStack = AlternateStack.None;

    /// <summary>The CPU exception that it caused last: frames show it.</summary>
    public UserException LastFault { get; private set; }

    /// <summary>How an interrupted system call goes on (ERESTART_RESTARTBLOCK): restart_syscall(2) calls it. A static lambda; what it needs is in <see cref="RestartState"/>.</summary>
    public Func<Thread, long>? RestartBlock { get; set; }

    /// <summary>Four numbers for <see cref="RestartBlock"/>.</summary>
    public readonly ulong[] RestartState = new ulong[4];

    /// <summary>Signals that it blocks. Only the thread itself changes it.</summary>
    public SignalSet Blocked => _blocked;

    /// <summary>Signals that wait for the thread or its process, blocked or not (sigpending(2), signalfd(2), /proc).</summary>
    public SignalSet Pending
    {
        get
        {
            using SpinLock.Guard guard = Process.SignalLock.Lock();
            return OwnSignals.Set | Process.SharedSignals.Set;
        }
    }

    internal bool IsBlocking(Signal signal) => _blocked.Contains(signal) || (_hasSavedMask && _savedMask.Contains(signal));
    internal SignalSet WaitedFor => _waitedFor;
    internal bool IsWaitingFor(Signal signal) => _waitedFor.Contains(signal);

    // Whether it would take a signal for its process. Under the signal lock.
    internal bool WantsSignal(Signal signal)
    {
        if (IsEnding) return false;
        if (signal == Signal.SIGKILL) return true;
        if (Process.IsStopping) return false;
        if (_waitedFor.Contains(signal)) return true;
        return !_blocked.Contains(signal);
    }

    /// <summary>Queues a signal for this thread.</summary>
    public Errno Send(in SignalInfo info, bool isFromAbove = false) => Process.Send(info, this, null, isFromAbove);

    /// <summary>Replaces the mask; SIGKILL and SIGSTOP stay unblocked. Called by the thread itself.</summary>
    public void SetMask(SignalSet mask)
    {
        using SpinLock.Guard guard = Process.SignalLock.Lock();
        SetMaskLocked(mask);
    }

    private void SetMaskLocked(SignalSet mask)
    {
        SignalSet old = _blocked;
        _blocked = mask & ~SignalSet.Unblockable;
        // Shared signals that it had been chosen for go to somebody else.
        SignalSet newly = _blocked & ~old & Process.SharedSignals.Set;
        if (!newly.IsEmpty) Process.Redistribute(this, newly);
        if (HasDeliverable) Notify(Work.Signal);
    }

    private bool HasDeliverable => !((OwnSignals.Set | Process.SharedSignals.Set) & ~_blocked).IsEmpty;

    /// <summary>
    /// A call with a mask of its own (ppoll(2), pselect(2), epoll_pwait(2), sigsuspend(2)) begins. The mask comes back by <see cref="EndTemporaryMask"/>, or when the call was
    /// interrupted after the handler's return.
    /// </summary>
    public void BeginTemporaryMask(SignalSet mask)
    {
        using SpinLock.Guard guard = Process.SignalLock.Lock();
        _savedMask = _blocked;
        _hasSavedMask = true;
        SetMaskLocked(mask);
    }

    /// <summary>The call with a mask of its own is over.</summary>
    /// <param name="isInterrupted">A signal ended it: it must be delivered under the temporary mask.</param>
    public void EndTemporaryMask(bool isInterrupted)
    {
        if (!_hasSavedMask) return;
        if (isInterrupted)
        {
            Notify(Work.RestoreMask);
            return;
        }
        RestoreSavedMask();
    }

    private void RestoreSavedMask()
    {
        using SpinLock.Guard guard = Process.SignalLock.Lock();
        if (!_hasSavedMask) return;
        _hasSavedMask = false;
        ClearWork(Work.RestoreMask);
        SetMaskLocked(_savedMask);
    }

    /// <summary>Takes a signal of a set without delivering it (signalfd(2)): its own first, then those of the process. False when none waits. Never blocks.</summary>
    public bool TryTake(SignalSet wanted, out SignalInfo info)
    {
        using SpinLock.Guard guard = Process.SignalLock.Lock();
        return OwnSignals.TryTake(wanted, out info) || Process.SharedSignals.TryTake(wanted, out info);
    }

    /// <summary>sigtimedwait(2): waits for a signal of a set. EAGAIN when the time is up, EINTR when another signal is to be handled.</summary>
    public Result<SignalInfo> WaitForSignal(SignalSet wanted, ulong timeoutNs)
    {
        wanted &= ~SignalSet.Unblockable;
        SignalInfo info;
        using (SpinLock.Guard guard = Process.SignalLock.Lock())
        {
            if (OwnSignals.TryTake(wanted, out info) || Process.SharedSignals.TryTake(wanted, out info)) return info;
            if (timeoutNs == 0) return Errno.EAGAIN;
            _waitedFor = wanted;
        }
        // Whatever comes for this thread interrupts it: one that it waits for, or another.
        WaitResult result = s_nothingComes.WaitInterruptible(this, static thread => thread.HasWork, timeoutNs);
        using (SpinLock.Guard guard = Process.SignalLock.Lock())
        {
            _waitedFor = default;
            bool isTaken = OwnSignals.TryTake(wanted, out info) || Process.SharedSignals.TryTake(wanted, out info);
            // More of them may have been meant for this thread: others that wait get them.
            SignalSet left = Process.SharedSignals.Set & wanted;
            if (!left.IsEmpty) Process.Redistribute(this, left);
            if (isTaken) return info;
        }
        return result == WaitResult.TimedOut ? Errno.EAGAIN : Errno.EINTR;
    }

    /// <summary>pause(2), sigsuspend(2): waits until a signal is to be delivered, or the end.</summary>
    public void WaitForAnySignal() => s_nothingComes.WaitInterruptible(this, static thread => thread.IsInterrupted);

    /// <summary>sigaltstack(2). EPERM while it is in use, EINVAL for unknown flags, ENOMEM when it is too small.</summary>
    /// <param name="wanted">What the program asks for.</param>
    /// <param name="stackPointer">The program's; <see cref="ulong.MaxValue"/> for the present one.</param>
    public Errno TrySetAlternateStack(AlternateStack wanted, ulong stackPointer)
    {
        if (AlternateStack.Contains(stackPointer == ulong.MaxValue ? Context.StackPointer : stackPointer)) return Errno.EPERM;
        uint mode = wanted.Flags & ~AlternateStack.AutoDisarm;
        if (mode is not (0 or AlternateStack.OnStack or AlternateStack.Disable)) return Errno.EINVAL;
        if (mode == AlternateStack.Disable)
        {
            AlternateStack = new AlternateStack(0, 0, wanted.Flags);
            return Errno.None;
        }
        if (wanted.Size < AlternateStack.MinimumBytes) return Errno.ENOMEM;
        AlternateStack = wanted;
        return Errno.None;
    }

    /// <summary>Room for an XSAVE image and a word behind it.</summary>
    internal Span<byte> StateBuffer => _stateBuffer ??= new byte[UserContext.ExtendedStateBytes + 8];

    /// <summary>
    /// A signal for what the thread itself did wrong: it cannot be ignored or blocked. When it is, it kills (man 2 sigaction, notes on SIGSEGV and others).
    /// </summary>
    public void SendFault(Signal signal, int code, ulong address)
    {
        using SpinLock.Guard guard = Process.SignalLock.Lock();
        SignalAction action = Process.Handlers[signal];
        if (_blocked.Contains(signal) || action.IsIgnore)
        {
            Process.Handlers[signal] = SignalAction.Default;
            _blocked &= ~SignalSet.Of(signal);
        }
        Process.SendLocked(new SignalInfo(signal, code) { Value = address }, this, null, true);
    }

    /// <summary>The frame of a handler cannot be written, or what came back cannot be read: SIGSEGV, and when that is the one, its handler is not tried again.</summary>
    internal void SendFrameFault(Signal signal)
    {
        if (signal == Signal.SIGSEGV)
        {
            using SpinLock.Guard guard = Process.SignalLock.Lock();
            Process.Handlers[signal] = SignalAction.Default;
        }
        SendFault(Signal.SIGSEGV, SignalInfo.Kernel, 0);
    }
}
