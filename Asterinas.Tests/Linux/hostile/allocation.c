// Allocation failures: each operation with its first allocation failing, then its second, and so on until none is left to fail. It answers an errno that says so, or is done; in
// between there is nothing: what the operation was to make is there whole or not at all, and the same operation works afterwards.
//
// The failures come by /proc/self/fail-nth, Linux' own interface (fault injection, CONFIG_FAULT_INJECTION): a number N written there makes the task's N-th allocation from then on
// fail; it reads 0 when that has happened. Where it is missing the operations are checked without failures, which a guest is not forgiven (HOSTILE_IN_GUEST).
#include "../common/hostile.h"
#include <dirent.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/select.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/xattr.h>

static int control = -1;

static void open_control(void)
{
    control = open("/proc/self/fail-nth", O_RDWR | O_CLOEXEC);
    CHECK_THAT(control >= 0 || getenv("HOSTILE_IN_GUEST") == NULL, "/proc/self/fail-nth is missing");
}

static void arm(int nth)
{
    if (control == -1) return;
    char text[16];
    int length = snprintf(text, sizeof text, "%d", nth);
    EQUAL(pwrite(control, text, length, 0), length);
}

// Whether the failure has come. Anything but a plain 0 means that it has not (also when it hit the reading itself).
static bool disarm(void)
{
    if (control == -1) return false;
    char text[16] = "";
    ssize_t length = pread(control, text, sizeof text - 1, 0);
    while (pwrite(control, "0", 1, 0) != 1) { }
    return length > 0 && atoi(text) == 0;
}

static bool is_of_memory(int error)
{
    // EFAULT: the page that the kernel was to write to could not be made.
    return error == ENOMEM || error == EAGAIN || error == ENOLCK || error == ENOBUFS || error == ENFILE || error == EFAULT || error == ENOSPC;
}

