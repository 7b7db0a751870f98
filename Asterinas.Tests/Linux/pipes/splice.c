// splice, tee, vmsplice (man 2 splice, tee, vmsplice).
#include "../common/scratch.h"

static char data[20000], back[20000];

static void start(void)
{
    test_directory();
    fill_pattern(data, sizeof data, 1);
    write_file("in", data, sizeof data, 0600);
}

static int readable(int fd)
{
    int n = -1;
    OK(ioctl(fd, FIONREAD, &n));
    return n;
}

CASE(splice_from_a_file_to_a_pipe_and_on_to_a_file)
{
    start();
    int in = OK(open("in", O_RDONLY)), out = OK(open("out", O_RDWR | O_CREAT, 0600)), ends[2];
    OK(pipe(ends));
    size_t moved = 0;
    for (;;)
    {
        ssize_t n = OK(splice(in, NULL, ends[1], NULL, 8192, SPLICE_F_MOVE | SPLICE_F_MORE));
        if (n == 0) break;
        EQUAL(readable(ends[0]), n);
        EQUAL(splice(ends[0], NULL, out, NULL, n, 0), n);
        moved += n;
    }
    EQUAL(moved, sizeof data);
    EQUAL(lseek(in, 0, SEEK_CUR), sizeof data);
    EQUAL(lseek(out, 0, SEEK_CUR), sizeof data);
    EQUAL(pread(out, back, sizeof back, 0), sizeof back);
    CHECK(memcmp(data, back, sizeof data) == 0);
}

CASE(splice_with_offsets_of_its_own)
{
    start();
    int in = OK(open("in", O_RDONLY)), out = OK(open("out", O_RDWR | O_CREAT, 0600)), ends[2];
    OK(pipe(ends));
    off64_t from = 5000, to = 100;
    EQUAL(splice(in, &from, ends[1], NULL, 1000, 0), 1000);
    EQUAL(from, 6000);
    EQUAL(lseek(in, 0, SEEK_CUR), 0);
    EQUAL(splice(ends[0], NULL, out, &to, 1000, 0), 1000);
    EQUAL(to, 1100);
    EQUAL(lseek(out, 0, SEEK_CUR), 0);
    EQUAL(pread(out, back, sizeof back, 0), 1100);
    CHECK(memcmp(back + 100, data + 5000, 1000) == 0);
}

CASE(splice_what_is_in_the_pipe_does_not_change_with_reads_elsewhere)
{
    start();
    int in = OK(open("in", O_RDONLY)), ends[2];
    OK(pipe(ends));
    EQUAL(splice(in, NULL, ends[1], NULL, 10000, 0), 10000);
    OK(unlink("in"));
    OK(close(in));
    EQUAL(read(ends[0], back, 10000), 10000);
    CHECK(memcmp(data, back, 10000) == 0);
}

CASE(splice_between_pipes)
{
    start();
    int a[2], b[2];
    OK(pipe(a));
    OK(pipe(b));
    EQUAL(write(a[1], data, 9000), 9000);
    EQUAL(splice(a[0], NULL, b[1], NULL, 5000, 0), 5000);
    EQUAL(readable(a[0]), 4000);
    EQUAL(read(b[0], back, sizeof back), 5000);
    CHECK(memcmp(data, back, 5000) == 0);
    FAILS(splice(a[0], NULL, a[1], NULL, 10, 0), EINVAL);
}

CASE(splice_SPLICE_F_NONBLOCK_and_end_of_file)
{
    start();
    int a[2], b[2];
    OK(pipe(a));
    OK(pipe(b));
    FAILS(splice(a[0], NULL, b[1], NULL, 10, SPLICE_F_NONBLOCK), EAGAIN);
    OK(close(a[1]));
    EQUAL(splice(a[0], NULL, b[1], NULL, 10, 0), 0);
    static char full[65536];
    EQUAL(write(b[1], full, sizeof full), sizeof full);
    FAILS(splice(OK(open("in", O_RDONLY)), NULL, b[1], NULL, 10, SPLICE_F_NONBLOCK), EAGAIN);
    OK(close(b[0]));
    count_signals(SIGPIPE);
    FAILS(splice(OK(open("in", O_RDONLY)), NULL, b[1], NULL, 10, 0), EPIPE);
}

