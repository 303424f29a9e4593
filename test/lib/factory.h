/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TEST_FACTORY_H
#define ATLS_TEST_FACTORY_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "evidence/binding.h"
#include "evidence/codec.h"
#include "evidence/eventlog.h"
#include "evidence/pcr.h"
#include "base/span.h"
#include "verifier/policy.h"

/*
 * Evidence made of software keys: no TPM, no files. What the factory makes by
 * default is complete and valid; tests change one thing of it, so that the check
 * they aim at is the only one that can fail:
 *
 *     struct factory f;
 *     factory_init(&f, 0);             a valid plan for machine 0
 *     f.type = TPM2_ST_ATTEST_CERTIFY; change the plan ...
 *     factory_make(&f);                certificates, quote, signature
 *     f.evidence.has_log = false;      ... or the parts ...
 *     factory_encode(&f);              ... or the octets in f.cmw
 *     section = factory_section_for(&f);
 *     ...
 *     factory_section_free(section);
 *     factory_clear(&f);
 *
 * Whatever fails inside the factory is a broken test: it prints where and
 * abort()s. Not thread-safe.
 */

/* The moment for which everything is made: 2026-01-01T00:00:00Z. */
#define FACTORY_NOW INT64_C(1767225600)
#define FACTORY_DAY INT64_C(86400)

/* --- keys ------------------------------------------------------------------ */

enum factory_key_kind {
    FACTORY_P256,
    FACTORY_P384,
    FACTORY_P521,
    FACTORY_K256, /* secp256k1, which no TPM signs with */
    FACTORY_RSA1024,
    FACTORY_RSA2048,
    FACTORY_RSA3072,
    FACTORY_ED25519,
    FACTORY_KEY_KINDS
};
#define FACTORY_KEYS 16u

/* The key of that number, 0..FACTORY_KEYS-1, of that kind: made on first use,
 * the same one for the life of the process, and the factory's. */
EVP_PKEY *factory_key(enum factory_key_kind kind, unsigned number);

/* Free all keys, for leak checkers. */
void factory_free_keys(void);

/* --- certificates ---------------------------------------------------------- */

/* Extensions that make a certificate fit its place; lines NAME=VALUE as in
 * x509v3_config(5), NAME may be an OID in digits (VALUE then DER:<hex>). */
#define FACTORY_CA_EXTENSIONS                 \
    "basicConstraints=critical,CA:TRUE\n"     \
    "keyUsage=critical,keyCertSign,cRLSign\n" \
    "subjectKeyIdentifier=hash\n"             \
    "authorityKeyIdentifier=keyid\n"
#define FACTORY_AK_BASE_EXTENSIONS         \
    "basicConstraints=critical,CA:FALSE\n" \
    "subjectKeyIdentifier=hash\n"          \
    "authorityKeyIdentifier=keyid:always\n"
#define FACTORY_AK_USAGE "keyUsage=critical,digitalSignature\n"
#define FACTORY_AK_EKU "extendedKeyUsage=2.23.133.8.3\n"
#define FACTORY_AK_EXTENSIONS \
    FACTORY_AK_BASE_EXTENSIONS FACTORY_AK_USAGE FACTORY_AK_EKU

struct factory_cert {
    const char *cn; /* NULL: empty subject */
    EVP_PKEY *key;
    X509 *issuer; /* NULL: self-signed */
    EVP_PKEY *issuer_key;
    const char *issuer_cn; /* NULL: the issuer's subject */
    int64_t not_before;
    int64_t not_after;
    const char *digest; /* of the signature: "SHA256" */
    const char *extensions;
};

/* X509_free() it. */
X509 *factory_certificate(const struct factory_cert *wanted);

/* Octets of a certificate in DER; OPENSSL_free(data). */
void factory_der(X509 *cert, uint8_t **ret_data, size_t *ret_len);

/* PEM files, for what reads files. Keys are written unencrypted. */
void factory_write_certificate(const char *path, X509 *cert);
void factory_write_key(const char *path, EVP_PKEY *key);

/* --- evidence -------------------------------------------------------------- */

#define FACTORY_LOG_MAX 16u
#define FACTORY_BOOT_MAX 8u
#define FACTORY_BOOT_DATA_MAX 64u
#define FACTORY_INTERMEDIATES_MAX (ATLS_CHAIN_MAX + 1u)

struct factory {
    /* The plan; what factory_init() sets is in brackets. */

    /* AK chain: an issuer or issuer_key that is NULL is the one above. */
    struct factory_cert root;
    size_t intermediate_count; /* [1] */
    /* nearest to the root first */
    struct factory_cert intermediates[FACTORY_INTERMEDIATES_MAX];
    struct factory_cert ak; /* [CN and dNSName "machine<N>.example", P-256] */

    /* TLS certificate, and the CA that issues it. */
    struct factory_cert authority;
    struct factory_cert leaf;
    /* [len 0] another TLS certificate than leaf; borrowed */
    struct atls_span other_cert;

    /* What the log says; contents are text [two components, certificate]. "%"
     * alone as content stands for the certificate's event, "&" for the
     * authority's. */
    bool has_log;
    unsigned measure_pcr; /* [15] */
    size_t log_count;
    char log[FACTORY_LOG_MAX][ATLS_EVENT_CONTENT_MAX];

    bool is_short; /* [false] format 3 */

    /* What the boot log says [none: format 1]. An event's digests are the
     * hashes of its data. */
    bool has_boot_log;
    uint8_t boot_locality; /* [0] */
    size_t boot_count;
    struct {
        unsigned pcr;
        uint32_t type;
        char data[FACTORY_BOOT_DATA_MAX];
    } boot[FACTORY_BOOT_MAX];
    bool boot_replays; /* [true] PCRs of its events get their values */

