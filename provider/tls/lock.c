/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/lock.h"

#include <limits.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <stdatomic.h>

#include "openssl_compat.h"
#include "tls/refusal.h"

/* One for each locked BIO. Connection and BIO each have a reference; either may be
 * freed first. */
struct atls_lock {
    atomic_uint refs;
    const SSL *s; /* NULL: the connection has left it */
    BIO *bio;     /* NULL: the BIO has been freed */
    BIO_callback_fn_ex
        callback;   /* the program's, which ours replaces and calls; or NULL */
    bool is_asking; /* calling it: it may have wrapped ours and call it back */
};

static _Atomic(int) bio_index = -1;

static void unref(struct atls_lock *lock)
{
    if (atomic_fetch_sub(&lock->refs, 1) == 1)
        OPENSSL_free(lock);
}

/* --- what may pass -------------------------------------------------------- */

/* A client may send its ClientHello before it has seen evidence, and alerts in the
 * states in which it reads. */
static bool is_before_last_flight(OSSL_HANDSHAKE_STATE state)
{
    switch (state) {
    case TLS_ST_BEFORE:
    case TLS_ST_CW_CLNT_HELLO:
    case TLS_ST_CW_CHANGE:
    case TLS_ST_CR_SRVR_HELLO:
    case TLS_ST_CR_ENCRYPTED_EXTENSIONS:
    case TLS_ST_CR_CERT_REQ:
    case TLS_ST_CR_CERT:
#if OPENSSL_VERSION_NUMBER >= 0x30200000L
    case TLS_ST_CR_COMP_CERT:
#endif
    case TLS_ST_CR_CERT_VRFY:
    case TLS_ST_CR_FINISHED:
        return true;
    default:
        return false;
    }
}

static bool may_send(const struct atls_lock *lock)
{
    struct atls_connection *connection;

    if (is_before_last_flight(SSL_get_state(lock->s)))
        return true;
    connection = atls_connection_find(lock->s);
    if (connection == NULL)
        return false;
    if (!connection->has_verdict)
        atls_refusal_without_verdict(connection, lock->s);
    return connection->has_verdict;
}

/* --- the callback --------------------------------------------------------- */

/* Call the callback of the old kind, as OpenSSL does where there is none of the new
 * kind. */
static long ask_legacy(BIO *bio, int operation, const char *data, size_t len,
                       int number, long more, int result, size_t *processed)
{
    const int bare = operation & ~BIO_CB_RETURN;
    const bool counts = (operation & BIO_CB_RETURN) != 0 && bare != BIO_CB_CTRL;
    atls_bio_legacy_callback *callback = atls_bio_legacy(bio);
    long asked;

    if (callback == NULL)
        return result;
    if (bare == BIO_CB_READ || bare == BIO_CB_WRITE || bare == BIO_CB_GETS) {
        if (len > INT_MAX)
            return -1;
        number = (int)len;
    }
    if (result > 0 && counts) {
        if (*processed > INT_MAX)
            return -1;
        result = (int)*processed;
    }
    asked = callback(bio, operation, data, number, more, result);
    if (asked > 0 && counts) {
        *processed = (size_t)asked;
        asked = 1;
    }
    return asked;
}

/* Without a lock, or with that of another BIO (BIO_dup_chain()), all passes. */
static long lock_callback(BIO *bio, int operation, const char *data, size_t len,
                          int number, long more, int result, size_t *processed)
{
    struct atls_lock *lock = BIO_get_ex_data(bio, bio_index);
    long asked;

    if (operation == BIO_CB_WRITE && lock != NULL && lock->s != NULL
        && !may_send(lock)) {
        BIO_clear_retry_flags(bio);
        return -1;
    }
    if (lock != NULL && lock->is_asking)
        return result;
    if (lock == NULL || lock->callback == NULL)
        return ask_legacy(bio, operation, data, len, number, more, result,
                          processed);
    atomic_fetch_add(&lock->refs, 1); /* the program's may free the BIO */
    lock->is_asking = true;
    asked = lock->callback(bio, operation, data, len, number, more, result,
                           processed);
    lock->is_asking = false;
    unref(lock);
    return asked;
}

/* --- the BIO's side ------------------------------------------------------- */

static void bio_is_freed(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int index,
                         long argl, void *argp)
{
    struct atls_lock *lock = ptr;

    (void)parent, (void)ad, (void)index, (void)argl, (void)argp;
    if (lock == NULL)
        return;
    lock->bio = NULL;
    unref(lock);
}

static int bio_is_copied(CRYPTO_EX_DATA *to, const CRYPTO_EX_DATA *from,
                         void **from_d, int index, long argl, void *argp)
{
    (void)to, (void)from, (void)index, (void)argl, (void)argp;
    *from_d = NULL;
    return 1;
}

int atls_lock_init(void)
{
    int none = -1;
    int index;

    if (atomic_load(&bio_index) >= 0)
        return 1;
    index = CRYPTO_get_ex_new_index(CRYPTO_EX_INDEX_BIO, 0, NULL, NULL,
                                    bio_is_copied, bio_is_freed);
    if (index >= 0)
        (void)atomic_compare_exchange_strong(&bio_index, &none, index);
    return atomic_load(&bio_index) >= 0;
}

/* --- putting it on, taking it off ------------------------------------------- */

static bool is_locked(BIO *bio, const struct atls_lock *lock)
{
    return lock != NULL && lock->bio == bio
           && BIO_get_callback_ex(bio) == lock_callback;
}

enum atls_error atls_lock_put(struct atls_connection *connection, SSL *s)
{
    BIO *bio = SSL_get_wbio(s);
    struct atls_lock *lock, *older;

    if (bio == NULL || is_locked(bio, connection->lock))
        return ATLS_OK;
    atls_lock_forget(connection); /* the program has another BIO there */
    lock = OPENSSL_zalloc(sizeof(*lock));
    if (lock == NULL)
        return ATLS_E_NOMEM;
    lock->s = s;
    lock->bio = bio;
    older = BIO_get_ex_data(bio, bio_index); /* of another connection */
    lock->callback = BIO_get_callback_ex(bio);
    if (lock->callback == lock_callback)
        lock->callback = older != NULL ? older->callback : NULL;
    atomic_init(&lock->refs, 2);
    if (!BIO_set_ex_data(bio, bio_index, lock)) {
        OPENSSL_free(lock);
        return ATLS_E_NOMEM;
    }
    bio_is_freed(NULL, older, NULL, 0, 0, NULL); /* this BIO has another now */
    BIO_set_callback_ex(bio, lock_callback);
    connection->lock = lock;
    return ATLS_OK;
}

void atls_lock_renew(struct atls_connection *connection, SSL *s)
{
    enum atls_error r = ATLS_OK;

    if (connection->lock != NULL)
        r = atls_lock_put(connection, s);
    (void)r;
}

void atls_lock_forget(struct atls_connection *connection)
{
    struct atls_lock *lock = connection->lock;

    connection->lock = NULL;
    if (lock == NULL)
        return;
    lock->s = NULL;
    if (lock->bio != NULL && BIO_get_callback_ex(lock->bio) == lock_callback)
        BIO_set_callback_ex(lock->bio, lock->callback);
    unref(lock);
}
