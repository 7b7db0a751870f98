// Real-time signals, queues and waiting for signals: signal(7), sigqueue(3), rt_sigqueueinfo(2), sigwaitinfo(2), sigsuspend(2).
#include "../common/test.h"
#include <pthread.h>

static volatile sig_atomic_t count, numbers[256], values[256];

static void records(int number, siginfo_t *info, void *context)
{
    (void)context;
    if (count < 256) numbers[count] = number, values[count] = info->si_value.sival_int;
    count++;
}

static sigset_t blocked(int first, int second)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, first);
    sigaddset(&set, second);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    return set;
}

static int queue(pid_t pid, int number, int value) { return sigqueue(pid, number, (union sigval){.sival_int = value}); }

static const struct timespec no_time;

CASE(real_time_signals_queue_in_order_with_their_values)
{
    sigset_t set = blocked(SIGRTMIN, SIGRTMIN + 1);
    for (int i = 0; i < 100; i++) OK(queue(getpid(), SIGRTMIN, i));
    for (int i = 0; i < 100; i++)
    {
        siginfo_t info;
        EQUAL(sigwaitinfo(&set, &info), SIGRTMIN);
        EQUAL(info.si_value.sival_int, i);
        EQUAL(info.si_code, SI_QUEUE);
    }
    FAILS(sigtimedwait(&set, NULL, &no_time), EAGAIN);
}

CASE(lower_real_time_numbers_are_delivered_first)
{
    sigset_t set = blocked(SIGRTMIN, SIGRTMIN + 7);
    for (int i = 0; i < 3; i++)
    {
        OK(queue(getpid(), SIGRTMIN + 7, 70 + i));
        OK(queue(getpid(), SIGRTMIN, i));
    }
    struct sigaction action = {.sa_sigaction = records, .sa_flags = SA_SIGINFO};
    sigfillset(&action.sa_mask);
    OK(sigaction(SIGRTMIN, &action, NULL));
    OK(sigaction(SIGRTMIN + 7, &action, NULL));
    OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
    EQUAL(count, 6);
    for (int i = 0; i < 3; i++)
    {
        EQUAL(numbers[i], SIGRTMIN);
        EQUAL(values[i], i);
        EQUAL(numbers[3 + i], SIGRTMIN + 7);
        EQUAL(values[3 + i], 70 + i);
    }
}

CASE(kill_of_a_real_time_signal_queues_too)
{
    sigset_t set = blocked(SIGRTMAX, SIGRTMAX);
    for (int i = 0; i < 5; i++) OK(kill(getpid(), SIGRTMAX));
    for (int i = 0; i < 5; i++) EQUAL(sigtimedwait(&set, NULL, &no_time), SIGRTMAX);
    FAILS(sigtimedwait(&set, NULL, &no_time), EAGAIN);
}

CASE(standard_signal_keeps_the_first_siginfo)
{
    sigset_t set = blocked(SIGUSR1, SIGUSR1);
    OK(queue(getpid(), SIGUSR1, 1));
    OK(queue(getpid(), SIGUSR1, 2));
    siginfo_t info;
    EQUAL(sigwaitinfo(&set, &info), SIGUSR1);
    EQUAL(info.si_value.sival_int, 1);
    FAILS(sigtimedwait(&set, NULL, &no_time), EAGAIN);
}

CASE(queue_to_another_process)
{
    int *ready = shared_memory(sizeof *ready);
    pid_t child = CHILD({
        sigset_t set = blocked(SIGRTMIN + 2, SIGUSR1);
        *ready = 1;
        for (int i = 0; i < 50; i++)
        {
            siginfo_t info;
            EQUAL(sigwaitinfo(&set, &info), SIGRTMIN + 2);
            EQUAL(info.si_value.sival_int, i * i);
            EQUAL(info.si_pid, getppid());
        }
    });
    EVENTUALLY(*ready);
    for (int i = 0; i < 50; i++) OK(queue(child, SIGRTMIN + 2, i * i));
    REAP_EXIT(child, 0);
}

