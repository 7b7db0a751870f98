using System.Collections.Generic;
using Asterinas.Ostd.Sync;

namespace Asterinas.Services.Processes;

/// <summary>
/// Who is whose child, and in which group and session. One lock guards all links, as the tasklist lock does on Linux: changes are rare and touch several processes.
/// LOCK ORDER: the tree, then a process' signal lock, then a terminal's lock.
/// </summary>
internal static class ProcessTree
{
    /// <summary>Guards Parent, Children, Group, Session, group members, session members, and the references in <see cref="Pid"/>.</summary>
    public static readonly SpinLock Lock = new("process tree");
}

/// <summary>A process group (man 2 setpgid): processes that a terminal's signals reach together.</summary>
internal sealed class ProcessGroup(Pid pid, Session session)
{
    public Pid Pid { get; } = pid;
    public Session Session { get; } = session;
    // Under the tree lock.
    public readonly List<Process> Members = [];
}

/// <summary>A session (man 2 setsid): process groups that share a controlling terminal.</summary>
internal sealed class Session(Pid pid)
{
    public Pid Pid { get; } = pid;
    // Under the tree lock.
    public readonly List<ProcessGroup> Groups = [];
    /// <summary>The controlling terminal; null for none.</summary>
    public Devices.Tty.Terminal? Terminal;
    /// <summary>The process that founded it; null after its end.</summary>
    public Process? Leader;
}
