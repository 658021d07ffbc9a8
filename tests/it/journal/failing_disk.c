/* A disk that fails on demand, for a process that is started with this library in LD_PRELOAD. While the file that
 * FAILING_SYNC names exists, fsync and fdatasync report EIO; while the file that FAILING_WRITE names exists, so do
 * writes to files whose name ends in "-wal". With SLOW_WRITE set, each of those writes takes a millisecond longer. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int on(const char *variable) {
    const char *path = getenv(variable);
    return path != NULL && access(path, F_OK) == 0;
}

static int is_log(int fd) {
    char link[64] = "/proc/self/fd/", name[PATH_MAX];
    char digits[16], *end = digits + sizeof digits;
    *--end = 0;
    do *--end = (char)('0' + fd % 10); while ((fd /= 10) > 0);
    strcat(link, end);
    ssize_t length = readlink(link, name, sizeof name);
    return length > 4 && memcmp(name + length - 4, "-wal", 4) == 0;
}

static int failing(int fd) {
    int saved = errno, fails = fd >= 0 && on("FAILING_WRITE") && is_log(fd);
    errno = fails ? EIO : saved;
    return fails;
}

static int write_fails(int fd) {
    if (failing(fd)) return 1;
    if (getenv("SLOW_WRITE") != NULL && is_log(fd)) {
        struct timespec millisecond = {0, 1000000};
        nanosleep(&millisecond, NULL);
    }
    return 0;
}

int fsync(int fd) {
    if (on("FAILING_SYNC")) { errno = EIO; return -1; }
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd) {
    if (on("FAILING_SYNC")) { errno = EIO; return -1; }
    return (int)syscall(SYS_fdatasync, fd);
}

ssize_t write(int fd, const void *bytes, size_t count) {
    return write_fails(fd) ? -1 : syscall(SYS_write, fd, bytes, count);
}

ssize_t pwrite64(int fd, const void *bytes, size_t count, off_t offset) {
    return write_fails(fd) ? -1 : syscall(SYS_pwrite64, fd, bytes, count, offset);
}

ssize_t pwrite(int fd, const void *bytes, size_t count, off_t offset) {
    return pwrite64(fd, bytes, count, offset);
}
