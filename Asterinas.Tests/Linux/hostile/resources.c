// Everything until there is no more of it: processes, threads, descriptors, mappings, signals, timers, pipes, names, memory. The limit is an errno, and afterwards all is as before.
#include "../common/hostile.h"
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/uio.h>

static bool limit(int resource, rlim_t value) { return setrlimit(resource, &(struct rlimit){value, value}) == 0; }

// As another user, so that limits hold, in a box of small limits.
static void be_user(int number)
{
    uid_t id = BOX_FIRST_USER + 100 + number;
    OK(setgroups(0, NULL));
    OK(setresgid(id, id, id));
    OK(setresuid(id, id, id));
}

CASE_LIMIT(fork_bomb_ends_at_the_limit, 180)
{
    // Every process forks as fast as it can, and so do its children.
    int *forks = shared_memory(4096), *failures = forks + 16;
    OK(prctl(PR_SET_CHILD_SUBREAPER, 1));
    pid_t bomb = CHILD({
        CHECK(limit(RLIMIT_NPROC, 60));
        be_user(0);
        int64_t start = now_ns();
        while (!passed_ms(start, 3000))
        {
            pid_t child = fork();
            if (child == -1)
            {
                CHECK(errno == EAGAIN);
                __atomic_add_fetch(failures, 1, __ATOMIC_SEQ_CST);
                while (waitpid(-1, NULL, WNOHANG) > 0) { }
            }
            else __atomic_add_fetch(forks, 1, __ATOMIC_SEQ_CST);
        }
    });
    REAP_EXIT(bomb, 0);
    int status;
    while (waitpid(-1, &status, 0) > 0) CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK(*forks >= 30 && *failures > 0);
    for (int i = 0; i < 20; i++) IN_CHILD({});
}

static void *sleeps(void *unused)
{
    (void)unused;
    for (;;) pause();
    return NULL;
}

CASE(threads_until_the_limit)
{
    pid_t child = CHILD({
        CHECK(limit(RLIMIT_NPROC, 50));
        be_user(1);
        int made = 0;
        int error;
        pthread_t thread;
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, 32768);
        while ((error = pthread_create(&thread, &attributes, sleeps, NULL)) == 0) made++;
        EQUAL(error, EAGAIN);
        EQUAL(made, 49);
    });
    REAP_EXIT(child, 0);
}

CASE(zombies_until_the_limit)
{
    IN_CHILD({
        CHECK(limit(RLIMIT_NPROC, 100));
        be_user(2);
        int made = 0;
        pid_t child;
        while ((child = fork()) > 0) made++;
        if (child == 0) _exit(0);
        EQUAL(errno, EAGAIN);
        EQUAL(made, 99);
        while (made-- > 0) CHECK(wait(NULL) > 0);
        IN_CHILD({});
    });
}

CASE(descriptors_until_the_limit_of_every_kind)
{
    IN_CHILD({
        CHECK(limit(RLIMIT_NOFILE, 300));
        test_directory();
        for (int kind = 0; kind < 7; kind++)
        {
            int count = 0;
            int fd = 0;
            int ends[2];
            while (fd >= 0)
            {
                switch (kind)
                {
                    case 0: fd = open("/dev/null", O_RDONLY); break;
                    case 1: fd = pipe(ends); break;
                    case 2: fd = socketpair(AF_UNIX, SOCK_STREAM, 0, ends); break;
                    case 3: fd = epoll_create1(0); break;
                    case 4: fd = eventfd(0, 0); break;
                    case 5: fd = open("file", O_RDWR | O_CREAT, 0600); break;
                    default: fd = dup(0); break;
                }
                count += fd >= 0;
            }
            EQUAL(errno, EMFILE);
            CHECK(count >= 140);
            OK(syscall(SYS_close_range, 3, ~0U, 0));
        }
    });
}

CASE_LIMIT(descriptors_in_flight_are_limited_and_freed, 120)
{
    // Sockets passed over sockets, in circles that nobody can reach any more.
    IN_CHILD({
        for (int round = 0; round < 300; round++)
        {
            int ends[2];
            OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends));
            char control[CMSG_SPACE(2 * sizeof(int))] = {0};
            struct iovec vector = {"x", 1};
            struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
            struct cmsghdr *header = CMSG_FIRSTHDR(&message);
            header->cmsg_level = SOL_SOCKET, header->cmsg_type = SCM_RIGHTS, header->cmsg_len = CMSG_LEN(2 * sizeof(int));
            memcpy(CMSG_DATA(header), ends, 2 * sizeof(int));
            EQUAL(sendmsg(ends[0], &message, 0), 1);
            OK(close(ends[0]));
            OK(close(ends[1]));
        }
    });
}

