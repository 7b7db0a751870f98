using System;
using System.Runtime;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// The three signals that the runtime handles: SIGSEGV and SIGFPE turn CPU faults of managed code into exceptions, number 34 is the activation
/// that stops a thread for a collection. Delivery is a call of the registered handler with a true ucontext_t, which it may rewrite.
/// </summary>
// SAFETY: Action, Info and Context have glibc's layouts; handlers are code of the runtime (only it calls sigaction); signal numbers are checked before they
// index the table. The frame is the trapped thread's, and what the handler may rewrite is general registers and RIP, never CS or RFLAGS.
internal static unsafe class Signals
{
    public const int SIGFPE = 8, SIGSEGV = 11, Activation = 34;
    private const int MaxSignal = 64;
    private const int SaSigInfo = 4;
    private const int SiTkill = -6;

    // struct sigaction of glibc on x86-64: handler, mask (128 bytes), flags, restorer.
    private struct Action
    {
        public ulong Handler;
        public fixed ulong Mask[16];
        public int Flags;
        public int Padding;
        public ulong Restorer;
    }

    private struct Table
    {
        public fixed ulong Handlers[MaxSignal + 1];
        public fixed int Flags[MaxSignal + 1];
    }

    /// <summary>siginfo_t: the fields that the handlers read.</summary>
    private struct Info
    {
        public int Number, Error, Code, Padding;
        public ulong AddressOrPid;
        public fixed ulong Rest[13];
    }

    /// <summary>ucontext_t of glibc on x86-64: gregs start at 40, fpregs at 224.</summary>
    private struct Context
    {
        public ulong Flags;
        public ulong Link;
        public fixed ulong Stack[3];
        public ulong R8, R9, R10, R11, R12, R13, R14, R15, Rdi, Rsi, Rbp, Rbx, Rdx, Rax, Rcx, Rsp, Rip, Rflags, Segments, Error, Vector, OldMask, Cr2;
        public void* FpRegisters;
        public fixed ulong Reserved[8];
        public fixed ulong SignalMask[16];
        public fixed byte FpMemory[512];
        public fixed ulong ShadowStack[4];
    }

    private static Table s_table;

    [RuntimeExport("sigaction")]
    private static int SetAction(int signal, Action* action, Action* previous)
    {
        if (signal is < 1 or > MaxSignal) return Errno.Fail(Errno.EINVAL);
        if (previous != null)
        {
            X64.Fill(previous, 0, (nuint)sizeof(Action));
            previous->Handler = s_table.Handlers[signal];
            previous->Flags = s_table.Flags[signal];
        }
        if (action != null)
        {
            s_table.Handlers[signal] = action->Handler;
            s_table.Flags[signal] = action->Flags;
        }
        return 0;
    }

    /// <summary>Only SIG_IGN and SIG_DFL are ever set (SIGPIPE), and no such signal exists here: recorded.</summary>
    [RuntimeExport("signal")]
    private static void* SetHandler(int signal, void* handler)
    {
        if (signal is < 1 or > MaxSignal)
        {
            Errno.Set(Errno.EINVAL);
            return (void*)-1;
        }
        void* previous = (void*)s_table.Handlers[signal];
        s_table.Handlers[signal] = (ulong)handler;
        s_table.Flags[signal] = 0;
        return previous;
    }

    [RuntimeExport("sigemptyset")]
    private static int EmptySet(ulong* set)
    {
        X64.Fill(set, 0, 128);
        return 0;
    }

    [RuntimeExport("sigaddset")]
    private static int AddToSet(ulong* set, int signal)
    {
        if (signal is < 1 or > MaxSignal) return Errno.Fail(Errno.EINVAL);
        set[0] |= 1UL << (signal - 1);
        return 0;
    }

