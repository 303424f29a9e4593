/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TEST_TOOL_VERIFY_H
#define TEST_TOOL_VERIFY_H

#include <check.h>
#include <openssl/crypto.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "lib/factory.h"
#include "lib/scratch.h"
#include "lib/verb.h"

/* What the tests of "attest verify" share: the factory's quote as the files that
 * tpm2-tools would write, and a command line of which tests change words. */

static struct factory factory;
static struct verb_result result;

/* NULL: the option is left out. */
static struct {
    const char *quote;
    const char *signature;
    const char *pcrs;
    const char *extra_data;
    const char *chain;
    const char *chain2;
    const char *trust;
    const char *public;
    const char *at;
    const char *eku;
    const char *machines;
    const char *boot_log;
    const char *event_log;
    const char *ima_log;
} words;

#define NOW "2026-01-01T00:00:00Z" /* FACTORY_NOW */
#define EXTRA_DATA "00ff10"

static void setup(void)
{
    scratch_make();
    factory_init(&factory, 0);
    factory.has_extra_data = true;
    factory.extra_data_len = 3;
    memcpy(factory.extra_data, "\0\xff\x10", 3);
    memset(&result, 0, sizeof(result));
}

static void teardown(void)
{
    verb_result_clear(&result);
    factory_clear(&factory);
    factory_free_keys();
    scratch_remove();
}

/* As tpm2_pcrread prints them. */
static void write_pcrs(const char *name, const struct atls_pcr_values *values)
{
    FILE *file = fopen(scratch_path(name), "w");

    ck_assert_ptr_nonnull(file);
    for (size_t i = 0; i < values->count; i++) {
        const struct atls_hash *hash = atls_hash_by_alg(values->banks[i].alg);

        fprintf(file, "  %s:\n", hash->name);
        for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
            if ((values->banks[i].mask >> pcr & 1) == 0)
                continue;
            fprintf(file, "    %-2u: 0x", pcr);
            for (unsigned j = 0; j < hash->len; j++)
                fprintf(file, "%02X", values->banks[i].value[pcr][j]);
            fputc('\n', file);
        }
    }
    fclose(file);
}

static void write_public(const char *name, const EVP_PKEY *key)
{
    FILE *file = fopen(scratch_path(name), "w");

    ck_assert_ptr_nonnull(file);
    ck_assert(PEM_write_PUBKEY(file, key));
    fclose(file);
}

/* AK certificate first, then the intermediates, nearest to the root first. */
static void write_chain(const char *name)
{
    FILE *file = fopen(scratch_path(name), "w");

    ck_assert_ptr_nonnull(file);
    ck_assert(PEM_write_X509(file, factory.ak_cert));
    for (size_t i = 0; i < factory.intermediate_count; i++)
        ck_assert(PEM_write_X509(file, factory.intermediate_certs[i]));
    fclose(file);
}

static void write_span(const char *name, struct atls_span span)
{
    scratch_write(name, span.data, span.len, 0644);
}

/* The words for the key alone; use_chain() for the chain. */
__attribute__((unused)) static void write_parts(void)
{
    static char paths[8][512];
    const char *const names[] = {"quote.msg", "quote.sig", "pcrs.yaml",
                                 "chain.pem", "roots.pem", "ak.pem"};

    factory_make(&factory);
    write_span(names[0], factory.evidence.quote);
    write_span(names[1], factory.evidence.signature);
    write_pcrs(names[2], &factory.evidence.pcrs);
    write_chain(names[3]);
    factory_write_certificate(scratch_path(names[4]), factory.root_cert);
    write_public(names[5],
                 factory.signer != NULL ? factory.signer : factory.ak.key);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        snprintf(paths[i], sizeof(paths[i]), "%s", scratch_path(names[i]));
    memset(&words, 0, sizeof(words));
    words.quote = paths[0];
    words.signature = paths[1];
    words.pcrs = paths[2];
    words.extra_data = EXTRA_DATA;
    words.public = paths[5];
}

__attribute__((unused)) static void use_chain(void)
{
    static char chain[512];
    static char trust[512];

    snprintf(chain, sizeof(chain), "%s", scratch_path("chain.pem"));
    snprintf(trust, sizeof(trust), "%s", scratch_path("roots.pem"));
    words.public = NULL;
    words.chain = chain;
    words.trust = trust;
    words.at = NOW;
}

static void run_verify(bool json)
{
    const struct {
        const char *option;
        const char *value;
    } all[] = {
        {"--quote", words.quote},
        {"--signature", words.signature},
        {"--pcrs", words.pcrs},
        {"--extra-data", words.extra_data},
        {"--ak-chain", words.chain},
        {"--ak-chain", words.chain2},
        {"--trust", words.trust},
        {"--ak-public", words.public},
        {"--at", words.at},
        {"--eku", words.eku},
        {"--machines", words.machines},
        {"--boot-log", words.boot_log},
        {"--event-log", words.event_log},
        {"--ima-log", words.ima_log},
    };
    const char *arguments[2 * sizeof(all) / sizeof(all[0]) + 1] = {NULL};
    size_t count = 0;

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i].value == NULL)
            continue;
        arguments[count++] = all[i].option;
        arguments[count++] = all[i].value;
    }
    verb_result_clear(&result);
    verb_run(&tool_verb_verify, json, arguments, &result);
}

static void assert_trusted(void)
{
    run_verify(false);
    ck_assert_msg(result.status == TOOL_DONE, "status %d\n%s", result.status,
                  result.err);
    ck_assert_msg(strstr(result.out, "attest: the quote is trusted") != NULL,
                  "%s", result.out);
    ck_assert_str_eq(result.err, "");
}

/* One line (two where the usage is wrong), the status, and nothing shown. */
static void assert_fails(int status, const char *text)
{
    size_t lines = 0;

    run_verify(false);
    ck_assert_msg(result.status == status, "status %d, not %d\n%s%s",
                  result.status, status, result.out, result.err);
    ck_assert_msg(strstr(result.err, text) != NULL, "no '%s' in\n%s", text,
                  result.err);
    ck_assert_msg(strncmp(result.err, "attest verify: ", 15) == 0, "%s",
                  result.err);
    for (const char *p = result.err; *p != '\0'; p++)
        lines += *p == '\n';
    ck_assert_msg(lines == (strstr(result.err, "Try 'attest") != NULL ? 2 : 1),
                  "%s", result.err);
    ck_assert_str_eq(result.out, "");
}

#endif
