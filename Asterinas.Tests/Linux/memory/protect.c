// mprotect(2), brk(2), the stack and its guard, executable memory.
#include "../common/test.h"
#include <pthread.h>

#define PAGE 4096UL

static char *map(size_t size, int protection)
{
    char *memory = mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) test_fail(__FILE__, __LINE__, errno, "mmap of %zu", size);
    return memory;
}

static sigjmp_buf jump;
static siginfo_t caught;

static void catches(int number, siginfo_t *info, void *context)
{
    (void)context;
    caught = *info;
    siglongjmp(jump, number);
}

enum access
{
    READ,
    WRITE,
    EXECUTE,
};

// The si_code of the SIGSEGV that the access raises, 0 when it is fine. What is executed is a ret.
static int tries(enum access access, volatile char *address)
{
    struct sigaction action = {.sa_sigaction = catches, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGSEGV, &action, NULL));
    if (sigsetjmp(jump, 1) != 0)
    {
        CHECK(caught.si_addr == (void *)address);
        return caught.si_code;
    }
    if (access == READ) (void)*address;
    else if (access == WRITE) *address = *address;
    else ((void (*)(void))address)();
    return 0;
}

CASE(each_protection_allows_what_it_says)
{
    struct
    {
        int protection;
        bool read, write, execute;
    } table[] = {
        // Memory that can be written or executed can be read, on this CPU.
        {PROT_NONE, false, false, false}, {PROT_READ, true, false, false}, {PROT_WRITE, true, true, false}, {PROT_READ | PROT_WRITE, true, true, false},
        {PROT_READ | PROT_EXEC, true, false, true}, {PROT_READ | PROT_WRITE | PROT_EXEC, true, true, true},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    {
        char *page = map(PAGE, PROT_READ | PROT_WRITE);
        *page = (char)0xc3;
        OK(mprotect(page, PAGE, table[i].protection));
        EQUAL(tries(READ, page), table[i].read ? 0 : SEGV_ACCERR);
        EQUAL(tries(WRITE, page), table[i].write ? 0 : SEGV_ACCERR);
        EQUAL(tries(EXECUTE, page), table[i].execute ? 0 : SEGV_ACCERR);
        // The same for a page that was mapped with it and never touched, where that can be seen.
        char *fresh = map(PAGE, table[i].protection);
        EQUAL(tries(WRITE, fresh), table[i].write ? 0 : SEGV_ACCERR);
        EQUAL(tries(READ, fresh), table[i].read ? 0 : SEGV_ACCERR);
    }
}

CASE(contents_survive_changes_of_protection)
{
    char *pages = map(4 * PAGE, PROT_READ | PROT_WRITE);
    memset(pages, 7, 4 * PAGE);
    OK(mprotect(pages + PAGE, 2 * PAGE, PROT_NONE));
    EQUAL(tries(READ, pages + PAGE), SEGV_ACCERR);
    EQUAL(tries(READ, pages + 3 * PAGE - 1), SEGV_ACCERR);
    EQUAL(tries(WRITE, pages + PAGE - 1), 0);
    EQUAL(tries(WRITE, pages + 3 * PAGE), 0);
    OK(mprotect(pages, 4 * PAGE, PROT_READ));
    for (size_t i = 0; i < 4 * PAGE; i++) EQUAL(pages[i], 7);
    EQUAL(tries(WRITE, pages + 2 * PAGE), SEGV_ACCERR);
    OK(mprotect(pages, 4 * PAGE, PROT_READ | PROT_WRITE));
    EQUAL(tries(WRITE, pages + 2 * PAGE), 0);
}

CASE(mprotect_takes_effect_at_once)
{
    volatile char *page = map(PAGE, PROT_READ | PROT_WRITE);
    for (int i = 0; i < 1000; i++)
    {
        OK(mprotect((void *)page, PAGE, PROT_READ | PROT_WRITE));
        page[i] = i;
        OK(mprotect((void *)page, PAGE, PROT_READ));
        EQUAL(tries(WRITE, page + i), SEGV_ACCERR);
    }
}

static volatile int stop;
static volatile char *shared_page;

static void *writes_on(void *unused)
{
    (void)unused;
    while (!stop) *shared_page = 1;
    return NULL;
}

static void exits_66(int number)
{
    (void)number;
    _exit(66);
}

CASE(mprotect_is_seen_by_a_thread_that_runs_on_another_cpu)
{
    for (int i = 0; i < 10; i++)
    {
        pid_t child = CHILD({
            CHECK(signal(SIGSEGV, exits_66) != SIG_ERR);
            shared_page = map(PAGE, PROT_READ | PROT_WRITE);
            pthread_t thread;
            EQUAL(pthread_create(&thread, NULL, writes_on, NULL), 0);
            sleep_ms(5);
            OK(mprotect((void *)shared_page, PAGE, PROT_READ));
            sleep_ms(10000);
        });
        REAP_EXIT(child, 66);
    }
}

CASE(mprotect_errors)
{
    char *pages = map(3 * PAGE, PROT_READ);
    FAILS(mprotect(pages + 1, PAGE, PROT_READ), EINVAL);
    FAILS(mprotect(pages, PAGE, 0x1000), EINVAL);
    FAILS(mprotect(pages, PAGE, PROT_READ | PROT_GROWSUP | PROT_GROWSDOWN), EINVAL);
    FAILS(mprotect(pages, PAGE, PROT_READ | PROT_GROWSDOWN), EINVAL);       // no stack
    OK(mprotect(pages, 0, PROT_READ));
    OK(mprotect(pages, 1, PROT_READ | PROT_WRITE));                         // whole pages
    EQUAL(tries(WRITE, pages + PAGE - 1), 0);
    FAILS(mprotect(unmapped_address(), PAGE, PROT_READ), ENOMEM);
    FAILS(mprotect((void *)0xffff800000000000, PAGE, PROT_READ), ENOMEM);
    FAILS(mprotect(pages, -PAGE, PROT_READ), ENOMEM);
    OK(munmap(pages + PAGE, PAGE));
    FAILS(mprotect(pages, 3 * PAGE, PROT_READ), ENOMEM);                    // a hole: what is before it has been changed
    EQUAL(tries(WRITE, pages), SEGV_ACCERR);
}

CASE(read_only_program_text_can_be_made_writable)
{
    // A private mapping of a file: the change is the process's own.
    extern const char __ehdr_start[];
    volatile char *page = (volatile char *)((uintptr_t)__ehdr_start & -PAGE);
    EQUAL(tries(WRITE, page), SEGV_ACCERR);
    OK(mprotect((void *)page, PAGE, PROT_READ | PROT_WRITE));
    char before = page[100];
    page[100] = before + 1;
    IN_CHILD({ EQUAL(page[100], (char)(before + 1)); });
    page[100] = before;
    OK(mprotect((void *)page, PAGE, PROT_READ));
}

static const unsigned char returns_42[] = {0xb8, 42, 0, 0, 0, 0xc3};

CASE(code_that_was_written_can_be_executed)
{
    unsigned char *page = (unsigned char *)map(PAGE, PROT_READ | PROT_WRITE);
    memcpy(page, returns_42, sizeof returns_42);
    OK(mprotect(page, PAGE, PROT_READ | PROT_EXEC));
    EQUAL(((int (*)(void))page)(), 42);
    for (int i = 0; i < 100; i++)
    {
        OK(mprotect(page, PAGE, PROT_READ | PROT_WRITE));
        page[1] = i;
        OK(mprotect(page, PAGE, PROT_READ | PROT_EXEC));
        EQUAL(((int (*)(void))page)(), i);
    }
}

CASE(two_mappings_of_one_page_may_have_different_protections)
{
    int fd = OK(syscall(SYS_memfd_create, "code", 0));
    OK(ftruncate(fd, PAGE));
    unsigned char *writable = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    char *executable = mmap(NULL, PAGE, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
    CHECK(writable != MAP_FAILED && executable != MAP_FAILED);
    memcpy(writable, returns_42, sizeof returns_42);
    EQUAL(((int (*)(void))executable)(), 42);
    writable[1] = 43;
    EQUAL(((int (*)(void))executable)(), 43);
    EQUAL(tries(WRITE, executable), SEGV_ACCERR);
}

CASE(system_calls_respect_protections)
{
    char *page = map(PAGE, PROT_READ);
    int fd = OK(open("/dev/zero", O_RDONLY));
    FAILS(read(fd, page, 10), EFAULT);
    EQUAL(page[0], 0);
    OK(mprotect(page, PAGE, PROT_NONE));
    int ends[2];
    OK(pipe(ends));
    FAILS(write(ends[1], page, 10), EFAULT);
    OK(mprotect(page, PAGE, PROT_READ | PROT_WRITE));
    EQUAL(read(fd, page, 10), 10);
}

// ------------------------------------------------------------------------------------------------------------------------------- brk

#define brk(address) syscall(SYS_brk, address)

CASE(brk_grows_and_shrinks_by_bytes)
{
    char *start = (char *)brk(0);
    EQUAL(brk(start + 10000), (long)start + 10000);
    memset(start, 5, 10000);
    EQUAL(brk(start + 100), (long)start + 100);
    EQUAL(brk(0), (long)start + 100);
    EQUAL(brk(start + 3 * PAGE), (long)start + 3 * PAGE);
    EQUAL(start[99], 5);
    char *second = (char *)(((uintptr_t)start + 100 + PAGE - 1) & -PAGE);
    EQUAL(second[0], 0);                            // the pages that were given back come back zeroed
    EQUAL(brk(start), (long)start);
}

CASE(brk_that_cannot_be_is_the_old_one)
{
    char *start = (char *)brk(0);
    EQUAL(brk(1), (long)start);                                 // below the heap's beginning
    EQUAL(brk(1UL << 56), (long)start);
    EQUAL(brk(0xffffffffffffffff), (long)start);
    // Into another mapping.
    char *end = (char *)(((uintptr_t)start + PAGE - 1) & -PAGE);
    char *wall = mmap(end + 16 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(wall == end + 16 * PAGE);
    EQUAL(brk(end + 17 * PAGE), (long)start);
    EQUAL(brk(end + 8 * PAGE), (long)end + 8 * PAGE);
    EQUAL(brk(start), (long)start);
}

CASE(heap_is_inherited_by_fork)
{
    char *start = (char *)brk(0);
    EQUAL(brk(start + 4 * PAGE), (long)start + 4 * PAGE);
    start[PAGE] = 9;
    IN_CHILD({
        EQUAL(brk(0), (long)start + 4 * PAGE);
        EQUAL(start[PAGE], 9);
        start[PAGE] = 10;
        EQUAL(brk(start), (long)start);
    });
    EQUAL(start[PAGE], 9);
    EQUAL(brk(0), (long)start + 4 * PAGE);
}

// ----------------------------------------------------------------------------------------------------------------------------- stack

__attribute__((noinline)) static long deep(int levels)
{
    volatile char bytes[1000];
    bytes[0] = levels;
    return levels == 0 ? bytes[0] : deep(levels - 1) + (bytes[0] != (char)levels);
}

CASE(stack_grows_on_demand)
{
    EQUAL(deep(5000), 0);                           // five megabytes
}

static char *stack_pointer(void)
{
    char *pointer;
    __asm__("mov %%rsp, %0" : "=r"(pointer));
    return pointer;
}

CASE(stack_grows_for_accesses_far_below_the_stack_pointer)
{
    // Since Linux 4.20 the distance does not matter within the limit.
    OK(setrlimit(RLIMIT_STACK, &(struct rlimit){8 << 20, RLIM_INFINITY}));
    volatile char *far = stack_pointer() - (6 << 20);
    *far = 1;
    EQUAL(*far, 1);
}

CASE(system_calls_grow_the_stack_too)
{
    int fd = OK(open("/dev/zero", O_RDONLY));
    char *far = stack_pointer() - (3 << 20);
    EQUAL(read(fd, far, 100), 100);
}

CASE(stack_does_not_grow_beyond_its_limit)
{
    pid_t child = CHILD({
        OK(setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, RLIM_INFINITY}));
        volatile char *far = stack_pointer() - (3 << 20);
        *far = 1;
    });
    REAP_SIGNAL(child, SIGSEGV);
    IN_CHILD({
        OK(setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, RLIM_INFINITY}));
        int fd = OK(open("/dev/zero", O_RDONLY));
        FAILS(read(fd, stack_pointer() - (3 << 20), 100), EFAULT);
    });
}

