using System.Threading;

namespace Asterinas.Services.Scheduling;

/// <summary>Where an entity is; only the transitions drawn at <see cref="Entity"/> happen.</summary>
internal enum EntityState
{
    Detached,
    Placing,
    Queued,
    Current,
}

/// <summary>
/// A task as the run queues see it. Links and keys of every structure are fields of it, so that queueing allocates nothing.
/// <code>
///              claim (compare-and-swap)        insert               pick
///   Detached ──────────────────────► Placing ─────────► Queued ◄───────────► Current
///      ▲                                ▲                 │  ▲    put back      │
///      │                                └─────evict───────┘  │                  │
///      │                                                     └──wake pending────┤
///      └───────────────────────────────DequeueCurrent───────────────────────────┘
///
///   field            │ guarded by
///   State            │ compare-and-swap from Detached; Placing: whoever set it; Queued and Current: the lock of Queue
///   Queue            │ written while Placing or with the locks of the old and the new queue held
///   everything else  │ the lock of Queue, or having set Placing
/// </code>
/// </summary>
internal abstract class Entity
{
    private static long s_lastId;
    private int _state;
    private RunQueue? _queue;

    protected Entity(SchedulingAttributes attributes)
    {
        Attributes = attributes;
        Applied = attributes.Parameters;
        Weight = FairWeight.Of(Applied);
    }

    /// <summary>Breaks ties between equal deadlines: first come, first served.</summary>
    public long Id { get; } = Interlocked.Increment(ref s_lastId);

    public SchedulingAttributes Attributes { get; }

    /// <summary>The scheduler it belongs to, from its first enqueue on.</summary>
    public SchedulerCore? Core;

    /// <summary>Bit n: it may run on CPU n. May change at any time.</summary>
    public abstract ulong Affinity { get; }

    public EntityState State
    {
        get => (EntityState)Volatile.Read(ref _state);
        set => Volatile.Write(ref _state, (int)value);
    }

    /// <summary>The queue it is in, or was in last.</summary>
    public RunQueue? Queue
    {
        get => Volatile.Read(ref _queue);
        set => Volatile.Write(ref _queue, value);
    }

    /// <summary>It was woken while it was still somebody's current task: it is queued again when that CPU lets it go.</summary>
    public bool WakePending;

    // ---- What is in force: taken over from the attributes under the queue's lock.

    /// <summary>The parameters in force.</summary>
    public SchedulingParameters Applied;

    public long Weight;

    public bool IsRealTime => Applied.IsRealTime;

    /// <summary>Strict order between classes: real-time priority, 0 for fair, -1 for <c>SCHED_IDLE</c>.</summary>
    public int Rank => IsRealTime ? Applied.Priority : Applied.Policy == SchedulingPolicy.Idle ? -1 : 0;

    // ---- Fair class.

    /// <summary>Service received, in nanoseconds divided by the relative weight. Meaningful while in a queue; wraps.</summary>
    public long Vruntime;

    /// <summary>The virtual moment at which its present request is due.</summary>
    public long Deadline;

    /// <summary>What is left of the last division in <see cref="Charge"/>.</summary>
    public long Remainder;

    /// <summary>Virtual service owed to it (negative: received in advance) when it left its last queue.</summary>
    public long VirtualLag;

    /// <summary><see cref="Deadline"/> - <see cref="Vruntime"/> when it left its last queue.</summary>
    public long RelativeDeadline;

    // Links of DeadlineTree and what it knows of the subtree.
    public Entity? Left, Right;
    public int Height;
    public long MinVruntime;
    public ulong AllowedBelow, AllowedAtInsert;

    // ---- Real-time class: links of RealTimeQueue, and what is left of a round-robin turn.
    public Entity? Next, Previous;
    public ulong TurnLeftNs;

    // ---- Accounting.
    public int LastCpu = -1;
    public ulong LeftAtNs, QueuedAtNs, MovedAtNs;
    public ulong RunNs, WaitNs;
    public long VoluntarySwitches, InvoluntarySwitches, Migrations, Turns;

    /// <summary>Claims a detached entity for placing it. False when it is elsewhere.</summary>
    public bool TryClaim() => Interlocked.CompareExchange(ref _state, (int)EntityState.Placing, (int)EntityState.Detached) == (int)EntityState.Detached;

    /// <summary>Virtual time that passes for it in some real time.</summary>
    /// <param name="ns">Nanoseconds, less than 2^53.</param>
    public long VirtualOf(ulong ns) => (long)ns * FairWeight.Unit / Weight;

    /// <summary>Real time that it takes to receive some virtual service, rounded up.</summary>
    public ulong RealOf(long virtualNs) => virtualNs <= 0 ? 0 : (ulong)((virtualNs * Weight + FairWeight.Unit - 1) / FairWeight.Unit);

    /// <summary>Adds service; returns by how much its virtual time moved. Nothing is lost to rounding.</summary>
    public long Charge(ulong ns)
    {
        long scaled = (long)ns * FairWeight.Unit + Remainder;
        (long moved, Remainder) = System.Math.DivRem(scaled, Weight);
        Vruntime += moved;
        return moved;
    }
}
