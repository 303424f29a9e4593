/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/mismatch.h"

#include "verifier/components.h"
#include "verifier/pcrs.h"

enum atls_error atls_mismatch_visit(const struct atls_section *section,
                                    const struct atls_reference *reference,
                                    const struct atls_evidence *evidence,
                                    atls_mismatch_visitor *visit, void *arg)
{
    enum atls_error r =
        atls_components_visit(section, reference, evidence, visit, arg);

    if (r != ATLS_OK)
        return r;
    return atls_pcrs_visit_values(section, reference, evidence, visit, arg);
}

enum atls_error atls_mismatch_take_first(const struct atls_mismatch *mismatch,
                                         void *arg)
{
    struct atls_mismatch *first = arg;

    *first = *mismatch;
    return mismatch->reason.code;
}
