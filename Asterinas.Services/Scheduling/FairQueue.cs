using System;

namespace Asterinas.Services.Scheduling;

/// <summary>Why an entity joins a queue.</summary>
internal enum JoinReason
{
    /// <summary>It is new to the class: it starts at the average.</summary>
    New,
    /// <summary>It slept: what it was owed stays, what it owed has shrunk with the time it slept.</summary>
    Woken,
    /// <summary>It comes from another queue or has another weight: its place relative to the average and the rest of its request stay.</summary>
    Moved,
}

/// <summary>
/// The fair class of one CPU: earliest eligible virtual deadline first (Stoica and Abdel-Wahab, 1995). Virtual time V is the weighted average of the members' virtual run times v;
/// an entity with v ≤ V has received no more than its share and is eligible. Each asks for its slice again and again; the eligible one with the earliest deadline (v at the
/// request + slice / weight) runs until its request is served. So nobody is ever ahead or behind of the ideal share by more than a slice.
/// </summary>
/// <remarks>
/// V = origin + offset / weight, exactly: offset is the sum of weight * (v - origin) over all members, the running one included. The origin follows V, which keeps the sums small.
/// A lag (V - v) that is carried over from an earlier stay is scaled on joining, because the joining itself moves V, and is limited to two slices: sleepers gain no more.
/// </remarks>
internal sealed class FairQueue
{
    private const int LagLimitSlices = 2;

    private readonly DeadlineTree _waiting = new();
    private long _origin, _offset, _weight;
    private Entity? _running;

    /// <summary>Entities that wait.</summary>
    public int Count => _waiting.Count;

    /// <summary>The sum of the weights of all, the running one included.</summary>
    public long Weight => _weight;

    /// <summary>Virtual time.</summary>
    public long Average
    {
        get
        {
            if (_weight == 0) return _origin;
            long moved = _offset / _weight;
            if (_offset < 0 && moved * _weight != _offset) moved--;        // towards minus infinity: then v ≤ V is exact
            _origin += moved;
            _offset -= moved * _weight;
            return _origin;
        }
    }

    /// <summary>Takes an entity in, as a waiting one.</summary>
    public void Join(Entity entity, JoinReason reason, ulong now)
    {
        long average = Average, lag = 0;
        if (_weight != 0 && reason != JoinReason.New)
        {
            lag = Limit(entity, entity.VirtualLag);
            if (reason == JoinReason.Woken && lag < 0 && now > entity.LeftAtNs)
            {
                ulong slept = Math.Min(now - entity.LeftAtNs, SchedulingParameters.MaxSliceNs * 100);
                lag = Math.Min(0, lag + (long)slept * FairWeight.Unit / (_weight + entity.Weight));
            }
            lag += lag * entity.Weight / _weight;
        }
        entity.Vruntime = average - lag;
        entity.Deadline = entity.Vruntime + (reason == JoinReason.Moved && entity.RelativeDeadline > 0 ? entity.RelativeDeadline : entity.VirtualOf(entity.Applied.SliceNs));
        _weight += entity.Weight;
        _offset += entity.Weight * (entity.Vruntime - _origin);
        _waiting.Insert(entity);
    }

    /// <summary>Lets a member go, the running one or a waiting one; its lag and the rest of its request go with it.</summary>
    public void Leave(Entity entity)
    {
        if (entity == _running) _running = null; else _waiting.Remove(entity);
        entity.VirtualLag = Limit(entity, Average - entity.Vruntime);
        entity.RelativeDeadline = entity.Deadline - entity.Vruntime;
        _offset -= entity.Weight * (entity.Vruntime - _origin);
        _weight -= entity.Weight;
        if (_weight == 0) _offset = 0;
    }

    /// <summary>A waiting member runs.</summary>
    public void Run(Entity entity)
    {
        _waiting.Remove(entity);
        _running = entity;
    }

    /// <summary>The running member waits.</summary>
    public void PutBack(Entity entity)
    {
        _running = null;
        _waiting.Insert(entity);
    }

