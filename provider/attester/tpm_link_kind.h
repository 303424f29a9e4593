/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_TPM_LINK_KIND_H
#define ATLS_ATTESTER_TPM_LINK_KIND_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <tss2/tss2_tcti.h>

#include "base/descriptor.h"
#include "base/error.h"
#include "base/span.h"

/* What the kinds of links share; for tpm_link*.c only. */

struct atls_link;

/* All three get the link with the members above the line set. open() need not
 * clean up after itself: close() follows. */
struct atls_link_kind {
    const char *name; /* before the ':' of a TCTI configuration */
    /* As of atls_link_check(); NULL: there is nothing to ask. */
    enum atls_error (*check)(const char *tcti, struct atls_reason *why);
    /* As of atls_link_is_plain(); NULL: never. */
    bool (*is_plain)(const char *conf);
    enum atls_error (*open)(struct atls_link *link, struct atls_reason *why);
    enum atls_error (*exchange)(struct atls_link *link,
                                struct atls_span command, uint8_t *response,
                                size_t *ret_len, struct atls_reason *why);
    void (*close)(struct atls_link *link);
};

struct atls_link {
    const struct atls_link_kind *kind;
    char *tcti;       /* as configured */
    const char *conf; /* what follows the ':', or "" */
    int64_t deadline_ms;
    int wake_fd;
    /* of the kinds: */
    int fd; /* device: always open; swtpm: while a command runs; else -1 */
    struct atls_descriptor device;   /* the same, to know it again */
    struct sockaddr_storage address; /* swtpm */
    socklen_t address_len;
    TSS2_TCTI_CONTEXT *inner; /* tctildr */
};

extern const struct atls_link_kind atls_link_device;
extern const struct atls_link_kind atls_link_swtpm;
extern const struct atls_link_kind atls_link_tctildr;

/*
 * Wait until a descriptor is ready for one of events, fd -1: for nothing but
 * the time.
 *   limit_ms  at most this long; -1: as long as the deadline permits
 * ATLS_OK also when limit_ms is over before the deadline. ATLS_E_TIMEOUT.
 */
enum atls_error atls_link_wait(const struct atls_link *link, int fd,
                               short events, int limit_ms,
                               struct atls_reason *why) ATLS_MUST_CHECK;

/* Write a command to link->fd and read the response; both descriptors are
 * non-blocking. As of atls_link_exchange(). */
enum atls_error atls_link_converse(struct atls_link *link,
                                   struct atls_span command, uint8_t *response,
                                   size_t *ret_len,
                                   struct atls_reason *why) ATLS_MUST_CHECK;

#endif
