/* SPDX-License-Identifier: BSD-2-Clause */
#include <getopt.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/digest.h"
#include "tools/common/input.h"
#include "tools/verify/quote_parts.h"
#include "tools/verify/print.h"
#include "tools/common/tool.h"
#include "verifier/policy_internal.h"

static const char help[] =
    "Usage: attest verify --quote FILE --signature FILE --pcrs FILE\n"
    "                     --extra-data HEX\n"
    "                     (--ak-chain FILE --trust FILE | --ak-public FILE)\n"
    "                     [--boot-log FILE] [--event-log FILE] "
    "[--ima-log FILE]\n"
    "                     [--at TIME] [--eku OIDS] [--machines LIST] "
    "[--json]\n"
    "Verifies a quote that is not evidence of a TLS connection: that a TPM's "
    "AK\n"
    "signed it, for this question, over these PCR values. What the values "
    "should\n"
    "be it does not know: compare them, or judge evidence with attest show.\n"
    "\n"
    "  --quote FILE       TPMS_ATTEST, as tpm2_quote -m writes it\n"
    "  --signature FILE   TPMT_SIGNATURE, as tpm2_quote -s writes it\n"
    "  --pcrs FILE        PCR values as tpm2_pcrread prints them, or JSON\n"
    "  --extra-data HEX   the qualifying data, 0 to 64 octets; \"\" for none\n"
    "  --ak-chain FILE    AK certificate, then its intermediates in any "
    "order,\n"
    "                     without the root; PEM or DER, may be repeated\n"
    "  --trust FILE       trusted issuers; PEM or DER, may be repeated\n"
    "  --ak-public FILE   instead: the AK itself, PEM, DER or a TPM's public "
    "area\n"
    "  --boot-log FILE    must replay to the PCRs it has events of: the "
    "firmware's\n"
    "  --event-log FILE   likewise, and together: systemd's or attest's\n"
    "  --ima-log FILE     must have a beginning that replays to PCR 10\n"
    "  --at TIME          judge certificates as of then: "
    "2025-12-06T00:00:00Z\n"
    "  --eku OIDS         one of which the AK certificate must carry, or any\n"
    "                     (default 2.23.133.8.3)\n"
    "  --machines LIST    names the AK certificate may have, or any (default)\n"
    "\n"
    "Exit status: 0 trusted, 1 refused (chain, AK, selection), 2 usage or "
    "files,\n"
    "3 invalid evidence.\n";

/* Octets of a file with a quote or a signature; both are far smaller. */
#define PART_FILE_MAX (64u * 1024u)

struct arguments {
    const char *quote;
    const char *signature;
    const char *pcrs;
    const char *extra_data;
    const char *ak_public;
    const char *ak_eku;
    const char *machines;
    struct quote_logs logs;
    bool has_at;
    int64_t at;
    struct quote_certificates chain;
    struct quote_certificates trust;
};

/* Everything that is read before it is judged. */
struct parts {
    uint8_t *quote;
    uint8_t *signature;
    uint8_t extra_data[64];
    EVP_PKEY *key;
    char **machines; /* one block */
    char **ekus;     /* one block */
    struct atls_section section;
    struct atls_pcr_values values;
    struct quote_input input;
};

/* ---- arguments ---- */

static int take_chain(const struct tool_options *options, const char *value,
                      void *ret)
{
    struct atls_reason why = {0};

    if (tool_quote_certificates_read(value, &why, ret) != ATLS_OK)
        return tool_fail(options, &why);
    return TOOL_DONE;
}

/* A broken file of --trust is a usage error, not bad evidence. */
static int take_trust(const struct tool_options *options, const char *value,
                      void *ret)
{
    struct atls_reason why = {0};
    enum atls_error r = tool_quote_certificates_read(value, &why, ret);

    if (r == ATLS_E_CHAIN_EMPTY || r == ATLS_E_MALFORMED || r == ATLS_E_LIMIT)
        r = why.code = ATLS_E_USAGE;
    return r == ATLS_OK ? TOOL_DONE : tool_fail(options, &why);
}

