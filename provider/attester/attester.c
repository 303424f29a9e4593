/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/attester.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>

#include "attester/agent_client.h"
#include "base/clock.h"
#include "base/descriptor.h"
#include "base/opening.h"

/* One of the two. */
struct atls_attester {
    struct atls_quoter *quoter;
    struct atls_agent_client *client;
    atomic_bool is_ending; /* the program */
};

/* The same. */
struct atls_pending {
    const struct atls_attester *attester;
    struct atls_ticket *ticket;
    struct atls_agent_call *call;
    struct atls_descriptor timer; /* none: nobody watches */
    int epoll_fd;                 /* who watches */
};

enum atls_error atls_attester_new(const struct atls_attester_config *config,
                                  atls_quoter_log *log, void *log_arg,
                                  struct atls_reason *why,
                                  struct atls_attester **ret_attester)
{
    struct atls_attester *attester = OPENSSL_zalloc(sizeof(*attester));
    enum atls_error r;

    if (attester == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    if (config->socket != NULL) {
        const struct atls_agent_client_config client = {
            .socket = config->socket,
            .timeout_ms = config->quoter.timeout_ms,
        };

        r = atls_agent_client_new(&client, log, log_arg, why,
                                  &attester->client);
    } else {
        r = atls_quoter_new(&config->quoter, log, log_arg, why,
                            &attester->quoter);
    }
    if (r != ATLS_OK) {
        OPENSSL_free(attester);
        return r;
    }
    *ret_attester = attester;
    return ATLS_OK;
}

void atls_attester_stop(struct atls_attester *attester)
{
    atomic_store(&attester->is_ending, true);
    if (attester->quoter != NULL)
        atls_quoter_stop(attester->quoter);
}

void atls_attester_free(struct atls_attester *attester)
{
    if (attester == NULL)
        return;
    atls_quoter_free(attester->quoter);
    atls_agent_client_free(attester->client);
    OPENSSL_free(attester);
}

enum atls_error atls_attester_begin(struct atls_attester *attester,
                                    enum atls_role role,
                                    const uint8_t channel[ATLS_CHANNEL_LEN],
                                    struct atls_span cert_der,
                                    const struct atls_formats *formats,
                                    struct atls_reason *why,
                                    struct atls_pending **ret_pending)
{
    struct atls_pending *pending = OPENSSL_zalloc(sizeof(*pending));
    enum atls_error r;

    if (pending == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    pending->attester = attester;
    pending->timer.fd = -1;
    if (attester->client != NULL)
        r = atls_agent_call_begin(attester->client, role, channel, cert_der,
                                  formats, why, &pending->call);
    else
        r = atls_quoter_submit(attester->quoter, role, channel, cert_der,
                               formats, why, &pending->ticket);
    if (r != ATLS_OK) {
        OPENSSL_free(pending);
        return r;
    }
    *ret_pending = pending;
    return ATLS_OK;
}

static enum atls_error add_watched(int epoll_fd, int fd,
                                   struct atls_reason *why)
{
    struct epoll_event event = {.events = EPOLLIN};

    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return atls_fail(why, ATLS_E_IO, "cannot wait for evidence: %s",
                         strerror(errno));
    return ATLS_OK;
}

/* The agent's answer, or the deadline: the kernel keeps both. */
static enum atls_error watch_call(struct atls_pending *pending, int epoll_fd,
                                  struct atls_reason *why)
{
    const struct itimerspec when = {
        .it_value =
            atls_timespec_of_ms(atls_agent_call_deadline_ms(pending->call)),
    };

    if (timerfd_settime(pending->timer.fd, TFD_TIMER_ABSTIME, &when, NULL) != 0)
        return atls_fail(why, ATLS_E_INTERNAL, "cannot set a timer: %s",
                         strerror(errno));
    return add_watched(epoll_fd, atls_agent_call_fd(pending->call), why);
}

enum atls_error atls_pending_watch(struct atls_pending *pending, int epoll_fd,
                                   struct atls_reason *why)
{
    int timer_fd = atls_open_timer();
    enum atls_error r;

    pending->epoll_fd = epoll_fd;
    if (timer_fd < 0)
        return atls_fail(why, ATLS_E_IO,
                         "cannot make a timer: %s; raise the limit of "
                         "descriptors",
                         strerror(errno));
    atls_descriptor_set(&pending->timer, timer_fd);
    r = add_watched(epoll_fd, timer_fd, why);
    if (r != ATLS_OK)
        return r;
    if (pending->call != NULL)
        return watch_call(pending, epoll_fd, why);
    return atls_ticket_notify(pending->ticket, timer_fd, why);
}

bool atls_pending_is_ready(struct atls_pending *pending)
{
    if (pending->call != NULL)
        return atls_agent_call_is_ready(pending->call);
    return atls_ticket_is_ready(pending->ticket);
}

/* A descriptor that a forked child has as well stays in an epoll instance when it
 * is closed, and keeps it readable. The child itself leaves the instance alone:
 * it is the parent's too. */
static void unwatch(const struct atls_pending *pending)
{
    if (!atls_descriptor_is_own(&pending->timer))
        return;
    (void)epoll_ctl(pending->epoll_fd, EPOLL_CTL_DEL, pending->timer.fd, NULL);
    if (pending->call != NULL)
        (void)epoll_ctl(pending->epoll_fd, EPOLL_CTL_DEL,
                        atls_agent_call_fd(pending->call), NULL);
}

/* The timer is closed after the ticket, which may set it until then. */
static void end(struct atls_pending *pending)
{
    atls_descriptor_close_anonymous(&pending->timer);
    OPENSSL_free(pending);
}

/* Longer than a program takes to end once it has begun to. */
#define STAY_SECONDS 2

/* Another thread is ending the program, and may have stopped what this one waited
 * for. To go on would be to go on in a libcrypto that OPENSSL_cleanup is taking
 * away, so it stays where it would be if its peer were slow. */
static void stay(void)
{
    struct timespec rest = {.tv_sec = STAY_SECONDS};

    while (nanosleep(&rest, &rest) != 0 && errno == EINTR)
        continue;
}

enum atls_error atls_pending_wait(struct atls_pending *pending,
                                  struct atls_reason *why, uint8_t **ret_cmw,
                                  size_t *ret_len)
{
    enum atls_error r;

    unwatch(pending);
    if (pending->call != NULL)
        r = atls_agent_call_wait(pending->call, why, ret_cmw, ret_len);
    else
        r = atls_ticket_wait(pending->ticket, why, ret_cmw, ret_len);
    if (atomic_load(&pending->attester->is_ending))
        stay();
    end(pending);
    return r;
}

void atls_pending_drop(struct atls_pending *pending)
{
    if (pending == NULL)
        return;
    unwatch(pending);
    atls_agent_call_drop(pending->call);
    atls_ticket_drop(pending->ticket);
    end(pending);
}
