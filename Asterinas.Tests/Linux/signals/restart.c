// Interrupted calls: signal(7), "Interruption of system calls and library functions by signal handlers": which restart with SA_RESTART, which never do.
#include "../common/test.h"
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/select.h>
#include <sys/time.h>
#include <sys/uio.h>

static volatile sig_atomic_t count;

static void counts(int number)
{
    (void)number;
    count++;
}

static void handle(int flags)
{
    struct sigaction action = {.sa_handler = counts, .sa_flags = flags};
    OK(sigaction(SIGUSR1, &action, NULL));
}

// A child that sends the signal once the caller sleeps, then does what follows when the caller sleeps again.
#define INTERRUPTER(...)                                                                                               \
    ({                                                                                                                 \
        pid_t target_ = getpid();                                                                                      \
        CHILD({                                                                                                        \
            until_asleep(target_);                                                                                     \
            OK(kill(target_, SIGUSR1));                                                                                \
            sleep_ms(30);                                                                                              \
            __VA_ARGS__                                                                                                \
        });                                                                                                            \
    })

CASE(read_of_a_pipe_is_interrupted)
{
    int ends[2];
    char byte;
    OK(pipe(ends));
    handle(0);
    pid_t child = INTERRUPTER({});
    FAILS(read(ends[0], &byte, 1), EINTR);
    EQUAL(count, 1);
    REAP_EXIT(child, 0);
}

CASE(read_of_a_pipe_is_restarted)
{
    int ends[2];
    char byte;
    OK(pipe(ends));
    handle(SA_RESTART);
    pid_t child = INTERRUPTER({
        until_asleep(target_);
        EQUAL(write(ends[1], "y", 1), 1);
    });
    EQUAL(read(ends[0], &byte, 1), 1);
    EQUAL(byte, 'y');
    EQUAL(count, 1);
    REAP_EXIT(child, 0);
}

CASE(readv_and_write_and_writev_are_restarted)
{
    int ends[2];
    OK(pipe(ends));
    handle(SA_RESTART);
    char byte;
    struct iovec vector = {&byte, 1};
    pid_t child = INTERRUPTER({ EQUAL(write(ends[1], "z", 1), 1); });
    EQUAL(readv(ends[0], &vector, 1), 1);
    EQUAL(byte, 'z');
    REAP_EXIT(child, 0);
    OK(fcntl(ends[1], F_SETFL, O_NONBLOCK));
    static char bytes[65536];
    while (write(ends[1], bytes, sizeof bytes) > 0) { }
    while (write(ends[1], bytes, 1) > 0) { }
    OK(fcntl(ends[1], F_SETFL, 0));
    child = INTERRUPTER({
        until_asleep(target_);
        EQUAL(read(ends[0], bytes, sizeof bytes), sizeof bytes);
    });
    EQUAL(write(ends[1], bytes, 4096), 4096);
    EQUAL(count, 2);
    REAP_EXIT(child, 0);
}

CASE(write_that_was_partly_done_returns_its_count)
{
    int ends[2];
    OK(pipe(ends));
    handle(0);
    static char bytes[1 << 20];
    pid_t child = INTERRUPTER({});
    ssize_t written = write(ends[1], bytes, sizeof bytes);
    EQUAL(written, 65536);                          // the pipe's capacity
    REAP_EXIT(child, 0);
    EQUAL(count, 1);
}

CASE(open_of_a_fifo_is_interrupted_and_restarted)
{
    test_directory();
    OK(mkfifo("fifo", 0600));
    handle(0);
    pid_t child = INTERRUPTER({});
    FAILS(open("fifo", O_RDONLY), EINTR);
    REAP_EXIT(child, 0);
    handle(SA_RESTART);
    child = INTERRUPTER({
        until_asleep(target_);
        int fd = OK(open("fifo", O_WRONLY));
        EQUAL(write(fd, "w", 1), 1);
    });
    int fd = OK(open("fifo", O_RDONLY));
    char byte;
    EQUAL(read(fd, &byte, 1), 1);
    REAP_EXIT(child, 0);
    EQUAL(count, 2);
}

