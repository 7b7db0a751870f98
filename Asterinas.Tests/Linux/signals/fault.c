// Signals that the CPU raises: sigaction(2), "The si_code field": number, code, address, trap number, and that the instruction can be repeated or skipped.
#include "../common/test.h"
#include <ucontext.h>

static siginfo_t caught;
static greg_t registers[NGREG];
static volatile int count;
static sigjmp_buf jump;

static void catches(int number, siginfo_t *info, void *context)
{
    // Linux leaves the alignment check flag as it was.
    __asm__ volatile("pushf\n\tandl $~0x40000, (%%rsp)\n\tpopf" : : : "cc", "memory");
    caught = *info;
    memcpy(registers, ((ucontext_t *)context)->uc_mcontext.gregs, sizeof registers);
    count++;
    siglongjmp(jump, number);
}

static const int fault_signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP};

static void prepare(void)
{
    struct sigaction action = {.sa_sigaction = catches, .sa_flags = SA_SIGINFO};
    for (int i = 0; i < 5; i++) OK(sigaction(fault_signals[i], &action, NULL));
}

// Runs the statement and checks the signal with its code.
#define RAISES(number, code, ...)                                                                                      \
    do                                                                                                                 \
    {                                                                                                                  \
        prepare();                                                                                                     \
        int number_ = sigsetjmp(jump, 1);                                                                              \
        if (number_ == 0)                                                                                              \
        {                                                                                                              \
            __VA_ARGS__;                                                                                               \
            test_fail(__FILE__, __LINE__, 0, "no signal by %s", #__VA_ARGS__);                                         \
        }                                                                                                              \
        CHECK_THAT(number_ == (number) && caught.si_code == (code), "signal %d code %d, not " #number " " #code, number_, caught.si_code); \
        EQUAL(caught.si_signo, number);                                                                                \
        EQUAL(caught.si_errno, 0);                                                                                     \
    } while (0)

#define ADDRESS(expected) CHECK_THAT(caught.si_addr == (void *)(expected), "address %p, not %p", caught.si_addr, (void *)(expected))

static char *map(int protection) { return mmap(NULL, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0); }

CASE(read_of_unmapped_memory_is_MAPERR)
{
    volatile char *address = (char *)unmapped_address() + 123;
    RAISES(SIGSEGV, SEGV_MAPERR, (void)*address);
    ADDRESS(address);
    EQUAL(registers[REG_TRAPNO], 14);
    EQUAL(registers[REG_ERR] & 7, 4);               // user, read, not present
    EQUAL((unsigned long)registers[REG_CR2], (unsigned long)address);
}

CASE(write_to_unmapped_memory_is_MAPERR)
{
    volatile char *address = (char *)unmapped_address() + 5;
    RAISES(SIGSEGV, SEGV_MAPERR, *address = 1);
    ADDRESS(address);
    EQUAL(registers[REG_ERR] & 7, 6);
}

CASE(null_pointer_is_MAPERR_at_zero)
{
    volatile char *null = NULL;
    __asm__("" : "+r"(null));
    RAISES(SIGSEGV, SEGV_MAPERR, *null = 1);
    ADDRESS(0);
}

CASE(write_to_read_only_memory_is_ACCERR)
{
    volatile char *page = map(PROT_READ);
    EQUAL(*page, 0);
    RAISES(SIGSEGV, SEGV_ACCERR, page[77] = 1);
    ADDRESS(page + 77);
    volatile char *untouched = map(PROT_READ);
    RAISES(SIGSEGV, SEGV_ACCERR, untouched[78] = 1);
    ADDRESS(untouched + 78);
}

CASE(any_access_to_PROT_NONE_is_ACCERR)
{
    volatile char *page = map(PROT_NONE);
    RAISES(SIGSEGV, SEGV_ACCERR, (void)page[9]);
    ADDRESS(page + 9);
    RAISES(SIGSEGV, SEGV_ACCERR, page[9] = 1);
}

CASE(execution_of_data_is_ACCERR_at_its_address)
{
    char *page = map(PROT_READ | PROT_WRITE);
    page[0] = (char)0xc3;
    RAISES(SIGSEGV, SEGV_ACCERR, ((void (*)(void))page)());
    ADDRESS(page);
    EQUAL((unsigned long)registers[REG_RIP], (unsigned long)page);
    EQUAL(registers[REG_ERR] & 0x15, 0x15);         // instruction fetch, user, present
}

CASE(jump_to_unmapped_memory_is_MAPERR)
{
    char *address = unmapped_address();
    RAISES(SIGSEGV, SEGV_MAPERR, ((void (*)(void))address)());
    ADDRESS(address);
    EQUAL((unsigned long)registers[REG_RIP], (unsigned long)address);
}

CASE(kernel_addresses_are_MAPERR)
{
    volatile char *address = (char *)0xffffffff81000000;
    __asm__("" : "+r"(address));
    RAISES(SIGSEGV, SEGV_MAPERR, (void)*address);
    ADDRESS(address);
    RAISES(SIGSEGV, SEGV_MAPERR, *address = 1);
    RAISES(SIGSEGV, SEGV_MAPERR, ((void (*)(void))address)());
    volatile char *behind = (char *)0x7ffffffff000;               // the last user page, or what is not user space any more
    __asm__("" : "+r"(behind));
    RAISES(SIGSEGV, SEGV_MAPERR, *behind = 1);
}

CASE(non_canonical_addresses_are_of_the_kernels_kind_without_an_address)
{
    // A general protection fault has no address: SI_KERNEL and zero.
    volatile char *address = (char *)0x8000000000000000;
    __asm__("" : "+r"(address));
    RAISES(SIGSEGV, SI_KERNEL, *address = 1);
    ADDRESS(0);
    EQUAL(registers[REG_TRAPNO], 13);
}

CASE(non_canonical_stack_is_a_signal)
{
    // A stack fault: SIGBUS on Linux. The handler needs a stack of its own.
    static char alternate[65536];
    stack_t stack = {.ss_sp = alternate, .ss_size = sizeof alternate};
    OK(sigaltstack(&stack, NULL));
    struct sigaction action = {.sa_sigaction = catches, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    OK(sigaction(SIGBUS, &action, NULL));
    OK(sigaction(SIGSEGV, &action, NULL));
    int number = sigsetjmp(jump, 1);
    if (number == 0) __asm__ volatile("mov $0x8000000000000000, %%rax\n\tmov %%rax, %%rsp\n\tpush %%rax" : : : "rax", "memory");
    // Some emulators raise a general protection fault instead.
    CHECK((number == SIGBUS && registers[REG_TRAPNO] == 12) || (number == SIGSEGV && registers[REG_TRAPNO] == 13));
}

CASE(privileged_instructions_are_SIGSEGV)
{
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("hlt"));
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("cli"));
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("sti"));
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("rdmsr" : : "c"(0x10) : "rax", "rdx"));
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("wrmsr" : : "a"(0), "d"(0), "c"(0xc0000080)));
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("mov %%cr0, %%rax" : : : "rax"));
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("mov %0, %%cr3" : : "r"(0UL)));
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("in $0x60, %%al" : : : "rax"));
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("outb %%al, $0x80" : : "a"(0)));
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("invlpg (%0)" : : "r"(&jump)));
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("wbinvd"));
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("lgdt %0" : : "m"(jump)));
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("ltr %%ax" : : "a"(0x40)));
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("swapgs"));
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("clts"));
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("sysretq"));
}

