// Sessions and job control: the controlling terminal, signals of the keyboard, background reads and writes, hangup (man 4 tty_ioctl, man 7 credentials).
#include "pty.h"

#include <sys/prctl.h>

// A process that leaves the group of its case must not outlive it when the case fails.
static void die_with_parent(void) { OK(prctl(PR_SET_PDEATHSIG, SIGKILL)); }

static void new_session(void)
{
    die_with_parent();
    OK(setsid());
}

static void wait_for_signals(void)
{
    die_with_parent();
    for (;;) pause();
}

// Runs the block as the leader of a new session whose controlling terminal is the slave of `pty`; it must end with status 0.
#define IN_SESSION(pty, ...)                                                                                           \
    REAP_EXIT(CHILD({                                                                                                  \
                  new_session();                                                                                        \
                  OK(ioctl(pty.slave, TIOCSCTTY, 0));                                                                  \
                  __VA_ARGS__                                                                                          \
              }),                                                                                                      \
              0)

// Makes the group the foreground one; for a process of the background SIGTTOU would come.
static void set_foreground(int fd, pid_t group)
{
    signal(SIGTTOU, SIG_IGN);
    OK(tcsetpgrp(fd, group));
    signal(SIGTTOU, SIG_DFL);
}

// Waits for a child to stop, and by which signal.
static int stop_of(pid_t child)
{
    int status;
    EQUAL(waitpid(child, &status, WUNTRACED), child);
    CHECK_THAT(WIFSTOPPED(status), "the child's status is %#x", status);
    return WSTOPSIG(status);
}

CASE(session_TIOCSCTTY_gives_a_leader_its_terminal)
{
    struct pair pty = open_pair();
    IN_CHILD({
        new_session();
        FAILS(open("/dev/tty", O_RDWR), ENXIO);
        FAILS(tcgetpgrp(pty.slave), ENOTTY);
        OK(ioctl(pty.slave, TIOCSCTTY, 0));
        EQUAL(tcgetpgrp(pty.slave), getpid());
        EQUAL(tcgetsid(pty.slave), getpid());
        int tty = OK(open("/dev/tty", O_RDWR));
        local_flags(tty, ECHO, 0);
        type(tty, "hello");
        EXPECT(pty.master, "hello");
        EQUAL(tcgetpgrp(tty), getpid());
        // A second terminal is refused.
        struct pair other = open_pair();
        FAILS(ioctl(other.slave, TIOCSCTTY, 0), EPERM);
    });
}

CASE(session_open_without_O_NOCTTY_gives_the_terminal_too)
{
    int master = open_master();
    IN_CHILD({
        new_session();
        int slave = OK(open(slave_name(master), O_RDWR));
        EQUAL(tcgetsid(slave), getpid());
    });
    IN_CHILD({
        new_session();
        int slave = OK(open(slave_name(master), O_RDWR | O_NOCTTY));
        FAILS(tcgetsid(slave), ENOTTY);
    });
}

CASE(session_TIOCSCTTY_is_for_leaders_and_free_terminals)
{
    struct pair pty = open_pair();
    IN_CHILD({
        new_session();
        IN_CHILD({ FAILS(ioctl(pty.slave, TIOCSCTTY, 0), EPERM); });     // no leader
        OK(ioctl(pty.slave, TIOCSCTTY, 0));
        IN_CHILD({
            new_session();
            FAILS(ioctl(pty.slave, TIOCSCTTY, 0), EPERM);       // another session's
            OK(ioctl(pty.slave, TIOCSCTTY, 1));                 // root steals it
            EQUAL(tcgetsid(pty.slave), getpid());
        });
    });
}

CASE(session_TIOCNOTTY_gives_it_up)
{
    struct pair pty = open_pair();
    IN_SESSION(pty, {
        IN_CHILD({
            OK(ioctl(pty.slave, TIOCNOTTY));
            FAILS(open("/dev/tty", O_RDWR), ENXIO);
        });
        OK(close(OK(open("/dev/tty", O_RDWR))));
        // When the leader does, the foreground group hears SIGHUP and SIGCONT.
        count_signals(SIGHUP);
        OK(ioctl(pty.slave, TIOCNOTTY));
        EVENTUALLY(signals_seen == 1);
        FAILS(open("/dev/tty", O_RDWR), ENXIO);
    });
}

