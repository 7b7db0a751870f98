namespace Asterinas.Ostd.Runtime;

/// <summary>
/// The per-CPU area that GS points to in the kernel. Only the owning CPU writes it, except the fields marked as shared.
/// The first fields are at the offsets that entry.s names.
/// </summary>
// SAFETY: the pointers name this CPU's own area and threads and frames that live while they are named here: a thread is freed only after it left Current, Ready and
// Sleep lists (Exited), a frame only after ostd_user_save cleared FpuOwner. Areas are never freed.
internal unsafe struct PerCpu
{
    public const int MaxCpus = 64;

    public PerCpu* Self;                    // 0
    public Thread* Current;                 // 8
    public UserFrame* UserFrame;            // 16: the frame that runs in user mode on this CPU
    public ulong Scratch;                   // 24
    public ulong KernelRsp;                 // 32: where to continue when user mode is left
    public ulong Events;                    // 40: CpuEvents, shared, atomic
    public UserFrame* FpuOwner;             // 48: whose extended state the registers hold
    public ulong KernelFs;                  // 56
    public int CpuId;                       // 64: dense number, 0 is the boot CPU
    public uint ApicId;                     // 68
    public Thread* Idle;                    // 72
    public Thread* Exited;                  // 80: a thread that ended on this CPU; freed by the next one to run
    public ulong TimerDeadline;             // 88: ns, 0 = none
    public Thread* Previous;                // left this CPU a moment ago; Arrive says so to the others
    public Thread* Next;                    // the idle thread runs it as soon as it has left its last CPU
    public Thread* First;                   // shared: the managed idle thread of a CPU that starts

    // Shared, under ReadyLock: threads whose home this CPU is and that the runtime woke, and those in its timed waits, sorted by deadline.
    public Thread* ReadyHead;
    public Thread* ReadyTail;
    public Thread* SleepHead;
    public ulong SleepDeadline;             // of the first sleeper, 0 = none; the top half reads it without the lock
    public int ReadyLock;
    public int IsOnline;

    public ulong NapDeadline;               // ns, 0 = none: the current thread sleeps without leaving the CPU
    public ulong WatchDeadline;             // ns, 0 = none: the boot CPU's next look at the policies
    public ulong ActiveRoot;                // the address space in CR3

    // Inter-processor calls: who asks this CPU (shared, a bit a CPU), and what this CPU asks others (written before it is sent; Pending is shared).
    public ulong CallsFrom;
    public ulong CallPending;               // CPUs that have not answered yet
    public int CallKind;
    public int Padding;
    public ulong CallAddress, CallPages;
    public UserFrame* CallFrame;

    public fixed ulong PendingVectors[4];   // bit per vector, atomic
    public ulong InterruptCount;
    public ulong ActivationCount;
    public ulong StormPeriod;               // ns; tests let the timer fire this often
    public fixed byte Gdt[9 * 8];
    public fixed byte Tss[128];
}

/// <summary>What happened on a CPU since it last passed a safe point.</summary>
internal static class CpuEvents
{
    public const ulong TimerExpired = 1;
    public const ulong Reschedule = 2;
    public const ulong IrqPending = 4;
    public const ulong ThreadReady = 8;
    public const ulong ReserveLow = 32;
}
