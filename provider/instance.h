/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_INSTANCE_H
#define ATLS_INSTANCE_H

#include <stdbool.h>
#include <stddef.h>

#include "attester/attester.h"
#include "base/error.h"
#include "base/log.h"
#include "settings.h"
#include "verifier/appraise.h"
#include "verifier/policy.h"

/*
 * One configured provider: its configuration, log, policy and attester. Shared by
 * every SSL_CTX of its library context, by reference count. Thread-safe.
 */
struct atls_instance;

/* As of core.h. Does all that needs files (the log, the policy, the AK chain), before a
 * program gives up rights or its root. */
struct atls_instance *atls_instance_new(const struct atls_setting *settings,
                                        size_t count);
struct atls_instance *atls_instance_ref(struct atls_instance *instance);
void atls_instance_unref(struct atls_instance *instance);

struct atls_log *atls_instance_log(const struct atls_instance *instance);

/* Why every handshake is refused, or code ATLS_OK. Borrowed. */
const struct atls_reason *atls_instance_broken(
    const struct atls_instance *instance);

/* True if it has no attester although its settings are right, as a file could not be
 * read. Another instance of the same settings may have one later. */
bool atls_instance_lacks(const struct atls_instance *instance);

/*
 * The policy for a handshake that begins (current_policy.h).
 *   ret_policy  NULL without the verifier role, and on failure; else a reference:
 *               atls_policy_unref()
 *   why         set on failure: refuse with it
 */
enum atls_error atls_instance_policy(
    struct atls_instance *instance, struct atls_reason *why,
    struct atls_policy **ret_policy) ATLS_MUST_CHECK;

/* For tests: check the policy's files this often. */
void atls_instance_set_look_interval(struct atls_instance *instance,
                                     unsigned ms);

/* Does it verify servers, and does it prove this machine? */
bool atls_instance_has_verifier(const struct atls_instance *instance);
bool atls_instance_has_attester(const struct atls_instance *instance);

/*
 * Ask for the evidence of one handshake.
 *   formats      as of atls_quoter_submit()
 *   ret_pending  set only on success: atls_pending_wait() or _drop() it, before
 *                the instance goes
 * Returns ATLS_E_CONFIG, ATLS_E_IO, ... when the attester section cannot be used, else
 * as of atls_attester_begin().
 */
enum atls_error atls_instance_begin(
    struct atls_instance *instance, enum atls_role role,
    const uint8_t channel[ATLS_CHANNEL_LEN], struct atls_span cert_der,
    const struct atls_formats *formats, struct atls_reason *why,
    struct atls_pending **ret_pending) ATLS_MUST_CHECK;

/* Log a verdict, and print it where ATTEST_REPORT says. Keeps errno.
 *   found_by  the name or address of the peer that the section lists, where it is not
 *             peer; or NULL
 *   section   NULL: none */
void atls_instance_report(struct atls_instance *instance,
                          const struct atls_report *report, const char *peer,
                          const char *found_by,
                          const struct atls_section *section);

#endif
