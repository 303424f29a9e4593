/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/appraise.h"

#include <inttypes.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <string.h>

#include "base/digest.h"
#include "evidence/merkle.h"
#include "verifier/bootcheck.h"
#include "verifier/certificate.h"
#include "verifier/measured.h"
#include "verifier/pcrs.h"
#include "verifier/quoted.h"
#include "verifier/reference.h"
#include "verifier/trust.h"

/* One appraisal as it goes on. */
struct run {
    const struct atls_appraisal *in;
    const struct atls_section *section;
    struct atls_report *report;
    struct atls_trust trust;
    struct atls_signature signature;
    unsigned have;
    /* Set by a step of which the section demands nothing. */
    bool not_asked;
};

/* What steps need of those before them. In the normal order all is there when a
 * step begins; under check_all a step is left out whose input is not. */
#define HAVE_EVIDENCE 1u  /* report->evidence */
#define HAVE_AK 2u        /* trust.key */
#define HAVE_SIGNATURE 4u /* signature, parsed */
#define HAVE_ATTEST 8u    /* the head of report->quote */
#define HAVE_QUOTE 16u    /* its body */

/* Nobody else looks at what was not asked for. */
static enum atls_error check_format(const struct run *run,
                                    struct atls_reason *why)
{
    const struct atls_formats *asked = run->in->asked;
    const struct atls_evidence *evidence = run->report->evidence;

    if (asked == NULL)
        return ATLS_OK;
    if (!atls_formats_include(asked, evidence->format))
        return atls_fail(why, ATLS_E_FORMAT,
                         "the evidence is of format %u, which we did not ask "
                         "for" ATLS_MORE ": the peer does not keep to the "
                         "protocol; update its attest",
                         evidence->format);
    if (atls_evidence_has_boot_log(evidence)
        && !atls_formats_include(asked, ATLS_FORMAT_TPM_BOOT))
        return atls_fail(why, ATLS_E_FORMAT,
                         "the evidence carries a boot log, which we did not "
                         "ask for" ATLS_MORE ": the peer does not keep to the "
                         "protocol; update its attest");
    return ATLS_OK;
}

static enum atls_error check_decode(struct run *run, struct atls_reason *why)
{
    enum atls_error r =
        atls_evidence_decode(run->in->cmw, why, &run->report->evidence);

    if (r != ATLS_OK)
        return r;
    run->have |= HAVE_EVIDENCE;
    return check_format(run, why);
}

static enum atls_error check_chain(struct run *run, struct atls_reason *why)
{
    const struct atls_evidence *evidence = run->report->evidence;
    enum atls_error r =
        atls_trust_check(run->section, evidence->chain, evidence->chain_count,
                         run->in->now, why, &run->trust);

    if (run->trust.key != NULL)
        run->have |= HAVE_AK;
    if (r != ATLS_OK)
        return r;
    memcpy(run->report->machine, run->trust.machine,
           sizeof(run->report->machine));
    return ATLS_OK;
}

static enum atls_error check_signature(struct run *run, struct atls_reason *why)
{
    const struct atls_evidence *evidence = run->report->evidence;
    enum atls_error r =
        atls_signature_parse(evidence->signature, why, &run->signature);

    if (r != ATLS_OK)
        return r;
    run->have |= HAVE_SIGNATURE;
    return atls_signature_verify(&run->signature, run->trust.key,
                                 evidence->quote, why);
}

/* The signed structure is looked into only now that its signature holds. The
 * AK signs other data too, but a TPM never lets a restricted key sign outside
 * data that begin with this value (Part 1, "Restricted Signing"). */
static enum atls_error check_magic(struct run *run, struct atls_reason *why)
{
    struct atls_quote *quote = &run->report->quote;
    enum atls_error r =
        atls_quote_parse(run->report->evidence->quote, why, quote);

    if (r != ATLS_OK)
        return r;
    run->report->has_quote = true;
    run->have |= HAVE_ATTEST;
    return atls_quoted_check_magic(quote, why);
}

static enum atls_error check_type(struct run *run, struct atls_reason *why)
{
    enum atls_error r = atls_quoted_check_type(&run->report->quote, why);

    if (r != ATLS_OK)
        return r;
    run->have |= HAVE_QUOTE;
    return ATLS_OK;
}

/* The qualifying data that the evidence must have been quoted with: the root of
 * its Merkle tree (live) or the binding itself (epoch). */
