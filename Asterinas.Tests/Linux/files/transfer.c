// Copies inside the kernel: sendfile, copy_file_range (man 2 sendfile, copy_file_range). splice has a file of its own under pipes.
#include "../common/scratch.h"

#include <sys/sendfile.h>
#include <sys/socket.h>

enum { SIZE = 50000 };
static char data[SIZE], back[SIZE + 100];

// A file "in" of SIZE bytes of a pattern.
static int source(void)
{
    test_directory();
    fill_pattern(data, SIZE, 1);
    write_file("in", data, SIZE, 0600);
    return OK(open("in", O_RDONLY));
}

CASE(sendfile_copies_to_a_file_and_moves_the_offset)
{
    int in = source(), out = OK(open("out", O_RDWR | O_CREAT, 0600));
    EQUAL(sendfile(out, in, NULL, 1000), 1000);
    EQUAL(lseek(in, 0, SEEK_CUR), 1000);
    EQUAL(lseek(out, 0, SEEK_CUR), 1000);
    EQUAL(sendfile(out, in, NULL, SIZE), SIZE - 1000);
    EQUAL(sendfile(out, in, NULL, SIZE), 0);
    EQUAL(pread(out, back, sizeof back, 0), SIZE);
    CHECK(memcmp(data, back, SIZE) == 0);
}

CASE(sendfile_with_an_offset_of_its_own)
{
    int in = source(), out = OK(open("out", O_RDWR | O_CREAT, 0600));
    off_t offset = 777;
    EQUAL(sendfile(out, in, &offset, 1000), 1000);
    EQUAL(offset, 1777);
    EQUAL(lseek(in, 0, SEEK_CUR), 0);
    EQUAL(pread(out, back, 1000, 0), 1000);
    CHECK(memcmp(data + 777, back, 1000) == 0);
    offset = SIZE + 5;
    EQUAL(sendfile(out, in, &offset, 10), 0);
    offset = -1;
    FAILS(sendfile(out, in, &offset, 10), EINVAL);
}

CASE(sendfile_to_a_pipe_and_to_a_socket)
{
    int in = source(), ends[2];
    OK(pipe(ends));
    EQUAL(sendfile(ends[1], in, NULL, 3000), 3000);
    EQUAL(read(ends[0], back, sizeof back), 3000);
    CHECK(memcmp(data, back, 3000) == 0);
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    EQUAL(sendfile(ends[1], in, NULL, 3000), 3000);
    EQUAL(recv(ends[0], back, 3000, MSG_WAITALL), 3000);
    CHECK(memcmp(data + 3000, back, 3000) == 0);
    // A full pipe takes what fits.
    OK(pipe2(ends, O_NONBLOCK));
    OK(lseek(in, 0, SEEK_SET));
    OK(fcntl(ends[1], F_SETPIPE_SZ, 4096));
    ssize_t n = OK(sendfile(ends[1], in, NULL, SIZE));
    CHECK_THAT(n == 4096, "%zd", n);
    FAILS(sendfile(ends[1], in, NULL, SIZE), EAGAIN);
}

CASE(sendfile_errors)
{
    int in = source(), out = OK(open("out", O_RDWR | O_CREAT, 0600)), ends[2];
    OK(pipe(ends));
    FAILS(sendfile(999, in, NULL, 10), EBADF);
    FAILS(sendfile(out, 999, NULL, 10), EBADF);
    FAILS(sendfile(in, in, NULL, 10), EBADF);
    FAILS(sendfile(out, OK(open("in", O_WRONLY)), NULL, 10), EBADF);
    off_t offset = 0;
    FAILS(sendfile(out, ends[0], &offset, 10), ESPIPE);
    FAILS(syscall(SYS_sendfile, out, in, unmapped_address(), 10), EFAULT);
    FAILS(sendfile(OK(open("out", O_WRONLY | O_APPEND)), in, NULL, 10), EINVAL);
    EQUAL(sendfile(out, in, NULL, 0), 0);
}

