/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/quoter_setup.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attester/quoter_boot.h"
#include "base/opening.h"
#include "base/pem.h"
#include "evidence/merkle.h"

#define DEFAULT_PCRS "sha256:0-9,11-15"
#define AUTH_PREFIX "file:"

/* A FIFO would let the program wait for a writer, for ever. Errors begin with the
 * key that names the file. */
static enum atls_error open_file(const char *key, const char *path,
                                 struct atls_reason *why, FILE **ret_file)
{
    int fd = atls_open_file(path, O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
    enum atls_error r = ATLS_OK;
    struct stat st;

    if (fd < 0)
        return atls_fail(why, ATLS_E_IO, "%s: cannot open %s: %s", key, path,
                         strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        r = atls_fail(why, ATLS_E_IO, "%s: %s is not a regular file", key,
                      path);
    else if ((*ret_file = fdopen(fd, "r")) == NULL)
        r = atls_fail(why, ATLS_E_NOMEM, NULL);
    if (r != ATLS_OK)
        close(fd);
    return r;
}

static enum atls_error add_certificate(struct atls_quoter_setup *setup,
                                       X509 *cert, struct atls_reason *why)
{
    unsigned char *der = NULL;
    int len = i2d_X509(cert, &der);

    if (len <= 0)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    if ((size_t)len > ATLS_CERTIFICATE_MAX) {
        OPENSSL_free(der);
        return atls_fail(
            why, ATLS_E_CONFIG,
            "%s: certificate %zu has %d octets" ATLS_MORE ", at most %u fit "
            "into evidence",
            setup->ak_chain, setup->chain_count + 1, len, ATLS_CERTIFICATE_MAX);
    }
    setup->chain[setup->chain_count].data = der;
    setup->chain[setup->chain_count].len = (size_t)len;
    setup->chain_count++;
    return ATLS_OK;
}

static enum atls_error take_ak_key(struct atls_quoter_setup *setup, X509 *cert,
                                   struct atls_reason *why)
{
    unsigned char *der = NULL;
    int len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);

    if (len <= 0)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    setup->ak_spki.data = der;
    setup->ak_spki.len = (size_t)len;
    return ATLS_OK;
}

/* Verifiers have the roots; one that is in the file is left out. */
static enum atls_error take_certificate(struct atls_quoter_setup *setup,
                                        X509 *cert, struct atls_reason *why)
{
    bool is_self_signed = X509_self_signed(cert, 0) == 1;

    if (setup->chain_count == 0 && is_self_signed)
        return atls_fail(why, ATLS_E_CONFIG,
                         "%s: the first certificate is self-signed" ATLS_MORE
                         ": expected "
                         "the AK certificate, issued by a CA",
                         setup->ak_chain);
    if (is_self_signed)
        return ATLS_OK;
    if (setup->chain_count == 0) {
        enum atls_error r = take_ak_key(setup, cert, why);

        if (r != ATLS_OK)
            return r;
    }
    if (setup->chain_count == ATLS_CHAIN_MAX)
        return atls_fail(why, ATLS_E_CONFIG,
                         "%s: more than %u certificates, the root not counted",
                         setup->ak_chain, ATLS_CHAIN_MAX);
    return add_certificate(setup, cert, why);
}

/* A read error looks like the end of a file; what came after it may have changed
 * errno. */
static enum atls_error check_read(FILE *in, const char *key, const char *path,
                                  struct atls_reason *why)
{
    if (ferror(in) == 0)
        return ATLS_OK;
    return atls_fail(why, ATLS_E_IO, "%s: cannot read %s: %s", key, path,
                     strerror(errno != 0 ? errno : EIO));
}

static enum atls_error fail_unreadable(const struct atls_quoter_setup *setup,
                                       FILE *in, enum atls_error code,
                                       struct atls_reason *why)
{
    enum atls_error r;

    if (code == ATLS_E_NOMEM)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    r = check_read(in, "ak_chain", setup->ak_chain, why);
    if (r != ATLS_OK)
        return r;
    return atls_fail(why, ATLS_E_CONFIG,
                     "%s: certificate %zu cannot be read as PEM",
                     setup->ak_chain, setup->chain_count + 1);
}

static enum atls_error read_certificates(struct atls_quoter_setup *setup,
                                         FILE *in, BIO *text,
                                         struct atls_reason *why)
{
    X509 *cert;

