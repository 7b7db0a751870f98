// What goes beside the bytes: descriptors and credentials (man 7 unix, man 3 cmsg).
#include "../common/scratch.h"

#include <sys/socket.h>

// Sends one byte with `count` descriptors.
static ssize_t send_files(int socket, const int *fds, int count)
{
    char control[CMSG_SPACE(sizeof(int) * 254)] = {0}, byte = 'f';
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = CMSG_SPACE(sizeof(int) * count)};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof(int) * count);
    memcpy(CMSG_DATA(head), fds, sizeof(int) * count);
    return sendmsg(socket, &message, 0);
}

// Receives a byte with at most `room` descriptors; how many came.
static int receive_files(int socket, int *fds, int room, int flags, int *answer)
{
    char control[CMSG_SPACE(sizeof(int) * 254)], byte;
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = room == 0 ? 0 : CMSG_LEN(sizeof(int) * room)};
    EQUAL(recvmsg(socket, &message, flags), 1);
    if (answer != NULL) *answer = message.msg_flags;
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    if (head == NULL) return 0;
    EQUAL(head->cmsg_level, SOL_SOCKET);
    EQUAL(head->cmsg_type, SCM_RIGHTS);
    int count = (head->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    memcpy(fds, CMSG_DATA(head), sizeof(int) * count);
    return count;
}

CASE(SCM_RIGHTS_passes_an_open_file)
{
    test_directory();
    write_text("file", "abcdef");
    int s[2], fd = OK(open("file", O_RDONLY));
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    OK(lseek(fd, 2, SEEK_SET));
    pid_t child = CHILD({
        int got;
        EQUAL(receive_files(s[1], &got, 1, 0, NULL), 1);
        char text[8];
        EQUAL(read(got, text, 2), 2);
        CHECK(memcmp(text, "cd", 2) == 0);
        EQUAL(fcntl(got, F_GETFD), 0);
    });
    EQUAL(send_files(s[0], &fd, 1), 1);
    REAP_EXIT(child, 0);
    // It is the same open file: the offset moved here too.
    EQUAL(lseek(fd, 0, SEEK_CUR), 4);
}

CASE(SCM_RIGHTS_of_several_and_MSG_CMSG_CLOEXEC)
{
    int s[2], a[2], got[4];
    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    OK(pipe(a));
    int fds[] = {a[0], a[1], a[1]};
    EQUAL(send_files(s[0], fds, 3), 1);
    OK(close(a[0]));
    OK(close(a[1]));
    EQUAL(receive_files(s[1], got, 4, MSG_CMSG_CLOEXEC, NULL), 3);
    for (int i = 0; i < 3; i++) EQUAL(fcntl(got[i], F_GETFD), FD_CLOEXEC);
    EQUAL(write(got[2], "x", 1), 1);
    char byte;
    EQUAL(read(got[0], &byte, 1), 1);
}

CASE(SCM_RIGHTS_without_room_are_closed)
{
    int s[2], a[2], got[4], flags;
    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    OK(pipe(a));
    EQUAL(send_files(s[0], &a[1], 1), 1);
    OK(close(a[1]));
    EQUAL(receive_files(s[1], got, 0, 0, &flags), 0);
    EQUAL(flags & MSG_CTRUNC, MSG_CTRUNC);
    char byte;
    EQUAL(read(a[0], &byte, 1), 0);
    // Read without asking for them, they are gone too.
    OK(pipe(a));
    EQUAL(send_files(s[0], &a[1], 1), 1);
    OK(close(a[1]));
    EQUAL(read(s[1], &byte, 1), 1);
    EQUAL(read(a[0], &byte, 1), 0);
}

CASE(SCM_RIGHTS_in_flight_keep_the_file_open)
{
    int s[2], a[2], got;
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    OK(pipe(a));
    EQUAL(send_files(s[0], &a[1], 1), 1);
    OK(close(a[1]));
    OK(fcntl(a[0], F_SETFL, O_NONBLOCK));
    char byte;
    FAILS(read(a[0], &byte, 1), EAGAIN);
    EQUAL(receive_files(s[1], &got, 1, 0, NULL), 1);
    OK(close(got));
    EQUAL(read(a[0], &byte, 1), 0);
    // A message that is never read is closed with its socket.
    OK(pipe(a));
    EQUAL(send_files(s[0], &a[1], 1), 1);
    OK(close(a[1]));
    OK(close(s[0]));
    OK(close(s[1]));
    EQUAL(read(a[0], &byte, 1), 0);
}

