// Messages between processes and threads: latency, bandwidth, wake-ups.
#include "bench.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>

// Passes a number there and back n times; both sides look at it.
static uint64_t ping_pong(long n, int to_child[2], int to_parent[2])
{
    pid_t child = fork();
    if (child == 0)
    {
        for (long i = 0; i < n; i++)
        {
            long value;
            CHECK(read(to_child[0], &value, sizeof value) == sizeof value && value == i * 3);
            value++;
            CHECK(write(to_parent[1], &value, sizeof value) == sizeof value);
        }
        _exit(0);
    }
    uint64_t sum = 0;
    start();
    for (long i = 0; i < n; i++)
    {
        long value = i * 3;
        CHECK(write(to_child[1], &value, sizeof value) == sizeof value && read(to_parent[0], &value, sizeof value) == sizeof value);
        sum += value;
    }
    stop();
    reap(child, 0);
    CHECK(sum == 3 * ((uint64_t)n * (n - 1) / 2) + n);
    return sum;
}

JOB(pipe_latency, 8000)
{
    int a[2], b[2];
    CHECK(pipe(a) == 0 && pipe(b) == 0);
    uint64_t check = ping_pong(n, a, b);
    close(a[0]), close(a[1]), close(b[0]), close(b[1]);
    return check;
}

JOB(unix_latency, 5000)
{
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    int a[2] = {pair[1], pair[0]}, b[2] = {pair[0], pair[1]};
    uint64_t check = ping_pong(n, a, b);
    close(pair[0]), close(pair[1]);
    return check;
}

enum { BLOCK = 64 << 10 };

// A child writes n blocks, which are read and added up here.
static uint64_t bandwidth(long n, int reader, int writer)
{
    static uint64_t block[BLOCK / 8];
    pid_t child = fork();
    if (child == 0)
    {
        close(reader);
        for (long i = 0; i < n; i++)
        {
            for (int j = 0; j < BLOCK / 8; j += 512) block[j] = i * 5 + j;
            for (long done = 0; done < BLOCK;)
            {
                ssize_t part = write(writer, (char *)block + done, BLOCK - done);
                CHECK(part > 0);
                done += part;
            }
        }
        _exit(0);
    }
    close(writer);
    uint64_t sum = 0;
    start();
    for (long i = 0; i < n; i++)
    {
        for (long done = 0; done < BLOCK;)
        {
            ssize_t part = read(reader, (char *)block + done, BLOCK - done);
            CHECK(part > 0);
            done += part;
        }
        for (int j = 0; j < BLOCK / 8; j += 512) sum += block[j];
    }
    stop();
    char byte;
    CHECK(read(reader, &byte, 1) == 0);
    reap(child, 0);
    close(reader);
    uint64_t expected = 0;
    for (long i = 0; i < n; i++)
    {
        for (int j = 0; j < BLOCK / 8; j += 512) expected += i * 5 + j;
    }
    CHECK(sum == expected);
    return sum;
}

COPY_JOB(pipe_bandwidth, 1000)
{
    int ends[2];
    CHECK(pipe(ends) == 0);
    return bandwidth(n, ends[0], ends[1]);
}

COPY_JOB(unix_bandwidth, 800)
{
    int pair[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
    return bandwidth(n, pair[0], pair[1]);
}

// ---------------------------------------------------------------------------------------------------------------- threads

struct ball
{
    _Atomic unsigned turn;
    long rounds;
};

static void wait_for(_Atomic unsigned *word, unsigned other)
{
    while (*word == other) syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, other, NULL, NULL, 0);
}

static void *return_ball(void *argument)
{
    struct ball *ball = argument;
    for (long i = 0; i < ball->rounds; i++)
    {
        wait_for(&ball->turn, 0);
        ball->turn = 0;
        syscall(SYS_futex, &ball->turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
    }
    return ball;
}

JOB(futex_ping_pong, 8000)
{
    struct ball ball = {0, n};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, return_ball, &ball) == 0);
    start();
    for (long i = 0; i < n; i++)
    {
        ball.turn = 1;
        syscall(SYS_futex, &ball.turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
        wait_for(&ball.turn, 1);
    }
    stop();
    void *result;
    CHECK(pthread_join(thread, &result) == 0 && result == &ball && ball.turn == 0);
    return n;
}

struct wake
{
    int epoll, go, done;
    long rounds;
    uint64_t sum;
};

static void *wait_and_answer(void *argument)
{
    struct wake *wake = argument;
    for (long i = 0; i < wake->rounds; i++)
    {
        struct epoll_event event;
        CHECK(epoll_wait(wake->epoll, &event, 1, -1) == 1 && event.data.fd == wake->go);
        uint64_t value;
        CHECK(read(wake->go, &value, 8) == 8);
        wake->sum += value;
        CHECK(write(wake->done, &value, 8) == 8);
    }
    return NULL;
}

