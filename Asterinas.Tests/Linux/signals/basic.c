// Handlers, dispositions, masks, pending signals, and what is delivered when: signal(7), sigaction(2), sigprocmask(2), sigpending(2), kill(2).
#include "../common/test.h"
#include <ucontext.h>

static volatile sig_atomic_t count, last, order[64], places;

static void counts(int number)
{
    count++;
    last = number;
    if (places < 64) order[places++] = number;
}

static void handle(int number, void (*handler)(int), int flags)
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = flags};
    OK(sigaction(number, &action, NULL));
}

static void block(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
}

static void unblock(int number)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    OK(sigprocmask(SIG_UNBLOCK, &set, NULL));
}

static bool is_pending(int number)
{
    sigset_t set;
    OK(sigpending(&set));
    return sigismember(&set, number);
}

CASE(handler_runs_before_kill_returns)
{
    handle(SIGUSR1, counts, 0);
    OK(kill(getpid(), SIGUSR1));
    EQUAL(count, 1);
    EQUAL(last, SIGUSR1);
}

CASE(handler_runs_for_every_catchable_signal)
{
    for (int number = 1; number <= SIGRTMAX; number++)
    {
        if (number == SIGKILL || number == SIGSTOP || number == 32 || number == 33) continue;      // the last two are the C library's
        count = 0;
        handle(number, counts, 0);
        OK(kill(getpid(), number));
        EQUAL(count, 1);
        EQUAL(last, number);
    }
}

CASE(program_goes_on_where_it_was)
{
    handle(SIGUSR1, counts, 0);
    unsigned long sum = 0;
    for (int i = 0; i < 1000; i++)
    {
        register unsigned long a __asm__("rbx") = i, b __asm__("r12") = i * 3, c __asm__("r15") = i * 7;
        long result;
        __asm__ volatile("syscall" : "=a"(result), "+r"(a), "+r"(b), "+r"(c) : "0"(SYS_kill), "D"((long)getpid()), "S"((long)SIGUSR1) : "rcx", "r11", "memory");
        EQUAL(result, 0);
        sum += a + b + c;
    }
    EQUAL(sum, 11UL * 499500);
    EQUAL(count, 1000);
}

CASE(default_actions)
{
    // signal(7): what each does when nothing is set up. Stopping signals have cases of their own.
    int ignored[] = {SIGCHLD, SIGURG, SIGWINCH, SIGCONT};
    for (int i = 0; i < 4; i++) OK(kill(getpid(), ignored[i]));
    int deadly[] = {SIGHUP, SIGINT, SIGQUIT, SIGILL, SIGTRAP, SIGABRT, SIGBUS, SIGFPE, SIGKILL, SIGUSR1, SIGSEGV, SIGUSR2, SIGPIPE, SIGALRM, SIGTERM,
                    SIGSTKFLT, SIGXCPU, SIGXFSZ, SIGVTALRM, SIGPROF, SIGIO, SIGPWR, SIGSYS, SIGRTMIN, SIGRTMAX};
    for (size_t i = 0; i < sizeof deadly / sizeof *deadly; i++)
    {
        pid_t child = CHILD({
            OK(kill(getpid(), deadly[i]));
            _exit(1);
        });
        REAP_SIGNAL(child, deadly[i]);
    }
}

CASE(ignored_signal_does_nothing)
{
    handle(SIGTERM, SIG_IGN, 0);
    OK(kill(getpid(), SIGTERM));
    CHECK(!is_pending(SIGTERM));
}

CASE(blocked_signal_stays_pending_until_unblocked)
{
    handle(SIGUSR1, counts, 0);
    block(SIGUSR1);
    OK(kill(getpid(), SIGUSR1));
    EQUAL(count, 0);
    CHECK(is_pending(SIGUSR1));
    CHECK(!is_pending(SIGUSR2));
    unblock(SIGUSR1);
    EQUAL(count, 1);
    CHECK(!is_pending(SIGUSR1));
}

CASE(standard_signals_do_not_queue)
{
    handle(SIGUSR1, counts, 0);
    block(SIGUSR1);
    for (int i = 0; i < 5; i++) OK(kill(getpid(), SIGUSR1));
    unblock(SIGUSR1);
    EQUAL(count, 1);
}

