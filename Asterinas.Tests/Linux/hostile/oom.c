// Out of memory: the hog is killed, the rest lives. In a guest only: on the machine that runs the tests this would hit others.
#include "../common/hostile.h"

static void in_guest_only(void)
{
    if (getenv("HOSTILE_IN_GUEST") == NULL) SKIP("would take the machine's memory");
}

__attribute__((noreturn)) static void eat(void)
{
    for (;;)
    {
        char *memory = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) continue;
        for (size_t i = 0; i < 4 << 20; i += 4096) memory[i] = 1;
    }
}

CASE_LIMIT(hog_is_killed_and_its_parent_lives, 600)
{
    in_guest_only();
    pid_t bystander = CHILD({ for (;;) pause(); });
    pid_t hog = CHILD({ eat(); });
    REAP_SIGNAL(hog, SIGKILL);
    EQUAL(waitpid(bystander, NULL, WNOHANG), 0);
    OK(kill(bystander, SIGKILL));
    REAP_SIGNAL(bystander, SIGKILL);
    // All of it is back.
    char *memory = mmap(NULL, 64 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    CHECK(memory != MAP_FAILED);
}

CASE_LIMIT(hog_is_killed_ten_times_in_a_row, 1200)
{
    in_guest_only();
    for (int i = 0; i < 10; i++) REAP_SIGNAL(CHILD({ eat(); }), SIGKILL);
}

CASE_LIMIT(several_hogs_at_once_all_end, 1200)
{
    in_guest_only();
    pid_t hogs[4];
    for (int i = 0; i < 4; i++) hogs[i] = CHILD({ eat(); });
    for (int i = 0; i < 4; i++) REAP_SIGNAL(hogs[i], SIGKILL);
}

static void set_adjustment(const char *value)
{
    int fd = OK(open("/proc/self/oom_score_adj", O_WRONLY));
    EQUAL(write(fd, value, strlen(value)), strlen(value));
    OK(close(fd));
}

CASE_LIMIT(adjusted_score_chooses_the_victim, 600)
{
    // man 5 proc, /proc/PID/oom_score_adj: 1000 is always taken first, -1000 never.
    in_guest_only();
    int *ready = shared_memory(4096);
    pid_t first = CHILD({
        set_adjustment("1000");
        *ready = 1;
        for (;;) pause();
    });
    EVENTUALLY(*ready);
    pid_t hog = CHILD({
        set_adjustment("-999");
        eat();
    });
    REAP_SIGNAL(first, SIGKILL);
    REAP_SIGNAL(hog, SIGKILL);
}

CASE_LIMIT(memory_in_tmpfs_and_shared_memory_counts, 600)
{
    in_guest_only();
    pid_t hog = CHILD({
        for (;;)
        {
            char *memory = mmap(NULL, 4 << 20, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
            if (memory == MAP_FAILED) continue;
            for (size_t i = 0; i < 4 << 20; i += 4096) memory[i] = 1;
        }
    });
    int status;
    EQUAL(waitpid(hog, &status, 0), hog);
    CHECK_THAT(WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGBUS), "%#x", status);
}

CASE_LIMIT(fork_of_a_hog_is_refused_or_killed, 600)
{
    in_guest_only();
    pid_t hog = CHILD({
        // Processes that each touch a little more, until there is none left for one of them.
        for (int i = 0; i < 2000; i++)
        {
            pid_t child = fork();
            if (child == -1) break;
            if (child != 0)
            {
                waitpid(child, NULL, 0);
                _exit(0);
            }
            char *memory = mmap(NULL, 2 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
            if (memory == MAP_FAILED) break;
            memset(memory, 1, 2 << 20);
        }
    });
    int status;
    EQUAL(waitpid(hog, &status, 0), hog);
}
