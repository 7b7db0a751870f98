using System;
using Asterinas.Ostd.Diagnostics;
using Asterinas.Ostd.Memory;
using Asterinas.Ostd.Sync;
using Asterinas.Services.Processes;
using Asterinas.Services.Signals;

namespace Asterinas.Services.Memory;

/// <summary>
/// What happens when a page fault finds no memory (man 5 proc, oom_score): what can be given back is, and when that is nothing, the process that has most is killed so that the
/// others live. One victim at a time; whoever faults meanwhile waits for its memory.
/// </summary>
internal static class OutOfMemoryKiller
{
    /// <summary>oom_score_adj of a process that is never killed.</summary>
    public const int NeverAdjustment = -1000;
    private const ulong PatienceNs = 2000000000, StepNs = 1000000;

    private static readonly Mutex s_lock = new("out of memory");
    private static readonly WaitQueue s_nothing = new();
    private static Process? s_victim;

    /// <summary>How much is gained by killing a process: 0 to 1000 for its share of memory, plus its adjustment.</summary>
    public static int Score(Process process)
    {
        if (!process.HasMemory || process.OomAdjustment == NeverAdjustment) return 0;
        long share = process.Memory.ResidentPages * 1000 / Math.Max(CommitAccount.TotalPages, 1);
        return (int)Math.Clamp(share + process.OomAdjustment, 0, 2000);
    }

    /// <summary>Finds memory for a thread that has none. False when the thread itself is to die, or nothing can be done. Blocks, for a bounded time.</summary>
    public static bool TryMakeRoom(Thread thread)
    {
        if (thread.IsEnding || thread.HasFatalSignal) return false;
        using (Mutex.Guard guard = s_lock.Lock())
        {
            if (HasRoom()) return true;
            // Handles that nobody holds any more come back by their finalizers.
            GC.Collect();
            if (HasRoom()) return true;
            if (s_victim is null || !s_victim.HasMemory)
            {
                s_victim = Choose();
                if (s_victim is null) return false;
                Log.Write(LogLevel.Critical, $"Out of memory: killed process {s_victim.Pid.Number} ({System.Text.Encoding.Latin1.GetString(s_victim.Leader?.Name ?? s_victim.LastName)}), {s_victim.Memory.ResidentPages * 4} KiB resident");
                s_victim.Kill(Signal.SIGKILL);
            }
            if (ReferenceEquals(s_victim, thread.Process)) return false;
        }
        for (ulong waited = 0; waited < PatienceNs && !HasRoom(); waited += StepNs)
        {
            if (s_nothing.WaitKillable(0, static _ => false, StepNs) == WaitResult.Interrupted) return false;
        }
        return true;
    }

    private static bool HasRoom()
    {
        using Frame? probe = Frame.TryAllocate(FrameContents.Arbitrary);
        return probe is not null;
    }

    private static Process? Choose()
    {
        Process? best = null;
        int bestScore = -1;
        foreach (Process process in PidNamespace.Root!.Processes())
        {
            // Without the first process the system ends.
            if (ReferenceEquals(process, process.Pid.Namespace.Init) || !process.HasMemory || process.OomAdjustment == NeverAdjustment) continue;
            int score = Score(process);
            if (score <= bestScore) continue;
            best = process;
            bestScore = score;
        }
        return best;
    }
}
