// execve(2), execveat(2): arguments, what survives and what is reset, each errno. ELF headers and scripts have programs of their own.
#include "../common/test.h"
#include <pthread.h>
#include <sys/prctl.h>
#include <sys/time.h>

// Executes this program's entry in a child, which must end with this status.
#define EXEC_ENTRY(entry, status, ...)                                                                                 \
    REAP_EXIT(CHILD({                                                                                                  \
                  __VA_ARGS__;                                                                                         \
                  char *arguments[] = {"program", "--entry", #entry, NULL};                                            \
                  execve(test_program, arguments, environ);                                                            \
                  test_fail(__FILE__, __LINE__, errno, "execve %s", test_program);                                     \
              }),                                                                                                      \
              status)

static char *no_strings[] = {NULL};

static int execve_errno(const char *name)
{
    char *arguments[] = {"name", NULL};
    return execve(name, arguments, no_strings) == -1 ? errno : 0;
}

static void copy_program(const char *name, mode_t mode)
{
    static char bytes[1 << 16];
    int from = OK(open(test_program, O_RDONLY | O_CLOEXEC)), to = OK(open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
    ssize_t length;
    while ((length = OK(read(from, bytes, sizeof bytes))) > 0) EQUAL(write(to, bytes, length), length);
    OK(fchmod(to, mode));
    OK(close(to));
    OK(close(from));
}

ENTRY(returns_fifty) { return 50; }

CASE(exec_runs_the_program_and_its_status_is_the_childs) { EXEC_ENTRY(returns_fifty, 50); }

ENTRY(sees_its_arguments)
{
    EQUAL(argc, 6);
    CHECK(strcmp(argv[0], "any name") == 0);
    CHECK(strcmp(argv[3], "") == 0);
    CHECK(strcmp(argv[4], "a b\tc\n\"'\\$") == 0);
    CHECK(strcmp(argv[5], "\xff\x01") == 0);
    CHECK(argv[6] == NULL);
    CHECK(strcmp(envp[0], "ONE=1") == 0);
    CHECK(strcmp(envp[1], "no equals sign") == 0);
    CHECK(strcmp(envp[2], "") == 0);
    CHECK(envp[3] == NULL);
    // The strings lie one after another, in order, argv first, then the environment, then the name.
    CHECK(argv[1] == argv[0] + strlen(argv[0]) + 1);
    CHECK(envp[0] == argv[5] + strlen(argv[5]) + 1);
    return 0;
}

CASE(arguments_and_environment_arrive_byte_by_byte)
{
    IN_CHILD({
        char *arguments[] = {"any name", "--entry", "sees_its_arguments", "", "a b\tc\n\"'\\$", "\xff\x01", NULL};
        char *environment[] = {"ONE=1", "no equals sign", "", NULL};
        execve(test_program, arguments, environment);
        CHECK(!"execve");
    });
}

ENTRY(has_one_empty_argument)
{
    // man 2 execve, "argv is NULL or empty": since Linux 5.18 argc is one, of an empty string.
    EQUAL(argc, 1);
    CHECK(argv[0][0] == 0 && argv[1] == NULL);
    return 0;
}

CASE(empty_argv_becomes_one_empty_string)
{
    char *environment[] = {"TEST_ENTRY=has_one_empty_argument", NULL};
    IN_CHILD({
        execve(test_program, no_strings, environment);
        CHECK(!"execve");
    });
    IN_CHILD({
        syscall(SYS_execve, test_program, NULL, environment);
        CHECK(!"execve");
    });
}

ENTRY(has_no_environment)
{
    CHECK(envp[0] == NULL);
    return 0;
}

CASE(null_envp_is_an_empty_environment)
{
    IN_CHILD({
        char *arguments[] = {"x", "--entry", "has_no_environment", NULL};
        syscall(SYS_execve, test_program, arguments, NULL);
        CHECK(!"execve");
    });
}

ENTRY(has_pids_in_environment)
{
    EQUAL(getpid(), atoi(getenv("PID")));
    EQUAL(getppid(), atoi(getenv("PPID")));
    EQUAL(getpgrp(), atoi(getenv("PGRP")));
    EQUAL(getsid(0), atoi(getenv("SID")));
    return 0;
}

static void set_number(const char *name, long value)
{
    char text[32];
    snprintf(text, sizeof text, "%ld", value);
    OK(setenv(name, text, 1));
}

CASE(pid_parent_group_and_session_survive)
{
    EXEC_ENTRY(has_pids_in_environment, 0, {
        set_number("PID", getpid());
        set_number("PPID", getppid());
        set_number("PGRP", getpgrp());
        set_number("SID", getsid(0));
    });
}

CASE(missing_file_is_ENOENT)
{
    test_directory();
    EQUAL(execve_errno("nothing"), ENOENT);
    EQUAL(execve_errno(""), ENOENT);
    EQUAL(execve_errno("no/thing"), ENOENT);
    OK(symlink("nothing", "dangling"));
    EQUAL(execve_errno("dangling"), ENOENT);
}

CASE(file_in_a_file_is_ENOTDIR)
{
    test_directory();
    write_text("file", "x");
    EQUAL(execve_errno("file/program"), ENOTDIR);
}

CASE(symbolic_links_in_a_circle_are_ELOOP)
{
    test_directory();
    OK(symlink("b", "a"));
    OK(symlink("a", "b"));
    EQUAL(execve_errno("a"), ELOOP);
}

CASE(names_too_long_are_ENAMETOOLONG)
{
    char name[PATH_MAX + 2];
    memset(name, 'a', sizeof name);
    name[256] = 0;
    EQUAL(execve_errno(name), ENAMETOOLONG);
    name[256] = 'a';
    for (int i = 0; i < PATH_MAX; i += 2) name[i] = '/';
    name[PATH_MAX] = 0;
    EQUAL(execve_errno(name), ENAMETOOLONG);
}

CASE(file_without_any_x_bit_is_EACCES_even_for_root)
{
    test_directory();
    copy_program("program", 0666);
    EQUAL(execve_errno("./program"), EACCES);
    OK(chmod("program", 0644 | S_IXOTH));
    REAP_EXIT(CHILD({
                  char *arguments[] = {"x", "--entry", "returns_fifty", NULL};
                  execve("./program", arguments, no_strings);
              }),
              50);
}

CASE(directory_and_special_file_are_EACCES)
{
    test_directory();
    OK(mkdir("directory", 0755));
    EQUAL(execve_errno("directory"), EACCES);
    OK(mkfifo("fifo", 0755));
    EQUAL(execve_errno("fifo"), EACCES);
    EQUAL(execve_errno("/dev/null"), EACCES);
}

CASE(permission_bits_are_those_of_the_callers_class)
{
    test_directory();
    copy_program("program", 0755);
    OK(chown("program", 1000, 2000));
    struct
    {
        uid_t uid;
        gid_t gid;
        mode_t mode;
        bool allowed;
    } table[] = {
        {1000, 9, 0100, true}, {1000, 9, 0011, false}, {1000, 2000, 0010, false}, {9, 2000, 0010, true},
        {9, 2000, 0101, false}, {9, 9, 0001, true},     {9, 9, 0110, false},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    {
        OK(chmod("program", table[i].mode));
        IN_CHILD({
            OK(syscall(SYS_setgroups, 0, NULL));
            OK(setresgid(table[i].gid, table[i].gid, table[i].gid));
            OK(setresuid(table[i].uid, table[i].uid, table[i].uid));
            char *arguments[] = {"x", "--entry", "returns_fifty", NULL};
            pid_t child = fork();
            if (child == 0)
            {
                execve("./program", arguments, no_strings);
                _exit(errno == EACCES ? 51 : 52);
            }
            REAP_EXIT(child, table[i].allowed ? 50 : 51);
        });
    }
}

CASE(execution_needs_search_permission_but_not_read_permission)
{
    test_directory();
    OK(mkdir("closed", 0700));
    copy_program("closed/program", 0755);
    copy_program("unreadable", 0711);
    IN_CHILD({
        OK(setresuid(1000, 1000, 1000));
        EQUAL(execve_errno("closed/program"), EACCES);
        FAILS(open("unreadable", O_RDONLY), EACCES);
        char *arguments[] = {"x", "--entry", "returns_fifty", NULL};
        REAP_EXIT(CHILD({ execve("./unreadable", arguments, no_strings); }), 50);
    });
}

CASE(empty_and_foreign_files_are_ENOEXEC)
{
    test_directory();
    write_file("empty", "", 0, 0755);
    EQUAL(execve_errno("./empty"), ENOEXEC);
    write_file("text", "echo hello\n", 11, 0755);
    EQUAL(execve_errno("./text"), ENOEXEC);
    write_file("short", "\177EL", 3, 0755);
    EQUAL(execve_errno("./short"), ENOEXEC);
    write_file("magic", "\177ELF", 4, 0755);
    EQUAL(execve_errno("./magic"), ENOEXEC);
    char zeros[4096] = {0};
    write_file("zeros", zeros, sizeof zeros, 0755);
    EQUAL(execve_errno("./zeros"), ENOEXEC);
}

CASE(program_that_is_open_for_writing_is_ETXTBSY)
{
    test_directory();
    copy_program("program", 0755);
    int fd = OK(open("program", O_RDWR | O_CLOEXEC));
    EQUAL(execve_errno("./program"), ETXTBSY);
    OK(close(fd));
    fd = OK(open("program", O_RDONLY | O_CLOEXEC));
    REAP_EXIT(CHILD({
                  char *arguments[] = {"x", "--entry", "returns_fifty", NULL};
                  execve("./program", arguments, no_strings);
              }),
              50);
}

ENTRY(pauses)
{
    for (;;) pause();
    return 0;
}

CASE(running_program_cannot_be_opened_for_writing)
{
    // man 2 open, ETXTBSY.
    test_directory();
    copy_program("program", 0755);
    pid_t child = CHILD({
        char *arguments[] = {"x", "--entry", "pauses", NULL};
        execve("./program", arguments, no_strings);
    });
    int error = 0;
    EVENTUALLY(({
        int fd = open("program", O_WRONLY | O_CLOEXEC);
        error = fd == -1 ? errno : 0;
        close(fd);
        error == ETXTBSY;
    }));
    FAILS(truncate("program", 0), ETXTBSY);
    OK(unlink("program"));
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
}

CASE(bad_pointers_are_EFAULT)
{
    char *bad = unmapped_address();
    char *arguments[] = {"x", bad, NULL};
    FAILS(execve(bad, no_strings, no_strings), EFAULT);
    FAILS(execve(test_program, (char **)bad, no_strings), EFAULT);
    FAILS(execve(test_program, no_strings, (char **)bad), EFAULT);
    FAILS(execve(test_program, arguments, no_strings), EFAULT);
    FAILS(execve(test_program, no_strings, arguments), EFAULT);
    // An array that runs into a hole before its NULL.
    char **open_ended = before_unmapped(2 * sizeof(char *));
    open_ended[0] = open_ended[1] = "x";
    FAILS(execve(test_program, open_ended, no_strings), EFAULT);
    char *text = before_unmapped(3);
    memcpy(text, "abc", 3);
    arguments[1] = text;
    FAILS(execve(test_program, arguments, no_strings), EFAULT);
}

ENTRY(counts_bytes)
{
    size_t total = 0;
    for (int i = 3; i < argc; i++) total += strlen(argv[i]);
    EQUAL(total, atol(getenv("TOTAL")));
    return 0;
}

static char long_string[131073];

CASE(one_string_of_32_pages_is_E2BIG_and_one_byte_less_is_not)
{
    // man 2 execve, "Limits on size of arguments": 32 pages with the NUL.
    memset(long_string, 'x', 131072);
    char *arguments[] = {"x", "--entry", "counts_bytes", long_string, NULL};
    char *environment[] = {"TOTAL=131071", NULL};
    FAILS(execve(test_program, arguments, environment), E2BIG);
    char *long_environment[] = {long_string, NULL};
    FAILS(execve(test_program, no_strings, long_environment), E2BIG);
    long_string[131071] = 0;
    IN_CHILD({
        execve(test_program, arguments, environment);
        CHECK(!"execve");
    });
}

CASE(arguments_may_take_a_quarter_of_the_stack_limit)
{
    memset(long_string, 'x', 131071);
    char *arguments[64] = {"x", "--entry", "counts_bytes"};
    OK(setrlimit(RLIMIT_STACK, &(struct rlimit){8 << 20, RLIM_INFINITY}));
    for (int i = 3; i < 20; i++) arguments[i] = long_string;
    FAILS(execve(test_program, arguments, environ), E2BIG);         // 17 times 128 KiB is more than 2 MiB
    arguments[3 + 15] = NULL;
    IN_CHILD({
        set_number("TOTAL", 15 * 131071);
        execve(test_program, arguments, environ);
        CHECK(!"execve");
    });
}

CASE(ten_thousand_arguments_arrive)
{
    char **arguments = calloc(10004, sizeof *arguments);
    arguments[0] = "x", arguments[1] = "--entry", arguments[2] = "counts_bytes";
    for (int i = 0; i < 10000; i++) arguments[3 + i] = "12345";
    IN_CHILD({
        set_number("TOTAL", 50000);
        execve(test_program, arguments, environ);
        CHECK(!"execve");
    });
}

static void nothing(int number) { (void)number; }

ENTRY(has_signals_as_left)
{
    struct sigaction action;
    OK(sigaction(SIGUSR1, NULL, &action));
    CHECK(action.sa_handler == SIG_DFL);
    EQUAL(action.sa_flags & (SA_RESTART | SA_ONSTACK | SA_SIGINFO), 0);
    OK(sigaction(SIGUSR2, NULL, &action));
    CHECK(action.sa_handler == SIG_IGN);
    sigset_t set;
    OK(sigprocmask(SIG_BLOCK, NULL, &set));
    CHECK(sigismember(&set, SIGTERM) && sigismember(&set, SIGRTMIN + 3) && !sigismember(&set, SIGUSR1));
    OK(sigpending(&set));
    CHECK(sigismember(&set, SIGTERM));
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, SIGRTMIN + 3);
    for (int i = 0; i < 3; i++)
    {
        EQUAL(sigwaitinfo(&set, &info), SIGRTMIN + 3);
        EQUAL(info.si_value.sival_int, i);
    }
    stack_t stack;
    OK(sigaltstack(NULL, &stack));
    EQUAL(stack.ss_flags, SS_DISABLE);
    return 0;
}

CASE(handlers_are_reset_ignored_mask_and_pending_survive_alternate_stack_goes)
{
    EXEC_ENTRY(has_signals_as_left, 0, {
        struct sigaction action = {.sa_handler = nothing, .sa_flags = SA_RESTART | SA_ONSTACK};
        OK(sigaction(SIGUSR1, &action, NULL));
        CHECK(signal(SIGUSR2, SIG_IGN) != SIG_ERR);
        sigset_t set;
        sigemptyset(&set);
        sigaddset(&set, SIGTERM);
        sigaddset(&set, SIGRTMIN + 3);
        OK(sigprocmask(SIG_SETMASK, &set, NULL));
        OK(kill(getpid(), SIGTERM));
        for (int i = 0; i < 3; i++) OK(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){.sival_int = i}));
        stack_t stack = {.ss_sp = malloc(65536), .ss_size = 65536};
        OK(sigaltstack(&stack, NULL));
    });
}