/* What may follow the seconds (RFC 3339 §5.6): a fraction, then Z or the
 * offset from UTC. */
static bool parse_zone(const char *text, int64_t *ret_seconds)
{
    unsigned hours = 0;
    unsigned minutes = 0;
    int end = 0;

    if (*text == '.')
        text += 1 + strspn(text + 1, "0123456789");
    *ret_seconds = 0;
    if (strcmp(text, "Z") == 0)
        return true;
    if ((*text != '+' && *text != '-')
        || sscanf(text + 1, "%2u:%2u%n", &hours, &minutes, &end) != 2
        || end != 5 || text[6] != '\0' || hours > 23 || minutes > 59)
        return false;
    *ret_seconds = (hours * 60 + minutes) * INT64_C(60);
    if (*text == '-')
        *ret_seconds = -*ret_seconds;
    return true;
}

static bool parse_time(const char *text, int64_t *ret_seconds)
{
    enum { SECONDS_END = sizeof("2025-12-06T00:00:00") - 1 };
    char utc[SECONDS_END + sizeof("Z")];
    int64_t zone = 0;

    if (strlen(text) <= SECONDS_END)
        return tool_time(text, ret_seconds);
    (void)snprintf(utc, sizeof(utc), "%.*sZ", SECONDS_END, text);
    if (!parse_zone(text + SECONDS_END, &zone) || !tool_time(utc, ret_seconds))
        return false;
    *ret_seconds -= zone;
    return true;
}

static int take_time(const struct tool_options *options, const char *value,
                     void *ret)
{
    struct arguments *arguments = ret;

    if (!parse_time(value, &arguments->at))
        return tool_usage(options,
                          "--at %s: expected a time as of RFC 3339, such as "
                          "2025-12-06T00:00:00Z",
                          value);
    arguments->has_at = true;
    return TOOL_DONE;
}

static int check_arguments(const struct tool_options *options,
                           const struct arguments *given)
{
    const bool has_chain = given->chain.count > 0;

    if (given->quote == NULL || given->signature == NULL || given->pcrs == NULL)
        return tool_usage(options, "expected --quote, --signature and --pcrs");
    if (given->extra_data == NULL)
        return tool_usage(options,
                          "expected --extra-data HEX (\"\" for none): a quote "
                          "for an unknown question may be any old one");
    if (has_chain == (given->ak_public != NULL))
        return tool_usage(options,
                          "expected either --ak-chain with --trust, or "
                          "--ak-public");
    if (has_chain != (given->trust.count > 0))
        return tool_usage(options,
                          has_chain ? "--ak-chain needs --trust: a chain "
                                      "that ends nowhere proves nothing"
                                    : "--trust goes with --ak-chain; the key "
                                      "of --ak-public is trusted as it is");
    if (!has_chain && (given->ak_eku != NULL || given->machines != NULL))
        return tool_usage(options, "--eku and --machines go with --ak-chain");
    return TOOL_DONE;
}

static int parse_arguments(int argc, char **argv,
                           const struct tool_options *options,
                           struct arguments *ret)
{
    const struct tool_option table[] = {
        {.name = "quote", .text = &ret->quote},
        {.name = "signature", .text = &ret->signature},
        {.name = "pcrs", .text = &ret->pcrs},
        {.name = "extra-data", .text = &ret->extra_data},
        {.name = "ak-chain", .take = take_chain, .ret = &ret->chain},
        {.name = "trust", .take = take_trust, .ret = &ret->trust},
        {.name = "ak-public", .text = &ret->ak_public},
        {.name = "at", .take = take_time, .ret = ret},
        {.name = "eku", .text = &ret->ak_eku},
        {.name = "machines", .text = &ret->machines},
        {.name = "boot-log", .text = &ret->logs.boot},
        {.name = "event-log", .text = &ret->logs.event},
        {.name = "ima-log", .text = &ret->logs.ima},
    };
    int status = tool_read_options(argc, argv, options, table,
                                   sizeof(table) / sizeof(table[0]));