CASE(ignoring_a_pending_signal_discards_it)
{
    block(SIGUSR1);
    OK(kill(getpid(), SIGUSR1));
    handle(SIGUSR1, SIG_IGN, 0);
    CHECK(!is_pending(SIGUSR1));
    handle(SIGUSR1, counts, 0);
    unblock(SIGUSR1);
    EQUAL(count, 0);
}

CASE(default_disposition_of_an_ignored_by_default_signal_discards_pending_ones)
{
    // POSIX sigaction: setting SIG_DFL where the default is to ignore discards.
    handle(SIGCHLD, counts, 0);
    block(SIGCHLD);
    OK(kill(getpid(), SIGCHLD));
    CHECK(is_pending(SIGCHLD));
    handle(SIGCHLD, SIG_DFL, 0);
    CHECK(!is_pending(SIGCHLD));
}

CASE(blocked_and_ignored_signal_is_kept_while_blocked)
{
    // Linux keeps it, since the disposition may change before it is unblocked.
    handle(SIGUSR1, SIG_IGN, 0);
    block(SIGUSR1);
    OK(kill(getpid(), SIGUSR1));
    CHECK(is_pending(SIGUSR1));
    handle(SIGUSR1, counts, 0);
    unblock(SIGUSR1);
    EQUAL(count, 1);
}

CASE(lower_numbers_come_first)
{
    int numbers[] = {SIGUSR2, SIGTERM, SIGHUP, SIGUSR1, SIGRTMIN + 5, SIGRTMIN};
    for (int i = 0; i < 6; i++)
    {
        struct sigaction action = {.sa_handler = counts};
        sigfillset(&action.sa_mask);
        OK(sigaction(numbers[i], &action, NULL));
        block(numbers[i]);
    }
    for (int i = 0; i < 6; i++) OK(kill(getpid(), numbers[i]));
    sigset_t none;
    sigemptyset(&none);
    OK(sigprocmask(SIG_SETMASK, &none, NULL));
    int expected[] = {SIGHUP, SIGUSR1, SIGUSR2, SIGTERM, SIGRTMIN, SIGRTMIN + 5};
    // All frames are set up at once when none excludes another; here each masks all, so one runs after another.
    for (int i = 0; i < 6; i++) EQUAL(order[i], expected[i]);
}

CASE(synchronous_signals_come_before_others)
{
    // SIGSEGV and its like are taken first, whatever their number.
    struct sigaction action = {.sa_handler = counts};
    sigfillset(&action.sa_mask);
    OK(sigaction(SIGHUP, &action, NULL));
    OK(sigaction(SIGSEGV, &action, NULL));
    block(SIGHUP);
    block(SIGSEGV);
    OK(kill(getpid(), SIGHUP));
    OK(syscall(SYS_tgkill, getpid(), gettid(), SIGSEGV));
    sigset_t none;
    sigemptyset(&none);
    OK(sigprocmask(SIG_SETMASK, &none, NULL));
    EQUAL(order[0], SIGSEGV);
    EQUAL(order[1], SIGHUP);
}

static volatile sig_atomic_t blocked_inside, depth, deepest;

static void looks_at_mask(int number)
{
    sigset_t set;
    sigprocmask(SIG_BLOCK, NULL, &set);
    blocked_inside = sigismember(&set, number) * 1 + sigismember(&set, SIGUSR2) * 2 + sigismember(&set, SIGTERM) * 4;
}

CASE(handler_runs_with_its_signal_and_sa_mask_blocked_and_the_old_mask_comes_back)
{
    struct sigaction action = {.sa_handler = looks_at_mask};
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGUSR2);
    OK(sigaction(SIGUSR1, &action, NULL));
    block(SIGHUP);
    OK(raise(SIGUSR1));
    EQUAL(blocked_inside, 3);
    sigset_t set;
    OK(sigprocmask(SIG_BLOCK, NULL, &set));
    CHECK(sigismember(&set, SIGHUP) && !sigismember(&set, SIGUSR1) && !sigismember(&set, SIGUSR2));
}

static void recurses(int number)
{
    depth++;
    if (depth > deepest) deepest = depth;
    if (depth < 5) raise(number);
    depth--;
}

