/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TEST_FAKEAGENT_H
#define TEST_FAKEAGENT_H

#include <stddef.h>

#include "evidence/binding.h"

/*
 * In place of attestd: a thread of the test program that answers as the test says, right
 * or wrong. It makes no evidence: what it hands out are FAKEAGENT_CMW_LEN octets,
 * "fake", the role and the channel of the request, so that whoever gets them sees
 * whose they are.
 */
struct fakeagent;

#define FAKEAGENT_CMW_LEN (4u + 1u + ATLS_CHANNEL_LEN)

/* What it does with requests for evidence. */
enum fakeagent_mood {
    FAKEAGENT_GOOD,
    FAKEAGENT_SILENT,
    FAKEAGENT_REFUSES,       /* ATLS_E_NOT_ALLOWED, FAKEAGENT_REFUSAL */
    FAKEAGENT_REFUSES_FIRST, /* the same, before it was asked; and closes */
    FAKEAGENT_CLOSES,        /* when it has read the request */
    FAKEAGENT_CLOSES_UNREAD, /* when it was accepted */
    FAKEAGENT_GARBAGE,
    FAKEAGENT_TOO_LONG,   /* one octet more than any answer has */
    FAKEAGENT_HANDS_OVER, /* a connection, which was not asked for */
    FAKEAGENT_ADDS        /* descriptors to what is right */
};

/* What it does with requests for a connection. */
enum fakeagent_standing {
    FAKEAGENT_STANDING_GOOD,
    FAKEAGENT_STANDING_SILENT,
    FAKEAGENT_STANDING_LATE, /* answers when its mood changes */
    FAKEAGENT_STANDING_REFUSES,
    FAKEAGENT_STANDING_CLOSES,
    FAKEAGENT_STANDING_GARBAGE,
    FAKEAGENT_STANDING_TOO_LONG,
    FAKEAGENT_STANDING_EVIDENCE, /* evidence, which was not asked for */
    FAKEAGENT_STANDING_EMPTY,    /* no descriptor */
    FAKEAGENT_STANDING_FULL,     /* more descriptors than one */
    FAKEAGENT_STANDING_PIPE,     /* no socket */
    FAKEAGENT_STANDING_DATAGRAM, /* a socket of another type */
    FAKEAGENT_STANDING_DEAD,     /* a dead connection, then the right one */
    FAKEAGENT_STANDING_SMALL     /* a connection with hardly any room to send */
};

#define FAKEAGENT_REFUSAL "user 33 is not in allow"

/* Listen at a path, which must not exist; ends the program when it cannot. */
struct fakeagent *fakeagent_start(const char *path);

/* Close everything; the socket's file stays. NULL is fine. */
void fakeagent_stop(struct fakeagent *agent);

void fakeagent_set(struct fakeagent *agent, enum fakeagent_mood mood,
                   enum fakeagent_standing standing);

/* Answers come that much later than requests. */
void fakeagent_delay(struct fakeagent *agent, unsigned delay_ms);

/* Requests for evidence, and for connections, seen so far. */
unsigned fakeagent_asked(const struct fakeagent *agent);
unsigned fakeagent_standing_asked(const struct fakeagent *agent);

#endif
