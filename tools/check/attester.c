/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/pem.h"
#include "attester/log_room.h"
#include "attester/tpm.h"
#include "attester/tpm_link.h"
#include "tools/check/checks.h"
#include "evidence/codec.h"
#include "tools/common/local_evidence.h"
#include "tools/common/input.h"
#include "tools/common/inspect.h"
#include "verifier/certificate.h"

static const char *text_of(const struct atls_reason *why)
{
    return why->text[0] != '\0' ? why->text : atls_error_sentence(why->code);
}

/* A refusal of provider/ as a finding: one of the TPM unless it is of the
 * configuration. */
void tool_check_fail(struct check *check, const char *what, const char *next,
                     const struct atls_reason *why)
{
    int status = atls_error_status(why->code) == TOOL_UNAVAILABLE
                     ? TOOL_UNAVAILABLE
                     : TOOL_USAGE;

    tool_finding_fail(check->findings, status, what, next, "%s", text_of(why));
}

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

/* The certificates of a PEM file, in order; NULL without any. */
static STACK_OF(X509) * read_chain(const char *path)
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    struct atls_reason why = {0};
    uint8_t *data = NULL;
    size_t len = 0;
    BIO *bio = NULL;
    X509 *cert;

    if (tool_input_read(path, INPUT_ROOTS_MAX, &why, &data, &len) == ATLS_OK)
        bio = BIO_new_mem_buf(data, (int)len);
    while (chain != NULL && bio != NULL
           && atls_pem_read_certificate(bio, &cert) == ATLS_OK && cert != NULL)
        if (sk_X509_push(chain, cert) <= 0) {
            X509_free(cert);
            break;
        }
    BIO_free(bio);
    OPENSSL_free(data);
    ERR_clear_error(); /* the end of a PEM file is an error, too */
    if (sk_X509_num(chain) > 0)
        return chain;
    sk_X509_free(chain);
    return NULL;
}

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

static void check_ak_public(struct check *check, struct atls_tpm *tpm,
                            const X509 *cert)
{
    struct atls_reason why = {0};
    uint8_t *in_tpm = NULL, *in_cert = NULL;
    size_t tpm_len = 0;
    int cert_len;

    if (atls_tpm_ak_public(tpm, &why, &in_tpm, &tpm_len) != ATLS_OK) {
        tool_check_fail(check, "AK", "See the TPM's manual for the handle",
                        &why);
        return;
    }
    cert_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &in_cert);
    if (cert_len <= 0 || (size_t)cert_len != tpm_len
        || memcmp(in_cert, in_tpm, tpm_len) != 0)
        tool_finding_fail(
            check->findings, TOOL_USAGE, "AK",
            "Correct ak or ak_chain; a cleared TPM has new keys",
            "%s in the TPM is not the key of the first certificate in %s",
            check->configuration.attester.quoter.ak,
            check->configuration.attester.quoter.ak_chain);
    else
        tool_finding_ok(check->findings, "AK",
                        "%s is the key of the AK certificate",
                        check->configuration.attester.quoter.ak);
    OPENSSL_free(in_tpm);
    OPENSSL_free(in_cert);
}

static void check_tpm(struct check *check, const X509 *cert)
{
    const struct atls_quoter_config *config =
        &check->configuration.attester.quoter;
    struct atls_reason why = {0};
    struct atls_tpm *tpm = NULL;

    if (atls_tpm_open(config->tcti, &why, &tpm) != ATLS_OK) {
        tool_check_fail(check, "TPM", NULL, &why);
        return;
    }
    atls_tpm_set_deadline(tpm, atls_now_ms() + (int64_t)config->timeout_ms, -1);
    if (atls_tpm_load_ak(tpm, config->ak, NULL, 0, &why) != ATLS_OK) {
        tool_check_fail(check, "AK", NULL, &why);
    } else {
        check_ak_public(check, tpm, cert);
        if (!atls_tpm_ak_has_no_da(tpm))
            tool_finding_warn(
                check->findings, "AK", "Make it anew with the attribute noda",
                "%s lacks noDA: failed authorizations elsewhere lock it, "
                "and every proof with it",
                config->ak);
    }
    atls_tpm_close(tpm);
}

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

