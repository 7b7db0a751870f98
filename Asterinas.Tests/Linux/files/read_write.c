// read, write, pread, pwrite, the vector calls and preadv2/pwritev2 on regular files.
#include "../common/scratch.h"

#include <linux/fs.h>

CASE(read_returns_what_was_written)
{
    test_directory();
    static char data[300000], back[300000];
    fill_pattern(data, sizeof data, 1);
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
    EQUAL(write(fd, data, sizeof data), sizeof data);
    EQUAL(lseek(fd, 0, SEEK_SET), 0);
    EQUAL(read(fd, back, sizeof back), sizeof back);
    CHECK(memcmp(data, back, sizeof data) == 0);
    EQUAL(read(fd, back, sizeof back), 0);
    struct stat status;
    OK(fstat(fd, &status));
    EQUAL(status.st_size, sizeof data);
}

CASE(read_stops_at_the_end_of_the_file)
{
    test_directory();
    write_text("file", "abcdef");
    int fd = OK(open("file", O_RDONLY));
    char text[16];
    memset(text, '#', sizeof text);
    EQUAL(read(fd, text, 4), 4);
    EQUAL(read(fd, text, 10), 2);
    CHECK(memcmp(text, "efcd##", 6) == 0);
    EQUAL(read(fd, text, 10), 0);
    EQUAL(lseek(fd, 100, SEEK_SET), 100);
    EQUAL(read(fd, text, 10), 0);
    EQUAL(lseek(fd, 0, SEEK_CUR), 100);
}

CASE(read_and_write_of_nothing_do_nothing)
{
    test_directory();
    write_text("file", "abc");
    int fd = OK(open("file", O_RDWR));
    EQUAL(read(fd, NULL, 0), 0);
    EQUAL(write(fd, "x", 0), 0);
    OK(lseek(fd, 100, SEEK_SET));
    EQUAL(write(fd, "x", 0), 0);
    EQUAL(stat_of("file").st_size, 3);
    FAILS(read(999, NULL, 0), EBADF);
    FAILS(write(999, NULL, 0), EBADF);
    int writer = OK(open("file", O_WRONLY));
    FAILS(read(writer, NULL, 0), EBADF);
}

CASE(write_beyond_the_end_leaves_a_hole_of_zeros)
{
    test_directory();
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
    EQUAL(write(fd, "abc", 3), 3);
    EQUAL(lseek(fd, 100000, SEEK_SET), 100000);
    EQUAL(write(fd, "def", 3), 3);
    EQUAL(stat_of("file").st_size, 100003);
    static char back[100003];
    EQUAL(pread(fd, back, sizeof back, 0), sizeof back);
    CHECK(memcmp(back, "abc", 3) == 0 && memcmp(back + 100000, "def", 3) == 0);
    CHECK(is_filled_with(back + 3, 99997, 0));
}

CASE(write_in_the_middle_keeps_the_rest)
{
    test_directory();
    static char data[20000], back[20000];
    fill_pattern(data, sizeof data, 2);
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
    EQUAL(write(fd, data, sizeof data), sizeof data);
    for (size_t offset = 1; offset + 100 < sizeof data; offset += 1371)
    {
        memset(data + offset, 'w', 100);
        EQUAL(pwrite(fd, data + offset, 100, offset), 100);
    }
    EQUAL(pread(fd, back, sizeof back, 0), sizeof back);
    CHECK(memcmp(data, back, sizeof data) == 0);
}

CASE(pread_and_pwrite_leave_the_offset)
{
    test_directory();
    write_text("file", "abcdef");
    int fd = OK(open("file", O_RDWR));
    OK(lseek(fd, 2, SEEK_SET));
    char text[8] = {0};
    EQUAL(pread(fd, text, 3, 1), 3);
    CHECK(memcmp(text, "bcd", 3) == 0);
    EQUAL(pwrite(fd, "XY", 2, 5), 2);
    EQUAL(lseek(fd, 0, SEEK_CUR), 2);
    FILE_IS("file", "abcdeXY");
    EQUAL(pread(fd, text, 3, 100), 0);
    FAILS(pread(fd, text, 3, -1), EINVAL);
    FAILS(pwrite(fd, text, 3, -1), EINVAL);
    FAILS(pread(999, text, 3, 0), EBADF);
}