CASE(growing_mapping_keeps_a_gap_to_the_one_below)
{
    // man 2 mmap, MAP_GROWSDOWN; the gap is 256 pages (Linux command line stack_guard_gap).
    char *area = map(1024 * PAGE, PROT_NONE);
    OK(munmap(area, 1024 * PAGE));
    char *low = mmap(area, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
    CHECK(low == area);
    char *grows = mmap(area + 1000 * PAGE, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE | MAP_GROWSDOWN, -1, 0);
    CHECK(grows == area + 1000 * PAGE);
    for (int page = 999; page >= 300; page--) EQUAL(tries(WRITE, area + page * PAGE), 0);
    EQUAL(tries(WRITE, area + 100 * PAGE), SEGV_MAPERR);        // within the gap of 256 pages above the mapping
}

CASE(mmap_does_not_go_into_the_gap_below_the_stack)
{
    char *stack = (char *)((uintptr_t)stack_pointer() & -PAGE);
    deep(100);
    for (int i = 0; i < 50; i++)
    {
        char *memory = map(PAGE, PROT_READ);
        CHECK(memory < stack - (1 << 20) || memory > stack);
    }
}

CASE(stack_is_not_executable)
{
    char code[1] = {(char)0xc3};
    EQUAL(tries(EXECUTE, code), SEGV_ACCERR);
}

CASE(thread_stack_has_a_guard_page)
{
    pthread_attr_t attributes;
    void *stack;
    size_t size;
    size_t guard;
    EQUAL(pthread_getattr_np(pthread_self(), &attributes), 0);
    EQUAL(pthread_attr_getstack(&attributes, &stack, &size), 0);
    CHECK((char *)stack < stack_pointer() && (char *)stack + size > stack_pointer());
    EQUAL(pthread_attr_getguardsize(&attributes, &guard), 0);
}
