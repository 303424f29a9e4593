/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/factory.h"

#include <openssl/crypto.h>
#include <openssl/x509.h>
#include <string.h>
#include <tss2/tss2_mu.h>

#include "base/digest.h"
#include "evidence/merkle.h"
#include "lib/factory_internal.h"
#include "lib/rfc9162.h"

/* Numbers of keys; machine N has AK_KEY + N. */
#define ROOT_KEY 0u
#define AUTHORITY_KEY 1u
#define LEAF_KEY 2u
#define AK_KEY 4u
#define MACHINES 4u
#define INTERMEDIATE_KEY 8u

/* Where magic and type stand in a TPMS_ATTEST. */
#define TYPE_OFFSET 4u

static const uint16_t banks[] = {TPM2_ALG_SHA1, TPM2_ALG_SHA256,
                                 TPM2_ALG_SHA384, TPM2_ALG_SHA512};

#define BANK_COUNT (sizeof(banks) / sizeof(banks[0]))

/* --- the plan -------------------------------------------------------------- */

static struct factory_cert cert_plan(const char *cn, EVP_PKEY *key,
                                     const char *extensions)
{
    return (struct factory_cert){
        .cn = cn,
        .key = key,
        .not_before = FACTORY_NOW - 30 * FACTORY_DAY,
        .not_after = FACTORY_NOW + 300 * FACTORY_DAY,
        .digest = "SHA256",
        .extensions = extensions,
    };
}

static void plan_certificates(struct factory *f, unsigned machine)
{
    static const char *const names[MACHINES] = {
        "machine0.example", "machine1.example", "machine2.example",
        "machine3.example"};
    static const char *const extensions[MACHINES] = {
        FACTORY_AK_EXTENSIONS "subjectAltName=DNS:machine0.example",
        FACTORY_AK_EXTENSIONS "subjectAltName=DNS:machine1.example",
        FACTORY_AK_EXTENSIONS "subjectAltName=DNS:machine2.example",
        FACTORY_AK_EXTENSIONS "subjectAltName=DNS:machine3.example"};
    static const char *const issuers[FACTORY_INTERMEDIATES_MAX] = {
        "AK issuer 1", "AK issuer 2", "AK issuer 3",
        "AK issuer 4", "AK issuer 5", "AK issuer 6",
        "AK issuer 7", "AK issuer 8", "AK issuer 9"};

    factory_need(machine < MACHINES);
    f->root = cert_plan("AK root", factory_key(FACTORY_P256, ROOT_KEY),
                        FACTORY_CA_EXTENSIONS);
    f->intermediate_count = 1;
    for (unsigned i = 0; i < FACTORY_INTERMEDIATES_MAX; i++) {
        unsigned number =
            INTERMEDIATE_KEY + i % (FACTORY_KEYS - INTERMEDIATE_KEY);

        f->intermediates[i] =
            cert_plan(issuers[i], factory_key(FACTORY_P256, number),
                      FACTORY_CA_EXTENSIONS);
    }
    f->ak =
        cert_plan(names[machine], factory_key(FACTORY_P256, AK_KEY + machine),
                  extensions[machine]);
    f->authority =
        cert_plan("Site CA", factory_key(FACTORY_P256, AUTHORITY_KEY),
                  FACTORY_CA_EXTENSIONS);
    f->leaf =
        cert_plan("www.example", factory_key(FACTORY_P256, LEAF_KEY),
                  FACTORY_AK_BASE_EXTENSIONS "subjectAltName=DNS:www.example");
}

uint8_t *factory_pcr(struct factory *f, uint16_t alg, unsigned pcr)
{
    size_t bank = 0;

    while (bank < f->values.count && f->values.banks[bank].alg != alg)
        bank++;
    factory_need(bank < f->values.count && pcr < ATLS_PCR_COUNT);
    return f->values.banks[bank].value[pcr];
}

