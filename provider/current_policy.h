/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_CURRENT_POLICY_H
#define ATLS_CURRENT_POLICY_H

#include "base/error.h"
#include "base/log.h"
#include "verifier/policy.h"

/*
 * The policy that is in force: what its files hold now. They are checked once a second
 * at most, by a thread whose handshake begins. A policy that is invalid or gone refuses
 * every handshake with the reason. Where the files are out of reach since the program
 * has changed its root, or given up rights, the last policy remains in force.
 */
struct atls_current_policy;

/*
 * Load it, before a program gives up rights or its root. A policy that cannot be loaded
 * is no failure here: the reason is logged and returned by atls_current_policy_get().
 *   path  copied
 *   log   borrowed for the life of the object; may be NULL
 * NULL: no memory.
 */
struct atls_current_policy *atls_current_policy_new(const char *path,
                                                    struct atls_log *log);
void atls_current_policy_free(
    struct atls_current_policy *current); /* NULL is fine */

/*
 * The policy for a handshake that begins.
 *   ret_policy  NULL on failure; else a reference: atls_policy_unref()
 *   why         set on failure: refuse with it
 * Thread-safe, also beside a fork, and without a lock; one thread at a time reads
 * files, others get what is in force.
 */
enum atls_error atls_current_policy_get(
    struct atls_current_policy *current, struct atls_reason *why,
    struct atls_policy **ret_policy) ATLS_MUST_CHECK;

/* For tests: check the files this often. */
void atls_current_policy_set_interval(struct atls_current_policy *current,
                                      unsigned ms);

#endif
