// Directories: mkdir, mknod, rmdir, getdents64, getcwd, chdir, fchdir, chroot.
#include "../common/scratch.h"

#include <dirent.h>
#include <sys/sysmacros.h>

struct entry
{
    uint64_t d_ino;
    int64_t d_off;
    uint16_t d_reclen;
    uint8_t d_type;
    char d_name[];
};

CASE(mkdir_makes_an_empty_directory)
{
    test_directory();
    nlink_t links = stat_of(".").st_nlink;
    OK(mkdir("d", 0751));
    struct stat status = stat_of("d");
    EQUAL(status.st_mode, S_IFDIR | 0751);
    EQUAL(status.st_nlink, 2);
    EQUAL(stat_of(".").st_nlink, links + 1);
    EQUAL(stat_of("d/..").st_ino, stat_of(".").st_ino);
    EQUAL(stat_of("d/.").st_ino, status.st_ino);
    OK(mkdir("slash/", 0700));
    OK(mkdir("sticky", 01777));
    EQUAL(stat_of("sticky").st_mode, S_IFDIR | 01755);
    OK(mkdirat(OK(open("d", O_RDONLY)), "e", 0700));
    CHECK(exists("d/e"));
}

CASE(mkdir_errors)
{
    test_directory();
    touch("file");
    OK(symlink("nowhere", "dangling"));
    OK(symlink("self", "self"));
    FAILS(mkdir("file", 0700), EEXIST);
    FAILS(mkdir(".", 0700), EEXIST);
    FAILS(mkdir("..", 0700), EEXIST);
    FAILS(mkdir("/", 0700), EEXIST);
    FAILS(mkdir("dangling", 0700), EEXIST);
    FAILS(mkdir("", 0700), ENOENT);
    FAILS(mkdir("absent/d", 0700), ENOENT);
    FAILS(mkdir("file/d", 0700), ENOTDIR);
    FAILS(mkdir("self/d", 0700), ELOOP);
    FAILS(mkdir(long_name(256), 0700), ENAMETOOLONG);
    FAILS(mkdir(unmapped_address(), 0700), EFAULT);
    FAILS(mkdirat(999, "d", 0700), EBADF);
    FAILS(mkdirat(OK(open("file", O_RDONLY)), "d", 0700), ENOTDIR);
}

CASE(rmdir_removes_empty_directories)
{
    test_directory();
    OK(mkdir("d", 0700));
    OK(mkdir("d/e", 0700));
    FAILS(rmdir("d"), ENOTEMPTY);
    OK(rmdir("d/e/"));
    EQUAL(stat_of("d").st_nlink, 2);
    OK(symlink("x", "d/link"));
    FAILS(rmdir("d"), ENOTEMPTY);
    OK(unlink("d/link"));
    OK(rmdir("d"));
    CHECK(!exists("d"));
}

CASE(rmdir_errors)
{
    test_directory();
    touch("file");
    OK(mkdir("d", 0700));
    OK(symlink("d", "link"));
    FAILS(rmdir("absent"), ENOENT);
    FAILS(rmdir(""), ENOENT);
    FAILS(rmdir("file"), ENOTDIR);
    FAILS(rmdir("link"), ENOTDIR);
    FAILS(rmdir("file/x"), ENOTDIR);
    FAILS(rmdir("d/."), EINVAL);
    FAILS(rmdir("d/.."), ENOTEMPTY);
    FAILS(rmdir("/"), EBUSY);
    FAILS(rmdir(long_name(256)), ENAMETOOLONG);
    FAILS(rmdir(unmapped_address()), EFAULT);
}

CASE(rmdir_of_an_open_directory_leaves_an_empty_shell)
{
    test_directory();
    OK(mkdir("d", 0700));
    int fd = OK(open("d", O_RDONLY));
    OK(rmdir("d"));
    struct stat status;
    OK(fstat(fd, &status));
    EQUAL(status.st_nlink, 0);
    char buffer[1024];
    long n = syscall(SYS_getdents64, fd, buffer, sizeof buffer);
    CHECK_THAT(n == 0 || (n == -1 && errno == ENOENT), "getdents64 = %ld", n);
    FAILS(mkdirat(fd, "new", 0700), ENOENT);
}

