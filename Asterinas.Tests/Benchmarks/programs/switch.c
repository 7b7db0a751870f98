// Context switches: a token goes round a ring of processes by pipes; each adds up an array of its own before it hands on.
#include "bench.h"

static uint32_t array[64 << 10 >> 2];

static uint32_t work(int size)
{
    uint32_t sum = 0;
    for (int i = 0; i < size / 4; i++) sum += array[i];
    return sum;
}

// n hops in all. The time includes the work, which is the same on every kernel.
static uint64_t ring(long n, int processes, int size)
{
    int pipes[16][2];
    pid_t children[16];
    long rounds = n / processes < 1 ? 1 : n / processes;
    for (int i = 0; i < size / 4; i++) array[i] = i * 7;
    uint32_t expected = work(size);
    for (int i = 0; i < processes; i++) CHECK(pipe(pipes[i]) == 0);
    for (int i = 1; i < processes; i++)
    {
        children[i] = fork();
        CHECK(children[i] >= 0);
        if (children[i] > 0) continue;
        array[0] = 0;           // a page of its own
        for (long round = 0; round < rounds; round++)
        {
            uint64_t token;
            CHECK(read(pipes[i][0], &token, sizeof token) == sizeof token);
            token += work(size) == expected;
            CHECK(write(pipes[(i + 1) % processes][1], &token, sizeof token) == sizeof token);
        }
        _exit(0);
    }
    uint64_t token = 0;
    start();
    for (long round = 0; round < rounds; round++)
    {
        token += work(size) == expected;
        CHECK(write(pipes[1][1], &token, sizeof token) == sizeof token);
        CHECK(read(pipes[0][0], &token, sizeof token) == sizeof token);
    }
    stop();
    CHECK(token == (uint64_t)rounds * processes);
    for (int i = 1; i < processes; i++) reap(children[i], 0);
    for (int i = 0; i < processes; i++) close(pipes[i][0]), close(pipes[i][1]);
    return token;
}

JOB(switch_2_0k, 12800) { return ring(n, 2, 0); }
JOB(switch_2_16k, 6400) { return ring(n, 2, 16 << 10); }
JOB(switch_2_64k, 2400) { return ring(n, 2, 64 << 10); }
JOB(switch_8_0k, 12800) { return ring(n, 8, 0); }
JOB(switch_8_16k, 6400) { return ring(n, 8, 16 << 10); }
JOB(switch_8_64k, 2400) { return ring(n, 8, 64 << 10); }
JOB(switch_16_0k, 12800) { return ring(n, 16, 0); }
JOB(switch_16_16k, 6400) { return ring(n, 16, 16 << 10); }
JOB(switch_16_64k, 2400) { return ring(n, 16, 64 << 10); }
