// poll and ppoll (man 2 poll). What each kind of file answers is in the programs of that kind.
#include "../common/scratch.h"

#include <poll.h>

CASE(poll_answers_at_once_what_is_ready)
{
    int a[2], b[2];
    OK(pipe(a));
    OK(pipe(b));
    EQUAL(write(b[1], "x", 1), 1);
    struct pollfd all[] = {{a[0], POLLIN, 77}, {b[0], POLLIN, 77}, {b[1], POLLOUT, 77}};
    EQUAL(poll(all, 3, -1), 2);
    EQUAL(all[0].revents, 0);
    EQUAL(all[1].revents, POLLIN);
    EQUAL(all[2].revents, POLLOUT);
    all[1].events = POLLIN | POLLRDNORM;
    EQUAL(poll(all + 1, 1, 0), 1);
    EQUAL(all[1].revents, POLLIN | POLLRDNORM);
}

CASE(poll_waits_until_something_is_ready)
{
    int a[2], b[2];
    OK(pipe(a));
    OK(pipe(b));
    pid_t self = getpid();
    pid_t child = CHILD({ until_asleep(self); EQUAL(write(b[1], "x", 1), 1); });
    struct pollfd all[] = {{a[0], POLLIN, 0}, {b[0], POLLIN, 0}};
    EQUAL(poll(all, 2, -1), 1);
    EQUAL(all[1].revents, POLLIN);
    REAP_EXIT(child, 0);
}

CASE(poll_times_out)
{
    int ends[2];
    OK(pipe(ends));
    struct pollfd one = {ends[0], POLLIN, 77};
    int64_t start = now_ns();
    EQUAL(poll(&one, 1, 50), 0);
    CHECK(passed_ms(start, 50));
    EQUAL(one.revents, 0);
    start = now_ns();
    EQUAL(poll(NULL, 0, 30), 0);
    CHECK(passed_ms(start, 30));
    EQUAL(poll(NULL, 0, 0), 0);
}

CASE(poll_of_bad_and_negative_descriptors)
{
    int ends[2];
    OK(pipe(ends));
    struct pollfd all[] = {{-1, POLLIN, 77}, {999, POLLIN, 0}, {ends[0], POLLIN, 0}};
    EQUAL(poll(all, 3, -1), 1);
    EQUAL(all[0].revents, 0);
    EQUAL(all[1].revents, POLLNVAL);
    EQUAL(all[2].revents, 0);
}

CASE(poll_of_regular_files_and_directories_is_always_ready)
{
    test_directory();
    struct pollfd all[] = {{OK(open("file", O_RDWR | O_CREAT, 0600)), POLLIN | POLLOUT, 0}, {OK(open(".", O_RDONLY)), POLLIN, 0}};
    EQUAL(poll(all, 2, -1), 2);
    EQUAL(all[0].revents, POLLIN | POLLOUT);
    EQUAL(all[1].revents, POLLIN);
    struct pollfd path = {OK(open(".", O_PATH)), POLLIN, 0};
    EQUAL(poll(&path, 1, 0), 1);
    EQUAL(path.revents, POLLNVAL);
}

CASE(poll_POLLERR_and_POLLHUP_come_unasked)
{
    int a[2], b[2];
    OK(pipe(a));
    OK(pipe(b));
    OK(close(a[1]));
    OK(close(b[0]));
    struct pollfd all[] = {{a[0], 0, 0}, {b[1], 0, 0}};
    EQUAL(poll(all, 2, -1), 2);
    EQUAL(all[0].revents, POLLHUP);
    EQUAL(all[1].revents, POLLERR);
}

