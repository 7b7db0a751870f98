// openat2: the structure, strict flags and the RESOLVE flags of man 2 openat2.
#include "../common/scratch.h"

static void tree(void)
{
    test_directory();
    OK(mkdir("root", 0755));
    OK(mkdir("root/d", 0755));
    write_text("root/file", "inside");
    write_text("outside", "outside");
    OK(symlink("file", "root/link"));
    OK(symlink("/file", "root/absolute"));
    OK(symlink("../outside", "root/escape"));
    OK(symlink("../file", "root/d/up"));
    OK(symlink("d", "root/dlink"));
}

CASE(openat2_opens_like_openat)
{
    tree();
    int root = OK(open("root", O_PATH));
    long fd = OK(openat2(root, "file", O_RDWR | O_CLOEXEC, 0, 0));
    EQUAL(fcntl(fd, F_GETFD), FD_CLOEXEC);
    EQUAL(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDWR);
    fd = OK(openat2(root, "new", O_RDWR | O_CREAT | O_EXCL, 0640, 0));
    EQUAL(stat_of("root/new").st_mode, S_IFREG | 0640);
    FAILS(openat2(root, "absent", O_RDONLY, 0, 0), ENOENT);
    FAILS(openat2(999, "file", O_RDONLY, 0, 0), EBADF);
    FAILS(openat2(root, "absolute", O_RDONLY, 0, 0), ENOENT);
    OK(openat2(root, "escape", O_RDONLY, 0, 0));
}

CASE(openat2_refuses_what_it_does_not_know)
{
    tree();
    FAILS(openat2(AT_FDCWD, "outside", O_RDONLY | 0x8000000, 0, 0), EINVAL);
    FAILS(openat2(AT_FDCWD, "outside", O_RDONLY | 1ull << 40, 0, 0), EINVAL);
    FAILS(openat2(AT_FDCWD, "outside", O_RDONLY, 0, 0x40), EINVAL);
    FAILS(openat2(AT_FDCWD, "outside", O_RDONLY, 0, 1ull << 40), EINVAL);
    FAILS(openat2(AT_FDCWD, "outside", O_RDONLY, 0600, 0), EINVAL);
    FAILS(openat2(AT_FDCWD, "new", O_RDWR | O_CREAT, 010600, 0), EINVAL);
    FAILS(openat2(AT_FDCWD, ".", O_RDWR | O_TMPFILE, 0200600, 0), EINVAL);
    FAILS(openat2(AT_FDCWD, "outside", O_PATH | O_RDWR, 0, 0), EINVAL);
    FAILS(openat2(AT_FDCWD, "outside", O_RDONLY, 0, RESOLVE_IN_ROOT | RESOLVE_BENEATH), EINVAL);
    CHECK(!exists("new"));
}

