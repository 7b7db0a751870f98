// clone(2), clone3(2): each flag, each refused combination.
#include "../common/clone.h"
#include <asm/prctl.h>
#include <linux/futex.h>
#include <sys/uio.h>

#ifndef CLONE_CLEAR_SIGHAND
#define CLONE_CLEAR_SIGHAND 0x100000000ULL
#endif

static int value;

static int sets_value(void *argument)
{
    value = (int)(long)argument;
    return 0;
}

static int exits_with(void *argument) { return (int)(long)argument; }

// A task that shares the memory, by the raw call.
static pid_t task(unsigned long long flags, int (*function)(void *), void *argument)
{
    struct clone_args arguments = {.flags = flags & ~0xffULL, .exit_signal = flags & 0xff};
    arguments.stack = (uintptr_t)clone_stack() - CLONE_STACK_SIZE;
    arguments.stack_size = CLONE_STACK_SIZE;
    return clone3_call(&arguments, sizeof arguments, function, argument);
}

CASE(clone_without_flags_is_fork)
{
    value = 1;
    pid_t child = clone(sets_value, clone_stack(), SIGCHLD, (void *)5);
    CHECK(child > 0);
    REAP_EXIT(child, 0);
    EQUAL(value, 1);
    child = clone(exits_with, clone_stack(), SIGCHLD, (void *)45);
    REAP_EXIT(child, 45);
}

CASE(clone_vm_shares_memory)
{
    pid_t child = OK(clone(sets_value, clone_stack(), CLONE_VM | SIGCHLD, (void *)5));
    REAP_EXIT(child, 0);
    EQUAL(value, 5);
}

static int maps_page(void *argument)
{
    void **page = argument;
    *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return 0;
}

CASE(clone_vm_shares_mappings_made_later)
{
    char *page = NULL;
    pid_t child = OK(clone(maps_page, clone_stack(), CLONE_VM | SIGCHLD, &page));
    REAP_EXIT(child, 0);
    CHECK(page != NULL && page != MAP_FAILED);
    *page = 1;
    OK(munmap(page, 4096));
}

CASE(clone_vfork_waits_for_the_child)
{
    int64_t start = now_ns();
    struct clone_args arguments = {.flags = CLONE_VFORK, .exit_signal = SIGCHLD};
    pid_t child = OK(clone3_fork(&arguments));
    if (child == 0)
    {
        sleep_ms(100);
        _exit(6);
    }
    CHECK(passed_ms(start, 100));
    REAP_EXIT(child, 6);
}

static int closes(void *argument)
{
    close((int)(long)argument);
    return 0;
}

static int opens(void *argument)
{
    *(int *)argument = open("/", O_RDONLY | O_DIRECTORY);
    return 0;
}

CASE(clone_files_shares_the_descriptor_table)
{
    int fd = OK(open("/", O_RDONLY | O_DIRECTORY));
    REAP_EXIT(OK(clone(closes, clone_stack(), CLONE_VM | CLONE_FILES | SIGCHLD, (void *)(long)fd)), 0);
    FAILS(fcntl(fd, F_GETFD), EBADF);
    REAP_EXIT(OK(clone(opens, clone_stack(), CLONE_VM | CLONE_FILES | SIGCHLD, &fd)), 0);
    OK(fcntl(fd, F_GETFD));
    REAP_EXIT(OK(clone(closes, clone_stack(), CLONE_VM | SIGCHLD, (void *)(long)fd)), 0);
    OK(fcntl(fd, F_GETFD));
}