/* Anybody who knows the authorization value can quote any data. */
static void check_auth_file(struct check *check)
{
    const char *auth = check->configuration.attester.quoter.ak_auth;
    const char *path = auth != NULL ? strchr(auth, ':') : NULL;
    struct stat st;

    if (path == NULL || stat(path + 1, &st) != 0)
        return; /* none, or the quoter has said what is wrong */
    if ((st.st_mode & S_IROTH) != 0)
        tool_finding_fail(check->findings, TOOL_USAGE, "AK authorization",
                          "Take the right away: chmod o-r",
                          "%s can be read by everybody", path + 1);
}

/* quoter = tcti:... */
static void check_quoter(struct check *check, struct atls_attester *attester)
{
    const char *path = check->configuration.attester.quoter.ak_chain;
    struct peer_evidence evidence = {0};
    STACK_OF(X509) *chain = read_chain(path);
    struct atls_report report;

    check_auth_file(check);
    if (chain == NULL) {
        tool_finding_fail(check->findings, TOOL_USAGE, "AK chain",
                          "Put the AK certificate first, then each issuer",
                          "%s: no readable PEM certificate", path);
        return;
    }
    tool_check_permissions(check, "AK chain", path);
    tool_check_ak_chain(check, chain, path);
    check_tpm(check, sk_X509_value(chain, 0));
    (void)tool_check_evidence(check, attester,
                              check->configuration.attester.quoter.measured_log,
                              &evidence, &report);
    atls_report_clear(&report);
    tool_peer_evidence_clear(&evidence);
    sk_X509_pop_free(chain, X509_free);
}

/* A trial opens a device or connects to an address, with the rights of the
 * process. ak_auth is left out: a TPM that the process's user configured would
 * get it. */
const char *tool_check_why_not_tried(const struct check *check)
{
    const struct atls_attester_config *config = &check->configuration.attester;
    const char *tcti = config->socket == NULL ? config->quoter.tcti : NULL;

    if (!check->of_process || tcti == NULL)
        return NULL;
    if (!atls_link_is_plain(tcti))
        return "it would run a library, a program or a resolver that its "
               "configuration names";
    if (check->has_no_devices && strncmp(tcti, "device", 6) == 0)
        return "devices of a container are not opened from outside";
    if (config->quoter.ak_auth != NULL)
        return "its AK needs ak_auth, which is read by nobody but its quoter";
    return NULL;
}

enum atls_error tool_check_new_attester(const struct check *check,
                                        struct atls_reason *why,
                                        struct atls_attester **ret_attester)
{
    struct atls_attester_config config = check->configuration.attester;

    if (check->of_process)
        config.quoter.ak_auth = NULL;
    return atls_attester_new(&config, NULL, NULL, why, ret_attester);
}

void tool_check_attester(struct check *check)
{
    const struct atls_configuration *configuration = &check->configuration;
    struct atls_attester *attester = NULL;
    struct atls_reason why = {0};
    const char *not_tried;

    if (!configuration->has_attester
        || configuration->attester_broken.code != ATLS_OK)
        return;
    not_tried = tool_check_why_not_tried(check);
    if (not_tried != NULL) {
        tool_finding_note(
            check->findings, "TPM",
            "tcti:%s is not tried: %s; whether it works shows at the "
            "ports",
            configuration->attester.quoter.tcti, not_tried);
        return;
    }
    if (tool_check_new_attester(check, &why, &attester) != ATLS_OK) {
        tool_check_fail(check, "attester", NULL, &why);
        return;
    }
    if (configuration->attester.socket != NULL)
        tool_check_agent(check, attester);
    else
        check_quoter(check, attester);
    atls_attester_free(attester);
}
