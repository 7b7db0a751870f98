using System;
using System.Threading;
using Asterinas.Ostd.Tasks;

namespace Asterinas.Services.Scheduling;

/// <summary>
/// The policy, on entities: <see cref="LinuxScheduler"/> puts tasks on it, tests put simulated ones. Any CPU may call anything at any time; what says "its CPU" is called by that
/// CPU only.
/// <code>
///   operation               │ locks
///   enqueue, stray          │ the chosen queue
///   update, pick, dequeue   │ the own queue
///   pull, push              │ two queues, in the order of the CPU numbers
///   change of parameters    │ the queue that the entity is in
///   choice of a CPU         │ none: reads published numbers, which may be out of date
/// </code>
/// </summary>
internal sealed class SchedulerCore
{
    /// <summary>Nanoseconds between two looks at the balance by one busy CPU.</summary>
    public const ulong BalanceIntervalNs = 10_000_000;

    private readonly Func<ulong> _clock;
    private readonly Action<int> _kick;
    private readonly RunQueue[] _queues;
    private readonly Placement _placement;
    private readonly Balancer _balancer;
    private readonly ulong _allCpus;
    private ulong _idleCpus;
    private int _waitingRealTime;

    /// <summary>Empty queues.</summary>
    /// <param name="cpuCount">1 to 64.</param>
    /// <param name="clock">Nanoseconds; never goes back on one CPU.</param>
    /// <param name="kick">Makes a CPU look at its queue soon. Called without a lock.</param>
    public SchedulerCore(int cpuCount, Func<ulong> clock, Action<int> kick)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(cpuCount, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(cpuCount, 64);
        _clock = clock;
        _kick = kick;
        _allCpus = _idleCpus = cpuCount == 64 ? ulong.MaxValue : (1UL << cpuCount) - 1;
        _queues = new RunQueue[cpuCount];
        for (int cpu = 0; cpu < cpuCount; cpu++) _queues[cpu] = new RunQueue(cpu, this);
        _placement = new Placement(this);
        _balancer = new Balancer(this);
    }

    public int CpuCount => _queues.Length;

    public ulong Now => _clock();

    /// <summary>Bit n: CPU n has nothing to run.</summary>
    public ulong IdleCpus => Volatile.Read(ref _idleCpus);

    /// <summary>Whether a real-time entity waits somewhere.</summary>
    public bool IsRealTimeWaiting => Volatile.Read(ref _waitingRealTime) != 0;

    public RunQueue Queue(int cpu) => _queues[cpu];

    /// <summary>The CPUs that an entity may run on. An affinity without any CPU counts as none.</summary>
    public ulong AllowedOf(Entity entity)
    {
        ulong allowed = entity.Affinity & _allCpus;
        return allowed == 0 ? _allCpus : allowed;
    }

    public bool MayRunOn(Entity entity, int cpu) => (AllowedOf(entity) >> cpu & 1) != 0;

    public void Kick(int cpu) => _kick(cpu);

    /// <summary>Takes in an entity that wants to run.</summary>
    /// <returns>The CPU that should look at its queue, or -1. An entity that is queued already stays as it is.</returns>
    public int Enqueue(Entity entity, EnqueueReason reason)
    {
        entity.Core ??= this;
        while (!entity.TryClaim())
        {
            if (entity.State is EntityState.Placing or EntityState.Queued) return -1;
            // Still current somewhere: the waker was faster than its way to sleep.
            if (entity.Queue is not { } queue) continue;
            using SpinLock.Guard guard = queue.Lock.Lock();
            if (entity.Queue != queue || entity.State != EntityState.Current) continue;
            entity.WakePending = true;
            return -1;
        }
        return Place(entity, reason == EnqueueReason.Spawn ? JoinReason.New : JoinReason.Woken);
    }

    /// <summary>Tells the queue of a CPU what happens to its current entity.</summary>
    /// <returns>Whether another one should run.</returns>
    public bool Update(RunQueue queue, UpdateReason reason)
    {
        if (reason is UpdateReason.Wait or UpdateReason.Exit) return true;     // DequeueCurrent follows, and does the accounts
        ulong now = Now;
        bool isSwitchDue, isBalanceDue;
        using (SpinLock.Guard guard = queue.Lock.Lock())
        {
            queue.Settle(now);
            if (reason == UpdateReason.Yield) queue.Yield(now);
            queue.Republish(now);
            isSwitchDue = queue.NeedsSwitch;
            isBalanceDue = queue.Waiting > 0 && now >= queue.BalanceAt;
            if (isBalanceDue) queue.BalanceAt = now + BalanceIntervalNs;
        }
        if (isBalanceDue && CpuCount > 1) _balancer.Push(queue, now);
        return isSwitchDue;
    }

