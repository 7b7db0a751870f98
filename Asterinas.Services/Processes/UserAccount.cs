using System.Collections.Generic;
using System.Threading;

namespace Asterinas.Services.Processes;

/// <summary>What all processes of one real user have together: counts that limits are for (man 2 getrlimit). Kept once it was made; there are few users.</summary>
internal sealed class UserAccount
{
    private static readonly SpinLock s_lock = new("user accounts");
    private static readonly Dictionary<uint, UserAccount> s_accounts = [];

    private long _threads, _signals;

    private UserAccount(uint uid) => Uid = uid;

    /// <summary>The user, as the first user namespace knows him.</summary>
    public uint Uid { get; }

    /// <summary>Threads (RLIMIT_NPROC).</summary>
    public long Threads => Interlocked.Read(ref _threads);

    /// <summary>Queued signals (RLIMIT_SIGPENDING).</summary>
    public long Signals => Interlocked.Read(ref _signals);

    /// <summary>The account of a user.</summary>
    public static UserAccount Of(uint uid)
    {
        using SpinLock.Guard guard = s_lock.Lock();
        if (s_accounts.TryGetValue(uid, out UserAccount? account)) return account;
        account = new UserAccount(uid);
        s_accounts.Add(uid, account);
        return account;
    }

    public void AddThread() => Interlocked.Increment(ref _threads);
    public void RemoveThread() => Interlocked.Decrement(ref _threads);

    /// <summary>Counts a queued signal. False, and nothing is counted, beyond the limit.</summary>
    public bool TryAddSignal(ulong limit)
    {
        if ((ulong)Interlocked.Increment(ref _signals) <= limit) return true;
        Interlocked.Decrement(ref _signals);
        return false;
    }

    public void RemoveSignal() => Interlocked.Decrement(ref _signals);
}
