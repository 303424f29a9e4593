/* SPDX-License-Identifier: BSD-2-Clause */
/* TPMS_ATTEST: the input is one. */
#include <openssl/err.h>
#include <tss2/tss2_tpm2_types.h>

#include "evidence/quote.h"
#include "fuzz/standalone.h"

/* What appraisal relies on. */
static void check_selection(const struct atls_pcr_selection *selection)
{
    fuzz_check(selection->count >= 1 && selection->count <= ATLS_BANKS_MAX,
               "number of banks");
    for (size_t i = 0; i < selection->count; i++) {
        fuzz_check(atls_hash_by_alg(selection->banks[i].alg) != NULL,
                   "unknown bank");
        fuzz_check(selection->banks[i].mask != 0
                       && selection->banks[i].mask >> ATLS_PCR_COUNT == 0,
                   "mask");
        for (size_t j = 0; j < i; j++)
            fuzz_check(selection->banks[i].alg != selection->banks[j].alg,
                       "bank twice");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_quote quote;
    enum atls_error r =
        atls_quote_parse((struct atls_span){data, size}, &why, &quote);

    if (r != ATLS_OK) {
        fuzz_check(why.code == r && why.text[0] != '\0',
                   "refused without a reason");
        /* mu misread what our own checks let through. */
        fuzz_check(r != ATLS_E_NOT_CANONICAL, "not what mu makes of it");
    } else {
        fuzz_check(quote.extra_data_len <= sizeof(quote.extra_data)
                       && quote.pcr_digest_len <= sizeof(quote.pcr_digest),
                   "lengths");
        if (quote.type == TPM2_ST_ATTEST_QUOTE)
            check_selection(&quote.selection);
        else
            fuzz_check(quote.selection.count == 0, "selection of no quote");
    }
    fuzz_check(ERR_peek_error() == 0, "error queue not as it was");
    return 0;
}

#ifdef ATLS_FUZZ_STANDALONE

static const struct fuzz_seed seeds[] = {
    {"live", "quote", 0, NULL},
    {"epoch", "quote", 0, NULL},
};

int main(int argc, char **argv)
{
    return fuzz_standalone(argc, argv, seeds, sizeof(seeds) / sizeof(seeds[0]));
}

#endif