static void plan_values(struct factory *f)
{
    f->values.count = BANK_COUNT;
    for (size_t i = 0; i < BANK_COUNT; i++) {
        const struct atls_hash *hash = atls_hash_by_alg(banks[i]);

        f->values.banks[i].alg = banks[i];
        f->values.banks[i].mask = (UINT32_C(1) << ATLS_PCR_COUNT) - 1;
        for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
            const uint8_t octet = (uint8_t)pcr;
            const struct atls_span part = {&octet, 1};

            factory_need(atls_hash_parts(hash->ossl, &part, 1,
                                         f->values.banks[i].value[pcr], NULL)
                         == ATLS_OK);
        }
    }
    factory_need(
        atls_pcr_selection_parse("sha256:0-9,11-15", NULL, &f->selection)
        == ATLS_OK);
    f->replays = true;
    f->boot_replays = true;
}

const char *factory_component(const char *name, char digit)
{
    static char content[ATLS_EVENT_CONTENT_MAX];
    char hex[2 * ATLS_SHA256_LEN + 1] = {0};

    memset(hex, digit, sizeof(hex) - 1);
    factory_need((size_t)snprintf(content, sizeof(content),
                                  "component %s sha256:%s", name, hex)
                 < sizeof(content));
    return content;
}

void factory_log(struct factory *f, const char *content)
{
    factory_need(f->log_count < FACTORY_LOG_MAX
                 && strlen(content) < sizeof(f->log[0]));
    strcpy(f->log[f->log_count++], content);
}

void factory_init(struct factory *f, unsigned machine)
{
    memset(f, 0, sizeof(*f));
    plan_certificates(f, machine);
    plan_values(f);
    f->has_log = true;
    f->measure_pcr = ATLS_MEASURE_PCR_DEFAULT;
    factory_log(f, factory_component("model-weights", 'a'));
    factory_log(f, factory_component("server-code", 'b'));
    factory_log(f, "%");
    f->role = ATLS_ROLE_SERVER;
    for (unsigned i = 0; i < ATLS_CHANNEL_LEN; i++)
        f->channel[i] = (uint8_t)(0xc0 + i);
    f->batch_size = 1;
    f->epoch_time = FACTORY_NOW;
    f->magic = TPM2_GENERATED_VALUE;
    f->type = TPM2_ST_ATTEST_QUOTE;
    f->clock = 61907839;
    f->reset_count = 2;
    f->firmware_version = UINT64_C(0x2020031200120003);
    f->hash = TPM2_ALG_SHA256;
}

/* --- certificates ---------------------------------------------------------- */

static void clear_certificates(struct factory *f)
{
    X509_free(f->root_cert);
    X509_free(f->ak_cert);
    X509_free(f->authority_cert);
    X509_free(f->leaf_cert);
    f->root_cert = f->ak_cert = f->authority_cert = f->leaf_cert = NULL;
    for (size_t i = 0; i < FACTORY_INTERMEDIATES_MAX; i++) {
        X509_free(f->intermediate_certs[i]);
        f->intermediate_certs[i] = NULL;
    }
    for (size_t i = 0; i < ATLS_CHAIN_MAX; i++) {
        OPENSSL_free(f->chain_der[i]);
        f->chain_der[i] = NULL;
    }
    OPENSSL_free(f->leaf_octets);
    OPENSSL_free(f->authority_octets);
    f->leaf_octets = f->authority_octets = NULL;
}

/* A plan that names issuer or key keeps it. */
static X509 *issued(struct factory_cert wanted, X509 *issuer,
                    EVP_PKEY *issuer_key)
{
    if (wanted.issuer == NULL)
        wanted.issuer = issuer;
    if (wanted.issuer_key == NULL)
        wanted.issuer_key = issuer_key;
    return factory_certificate(&wanted);
}

static struct atls_span kept_der(X509 *cert, uint8_t **owner)
{
    struct atls_span der = {NULL, 0};

    factory_der(cert, owner, &der.len);
    der.data = *owner;
    return der;
}

/* Of a chain that is too long to send, the end next to the AK is sent. */
static void make_chain(struct factory *f)
{
    X509 *issuer = f->root_cert;
    EVP_PKEY *issuer_key = f->root.key;

    factory_need(f->intermediate_count <= FACTORY_INTERMEDIATES_MAX);
    for (size_t i = 0; i < f->intermediate_count; i++) {
        f->intermediate_certs[i] =
            issued(f->intermediates[i], issuer, issuer_key);
        issuer = f->intermediate_certs[i];
        issuer_key = f->intermediates[i].key;
    }
    f->ak_cert = issued(f->ak, issuer, issuer_key);
    f->evidence.chain[0] = kept_der(f->ak_cert, &f->chain_der[0]);
    f->evidence.chain_count = 1;
    for (size_t i = f->intermediate_count;
         i > 0 && f->evidence.chain_count < ATLS_CHAIN_MAX; i--) {
        size_t at = f->evidence.chain_count++;

        f->evidence.chain[at] =
            kept_der(f->intermediate_certs[i - 1], &f->chain_der[at]);
    }
}