    /// <summary>The runtime only ever unblocks its activation, and nothing blocks it here.</summary>
    [RuntimeExport("pthread_sigmask")]
    private static int Mask(int how, ulong* set, ulong* previous)
    {
        if (previous != null) X64.Fill(previous, 0, 128);
        return how is 0 or 1 or 2 ? (how == 1 || set == null ? 0 : Errno.EINVAL) : Errno.EINVAL;
    }

    [RuntimeExport("__libc_current_sigrtmin")] private static int FirstRealTime() => Activation;

    /// <summary>Asks for an activation of a thread; no other signal is ever sent.</summary>
    [RuntimeExport("pthread_kill")]
    private static int Kill(Thread* thread, int signal) => signal == Activation ? Activations.Request(thread) : Errno.EINVAL;

    /// <summary>Calls the runtime's handler for an activation, on the thread that it is for. Null: out of native code.</summary>
    public static void Activate(TrapFrame* frame)
    {
        void* handler = (void*)s_table.Handlers[Activation];
        if ((ulong)handler <= 1) return;
        Info info = default;
        info.Number = Activation;
        info.Code = SiTkill;
        info.AddressOrPid = ProcessPlugs.ProcessId;
        Context context;
        if (frame == null) X64.Fill(&context, 0, (nuint)sizeof(Context));
        else Fill(&context, frame, 0);
        X64.Call(handler, Activation, (nint)(&info), (nint)(&context));
        if (frame != null) Restore(&context, frame);
    }

    /// <summary>
    /// Calls the runtime's handler for a fault and continues where it says. False when it has none, or when it left the context as it was
    /// (the fault was not managed code's).
    /// </summary>
    public static bool Deliver(int signal, TrapFrame* frame, ulong address)
    {
        void* handler = (void*)s_table.Handlers[signal];
        if ((ulong)handler <= 1 || (s_table.Flags[signal] & SaSigInfo) == 0) return false;
        Info info = default;
        info.Number = signal;
        info.Code = 1;                          // SEGV_MAPERR, FPE_INTDIV
        info.AddressOrPid = signal == SIGFPE ? frame->Rip : address;
        Context context;
        Fill(&context, frame, address);
        X64.Call(handler, signal, (nint)(&info), (nint)(&context));
        if (context.Rip == frame->Rip) return false;
        Restore(&context, frame);
        return true;
    }

    private static void Fill(Context* context, TrapFrame* frame, ulong address)
    {
        X64.Fill(context, 0, (nuint)sizeof(Context));
        context->R8 = frame->R8; context->R9 = frame->R9; context->R10 = frame->R10; context->R11 = frame->R11;
        context->R12 = frame->R12; context->R13 = frame->R13; context->R14 = frame->R14; context->R15 = frame->R15;
        context->Rdi = frame->Rdi; context->Rsi = frame->Rsi; context->Rbp = frame->Rbp; context->Rbx = frame->Rbx;
        context->Rdx = frame->Rdx; context->Rax = frame->Rax; context->Rcx = frame->Rcx; context->Rsp = frame->Rsp;
        context->Rip = frame->Rip; context->Rflags = frame->Rflags; context->Error = frame->Error; context->Vector = frame->Vector;
        context->Cr2 = address;
        context->FpRegisters = context->FpMemory;
        X64.Copy(context->FpMemory + 160, frame->Xmm, 256);
        *(uint*)(context->FpMemory + 24) = 0x1F80;
    }

    private static void Restore(Context* context, TrapFrame* frame)
    {
        frame->R8 = context->R8; frame->R9 = context->R9; frame->R10 = context->R10; frame->R11 = context->R11;
        frame->R12 = context->R12; frame->R13 = context->R13; frame->R14 = context->R14; frame->R15 = context->R15;
        frame->Rdi = context->Rdi; frame->Rsi = context->Rsi; frame->Rbp = context->Rbp; frame->Rbx = context->Rbx;
        frame->Rdx = context->Rdx; frame->Rax = context->Rax; frame->Rcx = context->Rcx; frame->Rsp = context->Rsp;
        frame->Rip = context->Rip;
    }
}
