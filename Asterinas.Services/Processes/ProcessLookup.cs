using Asterinas.Ostd.Sync;
using Asterinas.Services.Signals;

namespace Asterinas.Services.Processes;

/// <summary>Finds processes and threads by the numbers that the caller sees, and says what the caller may do to them.</summary>
internal static class ProcessLookup
{
    /// <summary>The thread with a number; 0 is the caller. Null for none.</summary>
    public static Thread? FindThread(Thread caller, int tid) => tid == 0 ? caller : tid < 0 ? null : caller.Namespaces.Pid.Find(tid)?.Thread;

    /// <summary>The process with a number, or of the thread with it; 0 is the caller's. Zombies are found. Null for none.</summary>
    public static Process? FindProcess(Thread caller, int pid)
    {
        if (pid == 0) return caller.Process;
        if (pid < 0 || caller.Namespaces.Pid.Find(pid) is not { } found) return null;
        return found.Process ?? found.Thread?.Process;
    }

    /// <summary>The process whose first thread has the number.</summary>
    public static Process? FindLeader(Thread caller, int pid) => pid == 0 ? caller.Process : pid < 0 ? null : caller.Namespaces.Pid.Find(pid)?.Process;

    /// <summary>Whether the caller may send a signal (man 2 kill).</summary>
    public static bool MaySignal(Thread caller, Process target, Signal signal)
    {
        if (ReferenceEquals(caller.Process, target)) return true;
        Credentials own = caller.Credentials, theirs = target.Credentials;
        if (own.EffectiveUid == theirs.SavedUid || own.EffectiveUid == theirs.Uid || own.Uid == theirs.SavedUid || own.Uid == theirs.Uid) return true;
        if (own.HasIn(theirs.UserNamespace, Capability.Kill)) return true;
        return signal == Signal.SIGCONT && ReferenceEquals(target.Session, caller.Process.Session);
    }

    /// <summary>What comes with a signal that a thread sends.</summary>
    public static SignalInfo InfoFrom(Thread sender, Process target, Signal signal, int code) => new(signal, code)
    {
        Pid = sender.Process.Pid.NumberIn(target.Pid.Namespace), Uid = target.Credentials.UserNamespace.UidToUser(sender.Credentials.Uid),
    };

    /// <summary>Whether the sender is outside the target's pid namespace: its signals reach the namespace's init.</summary>
    public static bool IsAbove(Thread sender, Process target) => !sender.Process.Pid.Namespace.IsWithin(target.Pid.Namespace);

    /// <summary>Checks and sends; signal 0 only checks. EPERM, EAGAIN.</summary>
    public static Errno Send(Thread sender, Process target, Thread? thread, in SignalInfo info)
    {
        if (!MaySignal(sender, target, info.Signal)) return Errno.EPERM;
        return info.Signal == Signal.None ? Errno.None : target.Send(info, thread, null, IsAbove(sender, target));
    }
}