CASE(poll_errors)
{
    int ends[2];
    OK(pipe(ends));
    FAILS(poll(unmapped_address(), 1, 0), EFAULT);
    OK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){10, 4096}));
    static struct pollfd many[20];
    for (int i = 0; i < 20; i++) many[i].fd = -1;
    FAILS(poll(many, 11, 0), EINVAL);
    EQUAL(poll(many, 10, 0), 0);
    FAILS(ppoll(many, 1, &(struct timespec){0, 1000000000}, NULL), EINVAL);
    FAILS(ppoll(many, 1, &(struct timespec){-1, 0}, NULL), EINVAL);
    FAILS(syscall(SYS_ppoll, many, 1, unmapped_address(), NULL, 8), EFAULT);
    FAILS(syscall(SYS_ppoll, many, 1, NULL, unmapped_address(), 8), EFAULT);
    sigset_t mask;
    sigemptyset(&mask);
    FAILS(syscall(SYS_ppoll, many, 1, NULL, &mask, 7), EINVAL);
}

CASE(poll_is_interrupted_and_never_restarted)
{
    int ends[2];
    OK(pipe(ends));
    signals_seen = 0;
    struct sigaction action = {.sa_handler = count_signal, .sa_flags = SA_RESTART};
    OK(sigaction(SIGUSR1, &action, NULL));
    pid_t child = interrupter(SIGUSR1);
    struct pollfd one = {ends[0], POLLIN, 0};
    FAILS(poll(&one, 1, -1), EINTR);
    CHECK(signals_seen >= 1);
    end_child(child);
}

CASE(ppoll_swaps_the_mask_for_the_wait_only)
{
    int ends[2];
    OK(pipe(ends));
    count_signals(SIGUSR1);
    sigset_t blocked, none, now;
    sigemptyset(&none);
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, &blocked, NULL));
    OK(raise(SIGUSR1));
    EQUAL(signals_seen, 0);
    struct pollfd one = {ends[0], POLLIN, 0};
    FAILS(ppoll(&one, 1, NULL, &none), EINTR);
    EQUAL(signals_seen, 1);
    OK(sigprocmask(SIG_BLOCK, NULL, &now));
    EQUAL(sigismember(&now, SIGUSR1), 1);
    EQUAL(ppoll(&one, 1, &(struct timespec){0, 1000}, &none), 0);
}

CASE(ppoll_writes_back_the_time_that_is_left)
{
    int ends[2];
    OK(pipe(ends));
    EQUAL(write(ends[1], "x", 1), 1);
    struct pollfd one = {ends[0], POLLIN, 0};
    struct timespec left = {100, 0};
    EQUAL(syscall(SYS_ppoll, &one, 1, &left, NULL, 8), 1);
    CHECK(left.tv_sec <= 100 && left.tv_sec > 60);
    left = (struct timespec){0, 1000000};
    char byte;
    EQUAL(read(ends[0], &byte, 1), 1);
    EQUAL(syscall(SYS_ppoll, &one, 1, &left, NULL, 8), 0);
    EQUAL(left.tv_sec, 0);
    EQUAL(left.tv_nsec, 0);
}

CASE(poll_of_a_thousand_descriptors)
{
    OK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){2048, 4096}));
    int ends[2];
    OK(pipe(ends));
    static struct pollfd many[1000];
    for (int i = 0; i < 1000; i++) many[i] = (struct pollfd){i == 0 ? ends[0] : OK(dup(ends[0])), POLLIN, 0};
    EQUAL(poll(many, 1000, 0), 0);
    EQUAL(write(ends[1], "x", 1), 1);
    EQUAL(poll(many, 1000, -1), 1000);
    for (int i = 0; i < 1000; i++) EQUAL(many[i].revents, POLLIN);
}

CASE(poll_wakes_every_waiting_process)
{
    int ends[2], ready[2];
    OK(pipe(ends));
    OK(pipe(ready));
    pid_t children[3];
    for (int i = 0; i < 3; i++)
    {
        children[i] = CHILD({
            struct pollfd one = {ends[0], POLLIN, 0};
            EQUAL(poll(&one, 1, -1), 1);
        });
    }
    for (int i = 0; i < 3; i++) until_asleep(children[i]);
    EQUAL(write(ends[1], "x", 1), 1);
    for (int i = 0; i < 3; i++) REAP_EXIT(children[i], 0);
}
