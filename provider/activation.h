/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_ACTIVATION_H
#define ATLS_ACTIVATION_H

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/types.h>
#include <stdbool.h>

#include "base/error.h"

/*
 * One activation of the provider in one library context: its settings there, and the
 * instance that is made of them with the first SSL_CTX. Reference counted;
 * thread-safe.
 */
struct atls_activation;
struct atls_instance;

/*
 * Copy what openssl.cnf has for the keys we know.
 *   get_params  NULL: it has nothing, a broken configuration that is reported later
 *   libctx      the library context that it is activated in, or NULL
 * Never NULL: without memory it is one that refuses everything. Keeps the error queue.
 */
struct atls_activation *atls_activation_new(
    const OSSL_CORE_HANDLE *handle, OSSL_FUNC_core_get_params_fn *get_params,
    OSSL_LIB_CTX *libctx);

/* The one that refuses everything because others contradict each other. */
struct atls_activation *atls_activation_contradiction(void);

struct atls_activation *atls_activation_ref(struct atls_activation *activation);
void atls_activation_unref(struct atls_activation *activation); /* NULL: fine */

/* The value of a key, or NULL. Borrowed. */
const char *atls_activation_setting(const struct atls_activation *activation,
                                    const char *key);

/* Can both be in one library context? True where that of one is not known. */
bool atls_activation_is_beside(const struct atls_activation *a,
                               const struct atls_activation *b);

/* Have both the same settings? */
bool atls_activation_agrees(const struct atls_activation *a,
                            const struct atls_activation *b);

/* Write to its log why no SSL_CTX can be made: once for each reason.
 *   why  lives as long as the process */
void atls_activation_log(const struct atls_activation *activation,
                         const struct atls_reason *why);

/* `map = start`: map the inner object now, and make the instance. What fails is tried
 * again with the first SSL_CTX. Keeps error queue and errno. */
void atls_activation_start(struct atls_activation *activation, int ctx_index);

/* The instance, made if there is none; NULL when out of memory. Borrowed. The inner
 * object must be mapped. */
struct atls_instance *atls_activation_instance(
    struct atls_activation *activation, int ctx_index);

#endif
