/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_AGENT_SERVICE_H
#define ATTEST_AGENT_SERVICE_H

#include <stdbool.h>
#include <sys/stat.h>

#include "agent/configuration.h"
#include "attester/quoter.h"
#include "base/error.h"
#include "base/log.h"

/*
 * What attestd does under one state of its files: configuration, AK chain,
 * authorization. When they change another service takes its place, and this one
 * lives on for the requests that it has begun. For one thread.
 */

/* A file, and what it was before it was read. */
struct agent_watched {
    const char *path; /* NULL: none; borrowed from the configuration */
    struct stat st;   /* all zero: not there */
    bool is_young;    /* as of base/file.h */
};

enum {
    AGENT_WATCHED_CHAIN,
    AGENT_WATCHED_AUTH,
    AGENT_WATCHED_BOOT_LOG,
    AGENT_WATCHED_COUNT
};

struct agent_service {
    unsigned refs; /* who serves, and each request */
    struct agent_configuration configuration;
    struct agent_watched watched[AGENT_WATCHED_COUNT];
    struct atls_quoter *quoter;
};

/*
 * Read everything, and make the quoter, which opens no TPM yet.
 *   log  where the quoter reports; outlives the service; may be NULL
 *   why  "FILE:LINE: key: ..." where a key is wrong, or what it names
 * Returns ATLS_OK, and what agent_configuration_load() and _resolve(), and
 * atls_quoter_new() return.
 */
enum atls_error agent_service_load(
    const char *path, struct atls_log *log, struct atls_reason *why,
    struct agent_service **ret_service) ATLS_MUST_CHECK;

struct agent_service *agent_service_ref(struct agent_service *service);

/* NULL is fine. The last one stops the quoter: 2 s at most. */
void agent_service_unref(struct agent_service *service);

/* Is there another file now, of those that were read? */
bool agent_service_is_stale(const struct agent_service *service);

/* The path of one that was read and is not there any more, or NULL. */
const char *agent_service_missing(const struct agent_service *service);

#endif