    if (status != TOOL_DONE)
        return status;
    if (argc != optind)
        return tool_usage(options, "%s: expected options only", argv[optind]);
    return check_arguments(options, ret);
}

/* ---- what the chain must be ---- */

static bool is_any(size_t count, char *const *items)
{
    return count == 1 && strcmp(items[0], "any") == 0;
}

static enum atls_error set_machines(const char *list, struct parts *parts,
                                    struct atls_reason *why)
{
    struct atls_section *section = &parts->section;
    size_t count = 0;
    enum atls_error r =
        atls_policy_parse_list(list, why, &count, &parts->machines);

    if (r == ATLS_E_NOMEM)
        return r;
    if (r == ATLS_OK && is_any(count, parts->machines)) {
        section->machines_any = true;
        return ATLS_OK;
    }
    for (size_t i = 0; r == ATLS_OK && i < count; i++) {
        if (!atls_policy_normalise_machine(parts->machines[i]))
            r = ATLS_E_USAGE;
    }
    if (r != ATLS_OK || count == 0)
        return atls_fail(why, ATLS_E_USAGE,
                         "--machines %.80s: expected names, "
                         "google:PROJECT/ZONE/INSTANCE, sha256:HEX, or any",
                         list);
    section->machine_count = count;
    section->machines = parts->machines;
    return ATLS_OK;
}

static enum atls_error set_ekus(const char *list, struct parts *parts,
                                struct atls_reason *why)
{
    struct atls_section *section = &parts->section;
    size_t count = 0;
    enum atls_error r = atls_policy_parse_list(list, why, &count, &parts->ekus);

    if (r == ATLS_E_NOMEM)
        return r;
    if (r == ATLS_OK && is_any(count, parts->ekus)) {
        section->ak_eku_any = true;
        return ATLS_OK;
    }
    if (r == ATLS_OK)
        section->ak_ekus = OPENSSL_zalloc((count + 1) * sizeof(ASN1_OBJECT *));
    if (r == ATLS_OK && section->ak_ekus == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    for (size_t i = 0; r == ATLS_OK && i < count; i++) {
        section->ak_ekus[i] = OBJ_txt2obj(parts->ekus[i], 1);
        if (section->ak_ekus[i] == NULL)
            r = ATLS_E_USAGE;
        else
            section->ak_eku_count++;
    }
    if (r != ATLS_OK || count == 0)
        return atls_fail(why, ATLS_E_USAGE,
                         "--eku %.80s: expected OIDs such as "
                         "2.23.133.8.3, or any",
                         list);
    return ATLS_OK;
}

static enum atls_error make_section(const struct arguments *arguments,
                                    struct parts *parts,
                                    struct atls_reason *why)
{
    static char name[] = "verify";
    const char *machines =
        arguments->machines != NULL ? arguments->machines : "any";
    const char *ekus =
        arguments->ak_eku != NULL ? arguments->ak_eku : ATLS_AK_EKU_DEFAULT;
    enum atls_error r = tool_quote_certificates_trust(&arguments->trust, why,
                                                      &parts->section.trust);

    parts->section.name = name;
    if (r != ATLS_OK)
        return r;
    r = set_machines(machines, parts, why);
    if (r != ATLS_OK)
        return r;
    return set_ekus(ekus, parts, why);
}

/* ---- reading ---- */

static enum atls_error read_part(const char *path, struct atls_reason *why,
                                 uint8_t **ret_data, struct atls_span *ret)
{
    enum atls_error r =
        tool_input_read(path, PART_FILE_MAX, why, ret_data, &ret->len);

    if (r == ATLS_OK)
        ret->data = *ret_data;
    return r;
}

static enum atls_error read_extra_data(const char *hex, struct parts *parts,
                                       struct atls_reason *why)
{
    struct atls_span *extra_data = &parts->input.extra_data;

