using System;
using System.Numerics;
using Asterinas.Ostd.Sync;

namespace Asterinas.Services.Scheduling;

/// <summary>
/// Moves waiting entities between CPUs. A CPU that would become idle, or would run less than a real-time entity that waits elsewhere, pulls. A CPU where somebody waits
/// pushes at its ticks; CPUs that run alone or idle have no ticks, and need none. An entity takes its place relative to the average along.
/// </summary>
internal sealed class Balancer(SchedulerCore core)
{
    /// <summary>Nanoseconds that an imbalance stays where it is.</summary>
    private const ulong RotateIntervalNs = 50_000_000;

    private const int PushBatch = 8;

    /// <summary>Before a pick: fetches something better than what the CPU has, if there is anything.</summary>
    public void Pull(RunQueue own)
    {
        if (core.IsRealTimeWaiting) PullRealTime(own);
        if (own.CurrentRank == RunQueue.IdleRank && own.Waiting == 0) PullAny(own);
    }

    /// <summary>At a tick: gives what waits here to CPUs that have less to do.</summary>
    public void Push(RunQueue own, ulong now)
    {
        ulong tried = 1UL << own.Cpu;
        int moves = 0;
        while (moves < PushBatch && own.Waiting > 0 && LeastLoaded(own, tried) is { } target)
        {
            if (TryMove(own, target, isTargetIdle: target.CurrentRank == RunQueue.IdleRank && target.Waiting == 0)) moves++;
            else tried |= 1UL << target.Cpu;
        }
        if (moves == 0 && own.Waiting > 0 && now >= own.RotateAt) Rotate(own, now);
    }

    /// <summary>After a pick that left real-time entities waiting: gives the most urgent one to a CPU that runs something less urgent.</summary>
    public void PushRealTime(RunQueue own)
    {
        RunQueue? target = null;
        int least = own.HighestWaiting;
        for (int cpu = 0; cpu < core.CpuCount; cpu++)
        {
            RunQueue queue = core.Queue(cpu);
            int rank = Math.Max(queue.CurrentRank, queue.HighestWaiting);
            if (queue == own || rank >= least) continue;
            (target, least) = (queue, rank);
        }
        if (target is not null) Move(own, target, abovePriority: Math.Max(least, 0), weightLimit: 0);
    }

    private void PullRealTime(RunQueue own)
    {
        int best = Math.Max(Math.Max(own.CurrentRank, own.HighestWaiting), 0);
        RunQueue? source = null;
        for (int cpu = 0; cpu < core.CpuCount; cpu++)
        {
            RunQueue queue = core.Queue(cpu);
            if (queue == own || queue.HighestWaiting <= best) continue;
            (source, best) = (queue, queue.HighestWaiting);
        }
        if (source is not null) Move(source, own, abovePriority: Math.Max(Math.Max(own.CurrentRank, own.HighestWaiting), 0), weightLimit: 0);
    }

    private void PullAny(RunQueue own)
    {
        ulong tried = 1UL << own.Cpu;
        while (Busiest(tried) is { } source && !Move(source, own, abovePriority: 0, weightLimit: long.MaxValue)) tried |= 1UL << source.Cpu;
    }

    private RunQueue? Busiest(ulong except)
    {
        RunQueue? busiest = null;
        for (int cpu = 0; cpu < core.CpuCount; cpu++)
        {
            RunQueue queue = core.Queue(cpu);
            if ((except >> cpu & 1) != 0 || queue.Waiting == 0) continue;
            if (busiest is null || queue.Load > busiest.Load) busiest = queue;
        }
        return busiest;
    }

    // The CPUs after the own one come first, so that equals take turns.
    private RunQueue? LeastLoaded(RunQueue own, ulong except)
    {
        ulong idle = core.IdleCpus & ~except;
        if (idle != 0) return core.Queue(BitOperations.TrailingZeroCount(idle));
        RunQueue? least = null;
        for (int i = 1; i < core.CpuCount; i++)
        {
            int cpu = (own.Cpu + i) % core.CpuCount;
            RunQueue queue = core.Queue(cpu);
            if ((except >> cpu & 1) != 0) continue;
            if (least is null || queue.Load < least.Load) least = queue;
        }
        return least;
    }

    // Three equal tasks on two CPUs: somebody has a CPU alone, whatever moves. A move that swaps the roles of two CPUs lets everybody be that one in turn; the one that has
    // been on the CPU for the longest goes.
    private void Rotate(RunQueue own, ulong now)
    {
        if (LeastLoaded(own, 1UL << own.Cpu) is not { } target) return;
        bool moved = Move(own, target, SchedulingParameters.MaxPriority, own.Load - target.Load + 1, movedBefore: own.Current?.MovedAtNs ?? ulong.MaxValue);
        if (moved) own.RotateAt = target.RotateAt = now + RotateIntervalNs;
        else own.BalanceAt = now;           // whose turn it is to go runs: the next tick finds it waiting
    }

    // A move helps when the target is still less loaded than the source was; to an idle CPU everything helps.
    private bool TryMove(RunQueue source, RunQueue target, bool isTargetIdle) =>
        Move(source, target, abovePriority: Math.Max(target.CurrentRank, 0), weightLimit: isTargetIdle ? long.MaxValue : source.Load - target.Load);

    private bool Move(RunQueue source, RunQueue target, int abovePriority, long weightLimit, ulong movedBefore = ulong.MaxValue)
    {
        bool look;
        RunQueue first = source.Cpu < target.Cpu ? source : target, second = first == source ? target : source;
        // LOCK ORDER: by CPU number.
        using (SpinLock.Guard outer = first.Lock.Lock())
        using (SpinLock.Guard inner = second.Lock.Lock())
        {
            if (source.FindMovable(target.Cpu, abovePriority, weightLimit) is not { } entity || !core.MayRunOn(entity, target.Cpu)) return false;
            if (entity.MovedAtNs > movedBefore) return false;
            ulong now = core.Now;
            source.Detach(entity, now);
            look = target.Attach(entity, JoinReason.Moved, now);
        }
        if (look) core.Kick(target.Cpu);
        return true;
    }
}
