using System;
using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// Creation, switch and end of kernel threads. A thread is on one CPU at a time: whoever switches to it claims OnCpu first, and the CPU that it leaves gives it back after the
/// switch. Two CPUs that each want the thread that the other one is leaving would wait for ever; so a CPU that finds its next thread not free yet leaves its own thread first, to its
/// idle thread, which waits in its place (idle threads never move).
/// </summary>
// SAFETY: a Thread is freed by its successor on the same CPU, after the last use of its stack, and is off all lists then; OnCpu keeps two CPUs off one stack. Handles
// from the managed side are threads made here that have not ended: Task keeps that. First frames have the layout that x64_switch pops.
internal static unsafe partial class Threads
{
    private const ulong DefaultStackBytes = 256 * 1024;
    private const ulong MinStackBytes = 32 * 1024;
    private const ulong MaxStackBytes = 16 * 1024 * 1024;
    private const int ClaimSpins = 200;

    private struct State
    {
        public int NextId;
        public int Lock;
        public Thread* All;
        public int Live;
    }

    private static State s_state;

    public static Thread* Current => X64.PerCpu()->Current;

    /// <summary>The boot thread: it has the boot stack and becomes the thread that runs Main.</summary>
    public static void InitializeBoot(PerCpu* cpu, Thread* thread)
    {
        s_state.NextId = 1;
        thread->StackLow = X64.Symbol(ImageSymbol.BootStack);
        thread->StackHigh = X64.Symbol(ImageSymbol.BootStackEnd);
        if (!AllocateTls(thread)) Panic.Fail("out of memory for the boot thread\n"u8);
        Register(thread);
        Adopt(cpu, thread);
    }

    /// <summary>What runs on this CPU is this thread from now on.</summary>
    public static void Adopt(PerCpu* cpu, Thread* thread)
    {
        thread->State = ThreadState.Running;
        thread->OnCpu = cpu->CpuId + 1;
        thread->Home = cpu->CpuId;
        cpu->Current = thread;
        cpu->Idle = thread;                 // until the managed scheduler names another one
        X64.WriteFsBase(thread->FsBase);
    }

    /// <summary>The thread that runs the kernel's Main.</summary>
    public static Thread* CreateFromExport(ulong stackBytes) => Create((void*)X64.Symbol(ImageSymbol.BootMain), 0, stackBytes);

    /// <summary>The boot thread's last act: it starts another one and is this CPU's idle thread from then on. Never returns.</summary>
    public static void IdleUntilReplaced(Thread* first)
    {
        SwitchTo(first);
        while (true)
        {
            Thread* next = TakeReady();
            if (next != null) SwitchTo(next);
            else HaltUnlessReady();
        }
    }

    /// <summary>A started CPU waits here, halted, until the managed scheduler gives it an idle thread. Its first thread ends then.</summary>
    public static void IdleUntilStarted(PerCpu* cpu)
    {
        while (true)
        {
            X64.DisableInterrupts();
            if (Volatile.Read(ref *(nint*)&cpu->First) != 0) break;
            X64.EnableInterruptsAndHalt();
        }
        X64.EnableInterrupts();
        cpu->Idle = cpu->First;
        Leave(cpu, cpu->Current);
    }

    /// <summary>Creates a thread that will run <paramref name="start"/>(argument). Not started. Null when memory is short.</summary>
    public static Thread* Create(void* start, nint argument, ulong stackBytes)
    {
        if (stackBytes == 0) stackBytes = DefaultStackBytes;
        if (stackBytes < MinStackBytes) stackBytes = MinStackBytes;
        if (stackBytes > MaxStackBytes) return null;
        stackBytes = (stackBytes + 4095) & ~4095UL;
        Thread* thread = (Thread*)KernelHeap.AllocateZeroed(1, (nuint)sizeof(Thread));
        if (thread == null) return null;
        // A power of two leaves a whole page for the guard: the stack takes the rest of its slot.
        ulong areaBytes = stackBytes + 4096;
        ulong area = Stacks.Allocate(areaBytes);
        if (area == 0)
        {
            KernelHeap.Free(thread);
            return null;
        }
        thread->StackArea = area;
        thread->StackAreaBytes = areaBytes;
        thread->StackLow = area + 4096;
        thread->StackHigh = area + areaBytes;
        if (!AllocateTls(thread))
        {
            Stacks.Free(area, areaBytes);
            KernelHeap.Free(thread);
            return null;
        }
        thread->Start = start;
        thread->Argument = argument;
        thread->State = ThreadState.Running;
        thread->Home = X64.PerCpu()->CpuId;
        // First frame for x64_switch: r15 r14 r13 r12 rbp rbx, return address. RBX carries the thread; the stack is aligned as after a call.
        ulong* top = (ulong*)thread->StackHigh - 2;
        *--top = X64.Symbol(ImageSymbol.ThreadStart);
        *--top = (ulong)thread;             // rbx
        for (int i = 0; i < 5; i++) *--top = 0;
        thread->Rsp = (ulong)top;
        Register(thread);
        return thread;
    }