CASE(loading_bad_selectors_is_SIGSEGV)
{
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("mov %0, %%ds" : : "r"(0x10)));             // ring 0
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("mov %0, %%ss" : : "r"(0)));
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("mov %0, %%es" : : "r"(0xfff8)));
}

CASE(software_interrupts_to_other_vectors_are_SIGSEGV)
{
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("int $0x20"));
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("int $14"));            // cannot pretend a page fault
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("int $8"));
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("int $2"));
    RAISES(SIGSEGV, SI_KERNEL, __asm__ volatile("int $0xff"));
}

CASE(undefined_instruction_is_ILLOPN_at_its_address)
{
    unsigned long place;
    RAISES(SIGILL, ILL_ILLOPN, __asm__ volatile("lea 1f(%%rip), %%rax\n\tmov %%rax, %0\n1:\tud2" : "=m"(place) : : "rax"));
    ADDRESS(place);
    EQUAL((unsigned long)registers[REG_RIP], place);
    EQUAL(registers[REG_TRAPNO], 6);
    RAISES(SIGILL, ILL_ILLOPN, __asm__ volatile("ud1 %eax, %eax"));
}

CASE(division_by_zero_is_INTDIV_at_its_address)
{
    unsigned long place;
    RAISES(SIGFPE, FPE_INTDIV, __asm__ volatile("lea 1f(%%rip), %%rax\n\tmov %%rax, %0\n\txor %%ecx, %%ecx\n\txor %%edx, %%edx\n1:\tdiv %%ecx" : "=m"(place) : : "rax", "rcx", "rdx"));
    ADDRESS(place);
    EQUAL(registers[REG_TRAPNO], 0);
    // The quotient that does not fit.
    RAISES(SIGFPE, FPE_INTDIV, __asm__ volatile("mov $0x80000000, %%eax\n\tcdq\n\tmov $-1, %%ecx\n\tidiv %%ecx" : : : "rax", "rcx", "rdx"));
}

