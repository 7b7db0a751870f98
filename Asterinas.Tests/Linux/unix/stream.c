// Pairs of AF_UNIX stream sockets, and named ones (man 7 unix, man 2 socketpair, send, recv, shutdown).
#include "../common/scratch.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

CASE(socketpair_stream_carries_bytes_both_ways)
{
    int s[2];
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    EQUAL(write(s[0], "abc", 3), 3);
    EQUAL(write(s[0], "def", 3), 3);
    EQUAL(write(s[1], "back", 4), 4);
    char text[16];
    EQUAL(read(s[1], text, 16), 6);
    CHECK(memcmp(text, "abcdef", 6) == 0);
    EQUAL(read(s[0], text, 2), 2);
    EQUAL(read(s[0], text + 2, 16 - 2), 2);
    CHECK(memcmp(text, "back", 4) == 0);
}

CASE(socketpair_flags_and_errors)
{
    int s[2];
    OK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, s));
    EQUAL(fcntl(s[0], F_GETFD), FD_CLOEXEC);
    EQUAL(fcntl(s[1], F_GETFL) & O_NONBLOCK, O_NONBLOCK);
    char byte;
    FAILS(read(s[0], &byte, 1), EAGAIN);
    int none[2];
    FAILS(socketpair(AF_UNIX, 77, 0, none), EINVAL);
    FAILS(socketpair(AF_UNIX, SOCK_STREAM, 77, none), EPROTONOSUPPORT);
    FAILS(socketpair(9999, SOCK_STREAM, 0, none), EAFNOSUPPORT);
    FAILS(syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM, 0, unmapped_address()), EFAULT);
    FAILS(lseek(s[0], 0, SEEK_SET), ESPIPE);
}

CASE(stream_end_of_file_after_close_and_shutdown)
{
    int s[2];
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    EQUAL(write(s[0], "abc", 3), 3);
    OK(close(s[0]));
    char text[8];
    EQUAL(read(s[1], text, 8), 3);
    EQUAL(read(s[1], text, 8), 0);
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    OK(shutdown(s[0], SHUT_WR));
    EQUAL(read(s[1], text, 8), 0);
    EQUAL(write(s[1], "x", 1), 1);
    EQUAL(read(s[0], text, 8), 1);
    signal(SIGPIPE, SIG_IGN);
    FAILS(write(s[0], "x", 1), EPIPE);
    OK(shutdown(s[0], SHUT_RD));
    FAILS(write(s[1], "x", 1), EPIPE);
    FAILS(shutdown(s[0], 77), EINVAL);
    FAILS(shutdown(999, SHUT_RD), EBADF);
}

CASE(stream_write_to_a_closed_peer_sends_SIGPIPE_unless_MSG_NOSIGNAL)
{
    int s[2];
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    OK(close(s[1]));
    FAILS(send(s[0], "x", 1, MSG_NOSIGNAL), EPIPE);
    count_signals(SIGPIPE);
    FAILS(write(s[0], "x", 1), EPIPE);
    EQUAL(signals_seen, 1);
    FAILS(send(s[0], "x", 1, 0), EPIPE);
    EQUAL(signals_seen, 2);
}

CASE(stream_unread_bytes_at_close_reset_the_peer)
{
    int s[2];
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    EQUAL(write(s[0], "abc", 3), 3);
    OK(close(s[1]));
    char byte;
    FAILS(read(s[0], &byte, 1), ECONNRESET);
    EQUAL(read(s[0], &byte, 1), 0);
}

CASE(stream_MSG_PEEK_MSG_WAITALL_MSG_DONTWAIT)
{
    int s[2];
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    char text[8] = {0};
    FAILS(recv(s[1], text, 8, MSG_DONTWAIT), EAGAIN);
    EQUAL(send(s[0], "abcdef", 6, 0), 6);
    EQUAL(recv(s[1], text, 3, MSG_PEEK), 3);
    EQUAL(recv(s[1], text, 3, 0), 3);
    CHECK(memcmp(text, "abc", 3) == 0);
    pid_t self = getpid();
    pid_t child = CHILD({ until_asleep(self); EQUAL(send(s[0], "ghijk", 5, 0), 5); });
    EQUAL(recv(s[1], text, 8, MSG_WAITALL), 8);
    CHECK(memcmp(text, "defghijk", 8) == 0);
    REAP_EXIT(child, 0);
}

