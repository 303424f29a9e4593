/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TEST_EVIDENCE_SERVER_H
#define ATTEST_TEST_EVIDENCE_SERVER_H

#include "lib/factory.h"

/*
 * A TLS server in a thread of the test that answers an AttestationRequest with
 * evidence of the factory, or does something wrong instead. Built on libssl
 * alone: nothing of provider/tls but the channel derivation is in it.
 */
enum evidence_server_kind {
    SERVE_EVIDENCE,       /* as it should be */
    SERVE_OTHER_CHANNEL,  /* for the channel the plan came with: replayed */
    SERVE_NO_EVIDENCE,    /* TLS 1.3 without the extension */
    SERVE_MISPLACED,      /* in the second certificate entry, too */
    SERVE_BAD_LENGTH,     /* the length field says one octet more */
    SERVE_EMPTY,          /* an empty record */
    SERVE_INTERNAL_ERROR, /* ends as one that cannot prove itself */
    SERVE_TLS12,          /* speaks TLS 1.2 at most */
    SERVE_TEXT,           /* not TLS at all */
    SERVE_HANGUP,         /* closes after the ClientHello */
    SERVE_SILENCE         /* never answers */
};

struct evidence_server;

/*
 * Listen on a free port of 127.0.0.1 and serve until stopped.
 *   f  made, with certificates that are valid now; the server changes it and
 *      owns it until it is stopped
 */
struct evidence_server *evidence_server_start(enum evidence_server_kind kind,
                                              struct factory *f);
unsigned evidence_server_port(const struct evidence_server *server);
/* The channel value that the server derived last. */
const uint8_t *evidence_server_channel(const struct evidence_server *server);
void evidence_server_stop(struct evidence_server *server);

/* Make the certificates of a plan valid now and for days to come. */
void evidence_server_now(struct factory *f, int64_t days);

#endif
