/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "attester/measure.h"
#include "attester/quoter.h"
#include "attester/tpm.h"
#include "checks.h"
#include "evidence/codec.h"
#include "evidence/eventlog.h"
#include "tls/channel.h"
#include "verifier/certificate.h"

static int64_t monotonic_ms(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static const char *text_of(const struct atls_reason *why)
{
    return why->text[0] != '\0' ? why->text : atls_error_sentence(why->code);
}

/* A refusal of provider/ as a finding; what is no matter of configuration is
 * one of the TPM. */
static void fail_with(struct check *check, const char *what, const char *next,
                      const struct atls_reason *why)
{
    int status = tool_exit_status(why->code) == TOOL_UNAVAILABLE
                     ? TOOL_UNAVAILABLE
                     : TOOL_USAGE;

    finding_fail(check->findings, status, what, next, "%s", text_of(why));
}

/* ---- AK chain ---- */

/* The certificates of a PEM file, in order; NULL without any. */
static STACK_OF(X509) * read_chain(const char *path)
{
    STACK_OF(X509) *chain = sk_X509_new_null();
    FILE *file = fopen(path, "re");
    X509 *cert = NULL;

    while (chain != NULL && file != NULL
           && (cert = PEM_read_X509(file, NULL, NULL, NULL)) != NULL)
        if (sk_X509_push(chain, cert) <= 0) {
            X509_free(cert);
            break;
        }
    if (file != NULL)
        fclose(file);
    ERR_clear_error(); /* the end of a PEM file is an error, too */
    if (sk_X509_num(chain) > 0)
        return chain;
    sk_X509_free(chain);
    return NULL;
}

static void check_chain(struct check *check, STACK_OF(X509) * chain)
{
    const char *path = check->configuration.attester.quoter.ak_chain;
    int count = sk_X509_num(chain);

    for (int i = 0; i < count; i++) {
        X509 *cert = sk_X509_value(chain, i);
        char subject[ATLS_SUBJECT_MAX];
        char thing[ATLS_SUBJECT_MAX + 32];

        atls_certificate_subject(cert, subject, sizeof(subject));
        snprintf(thing, sizeof(thing), "%s %s",
                 i == 0 ? "AK certificate" : "intermediate", subject);
        check_expiry(check, "AK chain", thing,
                     check_time_of(X509_get0_notAfter(cert)),
                     "Renew it at its issuer; peers refuse the evidence after "
                     "that");
        if (i > 0
            && X509_check_issued(cert, sk_X509_value(chain, i - 1))
                   != X509_V_OK)
            finding_fail(check->findings, TOOL_USAGE, "AK chain",
                         "Put the AK certificate first, then each issuer",
                         "%s: certificate %d (%s) did not issue the one before "
                         "it",
                         path, i + 1, subject);
        if (X509_check_issued(cert, cert) == X509_V_OK)
            finding_fail(check->findings, TOOL_USAGE, "AK chain",
                         "Take it out: peers have the root in their policy",
                         "%s: certificate %d (%s) is a root, which does not "
                         "belong into the evidence",
                         path, i + 1, subject);
    }
    finding_ok(check->findings, "AK chain", "%s: %d certificate%s", path, count,
               count == 1 ? "" : "s");
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
        fail_with(check, "AK", "See the TPM's manual for the handle", &why);
        return;
    }
    cert_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &in_cert);
    if (cert_len <= 0 || (size_t)cert_len != tpm_len
        || memcmp(in_cert, in_tpm, tpm_len) != 0)
        finding_fail(
            check->findings, TOOL_USAGE, "AK",
            "Correct ak or ak_chain; a cleared TPM has new keys",
            "%s in the TPM is not the key of the first certificate in %s",
            check->configuration.attester.quoter.ak,
            check->configuration.attester.quoter.ak_chain);
    else
        finding_ok(check->findings, "AK", "%s is the key of the AK certificate",
                   check->configuration.attester.quoter.ak);
    OPENSSL_free(in_tpm);
    OPENSSL_free(in_cert);
}

static const char *missing_log_hint(size_t events)
{
    return events == 0 ? "Was it deleted? Reboot to begin both anew"
                       : "Something else extends this PCR, or the log lost "
                         "events; reboot to begin both anew";
}

/* Does the log replay to its PCR in every bank that the TPM has? */
static void check_log(struct check *check, struct atls_tpm *tpm)
{
    const struct atls_quoter_config *config = &check->configuration.attester.quoter;
    struct atls_measured_log log = {0};
    struct atls_pcr_selection banks;
    struct atls_pcr_values values;
    struct atls_reason why = {0};

    if (atls_measured_log_read(config->event_log, config->measure_pcr, &why,
                               &log)
            != ATLS_OK
        || atls_tpm_banks(tpm, config->measure_pcr, &why, &banks) != ATLS_OK
        || atls_tpm_read_pcrs(tpm, &banks, &why, &values) != ATLS_OK) {
        fail_with(check, "event log", "Peers that check components refuse",
                  &why);
        atls_measured_log_clear(&log);
        return;
    }
    for (size_t i = 0; i < values.count; i++) {
        const struct atls_hash *hash = atls_hash_by_alg(values.banks[i].alg);
        uint8_t value[ATLS_PCR_DIGEST_MAX];

        if (hash == NULL
            || atls_eventlog_replay(hash->alg, log.contents, log.count, value)
                   != ATLS_OK
            || memcmp(value, values.banks[i].value[config->measure_pcr],
                      hash->len)
                   == 0)
            continue;
        finding_fail(check->findings, TOOL_USAGE, "event log",
                     missing_log_hint(log.count),
                     "%s: what it says (events: %zu) does not replay to PCR %u "
                     "of bank %s",
                     config->event_log, log.count, config->measure_pcr,
                     hash->name);
        atls_measured_log_clear(&log);
        return;
    }
    finding_ok(check->findings, "event log",
               "%s replays to PCR %u (events: %zu)", config->event_log,
               config->measure_pcr, log.count);
    atls_measured_log_clear(&log);
}

