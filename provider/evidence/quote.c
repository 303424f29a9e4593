/* SPDX-License-Identifier: BSD-2-Clause */
#include "evidence/quote.h"

#include <string.h>
#include <tss2/tss2_mu.h>

#include "evidence/tpm_reader.h"

/* More than the longest quote that read_head() and read_body() let through. */
#define ATTEST_MAX 512

static enum atls_error read_name(struct atls_tpm_reader *c, TPM2B_NAME *ret)
{
    static const char field[] = "qualifiedSigner";
    enum atls_error r = atls_tpm_reader_need_sized(c, sizeof(ret->name), field);
    TSS2_RC rc;

    if (r != ATLS_OK)
        return r;
    rc = Tss2_MU_TPM2B_NAME_Unmarshal(c->in.data, c->in.len, &c->offset, ret);
    return atls_tpm_reader_check(c, rc, field);
}

static enum atls_error read_extra_data(struct atls_tpm_reader *c,
                                       TPM2B_DATA *ret)
{
    static const char field[] = "extraData";
    enum atls_error r =
        atls_tpm_reader_need_sized(c, sizeof(ret->buffer), field);
    TSS2_RC rc;

    if (r != ATLS_OK)
        return r;
    rc = Tss2_MU_TPM2B_DATA_Unmarshal(c->in.data, c->in.len, &c->offset, ret);
    return atls_tpm_reader_check(c, rc, field);
}

static enum atls_error read_clock_info(struct atls_tpm_reader *c,
                                       TPMS_CLOCK_INFO *ret)
{
    static const char field[] = "clockInfo";
    const size_t len = sizeof(ret->clock) + sizeof(ret->resetCount)
                       + sizeof(ret->restartCount) + sizeof(ret->safe);
    enum atls_error r = atls_tpm_reader_need(c, len, field);
    TSS2_RC rc;

    if (r != ATLS_OK)
        return r;
    rc = Tss2_MU_TPMS_CLOCK_INFO_Unmarshal(c->in.data, c->in.len, &c->offset,
                                           ret);
    r = atls_tpm_reader_check(c, rc, field);
    if (r != ATLS_OK)
        return r;
    /* TPMI_YES_NO (Part 2, 9.2), which mu does not look at. */
    if (ret->safe > 1)
        return atls_fail(c->why, ATLS_E_MALFORMED,
                         "%s: clockInfo.safe is %u, expected 0 or 1",
                         c->structure, ret->safe);
    return ATLS_OK;
}

/* What every attestation structure begins with (Part 2, TPMS_ATTEST). */
static enum atls_error read_head(struct atls_tpm_reader *c, TPMS_ATTEST *attest)
{
    enum atls_error r = atls_tpm_reader_u32(c, "magic", &attest->magic);

    if (r != ATLS_OK)
        return r;
    r = atls_tpm_reader_u16(c, "type", &attest->type);
    if (r != ATLS_OK)
        return r;
    r = read_name(c, &attest->qualifiedSigner);
    if (r != ATLS_OK)
        return r;
    r = read_extra_data(c, &attest->extraData);
    if (r != ATLS_OK)
        return r;
    r = read_clock_info(c, &attest->clockInfo);
    if (r != ATLS_OK)
        return r;
    return atls_tpm_reader_u64(c, "firmwareVersion", &attest->firmwareVersion);
}

/* One TPMS_PCR_SELECTION: hash, length of the bit map, bit map. */
static enum atls_error read_bank(struct atls_tpm_reader *c,
                                 TPMS_PCR_SELECTION *ret)
{
    static const char field[] = "pcrSelect";
    enum atls_error r = atls_tpm_reader_need(c, 3, field);
    size_t map_len;
    TSS2_RC rc;

    if (r != ATLS_OK)
        return r;
    map_len = c->in.data[c->offset + 2];
    if (map_len > sizeof(ret->pcrSelect))
        return atls_fail(c->why, ATLS_E_SELECTION,
                         "the quote's bit map of PCRs has %zu octets, expected "
                         "at most %zu",
                         map_len, sizeof(ret->pcrSelect));
    r = atls_tpm_reader_need(c, 3 + map_len, field);
    if (r != ATLS_OK)
        return r;
    rc = Tss2_MU_TPMS_PCR_SELECTION_Unmarshal(c->in.data, c->in.len, &c->offset,
                                              ret);
    return atls_tpm_reader_check(c, rc, field);
}

/* What a verifier could be fooled by is refused: a bank twice, bits that are no
 * PCR, a hash nobody here can compute (catalogue E7). Only an entry without PCRs
 * is passed over: that is how a TPM answers for a bank it does not keep, "if no
 * PCR are returned from a bank, the selector for the bank will be present" (Part
 * 3, TPM2_PCR_Read), and it adds nothing to the digest. */
static enum atls_error add_bank(const struct atls_tpm_reader *c,
                                const TPMS_PCR_SELECTION *bank,
                                struct atls_pcr_selection *selection)
{
    uint32_t mask = 0;

