// sched(7): policies, priorities, nice values, affinity, yielding. Names of the manual pages: sched_setscheduler(2), sched_setattr(2),
// sched_setaffinity(2), sched_rr_get_interval(2), sched_get_priority_max(2), getpriority(2), getcpu(2).
#include "../common/test.h"
#include <sched.h>

struct scheduling_attributes
{
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
    uint32_t util_min, util_max;
};

#define sched_getattr(pid, attributes, size, flags) syscall(SYS_sched_getattr, pid, attributes, size, flags)
#define sched_setattr(pid, attributes, flags) syscall(SYS_sched_setattr, pid, attributes, flags)

static struct sched_param priority(int value) { return (struct sched_param){value}; }

static int set_policy(pid_t pid, int policy, int value)
{
    struct sched_param parameter = priority(value);
    return sched_setscheduler(pid, policy, &parameter);
}

CASE(nice_value_is_zero_and_settable)
{
    EQUAL(getpriority(PRIO_PROCESS, 0), 0);
    OK(setpriority(PRIO_PROCESS, 0, 10));
    EQUAL(getpriority(PRIO_PROCESS, 0), 10);
    EQUAL(getpriority(PRIO_PROCESS, getpid()), 10);
    OK(setpriority(PRIO_PROCESS, 0, -20));
    EQUAL(getpriority(PRIO_PROCESS, 0), -20);
    OK(setpriority(PRIO_PROCESS, 0, 100));          // clamped
    EQUAL(getpriority(PRIO_PROCESS, 0), 19);
    OK(setpriority(PRIO_PROCESS, 0, -100));
    EQUAL(getpriority(PRIO_PROCESS, 0), -20);
}

CASE(raw_getpriority_answers_20_minus_nice)
{
    // man 2 getpriority, "C library/kernel differences".
    EQUAL(syscall(SYS_getpriority, PRIO_PROCESS, 0), 20);
    OK(setpriority(PRIO_PROCESS, 0, 19));
    EQUAL(syscall(SYS_getpriority, PRIO_PROCESS, 0), 1);
    OK(setpriority(PRIO_PROCESS, 0, -20));
    EQUAL(syscall(SYS_getpriority, PRIO_PROCESS, 0), 40);
}

CASE(getpriority_errors)
{
    FAILS(getpriority(PRIO_PROCESS, 0x3fffffff), ESRCH);
    FAILS(getpriority(99, 0), EINVAL);
    FAILS(getpriority(-1, 0), EINVAL);
    FAILS(getpriority(PRIO_PGRP, 0x3fffffff), ESRCH);
    FAILS(getpriority(PRIO_USER, 0x3ffffff), ESRCH);
    FAILS(setpriority(PRIO_PROCESS, 0x3fffffff, 0), ESRCH);
    FAILS(setpriority(99, 0, 0), EINVAL);
    IN_CHILD({
        OK(setresuid(1000, 1000, 1000));
        FAILS(setpriority(PRIO_PROCESS, 0, -1), EACCES);
        FAILS(setpriority(PRIO_PROCESS, getppid(), 5), EPERM);
        OK(setpriority(PRIO_PROCESS, 0, 5));
        FAILS(setpriority(PRIO_PROCESS, 0, 4), EACCES);
    });
}

CASE(group_priority_is_that_of_its_best_member_and_sets_all)
{
    pid_t leader = CHILD({ pause(); });
    OK(setpgid(leader, leader));
    pid_t member = CHILD({ pause(); });
    OK(setpgid(member, leader));
    OK(setpriority(PRIO_PROCESS, leader, 10));
    OK(setpriority(PRIO_PROCESS, member, 5));
    EQUAL(getpriority(PRIO_PGRP, leader), 5);
    OK(setpriority(PRIO_PGRP, leader, 7));
    EQUAL(getpriority(PRIO_PROCESS, leader), 7);
    EQUAL(getpriority(PRIO_PROCESS, member), 7);
    OK(kill(-leader, SIGKILL));
    REAP_SIGNAL(leader, SIGKILL);
    REAP_SIGNAL(member, SIGKILL);
}

