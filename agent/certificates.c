/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/certificates.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>
#include <unistd.h>

#include "attester/file.h"
#include "attester/measured_log.h"
#include "evidence/binding.h"
#include "evidence/eventlog.h"
#include "verifier/file.h"

void agent_certificates_clear(struct agent_certificates *certificates)
{
    OPENSSL_free(certificates->digests);
    certificates->digests = NULL;
    certificates->count = 0;
    certificates->is_known = false;
}

/* Keep the certificates of a log. */
static enum atls_error take_log(struct agent_certificates *certificates,
                                const struct atls_measured_log *log,
                                const struct stat *st, struct atls_reason *why)
{
    uint8_t(*digests)[ATLS_SHA256_LEN];
    size_t count = 0;

    digests = OPENSSL_malloc((log->count + 1) * sizeof(*digests));
    if (digests == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    for (size_t i = 0; i < log->count; i++) {
        struct atls_event event;

        atls_event_parse(log->contents[i], &event);
        if (event.kind == ATLS_EVENT_CERTIFICATE)
            memcpy(digests[count++], event.digest, ATLS_SHA256_LEN);
    }
    agent_certificates_clear(certificates);
    certificates->digests = digests;
    certificates->count = count;
    certificates->st = *st;
    certificates->is_known = true;
    return ATLS_OK;
}

static enum atls_error read_log(struct agent_certificates *certificates, int fd,
                                struct atls_reason *why)
{
    struct atls_measured_log log = {.count = 0};
    struct atls_span text;
    uint8_t *octets = NULL;
    struct stat st;
    enum atls_error r;

    /* Before it is read: what is appended meanwhile changes size and time. */
    if (fstat(fd, &st) != 0)
        return atls_fail(why, ATLS_E_IO, "%s: %s", certificates->path,
                         strerror(errno));
    r = atls_fd_read(fd, certificates->path, ATLS_MEASURED_LOG_MAX, why,
                     &octets, &text.len);
    if (r != ATLS_OK)
        return r;
    text.data = octets;
    r = atls_measured_log_parse(text, certificates->path, certificates->pcr,
                                why, &log);
    if (r == ATLS_OK)
        r = take_log(certificates, &log, &st, why);
    atls_measured_log_clear(&log);
    OPENSSL_free(octets);
    return r;
}

static enum atls_error refresh(struct agent_certificates *certificates,
                               struct atls_reason *why)
{
    const struct atls_measured_log none = {.count = 0};
    struct stat st = {.st_ino = 0};
    enum atls_error r;
    int fd;

    if (stat(certificates->path, &st) != 0 && errno == ENOENT)
        return take_log(certificates, &none, &st, why);
    if (certificates->is_known && !atls_file_is_other(&st, &certificates->st))
        return ATLS_OK;
    fd = open(certificates->path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    if (fd < 0)
        return atls_fail(why, ATLS_E_IO, "cannot open the measured log %s: %s",
                         certificates->path, strerror(errno));
    r = read_log(certificates, fd, why);
    close(fd);
    return r;
}

static bool is_stand_in(struct atls_span der)
{
    const char *stand_in = ATLS_STAND_IN_CERTIFICATE;

    return der.len == strlen(stand_in)
           && memcmp(der.data, stand_in, der.len) == 0;
}

enum atls_error agent_certificates_check(
    struct agent_certificates *certificates, struct atls_span der,
    struct atls_reason *why)
{
    char hex[2 * ATLS_SHA256_LEN + 1];
    uint8_t digest[ATLS_SHA256_LEN];
    enum atls_error r;

    if (is_stand_in(der))
        return ATLS_OK;
    if (atls_sha256(der.data, der.len, digest) != ATLS_OK)
        return atls_fail(why, ATLS_E_CRYPTO, NULL);
    r = refresh(certificates, why);
    for (size_t i = 0; i < certificates->count; i++)
        if (memcmp(certificates->digests[i], digest, sizeof(digest)) == 0)
            return ATLS_OK;
    if (r != ATLS_OK)
        return r;
    atls_hex(digest, sizeof(digest), hex);
    return atls_fail(why, ATLS_E_CERTIFICATE_UNMEASURED,
                     "certificate sha256:%s was not measured: attest measure "
                     "--certificate FILE; or certificate = any in attestd.cnf",
                     hex);
}
