using System.Numerics;

namespace Asterinas.Services.Scheduling;

/// <summary>
/// The choice of a CPU for an entity that becomes runnable: its previous one if that is idle (its caches may be warm), else another idle one; a real-time entity else goes where
/// the least urgent one runs; a fair one to its previous CPU, unless that is loaded a quarter more than the least loaded one.
/// </summary>
internal sealed class Placement(SchedulerCore core)
{
    /// <summary>A CPU that the entity's affinity allows. Takes no lock: the answer is a good guess.</summary>
    public int Choose(Entity entity)
    {
        ulong allowed = core.AllowedOf(entity);
        int previous = entity.LastCpu;
        if (previous >= 0 && (allowed >> previous & 1) == 0) previous = -1;
        if (BitOperations.IsPow2(allowed)) return BitOperations.TrailingZeroCount(allowed);

        ulong idle = core.IdleCpus & allowed;
        if (idle != 0) return NextIn(idle, Start(entity, previous));      // the previous one, if it is among them
        return entity.Attributes.Parameters is { IsRealTime: true } parameters
            ? LeastUrgent(allowed, Start(entity, previous), previous, parameters.Priority)
            : LeastLoaded(allowed, Start(entity, previous), previous);
    }

    // Newcomers start at different places, so that they spread.
    private int Start(Entity entity, int previous) => previous >= 0 ? previous : (int)(entity.Id % core.CpuCount);

    private static int NextIn(ulong set, int start)
    {
        ulong after = set & (ulong.MaxValue << start);
        return BitOperations.TrailingZeroCount(after != 0 ? after : set);
    }

    private int LeastUrgent(ulong allowed, int start, int previous, int priority)
    {
        int best = -1, bestRank = int.MaxValue;
        for (ulong left = allowed; left != 0;)
        {
            int cpu = NextIn(left, start);
            left &= ~(1UL << cpu);
            RunQueue queue = core.Queue(cpu);
            int rank = System.Math.Max(queue.CurrentRank, queue.HighestWaiting);
            if (cpu == previous && rank < priority) return cpu;
            if (rank >= bestRank) continue;
            (best, bestRank) = (cpu, rank);
        }
        return best;
    }

    private int LeastLoaded(ulong allowed, int start, int previous)
    {
        int best = -1;
        long bestLoad = long.MaxValue;
        for (ulong left = allowed; left != 0;)
        {
            int cpu = NextIn(left, start);
            left &= ~(1UL << cpu);
            long load = core.Queue(cpu).Load;
            if (load >= bestLoad) continue;
            (best, bestLoad) = (cpu, load);
        }
        return previous >= 0 && core.Queue(previous).Load <= bestLoad + bestLoad / 4 ? previous : best;
    }
}
