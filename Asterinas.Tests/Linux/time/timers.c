// Interval and POSIX timers: setitimer(2), alarm(2), timer_create(2), timer_settime(2), timer_getoverrun(2), timer_delete(2).
#include "../common/test.h"
#include <pthread.h>
#include <sys/time.h>

typedef int kernel_timer;

#define timer_create_raw(clock, event, id) syscall(SYS_timer_create, clock, event, id)
#define timer_settime_raw(id, flags, new, old) syscall(SYS_timer_settime, id, flags, new, old)
#define timer_gettime_raw(id, now) syscall(SYS_timer_gettime, id, now)
#define timer_getoverrun_raw(id) syscall(SYS_timer_getoverrun, id)
#define timer_delete_raw(id) syscall(SYS_timer_delete, id)

static volatile sig_atomic_t count;

static void counts(int number)
{
    (void)number;
    count++;
}

static void handle(int number)
{
    struct sigaction action = {.sa_handler = counts, .sa_flags = SA_RESTART};
    OK(sigaction(number, &action, NULL));
}

static sigset_t blocked(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    return set;
}

static struct itimerspec in_ms(long value, long interval)
{
    return (struct itimerspec){{interval / 1000, interval % 1000 * 1000000}, {value / 1000, value % 1000 * 1000000}};
}

static kernel_timer create(clockid_t clock, int number)
{
    kernel_timer timer;
    struct sigevent event = {.sigev_notify = number == 0 ? SIGEV_NONE : SIGEV_SIGNAL, .sigev_signo = number, .sigev_value.sival_int = 4711};
    OK(timer_create_raw(clock, &event, &timer));
    return timer;
}

CASE(alarm_sends_SIGALRM_once)
{
    handle(SIGALRM);
    int64_t start = now_ns();
    EQUAL(alarm(1), 0);
    EVENTUALLY(count == 1);
    CHECK(passed_ms(start, 1000));
    EQUAL(alarm(0), 0);
}

CASE(alarm_returns_the_seconds_left_and_replaces)
{
    EQUAL(alarm(100), 0);
    unsigned left = alarm(200);
    CHECK_THAT(left >= 80 && left <= 100, "%u", left);
    left = alarm(0);
    CHECK_THAT(left >= 180 && left <= 200, "%u", left);
    EQUAL(alarm(0), 0);
}

CASE(alarm_kills_by_default)
{
    pid_t child = CHILD({
        alarm(1);
        for (;;) pause();
    });
    REAP_SIGNAL(child, SIGALRM);
}

CASE(real_itimer_repeats)
{
    handle(SIGALRM);
    struct itimerval timer = {{0, 20000}, {0, 50000}}, old;
    int64_t start = now_ns();
    OK(setitimer(ITIMER_REAL, &timer, &old));
    EQUAL(old.it_value.tv_sec, 0);
    EVENTUALLY(count >= 5);
    CHECK(passed_ms(start, 50 + 4 * 20));
    OK(getitimer(ITIMER_REAL, &old));
    EQUAL(old.it_interval.tv_usec, 20000);
    CHECK(old.it_value.tv_usec <= 20000);
    memset(&timer, 0, sizeof timer);
    OK(setitimer(ITIMER_REAL, &timer, &old));
    EQUAL(old.it_interval.tv_usec, 20000);
    int last = count;
    sleep_ms(100);
    EQUAL(count, last);
}

CASE(alarm_and_real_itimer_are_one_timer)
{
    // man 2 alarm, NOTES.
    EQUAL(alarm(100), 0);
    struct itimerval timer;
    OK(getitimer(ITIMER_REAL, &timer));
    CHECK(timer.it_value.tv_sec >= 80);
    struct itimerval other = {{0, 0}, {50, 0}};
    OK(setitimer(ITIMER_REAL, &other, NULL));
    unsigned left = alarm(0);
    CHECK(left >= 40 && left <= 50);
}

CASE(virtual_itimer_counts_user_time_only)
{
    handle(SIGVTALRM);
    struct itimerval timer = {{0, 0}, {0, 100000}};
    int64_t start = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    OK(setitimer(ITIMER_VIRTUAL, &timer, NULL));
    sleep_ms(300);
    EQUAL(count, 0);
    while (count == 0) { }
    // Linux counts user time by ticks: no exact bound.
    CHECK(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - start >= 20000000);
}