    if (!atls_unhex(hex, parts->extra_data, sizeof(parts->extra_data),
                    &extra_data->len))
        return atls_fail(why, ATLS_E_USAGE,
                         "--extra-data %.40s: expected hex of 0 to %zu octets",
                         hex, sizeof(parts->extra_data));
    extra_data->data = parts->extra_data;
    return ATLS_OK;
}

static enum atls_error read_ak(const struct arguments *arguments,
                               struct parts *parts, struct atls_reason *why)
{
    enum atls_error r;

    if (arguments->ak_public == NULL) {
        parts->input.chain = &arguments->chain;
        parts->input.section = &parts->section;
        return make_section(arguments, parts, why);
    }
    r = tool_quote_key_read(arguments->ak_public, why, &parts->key);
    parts->input.key = parts->key;
    return r;
}

static enum atls_error read_parts(const struct arguments *arguments,
                                  struct parts *parts, struct atls_reason *why)
{
    struct quote_input *input = &parts->input;
    enum atls_error r = read_extra_data(arguments->extra_data, parts, why);

    if (r != ATLS_OK)
        return r;
    r = read_ak(arguments, parts, why);
    if (r != ATLS_OK)
        return r;
    r = read_part(arguments->quote, why, &parts->quote, &input->quote);
    if (r != ATLS_OK)
        return r;
    r = read_part(arguments->signature, why, &parts->signature,
                  &input->signature);
    if (r != ATLS_OK)
        return r;
    input->values = &parts->values;
    input->now = arguments->has_at ? arguments->at : (int64_t)time(NULL);
    return tool_quote_pcrs_read(arguments->pcrs, why, &parts->values);
}

static void parts_clear(struct parts *parts)
{
    for (size_t i = 0; i < parts->section.ak_eku_count; i++)
        ASN1_OBJECT_free(parts->section.ak_ekus[i]);
    OPENSSL_free(parts->section.ak_ekus);
    X509_STORE_free(parts->section.trust);
    OPENSSL_free(parts->machines);
    OPENSSL_free(parts->ekus);
    OPENSSL_free(parts->quote);
    OPENSSL_free(parts->signature);
    EVP_PKEY_free(parts->key);
}

/* ---- all together ---- */

static int verify(const struct tool_options *options,
                  const struct arguments *arguments)
{
    struct parts parts = {0};
    struct quote_result result = {0};
    struct atls_reason why = {0};
    enum atls_error r = read_parts(arguments, &parts, &why);
    int status;

    if (r == ATLS_OK)
        r = tool_quote_check(&parts.input, &why, &result);
    if (r == ATLS_OK)
        r = tool_quote_logs_check(&arguments->logs, &result.values, &why,
                                  &result.accounted);
    if (r == ATLS_OK)
        status = tool_quote_result_print(options, &result);
    else
        status = tool_refuse(options, &why);
    tool_quote_result_clear(&result);
    parts_clear(&parts);
    return status;
}

static int run(int argc, char **argv, struct tool_options *options)
{
    struct arguments arguments = {0};
    int status;

    /* Silence tpm2-tss, which logs what it cannot unmarshal. */
    (void)setenv("TSS2_LOG", "all+NONE", 0);
    status = parse_arguments(argc, argv, options, &arguments);
    if (status == TOOL_DONE)
        status = verify(options, &arguments);
    tool_quote_certificates_clear(&arguments.chain);
    tool_quote_certificates_clear(&arguments.trust);
    return status;
}

const struct tool_verb tool_verb_verify = {
    .name = "verify",
    .synopsis = "verify a TPM quote from its raw parts",
    .help = help,
    .run = run,
};
