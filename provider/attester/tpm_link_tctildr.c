/* SPDX-License-Identifier: BSD-2-Clause */
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>
#include <tss2/tss2_tpm2_types.h>

#include "attester/tpm_link_kind.h"
#include "base/opening.h"

/* Room for a TCTI's name, which may be the path of its library. */
#define NAME_SIZE 256
/* What of it a reason has room for, twice. */
#define SHOWN_MAX 40

/* How often a TCTI that is not ready is asked for its response. */
#define ASK_AGAIN_MS 5

/* Of the TCTIs there are, none has more than one. */
#define HANDLES_MAX 4

static enum atls_error failed(const struct atls_link *link,
                              enum atls_error code, TSS2_RC rc,
                              struct atls_reason *why)
{
    return atls_fail(why, code, "tcti %s: %s (0x%x)", link->tcti,
                     Tss2_RC_Decode(rc), rc);
}

/* The handles that a TCTI has at this moment, which may be none. */
static size_t poll_handles(struct atls_link *link,
                           TSS2_TCTI_POLL_HANDLE *handles)
{
    size_t count = HANDLES_MAX;

    if (Tss2_Tcti_GetPollHandles(link->inner, handles, &count)
        != TSS2_RC_SUCCESS)
        return 0;
    return count;
}

/* A TCTI opens its descriptors without O_CLOEXEC: close that gap as early as
 * can be. */
static void set_cloexec(struct atls_link *link)
{
    TSS2_TCTI_POLL_HANDLE handles[HANDLES_MAX];
    size_t count = poll_handles(link, handles);

    for (size_t i = 0; i < count; i++) {
        if (handles[i].fd >= 0)
            (void)fcntl(handles[i].fd, F_SETFD, FD_CLOEXEC);
    }
}

/* The loader found no library of that name, Debian's packages are called after. */
static enum atls_error no_such_tcti(const char *tcti, struct atls_reason *why)
{
    const size_t len = strcspn(tcti, ":");
    const int shown = len < SHOWN_MAX ? (int)len : SHOWN_MAX;

    return atls_fail(
        why, ATLS_E_CONFIG,
        "tpm2-tss has no TCTI \"%.*s\": correct quoter, or install "
        "libtss2-tcti-%.*s",
        shown, tcti, shown, tcti);
}

static enum atls_error tctildr_check(const char *tcti, struct atls_reason *why)
{
    size_t len = strcspn(tcti, ":");
    TSS2_TCTI_INFO *info = NULL;
    struct atls_opening opening;
    char name[NAME_SIZE];
    TSS2_RC rc;

    if (len >= sizeof(name))
        return no_such_tcti(tcti, why);
    memcpy(name, tcti, len);
    name[len] = '\0';
    atls_opening_begin(&opening);
    rc = Tss2_TctiLdr_GetInfo(name, &info);
    atls_opening_end(&opening);
    if (rc != TSS2_RC_SUCCESS)
        return no_such_tcti(tcti, why);
    Tss2_TctiLdr_FreeInfo(&info);
    return ATLS_OK;
}

static enum atls_error tctildr_open(struct atls_link *link,
                                    struct atls_reason *why)
{
    struct atls_opening opening;
    TSS2_RC rc;

    atls_opening_begin(&opening);
    rc = Tss2_TctiLdr_Initialize(link->tcti, &link->inner);
    atls_opening_end(&opening);
    if (rc == TSS2_TCTI_RC_NOT_SUPPORTED)
        return no_such_tcti(link->tcti, why);
    if (rc == TSS2_TCTI_RC_BAD_VALUE)
        return failed(link, ATLS_E_CONFIG, rc, why);
    if (rc != TSS2_RC_SUCCESS)
        return failed(link, ATLS_E_TPM_UNAVAILABLE, rc, why);
    set_cloexec(link);
    return ATLS_OK;
}

/*
 * A TCTI that neither has handles nor heeds the timeout of receive is as late
 * as it likes; handshakes that wait keep their own deadline all the same.
 */
static enum atls_error receive(struct atls_link *link, uint8_t *response,
                               size_t *ret_len, struct atls_reason *why)
{
    TSS2_TCTI_POLL_HANDLE handles[HANDLES_MAX];
    bool has_handle = poll_handles(link, handles) == 1;
    int fd = has_handle ? handles[0].fd : -1;
    enum atls_error r = ATLS_OK;

    if (has_handle)
        r = atls_link_wait(link, fd, POLLIN, -1, why);
    while (r == ATLS_OK) {
        size_t len = TPM2_MAX_RESPONSE_SIZE;
        TSS2_RC rc = Tss2_Tcti_Receive(link->inner, &len, response, 0);

        if (rc == TSS2_RC_SUCCESS) {
            *ret_len = len;
            return ATLS_OK;
        }
        if (rc != TSS2_TCTI_RC_TRY_AGAIN)
            return failed(link, ATLS_E_TPM_UNAVAILABLE, rc, why);
        r = atls_link_wait(link, -1, 0, ASK_AGAIN_MS, why);
    }
    return r;
}

static enum atls_error tctildr_exchange(struct atls_link *link,
                                        struct atls_span command,
                                        uint8_t *response, size_t *ret_len,
                                        struct atls_reason *why)
{
    struct atls_opening opening;
    TSS2_RC rc;

    atls_opening_begin(&opening); /* some connect for each command */
    rc = Tss2_Tcti_Transmit(link->inner, command.len, command.data);
    atls_opening_end(&opening);
    if (rc != TSS2_RC_SUCCESS)
        return failed(link, ATLS_E_TPM_UNAVAILABLE, rc, why);
    set_cloexec(link);
    return receive(link, response, ret_len, why);
}

static void tctildr_close(struct atls_link *link)
{
    if (link->inner != NULL)
        Tss2_TctiLdr_Finalize(&link->inner);
}

const struct atls_link_kind atls_link_tctildr = {
    .name = "tctildr",
    .check = tctildr_check,
    .open = tctildr_open,
    .exchange = tctildr_exchange,
    .close = tctildr_close,
};