CASE(exec_unshares_the_descriptor_table)
{
    // man 2 execve: the child's close-on-exec descriptors close in its copy only.
    int fd = OK(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    struct clone_args arguments = {.flags = CLONE_FILES, .exit_signal = SIGCHLD};
    pid_t child = OK(clone3_fork(&arguments));
    if (child == 0)
    {
        char *strings[] = {"x", "--entry", "nothing", NULL};
        execve(test_program, strings, environ);
        _exit(99);
    }
    REAP_EXIT(child, 0);
    OK(fcntl(fd, F_GETFD));
}

ENTRY(nothing) { return 0; }

static int changes_directory(void *unused)
{
    (void)unused;
    umask(0135);
    return chdir("/") == 0 ? 0 : 1;
}

CASE(clone_fs_shares_directory_and_umask)
{
    char name[PATH_MAX];
    test_directory();
    umask(022);
    REAP_EXIT(OK(clone(changes_directory, clone_stack(), CLONE_VM | SIGCHLD, NULL)), 0);
    CHECK(getcwd(name, sizeof name) != NULL && strcmp(name, "/") != 0);
    EQUAL(umask(022), 022);
    REAP_EXIT(OK(clone(changes_directory, clone_stack(), CLONE_VM | CLONE_FS | SIGCHLD, NULL)), 0);
    CHECK(getcwd(name, sizeof name) != NULL && strcmp(name, "/") == 0);
    EQUAL(umask(022), 0135);
}

static void handler(int number) { (void)number; }

static int sets_handler(void *unused)
{
    (void)unused;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    return signal(SIGUSR1, handler) == SIG_ERR;
}

CASE(clone_sighand_shares_dispositions_not_masks)
{
    struct sigaction action;
    REAP_EXIT(OK(clone(sets_handler, clone_stack(), CLONE_VM | SIGCHLD, NULL)), 0);
    OK(sigaction(SIGUSR1, NULL, &action));
    CHECK(action.sa_handler == SIG_DFL);
    REAP_EXIT(OK(clone(sets_handler, clone_stack(), CLONE_VM | CLONE_SIGHAND | SIGCHLD, NULL)), 0);
    OK(sigaction(SIGUSR1, NULL, &action));
    CHECK(action.sa_handler == handler);
    sigset_t set;
    OK(sigprocmask(SIG_BLOCK, NULL, &set));
    CHECK(!sigismember(&set, SIGUSR2));
}

CASE(clone_parent_makes_a_sibling)
{
    pid_t parent = getpid();
    pid_t *sibling = shared_memory(sizeof *sibling);
    pid_t child = CHILD({
        struct clone_args arguments = {.flags = CLONE_PARENT};
        pid_t pid = OK(clone3_fork(&arguments));
        if (pid == 0) _exit(getppid() == parent ? 21 : 22);
        *sibling = pid;
        FAILS(waitpid(*sibling, NULL, 0), ECHILD);
    });
    REAP_EXIT(child, 0);
    REAP_EXIT(*sibling, 21);
}

CASE(parent_settid_writes_the_pid_before_the_call_returns)
{
    pid_t tid = 0;
    pid_t child = OK(clone(exits_with, clone_stack(), CLONE_PARENT_SETTID | SIGCHLD, (void *)0, &tid));
    EQUAL(tid, child);
    REAP_EXIT(child, 0);
}

static pid_t child_tid;

static int compares_tid(void *unused)
{
    (void)unused;
    return child_tid == gettid_raw() ? 0 : 1;
}

CASE(child_settid_writes_the_pid_in_the_childs_memory)
{
    child_tid = 0;
    pid_t child = OK(clone(compares_tid, clone_stack(), CLONE_CHILD_SETTID | SIGCHLD, NULL, NULL, NULL, &child_tid));
    REAP_EXIT(child, 0);
    EQUAL(child_tid, 0);                // a copy of the memory
    child = OK(clone(compares_tid, clone_stack(), CLONE_VM | CLONE_CHILD_SETTID | SIGCHLD, NULL, NULL, NULL, &child_tid));
    REAP_EXIT(child, 0);
    EQUAL(child_tid, child);
}

static int sleeps(void *argument)
{
    struct timespec time = {(long)argument / 1000, (long)argument % 1000 * 1000000};
    syscall(SYS_nanosleep, &time, NULL);
    return 0;
}

CASE(child_cleartid_writes_zero_and_wakes_a_futex)
{
    child_tid = 0;
    pid_t child = OK(clone(sleeps, clone_stack(), CLONE_VM | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | SIGCHLD, (void *)100, &child_tid, NULL, &child_tid));
    while (__atomic_load_n(&child_tid, __ATOMIC_ACQUIRE) != 0) syscall(SYS_futex, &child_tid, FUTEX_WAIT, child, NULL, NULL, 0);
    REAP_EXIT(child, 0);
}

static int sets_tid_address(void *argument)
{
    return syscall(SYS_set_tid_address, argument) == gettid_raw() ? 0 : 1;
}

CASE(set_tid_address_changes_the_place_and_returns_the_tid)
{
    int first = 77, second = 78;
    pid_t child = OK(clone(sets_tid_address, clone_stack(), CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, &second, NULL, NULL, &first));
    REAP_EXIT(child, 0);
    EQUAL(first, 77);
    EQUAL(second, 0);
}

CASE(cleartid_at_a_bad_address_is_ignored)
{
    REAP_EXIT(OK(clone(exits_with, clone_stack(), CLONE_VM | CLONE_CHILD_CLEARTID | SIGCHLD, (void *)3, NULL, NULL, unmapped_address())), 3);
}

static int reads_fs(void *argument)
{
    unsigned long base, first;
    __asm__ volatile("mov %%fs:0, %0" : "=r"(first));
    if (syscall(SYS_arch_prctl, ARCH_GET_FS, &base) != 0) return 1;
    return base == (unsigned long)argument && first == 0x1234567812345678 ? 0 : 2;
}

CASE(clone_settls_sets_the_fs_base)
{
    unsigned long *block = shared_memory(4096);
    block[0] = 0x1234567812345678;
    struct clone_args arguments = {.flags = CLONE_VM | CLONE_SETTLS, .exit_signal = SIGCHLD, .tls = (uintptr_t)block};
    arguments.stack = (uintptr_t)clone_stack() - CLONE_STACK_SIZE;
    arguments.stack_size = CLONE_STACK_SIZE;
    REAP_EXIT(OK(clone3_call(&arguments, sizeof arguments, reads_fs, block)), 0);
}

CASE(clone_settls_outside_user_space_is_EPERM)
{
    struct clone_args arguments = {.flags = CLONE_SETTLS, .exit_signal = SIGCHLD, .tls = 0xffffffff81000000};
    FAILS(clone3_fork(&arguments), EPERM);
    FAILS(syscall(SYS_arch_prctl, ARCH_SET_FS, 0xffffffff81000000), EPERM);
    FAILS(syscall(SYS_arch_prctl, ARCH_SET_GS, 1UL << 56), EPERM);
    FAILS(syscall(SYS_arch_prctl, 0x7fff, 0), EINVAL);
}

static volatile int thread_pid, thread_ppid, thread_tid;

static int is_thread(void *unused)
{
    (void)unused;
    thread_pid = getpid(), thread_ppid = getppid();
    __atomic_store_n(&thread_tid, gettid_raw(), __ATOMIC_RELEASE);
    return 0;
}

#define THREAD (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

CASE(clone_thread_shares_pid_and_ppid_and_has_a_tid)
{
    pid_t tid = task(THREAD, is_thread, NULL);
    CHECK(tid > 0 && tid != getpid());
    EVENTUALLY(__atomic_load_n(&thread_tid, __ATOMIC_ACQUIRE) != 0);
    EQUAL(thread_tid, tid);
    EQUAL(thread_pid, getpid());
    EQUAL(thread_ppid, getppid());
    FAILS(waitpid(tid, NULL, __WALL), ECHILD);          // a thread is no child
}

static int forks_child(void *unused)
{
    (void)unused;
    pid_t child = syscall(SYS_fork);
    if (child == 0) _exit(63);
    __atomic_store_n(&thread_tid, child, __ATOMIC_RELEASE);
    return 0;
}

CASE(child_of_a_thread_that_ended_is_the_processs)
{
    thread_tid = 0;
    pid_t tid = task(THREAD, forks_child, NULL);
    EVENTUALLY(__atomic_load_n(&thread_tid, __ATOMIC_ACQUIRE) != 0);
    EVENTUALLY(syscall(SYS_tgkill, getpid(), tid, 0) == -1);
    REAP_EXIT(thread_tid, 63);
}

CASE(wnothread_waits_for_the_threads_own_children)
{
    thread_tid = 0;
    task(THREAD, forks_child, NULL);
    EVENTUALLY(__atomic_load_n(&thread_tid, __ATOMIC_ACQUIRE) != 0);
    // Its maker has ended: its children went to another thread of the process, here the only one.
    int status;
    EVENTUALLY(waitpid(thread_tid, &status, __WNOTHREAD) == thread_tid);
    EQUAL(status, 63 << 8);
}

static int exits_group(void *argument)
{
    syscall(SYS_exit_group, (long)argument);
    return 0;
}

CASE(exit_group_by_a_thread_ends_the_process)
{
    pid_t child = CHILD({
        CHECK(task(THREAD, exits_group, (void *)12) > 0);
        for (;;) pause();
    });
    REAP_EXIT(child, 12);
}

static int sleeps_and_exits_5(void *argument)
{
    sleeps(argument);
    return 5;
}

CASE(exit_of_the_leader_leaves_the_other_threads_and_the_process_ends_with_the_last)
{
    int64_t start = now_ns();
    pid_t child = CHILD({
        CHECK(task(THREAD, sleeps_and_exits_5, (void *)200) > 0);
        syscall(SYS_exit, 9);
    });
    REAP_EXIT(child, 5);                // the status of the last (before Linux 5.19 the leader's)
    CHECK(passed_ms(start, 200));
}

CASE(leader_that_ended_is_no_zombie_for_wait_while_a_thread_runs)
{
    pid_t child = CHILD({
        CHECK(task(THREAD, sleeps, (void *)30000) > 0);
        syscall(SYS_exit, 9);
    });
    sleep_ms(100);
    EQUAL(waitpid(child, NULL, WNOHANG), 0);
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
}

CASE(signal_that_kills_a_thread_kills_the_process)
{
    pid_t child = CHILD({
        pid_t tid = task(THREAD, sleeps, (void *)30000);
        OK(syscall(SYS_tgkill, getpid(), tid, SIGTERM));
        for (;;) pause();
    });
    REAP_SIGNAL(child, SIGTERM);
}

CASE(refused_combinations_are_EINVAL)
{
    unsigned long table[] = {
        CLONE_SIGHAND,                                      // without CLONE_VM
        CLONE_THREAD | CLONE_VM,                            // without CLONE_SIGHAND
        CLONE_THREAD | CLONE_SIGHAND,                       // without CLONE_VM
        CLONE_FS | CLONE_NEWNS,
        CLONE_FS | CLONE_NEWUSER,
        CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWPID,
        CLONE_THREAD | CLONE_SIGHAND | CLONE_VM | CLONE_NEWUSER,
        CLONE_SYSVSEM | CLONE_NEWIPC,
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    {
        errno = 0;
        long result = syscall(SYS_clone, table[i] | SIGCHLD, 0, 0, 0, 0);
        if (result == 0) _exit(0);
        CHECK_THAT(result == -1 && errno == EINVAL, "clone(%#lx) = %ld", table[i], result);
    }
}

CASE(clone_pidfd_gives_a_descriptor)
{
    int fd = -1;
    struct clone_args arguments = {.flags = CLONE_PIDFD, .exit_signal = SIGCHLD, .pidfd = (uintptr_t)&fd};
    pid_t child = OK(clone3_fork(&arguments));
    if (child == 0)
    {
        pause();
        _exit(0);
    }
    CHECK(fd >= 0);
    EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    OK(syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0));
    siginfo_t info;
    OK(waitid(P_PIDFD, fd, &info, WEXITED));
    EQUAL(info.si_pid, child);
    EQUAL(info.si_status, SIGKILL);
}

CASE(old_clone_writes_the_pidfd_where_the_parents_tid_would_go)
{
    int fd = -1;
    long child = OK(syscall(SYS_clone, CLONE_PIDFD | SIGCHLD, 0, &fd, 0, 0));
    if (child == 0) _exit(0);
    CHECK(fd >= 0);
    siginfo_t info;
    OK(waitid(P_PIDFD, fd, &info, WEXITED));
    EQUAL(info.si_pid, child);
    errno = 0;
    child = syscall(SYS_clone, CLONE_PIDFD | CLONE_PARENT_SETTID | SIGCHLD, 0, &fd, 0, 0);
    if (child == 0) _exit(0);
    CHECK(child == -1 && errno == EINVAL);
}

CASE(clone3_clear_sighand_resets_handlers_and_keeps_ignored)
{
    CHECK(signal(SIGUSR1, handler) != SIG_ERR);
    CHECK(signal(SIGUSR2, SIG_IGN) != SIG_ERR);
    struct clone_args arguments = {.flags = CLONE_CLEAR_SIGHAND, .exit_signal = SIGCHLD};
    pid_t child = OK(clone3_fork(&arguments));
    if (child == 0)
    {
        struct sigaction action;
        OK(sigaction(SIGUSR1, NULL, &action));
        CHECK(action.sa_handler == SIG_DFL);
        OK(sigaction(SIGUSR2, NULL, &action));
        CHECK(action.sa_handler == SIG_IGN);
        _exit(0);
    }
    REAP_EXIT(child, 0);
    struct clone_args both = {.flags = CLONE_CLEAR_SIGHAND | CLONE_SIGHAND | CLONE_VM, .exit_signal = SIGCHLD};
    FAILS(clone3_fork(&both), EINVAL);
}

CASE(clone3_checks_its_arguments)
{
    struct clone_args arguments = {.exit_signal = SIGCHLD};
    struct
    {
        struct clone_args arguments;
        char more[64];
    } longer = {.arguments = {.exit_signal = SIGCHLD}};
    FAILS(syscall(SYS_clone3, &arguments, 63), EINVAL);             // smaller than the first version
    FAILS(syscall(SYS_clone3, &arguments, 8192), E2BIG);            // more than a page
    FAILS(syscall(SYS_clone3, unmapped_address(), sizeof arguments), EFAULT);
    longer.more[60] = 1;
    FAILS(syscall(SYS_clone3, &longer, sizeof longer), E2BIG);      // unknown fields that are not zero
    arguments.exit_signal = 65;
    FAILS(clone3_fork(&arguments), EINVAL);
    arguments.exit_signal = SIGCHLD | 0x100;
    FAILS(clone3_fork(&arguments), EINVAL);
    arguments.exit_signal = SIGCHLD;
    arguments.flags = SIGCHLD;                                      // the exit signal is no flag here
    FAILS(clone3_fork(&arguments), EINVAL);
    arguments.flags = CLONE_DETACHED;
    FAILS(clone3_fork(&arguments), EINVAL);
    arguments.flags = 1ULL << 60;
    FAILS(clone3_fork(&arguments), EINVAL);
    arguments.flags = 0;
    arguments.stack = 4096;                                         // a stack without size and the reverse
    FAILS(clone3_fork(&arguments), EINVAL);
    arguments.stack = 0, arguments.stack_size = 4096;
    FAILS(clone3_fork(&arguments), EINVAL);
    arguments.stack_size = 0;
    arguments.flags = CLONE_THREAD | CLONE_SIGHAND | CLONE_VM;      // a thread has no exit signal
    FAILS(clone3_fork(&arguments), EINVAL);
    arguments.flags = CLONE_PIDFD;
    arguments.pidfd = (uintptr_t)unmapped_address();
    FAILS(clone3_fork(&arguments), EFAULT);
}

CASE(clone3_accepts_longer_arguments_of_zeros_and_the_first_version)
{
    struct
    {
        struct clone_args arguments;
        char more[256];
    } longer = {.arguments = {.exit_signal = SIGCHLD}};
    long child = OK(syscall(SYS_clone3, &longer, sizeof longer));
    if (child == 0) _exit(4);
    REAP_EXIT(child, 4);
    child = OK(syscall(SYS_clone3, &longer, CLONE_ARGS_SIZE_VER0));
    if (child == 0) _exit(5);
    REAP_EXIT(child, 5);
}

CASE(clone3_set_tid_chooses_the_pid)
{
    // A pid that was just free is chosen; one in use is EEXIST.
    pid_t free_pid = CHILD({});
    REAP_EXIT(free_pid, 0);
    pid_t wanted = free_pid;
    struct clone_args arguments = {.exit_signal = SIGCHLD, .set_tid = (uintptr_t)&wanted, .set_tid_size = 1};
    pid_t child = clone3_fork(&arguments);
    if (child == 0)
    {
        pause();
        _exit(0);
    }
    if (child == -1) CHECK(errno == EEXIST);        // somebody else was faster
    else
    {
        EQUAL(child, wanted);
        FAILS(clone3_fork(&arguments), EEXIST);
        OK(kill(child, SIGKILL));
        REAP_SIGNAL(child, SIGKILL);
    }
    wanted = 0;
    FAILS(clone3_fork(&arguments), EINVAL);
    wanted = -5;
    FAILS(clone3_fork(&arguments), EINVAL);
    arguments.set_tid_size = 0;
    FAILS(clone3_fork(&arguments), EINVAL);
    arguments.set_tid_size = 33;
    FAILS(clone3_fork(&arguments), EINVAL);
    wanted = free_pid;
    arguments.set_tid_size = 1;
    IN_CHILD({
        OK(setresuid(1000, 1000, 1000));
        FAILS(clone3_fork(&arguments), EPERM);
    });
}

CASE(exit_signal_is_the_one_sent)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 1);
    sigaddset(&set, SIGCHLD);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    struct clone_args arguments = {.exit_signal = SIGRTMIN + 1};
    pid_t child = OK(clone3_fork(&arguments));
    if (child == 0) _exit(3);
    siginfo_t info;
    EQUAL(sigwaitinfo(&set, &info), SIGRTMIN + 1);
    EQUAL(info.si_pid, child);
    EQUAL(info.si_status, 3);
    EQUAL(info.si_code, CLD_EXITED);
    int status;
    EQUAL(waitpid(child, &status, __WCLONE), child);
}

