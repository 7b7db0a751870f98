using System.Threading;

namespace Asterinas.Ostd.Runtime;

internal enum ThreadState
{
    Running,                                // on a CPU, or switched away from by managed code, which knows why
    Waiting,                                // blocked in a primitive of the runtime
    Ready,                                  // on the ready list of its home CPU
    Exited,
}

/// <summary>
/// A kernel thread: stack with a guard page below, TLS block, and what the runtime keeps per thread. entry.s knows the first two fields.
/// <code>
///   Running --Block()--> Waiting --Wake()--> Ready --TakeReady()--> Running --exit--> Exited (freed by the next thread on that CPU)
///              Waiting --Wake(), when it kept its CPU--> Running
///
///   field                        │ written by
///   OnCpu                        │ compare-and-swap from 0 by the CPU that switches to it; 0 by that CPU after the switch away
///   Home                         │ the CPU that switches to it
///   State, links, Deadline       │ the thread itself while Running; from Waiting on under ReadyLock of its home, or the waker when it kept its CPU
///   Activation                   │ atomic
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
    public int OnCpu;                       // number + 1 of the CPU that uses the stack; 0 after the switch away
    public int Home;                        // the CPU that it runs or ran on last: woken there
    public int ErrnoValue;
    public int Activation;                  // 1: the runtime's handler has to run on this thread
    public int KeepsCpu;                    // 1: Waiting, but did not leave its CPU
    public int HeldMutexes;                 // of the runtime
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
    public Thread* NextAll, PreviousAll;
    public PolicyMark Policy;
    public fixed ulong Specific[MaxKeys];
    public fixed byte Name[16];
}
