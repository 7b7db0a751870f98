using System;
using System.Runtime.InteropServices;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Interrupts;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Timers;

namespace Asterinas.Ostd.Tasks;

/// <summary>
/// The mechanism of scheduling: it switches, wakes and checks; whom to run is the policy's business (<see cref="IScheduler"/>).
/// <code>
///   Spawn ──► Runnable ──pick──► Running ──Wait──► Waiting
///                ▲  ▲             │   │               │
///                │  └────Yield────┘   └─End─► Exited  │
///                └────────────────Wake────────────────┘
///
///   operation            │ what makes it safe on several CPUs
///   pick × pick          │ State by compare-and-swap Runnable → Running: one CPU wins
///   wake × wake          │ State by compare-and-swap Waiting → Runnable: one waker enqueues
///   wake × going to sleep│ State is Waiting before the condition is looked at; a waker that comes first leaves the task Runnable and enqueued: it goes off its CPU all the same, and whoever
///                        │ picks it (it itself, perhaps) runs it on
///   pick × still leaving │ the platform's switch claims the thread when it has left its last CPU (Runtime/Threads)
///   any × Inject         │ a change of State and the policy's call that belongs to it are one section (EnterPolicy); a new policy waits until nobody is in one
/// </code>
/// A task that blocks under the runtime (an event, a lock's contention, a finalizer) leaves its CPU to the idle thread without a word; the idle loop tells the policy. Where managed code does
/// not expect to block (a collection), the thread keeps its CPU: between two points where a task may block, its CPU stays the same.
/// </summary>
public static partial class Scheduler
{
    // The shortest time between two ticks that a policy can ask for.
    private const ulong MinSliceNs = 50000;

#if ARCH_MIRCH
    private static CpuState[] s_cpus = CreateCpus();

    /// <summary>Forgets the earlier simulated machine.</summary>
    internal static void Restart()
    {
        s_cpus = CreateCpus();
        s_tasks.Clear();
        s_policy = new FifoScheduler();
        s_violations = 0;
        s_replacing = 0;
        Task.ForgetCurrent();
        Initialize();
    }
#else
    private static readonly CpuState[] s_cpus = CreateCpus();
#endif

    /// <summary>One CPU's side of the mechanism. Its own threads alone touch it, unless a field says otherwise.</summary>
    private sealed class CpuState(int number)
    {
        public readonly int Number = number;
        public Task Idle = null!;
        public Task? Current;               // who has the CPU; null for the idle task. One that leaves without a word is still here when the idle task looks
        public Task? Running;               // what the policy's run queue believes to run here; a change of the policy clears it
        public bool NeedsReschedule;
        public bool InSafePoint;
        public long Switches;
        public long QuiescentStates;        // atomic; read by all
        public ulong SliceDeadline;
        public int InPolicy;                // atomic; read by who replaces the policy
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

    /// <summary>Makes the boot thread a task and starts the idle tasks of all CPUs.</summary>
    internal static void Initialize()
    {
        CpuState cpu = Cpu();
        Task boot = Task.AdoptBootThread();
        foreach (CpuState each in s_cpus) CreateIdle(each);
        Machine.ThreadSetIdle(cpu.Idle.Thread);
        // The boot task becomes the policy's current one by the ordinary way in.
        boot.StateValue = (int)TaskState.Runnable;
        s_policy.Enqueue(boot, EnqueueReason.Spawn);
        s_policy.GetLocalRunQueue(cpu.Number).PickNext();
        boot.StateValue = (int)TaskState.Running;
        cpu.Running = cpu.Current = boot;
        foreach (CpuState other in s_cpus)
        {
            if (other != cpu) Machine.CpuStart(other.Number, other.Idle.Thread);
        }
    }

    // SAFETY: the idle task's entry point has the signature that the platform calls; its handle stays allocated for good.
    private static unsafe void CreateIdle(CpuState cpu)
    {
        cpu.Idle = Task.CreateIdle();
        nint handle = GCHandle.ToIntPtr(GCHandle.Alloc(cpu.Idle));
        cpu.Idle.Thread = Machine.ThreadCreate(&IdleMain, handle, 128 * 1024);
        if (cpu.Idle.Thread == 0) throw new OutOfMemoryException();
    }

