/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <openssl/conf.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/provider.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "attester/quoter.h"
#include "lib/quotercase.h"
#include "lib/suite.h"

/*
 * T14: a program whose algorithms come from a TPM by preference. tpm2-tss hashes
 * with OpenSSL while it is in the middle of a command; in the program's default
 * library context that would be a command of tpm2-openssl's to the same TPM, which
 * may hash in turn (tpm2-tss#2150, #2721). Its sessions with HMAC and encryption
 * still do that in 3.2.1, so we have none: AKs are authorised by password.
 */

static atomic_uint commands;

static enum tpmproxy_action count_command(void *arg, uint32_t code,
                                          uint8_t *response, size_t *ret_len)
{
    (void)arg;
    (void)code;
    (void)response;
    (void)ret_len;
    atomic_fetch_add(&commands, 1);
    return TPMPROXY_FORWARD;
}

/* tpm2-openssl first, preferred, and on a way to the TPM that is watched: a
 * device, as tpm2-tss wants swtpm's control port as well. */
static struct tpmproxy *prefer_tpm2(void)
{
    static const struct tpmproxy_hooks hooks = {.before = count_command};
    struct tpmproxy *watched =
        tpmproxy_start_device(swtpm_port(quotercase.swtpm), &hooks);
    char path[600];
    FILE *out;

    ck_assert_ptr_nonnull(watched);
    ck_assert_int_eq(setenv("TPM2OPENSSL_TCTI", tpmproxy_tcti(watched), 1), 0);
    snprintf(path, sizeof(path), "%s/openssl.cnf",
             swtpm_folder(quotercase.swtpm));
    out = fopen(path, "we");
    ck_assert_ptr_nonnull(out);
    fputs("openssl_conf = init\n"
          "[init]\nproviders = providers\nalg_section = algorithms\n"
          "[providers]\ntpm2 = active\ndefault = active\n"
          "[active]\nactivate = 1\n"
          "[algorithms]\ndefault_properties = ?provider=tpm2\n",
          out);
    ck_assert_int_eq(fclose(out), 0);
    ck_assert_int_eq(OSSL_LIB_CTX_load_config(NULL, path), 1);
    ck_assert(OSSL_PROVIDER_available(NULL, "tpm2"));
    return watched;
}

/* The trap is set: who hashes in the default context asks the TPM. From 1.2 on
 * tpm2-openssl is built without digests, and there is none to set. */
static void expect_commands_of_a_hash(void)
{
    EVP_MD *md = EVP_MD_fetch(NULL, "SHA2-256", NULL);
    unsigned before = atomic_load(&commands);
    unsigned char digest[EVP_MAX_MD_SIZE];

    ck_assert_ptr_nonnull(md);
    if (strcmp(OSSL_PROVIDER_get0_name(EVP_MD_get0_provider(md)), "tpm2")
        != 0) {
        printf("# this tpm2-openssl has no digests: hashes are not watched\n");
        EVP_MD_free(md);
        return;
    }
    ck_assert_int_eq(EVP_Digest("x", 1, digest, NULL, md, NULL), 1);
    ck_assert_uint_gt(atomic_load(&commands), before);
    EVP_MD_free(md);
}

START_TEST(test_T14_quotes_beside_a_tpm_provider)
{
    struct tpmproxy *watched = prefer_tpm2();
    unsigned before;

    expect_commands_of_a_hash();
    before = atomic_load(&commands);
    for (unsigned i = 0; i < 10; i++) { /* each with an AK to load */
        uint8_t *cmw = NULL;
        size_t len = 0;

        quotercase_start();
        quotercase_expect(&quotercase.why,
                          quotercase_obtain(i, &quotercase.why, &cmw, &len),
                          ATLS_OK, "");
        atls_quoter_free(quotercase.quoter);
        quotercase.quoter = NULL;
        ck_assert_uint_eq(atomic_load(&commands), before);
        ck_assert(quotercase_is_valid(i, cmw, len, NULL));
        before = atomic_load(&commands); /* that read a certificate */
    }
    expect_commands_of_a_hash();
    /* tpm2-openssl lets go of the TPM while its way there still stands. */
    OPENSSL_cleanup();
    tpmproxy_stop(watched);
}
END_TEST

static const char *skip(void)
{
    char path[600];

    snprintf(path, sizeof(path), "%s/tpm2.so",
             OPENSSL_info(OPENSSL_INFO_MODULES_DIR));
    if (access(path, R_OK) != 0)
        return "tpm2-openssl is missing";
    return swtpm_missing();
}

static const struct suite_test tests[] = {
    ONCE(test_T14_quotes_beside_a_tpm_provider),
};

SUITE(.name = "tpm_providers", .skip = skip,
      .cases = {CASE("with a swtpm", tests, 60, quotercase_set_up,
                     quotercase_tear_down)});
