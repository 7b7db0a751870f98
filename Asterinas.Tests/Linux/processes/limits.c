// getrlimit(2), setrlimit(2), prlimit(2): each limit and what reaching it does.
#include "../common/test.h"
#include <poll.h>
#include <sched.h>

#define LIMIT(resource, soft, hard) OK(setrlimit(resource, &(struct rlimit){soft, hard}))

CASE(all_limits_can_be_read_and_soft_is_at_most_hard)
{
    for (int i = 0; i < RLIM_NLIMITS; i++)
    {
        struct rlimit limit;
        OK(getrlimit(i, &limit));
        CHECK_THAT(limit.rlim_cur <= limit.rlim_max, "resource %d", i);
    }
}

CASE(limits_can_be_set_and_are_read_back)
{
    for (int i = 0; i < RLIM_NLIMITS; i++)
    {
        struct rlimit limit;
        OK(getrlimit(i, &limit));
        limit.rlim_cur = limit.rlim_max = limit.rlim_max > 1000000000 ? 1000000000 : limit.rlim_max;
        OK(setrlimit(i, &limit));
        struct rlimit now;
        OK(getrlimit(i, &now));
        EQUAL(now.rlim_cur, limit.rlim_cur);
        EQUAL(now.rlim_max, limit.rlim_max);
    }
}

CASE(bad_arguments)
{
    struct rlimit limit = {10, 5};
    FAILS(setrlimit(RLIMIT_NOFILE, &limit), EINVAL);            // soft beyond hard
    FAILS(getrlimit(RLIM_NLIMITS, &limit), EINVAL);
    FAILS(getrlimit(-1, &limit), EINVAL);
    limit.rlim_cur = 5;
    FAILS(setrlimit(RLIM_NLIMITS, &limit), EINVAL);
    FAILS(syscall(SYS_getrlimit, RLIMIT_CPU, unmapped_address()), EFAULT);
    FAILS(syscall(SYS_setrlimit, RLIMIT_CPU, unmapped_address()), EFAULT);
    FAILS(syscall(SYS_prlimit64, 0, RLIMIT_CPU, unmapped_address(), NULL), EFAULT);
    FAILS(syscall(SYS_prlimit64, 0, RLIMIT_CPU, NULL, unmapped_address()), EFAULT);
    FAILS(prlimit(0x3fffffff, RLIMIT_CPU, NULL, &limit), ESRCH);
}

CASE(a_user_can_lower_the_hard_limit_for_ever_and_move_the_soft_below_it)
{
    LIMIT(RLIMIT_NOFILE, 100, 200);
    OK(setresuid(1000, 1000, 1000));
    LIMIT(RLIMIT_NOFILE, 200, 200);
    LIMIT(RLIMIT_NOFILE, 0, 150);
    LIMIT(RLIMIT_NOFILE, 150, 150);
    FAILS(setrlimit(RLIMIT_NOFILE, &(struct rlimit){150, 151}), EPERM);
}

CASE(prlimit_sets_and_returns_the_old_limit_at_once)
{
    LIMIT(RLIMIT_NOFILE, 100, 200);
    struct rlimit new = {50, 150}, old;
    OK(prlimit(0, RLIMIT_NOFILE, &new, &old));
    EQUAL(old.rlim_cur, 100);
    EQUAL(old.rlim_max, 200);
    OK(prlimit(0, RLIMIT_NOFILE, NULL, &old));
    EQUAL(old.rlim_cur, 50);
    OK(prlimit(0, RLIMIT_NOFILE, &new, &new));
    OK(prlimit(0, RLIMIT_NOFILE, NULL, NULL));
}

CASE(prlimit_reaches_another_process_of_the_same_user)
{
    int *ready = shared_memory(sizeof *ready);
    pid_t child = CHILD({
        OK(setresgid(1000, 1000, 1000));
        OK(setresuid(1000, 1000, 1000));
        *ready = 1;
        EVENTUALLY(*ready == 2);
        struct rlimit limit;
        OK(getrlimit(RLIMIT_NOFILE, &limit));
        EQUAL(limit.rlim_cur, 77);
        EQUAL(limit.rlim_max, 78);
    });
    EVENTUALLY(*ready == 1);
    IN_CHILD({
        OK(setresgid(1000, 1000, 1000));
        OK(setresuid(1001, 1001, 1001));
        FAILS(prlimit(child, RLIMIT_NOFILE, &(struct rlimit){77, 78}, NULL), EPERM);
        FAILS(prlimit(child, RLIMIT_NOFILE, NULL, &(struct rlimit){77, 78}), EPERM);
    });
    IN_CHILD({
        OK(setresgid(1000, 1000, 1000));
        OK(setresuid(1000, 1000, 1000));
        OK(prlimit(child, RLIMIT_NOFILE, &(struct rlimit){77, 78}, NULL));
    });
    *ready = 2;
    REAP_EXIT(child, 0);
}

