// The signal frame: alternate stacks, the context a handler sees and may change, vector state, and rt_sigreturn(2) of forged frames.
#include "../common/test.h"
#include <pthread.h>
#include <sched.h>
#include <ucontext.h>

#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1U << 31)
#endif

static volatile sig_atomic_t count;
static char *volatile handler_stack;
static volatile int stack_flags_inside;

static void looks_at_stack(int number)
{
    (void)number;
    char here;
    handler_stack = &here;
    stack_t now;
    sigaltstack(NULL, &now);
    stack_flags_inside = now.ss_flags;
    count++;
}

static char alternate[65536] __attribute__((aligned(16)));

static void set_stack(int flags)
{
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate, .ss_flags = flags};
    OK(sigaltstack(&stack, NULL));
}

static bool on_alternate(const char *address) { return address >= alternate && address < alternate + sizeof alternate; }

CASE(handler_with_SA_ONSTACK_runs_on_the_alternate_stack)
{
    struct sigaction action = {.sa_handler = looks_at_stack, .sa_flags = SA_ONSTACK};
    OK(sigaction(SIGUSR1, &action, NULL));
    OK(raise(SIGUSR1));
    CHECK(!on_alternate(handler_stack));            // none is set: the usual one
    set_stack(0);
    OK(raise(SIGUSR1));
    CHECK(on_alternate(handler_stack));
    EQUAL(stack_flags_inside, SS_ONSTACK);
    stack_t now;
    OK(sigaltstack(NULL, &now));
    EQUAL(now.ss_flags, 0);
    CHECK(now.ss_sp == alternate);
    EQUAL(now.ss_size, sizeof alternate);
    action.sa_flags = 0;
    OK(sigaction(SIGUSR1, &action, NULL));
    OK(raise(SIGUSR1));
    CHECK(!on_alternate(handler_stack));
}

static volatile int change_errno;

static void changes_stack(int number)
{
    (void)number;
    stack_t other = {.ss_flags = SS_DISABLE};
    change_errno = sigaltstack(&other, NULL) == -1 ? errno : 0;
}

CASE(alternate_stack_cannot_be_changed_while_in_use)
{
    struct sigaction action = {.sa_handler = changes_stack, .sa_flags = SA_ONSTACK};
    OK(sigaction(SIGUSR1, &action, NULL));
    set_stack(0);
    OK(raise(SIGUSR1));
    EQUAL(change_errno, EPERM);
    // With SS_AUTODISARM it is not in use inside.
    set_stack(SS_AUTODISARM);
    OK(raise(SIGUSR1));
    EQUAL(change_errno, 0);
}

CASE(autodisarm_clears_the_stack_in_the_handler_and_restores_it)
{
    struct sigaction action = {.sa_handler = looks_at_stack, .sa_flags = SA_ONSTACK};
    OK(sigaction(SIGUSR1, &action, NULL));
    set_stack(SS_AUTODISARM);
    OK(raise(SIGUSR1));
    CHECK(on_alternate(handler_stack));
    EQUAL(stack_flags_inside, SS_DISABLE);
    stack_t now;
    OK(sigaltstack(NULL, &now));
    EQUAL((unsigned)now.ss_flags, SS_AUTODISARM);
    CHECK(now.ss_sp == alternate);
}

CASE(sigaltstack_errors)
{
    stack_t stack = {.ss_sp = alternate, .ss_size = 100}, old;
    FAILS(sigaltstack(&stack, NULL), ENOMEM);                   // less than MINSIGSTKSZ
    stack.ss_size = sizeof alternate, stack.ss_flags = 77;
    FAILS(sigaltstack(&stack, NULL), EINVAL);
    FAILS(syscall(SYS_sigaltstack, unmapped_address(), NULL), EFAULT);
    FAILS(syscall(SYS_sigaltstack, NULL, unmapped_address()), EFAULT);
    OK(sigaltstack(NULL, &old));
    EQUAL(old.ss_flags, SS_DISABLE);
    set_stack(0);
    stack.ss_flags = SS_DISABLE;
    OK(sigaltstack(&stack, &old));
    CHECK(old.ss_sp == alternate && old.ss_flags == 0);
    OK(sigaltstack(NULL, &old));
    EQUAL(old.ss_flags, SS_DISABLE);
    set_stack(SS_ONSTACK);                                      // accepted and ignored, as on other systems
}