CASE(session_tcsetpgrp_errors)
{
    struct pair pty = open_pair();
    pid_t outsider = getpid();
    IN_SESSION(pty, {
        FAILS(tcsetpgrp(pty.slave, outsider), EPERM);
        FAILS(tcsetpgrp(pty.slave, 0x3fffffff), ESRCH);
        FAILS(tcsetpgrp(pty.slave, -1), EINVAL);
        pid_t child = CHILD({ OK(setpgid(0, 0)); wait_for_signals(); });
        EVENTUALLY(getpgid(child) == child);
        OK(tcsetpgrp(pty.slave, child));
        EQUAL(tcgetpgrp(pty.slave), child);
        end_child(child);
    });
    FAILS(tcsetpgrp(pty.slave, getpgrp()), ENOTTY);
}

// A child in a group of its own, in the foreground when asked; sends the key once it waits; it must end by the signal.
static void key_kills(struct pair pty, const char *key, int number)
{
    pid_t child = CHILD({ OK(setpgid(0, 0)); wait_for_signals(); });
    EVENTUALLY(getpgid(child) == child);
    set_foreground(pty.slave, child);
    type(pty.master, key);
    REAP_SIGNAL(child, number);
    set_foreground(pty.slave, getpgrp());
}

CASE(keys_INTR_and_QUIT_signal_the_foreground_group)
{
    struct pair pty = open_pair();
    IN_SESSION(pty, {
        signal(SIGINT, SIG_DFL);
        key_kills(pty, "\003", SIGINT);
        EXPECT(pty.master, "^C");
        key_kills(pty, "\034", SIGQUIT);
        set_character(pty.slave, VINTR, 'i');
        key_kills(pty, "i", SIGINT);
        // The background hears nothing.
        pid_t child = CHILD({ OK(setpgid(0, 0)); wait_for_signals(); });
        EVENTUALLY(getpgid(child) == child);
        count_signals(SIGINT);
        type(pty.master, "i");
        EVENTUALLY(signals_seen == 1);
        EQUAL(waitpid(child, NULL, WNOHANG), 0);
        end_child(child);
    });
}

CASE(keys_reach_every_process_of_the_group)
{
    struct pair pty = open_pair();
    IN_SESSION(pty, {
        pid_t first = CHILD({ OK(setpgid(0, 0)); wait_for_signals(); });
        EVENTUALLY(getpgid(first) == first);
        pid_t second = CHILD({ OK(setpgid(0, first)); wait_for_signals(); });
        EVENTUALLY(getpgid(second) == first);
        set_foreground(pty.slave, first);
        type(pty.master, "\003");
        REAP_SIGNAL(first, SIGINT);
        REAP_SIGNAL(second, SIGINT);
    });
}

CASE(keys_INTR_flushes_unless_NOFLSH)
{
    struct pair pty = open_pair();
    IN_SESSION(pty, {
        count_signals(SIGINT);
        local_flags(pty.slave, ECHO, 0);
        type(pty.master, "lost\003");
        EVENTUALLY(signals_seen == 1);
        type(pty.master, "kept\n");
        READS(pty.slave, "kept\n");
        local_flags(pty.slave, 0, NOFLSH);
        type(pty.master, "also \003");
        EVENTUALLY(signals_seen == 2);
        type(pty.master, "kept\n");
        READS(pty.slave, "also kept\n");
        // Without ISIG it is a character like others.
        local_flags(pty.slave, ISIG, 0);
        type(pty.master, "a\003\n");
        READS(pty.slave, "a\003\n");
    });
}

CASE(keys_SUSP_stops_the_foreground_group)
{
    struct pair pty = open_pair();
    IN_SESSION(pty, {
        pid_t child = CHILD({ OK(setpgid(0, 0)); wait_for_signals(); });
        EVENTUALLY(getpgid(child) == child);
        set_foreground(pty.slave, child);
        type(pty.master, "\032");
        EQUAL(stop_of(child), SIGTSTP);
        set_foreground(pty.slave, getpgrp());
        OK(kill(-child, SIGCONT));
        int status;
        EQUAL(waitpid(child, &status, WCONTINUED), child);
        CHECK(WIFCONTINUED(status));
        end_child(child);
    });
}