static void check_tpm(struct check *check, const X509 *cert)
{
    const struct atls_quoter_config *config = &check->configuration.attester.quoter;
    struct atls_reason why = {0};
    struct atls_tpm *tpm = NULL;

    if (atls_tpm_open(config->tcti, &why, &tpm) != ATLS_OK) {
        fail_with(check, "TPM", NULL, &why);
        return;
    }
    atls_tpm_set_deadline(tpm, monotonic_ms() + (int64_t)config->timeout_ms,
                          -1);
    if (atls_tpm_load_ak(tpm, config->ak, NULL, 0, &why) != ATLS_OK) {
        fail_with(check, "AK", NULL, &why);
    } else {
        check_ak_public(check, tpm, cert);
        if (!atls_tpm_ak_has_no_da(tpm))
            finding_warn(
                check->findings, "AK", "Make it anew with the attribute noda",
                "%s lacks noDA: failed authorizations elsewhere lock it, "
                "and every proof with it",
                config->ak);
        check_log(check, tpm);
    }
    atls_tpm_close(tpm);
}

/* ---- evidence ---- */

/* What the machine would send, made by the same code and with the same rights:
 * finds a wrong ak_auth, a PCR bank that is not there, evidence too large. */
static void check_evidence(struct check *check, struct atls_quoter *quoter)
{
    static const char stand_in[] = "attest check: in place of a certificate";
    const struct atls_span cert = {(const uint8_t *)stand_in, sizeof(stand_in)};
    uint8_t channel[ATLS_CHANNEL_LEN];
    struct atls_reason why = {0};
    const struct atls_formats formats = atls_request_formats(true);
    struct atls_ticket *ticket = NULL;
    int64_t begin = monotonic_ms();
    uint8_t *cmw = NULL;
    size_t len = 0;

    if (RAND_bytes_ex(atls_libctx(), channel, sizeof(channel), 0) != 1)
        (void)atls_fail(&why, ATLS_E_CRYPTO, NULL);
    else if (atls_quoter_submit(quoter, ATLS_ROLE_SERVER, channel, cert,
                                &formats, &why, &ticket)
                 == ATLS_OK
             && atls_ticket_wait(ticket, &why, &cmw, &len) == ATLS_OK)
        finding_ok(check->findings, "evidence",
                   "%zu of at most %u octets, made in %lld ms", len,
                   ATLS_CMW_MAX, (long long)(monotonic_ms() - begin));
    if (cmw == NULL)
        fail_with(check, "evidence", "Attested handshakes fail like this",
                  &why);
    OPENSSL_free(cmw);
}

/* Whoever knows the authorization value can quote what he likes. */
static void check_auth_file(struct check *check)
{
    const char *auth = check->configuration.attester.quoter.ak_auth;
    const char *path = auth != NULL ? strchr(auth, ':') : NULL;
    struct stat st;

    if (path == NULL || stat(path + 1, &st) != 0)
        return; /* none, or the quoter has said what is wrong */
    if ((st.st_mode & S_IROTH) != 0)
        finding_fail(check->findings, TOOL_USAGE, "AK authorization",
                     "Take the right away: chmod o-r",
                     "%s can be read by everybody", path + 1);
}

void check_attester(struct check *check)
{
    const struct atls_configuration *configuration = &check->configuration;
    struct atls_quoter *quoter = NULL;
    STACK_OF(X509) *chain = NULL;
    struct atls_reason why = {0};

    if (!configuration->has_attester
        || configuration->attester_broken.code != ATLS_OK)
        return;
    if (atls_quoter_new(&configuration->attester.quoter, NULL, NULL, &why, &quoter)
        != ATLS_OK) {
        fail_with(check, "attester", NULL, &why);
        return;
    }
    check_auth_file(check);
    chain = read_chain(configuration->attester.quoter.ak_chain);
    if (chain == NULL) {
        finding_fail(check->findings, TOOL_USAGE, "AK chain",
                     "Put the AK certificate first, then each issuer",
                     "%s: no readable PEM certificate",
                     configuration->attester.quoter.ak_chain);
    } else {
        check_permissions(check, "AK chain", configuration->attester.quoter.ak_chain);
        check_chain(check, chain);
        check_tpm(check, sk_X509_value(chain, 0));
        check_evidence(check, quoter);
    }
    sk_X509_pop_free(chain, X509_free);
    atls_quoter_free(quoter);
}
