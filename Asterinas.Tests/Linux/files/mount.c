// Mounts: mount, umount2, binds, remounts, propagation, statfs (man 2 mount, umount, statfs). All in a mount namespace of the case.
#include "../common/scratch.h"

#include <linux/magic.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

static void start(void)
{
    test_directory();
    private_mounts();
    OK(mkdir("a", 0755));
    OK(mkdir("b", 0755));
}

// Whether /proc/self/mounts has the mount point, by the end of its name.
static bool is_mounted(const char *point)
{
    static char text[65536];
    CHECK(read_text("/proc/self/mounts", text, sizeof text) > 0);
    char *line = strtok(text, "\n");
    for (; line != NULL; line = strtok(NULL, "\n"))
    {
        char *name = strchr(line, ' ') + 1;
        *strchr(name, ' ') = 0;
        size_t length = strlen(name), wanted = strlen(point);
        if (length >= wanted && strcmp(name + length - wanted, point) == 0) return true;
    }
    return false;
}

CASE(mount_hides_what_is_below_and_umount_shows_it_again)
{
    start();
    touch("a/below");
    dev_t device = stat_of("a").st_dev;
    OK(mount("none", "a", "tmpfs", 0, NULL));
    CHECK(!exists("a/below"));
    CHECK(stat_of("a").st_dev != device);
    touch("a/above");
    EQUAL(stat_of("a/..").st_ino, stat_of(".").st_ino);
    CHECK(is_mounted("/a"));
    OK(umount("a"));
    CHECK(exists("a/below") && !exists("a/above") && !is_mounted("/a"));
}

CASE(mount_twice_stacks)
{
    start();
    OK(mount("none", "a", "tmpfs", 0, NULL));
    touch("a/1");
    OK(mount("none", "a", "tmpfs", 0, NULL));
    touch("a/2");
    CHECK(!exists("a/1") && exists("a/2"));
    OK(umount("a"));
    CHECK(exists("a/1") && !exists("a/2"));
    OK(umount("a"));
}

CASE(mount_errors)
{
    start();
    touch("file");
    FAILS(mount("none", "absent", "tmpfs", 0, NULL), ENOENT);
    FAILS(mount("none", "file", "tmpfs", 0, NULL), ENOTDIR);
    FAILS(mount("none", "file/x", "tmpfs", 0, NULL), ENOTDIR);
    FAILS(mount("none", "a", "no-such-type", 0, NULL), ENODEV);
    FAILS(mount("none", "a", NULL, 0, NULL), EINVAL);
    FAILS(mount("none", "a", "tmpfs", 0, "nonsense=1"), EINVAL);
    FAILS(mount("none", "a", "tmpfs", 0, "size=x"), EINVAL);
    FAILS(mount("none", unmapped_address(), "tmpfs", 0, NULL), EFAULT);
    FAILS(mount("none", "a", unmapped_address(), 0, NULL), EFAULT);
    FAILS(mount("absent", "a", NULL, MS_BIND, NULL), ENOENT);
    FAILS(mount(NULL, "a", NULL, MS_REMOUNT, NULL), EINVAL);
    AS_NOBODY({
        FAILS(mount("none", "a", "tmpfs", 0, NULL), EPERM);
        FAILS(umount("a"), EPERM);
    });
}

CASE(umount_errors_and_flags)
{
    start();
    OK(symlink("a", "link"));
    FAILS(umount("a"), EINVAL);
    FAILS(umount("absent"), ENOENT);
    FAILS(umount2("a", 0x40000000), EINVAL);
    FAILS(umount(unmapped_address()), EFAULT);
    OK(mount("none", "a", "tmpfs", 0, NULL));
    int fd = OK(open("a/file", O_RDWR | O_CREAT, 0600));
    FAILS(umount("a"), EBUSY);
    FAILS(umount2("link", UMOUNT_NOFOLLOW), EINVAL);
    FAILS(umount2("a", MNT_DETACH | MNT_EXPIRE), EINVAL);
    OK(close(fd));
    FAILS(umount2("a", MNT_EXPIRE), EAGAIN);
    OK(umount2("a", MNT_EXPIRE));
    OK(mount("none", "a", "tmpfs", 0, NULL));
    OK(chdir("a"));
    FAILS(umount("../a"), EBUSY);
    OK(chdir(".."));
    OK(umount("link"));
}