CASE(pwrite_with_O_APPEND_appends_as_the_BUGS_section_says)
{
    test_directory();
    write_text("file", "abc");
    int fd = OK(open("file", O_WRONLY | O_APPEND));
    EQUAL(pwrite(fd, "def", 3, 0), 3);
    FILE_IS("file", "abcdef");
}

CASE(pread_on_a_pipe_fails_with_ESPIPE)
{
    int ends[2];
    OK(pipe(ends));
    char byte;
    FAILS(pread(ends[0], &byte, 1, 0), ESPIPE);
    FAILS(pwrite(ends[1], &byte, 1, 0), ESPIPE);
    struct iovec vector = {&byte, 1};
    FAILS(preadv(ends[0], &vector, 1, 0), ESPIPE);
    FAILS(pwritev(ends[1], &vector, 1, 0), ESPIPE);
}

CASE(read_of_a_bad_buffer_fails_with_EFAULT_and_moves_nothing)
{
    test_directory();
    write_text("file", "abcdef");
    int fd = OK(open("file", O_RDWR));
    FAILS(read(fd, unmapped_address(), 6), EFAULT);
    FAILS(write(fd, unmapped_address(), 6), EFAULT);
    FAILS(read(fd, (void *)-4096L, 6), EFAULT);
    FAILS(write(fd, (void *)0xffffffff80200000, 6), EFAULT);
    EQUAL(lseek(fd, 0, SEEK_CUR), 0);
    FILE_IS("file", "abcdef");
    // Read-only memory cannot be read into.
    void *page = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FAILS(read(fd, page, 6), EFAULT);
}

CASE(read_into_a_half_mapped_buffer_is_short_or_EFAULT)
{
    test_directory();
    static char data[2 * PAGE];
    fill_pattern(data, sizeof data, 3);
    write_file("file", data, sizeof data, 0600);
    int fd = OK(open("file", O_RDONLY));
    char *buffer = before_unmapped(100);
    ssize_t n = read(fd, buffer, 5000);
    if (n == -1) EQUAL(errno, EFAULT);
    else
    {
        CHECK_THAT(n > 0 && n <= 100, "%zd bytes", n);
        CHECK(memcmp(buffer, data, n) == 0);
    }
    EQUAL(lseek(fd, 0, SEEK_CUR), n == -1 ? 0 : n);
}

CASE(write_from_a_half_mapped_buffer_writes_what_there_is)
{
    test_directory();
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
    char *buffer = before_unmapped(100);
    memset(buffer, 'a', 100);
    ssize_t n = write(fd, buffer, 5000);
    if (n == -1) EQUAL(errno, EFAULT);
    else CHECK_THAT(n > 0 && n <= 100, "%zd bytes", n);
    EQUAL(stat_of("file").st_size, n == -1 ? 0 : n);
}

CASE(readv_and_writev_take_the_buffers_in_order)
{
    test_directory();
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
    struct iovec out[] = {{"abc", 3}, {NULL, 0}, {"defgh", 5}, {"i", 1}};
    EQUAL(writev(fd, out, 4), 9);
    FILE_IS("file", "abcdefghi");
    OK(lseek(fd, 1, SEEK_SET));
    char a[2], b[4], c[10];
    memset(c, '#', sizeof c);
    struct iovec in[] = {{a, 2}, {b, 4}, {c, 10}};
    EQUAL(readv(fd, in, 3), 8);
    CHECK(memcmp(a, "bc", 2) == 0 && memcmp(b, "defg", 4) == 0 && memcmp(c, "hi##", 4) == 0);
    EQUAL(readv(fd, in, 0), 0);
    EQUAL(writev(fd, out, 0), 0);
}

CASE(preadv_and_pwritev_have_an_offset_of_their_own)
{
    test_directory();
    write_text("file", "abcdefghij");
    int fd = OK(open("file", O_RDWR));
    char a[2], b[3];
    struct iovec in[] = {{a, 2}, {b, 3}}, out[] = {{"X", 1}, {"YZ", 2}};
    EQUAL(preadv(fd, in, 2, 4), 5);
    CHECK(memcmp(a, "ef", 2) == 0 && memcmp(b, "ghi", 3) == 0);
    EQUAL(pwritev(fd, out, 2, 1), 3);
    EQUAL(lseek(fd, 0, SEEK_CUR), 0);
    FILE_IS("file", "aXYZefghij");
    FAILS(preadv(fd, in, 2, -1), EINVAL);
    FAILS(pwritev(fd, out, 2, -1), EINVAL);
}

