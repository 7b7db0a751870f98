// User and group ids: credentials(7), setuid(2), setreuid(2), setresuid(2), setfsuid(2), setgroups(2), set-user-ID programs; and that they decide.
#include "../common/test.h"
#include <grp.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

// The raw calls: glibc's would run in every thread.
#define setuid(u) syscall(SYS_setuid, u)
#define setgid(g) syscall(SYS_setgid, g)
#define setreuid(r, e) syscall(SYS_setreuid, r, e)
#define setregid(r, e) syscall(SYS_setregid, r, e)
#define setresuid(r, e, s) syscall(SYS_setresuid, r, e, s)
#define setresgid(r, e, s) syscall(SYS_setresgid, r, e, s)
#define setgroups(n, list) syscall(SYS_setgroups, n, list)

#define UIDS(real, effective, saved)                                                                                   \
    do                                                                                                                 \
    {                                                                                                                  \
        uid_t real_, effective_, saved_;                                                                               \
        OK(getresuid(&real_, &effective_, &saved_));                                                                   \
        CHECK_THAT(real_ == (real) && effective_ == (effective) && saved_ == (saved), "uids are %d %d %d, not %s", real_, effective_, saved_,          \
                   #real " " #effective " " #saved);                                                                   \
    } while (0)

#define GIDS(real, effective, saved)                                                                                   \
    do                                                                                                                 \
    {                                                                                                                  \
        gid_t real_, effective_, saved_;                                                                               \
        OK(getresgid(&real_, &effective_, &saved_));                                                                   \
        CHECK_THAT(real_ == (real) && effective_ == (effective) && saved_ == (saved), "gids are %d %d %d, not %s", real_, effective_, saved_,          \
                   #real " " #effective " " #saved);                                                                   \
    } while (0)

CASE(root_is_all_zero)
{
    UIDS(0, 0, 0);
    GIDS(0, 0, 0);
    EQUAL(getuid(), 0);
    EQUAL(geteuid(), 0);
    EQUAL(getgid(), 0);
    EQUAL(getegid(), 0);
}

CASE(setuid_by_root_sets_all_three)
{
    OK(setuid(1000));
    UIDS(1000, 1000, 1000);
    FAILS(setuid(0), EPERM);
    OK(setuid(1000));
}

CASE(setuid_by_a_user_sets_the_effective_id_to_real_or_saved)
{
    OK(setresuid(1000, 1001, 1002));
    OK(setuid(1002));
    UIDS(1000, 1002, 1002);
    OK(setuid(1000));
    UIDS(1000, 1000, 1002);
    FAILS(setuid(1001), EPERM);
}

CASE(setgid_by_root_and_by_a_user)
{
    OK(setgid(500));
    GIDS(500, 500, 500);
    OK(setresgid(500, 501, 502));
    OK(setresuid(1000, 1000, 1000));
    OK(setgid(502));
    GIDS(500, 502, 502);
    FAILS(setgid(501), EPERM);
    FAILS(setgid(0), EPERM);
}

CASE(setreuid_sets_the_saved_id_when_the_real_changes_or_the_effective_differs_from_it)
{
    // man 2 setreuid.
    IN_CHILD({
        OK(setreuid(-1, 1000));
        UIDS(0, 1000, 1000);
        OK(setreuid(-1, 0));                // effective = real
        UIDS(0, 0, 1000);
    });
    IN_CHILD({
        OK(setreuid(1000, -1));
        UIDS(1000, 0, 0);
    });
    IN_CHILD({
        OK(setresuid(1000, 1001, 1002));
        OK(setreuid(1001, 1000));           // a swap
        UIDS(1001, 1000, 1000);
    });
    IN_CHILD({
        OK(setresuid(1000, 1001, 1002));
        FAILS(setreuid(1002, -1), EPERM);   // real: only real or effective
        OK(setreuid(-1, 1002));
        UIDS(1000, 1002, 1002);
        FAILS(setreuid(-1, 7), EPERM);
    });
}

CASE(setregid_follows_the_same_rules)
{
    IN_CHILD({
        OK(setregid(-1, 1000));
        GIDS(0, 1000, 1000);
    });
    IN_CHILD({
        OK(setresgid(1000, 1001, 1002));
        OK(setresuid(1, 1, 1));
        FAILS(setregid(1002, -1), EPERM);
        OK(setregid(1001, 1000));
        GIDS(1001, 1000, 1000);
        FAILS(setregid(-1, 7), EPERM);
    });
}

CASE(setresuid_by_a_user_permutes_its_ids)
{
    OK(setresuid(1000, 1001, 1002));
    UIDS(1000, 1001, 1002);
    OK(setresuid(1002, 1000, 1001));
    UIDS(1002, 1000, 1001);
    OK(setresuid(-1, -1, -1));
    UIDS(1002, 1000, 1001);
    FAILS(setresuid(7, -1, -1), EPERM);
    FAILS(setresuid(-1, 7, -1), EPERM);
    FAILS(setresuid(-1, -1, 7), EPERM);
    FAILS(setresuid(1000, 7, -1), EPERM);           // all or nothing
    UIDS(1002, 1000, 1001);
}

CASE(setresgid_by_a_user_permutes_its_ids)
{
    OK(setresgid(1000, 1001, 1002));
    OK(setresuid(1, 1, 1));
    OK(setresgid(1002, 1000, 1001));
    GIDS(1002, 1000, 1001);
    FAILS(setresgid(7, -1, -1), EPERM);
    FAILS(setresgid(-1, 7, -1), EPERM);
    FAILS(setresgid(-1, -1, 7), EPERM);
}

CASE(minus_one_is_no_id)
{
    FAILS(setuid(-1), EINVAL);
    FAILS(setgid(-1), EINVAL);
}

CASE(getresuid_checks_its_pointers)
{
    uid_t id;
    FAILS(syscall(SYS_getresuid, unmapped_address(), &id, &id), EFAULT);
    FAILS(syscall(SYS_getresuid, &id, unmapped_address(), &id), EFAULT);
    FAILS(syscall(SYS_getresuid, &id, &id, unmapped_address()), EFAULT);
    FAILS(syscall(SYS_getresgid, unmapped_address(), &id, &id), EFAULT);
    FAILS(syscall(SYS_getresgid, &id, &id, NULL), EFAULT);
}

CASE(setfsuid_returns_the_old_id_and_never_fails)
{
    EQUAL(setfsuid(-1), 0);                 // man 2 setfsuid: the way to read it
    EQUAL(setfsuid(1000), 0);
    EQUAL(setfsuid(-1), 1000);
    OK(setresuid(1001, 1002, 1003));        // the effective id's change sets it
    EQUAL(setfsuid(-1), 1002);
    EQUAL(setfsuid(1003), 1002);
    EQUAL(setfsuid(7), 1003);               // not allowed: stays
    EQUAL(setfsuid(-1), 1003);
    EQUAL(setfsgid(-1), 0);
}

CASE(setfsuid_decides_about_files_only)
{
    test_directory();
    write_file("secret", "x", 1, 0600);
    setfsuid(1000);
    FAILS(open("secret", O_RDONLY), EACCES);
    int fd = OK(open("mine", O_WRONLY | O_CREAT, 0600));
    struct stat status;
    OK(fstat(fd, &status));
    EQUAL(status.st_uid, 1000);
    OK(kill(getppid(), 0));
    setfsuid(0);
    OK(open("secret", O_RDONLY));
}

CASE(groups_can_be_set_and_read)
{
    gid_t list[100];
    for (int i = 0; i < 100; i++) list[i] = 9000 - i;
    OK(setgroups(100, list));
    EQUAL(getgroups(0, NULL), 100);
    gid_t read[100];
    FAILS(getgroups(99, read), EINVAL);
    FAILS(syscall(SYS_getgroups, -1, read), EINVAL);
    EQUAL(getgroups(100, read), 100);
    long sum = 0;
    for (int i = 0; i < 100; i++) sum += read[i];
    EQUAL(sum, 100L * 9000 - 4950);
    FAILS(syscall(SYS_getgroups, 100, unmapped_address()), EFAULT);
    FAILS(setgroups(1, unmapped_address()), EFAULT);
    FAILS(setgroups(65537, list), EINVAL);
    FAILS(setgroups(-1, list), EINVAL);
    IN_CHILD({ EQUAL(getgroups(100, read), 100); });
    OK(setgroups(0, NULL));
    EQUAL(getgroups(0, NULL), 0);
}

CASE(setgroups_by_a_user_is_EPERM)
{
    gid_t list[] = {1};
    OK(setresuid(1000, 1000, 1000));
    FAILS(setgroups(1, list), EPERM);
    FAILS(setgroups(0, NULL), EPERM);
}

CASE(sixty_five_thousand_groups)
{
    gid_t *list = malloc(65536 * sizeof *list);
    for (int i = 0; i < 65536; i++) list[i] = 65536 - i;
    OK(setgroups(65536, list));
    EQUAL(getgroups(65536, list), 65536);
    test_directory();
    write_file("file", "x", 1, 0040);
    OK(chown("file", 0, 4321));
    OK(setresuid(1000, 1000, 1000));
    OK(open("file", O_RDONLY));
}

CASE(supplementary_group_gives_the_groups_rights)
{
    test_directory();
    write_file("file", "x", 1, 0040);
    OK(chown("file", 0, 777));
    IN_CHILD({
        gid_t list[] = {555, 777, 999};
        OK(setgroups(3, list));
        OK(setresuid(1000, 1000, 1000));
        OK(open("file", O_RDONLY));
        FAILS(open("file", O_WRONLY), EACCES);
    });
    IN_CHILD({
        gid_t list[] = {555, 999};
        OK(setgroups(2, list));
        OK(setresuid(1000, 1000, 1000));
        FAILS(open("file", O_RDONLY), EACCES);
    });
}

CASE(owner_bits_hold_for_the_owner_even_when_others_may_more)
{
    test_directory();
    write_file("file", "x", 1, 0066);
    OK(chown("file", 1000, 1000));
    IN_CHILD({
        OK(setgroups(0, NULL));
        OK(setresgid(1000, 1000, 1000));
        OK(setresuid(1000, 1000, 1000));
        FAILS(open("file", O_RDONLY), EACCES);
    });
    OK(chmod("file", 0606));
    IN_CHILD({
        OK(setgroups(0, NULL));
        OK(setresgid(1000, 1000, 1000));
        OK(setresuid(1001, 1001, 1001));
        FAILS(open("file", O_RDONLY), EACCES);
    });
}

CASE(access_uses_the_real_ids)
{
    test_directory();
    write_file("file", "x", 1, 0600);
    OK(setresuid(1000, 0, 0));
    OK(open("file", O_RDONLY));
    FAILS(access("file", R_OK), EACCES);
    OK(faccessat(AT_FDCWD, "file", R_OK, AT_EACCESS));
}

CASE(new_files_belong_to_the_effective_ids)
{
    test_directory();
    OK(setresgid(2001, 2002, 2003));
    OK(setresuid(1001, 1002, 1003));
    OK(close(OK(open("file", O_WRONLY | O_CREAT, 0644))));
    struct stat status;
    OK(stat("file", &status));
    EQUAL(status.st_uid, 1002);
    EQUAL(status.st_gid, 2002);
}

CASE(signals_need_a_matching_id)
{
    // man 2 kill: real or effective id of the sender equals real or saved id of the receiver.
    struct
    {
        uid_t sender_real, sender_effective, real, effective, saved;
        bool allowed;
    } table[] = {
        {1000, 1000, 1000, 1000, 1000, true}, {1000, 1000, 1001, 1001, 1001, false}, {1000, 1001, 1001, 5, 5, true},
        {1000, 1001, 5, 5, 1000, true},       {1000, 1001, 5, 1000, 5, false},       {0, 1000, 5, 5, 5, false},
        {1000, 0, 5, 5, 5, true},
    };
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
    {
        int *ready = shared_memory(sizeof *ready);
        pid_t receiver = CHILD({
            OK(setresuid(table[i].real, table[i].effective, table[i].saved));
            *ready = 1;
            for (;;) pause();
        });
        EVENTUALLY(*ready);
        IN_CHILD({
            OK(setresuid(table[i].sender_real, table[i].sender_effective, -1));
            if (table[i].allowed) OK(kill(receiver, SIGTERM));
            else
            {
                FAILS(kill(receiver, SIGTERM), EPERM);
                FAILS(kill(receiver, 0), EPERM);
            }
        });
        if (!table[i].allowed) OK(kill(receiver, SIGTERM));
        REAP_SIGNAL(receiver, SIGTERM);
    }
}

CASE(sigcont_may_be_sent_within_the_session)
{
    int *ready = shared_memory(sizeof *ready);
    pid_t receiver = CHILD({
        OK(setresuid(1001, 1001, 1001));
        *ready = 1;
        for (;;) pause();
    });
    EVENTUALLY(*ready);
    IN_CHILD({
        OK(setresuid(1000, 1000, 1000));
        OK(kill(receiver, SIGCONT));
        FAILS(kill(receiver, SIGTERM), EPERM);
    });
    IN_CHILD({
        OK(setsid());
        OK(setresuid(1000, 1000, 1000));
        FAILS(kill(receiver, SIGCONT), EPERM);
    });
    OK(kill(receiver, SIGKILL));
    REAP_SIGNAL(receiver, SIGKILL);
}

static void copy_program(const char *name, uid_t uid, gid_t gid, mode_t mode)
{
    static char bytes[1 << 16];
    int from = OK(open(test_program, O_RDONLY | O_CLOEXEC)), to = OK(open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700));
    ssize_t length;
    while ((length = OK(read(from, bytes, sizeof bytes))) > 0) EQUAL(write(to, bytes, length), length);
    OK(fchown(to, uid, gid));
    OK(fchmod(to, mode));
    OK(close(to));
    OK(close(from));
}

ENTRY(has_ids)
{
    unsigned expected[6], actual[6];
    for (int i = 0; i < 6; i++) expected[i] = atoi(argv[3 + i]);
    OK(getresuid(&actual[0], &actual[1], &actual[2]));
    OK(getresgid(&actual[3], &actual[4], &actual[5]));
    CHECK_THAT(memcmp(expected, actual, sizeof actual) == 0, "ids are %u %u %u, %u %u %u", actual[0], actual[1], actual[2], actual[3], actual[4], actual[5]);
    if (argc > 9) EQUAL(prctl(PR_GET_DUMPABLE), atoi(argv[9]));
    return 0;
}

static void executes_with_ids(const char *program, char *const ids[])
{
    char *arguments[11] = {"x", "--entry", "has_ids"};
    for (int i = 0; ids[i] != NULL; i++) arguments[3 + i] = ids[i];
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0)
    {
        execve(program, arguments, environ);
        test_fail(__FILE__, __LINE__, errno, "execve");
    }
    REAP_EXIT(child, 0);
}

