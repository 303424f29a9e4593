/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/async.h"

#include <errno.h>
#include <openssl/async.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdatomic.h>
#include <string.h>

#include "base/descriptor.h"
#include "base/opening.h"
#include "tls/refusal.h"

/* From this version on, ex_data of an SSL are made too early and freed too late. */
#define VERSION_3_2 0x30200000ul

/* What we keep for one wait context. */
struct async_wait {
    struct atls_descriptor epoll;
    bool is_known;                /* to the program */
    struct atls_pending *pending; /* what a paused job waits for; NULL: none */
};

/* Its address is our key in wait contexts. */
static const char wait_key;

/* --- the wait descriptor --------------------------------------------------- */

static void free_wait(struct async_wait *wait)
{
    atls_pending_drop(wait->pending);
    atls_descriptor_close_anonymous(&wait->epoll);
    OPENSSL_free(wait);
}

/* OpenSSL frees the wait context. */
static void clean_up(ASYNC_WAIT_CTX *ctx, const void *key, OSSL_ASYNC_FD fd,
                     void *custom)
{
    int saved_errno = errno;

    (void)ctx, (void)key, (void)fd;
    free_wait(custom);
    errno = saved_errno;
}

static enum atls_error make_wait(struct atls_reason *why,
                                 struct async_wait **ret_wait)
{
    struct async_wait *wait = OPENSSL_zalloc(sizeof(*wait));
    int epoll_fd;

    if (wait == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    epoll_fd = atls_open_epoll();
    if (epoll_fd < 0) {
        int error = errno;

        OPENSSL_free(wait);
        return atls_fail(why, ATLS_E_IO,
                         "cannot park the handshake while evidence is made: "
                         "%s; raise the limit of descriptors",
                         strerror(error));
    }
    atls_descriptor_set(&wait->epoll, epoll_fd);
    *ret_wait = wait;
    return ATLS_OK;
}

/* The one of this wait context, made if there is none. NULL when another job waits
 * there: jobs of the program's own may share a wait context. */
static enum atls_error find_wait(ASYNC_WAIT_CTX *ctx, struct atls_reason *why,
                                 struct async_wait **ret_wait)
{
    struct async_wait *wait;
    void *custom = NULL;
    OSSL_ASYNC_FD fd;

    if (!ASYNC_WAIT_CTX_get_fd(ctx, &wait_key, &fd, &custom))
        return make_wait(why, ret_wait);
    wait = custom;
    *ret_wait = wait->pending == NULL ? wait : NULL;
    return ATLS_OK;
}

/* Programs learn of a wait descriptor when a job pauses. HAProxy ends itself when it
 * later finds one that it does not know. */
static void leave_wait(ASYNC_WAIT_CTX *ctx, struct async_wait *wait)
{
    if (wait->is_known)
        return;
    (void)ASYNC_WAIT_CTX_clear_fd(ctx, &wait_key); /* if it is there */
    free_wait(wait);
}

/* --- pausing ---------------------------------------------------------------- */

/* After a pause no descriptor counts as new. Between ASYNC_block_pause() and
 * ASYNC_unblock_pause() the call returns at once. */
static bool was_paused(ASYNC_WAIT_CTX *ctx)
{
    size_t added, deleted;

    ASYNC_WAIT_CTX_get_changed_fds(ctx, NULL, &added, NULL, &deleted);
    return added == 0;
}

static bool pause_job(ASYNC_WAIT_CTX *ctx, int *found_errno)
{
    int result;

    ERR_pop_to_mark();
    errno = *found_errno;
    result = ASYNC_pause_job();
    *found_errno = errno;
    ERR_set_mark();
    return result == 1 && was_paused(ctx);
}

/* ATLS_OK: the evidence is ready, or must be waited for without pauses. */
static enum atls_error pause_until_ready(
    const struct atls_connection *connection, const SSL *s, ASYNC_WAIT_CTX *ctx,
    struct async_wait *wait, int *found_errno, struct atls_reason *why)
{
    const OSSL_HANDSHAKE_STATE state = SSL_get_state(s);

