// mremap(2).
#include "../common/test.h"

#define PAGE 4096UL

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static char *map_pages(int count)
{
    char *memory = mmap(NULL, count * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    for (int i = 0; i < count; i++) memory[i * PAGE] = 'a' + i;
    return memory;
}

static void contains(const char *memory, const char *letters)
{
    for (int i = 0; letters[i] != 0; i++) CHECK_THAT(memory[i * PAGE] == letters[i], "page %d holds '%c', not '%c'", i, memory[i * PAGE], letters[i]);
}

static bool is_mapped(char *address)
{
    unsigned char present;
    return mincore(address, 1, &present) == 0;
}

#define MREMAP_FAILS(error, ...)                                                                                       \
    do                                                                                                                 \
    {                                                                                                                  \
        void *memory_ = mremap(__VA_ARGS__);                                                                           \
        CHECK_THAT(memory_ == MAP_FAILED && errno == (error), "mremap(" #__VA_ARGS__ ") = %p, not " #error, memory_);  \
    } while (0)

CASE(shrinking_unmaps_the_end)
{
    char *memory = map_pages(4);
    CHECK(mremap(memory, 4 * PAGE, 2 * PAGE, 0) == memory);
    contains(memory, "ab");
    CHECK(!is_mapped(memory + 2 * PAGE) && !is_mapped(memory + 3 * PAGE));
}

CASE(growing_in_place_when_there_is_room)
{
    char *memory = map_pages(4);
    OK(munmap(memory + 2 * PAGE, 2 * PAGE));
    CHECK(mremap(memory, 2 * PAGE, 4 * PAGE, 0) == memory);
    contains(memory, "ab");
    EQUAL(memory[2 * PAGE], 0);
    memory[4 * PAGE - 1] = 1;
}

CASE(growing_without_room_is_ENOMEM_or_a_move)
{
    char *memory = map_pages(4);
    MREMAP_FAILS(ENOMEM, memory, 2 * PAGE, 3 * PAGE, 0);        // page c is in the way
    contains(memory, "abcd");
    char *moved = mremap(memory, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED && moved != memory);
    contains(moved, "ab");
    EQUAL(moved[2 * PAGE], 0);
    CHECK(!is_mapped(memory) && !is_mapped(memory + PAGE) && is_mapped(memory + 2 * PAGE));
}

CASE(same_size_changes_nothing)
{
    char *memory = map_pages(2);
    CHECK(mremap(memory, 2 * PAGE, 2 * PAGE, 0) == memory);
    CHECK(mremap(memory, 2 * PAGE, 2 * PAGE - 5, 0) == memory);
    contains(memory, "ab");
}

CASE(fixed_moves_to_the_address_and_replaces_what_is_there)
{
    char *memory = map_pages(3), *target = map_pages(5);
    CHECK(mremap(memory, 3 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target + PAGE) == target + PAGE);
    contains(target, "aabce");
    CHECK(!is_mapped(memory) && !is_mapped(memory + 2 * PAGE));
    // Shrinking and growing on the way.
    memory = map_pages(3);
    CHECK(mremap(memory, 3 * PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target) == target);
    contains(target, "aabce");
    CHECK(!is_mapped(memory + PAGE));
    memory = map_pages(1);
    CHECK(mremap(memory, PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, target + 3 * PAGE) == target + 3 * PAGE);
    EQUAL(target[3 * PAGE], 'a');
    EQUAL(target[4 * PAGE], 0);
}

CASE(part_of_a_mapping_can_be_moved)
{
    char *memory = map_pages(5);
    char *moved = mremap(memory + 2 * PAGE, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED);
    EQUAL(moved[0], 'c');
    EQUAL(moved[PAGE], 0);
    CHECK(!is_mapped(memory + 2 * PAGE));
    contains(memory, "ab");
    EQUAL(memory[3 * PAGE], 'd');
}

CASE(dontunmap_leaves_an_empty_mapping_behind)
{
    char *memory = map_pages(2);
    // The fifth argument is a hint here.
    char *moved = mremap(memory, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    CHECK(moved != MAP_FAILED && moved != memory);
    contains(moved, "ab");
    EQUAL(memory[0], 0);
    EQUAL(memory[PAGE], 0);
    memory[0] = 'x';
    EQUAL(moved[0], 'a');
    MREMAP_FAILS(EINVAL, memory, 2 * PAGE, 3 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
    MREMAP_FAILS(EINVAL, memory, 2 * PAGE, 2 * PAGE, MREMAP_DONTUNMAP, NULL);
}

CASE(old_size_zero_duplicates_a_shared_mapping)
{
    // man 2 mremap: only for shareable mappings.
    char *memory = shared_memory(2 * PAGE);
    memory[0] = 'a';
    char *copy = mremap(memory, 0, 2 * PAGE, MREMAP_MAYMOVE);
    CHECK(copy != MAP_FAILED && copy != memory);
    EQUAL(copy[0], 'a');
    copy[PAGE] = 'z';
    EQUAL(memory[PAGE], 'z');
    char *private = map_pages(1);
    MREMAP_FAILS(EINVAL, private, 0, PAGE, MREMAP_MAYMOVE);
}

CASE(file_mapping_keeps_its_offset)
{
    test_directory();
    static char bytes[PAGE];
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
    for (int i = 0; i < 4; i++)
    {
        bytes[0] = 'a' + i;
        EQUAL(write(fd, bytes, PAGE), PAGE);
    }
    char *memory = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, PAGE);
    char *moved = mremap(memory, PAGE, 3 * PAGE, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED);
    contains(moved, "bcd");
    moved[2 * PAGE + 1] = '!';
    char byte;
    EQUAL(pread(fd, &byte, 1, 3 * PAGE + 1), 1);
    EQUAL(byte, '!');
}

CASE(protection_and_privacy_move_along)
{
    char *memory = map_pages(2);
    OK(mprotect(memory, 2 * PAGE, PROT_READ));
    char *moved = mremap(memory, 2 * PAGE, 8 * PAGE, MREMAP_MAYMOVE);
    CHECK(moved != MAP_FAILED);
    int ends[2];
    OK(pipe(ends));
    EQUAL(write(ends[1], "x", 1), 1);
    FAILS(read(ends[0], moved, 1), EFAULT);
    contains(moved, "ab");
}

CASE(errors)
{
    char *memory = map_pages(4);
    MREMAP_FAILS(EINVAL, memory + 1, PAGE, 2 * PAGE, MREMAP_MAYMOVE);
    MREMAP_FAILS(EINVAL, memory, PAGE, 0, MREMAP_MAYMOVE);
    MREMAP_FAILS(EINVAL, memory, PAGE, 2 * PAGE, 0x100);
    MREMAP_FAILS(EINVAL, memory, PAGE, 2 * PAGE, MREMAP_FIXED, memory + 8 * PAGE);                          // needs MAYMOVE
    MREMAP_FAILS(EINVAL, memory, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, memory + 1);
    MREMAP_FAILS(EINVAL, memory, 2 * PAGE, 2 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, memory + PAGE);         // overlap
    MREMAP_FAILS(EINVAL, memory, PAGE, PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, (void *)0xffff800000000000);
    MREMAP_FAILS(EFAULT, unmapped_address(), PAGE, 2 * PAGE, MREMAP_MAYMOVE);
    MREMAP_FAILS(EFAULT, memory, 5 * PAGE, 6 * PAGE, MREMAP_MAYMOVE);                                       // beyond the mapping
    MREMAP_FAILS(ENOMEM, memory, PAGE, 1UL << 46, MREMAP_MAYMOVE);
    contains(memory, "abcd");
}

CASE(growing_a_large_area_step_by_step_keeps_all)
{
    size_t size = PAGE;
    char *memory = map_pages(1);
    for (int i = 1; i <= 12; i++)
    {
        char *next = mremap(memory, size, 2 * size, MREMAP_MAYMOVE);
        CHECK(next != MAP_FAILED);
        memory = next;
        for (size_t place = size; place < 2 * size; place += PAGE) memory[place] = i;
        size *= 2;
    }
    EQUAL(memory[0], 'a');
    size_t place = PAGE;
    for (int i = 1; i <= 12; i++)
    {
        for (size_t end = 2 * place; place < end; place += PAGE) EQUAL(memory[place], i);
    }
}
