// Pipes (man 7 pipe, man 2 pipe).
#include "../common/scratch.h"

#include <poll.h>

static int readable(int fd)
{
    int n = -1;
    OK(ioctl(fd, FIONREAD, &n));
    return n;
}

CASE(pipe_carries_bytes_in_order)
{
    int ends[2];
    OK(pipe(ends));
    EQUAL(write(ends[1], "abc", 3), 3);
    EQUAL(write(ends[1], "def", 3), 3);
    char text[16];
    EQUAL(read(ends[0], text, 4), 4);
    EQUAL(read(ends[0], text + 4, 10), 2);
    CHECK(memcmp(text, "abcdef", 6) == 0);
    FAILS(write(ends[0], "x", 1), EBADF);
    FAILS(read(ends[1], text, 1), EBADF);
}

CASE(pipe2_flags)
{
    int ends[2];
    OK(pipe2(ends, O_CLOEXEC | O_NONBLOCK));
    for (int i = 0; i < 2; i++)
    {
        EQUAL(fcntl(ends[i], F_GETFD), FD_CLOEXEC);
        EQUAL(fcntl(ends[i], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    }
    EQUAL(fcntl(ends[0], F_GETFL) & O_ACCMODE, O_RDONLY);
    EQUAL(fcntl(ends[1], F_GETFL) & O_ACCMODE, O_WRONLY);
    FAILS(pipe2(ends, O_APPEND), EINVAL);
    FAILS(pipe2(ends, 0x40000000), EINVAL);
    FAILS(syscall(SYS_pipe2, unmapped_address(), 0), EFAULT);
    FAILS(syscall(SYS_pipe, unmapped_address()), EFAULT);
}

CASE(pipe_fails_with_EMFILE_and_keeps_no_descriptor)
{
    close_inherited();
    OK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){4, 4096}));
    int ends[2] = {-7, -7};
    FAILS(pipe(ends), EMFILE);
    EQUAL(ends[0], -7);
    EQUAL(open("/", O_RDONLY), 3);
    FAILS(pipe(ends), EMFILE);
}

CASE(pipe_read_returns_zero_after_the_last_writer_closes)
{
    int ends[2];
    OK(pipe(ends));
    EQUAL(write(ends[1], "abc", 3), 3);
    int copy = OK(dup(ends[1]));
    OK(close(ends[1]));
    OK(fcntl(ends[0], F_SETFL, O_NONBLOCK));
    char text[8];
    EQUAL(read(ends[0], text, 8), 3);
    FAILS(read(ends[0], text, 8), EAGAIN);
    OK(close(copy));
    EQUAL(read(ends[0], text, 8), 0);
    EQUAL(read(ends[0], text, 8), 0);
}

CASE(pipe_read_waits_for_bytes)
{
    int ends[2];
    OK(pipe(ends));
    pid_t child = CHILD({
        OK(close(ends[1]));
        char text[8];
        EQUAL(read(ends[0], text, 8), 2);
        CHECK(memcmp(text, "hi", 2) == 0);
        EQUAL(read(ends[0], text, 8), 0);
    });
    until_asleep(child);
    EQUAL(write(ends[1], "hi", 2), 2);
    until_asleep(child);
    OK(close(ends[1]));
    REAP_EXIT(child, 0);
}

CASE(pipe_write_without_reader_sends_SIGPIPE)
{
    int ends[2];
    OK(pipe(ends));
    OK(close(ends[0]));
    pid_t child = CHILD({ if (write(ends[1], "x", 1) != 0) _exit(1); });
    REAP_SIGNAL(child, SIGPIPE);
    count_signals(SIGPIPE);
    FAILS(write(ends[1], "x", 1), EPIPE);
    EQUAL(signals_seen, 1);
    signal(SIGPIPE, SIG_IGN);
    FAILS(write(ends[1], "x", 1), EPIPE);
    EQUAL(write(ends[1], "x", 0), 0);
}

