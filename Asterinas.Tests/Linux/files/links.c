// Names of files: link, linkat, symlink, readlink, unlink, unlinkat (man 2 link, symlink, readlink, unlink).
#include "../common/scratch.h"

#include <sys/socket.h>

CASE(link_gives_a_file_a_second_name)
{
    test_directory();
    write_text("a", "content");
    OK(link("a", "b"));
    EQUAL(stat_of("a").st_ino, stat_of("b").st_ino);
    EQUAL(stat_of("b").st_nlink, 2);
    write_text("b", "changed");
    FILE_IS("a", "changed");
    OK(unlink("a"));
    FILE_IS("b", "changed");
    EQUAL(stat_of("b").st_nlink, 1);
}

CASE(link_errors)
{
    test_directory();
    touch("file");
    touch("other");
    OK(mkdir("directory", 0700));
    OK(symlink("self", "self"));
    FAILS(link("absent", "new"), ENOENT);
    FAILS(link("file", "absent/new"), ENOENT);
    FAILS(link("file", ""), ENOENT);
    FAILS(link("", "new"), ENOENT);
    FAILS(link("file", "other"), EEXIST);
    FAILS(link("file", "file"), EEXIST);
    FAILS(link("file", "self"), EEXIST);
    FAILS(link("file", "directory"), EEXIST);
    FAILS(link("directory", "new"), EPERM);
    FAILS(link("file/x", "new"), ENOTDIR);
    FAILS(link("file", "other/x"), ENOTDIR);
    FAILS(link("file", "new/"), ENOENT);
    FAILS(link("self/x", "new"), ELOOP);
    FAILS(link("file", long_name(256)), ENAMETOOLONG);
    FAILS(link(unmapped_address(), "new"), EFAULT);
    FAILS(link("file", unmapped_address()), EFAULT);
    FAILS(linkat(999, "file", AT_FDCWD, "new", 0), EBADF);
    FAILS(linkat(AT_FDCWD, "file", 999, "new", 0), EBADF);
    FAILS(linkat(AT_FDCWD, "file", AT_FDCWD, "new", 0x40000000), EINVAL);
    EQUAL(stat_of("file").st_nlink, 1);
}

CASE(link_of_a_symbolic_link_links_the_link)
{
    test_directory();
    touch("file");
    OK(symlink("file", "link"));
    OK(link("link", "second"));
    CHECK(S_ISLNK(stat_of("second").st_mode));
    EQUAL(stat_of("link").st_nlink, 2);
    OK(linkat(AT_FDCWD, "link", AT_FDCWD, "third", AT_SYMLINK_FOLLOW));
    CHECK(S_ISREG(stat_of("third").st_mode));
    EQUAL(stat_of("file").st_nlink, 2);
}

CASE(link_across_mounts_fails_with_EXDEV)
{
    test_directory();
    private_mounts();
    mount_tmpfs("m", 0, NULL);
    touch("file");
    FAILS(link("file", "m/file"), EXDEV);
    FAILS(rename("file", "m/file"), EXDEV);
    // A bind mount of the same file system is another mount.
    OK(mkdir("b", 0700));
    OK(mount(".", "b", NULL, MS_BIND, NULL));
    FAILS(link("file", "b/new"), EXDEV);
    FAILS(rename("file", "b/new"), EXDEV);
}

CASE(linkat_uses_its_directories)
{
    test_directory();
    OK(mkdir("a", 0700));
    OK(mkdir("b", 0700));
    touch("a/file");
    OK(linkat(OK(open("a", O_PATH)), "file", OK(open("b", O_RDONLY)), "new", 0));
    EQUAL(stat_of("b/new").st_ino, stat_of("a/file").st_ino);
}

