using System;
using System.Buffers.Binary;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Timers;
using Asterinas.Services.Processes;

namespace Asterinas.Services.Syscalls;

/// <summary>Limits and use of resources: getrlimit(2), prlimit64(2), getrusage(2), times(2).</summary>
internal static class LimitSyscalls
{
    private const ulong MaxOpenFiles = 1048576;
    private const ulong TickNs = 10000000;

    public static void Register()
    {
        SyscallTable.Add(97, "getrlimit", Get);
        SyscallTable.Add(98, "getrusage", GetUsage);
        SyscallTable.Add(100, "times", Times);
        SyscallTable.Add(160, "setrlimit", Set);
        SyscallTable.Add(302, "prlimit64", GetAndSet);
    }

    private static long Get(in SyscallArguments a)
    {
        uint resource = a.UInt(0);
        if (resource >= (uint)Resource.Count) return -(long)Errno.EINVAL;
        return Write(a.Thread, a.Address(1), a.Thread.Process.Limits[(Resource)resource]);
    }

    private static long Set(in SyscallArguments a)
    {
        Errno error = Read(a.Thread, a.Address(1), out Limit limit);
        if (error != Errno.None) return -(long)error;
        if (a.UInt(0) >= (uint)Resource.Count) return -(long)Errno.EINVAL;
        return Change(a.Thread, a.Thread.Process, (Resource)a.UInt(0), limit);
    }

    private static long GetAndSet(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        int pid = a.Int(0);
        uint resource = a.UInt(1);
        Limit limit = default;
        if (a.A2 != 0 && Read(thread, a.Address(2), out limit) != Errno.None) return -(long)Errno.EFAULT;
        if (ProcessLookup.FindThread(thread, pid) is not { } target) return -(long)Errno.ESRCH;
        if (!MayReach(thread, target)) return -(long)Errno.EPERM;
        if (resource >= (uint)Resource.Count) return -(long)Errno.EINVAL;
        Limit old = target.Process.Limits[(Resource)resource];
        if (a.A2 != 0)
        {
            long changed = Change(thread, target.Process, (Resource)resource, limit);
            if (changed != 0) return changed;
        }
        return a.A3 == 0 ? 0 : Write(thread, a.Address(3), old);
    }

    // man 2 prlimit, EPERM.
    private static bool MayReach(Thread caller, Thread target)
    {
        if (ReferenceEquals(caller.Process, target.Process)) return true;
        Credentials own = caller.Credentials, theirs = target.Credentials;
        if (own.Uid == theirs.EffectiveUid && own.Uid == theirs.SavedUid && own.Uid == theirs.Uid && own.Gid == theirs.EffectiveGid && own.Gid == theirs.SavedGid && own.Gid == theirs.Gid)
        {
            return true;
        }
        return own.HasIn(theirs.UserNamespace, Capability.SysResource);
    }

    private static long Change(Thread thread, Process process, Resource resource, Limit limit)
    {
        if (limit.Soft > limit.Hard) return -(long)Errno.EINVAL;
        if (resource == Resource.OpenFiles && limit.Hard > MaxOpenFiles) return -(long)Errno.EPERM;
        Limit old = process.Limits[resource];
        if (limit.Hard > old.Hard && !thread.Credentials.HasIn(UserNamespace.Initial, Capability.SysResource)) return -(long)Errno.EPERM;
        process.Limits[resource] = limit;
        // The memory of the process keeps a copy of what each page fault asks for.
        if (resource == Resource.Stack) process.Memory.StackLimit = limit.Soft;
        if (resource == Resource.AddressSpace) process.Memory.LimitPages = limit.Soft == ResourceLimits.Infinity ? ulong.MaxValue : limit.Soft / PageSize.Small;
        return 0;
    }

    private static Errno Read(Thread thread, UserAddress address, out Limit limit)
    {
        Span<byte> bytes = stackalloc byte[16];
        limit = default;
        if (thread.Memory.Read(address, bytes) != Errno.None) return Errno.EFAULT;
        limit = new Limit(BinaryPrimitives.ReadUInt64LittleEndian(bytes), BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]));
        return Errno.None;
    }

    private static long Write(Thread thread, UserAddress address, Limit limit)
    {
        Span<byte> bytes = stackalloc byte[16];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, limit.Soft);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], limit.Hard);
        return thread.Memory.Write(address, bytes) == Errno.None ? 0 : -(long)Errno.EFAULT;
    }

    private static long GetUsage(in SyscallArguments a)
    {
        Process process = a.Thread.Process;
        ResourceCounts counts;
        switch (a.Int(0))
        {
            case 0:
                counts = process.Usage;
                counts.PeakPages = Math.Max(counts.PeakPages, process.Memory.PeakPages);
                break;
            case -1:
                using (SpinLock.Guard tree = ProcessTree.Lock.Lock()) counts = process.ChildUsage.Counts;
                break;
            case 1:
                counts = a.Thread.Usage;
                counts.PeakPages = process.Memory.PeakPages;
                break;
            default:
                return -(long)Errno.EINVAL;
        }
        return UsageLayout.Write(a.Thread, a.Address(1), counts) == Errno.None ? 0 : -(long)Errno.EFAULT;
    }

    private static long Times(in SyscallArguments a)
    {
        if (a.A0 != 0)
        {
            CpuTimes own = a.Thread.Process.Times, children;
            using (SpinLock.Guard tree = ProcessTree.Lock.Lock()) children = a.Thread.Process.ChildUsage.Counts.Times;
            Span<byte> bytes = stackalloc byte[32];
            BinaryPrimitives.WriteUInt64LittleEndian(bytes, own.UserNs / TickNs);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], own.SystemNs / TickNs);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes[16..], children.UserNs / TickNs);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes[24..], children.SystemNs / TickNs);
            if (a.Thread.Memory.Write(a.Address(0), bytes) != Errno.None) return -(long)Errno.EFAULT;
        }
        return (long)(Clock.MonotonicNs / TickNs);
    }
}
