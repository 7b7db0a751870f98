using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Signals;
using Asterinas.Services.Time;

namespace Asterinas.Services.Syscalls;

/// <summary>Receiving of signals: rt_sigaction(2), rt_sigprocmask(2), sigaltstack(2), rt_sigtimedwait(2), rt_sigreturn(2) and their kin.</summary>
internal static class SignalSyscalls
{
    private const int SetBytes = 8, ActionBytes = 32;

    public static void Register()
    {
        SyscallTable.Add(13, "rt_sigaction", Action);
        SyscallTable.Add(14, "rt_sigprocmask", ProcessMask);
        SyscallTable.Add(15, "rt_sigreturn", Return);
        SyscallTable.Add(34, "pause", Pause);
        SyscallTable.Add(127, "rt_sigpending", Pending);
        SyscallTable.Add(128, "rt_sigtimedwait", TimedWait);
        SyscallTable.Add(130, "rt_sigsuspend", Suspend);
        SyscallTable.Add(131, "sigaltstack", AlternateStackCall);
        SyscallTable.Add(219, "restart_syscall", Restart);
    }

    private static long Action(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        Process process = thread.Process;
        int number = a.Int(0);
        if (a.A3 != SetBytes) return -(long)Errno.EINVAL;
        Span<byte> bytes = stackalloc byte[ActionBytes];
        SignalAction? wanted = null;
        if (a.A1 != 0)
        {
            if (thread.Memory.Read(a.Address(1), bytes) != Errno.None) return -(long)Errno.EFAULT;
            wanted = new SignalAction(BinaryPrimitives.ReadUInt64LittleEndian(bytes), (SignalActionFlags)BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]) & SignalActionFlags.Known,
                BinaryPrimitives.ReadUInt64LittleEndian(bytes[16..]), new SignalSet(BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..])) & ~SignalSet.Unblockable);
        }
        if (number is < 1 or > (int)Signal.Last) return -(long)Errno.EINVAL;
        var signal = (Signal)number;
        if (wanted is not null && SignalSet.Unblockable.Contains(signal)) return -(long)Errno.EINVAL;
        SignalAction old;
        using (SpinLock.Guard guard = process.SignalLock.Lock())
        {
            old = process.Handlers[signal];
            if (wanted is not null)
            {
                process.Handlers[signal] = wanted;
                process.ForgetIgnored(signal);
            }
        }
        if (a.A2 == 0) return 0;
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, old.Handler);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], (ulong)old.Flags);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[16..], old.Restorer);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[24..], old.Mask.Bits);
        return thread.Memory.Write(a.Address(2), bytes) == Errno.None ? 0 : -(long)Errno.EFAULT;
    }

    private static long ProcessMask(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        if (a.A3 != SetBytes) return -(long)Errno.EINVAL;
        SignalSet old = thread.Blocked;
        if (a.A1 != 0)
        {
            if (thread.Memory.Read(a.Address(1), out ulong bits) != Errno.None) return -(long)Errno.EFAULT;
            var set = new SignalSet(bits);
            switch (a.Int(0))
            {
                case 0: thread.SetMask(old | set); break;
                case 1: thread.SetMask(old & ~set); break;
                case 2: thread.SetMask(set); break;
                default: return -(long)Errno.EINVAL;
            }
        }
        return a.A2 == 0 || thread.Memory.Write(a.Address(2), old.Bits) == Errno.None ? 0 : -(long)Errno.EFAULT;
    }

    // The answer is the RAX of the frame: it goes where the dispatcher puts answers.
    private static long Return(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        thread.SyscallNumber = -1;
        if (!SignalFrame.TryPop(thread))
        {
            thread.SendFrameFault(Signal.None);
            return 0;
        }
        return thread.Context.SyscallResult;
    }

    private static long Pending(in SyscallArguments a)
    {
        if (a.A1 > SetBytes) return -(long)Errno.EINVAL;
        Span<byte> bytes = stackalloc byte[SetBytes];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, (a.Thread.Pending & a.Thread.Blocked).Bits);
        return a.Thread.Memory.Write(a.Address(0), bytes[..(int)a.A1]) == Errno.None ? 0 : -(long)Errno.EFAULT;
    }

    private static long TimedWait(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        if (a.A3 != SetBytes) return -(long)Errno.EINVAL;
        if (thread.Memory.Read(a.Address(0), out ulong bits) != Errno.None) return -(long)Errno.EFAULT;
        ulong timeoutNs = ulong.MaxValue;
        if (a.A2 != 0)
        {
            Errno error = UserTime.ReadTimespec(thread.Memory, a.Address(2), out long nanoseconds);
            if (error != Errno.None) return -(long)error;
            timeoutNs = (ulong)nanoseconds;
        }
        Result<SignalInfo> taken = thread.WaitForSignal(new SignalSet(bits), timeoutNs);
        if (!taken.IsOk) return -(long)taken.Error;
        if (a.A1 == 0) return (long)taken.Value.Signal;
        Span<byte> info = stackalloc byte[SignalInfoLayout.Bytes];
        SignalInfoLayout.Encode(taken.Value, info);
        return thread.Memory.Write(a.Address(1), info) == Errno.None ? (long)taken.Value.Signal : -(long)Errno.EFAULT;
    }

    private static long Suspend(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        if (a.A1 != SetBytes) return -(long)Errno.EINVAL;
        if (thread.Memory.Read(a.Address(0), out ulong bits) != Errno.None) return -(long)Errno.EFAULT;
        thread.BeginTemporaryMask(new SignalSet(bits));
        thread.WaitForAnySignal();
        thread.EndTemporaryMask(true);
        return -(long)Errno.ERESTARTNOHAND;
    }

    private static long Pause(in SyscallArguments a)
    {
        a.Thread.WaitForAnySignal();
        return -(long)Errno.ERESTARTNOHAND;
    }

    private static long AlternateStackCall(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        Span<byte> bytes = stackalloc byte[AlternateStack.Bytes];
        AlternateStack old = thread.AlternateStack;
        ulong stackPointer = thread.Context.StackPointer;
        if (a.A0 != 0)
        {
            if (thread.Memory.Read(a.Address(0), bytes) != Errno.None) return -(long)Errno.EFAULT;
            Errno error = thread.TrySetAlternateStack(AlternateStack.Decode(bytes), ulong.MaxValue);
            if (error != Errno.None) return -(long)error;
        }
        if (a.A1 == 0) return 0;
        uint state = old.Size == 0 ? AlternateStack.Disable : old.Contains(stackPointer) ? AlternateStack.OnStack : 0;
        (old with { Flags = state | (old.Flags & AlternateStack.AutoDisarm) }).Encode(bytes);
        // Four bytes of padding stay as they are.
        bool isWritten = thread.Memory.Write(a.Address(1), bytes[..12]) == Errno.None && thread.Memory.Write(new UserAddress(a.A1 + 16), bytes[16..]) == Errno.None;
        return isWritten ? 0 : -(long)Errno.EFAULT;
    }

    private static long Restart(in SyscallArguments a)
    {
        Func<Thread, long>? block = a.Thread.RestartBlock;
        a.Thread.RestartBlock = null;
        return block is null ? -(long)Errno.EINTR : block(a.Thread);
    }
}
