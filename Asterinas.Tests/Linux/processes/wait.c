// wait4(2), waitid(2): what is reported of whom, once, and what the options change.
#include "../common/test.h"

static void nothing(int number) { (void)number; }

static int wait_errno(pid_t pid, int options)
{
    int status;
    return waitpid(pid, &status, options) == -1 ? errno : 0;
}

CASE(exit_code_is_the_low_byte)
{
    REAP_EXIT(CHILD({ _exit(0x1234); }), 0x34);
    REAP_EXIT(CHILD({ _exit(-1); }), 255);
    REAP_EXIT(CHILD({ syscall(SYS_exit_group, 256); }), 0);
}

CASE(status_word_of_an_exit)
{
    int status = -1;
    pid_t child = CHILD({ _exit(5); });
    EQUAL(waitpid(child, &status, 0), child);
    EQUAL(status, 5 << 8);
}

CASE(status_word_of_a_death_by_signal)
{
    int status = -1;
    pid_t child = CHILD({ pause(); });
    OK(kill(child, SIGTERM));
    EQUAL(waitpid(child, &status, 0), child);
    EQUAL(status, SIGTERM);
}

CASE(core_flag_is_clear_when_cores_are_limited_to_nothing)
{
    int status = -1;
    pid_t child = CHILD({
        OK(setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}));
        abort();
    });
    EQUAL(waitpid(child, &status, 0), child);
    EQUAL(status, SIGABRT);
}

CASE(death_by_each_signal_that_kills_is_reported)
{
    for (int number = 1; number <= 64; number++)
    {
        if (number == SIGCHLD || number == SIGCONT || number == SIGSTOP || number == SIGTSTP || number == SIGTTIN || number == SIGTTOU || number == SIGURG ||
            number == SIGWINCH)
        {
            continue;
        }
        pid_t child = CHILD({
            syscall(SYS_rt_sigaction, number, &(struct sigaction){.sa_handler = SIG_DFL}, NULL, 8);
            for (;;) pause();
        });
        OK(kill(child, number));
        int status = -1;
        EQUAL(waitpid(child, &status, 0), child);
        CHECK_THAT((status & 0x7f) == number, "signal %d: status %#x", number, status);
    }
}

CASE(without_children_it_is_ECHILD)
{
    FAILS(waitpid(-1, NULL, 0), ECHILD);
    FAILS(waitpid(-1, NULL, WNOHANG), ECHILD);
    FAILS(waitpid(0, NULL, 0), ECHILD);
    siginfo_t info;
    FAILS(waitid(P_ALL, 0, &info, WEXITED), ECHILD);
    FAILS(waitid(P_ALL, 0, &info, WEXITED | WNOHANG), ECHILD);
}

CASE(a_process_that_is_no_child_is_ECHILD)
{
    FAILS(waitpid(getppid(), NULL, 0), ECHILD);
    FAILS(waitpid(getpid(), NULL, 0), ECHILD);
    FAILS(waitpid(0x3fffffff, NULL, 0), ECHILD);
    pid_t child = CHILD({
        pid_t grandchild = CHILD({ sleep_ms(300); });
        _exit(grandchild > 0 ? 0 : 1);
    });
    REAP_EXIT(child, 0);
    FAILS(waitpid(-1, NULL, 0), ECHILD);        // the grandchild is not ours
}

CASE(unknown_options_are_EINVAL)
{
    pid_t child = CHILD({ pause(); });
    FAILS(waitpid(child, NULL, 0x100), EINVAL);
    FAILS(waitpid(child, NULL, WEXITED), EINVAL);       // waitid's only
    FAILS(waitpid(child, NULL, WNOWAIT), EINVAL);
    siginfo_t info;
    FAILS(waitid(P_PID, child, &info, 0), EINVAL);      // none of WEXITED, WSTOPPED, WCONTINUED
    FAILS(waitid(P_PID, child, &info, WNOHANG), EINVAL);
    FAILS(waitid(P_PID, child, &info, WEXITED | 0x100), EINVAL);
    FAILS(waitid(P_PID, 0, &info, WEXITED), EINVAL);
    FAILS(waitid(P_PID, -1, &info, WEXITED), EINVAL);
    FAILS(waitid(P_PGID, -1, &info, WEXITED), EINVAL);
    FAILS(waitid((idtype_t)99, child, &info, WEXITED), EINVAL);
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
}

CASE(the_pid_that_has_no_negative_is_ESRCH) { FAILS(waitpid(INT_MIN, NULL, 0), ESRCH); }