// Runs `operation` (an expression that is -1 on failure) with each of its allocations failing once; `undo` takes back what a success made; `nothing` must hold after a failure.
#define EACH_FAILURE(operation, undo, nothing)                                                                         \
    do                                                                                                                 \
    {                                                                                                                  \
        for (int nth_ = 1;; nth_++)                                                                                    \
        {                                                                                                              \
            CHECK_THAT(nth_ < 5000, "%s has no end of allocations", #operation);                                       \
            arm(nth_);                                                                                                 \
            long result = (long)(operation);                                                                           \
            int error_ = errno;                                                                                        \
            bool injected_ = disarm();                                                                                 \
            if (result == -1)                                                                                          \
            {                                                                                                          \
                CHECK_THAT(is_of_memory(error_), "%s: allocation %d: errno %d", #operation, nth_, error_);             \
                CHECK_THAT(injected_, "%s failed without an injected failure: errno %d", #operation, error_);          \
                CHECK_THAT(nothing, "%s failed and left something (allocation %d)", #operation, nth_);                 \
            }                                                                                                          \
            else                                                                                                       \
            {                                                                                                          \
                undo;                                                                                                  \
                if (!injected_) break;                                                                                 \
            }                                                                                                          \
        }                                                                                                              \
    } while (0)

static int next_descriptor(void)
{
    int fd = OK(dup(0));
    OK(close(fd));
    return fd;
}

#define NO_DESCRIPTOR (next_descriptor() == first)

CASE_LIMIT(descriptors, 600)
{
    open_control();
    test_directory();
    write_text("file", "text");
    int first = next_descriptor(), ends[2];
    EACH_FAILURE(open("file", O_RDONLY), OK(close(result)), NO_DESCRIPTOR);
    EACH_FAILURE(pipe(ends), (OK(close(ends[0])), OK(close(ends[1]))), NO_DESCRIPTOR);
    EACH_FAILURE(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), (OK(close(ends[0])), OK(close(ends[1]))), NO_DESCRIPTOR);
    EACH_FAILURE(eventfd(0, 0), OK(close(result)), NO_DESCRIPTOR);
    EACH_FAILURE(epoll_create1(0), OK(close(result)), NO_DESCRIPTOR);
    EACH_FAILURE(timerfd_create(CLOCK_MONOTONIC, 0), OK(close(result)), NO_DESCRIPTOR);
    EACH_FAILURE(inotify_init1(0), OK(close(result)), NO_DESCRIPTOR);
    EACH_FAILURE(syscall(SYS_memfd_create, "x", 0), OK(close(result)), NO_DESCRIPTOR);
    EACH_FAILURE(syscall(SYS_pidfd_open, getpid(), 0), OK(close(result)), NO_DESCRIPTOR);
    sigset_t set;
    sigemptyset(&set);
    EACH_FAILURE(signalfd(-1, &set, 0), OK(close(result)), NO_DESCRIPTOR);
    // The table grows for a high number; what was at it stays what it was.
    EACH_FAILURE(fcntl(0, F_DUPFD, 900), OK(close(result)), fcntl(900, F_GETFD) == -1);
    int file = OK(open("file", O_RDONLY)), target = OK(open("/dev/null", O_RDONLY));
    char byte;
    EACH_FAILURE(dup2(file, target), (OK(dup2(OK(open("/dev/null", O_RDONLY)), target)), OK(close(next_descriptor() - 1))), read(target, &byte, 1) == 0);
}

CASE_LIMIT(names, 600)
{
    open_control();
    test_directory();
    write_text("file", "text");
    OK(mkdir("old", 0755));
    OK(mkdir("new", 0755));
    EACH_FAILURE(open("made", O_RDWR | O_CREAT | O_EXCL, 0600), (OK(close(result)), OK(unlink("made"))), access("made", F_OK) == -1 || unlink("made") == 0);
    EACH_FAILURE(mkdir("made", 0700), OK(rmdir("made")), access("made", F_OK) == -1);
    EACH_FAILURE(symlink("target", "made"), OK(unlink("made")), faccessat(AT_FDCWD, "made", F_OK, AT_SYMLINK_NOFOLLOW) == -1);
    EACH_FAILURE(mknod("made", S_IFIFO | 0600, 0), OK(unlink("made")), access("made", F_OK) == -1);
    struct stat status;
    EACH_FAILURE(link("file", "made"), OK(unlink("made")), access("made", F_OK) == -1 && stat("file", &status) == 0 && status.st_nlink == 1);
    EACH_FAILURE(rename("file", "made"), OK(rename("made", "file")), access("made", F_OK) == -1 && access("file", F_OK) == 0);
    EACH_FAILURE(rename("old", "new"), OK(mkdir("old", 0755)), access("old", F_OK) == 0 && access("new", F_OK) == 0);
    EACH_FAILURE(unlink("file"), write_text("file", "text"), access("file", F_OK) == 0);
    EACH_FAILURE(rmdir("old"), OK(mkdir("old", 0755)), access("old", F_OK) == 0);
    EACH_FAILURE(chdir("old"), OK(chdir("..")), access("old", F_OK) == 0);
    EACH_FAILURE(stat("new/../old/../file", &status), EQUAL(status.st_size, 4), true);
    char text[64];
    OK(symlink("some/target", "link"));
    EACH_FAILURE(readlink("link", text, sizeof text), EQUAL(result, 11), true);
    int directory = OK(open(".", O_RDONLY));
    char entries[1024];
    EACH_FAILURE((lseek(directory, 0, SEEK_SET), syscall(SYS_getdents64, directory, entries, sizeof entries)), CHECK(result > 0), true);
    if (setxattr("file", "user.probe", "x", 1, 0) == 0)
    {
        EACH_FAILURE(setxattr("file", "user.made", "value", 5, XATTR_CREATE), OK(removexattr("file", "user.made")), getxattr("file", "user.made", text, 10) == -1);
    }
}

CASE_LIMIT(data, 600)
{
    open_control();
    test_directory();
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600)), ends[2];
    static char bytes[3 * 4096], back[3 * 4096];
    memset(bytes, 'x', sizeof bytes);
    struct stat status;
    // Written whole, in part or not: the size is what the call said.
    EACH_FAILURE((ftruncate(fd, 0) == 0 ? pwrite(fd, bytes, sizeof bytes, 0) : -1),
                 ({
                     OK(fstat(fd, &status));
                     EQUAL(status.st_size, result);
                     EQUAL(pread(fd, back, sizeof back, 0), result);
                     CHECK(memcmp(bytes, back, result) == 0);
                 }),
                 fstat(fd, &status) == 0 && status.st_size == 0);
    OK(pipe2(ends, O_NONBLOCK));
    EACH_FAILURE(write(ends[1], bytes, sizeof bytes), EQUAL(read(ends[0], back, sizeof back), result), read(ends[0], back, 1) == -1);
    int pair[2];
    OK(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, pair));
    EACH_FAILURE(send(pair[0], bytes, 1000, 0), EQUAL(recv(pair[1], back, sizeof back, 0), result), recv(pair[1], back, 1, 0) == -1);
    EACH_FAILURE(ftruncate(fd, 100000), OK(ftruncate(fd, 0)), fstat(fd, &status) == 0);
    EACH_FAILURE(fallocate(fd, 0, 0, 20000), OK(ftruncate(fd, 0)), fstat(fd, &status) == 0 && status.st_size <= 20000);
    struct flock lock = {.l_type = F_WRLCK, .l_start = 10, .l_len = 10}, whole = {.l_type = F_UNLCK};
    EACH_FAILURE(fcntl(fd, F_SETLK, &lock), OK(fcntl(fd, F_SETLK, &whole)), true);
    EACH_FAILURE(flock(fd, LOCK_EX), OK(flock(fd, LOCK_UN)), true);
    int epoll = OK(epoll_create1(0));
    struct epoll_event event = {.events = EPOLLIN};
    EACH_FAILURE(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[0], &event), OK(epoll_ctl(epoll, EPOLL_CTL_DEL, ends[0], NULL)), epoll_ctl(epoll, EPOLL_CTL_DEL, ends[0], NULL) == -1 && errno == ENOENT);
    int inotify = OK(inotify_init1(0));
    EACH_FAILURE(inotify_add_watch(inotify, ".", IN_CREATE), OK(inotify_rm_watch(inotify, result)), true);
    struct pollfd list[100];
    for (int i = 0; i < 100; i++) list[i] = (struct pollfd){ends[1], POLLOUT, 0};
    EACH_FAILURE(poll(list, 100, 0), EQUAL(result, 100), true);
}

