// Random system calls with random arguments, in several processes at once. The kernel survives, the supervisor goes on, the machine works afterwards.
//
// HOSTILE_SEED (1), HOSTILE_CALLS in all (200000), HOSTILE_PROCESSES (4). HOSTILE_IN_GUEST says that the machine is there to be broken: then fewer calls are excluded.
#include "../common/hostile.h"
#include <sys/socket.h>
#include <sys/time.h>

enum
{
    LAST_CALL = 470,
    ARENA_PAGES = 16,
    STALL_MS = 1000,
};

// What a worker tells the supervisor, in shared memory; the rest is out of its reach.
struct progress
{
    volatile long calls;        // made so far, by all its incarnations
    volatile long number;       // the call that is being made, for the report
};

struct worker
{
    struct progress *progress;
    pid_t pid;
    long seen;
    int64_t seen_at;
    int incarnation;
};

static struct worker workers[64];
static char *arena;

// Not made at all: they end the process, or stop the machine (which would be no defect).
static const short never[] = {SYS_exit, SYS_exit_group, SYS_rt_sigreturn, SYS_reboot, SYS_kexec_load, 320 /* kexec_file_load */, SYS_vhangup, SYS_vfork};

// Not made on the machine that runs the tests: parts of its kernel that are known to be risky and that this project does not have.
static const short not_outside[] = {425, 426, 427 /* io_uring */, 321 /* bpf */, SYS_perf_event_open, SYS_userfaultfd, SYS_add_key, SYS_request_key, SYS_keyctl, SYS_ptrace,
                                    SYS_modify_ldt, SYS_clone, SYS_fork, 435 /* clone3 */, SYS_syslog, SYS_unshare, SYS_setns, SYS_fanotify_init, SYS_sync, SYS_syncfs, 175 /* init_module */, 313, 176};

static bool is_among(long number, const short *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
    {
        if (list[i] == number) return true;
    }
    return false;
}

static bool is_allowed(long number)
{
    if (is_among(number, never, sizeof never / sizeof *never)) return false;
    return getenv("HOSTILE_IN_GUEST") != NULL || !is_among(number, not_outside, sizeof not_outside / sizeof *not_outside);
}

static void nothing(int number) { (void)number; }

// The timer that interrupts calls that block; the calls before may have taken it away.
static void rearm(void)
{
    struct sigaction action = {.sa_handler = nothing};
    sigaction(SIGALRM, &action, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    setitimer(ITIMER_REAL, &(struct itimerval){{0, 20000}, {0, 20000}}, NULL);
}

static const char *const names[] = {"a", "b", "a/b", "directory", "directory/x", ".", "..", "/", "", "////", "a\xff", "link", "/proc/self/maps", "/dev/null", "very/long/../../name"};

static unsigned long random_pointer(void)
{
    switch (random_below(12))
    {
        case 0: return 0;
        case 1: return (unsigned long)bad_pointer(random_below(BAD_POINTERS));
        case 2: return (unsigned long)arena + random_below(ARENA_PAGES * 4096);
        case 3: return (unsigned long)arena + ARENA_PAGES * 4096 - random_below(64);        // near its end
        case 4:
        case 5:
        case 6: return (unsigned long)names[random_below(sizeof names / sizeof *names)];
        case 7: return random_bits();
        default: return (unsigned long)arena + (random_below(ARENA_PAGES * 4096) & ~7U);
    }
}

static unsigned long random_argument(void)
{
    static const unsigned long interesting[] = {0, 1, 2, 3, 4, 7, 8, 16, 31, 32, 63, 64, 65, 127, 128, 255, 256, 512, 1023, 1024, 4095, 4096, 4097, 8192, 65535, 65536, 0x7fffffff, 0x80000000,
                                                0xffffffff, 0x100000000, 0x7fffffffffffffff, 0x8000000000000000, -1UL, -2UL, -4095UL, -4096UL, -100UL /* AT_FDCWD */};
    switch (random_below(10))
    {
        case 0:
        case 1:
        case 2:
        case 3: return random_pointer();
        case 4: return random_below(24);                                    // descriptors
        case 5: return 1UL << random_below(64);
        case 6: return random_bits() & random_bits() & random_bits();      // flags
        case 7: return random_bits();
        case 8: return random_below(65536);
        default: return interesting[random_below(sizeof interesting / sizeof *interesting)];
    }
}

// What lies in the arena: pointers, small numbers, descriptors, so that structures in it are sometimes nearly right.
static void fill_arena(void)
{
    for (int i = 0; i < 64; i++)
    {
        unsigned long *place = (unsigned long *)(arena + (random_below(ARENA_PAGES * 4096 - 8) & ~7U));
        *place = random_argument();
    }
}

static void make_files(void)
{
    mkdir("directory", 0777);
    close(open("a", O_RDWR | O_CREAT, 0666));
    if (symlink("directory/../a", "link") == -1) errno = 0;
    int ends[2];
    if (pipe2(ends, O_NONBLOCK) == -1 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends) == -1) errno = 0;
    open("a", O_RDWR);
    open("directory", O_RDONLY);
}

