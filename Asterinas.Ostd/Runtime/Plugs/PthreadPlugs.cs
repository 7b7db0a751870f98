using System;
using System.Runtime;
using System.Threading;

namespace Asterinas.Ostd.Runtime;

/// <summary>
/// Threads, mutexes, condition variables, read-write locks and keys as the runtime uses them (man 3 pthread_*). The opaque types are at least as large in
/// glibc as here: pthread_mutex_t 40, pthread_cond_t 48, pthread_rwlock_t 56, pthread_attr_t 56 bytes.
///
/// Waiters queue in the object itself. INVARIANT: a waiting thread is on exactly one queue, and its State is Waiting or it is about to leave. It is woken under the guard, so a
/// wake-up never meets a thread that has gone on to wait for something else.
/// LOCK ORDER: Guard of a condition, then Guard of a mutex, then PerCpu.ReadyLock.
/// </summary>
// SAFETY: the archive passes objects of glibc's types, which are at least as large (above), and keeps them where they are while a thread waits on them. Threads
// live while they are queued: a queue holds waiting threads only, and they cannot end. Queues change under the object's Guard.
internal static unsafe class PthreadPlugs
{
    private const int MutexRecursive = 1;

    private struct Mutex
    {
        public int Guard;                   // spin lock over the rest
        public int Kind;
        public Thread* Owner;
        public int Count;
        public int Padding;
        public Thread* Head;
        public Thread* Tail;
    }

    private struct Condition
    {
        public int Guard;
        public int Clock;                   // CLOCK_REALTIME 0, CLOCK_MONOTONIC 1
        public Thread* Head;
        public Thread* Tail;
    }

    private struct RwLock
    {
        public int Guard;
        public int Readers;                 // -1: a writer
        public Thread* Head;
        public Thread* Tail;
    }

    private struct Attributes
    {
        public ulong StackBytes;
        public ulong StackLow;
        public int Detached;
    }

    private struct Keys
    {
        public int Count;
        public fixed ulong Destructors[Thread.MaxKeys];
    }

    private static Keys s_keys;

    // ---- mutex

    [RuntimeExport("pthread_mutexattr_init")]
    private static int MutexAttributesInit(int* attributes)
    {
        *attributes = 0;
        return 0;
    }

    [RuntimeExport("pthread_mutexattr_settype")]
    private static int MutexAttributesSetType(int* attributes, int kind)
    {
        if (kind is < 0 or > 2) return Errno.EINVAL;
        *attributes = kind;
        return 0;
    }

    [RuntimeExport("pthread_mutexattr_destroy")]
    private static int MutexAttributesDestroy(int* attributes) => 0;

    [RuntimeExport("pthread_mutex_init")]
    private static int MutexInit(Mutex* mutex, int* attributes)
    {
        X64.Fill(mutex, 0, (nuint)sizeof(Mutex));
        mutex->Kind = attributes == null ? 0 : *attributes;
        return 0;
    }

    [RuntimeExport("pthread_mutex_destroy")]
    private static int MutexDestroy(Mutex* mutex) => mutex->Owner != null ? Errno.EBUSY : 0;

    [RuntimeExport("pthread_mutex_lock")]
    private static int MutexLock(Mutex* mutex)
    {
        Thread* self = Threads.Current;
        Lock(&mutex->Guard);
        if (mutex->Owner == self && mutex->Kind == MutexRecursive)
        {
            mutex->Count++;
            Unlock(&mutex->Guard);
            return 0;
        }
        while (mutex->Owner != null)
        {
            if (mutex->Owner == self) Panic.Fail("a thread of the runtime locked its own mutex twice\n"u8);
            // The waiter may be in cooperative mode: it stays on its CPU, so that it leaves that mode as soon as the holder, which runs, lets go.
            self->KeepsCpu = Volatile.Read(ref mutex->Owner->OnCpu) != 0 ? 1 : 0;
            self->State = ThreadState.Waiting;
            Append(&mutex->Head, &mutex->Tail, self);
            Unlock(&mutex->Guard);
            Threads.Block();
            Lock(&mutex->Guard);
        }
        mutex->Owner = self;
        mutex->Count = 1;
        self->HeldMutexes++;
        Unlock(&mutex->Guard);
        return 0;
    }