CASE(openat2_structure_may_grow)
{
    tree();
    struct
    {
        struct open_how how;
        uint64_t more;
    } larger = {.how = {.flags = O_RDONLY}};
    OK(syscall(SYS_openat2, AT_FDCWD, "outside", &larger, sizeof larger));
    larger.more = 1;
    FAILS(syscall(SYS_openat2, AT_FDCWD, "outside", &larger, sizeof larger), E2BIG);
    FAILS(syscall(SYS_openat2, AT_FDCWD, "outside", &larger, sizeof larger.how - 1), EINVAL);
    FAILS(syscall(SYS_openat2, AT_FDCWD, "outside", &larger, 0), EINVAL);
    char *page = mmap(NULL, 2 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    FAILS(syscall(SYS_openat2, AT_FDCWD, "outside", page, 2 * PAGE), E2BIG);
    OK(syscall(SYS_openat2, AT_FDCWD, "outside", page, PAGE));
}

CASE(openat2_bad_pointers_fail_with_EFAULT)
{
    tree();
    struct open_how how = {.flags = O_RDONLY};
    FAILS(syscall(SYS_openat2, AT_FDCWD, "outside", unmapped_address(), sizeof how), EFAULT);
    FAILS(syscall(SYS_openat2, AT_FDCWD, "outside", before_unmapped(sizeof how - 1), sizeof how), EFAULT);
    FAILS(syscall(SYS_openat2, AT_FDCWD, unmapped_address(), &how, sizeof how), EFAULT);
}

CASE(openat2_RESOLVE_BENEATH_never_leaves_the_directory)
{
    const char *base = test_directory();
    tree();
    int root = OK(open("root", O_PATH));
    OK(openat2(root, "file", O_RDONLY, 0, RESOLVE_BENEATH));
    OK(openat2(root, "link", O_RDONLY, 0, RESOLVE_BENEATH));
    OK(openat2(root, "d/../file", O_RDONLY, 0, RESOLVE_BENEATH));
    OK(openat2(root, "d/up", O_RDONLY, 0, RESOLVE_BENEATH));
    OK(openat2(root, "dlink/up", O_RDONLY, 0, RESOLVE_BENEATH));
    FAILS(openat2(root, "..", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
    FAILS(openat2(root, "../root/file", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
    FAILS(openat2(root, "escape", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
    FAILS(openat2(root, "absolute", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
    FAILS(openat2(root, base, O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
    FAILS(openat2(root, "../new", O_RDWR | O_CREAT, 0600, RESOLVE_BENEATH), EXDEV);
    CHECK(!exists("new"));
}

CASE(openat2_RESOLVE_IN_ROOT_makes_the_directory_the_root)
{
    tree();
    int root = OK(open("root", O_PATH));
    char text[16] = {0};
    EQUAL(read(OK(openat2(root, "absolute", O_RDONLY, 0, RESOLVE_IN_ROOT)), text, 16), 6);
    CHECK(strcmp(text, "inside") == 0);
    OK(openat2(root, "/file", O_RDONLY, 0, RESOLVE_IN_ROOT));
    OK(openat2(root, "../../../file", O_RDONLY, 0, RESOLVE_IN_ROOT));
    OK(openat2(root, "d/up", O_RDONLY, 0, RESOLVE_IN_ROOT));
    FAILS(openat2(root, "escape", O_RDONLY, 0, RESOLVE_IN_ROOT), ENOENT);
    FAILS(openat2(root, "/outside", O_RDONLY, 0, RESOLVE_IN_ROOT), ENOENT);
    // What is created is created inside.
    OK(openat2(root, "/../new", O_RDWR | O_CREAT, 0600, RESOLVE_IN_ROOT));
    CHECK(exists("root/new") && !exists("new"));
}

CASE(openat2_RESOLVE_NO_SYMLINKS_refuses_every_link)
{
    tree();
    int root = OK(open("root", O_PATH));
    OK(openat2(root, "d/../file", O_RDONLY, 0, RESOLVE_NO_SYMLINKS));
    FAILS(openat2(root, "link", O_RDONLY, 0, RESOLVE_NO_SYMLINKS), ELOOP);
    FAILS(openat2(root, "dlink/up", O_RDONLY, 0, RESOLVE_NO_SYMLINKS), ELOOP);
    FAILS(openat2(root, "dlink/.", O_RDONLY, 0, RESOLVE_NO_SYMLINKS), ELOOP);
    OK(openat2(root, "link", O_PATH | O_NOFOLLOW, 0, RESOLVE_NO_SYMLINKS));
}

CASE(openat2_RESOLVE_NO_MAGICLINKS_refuses_proc_self_fd)
{
    tree();
    char name[64];
    snprintf(name, sizeof name, "/proc/self/fd/%ld", OK(openat2(AT_FDCWD, "outside", O_RDONLY, 0, 0)));
    OK(openat2(AT_FDCWD, name, O_RDONLY, 0, 0));
    FAILS(openat2(AT_FDCWD, name, O_RDONLY, 0, RESOLVE_NO_MAGICLINKS), ELOOP);
    FAILS(openat2(AT_FDCWD, "/proc/self/cwd/outside", O_RDONLY, 0, RESOLVE_NO_MAGICLINKS), ELOOP);
    OK(openat2(AT_FDCWD, name, O_PATH | O_NOFOLLOW, 0, RESOLVE_NO_MAGICLINKS));
    // An ordinary link, /proc/self among them, is none.
    OK(openat2(AT_FDCWD, "root/link", O_RDONLY, 0, RESOLVE_NO_MAGICLINKS));
    OK(openat2(AT_FDCWD, "/proc/self/status", O_RDONLY, 0, RESOLVE_NO_MAGICLINKS));
    // RESOLVE_BENEATH and RESOLVE_IN_ROOT do not let them through either.
    int self = OK(open("/proc/self", O_PATH));
    FAILS(openat2(self, "cwd", O_RDONLY, 0, RESOLVE_BENEATH), EXDEV);
    FAILS(openat2(self, "cwd", O_RDONLY, 0, RESOLVE_IN_ROOT), EXDEV);
}

CASE(openat2_RESOLVE_NO_XDEV_stays_on_the_mount)
{
    tree();
    private_mounts();
    mount_tmpfs("root/m", 0, NULL);
    write_text("root/m/file", "mounted");
    int root = OK(open("root", O_PATH)), mounted = OK(open("root/m", O_PATH));
    OK(openat2(root, "file", O_RDONLY, 0, RESOLVE_NO_XDEV));
    FAILS(openat2(root, "m", O_RDONLY, 0, RESOLVE_NO_XDEV), EXDEV);
    FAILS(openat2(root, "m/file", O_RDONLY, 0, RESOLVE_NO_XDEV), EXDEV);
    OK(openat2(mounted, "file", O_RDONLY, 0, RESOLVE_NO_XDEV));
    FAILS(openat2(mounted, "..", O_RDONLY, 0, RESOLVE_NO_XDEV), EXDEV);
    OK(mkdir("root/b", 0700));
    OK(mount("root/d", "root/b", NULL, MS_BIND, NULL));
    FAILS(openat2(root, "b", O_RDONLY, 0, RESOLVE_NO_XDEV), EXDEV);
}

CASE(openat2_RESOLVE_CACHED_answers_or_asks_to_try_again)
{
    tree();
    FAILS(openat2(AT_FDCWD, "outside", O_RDWR | O_TRUNC, 0, RESOLVE_CACHED), EAGAIN);
    FAILS(openat2(AT_FDCWD, "new", O_RDWR | O_CREAT, 0600, RESOLVE_CACHED), EAGAIN);
    FILE_IS("outside", "outside");
    OK(open("outside", O_RDONLY));
    long fd = openat2(AT_FDCWD, "outside", O_RDONLY, 0, RESOLVE_CACHED);
    if (fd == -1) EQUAL(errno, EAGAIN);
}
