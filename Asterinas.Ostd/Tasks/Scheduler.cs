using System;
using System.Collections.Generic;
using System.Runtime.InteropServices;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Interrupts;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Timers;
using SpinLock = Asterinas.Ostd.Sync.SpinLock;

namespace Asterinas.Ostd.Tasks;

/// <summary>
/// The mechanism of scheduling: it switches, wakes and checks; whom to run is the policy's business (<see cref="IScheduler"/>).
/// <code>
///   Spawn ──► Runnable ──pick, claim OnCpu──► Running ──Wait──► Waiting
///                ▲  ▲                          │   │               │
///                │  └──────────Yield───────────┘   └─End─► Exited  │
///                └──────────────────────Wake───────────────────────┘
///
///   operation           │ what makes it safe on several CPUs
///   pick × pick         │ OnCpu by compare-and-swap from NoCpu: one CPU wins
///   wake × wake         │ State by compare-and-swap Waiting → Runnable: one waker enqueues
///   wake × going to sleep│ State is Waiting before the condition is looked at; a waker that comes first leaves the task Runnable and enqueued, and it picks itself
///   pick × still leaving│ OnCpu becomes NoCpu only after the switch (FinishSwitch); the picker waits for that moment
/// </code>
/// A task that blocks under the runtime (a collection, a finalizer's event) leaves its CPU to the idle thread without a word; the idle loop tells the policy.
/// </summary>
public static class Scheduler
{
    // The shortest time between two ticks that a policy can ask for.
    private const ulong MinSliceNs = 50000;

    private static readonly SpinLock s_tasksLock = new("all tasks");
    private static readonly List<WeakReference<Task>> s_tasks = [];
#if ARCH_MIRCH
    private static CpuState[] s_cpus = CreateCpus();

    /// <summary>Forgets the earlier simulated machine.</summary>
    internal static void Restart()
    {
        s_cpus = CreateCpus();
        s_tasks.Clear();
        s_policy = new FifoScheduler();
        s_violations = 0;
        Task.ForgetCurrent();
        Initialize();
    }
#else
    private static readonly CpuState[] s_cpus = CreateCpus();
#endif
    private static IScheduler s_policy = new FifoScheduler();
    private static long s_violations;

    private sealed class CpuState
    {
        public Task Idle = null!;
        public Task? Running;               // what the policy's run queue believes to run here
        public Task? Leaving;               // has switched away, its OnCpu is about to be cleared
        public bool NeedsReschedule;
        public bool InSafePoint;
        public long Switches;               // each one is a quiescent state
        public ulong SliceDeadline;
    }

