/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ATTESTER_LOG_ROOM_H
#define ATLS_ATTESTER_LOG_ROOM_H

#include <stdbool.h>
#include <stddef.h>

#include "attester/quoter.h"
#include "evidence/codec.h"

/*
 * A measured log only grows until the machine boots, and evidence carries all of it:
 * how much room is left? Told before handshakes fail for it.
 */
struct atls_log_room {
    size_t events, events_max;
    size_t octets,
        octets_max; /* of a record without a boot log, which can be left
                                  out */
};

/* That of evidence. Of its spans the log's alone are looked into. Pure. */
void atls_log_room_of(const struct atls_evidence *evidence,
                      struct atls_log_room *ret_room);

/* Does it exceed what can be sent? Is it at 75 % of that, or more? How many percent
 * of what is scarcer? Pure. */
bool atls_log_room_is_exceeded(const struct atls_log_room *room);
bool atls_log_room_is_scarce(const struct atls_log_room *room);
unsigned atls_log_room_percent(const struct atls_log_room *room);

/*
 * What a quoter's evidence of format 3 has beside the events of the log, before it is
 * made: lengths as they are, where they are known, or at their longest. Its spans have
 * lengths only. Reads ak_chain; where that is not to be had, as for a machine whose AK
 * has no certificate yet, it is guessed.
 *   config  NULL: nothing is known
 */
void atls_log_room_outline(const struct atls_quoter_config *config,
                           struct atls_evidence *ret_outline);

#endif
