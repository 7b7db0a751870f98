using System;
using System.Text;
using Asterinas.Ostd.Arch;

namespace Asterinas.Ostd.Tasks;

/// <summary>The policies that are injected.</summary>
internal enum PolicyKind
{
    Scheduler = 0,
    FrameAllocator = 1,
    SlabAllocator = 2,
}

/// <summary>
/// Around every call of an injected policy: the call may not block (an attempt throws), and the watchdog of the platform layer sees that the thread is in it. One that does not return within ten
/// seconds ends the machine with the policy's name and its stack trace.
/// </summary>
internal static unsafe class PolicyWatch
{
    // SAFETY: a task's mark lies in its platform thread, which exists as long as the task runs; only the running task itself enters and leaves.

    /// <summary>Three numbers of the platform's thread: calls inside each other, calls so far, kind.</summary>
    internal struct Mark
    {
        public int Depth, Sequence, Kind, Padding;
    }

    /// <summary>Tells the watchdog who the policy of a kind is.</summary>
    public static void Name(PolicyKind kind, object policy)
    {
        byte[] name = Encoding.UTF8.GetBytes(policy.GetType().FullName ?? policy.GetType().Name);
        fixed (byte* bytes = name) Machine.WatchPolicy((int)kind, bytes, name.Length);
    }

    /// <summary>A call, as a scope.</summary>
    public static Call Begin(PolicyKind kind)
    {
        Enter(kind);
        return default;
    }

    /// <summary>Ends the call when it goes out of scope.</summary>
    public readonly ref struct Call
    {
        public readonly void Dispose() => Leave();
    }

    public static void Enter(PolicyKind kind)
    {
        Task current = Task.Current;
        current.AtomicDepth++;
        Mark* mark = current.PolicyMark;
        if (mark->Depth++ != 0) return;
        mark->Kind = (int)kind;
        mark->Sequence++;
    }

    public static void Leave()
    {
        Task current = Task.Current;
        current.PolicyMark->Depth--;
        current.AtomicDepth--;
    }
}
