using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// Blocking from under the runtime, where no managed scheduler may be asked. There are two ways.
///
/// A thread KEEPS its CPU, halted, when managed code does not expect to block: it waits for the end of a collection (at any safe point, inside an allocation), for a mutex of the runtime whose
/// holder runs, or naps. It continues on the same CPU, and nobody else has run there meanwhile: so managed code may rely on its CPU, and a thread that the collector stopped under
/// a spin lock does not leave another one of its CPU spinning for it.
///
/// A thread LEAVES its CPU, to the idle thread, whose managed loop asks the scheduler, in every other wait (an event, a lock's contention). Its wake-up goes to the ready list of its home
/// CPU, which the scheduler's mechanism drains before it picks (ostd_thread_take_ready).
///
/// LOCK ORDER: a mutex' or condition's guard, then PerCpu.ReadyLock.
/// </summary>
// SAFETY: threads are on a list only while they are Waiting or Ready, and a thread in those states does not end. Lists change under ReadyLock.
internal static unsafe partial class Threads
{
    private const int WaitSpins = 500;
    private const ulong LongestNapNs = 10000000;

    /// <summary>
    /// Sleeps until <see cref="Wake"/>. The caller has set State to Waiting (and KeepsCpu) under the guard of the object it waits for, and released that guard.
    /// </summary>
    public static void Block()
    {
        Thread* self = Current;
        if (self->KeepsCpu != 0)
        {
            WaitHere(self);
            return;
        }
        while (true)
        {
            PerCpu* cpu = X64.PerCpu();
            if (StateOf(self) == ThreadState.Running || TryUnready(cpu, self)) return;
            if (self != cpu->Idle)
            {
                SwitchTo(cpu->Idle);
                continue;
            }
            // The idle thread itself: then nobody else can run the threads that are ready.
            Thread* next = TakeReady();
            if (next == self) return;
            if (next != null) SwitchTo(next);
            else HaltUnlessReady();
        }
    }

    /// <summary>Makes a waiting thread ready. Callable from any thread, in any mode, with the guard of the object held; takes no managed lock and allocates nothing.</summary>
    public static void Wake(Thread* thread)
    {
        if (thread->KeepsCpu != 0)
        {
            PerCpu* its = Cpus.Of(thread->Home);
            Volatile.Write(ref *(int*)&thread->State, (int)ThreadState.Running);    // it may be gone from here on
            CpuCalls.Wake(its);
            return;
        }
        PerCpu* home = Cpus.Of(thread->Home);
        Lock(&home->ReadyLock);
        if (thread->State == ThreadState.Waiting)
        {
            if (thread->Deadline != 0) RemoveSleeper(home, thread);
            PushReady(home, thread);
        }
        Unlock(&home->ReadyLock);
        CpuCalls.Wake(home);
    }

    /// <summary>Puts the current thread on the timed list of its CPU, unless it has been woken meanwhile (State was Waiting, Deadline set).</summary>
    public static void AddSleeper(Thread* thread)
    {
        PerCpu* cpu = X64.PerCpu();
        Lock(&cpu->ReadyLock);
        if (thread->State == ThreadState.Waiting)
        {
            Thread** at = &cpu->SleepHead;
            while (*at != null && (*at)->Deadline <= thread->Deadline) at = &(*at)->NextSleeper;
            thread->NextSleeper = *at;
            *at = thread;
            Volatile.Write(ref cpu->SleepDeadline, cpu->SleepHead->Deadline);
        }
        Unlock(&cpu->ReadyLock);
        ApicTimer.Program(cpu);
    }

    /// <summary>
    /// nanosleep of the runtime. The collector naps while it waits for a lock, in the middle of an allocation: short sleeps keep the CPU.
    /// </summary>
    public static void Sleep(ulong deadline)
    {
        ulong now = Clock.Nanoseconds();
        if (deadline <= now) return;
        Thread* self = Current;
        if (deadline - now <= LongestNapNs)
        {
            PerCpu* cpu = X64.PerCpu();
            cpu->NapDeadline = deadline;
            ApicTimer.Program(cpu);
            while (true)
            {
                X64.DisableInterrupts();
                if (Clock.Nanoseconds() >= deadline) break;
                X64.EnableInterruptsAndHalt();
            }
            cpu->NapDeadline = 0;
            X64.EnableInterrupts();
            return;
        }
        self->KeepsCpu = 0;
        self->TimedOut = false;
        self->Deadline = deadline;
        self->State = ThreadState.Waiting;
        AddSleeper(self);
        Block();
        self->TimedOut = false;
    }

    [RuntimeExport("ostd_pause")]
    private static void Pause() => X64.Pause();

