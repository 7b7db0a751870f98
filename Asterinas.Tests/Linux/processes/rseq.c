// Restartable sequences (rseq(2), used by every program of the C library) and membarrier(2).
#include "../common/test.h"
#include <linux/membarrier.h>
#include <linux/rseq.h>
#include <pthread.h>
#include <sched.h>
#include <sys/rseq.h>
#include <sys/time.h>

#define SIGNATURE 0x53053053

static struct rseq own __attribute__((aligned(32)));

// The C library has registered its own area: it goes first.
static void register_own(void)
{
    struct rseq *library = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
    if (__rseq_size != 0) OK(syscall(SYS_rseq, library, sizeof *library, 1, SIGNATURE));
    memset(&own, 0, sizeof own);
    own.cpu_id = RSEQ_CPU_ID_UNINITIALIZED;
    OK(syscall(SYS_rseq, &own, sizeof own, 0, SIGNATURE));
}

CASE(library_registers_its_area)
{
    CHECK(__rseq_size != 0);
    struct rseq *library = (struct rseq *)((char *)__builtin_thread_pointer() + __rseq_offset);
    CHECK((int)library->cpu_id >= 0);
}

CASE(cpu_number_follows_the_task)
{
    register_own();
    unsigned long set[16] = {0};
    long size = OK(syscall(SYS_sched_getaffinity, 0, sizeof set, set));
    for (long cpu = 0; cpu < 64 && cpu < size * 8; cpu++)
    {
        if (!(set[0] >> cpu & 1)) continue;
        unsigned long one = 1UL << cpu;
        OK(syscall(SYS_sched_setaffinity, 0, sizeof one, &one));
        EQUAL(own.cpu_id, cpu);
        EQUAL(own.cpu_id_start, cpu);
    }
}

CASE(registration_errors)
{
    register_own();
    static struct rseq other __attribute__((aligned(32)));
    FAILS(syscall(SYS_rseq, &own, sizeof own, 0, SIGNATURE), EBUSY);
    FAILS(syscall(SYS_rseq, &other, sizeof other, 0, SIGNATURE), EINVAL);           // another area
    FAILS(syscall(SYS_rseq, &own, sizeof own, 0, 7), EPERM);                        // another signature
    FAILS(syscall(SYS_rseq, &own, sizeof own, 1, 7), EPERM);
    FAILS(syscall(SYS_rseq, &other, sizeof other, 1, SIGNATURE), EINVAL);
    FAILS(syscall(SYS_rseq, &own, sizeof own, 2, SIGNATURE), EINVAL);
    OK(syscall(SYS_rseq, &own, sizeof own, 1, SIGNATURE));
    FAILS(syscall(SYS_rseq, &own, sizeof own, 1, SIGNATURE), EINVAL);
    FAILS(syscall(SYS_rseq, (char *)&own + 1, sizeof own, 0, SIGNATURE), EINVAL);
    FAILS(syscall(SYS_rseq, &own, 8, 0, SIGNATURE), EINVAL);
    FAILS(syscall(SYS_rseq, 0xffffffff81000000, sizeof own, 0, SIGNATURE), EFAULT);
}

CASE(registration_is_inherited_by_fork_and_ended_by_exec)
{
    register_own();
    pid_t child = syscall(SYS_fork);
    if (child == 0) _exit(syscall(SYS_rseq, &own, sizeof own, 0, SIGNATURE) == -1 && errno == EBUSY ? 0 : 1);
    REAP_EXIT(child, 0);
    // The new program's C library registers again, which it could not if the old registration stood.
    IN_CHILD({
        char *arguments[] = {"x", "--entry", "is_registered", NULL};
        execve(test_program, arguments, environ);
    });
}

ENTRY(is_registered) { return __rseq_size != 0 ? 0 : 1; }

static void nothing(int number) { (void)number; }

// The descriptor of a sequence: version and flags, start, length, abort address.
static struct
{
    uint64_t flags, start, length, abort;
} descriptor __attribute__((aligned(32)));

// Fills it in and enters an endless sequence; `before` is what lies before the abort handler, label 4, where the signature belongs. Label 6 comes behind all.
#define SEQUENCE(before)                                                                                               \
    "lea 1f(%%rip), %%rax\n\tmov %%rax, 8(%[descriptor])\n\tlea 2f(%%rip), %%rcx\n\tsub %%rax, %%rcx\n\tmov %%rcx, 16(%[descriptor])\n\t"        \
    "lea 4f(%%rip), %%rax\n\tmov %%rax, 24(%[descriptor])\n\tmov %[descriptor], (%[place])\n1:\tpause\n\tjmp 1b\n2:\tjmp 6f\n\t" before
#define SEQUENCE_INPUTS [descriptor] "r"(&descriptor), [place] "r"(&own.rseq_cs)

