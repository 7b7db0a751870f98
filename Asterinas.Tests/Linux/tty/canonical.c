// The line discipline in canonical mode: lines, editing, echo, and the translations of input and output (man 3 termios).
#include "pty.h"

CASE(canonical_input_comes_by_lines)
{
    struct pair pty = open_pair();
    type(pty.master, "abc");
    SILENT(pty.slave);
    type(pty.master, "def\nsecond\n");
    READS(pty.slave, "abcdef\n");
    READS(pty.slave, "second\n");
    type(pty.master, "long line\n");
    char text[5] = {0};
    EQUAL(read(pty.slave, text, 4), 4);
    CHECK(strcmp(text, "long") == 0);
    READS(pty.slave, " line\n");
}

CASE(canonical_echo_shows_what_is_typed)
{
    struct pair pty = open_pair();
    type(pty.master, "abc\n");
    EXPECT(pty.master, "abc\r\n");
    local_flags(pty.slave, ECHO, 0);
    type(pty.master, "secret\n");
    READS(pty.slave, "abc\n");
    READS(pty.slave, "secret\n");
    SILENT(pty.master);
    // ECHONL shows line ends even then.
    local_flags(pty.slave, 0, ECHONL);
    type(pty.master, "x\n");
    EXPECT(pty.master, "\r\n");
}

CASE(canonical_ECHOCTL_shows_control_characters)
{
    struct pair pty = open_pair();
    type(pty.master, "\001\t\033\n");
    EXPECT(pty.master, "^A\t^[\r\n");
    READS(pty.slave, "\001\t\033\n");
    local_flags(pty.slave, ECHOCTL, 0);
    type(pty.master, "\001\n");
    EXPECT(pty.master, "\001\r\n");
}

CASE(canonical_ERASE_takes_back_a_character)
{
    struct pair pty = open_pair();
    type(pty.master, "abx\177c\n");
    READS(pty.slave, "abc\n");
    EXPECT(pty.master, "abx\b \bc\r\n");
    // Nothing before the line.
    type(pty.master, "\177\177z\n");
    READS(pty.slave, "z\n");
    EXPECT(pty.master, "z\r\n");
    // A control character is shown in two columns.
    type(pty.master, "\001\177\n");
    READS(pty.slave, "\n");
    EXPECT(pty.master, "^A\b \b\b \b\r\n");
    local_flags(pty.slave, ECHOE, 0);
    type(pty.master, "ab\177\n");
    READS(pty.slave, "a\n");
    EXPECT(pty.master, "ab^?\r\n");
}

CASE(canonical_ERASE_does_not_reach_into_finished_lines)
{
    struct pair pty = open_pair();
    type(pty.master, "first\n\177\177x\n");
    READS(pty.slave, "first\n");
    READS(pty.slave, "x\n");
}

CASE(canonical_ERASE_of_a_tab_goes_back_to_its_start)
{
    struct pair pty = open_pair();
    type(pty.master, "ab\t\177c\n");
    READS(pty.slave, "abc\n");
    EXPECT(pty.master, "ab\t\b\b\b\b\b\bc\r\n");
}

CASE(canonical_WERASE_takes_back_a_word)
{
    struct pair pty = open_pair();
    type(pty.master, "one two  \027x\n");
    READS(pty.slave, "one x\n");
    // Words are of letters, digits and underscores.
    type(pty.master, "a-b_1\027c\n");
    READS(pty.slave, "a-c\n");
    // It needs IEXTEN.
    local_flags(pty.slave, IEXTEN, 0);
    type(pty.master, "a\027\n");
    READS(pty.slave, "a\027\n");
}

CASE(canonical_KILL_takes_back_the_line)
{
    struct pair pty = open_pair();
    type(pty.master, "abc\025x\n");
    READS(pty.slave, "x\n");
    EXPECT(pty.master, "abc\b \b\b \b\b \bx\r\n");
    local_flags(pty.slave, ECHOKE, 0);
    type(pty.master, "abc\025x\n");
    READS(pty.slave, "x\n");
    EXPECT(pty.master, "abc^U\r\nx\r\n");
}

