// Priority-inheritance futexes and robust lists: futex(2), "Priority-inheritance futexes"; get_robust_list(2), the kernel's robust-futexes document.
#include "../common/test.h"
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>

#define futex(word, operation, value, timeout, word2, value3) syscall(SYS_futex, word, operation, value, timeout, word2, value3)
#define lock_pi(word, timeout) futex(word, FUTEX_LOCK_PI, 0, timeout, NULL, 0)
#define trylock_pi(word) futex(word, FUTEX_TRYLOCK_PI, 0, NULL, NULL, 0)
#define unlock_pi(word) futex(word, FUTEX_UNLOCK_PI, 0, NULL, NULL, 0)

static struct timespec real_time_in(int ms)
{
    struct timespec time;
    OK(clock_gettime(CLOCK_REALTIME, &time));
    time.tv_sec += ms / 1000;
    time.tv_nsec += ms % 1000 * 1000000;
    if (time.tv_nsec >= 1000000000) time.tv_sec++, time.tv_nsec -= 1000000000;
    return time;
}

CASE(lock_writes_the_owners_tid_and_unlock_clears_it)
{
    unsigned *word = shared_memory(4096);
    OK(lock_pi(word, NULL));
    EQUAL(*word, gettid());
    OK(unlock_pi(word));
    EQUAL(*word, 0);
}

CASE(locking_twice_is_EDEADLK)
{
    unsigned *word = shared_memory(4096);
    OK(lock_pi(word, NULL));
    FAILS(lock_pi(word, NULL), EDEADLK);
    FAILS(trylock_pi(word), EDEADLK);
    OK(unlock_pi(word));
}

CASE(unlock_by_another_is_EPERM)
{
    unsigned *word = shared_memory(4096);
    OK(lock_pi(word, NULL));
    IN_CHILD({ FAILS(unlock_pi(word), EPERM); });
    *word = 0;
    FAILS(unlock_pi(word), EPERM);
}

CASE(waiter_gets_the_lock_when_the_owner_unlocks)
{
    unsigned *word = shared_memory(4096);
    OK(lock_pi(word, NULL));
    pid_t child = CHILD({
        OK(lock_pi(word, NULL));
        EQUAL(*word & FUTEX_TID_MASK, gettid());
        OK(unlock_pi(word));
    });
    until_asleep(child);
    EQUAL(*word, gettid() | FUTEX_WAITERS);
    OK(unlock_pi(word));
    REAP_EXIT(child, 0);
    EQUAL(*word, 0);
}

CASE(trylock_of_a_held_lock_is_EAGAIN)
{
    unsigned *word = shared_memory(4096);
    OK(lock_pi(word, NULL));
    IN_CHILD({ FAILS(trylock_pi(word), EAGAIN); });
    OK(unlock_pi(word));
    OK(trylock_pi(word));
    EQUAL(*word & FUTEX_TID_MASK, gettid());
}

CASE(lock_times_out_at_an_absolute_real_time)
{
    unsigned *word = shared_memory(4096);
    OK(lock_pi(word, NULL));
    IN_CHILD({
        struct timespec time = real_time_in(100);
        FAILS(lock_pi(word, &time), ETIMEDOUT);
        CHECK(clock_ns(CLOCK_REALTIME) >= time.tv_sec * 1000000000LL + time.tv_nsec);
        struct timespec bad = {1, 1000000000};
        FAILS(lock_pi(word, &bad), EINVAL);
    });
    OK(unlock_pi(word));
    EQUAL(*word, 0);
}

CASE(lock2_takes_the_monotonic_clock)
{
    // FUTEX_LOCK_PI2, Linux 5.14.
    unsigned *word = shared_memory(4096);
    OK(lock_pi(word, NULL));
    IN_CHILD({
        struct timespec time;
        OK(clock_gettime(CLOCK_MONOTONIC, &time));
        time.tv_sec--;
        FAILS(futex(word, 13, 0, &time, NULL, 0), ETIMEDOUT);
    });
    OK(unlock_pi(word));
}

