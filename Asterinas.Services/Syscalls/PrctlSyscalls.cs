using System;
using Asterinas.Ostd.Memory;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Signals;

namespace Asterinas.Services.Syscalls;

/// <summary>prctl(2).</summary>
internal static class PrctlSyscalls
{
    private const uint SecureBitsAll = 0xFF, SecureBitsLocks = 0xAA, KeepCapabilities = 16, KeepCapabilitiesLocked = 32, NoAmbientRaise = 64;

    private enum Option
    {
        SetParentDeathSignal = 1, GetParentDeathSignal = 2, GetDumpable = 3, SetDumpable = 4, GetKeepCapabilities = 7, SetKeepCapabilities = 8, GetTiming = 13, SetTiming = 14,
        SetName = 15, GetName = 16, GetSeccomp = 21, SetSeccomp = 22, ReadBounding = 23, DropBounding = 24, GetTsc = 25, SetTsc = 26, GetSecureBits = 27, SetSecureBits = 28,
        SetTimerSlack = 29, GetTimerSlack = 30, SetSubreaper = 36, GetSubreaper = 37, SetNoNewPrivileges = 38, GetNoNewPrivileges = 39, GetTidAddress = 40,
        SetHugePagesDisabled = 41, GetHugePagesDisabled = 42, Ambient = 47, SetMemoryName = 0x53564d41, GetAuxiliaryVector = 0x41555856,
    }

    public static void Register() => SyscallTable.Add(157, "prctl", Call, "PR_SET_SECCOMP, PR_SET_TSC, PR_SET_VMA, PR_SET_MM, PR_MCE_KILL, PR_TASK_PERF_EVENTS_*, PR_SCHED_CORE and others of other machines");

    private static long Call(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        Process process = thread.Process;
        Credentials credentials = thread.Credentials;
        ulong argument = a.A1;
        switch ((Option)a.Int(0))
        {
            case Option.SetParentDeathSignal:
                if (argument > (ulong)Signal.Last) return -(long)Errno.EINVAL;
                thread.ParentDeathSignal = (int)argument;
                return 0;
            case Option.GetParentDeathSignal:
                return Write(thread, argument, thread.ParentDeathSignal);
            case Option.GetDumpable:
                return process.Dumpable;
            case Option.SetDumpable:
                if (argument > 1) return -(long)Errno.EINVAL;
                process.Dumpable = (int)argument;
                return 0;
            case Option.GetKeepCapabilities:
                return (credentials.SecureBits & KeepCapabilities) != 0 ? 1 : 0;
            case Option.SetKeepCapabilities:
                if (argument > 1) return -(long)Errno.EINVAL;
                if ((credentials.SecureBits & KeepCapabilitiesLocked) != 0) return -(long)Errno.EPERM;
                thread.Credentials = credentials with { SecureBits = argument != 0 ? credentials.SecureBits | KeepCapabilities : credentials.SecureBits & ~KeepCapabilities };
                return 0;
            case Option.GetTiming:
                return 0;
            case Option.SetTiming:
                return argument == 0 ? 0 : -(long)Errno.EINVAL;
            case Option.SetName:
                return SetName(thread, argument);
            case Option.GetName:
                Span<byte> name = stackalloc byte[16];
                name.Clear();
                thread.Name.CopyTo(name);
                return thread.Memory.Write(new UserAddress(argument), name) == Errno.None ? 0 : -(long)Errno.EFAULT;
            case Option.GetSeccomp:
                return 0;
            case Option.ReadBounding:
                return argument > (ulong)Capability.CheckpointRestore ? -(long)Errno.EINVAL : (long)(credentials.Bounding >> (int)argument & 1);
            case Option.DropBounding:
                if (!credentials.Has(Capability.Setpcap)) return -(long)Errno.EPERM;
                if (argument > (ulong)Capability.CheckpointRestore) return -(long)Errno.EINVAL;
                thread.Credentials = credentials with { Bounding = credentials.Bounding & ~(1UL << (int)argument) };
                return 0;
            case Option.GetTsc:
                return Write(thread, argument, 1);
            case Option.SetTsc:
                return argument == 1 ? 0 : -(long)Errno.EINVAL;
            case Option.GetSecureBits:
                return credentials.SecureBits;
            case Option.SetSecureBits:
                return SetSecureBits(thread, credentials, argument);
            case Option.SetTimerSlack:
                thread.TimerSlackNs = (long)argument <= 0 ? thread.DefaultTimerSlackNs : argument;
                return 0;
            case Option.GetTimerSlack:
                return (long)thread.TimerSlackNs;
            case Option.SetSubreaper:
                process.IsSubreaper = argument != 0;
                return 0;
            case Option.GetSubreaper:
                return Write(thread, argument, process.IsSubreaper ? 1 : 0);
            case Option.SetNoNewPrivileges:
                if (argument != 1 || a.A2 != 0 || a.A3 != 0 || a.A4 != 0) return -(long)Errno.EINVAL;
                thread.HasNoNewPrivileges = true;
                return 0;
            case Option.GetNoNewPrivileges:
                if (argument != 0 || a.A2 != 0 || a.A3 != 0 || a.A4 != 0) return -(long)Errno.EINVAL;
                return thread.HasNoNewPrivileges ? 1 : 0;
            case Option.GetTidAddress:
                return thread.Memory.Write(new UserAddress(argument), thread.ClearChildTid) == Errno.None ? 0 : -(long)Errno.EFAULT;
            case Option.SetHugePagesDisabled:
                if (a.A2 != 0 || a.A3 != 0 || a.A4 != 0) return -(long)Errno.EINVAL;
                process.HasNoHugePages = argument != 0;
                return 0;
            case Option.GetHugePagesDisabled:
                if (argument != 0 || a.A2 != 0 || a.A3 != 0 || a.A4 != 0) return -(long)Errno.EINVAL;
                return process.HasNoHugePages ? 1 : 0;
            case Option.Ambient:
                return ChangeAmbient(thread, credentials, argument, a.A2, a.A3 | a.A4);
            case Option.GetAuxiliaryVector:
                if (a.A3 != 0 || a.A4 != 0) return -(long)Errno.EINVAL;
                byte[] vector = thread.Memory.AuxiliaryVector;
                ReadOnlySpan<byte> part = vector.AsSpan(0, (int)Math.Min((ulong)vector.Length, a.A2));
                return thread.Memory.Write(new UserAddress(argument), part) == Errno.None ? vector.Length : -(long)Errno.EFAULT;
            default:
                return -(long)Errno.EINVAL;
        }
    }

