using System;
using System.Buffers.Binary;
using System.Collections.Generic;
using System.Numerics;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Smp;
using Asterinas.Services.Processes;
using Asterinas.Services.Scheduling;
using Asterinas.Services.Time;

namespace Asterinas.Services.Syscalls;

/// <summary>Scheduling policy, priority and affinity (man 7 sched).</summary>
internal static class SchedulingSyscalls
{
    private const int ResetOnFork = 0x40000000;
    private const int AttributeBytes = 56, FirstAttributeBytes = 48;

    public static void Register()
    {
        SyscallTable.Add(24, "sched_yield", Yield);
        SyscallTable.Add(140, "getpriority", GetPriority);
        SyscallTable.Add(141, "setpriority", SetPriority);
        SyscallTable.Add(142, "sched_setparam", SetParameters);
        SyscallTable.Add(143, "sched_getparam", GetParameters);
        SyscallTable.Add(144, "sched_setscheduler", SetScheduler);
        SyscallTable.Add(145, "sched_getscheduler", GetScheduler);
        SyscallTable.Add(146, "sched_get_priority_max", static (in a) => PriorityBound(a.Int(0), SchedulingParameters.MaxPriority));
        SyscallTable.Add(147, "sched_get_priority_min", static (in a) => PriorityBound(a.Int(0), SchedulingParameters.MinPriority));
        SyscallTable.Add(148, "sched_rr_get_interval", GetInterval);
        SyscallTable.Add(203, "sched_setaffinity", SetAffinity);
        SyscallTable.Add(204, "sched_getaffinity", GetAffinity);
        SyscallTable.Add(309, "getcpu", GetCpu);
        SyscallTable.Add(314, "sched_setattr", SetAttributes, "SCHED_DEADLINE");
        SyscallTable.Add(315, "sched_getattr", GetAttributes, "SCHED_DEADLINE");
    }

    private static long Yield(in SyscallArguments a)
    {
        Task.Yield();
        return 0;
    }

    private static SchedulingAttributes AttributesOf(Thread thread) => LinuxScheduler.AttributesOf(thread.Task)!;

    private static long PriorityBound(int policy, int bound) => (SchedulingPolicy)policy switch
    {
        SchedulingPolicy.Fifo or SchedulingPolicy.RoundRobin => bound,
        SchedulingPolicy.Other or SchedulingPolicy.Batch or SchedulingPolicy.Idle => 0,
        (SchedulingPolicy)6 => 0,
        _ => -(long)Errno.EINVAL,
    };

    private static Errno Find(Thread caller, int pid, out Thread target)
    {
        target = caller;
        if (pid < 0) return Errno.EINVAL;
        if (ProcessLookup.FindThread(caller, pid) is not { } found) return Errno.ESRCH;
        target = found;
        return Errno.None;
    }

    private static bool MayChange(Thread caller, Thread target)
    {
        Credentials own = caller.Credentials, theirs = target.Credentials;
        return own.EffectiveUid == theirs.EffectiveUid || own.EffectiveUid == theirs.Uid || own.HasIn(theirs.UserNamespace, Capability.SysNice);
    }

    // ---- policy

    private static long SetScheduler(in SyscallArguments a)
    {
        int policy = a.Int(1);
        if (policy < 0 || a.A2 == 0) return -(long)Errno.EINVAL;
        if (a.Thread.Memory.Read(a.Address(2), out int priority) != Errno.None) return -(long)Errno.EFAULT;
        Errno error = Find(a.Thread, a.Int(0), out Thread target);
        if (error != Errno.None) return -(long)error;
        SchedulingParameters old = AttributesOf(target).Parameters;
        return Change(a.Thread, target, old with { Policy = (SchedulingPolicy)(policy & ~ResetOnFork), Priority = priority, ResetOnFork = (policy & ResetOnFork) != 0 });
    }