    /// <summary>Frees a thread that never ran.</summary>
    public static void Discard(Thread* thread)
    {
        Unregister(thread);
        Stacks.Free(thread->StackArea, thread->StackAreaBytes);
        KernelHeap.Free(thread->TlsBlock);
        KernelHeap.Free(thread);
    }

    [RuntimeExport("ostd_thread_create")]
    private static nint CreateForManaged(void* entry, nint argument, nuint stackBytes) => (nint)Create(entry, argument, stackBytes);

    [RuntimeExport("ostd_thread_current")]
    private static nint CurrentForManaged() => (nint)Current;

    [RuntimeExport("ostd_thread_idle")]
    private static nint IdleForManaged() => (nint)X64.PerCpu()->Idle;

    /// <summary>Names the idle thread of this CPU: threads that block under the runtime or end switch to it.</summary>
    [RuntimeExport("ostd_thread_set_idle")]
    private static void SetIdle(nint thread) => X64.PerCpu()->Idle = (Thread*)thread;

    [RuntimeExport("ostd_set_thread_tag")]
    private static void SetTag(nint thread, nint tag) => ((Thread*)thread)->Tag = tag;

    [RuntimeExport("ostd_get_thread_tag")]
    private static nint GetTag(nint thread) => ((Thread*)thread)->Tag;

    [RuntimeExport("ostd_thread_count")]
    private static int Count() => Volatile.Read(ref s_state.Live);

    /// <summary>Switches to a thread that no other CPU will switch to. Returns when somebody switches back.</summary>
    [RuntimeExport("ostd_thread_switch")]
    private static void SwitchForManaged(nint next) => SwitchTo((Thread*)next);

    public static void SwitchTo(Thread* next)
    {
        PerCpu* cpu = X64.PerCpu();
        Thread* self = cpu->Current;
        if (next == self) return;
        if (!TryClaim(cpu, next))
        {
            if (self == cpu->Idle) Claim(cpu, next);
            else next = ClaimIdle(cpu, next);
        }
        while (true)
        {
            cpu->Previous = self;
            SaveExtended(cpu, self->Frame);
            X64.Switch(self, next);
            next = Arrive(self);            // another CPU may have brought us back
            if (next == null) return;
            cpu = X64.PerCpu();
            Claim(cpu, next);
        }
    }

    /// <summary>Ends the current thread. Its start function has returned, so no managed frame is left on its stack.</summary>
    private static void Exit()
    {
        Thread* self = Current;
        PthreadPlugs.RunKeyDestructors(self);
        Leave(X64.PerCpu(), self);          // looked up now: the destructors may have blocked, and moved us
    }

    /// <summary>The current thread is over: the idle thread gets the CPU, finds out who is next, and frees it.</summary>
    private static void Leave(PerCpu* cpu, Thread* self)
    {
        self->State = ThreadState.Exited;
        Unregister(self);
        if (self->Frame != null && cpu->FpuOwner == self->Frame) cpu->FpuOwner = null;
        Thread* idle = cpu->Idle;
        Claim(cpu, idle);
        cpu->Previous = null;
        Volatile.Write(ref *(nint*)&cpu->Exited, (nint)self);
        X64.Switch(self, idle);
        Panic.Fail("an ended thread ran again\n"u8);
    }

    /// <summary>First C# code of a new thread (entry.s).</summary>
    [RuntimeExport("x64_thread_main")]
    private static void ThreadMain(Thread* thread)
    {
        Thread* next = Arrive(thread);
        X64.EnableInterrupts();
        if (next != null) SwitchTo(next);
        X64.Call(thread->Start, thread->Argument, 0, 0);
        Exit();
    }