    /// <summary>Chooses who runs on a CPU from now on; null when the current one goes on or there is nobody.</summary>
    public Entity? PickNext(RunQueue queue)
    {
        if (CpuCount > 1) _balancer.Pull(queue);
        StrayList strays = default;
        Entity? next;
        using (SpinLock.Guard guard = queue.Lock.Lock()) next = queue.PickNext(Now, ref strays);
        while (strays.Pop() is { } stray)
        {
            int look = Place(stray, JoinReason.Moved);
            if (look >= 0) Kick(look);
        }
        if (queue.HighestWaiting > 0 && CpuCount > 1) _balancer.PushRealTime(queue);
        return next;
    }

    /// <summary>Lets the current entity of a CPU go.</summary>
    public Entity? DequeueCurrent(RunQueue queue)
    {
        using SpinLock.Guard guard = queue.Lock.Lock();
        return queue.DetachCurrent(EntityState.Detached, Now);
    }

    /// <summary>The parameters of an entity are others: puts them in force where it is queued. One that is in no queue gets them when it is.</summary>
    public void Reapply(Entity entity)
    {
        while (entity.State is EntityState.Queued or EntityState.Current)
        {
            if (entity.Queue is not { } queue) continue;
            bool look;
            using (SpinLock.Guard guard = queue.Lock.Lock())
            {
                if (entity.Queue != queue || entity.State is not (EntityState.Queued or EntityState.Current)) continue;
                look = queue.Reapply(entity, Now);
            }
            if (look) Kick(queue.Cpu);
            return;
        }
    }

    /// <summary>The affinity of an entity is another one: moves it if it waits where it may not run any more, or tells the CPU that runs it.</summary>
    public void AffinityChanged(Entity entity)
    {
        while (entity.State is EntityState.Queued or EntityState.Current)
        {
            if (entity.Queue is not { } queue) continue;
            int look = queue.Cpu;
            using (SpinLock.Guard guard = queue.Lock.Lock())
            {
                if (entity.Queue != queue || entity.State is not (EntityState.Queued or EntityState.Current)) continue;
                if (entity.State == EntityState.Current)
                {
                    if (MayRunOn(entity, queue.Cpu)) return;
                }
                else
                {
                    // Queued anew even where it may stay: the tree knows the CPUs that a subtree allows.
                    queue.Detach(entity, Now);
                    look = -1;
                }
            }
            if (look < 0) look = Place(entity, JoinReason.Moved);
            if (look >= 0) Kick(look);
            return;
        }
    }

    /// <summary>What an entity has had, up to now.</summary>
    public TaskStatistics StatisticsOf(Entity entity)
    {
        while (true)
        {
            RunQueue? queue = entity.Queue;
            if (queue is null) return new TaskStatistics(0, 0, 0, 0, 0, 0, -1);
            using SpinLock.Guard guard = queue.Lock.Lock();
            if (entity.Queue != queue) continue;
            if (entity.State == EntityState.Current) queue.Settle(Now);
            return new TaskStatistics(entity.RunNs, entity.WaitNs, entity.Turns, entity.VoluntarySwitches, entity.InvoluntarySwitches, entity.Migrations, entity.LastCpu);
        }
    }

    /// <summary>What a CPU has done, up to now.</summary>
    public CpuStatistics StatisticsOf(int cpu)
    {
        RunQueue queue = _queues[cpu];
        using SpinLock.Guard guard = queue.Lock.Lock();
        return queue.Statistics(Now);
    }

    internal void SetIdle(int cpu, bool isIdle)
    {
        if (isIdle) Interlocked.Or(ref _idleCpus, 1UL << cpu); else Interlocked.And(ref _idleCpus, ~(1UL << cpu));
    }

    internal void CountWaitingRealTime(int change) => Interlocked.Add(ref _waitingRealTime, change);

    private int Place(Entity entity, JoinReason reason)
    {
        RunQueue queue = _queues[_placement.Choose(entity)];
        using SpinLock.Guard guard = queue.Lock.Lock();
        return queue.Attach(entity, reason, Now) ? queue.Cpu : -1;
    }
}