    private static long SetParameters(in SyscallArguments a)
    {
        if (a.A1 == 0) return -(long)Errno.EINVAL;
        if (a.Thread.Memory.Read(a.Address(1), out int priority) != Errno.None) return -(long)Errno.EFAULT;
        Errno error = Find(a.Thread, a.Int(0), out Thread target);
        if (error != Errno.None) return -(long)error;
        return Change(a.Thread, target, AttributesOf(target).Parameters with { Priority = priority });
    }

    // man 7 sched, privileges and resource limits.
    private static long Change(Thread caller, Thread target, SchedulingParameters wanted)
    {
        if (!wanted.IsValid) return -(long)Errno.EINVAL;
        SchedulingAttributes attributes = AttributesOf(target);
        SchedulingParameters old = attributes.Parameters;
        if (!caller.Credentials.HasIn(target.Credentials.UserNamespace, Capability.SysNice))
        {
            if (!MayChange(caller, target)) return -(long)Errno.EPERM;
            if (!wanted.IsRealTime && wanted.Nice < old.Nice && !MayBeNice(target, wanted.Nice)) return -(long)Errno.EPERM;
            if (wanted.IsRealTime)
            {
                ulong limit = target.Process.Limits.Soft(Resource.RealTimePriority);
                if (wanted.Policy != old.Policy && limit == 0) return -(long)Errno.EPERM;
                if (wanted.Priority > old.Priority && (ulong)wanted.Priority > limit) return -(long)Errno.EPERM;
            }
            // Out of SCHED_IDLE is a rise.
            if (old.Policy == SchedulingPolicy.Idle && wanted.Policy != SchedulingPolicy.Idle && !MayBeNice(target, wanted.Nice)) return -(long)Errno.EPERM;
            if (old.ResetOnFork && !wanted.ResetOnFork) return -(long)Errno.EPERM;
        }
        return attributes.TrySet(wanted) ? 0 : -(long)Errno.EINVAL;
    }

    // RLIMIT_NICE: 20 - nice is the ceiling.
    private static bool MayBeNice(Thread target, int nice) => (ulong)(20 - nice) <= target.Process.Limits.Soft(Resource.Nice);

    private static long GetScheduler(in SyscallArguments a)
    {
        Errno error = Find(a.Thread, a.Int(0), out Thread target);
        if (error != Errno.None) return -(long)error;
        SchedulingParameters parameters = AttributesOf(target).Parameters;
        return (int)parameters.Policy | (parameters.ResetOnFork ? ResetOnFork : 0);
    }

    private static long GetParameters(in SyscallArguments a)
    {
        if (a.A1 == 0) return -(long)Errno.EINVAL;
        Errno error = Find(a.Thread, a.Int(0), out Thread target);
        if (error != Errno.None) return -(long)error;
        return a.Thread.Memory.Write(a.Address(1), AttributesOf(target).Parameters.Priority) == Errno.None ? 0 : -(long)Errno.EFAULT;
    }

    private static long GetInterval(in SyscallArguments a)
    {
        Errno error = Find(a.Thread, a.Int(0), out Thread target);
        if (error != Errno.None) return -(long)error;
        return SyscallAnswer.From(UserTime.WriteTimespec(a.Thread.Memory, a.Address(1), (long)AttributesOf(target).IntervalNs));
    }