CASE(set_user_id_program_gets_the_owners_effective_and_saved_id)
{
    test_directory();
    copy_program("program", 3000, 4000, 04755);
    OK(setresgid(200, 200, 200));
    OK(setresuid(100, 100, 100));
    executes_with_ids("./program", (char *[]){"100", "3000", "3000", "200", "200", "200", NULL});
}

CASE(set_group_id_program_gets_the_files_group)
{
    test_directory();
    copy_program("program", 3000, 4000, 02755);
    OK(setresgid(200, 200, 200));
    OK(setresuid(100, 100, 100));
    executes_with_ids("./program", (char *[]){"100", "100", "100", "200", "4000", "4000", NULL});
}

CASE(set_group_id_without_group_execute_is_no_set_group_id)
{
    // man 2 execve does not say it, man 7 inode does: that combination once meant mandatory locking.
    test_directory();
    copy_program("program", 3000, 4000, 02705);
    OK(setresgid(200, 200, 200));
    OK(setresuid(100, 100, 100));
    executes_with_ids("./program", (char *[]){"100", "100", "100", "200", "200", "200", NULL});
}

CASE(set_user_id_root_program_can_do_what_root_can)
{
    test_directory();
    copy_program("program", 0, 0, 06755);
    OK(setresgid(200, 200, 200));
    OK(setresuid(100, 100, 100));
    executes_with_ids("./program", (char *[]){"100", "0", "0", "200", "0", "0", "0", NULL});
}

