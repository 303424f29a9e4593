/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_VERIFIER_REPORT_WORDS_H
#define ATLS_VERIFIER_REPORT_WORDS_H

#include "base/error.h"

/* The usual content of a PCR ("firmware code", "Secure Boot policy" ...), per
 * UAPI's PCR registry. Static; "" for indexes out of range. */
const char *atls_pcr_name(unsigned pcr);

/* A person's next step after a refusal, without "." at its end. Static; never
 * NULL. */
const char *atls_report_advice(enum atls_error code);

#endif
