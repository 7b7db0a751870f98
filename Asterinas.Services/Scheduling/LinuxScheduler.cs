using System;
using System.Threading;
using Asterinas.Ostd.Smp;
using Asterinas.Ostd.Tasks;
using Asterinas.Ostd.Timers;

namespace Asterinas.Services.Scheduling;

/// <summary>
/// The scheduling policy of sched(7): real-time FIFO and round robin before a fair class by earliest eligible virtual deadline, one run queue a CPU, wake-up placement and
/// load balancing. Injected once at boot: <c>Scheduler.Inject(new LinuxScheduler())</c>. A task's side of it is <see cref="SchedulingAttributes"/>. Nothing blocks; queueing and
/// choosing allocate nothing (the first enqueue of a task that brings no attributes allocates them).
/// </summary>
public sealed class LinuxScheduler : IScheduler
{
    private readonly SchedulerCore _core;
    private readonly LocalQueue[] _queues;

    /// <summary>The scheduler that was made last: the system's, once it is injected. Null before.</summary>
    public static LinuxScheduler? Active { get; private set; }

    /// <summary>Empty queues for every CPU that is online.</summary>
    public LinuxScheduler()
    {
        _core = new SchedulerCore(CpuSet.Online.Count, static () => Clock.MonotonicNs, Scheduler.RequestReschedule);
        _queues = new LocalQueue[_core.CpuCount];
        for (int cpu = 0; cpu < _queues.Length; cpu++) _queues[cpu] = new LocalQueue(_core, _core.Queue(cpu));
        Active = this;
    }

    /// <inheritdoc/>
    public int Enqueue(Task task, EnqueueReason reason) => _core.Enqueue(EntityOf(task), reason);

    /// <inheritdoc/>
    public ILocalRunQueue GetLocalRunQueue(int cpu) => _queues[cpu];

    /// <summary>The scheduling attributes of a task; null for one that has never been runnable and was started without.</summary>
    public static SchedulingAttributes? AttributesOf(Task task)
    {
        ArgumentNullException.ThrowIfNull(task);
        return task.SchedulerData as SchedulingAttributes;
    }

    /// <summary>
    /// Changes the CPUs that a task may run on, at once also when it waits in a run queue; sched_setaffinity(2). <see cref="Task.SetAffinity"/> alone works too: then a
    /// waiting task moves when its turn comes.
    /// </summary>
    /// <param name="task">The task.</param>
    /// <param name="affinity">Null for all.</param>
    /// <exception cref="ArgumentException">No CPU of the set is online.</exception>
    public static void SetAffinity(Task task, CpuSet? affinity)
    {
        ArgumentNullException.ThrowIfNull(task);
        task.SetAffinity(affinity);
        if (AttributesOf(task) is { Entity: { Core: { } core } entity }) core.AffinityChanged(entity);
    }

    /// <summary>What a CPU has done, up to now.</summary>
    /// <param name="cpu">0 to the number of CPUs - 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">There is no such CPU.</exception>
    public CpuStatistics StatisticsOf(int cpu)
    {
        if ((uint)cpu >= (uint)_core.CpuCount) throw new ArgumentOutOfRangeException(nameof(cpu));
        return _core.StatisticsOf(cpu);
    }

    private Entity EntityOf(Task task)
    {
        var attributes = task.SchedulerData as SchedulingAttributes;
        if (attributes?.Entity is TaskEntity known && known.Task == task && known.Core == _core) return known;
        return Adopt(task, attributes);
    }

    private Entity Adopt(Task task, SchedulingAttributes? attributes)
    {
        // Attributes of another task are a template: they belong to the task that came first.
        if (attributes is null || !((TaskEntity)attributes.Entity).TryBind(task)) task.SchedulerData = attributes = new SchedulingAttributes(attributes?.Parameters);
        // Another scheduler's queues may still hold its entity: it gets a new one here.
        if (attributes.Entity.Core is { } other && other != _core) attributes.Entity = new TaskEntity(attributes);
        ((TaskEntity)attributes.Entity).TryBind(task);
        return attributes.Entity;
    }

    private sealed class LocalQueue(SchedulerCore core, RunQueue queue) : ILocalRunQueue
    {
        public Task? Current => TaskOf(queue.Current);

        // A program that runs alone is looked at now and then, so that its time is divided into user's and system's, and timers of CPU time come.
        public ulong SliceDeadlineNs => queue.TickAt is not 0 and var at ? at : Current?.Data is Thread ? Clock.MonotonicNs + AccountingNs : 0;

        private const ulong AccountingNs = 10_000_000;

        public bool UpdateCurrent(UpdateReason reason) => core.Update(queue, reason);

        public Task? PickNext() => TaskOf(core.PickNext(queue));

        public Task? DequeueCurrent() => TaskOf(core.DequeueCurrent(queue));

        private static Task? TaskOf(Entity? entity) => ((TaskEntity?)entity)?.Task;
    }
}

/// <summary>A task as an entity.</summary>
internal sealed class TaskEntity(SchedulingAttributes attributes) : Entity(attributes)
{
    private Task? _task;

    /// <summary>The task; null until its first enqueue.</summary>
    public Task? Task => _task;

    public override ulong Affinity => _task?.Affinity is { } set ? set.Bits : ulong.MaxValue;

    /// <summary>Makes it the entity of a task, for good. False when it is another task's.</summary>
    public bool TryBind(Task task)
    {
        Task? owner = Interlocked.CompareExchange(ref _task, task, null);
        return owner is null || owner == task;
    }
}