CASE(pipe_waiting_writer_gets_EPIPE_when_the_reader_goes)
{
    int ends[2];
    OK(pipe(ends));
    pid_t child = CHILD({
        signal(SIGPIPE, SIG_IGN);
        OK(close(ends[0]));
        static char data[100000];
        // What fitted counts; the next call fails.
        ssize_t n = write(ends[1], data, sizeof data);
        CHECK(n == 65536 || (n == -1 && errno == EPIPE));
        FAILS(write(ends[1], data, sizeof data), EPIPE);
    });
    until_asleep(child);
    OK(close(ends[0]));
    REAP_EXIT(child, 0);
}

CASE(pipe_holds_65536_bytes)
{
    int ends[2];
    OK(pipe2(ends, O_NONBLOCK));
    EQUAL(fcntl(ends[0], F_GETPIPE_SZ), 65536);
    static char data[100000], back[100000];
    fill_pattern(data, sizeof data, 1);
    EQUAL(write(ends[1], data, sizeof data), 65536);
    FAILS(write(ends[1], data, 1), EAGAIN);
    EQUAL(readable(ends[0]), 65536);
    EQUAL(readable(ends[1]), 65536);
    EQUAL(read(ends[0], back, 50000), 50000);
    EQUAL(read(ends[0], back + 50000, 50000), 15536);
    CHECK(memcmp(data, back, 65536) == 0);
    FAILS(read(ends[0], back, 1), EAGAIN);
    EQUAL(readable(ends[0]), 0);
}

CASE(pipe_nonblocking_writes_up_to_PIPE_BUF_are_whole_or_not_at_all)
{
    int ends[2];
    OK(pipe2(ends, O_NONBLOCK));
    static char data[65536];
    EQUAL(write(ends[1], data, 65536 - 4096 + 1), 65536 - 4096 + 1);
    FAILS(write(ends[1], data, 4096), EAGAIN);
    EQUAL(readable(ends[0]), 65536 - 4096 + 1);
    // A larger one may be cut.
    ssize_t n = write(ends[1], data, 5000);
    CHECK_THAT((n > 0 && n <= 4095) || (n == -1 && errno == EAGAIN), "%zd bytes", n);
}

CASE(pipe_blocking_writes_up_to_PIPE_BUF_do_not_mix)
{
    int ends[2];
    OK(pipe(ends));
    enum { WRITERS = 4, RECORDS = 100, SIZE = 4096 };
    pid_t writers[WRITERS];
    for (int i = 0; i < WRITERS; i++)
    {
        writers[i] = CHILD({
            char record[SIZE];
            memset(record, 'a' + i, SIZE);
            for (int n = 0; n < RECORDS; n++) EQUAL(write(ends[1], record, SIZE), SIZE);
        });
    }
    OK(close(ends[1]));
    int seen[WRITERS] = {0};
    for (;;)
    {
        char record[SIZE];
        size_t length = 0;
        ssize_t n;
        while (length < SIZE && (n = OK(read(ends[0], record + length, SIZE - length))) > 0) length += n;
        if (length == 0) break;
        EQUAL(length, SIZE);
        CHECK(is_filled_with(record, SIZE, record[0]));
        seen[record[0] - 'a']++;
    }
    for (int i = 0; i < WRITERS; i++)
    {
        EQUAL(seen[i], RECORDS);
        REAP_EXIT(writers[i], 0);
    }
}

CASE(pipe_a_large_blocking_write_is_written_whole)
{
    int ends[2];
    OK(pipe(ends));
    enum { SIZE = 1000000 };
    static char data[SIZE], back[SIZE];
    fill_pattern(data, SIZE, 5);
    pid_t child = CHILD({ EQUAL(write(ends[1], data, SIZE), SIZE); });
    OK(close(ends[1]));
    size_t length = 0;
    ssize_t n;
    while ((n = OK(read(ends[0], back + length, SIZE - length))) > 0) length += n;
    EQUAL(length, SIZE);
    CHECK(memcmp(data, back, SIZE) == 0);
    REAP_EXIT(child, 0);
}

