// What the programs about terminals share: a pair of pseudo-terminals, its settings, and reads that know what they expect.
#pragma once

#include "../common/scratch.h"

#include <poll.h>
#include <termios.h>

struct pair
{
    int master, slave;
};

static inline int open_master(void)
{
    int master = OK(open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC)), unlock = 0;
    OK(ioctl(master, TIOCSPTLCK, &unlock));
    return master;
}

static inline const char *slave_name(int master)
{
    static char name[32];
    unsigned number;
    OK(ioctl(master, TIOCGPTN, &number));
    snprintf(name, sizeof name, "/dev/pts/%u", number);
    return name;
}

static inline struct pair open_pair(void)
{
    int master = open_master();
    return (struct pair){master, OK(open(slave_name(master), O_RDWR | O_NOCTTY))};
}

// Switches flags off and on: SETTINGS(fd, off, on) of c_iflag, c_oflag, c_lflag.
static inline void input_flags(int fd, tcflag_t off, tcflag_t on)
{
    struct termios termios;
    OK(tcgetattr(fd, &termios));
    termios.c_iflag = (termios.c_iflag & ~off) | on;
    OK(tcsetattr(fd, TCSANOW, &termios));
}

static inline void output_flags(int fd, tcflag_t off, tcflag_t on)
{
    struct termios termios;
    OK(tcgetattr(fd, &termios));
    termios.c_oflag = (termios.c_oflag & ~off) | on;
    OK(tcsetattr(fd, TCSANOW, &termios));
}

static inline void local_flags(int fd, tcflag_t off, tcflag_t on)
{
    struct termios termios;
    OK(tcgetattr(fd, &termios));
    termios.c_lflag = (termios.c_lflag & ~off) | on;
    OK(tcsetattr(fd, TCSANOW, &termios));
}

static inline void set_character(int fd, int which, cc_t value)
{
    struct termios termios;
    OK(tcgetattr(fd, &termios));
    termios.c_cc[which] = value;
    OK(tcsetattr(fd, TCSANOW, &termios));
}

static inline void make_raw(int fd, int min, int time)
{
    struct termios termios;
    OK(tcgetattr(fd, &termios));
    cfmakeraw(&termios);
    termios.c_cc[VMIN] = min;
    termios.c_cc[VTIME] = time;
    OK(tcsetattr(fd, TCSANOW, &termios));
}

static inline bool is_readable(int fd, int ms)
{
    struct pollfd poller = {fd, POLLIN, 0};
    return OK(poll(&poller, 1, ms)) == 1;
}

static inline void type(int fd, const char *text) { EQUAL(write(fd, text, strlen(text)), strlen(text)); }

// Makes control characters visible.
static inline const char *visible(const char *text, size_t size)
{
    static char out[400];
    size_t at = 0;
    for (size_t i = 0; i < size && at < sizeof out - 6; i++) at += sprintf(out + at, text[i] < 32 || text[i] == 127 ? "<%02x>" : "%c", (unsigned char)text[i]);
    out[at] = 0;
    return out;
}

static inline void expect_bytes(const char *file, int line, int fd, const char *text, size_t size)
{
    char got[1024];
    size_t length = 0;
    while (length < size)
    {
        if (!is_readable(fd, 20000)) test_fail(file, line, 0, "only \"%s\" comes", visible(got, length));
        ssize_t n = read(fd, got + length, size - length);
        if (n <= 0) test_fail(file, line, errno, "read = %zd after \"%s\"", n, visible(got, length));
        length += n;
    }
    if (memcmp(got, text, size) != 0) test_fail(file, line, 0, "comes \"%s\"", visible(got, size));
}

// These bytes can be read, in as many pieces as they come.
#define EXPECT(fd, text) expect_bytes(__FILE__, __LINE__, fd, text, strlen(text))

// One read gives exactly these bytes.
#define READS(fd, text)                                                                                                \
    do                                                                                                                 \
    {                                                                                                                  \
        char got_[1024];                                                                                               \
        ssize_t n_ = OK(read(fd, got_, sizeof got_));                                                                  \
        CHECK_THAT(n_ == (ssize_t)strlen(text) && memcmp(got_, text, n_) == 0, "a read gives \"%s\"", visible(got_, n_)); \
    } while (0)

// Nothing can be read, for a while.
#define SILENT(fd) CHECK_THAT(!is_readable(fd, 60), "something can be read")