CASE(bad_status_pointer_is_EFAULT)
{
    int *bad = unmapped_address();
    pid_t child = CHILD({ _exit(3); });
    FAILS(waitpid(child, bad, 0), EFAULT);
    // The child has been reaped all the same: the status is copied last.
    EQUAL(wait_errno(child, 0), ECHILD);
    child = CHILD({ _exit(3); });
    FAILS(syscall(SYS_wait4, child, NULL, 0, bad), EFAULT);
    child = CHILD({ _exit(3); });
    FAILS(syscall(SYS_waitid, P_PID, child, bad, WEXITED, NULL), EFAULT);
}

CASE(null_status_is_not_written)
{
    pid_t child = CHILD({ _exit(3); });
    EQUAL(waitpid(child, NULL, 0), child);
}

CASE(wnohang_returns_zero_while_the_child_runs)
{
    pid_t child = CHILD({ pause(); });
    int status = 0x5a5a;
    EQUAL(waitpid(child, &status, WNOHANG), 0);
    EQUAL(status, 0x5a5a);
    EQUAL(waitpid(-1, &status, WNOHANG), 0);
    OK(kill(child, SIGKILL));
    EVENTUALLY(waitpid(child, &status, WNOHANG) == child);
    EQUAL(status, SIGKILL);
    EQUAL(wait_errno(child, WNOHANG), ECHILD);
}

CASE(wait_blocks_until_the_child_ends)
{
    int64_t start = now_ns();
    pid_t child = CHILD({ sleep_ms(150); });
    REAP_EXIT(child, 0);
    CHECK(passed_ms(start, 150));
}

CASE(a_zombie_can_be_reaped_once_only)
{
    pid_t child = CHILD({});
    REAP_EXIT(child, 0);
    EQUAL(wait_errno(child, 0), ECHILD);
}

CASE(a_zombie_still_has_its_pid)
{
    pid_t child = CHILD({});
    siginfo_t info;
    OK(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
    OK(kill(child, 0));
    OK(kill(child, SIGKILL));                       // to no effect
    EQUAL(getpgid(child), getpgrp());
    REAP_EXIT(child, 0);
    FAILS(kill(child, 0), ESRCH);
    FAILS(getpgid(child), ESRCH);
}

CASE(wait_for_any_gets_all_in_whatever_order)
{
    bool seen[10] = {false};
    for (int i = 0; i < 10; i++) CHILD({ _exit(i); });
    for (int i = 0; i < 10; i++)
    {
        int status;
        CHECK(waitpid(-1, &status, 0) > 0);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) < 10 && !seen[WEXITSTATUS(status)]);
        seen[WEXITSTATUS(status)] = true;
    }
    FAILS(waitpid(-1, NULL, 0), ECHILD);
}

CASE(wait_for_a_pid_leaves_the_others)
{
    pid_t first = CHILD({ _exit(1); }), second = CHILD({ _exit(2); });
    REAP_EXIT(second, 2);
    REAP_EXIT(first, 1);
}

CASE(wait_for_a_process_group)
{
    int *ready = shared_memory(sizeof *ready);
    pid_t other = CHILD({
        OK(setpgid(0, 0));
        *ready = 1;
        pause();
    });
    EVENTUALLY(*ready);
    pid_t same = CHILD({ _exit(6); });
    int status;
    EQUAL(waitpid(0, &status, 0), same);                // our own group
    EQUAL(WEXITSTATUS(status), 6);
    EQUAL(wait_errno(0, 0), ECHILD);
    EQUAL(wait_errno(-getpgrp(), 0), ECHILD);
    EQUAL(waitpid(-other, &status, WNOHANG), 0);
    OK(kill(other, SIGKILL));
    EQUAL(waitpid(-other, &status, 0), other);
    EQUAL(status, SIGKILL);
    siginfo_t info;
    FAILS(waitid(P_PGID, other, &info, WEXITED), ECHILD);
}

CASE(waitid_with_group_zero_means_the_callers)
{
    pid_t child = CHILD({ _exit(1); });
    siginfo_t info = {0};
    OK(waitid(P_PGID, 0, &info, WEXITED));          // since Linux 5.4
    EQUAL(info.si_pid, child);
}

