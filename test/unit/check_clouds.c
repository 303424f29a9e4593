/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/verifier/trust.c with the AK certificates of real clouds, where their
 * files are at hand. */
#include <check.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/factory.h"
#include "lib/suite.h"
#include "lib/trial.h"
#include "verifier/trust.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct trial t;

static void setup(void)
{
    trial_begin(&t);
}

static void teardown(void)
{
    trial_end(&t);
}

struct cloud {
    struct atls_span chain[ATLS_CHAIN_MAX];
    uint8_t *ders[ATLS_CHAIN_MAX];
    size_t count;
    X509 *trust;
};

static X509 *read_certificate(const char *folder, const char *name)
{
    const char *srcdir = getenv("srcdir");
    char path[512];
    FILE *file;
    X509 *cert;

    (void)snprintf(path, sizeof(path), "%s/../shared/vectors/%s/%s",
                   srcdir != NULL ? srcdir : ".", folder, name);
    file = fopen(path, "re");
    if (file == NULL)
        return NULL;
    cert = strstr(name, ".pem") != NULL ? PEM_read_X509(file, NULL, NULL, NULL)
                                        : d2i_X509_fp(file, NULL);
    (void)fclose(file);
    ck_assert_ptr_nonnull(cert);
    return cert;
}

static void add_to_chain(struct cloud *cloud, X509 *cert)
{
    struct atls_span *at = &cloud->chain[cloud->count];

    factory_der(cert, &cloud->ders[cloud->count], &at->len);
    at->data = cloud->ders[cloud->count++];
    X509_free(cert);
}

/* AK certificate and intermediate (may be NULL) as chain, trust as anchor.
 * False where the vectors are not there: they are no part of the sources. */
static bool read_cloud(struct cloud *cloud, const char *folder, const char *ak,
                       const char *intermediate, const char *trust)
{
    X509 *cert = read_certificate(folder, ak);

    memset(cloud, 0, sizeof(*cloud));
    if (cert == NULL) {
        (void)fprintf(stderr, "# no vectors: %s was not tried\n", folder);
        return false;
    }
    add_to_chain(cloud, cert);
    if (intermediate != NULL)
        add_to_chain(cloud, read_certificate(folder, intermediate));
    cloud->trust = read_certificate(folder, trust);
    t.section = factory_section_new();
    factory_section_trust(t.section, cloud->trust);
    return true;
}

static void clear_cloud(struct cloud *cloud)
{
    X509_free(cloud->trust);
    for (size_t i = 0; i < cloud->count; i++)
        OPENSSL_free(cloud->ders[i]);
}

#define AZURE_2023 INT64_C(1699488000) /* 2023-11-09 */
#define AZURE_2025 INT64_C(1764979200) /* 2025-12-06 */

START_TEST(test_azure_confidential_vm)
{
    struct cloud cloud;

    if (!read_cloud(&cloud, "azure-cvm-2025-12-ca03", "ak_cert.pem",
                    "intermediates.pem", "root.pem"))
        return;
    factory_section_eku(t.section, "2.23.133.8.3");
    factory_section_machine(t.section, "*.ConfidentialVM.Azure.windows.net");
    (void)trial_chain(&t, cloud.chain, cloud.count, AZURE_2025);
    trial_chain_was_trusted(&t);
    (void)trial_chain(&t, cloud.chain, cloud.count,
                      AZURE_2025 + 400 * FACTORY_DAY);
    trial_chain_was_refused(&t, ATLS_E_CHAIN_EXPIRED,
                            "Azure.windows.net expired 2026-11-30");
    clear_cloud(&cloud);
}
END_TEST

START_TEST(test_azure_trusted_launch)
{
    struct cloud cloud;

    if (!read_cloud(&cloud, "azure-tl-2023-11-blindllama", "ak_cert.pem",
                    "intermediates.pem", "root.pem"))
        return;
    factory_section_eku(t.section, "2.23.133.8.3");
    factory_section_machine(t.section,
                            "5efaacb0f4d9.TrustedVM.Azure.Microsoft");
    (void)trial_chain(&t, cloud.chain, cloud.count, AZURE_2023);
    trial_chain_was_trusted(&t);
    /* What BlindLlama's proof is today. */
    (void)trial_chain(&t, cloud.chain, cloud.count, FACTORY_NOW);
    trial_chain_was_refused(
        &t, ATLS_E_CHAIN_EXPIRED,
        "CA certificate CN=Global Virtual TPM CA - 01 expired "
        "2025-11-03");
    (void)trial_chain(&t, cloud.chain, cloud.count, INT64_C(1735689600));
    trial_chain_was_refused(
        &t, ATLS_E_CHAIN_EXPIRED,
        "AK certificate CN=5efaacb0f4d9.TrustedVM.Azure.Microsoft expired "
        "2024-11-03; expected one that is valid on 2025-01-01");
    clear_cloud(&cloud);
}
END_TEST

/* AICert shipped this chain and never looked at it. */
START_TEST(test_E18_aicert_wrong_chain)
{
    struct cloud cloud;

    if (!read_cloud(&cloud, "azure-tl-2023-07-aicert-wrong-chain",
                    "ak_cert.pem", "intermediates.pem", "root.pem"))
        return;
    t.section->ak_eku_any = t.section->machines_any = true;
    (void)trial_chain(&t, cloud.chain, cloud.count, INT64_C(1691971200));
    trial_chain_was_refused(
        &t, ATLS_E_CHAIN_UNTRUSTED,
        "AK certificate CN=bb3f6fbbf18c.TrustedVM.Azure.Microsoft "
        "leads to no certificate");
    clear_cloud(&cloud);
}
END_TEST

START_TEST(test_google_shielded_vm)
{
    struct cloud cloud;
    char text[256];

    if (!read_cloud(&cloud, "gce-cos85-nonce9009-sha256", "ak_cert.der", NULL,
                    "intermediates.der"))
        return;
    factory_section_eku(t.section, "2.23.133.8.1");
    factory_section_machine(
        t.section,
        "google:google.com:wuale-gcp-testing/us-central1-a/cos-test");
    (void)trial_chain(&t, cloud.chain, cloud.count, FACTORY_NOW);
    trial_chain_was_trusted(&t);
    atls_trust_machine_names(cloud.chain[0], text, sizeof(text));
    ck_assert_msg(strncmp(text, "google:google.com:wuale-gcp-testing/", 36)
                      == 0,
                  "%s", text);
    clear_cloud(&cloud);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_azure_confidential_vm),
    ONCE(test_azure_trusted_launch),
    ONCE(test_E18_aicert_wrong_chain),
    ONCE(test_google_shielded_vm),
};

SUITE(.name = "clouds", .end = factory_free_keys,
      .cases = {CASE("clouds", tests, 120, setup, teardown)});