    [RuntimeExport("pthread_mutex_unlock")]
    private static int MutexUnlock(Mutex* mutex)
    {
        Lock(&mutex->Guard);
        if (--mutex->Count > 0)
        {
            Unlock(&mutex->Guard);
            return 0;
        }
        mutex->Owner->HeldMutexes--;
        mutex->Owner = null;
        Thread* next = TakeFirst(&mutex->Head, &mutex->Tail);
        if (next != null) Threads.Wake(next);
        Unlock(&mutex->Guard);
        return 0;
    }

    // ---- condition variable

    [RuntimeExport("pthread_condattr_init")]
    private static int ConditionAttributesInit(int* attributes)
    {
        *attributes = 0;
        return 0;
    }

    [RuntimeExport("pthread_condattr_setclock")]
    private static int ConditionAttributesSetClock(int* attributes, int clock)
    {
        if (clock is not (0 or 1)) return Errno.EINVAL;
        *attributes = clock;
        return 0;
    }

    [RuntimeExport("pthread_condattr_destroy")]
    private static int ConditionAttributesDestroy(int* attributes) => 0;

    [RuntimeExport("pthread_cond_init")]
    private static int ConditionInit(Condition* condition, int* attributes)
    {
        X64.Fill(condition, 0, (nuint)sizeof(Condition));
        condition->Clock = attributes == null ? 0 : *attributes;
        return 0;
    }

    [RuntimeExport("pthread_cond_destroy")]
    private static int ConditionDestroy(Condition* condition) => condition->Head != null ? Errno.EBUSY : 0;

    [RuntimeExport("pthread_cond_wait")]
    private static int ConditionWait(Condition* condition, Mutex* mutex) => Wait(condition, mutex, 0);

    [RuntimeExport("pthread_cond_timedwait")]
    private static int ConditionTimedWait(Condition* condition, Mutex* mutex, long* time)
    {
        if (time[1] is < 0 or >= 1000000000) return Errno.EINVAL;
        ulong deadline = time[0] < 0 ? 1 : (ulong)time[0] * 1000000000 + (ulong)time[1];
        if (condition->Clock == 0)
        {
            ulong origin = Clock.RealTimeAtBoot;
            deadline = deadline > origin ? deadline - origin : 1;
        }
        return Wait(condition, mutex, deadline == 0 ? 1 : deadline);
    }

    private static int Wait(Condition* condition, Mutex* mutex, ulong deadline)
    {
        Thread* self = Threads.Current;
        Lock(&condition->Guard);
        // A wait for the end of a collection may come anywhere in managed code; see Threads.Block. So may a wait of a thread that holds another mutex of the runtime: whoever waits for
        // that one keeps its CPU.
        self->KeepsCpu = deadline == 0 && (IsForCollection(condition) || (self->HeldMutexes > 1 && Cpus.Count > 1)) ? 1 : 0;
        self->TimedOut = false;
        self->Deadline = deadline;
        self->State = ThreadState.Waiting;
        Append(&condition->Head, &condition->Tail, self);
        Unlock(&condition->Guard);
        if (deadline != 0) Threads.AddSleeper(self);
        MutexUnlock(mutex);
        Threads.Block();
        bool timedOut = false;
        if (self->TimedOut)
        {
            // The timer woke us. One that is in the queue no more was signalled at the same time: the signal counts, or nobody would get it.
            Lock(&condition->Guard);
            timedOut = Remove(&condition->Head, &condition->Tail, self);
            Unlock(&condition->Guard);
            self->TimedOut = false;
        }
        MutexLock(mutex);
        return timedOut ? Errno.ETIMEDOUT : 0;
    }

