// futex(2): wait, wake, requeue, bitset, wake-op, timeouts, private and shared.
#include "../common/test.h"
#include <linux/futex.h>
#include <pthread.h>

#define futex(word, operation, value, timeout, word2, value3) syscall(SYS_futex, word, operation, value, timeout, word2, value3)

static int word, word2;

static long wait_for(int *at, int value) { return futex(at, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, value, NULL, NULL, 0); }
static long wake(int *at, int count) { return futex(at, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, count, NULL, NULL, 0); }

CASE(wait_with_another_value_is_EAGAIN)
{
    word = 1;
    FAILS(wait_for(&word, 0), EAGAIN);
    FAILS(futex(&word, FUTEX_WAIT, 0, NULL, NULL, 0), EAGAIN);
}

CASE(wake_without_waiters_is_zero)
{
    EQUAL(wake(&word, 1), 0);
    EQUAL(wake(&word, INT_MAX), 0);
    EQUAL(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
}

struct waiter
{
    pthread_t thread;
    volatile pid_t tid;
    int *at;
    int operation;
    unsigned bits;
    volatile int woken;
    volatile long result;
};

static void *waits(void *argument)
{
    struct waiter *waiter = argument;
    waiter->tid = gettid();
    waiter->result = futex(waiter->at, waiter->operation, 0, NULL, NULL, waiter->bits);
    waiter->woken = 1;
    return NULL;
}

static void start_operation(struct waiter *waiter, int *at, int operation, unsigned bits)
{
    memset(waiter, 0, sizeof *waiter);
    waiter->at = at, waiter->operation = operation, waiter->bits = bits;
    EQUAL(pthread_create(&waiter->thread, NULL, waits, waiter), 0);
    EVENTUALLY(waiter->tid != 0);
    until_asleep(waiter->tid);
}

static void start(struct waiter *waiter, int *at) { start_operation(waiter, at, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0); }

static void finish(struct waiter *waiter)
{
    EQUAL(pthread_join(waiter->thread, NULL), 0);
    EQUAL(waiter->result, 0);
}

CASE(wake_ends_a_wait)
{
    struct waiter waiter;
    start(&waiter, &word);
    CHECK(!waiter.woken);
    EQUAL(wake(&word, 1), 1);
    finish(&waiter);
    EQUAL(wake(&word, 1), 0);
}

CASE(wake_wakes_as_many_as_asked)
{
    struct waiter waiters[5];
    for (int i = 0; i < 5; i++) start(&waiters[i], &word);
    EQUAL(wake(&word, 2), 2);
    sleep_ms(50);
    int woken = 0;
    for (int i = 0; i < 5; i++) woken += waiters[i].woken;
    EQUAL(woken, 2);
    EQUAL(wake(&word, INT_MAX), 3);
    for (int i = 0; i < 5; i++) finish(&waiters[i]);
}

CASE(wake_is_first_come_first_served_among_equals)
{
    struct waiter waiters[4];
    for (int i = 0; i < 4; i++) start(&waiters[i], &word);
    for (int i = 0; i < 4; i++)
    {
        EQUAL(wake(&word, 1), 1);
        finish(&waiters[i]);
    }
}

CASE(wake_does_not_reach_another_address)
{
    struct waiter waiter;
    start(&waiter, &word);
    EQUAL(wake(&word2, INT_MAX), 0);
    EQUAL(wake(&word, INT_MAX), 1);
    finish(&waiter);
}

CASE(wait_times_out_relative)
{
    struct timespec time = {0, 100000000};
    int64_t start = now_ns();
    FAILS(futex(&word, FUTEX_WAIT, 0, &time, NULL, 0), ETIMEDOUT);
    CHECK(passed_ms(start, 100));
    time.tv_nsec = 0;
    FAILS(futex(&word, FUTEX_WAIT, 0, &time, NULL, 0), ETIMEDOUT);
}

CASE(wait_bitset_times_out_absolute_on_both_clocks)
{
    struct timespec time;
    OK(clock_gettime(CLOCK_MONOTONIC, &time));
    time.tv_nsec += 100000000;
    if (time.tv_nsec >= 1000000000) time.tv_sec++, time.tv_nsec -= 1000000000;
    FAILS(futex(&word, FUTEX_WAIT_BITSET, 0, &time, NULL, FUTEX_BITSET_MATCH_ANY), ETIMEDOUT);
    CHECK(clock_ns(CLOCK_MONOTONIC) >= time.tv_sec * 1000000000LL + time.tv_nsec);
    OK(clock_gettime(CLOCK_REALTIME, &time));
    time.tv_nsec += 100000000;
    if (time.tv_nsec >= 1000000000) time.tv_sec++, time.tv_nsec -= 1000000000;
    FAILS(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &time, NULL, FUTEX_BITSET_MATCH_ANY), ETIMEDOUT);
    CHECK(clock_ns(CLOCK_REALTIME) >= time.tv_sec * 1000000000LL + time.tv_nsec);
    time.tv_sec = 1;                    // long ago
    FAILS(futex(&word, FUTEX_WAIT_BITSET | FUTEX_CLOCK_REALTIME, 0, &time, NULL, FUTEX_BITSET_MATCH_ANY), ETIMEDOUT);
}