CASE(owner_that_does_not_exist_is_ESRCH)
{
    unsigned *word = shared_memory(4096);
    *word = 0x3fffffff;
    FAILS(lock_pi(word, NULL), ESRCH);
    pid_t dead = CHILD({});
    REAP_EXIT(dead, 0);
    *word = dead;
    FAILS(lock_pi(word, NULL), ESRCH);
}

CASE(bad_addresses)
{
    FAILS(lock_pi((char *)unmapped_address(), NULL), EFAULT);
    FAILS(unlock_pi((char *)unmapped_address()), EFAULT);
    unsigned *word = shared_memory(4096);
    FAILS(lock_pi((char *)word + 1, NULL), EINVAL);
}

CASE(two_locks_in_opposite_order_are_EDEADLK)
{
    unsigned *first = shared_memory(8192), *second = first + 1024;
    OK(lock_pi(first, NULL));
    pid_t child = CHILD({
        OK(lock_pi(second, NULL));
        OK(lock_pi(first, NULL));
        OK(unlock_pi(first));
        OK(unlock_pi(second));
    });
    until_asleep(child);
    FAILS(lock_pi(second, NULL), EDEADLK);
    OK(unlock_pi(first));
    REAP_EXIT(child, 0);
}

CASE(owners_priority_is_raised_to_its_waiters)
{
    // One CPU; the owner is an ordinary task, a waiter is real-time, a hog in between would starve the owner without inheritance.
    unsigned *word = shared_memory(4096);
    volatile int *state = shared_memory(4096);
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    OK(sched_setaffinity(0, sizeof set, &set));
    OK(sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){30}));
    pid_t owner = CHILD({
        OK(sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0}));
        OK(lock_pi(word, NULL));
        state[0] = 1;
        for (volatile int i = 0; i < 10000000; i++) { }
        state[1] = state[2];                        // whether the hog had ended
        OK(unlock_pi(word));
    });
    EVENTUALLY(state[0] == 1);
    pid_t waiter = CHILD({
        OK(lock_pi(word, NULL));
        OK(unlock_pi(word));
    });
    // This task, at 30 as well, lets the waiter block, then runs the hog at 20 for 300 ms: the owner, boosted to 30, runs before it.
    while (!(*(volatile unsigned *)word & FUTEX_WAITERS)) sleep_ms(1);
    pid_t hog = CHILD({
        OK(sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){20}));
        int64_t start = now_ns();
        while (!passed_ms(start, 300)) { }
        state[2] = 1;
    });
    REAP_EXIT(owner, 0);
    REAP_EXIT(waiter, 0);
    REAP_EXIT(hog, 0);
    EQUAL(state[1], 0);
}

CASE(cmp_requeue_pi_hands_the_lock_to_the_waiter)
{
    // As a condition variable with a PI mutex would.
    int *condition = shared_memory(4096);
    unsigned *mutex = shared_memory(4096);
    pid_t child = CHILD({
        OK(futex(condition, FUTEX_WAIT_REQUEUE_PI, 0, NULL, mutex, 0));
        EQUAL(*mutex & FUTEX_TID_MASK, gettid());
        OK(unlock_pi(mutex));
    });
    until_asleep(child);
    OK(lock_pi(mutex, NULL));
    EQUAL(futex(condition, FUTEX_CMP_REQUEUE_PI, 1, (void *)0, mutex, 0), 1);
    sleep_ms(20);
    EQUAL(waitpid(child, NULL, WNOHANG), 0);
    OK(unlock_pi(mutex));
    REAP_EXIT(child, 0);
    FAILS(futex(condition, FUTEX_CMP_REQUEUE_PI, 2, (void *)0, mutex, 0), EINVAL);         // wakes one at most
    FAILS(futex(condition, FUTEX_CMP_REQUEUE_PI, 1, (void *)0, mutex, 77), EAGAIN);
    FAILS(futex(condition, FUTEX_WAIT_REQUEUE_PI, 5, NULL, mutex, 0), EAGAIN);
    FAILS(futex(condition, FUTEX_WAIT_REQUEUE_PI, 0, NULL, condition, 0), EINVAL);
}

