/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_MEASURE_CONF_H
#define ATTEST_TOOLS_MEASURE_CONF_H

#include <stdbool.h>

#include "agent/configuration.h"
#include "tools/common/conf.h"
#include "base/error.h"
#include "evidence/codec.h"

/* The configuration for measuring: an openssl.cnf if the program has the TPM
 * itself (quoter = tcti:), or the agent's if programs ask the agent. Never
 * both. */
struct measure_conf {
    const char *path;          /* of the file; NULL: there is none */
    bool is_named;             /* by the user, not found by default */
    struct tool_conf *openssl; /* NULL: the agent's, or none */
    bool is_agents;
    struct agent_configuration agent;
};

/*
 * Read one.
 *   path        a file of either kind: a section [attestd] tells them apart.
 *               NULL: the openssl.cnf of this process where its attester has
 *               quoter = tcti:, else agent_path where there is such a file,
 *               else that openssl.cnf, else none
 *   agent_path  AGENT_CONFIGURATION_PATH; borrowed, as path is
 *   ret_conf    set only on success; tool_measure_conf_clear() it
 * Returns ATLS_OK, ATLS_E_IO, ATLS_E_CONFIG, ATLS_E_NOMEM.
 */
enum atls_error tool_measure_conf_load(
    const char *path, const char *agent_path, struct atls_reason *why,
    struct measure_conf *ret_conf) ATLS_MUST_CHECK;

/* Free what it owns; all zero then. */
void tool_measure_conf_clear(struct measure_conf *conf);

/* Where to measure; strings owned elsewhere. */
struct measure_target {
    const char *tcti; /* NULL: not said */
    const char *log;  /* NULL: not said */
    unsigned pcr;     /* 0: not said */
};

/*
 * Complete what the command line says by what the file says, that by defaults.
 *   target  the command line's; strings of the file live as long as conf
 * Returns ATLS_OK or ATLS_E_CONFIG with the file's name: also where a file that
 * the user named does not say which TPM, as no extend can be undone.
 */
enum atls_error tool_measure_conf_complete(
    const struct measure_conf *conf, struct measure_target *target,
    struct atls_reason *why) ATLS_MUST_CHECK;

/* The other parts of the evidence, as far as the file says so: they limit the
 * log's length. */
void tool_measure_conf_outline(const struct measure_conf *conf,
                               const struct measure_target *target,
                               struct atls_evidence *ret_outline);

#endif
