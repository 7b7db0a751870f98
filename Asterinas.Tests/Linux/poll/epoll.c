// epoll (man 7 epoll, man 2 epoll_create, epoll_ctl, epoll_wait).
#include "../common/scratch.h"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

static int add(int epoll, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u64 = 0x1234567800000000u + fd};
    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static int modify(int epoll, int fd, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.u64 = 0x1234567800000000u + fd};
    return epoll_ctl(epoll, EPOLL_CTL_MOD, fd, &event);
}

// The one event that is there now; 0 when there is none. Fails when it is not of `fd`.
static uint32_t event_of(int epoll, int fd)
{
    struct epoll_event events[4];
    int n = OK(epoll_wait(epoll, events, 4, 0));
    if (n == 0) return 0;
    EQUAL(n, 1);
    EQUAL(events[0].data.u64, 0x1234567800000000u + fd);
    return events[0].events;
}

CASE(epoll_level_triggered_tells_until_it_is_read)
{
    int epoll = OK(epoll_create1(EPOLL_CLOEXEC)), ends[2];
    EQUAL(fcntl(epoll, F_GETFD), FD_CLOEXEC);
    OK(pipe(ends));
    OK(add(epoll, ends[0], EPOLLIN));
    EQUAL(event_of(epoll, ends[0]), 0);
    EQUAL(write(ends[1], "ab", 2), 2);
    EQUAL(event_of(epoll, ends[0]), EPOLLIN);
    EQUAL(event_of(epoll, ends[0]), EPOLLIN);
    char byte;
    EQUAL(read(ends[0], &byte, 1), 1);
    EQUAL(event_of(epoll, ends[0]), EPOLLIN);
    EQUAL(read(ends[0], &byte, 1), 1);
    EQUAL(event_of(epoll, ends[0]), 0);
}

CASE(epoll_edge_triggered_tells_once_for_each_arrival)
{
    int epoll = OK(epoll_create1(0)), ends[2];
    OK(pipe(ends));
    OK(add(epoll, ends[0], EPOLLIN | EPOLLET));
    EQUAL(write(ends[1], "ab", 2), 2);
    EQUAL(event_of(epoll, ends[0]), EPOLLIN);
    EQUAL(event_of(epoll, ends[0]), 0);
    EQUAL(write(ends[1], "c", 1), 1);
    EQUAL(event_of(epoll, ends[0]), EPOLLIN);
    EQUAL(event_of(epoll, ends[0]), 0);
    // Setting it anew looks anew.
    OK(modify(epoll, ends[0], EPOLLIN | EPOLLET));
    EQUAL(event_of(epoll, ends[0]), EPOLLIN);
    // And what is there when it is added counts.
    OK(epoll_ctl(epoll, EPOLL_CTL_DEL, ends[0], NULL));
    OK(add(epoll, ends[0], EPOLLIN | EPOLLET));
    EQUAL(event_of(epoll, ends[0]), EPOLLIN);
}

CASE(epoll_EPOLLONESHOT_needs_to_be_armed_again)
{
    int epoll = OK(epoll_create1(0)), ends[2];
    OK(pipe(ends));
    OK(add(epoll, ends[0], EPOLLIN | EPOLLONESHOT));
    EQUAL(write(ends[1], "ab", 2), 2);
    EQUAL(event_of(epoll, ends[0]), EPOLLIN);
    EQUAL(event_of(epoll, ends[0]), 0);
    EQUAL(write(ends[1], "c", 1), 1);
    EQUAL(event_of(epoll, ends[0]), 0);
    OK(modify(epoll, ends[0], EPOLLIN | EPOLLONESHOT));
    EQUAL(event_of(epoll, ends[0]), EPOLLIN);
    EQUAL(event_of(epoll, ends[0]), 0);
}

CASE(epoll_hangup_and_error_come_unasked)
{
    int epoll = OK(epoll_create1(0)), a[2], b[2];
    OK(pipe(a));
    OK(add(epoll, a[0], 0));
    OK(close(a[1]));
    EQUAL(event_of(epoll, a[0]), EPOLLHUP);
    OK(close(a[0]));
    OK(pipe(b));
    OK(add(epoll, b[1], EPOLLOUT));
    OK(close(b[0]));
    EQUAL(event_of(epoll, b[1]), EPOLLOUT | EPOLLERR);
    OK(close(b[1]));
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, a));
    OK(add(epoll, a[0], EPOLLIN | EPOLLRDHUP));
    OK(shutdown(a[1], SHUT_WR));
    EQUAL(event_of(epoll, a[0]), EPOLLIN | EPOLLRDHUP);
    OK(close(a[1]));
    EQUAL(event_of(epoll, a[0]), EPOLLIN | EPOLLRDHUP | EPOLLHUP);
}

