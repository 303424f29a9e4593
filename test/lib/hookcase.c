/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/hookcase.h"

#include <check.h>
#include <fcntl.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/sanitizer.h"
#include "lib/scratch.h"

#if IS_SANITIZED
/* LeakSanitizer of GCC 12 takes what stands before a loaded object's thread-local
 * block for the block's bounds, and reads there: "Tracer caught signal 11". */
const char *__lsan_default_options(void) __attribute__((visibility("default")));
const char *__lsan_default_options(void)
{
    return "use_tls=0:print_suppressions=0";
}

/* What pthread_setspecific(3) allocates is held by nothing else. */
const char *__lsan_default_suppressions(void)
    __attribute__((visibility("default")));
const char *__lsan_default_suppressions(void)
{
    return "leak:pthread_setspecific\n";
}
#endif

#define MODULE "attest.so"
#define PIPE_OCTETS 70000

static bool leaks_are_of_others;

void leave_leaks(void)
{
    leaks_are_of_others = true;
}

void in_child(void (*body)(int), int argument, int expected)
{
    int status = 0;
    pid_t child;

    fflush(NULL);
    child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        alarm(HOOKCASE_SECONDS);
        body(argument);
        fflush(NULL);
        if (leaks_are_of_others)
            _exit(0);
        exit(0);
    }
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == expected,
                  "argument %d: wait status 0x%x", argument, (unsigned)status);
}

/* --- configurations ----------------------------------------------------------- */

void write_text(const char *name, const char *text)
{
    scratch_write(name, text, strlen(text), 0644);
}

const char *module_of_build(void)
{
    static char path[4096];
    const char *build = getenv("ATTEST_BUILDDIR");

    snprintf(path, sizeof(path), "%s/.libs/" MODULE,
             build != NULL ? build : ".");
    return path;
}

void copy_object(const char *object, const char *name)
{
    char from[4200];
    struct stat st;
    char *data;
    int fd;

    snprintf(from, sizeof(from), "%.*s%s",
             (int)(strlen(module_of_build()) - strlen(MODULE)),
             module_of_build(), object);
    fd = open(from, O_RDONLY | O_CLOEXEC);
    need(fd >= 0 && fstat(fd, &st) == 0);
    data = malloc((size_t)st.st_size);
    need(data != NULL && read(fd, data, (size_t)st.st_size) == st.st_size);
    close(fd);
    scratch_write(name, data, (size_t)st.st_size, 0755);
    free(data);
}

void write_configuration(const char *name, const char *module,
                         const char *policy, const char *more)
{
    char text[8192];

    snprintf(text, sizeof(text),
             "openssl_conf = init\n"
             "[init]\nproviders = list\n"
             "[list]\ndefault = default_sect\nattest = attest_sect\n%s"
             "[default_sect]\nactivate = 1\n"
             "[attest_sect]\nmodule = %s\nactivate = 1\n"
             "verifier = verifier_sect\nlog = %s\n"
             "[verifier_sect]\npolicy = %s\n",
             more, module, scratch_path("log"), scratch_path(policy));
    write_text(name, text);
}

void write_section(const char *name, const char *module, const char *policy,
                   const char *keys, const char *providers)
{
    char text[8192];

    snprintf(text, sizeof(text),
             "openssl_conf = init\n[init]\nproviders = list\n"
             "[list]\n%s\nattest = attest_sect\n"
             "[default_sect]\nactivate = 1\n"
             "[attest_sect]\nmodule = %s\nactivate = 1\n%s\n"
             "verifier = verifier_sect\n"
             "[verifier_sect]\npolicy = %s\n",
             providers, module, keys, scratch_path(policy));
    write_text(name, text);
}

OSSL_LIB_CTX *library(const char *configuration)
{
    OSSL_LIB_CTX *libctx = OSSL_LIB_CTX_new();

    need(libctx != NULL);
    need(OSSL_LIB_CTX_load_config(libctx, scratch_path(configuration)) == 1);
    return libctx;
}

/* --- TLS ----------------------------------------------------------------------- */

static EVP_PKEY *key;
static X509 *certificate;
_Thread_local char client_reason[256];
_Thread_local char server_reason[256];

