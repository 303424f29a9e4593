/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/tpm_link_kind.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "base/clock.h"

/* tag, size, code: Part 1, "Command/Response Structure". */
#define HEADER_LEN 10u
#define HEADER_SIZE_AT 2u

/* As poll() takes it; INT64_MAX: without end. */
static int time_until(int64_t end)
{
    int64_t left;

    if (end == INT64_MAX)
        return -1;
    left = end - atls_now_ms();
    if (left < 0)
        return 0;
    return left > INT_MAX ? INT_MAX : (int)left;
}

static int64_t deadline_of(const struct atls_link *link)
{
    return link->deadline_ms != 0 ? link->deadline_ms : INT64_MAX;
}

enum atls_error atls_link_wait(const struct atls_link *link, int fd,
                               short events, int limit_ms,
                               struct atls_reason *why)
{
    int64_t deadline = deadline_of(link);
    int64_t end = limit_ms < 0 ? INT64_MAX : atls_now_ms() + limit_ms;

    if (end > deadline)
        end = deadline;
    do {
        struct pollfd fds[2] = {{fd, events, 0}, {link->wake_fd, POLLIN, 0}};
        int ready = poll(fds, 2, time_until(end));

        if (ready < 0 && errno != EINTR)
            return atls_fail(why, ATLS_E_INTERNAL, "cannot wait for a TPM: %s",
                             strerror(errno));
        if (ready > 0 && fds[1].revents != 0)
            return atls_fail(why, ATLS_E_TIMEOUT,
                             "gave up a TPM command: the quoter is stopping");
        if (ready > 0)
            return ATLS_OK;
    } while (atls_now_ms() < end);
    if (end != deadline)
        return ATLS_OK;
    return atls_fail(why, ATLS_E_TIMEOUT,
                     "the TPM at %s did not answer in time" ATLS_MORE
                     ": it is silent, or "
                     "busy with other programs",
                     link->tcti);
}

static enum atls_error broken(const struct atls_link *link, int error,
                              struct atls_reason *why)
{
    return atls_fail(why, ATLS_E_TPM_UNAVAILABLE,
                     "lost the TPM %s in the middle of a command: %s",
                     link->tcti,
                     error == 0 ? "connection closed" : strerror(error));
}

/* A device takes a command in one piece only; it is never short of room. */
static enum atls_error write_all(struct atls_link *link,
                                 struct atls_span command,
                                 struct atls_reason *why)
{
    size_t done = 0;

    while (done < command.len) {
        const uint8_t *p = command.data + done;
        enum atls_error r;
        ssize_t n;

        if (link->address_len != 0)
            n = send(link->fd, p, command.len - done, MSG_NOSIGNAL);
        else
            n = write(link->fd, p, command.len - done);
        if (n >= 0) {
            done += (size_t)n;
            continue;
        }
        if (errno == EINTR)
            continue;
        if (errno != EAGAIN)
            return broken(link, errno, why);
        r = atls_link_wait(link, link->fd, POLLOUT, -1, why);
        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

static uint32_t response_size(const uint8_t *header)
{
    const uint8_t *p = header + HEADER_SIZE_AT;

    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8
           | p[3];
}

/* Some drivers hand out a response once and whole: always offer all room. */
static enum atls_error read_response(struct atls_link *link, uint8_t *response,
                                     size_t *ret_len, struct atls_reason *why)
{
    size_t have = 0;

    for (;;) {
        enum atls_error r = atls_link_wait(link, link->fd, POLLIN, -1, why);
        ssize_t n;

        if (r != ATLS_OK)
            return r;
        n = read(link->fd, response + have, TPM2_MAX_RESPONSE_SIZE - have);
        if (n < 0 && (errno == EINTR || errno == EAGAIN))
            continue;
        if (n <= 0)
            return broken(link, n < 0 ? errno : 0, why);
        have += (size_t)n;
        if (have < HEADER_LEN)
            continue;
        if (response_size(response) < have
            || response_size(response) > TPM2_MAX_RESPONSE_SIZE)
            return atls_fail(why, ATLS_E_TPM,
                             "%s is no TPM or speaks another protocol" ATLS_MORE
                             ": it says "
                             "that its response has %u octets",
                             link->tcti, response_size(response));
        if (response_size(response) > have)
            continue;
        *ret_len = have;
        return ATLS_OK;
    }
}

enum atls_error atls_link_converse(struct atls_link *link,
                                   struct atls_span command, uint8_t *response,
                                   size_t *ret_len, struct atls_reason *why)
{
    enum atls_error r = write_all(link, command, why);

    if (r != ATLS_OK)
        return r;
    return read_response(link, response, ret_len, why);
}
