// Threads that pull the ground from under each other: memory unmapped during a copy, descriptors closed during a call, processes that end while they are looked at.
//
// HOSTILE_MS (1500): how long each race is run.
#include "../common/hostile.h"
#include <dirent.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/uio.h>

static volatile bool stop;
static int64_t end_at;

static bool go_on(void) { return !stop && now_ns() < end_at; }

typedef void *(*body)(void *);

// For calls whose answer does not matter, though the C library wants it looked at.
#define IGNORE(call)                                                                                                   \
    do                                                                                                                 \
    {                                                                                                                  \
        if ((call) == -1) { }                                                                                          \
    } while (0)

// Runs the bodies as threads of a child, for the time; the child may die of a fault, nothing else.
static void race(const body *bodies, int count)
{
    pid_t child = CHILD({
        end_at = now_ns() + parameter("HOSTILE_MS", 1500) * 1000000;
        pthread_t threads[16];
        for (int i = 0; i < count; i++) EQUAL(pthread_create(&threads[i], NULL, bodies[i], (void *)(long)i), 0);
        for (int i = 0; i < count; i++) EQUAL(pthread_join(threads[i], NULL), 0);
    });
    int status;
    EQUAL(waitpid(child, &status, 0), child);
    CHECK_THAT(status == 0 || (WIFSIGNALED(status) && (WTERMSIG(status) == SIGSEGV || WTERMSIG(status) == SIGBUS)), "%#x", status);
}

#define RACE(...)                                                                                                      \
    do                                                                                                                 \
    {                                                                                                                  \
        const body bodies_[] = {__VA_ARGS__};                                                                          \
        race(bodies_, sizeof bodies_ / sizeof *bodies_);                                                               \
    } while (0)

static char *area;
static int zero, fds[2];

