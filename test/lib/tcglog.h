/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TEST_TCGLOG_H
#define ATLS_TEST_TCGLOG_H

#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/*
 * Firmware's boot logs made octet by octet. An event's digests are the hashes of
 * its data; of an algorithm that is no bank of ours, octets 0xa5.
 *
 *     static const struct tcglog_algorithm banks[] = {{TPM2_ALG_SHA256, 32}};
 *     tcglog_begin(&log, banks, 1);
 *     tcglog_event(&log, 4, 0x80000007, "Calling EFI Application", 23);
 */
#define TCGLOG_MAX ((size_t)1 << 21)
#define TCGLOG_ALGORITHMS_MAX 20u

struct tcglog_algorithm {
    uint16_t alg;
    uint16_t digest_len;
};

struct tcglog {
    size_t len;
    uint8_t octets[TCGLOG_MAX];
    size_t algorithm_count; /* 0: the SHA-1 format */
    struct tcglog_algorithm algorithms[TCGLOG_ALGORITHMS_MAX];
};

/* What is in it, in memory that ends where the log ends: free() the data. */
struct atls_span tcglog_exact(const struct tcglog *log, size_t len);

void tcglog_put(struct tcglog *log, const void *octets, size_t len);
void tcglog_u16(struct tcglog *log, uint16_t value);
void tcglog_u32(struct tcglog *log, uint32_t value);
void tcglog_u64(struct tcglog *log, uint64_t value);

/* An empty log in the SHA-1 format; or one that begins with a Spec ID event. */
void tcglog_begin_sha1(struct tcglog *log);
void tcglog_begin(struct tcglog *log, const struct tcglog_algorithm *algorithms,
                  size_t count);

/* One event in the log's format. Of EV_NO_ACTION the digests are zero. */
void tcglog_event(struct tcglog *log, uint32_t pcr, uint32_t type,
                  const void *data, size_t len);

/* The same with text without its terminator. */
void tcglog_text(struct tcglog *log, uint32_t pcr, uint32_t type,
                 const char *text);

/* StartupLocality. */
void tcglog_locality(struct tcglog *log, uint8_t locality);

#endif
