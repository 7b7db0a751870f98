// Bad pointers to every call that takes one: unmapped, inaccessible, of the kernel, non-canonical, and half there. The answer is EFAULT, never a signal, never success.
#include "../common/hostile.h"
#include <linux/futex.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <sys/uio.h>

// A pointer argument in the table. STRING: one without an end is bad too; WHOLE: a structure of nine bytes or more; BYTE: one of two to eight bytes.
#define STRING (-1001L)
#define WHOLE (-1002L)
#define BYTE (-1003L)

// Descriptors and things that the calls need; filled in by prepare.
static struct
{
    int directory, file, pipe_in, pipe_out, socket, other_socket, epoll, event, timer_fd, inotify;
    int timer;
    char buffer[8192];
    struct iovec vector[2];
    struct timespec time;
    struct msghdr message;
    sigset_t set;
    int word;
    struct epoll_event epoll_event;
} it;

#define P(field) ((long)&it.field)

struct row
{
    const char *name;
    long number;
    long arguments[6];
};

static struct row rows[200];
static int row_count;

static void row(const char *name, long number, long a, long b, long c, long d, long e, long f)
{
    CHECK(row_count < 200);
    rows[row_count++] = (struct row){name, number, {a, b, c, d, e, f}};
}

#define ROW6(call, a, b, c, d, e, f) row(#call, SYS_##call, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))
#define ROW5(call, a, b, c, d, e) ROW6(call, a, b, c, d, e, 0)
#define ROW4(call, a, b, c, d) ROW6(call, a, b, c, d, 0, 0)
#define ROW3(call, a, b, c) ROW6(call, a, b, c, 0, 0, 0)
#define ROW2(call, a, b) ROW6(call, a, b, 0, 0, 0, 0)
#define ROW1(call, a) ROW6(call, a, 0, 0, 0, 0, 0)

static void prepare(void)
{
    test_directory();
    write_text("file", "0123456789");
    OK(mkdir("directory", 0755));
    OK(symlink("file", "link"));
    it.directory = OK(open(".", O_RDONLY | O_DIRECTORY));
    it.file = OK(open("file", O_RDWR));
    int ends[2];
    OK(pipe2(ends, O_NONBLOCK));
    it.pipe_in = ends[0], it.pipe_out = ends[1];
    static char bytes[64];
    EQUAL(write(it.pipe_out, bytes, sizeof bytes), sizeof bytes);
    OK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends));
    it.socket = ends[0], it.other_socket = ends[1];
    EQUAL(send(it.other_socket, bytes, 32, 0), 32);
    it.epoll = OK(epoll_create1(0));
    it.event = OK(eventfd(1, EFD_NONBLOCK));
    it.epoll_event.events = EPOLLIN;
    OK(epoll_ctl(it.epoll, EPOLL_CTL_ADD, it.event, &it.epoll_event));
    it.timer_fd = OK(timerfd_create(CLOCK_MONOTONIC, 0));
    it.inotify = OK(inotify_init1(0));
    it.vector[0] = (struct iovec){it.buffer, 16};
    it.vector[1] = (struct iovec){it.buffer + 4096, 16};
    it.time = (struct timespec){0, 1};
    it.message = (struct msghdr){.msg_iov = it.vector, .msg_iovlen = 2};
}