CASE(stream_full_buffers_block_or_fail_with_EAGAIN)
{
    int s[2];
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    static char data[1 << 20];
    fill_pattern(data, sizeof data, 1);
    size_t sent = 0;
    ssize_t n;
    while ((n = send(s[0], data + sent, sizeof data - sent, MSG_DONTWAIT)) > 0) sent += n;
    FAILS(send(s[0], data, 1, MSG_DONTWAIT), EAGAIN);
    CHECK(sent >= 4096 && sent < sizeof data);
    struct pollfd poller = {s[0], POLLOUT, 0};
    EQUAL(poll(&poller, 1, 0), 0);
    pid_t child = CHILD({ EQUAL(write(s[0], data + sent, sizeof data - sent), sizeof data - sent); });
    until_asleep(child);
    static char back[1 << 20];
    EQUAL(recv(s[1], back, sizeof back, MSG_WAITALL), sizeof back);
    CHECK(memcmp(data, back, sizeof back) == 0);
    REAP_EXIT(child, 0);
    EQUAL(poll(&poller, 1, 0), 1);
}

CASE(stream_poll_states)
{
    int s[2];
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    struct pollfd poller = {s[0], POLLIN | POLLOUT | POLLRDHUP, 0};
    EQUAL(poll(&poller, 1, 0), 1);
    EQUAL(poller.revents, POLLOUT);
    EQUAL(write(s[1], "x", 1), 1);
    EQUAL(poll(&poller, 1, 0), 1);
    EQUAL(poller.revents, POLLIN | POLLOUT);
    int pending;
    OK(ioctl(s[0], FIONREAD, &pending));
    EQUAL(pending, 1);
    OK(shutdown(s[1], SHUT_WR));
    EQUAL(poll(&poller, 1, 0), 1);
    EQUAL(poller.revents, POLLIN | POLLOUT | POLLRDHUP);
    OK(close(s[1]));
    EQUAL(poll(&poller, 1, 0), 1);
    EQUAL(poller.revents, POLLIN | POLLOUT | POLLRDHUP | POLLHUP);
}

static struct sockaddr_un named(const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strcpy(address.sun_path, name);
    return address;
}

