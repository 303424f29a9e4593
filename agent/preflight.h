/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_AGENT_PREFLIGHT_H
#define ATTEST_AGENT_PREFLIGHT_H

#include "agent/configuration.h"
#include "base/error.h"

/*
 * What can be known to be wrong on this machine before anybody is served, beyond
 * what a configuration itself says: for the start and for attestd --check. Makes
 * and opens nothing that stays; for the user who calls it.
 */

/*
 * Can the log's file be opened, and is there such a TCTI?
 *   why  "FILE:LINE: KEY = VALUE: what is wrong, what to do"
 * Returns ATLS_OK or ATLS_E_CONFIG.
 */
enum atls_error agent_preflight(const struct agent_configuration *configuration,
                                struct atls_reason *why) ATLS_MUST_CHECK;

/*
 * Is the boot log there, and one? Evidence goes out without it, so that it is not
 * is worth a warning.
 * Returns ATLS_OK, or why it cannot be sent.
 */
enum atls_error agent_preflight_boot_log(
    const struct agent_configuration *configuration,
    struct atls_reason *why) ATLS_MUST_CHECK;

#endif