static void unmask_sse(unsigned exceptions)
{
    unsigned mxcsr = 0x1f80 & ~(exceptions << 7);
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
}

CASE(vector_floating_point_exceptions_have_codes)
{
    volatile double zero = 0, one = 1, big = 1e308, tiny = 1e-308, three = 3, minus = -1;
#define EXCEPTION(code, bit, instruction, a, b)                                                                        \
    RAISES(SIGFPE, code, double result_ = a; unmask_sse(bit); __asm__ volatile(instruction " %1, %0" : "+x"(result_) : "x"((double)b)))
    EXCEPTION(FPE_FLTDIV, 4, "divsd", one, zero);
    EXCEPTION(FPE_FLTINV, 1, "sqrtsd", one, minus);
    EXCEPTION(FPE_FLTOVF, 8, "mulsd", big, big);
    EXCEPTION(FPE_FLTUND, 16, "mulsd", tiny, tiny);
    EXCEPTION(FPE_FLTRES, 32, "divsd", one, three);
    EQUAL(registers[REG_TRAPNO], 19);
}

CASE(x87_exceptions_have_codes)
{
    unsigned short control = 0x37f & ~4;
    RAISES(SIGFPE, FPE_FLTDIV, __asm__ volatile("fninit\n\tfldcw %0\n\tfld1\n\tfldz\n\tfdivrp\n\tfwait" : : "m"(control)));
    EQUAL(registers[REG_TRAPNO], 16);
    control = 0x37f & ~1;
    RAISES(SIGFPE, FPE_FLTINV, __asm__ volatile("fninit\n\tfldcw %0\n\tfld1\n\tfchs\n\tfsqrt\n\tfwait" : : "m"(control)));
    __asm__ volatile("fninit");
}

CASE(breakpoint_is_SIGTRAP_behind_the_instruction)
{
    unsigned long place;
    RAISES(SIGTRAP, SI_KERNEL, __asm__ volatile("lea 1f(%%rip), %%rax\n\tmov %%rax, %0\n\tint3\n1:" : "=m"(place) : : "rax"));
    EQUAL((unsigned long)registers[REG_RIP], place);
    EQUAL(registers[REG_TRAPNO], 3);
}

static volatile int steps;

static void steps_on(int number, siginfo_t *info, void *context)
{
    (void)number, (void)context;
    steps++;
    caught = *info;
    if (steps >= 10) ((ucontext_t *)context)->uc_mcontext.gregs[REG_EFL] &= ~0x100L;
}

CASE(trap_flag_raises_SIGTRAP_after_each_instruction)
{
    struct sigaction action = {.sa_sigaction = steps_on, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGTRAP, &action, NULL));
    long value;
    __asm__ volatile("pushf\n\torl $0x100, (%%rsp)\n\tpopf\n\txor %%eax, %%eax\n\tinc %%eax\n\tinc %%eax\n\tinc %%eax\n\tinc %%eax\n\tinc %%eax\n\tinc %%eax\n\tinc %%eax\n\t"
                     "inc %%eax\n\tinc %%eax\n\tinc %%eax\n\tinc %%eax\n\tinc %%eax\n\tinc %%eax"
                     : "=a"(value));
    EQUAL(value, 13);
    EQUAL(steps, 10);
    EQUAL(caught.si_code, TRAP_TRACE);
}

CASE(trap_flag_is_survived_by_a_system_call)
{
    struct sigaction action = {.sa_sigaction = steps_on, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGTRAP, &action, NULL));
    long value;
    __asm__ volatile("mov $39, %%eax\n\tpushf\n\torl $0x100, (%%rsp)\n\tpopf\n\tsyscall\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop\n\tnop" : "=a"(value) : : "rcx", "r11", "memory");
    EQUAL(value, getpid());
    EQUAL(steps, 10);
}

CASE(alignment_check_is_SIGBUS)
{
    // With AC set in the flags: the only use of the flag in user mode.
    static volatile long words[2];
    volatile char *odd = (char *)words + 1;
    RAISES(SIGBUS, BUS_ADRALN, __asm__ volatile("pushf\n\torl $0x40000, (%%rsp)\n\tpopf\n\tmovl (%0), %%eax" : : "r"(odd) : "rax", "memory"));
    EQUAL(registers[REG_TRAPNO], 17);
}

