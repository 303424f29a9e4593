/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A client as OpenSSL's old manual has made people write it: ERR_error_string(3) into
 * "at least 120 bytes" (catalogue S29). Knows nothing of attest: plain OpenSSL with
 * what OPENSSL_CONF says.
 *
 *   line120 PORT NAME
 *
 * Asks 127.0.0.1:PORT for /page, showing NAME. Its status is 0 when there was an
 * answer, 1 where the handshake failed, which it says, and 3 where one of the lines
 * did not fit.
 */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>

#define LINE_SIZE 120
#define GUARD 0x55

/* ERR_error_string() takes 256 octets for granted. */
static union {
    char line[LINE_SIZE];
    char all[256];
} room;

/* Print what is on the error queue. False where a line was longer. */
static int print_errors(void)
{
    unsigned long error;
    int fits = 1;

    while ((error = ERR_get_error()) != 0) {
        memset(room.all, GUARD, sizeof(room.all));
        ERR_error_string(error, room.line);
        for (size_t i = LINE_SIZE; i < sizeof(room.all); i++)
            fits &= room.all[i] == GUARD;
        room.all[sizeof(room.all) - 1] = '\0';
        printf("%s\n", room.all);
    }
    return fits;
}

static int ask(BIO *bio)
{
    char answer[4096];
    int n;

    if (BIO_do_connect(bio) != 1
        || BIO_puts(bio, "GET /page HTTP/1.0\r\n\r\n") <= 0)
        return print_errors() ? 1 : 3;
    while ((n = BIO_read(bio, answer, sizeof(answer))) > 0)
        fwrite(answer, 1, (size_t)n, stdout);
    return 0;
}

int main(int argc, char **argv)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    BIO *bio = ctx != NULL ? BIO_new_ssl_connect(ctx) : NULL;
    SSL *ssl = NULL;
    int status = 2;

    if (argc == 3 && bio != NULL && BIO_get_ssl(bio, &ssl) == 1
        && SSL_set_tlsext_host_name(ssl, argv[2]) == 1
        && BIO_set_conn_hostname(bio, "127.0.0.1") == 1
        && BIO_set_conn_port(bio, argv[1]) == 1)
        status = ask(bio);
    BIO_free_all(bio);
    SSL_CTX_free(ctx);
    return status;
}
