// Stopping and continuing: signal(7), SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGCONT and what they do to each other.
#include "../common/test.h"
#include <pthread.h>

static void nothing(int number) { (void)number; }

static void stops(pid_t pid)
{
    int status;
    EQUAL(waitpid(pid, &status, WUNTRACED), pid);
    CHECK_THAT(WIFSTOPPED(status), "%#x", status);
}

static void continues(pid_t pid)
{
    int status;
    OK(kill(pid, SIGCONT));
    EQUAL(waitpid(pid, &status, WCONTINUED), pid);
    CHECK(WIFCONTINUED(status));
}

CASE(stopped_process_does_not_run)
{
    volatile long *counter = shared_memory(sizeof *counter);
    pid_t child = CHILD({ for (;;) ++*counter; });
    EVENTUALLY(*counter > 0);
    OK(kill(child, SIGSTOP));
    stops(child);
    long value = *counter;
    sleep_ms(100);
    EQUAL(*counter, value);
    char state = task_state(child);
    if (state != 0) EQUAL(state, 'T');
    continues(child);
    EVENTUALLY(*counter > value);
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
}

static void *counts_up(void *counter)
{
    for (;;) ++*(volatile long *)counter;
    return NULL;
}

CASE(all_threads_of_a_process_stop)
{
    volatile long *counters = shared_memory(4096);
    pid_t child = CHILD({
        pthread_t thread;
        for (int i = 0; i < 3; i++) EQUAL(pthread_create(&thread, NULL, counts_up, (void *)&counters[i * 16]), 0);
        for (;;) pause();
    });
    for (int i = 0; i < 3; i++) EVENTUALLY(counters[i * 16] > 0);
    OK(kill(child, SIGSTOP));
    stops(child);
    long values[3];
    for (int i = 0; i < 3; i++) values[i] = counters[i * 16];
    sleep_ms(100);
    for (int i = 0; i < 3; i++) EQUAL(counters[i * 16], values[i]);
    continues(child);
    for (int i = 0; i < 3; i++) EVENTUALLY(counters[i * 16] > values[i]);
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
}

CASE(handler_of_a_stop_signal_runs_instead_of_the_stop)
{
    int *seen = shared_memory(sizeof *seen);
    pid_t child = CHILD({
        CHECK(signal(SIGTSTP, nothing) != SIG_ERR);
        *seen = 1;
        pause();
        _exit(7);
    });
    EVENTUALLY(*seen);
    until_asleep(child);
    OK(kill(child, SIGTSTP));
    REAP_EXIT(child, 7);
}

CASE(blocked_stop_signal_stops_when_unblocked)
{
    int *seen = shared_memory(sizeof *seen);
    pid_t child = CHILD({
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTSTP);
        OK(sigprocmask(SIG_BLOCK, &set, NULL));
        OK(raise(SIGTSTP));
        *seen = 1;
        OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
        *seen = 2;
        for (;;) pause();
    });
    stops(child);
    EQUAL(*seen, 1);
    continues(child);
    EVENTUALLY(*seen == 2);
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
}

CASE(continue_discards_pending_stops_and_the_reverse)
{
    sigset_t set, pending;
    sigemptyset(&set);
    sigaddset(&set, SIGTSTP);
    sigaddset(&set, SIGTTIN);
    sigaddset(&set, SIGCONT);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    OK(raise(SIGTSTP));
    OK(raise(SIGTTIN));
    OK(sigpending(&pending));
    CHECK(sigismember(&pending, SIGTSTP) && sigismember(&pending, SIGTTIN));
    CHECK(signal(SIGCONT, nothing) != SIG_ERR);
    OK(raise(SIGCONT));
    OK(sigpending(&pending));
    CHECK(!sigismember(&pending, SIGTSTP) && !sigismember(&pending, SIGTTIN) && sigismember(&pending, SIGCONT));
    OK(raise(SIGTSTP));
    OK(sigpending(&pending));
    CHECK(sigismember(&pending, SIGTSTP) && !sigismember(&pending, SIGCONT));
}