static void make_certificates(struct factory *f)
{
    clear_certificates(f);
    memset(&f->evidence, 0, sizeof(f->evidence));
    f->root_cert = factory_certificate(&f->root);
    make_chain(f);
    f->authority_cert = factory_certificate(&f->authority);
    f->leaf_cert = issued(f->leaf, f->authority_cert, f->authority.key);
    f->authority_der = kept_der(f->authority_cert, &f->authority_octets);
    f->cert_der = kept_der(f->leaf_cert, &f->leaf_octets);
    if (f->other_cert.len > 0)
        f->cert_der = f->other_cert;
}

/* --- log and PCRs ---------------------------------------------------------- */

static size_t format_event(enum atls_event_kind kind, struct atls_span der,
                           char ret[ATLS_EVENT_CONTENT_MAX])
{
    struct atls_event event = {.kind = kind};

    factory_need(atls_sha256(der.data, der.len, event.digest) == ATLS_OK);
    return atls_event_format(&event, ret);
}

static void make_log(struct factory *f)
{
    for (size_t i = 0; i < f->log_count; i++) {
        char *octets = f->log_octets[i];
        size_t len = strlen(f->log[i]);

        if (strcmp(f->log[i], "%") == 0)
            len = format_event(ATLS_EVENT_CERTIFICATE, f->cert_der, octets);
        else if (strcmp(f->log[i], "&") == 0)
            len = format_event(ATLS_EVENT_AUTHORITY, f->authority_der, octets);
        else
            memcpy(octets, f->log[i], len);
        f->log_spans[i] = (struct atls_span){(const uint8_t *)octets, len};
    }
    f->evidence.has_log = f->has_log;
    f->evidence.log_pcr = f->measure_pcr;
    f->evidence.log_count = f->has_log ? f->log_count : 0;
    f->evidence.log = f->has_log ? f->log_spans : NULL;
}

/* The values of the plan that are selected, in rising order of the banks, as
 * the encoding wants them. */
static void make_values(struct factory *f)
{
    struct atls_pcr_values *values = &f->evidence.pcrs;

    memset(values, 0, sizeof(*values));
    for (size_t i = 0; i < BANK_COUNT; i++) {
        const struct atls_hash *hash = atls_hash_by_alg(banks[i]);
        uint32_t mask = 0;

        if (f->replays)
            factory_need(
                atls_eventlog_replay(banks[i], f->log_spans, f->log_count,
                                     factory_pcr(f, banks[i], f->measure_pcr))
                == ATLS_OK);
        for (size_t j = 0; j < f->selection.count; j++) {
            if (f->selection.banks[j].alg == banks[i])
                mask = f->selection.banks[j].mask;
        }
        if (mask == 0)
            continue;
        values->banks[values->count].alg = banks[i];
        values->banks[values->count].mask = mask;
        for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
            if (mask >> pcr & 1)
                memcpy(values->banks[values->count].value[pcr],
                       factory_pcr(f, banks[i], pcr), hash->len);
        }
        values->count++;
    }
}

/* --- binding --------------------------------------------------------------- */

static void make_batch(struct factory *f,
                       const uint8_t binding[ATLS_SHA256_LEN],
                       uint8_t ret_root[ATLS_SHA256_LEN])
{
    uint8_t(*leaves)[ATLS_SHA256_LEN] =
        OPENSSL_zalloc(f->batch_size * ATLS_SHA256_LEN);

    factory_need(leaves != NULL);
    for (size_t i = 0; i < f->batch_size; i++)
        factory_need(atls_sha256(&i, sizeof(i), leaves[i]) == ATLS_OK);
    factory_need(atls_merkle_leaf(binding, leaves[f->batch_index]) == ATLS_OK);
    rfc9162_prove((const uint8_t(*)[ATLS_SHA256_LEN])leaves, f->batch_size,
                  f->batch_index, &f->evidence.merkle);
    rfc9162_root((const uint8_t(*)[ATLS_SHA256_LEN])leaves, f->batch_size,
                 ret_root);
    OPENSSL_free(leaves);
}

