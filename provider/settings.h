/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_SETTINGS_H
#define ATLS_SETTINGS_H

#include <stddef.h>

/*
 * The keys of openssl.cnf that we ask OpenSSL for: nested sections reach a
 * provider as parameters named `section.key`. The module cannot see a key that is not
 * in this list; `attest check` reads the file and names it.
 * event_log is asked for to be refused: it was the name of measured_log.
 */
#define ATLS_SETTINGS(X)       \
    X("base")                  \
    X("log")                   \
    X("log_level")             \
    X("map")                   \
    X("attester")              \
    X("attester.quoter")       \
    X("attester.prove_to")     \
    X("attester.evidence")     \
    X("attester.timeout")      \
    X("attester.max_queue")    \
    X("attester.ak")           \
    X("attester.ak_auth")      \
    X("attester.ak_chain")     \
    X("attester.pcrs")         \
    X("attester.measured_log") \
    X("attester.event_log")    \
    X("attester.boot_log")     \
    X("attester.measure_pcr")  \
    X("verifier")              \
    X("verifier.policy")

/* Not keys of openssl.cnf, but added by attest.so. This one makes the instance refuse
 * everything, with the value as the reason. */
#define ATLS_SETTING_BROKEN "(broken)"

/* The program used TLS before this provider was loaded. */
#define ATLS_SETTING_LATE "(late)"

/* The instance is made while OpenSSL reads its configuration (`map = start`), in
 * programs that may never use TLS. Nothing is written before they do. */
#define ATLS_SETTING_EARLY "(early)"

/* One key of the configuration; both strings are borrowed. */
struct atls_setting {
    const char *key;
    const char *value;
};

/* The value of a key, borrowed, or NULL. */
const char *atls_setting_find(const struct atls_setting *settings, size_t count,
                              const char *key);

#endif
