using System;
using System.Threading;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.User;
using Asterinas.Services.Memory;
using Asterinas.Services.Signals;

namespace Asterinas.Services.Processes;

/// <summary>
/// What a thread does on its way back to user mode: signals, stops, restarts of interrupted calls, the end.
/// INVARIANT: a bit of <see cref="_work"/> is set after what it stands for, and cleared under the signal lock before that is looked at: nothing is missed.
/// </summary>
internal sealed partial class Thread
{
    /// <summary>Why a thread must not go back to user mode at once.</summary>
    [Flags]
    internal enum Work
    {
        None = 0,
        /// <summary>A signal may be deliverable.</summary>
        Signal = 1,
        /// <summary>The process stops, or has continued.</summary>
        Stop = 2,
        /// <summary>It ends.</summary>
        End = 4,
        /// <summary>The mask of before sigsuspend and its kin comes back.</summary>
        RestoreMask = 8,
        /// <summary>The system call answered that it is to be restarted.</summary>
        Restart = 16,
    }

    private int _work;

    /// <summary>Whether the thread leaves user mode for good.</summary>
    public bool IsEnding => (Volatile.Read(ref _work) & (int)Work.End) != 0;

    /// <summary>Whether something waits for the thread on its way back to user mode. Looked at after every return from it: must be cheap.</summary>
    internal bool HasWork => Volatile.Read(ref _work) != 0;

    /// <summary>Whether a signal or the end interrupts what the thread does: for long operations.</summary>
    public bool IsInterrupted => (Volatile.Read(ref _work) & (int)(Work.Signal | Work.End | Work.Stop)) != 0;

    /// <summary>Gives the thread something to do before it goes back to user mode, and brings it there soon. Never blocks.</summary>
    internal void Notify(Work work)
    {
        Interlocked.Or(ref _work, (int)work);
        if (Volatile.Read(ref _task) is not { } task || (work & (Work.Signal | Work.Stop | Work.End)) == 0) return;
        if ((work & Work.End) != 0) task.Kill(); else task.Interrupt();
    }

    internal void ClearWork(Work work) => Interlocked.And(ref _work, ~(int)work);

    /// <summary>Makes the thread leave user mode for good at its next return.</summary>
    public void End() => Notify(Work.End);

    private void DoWork()
    {
        while (!IsEnding)
        {
            if ((Volatile.Read(ref _work) & (int)Work.Stop) != 0)
            {
                Process.StopHere(this);
                continue;
            }
            if (TryTakeDeliverable(out SignalInfo info))
            {
                if (Deliver(info)) return;
                continue;
            }
            if ((Volatile.Read(ref _work) & (int)(Work.Stop | Work.End)) != 0) continue;
            RestartWithoutHandler();
            if ((Volatile.Read(ref _work) & (int)Work.RestoreMask) != 0)
            {
                RestoreSavedMask();
                continue;
            }
            return;
        }
    }

    // Takes the next signal. When there is none, the wish for signals is forgotten, and the next wait is not interrupted for it.
    private bool TryTakeDeliverable(out SignalInfo info)
    {
        using SpinLock.Guard guard = Process.SignalLock.Lock();
        SignalSet wanted = ~_blocked;
        if (OwnSignals.TryTake(wanted, out info) || Process.SharedSignals.TryTake(wanted, out info)) return true;
        ClearWork(Work.Signal);
        if ((Volatile.Read(ref _work) & (int)(Work.Stop | Work.End)) == 0) _task!.ClearInterrupt();
        return false;
    }

    // Returns whether the thread goes on in a handler.
    private bool Deliver(in SignalInfo info)
    {
        Signal signal = info.Signal;
        SignalAction action = Process.Handlers[signal];
        if (action.IsHandler) return CallHandler(info, action);
        if (action.IsIgnore || DefaultAction.Ignores(signal)) return false;
        if (DefaultAction.Stops(signal))
        {
            // A stop from the terminal does not reach those whom nobody could continue.
            if (signal != Signal.SIGSTOP && Process.IsGroupOrphaned()) return false;
            using SpinLock.Guard guard = Process.SignalLock.Lock();
            Process.StartStop(signal);
            return false;
        }
        Process.StartExit((int)signal);
        return false;
    }

    private bool CallHandler(in SignalInfo info, SignalAction action)
    {
        PrepareRestart(action);
        SignalSet mask = _hasSavedMask ? _savedMask : _blocked;
        if (!SignalFrame.TryPush(this, info, action, mask))
        {
            SendFrameFault(info.Signal);
            return false;
        }
        using SpinLock.Guard guard = Process.SignalLock.Lock();
        if ((action.Flags & SignalActionFlags.ResetHandler) != 0) Process.Handlers[info.Signal] = SignalAction.Default;
        if (_hasSavedMask)
        {
            _hasSavedMask = false;
            ClearWork(Work.RestoreMask);
        }
        SignalSet blocked = _blocked | action.Mask;
        if ((action.Flags & SignalActionFlags.NoDefer) == 0) blocked |= SignalSet.Of(info.Signal);
        SetMaskLocked(blocked);
        // Others that are not blocked get their frames on top of this one, as on Linux.
        return !HasDeliverable;
    }

    // ---- restarts: what the interrupted system call answered decides (man 7 signal)

    private bool IsRestartPending => SyscallNumber >= 0 && (Volatile.Read(ref _work) & (int)Work.Restart) != 0;