static void *has_stack(void *unused)
{
    (void)unused;
    stack_t now;
    sigaltstack(NULL, &now);
    return (void *)(long)now.ss_flags;
}

CASE(alternate_stack_belongs_to_the_thread_and_is_inherited_by_fork)
{
    set_stack(0);
    pthread_t thread;
    void *result;
    EQUAL(pthread_create(&thread, NULL, has_stack, NULL), 0);
    EQUAL(pthread_join(thread, &result), 0);
    EQUAL((long)result, SS_DISABLE);
    IN_CHILD({
        stack_t now;
        OK(sigaltstack(NULL, &now));
        CHECK(now.ss_sp == alternate && now.ss_flags == 0);
    });
}

static sigjmp_buf jump;

static void leaves(int number) { siglongjmp(jump, number); }

__attribute__((noinline)) static int recurse(int depth)
{
    volatile char bytes[512];
    bytes[0] = depth;
    return depth < 0 ? 0 : recurse(depth + 1) + bytes[0];
}

CASE(stack_overflow_is_handled_on_the_alternate_stack)
{
    OK(setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, RLIM_INFINITY}));
    struct sigaction action = {.sa_handler = leaves, .sa_flags = SA_ONSTACK};
    OK(sigaction(SIGSEGV, &action, NULL));
    set_stack(0);
    for (int i = 0; i < 3; i++)
    {
        int number = sigsetjmp(jump, 1);
        if (number == 0) recurse(0);
        EQUAL(number, SIGSEGV);
    }
}

CASE(stack_overflow_without_alternate_stack_kills)
{
    pid_t child = CHILD({
        OK(setrlimit(RLIMIT_STACK, &(struct rlimit){1 << 20, RLIM_INFINITY}));
        struct sigaction action = {.sa_handler = leaves};
        OK(sigaction(SIGSEGV, &action, NULL));
        recurse(0);
    });
    REAP_SIGNAL(child, SIGSEGV);
}

CASE(frame_that_does_not_fit_kills_with_SIGSEGV)
{
    pid_t child = CHILD({
        struct sigaction action = {.sa_handler = looks_at_stack};
        OK(sigaction(SIGUSR1, &action, NULL));
        long result;
        __asm__ volatile("mov %%rsp, %%r12\n\tmov %4, %%rsp\n\tsyscall\n\tmov %%r12, %%rsp"
                         : "=a"(result)
                         : "0"(SYS_kill), "D"((long)getpid()), "S"((long)SIGUSR1), "r"(unmapped_address())
                         : "rcx", "r11", "r12", "memory");
    });
    REAP_SIGNAL(child, SIGSEGV);
}

static void changes_registers(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    greg_t *registers = ((ucontext_t *)context)->uc_mcontext.gregs;
    registers[REG_RAX] = 0x1111, registers[REG_RBX] = 0x2222, registers[REG_R8] = 0x3333, registers[REG_R15] = 0x4444;
    count++;
}

CASE(handler_may_change_the_registers_of_what_it_interrupted)
{
    struct sigaction action = {.sa_sigaction = changes_registers, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGUSR1, &action, NULL));
    long rax = SYS_kill, rbx, r8, r15;
    __asm__ volatile("syscall\n\tmov %%rbx, %1\n\tmov %%r8, %2\n\tmov %%r15, %3"
                     : "+a"(rax), "=&r"(rbx), "=&r"(r8), "=&r"(r15)
                     : "D"((long)getpid()), "S"((long)SIGUSR1)
                     : "rbx", "rcx", "r8", "r11", "r15", "memory");
    EQUAL(rax, 0x1111);
    EQUAL(rbx, 0x2222);
    EQUAL(r8, 0x3333);
    EQUAL(r15, 0x4444);
}

static volatile greg_t seen[NGREG];

static void sees_registers(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    memcpy((void *)seen, ((ucontext_t *)context)->uc_mcontext.gregs, sizeof seen);
    ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP] += 2;           // over the ud2
    count++;
}