CASE(exec_resets_the_exit_signal_to_sigchld)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGCHLD);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    struct clone_args arguments = {.exit_signal = SIGUSR1};
    pid_t child = OK(clone3_fork(&arguments));
    if (child == 0)
    {
        char *strings[] = {"x", "--entry", "nothing", NULL};
        execve(test_program, strings, environ);
        _exit(99);
    }
    siginfo_t info;
    EQUAL(sigwaitinfo(&set, &info), SIGCHLD);
    REAP_EXIT(child, 0);
}

CASE(nproc_limit_is_EAGAIN_for_users)
{
    // man 2 fork: RLIMIT_NPROC counts the real user's tasks; root is exempt.
    OK(setrlimit(RLIMIT_NPROC, &(struct rlimit){2, 2}));
    IN_CHILD({});
    IN_CHILD({
        OK(setresuid(54321, 54321, 54321));
        pid_t first = CHILD({ pause(); });
        FAILS(fork(), EAGAIN);
        OK(kill(first, SIGKILL));
        REAP_SIGNAL(first, SIGKILL);
        IN_CHILD({});
    });
}

CASE(unshare_separates_what_was_shared)
{
    struct clone_args arguments = {.flags = CLONE_FILES | CLONE_FS, .exit_signal = SIGCHLD};
    int fd = OK(open("/", O_RDONLY | O_DIRECTORY));
    umask(022);
    pid_t child = OK(clone3_fork(&arguments));
    if (child == 0)
    {
        OK(unshare(CLONE_FILES | CLONE_FS));
        OK(close(fd));
        umask(077);
        _exit(0);
    }
    REAP_EXIT(child, 0);
    OK(fcntl(fd, F_GETFD));
    EQUAL(umask(022), 022);
    FAILS(unshare(1), EINVAL);
    FAILS(unshare(0x1000 | CLONE_PIDFD), EINVAL);
    OK(unshare(0));
}
