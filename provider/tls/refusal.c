/* SPDX-License-Identifier: BSD-2-Clause */
#include "tls/refusal.h"

#include "pace.h"

static struct atls_pace paces[ATLS_E_COUNT]; /* by code */

void atls_refusal_log(struct atls_log *log, const struct atls_reason *why)
{
    char more[ATLS_PACE_MORE_SIZE];

    if (atls_pace_turn(&paces[why->code], more))
        atls_log_write(log, ATLS_LOG_ERROR, "handshake refused: %s%s",
                       why->text, more);
}
