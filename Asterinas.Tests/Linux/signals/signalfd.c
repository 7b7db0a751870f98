// signalfd(2): signals as data.
#include "../common/test.h"
#include <poll.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>

static sigset_t blocked(int first, int second)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, first);
    sigaddset(&set, second);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    return set;
}

CASE(pending_signal_is_read_with_its_data)
{
    sigset_t set = blocked(SIGUSR1, SIGRTMIN);
    int fd = OK(signalfd(-1, &set, 0));
    struct signalfd_siginfo info;
    OK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_ptr = (void *)0x1122334455}));
    EQUAL(read(fd, &info, sizeof info), 128);
    EQUAL(info.ssi_signo, SIGRTMIN);
    EQUAL(info.ssi_code, SI_QUEUE);
    EQUAL(info.ssi_pid, getpid());
    EQUAL(info.ssi_uid, getuid());
    EQUAL(info.ssi_ptr, 0x1122334455);
    EQUAL(info.ssi_int, 0x22334455);
    OK(kill(getpid(), SIGUSR1));
    EQUAL(read(fd, &info, sizeof info), 128);
    EQUAL(info.ssi_signo, SIGUSR1);
    EQUAL(info.ssi_code, SI_USER);
    sigset_t pending;
    OK(sigpending(&pending));
    CHECK(!sigismember(&pending, SIGUSR1));
}

CASE(several_signals_are_read_at_once)
{
    sigset_t set = blocked(SIGUSR1, SIGRTMIN);
    int fd = OK(signalfd(-1, &set, SFD_NONBLOCK));
    struct signalfd_siginfo infos[4];
    FAILS(read(fd, infos, sizeof infos), EAGAIN);
    for (int i = 0; i < 5; i++) OK(sigqueue(getpid(), SIGRTMIN, (union sigval){.sival_int = i}));
    OK(kill(getpid(), SIGUSR1));
    EQUAL(read(fd, infos, sizeof infos), sizeof infos);
    EQUAL(infos[0].ssi_signo, SIGUSR1);
    for (int i = 0; i < 3; i++) EQUAL(infos[1 + i].ssi_int, i);
    EQUAL(read(fd, infos, sizeof infos), 2 * sizeof *infos);
    FAILS(read(fd, infos, sizeof infos), EAGAIN);
}

CASE(read_blocks_until_a_signal_comes)
{
    sigset_t set = blocked(SIGUSR1, SIGUSR2);
    int fd = OK(signalfd(-1, &set, 0));
    pid_t parent = getpid();
    pid_t child = CHILD({
        until_asleep(parent);
        OK(kill(parent, SIGUSR2));
    });
    struct signalfd_siginfo info;
    EQUAL(read(fd, &info, sizeof info), sizeof info);
    EQUAL(info.ssi_signo, SIGUSR2);
    EQUAL(info.ssi_pid, child);
    REAP_EXIT(child, 0);
}

CASE(child_status_is_read)
{
    sigset_t set = blocked(SIGCHLD, SIGCHLD);
    int fd = OK(signalfd(-1, &set, 0));
    pid_t child = CHILD({ _exit(77); });
    struct signalfd_siginfo info;
    EQUAL(read(fd, &info, sizeof info), sizeof info);
    EQUAL(info.ssi_signo, SIGCHLD);
    EQUAL(info.ssi_code, CLD_EXITED);
    EQUAL(info.ssi_pid, child);
    EQUAL(info.ssi_status, 77);
    REAP_EXIT(child, 77);
}

CASE(poll_and_epoll_report_pending_signals)
{
    sigset_t set = blocked(SIGUSR1, SIGUSR1);
    int fd = OK(signalfd(-1, &set, 0)), epoll = OK(epoll_create1(0));
    struct epoll_event event = {.events = EPOLLIN};
    OK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
    struct pollfd entry = {fd, POLLIN, 0};
    EQUAL(poll(&entry, 1, 0), 0);
    EQUAL(epoll_wait(epoll, &event, 1, 0), 0);
    OK(raise(SIGUSR1));
    EQUAL(poll(&entry, 1, -1), 1);
    EQUAL(entry.revents, POLLIN);
    EQUAL(epoll_wait(epoll, &event, 1, -1), 1);
    struct signalfd_siginfo info;
    EQUAL(read(fd, &info, sizeof info), sizeof info);
    EQUAL(poll(&entry, 1, 0), 0);
}