    do {
        enum atls_error r;

        cert = NULL;
        r = atls_pem_read_certificate(text, &cert);
        if (r != ATLS_OK)
            r = fail_unreadable(setup, in, r, why);
        else if (cert != NULL)
            r = take_certificate(setup, cert, why);
        X509_free(cert);
        if (r != ATLS_OK)
            return r;
    } while (cert != NULL);
    if (setup->chain_count == 0)
        return atls_fail(why, ATLS_E_CONFIG,
                         "%s: no certificate in it" ATLS_MORE
                         ": expected the AK "
                         "certificate, then its intermediates, in PEM",
                         setup->ak_chain);
    return ATLS_OK;
}

static enum atls_error read_chain(struct atls_quoter_setup *setup,
                                  struct atls_reason *why)
{
    FILE *in = NULL;
    enum atls_error r = open_file("ak_chain", setup->ak_chain, why, &in);
    BIO *text;

    if (r != ATLS_OK)
        return r;
    ERR_set_mark();
    text = BIO_new_fp(in, BIO_NOCLOSE);
    r = text != NULL ? read_certificates(setup, in, text, why)
                     : atls_fail(why, ATLS_E_NOMEM, NULL);
    BIO_free(text);
    ERR_pop_to_mark();
    fclose(in);
    return r;
}

/* The whole file is the value, but for one newline that an editor added. An empty one
 * is a mistake, like one that cannot be read: the TPM would count each quote with a
 * wrong value as an attack. */
static enum atls_error take_auth(struct atls_quoter_setup *setup, FILE *in,
                                 const char *path, struct atls_reason *why)
{
    uint8_t value[ATLS_AK_AUTH_MAX + 2];
    size_t len = fread(value, 1, sizeof(value), in);
    enum atls_error r = check_read(in, "ak_auth", path, why);

    if (len > 0 && value[len - 1] == '\n')
        len--;
    if (r == ATLS_OK && len == 0)
        r = atls_fail(why, ATLS_E_CONFIG,
                      "ak_auth: %s is empty: expected the key's authorization "
                      "value; leave ak_auth out if it has none",
                      path);
    if (r == ATLS_OK && len > ATLS_AK_AUTH_MAX)
        r = atls_fail(why, ATLS_E_CONFIG,
                      "ak_auth: %s is longer than %u octets", path,
                      ATLS_AK_AUTH_MAX);
    if (r == ATLS_OK) {
        memcpy(setup->auth, value, len);
        setup->auth_len = len;
    }
    OPENSSL_cleanse(value, sizeof(value));
    return r;
}

static enum atls_error read_auth(struct atls_quoter_setup *setup,
                                 const char *ak_auth, struct atls_reason *why)
{
    FILE *in = NULL;
    const char *path;
    enum atls_error r;

    if (strncmp(ak_auth, AUTH_PREFIX, strlen(AUTH_PREFIX)) != 0)
        return atls_fail(why, ATLS_E_CONFIG, "ak_auth: expected file:PATH");
    path = ak_auth + strlen(AUTH_PREFIX);
    r = open_file("ak_auth", path, why, &in);
    if (r != ATLS_OK)
        return r;
    setvbuf(in, NULL, _IONBF, 0); /* no second copy of a secret */
    r = take_auth(setup, in, path, why);
    fclose(in);
    return r;
}

static enum atls_error check_numbers(const struct atls_quoter_config *config,
                                     struct atls_reason *why)
{
    if (config->timeout_ms < 1
        || config->timeout_ms > ATLS_QUOTER_TIMEOUT_MAX_MS)
        return atls_fail(why, ATLS_E_CONFIG,
                         "timeout = %u: expected 1 to %u milliseconds",
                         config->timeout_ms, ATLS_QUOTER_TIMEOUT_MAX_MS);
    if (config->max_queue < 1 || config->max_queue > ATLS_BATCH_MAX)
        return atls_fail(why, ATLS_E_CONFIG, "max_queue = %u: expected 1 to %u",
                         config->max_queue, ATLS_BATCH_MAX);
    return ATLS_OK;
}

static bool selects(const struct atls_pcr_selection *selection, unsigned pcr)
{
    for (size_t i = 0; i < selection->count; i++) {
        if (pcr < ATLS_PCR_COUNT && (selection->banks[i].mask >> pcr & 1) != 0)
            return true;
    }
    return false;
}

static enum atls_error take_pcrs(struct atls_quoter_setup *setup,
                                 const struct atls_quoter_config *config,
                                 struct atls_reason *why)
{
    const char *pcrs = config->pcrs != NULL ? config->pcrs : DEFAULT_PCRS;
    enum atls_error r;

