/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/common/input.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/x509.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/digest.h"
#include "base/pem.h"

#define FIRST_ROOM 4096u

static enum atls_error too_large(const char *path, size_t max,
                                 struct atls_reason *why)
{
    return atls_fail(why, ATLS_E_LIMIT, "%s is larger than %zu KiB", path,
                     max / 1024);
}

/* O_NONBLOCK: opening a FIFO must not wait for its writer. */
static enum atls_error open_regular(const char *path, size_t max,
                                    struct atls_reason *why, int *ret_fd)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    enum atls_error r = ATLS_OK;
    struct stat st = {.st_mode = 0};

    if (fd < 0)
        return atls_fail(why, ATLS_E_IO, "cannot open %s: %s", path,
                         strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        r = atls_fail(why, ATLS_E_IO, "cannot read %s: %s", path,
                      S_ISDIR(st.st_mode) ? strerror(EISDIR)
                                          : "not a regular file");
    else if (st.st_size > (off_t)max)
        r = too_large(path, max, why);
    if (r != ATLS_OK) {
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return ATLS_OK;
}

enum atls_error tool_input_check(const char *path, size_t max,
                                 struct atls_reason *why)
{
    int fd = -1;
    enum atls_error r = open_regular(path, max, why, &fd);

    if (r == ATLS_OK)
        close(fd);
    return r;
}

/* Read to the end, in room that doubles; one octet is kept for the NUL. */
static enum atls_error read_on(int fd, const char *path, size_t max,
                               struct atls_reason *why, uint8_t **data,
                               size_t *len)
{
    size_t room = FIRST_ROOM;
    ssize_t n = 1;

    while (n != 0) {
        uint8_t *more =
            *data != NULL && *len + 1 < room
                ? *data
                : OPENSSL_realloc(*data, *data != NULL ? (room *= 2) : room);

        if (more == NULL)
            return atls_fail(why, ATLS_E_NOMEM, NULL);
        *data = more;
        n = read(fd, *data + *len, room - 1 - *len);
        if (n < 0 && errno != EINTR)
            return atls_fail(why, ATLS_E_IO, "cannot read %s: %s", path,
                             strerror(errno));
        *len += n > 0 ? (size_t)n : 0;
        if (*len > max)
            return too_large(path, max, why);
    }
    (*data)[*len] = '\0';
    return ATLS_OK;
}

enum atls_error tool_input_read(const char *path, size_t max,
                                struct atls_reason *why, uint8_t **ret_data,
                                size_t *ret_len)
{
    uint8_t *data = NULL;
    size_t len = 0;
    int fd = -1;
    enum atls_error r = open_regular(path, max, why, &fd);

    if (r != ATLS_OK)
        return r;
    r = read_on(fd, path, max, why, &data, &len);
    close(fd);
    if (r != ATLS_OK) {
        OPENSSL_free(data);
        return r;
    }
    *ret_data = data;
    *ret_len = len;
    return ATLS_OK;
}

static X509 *parse_certificate(const uint8_t *data, size_t len)
{
    BIO *bio = BIO_new_mem_buf(data, (int)len);
    X509 *cert = NULL;

    if (bio != NULL
        && (atls_pem_read_certificate(bio, &cert) != ATLS_OK || cert == NULL)) {
        cert = X509_new_ex(atls_libctx(), NULL);
        if (cert != NULL
            && (BIO_reset(bio) != 1 || d2i_X509_bio(bio, &cert) == NULL)) {
            X509_free(cert);
            cert = NULL;
        }
    }
    BIO_free(bio);
    return cert;
}

enum atls_error tool_input_certificate(const char *path,
                                       struct atls_reason *why, X509 **ret_cert)
{
    uint8_t *data = NULL;
    size_t len = 0;
    enum atls_error r =
        tool_input_read(path, INPUT_CERTIFICATE_MAX, why, &data, &len);
    X509 *cert;

    if (r == ATLS_E_LIMIT)
        return why->code = ATLS_E_CONFIG; /* of a file, not of evidence */
    if (r != ATLS_OK)
        return r;
    cert = parse_certificate(data, len);
    OPENSSL_free(data);
    if (cert == NULL)
        return atls_fail(why, ATLS_E_CONFIG,
                         "%s holds no certificate, neither PEM nor DER", path);
    *ret_cert = cert;
    return ATLS_OK;
}