CASE(group_of_a_child_is_looked_at_when_it_ends)
{
    // A waiter for a group also gets a child that joined it after the wait began.
    int *stage = shared_memory(sizeof *stage);
    pid_t leader = CHILD({
        OK(setpgid(0, 0));
        pause();
    });
    EVENTUALLY(getpgid(leader) == leader);
    pid_t joiner = CHILD({
        sleep_ms(100);
        OK(setpgid(0, leader));
        *stage = 1;
        _exit(4);
    });
    int status;
    EQUAL(waitpid(-leader, &status, 0), joiner);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 4);
    OK(kill(leader, SIGKILL));
    REAP_SIGNAL(leader, SIGKILL);
}

CASE(stop_and_continue_are_reported_on_request)
{
    pid_t child = CHILD({ for (;;) pause(); });
    int status;
    OK(kill(child, SIGSTOP));
    EQUAL(waitpid(child, &status, WUNTRACED), child);
    CHECK(WIFSTOPPED(status));
    EQUAL(WSTOPSIG(status), SIGSTOP);
    EQUAL(status, SIGSTOP << 8 | 0x7f);
    EQUAL(waitpid(child, &status, WUNTRACED | WNOHANG), 0);    // once
    OK(kill(child, SIGCONT));
    EQUAL(waitpid(child, &status, WCONTINUED), child);
    CHECK(WIFCONTINUED(status));
    EQUAL(status, 0xffff);
    EQUAL(waitpid(child, &status, WCONTINUED | WNOHANG), 0);
    OK(kill(child, SIGKILL));
    EQUAL(waitpid(child, &status, WUNTRACED | WCONTINUED), child);
    EQUAL(status, SIGKILL);
}

CASE(stop_is_not_reported_without_WUNTRACED)
{
    pid_t child = CHILD({ for (;;) pause(); });
    int status;
    OK(kill(child, SIGSTOP));
    siginfo_t info;
    OK(waitid(P_PID, child, &info, WSTOPPED | WNOWAIT));
    EQUAL(waitpid(child, &status, WNOHANG), 0);
    EQUAL(waitpid(child, &status, WNOHANG | WCONTINUED), 0);
    OK(kill(child, SIGKILL));
    EQUAL(waitpid(child, &status, 0), child);
}

CASE(a_stop_that_ended_before_the_wait_is_not_reported)
{
    pid_t child = CHILD({ for (;;) pause(); });
    siginfo_t info;
    OK(kill(child, SIGSTOP));
    OK(waitid(P_PID, child, &info, WSTOPPED | WNOWAIT));
    OK(kill(child, SIGCONT));
    OK(waitid(P_PID, child, &info, WCONTINUED));
    int status;
    EQUAL(waitpid(child, &status, WUNTRACED | WNOHANG), 0);
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
}

CASE(the_stop_signal_that_was_sent_is_the_one_reported)
{
    int signals[] = {SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU};
    for (int i = 0; i < 4; i++)
    {
        // The group must not be orphaned: such a group is not stopped by the terminal's signals.
        pid_t child = CHILD({ for (;;) pause(); });
        int status;
        OK(kill(child, signals[i]));
        EQUAL(waitpid(child, &status, WUNTRACED), child);
        EQUAL(status, signals[i] << 8 | 0x7f);
        OK(kill(child, SIGKILL));
        REAP_SIGNAL(child, SIGKILL);
    }
}

CASE(waitid_reports_an_exit_with_pid_uid_status_and_code)
{
    pid_t child = CHILD({
        OK(setresuid(1234, 1234, 1234));
        _exit(77);
    });
    siginfo_t info;
    memset(&info, 0xff, sizeof info);
    OK(waitid(P_PID, child, &info, WEXITED));
    EQUAL(info.si_signo, SIGCHLD);
    EQUAL(info.si_errno, 0);
    EQUAL(info.si_code, CLD_EXITED);
    EQUAL(info.si_pid, child);
    EQUAL(info.si_uid, 1234);
    EQUAL(info.si_status, 77);
}

CASE(waitid_reports_death_stop_and_continue)
{
    pid_t child = CHILD({ for (;;) pause(); });
    siginfo_t info = {0};
    OK(kill(child, SIGTSTP));
    OK(waitid(P_PID, child, &info, WSTOPPED));
    EQUAL(info.si_code, CLD_STOPPED);
    EQUAL(info.si_status, SIGTSTP);
    OK(kill(child, SIGCONT));
    OK(waitid(P_PID, child, &info, WCONTINUED));
    EQUAL(info.si_code, CLD_CONTINUED);
    EQUAL(info.si_status, SIGCONT);
    OK(kill(child, SIGUSR2));
    OK(waitid(P_PID, child, &info, WEXITED));
    EQUAL(info.si_code, CLD_KILLED);
    EQUAL(info.si_status, SIGUSR2);
    EQUAL(info.si_pid, child);
}

