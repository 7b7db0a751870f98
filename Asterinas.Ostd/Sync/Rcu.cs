using System;
using System.Collections.Generic;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Tasks;

namespace Asterinas.Ostd.Sync;

/// <summary>
/// Grace periods (RCU). A reader does not block between <see cref="Read"/> and the guard's end; a task switch is therefore a quiescent state of its CPU, and a grace period is
/// over when every other CPU has switched or idled since it began.
/// </summary>
public static class Rcu
{
    private static readonly SpinLock s_lock = new("rcu");
    private static readonly Queue<(long[] Start, Action Action)> s_deferred = new();

    /// <summary>Begins a read-side section: nothing in it may block.</summary>
    public static Guard Read()
    {
        Task.EnterAtomic();
        return new Guard(true);
    }

    /// <summary>Waits until every read-side section that runs now has ended.</summary>
    /// <exception cref="InvalidOperationException">The task is in a read-side section itself, or may not block.</exception>
    public static void Synchronize()
    {
        Scheduler.CheckMayBlock(Task.Current);
        long[] start = Snapshot();
        while (!HasPassed(start)) Task.Sleep(1000000);
    }

    /// <summary>Runs an action after a grace period, from the idle loop or a safe point. It must not block.</summary>
    /// <param name="action">An exception in it is logged.</param>
    public static void Defer(Action action)
    {
        ArgumentNullException.ThrowIfNull(action);
        long[] start = Snapshot();
        using SpinLock.Guard guard = s_lock.Lock();
        s_deferred.Enqueue((start, action));
    }

    /// <summary>Runs the actions whose grace period is over. False when there was none.</summary>
    internal static bool RunDeferred()
    {
        bool any = false;
        while (true)
        {
            Action action;
            using (SpinLock.Guard guard = s_lock.Lock())
            {
                if (!s_deferred.TryPeek(out (long[] Start, Action Action) first) || !HasPassed(first.Start)) return any;
                s_deferred.Dequeue();
                action = first.Action;
            }
            any = true;
            try
            {
                action();
            }
            catch (Exception problem)
            {
                Log.Error($"a deferred action failed: {problem}");
            }
        }
    }

    private static long[] Snapshot()
    {
        long[] counts = new long[Machine.CpuCount()];
        for (int cpu = 0; cpu < counts.Length; cpu++) counts[cpu] = Scheduler.QuiescentStates(cpu);
        return counts;
    }

    /// <summary>This CPU is not in a read-side section when the caller asks; every other one must have switched since.</summary>
    private static bool HasPassed(long[] start)
    {
        int self = Machine.CpuId();
        for (int cpu = 0; cpu < start.Length; cpu++)
        {
            if (cpu != self && Scheduler.QuiescentStates(cpu) == start[cpu]) return false;
        }
        return true;
    }

    /// <summary>Ends the section when it goes out of scope.</summary>
    public ref struct Guard
    {
        private bool _held;

        internal Guard(bool held) => _held = held;

        /// <summary>Ends the section; a second call does nothing.</summary>
        public void Dispose()
        {
            if (!_held) return;
            _held = false;
            Task.LeaveAtomic();
        }
    }
}