CASE(plain_operations_on_a_pi_waiter_are_EINVAL)
{
    unsigned *word = shared_memory(4096);
    OK(lock_pi(word, NULL));
    pid_t child = CHILD({
        OK(lock_pi(word, NULL));
        OK(unlock_pi(word));
    });
    until_asleep(child);
    FAILS(futex(word, FUTEX_WAKE, 1, NULL, NULL, 0), EINVAL);
    OK(unlock_pi(word));
    REAP_EXIT(child, 0);
}

// ------------------------------------------------------------------------------------------------------------------------ robust lists

// An entry with its lock word behind it, as the list's offset says.
struct lock
{
    struct robust_list entry;
    unsigned word;
};

struct robust
{
    struct robust_list_head head;
    struct lock locks[4];
};

static struct robust *robust_memory(void)
{
    struct robust *robust = shared_memory(8192);
    robust->head.list.next = &robust->head.list;
    robust->head.futex_offset = offsetof(struct lock, word) - offsetof(struct lock, entry);
    return robust;
}

static void hold(struct robust *robust, int index)
{
    robust->locks[index].word = gettid();
    robust->locks[index].entry.next = robust->head.list.next;
    robust->head.list.next = &robust->locks[index].entry;
}

CASE(death_marks_held_locks_and_only_them)
{
    struct robust *robust = robust_memory();
    pid_t child = CHILD({
        OK(syscall(SYS_set_robust_list, &robust->head, sizeof robust->head));
        hold(robust, 0);
        hold(robust, 1);
        hold(robust, 2);
        robust->locks[1].word = 12345;              // somebody else's by now
        robust->locks[3].word = gettid();           // not on the list
    });
    REAP_EXIT(child, 0);
    EQUAL(robust->locks[0].word, FUTEX_OWNER_DIED);
    EQUAL(robust->locks[1].word, 12345);
    EQUAL(robust->locks[2].word, FUTEX_OWNER_DIED);
    EQUAL(robust->locks[3].word, child);
}

CASE(death_by_signal_and_by_exec_mark_too)
{
    struct robust *robust = robust_memory();
    pid_t child = CHILD({
        OK(syscall(SYS_set_robust_list, &robust->head, sizeof robust->head));
        hold(robust, 0);
        kill(getpid(), SIGKILL);
    });
    REAP_SIGNAL(child, SIGKILL);
    EQUAL(robust->locks[0].word, FUTEX_OWNER_DIED);
    robust = robust_memory();
    child = CHILD({
        OK(syscall(SYS_set_robust_list, &robust->head, sizeof robust->head));
        hold(robust, 0);
        char *arguments[] = {"x", "--entry", "nothing", NULL};
        execve(test_program, arguments, environ);
    });
    REAP_EXIT(child, 0);
    EQUAL(robust->locks[0].word, FUTEX_OWNER_DIED);
}

ENTRY(nothing) { return 0; }

CASE(waiter_of_a_dead_owner_is_woken)
{
    struct robust *robust = robust_memory();
    volatile int *ready = shared_memory(4096);
    pid_t owner = CHILD({
        OK(syscall(SYS_set_robust_list, &robust->head, sizeof robust->head));
        hold(robust, 0);
        *ready = 1;
        for (;;) pause();
    });
    EVENTUALLY(*ready);
    unsigned value = owner | FUTEX_WAITERS;
    robust->locks[0].word = value;
    pid_t waiter = CHILD({ OK(futex(&robust->locks[0].word, FUTEX_WAIT, value, NULL, NULL, 0)); });
    until_asleep(waiter);
    OK(kill(owner, SIGKILL));
    REAP_SIGNAL(owner, SIGKILL);
    REAP_EXIT(waiter, 0);
    EQUAL(robust->locks[0].word, FUTEX_OWNER_DIED | FUTEX_WAITERS);
}

