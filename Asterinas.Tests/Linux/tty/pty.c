// Pseudo-terminals: the pair, its locks, names, window size, packet mode, hangup (man 7 pty, man 4 ptmx, pts, man 2 ioctl_tty).
#include "pty.h"

#include <sys/sysmacros.h>

CASE(ptmx_opens_a_new_locked_pair)
{
    int master = OK(open("/dev/ptmx", O_RDWR | O_NOCTTY)), locked = -1, unlock = 0;
    OK(ioctl(master, TIOCGPTLCK, &locked));
    EQUAL(locked, 1);
    FAILS(open(slave_name(master), O_RDWR | O_NOCTTY), EIO);
    OK(ioctl(master, TIOCSPTLCK, &unlock));
    OK(ioctl(master, TIOCGPTLCK, &locked));
    EQUAL(locked, 0);
    OK(open(slave_name(master), O_RDWR | O_NOCTTY));
    unsigned a, b;
    OK(ioctl(master, TIOCGPTN, &a));
    OK(ioctl(open_master(), TIOCGPTN, &b));
    CHECK(a != b);
}

CASE(pts_node_is_a_device_of_the_opener)
{
    int master = open_master();
    struct stat status = stat_of(slave_name(master));
    CHECK(S_ISCHR(status.st_mode));
    EQUAL(major(status.st_rdev), 136);
    EQUAL(minor(status.st_rdev), atoi(slave_name(master) + 9));
    EQUAL(status.st_uid, 0);
}

CASE(pts_node_goes_with_its_master)
{
    // In an instance of devpts of its own, where nobody else takes the number.
    test_directory();
    private_mounts();
    OK(mkdir("m", 0755));
    OK(mount("devpts", "m", "devpts", 0, "newinstance,ptmxmode=0666,mode=0620,gid=5"));
    int master = OK(open("m/ptmx", O_RDWR | O_NOCTTY)), unlock = 0;
    unsigned number = 77;
    OK(ioctl(master, TIOCGPTN, &number));
    EQUAL(number, 0);
    EQUAL(stat_of("m/0").st_mode, S_IFCHR | 0620);
    EQUAL(stat_of("m/0").st_gid, 5);
    OK(ioctl(master, TIOCSPTLCK, &unlock));
    int slave = OK(open("m/0", O_RDWR | O_NOCTTY));
    OK(close(master));
    CHECK(!exists("m/0"));
    OK(close(slave));
    OK(ioctl(OK(open("m/ptmx", O_RDWR | O_NOCTTY)), TIOCGPTN, &number));
    EQUAL(number, 0);
}

CASE(pty_carries_bytes_both_ways)
{
    struct pair pty = open_pair();
    make_raw(pty.slave, 1, 0);
    type(pty.master, "to the slave");
    EXPECT(pty.slave, "to the slave");
    type(pty.slave, "to the master");
    EXPECT(pty.master, "to the master");
    int n;
    type(pty.master, "abc");
    EVENTUALLY(({ OK(ioctl(pty.slave, FIONREAD, &n)); n == 3; }));
}

CASE(pty_carries_all_bytes_when_raw)
{
    struct pair pty = open_pair();
    make_raw(pty.slave, 1, 0);
    char all[256], back[256];
    for (int i = 0; i < 256; i++) all[i] = i;
    EQUAL(write(pty.master, all, 256), 256);
    size_t length = 0;
    while (length < 256) length += OK(read(pty.slave, back + length, 256 - length));
    CHECK(memcmp(all, back, 256) == 0);
    EQUAL(write(pty.slave, all, 256), 256);
    length = 0;
    while (length < 256) length += OK(read(pty.master, back + length, 256 - length));
    CHECK(memcmp(all, back, 256) == 0);
}

CASE(pty_isatty_and_what_is_none)
{
    struct pair pty = open_pair();
    EQUAL(isatty(pty.slave), 1);
    EQUAL(isatty(pty.master), 1);
    int ends[2];
    OK(pipe(ends));
    EQUAL(isatty(ends[0]), 0);
    struct termios termios;
    FAILS(ioctl(ends[0], TCGETS, &termios), ENOTTY);
    FAILS(ioctl(pty.slave, TCGETS, unmapped_address()), EFAULT);
    FAILS(ioctl(pty.slave, TIOCGPTN, &ends[0]), ENOTTY);
    FAILS(ioctl(pty.slave, 0x54ff, &ends[0]), ENOTTY);
    FAILS(lseek(pty.slave, 0, SEEK_SET), ESPIPE);
    char name[64];
    EQUAL(ttyname_r(pty.slave, name, sizeof name), 0);
    CHECK(strcmp(name, slave_name(pty.master)) == 0);
}