CASE(epoll_ctl_errors)
{
    test_directory();
    int epoll = OK(epoll_create1(0)), ends[2];
    OK(pipe(ends));
    FAILS(modify(epoll, ends[0], EPOLLIN), ENOENT);
    FAILS(epoll_ctl(epoll, EPOLL_CTL_DEL, ends[0], NULL), ENOENT);
    OK(add(epoll, ends[0], EPOLLIN));
    FAILS(add(epoll, ends[0], EPOLLIN), EEXIST);
    FAILS(add(epoll, epoll, EPOLLIN), EINVAL);
    FAILS(add(epoll, 999, EPOLLIN), EBADF);
    FAILS(add(999, ends[0], EPOLLIN), EBADF);
    FAILS(add(ends[0], ends[1], EPOLLIN), EINVAL);
    FAILS(add(epoll, OK(open("file", O_RDWR | O_CREAT, 0600)), EPOLLIN), EPERM);
    FAILS(add(epoll, OK(open(".", O_RDONLY)), EPOLLIN), EPERM);
    FAILS(epoll_ctl(epoll, 99, ends[0], &(struct epoll_event){0}), EINVAL);
    FAILS(epoll_ctl(epoll, EPOLL_CTL_ADD, ends[1], unmapped_address()), EFAULT);
    FAILS(epoll_create1(0x40000000), EINVAL);
    FAILS(epoll_create(0), EINVAL);
    OK(epoll_create(1));
}

CASE(epoll_wait_errors)
{
    int epoll = OK(epoll_create1(0)), ends[2];
    OK(pipe(ends));
    OK(add(epoll, ends[1], EPOLLOUT));
    struct epoll_event event;
    FAILS(epoll_wait(epoll, &event, 0, 0), EINVAL);
    FAILS(syscall(SYS_epoll_wait, epoll, &event, -1, 0), EINVAL);
    FAILS(epoll_wait(999, &event, 1, 0), EBADF);
    FAILS(epoll_wait(ends[0], &event, 1, 0), EINVAL);
    FAILS(epoll_wait(epoll, unmapped_address(), 1, 0), EFAULT);
    FAILS(epoll_pwait2(epoll, &event, 1, &(struct timespec){0, 1000000000}, NULL), EINVAL);
    FAILS(epoll_pwait2(epoll, &event, 1, &(struct timespec){-1, 0}, NULL), EINVAL);
    EQUAL(event_of(epoll, ends[1]), EPOLLOUT);      // a failed copy lost nothing
}

CASE(epoll_wait_sleeps_until_an_event)
{
    int epoll = OK(epoll_create1(0)), ends[2];
    OK(pipe(ends));
    OK(add(epoll, ends[0], EPOLLIN));
    pid_t self = getpid();
    pid_t child = CHILD({ until_asleep(self); EQUAL(write(ends[1], "x", 1), 1); });
    struct epoll_event event;
    EQUAL(epoll_wait(epoll, &event, 1, -1), 1);
    EQUAL(event.events, EPOLLIN);
    REAP_EXIT(child, 0);
}

CASE(epoll_wait_times_out)
{
    int epoll = OK(epoll_create1(0));
    struct epoll_event event;
    int64_t start = now_ns();
    EQUAL(epoll_wait(epoll, &event, 1, 50), 0);
    CHECK(passed_ms(start, 50));
    start = now_ns();
    EQUAL(epoll_pwait2(epoll, &event, 1, &(struct timespec){0, 20500000}, NULL), 0);
    CHECK(now_ns() - start >= 20500000);
    EQUAL(epoll_pwait2(epoll, &event, 1, &(struct timespec){0, 0}, NULL), 0);
}