CASE(canonical_REPRINT_shows_the_line_again)
{
    struct pair pty = open_pair();
    type(pty.master, "abc\022d\n");
    READS(pty.slave, "abcd\n");
    EXPECT(pty.master, "abc^R\r\nabcd\r\n");
}

CASE(canonical_LNEXT_takes_the_next_character_as_it_is)
{
    struct pair pty = open_pair();
    type(pty.master, "a\026\003b\026\177\n");
    READS(pty.slave, "a\003b\177\n");
    EXPECT(pty.master, "a^\b^Cb^\b^?\r\n");
}

CASE(canonical_EOF_ends_a_read_and_is_not_seen)
{
    struct pair pty = open_pair();
    type(pty.master, "\004");
    char byte;
    EQUAL(read(pty.slave, &byte, 1), 0);
    type(pty.master, "abc\004def\n");
    READS(pty.slave, "abc");
    READS(pty.slave, "def\n");
    // It is no state: the next line comes.
    type(pty.master, "\004x\n");
    EQUAL(read(pty.slave, &byte, 1), 0);
    READS(pty.slave, "x\n");
    EXPECT(pty.master, "abcdef\r\nx\r\n");
    // Only what it is set to.
    set_character(pty.slave, VEOF, 'q');
    type(pty.master, "a\004q");
    READS(pty.slave, "a\004");
    set_character(pty.slave, VEOF, _POSIX_VDISABLE);
    type(pty.master, "q\n");
    READS(pty.slave, "q\n");
}

CASE(canonical_EOL_and_EOL2_end_lines_and_are_seen)
{
    struct pair pty = open_pair();
    set_character(pty.slave, VEOL, ';');
    set_character(pty.slave, VEOL2, '!');
    type(pty.master, "one;two!three\n");
    READS(pty.slave, "one;");
    READS(pty.slave, "two!");
    READS(pty.slave, "three\n");
}

CASE(canonical_changed_editing_characters)
{
    struct pair pty = open_pair();
    set_character(pty.slave, VERASE, '#');
    set_character(pty.slave, VKILL, '@');
    type(pty.master, "ab#c\n");
    READS(pty.slave, "ac\n");
    type(pty.master, "ab@c\177\n");
    READS(pty.slave, "c\177\n");
}

CASE(canonical_IUTF8_erases_whole_characters)
{
    struct pair pty = open_pair();
    input_flags(pty.slave, 0, IUTF8);
    type(pty.master, "a\303\244\177b\n");
    READS(pty.slave, "ab\n");
    input_flags(pty.slave, IUTF8, 0);
    type(pty.master, "a\303\244\177b\n");
    READS(pty.slave, "a\303b\n");
}

CASE(canonical_a_line_is_at_most_4095_characters)
{
    struct pair pty = open_pair();
    local_flags(pty.slave, ECHO, 0);
    static char line[5000];
    memset(line, 'a', sizeof line);
    // In pieces that the pair holds for sure; the rest is dropped, the end of the line kept.
    for (int i = 0; i < 5000; i += 500) EQUAL(write(pty.master, line + i, 500), 500);
    type(pty.master, "\n");
    static char back[6000];
    EQUAL(read(pty.slave, back, sizeof back), 4096);
    CHECK(is_filled_with(back, 4095, 'a') && back[4095] == '\n');
}