CASE(locks_are_interrupted_and_restarted)
{
    test_directory();
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
    int *ready = shared_memory(sizeof *ready);
    pid_t holder = CHILD({
        int own = OK(open("file", O_RDWR));
        OK(flock(own, LOCK_EX));
        struct flock lock = {.l_type = F_WRLCK};
        OK(fcntl(own, F_SETLK, &lock));
        *ready = 1;
        for (;;) pause();
    });
    EVENTUALLY(*ready);
    handle(0);
    pid_t child = INTERRUPTER({});
    FAILS(flock(fd, LOCK_SH), EINTR);
    REAP_EXIT(child, 0);
    struct flock lock = {.l_type = F_RDLCK};
    child = INTERRUPTER({});
    FAILS(fcntl(fd, F_SETLKW, &lock), EINTR);
    REAP_EXIT(child, 0);
    handle(SA_RESTART);
    child = INTERRUPTER({
        until_asleep(target_);
        OK(kill(holder, SIGKILL));
    });
    OK(flock(fd, LOCK_SH));
    OK(fcntl(fd, F_SETLKW, &lock));
    REAP_SIGNAL(holder, SIGKILL);
    REAP_EXIT(child, 0);
    EQUAL(count, 3);
}

// These never restart, whatever SA_RESTART says.
CASE(poll_select_and_epoll_are_never_restarted)
{
    handle(SA_RESTART);
    int ends[2];
    OK(pipe(ends));
    struct pollfd entry = {ends[0], POLLIN, 0};
    pid_t child = INTERRUPTER({});
    FAILS(poll(&entry, 1, -1), EINTR);
    REAP_EXIT(child, 0);
    child = INTERRUPTER({});
    struct timespec time = {100, 0};
    FAILS(ppoll(&entry, 1, &time, NULL), EINTR);
    REAP_EXIT(child, 0);
    fd_set set;
    FD_ZERO(&set);
    FD_SET(ends[0], &set);
    child = INTERRUPTER({});
    FAILS(select(ends[0] + 1, &set, NULL, NULL, NULL), EINTR);
    REAP_EXIT(child, 0);
    int epoll = OK(epoll_create1(0));
    struct epoll_event event;
    child = INTERRUPTER({});
    FAILS(epoll_wait(epoll, &event, 1, -1), EINTR);
    REAP_EXIT(child, 0);
    EQUAL(count, 4);
}

CASE(ppoll_pselect_and_epoll_pwait_take_a_mask_for_the_wait)
{
    handle(0);
    sigset_t set, none, now;
    sigemptyset(&none);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    OK(raise(SIGUSR1));
    EQUAL(count, 0);
    struct pollfd entry = {-1, POLLIN, 0};
    FAILS(ppoll(&entry, 1, NULL, &none), EINTR);
    EQUAL(count, 1);
    OK(sigprocmask(SIG_BLOCK, NULL, &now));
    CHECK(sigismember(&now, SIGUSR1));
    OK(raise(SIGUSR1));
    FAILS(pselect(0, NULL, NULL, NULL, NULL, &none), EINTR);
    EQUAL(count, 2);
    OK(raise(SIGUSR1));
    int epoll = OK(epoll_create1(0));
    struct epoll_event event;
    FAILS(epoll_pwait(epoll, &event, 1, -1, &none), EINTR);
    EQUAL(count, 3);
    OK(sigprocmask(SIG_BLOCK, NULL, &now));
    CHECK(sigismember(&now, SIGUSR1));
    // A descriptor that is ready wins over a pending signal, which then waits for its unblocking.
    int event_fd = OK(eventfd(1, 0));
    entry.fd = event_fd;
    OK(raise(SIGUSR1));
    EQUAL(ppoll(&entry, 1, NULL, &none), 1);
}

CASE(sleeps_are_never_restarted_and_tell_what_is_left)
{
    handle(SA_RESTART);
    struct timespec time = {100, 0}, left = {0, 0};
    pid_t child = INTERRUPTER({});
    FAILS(nanosleep(&time, &left), EINTR);
    CHECK(left.tv_sec >= 60 && left.tv_sec < 100);
    REAP_EXIT(child, 0);
    child = INTERRUPTER({});
    left.tv_sec = 0;
    EQUAL(clock_nanosleep(CLOCK_MONOTONIC, 0, &time, &left), EINTR);
    CHECK(left.tv_sec >= 60 && left.tv_sec < 100);
    REAP_EXIT(child, 0);
    struct timespec until;
    OK(clock_gettime(CLOCK_MONOTONIC, &until));
    until.tv_sec += 100;
    left.tv_sec = 77;
    child = INTERRUPTER({});
    EQUAL(clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, &left), EINTR);
    EQUAL(left.tv_sec, 77);                         // not written for an absolute time
    REAP_EXIT(child, 0);
}

