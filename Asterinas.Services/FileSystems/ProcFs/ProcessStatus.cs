using System;
using System.Text;
using Asterinas.Ostd.Smp;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Scheduling;
using Asterinas.Services.Signals;

namespace Asterinas.Services.FileSystems.ProcFs;

/// <summary>/proc/PID/stat, status, statm, limits, schedstat (man 5 proc_pid_stat and its neighbours).</summary>
internal static class ProcessStatus
{
    private const ulong NsPerTick = 10000000;

    public static void AppendStat(StringBuilder text, ProcFileSystem proc, Process process, Thread? only)
    {
        Thread? subject = only ?? process.Leader;
        ProcessLinks links = process.Links;
        ResourceCounts own = only?.Usage ?? process.Usage, children = process.ChildUsage.Counts;
        SchedulingAttributes? scheduling = subject is null ? null : LinuxScheduler.AttributesOf(subject.Task);
        int nice = scheduling?.Nice ?? 0, realTime = scheduling?.Parameters.Priority ?? 0;
        int priority = realTime > 0 ? -1 - realTime : 20 + nice;
        using var user = new MemoryUser(process);
        AddressSpace? memory = process.IsZombie ? null : user.Memory;
        (SignalSet ignored, SignalSet caught) = process.ActionSets;
        text.Append(Format($"{proc.NumberOf(only?.Pid ?? process.Pid)} ({Encoding.Latin1.GetString(subject?.Name ?? process.LastName)}) {State(process, subject)} {NumberOf(proc, links.Parent)} {proc.NumberOf(links.Group)} {proc.NumberOf(links.Session)} "));
        text.Append(Format($"{links.Terminal?.Encoded ?? 0} {(links.Foreground is null ? -1 : proc.NumberOf(links.Foreground))} {0x400000} "));
        text.Append(Format($"{own.MinorFaults} {children.MinorFaults} {own.MajorFaults} {children.MajorFaults} {own.Times.UserNs / NsPerTick} {own.Times.SystemNs / NsPerTick} {children.Times.UserNs / NsPerTick} {children.Times.SystemNs / NsPerTick} "));
        text.Append(Format($"{priority} {nice} {links.ThreadCount} 0 {process.StartNs / NsPerTick} {(memory?.TotalPages ?? 0) << 12} {memory?.ResidentPages ?? 0} {process.Limits.Soft(Resource.Rss)} "));
        text.Append(Format($"{memory?.CodeStart ?? 0} {memory?.CodeEnd ?? 0} {memory?.StackStart ?? 0} 0 0 "));
        text.Append(Format($"{(subject?.Pending.Bits ?? 0) & 0x7FFFFFFF} {(subject?.Blocked.Bits ?? 0) & 0x7FFFFFFF} {ignored.Bits & 0x7FFFFFFF} {caught.Bits & 0x7FFFFFFF} "));
        text.Append(Format($"0 0 0 17 {Math.Max(scheduling?.Statistics.Cpu ?? 0, 0)} {realTime} {(int)(scheduling?.Parameters.Policy ?? 0)} 0 0 0 "));
        text.Append(Format($"{memory?.DataStart ?? 0} {memory?.DataEnd ?? 0} {memory?.HeapStart ?? 0} {memory?.ArgumentsStart ?? 0} {memory?.ArgumentsEnd ?? 0} {memory?.EnvironmentStart ?? 0} {memory?.EnvironmentEnd ?? 0} {(process.IsZombie ? process.ExitStatus : 0)}\n"));
    }

