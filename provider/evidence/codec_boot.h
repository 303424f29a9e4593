/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_EVIDENCE_CODEC_BOOT_H
#define ATLS_EVIDENCE_CODEC_BOOT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "evidence/bootlog.h"
#include "evidence/pcr.h"
#include "evidence/cbor_reader.h"

/* What codec_decode.c and codec_encode.c need for the boot log, key 10. */

/* The localities a TPM can be started from: TPM 2.0 Library Part 1, "H-CRTM
 * before TPM2_Startup() and TPM2_Startup() without H-CRTM". */
bool atls_codec_is_locality(uint64_t locality);

/*
 * Read the value of key 10.
 *   values   the banks and their order: an event has a digest of each
 *   ret_log  empty; what was allocated stays in it on failure too, for
 *            atls_boot_log_clear()
 * The array of events is allocated once their count was compared with what is
 * left of the input. Returns what the calls of cbor_reader.h return, or ATLS_E_NOMEM.
 * Source: doc/PROTOCOL.md, "Boot log".
 */
enum atls_error atls_codec_read_boot_log(
    struct atls_cbor_reader *rd, const struct atls_pcr_values *values,
    struct atls_boot_log *ret_log) ATLS_MUST_CHECK;

#endif