CASE(wait_errors)
{
    struct timespec bad = {0, 1000000000};
    FAILS(futex((char *)&word + 1, FUTEX_WAIT, 0, NULL, NULL, 0), EINVAL);
    FAILS(futex((char *)&word + 2, FUTEX_WAKE, 1, NULL, NULL, 0), EINVAL);
    FAILS(futex(&word, FUTEX_WAIT, 0, &bad, NULL, 0), EINVAL);
    bad.tv_sec = -1, bad.tv_nsec = 0;
    FAILS(futex(&word, FUTEX_WAIT, 0, &bad, NULL, 0), EINVAL);
    FAILS(futex(&word, FUTEX_WAIT, 0, unmapped_address(), NULL, 0), EFAULT);
    FAILS(futex(unmapped_address(), FUTEX_WAIT, 0, NULL, NULL, 0), EFAULT);
    FAILS(futex(unmapped_address(), FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0), EFAULT);
    FAILS(futex((void *)0xffffffff81000000, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0), EFAULT);
    FAILS(futex(&word, FUTEX_WAIT_BITSET, 0, NULL, NULL, 0), EINVAL);           // no bits
    FAILS(futex(&word, FUTEX_WAKE_BITSET, 1, NULL, NULL, 0), EINVAL);
    FAILS(futex(&word, 99, 0, NULL, NULL, 0), ENOSYS);
    FAILS(futex(&word, FUTEX_WAKE | FUTEX_CLOCK_REALTIME, 1, NULL, NULL, 0), ENOSYS);
}

