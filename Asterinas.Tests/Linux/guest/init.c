// The guest's first process for the regression programs: mounts what they expect, runs what /tests/plan says, reaps orphans, powers off.
// Lines of the plan: "factor N" (the time limits' factor), "set NAME=VALUE" (environment), "run folder/program [case...]". It prints, each on a line of its own,
//     program NAME              before a program starts
//     memory NAME KIB TASKS     what is available and how many tasks there are, before it; NAME is "end" at the end
//     ended NAME STATUS         after it
//     all programs ended        at the end
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum
{
    MAX_WORDS = 1024,
};

static char plan[1 << 20];
static char factor[16] = "1";
static char *environment[64] = {"PATH=/bin:/sbin:/usr/bin:/usr/sbin", "HOME=/root", "TERM=vt100"};
static int variables = 3;

static void say(const char *text, const char *name, int number)
{
    char line[512];
    int length = name == NULL ? snprintf(line, sizeof line, "%s\n", text) : number < 0 ? snprintf(line, sizeof line, "%s %s\n", text, name)
                                                                                       : snprintf(line, sizeof line, "%s %s %d\n", text, name, number);
    if (write(1, line, length) != length) _exit(1);
}

static void mount_on(const char *type, const char *folder, mode_t mode)
{
    mkdir(folder, 0755);
    if (mount(type, folder, type, 0, NULL) == -1) say("init: cannot mount", folder, errno);
    else if (mode != 0) chmod(folder, mode);
}

// Reads a small file and returns the number behind the last occurrence of the text, -1 when there is none.
static long number_behind(const char *path, const char *text)
{
    static char content[4096];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd == -1 ? -1 : read(fd, content, sizeof content - 1);
    close(fd);
    if (length < 0) return -1;
    content[length] = 0;
    char *place = strstr(content, text);
    return place == NULL ? -1 : strtol(place + strlen(text), NULL, 10);
}

static void say_memory(const char *name)
{
    // What ends behind a program's back gets a while: until the numbers stand still. man 5 proc: /proc/loadavg has "running/all" as its fourth field.
    long available = -1, tasks = -1;
    for (int still = 0, tries = 0; still < 5 && tries < 100; tries++)
    {
        long available_now = number_behind("/proc/meminfo", "MemAvailable:"), tasks_now = number_behind("/proc/loadavg", "/");
        still = available_now == available && tasks_now == tasks ? still + 1 : 0;
        available = available_now, tasks = tasks_now;
        usleep(20000);
    }
    char line[160];
    snprintf(line, sizeof line, "memory %s %ld %ld", name, available, tasks);
    say(line, NULL, 0);
}

static void run(char **words)
{
    char path[256];
    snprintf(path, sizeof path, "/tests/%s", words[0]);
    say("program", words[0], -1);
    say_memory(words[0]);
    pid_t pid = fork();
    if (pid == -1)
    {
        say("init: cannot fork", words[0], errno);
        return;
    }
    if (pid == 0)
    {
        static char *arguments[MAX_WORDS + 8];
        int count = 0;
        arguments[count++] = path;
        arguments[count++] = "--trace";
        arguments[count++] = "--limit-factor";
        arguments[count++] = factor;
        for (int i = 1; words[i] != NULL; i++) arguments[count++] = words[i];
        // A session of its own: the console stays ours, and a program's groups have a parent in the session (see the program groups).
        setsid();
        execve(path, arguments, environment);
        say("init: cannot execute", words[0], errno);
        _exit(127);
    }
    for (;;)
    {
        int status;
        pid_t ended = wait(&status);
        if (ended == -1 && errno == EINTR) continue;
        if (ended == -1)
        {
            say("init: cannot wait for", words[0], errno);
            return;
        }
        if (ended != pid) continue;
        say("ended", words[0], WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
        return;
    }
}

int main(void)
{
    // The kernel opens /dev/console for the first process, where it is there.
    mount_on("proc", "/proc", 0);
    mount_on("sysfs", "/sys", 0);
    mount_on("devtmpfs", "/dev", 0);
    mount_on("devpts", "/dev/pts", 0);
    mkdir("/dev/shm", 01777);
    mount_on("tmpfs", "/dev/shm", 01777);
    mount_on("tmpfs", "/tmp", 01777);
    if (fcntl(1, F_GETFD) == -1)
    {
        int console = open("/dev/console", O_RDWR);
        for (int i = 0; i < 3 && console >= 0; i++) dup2(console, i);
    }
    int fd = open("/tests/plan", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd == -1 ? -1 : read(fd, plan, sizeof plan - 1);
    if (length < 0) say("init: no plan:", strerror(errno), -1);
    close(fd);
    char *rest = plan, *line;
    while ((line = strsep(&rest, "\n")) != NULL)
    {
        static char *words[MAX_WORDS + 1];
        int count = 0;
        char *word;
        while (count < MAX_WORDS && (word = strsep(&line, " ")) != NULL)
        {
            if (*word != 0) words[count++] = word;
        }
        words[count] = NULL;
        if (count >= 2 && strcmp(words[0], "factor") == 0) snprintf(factor, sizeof factor, "%s", words[1]);
        else if (count >= 2 && strcmp(words[0], "set") == 0 && variables < 63) environment[variables++] = words[1];
        else if (count >= 2 && strcmp(words[0], "run") == 0) run(words + 1);
    }
    say_memory("end");
    say("all programs ended", NULL, 0);
    sync();
    reboot(RB_POWER_OFF);
    say("init: cannot power off:", strerror(errno), -1);
    for (;;) pause();
}
