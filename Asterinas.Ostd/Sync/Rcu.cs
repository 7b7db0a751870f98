using System;
using System.Collections.Generic;
using System.Numerics;
using System.Threading;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Tasks;
using Timer = Asterinas.Ostd.Timers.Timer;

namespace Asterinas.Ostd.Sync;

/// <summary>
/// Grace periods (RCU). A reader does not block between <see cref="Read"/> and the guard's end; so a CPU that switches tasks, idles or passes a safe point is outside of any section. A grace
/// period is over when every other CPU has been seen there since it began; CPUs that have not are asked (an interrupt brings them back from user mode or out of their halt).
/// </summary>
public static class Rcu
{
    // Between two looks at the other CPUs.
    private const ulong PollNs = 100000;

    private static readonly SpinLock s_lock = new("rcu");
    private static readonly Queue<(GracePeriod Period, Action Action)> s_deferred = new();
    private static Timer? s_timer;
    private static bool s_isTimerSet;

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
        var period = new GracePeriod();
        while (!period.HasPassed()) Task.SleepUninterruptible(PollNs);
    }

    /// <summary>Runs an action after a grace period, at a safe point of some CPU. It must not block.</summary>
    /// <param name="action">An exception in it is logged.</param>
    public static void Defer(Action action)
    {
        ArgumentNullException.ThrowIfNull(action);
        var period = new GracePeriod();
        bool set;
        using (SpinLock.Guard guard = s_lock.Lock())
        {
            s_deferred.Enqueue((period, action));
            set = !s_isTimerSet;
            s_isTimerSet = true;
        }
        if (set) SetTimer();
    }

    // Timer callbacks run at safe points: outside of any section of this CPU.
    private static void RunDeferred()
    {
        while (true)
        {
            Action action;
            using (SpinLock.Guard guard = s_lock.Lock())
            {
                if (!s_deferred.TryPeek(out (GracePeriod Period, Action Action) first))
                {
                    s_isTimerSet = false;
                    return;
                }
                if (!first.Period.HasPassed()) break;
                s_deferred.Dequeue();
                action = first.Action;
            }
            try
            {
                action();
            }
            catch (Exception problem)
            {
                Log.Error($"a deferred action failed: {problem}");
            }
        }
        SetTimer();
    }

    private static void SetTimer() => (s_timer ??= new Timer(RunDeferred)).Set(Machine.MonotonicNs() + PollNs);

#if ARCH_MIRCH
    internal static void Restart()
    {
        s_deferred.Clear();
        s_timer = null;
        s_isTimerSet = false;
    }
#endif

    /// <summary>Which CPUs have not been seen outside of a section since it was made, or since they were asked.</summary>
    private sealed class GracePeriod
    {
        private readonly long[] _start = new long[Machine.CpuCount()];
        private ulong _missing;
        private bool _hasAsked;

        public GracePeriod()
        {
            // What the caller has unpublished before is unpublished for every section that begins after a CPU has counted on from here.
            Interlocked.MemoryBarrier();
            for (int cpu = 0; cpu < _start.Length; cpu++)
            {
                _start[cpu] = Scheduler.QuiescentStates(cpu);
                _missing |= 1UL << cpu;
            }
        }

        /// <summary>Called outside of any section of this CPU.</summary>
        public bool HasPassed()
        {
            _missing &= ~(1UL << Machine.CpuId());
            for (ulong left = _missing; left != 0; left &= left - 1)
            {
                int cpu = BitOperations.TrailingZeroCount(left);
                if (Scheduler.QuiescentStates(cpu) != _start[cpu]) _missing &= ~(1UL << cpu);
                else if (!_hasAsked) Scheduler.RequestReschedule(cpu);
            }
            _hasAsked = true;
            return _missing == 0;
        }
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
