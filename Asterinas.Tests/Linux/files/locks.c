// Locks on files: POSIX record locks, open file description locks, flock (man 2 fcntl, flock).
#include "../common/scratch.h"

#include <sys/file.h>

static struct flock range(int type, off_t start, off_t length)
{
    return (struct flock){.l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
}

static int set(int fd, int type, off_t start, off_t length)
{
    struct flock lock = range(type, start, length);
    return fcntl(fd, F_SETLK, &lock);
}

static int wait_for(int fd, int type, off_t start, off_t length)
{
    struct flock lock = range(type, start, length);
    return fcntl(fd, F_SETLKW, &lock);
}

static int set_open(int fd, int type, off_t start, off_t length)
{
    struct flock lock = range(type, start, length);
    return fcntl(fd, F_OFD_SETLK, &lock);
}

static int new_file(void)
{
    test_directory();
    write_text("file", "0123456789");
    return OK(open("file", O_RDWR));
}

CASE(record_locks_exclude_other_processes)
{
    int fd = new_file();
    OK(set(fd, F_WRLCK, 2, 4));
    IN_CHILD({
        int own = OK(open("file", O_RDWR));
        FAILS(set(own, F_WRLCK, 5, 1), EAGAIN);
        FAILS(set(own, F_RDLCK, 0, 3), EAGAIN);
        FAILS(set(own, F_WRLCK, 0, 0), EAGAIN);
        OK(set(own, F_WRLCK, 0, 2));
        OK(set(own, F_WRLCK, 6, 100));
        // The same by the descriptor that it inherited: locks are of processes.
        FAILS(set(fd, F_WRLCK, 5, 1), EAGAIN);
    });
    OK(set(fd, F_UNLCK, 2, 4));
    IN_CHILD({ OK(set(fd, F_WRLCK, 0, 0)); });
}

CASE(record_read_locks_are_shared)
{
    int fd = new_file();
    OK(set(fd, F_RDLCK, 0, 10));
    IN_CHILD({
        OK(set(fd, F_RDLCK, 5, 10));
        FAILS(set(fd, F_WRLCK, 5, 1), EAGAIN);
    });
    FAILS(set(OK(open("file", O_RDONLY)), F_WRLCK, 0, 1), EBADF);
    FAILS(set(OK(open("file", O_WRONLY)), F_RDLCK, 0, 1), EBADF);
}

CASE(record_locks_of_one_process_replace_each_other)
{
    int fd = new_file();
    OK(set(fd, F_WRLCK, 0, 10));
    OK(set(fd, F_RDLCK, 3, 4));
    OK(set(fd, F_UNLCK, 5, 1));
    IN_CHILD({
        FAILS(set(fd, F_RDLCK, 0, 3), EAGAIN);
        OK(set(fd, F_RDLCK, 3, 2));
        OK(set(fd, F_WRLCK, 5, 1));
        FAILS(set(fd, F_WRLCK, 6, 1), EAGAIN);
        OK(set(fd, F_RDLCK, 6, 1));
        FAILS(set(fd, F_RDLCK, 7, 1), EAGAIN);
    });
}

CASE(record_F_GETLK_names_the_lock_in_the_way)
{
    int fd = new_file();
    OK(set(fd, F_WRLCK, 2, 4));
    pid_t owner = getpid();
    IN_CHILD({
        struct flock lock = range(F_RDLCK, 0, 0);
        OK(fcntl(fd, F_GETLK, &lock));
        EQUAL(lock.l_type, F_WRLCK);
        EQUAL(lock.l_whence, SEEK_SET);
        EQUAL(lock.l_start, 2);
        EQUAL(lock.l_len, 4);
        EQUAL(lock.l_pid, owner);
        lock = range(F_WRLCK, 6, 0);
        OK(fcntl(fd, F_GETLK, &lock));
        EQUAL(lock.l_type, F_UNLCK);
        EQUAL(lock.l_start, 6);
    });
    // One's own locks are not in the way.
    struct flock lock = range(F_WRLCK, 0, 0);
    OK(fcntl(fd, F_GETLK, &lock));
    EQUAL(lock.l_type, F_UNLCK);
}

CASE(record_lock_ranges_by_whence_and_length)
{
    int fd = new_file();
    OK(lseek(fd, 4, SEEK_SET));
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_CUR, .l_start = 1, .l_len = 2};
    OK(fcntl(fd, F_SETLK, &lock));      // 5, 6
    lock = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_END, .l_start = -1, .l_len = 1};
    OK(fcntl(fd, F_SETLK, &lock));      // 9
    lock = (struct flock){.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 3, .l_len = -2};
    OK(fcntl(fd, F_SETLK, &lock));      // 1, 2
    IN_CHILD({
        for (int i = 0; i < 12; i++)
        {
            bool locked = i == 1 || i == 2 || i == 5 || i == 6 || i == 9;
            if (locked) FAILS(set(fd, F_WRLCK, i, 1), EAGAIN);
            else OK(set(fd, F_WRLCK, i, 1));
        }
    });
}