    do {
        if (!pause_job(ctx, found_errno))
            return ATLS_OK;
        wait->is_known = true;
        if (connection->is_being_freed)
            return atls_fail(why, ATLS_E_UNEXPECTED, NULL);
        /* libssl would go on where it was, with buffers that are gone. */
        if (SSL_get_state(s) != state)
            return atls_fail(why, ATLS_E_UNEXPECTED,
                             "the program cleared the connection while its "
                             "handshake waited for evidence");
    } while (!atls_pending_is_ready(wait->pending));
    return ATLS_OK;
}

/* A number for each thread that calls this, from 1. (pthread_t and the kernel's thread
 * number are given to other threads when one has ended.) */
static uint64_t this_thread(void)
{
    static atomic_uint_fast64_t count;
    static _Thread_local uint64_t number;

    if (number == 0)
        number = atomic_fetch_add(&count, 1) + 1;
    return number;
}

static enum atls_error wait_paused(struct atls_connection *connection,
                                   const SSL *s, ASYNC_WAIT_CTX *ctx,
                                   struct async_wait *wait,
                                   struct atls_pending *pending,
                                   int *found_errno, struct atls_reason *why)
{
    enum atls_error r = atls_pending_watch(pending, wait->epoll.fd, why);

    if (r != ATLS_OK)
        return r;
    if (!wait->is_known
        && !ASYNC_WAIT_CTX_set_wait_fd(ctx, &wait_key, wait->epoll.fd, wait,
                                       clean_up))
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    wait->pending = pending;
    connection->paused_by = this_thread();
    r = pause_until_ready(connection, s, ctx, wait, found_errno, why);
    connection->paused_by = 0;
    wait->pending = NULL;
    return r;
}

static ASYNC_WAIT_CTX *wait_context(void)
{
    ASYNC_JOB *job = ASYNC_get_current_job();

    return job != NULL ? ASYNC_get_wait_ctx(job) : NULL;
}

enum atls_error atls_async_wait(struct atls_connection *connection,
                                const SSL *s, struct atls_pending *pending,
                                int *found_errno, struct atls_reason *why,
                                uint8_t **ret_cmw, size_t *ret_len)
{
    ASYNC_WAIT_CTX *ctx = wait_context();
    struct async_wait *wait = NULL;
    enum atls_error r = ATLS_OK;

    if (ctx != NULL && !atls_pending_is_ready(pending))
        r = find_wait(ctx, why, &wait);
    if (r == ATLS_OK && wait != NULL)
        r = wait_paused(connection, s, ctx, wait, pending, found_errno, why);
    if (r == ATLS_OK)
        r = atls_pending_wait(pending, why, ret_cmw, ret_len);
    else
        atls_pending_drop(pending);
    if (wait != NULL)
        leave_wait(ctx, wait);
    return r;
}

/* --- jobs that no program resumes ------------------------------------------------ */

void atls_async_prepare(SSL *s)
{
    if (OpenSSL_version_num() >= VERSION_3_2)
        return;
    if ((SSL_get_mode(s) & SSL_MODE_ASYNC) != 0
        && atls_context_of(SSL_get_SSL_CTX(s)) != NULL)
        SSL_set_info_callback(s, atls_refusal_info);
}

/* Only the thread that began a job may resume it, and not from within another job.
 * A job of the program's own is left alone. */
static bool can_resume(const struct atls_connection *connection, SSL *s)
{
    return OpenSSL_version_num() < VERSION_3_2
           && connection->paused_by == this_thread() && SSL_waiting_for_async(s)
           && SSL_get_info_callback(s) == atls_refusal_info
           && ASYNC_get_current_job() == NULL;
}

void atls_async_release(struct atls_connection *connection, SSL *s)
{
    int saved_errno = errno;

    if (!can_resume(connection, s))
        return;
    connection->is_being_freed = true;
    SSL_set_shutdown(s, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_set_mode(
        s,
        SSL_MODE_ASYNC); /* else it would begin a handshake outside the job */
    ERR_set_mark();
    (void)SSL_do_handshake(s); /* is refused */
    ERR_pop_to_mark();
    errno = saved_errno;
}