CASE(context_holds_the_registers_at_the_fault)
{
    struct sigaction action = {.sa_sigaction = sees_registers, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGILL, &action, NULL));
    unsigned long stack, place;
    __asm__ volatile("mov $0x101, %%rax\n\tmov $0x102, %%rbx\n\tmov $0x103, %%rcx\n\tmov $0x104, %%rdx\n\tmov $0x105, %%rsi\n\tmov $0x106, %%rdi\n\t"
                     "mov $0x108, %%r8\n\tmov $0x109, %%r9\n\tmov $0x10a, %%r10\n\tmov $0x10b, %%r11\n\tmov $0x10c, %%r12\n\tmov $0x10d, %%r13\n\t"
                     "stc\n1:\tud2\n\tmov %%rsp, %%rax\n\tmov %%rax, %0\n\tlea 1b(%%rip), %%rax\n\tmov %%rax, %1"
                     : "=m"(stack), "=m"(place)
                     :
                     : "rax", "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "memory");
    EQUAL(count, 1);
    int registers[] = {REG_RAX, REG_RBX, REG_RCX, REG_RDX, REG_RSI, REG_RDI, -1, REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13};
    for (int i = 0; i < 13; i++)
    {
        if (registers[i] >= 0) CHECK_THAT(seen[registers[i]] == 0x101 + i, "register %d is %#llx", i, seen[registers[i]]);
    }
    EQUAL(seen[REG_RSP], stack);
    EQUAL(seen[REG_RIP], place);
    EQUAL(seen[REG_EFL] & 1, 1);
    EQUAL(seen[REG_TRAPNO], 6);
}

static void uses_vectors(int number)
{
    (void)number;
    __asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n\tpcmpeqd %%xmm1, %%xmm1\n\tpcmpeqd %%xmm8, %%xmm8\n\tpcmpeqd %%xmm15, %%xmm15\n\tfninit" : : : "xmm0", "xmm1", "xmm8",
                     "xmm15");
    unsigned mxcsr = 0x1f80;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    count++;
}

CASE(vector_registers_and_control_words_come_back_after_a_handler)
{
    struct sigaction action = {.sa_handler = uses_vectors};
    OK(sigaction(SIGUSR1, &action, NULL));
    unsigned mxcsr = 0x7f80, mxcsr_after;
    unsigned short control = 0x27f, control_after;
    unsigned long a, b, c, d;
    __asm__ volatile("ldmxcsr %6\n\tfldcw %7\n\tmovq %8, %%xmm0\n\tmovq %8, %%xmm1\n\tmovq %8, %%xmm8\n\tmovq %8, %%xmm15\n\tmov $62, %%eax\n\tsyscall\n\t"
                     "movq %%xmm0, %0\n\tmovq %%xmm1, %1\n\tmovq %%xmm8, %2\n\tmovq %%xmm15, %3\n\tstmxcsr %4\n\tfnstcw %5"
                     : "=m"(a), "=m"(b), "=m"(c), "=m"(d), "=m"(mxcsr_after), "=m"(control_after)
                     : "m"(mxcsr), "m"(control), "r"(0x1234567890abcdefUL), "D"((long)getpid()), "S"((long)SIGUSR1)
                     : "rax", "rcx", "r11", "xmm0", "xmm1", "xmm8", "xmm15", "memory");
    EQUAL(count, 1);
    EQUAL(a, 0x1234567890abcdef);
    EQUAL(b, 0x1234567890abcdef);
    EQUAL(c, 0x1234567890abcdef);
    EQUAL(d, 0x1234567890abcdef);
    EQUAL(mxcsr_after & 0xffc0, 0x7f80);
    EQUAL(control_after, 0x27f);
}

static bool cpu_has_avx(void)
{
    unsigned eax = 1, ebx, ecx = 0, edx;
    __asm__("cpuid" : "+a"(eax), "=b"(ebx), "+c"(ecx), "=d"(edx));
    return ecx >> 27 & 1 && ecx >> 28 & 1;
}

static void clears_avx(int number)
{
    (void)number;
    __asm__ volatile("vzeroall" : : : "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15");
    count++;
}

CASE(upper_halves_of_the_vector_registers_come_back)
{
    if (!cpu_has_avx()) SKIP("no AVX");
    struct sigaction action = {.sa_handler = clears_avx};
    OK(sigaction(SIGUSR1, &action, NULL));
    unsigned char before[32] __attribute__((aligned(32))), after[32] __attribute__((aligned(32)));
    for (int i = 0; i < 32; i++) before[i] = i + 1;
    __asm__ volatile("vmovdqa %1, %%ymm5\n\tmov $62, %%eax\n\tsyscall\n\tvmovdqa %%ymm5, %0\n\tvzeroupper"
                     : "=m"(after)
                     : "m"(before), "D"((long)getpid()), "S"((long)SIGUSR1)
                     : "rax", "rcx", "r11", "xmm5", "memory");
    EQUAL(count, 1);
    CHECK(memcmp(before, after, 32) == 0);
}

