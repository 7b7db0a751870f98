// Small calls about the machine and the process: uname(2), sysinfo(2), times(2), getrusage(2), getrandom(2), umask(2), sethostname(2), exit codes.
#include "../common/test.h"
#include <linux/random.h>
#include <sched.h>
#include <sys/random.h>
#include <sys/sysinfo.h>
#include <sys/times.h>
#include <sys/utsname.h>

CASE(uname_names_linux_on_x86_64)
{
    struct utsname name;
    memset(&name, 'x', sizeof name);
    OK(uname(&name));
    CHECK(strcmp(name.sysname, "Linux") == 0);
    CHECK(strcmp(name.machine, "x86_64") == 0);
    int major, minor;
    EQUAL(sscanf(name.release, "%d.%d", &major, &minor), 2);
    CHECK(major >= 5);                      // the C library refuses to start on kernels it does not know: 3.2 or later
    CHECK(strlen(name.nodename) < 65 && strlen(name.version) < 65);
    FAILS(syscall(SYS_uname, unmapped_address()), EFAULT);
    FAILS(syscall(SYS_uname, before_unmapped(100)), EFAULT);
}

CASE(hostname_is_the_node_name)
{
    // In a namespace of its own, if there are any, so that the machine keeps its name.
    IN_CHILD({
        struct utsname before;
        struct utsname now;
        OK(uname(&before));
        syscall(SYS_unshare, 0x04000000);       // CLONE_NEWUTS
        OK(sethostname("a-test-name", 11));
        OK(setdomainname("a.domain", 8));
        OK(uname(&now));
        CHECK(strcmp(now.nodename, "a-test-name") == 0);
        CHECK(strcmp(now.domainname, "a.domain") == 0);
        char text[100];
        OK(gethostname(text, sizeof text));
        CHECK(strcmp(text, "a-test-name") == 0);
        FAILS(sethostname("x", 65), EINVAL);
        FAILS(sethostname("x", -1), EINVAL);
        FAILS(sethostname(unmapped_address(), 3), EFAULT);
        FAILS(setdomainname("x", 65), EINVAL);
        OK(sethostname(before.nodename, strlen(before.nodename)));
        OK(setdomainname(before.domainname, strlen(before.domainname)));
    });
}

CASE(sysinfo_is_plausible)
{
    struct sysinfo info;
    memset(&info, 0xff, sizeof info);
    OK(sysinfo(&info));
    CHECK(info.uptime >= 0 && info.uptime < 100000000);
    CHECK(info.mem_unit >= 1);
    CHECK(info.totalram > 0 && info.freeram > 0 && info.freeram <= info.totalram);
    CHECK(info.freeswap <= info.totalswap);
    CHECK(info.procs >= 2);
    FAILS(syscall(SYS_sysinfo, unmapped_address()), EFAULT);
}

CASE(times_counts_ticks_of_the_process_and_of_reaped_children)
{
    struct tms now;
    OK(times(&now));
    EQUAL(now.tms_cutime, 0);
    IN_CHILD({ while (clock_ns(CLOCK_PROCESS_CPUTIME_ID) < 300000000) { } });
    while (clock_ns(CLOCK_PROCESS_CPUTIME_ID) < 200000000) { }
    clock_t first = OK(times(&now));
    CHECK_THAT(now.tms_utime + now.tms_stime >= 15, "%ld", now.tms_utime + now.tms_stime);
    CHECK_THAT(now.tms_cutime + now.tms_cstime >= 25, "%ld", now.tms_cutime + now.tms_cstime);
    sleep_ms(100);
    CHECK(OK(times(&now)) - first >= 9);
    CHECK(times(NULL) != -1);
    FAILS(syscall(SYS_times, unmapped_address()), EFAULT);
}

