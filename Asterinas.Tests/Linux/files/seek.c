// lseek: SEEK_SET, SEEK_CUR, SEEK_END, SEEK_DATA and SEEK_HOLE (man 2 lseek).
#include "../common/scratch.h"

CASE(lseek_sets_moves_and_ends)
{
    test_directory();
    write_text("file", "abcdef");
    int fd = OK(open("file", O_RDWR));
    EQUAL(lseek(fd, 4, SEEK_SET), 4);
    EQUAL(lseek(fd, -3, SEEK_CUR), 1);
    EQUAL(lseek(fd, 0, SEEK_CUR), 1);
    EQUAL(lseek(fd, 0, SEEK_END), 6);
    EQUAL(lseek(fd, -2, SEEK_END), 4);
    EQUAL(lseek(fd, 100, SEEK_END), 106);
    EQUAL(stat_of("file").st_size, 6);
}

CASE(lseek_before_the_start_fails_and_stays)
{
    test_directory();
    write_text("file", "abcdef");
    int fd = OK(open("file", O_RDWR));
    OK(lseek(fd, 2, SEEK_SET));
    FAILS(lseek(fd, -1, SEEK_SET), EINVAL);
    FAILS(lseek(fd, -3, SEEK_CUR), EINVAL);
    FAILS(lseek(fd, -7, SEEK_END), EINVAL);
    FAILS(lseek(fd, 0, 99), EINVAL);
    FAILS(lseek(fd, 0, -1), EINVAL);
    FAILS(lseek(fd, INT64_MAX, SEEK_CUR), EINVAL);     // the page says EOVERFLOW
    EQUAL(lseek(fd, 0, SEEK_CUR), 2);
}

CASE(lseek_on_what_has_no_offset_fails_with_ESPIPE)
{
    int ends[2];
    OK(pipe(ends));
    FAILS(lseek(ends[0], 0, SEEK_SET), ESPIPE);
    FAILS(lseek(ends[1], 0, SEEK_CUR), ESPIPE);
    FAILS(lseek(999, 0, SEEK_SET), EBADF);
}

CASE(lseek_beyond_any_file_fails_with_EINVAL)
{
    test_directory();
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
    FAILS(lseek(fd, INT64_MIN, SEEK_SET), EINVAL);
    EQUAL(lseek(fd, 1ll << 33, SEEK_SET), 1ll << 33);
    EQUAL(lseek(fd, 1ll << 33, SEEK_CUR), 1ll << 34);
}

CASE(lseek_SEEK_DATA_and_SEEK_HOLE_without_holes)
{
    test_directory();
    write_text("file", "abcdef");
    int fd = OK(open("file", O_RDWR));
    EQUAL(lseek(fd, 0, SEEK_DATA), 0);
    EQUAL(lseek(fd, 3, SEEK_DATA), 3);
    EQUAL(lseek(fd, 0, SEEK_CUR), 3);
    EQUAL(lseek(fd, 0, SEEK_HOLE), 6);
    EQUAL(lseek(fd, 5, SEEK_HOLE), 6);
    FAILS(lseek(fd, 6, SEEK_DATA), ENXIO);
    FAILS(lseek(fd, 6, SEEK_HOLE), ENXIO);
    FAILS(lseek(fd, 100, SEEK_DATA), ENXIO);
    FAILS(lseek(fd, -1, SEEK_DATA), ENXIO);
    FAILS(lseek(fd, -1, SEEK_HOLE), ENXIO);
}

CASE(lseek_SEEK_DATA_and_SEEK_HOLE_find_the_holes_of_tmpfs)
{
    tmpfs_directory();
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
    char page[PAGE];
    memset(page, 'd', PAGE);
    // hole 0-2, data 2-3, hole 3-10, data 10-11, hole to the end at 20 pages.
    EQUAL(pwrite(fd, page, PAGE, 2 * PAGE), PAGE);
    EQUAL(pwrite(fd, page, PAGE, 10 * PAGE), PAGE);
    OK(ftruncate(fd, 20 * PAGE));
    EQUAL(lseek(fd, 0, SEEK_DATA), 2 * PAGE);
    EQUAL(lseek(fd, 0, SEEK_HOLE), 0);
    EQUAL(lseek(fd, 2 * PAGE, SEEK_DATA), 2 * PAGE);
    EQUAL(lseek(fd, 2 * PAGE + 5, SEEK_DATA), 2 * PAGE + 5);
    EQUAL(lseek(fd, 2 * PAGE, SEEK_HOLE), 3 * PAGE);
    EQUAL(lseek(fd, 3 * PAGE, SEEK_DATA), 10 * PAGE);
    EQUAL(lseek(fd, 4 * PAGE + 7, SEEK_HOLE), 4 * PAGE + 7);
    EQUAL(lseek(fd, 10 * PAGE, SEEK_HOLE), 11 * PAGE);
    FAILS(lseek(fd, 11 * PAGE, SEEK_DATA), ENXIO);
    EQUAL(lseek(fd, 11 * PAGE, SEEK_HOLE), 11 * PAGE);
}

CASE(lseek_SEEK_HOLE_sees_what_fallocate_punched)
{
    tmpfs_directory();
    static char data[8 * PAGE];
    fill_pattern(data, sizeof data, 1);
    write_file("file", data, sizeof data, 0600);
    int fd = OK(open("file", O_RDWR));
    OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 2 * PAGE, 3 * PAGE));
    EQUAL(lseek(fd, 0, SEEK_HOLE), 2 * PAGE);
    EQUAL(lseek(fd, 2 * PAGE, SEEK_DATA), 5 * PAGE);
    EQUAL(lseek(fd, 5 * PAGE, SEEK_HOLE), 8 * PAGE);
}

CASE(lseek_of_a_directory_rewinds_it)
{
    test_directory();
    touch("a");
    int fd = OK(open(".", O_RDONLY));
    char buffer[4096];
    long n = OK(syscall(SYS_getdents64, fd, buffer, sizeof buffer));
    CHECK(n > 0);
    EQUAL(syscall(SYS_getdents64, fd, buffer, sizeof buffer), 0);
    EQUAL(lseek(fd, 0, SEEK_SET), 0);
    EQUAL(syscall(SYS_getdents64, fd, buffer, sizeof buffer), n);
}