CASE(profiling_itimer_counts_system_time_too)
{
    handle(SIGPROF);
    struct itimerval timer = {{0, 0}, {0, 100000}};
    OK(setitimer(ITIMER_PROF, &timer, NULL));
    int fd = OK(open("/dev/zero", O_RDONLY));
    static char bytes[1 << 18];
    int64_t start = now_ns();
    while (count == 0 && !passed_ms(start, 50000)) OK(read(fd, bytes, sizeof bytes));
    EQUAL(count, 1);
    CHECK(clock_ns(CLOCK_PROCESS_CPUTIME_ID) >= 20000000);
}

CASE(itimer_errors)
{
    struct itimerval timer = {{0, 0}, {0, 1000000}};
    FAILS(setitimer(ITIMER_REAL, &timer, NULL), EINVAL);
    timer.it_value.tv_usec = -1;
    FAILS(setitimer(ITIMER_REAL, &timer, NULL), EINVAL);
    timer.it_value.tv_usec = 0, timer.it_interval.tv_usec = 1000000;
    FAILS(setitimer(ITIMER_REAL, &timer, NULL), EINVAL);
    timer.it_interval.tv_usec = 0;
    FAILS(setitimer(9, &timer, NULL), EINVAL);
    FAILS(getitimer(9, &timer), EINVAL);
    FAILS(syscall(SYS_setitimer, ITIMER_REAL, unmapped_address(), NULL), EFAULT);
    FAILS(syscall(SYS_setitimer, ITIMER_REAL, &timer, unmapped_address()), EFAULT);
    FAILS(syscall(SYS_getitimer, ITIMER_REAL, unmapped_address()), EFAULT);
}

CASE(posix_timer_sends_its_signal_with_its_value)
{
    clockid_t clocks[] = {CLOCK_REALTIME, CLOCK_MONOTONIC, CLOCK_BOOTTIME};
    sigset_t set = blocked(SIGRTMIN);
    for (int i = 0; i < 3; i++)
    {
        kernel_timer timer = create(clocks[i], SIGRTMIN);
        struct itimerspec time = in_ms(60, 0);
        int64_t start = clock_ns(clocks[i]);
        OK(timer_settime_raw(timer, 0, &time, NULL));
        siginfo_t info;
        EQUAL(sigwaitinfo(&set, &info), SIGRTMIN);
        CHECK(clock_ns(clocks[i]) - start >= 60000000);
        EQUAL(info.si_code, SI_TIMER);
        EQUAL(info.si_value.sival_int, 4711);
        EQUAL(info.si_timerid, timer);
        EQUAL(info.si_overrun, 0);
        OK(timer_gettime_raw(timer, &time));
        EQUAL(time.it_value.tv_sec, 0);
        EQUAL(time.it_value.tv_nsec, 0);
        OK(timer_delete_raw(timer));
    }
}

CASE(absolute_time_and_time_in_the_past)
{
    sigset_t set = blocked(SIGRTMIN);
    kernel_timer timer = create(CLOCK_MONOTONIC, SIGRTMIN);
    int64_t until = clock_ns(CLOCK_MONOTONIC) + 80000000;
    struct itimerspec time = {{0, 0}, {until / 1000000000, until % 1000000000}};
    OK(timer_settime_raw(timer, TIMER_ABSTIME, &time, NULL));
    EQUAL(sigwaitinfo(&set, NULL), SIGRTMIN);
    CHECK(clock_ns(CLOCK_MONOTONIC) >= until);
    time.it_value = (struct timespec){0, 1};
    OK(timer_settime_raw(timer, TIMER_ABSTIME, &time, NULL));
    EQUAL(sigwaitinfo(&set, NULL), SIGRTMIN);               // at once
}

CASE(timer_is_read_and_replaced)
{
    // Not with SIGEV_NONE: Linux shows the old time of such a timer after it was disarmed.
    kernel_timer timer = create(CLOCK_MONOTONIC, SIGUSR1);
    struct itimerspec time = in_ms(100000, 7000), old;
    OK(timer_settime_raw(timer, 0, &time, &old));
    EQUAL(old.it_value.tv_sec, 0);
    OK(timer_gettime_raw(timer, &old));
    CHECK(old.it_value.tv_sec >= 80 && old.it_value.tv_sec < 100);
    EQUAL(old.it_interval.tv_sec, 7);
    struct itimerspec off = {{0, 0}, {0, 0}};
    OK(timer_settime_raw(timer, 0, &off, &old));
    CHECK(old.it_value.tv_sec >= 80);
    OK(timer_gettime_raw(timer, &old));
    EQUAL(old.it_value.tv_sec, 0);
}

