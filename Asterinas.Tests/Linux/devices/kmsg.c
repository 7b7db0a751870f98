// The kernel's log: /dev/kmsg and syslog (man 2 syslog; the format of records is in the kernel's ABI documentation of dev-kmsg).
#include "../common/scratch.h"

#include <poll.h>
#include <sys/klog.h>

// Reads records until one holds the text; answers the record.
static char *find_record(int fd, const char *text)
{
    static char record[8192];
    for (;;)
    {
        ssize_t n = read(fd, record, sizeof record - 1);
        if (n == -1 && errno == EPIPE) continue;        // overtaken by new records: on with the oldest that is left
        if (n == -1) test_fail(__FILE__, __LINE__, errno, "no record with %s", text);
        record[n] = 0;
        if (strstr(record, text) != NULL) return record;
    }
}

CASE(kmsg_what_is_written_can_be_read)
{
    int writer = OK(open("/dev/kmsg", O_WRONLY)), reader = OK(open("/dev/kmsg", O_RDONLY | O_NONBLOCK));
    char text[100], line[120];
    snprintf(text, sizeof text, "regression test %d %lld", getpid(), (long long)now_ns());
    int length = snprintf(line, sizeof line, "<12>%s\n", text);
    EQUAL(lseek(reader, 0, SEEK_END), 0);
    EQUAL(write(writer, line, length), length);
    // priority,sequence,time in us,flags;text
    char *record = find_record(reader, text);
    unsigned priority;
    unsigned long long sequence, time;
    char flag;
    EQUAL(sscanf(record, "%u,%llu,%llu,%c", &priority, &sequence, &time, &flag), 4);
    EQUAL(priority, 12);
    CHECK(time > 0);
    CHECK(strncmp(strchr(record, ';') + 1, text, strlen(text)) == 0);
    CHECK(strchr(strchr(record, ';'), '\n') != NULL);
}

CASE(kmsg_reads_a_record_at_a_time)
{
    int writer = OK(open("/dev/kmsg", O_WRONLY)), reader = OK(open("/dev/kmsg", O_RDONLY | O_NONBLOCK));
    EQUAL(lseek(reader, 0, SEEK_END), 0);
    EQUAL(write(writer, "regression test: first\n", 23), 23);
    EQUAL(write(writer, "regression test: second\n", 24), 24);
    CHECK(strstr(find_record(reader, "regression test: first"), "second") == NULL);
    find_record(reader, "regression test: second");
    EQUAL(lseek(reader, 0, SEEK_SET), 0);
    char small[5];
    FAILS(read(reader, small, 5), EINVAL);
    FAILS(lseek(reader, 5, SEEK_SET), ESPIPE);
    FAILS(lseek(reader, 0, SEEK_CUR), EINVAL);
}

CASE(kmsg_poll_and_end)
{
    int reader = OK(open("/dev/kmsg", O_RDONLY | O_NONBLOCK));
    struct pollfd poller = {reader, POLLIN, 0};
    EQUAL(poll(&poller, 1, 0), 1);
    // At the end there is nothing, unless somebody else writes just now.
    EQUAL(lseek(reader, 0, SEEK_END), 0);
    char text[8192];
    ssize_t n = read(reader, text, sizeof text);
    CHECK(n > 0 || (n == -1 && errno == EAGAIN));
    FAILS(write(reader, "x", 1), EBADF);
    FAILS(write(OK(open("/dev/kmsg", O_WRONLY)), text, 8192), EINVAL);      // too long a line
}

CASE(syslog_reads_and_sizes_the_buffer)
{
    int writer = OK(open("/dev/kmsg", O_WRONLY));
    char text[100];
    snprintf(text, sizeof text, "regression test of syslog %lld\n", (long long)now_ns());
    EQUAL(write(writer, text, strlen(text)), strlen(text));
    int size = OK(klogctl(10, NULL, 0));        // SYSLOG_ACTION_SIZE_BUFFER
    CHECK(size >= 4096);
    char *all = malloc(size + 1);
    int length = OK(klogctl(3, all, size));     // SYSLOG_ACTION_READ_ALL
    all[length] = 0;
    CHECK(strstr(all, text) != NULL);
    CHECK(OK(klogctl(9, NULL, 0)) >= 0);        // SYSLOG_ACTION_SIZE_UNREAD
    FAILS(klogctl(77, NULL, 0), EINVAL);
    FAILS(klogctl(3, NULL, 10), EINVAL);
    FAILS(klogctl(3, all, -1), EINVAL);
    FAILS(klogctl(8, NULL, 0), EINVAL);         // SYSLOG_ACTION_CONSOLE_LEVEL takes 1 to 8
    FAILS(klogctl(8, NULL, 9), EINVAL);
}

CASE(syslog_needs_CAP_SYSLOG_to_change)
{
    AS_NOBODY({
        FAILS(klogctl(5, NULL, 0), EPERM);      // SYSLOG_ACTION_CLEAR
        FAILS(klogctl(8, NULL, 4), EPERM);
        FAILS(open("/dev/kmsg", O_WRONLY), EACCES);
    });
}
