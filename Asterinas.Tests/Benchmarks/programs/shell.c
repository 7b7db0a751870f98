// Whole programs at work: a shell script, and tar and grep over a tree. They need busybox' sh, tar, grep and the rest in /bin.
#include "bench.h"

// Runs the script by /bin/sh with its output in the file "output".
static void run_script(const char *name)
{
    pid_t child = fork();
    if (child == 0)
    {
        int fd = open("output", O_WRONLY | O_CREAT | O_TRUNC, 0644);
        if (fd < 0 || dup2(fd, 1) != 1) _exit(126);
        char *arguments[] = {"sh", (char *)name, NULL}, *environment[] = {"PATH=/bin", NULL};
        execve("/bin/sh", arguments, environment);
        _exit(127);
    }
    reap(child, 0);
}

static uint64_t output_is(const char *expected)
{
    char text[4096];
    int fd = open("output", O_RDONLY);
    ssize_t length = read(fd, text, sizeof text);
    close(fd);
    CHECK(length == (ssize_t)strlen(expected) && memcmp(text, expected, length) == 0);
    return hash(0, text, length);
}

static void write_script(const char *name, const char *text)
{
    int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
    close(fd);
}

// 20 rounds of ten commands: a file, a pipe, a condition, arithmetic, a substitution.
JOB(shell_200, 1)
{
    enter_directory();
    write_script("script",
                 "i=0; sum=0\n"
                 "while [ $i -lt 20 ]; do\n"
                 "    /bin/mkdir d$i\n"
                 "    echo line $i > d$i/file\n"
                 "    /bin/cat d$i/file d$i/file > d$i/twice\n"
                 "    lines=$(/bin/wc -l < d$i/twice)\n"
                 "    word=$(/bin/head -n 1 d$i/twice | /bin/cut -d ' ' -f 2)\n"
                 "    if /bin/grep -q \"line $i\" d$i/twice; then sum=$((sum + lines + word)); fi\n"
                 "    /bin/rm -r d$i\n"
                 "    i=$((i + 1))\n"
                 "done\n"
                 "echo $sum\n");
    start();
    for (long i = 0; i < n; i++) run_script("script");
    stop();
    return output_is("230\n");
}

// A tree of 120 files goes through tar and back, then is searched.
JOB(tar_grep, 2)
{
    enter_directory();
    CHECK(mkdir("tree", 0755) == 0);
    for (int i = 0; i < 120; i++)
    {
        char name[64], text[2048];
        snprintf(name, sizeof name, "tree/d%d", i % 8);
        if (i < 8) CHECK(mkdir(name, 0755) == 0);
        snprintf(name, sizeof name, "tree/d%d/file%d", i % 8, i);
        int length = 0;
        for (int line = 0; line < 40; line++) length += snprintf(text + length, sizeof text - length, "line %d of file %d%s\n", line, i, line % 13 == 5 ? " with the needle" : "");
        int fd = open(name, O_WRONLY | O_CREAT, 0644);
        CHECK(fd >= 0 && write(fd, text, length) == length);
        close(fd);
    }
    write_script("script",
                 "/bin/mkdir copy\n"
                 "/bin/tar cf - tree | /bin/tar xf - -C copy\n"
                 "/bin/grep -r needle copy | /bin/wc -l\n"
                 "/bin/find copy -type f | /bin/wc -l\n"
                 "/bin/rm -r copy\n");
    start();
    for (long i = 0; i < n; i++) run_script("script");
    stop();
    return output_is("360\n120\n");
}
