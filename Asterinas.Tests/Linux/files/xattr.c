// Extended attributes (man 7 xattr, man 2 setxattr, getxattr, listxattr, removexattr).
// Most cases use trusted attributes, which every tmpfs has; user attributes are there since Linux 6.6.
#include "../common/scratch.h"

#include <sys/xattr.h>

static bool lists(const char *list, ssize_t size, const char *name)
{
    for (const char *at = list; at < list + size; at += strlen(at) + 1)
    {
        if (strcmp(at, name) == 0) return true;
    }
    return false;
}

CASE(setxattr_and_getxattr_keep_bytes)
{
    test_directory();
    touch("file");
    OK(setxattr("file", "trusted.name", "va\0lue", 6, 0));
    char value[16];
    EQUAL(getxattr("file", "trusted.name", value, sizeof value), 6);
    CHECK(memcmp(value, "va\0lue", 6) == 0);
    OK(setxattr("file", "trusted.name", "x", 1, 0));
    EQUAL(getxattr("file", "trusted.name", value, sizeof value), 1);
    OK(setxattr("file", "trusted.empty", NULL, 0, 0));
    EQUAL(getxattr("file", "trusted.empty", value, sizeof value), 0);
    int fd = OK(open("file", O_RDONLY));
    OK(fsetxattr(fd, "trusted.other", "yz", 2, 0));
    EQUAL(fgetxattr(fd, "trusted.other", value, sizeof value), 2);
}

CASE(setxattr_XATTR_CREATE_and_XATTR_REPLACE)
{
    test_directory();
    touch("file");
    FAILS(setxattr("file", "trusted.a", "1", 1, XATTR_REPLACE), ENODATA);
    OK(setxattr("file", "trusted.a", "1", 1, XATTR_CREATE));
    FAILS(setxattr("file", "trusted.a", "2", 1, XATTR_CREATE), EEXIST);
    OK(setxattr("file", "trusted.a", "3", 1, XATTR_REPLACE));
    char value;
    EQUAL(getxattr("file", "trusted.a", &value, 1), 1);
    EQUAL(value, '3');
}

CASE(getxattr_sizes)
{
    test_directory();
    touch("file");
    OK(setxattr("file", "trusted.a", "abcdef", 6, 0));
    EQUAL(getxattr("file", "trusted.a", NULL, 0), 6);
    char value[8];
    FAILS(getxattr("file", "trusted.a", value, 5), ERANGE);
    EQUAL(getxattr("file", "trusted.a", value, 6), 6);
    FAILS(getxattr("file", "trusted.absent", value, 8), ENODATA);
    FAILS(getxattr("absent", "trusted.a", value, 8), ENOENT);
    FAILS(getxattr("file", "trusted.a", unmapped_address(), 8), EFAULT);
    FAILS(getxattr("file", unmapped_address(), value, 8), EFAULT);
}

CASE(listxattr_lists_names)
{
    test_directory();
    touch("file");
    OK(setxattr("file", "trusted.a", "1", 1, 0));
    OK(setxattr("file", "trusted.bc", "1", 1, 0));
    char list[4096];
    ssize_t size = OK(listxattr("file", list, sizeof list));
    CHECK(lists(list, size, "trusted.a") && lists(list, size, "trusted.bc") && !lists(list, size, "trusted.b"));
    EQUAL(listxattr("file", NULL, 0), size);
    FAILS(listxattr("file", list, size - 1), ERANGE);
    EQUAL(flistxattr(OK(open("file", O_RDONLY)), list, sizeof list), size);
    FAILS(listxattr("absent", list, sizeof list), ENOENT);
    FAILS(flistxattr(999, list, sizeof list), EBADF);
}

CASE(removexattr_removes)
{
    test_directory();
    touch("file");
    OK(setxattr("file", "trusted.a", "1", 1, 0));
    OK(removexattr("file", "trusted.a"));
    FAILS(removexattr("file", "trusted.a"), ENODATA);
    FAILS(getxattr("file", "trusted.a", NULL, 0), ENODATA);
    OK(setxattr("file", "trusted.a", "1", 1, 0));
    OK(fremovexattr(OK(open("file", O_RDONLY)), "trusted.a"));
    FAILS(fremovexattr(999, "trusted.a"), EBADF);
    FAILS(removexattr("absent", "trusted.a"), ENOENT);
}

