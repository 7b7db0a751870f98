// Names and directories on tmpfs.
#include "bench.h"

#include <dirent.h>

static uint64_t create_delete(long n, size_t size)
{
    enter_directory();
    static char data[10240], back[10240];
    for (size_t i = 0; i < size; i++) data[i] = (char)(i * 7 + 1);
    char name[32];
    start();
    // A hundred at a time, so that directories have entries.
    for (long done = 0; done < n; done += 100)
    {
        long count = n - done < 100 ? n - done : 100;
        for (long i = 0; i < count; i++)
        {
            snprintf(name, sizeof name, "f%ld", done + i);
            int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);
            CHECK(fd >= 0);
            if (size > 0) CHECK(write(fd, data, size) == (ssize_t)size);
            CHECK(close(fd) == 0);
        }
        for (long i = 0; i < count; i++)
        {
            snprintf(name, sizeof name, "f%ld", done + i);
            if (i == 0 && done == 0)
            {
                int fd = open(name, O_RDONLY);
                CHECK(fd >= 0 && read(fd, back, sizeof back) == (ssize_t)size && memcmp(data, back, size) == 0);
                close(fd);
            }
            CHECK(unlink(name) == 0);
        }
    }
    stop();
    DIR *directory = opendir(".");
    int left = 0;
    while (readdir(directory) != NULL) left++;
    closedir(directory);
    CHECK(left == 2);
    return hash(n, back, size);
}

JOB(create_delete_0k, 3000) { return create_delete(n, 0); }

JOB(create_delete_10k, 1500) { return create_delete(n, 10240); }

JOB(rename, 8000)
{
    enter_directory();
    make_file("a", 100);
    struct stat before, after;
    CHECK(stat("a", &before) == 0);
    start();
    for (long i = 0; i < n; i++) CHECK(rename(i % 2 == 0 ? "a" : "b", i % 2 == 0 ? "b" : "a") == 0);
    stop();
    CHECK(stat(n % 2 == 0 ? "a" : "b", &after) == 0 && before.st_ino == after.st_ino);
    CHECK(access(n % 2 == 0 ? "b" : "a", F_OK) == -1);
    return n;
}

JOB(readdir_1000, 100)
{
    enter_directory();
    char name[32];
    for (int i = 0; i < 1000; i++)
    {
        snprintf(name, sizeof name, "entry-%d", i);
        make_file(name, 0);
    }
    uint64_t sum = 0;
    start();
    for (long i = 0; i < n; i++)
    {
        DIR *directory = opendir(".");
        CHECK(directory != NULL);
        struct dirent *entry;
        while ((entry = readdir(directory)) != NULL) sum += entry->d_name[0] == '.' ? 0 : 1 + atoi(entry->d_name + 6);
        closedir(directory);
    }
    stop();
    CHECK(sum == 500500 * (uint64_t)n);
    return sum;
}

// A file ten levels deep; answers its path.
static const char *deep_file(void)
{
    enter_directory();
    static char path[200];
    path[0] = 0;
    for (int i = 0; i < 10; i++)
    {
        snprintf(path + strlen(path), sizeof path - strlen(path), "%slevel%d", i == 0 ? "" : "/", i);
        CHECK(mkdir(path, 0755) == 0);
    }
    strcat(path, "/file");
    make_file(path, 10);
    return path;
}

JOB(lookup_hit, 10000)
{
    const char *path = deep_file();
    struct stat status;
    long sum = 0;
    start();
    for (long i = 0; i < n; i++)
    {
        CHECK(stat(path, &status) == 0);
        sum += status.st_size;
    }
    stop();
    CHECK(sum == 10 * n);
    return sum;
}

JOB(lookup_enoent, 10000)
{
    char path[220];
    snprintf(path, sizeof path, "%s-not", deep_file());
    struct stat status;
    long sum = 0;
    start();
    for (long i = 0; i < n; i++) sum += stat(path, &status) == -1 && errno == ENOENT;
    stop();
    CHECK(sum == n);
    return sum;
}
