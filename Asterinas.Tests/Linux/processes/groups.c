// Process groups, sessions, orphans and their new parents: setpgid(2), setsid(2), getsid(2), prctl(2) PR_SET_CHILD_SUBREAPER, PR_SET_PDEATHSIG.
#include "../common/test.h"
#include <sys/prctl.h>

static void nothing(int number) { (void)number; }

CASE(a_process_can_become_the_leader_of_a_group)
{
    IN_CHILD({
        CHECK(getpgrp() != getpid());
        OK(setpgid(0, 0));
        EQUAL(getpgrp(), getpid());
        EQUAL(getpgid(0), getpid());
        OK(setpgid(getpid(), getpid()));
    });
}

CASE(a_parent_can_move_its_children_between_groups)
{
    pid_t first = CHILD({ pause(); }), second = CHILD({ pause(); });
    OK(setpgid(first, first));
    OK(setpgid(second, first));
    EQUAL(getpgid(first), first);
    EQUAL(getpgid(second), first);
    OK(setpgid(second, getpgrp()));
    EQUAL(getpgid(second), getpgrp());
    OK(setpgid(second, 0));
    EQUAL(getpgid(second), second);
    OK(kill(first, SIGKILL));
    OK(kill(second, SIGKILL));
    REAP_SIGNAL(first, SIGKILL);
    REAP_SIGNAL(second, SIGKILL);
}