CASE(record_lock_errors)
{
    int fd = new_file();
    struct flock lock = {.l_type = 77, .l_whence = SEEK_SET};
    FAILS(fcntl(fd, F_SETLK, &lock), EINVAL);
    lock = (struct flock){.l_type = F_WRLCK, .l_whence = 77};
    FAILS(fcntl(fd, F_SETLK, &lock), EINVAL);
    FAILS(set(fd, F_WRLCK, -1, 0), EINVAL);
    FAILS(set(fd, F_WRLCK, 1, -2), EINVAL);
    FAILS(set(fd, F_WRLCK, INT64_MAX, 10), EOVERFLOW);
    FAILS(set(999, F_WRLCK, 0, 0), EBADF);
    FAILS(fcntl(fd, F_SETLK, unmapped_address()), EFAULT);
    FAILS(fcntl(fd, F_GETLK, unmapped_address()), EFAULT);
    lock = range(F_UNLCK, 0, 0);
    FAILS(fcntl(fd, F_GETLK, &lock), EINVAL);
}

CASE(record_locks_go_with_any_close_of_the_file)
{
    int fd = new_file();
    OK(set(fd, F_WRLCK, 0, 0));
    OK(close(OK(open("file", O_RDONLY))));
    IN_CHILD({ OK(set(fd, F_WRLCK, 0, 0)); });
    OK(set(fd, F_WRLCK, 0, 0));
    OK(close(OK(dup(fd))));
    IN_CHILD({ OK(set(fd, F_WRLCK, 0, 0)); });
}

CASE(record_locks_go_with_the_process_and_are_not_inherited)
{
    int fd = new_file();
    IN_CHILD({ OK(set(fd, F_WRLCK, 0, 0)); });
    OK(set(fd, F_WRLCK, 0, 0));
    IN_CHILD({ FAILS(set(fd, F_WRLCK, 0, 0), EAGAIN); });
}

CASE(record_locks_stay_over_exec)
{
    int fd = new_file();
    int ends[2], go[2];
    OK(pipe(ends));
    OK(pipe(go));
    pid_t child = CHILD({
        OK(set(fd, F_WRLCK, 0, 0));
        OK(dup2(ends[1], 1));
        OK(dup2(go[0], 0));
        OK(close(go[1]));
        execl(test_program, test_program, "--entry", "say_and_wait", NULL);
        test_fail(__FILE__, __LINE__, errno, "execl");
    });
    char byte;
    EQUAL(read(ends[0], &byte, 1), 1);
    FAILS(set(fd, F_WRLCK, 0, 0), EAGAIN);
    EQUAL(write(go[1], "x", 1), 1);
    REAP_EXIT(child, 0);
    OK(set(fd, F_WRLCK, 0, 0));
}

ENTRY(say_and_wait)
{
    char byte = 'x';
    return write(1, &byte, 1) == 1 && read(0, &byte, 1) == 1 ? 0 : 1;
}

CASE(record_F_SETLKW_waits_for_the_lock)
{
    int fd = new_file();
    OK(set(fd, F_WRLCK, 0, 0));
    pid_t child = CHILD({
        OK(wait_for(fd, F_WRLCK, 3, 1));
        EQUAL(pwrite(fd, "x", 1, 3), 1);
    });
    until_asleep(child);
    FILE_IS("file", "0123456789");
    OK(set(fd, F_UNLCK, 0, 5));
    REAP_EXIT(child, 0);
}

