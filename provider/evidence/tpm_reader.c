/* SPDX-License-Identifier: BSD-2-Clause */
#include "evidence/tpm_reader.h"

#include <string.h>
#include <tss2/tss2_mu.h>

enum atls_error atls_tpm_reader_need(const struct atls_tpm_reader *c,
                                     size_t len, const char *field)
{
    if (len > c->in.len - c->offset)
        return atls_fail(c->why, ATLS_E_TRUNCATED,
                         "%s ends at octet %zu, within %s", c->structure,
                         c->in.len, field);
    return ATLS_OK;
}

enum atls_error atls_tpm_reader_check(const struct atls_tpm_reader *c,
                                      TSS2_RC rc, const char *field)
{
    if (rc != TSS2_RC_SUCCESS)
        return atls_fail(c->why, ATLS_E_MALFORMED,
                         "%s: tpm2-tss refuses %s (0x%x)", c->structure, field,
                         rc);
    return ATLS_OK;
}

enum atls_error atls_tpm_reader_u16(struct atls_tpm_reader *c,
                                    const char *field, uint16_t *ret)
{
    enum atls_error r = atls_tpm_reader_need(c, sizeof(*ret), field);
    TSS2_RC rc;

    if (r != ATLS_OK)
        return r;
    rc = Tss2_MU_UINT16_Unmarshal(c->in.data, c->in.len, &c->offset, ret);
    return atls_tpm_reader_check(c, rc, field);
}

enum atls_error atls_tpm_reader_u32(struct atls_tpm_reader *c,
                                    const char *field, uint32_t *ret)
{
    enum atls_error r = atls_tpm_reader_need(c, sizeof(*ret), field);
    TSS2_RC rc;

    if (r != ATLS_OK)
        return r;
    rc = Tss2_MU_UINT32_Unmarshal(c->in.data, c->in.len, &c->offset, ret);
    return atls_tpm_reader_check(c, rc, field);
}

enum atls_error atls_tpm_reader_u64(struct atls_tpm_reader *c,
                                    const char *field, uint64_t *ret)
{
    enum atls_error r = atls_tpm_reader_need(c, sizeof(*ret), field);
    TSS2_RC rc;

    if (r != ATLS_OK)
        return r;
    rc = Tss2_MU_UINT64_Unmarshal(c->in.data, c->in.len, &c->offset, ret);
    return atls_tpm_reader_check(c, rc, field);
}

enum atls_error atls_tpm_reader_need_sized(const struct atls_tpm_reader *c,
                                           size_t max, const char *field)
{
    struct atls_tpm_reader ahead = *c;
    uint16_t size = 0;
    enum atls_error r = atls_tpm_reader_u16(&ahead, field, &size);

    if (r != ATLS_OK)
        return r;
    if (size > max)
        return atls_fail(c->why, ATLS_E_MALFORMED,
                         "%s: %s has %u octets, at most %zu are possible",
                         c->structure, field, size, max);
    return atls_tpm_reader_need(&ahead, size, field);
}

enum atls_error atls_tpm_reader_finish(const struct atls_tpm_reader *c,
                                       TSS2_RC rc, const uint8_t *again,
                                       size_t again_len)
{
    if (c->offset != c->in.len)
        return atls_fail(c->why, ATLS_E_TRAILING,
                         "%zu octets after the end of %s",
                         c->in.len - c->offset, c->structure);
    if (rc != TSS2_RC_SUCCESS || again_len != c->in.len
        || memcmp(again, c->in.data, again_len) != 0)
        return atls_fail(c->why, ATLS_E_NOT_CANONICAL,
                         "%s: tpm2-tss makes other octets of its fields; it "
                         "was misread, refused for safety",
                         c->structure);
    return ATLS_OK;
}
