/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/tcglog.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "evidence/pcr.h"

#define EV_NO_ACTION 3u
#define SHA1_LEN 20u

static void need(int is_true, const char *what)
{
    if (!is_true) {
        fprintf(stderr, "tcglog: %s\n", what);
        abort();
    }
}

struct atls_span tcglog_exact(const struct tcglog *log, size_t len)
{
    uint8_t *octets = malloc(len > 0 ? len : 1);

    need(octets != NULL, "out of memory");
    memcpy(octets, log->octets, len);
    return (struct atls_span){octets, len};
}

void tcglog_put(struct tcglog *log, const void *octets, size_t len)
{
    need(len <= sizeof(log->octets) - log->len, "log too long");
    if (len > 0)
        memcpy(log->octets + log->len, octets, len);
    log->len += len;
}

static void put_integer(struct tcglog *log, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        uint8_t octet = (uint8_t)(value >> 8 * i);

        tcglog_put(log, &octet, 1);
    }
}

void tcglog_u16(struct tcglog *log, uint16_t value)
{
    put_integer(log, value, sizeof(value));
}

void tcglog_u32(struct tcglog *log, uint32_t value)
{
    put_integer(log, value, sizeof(value));
}

void tcglog_u64(struct tcglog *log, uint64_t value)
{
    put_integer(log, value, sizeof(value));
}

static void put_digest(struct tcglog *log, const struct tcglog_algorithm *alg,
                       uint32_t type, struct atls_span data)
{
    const struct atls_hash *hash = atls_hash_by_alg(alg->alg);
    uint8_t digest[UINT8_MAX];

    need(alg->digest_len <= sizeof(digest), "digest too long");
    memset(digest, type == EV_NO_ACTION ? 0 : 0xa5, sizeof(digest));
    if (hash != NULL && type != EV_NO_ACTION)
        need(atls_hash_parts(hash->ossl, &data, 1, digest, NULL) == ATLS_OK,
             "cannot hash");
    tcglog_put(log, digest, alg->digest_len);
}

static void put_sha1_event(struct tcglog *log, uint32_t pcr, uint32_t type,
                           struct atls_span data)
{
    static const struct tcglog_algorithm sha1 = {0x0004, SHA1_LEN};

    tcglog_u32(log, pcr);
    tcglog_u32(log, type);
    put_digest(log, &sha1, type, data);
    tcglog_u32(log, (uint32_t)data.len);
    tcglog_put(log, data.data, data.len);
}

void tcglog_begin_sha1(struct tcglog *log)
{
    log->len = 0;
    log->algorithm_count = 0;
}

void tcglog_begin(struct tcglog *log, const struct tcglog_algorithm *algorithms,
                  size_t count)
{
    static struct tcglog data;

    need(count <= TCGLOG_ALGORITHMS_MAX, "too many algorithms");
    data.len = 0;
    tcglog_put(&data, "Spec ID Event03", 16);
    tcglog_u32(&data, 0);                     /* platformClass: client */
    tcglog_put(&data, "\x00\x02\x00\x02", 4); /* 2.0, errata 0, 64 bit */
    tcglog_u32(&data, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        tcglog_u16(&data, algorithms[i].alg);
        tcglog_u16(&data, algorithms[i].digest_len);
    }
    tcglog_put(&data, "\x03xyz", 4); /* vendorInfo */
    tcglog_begin_sha1(log);
    put_sha1_event(log, 0, EV_NO_ACTION,
                   (struct atls_span){data.octets, data.len});
    log->algorithm_count = count;
    memcpy(log->algorithms, algorithms, count * sizeof(*algorithms));
}

void tcglog_event(struct tcglog *log, uint32_t pcr, uint32_t type,
                  const void *data, size_t len)
{
    const struct atls_span span = {data, len};

    if (log->algorithm_count == 0) {
        put_sha1_event(log, pcr, type, span);
        return;
    }
    tcglog_u32(log, pcr);
    tcglog_u32(log, type);
    tcglog_u32(log, (uint32_t)log->algorithm_count);
    for (size_t i = 0; i < log->algorithm_count; i++) {
        tcglog_u16(log, log->algorithms[i].alg);
        put_digest(log, &log->algorithms[i], type, span);
    }
    tcglog_u32(log, (uint32_t)len);
    tcglog_put(log, data, len);
}

void tcglog_text(struct tcglog *log, uint32_t pcr, uint32_t type,
                 const char *text)
{
    tcglog_event(log, pcr, type, text, strlen(text));
}

void tcglog_locality(struct tcglog *log, uint8_t locality)
{
    uint8_t data[17] = "StartupLocality";

    data[16] = locality;
    tcglog_event(log, 0, EV_NO_ACTION, data, sizeof(data));
}