CASE(copy_file_range_copies_between_files)
{
    int in = source(), out = OK(open("out", O_RDWR | O_CREAT, 0600));
    size_t copied = 0;
    ssize_t n;
    while ((n = OK(copy_file_range(in, NULL, out, NULL, SIZE, 0))) > 0) copied += n;
    EQUAL(copied, SIZE);
    EQUAL(lseek(in, 0, SEEK_CUR), SIZE);
    EQUAL(lseek(out, 0, SEEK_CUR), SIZE);
    EQUAL(pread(out, back, sizeof back, 0), SIZE);
    CHECK(memcmp(data, back, SIZE) == 0);
}

CASE(copy_file_range_with_offsets_of_its_own)
{
    int in = source(), out = OK(open("out", O_RDWR | O_CREAT, 0600));
    off64_t from = 100, to = 5000;
    EQUAL(copy_file_range(in, &from, out, &to, 300, 0), 300);
    EQUAL(from, 400);
    EQUAL(to, 5300);
    EQUAL(lseek(in, 0, SEEK_CUR), 0);
    EQUAL(lseek(out, 0, SEEK_CUR), 0);
    EQUAL(stat_of("out").st_size, 5300);
    EQUAL(pread(out, back, sizeof back, 0), 5300);
    CHECK(is_filled_with(back, 5000, 0) && memcmp(back + 5000, data + 100, 300) == 0);
    from = SIZE - 10;
    EQUAL(copy_file_range(in, &from, out, &to, 300, 0), 10);
    EQUAL(copy_file_range(in, &from, out, &to, 300, 0), 0);
}

CASE(copy_file_range_within_one_file)
{
    source();
    int fd = OK(open("in", O_RDWR));
    off64_t from = 0, to = 20000;
    EQUAL(copy_file_range(fd, &from, fd, &to, 10000, 0), 10000);
    memmove(data + 20000, data, 10000);
    EQUAL(pread(fd, back, sizeof back, 0), SIZE);
    CHECK(memcmp(data, back, SIZE) == 0);
    from = 0;
    to = 5000;
    FAILS(copy_file_range(fd, &from, fd, &to, 10000, 0), EINVAL);
}

CASE(copy_file_range_errors)
{
    int in = source(), out = OK(open("out", O_RDWR | O_CREAT, 0600)), ends[2];
    OK(pipe(ends));
    FAILS(copy_file_range(in, NULL, out, NULL, 10, 1), EINVAL);
    FAILS(copy_file_range(in, NULL, 999, NULL, 10, 0), EBADF);
    FAILS(copy_file_range(999, NULL, out, NULL, 10, 0), EBADF);
    FAILS(copy_file_range(in, NULL, OK(open("out", O_RDONLY)), NULL, 10, 0), EBADF);
    FAILS(copy_file_range(OK(open("in", O_WRONLY)), NULL, out, NULL, 10, 0), EBADF);
    FAILS(copy_file_range(in, NULL, OK(open("out", O_WRONLY | O_APPEND)), NULL, 10, 0), EBADF);
    FAILS(copy_file_range(OK(open(".", O_RDONLY)), NULL, out, NULL, 10, 0), EISDIR);
    FAILS(copy_file_range(ends[0], NULL, out, NULL, 10, 0), EINVAL);
    off64_t negative = -5;
    FAILS(copy_file_range(in, &negative, out, NULL, 1, 0), EINVAL);
    FAILS(syscall(SYS_copy_file_range, in, unmapped_address(), out, NULL, 10, 0), EFAULT);
    EQUAL(copy_file_range(in, NULL, out, NULL, 0, 0), 0);
    EQUAL(stat_of("out").st_size, 0);
    OK(setrlimit(RLIMIT_FSIZE, &(struct rlimit){100, RLIM_INFINITY}));
    count_signals(SIGXFSZ);
    off64_t far = 100;
    FAILS(copy_file_range(in, NULL, out, &far, 10, 0), EFBIG);
    EQUAL(signals_seen, 1);
}
