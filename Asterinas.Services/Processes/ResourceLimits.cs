using Asterinas.Ostd.Sync;

namespace Asterinas.Services.Processes;

/// <summary>Limits by their numbers on x86-64 (man 2 getrlimit).</summary>
internal enum Resource
{
    Cpu = 0, FileSize = 1, Data = 2, Stack = 3, Core = 4, Rss = 5, Processes = 6, OpenFiles = 7, LockedMemory = 8, AddressSpace = 9, Locks = 10, PendingSignals = 11,
    MessageQueue = 12, Nice = 13, RealTimePriority = 14, RealTimeCpu = 15, Count = 16,
}

/// <summary>A limit: what is enforced, and how far it may be raised.</summary>
/// <param name="Soft">Enforced; <see cref="ulong.MaxValue"/> for no limit.</param>
/// <param name="Hard">The ceiling for the soft limit.</param>
internal readonly record struct Limit(ulong Soft, ulong Hard);

/// <summary>The sixteen limits of a process.</summary>
internal sealed class ResourceLimits
{
    public const ulong Infinity = ulong.MaxValue;
    private readonly SpinLock _lock = new("limits");
    private readonly Limit[] _limits = new Limit[(int)Resource.Count];

    /// <summary>Linux' limits of the first process.</summary>
    /// <param name="threads">RLIMIT_NPROC and RLIMIT_SIGPENDING: half the threads that memory allows.</param>
    public static ResourceLimits CreateInitial(ulong threads)
    {
        var limits = new ResourceLimits();
        for (int i = 0; i < (int)Resource.Count; i++) limits._limits[i] = new Limit(Infinity, Infinity);
        limits._limits[(int)Resource.Stack] = new Limit(8 << 20, Infinity);
        limits._limits[(int)Resource.Core] = new Limit(0, Infinity);
        limits._limits[(int)Resource.Processes] = new Limit(threads, threads);
        limits._limits[(int)Resource.OpenFiles] = new Limit(1024, 4096);
        limits._limits[(int)Resource.LockedMemory] = new Limit(8 << 20, 8 << 20);
        limits._limits[(int)Resource.PendingSignals] = new Limit(threads, threads);
        limits._limits[(int)Resource.MessageQueue] = new Limit(819200, 819200);
        limits._limits[(int)Resource.Nice] = new Limit(0, 0);
        limits._limits[(int)Resource.RealTimePriority] = new Limit(0, 0);
        return limits;
    }

    public Limit this[Resource resource]
    {
        get { using SpinLock.Guard guard = _lock.Lock(); return _limits[(int)resource]; }
        set { using SpinLock.Guard guard = _lock.Lock(); _limits[(int)resource] = value; }
    }

    /// <summary>What is enforced.</summary>
    public ulong Soft(Resource resource) => this[resource].Soft;

    /// <summary>A copy for fork(2).</summary>
    public ResourceLimits Copy()
    {
        var copy = new ResourceLimits();
        using SpinLock.Guard guard = _lock.Lock();
        _limits.CopyTo(copy._limits, 0);
        return copy;
    }
}
