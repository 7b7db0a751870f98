// What the hostile programs share: reproducible random numbers, bad pointers, and a box for processes that do whatever they like.
#pragma once

#include "test.h"
#include <grp.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>

// A parameter of the run, from the environment: HOSTILE_SEED, HOSTILE_CALLS and so on.
static inline long parameter(const char *name, long otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtol(text, NULL, 0);
}

// xorshift*, one state a process: the same seed makes the same run (as far as each process is concerned).
static uint64_t random_state = 88172645463325252ULL;

static inline void random_seed(uint64_t seed)
{
    random_state = (seed + 0x9e3779b97f4a7c15ULL) * 0xbf58476d1ce4e5b9ULL;
    if (random_state == 0) random_state = 1;
}

static inline uint64_t random_bits(void)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return random_state * 0x2545f4914f6cdd1dULL;
}

static inline unsigned random_below(unsigned limit) { return (random_bits() >> 33) % limit; }

// Addresses that no kernel may follow. The last two are half there: one byte, and eight, before a page that is not.
enum
{
    BAD_POINTERS = 10,
};

static inline void *bad_pointer(int index)
{
    static char *hole, *edge, *readable;
    if (hole == NULL)
    {
        hole = unmapped_address();
        edge = (char *)before_unmapped(1) + 1;
        memset(edge - 4096, 'a', 4096);             // strings there have no end
        readable = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    }
    switch (index)
    {
        case 0: return (void *)8;                                   // below the first page
        case 1: return hole + 64;
        case 2: return readable;                                    // mapped without access
        case 3: return (void *)0xffffffff81000000;                  // the kernel's half
        case 4: return (void *)0xffff888000000000;
        case 5: return (void *)0x8000000000000000;                  // non-canonical
        case 6: return (void *)-8;
        case 7: return (void *)0x7ffffffffffff000;
        case 8: return edge - 1;
        default: return edge - 8;
    }
}

static inline bool is_half_mapped(int index) { return index >= 8; }

enum
{
    BOX_FIRST_USER = 54321,
};

// Takes the calling process (a child) into a box: an empty file system, user `number` of the box without privileges, small limits. Namespaces of its own where the kernel has
// them, so that on a real machine nothing outside is reached. What it may still do to the machine is up to the kernel: that is what is tested.
static inline void enter_box(int number, const char *root)
{
    uid_t id = BOX_FIRST_USER + number;
    int null = open("/dev/null", O_RDWR);
    for (int fd = 0; fd < 3 && null >= 0; fd++) dup2(null, fd);
    bool outside = getenv("HOSTILE_IN_GUEST") == NULL;
    int separate = unshare(CLONE_NEWNS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWUTS);
    if (separate == -1 && outside) _exit(90);
    if (separate == 0)
    {
        if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == -1 && outside) _exit(91);
        if (mount("none", root, "tmpfs", 0, "size=32m,nr_inodes=20000,mode=1777") == -1 && outside) _exit(92);
    }
    if (chroot(root) == -1 || chdir("/") == -1) _exit(93);
    struct
    {
        int resource;
        rlim_t limit;
    } limits[] = {{RLIMIT_AS, 1UL << 30}, {RLIMIT_NOFILE, 64}, {RLIMIT_NPROC, 24}, {RLIMIT_FSIZE, 4 << 20}, {RLIMIT_MEMLOCK, 65536}, {RLIMIT_SIGPENDING, 64},
                  {RLIMIT_STACK, 1 << 20}, {RLIMIT_MSGQUEUE, 65536}, {RLIMIT_CORE, 0}, {RLIMIT_RTPRIO, 0}};
    for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) setrlimit(limits[i].resource, &(struct rlimit){limits[i].limit, limits[i].limit});
    if (setgroups(0, NULL) == -1 || setresgid(id, id, id) == -1 || setresuid(id, id, id) == -1) _exit(94);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
}

// Ends all processes of the box's user, also those that nobody knows of.
static inline void sweep_box(int number)
{
    pid_t child = fork();
    if (child == 0)
    {
        uid_t id = BOX_FIRST_USER + number;
        if (setresuid(id, id, id) == 0) kill(-1, SIGKILL);
        _exit(0);
    }
    while (child > 0 && waitpid(child, NULL, 0) == -1 && errno == EINTR) { }
}