CASE(epoll_pwait_swaps_the_mask)
{
    int epoll = OK(epoll_create1(0));
    count_signals(SIGUSR1);
    sigset_t blocked, none;
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, &blocked, NULL));
    OK(raise(SIGUSR1));
    struct epoll_event event;
    EQUAL(epoll_wait(epoll, &event, 1, 0), 0);
    FAILS(epoll_pwait(epoll, &event, 1, -1, &none), EINTR);
    EQUAL(signals_seen, 1);
    OK(raise(SIGUSR1));
    FAILS(epoll_pwait2(epoll, &event, 1, NULL, &none), EINTR);
    EQUAL(signals_seen, 2);
}

CASE(epoll_answers_at_most_maxevents_and_takes_turns)
{
    int epoll = OK(epoll_create1(0)), fds[5];
    for (int i = 0; i < 5; i++)
    {
        fds[i] = OK(eventfd(1, 0));
        OK(add(epoll, fds[i], EPOLLIN));
    }
    struct epoll_event events[8];
    EQUAL(epoll_wait(epoll, events, 8, 0), 5);
    int seen[1024] = {0};
    for (int round = 0; round < 5; round++)
    {
        EQUAL(epoll_wait(epoll, events, 2, 0), 2);
        for (int i = 0; i < 2; i++) seen[events[i].data.u64 & 1023]++;
    }
    for (int i = 0; i < 5; i++) EQUAL(seen[fds[i]], 2);
}

CASE(epoll_forgets_a_file_with_its_last_descriptor)
{
    int epoll = OK(epoll_create1(0)), ends[2];
    OK(pipe(ends));
    OK(add(epoll, ends[0], EPOLLIN));
    int copy = OK(dup(ends[0]));
    EQUAL(write(ends[1], "x", 1), 1);
    OK(close(ends[0]));
    EQUAL(event_of(epoll, ends[0]), EPOLLIN);       // the open file lives on
    OK(close(copy));
    EQUAL(event_of(epoll, ends[0]), 0);
}

CASE(epoll_the_same_file_by_two_descriptors)
{
    int epoll = OK(epoll_create1(0)), ends[2];
    OK(pipe(ends));
    int copy = OK(dup(ends[0]));
    OK(add(epoll, ends[0], EPOLLIN));
    OK(add(epoll, copy, EPOLLIN));
    EQUAL(write(ends[1], "x", 1), 1);
    struct epoll_event events[4];
    EQUAL(epoll_wait(epoll, events, 4, 0), 2);
    OK(epoll_ctl(epoll, EPOLL_CTL_DEL, copy, NULL));
    EQUAL(event_of(epoll, ends[0]), EPOLLIN);
}

CASE(epoll_nested_sets_tell_their_parents)
{
    int outer = OK(epoll_create1(0)), inner = OK(epoll_create1(0)), ends[2];
    OK(pipe(ends));
    OK(add(inner, ends[0], EPOLLIN));
    OK(add(outer, inner, EPOLLIN));
    EQUAL(event_of(outer, inner), 0);
    pid_t self = getpid();
    pid_t child = CHILD({ until_asleep(self); EQUAL(write(ends[1], "x", 1), 1); });
    struct epoll_event event;
    EQUAL(epoll_wait(outer, &event, 1, -1), 1);
    EQUAL(event_of(outer, inner), EPOLLIN);
    struct pollfd poller = {outer, POLLIN, 0};
    EQUAL(poll(&poller, 1, 0), 1);
    char byte;
    EQUAL(read(ends[0], &byte, 1), 1);
    EQUAL(event_of(outer, inner), 0);
    EQUAL(poll(&poller, 1, 0), 0);
    REAP_EXIT(child, 0);
}

CASE(epoll_circles_and_towers_fail_with_ELOOP)
{
    int sets[7];
    for (int i = 0; i < 7; i++) sets[i] = OK(epoll_create1(0));
    OK(add(sets[0], sets[1], EPOLLIN));
    OK(add(sets[1], sets[2], EPOLLIN));
    FAILS(add(sets[2], sets[0], EPOLLIN), ELOOP);
    FAILS(add(sets[1], sets[0], EPOLLIN), ELOOP);
    OK(add(sets[2], sets[3], EPOLLIN));
    OK(add(sets[3], sets[4], EPOLLIN));
    FAILS(add(sets[4], sets[5], EPOLLIN), ELOOP);
}