    private void PrepareRestart(SignalAction action)
    {
        if (!IsRestartPending) return;
        ClearWork(Work.Restart);
        switch ((Errno)(-Context.SyscallResult))
        {
            case Errno.ERESTARTNOINTR:
                RestartCall(SyscallNumber);
                break;
            case Errno.ERESTARTSYS when (action.Flags & SignalActionFlags.Restart) != 0:
                RestartCall(SyscallNumber);
                break;
            default:
                Context.SyscallResult = -(long)Errno.EINTR;
                break;
        }
        SyscallNumber = -1;
    }

    private void RestartWithoutHandler()
    {
        if (!IsRestartPending)
        {
            ClearWork(Work.Restart);
            return;
        }
        ClearWork(Work.Restart);
        const int RestartSyscall = 219;
        RestartCall((Errno)(-Context.SyscallResult) == Errno.ERESTART_RESTARTBLOCK ? RestartSyscall : SyscallNumber);
        SyscallNumber = -1;
    }

    // Back to the SYSCALL instruction, which is two bytes long.
    private void RestartCall(long number)
    {
        Context.SyscallResult = number;
        Context.InstructionPointer -= 2;
    }

    // ---- exceptions of the CPU

    private void OnException(in UserException exception)
    {
        const ulong PresentBit = 1, WriteBit = 2, FetchBit = 16;
        if (exception.Vector == UserException.PageFault)
        {
            Access access = (exception.ErrorCode & FetchBit) != 0 ? Access.Execute : (exception.ErrorCode & WriteBit) != 0 ? Access.Write : Access.Read;
            FaultOutcome outcome = Memory.FaultOrMakeRoom(exception.FaultAddress, access);
            if (outcome == FaultOutcome.Resolved)
            {
                _minorFaults++;
                return;
            }
            // Kernel addresses look mapped to nobody.
            if (exception.FaultAddress >= AddressSpace.EndAddress) LastFault = exception with { ErrorCode = exception.ErrorCode | PresentBit };
            else LastFault = exception;
            if (outcome != FaultOutcome.OutOfMemory) ReportFault(outcome == FaultOutcome.BusError ? Signal.SIGBUS : Signal.SIGSEGV);
            switch (outcome)
            {
                case FaultOutcome.NotMapped: SendFault(Signal.SIGSEGV, 1, exception.FaultAddress); break;
                case FaultOutcome.NotAllowed: SendFault(Signal.SIGSEGV, 2, exception.FaultAddress); break;
                case FaultOutcome.BusError: SendFault(Signal.SIGBUS, 2, exception.FaultAddress); break;
                default: OnOutOfMemory(); break;
            }
            return;
        }
        LastFault = exception;
        ulong at = Context.InstructionPointer;
        switch (exception.Vector)
        {
            case 0: SendFault(Signal.SIGFPE, 1, at); break;                          // FPE_INTDIV
            case 1: SendFault(Signal.SIGTRAP, DebugCode(), at); break;
            case 3: SendFault(Signal.SIGTRAP, SignalInfo.Kernel, 0); break;
            case 4: SendFault(Signal.SIGSEGV, SignalInfo.Kernel, 0); break;
            case 5: SendFault(Signal.SIGSEGV, SignalInfo.Kernel, 0); break;
            case 6: SendFault(Signal.SIGILL, 2, at); break;                          // ILL_ILLOPN
            case 11 or 12: SendFault(Signal.SIGBUS, SignalInfo.Kernel, 0); break;
            case 16: SendFault(Signal.SIGFPE, FloatCode(isSse: false), at); break;
            case 17: SendFault(Signal.SIGBUS, 1, 0); break;                          // BUS_ADRALN
            case 19: SendFault(Signal.SIGFPE, FloatCode(isSse: true), at); break;
            default:
                ReportFault(Signal.SIGSEGV);
                SendFault(Signal.SIGSEGV, SignalInfo.Kernel, 0);
                break;
        }
    }

    // TRAP_TRACE for a single step, TRAP_BRKPT for INT1.
    private int DebugCode() => (Context[Register.Rflags] & 0x100) != 0 ? 2 : 1;

    // Which exception the flags that are set and not masked stand for (SDM vol. 1 §8.7, §11.5).
    private int FloatCode(bool isSse)
    {
        Span<byte> image = StateBuffer;
        Context.ReadExtendedState(image);
        uint flags;
        if (isSse)
        {
            uint mxcsr = BitConverter.ToUInt32(image[24..]);
            flags = mxcsr & ~(mxcsr >> 7) & 0x3F;
        }
        else
        {
            flags = (uint)(BitConverter.ToUInt16(image[2..]) & ~BitConverter.ToUInt16(image) & 0x3F);
        }
        return (flags & 1) != 0 ? 7 : (flags & 4) != 0 ? 3 : (flags & 8) != 0 ? 4 : (flags & 0x12) != 0 ? 5 : (flags & 0x20) != 0 ? 6 : 0;
    }

    // As Linux does for a fault that nobody catches: what a developer looks for first.
    private void ReportFault(Signal signal)
    {
        if (Process.Handlers[signal].IsHandler && !Blocked.Contains(signal)) return;
        string name = System.Text.Encoding.Latin1.GetString(Name);
        UserException fault = LastFault;
        Log.Info($"{name}[{Tid}]: {(fault.Vector == UserException.PageFault ? "segfault" : $"trap {fault.Vector}")} at {fault.FaultAddress:x} ip {Context.InstructionPointer:x} sp {Context.StackPointer:x} error {fault.ErrorCode:x}");
    }

    private void OnOutOfMemory()
    {
        Process.StartExit((int)Signal.SIGKILL);
    }
}