CASE(user_priority_concerns_the_users_processes)
{
    int *ready = shared_memory(sizeof *ready);
    pid_t child = CHILD({
        OK(setresuid(34567, 34567, 34567));
        *ready = 1;
        for (;;) pause();
    });
    EVENTUALLY(*ready);
    OK(setpriority(PRIO_USER, 34567, 9));
    EQUAL(getpriority(PRIO_PROCESS, child), 9);
    EQUAL(getpriority(PRIO_USER, 34567), 9);
    EQUAL(getpriority(PRIO_PROCESS, 0), 0);
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
}

CASE(higher_nice_gets_less_cpu)
{
    // On one CPU: nice 0 against nice 15 is 1024 to 36; a fifth of the winner's time is a generous bound.
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    OK(sched_setaffinity(0, sizeof set, &set));
    int64_t *times = shared_memory(2 * sizeof *times);
    int *stop = shared_memory(sizeof *stop);
    pid_t children[2];
    for (int i = 0; i < 2; i++)
    {
        children[i] = CHILD({
            OK(setpriority(PRIO_PROCESS, 0, i * 15));
            while (!__atomic_load_n(stop, __ATOMIC_RELAXED)) times[i] = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        });
    }
    EVENTUALLY(times[0] + times[1] > 1000000000);
    *stop = 1;
    for (int i = 0; i < 2; i++) REAP_EXIT(children[i], 0);
    CHECK_THAT(times[1] < times[0] / 3, "%lld and %lld", (long long)times[0], (long long)times[1]);
}

CASE(policy_is_other_and_can_be_changed)
{
    EQUAL(sched_getscheduler(0), SCHED_OTHER);
    int policies[] = {SCHED_BATCH, SCHED_IDLE, SCHED_OTHER};
    for (int i = 0; i < 3; i++)
    {
        OK(set_policy(0, policies[i], 0));
        EQUAL(sched_getscheduler(0), policies[i]);
        EQUAL(sched_getscheduler(getpid()), policies[i]);
    }
    struct sched_param parameter = priority(77);
    OK(set_policy(0, SCHED_RR, 12));
    OK(sched_getparam(0, &parameter));
    EQUAL(parameter.sched_priority, 12);
    OK(set_policy(0, SCHED_FIFO, 99));
    EQUAL(sched_getscheduler(0), SCHED_FIFO);
    parameter.sched_priority = 3;
    OK(sched_setparam(0, &parameter));
    OK(sched_getparam(0, &parameter));
    EQUAL(parameter.sched_priority, 3);
    OK(set_policy(0, SCHED_OTHER, 0));
}

CASE(setscheduler_errors)
{
    FAILS(set_policy(0, SCHED_OTHER, 1), EINVAL);           // must be zero
    FAILS(set_policy(0, SCHED_FIFO, 0), EINVAL);
    FAILS(set_policy(0, SCHED_FIFO, 100), EINVAL);
    FAILS(set_policy(0, SCHED_RR, -1), EINVAL);
    FAILS(set_policy(0, 4, 0), EINVAL);
    FAILS(set_policy(0, -1, 0), EINVAL);
    FAILS(set_policy(-1, SCHED_OTHER, 0), EINVAL);
    FAILS(set_policy(0x3fffffff, SCHED_OTHER, 0), ESRCH);
    FAILS(sched_setscheduler(0, SCHED_OTHER, NULL), EINVAL);
    FAILS(syscall(SYS_sched_setscheduler, 0, SCHED_OTHER, unmapped_address()), EFAULT);
    FAILS(sched_getscheduler(-1), EINVAL);
    FAILS(sched_getscheduler(0x3fffffff), ESRCH);
    struct sched_param parameter = priority(0);
    FAILS(sched_getparam(-1, &parameter), EINVAL);
    FAILS(sched_getparam(0, NULL), EINVAL);
    FAILS(sched_getparam(0x3fffffff, &parameter), ESRCH);
    FAILS(syscall(SYS_sched_getparam, 0, unmapped_address()), EFAULT);
    FAILS(sched_setparam(0x3fffffff, &parameter), ESRCH);
    FAILS(sched_setparam(0, NULL), EINVAL);
    OK(setrlimit(RLIMIT_RTPRIO, &(struct rlimit){0, 0}));
    pid_t root = CHILD({ pause(); });
    IN_CHILD({
        OK(setresuid(1000, 1000, 1000));
        FAILS(set_policy(0, SCHED_FIFO, 1), EPERM);
        FAILS(set_policy(root, SCHED_BATCH, 0), EPERM);
        OK(set_policy(0, SCHED_BATCH, 0));
    });
    OK(kill(root, SIGKILL));
    REAP_SIGNAL(root, SIGKILL);
}

