/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ASKED_H
#define ATLS_ASKED_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "activation.h"

/*
 * Which activation an SSL_CTX belongs to. No getter shows the library context of an
 * SSL_CTX, but SSL_CTX_new asks every provider of it for its "TLS-GROUP" capability
 * and then, in the same thread, makes the ex_data. So each question is noted here,
 * for each thread, and the hook of the ex_data takes it.
 *
 * Programs ask too, and an SSL_CTX_new that fails asks and makes nothing. Neither must
 * decide for the next SSL_CTX of the thread, or leave one of ours unattested. Two
 * things tell questions apart.
 *
 * The first is the callback that the question carries: SSL_CTX_new's lies in the same
 * object as the SSL_METHOD of the context, libssl; that of a program which lists all
 * groups (OSSL_PROVIDER_get_capabilities) does not. "A" is the activation
 * asked last, "-" none:
 *
 *   asked by libssl | by others | method in | the context is  | the hook takes
 *   ----------------+-----------+-----------+-----------------+---------------
 *   A               | any       | libssl    | A's             | A
 *   -               | any       | libssl    | of another      | nothing
 *                   |           |           | library context |
 *   any             | A         | another   | perhaps A's     | A
 *   A               | -         | another   | perhaps A's     | A
 *   -               | -         | another   | of another ...  | nothing
 *
 * "libssl" is that of the inner object. "Another" is a second libssl of the process
 * (linked statically beside the shared libcrypto), or it is not known where libssl
 * lies: then any question counts, since an SSL_CTX that follows the policy of
 * another library context refuses too much, and one that follows none too little.
 * A program that exports a libssl of its own to us (Node.js) asks as libssl does.
 *
 * The second is the place in the stack, which grows downwards. An SSL_CTX_new that
 * has not returned has asked further up than where we are called now:
 *
 *   a question further up     | than an earlier one: that one has returned, forgotten
 *   ... as far up, of the     | the same SSL_CTX_new, two sections of one
 *   same library context      | configuration: they must agree
 *   ... of another            | the earlier SSL_CTX_new has failed, forgotten
 *   ... further down          | perhaps within that SSL_CTX_new, by another provider
 *                             | that makes an SSL_CTX: both are kept
 *   the hook further up       | the question is taken, and those below are forgotten
 *   ... further down          | the same, within an SSL_CTX_new and without a question
 *                             | of its own: it follows that question, which is kept
 *   SSL_CTX_free of a context | its SSL_CTX_new has failed: its question, and those
 *   that is half made         | below, are forgotten
 *   ... of a whole one        | nothing changes
 *
 * Where no question was ever asked, by an OpenSSL whose order is not known, the first
 * activation of the process answers. A frame is the address of a stack frame.
 */

/* Note that the callback at this address asks an activation for its groups. Takes a
 * reference. */
void atls_asked_note(struct atls_activation *activation, uintptr_t callback,
                     uintptr_t frame);

/* Note that the answer to it is a refusal: SSL_CTX_new fails. The reason is the last
 * error in the queue. */
void atls_asked_refuse(uintptr_t callback);

/*
 * The activation of a context whose ex_data is being made: a reference, or NULL where
 * the context is not ours.
 *   otherwise  for an OpenSSL that may ask in another order: borrowed, or NULL
 */
struct atls_activation *atls_asked_take(const SSL_CTX *ctx, uintptr_t frame,
                                        struct atls_activation *otherwise);

/* A context without ex_data of ours is freed. True: we refused to make it, and another
 * error stands behind our reason in the queue: OpenSSL 3.5 raises one, and many programs
 * show the last. */
bool atls_asked_drop(const SSL_CTX *ctx, uintptr_t frame);

#endif