static void fill_table(void)
{
    row_count = 0;
    // Names.
    ROW3(open, STRING, O_RDONLY, 0);
    ROW4(openat, AT_FDCWD, STRING, O_RDONLY, 0);
    ROW2(creat, STRING, 0600);
    ROW2(stat, STRING, P(buffer));
    ROW2(stat, "file", WHOLE);
    ROW2(lstat, STRING, P(buffer));
    ROW2(lstat, "file", WHOLE);
    ROW2(fstat, it.file, WHOLE);
    ROW4(newfstatat, AT_FDCWD, STRING, P(buffer), 0);
    ROW4(newfstatat, AT_FDCWD, "file", WHOLE, 0);
    ROW5(statx, AT_FDCWD, STRING, 0, 0x7ff, P(buffer));
    ROW5(statx, AT_FDCWD, "file", 0, 0x7ff, WHOLE);
    ROW2(statfs, STRING, P(buffer));
    ROW2(statfs, ".", WHOLE);
    ROW2(fstatfs, it.file, WHOLE);
    ROW2(access, STRING, R_OK);
    ROW3(faccessat, AT_FDCWD, STRING, R_OK);
    ROW1(chdir, STRING);
    ROW1(chroot, STRING);
    ROW2(mkdir, STRING, 0700);
    ROW3(mkdirat, AT_FDCWD, STRING, 0700);
    ROW1(rmdir, STRING);
    ROW1(unlink, STRING);
    ROW3(unlinkat, AT_FDCWD, STRING, 0);
    ROW2(rename, STRING, "x");
    ROW2(rename, "file", STRING);
    ROW4(renameat, AT_FDCWD, STRING, AT_FDCWD, "x");
    ROW5(renameat2, AT_FDCWD, "file", AT_FDCWD, STRING, 0);
    ROW2(link, STRING, "x");
    ROW2(link, "file", STRING);
    ROW5(linkat, AT_FDCWD, STRING, AT_FDCWD, "x", 0);
    ROW2(symlink, STRING, "x");
    ROW2(symlink, "x", STRING);
    ROW3(symlinkat, STRING, AT_FDCWD, "x");
    ROW3(readlink, STRING, P(buffer), 100);
    ROW3(readlink, "link", BYTE, 100);
    ROW4(readlinkat, AT_FDCWD, "link", BYTE, 100);
    ROW2(chmod, STRING, 0600);
    ROW3(fchmodat, AT_FDCWD, STRING, 0600);
    ROW3(chown, STRING, 0, 0);
    ROW3(lchown, STRING, 0, 0);
    ROW5(fchownat, AT_FDCWD, STRING, 0, 0, 0);
    ROW2(truncate, STRING, 10);
    ROW3(mknod, STRING, S_IFIFO | 0600, 0);
    ROW4(mknodat, AT_FDCWD, STRING, S_IFIFO | 0600, 0);
    ROW2(utime, STRING, 0);
    ROW2(utime, "file", WHOLE);
    ROW2(utimes, STRING, 0);
    ROW2(utimes, "file", WHOLE);
    ROW3(futimesat, AT_FDCWD, STRING, 0);
    ROW4(utimensat, AT_FDCWD, STRING, 0, 0);
    ROW4(utimensat, AT_FDCWD, "file", WHOLE, 0);
    ROW3(execve, STRING, 0, 0);
    ROW5(execveat, AT_FDCWD, STRING, 0, 0, 0);
    ROW4(openat2, AT_FDCWD, "file", WHOLE, 24);
    ROW2(getcwd, BYTE, 4096);
    ROW5(mount, "none", STRING, "tmpfs", 0, 0);
    ROW2(umount2, STRING, 0);
    ROW5(setxattr, STRING, "user.a", "v", 1, 0);
    ROW5(setxattr, "file", STRING, "v", 1, 0);
    ROW4(getxattr, STRING, "user.a", P(buffer), 100);
    ROW4(getxattr, "file", STRING, P(buffer), 100);
    ROW3(listxattr, STRING, P(buffer), 100);
    ROW2(removexattr, STRING, "user.a");
    ROW2(removexattr, "file", STRING);
    ROW3(inotify_add_watch, it.inotify, STRING, 1);
    ROW2(memfd_create, STRING, 0);
    // Reading and writing.
    ROW4(pread64, it.file, BYTE, 10, 0);
    ROW4(pwrite64, it.file, WHOLE, 4096, 0);
    ROW3(write, it.event, BYTE, 8);
    ROW3(readv, it.pipe_in, WHOLE, 2);
    ROW3(writev, it.pipe_out, WHOLE, 2);
    ROW4(preadv, it.file, WHOLE, 2, 0);
    ROW4(pwritev, it.file, WHOLE, 2, 0);
    ROW6(preadv2, it.file, WHOLE, 2, 0, 0, 0);
    ROW3(getdents64, it.directory, BYTE, 4096);
    ROW4(sendfile, it.pipe_out, it.file, BYTE, 4);
    ROW6(splice, it.file, BYTE, it.pipe_out, 0, 4, 0);
    ROW6(copy_file_range, it.file, BYTE, it.file, 0, 4, 0);
    ROW4(vmsplice, it.pipe_out, WHOLE, 2, 0);
    ROW3(fcntl, it.file, F_GETLK, WHOLE);
    ROW3(fcntl, it.file, F_SETLK, WHOLE);
    ROW3(fcntl, it.file, F_SETLKW, WHOLE);
    ROW3(ioctl, it.pipe_in, FIONREAD, BYTE);
    ROW1(pipe, BYTE);
    ROW2(pipe2, BYTE, O_CLOEXEC);
    // Waiting.
    ROW3(poll, BYTE, 1, 0);
    ROW5(ppoll, BYTE, 1, P(time), 0, 8);
    ROW5(ppoll, 0, 0, WHOLE, 0, 8);
    ROW5(ppoll, 0, 0, P(time), BYTE, 8);
    ROW5(select, 64, BYTE, 0, 0, P(buffer));
    ROW5(select, 64, 0, BYTE, 0, P(buffer));
    ROW5(select, 64, 0, 0, BYTE, P(buffer));
    ROW5(select, 0, 0, 0, 0, WHOLE);
    ROW6(pselect6, 0, 0, 0, 0, WHOLE, 0);
    ROW6(pselect6, 0, 0, 0, 0, P(time), WHOLE);
    ROW4(epoll_ctl, it.epoll, EPOLL_CTL_MOD, it.event, WHOLE);
    ROW4(epoll_wait, it.epoll, WHOLE, 1, 0);
    ROW6(epoll_pwait, it.epoll, P(epoll_event), 1, 0, BYTE, 8);
    ROW4(timerfd_settime, it.timer_fd, 0, WHOLE, 0);
    ROW2(timerfd_gettime, it.timer_fd, WHOLE);
    ROW4(signalfd4, -1, BYTE, 8, 0);
    // Signals.
    ROW4(rt_sigaction, SIGUSR1, WHOLE, 0, 8);
    ROW4(rt_sigaction, SIGUSR1, 0, WHOLE, 8);
    ROW4(rt_sigprocmask, SIG_BLOCK, BYTE, 0, 8);
    ROW4(rt_sigprocmask, SIG_BLOCK, 0, BYTE, 8);
    ROW2(rt_sigpending, BYTE, 8);
    ROW2(rt_sigsuspend, BYTE, 8);
    ROW4(rt_sigtimedwait, BYTE, 0, P(time), 8);
    ROW4(rt_sigtimedwait, P(set), 0, WHOLE, 8);
    ROW3(rt_sigqueueinfo, getpid(), 0, WHOLE);
    ROW2(sigaltstack, WHOLE, 0);
    ROW2(sigaltstack, 0, WHOLE);
    // Processes.
    ROW2(clone3, WHOLE, 88);
    ROW2(getrusage, 0, WHOLE);
    ROW2(getrlimit, 0, WHOLE);
    ROW2(setrlimit, RLIMIT_CORE, WHOLE);
    ROW4(prlimit64, 0, RLIMIT_CORE, WHOLE, 0);
    ROW4(prlimit64, 0, RLIMIT_CORE, 0, WHOLE);
    ROW1(times, WHOLE);
    ROW1(sysinfo, WHOLE);
    ROW1(uname, WHOLE);
    ROW2(sethostname, WHOLE, 20);
    ROW2(setdomainname, WHOLE, 20);
    ROW2(setgroups, 4, BYTE);
    ROW3(getresuid, BYTE, P(buffer), P(buffer));
    ROW3(getresgid, P(buffer), P(buffer), BYTE);
    ROW2(capget, BYTE, P(buffer));
    ROW2(capset, BYTE, P(buffer));
    ROW3(sched_setaffinity, 0, 128, BYTE);
    ROW3(sched_getaffinity, 0, 128, BYTE);
    ROW3(sched_setscheduler, 0, 0, BYTE);
    ROW2(sched_setparam, 0, BYTE);
    ROW2(sched_getparam, 0, BYTE);
    ROW2(sched_rr_get_interval, 0, WHOLE);
    ROW3(sched_setattr, 0, BYTE, 0);
    ROW4(sched_getattr, 0, WHOLE, 48, 0);
    ROW3(getcpu, BYTE, 0, 0);
    ROW2(arch_prctl, 0x1003, BYTE);
    ROW2(prctl, 15, STRING);
    ROW2(prctl, 16, WHOLE);
    ROW3(get_robust_list, 0, BYTE, P(buffer));
    ROW3(get_robust_list, 0, P(buffer), BYTE);
    ROW3(getrandom, BYTE, 100, 0);
    ROW6(process_vm_readv, getpid(), WHOLE, 1, P(vector), 1, 0);
    ROW6(process_vm_readv, getpid(), P(vector), 1, WHOLE, 1, 0);
    // Memory.
    ROW3(mincore, (long)&it & -4096, 8192, BYTE);
    ROW6(futex, BYTE, FUTEX_WAIT, 0, P(time), 0, 0);
    ROW6(futex, P(word), FUTEX_WAIT, 0, WHOLE, 0, 0);
    ROW6(futex, P(word), FUTEX_CMP_REQUEUE, 0, 0, BYTE, 0);
    // Time.
    ROW2(clock_gettime, CLOCK_MONOTONIC, WHOLE);
    ROW2(clock_getres, CLOCK_MONOTONIC, WHOLE);
    ROW2(clock_settime, CLOCK_REALTIME, WHOLE);
    ROW4(clock_nanosleep, CLOCK_MONOTONIC, 0, WHOLE, 0);
    ROW2(nanosleep, WHOLE, 0);
    ROW2(gettimeofday, WHOLE, 0);
    ROW2(gettimeofday, 0, BYTE);
    ROW2(settimeofday, WHOLE, 0);
    ROW1(time, BYTE);
    ROW2(getitimer, ITIMER_REAL, WHOLE);
    ROW3(setitimer, ITIMER_REAL, WHOLE, 0);
    ROW3(timer_create, CLOCK_MONOTONIC, WHOLE, P(buffer));
    ROW3(timer_create, CLOCK_MONOTONIC, 0, BYTE);
    ROW4(timer_settime, it.timer, 0, WHOLE, 0);
    ROW2(timer_gettime, it.timer, WHOLE);
    // Sockets.
    ROW3(bind, it.socket, WHOLE, 20);
    ROW3(connect, it.socket, WHOLE, 20);
    ROW3(getsockname, it.socket, P(buffer), BYTE);
    ROW3(getpeername, it.socket, P(buffer), BYTE);
    ROW6(sendto, it.socket, WHOLE, 20, 0, 0, 0);
    ROW6(sendto, it.socket, P(buffer), 20, 0, WHOLE, 20);
    ROW3(sendmsg, it.socket, WHOLE, 0);
    ROW3(recvmsg, it.socket, WHOLE, MSG_PEEK);
    ROW5(getsockopt, it.socket, SOL_SOCKET, SO_TYPE, BYTE, P(word));
    ROW5(getsockopt, it.socket, SOL_SOCKET, SO_TYPE, P(buffer), BYTE);
    ROW5(setsockopt, it.socket, SOL_SOCKET, SO_PASSCRED, BYTE, 4);
    ROW4(socketpair, AF_UNIX, SOCK_STREAM, 0, BYTE);
}

