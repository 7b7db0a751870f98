// Flow control: START and STOP characters, tcflow, IXANY, IXOFF (man 3 termios).
#include "pty.h"

CASE(flow_STOP_and_START_hold_the_output)
{
    struct pair pty = open_pair();
    local_flags(pty.slave, ECHO, 0);
    OK(fcntl(pty.slave, F_SETFL, O_NONBLOCK));
    type(pty.master, "\023");
    // Held as soon as the character has been taken.
    EVENTUALLY(write(pty.slave, "x", 1) == -1 && errno == EAGAIN);
    while (is_readable(pty.master, 60))
    {
        char text[64];
        OK(read(pty.master, text, sizeof text));        // what went out before
    }
    OK(fcntl(pty.slave, F_SETFL, 0));
    pid_t child = CHILD({ type(pty.slave, "held"); });
    until_asleep(child);
    SILENT(pty.master);
    type(pty.master, "\021");
    EXPECT(pty.master, "held");
    REAP_EXIT(child, 0);
    // They are not input.
    type(pty.master, "a\n");
    READS(pty.slave, "a\n");
}

CASE(flow_characters_are_input_without_IXON)
{
    struct pair pty = open_pair();
    local_flags(pty.slave, ECHO, 0);
    input_flags(pty.slave, IXON, 0);
    type(pty.master, "a\023b\021\n");
    READS(pty.slave, "a\023b\021\n");
}

CASE(flow_IXANY_starts_with_any_character)
{
    struct pair pty = open_pair();
    local_flags(pty.slave, ECHO, 0);
    input_flags(pty.slave, 0, IXANY);
    OK(tcflow(pty.slave, TCOON));
    type(pty.master, "\023");
    OK(fcntl(pty.slave, F_SETFL, O_NONBLOCK));
    EVENTUALLY(write(pty.slave, "x", 1) == -1 && errno == EAGAIN);
    OK(fcntl(pty.slave, F_SETFL, 0));
    pid_t child = CHILD({ type(pty.slave, "held"); });
    until_asleep(child);
    type(pty.master, "q");
    REAP_EXIT(child, 0);
}

CASE(flow_tcflow_holds_and_goes_on)
{
    struct pair pty = open_pair();
    OK(tcflow(pty.slave, TCOOFF));
    pid_t child = CHILD({ type(pty.slave, "held"); });
    until_asleep(child);
    SILENT(pty.master);
    OK(tcflow(pty.slave, TCOON));
    EXPECT(pty.master, "held");
    REAP_EXIT(child, 0);
    FAILS(tcflow(pty.slave, 77), EINVAL);
}

CASE(flow_tcflow_sends_the_characters_to_the_other_side)
{
    struct pair pty = open_pair();
    OK(tcflow(pty.slave, TCIOFF));
    EXPECT(pty.master, "\023");
    OK(tcflow(pty.slave, TCION));
    EXPECT(pty.master, "\021");
}

CASE(flow_held_output_is_dropped_by_tcflush)
{
    struct pair pty = open_pair();
    type(pty.slave, "kept");
    EXPECT(pty.master, "kept");
    OK(tcflow(pty.slave, TCOOFF));
    OK(tcflush(pty.slave, TCOFLUSH));
    OK(tcflow(pty.slave, TCOON));
    type(pty.slave, "more");
    EXPECT(pty.master, "more");
}
