// inotify (man 7 inotify, man 2 inotify_init, inotify_add_watch, inotify_rm_watch).
#include "../common/scratch.h"

#include <poll.h>
#include <sys/inotify.h>

static char events[8192] __attribute__((aligned(8)));
static ssize_t events_length, events_at;

// The next event of the queue; fails when there is none.
static struct inotify_event *next(int fd)
{
    if (events_at == events_length)
    {
        events_length = OK(read(fd, events, sizeof events));
        events_at = 0;
    }
    struct inotify_event *event = (void *)(events + events_at);
    CHECK(events_at + (ssize_t)sizeof *event + event->len <= events_length);
    events_at += sizeof *event + event->len;
    return event;
}

#define NEXT(fd, watch, bits, text)                                                                                    \
    do                                                                                                                 \
    {                                                                                                                  \
        struct inotify_event *event_ = next(fd);                                                                       \
        const char *name_ = event_->len > 0 ? event_->name : "";                                                       \
        CHECK_THAT(event_->wd == (watch) && event_->mask == (uint32_t)(bits) && strcmp(name_, text) == 0, "an event of %d: %#x \"%s\"", event_->wd, \
                   event_->mask, name_);                                                                               \
    } while (0)

static void nothing(int fd)
{
    EQUAL(events_at, events_length);
    char byte[512];
    FAILS(read(fd, byte, sizeof byte), EAGAIN);
}

