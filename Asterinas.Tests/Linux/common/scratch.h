// What the programs about files share: a user without privileges, private mounts, patterns, calls that the C library does not wrap.
#pragma once

#include "test.h"

#include <grp.h>
#include <linux/openat2.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>

enum
{
    NOBODY = 65534,
    PAGE = 4096,
};

// Becomes user and group `id` without further groups and without capabilities; there is no way back.
static inline void become(uid_t id)
{
    OK(setgroups(0, NULL));
    OK(setresgid(id, id, id));
    OK(setresuid(id, id, id));
}

// A child that runs the block as a user without privileges and must end with status 0.
#define AS_NOBODY(...) REAP_EXIT(CHILD({ become(NOBODY); __VA_ARGS__ }), 0)

// From here on this process's mounts are seen by nobody else, and end with it.
static inline void private_mounts(void)
{
    OK(unshare(CLONE_NEWNS));
    OK(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
}

// Makes the directory and mounts a tmpfs there; for a process with private mounts.
static inline void mount_tmpfs(const char *name, unsigned long flags, const char *options)
{
    if (mkdir(name, 0755) == -1 && errno != EEXIST) test_fail(__FILE__, __LINE__, errno, "mkdir %s", name);
    OK(mount("none", name, "tmpfs", flags, options));
}

// A test directory that is a tmpfs of its own, whatever holds the temporary files of this machine.
static inline const char *tmpfs_directory(void)
{
    const char *name = test_directory();
    private_mounts();
    mount_tmpfs(name, 0, "mode=0777");
    OK(chdir(name));
    return name;
}

static inline long openat2(int directory, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
    return syscall(SYS_openat2, directory, path, &how, sizeof how);
}

// Closes whatever the program inherited beyond the standard descriptors, so that a case knows which numbers are free.
static inline void close_inherited(void)
{
    for (int fd = 3; fd < 1024; fd++) close(fd);
}

// Makes an empty file.
static inline void touch(const char *name) { write_file(name, "", 0, 0644); }

static inline struct stat stat_of(const char *name)
{
    struct stat status;
    if (lstat(name, &status) == -1) test_fail(__FILE__, __LINE__, errno, "lstat %s", name);
    return status;
}

static inline bool exists(const char *name)
{
    struct stat status;
    return lstat(name, &status) == 0;
}

// The file is these bytes and nothing else.
#define FILE_IS(name, text)                                                                                            \
    do                                                                                                                 \
    {                                                                                                                  \
        char content_[8192];                                                                                           \
        ssize_t length_ = read_text(name, content_, sizeof content_);                                                  \
        CHECK_THAT(length_ == (ssize_t)strlen(text) && memcmp(content_, text, length_) == 0, "%s is \"%.100s\" (%zd bytes)", name, \
                   length_ < 0 ? "?" : content_, length_);                                                             \
    } while (0)

// Bytes of which no two aligned words of 16 KiB are alike, different for each seed.
static inline void fill_pattern(void *memory, size_t size, unsigned seed)
{
    unsigned char *bytes = memory;
    for (size_t i = 0; i < size; i++) bytes[i] = (unsigned char)(i * 7 + (i >> 8) * 13 + (i >> 16) * 31 + seed * 101);
}

static inline bool is_pattern(const void *memory, size_t size, size_t offset, unsigned seed)
{
    const unsigned char *bytes = memory;
    for (size_t i = 0; i < size; i++)
    {
        size_t at = i + offset;
        if (bytes[i] != (unsigned char)(at * 7 + (at >> 8) * 13 + (at >> 16) * 31 + seed * 101)) return false;
    }
    return true;
}

static inline bool is_filled_with(const void *memory, size_t size, unsigned char value)
{
    const unsigned char *bytes = memory;
    for (size_t i = 0; i < size; i++)
    {
        if (bytes[i] != value) return false;
    }
    return true;
}

// A name of `length` letters.
static inline char *long_name(size_t length)
{
    char *name = malloc(length + 1);
    CHECK(name != NULL);
    memset(name, 'n', length);
    name[length] = 0;
    return name;
}

// Signals that this process handles by counting them.
static volatile sig_atomic_t signals_seen;
static inline void count_signal(int number)
{
    (void)number;
    signals_seen++;
}

// Handles the signal by counting; without SA_RESTART, so that it interrupts calls.
static inline void count_signals(int number)
{
    signals_seen = 0;
    struct sigaction action = {.sa_handler = count_signal};
    OK(sigaction(number, &action, NULL));
}

// A child that sends the signal to this process once it sleeps, again and again until it is killed: no wake-up is lost to a race.
static inline pid_t interrupter(int number)
{
    pid_t target = getpid();
    return CHILD({
        until_asleep(target);
        while (kill(target, number) == 0) sleep_ms(20);
    });
}

static inline void end_child(pid_t pid)
{
    OK(kill(pid, SIGKILL));
    REAP_SIGNAL(pid, SIGKILL);
}
