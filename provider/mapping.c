/* SPDX-License-Identifier: BSD-2-Clause */
#include "mapping.h"

#include <dlfcn.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/opensslv.h>
#include <openssl/ssl.h> /* types and constants only: libssl is not linked */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "error.h"
#include "opening.h"
#include "raise.h"

#ifndef ATLS_INNER_NAME
#define ATLS_INNER_NAME "attest-inner.so"
#endif

#define SONAME_OF_LIBSSL_(major) "libssl.so." #major
#define SONAME_OF_LIBSSL(major) SONAME_OF_LIBSSL_(major)

static _Atomic(const struct atls_inner *) inner; /* NULL: not mapped (yet) */
/* Why not, the first time; never freed, as contexts that refuse ask for it. */
static _Atomic(struct atls_reason *) inner_reason;

/* The path of attest.so, where the one that it was found by is relative; never
 * freed. */
static char *absolute_path;

/* NULL: it has none. Borrowed from the dynamic linker, which has the path that it was
 * given. */
static const char *own_path(void)
{
    Dl_info self;

    if (dladdr(&inner, &self) == 0 || self.dli_fname == NULL
        || strchr(self.dli_fname, '/') == NULL)
        return NULL;
    return self.dli_fname;
}

void atls_mapping_begin(void)
{
    const char *path = own_path();
    char *folder;

    if (path == NULL || path[0] == '/')
        return;
    folder = getcwd(NULL, 0);
    if (folder != NULL && asprintf(&absolute_path, "%s/%s", folder, path) < 0)
        absolute_path = NULL;
    free(folder);
}

/* As of dlopen(3). */
static void *open_object(const char *name, int mode)
{
    struct atls_opening opening;
    void *object;

    atls_opening_begin(&opening);
    object = dlopen(name, mode);
    atls_opening_end(&opening);
    return object;
}

/* It lies beside us, whatever name or path openssl.cnf found us by. */
static enum atls_error map_inner(struct atls_reason *why)
{
    const char *own = absolute_path != NULL ? absolute_path : own_path();
    char path[4096];
    void *object;
    const struct atls_inner *found;
    int length;

    if (own == NULL)
        return atls_fail(
            why, ATLS_E_CONFIG,
            "attest.so cannot find its own folder to load " ATLS_INNER_NAME);
    length = snprintf(path, sizeof(path), "%.*s/" ATLS_INNER_NAME,
                      (int)(strrchr(own, '/') - own), own);
    if (length < 0 || (size_t)length >= sizeof(path))
        return atls_fail(why, ATLS_E_CONFIG,
                         "the path of attest.so is too long");
    object = open_object(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    if (object == NULL)
        return atls_fail(
            why, ATLS_E_CONFIG,
            "cannot load attest's second part: %s; reinstall attest",
            dlerror());
    found = dlsym(object, ATLS_INNER_SYMBOL);
    if (found == NULL || strcmp(found->version, ATLS_VERSION) != 0)
        return atls_fail(why, ATLS_E_CONFIG,
                         "%s is of another version than attest.so " ATLS_VERSION
                         "; reinstall attest",
                         path);
    atomic_store(&inner, found);
    return ATLS_OK;
}

static void keep_reason(const struct atls_reason *why)
{
    struct atls_reason *copy = OPENSSL_memdup(why, sizeof(*why));
    struct atls_reason *none = NULL;

    if (!atomic_compare_exchange_strong(&inner_reason, &none, copy))
        OPENSSL_free(copy);
}

/* What failed for want of descriptors or memory is tried again with the next
 * SSL_CTX. Several threads may map it at once: it is the same object. */
const struct atls_inner *atls_mapping_inner(void)
{
    struct atls_reason why;

    if (atomic_load(&inner) == NULL && map_inner(&why) != ATLS_OK)
        keep_reason(&why);
    return atomic_load(&inner);
}

static void raise_absence(void)
{
    static const struct atls_reason no_memory = {
        .code = ATLS_E_NOMEM, .text = "no memory to load attest's second part"};
    const struct atls_reason *why = atomic_load(&inner_reason);

    atls_raise(why != NULL ? why : &no_memory);
}

bool atls_mapping_check(void)
{
    if (atls_mapping_inner() != NULL)
        return true;
    raise_absence();
    return false;
}

/* What is needed of libssl to refuse without the inner object. */
static struct {
    void (*set_security_callback)(SSL_CTX *,
                                  int (*)(const SSL *, const SSL_CTX *, int,
                                          int, int, void *, void *));
    int (*is_server)(const SSL *);
    OSSL_HANDSHAKE_STATE (*get_state)(const SSL *);
} libssl;

static int deny_all(const SSL *s, const SSL_CTX *ctx, int op, int bits, int nid,
                    void *other, void *ex)
{
    (void)ctx, (void)bits, (void)nid, (void)other, (void)ex;
    /* What a program sets up on its context is no handshake yet: refused here it
     * would see an error that is not ours. */
    if (s == NULL)
        return 1;
    /* A server refuses at the ClientHello, so that the client gets an alert. */
    if (op == SSL_SECOP_VERSION && libssl.is_server(s)
        && libssl.get_state(s) == TLS_ST_BEFORE)
        return 1;
    /* OpenSSL asks about many versions; it has emptied the queue before. */
    if (op == SSL_SECOP_VERSION && ERR_peek_error() == 0)
        raise_absence();
    return 0;
}

static bool find_function(void *object, const char *name, void *ret_function)
{
    void *symbol = dlsym(object, name);

    /* POSIX's way to make a function pointer of dlsym()'s result. */
    memcpy(ret_function, &symbol, sizeof(symbol));
    return symbol != NULL;
}

/* libssl is not linked here, but the program has it, as it is making an
 * SSL_CTX: found by name, without loading it. */
static bool find_libssl(void)
{
    void *object = open_object(SONAME_OF_LIBSSL(OPENSSL_SHLIB_VERSION),
                               RTLD_NOW | RTLD_NOLOAD);

    if (object == NULL)
        object = RTLD_DEFAULT;
    return find_function(object, "SSL_CTX_set_security_callback",
                         &libssl.set_security_callback)
           && find_function(object, "SSL_is_server", &libssl.is_server)
           && find_function(object, "SSL_get_state", &libssl.get_state);
}

void atls_mapping_deny(SSL_CTX *ctx)
{
    if (find_libssl()) {
        libssl.set_security_callback(ctx, deny_all);
        return;
    }
    /* A libssl we cannot reach would go on unattested: better none at all. */
    fputs("attest: cannot enforce its policy in this program; stopping it\n",
          stderr);
    abort();
}
