// /dev/null, /dev/zero, /dev/full (man 4 null, full).
#include "../common/scratch.h"

#include <poll.h>
#include <sys/sysmacros.h>

CASE(dev_nodes_have_their_numbers_and_modes)
{
    struct { const char *name; int major, minor, mode; } nodes[] = {
        {"/dev/null", 1, 3, 0666}, {"/dev/zero", 1, 5, 0666}, {"/dev/full", 1, 7, 0666}, {"/dev/random", 1, 8, 0666},
        {"/dev/urandom", 1, 9, 0666}, {"/dev/tty", 5, 0, 0666}, {"/dev/console", 5, 1, 0600}, {"/dev/ptmx", 5, 2, 0666},
    };
    for (size_t i = 0; i < sizeof nodes / sizeof nodes[0]; i++)
    {
        struct stat status = stat_of(nodes[i].name);
        CHECK_THAT(S_ISCHR(status.st_mode) && status.st_rdev == makedev(nodes[i].major, nodes[i].minor), "%s", nodes[i].name);
        CHECK_THAT((status.st_mode & 0777 & nodes[i].mode) == (unsigned)nodes[i].mode, "%s has mode %o", nodes[i].name, status.st_mode);
    }
    CHECK(stat_of("/dev/kmsg").st_rdev == makedev(1, 11));
}

CASE(dev_null_swallows_and_is_empty)
{
    int fd = OK(open("/dev/null", O_RDWR));
    char text[100];
    EQUAL(write(fd, text, sizeof text), sizeof text);
    EQUAL(read(fd, text, sizeof text), 0);
    EQUAL(lseek(fd, 1000, SEEK_SET), 0);
    EQUAL(lseek(fd, 0, SEEK_END), 0);
    EQUAL(pread(fd, text, 10, 50), 0);
    EQUAL(pwrite(fd, text, 10, 50), 10);
    EQUAL(write(fd, unmapped_address(), 10), 10);       // it is never looked at
    OK(open("/dev/null", O_WRONLY | O_TRUNC | O_CREAT, 0666));
    struct pollfd poller = {fd, POLLIN | POLLOUT, 0};
    EQUAL(poll(&poller, 1, 0), 1);
    EQUAL(poller.revents, POLLIN | POLLOUT);
    FAILS(ftruncate(fd, 0), EINVAL);
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 0) == MAP_FAILED && errno == ENODEV);
    int n;
    FAILS(ioctl(fd, FIONREAD, &n), ENOTTY);
    struct iovec parts[] = {{text, 10}, {text, 20}};
    EQUAL(writev(fd, parts, 2), 30);
}

CASE(dev_zero_gives_zeros)
{
    int fd = OK(open("/dev/zero", O_RDWR));
    static char data[100000];
    memset(data, 1, sizeof data);
    EQUAL(read(fd, data, sizeof data), sizeof data);
    CHECK(is_filled_with(data, sizeof data, 0));
    EQUAL(write(fd, data, sizeof data), sizeof data);
    FAILS(read(fd, unmapped_address(), 10), EFAULT);
    EQUAL(pread(fd, data, 10, 1 << 20), 10);
    char *half = before_unmapped(100);
    memset(half, 1, 100);
    EQUAL(read(fd, half, 200), 100);
    CHECK(is_filled_with(half, 100, 0));
}

CASE(dev_zero_can_be_mapped)
{
    int fd = OK(open("/dev/zero", O_RDWR));
    char *private = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(private != MAP_FAILED && is_filled_with(private, 2 * PAGE, 0));
    private[0] = 1;
    char *other = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    EQUAL(other[0], 0);
    // Shared, it is memory that children share.
    char *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(shared != MAP_FAILED);
    IN_CHILD({ shared[5] = 'x'; });
    EQUAL(shared[5], 'x');
}

CASE(dev_full_is_always_full)
{
    int fd = OK(open("/dev/full", O_RDWR));
    char text[10] = "abc";
    FAILS(write(fd, text, 3), ENOSPC);
    FAILS(pwrite(fd, text, 3, 0), ENOSPC);
    EQUAL(read(fd, text, 10), 10);
    CHECK(is_filled_with(text, 10, 0));
    EQUAL(lseek(fd, 5, SEEK_SET), 0);
}

CASE(dev_nodes_made_elsewhere_work_too)
{
    test_directory();
    private_mounts();
    mount_tmpfs("m", 0, NULL);
    OK(mknod("m/zero", S_IFCHR | 0600, makedev(1, 5)));
    char text[4] = "abc";
    EQUAL(read(OK(open("m/zero", O_RDONLY)), text, 3), 3);
    CHECK(is_filled_with(text, 3, 0));
    OK(chmod("m/zero", 0));
    AS_NOBODY({ FAILS(open("m/zero", O_RDONLY), EACCES); });
}

CASE(dev_fd_and_standard_streams_are_links)
{
    char target[64] = {0};
    if (!exists("/dev/fd")) return;     // they are made by whoever sets the machine up
    OK(readlink("/dev/fd", target, sizeof target - 1));
    CHECK(strcmp(target, "/proc/self/fd") == 0);
}