CASE(background_read_sends_SIGTTIN)
{
    struct pair pty = open_pair();
    IN_SESSION(pty, {
        pid_t child = CHILD({
            OK(setpgid(0, 0));
            char text[8];
            EQUAL(read(pty.slave, text, 8), 3);
        });
        EQUAL(stop_of(child), SIGTTIN);
        // Brought to the foreground it goes on.
        set_foreground(pty.slave, child);
        OK(kill(-child, SIGCONT));
        type(pty.master, "hi\n");
        REAP_EXIT(child, 0);
        set_foreground(pty.slave, getpgrp());
        // Ignored or blocked, the read fails with EIO.
        child = CHILD({
            OK(setpgid(0, 0));
            signal(SIGTTIN, SIG_IGN);
            char byte;
            FAILS(read(pty.slave, &byte, 1), EIO);
            signal(SIGTTIN, SIG_DFL);
            sigset_t mask;
            sigemptyset(&mask);
            sigaddset(&mask, SIGTTIN);
            OK(sigprocmask(SIG_BLOCK, &mask, NULL));
            FAILS(read(pty.slave, &byte, 1), EIO);
        });
        REAP_EXIT(child, 0);
    });
}

CASE(background_write_sends_SIGTTOU_only_with_TOSTOP)
{
    struct pair pty = open_pair();
    IN_SESSION(pty, {
        pid_t child = CHILD({ OK(setpgid(0, 0)); type(pty.slave, "free"); });
        REAP_EXIT(child, 0);
        EXPECT(pty.master, "free");
        local_flags(pty.slave, 0, TOSTOP);
        child = CHILD({ OK(setpgid(0, 0)); type(pty.slave, "stopped"); });
        EQUAL(stop_of(child), SIGTTOU);
        SILENT(pty.master);
        set_foreground(pty.slave, child);
        OK(kill(-child, SIGCONT));
        REAP_EXIT(child, 0);
        EXPECT(pty.master, "stopped");
        set_foreground(pty.slave, getpgrp());
        child = CHILD({ OK(setpgid(0, 0)); signal(SIGTTOU, SIG_IGN); type(pty.slave, "ignored"); });
        REAP_EXIT(child, 0);
        EXPECT(pty.master, "ignored");
    });
}

CASE(background_tcsetattr_sends_SIGTTOU)
{
    struct pair pty = open_pair();
    IN_SESSION(pty, {
        struct termios termios;
        OK(tcgetattr(pty.slave, &termios));
        pid_t child = CHILD({ OK(setpgid(0, 0)); OK(tcsetattr(pty.slave, TCSANOW, &termios)); });
        EQUAL(stop_of(child), SIGTTOU);
        end_child(child);
        child = CHILD({ OK(setpgid(0, 0)); OK(tcsetpgrp(pty.slave, getpid())); });
        EQUAL(stop_of(child), SIGTTOU);
        end_child(child);
        child = CHILD({ OK(setpgid(0, 0)); signal(SIGTTOU, SIG_IGN); OK(tcsetattr(pty.slave, TCSANOW, &termios)); });
        REAP_EXIT(child, 0);
    });
}

CASE(background_of_an_orphaned_group_gets_EIO)
{
    struct pair pty = open_pair();
    int ends[2];
    OK(pipe(ends));
    IN_SESSION(pty, {
        // The middle process ends: no parent of the group is left in the session that could bring it to the foreground.
        pid_t middle = CHILD({
            pid_t parent = getpid();
            CHILD({
                OK(setpgid(0, 0));
                EVENTUALLY(getppid() != parent);
                char byte;
                FAILS(read(pty.slave, &byte, 1), EIO);
                struct termios termios;
                OK(tcgetattr(pty.slave, &termios));
                FAILS(tcsetattr(pty.slave, TCSANOW, &termios), EIO);
                EQUAL(write(ends[1], "x", 1), 1);
            });
        });
        REAP_EXIT(middle, 0);
        char byte;
        EQUAL(read(ends[0], &byte, 1), 1);
    });
}