CASE(sigqueue_errors)
{
    FAILS(queue(getpid(), 65, 0), EINVAL);
    FAILS(queue(getpid(), -1, 0), EINVAL);
    FAILS(queue(0x3fffffff, SIGUSR1, 0), ESRCH);
    OK(queue(getpid(), 0, 0));
    int *ready = shared_memory(sizeof *ready);
    pid_t child = CHILD({
        OK(setresuid(1000, 1000, 1000));
        *ready = 1;
        for (;;) pause();
    });
    EVENTUALLY(*ready);
    IN_CHILD({
        OK(setresuid(1001, 1001, 1001));
        FAILS(queue(child, SIGTERM, 0), EPERM);
    });
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
}

CASE(rt_sigqueueinfo_delivers_the_siginfo_as_given)
{
    sigset_t set = blocked(SIGUSR1, SIGRTMIN);
    siginfo_t info, got;
    memset(&info, 0, sizeof info);
    memset(&info, 0x5a, 48);                        // what the kernel has of it
    info.si_signo = 99;                             // overwritten by the number
    info.si_code = -77;
    OK(syscall(SYS_rt_sigqueueinfo, getpid(), SIGRTMIN, &info));
    EQUAL(syscall(SYS_rt_sigtimedwait, &set, &got, NULL, 8), SIGRTMIN);
    EQUAL(got.si_signo, SIGRTMIN);
    EQUAL(got.si_code, -77);
    EQUAL(got.si_pid, info.si_pid);
    EQUAL(got.si_uid, info.si_uid);
    CHECK(got.si_value.sival_ptr == info.si_value.sival_ptr);
}

CASE(rt_sigqueueinfo_cannot_imitate_the_kernel_to_others)
{
    // man 2 rt_sigqueueinfo, EPERM: si_code >= 0 or SI_TKILL, except to oneself.
    pid_t child = CHILD({ for (;;) pause(); });
    siginfo_t info = {.si_code = SI_USER};
    FAILS(syscall(SYS_rt_sigqueueinfo, child, SIGUSR1, &info), EPERM);
    info.si_code = SI_TKILL;
    FAILS(syscall(SYS_rt_sigqueueinfo, child, SIGUSR1, &info), EPERM);
    info.si_code = SEGV_MAPERR;
    FAILS(syscall(SYS_rt_tgsigqueueinfo, child, child, SIGUSR1, &info), EPERM);
    info.si_code = SI_QUEUE;
    OK(syscall(SYS_rt_sigqueueinfo, child, 0, &info));
    FAILS(syscall(SYS_rt_sigqueueinfo, child, SIGUSR1, unmapped_address()), EFAULT);
    FAILS(syscall(SYS_rt_sigqueueinfo, child, 65, &info), EINVAL);
    FAILS(syscall(SYS_rt_sigqueueinfo, 0x3fffffff, SIGUSR1, &info), ESRCH);
    FAILS(syscall(SYS_rt_tgsigqueueinfo, child, -1, SIGUSR1, &info), EINVAL);
    FAILS(syscall(SYS_rt_tgsigqueueinfo, child, getpid(), SIGUSR1, &info), ESRCH);
    OK(syscall(SYS_rt_tgsigqueueinfo, child, child, SIGUSR1, &info));
    REAP_SIGNAL(child, SIGUSR1);
    blocked(SIGUSR2, SIGUSR2);
    info.si_code = SI_KERNEL;
    OK(syscall(SYS_rt_sigqueueinfo, getpid(), SIGUSR2, &info));
}

CASE(sigtimedwait_returns_at_once_what_is_pending)
{
    sigset_t set = blocked(SIGUSR1, SIGUSR2);
    OK(kill(getpid(), SIGUSR2));
    EQUAL(sigtimedwait(&set, NULL, &no_time), SIGUSR2);
    sigset_t pending;
    OK(sigpending(&pending));
    CHECK(!sigismember(&pending, SIGUSR2));
}

CASE(sigtimedwait_times_out)
{
    sigset_t set = blocked(SIGUSR1, SIGUSR1);
    int64_t start = now_ns();
    struct timespec time = {0, 120000000};
    FAILS(sigtimedwait(&set, NULL, &time), EAGAIN);
    CHECK(passed_ms(start, 120));
}

CASE(sigtimedwait_wakes_for_a_signal)
{
    sigset_t set = blocked(SIGUSR1, SIGUSR1);
    pid_t parent = getpid();
    pid_t child = CHILD({
        until_asleep(parent);
        OK(kill(parent, SIGUSR1));
    });
    struct timespec time = {60, 0};
    siginfo_t info;
    EQUAL(sigtimedwait(&set, &info, &time), SIGUSR1);
    EQUAL(info.si_pid, child);
    REAP_EXIT(child, 0);
}

