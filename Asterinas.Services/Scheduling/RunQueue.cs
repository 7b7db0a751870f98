using System;
using System.Threading;

namespace Asterinas.Services.Scheduling;

/// <summary>
/// The run queue of one CPU: its current entity, and those that wait for it, class by class. Everything but the published numbers is under <see cref="Lock"/>; two locks are
/// taken in the order of the CPU numbers.
/// </summary>
internal sealed partial class RunQueue(int cpu, SchedulerCore core)
{
    /// <summary>The shortest tick worth an interrupt.</summary>
    private const ulong MinTickNs = 100_000;

    private readonly FairQueue _fair = new();
    private readonly RealTimeQueue _realTime = new();
    private RealTimeBandwidth _bandwidth;
    private ulong _settledAt = core.Now;
    private ulong _busyNs, _idleNs;
    private long _switches;
    private bool _requestServed;            // the current fair entity has had its slice
    private bool _preempted;                // a fair entity that should go first has come
    private bool _yielded;                  // the current entity gives way until the next pick

    // Published: written under the lock, read by anybody, out of date at once.
    private ulong _tickAt;
    private long _load;
    private int _waiting, _currentRank = IdleRank, _highestWaiting;

    /// <summary>The <see cref="Entity.Rank"/> that an idle CPU publishes.</summary>
    public const int IdleRank = -2;

    /// <summary>Guards the queue.</summary>
    public readonly SpinLock Lock = new("run queue");

    /// <summary>The CPU's number.</summary>
    public int Cpu { get; } = cpu;

    /// <summary>Who runs, as far as the queue knows. Changed only by this CPU.</summary>
    public Entity? Current { get; private set; }

    /// <summary>Entities that wait.</summary>
    public int Waiting => Volatile.Read(ref _waiting);

    /// <summary>The weights of all, the current one included.</summary>
    public long Load => Volatile.Read(ref _load);

    /// <summary>How urgent the current one is.</summary>
    public int CurrentRank => Volatile.Read(ref _currentRank);

    /// <summary>The highest real-time priority that waits; 0 for none.</summary>
    public int HighestWaiting => Volatile.Read(ref _highestWaiting);

    /// <summary>When the queue wants a tick; 0 for never.</summary>
    public ulong TickAt => Volatile.Read(ref _tickAt);

    /// <summary>When a tick should look at the balance of the CPUs.</summary>
    public ulong BalanceAt { get; set; }

    /// <summary>When a tick may pass on an imbalance that cannot be evened out. Set without the lock: a lost value costs one migration.</summary>
    public ulong RotateAt { get; set; }

    // ---- In and out. All under the lock.

    /// <summary>Brings the accounts up to now.</summary>
    public void Settle(ulong now)
    {
        ulong passed = now > _settledAt ? Math.Min(now - _settledAt, 1UL << 42) : 0;        // CPUs' clocks may differ a little
        if (passed == 0) return;
        _settledAt = now;
        _bandwidth.Advance(now, Current is { IsRealTime: true } ? passed : 0);
        if (Current is not { } current)
        {
            _idleNs += passed;
            return;
        }
        _busyNs += passed;
        current.RunNs += passed;
        if (!current.IsRealTime)
        {
            if (_fair.Charge(current, passed) && _fair.Count > 0) _requestServed = true;
            return;
        }
        current.TurnLeftNs -= Math.Min(passed, current.TurnLeftNs);
        // Nobody to take turns with: the next turn follows.
        if (current.TurnLeftNs == 0 && _realTime.First(current.Applied.Priority) is null) current.TurnLeftNs = RealTimeQueue.TurnNs;
    }

