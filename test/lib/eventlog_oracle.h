/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TEST_EVENTLOG_ORACLE_H
#define ATLS_TEST_EVENTLOG_ORACLE_H

#include <stdbool.h>
#include <stddef.h>

#include "evidence/bootlog.h"

/*
 * tpm2_eventlog of tpm2-tools: what another implementation says of the PCRs that a
 * boot log replays to. Assertions are Check's.
 */

/* For a suite's skip: "no tpm2_eventlog", or NULL where it is installed. */
const char *eventlog_oracle_missing(void);

/*
 * Every value it prints for the log in a file is what ours has, in every bank;
 * no PCR with an event is missing there.
 * Returns how many values were compared.
 */
size_t eventlog_oracle_agrees(const char *path,
                              const struct atls_boot_log *log);

#endif