static void fails(int number)
{
    (void)number;
    _exit(88);
}

static void check_row(const struct row *row)
{
    OK(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &it.timer));        // not inherited
    for (int position = 0; position < 6; position++)
    {
        long kind = row->arguments[position];
        if (kind != STRING && kind != WHOLE && kind != BYTE) continue;
        for (int pointer = 0; pointer < BAD_POINTERS; pointer++)
        {
            if (kind == BYTE && pointer == 9) continue;        // eight bytes are there
            long arguments[6];
            memcpy(arguments, row->arguments, sizeof arguments);
            arguments[position] = (long)bad_pointer(pointer);
            it.word = 4;
            if (row->number == SYS_futex) it.word = 0;
            errno = 0;
            long result = syscall(row->number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
            // What a call may say of addresses that are not aligned or beyond user space, by its manual page.
            bool is_other = result == -1 && errno == EINVAL && (row->number == SYS_futex || row->number == SYS_vmsplice);
            // Data that is half there may be written in part.
            bool is_partial = result > 0 && is_half_mapped(pointer) && (row->number == SYS_pwrite64 || row->number == SYS_getrandom || row->number == SYS_pread64);
            CHECK_THAT((result == -1 && errno == EFAULT) || is_other || is_partial, "%s, argument %d, pointer %d (%p): %ld errno %d %s", row->name, position, pointer,
                       (void *)arguments[position], result, errno, strerrorname_np(errno));
        }
    }
}

