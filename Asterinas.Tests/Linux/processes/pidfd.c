// pidfd_open(2), pidfd_send_signal(2), pidfd_getfd(2), waitid(2) with P_PIDFD.
#include "../common/test.h"
#include <poll.h>
#include <sys/epoll.h>

#ifndef PIDFD_NONBLOCK
#define PIDFD_NONBLOCK O_NONBLOCK
#endif
#ifndef P_PIDFD
#define P_PIDFD 3
#endif

#define pidfd_open(pid, flags) syscall(SYS_pidfd_open, pid, flags)
#define pidfd_send_signal(fd, number, info, flags) syscall(SYS_pidfd_send_signal, fd, number, info, flags)
#define pidfd_getfd(fd, target, flags) syscall(SYS_pidfd_getfd, fd, target, flags)

CASE(open_gives_a_close_on_exec_descriptor)
{
    int fd = OK(pidfd_open(getpid(), 0));
    EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    EQUAL(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
    int other = OK(pidfd_open(getpid(), PIDFD_NONBLOCK));
    EQUAL(fcntl(other, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
}

CASE(open_errors)
{
    FAILS(pidfd_open(0, 0), EINVAL);
    FAILS(pidfd_open(-1, 0), EINVAL);
    FAILS(pidfd_open(getpid(), 1), EINVAL);
    FAILS(pidfd_open(0x3fffffff, 0), ESRCH);
    pid_t child = CHILD({});
    REAP_EXIT(child, 0);
    FAILS(pidfd_open(child, 0), ESRCH);
}

CASE(signal_is_delivered_by_descriptor)
{
    pid_t child = CHILD({ for (;;) pause(); });
    int fd = OK(pidfd_open(child, 0));
    OK(pidfd_send_signal(fd, 0, NULL, 0));
    OK(pidfd_send_signal(fd, SIGUSR1, NULL, 0));
    REAP_SIGNAL(child, SIGUSR1);
    FAILS(pidfd_send_signal(fd, SIGUSR1, NULL, 0), ESRCH);
    FAILS(pidfd_send_signal(fd, 0, NULL, 0), ESRCH);
}

CASE(signal_carries_what_kill_would_say_or_a_given_siginfo)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGRTMIN);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    int fd = OK(pidfd_open(getpid(), 0));
    siginfo_t info;
    OK(pidfd_send_signal(fd, SIGUSR1, NULL, 0));
    EQUAL(sigwaitinfo(&set, &info), SIGUSR1);
    EQUAL(info.si_code, SI_USER);
    EQUAL(info.si_pid, getpid());
    siginfo_t own = {.si_signo = SIGRTMIN, .si_code = SI_QUEUE};
    own.si_value.sival_int = 4711;
    OK(pidfd_send_signal(fd, SIGRTMIN, &own, 0));
    EQUAL(sigwaitinfo(&set, &info), SIGRTMIN);
    EQUAL(info.si_code, SI_QUEUE);
    EQUAL(info.si_value.sival_int, 4711);
    FAILS(pidfd_send_signal(fd, SIGUSR1, &own, 0), EINVAL);         // the numbers differ
}

CASE(forged_kernel_siginfo_for_another_process_is_EPERM)
{
    pid_t child = CHILD({ for (;;) pause(); });
    int fd = OK(pidfd_open(child, 0));
    siginfo_t info = {.si_signo = SIGUSR1, .si_code = SI_USER};
    FAILS(pidfd_send_signal(fd, SIGUSR1, &info, 0), EPERM);
    info.si_code = SI_TKILL;
    FAILS(pidfd_send_signal(fd, SIGUSR1, &info, 0), EPERM);
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
}

CASE(send_errors)
{
    int fd = OK(pidfd_open(getpid(), 0)), file = OK(open("/", O_RDONLY));
    FAILS(pidfd_send_signal(-1, 0, NULL, 0), EBADF);
    FAILS(pidfd_send_signal(file, 0, NULL, 0), EBADF);
    FAILS(pidfd_send_signal(fd, 65, NULL, 0), EINVAL);
    FAILS(pidfd_send_signal(fd, -1, NULL, 0), EINVAL);
    FAILS(pidfd_send_signal(fd, 0, NULL, 0x100), EINVAL);
    FAILS(pidfd_send_signal(fd, SIGUSR1, unmapped_address(), 0), EFAULT);
    int *ready = shared_memory(sizeof *ready);
    pid_t child = CHILD({
        OK(setresuid(1000, 1000, 1000));
        *ready = 1;
        for (;;) pause();
    });
    EVENTUALLY(*ready);
    int other = OK(pidfd_open(child, 0));
    IN_CHILD({
        OK(setresuid(1001, 1001, 1001));
        FAILS(pidfd_send_signal(other, SIGTERM, NULL, 0), EPERM);
    });
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
}

CASE(descriptor_becomes_readable_when_the_process_ends)
{
    pid_t child = CHILD({ sleep_ms(150); });
    int fd = OK(pidfd_open(child, 0));
    struct pollfd entry = {fd, POLLIN, 0};
    EQUAL(poll(&entry, 1, 0), 0);
    EQUAL(poll(&entry, 1, -1), 1);
    CHECK(entry.revents & POLLIN);
    EQUAL(poll(&entry, 1, -1), 1);                  // while it is a zombie
    REAP_EXIT(child, 0);
    EQUAL(poll(&entry, 1, 0), 1);                   // and for ever after
    CHECK(entry.revents & POLLIN);
}

CASE(epoll_reports_the_end)
{
    pid_t child = CHILD({ sleep_ms(50); });
    int fd = OK(pidfd_open(child, 0)), epoll = OK(epoll_create1(0));
    struct epoll_event event = {.events = EPOLLIN, .data.u32 = 12};
    OK(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event));
    EQUAL(epoll_wait(epoll, &event, 1, -1), 1);
    EQUAL(event.data.u32, 12);
    REAP_EXIT(child, 0);
}

