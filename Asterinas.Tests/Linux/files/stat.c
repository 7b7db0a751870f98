// stat, lstat, fstat, fstatat, statx, access, faccessat2 (man 2 stat, statx, access).
#include "../common/scratch.h"

#include <sys/socket.h>
#include <sys/sysmacros.h>

CASE(stat_tells_type_mode_links_owner_and_size)
{
    test_directory();
    write_file("file", "abcdef", 6, 0640);
    OK(chown("file", 11, 22));
    OK(link("file", "second"));
    struct stat status;
    OK(stat("file", &status));
    EQUAL(status.st_mode, S_IFREG | 0640);
    EQUAL(status.st_nlink, 2);
    EQUAL(status.st_uid, 11);
    EQUAL(status.st_gid, 22);
    EQUAL(status.st_size, 6);
    EQUAL(status.st_rdev, 0);
    CHECK(status.st_blksize >= 512 && (status.st_blksize & (status.st_blksize - 1)) == 0);
    CHECK(status.st_ino != 0);
}

CASE(stat_of_every_type_of_file)
{
    test_directory();
    OK(mkdir("directory", 0750));
    OK(mkfifo("fifo", 0600));
    OK(symlink("target", "link"));
    OK(mknod("character", S_IFCHR | 0600, makedev(1, 3)));
    OK(mknod("block", S_IFBLK | 0600, makedev(7, 300)));
    OK(mknod("socket", S_IFSOCK | 0600, 0));
    EQUAL(stat_of("directory").st_mode, S_IFDIR | 0750);
    EQUAL(stat_of("fifo").st_mode, S_IFIFO | 0600);
    EQUAL(stat_of("link").st_mode, S_IFLNK | 0777);
    EQUAL(stat_of("link").st_size, 6);
    EQUAL(stat_of("character").st_mode, S_IFCHR | 0600);
    EQUAL(stat_of("character").st_rdev, makedev(1, 3));
    EQUAL(stat_of("block").st_mode, S_IFBLK | 0600);
    EQUAL(stat_of("block").st_rdev, makedev(7, 300));
    EQUAL(stat_of("socket").st_mode, S_IFSOCK | 0600);
}

CASE(stat_follows_links_and_lstat_does_not)
{
    test_directory();
    touch("file");
    OK(symlink("file", "link"));
    OK(symlink("nowhere", "dangling"));
    struct stat a, b;
    OK(stat("link", &a));
    OK(stat("file", &b));
    EQUAL(a.st_ino, b.st_ino);
    OK(lstat("link", &a));
    CHECK(S_ISLNK(a.st_mode) && a.st_ino != b.st_ino);
    FAILS(stat("dangling", &a), ENOENT);
    OK(lstat("dangling", &a));
}

CASE(stat_errors)
{
    test_directory();
    touch("file");
    OK(symlink("self", "self"));
    struct stat status;
    FAILS(stat("absent", &status), ENOENT);
    FAILS(stat("", &status), ENOENT);
    FAILS(stat("file/", &status), ENOTDIR);
    FAILS(stat("file/x", &status), ENOTDIR);
    FAILS(stat("self", &status), ELOOP);
    FAILS(stat(long_name(256), &status), ENAMETOOLONG);
    FAILS(stat(unmapped_address(), &status), EFAULT);
    FAILS(syscall(SYS_stat, "file", unmapped_address()), EFAULT);
    FAILS(syscall(SYS_stat, "file", before_unmapped(sizeof status - 1)), EFAULT);
    FAILS(fstat(999, &status), EBADF);
    OK(mkdir("closed", 0700));
    touch("closed/file");
    AS_NOBODY({ FAILS(stat("closed/file", &status), EACCES); OK(stat("closed", &status)); });
}

CASE(fstat_of_pipes_and_sockets)
{
    int ends[2];
    struct stat status;
    OK(pipe(ends));
    OK(fstat(ends[0], &status));
    CHECK(S_ISFIFO(status.st_mode));
    EQUAL(status.st_mode & 0777, 0600);
    struct stat other;
    OK(fstat(ends[1], &other));
    EQUAL(other.st_ino, status.st_ino);
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, ends));
    OK(fstat(ends[0], &status));
    CHECK(S_ISSOCK(status.st_mode));
}

