// capabilities(7), capget(2), capset(2), prctl(2) PR_CAPBSET_*, PR_CAP_AMBIENT, PR_SET_KEEPCAPS, PR_SET_SECUREBITS; and that each decides what it names.
#include "../common/test.h"
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/time.h>
#include <sys/xattr.h>

struct capabilities
{
    uint64_t effective, permitted, inheritable;
};

static struct capabilities get_capabilities(pid_t pid)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, pid};
    struct __user_cap_data_struct data[2];
    OK(syscall(SYS_capget, &header, data));
    return (struct capabilities){data[0].effective | (uint64_t)data[1].effective << 32, data[0].permitted | (uint64_t)data[1].permitted << 32,
                                 data[0].inheritable | (uint64_t)data[1].inheritable << 32};
}

static int set_capabilities(struct capabilities set)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct data[2] = {
        {(uint32_t)set.effective, (uint32_t)set.permitted, (uint32_t)set.inheritable},
        {set.effective >> 32, set.permitted >> 32, set.inheritable >> 32},
    };
    return syscall(SYS_capset, &header, data);
}

#define BIT(capability) (1ULL << (capability))

// Root with all capabilities but these in its effective set.
static void drop_effective(uint64_t set)
{
    struct capabilities now = get_capabilities(0);
    now.effective &= ~set;
    OK(set_capabilities(now));
}

CASE(root_has_all_capabilities)
{
    // All of its bounding set, that is: a container's root lacks some.
    struct capabilities now = get_capabilities(0);
    for (int i = 0; i <= CAP_CHECKPOINT_RESTORE; i++)
    {
        if (i > CAP_SETPCAP && prctl(PR_CAPBSET_READ, i) == 0) continue;
        CHECK_THAT(now.effective & BIT(i), "capability %d is not effective", i);
        CHECK_THAT(now.permitted & BIT(i), "capability %d is not permitted", i);
    }
    EQUAL(now.inheritable, 0);
}

CASE(capget_reads_others_and_checks_its_arguments)
{
    struct capabilities other = get_capabilities(getppid());
    CHECK(other.effective & BIT(CAP_KILL));
    struct __user_cap_header_struct header = {0x12345678, 0};
    struct __user_cap_data_struct data[2];
    FAILS(syscall(SYS_capget, &header, data), EINVAL);
    EQUAL(header.version, _LINUX_CAPABILITY_VERSION_3);         // the preferred version is written
    header.version = 0x12345678;
    EQUAL(syscall(SYS_capget, &header, NULL), 0);               // man 2 capget: a probe
    EQUAL(header.version, _LINUX_CAPABILITY_VERSION_3);
    header.pid = -1;
    FAILS(syscall(SYS_capget, &header, data), EINVAL);
    header.pid = 0x3fffffff;
    FAILS(syscall(SYS_capget, &header, data), ESRCH);
    header.pid = 0;
    FAILS(syscall(SYS_capget, &header, unmapped_address()), EFAULT);
    FAILS(syscall(SYS_capget, unmapped_address(), data), EFAULT);
    FAILS(syscall(SYS_capset, &header, unmapped_address()), EFAULT);
    FAILS(syscall(SYS_capset, unmapped_address(), data), EFAULT);
    header.pid = getppid();
    FAILS(syscall(SYS_capset, &header, data), EPERM);           // only oneself
}

CASE(first_version_has_32_capabilities)
{
    struct __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_1, 0};
    struct __user_cap_data_struct data[2] = {{0, 0, 0}, {0x77, 0x77, 0x77}};
    OK(syscall(SYS_capget, &header, data));
    CHECK(data[0].effective & BIT(CAP_KILL));
    EQUAL(data[1].effective, 0x77);
}

CASE(sets_can_shrink_and_not_grow)
{
    struct capabilities all = get_capabilities(0), less = all;
    less.effective &= ~BIT(CAP_SYS_NICE);
    OK(set_capabilities(less));
    OK(set_capabilities(all));                                  // still permitted
    less.permitted &= ~BIT(CAP_SYS_NICE);
    OK(set_capabilities(less));
    FAILS(set_capabilities(all), EPERM);
    less.permitted &= ~BIT(CAP_SYS_TIME);
    FAILS(set_capabilities(less), EPERM);                       // effective beyond permitted
}

