// Processes made and reaped many times: nothing may be left of them. SOAK_ROUNDS (2000) fork/exec/wait rounds; in the guest the run compares memory and tasks before and after.
#include "../common/hostile.h"
#include <pthread.h>
#include <spawn.h>
#include <sys/socket.h>

static long rounds(void) { return parameter("SOAK_ROUNDS", 2000); }

ENTRY(answers) { return atoi(argv[3]); }

static void execute(int status)
{
    char text[16], *arguments[] = {"soak", "--entry", "answers", text, NULL};
    snprintf(text, sizeof text, "%d", status);
    execve(test_program, arguments, environ);
    _exit(199);
}

CASE_LIMIT(fork_exec_wait, 7200)
{
    for (long i = 0; i < rounds(); i++)
    {
        pid_t child = OK(fork());
        if (child == 0) execute(i % 128);
        REAP_EXIT(child, i % 128);
    }
    FAILS(waitpid(-1, NULL, 0), ECHILD);
}

CASE_LIMIT(vfork_exec_wait, 7200)
{
    for (long i = 0; i < rounds(); i++)
    {
        pid_t child;
        char text[16], *arguments[] = {"soak", "--entry", "answers", text, NULL};
        snprintf(text, sizeof text, "%d", (int)(i % 128));
        OK(posix_spawn(&child, test_program, NULL, NULL, arguments, environ) == 0 ? 0 : -1);
        REAP_EXIT(child, i % 128);
    }
}

CASE_LIMIT(fork_exit_wait_many_at_a_time, 7200)
{
    for (long i = 0; i < rounds(); i += 50)
    {
        pid_t children[50];
        for (int j = 0; j < 50; j++)
        {
            children[j] = OK(fork());
            if (children[j] == 0) _exit(j);
        }
        for (int j = 49; j >= 0; j--) REAP_EXIT(children[j], j);
    }
}

static void *returns(void *argument) { return argument; }

static void *pauses(void *unused)
{
    (void)unused;
    for (;;) pause();
    return NULL;
}

CASE_LIMIT(threads_made_and_joined, 7200)
{
    for (long i = 0; i < rounds(); i++)
    {
        pthread_t thread;
        void *result;
        EQUAL(pthread_create(&thread, NULL, returns, (void *)i), 0);
        EQUAL(pthread_join(thread, &result), 0);
        EQUAL((long)result, i);
    }
}

CASE_LIMIT(processes_killed_with_everything_open, 7200)
{
    for (long i = 0; i < rounds() / 10; i++)
    {
        int ends[2];
        OK(pipe(ends));
        pid_t child = OK(fork());
        if (child == 0)
        {
            // Memory, descriptors, threads, timers, children, pending signals, messages in flight.
            char *memory = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, (i & 1 ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS, -1, 0);
            memset(memory, 1, 1 << 20);
            for (int j = 0; j < 20; j++) OK(open("/dev/null", O_RDWR));
            int pair[2];
            OK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
            EQUAL(write(pair[0], memory, 1000), 1000);
            sigset_t set;
            sigfillset(&set);
            OK(sigprocmask(SIG_SETMASK, &set, NULL));
            pthread_t thread;
            for (int j = 0; j < 3; j++) EQUAL(pthread_create(&thread, NULL, pauses, NULL), 0);
            int timer;
            OK(syscall(SYS_timer_create, CLOCK_MONOTONIC, NULL, &timer));
            OK(syscall(SYS_timer_settime, timer, 0, &(struct itimerspec){{100, 0}, {100, 0}}, NULL));
            for (int j = 0; j < 20; j++) OK(sigqueue(getpid(), SIGRTMIN + 3, (union sigval){0}));
            EQUAL(write(ends[1], "x", 1), 1);
            for (;;) pause();
        }
        char byte;
        OK(close(ends[1]));
        EQUAL(read(ends[0], &byte, 1), 1);
        OK(kill(child, SIGKILL));
        REAP_SIGNAL(child, SIGKILL);
        EQUAL(read(ends[0], &byte, 1), 0);
        OK(close(ends[0]));
    }
}

CASE_LIMIT(pipelines_of_ten, 7200)
{
    for (long i = 0; i < rounds() / 50; i++)
    {
        int first[2], in;
        OK(pipe(first));
        in = first[0];
        pid_t children[10];
        for (int j = 0; j < 10; j++)
        {
            int ends[2];
            OK(pipe(ends));
            children[j] = OK(fork());
            if (children[j] == 0)
            {
                close(first[1]);
                close(ends[0]);
                char bytes[512];
                ssize_t length;
                while ((length = read(in, bytes, sizeof bytes)) > 0)
                {
                    for (ssize_t k = 0; k < length; k++) bytes[k]++;
                    if (write(ends[1], bytes, length) != length) _exit(1);
                }
                _exit(0);
            }
            OK(close(in));
            OK(close(ends[1]));
            in = ends[0];
        }
        char bytes[100];
        memset(bytes, 'a', sizeof bytes);
        EQUAL(write(first[1], bytes, sizeof bytes), sizeof bytes);
        OK(close(first[1]));
        EQUAL(read(in, bytes, sizeof bytes), sizeof bytes);
        for (int j = 0; j < 100; j++) EQUAL(bytes[j], 'a' + 10);
        EQUAL(read(in, bytes, 1), 0);
        OK(close(in));
        for (int j = 0; j < 10; j++) REAP_EXIT(children[j], 0);
    }
}