CASE(epoll_EPOLLEXCLUSIVE_rules)
{
    int epoll = OK(epoll_create1(0)), ends[2];
    OK(pipe(ends));
    OK(add(epoll, ends[0], EPOLLIN | EPOLLEXCLUSIVE | EPOLLET));
    FAILS(modify(epoll, ends[0], EPOLLIN), EINVAL);
    FAILS(add(epoll, ends[1], EPOLLOUT | EPOLLEXCLUSIVE | EPOLLONESHOT), EINVAL);
    FAILS(add(epoll, OK(epoll_create1(0)), EPOLLIN | EPOLLEXCLUSIVE), EINVAL);
    OK(add(epoll, ends[1], 0));
    FAILS(modify(epoll, ends[1], EPOLLOUT | EPOLLEXCLUSIVE), EINVAL);
    EQUAL(write(ends[1], "x", 1), 1);
    EQUAL(event_of(epoll, ends[0]), EPOLLIN);
}

CASE(epoll_EPOLLEXCLUSIVE_wakes_at_least_one)
{
    int ends[2], done[2];
    OK(pipe(ends));
    OK(pipe(done));
    pid_t children[3];
    for (int i = 0; i < 3; i++)
    {
        children[i] = CHILD({
            int epoll = OK(epoll_create1(0));
            OK(add(epoll, ends[0], EPOLLIN | EPOLLEXCLUSIVE));
            struct epoll_event event;
            EQUAL(epoll_wait(epoll, &event, 1, -1), 1);
            char byte;
            EQUAL(read(ends[0], &byte, 1), 1);
            EQUAL(write(done[1], "x", 1), 1);
            pause();
        });
    }
    for (int i = 0; i < 3; i++) until_asleep(children[i]);
    char byte;
    for (int i = 0; i < 3; i++)
    {
        EQUAL(write(ends[1], "x", 1), 1);
        EQUAL(read(done[0], &byte, 1), 1);
    }
    for (int i = 0; i < 3; i++) end_child(children[i]);
}

CASE(epoll_a_set_is_shared_after_fork)
{
    int epoll = OK(epoll_create1(0)), ends[2];
    OK(pipe(ends));
    IN_CHILD({ OK(add(epoll, ends[0], EPOLLIN)); });
    EQUAL(write(ends[1], "x", 1), 1);
    EQUAL(event_of(epoll, ends[0]), EPOLLIN);
}

CASE(epoll_EPOLLOUT_of_a_pipe_comes_back_when_there_is_room)
{
    int epoll = OK(epoll_create1(0)), ends[2];
    OK(pipe2(ends, O_NONBLOCK));
    OK(add(epoll, ends[1], EPOLLOUT | EPOLLET));
    EQUAL(event_of(epoll, ends[1]), EPOLLOUT);
    static char data[65536];
    EQUAL(write(ends[1], data, sizeof data), sizeof data);
    EQUAL(event_of(epoll, ends[1]), 0);
    EQUAL(read(ends[0], data, sizeof data), sizeof data);
    EQUAL(event_of(epoll, ends[1]), EPOLLOUT);
    EQUAL(event_of(epoll, ends[1]), 0);
}

CASE(epoll_keeps_up_with_many_descriptors)
{
    int epoll = OK(epoll_create1(0));
    enum { COUNT = 500 };
    static int fds[COUNT];
    OK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){2048, 4096}));
    for (int i = 0; i < COUNT; i++)
    {
        fds[i] = OK(eventfd(0, EFD_NONBLOCK));
        OK(add(epoll, fds[i], EPOLLIN | EPOLLET));
    }
    for (int round = 0; round < 20; round++)
    {
        int expected = 0;
        for (int i = round; i < COUNT; i += 7)
        {
            uint64_t one = 1;
            EQUAL(write(fds[i], &one, 8), 8);
            expected++;
        }
        static struct epoll_event events[COUNT];
        EQUAL(epoll_wait(epoll, events, COUNT, 0), expected);
        for (int i = 0; i < expected; i++)
        {
            int fd = (int)(uint32_t)events[i].data.u64;
            uint64_t value;
            EQUAL(read(fd, &value, 8), 8);
        }
        EQUAL(epoll_wait(epoll, events, COUNT, 0), 0);
    }
}