CASE(nodefer_lets_the_handler_be_interrupted_by_its_own_signal)
{
    handle(SIGUSR1, recurses, SA_NODEFER);
    OK(raise(SIGUSR1));
    EQUAL(deepest, 5);
}

static void recurses_later(int number)
{
    depth++;
    if (depth > deepest) deepest = depth;
    if (++count < 5) raise(number);
    depth--;
}

CASE(without_nodefer_the_signal_waits_for_the_handlers_end)
{
    handle(SIGUSR1, recurses_later, 0);
    OK(raise(SIGUSR1));
    EQUAL(deepest, 1);
    EQUAL(count, 5);
}

CASE(resethand_restores_the_default_before_the_handler_runs)
{
    handle(SIGUSR1, counts, SA_RESETHAND);
    OK(raise(SIGUSR1));
    EQUAL(count, 1);
    struct sigaction action;
    OK(sigaction(SIGUSR1, NULL, &action));
    CHECK(action.sa_handler == SIG_DFL);
    pid_t child = CHILD({
        OK(raise(SIGUSR1));
        _exit(1);
    });
    REAP_SIGNAL(child, SIGUSR1);
}

CASE(sigaction_returns_what_was_set)
{
    struct sigaction action = {.sa_handler = counts, .sa_flags = SA_RESTART | SA_NODEFER | SA_ONSTACK | SA_NOCLDSTOP}, old;
    sigemptyset(&action.sa_mask);
    sigaddset(&action.sa_mask, SIGTERM);
    sigaddset(&action.sa_mask, SIGRTMAX);
    sigaddset(&action.sa_mask, SIGKILL);
    OK(sigaction(SIGUSR1, &action, &old));
    CHECK(old.sa_handler == SIG_DFL);
    OK(sigaction(SIGUSR1, NULL, &old));
    CHECK(old.sa_handler == counts);
    EQUAL(old.sa_flags & ~0x04000000, action.sa_flags);       // the C library adds SA_RESTORER
    CHECK(sigismember(&old.sa_mask, SIGTERM) && sigismember(&old.sa_mask, SIGRTMAX) && !sigismember(&old.sa_mask, SIGUSR2));
    CHECK(!sigismember(&old.sa_mask, SIGKILL));         // cannot be blocked, taken out in silence
}

struct kernel_action
{
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    uint64_t mask;
};

CASE(raw_sigaction_errors)
{
    struct kernel_action action = {.handler = SIG_IGN};
    FAILS(syscall(SYS_rt_sigaction, SIGKILL, &action, NULL, 8), EINVAL);
    FAILS(syscall(SYS_rt_sigaction, SIGSTOP, &action, NULL, 8), EINVAL);
    OK(syscall(SYS_rt_sigaction, SIGKILL, NULL, &action, 8));       // reading is fine
    FAILS(syscall(SYS_rt_sigaction, 0, &action, NULL, 8), EINVAL);
    FAILS(syscall(SYS_rt_sigaction, 65, &action, NULL, 8), EINVAL);
    FAILS(syscall(SYS_rt_sigaction, -1, &action, NULL, 8), EINVAL);
    FAILS(syscall(SYS_rt_sigaction, SIGUSR1, &action, NULL, 4), EINVAL);
    FAILS(syscall(SYS_rt_sigaction, SIGUSR1, &action, NULL, 128), EINVAL);
    FAILS(syscall(SYS_rt_sigaction, SIGUSR1, unmapped_address(), NULL, 8), EFAULT);
    FAILS(syscall(SYS_rt_sigaction, SIGUSR1, NULL, unmapped_address(), 8), EFAULT);
}

CASE(unknown_sa_flags_are_cleared)
{
    // man 2 sigaction, "Dynamically probing for flag bit support": SA_UNSUPPORTED (0x400) never reads back.
    struct kernel_action action = {.handler = SIG_IGN, .flags = 0x400 | 0x800 | SA_SIGINFO}, now;
    OK(syscall(SYS_rt_sigaction, SIGUSR1, &action, NULL, 8));
    OK(syscall(SYS_rt_sigaction, SIGUSR1, NULL, &now, 8));
    EQUAL(now.flags & 0x400, 0);
    EQUAL(now.flags & 0x800, 0x800);        // SA_EXPOSE_TAGBITS
}