CASE(program_that_changed_ids_is_not_dumpable)
{
    test_directory();
    copy_program("program", 3000, 4000, 04755);
    copy_program("plain", 3000, 4000, 0755);
    OK(setresuid(100, 100, 100));
    EQUAL(prctl(PR_GET_DUMPABLE), 0);
    executes_with_ids("./program", (char *[]){"100", "3000", "3000", "0", "0", "0", "0", NULL});
    executes_with_ids("./plain", (char *[]){"100", "100", "100", "0", "0", "0", "1", NULL});
}

CASE(no_new_privs_disables_set_user_id)
{
    test_directory();
    copy_program("program", 3000, 4000, 06755);
    OK(setresgid(200, 200, 200));
    OK(setresuid(100, 100, 100));
    EQUAL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 0);
    OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    EQUAL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1);
    executes_with_ids("./program", (char *[]){"100", "100", "100", "200", "200", "200", NULL});
    IN_CHILD({ EQUAL(prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0), 1); });
    FAILS(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0), EINVAL);
    FAILS(prctl(PR_SET_NO_NEW_PRIVS, 1, 1, 0, 0), EINVAL);
    FAILS(prctl(PR_GET_NO_NEW_PRIVS, 1, 0, 0, 0), EINVAL);
}

CASE(writing_and_changing_owner_clear_set_user_id)
{
    test_directory();
    write_file("file", "x", 1, 06777);
    IN_CHILD({
        OK(setresuid(100, 100, 100));
        int fd = OK(open("file", O_WRONLY));
        EQUAL(write(fd, "y", 1), 1);
    });
    struct stat status;
    OK(stat("file", &status));
    EQUAL(status.st_mode & 07777, 0777);
    OK(chmod("file", 06777));
    OK(chown("file", 100, 100));
    OK(stat("file", &status));
    EQUAL(status.st_mode & 07777, 0777);
}

CASE(sticky_directory_protects_the_files_of_others)
{
    test_directory();
    OK(mkdir("sticky", 0755));
    OK(chmod("sticky", 01777));
    write_text("sticky/roots", "x");
    write_text("sticky/users", "x");
    OK(chown("sticky/users", 100, 100));
    OK(setresuid(100, 100, 100));
    FAILS(unlink("sticky/roots"), EPERM);
    FAILS(rename("sticky/roots", "sticky/other"), EPERM);
    OK(rename("sticky/users", "sticky/other"));
    OK(unlink("sticky/other"));
}