CASE(priority_ranges)
{
    EQUAL(sched_get_priority_min(SCHED_FIFO), 1);
    EQUAL(sched_get_priority_max(SCHED_FIFO), 99);
    EQUAL(sched_get_priority_min(SCHED_RR), 1);
    EQUAL(sched_get_priority_max(SCHED_RR), 99);
    EQUAL(sched_get_priority_min(SCHED_OTHER), 0);
    EQUAL(sched_get_priority_max(SCHED_OTHER), 0);
    EQUAL(sched_get_priority_max(SCHED_BATCH), 0);
    EQUAL(sched_get_priority_max(SCHED_IDLE), 0);
    FAILS(sched_get_priority_max(99), EINVAL);
    FAILS(sched_get_priority_min(-1), EINVAL);
}

CASE(round_robin_interval)
{
    struct timespec time = {-1, -1};
    OK(set_policy(0, SCHED_RR, 1));
    OK(sched_rr_get_interval(0, &time));
    CHECK(time.tv_sec == 0 && time.tv_nsec > 0);
    OK(set_policy(0, SCHED_FIFO, 1));
    OK(sched_rr_get_interval(0, &time));
    EQUAL(time.tv_sec, 0);
    EQUAL(time.tv_nsec, 0);                                 // no slice
    FAILS(sched_rr_get_interval(-1, &time), EINVAL);
    FAILS(sched_rr_get_interval(0x3fffffff, &time), ESRCH);
    FAILS(syscall(SYS_sched_rr_get_interval, 0, unmapped_address()), EFAULT);
}

CASE(policy_is_inherited_unless_reset_on_fork)
{
    OK(set_policy(0, SCHED_FIFO, 5));
    IN_CHILD({
        EQUAL(sched_getscheduler(0), SCHED_FIFO);
        struct sched_param parameter;
        OK(sched_getparam(0, &parameter));
        EQUAL(parameter.sched_priority, 5);
    });
    OK(set_policy(0, SCHED_FIFO | SCHED_RESET_ON_FORK, 5));
    EQUAL(sched_getscheduler(0), SCHED_FIFO | SCHED_RESET_ON_FORK);
    IN_CHILD({ EQUAL(sched_getscheduler(0), SCHED_OTHER); });
    OK(set_policy(0, SCHED_OTHER | SCHED_RESET_ON_FORK, 0));
    OK(setpriority(PRIO_PROCESS, 0, -5));
    IN_CHILD({ EQUAL(getpriority(PRIO_PROCESS, 0), 0); });
}

