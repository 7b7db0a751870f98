// Permissions: chmod, fchmod, fchmodat, chown and its family, umask, and who may do what to a directory (man 2 chmod, chown, umask, man 7 inode).
#include "../common/scratch.h"

CASE(chmod_sets_the_twelve_bits)
{
    test_directory();
    touch("file");
    OK(chmod("file", 07777));
    EQUAL(stat_of("file").st_mode, S_IFREG | 07777);
    OK(chmod("file", 0));
    EQUAL(stat_of("file").st_mode, S_IFREG);
    OK(chmod("file", S_IFDIR | 0640));
    EQUAL(stat_of("file").st_mode, S_IFREG | 0640);
    int fd = OK(open("file", O_RDONLY));
    OK(fchmod(fd, 01234));
    EQUAL(stat_of("file").st_mode, S_IFREG | 01234);
    OK(syscall(SYS_fchmodat, AT_FDCWD, "file", 0600));
    EQUAL(stat_of("file").st_mode, S_IFREG | 0600);
}

CASE(chmod_follows_links)
{
    test_directory();
    touch("file");
    OK(symlink("file", "link"));
    OK(chmod("link", 0600));
    EQUAL(stat_of("file").st_mode, S_IFREG | 0600);
    EQUAL(stat_of("link").st_mode, S_IFLNK | 0777);
}

CASE(chmod_errors)
{
    test_directory();
    touch("file");
    OK(symlink("self", "self"));
    FAILS(chmod("absent", 0600), ENOENT);
    FAILS(chmod("file/x", 0600), ENOTDIR);
    FAILS(chmod("self", 0600), ELOOP);
    FAILS(chmod(unmapped_address(), 0600), EFAULT);
    FAILS(chmod(long_name(256), 0600), ENAMETOOLONG);
    FAILS(fchmod(999, 0600), EBADF);
    FAILS(syscall(SYS_fchmodat, 999, "file", 0600), EBADF);
    FAILS(syscall(SYS_fchmodat, OK(open("file", O_RDONLY)), "x", 0600), ENOTDIR);
    OK(mkdir("closed", 0700));
    touch("closed/file");
    AS_NOBODY({ FAILS(chmod("closed/file", 0600), EACCES); });
}

CASE(chmod_is_for_the_owner)
{
    test_directory();
    write_file("file", "", 0, 0666);
    AS_NOBODY({
        FAILS(chmod("file", 0777), EPERM);
        FAILS(fchmod(OK(open("file", O_RDWR)), 0777), EPERM);
        touch("own");
        OK(chmod("own", 0700));
    });
    EQUAL(stat_of("file").st_mode, S_IFREG | 0666);
}

CASE(chmod_by_one_outside_the_group_clears_set_group_ID)
{
    test_directory();
    touch("file");
    OK(chown("file", NOBODY, 7));
    AS_NOBODY({ OK(chmod("file", 06755)); });
    EQUAL(stat_of("file").st_mode, S_IFREG | 04755);
}

CASE(chmod_takes_effect_on_the_next_open_only)
{
    test_directory();
    write_file("file", "abc", 3, 0666);
    AS_NOBODY({
        touch("own");
        int fd = OK(open("own", O_RDWR));
        OK(chmod("own", 0));
        EQUAL(write(fd, "x", 1), 1);
        FAILS(open("own", O_RDONLY), EACCES);
    });
}

CASE(chown_sets_owner_and_group_and_minus_one_keeps)
{
    test_directory();
    touch("file");
    OK(chown("file", 10, 20));
    OK(chown("file", -1, 21));
    OK(chown("file", 11, -1));
    OK(chown("file", -1, -1));
    EQUAL(stat_of("file").st_uid, 11);
    EQUAL(stat_of("file").st_gid, 21);
    OK(fchown(OK(open("file", O_RDONLY)), 1, 2));
    EQUAL(stat_of("file").st_uid, 1);
    OK(chown("file", 0x7ffffffe, 0x7ffffffe));
    EQUAL(stat_of("file").st_uid, 0x7ffffffe);
}

