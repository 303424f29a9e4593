/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_FILE_H
#define ATLS_ATTESTER_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/*
 * Files of the measured log: errno becomes a reason here. `path` is only for
 * the message unless it is all there is.
 */

/* PATH with something appended: OPENSSL_free() it; NULL when out of memory. */
char *atls_file_path(const char *path, const char *suffix);

/*
 * Read a regular file from its start to its end.
 *   max       octets; more is ATLS_E_LIMIT
 *   ret_data  OPENSSL_free() it; never NULL on success, with a NUL behind its
 *             last octet
 * Returns ATLS_OK, ATLS_E_IO, ATLS_E_LIMIT, ATLS_E_NOMEM.
 */
enum atls_error atls_fd_read(int fd, const char *path, size_t max,
                             struct atls_reason *why, uint8_t **ret_data,
                             size_t *ret_len) ATLS_MUST_CHECK;

/* Write all of it at an offset, then fsync(2). ATLS_OK or ATLS_E_IO. */
enum atls_error atls_file_write(int fd, const char *path, off_t offset,
                                const void *data, size_t len,
                                struct atls_reason *why) ATLS_MUST_CHECK;

/* fsync(2) the folder that holds path, so that a new, renamed or removed name
 * survives a crash. ATLS_OK, ATLS_E_IO, ATLS_E_NOMEM. */
enum atls_error atls_file_sync_folder(const char *path,
                                      struct atls_reason *why) ATLS_MUST_CHECK;

#endif
