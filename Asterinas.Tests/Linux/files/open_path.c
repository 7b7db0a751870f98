// open and openat: how a path leads to a file; O_PATH, O_NOFOLLOW, O_DIRECTORY, O_TMPFILE of man 2 open, man 7 path_resolution.
#include "../common/scratch.h"

CASE(open_O_DIRECTORY_fails_on_other_files)
{
    test_directory();
    touch("file");
    OK(symlink(".", "link"));
    OK(symlink("file", "filelink"));
    FAILS(open("file", O_RDONLY | O_DIRECTORY), ENOTDIR);
    FAILS(open("filelink", O_RDONLY | O_DIRECTORY), ENOTDIR);
    FAILS(open("file/", O_RDONLY), ENOTDIR);
    FAILS(open("file/.", O_RDONLY), ENOTDIR);
    FAILS(open("file/below", O_RDONLY), ENOTDIR);
    OK(open(".", O_RDONLY | O_DIRECTORY));
    OK(open("link", O_RDONLY | O_DIRECTORY));
    FAILS(open("link", O_RDONLY | O_DIRECTORY | O_NOFOLLOW), ENOTDIR);
}

CASE(open_O_NOFOLLOW_refuses_a_link_at_the_end_only)
{
    test_directory();
    OK(mkdir("d", 0700));
    touch("d/file");
    OK(symlink("d/file", "link"));
    OK(symlink("d", "dlink"));
    FAILS(open("link", O_RDONLY | O_NOFOLLOW), ELOOP);
    FAILS(open("link", O_RDONLY | O_CREAT | O_NOFOLLOW, 0600), ELOOP);
    OK(open("dlink/file", O_RDONLY | O_NOFOLLOW));
    OK(open("dlink/", O_RDONLY | O_NOFOLLOW));
    OK(open("dlink/.", O_RDONLY | O_NOFOLLOW));
}

CASE(open_follows_forty_links_and_no_more)
{
    test_directory();
    touch("l0");
    for (int i = 1; i <= 41; i++)
    {
        char from[16], to[16];
        snprintf(from, sizeof from, "l%d", i - 1);
        snprintf(to, sizeof to, "l%d", i);
        OK(symlink(from, to));
    }
    OK(open("l40", O_RDONLY));
    FAILS(open("l41", O_RDONLY), ELOOP);
    OK(symlink("self", "self"));
    FAILS(open("self", O_RDONLY), ELOOP);
    FAILS(open("self", O_RDONLY | O_CREAT, 0600), ELOOP);
    FAILS(open("self/below", O_RDONLY), ELOOP);
}

CASE(open_names_are_at_most_255_bytes_and_paths_4095)
{
    test_directory();
    char *name = long_name(256);
    FAILS(open(name, O_RDONLY), ENAMETOOLONG);
    FAILS(open(name, O_RDWR | O_CREAT, 0600), ENAMETOOLONG);
    OK(open(name + 1, O_RDWR | O_CREAT, 0600));
    // "././…/." of 4095 bytes and one byte more.
    char *path = malloc(4097);
    for (int i = 0; i < 4096; i++) path[i] = i % 2 == 0 ? '.' : '/';
    path[4095] = 0;
    OK(open(path, O_RDONLY));
    path[4095] = '/';
    path[4096] = 0;
    FAILS(open(path, O_RDONLY), ENAMETOOLONG);
}

CASE(open_bad_path_pointers_fail_with_EFAULT)
{
    test_directory();
    FAILS(open(unmapped_address(), O_RDONLY), EFAULT);
    FAILS(open((char *)0x7fffffffffff0000, O_RDONLY), EFAULT);
    FAILS(open((char *)-4096L, O_RDONLY), EFAULT);
    char *end = before_unmapped(3);
    memcpy(end, "abc", 3);
    FAILS(open(end, O_RDONLY), EFAULT);
    memcpy(end, "./", 3);
    OK(open(end, O_RDONLY));
}