CASE(sigtimedwait_is_interrupted_by_another_signals_handler)
{
    sigset_t set = blocked(SIGUSR1, SIGUSR1);
    struct sigaction action = {.sa_sigaction = records, .sa_flags = SA_SIGINFO | SA_RESTART};
    OK(sigaction(SIGUSR2, &action, NULL));
    pid_t parent = getpid();
    pid_t child = CHILD({
        until_asleep(parent);
        OK(kill(parent, SIGUSR2));
    });
    FAILS(syscall(SYS_rt_sigtimedwait, &set, NULL, NULL, 8), EINTR);
    EQUAL(count, 1);
    REAP_EXIT(child, 0);
}

CASE(sigwaitinfo_takes_a_signal_whose_disposition_is_default_or_a_handler)
{
    sigset_t set = blocked(SIGTERM, SIGUSR1);
    struct sigaction action = {.sa_sigaction = records, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGUSR1, &action, NULL));
    OK(kill(getpid(), SIGTERM));
    OK(kill(getpid(), SIGUSR1));
    EQUAL(sigwaitinfo(&set, NULL), SIGUSR1);        // the lower number first
    EQUAL(sigwaitinfo(&set, NULL), SIGTERM);
    EQUAL(count, 0);
}

CASE(sigtimedwait_errors)
{
    sigset_t set = blocked(SIGUSR1, SIGUSR1);
    struct timespec bad = {0, 1000000000};
    FAILS(sigtimedwait(&set, NULL, &bad), EINVAL);
    bad.tv_nsec = -1;
    FAILS(sigtimedwait(&set, NULL, &bad), EINVAL);
    bad.tv_nsec = 0, bad.tv_sec = -1;
    FAILS(sigtimedwait(&set, NULL, &bad), EINVAL);
    FAILS(syscall(SYS_rt_sigtimedwait, unmapped_address(), NULL, NULL, 8), EFAULT);
    FAILS(syscall(SYS_rt_sigtimedwait, &set, NULL, unmapped_address(), 8), EFAULT);
    FAILS(syscall(SYS_rt_sigtimedwait, &set, NULL, NULL, 16), EINVAL);
    OK(kill(getpid(), SIGUSR1));
    FAILS(syscall(SYS_rt_sigtimedwait, &set, unmapped_address(), NULL, 8), EFAULT);
}

CASE(sigsuspend_waits_with_another_mask_and_restores_the_old_one)
{
    struct sigaction action = {.sa_sigaction = records, .sa_flags = SA_SIGINFO | SA_RESTART};
    OK(sigaction(SIGUSR1, &action, NULL));
    blocked(SIGUSR1, SIGUSR2);
    OK(kill(getpid(), SIGUSR1));
    EQUAL(count, 0);
    sigset_t none;
    sigemptyset(&none);
    FAILS(sigsuspend(&none), EINTR);
    EQUAL(count, 1);
    sigset_t now;
    OK(sigprocmask(SIG_BLOCK, NULL, &now));
    CHECK(sigismember(&now, SIGUSR1) && sigismember(&now, SIGUSR2));
}

static volatile sig_atomic_t mask_in_handler;

static void looks(int number)
{
    (void)number;
    sigset_t now;
    sigprocmask(SIG_BLOCK, NULL, &now);
    mask_in_handler = sigismember(&now, SIGUSR1) + 2 * sigismember(&now, SIGUSR2) + 4 * sigismember(&now, SIGHUP);
}

CASE(handler_during_sigsuspend_runs_with_the_temporary_mask)
{
    struct sigaction action = {.sa_handler = looks};
    OK(sigaction(SIGUSR1, &action, NULL));
    blocked(SIGUSR1, SIGUSR2);
    OK(kill(getpid(), SIGUSR1));
    sigset_t temporary;
    sigemptyset(&temporary);
    sigaddset(&temporary, SIGHUP);
    FAILS(sigsuspend(&temporary), EINTR);
    EQUAL(mask_in_handler, 1 + 4);                  // its own, and SIGHUP of the temporary mask; not SIGUSR2
}

