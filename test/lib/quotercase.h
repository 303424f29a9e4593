/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TEST_QUOTERCASE_H
#define ATTEST_TEST_QUOTERCASE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "attester/quoter.h"
#include "base/error.h"
#include "lib/swtpm.h"
#include "lib/tpmproxy.h"

/*
 * What the tests of attester/quoter.h share: a swtpm with an AK and a chain for
 * it, perhaps a proxy before it, a configuration and a quoter, and what that
 * logged. Handshakes are numbers: each has its own channel and certificate.
 */
struct quotercase {
    struct swtpm *swtpm;
    struct tpmproxy *proxy; /* NULL at first */
    char chain[600];        /* AK certificate and intermediate */
    char measured_log[600]; /* nothing is there; not configured */
    struct atls_quoter_config config;
    struct atls_formats formats; /* that handshakes take; [1] */
    struct atls_quoter *quoter;  /* NULL at first */
    struct atls_reason why;
};

extern struct quotercase quotercase;

/* The set_up and tear_down of a case. */
void quotercase_set_up(void);
void quotercase_tear_down(void);

/* A proxy before the swtpm, and into the configuration; the second one looks
 * like a device. */
void quotercase_proxy(const struct tpmproxy_hooks *hooks);
void quotercase_proxy_device(const struct tpmproxy_hooks *hooks);

/*
 * A hook of a proxy's, and for other such hooks: TPM2_Quote goes no further while
 * quotes are held. Nothing then depends on which is faster, TPM or test.
 *   quotercase_hold   begin or end it. For this process's proxy alone: a child
 *                     changes nothing
 *   quotercase_await  until one is being held
 */
enum tpmproxy_action quotercase_hold_quote(void *arg, uint32_t code,
                                           uint8_t *response, size_t *ret_len);
void quotercase_hold(bool is_held);
bool quotercase_holds(void);
void quotercase_await(void);

/* Longer than anything takes that comes, on the slowest machine. */
#define QUOTERCASE_PATIENCE_MS 20000

/* The quoter, of the configuration as it is now. */
void quotercase_start(void);

/* As of check_tpm's: code, and a line that holds text. */
void quotercase_expect(const struct atls_reason *why, enum atls_error found,
                       enum atls_error code, const char *text);

/* For any thread and any process: nothing is asserted. */
enum atls_error quotercase_submit(unsigned number, struct atls_reason *why,
                                  struct atls_ticket **ret_ticket);
enum atls_error quotercase_obtain(unsigned number, struct atls_reason *why,
                                  uint8_t **ret_cmw, size_t *ret_len);

/* What a handshake asks evidence for. */
struct quotercase_handshake {
    enum atls_role role;
    uint8_t channel[ATLS_CHANNEL_LEN];
    char octets[32];
    struct atls_span certificate; /* points to octets */
};
void quotercase_describe(unsigned number, struct quotercase_handshake *ret);

/* What a piece of evidence says of itself. */
struct quotercase_evidence {
    uint64_t leaf_index;
    size_t path_count;
    uint8_t quote[32]; /* its SHA-256 */
    bool has_log;
    bool replays; /* the log, to PCR 15 */
    size_t log_count;
    size_t chain_count;
};

/*
 * Is this evidence for that handshake: signed by the key of its AK certificate,
 * a quote over the handshake's binding and over the PCR values that it brings?
 * False, and why on stderr. Frees cmw. ret may be NULL.
 */
bool quotercase_is_valid(unsigned number, uint8_t *cmw, size_t len,
                         struct quotercase_evidence *ret);

/* Obtain evidence and check it; false, and why on stderr. */
bool quotercase_serve(unsigned number, struct quotercase_evidence *ret);

/* How often a text stands in what the quoter logged at a level. */
unsigned quotercase_logged(int level, const char *text);

#endif
