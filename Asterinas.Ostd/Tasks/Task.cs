using System;
using System.Runtime.InteropServices;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Smp;
using Asterinas.Ostd.Sync;

namespace Asterinas.Ostd.Tasks;

/// <summary>How a task that is created differs from the default.</summary>
public sealed record TaskOptions
{
    /// <summary>Name in logs.</summary>
    public string Name { get; init; } = "task";

    /// <summary>Bytes of kernel stack: 32 KiB to 16 MiB; below it lies a guard page.</summary>
    public int StackBytes { get; init; } = 256 * 1024;

    /// <summary>The CPUs it may run on; null for all.</summary>
    public CpuSet? Affinity { get; init; }

    /// <summary>First value of <see cref="Task.SchedulerData"/>: class, priority, what the injected policy wants to know.</summary>
    public object? SchedulerData { get; init; }

    /// <summary>Anything that the kernel on top wants to find again in <see cref="Task.Data"/>.</summary>
    public object? Data { get; init; }
}

/// <summary>Where a task is in its life; drawn at <see cref="Scheduler"/>.</summary>
public enum TaskState
{
    /// <summary>Wants a CPU: with the scheduler.</summary>
    Runnable = 0,
    /// <summary>On a CPU.</summary>
    Running = 1,
    /// <summary>In a wait queue, asleep, or blocked inside the runtime.</summary>
    Waiting = 2,
    /// <summary>Has ended.</summary>
    Exited = 3,
}

/// <summary>
/// A kernel thread: its own stack with a guard page, its own thread statics. The kernel is not preempted: a task runs until it blocks, yields or ends; in user mode
/// the timer takes the CPU back.
/// </summary>
public sealed unsafe class Task
{
    // SAFETY: _thread is a thread of the platform layer. It exists from the constructor on until the task has ended, and is used for switching only after
    // the mechanism has claimed the task, which can succeed for one that is Runnable and nowhere else.
    [ThreadStatic]
    private static Task? t_current;

    /// <summary>
    /// A value of StateValue: not with the scheduler, and not to be woken by it. A task is so before its start, and while it is blocked in a primitive of the runtime.
    /// </summary>
    internal const int BlockedBelow = 4;

    // A set and its absence in one reference, so that a change is one store.
    private sealed record AffinityBox(CpuSet Set);

    private readonly Action? _entry;
    private readonly WaitQueue _exited = new();
    private nint _handle;
    private nint _thread;
    private AffinityBox? _affinity;

    internal nint Thread
    {
        get => _thread;
        set
        {
            _thread = value;
            if (value != 0) PolicyMark = Machine.ThreadPolicyMark(value);
        }
    }

    /// <summary>The CPU that it runs on or ran on last.</summary>
    internal int Cpu;

    /// <summary>What the watchdog sees of the policy's call that this task is in.</summary>
    internal PolicyWatch.Mark* PolicyMark;
    internal int StateValue = BlockedBelow;
    internal int AtomicDepth;
    internal int PendingSignals;
    internal readonly Waiter Waiter;

    private Task(Action? entry, TaskOptions options)
    {
        _entry = entry;
        Name = options.Name;
        Data = options.Data;
        if (options.Affinity is { } set) _affinity = new AffinityBox(set);
        SchedulerData = options.SchedulerData;
        Waiter = new Waiter(this);
    }

    /// <summary>The task that runs this code. A thread of the .NET runtime (the finalizer) becomes a task when it first asks.</summary>
    public static Task Current => t_current ?? Adopt();

    /// <summary>Name in logs.</summary>
    public string Name { get; }

    /// <summary>What the kernel on top attached.</summary>
    public object? Data { get; }

    /// <summary>The CPUs it may run on; null for all.</summary>
    public CpuSet? Affinity => Volatile.Read(ref _affinity)?.Set;

    /// <summary>Changes the CPUs it may run on. A task that runs elsewhere moves at its next safe point, at once when it is the caller.</summary>
    /// <param name="affinity">Null for all.</param>
    /// <exception cref="ArgumentException">None of the CPUs is online.</exception>
    public void SetAffinity(CpuSet? affinity)
    {
        if (affinity is { } set && (set.Bits & CpuSet.Online.Bits) == 0) throw new ArgumentException("no CPU of the set is online", nameof(affinity));
        Volatile.Write(ref _affinity, affinity is null ? null : new AffinityBox(affinity.Value));
        Scheduler.AffinityChanged(this);
    }

    /// <summary>Where it is in its life, at the moment of the call.</summary>
    public TaskState State => Volatile.Read(ref StateValue) is var value && value == BlockedBelow ? TaskState.Waiting : (TaskState)value;

    /// <summary>The exception that ended it; null while it runs and when it returned.</summary>
    public Exception? Failure { get; private set; }

    /// <summary>For the scheduling policy's own bookkeeping.</summary>
    public object? SchedulerData { get; set; }

    /// <summary>Starts a task.</summary>
    /// <param name="entry">What it does. An exception that leaves it is logged and kept in <see cref="Failure"/>.</param>
    /// <param name="options">Null for the defaults.</param>
    /// <exception cref="OutOfMemoryException">There is no memory for the stack.</exception>
    /// <exception cref="ArgumentOutOfRangeException">The stack size is out of range.</exception>
    public static Task Spawn(Action entry, TaskOptions? options = null) => TrySpawn(entry, options) ?? throw new OutOfMemoryException();

