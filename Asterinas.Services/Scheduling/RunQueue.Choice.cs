
namespace Asterinas.Services.Scheduling;

/// <summary>Who runs: real-time before fair, and inside a class by its own rule.</summary>
internal sealed partial class RunQueue
{
    /// <summary>The current entity gives way to its equals; sched_yield(2).</summary>
    public void Yield(ulong now)
    {
        Settle(now);
        if (Current is not { } current) return;
        if (!current.IsRealTime)
        {
            if (_fair.Count == 0) return;
            _fair.Yield(current);
            _yielded = true;
        }
        else if (_realTime.First(current.Applied.Priority) is not null)
        {
            _yielded = true;
        }
    }

    /// <summary>Whether another entity should run than the current one.</summary>
    public bool NeedsSwitch
    {
        get
        {
            if (Current is not { } current) return Count > 0;
            if (!core.MayRunOn(current, Cpu) || _yielded) return true;
            if (IsThrottled) return current.IsRealTime || _requestServed || _preempted;
            if (!current.IsRealTime) return _realTime.Count > 0 || _requestServed || _preempted;
            int waiting = _realTime.Highest, own = current.Applied.Priority;
            return waiting > own || (waiting == own && IsTurnOver(current));
        }
    }

    /// <summary>
    /// Chooses who runs from now on; null when the current one goes on, or there is nobody. A current one that may not stay here goes on until there is another one to run:
    /// null always means that it is still current.
    /// </summary>
    /// <param name="strays">Entities that may not run here any more; the caller places them.</param>
    public Entity? PickNext(ulong now, ref StrayList strays)
    {
        Settle(now);
        bool isMisplaced = Current is { } old && !core.MayRunOn(old, Cpu);
        Entity? next = Best(isMisplaced);
        while (next is not null && next != Current && !core.MayRunOn(next, Cpu))
        {
            Detach(next, now);
            strays.Push(next);
            next = Best(isMisplaced);
        }
        if (next is not null && next != Current)
        {
            if (isMisplaced) strays.Push(DetachCurrent(EntityState.Placing, now)!);
            else if (Current is { } current) PutBack(current, now);
            Run(next, now);
        }
        else
        {
            next = null;
        }
        _requestServed = _preempted = _yielded = false;
        Publish(now);
        return next;
    }

    /// <summary>A waiting entity that another CPU may take: real-time above a priority, or fair and lighter than a limit.</summary>
    public Entity? FindMovable(int cpu, int abovePriority, long weightLimit) =>
        _realTime.FirstAllowedOn(cpu, abovePriority) ?? (weightLimit > 0 ? _fair.LastAllowedOn(cpu, weightLimit) : null);

    private bool IsThrottled => _bandwidth.IsExhausted && (_fair.Count > 0 || Current is { IsRealTime: false });

    private bool IsTurnOver(Entity current) => _yielded || (current.Applied.Policy == SchedulingPolicy.RoundRobin && current.TurnLeftNs == 0);

    private Entity? Best(bool passCurrent)
    {
        Entity? current = passCurrent ? null : Current;
        if (!IsThrottled)
        {
            int waiting = _realTime.Highest, own = current is { IsRealTime: true } ? current.Applied.Priority : 0;
            if (own > waiting || (own == waiting && own > 0 && !IsTurnOver(current!))) return current;
            if (waiting > 0) return _realTime.First(waiting);
        }
        return _fair.Pick(_yielded || passCurrent) ?? Current;
    }

    private void Run(Entity entity, ulong now)
    {
        if (entity.IsRealTime) _realTime.Remove(entity); else _fair.Run(entity);
        entity.WaitNs += Since(now, entity.QueuedAtNs);
        entity.Turns++;
        entity.State = EntityState.Current;
        Current = entity;
        _switches++;
    }

    private void PutBack(Entity entity, ulong now)
    {
        if (_yielded) entity.VoluntarySwitches++; else entity.InvoluntarySwitches++;
        entity.QueuedAtNs = now;
        if (entity.IsRealTime)
        {
            // sched(7): one that was preempted stays first and keeps the rest of its turn.
            bool last = IsTurnOver(entity);
            if (last) entity.TurnLeftNs = RealTimeQueue.TurnNs;
            _realTime.Add(entity, atHead: !last);
        }
        else
        {
            _fair.PutBack(entity);
        }
        entity.State = EntityState.Queued;
        Current = null;
    }
}