    /// <summary>The running member ran for a while. True when its request is served; then it has made the next one.</summary>
    public bool Charge(Entity entity, ulong ns)
    {
        _offset += entity.Weight * entity.Charge(ns);
        if (entity.Vruntime - entity.Deadline < 0) return false;
        entity.Deadline = entity.Vruntime + entity.VirtualOf(entity.Applied.SliceNs);
        return true;
    }

    /// <summary>
    /// The running member gives up what it is owed, and the rest of its request as if that had been served: so tasks that do nothing but yield take turns with all
    /// others. One that is ahead already gives up nothing more: its debt is never more than a slice.
    /// </summary>
    public void Yield(Entity entity)
    {
        long average = Average;
        if (entity.Vruntime - average <= 0)
        {
            long moved = Math.Max(average - entity.Vruntime, entity.Deadline - entity.Vruntime);
            entity.Vruntime += moved;
            _offset += entity.Weight * moved;
        }
        entity.Deadline = entity.Vruntime + entity.VirtualOf(entity.Applied.SliceNs);
    }

    /// <summary>The member that should run: a waiting one, or the running one.</summary>
    /// <param name="passRunning">Whether the running one is the last choice.</param>
    public Entity? Pick(bool passRunning)
    {
        long average = Average;
        Entity? best = _waiting.EarliestEligible(average);
        if (_running is not { } running) return best;
        if (passRunning) return best ?? _waiting.First ?? running;
        if (best is null) return running;
        return running.Vruntime - average <= 0 && running.Deadline - best.Deadline <= 0 ? running : best;
    }

    /// <summary>Whether a waiting member should run before the running one's request is served.</summary>
    public bool Preempts(Entity newcomer)
    {
        if (_running is not { } running || newcomer.Applied.Policy == SchedulingPolicy.Idle) return false;
        if (running.Applied.Policy == SchedulingPolicy.Idle) return true;
        return newcomer.Applied.Policy == SchedulingPolicy.Other && newcomer.Vruntime - Average <= 0 && newcomer.Deadline - running.Deadline < 0;
    }

    /// <summary>Nanoseconds until the running member's request is served.</summary>
    public ulong RemainingNs => _running is { } running ? running.RealOf(running.Deadline - running.Vruntime) : 0;

    /// <summary>The least urgent waiting member that a CPU may take, weighing less than a limit.</summary>
    public Entity? LastAllowedOn(int cpu, long weightLimit) => _waiting.LastAllowedOn(cpu, weightLimit);

    /// <summary>Gives a member its new parameters; lag and request keep their real size.</summary>
    public void Reweigh(Entity entity, SchedulingParameters parameters, ulong now)
    {
        bool running = entity == _running;
        Leave(entity);
        long old = entity.Weight;
        entity.Applied = parameters;
        entity.Weight = FairWeight.Of(parameters);
        entity.VirtualLag = entity.VirtualLag * old / entity.Weight;
        entity.RelativeDeadline = Math.Min(entity.RelativeDeadline * old / entity.Weight, entity.VirtualOf(parameters.SliceNs));
        entity.Remainder = 0;
        Join(entity, JoinReason.Moved, now);
        if (running) Run(entity);
    }

    /// <summary>Throws unless the sums and the tree are right. For tests.</summary>
    public void Check(Action<Entity> visit)
    {
        _waiting.Check();
        long weight = 0, offset = 0;
        void Add(Entity entity)
        {
            weight += entity.Weight;
            offset += entity.Weight * (entity.Vruntime - _origin);
            if (entity.Deadline - entity.Vruntime < 0) throw new InvalidOperationException("a deadline lies in the past");
            visit(entity);
        }
        _waiting.Visit(Add);
        if (_running is not null) Add(_running);
        if (weight != _weight || offset != _offset) throw new InvalidOperationException($"the sums are {_weight} and {_offset}, the members' {weight} and {offset}");
        if (Count > 0 && _running is null && Pick(false) is null) throw new InvalidOperationException("nobody is eligible");
    }

    private static long Limit(Entity entity, long lag)
    {
        long limit = LagLimitSlices * entity.VirtualOf(entity.Applied.SliceNs);
        return Math.Clamp(lag, -limit, limit);
    }
}
