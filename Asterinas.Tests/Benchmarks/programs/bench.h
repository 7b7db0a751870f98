// What the benchmark jobs share. One job is one function:
//
//     JOB(name, iterations) { … start(); … stop(); return check; }
//
// It does its work `n` times between start() and stop() and answers a number that says what the work was (a sum, a count, a hash): the same on every kernel,
// or the work was not the same. What can be wrong at once ends the job by CHECK. A COPY_JOB is bound by copying or clearing memory: it is judged in timed mode
// only, because an instruction that copies eight bytes and one that copies one count the same.
//
//     bench list                              the jobs: "NAME iterations counted|timed"
//     bench run NAME [--scale S]              one job: "BENCH NAME iterations total_ns check"
//     (as process 1)                          mounts what is needed, runs the jobs of /bench/plan, powers off
#pragma once

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

struct job
{
    const char *name;
    long iterations;                // at scale 1
    uint64_t (*run)(long n);
    bool is_counted;                // judged in counted mode
    const char *file;
    int line;
    struct job *next;
};

extern struct job *jobs;
void add_job(struct job *job);

#define ANY_JOB(name, iterations, is_counted)                                                                          \
    static uint64_t run_##name(long n);                                                                                \
    static struct job job_##name = {#name, iterations, run_##name, is_counted, __FILE__, __LINE__, NULL};              \
    __attribute__((constructor)) static void add_##name(void) { add_job(&job_##name); }                                \
    static uint64_t run_##name(long n)

#define JOB(name, iterations) ANY_JOB(name, iterations, true)
#define COPY_JOB(name, iterations) ANY_JOB(name, iterations, false)

// The measured part. Setting up and cleaning away stay outside.
void start(void);
void stop(void);

// Ends the job: what it did was wrong.
#define CHECK(condition)                                                                                               \
    do                                                                                                                 \
    {                                                                                                                  \
        if (__builtin_expect(!(condition), 0)) fail(__FILE__, __LINE__, #condition);                                   \
    } while (0)

__attribute__((noreturn)) void fail(const char *file, int line, const char *what);

// FNV-1a, to be continued from an earlier value; 0 begins.
uint64_t hash(uint64_t value, const void *bytes, size_t size);

// An empty directory of this job below /tmp, entered; removed at the end of the program.
void enter_directory(void);

// Makes a file of a pattern of which no two pages are alike.
void make_file(const char *name, size_t size);

// The path of this program, for the jobs that execute it.
#define SELF "/proc/self/exe"
extern const char *self;

// Waits for the child, which must end with this status.
void reap(pid_t pid, int status);

// Keeps the compiler from thinking that a value is not needed.
#define KEEP(value) __asm__ volatile("" : : "r"(value) : "memory")