static enum atls_error expected_extra_data(const struct run *run,
                                           struct atls_reason *why,
                                           uint8_t ret[ATLS_SHA256_LEN])
{
    const struct atls_appraisal *in = run->in;
    const struct atls_evidence *evidence = run->report->evidence;
    uint8_t binding[ATLS_SHA256_LEN] = {0};
    uint8_t leaf[ATLS_SHA256_LEN] = {0};
    enum atls_error r;

    if (evidence->is_epoch)
        return atls_binding_epoch(in->role, evidence->epoch_time, in->cert_der,
                                  ret);
    if (in->channel == NULL)
        return atls_fail(why, ATLS_E_BINDING,
                         "live evidence belongs to one connection and proves "
                         "nothing when it was saved; fetch it anew");
    r = atls_binding_live(in->role, in->channel, in->cert_der, binding);
    if (r != ATLS_OK)
        return r;
    r = atls_merkle_leaf(binding, leaf);
    if (r != ATLS_OK)
        return r;
    return atls_merkle_fold(leaf, &evidence->merkle, why, ret);
}

static enum atls_error check_binding(struct run *run, struct atls_reason *why)
{
    const struct atls_quote *quote = &run->report->quote;
    uint8_t expected[ATLS_SHA256_LEN] = {0};
    enum atls_error r = expected_extra_data(run, why, expected);

    if (r != ATLS_OK)
        return r;
    if (quote->extra_data_len != sizeof(expected)
        || CRYPTO_memcmp(quote->extra_data, expected, sizeof(expected)) != 0)
        return atls_fail(why, ATLS_E_BINDING,
                         "the evidence was made for another connection, role "
                         "or certificate" ATLS_MORE
                         ": it may be replayed or relayed; is "
                         "something between us that ends TLS?");
    return ATLS_OK;
}

static enum atls_error check_freshness(struct run *run, struct atls_reason *why)
{
    const struct atls_evidence *evidence = run->report->evidence;

    if (evidence->is_epoch)
        return atls_fail(why, ATLS_E_FRESHNESS,
                         "the policy wants live evidence, found epoch evidence "
                         "of time %" PRIu64 "; set evidence = live on the "
                         "attester",
                         evidence->epoch_time);
    return ATLS_OK;
}

/* Decided on the signed selection alone. */
static enum atls_error check_selection(struct run *run, struct atls_reason *why)
{
    const struct atls_pcr_selection *selection = &run->report->quote.selection;
    const struct atls_evidence *evidence = run->report->evidence;
    enum atls_error r = atls_pcrs_check_quoted(selection, &evidence->pcrs, why);

    if (r != ATLS_OK)
        return r;
    return atls_pcrs_check_covered(run->section, evidence, selection, why);
}

static enum atls_error check_digest(struct run *run, struct atls_reason *why)
{
    return atls_quoted_check_digest(&run->report->quote, run->signature.hash,
                                    &run->report->evidence->pcrs, why);
}

static enum atls_error check_log(struct run *run, struct atls_reason *why)
{
    const struct atls_evidence *evidence = run->report->evidence;
    enum atls_error r;

    run->not_asked = !atls_measured_log_counts(run->section, evidence)
                     && !atls_evidence_has_boot_log(evidence);
    r = atls_measured_log(run->section, evidence, why);
    if (r != ATLS_OK)
        return r;
    return atls_bootcheck(evidence, why);
}

static enum atls_error check_certificate(struct run *run,
                                         struct atls_reason *why)
{
    run->not_asked = run->section->certificate == ATLS_CERTIFICATE_ANY
                     && run->report->evidence->authority.len == 0;
    return atls_measured_certificate(run->section, run->report->evidence,
                                     run->in->cert_der, run->in->now, why);
}

/* The reference is chosen here, where digest and log have made PCR values and
 * events more than the peer's word. */
static enum atls_error check_components(struct run *run,
                                        struct atls_reason *why)
{
    const struct atls_section *section = run->section;
    const struct atls_reference *reference =
        atls_reference_choose(section, run->report->evidence);

    run->report->reference = reference;
    run->not_asked = section->components_any && section->component_count == 0
                     && (reference == NULL || reference->component_count == 0);
    return atls_reference_check_components(section, reference,
                                           run->report->evidence, why);
}

static bool names_pcrs(const struct atls_pcr_rule rules[ATLS_PCR_COUNT])
{
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        if (rules[pcr].count > 0)
            return true;
    }
    return false;
}

static enum atls_error check_pcrs(struct run *run, struct atls_reason *why)
{
    const struct atls_reference *reference = run->report->reference;

    run->not_asked = !names_pcrs(run->section->pcrs)
                     && (reference == NULL || !names_pcrs(reference->pcrs));
    return atls_reference_check_pcrs(run->section, reference,
                                     run->report->evidence, why);
}