CASE(timer_without_notification_still_runs)
{
    kernel_timer timer = create(CLOCK_MONOTONIC, 0);
    struct itimerspec time = in_ms(30, 0);
    OK(timer_settime_raw(timer, 0, &time, NULL));
    EVENTUALLY(({
        OK(timer_gettime_raw(timer, &time));
        time.it_value.tv_sec == 0 && time.it_value.tv_nsec == 0;
    }));
}

CASE(expirations_while_the_signal_is_pending_are_counted)
{
    sigset_t set = blocked(SIGRTMIN);
    kernel_timer timer = create(CLOCK_MONOTONIC, SIGRTMIN);
    struct itimerspec time = in_ms(10, 10);
    OK(timer_settime_raw(timer, 0, &time, NULL));
    sleep_ms(205);
    siginfo_t info;
    EQUAL(sigwaitinfo(&set, &info), SIGRTMIN);
    CHECK_THAT(info.si_overrun >= 18, "%d", info.si_overrun);
    EQUAL(timer_getoverrun_raw(timer), info.si_overrun);
    // One signal at a time is queued for a timer.
    time = in_ms(0, 0);
    OK(timer_settime_raw(timer, 0, &time, NULL));
    struct timespec now = {0, 0};
    int more = 0;
    while (sigtimedwait(&set, NULL, &now) == SIGRTMIN) more++;
    CHECK(more <= 1);
}

CASE(default_notification_is_SIGALRM_with_the_timers_id)
{
    sigset_t set = blocked(SIGALRM);
    kernel_timer timer;
    OK(timer_create_raw(CLOCK_MONOTONIC, NULL, &timer));
    struct itimerspec time = in_ms(10, 0);
    OK(timer_settime_raw(timer, 0, &time, NULL));
    siginfo_t info;
    EQUAL(sigwaitinfo(&set, &info), SIGALRM);
    EQUAL(info.si_value.sival_int, timer);
}

static volatile pid_t other_tid, handled_in;

static void notes_thread(int number)
{
    (void)number;
    handled_in = gettid();
}

static void *waits(void *unused)
{
    (void)unused;
    other_tid = gettid();
    while (handled_in == 0) sleep_ms(5);
    return NULL;
}

CASE(signal_can_be_sent_to_a_thread)
{
    struct sigaction action = {.sa_handler = notes_thread};
    OK(sigaction(SIGUSR1, &action, NULL));
    pthread_t thread;
    EQUAL(pthread_create(&thread, NULL, waits, NULL), 0);
    EVENTUALLY(other_tid != 0);
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1};
    *(int *)&event._sigev_un = other_tid;
    kernel_timer timer;
    OK(timer_create_raw(CLOCK_MONOTONIC, &event, &timer));
    struct itimerspec time = in_ms(20, 0);
    OK(timer_settime_raw(timer, 0, &time, NULL));
    EQUAL(pthread_join(thread, NULL), 0);
    EQUAL(handled_in, other_tid);
    *(int *)&event._sigev_un = getppid();
    FAILS(timer_create_raw(CLOCK_MONOTONIC, &event, &timer), EINVAL);
}

CASE(cpu_time_timers_count_cpu_time)
{
    clockid_t clocks[] = {CLOCK_PROCESS_CPUTIME_ID, CLOCK_THREAD_CPUTIME_ID};
    for (int i = 0; i < 2; i++)
    {
        handle(SIGUSR1);
        count = 0;
        kernel_timer timer = create(clocks[i], SIGUSR1);
        struct itimerspec time = in_ms(100, 0);
        int64_t start = clock_ns(clocks[i]);
        OK(timer_settime_raw(timer, 0, &time, NULL));
        sleep_ms(250);
        EQUAL(count, 0);
        while (count == 0) { }
        CHECK(clock_ns(clocks[i]) - start >= 100000000);
        OK(timer_delete_raw(timer));
    }
}