static void changes_vector(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    fpregset_t state = ((ucontext_t *)context)->uc_mcontext.fpregs;
    state->_xmm[3].element[0] = 0xabcd;
    count++;
}

CASE(handler_may_change_the_saved_vector_registers)
{
    struct sigaction action = {.sa_sigaction = changes_vector, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGUSR1, &action, NULL));
    unsigned long value;
    __asm__ volatile("pxor %%xmm3, %%xmm3\n\tmov $62, %%eax\n\tsyscall\n\tmovq %%xmm3, %0"
                     : "=r"(value)
                     : "D"((long)getpid()), "S"((long)SIGUSR1)
                     : "rax", "rcx", "r11", "xmm3", "memory");
    EQUAL(value, 0xabcd);
}

static volatile unsigned long xsave_magic[2], xsave_size, xsave_features;

static void looks_at_xsave(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    char *state = (char *)((ucontext_t *)context)->uc_mcontext.fpregs;
    // The software bytes at 464: magic, extended size, features, size of the XSAVE area; and the second magic behind it.
    uint32_t *software = (uint32_t *)(state + 464);
    xsave_magic[0] = software[0];
    xsave_features = *(uint64_t *)(software + 2);
    xsave_size = software[4];
    xsave_magic[1] = *(uint32_t *)(state + software[4]);
}

CASE(frame_describes_its_xsave_area)
{
    struct sigaction action = {.sa_sigaction = looks_at_xsave, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGUSR1, &action, NULL));
    OK(raise(SIGUSR1));
    EQUAL(xsave_magic[0], 0x46505853);              // FP_XSTATE_MAGIC1
    EQUAL(xsave_magic[1], 0x46505845);              // FP_XSTATE_MAGIC2
    EQUAL(xsave_features & 3, 3);
    CHECK(xsave_size >= 576);
}

CASE(red_zone_below_the_stack_pointer_is_kept)
{
    // System V ABI: the 128 bytes below rsp belong to the running function. In user mode the signal may come between any two instructions.
    pid_t parent = getpid();
    struct sigaction action = {.sa_handler = uses_vectors};
    OK(sigaction(SIGUSR1, &action, NULL));
    pid_t child = CHILD({
        while (kill(parent, SIGUSR1) == 0) sched_yield();
    });
    while (count < 100)
    {
        long broken;
        __asm__ volatile("mov $0x5a5a, %%eax\n\tmov %%rax, -8(%%rsp)\n\tmov %%rax, -64(%%rsp)\n\tmov %%rax, -128(%%rsp)\n\tmov $20000, %%ecx\n1:\tdec %%ecx\n\tjnz 1b\n\t"
                         "xor %0, %0\n\tcmp %%rax, -8(%%rsp)\n\tjne 2f\n\tcmp %%rax, -64(%%rsp)\n\tjne 2f\n\tcmp %%rax, -128(%%rsp)\n\tje 3f\n2:\tinc %0\n3:"
                         : "=&r"(broken)
                         :
                         : "rax", "rcx", "memory", "cc");
        EQUAL(broken, 0);
    }
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
}

static volatile int direction_inside;

static void sees_direction(int number)
{
    (void)number;
    unsigned long flags;
    __asm__ volatile("pushf\n\tpop %0" : "=r"(flags));
    direction_inside = flags >> 10 & 1;
    count++;
}

CASE(handler_starts_with_the_direction_flag_clear_and_it_comes_back)
{
    struct sigaction action = {.sa_handler = sees_direction};
    OK(sigaction(SIGUSR1, &action, NULL));
    unsigned long flags;
    __asm__ volatile("std\n\tmov $62, %%eax\n\tsyscall\n\tpushf\n\tpop %0\n\tcld" : "=r"(flags) : "D"((long)getpid()), "S"((long)SIGUSR1) : "rax", "rcx", "r11", "memory");
    EQUAL(count, 1);
    EQUAL(direction_inside, 0);
    EQUAL(flags >> 10 & 1, 1);
}

static volatile unsigned long handler_alignment, handler_rax, handler_arguments[3];

__asm__(".pushsection .text\n"
        "raw_handler:\n\tmov %rsp, handler_alignment(%rip)\n\tmov %rax, handler_rax(%rip)\n\tmov %rdi, handler_arguments(%rip)\n\tret\n"
        ".popsection");
extern void raw_handler(int);