CASE(continue_wakes_even_when_it_is_blocked_or_ignored)
{
    volatile int *step = shared_memory(sizeof *step);
    pid_t child = CHILD({
        CHECK(signal(SIGCONT, SIG_IGN) != SIG_ERR);
        raise(SIGSTOP);
        *step = 1;
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGCONT);
        CHECK(signal(SIGCONT, nothing) != SIG_ERR);
        OK(sigprocmask(SIG_BLOCK, &set, NULL));
        raise(SIGSTOP);
        OK(sigpending(&set));
        CHECK(sigismember(&set, SIGCONT));
        *step = 2;
        _exit(0);
    });
    stops(child);
    EQUAL(*step, 0);
    OK(kill(child, SIGCONT));
    EVENTUALLY(*step == 1);
    stops(child);
    OK(kill(child, SIGCONT));
    REAP_EXIT(child, 0);
    EQUAL(*step, 2);
}

static volatile sig_atomic_t continued;

static void notes(int number)
{
    (void)number;
    continued = 1;
}

CASE(handler_of_continue_runs_after_the_stop)
{
    pid_t child = CHILD({
        CHECK(signal(SIGCONT, notes) != SIG_ERR);
        raise(SIGSTOP);
        while (!continued) sleep_ms(1);
        _exit(4);
    });
    stops(child);
    OK(kill(child, SIGCONT));
    REAP_EXIT(child, 4);
}

CASE(signals_to_a_stopped_process_wait_until_it_continues)
{
    pid_t child = CHILD({
        raise(SIGSTOP);
        for (;;) pause();
    });
    stops(child);
    OK(kill(child, SIGTERM));
    sleep_ms(50);
    EQUAL(waitpid(child, NULL, WNOHANG), 0);
    OK(kill(child, SIGCONT));
    REAP_SIGNAL(child, SIGTERM);
}

CASE(stop_twice_is_reported_once_each_time_it_takes_effect)
{
    pid_t child = CHILD({ for (;;) pause(); });
    for (int i = 0; i < 20; i++)
    {
        OK(kill(child, SIGSTOP));
        OK(kill(child, SIGSTOP));
        stops(child);
        EQUAL(waitpid(child, NULL, WUNTRACED | WNOHANG), 0);
        continues(child);
    }
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
}

CASE(process_group_is_stopped_and_continued_as_a_whole)
{
    pid_t members[3];
    for (int i = 0; i < 3; i++)
    {
        members[i] = CHILD({ for (;;) pause(); });
        OK(setpgid(members[i], members[0]));
    }
    OK(kill(-members[0], SIGTSTP));
    for (int i = 0; i < 3; i++) stops(members[i]);
    OK(kill(-members[0], SIGCONT));
    for (int i = 0; i < 3; i++)
    {
        int status;
        EQUAL(waitpid(members[i], &status, WCONTINUED), members[i]);
    }
    OK(kill(-members[0], SIGKILL));
    for (int i = 0; i < 3; i++) REAP_SIGNAL(members[i], SIGKILL);
}

CASE(stop_and_continue_race_leaves_the_process_running)
{
    volatile long *counter = shared_memory(sizeof *counter);
    pid_t child = CHILD({ for (;;) ++*counter; });
    for (int i = 0; i < 2000; i++)
    {
        OK(kill(child, SIGSTOP));
        OK(kill(child, SIGCONT));
    }
    long value = *counter;
    EVENTUALLY(*counter > value);
    OK(kill(child, SIGKILL));
    int status;
    do EQUAL(waitpid(child, &status, 0), child);
    while (!WIFSIGNALED(status));
}

CASE(sleep_goes_on_while_stopped)
{
    // The deadline does not move: nanosleep measures time, not running.
    pid_t child = CHILD({
        int64_t start = now_ns();
        struct timespec time = {0, 200000000};
        OK(nanosleep(&time, NULL));
        CHECK(passed_ms(start, 200));
    });
    until_asleep(child);
    OK(kill(child, SIGSTOP));
    stops(child);
    sleep_ms(300);
    OK(kill(child, SIGCONT));
    REAP_EXIT(child, 0);
}
