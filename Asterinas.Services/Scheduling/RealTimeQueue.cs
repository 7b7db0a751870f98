using System;

namespace Asterinas.Services.Scheduling;

/// <summary>
/// The waiting real-time entities of one CPU: a list for each priority with its links in the entities, and a bit map of the lists that are not empty. The order inside a
/// list is that of sched(7).
/// </summary>
internal sealed class RealTimeQueue
{
    /// <summary>What an entity of <c>SCHED_RR</c> runs before its equals have their turn; sched_rr_get_interval(2).</summary>
    public const ulong TurnNs = 100_000_000;

    private readonly Entity?[] _heads = new Entity?[SchedulingParameters.MaxPriority + 1];
    private readonly Entity?[] _tails = new Entity?[SchedulingParameters.MaxPriority + 1];
    private UInt128 _present;

    /// <summary>Entities that wait.</summary>
    public int Count { get; private set; }

    /// <summary>The highest priority that somebody waits at; 0 for none.</summary>
    public int Highest => _present == 0 ? 0 : 127 - (int)UInt128.LeadingZeroCount(_present);

    /// <summary>The first one of a priority.</summary>
    public Entity? First(int priority) => _heads[priority];

    /// <summary>Puts an entity in the list of its priority.</summary>
    /// <param name="atHead">First or last.</param>
    public void Add(Entity entity, bool atHead)
    {
        int priority = entity.Applied.Priority;
        Entity? head = _heads[priority], tail = _tails[priority];
        if (head is null || tail is null)
        {
            entity.Next = entity.Previous = null;
            _heads[priority] = _tails[priority] = entity;
            _present |= UInt128.One << priority;
        }
        else if (atHead)
        {
            (entity.Next, entity.Previous) = (head, null);
            head.Previous = _heads[priority] = entity;
        }
        else
        {
            (entity.Next, entity.Previous) = (null, tail);
            tail.Next = _tails[priority] = entity;
        }
        Count++;
    }

    /// <summary>Takes out an entity that is in.</summary>
    public void Remove(Entity entity)
    {
        int priority = entity.Applied.Priority;
        if (entity.Previous is null) _heads[priority] = entity.Next; else entity.Previous.Next = entity.Next;
        if (entity.Next is null) _tails[priority] = entity.Previous; else entity.Next.Previous = entity.Previous;
        if (_heads[priority] is null) _present &= ~(UInt128.One << priority);
        entity.Next = entity.Previous = null;
        Count--;
    }

    /// <summary>The most urgent one above a priority that a CPU may take. Looks at no more than a few dozen.</summary>
    public Entity? FirstAllowedOn(int cpu, int abovePriority)
    {
        int budget = 32;
        for (UInt128 left = _present; left != 0;)
        {
            int priority = 127 - (int)UInt128.LeadingZeroCount(left);
            if (priority <= abovePriority) return null;
            for (Entity? entity = _heads[priority]; entity is not null; entity = entity.Next)
            {
                if ((entity.Affinity >> cpu & 1) != 0) return entity;
                if (--budget == 0) return null;
            }
            left &= ~(UInt128.One << priority);
        }
        return null;
    }

    /// <summary>Calls a visitor for each and throws unless lists, bit map and count agree. For tests.</summary>
    public void Check(Action<Entity> visit)
    {
        int count = 0;
        for (int priority = 0; priority < _heads.Length; priority++)
        {
            Entity? last = null;
            for (Entity? entity = _heads[priority]; entity is not null; last = entity, entity = entity.Next, count++)
            {
                if (entity.Previous != last || entity.Applied.Priority != priority) throw new InvalidOperationException("a link or a list is wrong");
                visit(entity);
            }
            if (_tails[priority] != last || ((_present >> priority & 1) != 0) != (last is not null)) throw new InvalidOperationException("tail or bit is wrong");
        }
        if (count != Count) throw new InvalidOperationException($"{count} entities, {Count} counted");
    }
}