CASE_LIMIT(bad_pointers_are_EFAULT, 300)
{
    prepare();
    fill_table();
    int bad = 0;
    for (int i = 0; i < row_count; i++)
    {
        // A child each: what one call leaves behind does not change the next.
        pid_t child = CHILD({
            for (int number = 1; number < 32; number++) signal(number, number == SIGPIPE || number == SIGCHLD ? SIG_IGN : fails);
            check_row(&rows[i]);
        });
        int status;
        EQUAL(waitpid(child, &status, 0), child);
        if (status == 0) continue;
        test_say("note %s: %s: status %#x", test_name, rows[i].name, status);
        bad++;
    }
    EQUAL(bad, 0);
}

CASE(half_mapped_buffers_are_used_as_far_as_they_go)
{
    prepare();
    char *edge = (char *)before_unmapped(0);
    // Ten bytes of the file, of which four have room; a whole failure would be right as well, but not more than four and not less than nothing.
    ssize_t length = pread(it.file, edge - 4, 10, 0);
    CHECK(length == 4 || (length == -1 && errno == EFAULT));
    if (length == 4) CHECK(memcmp(edge - 4, "0123", 4) == 0);
    memcpy(edge - 4, "abcd", 4);
    length = pwrite(it.file, edge - 4, 10, 100);
    CHECK(length == 4 || (length == -1 && errno == EFAULT));
    struct stat status;
    OK(fstat(it.file, &status));
    EQUAL(status.st_size, length == 4 ? 104 : 10);
    // A vector whose second part is bad.
    struct iovec vector[2] = {{it.buffer, 5}, {edge, 5}};
    length = preadv(it.file, vector, 2, 0);
    CHECK(length == 5 || (length == -1 && errno == EFAULT));
    int ends[2];
    OK(pipe(ends));
    length = writev(ends[1], vector, 2);
    CHECK(length == 5 || (length == -1 && errno == EFAULT));
    // A record is given whole or not at all: directory entries, events, signals.
    length = syscall(SYS_getdents64, it.directory, edge - 40, 4096);
    CHECK(length > 0 || (length == -1 && errno == EFAULT));
    FAILS(read(it.event, edge - 4, 8), EFAULT);
    uint64_t value = 0;
    length = read(it.event, &value, 8);
    CHECK((length == 8 && value == 1) || (length == -1 && errno == EAGAIN));        // Linux has taken it by then
}