CASE(limits_are_those_of_the_process_and_its_children_have_copies)
{
    LIMIT(RLIMIT_NOFILE, 100, 200);
    IN_CHILD({
        struct rlimit limit;
        OK(getrlimit(RLIMIT_NOFILE, &limit));
        EQUAL(limit.rlim_cur, 100);
        LIMIT(RLIMIT_NOFILE, 50, 60);
    });
    struct rlimit limit;
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    EQUAL(limit.rlim_cur, 100);
}

CASE(nofile_limits_the_descriptor_number)
{
    LIMIT(RLIMIT_NOFILE, 20, 30);
    int fd, last = -1;
    while ((fd = open("/", O_RDONLY)) >= 0) last = fd;
    EQUAL(errno, EMFILE);
    EQUAL(last, 19);
    FAILS(dup(0), EMFILE);
    FAILS(fcntl(0, F_DUPFD, 20), EINVAL);
    FAILS(fcntl(0, F_DUPFD, 5), EMFILE);
    FAILS(dup2(0, 20), EBADF);
    int ends[2];
    FAILS(pipe(ends), EMFILE);
    OK(close(7));
    FAILS(pipe(ends), EMFILE);                      // one free number is not enough, and none is taken
    EQUAL(open("/", O_RDONLY), 7);
    LIMIT(RLIMIT_NOFILE, 10, 30);
    EQUAL(fcntl(15, F_GETFD), 0);                   // what is open stays open
    OK(close(15));
    FAILS(open("/", O_RDONLY), EMFILE);
}

CASE(nofile_limits_poll)
{
    struct pollfd list[20];
    memset(list, 0, sizeof list);
    for (int i = 0; i < 20; i++) list[i].fd = -1;
    LIMIT(RLIMIT_NOFILE, 10, 30);
    EQUAL(poll(list, 10, 0), 0);
    FAILS(poll(list, 11, 0), EINVAL);
}