    private static long Write(Thread thread, ulong address, int value) => thread.Memory.Write(new UserAddress(address), value) == Errno.None ? 0 : -(long)Errno.EFAULT;

    // Up to 15 bytes; the string may end just before memory that is not there.
    private static long SetName(Thread thread, ulong address)
    {
        Span<byte> name = stackalloc byte[16];
        int length = 0;
        for (; length < 15; length++)
        {
            if (thread.Memory.Read(new UserAddress(address + (ulong)length), out byte value) != Errno.None) return -(long)Errno.EFAULT;
            if (value == 0) break;
            name[length] = value;
        }
        thread.Name = name[..length].ToArray();
        return 0;
    }

    private static long SetSecureBits(Thread thread, Credentials credentials, ulong argument)
    {
        uint old = credentials.SecureBits, wanted = (uint)argument;
        bool isLocked = ((old & SecureBitsLocks) >> 1 & (old ^ wanted)) != 0 || (old & SecureBitsLocks & ~wanted) != 0 || (argument & ~(ulong)SecureBitsAll) != 0;
        if (isLocked || !credentials.Has(Capability.Setpcap)) return -(long)Errno.EPERM;
        thread.Credentials = credentials with { SecureBits = wanted };
        return 0;
    }

    // man 2 prctl, PR_CAP_AMBIENT.
    private static long ChangeAmbient(Thread thread, Credentials credentials, ulong command, ulong capability, ulong rest)
    {
        const ulong IsSet = 1, Raise = 2, Lower = 3, ClearAll = 4;
        if (rest != 0) return -(long)Errno.EINVAL;
        if (command == ClearAll)
        {
            if (capability != 0) return -(long)Errno.EINVAL;
            thread.Credentials = credentials with { Ambient = 0 };
            return 0;
        }
        if (capability > (ulong)Capability.CheckpointRestore || command is not (IsSet or Raise or Lower)) return -(long)Errno.EINVAL;
        ulong bit = 1UL << (int)capability;
        if (command == IsSet) return (credentials.Ambient & bit) != 0 ? 1 : 0;
        if (command == Raise && ((credentials.Permitted & credentials.Inheritable & bit) == 0 || (credentials.SecureBits & NoAmbientRaise) != 0)) return -(long)Errno.EPERM;
        thread.Credentials = credentials with { Ambient = command == Raise ? credentials.Ambient | bit : credentials.Ambient & ~bit };
        return 0;
    }
}