    /* PCRs: values of all banks, of which the selection is quoted and travels
     * [sha256:0-9,11-15]. replays [true]: measure_pcr gets the log's value. */
    struct atls_pcr_selection selection;
    struct atls_pcr_values values;
    bool replays;

    /* Binding. */
    enum atls_role role;               /* [server] */
    uint8_t channel[ATLS_CHANNEL_LEN]; /* [0xc0, 0xc1, ...] */
    size_t batch_size;                 /* [1] */
    size_t batch_index;                /* [0] */
    bool is_epoch;                     /* [false] */
    uint64_t epoch_time;               /* [FACTORY_NOW] */
    bool has_extra_data; /* [false] extra_data instead of the right one */
    uint8_t extra_data[64];
    size_t extra_data_len;

    /* Quote. */
    uint32_t magic; /* [TPM2_GENERATED_VALUE] */
    uint16_t type;  /* [TPM2_ST_ATTEST_QUOTE] bodies of other types are empty */
    uint64_t clock;
    uint32_t reset_count;
    uint64_t firmware_version;
    /* [NULL] change the marshalled TPMS_ATTEST before it is signed; there is
     * room for ATLS_QUOTE_MAX octets */
    void (*edit_attest)(uint8_t *attest, size_t *len);

    /* Signature: the scheme is what TPMT_SIGNATURE says, also when the key
     * cannot sign like that. */
    EVP_PKEY *signer; /* [NULL: ak.key] */
    uint16_t scheme;  /* [0: RSASSA or ECDSA, as fits the signer] */
    uint16_t hash;    /* [TPM2_ALG_SHA256] */

    /* The product. */
    X509 *root_cert;
    X509 *intermediate_certs[FACTORY_INTERMEDIATES_MAX];
    X509 *ak_cert;
    X509 *authority_cert;
    X509 *leaf_cert;
    struct atls_span cert_der; /* of the TLS certificate */
    struct atls_span
        authority_der; /* set evidence.authority to it to send it */
    struct atls_evidence evidence;
    uint8_t *cmw; /* factory_encode() */
    size_t cmw_len;

    /* What the spans above point into. */
    uint8_t *chain_der[ATLS_CHAIN_MAX];
    uint8_t *leaf_octets;
    uint8_t *authority_octets;
    uint8_t attest[ATLS_QUOTE_MAX];
    uint8_t signature[ATLS_SIGNATURE_MAX];
    char log_octets[FACTORY_LOG_MAX][ATLS_EVENT_CONTENT_MAX];
    struct atls_span log_spans[FACTORY_LOG_MAX];
    struct atls_boot_event boot_events[FACTORY_BOOT_MAX];
    uint8_t boot_digests[FACTORY_BOOT_MAX][ATLS_BANKS_MAX][ATLS_PCR_DIGEST_MAX];
};

/* A valid plan. Machines of other numbers, 0..3, have other keys and names and
 * the same root. */
void factory_init(struct factory *f, unsigned machine);

/* Certificates and quote; replaces an earlier product. */
void factory_make(struct factory *f);

/* The quote alone, with the certificates there are: for another channel, log or
 * PCR values under the same chain. */
void factory_quote(struct factory *f);

/* Sign f->attest again, of len octets, after a test changed it. */
void factory_sign(struct factory *f, size_t len);

/* f->evidence to f->cmw. */
void factory_encode(struct factory *f);

void factory_clear(struct factory *f);

/* The value of one PCR in the plan, to be changed. */
uint8_t *factory_pcr(struct factory *f, uint16_t alg, unsigned pcr);

/* Add an event to the plan's log. */
void factory_log(struct factory *f, const char *content);

/* Add an event to the plan's boot log, which makes it evidence of format 2. */
void factory_boot(struct factory *f, unsigned pcr, uint32_t type,
                  const char *data);

/* The boot log that the plan describes, with digests of all banks; it points
 * into f. */
struct atls_boot_log factory_boot_log(struct factory *f);

/* "component <name> sha256:<64 times digit>", as factory_log() wants it. */
const char *factory_component(const char *name, char digit);

/* --- policy sections ------------------------------------------------------- */

/* A section "test" in mode require that demands nothing but a chain to a root
 * that is not there yet: bank sha256, measure_pcr 15, components listed,
 * certificate any, no machine, no ak_eku, never expires. Fields may be changed;
 * lists only through the functions below. */
struct atls_section *factory_section_new(void);

/* The section that f's product satisfies, with demands of every kind: trust,
 * machine, EKU, PCRs 0-7 and 11, its components, certificate measured. */
struct atls_section *factory_section_for(const struct factory *f);

void factory_section_free(struct atls_section *section);

void factory_section_trust(struct atls_section *section, X509 *root);
void factory_section_machine(struct atls_section *section, const char *pattern);
void factory_section_eku(struct atls_section *section, const char *oid);
/* One more acceptable value; ATLS_PCR_DIGEST_MAX octets are read. */
void factory_section_pcr(struct atls_section *section, unsigned pcr,
                         const uint8_t value[ATLS_PCR_DIGEST_MAX]);
/* One more acceptable digest of a component, new or known. */
void factory_section_component(struct atls_section *section, const char *name,
                               const uint8_t digest[ATLS_SHA256_LEN]);
void factory_section_event(struct atls_section *section, const char *pattern);

/* One more reference, empty; the pointer lives until the next is added. */
struct atls_reference *factory_section_reference(struct atls_section *section,
                                                 const char *name);
void factory_reference_pcr(struct atls_reference *reference, unsigned pcr,
                           const uint8_t value[ATLS_PCR_DIGEST_MAX]);
void factory_reference_component(struct atls_reference *reference,
                                 const char *name,
                                 const uint8_t digest[ATLS_SHA256_LEN]);

#endif
