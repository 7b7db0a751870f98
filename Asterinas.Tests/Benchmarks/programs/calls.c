// The cost of entering the kernel and of simple calls.
#include "bench.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/select.h>

JOB(null_call, 300000)
{
    long sum = 0, parent = getppid();
    start();
    for (long i = 0; i < n; i++) sum += syscall(SYS_getppid);
    stop();
    CHECK(sum == parent * n);
    return n;
}

JOB(read_zero, 60000)
{
    int fd = open("/dev/zero", O_RDONLY);
    CHECK(fd >= 0);
    long sum = 0;
    char byte = 1;
    start();
    for (long i = 0; i < n; i++)
    {
        sum += read(fd, &byte, 1);
        sum += byte;
    }
    stop();
    CHECK(sum == n);
    close(fd);
    return sum;
}

JOB(write_null, 60000)
{
    int fd = open("/dev/null", O_WRONLY);
    CHECK(fd >= 0);
    long sum = 0;
    start();
    for (long i = 0; i < n; i++) sum += write(fd, "x", 1);
    stop();
    CHECK(sum == n);
    close(fd);
    return sum;
}

JOB(stat, 20000)
{
    enter_directory();
    make_file("file", 1000);
    struct stat status;
    long sum = 0;
    start();
    for (long i = 0; i < n; i++)
    {
        CHECK(stat("file", &status) == 0);
        sum += status.st_size;
    }
    stop();
    CHECK(sum == 1000 * n);
    return sum;
}

JOB(fstat, 20000)
{
    enter_directory();
    make_file("file", 1000);
    int fd = open("file", O_RDONLY);
    struct stat status;
    long sum = 0;
    start();
    for (long i = 0; i < n; i++)
    {
        CHECK(fstat(fd, &status) == 0);
        sum += status.st_size;
    }
    stop();
    CHECK(sum == 1000 * n);
    close(fd);
    return sum;
}

JOB(open_close, 10000)
{
    enter_directory();
    make_file("file", 1000);
    long sum = 0;
    start();
    for (long i = 0; i < n; i++)
    {
        int fd = open("file", O_RDONLY);
        sum += fd;
        CHECK(fd >= 0 && close(fd) == 0);
    }
    stop();
    CHECK(sum % n == 0);
    return n;
}

JOB(getcwd, 30000)
{
    enter_directory();
    CHECK(mkdir("below", 0755) == 0 && chdir("below") == 0);
    char name[256];
    long sum = 0;
    start();
    for (long i = 0; i < n; i++) sum += syscall(SYS_getcwd, name, sizeof name);
    stop();
    CHECK(sum == (long)(strlen(name) + 1) * n && strcmp(name + strlen(name) - 6, "/below") == 0);
    CHECK(chdir("..") == 0);
    return n;
}

// `count` pipes of which the last is readable.
static uint64_t poll_job(long n, int count)
{
    int fds[100][2];
    struct pollfd set[100];
    for (int i = 0; i < count; i++)
    {
        CHECK(pipe(fds[i]) == 0);
        set[i] = (struct pollfd){fds[i][0], POLLIN, 0};
    }
    CHECK(write(fds[count - 1][1], "x", 1) == 1);
    long sum = 0;
    start();
    for (long i = 0; i < n; i++) sum += poll(set, count, -1);
    stop();
    CHECK(sum == n && set[count - 1].revents == POLLIN && set[0].revents == (count == 1 ? POLLIN : 0));
    for (int i = 0; i < count; i++) close(fds[i][0]), close(fds[i][1]);
    return sum;
}

JOB(poll_10, 15000) { return poll_job(n, 10); }

JOB(poll_100, 2500) { return poll_job(n, 100); }

static uint64_t select_job(long n, int count)
{
    int fds[100][2], top = 0;
    fd_set all, set;
    FD_ZERO(&all);
    for (int i = 0; i < count; i++)
    {
        CHECK(pipe(fds[i]) == 0);
        FD_SET(fds[i][0], &all);
        top = fds[i][0] + 1;
    }
    CHECK(write(fds[count - 1][1], "x", 1) == 1);
    long sum = 0;
    start();
    for (long i = 0; i < n; i++)
    {
        set = all;
        sum += select(top, &set, NULL, NULL, NULL);
    }
    stop();
    CHECK(sum == n && FD_ISSET(fds[count - 1][0], &set) && !FD_ISSET(fds[0][0], &set));
    for (int i = 0; i < count; i++) close(fds[i][0]), close(fds[i][1]);
    return sum;
}

JOB(select_10, 15000) { return select_job(n, 10); }

JOB(select_100, 2500) { return select_job(n, 100); }

static volatile long delivered;
static void on_signal(int number) { delivered += number == SIGUSR1; }

JOB(signal_install, 60000)
{
    struct sigaction action = {.sa_handler = on_signal}, old;
    start();
    for (long i = 0; i < n; i++) CHECK(sigaction(SIGUSR1, &action, &old) == 0);
    stop();
    CHECK(old.sa_handler == on_signal);
    return n;
}

JOB(signal_deliver, 15000)
{
    struct sigaction action = {.sa_handler = on_signal};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0);
    pid_t pid = getpid();
    delivered = 0;
    start();
    for (long i = 0; i < n; i++) kill(pid, SIGUSR1);
    stop();
    CHECK(delivered == n);
    return n;
}

JOB(eventfd, 30000)
{
    int fd = eventfd(0, 0);
    CHECK(fd >= 0);
    uint64_t sum = 0;
    start();
    for (long i = 0; i < n; i++)
    {
        uint64_t value = i + 1, back = 0;
        CHECK(write(fd, &value, 8) == 8 && read(fd, &back, 8) == 8);
        sum += back;
    }
    stop();
    CHECK(sum == (uint64_t)n * (n + 1) / 2);
    close(fd);
    return sum;
}