CASE(iovec_errors)
{
    test_directory();
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
    char byte = 'x';
    static struct iovec many[1025];
    for (int i = 0; i < 1025; i++) many[i] = (struct iovec){&byte, 1};
    FAILS(writev(fd, many, 1025), EINVAL);
    FAILS(syscall(SYS_writev, fd, many, -1), EINVAL);
    FAILS(readv(fd, many, 1025), EINVAL);
    EQUAL(writev(fd, many, 1024), 1024);
    struct iovec negative = {&byte, (size_t)-1};
    FAILS(writev(fd, &negative, 1), EINVAL);
    FAILS(writev(fd, unmapped_address(), 1), EFAULT);
    FAILS(readv(fd, unmapped_address(), 1), EFAULT);
    FAILS(writev(999, many, 1), EBADF);
    struct iovec bad[] = {{unmapped_address(), 1}, {&byte, 1}};
    FAILS(writev(fd, bad, 2), EFAULT);
}

CASE(readv_fills_good_buffers_before_a_bad_one)
{
    test_directory();
    write_text("file", "abcdef");
    int fd = OK(open("file", O_RDONLY));
    char good[3];
    struct iovec in[] = {{good, 3}, {unmapped_address(), 3}};
    ssize_t n = readv(fd, in, 2);
    if (n == -1) EQUAL(errno, EFAULT);
    else
    {
        EQUAL(n, 3);
        CHECK(memcmp(good, "abc", 3) == 0);
    }
}

CASE(preadv2_minus_one_uses_the_offset_of_the_file)
{
    test_directory();
    write_text("file", "abcdef");
    int fd = OK(open("file", O_RDWR));
    char text[3];
    struct iovec in = {text, 3}, out = {"XYZ", 3};
    EQUAL(preadv2(fd, &in, 1, -1, 0), 3);
    EQUAL(lseek(fd, 0, SEEK_CUR), 3);
    EQUAL(pwritev2(fd, &out, 1, -1, 0), 3);
    EQUAL(lseek(fd, 0, SEEK_CUR), 6);
    EQUAL(preadv2(fd, &in, 1, 1, 0), 3);
    EQUAL(lseek(fd, 0, SEEK_CUR), 6);
    FILE_IS("file", "abcXYZ");
    // On a pipe only -1 works.
    int ends[2];
    OK(pipe(ends));
    EQUAL(pwritev2(ends[1], &out, 1, -1, 0), 3);
    EQUAL(preadv2(ends[0], &in, 1, -1, 0), 3);
    FAILS(preadv2(ends[0], &in, 1, 0, 0), ESPIPE);
}

CASE(pwritev2_RWF_APPEND_writes_at_the_end)
{
    test_directory();
    write_text("file", "abc");
    int fd = OK(open("file", O_RDWR));
    struct iovec out = {"def", 3};
    EQUAL(pwritev2(fd, &out, 1, 0, RWF_APPEND), 3);
    FILE_IS("file", "abcdef");
    EQUAL(lseek(fd, 0, SEEK_CUR), 0);
    EQUAL(pwritev2(fd, &out, 1, -1, RWF_APPEND), 3);
    FILE_IS("file", "abcdefdef");
}

CASE(preadv2_flags_are_checked)
{
    test_directory();
    write_text("file", "abc");
    int fd = OK(open("file", O_RDWR));
    char text[3];
    struct iovec in = {text, 3};
    EQUAL(preadv2(fd, &in, 1, 0, RWF_HIPRI), 3);
    EQUAL(pwritev2(fd, &in, 1, 0, RWF_DSYNC), 3);
    EQUAL(pwritev2(fd, &in, 1, 0, RWF_SYNC), 3);
    FAILS(preadv2(fd, &in, 1, 0, 0x40000000), EOPNOTSUPP);
    FAILS(pwritev2(fd, &in, 1, 0, 0x40000000), EOPNOTSUPP);
    ssize_t n = preadv2(fd, &in, 1, 0, RWF_NOWAIT);
    CHECK_THAT(n == 3 || (n == -1 && (errno == EAGAIN || errno == EOPNOTSUPP)), "RWF_NOWAIT: %zd", n);
}