    /// <summary>Takes in an entity that is being placed.</summary>
    /// <returns>Whether the CPU should look.</returns>
    public bool Attach(Entity entity, JoinReason reason, ulong now)
    {
        Settle(now);
        SchedulingParameters parameters = entity.Attributes.Parameters;
        if (!ReferenceEquals(entity.Applied, parameters)) Apply(entity, parameters);
        entity.Queue = this;
        entity.QueuedAtNs = now;
        if (entity.LastCpu >= 0 && entity.LastCpu != Cpu)
        {
            entity.Migrations++;
            entity.MovedAtNs = now;
        }
        entity.LastCpu = Cpu;
        if (entity.IsRealTime)
        {
            if (reason != JoinReason.Moved || entity.TurnLeftNs == 0) entity.TurnLeftNs = RealTimeQueue.TurnNs;
            _realTime.Add(entity, atHead: false);
        }
        else
        {
            _fair.Join(entity, reason, now);
        }
        entity.State = EntityState.Queued;
        bool look = false;
        // Who changes the parameters writes them, then looks where the entity is; here it is the other way round, with a fence between: one sees the other.
        Interlocked.MemoryBarrier();
        if (!ReferenceEquals(entity.Attributes.Parameters, parameters)) Reapply(entity, now);
        if (Current is not { } current) look = true;
        else if (!entity.IsRealTime && !current.IsRealTime && _fair.Preempts(entity)) _preempted = true;
        return Publish(now) | look;
    }

    /// <summary>Takes out a waiting entity: it is being placed again.</summary>
    public void Detach(Entity entity, ulong now)
    {
        Settle(now);
        Remove(entity);
        entity.WaitNs += Since(now, entity.QueuedAtNs);
        entity.LeftAtNs = now;
        entity.State = EntityState.Placing;
        Publish(now);
    }

    /// <summary>Lets the current entity go: it waits or has ended; or it may not stay, and is being placed again.</summary>
    public Entity? DetachCurrent(EntityState next, ulong now)
    {
        Settle(now);
        if (Current is not { } entity) return null;
        if (!entity.IsRealTime) _fair.Leave(entity);
        Current = null;
        _requestServed = _preempted = _yielded = false;
        entity.LeftAtNs = now;
        if (next == EntityState.Detached) entity.VoluntarySwitches++; else entity.InvoluntarySwitches++;
        if (entity.WakePending)
        {
            entity.WakePending = false;
            if (next == EntityState.Detached)
            {
                Attach(entity, JoinReason.Woken, now);
                return entity;
            }
        }
        entity.State = next;
        Publish(now);
        return entity;
    }

    /// <summary>Puts changed parameters in force for a member.</summary>
    /// <returns>Whether the CPU should look.</returns>
    public bool Reapply(Entity entity, ulong now)
    {
        Settle(now);
        SchedulingParameters old = entity.Applied, parameters = entity.Attributes.Parameters;
        bool running = entity == Current;
        if (old.IsRealTime != parameters.IsRealTime)
        {
            if (!running) Remove(entity); else if (!old.IsRealTime) _fair.Leave(entity);
            Apply(entity, parameters);
            if (entity.IsRealTime && !running) _realTime.Add(entity, atHead: false);
            if (!entity.IsRealTime) _fair.Join(entity, JoinReason.New, now);
            if (!entity.IsRealTime && running) _fair.Run(entity);
        }
        else if (!entity.IsRealTime)
        {
            _fair.Reweigh(entity, parameters, now);
        }
        else if (running || old.Priority == parameters.Priority)
        {
            Apply(entity, parameters);
        }
        else
        {
            // sched(7): raised goes last in its new list, lowered goes first.
            _realTime.Remove(entity);
            Apply(entity, parameters);
            _realTime.Add(entity, atHead: parameters.Priority < old.Priority);
        }
        if (!running && !entity.IsRealTime && Current is { IsRealTime: false } && _fair.Preempts(entity)) _preempted = true;
        return Publish(now);
    }

    /// <summary>What the CPU has done.</summary>
    public CpuStatistics Statistics(ulong now)
    {
        Settle(now);
        return new CpuStatistics(_busyNs, _idleNs, _switches, Count + (Current is null ? 0 : 1), Load);
    }