CASE(linkat_AT_EMPTY_PATH_names_an_open_file)
{
    test_directory();
    touch("file");
    int fd = OK(open("file", O_RDONLY));
    OK(linkat(fd, "", AT_FDCWD, "new", AT_EMPTY_PATH));
    EQUAL(stat_of("file").st_nlink, 2);
    OK(unlink("file"));
    OK(unlink("new"));
    // What has no name left gets none anew.
    FAILS(linkat(fd, "", AT_FDCWD, "again", AT_EMPTY_PATH), ENOENT);
}

CASE(symlink_holds_any_text)
{
    test_directory();
    char text[256];
    OK(symlink("no/such//place/..", "link"));
    EQUAL(readlink("link", text, sizeof text), 17);
    CHECK(memcmp(text, "no/such//place/..", 17) == 0);
    EQUAL(stat_of("link").st_size, 17);
    char *long_target = long_name(4000);
    OK(symlink(long_target, "long"));
    char *back = calloc(1, 5000);
    EQUAL(readlink("long", back, 5000), 4000);
    CHECK(strcmp(back, long_target) == 0);
}

CASE(symlink_errors)
{
    test_directory();
    touch("file");
    FAILS(symlink("", "link"), ENOENT);
    FAILS(symlink("x", ""), ENOENT);
    FAILS(symlink("x", "file"), EEXIST);
    FAILS(symlink("x", "."), EEXIST);
    FAILS(symlink("x", "absent/link"), ENOENT);
    FAILS(symlink("x", "file/link"), ENOTDIR);
    FAILS(symlink("x", "link/"), ENOENT);
    FAILS(symlink("x", long_name(256)), ENAMETOOLONG);
    FAILS(symlink(long_name(4096), "link"), ENAMETOOLONG);
    FAILS(symlink(unmapped_address(), "link"), EFAULT);
    FAILS(symlink("x", unmapped_address()), EFAULT);
    FAILS(symlinkat("x", 999, "link"), EBADF);
    OK(mkdir("d", 0700));
    OK(symlinkat("x", OK(open("d", O_RDONLY)), "link"));
    CHECK(exists("d/link"));
}

CASE(readlink_cuts_silently_and_adds_no_zero)
{
    test_directory();
    OK(symlink("abcdef", "link"));
    char text[8];
    memset(text, '#', sizeof text);
    EQUAL(readlink("link", text, 3), 3);
    CHECK(memcmp(text, "abc###", 6) == 0);
    EQUAL(readlink("link", text, 8), 6);
    CHECK(memcmp(text, "abcdef##", 8) == 0);
}

CASE(readlink_errors)
{
    test_directory();
    touch("file");
    OK(symlink("abcdef", "link"));
    char text[8];
    FAILS(readlink("file", text, 8), EINVAL);
    FAILS(readlink(".", text, 8), EINVAL);
    FAILS(syscall(SYS_readlink, "link", text, 0), EINVAL);
    FAILS(syscall(SYS_readlink, "link", text, -1), EINVAL);
    FAILS(readlink("absent", text, 8), ENOENT);
    FAILS(readlink("", text, 8), ENOENT);
    FAILS(readlink("file/x", text, 8), ENOTDIR);
    FAILS(readlink("link/", text, 8), ENOENT);
    FAILS(readlink("link", unmapped_address(), 8), EFAULT);
    FAILS(readlink(unmapped_address(), text, 8), EFAULT);
    FAILS(readlinkat(999, "link", text, 8), EBADF);
    EQUAL(readlinkat(OK(open(".", O_RDONLY)), "link", text, 8), 6);
    OK(mkdir("closed", 0700));
    OK(symlink("x", "closed/link"));
    AS_NOBODY({ FAILS(readlink("closed/link", text, 8), EACCES); });
}

CASE(symlinks_are_followed_in_the_middle_of_paths)
{
    const char *base = test_directory();
    OK(mkdir("a", 0700));
    OK(mkdir("a/b", 0700));
    write_text("a/b/file", "found");
    OK(symlink("a/b", "relative"));
    OK(symlink("../b/file", "a/b/up"));
    char absolute[PATH_MAX + 16];
    snprintf(absolute, sizeof absolute, "%s/a", base);
    OK(symlink(absolute, "absolute"));
    FILE_IS("relative/file", "found");
    FILE_IS("relative/up", "found");
    FILE_IS("absolute/b/up", "found");
    // ".." is of the directory, not of the text.
    FILE_IS("relative/../b/file", "found");
}