    /// <summary>A new task becomes runnable.</summary>
    internal static void Start(Task task)
    {
        Track(task);
        MakeRunnable(task, Task.BlockedBelow, EnqueueReason.Spawn);
    }

    /// <summary>
    /// Makes a CPU look at its run queue soon: for a policy that changed its mind outside <see cref="IScheduler.Enqueue"/> (a priority was changed, a task was moved). Never blocks.
    /// </summary>
    /// <param name="cpu">Its number; one that does not exist is ignored.</param>
    public static void RequestReschedule(int cpu)
    {
        if ((uint)cpu < (uint)s_cpus.Length) Machine.KickCpu(cpu);
    }

    /// <summary>The task's affinity is another one: the CPU that runs it looks at it soon, at once when it is the caller.</summary>
    internal static void AffinityChanged(Task task)
    {
        RequestReschedule(Volatile.Read(ref task.Cpu));
        Task current = Task.Current;
        if (ReferenceEquals(task, current) && current.AtomicDepth == 0 && !MayRunOn(task, Machine.CpuId())) YieldIfNeeded();
    }

    /// <summary>Wakes a task that waits. False when it does not wait (any more).</summary>
    internal static bool Wake(Task task) => MakeRunnable(task, (int)TaskState.Waiting, EnqueueReason.Wake);

    internal static void Yield()
    {
        Task current = Task.Current;
        CheckMayBlock(current);
        RunSafePoint();
        Reschedule(current, UpdateReason.Yield);
    }

    internal static void YieldIfNeeded()
    {
        Task current = Task.Current;
        if (current.AtomicDepth != 0) return;       // a bottom half might want the lock that is held here
        if (Machine.PendingEvents() != 0)
        {
            RunSafePoint();
            DrainReady(Cpu());
        }
        CpuState cpu = Cpu();
        // A task that its policy does not know as current joins: the policy is a new one.
        if (cpu.NeedsReschedule || !ReferenceEquals(cpu.Running, current)) Reschedule(current, UpdateReason.Tick);
    }

    /// <summary>The current task's State is Waiting (or, when its waker was faster, Runnable, or even Running: picked by another CPU): leave the CPU until it is picked.</summary>
    internal static void Block()
    {
        Task current = Task.Current;
        CpuState cpu = Cpu();
        DrainReady(cpu);
        Depart(cpu, current, UpdateReason.Wait);
        SwitchAway(current);
    }

    /// <summary>The current task has ended: the policy forgets it. The CPU goes to the idle thread.</summary>
    internal static void LeaveForGood(Task ended)
    {
        CpuState cpu = Cpu();
        Depart(cpu, ended, UpdateReason.Exit);
        cpu.Current = null;
        cpu.Switches++;
    }

    /// <summary>Throws when the current task may not block: it holds a spin lock or runs a bottom half.</summary>
    internal static void CheckMayBlock(Task current)
    {
        if (current.AtomicDepth > 0) throw new InvalidOperationException("a task that holds a spin lock, reads under RCU or runs a bottom half cannot block");
    }

    /// <summary>
    /// Times that a CPU was seen outside of any RCU read section: at each task switch, in the idle loop, and when it answers <see cref="RequestReschedule"/> at a safe point, so that a CPU which
    /// stays in user mode or idles can be asked.
    /// </summary>
    internal static long QuiescentStates(int cpu) => Interlocked.Read(ref s_cpus[cpu].QuiescentStates);

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
                if (Machine.TakeReschedule() != 0)
                {
                    cpu.NeedsReschedule = true;
                    Interlocked.Increment(ref cpu.QuiescentStates);
                }
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

