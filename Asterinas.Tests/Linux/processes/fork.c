// fork(2), vfork(2): what a child is, what it has from its parent and what it has not.
#include "../common/test.h"
#include <sys/time.h>
#include <sys/times.h>

CASE(fork_returns_zero_to_the_child_and_its_pid_to_the_parent)
{
    int *pid = shared_memory(sizeof *pid);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
    {
        *pid = getpid();
        _exit(0);
    }
    REAP_EXIT(child, 0);
    EQUAL(child, *pid);
}

CASE(raw_fork_call_returns_twice)
{
    pid_t child = syscall(SYS_fork);
    CHECK(child >= 0);
    if (child == 0) _exit(9);
    REAP_EXIT(child, 9);
}

CASE(child_has_a_pid_of_its_own_and_its_parents_pid_as_ppid)
{
    pid_t parent = getpid();
    IN_CHILD({
        CHECK(getpid() != parent);
        EQUAL(getppid(), parent);
    });
    EQUAL(getpid(), parent);
}

static int initialised = 17;

CASE(memory_is_copied_both_ways)
{
    volatile int on_stack = 1;
    int *on_heap = malloc(sizeof *on_heap);
    *on_heap = 2;
    int to_child[2], to_parent[2];
    OK(pipe(to_child));
    OK(pipe(to_parent));
    char byte;
    pid_t child = CHILD({
        on_stack = 10;
        *on_heap = 20;
        initialised = 30;
        EQUAL(write(to_parent[1], "x", 1), 1);
        EQUAL(read(to_child[0], &byte, 1), 1);
        EQUAL(on_stack, 10);
        EQUAL(*on_heap, 20);
        EQUAL(initialised, 30);
    });
    EQUAL(read(to_parent[0], &byte, 1), 1);
    EQUAL(on_stack, 1);
    EQUAL(*on_heap, 2);
    EQUAL(initialised, 17);
    on_stack = 100, *on_heap = 200, initialised = 300;
    EQUAL(write(to_child[1], "x", 1), 1);
    REAP_EXIT(child, 0);
    EQUAL(on_stack, 100);
    EQUAL(*on_heap, 200);
    EQUAL(initialised, 300);
}

CASE(registers_survive_fork)
{
    // Callee-saved registers and the vector registers are the same in both.
    unsigned long value = 0x1122334455667788;
    long result;
    unsigned long in_xmm, in_rbx;
    __asm__ volatile("mov %3, %%rbx\n\tmovq %3, %%xmm15\n\tmov %4, %%eax\n\tsyscall\n\tmov %%rbx, %2\n\tmovq %%xmm15, %1"
                     : "=&a"(result), "=&r"(in_xmm), "=&r"(in_rbx)
                     : "r"(value), "i"(SYS_fork)
                     : "rbx", "rcx", "r11", "xmm15", "memory");
    CHECK(result >= 0);
    if (result == 0) _exit(in_xmm == value && in_rbx == value ? 3 : 4);
    EQUAL(in_xmm, value);
    EQUAL(in_rbx, value);
    REAP_EXIT(result, 3);
}

CASE(descriptors_are_copies_that_share_the_offset)
{
    test_directory();
    write_text("file", "abcdefgh");
    int fd = OK(open("file", O_RDONLY));
    char text[4];
    IN_CHILD({
        EQUAL(read(fd, text, 3), 3);
        OK(close(fd));
    });
    EQUAL(read(fd, text, 3), 3);
    CHECK(memcmp(text, "def", 3) == 0);
}

CASE(closed_in_the_child_is_open_in_the_parent_and_the_reverse)
{
    int ends[2];
    OK(pipe(ends));
    pid_t child = CHILD({
        char byte;
        OK(close(ends[1]));
        EQUAL(read(ends[0], &byte, 1), 1);
        EQUAL(read(ends[0], &byte, 1), 0);
    });
    OK(close(ends[0]));
    EQUAL(write(ends[1], "x", 1), 1);
    OK(close(ends[1]));
    REAP_EXIT(child, 0);
}