    /// <summary>Calls a visitor for each member and throws when something is wrong. For tests.</summary>
    public void Check(Action<Entity> visit)
    {
        long load = 0;
        void Visit(Entity entity)
        {
            load += entity.Weight;
            if (entity.Queue != this || entity.State != (entity == Current ? EntityState.Current : EntityState.Queued)) throw new InvalidOperationException("a member says it is elsewhere");
            if (entity.Weight != FairWeight.Of(entity.Applied)) throw new InvalidOperationException("a weight is wrong");
            visit(entity);
        }
        _realTime.Check(Visit);
        _fair.Check(Visit);
        if (Current is { IsRealTime: true } current) Visit(current);
        if (load != Load || Count != Waiting) throw new InvalidOperationException("published numbers are wrong");
    }

    private int Count => _fair.Count + _realTime.Count;

    private static ulong Since(ulong now, ulong then) => now > then ? now - then : 0;

    private static void Apply(Entity entity, SchedulingParameters parameters)
    {
        // An entity that is in no fair queue: its lag is virtual, so it changes with the weight.
        long weight = FairWeight.Of(parameters);
        entity.VirtualLag = parameters.IsRealTime || entity.IsRealTime ? 0 : entity.VirtualLag * entity.Weight / weight;
        entity.RelativeDeadline = 0;
        entity.Remainder = 0;
        entity.Weight = weight;
        entity.Applied = parameters;
        if (parameters.IsRealTime) entity.TurnLeftNs = RealTimeQueue.TurnNs;
    }

    private void Remove(Entity entity)
    {
        if (entity.IsRealTime) _realTime.Remove(entity); else _fair.Leave(entity);
    }

    /// <summary>Publishes after a change that was not made by a call that does it.</summary>
    public void Republish(ulong now) => Publish(now);

    // Whether the CPU should look: its tick has to come earlier than it knows, or another entity should run.
    private bool Publish(ulong now)
    {
        bool wasIdle = _currentRank == IdleRank && _waiting == 0, isIdle = Current is null && Count == 0;
        long realTime = _realTime.Count + (Current is { IsRealTime: true } ? 1 : 0);
        ulong before = _tickAt, after = NextTick(now);
        Volatile.Write(ref _waiting, Count);
        Volatile.Write(ref _load, _fair.Weight + realTime * FairWeight.RealTime);
        Volatile.Write(ref _currentRank, Current?.Rank ?? IdleRank);
        Volatile.Write(ref _tickAt, after);
        int highest = _realTime.Highest;
        if (highest == 0 != (_highestWaiting == 0)) core.CountWaitingRealTime(highest == 0 ? -1 : 1);
        Volatile.Write(ref _highestWaiting, highest);
        if (wasIdle != isIdle) core.SetIdle(Cpu, isIdle);
        return NeedsSwitch || (after != 0 && (before == 0 || after + MinTickNs < before));
    }

    private ulong NextTick(ulong now)
    {
        if (Current is not { } current || Count == 0) return 0;
        // Who waits may be better off elsewhere.
        ulong inNs = core.CpuCount > 1 ? SchedulerCore.BalanceIntervalNs : ulong.MaxValue;
        if (current.IsRealTime)
        {
            if (current.Applied.Policy == SchedulingPolicy.RoundRobin && _realTime.First(current.Applied.Priority) is not null) inNs = Math.Min(inNs, current.TurnLeftNs);
            if (_fair.Count > 0) inNs = Math.Min(inNs, _bandwidth.LeftNs);
        }
        else
        {
            if (_fair.Count > 0) inNs = Math.Min(inNs, _fair.RemainingNs);
            if (_realTime.Count > 0) inNs = Math.Min(inNs, Since(_bandwidth.PeriodEnd, now));
        }
        return inNs == ulong.MaxValue ? 0 : now + Math.Max(inNs, MinTickNs);
    }
}
