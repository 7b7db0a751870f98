using System.Threading;

namespace Asterinas.Ostd.Runtime;

internal enum ThreadState
{
    Running,                                // on a CPU, or switched away from by managed code, which knows why
    Waiting,                                // blocked in a primitive of the runtime
    Ready,                                  // on a CPU's ready list
    Exited,
}

/// <summary>
/// A kernel thread: stack with a guard page below, TLS block, and what the runtime keeps per thread. entry.s knows the first two fields.
/// <code>
///   Running --Block()--> Waiting --Wake()--> Ready --TakeReady()--> Running --exit--> Exited (freed by the next thread on that CPU)
/// </code>
/// </summary>
// SAFETY: pointers name threads, frames and blocks of this thread, all outside the collector's heap; see Threads for who frees a thread and when.
internal unsafe struct Thread
{
    public const int MaxKeys = 8;

    public ulong Rsp;                       // 0
    public ulong FsBase;                    // 8
    public int Id;
    public ThreadState State;
    public int OnCpu;                       // 1 while a CPU uses the stack; cleared after the switch away
    public int ErrnoValue;
    public ulong StackArea;                 // address of the area; the guard page is its first page
    public ulong StackAreaBytes;
    public ulong StackLow, StackHigh;
    public void* TlsBlock;
    public nint Tag;                        // the managed side's handle; 0 for the runtime's own threads
    public void* Start;                     // C function
    public nint Argument;
    public Thread* Next;                    // a mutex' or condition's waiters
    public Thread* NextReady;
    public Thread* NextSleeper;
    public ulong Deadline;                  // ns; 0 = none
    public bool TimedOut;
    public UserFrame* Frame;                // the user frame that this thread executes, for saving its extended state at a switch
    public Thread* Successor;               // runs next when this thread ends
    public Thread* NextAll;
    public fixed ulong Specific[MaxKeys];
    public fixed byte Name[16];
}