    /// <summary>Starts a task; null when there is no memory for its stack.</summary>
    /// <inheritdoc cref="Spawn"/>
    public static Task? TrySpawn(Action entry, TaskOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(entry);
        options ??= new TaskOptions();
        if (options.StackBytes is < 32 * 1024 or > 16 * 1024 * 1024) throw new ArgumentOutOfRangeException(nameof(options));
        var task = new Task(entry, options);
        task._handle = GCHandle.ToIntPtr(GCHandle.Alloc(task));
        task.Thread = Machine.ThreadCreate(&Main, task._handle, (nuint)options.StackBytes);
        if (task.Thread == 0)
        {
            GCHandle.FromIntPtr(task._handle).Free();
            return null;
        }
        Machine.SetThreadTag(task.Thread, task._handle);
        Scheduler.Start(task);
        return task;
    }

    /// <summary>Lets other runnable tasks go first; returns at once when there is none.</summary>
    public static void Yield() => Scheduler.Yield();

    /// <summary>
    /// A safe point for long loops: runs pending bottom halves and timers, and yields when the scheduler asked for it.
    /// </summary>
    public static void YieldIfNeeded() => Scheduler.YieldIfNeeded();

    /// <summary>Sleeps at least this long; an interrupt of the task ends it earlier.</summary>
    /// <param name="nanoseconds">Nanoseconds.</param>
    public static WaitResult Sleep(ulong nanoseconds) => Current.Waiter.Sleep(nanoseconds);

    internal static void SleepUninterruptible(ulong nanoseconds) => Current.Waiter.SleepUninterruptible(nanoseconds);

    /// <summary>Waits until the task has ended.</summary>
    /// <param name="timeoutNs">Nanoseconds at most; <see cref="ulong.MaxValue"/> for no limit.</param>
    /// <returns>Woken when it has ended; Interrupted or TimedOut otherwise.</returns>
    /// <exception cref="InvalidOperationException">A task joins itself.</exception>
    public WaitResult Join(ulong timeoutNs = ulong.MaxValue)
    {
        if (ReferenceEquals(this, Current)) throw new InvalidOperationException("a task cannot join itself");
        return _exited.WaitInterruptible(this, static task => task.State == TaskState.Exited, timeoutNs);
    }

    /// <summary>
    /// Asks the task to leave an interruptible wait, now or the next time it enters one, and user mode soon. <see cref="ClearInterrupt"/> takes it back.
    /// </summary>
    public void Interrupt() => Signal(SignalInterrupt);

    /// <summary>Asks the task to leave a killable or interruptible wait, for good.</summary>
    public void Kill() => Signal(SignalInterrupt | SignalKill);

    /// <summary>Forgets an interrupt, not a kill.</summary>
    public void ClearInterrupt()
    {
        int old;
        do old = Volatile.Read(ref PendingSignals);
        while ((old & SignalKill) == 0 && Interlocked.CompareExchange(ref PendingSignals, old & ~SignalInterrupt, old) != old);
    }

    internal const int SignalInterrupt = 1, SignalKill = 2;

    /// <summary>The boot thread becomes the first task; it is running.</summary>
    internal static Task AdoptBootThread()
    {
        Task task = Current;
        task.StateValue = (int)TaskState.Running;
        return task;
    }

    internal static Task CreateIdle() => new(null, new TaskOptions { Name = "idle" });

#if ARCH_MIRCH
    internal static void ForgetCurrent() => t_current = null;
#endif

    internal void BecomeCurrent() => t_current = this;

    /// <summary>Code that may not block runs between these two: a spin lock is held, or a bottom half runs.</summary>
    internal static void EnterAtomic() => Current.AtomicDepth++;

    internal static void LeaveAtomic() => Current.AtomicDepth--;

    private void Signal(int bits)
    {
        // Whoever picks it writes Cpu, passes a fence and looks for signals before user mode: it sees this one, or is seen here.
        Interlocked.Or(ref PendingSignals, bits);
        Waiter.OnSignal();
        // One that is in user mode on another CPU comes back to look.
        if (State == TaskState.Running && !ReferenceEquals(this, Current)) Scheduler.RequestReschedule(Volatile.Read(ref Cpu));
    }

    /// <summary>The task of a thread that the runtime started. Such threads live as long as the kernel.</summary>
    internal static Task AdoptThread(nint thread)
    {
        var task = new Task(null, new TaskOptions { Name = "runtime" }) { Thread = thread };
        task._handle = GCHandle.ToIntPtr(GCHandle.Alloc(task));
        Machine.SetThreadTag(thread, task._handle);
        Scheduler.Track(task);
        return task;
    }

    private static Task Adopt()
    {
        nint tag = Machine.GetThreadTag(Machine.ThreadCurrent());
        Task task = tag != 0 ? (Task)GCHandle.FromIntPtr(tag).Target! : AdoptThread(Machine.ThreadCurrent());
        if (tag == 0) task.StateValue = (int)TaskState.Running;
        t_current = task;
        return task;
    }

    [UnmanagedCallersOnly]
    private static void Main(nint handle)
    {
        var task = (Task)GCHandle.FromIntPtr(handle).Target!;
        t_current = task;
        try
        {
            task._entry!();
        }
        catch (Exception problem)
        {
            task.Failure = problem;
            Log.Error($"task '{task.Name}' ended by an exception: {problem}");
        }
        task.End();
    }

    private void End()
    {
        // From here on the runtime's own blocking (the thread's detachment may wait for a collection) is none of the scheduler's business.
        Machine.SetThreadTag(Thread, 0);
        GCHandle.FromIntPtr(_handle).Free();
        if (AtomicDepth != 0) Log.Error($"task '{Name}' ended with {AtomicDepth} spin locks held");
        Volatile.Write(ref StateValue, (int)TaskState.Exited);
        _exited.WakeAll();
        Scheduler.LeaveForGood(this);
    }
}
