/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_EVIDENCE_EVENT_FORM_H
#define ATLS_EVIDENCE_EVENT_FORM_H

#include <stdbool.h>
#include <stddef.h>

#include "evidence/eventlog.h"
#include "base/span.h"

/*
 * Contents that look like a component, certificate or authority event and are none:
 * other tools log them with a line feed at their end, with digits in upper case. One
 * component has one content (doc/PROTOCOL.md, "Measured log"), so they count for
 * nothing; this is for saying so.
 */

/* Octets of words about them. */
#define ATLS_EVENT_FLAWS_MAX 200u

/*
 * Is it one of the three forms but for white space, NULs and case?
 *   ret_event  the event that was meant
 *   ret_flaws  in what the content differs from its form: "a line feed at its end"
 * False for the forms themselves, and for everything else. Pure.
 */
bool atls_event_resembles(struct atls_span content,
                          struct atls_event *ret_event,
                          char ret_flaws[ATLS_EVENT_FLAWS_MAX]);

/* Room for a content, such that the forms and what resembles them are whole. */
#define ATLS_EVENT_SHOWN_MAX 260u

/*
 * A content for people, to be put between double quotes: \n, \r, \t, \\, \" and
 * \xNN, all else is printable ASCII. Where it is longer than there is room for, "..."
 * stands in its middle, between begin and end.
 *   size  octets of ret with its NUL, 32 or more
 */
void atls_event_show(struct atls_span content, char *ret, size_t size);

#endif
