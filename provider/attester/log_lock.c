/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/log_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/clock.h"
#include "attester/file.h"
#include "base/opening.h"

#define SYSTEMD_LOG_NAME "tpm2-measure.log"
#define OWN_LOG_MODE 0644
#define LOCK_FILE_MODE 0600
#define POLL_MS 20

bool atls_log_is_systemds(const char *path)
{
    const char *slash = strrchr(path, '/');

    return strcmp(slash != NULL ? slash + 1 : path, SYSTEMD_LOG_NAME) == 0;
}

/*
 * The process that holds a flock(2) on a file, from /proc/locks ("1: FLOCK
 * ADVISORY  WRITE 1234 fe:01:5678 0 EOF"). 0 when it is not shown: another PID
 * namespace, or a file system that shows another device there.
 */
static int find_holder(int fd)
{
    unsigned major_no, minor_no;
    unsigned long long inode;
    int holder = 0;
    char line[256];
    struct stat st;
    FILE *locks;
    int pid;

    if (fstat(fd, &st) < 0)
        return 0;
    locks = atls_open_stream("/proc/locks");
    if (locks == NULL)
        return 0;
    while (holder == 0 && fgets(line, sizeof(line), locks) != NULL)
        /* Who waits has "->" before FLOCK and so does not match. */
        if (sscanf(line, "%*d: FLOCK ADVISORY %*s %d %x:%x:%llu", &pid,
                   &major_no, &minor_no, &inode)
                == 4
            && major_no == major(st.st_dev) && minor_no == minor(st.st_dev)
            && inode == st.st_ino && pid > 0)
            holder = pid;
    fclose(locks);
    return holder;
}

static enum atls_error fail_busy(int fd, const char *path, unsigned wait_ms,
                                 struct atls_reason *why)
{
    int holder = find_holder(fd);

    if (holder > 0)
        return atls_fail(why, ATLS_E_LOG_BUSY,
                         "%s is locked by process %d, waited %u ms" ATLS_MORE
                         ": see what "
                         "it does (ps %d), then try again",
                         path, holder, wait_ms, holder);
    return atls_fail(why, ATLS_E_LOG_BUSY,
                     "%s is locked by another process, waited %u ms" ATLS_MORE
                     ": find it "
                     "with lslocks(8), then try again",
                     path, wait_ms);
}

enum atls_error atls_log_flock(int fd, const char *path, bool exclusive,
                               unsigned wait_ms, struct atls_reason *why)
{
    const struct timespec pause = atls_timespec_of_ms(POLL_MS);
    int64_t deadline = atls_now_ms() + wait_ms;
    int operation = (exclusive ? LOCK_EX : LOCK_SH) | LOCK_NB;

    /* Polled: a blocking flock(2) could only be ended by a signal, and signals
     * belong to the program. */
    while (flock(fd, operation) < 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return atls_fail(why, ATLS_E_IO, "cannot lock %s: %s", path,
                             strerror(errno));
        if (atls_now_ms() >= deadline)
            return fail_busy(fd, path, wait_ms, why);
        nanosleep(&pause, NULL);
    }
    return ATLS_OK;
}

/* Open for writing, or make; a symbolic link in its place is refused, the
 * umask does not count. */
static enum atls_error open_or_make(const char *path, mode_t mode,
                                    struct atls_reason *why, int *ret_fd,
                                    bool *ret_made)
{
    const int flags = O_RDWR | O_NOCTTY | O_NOFOLLOW | O_NONBLOCK;
    int fd = atls_open_file(path, flags, 0);

    *ret_made = fd < 0 && errno == ENOENT;
    if (*ret_made) {
        fd = atls_open_file(path, flags | O_CREAT, mode);
        if (fd >= 0 && fchmod(fd, mode) < 0) {
            close(fd);
            fd = -1;
        }
    }
    if (fd < 0)
        return atls_fail(why, ATLS_E_IO, "cannot open %s for writing: %s%s",
                         path, strerror(errno),
                         errno == EACCES ? "; measuring needs root" : "");
    *ret_fd = fd;
    return ATLS_OK;
}

