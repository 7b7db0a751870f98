using System;
using System.Collections.Generic;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Diagnostics;
using SpinLock = Asterinas.Ostd.Sync.SpinLock;

namespace Asterinas.Ostd.Tasks;

/// <summary>
/// The calls of the policy, and what is checked of its answers. A call, and the change of a task's State that belongs to it, is one section of its CPU (<see cref="EnterPolicy"/>);
/// a new policy comes in when no CPU is in one, so it gets every runnable task exactly once.
/// </summary>
public static partial class Scheduler
{
    private static readonly SpinLock s_tasksLock = new("all tasks");
    private static readonly List<WeakReference<Task>> s_tasks = [];
    private static IScheduler s_policy = new FifoScheduler();
    private static int s_replacing;
    private static long s_violations;

    private enum Standing
    {
        Stays,
        GivesWay,
        /// <summary>The policy does not know it as the current task.</summary>
        Unknown,
    }

    /// <summary>Times that a policy's answer was refused.</summary>
    public static long PolicyViolations => Interlocked.Read(ref s_violations);

    /// <summary>Replaces the policy; the tasks that are runnable move over. A policy that breaks its contract is replaced by <see cref="FifoScheduler"/>.</summary>
    /// <param name="policy">The policy.</param>
    public static void Inject(IScheduler policy)
    {
        ArgumentNullException.ThrowIfNull(policy);
        try
        {
            Replace(policy, null);
        }
        catch (Exception problem)
        {
            Violation(policy, $"Enqueue failed: {problem.Message}");
        }
    }

    /// <summary>The policy in charge.</summary>
    internal static IScheduler Policy => s_policy;

    /// <summary>Makes a task known for a change of the policy.</summary>
    internal static void Track(Task task)
    {
        using SpinLock.Guard guard = s_tasksLock.Lock();
        if (s_tasks.Count == s_tasks.Capacity) s_tasks.RemoveAll(static reference => !reference.TryGetTarget(out Task? old) || old.State == TaskState.Exited);
        s_tasks.Add(new WeakReference<Task>(task));
    }

    /// <summary>Takes a task from a state to Runnable and gives it to the policy. False, and nothing done, when it was in another state.</summary>
    private static bool MakeRunnable(Task task, int from, EnqueueReason reason)
    {
        CpuState? cpu = Cpu();
        IScheduler policy = EnterPolicy(cpu);
        int target;
        try
        {
            if (Interlocked.CompareExchange(ref task.StateValue, (int)TaskState.Runnable, from) != from) return false;
            target = policy.Enqueue(task, reason);
        }
        catch (Exception problem)
        {
            LeavePolicy(ref cpu);
            Violation(policy, $"Enqueue failed: {problem.Message}");        // falling back enqueues every runnable task
            return true;
        }
        finally
        {
            LeavePolicy(ref cpu);
        }
        RequestReschedule(target);
        return true;
    }

    /// <summary>Asks whether the current task goes on; it is Runnable when it does not and the policy has it.</summary>
    private static Standing Update(CpuState cpu, Task current, UpdateReason reason)
    {
        CpuState? inside = cpu;
        IScheduler policy = EnterPolicy(cpu);
        try
        {
            if (!ReferenceEquals(cpu.Running, current)) return Standing.Unknown;
            ILocalRunQueue queue = policy.GetLocalRunQueue(cpu.Number);
            if (!MayRunOn(current, cpu.Number))
            {
                queue.DequeueCurrent();
                cpu.Running = null;
                return Standing.Unknown;
            }
            if (!queue.UpdateCurrent(reason)) return Standing.Stays;
            if (!ReferenceEquals(cpu.Running, current)) return Standing.Unknown;
            Volatile.Write(ref current.StateValue, (int)TaskState.Runnable);
            return Standing.GivesWay;
        }
        catch (Exception problem)
        {
            LeavePolicy(ref inside);
            Violation(policy, $"UpdateCurrent failed: {problem.Message}");
            return Standing.Unknown;
        }
        finally
        {
            LeavePolicy(ref inside);
        }
    }

    /// <summary>Tells the policy that time has passed. True when another task should run.</summary>
    private static bool Tick(CpuState cpu)
    {
        CpuState? inside = cpu;
        IScheduler policy = EnterPolicy(cpu);
        try
        {
            return policy.GetLocalRunQueue(cpu.Number).UpdateCurrent(UpdateReason.Tick);
        }
        catch (Exception problem)
        {
            LeavePolicy(ref inside);
            Violation(policy, $"UpdateCurrent failed: {problem.Message}");
            return true;
        }
        finally
        {
            LeavePolicy(ref inside);
        }
    }

    /// <summary>The current task goes: the policy forgets it.</summary>
    private static void Depart(CpuState cpu, Task task, UpdateReason reason)
    {
        CpuState? inside = cpu;
        IScheduler policy = EnterPolicy(cpu);
        try
        {
            if (!ReferenceEquals(cpu.Running, task)) return;
            ILocalRunQueue queue = policy.GetLocalRunQueue(cpu.Number);
            queue.UpdateCurrent(reason);
            cpu.Running = null;
            queue.DequeueCurrent();
        }
        catch (Exception problem)
        {
            LeavePolicy(ref inside);
            Violation(policy, $"UpdateCurrent or DequeueCurrent failed: {problem.Message}");
        }
        finally
        {
            LeavePolicy(ref inside);
        }
    }

