// Threads as POSIX and the C library see them: what is the process's, what the thread's; many at once; how they end.
#include "../common/test.h"
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>

static void *start(void *(*function)(void *), void *argument)
{
    pthread_t thread;
    void *result;
    EQUAL(pthread_create(&thread, NULL, function, argument), 0);
    EQUAL(pthread_join(thread, &result), 0);
    return result;
}

static void *adds_one(void *argument) { return (char *)argument + 1; }

CASE(thread_returns_its_value) { EQUAL((long)start(adds_one, (void *)41), 42); }

static void *pids(void *argument)
{
    pid_t *ids = argument;
    ids[0] = getpid(), ids[1] = gettid(), ids[2] = getppid(), ids[3] = getpgrp(), ids[4] = getsid(0);
    return NULL;
}

CASE(thread_has_the_processs_pid_and_a_tid_of_its_own)
{
    pid_t ids[5];
    start(pids, ids);
    EQUAL(gettid(), getpid());
    EQUAL(ids[0], getpid());
    CHECK(ids[1] != getpid());
    EQUAL(ids[2], getppid());
    EQUAL(ids[3], getpgrp());
    EQUAL(ids[4], getsid(0));
}

static __thread int local = 5;

static void *changes_local(void *unused)
{
    (void)unused;
    long before = local;
    local = 6;
    return (void *)before;
}

CASE(thread_local_memory_is_each_threads_own)
{
    local = 7;
    EQUAL((long)start(changes_local, NULL), 5);
    EQUAL(local, 7);
}

static void *sets_errno(void *unused)
{
    (void)unused;
    close(-1);
    return (void *)(long)errno;
}

CASE(errno_is_each_threads_own)
{
    errno = EINTR;
    EQUAL((long)start(sets_errno, NULL), EBADF);
    EQUAL(errno, EINTR);
}

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static long counter;

static void *counts(void *argument)
{
    for (long i = 0; i < (long)argument; i++)
    {
        pthread_mutex_lock(&mutex);
        counter++;
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

CASE(mutex_excludes)
{
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) EQUAL(pthread_create(&threads[i], NULL, counts, (void *)20000), 0);
    for (int i = 0; i < 8; i++) EQUAL(pthread_join(threads[i], NULL), 0);
    EQUAL(counter, 160000);
}

static pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
static int turn;

static void *takes_turns(void *argument)
{
    int me = (int)(long)argument;
    for (int i = 0; i < 1000; i++)
    {
        pthread_mutex_lock(&mutex);
        while (turn % 2 != me) pthread_cond_wait(&condition, &mutex);
        turn++;
        pthread_cond_broadcast(&condition);
        pthread_mutex_unlock(&mutex);
    }
    return NULL;
}

CASE(condition_variable_passes_the_turn)
{
    pthread_t threads[2];
    for (long i = 0; i < 2; i++) EQUAL(pthread_create(&threads[i], NULL, takes_turns, (void *)i), 0);
    for (int i = 0; i < 2; i++) EQUAL(pthread_join(threads[i], NULL), 0);
    EQUAL(turn, 2000);
}

static pthread_barrier_t barrier;

static void *meets(void *argument)
{
    long serial = 0;
    for (int i = 0; i < 200; i++)
    {
        __atomic_add_fetch((int *)argument, 1, __ATOMIC_SEQ_CST);
        serial += pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD;
        if (__atomic_load_n((int *)argument, __ATOMIC_SEQ_CST) < 5 * (i + 1)) _exit(1);
        pthread_barrier_wait(&barrier);
    }
    return (void *)serial;
}

CASE(barrier_holds_all_back)
{
    int arrived = 0;
    EQUAL(pthread_barrier_init(&barrier, NULL, 5), 0);
    pthread_t threads[5];
    for (int i = 0; i < 5; i++) EQUAL(pthread_create(&threads[i], NULL, meets, &arrived), 0);
    long serial = 0;
    for (int i = 0; i < 5; i++)
    {
        void *result;
        EQUAL(pthread_join(threads[i], &result), 0);
        serial += (long)result;
    }
    EQUAL(serial, 200);
    EQUAL(arrived, 1000);
}

static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static volatile long first, second;

static void *reads_pairs(void *unused)
{
    (void)unused;
    for (int i = 0; i < 5000; i++)
    {
        pthread_rwlock_rdlock(&rwlock);
        if (first != second) _exit(1);
        pthread_rwlock_unlock(&rwlock);
    }
    return NULL;
}

static void *writes_pairs(void *unused)
{
    (void)unused;
    for (int i = 0; i < 5000; i++)
    {
        pthread_rwlock_wrlock(&rwlock);
        first++;
        if (i % 64 == 0) sched_yield();
        second++;
        pthread_rwlock_unlock(&rwlock);
    }
    return NULL;
}

CASE(read_write_lock_shows_no_half_done_write)
{
    pthread_t threads[6];
    for (int i = 0; i < 6; i++) EQUAL(pthread_create(&threads[i], NULL, i < 4 ? reads_pairs : writes_pairs, NULL), 0);
    for (int i = 0; i < 6; i++) EQUAL(pthread_join(threads[i], NULL), 0);
    EQUAL(first, 10000);
}

static sem_t semaphore;

static void *posts(void *unused)
{
    (void)unused;
    for (int i = 0; i < 1000; i++) sem_post(&semaphore);
    return NULL;
}

CASE(semaphore_counts)
{
    OK(sem_init(&semaphore, 0, 0));
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) EQUAL(pthread_create(&threads[i], NULL, posts, NULL), 0);
    for (int i = 0; i < 4000; i++) OK(sem_wait(&semaphore));
    FAILS(sem_trywait(&semaphore), EAGAIN);
    for (int i = 0; i < 4; i++) EQUAL(pthread_join(threads[i], NULL), 0);
    struct timespec past = {1, 0};
    FAILS(sem_timedwait(&semaphore, &past), ETIMEDOUT);
}