    /// <summary>Whether a condition is one of the collector's two events for "the collection is over". Its events begin with their condition.</summary>
    private static bool IsForCollection(Condition* condition)
    {
        void** done = (void**)X64.Symbol(ImageSymbol.GcDoneEvent);
        void*** wait = (void***)X64.Symbol(ImageSymbol.GcWaitEvent);
        return *done == condition || (*wait != null && **wait == condition);
    }

    [RuntimeExport("pthread_cond_signal")]
    private static int ConditionSignal(Condition* condition)
    {
        Lock(&condition->Guard);
        Thread* next = TakeFirst(&condition->Head, &condition->Tail);
        if (next != null) Threads.Wake(next);
        Unlock(&condition->Guard);
        return 0;
    }

    [RuntimeExport("pthread_cond_broadcast")]
    private static int ConditionBroadcast(Condition* condition)
    {
        Lock(&condition->Guard);
        for (Thread* next; (next = TakeFirst(&condition->Head, &condition->Tail)) != null;) Threads.Wake(next);
        Unlock(&condition->Guard);
        return 0;
    }

    // ---- read-write lock

    [RuntimeExport("pthread_rwlock_init")]
    private static int RwLockInit(RwLock* rwLock, void* attributes)
    {
        X64.Fill(rwLock, 0, (nuint)sizeof(RwLock));
        return 0;
    }

    [RuntimeExport("pthread_rwlock_rdlock")]
    private static int RwLockRead(RwLock* rwLock) => RwLockAcquire(rwLock, false);

    [RuntimeExport("pthread_rwlock_wrlock")]
    private static int RwLockWrite(RwLock* rwLock) => RwLockAcquire(rwLock, true);

    private static int RwLockAcquire(RwLock* rwLock, bool write)
    {
        Thread* self = Threads.Current;
        Lock(&rwLock->Guard);
        while (write ? rwLock->Readers != 0 : rwLock->Readers < 0)
        {
            self->KeepsCpu = Cpus.Count > 1 ? 1 : 0;
            self->State = ThreadState.Waiting;
            Append(&rwLock->Head, &rwLock->Tail, self);
            Unlock(&rwLock->Guard);
            Threads.Block();
            Lock(&rwLock->Guard);
        }
        if (write) rwLock->Readers = -1; else rwLock->Readers++;
        Unlock(&rwLock->Guard);
        return 0;
    }

    [RuntimeExport("pthread_rwlock_unlock")]
    private static int RwLockRelease(RwLock* rwLock)
    {
        Lock(&rwLock->Guard);
        if (rwLock->Readers < 0) rwLock->Readers = 0; else rwLock->Readers--;
        if (rwLock->Readers == 0)
        {
            for (Thread* next; (next = TakeFirst(&rwLock->Head, &rwLock->Tail)) != null;) Threads.Wake(next);
        }
        Unlock(&rwLock->Guard);
        return 0;
    }

    // ---- threads

    [RuntimeExport("pthread_self")] private static Thread* Self() => Threads.Current;

    [RuntimeExport("pthread_attr_init")]
    private static int AttributesInit(Attributes* attributes)
    {
        X64.Fill(attributes, 0, (nuint)sizeof(Attributes));
        return 0;
    }

    [RuntimeExport("pthread_attr_destroy")] private static int AttributesDestroy(Attributes* attributes) => 0;

    [RuntimeExport("pthread_attr_setstacksize")]
    private static int AttributesSetStackSize(Attributes* attributes, ulong bytes)
    {
        if (bytes < 16384) return Errno.EINVAL;
        attributes->StackBytes = bytes;
        return 0;
    }

    [RuntimeExport("pthread_attr_setdetachstate")]
    private static int AttributesSetDetachState(Attributes* attributes, int state)
    {
        if (state is not (0 or 1)) return Errno.EINVAL;
        attributes->Detached = state;
        return 0;
    }

