// Copy-on-write after fork, in all the ways in which a page can be reached; and overcommit.
#include "../common/test.h"
#include <pthread.h>
#include <sys/uio.h>

#define PAGE 4096UL
#define PAGES 64

static char *map(size_t size)
{
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) test_fail(__FILE__, __LINE__, errno, "mmap of %zu", size);
    return memory;
}

static void fill(char *memory, char letter)
{
    for (int i = 0; i < PAGES; i++) memset(memory + i * PAGE, letter + i % 26, PAGE);
}

static void holds(const char *memory, char letter)
{
    for (int i = 0; i < PAGES; i++)
    {
        for (size_t j = 0; j < PAGE; j += 511) CHECK_THAT(memory[i * PAGE + j] == (char)(letter + i % 26), "page %d byte %zu is %d", i, j, memory[i * PAGE + j]);
    }
}

CASE(parents_writes_are_not_seen_by_the_child)
{
    char *memory = map(PAGES * PAGE);
    fill(memory, 'a');
    int ends[2];
    OK(pipe(ends));
    pid_t child = CHILD({
        char byte;
        EQUAL(read(ends[0], &byte, 1), 1);
        holds(memory, 'a');
    });
    fill(memory, 'A');
    EQUAL(write(ends[1], "x", 1), 1);
    REAP_EXIT(child, 0);
    holds(memory, 'A');
}

CASE(childs_writes_are_not_seen_by_the_parent)
{
    char *memory = map(PAGES * PAGE);
    fill(memory, 'a');
    IN_CHILD({
        fill(memory, 'A');
        holds(memory, 'A');
    });
    holds(memory, 'a');
}

CASE(page_is_kept_when_the_other_side_ends)
{
    char *memory = map(PAGES * PAGE);
    for (int round = 0; round < 20; round++)
    {
        fill(memory, 'a' + round);
        IN_CHILD({ holds(memory, 'a' + round); });
        memory[0]++;
        EQUAL(memory[0], 'a' + round + 1);
        memory[0]--;
        holds(memory, 'a' + round);
    }
}

CASE(many_sharers_each_get_a_copy)
{
    char *memory = map(PAGES * PAGE);
    fill(memory, 'a');
    pid_t children[10];
    for (int i = 0; i < 10; i++)
    {
        children[i] = CHILD({
            for (int round = 0; round < 10; round++)
            {
                fill(memory, 'A' + i % 3);
                holds(memory, 'A' + i % 3);
            }
        });
    }
    for (int i = 0; i < 10; i++) REAP_EXIT(children[i], 0);
    holds(memory, 'a');
}

CASE(grandchildren_see_the_state_at_their_fork)
{
    volatile int *value = (volatile int *)map(PAGE);
    for (*value = 0; *value < 8; ++*value)
    {
        int expected = *value;
        REAP_EXIT(CHILD({
                      *value += 100;
                      IN_CHILD({
                          EQUAL(*value, expected + 100);
                          *value = 5000;
                      });
                      EQUAL(*value, expected + 100);
                  }),
                  0);
        EQUAL(*value, expected);
    }
}

CASE(system_calls_that_write_to_a_shared_page_copy_it)
{
    char *memory = map(PAGE);
    strcpy(memory, "parent");
    int ends[2];
    OK(pipe(ends));
    EQUAL(write(ends[1], "child!", 7), 7);
    IN_CHILD({
        EQUAL(read(ends[0], memory, 7), 7);
        CHECK(strcmp(memory, "child!") == 0);
    });
    CHECK(strcmp(memory, "parent") == 0);
}

CASE(buffer_in_two_pages_of_which_one_is_shared)
{
    char *memory = map(2 * PAGE);
    memset(memory, 'p', 2 * PAGE);
    int ends[2];
    OK(pipe(ends));
    IN_CHILD({
        memory[0] = 'c';            // the first page is the child's own now
        EQUAL(write(ends[1], "12345678", 8), 8);
        EQUAL(read(ends[0], memory + PAGE - 4, 8), 8);
        CHECK(memcmp(memory + PAGE - 4, "12345678", 8) == 0);
    });
    for (size_t i = 0; i < 2 * PAGE; i++) EQUAL(memory[i], 'p');
}

CASE(zero_page_is_never_written)
{
    volatile char *first = map(PAGE), *second = map(PAGE);
    EQUAL(*first, 0);
    EQUAL(*second, 0);
    *first = 1;
    EQUAL(*second, 0);
    IN_CHILD({
        EQUAL(*second, 0);
        *second = 2;
    });
    EQUAL(*second, 0);
}

CASE(private_file_pages_are_copied_too)
{
    test_directory();
    write_text("file", "from the file");
    int fd = OK(open("file", O_RDWR));
    char *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    EQUAL(memory[0], 'f');
    IN_CHILD({ memory[0] = 'c'; });
    EQUAL(memory[0], 'f');
    memory[0] = 'p';
    IN_CHILD({
        EQUAL(memory[0], 'p');
        memory[0] = 'c';
    });
    EQUAL(memory[0], 'p');
    char byte;
    EQUAL(pread(fd, &byte, 1, 0), 1);
    EQUAL(byte, 'f');
}