CASE(process_shared_semaphore_and_mutex_work_between_processes)
{
    struct
    {
        sem_t semaphore;
        pthread_mutex_t mutex;
        long count;
    } *shared = shared_memory(4096);
    OK(sem_init(&shared->semaphore, 1, 0));
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&shared->mutex, &attributes);
    pid_t children[4];
    for (int i = 0; i < 4; i++)
    {
        children[i] = CHILD({
            OK(sem_wait(&shared->semaphore));
            for (int j = 0; j < 5000; j++)
            {
                pthread_mutex_lock(&shared->mutex);
                shared->count++;
                pthread_mutex_unlock(&shared->mutex);
            }
        });
    }
    for (int i = 0; i < 4; i++) OK(sem_post(&shared->semaphore));
    for (int i = 0; i < 4; i++) REAP_EXIT(children[i], 0);
    EQUAL(shared->count, 20000);
}

CASE(robust_mutex_tells_that_its_owner_died)
{
    pthread_mutex_t *shared = shared_memory(4096);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(shared, &attributes);
    pid_t child = CHILD({
        EQUAL(pthread_mutex_lock(shared), 0);
        kill(getpid(), SIGKILL);
    });
    REAP_SIGNAL(child, SIGKILL);
    EQUAL(pthread_mutex_lock(shared), EOWNERDEAD);
    EQUAL(pthread_mutex_consistent(shared), 0);
    EQUAL(pthread_mutex_unlock(shared), 0);
    EQUAL(pthread_mutex_lock(shared), 0);
}

CASE(robust_mutex_wakes_a_waiter_when_its_owner_dies)
{
    pthread_mutex_t *shared = shared_memory(4096);
    int *ready = shared_memory(4096);
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(shared, &attributes);
    pid_t self = getpid();
    pid_t child = CHILD({
        EQUAL(pthread_mutex_lock(shared), 0);
        *ready = 1;
        until_asleep(self);
        sleep_ms(20);
        until_asleep(self);
    });
    EVENTUALLY(*ready);
    EQUAL(pthread_mutex_lock(shared), EOWNERDEAD);
    REAP_EXIT(child, 0);
}

