// timerfd (man 2 timerfd_create).
#include "../common/scratch.h"

#include <poll.h>
#include <sys/timerfd.h>

static struct itimerspec after_ms(long ms, long interval_ms)
{
    return (struct itimerspec){{interval_ms / 1000, interval_ms % 1000 * 1000000}, {ms / 1000, ms % 1000 * 1000000}};
}

static uint64_t take(int fd)
{
    uint64_t value;
    EQUAL(read(fd, &value, 8), 8);
    return value;
}

CASE(timerfd_expires_once)
{
    clockid_t clocks[] = {CLOCK_MONOTONIC, CLOCK_REALTIME, CLOCK_BOOTTIME};
    for (int i = 0; i < 3; i++)
    {
        int fd = OK(timerfd_create(clocks[i], TFD_CLOEXEC));
        EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
        struct itimerspec time = after_ms(30, 0);
        int64_t start = now_ns();
        OK(timerfd_settime(fd, 0, &time, NULL));
        EQUAL(take(fd), 1);
        CHECK(passed_ms(start, 30));
        OK(fcntl(fd, F_SETFL, O_NONBLOCK));
        uint64_t value;
        FAILS(read(fd, &value, 8), EAGAIN);
        OK(timerfd_gettime(fd, &time));
        EQUAL(time.it_value.tv_sec + time.it_value.tv_nsec, 0);
    }
}

CASE(timerfd_counts_the_expirations_of_an_interval)
{
    int fd = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    struct itimerspec time = after_ms(10, 10);
    int64_t start = now_ns();
    OK(timerfd_settime(fd, 0, &time, NULL));
    sleep_ms(100);
    uint64_t count = take(fd);
    int64_t passed = now_ns() - start;
    CHECK_THAT(count >= 9 && (int64_t)count <= passed / 10000000, "%llu in %lld ns", (unsigned long long)count, (long long)passed);
    // The next one is on its way; together they do not drift.
    struct pollfd poller = {fd, POLLIN, 0};
    EQUAL(poll(&poller, 1, 20000), 1);
    count += take(fd);
    CHECK((int64_t)count <= (now_ns() - start) / 10000000);
}

CASE(timerfd_TFD_TIMER_ABSTIME)
{
    int fd = OK(timerfd_create(CLOCK_MONOTONIC, 0));
    int64_t start = now_ns(), at = start + 30000000;
    struct itimerspec time = {.it_value = {at / 1000000000, at % 1000000000}};
    OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &time, NULL));
    EQUAL(take(fd), 1);
    CHECK(now_ns() >= at);
    // What is past expires at once.
    time.it_value = (struct timespec){0, 1};
    OK(timerfd_settime(fd, TFD_TIMER_ABSTIME, &time, NULL));
    EQUAL(take(fd), 1);
}

CASE(timerfd_settime_answers_the_old_setting_and_gettime_what_is_left)
{
    int fd = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK));
    struct itimerspec time = after_ms(100000, 7000), old;
    OK(timerfd_settime(fd, 0, &time, &old));
    EQUAL(old.it_value.tv_sec, 0);
    OK(timerfd_gettime(fd, &old));
    CHECK(old.it_value.tv_sec <= 100 && old.it_value.tv_sec > 50);
    EQUAL(old.it_interval.tv_sec, 7);
    time = after_ms(0, 0);
    OK(timerfd_settime(fd, 0, &time, &old));
    CHECK(old.it_value.tv_sec > 50);
    OK(timerfd_gettime(fd, &old));
    EQUAL(old.it_value.tv_sec, 0);
    // Setting it anew forgets what had expired.
    time = after_ms(1, 0);
    OK(timerfd_settime(fd, 0, &time, NULL));
    sleep_ms(20);
    time = after_ms(100000, 0);
    OK(timerfd_settime(fd, 0, &time, NULL));
    uint64_t value;
    FAILS(read(fd, &value, 8), EAGAIN);
}

CASE(timerfd_errors)
{
    int fd = OK(timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK)), ends[2];
    OK(pipe(ends));
    struct itimerspec time = after_ms(1, 0), bad = {.it_value = {0, 1000000000}};
    FAILS(timerfd_create(77, 0), EINVAL);
    FAILS(timerfd_create(CLOCK_PROCESS_CPUTIME_ID, 0), EINVAL);
    FAILS(timerfd_create(CLOCK_MONOTONIC, 0x40000000), EINVAL);
    FAILS(timerfd_settime(fd, 0x40, &time, NULL), EINVAL);
    FAILS(timerfd_settime(fd, 0, &bad, NULL), EINVAL);
    FAILS(timerfd_settime(ends[0], 0, &time, NULL), EINVAL);
    FAILS(timerfd_settime(999, 0, &time, NULL), EBADF);
    FAILS(timerfd_gettime(ends[0], &time), EINVAL);
    FAILS(timerfd_gettime(999, &time), EBADF);
    FAILS(syscall(SYS_timerfd_settime, fd, 0, unmapped_address(), NULL), EFAULT);
    FAILS(syscall(SYS_timerfd_gettime, fd, unmapped_address()), EFAULT);
    uint64_t value = 1;
    FAILS(write(fd, &value, 8), EINVAL);
    FAILS(read(fd, &value, 7), EINVAL);
}

CASE(timerfd_goes_on_in_a_child_and_wakes_poll)
{
    int fd = OK(timerfd_create(CLOCK_MONOTONIC, 0));
    struct itimerspec time = after_ms(50, 0);
    OK(timerfd_settime(fd, 0, &time, NULL));
    pid_t child = CHILD({
        struct pollfd poller = {fd, POLLIN, 0};
        EQUAL(poll(&poller, 1, -1), 1);
        EQUAL(poller.revents, POLLIN);
    });
    REAP_EXIT(child, 0);
    EQUAL(take(fd), 1);
}