CASE(mask_can_be_changed)
{
    sigset_t set = blocked(SIGUSR1, SIGUSR2), other;
    int fd = OK(signalfd(-1, &set, SFD_NONBLOCK));
    sigemptyset(&other);
    sigaddset(&other, SIGUSR2);
    EQUAL(signalfd(fd, &other, 0), fd);
    OK(raise(SIGUSR1));
    struct signalfd_siginfo info;
    FAILS(read(fd, &info, sizeof info), EAGAIN);
    OK(raise(SIGUSR2));
    EQUAL(read(fd, &info, sizeof info), sizeof info);
    EQUAL(info.ssi_signo, SIGUSR2);
}

CASE(flags_and_errors)
{
    sigset_t set = blocked(SIGUSR1, SIGUSR1);
    int fd = OK(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    EQUAL(fcntl(fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    struct signalfd_siginfo info;
    FAILS(read(fd, &info, 127), EINVAL);
    FAILS(write(fd, &info, sizeof info), EINVAL);
    FAILS(signalfd(-1, &set, 1), EINVAL);
    FAILS(signalfd(9999, &set, 0), EBADF);
    int file = OK(open("/", O_RDONLY));
    FAILS(signalfd(file, &set, 0), EINVAL);
    FAILS(syscall(SYS_signalfd4, -1, &set, 16, 0), EINVAL);
    FAILS(syscall(SYS_signalfd4, -1, unmapped_address(), 8, 0), EFAULT);
    OK(raise(SIGUSR1));
    FAILS(read(fd, unmapped_address(), sizeof info), EFAULT);
    int plain = OK(syscall(SYS_signalfd, -1, &set, 8));
    EQUAL(fcntl(plain, F_GETFD), 0);
}

CASE(kill_and_stop_are_ignored_in_the_mask)
{
    sigset_t set;
    sigfillset(&set);
    int fd = OK(signalfd(-1, &set, SFD_NONBLOCK));
    struct signalfd_siginfo info;
    FAILS(read(fd, &info, sizeof info), EAGAIN);
}

CASE(reader_gets_its_own_signals)
{
    // man 2 signalfd, fork(2) semantics: a child that reads gets the child's signals.
    sigset_t set = blocked(SIGUSR1, SIGUSR1);
    int fd = OK(signalfd(-1, &set, SFD_NONBLOCK));
    OK(raise(SIGUSR1));
    IN_CHILD({
        struct signalfd_siginfo info;
        FAILS(read(fd, &info, sizeof info), EAGAIN);
        OK(raise(SIGUSR1));
        EQUAL(read(fd, &info, sizeof info), sizeof info);
        EQUAL(info.ssi_pid, getpid());
    });
    struct signalfd_siginfo info;
    EQUAL(read(fd, &info, sizeof info), sizeof info);
    EQUAL(info.ssi_pid, getpid());
}

ENTRY(reads_signal)
{
    struct signalfd_siginfo info;
    EQUAL(read(3, &info, sizeof info), sizeof info);
    EQUAL(info.ssi_signo, SIGUSR1);
    return 6;
}

CASE(descriptor_and_pending_signal_survive_exec)
{
    pid_t child = CHILD({
        sigset_t set = blocked(SIGUSR1, SIGUSR1);
        int fd = OK(signalfd(-1, &set, 0));
        OK(dup2(fd, 3));
        OK(raise(SIGUSR1));
        char *arguments[] = {"x", "--entry", "reads_signal", NULL};
        execve(test_program, arguments, environ);
    });
    REAP_EXIT(child, 6);
}

CASE(fdinfo_shows_the_mask)
{
    sigset_t set = blocked(SIGUSR1, SIGUSR1);
    int fd = OK(signalfd(-1, &set, 0));
    char name[64], text[512];
    snprintf(name, sizeof name, "/proc/self/fdinfo/%d", fd);
    if (read_text(name, text, sizeof text) == -1) SKIP("no /proc/self/fdinfo");
    CHECK(strstr(text, "sigmask:\t0000000000000200\n") != NULL);
}
