// madvise(2), mincore(2), mlock(2), mlock2(2), mlockall(2), msync(2).
#include "../common/test.h"

#define PAGE 4096UL

static char *map(size_t size, int flags)
{
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) test_fail(__FILE__, __LINE__, errno, "mmap of %zu", size);
    return memory;
}

static bool is_present(char *address)
{
    unsigned char present;
    OK(mincore(address, 1, &present));
    return present & 1;
}

static char *map_file(int *fd, int protection, int flags)
{
    static char bytes[PAGE];
    test_directory();
    *fd = OK(open("file", O_RDWR | O_CREAT, 0600));
    for (int i = 0; i < 4; i++)
    {
        memset(bytes, 'a' + i, PAGE);
        EQUAL(write(*fd, bytes, PAGE), PAGE);
    }
    char *memory = mmap(NULL, 4 * PAGE, protection, flags, *fd, 0);
    CHECK(memory != MAP_FAILED);
    return memory;
}

CASE(dontneed_makes_private_anonymous_memory_zero)
{
    char *memory = map(4 * PAGE, MAP_PRIVATE);
    memset(memory, 7, 4 * PAGE);
    OK(madvise(memory + PAGE, 2 * PAGE, MADV_DONTNEED));
    EQUAL(memory[0], 7);
    EQUAL(memory[PAGE], 0);
    EQUAL(memory[3 * PAGE - 1], 0);
    EQUAL(memory[3 * PAGE], 7);
}

CASE(dontneed_frees_the_pages_until_they_are_touched)
{
    char *memory = map(4 * PAGE, MAP_PRIVATE);
    madvise(memory, 4 * PAGE, MADV_NOHUGEPAGE);
    memset(memory, 7, 4 * PAGE);
    CHECK(is_present(memory + PAGE));
    OK(madvise(memory, 4 * PAGE, MADV_DONTNEED));
    CHECK(!is_present(memory + PAGE));
    EQUAL(memory[PAGE], 0);
}