CASE(openat_starts_at_its_directory)
{
    const char *base = test_directory();
    OK(mkdir("d", 0700));
    write_text("d/file", "below");
    int directory = OK(open("d", O_RDONLY)), path = OK(open("d", O_PATH)), file = OK(open("d/file", O_RDONLY));
    OK(openat(directory, "file", O_RDONLY));
    OK(openat(path, "file", O_RDONLY));
    OK(openat(directory, "../d/file", O_RDONLY));
    OK(openat(AT_FDCWD, "d/file", O_RDONLY));
    FAILS(openat(directory, "d", O_RDONLY), ENOENT);
    FAILS(openat(file, "below", O_RDONLY), ENOTDIR);
    FAILS(openat(file, "", O_RDONLY), ENOENT);
    FAILS(openat(999, "file", O_RDONLY), EBADF);
    FAILS(openat(-1, "file", O_RDONLY), EBADF);
    // An absolute path needs no directory.
    OK(openat(-1, base, O_RDONLY));
    OK(openat(file, base, O_RDONLY));
}

CASE(openat_works_in_a_directory_that_moved)
{
    test_directory();
    OK(mkdir("d", 0700));
    int directory = OK(open("d", O_RDONLY));
    OK(mkdir("e", 0700));
    OK(rename("d", "e/f"));
    OK(openat(directory, "new", O_RDWR | O_CREAT, 0600));
    CHECK(exists("e/f/new"));
}

CASE(openat_in_a_removed_directory_fails_with_ENOENT)
{
    test_directory();
    OK(mkdir("d", 0700));
    int directory = OK(open("d", O_RDONLY));
    OK(rmdir("d"));
    FAILS(openat(directory, "new", O_RDWR | O_CREAT, 0600), ENOENT);
    FAILS(openat(directory, "new", O_RDONLY), ENOENT);
    OK(openat(directory, ".", O_RDONLY));
}

CASE(open_needs_search_permission_on_the_way)
{
    test_directory();
    OK(mkdir("d", 0755));
    write_file("d/file", "x", 1, 0666);
    AS_NOBODY({ OK(open("d/file", O_RDONLY)); });
    OK(chmod("d", 0644));
    AS_NOBODY({
        FAILS(open("d/file", O_RDONLY), EACCES);
        FAILS(open("d/absent", O_RDONLY), EACCES);
        OK(open("d", O_RDONLY));
    });
    OK(chmod("d", 0711));
    AS_NOBODY({
        OK(open("d/file", O_RDWR));
        FAILS(open("d", O_RDONLY), EACCES);
        FAILS(open("d/new", O_RDWR | O_CREAT, 0600), EACCES);
        FAILS(open("d/absent", O_RDONLY), ENOENT);
    });
}

CASE(open_O_PATH_gives_a_place_and_no_content)
{
    test_directory();
    write_file("file", "content", 7, 0);
    AS_NOBODY({
        int fd = OK(open("file", O_PATH));
        char byte;
        FAILS(read(fd, &byte, 1), EBADF);
        FAILS(write(fd, "x", 1), EBADF);
        FAILS(fchmod(fd, 0777), EBADF);
        FAILS(fchown(fd, -1, -1), EBADF);
        FAILS(lseek(fd, 0, SEEK_SET), EBADF);
        FAILS(ftruncate(fd, 0), EBADF);
        FAILS(fsync(fd), EBADF);
        FAILS(ioctl(fd, FIONREAD, &byte), EBADF);
        CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EBADF);
        struct stat status;
        OK(fstat(fd, &status));
        EQUAL(status.st_size, 7);
        EQUAL(fcntl(fd, F_GETFL) & O_PATH, O_PATH);
        OK(fcntl(fd, F_SETFD, FD_CLOEXEC));
        FAILS(fcntl(fd, F_SETFL, O_NONBLOCK), EBADF);
        OK(dup(fd));
    });
}

CASE(open_O_PATH_with_O_NOFOLLOW_names_the_link_itself)
{
    test_directory();
    OK(symlink("nowhere", "link"));
    int fd = OK(open("link", O_PATH | O_NOFOLLOW));
    struct stat status;
    OK(fstat(fd, &status));
    CHECK(S_ISLNK(status.st_mode));
    char target[32];
    EQUAL(readlinkat(fd, "", target, sizeof target), 7);
    CHECK(memcmp(target, "nowhere", 7) == 0);
    FAILS(open("link", O_PATH), ENOENT);
    FAILS(open("link", O_PATH | O_NOFOLLOW | O_DIRECTORY), ENOTDIR);
}