CASE(setpgid_errors)
{
    FAILS(setpgid(-1, 0), EINVAL);              // group -1
    FAILS(setpgid(-1, getpid()), ESRCH);
    FAILS(setpgid(0x3fffffff, 0), ESRCH);
    FAILS(setpgid(0, -1), EINVAL);
    FAILS(setpgid(getppid(), 0), ESRCH);        // neither the caller nor its child
    pid_t child = CHILD({ pause(); });
    FAILS(setpgid(child, 0x3fffffff), EPERM);   // no such group in the session
    OK(kill(child, SIGKILL));
    siginfo_t info;
    OK(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
    OK(setpgid(child, child));                  // a zombie still is a child (Linux)
    REAP_SIGNAL(child, SIGKILL);
    FAILS(getpgid(0x3fffffff), ESRCH);
    FAILS(getpgid(-1), ESRCH);
    FAILS(getsid(0x3fffffff), ESRCH);
    FAILS(getsid(-1), ESRCH);
}

ENTRY(waits_for_descriptor_3)
{
    char byte;
    return write(4, "x", 1) == 1 && read(3, &byte, 1) == 1 ? 0 : 1;
}

CASE(a_child_that_has_executed_cannot_be_moved)
{
    int to[2], from[2];
    OK(pipe(to));
    OK(pipe(from));
    pid_t child = CHILD({
        int in = fcntl(to[0], F_DUPFD, 10), out = fcntl(from[1], F_DUPFD, 10);
        OK(dup2(in, 3));
        OK(dup2(out, 4));
        char *arguments[] = {"x", "--entry", "waits_for_descriptor_3", NULL};
        execve(test_program, arguments, environ);
    });
    char byte;
    EQUAL(read(from[0], &byte, 1), 1);
    FAILS(setpgid(child, child), EACCES);
    EQUAL(write(to[1], "x", 1), 1);
    REAP_EXIT(child, 0);
}

CASE(a_session_leader_cannot_be_moved)
{
    int *ready = shared_memory(sizeof *ready);
    pid_t child = CHILD({
        OK(setsid());
        FAILS(setpgid(0, 0), EPERM);
        *ready = 1;
        pause();
    });
    EVENTUALLY(*ready);
    FAILS(setpgid(child, getpgrp()), EPERM);
    FAILS(setpgid(child, child), EPERM);
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
}

CASE(a_child_in_another_session_cannot_be_moved)
{
    pid_t *grandchild = shared_memory(sizeof *grandchild);
    pid_t child = CHILD({
        OK(setsid());
        *grandchild = CHILD({ pause(); });
        pause();
    });
    EVENTUALLY(*grandchild > 0);
    IN_CHILD({ FAILS(setpgid(0, *grandchild), EPERM); });
    IN_CHILD({ FAILS(setpgid(0, child), EPERM); });          // a group of the other session
    OK(kill(child, SIGKILL));
    OK(kill(*grandchild, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
}

CASE(setsid_makes_a_session_and_a_group)
{
    pid_t session = getsid(0);
    IN_CHILD({
        EQUAL(setsid(), getpid());
        EQUAL(getsid(0), getpid());
        EQUAL(getpgrp(), getpid());
        EQUAL(getsid(getppid()), session);
        FAILS(setsid(), EPERM);
        IN_CHILD({
            EQUAL(getsid(0), getppid());
            EQUAL(getpgrp(), getppid());
        });
        FAILS(open("/dev/tty", O_RDWR), ENXIO);         // without a controlling terminal
    });
}

CASE(setsid_by_a_group_leader_is_EPERM)
{
    IN_CHILD({
        OK(setpgid(0, 0));
        FAILS(setsid(), EPERM);
    });
}

CASE(setsid_is_EPERM_while_a_group_of_that_number_has_members)
{
    // The caller left its own group, but a child remains in it.
    IN_CHILD({
        pid_t original = getpgrp();
        OK(setpgid(0, 0));
        pid_t child = CHILD({ pause(); });
        OK(setpgid(0, original));
        FAILS(setsid(), EPERM);
        OK(kill(child, SIGKILL));
        REAP_SIGNAL(child, SIGKILL);
        OK(setsid());
    });
}

CASE(a_group_lives_until_its_last_member_is_reaped)
{
    pid_t leader = CHILD({ pause(); });
    OK(setpgid(leader, leader));
    pid_t member = CHILD({ pause(); });
    OK(setpgid(member, leader));
    OK(kill(leader, SIGKILL));
    REAP_SIGNAL(leader, SIGKILL);
    EQUAL(getpgid(member), leader);
    OK(kill(-leader, 0));
    pid_t late = CHILD({ pause(); });
    OK(setpgid(late, leader));                      // joins a group whose leader is gone
    OK(kill(-leader, SIGTERM));
    REAP_SIGNAL(member, SIGTERM);
    REAP_SIGNAL(late, SIGTERM);
    FAILS(kill(-leader, 0), ESRCH);
}

CASE(orphan_goes_to_the_subreaper)
{
    int yes = -1;
    OK(prctl(PR_GET_CHILD_SUBREAPER, &yes));
    EQUAL(yes, 0);
    OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
    OK(prctl(PR_GET_CHILD_SUBREAPER, &yes));
    EQUAL(yes, 1);
    pid_t self = getpid();
    pid_t *grandchild = shared_memory(sizeof *grandchild);
    pid_t child = CHILD({
        *grandchild = CHILD({
            EVENTUALLY(getppid() == self);
            _exit(23);
        });
    });
    REAP_EXIT(child, 0);
    REAP_EXIT(*grandchild, 23);
}

CASE(orphan_gets_another_parent_at_once)
{
    pid_t *parents = shared_memory(2 * sizeof *parents);
    pid_t child = CHILD({
        pid_t parent = getpid();
        CHILD({
            EVENTUALLY(getppid() != parent);
            parents[1] = getppid();
            parents[0] = 1;
        });
    });
    REAP_EXIT(child, 0);
    EVENTUALLY(parents[0] == 1);
    CHECK(parents[1] > 0 && parents[1] != getpid());       // init, or a subreaper above us
}

CASE(nearest_living_subreaper_among_the_ancestors_is_chosen)
{
    OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
    pid_t *orphan = shared_memory(sizeof *orphan);
    pid_t middle = CHILD({
        OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
        pid_t child = CHILD({
            int yes = -1;
            OK(prctl(PR_GET_CHILD_SUBREAPER, &yes));        // man 2 PR_SET_CHILD_SUBREAPER: not inherited
            EQUAL(yes, 0);
            *orphan = CHILD({ for (;;) pause(); });
        });
        REAP_EXIT(child, 0);
        EQUAL(waitpid(*orphan, NULL, WNOHANG), 0);      // it is ours now
    });
    REAP_EXIT(middle, 0);
    EQUAL(waitpid(*orphan, NULL, WNOHANG), 0);          // and now the grandparent's
    OK(kill(*orphan, SIGKILL));
    REAP_SIGNAL(*orphan, SIGKILL);
}

CASE(orphaned_zombie_is_given_to_the_new_parent_with_its_status)
{
    OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
    pid_t *zombie = shared_memory(sizeof *zombie);
    pid_t child = CHILD({
        *zombie = CHILD({ _exit(25); });
        siginfo_t info;
        OK(waitid(P_PID, *zombie, &info, WEXITED | WNOWAIT));
    });
    REAP_EXIT(child, 0);
    REAP_EXIT(*zombie, 25);
}

CASE(end_of_a_subreapers_new_child_is_signalled)
{
    OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    pid_t *orphan = shared_memory(sizeof *orphan);
    pid_t child = CHILD({ *orphan = CHILD({ for (;;) pause(); }); });
    siginfo_t info;
    EQUAL(sigwaitinfo(&set, &info), SIGCHLD);
    REAP_EXIT(child, 0);
    OK(kill(*orphan, SIGKILL));
    EQUAL(sigwaitinfo(&set, &info), SIGCHLD);
    EQUAL(info.si_pid, *orphan);
    REAP_SIGNAL(*orphan, SIGKILL);
}

CASE(parent_death_signal_is_sent)
{
    OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
    pid_t *grandchild = shared_memory(sizeof *grandchild);
    pid_t child = CHILD({
        *grandchild = CHILD({
            OK(prctl(PR_SET_PDEATHSIG, SIGUSR2));
            int number = 0;
            OK(prctl(PR_GET_PDEATHSIG, &number));
            EQUAL(number, SIGUSR2);
            IN_CHILD({
                OK(prctl(PR_GET_PDEATHSIG, &number));   // cleared in a child
                EQUAL(number, 0);
            });
            for (;;) pause();
        });
        until_asleep(*grandchild);
        sleep_ms(50);
        until_asleep(*grandchild);
    });
    REAP_EXIT(child, 0);
    REAP_SIGNAL(*grandchild, SIGUSR2);
    FAILS(prctl(PR_SET_PDEATHSIG, 65), EINVAL);
    FAILS(prctl(PR_GET_PDEATHSIG, unmapped_address()), EFAULT);
}

CASE(stopped_group_that_becomes_orphaned_gets_hup_and_cont)
{
    // POSIX 3.x, man 2 setpgid: a member that is stopped when its group loses its last parent outside is hung up and continued.
    OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
    pid_t *grandchild = shared_memory(sizeof *grandchild);
    // The subreaper must be in another session, or the group would not be orphaned.
    pid_t child = CHILD({
        OK(setsid());
        *grandchild = CHILD({
            OK(setpgid(0, 0));
            CHECK(signal(SIGHUP, SIG_DFL) != SIG_ERR);
            raise(SIGSTOP);
            for (;;) pause();
        });
        int status;
        EQUAL(waitpid(*grandchild, &status, WUNTRACED), *grandchild);
        CHECK(WIFSTOPPED(status));
    });
    REAP_EXIT(child, 0);
    REAP_SIGNAL(*grandchild, SIGHUP);
}

CASE(terminal_stop_signals_do_not_stop_an_orphaned_group)
{
    // In a session of its own the child's group is orphaned: its parent is outside the session.
    int signals[] = {SIGTSTP, SIGTTIN, SIGTTOU};
    IN_CHILD({
        OK(setsid());
        for (int i = 0; i < 3; i++) OK(raise(signals[i]));
    });
    pid_t child = CHILD({
        OK(setsid());
        OK(raise(SIGSTOP));                 // this one always does
    });
    int status;
    EQUAL(waitpid(child, &status, WUNTRACED), child);
    CHECK(WIFSTOPPED(status));
    OK(kill(child, SIGCONT));
    REAP_EXIT(child, 0);
}

CASE(kill_reaches_a_group_and_only_it)
{
    pid_t members[3], other = CHILD({ for (;;) pause(); });
    for (int i = 0; i < 3; i++)
    {
        members[i] = CHILD({ for (;;) pause(); });
        OK(setpgid(members[i], members[0]));
    }
    OK(kill(-members[0], SIGUSR1));
    for (int i = 0; i < 3; i++) REAP_SIGNAL(members[i], SIGUSR1);
    EQUAL(waitpid(other, NULL, WNOHANG), 0);
    CHECK(signal(SIGUSR2, nothing) != SIG_ERR);
    OK(kill(0, SIGUSR2));                           // the caller's own group
    REAP_SIGNAL(other, SIGUSR2);
}
