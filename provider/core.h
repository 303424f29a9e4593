/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_CORE_H
#define ATLS_CORE_H

#include <openssl/types.h>
#include <stdbool.h>
#include <stddef.h>

#include "libssl.h"
#include "settings.h"

/*
 * The interface between attest.so, which needs libcrypto only, and attest-inner.so,
 * which brings libssl, tss2 and libcbor. The latter is mapped at the first SSL_CTX, or
 * with `map = start` when the configuration is read.
 *
 * The two are files of one package, but not always of one version: a program that
 * started before an upgrade has the old attest.so mapped when it maps the new inner
 * object. They fit where their interfaces have the same number.
 */

/*
 * Raise this when attest.so or the inner object must not be used with an older one of
 * the other: when struct atls_core, atls_libssl or atls_setting changes, or what a
 * function of the table takes, does or promises.
 * (test/unit/check_interface.c holds the text of the three against it.)
 */
#define ATLS_INTERFACE 2

/* ATLS_INTERFACE_PREFIX and the number. Each object holds it once, so that it can be
 * read without loading the file. */
#define ATLS_INTERFACE_PREFIX "attest interface "
#define ATLS_INTERFACE_TEXT_(number) ATLS_INTERFACE_PREFIX #number
#define ATLS_INTERFACE_TEXT(number) ATLS_INTERFACE_TEXT_(number)
#define ATLS_INTERFACE_MARK ATLS_INTERFACE_TEXT(ATLS_INTERFACE)

/* Symbol that the inner object exports: a const struct atls_core. */
#define ATLS_CORE_SYMBOL "atls_core"

/* The file's name. (The tests have a second pair of objects.) */
#ifndef ATLS_INNER_NAME
#define ATLS_INNER_NAME "attest-inner.so"
#endif

/* One configured provider: configuration, policy, quoter, log. */
struct atls_instance;

struct atls_core {
    /* ATLS_INTERFACE_MARK. The first member in every version: the rest may be read
     * only where it is the same. */
    const char *interface;

    const char *version; /* PACKAGE_VERSION of the build, for people */

    /*
     * Make an instance from the settings (copied as needed). Never fails because
     * of what the settings say: a bad configuration yields an instance that
     * refuses handshakes and says why. NULL only when out of memory.
     *   ctx_index  our ex_data index of SSL_CTX
     * With ATLS_SETTING_EARLY among the settings it may be called while OpenSSL reads
     * its configuration: it fetches nothing from the program's library contexts,
     * starts no thread and writes nothing until the first attach().
     */
    struct atls_instance *(*instance_new)(const struct atls_setting *settings,
                                          size_t count, int ctx_index);
    void (*instance_unref)(struct atls_instance *instance); /* NULL is fine */

    /* Does it lack what an instance made of the same settings later may have: a chain
     * that could not be read, a place among the attesters? */
    bool (*instance_lacks)(const struct atls_instance *instance);

    /*
     * Install gate and extension in a context that is being made.
     * Returns the state to keep as its ex_data, or NULL when out of memory: the caller
     * then calls deny().
     */
    void *(*attach)(struct atls_instance *instance, SSL_CTX *ctx);
    void (*detach)(void *state); /* NULL is fine */

    /* Make a context refuse every handshake; needs no memory, cannot fail. */
    void (*deny)(SSL_CTX *ctx);

    const struct atls_libssl *libssl; /* the one that the inner object uses */
};

#endif