CASE(priority_inheritance_mutex_excludes)
{
    pthread_mutexattr_t attributes;
    pthread_mutexattr_init(&attributes);
    EQUAL(pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT), 0);
    EQUAL(pthread_mutex_init(&mutex, &attributes), 0);
    counter = 0;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) EQUAL(pthread_create(&threads[i], NULL, counts, (void *)5000), 0);
    for (int i = 0; i < 4; i++) EQUAL(pthread_join(threads[i], NULL), 0);
    EQUAL(counter, 20000);
}

static void *returns_at_once(void *argument) { return argument; }

CASE(thousand_threads_one_after_another)
{
    for (long i = 0; i < 1000; i++) EQUAL((long)start(returns_at_once, (void *)i), i);
}

static void *waits_for_barrier(void *unused)
{
    (void)unused;
    pthread_barrier_wait(&barrier);
    return NULL;
}

CASE(three_hundred_threads_at_once)
{
    static pthread_t threads[300];
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 65536);
    EQUAL(pthread_barrier_init(&barrier, NULL, 301), 0);
    for (int i = 0; i < 300; i++) EQUAL(pthread_create(&threads[i], &attributes, waits_for_barrier, NULL), 0);
    struct stat status;
    if (stat("/proc/self/task", &status) == 0) EQUAL(status.st_nlink, 2 + 301);
    pthread_barrier_wait(&barrier);
    for (int i = 0; i < 300; i++) EQUAL(pthread_join(threads[i], NULL), 0);
}

static void *sleeps_for_ever(void *unused)
{
    (void)unused;
    for (;;) pause();
    return NULL;
}

CASE(cancelled_thread_ends)
{
    pthread_t thread;
    void *result;
    EQUAL(pthread_create(&thread, NULL, sleeps_for_ever, NULL), 0);
    sleep_ms(20);
    EQUAL(pthread_cancel(thread), 0);
    EQUAL(pthread_join(thread, &result), 0);
    CHECK(result == PTHREAD_CANCELED);
}

CASE(detached_thread_ends_by_itself)
{
    pthread_t thread;
    EQUAL(pthread_create(&thread, NULL, counts, (void *)10), 0);
    EQUAL(pthread_detach(thread), 0);
    EVENTUALLY(__atomic_load_n(&counter, __ATOMIC_SEQ_CST) == 10);
}

static void *calls_exit(void *unused)
{
    (void)unused;
    exit(15);
}

CASE(exit_in_a_thread_ends_the_process)
{
    pid_t child = CHILD({
        pthread_t thread;
        pthread_create(&thread, NULL, sleeps_for_ever, NULL);
        pthread_create(&thread, NULL, calls_exit, NULL);
        sleeps_for_ever(NULL);
    });
    REAP_EXIT(child, 15);
}

static void *faults(void *unused)
{
    (void)unused;
    *(volatile int *)unmapped_address() = 1;
    return NULL;
}

CASE(fault_in_a_thread_kills_the_process)
{
    pid_t child = CHILD({
        pthread_t thread;
        pthread_create(&thread, NULL, faults, NULL);
        sleeps_for_ever(NULL);
    });
    REAP_SIGNAL(child, SIGSEGV);
}

static void *forks(void *result)
{
    pid_t child = fork();
    if (child == 0)
    {
        struct stat status;
        // man 2 fork: the child has one thread, a copy of the caller.
        if (gettid() != getpid()) _exit(1);
        if (stat("/proc/self/task", &status) == 0 && status.st_nlink != 3) _exit(2);
        _exit(38);
    }
    *(pid_t *)result = child;
    return NULL;
}

CASE(fork_in_a_thread_copies_that_thread_only)
{
    pthread_t thread;
    EQUAL(pthread_create(&thread, NULL, sleeps_for_ever, NULL), 0);
    pid_t child;
    start(forks, &child);
    REAP_EXIT(child, 38);
}

static void *changes_process_state(void *unused)
{
    (void)unused;
    umask(0153);
    if (chdir("/") == -1) return (void *)1;
    if (dup2(0, 40) == -1) return (void *)1;
    if (signal(SIGUSR1, SIG_IGN) == SIG_ERR) return (void *)1;
    if (setpriority(PRIO_PROCESS, 0, 3) == -1) return (void *)1;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    prctl(PR_SET_NAME, "thread");
    return NULL;
}

