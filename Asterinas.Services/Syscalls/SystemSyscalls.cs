using System;
using System.Buffers.Binary;
using System.Text;
using Asterinas.Ostd.Boot;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Timers;
using Asterinas.Ostd.User;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Scheduling;
using Asterinas.Services.Signals;
using CpuRegister = Asterinas.Ostd.User.Register;

namespace Asterinas.Services.Syscalls;

/// <summary>The machine and the kernel as a whole: uname(2), sysinfo(2), reboot(2), personality(2), and what threads tell the kernel about themselves.</summary>
internal static class SystemSyscalls
{
    private const int NameBytes = 65;

    public static void Register()
    {
        SyscallTable.Add(63, "uname", Uname);
        SyscallTable.Add(99, "sysinfo", SystemInfo);
        SyscallTable.Add(135, "personality", Personality, "nothing but ADDR_NO_RANDOMIZE has an effect");
        SyscallTable.Add(158, "arch_prctl", ArchPrctl, "ARCH_CET_*, ARCH_GET_XCOMP_*, ARCH_MAP_VDSO_*");
        SyscallTable.Add(169, "reboot", Reboot, "LINUX_REBOOT_CMD_KEXEC, LINUX_REBOOT_CMD_SW_SUSPEND");
        SyscallTable.Add(170, "sethostname", SetHostName);
        SyscallTable.Add(171, "setdomainname", SetDomainName);
        SyscallTable.Add(273, "set_robust_list", SetRobustList);
        SyscallTable.Add(274, "get_robust_list", GetRobustList);
        SyscallTable.Add(312, "kcmp", Compare, "KCMP_IO, KCMP_SYSVSEM, KCMP_EPOLL_TFD");
        SyscallTable.Add(324, "membarrier", MemoryBarrier, "MEMBARRIER_CMD_PRIVATE_EXPEDITED_RSEQ");
    }

    private static long Uname(in SyscallArguments a)
    {
        UtsNamespace names = a.Thread.Namespaces.Uts;
        Span<byte> bytes = stackalloc byte[6 * NameBytes];
        bytes.Clear();
        Encoding.UTF8.GetBytes(SystemIdentity.SystemName, bytes);
        names.NodeName.CopyTo(bytes[NameBytes..]);
        // personality(UNAME26): for programs that expect a release of two numbers and a patch level.
        bool isOld = (a.Thread.Process.Personality & 0x20000) != 0;
        Encoding.UTF8.GetBytes(isOld ? SystemIdentity.OldRelease : SystemIdentity.Release, bytes[(2 * NameBytes)..]);
        Encoding.UTF8.GetBytes(SystemIdentity.Version, bytes[(3 * NameBytes)..]);
        Encoding.UTF8.GetBytes(SystemIdentity.Machine, bytes[(4 * NameBytes)..]);
        names.DomainName.CopyTo(bytes[(5 * NameBytes)..]);
        return a.Thread.Memory.Write(a.Address(0), bytes) == Errno.None ? 0 : -(long)Errno.EFAULT;
    }

    private static long SetHostName(in SyscallArguments a)
    {
        Errno error = ReadName(a, out byte[] name);
        if (error == Errno.None) a.Thread.Namespaces.Uts.NodeName = name;
        return -(long)error;
    }

    private static long SetDomainName(in SyscallArguments a)
    {
        Errno error = ReadName(a, out byte[] name);
        if (error == Errno.None) a.Thread.Namespaces.Uts.DomainName = name;
        return -(long)error;
    }

    private static Errno ReadName(in SyscallArguments a, out byte[] name)
    {
        name = [];
        if (!a.Thread.Credentials.Has(Capability.SysAdmin)) return Errno.EPERM;
        int length = a.Int(1);
        if (length is < 0 or > NameBytes - 1) return Errno.EINVAL;
        name = new byte[length];
        return a.Thread.Memory.Read(a.Address(0), name);
    }

