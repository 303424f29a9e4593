/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/tpm_tcti.h"

#include <openssl/crypto.h>
#include <stdbool.h>
#include <string.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tpm2_types.h>

#include "attester/tpm_link.h"

#define MAGIC 0x61747465737474ULL /* "attestt" */

/* Part 1, "Command/Response Structure". */
#define CODE_AT 6u

/* A TPM that asks to try again is asked at growing intervals, so that a self
 * test of some seconds fits. */
#define SUBMISSIONS_MAX 100
#define PAUSE_MIN_MS 5u
#define PAUSE_MAX_MS 100u

struct atls_tcti {
    TSS2_TCTI_CONTEXT_COMMON_V1 common; /* first: ESYS has a pointer to it */
    struct atls_link *link;
    size_t command_len;
    size_t response_len; /* 0: not received yet */
    struct atls_reason failure;
    uint32_t failure_rc;
    uint8_t command[TPM2_MAX_COMMAND_SIZE];
    uint8_t response[TPM2_MAX_RESPONSE_SIZE];
};

static struct atls_tcti *of_context(TSS2_TCTI_CONTEXT *context)
{
    void *tcti = context;

    return tcti;
}

static TSS2_RC transmit(TSS2_TCTI_CONTEXT *context, size_t len,
                        const uint8_t *command)
{
    struct atls_tcti *tcti = of_context(context);

    if (len > sizeof(tcti->command))
        return TSS2_TCTI_RC_BAD_VALUE;
    memcpy(tcti->command, command, len);
    tcti->command_len = len;
    tcti->response_len = 0;
    tcti->failure.code = ATLS_OK;
    tcti->failure_rc = 0;
    return TSS2_RC_SUCCESS;
}

static bool asks_to_try_again(uint32_t rc)
{
    return rc == TPM2_RC_RETRY || rc == TPM2_RC_YIELDED
           || rc == TPM2_RC_TESTING;
}

static uint16_t response_tag(const uint8_t *response)
{
    return (uint16_t)(response[0] << 8 | response[1]);
}

static uint32_t response_code(const uint8_t *response)
{
    const uint8_t *p = response + CODE_AT;

    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8
           | p[3];
}

/* ATLS_OK also when the TPM refuses the command. */
static enum atls_error submit(struct atls_tcti *tcti)
{
    const struct atls_span command = {tcti->command, tcti->command_len};
    unsigned pause_ms = PAUSE_MIN_MS;

    for (int left = SUBMISSIONS_MAX; left > 0; left--) {
        enum atls_error r =
            atls_link_exchange(tcti->link, command, tcti->response,
                               &tcti->response_len, &tcti->failure);

        if (r != ATLS_OK || !asks_to_try_again(response_code(tcti->response)))
            return r;
        r = atls_link_pause(tcti->link, pause_ms, &tcti->failure);
        if (r != ATLS_OK)
            return r;
        if (pause_ms < PAUSE_MAX_MS)
            pause_ms *= 2;
    }
    return ATLS_OK;
}

/* ATLS_OK when there is a successful response; else the failure is kept. */
static enum atls_error execute(struct atls_tcti *tcti)
{
    enum atls_error r = submit(tcti);
    uint16_t tag;

    if (r != ATLS_OK)
        return r;
    tag = response_tag(tcti->response);
    if (tag == TPM2_ST_RSP_COMMAND)
        return atls_fail(&tcti->failure, ATLS_E_TPM,
                         "this is a TPM 1.2: a TPM 2.0 is needed");
    if (tag != TPM2_ST_SESSIONS && tag != TPM2_ST_NO_SESSIONS)
        return atls_fail(&tcti->failure, ATLS_E_TPM,
                         "no TPM response: tag 0x%04x", tag);
    tcti->failure_rc = response_code(tcti->response);
    if (tcti->failure_rc != TPM2_RC_SUCCESS)
        return atls_fail(&tcti->failure, ATLS_E_TPM, "%s (0x%x)",
                         Tss2_RC_Decode(tcti->failure_rc), tcti->failure_rc);
    return ATLS_OK;
}

/* ESYS calls it twice: for the length, then for the response. */
static TSS2_RC receive(TSS2_TCTI_CONTEXT *context, size_t *len,
                       uint8_t *response, int32_t timeout)
{
    struct atls_tcti *tcti = of_context(context);

    (void)timeout; /* the link knows the deadline */
    if (tcti->failure.code != ATLS_OK)
        return TSS2_TCTI_RC_TRY_AGAIN;
    if (tcti->response_len == 0 && execute(tcti) != ATLS_OK)
        return TSS2_TCTI_RC_TRY_AGAIN;
    if (response != NULL && *len < tcti->response_len)
        return TSS2_TCTI_RC_INSUFFICIENT_BUFFER;
    if (response != NULL)
        memcpy(response, tcti->response, tcti->response_len);
    *len = tcti->response_len;
    return TSS2_RC_SUCCESS;
}

enum atls_error atls_tcti_open(const char *tcti, struct atls_reason *why,
                               struct atls_tcti **ret_tcti)
{
    struct atls_tcti *opened = OPENSSL_zalloc(sizeof(*opened));
    enum atls_error r;

    if (opened == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    opened->common.magic = MAGIC;
    opened->common.version = 1;
    opened->common.transmit = transmit;
    opened->common.receive = receive;
    r = atls_link_open(tcti, why, &opened->link);
    if (r != ATLS_OK) {
        OPENSSL_free(opened);
        return r;
    }
    *ret_tcti = opened;
    return ATLS_OK;
}

/* Commands carry the AK's authorization value. */
void atls_tcti_close(struct atls_tcti *tcti)
{
    if (tcti == NULL)
        return;
    atls_link_close(tcti->link);
    OPENSSL_clear_free(tcti, sizeof(*tcti));
}

void atls_tcti_set_deadline(struct atls_tcti *tcti, int64_t deadline_ms,
                            int wake_fd)
{
    atls_link_set_deadline(tcti->link, deadline_ms, wake_fd);
}

TSS2_TCTI_CONTEXT *atls_tcti_context(struct atls_tcti *tcti)
{
    void *common = &tcti->common;

    return common;
}

const struct atls_reason *atls_tcti_failure(const struct atls_tcti *tcti,
                                            uint32_t *ret_rc)
{
    *ret_rc = tcti->failure_rc;
    return &tcti->failure;
}