    for (unsigned i = 0; i < bank->sizeofSelect; i++)
        mask |= (uint32_t)bank->pcrSelect[i] << (8 * i);
    if (mask == 0)
        return ATLS_OK;
    if (atls_hash_by_alg(bank->hash) == NULL)
        return atls_fail(c->why, ATLS_E_SELECTION,
                         "the quote selects PCRs of algorithm 0x%04x, expected "
                         "sha1, sha256, sha384 or sha512",
                         bank->hash);
    for (size_t i = 0; i < selection->count; i++) {
        if (selection->banks[i].alg == bank->hash)
            return atls_fail(c->why, ATLS_E_SELECTION,
                             "the quote selects the PCR bank %s twice",
                             atls_hash_by_alg(bank->hash)->name);
    }
    if (mask >> ATLS_PCR_COUNT != 0)
        return atls_fail(c->why, ATLS_E_SELECTION,
                         "the quote selects PCRs above %u (bit map 0x%08x)",
                         ATLS_PCR_COUNT - 1, mask);
    selection->banks[selection->count].alg = bank->hash;
    selection->banks[selection->count].mask = mask;
    selection->count++;
    return ATLS_OK;
}

static enum atls_error read_selection(struct atls_tpm_reader *c,
                                      TPML_PCR_SELECTION *list,
                                      struct atls_pcr_selection *selection)
{
    enum atls_error r = atls_tpm_reader_u32(c, "pcrSelect", &list->count);

    if (r != ATLS_OK)
        return r;
    if (list->count > TPM2_NUM_PCR_BANKS)
        return atls_fail(c->why, ATLS_E_SELECTION,
                         "the quote selects %u PCR banks, expected 1 to %u",
                         list->count, TPM2_NUM_PCR_BANKS);
    for (uint32_t i = 0; i < list->count; i++) {
        r = read_bank(c, &list->pcrSelections[i]);
        if (r != ATLS_OK)
            return r;
        r = add_bank(c, &list->pcrSelections[i], selection);
        if (r != ATLS_OK)
            return r;
    }
    if (selection->count == 0)
        return atls_fail(c->why, ATLS_E_SELECTION,
                         "the quote selects no PCR; name some that the TPM "
                         "keeps in a bank it has");
    return ATLS_OK;
}

static enum atls_error read_pcr_digest(struct atls_tpm_reader *c,
                                       TPM2B_DIGEST *ret)
{
    static const char field[] = "pcrDigest";
    enum atls_error r =
        atls_tpm_reader_need_sized(c, sizeof(ret->buffer), field);
    TSS2_RC rc;

    if (r != ATLS_OK)
        return r;
    rc = Tss2_MU_TPM2B_DIGEST_Unmarshal(c->in.data, c->in.len, &c->offset, ret);
    return atls_tpm_reader_check(c, rc, field);
}

/* TPMS_QUOTE_INFO, up to the last octet. */
static enum atls_error read_body(struct atls_tpm_reader *c, TPMS_ATTEST *attest,
                                 struct atls_quote *quote)
{
    TPMS_QUOTE_INFO *info = &attest->attested.quote;
    uint8_t again[ATTEST_MAX];
    size_t again_len = 0;
    enum atls_error r = read_selection(c, &info->pcrSelect, &quote->selection);
    TSS2_RC rc;

    if (r != ATLS_OK)
        return r;
    r = read_pcr_digest(c, &info->pcrDigest);
    if (r != ATLS_OK)
        return r;
    quote->pcr_digest_len = info->pcrDigest.size;
    memcpy(quote->pcr_digest, info->pcrDigest.buffer, info->pcrDigest.size);
    rc = Tss2_MU_TPMS_ATTEST_Marshal(attest, again, sizeof(again), &again_len);
    return atls_tpm_reader_finish(c, rc, again, again_len);
}

enum atls_error atls_quote_parse(struct atls_span attest,
                                 struct atls_reason *why,
                                 struct atls_quote *ret_quote)
{
    struct atls_tpm_reader c = {
        .structure = "TPMS_ATTEST", .in = attest, .why = why};
    struct atls_quote quote = {0};
    TPMS_ATTEST parsed = {0};
    enum atls_error r = read_head(&c, &parsed);

    if (r != ATLS_OK)
        return r;
    quote.magic = parsed.magic;
    quote.type = parsed.type;
    quote.extra_data_len = parsed.extraData.size;
    memcpy(quote.extra_data, parsed.extraData.buffer, parsed.extraData.size);
    quote.clock = parsed.clockInfo.clock;
    quote.reset_count = parsed.clockInfo.resetCount;
    quote.restart_count = parsed.clockInfo.restartCount;
    quote.safe = parsed.clockInfo.safe != 0;
    quote.firmware_version = parsed.firmwareVersion;
    /* The bodies of other types are not read: appraisal refuses the type. */
    if (parsed.type == TPM2_ST_ATTEST_QUOTE) {
        r = read_body(&c, &parsed, &quote);
        if (r != ATLS_OK)
            return r;
    }
    *ret_quote = quote;
    return ATLS_OK;
}
