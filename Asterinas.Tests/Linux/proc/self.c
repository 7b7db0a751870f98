// /proc/PID: what a process is told about itself and others (man 5 proc).
#include "text.h"

#include <dirent.h>
#include <libgen.h>
#include <sys/prctl.h>

CASE(proc_self_is_a_link_to_the_readers_own_directory)
{
    char target[64] = {0}, expected[64];
    OK(readlink("/proc/self", target, sizeof target - 1));
    EQUAL(atoi(target), getpid());
    IN_CHILD({
        char own[64] = {0};
        OK(readlink("/proc/self", own, sizeof own - 1));
        EQUAL(atoi(own), getpid());
    });
    memset(target, 0, sizeof target);
    OK(readlink("/proc/thread-self", target, sizeof target - 1));
    snprintf(expected, sizeof expected, "%d/task/%d", getpid(), getpid());
    CHECK(strcmp(target, expected) == 0);
}

CASE(proc_pid_directories_come_and_go_with_processes)
{
    int ends[2];
    OK(pipe(ends));
    pid_t child = CHILD({ char byte; OK(read(ends[0], &byte, 1)); });
    char name[64];
    snprintf(name, sizeof name, "/proc/%d", child);
    CHECK(S_ISDIR(stat_of(name).st_mode));
    DIR *directory = opendir("/proc");
    bool found = false;
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) found |= atoi(entry->d_name) == child;
    CHECK(found);
    EQUAL(write(ends[1], "x", 1), 1);
    // A zombie is still there.
    EVENTUALLY(task_state(child) == 'Z');
    REAP_EXIT(child, 0);
    CHECK(!exists(name));
    FAILS(open(name, O_RDONLY), ENOENT);
}

CASE(proc_self_stat_agrees_with_the_calls)
{
    OK(prctl(PR_SET_NAME, "name (with) x"));
    char *text = text_of("/proc/self/stat");
    CHECK_THAT(strstr(text, "(name (with) x) R ") != NULL, "%s", text);
    EQUAL(atoi(text), getpid());
    pid_t self = getpid();
    EQUAL(stat_field(self, 3), 'R');
    EQUAL(stat_field(self, 4), getppid());
    EQUAL(stat_field(self, 5), getpgrp());
    EQUAL(stat_field(self, 6), getsid(0));
    EQUAL(stat_field(self, 20), 1);             // num_threads
    CHECK(stat_field(self, 22) > 0);            // starttime
    CHECK(stat_field(self, 23) > 0);            // vsize
    CHECK(stat_field(self, 24) > 0);            // rss
    EQUAL(stat_field(self, 18), 20);            // priority
    EQUAL(stat_field(self, 19), 0);             // nice
    CHECK(stat_field(self, 52) == 0);           // exit_code, the last
}

CASE(proc_states_of_processes)
{
    pid_t sleeper = CHILD({ pause(); });
    EVENTUALLY(task_state(sleeper) == 'S');
    OK(kill(sleeper, SIGSTOP));
    EVENTUALLY(task_state(sleeper) == 'T');
    OK(kill(sleeper, SIGCONT));
    EVENTUALLY(task_state(sleeper) == 'S');
    OK(kill(sleeper, SIGKILL));
    EVENTUALLY(task_state(sleeper) == 'Z');
    char name[64];
    snprintf(name, sizeof name, "/proc/%d/status", sleeper);
    CHECK(strncmp(field_of(name, "State"), "Z (zombie)", 10) == 0);
    REAP_SIGNAL(sleeper, SIGKILL);
    CHECK(strncmp(field_of("/proc/self/status", "State"), "R (running)", 11) == 0);
}

CASE(proc_self_status_identity)
{
    EQUAL(number_of("/proc/self/status", "Pid"), getpid());
    EQUAL(number_of("/proc/self/status", "Tgid"), getpid());
    EQUAL(number_of("/proc/self/status", "PPid"), getppid());
    EQUAL(number_of("/proc/self/status", "TracerPid"), 0);
    EQUAL(number_of("/proc/self/status", "Threads"), 1);
    CHECK(strcmp(field_of("/proc/self/status", "Umask"), "0022") == 0);
    IN_CHILD({
        gid_t groups[] = {7, 9};
        OK(setgroups(2, groups));
        OK(setresgid(1, 2, 3));
        OK(setresuid(4, 5, 6));
        // Not dumpable any more: the files belong to root, but may be read.
        CHECK(strcmp(field_of("/proc/self/status", "Uid"), "4\t5\t6\t5") == 0);
        CHECK(strcmp(field_of("/proc/self/status", "Gid"), "1\t2\t3\t2") == 0);
        CHECK(strncmp(field_of("/proc/self/status", "Groups"), "7 9", 3) == 0);
    });
}