CASE(mknod_makes_files_of_each_type)
{
    test_directory();
    OK(mknod("regular", S_IFREG | 0640, 0));
    OK(mknod("untyped", 0600, 0));
    OK(mknod("fifo", S_IFIFO | 0600, 0));
    OK(mknod("null", S_IFCHR | 0600, makedev(1, 3)));
    EQUAL(stat_of("regular").st_mode, S_IFREG | 0640);
    EQUAL(stat_of("untyped").st_mode, S_IFREG | 0600);
    EQUAL(stat_of("fifo").st_mode, S_IFIFO | 0600);
    OK(mknodat(OK(open(".", O_RDONLY)), "wide", S_IFCHR | 0600, makedev(0xabc, 0x12345)));
    EQUAL(stat_of("wide").st_rdev, makedev(0xabc, 0x12345));
}

CASE(mknod_errors)
{
    test_directory();
    touch("file");
    FAILS(mknod("file", S_IFREG | 0600, 0), EEXIST);
    FAILS(mknod("x", S_IFDIR | 0600, 0), EPERM);
    FAILS(mknod("x", S_IFLNK | 0600, 0), EINVAL);
    FAILS(mknod("absent/x", S_IFREG | 0600, 0), ENOENT);
    FAILS(mknod("file/x", S_IFREG | 0600, 0), ENOTDIR);
    FAILS(mknod("x/", S_IFREG | 0600, 0), ENOENT);
    FAILS(mknod(long_name(256), S_IFREG | 0600, 0), ENAMETOOLONG);
    FAILS(mknod(unmapped_address(), S_IFREG | 0600, 0), EFAULT);
    FAILS(mknodat(999, "x", S_IFREG | 0600, 0), EBADF);
    AS_NOBODY({
        FAILS(mknod("device", S_IFCHR | 0600, makedev(1, 3)), EPERM);
        FAILS(mknod("device", S_IFBLK | 0600, makedev(1, 3)), EPERM);
        OK(mknod("pipe", S_IFIFO | 0600, 0));
        OK(mknod("socket", S_IFSOCK | 0600, 0));
        // An overlay's whiteout is no device.
        OK(mknod("whiteout", S_IFCHR, 0));
    });
}

CASE(getdents64_lists_each_entry_once_with_its_type)
{
    test_directory();
    touch("file");
    OK(mkdir("directory", 0700));
    OK(symlink("x", "link"));
    OK(mkfifo("fifo", 0600));
    char buffer[4096] __attribute__((aligned(8)));
    int fd = OK(open(".", O_RDONLY)), seen = 0;
    long n = OK(syscall(SYS_getdents64, fd, buffer, sizeof buffer));
    for (long at = 0; at < n;)
    {
        struct entry *entry = (void *)(buffer + at);
        EQUAL(entry->d_reclen % 8, 0);
        CHECK(entry->d_reclen >= offsetof(struct entry, d_name) + strlen(entry->d_name) + 1);
        struct { const char *name; int type, bit; } expected[] = {
            {".", DT_DIR, 1}, {"..", DT_DIR, 2}, {"file", DT_REG, 4}, {"directory", DT_DIR, 8}, {"link", DT_LNK, 16}, {"fifo", DT_FIFO, 32},
        };
        bool known = false;
        for (size_t i = 0; i < 6; i++)
        {
            if (strcmp(entry->d_name, expected[i].name) != 0) continue;
            known = true;
            EQUAL(seen & expected[i].bit, 0);
            seen |= expected[i].bit;
            EQUAL(entry->d_type, expected[i].type);
            EQUAL(entry->d_ino, stat_of(entry->d_name).st_ino);
        }
        CHECK_THAT(known, "an entry %s", entry->d_name);
        at += entry->d_reclen;
    }
    EQUAL(seen, 63);
    EQUAL(syscall(SYS_getdents64, fd, buffer, sizeof buffer), 0);
}

