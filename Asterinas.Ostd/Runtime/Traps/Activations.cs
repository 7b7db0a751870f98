using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// How the runtime stops a thread for a collection: it asks for its handler to run on that thread, with the thread's true context, which it may rewrite.
/// <code>
///   asking thread: Activation = 1, then looks where the target is, interrupts that CPU
///   the CPU's top half, current thread = target, in the kernel: copies the trap frame to the thread's own stack below the red zone; the interrupt returns to
///       x64_activation_entry, which calls the handler with interrupts on and then continues from the (maybe rewritten) frame
///   the thread moved or was in the middle of a switch: it looks at Activation after each switch to it; in user mode: when it comes back
/// </code>
/// Target and asker each write first (Activation, OnCpu) and then look at the other's word, by atomic operations: one of them sees the other, and no request is lost.
/// The handler may block until the collection is over, but only when the thread was in managed code.
/// </summary>
// SAFETY: the copy lies below the interrupted thread's red zone on its own stack; an overflow meets the guard page. The frame is used by the thread alone until IRETQ has consumed it.
internal static unsafe class Activations
{
    private const ulong RedZone = 128;
    private const ulong FlagsForHandler = 0x202;            // interrupts on; direction, trap and AC clear

    /// <summary>0, or the errno of pthread_kill.</summary>
    public static int Request(Thread* thread)
    {
        Interlocked.Exchange(ref thread->Activation, 1);
        int cpu = Volatile.Read(ref thread->OnCpu) - 1;
        if (cpu < 0)
        {
            // Off the CPU: it left cooperative mode before, and looks at the collector's flag before it enters it again. Nothing to interrupt; the runtime looks again.
            return Interlocked.Exchange(ref thread->Activation, 0) != 0 ? Errno.ESRCH : 0;
        }
        PerCpu* target = Cpus.Of(cpu);
        if (target == X64.PerCpu()) Deliver(thread);
        else Apic.Send(target, Vectors.Activation);
        return 0;
    }

    /// <summary>Top half, out of kernel code.</summary>
    public static void OnInterrupt(PerCpu* cpu, TrapFrame* frame)
    {
        Thread* thread = cpu->Current;
        if (Volatile.Read(ref thread->Activation) == 0) return;
        if (frame->Rip >= X64.Symbol(ImageSymbol.Switch) && frame->Rip < X64.Symbol(ImageSymbol.SwitchEnd)) return;
        if (Interlocked.Exchange(ref thread->Activation, 0) == 0) return;
        cpu->ActivationCount++;
        TrapFrame* copy = (TrapFrame*)((frame->Rsp - RedZone - (ulong)sizeof(TrapFrame)) & ~15UL);
        X64.Copy(copy, frame, (nuint)sizeof(TrapFrame));
        frame->Rip = X64.Symbol(ImageSymbol.ActivationEntry);
        frame->Rsp = (ulong)copy;
        frame->Rflags = FlagsForHandler;
    }

    /// <summary>On the interrupted thread, on its own stack.</summary>
    [RuntimeExport("ostd_activation")]
    private static void Run(TrapFrame* frame) => Signals.Activate(frame);

    /// <summary>
    /// Runs the handler from native code of the current thread: nothing is interrupted that could be managed; the runtime only forgets that it has asked.
    /// </summary>
    public static void Deliver(Thread* self)
    {
        if (Interlocked.Exchange(ref self->Activation, 0) != 0) Signals.Activate(null);
    }
}