CASE(pending_signals_are_not_inherited)
{
    sigset_t set;
    sigset_t pending;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    OK(kill(getpid(), SIGUSR1));
    IN_CHILD({
        OK(sigpending(&pending));
        CHECK(!sigismember(&pending, SIGUSR1));
    });
    OK(sigpending(&pending));
    CHECK(sigismember(&pending, SIGUSR1));
}

static void nothing(int number) { (void)number; }

CASE(signal_mask_and_dispositions_are_inherited)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGRTMAX);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    CHECK(signal(SIGUSR1, nothing) != SIG_ERR);
    CHECK(signal(SIGINT, SIG_IGN) != SIG_ERR);
    IN_CHILD({
        sigset_t now;
        OK(sigprocmask(SIG_BLOCK, NULL, &now));
        CHECK(sigismember(&now, SIGUSR2) && sigismember(&now, SIGRTMAX) && !sigismember(&now, SIGUSR1));
        struct sigaction action;
        OK(sigaction(SIGUSR1, NULL, &action));
        CHECK(action.sa_handler == nothing);
        OK(sigaction(SIGINT, NULL, &action));
        CHECK(action.sa_handler == SIG_IGN);
    });
}

CASE(alarms_and_timers_are_not_inherited)
{
    OK(alarm(1000));
    IN_CHILD({
        EQUAL(alarm(0), 0);
        struct itimerval timer;
        OK(getitimer(ITIMER_REAL, &timer));
        EQUAL(timer.it_value.tv_sec, 0);
    });
    CHECK(alarm(0) >= 900);
}

CASE(cpu_times_of_the_child_start_at_zero)
{
    while (clock_ns(CLOCK_PROCESS_CPUTIME_ID) < 1500000000) { }
    IN_CHILD({
        CHECK(clock_ns(CLOCK_PROCESS_CPUTIME_ID) < 1000000000);
        struct rusage usage;
        OK(getrusage(RUSAGE_CHILDREN, &usage));
        EQUAL(usage.ru_utime.tv_sec, 0);
        EQUAL(usage.ru_utime.tv_usec, 0);
    });
}

CASE(umask_directory_nice_and_limits_are_inherited)
{
    const char *directory = test_directory();
    umask(0137);
    OK(setpriority(PRIO_PROCESS, 0, 5));
    OK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){123, 456}));
    IN_CHILD({
        EQUAL(umask(0), 0137);
        char name[PATH_MAX];
        CHECK(getcwd(name, sizeof name) != NULL && strcmp(name, directory) == 0);
        EQUAL(getpriority(PRIO_PROCESS, 0), 5);
        struct rlimit limit;
        OK(getrlimit(RLIMIT_NOFILE, &limit));
        EQUAL(limit.rlim_cur, 123);
        EQUAL(limit.rlim_max, 456);
        OK(chdir("/"));
    });
    EQUAL(umask(0), 0137);
    char name[PATH_MAX];
    CHECK(getcwd(name, sizeof name) != NULL && strcmp(name, directory) == 0);
}

CASE(group_and_session_are_inherited)
{
    pid_t group = getpgrp(), session = getsid(0);
    IN_CHILD({
        EQUAL(getpgrp(), group);
        EQUAL(getsid(0), session);
    });
}

CASE(shared_mapping_stays_shared_and_private_mapping_becomes_copy)
{
    int *shared = shared_memory(4096);
    int *private = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(private != MAP_FAILED);
    *private = 1;
    IN_CHILD({ *shared = 5, *private = 5; });
    EQUAL(*shared, 5);
    EQUAL(*private, 1);
}

