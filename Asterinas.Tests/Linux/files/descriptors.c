// Descriptors: close, close_range, dup, dup2, dup3, fcntl with everything but locks (man 2 close, close_range, dup, fcntl).
#include "../common/scratch.h"

#include <linux/close_range.h>
#include <sys/socket.h>

static bool is_open(int fd) { return fcntl(fd, F_GETFD) != -1; }

CASE(close_frees_the_number)
{
    test_directory();
    int fd = OK(open(".", O_RDONLY));
    OK(close(fd));
    FAILS(close(fd), EBADF);
    FAILS(close(-1), EBADF);
    FAILS(close(100000), EBADF);
    FAILS(fcntl(fd, F_GETFD), EBADF);
    EQUAL(open(".", O_RDONLY), fd);
}

CASE(dup_shares_offset_and_status_flags_and_not_FD_CLOEXEC)
{
    test_directory();
    write_text("file", "abcdef");
    int a = OK(open("file", O_RDONLY | O_CLOEXEC)), b = OK(dup(a));
    CHECK(b > a);
    EQUAL(fcntl(b, F_GETFD), 0);
    char byte;
    EQUAL(read(a, &byte, 1), 1);
    EQUAL(read(b, &byte, 1), 1);
    EQUAL(byte, 'b');
    EQUAL(lseek(a, 0, SEEK_CUR), 2);
    OK(fcntl(b, F_SETFL, O_NONBLOCK));
    EQUAL(fcntl(a, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    OK(close(a));
    EQUAL(read(b, &byte, 1), 1);
    EQUAL(byte, 'c');
    FAILS(dup(a), EBADF);
    FAILS(dup(-1), EBADF);
}

CASE(open_of_the_same_file_twice_shares_no_offset)
{
    test_directory();
    write_text("file", "abcdef");
    int a = OK(open("file", O_RDONLY)), b = OK(open("file", O_RDONLY));
    char byte;
    EQUAL(read(a, &byte, 1), 1);
    EQUAL(lseek(b, 0, SEEK_CUR), 0);
}

CASE(fork_shares_offsets_with_the_child)
{
    test_directory();
    write_text("file", "abcdef");
    int fd = OK(open("file", O_RDONLY));
    IN_CHILD({ OK(lseek(fd, 3, SEEK_SET)); OK(fcntl(fd, F_SETFL, O_APPEND)); OK(close(fd)); });
    EQUAL(lseek(fd, 0, SEEK_CUR), 3);
    EQUAL(fcntl(fd, F_GETFL) & O_APPEND, O_APPEND);
}

CASE(dup2_closes_its_target_first)
{
    test_directory();
    int ends[2];
    OK(pipe(ends));
    int fd = OK(open(".", O_RDONLY));
    EQUAL(dup2(fd, ends[1]), ends[1]);
    // The pipe's last writer is gone.
    char byte;
    EQUAL(read(ends[0], &byte, 1), 0);
    EQUAL(dup2(fd, 500), 500);
    struct stat a, b;
    OK(fstat(fd, &a));
    OK(fstat(500, &b));
    EQUAL(a.st_ino, b.st_ino);
}

CASE(dup2_to_itself_changes_nothing)
{
    test_directory();
    int fd = OK(open(".", O_RDONLY | O_CLOEXEC));
    EQUAL(dup2(fd, fd), fd);
    EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    OK(close(fd));
    FAILS(dup2(fd, fd), EBADF);
    FAILS(dup2(fd, 77), EBADF);
    CHECK(!is_open(77));
}

CASE(dup2_of_a_bad_descriptor_leaves_the_target_open)
{
    test_directory();
    int fd = OK(open(".", O_RDONLY));
    FAILS(dup2(999, fd), EBADF);
    CHECK(is_open(fd));
    FAILS(dup2(fd, -1), EBADF);
    struct rlimit limit;
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    FAILS(dup2(fd, limit.rlim_cur), EBADF);
}

CASE(dup3_sets_O_CLOEXEC_and_nothing_else)
{
    test_directory();
    int fd = OK(open(".", O_RDONLY));
    EQUAL(dup3(fd, 60, O_CLOEXEC), 60);
    EQUAL(fcntl(60, F_GETFD), FD_CLOEXEC);
    EQUAL(dup3(fd, 60, 0), 60);
    EQUAL(fcntl(60, F_GETFD), 0);
    FAILS(dup3(fd, fd, 0), EINVAL);
    FAILS(dup3(fd, 61, O_NONBLOCK), EINVAL);
    FAILS(dup3(fd, 61, 1), EINVAL);
    FAILS(dup3(999, 61, 0), EBADF);
    FAILS(dup3(fd, -1, 0), EBADF);
}

CASE(dup_fails_with_EMFILE_at_the_limit)
{
    test_directory();
    close_inherited();
    int fd = OK(open(".", O_RDONLY));
    struct rlimit limit;
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = fd + 2;
    OK(setrlimit(RLIMIT_NOFILE, &limit));
    EQUAL(dup(fd), fd + 1);
    FAILS(dup(fd), EMFILE);
    FAILS(fcntl(fd, F_DUPFD, 0), EMFILE);
    FAILS(fcntl(fd, F_DUPFD, fd + 2), EINVAL);
    EQUAL(dup2(fd, fd + 1), fd + 1);
    FAILS(dup2(fd, fd + 2), EBADF);
}

CASE(fcntl_F_DUPFD_takes_the_lowest_from_its_argument_on)
{
    test_directory();
    close_inherited();
    int fd = OK(open(".", O_RDONLY | O_CLOEXEC));
    EQUAL(fcntl(fd, F_DUPFD, 100), 100);
    EQUAL(fcntl(fd, F_DUPFD, 100), 101);
    EQUAL(fcntl(fd, F_DUPFD_CLOEXEC, 100), 102);
    EQUAL(fcntl(101, F_GETFD), 0);
    EQUAL(fcntl(102, F_GETFD), FD_CLOEXEC);
    OK(close(101));
    EQUAL(fcntl(fd, F_DUPFD, 100), 101);
    FAILS(fcntl(fd, F_DUPFD, -1), EINVAL);
    FAILS(fcntl(999, F_DUPFD, 0), EBADF);
}

CASE(fcntl_F_SETFD_is_of_the_descriptor)
{
    test_directory();
    int a = OK(open(".", O_RDONLY)), b = OK(dup(a));
    OK(fcntl(a, F_SETFD, FD_CLOEXEC));
    EQUAL(fcntl(a, F_GETFD), FD_CLOEXEC);
    EQUAL(fcntl(b, F_GETFD), 0);
    OK(fcntl(a, F_SETFD, 0));
    EQUAL(fcntl(a, F_GETFD), 0);
    OK(fcntl(a, F_SETFD, 0xff));
    EQUAL(fcntl(a, F_GETFD), FD_CLOEXEC);
}

CASE(fcntl_F_SETFL_changes_only_what_may_change)
{
    test_directory();
    int fd = OK(open("file", O_RDWR | O_CREAT | O_SYNC, 0600));
    int before = OK(fcntl(fd, F_GETFL));
    OK(fcntl(fd, F_SETFL, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND | O_NONBLOCK));
    EQUAL(fcntl(fd, F_GETFL), before | O_APPEND | O_NONBLOCK);
    OK(fcntl(fd, F_SETFL, 0));
    EQUAL(fcntl(fd, F_GETFL), before);
    FAILS(fcntl(999, F_SETFL, 0), EBADF);
    FAILS(fcntl(999, F_GETFL), EBADF);
}

CASE(fcntl_F_SETFL_O_APPEND_takes_effect_at_once)
{
    test_directory();
    write_text("file", "abc");
    int fd = OK(open("file", O_WRONLY));
    OK(fcntl(fd, F_SETFL, O_APPEND));
    EQUAL(write(fd, "def", 3), 3);
    FILE_IS("file", "abcdef");
    OK(fcntl(fd, F_SETFL, 0));
    EQUAL(lseek(fd, 0, SEEK_SET), 0);
    EQUAL(write(fd, "x", 1), 1);
    FILE_IS("file", "xbcdef");
}

CASE(fcntl_unknown_commands_are_EINVAL)
{
    test_directory();
    int fd = OK(open(".", O_RDONLY));
    FAILS(fcntl(fd, 9999, 0), EINVAL);
    FAILS(fcntl(fd, -1, 0), EINVAL);
    FAILS(fcntl(999, 9999, 0), EBADF);
}

CASE(ioctl_FIOCLEX_FIONCLEX_and_FIONBIO)
{
    test_directory();
    int ends[2], on = 1, off = 0;
    OK(pipe(ends));
    OK(ioctl(ends[0], FIOCLEX));
    EQUAL(fcntl(ends[0], F_GETFD), FD_CLOEXEC);
    OK(ioctl(ends[0], FIONCLEX));
    EQUAL(fcntl(ends[0], F_GETFD), 0);
    OK(ioctl(ends[0], FIONBIO, &on));
    char byte;
    FAILS(read(ends[0], &byte, 1), EAGAIN);
    OK(ioctl(ends[0], FIONBIO, &off));
    EQUAL(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
    FAILS(ioctl(ends[0], FIONBIO, unmapped_address()), EFAULT);
    FAILS(ioctl(999, FIOCLEX), EBADF);
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
    FAILS(ioctl(fd, TCGETS, &on), ENOTTY);
    FAILS(ioctl(fd, 0x12345678, &on), ENOTTY);
}

CASE(ioctl_FIONREAD_of_a_file_is_what_follows_the_offset)
{
    test_directory();
    write_text("file", "abcdef");
    int fd = OK(open("file", O_RDONLY)), n = -1;
    OK(lseek(fd, 2, SEEK_SET));
    OK(ioctl(fd, FIONREAD, &n));
    EQUAL(n, 4);
}

CASE(fcntl_F_SETOWN_and_F_GETOWN)
{
    int ends[2];
    OK(pipe(ends));
    EQUAL(fcntl(ends[0], F_GETOWN), 0);
    OK(fcntl(ends[0], F_SETOWN, getpid()));
    EQUAL(fcntl(ends[0], F_GETOWN), getpid());
    struct f_owner_ex owner;
    OK(fcntl(ends[0], F_GETOWN_EX, &owner));
    EQUAL(owner.type, F_OWNER_PID);
    EQUAL(owner.pid, getpid());
    owner = (struct f_owner_ex){F_OWNER_PGRP, getpgrp()};
    OK(fcntl(ends[0], F_SETOWN_EX, &owner));
    // Not by F_GETOWN: it answers a group as a negative number, which may look like an error.
    owner = (struct f_owner_ex){F_OWNER_PID, 0};
    OK(fcntl(ends[0], F_GETOWN_EX, &owner));
    EQUAL(owner.type, F_OWNER_PGRP);
    EQUAL(owner.pid, getpgrp());
    owner = (struct f_owner_ex){77, getpid()};
    FAILS(fcntl(ends[0], F_SETOWN_EX, &owner), EINVAL);
    FAILS(fcntl(ends[0], F_SETOWN, 0x3fffffff), ESRCH);
}

CASE(fcntl_O_ASYNC_sends_SIGIO_to_the_owner)
{
    int ends[2];
    OK(pipe(ends));
    count_signals(SIGIO);
    OK(fcntl(ends[0], F_SETOWN, getpid()));
    OK(fcntl(ends[0], F_SETFL, O_ASYNC));
    EQUAL(fcntl(ends[0], F_GETFL) & O_ASYNC, O_ASYNC);
    EQUAL(write(ends[1], "x", 1), 1);
    EVENTUALLY(signals_seen == 1);
}

static volatile int async_fd, async_band;
static void on_async(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    async_fd = info->si_fd;
    async_band = info->si_band;
}

CASE(fcntl_F_SETSIG_sends_a_signal_with_the_descriptor)
{
    int ends[2];
    OK(pipe(ends));
    struct sigaction action = {.sa_sigaction = on_async, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGRTMIN + 3, &action, NULL));
    OK(fcntl(ends[0], F_SETSIG, SIGRTMIN + 3));
    EQUAL(fcntl(ends[0], F_GETSIG), SIGRTMIN + 3);
    OK(fcntl(ends[0], F_SETOWN, getpid()));
    OK(fcntl(ends[0], F_SETFL, O_ASYNC));
    async_fd = -1;
    EQUAL(write(ends[1], "x", 1), 1);
    EVENTUALLY(async_fd == ends[0]);
    CHECK((async_band & 1) != 0);       // POLL_IN's band
    FAILS(fcntl(ends[0], F_SETSIG, 99), EINVAL);
}

CASE(close_range_closes_a_range)
{
    test_directory();
    int fd = OK(open(".", O_RDONLY));
    for (int i = 100; i < 110; i++) EQUAL(dup2(fd, i), i);
    OK(close_range(102, 105, 0));
    for (int i = 100; i < 110; i++) EQUAL(is_open(i), i < 102 || i > 105);
    OK(close_range(102, 105, 0));
    OK(close_range(108, ~0u, 0));
    CHECK(is_open(107) && !is_open(108) && !is_open(109));
    CHECK(is_open(fd));
    FAILS(close_range(5, 4, 0), EINVAL);
    FAILS(close_range(5, 6, 0x80), EINVAL);
}

CASE(close_range_CLOSE_RANGE_CLOEXEC_marks_them)
{
    test_directory();
    int fd = OK(open(".", O_RDONLY));
    for (int i = 100; i < 104; i++) EQUAL(dup2(fd, i), i);
    OK(close_range(101, 102, CLOSE_RANGE_CLOEXEC));
    for (int i = 100; i < 104; i++) EQUAL(fcntl(i, F_GETFD), i == 101 || i == 102 ? FD_CLOEXEC : 0);
}

static int unshare_and_close(void *argument)
{
    (void)argument;
    return close_range(100, 100, CLOSE_RANGE_UNSHARE) == 0 && !is_open(100) && is_open(101) ? 0 : 1;
}

static int close_in_the_shared_table(void *argument)
{
    (void)argument;
    return close(101) == 0 ? 0 : 1;
}

CASE(close_range_CLOSE_RANGE_UNSHARE_leaves_the_other_table)
{
    test_directory();
    int fd = OK(open(".", O_RDONLY));
    OK(dup2(fd, 100));
    OK(dup2(fd, 101));
    char *stack = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REAP_EXIT(OK(clone(unshare_and_close, stack + 65536, CLONE_FILES | SIGCHLD, NULL)), 0);
    CHECK(is_open(100));
    REAP_EXIT(OK(clone(close_in_the_shared_table, stack + 65536, CLONE_FILES | SIGCHLD, NULL)), 0);
    CHECK(!is_open(101));
}

CASE(descriptors_grow_to_the_limit_and_are_all_distinct)
{
    test_directory();
    close_inherited();
    struct rlimit limit;
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = 1024;
    OK(setrlimit(RLIMIT_NOFILE, &limit));
    int first = OK(open(".", O_RDONLY)), last = first, fd;
    while ((fd = dup(first)) != -1)
    {
        EQUAL(fd, last + 1);
        last = fd;
    }
    EQUAL(errno, EMFILE);
    EQUAL(last, 1023);
    OK(close_range(first, 1023, 0));
    EQUAL(open(".", O_RDONLY), first);
}

CASE(descriptors_are_closed_by_exec_when_marked)
{
    test_directory();
    int kept = OK(open(".", O_RDONLY)), marked = OK(open(".", O_RDONLY | O_CLOEXEC));
    char a[16], b[16];
    snprintf(a, sizeof a, "%d", kept);
    snprintf(b, sizeof b, "%d", marked);
    IN_CHILD({
        execl(test_program, test_program, "--entry", "is_kept", a, b, NULL);
        test_fail(__FILE__, __LINE__, errno, "execl");
    });
}

ENTRY(is_kept)
{
    return is_open(atoi(argv[3])) && !is_open(atoi(argv[4])) ? 0 : 1;
}
