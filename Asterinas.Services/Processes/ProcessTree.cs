using System.Collections.Generic;
using Asterinas.Ostd.Sync;
using Asterinas.Services.Signals;

namespace Asterinas.Services.Processes;

/// <summary>
/// Who is whose child, and in which group and session. One lock guards all links, as the tasklist lock does on Linux: changes are rare and touch several processes.
/// LOCK ORDER: the tree, then a process' signal lock, then a terminal's lock, then a pid namespace.
/// </summary>
internal static class ProcessTree
{
    /// <summary>Guards Parent, Children, Group, Session, group members, session members, and the references in <see cref="Pid"/>.</summary>
    public static readonly SpinLock Lock = new("process tree");
}

/// <summary>A process group (man 2 setpgid): processes that a terminal's signals reach together. All members are called under the tree lock.</summary>
internal sealed class ProcessGroup
{
    public ProcessGroup(Pid pid, Session session)
    {
        Pid = pid;
        Session = session;
        pid.Group = this;
        session.Groups.Add(this);
    }

    public Pid Pid { get; }
    public Session Session { get; }
    public readonly List<Process> Members = [];

    public void Add(Process process)
    {
        Members.Add(process);
        process.Group = this;
    }

    /// <summary>A process leaves; an empty group is gone, and an empty session with it.</summary>
    public void Remove(Process process)
    {
        Members.Remove(process);
        if (Members.Count != 0) return;
        Pid.Group = null;
        PidNamespace.Release(Pid);
        if (Session.Terminal is { } terminal && ReferenceEquals(terminal.Foreground, this)) terminal.Foreground = null;
        Session.Remove(this);
    }

    /// <summary>Sends every member a signal of the kernel's own.</summary>
    public void SendKernel(Signal signal)
    {
        foreach (Process member in Members) member.Kill(signal);
    }

    /// <summary>Whether no member has a parent in another group of the same session.</summary>
    /// <param name="ignored">A member that does not count: it ends.</param>
    /// <param name="formerParent">Not used as a link any more; null for none.</param>
    public bool IsOrphaned(Process? ignored, Process? formerParent)
    {
        foreach (Process member in Members)
        {
            if (ReferenceEquals(member, ignored) || member.IsZombie) continue;
            if (member.Parent is not { } parent || ReferenceEquals(parent, formerParent) || parent.IsNamespaceInit) continue;
            if (!ReferenceEquals(parent.Group, this) && ReferenceEquals(parent.Session, Session)) return false;
        }
        return true;
    }

    /// <summary>
    /// A process ends. When that orphans the group, and some of it has stopped, nobody could continue it: it gets SIGHUP and SIGCONT (POSIX, _Exit).
    /// </summary>
    /// <param name="member">The member that ends, or whose parent ends.</param>
    /// <param name="endingParent">The parent that ends; null when the member itself does.</param>
    public void HangUpIfOrphaned(Process member, Process? endingParent)
    {
        Process? link = endingParent ?? member.Parent;
        // Only a link from another group of the session has kept it from being an orphan.
        if (link is null || ReferenceEquals(link.Group, this) || !ReferenceEquals(link.Session, Session)) return;
        if (!IsOrphaned(endingParent is null ? member : null, endingParent) || !HasStopped) return;
        SendKernel(Signal.SIGHUP);
        SendKernel(Signal.SIGCONT);
    }

    private bool HasStopped
    {
        get
        {
            foreach (Process member in Members)
            {
                if (member.IsStopped) return true;
            }
            return false;
        }
    }
}

/// <summary>A session (man 2 setsid): process groups that share a controlling terminal.</summary>
internal sealed class Session
{
    public Session(Pid pid)
    {
        Pid = pid;
        pid.Session = this;
    }

    public Pid Pid { get; }
    // Under the tree lock.
    public readonly List<ProcessGroup> Groups = [];
    /// <summary>The controlling terminal; null for none.</summary>
    public Devices.Tty.Terminal? Terminal;
    /// <summary>The process that founded it; null after its end.</summary>
    public Process? Leader;

    internal void Remove(ProcessGroup group)
    {
        Groups.Remove(group);
        if (Groups.Count != 0) return;
        if (Terminal is { } terminal)
        {
            terminal.Session = null;
            terminal.Foreground = null;
            Terminal = null;
        }
        Pid.Session = null;
        PidNamespace.Release(Pid);
    }
}
