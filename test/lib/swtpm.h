/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TEST_SWTPM_H
#define ATTEST_TEST_SWTPM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A swtpm of the test's own: on a free pair of TCP ports, in a folder of its
 * own below TMPDIR, ended by its pid, or by the kernel when the thread that
 * started it dies. Any number can run at once.
 */
struct swtpm;

/* For a suite's skip: "swtpm is not installed", or NULL where it is. */
const char *swtpm_missing(void);

/* NULL, and why on stderr, when it does not start. */
struct swtpm *swtpm_start(void);

/* Kill it and remove its folder. NULL is fine. */
void swtpm_stop(struct swtpm *swtpm);

/* kill -9, and wait until it is gone; state and ports stay reserved. */
void swtpm_kill(struct swtpm *swtpm);

/* Start a killed one again, on the same port with the same state, or as a TPM
 * that has never been used. False, and why on stderr, when that fails. */
bool swtpm_restart(struct swtpm *swtpm, bool with_state);

/* Switch the TPM off and on; it then waits for TPM2_Startup. */
bool swtpm_power_cycle(struct swtpm *swtpm);

/* Reset the TPM, as a reboot would: PCRs become zero. */
bool swtpm_reset(struct swtpm *swtpm);

/* "swtpm:host=127.0.0.1,port=N", for tpm2-tss as well; lives as long as swtpm. */
const char *swtpm_tcti(const struct swtpm *swtpm);
unsigned swtpm_port(const struct swtpm *swtpm);
int swtpm_pid(const struct swtpm *swtpm);

/* A folder of this swtpm's own for the test's files; removed with it. */
const char *swtpm_folder(const struct swtpm *swtpm);

#define SWTPM_AK_HANDLE 0x81010002u
#define SWTPM_AK "0x81010002"

enum swtpm_key { SWTPM_P256, SWTPM_P384, SWTPM_RSASSA, SWTPM_RSAPSS };

struct swtpm_ak {
    enum swtpm_key key; /* RSA is slow to make */
    uint32_t handle;    /* 0: SWTPM_AK_HANDLE; a key there is replaced */
    uint32_t without;   /* attributes (TPMA_OBJECT_*) that a good AK has */
    const char *auth;   /* NULL: empty */
    uint8_t unique;     /* another number, another key */
};

/*
 * Make an attestation key (restricted, noDA, fixedTPM, ...) and keep it at its
 * handle. ak may be NULL: all zero. False, and why on stderr, on failure.
 */
bool swtpm_make_ak(const struct swtpm *swtpm, const struct swtpm_ak *ak);

/* Extend a PCR in the SHA-256 bank alone with SHA-256(text); in the SHA-1 bank alone
 * with SHA-1(text). */
bool swtpm_extend(const struct swtpm *swtpm, unsigned pcr, const char *text);
bool swtpm_extend_sha1(const struct swtpm *swtpm, unsigned pcr,
                       const char *text);

/* Take a PCR bank (TPM2_ALG_*) away; resets the TPM. */
bool swtpm_remove_bank(struct swtpm *swtpm, uint16_t alg);

/* Objects, sessions or loaded keys that were left in the TPM; -1 when that
 * cannot be found out. */
int swtpm_count_transient(const struct swtpm *swtpm);

/*
 * Write an AK certificate chain in PEM: AK certificate for the key at handle,
 * its issuer, and, in another file, the root.
 *   chain_path   AK certificate, intermediate and, with_root, the root as well
 *   root_path    may be NULL
 * The AK certificate names the machine "ak.test". False on failure.
 */
bool swtpm_write_chain(const struct swtpm *swtpm, uint32_t handle,
                       bool with_root, const char *chain_path,
                       const char *root_path);

#endif
