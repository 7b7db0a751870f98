// rename, renameat, renameat2 (man 2 rename).
#include "../common/scratch.h"

CASE(rename_moves_a_file)
{
    test_directory();
    write_text("a", "content");
    ino_t inode = stat_of("a").st_ino;
    OK(rename("a", "b"));
    CHECK(!exists("a"));
    EQUAL(stat_of("b").st_ino, inode);
    FILE_IS("b", "content");
    OK(mkdir("d", 0700));
    OK(rename("b", "d/c"));
    FILE_IS("d/c", "content");
}

CASE(rename_replaces_a_file)
{
    test_directory();
    write_text("a", "new");
    write_text("b", "old");
    OK(link("b", "kept"));
    int fd = OK(open("b", O_RDONLY));
    OK(rename("a", "b"));
    FILE_IS("b", "new");
    EQUAL(stat_of("kept").st_nlink, 1);
    char text[4] = {0};
    EQUAL(read(fd, text, 3), 3);
    CHECK(strcmp(text, "old") == 0);
}

CASE(rename_between_two_names_of_one_file_does_nothing)
{
    test_directory();
    touch("a");
    OK(link("a", "b"));
    OK(rename("a", "b"));
    CHECK(exists("a") && exists("b"));
    OK(rename("a", "a"));
    CHECK(exists("a"));
}

CASE(rename_moves_a_directory_with_its_tree)
{
    test_directory();
    OK(mkdir("a", 0700));
    OK(mkdir("a/b", 0700));
    write_text("a/b/file", "deep");
    OK(mkdir("x", 0700));
    nlink_t links = stat_of(".").st_nlink;
    int fd = OK(open("a/b", O_RDONLY));
    OK(rename("a", "x/y"));
    FILE_IS("x/y/b/file", "deep");
    CHECK(!exists("a"));
    EQUAL(stat_of(".").st_nlink, links - 1);
    EQUAL(stat_of("x").st_nlink, 3);
    struct stat up, y;
    OK(fstatat(fd, "..", &up, 0));
    OK(stat("x/y", &y));
    EQUAL(up.st_ino, y.st_ino);
    OK(fstatat(fd, "../..", &up, 0));
    EQUAL(up.st_ino, stat_of("x").st_ino);
}

CASE(rename_replaces_an_empty_directory_only)
{
    test_directory();
    OK(mkdir("a", 0700));
    touch("a/file");
    OK(mkdir("empty", 0700));
    OK(rename("a", "empty"));
    CHECK(exists("empty/file") && !exists("a"));
    OK(mkdir("b", 0700));
    FAILS(rename("b", "empty"), ENOTEMPTY);
    CHECK(exists("b"));
}

CASE(rename_does_not_mix_directories_and_files)
{
    test_directory();
    touch("file");
    OK(mkdir("directory", 0700));
    FAILS(rename("file", "directory"), EISDIR);
    FAILS(rename("directory", "file"), ENOTDIR);
    FAILS(rename("file", "new/"), ENOTDIR);
    OK(rename("directory", "moved/"));
    CHECK(exists("moved"));
}

CASE(rename_of_a_directory_into_itself_fails_with_EINVAL)
{
    test_directory();
    OK(mkdir("a", 0700));
    OK(mkdir("a/b", 0700));
    FAILS(rename("a", "a/x"), EINVAL);
    FAILS(rename("a", "a/b/x"), EINVAL);
    FAILS(rename("a", "a/b"), EINVAL);
    FAILS(rename("a/b", "a"), ENOTEMPTY);
    CHECK(exists("a/b"));
}

CASE(rename_of_dot_fails_with_EBUSY)
{
    test_directory();
    OK(mkdir("a", 0700));
    FAILS(rename(".", "x"), EBUSY);
    FAILS(rename("a/.", "x"), EBUSY);
    FAILS(rename("a/..", "x"), EBUSY);
    FAILS(rename("a", "."), EBUSY);
    FAILS(rename("a", ".."), EBUSY);
    FAILS(rename("/", "/x"), EBUSY);
}

CASE(rename_moves_a_symbolic_link_itself)
{
    test_directory();
    touch("file");
    OK(symlink("file", "link"));
    OK(rename("link", "moved"));
    CHECK(S_ISLNK(stat_of("moved").st_mode));
    touch("other");
    OK(rename("other", "moved"));
    CHECK(S_ISREG(stat_of("moved").st_mode));
    CHECK(exists("file"));
}