CASE(pty_initial_settings)
{
    struct pair pty = open_pair();
    struct termios termios;
    OK(tcgetattr(pty.slave, &termios));
    EQUAL(termios.c_iflag, ICRNL | IXON);
    EQUAL(termios.c_oflag, OPOST | ONLCR);
    EQUAL(termios.c_lflag, ISIG | ICANON | ECHO | ECHOE | ECHOK | ECHOCTL | ECHOKE | IEXTEN);
    EQUAL(termios.c_cflag & CSIZE, CS8);
    EQUAL(termios.c_cflag & CREAD, CREAD);
    EQUAL(cfgetospeed(&termios), B38400);
    cc_t expected[] = {[VINTR] = 3, [VQUIT] = 28, [VERASE] = 127, [VKILL] = 21, [VEOF] = 4, [VTIME] = 0, [VMIN] = 1, [VSWTC] = 0, [VSTART] = 17, [VSTOP] = 19,
                       [VSUSP] = 26, [VEOL] = 0, [VREPRINT] = 18, [VDISCARD] = 15, [VWERASE] = 23, [VLNEXT] = 22, [VEOL2] = 0};
    for (size_t i = 0; i < sizeof expected; i++) EQUAL(termios.c_cc[i], expected[i]);
    // The settings are the slave's, whichever end asks.
    struct termios other;
    OK(tcgetattr(pty.master, &other));
    EQUAL(other.c_lflag, termios.c_lflag);
    make_raw(pty.master, 1, 0);
    OK(tcgetattr(pty.slave, &other));
    EQUAL(other.c_lflag & ICANON, 0);
}