CASE(sigprocmask_sets_blocks_and_unblocks)
{
    sigset_t set, now;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    OK(sigprocmask(SIG_SETMASK, &set, NULL));
    sigdelset(&set, SIGUSR2);
    OK(sigprocmask(SIG_UNBLOCK, &set, &now));
    CHECK(sigismember(&now, SIGUSR1) && sigismember(&now, SIGUSR2));
    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    OK(sigprocmask(SIG_BLOCK, NULL, &now));
    CHECK(!sigismember(&now, SIGUSR1) && sigismember(&now, SIGUSR2) && sigismember(&now, SIGHUP));
}

CASE(kill_and_stop_cannot_be_blocked)
{
    sigset_t set;
    sigfillset(&set);
    OK(sigprocmask(SIG_SETMASK, &set, NULL));
    OK(sigprocmask(SIG_BLOCK, NULL, &set));
    CHECK(!sigismember(&set, SIGKILL) && !sigismember(&set, SIGSTOP) && sigismember(&set, SIGTERM));
    pid_t child = CHILD({ for (;;) pause(); });
    int status;
    OK(kill(child, SIGSTOP));
    EQUAL(waitpid(child, &status, WUNTRACED), child);
    CHECK(WIFSTOPPED(status));
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
}

CASE(raw_sigprocmask_errors)
{
    uint64_t set = 0;
    FAILS(syscall(SYS_rt_sigprocmask, 99, &set, NULL, 8), EINVAL);
    OK(syscall(SYS_rt_sigprocmask, 99, NULL, &set, 8));             // without a set the first argument does not matter
    FAILS(syscall(SYS_rt_sigprocmask, SIG_BLOCK, &set, NULL, 4), EINVAL);
    FAILS(syscall(SYS_rt_sigprocmask, SIG_BLOCK, unmapped_address(), NULL, 8), EFAULT);
    FAILS(syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, unmapped_address(), 8), EFAULT);
    FAILS(syscall(SYS_rt_sigpending, unmapped_address(), 8), EFAULT);
    FAILS(syscall(SYS_rt_sigpending, &set, 16), EINVAL);
}

CASE(kill_errors)
{
    FAILS(kill(getpid(), 65), EINVAL);
    FAILS(kill(getpid(), -1), EINVAL);
    FAILS(kill(0x3fffffff, 0), ESRCH);
    FAILS(kill(-0x3fffffff, 0), ESRCH);
    FAILS(kill(INT_MIN, 0), ESRCH);
    OK(kill(getpid(), 0));
    OK(kill(0, 0));
}

CASE(kill_minus_one_reaches_all_that_may_be_signalled_but_the_caller)
{
    // As a user with no other processes than these, so that nobody else is hit.
    pid_t children[3];
    int *ready = shared_memory(sizeof *ready);
    for (int i = 0; i < 3; i++)
    {
        children[i] = CHILD({
            OK(setresuid(45678, 45678, 45678));
            __atomic_add_fetch(ready, 1, __ATOMIC_SEQ_CST);
            for (;;) pause();
        });
    }
    EVENTUALLY(*ready == 3);
    IN_CHILD({
        OK(setresuid(45678, 45678, 45678));
        OK(kill(-1, SIGTERM));
    });
    for (int i = 0; i < 3; i++) REAP_SIGNAL(children[i], SIGTERM);
}

CASE(siginfo_of_kill_names_the_sender)
{
    sigset_t set;
    siginfo_t info;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, &set, NULL));
    pid_t parent = getpid();
    pid_t child = CHILD({
        OK(setresuid(4321, 0, 0));
        OK(kill(parent, SIGUSR1));
    });
    EQUAL(sigwaitinfo(&set, &info), SIGUSR1);
    EQUAL(info.si_signo, SIGUSR1);
    EQUAL(info.si_errno, 0);
    EQUAL(info.si_code, SI_USER);
    EQUAL(info.si_pid, child);
    EQUAL(info.si_uid, 4321);
    REAP_EXIT(child, 0);
    OK(syscall(SYS_tgkill, getpid(), gettid(), SIGUSR1));
    EQUAL(syscall(SYS_rt_sigtimedwait, &set, &info, NULL, 8), SIGUSR1);
    EQUAL(info.si_code, SI_TKILL);          // the C library's sigwaitinfo would say SI_USER
    EQUAL(info.si_pid, getpid());
}