    public static void AppendStatus(StringBuilder text, ProcFileSystem proc, Process process, Thread? subject)
    {
        ProcessLinks links = process.Links;
        Credentials? who = subject?.Credentials;
        char state = State(process, subject);
        string word = state switch { 'R' => "running", 'S' => "sleeping", 'D' => "disk sleep", 'T' => "stopped", 't' => "tracing stop", 'Z' => "zombie", _ => "dead" };
        text.Append(Format($"Name:\t{Encoding.Latin1.GetString(subject?.Name ?? process.LastName)}\nUmask:\t{Convert.ToString(subject?.FileSystem.Umask ?? 0, 8).PadLeft(4, '0')}\nState:\t{state} ({word})\n"));
        int pid = proc.NumberOf(subject?.Pid ?? process.Pid);
        text.Append(Format($"Tgid:\t{proc.NumberOf(process.Pid)}\nNgid:\t0\nPid:\t{pid}\nPPid:\t{NumberOf(proc, links.Parent)}\nTracerPid:\t0\n"));
        if (who is not null)
        {
            text.Append(Format($"Uid:\t{who.Uid}\t{who.EffectiveUid}\t{who.SavedUid}\t{who.FsUid}\nGid:\t{who.Gid}\t{who.EffectiveGid}\t{who.SavedGid}\t{who.FsGid}\n"));
        }
        text.Append(Format($"FDSize:\t{subject?.Files.Capacity ?? 0}\nGroups:\t{string.Join(' ', who?.Groups ?? [])} \n"));
        text.Append(Format($"NStgid:\t{proc.NumberOf(process.Pid)}\nNSpid:\t{pid}\nNSpgid:\t{proc.NumberOf(links.Group)}\nNSsid:\t{proc.NumberOf(links.Session)}\n"));
        using (var user = new MemoryUser(process))
        {
            if (!process.IsZombie && user.Memory is { } memory)
            {
                text.Append(Format($"VmPeak:\t{memory.TotalPages * 4,8} kB\nVmSize:\t{memory.TotalPages * 4,8} kB\nVmLck:\t{memory.LockedPages * 4,8} kB\nVmPin:\t{0,8} kB\nVmHWM:\t{memory.ResidentPages * 4,8} kB\nVmRSS:\t{memory.ResidentPages * 4,8} kB\n"));
                text.Append(Format($"RssAnon:\t{memory.ResidentPages * 4,8} kB\nRssFile:\t{0,8} kB\nRssShmem:\t{0,8} kB\nVmData:\t{memory.DataPages * 4,8} kB\nVmStk:\t{132,8} kB\nVmExe:\t{(memory.CodeEnd - memory.CodeStart) >> 10,8} kB\nVmLib:\t{0,8} kB\nVmPTE:\t{0,8} kB\nVmSwap:\t{0,8} kB\n"));
            }
        }
        (SignalSet ignored, SignalSet caught) = process.ActionSets;
        long queued = UserAccount.Of(who?.Uid ?? 0).Signals;
        text.Append(Format($"CoreDumping:\t0\nTHP_enabled:\t0\nThreads:\t{links.ThreadCount}\nSigQ:\t{queued}/{process.Limits.Soft(Resource.PendingSignals)}\n"));
        SignalSet shared = process.SharedPending;
        text.Append(Format($"SigPnd:\t{(subject?.Pending ?? default).Bits & ~shared.Bits:x16}\nShdPnd:\t{shared.Bits:x16}\nSigBlk:\t{subject?.Blocked.Bits ?? 0:x16}\nSigIgn:\t{ignored.Bits:x16}\nSigCgt:\t{caught.Bits:x16}\n"));
        if (who is not null)
        {
            text.Append(Format($"CapInh:\t{who.Inheritable:x16}\nCapPrm:\t{who.Permitted:x16}\nCapEff:\t{who.Effective:x16}\nCapBnd:\t{who.Bounding:x16}\nCapAmb:\t{who.Ambient:x16}\n"));
        }
        text.Append(Format($"NoNewPrivs:\t{(subject?.HasNoNewPrivileges == true ? 1 : 0)}\nSeccomp:\t0\nSeccomp_filters:\t0\nSpeculation_Store_Bypass:\tvulnerable\n"));
        ulong allowed = (subject?.Task.Affinity?.Bits ?? ulong.MaxValue) & CpuSet.Online.Bits;
        text.Append(Format($"Cpus_allowed:\t{allowed:x}\nCpus_allowed_list:\t{CpuList(allowed)}\nMems_allowed:\t1\nMems_allowed_list:\t0\n"));
        TaskStatistics had = subject is null ? default : LinuxScheduler.AttributesOf(subject.Task)?.Statistics ?? default;
        text.Append(Format($"voluntary_ctxt_switches:\t{had.VoluntarySwitches}\nnonvoluntary_ctxt_switches:\t{had.InvoluntarySwitches}\n"));
    }

    private static string Format(FormattableString text) => SystemFiles.Format(text);

    public static void AppendMemory(StringBuilder text, Process process)
    {
        using var user = new MemoryUser(process);
        AddressSpace? memory = process.IsZombie ? null : user.Memory;
        text.Append(SystemFiles.Format($"{memory?.TotalPages ?? 0} {memory?.ResidentPages ?? 0} 0 {(memory is null ? 0 : (memory.CodeEnd - memory.CodeStart + 4095) >> 12)} 0 {memory?.DataPages ?? 0} 0\n"));
    }

    public static void AppendLimits(StringBuilder text, Process process)
    {
        ReadOnlySpan<string> names =
        [
            "Max cpu time", "Max file size", "Max data size", "Max stack size", "Max core file size", "Max resident set", "Max processes", "Max open files", "Max locked memory",
            "Max address space", "Max file locks", "Max pending signals", "Max msgqueue size", "Max nice priority", "Max realtime priority", "Max realtime timeout",
        ];
        ReadOnlySpan<string> units =
        [
            "seconds", "bytes", "bytes", "bytes", "bytes", "bytes", "processes", "files", "bytes", "bytes", "locks", "signals", "bytes", "", "", "us",
        ];
        text.Append("Limit                     Soft Limit           Hard Limit           Units     \n");
        for (int i = 0; i < names.Length; i++)
        {
            Limit limit = process.Limits[(Resource)i];
            text.Append(SystemFiles.Format($"{names[i],-25} {Value(limit.Soft),-20} {Value(limit.Hard),-20} {units[i],-10}\n"));
        }

        static string Value(ulong value) => value == ResourceLimits.Infinity ? "unlimited" : SystemFiles.Format($"{value}");
    }

    public static void AppendScheduling(StringBuilder text, Thread? subject)
    {
        TaskStatistics had = subject is null ? default : LinuxScheduler.AttributesOf(subject.Task)?.Statistics ?? default;
        text.Append(SystemFiles.Format($"{had.RunNs} {had.WaitNs} {had.Turns}\n"));
    }

    private static int NumberOf(ProcFileSystem proc, Pid? pid) => pid is null ? 0 : proc.NumberOf(pid);

    private static char State(Process process, Thread? subject)
    {
        if (subject is null || process.IsZombie) return 'Z';
        if (process.IsStopped) return 'T';
        return subject.Task.State switch
        {
            Ostd.Tasks.TaskState.Runnable or Ostd.Tasks.TaskState.Running => 'R',
            Ostd.Tasks.TaskState.Exited => 'X',
            _ => 'S',
        };
    }

    private static string CpuList(ulong bits)
    {
        var text = new StringBuilder();
        for (int cpu = 0; cpu < 64; cpu++)
        {
            if ((bits >> cpu & 1) == 0) continue;
            int last = cpu;
            while (last < 63 && (bits >> (last + 1) & 1) != 0) last++;
            if (text.Length > 0) text.Append(',');
            text.Append(cpu);
            if (last > cpu) text.Append('-').Append(last);
            cpu = last;
        }
        return text.ToString();
    }
}