CASE(pty_TIOCGPTPEER_opens_the_slave)
{
    int master = open_master();
    int slave = OK(ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
    EQUAL(fcntl(slave, F_GETFD), FD_CLOEXEC);
    make_raw(slave, 1, 0);
    type(master, "x");
    EXPECT(slave, "x");
}

CASE(pty_window_size_is_shared)
{
    struct pair pty = open_pair();
    struct winsize size = {1, 1, 1, 1};
    OK(ioctl(pty.slave, TIOCGWINSZ, &size));
    EQUAL(size.ws_row, 0);
    EQUAL(size.ws_col, 0);
    size = (struct winsize){25, 80, 3, 4};
    OK(ioctl(pty.master, TIOCSWINSZ, &size));
    size = (struct winsize){0};
    OK(ioctl(pty.slave, TIOCGWINSZ, &size));
    EQUAL(size.ws_row, 25);
    EQUAL(size.ws_col, 80);
    EQUAL(size.ws_ypixel, 4);
    FAILS(ioctl(pty.slave, TIOCSWINSZ, unmapped_address()), EFAULT);
}

CASE(pty_master_reads_EIO_after_the_last_slave_closes)
{
    struct pair pty = open_pair();
    type(pty.slave, "last");
    OK(close(pty.slave));
    EXPECT(pty.master, "last");
    char byte;
    FAILS(read(pty.master, &byte, 1), EIO);
    struct pollfd poller = {pty.master, POLLIN, 0};
    EQUAL(poll(&poller, 1, 0), 1);
    EQUAL(poller.revents & POLLHUP, POLLHUP);
    // A new slave makes it whole again.
    int slave = OK(open(slave_name(pty.master), O_RDWR | O_NOCTTY));
    type(slave, "again");
    EXPECT(pty.master, "again");
}

CASE(pty_slave_is_hung_up_when_the_master_closes)
{
    struct pair pty = open_pair();
    OK(close(pty.master));
    char byte;
    EQUAL(read(pty.slave, &byte, 1), 0);
    FAILS(write(pty.slave, "x", 1), EIO);
    struct termios termios;
    FAILS(ioctl(pty.slave, TCGETS, &termios), EIO);
    struct pollfd poller = {pty.slave, POLLIN | POLLOUT, 0};
    EQUAL(poll(&poller, 1, 0), 1);
    EQUAL(poller.revents & (POLLHUP | POLLERR | POLLIN), POLLHUP | POLLERR | POLLIN);
}

CASE(pty_reading_slave_wakes_when_the_master_closes)
{
    struct pair pty = open_pair();
    pid_t child = CHILD({
        OK(close(pty.master));
        char byte;
        // The other end is closed first, then this one is hung up: the reader sees the one or the other.
        ssize_t n = read(pty.slave, &byte, 1);
        CHECK(n == 0 || (n == -1 && errno == EIO));
    });
    until_asleep(child);
    OK(close(pty.master));
    REAP_EXIT(child, 0);
}

CASE(pty_nonblocking_reads_and_full_buffers)
{
    struct pair pty = open_pair();
    make_raw(pty.slave, 1, 0);
    OK(fcntl(pty.slave, F_SETFL, O_NONBLOCK));
    OK(fcntl(pty.master, F_SETFL, O_NONBLOCK));
    char byte;
    FAILS(read(pty.slave, &byte, 1), EAGAIN);
    FAILS(read(pty.master, &byte, 1), EAGAIN);
    static char data[1 << 20];
    fill_pattern(data, sizeof data, 1);
    // The kernel may carry bytes on between two buffers meanwhile: it is full when it stays full.
    size_t sent = 0;
    for (int refused = 0; refused < 3;)
    {
        CHECK(sent < sizeof data);
        ssize_t n = write(pty.slave, data + sent, sizeof data - sent);
        CHECK(n > 0 || (n == -1 && errno == EAGAIN));
        refused = n > 0 ? 0 : refused + 1;
        if (n > 0) sent += n;
        else sleep_ms(20);
    }
    CHECK(sent > 0);
    static char back[1 << 20];
    size_t got = 0;
    while (got < sent)
    {
        CHECK(is_readable(pty.master, 20000));
        got += OK(read(pty.master, back + got, sent - got));
    }
    CHECK(memcmp(data, back, sent) == 0);
}

CASE(pty_writer_waits_for_a_reader_and_loses_nothing)
{
    struct pair pty = open_pair();
    make_raw(pty.slave, 1, 0);
    enum { SIZE = 200000 };
    static char data[SIZE], back[SIZE];
    fill_pattern(data, SIZE, 1);
    pid_t child = CHILD({
        size_t sent = 0;
        while (sent < SIZE) sent += OK(write(pty.master, data + sent, SIZE - sent));
    });
    size_t got = 0;
    while (got < SIZE) got += OK(read(pty.slave, back + got, SIZE - got));
    CHECK(memcmp(data, back, SIZE) == 0);
    REAP_EXIT(child, 0);
}

CASE(pty_packet_mode_tells_of_data_and_flushes)
{
    struct pair pty = open_pair();
    int on = 1, off = 0, mode = -1;
    OK(ioctl(pty.master, TIOCPKT, &on));
    OK(ioctl(pty.master, TIOCGPKT, &mode));
    EQUAL(mode, 1);
    type(pty.slave, "abc");
    char text[16];
    CHECK(is_readable(pty.master, 20000));
    EQUAL(read(pty.master, text, sizeof text), 4);
    CHECK(memcmp(text, "\0abc", 4) == 0);
    OK(tcflush(pty.slave, TCIFLUSH));
    struct pollfd poller = {pty.master, POLLIN | POLLPRI, 0};
    EQUAL(poll(&poller, 1, 20000), 1);
    EQUAL(poller.revents & POLLPRI, POLLPRI);
    EQUAL(read(pty.master, text, sizeof text), 1);
    EQUAL((unsigned char)text[0] & TIOCPKT_FLUSHREAD, TIOCPKT_FLUSHREAD);
    // Turning the flow characters off and on is told too.
    input_flags(pty.slave, IXON, 0);
    EQUAL(poll(&poller, 1, 20000), 1);
    EQUAL(read(pty.master, text, sizeof text), 1);
    EQUAL((unsigned char)text[0] & TIOCPKT_NOSTOP, TIOCPKT_NOSTOP);
    OK(ioctl(pty.master, TIOCPKT, &off));
    type(pty.slave, "abc");
    EXPECT(pty.master, "abc");
}

CASE(pty_poll_states)
{
    struct pair pty = open_pair();
    make_raw(pty.slave, 1, 0);
    struct pollfd master = {pty.master, POLLIN | POLLOUT, 0}, slave = {pty.slave, POLLIN | POLLOUT, 0};
    EQUAL(poll(&master, 1, 0), 1);
    EQUAL(master.revents, POLLOUT);
    EQUAL(poll(&slave, 1, 0), 1);
    EQUAL(slave.revents, POLLOUT);
    type(pty.master, "x");
    EVENTUALLY(({ OK(poll(&slave, 1, 0)); slave.revents == (POLLIN | POLLOUT); }));
    // VMIN is a threshold of poll too.
    EXPECT(pty.slave, "x");
    make_raw(pty.slave, 3, 0);
    type(pty.master, "ab");
    SILENT(pty.slave);
    type(pty.master, "c");
    CHECK(is_readable(pty.slave, 20000));
}

CASE(pty_devpts_lists_its_slaves)
{
    int master = open_master();
    char name[32];
    snprintf(name, sizeof name, "%s", slave_name(master));
    CHECK(exists(name));
    CHECK(exists("/dev/pts/ptmx"));
    FAILS(open("/dev/pts/999999", O_RDWR), ENOENT);
}

CASE(pty_termios2_carries_any_speed)
{
    // struct termios2 of the kernel: the C library's header has none.
    struct
    {
        uint32_t c_iflag, c_oflag, c_cflag, c_lflag;
        uint8_t c_line, c_cc[19];
        uint32_t c_ispeed, c_ospeed;
    } settings;
    struct pair pty = open_pair();
    OK(ioctl(pty.slave, 0x802c542a, &settings));        // TCGETS2
    EQUAL(settings.c_ospeed, 38400);
    settings.c_cflag = (settings.c_cflag & ~0100017u) | 0010000;        // BOTHER
    settings.c_ispeed = settings.c_ospeed = 12345;
    OK(ioctl(pty.slave, 0x402c542b, &settings));        // TCSETS2
    settings.c_ospeed = 0;
    OK(ioctl(pty.slave, 0x802c542a, &settings));
    EQUAL(settings.c_ospeed, 12345);
}