CASE(record_F_SETLKW_is_interrupted_by_a_signal)
{
    int fd = new_file();
    OK(set(fd, F_WRLCK, 0, 0));
    pid_t child = CHILD({
        count_signals(SIGUSR1);
        interrupter(SIGUSR1);
        FAILS(wait_for(fd, F_WRLCK, 3, 1), EINTR);
    });
    REAP_EXIT(child, 0);
}

CASE(record_deadlock_is_detected)
{
    int fd = new_file();
    OK(set(fd, F_WRLCK, 0, 1));
    int ends[2];
    OK(pipe(ends));
    pid_t child = CHILD({
        OK(set(fd, F_WRLCK, 1, 1));
        EQUAL(write(ends[1], "x", 1), 1);
        OK(wait_for(fd, F_WRLCK, 0, 1));
    });
    char byte;
    EQUAL(read(ends[0], &byte, 1), 1);
    until_asleep(child);
    FAILS(wait_for(fd, F_WRLCK, 1, 1), EDEADLK);
    OK(set(fd, F_UNLCK, 0, 1));
    REAP_EXIT(child, 0);
}

CASE(record_locks_wake_every_reader_that_can_go_on)
{
    int fd = new_file();
    OK(set(fd, F_WRLCK, 0, 10));
    pid_t readers[3];
    for (int i = 0; i < 3; i++) readers[i] = CHILD({ OK(wait_for(fd, F_RDLCK, i, 5)); });
    for (int i = 0; i < 3; i++) until_asleep(readers[i]);
    OK(set(fd, F_UNLCK, 0, 10));
    for (int i = 0; i < 3; i++) REAP_EXIT(readers[i], 0);
}

CASE(open_file_locks_are_of_the_open_file)
{
    int fd = new_file(), other = OK(open("file", O_RDWR));
    OK(set_open(fd, F_WRLCK, 0, 5));
    FAILS(set_open(other, F_WRLCK, 4, 1), EAGAIN);
    OK(set_open(other, F_WRLCK, 5, 1));
    FAILS(set(fd, F_WRLCK, 0, 1), EAGAIN);
    OK(set_open(OK(dup(fd)), F_RDLCK, 0, 5));
    OK(set_open(other, F_RDLCK, 0, 1));
    // A child shares them, and may drop them.
    IN_CHILD({ OK(set_open(fd, F_UNLCK, 0, 5)); });
    OK(set_open(other, F_WRLCK, 0, 5));
}

CASE(open_file_locks_go_with_the_last_descriptor)
{
    int fd = new_file(), other = OK(open("file", O_RDWR)), copy = OK(dup(fd));
    OK(set_open(fd, F_WRLCK, 0, 5));
    OK(close(fd));
    FAILS(set_open(other, F_WRLCK, 0, 5), EAGAIN);
    OK(close(OK(open("file", O_RDONLY))));
    FAILS(set_open(other, F_WRLCK, 0, 5), EAGAIN);
    OK(close(copy));
    OK(set_open(other, F_WRLCK, 0, 5));
}

CASE(open_file_F_OFD_GETLK_and_its_pid)
{
    int fd = new_file(), other = OK(open("file", O_RDWR));
    OK(set_open(fd, F_WRLCK, 2, 3));
    struct flock lock = range(F_WRLCK, 0, 0);
    OK(fcntl(other, F_OFD_GETLK, &lock));
    EQUAL(lock.l_type, F_WRLCK);
    EQUAL(lock.l_start, 2);
    EQUAL(lock.l_len, 3);
    EQUAL(lock.l_pid, -1);
    lock = range(F_WRLCK, 0, 0);
    lock.l_pid = 5;
    FAILS(fcntl(other, F_OFD_GETLK, &lock), EINVAL);
    FAILS(fcntl(other, F_OFD_SETLK, &lock), EINVAL);
}

CASE(open_file_F_OFD_SETLKW_waits)
{
    int fd = new_file();
    OK(set_open(fd, F_WRLCK, 0, 0));
    pid_t child = CHILD({
        int own = OK(open("file", O_RDWR));
        struct flock lock = range(F_WRLCK, 3, 1);
        OK(fcntl(own, F_OFD_SETLKW, &lock));
        EQUAL(pwrite(own, "x", 1, 3), 1);
    });
    until_asleep(child);
    FILE_IS("file", "0123456789");
    OK(set_open(fd, F_UNLCK, 0, 0));
    REAP_EXIT(child, 0);
}

