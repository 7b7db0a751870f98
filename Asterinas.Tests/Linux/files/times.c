// Times of files: utimensat and its older forms, and which call changes which time (man 2 utimensat, utime, man 7 inode).
#include "../common/scratch.h"

#include <sys/time.h>
#include <utime.h>

// Sets both times to second 1000, so that "now" is seen to be later.
static void age(const char *name)
{
    OK(utimensat(AT_FDCWD, name, (struct timespec[]){{1000, 5}, {1000, 5}}, AT_SYMLINK_NOFOLLOW));
}

// The time of change cannot be set: wait until the clock of files has moved on.
static void tick(void) { sleep_ms(30); }

static bool later(struct timespec a, struct timespec b) { return a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec; }

static bool is_aged(struct timespec time) { return time.tv_sec == 1000; }

CASE(utimensat_sets_both_times_to_the_nanosecond)
{
    test_directory();
    touch("file");
    OK(utimensat(AT_FDCWD, "file", (struct timespec[]){{123, 456789012}, {987654321, 999999999}}, 0));
    struct stat status = stat_of("file");
    EQUAL(status.st_atim.tv_sec, 123);
    EQUAL(status.st_atim.tv_nsec, 456789012);
    EQUAL(status.st_mtim.tv_sec, 987654321);
    EQUAL(status.st_mtim.tv_nsec, 999999999);
    CHECK(status.st_ctim.tv_sec > 1000000000);
    OK(futimens(OK(open("file", O_RDONLY)), (struct timespec[]){{5, 6}, {7, 8}}));
    EQUAL(stat_of("file").st_mtim.tv_nsec, 8);
}

CASE(utimensat_UTIME_OMIT_and_UTIME_NOW)
{
    test_directory();
    touch("file");
    age("file");
    OK(utimensat(AT_FDCWD, "file", (struct timespec[]){{0, UTIME_OMIT}, {5, 0}}, 0));
    EQUAL(stat_of("file").st_atim.tv_sec, 1000);
    EQUAL(stat_of("file").st_mtim.tv_sec, 5);
    int64_t now = clock_ns(CLOCK_REALTIME) / 1000000000;
    OK(utimensat(AT_FDCWD, "file", (struct timespec[]){{0, UTIME_NOW}, {0, UTIME_OMIT}}, 0));
    CHECK(stat_of("file").st_atim.tv_sec >= now - 1);
    EQUAL(stat_of("file").st_mtim.tv_sec, 5);
    age("file");
    OK(utimensat(AT_FDCWD, "file", NULL, 0));
    CHECK(stat_of("file").st_atim.tv_sec >= now - 1 && stat_of("file").st_mtim.tv_sec >= now - 1);
    // Both omitted: nothing is looked at.
    OK(utimensat(AT_FDCWD, "absent", (struct timespec[]){{0, UTIME_OMIT}, {0, UTIME_OMIT}}, 0));
}

CASE(utimensat_on_links_and_descriptors)
{
    test_directory();
    touch("file");
    OK(symlink("file", "link"));
    age("file");
    OK(utimensat(AT_FDCWD, "link", (struct timespec[]){{5, 0}, {6, 0}}, AT_SYMLINK_NOFOLLOW));
    EQUAL(stat_of("link").st_mtim.tv_sec, 6);
    EQUAL(stat_of("file").st_mtim.tv_sec, 1000);
    OK(utimensat(AT_FDCWD, "link", (struct timespec[]){{7, 0}, {8, 0}}, 0));
    EQUAL(stat_of("file").st_mtim.tv_sec, 8);
    EQUAL(stat_of("link").st_mtim.tv_sec, 6);
    OK(syscall(SYS_utimensat, OK(open("file", O_PATH)), "", (struct timespec[]){{9, 0}, {9, 0}}, AT_EMPTY_PATH));
    EQUAL(stat_of("file").st_mtim.tv_sec, 9);
}

CASE(utimensat_errors)
{
    test_directory();
    touch("file");
    struct timespec times[2] = {{1, 0}, {1, 0}};
    FAILS(utimensat(AT_FDCWD, "absent", times, 0), ENOENT);
    FAILS(utimensat(AT_FDCWD, "file/x", times, 0), ENOTDIR);
    FAILS(utimensat(AT_FDCWD, "file", times, 0x40000000), EINVAL);
    FAILS(utimensat(999, "file", times, 0), EBADF);
    FAILS(futimens(999, times), EBADF);
    FAILS(syscall(SYS_utimensat, AT_FDCWD, "file", unmapped_address(), 0), EFAULT);
    FAILS(syscall(SYS_utimensat, AT_FDCWD, unmapped_address(), times, 0), EFAULT);
    FAILS(utimensat(AT_FDCWD, "file", (struct timespec[]){{1, 1000000000}, {1, 0}}, 0), EINVAL);
    FAILS(utimensat(AT_FDCWD, "file", (struct timespec[]){{1, -5}, {1, 0}}, 0), EINVAL);
}

CASE(utimensat_now_needs_write_permission_and_any_time_ownership)
{
    test_directory();
    write_file("writable", "", 0, 0666);
    write_file("readable", "", 0, 0644);
    struct timespec times[2] = {{1, 0}, {1, 0}}, mixed[2] = {{0, UTIME_NOW}, {0, UTIME_OMIT}};
    AS_NOBODY({
        OK(utimensat(AT_FDCWD, "writable", NULL, 0));
        FAILS(utimensat(AT_FDCWD, "readable", NULL, 0), EACCES);
        FAILS(utimensat(AT_FDCWD, "writable", times, 0), EPERM);
        FAILS(utimensat(AT_FDCWD, "writable", mixed, 0), EPERM);
        write_file("own", "", 0, 0400);
        OK(utimensat(AT_FDCWD, "own", times, 0));
        OK(utimensat(AT_FDCWD, "own", NULL, 0));
    });
}