CASE(proc_self_status_signals_and_capabilities)
{
    sigset_t mask;
    sigemptyset(&mask);
    sigaddset(&mask, SIGUSR1);
    OK(sigprocmask(SIG_BLOCK, &mask, NULL));
    signal(SIGUSR2, SIG_IGN);
    count_signals(SIGHUP);
    OK(raise(SIGUSR1));
    CHECK(strtoull(field_of("/proc/self/status", "SigBlk"), NULL, 16) == 1ull << (SIGUSR1 - 1));
    CHECK((strtoull(field_of("/proc/self/status", "SigIgn"), NULL, 16) & 1ull << (SIGUSR2 - 1)) != 0);
    CHECK((strtoull(field_of("/proc/self/status", "SigCgt"), NULL, 16) & 1ull << (SIGHUP - 1)) != 0);
    CHECK((strtoull(field_of("/proc/self/status", "SigPnd"), NULL, 16) | strtoull(field_of("/proc/self/status", "ShdPnd"), NULL, 16)) == 1ull << (SIGUSR1 - 1));
    CHECK(strtoull(field_of("/proc/self/status", "CapEff"), NULL, 16) != 0);
    EQUAL(number_of("/proc/self/status", "NoNewPrivs"), 0);
    EQUAL(number_of("/proc/self/status", "Seccomp"), 0);
    AS_NOBODY({
        EQUAL(strtoull(field_of("/proc/self/status", "CapEff"), NULL, 16), 0);
        OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
        EQUAL(number_of("/proc/self/status", "NoNewPrivs"), 1);
    });
}

CASE(proc_self_status_memory_grows_with_use)
{
    long long before = number_of("/proc/self/status", "VmRSS"), size = number_of("/proc/self/status", "VmSize");
    char *memory = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(memory != MAP_FAILED);
    CHECK(number_of("/proc/self/status", "VmSize") >= size + 16 * 1024);
    CHECK(number_of("/proc/self/status", "VmRSS") < before + 8 * 1024);
    memset(memory, 1, 16 << 20);
    CHECK(number_of("/proc/self/status", "VmRSS") >= before + 15 * 1024);
    CHECK(number_of("/proc/self/status", "VmHWM") >= before + 15 * 1024);
    OK(munmap(memory, 16 << 20));
    CHECK(number_of("/proc/self/status", "VmRSS") < before + 8 * 1024);
    CHECK(number_of("/proc/self/status", "VmPeak") >= size + 16 * 1024);
    CHECK(strstr(text_of("/proc/self/status"), " kB\n") != NULL);
    long total, resident;
    EQUAL(sscanf(text_of("/proc/self/statm"), "%ld %ld", &total, &resident), 2);
    CHECK(total > resident && resident > 0);
}

CASE(proc_self_comm_can_be_read_and_written)
{
    OK(prctl(PR_SET_NAME, "a-name"));
    CHECK(strcmp(text_of("/proc/self/comm"), "a-name\n") == 0);
    int fd = OK(open("/proc/self/comm", O_WRONLY));
    EQUAL(write(fd, "another-name-that-is-long", 25), 25);
    char name[16];
    OK(prctl(PR_GET_NAME, name));
    CHECK(strcmp(name, "another-name-th") == 0);
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/comm", getpid());
    CHECK(strcmp(text_of(path), "another-name-th\n") == 0);
    CHECK(strcmp(field_of("/proc/self/status", "Name"), "another-name-th") == 0);
}

