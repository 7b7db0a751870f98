// open, openat, creat: flags and errors of man 2 open. openat2 has a file of its own.
#include "../common/scratch.h"

#include <sys/socket.h>
#include <sys/un.h>

CASE(open_needs_an_existing_file_without_O_CREAT)
{
    test_directory();
    FAILS(open("absent", O_RDONLY), ENOENT);
    FAILS(open("absent", O_RDWR | O_TRUNC), ENOENT);
    FAILS(open("", O_RDONLY), ENOENT);
    FAILS(open("absent/below", O_RDONLY | O_CREAT, 0600), ENOENT);
    CHECK(!exists("absent"));
}

CASE(open_O_CREAT_makes_an_empty_file_of_the_mode_less_the_umask)
{
    test_directory();
    umask(027);
    int fd = OK(open("new", O_RDONLY | O_CREAT, 0666));
    struct stat status = stat_of("new");
    EQUAL(status.st_mode, S_IFREG | 0640);
    EQUAL(status.st_size, 0);
    EQUAL(status.st_nlink, 1);
    EQUAL(status.st_uid, 0);
    FAILS(write(fd, "x", 1), EBADF);
    umask(0);
    OK(open("all", O_WRONLY | O_CREAT, 07777));
    EQUAL(stat_of("all").st_mode, S_IFREG | 07777);
}

CASE(open_O_CREAT_of_a_file_without_permissions_gives_a_usable_descriptor)
{
    test_directory();
    AS_NOBODY({
        int fd = OK(open("new", O_RDWR | O_CREAT, 0));
        EQUAL(write(fd, "abc", 3), 3);
        FAILS(open("new", O_RDONLY), EACCES);
    });
    EQUAL(stat_of("new").st_mode, S_IFREG);
}

CASE(open_O_CREAT_leaves_an_existing_file_as_it_is)
{
    test_directory();
    write_file("old", "content", 7, 0600);
    OK(open("old", O_RDWR | O_CREAT, 0777));
    EQUAL(stat_of("old").st_mode, S_IFREG | 0600);
    FILE_IS("old", "content");
}