CASE_LIMIT(directories_a_thousand_deep, 300)
{
    test_directory();
    int depth = 0;
    for (; depth < 1000; depth++)
    {
        OK(mkdir("d", 0755));
        OK(chdir("d"));
    }
    write_text("bottom", "here");
    char *name = malloc(1 << 20);
    long length = syscall(SYS_getcwd, name, 1 << 20);
    CHECK(length > 2000 || (length == -1 && errno == ENAMETOOLONG));
    // A name of 4095 bytes works, one more is too long.
    char path[PATH_MAX + 1];
    for (int i = 0; i < PATH_MAX - 1; i++) path[i] = i % 2 == 0 ? '.' : '/';
    path[PATH_MAX - 1] = 0;
    struct stat status;
    OK(stat(path, &status));
    path[PATH_MAX - 1] = '/', path[PATH_MAX] = 0;
    FAILS(stat(path, &status), ENAMETOOLONG);
    OK(unlink("bottom"));
    for (; depth > 0; depth--)
    {
        OK(chdir(".."));
        OK(rmdir("d"));
    }
}

CASE_LIMIT(directory_of_ten_thousand_names, 300)
{
    test_directory();
    char name[32];
    for (int i = 0; i < 10000; i++)
    {
        snprintf(name, sizeof name, "name-%d", i);
        OK(i % 2 == 0 ? symlink("target", name) : mknod(name, S_IFREG | 0600, 0));
    }
    for (int i = 0; i < 10000; i += 7)
    {
        snprintf(name, sizeof name, "name-%d", i);
        struct stat status;
        OK(lstat(name, &status));
    }
    for (int i = 0; i < 10000; i++)
    {
        snprintf(name, sizeof name, "name-%d", i);
        OK(unlink(name));
    }
    FAILS(unlink("name-5"), ENOENT);
}

CASE(symbolic_links_forty_are_followed_forty_one_are_not)
{
    test_directory();
    write_text("link0", "end");
    char from[16], to[16];
    for (int i = 1; i <= 41; i++)
    {
        snprintf(from, sizeof from, "link%d", i);
        snprintf(to, sizeof to, "link%d", i - 1);
        OK(symlink(to, from));
    }
    OK(close(OK(open("link40", O_RDONLY))));
    FAILS(open("link41", O_RDONLY), ELOOP);
}

