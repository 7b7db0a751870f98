// /proc beside the processes: stat, meminfo, uptime, loadavg, cpuinfo, filesystems, sys, and what else programs open (man 5 proc).
#include "text.h"

#include <sys/sysinfo.h>
#include <sys/utsname.h>

CASE(proc_uptime_is_the_boot_clock)
{
    double up, idle;
    int64_t before = clock_ns(CLOCK_BOOTTIME);
    EQUAL(sscanf(text_of("/proc/uptime"), "%lf %lf", &up, &idle), 2);
    int64_t after = clock_ns(CLOCK_BOOTTIME);
    CHECK_THAT(up * 1e9 >= before - 20e6 && up * 1e9 <= after + 20e6, "%f between %lld and %lld", up, (long long)before, (long long)after);
    CHECK(idle >= 0);
}

CASE(proc_stat_counts_time_and_processes)
{
    char *text = text_of("/proc/stat");
    long long user, nice, system, idle;
    EQUAL(sscanf(text, "cpu  %lld %lld %lld %lld", &user, &nice, &system, &idle), 4);
    int cpus = 0;
    for (char *at = text; (at = strstr(at, "\ncpu")) != NULL; at++) cpus++;
    EQUAL(cpus, sysconf(_SC_NPROCESSORS_ONLN));
    char *at = strstr(text, "\nbtime ");
    CHECK(at != NULL);
    long long boot = strtoll(at + 7, NULL, 10), expected = (clock_ns(CLOCK_REALTIME) - clock_ns(CLOCK_BOOTTIME)) / 1000000000;
    CHECK_THAT(boot >= expected - 2 && boot <= expected + 2, "btime %lld, not %lld", boot, expected);
    at = strstr(text, "\nprocesses ");
    CHECK(at != NULL);
    long long forks = strtoll(at + 11, NULL, 10);
    for (int i = 0; i < 5; i++) IN_CHILD({ });
    at = strstr(text_of("/proc/stat"), "\nprocesses ");
    CHECK(strtoll(at + 11, NULL, 10) >= forks + 5);
    CHECK(strstr(text, "\nctxt ") != NULL && strstr(text, "\nprocs_running ") != NULL && strstr(text, "\nprocs_blocked ") != NULL && strstr(text, "\nintr ") != NULL);
}

CASE(proc_stat_user_time_grows_with_work)
{
    long long before, after;
    EQUAL(sscanf(text_of("/proc/stat"), "cpu  %lld", &before), 1);
    int64_t end = clock_ns(CLOCK_PROCESS_CPUTIME_ID) + 300000000;
    while (clock_ns(CLOCK_PROCESS_CPUTIME_ID) < end)
    {
        for (volatile int i = 0; i < 1000000; i++) { }
    }
    EQUAL(sscanf(text_of("/proc/stat"), "cpu  %lld", &after), 1);
    CHECK_THAT(after >= before + 10, "%lld ticks", after - before);
    CHECK(stat_field(getpid(), 14) >= 10);      // utime, in ticks of a hundredth
    EQUAL(sysconf(_SC_CLK_TCK), 100);
}

CASE(proc_meminfo_adds_up)
{
    long long total = number_of("/proc/meminfo", "MemTotal"), free = number_of("/proc/meminfo", "MemFree"), available = number_of("/proc/meminfo", "MemAvailable");
    CHECK(total > 0 && free > 0 && free < total && available > 0 && available <= total);
    struct sysinfo info;
    OK(sysinfo(&info));
    EQUAL(total, (long long)info.totalram * info.mem_unit / 1024);
    CHECK(number_of("/proc/meminfo", "Buffers") >= 0);
    CHECK(number_of("/proc/meminfo", "Cached") >= 0);
    CHECK(number_of("/proc/meminfo", "Shmem") >= 0);
    CHECK(number_of("/proc/meminfo", "SwapTotal") >= 0);
    CHECK(number_of("/proc/meminfo", "AnonPages") >= 0);
    CHECK(number_of("/proc/meminfo", "Slab") >= 0);
    CHECK(number_of("/proc/meminfo", "CommitLimit") > 0);
    CHECK(number_of("/proc/meminfo", "Committed_AS") > 0);
    CHECK(strstr(text_of("/proc/meminfo"), " kB\n") != NULL);
}