    r = atls_pcr_selection_parse(pcrs, why, &setup->selection);
    if (r != ATLS_OK)
        return r;
    setup->measure_pcr = config->measure_pcr;
    if (config->measured_log != NULL
        && !selects(&setup->selection, config->measure_pcr))
        return atls_fail(why, ATLS_E_CONFIG,
                         "pcrs = %s: PCR %u, whose log is sent, is not among "
                         "them",
                         pcrs, config->measure_pcr);
    return ATLS_OK;
}

static enum atls_error take_names(struct atls_quoter_setup *setup,
                                  const struct atls_quoter_config *config,
                                  struct atls_reason *why)
{
    if (config->tcti == NULL || config->ak == NULL || config->ak_chain == NULL)
        return atls_fail(why, ATLS_E_CONFIG,
                         "an attester with quoter = tcti:... needs ak and "
                         "ak_chain as well");
    setup->tcti = OPENSSL_strdup(config->tcti);
    setup->ak = OPENSSL_strdup(config->ak);
    setup->ak_chain = OPENSSL_strdup(config->ak_chain);
    if (config->measured_log != NULL)
        setup->measured_log = OPENSSL_strdup(config->measured_log);
    if (setup->tcti == NULL || setup->ak == NULL || setup->ak_chain == NULL
        || (config->measured_log != NULL && setup->measured_log == NULL))
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    return ATLS_OK;
}

static enum atls_error fill(struct atls_quoter_setup *setup,
                            const struct atls_quoter_config *config,
                            struct atls_reason *why)
{
    enum atls_error r;

    r = take_names(setup, config, why);
    if (r != ATLS_OK)
        return r;
    r = check_numbers(config, why);
    if (r != ATLS_OK)
        return r;
    setup->timeout_ms = config->timeout_ms;
    setup->max_queue = config->max_queue;
    setup->needs_measured_certificate = config->needs_measured_certificate;
    r = take_pcrs(setup, config, why);
    if (r != ATLS_OK)
        return r;
    if (config->ak_auth != NULL) {
        r = read_auth(setup, config->ak_auth, why);
        if (r != ATLS_OK)
            return r;
    }
    atls_boot_read(setup, config);
    return read_chain(setup, why);
}

enum atls_error atls_quoter_setup_new(const struct atls_quoter_config *config,
                                      struct atls_reason *why,
                                      struct atls_quoter_setup **ret_setup)
{
    struct atls_quoter_setup *setup = OPENSSL_zalloc(sizeof(*setup));
    enum atls_error r;

    if (setup == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    atomic_init(&setup->refs, 1);
    r = fill(setup, config, why);
    if (r != ATLS_OK) {
        atls_quoter_setup_unref(setup);
        return r;
    }
    *ret_setup = setup;
    return ATLS_OK;
}

struct atls_quoter_setup *atls_quoter_setup_ref(struct atls_quoter_setup *setup)
{
    atomic_fetch_add(&setup->refs, 1);
    return setup;
}

void atls_quoter_setup_unref(struct atls_quoter_setup *setup)
{
    if (setup == NULL || atomic_fetch_sub(&setup->refs, 1) != 1)
        return;
    for (size_t i = 0; i < setup->chain_count; i++)
        OPENSSL_free(setup->chain[i].data);
    OPENSSL_free(setup->ak_spki.data);
    atls_boot_log_clear(&setup->boot_log);
    OPENSSL_free(setup->boot_octets.data);
    OPENSSL_free(setup->tcti);
    OPENSSL_free(setup->ak);
    OPENSSL_free(setup->ak_chain);
    OPENSSL_free(setup->measured_log);
    OPENSSL_clear_free(setup, sizeof(*setup));
}
