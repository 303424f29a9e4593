/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "tools/policy/differences.h"
#include "base/digest.h"
#include "evidence/bootlog.h"
#include "evidence/codec.h"
#include "evidence/event_form.h"
#include "evidence/eventlog.h"
#include "verifier/certificate.h"
#include "verifier/report.h"
#include "verifier/trust.h"

struct pair {
    struct diff *diff;
    const struct atls_evidence *a, *b;
};

static bool span_equal(struct atls_span a, struct atls_span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

/* ---- boot logs ---- */

/* "event 3: EV_SEPARATOR text sha256:...", counted within its PCR. */
static void describe_event(const struct atls_boot_log *log,
                           const struct atls_boot_event *event,
                           const struct atls_hash *hash, char *ret, size_t size)
{
    char type[64], about[128], hex[2 * ATLS_PCR_DIGEST_MAX + 1] = "";
    const uint8_t *digest = atls_boot_event_digest(event, hash->alg);
    unsigned number = 1;

    for (const struct atls_boot_event *e = log->events; e < event; e++)
        number += e->pcr == event->pcr;
    atls_boot_event_type(event->type, type, sizeof(type));
    atls_boot_event_describe(event, about, sizeof(about));
    if (digest != NULL)
        atls_hex(digest, hash->len, hex);
    snprintf(ret, size, "event %u %s%s%s %s:%s", number, type,
             about[0] != '\0' ? " " : "", about, hash->name, hex);
}

/* The first event that differs, if both sides have events. */
static void add_boot_event(const struct pair *pair,
                           const struct atls_hash *hash, unsigned pcr)
{
    const struct atls_boot_event *a = NULL, *b = NULL;
    char words_a[400] = "no event", words_b[400] = "no event";
    char what[64];

    if (!atls_evidence_has_boot_log(pair->a)
        || !atls_evidence_has_boot_log(pair->b)
        || !atls_boot_log_diverges(&pair->a->boot_log, &pair->b->boot_log,
                                   hash->alg, pcr, &a, &b))
        return;
    if (a != NULL)
        describe_event(&pair->a->boot_log, a, hash, words_a, sizeof(words_a));
    if (b != NULL)
        describe_event(&pair->b->boot_log, b, hash, words_b, sizeof(words_b));
    snprintf(what, sizeof(what), "  boot log of PCR %u", pcr);
    tool_diff_add(pair->diff, what, words_a, words_b);
}

/* ---- PCRs ---- */

static void add_pcr(const struct pair *pair, const struct atls_hash *hash,
                    unsigned pcr, const uint8_t *a, const uint8_t *b)
{
    char hex_a[2 * ATLS_PCR_DIGEST_MAX + 1];
    char hex_b[2 * ATLS_PCR_DIGEST_MAX + 1];
    char what[128];

    snprintf(what, sizeof(what), "PCR %u %s (%s)", pcr, hash->name,
             atls_pcr_name(pcr));
    if (a != NULL)
        atls_hex(a, hash->len, hex_a);
    if (b != NULL)
        atls_hex(b, hash->len, hex_b);
    tool_diff_add(pair->diff, what, a != NULL ? hex_a : NULL,
                  b != NULL ? hex_b : NULL);
    if (a != NULL && b != NULL)
        add_boot_event(pair, hash, pcr);
}

static void compare_bank(const struct pair *pair, const struct atls_hash *hash)
{
    char same[128] = "";
    size_t len = 0;

    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        const uint8_t *a = atls_pcr_value(&pair->a->pcrs, hash->alg, pcr);
        const uint8_t *b = atls_pcr_value(&pair->b->pcrs, hash->alg, pcr);

        if (a == NULL && b == NULL)
            continue;
        if (a == NULL || b == NULL || memcmp(a, b, hash->len) != 0)
            add_pcr(pair, hash, pcr, a, b);
        else
            len += (size_t)snprintf(same + len, sizeof(same) - len, " %u", pcr);
    }
    if (len > 0)
        tool_diff_same(pair->diff, "%s PCRs%s", hash->name, same);
}

static void compare_pcrs(const struct pair *pair)
{
    static const char *const banks[] = {"sha1", "sha256", "sha384", "sha512"};

    for (size_t i = 0; i < sizeof(banks) / sizeof(banks[0]); i++)
        compare_bank(pair, atls_hash_by_name(banks[i]));
}

/* ---- the measured log ---- */

static size_t count_event(const struct atls_evidence *evidence,
                          struct atls_span content, size_t end)
{
    size_t count = 0;

    for (size_t i = 0; i < end; i++)
        count += span_equal(evidence->log[i], content);
    return count;
}

/* Is event `index` missing, or less frequent, in the other log? Ask about its
 * first occurrence only. */
static bool is_surplus(const struct atls_evidence *in, size_t index,
                       const struct atls_evidence *other)
{
    const struct atls_span content = in->log[index];

    return count_event(in, content, index) == 0
           && count_event(in, content, in->log_count)
                  > count_event(other, content, other->log_count);
}

/* The index of a component of that name among the events that only `in` has;
 * log_count when there is none. */
static size_t find_component(const struct atls_evidence *in,
                             const struct atls_evidence *other,
                             const char *name)
{
    struct atls_event event;

    for (size_t i = 0; i < in->log_count; i++) {
        atls_event_parse(in->log[i], &event);
        if (event.kind == ATLS_EVENT_COMPONENT && strcmp(event.name, name) == 0
            && is_surplus(in, i, other))
            return i;
    }
    return in->log_count;
}