CASE(getdents64_errors)
{
    test_directory();
    touch("file");
    char buffer[4096];
    int fd = OK(open(".", O_RDONLY));
    FAILS(syscall(SYS_getdents64, fd, buffer, 10), EINVAL);
    FAILS(syscall(SYS_getdents64, fd, unmapped_address(), sizeof buffer), EFAULT);
    FAILS(syscall(SYS_getdents64, 999, buffer, sizeof buffer), EBADF);
    FAILS(syscall(SYS_getdents64, OK(open("file", O_RDONLY)), buffer, sizeof buffer), ENOTDIR);
    FAILS(syscall(SYS_getdents64, OK(open(".", O_PATH)), buffer, sizeof buffer), EBADF);
    CHECK(syscall(SYS_getdents64, fd, buffer, sizeof buffer) > 0);
}

CASE(getdents64_in_small_pieces_lists_a_thousand_entries)
{
    test_directory();
    for (int i = 0; i < 1000; i++)
    {
        char name[32];
        snprintf(name, sizeof name, "name-%04d", i);
        touch(name);
    }
    int fd = OK(open(".", O_RDONLY));
    static char seen[1000];
    char buffer[200] __attribute__((aligned(8)));
    long n, count = 0;
    while ((n = OK(syscall(SYS_getdents64, fd, buffer, sizeof buffer))) > 0)
    {
        for (long at = 0; at < n;)
        {
            struct entry *entry = (void *)(buffer + at);
            at += entry->d_reclen;
            if (entry->d_name[0] == '.') continue;
            int number = atoi(entry->d_name + 5);
            CHECK(number >= 0 && number < 1000 && seen[number] == 0);
            seen[number] = 1;
            count++;
        }
    }
    EQUAL(count, 1000);
}

CASE(getdents64_while_entries_are_removed_misses_none_that_stays)
{
    test_directory();
    for (int i = 0; i < 200; i++)
    {
        char name[32];
        snprintf(name, sizeof name, "name-%04d", i);
        touch(name);
    }
    DIR *directory = opendir(".");
    CHECK(directory != NULL);
    int seen = 0, step = 0;
    struct dirent *entry;
    static char found[200];
    while ((entry = readdir(directory)) != NULL)
    {
        if (entry->d_name[0] == '.') continue;
        int number = atoi(entry->d_name + 5);
        CHECK(found[number] == 0);
        found[number] = 1;
        seen += number % 2;
        // Each even one goes after it was listed, or before.
        if (number % 2 == 0) unlink(entry->d_name);
        if (step++ == 10)
        {
            for (int i = 100; i < 200; i += 2)
            {
                char name[32];
                snprintf(name, sizeof name, "name-%04d", i);
                unlink(name);
            }
        }
    }
    EQUAL(seen, 100);
    closedir(directory);
}

CASE(seekdir_returns_to_a_place)
{
    test_directory();
    for (int i = 0; i < 50; i++)
    {
        char name[32];
        snprintf(name, sizeof name, "f%d", i);
        touch(name);
    }
    DIR *directory = opendir(".");
    for (int i = 0; i < 20; i++) CHECK(readdir(directory) != NULL);
    long place = telldir(directory);
    char next[300];
    snprintf(next, sizeof next, "%s", readdir(directory)->d_name);
    while (readdir(directory) != NULL) { }
    seekdir(directory, place);
    CHECK(strcmp(readdir(directory)->d_name, next) == 0);
    rewinddir(directory);
    int count = 0;
    while (readdir(directory) != NULL) count++;
    EQUAL(count, 52);
}

CASE(getcwd_is_the_path_of_the_directory)
{
    const char *base = test_directory();
    char name[PATH_MAX], expected[PATH_MAX + 8];
    CHECK(getcwd(name, sizeof name) != NULL && strcmp(name, base) == 0);
    EQUAL(syscall(SYS_getcwd, name, sizeof name), strlen(base) + 1);
    OK(mkdir("d", 0700));
    OK(chdir("d"));
    snprintf(expected, sizeof expected, "%s/d", base);
    CHECK(strcmp(getcwd(name, sizeof name), expected) == 0);
    OK(rename("../d", "../e"));
    snprintf(expected, sizeof expected, "%s/e", base);
    CHECK(strcmp(getcwd(name, sizeof name), expected) == 0);
    OK(chdir("/"));
    CHECK(strcmp(getcwd(name, sizeof name), "/") == 0);
}