CASE(leaving_uid_zero_clears_the_sets_and_returning_restores_the_effective)
{
    IN_CHILD({
        OK(setresuid(1000, 1000, 1000));
        struct capabilities now = get_capabilities(0);
        EQUAL(now.effective, 0);
        EQUAL(now.permitted, 0);
    });
    IN_CHILD({
        struct capabilities before = get_capabilities(0);
        OK(setresuid(-1, 1000, 0));                             // one of the three is still zero
        struct capabilities now = get_capabilities(0);
        EQUAL(now.effective, 0);
        EQUAL(now.permitted, before.permitted);
        OK(setresuid(-1, 0, -1));
        now = get_capabilities(0);
        EQUAL(now.effective, before.permitted);
    });
}

CASE(keepcaps_keeps_the_permitted_set)
{
    EQUAL(prctl(PR_GET_KEEPCAPS), 0);
    OK(prctl(PR_SET_KEEPCAPS, 1));
    EQUAL(prctl(PR_GET_KEEPCAPS), 1);
    struct capabilities before = get_capabilities(0);
    OK(setresuid(1000, 1000, 1000));
    struct capabilities now = get_capabilities(0);
    EQUAL(now.permitted, before.permitted);
    EQUAL(now.effective, 0);
    now.effective = BIT(CAP_SETUID);
    OK(set_capabilities(now));
    OK(setresuid(0, 0, 0));
    FAILS(prctl(PR_SET_KEEPCAPS, 2), EINVAL);
}

ENTRY(has_capabilities)
{
    struct capabilities now = get_capabilities(0);
    uint64_t permitted = strtoull(argv[3], NULL, 0), effective = strtoull(argv[4], NULL, 0), inheritable = strtoull(argv[5], NULL, 0);
    CHECK_THAT(now.permitted == permitted && now.effective == effective && now.inheritable == inheritable, "capabilities are p %#llx e %#llx i %#llx",
               (unsigned long long)now.permitted, (unsigned long long)now.effective, (unsigned long long)now.inheritable);
    EQUAL(prctl(PR_GET_KEEPCAPS), 0);                           // cleared by every execve
    return 0;
}

static void copy_program(const char *name, mode_t mode)
{
    static char bytes[1 << 16];
    int from = OK(open(test_program, O_RDONLY | O_CLOEXEC)), to = OK(open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0700));
    ssize_t length;
    while ((length = OK(read(from, bytes, sizeof bytes))) > 0) EQUAL(write(to, bytes, length), length);
    OK(fchmod(to, mode));
    OK(close(to));
    OK(close(from));
}

__attribute__((noreturn)) static void execute_with(const char *program, uint64_t permitted, uint64_t effective, uint64_t inheritable)
{
    char words[3][32];
    snprintf(words[0], sizeof words[0], "%#llx", (unsigned long long)permitted);
    snprintf(words[1], sizeof words[1], "%#llx", (unsigned long long)effective);
    snprintf(words[2], sizeof words[2], "%#llx", (unsigned long long)inheritable);
    char *arguments[] = {"x", "--entry", "has_capabilities", words[0], words[1], words[2], NULL};
    execve(program, arguments, environ);
    test_fail(__FILE__, __LINE__, errno, "execve");
}

CASE(exec_by_root_gains_all_that_the_bounding_set_has)
{
    test_directory();
    copy_program("program", 0755);
    uint64_t all = get_capabilities(0).permitted;
    OK(prctl(PR_CAPBSET_DROP, CAP_SYS_TIME));
    EQUAL(prctl(PR_CAPBSET_READ, CAP_SYS_TIME), 0);
    EQUAL(prctl(PR_CAPBSET_READ, CAP_KILL), 1);
    FAILS(prctl(PR_CAPBSET_READ, 64), EINVAL);
    FAILS(prctl(PR_CAPBSET_DROP, 64), EINVAL);
    CHECK(get_capabilities(0).effective & BIT(CAP_SYS_TIME));   // dropping from the bounding set takes nothing at once
    drop_effective(~0ULL & ~BIT(CAP_KILL));
    IN_CHILD({ execute_with("./program", all & ~BIT(CAP_SYS_TIME), all & ~BIT(CAP_SYS_TIME), 0); });
    drop_effective(~0ULL);
    FAILS(prctl(PR_CAPBSET_DROP, CAP_KILL), EPERM);             // needs CAP_SETPCAP
}

