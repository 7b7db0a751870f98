// Memory: page faults, mappings, the break, copies.
#include "bench.h"

#include <sys/mman.h>

enum { PAGE = 4096, PAGES = 256 };

// Touches `n` pages, 256 to a fresh mapping, in pages of 4 KiB: the path of one fault.
JOB(fault_anonymous, 20480)
{
    long sum = 0;
    start();
    for (long done = 0; done < n; done += PAGES)
    {
        char *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(memory != MAP_FAILED && madvise(memory, PAGES * PAGE, MADV_NOHUGEPAGE) == 0);
        for (long i = 0; i < PAGES; i++)
        {
            sum += memory[i * PAGE] == 0;
            memory[i * PAGE] = 1;
        }
        CHECK(munmap(memory, PAGES * PAGE) == 0);
    }
    stop();
    CHECK(sum == (n + PAGES - 1) / PAGES * PAGES);
    return sum;
}

JOB(fault_file, 20480)
{
    enter_directory();
    make_file("file", PAGES * PAGE);
    int fd = open("file", O_RDONLY);
    uint64_t sum = 0, expected = 0;
    start();
    for (long done = 0; done < n; done += PAGES)
    {
        uint32_t *memory = mmap(NULL, PAGES * PAGE, PROT_READ, MAP_SHARED, fd, 0);
        CHECK(memory != MAP_FAILED);
        for (long i = 0; i < PAGES; i++) sum += memory[i * PAGE / 4];
        CHECK(munmap(memory, PAGES * PAGE) == 0);
    }
    stop();
    for (uint32_t i = 0; i < PAGES; i++) expected += (uint32_t)(i * PAGE / 4 * 2654435761u);
    CHECK(sum == expected * ((n + PAGES - 1) / PAGES));
    close(fd);
    return sum;
}

// A child writes to pages that it shares with its parent since fork.
JOB(fault_cow, 10240)
{
    char *memory = mmap(NULL, PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED && madvise(memory, PAGES * PAGE, MADV_NOHUGEPAGE) == 0);
    for (long i = 0; i < PAGES; i++) memory[i * PAGE] = 5;
    long rounds = (n + PAGES - 1) / PAGES;
    start();
    for (long round = 0; round < rounds; round++)
    {
        pid_t child = fork();
        if (child == 0)
        {
            int sum = 0;
            for (long i = 0; i < PAGES; i++) sum += memory[i * PAGE]++;
            _exit(sum == 5 * PAGES ? 7 : 1);
        }
        reap(child, 7);
    }
    stop();
    for (long i = 0; i < PAGES; i++) CHECK(memory[i * PAGE] == 5);
    CHECK(munmap(memory, PAGES * PAGE) == 0);
    return rounds;
}

// 16 MiB at a time, in pages of the size that the kernel likes.
COPY_JOB(touch_memory, 10)
{
    enum { SIZE = 16 << 20 };
    long sum = 0;
    start();
    for (long round = 0; round < n; round++)
    {
        char *memory = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(memory != MAP_FAILED);
        for (long i = 0; i < SIZE; i += PAGE)
        {
            sum += memory[i] == 0;
            memory[i] = 1;
        }
        CHECK(munmap(memory, SIZE) == 0);
    }
    stop();
    CHECK(sum == n * (SIZE / PAGE));
    return sum;
}

JOB(mmap_munmap, 10000)
{
    long sum = 0;
    start();
    for (long i = 0; i < n; i++)
    {
        char *memory = mmap(NULL, 64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        sum += memory != MAP_FAILED;
        CHECK(munmap(memory, 64 * PAGE) == 0);
    }
    stop();
    CHECK(sum == n);
    return sum;
}

JOB(mprotect, 10000)
{
    char *memory = mmap(NULL, 16 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    memset(memory, 3, 16 * PAGE);
    long sum = 0;
    start();
    for (long i = 0; i < n; i++)
    {
        CHECK(mprotect(memory + 4 * PAGE, 4 * PAGE, PROT_READ) == 0);
        sum += memory[5 * PAGE];
        CHECK(mprotect(memory + 4 * PAGE, 4 * PAGE, PROT_READ | PROT_WRITE) == 0);
        memory[6 * PAGE] = 3;
    }
    stop();
    CHECK(sum == 3 * n);
    CHECK(munmap(memory, 16 * PAGE) == 0);
    return sum;
}

JOB(brk, 20000)
{
    char *base = (char *)syscall(SYS_brk, 0);
    long sum = 0;
    start();
    for (long i = 0; i < n; i++)
    {
        sum += (char *)syscall(SYS_brk, base + 16 * PAGE) - base;
        sum += (char *)syscall(SYS_brk, base) - base;
    }
    stop();
    CHECK(sum == 16 * PAGE * n);
    return sum;
}

COPY_JOB(memory_copy, 60)
{
    enum { SIZE = 1 << 20 };
    static char from[SIZE], to[SIZE];
    for (long i = 0; i < SIZE; i++) from[i] = (char)(i * 31 + (i >> 8));
    start();
    for (long i = 0; i < n; i++)
    {
        from[i % SIZE]++;
        memcpy(to, from, SIZE);
        KEEP(to);
    }
    stop();
    CHECK(memcmp(from, to, SIZE) == 0);
    return hash(0, to, SIZE);
}

COPY_JOB(file_reread, 20)
{
    enum { SIZE = 4 << 20, BLOCK = 64 << 10 };
    enter_directory();
    make_file("file", SIZE);
    int fd = open("file", O_RDONLY);
    static char block[BLOCK];
    uint64_t sum = 0;
    start();
    for (long i = 0; i < n; i++)
    {
        CHECK(lseek(fd, 0, SEEK_SET) == 0);
        ssize_t got;
        while ((got = read(fd, block, BLOCK)) > 0) sum += got + (unsigned char)block[got / 2];
        CHECK(got == 0);
    }
    stop();
    uint64_t check = 0, once = 0;
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    ssize_t got;
    while ((got = read(fd, block, BLOCK)) > 0)
    {
        once += got + (unsigned char)block[got / 2];
        check = hash(check, block, got);
    }
    CHECK(sum == once * n);
    close(fd);
    return check + sum;
}

JOB(mmap_reread, 20)
{
    enum { SIZE = 4 << 20 };
    enter_directory();
    make_file("file", SIZE);
    int fd = open("file", O_RDONLY);
    uint64_t sum = 0, expected = 0;
    start();
    for (long i = 0; i < n; i++)
    {
        uint32_t *memory = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, fd, 0);
        CHECK(memory != MAP_FAILED);
        for (long j = 0; j < SIZE / 4; j += 4) sum += memory[j];
        CHECK(munmap(memory, SIZE) == 0);
    }
    stop();
    for (uint32_t j = 0; j < SIZE / 4; j += 4) expected += (uint32_t)(j * 2654435761u);
    CHECK(sum == expected * n);
    close(fd);
    return sum;
}
