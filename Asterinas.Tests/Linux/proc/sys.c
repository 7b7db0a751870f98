// The basics of /sys (man 5 sysfs): what programs look at to learn of processors, memory, devices and the kernel.
#include "text.h"

#include <dirent.h>

CASE(sys_has_its_directories)
{
    const char *names[] = {"block", "bus", "class", "dev", "devices", "firmware", "fs", "kernel", "module", "power"};
    for (int i = 0; i < 10; i++)
    {
        char name[64];
        snprintf(name, sizeof name, "/sys/%s", names[i]);
        CHECK_THAT(S_ISDIR(stat_of(name).st_mode), "%s is no directory", name);
    }
    FAILS(open("/sys/absent", O_RDONLY), ENOENT);
    FAILS(mkdir("/sys/new", 0700), EPERM);
    CHECK(exists("/sys/fs/cgroup") && exists("/sys/dev/char") && exists("/sys/dev/block") && exists("/sys/class/tty") && exists("/sys/class/mem"));
}

CASE(sys_cpu_lists)
{
    int cpus = sysconf(_SC_NPROCESSORS_ONLN);
    char expected[32];
    if (cpus == 1) snprintf(expected, sizeof expected, "0\n");
    else snprintf(expected, sizeof expected, "0-%d\n", cpus - 1);
    CHECK(strcmp(text_of("/sys/devices/system/cpu/online"), expected) == 0);
    CHECK(strncmp(text_of("/sys/devices/system/cpu/possible"), "0", 1) == 0);
    CHECK(strncmp(text_of("/sys/devices/system/cpu/present"), "0", 1) == 0);
    for (int i = 0; i < cpus; i++)
    {
        char name[64];
        snprintf(name, sizeof name, "/sys/devices/system/cpu/cpu%d", i);
        CHECK(S_ISDIR(stat_of(name).st_mode));
    }
    CHECK(number_in("/sys/devices/system/cpu/cpu0/topology/core_id") >= 0);
}

CASE(sys_cpu_caches)
{
    EQUAL(number_in("/sys/devices/system/cpu/cpu0/cache/index0/coherency_line_size"), 64);
    EQUAL(number_in("/sys/devices/system/cpu/cpu0/cache/index0/level"), 1);
    char *size = text_of("/sys/devices/system/cpu/cpu0/cache/index0/size"), *end;
    CHECK(strtol(size, &end, 10) > 0 && strcmp(end, "K\n") == 0);
    CHECK(number_in("/sys/devices/system/cpu/cpu0/cache/index2/level") >= 2);
}

CASE(sys_node_zero)
{
    CHECK(S_ISDIR(stat_of("/sys/devices/system/node/node0").st_mode));
    CHECK(strncmp(text_of("/sys/devices/system/node/online"), "0", 1) == 0);
    CHECK(strstr(text_of("/sys/devices/system/node/node0/meminfo"), "MemTotal:") != NULL);
}

CASE(sys_transparent_hugepage)
{
    char *text = text_of("/sys/kernel/mm/transparent_hugepage/enabled");
    CHECK(strchr(text, '[') != NULL && strstr(text, "madvise") != NULL && strstr(text, "never") != NULL);
    EQUAL(number_in("/sys/kernel/mm/transparent_hugepage/hpage_pmd_size"), 2 << 20);
}

CASE(sys_class_links_lead_to_devices)
{
    char target[PATH_MAX] = {0};
    OK(readlink("/sys/class/mem/null", target, sizeof target - 1));
    CHECK(strncmp(target, "../../devices/", 14) == 0);
    CHECK(strcmp(text_of("/sys/class/mem/null/dev"), "1:3\n") == 0);
    CHECK(strstr(text_of("/sys/class/mem/null/uevent"), "MAJOR=1\nMINOR=3\nDEVNAME=null\n") != NULL);
    memset(target, 0, sizeof target);
    OK(readlink("/sys/class/mem/null/subsystem", target, sizeof target - 1));
    CHECK(strcmp(target + strlen(target) - 9, "class/mem") == 0);
    CHECK(strcmp(text_of("/sys/dev/char/1:3/dev"), "1:3\n") == 0);
    CHECK(strcmp(text_of("/sys/class/tty/tty/dev"), "5:0\n") == 0);
    CHECK(strcmp(text_of("/sys/class/tty/ptmx/dev"), "5:2\n") == 0);
    CHECK(strcmp(text_of("/sys/class/tty/console/dev"), "5:1\n") == 0);
}

CASE(sys_console_names_its_terminals)
{
    CHECK(strncmp(text_of("/sys/class/tty/console/active"), "tty", 3) == 0);
}

CASE(sys_attributes_are_files_of_a_page)
{
    struct stat status = stat_of("/sys/devices/system/cpu/online");
    EQUAL(status.st_mode, S_IFREG | 0444);
    EQUAL(status.st_size, 4096);
    AS_NOBODY({
        OK(open("/sys/devices/system/cpu/online", O_RDONLY));
        FAILS(open("/sys/devices/system/cpu/online", O_WRONLY), EACCES);
    });
    DIR *directory = opendir("/sys/devices/system");
    bool has_cpu = false;
    struct dirent *entry;
    while ((entry = readdir(directory)) != NULL) has_cpu |= strcmp(entry->d_name, "cpu") == 0 && entry->d_type == DT_DIR;
    CHECK(has_cpu);
}
