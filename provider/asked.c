/* SPDX-License-Identifier: BSD-2-Clause */
#include "asked.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdatomic.h>

#include "loader.h"

/* OpenSSL's versions up to this one ask before they make the ex_data (tried with 3.0,
 * 3.5, 3.6, 4.0). Later ones are known to do so once they have done it. */
#define ORDER_KNOWN_TO 0x400fffffUL

/* SSL_CTX_new within SSL_CTX_new within ... */
#define NESTED_MAX 4u

/* SSL_CTX_free calls us from at most so many octets further down the stack than
 * SSL_CTX_new asks. An SSL_CTX_new in between takes more. */
#define FREE_DEPTH 256u

struct question {
    struct atls_activation *activation; /* a reference */
    uintptr_t frame;
    bool contradicts; /* another activation was asked that does not agree */
};

/* Those by libssl, or those by others; the last one is furthest down the stack. */
struct questions {
    struct question list[NESTED_MAX];
    unsigned count;
};

static _Thread_local struct questions by_libssl, by_others;
static _Thread_local unsigned long refusal; /* error given to libssl, or 0 */

static atomic_bool order_seen;

static struct question *last_of(struct questions *questions)
{
    return questions->count > 0 ? &questions->list[questions->count - 1] : NULL;
}

/* Forget those from this frame and from below. */
static void forget(struct questions *questions, uintptr_t frame)
{
    struct question *last;

    while ((last = last_of(questions)) != NULL && last->frame <= frame) {
        questions->count--;
        atls_activation_unref(last->activation);
    }
}

void atls_asked_note(struct atls_activation *activation, uintptr_t callback,
                     uintptr_t frame)
{
    struct questions *questions =
        atls_loader_is_in_libssl(callback) ? &by_libssl : &by_others;
    struct question *last;

    forget(questions, frame - 1);
    last = last_of(questions);
    if (last != NULL && last->frame == frame) {
        if (atls_activation_is_beside(last->activation, activation)) {
            if (!atls_activation_agrees(last->activation, activation))
                last->contradicts = true;
            return;
        }
        forget(questions, frame);
    }
    if (questions->count == NESTED_MAX) {
        last->contradicts = true;
        return;
    }
    questions->list[questions->count++] =
        (struct question){atls_activation_ref(activation), frame, false};
}

void atls_asked_refuse(uintptr_t callback)
{
    refusal = atls_loader_is_in_libssl(callback) ? ERR_peek_last_error() : 0;
}

/* The questions among which is that of the SSL_CTX_new that makes this context. */
static struct questions *askers_of(const SSL_CTX *ctx)
{
    const struct atls_libssl *libssl = atls_loader_libssl();

    if (libssl != NULL
        && atls_loader_is_in_libssl((uintptr_t)libssl->get_method(ctx)))
        return &by_libssl;
    return by_others.count > 0 ? &by_others : &by_libssl;
}

/* The activation that the last question asked; those of the same SSL_CTX_new must agree
 * with it. */
static struct atls_activation *meant_by(struct questions *questions,
                                        const struct question *last,
                                        uintptr_t frame)
{
    if (last->contradicts)
        return atls_activation_contradiction();
    for (unsigned i = 0; i < questions->count; i++) {
        const struct question *other = &questions->list[i];

        if (other->frame <= frame
            && atls_activation_is_beside(other->activation, last->activation)
            && (other->contradicts
                || !atls_activation_agrees(other->activation,
                                           last->activation)))
            return atls_activation_contradiction();
    }
    return last->activation;
}

struct atls_activation *atls_asked_take(const SSL_CTX *ctx, uintptr_t frame,
                                        struct atls_activation *otherwise)
{
    struct atls_activation *taken = NULL;
    const struct question *last = NULL;
    struct questions *questions = &by_libssl;

    refusal = 0;
    if (by_libssl.count + by_others.count > 0) {
        questions = askers_of(ctx);
        last = last_of(questions);
    }
    if (last != NULL) {
        atomic_store(&order_seen, true);
        taken = meant_by(questions, last, frame);
    } else if (!atomic_load(&order_seen)
               && OpenSSL_version_num() > ORDER_KNOWN_TO) {
        taken = otherwise;
    }
    if (taken != NULL)
        atls_activation_ref(taken);
    forget(&by_libssl, frame);
    forget(&by_others, frame);
    return taken;
}

/* SSL_CTX_new sets options after it has made the ex_data; a whole context has none only
 * where a program has cleared each. */
static bool is_half_made(const SSL_CTX *ctx)
{
    const struct atls_libssl *libssl = atls_loader_libssl();

    return libssl != NULL && libssl->get_options(ctx) == 0;
}

bool atls_asked_drop(const SSL_CTX *ctx, uintptr_t frame)
{
    unsigned long refused_with = refusal;

    if (by_libssl.count + by_others.count == 0 && refusal == 0)
        return false;
    if (!is_half_made(ctx))
        return false;
    refusal = 0;
    forget(&by_libssl, frame + FREE_DEPTH);
    forget(&by_others, frame + FREE_DEPTH);
    return refused_with != 0 && ERR_peek_last_error() != refused_with;
}
