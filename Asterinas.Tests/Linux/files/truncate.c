// truncate, ftruncate, fallocate, and the calls that write back (man 2 truncate, fallocate, fsync, sync).
#include "../common/scratch.h"

#include <linux/falloc.h>

CASE(truncate_cuts_and_extends_with_zeros)
{
    test_directory();
    write_text("file", "abcdefgh");
    OK(truncate("file", 3));
    FILE_IS("file", "abc");
    OK(truncate("file", 6));
    char text[6];
    EQUAL(read(OK(open("file", O_RDONLY)), text, 6), 6);
    CHECK(memcmp(text, "abc\0\0\0", 6) == 0);
    OK(truncate("file", 0));
    EQUAL(stat_of("file").st_size, 0);
    OK(truncate("file", 1ll << 32));
    EQUAL(stat_of("file").st_size, 1ll << 32);
}

CASE(ftruncate_leaves_the_offset)
{
    test_directory();
    write_text("file", "abcdefgh");
    int fd = OK(open("file", O_RDWR));
    OK(lseek(fd, 5, SEEK_SET));
    OK(ftruncate(fd, 2));
    EQUAL(lseek(fd, 0, SEEK_CUR), 5);
    EQUAL(write(fd, "x", 1), 1);
    char text[6];
    EQUAL(pread(fd, text, 6, 0), 6);
    CHECK(memcmp(text, "ab\0\0\0x", 6) == 0);
}

CASE(truncate_in_the_middle_of_a_page_clears_the_rest_of_it)
{
    test_directory();
    static char data[2 * PAGE], back[2 * PAGE];
    fill_pattern(data, sizeof data, 1);
    write_file("file", data, sizeof data, 0600);
    int fd = OK(open("file", O_RDWR));
    char *map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(map != MAP_FAILED && map[1000] == data[1000]);
    OK(ftruncate(fd, 1000));
    CHECK(is_filled_with(map + 1000, PAGE - 1000, 0));
    OK(ftruncate(fd, 2 * PAGE));
    EQUAL(pread(fd, back, sizeof back, 0), sizeof back);
    CHECK(memcmp(back, data, 1000) == 0);
    CHECK(is_filled_with(back + 1000, sizeof back - 1000, 0));
    CHECK(is_filled_with(map + PAGE, PAGE, 0));
}

CASE(truncate_errors)
{
    test_directory();
    write_file("file", "abc", 3, 0644);
    int reader = OK(open("file", O_RDONLY)), ends[2];
    OK(pipe(ends));
    OK(symlink("self", "self"));
    FAILS(truncate("absent", 0), ENOENT);
    FAILS(truncate(".", 0), EISDIR);
    FAILS(truncate("file", -1), EINVAL);
    FAILS(truncate("file/x", 0), ENOTDIR);
    FAILS(truncate("self", 0), ELOOP);
    FAILS(truncate(unmapped_address(), 0), EFAULT);
    FAILS(truncate(long_name(256), 0), ENAMETOOLONG);
    OK(mkfifo("fifo", 0600));
    FAILS(truncate("fifo", 0), EINVAL);
    FAILS(ftruncate(reader, 0), EINVAL);
    FAILS(ftruncate(ends[1], 0), EINVAL);
    FAILS(ftruncate(999, 0), EBADF);
    FAILS(ftruncate(OK(open("file", O_RDWR)), -1), EINVAL);
    AS_NOBODY({ FAILS(truncate("file", 0), EACCES); });
    FILE_IS("file", "abc");
}

CASE(truncate_changes_the_times_also_when_the_size_stays)
{
    test_directory();
    write_text("file", "abc");
    OK(utimensat(AT_FDCWD, "file", (struct timespec[]){{1000, 0}, {1000, 0}}, 0));
    OK(truncate("file", 2));
    CHECK(stat_of("file").st_mtim.tv_sec > 1000);
    EQUAL(stat_of("file").st_atim.tv_sec, 1000);
}

