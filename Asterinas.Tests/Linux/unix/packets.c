// AF_UNIX datagrams and sequenced packets (man 7 unix, man 2 sendmsg, recvmsg).
#include "../common/scratch.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

CASE(datagrams_keep_their_bounds)
{
    int s[2];
    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    EQUAL(send(s[0], "abc", 3, 0), 3);
    EQUAL(send(s[0], "", 0, 0), 0);
    EQUAL(send(s[0], "defgh", 5, 0), 5);
    EQUAL(send(s[0], "ij", 2, 0), 2);
    char text[16];
    EQUAL(recv(s[1], text, 16, 0), 3);
    EQUAL(recv(s[1], text, 16, 0), 0);
    // What does not fit is lost, and MSG_TRUNC tells how much there was.
    EQUAL(recv(s[1], text, 2, MSG_TRUNC), 5);
    CHECK(memcmp(text, "de", 2) == 0);
    EQUAL(recv(s[1], text, 16, 0), 2);
    FAILS(recv(s[1], text, 16, MSG_DONTWAIT), EAGAIN);
}

CASE(datagrams_recvmsg_sets_MSG_TRUNC)
{
    int s[2];
    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    EQUAL(send(s[0], "abcdef", 6, 0), 6);
    char a[2], b[2];
    struct iovec parts[] = {{a, 2}, {b, 2}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    EQUAL(recvmsg(s[1], &message, 0), 4);
    EQUAL(message.msg_flags & MSG_TRUNC, MSG_TRUNC);
    CHECK(memcmp(a, "ab", 2) == 0 && memcmp(b, "cd", 2) == 0);
}

CASE(datagrams_to_names)
{
    test_directory();
    struct sockaddr_un a = {.sun_family = AF_UNIX, .sun_path = "a"}, b = {.sun_family = AF_UNIX, .sun_path = "b"}, from;
    int receiver = OK(socket(AF_UNIX, SOCK_DGRAM, 0)), sender = OK(socket(AF_UNIX, SOCK_DGRAM, 0));
    OK(bind(receiver, (void *)&a, sizeof a));
    OK(bind(sender, (void *)&b, sizeof b));
    EQUAL(sendto(sender, "abc", 3, 0, (void *)&a, sizeof a), 3);
    char text[8];
    socklen_t size = sizeof from;
    EQUAL(recvfrom(receiver, text, 8, 0, (void *)&from, &size), 3);
    CHECK(strcmp(from.sun_path, "b") == 0);
    FAILS(send(sender, "x", 1, 0), ENOTCONN);
    OK(connect(sender, (void *)&a, sizeof a));
    EQUAL(send(sender, "x", 1, 0), 1);
    OK(close(receiver));
    FAILS(send(sender, "x", 1, 0), ECONNREFUSED);
    OK(unlink("a"));
    FAILS(sendto(sender, "x", 1, 0, (void *)&a, sizeof a), ENOENT);
}

CASE(datagrams_too_large_fail_with_EMSGSIZE)
{
    int s[2];
    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    int size = 5000;
    OK(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof size));
    static char data[100000];
    FAILS(send(s[0], data, sizeof data, 0), EMSGSIZE);
    EQUAL(send(s[0], data, 4000, 0), 4000);
}

CASE(datagrams_that_nobody_reads_block_the_sender)
{
    int s[2];
    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    int sent = 0;
    while (send(s[0], "x", 1, MSG_DONTWAIT) == 1) sent++;
    EQUAL(errno, EAGAIN);
    CHECK(sent > 0);
    pid_t child = CHILD({ EQUAL(send(s[0], "y", 1, 0), 1); });
    until_asleep(child);
    char byte;
    for (int i = 0; i < sent; i++) EQUAL(recv(s[1], &byte, 1, 0), 1);
    EQUAL(recv(s[1], &byte, 1, 0), 1);
    EQUAL(byte, 'y');
    REAP_EXIT(child, 0);
}

CASE(packets_in_sequence_have_bounds_and_an_end)
{
    int s[2];
    OK(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, s));
    EQUAL(send(s[0], "abc", 3, 0), 3);
    EQUAL(send(s[0], "defgh", 5, 0), 5);
    char text[16];
    EQUAL(read(s[1], text, 2), 2);
    EQUAL(read(s[1], text, 16), 5);
    CHECK(memcmp(text, "defgh", 5) == 0);
    OK(close(s[0]));
    EQUAL(read(s[1], text, 16), 0);
    signal(SIGPIPE, SIG_IGN);
    FAILS(send(s[1], "x", 1, 0), EPIPE);
}

CASE(sendmmsg_and_recvmmsg)
{
    int s[2];
    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    struct iovec out[] = {{"abc", 3}, {"de", 2}, {"f", 1}};
    struct mmsghdr messages[3] = {0};
    for (int i = 0; i < 3; i++) messages[i].msg_hdr = (struct msghdr){.msg_iov = &out[i], .msg_iovlen = 1};
    EQUAL(sendmmsg(s[0], messages, 3, 0), 3);
    for (int i = 0; i < 3; i++) EQUAL(messages[i].msg_len, 3 - i);
    char texts[4][8];
    struct iovec in[4];
    struct mmsghdr received[4] = {0};
    for (int i = 0; i < 4; i++)
    {
        in[i] = (struct iovec){texts[i], 8};
        received[i].msg_hdr = (struct msghdr){.msg_iov = &in[i], .msg_iovlen = 1};
    }
    EQUAL(recvmmsg(s[1], received, 4, MSG_WAITFORONE, NULL), 3);
    for (int i = 0; i < 3; i++) EQUAL(received[i].msg_len, 3 - i);
    CHECK(memcmp(texts[1], "de", 2) == 0);
}

CASE(message_errors)
{
    int s[2];
    OK(socketpair(AF_UNIX, SOCK_DGRAM, 0, s));
    FAILS(send(999, "x", 1, 0), EBADF);
    FAILS(send(OK(open("/dev/null", O_RDWR)), "x", 1, 0), ENOTSOCK);
    FAILS(send(s[0], unmapped_address(), 5, 0), EFAULT);
    FAILS(sendmsg(s[0], unmapped_address(), 0), EFAULT);
    struct msghdr message = {.msg_iov = unmapped_address(), .msg_iovlen = 1};
    FAILS(sendmsg(s[0], &message, 0), EFAULT);
    message.msg_iovlen = 1025;
    FAILS(sendmsg(s[0], &message, 0), EMSGSIZE);
    FAILS(send(s[0], "x", 1, MSG_OOB), EOPNOTSUPP);
    FAILS(listen(s[0], 1), EOPNOTSUPP);
    FAILS(accept(s[0], NULL, NULL), EOPNOTSUPP);
    FAILS(socket(AF_UNIX, 77, 0), EINVAL);
    FAILS(socket(AF_UNIX, SOCK_RDM, 0), ESOCKTNOSUPPORT);
}