static void work(struct progress *self, uint64_t seed, long limit)
{
    random_seed(seed);
    // Nothing of ours beside it.
    arena = mmap(NULL, (ARENA_PAGES + 32) * 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    arena += 16 * 4096;
    mprotect(arena, ARENA_PAGES * 4096, PROT_READ | PROT_WRITE);
    make_files();
    pid_t me = getpid();
    for (long i = 0; self->calls < limit; i++)
    {
        if (i % 64 == 0)
        {
            rearm();
            fill_arena();
        }
        if (i % 512 == 511) make_files();
        long number = random_below(LAST_CALL);
        if (random_below(1000) == 0) number = random_bits();
        unsigned long arguments[6];
        for (int j = 0; j < 6; j++) arguments[j] = random_argument();
        if (!is_allowed(number)) continue;
        // To whom signals go: this process and those that do not exist. (User ids keep it from others in any case.)
        if (number == SYS_kill || number == SYS_tkill || number == SYS_rt_sigqueueinfo || number == SYS_tgkill || number == SYS_rt_tgsigqueueinfo)
        {
            if (random_below(8) != 0) arguments[0] = 0x3ffffff0 + random_below(16);
            else arguments[0] = me;
        }
        self->number = number;
        long result = syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
        // Children of a fork of whatever kind.
        if (result == 0 && (number == SYS_fork || number == SYS_clone || number == 435) && getpid() != me) _exit(0);
        self->calls++;
    }
    _exit(0);
}

static void start(int index, long seed, long limit, const char *root)
{
    struct worker *worker = &workers[index];
    worker->seen = worker->progress->calls;
    worker->seen_at = now_ns();
    uint64_t own_seed = (uint64_t)seed * 1000003 + index * 7919 + worker->incarnation * 104729;
    worker->incarnation++;
    worker->pid = OK(fork());
    if (worker->pid == 0)
    {
        signal(SIGINT, SIG_DFL);
        enter_box(index, root);
        work(worker->progress, own_seed, limit);
    }
}

CASE_LIMIT(random_calls_of_several_processes_are_survived, 7200)
{
    long seed = parameter("HOSTILE_SEED", 1), calls = parameter("HOSTILE_CALLS", 200000);
    int count = (int)parameter("HOSTILE_PROCESSES", 4);
    CHECK(count <= 64);
    char roots[count][PATH_MAX + 16];
    const char *directory = test_directory();
    OK(prctl(PR_SET_CHILD_SUBREAPER, 1));           // so that what the workers leave behind is reaped here
    for (int i = 0; i < count; i++)
    {
        snprintf(roots[i], sizeof roots[i], "%s/%d", directory, i);
        workers[i].progress = shared_memory(4096);
        OK(mkdir(roots[i], 0777));
        OK(chmod(roots[i], 0777));
        start(i, seed, calls / count, roots[i]);
    }
    int running = count, ends = 0;
    while (running > 0)
    {
        int status;
        pid_t pid = waitpid(-1, &status, WNOHANG);
        if (pid <= 0) sleep_ms(2);
        for (int i = 0; i < count; i++)
        {
            struct worker *worker = &workers[i];
            if (worker->pid == 0) continue;
            if (pid == worker->pid)
            {
                CHECK_THAT(!WIFEXITED(status) || WEXITSTATUS(status) < 90 || WEXITSTATUS(status) > 94, "the box cannot be entered: %d", WEXITSTATUS(status));
                ends++;
                sweep_box(i);
                if (worker->progress->calls >= calls / count)
                {
                    worker->pid = 0;
                    running--;
                }
                else start(i, seed, calls / count, roots[i]);
            }
            else if (worker->progress->calls != worker->seen)
            {
                worker->seen = worker->progress->calls;
                worker->seen_at = now_ns();
            }
            else if (passed_ms(worker->seen_at, STALL_MS))
            {
                // A call that blocks: killing must end it, whatever it is.
                kill(worker->pid, SIGKILL);
                if (passed_ms(worker->seen_at, 60000 + STALL_MS)) CHECK_THAT(false, "call %ld of process %d does not end by SIGKILL", worker->progress->number, worker->pid);
            }
        }
    }
    long total = 0;
    for (int i = 0; i < count; i++) total += workers[i].progress->calls;
    CHECK(total >= calls / count * count);
    CHECK(ends >= count);
}

CASE(machine_works_after_it)
{
    IN_CHILD({
        test_directory();
        write_text("file", "still here");
        char text[32];
        EQUAL(read_text("file", text, sizeof text), 10);
    });
    for (int i = 0; i < 50; i++) REAP_EXIT(CHILD({ _exit(i); }), i);
}