CASE(splice_waits_for_bytes)
{
    start();
    int a[2], b[2];
    OK(pipe(a));
    OK(pipe(b));
    pid_t child = CHILD({ EQUAL(splice(a[0], NULL, b[1], NULL, 100, 0), 3); });
    until_asleep(child);
    EQUAL(write(a[1], "abc", 3), 3);
    REAP_EXIT(child, 0);
    EQUAL(read(b[0], back, 10), 3);
}

CASE(splice_errors)
{
    start();
    int in = OK(open("in", O_RDONLY)), out = OK(open("out", O_RDWR | O_CREAT, 0600)), ends[2];
    OK(pipe(ends));
    EQUAL(write(ends[1], "abc", 3), 3);
    off64_t offset = 0;
    FAILS(splice(in, NULL, out, NULL, 10, 0), EINVAL);      // no pipe
    FAILS(splice(in, NULL, ends[1], NULL, 10, 0x80), EINVAL);
    FAILS(splice(in, NULL, ends[1], &offset, 10, 0), ESPIPE);
    FAILS(splice(ends[0], &offset, out, NULL, 10, 0), ESPIPE);
    FAILS(splice(999, NULL, ends[1], NULL, 10, 0), EBADF);
    FAILS(splice(in, NULL, 999, NULL, 10, 0), EBADF);
    FAILS(splice(in, NULL, ends[0], NULL, 10, 0), EBADF);
    FAILS(splice(ends[1], NULL, out, NULL, 10, 0), EBADF);
    FAILS(splice(ends[0], NULL, OK(open("out", O_WRONLY | O_APPEND)), NULL, 10, 0), EINVAL);
    FAILS(syscall(SYS_splice, in, unmapped_address(), ends[1], NULL, 10, 0), EFAULT);
    EQUAL(splice(in, NULL, ends[1], NULL, 0, 0), 0);
}

CASE(tee_copies_and_consumes_nothing)
{
    start();
    int a[2], b[2];
    OK(pipe(a));
    OK(pipe(b));
    EQUAL(write(a[1], data, 9000), 9000);
    EQUAL(tee(a[0], b[1], 5000, 0), 5000);
    EQUAL(read(b[0], back, sizeof back), 5000);
    CHECK(memcmp(data, back, 5000) == 0);
    EQUAL(read(a[0], back, sizeof back), 9000);
    CHECK(memcmp(data, back, 9000) == 0);
    FAILS(tee(a[0], b[1], 10, SPLICE_F_NONBLOCK), EAGAIN);
    FAILS(tee(a[0], a[1], 10, 0), EINVAL);
    FAILS(tee(a[0], OK(open("in", O_RDWR)), 10, 0), EINVAL);
    FAILS(tee(999, b[1], 10, 0), EBADF);
    FAILS(tee(a[0], b[1], 10, 0x80), EINVAL);
    OK(close(a[1]));
    EQUAL(tee(a[0], b[1], 10, 0), 0);
}

CASE(vmsplice_moves_between_memory_and_a_pipe)
{
    start();
    int ends[2];
    OK(pipe2(ends, O_NONBLOCK));
    struct iovec out[] = {{data, 3000}, {data + 10000, 2000}};
    EQUAL(vmsplice(ends[1], out, 2, 0), 5000);
    EQUAL(readable(ends[0]), 5000);
    struct iovec in = {back, 4000};
    EQUAL(vmsplice(ends[0], &in, 1, 0), 4000);
    CHECK(memcmp(back, data, 3000) == 0 && memcmp(back + 3000, data + 10000, 1000) == 0);
    EQUAL(read(ends[0], back, sizeof back), 1000);
    CHECK(memcmp(back, data + 11000, 1000) == 0);
    FAILS(vmsplice(ends[0], &in, 1, SPLICE_F_NONBLOCK), EAGAIN);
    FAILS(vmsplice(999, &in, 1, 0), EBADF);
    FAILS(vmsplice(OK(open("in", O_RDWR)), &in, 1, 0), EBADF);
    FAILS(vmsplice(ends[1], &in, 1, 0x80), EINVAL);
    FAILS(vmsplice(ends[1], unmapped_address(), 1, 0), EFAULT);
    struct iovec bad = {unmapped_address(), 10};
    FAILS(vmsplice(ends[1], &bad, 1, 0), EFAULT);
}