static void add_component(const struct pair *pair, const char *name,
                          struct atls_span a, struct atls_span b)
{
    char hex_a[2 * ATLS_SHA256_LEN + 8], hex_b[2 * ATLS_SHA256_LEN + 8];
    char what[ATLS_COMPONENT_NAME_MAX + 32];
    struct atls_event event;

    snprintf(hex_a, sizeof(hex_a), "sha256:");
    snprintf(hex_b, sizeof(hex_b), "sha256:");
    atls_event_parse(a, &event);
    atls_hex(event.digest, sizeof(event.digest), hex_a + 7);
    atls_event_parse(b, &event);
    atls_hex(event.digest, sizeof(event.digest), hex_b + 7);
    snprintf(what, sizeof(what), "component %s", name);
    tool_diff_add(pair->diff, what, hex_a, hex_b);
}

/* Events of a that b lacks; a component with another digest is one change. */
static void compare_events(const struct pair *pair,
                           const struct atls_evidence *in,
                           const struct atls_evidence *other)
{
    for (size_t i = 0; i < in->log_count; i++) {
        char words[ATLS_EVENT_SHOWN_MAX];
        struct atls_event event;
        size_t match = other->log_count;

        if (!is_surplus(in, i, other))
            continue;
        atls_event_parse(in->log[i], &event);
        if (event.kind == ATLS_EVENT_COMPONENT)
            match = find_component(other, in, event.name);
        atls_event_show(in->log[i], words, sizeof(words));
        if (match == other->log_count)
            tool_diff_add(pair->diff, "measured log",
                          in == pair->a ? words : NULL,
                          in == pair->a ? NULL : words);
        else if (in == pair->a)
            add_component(pair, event.name, in->log[i], other->log[match]);
    }
}

static void compare_logs(const struct pair *pair)
{
    const struct atls_evidence *a = pair->a, *b = pair->b;
    const size_t before = pair->diff->count;
    bool same = a->log_count == b->log_count;

    compare_events(pair, a, b);
    compare_events(pair, b, a);
    for (size_t i = 0; same && i < a->log_count; i++)
        same = span_equal(a->log[i], b->log[i]);
    if (same)
        tool_diff_same(pair->diff, "measured log");
    else if (pair->diff->count == before)
        tool_diff_add(pair->diff, "measured log", "the same events",
                      "in another order");
}

/* ---- keys and certificates ---- */

static bool same_key(struct atls_span a, struct atls_span b)
{
    X509 *cert_a = NULL, *cert_b = NULL;
    bool same =
        atls_certificate_parse(a, "AK", NULL, &cert_a) == ATLS_OK
        && atls_certificate_parse(b, "AK", NULL, &cert_b) == ATLS_OK
        && EVP_PKEY_eq(X509_get0_pubkey(cert_a), X509_get0_pubkey(cert_b)) == 1;

    X509_free(cert_a);
    X509_free(cert_b);
    return same;
}

/* The names that `machines` of a policy could list. */
static void compare_machines(const struct pair *pair)
{
    char a[ATLS_MACHINE_NAMES_MAX], b[ATLS_MACHINE_NAMES_MAX];

    atls_trust_machine_names(pair->a->chain[0], a, sizeof(a));
    atls_trust_machine_names(pair->b->chain[0], b, sizeof(b));
    if (strcmp(a, b) == 0)
        tool_diff_same(pair->diff, "machine");
    else
        tool_diff_add(pair->diff, "machine", a, b);
}

static void compare_certificates(struct diff *diff, const char *what,
                                 const char *what_with_same_key,
                                 struct atls_span a, struct atls_span b)
{
    char words_a[2 * ATLS_SUBJECT_MAX], words_b[2 * ATLS_SUBJECT_MAX];

    if (span_equal(a, b)) {
        if (a.len > 0)
            tool_diff_same(diff, "%s", what);
        return;
    }
    atls_certificate_describe(a, words_a, sizeof(words_a));
    atls_certificate_describe(b, words_b, sizeof(words_b));
    tool_diff_add(diff,
                  a.len > 0 && b.len > 0 && same_key(a, b) ? what_with_same_key
                                                           : what,
                  a.len > 0 ? words_a : NULL, b.len > 0 ? words_b : NULL);
}

/* ---- the whole ---- */

enum atls_error tool_diff_evidence(struct diff *diff,
                                   const char *const paths[2],
                                   const struct peer_evidence evidence[2],
                                   struct atls_reason *why)
{
    struct atls_evidence *decoded[2] = {NULL, NULL};
    struct atls_span certs[2];
    enum atls_error r = ATLS_OK;

    for (size_t i = 0; i < 2 && r == ATLS_OK; i++) {
        certs[i] =
            (struct atls_span){evidence[i].cert_der, evidence[i].cert_len};
        r = atls_evidence_decode(
            (struct atls_span){evidence[i].cmw, evidence[i].cmw_len}, why,
            &decoded[i]);
        if (r != ATLS_OK)
            atls_reason_prefix(why, "%s: ", paths[i]);
    }
    if (r == ATLS_OK) {
        const struct pair pair = {diff, decoded[0], decoded[1]};

        compare_pcrs(&pair);
        compare_logs(&pair);
        compare_machines(&pair);
        compare_certificates(diff, "AK", "AK certificate (the key is the same)",
                             decoded[0]->chain[0], decoded[1]->chain[0]);
        compare_certificates(diff, "TLS certificate",
                             "TLS certificate (the key is the same)", certs[0],
                             certs[1]);
    }
    atls_evidence_free(decoded[0]);
    atls_evidence_free(decoded[1]);
    return r;
}
