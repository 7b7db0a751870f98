// The harness of the Linux regression programs: one header, one program a source file.
//
//     program [--nofork] [--trace] [--list] [--limit-factor N] [--repeat N] [case...]
//
// Each case runs in a child of its own, leader of its own process group, under a time limit that the parent watches. It prints one line:
//
//     ok NAME  |  FAIL NAME: file:line: expression, errno  |  skip NAME: reason
//
// and the program ends with "summary PROGRAM: A ok, B failed, C skipped", status 0 when nothing failed. A check that fails in a child or a grandchild of
// the case prints "note NAME: …" and ends that process with status 101: the case itself must look at the status (see REAP_EXIT).
//
// For the bring-up of a kernel: with --nofork a case runs in the program itself; then the harness needs write and exit_group only, and what a case leaves
// behind (handlers, children) the next one finds. Otherwise it needs fork, wait4, kill, alarm, rt_sigaction, rt_sigprocmask, setpgid too, and ignores
// the failure of everything but fork and wait4.
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// The cases hand wrong sizes and pointers to the C library's wrappers on purpose.
#pragma GCC diagnostic ignored "-Wstringop-overflow"
#pragma GCC diagnostic ignored "-Wstringop-overread"
#pragma GCC diagnostic ignored "-Wnonnull"

// ---------------------------------------------------------------------------------------------------------------- what a program writes

// CASE(name_of_a_behaviour) { … }: a case with the usual limit. Names are those of the behaviour, unique in the program.
#define CASE(name) CASE_LIMIT(name, 60)

// The same with a limit of its own, in seconds of an idle machine.
#define CASE_LIMIT(name, seconds)                                                                                      \
    static void name(void);                                                                                            \
    static struct test_case case_##name = {#name, name, seconds, __LINE__, NULL};                                      \
    __attribute__((constructor)) static void register_##name(void) { test_register(&case_##name); }                    \
    static void name(void)

// ENTRY(name) { … return status; }: what the program does when it is executed anew: with argv[1] "--entry" and argv[2] the name, or with the environment
// variable TEST_ENTRY. It gets `argc`, `argv`, `envp` whole.
#define ENTRY(name)                                                                                                    \
    static int name(int argc, char **argv, char **envp);                                                               \
    static struct test_entry entry_##name = {#name, name, NULL};                                                       \
    __attribute__((constructor)) static void register_##name(void)                                                     \
    {                                                                                                                  \
        entry_##name.next = test_entries;                                                                              \
        test_entries = &entry_##name;                                                                                  \
    }                                                                                                                  \
    static int name(__attribute__((unused)) int argc, __attribute__((unused)) char **argv, __attribute__((unused)) char **envp)