CASE(fstatat_flags)
{
    test_directory();
    OK(mkdir("d", 0700));
    touch("d/file");
    OK(symlink("file", "d/link"));
    int directory = OK(open("d", O_RDONLY));
    struct stat status;
    OK(fstatat(directory, "file", &status, 0));
    CHECK(S_ISREG(status.st_mode));
    OK(fstatat(directory, "link", &status, 0));
    CHECK(S_ISREG(status.st_mode));
    OK(fstatat(directory, "link", &status, AT_SYMLINK_NOFOLLOW));
    CHECK(S_ISLNK(status.st_mode));
    OK(fstatat(directory, "", &status, AT_EMPTY_PATH));
    CHECK(S_ISDIR(status.st_mode));
    OK(fstatat(AT_FDCWD, "", &status, AT_EMPTY_PATH));
    OK(fstatat(directory, "file", &status, AT_NO_AUTOMOUNT));
    FAILS(fstatat(directory, "", &status, 0), ENOENT);
    FAILS(fstatat(directory, "file", &status, 0x40000000), EINVAL);
    FAILS(fstatat(999, "file", &status, 0), EBADF);
    FAILS(fstatat(OK(open("d/file", O_RDONLY)), "x", &status, 0), ENOTDIR);
}

CASE(stat_blocks_count_what_is_stored)
{
    tmpfs_directory();
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
    EQUAL(stat_of("file").st_blocks, 0);
    EQUAL(write(fd, "x", 1), 1);
    EQUAL(stat_of("file").st_blocks, 8);
    EQUAL(pwrite(fd, "x", 1, 100 * PAGE), 1);
    EQUAL(stat_of("file").st_blocks, 16);
    OK(ftruncate(fd, 0));
    EQUAL(stat_of("file").st_blocks, 0);
}

CASE(stat_inodes_of_one_file_system_are_distinct)
{
    test_directory();
    char name[16];
    ino_t seen[100];
    for (int i = 0; i < 100; i++)
    {
        snprintf(name, sizeof name, "f%d", i);
        touch(name);
        struct stat status = stat_of(name);
        EQUAL(status.st_dev, stat_of(".").st_dev);
        for (int j = 0; j < i; j++) CHECK(seen[j] != status.st_ino);
        seen[i] = status.st_ino;
    }
}

CASE(statx_answers_the_basic_fields)
{
    test_directory();
    write_file("file", "abc", 3, 0604);
    OK(chown("file", 5, 6));
    struct statx x;
    struct stat status = stat_of("file");
    OK(statx(AT_FDCWD, "file", 0, STATX_BASIC_STATS, &x));
    EQUAL(x.stx_mask & STATX_BASIC_STATS, STATX_BASIC_STATS);
    EQUAL(x.stx_mode, status.st_mode);
    EQUAL(x.stx_nlink, 1);
    EQUAL(x.stx_uid, 5);
    EQUAL(x.stx_gid, 6);
    EQUAL(x.stx_size, 3);
    EQUAL(x.stx_ino, status.st_ino);
    EQUAL(x.stx_blocks, status.st_blocks);
    EQUAL(makedev(x.stx_dev_major, x.stx_dev_minor), status.st_dev);
    EQUAL(x.stx_mtime.tv_sec, status.st_mtim.tv_sec);
    EQUAL(x.stx_mtime.tv_nsec, status.st_mtim.tv_nsec);
    EQUAL(x.stx_ctime.tv_sec, status.st_ctim.tv_sec);
    EQUAL(x.stx_blksize, status.st_blksize);
}

CASE(statx_tells_birth_time_and_mount)
{
    tmpfs_directory();
    touch("file");
    struct statx x;
    OK(statx(AT_FDCWD, "file", 0, STATX_BTIME | STATX_MNT_ID, &x));
    EQUAL(x.stx_mask & (STATX_BTIME | STATX_MNT_ID), STATX_BTIME | STATX_MNT_ID);
    struct stat status = stat_of("file");
    CHECK(x.stx_btime.tv_sec <= status.st_mtim.tv_sec && x.stx_btime.tv_sec > status.st_mtim.tv_sec - 100);
    EQUAL(x.stx_attributes & STATX_ATTR_MOUNT_ROOT, 0);
    OK(statx(AT_FDCWD, ".", 0, STATX_BASIC_STATS, &x));
    EQUAL(x.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT, STATX_ATTR_MOUNT_ROOT);
    EQUAL(x.stx_attributes & STATX_ATTR_MOUNT_ROOT, STATX_ATTR_MOUNT_ROOT);
}

