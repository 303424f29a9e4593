/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TEST_TPMPROXY_H
#define ATTEST_TEST_TPMPROXY_H

#include <stddef.h>
#include <stdint.h>

/*
 * Stands between a program and a swtpm, on a TCP port of its own that speaks
 * swtpm's protocol, or as a terminal that looks like a TPM device; and does to
 * commands and responses what a test wants. One command goes through at a time.
 * A thread of the test program.
 */
struct tpmproxy;

enum tpmproxy_action {
    TPMPROXY_FORWARD, /* to the swtpm */
    TPMPROXY_ANSWER,  /* with what the hook wrote */
    TPMPROXY_HANG,    /* never answer; until the client closes */
    TPMPROXY_CLOSE    /* close the connection instead of answering */
};

#define TPMPROXY_OCTETS_MAX 8192u

/* All are called in the proxy's thread, with the command's code. */
struct tpmproxy_hooks {
    void *arg;
    /* Before a command is forwarded; NULL: TPMPROXY_FORWARD. */
    enum tpmproxy_action (*before)(void *arg, uint32_t code, uint8_t *response,
                                   size_t *ret_len);
    /* Change the response that came; NULL: leave it. */
    void (*after)(void *arg, uint32_t code, uint8_t *response, size_t *len);
};

/* Both: NULL when it does not start. target_port: of the swtpm. */
struct tpmproxy *tpmproxy_start(unsigned target_port,
                                const struct tpmproxy_hooks *hooks);
struct tpmproxy *tpmproxy_start_device(unsigned target_port,
                                       const struct tpmproxy_hooks *hooks);
void tpmproxy_stop(struct tpmproxy *proxy); /* NULL is fine */

/* From the next command on, to another swtpm: the machine's TPM was replaced. */
void tpmproxy_redirect(struct tpmproxy *proxy, unsigned target_port);

/* "swtpm:host=127.0.0.1,port=N" or "device:/dev/pts/N". */
const char *tpmproxy_tcti(const struct tpmproxy *proxy);

/* Write a response that is a header alone; for `before`. */
void tpmproxy_answer_code(uint32_t rc, uint8_t *response, size_t *ret_len);

#endif