CASE(futex_wait_restarts_without_a_timeout_and_is_EINTR_with_a_signal_otherwise)
{
    // man 2 futex, EINTR; man 7 signal: "futex(2) FUTEX_WAIT (since Linux 2.6.22; beforehand, always failed with EINTR)" restarts.
    static int word;
    handle(0);
    pid_t child = INTERRUPTER({});
    FAILS(syscall(SYS_futex, &word, FUTEX_WAIT, 0, NULL, NULL, 0), EINTR);
    REAP_EXIT(child, 0);
    handle(SA_RESTART);
    int *shared = shared_memory(sizeof *shared);
    child = INTERRUPTER({
        until_asleep(target_);
        *shared = 1;
        EQUAL(syscall(SYS_futex, shared, FUTEX_WAKE, 1, NULL, NULL, 0), 1);
    });
    OK(syscall(SYS_futex, shared, FUTEX_WAIT, 0, NULL, NULL, 0));
    REAP_EXIT(child, 0);
    EQUAL(count, 2);
}

CASE(futex_wait_keeps_its_deadline_when_restarted)
{
    handle(SA_RESTART);
    static int word;
    struct timespec time = {0, 400000000};
    int64_t start = now_ns();
    pid_t child = INTERRUPTER({});
    long result = syscall(SYS_futex, &word, FUTEX_WAIT, 0, &time, NULL, 0);
    CHECK(result == -1 && (errno == ETIMEDOUT || errno == EINTR));
    if (errno == ETIMEDOUT)
    {
        CHECK(passed_ms(start, 400));
        CHECK(!passed_ms(start, 20000));
    }
    REAP_EXIT(child, 0);
}

CASE(stop_and_continue_do_not_interrupt_what_restarts)
{
    // man 7 signal, "Interruption of system calls by stop signals": some calls fail with EINTR after SIGCONT even without a handler; these do not.
    int ends[2];
    OK(pipe(ends));
    int *result = shared_memory(2 * sizeof *result);
    pid_t reader = CHILD({
        char byte;
        result[0] = read(ends[0], &byte, 1);
        struct timespec time = {0, 300000000};
        result[1] = nanosleep(&time, NULL);
        struct pollfd entry = {ends[0], POLLIN, 0};
        EQUAL(poll(&entry, 1, -1), 1);
        _exit(9);
    });
    for (int i = 0; i < 3; i++)
    {
        until_asleep(reader);
        OK(kill(reader, SIGSTOP));
        int status;
        EQUAL(waitpid(reader, &status, WUNTRACED), reader);
        OK(kill(reader, SIGCONT));
        EQUAL(waitpid(reader, &status, WCONTINUED), reader);
        if (i == 0) EQUAL(write(ends[1], "x", 1), 1);
        if (i == 1) sleep_ms(400);
    }
    until_asleep(reader);
    EQUAL(write(ends[1], "x", 1), 1);
    REAP_EXIT(reader, 9);
    EQUAL(result[0], 1);
    EQUAL(result[1], 0);
}

CASE(ignored_signal_does_not_interrupt)
{
    CHECK(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
    int ends[2];
    OK(pipe(ends));
    pid_t child = INTERRUPTER({
        until_asleep(target_);
        EQUAL(write(ends[1], "q", 1), 1);
    });
    struct pollfd entry = {ends[0], POLLIN, 0};
    EQUAL(poll(&entry, 1, -1), 1);
    REAP_EXIT(child, 0);
}

CASE(interrupted_select_leaves_what_is_left_of_the_timeout)
{
    handle(0);
    struct timeval time = {100, 0};
    pid_t child = INTERRUPTER({});
    FAILS(select(0, NULL, NULL, NULL, &time), EINTR);
    CHECK(time.tv_sec >= 60 && time.tv_sec < 100);
    REAP_EXIT(child, 0);
}

CASE(handler_that_comes_between_calls_restarts_nothing)
{
    // The signal arrives in user mode: rax may hold a value that looks like an internal restart code.
    handle(SA_RESTART);
    pid_t parent = getpid();
    pid_t child = CHILD({
        while (kill(parent, SIGUSR1) == 0) { }
    });
    while (count < 200)
    {
        for (long code = -520; code < -510; code++)
        {
            long value = code;
            __asm__ volatile("mov $3000, %%ecx\n1:\tdec %%ecx\n\tjnz 1b" : "+a"(value) : : "rcx", "cc", "memory");
            EQUAL(value, code);
        }
    }
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
}