CASE(sigsuspend_is_not_ended_by_ignored_signals)
{
    struct sigaction action = {.sa_sigaction = records, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGUSR1, &action, NULL));
    CHECK(signal(SIGUSR2, SIG_IGN) != SIG_ERR);
    pid_t parent = getpid();
    pid_t child = CHILD({
        until_asleep(parent);
        OK(kill(parent, SIGUSR2));
        sleep_ms(30);
        until_asleep(parent);
        OK(kill(parent, SIGUSR1));
    });
    sigset_t none;
    sigemptyset(&none);
    FAILS(sigsuspend(&none), EINTR);
    EQUAL(count, 1);
    REAP_EXIT(child, 0);
}

CASE(sigsuspend_errors)
{
    uint64_t set = 0;
    FAILS(syscall(SYS_rt_sigsuspend, unmapped_address(), 8), EFAULT);
    FAILS(syscall(SYS_rt_sigsuspend, &set, 4), EINVAL);
}

static volatile sig_atomic_t handled_by;

static void notes_thread(int number)
{
    (void)number;
    handled_by = gettid();
}

static void *has_it_unblocked(void *argument)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
    *(volatile pid_t *)argument = gettid();
    while (handled_by == 0) { }
    return NULL;
}

CASE(process_directed_signal_goes_to_a_thread_that_does_not_block_it)
{
    struct sigaction action = {.sa_handler = notes_thread};
    OK(sigaction(SIGUSR1, &action, NULL));
    blocked(SIGUSR1, SIGUSR1);
    volatile pid_t tid = 0;
    pthread_t thread;
    EQUAL(pthread_create(&thread, NULL, has_it_unblocked, (void *)&tid), 0);
    EVENTUALLY(tid != 0);
    OK(kill(getpid(), SIGUSR1));
    EQUAL(pthread_join(thread, NULL), 0);
    EQUAL(handled_by, tid);
}

static void *sees_pending(void *unused)
{
    (void)unused;
    sigset_t set;
    sigpending(&set);
    return (void *)(long)(sigismember(&set, SIGUSR1) + 2 * sigismember(&set, SIGUSR2));
}

CASE(thread_directed_signal_is_pending_for_that_thread_only)
{
    blocked(SIGUSR1, SIGUSR2);
    OK(kill(getpid(), SIGUSR1));
    EQUAL(pthread_kill(pthread_self(), SIGUSR2), 0);
    pthread_t thread;
    void *result;
    EQUAL(pthread_create(&thread, NULL, sees_pending, NULL), 0);
    EQUAL(pthread_join(thread, &result), 0);
    EQUAL((long)result, 1);
    sigset_t set;
    OK(sigpending(&set));
    CHECK(sigismember(&set, SIGUSR1) && sigismember(&set, SIGUSR2));
}

static void *waits_for_signal(void *set)
{
    int number;
    sigwait(set, &number);
    return (void *)(long)number;
}

CASE(one_of_several_threads_in_sigwait_gets_each_signal)
{
    sigset_t set = blocked(SIGUSR1, SIGRTMIN);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) EQUAL(pthread_create(&threads[i], NULL, waits_for_signal, &set), 0);
    for (int i = 0; i < 4; i++) OK(kill(getpid(), SIGRTMIN));
    for (int i = 0; i < 4; i++)
    {
        void *result;
        EQUAL(pthread_join(threads[i], &result), 0);
        EQUAL((long)result, SIGRTMIN);
    }
    FAILS(sigtimedwait(&set, NULL, &no_time), EAGAIN);
}

CASE(pending_counts_are_seen_in_proc)
{
    blocked(SIGUSR1, SIGRTMIN);
    OK(kill(getpid(), SIGUSR1));
    char text[4096];
    if (read_text("/proc/self/status", text, sizeof text) == -1) SKIP("no /proc");
    char *line = strstr(text, "ShdPnd:");
    CHECK(line != NULL);
    EQUAL(strtoull(line + 7, NULL, 16), 1ULL << (SIGUSR1 - 1));
    line = strstr(text, "SigBlk:");
    CHECK(line != NULL);
    EQUAL(strtoull(line + 7, NULL, 16), 1ULL << (SIGUSR1 - 1) | 1ULL << (SIGRTMIN - 1));
}
