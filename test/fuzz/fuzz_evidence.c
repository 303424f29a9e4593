/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * The CMW record and all that is read out of it without a key: the input is a
 * record. Whatever is decoded must have exactly one encoding.
 */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <string.h>

#include "evidence/codec.h"
#include "evidence/event_form.h"
#include "evidence/eventlog.h"
#include "fuzz/standalone.h"

static void check_encoding(const struct atls_evidence *evidence,
                           struct atls_span cmw)
{
    uint8_t *again = NULL;
    size_t len = 0;

    fuzz_check(atls_evidence_encode(evidence, NULL, &again, &len) == ATLS_OK,
               "what was decoded cannot be encoded");
    fuzz_check(len == cmw.len && memcmp(again, cmw.data, len) == 0,
               "two encodings of one evidence");
    OPENSSL_free(again);
}

static void check_events(const struct atls_evidence *evidence)
{
    for (size_t i = 0; i < evidence->log_count; i++) {
        struct atls_span content = evidence->log[i];
        char again[ATLS_EVENT_CONTENT_MAX];
        char flaws[ATLS_EVENT_FLAWS_MAX], shown[ATLS_EVENT_SHOWN_MAX];
        struct atls_event event;
        bool resembles = atls_event_resembles(content, &event, flaws);

        atls_event_show(content, shown, sizeof(shown));
        fuzz_check(strlen(shown) < sizeof(shown), "shown beyond its room");
        atls_event_parse(content, &event);
        fuzz_check(!resembles || event.kind == ATLS_EVENT_OTHER,
                   "a form that resembles one");
        if (event.kind == ATLS_EVENT_OTHER)
            continue;
        fuzz_check(atls_event_format(&event, again) == content.len
                       && memcmp(again, content.data, content.len) == 0,
                   "two contents of one event");
    }
}

/* An event decoded has a digest of each bank that travels. */
static void check_boot_log(const struct atls_evidence *evidence)
{
    const struct atls_boot_log *log = &evidence->boot_log;
    uint8_t value[ATLS_PCR_DIGEST_MAX];

    fuzz_check(log->count == 0 || evidence->format != ATLS_FORMAT_TPM,
               "a boot log in format 1");
    for (size_t i = 0; i < log->count; i++) {
        for (size_t bank = 0; bank < evidence->pcrs.count; bank++)
            fuzz_check(atls_boot_log_replay(log, evidence->pcrs.banks[bank].alg,
                                            log->events[i].pcr, NULL, value,
                                            NULL)
                           == ATLS_OK,
                       "replay");
    }
}

static void check_proof(const struct atls_evidence *evidence)
{
    static const uint8_t leaf[ATLS_SHA256_LEN] = {0};
    uint8_t root[ATLS_SHA256_LEN];
    enum atls_error r = atls_merkle_fold(leaf, &evidence->merkle, NULL, root);

    fuzz_check(r == ATLS_OK || r == ATLS_E_MALFORMED
                   || r == ATLS_E_NOT_CANONICAL,
               "fold");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_span cmw = {data, size};
    struct atls_evidence *evidence = NULL;
    struct atls_reason why = {.code = ATLS_OK};
    enum atls_error r = atls_evidence_decode(cmw, &why, &evidence);

    if (r == ATLS_OK) {
        check_encoding(evidence, cmw);
        check_events(evidence);
        check_boot_log(evidence);
        if (!evidence->is_epoch)
            check_proof(evidence);
    } else {
        fuzz_check(evidence == NULL && why.code == r && why.text[0] != '\0',
                   "refused without a reason");
    }
    fuzz_check(ERR_peek_error() == 0, "error queue not as it was");
    atls_evidence_free(evidence);
    return 0;
}

#ifdef ATLS_FUZZ_STANDALONE

static const struct fuzz_seed seeds[] = {
    {"live", "cmw", 0, NULL},       {"epoch", "cmw", 0, NULL},
    {"boot", "cmw", 0, NULL},       {"short", "cmw", 0, NULL},
    {"short-boot", "cmw", 0, NULL}, {"short-in-full", "cmw", 0, NULL},
};

int main(int argc, char **argv)
{
    return fuzz_standalone(argc, argv, seeds, sizeof(seeds) / sizeof(seeds[0]));
}

#endif
