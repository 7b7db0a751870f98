using Asterinas.Ostd.Sync;

namespace Asterinas.Services.Processes;

/// <summary>Changes of who a thread acts as.</summary>
internal sealed partial class Thread
{
    /// <summary>Whether a change of the user went over RLIMIT_NPROC: the next exec fails with EAGAIN while it still is (man 2 execve).</summary>
    internal bool HasTooManyProcesses;

    /// <summary>
    /// Replaces the credentials. What others may see of a process whose rights changed is restricted (man 2 prctl, PR_SET_DUMPABLE), and the user's thread count follows.
    /// </summary>
    public void ChangeCredentials(Credentials changed)
    {
        Credentials old = Credentials;
        bool isOther = old.EffectiveUid != changed.EffectiveUid || old.EffectiveGid != changed.EffectiveGid || old.FsUid != changed.FsUid || old.FsGid != changed.FsGid
            || (changed.Permitted & ~old.Permitted) != 0;
        if (isOther)
        {
            Process.Dumpable = 0;
            ParentDeathSignal = 0;
        }
        if (old.Uid != changed.Uid)
        {
            UserAccount.Of(old.Uid).RemoveThread();
            UserAccount account = UserAccount.Of(changed.Uid);
            account.AddThread();
            HasTooManyProcesses = changed.Uid != 0 && (ulong)account.Threads > Process.Limits.Soft(Resource.Processes);
        }
        Credentials = changed;
    }
}

/// <summary>Who a process acts as, also when its threads are gone.</summary>
internal sealed partial class Process
{
    private Credentials? _lastCredentials;

    /// <summary>Those of its first thread.</summary>
    public Credentials Credentials
    {
        get
        {
            using SpinLock.Guard guard = SignalLock.Lock();
            return Threads.Count != 0 ? Threads[0].Credentials : _lastCredentials!;
        }
    }
}
