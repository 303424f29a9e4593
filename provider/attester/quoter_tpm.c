/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/quoter_tpm.h"

#include <openssl/crypto.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define BACKOFF_MIN_MS 50u
#define BACKOFF_MAX_MS 1000u

void atls_quoter_tpm_init(struct atls_quoter_tpm *q,
                          struct atls_quoter_core *core)
{
    memset(q, 0, sizeof(*q));
    q->core = core;
}

void atls_quoter_tpm_close(struct atls_quoter_tpm *q)
{
    atls_tpm_close(q->tpm);
    q->tpm = NULL;
}

/* A chain for another key would make every verifier refuse, and none could say
 * why. */
static enum atls_error compare_chain(struct atls_quoter_tpm *q,
                                     struct atls_reason *why)
{
    const struct atls_quoter_setup *setup = q->core->setup;
    uint8_t *spki = NULL;
    size_t len = 0;
    bool is_same;
    enum atls_error r;

    r = atls_tpm_ak_public(q->tpm, why, &spki, &len);
    if (r != ATLS_OK)
        return r;
    is_same = len == setup->ak_spki.len
              && memcmp(spki, setup->ak_spki.data, len) == 0;
    OPENSSL_free(spki);
    if (!is_same)
        return atls_fail(
            why, ATLS_E_AK,
            "the certificate in %s is for another key than AK %s" ATLS_MORE ": "
            "correct ak or ak_chain, or have that AK certified",
            setup->ak_chain, setup->ak);
    return ATLS_OK;
}

static enum atls_error open_tpm(struct atls_quoter_tpm *q, int64_t deadline_ms,
                                struct atls_reason *why)
{
    const struct atls_quoter_setup *setup = q->core->setup;
    enum atls_error r;

    if (q->tpm == NULL) {
        r = atls_tpm_open(setup->tcti, why, &q->tpm);
        if (r != ATLS_OK)
            return r;
        atls_tpm_set_deadline(q->tpm, deadline_ms,
                              atls_quoter_core_wake_fd(q->core));
        r = atls_tpm_load_ak(q->tpm, setup->ak, setup->auth, setup->auth_len,
                             why);
        if (r != ATLS_OK)
            return r;
        r = compare_chain(q, why);
        if (r != ATLS_OK)
            return r;
        if (!atls_tpm_ak_has_no_da(q->tpm))
            atls_quoter_note(
                q->core, ATLS_LOG_WARN,
                "AK %s lacks the attribute noDA: wrong passwords "
                "for other keys can lock it out; make another, see "
                "attest(7)",
                setup->ak);
    }
    atls_tpm_set_deadline(q->tpm, deadline_ms,
                          atls_quoter_core_wake_fd(q->core));
    return ATLS_OK;
}

static enum atls_error attempt(struct atls_quoter_tpm *q,
                               struct atls_batch *batch)
{
    enum atls_error r = open_tpm(q, batch->deadline_ms, &batch->why);

    if (r == ATLS_OK)
        r = atls_tpm_quote_consistent(q->tpm, &q->core->setup->selection,
                                      atls_merkle_tree_root(batch->tree),
                                      ATLS_SHA256_LEN, &batch->why,
                                      &batch->values, &batch->quote);
    /* Moving PCRs are no fault of the connection. */
    if (r != ATLS_OK && r != ATLS_E_PCR_UNSTABLE)
        atls_quoter_tpm_close(q);
    return r;
}

static void note_success(struct atls_quoter_tpm *q)
{
    if (q->is_down)
        atls_quoter_note(q->core, ATLS_LOG_INFO, "TPM %s quotes again",
                         q->core->setup->tcti);
    q->is_down = false;
    q->backoff_ms = 0;
    q->retry_at_ms = 0;
}

/*
 * Said once, not for every batch; again when it is another reason. The back-off
 * is for what fails at once: who waited in vain for an answer has lost enough
 * time, and PCRs that move leave the connection as good as it was.
 */
static void note_failure(struct atls_quoter_tpm *q,
                         const struct atls_reason *why)
{
    if (!q->is_down || strcmp(q->reason.text, why->text) != 0)
        atls_quoter_note(q->core, ATLS_LOG_ERROR, "cannot quote: %s",
                         why->text);
    q->is_down = true;
    q->reason = *why;
    q->retry_at_ms = 0;
    if (why->code == ATLS_E_TIMEOUT || why->code == ATLS_E_PCR_UNSTABLE)
        return;
    q->backoff_ms *= 2;
    if (q->backoff_ms < BACKOFF_MIN_MS)
        q->backoff_ms = BACKOFF_MIN_MS;
    if (q->backoff_ms > BACKOFF_MAX_MS)
        q->backoff_ms = BACKOFF_MAX_MS;
    q->retry_at_ms = atls_now_ms() + q->backoff_ms;
}

/* A connection that was idle may be to a TPM that is gone: try a fresh one
 * before handshakes fail. What took all the time is not tried again. */
enum atls_error atls_quoter_tpm_quote(struct atls_quoter_tpm *q,
                                      struct atls_batch *batch)
{
    bool was_open = q->tpm != NULL;
    enum atls_error r;

    if (q->is_down && atls_now_ms() < q->retry_at_ms) {
        batch->why = q->reason;
        return q->reason.code;
    }
    r = attempt(q, batch);
    if (r != ATLS_OK && r != ATLS_E_TIMEOUT && q->tpm == NULL && was_open)
        r = attempt(q, batch);
    if (r == ATLS_OK)
        note_success(q);
    else
        note_failure(q, &batch->why);
    return r;
}

enum atls_error atls_quoter_tpm_read(struct atls_quoter_tpm *q,
                                     const struct atls_pcr_selection *selection,
                                     int64_t deadline_ms,
                                     struct atls_reason *why,
                                     struct atls_pcr_values *ret_values)
{
    enum atls_error r;

    if (q->tpm == NULL)
        return atls_fail(why, ATLS_E_TPM_UNAVAILABLE, NULL);
    atls_tpm_set_deadline(q->tpm, deadline_ms,
                          atls_quoter_core_wake_fd(q->core));
    r = atls_tpm_read_pcrs(q->tpm, selection, why, ret_values);
    if (r != ATLS_OK)
        atls_quoter_tpm_close(q);
    return r;
}
