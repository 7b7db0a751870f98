// mmap(2), munmap(2): anonymous and file mappings, private and shared, placement, errors.
#include "../common/test.h"

#define PAGE 4096UL

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

static char *map(size_t size, int protection, int flags)
{
    char *memory = mmap(NULL, size, protection, flags | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) test_fail(__FILE__, __LINE__, errno, "mmap of %zu", size);
    return memory;
}

#define MMAP_FAILS(error, ...)                                                                                         \
    do                                                                                                                 \
    {                                                                                                                  \
        void *memory_ = mmap(__VA_ARGS__);                                                                             \
        CHECK_THAT(memory_ == MAP_FAILED && errno == (error), "mmap(" #__VA_ARGS__ ") = %p, not " #error, memory_);    \
    } while (0)

static bool is_mapped(void *address)
{
    unsigned char present;
    return mincore((void *)((uintptr_t)address & -PAGE), 1, &present) == 0;
}

// A file of this many pages, each full of its number's letter.
static int pages_file(int count)
{
    static char bytes[PAGE];
    test_directory();
    int fd = OK(open("pages", O_RDWR | O_CREAT | O_TRUNC, 0644));
    for (int i = 0; i < count; i++)
    {
        memset(bytes, 'a' + i, PAGE);
        EQUAL(write(fd, bytes, PAGE), PAGE);
    }
    return fd;
}

CASE(anonymous_memory_is_zero_and_page_aligned)
{
    unsigned char *memory = (unsigned char *)map(100 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    EQUAL((uintptr_t)memory % PAGE, 0);
    for (size_t i = 0; i < 100 * PAGE; i++) CHECK(memory[i] == 0);
    memset(memory, 0xff, 100 * PAGE);
    for (size_t i = 0; i < 100 * PAGE; i++) CHECK(memory[i] == 0xff);
}

CASE(reading_before_writing_shows_zeros_and_the_write_is_kept)
{
    volatile char *memory = map(10 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    for (int i = 0; i < 10; i++) EQUAL(memory[i * PAGE], 0);
    for (int i = 0; i < 10; i++) memory[i * PAGE] = i;
    for (int i = 0; i < 10; i++) EQUAL(memory[i * PAGE], i);
}

CASE(length_is_rounded_up_to_pages)
{
    volatile char *memory = map(1, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    memory[PAGE - 1] = 1;
    OK(munmap((void *)memory, 1));
    CHECK(!is_mapped((void *)memory));
}

CASE(unmapped_memory_is_gone_and_comes_back_zeroed)
{
    char *memory = map(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    *memory = 1;
    OK(munmap(memory, PAGE));
    CHECK(!is_mapped(memory));
    CHECK(mmap(memory, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == memory);
    EQUAL(*memory, 0);
}

CASE(munmap_in_the_middle_leaves_both_ends)
{
    char *memory = map(5 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    memset(memory, 7, 5 * PAGE);
    OK(munmap(memory + 2 * PAGE, PAGE));
    CHECK(is_mapped(memory + PAGE) && !is_mapped(memory + 2 * PAGE) && is_mapped(memory + 3 * PAGE));
    EQUAL(memory[2 * PAGE - 1], 7);
    EQUAL(memory[3 * PAGE], 7);
}

CASE(munmap_of_a_range_with_holes_succeeds)
{
    char *memory = map(6 * PAGE, PROT_READ, MAP_PRIVATE);
    OK(munmap(memory + PAGE, PAGE));
    OK(munmap(memory + 3 * PAGE, PAGE));
    OK(munmap(memory, 6 * PAGE));
    OK(munmap(memory, 6 * PAGE));
    for (int i = 0; i < 6; i++) CHECK(!is_mapped(memory + i * PAGE));
}

CASE(munmap_errors)
{
    char *memory = map(PAGE, PROT_READ, MAP_PRIVATE);
    FAILS(munmap(memory + 1, PAGE), EINVAL);
    FAILS(munmap(memory, 0), EINVAL);
    FAILS(munmap((void *)(1UL << 56), PAGE), EINVAL);
    FAILS(munmap((void *)-PAGE, PAGE), EINVAL);
    FAILS(munmap(memory, -PAGE), EINVAL);
    CHECK(is_mapped(memory));
}

CASE(mmap_errors)
{
    int fd = pages_file(1);
    MMAP_FAILS(EINVAL, NULL, 0, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MMAP_FAILS(EINVAL, NULL, PAGE, PROT_READ, MAP_ANONYMOUS, -1, 0);                            // neither shared nor private
    MMAP_FAILS(EINVAL, NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 1);                              // offset
    MMAP_FAILS(EINVAL, NULL, PAGE, PROT_READ, MAP_PRIVATE, fd, 512);
    MMAP_FAILS(EBADF, NULL, PAGE, PROT_READ, MAP_PRIVATE, -1, 0);
    MMAP_FAILS(EBADF, NULL, PAGE, PROT_READ, MAP_SHARED, 9999, 0);
    MMAP_FAILS(ENOMEM, NULL, 1UL << 47, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MMAP_FAILS(ENOMEM, NULL, -PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    MMAP_FAILS(EINVAL, (void *)123, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    MMAP_FAILS(ENOMEM, (void *)((1UL << 56) - PAGE), 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    MMAP_FAILS(ENOMEM, (void *)0xffff800000000000, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    MMAP_FAILS(EOVERFLOW, NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, fd, (off_t)(0UL - PAGE));     // offset and length overflow
    OK(close(fd));
}

CASE(what_cannot_be_mapped_is_ENODEV_or_EACCES)
{
    test_directory();
    int ends[2];
    OK(pipe(ends));
    MMAP_FAILS(ENODEV, NULL, PAGE, PROT_READ, MAP_PRIVATE, ends[0], 0);
    int directory = OK(open(".", O_RDONLY));
    MMAP_FAILS(ENODEV, NULL, PAGE, PROT_READ, MAP_PRIVATE, directory, 0);
    write_file("file", "x", 1, 0600);
    int writer = OK(open("file", O_WRONLY)), reader = OK(open("file", O_RDONLY)), path = OK(open("file", O_PATH)), appender = OK(open("file", O_RDWR | O_APPEND));
    MMAP_FAILS(EACCES, NULL, PAGE, PROT_READ, MAP_PRIVATE, writer, 0);
    MMAP_FAILS(EACCES, NULL, PAGE, PROT_WRITE, MAP_SHARED, writer, 0);
    MMAP_FAILS(EACCES, NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, reader, 0);
    MMAP_FAILS(EBADF, NULL, PAGE, PROT_READ, MAP_PRIVATE, path, 0);
    CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, reader, 0) != MAP_FAILED);
    CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, appender, 0) != MAP_FAILED);
}

CASE(shared_mapping_that_was_read_only_cannot_become_writable)
{
    test_directory();
    write_file("file", "x", 1, 0600);
    int reader = OK(open("file", O_RDONLY)), both = OK(open("file", O_RDWR));
    char *memory = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, reader, 0);
    CHECK(memory != MAP_FAILED);
    FAILS(mprotect(memory, PAGE, PROT_READ | PROT_WRITE), EACCES);
    memory = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, both, 0);
    CHECK(memory != MAP_FAILED);
    OK(mprotect(memory, PAGE, PROT_READ | PROT_WRITE));
    *memory = 'y';
    memory = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE, reader, 0);
    OK(mprotect(memory, PAGE, PROT_READ | PROT_WRITE));
}

CASE(fixed_replaces_what_was_there)
{
    char *memory = map(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    memset(memory, 7, 4 * PAGE);
    CHECK(mmap(memory + PAGE, 2 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == memory + PAGE);
    EQUAL(memory[PAGE - 1], 7);
    EQUAL(memory[PAGE], 0);
    EQUAL(memory[3 * PAGE - 1], 0);
    EQUAL(memory[3 * PAGE], 7);
}

CASE(fixed_noreplace_is_EEXIST_over_a_mapping)
{
    char *memory = map(4 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    OK(munmap(memory + 2 * PAGE, 2 * PAGE));
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
    MMAP_FAILS(EEXIST, memory, PAGE, PROT_READ, flags, -1, 0);
    MMAP_FAILS(EEXIST, memory + PAGE, 2 * PAGE, PROT_READ, flags, -1, 0);
    CHECK(mmap(memory + 2 * PAGE, 2 * PAGE, PROT_READ, flags, -1, 0) == memory + 2 * PAGE);
    MMAP_FAILS(EINVAL, memory + 1, PAGE, PROT_READ, flags, -1, 0);
}

CASE(hint_is_taken_when_free_and_ignored_when_not)
{
    char *free = map(4 * PAGE, PROT_READ, MAP_PRIVATE);
    OK(munmap(free, 4 * PAGE));
    char *memory = mmap(free, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory == free);
    memory = mmap(free, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED && memory != free);
    memory = mmap(free + 2 * PAGE + 5, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED && (uintptr_t)memory % PAGE == 0);
    memory = mmap((void *)0xffffffff81000000, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    memory = mmap((void *)1, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED && (uintptr_t)memory >= 65536);
}

CASE(low_pages_are_forbidden_for_users)
{
    // man 2 mmap does not say; /proc/sys/vm/mmap_min_addr does. Root may on Linux, so as a user.
    IN_CHILD({
        OK(setresuid(1000, 1000, 1000));
        errno = 0;
        CHECK(mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED);
        CHECK(errno == EPERM || errno == EACCES);
    });
}

CASE(map_32bit_is_below_2_GiB)
{
    char *memory = map(PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_32BIT);
    CHECK((uintptr_t)memory < 1UL << 31);
    *memory = 1;
}

CASE(populate_makes_pages_present)
{
    char *memory = map(8 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_POPULATE);
    unsigned char present[8];
    OK(mincore(memory, 8 * PAGE, present));
    for (int i = 0; i < 8; i++) EQUAL(present[i] & 1, 1);
}

CASE(anonymous_memory_is_populated_on_demand)
{
    char *memory = map(64 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    madvise(memory, 64 * PAGE, MADV_NOHUGEPAGE);
    memory[10 * PAGE] = 1;
    memory[20 * PAGE] = 1;
    unsigned char present[64];
    OK(mincore(memory, 64 * PAGE, present));
    for (int i = 0; i < 64; i++) CHECK_THAT((present[i] & 1) == (i == 10 || i == 20), "page %d: %d", i, present[i]);
}

CASE(gigantic_reservation_costs_nothing)
{
    char *memory = map(64UL << 30, PROT_NONE, MAP_PRIVATE | MAP_NORESERVE);
    OK(mprotect(memory + (32UL << 30), PAGE, PROT_READ | PROT_WRITE));
    memory[32UL << 30] = 1;
    OK(munmap(memory, 64UL << 30));
}

CASE(thousand_mappings_can_be_made_and_unmade_in_any_order)
{
    static char *list[1000];
    for (int i = 0; i < 1000; i++)
    {
        list[i] = map(PAGE * (1 + i % 3), i % 2 ? PROT_READ | PROT_WRITE : PROT_READ, i % 5 ? MAP_PRIVATE : MAP_SHARED);
        if (i % 2) list[i][0] = i;
    }
    for (int i = 0; i < 1000; i++)
    {
        int j = i * 377 % 1000;
        if (j % 2) EQUAL(list[j][0], (char)j);
        OK(munmap(list[j], PAGE * (1 + j % 3)));
    }
}

CASE(file_is_seen_at_its_offset)
{
    int fd = pages_file(5);
    char *memory = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, fd, 2 * PAGE);
    CHECK(memory != MAP_FAILED);
    OK(close(fd));                                  // the mapping keeps the file
    OK(unlink("pages"));
    EQUAL(memory[0], 'c');
    EQUAL(memory[2 * PAGE - 1], 'd');
}

CASE(private_changes_do_not_reach_the_file)
{
    int fd = pages_file(2);
    char *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), byte;
    CHECK(memory != MAP_FAILED);
    memory[5] = '!';
    EQUAL(pread(fd, &byte, 1, 5), 1);
    EQUAL(byte, 'a');
    // Once copied, a page does not follow the file; Linux shows the file's changes in pages that were not (man 2 mmap leaves it open).
    EQUAL(pwrite(fd, "z", 1, 6), 1);
    EQUAL(memory[6], 'a');
}

CASE(shared_changes_reach_the_file_and_come_from_it)
{
    int fd = pages_file(2);
    char *memory = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), byte;
    CHECK(memory != MAP_FAILED);
    memory[5] = '!';
    EQUAL(pread(fd, &byte, 1, 5), 1);
    EQUAL(byte, '!');
    EQUAL(pwrite(fd, "z", 1, PAGE + 6), 1);
    EQUAL(memory[PAGE + 6], 'z');
    char *other = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, fd, 0);
    EQUAL(other[5], '!');
    memory[PAGE + 7] = '?';
    EQUAL(other[PAGE + 7], '?');
    char *private = mmap(NULL, 2 * PAGE, PROT_READ, MAP_PRIVATE, fd, 0);
    EQUAL(private[PAGE + 7], '?');
}

CASE(shared_changes_survive_unmapping_and_the_process)
{
    int fd = pages_file(1);
    IN_CHILD({
        char *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        memory[0] = 'X';
        OK(munmap(memory, PAGE));
        memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        memory[1] = 'Y';
    });
    char text[2];
    EQUAL(pread(fd, text, 2, 0), 2);
    CHECK(text[0] == 'X' && text[1] == 'Y');
}

CASE(rest_of_the_last_page_is_zero_and_is_not_written)
{
    test_directory();
    write_text("file", "hello");
    int fd = OK(open("file", O_RDWR));
    char *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    for (size_t i = 5; i < PAGE; i++) EQUAL(memory[i], 0);
    memory[100] = 'x';
    OK(msync(memory, PAGE, MS_SYNC));
    struct stat status;
    OK(fstat(fd, &status));
    EQUAL(status.st_size, 5);
    OK(munmap(memory, PAGE));
    OK(ftruncate(fd, 200));
    char byte = 1;
    EQUAL(pread(fd, &byte, 1, 150), 1);
    EQUAL(byte, 0);
}

CASE(writing_through_a_mapping_changes_the_times)
{
    test_directory();
    write_text("file", "hello");
    int fd = OK(open("file", O_RDWR));
    struct timespec times[2] = {{1000, 0}, {1000, 0}};
    OK(futimens(fd, times));
    char *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    memory[0] = 'j';
    OK(msync(memory, PAGE, MS_SYNC));
    OK(munmap(memory, PAGE));
    struct stat status;
    OK(fstat(fd, &status));
    CHECK(status.st_mtime > 1000);
}

CASE(shared_anonymous_memory_is_shared_by_descendants)
{
    int *memory = (int *)map(4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED);
    memory[2048] = 1;
    IN_CHILD({
        IN_CHILD({ memory[1] = 11; });
        memory[0] = memory[1] + memory[2048];
        memory[3000] = 5;
    });
    EQUAL(memory[0], 12);
    EQUAL(memory[3000], 5);
}

CASE(dev_zero_is_anonymous_memory)
{
    int fd = OK(open("/dev/zero", O_RDWR));
    char *private = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0), *shared = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(private != MAP_FAILED && shared != MAP_FAILED);
    EQUAL(*private, 0);
    IN_CHILD({ *private = *shared = 4; });
    EQUAL(*private, 0);
    EQUAL(*shared, 4);
}

CASE(memfd_is_mapped_shared)
{
    int fd = OK(syscall(SYS_memfd_create, "name", 0));
    OK(ftruncate(fd, 3 * PAGE));
    char *first = mmap(NULL, 3 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), *second = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE);
    CHECK(first != MAP_FAILED && second != MAP_FAILED);
    second[3] = 'm';
    EQUAL(first[PAGE + 3], 'm');
    char byte;
    EQUAL(pread(fd, &byte, 1, PAGE + 3), 1);
    EQUAL(byte, 'm');
}

CASE(truncation_zeroes_the_rest_of_the_page_in_all_mappings)
{
    int fd = pages_file(2);
    char *shared = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EQUAL(shared[100], 'a');
    EQUAL(shared[PAGE], 'b');
    OK(ftruncate(fd, 50));
    EQUAL(shared[49], 'a');
    EQUAL(shared[50], 0);
    EQUAL(shared[100], 0);
    OK(ftruncate(fd, 2 * PAGE));
    EQUAL(shared[PAGE], 0);
}

CASE(validate_flag_refuses_unknown_flags)
{
    // man 2 mmap, MAP_SHARED_VALIDATE: EOPNOTSUPP.
    int fd = pages_file(1);
    MMAP_FAILS(EOPNOTSUPP, NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE | 0x2000000, fd, 0);
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED_VALIDATE, fd, 0) != MAP_FAILED);
    CHECK(mmap(NULL, PAGE, PROT_READ, MAP_SHARED | 0x2000000, fd, 0) != MAP_FAILED);
}

CASE(read_into_a_mapping_of_the_same_file)
{
    // The kernel's copy faults on the very pages that it reads: no deadlock.
    int fd = pages_file(4);
    char *memory = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    EQUAL(pread(fd, memory + PAGE, 2 * PAGE, 0), 2 * PAGE);
    EQUAL(memory[PAGE], 'a');
    EQUAL(pwrite(fd, memory + 3 * PAGE, PAGE, 3 * PAGE), PAGE);
    EQUAL(pwrite(fd, memory, PAGE, 2 * PAGE), PAGE);
    EQUAL(memory[2 * PAGE], 'a');
}

CASE(mappings_are_listed_in_proc)
{
    char *memory = map(3 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE);
    OK(mprotect(memory + PAGE, PAGE, PROT_READ));
    static char text[65536];
    if (read_text("/proc/self/maps", text, sizeof text) == -1) SKIP("no /proc");
    char expected[64];
    snprintf(expected, sizeof expected, "%lx-%lx r--p 00000000 00:00 0", (long)memory + PAGE, (long)memory + 2 * PAGE);
    CHECK_THAT(strstr(text, expected) != NULL, "%s is missing", expected);
    CHECK(strstr(text, "[stack]") != NULL && strstr(text, "[vdso]") != NULL);
}
