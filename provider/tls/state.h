/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TLS_STATE_H
#define ATLS_TLS_STATE_H

#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "evidence/binding.h"
#include "evidence/codec.h"
#include "instance.h"
#include "libssl.h"
#include "tls/peer.h"
#include "verifier/policy.h"

/*
 * What this room keeps for each SSL_CTX and each SSL. Data alone: it knows no callback,
 * and every other file of the room may use it.
 */

/* The type of OpenSSL's info callback. */
typedef void atls_info_callback(const SSL *s, int type, int value);

/* --- of an SSL_CTX -------------------------------------------------------- */

/*
 * Made by hook.c while SSL_CTX_new runs, and immutable after that but for
 * program_keylog. Reference counted: a connection keeps the one that it began with,
 * whatever SSL_set_SSL_CTX does.
 */
struct atls_context {
    atomic_uint refs;
    struct atls_instance *instance; /* a reference */
    /* Why every handshake is refused, whatever the policy says; code ATLS_OK: go by
     * the policy. */
    struct atls_reason broken;
    /* The security callback found when the context was made: OpenSSL's default. */
    atls_security_callback *base_security;
    _Atomic(SSL_CTX_keylog_cb_func) program_keylog; /* NULL: none */
};

/* Note our ex_data index of SSL_CTX (core.h); it is always the same. */
void atls_context_set_index(int index);

/* The state of a context, borrowed. NULL when the context is older than the provider
 * or belongs to no instance. */
struct atls_context *atls_context_of(const SSL_CTX *ctx);

struct atls_context *atls_context_ref(struct atls_context *context);
void atls_context_unref(struct atls_context *context); /* NULL is fine */

/* --- of an SSL ------------------------------------------------------------ */

/*
 * Made at the first callback that needs it (the ex_data hook of SSL cannot be used,
 * design fact 3), cleared at every handshake, freed with the SSL; SSL_dup does not copy
 * it.
 *
 *   event                              effect on the state
 *   ---------------------------------  ------------------------------------------
 *   handshake starts (TLS_ST_BEFORE)   cleared; the policy is taken as it is now
 *   ClientHello is written/parsed      request sent/noted; callbacks of ours put
 *                                      back; lock put on
 *   SERVER_HANDSHAKE_TRAFFIC_SECRET    channel set; older evidence forgotten
 *   Certificate is parsed (client)     evidence kept, unread
 *   CertificateVerify (client)         evidence appraised and forgotten: it counts
 *                                      once, for this secret and certificate; with
 *                                      the verdict the lock is taken off
 */
struct atls_lock; /* lock.h */

struct atls_connection {
    struct atls_context *context; /* a reference */
    /* The program's own callbacks, found on the SSL when ours were put there;
     * NULL: none but the context's. */
    atls_security_callback *program_security;
    atls_info_callback *program_info;
    /* Our callback is calling the program's, which may have wrapped ours (S24).
     * This is kept here and not by thread: a callback may leave by longjmp(3), or
     * for another fibre. The one that left is not called again before the next
     * handshake. */
    bool is_asking, is_logging_key, is_informing;
    struct atls_reason refusal; /* given to the program; ATLS_OK: none yet */
    bool is_reported;           /* this handshake's outcome is in the log */
    /* The policy of this handshake, a reference. NULL: there is no verifier role,
     * or broken says why the handshake is refused whatever the peer shows. */
    struct atls_policy *policy;
    struct atls_reason broken;
    bool has_policy; /* taken for this handshake, which has no verdict yet */
    bool is_matched; /* match is what the policy says of peer */
    struct atls_peer peer;
    struct atls_match match;
    bool is_requested; /* client: request sent; server: request received */
    struct atls_formats formats; /* those that it asks for and we know */
    bool has_channel;
    uint8_t server_channel[ATLS_CHANNEL_LEN];
    uint8_t *evidence; /* CMW record as received; NULL: none */
    size_t evidence_len;
    bool has_verdict; /* client: every section that requires is satisfied */
    struct atls_lock *lock; /* client: until then; NULL: none */
    uint64_t paused_by; /* thread whose ASYNC job waits for evidence; 0: none */
    bool is_being_freed; /* that job ends, because SSL_free() was called */
};

/*
 * Make the ex_data index of SSL, once. Thread-safe.
 *   is_made   called for each SSL that is made, before it has a state
 *   is_freed  called for each SSL that is freed, with its state or NULL; ends with
 *             atls_connection_free()
 * Returns 1, or 0 when out of memory.
 */
int atls_connection_init(CRYPTO_EX_new *is_made, CRYPTO_EX_free *is_freed);

/* The state of a connection, made if there is none. NULL when out of memory, or when
 * its context has no state. */
struct atls_connection *atls_connection_of(const SSL *s);

/* The state of a connection, or NULL. */
struct atls_connection *atls_connection_find(const SSL *s);

void atls_connection_free(
    struct atls_connection *connection); /* NULL is fine */

/* A handshake begins: clear everything but context and callbacks, and take the policy
 * as it is now. */
void atls_connection_begin(struct atls_connection *connection);

/*
 * A client writes its ClientHello, the first or the second. Clears what an older
 * handshake left, as the gate may not have seen this one begin, and looks the peer up.
 * Both hellos of a handshake go by one policy.
 * Returns the match, which holds until the handshake ends.
 */
const struct atls_match *atls_connection_begin_hello(
    struct atls_connection *connection, const SSL *s);

/* What the policy says of the server that this client connects to. The peer is looked
 * up at each call until the handshake has begun. Not for servers. */
const struct atls_match *atls_connection_match(
    struct atls_connection *connection, const SSL *s);

/* Forget the evidence: it counts once. */
void atls_connection_forget_evidence(struct atls_connection *connection);

/* Forget the channel, and with it the evidence and the verdict that it carried. */
void atls_connection_forget_channel(struct atls_connection *connection);

/* The client accepts its server. */
void atls_connection_set_verdict(struct atls_connection *connection);

/* For texts: the name of the peer; the address by which its section was found where
 * that is not its name, or NULL; that section, or NULL; the section's name. */
const char *atls_connection_peer(const struct atls_connection *connection);
const char *atls_connection_found_by(const struct atls_connection *connection);
const struct atls_section *atls_connection_section(
    const struct atls_connection *connection);
const char *atls_connection_section_name(
    const struct atls_connection *connection);

/* Callbacks get const SSL objects, and OpenSSL's setters take others. It is the
 * library's own object, so this one cast is safe. */
SSL *atls_connection_ssl(const SSL *s);

#endif