CASE_LIMIT(memory, 600)
{
    open_control();
    size_t size = 8 * 4096;
    EACH_FAILURE(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), OK(munmap((void *)result, size)), true);
    EACH_FAILURE(mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0), OK(munmap((void *)result, size)), true);
    char *area = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(area, 'm', size);
    unsigned char present;
    // A hole in the middle, a protection in the middle: a mapping more.
    EACH_FAILURE(munmap(area + 4096, 4096), (mmap(area + 4096, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0), memset(area + 4096, 'm', 4096)),
                 mincore(area + 4096, 1, &present) == 0 && area[4096] == 'm');
    EACH_FAILURE(mprotect(area + 8192, 4096, PROT_NONE), OK(mprotect(area + 8192, 4096, PROT_READ | PROT_WRITE)), (area[8192] = 'm') == 'm');
    EACH_FAILURE(mremap(area, size, 2 * size, MREMAP_MAYMOVE), (area = (char *)mremap((void *)result, 2 * size, size, 0)), area[size - 1] == 'm');
    for (size_t i = 0; i < size; i++) EQUAL(area[i], 'm');
    char *heap = (char *)syscall(SYS_brk, 0);
    EACH_FAILURE((syscall(SYS_brk, heap + 65536) == (long)heap + 65536 ? 0 : (errno = ENOMEM, -1)), EQUAL(syscall(SYS_brk, heap), (long)heap), syscall(SYS_brk, 0) == (long)heap);
    EACH_FAILURE(mlock(area, size), OK(munlock(area, size)), true);
    // A fault without memory: the process is killed, or the page comes.
    for (int nth = 1; nth < 200; nth++)
    {
        pid_t child = CHILD({
            open_control();
            volatile char *fresh = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            arm(nth);
            fresh[0] = 1;
            area[0] = 'c';
            _exit(disarm() ? 1 : 2);
        });
        int status;
        EQUAL(waitpid(child, &status, 0), child);
        CHECK_THAT(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGBUS || WTERMSIG(status) == SIGSEGV : WEXITSTATUS(status) <= 2, "%#x", status);
        EQUAL(area[0], 'm');
        if (status == 2 << 8) break;
    }
}

