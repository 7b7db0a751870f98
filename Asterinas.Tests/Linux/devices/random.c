// /dev/random, /dev/urandom and getrandom (man 4 random, man 2 getrandom).
#include "../common/scratch.h"

#include <linux/random.h>
#include <poll.h>
#include <sys/random.h>

// 4096 random bytes have 16384 ± 128 set bits (one standard deviation is 90.5); a dozen deviations are a defect.
static void check_random(const unsigned char *bytes)
{
    int bits = 0, counts[256] = {0};
    for (int i = 0; i < 4096; i++)
    {
        bits += __builtin_popcount(bytes[i]);
        counts[bytes[i]]++;
    }
    CHECK_THAT(bits > 16384 - 1100 && bits < 16384 + 1100, "%d bits are set", bits);
    for (int i = 0; i < 256; i++) CHECK_THAT(counts[i] < 80, "byte %d comes %d times", i, counts[i]);
}

CASE(dev_random_and_urandom_give_random_bytes)
{
    const char *names[] = {"/dev/random", "/dev/urandom"};
    for (int i = 0; i < 2; i++)
    {
        int fd = OK(open(names[i], O_RDONLY));
        static unsigned char a[4096], b[4096];
        size_t length = 0;
        while (length < sizeof a) length += OK(read(fd, a + length, sizeof a - length));
        length = 0;
        while (length < sizeof b) length += OK(read(fd, b + length, sizeof b - length));
        check_random(a);
        check_random(b);
        CHECK(memcmp(a, b, sizeof a) != 0);
        struct pollfd poller = {fd, POLLIN, 0};
        EQUAL(poll(&poller, 1, 0), 1);
        EQUAL(poller.revents, POLLIN);
        FAILS(read(fd, unmapped_address(), 8), EFAULT);
    }
}

CASE(dev_urandom_takes_entropy_and_tells_how_much)
{
    int fd = OK(open("/dev/urandom", O_RDWR)), bits = -1;
    EQUAL(write(fd, "seed", 4), 4);
    OK(ioctl(fd, RNDGETENTCNT, &bits));
    CHECK(bits > 0 && bits <= 4096);
    FAILS(ioctl(fd, 0x12345678, &bits), EINVAL);
    struct { int bits, size; char bytes[8]; } seed = {8, 8, "entropy"};
    OK(ioctl(fd, RNDADDENTROPY, &seed));
    AS_NOBODY({ FAILS(ioctl(fd, RNDADDENTROPY, &seed), EPERM); });
}

CASE(getrandom_fills_its_buffer)
{
    static unsigned char a[4096], b[4096];
    EQUAL(getrandom(a, sizeof a, 0), sizeof a);
    EQUAL(getrandom(b, sizeof b, GRND_NONBLOCK), sizeof b);
    check_random(a);
    CHECK(memcmp(a, b, sizeof a) != 0);
    EQUAL(getrandom(a, 100, GRND_RANDOM), 100);
    EQUAL(getrandom(a, 100, GRND_INSECURE), 100);
    EQUAL(getrandom(a, 0, 0), 0);
}

CASE(getrandom_errors)
{
    char byte;
    FAILS(getrandom(&byte, 1, 0x80), EINVAL);
    FAILS(getrandom(&byte, 1, GRND_RANDOM | GRND_INSECURE), EINVAL);
    FAILS(syscall(SYS_getrandom, unmapped_address(), 10, 0), EFAULT);
}

CASE(random_children_differ_from_their_parents)
{
    unsigned char *both = shared_memory(64);
    pid_t child = CHILD({ EQUAL(getrandom(both, 32, 0), 32); });
    EQUAL(getrandom(both + 32, 32, 0), 32);
    REAP_EXIT(child, 0);
    CHECK(memcmp(both, both + 32, 32) != 0);
}
