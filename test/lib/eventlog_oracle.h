/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TEST_EVENTLOG_ORACLE_H
#define ATLS_TEST_EVENTLOG_ORACLE_H

#include <stdbool.h>
#include <stddef.h>

#include "evidence/bootlog.h"

/*
 * tpm2_eventlog of tpm2-tools: another implementation's word on the PCRs that a
 * boot log replays to. Assertions are Check's.
 */

/* If it is not, say so, as TAP's plan of a program that skips all. */
bool eventlog_oracle_is_installed(void);

/*
 * Every value it prints for the log in a file is what ours has, in every bank;
 * no PCR with an event is missing there.
 * Returns how many values were compared.
 */
size_t eventlog_oracle_agrees(const char *path,
                              const struct atls_boot_log *log);

#endif