CASE(huge_vectors)
{
    int ends[2];
    OK(pipe2(ends, O_NONBLOCK));
    static struct iovec vector[1025];
    static char byte[1025];
    for (int i = 0; i < 1025; i++) vector[i] = (struct iovec){&byte[i], 1};
    EQUAL(writev(ends[1], vector, 1024), 1024);
    FAILS(writev(ends[1], vector, 1025), EINVAL);
    EQUAL(readv(ends[0], vector, 1024), 1024);
    FAILS(readv(ends[0], vector, -1), EINVAL);
    EQUAL(writev(ends[1], vector, 0), 0);
    FAILS(syscall(SYS_writev, ends[1], vector, 0x80000005), EINVAL);
    vector[0].iov_len = SIZE_MAX;
    FAILS(writev(ends[1], vector, 1), EINVAL);
    vector[0].iov_len = SSIZE_MAX, vector[1].iov_len = SSIZE_MAX;
    ssize_t length = writev(ends[1], vector, 2);
    CHECK(length == -1 && (errno == EINVAL || errno == EFAULT));
    // Two gigabytes and more, of one page mapped again and again: at most 0x7ffff000 bytes a call.
    int fd = OK(syscall(SYS_memfd_create, "page", 0));
    OK(ftruncate(fd, 1 << 20));
    char *area = mmap(NULL, 64 << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < 64; i++) CHECK(mmap(area + ((size_t)i << 20), 1 << 20, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED);
    for (int i = 0; i < 64; i++) vector[i] = (struct iovec){area, 64 << 20};
    int null = OK(open("/dev/null", O_WRONLY));
    length = writev(null, vector, 64);
    CHECK_THAT(length == 0x7ffff000 || length == 64L * (64 << 20), "%zd", length);
}

CASE(huge_counts)
{
    int zero = OK(open("/dev/zero", O_RDONLY)), null = OK(open("/dev/null", O_WRONLY));
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ssize_t length = read(zero, page, SIZE_MAX);
    CHECK(length == -1 && (errno == EFAULT || errno == EINVAL));
    length = read(zero, page, SSIZE_MAX);
    CHECK((length == -1 && errno == EFAULT) || (length >= 4096 && length < 1 << 30));
    length = write(null, page, SIZE_MAX);
    CHECK(length == -1 || length == 0x7ffff000);
    FAILS(syscall(SYS_poll, page, -1, 0), EINVAL);
    FAILS(syscall(SYS_select, -1, NULL, NULL, NULL, NULL), EINVAL);
    FAILS(syscall(SYS_getdents64, OK(open("/", O_RDONLY)), page, 0), EINVAL);
    FAILS(syscall(SYS_setgroups, 0x7fffffff, page), EINVAL);
    length = getrandom(page, 4096, 0);
    EQUAL(length, 4096);
}

CASE_LIMIT(mappings_until_the_limit, 300)
{
    IN_CHILD({
        // Pages of alternating protection do not merge.
        char *area = mmap(NULL, 1UL << 30, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        CHECK(area != MAP_FAILED);
        long made = 0;
        while (made < 131072 && mprotect(area + made * 8192, 4096, PROT_READ) == 0) made++;
        CHECK_THAT(made == 131072 || errno == ENOMEM, "after %ld", made);
        CHECK(made > 10000);
        // A hole in the middle needs one more, unmapping at the end none.
        OK(munmap(area, 1UL << 30));
        CHECK(mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
    });
}

CASE(address_space_until_the_limit)
{
    IN_CHILD({
        CHECK(limit(RLIMIT_AS, 128 << 20));
        long size = 1 << 24;
        long total = 0;
        while (size >= 4096)
        {
            if (mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED) total += size;
            else
            {
                EQUAL(errno, ENOMEM);
                size /= 2;
            }
        }
        CHECK(total > 64 << 20 && total <= 128 << 20);
        FAILS(syscall(SYS_clone, 0x10000, 0, 0, 0, 0), EINVAL);
    });
}

CASE(signals_until_the_limit)
{
    IN_CHILD({
        CHECK(limit(RLIMIT_SIGPENDING, 500));
        be_user(3);
        sigset_t set;
        sigfillset(&set);
        OK(sigprocmask(SIG_SETMASK, &set, NULL));
        int queued = 0;
        while (sigqueue(getpid(), SIGRTMIN + queued % 20, (union sigval){.sival_int = queued}) == 0) queued++;
        EQUAL(errno, EAGAIN);
        EQUAL(queued, 500);
        while (queued-- > 0) CHECK(sigtimedwait(&set, NULL, &(struct timespec){0, 0}) > 0);
        OK(sigqueue(getpid(), SIGRTMIN, (union sigval){0}));
    });
}

CASE(timers_until_the_limit)
{
    IN_CHILD({
        CHECK(limit(RLIMIT_SIGPENDING, 200));
        be_user(4);
        int timer;
        int made = 0;
        struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
        while (made < 10000 && syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) == 0) made++;
        CHECK_THAT(made < 10000 && errno == EAGAIN, "%d timers, errno %d", made, errno);
        OK(syscall(SYS_timer_delete, 0));
        OK(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer));
    });
}

CASE_LIMIT(thousand_timers_that_fire_each_millisecond, 120)
{
    IN_CHILD({
        CHECK(signal(SIGRTMIN, SIG_IGN) != SIG_ERR);
        for (int i = 0; i < 1000; i++)
        {
            int timer;
            struct sigevent event = {.sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGRTMIN};
            OK(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer));
            struct itimerspec time = {{0, 1000000}, {0, 1}};
            OK(syscall(SYS_timer_settime, timer, 0, &time, NULL));
        }
        int64_t start = now_ns();
        while (!passed_ms(start, 500)) syscall(SYS_getppid);
    });
}

