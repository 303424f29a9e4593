/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TLS_CONNECTION_H
#define ATLS_TLS_CONNECTION_H

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "evidence/binding.h"
#include "evidence/codec.h"
#include "tls/context.h"
#include "tls/peer.h"
#include "verifier/policy.h"

/*
 * What we keep for one SSL object, made at the first callback that needs it (the
 * ex_data hook of SSL cannot be used, design fact 3), begun anew at every
 * handshake, freed with the object; SSL_dup does not copy it.
 *
 *   event                              effect on the state
 *   ---------------------------------  ------------------------------------------
 *   handshake starts (TLS_ST_BEFORE)   all of it is as new; today's policy taken
 *   ClientHello is written/parsed      request sent/noted; gate and keylog armed;
 *                                      lock put in
 *   SERVER_HANDSHAKE_TRAFFIC_SECRET    channel set; older evidence forgotten
 *   Certificate is parsed (client)     evidence kept, unread
 *   CertificateVerify (client)         evidence appraised and forgotten: it counts
 *                                      once, for this secret and certificate; with
 *                                      the verdict the lock goes
 */
struct atls_lock; /* lock.h */

struct atls_connection {
    struct atls_context *context;
    /* The program's own callbacks, found on the SSL object when ours were put
     * there; NULL: none but the context's. */
    atls_security_callback *program_security;
    atls_info_callback *program_info;
    /* Ours are calling the program's, which may have wrapped ours (S24). Not kept by
     * threads: a callback may leave by longjmp(3), or for another fibre. Until the
     * next handshake what has left so is not called again. */
    bool is_asking, is_logging_key, is_informing;
    struct atls_reason refusal; /* given to the program; ATLS_OK: none yet */
    bool is_reported; /* this handshake's outcome was logged already */
    /* The policy of this handshake, a reference; NULL: no verifier role, or
     * broken says why it is refused whatever the peer shows. */
    struct atls_policy *policy;
    struct atls_reason broken;
    bool
        has_policy; /* of the handshake that has begun and has no verdict yet */
    bool is_matched; /* match is what the policy says of peer */
    struct atls_peer peer;
    struct atls_match match;
    bool is_requested; /* client: request sent; server: request received */
    struct atls_formats formats; /* what it asks for, of those that we know */
    bool has_channel;
    uint8_t server_channel[ATLS_CHANNEL_LEN];
    uint8_t *evidence; /* CMW record as received; NULL: none */
    size_t evidence_len;
    bool has_verdict;       /* client: every section that requires is content */
    struct atls_lock *lock; /* client: until then; NULL: none */
    uint64_t parked_by; /* thread whose ASYNC job waits for evidence; 0: none */
    bool is_being_freed; /* that job ends, because SSL_free() was called */
};

/*
 * The state of a connection, made if need be.
 * NULL when out of memory or when its context has no state of ours.
 */
struct atls_connection *atls_connection_of(const SSL *s);

/* The same without making one. */
struct atls_connection *atls_connection_find(const SSL *s);

/* Begin a handshake: everything but context and callbacks is cleared, and the policy
 * taken as it is now. */
void atls_connection_begin(struct atls_connection *connection);

/* Evidence counts once: let go of it. */
void atls_connection_forget_evidence(struct atls_connection *connection);

/* A new channel: what belonged to an older one is cleared. */
void atls_connection_set_secret(struct atls_connection *connection,
                                const uint8_t *secret, size_t secret_len);

/* The client is content with its server. */
void atls_connection_set_verdict(struct atls_connection *connection);

/* What the policy says of the server we connect to: looked up anew while the
 * handshake has not begun, then kept. Not for servers. */
const struct atls_match *atls_connection_match(
    struct atls_connection *connection, const SSL *s);

/* A client's ClientHello, the first or the second: forget what an older
 * handshake left, should the gate not have seen this one start, and look the peer
 * up for good. Both hellos of a handshake go by one policy. */
const struct atls_match *atls_connection_begin_hello(
    struct atls_connection *connection, const SSL *s);

/* For texts: what the peer is called; the address by which its section was found,
 * where that is not what it is called, or NULL; that section, or NULL; its name. */
const char *atls_connection_peer(const struct atls_connection *connection);
const char *atls_connection_found_by(const struct atls_connection *connection);
const struct atls_section *atls_connection_section(
    const struct atls_connection *connection);
const char *atls_connection_section_name(
    const struct atls_connection *connection);

/* Callbacks get const SSL objects, and OpenSSL's setters want others: it is the
 * library's own object, and the one place where we say so. */
SSL *atls_connection_ssl(const SSL *s);

/* Make the ex_data index of SSL; once, 0 when out of memory. */
int atls_connection_init(void);

#endif
