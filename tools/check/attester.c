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
#include "attester/tpm.h"
#include "attester/tpm_link.h"
#include "tools/check/checks.h"
#include "evidence/codec.h"
#include "tools/common/local_evidence.h"
#include "tools/common/input.h"
#include "verifier/certificate.h"

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