    /// <summary>
    /// A woken thread whose home is this CPU, or null. The caller runs it, or gives it to the scheduler.
    /// </summary>
    public static Thread* TakeReady()
    {
        PerCpu* cpu = X64.PerCpu();
        if ((Volatile.Read(ref cpu->Events) & CpuEvents.ThreadReady) == 0 && !IsSomebodyReady(cpu)) return null;
        Lock(&cpu->ReadyLock);
        // Cleared before the look at the clock: a sleeper that becomes due from here on raises it again.
        Interlocked.And(ref cpu->Events, ~CpuEvents.ThreadReady);
        ulong now = cpu->SleepHead == null ? 0 : Clock.Nanoseconds();
        while (cpu->SleepHead != null && cpu->SleepHead->Deadline <= now)
        {
            Thread* due = cpu->SleepHead;
            RemoveSleeper(cpu, due);
            due->TimedOut = true;
            PushReady(cpu, due);
        }
        Thread* found = cpu->ReadyHead;
        if (found != null)
        {
            Unlink(cpu, null, found);
            Volatile.Write(ref *(int*)&found->State, (int)ThreadState.Running);
        }
        if (cpu->ReadyHead != null) Interlocked.Or(ref cpu->Events, CpuEvents.ThreadReady);
        Unlock(&cpu->ReadyLock);
        return found;
    }

    [RuntimeExport("ostd_thread_take_ready")]
    private static nint TakeReadyForManaged() => (nint)TakeReady();

    /// <summary>Enables interrupts and sleeps until one comes, unless there is something to do already.</summary>
    [RuntimeExport("ostd_halt")]
    private static void HaltUnlessEvents()
    {
        PerCpu* cpu = X64.PerCpu();
        ApicTimer.Program(cpu);
        X64.DisableInterrupts();
        if (Volatile.Read(ref cpu->Events) != 0 || IsSomebodyReady(cpu)) X64.EnableInterrupts();
        else X64.EnableInterruptsAndHalt();
    }

    private static void HaltUnlessReady()
    {
        // The idle thread itself waits under the runtime: events for managed code stay pending meanwhile.
        PerCpu* cpu = X64.PerCpu();
        ApicTimer.Program(cpu);
        X64.DisableInterrupts();
        if (IsSomebodyReady(cpu)) X64.EnableInterrupts();
        else X64.EnableInterruptsAndHalt();
    }

    private static bool IsSomebodyReady(PerCpu* cpu)
    {
        ulong sleeper = Volatile.Read(ref cpu->SleepDeadline);
        return Volatile.Read(ref *(nint*)&cpu->ReadyHead) != 0 || (sleeper != 0 && sleeper <= Clock.Nanoseconds());
    }

    // Spins for a moment, then halts: the waker interrupts.
    private static void WaitHere(Thread* self)
    {
        for (int i = 0; i < WaitSpins; i++)
        {
            if (StateOf(self) == ThreadState.Running) return;
            X64.Pause();
        }
        while (true)
        {
            X64.DisableInterrupts();
            if (StateOf(self) == ThreadState.Running) break;
            X64.EnableInterruptsAndHalt();
        }
        X64.EnableInterrupts();
    }

    private static ThreadState StateOf(Thread* thread) => (ThreadState)Volatile.Read(ref *(int*)&thread->State);

    // The current thread was woken before it had left its CPU.
    private static bool TryUnready(PerCpu* cpu, Thread* self)
    {
        Lock(&cpu->ReadyLock);
        bool isReady = self->State == ThreadState.Ready;
        if (isReady)
        {
            Thread* before = null;
            for (Thread* at = cpu->ReadyHead; at != self; at = at->NextReady) before = at;
            Unlink(cpu, before, self);
            self->State = ThreadState.Running;
        }
        Unlock(&cpu->ReadyLock);
        return isReady;
    }

    private static void PushReady(PerCpu* cpu, Thread* thread)
    {
        thread->State = ThreadState.Ready;
        thread->NextReady = null;
        if (cpu->ReadyHead == null) cpu->ReadyHead = thread; else cpu->ReadyTail->NextReady = thread;
        cpu->ReadyTail = thread;
        Interlocked.Or(ref cpu->Events, CpuEvents.ThreadReady);
    }

    private static void Unlink(PerCpu* cpu, Thread* before, Thread* thread)
    {
        if (before == null) cpu->ReadyHead = thread->NextReady; else before->NextReady = thread->NextReady;
        if (cpu->ReadyTail == thread) cpu->ReadyTail = before;
        thread->NextReady = null;
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
        Volatile.Write(ref cpu->SleepDeadline, cpu->SleepHead == null ? 0 : cpu->SleepHead->Deadline);
    }
}
