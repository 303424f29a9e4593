/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/base/pem.c: certificates in PEM text. */
#include "base/pem.h"

#include <check.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "lib/factory.h"
#include "lib/suite.h"
#include "unit/prompt.h"

static char pem[8192]; /* of one certificate */

static void setup(void)
{
    const struct factory_cert wanted = {
        .cn = "pem test",
        .key = factory_key(FACTORY_P256, 2),
        .not_before = 0,
        .not_after = FACTORY_DAY,
        .digest = "SHA256",
        .extensions = FACTORY_CA_EXTENSIONS,
    };
    X509 *certificate = factory_certificate(&wanted);
    BIO *out = BIO_new(BIO_s_mem());

    ck_assert_int_eq(PEM_write_bio_X509(out, certificate), 1);
    pem[BIO_read(out, pem, sizeof(pem) - 1)] = '\0';
    BIO_free(out);
    X509_free(certificate);
    watch_prompts();
}

/* Read all of text: how many certificates, and how it ended. */
static int read_all(const char *text, enum atls_error *ret_end)
{
    BIO *bio = BIO_new_mem_buf(text, -1);
    X509 *certificate;
    int count = -1;

    do {
        certificate = NULL;
        *ret_end = atls_pem_read_certificate(bio, &certificate);
        X509_free(certificate);
        count++;
    } while (certificate != NULL);
    ERR_clear_error();
    BIO_free(bio);
    ck_assert(!was_asked);
    return count;
}

static const struct {
    const char *before, *after;
    bool has_certificate;
    enum atls_error end;
    int count;
} texts[] = {
    {"", "", false, ATLS_OK, 0},
    {"remarks\n", "", false, ATLS_OK, 0},
    {"", "", true, ATLS_OK, 1},
    {"remarks\n", "more\n", true, ATLS_OK, 1},
    {"-----BEGIN OTHER-----\nAAAA\n-----END OTHER-----\n", "", true, ATLS_OK,
     1},
    {"", "-----BEGIN CERTIFICATE-----\n", true, ATLS_E_MALFORMED, 1},
    {"", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", true,
     ATLS_E_MALFORMED, 1},
    {"", ENCRYPTED_PEM("CERTIFICATE", "\n"), true, ATLS_E_MALFORMED, 1},
};

START_TEST(test_texts)
{
    enum atls_error end;
    char text[sizeof(pem) + 512];

    snprintf(text, sizeof(text), "%s%s%s", texts[_i].before,
             texts[_i].has_certificate ? pem : "", texts[_i].after);
    ck_assert_int_eq(read_all(text, &end), texts[_i].count);
    ck_assert_int_eq(end, texts[_i].end);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_texts, 0, (int)(sizeof(texts) / sizeof(texts[0]))),
};

SUITE(.name = "pem",
      .cases = {CASE("pem", tests, 0, setup, factory_free_keys)});