CASE(unlink_errors)
{
    test_directory();
    touch("file");
    OK(mkdir("directory", 0700));
    OK(symlink("self", "self"));
    FAILS(unlink("absent"), ENOENT);
    FAILS(unlink(""), ENOENT);
    FAILS(unlink("directory"), EISDIR);
    FAILS(unlink("."), EISDIR);
    FAILS(unlink("file/"), ENOTDIR);
    FAILS(unlink("file/x"), ENOTDIR);
    FAILS(unlink("self/x"), ELOOP);
    FAILS(unlink(long_name(256)), ENAMETOOLONG);
    FAILS(unlink(unmapped_address()), EFAULT);
    FAILS(unlinkat(999, "file", 0), EBADF);
    FAILS(unlinkat(AT_FDCWD, "file", 0x40000000), EINVAL);
    FAILS(unlinkat(AT_FDCWD, "file", AT_REMOVEDIR), ENOTDIR);
    FAILS(unlinkat(AT_FDCWD, "directory", 0), EISDIR);
    CHECK(exists("file") && exists("directory"));
    OK(unlinkat(AT_FDCWD, "directory", AT_REMOVEDIR));
    OK(unlinkat(OK(open(".", O_RDONLY)), "file", 0));
    OK(unlink("self"));
    CHECK(!exists("file") && !exists("directory") && !exists("self"));
}

CASE(unlink_removes_a_link_and_not_its_target)
{
    test_directory();
    touch("file");
    OK(symlink("file", "link"));
    OK(unlink("link"));
    CHECK(exists("file"));
    OK(mknod("socket", S_IFSOCK | 0600, 0));
    OK(mkfifo("fifo", 0600));
    OK(unlink("socket"));
    OK(unlink("fifo"));
}

CASE(unlink_frees_the_name_while_the_file_is_mapped)
{
    test_directory();
    write_text("file", "content");
    int fd = OK(open("file", O_RDONLY));
    char *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(map != MAP_FAILED);
    OK(close(fd));
    OK(unlink("file"));
    write_text("file", "another");
    CHECK(memcmp(map, "content", 7) == 0);
}

CASE(unlink_from_a_read_only_mount_fails_with_EROFS)
{
    test_directory();
    private_mounts();
    mount_tmpfs("m", 0, NULL);
    touch("m/file");
    OK(symlink("x", "m/link"));
    OK(mkdir("m/d", 0700));
    OK(mount(NULL, "m", NULL, MS_REMOUNT | MS_RDONLY, NULL));
    FAILS(unlink("m/file"), EROFS);
    FAILS(rmdir("m/d"), EROFS);
    FAILS(rename("m/file", "m/new"), EROFS);
    FAILS(link("m/file", "m/new"), EROFS);
    FAILS(symlink("x", "m/new"), EROFS);
    FAILS(mkdir("m/new", 0700), EROFS);
    FAILS(mkfifo("m/new", 0600), EROFS);
    FAILS(open("m/new", O_WRONLY | O_CREAT, 0600), EROFS);
    FAILS(open("m/file", O_RDWR), EROFS);
    FAILS(open("m/file", O_RDONLY | O_TRUNC), EROFS);
    FAILS(truncate("m/file", 0), EROFS);
    FAILS(chmod("m/file", 0600), EROFS);
    FAILS(chown("m/file", 0, 0), EROFS);
    FAILS(utimensat(AT_FDCWD, "m/file", NULL, 0), EROFS);
    OK(open("m/file", O_RDONLY));
    // What is there is there first.
    FAILS(mkdir("m/d", 0700), EEXIST);
    FAILS(open("m/absent", O_RDONLY), ENOENT);
}