    /// <summary>
    /// Runs on a thread right after the switch to it: the previous one has left this CPU, an ended one is freed, an activation that came at the wrong moment is made up for.
    /// Returns a thread that the idle thread has to wait for and switch to, or null.
    /// </summary>
    private static Thread* Arrive(Thread* self)
    {
        PerCpu* cpu = X64.PerCpu();
        Thread* exited = cpu->Exited, previous = cpu->Previous;
        cpu->Previous = null;
        if (previous != null) Volatile.Write(ref previous->OnCpu, 0);
        if (exited != null)
        {
            cpu->Exited = null;
            Stacks.Free(exited->StackArea, exited->StackAreaBytes);
            KernelHeap.Free(exited->TlsBlock);
            KernelHeap.Free(exited);
        }
        if (Volatile.Read(ref self->Activation) != 0) Activations.Deliver(self);
        if (self != cpu->Idle) return null;
        Thread* next = cpu->Next;
        cpu->Next = null;
        return next;
    }

    private static bool TryClaim(PerCpu* cpu, Thread* thread)
    {
        for (int i = 0; i < ClaimSpins; i++)
        {
            if (Volatile.Read(ref thread->OnCpu) == 0 && Interlocked.CompareExchange(ref thread->OnCpu, cpu->CpuId + 1, 0) == 0)
            {
                thread->Home = cpu->CpuId;
                return true;
            }
            X64.Pause();
        }
        return false;
    }

    private static void Claim(PerCpu* cpu, Thread* thread)
    {
        while (!TryClaim(cpu, thread)) { }
    }

    private static Thread* ClaimIdle(PerCpu* cpu, Thread* next)
    {
        cpu->Next = next;
        Claim(cpu, cpu->Idle);
        return cpu->Idle;
    }

    /// <summary>Saves the extended state of a user frame when this CPU's registers hold it.</summary>
    public static void SaveExtended(PerCpu* cpu, UserFrame* frame)
    {
        if (frame == null || frame != cpu->FpuOwner) return;
        X64.XSave((byte*)frame + UserFrame.XsaveOffset, frame->XsaveMask);
        cpu->FpuOwner = null;
    }

    /// <summary>
    /// TLS variant II (ELF TLS §3): the block ends at the thread pointer; FS:0 points to itself, FS:0x28 holds the stack protector's canary.
    /// </summary>
    private static bool AllocateTls(Thread* thread)
    {
        ulong start = X64.Symbol(ImageSymbol.TlsDataStart), dataEnd = X64.Symbol(ImageSymbol.TlsDataEnd), end = X64.Symbol(ImageSymbol.TlsBssEnd);
        ulong align = X64.Symbol(ImageSymbol.TlsAlign);
        if (align < 64) align = 64;
        ulong bytes = (end - start + align - 1) & ~(align - 1);
        byte* block = (byte*)KernelHeap.AllocateAligned((nuint)align, (nuint)(bytes + 256));
        if (block == null) return false;
        X64.Fill(block, 0, (nuint)(bytes + 256));
        byte* pointer = block + bytes;
        X64.Copy(pointer - (((end - start) + align - 1) & ~(align - 1)), (void*)start, (nuint)(dataEnd - start));
        *(ulong*)pointer = (ulong)pointer;
        *(ulong*)(pointer + 0x28) = Entropy.StackCanary;
        thread->TlsBlock = block;
        thread->FsBase = (ulong)pointer;
        return true;
    }

    private static void Register(Thread* thread)
    {
        Lock(Guard());
        thread->Id = s_state.NextId++;
        thread->PreviousAll = null;
        thread->NextAll = s_state.All;
        if (s_state.All != null) s_state.All->PreviousAll = thread;
        s_state.All = thread;
        s_state.Live++;
        Unlock(Guard());
    }

    private static void Unregister(Thread* thread)
    {
        Lock(Guard());
        if (thread->PreviousAll != null) thread->PreviousAll->NextAll = thread->NextAll;
        else s_state.All = thread->NextAll;
        if (thread->NextAll != null) thread->NextAll->PreviousAll = thread->PreviousAll;
        s_state.Live--;
        Unlock(Guard());
    }

    private static int* Guard()
    {
        fixed (int* word = &s_state.Lock) return word;
    }

    private static void Lock(int* word)
    {
        while (Interlocked.CompareExchange(ref *word, 1, 0) != 0) X64.Pause();
    }

    private static void Unlock(int* word) => Volatile.Write(ref *word, 0);
}