    private static long SystemInfo(in SyscallArguments a)
    {
        MemoryUse memory = MemoryUse.Now;
        Span<byte> bytes = stackalloc byte[112];
        bytes.Clear();
        BinaryPrimitives.WriteInt64LittleEndian(bytes, (long)(Clock.MonotonicNs / 1000000000));
        // Loads are in units of 1 / 65,536; the averages have 11 bits behind the point.
        (ulong one, ulong five, ulong fifteen) = LoadAverage.Current;
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], one << 5);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[16..], five << 5);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[24..], fifteen << 5);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[32..], memory.TotalKiB << 10);
        BinaryPrimitives.WriteInt64LittleEndian(bytes[40..], memory.FreeKiB << 10);
        BinaryPrimitives.WriteUInt16LittleEndian(bytes[80..], (ushort)Math.Min(Clone.ThreadCount, ushort.MaxValue));
        BinaryPrimitives.WriteUInt32LittleEndian(bytes[104..], 1);
        return a.Thread.Memory.Write(a.Address(0), bytes) == Errno.None ? 0 : -(long)Errno.EFAULT;
    }

    private static long Personality(in SyscallArguments a)
    {
        Process process = a.Thread.Process;
        uint old = process.Personality;
        if (a.UInt(0) != uint.MaxValue) process.Personality = a.UInt(0);
        return old;
    }

    private static long ArchPrctl(in SyscallArguments a)
    {
        const int SetGs = 0x1001, SetFs = 0x1002, GetFs = 0x1003, GetGs = 0x1004;
        UserContext context = a.Thread.Context;
        switch (a.Int(0))
        {
            case SetFs or SetGs:
                if (a.A1 >= AddressSpace.EndAddress) return -(long)Errno.EPERM;
                context[a.Int(0) == SetFs ? CpuRegister.FsBase : CpuRegister.GsBase] = a.A1;
                return 0;
            case GetFs or GetGs:
                return a.Thread.Memory.Write(a.Address(1), context[a.Int(0) == GetFs ? CpuRegister.FsBase : CpuRegister.GsBase]) == Errno.None ? 0 : -(long)Errno.EFAULT;
            default:
                return -(long)Errno.EINVAL;
        }
    }

    private static long Reboot(in SyscallArguments a)
    {
        const uint Magic1 = 0xfee1dead, Restart = 0x01234567, Halt = 0xCDEF0123, CtrlAltDelOn = 0x89ABCDEF, CtrlAltDelOff = 0, PowerOff = 0x4321FEDC, RestartWith = 0xA1B2C3D4;
        if (!a.Thread.Credentials.HasIn(UserNamespace.Initial, Capability.SysBoot)) return -(long)Errno.EPERM;
        if (a.UInt(0) != Magic1 || a.UInt(1) is not (672274793 or 85072278 or 369367448 or 537993216)) return -(long)Errno.EINVAL;
        PidNamespace space = a.Thread.Namespaces.Pid;
        if (space.Parent is not null)
        {
            // In a nested namespace only its init ends, as if by a signal (man 2 reboot, behavior inside PID namespaces).
            if (a.UInt(2) is not (Restart or RestartWith or PowerOff or Halt)) return -(long)Errno.EINVAL;
            space.Init?.StartExit((int)(a.UInt(2) is Restart or RestartWith ? Signal.SIGHUP : Signal.SIGINT));
            return 0;
        }
        switch (a.UInt(2))
        {
            case Restart or RestartWith:
                Log.Write(LogLevel.Emergency, "reboot: Restarting system");
                Power.Reboot();
                return 0;
            case PowerOff or Halt:
                Log.Write(LogLevel.Emergency, "reboot: Power down");
                Power.Off(0);
                return 0;
            case CtrlAltDelOn or CtrlAltDelOff:
                return 0;
            default:
                return -(long)Errno.EINVAL;
        }
    }

    private static long SetRobustList(in SyscallArguments a)
    {
        const ulong HeadBytes = 24;
        if (a.A1 != HeadBytes) return -(long)Errno.EINVAL;
        a.Thread.RobustList = a.A0;
        return 0;
    }

    private static long GetRobustList(in SyscallArguments a)
    {
        if (ProcessLookup.FindThread(a.Thread, a.Int(0)) is not { } target) return -(long)Errno.ESRCH;
        if (!ProcessAccess.MayRead(a.Thread, target.Process)) return -(long)Errno.EPERM;
        bool isWritten = a.Thread.Memory.Write(a.Address(2), 24UL) == Errno.None && a.Thread.Memory.Write(a.Address(1), target.RobustList) == Errno.None;
        return isWritten ? 0 : -(long)Errno.EFAULT;
    }

    private static long MemoryBarrier(in SyscallArguments a)
    {
        const int Query = 0, Global = 1, GlobalExpedited = 2, RegisterGlobal = 4, Private = 8, RegisterPrivate = 16, PrivateSync = 32, RegisterPrivateSync = 64, GetRegistrations = 512;
        const int Known = Global | GlobalExpedited | RegisterGlobal | Private | RegisterPrivate | PrivateSync | RegisterPrivateSync | GetRegistrations;
        if (a.UInt(1) != 0) return -(long)Errno.EINVAL;
        Process process = a.Thread.Process;
        switch (a.Int(0))
        {
            case Query:
                return Known;
            case RegisterGlobal or RegisterPrivate or RegisterPrivateSync:
                process.MemoryBarriers |= a.Int(0);
                return 0;
            case Private when (process.MemoryBarriers & RegisterPrivate) == 0:
            case PrivateSync when (process.MemoryBarriers & RegisterPrivateSync) == 0:
                return -(long)Errno.EPERM;
            case Global or GlobalExpedited or Private or PrivateSync:
                // An interrupt on every CPU that the runtime acknowledges: each has passed a barrier and serialised its instructions.
                System.Threading.Interlocked.MemoryBarrierProcessWide();
                return 0;
            case GetRegistrations:
                return process.MemoryBarriers;
            default:
                return -(long)Errno.EINVAL;
        }
    }

    private static long Compare(in SyscallArguments a)
    {
        const int File = 0, Vm = 1, Files = 2, Fs = 3, SignalHandlers = 4, LastType = 7;
        Thread caller = a.Thread;
        int type = a.Int(2);
        if (ProcessLookup.FindThread(caller, a.Int(0)) is not { } first || ProcessLookup.FindThread(caller, a.Int(1)) is not { } second) return -(long)Errno.ESRCH;
        if (!ProcessAccess.MayRead(caller, first.Process) || !ProcessAccess.MayRead(caller, second.Process)) return -(long)Errno.EPERM;
        switch (type)
        {
            case File:
                Vfs.OpenFile? one = first.Files.GetFromOutside(a.Int(3)), other = second.Files.GetFromOutside(a.Int(4));
                long answer = one is null || other is null ? -(long)Errno.EBADF : Order(one, other);
                one?.Release();
                other?.Release();
                return answer;
            case Vm: return Order(first.Memory, second.Memory);
            case Files: return Order(first.Files, second.Files);
            case Fs: return Order(first.FileSystem, second.FileSystem);
            case SignalHandlers: return Order(first.Process.Handlers, second.Process.Handlers);
            case > 0 and <= LastType: return -(long)Errno.EOPNOTSUPP;
            default: return -(long)Errno.EINVAL;
        }
    }

    // 0 equal, 1 less, 2 greater, 3 different without an order (man 2 kcmp).
    private static long Order(object first, object second)
    {
        if (ReferenceEquals(first, second)) return 0;
        int a = System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(first), b = System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(second);
        return a == b ? 3 : a < b ? 1 : 2;
    }
}