CASE(fallocate_reserves_space_and_extends)
{
    tmpfs_directory();
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
    EQUAL(write(fd, "abc", 3), 3);
    OK(fallocate(fd, 0, 0, 4 * PAGE));
    EQUAL(stat_of("file").st_size, 4 * PAGE);
    EQUAL(stat_of("file").st_blocks, 4 * PAGE / 512);
    static char back[4 * PAGE];
    EQUAL(pread(fd, back, sizeof back, 0), sizeof back);
    CHECK(memcmp(back, "abc", 3) == 0 && is_filled_with(back + 3, sizeof back - 3, 0));
    OK(fallocate(fd, 0, PAGE, PAGE));
    EQUAL(stat_of("file").st_size, 4 * PAGE);
}

CASE(fallocate_FALLOC_FL_KEEP_SIZE_keeps_the_size)
{
    tmpfs_directory();
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
    EQUAL(write(fd, "abc", 3), 3);
    OK(fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 4 * PAGE));
    EQUAL(stat_of("file").st_size, 3);
    EQUAL(stat_of("file").st_blocks, 4 * PAGE / 512);
}

CASE(fallocate_FALLOC_FL_PUNCH_HOLE_zeroes_a_range)
{
    tmpfs_directory();
    static char data[5 * PAGE], back[5 * PAGE];
    fill_pattern(data, sizeof data, 1);
    write_file("file", data, sizeof data, 0600);
    int fd = OK(open("file", O_RDWR));
    OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 1000, 3 * PAGE));
    memset(data + 1000, 0, 3 * PAGE);
    EQUAL(pread(fd, back, sizeof back, 0), sizeof back);
    CHECK(memcmp(data, back, sizeof back) == 0);
    EQUAL(stat_of("file").st_size, 5 * PAGE);
    EQUAL(stat_of("file").st_blocks, 3 * PAGE / 512);
    FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE, 0, PAGE), EOPNOTSUPP);
}

CASE(fallocate_punched_pages_vanish_from_mappings)
{
    tmpfs_directory();
    static char data[2 * PAGE];
    fill_pattern(data, sizeof data, 1);
    write_file("file", data, sizeof data, 0600);
    int fd = OK(open("file", O_RDWR));
    char *map = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(memcmp(map, data, 2 * PAGE) == 0);
    OK(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE));
    CHECK(is_filled_with(map, PAGE, 0) && memcmp(map + PAGE, data + PAGE, PAGE) == 0);
    map[5] = 'x';
    char byte;
    EQUAL(pread(fd, &byte, 1, 5), 1);
    EQUAL(byte, 'x');
}

CASE(fallocate_errors)
{
    test_directory();
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600)), ends[2];
    OK(pipe(ends));
    FAILS(fallocate(fd, 0, 0, 0), EINVAL);
    FAILS(fallocate(fd, 0, -1, PAGE), EINVAL);
    FAILS(fallocate(fd, 0, 0, -1), EINVAL);
    FAILS(fallocate(fd, 0, INT64_MAX - 10, 100), EFBIG);
    FAILS(fallocate(fd, 0x8000, 0, PAGE), EOPNOTSUPP);
    FAILS(fallocate(999, 0, 0, PAGE), EBADF);
    FAILS(fallocate(OK(open("file", O_RDONLY)), 0, 0, PAGE), EBADF);
    FAILS(fallocate(ends[1], 0, 0, PAGE), ESPIPE);
    FAILS(fallocate(OK(open(".", O_RDONLY)), 0, 0, PAGE), EBADF);
    FAILS(fallocate(OK(open("/dev/null", O_RDWR)), 0, 0, PAGE), ENODEV);
    EQUAL(stat_of("file").st_size, 0);
}

