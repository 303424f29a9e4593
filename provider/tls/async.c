/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/async.h"

#include <errno.h>
#include <openssl/async.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include "base/descriptor.h"
#include "base/opening.h"
#include "tls/refusal.h"

/* From here on ex_data of an SSL are made too early and freed too late. */
#define VERSION_3_2 0x30200000ul

/* Of one wait context. */
struct atls_parking {
    struct atls_descriptor epoll;
    bool is_told;                 /* the program knows it */
    struct atls_pending *pending; /* what a parked job waits for; NULL: none */
};

/* Its address is our key in wait contexts. */
static const char wait_key;

/* --- the wait descriptor --------------------------------------------------- */

static void free_parking(struct atls_parking *parking)
{
    atls_pending_drop(parking->pending);
    atls_descriptor_close_anonymous(&parking->epoll);
    OPENSSL_free(parking);
}

/* The wait context goes. */
static void clean_up(ASYNC_WAIT_CTX *ctx, const void *key, OSSL_ASYNC_FD fd,
                     void *custom)
{
    int saved_errno = errno;

    (void)ctx, (void)key, (void)fd;
    free_parking(custom);
    errno = saved_errno;
}

static enum atls_error make_parking(struct atls_reason *why,
                                    struct atls_parking **ret_parking)
{
    struct atls_parking *parking = OPENSSL_zalloc(sizeof(*parking));
    int epoll_fd;

    if (parking == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    epoll_fd = atls_open_epoll();
    if (epoll_fd < 0) {
        int error = errno;

        OPENSSL_free(parking);
        return atls_fail(why, ATLS_E_IO,
                         "cannot park the handshake while evidence is made: "
                         "%s; raise the limit of descriptors",
                         strerror(error));
    }
    atls_descriptor_set(&parking->epoll, epoll_fd);
    *ret_parking = parking;
    return ATLS_OK;
}

/* That of the wait context, made if need be; NULL when it is taken: jobs of the
 * program's own may share a wait context. */
static enum atls_error find_parking(ASYNC_WAIT_CTX *ctx,
                                    struct atls_reason *why,
                                    struct atls_parking **ret_parking)
{
    struct atls_parking *parking;
    void *custom = NULL;
    OSSL_ASYNC_FD fd;

    if (!ASYNC_WAIT_CTX_get_fd(ctx, &wait_key, &fd, &custom))
        return make_parking(why, ret_parking);
    parking = custom;
    *ret_parking = parking->pending == NULL ? parking : NULL;
    return ATLS_OK;
}

/* Programs learn of a wait descriptor when a job pauses, and HAProxy ends itself
 * when it later finds one that it was not told of. */
static void leave_parking(ASYNC_WAIT_CTX *ctx, struct atls_parking *parking)
{
    if (parking->is_told)
        return;
    (void)ASYNC_WAIT_CTX_clear_fd(ctx, &wait_key); /* it may not be there yet */
    free_parking(parking);
}

/* --- pausing ---------------------------------------------------------------- */

/* A pause tells the program of new descriptors. Between ASYNC_block_pause() and
 * ASYNC_unblock_pause() there is none: the call returns at once. */
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

/* ATLS_OK: it is ready, or has to be waited for without pauses. */
static enum atls_error pause_until_ready(
    const struct atls_connection *connection, const SSL *s, ASYNC_WAIT_CTX *ctx,
    struct atls_parking *parking, int *found_errno, struct atls_reason *why)
{
    const OSSL_HANDSHAKE_STATE state = SSL_get_state(s);

    do {
        if (!pause_job(ctx, found_errno))
            return ATLS_OK;
        parking->is_told = true;
        if (connection->is_being_freed)
            return atls_fail(why, ATLS_E_UNEXPECTED, NULL);
        /* libssl goes on where it was, with buffers that are gone: it must not. */
        if (SSL_get_state(s) != state)
            return atls_fail(why, ATLS_E_UNEXPECTED,
                             "the program cleared the connection while its "
                             "handshake waited for evidence");
    } while (!atls_pending_is_ready(parking->pending));
    return ATLS_OK;
}

/* Threads are numbered as they come here, from 1. (Threads that have ended leave
 * their pthread_t and their number at the kernel to others.) */
static uint64_t this_thread(void)
{
    static atomic_uint_fast64_t count;
    static _Thread_local uint64_t number;

    if (number == 0)
        number = atomic_fetch_add(&count, 1) + 1;
    return number;
}

static enum atls_error park(struct atls_connection *connection, const SSL *s,
                            ASYNC_WAIT_CTX *ctx, struct atls_parking *parking,
                            struct atls_pending *pending, int *found_errno,
                            struct atls_reason *why)
{
    enum atls_error r = atls_pending_watch(pending, parking->epoll.fd, why);

    if (r != ATLS_OK)
        return r;
    if (!parking->is_told
        && !ASYNC_WAIT_CTX_set_wait_fd(ctx, &wait_key, parking->epoll.fd,
                                       parking, clean_up))
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    parking->pending = pending;
    connection->parked_by = this_thread();
    r = pause_until_ready(connection, s, ctx, parking, found_errno, why);
    connection->parked_by = 0;
    parking->pending = NULL;
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
    struct atls_parking *parking = NULL;
    enum atls_error r = ATLS_OK;

    if (ctx != NULL && !atls_pending_is_ready(pending))
        r = find_parking(ctx, why, &parking);
    if (r == ATLS_OK && parking != NULL)
        r = park(connection, s, ctx, parking, pending, found_errno, why);
    if (r == ATLS_OK)
        r = atls_pending_wait(pending, why, ret_cmw, ret_len);
    else
        atls_pending_drop(pending);
    if (parking != NULL)
        leave_parking(ctx, parking);
    return r;
}

/* --- jobs that nobody resumes ------------------------------------------------ */

void atls_async_prepare(SSL *s)
{
    if (OpenSSL_version_num() >= VERSION_3_2)
        return;
    if ((SSL_get_mode(s) & SSL_MODE_ASYNC) != 0
        && atls_context_of(SSL_get_SSL_CTX(s)) != NULL)
        SSL_set_info_callback(s, atls_refusal_info);
}

/* Only the thread that began a job may resume it, and not from within another
 * one. A job of the program's own is not ours to resume at all. */
static bool can_resume(const struct atls_connection *connection, SSL *s)
{
    return OpenSSL_version_num() < VERSION_3_2
           && connection->parked_by == this_thread() && SSL_waiting_for_async(s)
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
    SSL_set_mode(s, SSL_MODE_ASYNC); /* else it would begin without the job */
    ERR_set_mark();
    (void)SSL_do_handshake(s); /* is refused */
    ERR_pop_to_mark();
    errno = saved_errno;
}