CASE(rename_errors)
{
    test_directory();
    touch("file");
    OK(symlink("self", "self"));
    FAILS(rename("absent", "x"), ENOENT);
    FAILS(rename("", "x"), ENOENT);
    FAILS(rename("file", ""), ENOENT);
    FAILS(rename("file", "absent/x"), ENOENT);
    FAILS(rename("file/x", "y"), ENOTDIR);
    FAILS(rename("file", "file/x"), ENOTDIR);
    FAILS(rename("self/x", "y"), ELOOP);
    FAILS(rename("file", long_name(256)), ENAMETOOLONG);
    FAILS(rename(unmapped_address(), "x"), EFAULT);
    FAILS(rename("file", unmapped_address()), EFAULT);
    FAILS(renameat(999, "file", AT_FDCWD, "x"), EBADF);
    FAILS(renameat(AT_FDCWD, "file", 999, "x"), EBADF);
    CHECK(exists("file"));
}

CASE(rename_of_a_mount_point_fails_with_EBUSY)
{
    test_directory();
    private_mounts();
    mount_tmpfs("m", 0, NULL);
    OK(mkdir("d", 0700));
    FAILS(rename("m", "x"), EBUSY);
    FAILS(rename("d", "m"), EBUSY);
    FAILS(rmdir("m"), EBUSY);
}

CASE(renameat_uses_its_directories)
{
    test_directory();
    OK(mkdir("a", 0700));
    OK(mkdir("b", 0700));
    touch("a/file");
    OK(renameat(OK(open("a", O_RDONLY)), "file", OK(open("b", O_PATH)), "moved"));
    CHECK(exists("b/moved") && !exists("a/file"));
}

CASE(renameat2_RENAME_NOREPLACE_never_replaces)
{
    test_directory();
    write_text("a", "a");
    write_text("b", "b");
    FAILS(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE), EEXIST);
    FAILS(renameat2(AT_FDCWD, "a", AT_FDCWD, "a", RENAME_NOREPLACE), EEXIST);
    FILE_IS("b", "b");
    OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "c", RENAME_NOREPLACE));
    FILE_IS("c", "a");
}

CASE(renameat2_RENAME_EXCHANGE_swaps_two_files)
{
    test_directory();
    write_text("a", "was a");
    write_text("b", "was b");
    OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_EXCHANGE));
    FILE_IS("a", "was b");
    FILE_IS("b", "was a");
    FAILS(renameat2(AT_FDCWD, "a", AT_FDCWD, "absent", RENAME_EXCHANGE), ENOENT);
}

CASE(renameat2_RENAME_EXCHANGE_swaps_a_file_and_a_directory)
{
    test_directory();
    OK(mkdir("x", 0700));
    OK(mkdir("x/d", 0700));
    touch("x/d/below");
    write_text("file", "content");
    OK(renameat2(AT_FDCWD, "x/d", AT_FDCWD, "file", RENAME_EXCHANGE));
    FILE_IS("x/d", "content");
    CHECK(exists("file/below"));
    EQUAL(stat_of("x").st_nlink, 2);
    FAILS(renameat2(AT_FDCWD, "x", AT_FDCWD, "x/d", RENAME_EXCHANGE), EINVAL);
    FAILS(renameat2(AT_FDCWD, "x/d", AT_FDCWD, "x", RENAME_EXCHANGE), EINVAL);
}

CASE(renameat2_RENAME_WHITEOUT_leaves_a_whiteout)
{
    tmpfs_directory();
    write_text("a", "content");
    OK(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_WHITEOUT));
    FILE_IS("b", "content");
    EQUAL(stat_of("a").st_mode & S_IFMT, S_IFCHR);
    EQUAL(stat_of("a").st_rdev, 0);
}

CASE(renameat2_flags_are_checked)
{
    test_directory();
    touch("a");
    FAILS(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", 0x80), EINVAL);
    FAILS(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_NOREPLACE | RENAME_EXCHANGE), EINVAL);
    FAILS(renameat2(AT_FDCWD, "a", AT_FDCWD, "b", RENAME_WHITEOUT | RENAME_EXCHANGE), EINVAL);
    CHECK(exists("a") && !exists("b"));
}

CASE(rename_of_several_processes_keeps_exactly_one_file)
{
    test_directory();
    write_text("f0", "the one");
    enum { PROCESSES = 3 };
    pid_t children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++)
    {
        children[i] = CHILD({
            for (int n = 0; n < 300; n++)
            {
                char from[8], to[8];
                snprintf(from, sizeof from, "f%d", (n + i) % 5);
                snprintf(to, sizeof to, "f%d", (n * 7 + i * 3) % 5);
                if (rename(from, to) == -1) EQUAL(errno, ENOENT);
            }
        });
    }
    for (int i = 0; i < PROCESSES; i++) REAP_EXIT(children[i], 0);
    int found = 0;
    for (int i = 0; i < 5; i++)
    {
        char name[8];
        snprintf(name, sizeof name, "f%d", i);
        if (!exists(name)) continue;
        found++;
        FILE_IS(name, "the one");
    }
    EQUAL(found, 1);
}