CASE(process_attributes_are_shared_thread_attributes_are_not)
{
    test_directory();
    OK(prctl(PR_SET_NAME, "leader"));
    CHECK(start(changes_process_state, NULL) == NULL);
    char name[PATH_MAX];
    CHECK(getcwd(name, sizeof name) != NULL && strcmp(name, "/") == 0);
    EQUAL(umask(022), 0153);
    OK(fcntl(40, F_GETFD));
    struct sigaction action;
    OK(sigaction(SIGUSR1, NULL, &action));
    CHECK(action.sa_handler == SIG_IGN);
    sigset_t set;
    OK(sigprocmask(SIG_BLOCK, NULL, &set));
    CHECK(!sigismember(&set, SIGUSR2));
    EQUAL(getpriority(PRIO_PROCESS, 0), 0);                 // man 7 nptl: the nice value is the thread's on Linux
    OK(prctl(PR_GET_NAME, name));
    CHECK(strcmp(name, "leader") == 0);
}

static void *changes_ids_raw(void *unused)
{
    (void)unused;
    return (void *)(syscall(SYS_setresuid, 1000, 1000, 1000) == 0 && syscall(SYS_getuid) == 1000 ? 1L : 0L);
}

static void *changes_ids(void *unused)
{
    (void)unused;
    return (void *)(setresuid(1000, 1000, 1000) == 0 ? 1L : 0L);
}

CASE(credentials_are_the_threads_for_the_kernel_and_the_processs_for_the_library)
{
    EQUAL((long)start(changes_ids_raw, NULL), 1);
    EQUAL(getuid(), 0);
    EQUAL((long)start(changes_ids, NULL), 1);
    EQUAL(getuid(), 1000);                                  // by a signal to every thread
}

static pid_t thread_id;
static sem_t started;

static void *says_its_tid(void *unused)
{
    thread_id = gettid();
    sem_post(&started);
    return sleeps_for_ever(unused);
}

CASE(tgkill_and_tkill_errors)
{
    OK(sem_init(&started, 0, 0));
    pthread_t thread;
    EQUAL(pthread_create(&thread, NULL, says_its_tid, NULL), 0);
    OK(sem_wait(&started));
    OK(syscall(SYS_tgkill, getpid(), thread_id, 0));
    OK(syscall(SYS_tkill, thread_id, 0));
    FAILS(syscall(SYS_tgkill, getppid(), thread_id, 0), ESRCH);        // of another process
    FAILS(syscall(SYS_tgkill, 0, thread_id, 0), EINVAL);
    FAILS(syscall(SYS_tgkill, getpid(), 0, 0), EINVAL);
    FAILS(syscall(SYS_tgkill, getpid(), -1, 0), EINVAL);
    FAILS(syscall(SYS_tgkill, getpid(), thread_id, 65), EINVAL);
    FAILS(syscall(SYS_tkill, -1, 0), EINVAL);
    FAILS(syscall(SYS_tkill, 0x3fffffff, 0), ESRCH);
    // kill takes any thread's tid for its process (man 2 kill is silent).
    OK(kill(thread_id, 0));
    EQUAL(getpgid(thread_id), getpgrp());
}

static void *uses_cpu(void *argument)
{
    while (clock_ns(CLOCK_THREAD_CPUTIME_ID) < (long)argument) { }
    return (void *)clock_ns(CLOCK_THREAD_CPUTIME_ID);
}

CASE(cpu_time_of_threads_is_their_own_and_adds_up_in_the_process)
{
    int64_t before = clock_ns(CLOCK_PROCESS_CPUTIME_ID), mine = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    CHECK((long)start(uses_cpu, (void *)1500000000) >= 1500000000);
    CHECK(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - before >= 1500000000);
    CHECK(clock_ns(CLOCK_THREAD_CPUTIME_ID) - mine < 1000000000);
    struct rusage process, thread;
    OK(getrusage(RUSAGE_SELF, &process));
    OK(getrusage(RUSAGE_THREAD, &thread));
    int64_t process_us = (process.ru_utime.tv_sec + process.ru_stime.tv_sec) * 1000000 + process.ru_utime.tv_usec + process.ru_stime.tv_usec;
    int64_t thread_us = (thread.ru_utime.tv_sec + thread.ru_stime.tv_sec) * 1000000 + thread.ru_utime.tv_usec + thread.ru_stime.tv_usec;
    CHECK_THAT(process_us >= 1000000, "%lld", (long long)process_us);
    CHECK_THAT(thread_us < 1000000, "%lld", (long long)thread_us);
}

