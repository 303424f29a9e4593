/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/x509v3.h>
#include <stdio.h>

#include "attester/log_room.h"
#include "base/clock.h"
#include "evidence/codec.h"
#include "tools/check/checks.h"
#include "tools/common/inspect.h"
#include "tools/common/local_evidence.h"
#include "verifier/certificate.h"

const char *tool_check_quoter_hint(enum atls_error code)
{
    switch (code) {
    case ATLS_E_AGENT_UNAVAILABLE:
    case ATLS_E_NOT_ALLOWED:
        return NULL; /* the reason itself tells */
    default:
        return "Attested handshakes fail like this";
    }
}

/* ---- AK chain ---- */

/* ---- the AK's chain ---- */

void tool_check_ak_chain(struct check *check, STACK_OF(X509) * chain,
                         const char *path)
{
    int count = sk_X509_num(chain);

    for (int i = 0; i < count; i++) {
        X509 *cert = sk_X509_value(chain, i);
        char target[ATLS_SUBJECT_MAX];
        char thing[ATLS_SUBJECT_MAX + 32];

        atls_certificate_subject(cert, target, sizeof(target));
        snprintf(thing, sizeof(thing), "%s %s",
                 i == 0 ? "AK certificate" : "intermediate", target);
        tool_check_expiry(
            check, "AK chain", thing,
            tool_check_time_of(X509_get0_notAfter(cert)),
            "Renew it at its issuer; peers refuse the evidence after "
            "that");
        if (i > 0
            && X509_check_issued(cert, sk_X509_value(chain, i - 1))
                   != X509_V_OK)
            tool_finding_fail(
                check->findings, TOOL_USAGE, "AK chain",
                "Put the AK certificate first, then each issuer",
                "%s: certificate %d (%s) did not issue the one before "
                "it",
                path, i + 1, target);
        if (X509_check_issued(cert, cert) == X509_V_OK)
            tool_finding_fail(
                check->findings, TOOL_USAGE, "AK chain",
                "Take it out: peers have the root in their policy",
                "%s: certificate %d (%s) is a root, which does not "
                "belong into the evidence",
                path, i + 1, target);
    }
    tool_finding_ok(check->findings, "AK chain", "%s: %d certificate%s", path,
                    count, count == 1 ? "" : "s");
}

/* ---- TPM and AK ---- */

/* ---- evidence ---- */

static bool is_of_log(enum atls_error code)
{
    return code == ATLS_E_LOG_MISMATCH || code == ATLS_E_LOG_UNREADABLE
           || code == ATLS_E_LOG_BUSY;
}

/* A log grows until the next boot; evidence has to carry all of it. */
static void check_room(struct check *check,
                       const struct atls_evidence *evidence)
{
    struct atls_evidence plain = *evidence;
    struct atls_log_room room;

    atls_log_room_of(evidence, &room);
    if (atls_log_room_is_scarce(&room))
        tool_finding_warn(
            check->findings, "event log",
            "Plan a reboot, which begins a new log: full, it takes no "
            "renewed certificate any more",
            "it fills %u %% of what evidence can carry (%zu of %zu "
            "events, %zu of %zu octets)",
            atls_log_room_percent(&room), room.events, room.events_max,
            room.octets, room.octets_max);
    plain.format = ATLS_FORMAT_TPM;
    atls_log_room_of(&plain, &room);
    if (atls_log_room_is_exceeded(&room))
        tool_finding_note(
            check->findings, "event log",
            "it is too long for verifiers that do not know evidence "
            "of format 3 (%zu of %zu octets): they are refused",
            room.octets, room.octets_max);
}

/* The quoter gives out no log that does not lead to its PCR. */
static void check_log(struct check *check, const char *log,
                      const struct atls_report *report)
{
    const struct atls_evidence *evidence = report->evidence;

    if (!evidence->has_log)
        tool_finding_warn(
            check->findings, "event log",
            "Name one with measured_log, where the TPM is configured",
            "no measured log is sent (measured_log = none): peers that "
            "check components or certificates refuse");
    else
        check_room(check, evidence);
    if (evidence->has_log
        && report->steps[ATLS_STEP_LOG].result == ATLS_STEP_PASSED)
        tool_finding_ok(check->findings, "event log",
                        "%s replays to PCR %u (events: %zu)", log,
                        evidence->log_pcr, evidence->log_count);
}

/* What a peer would refuse under any policy. */
static void check_content(struct check *check, const char *log,
                          const struct peer_evidence *evidence,
                          struct atls_report *ret_report)
{
    struct atls_reason why = {0};

    if (tool_inspect(evidence, &why, ret_report) != ATLS_OK)
        tool_check_fail(check, "evidence",
                        "Every peer refuses it; the quoter's log may say why",
                        &why);
    if (ret_report->evidence != NULL)
        check_log(check, log, ret_report);
}

/* Make the evidence that the machine would send, by the same code and with the
 * same rights. This finds a wrong ak_auth, a missing PCR bank, a log that does
 * not lead to its PCR, evidence that is too large. */
bool tool_check_evidence(struct check *check, struct atls_attester *attester,
                         const char *log, struct peer_evidence *ret_evidence,
                         struct atls_report *ret_report)
{
    const struct atls_span stand_in = {NULL, 0};
    struct atls_reason why = {0};
    int64_t begin = atls_now_ms();

    *ret_report = (struct atls_report){0};
    if (tool_local_evidence(attester, stand_in, &why, ret_evidence)
        != ATLS_OK) {
        tool_check_fail(check, is_of_log(why.code) ? "event log" : "evidence",
                        tool_check_quoter_hint(why.code), &why);
        return false;
    }
    tool_finding_ok(check->findings, "evidence",
                    "%zu of at most %u octets, made in %lld ms",
                    ret_evidence->cmw_len, ATLS_CMW_MAX,
                    (long long)(atls_now_ms() - begin));
    check_content(check, log, ret_evidence, ret_report);
    return ret_report->evidence != NULL;
}