static siginfo_t caught;
static volatile greg_t caught_rip;

static void catches(int number, siginfo_t *info, void *context)
{
    (void)number;
    caught = *info;
    caught_rip = ((ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
    count++;
}

CASE(siginfo_handler_gets_the_siginfo)
{
    struct sigaction action = {.sa_sigaction = catches, .sa_flags = SA_SIGINFO};
    OK(sigaction(SIGUSR1, &action, NULL));
    OK(sigqueue(getpid(), SIGUSR1, (union sigval){.sival_ptr = (void *)0x123456789abc}));
    EQUAL(count, 1);
    EQUAL(caught.si_signo, SIGUSR1);
    EQUAL(caught.si_code, SI_QUEUE);
    EQUAL(caught.si_pid, getpid());
    EQUAL(caught.si_uid, getuid());
    CHECK(caught.si_value.sival_ptr == (void *)0x123456789abc);
}

CASE(signal_to_another_process_interrupts_its_user_code)
{
    int *seen = shared_memory(sizeof *seen);
    pid_t child = CHILD({
        handle(SIGUSR1, counts, 0);
        *seen = 1;
        while (count == 0) { }              // never enters the kernel by itself
        _exit(5);
    });
    EVENTUALLY(*seen);
    OK(kill(child, SIGUSR1));
    REAP_EXIT(child, 5);
}

CASE(pause_returns_after_a_handler)
{
    handle(SIGUSR1, counts, SA_RESTART);
    pid_t parent = getpid();
    pid_t child = CHILD({
        until_asleep(parent);
        OK(kill(parent, SIGUSR1));
    });
    FAILS(pause(), EINTR);                  // never restarted
    EQUAL(count, 1);
    REAP_EXIT(child, 0);
}

CASE(storm_of_signals_is_survived)
{
    handle(SIGUSR1, counts, 0);
    pid_t parent = getpid();
    pid_t child = CHILD({
        for (int i = 0; i < 20000; i++) OK(kill(parent, SIGUSR1));
    });
    int status;
    unsigned long sum = 0;
    while (waitpid(child, &status, WNOHANG) != child) sum = sum * 31 + 7;
    EQUAL(status, 0);
    CHECK(count >= 1 && count <= 20000);
    (void)sum;
}

static void exits(int number) { _exit(number); }

CASE(handler_may_end_the_process)
{
    pid_t child = CHILD({
        handle(SIGUSR1, exits, 0);
        raise(SIGUSR1);
    });
    REAP_EXIT(child, SIGUSR1);
}

static sigjmp_buf jump;

static void jumps(int number) { siglongjmp(jump, number); }

CASE(handler_may_leave_by_siglongjmp)
{
    handle(SIGUSR1, jumps, 0);
    for (int i = 0; i < 100; i++)
    {
        if (sigsetjmp(jump, 1) == 0)
        {
            raise(SIGUSR1);
            CHECK(!"came back");
        }
        sigset_t set;
        OK(sigprocmask(SIG_BLOCK, NULL, &set));
        CHECK(!sigismember(&set, SIGUSR1));
    }
}

CASE(sigkill_ends_a_process_in_any_state)
{
    pid_t stopped = CHILD({ raise(SIGSTOP); }), running = CHILD({ for (volatile long i = 0;; i++) { } }), sleeping = CHILD({ sleep_ms(1000000); });
    pid_t blocked = CHILD({
        sigset_t set;
        sigfillset(&set);
        OK(sigprocmask(SIG_SETMASK, &set, NULL));
        for (;;) pause();
    });
    int status;
    EQUAL(waitpid(stopped, &status, WUNTRACED), stopped);
    pid_t all[] = {stopped, running, sleeping, blocked};
    for (int i = 0; i < 4; i++)
    {
        OK(kill(all[i], SIGKILL));
        REAP_SIGNAL(all[i], SIGKILL);
    }
}
