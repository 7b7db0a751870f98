// eventfd (man 2 eventfd).
#include "../common/scratch.h"

#include <poll.h>
#include <sys/eventfd.h>

static uint64_t take(int fd)
{
    uint64_t value;
    EQUAL(read(fd, &value, 8), 8);
    return value;
}

static int put(int fd, uint64_t value) { return write(fd, &value, 8); }

CASE(eventfd_adds_up_and_read_takes_all)
{
    int fd = OK(eventfd(5, EFD_CLOEXEC | EFD_NONBLOCK));
    EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    EQUAL(put(fd, 3), 8);
    EQUAL(take(fd), 8);
    uint64_t value;
    FAILS(read(fd, &value, 8), EAGAIN);
    EQUAL(put(fd, 0), 8);
    FAILS(read(fd, &value, 8), EAGAIN);
}

CASE(eventfd_EFD_SEMAPHORE_takes_one_at_a_time)
{
    int fd = OK(eventfd(2, EFD_SEMAPHORE | EFD_NONBLOCK));
    EQUAL(put(fd, 1), 8);
    for (int i = 0; i < 3; i++) EQUAL(take(fd), 1);
    uint64_t value;
    FAILS(read(fd, &value, 8), EAGAIN);
}

CASE(eventfd_limit)
{
    int fd = OK(eventfd(0, EFD_NONBLOCK));
    FAILS(put(fd, UINT64_MAX), EINVAL);
    EQUAL(put(fd, UINT64_MAX - 1), 8);
    FAILS(put(fd, 1), EAGAIN);
    struct pollfd poller = {fd, POLLIN | POLLOUT, 0};
    EQUAL(poll(&poller, 1, 0), 1);
    EQUAL(poller.revents, POLLIN);
    EQUAL(take(fd), UINT64_MAX - 1);
    EQUAL(poll(&poller, 1, 0), 1);
    EQUAL(poller.revents, POLLOUT);
}

CASE(eventfd_read_waits_for_a_write)
{
    int fd = OK(eventfd(0, 0));
    pid_t child = CHILD({ EQUAL(take(fd), 7); });
    until_asleep(child);
    EQUAL(put(fd, 7), 8);
    REAP_EXIT(child, 0);
}

CASE(eventfd_write_waits_for_room)
{
    int fd = OK(eventfd(0, 0));
    EQUAL(put(fd, UINT64_MAX - 1), 8);
    pid_t child = CHILD({ EQUAL(put(fd, 5), 8); });
    until_asleep(child);
    EQUAL(take(fd), UINT64_MAX - 1);
    REAP_EXIT(child, 0);
    EQUAL(take(fd), 5);
}

CASE(eventfd_errors)
{
    int fd = OK(eventfd(1, 0));
    char small[7];
    FAILS(read(fd, small, 7), EINVAL);
    FAILS(write(fd, small, 7), EINVAL);
    FAILS(read(fd, unmapped_address(), 8), EFAULT);
    FAILS(write(fd, unmapped_address(), 8), EFAULT);
    FAILS(eventfd(0, 0x40000000), EINVAL);
    char large[16];
    fd = OK(eventfd(1, 0));
    EQUAL(read(fd, large, 16), 8);
}

CASE(eventfd_is_interrupted_by_signals)
{
    int fd = OK(eventfd(0, 0));
    count_signals(SIGUSR1);
    pid_t child = interrupter(SIGUSR1);
    uint64_t value;
    FAILS(read(fd, &value, 8), EINTR);
    end_child(child);
}