CASE(reading_and_writing_are_EINVAL)
{
    int fd = OK(pidfd_open(getpid(), 0));
    char byte;
    FAILS(read(fd, &byte, 1), EINVAL);
    FAILS(write(fd, &byte, 1), EINVAL);
}

CASE(waitid_takes_a_descriptor)
{
    pid_t child = CHILD({ _exit(9); });
    int fd = OK(pidfd_open(child, 0));
    siginfo_t info;
    OK(waitid(P_PIDFD, fd, &info, WEXITED));
    EQUAL(info.si_pid, child);
    EQUAL(info.si_status, 9);
    FAILS(waitid(P_PIDFD, fd, &info, WEXITED), ECHILD);
    FAILS(waitid(P_PIDFD, 9999, &info, WEXITED), EBADF);
    int file = OK(open("/", O_RDONLY));
    FAILS(waitid(P_PIDFD, file, &info, WEXITED), EBADF);
    FAILS(waitid(P_PIDFD, -1, &info, WEXITED), EINVAL);
    int self = OK(pidfd_open(getpid(), 0));
    FAILS(waitid(P_PIDFD, self, &info, WEXITED), ECHILD);
}

CASE(waitid_with_a_nonblocking_descriptor_is_EAGAIN)
{
    pid_t child = CHILD({ pause(); });
    int fd = OK(pidfd_open(child, PIDFD_NONBLOCK));
    siginfo_t info;
    FAILS(waitid(P_PIDFD, fd, &info, WEXITED), EAGAIN);
    OK(kill(child, SIGKILL));
    struct pollfd entry = {fd, POLLIN, 0};
    EQUAL(poll(&entry, 1, -1), 1);
    OK(waitid(P_PIDFD, fd, &info, WEXITED));
}

CASE(zombie_can_be_opened)
{
    pid_t child = CHILD({ _exit(3); });
    siginfo_t info;
    OK(waitid(P_PID, child, &info, WEXITED | WNOWAIT));
    int fd = OK(pidfd_open(child, 0));
    OK(pidfd_send_signal(fd, SIGKILL, NULL, 0));
    OK(waitid(P_PIDFD, fd, &info, WEXITED));
    EQUAL(info.si_status, 3);
}

CASE(getfd_copies_a_descriptor)
{
    test_directory();
    write_text("file", "abcdef");
    int *ready = shared_memory(2 * sizeof *ready);
    pid_t child = CHILD({
        ready[1] = OK(open("file", O_RDONLY));
        char text[2];
        EQUAL(read(ready[1], text, 2), 2);
        ready[0] = 1;
        for (;;) pause();
    });
    EVENTUALLY(ready[0]);
    int fd = OK(pidfd_open(child, 0)), copy = OK(pidfd_getfd(fd, ready[1], 0));
    char text[2];
    EQUAL(read(copy, text, 2), 2);
    CHECK(text[0] == 'c');                          // the offset is shared
    EQUAL(fcntl(copy, F_GETFD), FD_CLOEXEC);
    FAILS(pidfd_getfd(fd, 9999, 0), EBADF);
    FAILS(pidfd_getfd(fd, -1, 0), EBADF);
    FAILS(pidfd_getfd(9999, 0, 0), EBADF);
    FAILS(pidfd_getfd(copy, 0, 0), EBADF);
    FAILS(pidfd_getfd(fd, ready[1], 1), EINVAL);
    IN_CHILD({
        OK(setresuid(1000, 1000, 1000));
        FAILS(pidfd_getfd(fd, ready[1], 0), EPERM);
    });
    struct rlimit limit;
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    OK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){copy + 1, limit.rlim_max}));
    for (int i = 0; i <= copy; i++) dup(0);
    FAILS(pidfd_getfd(fd, ready[1], 0), EMFILE);
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
    FAILS(pidfd_getfd(fd, ready[1], 0), ESRCH);
}

CASE(descriptor_refers_to_the_process_not_to_the_pid)
{
    pid_t child = CHILD({ _exit(1); });
    int fd = OK(pidfd_open(child, 0));
    REAP_EXIT(child, 1);
    for (int i = 0; i < 50; i++) REAP_EXIT(CHILD({}), 0);
    FAILS(pidfd_send_signal(fd, SIGKILL, NULL, 0), ESRCH);
}

CASE(pid_is_shown_in_fdinfo)
{
    int fd = OK(pidfd_open(getpid(), 0));
    char name[64], text[512], expected[32];
    snprintf(name, sizeof name, "/proc/self/fdinfo/%d", fd);
    if (read_text(name, text, sizeof text) == -1) SKIP("no /proc/self/fdinfo");
    snprintf(expected, sizeof expected, "Pid:\t%d\n", getpid());
    CHECK(strstr(text, expected) != NULL);
}

CASE(descriptor_is_inherited_by_fork)
{
    pid_t child = CHILD({ for (;;) pause(); });
    int fd = OK(pidfd_open(child, 0));
    IN_CHILD({ OK(pidfd_send_signal(fd, SIGTERM, NULL, 0)); });
    REAP_SIGNAL(child, SIGTERM);
}