CASE(open_O_PATH_ignores_most_other_flags)
{
    test_directory();
    write_text("file", "content");
    OK(open("file", O_PATH | O_TRUNC | O_RDWR | O_APPEND));
    FILE_IS("file", "content");
    FAILS(open("new", O_PATH | O_CREAT, 0600), ENOENT);
    EQUAL(fcntl(OK(open("file", O_PATH | O_CLOEXEC)), F_GETFD), FD_CLOEXEC);
}

CASE(open_through_proc_self_fd_reopens_what_O_PATH_found)
{
    test_directory();
    write_text("file", "content");
    int path = OK(open("file", O_PATH));
    OK(rename("file", "moved"));
    char name[64], text[16];
    snprintf(name, sizeof name, "/proc/self/fd/%d", path);
    int fd = OK(open(name, O_RDONLY));
    EQUAL(read(fd, text, sizeof text), 7);
    OK(unlink("moved"));
    EQUAL(read(OK(open(name, O_RDONLY)), text, sizeof text), 7);
}

CASE(open_O_TMPFILE_has_no_name_until_it_is_linked)
{
    test_directory();
    int fd = OK(open(".", O_TMPFILE | O_RDWR, 0640));
    struct stat status;
    OK(fstat(fd, &status));
    EQUAL(status.st_nlink, 0);
    EQUAL(status.st_mode, S_IFREG | 0640);
    EQUAL(write(fd, "content", 7), 7);
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    OK(linkat(AT_FDCWD, name, AT_FDCWD, "file", AT_SYMLINK_FOLLOW));
    FILE_IS("file", "content");
    EQUAL(stat_of("file").st_nlink, 1);
}

CASE(open_O_TMPFILE_with_O_EXCL_is_never_linked)
{
    test_directory();
    int fd = OK(open(".", O_TMPFILE | O_RDWR | O_EXCL, 0640));
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    FAILS(linkat(AT_FDCWD, name, AT_FDCWD, "file", AT_SYMLINK_FOLLOW), ENOENT);
}

CASE(open_O_TMPFILE_needs_a_directory_and_write_access)
{
    test_directory();
    touch("file");
    FAILS(open(".", O_TMPFILE | O_RDONLY, 0600), EINVAL);
    FAILS(open("file", O_TMPFILE | O_RDWR, 0600), ENOTDIR);
    FAILS(open("absent", O_TMPFILE | O_RDWR, 0600), ENOENT);
    FAILS(open(".", O_TMPFILE | O_CREAT | O_RDWR, 0600), EINVAL);
    // Without the bit of O_DIRECTORY it is no flag of a new kernel.
    FAILS(syscall(SYS_openat, AT_FDCWD, ".", (O_TMPFILE & ~O_DIRECTORY) | O_RDWR, 0600), EINVAL);
    OK(mkdir("closed", 0555));
    AS_NOBODY({ FAILS(open("closed", O_TMPFILE | O_RDWR, 0600), EACCES); });
}

CASE(open_slashes_and_dots_in_paths)
{
    test_directory();
    OK(mkdir("d", 0700));
    touch("d/file");
    OK(open("d//file", O_RDONLY));
    OK(open(".//d/.//file", O_RDONLY));
    OK(open("d/../d/file", O_RDONLY));
    OK(open("d/../../../../../../../../../..", O_RDONLY));
    OK(open("/..", O_RDONLY));
    OK(open("/", O_RDONLY));
    OK(open("///", O_RDONLY));
    FAILS(open("absent/..", O_RDONLY), ENOENT);
    FAILS(open("d/file/..", O_RDONLY), ENOTDIR);
    struct stat root, parent;
    OK(stat("/", &root));
    OK(stat("/..", &parent));
    EQUAL(root.st_ino, parent.st_ino);
}