CASE(memory_locks_are_not_inherited)
{
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    OK(mlock(page, 4096));
    // man 2 fork: "the child does not inherit its parent's memory locks": with a limit of nothing it could not keep one.
    IN_CHILD({
        char text[4096];
        if (read_text("/proc/self/status", text, sizeof text) > 0) CHECK(strstr(text, "VmLck:\t       0 kB") != NULL);
    });
    OK(munlock(page, 4096));
}

CASE(hundred_children_have_distinct_pids_and_all_can_be_reaped)
{
    pid_t children[100];
    for (int i = 0; i < 100; i++) children[i] = CHILD({ _exit(i); });
    for (int i = 0; i < 100; i++)
    {
        for (int j = 0; j < i; j++) CHECK(children[i] != children[j]);
    }
    for (int i = 99; i >= 0; i--) REAP_EXIT(children[i], i);
    FAILS(waitpid(-1, NULL, 0), ECHILD);
}

CASE(chain_of_twenty_generations_returns_its_sum)
{
    int depth = 0;
    pid_t child;
    while (depth < 20 && (child = fork()) == 0) depth++;
    CHECK(child >= 0);
    if (depth == 20) _exit(1);
    int status;
    EQUAL(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status));
    if (depth > 0) _exit(WEXITSTATUS(status) + 1);
    EQUAL(WEXITSTATUS(status), 20);
}

CASE(vfork_child_runs_before_the_parent_goes_on_and_shares_its_memory)
{
    static volatile int value;
    int64_t start = now_ns();
    pid_t child = vfork();
    CHECK(child >= 0);
    if (child == 0)
    {
        struct timespec time = {0, 100000000};
        nanosleep(&time, NULL);
        value = 7;
        _exit(3);
    }
    CHECK(passed_ms(start, 100));
    EQUAL(value, 7);
    REAP_EXIT(child, 3);
}

ENTRY(sleeper)
{
    sleep_ms(300);
    return 4;
}

CASE(vfork_parent_goes_on_when_the_child_executes)
{
    int64_t start = now_ns();
    char *arguments[] = {"sleeper", "--entry", "sleeper", NULL};
    pid_t child = vfork();
    CHECK(child >= 0);
    if (child == 0)
    {
        execve(test_program, arguments, environ);
        _exit(99);
    }
    EQUAL(waitpid(child, NULL, WNOHANG), 0);
    REAP_EXIT(child, 4);
    CHECK(passed_ms(start, 300));
}

CASE(vfork_parent_goes_on_when_the_child_is_killed)
{
    static volatile int value;
    pid_t child = vfork();
    CHECK(child >= 0);
    if (child == 0)
    {
        value = 1;
        syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
        _exit(0);
    }
    EQUAL(value, 1);
    REAP_SIGNAL(child, SIGKILL);
}

CASE(vfork_child_has_descriptors_of_its_own)
{
    int ends[2];
    OK(pipe(ends));
    pid_t child = vfork();
    CHECK(child >= 0);
    if (child == 0)
    {
        close(ends[0]);
        close(ends[1]);
        _exit(0);
    }
    REAP_EXIT(child, 0);
    EQUAL(write(ends[1], "x", 1), 1);
}

static volatile sig_atomic_t signals_seen, signals_seen_by_child;

static void count_signal(int number)
{
    (void)number;
    signals_seen++;
}

CASE(vfork_parent_delays_its_signals)
{
    // man 2 vfork: signals sent to the parent arrive after the child releases its memory.
    struct sigaction action = {.sa_handler = count_signal};
    OK(sigaction(SIGUSR1, &action, NULL));
    pid_t parent = getpid();
    pid_t child = vfork();
    CHECK(child >= 0);
    if (child == 0)
    {
        syscall(SYS_kill, parent, SIGUSR1);
        struct timespec time = {0, 50000000};
        nanosleep(&time, NULL);
        signals_seen_by_child = signals_seen;
        _exit(0);
    }
    EQUAL(signals_seen_by_child, 0);
    EQUAL(signals_seen, 1);
    REAP_EXIT(child, 0);
}