CASE(umount_MNT_DETACH_leaves_open_files_alive)
{
    start();
    OK(mount("none", "a", "tmpfs", 0, NULL));
    int fd = OK(open("a/file", O_RDWR | O_CREAT, 0600)), directory = OK(open("a", O_RDONLY));
    OK(umount2("a", MNT_DETACH));
    CHECK(!exists("a/file") && !is_mounted("/a"));
    EQUAL(write(fd, "abc", 3), 3);
    OK(openat(directory, "file", O_RDONLY));
    OK(openat(directory, "new", O_WRONLY | O_CREAT, 0600));
}

CASE(mount_bind_shows_a_directory_elsewhere)
{
    start();
    write_text("a/file", "content");
    OK(mount("a", "b", NULL, MS_BIND, NULL));
    FILE_IS("b/file", "content");
    EQUAL(stat_of("a").st_ino, stat_of("b").st_ino);
    write_text("b/new", "written");
    FILE_IS("a/new", "written");
    OK(umount("b"));
    CHECK(!exists("b/file"));
}

CASE(mount_bind_of_a_file)
{
    start();
    write_text("one", "one");
    write_text("two", "two");
    OK(mount("one", "two", NULL, MS_BIND, NULL));
    FILE_IS("two", "one");
    FAILS(unlink("two"), EBUSY);
    FAILS(mount("one", "a", NULL, MS_BIND, NULL), ENOTDIR);
    FAILS(mount("a", "one", NULL, MS_BIND, NULL), ENOTDIR);
    OK(umount("two"));
    FILE_IS("two", "two");
}

CASE(mount_MS_REC_binds_the_mounts_below_too)
{
    start();
    OK(mkdir("a/m", 0755));
    OK(mount("none", "a/m", "tmpfs", 0, NULL));
    touch("a/m/file");
    OK(mount("a", "b", NULL, MS_BIND, NULL));
    CHECK(!exists("b/m/file"));
    OK(umount("b"));
    OK(mount("a", "b", NULL, MS_BIND | MS_REC, NULL));
    CHECK(exists("b/m/file"));
    FAILS(umount("b"), EBUSY);
    OK(umount2("b", MNT_DETACH));
    CHECK(!exists("b/m") && exists("a/m/file"));
}

CASE(mount_MS_RDONLY_of_a_bind_is_of_that_mount)
{
    start();
    OK(mount("a", "b", NULL, MS_BIND, NULL));
    OK(mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL));
    FAILS(open("b/file", O_RDWR | O_CREAT, 0600), EROFS);
    touch("a/file");
    CHECK(exists("b/file"));
    FAILS(chmod("b/file", 0600), EROFS);
    OK(mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND, NULL));
    OK(chmod("b/file", 0600));
}

CASE(mount_remount_read_only_needs_that_nobody_writes)
{
    start();
    OK(mount("none", "a", "tmpfs", 0, NULL));
    int fd = OK(open("a/file", O_RDWR | O_CREAT, 0600));
    FAILS(mount(NULL, "a", NULL, MS_REMOUNT | MS_RDONLY, NULL), EBUSY);
    OK(close(fd));
    OK(mount(NULL, "a", NULL, MS_REMOUNT | MS_RDONLY, NULL));
    FAILS(open("a/file", O_RDWR), EROFS);
    OK(mount(NULL, "a", NULL, MS_REMOUNT, NULL));
    OK(open("a/file", O_RDWR));
}

CASE(mount_MS_NOSUID_MS_NODEV_MS_NOEXEC)
{
    start();
    mount_tmpfs("a", MS_NODEV | MS_NOEXEC | MS_NOSUID, NULL);
    OK(mknod("a/null", S_IFCHR | 0666, makedev(1, 3)));
    FAILS(open("a/null", O_RDONLY), EACCES);
    write_file("a/script", "#!/bin/true\n", 12, 0755);
    char *arguments[] = {"script", NULL};
    FAILS(execv("a/script", arguments), EACCES);
    FAILS(access("a/script", X_OK), EACCES);
    struct statvfs status;
    OK(statvfs("a", &status));
    EQUAL(status.f_flag & (ST_NODEV | ST_NOEXEC | ST_NOSUID | ST_RDONLY), ST_NODEV | ST_NOEXEC | ST_NOSUID);
    char *map = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_PRIVATE, OK(open("a/script", O_RDONLY)), 0);
    CHECK(map == MAP_FAILED && errno == EPERM);
}