CASE(lchown_and_fchownat_can_change_the_link)
{
    test_directory();
    touch("file");
    OK(symlink("file", "link"));
    OK(chown("link", 1, 1));
    EQUAL(stat_of("file").st_uid, 1);
    EQUAL(stat_of("link").st_uid, 0);
    OK(lchown("link", 2, 2));
    EQUAL(stat_of("link").st_uid, 2);
    EQUAL(stat_of("file").st_uid, 1);
    OK(fchownat(AT_FDCWD, "link", 3, 3, AT_SYMLINK_NOFOLLOW));
    EQUAL(stat_of("link").st_gid, 3);
    OK(fchownat(OK(open("file", O_PATH)), "", 4, 4, AT_EMPTY_PATH));
    EQUAL(stat_of("file").st_uid, 4);
    FAILS(fchownat(AT_FDCWD, "file", 3, 3, 0x40000000), EINVAL);
    FAILS(fchownat(AT_FDCWD, "", 3, 3, 0), ENOENT);
    FAILS(fchownat(999, "file", 3, 3, 0), EBADF);
}

CASE(chown_errors)
{
    test_directory();
    touch("file");
    OK(symlink("self", "self"));
    FAILS(chown("absent", 0, 0), ENOENT);
    FAILS(chown("file/x", 0, 0), ENOTDIR);
    FAILS(chown("self", 0, 0), ELOOP);
    FAILS(chown(unmapped_address(), 0, 0), EFAULT);
    FAILS(chown(long_name(256), 0, 0), ENAMETOOLONG);
    FAILS(fchown(999, 0, 0), EBADF);
    OK(mkdir("closed", 0700));
    touch("closed/file");
    AS_NOBODY({ FAILS(chown("closed/file", -1, -1), EACCES); });
}

CASE(chown_is_for_root_and_groups_for_members)
{
    test_directory();
    write_file("file", "", 0, 0666);
    touch("own");
    OK(chown("own", NOBODY, NOBODY));
    IN_CHILD({
        gid_t group = 1234;
        OK(setgroups(1, &group));
        OK(setresgid(NOBODY, NOBODY, NOBODY));
        OK(setresuid(NOBODY, NOBODY, NOBODY));
        FAILS(chown("file", NOBODY, -1), EPERM);
        FAILS(chown("own", 0, -1), EPERM);
        FAILS(chown("own", -1, 5), EPERM);
        OK(chown("own", -1, 1234));
        OK(chown("own", NOBODY, NOBODY));
    });
}

CASE(chown_by_a_user_clears_set_user_ID)
{
    test_directory();
    touch("file");
    OK(chown("file", NOBODY, NOBODY));
    OK(chmod("file", 06755));
    AS_NOBODY({ OK(chown("file", -1, NOBODY)); });
    EQUAL(stat_of("file").st_mode, S_IFREG | 0755);
    // By root too, for what is executable.
    OK(chmod("file", 06755));
    OK(chown("file", 1, 1));
    EQUAL(stat_of("file").st_mode, S_IFREG | 0755);
    OK(mkdir("directory", 0755));
    OK(chmod("directory", 06755));
    OK(chown("directory", 1, 1));
    EQUAL(stat_of("directory").st_mode, S_IFDIR | 06755);
}

CASE(umask_is_answered_and_inherited)
{
    test_directory();
    EQUAL(umask(0123), 022);
    EQUAL(umask(07777), 0123);
    EQUAL(umask(077), 0777);
    IN_CHILD({ EQUAL(umask(0), 077); });
    EQUAL(umask(077), 077);
    OK(mkdir("directory", 0777));
    EQUAL(stat_of("directory").st_mode & 07777, 0700);
    OK(mkfifo("fifo", 0666));
    EQUAL(stat_of("fifo").st_mode & 07777, 0600);
    // The mask is not for chmod.
    OK(chmod("fifo", 0666));
    EQUAL(stat_of("fifo").st_mode & 07777, 0666);
}

CASE(permissions_come_from_the_first_class_that_matches)
{
    test_directory();
    write_file("file", "x", 1, 0077);
    OK(chown("file", NOBODY, 77));
    // The owner has none, although all others have.
    AS_NOBODY({ FAILS(open("file", O_RDONLY), EACCES); });
    // A member of the group has those of the group, not of the others.
    OK(chmod("file", 0707));
    IN_CHILD({
        gid_t group = 77;
        OK(setgroups(1, &group));
        OK(setresgid(5, 5, 5));
        OK(setresuid(5, 5, 5));
        FAILS(open("file", O_RDONLY), EACCES);
    });
    IN_CHILD({
        become(5);
        OK(open("file", O_RDWR));
    });
}