CASE(fallocate_without_space_fails_with_ENOSPC_and_keeps_the_file)
{
    test_directory();
    private_mounts();
    mount_tmpfs("m", 0, "size=64k");
    write_text("m/file", "abc");
    int fd = OK(open("m/file", O_RDWR));
    FAILS(fallocate(fd, 0, 0, 128 * 1024), ENOSPC);
    EQUAL(stat_of("m/file").st_size, 3);
    FILE_IS("m/file", "abc");
    OK(fallocate(fd, 0, 0, 32 * 1024));
}

CASE(write_without_space_is_short_and_then_fails_with_ENOSPC)
{
    test_directory();
    private_mounts();
    mount_tmpfs("m", 0, "size=64k");
    int fd = OK(open("m/file", O_RDWR | O_CREAT, 0600));
    static char data[128 * 1024];
    fill_pattern(data, sizeof data, 1);
    size_t written = 0;
    ssize_t n;
    while ((n = write(fd, data + written, sizeof data - written)) > 0) written += n;
    EQUAL(n, -1);
    EQUAL(errno, ENOSPC);
    EQUAL(written, 64 * 1024);
    static char back[64 * 1024];
    EQUAL(pread(fd, back, sizeof back, 0), sizeof back);
    CHECK(memcmp(back, data, sizeof back) == 0);
    // Space that is given back can be used again.
    OK(ftruncate(fd, 0));
    EQUAL(pwrite(fd, data, 4096, 0), 4096);
    // A file system without inodes left makes no files.
    mount_tmpfs("i", 0, "nr_inodes=4");
    touch("i/1");
    touch("i/2");
    touch("i/3");
    FAILS(open("i/4", O_WRONLY | O_CREAT, 0600), ENOSPC);
    FAILS(mkdir("i/4", 0700), ENOSPC);
    FAILS(symlink("x", "i/4"), ENOSPC);
    OK(unlink("i/1"));
    OK(mkdir("i/4", 0700));
}

CASE(fsync_fdatasync_sync_syncfs_and_sync_file_range)
{
    test_directory();
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600)), ends[2];
    OK(pipe(ends));
    EQUAL(write(fd, "abc", 3), 3);
    OK(fsync(fd));
    OK(fdatasync(fd));
    sync();
    OK(syncfs(fd));
    OK(fsync(OK(open(".", O_RDONLY))));
    OK(sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WAIT_AFTER));
    FAILS(sync_file_range(fd, -1, 0, SYNC_FILE_RANGE_WRITE), EINVAL);
    FAILS(sync_file_range(fd, 0, 0, 0x80), EINVAL);
    FAILS(sync_file_range(ends[1], 0, 0, SYNC_FILE_RANGE_WRITE), ESPIPE);
    FAILS(fsync(ends[1]), EINVAL);
    FAILS(fdatasync(ends[1]), EINVAL);
    FAILS(fsync(999), EBADF);
    FAILS(syncfs(999), EBADF);
    FILE_IS("file", "abc");
}

CASE(posix_fadvise_and_readahead)
{
    test_directory();
    write_text("file", "abc");
    int fd = OK(open("file", O_RDONLY)), ends[2];
    OK(pipe(ends));
    for (int advice = POSIX_FADV_NORMAL; advice <= POSIX_FADV_NOREUSE; advice++) EQUAL(posix_fadvise(fd, 0, 0, advice), 0);
    EQUAL(posix_fadvise(fd, 0, 0, 77), EINVAL);
    EQUAL(posix_fadvise(fd, 0, -1, POSIX_FADV_NORMAL), EINVAL);
    EQUAL(posix_fadvise(ends[0], 0, 0, POSIX_FADV_NORMAL), ESPIPE);
    EQUAL(posix_fadvise(999, 0, 0, POSIX_FADV_NORMAL), EBADF);
    OK(readahead(fd, 0, 4096));
    FAILS(readahead(999, 0, 4096), EBADF);
    FAILS(readahead(ends[0], 0, 4096), EINVAL);
    FILE_IS("file", "abc");
}