// The case fails when the condition is false.
#define CHECK(condition)                                                                                               \
    do                                                                                                                 \
    {                                                                                                                  \
        if (!(condition)) test_fail(__FILE__, __LINE__, errno, "%s", #condition);                                      \
    } while (0)

// The same, with words of one's own: CHECK_THAT(n == 3, "n is %d", n).
#define CHECK_THAT(condition, ...)                                                                                     \
    do                                                                                                                 \
    {                                                                                                                  \
        if (!(condition)) test_fail(__FILE__, __LINE__, errno, __VA_ARGS__);                                           \
    } while (0)

// Two integers are equal; a failure shows both.
#define EQUAL(actual, expected)                                                                                        \
    do                                                                                                                 \
    {                                                                                                                  \
        long long actual_ = (long long)(actual), expected_ = (long long)(expected);                                    \
        if (actual_ != expected_)                                                                                      \
            test_fail(__FILE__, __LINE__, errno, "%s is %lld (%#llx), not %s = %lld (%#llx)", #actual, actual_, actual_, #expected, expected_, expected_); \
    } while (0)

// The call succeeds (its value is not -1); the value of the macro is the call's.
#define OK(call)                                                                                                       \
    ({                                                                                                                 \
        __typeof__(call) value_ = (call);                                                                              \
        if (value_ == (__typeof__(value_))-1) test_fail(__FILE__, __LINE__, errno, "%s", #call);                       \
        value_;                                                                                                        \
    })

// The call answers -1 with this errno.
#define FAILS(call, error)                                                                                             \
    do                                                                                                                 \
    {                                                                                                                  \
        errno = 0;                                                                                                     \
        long long value_ = (long long)(call);                                                                          \
        if (value_ != -1) test_fail(__FILE__, __LINE__, 0, "%s = %lld, not -1 %s", #call, value_, #error);             \
        if (errno != (error)) test_fail(__FILE__, __LINE__, errno, "%s fails, not with %s", #call, #error);            \
    } while (0)

// The case cannot be run here. Each skip needs an entry with its reason in the test run's list.
#define SKIP(...) test_skip(__VA_ARGS__)

// The condition becomes true within 20 seconds (polled each millisecond).
#define EVENTUALLY(condition)                                                                                          \
    do                                                                                                                 \
    {                                                                                                                  \
        int tries_ = 0;                                                                                                \
        while (!(condition))                                                                                           \
        {                                                                                                              \
            if (++tries_ > 20000) test_fail(__FILE__, __LINE__, errno, "never: %s", #condition);                       \
            sleep_ms(1);                                                                                               \
        }                                                                                                              \
    } while (0)

// The child ends by exit(code); by the signal.
#define REAP_EXIT(pid, code) test_reap(__FILE__, __LINE__, pid, true, code)
#define REAP_SIGNAL(pid, number) test_reap(__FILE__, __LINE__, pid, false, number)

// FORK { what the child does; it ends with status 0 when it comes to the end }: the value is the child's pid, see CHILD below.
//     pid_t child = CHILD({ CHECK(getppid() > 0); });
#define CHILD(...)                                                                                                     \
    ({                                                                                                                 \
        pid_t child_ = fork();                                                                                         \
        if (child_ == -1) test_fail(__FILE__, __LINE__, errno, "fork");                                                \
        if (child_ == 0)                                                                                               \
        {                                                                                                              \
            __VA_ARGS__                                                                                                \
            _exit(0);                                                                                                  \
        }                                                                                                              \
        child_;                                                                                                        \
    })

// A child that runs the block and must end with status 0.
#define IN_CHILD(...) REAP_EXIT(CHILD(__VA_ARGS__), 0)

// ---------------------------------------------------------------------------------------------------------------- the machinery

enum
{
    TEST_PASSED = 42, // a case says so by returning; exit(0) from somewhere inside is no success
    TEST_FAILED = 101,
    TEST_SKIPPED = 77,
};

struct test_case
{
    const char *name;
    void (*run)(void);
    int seconds;
    int line;
    struct test_case *next;
};

struct test_entry
{
    const char *name;
    int (*run)(int argc, char **argv, char **envp);
    struct test_entry *next;
};

static struct test_case *test_cases;
static struct test_entry *test_entries;
static const char *test_name = "?";        // the running case
static pid_t test_pid;                     // its process
static volatile pid_t test_watched;        // the process whose time the parent watches
static volatile sig_atomic_t test_late;
static bool test_in_process;
static jmp_buf test_end;
static char test_program[PATH_MAX];        // absolute, to be executed anew

// In the order of the source, which the order of constructors is not.
static inline void test_register(struct test_case *new)
{
    struct test_case **place = &test_cases;
    while (*place != NULL && (*place)->line < new->line) place = &(*place)->next;
    new->next = *place;
    *place = new;
}

// One line, one write: lines of several processes do not mix.
__attribute__((format(printf, 1, 2))) static inline void test_say(const char *format, ...)
{
    char line[1024];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(line, sizeof line - 1, format, arguments);
    va_end(arguments);
    if (length > (int)sizeof line - 2) length = sizeof line - 2;
    for (int i = 0; i < length; i++)
    {
        if (line[i] == '\n') line[i] = ' ';
    }
    line[length++] = '\n';
    if (write(1, line, length) != length) _exit(103);
}

__attribute__((noreturn)) static inline void test_leave(int status)
{
    if (test_in_process && getpid() == test_pid) longjmp(test_end, status);
    _exit(status);
}

__attribute__((noreturn, format(printf, 4, 5))) static inline void test_fail(const char *file, int line, int error, const char *format, ...)
{
    char text[700];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *slash = strrchr(file, '/');
    const char *error_name = strerrorname_np(error);
    test_say("%s %s: %s:%d: %s, errno %d %s", getpid() == test_pid ? "FAIL" : "note", test_name, slash == NULL ? file : slash + 1, line, text, error,
             error_name == NULL ? "?" : error_name);
    test_leave(TEST_FAILED);
}

__attribute__((noreturn, format(printf, 1, 2))) static inline void test_skip(const char *format, ...)
{
    char text[700];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    test_say("skip %s: %s", test_name, text);
    test_leave(TEST_SKIPPED);
}

static inline void test_reap(const char *file, int line, pid_t pid, bool exits, int expected)
{
    int status;
    pid_t reaped;
    do reaped = waitpid(pid, &status, 0);
    while (reaped == -1 && errno == EINTR);
    if (reaped != pid) test_fail(file, line, errno, "waitpid(%d) = %d", pid, reaped);
    if (exits && !(WIFEXITED(status) && WEXITSTATUS(status) == expected)) test_fail(file, line, 0, "the child's status is %#x, not exit %d", status, expected);
    if (!exits && !(WIFSIGNALED(status) && WTERMSIG(status) == expected)) test_fail(file, line, 0, "the child's status is %#x, not signal %d", status, expected);
}

// ---------------------------------------------------------------------------------------------------------------- what cases share

// Sleeps at least so long, whatever signals come.
static inline void sleep_ms(long ms)
{
    struct timespec left = {ms / 1000, ms % 1000 * 1000000};
    while (nanosleep(&left, &left) == -1 && errno == EINTR) { }
}

static inline int64_t clock_ns(clockid_t clock)
{
    struct timespec now;
    if (clock_gettime(clock, &now) == -1) test_fail(__FILE__, __LINE__, errno, "clock_gettime(%d)", clock);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static inline int64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }

// Whether the time passed since `start` (of now_ns) is at least `ms`. Upper bounds are for idle machines only: do not test them, or by many seconds.
static inline bool passed_ms(int64_t start, int64_t ms) { return now_ns() - start >= ms * 1000000; }

// The state letter of a task (man 5 proc, /proc/PID/stat), 0 when it cannot be read.
static inline char task_state(pid_t pid)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd == -1) return 0;
    ssize_t length = read(fd, text, sizeof text - 1);
    close(fd);
    if (length <= 0) return 0;
    text[length] = 0;
    char *end = strrchr(text, ')');
    return end == NULL || end[1] == 0 ? 0 : end[2];
}

// Waits until the process sleeps (in the call that the test means it to be in). Without /proc it gives it 200 ms.
static inline void until_asleep(pid_t pid)
{
    if (task_state(getpid()) == 0)
    {
        sleep_ms(200);
        return;
    }
    // Once may be a lock or a page on the way to the call; three times in a row is the call.
    for (int tries = 0, seen = 0; tries < 20000; tries++)
    {
        char state = task_state(pid);
        if (state == 0) test_fail(__FILE__, __LINE__, errno, "process %d is gone", pid);
        seen = state == 'S' ? seen + 1 : 0;
        if (seen == 3) return;
        sleep_ms(2);
    }
    test_fail(__FILE__, __LINE__, 0, "process %d never sleeps", pid);
}

// Zeroed memory that children share with their parents.
static inline void *shared_memory(size_t size)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) test_fail(__FILE__, __LINE__, errno, "mmap of %zu shared bytes", size);
    return memory;
}

// An address that is not mapped: the page is one that was.
static inline void *unmapped_address(void)
{
    void *page = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED || munmap(page, 4096) == -1) test_fail(__FILE__, __LINE__, errno, "an unmapped page");
    return page;
}

// The address of the last `size` bytes of a readable and writable page before an inaccessible one.
static inline void *before_unmapped(size_t size)
{
    char *pages = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + 4096, 4096, PROT_NONE) == -1) test_fail(__FILE__, __LINE__, errno, "a page before a hole");
    return pages + 4096 - size;
}