CASE(permissions_of_supplementary_groups)
{
    test_directory();
    write_file("file", "x", 1, 0640);
    OK(chown("file", 0, 77));
    IN_CHILD({
        gid_t groups[] = {5, 99, 77, 1};
        OK(setgroups(4, groups));
        OK(setresgid(5, 5, 5));
        OK(setresuid(5, 5, 5));
        OK(open("file", O_RDONLY));
        FAILS(open("file", O_RDWR), EACCES);
    });
}

CASE(permissions_follow_the_file_system_user)
{
    test_directory();
    write_file("file", "x", 1, 0600);
    IN_CHILD({
        OK(syscall(SYS_setfsuid, NOBODY));
        FAILS(open("file", O_RDONLY), EACCES);
        int fd = OK(open("new", O_WRONLY | O_CREAT, 0600));
        struct stat status;
        OK(fstat(fd, &status));
        EQUAL(status.st_uid, NOBODY);
        OK(syscall(SYS_setfsuid, 0));
        OK(open("file", O_RDONLY));
    });
}

CASE(permissions_new_files_belong_to_the_effective_user)
{
    test_directory();
    AS_NOBODY({ touch("file"); OK(mkdir("directory", 0755)); OK(symlink("x", "link")); });
    EQUAL(stat_of("file").st_uid, NOBODY);
    EQUAL(stat_of("file").st_gid, NOBODY);
    EQUAL(stat_of("directory").st_uid, NOBODY);
    EQUAL(stat_of("link").st_uid, NOBODY);
}

CASE(permissions_set_group_ID_directories_hand_on_their_group)
{
    test_directory();
    OK(mkdir("d", 0777));
    OK(chown("d", 0, 77));
    OK(chmod("d", 02777));
    AS_NOBODY({
        touch("d/file");
        OK(mkdir("d/below", 0755));
    });
    EQUAL(stat_of("d/file").st_gid, 77);
    EQUAL(stat_of("d/file").st_mode & 07000, 0);
    EQUAL(stat_of("d/below").st_gid, 77);
    EQUAL(stat_of("d/below").st_mode & 07777, 02755);
}

CASE(permissions_directories_need_write_and_search_to_change)
{
    test_directory();
    OK(mkdir("d", 0755));
    touch("d/file");
    OK(chown("d/file", NOBODY, NOBODY));
    AS_NOBODY({
        FAILS(unlink("d/file"), EACCES);
        FAILS(rename("d/file", "d/other"), EACCES);
        FAILS(mkdir("d/new", 0700), EACCES);
        FAILS(symlink("x", "d/new"), EACCES);
        FAILS(link("d/file", "d/new"), EACCES);
        FAILS(mkfifo("d/new", 0600), EACCES);
        FAILS(open("d/new", O_WRONLY | O_CREAT, 0600), EACCES);
        FAILS(mkdir("d/file", 0700), EEXIST);
    });
    OK(chmod("d", 0776));
    AS_NOBODY({ FAILS(unlink("d/file"), EACCES); });
    OK(chmod("d", 0773));
    AS_NOBODY({ OK(unlink("d/file")); });
}

CASE(permissions_sticky_directories_protect_the_files_of_others)
{
    test_directory();
    OK(mkdir("d", 0777));
    OK(chmod("d", 01777));
    write_file("d/root", "", 0, 0666);
    OK(mkdir("d/directory", 0777));
    write_file("d/own", "", 0, 0666);
    OK(chown("d/own", NOBODY, NOBODY));
    AS_NOBODY({
        FAILS(unlink("d/root"), EPERM);
        FAILS(rename("d/root", "d/other"), EPERM);
        FAILS(rmdir("d/directory"), EPERM);
        FAILS(rename("d/own", "d/root"), EPERM);
        OK(rename("d/own", "d/mine"));
        OK(unlink("d/mine"));
    });
    // The owner of the directory may.
    OK(chown("d", NOBODY, 0));
    AS_NOBODY({ OK(unlink("d/root")); OK(rmdir("d/directory")); });
}

CASE(permissions_a_directory_that_moves_to_another_parent_must_be_writable)
{
    test_directory();
    OK(mkdir("a", 0777));
    OK(chmod("a", 0777));
    OK(mkdir("b", 0777));
    OK(chmod("b", 0777));
    OK(mkdir("a/d", 0755));
    // It has an entry ".." to rewrite.
    AS_NOBODY({
        FAILS(rename("a/d", "b/d"), EACCES);
        OK(rename("a/d", "a/e"));
    });
}