CASE(waitid_without_WEXITED_does_not_report_an_exit)
{
    pid_t child = CHILD({});
    siginfo_t info;
    OK(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
    // A zombie never stops again: there is nobody to wait for.
    FAILS(waitid(P_PID, child, &info, WSTOPPED | WNOHANG), ECHILD);
    REAP_EXIT(child, 0);
}

CASE(waitid_with_wnohang_and_nothing_to_report_zeroes_pid_and_signo)
{
    pid_t child = CHILD({ pause(); });
    siginfo_t info;
    memset(&info, 0xff, sizeof info);
    EQUAL(waitid(P_ALL, 0, &info, WEXITED | WNOHANG), 0);
    EQUAL(info.si_pid, 0);
    EQUAL(info.si_signo, 0);
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
}

CASE(wnowait_leaves_the_child_for_another_wait)
{
    pid_t child = CHILD({ _exit(8); });
    for (int i = 0; i < 3; i++)
    {
        siginfo_t info = {0};
        OK(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
        EQUAL(info.si_status, 8);
    }
    REAP_EXIT(child, 8);
}

CASE(waitid_accepts_a_null_siginfo)
{
    pid_t child = CHILD({ _exit(8); });
    EQUAL(syscall(SYS_waitid, P_PID, child, NULL, WEXITED, NULL), 0);
    EQUAL(wait_errno(child, 0), ECHILD);
}

CASE(raw_waitid_fills_the_rusage)
{
    pid_t child = CHILD({ while (clock_ns(CLOCK_PROCESS_CPUTIME_ID) < 120000000) { } });
    struct rusage usage;
    memset(&usage, 0xff, sizeof usage);
    siginfo_t info;
    OK(syscall(SYS_waitid, P_PID, child, &info, WEXITED, &usage));
    int64_t us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    CHECK_THAT(us >= 100000, "%lld us", (long long)us);
}

CASE(wait4_gives_the_childs_rusage_not_the_callers)
{
    while (clock_ns(CLOCK_PROCESS_CPUTIME_ID) < 1500000000) { }
    pid_t child = CHILD({});
    struct rusage usage;
    EQUAL(wait4(child, NULL, 0, &usage), child);
    int64_t us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    CHECK_THAT(us < 1000000, "%lld us", (long long)us);
    CHECK(usage.ru_maxrss > 0);
}

CASE(rusage_of_children_counts_those_that_were_waited_for_with_their_descendants)
{
    pid_t child = CHILD({
        IN_CHILD({ while (clock_ns(CLOCK_PROCESS_CPUTIME_ID) < 200000000) { } });
    });
    sleep_ms(400);
    struct rusage usage;
    siginfo_t info;
    OK(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
    OK(getrusage(RUSAGE_CHILDREN, &usage));
    EQUAL(usage.ru_utime.tv_sec * 1000000 + usage.ru_utime.tv_usec, 0);
    REAP_EXIT(child, 0);
    OK(getrusage(RUSAGE_CHILDREN, &usage));
    int64_t us = (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000 + usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    CHECK_THAT(us >= 180000, "%lld us", (long long)us);
}

CASE(sigchld_ignored_makes_children_vanish)
{
    // man 2 wait: with SIGCHLD ignored, children do not become zombies and wait blocks until all have ended, then fails with ECHILD.
    CHECK(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
    int64_t start = now_ns();
    CHILD({ sleep_ms(150); });
    FAILS(waitpid(-1, NULL, 0), ECHILD);
    CHECK(passed_ms(start, 150));
    struct rusage usage;
    OK(getrusage(RUSAGE_CHILDREN, &usage));
    EQUAL(usage.ru_maxrss, 0);              // their resources are not counted
}

CASE(sa_nocldwait_makes_children_vanish_and_still_signals)
{
    static volatile sig_atomic_t count;
    struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_NOCLDWAIT | SA_RESTART};
    OK(sigaction(SIGCHLD, &action, NULL));
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    pid_t child = CHILD({});
    siginfo_t info;
    EQUAL(sigwaitinfo(&set, &info), SIGCHLD);
    EQUAL(info.si_pid, child);
    FAILS(waitpid(child, NULL, 0), ECHILD);
    (void)count;
}

CASE(setting_sigchld_to_ignore_keeps_a_zombie_that_is_there)
{
    pid_t child = CHILD({ _exit(2); });
    siginfo_t info;
    OK(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
    CHECK(signal(SIGCHLD, SIG_IGN) != SIG_ERR);
    REAP_EXIT(child, 2);
}

CASE(sigchld_is_sent_with_the_childs_status)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    pid_t child = CHILD({ _exit(31); });
    siginfo_t info;
    EQUAL(sigwaitinfo(&set, &info), SIGCHLD);
    EQUAL(info.si_code, CLD_EXITED);
    EQUAL(info.si_pid, child);
    EQUAL(info.si_status, 31);
    EQUAL(info.si_uid, getuid());
    REAP_EXIT(child, 31);
}

CASE(sa_nocldstop_suppresses_sigchld_for_stops)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    struct timespec no_time = {0, 0};
    struct sigaction action = {.sa_handler = nothing, .sa_flags = 0};
    OK(sigaction(SIGCHLD, &action, NULL));
    pid_t child = CHILD({ for (;;) pause(); });
    siginfo_t info;
    OK(kill(child, SIGSTOP));
    EQUAL(sigwaitinfo(&set, &info), SIGCHLD);
    EQUAL(info.si_code, CLD_STOPPED);
    EQUAL(info.si_status, SIGSTOP);
    OK(kill(child, SIGCONT));
    EQUAL(sigwaitinfo(&set, &info), SIGCHLD);
    EQUAL(info.si_code, CLD_CONTINUED);
    action.sa_flags = SA_NOCLDSTOP;
    OK(sigaction(SIGCHLD, &action, NULL));
    OK(kill(child, SIGSTOP));
    OK(waitid(P_PID, child, &info, WSTOPPED));
    OK(kill(child, SIGCONT));
    OK(waitid(P_PID, child, &info, WCONTINUED));
    FAILS(sigtimedwait(&set, &info, &no_time), EAGAIN);
    OK(kill(child, SIGKILL));
    EQUAL(sigwaitinfo(&set, &info), SIGCHLD);
    EQUAL(info.si_code, CLD_KILLED);
    EQUAL(info.si_status, SIGKILL);
    REAP_SIGNAL(child, SIGKILL);
}

CASE(wait_is_interrupted_by_a_handler_without_SA_RESTART)
{
    struct sigaction action = {.sa_handler = nothing};
    OK(sigaction(SIGUSR1, &action, NULL));
    pid_t parent = getpid();
    pid_t sleeper = CHILD({ pause(); });
    pid_t killer = CHILD({
        until_asleep(parent);
        OK(kill(parent, SIGUSR1));
        pause();
    });
    FAILS(waitpid(sleeper, NULL, 0), EINTR);
    OK(kill(killer, SIGKILL));
    OK(kill(sleeper, SIGKILL));
    REAP_SIGNAL(killer, SIGKILL);
    REAP_SIGNAL(sleeper, SIGKILL);
}

CASE(wait_is_restarted_after_a_handler_with_SA_RESTART)
{
    struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART};
    OK(sigaction(SIGUSR1, &action, NULL));
    pid_t parent = getpid();
    pid_t sleeper = CHILD({ pause(); });
    CHILD({
        until_asleep(parent);
        OK(kill(parent, SIGUSR1));
        sleep_ms(50);
        until_asleep(parent);
        OK(kill(sleeper, SIGTERM));
        pause();
    });
    int status;
    EQUAL(waitpid(sleeper, &status, 0), sleeper);
    EQUAL(status, SIGTERM);
}

CASE(wclone_and_wall_choose_by_the_exit_signal)
{
    // man 2 wait: a clone child is one that sends no signal, or another than SIGCHLD, at its end.
    CHECK(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
    pid_t clone = syscall(SYS_clone, SIGUSR1, 0, 0, 0, 0);
    if (clone == 0) _exit(1);
    CHECK(clone > 0);
    pid_t usual = CHILD({ _exit(2); });
    int status;
    EQUAL(wait_errno(clone, 0), ECHILD);
    EQUAL(wait_errno(usual, __WCLONE), ECHILD);
    EQUAL(waitpid(clone, &status, __WCLONE), clone);
    EQUAL(status, 1 << 8);
    EQUAL(waitpid(usual, &status, __WALL), usual);
    EQUAL(status, 2 << 8);
    clone = syscall(SYS_clone, 0, 0, 0, 0, 0);
    if (clone == 0) _exit(3);
    EQUAL(waitpid(clone, &status, __WALL), clone);
    EQUAL(status, 3 << 8);
}