CASE(read_only_again_after_fork_stays_correct)
{
    char *memory = map(PAGE);
    memory[0] = 'a';
    IN_CHILD({
        OK(mprotect(memory, PAGE, PROT_READ));
        OK(mprotect(memory, PAGE, PROT_READ | PROT_WRITE));
        memory[0] = 'b';
    });
    EQUAL(memory[0], 'a');
}

static char *contested;
static volatile int go_on = 1;

static void *increments(void *unused)
{
    (void)unused;
    long *place = (long *)contested;
    while (go_on) __atomic_add_fetch(place, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

CASE(fork_while_another_thread_writes_gives_a_consistent_copy)
{
    // In the child nobody writes: the value must not change there, whatever the parent's thread does.
    contested = map(PAGE);
    pthread_t thread;
    EQUAL(pthread_create(&thread, NULL, increments, NULL), 0);
    for (int i = 0; i < 100; i++)
    {
        IN_CHILD({
            volatile long *place = (volatile long *)contested;
            long value = *place;
            for (int j = 0; j < 1000; j++) EQUAL(*place, value);
        });
    }
    go_on = 0;
    EQUAL(pthread_join(thread, NULL), 0);
}

CASE(increments_are_not_lost_while_the_process_forks)
{
    // A write that lands in the old frame after the copy would be lost.
    contested = map(PAGE);
    go_on = 1;
    long *place = (long *)contested;
    pid_t *child = shared_memory(sizeof *child);
    for (int i = 0; i < 500; i++)
    {
        long before = __atomic_load_n(place, __ATOMIC_SEQ_CST);
        *child = CHILD({});
        for (int j = 0; j < 100; j++) __atomic_add_fetch(place, 1, __ATOMIC_SEQ_CST);
        REAP_EXIT(*child, 0);
        EQUAL(__atomic_load_n(place, __ATOMIC_SEQ_CST), before + 100);
    }
}

CASE(process_vm_readv_and_writev_reach_the_childs_copy)
{
    char *memory = map(2 * PAGE);
    strcpy(memory, "parents");
    int *ready = shared_memory(sizeof *ready);
    pid_t child = CHILD({
        strcpy(memory, "childs");
        *ready = 1;
        EVENTUALLY(*ready == 2);
        CHECK(strcmp(memory, "poked!") == 0);
    });
    EVENTUALLY(*ready == 1);
    char text[16];
    struct iovec local = {text, 7}, remote = {memory, 7};
    EQUAL(process_vm_readv(child, &local, 1, &remote, 1, 0), 7);
    CHECK(strcmp(text, "childs") == 0);
    strcpy(text, "poked!");
    EQUAL(process_vm_writev(child, &local, 1, &remote, 1, 0), 7);
    CHECK(strcmp(memory, "parents") == 0);
    remote.iov_base = unmapped_address();
    FAILS(process_vm_readv(child, &local, 1, &remote, 1, 0), EFAULT);
    FAILS(process_vm_readv(child, &local, 1, &remote, 1, 1), EINVAL);
    FAILS(process_vm_readv(0x3fffffff, &local, 1, &remote, 1, 0), ESRCH);
    IN_CHILD({
        OK(setresuid(1000, 1000, 1000));
        remote.iov_base = memory;
        FAILS(process_vm_readv(child, &local, 1, &remote, 1, 0), EPERM);
    });
    *ready = 2;
    REAP_EXIT(child, 0);
}

CASE(fork_of_a_large_process_is_cheap_in_memory)
{
    // 64 MiB, forty children that only read: two and a half gigabytes if they were copied.
    size_t size = 64 << 20;
    char *memory = map(size);
    for (size_t i = 0; i < size; i += PAGE) memory[i] = i / PAGE;
    pid_t children[40];
    int *go = shared_memory(sizeof *go);
    for (int i = 0; i < 40; i++)
    {
        children[i] = CHILD({
            for (size_t place = i * PAGE; place < size; place += 997 * PAGE) EQUAL(memory[place], (char)(place / PAGE));
            EVENTUALLY(*go);
        });
    }
    *go = 1;
    for (int i = 0; i < 40; i++) REAP_EXIT(children[i], 0);
}

CASE(heuristic_overcommit_refuses_the_absurd)
{
    // /proc/sys/vm/overcommit_memory 0: an obvious overcommit of address space is refused.
    char text[16];
    if (read_text("/proc/sys/vm/overcommit_memory", text, sizeof text) == -1) SKIP("no /proc/sys/vm/overcommit_memory");
    if (text[0] != '0') SKIP("overcommit_memory is %c here", text[0]);
    CHECK(mmap(NULL, 1UL << 45, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED && errno == ENOMEM);
    char *reserved = mmap(NULL, 1UL << 40, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(reserved != MAP_FAILED);
    reserved[1UL << 39] = 1;
    CHECK(mmap(NULL, 1UL << 45, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
}