    /// <summary>Who runs on this CPU from now on: the current task when it goes on, null for nobody. Whoever is returned is Running, and this CPU's alone.</summary>
    private static Task? Pick(CpuState cpu, Task current)
    {
        while (true)
        {
            CpuState? inside = cpu;
            IScheduler policy = EnterPolicy(cpu);
            string lie;
            try
            {
                Task? next = policy.GetLocalRunQueue(cpu.Number).PickNext();
                if (!ReferenceEquals(policy, s_policy)) continue;       // it injected another one meanwhile
                if (next is null)
                {
                    // A yield, and nobody else wants the CPU: the policy kept us.
                    if (ReferenceEquals(cpu.Running, current) && TryClaim(current)) return current;
                    cpu.Running = null;
                    return null;
                }
                if (TryClaim(next))
                {
                    cpu.Running = next;
                    Volatile.Write(ref next.Cpu, cpu.Number);
                    return next;
                }
                lie = $"PickNext chose '{next.Name}', which is {next.State}";
            }
            catch (Exception problem)
            {
                lie = $"PickNext failed: {problem.Message}";
            }
            finally
            {
                LeavePolicy(ref inside);
            }
            Violation(policy, lie);
        }
    }

    private static bool TryClaim(Task task) =>
        Interlocked.CompareExchange(ref task.StateValue, (int)TaskState.Running, (int)TaskState.Runnable) == (int)TaskState.Runnable;

    /// <summary>When the policy wants its next tick. One that always says "now" gets no more ticks than <see cref="MinSliceNs"/> allows.</summary>
    private static ulong SliceDeadline(CpuState cpu)
    {
        CpuState? inside = cpu;
        IScheduler policy = EnterPolicy(cpu);
        try
        {
            ulong deadline = policy.GetLocalRunQueue(cpu.Number).SliceDeadlineNs;
            return deadline == 0 ? 0 : Math.Max(deadline, Machine.MonotonicNs() + MinSliceNs);
        }
        catch (Exception problem)
        {
            LeavePolicy(ref inside);
            Violation(policy, $"SliceDeadlineNs failed: {problem.Message}");
            return Machine.MonotonicNs() + FifoScheduler.TimeSliceNs;
        }
        finally
        {
            LeavePolicy(ref inside);
        }
    }

    /// <summary>Begins a section: no other policy comes in before its end, and one that tries to block in it gets an exception.</summary>
    private static IScheduler EnterPolicy(CpuState cpu)
    {
        PolicyWatch.Enter(PolicyKind.Scheduler);
        while (true)
        {
            // Two words, each written before the other is looked at: either we see who replaces, or it sees us.
            Interlocked.Increment(ref cpu.InPolicy);
            if (Volatile.Read(ref s_replacing) == 0) return s_policy;
            Interlocked.Decrement(ref cpu.InPolicy);
            while (Volatile.Read(ref s_replacing) != 0) Machine.Pause();
        }
    }

    // Once a section, however it ends: the reference is cleared.
    private static void LeavePolicy(ref CpuState? inside)
    {
        if (inside is null) return;
        Interlocked.Decrement(ref inside.InPolicy);
        inside = null;
        PolicyWatch.Leave();
    }

    private static void Violation(IScheduler policy, string what)
    {
        if (!Replace(new FifoScheduler(), policy)) return;      // another CPU has caught it already
        Log.Error($"scheduler policy violation: {what}; the default policy takes over");
    }

    /// <summary>Moves every runnable task to another policy; the running ones join at their next safe point. False when the policy in charge is not the one that is meant to go.</summary>
    private static bool Replace(IScheduler policy, IScheduler? violator)
    {
        CpuState self = Cpu();
        // From inside a policy's call: that call's section must not be waited for, by us or by another CPU that replaces.
        int inside = Interlocked.Exchange(ref self.InPolicy, 0);
        while (Interlocked.CompareExchange(ref s_replacing, 1, 0) != 0) Machine.Pause();
        PolicyWatch.Enter(PolicyKind.Scheduler);
        try
        {
            if (violator is not null && !ReferenceEquals(s_policy, violator)) return false;
            if (violator is not null) Interlocked.Increment(ref s_violations);
            foreach (CpuState cpu in s_cpus)
            {
                while (Volatile.Read(ref cpu.InPolicy) != 0) Machine.Pause();
            }
            s_policy = policy;
            PolicyWatch.Name(PolicyKind.Scheduler, policy);
            foreach (CpuState cpu in s_cpus) cpu.Running = null;
            foreach (Task task in RunnableTasks()) policy.Enqueue(task, EnqueueReason.Wake);
        }
        finally
        {
            PolicyWatch.Leave();
            Interlocked.Exchange(ref self.InPolicy, inside);
            Volatile.Write(ref s_replacing, 0);
        }
        for (int cpu = 0; cpu < s_cpus.Length; cpu++) RequestReschedule(cpu);
        return true;
    }

    private static List<Task> RunnableTasks()
    {
        var runnable = new List<Task>();
        using SpinLock.Guard guard = s_tasksLock.Lock();
        foreach (WeakReference<Task> reference in s_tasks)
        {
            if (reference.TryGetTarget(out Task? task) && task.State == TaskState.Runnable) runnable.Add(task);
        }
        return runnable;
    }
}
