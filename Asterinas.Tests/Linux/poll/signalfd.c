// signalfd (man 2 signalfd).
#include "../common/scratch.h"

#include <poll.h>
#include <sys/signalfd.h>

static sigset_t block(int a, int b)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, a);
    sigaddset(&mask, b);
    OK(sigprocmask(SIG_BLOCK, &mask, NULL));
    return mask;
}

CASE(signalfd_reads_pending_signals)
{
    sigset_t mask = block(SIGUSR1, SIGUSR2);
    int fd = OK(signalfd(-1, &mask, SFD_NONBLOCK | SFD_CLOEXEC));
    EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    struct signalfd_siginfo info[4];
    FAILS(read(fd, info, sizeof info), EAGAIN);
    OK(kill(getpid(), SIGUSR2));
    OK(kill(getpid(), SIGUSR1));
    EQUAL(read(fd, info, sizeof info), 2 * sizeof info[0]);
    EQUAL(info[0].ssi_signo, SIGUSR1);
    EQUAL(info[1].ssi_signo, SIGUSR2);
    EQUAL(info[0].ssi_pid, getpid());
    EQUAL(info[0].ssi_uid, 0);
    EQUAL(info[0].ssi_code, SI_USER);
    // They are taken.
    sigset_t pending;
    OK(sigpending(&pending));
    EQUAL(sigismember(&pending, SIGUSR1), 0);
}

CASE(signalfd_carries_the_value_of_queued_signals)
{
    sigset_t mask = block(SIGRTMIN + 1, SIGUSR1);
    int fd = OK(signalfd(-1, &mask, SFD_NONBLOCK));
    for (int i = 0; i < 3; i++) OK(sigqueue(getpid(), SIGRTMIN + 1, (union sigval){.sival_int = 100 + i}));
    struct signalfd_siginfo info;
    for (int i = 0; i < 3; i++)
    {
        EQUAL(read(fd, &info, sizeof info), sizeof info);
        EQUAL(info.ssi_signo, SIGRTMIN + 1);
        EQUAL(info.ssi_int, 100 + i);
        EQUAL(info.ssi_code, SI_QUEUE);
    }
    FAILS(read(fd, &info, sizeof info), EAGAIN);
}

CASE(signalfd_tells_of_children)
{
    sigset_t mask = block(SIGCHLD, SIGUSR1);
    int fd = OK(signalfd(-1, &mask, 0));
    pid_t child = CHILD({ _exit(7); });
    struct signalfd_siginfo info;
    EQUAL(read(fd, &info, sizeof info), sizeof info);
    EQUAL(info.ssi_signo, SIGCHLD);
    EQUAL(info.ssi_pid, child);
    EQUAL(info.ssi_status, 7);
    EQUAL(info.ssi_code, CLD_EXITED);
    REAP_EXIT(child, 7);
}

CASE(signalfd_waits_and_poll_tells)
{
    sigset_t mask = block(SIGUSR1, SIGUSR2);
    int fd = OK(signalfd(-1, &mask, 0));
    struct pollfd poller = {fd, POLLIN, 0};
    EQUAL(poll(&poller, 1, 0), 0);
    pid_t self = getpid();
    pid_t child = CHILD({ until_asleep(self); OK(kill(self, SIGUSR1)); });
    struct signalfd_siginfo info;
    EQUAL(read(fd, &info, sizeof info), sizeof info);
    EQUAL(info.ssi_pid, child);
    REAP_EXIT(child, 0);
    OK(raise(SIGUSR2));
    EQUAL(poll(&poller, 1, 0), 1);
    EQUAL(poller.revents, POLLIN);
}

CASE(signalfd_mask_can_be_changed)
{
    sigset_t mask = block(SIGUSR1, SIGUSR2), other;
    int fd = OK(signalfd(-1, &mask, SFD_NONBLOCK));
    sigemptyset(&other);
    sigaddset(&other, SIGUSR2);
    EQUAL(signalfd(fd, &other, 0), fd);
    OK(raise(SIGUSR1));
    struct signalfd_siginfo info;
    FAILS(read(fd, &info, sizeof info), EAGAIN);
    EQUAL(signalfd(fd, &mask, 0), fd);
    EQUAL(read(fd, &info, sizeof info), sizeof info);
    EQUAL(info.ssi_signo, SIGUSR1);
}

CASE(signalfd_errors)
{
    sigset_t mask = block(SIGUSR1, SIGUSR2);
    int fd = OK(signalfd(-1, &mask, SFD_NONBLOCK)), ends[2];
    OK(pipe(ends));
    FAILS(signalfd(999, &mask, 0), EBADF);
    FAILS(signalfd(ends[0], &mask, 0), EINVAL);
    FAILS(signalfd(-1, &mask, 0x40000000), EINVAL);
    FAILS(syscall(SYS_signalfd4, -1, &mask, 7, 0), EINVAL);
    FAILS(syscall(SYS_signalfd4, -1, unmapped_address(), 8, 0), EFAULT);
    struct signalfd_siginfo info;
    FAILS(read(fd, &info, sizeof info - 1), EINVAL);
    FAILS(write(fd, &info, sizeof info), EINVAL);
}

CASE(signalfd_of_a_child_reads_its_own_signals)
{
    sigset_t mask = block(SIGUSR1, SIGUSR2);
    int fd = OK(signalfd(-1, &mask, SFD_NONBLOCK));
    OK(raise(SIGUSR1));
    IN_CHILD({
        struct signalfd_siginfo info;
        FAILS(read(fd, &info, sizeof info), EAGAIN);
        OK(raise(SIGUSR2));
        EQUAL(read(fd, &info, sizeof info), sizeof info);
        EQUAL(info.ssi_signo, SIGUSR2);
    });
}
