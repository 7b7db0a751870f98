// prctl(2), personality(2): what is set, read back, inherited, and reset.
#include "../common/test.h"
#include <linux/seccomp.h>
#include <sys/personality.h>
#include <sys/prctl.h>

#ifndef PR_GET_AUXV
#define PR_GET_AUXV 0x41555856
#endif

CASE(name_is_set_cut_and_read)
{
    char name[32];
    memset(name, 'x', sizeof name);
    OK(prctl(PR_SET_NAME, "exactly15bytes!"));
    OK(prctl(PR_GET_NAME, name));
    CHECK(strcmp(name, "exactly15bytes!") == 0);
    EQUAL(name[16], 'x');                       // sixteen bytes are written
    OK(prctl(PR_SET_NAME, "a name that is longer than that"));
    OK(prctl(PR_GET_NAME, name));
    CHECK(strcmp(name, "a name that is ") == 0);
    OK(prctl(PR_SET_NAME, ""));
    OK(prctl(PR_GET_NAME, name));
    EQUAL(name[0], 0);
    FAILS(prctl(PR_SET_NAME, unmapped_address()), EFAULT);
    FAILS(prctl(PR_GET_NAME, unmapped_address()), EFAULT);
    char *edge = before_unmapped(4);
    memcpy(edge, "abc", 4);
    OK(prctl(PR_SET_NAME, edge));               // read to the NUL, not further
}

CASE(name_is_inherited_by_fork)
{
    OK(prctl(PR_SET_NAME, "parent"));
    IN_CHILD({
        char name[16];
        OK(prctl(PR_GET_NAME, name));
        CHECK(strcmp(name, "parent") == 0);
        OK(prctl(PR_SET_NAME, "child"));
    });
    char name[16];
    OK(prctl(PR_GET_NAME, name));
    CHECK(strcmp(name, "parent") == 0);
}

CASE(name_is_seen_in_proc)
{
    char text[64];
    OK(prctl(PR_SET_NAME, "a (b) c"));
    if (read_text("/proc/self/comm", text, sizeof text) == -1) SKIP("no /proc");
    CHECK(strcmp(text, "a (b) c\n") == 0);
    int fd = OK(open("/proc/self/comm", O_WRONLY));
    EQUAL(write(fd, "other", 5), 5);
    OK(prctl(PR_GET_NAME, text));
    CHECK(strcmp(text, "other") == 0);
}

CASE(unknown_options_and_arguments_are_EINVAL)
{
    FAILS(prctl(0x7fffffff, 0, 0, 0, 0), EINVAL);
    FAILS(prctl(0, 0, 0, 0, 0), EINVAL);
    FAILS(prctl(PR_SET_DUMPABLE, 2, 0, 0, 0), EINVAL);
    FAILS(prctl(PR_SET_DUMPABLE, -1, 0, 0, 0), EINVAL);
    FAILS(prctl(PR_SET_TIMING, 1, 0, 0, 0), EINVAL);
    FAILS(prctl(PR_SET_PDEATHSIG, -1, 0, 0, 0), EINVAL);
    FAILS(prctl(PR_GET_THP_DISABLE, 1, 0, 0, 0), EINVAL);
}

CASE(dumpable_is_one_and_settable)
{
    EQUAL(prctl(PR_GET_DUMPABLE), 1);
    OK(prctl(PR_SET_DUMPABLE, 0));
    EQUAL(prctl(PR_GET_DUMPABLE), 0);
    IN_CHILD({ EQUAL(prctl(PR_GET_DUMPABLE), 0); });
    OK(prctl(PR_SET_DUMPABLE, 1));
    EQUAL(prctl(PR_GET_DUMPABLE), 1);
}

CASE(timing_is_statistical) { EQUAL(prctl(PR_GET_TIMING), PR_TIMING_STATISTICAL); }

CASE(timer_slack_is_50_us_and_settable)
{
    EQUAL(prctl(PR_GET_TIMERSLACK), 50000);
    OK(prctl(PR_SET_TIMERSLACK, 1000000));
    EQUAL(prctl(PR_GET_TIMERSLACK), 1000000);
    IN_CHILD({
        EQUAL(prctl(PR_GET_TIMERSLACK), 1000000);
        OK(prctl(PR_SET_TIMERSLACK, 7));
        OK(prctl(PR_SET_TIMERSLACK, 0));            // back to the default: what it was when the task was made
        EQUAL(prctl(PR_GET_TIMERSLACK), 1000000);
    });
}

CASE(thp_disable_is_kept)
{
    EQUAL(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0);
    OK(prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0));
    EQUAL(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1);
    IN_CHILD({ EQUAL(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 1); });
    OK(prctl(PR_SET_THP_DISABLE, 0, 0, 0, 0));
    EQUAL(prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0), 0);
}