/* No policy can demand a certified TLS key yet, so nothing checks what would
 * travel here. */
static enum atls_error check_tls_key(struct run *run, struct atls_reason *why)
{
    run->not_asked = true;
    if (run->report->evidence->certify.len > 0)
        return atls_fail(why, ATLS_E_TLS_KEY,
                         "the evidence certifies a TLS key, which this version "
                         "cannot check; leave the certification out");
    return ATLS_OK;
}

struct step {
    enum atls_error (*check)(struct run *run, struct atls_reason *why);
    unsigned needs;
};

static const struct step steps[ATLS_STEP_COUNT] = {
    [ATLS_STEP_DECODE] = {check_decode, 0},
    [ATLS_STEP_CHAIN] = {check_chain, HAVE_EVIDENCE},
    [ATLS_STEP_SIGNATURE] = {check_signature, HAVE_EVIDENCE | HAVE_AK},
    [ATLS_STEP_MAGIC] = {check_magic, HAVE_EVIDENCE},
    [ATLS_STEP_TYPE] = {check_type, HAVE_ATTEST},
    [ATLS_STEP_BINDING] = {check_binding, HAVE_ATTEST},
    [ATLS_STEP_FRESHNESS] = {check_freshness, HAVE_EVIDENCE},
    [ATLS_STEP_SELECTION] = {check_selection, HAVE_QUOTE},
    [ATLS_STEP_DIGEST] = {check_digest, HAVE_QUOTE | HAVE_SIGNATURE},
    [ATLS_STEP_LOG] = {check_log, HAVE_EVIDENCE},
    [ATLS_STEP_CERTIFICATE] = {check_certificate, HAVE_EVIDENCE},
    [ATLS_STEP_COMPONENTS] = {check_components, HAVE_EVIDENCE},
    [ATLS_STEP_PCRS] = {check_pcrs, HAVE_EVIDENCE},
    [ATLS_STEP_TLS_KEY] = {check_tls_key, HAVE_EVIDENCE},
};

/* Make one step and note what came of it. */
static enum atls_error make_step(struct run *run, enum atls_step step)
{
    struct atls_reason *reason = &run->report->steps[step].reason;
    enum atls_error r;

    run->not_asked = false;
    r = steps[step].check(run, reason);
    if (r == ATLS_OK) {
        run->report->steps[step].result =
            run->not_asked ? ATLS_STEP_NOT_ASKED : ATLS_STEP_PASSED;
        return ATLS_OK;
    }
    run->report->steps[step].result = ATLS_STEP_FAILED;
    /* Some helpers have no sentence of their own. */
    if (reason->code != r)
        (void)atls_fail(reason, r, NULL);
    return r;
}

/* Sets the verdict to ATLS_OK in one place only: when each step was made and
 * passed. */
static void make_steps(struct run *run)
{
    struct atls_report *report = run->report;
    bool refused = false;
    unsigned passed = 0;

    for (unsigned i = 0; i < ATLS_STEP_COUNT; i++) {
        enum atls_error r;

        if ((steps[i].needs & ~run->have) != 0)
            continue;
        r = make_step(run, (enum atls_step)i);
        if (r == ATLS_OK) {
            passed++;
            continue;
        }
        if (!refused) {
            report->verdict = r;
            report->reason = report->steps[i].reason;
            refused = true;
        }
        if (!run->in->check_all)
            return;
    }
    if (passed == ATLS_STEP_COUNT) {
        report->verdict = ATLS_OK;
        memset(&report->reason, 0, sizeof(report->reason));
    }
}

static enum atls_error check_expiry(const struct atls_appraisal *in,
                                    struct atls_reason *why)
{
    char date[ATLS_DATE_MAX];

    atls_certificate_date_of(in->section->expires, date);
    if (in->now > in->section->expires)
        return atls_fail(why, ATLS_E_EXPIRED,
                         "policy section %.64s expired %s; review it and set "
                         "expires anew",
                         in->section->name, date);
    return ATLS_OK;
}

enum atls_error atls_appraise(const struct atls_appraisal *appraisal,
                              struct atls_report *ret_report)
{
    struct run run = {
        .in = appraisal,
        .section = appraisal->section,
        .report = ret_report,
    };
    enum atls_error r;

    atls_report_init(ret_report);
    ret_report->section_name = appraisal->section->name;
    r = check_expiry(appraisal, &ret_report->reason);
    if (r != ATLS_OK) {
        ret_report->verdict = r;
        return r;
    }
    ERR_set_mark();
    make_steps(&run);
    EVP_PKEY_free(run.trust.key);
    ERR_pop_to_mark();
    return ret_report->verdict;
}