CASE(deleted_timer_does_not_fire)
{
    handle(SIGUSR1);
    kernel_timer timer = create(CLOCK_MONOTONIC, SIGUSR1);
    struct itimerspec time = in_ms(50, 0);
    OK(timer_settime_raw(timer, 0, &time, NULL));
    OK(timer_delete_raw(timer));
    FAILS(timer_delete_raw(timer), EINVAL);
    FAILS(timer_gettime_raw(timer, &time), EINVAL);
    sleep_ms(150);
    EQUAL(count, 0);
}

CASE(timers_are_not_inherited_by_fork)
{
    kernel_timer timer = create(CLOCK_MONOTONIC, 0);
    IN_CHILD({
        struct itimerspec time;
        FAILS(timer_gettime_raw(timer, &time), EINVAL);
        FAILS(timer_delete_raw(timer), EINVAL);
    });
    OK(timer_delete_raw(timer));
}

CASE(hundred_timers_all_fire)
{
    sigset_t set = blocked(SIGRTMIN + 1);
    kernel_timer timers[100];
    for (int i = 0; i < 100; i++)
    {
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN + 1, .sigev_value.sival_int = i};
        OK(timer_create_raw(i % 2 ? CLOCK_MONOTONIC : CLOCK_REALTIME, &event, &timers[i]));
        struct itimerspec time = in_ms(20 + i * 37 % 100, 0);
        OK(timer_settime_raw(timers[i], 0, &time, NULL));
    }
    bool seen[100] = {false};
    for (int i = 0; i < 100; i++)
    {
        siginfo_t info;
        EQUAL(sigwaitinfo(&set, &info), SIGRTMIN + 1);
        CHECK(info.si_value.sival_int >= 0 && info.si_value.sival_int < 100 && !seen[info.si_value.sival_int]);
        seen[info.si_value.sival_int] = true;
    }
    for (int i = 0; i < 100; i++) OK(timer_delete_raw(timers[i]));
}

CASE(posix_timer_errors)
{
    kernel_timer timer;
    struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGUSR1};
    FAILS(timer_create_raw(77, &event, &timer), EINVAL);
    FAILS(timer_create_raw(CLOCK_MONOTONIC, &event, unmapped_address()), EFAULT);
    FAILS(timer_create_raw(CLOCK_MONOTONIC, unmapped_address(), &timer), EFAULT);
    event.sigev_signo = 65;
    FAILS(timer_create_raw(CLOCK_MONOTONIC, &event, &timer), EINVAL);
    event.sigev_signo = SIGUSR1, event.sigev_notify = 99;
    FAILS(timer_create_raw(CLOCK_MONOTONIC, &event, &timer), EINVAL);
    FAILS(timer_create_raw(CLOCK_MONOTONIC_COARSE, NULL, &timer), EOPNOTSUPP);
    timer = create(CLOCK_MONOTONIC, 0);
    struct itimerspec time = {{0, 0}, {0, 1000000000}};
    FAILS(timer_settime_raw(timer, 0, &time, NULL), EINVAL);
    time.it_value.tv_nsec = -1;
    FAILS(timer_settime_raw(timer, 0, &time, NULL), EINVAL);
    FAILS(timer_settime_raw(timer, 0, NULL, NULL), EINVAL);
    FAILS(timer_settime_raw(timer, 0, unmapped_address(), NULL), EFAULT);
    time.it_value.tv_nsec = 0;
    FAILS(timer_settime_raw(timer, 0, &time, unmapped_address()), EFAULT);
    FAILS(timer_gettime_raw(timer, unmapped_address()), EFAULT);
    FAILS(timer_settime_raw(9999, 0, &time, NULL), EINVAL);
    FAILS(timer_gettime_raw(9999, &time), EINVAL);
    FAILS(timer_getoverrun_raw(9999), EINVAL);
    FAILS(timer_delete_raw(9999), EINVAL);
}

static volatile int thread_notified;

static void notify(union sigval value) { thread_notified = value.sival_int; }

CASE(library_timer_calls_a_function_in_a_thread)
{
    timer_t timer;
    struct sigevent event = {.sigev_notify = SIGEV_THREAD, .sigev_notify_function = notify, .sigev_value.sival_int = 5};
    OK(timer_create(CLOCK_MONOTONIC, &event, &timer));
    struct itimerspec time = in_ms(20, 0);
    OK(timer_settime(timer, 0, &time, NULL));
    EVENTUALLY(thread_notified == 5);
    OK(timer_delete(timer));
}