CASE(open_O_EXCL_fails_on_anything_that_exists)
{
    test_directory();
    touch("file");
    OK(mkdir("directory", 0700));
    OK(symlink("file", "link"));
    OK(symlink("nowhere", "dangling"));
    FAILS(open("file", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
    FAILS(open("directory", O_RDONLY | O_CREAT | O_EXCL, 0600), EEXIST);
    FAILS(open("link", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
    FAILS(open("dangling", O_RDWR | O_CREAT | O_EXCL, 0600), EEXIST);
    CHECK(!exists("nowhere"));
    OK(open("new", O_RDWR | O_CREAT | O_EXCL, 0600));
}

CASE(open_O_CREAT_makes_the_target_of_a_dangling_link)
{
    test_directory();
    OK(mkdir("d", 0700));
    OK(symlink("d/target", "dangling"));
    OK(open("dangling", O_WRONLY | O_CREAT, 0600));
    EQUAL(stat_of("d/target").st_mode, S_IFREG | 0600);
    FAILS(open("dangling/", O_WRONLY | O_CREAT, 0600), EISDIR);
}

CASE(open_O_TRUNC_empties_the_file)
{
    test_directory();
    write_text("file", "content");
    OK(open("file", O_WRONLY | O_TRUNC));
    EQUAL(stat_of("file").st_size, 0);
}

CASE(open_O_TRUNC_needs_write_permission_even_for_reading)
{
    test_directory();
    write_file("file", "content", 7, 0444);
    AS_NOBODY({ FAILS(open("file", O_RDONLY | O_TRUNC), EACCES); });
    FILE_IS("file", "content");
}

CASE(open_creat_is_open_for_writing_with_truncation)
{
    test_directory();
    write_text("file", "content");
    int fd = OK(creat("file", 0600));
    EQUAL(stat_of("file").st_size, 0);
    char byte;
    FAILS(read(fd, &byte, 1), EBADF);
    EQUAL(write(fd, "abc", 3), 3);
    FAILS(creat(".", 0600), EISDIR);
    FAILS(creat("absent/file", 0600), ENOENT);
}

CASE(open_access_modes_limit_what_a_descriptor_does)
{
    test_directory();
    write_text("file", "content");
    char byte;
    int reader = OK(open("file", O_RDONLY)), writer = OK(open("file", O_WRONLY)), both = OK(open("file", O_RDWR));
    EQUAL(read(reader, &byte, 1), 1);
    FAILS(write(reader, "x", 1), EBADF);
    FAILS(read(writer, &byte, 1), EBADF);
    EQUAL(write(writer, "x", 1), 1);
    EQUAL(read(both, &byte, 1), 1);
    EQUAL(byte, 'x');
    EQUAL(write(both, "y", 1), 1);
    EQUAL(fcntl(reader, F_GETFL) & O_ACCMODE, O_RDONLY);
    EQUAL(fcntl(writer, F_GETFL) & O_ACCMODE, O_WRONLY);
    EQUAL(fcntl(both, F_GETFL) & O_ACCMODE, O_RDWR);
}

CASE(open_access_mode_three_needs_both_permissions_and_allows_neither)
{
    test_directory();
    write_file("file", "content", 7, 0666);
    write_file("readable", "content", 7, 0444);
    AS_NOBODY({
        int fd = OK(open("file", 3));
        char byte;
        FAILS(read(fd, &byte, 1), EBADF);
        FAILS(write(fd, "x", 1), EBADF);
        FAILS(open("readable", 3), EACCES);
    });
}

CASE(open_takes_the_lowest_free_descriptor)
{
    test_directory();
    close_inherited();
    int a = OK(open(".", O_RDONLY)), b = OK(open(".", O_RDONLY)), c = OK(open(".", O_RDONLY));
    CHECK(a < b && b < c);
    OK(close(b));
    OK(close(a));
    EQUAL(open(".", O_RDONLY), a);
    EQUAL(open(".", O_RDONLY), b);
    EQUAL(open(".", O_RDONLY), c + 1);
}

CASE(open_fails_with_EMFILE_at_the_limit_and_makes_no_file)
{
    test_directory();
    close_inherited();
    int next = OK(open(".", O_RDONLY));
    OK(close(next));
    struct rlimit limit;
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    limit.rlim_cur = next;
    OK(setrlimit(RLIMIT_NOFILE, &limit));
    FAILS(open("file", O_RDWR | O_CREAT, 0600), EMFILE);
    CHECK(!exists("file"));
    limit.rlim_cur = next + 1;
    OK(setrlimit(RLIMIT_NOFILE, &limit));
    EQUAL(open("file", O_RDWR | O_CREAT, 0600), next);
}

CASE(open_O_CLOEXEC_and_FD_CLOEXEC_are_the_same_flag)
{
    test_directory();
    EQUAL(fcntl(OK(open(".", O_RDONLY | O_CLOEXEC)), F_GETFD), FD_CLOEXEC);
    EQUAL(fcntl(OK(open(".", O_RDONLY)), F_GETFD), 0);
    // It is not a status flag.
    EQUAL(fcntl(OK(open(".", O_RDONLY | O_CLOEXEC)), F_GETFL) & O_CLOEXEC, 0);
}

CASE(open_of_a_directory_for_writing_fails_with_EISDIR)
{
    test_directory();
    FAILS(open(".", O_WRONLY), EISDIR);
    FAILS(open(".", O_RDWR), EISDIR);
    FAILS(open(".", O_RDONLY | O_CREAT, 0600), EISDIR);
    FAILS(open("new/", O_RDWR | O_CREAT, 0600), EISDIR);
    FAILS(open(".", O_RDONLY | O_TRUNC), EISDIR);
    int fd = OK(open(".", O_RDONLY));
    char byte;
    FAILS(read(fd, &byte, 1), EISDIR);
}

CASE(open_asks_for_the_permissions_of_the_access_mode)
{
    test_directory();
    write_file("r", "x", 1, 0444);
    write_file("w", "x", 1, 0222);
    write_file("none", "x", 1, 0);
    AS_NOBODY({
        OK(open("r", O_RDONLY));
        FAILS(open("r", O_WRONLY), EACCES);
        FAILS(open("r", O_RDWR), EACCES);
        OK(open("w", O_WRONLY));
        FAILS(open("w", O_RDONLY), EACCES);
        FAILS(open("none", O_RDONLY), EACCES);
    });
    OK(open("none", O_RDWR));
}

CASE(open_O_APPEND_writes_at_the_end_whoever_moved_it)
{
    test_directory();
    int a = OK(open("log", O_WRONLY | O_CREAT | O_APPEND, 0600)), b = OK(open("log", O_WRONLY | O_APPEND));
    EQUAL(write(a, "one ", 4), 4);
    EQUAL(write(b, "two ", 4), 4);
    EQUAL(lseek(a, 0, SEEK_SET), 0);
    EQUAL(write(a, "three", 5), 5);
    EQUAL(lseek(a, 0, SEEK_CUR), 13);
    FILE_IS("log", "one two three");
}

CASE(open_O_APPEND_of_several_processes_loses_nothing)
{
    test_directory();
    enum { WRITERS = 4, RECORDS = 200, SIZE = 16 };
    touch("log");
    pid_t writers[WRITERS];
    for (int i = 0; i < WRITERS; i++)
    {
        writers[i] = CHILD({
            int fd = OK(open("log", O_WRONLY | O_APPEND));
            char record[SIZE];
            memset(record, 'a' + i, SIZE);
            for (int n = 0; n < RECORDS; n++) EQUAL(write(fd, record, SIZE), SIZE);
        });
    }
    for (int i = 0; i < WRITERS; i++) REAP_EXIT(writers[i], 0);
    int fd = OK(open("log", O_RDONLY)), seen[WRITERS] = {0};
    char record[SIZE];
    while (read(fd, record, SIZE) == SIZE)
    {
        CHECK(record[0] >= 'a' && record[0] < 'a' + WRITERS);
        CHECK(is_filled_with(record, SIZE, record[0]));
        seen[record[0] - 'a']++;
    }
    for (int i = 0; i < WRITERS; i++) EQUAL(seen[i], RECORDS);
}

CASE(open_O_NOATIME_is_for_owners)
{
    test_directory();
    write_file("file", "x", 1, 0644);
    OK(open("file", O_RDONLY | O_NOATIME));
    AS_NOBODY({
        FAILS(open("file", O_RDONLY | O_NOATIME), EPERM);
        write_text("own", "x");
        int fd = OK(open("own", O_RDONLY | O_NOATIME));
        EQUAL(fcntl(fd, F_GETFL) & O_NOATIME, O_NOATIME);
        fd = OK(open("file", O_RDONLY));
        FAILS(fcntl(fd, F_SETFL, O_NOATIME), EPERM);
    });
}

CASE(open_status_flags_are_read_back)
{
    test_directory();
    touch("file");
    int base = O_LARGEFILE;
    int fd = OK(open("file", O_RDWR | O_APPEND | O_NONBLOCK | O_SYNC | O_NOCTTY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600));
    int flags = OK(fcntl(fd, F_GETFL));
    EQUAL(flags & O_ACCMODE, O_RDWR);
    EQUAL(flags & (O_APPEND | O_NONBLOCK), O_APPEND | O_NONBLOCK);
    EQUAL(flags & O_SYNC, O_SYNC);
    EQUAL(flags & (O_CREAT | O_TRUNC | O_EXCL | O_NOCTTY), 0);
    EQUAL(fcntl(OK(open("file", O_RDONLY | O_DSYNC)), F_GETFL) & O_SYNC, O_DSYNC);
    // 64-bit kernels set O_LARGEFILE by themselves (0x8000; the C library's name for it is 0).
    (void)base;
    EQUAL(fcntl(OK(open("file", O_RDONLY)), F_GETFL), 0x8000);
    EQUAL(fcntl(OK(open(".", O_RDONLY | O_DIRECTORY)), F_GETFL), 0x8000 | O_DIRECTORY);
}

CASE(open_O_DIRECT_works_or_is_EINVAL)
{
    test_directory();
    touch("file");
    int fd = open("file", O_RDWR | O_DIRECT);
    if (fd == -1)
    {
        EQUAL(errno, EINVAL);
        return;
    }
    EQUAL(fcntl(fd, F_GETFL) & O_DIRECT, O_DIRECT);
    void *buffer;
    CHECK(posix_memalign(&buffer, PAGE, PAGE) == 0);
    fill_pattern(buffer, PAGE, 1);
    EQUAL(write(fd, buffer, PAGE), PAGE);
    memset(buffer, 0, PAGE);
    EQUAL(pread(fd, buffer, PAGE, 0), PAGE);
    CHECK(is_pattern(buffer, PAGE, 0, 1));
}

CASE(open_unknown_flags_are_ignored)
{
    test_directory();
    touch("file");
    OK(syscall(SYS_openat, AT_FDCWD, "file", O_RDONLY | 0x8000000, 0));
    OK(syscall(SYS_openat, AT_FDCWD, "new", O_RDWR | O_CREAT, 0200000 | 0600));
    EQUAL(stat_of("new").st_mode, S_IFREG | 0600);
}

CASE(open_of_a_running_program_for_writing_fails_with_ETXTBSY)
{
    test_directory();
    char *program = malloc(8 << 20);
    int self = OK(open("/proc/self/exe", O_RDONLY));
    ssize_t size = OK(read(self, program, 8 << 20));
    write_file("program", program, size, 0755);
    int ends[2];
    OK(pipe(ends));
    pid_t child = CHILD({
        OK(dup2(ends[0], 0));
        OK(close(ends[1]));
        execl("./program", "program", "--entry", "wait_for_input", NULL);
        test_fail(__FILE__, __LINE__, errno, "execl");
    });
    OK(close(ends[0]));
    // It runs once the link of /proc says so.
    char name[64], target[PATH_MAX];
    snprintf(name, sizeof name, "/proc/%d/exe", child);
    EVENTUALLY(({
        ssize_t length = readlink(name, target, sizeof target - 1);
        target[length < 0 ? 0 : length] = 0;
        strstr(target, "/program") != NULL;
    }));
    FAILS(open("program", O_WRONLY), ETXTBSY);
    FAILS(open("program", O_RDWR), ETXTBSY);
    FAILS(truncate("program", 0), ETXTBSY);
    OK(open("program", O_RDONLY));
    OK(close(ends[1]));
    REAP_EXIT(child, 5);
    OK(open("program", O_WRONLY));
}

ENTRY(wait_for_input)
{
    char byte;
    return read(0, &byte, 1) == 0 ? 5 : 6;
}

CASE(open_of_a_file_being_written_cannot_be_executed)
{
    test_directory();
    write_file("script", "#!/proc/self/exe\n", 17, 0755);
    int fd = OK(open("script", O_WRONLY));
    char *arguments[] = {"script", NULL};
    FAILS(execv("./script", arguments), ETXTBSY);
    OK(close(fd));
}

CASE(open_of_a_socket_file_fails_with_ENXIO)
{
    test_directory();
    int fd = OK(socket(AF_UNIX, SOCK_STREAM, 0));
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
    OK(bind(fd, (struct sockaddr *)&address, sizeof address));
    FAILS(open("socket", O_RDWR), ENXIO);
    FAILS(open("socket", O_RDONLY), ENXIO);
    OK(open("socket", O_PATH));
}

CASE(open_of_a_device_without_driver_fails_with_ENXIO)
{
    test_directory();
    OK(mknod("device", S_IFCHR | 0600, makedev(240, 77)));
    FAILS(open("device", O_RDONLY), ENXIO);
    OK(mknod("block", S_IFBLK | 0600, makedev(240, 77)));
    FAILS(open("block", O_RDONLY), ENXIO);
}

CASE(open_files_keep_their_content_after_unlink)
{
    test_directory();
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
    EQUAL(write(fd, "content", 7), 7);
    OK(unlink("file"));
    struct stat status;
    OK(fstat(fd, &status));
    EQUAL(status.st_nlink, 0);
    EQUAL(status.st_size, 7);
    char text[8];
    EQUAL(pread(fd, text, 8, 0), 7);
    EQUAL(write(fd, "x", 1), 1);
    OK(open("file", O_RDWR | O_CREAT | O_EXCL, 0600));
    EQUAL(stat_of("file").st_size, 0);
}

