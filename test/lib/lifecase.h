/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TEST_LIFECASE_H
#define ATLS_TEST_LIFECASE_H

#include <openssl/crypto.h>
#include <stdbool.h>

/*
 * What the tests of the provider's life in a process share, beside hookcase: a
 * machine that proves itself (swtpm, two AKs under a CA each), and library
 * contexts that play both ends of a handshake by one configuration.
 */

/* The begin and end of a suite; hookcase's world is made too. Needs a swtpm. */
void lifecase_begin(void);
void lifecase_end(void);

/* The machine's two keys, which count as two machines. */
enum lifecase_key { LIFECASE_FIRST, LIFECASE_SECOND, LIFECASE_NO_KEY };

/*
 * Write NAME.cnf: proves with one key (or not at all), and requires of servers
 * that they prove themselves with that or the other. It logs warnings to NAME.log.
 */
void lifecase_configure(const char *name, enum lifecase_key proves,
                        enum lifecase_key trusts);

/* The same, proving by the agent at a socket. */
void lifecase_configure_agent(const char *name, const char *socket);

/* Both ends in one library context. ret: shake()'s reasons. */
bool lifecase_shake(OSSL_LIB_CTX *libctx);

/* Of this process. */
long lifecase_resident_kib(void);
unsigned lifecase_descriptors(void);

#endif