CASE(SCM_RIGHTS_of_a_socket_to_itself_is_collected)
{
    for (int i = 0; i < 200; i++)
    {
        int s[2];
        OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
        EQUAL(send_files(s[0], s, 2), 1);
        OK(close(s[0]));
        OK(close(s[1]));
    }
    int s[2];
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    EQUAL(write(s[0], "x", 1), 1);
}

CASE(SCM_RIGHTS_keep_their_place_in_a_stream)
{
    int s[2], a[2], got;
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    OK(pipe(a));
    EQUAL(write(s[0], "1234", 4), 4);
    EQUAL(send_files(s[0], a, 1), 1);
    EQUAL(write(s[0], "5678", 4), 4);
    // A read may begin before what has descriptors with it; it ends there.
    char text[16], control[CMSG_SPACE(sizeof(int))];
    struct iovec data = {text, 16};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    EQUAL(recvmsg(s[1], &message, 0), 5);
    CHECK(memcmp(text, "1234f", 5) == 0);
    EQUAL(CMSG_FIRSTHDR(&message)->cmsg_type, SCM_RIGHTS);
    memcpy(&got, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof got);
    EQUAL(fcntl(got, F_GETFL) & O_ACCMODE, O_RDONLY);
    EQUAL(read(s[1], text, 16), 4);
    CHECK(memcmp(text, "5678", 4) == 0);
}

CASE(SCM_RIGHTS_errors)
{
    int s[2], bad = 999;
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    FAILS(send_files(s[0], &bad, 1), EBADF);
    int many[254];
    for (int i = 0; i < 254; i++) many[i] = s[0];
    FAILS(send_files(s[0], many, 254), EINVAL);
    EQUAL(send_files(s[0], many, 253), 1);
    char byte = 'x', control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){.cmsg_len = 1000, .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS};
    FAILS(sendmsg(s[0], &message, 0), EINVAL);
    *head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET, .cmsg_type = 77};
    FAILS(sendmsg(s[0], &message, 0), EINVAL);
}

// The credentials of the next message; fails when there are none.
static struct ucred credentials_of(int socket)
{
    char byte, control[CMSG_SPACE(sizeof(struct ucred))];
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    EQUAL(recvmsg(socket, &message, 0), 1);
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    CHECK(head != NULL);
    EQUAL(head->cmsg_type, SCM_CREDENTIALS);
    struct ucred credentials;
    memcpy(&credentials, CMSG_DATA(head), sizeof credentials);
    return credentials;
}

static ssize_t send_credentials(int socket, struct ucred credentials)
{
    char control[CMSG_SPACE(sizeof credentials)] = {0}, byte = 'c';
    struct iovec data = {&byte, 1};
    struct msghdr message = {.msg_iov = &data, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    *head = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof credentials), .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_CREDENTIALS};
    memcpy(CMSG_DATA(head), &credentials, sizeof credentials);
    return sendmsg(socket, &message, 0);
}

CASE(SCM_CREDENTIALS_say_who_sent)
{
    int s[2], on = 1;
    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    OK(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    EQUAL(write(s[0], "x", 1), 1);
    struct ucred credentials = credentials_of(s[1]);
    EQUAL(credentials.pid, getpid());
    EQUAL(credentials.uid, 0);
    pid_t child = CHILD({ become(NOBODY); EQUAL(write(s[0], "x", 1), 1); });
    REAP_EXIT(child, 0);
    credentials = credentials_of(s[1]);
    EQUAL(credentials.pid, child);
    EQUAL(credentials.uid, NOBODY);
    EQUAL(credentials.gid, NOBODY);
}

CASE(SCM_CREDENTIALS_cannot_be_forged_by_users)
{
    int s[2], on = 1;
    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    OK(setsockopt(s[1], SOL_SOCKET, SO_PASSCRED, &on, sizeof on));
    EQUAL(send_credentials(s[0], (struct ucred){getpid(), 5, 6}), 1);
    struct ucred credentials = credentials_of(s[1]);
    EQUAL(credentials.uid, 5);
    EQUAL(credentials.gid, 6);
    FAILS(send_credentials(s[0], (struct ucred){0x3fffffff, 0, 0}), ESRCH);
    AS_NOBODY({
        FAILS(send_credentials(s[0], (struct ucred){getpid(), 0, NOBODY}), EPERM);
        FAILS(send_credentials(s[0], (struct ucred){getppid(), NOBODY, NOBODY}), EPERM);
        EQUAL(send_credentials(s[0], (struct ucred){getpid(), NOBODY, NOBODY}), 1);
    });
}