CASE(mount_MS_MOVE_moves_a_mount)
{
    start();
    OK(mount("none", "a", "tmpfs", 0, NULL));
    touch("a/file");
    OK(mount("a", "b", NULL, MS_MOVE, NULL));
    CHECK(exists("b/file") && !exists("a/file"));
    FAILS(mount("a", "b", NULL, MS_MOVE, NULL), EINVAL);
    OK(mkdir("b/c", 0755));
    FAILS(mount("b", "b/c", NULL, MS_MOVE, NULL), ELOOP);
}

CASE(mount_namespaces_are_apart)
{
    start();
    int ends[2], go[2];
    OK(pipe(ends));
    OK(pipe(go));
    pid_t child = CHILD({
        OK(unshare(CLONE_NEWNS));
        OK(mount("none", "a", "tmpfs", 0, NULL));
        touch("a/file");
        EQUAL(write(ends[1], "x", 1), 1);
        char byte;
        EQUAL(read(go[0], &byte, 1), 1);
        CHECK(exists("a/file"));
    });
    char byte;
    EQUAL(read(ends[0], &byte, 1), 1);
    CHECK(!exists("a/file"));
    EQUAL(write(go[1], "x", 1), 1);
    REAP_EXIT(child, 0);
}

CASE(mount_MS_SHARED_binds_hear_of_each_other)
{
    start();
    OK(mount("none", "a", "tmpfs", 0, NULL));
    OK(mkdir("a/m", 0755));
    OK(mount(NULL, "a", NULL, MS_SHARED, NULL));
    OK(mount("a", "b", NULL, MS_BIND, NULL));
    OK(mount("none", "a/m", "tmpfs", 0, NULL));
    touch("a/m/file");
    CHECK(exists("b/m/file"));
    OK(umount("b/m"));
    CHECK(!exists("a/m/file"));
    // A slave hears and does not tell.
    OK(mount(NULL, "b", NULL, MS_SLAVE, NULL));
    OK(mount("none", "b/m", "tmpfs", 0, NULL));
    touch("b/m/below");
    CHECK(!exists("a/m/below"));
    OK(umount("b/m"));
    OK(mount("none", "a/m", "tmpfs", 0, NULL));
    touch("a/m/file");
    CHECK(exists("b/m/file"));
    OK(umount("a/m"));
    OK(mount(NULL, "b", NULL, MS_PRIVATE, NULL));
    OK(mount("none", "a/m", "tmpfs", 0, NULL));
    touch("a/m/file");
    CHECK(!exists("b/m/file"));
    OK(mount(NULL, "b", NULL, MS_UNBINDABLE, NULL));
    OK(mkdir("c", 0755));
    FAILS(mount("b", "c", NULL, MS_BIND, NULL), EINVAL);
}

CASE(mount_options_of_tmpfs)
{
    start();
    mount_tmpfs("a", 0, "mode=0710,uid=5,gid=6,size=1m,nr_inodes=100");
    struct stat status = stat_of("a");
    EQUAL(status.st_mode, S_IFDIR | 0710);
    EQUAL(status.st_uid, 5);
    EQUAL(status.st_gid, 6);
    struct statfs space;
    OK(statfs("a", &space));
    EQUAL(space.f_type, TMPFS_MAGIC);
    EQUAL(space.f_bsize, PAGE);
    EQUAL(space.f_blocks, 256);
    EQUAL(space.f_bfree, 256);
    EQUAL(space.f_files, 100);
    EQUAL(space.f_namelen, 255);
    static char data[10 * PAGE];
    write_file("a/file", data, sizeof data, 0600);
    OK(statfs("a", &space));
    EQUAL(space.f_bfree, 246);
    EQUAL(space.f_ffree, 98);
    OK(mount(NULL, "a", NULL, MS_REMOUNT, "size=2m"));
    OK(fstatfs(OK(open("a/file", O_RDONLY)), &space));
    EQUAL(space.f_blocks, 512);
    FAILS(mount(NULL, "a", NULL, MS_REMOUNT, "size=8k"), EINVAL);
}

