using System;
using System.Globalization;
using Asterinas.Services.FileSystems.Pseudo;
using Asterinas.Services.Processes;
using Asterinas.Services.Vfs;

namespace Asterinas.Services.FileSystems.ProcFs;

/// <summary>
/// /proc (man 5 proc): what the kernel knows, as text. Shows the processes of one pid namespace. Contents are made when a file is read; nothing here is on a hot path.
/// </summary>
internal sealed class ProcFileSystem : PseudoFileSystem
{
    private readonly ProcRoot _root;

    public ProcFileSystem(PidNamespace pids)
    {
        Pids = pids;
        _root = new ProcRoot(this);
        SystemFiles.Fill(_root);
        SystemControls.Fill(_root.AddDirectory("sys"));
    }

    /// <summary>Whose processes are shown.</summary>
    public PidNamespace Pids { get; }

    public override string TypeName => "proc";
    public override ulong Magic => 0x9FA0;
    public override Inode Root => _root;

    /// <summary>The pid of a thread as this /proc shows it; 0 when it does not.</summary>
    public int NumberOf(Pid pid) => pid.NumberIn(Pids);
}

/// <summary>The top of /proc: fixed files, "self" and "thread-self", and a directory for each process.</summary>
internal sealed class ProcRoot : PseudoDirectory
{
    // Behind the fixed entries: the position of a process is its number plus this.
    private const long FirstProcess = 1024;
    private readonly ProcFileSystem _proc;

    public ProcRoot(ProcFileSystem proc) : base(proc)
    {
        _proc = proc;
        AddLink("self", thread => proc.NumberOf(thread.Process.Pid) is > 0 and int number ? Text(number) : null);
        AddLink("thread-self", thread => proc.NumberOf(thread.Pid) is > 0 and int number ? $"{proc.NumberOf(thread.Process.Pid)}/task/{number}" : null);
        AddLink("mounts", static _ => "self/mounts");
        AddLink("net", static _ => "self/net");
    }

    public override bool IsCacheable => false;

    public override Result<Inode> Lookup(ReadOnlySpan<byte> name)
    {
        Result<Inode> known = base.Lookup(name);
        if (known.IsOk) return known;
        if (!TryParse(name, out int number) || _proc.Pids.Find(number) is not { } pid) return Errno.ENOENT;
        if (pid.Process is { } process) return ProcessDirectory.Create(_proc, process, null);
        // Threads are not listed, but they are there (man 5 proc, /proc/tid).
        return pid.Thread is { } thread ? ProcessDirectory.Create(_proc, thread.Process, thread) : Errno.ENOENT;
    }

    public override Result<long> ReadDirectory(long position, IDirectorySink sink)
    {
        if (position < FirstProcess)
        {
            Result<long> reached = base.ReadDirectory(position, sink);
            if (!reached.IsOk || reached.Value < FirstFixed + FixedCount) return reached;
            position = FirstProcess;
        }
        Span<byte> text = stackalloc byte[16];
        for (int number; (number = _proc.Pids.NextProcess((int)(position - FirstProcess))) != 0; position = FirstProcess + number + 1)
        {
            number.TryFormat(text, out int length, default, CultureInfo.InvariantCulture);
            if (!sink.Add(text[..length], (uint)number | 1UL << 32, InodeType.Directory, FirstProcess + number + 1)) break;
        }
        return position;
    }

    /// <summary>A decimal number without sign and leading zeroes.</summary>
    internal static bool TryParse(ReadOnlySpan<byte> name, out int number)
    {
        number = 0;
        return name.Length is > 0 and <= 10 && name[0] is not ((byte)'0' or (byte)'+' or (byte)'-')
            && int.TryParse(name, NumberStyles.None, CultureInfo.InvariantCulture, out number);
    }

    internal static string Text(int number) => number.ToString(CultureInfo.InvariantCulture);
}