CASE(getcwd_errors)
{
    const char *base = test_directory();
    char name[PATH_MAX];
    FAILS(syscall(SYS_getcwd, name, strlen(base)), ERANGE);
    FAILS(syscall(SYS_getcwd, name, 0), ERANGE);
    FAILS(syscall(SYS_getcwd, unmapped_address(), 4096), EFAULT);
    OK(mkdir("d", 0700));
    OK(chdir("d"));
    OK(rmdir("../d"));
    FAILS(syscall(SYS_getcwd, name, sizeof name), ENOENT);
}

CASE(chdir_moves_the_process_and_its_children_only)
{
    test_directory();
    OK(mkdir("d", 0700));
    touch("d/file");
    IN_CHILD({ OK(chdir("d")); CHECK(exists("file")); });
    CHECK(!exists("file"));
    OK(chdir("d"));
    IN_CHILD({ CHECK(exists("file")); });
    OK(chdir(".."));
    OK(fchdir(OK(open("d", O_RDONLY))));
    CHECK(exists("file"));
    OK(chdir(".."));
    OK(fchdir(OK(open("d", O_PATH))));
    CHECK(exists("file"));
}

CASE(chdir_errors)
{
    test_directory();
    touch("file");
    OK(symlink("self", "self"));
    OK(mkdir("closed", 0600));
    FAILS(chdir("absent"), ENOENT);
    FAILS(chdir(""), ENOENT);
    FAILS(chdir("file"), ENOTDIR);
    FAILS(chdir("self"), ELOOP);
    FAILS(chdir(long_name(256)), ENAMETOOLONG);
    FAILS(chdir(unmapped_address()), EFAULT);
    FAILS(fchdir(999), EBADF);
    FAILS(fchdir(OK(open("file", O_RDONLY))), ENOTDIR);
    int fd = OK(open("closed", O_RDONLY));
    AS_NOBODY({ FAILS(chdir("closed"), EACCES); FAILS(fchdir(fd), EACCES); });
}

CASE(chdir_into_a_directory_that_is_removed)
{
    test_directory();
    OK(mkdir("d", 0700));
    OK(chdir("d"));
    OK(rmdir("../d"));
    FAILS(open("file", O_RDWR | O_CREAT, 0600), ENOENT);
    OK(chdir("."));
    OK(chdir(".."));
    touch("file");
}

CASE(chroot_changes_what_slash_means)
{
    test_directory();
    OK(mkdir("root", 0755));
    OK(mkdir("root/below", 0755));
    write_text("root/file", "inside");
    OK(symlink("/file", "root/link"));
    IN_CHILD({
        OK(chroot("root"));
        FILE_IS("/file", "inside");
        FILE_IS("/link", "inside");
        FILE_IS("/../../file", "inside");
        FILE_IS("/below/../../file", "inside");
        // The working directory stays, outside; getcwd says so.
        char name[PATH_MAX];
        CHECK(exists("root"));
        OK(syscall(SYS_getcwd, name, sizeof name));
        CHECK(strncmp(name, "(unreachable)", 13) == 0);
        OK(chdir("/"));
        OK(syscall(SYS_getcwd, name, sizeof name));
        CHECK(strcmp(name, "/") == 0);
        OK(chdir(".."));
        FILE_IS("file", "inside");
    });
    CHECK(exists("root/file"));
}

CASE(chroot_errors)
{
    test_directory();
    touch("file");
    FAILS(chroot("absent"), ENOENT);
    FAILS(chroot("file"), ENOTDIR);
    FAILS(chroot(unmapped_address()), EFAULT);
    FAILS(chroot(long_name(256)), ENAMETOOLONG);
    OK(mkdir("d", 0755));
    AS_NOBODY({ FAILS(chroot("d"), EPERM); });
}

CASE(directory_trees_may_be_deeper_than_PATH_MAX)
{
    test_directory();
    enum { DEPTH = 300 };
    char name[] = "a-directory-with-a-long-name";
    for (int i = 0; i < DEPTH; i++)
    {
        OK(mkdir(name, 0700));
        OK(chdir(name));
    }
    char path[PATH_MAX];
    FAILS(syscall(SYS_getcwd, path, sizeof path), ENAMETOOLONG);
    touch("file");
    OK(unlink("file"));
    for (int i = 0; i < DEPTH; i++)
    {
        OK(chdir(".."));
        OK(rmdir(name));
    }
}