/* By pointers: UBSan of gcc 12 takes the arrays of a thread for null. */
bool has_no_context(OSSL_LIB_CTX *libctx, const SSL_METHOD *method)
{
    SSL_CTX *ctx;
    const char *text;

    ERR_clear_error();
    ctx = SSL_CTX_new_ex(libctx, NULL, method);
    text = ERR_reason_error_string(ERR_get_error());
    snprintf(client_reason, sizeof(client_reason), "%s",
             text != NULL ? text : "?");
    memcpy(server_reason, client_reason, sizeof(server_reason));
    SSL_CTX_free(ctx);
    return ctx == NULL;
}

bool reason_has(const char *part)
{
    const char *client = client_reason, *server = server_reason;

    return strstr(client, part) != NULL || strstr(server, part) != NULL;
}

static void make_certificate(void)
{
    key = EVP_EC_gen("P-256");
    certificate = X509_new();
    need(key != NULL && certificate != NULL);
    need(X509_set_version(certificate, X509_VERSION_3));
    need(ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1));
    need(X509_gmtime_adj(X509_getm_notBefore(certificate), -60) != NULL);
    need(X509_gmtime_adj(X509_getm_notAfter(certificate), 3600) != NULL);
    need(X509_set_pubkey(certificate, key));
    need(X509_sign(certificate, key, EVP_sha256()) > 0);
}

void hookcase_begin(void)
{
    scratch_make();
    write_text("off", "[policy]\notherwise = off\n");
    write_configuration("open.cnf", module_of_build(), "off", "");
    write_configuration("shut.cnf", module_of_build(), "missing", "");
    write_text("plain.cnf", "openssl_conf = init\n"
                            "[init]\nproviders = list\n"
                            "[list]\ndefault = default_sect\n"
                            "[default_sect]\nactivate = 1\n");
    make_certificate();
}

void drop_certificate(void)
{
    EVP_PKEY_free(key);
    X509_free(certificate);
}

void hookcase_end(void)
{
    scratch_remove();
    drop_certificate();
}

SSL_CTX *client_of(OSSL_LIB_CTX *libctx)
{
    SSL_CTX *ctx = SSL_CTX_new_ex(libctx, NULL, TLS_client_method());

    need(ctx != NULL);
    return ctx;
}

SSL_CTX *server_with(OSSL_LIB_CTX *libctx, const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new_ex(libctx, NULL, method);

    need(ctx != NULL);
    need(SSL_CTX_use_certificate(ctx, certificate) == 1);
    need(SSL_CTX_use_PrivateKey(ctx, key) == 1);
    return ctx;
}

SSL_CTX *server_of(OSSL_LIB_CTX *libctx)
{
    return server_with(libctx, TLS_server_method());
}

/* One call; 1 done, 0 not yet, -1 failed. Each call empties the error queue, so
 * that the first reason is kept at once. */
static int step(SSL *s, char reason[256])
{
    int result = SSL_do_handshake(s);
    unsigned long error = ERR_peek_error();
    const char *text = ERR_reason_error_string(error);

    if (result == 1)
        return 1;
    if (SSL_get_error(s, result) != SSL_ERROR_SSL)
        return 0;
    snprintf(reason, 256, "%s", text != NULL ? text : "?");
    return -1;
}

bool shake(SSL_CTX *server_ctx, SSL_CTX *client_ctx)
{
    SSL *server = SSL_new(server_ctx), *client = SSL_new(client_ctx);
    BIO *a = NULL, *b = NULL;
    int c = 0, s = 0;
    char octet;
    bool passed;

    need(server != NULL && client != NULL);
    need(BIO_new_bio_pair(&a, PIPE_OCTETS, &b, PIPE_OCTETS) == 1);
    SSL_set_bio(server, a, a);
    SSL_set_bio(client, b, b);
    SSL_set_accept_state(server);
    SSL_set_connect_state(client);
    need(SSL_set_tlsext_host_name(client, "peer.example") == 1);
    client_reason[0] = server_reason[0] = '\0';
    for (int i = 0; i < 20 && c >= 0 && s >= 0 && (c == 0 || s == 0); i++) {
        c = step(client, client_reason);
        s = step(server, server_reason);
    }
    passed = c == 1 && s == 1 && SSL_write(client, "x", 1) == 1
             && SSL_read(server, &octet, 1) == 1
             && SSL_write(server, "y", 1) == 1
             && SSL_read(client, &octet, 1) == 1;
    SSL_free(server);
    SSL_free(client);
    ERR_clear_error();
    return passed;
}