static void make_extra_data(struct factory *f, TPM2B_DATA *ret)
{
    uint8_t binding[ATLS_SHA256_LEN];

    f->evidence.is_epoch = f->is_epoch;
    f->evidence.epoch_time = f->epoch_time;
    ret->size = ATLS_SHA256_LEN;
    if (f->is_epoch) {
        factory_need(
            atls_binding_epoch(f->role, f->epoch_time, f->cert_der, ret->buffer)
            == ATLS_OK);
    } else {
        factory_need(
            atls_binding_live(f->role, f->channel, f->cert_der, binding)
            == ATLS_OK);
        make_batch(f, binding, ret->buffer);
    }
    if (f->has_extra_data) {
        ret->size = (UINT16)f->extra_data_len;
        memcpy(ret->buffer, f->extra_data, f->extra_data_len);
    }
}

/* --- quote ----------------------------------------------------------------- */

static void make_quote_body(struct factory *f, TPMS_QUOTE_INFO *ret)
{
    size_t len = 0;

    ret->pcrSelect.count = (UINT32)f->selection.count;
    for (size_t i = 0; i < f->selection.count; i++) {
        TPMS_PCR_SELECTION *bank = &ret->pcrSelect.pcrSelections[i];

        bank->hash = f->selection.banks[i].alg;
        bank->sizeofSelect = ATLS_PCR_COUNT / 8;
        for (unsigned j = 0; j < ATLS_PCR_COUNT / 8; j++)
            bank->pcrSelect[j] =
                (uint8_t)(f->selection.banks[i].mask >> (8 * j));
    }
    factory_need(atls_pcr_digest(f->hash, &f->selection, &f->evidence.pcrs,
                                 ret->pcrDigest.buffer, &len)
                 == ATLS_OK);
    ret->pcrDigest.size = (UINT16)len;
}

static void make_attest(struct factory *f)
{
    /* A signer's name is the hash algorithm and a digest; nothing reads it. */
    TPMS_ATTEST attest = {
        .magic = TPM2_GENERATED_VALUE,
        .type = f->type,
        .qualifiedSigner = {.size = 2 + ATLS_SHA256_LEN, .name = {0, 0x0b}},
        .clockInfo = {.clock = f->clock,
                      .resetCount = f->reset_count,
                      .safe = 1},
        .firmwareVersion = f->firmware_version,
    };
    size_t len = 0;

    make_extra_data(f, &attest.extraData);
    if (f->type == TPM2_ST_ATTEST_QUOTE)
        make_quote_body(f, &attest.attested.quote);
    factory_need(
        Tss2_MU_TPMS_ATTEST_Marshal(&attest, f->attest, sizeof(f->attest), &len)
        == TSS2_RC_SUCCESS);
    for (unsigned i = 0; i < TYPE_OFFSET; i++)
        f->attest[i] = (uint8_t)(f->magic >> (24 - 8 * i));
    if (f->edit_attest != NULL)
        f->edit_attest(f->attest, &len);
    factory_sign(f, len);
}

/* --- all together ---------------------------------------------------------- */

void factory_quote(struct factory *f)
{
    make_log(f);
    factory_make_boot_log(f);
    make_values(f);
    make_attest(f);
}

void factory_make(struct factory *f)
{
    make_certificates(f);
    factory_quote(f);
}

void factory_encode(struct factory *f)
{
    struct atls_reason why = {0};

    OPENSSL_free(f->cmw);
    f->cmw = NULL;
    if (atls_evidence_encode(&f->evidence, &why, &f->cmw, &f->cmw_len)
        != ATLS_OK)
        (void)fprintf(stderr, "factory: %s\n", why.text);
    factory_need(f->cmw != NULL);
}

void factory_clear(struct factory *f)
{
    clear_certificates(f);
    OPENSSL_free(f->cmw);
    memset(f, 0, sizeof(*f));
}