CASE(attributes_are_set_and_read)
{
    struct scheduling_attributes attributes = {.size = sizeof attributes, .policy = SCHED_RR, .priority = 7, .flags = 1};
    OK(sched_setattr(0, &attributes, 0));
    memset(&attributes, 0xff, sizeof attributes);
    OK(sched_getattr(0, &attributes, sizeof attributes, 0));
    EQUAL(attributes.size, sizeof attributes);
    EQUAL(attributes.policy, SCHED_RR);
    EQUAL(attributes.priority, 7);
    EQUAL(attributes.flags, 1);                             // SCHED_FLAG_RESET_ON_FORK
    struct scheduling_attributes other = {.size = 48, .policy = SCHED_OTHER, .nice = 11};
    OK(sched_setattr(0, &other, 0));
    EQUAL(getpriority(PRIO_PROCESS, 0), 11);
    OK(sched_getattr(0, &attributes, 48, 0));
    EQUAL(attributes.size, 48);
    EQUAL(attributes.nice, 11);
    EQUAL(attributes.priority, 0);
}

CASE(attribute_errors)
{
    struct scheduling_attributes attributes = {.size = sizeof attributes, .policy = SCHED_OTHER};
    FAILS(sched_getattr(0, &attributes, 47, 0), EINVAL);
    FAILS(sched_getattr(0, &attributes, 8192, 0), EINVAL);
    FAILS(sched_getattr(0, &attributes, sizeof attributes, 1), EINVAL);
    FAILS(sched_getattr(-1, &attributes, sizeof attributes, 0), EINVAL);
    FAILS(sched_getattr(0x3fffffff, &attributes, sizeof attributes, 0), ESRCH);
    FAILS(sched_getattr(0, unmapped_address(), sizeof attributes, 0), EFAULT);
    FAILS(sched_getattr(0, NULL, sizeof attributes, 0), EINVAL);
    FAILS(sched_setattr(0, &attributes, 1), EINVAL);
    FAILS(sched_setattr(-1, &attributes, 0), EINVAL);
    FAILS(sched_setattr(0x3fffffff, &attributes, 0), ESRCH);
    FAILS(sched_setattr(0, NULL, 0), EINVAL);
    FAILS(sched_setattr(0, unmapped_address(), 0), EFAULT);
    attributes.size = 47;
    FAILS(sched_setattr(0, &attributes, 0), E2BIG);
    EQUAL(attributes.size, sizeof attributes);              // the kernel tells its size
    attributes.policy = 99;
    FAILS(sched_setattr(0, &attributes, 0), EINVAL);
    attributes.policy = SCHED_FIFO, attributes.priority = 100;
    FAILS(sched_setattr(0, &attributes, 0), EINVAL);
    attributes.policy = SCHED_OTHER, attributes.priority = 0, attributes.flags = 1ULL << 40;
    FAILS(sched_setattr(0, &attributes, 0), EINVAL);
}

CASE(affinity_can_be_read_and_set)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    OK(sched_getaffinity(0, sizeof set, &set));
    int count = CPU_COUNT(&set);
    CHECK(count >= 1);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++)
    {
        if (!CPU_ISSET(cpu, &set)) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        OK(sched_setaffinity(0, sizeof one, &one));
        EQUAL(sched_getcpu(), cpu);
        cpu_set_t now;
        OK(sched_getaffinity(0, sizeof now, &now));
        CHECK(CPU_EQUAL(&now, &one));
        for (int i = 0; i < 50; i++)
        {
            sched_yield();
            EQUAL(sched_getcpu(), cpu);
        }
        IN_CHILD({                          // inherited
            OK(sched_getaffinity(0, sizeof now, &now));
            CHECK(CPU_EQUAL(&now, &one));
            EQUAL(sched_getcpu(), cpu);
        });
    }
}

CASE(affinity_of_a_running_process_can_be_changed)
{
    cpu_set_t set;
    OK(sched_getaffinity(0, sizeof set, &set));
    int *cpu = shared_memory(sizeof *cpu);
    *cpu = -1;
    pid_t child = CHILD({ for (;;) __atomic_store_n(cpu, sched_getcpu(), __ATOMIC_RELAXED); });
    for (int wanted = 0; wanted < CPU_SETSIZE; wanted++)
    {
        if (!CPU_ISSET(wanted, &set)) continue;
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(wanted, &one);
        OK(sched_setaffinity(child, sizeof one, &one));
        EVENTUALLY(__atomic_load_n(cpu, __ATOMIC_RELAXED) == wanted);
    }
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
}

