/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_LOG_LOCK_H
#define ATLS_ATTESTER_LOG_LOCK_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/error.h"

/*
 * Who may write a measured log.
 *
 * Ours (any name but systemd's): mode 0644, for every reader, and so the lock
 * is another file, PATH.lock, that only its owner can open: whoever can open a
 * file can hold a flock(2) on it for ever.
 *
 * systemd's (its file name, wherever it lies): flock(2) on the log itself, and
 * the sticky bit stands from before the extend until the record is on disk;
 * whoever finds it set under the lock knows that the last writer died in
 * between (systemd, src/shared/tpm2-util.c).
 */
struct atls_log_lock {
    int log_fd;  /* read and write */
    int lock_fd; /* of PATH.lock, -1 for systemd's */
    bool is_systemds;
    bool is_made;    /* the log was not there */
    bool was_sticky; /* systemd's: a record is missing */
};

/* By the file name. */
bool atls_log_is_systemds(const char *path);

/*
 * flock(2) with an end.
 *   exclusive  else shared
 *   wait_ms    0: one try
 * Returns ATLS_OK, ATLS_E_LOG_BUSY (with the holder's pid where /proc/locks
 * shows it), ATLS_E_IO. atls_log_release() it.
 */
enum atls_error atls_log_flock(int fd, const char *path, bool exclusive,
                               unsigned wait_ms,
                               struct atls_reason *why) ATLS_MUST_CHECK;

/* Give up a lock, if there is one, and close. Closing alone releases only what
 * no child of a fork made meanwhile still holds (L4). fd may be -1. */
void atls_log_release(int fd);

/*
 * Open a log for writing, made if it is missing (its folder is not), and lock
 * it.
 *   ret_lock  set only on success; atls_log_unlock() it
 * Returns ATLS_OK, ATLS_E_LOG_BUSY, ATLS_E_IO, ATLS_E_NOMEM.
 */
enum atls_error atls_log_lock(const char *path, unsigned wait_ms,
                              struct atls_reason *why,
                              struct atls_log_lock *ret_lock) ATLS_MUST_CHECK;
void atls_log_unlock(struct atls_log_lock *lock);

/* Set or clear systemd's mark of an unfinished record; nothing on ours. */
enum atls_error atls_log_mark(const struct atls_log_lock *lock,
                              const char *path, bool unfinished,
                              struct atls_reason *why) ATLS_MUST_CHECK;

#endif