CASE(statx_flags_and_errors)
{
    test_directory();
    OK(symlink("nowhere", "link"));
    touch("file");
    int fd = OK(open("file", O_RDONLY));
    struct statx x;
    OK(statx(AT_FDCWD, "link", AT_SYMLINK_NOFOLLOW, STATX_TYPE, &x));
    EQUAL(x.stx_mode & S_IFMT, S_IFLNK);
    OK(statx(fd, "", AT_EMPTY_PATH, STATX_TYPE, &x));
    EQUAL(x.stx_mode & S_IFMT, S_IFREG);
    OK(statx(AT_FDCWD, "file", AT_STATX_FORCE_SYNC, STATX_BASIC_STATS, &x));
    OK(statx(AT_FDCWD, "file", AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &x));
    FAILS(statx(AT_FDCWD, "file", AT_STATX_DONT_SYNC | AT_STATX_FORCE_SYNC, STATX_TYPE, &x), EINVAL);
    FAILS(statx(AT_FDCWD, "file", 0x40000000, STATX_TYPE, &x), EINVAL);
    FAILS(statx(AT_FDCWD, "file", 0, 0x80000000, &x), EINVAL);
    FAILS(statx(AT_FDCWD, "link", 0, STATX_TYPE, &x), ENOENT);
    FAILS(statx(AT_FDCWD, "", 0, STATX_TYPE, &x), ENOENT);
    FAILS(statx(fd, "x", 0, STATX_TYPE, &x), ENOTDIR);
    FAILS(statx(999, "file", 0, STATX_TYPE, &x), EBADF);
    FAILS(syscall(SYS_statx, AT_FDCWD, "file", 0, STATX_TYPE, unmapped_address()), EFAULT);
    FAILS(syscall(SYS_statx, AT_FDCWD, unmapped_address(), 0, STATX_TYPE, &x), EFAULT);
}

CASE(access_asks_with_the_real_user)
{
    test_directory();
    write_file("r", "", 0, 0444);
    write_file("x", "", 0, 0711);
    // Effective user root, real user nobody: access says what nobody may.
    IN_CHILD({
        OK(setgroups(0, NULL));
        OK(setresgid(NOBODY, 0, 0));
        OK(setresuid(NOBODY, 0, 0));
        OK(access("r", R_OK));
        FAILS(access("r", W_OK), EACCES);
        OK(access("x", X_OK));
        FAILS(access("x", R_OK), EACCES);
        OK(syscall(SYS_faccessat2, AT_FDCWD, "r", R_OK | W_OK, AT_EACCESS));
    });
    // The other way round: what effective nobody may not, access of root may.
    IN_CHILD({
        OK(setgroups(0, NULL));
        OK(setresgid(0, NOBODY, 0));
        OK(setresuid(0, NOBODY, 0));
        FAILS(open("r", O_RDWR), EACCES);
        OK(access("r", W_OK));
        FAILS(syscall(SYS_faccessat2, AT_FDCWD, "r", W_OK, AT_EACCESS), EACCES);
    });
}

CASE(access_of_root_executes_only_what_somebody_may)
{
    test_directory();
    write_file("none", "", 0, 0);
    write_file("x", "", 0, 0001);
    OK(mkdir("directory", 0));
    OK(access("none", R_OK | W_OK));
    FAILS(access("none", X_OK), EACCES);
    OK(access("x", X_OK));
    OK(access("directory", X_OK));
}

CASE(access_errors_and_flags)
{
    test_directory();
    touch("file");
    OK(symlink("nowhere", "dangling"));
    OK(access("file", F_OK));
    FAILS(access("absent", F_OK), ENOENT);
    FAILS(access("dangling", F_OK), ENOENT);
    FAILS(access("file", 8), EINVAL);
    FAILS(access("file/x", F_OK), ENOTDIR);
    FAILS(access(unmapped_address(), F_OK), EFAULT);
    FAILS(access(long_name(300), F_OK), ENAMETOOLONG);
    OK(syscall(SYS_faccessat2, AT_FDCWD, "dangling", F_OK, AT_SYMLINK_NOFOLLOW));
    OK(syscall(SYS_faccessat2, OK(open("file", O_PATH)), "", R_OK, AT_EMPTY_PATH));
    FAILS(syscall(SYS_faccessat2, AT_FDCWD, "file", F_OK, 0x40000000), EINVAL);
    FAILS(syscall(SYS_faccessat, 999, "file", F_OK), EBADF);
    OK(syscall(SYS_faccessat, OK(open(".", O_RDONLY)), "file", F_OK));
}

CASE(access_on_a_read_only_mount_fails_with_EROFS)
{
    test_directory();
    private_mounts();
    mount_tmpfs("m", 0, NULL);
    touch("m/file");
    OK(mount(NULL, "m", NULL, MS_REMOUNT | MS_RDONLY, NULL));
    FAILS(access("m/file", W_OK), EROFS);
    OK(access("m/file", R_OK));
    FAILS(access("m", W_OK), EROFS);
}