CASE(inotify_sees_what_happens_to_the_entries_of_a_directory)
{
    test_directory();
    OK(mkdir("d", 0755));
    int fd = OK(inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    int watch = OK(inotify_add_watch(fd, "d", IN_ALL_EVENTS));
    CHECK(watch >= 1);
    int file = OK(open("d/file", O_WRONLY | O_CREAT, 0600));
    NEXT(fd, watch, IN_CREATE, "file");
    NEXT(fd, watch, IN_OPEN, "file");
    EQUAL(write(file, "abc", 3), 3);
    NEXT(fd, watch, IN_MODIFY, "file");
    OK(close(file));
    NEXT(fd, watch, IN_CLOSE_WRITE, "file");
    file = OK(open("d/file", O_RDONLY));
    NEXT(fd, watch, IN_OPEN, "file");
    char byte;
    EQUAL(read(file, &byte, 1), 1);
    NEXT(fd, watch, IN_ACCESS, "file");
    OK(close(file));
    NEXT(fd, watch, IN_CLOSE_NOWRITE, "file");
    OK(chmod("d/file", 0640));
    NEXT(fd, watch, IN_ATTRIB, "file");
    OK(unlink("d/file"));
    NEXT(fd, watch, IN_DELETE, "file");
    OK(mkdir("d/below", 0700));
    NEXT(fd, watch, IN_CREATE | IN_ISDIR, "below");
    OK(rmdir("d/below"));
    NEXT(fd, watch, IN_DELETE | IN_ISDIR, "below");
    OK(symlink("x", "d/link"));
    NEXT(fd, watch, IN_CREATE, "link");
    nothing(fd);
}

CASE(inotify_renames_share_a_cookie)
{
    test_directory();
    OK(mkdir("a", 0755));
    OK(mkdir("b", 0755));
    touch("a/file");
    int fd = OK(inotify_init1(IN_NONBLOCK));
    int from = OK(inotify_add_watch(fd, "a", IN_MOVE)), to = OK(inotify_add_watch(fd, "b", IN_MOVE));
    OK(rename("a/file", "b/moved"));
    struct inotify_event event = *next(fd);
    EQUAL(event.mask, IN_MOVED_FROM);
    EQUAL(event.wd, from);
    CHECK(event.cookie != 0);
    struct inotify_event *second = next(fd);
    EQUAL(second->mask, IN_MOVED_TO);
    EQUAL(second->wd, to);
    EQUAL(second->cookie, event.cookie);
    CHECK(strcmp(second->name, "moved") == 0);
    OK(mkdir("a/d", 0700));
    OK(rename("a/d", "a/e"));
    NEXT(fd, from, IN_MOVED_FROM | IN_ISDIR, "d");
    NEXT(fd, from, IN_MOVED_TO | IN_ISDIR, "e");
    nothing(fd);
}

CASE(inotify_watches_a_file_itself)
{
    test_directory();
    write_text("file", "abc");
    int fd = OK(inotify_init1(IN_NONBLOCK));
    int watch = OK(inotify_add_watch(fd, "file", IN_MODIFY | IN_ATTRIB | IN_MOVE_SELF | IN_DELETE_SELF));
    OK(truncate("file", 1));
    NEXT(fd, watch, IN_MODIFY, "");
    OK(link("file", "second"));
    NEXT(fd, watch, IN_ATTRIB, "");
    OK(rename("file", "moved"));
    NEXT(fd, watch, IN_MOVE_SELF, "");
    OK(unlink("second"));
    NEXT(fd, watch, IN_ATTRIB, "");
    OK(unlink("moved"));
    NEXT(fd, watch, IN_ATTRIB, "");
    NEXT(fd, watch, IN_DELETE_SELF, "");
    NEXT(fd, watch, IN_IGNORED, "");
    nothing(fd);
    FAILS(inotify_rm_watch(fd, watch), EINVAL);
}

CASE(inotify_IN_DELETE_SELF_waits_for_the_last_close)
{
    test_directory();
    touch("file");
    int fd = OK(inotify_init1(IN_NONBLOCK));
    int watch = OK(inotify_add_watch(fd, "file", IN_DELETE_SELF));
    int file = OK(open("file", O_RDONLY));
    OK(unlink("file"));
    nothing(fd);
    OK(close(file));
    NEXT(fd, watch, IN_DELETE_SELF, "");
    NEXT(fd, watch, IN_IGNORED, "");
}

CASE(inotify_only_the_asked_events_come)
{
    test_directory();
    int fd = OK(inotify_init1(IN_NONBLOCK));
    int watch = OK(inotify_add_watch(fd, ".", IN_CREATE));
    touch("file");
    write_text("file", "abc");
    OK(unlink("file"));
    NEXT(fd, watch, IN_CREATE, "file");
    nothing(fd);
}

CASE(inotify_a_second_watch_of_the_same_inode_replaces_or_adds)
{
    test_directory();
    touch("file");
    OK(link("file", "second"));
    int fd = OK(inotify_init1(IN_NONBLOCK));
    int watch = OK(inotify_add_watch(fd, "file", IN_MODIFY));
    EQUAL(inotify_add_watch(fd, "second", IN_ATTRIB), watch);
    OK(truncate("file", 5));
    OK(chmod("file", 0600));
    NEXT(fd, watch, IN_ATTRIB, "");
    nothing(fd);
    EQUAL(inotify_add_watch(fd, "file", IN_MODIFY | IN_MASK_ADD), watch);
    OK(truncate("file", 6));
    NEXT(fd, watch, IN_MODIFY, "");
    OK(chmod("file", 0640));
    NEXT(fd, watch, IN_ATTRIB, "");
    FAILS(inotify_add_watch(fd, "file", IN_MODIFY | IN_MASK_CREATE), EEXIST);
    FAILS(inotify_add_watch(fd, "file", IN_MODIFY | IN_MASK_CREATE | IN_MASK_ADD), EINVAL);
}

CASE(inotify_rm_watch_ends_with_IN_IGNORED)
{
    test_directory();
    int fd = OK(inotify_init1(IN_NONBLOCK));
    int watch = OK(inotify_add_watch(fd, ".", IN_CREATE));
    OK(inotify_rm_watch(fd, watch));
    NEXT(fd, watch, IN_IGNORED, "");
    touch("file");
    nothing(fd);
    FAILS(inotify_rm_watch(fd, watch), EINVAL);
    FAILS(inotify_rm_watch(fd, 9999), EINVAL);
    FAILS(inotify_rm_watch(999, watch), EBADF);
    FAILS(inotify_rm_watch(OK(open(".", O_RDONLY)), 1), EINVAL);
    CHECK(OK(inotify_add_watch(fd, ".", IN_CREATE)) != watch);
}

CASE(inotify_IN_ONESHOT_and_IN_ONLYDIR_and_IN_DONT_FOLLOW)
{
    test_directory();
    touch("file");
    OK(symlink("file", "link"));
    int fd = OK(inotify_init1(IN_NONBLOCK));
    int watch = OK(inotify_add_watch(fd, ".", IN_CREATE | IN_ONESHOT));
    touch("a");
    touch("b");
    NEXT(fd, watch, IN_CREATE, "a");
    NEXT(fd, watch, IN_IGNORED, "");
    nothing(fd);
    FAILS(inotify_add_watch(fd, "file", IN_MODIFY | IN_ONLYDIR), ENOTDIR);
    OK(inotify_add_watch(fd, ".", IN_MODIFY | IN_ONLYDIR));
    int of_link = OK(inotify_add_watch(fd, "link", IN_DELETE_SELF | IN_DONT_FOLLOW));
    CHECK(of_link != OK(inotify_add_watch(fd, "link", IN_DELETE_SELF)));
    OK(unlink("link"));
    NEXT(fd, of_link, IN_DELETE_SELF, "");
}

CASE(inotify_IN_EXCL_UNLINK_hears_no_more_of_unlinked_files)
{
    test_directory();
    int fd = OK(inotify_init1(IN_NONBLOCK));
    int file = OK(open("file", O_RDWR | O_CREAT, 0600));
    int watch = OK(inotify_add_watch(fd, ".", IN_MODIFY | IN_EXCL_UNLINK));
    EQUAL(write(file, "x", 1), 1);
    NEXT(fd, watch, IN_MODIFY, "file");
    OK(unlink("file"));
    EQUAL(write(file, "x", 1), 1);
    nothing(fd);
}

CASE(inotify_equal_events_in_a_row_are_one)
{
    test_directory();
    int file = OK(open("file", O_RDWR | O_CREAT, 0600));
    int fd = OK(inotify_init1(IN_NONBLOCK));
    int watch = OK(inotify_add_watch(fd, "file", IN_MODIFY | IN_ATTRIB));
    for (int i = 0; i < 5; i++) EQUAL(write(file, "x", 1), 1);
    OK(fchmod(file, 0640));
    EQUAL(write(file, "x", 1), 1);
    NEXT(fd, watch, IN_MODIFY, "");
    NEXT(fd, watch, IN_ATTRIB, "");
    NEXT(fd, watch, IN_MODIFY, "");
    nothing(fd);
}

CASE(inotify_reads_whole_events_only)
{
    test_directory();
    int fd = OK(inotify_init1(IN_NONBLOCK));
    OK(inotify_add_watch(fd, ".", IN_CREATE));
    touch("a-name");
    touch("b-name");
    int pending = 0;
    OK(ioctl(fd, FIONREAD, &pending));
    EQUAL(pending, 2 * (sizeof(struct inotify_event) + 16));
    char buffer[100];
    FAILS(read(fd, buffer, sizeof(struct inotify_event)), EINVAL);
    EQUAL(read(fd, buffer, sizeof(struct inotify_event) + 20), sizeof(struct inotify_event) + 16);
    EQUAL(read(fd, buffer, sizeof buffer), sizeof(struct inotify_event) + 16);
    FAILS(read(fd, buffer, sizeof buffer), EAGAIN);
}

CASE(inotify_read_waits_and_poll_tells)
{
    test_directory();
    int fd = OK(inotify_init());
    int watch = OK(inotify_add_watch(fd, ".", IN_CREATE));
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    EQUAL(poll(&poller, 1, 0), 0);
    pid_t self = getpid();
    pid_t child = CHILD({ until_asleep(self); touch("file"); });
    NEXT(fd, watch, IN_CREATE, "file");
    REAP_EXIT(child, 0);
    touch("other");
    EQUAL(poll(&poller, 1, 0), 1);
    EQUAL(poller.revents, POLLIN);
}

CASE(inotify_errors)
{
    test_directory();
    int fd = OK(inotify_init1(IN_NONBLOCK));
    FAILS(inotify_init1(0x40000000), EINVAL);
    FAILS(inotify_add_watch(fd, "absent", IN_CREATE), ENOENT);
    FAILS(inotify_add_watch(fd, ".", 0), EINVAL);
    FAILS(inotify_add_watch(fd, long_name(256), IN_CREATE), ENAMETOOLONG);
    FAILS(inotify_add_watch(fd, unmapped_address(), IN_CREATE), EFAULT);
    FAILS(inotify_add_watch(999, ".", IN_CREATE), EBADF);
    FAILS(inotify_add_watch(OK(open(".", O_RDONLY)), ".", IN_CREATE), EINVAL);
    FAILS(write(fd, "x", 1), EBADF);
    write_file("secret", "", 0, 0600);
    AS_NOBODY({ FAILS(inotify_add_watch(fd, "secret", IN_MODIFY), EACCES); });
}

CASE(inotify_an_unmounted_file_system_says_so)
{
    test_directory();
    private_mounts();
    mount_tmpfs("m", 0, NULL);
    int fd = OK(inotify_init1(IN_NONBLOCK));
    touch("m/file");
    int watch = OK(inotify_add_watch(fd, "m/file", IN_CREATE));
    OK(umount("m"));
    NEXT(fd, watch, IN_UNMOUNT, "");
    NEXT(fd, watch, IN_IGNORED, "");
}

CASE(inotify_a_full_queue_overflows_once)
{
    test_directory();
    char text[32];
    CHECK(read_text("/proc/sys/fs/inotify/max_queued_events", text, sizeof text) > 0);
    int limit = atoi(text), count = 0, fd = OK(inotify_init1(IN_NONBLOCK));
    CHECK(limit >= 16);
    int watch = OK(inotify_add_watch(fd, ".", IN_ATTRIB));
    touch("a");
    touch("b");
    for (int i = 0; i < limit + 100; i++) OK(chmod(i % 2 == 0 ? "a" : "b", 0600));
    for (;;)
    {
        struct inotify_event *event = next(fd);
        if (event->mask == IN_Q_OVERFLOW)
        {
            EQUAL(event->wd, -1);
            break;
        }
        EQUAL(event->wd, watch);
        count++;
    }
    EQUAL(count, limit);
    nothing(fd);
}