    private static long SetAttributes(in SyscallArguments a)
    {
        Thread thread = a.Thread;
        if (a.A1 == 0 || a.Int(0) < 0 || a.UInt(2) != 0) return -(long)Errno.EINVAL;
        if (thread.Memory.Read(a.Address(1), out uint size) != Errno.None) return -(long)Errno.EFAULT;
        if (size == 0) size = FirstAttributeBytes;
        Span<byte> bytes = stackalloc byte[AttributeBytes];
        Errno error = size is < FirstAttributeBytes or > PageSize.Small ? Errno.E2BIG : StructArgument.Read(thread, a.Address(1), (int)size, bytes);
        if (error == Errno.E2BIG) thread.Memory.Write(a.Address(1), AttributeBytes);
        if (error != Errno.None) return -(long)error;
        error = Find(thread, a.Int(0), out Thread target);
        if (error != Errno.None) return -(long)error;
        const ulong FlagReset = 1, KnownFlags = 0x7F, KeepPolicy = 8, KeepParameters = 16;
        ulong flags = BinaryPrimitives.ReadUInt64LittleEndian(bytes[8..]), runtime = BinaryPrimitives.ReadUInt64LittleEndian(bytes[24..]);
        if ((flags & ~KnownFlags) != 0) return -(long)Errno.EINVAL;
        SchedulingParameters old = AttributesOf(target).Parameters, wanted = old with { ResetOnFork = (flags & FlagReset) != 0 };
        if ((flags & KeepPolicy) == 0) wanted = wanted with { Policy = (SchedulingPolicy)BinaryPrimitives.ReadInt32LittleEndian(bytes[4..]) };
        if ((flags & KeepParameters) == 0)
        {
            int nice = BinaryPrimitives.ReadInt32LittleEndian(bytes[16..]);
            wanted = wanted with { Priority = BinaryPrimitives.ReadInt32LittleEndian(bytes[20..]) };
            if (!wanted.IsRealTime)
            {
                if (nice is < SchedulingParameters.MinNice or > SchedulingParameters.MaxNice) return -(long)Errno.EINVAL;
                wanted = wanted with { Nice = nice, SliceNs = runtime == 0 ? SchedulingParameters.DefaultSliceNs : Math.Clamp(runtime, SchedulingParameters.MinSliceNs, SchedulingParameters.MaxSliceNs) };
            }
        }
        return Change(thread, target, wanted);
    }

    private static long GetAttributes(in SyscallArguments a)
    {
        uint size = a.UInt(2);
        if (a.A1 == 0 || a.UInt(3) != 0 || size is < FirstAttributeBytes or > PageSize.Small) return -(long)Errno.EINVAL;
        Errno error = Find(a.Thread, a.Int(0), out Thread target);
        if (error != Errno.None) return -(long)error;
        SchedulingParameters parameters = AttributesOf(target).Parameters;
        Span<byte> bytes = stackalloc byte[AttributeBytes];
        bytes.Clear();
        int written = (int)Math.Min(size, AttributeBytes);
        BinaryPrimitives.WriteInt32LittleEndian(bytes, written);
        BinaryPrimitives.WriteInt32LittleEndian(bytes[4..], (int)parameters.Policy);
        BinaryPrimitives.WriteUInt64LittleEndian(bytes[8..], parameters.ResetOnFork ? 1u : 0u);
        if (parameters.IsRealTime) BinaryPrimitives.WriteInt32LittleEndian(bytes[20..], parameters.Priority);
        else
        {
            BinaryPrimitives.WriteInt32LittleEndian(bytes[16..], parameters.Nice);
            BinaryPrimitives.WriteUInt64LittleEndian(bytes[24..], parameters.SliceNs);
        }
        return a.Thread.Memory.Write(a.Address(1), bytes[..written]) == Errno.None ? 0 : -(long)Errno.EFAULT;
    }

    // ---- nice values

    private static long GetPriority(in SyscallArguments a)
    {
        Errno error = Select(a.Thread, a.Int(0), a.Int(1), out List<Thread> threads);
        if (error != Errno.None) return -(long)error;
        int best = SchedulingParameters.MaxNice;
        foreach (Thread thread in threads) best = Math.Min(best, AttributesOf(thread).Nice);
        // The kernel's answer cannot be negative: 20 - nice (man 2 getpriority, C library/kernel differences).
        return 20 - best;
    }

