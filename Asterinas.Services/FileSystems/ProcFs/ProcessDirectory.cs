using System;
using System.Collections.Generic;
using System.Globalization;
using System.Text;
using Asterinas.Services.FileSystems.Pseudo;
using Asterinas.Services.Memory;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.FileSystems.ProcFs;

/// <summary>
/// /proc/PID and /proc/PID/task/TID. Made anew at each look-up, so it never keeps a process alive in the cache; a process that has ended since answers ESRCH.
/// </summary>
internal sealed class ProcessDirectory : PseudoDirectory
{
    private readonly ProcFileSystem _proc;
    private readonly Process _process;
    private readonly Thread? _thread;

    private ProcessDirectory(ProcFileSystem proc, Process process, Thread? thread, uint uid, uint gid) : base(proc, 0x16D, uid, gid)
    {
        _proc = proc;
        _process = process;
        _thread = thread;
    }

    public override bool IsCacheable => false;

    /// <summary>The directory of a process, or of one of its threads.</summary>
    public static Result<Inode> Create(ProcFileSystem proc, Process process, Thread? thread)
    {
        // Files belong to the effective user, those of a process that is not dumpable to root (man 5 proc_pid).
        Credentials? who = (thread ?? process.Leader)?.Credentials;
        bool isOwned = who is not null && process.Dumpable == 1;
        uint uid = isOwned ? who!.EffectiveUid : 0, gid = isOwned ? who!.EffectiveGid : 0;
        var directory = new ProcessDirectory(proc, process, thread, uid, gid);
        directory.Fill(uid, gid);
        return directory;
    }

    private Thread? Subject => _thread ?? _process.Leader;

    private void Fill(uint uid, uint gid)
    {
        File("stat", (_, text) => ProcessStatus.AppendStat(text, _proc, _process, _thread));
        File("status", (_, text) => ProcessStatus.AppendStatus(text, _proc, _process, Subject));
        File("statm", (_, text) => ProcessStatus.AppendMemory(text, _process));
        File("limits", (_, text) => ProcessStatus.AppendLimits(text, _process));
        File("wchan", static (_, text) => text.Append('0'));
        File("schedstat", (_, text) => ProcessStatus.AppendScheduling(text, Subject));
        File("cgroup", static (_, text) => text.Append("0::/\n"));
        File("maps", (_, text) => AppendMaps(text, isDetailed: false));
        File("smaps", (_, text) => AppendMaps(text, isDetailed: true));
        File("mounts", (_, text) => MountLists.AppendMounts(text, Subject));
        File("mountinfo", (_, text) => MountLists.AppendMountInfo(text, Subject));
        File("personality", (_, text) => text.Append(SystemFiles.Format($"{_process.Personality:x8}\n")), 0x100);
        File("coredump_filter", static (_, text) => text.Append("00000033\n"));
        File("oom_score", (_, text) => text.Append(SystemFiles.Format($"{OutOfMemoryKiller.Score(_process)}\n")));
        Add("oom_score_adj", new PseudoFile(_proc, (_, text) => text.Append(SystemFiles.Format($"{_process.OomAdjustment}\n")), SetOomAdjustment, 0x1A4, uid, gid));
        Add("comm", new PseudoFile(_proc, (_, text) => text.Append(Encoding.Latin1.GetString(Subject?.Name ?? [])).Append('\n'), SetName, 0x1A4, uid, gid));
        File("uid_map", static (_, text) => text.Append("         0          0 4294967295\n"));
        File("gid_map", static (_, text) => text.Append("         0          0 4294967295\n"));
        File("setgroups", static (_, text) => text.Append("allow\n"));
        File("loginuid", static (_, text) => text.Append("4294967295"));
        File("sessionid", static (_, text) => text.Append("4294967295"));
        Bytes("cmdline", 0x124, memory => ReadRange(memory, memory.ArgumentsStart, memory.ArgumentsEnd), uid, gid);
        Bytes("environ", 0x100, memory => ReadRange(memory, memory.EnvironmentStart, memory.EnvironmentEnd), uid, gid);
        Bytes("auxv", 0x100, static memory => memory.AuxiliaryVector, uid, gid);
        Add("exe", Link(uid, gid, () => _process.HasMemory ? _process.Memory.Executable?.Path : null));
        Add("cwd", Link(uid, gid, () => Subject?.FileSystem.Current));
        Add("root", Link(uid, gid, () => Subject?.FileSystem.Root));
        Add("fd", new DescriptorDirectory(_proc, this, isInformation: false, uid, gid));
        Add("fdinfo", new DescriptorDirectory(_proc, this, isInformation: true, uid, gid));
        PseudoDirectory ns = AddDirectory("ns");
        AddNamespaces(ns, uid, gid);
        NetworkFiles.Fill(AddDirectory("net"));
        if (_thread is null) Add("task", new TaskDirectory(_proc, _process, uid, gid));

        void File(string name, Action<Thread, StringBuilder> read, int permissions = 0x124) => Add(name, new PseudoFile(_proc, read, null, permissions, uid, gid));
    }

