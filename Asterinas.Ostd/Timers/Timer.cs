using System;
using Asterinas.Ostd.Arch;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Sync;
using Asterinas.Ostd.Tasks;

namespace Asterinas.Ostd.Timers;

/// <summary>A one-shot timer. The callback runs at a safe point after the deadline, like a bottom half: it must not block.</summary>
public sealed class Timer
{
    internal readonly Action Callback;
    internal ulong Deadline;
    internal int Index = -1;                // position in the heap; -1: not set

    /// <summary>A timer that is not set.</summary>
    /// <param name="callback">An exception in it is logged.</param>
    public Timer(Action callback)
    {
        ArgumentNullException.ThrowIfNull(callback);
        Callback = callback;
    }

    /// <summary>Whether it is set and has not expired.</summary>
    public bool IsSet => Index >= 0;

    /// <summary>Sets it, or sets it anew.</summary>
    /// <param name="deadlineNs">On the monotonic clock; one that has passed fires at the next safe point.</param>
    public void Set(ulong deadlineNs) => TimerQueue.Set(this, deadlineNs);

    /// <summary>Takes it back. False when it was not set or has expired already.</summary>
    public bool Cancel() => TimerQueue.Cancel(this);
}

/// <summary>The timers that are set, a binary heap by deadline. With several CPUs each has its own.</summary>
internal static class TimerQueue
{
    private static readonly SpinLock s_lock = new("timers");
    private static Timer?[] s_heap = new Timer?[64];
    private static int s_count;

#if ARCH_MIRCH
    internal static void Restart()
    {
        s_heap = new Timer?[64];
        s_count = 0;
    }
#endif

    /// <summary>The earliest deadline, 0 when no timer is set.</summary>
    public static ulong NextDeadline()
    {
        using SpinLock.Guard guard = s_lock.Lock();
        return s_count == 0 ? 0 : Math.Max(s_heap[0]!.Deadline, 1);
    }

    public static void Set(Timer timer, ulong deadline)
    {
        using (SpinLock.Guard guard = s_lock.Lock())
        {
            if (timer.Index >= 0) RemoveAt(timer.Index);
            timer.Deadline = deadline;
            if (s_count == s_heap.Length) Array.Resize(ref s_heap, s_count * 2);
            Place(s_count, timer);
            Up(s_count++);
            if (timer.Index != 0) return;
        }
        Scheduler.ArmTimer();
    }

    public static bool Cancel(Timer timer)
    {
        using SpinLock.Guard guard = s_lock.Lock();
        if (timer.Index < 0) return false;
        RemoveAt(timer.Index);
        return true;
    }

    public static void RunExpired()
    {
        while (true)
        {
            Timer timer;
            using (SpinLock.Guard guard = s_lock.Lock())
            {
                if (s_count == 0 || s_heap[0]!.Deadline > Machine.MonotonicNs()) return;
                timer = s_heap[0]!;
                RemoveAt(0);
            }
            try
            {
                timer.Callback();
            }
            catch (Exception problem)
            {
                Log.Error($"a timer's callback failed: {problem}");
            }
        }
    }

    private static void RemoveAt(int index)
    {
        s_heap[index]!.Index = -1;
        Timer last = s_heap[--s_count]!;
        s_heap[s_count] = null;
        if (index == s_count) return;
        Place(index, last);
        Up(index);
        Down(last.Index);
    }

    private static void Up(int index)
    {
        Timer timer = s_heap[index]!;
        while (index > 0)
        {
            int parent = (index - 1) / 2;
            if (s_heap[parent]!.Deadline <= timer.Deadline) break;
            Place(index, s_heap[parent]!);
            index = parent;
        }
        Place(index, timer);
    }

    private static void Down(int index)
    {
        Timer timer = s_heap[index]!;
        while (true)
        {
            int child = 2 * index + 1;
            if (child >= s_count) break;
            if (child + 1 < s_count && s_heap[child + 1]!.Deadline < s_heap[child]!.Deadline) child++;
            if (s_heap[child]!.Deadline >= timer.Deadline) break;
            Place(index, s_heap[child]!);
            index = child;
        }
        Place(index, timer);
    }

    private static void Place(int index, Timer timer)
    {
        s_heap[index] = timer;
        timer.Index = index;
    }
}
