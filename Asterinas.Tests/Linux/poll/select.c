// select and pselect6 (man 2 select).
#include "../common/scratch.h"

#include <sys/select.h>

CASE(select_tells_readable_and_writable)
{
    int a[2], b[2];
    OK(pipe(a));
    OK(pipe(b));
    EQUAL(write(a[1], "x", 1), 1);
    fd_set in, out;
    FD_ZERO(&in);
    FD_ZERO(&out);
    FD_SET(a[0], &in);
    FD_SET(b[0], &in);
    FD_SET(a[1], &out);
    FD_SET(b[1], &out);
    int top = b[1] + 1;
    EQUAL(select(top, &in, &out, NULL, NULL), 3);
    CHECK(FD_ISSET(a[0], &in) && !FD_ISSET(b[0], &in) && FD_ISSET(a[1], &out) && FD_ISSET(b[1], &out));
    OK(close(b[1]));
    FD_ZERO(&in);
    FD_SET(b[0], &in);
    EQUAL(select(b[0] + 1, &in, NULL, NULL, NULL), 1);      // end of file
}

CASE(select_looks_only_below_nfds)
{
    int ends[2];
    OK(pipe(ends));
    EQUAL(write(ends[1], "x", 1), 1);
    fd_set in;
    FD_ZERO(&in);
    FD_SET(ends[0], &in);
    struct timeval now = {0, 0};
    EQUAL(select(ends[0], &in, NULL, NULL, &now), 0);
}

CASE(select_waits_and_times_out)
{
    int ends[2];
    OK(pipe(ends));
    fd_set in;
    FD_ZERO(&in);
    FD_SET(ends[0], &in);
    struct timeval time = {0, 50000};
    int64_t start = now_ns();
    EQUAL(select(ends[0] + 1, &in, NULL, NULL, &time), 0);
    CHECK(passed_ms(start, 50));
    CHECK(!FD_ISSET(ends[0], &in));
    EQUAL(time.tv_sec, 0);
    EQUAL(time.tv_usec, 0);
    pid_t self = getpid();
    pid_t child = CHILD({ until_asleep(self); EQUAL(write(ends[1], "x", 1), 1); });
    FD_SET(ends[0], &in);
    time = (struct timeval){100, 0};
    EQUAL(select(ends[0] + 1, &in, NULL, NULL, &time), 1);
    CHECK(FD_ISSET(ends[0], &in) && time.tv_sec < 100 && time.tv_sec > 30);
    REAP_EXIT(child, 0);
    start = now_ns();
    time = (struct timeval){0, 30000};
    EQUAL(select(0, NULL, NULL, NULL, &time), 0);
    CHECK(passed_ms(start, 30));
}

CASE(select_errors)
{
    int ends[2];
    OK(pipe(ends));
    fd_set in;
    FD_ZERO(&in);
    FD_SET(ends[0], &in);
    // Descriptors beyond the table are not looked at (man 2 select, BUGS): 99 makes it large enough.
    EQUAL(dup2(ends[0], 99), 99);
    OK(close(99));
    FD_SET(99, &in);
    FAILS(select(100, &in, NULL, NULL, NULL), EBADF);
    FAILS(select(-1, &in, NULL, NULL, NULL), EINVAL);
    FD_CLR(99, &in);
    FAILS(select(100, &in, NULL, NULL, &(struct timeval){-1, 0}), EINVAL);
    FAILS(syscall(SYS_select, 100, unmapped_address(), NULL, NULL, NULL), EFAULT);
    FAILS(syscall(SYS_select, 100, &in, NULL, NULL, unmapped_address()), EFAULT);
}

CASE(select_is_interrupted_by_signals)
{
    int ends[2];
    OK(pipe(ends));
    count_signals(SIGUSR1);
    pid_t child = interrupter(SIGUSR1);
    fd_set in;
    FD_ZERO(&in);
    FD_SET(ends[0], &in);
    FAILS(select(ends[0] + 1, &in, NULL, NULL, NULL), EINTR);
    end_child(child);
}

CASE(pselect6_swaps_the_mask_and_keeps_the_time)
{
    int ends[2];
    OK(pipe(ends));
    count_signals(SIGUSR1);
    sigset_t blocked, none;
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, &blocked, NULL));
    OK(raise(SIGUSR1));
    fd_set in;
    FD_ZERO(&in);
    FD_SET(ends[0], &in);
    FAILS(pselect(ends[0] + 1, &in, NULL, NULL, NULL, &none), EINTR);
    EQUAL(signals_seen, 1);
    EQUAL(write(ends[1], "x", 1), 1);
    FD_SET(ends[0], &in);
    const struct timespec time = {1, 0};
    EQUAL(pselect(ends[0] + 1, &in, NULL, NULL, &time, &none), 1);
    FAILS(pselect(ends[0] + 1, &in, NULL, NULL, &(struct timespec){0, 1000000000}, NULL), EINVAL);
}

CASE(select_of_a_high_descriptor)
{
    int ends[2];
    OK(pipe(ends));
    EQUAL(dup2(ends[0], 1000), 1000);
    fd_set in;
    FD_ZERO(&in);
    FD_SET(1000, &in);
    EQUAL(select(1001, &in, NULL, NULL, &(struct timeval){0, 0}), 0);
    EQUAL(write(ends[1], "x", 1), 1);
    FD_SET(1000, &in);
    EQUAL(select(1001, &in, NULL, NULL, NULL), 1);
    CHECK(FD_ISSET(1000, &in));
}