    /// <summary>The open files that the descriptors refer to; null after the end.</summary>
    internal FileTable? Files => Subject?.Files;

    private void AddNamespaces(PseudoDirectory ns, uint uid, uint gid)
    {
        One("pid", set => set.Pid);
        One("pid_for_children", set => set.PidForChildren);
        One("mnt", set => set.Mount);
        One("uts", set => set.Uts);
        One("ipc", set => set.Ipc);
        One("net", set => set.Network);
        Func<Thread, string?> user = _ => Subject is { } subject ? NamespaceFiles.Describe("user", subject.Credentials.UserNamespace) : null;
        ns.Add("user", new PseudoLink(_proc, user, uid, gid) { Follow = _ => NamespaceFiles.Open("user", Subject?.Credentials.UserNamespace) });

        void One(string name, Func<NamespaceSet, object> pick)
        {
            string kind = name == "pid_for_children" ? "pid" : name;
            ns.Add(name, new PseudoLink(_proc, _ => Subject is { } subject ? NamespaceFiles.Describe(kind, pick(subject.Namespaces)) : null, uid, gid)
            {
                Follow = _ => NamespaceFiles.Open(kind, Subject is { } subject ? pick(subject.Namespaces) : null),
            });
        }
    }

    private PseudoLink Link(uint uid, uint gid, Func<VfsPath?> find) =>
        new(_proc, thread => MayLook(thread) && find() is { } path ? PathText.Of(path, thread) : null, uid, gid)
        {
            Follow = thread => !MayLook(thread) ? Errno.EACCES : find() is { } path ? path : Errno.ENOENT,
        };

    private void Bytes(string name, int permissions, Func<AddressSpace, byte[]> read, uint uid, uint gid) =>
        Add(name, new PseudoFile(_proc, static (_, _) => { }, null, permissions, uid, gid) { ReadBytes = _ => UseMemory(read) });

    private Result<byte[]> UseMemory(Func<AddressSpace, byte[]> read)
    {
        using var user = new MemoryUser(_process);
        return _process.IsZombie || user.Memory is not { } memory ? Array.Empty<byte>() : read(memory);
    }

    private void AppendMaps(StringBuilder text, bool isDetailed)
    {
        using var user = new MemoryUser(_process);
        if (!_process.IsZombie && user.Memory is { } memory) MemoryMaps.Append(text, memory, isDetailed);
    }

    private bool MayLook(Thread thread) => ProcessAccess.MayRead(thread, _process);

    private static byte[] ReadRange(AddressSpace memory, ulong start, ulong end)
    {
        const ulong most = 1 << 20;
        if (end <= start) return [];
        var bytes = new byte[(int)Math.Min(end - start, most)];
        return memory.Read(new Ostd.Memory.UserAddress(start), bytes) == Errno.None ? bytes : [];
    }

    private Errno SetOomAdjustment(Thread thread, ReadOnlySpan<byte> text)
    {
        if (!SystemControls.TryNumber(text, -1000, 1000, out long value)) return Errno.EINVAL;
        if (value < _process.OomAdjustment && !thread.Credentials.Has(Capability.SysResource)) return Errno.EACCES;
        _process.OomAdjustment = (int)value;
        return Errno.None;
    }

    private Errno SetName(Thread thread, ReadOnlySpan<byte> text)
    {
        if (!ReferenceEquals(thread.Process, _process)) return Errno.EINVAL;
        ReadOnlySpan<byte> name = text.TrimEnd("\n\0"u8);
        if (Subject is { } subject) subject.Name = name[..Math.Min(name.Length, 15)].ToArray();
        return Errno.None;
    }
}