CASE(affinity_errors)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    FAILS(sched_setaffinity(0, sizeof set, &set), EINVAL);          // none
    CPU_SET(1000, &set);
    FAILS(sched_setaffinity(0, sizeof set, &set), EINVAL);          // none that exists
    CPU_SET(0, &set);
    OK(sched_setaffinity(0, sizeof set, &set));                     // those that exist
    FAILS(sched_setaffinity(0x3fffffff, sizeof set, &set), ESRCH);
    FAILS(sched_getaffinity(0x3fffffff, sizeof set, &set), ESRCH);
    FAILS(syscall(SYS_sched_setaffinity, 0, sizeof set, unmapped_address()), EFAULT);
    FAILS(syscall(SYS_sched_getaffinity, 0, sizeof set, unmapped_address()), EFAULT);
    FAILS(syscall(SYS_sched_getaffinity, 0, 0, &set), EINVAL);      // too small
    FAILS(syscall(SYS_sched_getaffinity, 0, 9, &set), EINVAL);      // no multiple of a long
    long size = OK(syscall(SYS_sched_getaffinity, 0, sizeof set, &set));
    CHECK(size > 0 && size % 8 == 0 && size <= (long)sizeof set);   // the raw call answers the bytes
    pid_t root = CHILD({ pause(); });
    IN_CHILD({
        OK(setresuid(1000, 1000, 1000));
        FAILS(sched_setaffinity(root, sizeof set, &set), EPERM);
        OK(sched_getaffinity(root, sizeof set, &set));
    });
    OK(kill(root, SIGKILL));
    REAP_SIGNAL(root, SIGKILL);
}

CASE(getcpu_answers_cpu_and_node)
{
    unsigned cpu = 9999, node = 9999;
    OK(syscall(SYS_getcpu, &cpu, &node, NULL));
    CHECK(cpu < 9999 && node < 9999);
    OK(syscall(SYS_getcpu, NULL, NULL, NULL));
    FAILS(syscall(SYS_getcpu, unmapped_address(), NULL, NULL), EFAULT);
    FAILS(syscall(SYS_getcpu, NULL, unmapped_address(), NULL), EFAULT);
}

CASE(yield_lets_others_run)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    OK(sched_setaffinity(0, sizeof set, &set));
    volatile int *turns = shared_memory(2 * sizeof *turns);
    int64_t start = now_ns();
    pid_t child = CHILD({
        while (turns[0] < 1000)
        {
            if (turns[1] <= turns[0]) turns[1]++;
            sched_yield();
        }
    });
    while (turns[0] < 1000)
    {
        if (turns[0] < turns[1]) turns[0]++;
        EQUAL(sched_yield(), 0);
        CHECK(!passed_ms(start, 50000));
    }
    REAP_EXIT(child, 0);
}

CASE(real_time_task_keeps_the_cpu_from_others)
{
    // man 7 sched: a SCHED_FIFO task runs until it blocks, yields or a higher one comes. For 50 ms, far less than the real-time budget.
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    OK(sched_setaffinity(0, sizeof set, &set));
    volatile long *count = shared_memory(sizeof *count);
    pid_t child = CHILD({ for (;;) ++*count; });
    EVENTUALLY(*count > 0);
    OK(set_policy(0, SCHED_FIFO, 50));
    long before = *count;
    int64_t start = now_ns();
    while (!passed_ms(start, 50)) { }
    EQUAL(*count, before);
    OK(set_policy(0, SCHED_OTHER, 0));
    EVENTUALLY(*count > before);
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
}