CASE(proc_meminfo_counts_anonymous_and_shared_pages)
{
    // Others come and go meanwhile; what this process holds is there at least.
    char *memory = mmap(NULL, 32 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(memory, 1, 32 << 20);
    CHECK(number_of("/proc/meminfo", "AnonPages") >= 31 * 1024);
    memset(shared_memory(32 << 20), 1, 32 << 20);
    CHECK(number_of("/proc/meminfo", "Shmem") >= 31 * 1024);
    CHECK(number_of("/proc/meminfo", "Cached") >= 31 * 1024);
}

CASE(proc_loadavg)
{
    double one, five, fifteen;
    int running, all, last;
    EQUAL(sscanf(text_of("/proc/loadavg"), "%lf %lf %lf %d/%d %d", &one, &five, &fifteen, &running, &all, &last), 6);
    CHECK(one >= 0 && five >= 0 && fifteen >= 0 && running >= 1 && all >= running && last >= 1);
}

CASE(proc_cpuinfo_describes_each_processor)
{
    int count = 0;
    for (char *at = text_of("/proc/cpuinfo"); (at = strstr(at, "processor\t: ")) != NULL; at++) count++;
    EQUAL(count, sysconf(_SC_NPROCESSORS_ONLN));
    char *flags = strstr(text_of("/proc/cpuinfo"), "\nflags\t\t: ");
    CHECK(flags != NULL && strstr(flags, " fpu ") != NULL && strstr(flags, " sse2 ") != NULL);
    CHECK(strstr(text_of("/proc/cpuinfo"), "vendor_id\t: ") != NULL && strstr(text_of("/proc/cpuinfo"), "cpu MHz\t\t: ") != NULL);
}

CASE(proc_filesystems_lists_what_can_be_mounted)
{
    const char *names[] = {"nodev\tproc\n", "nodev\ttmpfs\n", "nodev\tsysfs\n", "nodev\tdevpts\n", "nodev\tdevtmpfs\n"};
    for (int i = 0; i < 5; i++) CHECK_THAT(strstr(text_of("/proc/filesystems"), names[i]) != NULL, "no %s", names[i]);
}

CASE(proc_version_and_cmdline)
{
    struct utsname name;
    OK(uname(&name));
    char expected[128];
    snprintf(expected, sizeof expected, "Linux version %s ", name.release);
    CHECK(strncmp(text_of("/proc/version"), expected, strlen(expected)) == 0);
    char *line = text_of("/proc/cmdline");
    CHECK(strchr(line, '\n') == line + strlen(line) - 1);
}

CASE(proc_sys_kernel_names_and_limits)
{
    struct utsname name;
    OK(uname(&name));
    char expected[128];
    snprintf(expected, sizeof expected, "%s\n", name.release);
    CHECK(strcmp(text_of("/proc/sys/kernel/osrelease"), expected) == 0);
    snprintf(expected, sizeof expected, "%s\n", name.nodename);
    CHECK(strcmp(text_of("/proc/sys/kernel/hostname"), expected) == 0);
    CHECK(strcmp(text_of("/proc/sys/kernel/ostype"), "Linux\n") == 0);
    EQUAL(number_in("/proc/sys/kernel/ngroups_max"), 65536);
    CHECK(number_in("/proc/sys/kernel/pid_max") >= 301);
    CHECK(number_in("/proc/sys/kernel/threads-max") > 0);
    long long last = number_in("/proc/sys/kernel/cap_last_cap");
    CHECK(last >= 37 && last < 64);
    CHECK(number_in("/proc/sys/kernel/random/entropy_avail") > 0);
    EQUAL(strlen(text_of("/proc/sys/kernel/random/boot_id")), 37);
    char first[64];
    snprintf(first, sizeof first, "%s", text_of("/proc/sys/kernel/random/boot_id"));
    CHECK(strcmp(first, text_of("/proc/sys/kernel/random/boot_id")) == 0);
    snprintf(first, sizeof first, "%s", text_of("/proc/sys/kernel/random/uuid"));
    EQUAL(strlen(first), 37);
    CHECK(strcmp(first, text_of("/proc/sys/kernel/random/uuid")) != 0);
}

CASE(proc_sys_fs_and_vm)
{
    CHECK(number_in("/proc/sys/fs/nr_open") >= 1024);
    CHECK(number_in("/proc/sys/fs/file-max") > 0);
    long long used, free, most;
    EQUAL(sscanf(text_of("/proc/sys/fs/file-nr"), "%lld %lld %lld", &used, &free, &most), 3);
    CHECK(used >= 0 && most > 0);
    long long policy = number_in("/proc/sys/vm/overcommit_memory");
    CHECK(policy >= 0 && policy <= 2);
    CHECK(number_in("/proc/sys/vm/overcommit_ratio") >= 0);
    CHECK(number_in("/proc/sys/vm/max_map_count") > 0);
    CHECK(number_in("/proc/sys/vm/mmap_min_addr") >= 4096);
}

CASE(proc_sys_entries_can_be_written_by_root_only)
{
    OK(unshare(CLONE_NEWUTS));
    int fd = OK(open("/proc/sys/kernel/hostname", O_WRONLY));
    EQUAL(write(fd, "test-name\n", 10), 10);
    struct utsname name;
    OK(uname(&name));
    CHECK(strcmp(name.nodename, "test-name") == 0);
    EQUAL(stat_of("/proc/sys/kernel/hostname").st_mode, S_IFREG | 0644);
    EQUAL(stat_of("/proc/sys/kernel/osrelease").st_mode, S_IFREG | 0444);
    AS_NOBODY({
        FAILS(open("/proc/sys/kernel/hostname", O_WRONLY), EACCES);
        OK(open("/proc/sys/kernel/hostname", O_RDONLY));
    });
    FAILS(open("/proc/sys/kernel/absent", O_RDONLY), ENOENT);
    FAILS(mkdir("/proc/sys/new", 0700), ENOENT);
    FAILS(unlink("/proc/version"), EPERM);
}

CASE(proc_tables_of_the_kernel)
{
    CHECK(strstr(text_of("/proc/devices"), "Character devices:\n") != NULL);
    CHECK(strstr(text_of("/proc/devices"), "  1 mem\n") != NULL && strstr(text_of("/proc/devices"), "Block devices:\n") != NULL);
    CHECK(strstr(text_of("/proc/interrupts"), "CPU0") != NULL);
    CHECK(strstr(text_of("/proc/cgroups"), "#subsys_name") != NULL);
    CHECK(strncmp(text_of("/proc/swaps"), "Filename", 8) == 0);
    CHECK(strstr(text_of("/proc/vmstat"), "nr_free_pages ") != NULL && strstr(text_of("/proc/vmstat"), "\npgfault ") != NULL);
    CHECK(exists("/proc/partitions") && exists("/proc/diskstats") && exists("/proc/misc") && exists("/proc/tty/drivers"));
}

CASE(proc_locks_shows_file_locks)
{
    test_directory();
    int fd = OK(open("file", O_RDWR | O_CREAT, 0600));
    OK(fcntl(fd, F_SETLK, &(struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 5, .l_len = 10}));
    char expected[64], inode[64];
    snprintf(expected, sizeof expected, "POSIX  ADVISORY  WRITE %d ", getpid());
    snprintf(inode, sizeof inode, ":%llu 5 14\n", (unsigned long long)stat_of("file").st_ino);
    char *at = strstr(text_of("/proc/locks"), expected);
    CHECK(at != NULL && strstr(at, inode) != NULL);
}

CASE(proc_reads_in_pieces_give_the_same_text)
{
    static char whole[65536], pieces[65536];
    ssize_t length = read_text("/proc/self/mounts", whole, sizeof whole);
    int fd = OK(open("/proc/self/mounts", O_RDONLY));
    ssize_t at = 0, n;
    while ((n = OK(read(fd, pieces + at, 7))) > 0) at += n;
    EQUAL(at, length);
    CHECK(memcmp(whole, pieces, length) == 0);
    EQUAL(lseek(fd, 0, SEEK_SET), 0);
    EQUAL(read(fd, pieces, 5), 5);
    CHECK(memcmp(whole, pieces, 5) == 0);
    EQUAL(pread(fd, pieces, 5, 3), 5);
    CHECK(memcmp(whole + 3, pieces, 5) == 0);
}
