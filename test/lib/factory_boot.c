/* SPDX-License-Identifier: BSD-2-Clause */
#include <string.h>

#include "base/digest.h"
#include "lib/factory.h"
#include "lib/factory_internal.h"

void factory_boot(struct factory *f, unsigned pcr, uint32_t type,
                  const char *data)
{
    factory_need(f->boot_count < FACTORY_BOOT_MAX
                 && strlen(data) < FACTORY_BOOT_DATA_MAX);
    f->has_boot_log = true;
    f->boot[f->boot_count].pcr = pcr;
    f->boot[f->boot_count].type = type;
    strcpy(f->boot[f->boot_count].data, data);
    f->boot_count++;
}

static void make_event(struct factory *f, size_t i)
{
    struct atls_boot_event *event = &f->boot_events[i];

    event->pcr = f->boot[i].pcr;
    event->type = f->boot[i].type;
    event->data = (struct atls_span){(const uint8_t *)f->boot[i].data,
                                     strlen(f->boot[i].data)};
    event->digest_count = f->values.count;
    for (size_t bank = 0; bank < f->values.count; bank++) {
        const struct atls_hash *hash =
            atls_hash_by_alg(f->values.banks[bank].alg);
        uint8_t *digest = f->boot_digests[i][bank];

        factory_need(atls_hash_parts(hash->ossl, &event->data, 1, digest, NULL)
                     == ATLS_OK);
        event->digests[bank].alg = hash->alg;
        event->digests[bank].octets = digest;
    }
}

struct atls_boot_log factory_boot_log(struct factory *f)
{
    for (size_t i = 0; i < f->boot_count; i++)
        make_event(f, i);
    return (struct atls_boot_log){.startup_locality = f->boot_locality,
                                  .is_crypto_agile = true,
                                  .count = f->boot_count,
                                  .events = f->boot_events};
}

/* The values that the boot log leads to, from what a reset leaves. */
static void make_values(struct factory *f, size_t bank)
{
    const struct atls_hash *hash = atls_hash_by_alg(f->values.banks[bank].alg);

    for (size_t i = 0; i < f->boot_count; i++)
        memset(factory_pcr(f, hash->alg, f->boot[i].pcr), 0,
               ATLS_PCR_DIGEST_MAX);
    if (f->boot_locality != 0) {
        memset(factory_pcr(f, hash->alg, 0), 0, ATLS_PCR_DIGEST_MAX);
        factory_pcr(f, hash->alg, 0)[hash->len - 1] = f->boot_locality;
    }
    for (size_t i = 0; i < f->boot_count; i++)
        factory_need(atls_pcr_extend(hash->alg,
                                     factory_pcr(f, hash->alg, f->boot[i].pcr),
                                     f->boot_digests[i][bank])
                     == ATLS_OK);
}

void factory_make_boot_log(struct factory *f)
{
    f->evidence.format = f->is_short       ? ATLS_FORMAT_TPM_SHORT
                         : f->has_boot_log ? ATLS_FORMAT_TPM_BOOT
                                           : ATLS_FORMAT_TPM;
    memset(&f->evidence.boot_log, 0, sizeof(f->evidence.boot_log));
    if (!f->has_boot_log)
        return;
    f->evidence.boot_log = factory_boot_log(f);
    for (size_t bank = 0; f->boot_replays && bank < f->values.count; bank++)
        make_values(f, bank);
}