CASE(access_behind_the_end_of_a_mapped_file_is_SIGBUS_ADRERR)
{
    test_directory();
    write_text("file", "x");
    int fd = OK(open("file", O_RDWR));
    volatile char *pages = mmap(NULL, 3 * 4096, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    CHECK(pages != MAP_FAILED);
    EQUAL(pages[0], 'x');
    EQUAL(pages[4095], 0);
    RAISES(SIGBUS, BUS_ADRERR, (void)pages[4096 + 7]);
    ADDRESS(pages + 4096 + 7);
    RAISES(SIGBUS, BUS_ADRERR, pages[8192] = 1);
    OK(ftruncate(fd, 8192));
    pages[4096 + 7] = 1;                            // now it exists
    OK(ftruncate(fd, 0));
    RAISES(SIGBUS, BUS_ADRERR, (void)pages[0]);     // and now nothing does
    pages = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
    RAISES(SIGBUS, BUS_ADRERR, pages[0] = 1);
}

static volatile char *volatile repairable;

static void repairs(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info, (void)context;
    count++;
    mprotect((void *)repairable, 4096, PROT_READ | PROT_WRITE);
}

CASE(handler_that_mends_the_page_lets_the_instruction_be_repeated)
{
    struct sigaction action = {.sa_sigaction = repairs, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGSEGV, &action, NULL));
    repairable = map(PROT_NONE);
    repairable[100] = 7;
    EQUAL(count, 1);
    EQUAL(repairable[100], 7);
    for (int i = 0; i < 1000; i++)
    {
        OK(mprotect((void *)repairable, 4096, PROT_READ));
        repairable[i] = i;
    }
    EQUAL(count, 1001);
}

CASE(blocked_or_ignored_fault_kills)
{
    // man 2 sigprocmask, NOTES.
    IN_CHILD({
        sigset_t set;
        sigfillset(&set);
        REAP_SIGNAL(CHILD({
                        OK(sigprocmask(SIG_SETMASK, &set, NULL));
                        struct sigaction action = {.sa_sigaction = repairs, .sa_flags = SA_SIGINFO};
                        OK(sigaction(SIGSEGV, &action, NULL));
                        *(volatile char *)unmapped_address() = 1;
                    }),
                    SIGSEGV);
        REAP_SIGNAL(CHILD({
                        CHECK(signal(SIGSEGV, SIG_IGN) != SIG_ERR);
                        *(volatile char *)unmapped_address() = 1;
                    }),
                    SIGSEGV);
        REAP_SIGNAL(CHILD({
                        CHECK(signal(SIGFPE, SIG_IGN) != SIG_ERR);
                        __asm__ volatile("xor %%ecx, %%ecx\n\tdiv %%ecx" : : : "rax", "rcx", "rdx");
                    }),
                    SIGFPE);
    });
}

static void faults_again(int number)
{
    (void)number;
    *(volatile char *)unmapped_address() = 1;
}

CASE(fault_in_the_handler_of_the_fault_kills)
{
    pid_t child = CHILD({
        CHECK(signal(SIGSEGV, faults_again) != SIG_ERR);
        *(volatile char *)unmapped_address() = 1;
    });
    REAP_SIGNAL(child, SIGSEGV);
}

CASE(sent_SIGSEGV_can_be_ignored_and_blocked)
{
    CHECK(signal(SIGSEGV, SIG_IGN) != SIG_ERR);
    OK(kill(getpid(), SIGSEGV));
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGSEGV);
    CHECK(signal(SIGSEGV, SIG_DFL) != SIG_ERR);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    OK(kill(getpid(), SIGSEGV));
    EQUAL(sigwaitinfo(&set, NULL), SIGSEGV);
}

CASE(system_calls_with_bad_pointers_are_EFAULT_not_signals)
{
    prepare();
    int ends[2];
    OK(pipe(ends));
    FAILS(write(ends[1], unmapped_address(), 1), EFAULT);
    FAILS(write(ends[1], (void *)0xffffffff81000000, 1), EFAULT);
    FAILS(write(ends[1], (void *)0x8000000000000000, 1), EFAULT);
    FAILS(write(ends[1], (void *)0x7ffffffff000, 1), EFAULT);
    FAILS(write(ends[1], (void *)-1, 1), EFAULT);
    EQUAL(count, 0);
}
