/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_CONFIGURATION_H
#define ATLS_CONFIGURATION_H

#include <stdbool.h>
#include <stddef.h>

#include "attester/attester.h"
#include "base/error.h"
#include "base/log.h"
#include "settings.h"

/* Why event_log, the name that measured_log had, is refused. */
#define ATLS_EVENT_LOG_REFUSAL                                             \
    "event_log: call it measured_log; TCG's event log is the firmware's, " \
    "which is boot_log"

/*
 * The provider's section of openssl.cnf, checked. Source: design "Configuration";
 * attest(7).
 */
struct atls_configuration {
    /* ATLS_OK, or why every handshake must be refused. */
    struct atls_reason broken;
    const char *log; /* NULL: none */
    enum atls_log_level log_level;
    bool maps_at_start; /* `map = start` */
    bool has_attester;
    /* ATLS_OK, or why no evidence can be made; handshakes that need none go on. */
    struct atls_reason attester_broken;
    struct atls_attester_config attester;
    bool has_verifier;
    const char *policy; /* path; NULL only when broken */
};

/*
 * Check the settings.
 *   ret_configuration  always filled in; strings point into the settings
 * A fault is in broken or attester_broken, with key, value found and values expected.
 */
void atls_configuration_read(const struct atls_setting *settings, size_t count,
                             struct atls_configuration *ret_configuration);

#endif