    private static long SetPriority(in SyscallArguments a)
    {
        Errno error = Select(a.Thread, a.Int(0), a.Int(1), out List<Thread> threads);
        if (error != Errno.None) return -(long)error;
        int nice = Math.Clamp(a.Int(2), SchedulingParameters.MinNice, SchedulingParameters.MaxNice);
        Errno last = Errno.ESRCH;
        foreach (Thread target in threads)
        {
            SchedulingAttributes attributes = AttributesOf(target);
            Credentials own = a.Thread.Credentials, theirs = target.Credentials;
            bool isPrivileged = own.HasIn(theirs.UserNamespace, Capability.SysNice);
            if (!isPrivileged && own.EffectiveUid != theirs.EffectiveUid && own.EffectiveUid != theirs.Uid) last = Errno.EPERM;
            else if (!isPrivileged && nice < attributes.Nice && !MayBeNice(target, nice)) last = Errno.EACCES;
            else
            {
                attributes.SetNice(nice);
                if (last == Errno.ESRCH) last = Errno.None;
            }
        }
        return -(long)last;
    }

    private static Errno Select(Thread caller, int which, int who, out List<Thread> threads)
    {
        threads = [];
        using SpinLock.Guard tree = ProcessTree.Lock.Lock();
        switch (which)
        {
            case 0:
                if (ProcessLookup.FindThread(caller, who) is { } thread) threads.Add(thread);
                break;
            case 1:
                ProcessGroup? group = who == 0 ? caller.Process.Group : caller.Namespaces.Pid.Find(who)?.Group;
                if (group is null) break;
                foreach (Process member in group.Members) threads.AddRange(member.Threads);
                break;
            case 2:
                uint uid = who == 0 ? caller.Credentials.Uid : caller.Credentials.UserNamespace.UidFromUser((uint)who);
                foreach (Process process in caller.Namespaces.Pid.Processes())
                {
                    foreach (Thread one in process.Threads)
                    {
                        if (one.Credentials.Uid == uid) threads.Add(one);
                    }
                }
                break;
            default:
                return Errno.EINVAL;
        }
        threads.RemoveAll(static thread => !thread.IsStarted);
        return threads.Count == 0 ? Errno.ESRCH : Errno.None;
    }

    // ---- CPUs

    private static long SetAffinity(in SyscallArguments a)
    {
        int length = (int)Math.Min(a.A1, 8);
        Span<byte> bytes = stackalloc byte[8];
        bytes.Clear();
        if (a.Thread.Memory.Read(a.Address(2), bytes[..length]) != Errno.None) return -(long)Errno.EFAULT;
        Errno error = Find(a.Thread, a.Int(0), out Thread target);
        if (error != Errno.None) return error == Errno.EINVAL ? -(long)Errno.ESRCH : -(long)error;
        if (!MayChange(a.Thread, target)) return -(long)Errno.EPERM;
        var set = new CpuSet(BinaryPrimitives.ReadUInt64LittleEndian(bytes) & CpuSet.Online.Bits);
        if (set.Bits == 0) return -(long)Errno.EINVAL;
        LinuxScheduler.SetAffinity(target.Task, set);
        return 0;
    }

    private static long GetAffinity(in SyscallArguments a)
    {
        uint length = a.UInt(1);
        // A multiple of a word, with room for every CPU.
        if ((length & 7) != 0 || length * 8UL < (ulong)(64 - BitOperations.LeadingZeroCount(CpuSet.Online.Bits))) return -(long)Errno.EINVAL;
        Errno error = Find(a.Thread, a.Int(0), out Thread target);
        if (error != Errno.None) return error == Errno.EINVAL ? -(long)Errno.ESRCH : -(long)error;
        ulong bits = (target.Task.Affinity?.Bits ?? ulong.MaxValue) & CpuSet.Online.Bits;
        return a.Thread.Memory.Write(a.Address(2), bits) == Errno.None ? 8 : -(long)Errno.EFAULT;
    }

    private static long GetCpu(in SyscallArguments a)
    {
        int cpu = AttributesOf(a.Thread).Statistics.Cpu;
        if (a.A0 != 0 && a.Thread.Memory.Write(a.Address(0), Math.Max(cpu, 0)) != Errno.None) return -(long)Errno.EFAULT;
        return a.A1 == 0 || a.Thread.Memory.Write(a.Address(1), 0) == Errno.None ? 0 : -(long)Errno.EFAULT;
    }
}