    /// <summary>Task switches of all CPUs since boot.</summary>
    public static long SwitchCount
    {
        get
        {
            long sum = 0;
            foreach (CpuState cpu in s_cpus) sum += Interlocked.Read(ref cpu.Switches);
            return sum;
        }
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
            Replace(policy);
        }
        catch (Exception problem)
        {
            Violation($"Enqueue failed: {problem.Message}");
        }
    }

    /// <summary>The policy in charge.</summary>
    internal static IScheduler Policy => s_policy;

    /// <summary>Makes the boot thread a task and starts the idle task of this CPU.</summary>
    // SAFETY: the idle task's entry point has the signature that the platform calls; its handle stays allocated for good.
    internal static unsafe void Initialize()
    {
        CpuState cpu = Cpu();
        Task boot = Task.AdoptBootThread();
        boot.OnCpu = Machine.CpuId();
        cpu.Idle = Task.CreateIdle();
        nint handle = GCHandle.ToIntPtr(GCHandle.Alloc(cpu.Idle));
        cpu.Idle.Thread = Machine.ThreadCreate(&IdleMain, handle, 128 * 1024);
        if (cpu.Idle.Thread == 0) throw new OutOfMemoryException();
        Machine.ThreadSetIdle(cpu.Idle.Thread);
        // The boot task becomes the policy's current one by the ordinary way in.
        boot.StateValue = (int)TaskState.Runnable;
        s_policy.Enqueue(boot, EnqueueReason.Spawn);
        s_policy.GetLocalRunQueue(Machine.CpuId()).PickNext();
        boot.StateValue = (int)TaskState.Running;
        cpu.Running = boot;
    }

    internal static void Enqueue(Task task, EnqueueReason reason)
    {
        if (reason == EnqueueReason.Spawn) Track(task);
        int target;
        Task.EnterAtomic();                 // a policy that tries to block gets an exception
        try
        {
            target = s_policy.Enqueue(task, reason);
        }
        catch (Exception problem)
        {
            Violation($"Enqueue failed: {problem.Message}");
            return;                         // falling back has enqueued every runnable task
        }
        finally
        {
            Task.LeaveAtomic();
        }
        if ((uint)target < (uint)s_cpus.Length) s_cpus[target].NeedsReschedule = true;
    }

    /// <summary>
    /// Makes a CPU look at its run queue soon: for a policy that changed its mind outside <see cref="IScheduler.Enqueue"/> (a priority was changed, a task was moved). Never blocks.
    /// </summary>
    /// <param name="cpu">Its number; one that does not exist is ignored.</param>
    public static void RequestReschedule(int cpu)
    {
        if ((uint)cpu < (uint)s_cpus.Length) s_cpus[cpu].NeedsReschedule = true;
    }

    /// <summary>The task's affinity is another one: the CPU that runs it looks at it soon.</summary>
    internal static void AffinityChanged(Task task)
    {
        int cpu = Volatile.Read(ref task.OnCpu);
        if (cpu != Task.NoCpu) s_cpus[cpu].NeedsReschedule = true;
    }

    /// <summary>Wakes a task that waits. False when it does not wait (any more).</summary>
    internal static bool Wake(Task task)
    {
        if (Interlocked.CompareExchange(ref task.StateValue, (int)TaskState.Runnable, (int)TaskState.Waiting) != (int)TaskState.Waiting) return false;
        Enqueue(task, EnqueueReason.Wake);
        return true;
    }

    internal static void Yield()
    {
        Task current = Task.Current;
        CheckMayBlock(current);
        RunSafePoint();
        CpuState cpu = Cpu();
        cpu.NeedsReschedule = false;
        DrainReady(cpu);
        if (ReferenceEquals(cpu.Running, current) && !Update(cpu, UpdateReason.Yield))
        {
            ArmSlice(cpu, current);
            return;
        }
        Volatile.Write(ref current.StateValue, (int)TaskState.Runnable);
        // The policy does not know the task as current: it came back from a wait under the runtime, or the policy was replaced. Queue it like a woken one.
        if (!ReferenceEquals(cpu.Running, current)) Enqueue(current, EnqueueReason.Wake);
        SwitchAway(current);
    }

    internal static void YieldIfNeeded()
    {
        Task current = Task.Current;
        if (current.AtomicDepth != 0) return;       // a bottom half might want the lock that is held here
        RunSafePoint();
        CpuState cpu = Cpu();
        DrainReady(cpu);
        if (cpu.NeedsReschedule) Yield();
    }

    /// <summary>The current task's State is Waiting (or Runnable again, when its waker was faster): leave the CPU until it is picked.</summary>
    internal static void Block()
    {
        Task current = Task.Current;
        CpuState cpu = Cpu();
        DrainReady(cpu);
        if (ReferenceEquals(cpu.Running, current))
        {
            Update(cpu, UpdateReason.Wait);
            Dequeue(cpu);
        }
        SwitchAway(current);
    }

    /// <summary>The thread that gets the CPU of a task that has ended.</summary>
    internal static nint PickSuccessor(Task ended)
    {
        CpuState cpu = Cpu();
        DrainReady(cpu);
        if (ReferenceEquals(cpu.Running, ended))
        {
            Update(cpu, UpdateReason.Exit);
            Dequeue(cpu);
        }
        Task? next = Pick(cpu, ended);
        cpu.Leaving = ended;
        cpu.Switches++;
        cpu.Running = next;
        ArmSlice(cpu, next);
        return next?.Thread ?? cpu.Idle.Thread;
    }

    /// <summary>First thing on a thread that was switched to: the one that left may run elsewhere now.</summary>
    internal static void FinishSwitch()
    {
        CpuState cpu = Cpu();
        Task? left = cpu.Leaving;
        if (left is null) return;
        cpu.Leaving = null;
        Volatile.Write(ref left.OnCpu, Task.NoCpu);
    }

    /// <summary>Throws when the current task may not block: it holds a spin lock or runs a bottom half.</summary>
    internal static void CheckMayBlock(Task current)
    {
        if (current.AtomicDepth > 0) throw new InvalidOperationException("a task that holds a spin lock, reads under RCU or runs a bottom half cannot block");
    }

    /// <summary>Number of task switches of a CPU: each is a quiescent state for RCU.</summary>
    internal static long QuiescentStates(int cpu) => Interlocked.Read(ref s_cpus[cpu].Switches);

    /// <summary>Runs what the top halves noted: timers and bottom halves. Nothing in it may block.</summary>
    internal static void RunSafePoint()
    {
        const uint Mine = 1 | 2 | 4 | 32;
        if ((Machine.PendingEvents() & Mine) == 0) return;
        CpuState cpu = Cpu();
        if (cpu.InSafePoint) return;
        cpu.InSafePoint = true;
        Task.EnterAtomic();
        try
        {
            while ((Machine.PendingEvents() & Mine) != 0)
            {
                if (Machine.TakeTimerExpired() != 0) OnTimer(cpu);
                if (Machine.TakeReschedule() != 0) cpu.NeedsReschedule = true;
                if (Machine.TakeReserveLow() != 0) FrameAllocator.RefillReserve();
                IrqLine.DispatchPending();
            }
        }
        finally
        {
            Task.LeaveAtomic();
            cpu.InSafePoint = false;
        }
    }

    /// <summary>Sets the hardware timer to the next thing that needs it.</summary>
    internal static void ArmTimer()
    {
        CpuState cpu = Cpu();
        ulong next = TimerQueue.NextDeadline(), slice = cpu.SliceDeadline;
        Machine.TimerArm(next == 0 ? slice : slice == 0 ? next : Math.Min(next, slice));
    }

    private static void OnTimer(CpuState cpu)
    {
        TimerQueue.RunExpired();
        if (cpu.SliceDeadline != 0 && Machine.MonotonicNs() >= cpu.SliceDeadline)
        {
            if (Update(cpu, UpdateReason.Tick)) cpu.NeedsReschedule = true;
            cpu.SliceDeadline = cpu.Running is null ? 0 : SliceDeadline();
        }
        ArmTimer();
    }

    private static void SwitchAway(Task current)
    {
        CpuState cpu = Cpu();
        Task? next = Pick(cpu, current);
        if (ReferenceEquals(next, current))
        {
            cpu.Running = current;
            ArmSlice(cpu, current);
            return;
        }
        if (next is null && current.State == TaskState.Runnable && ReferenceEquals(cpu.Running, current))
        {
            // A yield, and nobody else wants the CPU: the policy kept us.
            Volatile.Write(ref current.StateValue, (int)TaskState.Running);
            ArmSlice(cpu, current);
            return;
        }
        cpu.Running = next;
        cpu.Leaving = current;
        cpu.Switches++;
        ArmSlice(cpu, next);
        Machine.ThreadSwitch(next?.Thread ?? cpu.Idle.Thread);
        FinishSwitch();
    }

    private static void ArmSlice(CpuState cpu, Task? next)
    {
        ulong deadline = next is null ? 0 : SliceDeadline(), old = cpu.SliceDeadline;
        cpu.SliceDeadline = deadline;
        // A timer that comes too early is set again then: cheaper than a write to the timer at every switch.
        if (deadline == 0 ? old != 0 : old == 0 || deadline < old) ArmTimer();
    }

    /// <summary>When the policy wants its next tick. One that always says "now" gets no more ticks than <see cref="MinSliceNs"/> allows.</summary>
    private static ulong SliceDeadline()
    {
        Task.EnterAtomic();
        try
        {
            ulong deadline = s_policy.GetLocalRunQueue(Machine.CpuId()).SliceDeadlineNs;
            return deadline == 0 ? 0 : Math.Max(deadline, Machine.MonotonicNs() + MinSliceNs);
        }
        catch (Exception problem)
        {
            Violation($"SliceDeadlineNs failed: {problem.Message}");
            return Machine.MonotonicNs() + FifoScheduler.TimeSliceNs;
        }
        finally
        {
            Task.LeaveAtomic();
        }
    }

    /// <summary>Queues the threads that the runtime's own primitives woke. One that is no task yet (the finalizer's thread) becomes one.</summary>
    private static void DrainReady(CpuState cpu)
    {
        for (nint thread; (thread = Machine.ThreadTakeReady()) != 0;)
        {
            // The idle thread runs whenever nobody else does: nothing to queue.
            if (thread == Machine.ThreadIdle()) continue;
            nint tag = Machine.GetThreadTag(thread);
            Task task = tag != 0 && GCHandle.FromIntPtr(tag).Target is Task known ? known : Task.AdoptThread(thread);
            if (ReferenceEquals(task, cpu.Running)) Dequeue(cpu);       // it had blocked under the runtime, and idle has not looked yet
            Volatile.Write(ref task.OnCpu, Task.NoCpu);
            Volatile.Write(ref task.StateValue, (int)TaskState.Runnable);
            Enqueue(task, EnqueueReason.Wake);
        }
    }

    private static Task? Pick(CpuState cpu, Task current)
    {
        // A thread that came back from a wait under the runtime has not said so yet: whoever gave it this CPU has left long ago.
        FinishSwitch();
        while (true)
        {
            Task? next;
            Task.EnterAtomic();
            try
            {
                next = s_policy.GetLocalRunQueue(Machine.CpuId()).PickNext();
            }
            catch (Exception problem)
            {
                Violation($"PickNext failed: {problem.Message}");
                continue;
            }
            finally
            {
                Task.LeaveAtomic();
            }
            if (next is null || TryClaim(next, current)) return next;
            Violation($"PickNext chose '{next.Name}', which is {next.State}{(next.OnCpu != Task.NoCpu ? " on a CPU" : "")}");
        }
    }

    /// <summary>A task may run when it is runnable and on no CPU; the one that is leaving this CPU may pick itself.</summary>
    private static bool TryClaim(Task task, Task current)
    {
        if (task.State != TaskState.Runnable) return false;
        if (ReferenceEquals(task, current))
        {
            Volatile.Write(ref task.StateValue, (int)TaskState.Running);
            return true;
        }
        int cpu = Machine.CpuId();
        while (Interlocked.CompareExchange(ref task.OnCpu, cpu, Task.NoCpu) != Task.NoCpu)
        {
            int other = Volatile.Read(ref task.OnCpu);
            if (other != Task.NoCpu && !ReferenceEquals(Volatile.Read(ref s_cpus[other].Leaving), task)) return false;
            Machine.Pause();
        }
        Volatile.Write(ref task.StateValue, (int)TaskState.Running);
        return true;
    }

    private static bool Update(CpuState cpu, UpdateReason reason)
    {
        Task.EnterAtomic();
        try
        {
            return s_policy.GetLocalRunQueue(Machine.CpuId()).UpdateCurrent(reason);
        }
        catch (Exception problem)
        {
            Violation($"UpdateCurrent failed: {problem.Message}");
            return true;
        }
        finally
        {
            Task.LeaveAtomic();
        }
    }

    private static void Dequeue(CpuState cpu)
    {
        cpu.Running = null;
        Task.EnterAtomic();
        try
        {
            s_policy.GetLocalRunQueue(Machine.CpuId()).DequeueCurrent();
        }
        catch (Exception problem)
        {
            Violation($"DequeueCurrent failed: {problem.Message}");
        }
        finally
        {
            Task.LeaveAtomic();
        }
    }

    private static void Violation(string what)
    {
        Interlocked.Increment(ref s_violations);
        Log.Error($"scheduler policy violation: {what}; the default policy takes over");
        Replace(new FifoScheduler());
    }

    /// <summary>Moves every runnable task to another policy; the running ones join when they yield or wake.</summary>
    private static void Replace(IScheduler policy)
    {
        using SpinLock.Guard guard = s_tasksLock.Lock();
        s_policy = policy;
        foreach (CpuState cpu in s_cpus) cpu.Running = null;
        foreach (WeakReference<Task> reference in s_tasks)
        {
            if (reference.TryGetTarget(out Task? task) && task.State == TaskState.Runnable) policy.Enqueue(task, EnqueueReason.Wake);
        }
    }

    /// <summary>Makes a task known for a change of the policy.</summary>
    internal static void Track(Task task)
    {
        using SpinLock.Guard guard = s_tasksLock.Lock();
        if (s_tasks.Count == s_tasks.Capacity) s_tasks.RemoveAll(static reference => !reference.TryGetTarget(out Task? old) || old.State == TaskState.Exited);
        s_tasks.Add(new WeakReference<Task>(task));
    }

    [UnmanagedCallersOnly]
    private static void IdleMain(nint handle)
    {
        var self = (Task)GCHandle.FromIntPtr(handle).Target!;
        self.BecomeCurrent();
        self.StateValue = (int)TaskState.Running;
        CpuState cpu = Cpu();
        while (true)
        {
            FinishSwitch();
            // The task that was current blocked under the runtime: it left without a word to the policy.
            if (cpu.Running is { } left)
            {
                Dequeue(cpu);
                Volatile.Write(ref left.StateValue, (int)TaskState.Waiting);
                Volatile.Write(ref left.OnCpu, Task.NoCpu);
            }
            RunSafePoint();
            DrainReady(cpu);
            cpu.NeedsReschedule = false;
            Task? next = Pick(cpu, self);
            cpu.Switches++;
            if (next is null)
            {
                if (Rcu.RunDeferred()) continue;
                Machine.Halt();
                continue;
            }
            cpu.Running = next;
            ArmSlice(cpu, next);
            Machine.ThreadSwitch(next.Thread);
        }
    }

    private static CpuState Cpu() => s_cpus[Machine.CpuId()];

    private static CpuState[] CreateCpus()
    {
        var cpus = new CpuState[Machine.CpuCount()];
        for (int i = 0; i < cpus.Length; i++) cpus[i] = new CpuState();
        return cpus;
    }
}