/// <summary>/proc/PID/task: a directory for each thread.</summary>
internal sealed class TaskDirectory(ProcFileSystem proc, Process process, uint uid, uint gid) : PseudoDirectory(proc, 0x16D, uid, gid)
{
    public override bool IsCacheable => false;

    /// <summary>Two, and one for each thread: what programs count threads by.</summary>
    public override int LinkCount => 2 + process.Threads.Count;

    public override Result<Inode> Lookup(ReadOnlySpan<byte> name)
    {
        if (!ProcRoot.TryParse(name, out int number)) return Errno.ENOENT;
        Thread? thread = proc.Pids.Find(number)?.Thread;
        return thread is not null && ReferenceEquals(thread.Process, process) ? ProcessDirectory.Create(proc, process, thread) : Errno.ENOENT;
    }

    public override Result<long> ReadDirectory(long position, IDirectorySink sink)
    {
        if (position < FirstFixed)
        {
            Result<long> reached = base.ReadDirectory(position, sink);
            if (!reached.IsOk || reached.Value < FirstFixed) return reached;
            position = FirstFixed;
        }
        var numbers = new List<int>();
        using (SpinLock.Guard guard = ProcessTree.Lock.Lock())
        {
            foreach (Thread thread in process.Threads) numbers.Add(proc.NumberOf(thread.Pid));
        }
        numbers.Sort();
        Span<byte> text = stackalloc byte[16];
        foreach (int number in numbers)
        {
            if (number < position - FirstFixed) continue;
            number.TryFormat(text, out int length, default, CultureInfo.InvariantCulture);
            if (!sink.Add(text[..length], (uint)number | 1UL << 33, InodeType.Directory, FirstFixed + number + 1)) break;
            position = FirstFixed + number + 1;
        }
        return position;
    }
}

/// <summary>/proc/PID/fd and fdinfo.</summary>
internal sealed class DescriptorDirectory(ProcFileSystem proc, ProcessDirectory owner, bool isInformation, uint uid, uint gid)
    : PseudoDirectory(proc, isInformation ? 0x16D : 0x140, uid, gid)
{
    public override bool IsCacheable => false;

    public override Result<Inode> Lookup(ReadOnlySpan<byte> name)
    {
        int number = 0;
        if (!name.SequenceEqual("0"u8) && !ProcRoot.TryParse(name, out number)) return Errno.ENOENT;
        if (!IsOpen(number)) return Errno.ENOENT;
        if (isInformation) return new PseudoFile(proc, (_, text) => Describe(number, text), null, 0x124, Uid, Gid);
        return new PseudoLink(proc, thread => Use(number, file => file.AnonymousName ?? PathText.Of(file.Path, thread)), Uid, Gid)
        {
            Follow = _ => Use(number, static file => file)?.Path is { } path ? path : Errno.ENOENT,
        };
    }

    public override Result<long> ReadDirectory(long position, IDirectorySink sink)
    {
        if (position < FirstFixed)
        {
            Result<long> reached = base.ReadDirectory(position, sink);
            if (!reached.IsOk || reached.Value < FirstFixed) return reached;
            position = FirstFixed;
        }
        Span<byte> text = stackalloc byte[16];
        if (owner.Files is not { } files) return position;
        for (int number; (number = files.NextOpen((int)(position - FirstFixed))) >= 0; position = FirstFixed + number + 1)
        {
            number.TryFormat(text, out int length, default, CultureInfo.InvariantCulture);
            if (!sink.Add(text[..length], (uint)number | 1UL << 34, isInformation ? InodeType.Regular : InodeType.SymbolicLink, FirstFixed + number + 1)) break;
        }
        return position;
    }

    private bool IsOpen(int number) => owner.Files?.NextOpen(number) == number;

    private T? Use<T>(int number, Func<OpenFile, T> use) where T : class
    {
        if (owner.Files is not { } files || files.Get(number, out FileHandle handle, allowPath: true) != Errno.None) return null;
        using (handle) return use(handle.File);
    }

    private void Describe(int number, StringBuilder text) => Use(number, file =>
    {
        text.Append(SystemFiles.Format($"pos:\t{file.Position}\nflags:\t0{Convert.ToString((int)file.Flags, 8)}\nmnt_id:\t{file.Path.Mount?.Id ?? 0}\nino:\t{file.Inode.Number}\n"));
        return text.Append(file.DescribeForProc());
    });
}