CASE(proc_cmdline_and_environ_hold_the_strings_of_exec)
{
    int ends[2], go[2];
    OK(pipe(ends));
    OK(pipe(go));
    pid_t child = CHILD({
        OK(dup2(ends[1], 1));
        OK(dup2(go[0], 0));
        OK(close(go[1]));
        char *environment[] = {"ONE=1", "TWO=two words", NULL};
        execle(test_program, "zero", "--entry", "say_and_wait", "", "a b", NULL, environment);
        test_fail(__FILE__, __LINE__, errno, "execle");
    });
    char byte, name[64], text[512];
    EQUAL(read(ends[0], &byte, 1), 1);
    snprintf(name, sizeof name, "/proc/%d/cmdline", child);
    const char expected[] = "zero\0--entry\0say_and_wait\0\0a b";
    EQUAL(read_text(name, text, sizeof text), sizeof expected);
    CHECK(memcmp(text, expected, sizeof expected) == 0);
    snprintf(name, sizeof name, "/proc/%d/environ", child);
    const char strings[] = "ONE=1\0TWO=two words";
    EQUAL(read_text(name, text, sizeof text), sizeof strings);
    CHECK(memcmp(text, strings, sizeof strings) == 0);
    snprintf(name, sizeof name, "/proc/%d/exe", child);
    char target[PATH_MAX] = {0};
    OK(readlink(name, target, sizeof target - 1));
    CHECK_THAT(strcmp(target, test_program) == 0 || strstr(target, basename(test_program)) != NULL, "%s", target);
    EQUAL(write(go[1], "x", 1), 1);
    // A zombie has neither.
    EVENTUALLY(task_state(child) == 'Z');
    snprintf(name, sizeof name, "/proc/%d/cmdline", child);
    EQUAL(read_text(name, text, sizeof text), 0);
    REAP_EXIT(child, 0);
}

ENTRY(say_and_wait)
{
    char byte = 'x';
    return write(1, &byte, 1) == 1 && read(0, &byte, 1) == 1 ? 0 : 1;
}

CASE(proc_self_exe_cwd_and_root)
{
    const char *base = test_directory();
    char target[PATH_MAX] = {0};
    OK(readlink("/proc/self/cwd", target, sizeof target - 1));
    CHECK(strcmp(target, base) == 0);
    memset(target, 0, sizeof target);
    OK(readlink("/proc/self/root", target, sizeof target - 1));
    CHECK(strcmp(target, "/") == 0);
    CHECK(S_ISLNK(stat_of("/proc/self/exe").st_mode));
    struct stat a, b;
    OK(stat("/proc/self/exe", &a));
    OK(stat(test_program, &b));
    EQUAL(a.st_ino, b.st_ino);
    OK(mkdir("root", 0755));
    pid_t child = CHILD({ OK(chroot("root")); pause(); });
    char name[64], expected[PATH_MAX + 8];
    snprintf(name, sizeof name, "/proc/%d/root", child);
    snprintf(expected, sizeof expected, "%s/root", base);
    EVENTUALLY(({
        memset(target, 0, sizeof target);
        OK(readlink(name, target, sizeof target - 1));
        strcmp(target, expected) == 0;
    }));
    end_child(child);
}

CASE(proc_self_fd_shows_what_is_open)
{
    const char *base = test_directory();
    touch("file");
    int fd = OK(open("file", O_RDWR)), ends[2];
    OK(pipe(ends));
    char name[64], target[PATH_MAX] = {0}, expected[PATH_MAX + 32];
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    OK(readlink(name, target, sizeof target - 1));
    snprintf(expected, sizeof expected, "%s/file", base);
    CHECK(strcmp(target, expected) == 0);
    EQUAL(stat_of(name).st_mode & 0777, 0700);      // what it was opened for
    OK(unlink("file"));
    memset(target, 0, sizeof target);
    OK(readlink(name, target, sizeof target - 1));
    snprintf(expected, sizeof expected, "%s/file (deleted)", base);
    CHECK(strcmp(target, expected) == 0);
    snprintf(name, sizeof name, "/proc/self/fd/%d", ends[0]);
    memset(target, 0, sizeof target);
    OK(readlink(name, target, sizeof target - 1));
    struct stat status;
    OK(fstat(ends[0], &status));
    snprintf(expected, sizeof expected, "pipe:[%llu]", (unsigned long long)status.st_ino);
    CHECK(strcmp(target, expected) == 0);
    EQUAL(stat_of(name).st_mode & 0777, 0500);
    DIR *directory = opendir("/proc/self/fd");
    int seen = 0;
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) seen += entry->d_name[0] != '.' && (atoi(entry->d_name) == fd || atoi(entry->d_name) == ends[1]);
    EQUAL(seen, 2);
    OK(close(fd));
    snprintf(name, sizeof name, "/proc/self/fd/%d", fd);
    CHECK(!exists(name));
}