CASE(statfs_errors_and_types)
{
    start();
    touch("file");
    struct statfs space;
    FAILS(statfs("absent", &space), ENOENT);
    FAILS(statfs("file/x", &space), ENOTDIR);
    FAILS(statfs(unmapped_address(), &space), EFAULT);
    FAILS(syscall(SYS_statfs, ".", unmapped_address()), EFAULT);
    FAILS(fstatfs(999, &space), EBADF);
    OK(statfs("/proc", &space));
    EQUAL(space.f_type, PROC_SUPER_MAGIC);
    OK(statfs("/sys", &space));
    EQUAL(space.f_type, SYSFS_MAGIC);
    OK(statfs("/dev/pts", &space));
    EQUAL(space.f_type, DEVPTS_SUPER_MAGIC);
    int ends[2];
    OK(pipe(ends));
    OK(fstatfs(ends[0], &space));
    EQUAL(space.f_type, PIPEFS_MAGIC);
}

CASE(mount_proc_anew_and_see_oneself)
{
    start();
    OK(mount("proc", "a", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL));
    char name[64], target[64] = {0};
    OK(readlink("a/self", target, sizeof target - 1));
    EQUAL(atoi(target), getpid());
    snprintf(name, sizeof name, "a/%d/status", getpid());
    CHECK(exists(name));
    OK(mount("sysfs", "b", "sysfs", MS_RDONLY, NULL));
    CHECK(exists("b/kernel"));
}

CASE(proc_self_mountinfo_shows_root_point_and_options)
{
    start();
    OK(mkdir("a/sub", 0755));
    OK(mount("a/sub", "b", NULL, MS_BIND, NULL));
    OK(mount(NULL, "b", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID, NULL));
    static char text[65536];
    CHECK(read_text("/proc/self/mountinfo", text, sizeof text) > 0);
    bool found = false;
    for (char *line = strtok(text, "\n"); line != NULL; line = strtok(NULL, "\n"))
    {
        int id, parent, major, minor, rest;
        char root[1024], point[1024], options[256];
        if (sscanf(line, "%d %d %d:%d %1023s %1023s %255s %n", &id, &parent, &major, &minor, root, point, options, &rest) != 7) test_fail(__FILE__, __LINE__, 0, "a line %s", line);
        CHECK(strstr(line, " - ") != NULL);
        size_t length = strlen(point);
        if (length < 2 || strcmp(point + length - 2, "/b") != 0) continue;
        found = true;
        CHECK_THAT(strlen(root) > 6 && strcmp(root + strlen(root) - 6, "/a/sub") == 0, "the root %s", root);
        CHECK(strncmp(options, "ro,nosuid", 9) == 0);
        EQUAL(makedev(major, minor), stat_of("b").st_dev);
        CHECK(id != parent);
    }
    CHECK(found);
}

CASE(pivot_root_puts_the_old_root_below_the_new)
{
    start();
    OK(mount("none", "a", "tmpfs", 0, NULL));
    OK(mkdir("a/old", 0755));
    touch("a/inside");
    struct statfs root;
    OK(statfs("/", &root));
    // No mount point, and on the root's own mount or not.
    CHECK(syscall(SYS_pivot_root, "b", "b") == -1 && (errno == EINVAL || errno == EBUSY));
    long result = syscall(SYS_pivot_root, "a", "a/old");
    if (result == -1 && errno == EINVAL)
    {
        // The very first root, of an initial RAM file system, cannot be left this way (man 2 pivot_root).
        CHECK(root.f_type == TMPFS_MAGIC || root.f_type == RAMFS_MAGIC);
        return;
    }
    OK(result);
    OK(chdir("/"));
    CHECK(exists("/inside") && exists("/old/proc"));
    OK(umount2("/old", MNT_DETACH));
    CHECK(!exists("/old/proc"));
}
