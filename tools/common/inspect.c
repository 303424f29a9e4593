/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/common/inspect.h"

#include <openssl/x509_vfy.h>
#include <time.h>
#include <tss2/tss2_tpm2_types.h>

#include "tools/common/tool.h"
#include "verifier/trust.h"

/* Use the strongest bank of the evidence and the PCR of its log, so that every
 * check is made that needs no policy. */
static void fit_section(const struct peer_evidence *evidence,
                        struct atls_section *section)
{
    const struct atls_span cmw = {evidence->cmw, evidence->cmw_len};
    struct atls_evidence *decoded = NULL;

    if (atls_evidence_decode(cmw, NULL, &decoded) != ATLS_OK)
        return;
    for (size_t i = 0; i < decoded->pcrs.count; i++)
        if (decoded->pcrs.banks[i].alg != TPM2_ALG_SHA1)
            section->bank = decoded->pcrs.banks[i].alg;
    if (decoded->has_log)
        section->measure_pcr = decoded->log_pcr;
    atls_evidence_free(decoded);
}

/* Mark as not done the steps that only a policy can decide, and the binding of
 * a record without its connection. Returns the first error that the evidence
 * has by itself, or ATLS_OK. */
static enum atls_error withdraw_undecided(const struct peer_evidence *evidence,
                                          struct atls_reason *why,
                                          struct atls_report *report)
{
    why->code = ATLS_OK;

    for (unsigned i = 0; i < ATLS_STEP_COUNT; i++) {
        bool undecided =
            atls_error_status(report->steps[i].reason.code) == TOOL_REFUSED
            || (i == ATLS_STEP_BINDING && !evidence->has_channel)
            || (i == ATLS_STEP_CERTIFICATE && evidence->cert_der == NULL)
            || i == ATLS_STEP_COMPONENTS || i == ATLS_STEP_PCRS
            || i == ATLS_STEP_TLS_KEY;

        if (undecided)
            report->steps[i].result = ATLS_STEP_NOT_DONE;
        else if (report->steps[i].result == ATLS_STEP_FAILED
                 && why->code == ATLS_OK)
            *why = report->steps[i].reason;
    }
    return why->code;
}

enum atls_error tool_appraise(const struct peer_evidence *evidence,
                              const struct atls_section *section, int64_t now,
                              bool check_all, struct atls_report *ret_report)
{
    const struct atls_appraisal appraisal = {
        .section = section,
        .cmw = {evidence->cmw, evidence->cmw_len},
        .role = evidence->role,
        .channel = evidence->has_channel ? evidence->channel : NULL,
        .cert_der = {evidence->cert_der, evidence->cert_len},
        .now = now,
        .check_all = check_all,
    };

    return atls_appraise(&appraisal, ret_report);
}

enum atls_error tool_inspect(const struct peer_evidence *evidence,
                             struct atls_reason *why,
                             struct atls_report *ret_report)
{
    char name[] = "none";
    struct atls_section section = {
        .name = name,
        .mode = ATLS_MODE_OBSERVE,
        .trust = X509_STORE_new(),
        .machines_any = true,
        .ak_eku_any = true,
        .bank = TPM2_ALG_SHA256,
        .allow_zero = true,
        .measure_pcr = ATLS_MEASURE_PCR_DEFAULT,
        .components_any = true,
        .certificate = ATLS_CERTIFICATE_MEASURED,
        .expires = INT64_MAX,
    };
    enum atls_error r;

    *ret_report = (struct atls_report){0};
    if (section.trust == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    fit_section(evidence, &section);
    (void)!tool_appraise(evidence, &section, (int64_t)time(NULL), true,
                         ret_report);
    r = withdraw_undecided(evidence, why, ret_report);
    if (ret_report->evidence != NULL)
        atls_trust_machine_names(ret_report->evidence->chain[0],
                                 ret_report->machine,
                                 sizeof(ret_report->machine));
    X509_STORE_free(section.trust);
    return r;
}