CASE(handler_is_called_as_a_function)
{
    struct sigaction action = {.sa_handler = raw_handler};
    OK(sigaction(SIGUSR1, &action, NULL));
    OK(raise(SIGUSR1));
    EQUAL(handler_alignment % 16, 8);               // as after a call
    EQUAL(handler_rax, 0);                          // no vector arguments
    EQUAL(handler_arguments[0], SIGUSR1);
}

// -------------------------------------------------------------------------------------------------------------------------- forged frames

static void (*volatile forge)(ucontext_t *);

static void forges(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info;
    forge(context);
}

// What the process ends with when its handler returns through such a frame: 0 when it goes on.
static int end_of_forged(void (*change)(ucontext_t *))
{
    pid_t child = CHILD({
        forge = change;
        struct sigaction action = {.sa_sigaction = forges, .sa_flags = SA_SIGINFO};
        OK(sigaction(SIGUSR1, &action, NULL));
        OK(raise(SIGUSR1));
    });
    int status;
    EQUAL(waitpid(child, &status, 0), child);
    return status;
}

static void kernel_rip(ucontext_t *context) { context->uc_mcontext.gregs[REG_RIP] = 0xffffffff81000000; }
static void non_canonical_rip(ucontext_t *context) { context->uc_mcontext.gregs[REG_RIP] = 0x8000000000000000; }
static void top_rip(ucontext_t *context) { context->uc_mcontext.gregs[REG_RIP] = 0x7fffffffffff; }
static void non_canonical_rsp(ucontext_t *context) { context->uc_mcontext.gregs[REG_RSP] = 0x8000000000000000; }

CASE(bad_addresses_in_a_frame_kill_with_SIGSEGV)
{
    EQUAL(end_of_forged(kernel_rip), SIGSEGV);
    EQUAL(end_of_forged(non_canonical_rip), SIGSEGV);
    EQUAL(end_of_forged(top_rip), SIGSEGV);
    int status = end_of_forged(non_canonical_rsp);
    CHECK(status == SIGSEGV || status == SIGBUS);
}

static void privileged_flags(ucontext_t *context) { context->uc_mcontext.gregs[REG_EFL] |= 0x3000 | 0x20000 | 0x80000 | 0x100000; }

CASE(privileged_flags_in_a_frame_are_not_taken)
{
    pid_t child = CHILD({
        forge = privileged_flags;
        struct sigaction action = {.sa_sigaction = forges, .sa_flags = SA_SIGINFO};
        OK(sigaction(SIGUSR1, &action, NULL));
        OK(raise(SIGUSR1));
        unsigned long flags;
        __asm__ volatile("pushf\n\tpop %0" : "=r"(flags));
        EQUAL(flags & (0x3000 | 0x20000), 0);       // IOPL, VM
        __asm__ volatile("cli");                    // with IOPL 3 this would be allowed
        _exit(1);
    });
    REAP_SIGNAL(child, SIGSEGV);
}

static void kernel_segments(ucontext_t *context)
{
    // cs, gs, fs, ss: ring 0 selectors.
    uint16_t *selectors = (uint16_t *)&context->uc_mcontext.gregs[REG_CSGSFS];
    selectors[0] = 0x10, selectors[3] = 0x18;
}
static void null_segments(ucontext_t *context) { context->uc_mcontext.gregs[REG_CSGSFS] = 0; }
static void wild_segments(ucontext_t *context) { context->uc_mcontext.gregs[REG_CSGSFS] = 0xffffffffffffffff; }

CASE(bad_selectors_in_a_frame_never_reach_the_kernel)
{
    int status = end_of_forged(kernel_segments);
    CHECK_THAT(status == 0 || status == SIGSEGV || status == SIGBUS, "%#x", status);         // forced to ring 3, or refused
    status = end_of_forged(null_segments);
    CHECK_THAT(status == 0 || status == SIGSEGV || status == SIGBUS, "%#x", status);
    status = end_of_forged(wild_segments);
    CHECK_THAT(status == 0 || status == SIGSEGV || status == SIGBUS, "%#x", status);
}

static void bad_mxcsr(ucontext_t *context) { context->uc_mcontext.fpregs->mxcsr = 0xffffffff; }
static void bad_fpstate(ucontext_t *context) { context->uc_mcontext.fpregs = (fpregset_t)0xffffffff81000000; }
static void unmapped_fpstate(ucontext_t *context) { context->uc_mcontext.fpregs = (fpregset_t)0x10000; }
static void odd_fpstate(ucontext_t *context) { context->uc_mcontext.fpregs = (fpregset_t)((char *)context->uc_mcontext.fpregs + 4); }
static void no_fpstate(ucontext_t *context) { context->uc_mcontext.fpregs = NULL; }