CASE(proc_self_fdinfo_shows_offset_and_flags)
{
    test_directory();
    write_text("file", "abcdef");
    int fd = OK(open("file", O_RDWR | O_APPEND | O_CLOEXEC));
    OK(lseek(fd, 4, SEEK_SET));
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fdinfo/%d", fd);
    EQUAL(number_of(name, "pos"), 4);
    EQUAL(strtol(field_of(name, "flags"), NULL, 8), O_RDWR | O_APPEND | O_CLOEXEC | 0100000);
    CHECK(number_of(name, "mnt_id") > 0);
}

CASE(proc_self_maps_lists_the_mappings)
{
    test_directory();
    static char page[PAGE];
    write_file("mapped", page, sizeof page, 0600);
    char *map = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, OK(open("mapped", O_RDONLY)), 0);
    char *anonymous = mmap(NULL, 4 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    OK(mprotect(anonymous + PAGE, PAGE, PROT_NONE));
    bool has_map = false, has_none = false, has_stack = false, has_program = false;
    unsigned long last = 0;
    char *save;
    for (char *line = strtok_r(text_of("/proc/self/maps"), "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save))
    {
        unsigned long start, end, offset, inode;
        unsigned device, minor;
        char mode[8], name[PATH_MAX] = "";
        CHECK_THAT(sscanf(line, "%lx-%lx %4s %lx %x:%x %lu %4095s", &start, &end, mode, &offset, &device, &minor, &inode, name) >= 7, "a line %s", line);
        CHECK(start < end && start >= last && start % PAGE == 0);
        last = end;
        if (start == (unsigned long)map)
        {
            has_map = strcmp(mode, "r--s") == 0 && inode == stat_of("mapped").st_ino && strstr(name, "/mapped") != NULL && offset == 0;
        }
        has_none |= start == (unsigned long)anonymous + PAGE && end == start + PAGE && strcmp(mode, "---p") == 0 && inode == 0;
        has_stack |= strcmp(name, "[stack]") == 0 && start < (unsigned long)&save && (unsigned long)&save < end;
        has_program |= strcmp(mode, "r-xp") == 0 && start <= (unsigned long)test_fail && (unsigned long)test_fail < end && inode != 0;
    }
    CHECK(has_map);
    CHECK(has_none);
    CHECK(has_stack);
    CHECK(has_program);
    CHECK(number_of("/proc/self/smaps", "Size") > 0);
}

CASE(proc_self_limits_shows_rlimits)
{
    OK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){100, 200}));
    char *line = strstr(text_of("/proc/self/limits"), "Max open files");
    CHECK(line != NULL);
    int soft, hard;
    EQUAL(sscanf(line, "Max open files %d %d files", &soft, &hard), 2);
    EQUAL(soft, 100);
    EQUAL(hard, 200);
    CHECK(strstr(text_of("/proc/self/limits"), "unlimited") != NULL);
}

CASE(proc_self_oom_score_adj)
{
    EQUAL(number_in("/proc/self/oom_score_adj"), 0);
    int fd = OK(open("/proc/self/oom_score_adj", O_RDWR));
    EQUAL(write(fd, "500\n", 4), 4);
    EQUAL(number_in("/proc/self/oom_score_adj"), 500);
    IN_CHILD({ EQUAL(number_in("/proc/self/oom_score_adj"), 500); });
    FAILS(write(fd, "1001", 4), EINVAL);
    FAILS(write(fd, "-1001", 5), EINVAL);
    FAILS(write(fd, "x", 1), EINVAL);
    CHECK(number_in("/proc/self/oom_score") >= 0);
}

CASE(proc_self_task_lists_threads)
{
    DIR *directory = opendir("/proc/self/task");
    int count = 0;
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL)
    {
        if (entry->d_name[0] == '.') continue;
        count++;
        EQUAL(atoi(entry->d_name), getpid());
    }
    EQUAL(count, 1);
    CHECK(exists("/proc/self/task/1") == (getpid() == 1));
}

