// Pid namespaces as far as processes are concerned: pid_namespaces(7), clone(2) CLONE_NEWPID.
#include "../common/clone.h"

CASE(orphan_goes_to_init_without_a_subreaper)
{
    // In a pid namespace of its own, so that init is ours.
    pid_t init = OK(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
    if (init == 0)
    {
        EQUAL(getpid(), 1);
        EQUAL(getppid(), 0);
        pid_t child = CHILD({
            CHILD({
                EVENTUALLY(getppid() == 1);
                _exit(24);
            });
        });
        REAP_EXIT(child, 0);
        int status;
        CHECK(waitpid(-1, &status, 0) > 0);
        EQUAL(status, 24 << 8);
        _exit(0);
    }
    REAP_EXIT(init, 0);
}

CASE(killing_init_of_a_namespace_kills_all_in_it)
{
    int ends[2];
    OK(pipe(ends));
    pid_t init = OK(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
    if (init == 0)
    {
        OK(close(ends[0]));
        for (int i = 0; i < 5; i++) CHILD({ for (;;) pause(); });
        EQUAL(write(ends[1], "x", 1), 1);
        for (;;) pause();
    }
    OK(close(ends[1]));
    char byte;
    EQUAL(read(ends[0], &byte, 1), 1);
    OK(kill(init, SIGKILL));
    REAP_SIGNAL(init, SIGKILL);
    EQUAL(read(ends[0], &byte, 1), 0);          // all writers are gone
}

CASE(init_of_a_namespace_ignores_signals_of_its_children_that_it_does_not_handle)
{
    pid_t init = OK(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
    if (init == 0)
    {
        IN_CHILD({
            OK(kill(1, SIGKILL));
            OK(kill(1, SIGTERM));
            OK(kill(1, SIGSTOP));
        });
        OK(raise(SIGTERM));
        _exit(26);
    }
    REAP_EXIT(init, 26);
}

CASE(init_of_a_namespace_cannot_make_siblings)
{
    // man 2 clone, EINVAL: CLONE_PARENT by an init process.
    struct clone_args arguments = {.flags = CLONE_NEWPID, .exit_signal = SIGCHLD};
    pid_t child = OK(clone3_fork(&arguments));
    if (child == 0)
    {
        EQUAL(getpid(), 1);
        struct clone_args sibling = {.flags = CLONE_PARENT};
        FAILS(clone3_fork(&sibling), EINVAL);
        _exit(0);
    }
    REAP_EXIT(child, 0);
}

CASE(pids_begin_at_one_and_are_others_outside)
{
    int ends[2];
    OK(pipe(ends));
    pid_t init = OK(syscall(SYS_clone, CLONE_NEWPID | SIGCHLD, 0, 0, 0, 0));
    if (init == 0)
    {
        pid_t child = CHILD({ EQUAL(getpid(), 2); });
        EQUAL(child, 2);
        EQUAL(write(ends[1], &child, sizeof child), sizeof child);
        REAP_EXIT(child, 0);
        FAILS(kill(getppid() == 0 ? 0x3fffffff : 0, 0), ESRCH);     // nobody outside can be named
        _exit(0);
    }
    CHECK(init > 2);
    REAP_EXIT(init, 0);
}

CASE(unshare_newpid_concerns_the_children)
{
    IN_CHILD({
        pid_t self = getpid();
        OK(unshare(CLONE_NEWPID));
        EQUAL(getpid(), self);
        pid_t child = fork();
        if (child == 0) _exit(getpid());
        REAP_EXIT(child, 1);
        FAILS(fork(), ENOMEM);                  // man 7 pid_namespaces: its init is gone
    });
}
