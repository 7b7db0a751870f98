// The benchmark program: runs one job, or as process 1 all that the plan names.
#include "bench.h"

#include <ftw.h>
#include <linux/reboot.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/sysmacros.h>

struct job *jobs;
const char *self = "/bench/bench";

static const char *running = "?";
static int64_t started, total;
static char directory[64];

void add_job(struct job *job)
{
    // In the order of the source files on the link line, and of the lines in them: constructors keep the first only.
    struct job **place = &jobs;
    while (*place != NULL && (strcmp((*place)->file, job->file) != 0 || (*place)->line < job->line)) place = &(*place)->next;
    job->next = *place;
    *place = job;
}

static int64_t now(void)
{
    struct timespec time;
    if (clock_gettime(CLOCK_MONOTONIC, &time) != 0) fail(__FILE__, __LINE__, "clock_gettime");
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

void start(void) { started = now(); }

void stop(void) { total = now() - started; }

// One write a line, straight to the descriptor: what several processes say does not mix.
static void say(const char *text)
{
    size_t length = strlen(text);
    if (write(1, text, length) != (ssize_t)length) _exit(3);
}

void fail(const char *file, int line, const char *what)
{
    char text[400];
    const char *slash = strrchr(file, '/');
    snprintf(text, sizeof text, "BENCH-FAIL %s %s:%d: %s, errno %d\n", running, slash == NULL ? file : slash + 1, line, what, errno);
    say(text);
    _exit(2);
}

uint64_t hash(uint64_t value, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    if (value == 0) value = 14695981039346656037u;
    for (size_t i = 0; i < size; i++) value = (value ^ at[i]) * 1099511628211u;
    return value;
}

static int remove_one(const char *path, const struct stat *status, int flag, struct FTW *place)
{
    (void)status, (void)flag, (void)place;
    return remove(path);
}

static void remove_directory(void)
{
    if (directory[0] != 0) nftw(directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

void enter_directory(void)
{
    if (directory[0] != 0) remove_directory();
    snprintf(directory, sizeof directory, "/tmp/bench.%d", getpid());
    CHECK(mkdir(directory, 0755) == 0 && chdir(directory) == 0);
}

void make_file(const char *name, size_t size)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    CHECK(fd >= 0);
    static uint32_t page[1024];
    for (size_t done = 0; done < size;)
    {
        for (size_t i = 0; i < 1024; i++) page[i] = (uint32_t)((done / 4 + i) * 2654435761u);
        size_t part = size - done < sizeof page ? size - done : sizeof page;
        CHECK(write(fd, page, part) == (ssize_t)part);
        done += part;
    }
    CHECK(close(fd) == 0);
}

void reap(pid_t pid, int status)
{
    int got;
    pid_t reaped;
    do reaped = waitpid(pid, &got, 0);
    while (reaped == -1 && errno == EINTR);
    CHECK(reaped == pid && WIFEXITED(got) && WEXITSTATUS(got) == status);
}

static int run(const char *name, double scale)
{
    struct job *job = jobs;
    while (job != NULL && strcmp(job->name, name) != 0) job = job->next;
    if (job == NULL)
    {
        fprintf(stderr, "bench: no job %s\n", name);
        return 2;
    }
    running = job->name;
    long n = (long)(job->iterations * scale);
    if (n < 1) n = 1;
    // The first touch of everything is not what is measured.
    job->run(n / 10 < 1 ? 1 : n / 10);
    uint64_t check = job->run(n);
    char text[200];
    snprintf(text, sizeof text, "BENCH %s %ld %lld %016llx\n", job->name, n, (long long)total, (unsigned long long)check);
    say(text);
    if (chdir("/") != 0) return 2;
    remove_directory();
    return 0;
}

// ---------------------------------------------------------------------------------------------------------------- process 1

static void mount_all(void)
{
    static const struct { const char *type, *place, *options; } mounts[] = {
        {"proc", "/proc", NULL}, {"sysfs", "/sys", NULL}, {"devtmpfs", "/dev", NULL}, {"devpts", "/dev/pts", "mode=600,ptmxmode=666"}, {"tmpfs", "/tmp", "mode=1777"},
    };
    for (size_t i = 0; i < sizeof mounts / sizeof mounts[0]; i++)
    {
        mkdir(mounts[i].place, 0755);
        // Some kernels mount /dev by themselves; what is missing is seen by the job that needs it.
        if (mount(mounts[i].type, mounts[i].place, mounts[i].type, 0, mounts[i].options) != 0 && errno != EBUSY)
        {
            char text[200];
            snprintf(text, sizeof text, "BENCH-NOTE mount of %s: errno %d\n", mounts[i].place, errno);
            say(text);
        }
    }
}

static int run_plan(uint64_t boot)
{
    char text[400];
    int console = open("/dev/console", O_RDWR);
    if (console >= 0 && console != 0)
    {
        dup2(console, 0);
        dup2(console, 1);
        dup2(console, 2);
    }
    snprintf(text, sizeof text, "BENCH-INIT %llu\n", (unsigned long long)boot);
    say(text);
    mount_all();
    FILE *plan = fopen("/bench/plan", "r");
    if (plan == NULL)
    {
        say("BENCH-NOTE no /bench/plan\n");
        return 1;
    }
    char line[200], scale[32] = "1";
    while (fgets(line, sizeof line, plan) != NULL)
    {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, "scale ", 6) == 0) snprintf(scale, sizeof scale, "%.31s", line + 6);
        if (strncmp(line, "job ", 4) != 0) continue;
        snprintf(text, sizeof text, "BENCH-RUN %s\n", line + 4);
        say(text);
        pid_t pid = fork();
        if (pid == 0)
        {
            setsid();
            char *arguments[] = {"bench", "run", line + 4, "--scale", scale, NULL}, *environment[] = {"PATH=/bin", NULL};
            execve(self, arguments, environment);
            _exit(127);
        }
        int status = 0;
        while (waitpid(pid, &status, 0) == -1 && errno == EINTR) { }
        if (pid == -1 || status != 0)
        {
            snprintf(text, sizeof text, "BENCH-FAIL %s the job's status is %#x\n", line + 4, status);
            say(text);
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    uint64_t boot = __builtin_ia32_rdtsc();
    if (getpid() == 1)
    {
        int status = run_plan(boot);
        say(status == 0 ? "BENCH-END\n" : "BENCH-BAD\n");
        sync();
        reboot(RB_POWER_OFF);
        for (;;) pause();
    }
    if (argc >= 2 && strcmp(argv[1], "true") == 0) return 0;
    if (argc >= 2 && strcmp(argv[1], "list") == 0)
    {
        for (struct job *job = jobs; job != NULL; job = job->next) printf("%s %ld %s\n", job->name, job->iterations, job->is_counted ? "counted" : "timed");
        return 0;
    }
    static char path[4096];
    if (argv[0] != NULL && access("/bench/bench", X_OK) != 0 && readlink("/proc/self/exe", path, sizeof path - 1) > 0) self = path;
    if (argc == 3 && strcmp(argv[1], "run") == 0) return run(argv[2], 1);
    if (argc == 5 && strcmp(argv[1], "run") == 0 && strcmp(argv[3], "--scale") == 0) return run(argv[2], atof(argv[4]));
    fprintf(stderr, "bench list | bench run NAME [--scale S]\n");
    return 2;
}