CASE(dontneed_shows_the_file_again_and_keeps_shared_memory)
{
    int fd;
    char *private = map_file(&fd, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    private[0] = '!';
    OK(madvise(private, 4 * PAGE, MADV_DONTNEED));
    EQUAL(private[0], 'a');
    char *shared = map(PAGE, MAP_SHARED);
    shared[0] = 9;
    OK(madvise(shared, PAGE, MADV_DONTNEED));
    EQUAL(shared[0], 9);                        // the object has it still
}

CASE(remove_punches_a_hole_in_shared_memory)
{
    char *shared = map(3 * PAGE, MAP_SHARED);
    memset(shared, 9, 3 * PAGE);
    OK(madvise(shared + PAGE, PAGE, MADV_REMOVE));
    EQUAL(shared[0], 9);
    EQUAL(shared[PAGE], 0);
    EQUAL(shared[2 * PAGE], 9);
    char *private = map(PAGE, MAP_PRIVATE);
    FAILS(madvise(private, PAGE, MADV_REMOVE), EINVAL);
}

CASE(free_leaves_the_old_bytes_or_zeros_and_keeps_later_writes)
{
    char *memory = map(4 * PAGE, MAP_PRIVATE);
    memset(memory, 7, 4 * PAGE);
    OK(madvise(memory, 4 * PAGE, MADV_FREE));
    CHECK(memory[0] == 7 || memory[0] == 0);
    memory[PAGE] = 5;
    EQUAL(memory[PAGE], 5);
    char *shared = map(PAGE, MAP_SHARED);
    FAILS(madvise(shared, PAGE, MADV_FREE), EINVAL);
}

CASE(dontfork_and_wipeonfork_concern_the_child)
{
    char *kept = map(PAGE, MAP_PRIVATE), *gone = map(PAGE, MAP_PRIVATE), *wiped = map(PAGE, MAP_PRIVATE);
    *kept = *gone = *wiped = 3;
    OK(madvise(gone, PAGE, MADV_DONTFORK));
    OK(madvise(wiped, PAGE, MADV_WIPEONFORK));
    IN_CHILD({
        unsigned char present;
        EQUAL(*kept, 3);
        FAILS(mincore(gone, PAGE, &present), ENOMEM);
        EQUAL(*wiped, 0);
    });
    EQUAL(*gone, 3);
    EQUAL(*wiped, 3);
    OK(madvise(gone, PAGE, MADV_DOFORK));
    OK(madvise(wiped, PAGE, MADV_KEEPONFORK));
    IN_CHILD({
        EQUAL(*gone, 3);
        EQUAL(*wiped, 3);
    });
    char *shared = map(PAGE, MAP_SHARED);
    FAILS(madvise(shared, PAGE, MADV_WIPEONFORK), EINVAL);
}

CASE(hints_are_accepted)
{
    int fd;
    char *memory = map(16 * PAGE, MAP_PRIVATE), *file = map_file(&fd, PROT_READ, MAP_SHARED);
    int advices[] = {MADV_NORMAL, MADV_RANDOM, MADV_SEQUENTIAL, MADV_WILLNEED, MADV_DONTDUMP, MADV_DODUMP, MADV_COLD, MADV_PAGEOUT};
    memset(memory, 7, 16 * PAGE);
    for (size_t i = 0; i < sizeof advices / sizeof *advices; i++)
    {
        CHECK_THAT(madvise(memory, 16 * PAGE, advices[i]) == 0, "advice %d", advices[i]);
        CHECK_THAT(madvise(file, 4 * PAGE, advices[i]) == 0, "advice %d on a file", advices[i]);
    }
    for (int i = 0; i < 16; i++) EQUAL(memory[i * PAGE], 7);
    EQUAL(file[3 * PAGE], 'd');
}

CASE(populate_read_and_write_fill_the_range)
{
    char *memory = map(4 * PAGE, MAP_PRIVATE);
    OK(madvise(memory, 2 * PAGE, 22));          // MADV_POPULATE_READ
    CHECK(is_present(memory + PAGE));
    OK(madvise(memory + 2 * PAGE, 2 * PAGE, 23));
    CHECK(is_present(memory + 3 * PAGE));
    OK(mprotect(memory, 4 * PAGE, PROT_READ));
    FAILS(madvise(memory, 4 * PAGE, 23), EINVAL);                   // not writable
    FAILS(madvise(unmapped_address(), PAGE, 22), ENOMEM);
}

CASE(madvise_errors)
{
    char *memory = map(3 * PAGE, MAP_PRIVATE);
    FAILS(madvise(memory + 1, PAGE, MADV_NORMAL), EINVAL);
    FAILS(madvise(memory, PAGE, 9999), EINVAL);
    FAILS(madvise(memory, -PAGE, MADV_DONTNEED), EINVAL);
    OK(madvise(memory, 0, MADV_DONTNEED));
    FAILS(madvise(unmapped_address(), PAGE, MADV_DONTNEED), ENOMEM);
    OK(munmap(memory + PAGE, PAGE));
    memory[2 * PAGE] = 7;
    FAILS(madvise(memory, 3 * PAGE, MADV_DONTNEED), ENOMEM);        // a hole, but the advice was taken around it
    EQUAL(memory[2 * PAGE], 0);
    char *locked = map(PAGE, MAP_PRIVATE);
    OK(mlock(locked, PAGE));
    FAILS(madvise(locked, PAGE, MADV_DONTNEED), EINVAL);
}

CASE(mincore_tells_what_is_present)
{
    char *memory = map(5 * PAGE, MAP_PRIVATE);
    madvise(memory, 5 * PAGE, MADV_NOHUGEPAGE);
    unsigned char present[5] = {9, 9, 9, 9, 9};
    memory[3 * PAGE] = 1;
    OK(mincore(memory, 5 * PAGE, present));
    for (int i = 0; i < 5; i++) EQUAL(present[i] & 1, i == 3);
    present[1] = 77;
    OK(mincore(memory, 1, present));
    EQUAL(present[1], 77);                      // one page, one byte
    FAILS(mincore(memory + 1, PAGE, present), EINVAL);
    FAILS(mincore(memory, PAGE, unmapped_address()), EFAULT);
    FAILS(mincore(unmapped_address(), PAGE, present), ENOMEM);
    FAILS(mincore(memory, -1UL, present), ENOMEM);
    OK(mincore(memory, 0, present));
    int fd;
    char *file = map_file(&fd, PROT_READ, MAP_SHARED);
    OK(mincore(file, 4 * PAGE, present));
    EQUAL(present[2] & 1, 1);                   // in the page cache: it was just written
}

static long locked_kilobytes(void)
{
    static char text[8192];
    if (read_text("/proc/self/status", text, sizeof text) == -1) SKIP("no /proc");
    char *line = strstr(text, "VmLck:");
    CHECK(line != NULL);
    return strtol(line + 6, NULL, 10);
}

CASE(mlock_makes_pages_present_and_counts_them)
{
    char *memory = map(8 * PAGE, MAP_PRIVATE);
    OK(mlock(memory + PAGE + 100, PAGE));       // touches two pages
    CHECK(is_present(memory + PAGE) && is_present(memory + 2 * PAGE) && !is_present(memory + 5 * PAGE));
    EQUAL(locked_kilobytes(), 8);
    OK(mlock(memory + PAGE, PAGE));             // does not nest
    EQUAL(locked_kilobytes(), 8);
    OK(munlock(memory + PAGE, PAGE));
    EQUAL(locked_kilobytes(), 4);
    OK(munmap(memory, 8 * PAGE));
    EQUAL(locked_kilobytes(), 0);
}

CASE(mlock_errors)
{
    char *memory = map(3 * PAGE, MAP_PRIVATE);
    OK(munmap(memory + PAGE, PAGE));
    FAILS(mlock(memory, 3 * PAGE), ENOMEM);
    FAILS(munlock(memory, 3 * PAGE), ENOMEM);
    FAILS(mlock(memory, -PAGE), EINVAL);
    OK(mlock(memory, 0));
    FAILS(syscall(SYS_mlock2, memory, PAGE, 2), EINVAL);
    FAILS(mlockall(0), EINVAL);
    FAILS(mlockall(99), EINVAL);
    FAILS(mlockall(MCL_ONFAULT), EINVAL);
    char *none = mmap(NULL, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FAILS(mlock(none, PAGE), ENOMEM);           // cannot be made present
}

CASE(mlock_on_fault_locks_what_is_touched)
{
    char *memory = map(4 * PAGE, MAP_PRIVATE);
    madvise(memory, 4 * PAGE, MADV_NOHUGEPAGE);
    OK(syscall(SYS_mlock2, memory, 4 * PAGE, MLOCK_ONFAULT));
    CHECK(!is_present(memory + PAGE));
    memory[PAGE] = 1;
    CHECK(is_present(memory + PAGE));
    EQUAL(locked_kilobytes(), 16);
}

CASE(mlockall_locks_present_and_future_mappings)
{
    OK(setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, RLIM_INFINITY}));
    char *before = map(4 * PAGE, MAP_PRIVATE);
    OK(mlockall(MCL_CURRENT));
    CHECK(is_present(before + 3 * PAGE));
    char *after = map(4 * PAGE, MAP_PRIVATE);
    CHECK(!is_present(after + 3 * PAGE));
    OK(mlockall(MCL_CURRENT | MCL_FUTURE));
    after = map(4 * PAGE, MAP_PRIVATE);
    CHECK(is_present(after + 3 * PAGE));
    OK(munlockall());
    EQUAL(locked_kilobytes(), 0);
    after = map(4 * PAGE, MAP_PRIVATE);
    CHECK(!is_present(after + 3 * PAGE));
    after = map(4 * PAGE, MAP_PRIVATE | MAP_LOCKED);
    CHECK(is_present(after + 3 * PAGE));
    EQUAL(locked_kilobytes(), 16);
}

CASE(msync_writes_back_and_checks_its_arguments)
{
    int fd;
    char *memory = map_file(&fd, PROT_READ | PROT_WRITE, MAP_SHARED);
    memory[0] = 'X';
    OK(msync(memory, PAGE, MS_SYNC));
    OK(msync(memory, 4 * PAGE, MS_ASYNC));
    OK(msync(memory, 4 * PAGE, MS_SYNC | MS_INVALIDATE));
    OK(msync(memory, 0, MS_SYNC));
    FAILS(msync(memory, PAGE, MS_SYNC | MS_ASYNC), EINVAL);
    FAILS(msync(memory, PAGE, 0x100), EINVAL);
    FAILS(msync(memory + 1, PAGE, MS_SYNC), EINVAL);
    FAILS(msync(unmapped_address(), PAGE, MS_SYNC), ENOMEM);
    OK(mlock(memory, PAGE));
    FAILS(msync(memory, PAGE, MS_INVALIDATE), EBUSY);
    OK(munlock(memory, PAGE));
    char *private = map(PAGE, MAP_PRIVATE);
    OK(msync(private, PAGE, MS_SYNC));
}