CASE(input_translations_of_carriage_return_and_newline)
{
    struct pair pty = open_pair();
    local_flags(pty.slave, ECHO, 0);
    type(pty.master, "a\r");
    READS(pty.slave, "a\n");        // ICRNL is on
    input_flags(pty.slave, ICRNL, IGNCR);
    type(pty.master, "a\rb\n");
    READS(pty.slave, "ab\n");
    input_flags(pty.slave, IGNCR, INLCR);
    set_character(pty.slave, VEOL, ';');
    type(pty.master, "a\nb\r;");
    READS(pty.slave, "a\rb\r;");
    input_flags(pty.slave, INLCR, ISTRIP);
    type(pty.master, "\341\342\n");
    READS(pty.slave, "ab\n");
    input_flags(pty.slave, ISTRIP, IUCLC);
    type(pty.master, "ABc\n");
    READS(pty.slave, "abc\n");
}

CASE(output_translations)
{
    struct pair pty = open_pair();
    type(pty.slave, "a\n");
    EXPECT(pty.master, "a\r\n");
    output_flags(pty.slave, OPOST, 0);
    type(pty.slave, "a\n");
    EXPECT(pty.master, "a\n");
    output_flags(pty.slave, ONLCR, OPOST | OCRNL);
    type(pty.slave, "a\r");
    EXPECT(pty.master, "a\n");
    output_flags(pty.slave, OCRNL, ONOCR);
    type(pty.slave, "\n\rab\r");
    EXPECT(pty.master, "\n\rab\r");
    type(pty.slave, "\rx");          // in column 0 no carriage return goes out
    EXPECT(pty.master, "x");
    output_flags(pty.slave, ONOCR, XTABS | ONLCR);
    type(pty.slave, "\nab\tc\n");
    EXPECT(pty.master, "\r\nab      c\r\n");
    output_flags(pty.slave, XTABS, OLCUC);
    type(pty.slave, "aB");
    EXPECT(pty.master, "AB");
}

CASE(TCSAFLUSH_and_tcflush_drop_unread_input)
{
    struct pair pty = open_pair();
    local_flags(pty.slave, ECHO, 0);
    type(pty.master, "dropped\n");
    CHECK(is_readable(pty.slave, 20000));
    struct termios termios;
    OK(tcgetattr(pty.slave, &termios));
    OK(tcsetattr(pty.slave, TCSAFLUSH, &termios));
    SILENT(pty.slave);
    type(pty.master, "dropped\n");
    CHECK(is_readable(pty.slave, 20000));
    OK(tcflush(pty.slave, TCIFLUSH));
    SILENT(pty.slave);
    type(pty.master, "kept\n");
    READS(pty.slave, "kept\n");
    OK(tcflush(pty.slave, TCIOFLUSH));
    FAILS(tcflush(pty.slave, 77), EINVAL);
    OK(tcdrain(pty.slave));
    OK(tcsetattr(pty.slave, TCSADRAIN, &termios));
    OK(tcsendbreak(pty.slave, 0));
}

CASE(canonical_FIONREAD_counts_finished_lines)
{
    struct pair pty = open_pair();
    int n = -1;
    type(pty.master, "abc\nde");
    CHECK(is_readable(pty.slave, 20000));
    EXPECT(pty.master, "abc\r\nde");
    OK(ioctl(pty.slave, FIONREAD, &n));
    EQUAL(n, 4);
    READS(pty.slave, "abc\n");
    OK(ioctl(pty.slave, FIONREAD, &n));
    EQUAL(n, 0);
}

CASE(canonical_read_is_interrupted_by_a_signal)
{
    struct pair pty = open_pair();
    count_signals(SIGUSR1);
    pid_t child = interrupter(SIGUSR1);
    char byte;
    FAILS(read(pty.slave, &byte, 1), EINTR);
    end_child(child);
}

CASE(TIOCSTI_pushes_input)
{
    struct pair pty = open_pair();
    local_flags(pty.slave, ECHO, 0);
    char bytes[] = "hi\n";
    for (int i = 0; i < 3; i++)
    {
        if (ioctl(pty.slave, TIOCSTI, &bytes[i]) == -1)
        {
            // Kernels may switch it off (dev.tty.legacy_tiocsti).
            EQUAL(errno, EIO);
            return;
        }
    }
    READS(pty.slave, "hi\n");
}