CASE(tsc_can_be_forbidden)
{
    int mode = 0;
    OK(prctl(PR_GET_TSC, &mode));
    EQUAL(mode, PR_TSC_ENABLE);
    pid_t child = CHILD({
        OK(prctl(PR_SET_TSC, PR_TSC_SIGSEGV));
        OK(prctl(PR_GET_TSC, &mode));
        EQUAL(mode, PR_TSC_SIGSEGV);
        __asm__ volatile("rdtsc" : : : "eax", "edx");
        _exit(1);
    });
    REAP_SIGNAL(child, SIGSEGV);
    __asm__ volatile("rdtsc" : : : "eax", "edx");
    FAILS(prctl(PR_SET_TSC, 3), EINVAL);
}

CASE(seccomp_mode_is_none_then_strict)
{
    EQUAL(prctl(PR_GET_SECCOMP), 0);
    pid_t child = CHILD({
        OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
        syscall(SYS_write, 1, "", 0);
        syscall(SYS_exit, 5);               // of exit, exit_group is not allowed
    });
    REAP_EXIT(child, 5);
    child = CHILD({
        OK(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
        syscall(SYS_getpid);
        syscall(SYS_exit, 5);
    });
    REAP_SIGNAL(child, SIGKILL);
    FAILS(prctl(PR_SET_SECCOMP, 99), EINVAL);
}

CASE(auxiliary_vector_can_be_read)
{
    unsigned long vector[256];
    long size = prctl(PR_GET_AUXV, vector, sizeof vector, 0, 0);      // since Linux 6.4
    if (size == -1 && errno == EINVAL) SKIP("older Linux");
    CHECK(size >= 32 && size % 16 == 0);
    bool found = false;
    for (int i = 0; i < size / 8 && i < 256; i += 2) found |= vector[i] == AT_PAGESZ && vector[i + 1] == 4096;
    CHECK(found);
    EQUAL(prctl(PR_GET_AUXV, vector, 16, 0, 0), size);
}

CASE(personality_is_read_with_all_ones)
{
    EQUAL(personality(0xffffffff), PER_LINUX);
    EQUAL(personality(ADDR_NO_RANDOMIZE), PER_LINUX);
    EQUAL(personality(0xffffffff), ADDR_NO_RANDOMIZE);
    IN_CHILD({ EQUAL(personality(0xffffffff), ADDR_NO_RANDOMIZE); });
}

ENTRY(prints_places)
{
    unsigned long places[4] = {(unsigned long)argv, getauxval(AT_SYSINFO_EHDR), (unsigned long)mmap(NULL, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
                               (unsigned long)sbrk(0)};
    return write(3, places, sizeof places) == sizeof places && personality(0xffffffff) == ADDR_NO_RANDOMIZE ? 0 : 1;
}

CASE(without_randomisation_every_start_is_the_same)
{
    unsigned long places[2][4];
    for (int i = 0; i < 2; i++)
    {
        int ends[2];
        OK(pipe(ends));
        pid_t child = CHILD({
            OK(dup2(ends[1], 3));
            OK(personality(ADDR_NO_RANDOMIZE));
            char *arguments[] = {"x", "--entry", "prints_places", NULL};
            char *environment[] = {NULL};
            execve(test_program, arguments, environment);
        });
        OK(close(ends[1]));
        EQUAL(read(ends[0], places[i], sizeof places[i]), sizeof places[i]);
        OK(close(ends[0]));
        REAP_EXIT(child, 0);
    }
    for (int i = 0; i < 4; i++) EQUAL(places[0][i], places[1][i]);
}

static const unsigned char returns_7[] = {0xb8, 7, 0, 0, 0, 0xc3};

CASE(read_implies_exec)
{
    personality(READ_IMPLIES_EXEC);
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(page != MAP_FAILED);
    memcpy(page, returns_7, sizeof returns_7);
    EQUAL(((int (*)(void))page)(), 7);
}

CASE(uname26_personality_shows_an_old_release)
{
    personality(0x0020000);                 // UNAME26
    struct
    {
        char names[6][65];
    } name;
    OK(syscall(SYS_uname, &name));
    CHECK_THAT(strncmp(name.names[2], "2.6.", 4) == 0, "%s", name.names[2]);
}

CASE(vma_names_are_accepted_or_refused_as_a_whole)
{
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (prctl(PR_SET_VMA, 0, page, 4096, "a name") == -1)
    {
        EQUAL(errno, EINVAL);               // configured out, the only choice that the manual page leaves
        return;
    }
    FAILS(prctl(PR_SET_VMA, 0, page + 1, 4096, "a name"), EINVAL);
    FAILS(prctl(PR_SET_VMA, 0, page, 4096, "tab\t"), EINVAL);
    OK(prctl(PR_SET_VMA, 0, page, 4096, NULL));
}