CASE(pending_entry_is_looked_at)
{
    // Death between taking the lock and putting it on the list.
    struct robust *robust = robust_memory();
    pid_t child = CHILD({
        OK(syscall(SYS_set_robust_list, &robust->head, sizeof robust->head));
        robust->locks[2].word = gettid();
        robust->head.list_op_pending = &robust->locks[2].entry;
    });
    REAP_EXIT(child, 0);
    EQUAL(robust->locks[2].word, FUTEX_OWNER_DIED);
}

CASE(broken_lists_do_not_hang_the_kernel)
{
    struct robust *robust = robust_memory();
    void *bad = unmapped_address();
    IN_CHILD({      // a circle that does not contain the head
        OK(syscall(SYS_set_robust_list, &robust->head, sizeof robust->head));
        robust->head.list.next = &robust->locks[0].entry;
        robust->locks[0].entry.next = &robust->locks[1].entry;
        robust->locks[1].entry.next = &robust->locks[0].entry;
    });
    IN_CHILD({
        OK(syscall(SYS_set_robust_list, bad, sizeof robust->head));
    });
    IN_CHILD({
        OK(syscall(SYS_set_robust_list, &robust->head, sizeof robust->head));
        robust->head.list.next = bad;
        robust->head.list_op_pending = bad;
    });
    IN_CHILD({
        OK(syscall(SYS_set_robust_list, &robust->head, sizeof robust->head));
        hold(robust, 0);
        robust->head.futex_offset = 1L << 46;
    });
    IN_CHILD({
        OK(syscall(SYS_set_robust_list, &robust->head, sizeof robust->head));
        hold(robust, 0);
        robust->head.futex_offset = 1;              // unaligned words
    });
    IN_CHILD({
        OK(syscall(SYS_set_robust_list, &robust->head, sizeof robust->head));
        robust->head.list.next = (void *)0xffffffff81000000;
    });
}

CASE(dead_owner_of_a_pi_lock_hands_it_over)
{
    struct robust *robust = robust_memory();
    volatile int *ready = shared_memory(4096);
    pid_t owner = CHILD({
        OK(syscall(SYS_set_robust_list, &robust->head, sizeof robust->head));
        unsigned *word = &robust->locks[0].word;
        OK(lock_pi(word, NULL));
        robust->locks[0].entry.next = &robust->head.list;
        robust->head.list.next = (struct robust_list *)((uintptr_t)&robust->locks[0].entry | 1);    // bit 0: a PI futex
        *ready = 1;
        for (;;) pause();
    });
    EVENTUALLY(*ready);
    pid_t waiter = CHILD({
        OK(lock_pi(&robust->locks[0].word, NULL));
        EQUAL(robust->locks[0].word & FUTEX_TID_MASK, gettid());
        CHECK(robust->locks[0].word & FUTEX_OWNER_DIED);
    });
    until_asleep(waiter);
    OK(kill(owner, SIGKILL));
    REAP_SIGNAL(owner, SIGKILL);
    REAP_EXIT(waiter, 0);
}

CASE(robust_list_is_not_inherited_by_fork)
{
    struct robust *robust = robust_memory();
    IN_CHILD({
        OK(syscall(SYS_set_robust_list, &robust->head, sizeof robust->head));
        hold(robust, 0);
        pid_t child = syscall(SYS_fork);            // the C library's fork would set its own list
        if (child == 0)
        {
            struct robust_list_head *head = (void *)1;
            size_t length;
            _exit(syscall(SYS_get_robust_list, 0, &head, &length) == 0 && head == NULL ? 0 : 1);
        }
        REAP_EXIT(child, 0);
        EQUAL(robust->locks[0].word, gettid());
    });
}