CASE(pipe_writev_and_readv)
{
    int ends[2];
    OK(pipe(ends));
    struct iovec out[] = {{"abc", 3}, {"", 0}, {"defg", 4}};
    EQUAL(writev(ends[1], out, 3), 7);
    char a[2], b[10];
    struct iovec in[] = {{a, 2}, {b, 10}};
    EQUAL(readv(ends[0], in, 2), 7);
    CHECK(memcmp(a, "ab", 2) == 0 && memcmp(b, "cdefg", 5) == 0);
}

CASE(pipe_bad_buffers_fail_with_EFAULT)
{
    int ends[2];
    OK(pipe(ends));
    FAILS(write(ends[1], unmapped_address(), 5), EFAULT);
    EQUAL(readable(ends[0]), 0);
    EQUAL(write(ends[1], "abc", 3), 3);
    FAILS(read(ends[0], unmapped_address(), 3), EFAULT);
    EQUAL(readable(ends[0]), 3);
    char text[3];
    EQUAL(read(ends[0], text, 3), 3);
    CHECK(memcmp(text, "abc", 3) == 0);
}

CASE(pipe_reads_and_writes_are_interrupted_by_signals)
{
    int ends[2];
    OK(pipe(ends));
    count_signals(SIGUSR1);
    pid_t child = interrupter(SIGUSR1);
    char byte;
    FAILS(read(ends[0], &byte, 1), EINTR);
    static char data[70000];
    // The part that fitted is the answer.
    EQUAL(write(ends[1], data, sizeof data), 65536);
    FAILS(write(ends[1], data, 10), EINTR);
    end_child(child);
}

CASE(pipe_read_goes_on_after_a_handler_with_SA_RESTART)
{
    int ends[2];
    OK(pipe(ends));
    signals_seen = 0;
    struct sigaction action = {.sa_handler = count_signal, .sa_flags = SA_RESTART};
    OK(sigaction(SIGUSR1, &action, NULL));
    pid_t self = getpid();
    pid_t child = CHILD({
        until_asleep(self);
        OK(kill(self, SIGUSR1));
        sleep_ms(20);
        until_asleep(self);
        EQUAL(write(ends[1], "x", 1), 1);
    });
    char byte;
    EQUAL(read(ends[0], &byte, 1), 1);
    EQUAL(signals_seen, 1);
    REAP_EXIT(child, 0);
}

CASE(pipe_F_SETPIPE_SZ_sets_the_capacity)
{
    int ends[2];
    OK(pipe2(ends, O_NONBLOCK));
    EQUAL(fcntl(ends[1], F_SETPIPE_SZ, 4096), 4096);
    EQUAL(fcntl(ends[0], F_GETPIPE_SZ), 4096);
    static char data[300000], back[300000];
    fill_pattern(data, sizeof data, 2);
    EQUAL(write(ends[1], data, sizeof data), 4096);
    EQUAL(fcntl(ends[1], F_SETPIPE_SZ, 100000), 131072);
    EQUAL(write(ends[1], data + 4096, sizeof data - 4096), 131072 - 4096);
    FAILS(fcntl(ends[1], F_SETPIPE_SZ, 4096), EBUSY);
    EQUAL(read(ends[0], back, sizeof back), 131072);
    CHECK(memcmp(data, back, 131072) == 0);
    EQUAL(fcntl(ends[0], F_SETPIPE_SZ, 1), 4096);
    FAILS(fcntl(ends[0], F_SETPIPE_SZ, -1), EINVAL);
}

CASE(pipe_F_SETPIPE_SZ_has_a_limit_for_users)
{
    char text[32];
    CHECK(read_text("/proc/sys/fs/pipe-max-size", text, sizeof text) > 0);
    int limit = atoi(text);
    CHECK(limit >= 65536);
    AS_NOBODY({
        int ends[2];
        OK(pipe(ends));
        FAILS(fcntl(ends[0], F_SETPIPE_SZ, limit * 2), EPERM);
    });
    test_directory();
    FAILS(fcntl(OK(open(".", O_RDONLY)), F_GETPIPE_SZ), EBADF);
}

