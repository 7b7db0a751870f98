// memfd_create and seals (man 2 memfd_create, fcntl).
#include "../common/scratch.h"

CASE(memfd_is_a_file_without_a_name)
{
    int fd = OK(memfd_create("name", MFD_CLOEXEC));
    EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    EQUAL(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
    struct stat status;
    OK(fstat(fd, &status));
    EQUAL(status.st_mode, S_IFREG | 0777);
    EQUAL(status.st_size, 0);
    EQUAL(status.st_nlink, 0);
    EQUAL(write(fd, "abc", 3), 3);
    char text[8];
    EQUAL(pread(fd, text, 8, 0), 3);
    char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(map != MAP_FAILED && memcmp(map, "abc", 3) == 0);
    map[0] = 'x';
    EQUAL(pread(fd, text, 1, 0), 1);
    EQUAL(text[0], 'x');
    char name[64], target[64] = {0};
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    OK(readlink(name, target, sizeof target - 1));
    CHECK_THAT(strcmp(target, "/memfd:name (deleted)") == 0, "%s", target);
    CHECK(memfd_create("name", 0) != fd);
}

CASE(memfd_errors)
{
    FAILS(memfd_create("name", 0x4000), EINVAL);
    FAILS(memfd_create(long_name(250), 0), EINVAL);
    OK(memfd_create(long_name(249), 0));
    OK(memfd_create("", 0));
    FAILS(memfd_create(unmapped_address(), 0), EFAULT);
    close_inherited();
    OK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){3, 4096}));
    FAILS(memfd_create("name", 0), EMFILE);
}

CASE(memfd_without_MFD_ALLOW_SEALING_is_sealed_against_sealing)
{
    int fd = OK(memfd_create("name", 0));
    EQUAL(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL);
    FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EPERM);
    fd = OK(memfd_create("name", MFD_ALLOW_SEALING));
    EQUAL(fcntl(fd, F_GET_SEALS), 0);
}

CASE(memfd_F_SEAL_SHRINK_and_F_SEAL_GROW)
{
    int fd = OK(memfd_create("name", MFD_ALLOW_SEALING));
    OK(ftruncate(fd, 10));
    OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK));
    FAILS(ftruncate(fd, 5), EPERM);
    OK(ftruncate(fd, 20));
    OK(fcntl(fd, F_ADD_SEALS, F_SEAL_GROW));
    EQUAL(fcntl(fd, F_GET_SEALS), F_SEAL_SHRINK | F_SEAL_GROW);
    FAILS(ftruncate(fd, 30), EPERM);
    OK(ftruncate(fd, 20));
    EQUAL(pwrite(fd, "x", 1, 19), 1);
    FAILS(pwrite(fd, "x", 1, 8192), EPERM);
    FAILS(fallocate(fd, 0, 0, 100000), EPERM);
}

CASE(memfd_F_SEAL_WRITE_makes_it_constant)
{
    int fd = OK(memfd_create("name", MFD_ALLOW_SEALING));
    EQUAL(write(fd, "abc", 3), 3);
    char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY);
    OK(munmap(map, PAGE));
    OK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE));
    FAILS(pwrite(fd, "x", 1, 0), EPERM);
    CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EPERM);
    FAILS(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, PAGE), EPERM);
    // Private copies and readers are free.
    map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    CHECK(map != MAP_FAILED);
    map[0] = 'x';
    map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
    CHECK(map != MAP_FAILED && map[0] == 'a');
    char text[8];
    EQUAL(pread(fd, text, 8, 0), 3);
}

CASE(memfd_F_SEAL_FUTURE_WRITE_leaves_existing_mappings)
{
    int fd = OK(memfd_create("name", MFD_ALLOW_SEALING));
    OK(ftruncate(fd, PAGE));
    char *map = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    OK(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE));
    map[0] = 'x';
    FAILS(pwrite(fd, "x", 1, 0), EPERM);
    CHECK(mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0) == MAP_FAILED && errno == EPERM);
    char byte;
    EQUAL(pread(fd, &byte, 1, 0), 1);
    EQUAL(byte, 'x');
}

CASE(memfd_F_SEAL_SEAL_ends_it)
{
    int fd = OK(memfd_create("name", MFD_ALLOW_SEALING));
    OK(fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_GROW));
    FAILS(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), EPERM);
    EQUAL(fcntl(fd, F_GET_SEALS), F_SEAL_SEAL | F_SEAL_GROW);
}

CASE(seals_errors)
{
    test_directory();
    touch("file");
    int fd = OK(memfd_create("name", MFD_ALLOW_SEALING));
    FAILS(fcntl(fd, F_ADD_SEALS, 0x4000), EINVAL);
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    FAILS(fcntl(OK(open(name, O_RDONLY)), F_ADD_SEALS, F_SEAL_WRITE), EPERM);
    int ends[2];
    OK(pipe(ends));
    FAILS(fcntl(ends[0], F_GET_SEALS), EINVAL);
    FAILS(fcntl(ends[1], F_ADD_SEALS, F_SEAL_WRITE), EINVAL);
}