static void *sees_clock_of(void *argument)
{
    clockid_t clock;
    int64_t *time = argument;
    pthread_getcpuclockid(*(pthread_t *)&time[0], &clock);
    time[1] = clock_ns(clock);
    return NULL;
}

CASE(cpu_clock_of_another_thread_can_be_read)
{
    int64_t argument[2] = {(int64_t)pthread_self(), 0};
    uses_cpu((void *)50000000);
    start(sees_clock_of, argument);
    CHECK(argument[1] >= 50000000);
}

static void *unmaps(void *page)
{
    return (void *)(long)munmap(page, 4096);
}

CASE(mappings_change_for_all_threads_at_once)
{
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *page = 1;
    EQUAL((long)start(unmaps, page), 0);
    unsigned char present;
    FAILS(mincore(page, 4096, &present), ENOMEM);
}

static volatile char *shared_page;
static volatile int go_on = 1;

static void *reads_page(void *unused)
{
    (void)unused;
    while (go_on) (void)*shared_page;
    return NULL;
}

static void skip_fault(int number, siginfo_t *info, void *context)
{
    (void)number, (void)info, (void)context;
    _exit(66);
}

CASE(unmapping_is_seen_by_a_running_thread_on_another_cpu)
{
    // The reader faults after the unmap: a translation that lingered in its CPU would let it read on.
    for (int i = 0; i < 20; i++)
    {
        pid_t child = CHILD({
            struct sigaction action = {.sa_sigaction = skip_fault, .sa_flags = SA_SIGINFO};
            OK(sigaction(SIGSEGV, &action, NULL));
            shared_page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            *shared_page = 1;
            pthread_t thread;
            EQUAL(pthread_create(&thread, NULL, reads_page, NULL), 0);
            sleep_ms(5);
            OK(munmap((void *)shared_page, 4096));
            sleep_ms(10000);
        });
        REAP_EXIT(child, 66);
    }
}

CASE(set_robust_list_is_read_back)
{
    void *head;
    size_t length;
    OK(syscall(SYS_get_robust_list, 0, &head, &length));
    EQUAL(length, 24);
    CHECK(head != NULL);                    // the C library's
    FAILS(syscall(SYS_set_robust_list, head, 23), EINVAL);
    OK(syscall(SYS_set_robust_list, head, 24));
    FAILS(syscall(SYS_get_robust_list, 0, unmapped_address(), &length), EFAULT);
    FAILS(syscall(SYS_get_robust_list, 0, &head, unmapped_address()), EFAULT);
    FAILS(syscall(SYS_get_robust_list, 0x3fffffff, &head, &length), ESRCH);
    IN_CHILD({
        OK(setresuid(1000, 1000, 1000));
        FAILS(syscall(SYS_get_robust_list, getppid(), &head, &length), EPERM);
    });
}

static void *waits_and_reports(void *argument)
{
    int *fds = argument;
    char byte;
    return (void *)(long)(read(fds[0], &byte, 1) == 1 ? byte : 0);
}

CASE(threads_blocked_in_read_are_woken_one_by_one)
{
    int ends[2];
    OK(pipe(ends));
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) EQUAL(pthread_create(&threads[i], NULL, waits_and_reports, ends), 0);
    sleep_ms(50);
    EQUAL(write(ends[1], "abcd", 4), 4);
    long sum = 0;
    for (int i = 0; i < 4; i++)
    {
        void *result;
        EQUAL(pthread_join(threads[i], &result), 0);
        sum += (long)result;
    }
    EQUAL(sum, 'a' + 'b' + 'c' + 'd');
}