CASE(sequence_is_aborted_by_a_signal)
{
    // An endless critical section: only the abort leaves it.
    register_own();
    struct sigaction action = {.sa_handler = nothing};
    OK(sigaction(SIGALRM, &action, NULL));
    OK(setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 50000}}, NULL));
    int aborted = 0;
    __asm__ volatile(SEQUENCE(".byte 0x0f, 0xb9, 0x3d\n\t.long 0x53053053") "\n4:\tmovl $1, %[aborted]\n6:" : [aborted] "+m"(aborted) : SEQUENCE_INPUTS : "rax", "rcx", "memory", "cc");
    EQUAL(aborted, 1);
    EQUAL(own.rseq_cs, 0);
}

CASE(abort_without_the_signature_kills)
{
    pid_t child = CHILD({
        register_own();
        struct sigaction action = {.sa_handler = nothing};
        OK(sigaction(SIGALRM, &action, NULL));
        OK(setitimer(ITIMER_REAL, &(struct itimerval){{0, 0}, {0, 50000}}, NULL));
        __asm__ volatile(SEQUENCE(".long 0x12345678") "\n4:\tnop\n6:" : : SEQUENCE_INPUTS : "rax", "rcx", "memory", "cc");
        _exit(1);
    });
    REAP_SIGNAL(child, SIGSEGV);
}

__asm__(".pushsection .text\n\t.byte 0x0f, 0xb9, 0x3d\n\t.long 0x53053053\nunused_abort:\n\tud2\n\t.balign 32\nunused_sequence:\n\t.skip 32, 0x90\n\tud2\n.popsection");
extern const char unused_sequence[] __attribute__((visibility("hidden"))), unused_abort[] __attribute__((visibility("hidden")));

CASE(stale_descriptor_outside_the_sequence_is_cleared)
{
    register_own();
    // A descriptor of a range where the task is not: it is dropped at the next preemption or signal.
    descriptor.start = (uintptr_t)unused_sequence, descriptor.length = 16, descriptor.abort = (uintptr_t)unused_abort;
    struct sigaction action = {.sa_handler = nothing};
    OK(sigaction(SIGUSR1, &action, NULL));
    own.rseq_cs = (uintptr_t)&descriptor;
    OK(raise(SIGUSR1));
    EQUAL(own.rseq_cs, 0);
}

// ------------------------------------------------------------------------------------------------------------------------- membarrier

#define membarrier(command, flags, cpu) syscall(SYS_membarrier, command, flags, cpu)

CASE(membarrier_query_names_the_commands)
{
    long commands = OK(membarrier(MEMBARRIER_CMD_QUERY, 0, 0));
    CHECK(commands & MEMBARRIER_CMD_GLOBAL);
    CHECK(commands & MEMBARRIER_CMD_PRIVATE_EXPEDITED);
    CHECK(commands & MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED);
    OK(membarrier(MEMBARRIER_CMD_GLOBAL, 0, 0));
}

CASE(membarrier_private_expedited_needs_registration)
{
    FAILS(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0), EPERM);
    OK(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
    OK(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
    OK(membarrier(MEMBARRIER_CMD_REGISTER_GLOBAL_EXPEDITED, 0, 0));
    OK(membarrier(MEMBARRIER_CMD_GLOBAL_EXPEDITED, 0, 0));
    FAILS(membarrier(0x40000000, 0, 0), EINVAL);
    FAILS(membarrier(MEMBARRIER_CMD_QUERY, 1, 0), EINVAL);
}

static volatile int left, right, left_seen, right_seen, round_number, done;

static void *plays_left(void *unused)
{
    (void)unused;
    for (int i = 1; i <= 20000; i++)
    {
        while (__atomic_load_n(&round_number, __ATOMIC_ACQUIRE) != i) { sched_yield(); }
        left = 1;
        __asm__ volatile("" : : : "memory");        // the compiler's barrier only: the other side pays for both
        left_seen = right;
        __atomic_add_fetch(&done, 1, __ATOMIC_RELEASE);
    }
    return NULL;
}

CASE(membarrier_orders_the_other_threads_memory)
{
    // Dekker's test: with a full barrier on both sides, not both can miss the other's store.
    OK(membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0));
    pthread_t thread;
    EQUAL(pthread_create(&thread, NULL, plays_left, NULL), 0);
    for (int i = 1; i <= 20000; i++)
    {
        left = right = 0;
        __atomic_store_n(&done, 0, __ATOMIC_SEQ_CST);
        __atomic_store_n(&round_number, i, __ATOMIC_RELEASE);
        right = 1;
        OK(membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0));
        right_seen = left;
        while (__atomic_load_n(&done, __ATOMIC_ACQUIRE) != 1) { sched_yield(); }
        CHECK(left_seen || right_seen);
    }
    EQUAL(pthread_join(thread, NULL), 0);
}