CASE(failed_calls_leave_no_descriptors_behind)
{
    prepare();
    int first = OK(dup(0));
    OK(close(first));
    for (int i = 0; i < 50; i++)
    {
        FAILS(syscall(SYS_pipe2, unmapped_address(), 0), EFAULT);
        FAILS(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, unmapped_address()), EFAULT);
        FAILS(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, unmapped_address()), EFAULT);
        FAILS(syscall(SYS_open, unmapped_address(), O_RDONLY, 0), EFAULT);
        FAILS(syscall(SYS_memfd_create, unmapped_address(), 0), EFAULT);
        FAILS(syscall(SYS_signalfd4, -1, unmapped_address(), 8, 0), EFAULT);
    }
    int last = OK(dup(0));
    EQUAL(last, first);
}

CASE_LIMIT(every_number_with_every_bad_pointer_everywhere, 600)
{
    // No expectation but survival: all numbers, all six arguments the same bad pointer, then one of them among zeros.
    static const short never[] = {SYS_exit, SYS_exit_group, SYS_rt_sigreturn, SYS_reboot, SYS_vfork, SYS_pause, SYS_vhangup, SYS_fork, SYS_clone, 435, SYS_rt_sigsuspend, SYS_kexec_load,
                                  320, 425, 426, 427, 321, SYS_perf_event_open, SYS_sync, 175, 313, 176, 335, 336};
    int *number = shared_memory(4096);
    const char *directory = test_directory();
    for (*number = 0; *number < 470; ++*number)
    {
        bool skip = false;
        for (size_t i = 0; i < sizeof never / sizeof *never; i++) skip |= *number == never[i];
        if (skip) continue;
        pid_t child = CHILD({
            enter_box(0, directory);
            alarm(5);
            for (int pointer = 0; pointer < BAD_POINTERS; pointer++)
            {
                long p = (long)bad_pointer(pointer);
                syscall(*number, p, p, p, p, p, p);
                for (int position = 0; position < 6; position++)
                {
                    long arguments[6] = {0};
                    arguments[position] = p;
                    syscall(*number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
                }
            }
        });
        int status;
        EQUAL(waitpid(child, &status, 0), child);
        // Calls such as munmap take the ground from under the process: it may die, the kernel may not.
    }
}
