// Files by handle: name_to_handle_at, open_by_handle_at (man 2 open_by_handle_at).
#include "../common/scratch.h"

struct handle
{
    struct file_handle head;
    unsigned char bytes[MAX_HANDLE_SZ];
};

CASE(open_by_handle_at_finds_the_file_by_its_inode)
{
    test_directory();
    write_text("file", "content");
    struct handle handle = {.head.handle_bytes = MAX_HANDLE_SZ};
    int mount_id = -1;
    OK(name_to_handle_at(AT_FDCWD, "file", &handle.head, &mount_id, 0));
    CHECK(handle.head.handle_bytes > 0 && handle.head.handle_bytes <= MAX_HANDLE_SZ);
    OK(rename("file", "moved"));
    int fd = OK(open_by_handle_at(OK(open(".", O_RDONLY)), &handle.head, O_RDONLY));
    char text[8];
    EQUAL(read(fd, text, 8), 7);
    OK(close(fd));
    OK(unlink("moved"));
    FAILS(open_by_handle_at(AT_FDCWD, &handle.head, O_RDONLY), ESTALE);
    AS_NOBODY({ FAILS(open_by_handle_at(AT_FDCWD, &handle.head, O_RDONLY), EPERM); });
}

CASE(name_to_handle_at_errors)
{
    test_directory();
    touch("file");
    struct handle handle = {.head.handle_bytes = 0};
    int mount_id;
    FAILS(name_to_handle_at(AT_FDCWD, "file", &handle.head, &mount_id, 0), EOVERFLOW);
    CHECK(handle.head.handle_bytes > 0);
    OK(name_to_handle_at(AT_FDCWD, "file", &handle.head, &mount_id, 0));
    FAILS(name_to_handle_at(AT_FDCWD, "absent", &handle.head, &mount_id, 0), ENOENT);
    FAILS(name_to_handle_at(AT_FDCWD, "", &handle.head, &mount_id, 0), ENOENT);
    FAILS(name_to_handle_at(999, "file", &handle.head, &mount_id, 0), EBADF);
    FAILS(name_to_handle_at(AT_FDCWD, "file", &handle.head, &mount_id, 0x40000000), EINVAL);
    FAILS(name_to_handle_at(AT_FDCWD, "file", unmapped_address(), &mount_id, 0), EFAULT);
    OK(name_to_handle_at(OK(open("file", O_PATH)), "", &handle.head, &mount_id, AT_EMPTY_PATH));
    handle.head.handle_bytes = 1000;
    FAILS(name_to_handle_at(AT_FDCWD, "file", &handle.head, &mount_id, 0), EINVAL);
    FAILS(open_by_handle_at(AT_FDCWD, &handle.head, O_RDONLY), EINVAL);
    handle.head.handle_bytes = 0;
    FAILS(open_by_handle_at(AT_FDCWD, &handle.head, O_RDONLY), EINVAL);
    FAILS(open_by_handle_at(AT_FDCWD, unmapped_address(), O_RDONLY), EFAULT);
}
