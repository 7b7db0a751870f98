using System;
using Asterinas.Services.Scheduling;

namespace Asterinas.Tests.Host.Scheduling;

/// <summary>A task of <see cref="SimulatedMachine"/>: it computes for a burst, sleeps, and so on; without a burst it computes for ever.</summary>
internal sealed class SimulatedTask : Entity
{
    private ulong _affinity = ulong.MaxValue;

    private SimulatedTask(SchedulingAttributes attributes)
        : base(attributes)
    {
    }

    public string Name { get; private set; } = "";

    public override ulong Affinity
    {
        get
        {
            OnAffinityRead?.Invoke();
            return _affinity;
        }
    }

    /// <summary>For tests of what happens at that moment.</summary>
    public Action? OnAffinityRead { get; set; }

    /// <summary>Nanoseconds of computing before each sleep; 0: never sleeps.</summary>
    public ulong BurstNs { get; set; }

    /// <summary>Nanoseconds of each sleep; 0: ends after its burst; <see cref="ulong.MaxValue"/>: until it is woken.</summary>
    public ulong SleepNs { get; set; }

    /// <summary>It yields instead of sleeping.</summary>
    public bool Yields { get; set; }

    // What the machine knows, to check the policy against.
    public ulong LeftOfBurstNs, WakeAtNs, RanNs, RunnableSince, LongestWaitNs;
    public int OnCpu = -1;
    public bool IsRunnable, HasEnded;

    /// <summary>The CPUs it ran on.</summary>
    public ulong CpusSeen;

    public static SimulatedTask Create(string name, SchedulingParameters? parameters = null, ulong affinity = ulong.MaxValue, ulong burstNs = 0, ulong sleepNs = 0, bool yields = false)
    {
        var attributes = new SchedulingAttributes(parameters, static attributes => new SimulatedTask(attributes));
        var task = (SimulatedTask)attributes.Entity;
        task.Name = name;
        task._affinity = affinity;
        task.BurstNs = task.LeftOfBurstNs = burstNs;
        task.SleepNs = sleepNs;
        task.Yields = yields;
        return task;
    }

    /// <summary>Changes the affinity as a task does that nobody tells the policy about.</summary>
    public void SetAffinity(ulong affinity) => _affinity = affinity;

    public override string ToString() => Name;
}
