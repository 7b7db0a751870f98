// Forged signal frames: random changes to real ones, and random memory as frames. The process may die, the kernel may not, and no privilege is gained.
//
// HOSTILE_SEED (1), HOSTILE_FRAMES (3000).
#include "../common/hostile.h"
#include <ucontext.h>

static uint64_t seed;
static volatile int kind;

static void forges(int number, siginfo_t *info, void *context)
{
    (void)number;
    ucontext_t *frame = context;
    char *registers = (char *)&frame->uc_mcontext, *vectors = (char *)frame->uc_mcontext.fpregs;
    random_seed(seed);
    switch (kind)
    {
        case 0:     // a few bits of the general registers
            for (int i = random_below(4); i >= 0; i--) registers[random_below(sizeof frame->uc_mcontext.gregs)] ^= 1 << random_below(8);
            break;
        case 1:     // a register of an interesting value
            frame->uc_mcontext.gregs[random_below(NGREG)] = (greg_t)bad_pointer(random_below(BAD_POINTERS));
            break;
        case 2:     // the vector state: control words, header, anything
            for (int i = random_below(8); i >= 0; i--) vectors[random_below(832)] ^= 1 << random_below(8);
            break;
        case 3:     // its header and the software bytes
            for (int i = 0; i < 16; i++) vectors[(random_below(2) ? 512 : 464) + random_below(64)] = random_bits();
            break;
        case 4:     // where it lies
            frame->uc_mcontext.fpregs = (fpregset_t)(random_below(2) ? bad_pointer(random_below(BAD_POINTERS)) : vectors + random_below(4096) - 2048);
            break;
        case 5:     // flags of all kinds
            frame->uc_mcontext.gregs[REG_EFL] = random_bits();
            frame->uc_flags = random_bits();
            break;
        case 6:     // selectors
            frame->uc_mcontext.gregs[REG_CSGSFS] = random_bits();
            break;
        case 7:     // mask and alternate stack
            memset(&frame->uc_sigmask, random_bits(), 8);
            frame->uc_stack.ss_sp = bad_pointer(random_below(BAD_POINTERS));
            frame->uc_stack.ss_size = random_bits();
            frame->uc_stack.ss_flags = random_bits();
            break;
        default:    // everything
            for (size_t i = 0; i < sizeof frame->uc_mcontext.gregs; i++) registers[i] = random_bits();
            break;
    }
    (void)info;
}

// A handler must not be able to make these: port access, and the mask of signals that cannot be blocked.
static void check_privileges(void)
{
    unsigned long flags;
    __asm__ volatile("pushf\n\tpop %0" : "=r"(flags));
    if (flags & 0x3000) _exit(70);
    uint64_t mask = 0;
    syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, 8);
    if (mask & (1ULL << (SIGKILL - 1) | 1ULL << (SIGSTOP - 1))) _exit(71);
}

CASE_LIMIT(changed_frames_are_survived, 1800)
{
    long count = parameter("HOSTILE_FRAMES", 3000), first = parameter("HOSTILE_SEED", 1);
    int survived = 0;
    for (int i = 0; i < BAD_POINTERS; i++) bad_pointer(i);
    for (long i = 0; i < count; i++)
    {
        seed = first * 1000003 + i;
        kind = i % 9;
        pid_t child = CHILD({
            alarm(10);                          // a frame may lead into an endless loop
            struct sigaction action = {.sa_sigaction = forges, .sa_flags = SA_SIGINFO};
            OK(sigaction(SIGUSR1, &action, NULL));
            raise(SIGUSR1);
            check_privileges();
        });
        int status;
        EQUAL(waitpid(child, &status, 0), child);
        CHECK_THAT(!WIFEXITED(status) || (WEXITSTATUS(status) != 70 && WEXITSTATUS(status) != 71), "frame %ld, kind %d: a privilege was gained: %#x", i, (int)kind, status);
        survived += status == 0;
    }
    CHECK(survived > 0);                        // or nothing was tested
}

CASE_LIMIT(random_memory_as_a_frame_is_survived, 600)
{
    long count = parameter("HOSTILE_FRAMES", 3000) / 3, first = parameter("HOSTILE_SEED", 1);
    char *memory = mmap(NULL, 65536, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int i = 0; i < BAD_POINTERS; i++) bad_pointer(i);
    for (long i = 0; i < count; i++)
    {
        random_seed(first * 777767 + i);
        for (int j = 0; j < 65536; j += 8) *(uint64_t *)(memory + j) = random_below(4) == 0 ? random_bits() : random_below(2) ? (uint64_t)(memory + random_below(65536)) : 0;
        char *stack = i % 10 == 0 ? bad_pointer(random_below(BAD_POINTERS)) : memory + random_below(60000);
        pid_t child = CHILD({
            alarm(10);
            __asm__ volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tsyscall\n\thlt" : : "r"(stack) : "rax", "memory");
        });
        int status;
        EQUAL(waitpid(child, &status, 0), child);
    }
}

static volatile int depth;

static void recurses(int number)
{
    // Each frame on top of the last, until there is no room for one more.
    depth++;
    raise(number);
}

CASE(frames_until_the_stack_is_full)
{
    pid_t child = CHILD({
        OK(setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, 1 << 20}));
        struct sigaction action = {.sa_handler = recurses, .sa_flags = SA_NODEFER};
        OK(sigaction(SIGUSR1, &action, NULL));
        raise(SIGUSR1);
    });
    REAP_SIGNAL(child, SIGSEGV);
}

CASE(frame_on_an_alternate_stack_that_is_not_there)
{
    for (int i = 0; i < BAD_POINTERS; i++)
    {
        pid_t child = CHILD({
            stack_t stack = {.ss_sp = bad_pointer(i), .ss_size = 1 << 20};
            if (sigaltstack(&stack, NULL) == -1) raise(SIGSEGV);
            struct sigaction action = {.sa_handler = recurses, .sa_flags = SA_ONSTACK};
            OK(sigaction(SIGUSR1, &action, NULL));
            raise(SIGUSR1);
        });
        int status;
        EQUAL(waitpid(child, &status, 0), child);
        CHECK_THAT(WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV, "pointer %d: %#x", i, status);
    }
}