CASE(getrusage_counts_time_faults_and_switches)
{
    struct rusage before, after;
    OK(getrusage(RUSAGE_SELF, &before));
    char *memory = mmap(NULL, 200 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    OK(madvise(memory, 200 * 4096, MADV_NOHUGEPAGE) == 0 || errno == EINVAL ? 0 : -1);
    for (int i = 0; i < 200; i++) memory[i * 4096] = 1;
    for (int i = 0; i < 20; i++) sleep_ms(1);
    OK(getrusage(RUSAGE_SELF, &after));
    CHECK_THAT(after.ru_minflt - before.ru_minflt >= 200, "%ld faults", after.ru_minflt - before.ru_minflt);
    CHECK_THAT(after.ru_nvcsw - before.ru_nvcsw >= 20, "%ld switches", after.ru_nvcsw - before.ru_nvcsw);
    CHECK(after.ru_maxrss >= before.ru_maxrss && after.ru_maxrss >= 800);
    FAILS(syscall(SYS_getrusage, 99, &after), EINVAL);
    FAILS(syscall(SYS_getrusage, -2, &after), EINVAL);
    FAILS(syscall(SYS_getrusage, RUSAGE_SELF, unmapped_address()), EFAULT);
}

CASE(maximum_resident_size_is_a_high_water_mark)
{
    size_t size = 32 << 20;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    CHECK(memory != MAP_FAILED);
    OK(munmap(memory, size));
    struct rusage usage;
    OK(getrusage(RUSAGE_SELF, &usage));
    CHECK_THAT(usage.ru_maxrss >= 32 * 1024, "%ld KiB", usage.ru_maxrss);
    IN_CHILD({
        OK(getrusage(RUSAGE_CHILDREN, &usage));
        EQUAL(usage.ru_maxrss, 0);
    });
    IN_CHILD({
        char *more = mmap(NULL, 2 * size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
        CHECK(more != MAP_FAILED);
    });
    OK(getrusage(RUSAGE_CHILDREN, &usage));
    CHECK_THAT(usage.ru_maxrss >= 64 * 1024, "%ld KiB", usage.ru_maxrss);       // of the largest child
}

CASE(system_time_and_user_time_are_told_apart)
{
    struct rusage usage;
    IN_CHILD({
        while (clock_ns(CLOCK_PROCESS_CPUTIME_ID) < 300000000)
        {
            for (volatile int i = 0; i < 100000; i++) { }
        }
        OK(getrusage(RUSAGE_SELF, &usage));
        CHECK(usage.ru_utime.tv_usec + usage.ru_utime.tv_sec * 1000000 > usage.ru_stime.tv_usec + usage.ru_stime.tv_sec * 1000000);
    });
    IN_CHILD({
        int fd = OK(open("/dev/zero", O_RDONLY));
        static char bytes[1 << 20];
        while (clock_ns(CLOCK_PROCESS_CPUTIME_ID) < 300000000) OK(read(fd, bytes, sizeof bytes));
        OK(getrusage(RUSAGE_SELF, &usage));
        CHECK(usage.ru_utime.tv_usec + usage.ru_utime.tv_sec * 1000000 < usage.ru_stime.tv_usec + usage.ru_stime.tv_sec * 1000000);
    });
}

CASE(getrandom_fills_the_buffer)
{
    unsigned char bytes[4096] = {0}, other[256];
    EQUAL(getrandom(bytes, 256, 0), 256);
    EQUAL(getrandom(other, 256, GRND_NONBLOCK), 256);
    CHECK(memcmp(bytes, other, 256) != 0);
    EQUAL(getrandom(bytes, sizeof bytes, GRND_RANDOM), sizeof bytes);
    int counts[256] = {0};
    for (size_t i = 0; i < sizeof bytes; i++) counts[bytes[i]]++;
    for (int i = 0; i < 256; i++) CHECK_THAT(counts[i] < 64, "byte %d comes %d times in 4096", i, counts[i]);
    EQUAL(getrandom(bytes, 0, 0), 0);
    EQUAL(getrandom(bytes, 16, 4), 16);             // GRND_INSECURE
    FAILS(getrandom(bytes, 16, 0x100), EINVAL);
    FAILS(getrandom(bytes, 16, 4 | GRND_RANDOM), EINVAL);
    FAILS(syscall(SYS_getrandom, unmapped_address(), 16, 0), EFAULT);
}

CASE(getrandom_larger_than_a_page)
{
    size_t size = 1 << 20;
    unsigned char *bytes = calloc(1, size);
    EQUAL(getrandom(bytes, size, 0), size);
    size_t zeros = 0;
    for (size_t i = 0; i < size; i++) zeros += bytes[i] == 0;
    CHECK_THAT(zeros > 3000 && zeros < 5500, "%zu zeros", zeros);
}

CASE(child_and_parent_get_different_random_bytes)
{
    unsigned char *bytes = shared_memory(64), own[32];
    IN_CHILD({ EQUAL(getrandom(bytes, 32, 0), 32); });
    EQUAL(getrandom(own, 32, 0), 32);
    CHECK(memcmp(bytes, own, 32) != 0);
}

CASE(umask_keeps_the_permission_bits)
{
    umask(0);
    EQUAL(umask(07777), 0);
    EQUAL(umask(022), 0777);
    EQUAL(umask(-1), 022);
    EQUAL(umask(022), 0777);
    test_directory();
    umask(027);
    OK(close(OK(open("file", O_CREAT | O_WRONLY, 0666))));
    struct stat status;
    OK(stat("file", &status));
    EQUAL(status.st_mode & 0777, 0640);
    OK(mkdir("directory", 0777));
    OK(stat("directory", &status));
    EQUAL(status.st_mode & 0777, 0750);
    umask(0);
}

CASE(unknown_system_calls_are_ENOSYS)
{
    FAILS(syscall(1000), ENOSYS);
    FAILS(syscall(0x7fffffff), ENOSYS);
    FAILS(syscall(-1), ENOSYS);
    FAILS(syscall(350), ENOSYS);                // a gap in the table
    FAILS(syscall(423), ENOSYS);
    FAILS(syscall(0x40000000 + 39), ENOSYS);    // x32 is no part of this ABI here
}

CASE(system_call_preserves_registers)
{
    // Only rax, rcx and r11 change (System V ABI, A.2.1).
    unsigned long rbx, rdi, rsi, rdx, r8, r9, r10, r12;
    __asm__ volatile("mov $1, %%rbx\n\tmov $2, %%rdi\n\tmov $3, %%rsi\n\tmov $4, %%rdx\n\tmov $5, %%r8\n\tmov $6, %%r9\n\tmov $7, %%r10\n\tmov $8, %%r12\n\t"
                     "mov $39, %%eax\n\tsyscall\n\t"
                     "mov %%rbx, %0\n\tmov %%rdi, %1\n\tmov %%rsi, %2\n\tmov %%rdx, %3\n\tmov %%r8, %4\n\tmov %%r9, %5\n\tmov %%r10, %6\n\tmov %%r12, %7"
                     : "=m"(rbx), "=m"(rdi), "=m"(rsi), "=m"(rdx), "=m"(r8), "=m"(r9), "=m"(r10), "=m"(r12)
                     :
                     : "rax", "rbx", "rcx", "rdi", "rsi", "rdx", "r8", "r9", "r10", "r11", "r12", "memory");
    CHECK(rbx == 1 && rdi == 2 && rsi == 3 && rdx == 4 && r8 == 5 && r9 == 6 && r10 == 7 && r12 == 8);
}

CASE(system_call_returns_flags_and_the_next_address_in_r11_and_rcx)
{
    unsigned long rcx, r11, next;
    __asm__ volatile("mov $39, %%eax\n\tstc\n\tsyscall\n1:\tmov %%rcx, %0\n\tmov %%r11, %1\n\tlea 1b(%%rip), %2"
                     : "=&r"(rcx), "=&r"(r11), "=&r"(next)
                     :
                     : "rax", "rcx", "r11", "memory");
    EQUAL(rcx, next);
    EQUAL(r11 & 1, 1);                          // carry was set
}

CASE(vector_registers_survive_system_calls_and_switches)
{
    pid_t other = CHILD({
        for (;;)
        {
            __asm__ volatile("pcmpeqd %%xmm0, %%xmm0\n\tpcmpeqd %%xmm7, %%xmm7\n\tpcmpeqd %%xmm15, %%xmm15" : : : "xmm0", "xmm7", "xmm15");
            syscall(SYS_sched_yield);
        }
    });
    for (unsigned long i = 1; i <= 2000; i++)
    {
        unsigned long a, b, c;
        __asm__ volatile("movq %3, %%xmm0\n\tmovq %3, %%xmm7\n\tmovq %3, %%xmm15\n\tmov $24, %%eax\n\tsyscall\n\tmovq %%xmm0, %0\n\tmovq %%xmm7, %1\n\tmovq %%xmm15, %2"
                         : "=&r"(a), "=&r"(b), "=&r"(c)
                         : "r"(i * 0x0101010101)
                         : "rax", "rcx", "r11", "xmm0", "xmm7", "xmm15", "memory");
        CHECK(a == i * 0x0101010101 && b == a && c == a);
    }
    OK(kill(other, SIGKILL));
    REAP_SIGNAL(other, SIGKILL);
}

CASE(floating_point_control_is_each_processs)
{
    unsigned mxcsr = 0x9fc0;
    __asm__ volatile("ldmxcsr %0" : : "m"(mxcsr));
    IN_CHILD({
        unsigned now;
        __asm__ volatile("stmxcsr %0" : "=m"(now));
        EQUAL(now, 0x9fc0);
        unsigned other = 0x1f80;
        __asm__ volatile("ldmxcsr %0" : : "m"(other));
    });
    sleep_ms(10);
    __asm__ volatile("stmxcsr %0" : "=m"(mxcsr));
    EQUAL(mxcsr & 0xffc0, 0x9fc0);
}

CASE(arch_prctl_reads_and_sets_the_segment_bases)
{
    unsigned long fs, gs, block[2] = {0, 0xabcd};
    OK(syscall(SYS_arch_prctl, 0x1003, &fs));               // ARCH_GET_FS
    unsigned long first;
    __asm__ volatile("mov %%fs:0, %0" : "=r"(first));
    EQUAL(first, fs);                                       // the thread block points to itself
    OK(syscall(SYS_arch_prctl, 0x1001, block));             // ARCH_SET_GS
    OK(syscall(SYS_arch_prctl, 0x1004, &gs));               // ARCH_GET_GS
    EQUAL(gs, (unsigned long)block);
    unsigned long value;
    __asm__ volatile("mov %%gs:8, %0" : "=r"(value));
    EQUAL(value, 0xabcd);
    sched_yield();
    IN_CHILD({
        __asm__ volatile("mov %%gs:8, %0" : "=r"(value));
        EQUAL(value, 0xabcd);
    });
    FAILS(syscall(SYS_arch_prctl, 0x1003, unmapped_address()), EFAULT);
    FAILS(syscall(SYS_arch_prctl, 0x1004, unmapped_address()), EFAULT);
}