ENTRY(has_timers_as_left)
{
    CHECK(alarm(0) >= 500);
    struct itimerval timer;
    OK(getitimer(ITIMER_VIRTUAL, &timer));
    CHECK(timer.it_value.tv_sec > 500);
    FAILS(syscall(SYS_timer_gettime, atoi(getenv("TIMER")), &timer), EINVAL);
    return 0;
}

CASE(alarm_and_itimers_survive_posix_timers_do_not)
{
    EXEC_ENTRY(has_timers_as_left, 0, {
        OK(alarm(600));
        struct itimerval timer = {{0, 0}, {600, 0}};
        OK(setitimer(ITIMER_VIRTUAL, &timer, NULL));
        int id;
        struct sigevent event = {.sigev_notify = SIGEV_NONE};
        OK(syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &id));
        set_number("TIMER", id);
    });
}

ENTRY(has_descriptors_as_left)
{
    int kept = atoi(getenv("KEPT")), closed = atoi(getenv("CLOSED")), closed_too = atoi(getenv("CLOSED_TOO"));
    char byte;
    EQUAL(read(kept, &byte, 1), 1);
    EQUAL(byte, 'b');
    FAILS(fcntl(closed, F_GETFD), EBADF);
    FAILS(fcntl(closed_too, F_GETFD), EBADF);
    EQUAL(fcntl(kept, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    return 0;
}

CASE(descriptors_survive_unless_close_on_exec)
{
    test_directory();
    write_text("file", "abc");
    EXEC_ENTRY(has_descriptors_as_left, 0, {
        int kept = OK(open("file", O_RDONLY | O_NONBLOCK)), closed = OK(open("file", O_RDONLY | O_CLOEXEC)), closed_too = OK(dup(kept));
        OK(fcntl(closed_too, F_SETFD, FD_CLOEXEC));
        char byte;
        EQUAL(read(kept, &byte, 1), 1);
        set_number("KEPT", kept);
        set_number("CLOSED", closed);
        set_number("CLOSED_TOO", closed_too);
    });
}

CASE(failed_exec_leaves_all_as_it_was)
{
    test_directory();
    write_text("file", "abc");
    int fd = OK(open("file", O_RDONLY | O_CLOEXEC));
    struct sigaction action = {.sa_handler = nothing};
    OK(sigaction(SIGUSR1, &action, NULL));
    write_file("garbage", "garbage", 7, 0755);
    EQUAL(execve_errno("./garbage"), ENOEXEC);
    OK(fcntl(fd, F_GETFD));
    OK(sigaction(SIGUSR1, NULL, &action));
    CHECK(action.sa_handler == nothing);
}

ENTRY(has_state_as_left)
{
    EQUAL(umask(0), 0137);
    EQUAL(getpriority(PRIO_PROCESS, 0), 7);
    struct rlimit limit;
    OK(getrlimit(RLIMIT_NOFILE, &limit));
    EQUAL(limit.rlim_cur, 111);
    char name[PATH_MAX];
    CHECK(getcwd(name, sizeof name) != NULL && strcmp(name, getenv("DIRECTORY")) == 0);
    gid_t groups[8];
    EQUAL(getgroups(8, groups), 2);
    uid_t real, effective, saved;
    OK(getresuid(&real, &effective, &saved));
    EQUAL(real, 1001);
    EQUAL(effective, 1002);
    EQUAL(saved, 1002);             // man 2 execve: the effective id is copied to the saved id
    OK(getresgid(&real, &effective, &saved));
    EQUAL(real, 2001);
    EQUAL(effective, 2002);
    EQUAL(saved, 2002);
    return 0;
}

CASE(umask_nice_limits_directory_and_credentials_survive)
{
    const char *directory = test_directory();
    copy_program("program", 0755);
    IN_CHILD({
        OK(setenv("DIRECTORY", directory, 1));
        umask(0137);
        OK(setpriority(PRIO_PROCESS, 0, 7));
        OK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){111, 222}));
        gid_t groups[] = {3001, 3002};
        OK(syscall(SYS_setgroups, 2, groups));
        OK(setresgid(2001, 2002, 2003));
        OK(setresuid(1001, 1002, 1003));
        char *arguments[] = {"x", "--entry", "has_state_as_left", NULL};
        execve("./program", arguments, environ);
        CHECK(!"execve");
    });
}