CASE(exec_by_a_user_loses_all)
{
    test_directory();
    copy_program("program", 0755);
    OK(prctl(PR_SET_KEEPCAPS, 1));
    OK(setresuid(1000, 1000, 1000));
    struct capabilities now = get_capabilities(0);
    now.effective = now.permitted;
    now.inheritable = BIT(CAP_KILL);
    OK(set_capabilities(now));
    IN_CHILD({ execute_with("./program", 0, 0, BIT(CAP_KILL)); });
}

CASE(ambient_capabilities_survive_exec)
{
    test_directory();
    copy_program("program", 0755);
    copy_program("setuid", 04755);
    OK(chown("setuid", 2000, 2000));
    OK(chmod("setuid", 04755));
    EQUAL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 0);
    FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0), EPERM);      // neither permitted and inheritable
    OK(prctl(PR_SET_KEEPCAPS, 1));
    OK(setresuid(1000, 1000, 1000));
    struct capabilities now = get_capabilities(0);
    now.inheritable = BIT(CAP_KILL) | BIT(CAP_CHOWN);
    OK(set_capabilities(now));
    OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 0, 0));
    OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0));
    OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_LOWER, CAP_CHOWN, 0, 0));
    EQUAL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 1);
    EQUAL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_CHOWN, 0, 0), 0);
    IN_CHILD({ execute_with("./program", BIT(CAP_KILL), BIT(CAP_KILL), now.inheritable); });
    IN_CHILD({ execute_with("./setuid", 0, 0, now.inheritable); });                 // a privileged file clears it
    now.inheritable = BIT(CAP_CHOWN);
    OK(set_capabilities(now));
    EQUAL(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, CAP_KILL, 0, 0), 0);         // lowered with the inheritable set
    OK(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0));
    FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, 64, 0, 0), EINVAL);
    FAILS(prctl(PR_CAP_AMBIENT, 77, CAP_KILL, 0, 0), EINVAL);
    FAILS(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_KILL, 1, 0), EINVAL);
}

// man 7 capabilities, "File capabilities": the attribute security.capability, here of version 2.
static void set_file_capabilities(const char *name, uint64_t permitted, uint64_t inheritable, bool effective)
{
    struct vfs_cap_data data = {.magic_etc = VFS_CAP_REVISION_2 | (effective ? VFS_CAP_FLAGS_EFFECTIVE : 0)};
    for (int i = 0; i < 2; i++) data.data[i].permitted = permitted >> (32 * i), data.data[i].inheritable = inheritable >> (32 * i);
    OK(setxattr(name, "security.capability", &data, sizeof data, 0));
}

