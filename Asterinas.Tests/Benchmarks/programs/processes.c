// Processes and threads: how long they take to make and to end.
#include "bench.h"

#include <pthread.h>

JOB(fork_exit, 500)
{
    start();
    for (long i = 0; i < n; i++)
    {
        pid_t child = fork();
        if (child == 0) _exit(i & 127);
        reap(child, i & 127);
    }
    stop();
    return n;
}

static char *true_arguments[] = {"bench", "true", NULL};
static char *no_environment[] = {NULL};

JOB(fork_exec, 200)
{
    start();
    for (long i = 0; i < n; i++)
    {
        pid_t child = fork();
        if (child == 0)
        {
            execve(self, true_arguments, no_environment);
            _exit(127);
        }
        reap(child, 0);
    }
    stop();
    return n;
}

JOB(vfork_exec, 200)
{
    start();
    for (long i = 0; i < n; i++)
    {
        pid_t child = vfork();
        if (child == 0)
        {
            execve(self, true_arguments, no_environment);
            _exit(127);
        }
        reap(child, 0);
    }
    stop();
    return n;
}

// A shell that runs one program.
JOB(fork_sh, 60)
{
    char command[4200];
    snprintf(command, sizeof command, "%s true; exit 5", self);
    char *arguments[] = {"sh", "-c", command, NULL};
    start();
    for (long i = 0; i < n; i++)
    {
        pid_t child = fork();
        if (child == 0)
        {
            execve("/bin/sh", arguments, no_environment);
            _exit(127);
        }
        reap(child, 5);
    }
    stop();
    return n;
}

static void *thread_body(void *argument) { return (char *)argument + 1; }

JOB(thread_create_join, 3000)
{
    long sum = 0;
    start();
    for (long i = 0; i < n; i++)
    {
        pthread_t thread;
        void *result;
        CHECK(pthread_create(&thread, NULL, thread_body, (void *)i) == 0);
        CHECK(pthread_join(thread, &result) == 0);
        sum += (long)result;
    }
    stop();
    CHECK(sum == n * (n + 1) / 2);
    return sum;
}
