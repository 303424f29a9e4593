/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ASKED_H
#define ATLS_ASKED_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stdint.h>

#include "activation.h"

/*
 * Which activation an SSL_CTX belongs to. No getter tells the library context of an
 * SSL_CTX, but SSL_CTX_new asks every provider of it for its "TLS-GROUP" capability
 * and then, in the same thread, makes the ex_data. So what was asked is noted here,
 * for each thread, and the hook of the ex_data takes it.
 *
 * Others ask too, and an SSL_CTX_new that fails asks and makes nothing: neither must
 * decide for the next SSL_CTX of the thread, nor make one go unattested that is
 * ours. Two things tell questions apart.
 *
 * Who asked shows in the callback that is handed over: SSL_CTX_new's lies in the same
 * object as the SSL_METHOD of the context, libssl; that of a program which lists the
 * groups there are (OSSL_PROVIDER_get_capabilities) does not. "A" is the activation
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
 * (linked statically beside the shared libcrypto), or where libssl lies is not
 * known: then whatever was asked counts, since an SSL_CTX that goes by the policy of
 * another library context refuses too much, and one that goes by none too little.
 * A program whose own libssl is lent to us (Node.js) asks as libssl does.
 *
 * When it was asked shows in the stack, which grows downwards. An SSL_CTX_new that
 * has not ended has asked further up than where we are called now:
 *
 *   a question further up     | than an earlier one: that is over, forgotten
 *   ... as far up, of the     | the same SSL_CTX_new, two sections of one
 *   same library context      | configuration: they must agree
 *   ... of another            | that SSL_CTX_new has failed, forgotten
 *   ... further down          | perhaps within that SSL_CTX_new, by another provider
 *                             | that makes an SSL_CTX: both are kept
 *   the hook further up       | the question is taken, and what is below forgotten
 *   ... further down          | the same, within an SSL_CTX_new and without a question
 *                             | of its own: goes by that question too, which is kept
 *   SSL_CTX_free of a context | its SSL_CTX_new has failed: its question, and what is
 *   that is half made         | below, is forgotten
 *   ... of a whole one        | nothing changes
 *
 * Where nothing was asked, ever, by an OpenSSL whose order is not known, the first
 * activation of the process answers. The addresses are those of stack frames.
 */

/* Note that the callback at this address asks an activation for its groups. */
void atls_asked_note(struct atls_activation *activation, uintptr_t callback,
                     uintptr_t frame);

/* The same, and the answer is a refusal: SSL_CTX_new fails. Its reason is the last
 * error in the queue. */
void atls_asked_refuse(uintptr_t callback);

/*
 * Of a context whose ex_data is being made. A reference, or NULL: not ours.
 *   otherwise  where this OpenSSL may ask in another order: borrowed, or NULL
 */
struct atls_activation *atls_asked_take(const SSL_CTX *ctx, uintptr_t frame,
                                        struct atls_activation *otherwise);

/* Of a context without ex_data of ours that is freed. Returns whether it is one that
 * we refused to make, with another error in the queue behind our reason: OpenSSL 3.5
 * raises one, and many programs show the last. */
bool atls_asked_drop(const SSL_CTX *ctx, uintptr_t frame);

#endif