CASE(setxattr_errors)
{
    test_directory();
    touch("file");
    FAILS(setxattr("absent", "trusted.a", "1", 1, 0), ENOENT);
    FAILS(setxattr("file", "trusted.a", "1", 1, 4), EINVAL);
    FAILS(setxattr("file", "", "1", 1, 0), ERANGE);
    FAILS(setxattr("file", "trusted.", "1", 1, 0), EINVAL);
    FAILS(setxattr("file", "nonsense.a", "1", 1, 0), EOPNOTSUPP);
    FAILS(setxattr("file", "a", "1", 1, 0), EOPNOTSUPP);
    char name[300] = "trusted.";
    memset(name + 8, 'n', 248);
    FAILS(setxattr("file", name, "1", 1, 0), ERANGE);
    name[255] = 0;
    OK(setxattr("file", name, "1", 1, 0));
    FAILS(syscall(SYS_setxattr, "file", "trusted.b", name, 65537, 0), E2BIG);
    FAILS(setxattr("file", "trusted.b", unmapped_address(), 5, 0), EFAULT);
    FAILS(setxattr("file", unmapped_address(), "1", 1, 0), EFAULT);
    FAILS(fsetxattr(999, "trusted.a", "1", 1, 0), EBADF);
}

CASE(user_attributes_follow_the_permissions_of_the_file)
{
    test_directory();
    write_file("file", "", 0, 0644);
    write_file("secret", "", 0, 0600);
    OK(setxattr("file", "user.a", "1", 1, 0));
    OK(setxattr("secret", "user.a", "1", 1, 0));
    AS_NOBODY({
        EQUAL(getxattr("file", "user.a", NULL, 0), 1);
        FAILS(setxattr("file", "user.a", "2", 1, 0), EACCES);
        FAILS(removexattr("file", "user.a"), EACCES);
        FAILS(getxattr("secret", "user.a", NULL, 0), EACCES);
    });
}

CASE(user_attributes_are_for_files_and_directories)
{
    test_directory();
    OK(mkdir("d", 0700));
    OK(mkfifo("fifo", 0600));
    OK(symlink("nowhere", "link"));
    OK(setxattr("d", "user.a", "1", 1, 0));
    FAILS(setxattr("fifo", "user.a", "1", 1, 0), EPERM);
    FAILS(lsetxattr("link", "user.a", "1", 1, 0), EPERM);
    FAILS(getxattr("fifo", "user.a", NULL, 0), ENODATA);
    FAILS(setxattr("link", "user.a", "1", 1, 0), ENOENT);
    // In a sticky directory only its owner sets them.
    OK(mkdir("sticky", 0777));
    OK(chmod("sticky", 01777));
    AS_NOBODY({ FAILS(setxattr("sticky", "user.a", "1", 1, 0), EPERM); });
}

CASE(trusted_attributes_are_for_root)
{
    tmpfs_directory();
    write_file("file", "", 0, 0666);
    OK(setxattr("file", "trusted.a", "12", 2, 0));
    char list[4096];
    CHECK(lists(list, OK(listxattr("file", list, sizeof list)), "trusted.a"));
    AS_NOBODY({
        FAILS(setxattr("file", "trusted.b", "1", 1, 0), EPERM);
        FAILS(getxattr("file", "trusted.a", NULL, 0), ENODATA);
        CHECK(!lists(list, OK(listxattr("file", list, sizeof list)), "trusted.a"));
    });
    OK(symlink("file", "link"));
    OK(lsetxattr("link", "trusted.b", "1", 1, 0));
    EQUAL(lgetxattr("link", "trusted.b", NULL, 0), 1);
    FAILS(getxattr("file", "trusted.b", NULL, 0), ENODATA);
    OK(lremovexattr("link", "trusted.b"));
}

CASE(security_attributes_are_read_by_all_and_written_by_root)
{
    tmpfs_directory();
    write_file("file", "", 0, 0666);
    OK(setxattr("file", "security.test", "1", 1, 0));
    AS_NOBODY({
        EQUAL(getxattr("file", "security.test", NULL, 0), 1);
        FAILS(setxattr("file", "security.test", "2", 1, 0), EPERM);
    });
    FAILS(setxattr("file", "security.capability", "nonsense", 8, 0), EINVAL);
}

CASE(attributes_belong_to_the_inode)
{
    test_directory();
    touch("a");
    OK(setxattr("a", "trusted.a", "1", 1, 0));
    OK(link("a", "b"));
    EQUAL(getxattr("b", "trusted.a", NULL, 0), 1);
    OK(rename("a", "c"));
    EQUAL(getxattr("c", "trusted.a", NULL, 0), 1);
    OK(unlink("b"));
    touch("b");
    FAILS(getxattr("b", "trusted.a", NULL, 0), ENODATA);
}

CASE(attributes_on_a_read_only_mount_fail_with_EROFS)
{
    test_directory();
    private_mounts();
    mount_tmpfs("m", 0, NULL);
    touch("m/file");
    OK(setxattr("m/file", "trusted.a", "1", 1, 0));
    OK(mount(NULL, "m", NULL, MS_REMOUNT | MS_RDONLY, NULL));
    FAILS(setxattr("m/file", "trusted.b", "1", 1, 0), EROFS);
    FAILS(removexattr("m/file", "trusted.a"), EROFS);
    EQUAL(getxattr("m/file", "trusted.a", NULL, 0), 1);
}
