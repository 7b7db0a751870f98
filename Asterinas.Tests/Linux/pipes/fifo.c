// FIFOs: pipes with a name (man 7 fifo, man 3 mkfifo).
#include "../common/scratch.h"

CASE(fifo_open_for_reading_waits_for_a_writer)
{
    test_directory();
    OK(mkfifo("fifo", 0600));
    pid_t child = CHILD({
        char text[8];
        int fd = OK(open("fifo", O_RDONLY));
        EQUAL(read(fd, text, 8), 3);
        CHECK(memcmp(text, "abc", 3) == 0);
        EQUAL(read(fd, text, 8), 0);
    });
    until_asleep(child);
    int fd = OK(open("fifo", O_WRONLY));
    EQUAL(write(fd, "abc", 3), 3);
    OK(close(fd));
    REAP_EXIT(child, 0);
}

CASE(fifo_open_for_writing_waits_for_a_reader)
{
    test_directory();
    OK(mkfifo("fifo", 0600));
    pid_t child = CHILD({ EQUAL(write(OK(open("fifo", O_WRONLY)), "x", 1), 1); });
    until_asleep(child);
    int fd = OK(open("fifo", O_RDONLY));
    char byte;
    EQUAL(read(fd, &byte, 1), 1);
    REAP_EXIT(child, 0);
    EQUAL(read(fd, &byte, 1), 0);
}

CASE(fifo_O_NONBLOCK_reads_at_once_and_writes_not_without_reader)
{
    test_directory();
    OK(mkfifo("fifo", 0600));
    FAILS(open("fifo", O_WRONLY | O_NONBLOCK), ENXIO);
    int reader = OK(open("fifo", O_RDONLY | O_NONBLOCK));
    char text[8];
    EQUAL(read(reader, text, 8), 0);        // no writer: end of file
    int writer = OK(open("fifo", O_WRONLY | O_NONBLOCK));
    FAILS(read(reader, text, 8), EAGAIN);
    EQUAL(write(writer, "abc", 3), 3);
    EQUAL(read(reader, text, 8), 3);
    OK(close(writer));
    EQUAL(read(reader, text, 8), 0);
}

CASE(fifo_O_RDWR_needs_nobody_else)
{
    test_directory();
    OK(mkfifo("fifo", 0600));
    int fd = OK(open("fifo", O_RDWR));
    EQUAL(write(fd, "abc", 3), 3);
    char text[8];
    EQUAL(read(fd, text, 8), 3);
}

CASE(fifo_open_is_interrupted_by_signals)
{
    test_directory();
    OK(mkfifo("fifo", 0600));
    count_signals(SIGUSR1);
    pid_t child = interrupter(SIGUSR1);
    FAILS(open("fifo", O_RDONLY), EINTR);
    FAILS(open("fifo", O_WRONLY), EINTR);
    end_child(child);
}

CASE(fifo_content_goes_with_the_last_descriptor)
{
    test_directory();
    OK(mkfifo("fifo", 0600));
    int fd = OK(open("fifo", O_RDWR | O_NONBLOCK));
    EQUAL(write(fd, "abc", 3), 3);
    EQUAL(stat_of("fifo").st_size, 0);
    OK(close(fd));
    fd = OK(open("fifo", O_RDWR | O_NONBLOCK));
    char text[8];
    FAILS(read(fd, text, 8), EAGAIN);
}

CASE(fifo_all_names_lead_to_one_pipe)
{
    test_directory();
    OK(mkfifo("fifo", 0600));
    OK(link("fifo", "second"));
    int fd = OK(open("fifo", O_RDWR)), other = OK(open("second", O_RDWR));
    OK(unlink("fifo"));
    EQUAL(write(fd, "abc", 3), 3);
    char text[8];
    EQUAL(read(other, text, 8), 3);
    FAILS(lseek(fd, 0, SEEK_SET), ESPIPE);
    FAILS(mkfifo("second", 0600), EEXIST);
}

CASE(fifo_permissions)
{
    test_directory();
    OK(mkfifo("fifo", 0644));
    AS_NOBODY({
        FAILS(open("fifo", O_RDWR | O_NONBLOCK), EACCES);
        FAILS(open("fifo", O_WRONLY | O_NONBLOCK), EACCES);
        OK(open("fifo", O_RDONLY | O_NONBLOCK));
    });
}

CASE(fifo_write_without_reader_sends_SIGPIPE)
{
    test_directory();
    OK(mkfifo("fifo", 0600));
    int reader = OK(open("fifo", O_RDONLY | O_NONBLOCK)), writer = OK(open("fifo", O_WRONLY));
    OK(close(reader));
    count_signals(SIGPIPE);
    FAILS(write(writer, "x", 1), EPIPE);
    EQUAL(signals_seen, 1);
    // A new reader makes it whole again.
    reader = OK(open("fifo", O_RDONLY | O_NONBLOCK));
    EQUAL(write(writer, "x", 1), 1);
    char byte;
    EQUAL(read(reader, &byte, 1), 1);
}