static void bad_xsave_header(ucontext_t *context)
{
    // XSTATE_BV with bits that do not exist, XCOMP_BV and reserved bytes set: XRSTOR would fault.
    memset((char *)context->uc_mcontext.fpregs + 512, 0xff, 64);
}

static void bad_xsave_size(ucontext_t *context)
{
    uint32_t *software = (uint32_t *)((char *)context->uc_mcontext.fpregs + 464);
    software[4] = 0xffffffff;
}

CASE(bad_vector_state_in_a_frame_is_refused_or_repaired)
{
    void (*changes[])(ucontext_t *) = {bad_mxcsr, bad_fpstate, unmapped_fpstate, odd_fpstate, no_fpstate, bad_xsave_header, bad_xsave_size};
    for (int i = 0; i < 7; i++)
    {
        int status = end_of_forged(changes[i]);
        CHECK_THAT(status == 0 || status == SIGSEGV, "change %d: %#x", i, status);
    }
    EQUAL(end_of_forged(bad_fpstate), SIGSEGV);
    EQUAL(end_of_forged(unmapped_fpstate), SIGSEGV);
    EQUAL(end_of_forged(no_fpstate), 0);
}

static void fills_mask(ucontext_t *context) { memset(&context->uc_sigmask, 0xff, 8); }

CASE(mask_in_a_frame_is_taken_without_kill_and_stop)
{
    pid_t child = CHILD({
        struct sigaction action = {.sa_sigaction = forges, .sa_flags = SA_SIGINFO};
        forge = fills_mask;
        OK(sigaction(SIGUSR1, &action, NULL));
        OK(raise(SIGUSR1));
        uint64_t now = 0;
        OK(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &now, 8));
        EQUAL(now, ~(1ULL << (SIGKILL - 1) | 1ULL << (SIGSTOP - 1)));
    });
    REAP_EXIT(child, 0);
}

CASE(sigreturn_without_a_frame_kills)
{
    pid_t child = CHILD({
        syscall(SYS_rt_sigreturn);              // whatever lies on the stack: garbage as a frame
        _exit(7);
    });
    int status;
    EQUAL(waitpid(child, &status, 0), child);
    CHECK_THAT(WIFSIGNALED(status), "%#x", status);
    child = CHILD({ __asm__ volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tsyscall\n\thlt" : : "r"(unmapped_address()) : "rax", "memory"); });
    REAP_SIGNAL(child, SIGSEGV);
    child = CHILD({ __asm__ volatile("mov %0, %%rsp\n\tmov $15, %%eax\n\tsyscall\n\thlt" : : "r"(0xffffffff81000000UL) : "rax", "memory"); });
    REAP_SIGNAL(child, SIGSEGV);
}

CASE(frame_can_be_built_by_hand)
{
    // A legal use of rt_sigreturn: go to a context of one's own making.
    ucontext_t *context = shared_memory(65536);
    context->uc_stack.ss_flags = SS_DISABLE;
    context->uc_mcontext.gregs[REG_CSGSFS] = 0x33 | 0x2bL << 48;
    context->uc_mcontext.gregs[REG_EFL] = 0x202;
    context->uc_mcontext.gregs[REG_RBX] = 0x7777;
    unsigned long rbx;
    __asm__ volatile("mov %1, %%rdi\n\tlea 1f(%%rip), %%rax\n\tmov %%rax, %c2(%%rdi)\n\tmov %%rbp, %c3(%%rdi)\n\tmov %%rsp, %c4(%%rdi)\n\t"
                     "mov %%rdi, %%rsp\n\tmov $15, %%eax\n\tsyscall\n1:\tmov %%rbx, %%rax"
                     : "=a"(rbx)
                     : "m"(context), "i"(offsetof(ucontext_t, uc_mcontext.gregs[REG_RIP])), "i"(offsetof(ucontext_t, uc_mcontext.gregs[REG_RBP])),
                       "i"(offsetof(ucontext_t, uc_mcontext.gregs[REG_RSP]))
                     : "rbx", "rcx", "rdx", "rsi", "rdi", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "memory", "cc");
    EQUAL(rbx, 0x7777);
}