CASE(wait_works_on_read_only_memory_that_others_change)
{
    int fd = OK(syscall(SYS_memfd_create, "word", 0));
    OK(ftruncate(fd, 4096));
    int *writable = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    int *readable = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0);
    struct waiter waiter;
    start_operation(&waiter, readable, FUTEX_WAIT, 0);
    *writable = 1;
    EQUAL(futex(writable, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
    finish(&waiter);
}

CASE(shared_futex_works_between_processes_at_different_addresses)
{
    int fd = OK(syscall(SYS_memfd_create, "word", 0));
    OK(ftruncate(fd, 8192));
    int *here = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 4096);
    pid_t child = CHILD({
        int *there = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        CHECK(there + 1024 != here);
        OK(futex(there + 1024 + 5, FUTEX_WAIT, 0, NULL, NULL, 0));
    });
    until_asleep(child);
    EQUAL(futex(here + 5, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0), 0);        // a private wake does not reach it
    EQUAL(futex(here + 5, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
    REAP_EXIT(child, 0);
}

CASE(shared_futex_in_inherited_anonymous_memory)
{
    int *shared = shared_memory(4096);
    pid_t child = CHILD({ OK(futex(shared, FUTEX_WAIT, 0, NULL, NULL, 0)); });
    until_asleep(child);
    EQUAL(futex(shared, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
    REAP_EXIT(child, 0);
}

CASE(private_memory_is_not_shared_by_fork_even_for_the_shared_operation)
{
    pid_t child = CHILD({
        struct timespec time = {0, 200000000};
        FAILS(futex(&word, FUTEX_WAIT, 0, &time, NULL, 0), ETIMEDOUT);
    });
    until_asleep(child);
    EQUAL(futex(&word, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
    REAP_EXIT(child, 0);
}

CASE(bitset_wakes_those_whose_bits_meet)
{
    struct waiter waiters[3];
    for (int i = 0; i < 3; i++) start_operation(&waiters[i], &word, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, 1 << i);
    EQUAL(futex(&word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, INT_MAX, NULL, NULL, 8), 0);
    EQUAL(futex(&word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, INT_MAX, NULL, NULL, 2), 1);
    finish(&waiters[1]);
    CHECK(!waiters[0].woken && !waiters[2].woken);
    EQUAL(wake(&word, INT_MAX), 2);             // a plain wake is all bits
    finish(&waiters[0]);
    finish(&waiters[2]);
    struct waiter plain;
    start(&plain, &word);                       // and so is a plain wait
    EQUAL(futex(&word, FUTEX_WAKE_BITSET | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 1U << 31), 1);
    finish(&plain);
}

CASE(requeue_wakes_some_and_moves_the_rest)
{
    struct waiter waiters[5];
    for (int i = 0; i < 5; i++) start(&waiters[i], &word);
    // Wakes one, moves at most two; man 2 futex promises the count of the woken, Linux answers the count of both.
    EQUAL(futex(&word, FUTEX_REQUEUE | FUTEX_PRIVATE_FLAG, 1, (void *)2, &word2, 0), 1 + 2);
    finish(&waiters[0]);
    EQUAL(wake(&word2, INT_MAX), 2);
    finish(&waiters[1]);
    finish(&waiters[2]);
    EQUAL(wake(&word, INT_MAX), 2);
    finish(&waiters[3]);
    finish(&waiters[4]);
}

CASE(cmp_requeue_compares_first)
{
    struct waiter waiters[4];
    for (int i = 0; i < 4; i++) start(&waiters[i], &word);
    FAILS(futex(&word, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 1, (void *)10, &word2, 7), EAGAIN);
    EQUAL(wake(&word2, INT_MAX), 0);
    EQUAL(futex(&word, FUTEX_CMP_REQUEUE | FUTEX_PRIVATE_FLAG, 1, (void *)10, &word2, 0), 4);
    finish(&waiters[0]);
    EQUAL(wake(&word, INT_MAX), 0);
    EQUAL(wake(&word2, 1), 1);
    finish(&waiters[1]);
    EQUAL(wake(&word2, INT_MAX), 2);
    finish(&waiters[2]);
    finish(&waiters[3]);
    FAILS(futex(&word, FUTEX_CMP_REQUEUE, -1, (void *)1, &word2, 0), EINVAL);
    FAILS(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)-1, &word2, 0), EINVAL);
    FAILS(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, (char *)&word2 + 1, 0), EINVAL);
    FAILS(futex(&word, FUTEX_CMP_REQUEUE, 1, (void *)1, unmapped_address(), 0), EFAULT);
}

CASE(requeued_waiter_times_out_at_its_new_place)
{
    struct timespec time = {0, 500000000};
    int *shared = shared_memory(4096);
    pid_t child = CHILD({ FAILS(futex(shared, FUTEX_WAIT, 0, &time, NULL, 0), ETIMEDOUT); });
    until_asleep(child);
    EQUAL(futex(shared, FUTEX_CMP_REQUEUE, 0, (void *)1, shared + 100, 0), 1);
    REAP_EXIT(child, 0);
    EQUAL(futex(shared + 100, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
}

static long wake_op(int wake1, int wake2, int operation, int argument, int comparison, int argument2)
{
    return futex(&word, FUTEX_WAKE_OP | FUTEX_PRIVATE_FLAG, wake1, (void *)(long)wake2, &word2, FUTEX_OP(operation, argument, comparison, argument2));
}

CASE(wake_op_changes_the_second_word_and_wakes_both_by_its_old_value)
{
    struct
    {
        int before, operation, argument, after;
    } table[] = {
        {5, FUTEX_OP_SET, 9, 9}, {5, FUTEX_OP_ADD, 3, 8}, {5, FUTEX_OP_OR, 10, 15}, {13, FUTEX_OP_ANDN, 4, 9}, {5, FUTEX_OP_XOR, 6, 3},
        {5, FUTEX_OP_SET | FUTEX_OP_OPARG_SHIFT, 4, 16}, {5, FUTEX_OP_ADD, -1, 4},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    {
        word2 = table[i].before;
        EQUAL(wake_op(1, 1, table[i].operation, table[i].argument, FUTEX_OP_CMP_EQ, 99), 0);
        CHECK_THAT(word2 == table[i].after, "row %zu: %d", i, word2);
    }
    struct
    {
        int comparison, argument;
        bool holds;
    } comparisons[] = {
        {FUTEX_OP_CMP_EQ, 0, true}, {FUTEX_OP_CMP_EQ, 1, false}, {FUTEX_OP_CMP_NE, 1, true}, {FUTEX_OP_CMP_NE, 0, false}, {FUTEX_OP_CMP_LT, 1, true},
        {FUTEX_OP_CMP_LT, 0, false}, {FUTEX_OP_CMP_LE, 0, true}, {FUTEX_OP_CMP_LE, -1, false}, {FUTEX_OP_CMP_GT, -1, true}, {FUTEX_OP_CMP_GT, 0, false},
        {FUTEX_OP_CMP_GE, 0, true}, {FUTEX_OP_CMP_GE, 1, false},
    };
    for (size_t i = 0; i < sizeof comparisons / sizeof *comparisons; i++)
    {
        word2 = 0;
        struct waiter first, second;
        start(&first, &word);
        start(&second, &word2);
        EQUAL(wake_op(1, 1, FUTEX_OP_SET, 7, comparisons[i].comparison, comparisons[i].argument), comparisons[i].holds ? 2 : 1);
        EQUAL(word2, 7);
        finish(&first);
        if (!comparisons[i].holds) EQUAL(wake(&word2, 1), 1);
        finish(&second);
    }
    FAILS(wake_op(1, 1, 7, 0, FUTEX_OP_CMP_EQ, 0), ENOSYS);
}

static int tokens[2];

static void *hands_over(void *argument)
{
    int me = (int)(long)argument;
    for (int i = 0; i < 20000; i++)
    {
        while (__atomic_load_n(&tokens[me], __ATOMIC_ACQUIRE) == 0) wait_for(&tokens[me], 0);
        __atomic_store_n(&tokens[me], 0, __ATOMIC_RELAXED);
        __atomic_store_n(&tokens[!me], 1, __ATOMIC_RELEASE);
        wake(&tokens[!me], 1);
    }
    return NULL;
}

CASE(no_wake_is_lost_in_a_ping_pong)
{
    pthread_t threads[2];
    for (long i = 0; i < 2; i++) EQUAL(pthread_create(&threads[i], NULL, hands_over, (void *)i), 0);
    __atomic_store_n(&tokens[0], 1, __ATOMIC_RELEASE);
    wake(&tokens[0], 1);
    for (int i = 0; i < 2; i++) EQUAL(pthread_join(threads[i], NULL), 0);
}

CASE(waiter_dies_by_signal_and_leaves_the_queue)
{
    int *shared = shared_memory(4096);
    pid_t child = CHILD({ futex(shared, FUTEX_WAIT, 0, NULL, NULL, 0); });
    until_asleep(child);
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
    EQUAL(futex(shared, FUTEX_WAKE, 1, NULL, NULL, 0), 0);
}

CASE(waiter_in_file_memory_survives_the_unmapping_by_another)
{
    int *shared = shared_memory(4096);
    pid_t child = CHILD({ OK(futex(shared, FUTEX_WAIT, 0, NULL, NULL, 0)); });
    until_asleep(child);
    IN_CHILD({
        EQUAL(futex(shared, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
        OK(munmap(shared, 4096));
    });
    REAP_EXIT(child, 0);
}

struct futex_waitv_entry
{
    uint64_t value, address;
    uint32_t flags, reserved;
};

CASE(waitv_waits_on_several_words)
{
    // futex_waitv, Linux 5.16.
    int *words = shared_memory(4096);
    struct futex_waitv_entry list[3];
    for (int i = 0; i < 3; i++) list[i] = (struct futex_waitv_entry){0, (uintptr_t)&words[i], 2, 0};
    pid_t child = CHILD({ _exit(syscall(449, list, 3, 0, NULL, 0)); });
    until_asleep(child);
    EQUAL(futex(&words[2], FUTEX_WAKE, 1, NULL, NULL, 0), 1);
    REAP_EXIT(child, 2);
    words[1] = 5;
    FAILS(syscall(449, list, 3, 0, NULL, 0), EAGAIN);
    FAILS(syscall(449, list, 0, 0, NULL, 0), EINVAL);
    FAILS(syscall(449, list, 129, 0, NULL, 0), EINVAL);
    FAILS(syscall(449, unmapped_address(), 1, 0, NULL, 0), EFAULT);
    words[1] = 0;
    struct timespec time;
    OK(clock_gettime(CLOCK_MONOTONIC, &time));
    time.tv_sec--;
    FAILS(syscall(449, list, 3, 0, &time, CLOCK_MONOTONIC), ETIMEDOUT);
    list[0].flags = 0x40;
    FAILS(syscall(449, list, 3, 0, NULL, 0), EINVAL);
}