CASE(fsize_raises_SIGXFSZ_and_is_EFBIG)
{
    test_directory();
    LIMIT(RLIMIT_FSIZE, 1000, RLIM_INFINITY);
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
    char bytes[1500] = {0};
    pid_t child = CHILD({
        EQUAL(pwrite(fd, bytes, 1000, 0), 1000);
        pwrite(fd, bytes, 1, 1000);
        _exit(1);
    });
    REAP_SIGNAL(child, SIGXFSZ);
    CHECK(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    EQUAL(pwrite(fd, bytes, 1500, 0), 1000);        // up to the limit
    FAILS(pwrite(fd, bytes, 1, 1000), EFBIG);
    FAILS(ftruncate(fd, 1001), EFBIG);
    OK(ftruncate(fd, 1000));
    FAILS(fallocate(fd, 0, 0, 1001), EFBIG);
}

CASE(cpu_raises_SIGXCPU_at_the_soft_and_SIGKILL_at_the_hard_limit)
{
    pid_t child = CHILD({
        LIMIT(RLIMIT_CPU, 1, 10);
        for (volatile long i = 0;; i++) { }
    });
    struct rusage usage;
    int status;
    EQUAL(wait4(child, &status, 0, &usage), child);
    EQUAL(status, SIGXCPU);
    CHECK((usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec >= 300000);    // counted by ticks
    child = CHILD({
        CHECK(signal(SIGXCPU, SIG_IGN) != SIG_ERR);
        LIMIT(RLIMIT_CPU, 1, 2);
        for (volatile long i = 0;; i++) { }
    });
    EQUAL(wait4(child, &status, 0, &usage), child);
    EQUAL(status, SIGKILL);
}

static volatile sig_atomic_t xcpu_count;

static void count_xcpu(int number)
{
    (void)number;
    xcpu_count++;
}

CASE_LIMIT(SIGXCPU_comes_each_second, 120)
{
    // man 2 getrlimit: "the process will be sent SIGXCPU once per second until it reaches the hard limit".
    pid_t child = CHILD({
        CHECK(signal(SIGXCPU, count_xcpu) != SIG_ERR);
        LIMIT(RLIMIT_CPU, 1, 30);
        while (xcpu_count < 3) { }
        int64_t time = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        CHECK(time >= 1000000000);
    });
    REAP_EXIT(child, 0);
}

CASE(as_limits_the_address_space)
{
    LIMIT(RLIMIT_AS, 256 << 20, RLIM_INFINITY);
    CHECK(mmap(NULL, 512 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == ENOMEM);
    char *area = mmap(NULL, 64 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(area != MAP_FAILED);
    CHECK(mremap(area, 64 << 20, 300 << 20, MREMAP_MAYMOVE) == MAP_FAILED && errno == ENOMEM);
    // Replacing costs nothing.
    CHECK(mmap(area, 64 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == area);
    char *heap = sbrk(0);
    EQUAL(syscall(SYS_brk, heap + (512 << 20)), (long)heap);
}

CASE(data_limits_the_heap_and_private_writable_memory)
{
    struct rlimit old;
    OK(getrlimit(RLIMIT_DATA, &old));
    LIMIT(RLIMIT_DATA, 32 << 20, old.rlim_max);
    char *heap = (char *)syscall(SYS_brk, 0);
    EQUAL(syscall(SYS_brk, heap + (64 << 20)), (long)heap);
    EQUAL(syscall(SYS_brk, heap + (1 << 20)), (long)heap + (1 << 20));
    CHECK(mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == ENOMEM);      // since Linux 4.7
    CHECK(mmap(NULL, 64 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    CHECK(mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
}

__attribute__((noinline)) static int use_stack(int kilobytes)
{
    volatile char bytes[1024];
    bytes[0] = kilobytes;
    return kilobytes == 0 ? bytes[0] : use_stack(kilobytes - 1) + bytes[0] - kilobytes % 256;
}

CASE(stack_limit_is_where_growth_ends)
{
    IN_CHILD({
        LIMIT(RLIMIT_STACK, 4 << 20, RLIM_INFINITY);
        use_stack(3000);
    });
    pid_t child = CHILD({
        LIMIT(RLIMIT_STACK, 1 << 20, RLIM_INFINITY);
        use_stack(3000);
    });
    REAP_SIGNAL(child, SIGSEGV);
}

CASE(memlock_limits_locked_memory)
{
    LIMIT(RLIMIT_MEMLOCK, 8 * 4096, 8 * 4096);
    char *pages = mmap(NULL, 16 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    OK(mlock(pages, 9 * 4096));                 // root may
    OK(munlock(pages, 9 * 4096));
    OK(setresuid(1000, 1000, 1000));
    FAILS(mlock(pages, 9 * 4096), ENOMEM);
    OK(mlock(pages, 8 * 4096));
    OK(mlock(pages, 4096));                     // locked already: counts once
    FAILS(mlock(pages + 8 * 4096, 1), ENOMEM);
    OK(munlock(pages, 4096));
    OK(mlock(pages + 8 * 4096, 1));
    CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED, -1, 0) == MAP_FAILED && errno == EAGAIN);
}

CASE(sigpending_limits_queued_signals)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    sigaddset(&set, SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    LIMIT(RLIMIT_SIGPENDING, 5, 5);
    OK(setresuid(23456, 23456, 23456));         // a user who has nothing queued elsewhere
    int sent = 0;
    while (sent < 100 && sigqueue(getpid(), SIGRTMIN, (union sigval){0}) == 0) sent++;
    EQUAL(errno, EAGAIN);
    EQUAL(sent, 5);
    OK(kill(getpid(), SIGUSR1));                // a standard signal gets through without its siginfo
    sigset_t pending;
    OK(sigpending(&pending));
    CHECK(sigismember(&pending, SIGUSR1));
    siginfo_t info;
    for (int i = 0; i < 5; i++) OK(sigtimedwait(&set, &info, &(struct timespec){0, 0}));
}

CASE(nice_limit_lets_a_user_raise_priority)
{
    // man 2 getrlimit: the ceiling is 20 - rlim_cur.
    if (setrlimit(RLIMIT_NICE, &(struct rlimit){25, 25}) == -1) SKIP("root may not raise limits here");
    OK(setresuid(1000, 1000, 1000));
    OK(setpriority(PRIO_PROCESS, 0, -5));
    FAILS(setpriority(PRIO_PROCESS, 0, -6), EACCES);
    OK(setpriority(PRIO_PROCESS, 0, 19));
    OK(setpriority(PRIO_PROCESS, 0, -5));
}

CASE(rtprio_limit_lets_a_user_be_real_time)
{
    if (setrlimit(RLIMIT_RTPRIO, &(struct rlimit){10, 10}) == -1) SKIP("root may not raise limits here");
    OK(setresuid(1000, 1000, 1000));
    OK(sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){10}));
    FAILS(sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){11}), EPERM);
    OK(sched_setscheduler(0, SCHED_OTHER, &(struct sched_param){0}));
}

CASE(msgqueue_and_locks_limits_are_only_kept)
{
    struct rlimit limit;
    LIMIT(RLIMIT_LOCKS, 5, 6);
    OK(getrlimit(RLIMIT_LOCKS, &limit));
    EQUAL(limit.rlim_cur, 5);
    LIMIT(RLIMIT_RSS, 5, 6);                    // no effect since Linux 2.4.30
    OK(getrlimit(RLIMIT_RSS, &limit));
    EQUAL(limit.rlim_max, 6);
    char *page = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    CHECK(page != MAP_FAILED);
}