// A thread that waits in epoll_wait for one of ten descriptors and answers.
JOB(epoll_wake, 4000)
{
    struct wake wake = {epoll_create1(0), eventfd(0, 0), eventfd(0, 0), n, 0};
    int others[9];
    for (int i = 0; i < 10; i++)
    {
        int fd = i == 9 ? wake.go : (others[i] = eventfd(0, 0));
        struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
        CHECK(epoll_ctl(wake.epoll, EPOLL_CTL_ADD, fd, &event) == 0);
    }
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, wait_and_answer, &wake) == 0);
    start();
    for (long i = 0; i < n; i++)
    {
        uint64_t value = i + 1, back = 0;
        CHECK(write(wake.go, &value, 8) == 8 && read(wake.done, &back, 8) == 8 && back == value);
    }
    stop();
    CHECK(pthread_join(thread, NULL) == 0 && wake.sum == (uint64_t)n * (n + 1) / 2);
    for (int i = 0; i < 9; i++) close(others[i]);
    close(wake.epoll), close(wake.go), close(wake.done);
    return wake.sum;
}

// ---------------------------------------------------------------------------------------------------------------- many to many

enum { GROUPS = 3, MEMBERS = 5, MESSAGE = 100 };

struct member
{
    bool sends;
    int sockets[MEMBERS];   // a sender's: one to each receiver of its group
    int socket;             // a receiver's
    long count;             // messages to each receiver
    int gate;
    uint64_t sum;
};

static void *member_body(void *argument)
{
    struct member *member = argument;
    char message[MESSAGE];
    CHECK(read(member->gate, message, 1) == 1);
    if (member->sends)
    {
        for (long i = 0; i < member->count; i++)
        {
            memset(message, (int)i, MESSAGE);
            for (int to = 0; to < MEMBERS; to++) CHECK(write(member->sockets[to], message, MESSAGE) == MESSAGE);
        }
        return NULL;
    }
    for (long i = 0; i < member->count * MEMBERS; i++)
    {
        for (int done = 0; done < MESSAGE;)
        {
            ssize_t part = read(member->socket, message + done, MESSAGE - done);
            CHECK(part > 0);
            done += part;
        }
        CHECK(message[0] == message[MESSAGE - 1]);
        member->sum += (unsigned char)message[0];
    }
    return (void *)member->sum;
}

// Every sender of a group writes to every receiver of it, all at once (in the manner of hackbench).
static uint64_t many_to_many(long n, bool threads)
{
    static struct member members[GROUPS * MEMBERS * 2];
    static pthread_t ids[GROUPS * MEMBERS * 2];
    static pid_t children[GROUPS * MEMBERS * 2];
    int gate[2], fds[GROUPS][MEMBERS][2];
    uint64_t *sums = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(pipe(gate) == 0 && sums != MAP_FAILED);
    enum { COUNT = GROUPS * MEMBERS * 2 };
    for (int g = 0; g < GROUPS; g++)
    {
        for (int m = 0; m < MEMBERS; m++) CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, fds[g][m]) == 0);
        for (int m = 0; m < MEMBERS; m++)
        {
            struct member *receiver = &members[(g * MEMBERS + m) * 2], *sender = receiver + 1;
            *receiver = (struct member){.socket = fds[g][m][0], .count = n, .gate = gate[0]};
            *sender = (struct member){.sends = true, .count = n, .gate = gate[0]};
            for (int to = 0; to < MEMBERS; to++) sender->sockets[to] = fds[g][to][1];
        }
    }
    for (int i = 0; i < COUNT; i++)
    {
        if (threads)
        {
            CHECK(pthread_create(&ids[i], NULL, member_body, &members[i]) == 0);
            continue;
        }
        children[i] = fork();
        CHECK(children[i] >= 0);
        if (children[i] > 0) continue;
        member_body(&members[i]);
        sums[i] = members[i].sum;
        _exit(0);
    }
    start();
    char byte[COUNT] = {0};
    CHECK(write(gate[1], byte, COUNT) == COUNT);
    uint64_t sum = 0;
    for (int i = 0; i < COUNT; i++)
    {
        if (threads) CHECK(pthread_join(ids[i], NULL) == 0);
        else reap(children[i], 0);
    }
    stop();
    for (int i = 0; i < COUNT; i++) sum += threads ? members[i].sum : sums[i];
    uint64_t expected = 0;
    for (long i = 0; i < n; i++) expected += i & 255;
    CHECK(sum == expected * GROUPS * MEMBERS * MEMBERS);
    for (int g = 0; g < GROUPS; g++)
    {
        for (int m = 0; m < MEMBERS; m++) close(fds[g][m][0]), close(fds[g][m][1]);
    }
    close(gate[0]), close(gate[1]);
    munmap(sums, 4096);
    return sum;
}

JOB(hackbench_processes, 200) { return many_to_many(n, false); }

JOB(hackbench_threads, 200) { return many_to_many(n, true); }