    /// <summary>Sets the hardware timer of this CPU to the next thing that needs it.</summary>
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
            if (cpu.Running is null)
            {
                cpu.SliceDeadline = 0;
            }
            else
            {
                if (Tick(cpu)) cpu.NeedsReschedule = true;
                cpu.SliceDeadline = SliceDeadline(cpu);
            }
        }
        ArmTimer();
    }

    /// <summary>The current task gives way if the policy wants another one to run, or if it may not run on this CPU any more.</summary>
    private static void Reschedule(Task current, UpdateReason reason)
    {
        CpuState cpu = Cpu();
        cpu.NeedsReschedule = false;
        DrainReady(cpu);
        switch (Update(cpu, current, reason))
        {
            case Standing.Stays:
                ArmSlice(cpu, current);
                return;
            case Standing.Unknown:
                MakeRunnable(current, (int)TaskState.Running, EnqueueReason.Wake);
                break;
        }
        SwitchAway(current);
    }

    private static void SwitchAway(Task current)
    {
        CpuState cpu = Cpu();
        Task? next = Pick(cpu, current);
        ArmSlice(cpu, next);
        if (ReferenceEquals(next, current)) return;
        cpu.Switches++;
        cpu.Current = next;
        Interlocked.Increment(ref cpu.QuiescentStates);
        Machine.ThreadSwitch(next?.Thread ?? cpu.Idle.Thread);
    }

    private static void ArmSlice(CpuState cpu, Task? next)
    {
        ulong deadline = next is null ? 0 : SliceDeadline(cpu), old = cpu.SliceDeadline;
        cpu.SliceDeadline = deadline;
        // A timer that comes too early is set again then: cheaper than a write to the timer at every switch.
        if (deadline == 0 ? old != 0 : old == 0 || deadline < old) ArmTimer();
    }

    /// <summary>Queues the threads of this CPU that the runtime's own primitives woke. One that is no task yet (the finalizer's thread) becomes one.</summary>
    private static void DrainReady(CpuState cpu)
    {
        for (nint thread; (thread = Machine.ThreadTakeReady()) != 0;)
        {
            // The idle thread runs whenever nobody else does: nothing to queue.
            if (thread == cpu.Idle.Thread) continue;
            nint tag = Machine.GetThreadTag(thread);
            Task task = tag != 0 && GCHandle.FromIntPtr(tag).Target is Task known ? known : Task.AdoptThread(thread);
            if (ReferenceEquals(task, cpu.Current)) BlockedUnderRuntime(cpu);     // idle has not looked yet
            MakeRunnable(task, Task.BlockedBelow, EnqueueReason.Wake);
        }
    }

    /// <summary>The task that has the CPU blocked under the runtime: it left without a word. Whether the policy knew it or not, it is queued when it comes back.</summary>
    private static void BlockedUnderRuntime(CpuState cpu)
    {
        Task left = cpu.Current!;
        cpu.Current = null;
        Depart(cpu, left, UpdateReason.Wait);
        if (Interlocked.CompareExchange(ref left.StateValue, Task.BlockedBelow, (int)TaskState.Running) == (int)TaskState.Running) return;
        throw new InvalidOperationException($"task '{left.Name}' blocked under the runtime while it was {left.State}: a wait's condition must not block");
    }

    private static bool MayRunOn(Task task, int cpu) => task.Affinity is not { } allowed || allowed.Contains(cpu);

    [UnmanagedCallersOnly]
    private static void IdleMain(nint handle)
    {
        var self = (Task)GCHandle.FromIntPtr(handle).Target!;
        self.BecomeCurrent();
        self.StateValue = (int)TaskState.Running;
        CpuState cpu = Cpu();
        while (true)
        {
            if (cpu.Current is not null) BlockedUnderRuntime(cpu);
            RunSafePoint();
            DrainReady(cpu);
            cpu.NeedsReschedule = false;
            Task? next = Pick(cpu, self);
            Interlocked.Increment(ref cpu.QuiescentStates);
            if (next is null)
            {
                Machine.Halt();
                continue;
            }
            cpu.Switches++;
            cpu.Current = next;
            ArmSlice(cpu, next);
            Machine.ThreadSwitch(next.Thread);
        }
    }

    private static CpuState Cpu() => s_cpus[Machine.CpuId()];

    private static CpuState[] CreateCpus()
    {
        var cpus = new CpuState[Machine.CpuCount()];
        for (int i = 0; i < cpus.Length; i++) cpus[i] = new CpuState(i);
        return cpus;
    }
}