CASE(proc_self_ns_links_name_the_namespaces)
{
    const char *names[] = {"mnt", "uts", "ipc", "pid", "net", "user", "cgroup"};
    for (int i = 0; i < 7; i++)
    {
        char name[64], target[64] = {0}, other[64] = {0};
        snprintf(name, sizeof name, "/proc/self/ns/%s", names[i]);
        OK(readlink(name, target, sizeof target - 1));
        size_t length = strlen(names[i]);
        CHECK_THAT(strncmp(target, names[i], length) == 0 && target[length] == ':' && target[length + 1] == '[', "%s", target);
        snprintf(name, sizeof name, "/proc/%d/ns/%s", getppid(), names[i]);
        OK(readlink(name, other, sizeof other - 1));
        CHECK(strcmp(target, other) == 0);
    }
    char before[64] = {0}, after[64] = {0};
    OK(readlink("/proc/self/ns/uts", before, 63));
    OK(unshare(CLONE_NEWUTS));
    OK(readlink("/proc/self/ns/uts", after, 63));
    CHECK(strcmp(before, after) != 0);
}

CASE(proc_self_user_and_group_maps_and_cgroup)
{
    unsigned inside, outside, count;
    EQUAL(sscanf(text_of("/proc/self/uid_map"), "%u %u %u", &inside, &outside, &count), 3);
    EQUAL(inside, 0);
    EQUAL(outside, 0);
    EQUAL(count, 4294967295u);
    EQUAL(sscanf(text_of("/proc/self/gid_map"), "%u %u %u", &inside, &outside, &count), 3);
    CHECK(strcmp(text_of("/proc/self/setgroups"), "allow\n") == 0);
    char *groups = text_of("/proc/self/cgroup");
    CHECK(groups[0] == 0 || strstr(groups, ":/") != NULL);      // empty when no hierarchy is mounted
    CHECK(strtoul(text_of("/proc/self/coredump_filter"), NULL, 16) != 0);
}

CASE(proc_self_mounts_and_mountinfo_agree)
{
    int mounts = 0, infos = 0;
    for (char *at = text_of("/proc/self/mounts"); (at = strchr(at, '\n')) != NULL; at++) mounts++;
    for (char *at = text_of("/proc/self/mountinfo"); (at = strchr(at, '\n')) != NULL; at++) infos++;
    EQUAL(mounts, infos);
    CHECK(mounts > 0);
    CHECK(strstr(text_of("/proc/mounts"), " /proc proc ") != NULL);
    char target[64] = {0};
    OK(readlink("/proc/mounts", target, sizeof target - 1));
    CHECK(strcmp(target, "self/mounts") == 0);
}

CASE(proc_permissions_between_users)
{
    pid_t root = CHILD({ pause(); });
    char name[64];
    AS_NOBODY({
        snprintf(name, sizeof name, "/proc/%d/environ", root);
        FAILS(open(name, O_RDONLY), EACCES);
        snprintf(name, sizeof name, "/proc/%d/fd", root);
        FAILS(open(name, O_RDONLY), EACCES);
        char target[64];
        snprintf(name, sizeof name, "/proc/%d/cwd", root);
        FAILS(readlink(name, target, sizeof target), EACCES);
        snprintf(name, sizeof name, "/proc/%d/cmdline", root);
        OK(open(name, O_RDONLY));
        snprintf(name, sizeof name, "/proc/%d/status", root);
        OK(open(name, O_RDONLY));
        FAILS(open("/proc/self/comm/x", O_RDONLY), ENOTDIR);
    });
    end_child(root);
}

CASE(proc_files_of_a_dead_process_fail_with_ESRCH)
{
    pid_t child = CHILD({ pause(); });
    char name[64], byte;
    snprintf(name, sizeof name, "/proc/%d/status", child);
    int fd = OK(open(name, O_RDONLY));
    end_child(child);
    FAILS(read(fd, &byte, 1), ESRCH);
    FAILS(open(name, O_RDONLY), ENOENT);
}

CASE(proc_self_mem_reads_and_writes_memory)
{
    static volatile int variable = 42;
    int fd = OK(open("/proc/self/mem", O_RDWR)), value = 0;
    EQUAL(pread(fd, &value, sizeof value, (off_t)&variable), sizeof value);
    EQUAL(value, 42);
    value = 43;
    EQUAL(pwrite(fd, &value, sizeof value, (off_t)&variable), sizeof value);
    EQUAL(variable, 43);
    FAILS(pread(fd, &value, sizeof value, (off_t)unmapped_address()), EIO);
}
