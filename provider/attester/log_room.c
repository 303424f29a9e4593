/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/log_room.h"

#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "attester/quoter_setup.h"

/* TPMS_ATTEST of a quote: magic, type, a name and a digest of SHA-512, clock,
 * firmware, four banks, another digest. */
#define QUOTE_LONGEST (4u + 2u + 68u + 34u + 17u + 8u + 4u + 4u * 6u + 66u)
/* TPMT_SIGNATURE of RSA-4096. */
#define SIGNATURE_LONGEST (2u + 2u + 2u + 512u)
/* An AK chain nobody knows: three certificates with keys of RSA-2048. */
#define GUESSED_CERTIFICATES 3u
#define GUESSED_CERTIFICATE 1500u

#define SCARCE_PERCENT 75u

void atls_log_room_of(const struct atls_evidence *evidence,
                      struct atls_log_room *ret_room)
{
    struct atls_evidence plain = *evidence;

    if (plain.format == ATLS_FORMAT_TPM_BOOT)
        plain.format = ATLS_FORMAT_TPM;
    plain.boot_log.count = 0;
    *ret_room = (struct atls_log_room){
        .events = plain.log_count,
        .events_max = plain.format == ATLS_FORMAT_TPM_SHORT
                          ? ATLS_LOG_EVENTS_MAX
                          : ATLS_LOG_EVENTS_PLAIN_MAX,
        .octets = atls_evidence_len(&plain),
        .octets_max = ATLS_CMW_MAX,
    };
}

bool atls_log_room_is_exceeded(const struct atls_log_room *room)
{
    return room->events > room->events_max || room->octets > room->octets_max;
}

unsigned atls_log_room_percent(const struct atls_log_room *room)
{
    size_t events = 100 * room->events / room->events_max;
    size_t octets = 100 * room->octets / room->octets_max;

    return (unsigned)(events > octets ? events : octets);
}

bool atls_log_room_is_scarce(const struct atls_log_room *room)
{
    return atls_log_room_percent(room) >= SCARCE_PERCENT;
}

static void take_setup(const struct atls_quoter_setup *setup,
                       struct atls_evidence *outline)
{
    const struct atls_pcr_selection *selection = &setup->selection;

    outline->chain_count = setup->chain_count;
    for (size_t i = 0; i < setup->chain_count; i++)
        outline->chain[i].len = setup->chain[i].len;
    outline->pcrs.count = selection->count;
    for (size_t i = 0; i < selection->count; i++) {
        outline->pcrs.banks[i].alg = selection->banks[i].alg;
        outline->pcrs.banks[i].mask = selection->banks[i].mask;
    }
}

static void guess(struct atls_evidence *outline)
{
    static const uint16_t banks[] = {TPM2_ALG_SHA256, TPM2_ALG_SHA384};

    outline->chain_count = GUESSED_CERTIFICATES;
    for (size_t i = 0; i < GUESSED_CERTIFICATES; i++)
        outline->chain[i].len = GUESSED_CERTIFICATE;
    outline->pcrs.count = sizeof(banks) / sizeof(banks[0]);
    for (size_t i = 0; i < outline->pcrs.count; i++) {
        outline->pcrs.banks[i].alg = banks[i];
        outline->pcrs.banks[i].mask = (UINT32_C(1) << ATLS_PCR_COUNT) - 1;
    }
}

/* Of the setup chain and PCRs alone are of use: nobody's secret is read for it. */
static struct atls_quoter_setup *make_setup(
    const struct atls_quoter_config *config)
{
    struct atls_quoter_setup *setup = NULL;
    struct atls_quoter_config bare;

    if (config == NULL)
        return NULL;
    bare = *config;
    bare.ak_auth = NULL;
    bare.boot_log = NULL;
    if (atls_quoter_setup_new(&bare, NULL, &setup) != ATLS_OK)
        return NULL;
    return setup;
}

void atls_log_room_outline(const struct atls_quoter_config *config,
                           struct atls_evidence *ret_outline)
{
    struct atls_quoter_setup *setup = make_setup(config);

    memset(ret_outline, 0, sizeof(*ret_outline));
    ret_outline->format = ATLS_FORMAT_TPM_SHORT;
    ret_outline->quote.len = QUOTE_LONGEST;
    ret_outline->signature.len = SIGNATURE_LONGEST;
    ret_outline->merkle.tree_size = ATLS_BATCH_MAX;
    ret_outline->merkle.path_count = ATLS_PATH_MAX;
    ret_outline->has_log = true;
    if (setup != NULL)
        take_setup(setup, ret_outline);
    else
        guess(ret_outline);
    atls_quoter_setup_unref(setup);
}