CASE(file_capabilities_are_gained_by_exec)
{
    test_directory();
    copy_program("effective", 0755);
    copy_program("permitted", 0755);
    copy_program("inheritable", 0755);
    set_file_capabilities("effective", BIT(CAP_KILL) | BIT(CAP_CHECKPOINT_RESTORE), 0, true);
    set_file_capabilities("permitted", BIT(CAP_KILL), 0, false);
    set_file_capabilities("inheritable", 0, BIT(CAP_CHOWN) | BIT(CAP_FOWNER), true);
    OK(prctl(PR_SET_KEEPCAPS, 1));
    OK(setresuid(1000, 1000, 1000));
    struct capabilities now = get_capabilities(0);
    now.inheritable = BIT(CAP_CHOWN);
    OK(set_capabilities(now));
    IN_CHILD({ execute_with("./effective", BIT(CAP_KILL) | BIT(CAP_CHECKPOINT_RESTORE), BIT(CAP_KILL) | BIT(CAP_CHECKPOINT_RESTORE), BIT(CAP_CHOWN)); });
    IN_CHILD({ execute_with("./permitted", BIT(CAP_KILL), 0, BIT(CAP_CHOWN)); });
    IN_CHILD({ execute_with("./inheritable", BIT(CAP_CHOWN), BIT(CAP_CHOWN), BIT(CAP_CHOWN)); });
    IN_CHILD({
        OK(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
        now.effective = now.permitted = 0;
        OK(set_capabilities(now));
        execute_with("./effective", 0, 0, BIT(CAP_CHOWN));
    });
}

CASE(writing_to_a_file_removes_its_capabilities)
{
    test_directory();
    copy_program("program", 0755);
    set_file_capabilities("program", BIT(CAP_KILL), 0, true);
    int fd = OK(open("program", O_WRONLY | O_APPEND));
    EQUAL(write(fd, "x", 1), 1);
    char data[64];
    FAILS(getxattr("program", "security.capability", data, sizeof data), ENODATA);
}

CASE(securebits_change_what_root_means)
{
    test_directory();
    copy_program("program", 0755);
    EQUAL(prctl(PR_GET_SECUREBITS), 0);
    OK(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT));
    EQUAL(prctl(PR_GET_SECUREBITS), SECBIT_NOROOT);
    IN_CHILD({ execute_with("./program", 0, 0, 0); });
    OK(prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP));
    IN_CHILD({
        uint64_t all = get_capabilities(0).effective;
        OK(setresuid(1000, 1000, 1000));
        EQUAL(get_capabilities(0).effective, all);
    });
    OK(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT_LOCKED));
    FAILS(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NOROOT_LOCKED), EPERM);
    FAILS(prctl(PR_SET_SECUREBITS, 0), EPERM);
    FAILS(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT_LOCKED | 0x1000), EPERM);
    OK(prctl(PR_SET_SECUREBITS, SECBIT_NOROOT_LOCKED | SECBIT_KEEP_CAPS_LOCKED));
    FAILS(prctl(PR_SET_KEEPCAPS, 1), EPERM);
}

// From here on: without the capability root is refused.

CASE(cap_kill)
{
    drop_effective(BIT(CAP_KILL));
    pid_t child = CHILD({
        OK(setresuid(1000, 1000, 1000));
        for (;;) pause();
    });
    EVENTUALLY(kill(child, 0) == -1 && errno == EPERM);
    struct capabilities now = get_capabilities(0);
    now.effective |= BIT(CAP_KILL);
    OK(set_capabilities(now));
    OK(kill(child, SIGKILL));
    REAP_SIGNAL(child, SIGKILL);
}

CASE(cap_dac_override_and_read_search)
{
    test_directory();
    write_file("file", "x", 1, 0);
    OK(chown("file", 1000, 1000));
    OK(mkdir("directory", 0700));
    write_text("directory/file", "x");
    OK(chown("directory", 1000, 1000));
    drop_effective(BIT(CAP_DAC_OVERRIDE));
    OK(open("file", O_RDONLY));                     // CAP_DAC_READ_SEARCH is left
    FAILS(open("file", O_WRONLY), EACCES);
    OK(open("directory/file", O_RDONLY));
    FAILS(unlink("directory/file"), EACCES);
    drop_effective(BIT(CAP_DAC_READ_SEARCH));
    FAILS(open("file", O_RDONLY), EACCES);
    FAILS(open("directory/file", O_RDONLY), EACCES);
}