CASE(stream_listen_connect_accept_by_a_name_in_the_file_system)
{
    test_directory();
    struct sockaddr_un address = named("socket"), peer;
    int listener = OK(socket(AF_UNIX, SOCK_STREAM, 0));
    OK(bind(listener, (void *)&address, sizeof address));
    CHECK(S_ISSOCK(stat_of("socket").st_mode));
    FAILS(connect(OK(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&address, sizeof address), ECONNREFUSED);
    OK(listen(listener, 5));
    int client = OK(socket(AF_UNIX, SOCK_STREAM, 0));
    OK(connect(client, (void *)&address, sizeof address));
    socklen_t size = sizeof peer;
    int server = OK(accept4(listener, (void *)&peer, &size, SOCK_CLOEXEC));
    EQUAL(fcntl(server, F_GETFD), FD_CLOEXEC);
    EQUAL(peer.sun_family, AF_UNIX);
    EQUAL(size, sizeof(sa_family_t));
    EQUAL(write(client, "abc", 3), 3);
    char text[8];
    EQUAL(read(server, text, 8), 3);
    size = sizeof peer;
    OK(getpeername(client, (void *)&peer, &size));
    CHECK(strcmp(peer.sun_path, "socket") == 0);
    size = sizeof peer;
    OK(getsockname(server, (void *)&peer, &size));
    CHECK(strcmp(peer.sun_path, "socket") == 0);
    FAILS(bind(OK(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&address, sizeof address), EADDRINUSE);
    OK(unlink("socket"));
    FAILS(connect(OK(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&address, sizeof address), ENOENT);
}

CASE(stream_accept_waits_for_connect)
{
    test_directory();
    struct sockaddr_un address = named("socket");
    int listener = OK(socket(AF_UNIX, SOCK_STREAM, 0));
    OK(bind(listener, (void *)&address, sizeof address));
    OK(listen(listener, 1));
    struct pollfd poller = {listener, POLLIN, 0};
    EQUAL(poll(&poller, 1, 0), 0);
    pid_t self = getpid();
    pid_t child = CHILD({
        until_asleep(self);
        int client = OK(socket(AF_UNIX, SOCK_STREAM, 0));
        OK(connect(client, (void *)&address, sizeof address));
        EQUAL(write(client, "hello", 5), 5);
    });
    int server = OK(accept(listener, NULL, NULL));
    char text[8];
    EQUAL(read(server, text, 8), 5);
    REAP_EXIT(child, 0);
    OK(fcntl(listener, F_SETFL, O_NONBLOCK));
    FAILS(accept(listener, NULL, NULL), EAGAIN);
    FAILS(accept(server, NULL, NULL), EINVAL);
}

CASE(stream_abstract_names_need_no_file)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int length = snprintf(address.sun_path + 1, 90, "asterinas-test-%d", getpid());
    socklen_t size = offsetof(struct sockaddr_un, sun_path) + 1 + length;
    int listener = OK(socket(AF_UNIX, SOCK_STREAM, 0));
    OK(bind(listener, (void *)&address, size));
    OK(listen(listener, 1));
    FAILS(bind(OK(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&address, size), EADDRINUSE);
    OK(connect(OK(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&address, size));
    OK(close(listener));
    FAILS(connect(OK(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&address, size), ECONNREFUSED);
    // Without a name to bind to, the kernel makes one up.
    int automatic = OK(socket(AF_UNIX, SOCK_STREAM, 0));
    OK(bind(automatic, (void *)&address, sizeof(sa_family_t)));
    size = sizeof address;
    OK(getsockname(automatic, (void *)&address, &size));
    EQUAL(size, sizeof(sa_family_t) + 6);
    EQUAL(address.sun_path[0], 0);
}

CASE(stream_named_socket_permissions)
{
    test_directory();
    struct sockaddr_un address = named("socket");
    int listener = OK(socket(AF_UNIX, SOCK_STREAM, 0));
    OK(bind(listener, (void *)&address, sizeof address));
    OK(listen(listener, 5));
    OK(chmod("socket", 0755));
    AS_NOBODY({ FAILS(connect(OK(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&address, sizeof address), EACCES); });
    OK(chmod("socket", 0777));
    AS_NOBODY({ OK(connect(OK(socket(AF_UNIX, SOCK_STREAM, 0)), (void *)&address, sizeof address)); });
}

CASE(socket_options_of_unix_sockets)
{
    int s[2], value;
    OK(socketpair(AF_UNIX, SOCK_STREAM, 0, s));
    socklen_t size = sizeof value;
    OK(getsockopt(s[0], SOL_SOCKET, SO_TYPE, &value, &size));
    EQUAL(value, SOCK_STREAM);
    OK(getsockopt(s[0], SOL_SOCKET, SO_DOMAIN, &value, &size));
    EQUAL(value, AF_UNIX);
    OK(getsockopt(s[0], SOL_SOCKET, SO_ERROR, &value, &size));
    EQUAL(value, 0);
    OK(getsockopt(s[0], SOL_SOCKET, SO_ACCEPTCONN, &value, &size));
    EQUAL(value, 0);
    value = 20000;
    OK(setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &value, sizeof value));
    OK(getsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &value, &size));
    EQUAL(value, 40000);        // doubled, as man 7 socket says
    struct ucred credentials;
    size = sizeof credentials;
    OK(getsockopt(s[0], SOL_SOCKET, SO_PEERCRED, &credentials, &size));
    EQUAL(credentials.pid, getpid());
    EQUAL(credentials.uid, 0);
    struct timeval timeout = {0, 50000};
    OK(setsockopt(s[0], SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout));
    int64_t start = now_ns();
    char byte;
    FAILS(read(s[0], &byte, 1), EAGAIN);
    CHECK(passed_ms(start, 50));
    FAILS(getsockopt(s[0], SOL_SOCKET, 9999, &value, &size), ENOPROTOOPT);
    FAILS(getsockopt(999, SOL_SOCKET, SO_TYPE, &value, &size), EBADF);
    FAILS(getsockopt(OK(open("/dev/null", O_RDONLY)), SOL_SOCKET, SO_TYPE, &value, &size), ENOTSOCK);
}