static void *returns(void *argument) { return argument; }

ENTRY(nothing) { return 0; }

CASE_LIMIT(processes, 600)
{
    open_control();
    // A child of a failed fork does not exist.
    for (int nth = 1; nth < 5000; nth++)
    {
        arm(nth);
        pid_t child = fork();
        if (child == 0) _exit(5);
        int error = errno;
        bool injected = disarm();
        if (child == -1)
        {
            CHECK_THAT(injected && is_of_memory(error), "fork: errno %d", error);
            FAILS(waitpid(-1, NULL, 0), ECHILD);
            continue;
        }
        REAP_EXIT(child, 5);
        if (!injected) break;
    }
    for (int nth = 1; nth < 5000; nth++)
    {
        pthread_t thread;
        arm(nth);
        int error = pthread_create(&thread, NULL, returns, NULL);
        bool injected = disarm();
        if (error == 0) EQUAL(pthread_join(thread, NULL), 0);
        else CHECK_THAT(injected && is_of_memory(error), "pthread_create: %d", error);
        if (error == 0 && !injected) break;
    }
    // execve: back with an errno and all as it was, or dead, or done.
    for (int nth = 1; nth < 5000; nth++)
    {
        pid_t child = CHILD({
            open_control();
            char *arguments[] = {"x", "--entry", "nothing", NULL};
            arm(nth);
            execve(test_program, arguments, environ);
            int error = errno;
            _exit(disarm() && is_of_memory(error) ? 3 : 4);
        });
        int status;
        EQUAL(waitpid(child, &status, 0), child);
        CHECK_THAT(status == 0 || status == 3 << 8 || (WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS)), "execve: %#x", status);
        if (status == 0 && (control == -1 || nth > 400)) break;      // the new program cannot say whether its failure came: a fixed number of tries
    }
    int timer;
    EACH_FAILURE(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &timer), OK(syscall(SYS_timer_delete, timer)), true);
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    struct timespec now = {0, 0};
    EACH_FAILURE(sigqueue(getpid(), SIGRTMIN, (union sigval){0}), EQUAL(sigtimedwait(&set, NULL, &now), SIGRTMIN), sigtimedwait(&set, NULL, &now) == -1);
    gid_t groups[100] = {0};
    EACH_FAILURE(syscall(SYS_setgroups, 100, groups), OK(syscall(SYS_setgroups, 0, NULL)), getgroups(0, NULL) == 0);
    EACH_FAILURE(setresuid(-1, -1, -1), OK(0), getuid() == 0);
    EACH_FAILURE(kill(getpid(), 0), OK(0), true);
}

CASE(all_works_afterwards)
{
    test_directory();
    write_text("file", "x");
    for (int i = 0; i < 20; i++) REAP_EXIT(CHILD({ _exit(i); }), i);
    pthread_t thread;
    EQUAL(pthread_create(&thread, NULL, returns, NULL), 0);
    EQUAL(pthread_join(thread, NULL), 0);
}
