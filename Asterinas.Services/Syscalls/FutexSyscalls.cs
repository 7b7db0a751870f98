using System;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Timers;
using Asterinas.Services.Memory;
using Asterinas.Services.Time;

namespace Asterinas.Services.Syscalls;

/// <summary>futex(2).</summary>
internal static class FutexSyscalls
{
    private const int CommandMask = 0x7F, PrivateFlag = 128, ClockRealTime = 256;
    private const int Wait = 0, Wake = 1, Requeue = 3, CompareRequeue = 4, WakeOperation = 5, LockPi = 6, UnlockPi = 7, TryLockPi = 8, WaitBitset = 9, WakeBitset = 10, LockPi2 = 13;

    public static void Register() => SyscallTable.Add(202, "futex", Call, "FUTEX_WAIT_REQUEUE_PI, FUTEX_CMP_REQUEUE_PI; a PI owner is not boosted");

    private static long Call(in SyscallArguments a)
    {
        int operation = a.Int(1), command = operation & CommandMask;
        bool isPrivate = (operation & PrivateFlag) != 0;
        ulong address = a.A0;
        Thread thread = a.Thread;
        AddressSpace memory = thread.Memory;
        if ((operation & ClockRealTime) != 0 && command is not (Wait or WaitBitset or LockPi2)) return -(long)Errno.ENOSYS;
        ulong timeoutNs = ulong.MaxValue;
        if (command is Wait or WaitBitset or LockPi or LockPi2 && a.A3 != 0)
        {
            Errno read = ReadTimeout(memory, a.Address(3), command, (operation & ClockRealTime) != 0, out timeoutNs);
            if (read != Errno.None) return -(long)read;
        }
        // Only commands that write to the word need it writable.
        Access access = command is LockPi or LockPi2 or UnlockPi or TryLockPi ? Access.Write : Access.Read;
        if (command is not (Wait or Wake or Requeue or CompareRequeue or WakeOperation or LockPi or UnlockPi or TryLockPi or WaitBitset or WakeBitset or LockPi2)) return -(long)Errno.ENOSYS;
        Errno error = Futex.GetKey(memory, address, isPrivate, access, out FutexKey key);
        if (error != Errno.None) return -(long)error;
        switch (command)
        {
            case Wait:
                return SyscallAnswer.From(Futex.Wait(thread, key, address, a.UInt(2), uint.MaxValue, timeoutNs));
            case WaitBitset:
                if (a.UInt(5) == 0) return -(long)Errno.EINVAL;
                return SyscallAnswer.From(Futex.Wait(thread, key, address, a.UInt(2), a.UInt(5), timeoutNs));
            case Wake:
                return Futex.Wake(key, Math.Max(a.Int(2), 1));
            case WakeBitset:
                return a.UInt(5) == 0 ? -(long)Errno.EINVAL : Futex.Wake(key, Math.Max(a.Int(2), 1), a.UInt(5));
            case LockPi or LockPi2:
                return SyscallAnswer.From(Futex.LockPi(thread, key, address, true, timeoutNs));
            case TryLockPi:
                return SyscallAnswer.From(Futex.LockPi(thread, key, address, false, 0));
            case UnlockPi:
                return SyscallAnswer.From(Futex.UnlockPi(thread, key, address));
            default:
                error = Futex.GetKey(memory, a.A4, isPrivate, command == WakeOperation ? Access.Write : Access.Read, out FutexKey second);
                if (error != Errno.None) return -(long)error;
                // For these the fourth argument is a number, not a pointer.
                int most = (int)a.A3;
                return command == WakeOperation ? SyscallAnswer.From(Futex.WakeOperation(memory, key, second, a.A4, a.Int(2), most, a.UInt(5)))
                    : SyscallAnswer.From(Futex.Requeue(memory, key, second, address, a.Int(2), most, command == CompareRequeue ? a.UInt(5) : null));
        }
    }

    // FUTEX_WAIT has a duration, the others a moment: on the monotonic clock, or with the flag and for FUTEX_LOCK_PI on the wall clock.
    private static Errno ReadTimeout(AddressSpace memory, UserAddress address, int command, bool isRealTime, out ulong timeoutNs)
    {
        timeoutNs = 0;
        if (memory.Read(address, out long seconds) != Errno.None || memory.Read(new UserAddress(address.Value + 8), out long nanoseconds) != Errno.None) return Errno.EFAULT;
        if (seconds < 0 || nanoseconds is < 0 or >= 1000000000) return Errno.EINVAL;
        ulong value = (ulong)seconds > ulong.MaxValue / 2000000000 ? ulong.MaxValue / 2 : (ulong)seconds * 1000000000 + (ulong)nanoseconds;
        if (command != Wait)
        {
            ulong now = isRealTime || command == LockPi ? (ulong)WallClock.NowNs : Clock.MonotonicNs;
            value = value > now ? value - now : 0;
        }
        timeoutNs = value;
        return Errno.None;
    }
}