CASE(cap_chown_and_fowner_and_fsetid)
{
    test_directory();
    write_file("file", "x", 1, 0644);
    drop_effective(BIT(CAP_CHOWN));
    FAILS(chown("file", 1000, -1), EPERM);
    FAILS(chown("file", -1, 12345), EPERM);         // a group that the caller is not in
    OK(chown("file", 0, 0));
    struct capabilities now = get_capabilities(0);
    now.effective |= BIT(CAP_CHOWN);
    OK(set_capabilities(now));
    OK(chown("file", 1000, 12345));
    OK(chmod("file", 02755));
    struct stat status;
    OK(stat("file", &status));
    EQUAL(status.st_mode & 07777, 02755);
    drop_effective(BIT(CAP_FSETID));
    OK(chmod("file", 02755));                       // the bit is dropped in silence
    OK(stat("file", &status));
    EQUAL(status.st_mode & 07777, 0755);
    drop_effective(BIT(CAP_FOWNER));
    FAILS(chmod("file", 0700), EPERM);
    FAILS(utimensat(AT_FDCWD, "file", (struct timespec[2]){{1, 0}, {1, 0}}, 0), EPERM);
}

CASE(cap_setuid_and_setgid)
{
    drop_effective(BIT(CAP_SETUID) | BIT(CAP_SETGID));
    FAILS(setresuid(1000, 0, 0), EPERM);
    FAILS(setresgid(1000, 0, 0), EPERM);
    FAILS(syscall(SYS_setgroups, 0, NULL), EPERM);
}

CASE(cap_sys_nice)
{
    drop_effective(BIT(CAP_SYS_NICE));
    OK(setpriority(PRIO_PROCESS, 0, 5));
    FAILS(setpriority(PRIO_PROCESS, 0, 4), EACCES);
    OK(setrlimit(RLIMIT_RTPRIO, &(struct rlimit){0, 0}));
    FAILS(sched_setscheduler(0, SCHED_FIFO, &(struct sched_param){1}), EPERM);
}

CASE(cap_sys_resource)
{
    drop_effective(BIT(CAP_SYS_RESOURCE));
    OK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){50, 100}));
    OK(setrlimit(RLIMIT_NOFILE, &(struct rlimit){100, 100}));
    FAILS(setrlimit(RLIMIT_NOFILE, &(struct rlimit){100, 101}), EPERM);
}

CASE(cap_sys_time)
{
    drop_effective(BIT(CAP_SYS_TIME));
    FAILS(clock_settime(CLOCK_REALTIME, &(struct timespec){1000000000, 0}), EPERM);
    FAILS(settimeofday(&(struct timeval){1000000000, 0}, NULL), EPERM);
}

CASE(cap_sys_admin_and_chroot_and_boot)
{
    test_directory();
    drop_effective(BIT(CAP_SYS_ADMIN) | BIT(CAP_SYS_CHROOT) | BIT(CAP_SYS_BOOT) | BIT(CAP_MKNOD));
    FAILS(sethostname("x", 1), EPERM);
    FAILS(setdomainname("x", 1), EPERM);
    FAILS(chroot("."), EPERM);
    FAILS(syscall(SYS_reboot, 0xfee1dead, 672274793, 0, NULL), EPERM);
    FAILS(mknod("device", S_IFCHR | 0600, 0x103), EPERM);
    OK(mknod("fifo", S_IFIFO | 0600, 0));
    FAILS(syscall(SYS_mount, "none", ".", "tmpfs", 0, NULL), EPERM);
    FAILS(syscall(SYS_umount2, ".", 0), EPERM);
    FAILS(unshare(CLONE_NEWUTS), EPERM);
}

CASE(cap_ipc_lock)
{
    drop_effective(BIT(CAP_IPC_LOCK));
    OK(setrlimit(RLIMIT_MEMLOCK, &(struct rlimit){0, 0}));
    char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FAILS(mlock(page, 4096), EPERM);
    FAILS(mlockall(MCL_CURRENT), EPERM);
}

CASE(users_have_none)
{
    test_directory();
    OK(setresuid(1000, 1000, 1000));
    EQUAL(get_capabilities(0).effective, 0);
    FAILS(sethostname("x", 1), EPERM);
    FAILS(chroot("."), EPERM);
    FAILS(chown(".", 1000, 1000), EPERM);
    FAILS(setpriority(PRIO_PROCESS, 0, -1), EACCES);
    FAILS(setpriority(PRIO_PROCESS, getppid(), 5), EPERM);
    FAILS(kill(getppid(), 0), EPERM);
}