static void *maps_and_unmaps(void *unused)
{
    (void)unused;
    while (go_on())
    {
        munmap(area + 4096, 4096);
        mmap(area + 4096, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
        mprotect(area + 8192, 4096, PROT_READ);
        mprotect(area + 8192, 4096, PROT_READ | PROT_WRITE);
        madvise(area, 4 * 4096, MADV_DONTNEED);
    }
    return NULL;
}

static void *reads_into_area(void *unused)
{
    (void)unused;
    while (go_on())
    {
        ssize_t length = read(zero, area, 4 * 4096);
        if (length < 0 && errno != EFAULT) _exit(1);
    }
    return NULL;
}

static void *writes_from_area(void *unused)
{
    (void)unused;
    int ends[2];
    if (pipe2(ends, O_NONBLOCK) == -1) _exit(1);
    static char drain[65536];
    while (go_on())
    {
        ssize_t length = write(ends[1], area + 100, 3 * 4096);
        if (length < 0 && errno != EFAULT && errno != EAGAIN) _exit(1);
        while (read(ends[0], drain, sizeof drain) > 0) { }
    }
    return NULL;
}

static void *copies_names_from_area(void *unused)
{
    (void)unused;
    struct stat status;
    while (go_on())
    {
        stat(area + 4090, &status);
        stat("/", (struct stat *)(area + 4000));
        syscall(SYS_clock_gettime, CLOCK_MONOTONIC, area + 4088);
        sigset_t *set = (sigset_t *)(area + 4096 * 2 - 4);
        sigprocmask(SIG_BLOCK, NULL, set);
    }
    return NULL;
}

CASE_LIMIT(memory_changes_while_the_kernel_copies, 300)
{
    area = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    zero = OK(open("/dev/zero", O_RDONLY));
    RACE(maps_and_unmaps, reads_into_area, writes_from_area, copies_names_from_area, maps_and_unmaps);
}

static void *touches_area(void *index)
{
    volatile char *memory = area + 4096 * 3;
    while (go_on())
    {
        for (int i = 0; i < 64; i++) memory[i * 4096] = (char)(long)index;
    }
    return NULL;
}

static void *forks_children(void *unused)
{
    (void)unused;
    while (go_on())
    {
        pid_t child = fork();
        if (child == 0)
        {
            for (int i = 0; i < 64; i++) area[4096 * 3 + i * 4096]++;
            _exit(0);
        }
        if (child > 0) waitpid(child, NULL, 0);
    }
    return NULL;
}

static void *drops_area(void *unused)
{
    (void)unused;
    while (go_on())
    {
        madvise(area + 4096 * 3, 32 * 4096, MADV_DONTNEED);
        mremap(area + 4096 * 60, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, area + 4096 * 61);
        mmap(area + 4096 * 60, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    }
    return NULL;
}

CASE_LIMIT(faults_forks_and_remaps_at_once, 300)
{
    area = mmap(NULL, 80 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    RACE(touches_area, touches_area, forks_children, drops_area);
}

static void *opens_and_closes(void *unused)
{
    (void)unused;
    while (go_on())
    {
        for (int fd = 100; fd < 110; fd++)
        {
            int kind = fd % 5;
            int made = kind == 0 ? open("/dev/zero", O_RDWR) : kind == 1 ? eventfd(1, EFD_NONBLOCK) : kind == 2 ? epoll_create1(0) : kind == 3 ? open("/", O_RDONLY) : inotify_init1(IN_NONBLOCK);
            if (made == -1) continue;
            dup2(made, fd);
            close(made);
        }
        for (int fd = 100; fd < 110; fd++) close(fd);
    }
    return NULL;
}

static void *uses_descriptors(void *unused)
{
    (void)unused;
    static __thread char bytes[64];
    while (go_on())
    {
        for (int fd = 100; fd < 110; fd++)
        {
            struct stat status;
            struct epoll_event event = {.events = EPOLLIN};
            struct pollfd entry = {fd, POLLIN, 0};
            IGNORE(read(fd, bytes, 8));
            fstat(fd, &status);
            lseek(fd, 1, SEEK_CUR);
            poll(&entry, 1, 0);
            epoll_ctl(fd, EPOLL_CTL_ADD, fd ^ 1, &event);
            fcntl(fd, F_SETFL, O_NONBLOCK);
            void *memory = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
            if (memory != MAP_FAILED) munmap(memory, 4096);
            close(dup(fd));
        }
    }
    return NULL;
}

CASE_LIMIT(descriptors_are_closed_under_calls, 300) { RACE(opens_and_closes, uses_descriptors, opens_and_closes, uses_descriptors, uses_descriptors); }

static void *reads_blocked(void *unused)
{
    (void)unused;
    char byte;
    while (go_on())
    {
        struct pollfd entry = {fds[0], POLLIN, 0};
        poll(&entry, 1, 1);
        if (read(fds[0], &byte, 1) == -1) sleep_ms(0);
    }
    return NULL;
}

static void *remakes_pipe(void *unused)
{
    (void)unused;
    while (go_on())
    {
        int ends[2];
        if (pipe2(ends, O_NONBLOCK) == -1) continue;
        if (write(ends[1], "abc", 3) != 3) _exit(1);
        dup2(ends[0], fds[0]);
        dup2(ends[1], fds[1]);
        close(ends[0]);
        close(ends[1]);
    }
    return NULL;
}

CASE_LIMIT(pipes_are_replaced_under_readers, 300)
{
    OK(pipe2(fds, O_NONBLOCK));
    RACE(reads_blocked, remakes_pipe, reads_blocked, remakes_pipe);
}

static void *renames(void *index)
{
    char a[32], b[32];
    random_seed((long)index + parameter("HOSTILE_SEED", 1));
    while (go_on())
    {
        snprintf(a, sizeof a, "d%d/n%d", random_below(3), random_below(4));
        snprintf(b, sizeof b, "d%d/n%d", random_below(3), random_below(4));
        switch (random_below(9))
        {
            case 0: rename(a, b); break;
            case 1: IGNORE(link(a, b)); break;
            case 2: unlink(a); break;
            case 3: mkdir(a, 0755); break;
            case 4: rmdir(a); break;
            case 5: IGNORE(symlink(b, a)); break;
            case 6: close(open(a, O_RDWR | O_CREAT, 0644)); break;
            case 7: syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, 2 /* RENAME_EXCHANGE */); break;
            default:
            {
                struct stat status;
                lstat(a, &status);
                DIR *directory = opendir("d1");
                if (directory == NULL) break;
                while (readdir(directory) != NULL) { }
                closedir(directory);
                break;
            }
        }
    }
    return NULL;
}

CASE_LIMIT(names_are_changed_by_all_at_once, 300)
{
    test_directory();
    OK(mkdir("d0", 0755));
    OK(mkdir("d1", 0755));
    OK(mkdir("d2", 0755));
    RACE(renames, renames, renames, renames);
    // What is left can be removed: nothing is lost, nothing is in a circle.
    OK(chdir("/"));
    test_remove_directory(test_pid);
    char name[PATH_MAX];
    test_directory_name(test_pid, name, sizeof name);
    FAILS(access(name, F_OK), ENOENT);
}

static volatile pid_t *victims;
static bool may_kill;           // in a pid namespace of our own: a pid that was used again there is one of ours

static void *makes_victims(void *index)
{
    while (go_on())
    {
        pid_t child = fork();
        if (child == 0)
        {
            sched_yield();
            _exit(0);
        }
        victims[(long)index] = child;
        if (child > 0) waitpid(child, NULL, 0);
    }
    return NULL;
}

static void *looks_at_victims(void *unused)
{
    (void)unused;
    char path[64], text[4096];
    static const char *const files[] = {"stat", "status", "maps", "cmdline", "fdinfo/0", "limits", "comm", "smaps", "environ", "task"};
    while (go_on())
    {
        for (int i = 0; i < 4; i++)
        {
            pid_t pid = victims[i];
            if (pid <= 0) continue;
            snprintf(path, sizeof path, "/proc/%d/%s", pid, files[now_ns() % 10]);
            read_text(path, text, sizeof text);
            kill(pid, may_kill && now_ns() % 3 == 0 ? SIGKILL : 0);
            getpgid(pid);
            getpriority(PRIO_PROCESS, pid);
            sched_getscheduler(pid);
            int fd = syscall(SYS_pidfd_open, pid, 0);
            if (fd >= 0) close(fd);
            struct rlimit limit;
            prlimit(pid, RLIMIT_NOFILE, NULL, &limit);
            struct iovec local = {text, 64}, remote = {path, 64};
            process_vm_readv(pid, &local, 1, &remote, 1, 0);
        }
    }
    return NULL;
}

CASE_LIMIT(processes_end_while_they_are_looked_at, 300)
{
    victims = shared_memory(4096);
    IN_CHILD({
        may_kill = unshare(CLONE_NEWPID) == 0 || getenv("HOSTILE_IN_GUEST") != NULL;
        RACE(makes_victims, makes_victims, looks_at_victims, looks_at_victims);
    });
}

static int futex_words[4];

static void *waits_briefly(void *index)
{
    struct timespec time = {0, 100000};
    while (go_on()) syscall(SYS_futex, &futex_words[(long)index % 4], FUTEX_WAIT_PRIVATE, 0, &time, NULL, 0);
    return NULL;
}

static void *wakes_and_requeues(void *unused)
{
    (void)unused;
    while (go_on())
    {
        for (int i = 0; i < 4; i++)
        {
            syscall(SYS_futex, &futex_words[i], FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
            syscall(SYS_futex, &futex_words[i], FUTEX_CMP_REQUEUE_PRIVATE, 1, (void *)2, &futex_words[(i + 1) % 4], 0);
        }
    }
    return NULL;
}

CASE_LIMIT(futex_waits_time_out_while_they_are_moved, 300) { RACE(waits_briefly, waits_briefly, waits_briefly, waits_briefly, wakes_and_requeues, wakes_and_requeues); }

static void ignores(int number) { (void)number; }

static void *signals_itself(void *unused)
{
    (void)unused;
    while (go_on()) kill(getpid(), SIGUSR1);
    return NULL;
}

static void *changes_handlers(void *unused)
{
    (void)unused;
    static _Thread_local char stack[65536];         // handlers of two threads on one stack would overwrite each other
    while (go_on())
    {
        struct sigaction action = {.sa_handler = ignores, .sa_flags = SA_RESTART | (now_ns() % 2 ? SA_ONSTACK : 0)};
        sigaction(SIGUSR1, &action, NULL);
        stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack, .ss_flags = now_ns() % 2 ? SS_DISABLE : 0};
        sigaltstack(&alternate, NULL);
        sigset_t set;
        sigfillset(&set);
        pthread_sigmask(SIG_BLOCK, &set, NULL);
        pthread_sigmask(SIG_UNBLOCK, &set, NULL);
        action.sa_handler = SIG_IGN;
        sigaction(SIGUSR1, &action, NULL);
    }
    return NULL;
}

CASE_LIMIT(handlers_change_while_signals_come, 300)
{
    CHECK(signal(SIGUSR1, ignores) != SIG_ERR);
    RACE(signals_itself, changes_handlers, signals_itself, changes_handlers);
}

static void *ends(void *argument) { return argument; }

static void *makes_threads(void *unused)
{
    while (go_on())
    {
        pthread_t thread;
        if (pthread_create(&thread, NULL, ends, unused) == 0) pthread_join(thread, NULL);
    }
    return NULL;
}

CASE_LIMIT(process_is_killed_while_threads_come_and_go, 300)
{
    for (int i = 0; i < 30; i++)
    {
        pid_t child = CHILD({
            end_at = INT64_MAX;
            pthread_t thread;
            for (int j = 0; j < 4; j++) EQUAL(pthread_create(&thread, NULL, makes_threads, NULL), 0);
            makes_threads(NULL);
        });
        sleep_ms(5 + i % 7);
        OK(kill(child, SIGKILL));
        REAP_SIGNAL(child, SIGKILL);
    }
}