CASE(read_RWF_NOWAIT_on_an_empty_pipe_does_not_wait)
{
    int ends[2];
    OK(pipe(ends));
    char text[3];
    struct iovec in = {text, 3};
    ssize_t n = preadv2(ends[0], &in, 1, -1, RWF_NOWAIT);
    CHECK(n == -1 && (errno == EAGAIN || errno == EOPNOTSUPP));
    if (errno == EOPNOTSUPP) return;        // Linux before 6.4
    EQUAL(write(ends[1], "ab", 2), 2);
    EQUAL(preadv2(ends[0], &in, 1, -1, RWF_NOWAIT), 2);
}

CASE(write_beyond_RLIMIT_FSIZE_sends_SIGXFSZ_and_fails_with_EFBIG)
{
    test_directory();
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
    OK(setrlimit(RLIMIT_FSIZE, &(struct rlimit){10, RLIM_INFINITY}));
    count_signals(SIGXFSZ);
    EQUAL(write(fd, "0123456789abcdef", 16), 10);
    EQUAL(signals_seen, 0);
    FAILS(write(fd, "x", 1), EFBIG);
    EQUAL(signals_seen, 1);
    FAILS(pwrite(fd, "x", 1, 10), EFBIG);
    EQUAL(pwrite(fd, "x", 1, 9), 1);
    FAILS(ftruncate(fd, 11), EFBIG);
    EQUAL(signals_seen, 3);
    EQUAL(stat_of("file").st_size, 10);
    IN_CHILD({
        pid_t child = CHILD({
            signal(SIGXFSZ, SIG_DFL);
            if (write(fd, "x", 1) != 0) _exit(1);
        });
        REAP_SIGNAL(child, SIGXFSZ);
    });
}

CASE(write_clears_set_user_id_bits_for_users)
{
    test_directory();
    OK(open("file", O_RDWR | O_CREAT, 0600));
    OK(chown("file", NOBODY, NOBODY));
    OK(chmod("file", 06777));
    AS_NOBODY({ EQUAL(write(OK(open("file", O_WRONLY)), "x", 1), 1); });
    EQUAL(stat_of("file").st_mode, S_IFREG | 0777);
    // Without group execute the set-group-ID bit is no more than a mark and stays.
    OK(chmod("file", 06766));
    AS_NOBODY({ EQUAL(write(OK(open("file", O_WRONLY)), "x", 1), 1); });
    EQUAL(stat_of("file").st_mode & 07777, 02766);
}

CASE(read_and_write_at_the_largest_offset)
{
    test_directory();
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
    char byte = 'x';
    FAILS(pwrite(fd, &byte, 1, INT64_MAX), EINVAL);
    // The sum of offset and count may not overflow.
    char many[100];
    ssize_t n = pread(fd, many, sizeof many, INT64_MAX - 10);
    CHECK_THAT(n == 0 || (n == -1 && (errno == EINVAL || errno == EOVERFLOW)), "%zd", n);
}

CASE(read_of_more_than_INT_MAX_is_cut)
{
    test_directory();
    write_text("file", "abc");
    int fd = OK(open("file", O_RDONLY));
    // The range must be of the user's addresses; it need not be mapped beyond what is read.
    size_t size = 3ul << 30;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(memory != MAP_FAILED);
    EQUAL(read(fd, memory, size), 3);
    FAILS(syscall(SYS_read, fd, memory, (size_t)-1), EFAULT);
    // /dev/null shows the cut: 0x7ffff000 bytes.
    EQUAL(write(OK(open("/dev/null", O_WRONLY)), memory, size), 0x7ffff000);
}

CASE(read_of_a_file_that_another_process_writes_sees_whole_small_writes)
{
    test_directory();
    enum { SIZE = 512, ROUNDS = 300 };
    char block[SIZE];
    memset(block, 'a', SIZE);
    write_file("file", block, SIZE, 0600);
    pid_t writer = CHILD({
        int fd = OK(open("file", O_WRONLY));
        for (int i = 0; i < ROUNDS; i++)
        {
            memset(block, 'a' + i % 26, SIZE);
            EQUAL(pwrite(fd, block, SIZE, 0), SIZE);
        }
    });
    int fd = OK(open("file", O_RDONLY));
    for (int i = 0; i < ROUNDS; i++)
    {
        EQUAL(pread(fd, block, SIZE, 0), SIZE);
        for (int j = 0; j < SIZE; j++) CHECK(block[j] >= 'a' && block[j] <= 'z');
    }
    REAP_EXIT(writer, 0);
}
