using System.Threading;
using Asterinas.Services.Processes;
using Asterinas.Services.Signals;

namespace Asterinas.Services.Devices.Tty;

/// <summary>A terminal as sessions know it (man 4 tty): whom it controls, and who is in the foreground. Line discipline and driver lie behind it.</summary>
internal abstract class Terminal
{
    /// <summary>The session that it controls; under the tree lock.</summary>
    public Session? Session;
    /// <summary>The foreground process group; under the tree lock.</summary>
    public ProcessGroup? Foreground;
    /// <summary>Its device number.</summary>
    public abstract Vfs.DeviceNumber Device { get; }

    /// <summary>The line is cut (man 2 vhangup): all who have it open are told, its session loses it.</summary>
    public abstract void HangUp();

    /// <summary>The controlling terminal of a process; null for none.</summary>
    public static Terminal? Of(Process process) => process.HasLeftTerminal ? null : Volatile.Read(ref process.Session.Terminal);

    /// <summary>
    /// Makes it the controlling terminal of the caller's session. EPERM when the caller does not lead its session, the session has a terminal, or the terminal controls another session
    /// and is not to be taken from it (ioctl_tty(2), TIOCSCTTY).
    /// </summary>
    public Errno TakeControl(Process process, bool isStealing)
    {
        using SpinLock.Guard guard = ProcessTree.Lock.Lock();
        Session session = process.Session;
        if (ReferenceEquals(session.Leader, process) && ReferenceEquals(session.Terminal, this)) return Errno.None;
        if (!ReferenceEquals(session.Leader, process) || session.Terminal is not null) return Errno.EPERM;
        if (Session is not null)
        {
            if (!isStealing) return Errno.EPERM;
            Session.Terminal = null;
        }
        Session = session;
        Foreground = process.Group;
        Volatile.Write(ref session.Terminal, this);
        process.HasLeftTerminal = false;
        return Errno.None;
    }

    /// <summary>
    /// A process gives its controlling terminal up (TIOCNOTTY). With its leader the whole session does, and the foreground group is told by SIGHUP and SIGCONT.
    /// </summary>
    public void GiveUpControl(Process process)
    {
        using SpinLock.Guard guard = ProcessTree.Lock.Lock();
        Session session = process.Session;
        if (!ReferenceEquals(session.Terminal, this)) return;
        if (!ReferenceEquals(session.Leader, process))
        {
            process.HasLeftTerminal = true;
            return;
        }
        Send(Foreground, Signal.SIGHUP);
        Send(Foreground, Signal.SIGCONT);
        Detach();
    }

    /// <summary>Whether the end of the session's leader cuts the line: not that of a pseudo-terminal, which others may use on.</summary>
    protected virtual bool IsCutWithLeader => true;

    /// <summary>The leader of a session has ended: its terminal is cut off, or at least leaves the session. Called without locks.</summary>
    public static void OnLeaderExit(Session session)
    {
        if (Volatile.Read(ref session.Terminal) is not { } terminal) return;
        if (terminal.IsCutWithLeader)
        {
            terminal.HangUp();
            return;
        }
        using SpinLock.Guard guard = ProcessTree.Lock.Lock();
        if (!ReferenceEquals(terminal.Session, session)) return;
        Send(terminal.Foreground, Signal.SIGHUP);
        terminal.Detach();
    }

    /// <summary>Sends a signal of the kernel's own to the foreground group.</summary>
    public void SignalForeground(Signal signal)
    {
        using SpinLock.Guard guard = ProcessTree.Lock.Lock();
        Send(Foreground, signal);
    }

    /// <summary>
    /// Whether a process may use the terminal now (man 3 termios, "job control"): one in the background is stopped by the signal, unless it blocks or ignores it.
    /// </summary>
    /// <param name="thread">The caller.</param>
    /// <param name="signal">SIGTTIN for reading, SIGTTOU for writing and changing.</param>
    /// <returns>None; EIO; ERESTARTSYS after the signal was sent.</returns>
    public Errno CheckForeground(Thread thread, Signal signal)
    {
        Process process = thread.Process;
        if (ReferenceEquals(process.Group, Volatile.Read(ref Foreground)) || !ReferenceEquals(Of(process), this)) return Errno.None;
        bool isIgnored = thread.IsIgnoredOrBlocked(signal);
        using SpinLock.Guard guard = ProcessTree.Lock.Lock();
        if (Foreground is null || ReferenceEquals(process.Group, Foreground)) return Errno.None;
        if (isIgnored) return signal == Signal.SIGTTIN ? Errno.EIO : Errno.None;
        if (IsOrphaned(process.Group)) return Errno.EIO;
        Send(process.Group, signal);
        return Errno.ERESTARTSYS;
    }

    /// <summary>Takes the terminal from its session; under the tree lock.</summary>
    protected void Detach()
    {
        if (Session is not null && ReferenceEquals(Session.Terminal, this)) Volatile.Write(ref Session.Terminal, null);
        Session = null;
        Foreground = null;
    }

    /// <summary>Sends a signal to all of a group; under the tree lock.</summary>
    protected static void Send(ProcessGroup? group, Signal signal)
    {
        if (group is null) return;
        for (int i = 0; i < group.Members.Count; i++) group.Members[i].Kill(signal);
    }

    // Nobody of the same session outside the group could continue what is stopped (POSIX, "orphaned process group").
    private static bool IsOrphaned(ProcessGroup group)
    {
        for (int i = 0; i < group.Members.Count; i++)
        {
            Process? parent = group.Members[i].Parent;
            if (parent is not null && !ReferenceEquals(parent.Group, group) && ReferenceEquals(parent.Session, group.Session)) return false;
        }
        return true;
    }
}