static inline void test_directory_name(pid_t pid, char *name, size_t size)
{
    const char *parent = getenv("TMPDIR");
    snprintf(name, size, "%s/lt.%d", parent == NULL || parent[0] == 0 ? "/tmp" : parent, pid);
}

// Makes an empty directory (mode 0777), enters it and returns its absolute name. The harness removes it with all that is below when the case has ended.
static inline const char *test_directory(void)
{
    static char name[PATH_MAX];
    test_directory_name(test_pid, name, sizeof name);
    if (mkdir(name, 0777) == -1 && errno != EEXIST) test_fail(__FILE__, __LINE__, errno, "mkdir %s", name);
    if (chmod(name, 0777) == -1 || chdir(name) == -1) test_fail(__FILE__, __LINE__, errno, "%s", name);
    return name;
}

// Makes a file of these bytes.
static inline void write_file(const char *name, const void *bytes, size_t size, mode_t mode)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd == -1 || write(fd, bytes, size) != (ssize_t)size || fchmod(fd, mode) == -1 || close(fd) == -1) test_fail(__FILE__, __LINE__, errno, "%s", name);
}

static inline void write_text(const char *name, const char *text) { write_file(name, text, strlen(text), 0644); }

// Reads a small text file; returns its length, or -1.
static inline ssize_t read_text(const char *name, char *text, size_t size)
{
    int fd = open(name, O_RDONLY | O_CLOEXEC);
    if (fd == -1) return -1;
    size_t length = 0;
    ssize_t n;
    while (length < size - 1 && (n = read(fd, text + length, size - 1 - length)) > 0) length += n;
    close(fd);
    text[length] = 0;
    return length;
}

