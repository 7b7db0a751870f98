namespace Asterinas.Services.Processes;

/// <summary>Whether a thread may look into another process (man 2 ptrace, "Ptrace access mode checking").</summary>
internal static class ProcessAccess
{
    /// <summary>PTRACE_MODE_ATTACH_REALCREDS: all the target's ids are the caller's real ones, or the caller has CAP_SYS_PTRACE.</summary>
    public static bool MayRead(Thread caller, Process target)
    {
        if (ReferenceEquals(caller.Process, target)) return true;
        Credentials own = caller.Credentials;
        if (own.Has(Capability.SysPtrace)) return true;
        if (target.Threads.Count == 0) return false;
        Credentials theirs = target.Threads[0].Credentials;
        return own.Uid == theirs.Uid && own.Uid == theirs.EffectiveUid && own.Uid == theirs.SavedUid
            && own.Gid == theirs.Gid && own.Gid == theirs.EffectiveGid && own.Gid == theirs.SavedGid && (theirs.Permitted & ~own.Permitted) == 0;
    }
}