CASE(higher_real_time_priority_preempts)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(0, &set);
    OK(sched_setaffinity(0, sizeof set, &set));
    volatile int *flag = shared_memory(sizeof *flag);
    OK(set_policy(0, SCHED_FIFO, 10));
    int ends[2];
    OK(pipe(ends));
    pid_t child = CHILD({
        OK(set_policy(0, SCHED_FIFO, 20));
        char byte;
        EQUAL(read(ends[0], &byte, 1), 1);
        *flag = 1;
    });
    // Two tasks of this class: the first may run at once only when this one sleeps.
    until_asleep(child);
    EQUAL(write(ends[1], "x", 1), 1);
    EQUAL(*flag, 1);                        // before write returned
    REAP_EXIT(child, 0);
}

#ifndef SCHED_DEADLINE
#define SCHED_DEADLINE 6
#endif

static struct scheduling_attributes deadline(uint64_t runtime, uint64_t deadline_ns, uint64_t period)
{
    return (struct scheduling_attributes){.size = 48, .policy = SCHED_DEADLINE, .runtime = runtime, .deadline = deadline_ns, .period = period};
}

CASE(deadline_policy_is_set_and_read)
{
    struct scheduling_attributes attributes = deadline(2000000, 20000000, 40000000);
    OK(sched_setattr(0, &attributes, 0));
    EQUAL(sched_getscheduler(0), SCHED_DEADLINE);
    memset(&attributes, 0, sizeof attributes);
    OK(sched_getattr(0, &attributes, sizeof attributes, 0));
    EQUAL(attributes.policy, SCHED_DEADLINE);
    EQUAL(attributes.runtime, 2000000);
    EQUAL(attributes.deadline, 20000000);
    EQUAL(attributes.period, 40000000);
    // man 7 sched: such a task cannot fork, unless the child is to be an ordinary one.
    FAILS(fork(), EAGAIN);
    EQUAL(sched_yield(), 0);
    attributes.flags = 1;
    OK(sched_setattr(0, &attributes, 0));
    IN_CHILD({ EQUAL(sched_getscheduler(0), SCHED_OTHER); });
    OK(set_policy(0, SCHED_OTHER, 0));
}

CASE(deadline_parameters_are_checked)
{
    struct scheduling_attributes attributes = deadline(20000000, 10000000, 40000000);
    FAILS(sched_setattr(0, &attributes, 0), EINVAL);            // runtime beyond deadline
    attributes = deadline(1000000, 50000000, 40000000);
    FAILS(sched_setattr(0, &attributes, 0), EINVAL);            // deadline beyond period
    attributes = deadline(100, 10000000, 40000000);
    FAILS(sched_setattr(0, &attributes, 0), EINVAL);            // runtime below 1024 ns
    attributes = deadline(0, 0, 0);
    FAILS(sched_setattr(0, &attributes, 0), EINVAL);
    attributes = deadline(1UL << 63, 1UL << 63, 1UL << 63);
    FAILS(sched_setattr(0, &attributes, 0), EINVAL);
    attributes = deadline(39900000, 40000000, 40000000);        // a whole CPU each: there are not so many
    pid_t children[65];
    int count = 0;
    bool refused = false;
    int *answer = shared_memory(4096);
    for (; count < 65 && !refused; count++)
    {
        answer[count] = -1;
        children[count] = CHILD({
            answer[count] = sched_setattr(0, &attributes, 0) == 0 ? 0 : errno;
            // Asleep: it takes no CPU time.
            for (;;) pause();
        });
        EVENTUALLY(answer[count] != -1);
        refused = answer[count] == EBUSY;
        CHECK_THAT(answer[count] == 0 || refused, "errno %d", answer[count]);
    }
    CHECK(refused);
    for (int i = 0; i < count; i++)
    {
        OK(kill(children[i], SIGKILL));
        REAP_SIGNAL(children[i], SIGKILL);
    }
    IN_CHILD({
        OK(setresuid(1000, 1000, 1000));
        attributes = deadline(2000000, 20000000, 40000000);
        FAILS(sched_setattr(0, &attributes, 0), EPERM);
    });
}
