/* SPDX-License-Identifier: BSD-2-Clause */
/* TPMT_SIGNATURE, and verification with keys of either kind: the input is a
 * signature, which none of the keys made. */
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <stdlib.h>

#include "evidence/quote.h"
#include "fuzz/standalone.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint8_t octets[] = "nobody signed this";
    static EVP_PKEY *keys[3];
    struct atls_span attest = {octets, sizeof(octets)};
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_signature signature;
    enum atls_error r;

    if (keys[0] == NULL) {
        keys[0] = EVP_EC_gen("P-256");
        keys[1] = EVP_RSA_gen(2048);
        keys[2] = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    }
    r = atls_signature_parse((struct atls_span){data, size}, &why, &signature);
    if (r != ATLS_OK) {
        fuzz_check(why.code == r && why.text[0] != '\0',
                   "refused without a reason");
        fuzz_check(r != ATLS_E_NOT_CANONICAL, "not what mu makes of it");
    }
    for (size_t i = 0; r == ATLS_OK && i < 3; i++) {
        enum atls_error verdict =
            atls_signature_verify(&signature, keys[i], attest, &why);

        fuzz_check(verdict == ATLS_E_SIGNATURE
                       || verdict == ATLS_E_SIGNATURE_ALG,
                   "verdict over a forged signature");
    }
    fuzz_check(ERR_peek_error() == 0, "error queue not as it was");
    return 0;
}

#ifdef ATLS_FUZZ_STANDALONE

static const struct fuzz_seed seeds[] = {
    {"live", "signature", 0, NULL},
    {"epoch", "signature", 0, NULL},
};

int main(int argc, char **argv)
{
    return fuzz_standalone(argc, argv, seeds, sizeof(seeds) / sizeof(seeds[0]));
}

#endif