CASE(pipe_O_DIRECT_keeps_packets_apart)
{
    int ends[2];
    OK(pipe2(ends, O_DIRECT | O_NONBLOCK));
    EQUAL(write(ends[1], "abc", 3), 3);
    EQUAL(write(ends[1], "defgh", 5), 5);
    EQUAL(write(ends[1], "ij", 2), 2);
    char text[16];
    EQUAL(read(ends[0], text, 16), 3);
    // The rest of a packet that is not read is lost.
    EQUAL(read(ends[0], text, 2), 2);
    CHECK(memcmp(text, "de", 2) == 0);
    EQUAL(read(ends[0], text, 16), 2);
    CHECK(memcmp(text, "ij", 2) == 0);
}

CASE(pipe_poll_states)
{
    int ends[2];
    OK(pipe2(ends, O_NONBLOCK));
    struct pollfd reader = {.fd = ends[0], .events = POLLIN}, writer = {.fd = ends[1], .events = POLLOUT};
    EQUAL(poll(&reader, 1, 0), 0);
    EQUAL(poll(&writer, 1, 0), 1);
    EQUAL(writer.revents, POLLOUT);
    static char data[65536];
    EQUAL(write(ends[1], data, sizeof data), sizeof data);
    EQUAL(poll(&writer, 1, 0), 0);
    EQUAL(poll(&reader, 1, 0), 1);
    EQUAL(reader.revents, POLLIN);
    // Writable means room for PIPE_BUF bytes.
    EQUAL(read(ends[0], data, 100), 100);
    EQUAL(poll(&writer, 1, 0), 0);
    EQUAL(read(ends[0], data, 3996), 3996);
    EQUAL(poll(&writer, 1, 0), 1);
    int copy = OK(dup(ends[0]));
    OK(close(ends[1]));
    EQUAL(poll(&reader, 1, 0), 1);
    EQUAL(reader.revents, POLLIN | POLLHUP);
    EQUAL(read(copy, data, sizeof data), 65536 - 4096);
    EQUAL(poll(&reader, 1, 0), 1);
    EQUAL(reader.revents, POLLHUP);
    OK(pipe(ends));
    OK(close(ends[0]));
    writer = (struct pollfd){.fd = ends[1], .events = POLLOUT};
    EQUAL(poll(&writer, 1, 0), 1);
    EQUAL(writer.revents, POLLOUT | POLLERR);
}

CASE(pipe_through_proc_self_fd_opens_the_other_end)
{
    int ends[2];
    OK(pipe(ends));
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", ends[0]);
    int writer = OK(open(name, O_WRONLY));
    OK(close(ends[1]));
    EQUAL(write(writer, "x", 1), 1);
    char target[64] = {0};
    OK(readlink(name, target, sizeof target - 1));
    CHECK(strncmp(target, "pipe:[", 6) == 0);
}

CASE(pipe_ping_pong_of_two_processes)
{
    int there[2], back[2];
    OK(pipe(there));
    OK(pipe(back));
    enum { ROUNDS = 2000 };
    pid_t child = CHILD({
        for (int i = 0; i < ROUNDS; i++)
        {
            int value;
            EQUAL(read(there[0], &value, sizeof value), sizeof value);
            value++;
            EQUAL(write(back[1], &value, sizeof value), sizeof value);
        }
    });
    for (int i = 0; i < ROUNDS; i++)
    {
        int value = i * 3;
        EQUAL(write(there[1], &value, sizeof value), sizeof value);
        EQUAL(read(back[0], &value, sizeof value), sizeof value);
        EQUAL(value, i * 3 + 1);
    }
    REAP_EXIT(child, 0);
}