ENTRY(has_its_files_name)
{
    char name[16];
    OK(prctl(PR_GET_NAME, name));
    CHECK_THAT(strcmp(name, "a_long_program_") == 0, "%s", name);
    return 0;
}

CASE(task_name_is_the_files_name_cut_to_15_bytes)
{
    test_directory();
    OK(mkdir("directory", 0755));
    copy_program("directory/a_long_program_name", 0755);
    IN_CHILD({
        OK(prctl(PR_SET_NAME, "before"));
        char *arguments[] = {"other", "--entry", "has_its_files_name", NULL};
        execve("directory/a_long_program_name", arguments, no_strings);
        CHECK(!"execve");
    });
}

ENTRY(has_no_mapping_at)
{
    char *address = (char *)strtoul(getenv("ADDRESS"), NULL, 0);
    unsigned char present;
    FAILS(mincore(address, 4096, &present), ENOMEM);
    return 0;
}

CASE(mappings_and_locks_do_not_survive)
{
    EXEC_ENTRY(has_no_mapping_at, 0, {
        // Far from where programs, stacks and libraries are put.
        char *page = mmap((void *)0x200000000000, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
        CHECK(page != MAP_FAILED);
        OK(mlock(page, 4096));
        set_number("ADDRESS", (long)page);
    });
}

ENTRY(is_the_leader)
{
    EQUAL(getpid(), atoi(getenv("PID")));
    EQUAL(syscall(SYS_gettid), getpid());
    EQUAL(getppid(), atoi(getenv("PPID")));
    // Alone: a thread more would be counted in the links of /proc/self/task, where there is a /proc.
    struct stat status;
    if (stat("/proc/self/task", &status) == 0) EQUAL(status.st_nlink, 3);
    return 33;
}

static void *execute(void *unused)
{
    (void)unused;
    char *arguments[] = {"x", "--entry", "is_the_leader", NULL};
    execve(test_program, arguments, environ);
    _exit(99);
}

static void *sleep_for_ever(void *unused)
{
    (void)unused;
    for (;;) pause();
    return 0;
}

static void *run_for_ever(void *unused)
{
    (void)unused;
    for (volatile long i = 0;; i++) { }
    return NULL;
}

CASE(exec_by_a_thread_ends_the_others_and_takes_the_leaders_pid)
{
    pid_t child = CHILD({
        set_number("PID", getpid());
        set_number("PPID", getppid());
        pthread_t thread;
        EQUAL(pthread_create(&thread, NULL, sleep_for_ever, NULL), 0);
        EQUAL(pthread_create(&thread, NULL, run_for_ever, NULL), 0);
        EQUAL(pthread_create(&thread, NULL, sleep_for_ever, NULL), 0);
        EQUAL(pthread_create(&thread, NULL, execute, NULL), 0);
        sleep_for_ever(NULL);
    });
    int status;
    EQUAL(waitpid(child, &status, 0), child);       // once: the old leader's end is no event
    CHECK_THAT(WIFEXITED(status) && WEXITSTATUS(status) == 33, "%#x", status);
    FAILS(waitpid(-1, NULL, 0), ECHILD);
}

CASE(exec_by_the_leader_ends_all_other_threads)
{
    REAP_EXIT(CHILD({
                  set_number("PID", getpid());
                  set_number("PPID", getppid());
                  pthread_t thread;
                  EQUAL(pthread_create(&thread, NULL, run_for_ever, NULL), 0);
                  EQUAL(pthread_create(&thread, NULL, sleep_for_ever, NULL), 0);
                  execute(NULL);
              }),
              33);
}

CASE(two_threads_that_execute_at_once_make_one_program)
{
    for (int round = 0; round < 20; round++)
    {
        REAP_EXIT(CHILD({
                      set_number("PID", getpid());
                      set_number("PPID", getppid());
                      pthread_t thread;
                      // The second may not be made any more, when the first is so far.
                      for (int i = 0; i < 3; i++) pthread_create(&thread, NULL, execute, NULL);
                      sleep_for_ever(NULL);
                  }),
                  33);
    }
}

CASE(failed_exec_of_a_thread_leaves_the_other_threads)
{
    pthread_t thread;
    EQUAL(pthread_create(&thread, NULL, sleep_for_ever, NULL), 0);
    EQUAL(execve_errno("/nothing"), ENOENT);
    EQUAL(pthread_kill(thread, 0), 0);
}

CASE(execveat_runs_a_file_relative_to_a_directory)
{
    test_directory();
    OK(mkdir("directory", 0755));
    copy_program("directory/program", 0755);
    int directory = OK(open("directory", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    char *arguments[] = {"x", "--entry", "returns_fifty", NULL};
    REAP_EXIT(CHILD({ syscall(SYS_execveat, directory, "program", arguments, no_strings, 0); }), 50);
    REAP_EXIT(CHILD({ syscall(SYS_execveat, AT_FDCWD, "directory/program", arguments, no_strings, 0); }), 50);
    REAP_EXIT(CHILD({ syscall(SYS_execveat, -1, test_program, arguments, no_strings, 0); }), 50);     // absolute: the descriptor does not matter
    int path = OK(open("directory", O_PATH | O_CLOEXEC));
    REAP_EXIT(CHILD({ syscall(SYS_execveat, path, "program", arguments, no_strings, 0); }), 50);
}

ENTRY(was_executed_by_descriptor)
{
    const char *name = (const char *)getauxval(AT_EXECFN);
    CHECK_THAT(strncmp(name, "/dev/fd/", 8) == 0, "%s", name);
    return 0;
}

CASE(execveat_runs_what_a_descriptor_refers_to)
{
    int fd = OK(open(test_program, O_RDONLY | O_CLOEXEC)), path = OK(open(test_program, O_PATH | O_CLOEXEC));
    char *arguments[] = {"x", "--entry", "was_executed_by_descriptor", NULL};
    IN_CHILD({
        syscall(SYS_execveat, fd, "", arguments, no_strings, AT_EMPTY_PATH);
        CHECK(!"execveat");
    });
    IN_CHILD({
        syscall(SYS_execveat, path, "", arguments, no_strings, AT_EMPTY_PATH);
        CHECK(!"execveat");
    });
    FAILS(syscall(SYS_execveat, fd, "", arguments, no_strings, 0), ENOENT);
}

CASE(execveat_runs_a_file_that_has_no_name_any_more)
{
    test_directory();
    copy_program("program", 0755);
    int fd = OK(open("program", O_RDONLY | O_CLOEXEC));
    OK(unlink("program"));
    char *arguments[] = {"x", "--entry", "returns_fifty", NULL};
    REAP_EXIT(CHILD({ syscall(SYS_execveat, fd, "", arguments, no_strings, AT_EMPTY_PATH); }), 50);
}

CASE(execveat_errors)
{
    test_directory();
    copy_program("program", 0755);
    OK(symlink("program", "link"));
    int file = OK(open("program", O_RDONLY | O_CLOEXEC));
    char *arguments[] = {"x", NULL};
    FAILS(syscall(SYS_execveat, -1, "program", arguments, no_strings, 0), EBADF);
    FAILS(syscall(SYS_execveat, 9999, "", arguments, no_strings, AT_EMPTY_PATH), EBADF);
    FAILS(syscall(SYS_execveat, file, "program", arguments, no_strings, 0), ENOTDIR);
    FAILS(syscall(SYS_execveat, AT_FDCWD, "program", arguments, no_strings, 0x40000000), EINVAL);
    FAILS(syscall(SYS_execveat, AT_FDCWD, "link", arguments, no_strings, AT_SYMLINK_NOFOLLOW), ELOOP);
    FAILS(syscall(SYS_execveat, AT_FDCWD, unmapped_address(), arguments, no_strings, 0), EFAULT);
    int null = OK(open("/dev/null", O_RDONLY | O_CLOEXEC));
    FAILS(syscall(SYS_execveat, null, "", arguments, no_strings, AT_EMPTY_PATH), EACCES);
}
