// The line discipline without canonical mode: MIN and TIME, changes of mode, and the settings themselves (man 3 termios).
#include "pty.h"

CASE(raw_MIN_one_TIME_zero_waits_for_a_byte)
{
    struct pair pty = open_pair();
    make_raw(pty.slave, 1, 0);
    pid_t child = CHILD({ READS(pty.slave, "x"); });
    until_asleep(child);
    type(pty.master, "x");
    REAP_EXIT(child, 0);
    SILENT(pty.master);     // no echo
}

CASE(raw_MIN_three_TIME_zero_waits_for_three)
{
    struct pair pty = open_pair();
    make_raw(pty.slave, 3, 0);
    pid_t child = CHILD({ READS(pty.slave, "abc"); });
    until_asleep(child);
    type(pty.master, "ab");
    until_asleep(child);
    type(pty.master, "c");
    REAP_EXIT(child, 0);
    // A smaller buffer is a smaller MIN.
    type(pty.master, "de");
    char text[2];
    EQUAL(read(pty.slave, text, 2), 2);
}

CASE(raw_MIN_zero_TIME_zero_never_waits)
{
    struct pair pty = open_pair();
    make_raw(pty.slave, 0, 0);
    char text[8];
    EQUAL(read(pty.slave, text, 8), 0);
    type(pty.master, "abc");
    ssize_t n;
    EVENTUALLY((n = OK(read(pty.slave, text, 8))) > 0);
    CHECK(n <= 3);
}

CASE(raw_MIN_zero_TIME_limits_the_wait)
{
    struct pair pty = open_pair();
    make_raw(pty.slave, 0, 2);
    char text[8];
    int64_t start = now_ns();
    EQUAL(read(pty.slave, text, 8), 0);
    CHECK(passed_ms(start, 190));
    type(pty.master, "a");
    READS(pty.slave, "a");
}

CASE(raw_MIN_and_TIME_limit_the_pause_between_bytes)
{
    struct pair pty = open_pair();
    make_raw(pty.slave, 5, 2);
    // The clock starts with the first byte.
    pid_t child = CHILD({
        int64_t start = now_ns();
        READS(pty.slave, "ab");
        CHECK(passed_ms(start, 190));
    });
    until_asleep(child);
    type(pty.master, "ab");
    REAP_EXIT(child, 0);
    type(pty.master, "vwxyz");
    READS(pty.slave, "vwxyz");
}

CASE(raw_bytes_that_canonical_mode_would_take_arrive)
{
    struct pair pty = open_pair();
    make_raw(pty.slave, 1, 0);
    type(pty.master, "\003\004\177\025\021\023\r\n\026");
    EXPECT(pty.slave, "\003\004\177\025\021\023\r\n\026");
}

CASE(raw_a_started_line_can_be_read_after_the_change)
{
    struct pair pty = open_pair();
    type(pty.master, "abc");
    EXPECT(pty.master, "abc");      // it has arrived
    SILENT(pty.slave);
    make_raw(pty.slave, 1, 0);
    EXPECT(pty.slave, "abc");
    // And the other way round a line is needed again.
    local_flags(pty.slave, 0, ICANON);
    type(pty.master, "d");
    SILENT(pty.slave);
    type(pty.master, "\r");
    SILENT(pty.slave);
    type(pty.master, "\n");
    EXPECT(pty.slave, "d\r\n");
}

CASE(raw_echo_without_canonical_mode)
{
    struct pair pty = open_pair();
    local_flags(pty.slave, ICANON, 0);
    type(pty.master, "ab");
    EXPECT(pty.master, "ab");
    EXPECT(pty.slave, "ab");
    type(pty.master, "\r");
    EXPECT(pty.slave, "\n");
    EXPECT(pty.master, "\r\n");
}

CASE(raw_INPCK_and_PARMRK_mark_0xff)
{
    struct pair pty = open_pair();
    make_raw(pty.slave, 1, 0);
    input_flags(pty.slave, 0, PARMRK);
    type(pty.master, "a\377b");
    EXPECT(pty.slave, "a\377\377b");
}

CASE(settings_survive_and_are_checked)
{
    struct pair pty = open_pair();
    struct termios termios, back;
    OK(tcgetattr(pty.slave, &termios));
    termios.c_lflag &= ~ECHO;
    termios.c_cc[VINTR] = 'i';
    cfsetispeed(&termios, B9600);
    cfsetospeed(&termios, B9600);
    OK(tcsetattr(pty.slave, TCSANOW, &termios));
    OK(tcgetattr(pty.slave, &back));
    EQUAL(back.c_lflag, termios.c_lflag);
    EQUAL(back.c_cc[VINTR], 'i');
    EQUAL(cfgetospeed(&back), B9600);
    // A pseudo-terminal always has eight bits without parity, and reads.
    termios.c_cflag = (termios.c_cflag & ~(CSIZE | CREAD)) | CS7 | PARENB;
    tcsetattr(pty.slave, TCSANOW, &termios);        // the C library answers EINVAL when not all was taken
    OK(tcgetattr(pty.slave, &back));
    EQUAL(back.c_cflag & (CSIZE | PARENB | CREAD), CS8 | CREAD);
    FAILS(ioctl(pty.slave, TCSETS, unmapped_address()), EFAULT);
}

CASE(settings_of_a_pair_end_with_it)
{
    struct pair pty = open_pair();
    make_raw(pty.slave, 1, 0);
    OK(close(pty.slave));
    OK(close(pty.master));
    pty = open_pair();
    struct termios termios;
    OK(tcgetattr(pty.slave, &termios));
    CHECK((termios.c_lflag & ICANON) != 0);
}

CASE(TIOCOUTQ_and_TIOCEXCL)
{
    struct pair pty = open_pair();
    int n = -1;
    OK(ioctl(pty.slave, TIOCOUTQ, &n));
    EQUAL(n, 0);
    OK(ioctl(pty.slave, TIOCEXCL));
    OK(ioctl(pty.slave, TIOCGEXCL, &n));
    EQUAL(n, 1);
    char name[32];
    snprintf(name, sizeof name, "%s", slave_name(pty.master));
    OK(chmod(name, 0666));
    AS_NOBODY({ FAILS(open(name, O_RDWR | O_NOCTTY), EBUSY); });
    OK(ioctl(pty.slave, TIOCNXCL));
    AS_NOBODY({ OK(open(name, O_RDWR | O_NOCTTY)); });
}

CASE(TIOCGSERIAL_is_not_of_pseudo_terminals)
{
    struct pair pty = open_pair();
    char buffer[256];
    FAILS(ioctl(pty.slave, TIOCGSERIAL, buffer), ENOTTY);
    FAILS(ioctl(pty.slave, TIOCMGET, buffer), ENOTTY);
    int discipline = -1;
    OK(ioctl(pty.slave, TIOCGETD, &discipline));
    EQUAL(discipline, 0);       // N_TTY
    discipline = 77;
    FAILS(ioctl(pty.slave, TIOCSETD, &discipline), EINVAL);
}
