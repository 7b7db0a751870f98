using System;
using System.Threading;
using Asterinas.Ostd.Tasks;

namespace Asterinas.Services.Scheduling;

/// <summary>
/// The scheduling side of one task: what it asks for, changeable at any time from any task, and what it has had. It is the task's <see cref="Task.SchedulerData"/>, given by
/// <see cref="TaskOptions.SchedulerData"/>; a task that was started without gets one with the defaults. Changes take effect at once: a task that waits in a run queue
/// is queued anew, a CPU whose best task is another one now is told. Nothing here blocks; permissions (<c>CAP_SYS_NICE</c>, <c>RLIMIT_NICE</c>, <c>RLIMIT_RTPRIO</c>) are
/// the system call's business.
/// </summary>
public sealed class SchedulingAttributes
{
    private SchedulingParameters _parameters;

    /// <summary>The attributes of a task to come.</summary>
    /// <param name="parameters">Null for the defaults.</param>
    /// <exception cref="ArgumentException">The parameters are not valid.</exception>
    public SchedulingAttributes(SchedulingParameters? parameters = null)
        : this(parameters, static attributes => new TaskEntity(attributes))
    {
    }

    internal SchedulingAttributes(SchedulingParameters? parameters, Func<SchedulingAttributes, Entity> createEntity)
    {
        _parameters = parameters ?? SchedulingParameters.Default;
        if (!_parameters.IsValid) throw new ArgumentException("the parameters do not go together", nameof(parameters));
        Entity = createEntity(this);
    }

    /// <summary>What the task asks for.</summary>
    public SchedulingParameters Parameters => Volatile.Read(ref _parameters);

    /// <summary>The nice value; getpriority(2).</summary>
    public int Nice => Parameters.Nice;

    /// <summary>What the task has had, to the nanosecond also while it runs. The numbers are of one moment.</summary>
    public TaskStatistics Statistics => Entity.Core is { } core ? core.StatisticsOf(Entity) : new TaskStatistics(0, 0, 0, 0, 0, 0, -1);

    /// <summary>The interval of sched_rr_get_interval(2) in nanoseconds: the turn of <c>SCHED_RR</c>, 0 for <c>SCHED_FIFO</c>, the slice of the others.</summary>
    public ulong IntervalNs => Parameters switch
    {
        { Policy: SchedulingPolicy.RoundRobin } => RealTimeQueue.TurnNs,
        { Policy: SchedulingPolicy.Fifo } => 0,
        { } fair => fair.SliceNs,
    };

    /// <summary>What the run queues see. Replaced when the task comes under another scheduler.</summary>
    internal Entity Entity { get; set; }

    /// <summary>Changes everything at once; sched_setscheduler(2), sched_setattr(2).</summary>
    /// <returns>False, and nothing has changed, when the parameters are not valid (<c>EINVAL</c>).</returns>
    public bool TrySet(SchedulingParameters parameters)
    {
        ArgumentNullException.ThrowIfNull(parameters);
        if (!parameters.IsValid) return false;
        Interlocked.Exchange(ref _parameters, parameters);
        Entity.Core?.Reapply(Entity);
        return true;
    }

    /// <summary>Changes the nice value; setpriority(2), nice(2).</summary>
    /// <param name="nice">Values outside -20 to 19 are taken as the nearest one, as setpriority(2) does.</param>
    public void SetNice(int nice)
    {
        nice = Math.Clamp(nice, SchedulingParameters.MinNice, SchedulingParameters.MaxNice);
        SchedulingParameters old;
        do old = Parameters;
        while (Interlocked.CompareExchange(ref _parameters, old with { Nice = nice }, old) != old);
        Entity.Core?.Reapply(Entity);
    }

    /// <summary>The attributes of a child; fork(2), sched(7).</summary>
    public SchedulingAttributes CreateForChild() => new(Parameters.ForChild());
}