CASE(window_size_changes_send_SIGWINCH)
{
    struct pair pty = open_pair();
    IN_SESSION(pty, {
        count_signals(SIGWINCH);
        struct winsize size = {30, 90, 0, 0};
        OK(ioctl(pty.master, TIOCSWINSZ, &size));
        EVENTUALLY(signals_seen == 1);
        OK(ioctl(pty.master, TIOCSWINSZ, &size));
        OK(ioctl(pty.slave, TIOCSWINSZ, &size));
        sleep_ms(20);
        EQUAL(signals_seen, 1);     // nothing changed
        size.ws_col = 91;
        OK(ioctl(pty.slave, TIOCSWINSZ, &size));
        EVENTUALLY(signals_seen == 2);
    });
}

CASE(hangup_of_the_master_sends_SIGHUP_to_the_leader)
{
    struct pair pty = open_pair();
    pid_t child = CHILD({
        new_session();
        OK(ioctl(pty.slave, TIOCSCTTY, 0));
        OK(close(pty.master));
        wait_for_signals();
    });
    EVENTUALLY(tcgetsid(pty.master) == child);
    OK(close(pty.master));
    REAP_SIGNAL(child, SIGHUP);
}

CASE(hangup_continues_stopped_foreground_jobs_when_the_leader_dies_of_it)
{
    struct pair pty = open_pair();
    int ends[2];
    OK(pipe(ends));
    pid_t leader = CHILD({
        new_session();
        OK(ioctl(pty.slave, TIOCSCTTY, 0));
        OK(close(pty.master));
        pid_t job = CHILD({
            OK(setpgid(0, 0));
            count_signals(SIGHUP);
            EVENTUALLY(signals_seen >= 1);
            EQUAL(write(ends[1], "h", 1), 1);
        });
        EVENTUALLY(getpgid(job) == job);
        set_foreground(pty.slave, job);
        OK(kill(job, SIGSTOP));
        EQUAL(stop_of(job), SIGSTOP);
        EQUAL(write(ends[1], "s", 1), 1);
        wait_for_signals();
    });
    char byte;
    EQUAL(read(ends[0], &byte, 1), 1);
    EQUAL(byte, 's');
    OK(close(pty.master));
    REAP_SIGNAL(leader, SIGHUP);
    EQUAL(read(ends[0], &byte, 1), 1);
    EQUAL(byte, 'h');
}

CASE(hangup_when_the_leader_ends)
{
    struct pair pty = open_pair();
    int ends[2];
    OK(pipe(ends));
    pid_t leader = CHILD({
        new_session();
        OK(ioctl(pty.slave, TIOCSCTTY, 0));
        CHILD({
            // The foreground group hears it; nobody has the terminal from then on.
            count_signals(SIGHUP);
            EQUAL(write(ends[1], "r", 1), 1);
            EVENTUALLY(signals_seen >= 1);
            EVENTUALLY(open("/dev/tty", O_RDWR) == -1 && errno == ENXIO);
            FAILS(tcgetsid(pty.slave), ENOTTY);
            EQUAL(write(ends[1], "d", 1), 1);
        });
        char byte;
        EQUAL(read(ends[0], &byte, 1), 1);
    });
    REAP_EXIT(leader, 0);
    OK(close(ends[1]));
    char byte;
    EQUAL(read(ends[0], &byte, 1), 1);
    EQUAL(byte, 'd');
    IN_SESSION(pty, { EQUAL(tcgetsid(pty.slave), getpid()); });
}

CASE(session_ids_of_processes)
{
    IN_CHILD({
        EQUAL(setsid(), getpid());
        EQUAL(getsid(0), getpid());
        EQUAL(getpgrp(), getpid());
        FAILS(setsid(), EPERM);
        IN_CHILD({ EQUAL(getsid(0), getppid()); EQUAL(getpgrp(), getppid()); });
    });
}
