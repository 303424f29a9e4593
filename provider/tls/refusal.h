/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TLS_REFUSAL_H
#define ATLS_TLS_REFUSAL_H

#include "error.h"
#include "log.h"

/*
 * Tell the administrator that a handshake was refused. While the agent or the TPM
 * is out, each one is: of one kind (code) the process writes one line a second,
 * with the number of those it left out.
 *   log  may be NULL
 * Keeps errno. Thread-safe, also in forked children.
 */
void atls_refusal_log(struct atls_log *log, const struct atls_reason *why);

#endif