/* The lock file of our own log. */
static enum atls_error open_lock_file(const char *path, struct atls_reason *why,
                                      int *ret_fd)
{
    enum atls_error r;
    struct stat st;
    bool ignored;
    int fd = -1;

    r = open_or_make(path, LOCK_FILE_MODE, why, &fd, &ignored);
    if (r != ATLS_OK)
        return r;
    if (fstat(fd, &st) < 0 || st.st_uid != geteuid()
        || (st.st_mode & 077) != 0) {
        close(fd);
        return atls_fail(why, ATLS_E_IO,
                         "%s must be ours with mode 0600" ATLS_MORE
                         ", else others could "
                         "hold the lock for ever: remove it",
                         path);
    }
    *ret_fd = fd;
    return ATLS_OK;
}

static enum atls_error lock_own(const char *path, unsigned wait_ms,
                                struct atls_reason *why,
                                struct atls_log_lock *lock)
{
    char *lock_path = atls_file_path(path, ".lock");
    enum atls_error r;

    if (lock_path == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    r = open_lock_file(lock_path, why, &lock->lock_fd);
    if (r == ATLS_OK)
        r = atls_log_flock(lock->lock_fd, lock_path, true, wait_ms, why);
    OPENSSL_free(lock_path);
    if (r != ATLS_OK)
        return r;
    return open_or_make(path, OWN_LOG_MODE, why, &lock->log_fd, &lock->is_made);
}

static enum atls_error lock_systemds(const char *path, unsigned wait_ms,
                                     struct atls_reason *why,
                                     struct atls_log_lock *lock)
{
    enum atls_error r;
    struct stat st;

    /* 0600 as systemd makes it: here readers could hold the lock. */
    r = open_or_make(path, LOCK_FILE_MODE, why, &lock->log_fd, &lock->is_made);
    if (r != ATLS_OK)
        return r;
    r = atls_log_flock(lock->log_fd, path, true, wait_ms, why);
    if (r != ATLS_OK)
        return r;
    if (fstat(lock->log_fd, &st) < 0)
        return atls_fail(why, ATLS_E_IO, "%s: %s", path, strerror(errno));
    lock->was_sticky = (st.st_mode & S_ISVTX) != 0;
    return ATLS_OK;
}

enum atls_error atls_log_lock(const char *path, unsigned wait_ms,
                              struct atls_reason *why,
                              struct atls_log_lock *ret_lock)
{
    struct atls_log_lock lock = {.log_fd = -1, .lock_fd = -1};
    enum atls_error r;

    lock.is_systemds = atls_log_is_systemds(path);
    if (lock.is_systemds)
        r = lock_systemds(path, wait_ms, why, &lock);
    else
        r = lock_own(path, wait_ms, why, &lock);
    if (r != ATLS_OK) {
        atls_log_unlock(&lock);
        return r;
    }
    *ret_lock = lock; /* transferred */
    return ATLS_OK;
}

void atls_log_release(int fd)
{
    if (fd < 0)
        return;
    (void)flock(fd, LOCK_UN);
    close(fd);
}

void atls_log_unlock(struct atls_log_lock *lock)
{
    /* The lock file stays, as removing it would let two processes lock two
     * files of that name. */
    atls_log_release(lock->log_fd);
    atls_log_release(lock->lock_fd);
    lock->log_fd = -1;
    lock->lock_fd = -1;
}

enum atls_error atls_log_mark(const struct atls_log_lock *lock,
                              const char *path, bool unfinished,
                              struct atls_reason *why)
{
    mode_t mode = LOCK_FILE_MODE | (unfinished ? S_ISVTX : 0);

    if (lock->is_systemds
        && (fchmod(lock->log_fd, mode) < 0 || fsync(lock->log_fd) < 0))
        return atls_fail(why, ATLS_E_IO, "cannot change the mode of %s: %s",
                         path, strerror(errno));
    return ATLS_OK;
}
