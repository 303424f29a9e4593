/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/lock.h"

#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <stdatomic.h>

#include "tls/refusal.h"

/* Shared by BIO and connection, of which either may go first. */
struct atls_lock {
    atomic_uint refs;
    const SSL *s; /* NULL: the connection is gone */
};

static void unref(struct atls_lock *lock)
{
    if (lock != NULL && atomic_fetch_sub(&lock->refs, 1) == 1)
        OPENSSL_free(lock);
}

/* --- the filter ----------------------------------------------------------- */

/* What a client may send before it has seen evidence: its ClientHello, and in all
 * states in which it reads nothing but alerts. */
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

    if (lock == NULL || lock->s == NULL)
        return false;
    if (is_before_last_flight(SSL_get_state(lock->s)))
        return true;
    connection = atls_connection_find(lock->s);
    if (connection == NULL)
        return false;
    if (!connection->has_verdict)
        atls_refusal_without_verdict(connection, lock->s);
    return connection->has_verdict;
}

static int filter_write(BIO *filter, const char *data, int len)
{
    int written = -1;

    BIO_clear_retry_flags(filter);
    if (!may_send(BIO_get_data(filter)))
        return written;
    written = BIO_write(BIO_next(filter), data, len);
    BIO_copy_next_retry(filter);
    return written;
}

static int filter_read(BIO *filter, char *data, int len)
{
    int got = BIO_read(BIO_next(filter), data, len);

    BIO_clear_retry_flags(filter);
    BIO_copy_next_retry(filter);
    return got;
}

static long filter_ctrl(BIO *filter, int command, long number, void *pointer)
{
    BIO *next = BIO_next(filter);

    return next != NULL ? BIO_ctrl(next, command, number, pointer) : 0;
}

static long filter_callback_ctrl(BIO *filter, int command,
                                 BIO_info_cb *callback)
{
    BIO *next = BIO_next(filter);

    return next != NULL ? BIO_callback_ctrl(next, command, callback) : 0;
}

static int filter_create(BIO *filter)
{
    BIO_set_init(filter, 1);
    return 1;
}

static int filter_destroy(BIO *filter)
{
    unref(BIO_get_data(filter));
    return 1;
}

static BIO_METHOD *make_method(void)
{
    int index = BIO_get_new_index();
    BIO_METHOD *method =
        index < 0 ? NULL
                  : BIO_meth_new(index | BIO_TYPE_FILTER, "attest's lock");

    if (method != NULL && BIO_meth_set_write(method, filter_write)
        && BIO_meth_set_read(method, filter_read)
        && BIO_meth_set_ctrl(method, filter_ctrl)
        && BIO_meth_set_callback_ctrl(method, filter_callback_ctrl)
        && BIO_meth_set_create(method, filter_create)
        && BIO_meth_set_destroy(method, filter_destroy))
        return method;
    BIO_meth_free(method);
    return NULL;
}

/* Made once a process; without memory it is tried again. */
static BIO_METHOD *lock_method(void)
{
    static _Atomic(BIO_METHOD *) method;
    BIO_METHOD *found = atomic_load(&method);
    BIO_METHOD *fresh;

    if (found != NULL)
        return found;
    fresh = make_method();
    if (atomic_compare_exchange_strong(&method, &found, fresh))
        return fresh;
    BIO_meth_free(fresh);
    return found;
}

/* --- putting it in, taking it out ------------------------------------------- */

static bool is_locked_by(BIO *bio, const struct atls_lock *lock)
{
    return lock != NULL && bio != NULL && BIO_get_data(bio) == lock;
}

/* A filter that holds the lock; NULL: out of memory. */
static BIO *make_filter(struct atls_lock *lock)
{
    BIO_METHOD *method = lock_method();
    BIO *filter = method != NULL ? BIO_new(method) : NULL;

    if (filter == NULL)
        return NULL;
    atomic_fetch_add(&lock->refs, 1);
    BIO_set_data(filter, lock);
    return filter;
}

enum atls_error atls_lock_put(struct atls_connection *connection, SSL *s)
{
    BIO *below = SSL_get_wbio(s);
    BIO *filter;

    if (below == NULL || is_locked_by(below, connection->lock))
        return ATLS_OK;
    atls_lock_forget(connection); /* the program took its BIO away */
    connection->lock = OPENSSL_zalloc(sizeof(*connection->lock));
    if (connection->lock == NULL)
        return ATLS_E_NOMEM;
    atomic_init(&connection->lock->refs, 1);
    connection->lock->s = s;
    filter = make_filter(connection->lock);
    if (filter == NULL) {
        atls_lock_forget(connection);
        return ATLS_E_NOMEM;
    }
    /* Not BIO_push(): who is before the program's BIO stays as it was. */
    BIO_up_ref(below);
    BIO_set_next(filter, below);
    SSL_set0_wbio(s, filter);
    return ATLS_OK;
}

void atls_lock_take_out(struct atls_connection *connection, SSL *s)
{
    BIO *filter = SSL_get_wbio(s);
    BIO *below;

    if (!is_locked_by(filter, connection->lock))
        return;
    below = BIO_next(filter);
    BIO_up_ref(below);
    SSL_set0_wbio(s, below);
    atls_lock_forget(connection);
}

void atls_lock_forget(struct atls_connection *connection)
{
    if (connection->lock == NULL)
        return;
    connection->lock->s = NULL;
    unref(connection->lock);
    connection->lock = NULL;
}