    [RuntimeExport("pthread_getattr_np")]
    private static int GetAttributes(Thread* thread, Attributes* attributes)
    {
        X64.Fill(attributes, 0, (nuint)sizeof(Attributes));
        attributes->StackLow = thread->StackLow;
        attributes->StackBytes = thread->StackHigh - thread->StackLow;
        return 0;
    }

    [RuntimeExport("pthread_attr_getstack")]
    private static int AttributesGetStack(Attributes* attributes, ulong* low, ulong* bytes)
    {
        *low = attributes->StackLow;
        *bytes = attributes->StackBytes;
        return 0;
    }

    /// <summary>The threads of the runtime are detached (it never joins one through pthreads).</summary>
    [RuntimeExport("pthread_create")]
    private static int Create(Thread** result, Attributes* attributes, void* start, nint argument)
    {
        Thread* thread = Threads.Create(start, argument, attributes == null ? 0 : attributes->StackBytes);
        if (thread == null) return Errno.EAGAIN;
        *result = thread;
        thread->State = ThreadState.Waiting;
        Threads.Wake(thread);
        return 0;
    }

    [RuntimeExport("pthread_setname_np")]
    private static int SetName(Thread* thread, byte* name)
    {
        int i = 0;
        while (i < 15 && name[i] != 0)
        {
            thread->Name[i] = name[i];
            i++;
        }
        thread->Name[i] = 0;
        return name[i] == 0 ? 0 : Errno.ERANGE;
    }

    // ---- keys

    [RuntimeExport("pthread_key_create")]
    private static int KeyCreate(uint* key, void* destructor)
    {
        int index = Interlocked.Increment(ref s_keys.Count) - 1;
        if (index >= Thread.MaxKeys) return Errno.EAGAIN;
        s_keys.Destructors[index] = (ulong)destructor;
        *key = (uint)index;
        return 0;
    }

    [RuntimeExport("pthread_setspecific")]
    private static int SetSpecific(uint key, void* value)
    {
        if (key >= Thread.MaxKeys) return Errno.EINVAL;
        Threads.Current->Specific[key] = (ulong)value;
        return 0;
    }

    [RuntimeExport("pthread_getspecific")]
    private static void* GetSpecific(uint key) => key < Thread.MaxKeys ? (void*)Threads.Current->Specific[key] : null;

    /// <summary>The runtime detaches a thread in such a destructor: without it a join waits for ever and collections scan dead stacks.</summary>
    public static void RunKeyDestructors(Thread* thread)
    {
        for (int round = 0; round < 4; round++)             // PTHREAD_DESTRUCTOR_ITERATIONS
        {
            bool any = false;
            for (int i = 0; i < s_keys.Count && i < Thread.MaxKeys; i++)
            {
                ulong value = thread->Specific[i];
                if (value == 0 || s_keys.Destructors[i] == 0) continue;
                thread->Specific[i] = 0;
                any = true;
                X64.Call((void*)s_keys.Destructors[i], (nint)value, 0, 0);
            }
            if (!any) return;
        }
    }

    // ---- queues

    private static void Append(Thread** head, Thread** tail, Thread* thread)
    {
        thread->Next = null;
        if (*head == null) *head = thread; else (*tail)->Next = thread;
        *tail = thread;
    }

    private static Thread* TakeFirst(Thread** head, Thread** tail)
    {
        Thread* first = *head;
        if (first == null) return null;
        *head = first->Next;
        if (*head == null) *tail = null;
        first->Next = null;
        return first;
    }

    private static bool Remove(Thread** head, Thread** tail, Thread* thread)
    {
        Thread* previous = null;
        for (Thread* at = *head; at != null; previous = at, at = at->Next)
        {
            if (at != thread) continue;
            if (previous == null) *head = at->Next; else previous->Next = at->Next;
            if (*tail == at) *tail = previous;
            at->Next = null;
            return true;
        }
        return false;
    }

    private static void Lock(int* word)
    {
        while (Interlocked.CompareExchange(ref *word, 1, 0) != 0) X64.Pause();
    }

    private static void Unlock(int* word) => Volatile.Write(ref *word, 0);
}