CASE(flock_excludes_other_open_files)
{
    int fd = new_file(), other = OK(open("file", O_RDONLY));
    OK(flock(fd, LOCK_EX));
    FAILS(flock(other, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    FAILS(flock(other, LOCK_SH | LOCK_NB), EWOULDBLOCK);
    OK(flock(fd, LOCK_SH));
    OK(flock(other, LOCK_SH | LOCK_NB));
    FAILS(flock(fd, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    OK(flock(other, LOCK_UN));
    OK(flock(fd, LOCK_EX | LOCK_NB));
    OK(flock(fd, LOCK_UN));
    OK(flock(fd, LOCK_UN));
}

CASE(flock_is_shared_by_dup_and_fork_and_goes_with_the_last_close)
{
    int fd = new_file(), other = OK(open("file", O_RDONLY)), copy = OK(dup(fd));
    OK(flock(fd, LOCK_EX));
    OK(flock(copy, LOCK_EX | LOCK_NB));
    IN_CHILD({ OK(flock(fd, LOCK_EX | LOCK_NB)); });
    OK(close(fd));
    FAILS(flock(other, LOCK_EX | LOCK_NB), EWOULDBLOCK);
    OK(close(copy));
    OK(flock(other, LOCK_EX | LOCK_NB));
    OK(flock(other, LOCK_UN));
    pid_t child = CHILD({ OK(flock(OK(open("file", O_RDONLY)), LOCK_EX)); });
    REAP_EXIT(child, 0);
    OK(flock(other, LOCK_EX | LOCK_NB));
}

CASE(flock_waits_and_is_interrupted)
{
    int fd = new_file();
    OK(flock(fd, LOCK_EX));
    pid_t child = CHILD({
        int own = OK(open("file", O_RDWR));
        OK(flock(own, LOCK_EX));
        EQUAL(pwrite(own, "x", 1, 0), 1);
    });
    until_asleep(child);
    FILE_IS("file", "0123456789");
    OK(flock(fd, LOCK_UN));
    REAP_EXIT(child, 0);
    OK(flock(fd, LOCK_EX));
    IN_CHILD({
        count_signals(SIGUSR1);
        interrupter(SIGUSR1);
        FAILS(flock(OK(open("file", O_RDWR)), LOCK_EX), EINTR);
    });
}

CASE(flock_errors_and_independence_of_record_locks)
{
    int fd = new_file();
    FAILS(flock(fd, 77), EINVAL);
    FAILS(flock(fd, LOCK_NB), EINVAL);
    FAILS(flock(999, LOCK_EX), EBADF);
    FAILS(flock(OK(open("file", O_PATH)), LOCK_EX), EBADF);
    OK(flock(fd, LOCK_EX));
    IN_CHILD({ OK(set(fd, F_WRLCK, 0, 0)); });
    int directory = OK(open(".", O_RDONLY));
    OK(flock(directory, LOCK_EX | LOCK_NB));
    FAILS(flock(OK(open(".", O_RDONLY)), LOCK_EX | LOCK_NB), EWOULDBLOCK);
}

CASE(lockf_counts_up_under_contention)
{
    int fd = new_file();
    enum { PROCESSES = 4, ROUNDS = 100 };
    OK(ftruncate(fd, 0));
    int zero = 0;
    EQUAL(pwrite(fd, &zero, sizeof zero, 0), sizeof zero);
    pid_t children[PROCESSES];
    for (int i = 0; i < PROCESSES; i++)
    {
        children[i] = CHILD({
            for (int n = 0; n < ROUNDS; n++)
            {
                int value;
                OK(wait_for(fd, F_WRLCK, 0, sizeof value));
                EQUAL(pread(fd, &value, sizeof value, 0), sizeof value);
                value++;
                EQUAL(pwrite(fd, &value, sizeof value, 0), sizeof value);
                OK(set(fd, F_UNLCK, 0, sizeof value));
            }
        });
    }
    for (int i = 0; i < PROCESSES; i++) REAP_EXIT(children[i], 0);
    int value;
    EQUAL(pread(fd, &value, sizeof value, 0), sizeof value);
    EQUAL(value, PROCESSES * ROUNDS);
}