CASE_LIMIT(timer_of_a_nanosecond_does_not_stop_the_machine, 120)
{
    IN_CHILD({
        CHECK(signal(SIGALRM, SIG_IGN) != SIG_ERR);
        int timer;
        struct itimerspec time = {{0, 1}, {0, 1}};
        OK(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &timer));
        OK(syscall(SYS_timer_settime, timer, 0, &time, NULL));
        int64_t start = now_ns();
        while (!passed_ms(start, 300)) { }
    });
}

CASE(pipes_that_are_all_full)
{
    IN_CHILD({
        static char bytes[65536];
        long total = 0;
        CHECK(limit(RLIMIT_NOFILE, 600));
        for (int i = 0; i < 200; i++)
        {
            int ends[2];
            OK(pipe2(ends, O_NONBLOCK));
            ssize_t length;
            while ((length = write(ends[1], bytes, sizeof bytes)) > 0) total += length;
            EQUAL(errno, EAGAIN);
        }
        CHECK(total >= 200 * 4096);
    });
}

CASE(epoll_in_epoll_is_limited)
{
    int fds[10];
    struct epoll_event event = {.events = EPOLLIN};
    for (int i = 0; i < 10; i++) fds[i] = OK(epoll_create1(0));
    int depth = 0;
    while (depth < 9 && epoll_ctl(fds[depth + 1], EPOLL_CTL_ADD, fds[depth], &event) == 0) depth++;
    CHECK_THAT(depth >= 3 && depth < 9 && errno == ELOOP, "depth %d", depth);          // man 2 epoll_ctl: five
    int circle = OK(epoll_create1(0)), other = OK(epoll_create1(0));
    FAILS(epoll_ctl(circle, EPOLL_CTL_ADD, circle, &event), EINVAL);
    OK(epoll_ctl(circle, EPOLL_CTL_ADD, other, &event));
    FAILS(epoll_ctl(other, EPOLL_CTL_ADD, circle, &event), ELOOP);
}

CASE(arguments_of_all_sizes_at_once)
{
    // Ten processes that execute with two megabytes of arguments each.
    static char text[120000];
    memset(text, 'a', sizeof text - 1);
    char *arguments[20] = {"x", "--entry", "nothing"};
    for (int i = 3; i < 18; i++) arguments[i] = text;
    pid_t children[10];
    for (int i = 0; i < 10; i++) children[i] = CHILD({ execve(test_program, arguments, environ); });
    for (int i = 0; i < 10; i++) REAP_EXIT(children[i], 0);
}

ENTRY(nothing) { return 0; }

CASE_LIMIT(file_system_until_it_is_full, 300)
{
    // A small tmpfs of its own, where there are mount namespaces, else a limit on the file.
    IN_CHILD({
        test_directory();
        if (unshare(CLONE_NEWNS) == 0) mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
        OK(mkdir("small", 0755));
        OK(mount("none", "small", "tmpfs", 0, "size=1m,nr_inodes=100"));
        OK(chdir("small"));
        static char bytes[65536];
        int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
        ssize_t length;
        long total = 0;
        while ((length = write(fd, bytes, sizeof bytes)) > 0) total += length;
        EQUAL(errno, ENOSPC);
        EQUAL(total, 1 << 20);
        FAILS(write(OK(open("other", O_RDWR | O_CREAT, 0600)), "x", 1), ENOSPC);
        OK(ftruncate(fd, 0));
        EQUAL(write(fd, bytes, sizeof bytes), sizeof bytes);
        int made = 0;
        char name[16];
        do snprintf(name, sizeof name, "n%d", made);
        while (mkdir(name, 0700) == 0 && ++made < 1000);
        EQUAL(errno, ENOSPC);
        CHECK(made > 50 && made <= 100);
        // A hole has no page: touching it when there is none is SIGBUS.
        OK(ftruncate(fd, 8 << 20));
        pid_t child = CHILD({
            char *memory = mmap(NULL, 8 << 20, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
            for (size_t i = 0; i < 8 << 20; i += 4096) memory[i] = 1;
        });
        REAP_SIGNAL(child, SIGBUS);
        OK(close(fd));
        OK(chdir(".."));
        OK(umount2("small", MNT_DETACH));
    });
}