CASE(utime_utimes_and_futimesat_are_coarser)
{
    test_directory();
    touch("file");
    OK(syscall(SYS_utime, "file", &(struct utimbuf){.actime = 11, .modtime = 12}));
    EQUAL(stat_of("file").st_atim.tv_sec, 11);
    EQUAL(stat_of("file").st_mtim.tv_sec, 12);
    OK(syscall(SYS_utimes, "file", (struct timeval[]){{13, 14}, {15, 16}}));
    EQUAL(stat_of("file").st_atim.tv_nsec, 14000);
    EQUAL(stat_of("file").st_mtim.tv_nsec, 16000);
    OK(syscall(SYS_futimesat, AT_FDCWD, "file", (struct timeval[]){{17, 18}, {19, 20}}));
    EQUAL(stat_of("file").st_mtim.tv_sec, 19);
    FAILS(syscall(SYS_utimes, "file", (struct timeval[]){{13, 1000000}, {15, 16}}), EINVAL);
    OK(syscall(SYS_utime, "file", NULL));
    CHECK(stat_of("file").st_mtim.tv_sec > 1000000000);
}

CASE(writing_changes_modification_and_change_time)
{
    test_directory();
    write_text("file", "abc");
    age("file");
    struct stat before = stat_of("file");
    tick();
    int fd = OK(open("file", O_RDWR));
    EQUAL(write(fd, "x", 1), 1);
    struct stat after = stat_of("file");
    CHECK(!is_aged(after.st_mtim) && is_aged(after.st_atim));
    CHECK(later(after.st_ctim, before.st_ctim));
    // Nothing written, nothing changed.
    age("file");
    EQUAL(write(fd, "x", 0), 0);
    CHECK(is_aged(stat_of("file").st_mtim));
}

CASE(reading_changes_the_access_time_of_an_aged_file)
{
    tmpfs_directory();
    write_text("file", "abc");
    age("file");        // relatime: the access time is not later than the modification
    char byte;
    EQUAL(read(OK(open("file", O_RDONLY)), &byte, 1), 1);
    CHECK(!is_aged(stat_of("file").st_atim) && is_aged(stat_of("file").st_mtim));
    age("file");
    EQUAL(read(OK(open("file", O_RDONLY | O_NOATIME)), &byte, 1), 1);
    CHECK(is_aged(stat_of("file").st_atim));
    OK(mount(NULL, ".", NULL, MS_REMOUNT | MS_BIND | MS_NOATIME, NULL));
    EQUAL(read(OK(open("file", O_RDONLY)), &byte, 1), 1);
    CHECK(is_aged(stat_of("file").st_atim));
}

CASE(changing_a_directory_changes_its_times)
{
    test_directory();
    OK(mkdir("d", 0700));
    const char *step;
#define CHANGES(what, call)                                                                                            \
    step = what;                                                                                                       \
    age("d");                                                                                                          \
    OK(call);                                                                                                          \
    CHECK_THAT(!is_aged(stat_of("d").st_mtim) && is_aged(stat_of("d").st_atim), "after %s", step)
    CHANGES("open", open("d/file", O_WRONLY | O_CREAT, 0600));
    CHANGES("link", link("d/file", "d/second"));
    CHANGES("rename", rename("d/second", "d/third"));
    CHANGES("unlink", unlink("d/third"));
    CHANGES("mkdir", mkdir("d/e", 0700));
    CHANGES("rmdir", rmdir("d/e"));
    CHANGES("symlink", symlink("x", "d/l"));
    CHANGES("mknod", mknod("d/n", S_IFIFO | 0600, 0));
    age("d");
    OK(chmod("d/file", 0640));
    write_text("d/file", "x");
    CHECK(is_aged(stat_of("d").st_mtim));
}

CASE(changing_the_inode_changes_its_change_time_only)
{
    test_directory();
    touch("file");
    age("file");
    struct stat before = stat_of("file"), after;
#define TOUCHES(call)                                                                                                  \
    tick();                                                                                                            \
    OK(call);                                                                                                          \
    after = stat_of("file");                                                                                           \
    CHECK(later(after.st_ctim, before.st_ctim) && is_aged(after.st_mtim));                                             \
    before = after
    TOUCHES(chmod("file", 0600));
    TOUCHES(chown("file", 1, 1));
    TOUCHES(link("file", "second"));
    TOUCHES(unlink("second"));
    TOUCHES(({ OK(rename("file", "other")); rename("other", "file"); }));
}

CASE(times_come_from_the_real_time_clock)
{
    test_directory();
    int64_t before = clock_ns(CLOCK_REALTIME);
    OK(open("file", O_WRONLY | O_CREAT, 0600));
    int64_t after = clock_ns(CLOCK_REALTIME);
    struct timespec time = stat_of("file").st_mtim;
    int64_t made = time.tv_sec * 1000000000LL + time.tv_nsec;
    CHECK(made <= after && made >= before - 50000000);      // the clock of files ticks
    struct stat status = stat_of("file");
    CHECK(memcmp(&status.st_mtim, &status.st_ctim, sizeof status.st_mtim) == 0);
    CHECK(memcmp(&status.st_mtim, &status.st_atim, sizeof status.st_mtim) == 0);
}
