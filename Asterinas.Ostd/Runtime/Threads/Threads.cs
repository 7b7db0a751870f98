using System;
using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// Creation, switch and end of kernel threads, and blocking from under the runtime, where no managed scheduler may be asked.
///
/// A thread that blocks in a primitive of the runtime gives its CPU to another thread that the runtime woke, or to the idle thread, whose managed loop
/// asks the scheduler. Wake-ups go to the CPU's ready list, which the scheduler's mechanism drains before it picks (ostd_thread_take_ready).
///
/// LOCK ORDER: a mutex' or condition's lock, then PerCpu.ReadyLock.
/// </summary>
// SAFETY: a Thread is freed by its successor on the same CPU, after the last use of its stack, and is off all lists then; OnCpu keeps two CPUs off one stack. Handles
// from the managed side are threads made here that have not ended: Task keeps that. First frames have the layout that x64_switch pops.
internal static unsafe class Threads
{
    private const ulong DefaultStackBytes = 256 * 1024;
    private const ulong MinStackBytes = 32 * 1024;
    private const ulong MaxStackBytes = 16 * 1024 * 1024;

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
        thread->Id = s_state.NextId++;
        thread->State = ThreadState.Running;
        thread->OnCpu = 1;
        thread->StackLow = X64.Symbol(ImageSymbol.BootStack);
        thread->StackHigh = X64.Symbol(ImageSymbol.BootStackEnd);
        if (!AllocateTls(thread)) Panic.Fail("out of memory for the boot thread\n"u8);
        Register(thread);
        cpu->Current = thread;
        X64.WriteFsBase(thread->FsBase);
    }

    /// <summary>The thread that runs the kernel's Main.</summary>
    public static Thread* CreateFromExport(ulong stackBytes) => Create((void*)X64.Symbol(ImageSymbol.BootMain), 0, stackBytes);

    /// <summary>The boot thread's last act: it starts another one and is this CPU's idle thread from then on. Never returns.</summary>
    public static void IdleUntilReplaced(Thread* first)
    {
        X64.PerCpu()->Idle = Current;
        SwitchTo(first);
        while (true)
        {
            Thread* next = TakeReady(true);
            if (next != null) SwitchTo(next);
            else HaltUnlessReady();
        }
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
        ulong area = KernelArea.Allocate(areaBytes);
        if (area == 0)
        {
            KernelHeap.Free(thread);
            return null;
        }
        if (!KernelArea.Populate(area + 4096, stackBytes, FrameState.KernelStack, true))
        {
            KernelArea.Free(area, areaBytes);
            KernelHeap.Free(thread);
            return null;
        }
        thread->StackArea = area;
        thread->StackAreaBytes = areaBytes;
        thread->StackLow = area + 4096;
        thread->StackHigh = area + areaBytes;
        if (!AllocateTls(thread))
        {
            FreeStack(thread);
            KernelHeap.Free(thread);
            return null;
        }
        thread->Start = start;
        thread->Argument = argument;
        thread->State = ThreadState.Running;
        // First frame for x64_switch: r15 r14 r13 r12 rbp rbx, return address. RBX carries the thread; the stack is aligned as after a call.
        ulong* top = (ulong*)thread->StackHigh - 2;
        *--top = X64.Symbol(ImageSymbol.ThreadStart);
        *--top = (ulong)thread;             // rbx
        for (int i = 0; i < 5; i++) *--top = 0;
        thread->Rsp = (ulong)top;
        Register(thread);
        return thread;
    }

    [RuntimeExport("ostd_thread_create")]
    private static nint CreateForManaged(void* entry, nint argument, nuint stackBytes) => (nint)Create(entry, argument, stackBytes);

    [RuntimeExport("ostd_thread_current")]
    private static nint CurrentForManaged() => (nint)Current;

    [RuntimeExport("ostd_thread_idle")]
    private static nint IdleForManaged() => (nint)X64.PerCpu()->Idle;

    /// <summary>Names the idle thread of this CPU: blocking threads switch to it when the runtime has woken nobody.</summary>
    [RuntimeExport("ostd_thread_set_idle")]
    private static void SetIdle(nint thread) => X64.PerCpu()->Idle = (Thread*)thread;

    [RuntimeExport("ostd_set_thread_tag")]
    private static void SetTag(nint thread, nint tag) => ((Thread*)thread)->Tag = tag;

    [RuntimeExport("ostd_get_thread_tag")]
    private static nint GetTag(nint thread) => ((Thread*)thread)->Tag;

    [RuntimeExport("ostd_thread_count")]
    private static int Count() => Volatile.Read(ref s_state.Live);

    /// <summary>Switches to a thread that does not run anywhere. Returns when somebody switches back.</summary>
    [RuntimeExport("ostd_thread_switch")]
    public static void SwitchForManaged(nint next) => SwitchTo((Thread*)next);

    public static void SwitchTo(Thread* next)
    {
        PerCpu* cpu = X64.PerCpu();
        Thread* previous = cpu->Current;
        if (next == previous) return;
        while (Volatile.Read(ref next->OnCpu) != 0) X64.Pause();        // still leaving its last CPU
        next->OnCpu = 1;
        SaveExtended(cpu, previous);
        X64.Switch(previous, next);
        // Another CPU may have brought us back.
        FinishSwitch();
    }

    /// <summary>
    /// Names the thread that gets the CPU when the current one returns from its start function, which must follow at once: between the two nothing may block.
    /// </summary>
    [RuntimeExport("ostd_thread_set_successor")]
    private static void SetSuccessor(nint next) => Current->Successor = (Thread*)next;

    /// <summary>Ends the current thread. Its start function has returned, so no managed frame is left on its stack.</summary>
    private static void Exit()
    {
        PerCpu* cpu = X64.PerCpu();
        Thread* self = cpu->Current;
        PthreadPlugs.RunKeyDestructors(self);
        cpu = X64.PerCpu();                 // the destructors may have blocked, and moved us
        Thread* next = self->Successor;
        if (next == null) next = TakeReady(false);
        if (next == null) next = cpu->Idle;
        self->State = ThreadState.Exited;
        Unregister(self);
        if (self->Frame != null && cpu->FpuOwner == self->Frame) cpu->FpuOwner = null;
        Volatile.Write(ref *(long*)&cpu->Exited, (long)self);
        while (Volatile.Read(ref next->OnCpu) != 0) X64.Pause();
        next->OnCpu = 1;
        X64.Switch(self, next);
        Panic.Fail("an ended thread ran again\n"u8);
    }

    /// <summary>First C# code of a new thread (entry.s).</summary>
    [RuntimeExport("x64_thread_main")]
    private static void ThreadMain(Thread* thread)
    {
        FinishSwitch();
        X64.EnableInterrupts();
        X64.Call(thread->Start, thread->Argument, 0, 0);
        Exit();
    }

    /// <summary>
    /// Sleeps until <see cref="Wake"/>. The caller has set State to Waiting under the lock of the object it waits for, and released that lock.
    /// </summary>
    public static void Block()
    {
        Thread* self = Current;
        while (true)
        {
            PerCpu* cpu = X64.PerCpu();
            if (Volatile.Read(ref *(int*)&self->State) == (int)ThreadState.Running) return;
            bool isIdle = self == cpu->Idle || cpu->Idle == null;
            // Threads of the scheduler (they have a tag) are left to the scheduler, unless this is the idle thread itself: then nobody else can run them.
            Thread* next = TakeReady(isIdle || self->State == ThreadState.Ready);
            if (next == self) return;
            if (next == null && !isIdle) next = cpu->Idle;
            if (next != null) SwitchTo(next);
            else HaltUnlessReady();
        }
    }

    /// <summary>Makes a waiting thread ready. Callable from any thread, in any mode; takes no managed lock and allocates nothing.</summary>
    public static void Wake(Thread* thread)
    {
        PerCpu* cpu = X64.PerCpu();
        Lock(&cpu->ReadyLock);
        if (thread->State == ThreadState.Waiting)
        {
            if (thread->Deadline != 0) RemoveSleeper(cpu, thread);
            PushReady(cpu, thread);
        }
        Unlock(&cpu->ReadyLock);
    }

    /// <summary>Puts the current thread on the timed list (State must be Waiting, Deadline set).</summary>
    public static void AddSleeper(Thread* thread)
    {
        PerCpu* cpu = X64.PerCpu();
        Lock(&cpu->ReadyLock);
        Thread** at = &cpu->SleepHead;
        while (*at != null && (*at)->Deadline <= thread->Deadline) at = &(*at)->NextSleeper;
        thread->NextSleeper = *at;
        *at = thread;
        Unlock(&cpu->ReadyLock);
        ApicTimer.Program(cpu);
    }

    [RuntimeExport("ostd_pause")]
    private static void Pause() => X64.Pause();

    /// <summary>Gives other threads of the runtime a chance; returns at once when there is none.</summary>
    public static void Yield()
    {
        PerCpu* cpu = X64.PerCpu();
        Thread* self = cpu->Current;
        Thread* next = TakeReady(self == cpu->Idle);
        if (next == null || next == self)
        {
            X64.Pause();
            return;
        }
        Lock(&cpu->ReadyLock);
        PushReady(cpu, self);
        Unlock(&cpu->ReadyLock);
        SwitchTo(next);
    }

    [RuntimeExport("ostd_thread_take_ready")]
    private static nint TakeReadyForManaged() => (nint)TakeReady(true);

    private static Thread* TakeReady(bool tagged)
    {
        PerCpu* cpu = X64.PerCpu();
        if (cpu->ReadyHead == null && cpu->SleepHead == null) return null;
        Lock(&cpu->ReadyLock);
        ulong now = cpu->SleepHead == null ? 0 : Clock.Nanoseconds();
        while (cpu->SleepHead != null && cpu->SleepHead->Deadline <= now)
        {
            Thread* sleeper = cpu->SleepHead;
            cpu->SleepHead = sleeper->NextSleeper;
            sleeper->Deadline = 0;
            sleeper->TimedOut = true;
            PushReady(cpu, sleeper);
        }
        Thread* found = null;
        Thread* previous = null;
        for (Thread* at = cpu->ReadyHead; at != null; previous = at, at = at->NextReady)
        {
            if (!tagged && at->Tag != 0) continue;
            if (previous == null) cpu->ReadyHead = at->NextReady; else previous->NextReady = at->NextReady;
            if (cpu->ReadyTail == at) cpu->ReadyTail = previous;
            at->NextReady = null;
            at->State = ThreadState.Running;
            found = at;
            break;
        }
        if (cpu->ReadyHead == null) Interlocked.And(ref cpu->Events, ~CpuEvents.ThreadReady);
        Unlock(&cpu->ReadyLock);
        return found;
    }

    /// <summary>Enables interrupts and sleeps until one comes, unless there is something to do already.</summary>
    [RuntimeExport("ostd_halt")]
    public static void HaltUnlessEvents()
    {
        PerCpu* cpu = X64.PerCpu();
        ApicTimer.Program(cpu);
        X64.DisableInterrupts();
        if (Volatile.Read(ref cpu->Events) != 0 || cpu->ReadyHead != null || SleeperIsDue(cpu)) X64.EnableInterrupts();
        else X64.EnableInterruptsAndHalt();
    }

    private static void HaltUnlessReady()
    {
        // The idle thread itself waits under the runtime: events for managed code stay pending meanwhile.
        PerCpu* cpu = X64.PerCpu();
        ApicTimer.Program(cpu);
        X64.DisableInterrupts();
        if (cpu->ReadyHead != null || SleeperIsDue(cpu)) X64.EnableInterrupts();
        else X64.EnableInterruptsAndHalt();
    }

    private static bool SleeperIsDue(PerCpu* cpu) => cpu->SleepHead != null && cpu->SleepHead->Deadline <= Clock.Nanoseconds();

    /// <summary>Runs on the new thread right after a switch: the previous one has left this CPU, an ended one is freed.</summary>
    private static void FinishSwitch()
    {
        PerCpu* cpu = X64.PerCpu();
        Thread* exited = cpu->Exited;
        if (cpu->Previous != null) Volatile.Write(ref cpu->Previous->OnCpu, 0);
        cpu->Previous = null;
        if (exited == null) return;
        cpu->Exited = null;
        FreeStack(exited);
        KernelHeap.Free(exited->TlsBlock);
        KernelHeap.Free(exited);
    }

    private static void SaveExtended(PerCpu* cpu, Thread* previous)
    {
        cpu->Previous = previous;
        UserFrame* frame = cpu->FpuOwner;
        if (frame == null || frame != previous->Frame) return;
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

    private static void FreeStack(Thread* thread)
    {
        if (thread->StackArea == 0) return;
        KernelArea.Depopulate(thread->StackLow, thread->StackHigh - thread->StackLow);
        KernelArea.Free(thread->StackArea, thread->StackAreaBytes);
    }

    private static void PushReady(PerCpu* cpu, Thread* thread)
    {
        thread->State = ThreadState.Ready;
        thread->NextReady = null;
        if (cpu->ReadyHead == null) cpu->ReadyHead = thread; else cpu->ReadyTail->NextReady = thread;
        cpu->ReadyTail = thread;
        Interlocked.Or(ref cpu->Events, CpuEvents.ThreadReady);
    }

    private static void RemoveSleeper(PerCpu* cpu, Thread* thread)
    {
        for (Thread** at = &cpu->SleepHead; *at != null; at = &(*at)->NextSleeper)
        {
            if (*at != thread) continue;
            *at = thread->NextSleeper;
            break;
        }
        thread->Deadline = 0;
    }

    private static void Register(Thread* thread)
    {
        Lock(ref s_state.Lock);
        if (thread->Id == 0) thread->Id = s_state.NextId++;
        thread->NextAll = s_state.All;
        s_state.All = thread;
        s_state.Live++;
        Unlock(ref s_state.Lock);
    }

    private static void Unregister(Thread* thread)
    {
        Lock(ref s_state.Lock);
        if (s_state.All == thread) s_state.All = thread->NextAll;
        else
        {
            for (Thread* at = s_state.All; at != null; at = at->NextAll)
            {
                if (at->NextAll != thread) continue;
                at->NextAll = thread->NextAll;
                break;
            }
        }
        s_state.Live--;
        Unlock(ref s_state.Lock);
    }

    private static void Lock(ref int word)
    {
        while (Interlocked.CompareExchange(ref word, 1, 0) != 0) X64.Pause();
    }

    private static void Unlock(ref int word) => Volatile.Write(ref word, 0);

    private static void Lock(int* word)
    {
        while (Interlocked.CompareExchange(ref *word, 1, 0) != 0) X64.Pause();
    }

    private static void Unlock(int* word) => Volatile.Write(ref *word, 0);
}