// ---------------------------------------------------------------------------------------------------------------- the run

static inline int test_remove_one(const char *path, const struct stat *status, int flag, struct FTW *place)
{
    (void)status, (void)flag, (void)place;
    remove(path);
    return 0;
}

static inline void test_remove_directory(pid_t pid)
{
    char name[PATH_MAX];
    test_directory_name(pid, name, sizeof name);
    if (rmdir(name) == -1 && errno == ENOTEMPTY) nftw(name, test_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline void test_time_is_up(int number)
{
    (void)number;
    test_late = 1;
    kill(-test_watched, SIGKILL);
    kill(test_watched, SIGKILL);
}

static inline int test_run_in_process(struct test_case *test)
{
    test_pid = getpid();
    int status = setjmp(test_end);
    if (status == 0)
    {
        errno = 0;
        test->run();
        status = TEST_PASSED;
    }
    test_remove_directory(test_pid);
    return status;
}

static inline int test_run_in_child(struct test_case *test, int limit_factor)
{
    pid_t pid = fork();
    if (pid == 0)
    {
        test_pid = getpid();
        setpgid(0, 0);
        signal(SIGALRM, SIG_DFL);
        errno = 0;
        test->run();
        if (getpid() != test_pid)
        {
            test_say("note %s: a child came out of the case", test_name);
            kill(test_pid, SIGKILL);
            _exit(TEST_FAILED);
        }
        _exit(TEST_PASSED);
    }
    if (pid == -1)
    {
        test_say("FAIL %s: fork, errno %d", test->name, errno);
        return TEST_FAILED;
    }
    test_late = 0;
    test_watched = pid;
    alarm(test->seconds * limit_factor);
    int status = 0;
    pid_t reaped;
    do reaped = waitpid(pid, &status, 0);
    while (reaped == -1 && errno == EINTR);
    alarm(0);
    if (reaped != pid)
    {
        test_say("FAIL %s: waitpid(%d) = %d, errno %d", test->name, pid, reaped, errno);
        return TEST_FAILED;
    }
    kill(-pid, SIGKILL);        // what the case left running
    test_remove_directory(pid);
    if (test_late) test_say("FAIL %s: not done after %d s", test->name, test->seconds * limit_factor);
    else if (WIFSIGNALED(status)) test_say("FAIL %s: killed by signal %d", test->name, WTERMSIG(status));
    else if (!WIFEXITED(status)) test_say("FAIL %s: wait status %#x", test->name, status);
    else if (WEXITSTATUS(status) == TEST_PASSED || WEXITSTATUS(status) == TEST_FAILED || WEXITSTATUS(status) == TEST_SKIPPED) return WEXITSTATUS(status);
    else test_say("FAIL %s: the case left by exit(%d)", test->name, WEXITSTATUS(status));
    return TEST_FAILED;
}

static inline bool test_is_chosen(const char *name, int count, char **names)
{
    for (int i = 0; i < count; i++)
    {
        if (strcmp(names[i], name) == 0) return true;
    }
    return count == 0;
}

static inline void test_find_program(void)
{
    const char *name = (const char *)getauxval(AT_EXECFN);
    if (name[0] == '/' || getcwd(test_program, PATH_MAX / 2) == NULL) snprintf(test_program, sizeof test_program, "%s", name);
    else snprintf(test_program + strlen(test_program), PATH_MAX / 2, "/%s", name);
}

int main(int argc, char **argv, char **envp)
{
    const char *entry_name = argc >= 3 && strcmp(argv[1], "--entry") == 0 ? argv[2] : getenv("TEST_ENTRY");
    if (entry_name != NULL)
    {
        for (struct test_entry *entry = test_entries; entry != NULL; entry = entry->next)
        {
            if (strcmp(entry->name, entry_name) != 0) continue;
            test_name = entry_name;
            return entry->run(argc, argv, envp);
        }
        return 127;
    }
    int limit_factor = 1, repeat = 1, first = 1;
    bool trace = false;
    for (; first < argc && strncmp(argv[first], "--", 2) == 0; first++)
    {
        if (strcmp(argv[first], "--nofork") == 0) test_in_process = true;
        else if (strcmp(argv[first], "--trace") == 0) trace = true;     // "run NAME" before each case: which one hung the machine
        else if (strcmp(argv[first], "--limit-factor") == 0 && first + 1 < argc) limit_factor = atoi(argv[++first]);
        else if (strcmp(argv[first], "--repeat") == 0 && first + 1 < argc) repeat = atoi(argv[++first]);
        else if (strcmp(argv[first], "--list") == 0)
        {
            for (struct test_case *test = test_cases; test != NULL; test = test->next) test_say("%s", test->name);
            return 0;
        }
        else
        {
            test_say("%s: no such option: %s", program_invocation_short_name, argv[first]);
            return 2;
        }
    }
    test_find_program();
    if (!test_in_process)
    {
        // Whoever started the program may have ignored or blocked signals.
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        for (int number = 1; number <= 31; number++) signal(number, SIG_DFL);
        struct sigaction on_alarm = {.sa_handler = test_time_is_up};
        sigaction(SIGALRM, &on_alarm, NULL);
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, RLIM_INFINITY});
        umask(022);
    }
    int passed = 0, failed = 0, skipped = 0;
    for (int round = 0; round < repeat; round++)
    {
        for (struct test_case *test = test_cases; test != NULL; test = test->next)
        {
            if (!test_is_chosen(test->name, argc - first, argv + first)) continue;
            test_name = test->name;
            if (trace) test_say("run %s", test->name);
            int status = test_in_process ? test_run_in_process(test) : test_run_in_child(test, limit_factor);
            if (status == TEST_PASSED) test_say("ok %s", test->name);
            passed += status == TEST_PASSED;
            failed += status == TEST_FAILED;
            skipped += status == TEST_SKIPPED;
        }
    }
    test_say("summary %s: %d ok, %d failed, %d skipped", program_invocation_short_name, passed, failed, skipped);
    return failed == 0 && passed + skipped > 0 ? 0 : 1;
}
