/* SPDX-License-Identifier: BSD-2-Clause */
/* Eleven valid evidences that differ: every bit of each flipped, each cut at every
 * length. None of it may be accepted; the rejections are counted by reason. Two more
 * carry a boot log, whose words for people no digest covers. */
#include <check.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "lib/factory.h"
#include "lib/suite.h"
#include "lib/trial.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Processes that share the work of one evidence. */
#define WORKERS 2u

static struct trial t;

/* --- the evidences --------------------------------------------------------- */

static void select_pcrs(const char *text)
{
    ck_assert_int_eq(atls_pcr_selection_parse(text, NULL, &t.f.selection),
                     ATLS_OK);
}

/* Small ones: each octet costs nine appraisals. */
static void plan_small(void)
{
    select_pcrs("sha256:0-7,11,15");
    strcpy(t.f.log[1], "%");
    t.f.log_count = 2;
    t.f.intermediate_count = 0;
}

static void plan_p256(void)
{
    t.f.intermediate_count = 1;
}

static void plan_p384(void)
{
    t.f.ak.key = factory_key(FACTORY_P384, 4);
    t.f.hash = TPM2_ALG_SHA384;
}

static void plan_rsassa(void)
{
    t.f.ak.key = factory_key(FACTORY_RSA2048, 4);
}

static void plan_rsapss(void)
{
    t.f.ak.key = factory_key(FACTORY_RSA2048, 4);
    t.f.scheme = TPM2_ALG_RSAPSS;
    t.f.hash = TPM2_ALG_SHA512;
}

static void plan_two_banks(void)
{
    select_pcrs("sha384:0,15+sha256:0-7,11,15");
}

static void plan_sha384_bank(void)
{
    select_pcrs("sha384:0-7,11,15");
}

/* Beside the values of bank sha256, which the factory's section accepts. */
static void want_sha384(void)
{
    t.section->bank = TPM2_ALG_SHA384;
    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++) {
        if (t.section->pcrs[pcr].count > 0)
            factory_section_pcr(t.section, pcr,
                                factory_pcr(&t.f, TPM2_ALG_SHA384, pcr));
    }
}

static void plan_batch(void)
{
    t.f.batch_size = 5;
    t.f.batch_index = 3;
}

/* The leaf of a site whose CA was measured instead. */
static void plan_authority(void)
{
    strcpy(t.f.log[1], "&");
}

static void add_authority(void)
{
    t.f.evidence.authority = t.f.authority_der;
    t.section->certificate = ATLS_CERTIFICATE_MEASURED_ISSUER;
}

/* PCR values are all that the policy wants. */
static void plan_no_log(void)
{
    t.f.has_log = false;
    t.f.log_count = 0;
}

static void want_no_log(void)
{
    t.section->components_any = true;
    t.section->certificate = ATLS_CERTIFICATE_ANY;
}

/* An AK as Google certifies them, for an instance. */
static void plan_google(void)
{
    t.f.intermediate_count = 2;
    t.f.ak.cn = "instance";
    t.f.ak.extensions = FACTORY_AK_BASE_EXTENSIONS FACTORY_AK_USAGE
        "1.3.6.1.4.1.11129.2.1.21=DER:"
        "301a0c0475732d610201010c0370726a0201020c02766da003020101\n";
}

static void want_google(void)
{
    t.section->ak_eku_any = true;
    factory_section_machine(t.section, "google:prj/us-a/vm");
}

/* Format 3. A certificate that was renewed, and an event of 32 octets. */
static void plan_short(void)
{
    t.f.is_short = true;
    strcpy(t.f.log[1], "certificate sha256:"
                       "0123456789abcdef0123456789abcdef"
                       "0123456789abcdef0123456789abcdef");
    strcpy(t.f.log[2], "machine-id:0123456789abcdef01234");
    strcpy(t.f.log[3], "%");
    t.f.log_count = 4;
}

static void want_event(void)
{
    factory_section_event(t.section, "machine-id:*");
}

/* Format 2. What firmware says of an event, its type and data, is in no digest
 * (TCG PC Client Platform Firmware Profile, "Event Logging"); verdicts do not look
 * at it, and that is all that may change (catalogue E9). */
static void plan_boot_log(void)
{
    factory_boot(&t.f, 0, 8, "firmware");
    factory_boot(&t.f, 4, 0x80000003, "a boot loader");
    factory_boot(&t.f, 7, 4, "");
}

static void plan_short_boot_log(void)
{
    t.f.is_short = true;
    plan_boot_log();
}

static const struct {
    const char *name;
    void (*plan)(void);
    void (*finish)(void); /* once it is made; may be NULL */
} evidences[] = {
    {"P-256", plan_p256, NULL},
    {"P-384", plan_p384, NULL},
    {"RSASSA", plan_rsassa, NULL},
    {"RSAPSS", plan_rsapss, NULL},
    {"two banks", plan_two_banks, NULL},
    {"bank sha384", plan_sha384_bank, want_sha384},
    {"one of a batch of 5", plan_batch, NULL},
    {"a measured authority", plan_authority, add_authority},
    {"no log", plan_no_log, want_no_log},
    {"two intermediates, Google's names", plan_google, want_google},
    {"certificates as digests", plan_short, want_event},
    {"a boot log", plan_boot_log, NULL},
    {"a boot log beside digests", plan_short_boot_log, NULL},
};

/* Those before it are evidence without a boot log. */
#define WITH_BOOT_LOG (COUNT(evidences) - 2)

/* --- trying ---------------------------------------------------------------- */

/* Of one evidence, written by both workers. */
struct tally {
    unsigned tries;
    unsigned rejected[ATLS_E_COUNT];
    unsigned accepted;
    unsigned words; /* accepted, being words of a boot log */
};

static struct tally (*tallies)[WORKERS]; /* of each evidence; shared memory */

/* Does accepted evidence differ from the original in nothing but types and data of
 * boot events? Its other parts are what made it accepted. */
static bool is_change_of_words(void)
{
    const struct atls_evidence *evidence = t.report.evidence;
    const struct atls_boot_log was = factory_boot_log(&t.f);
    const struct atls_boot_log *is = &evidence->boot_log;
    bool differs = false;

    if (!atls_evidence_has_boot_log(evidence) || is->count != was.count
        || is->startup_locality != was.startup_locality)
        return false;
    for (size_t i = 0; i < was.count; i++) {
        const struct atls_boot_event *event = &is->events[i];

        if (event->pcr != was.events[i].pcr
            || event->data.len != was.events[i].data.len
            || memcmp(atls_boot_event_digest(event, TPM2_ALG_SHA256),
                      atls_boot_event_digest(&was.events[i], TPM2_ALG_SHA256),
                      ATLS_SHA256_LEN)
                   != 0)
            return false;
        differs = differs || event->type != was.events[i].type
                  || memcmp(event->data.data, was.events[i].data.data,
                            event->data.len)
                         != 0;
    }
    return differs;
}

static void try_octets(struct tally *tally, const uint8_t *octets, size_t len,
                       const char *change, size_t at)
{
    enum atls_error r = trial_run_octets(&t, octets, len);

    tally->tries++;
    if (r != ATLS_OK) {
        tally->rejected[r]++;
        return;
    }
    if (is_change_of_words()) {
        tally->words++;
        return;
    }
    tally->accepted++;
    printf("# accepted: %s %zu\n", change, at);
    (void)fflush(stdout);
}

static void try_changes(struct tally *tally, size_t first)
{
    const size_t step = WORKERS * trial_stride();
    uint8_t *octets = malloc(t.f.cmw_len);

    ck_assert_ptr_nonnull(octets);
    memcpy(octets, t.f.cmw, t.f.cmw_len);
    for (size_t bit = first; bit < 8 * t.f.cmw_len; bit += step) {
        octets[bit / 8] ^= (uint8_t)(1u << bit % 8);
        try_octets(tally, octets, t.f.cmw_len, "bit", bit);
        octets[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    free(octets);
    for (size_t len = first; len < t.f.cmw_len; len += step) {
        /* a copy of its own, for who looks for reads past the end */
        octets = malloc(len > 0 ? len : 1);
        ck_assert_ptr_nonnull(octets);
        memcpy(octets, t.f.cmw, len);
        try_octets(tally, octets, len, "length", len);
        free(octets);
    }
}

/* One half in a child, the other here: also a test that does not fork uses two
 * processors. */
static void try_all(struct tally *both)
{
    int status = -1;
    pid_t child;

    (void)fflush(stdout);
    child = fork();
    ck_assert_int_ge(child, 0);
    try_changes(&both[child == 0 ? 1 : 0], child == 0 ? 1 : 0);
    if (child == 0)
        _exit(0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
}

START_TEST(test_E12_every_bit_and_every_cut_is_refused)
{
    struct tally *both = tallies[_i];
    size_t reasons = 0;
    size_t sum = 0;

    plan_small();
    evidences[_i].plan();
    trial_make(&t);
    if (evidences[_i].finish != NULL)
        evidences[_i].finish();
    trial_trusted(&t);
    try_all(both);
    for (unsigned i = 0; i < ATLS_E_COUNT; i++) {
        unsigned rejected = both[0].rejected[i] + both[1].rejected[i];

        reasons += rejected > 0;
        sum += rejected;
    }
    ck_assert_msg(both[0].accepted + both[1].accepted == 0,
                  "%s: %u changes accepted", evidences[_i].name,
                  both[0].accepted + both[1].accepted);
    sum += both[0].words + both[1].words;
    ck_assert(_i >= (int)WITH_BOOT_LOG || both[0].words + both[1].words == 0);
    ck_assert_uint_eq(sum, both[0].tries + both[1].tries);
    if (trial_stride() == 1) {
        ck_assert_uint_eq(sum, 9 * t.f.cmw_len);
        ck_assert_uint_ge(reasons, 8);
    }
}
END_TEST

static void setup(void)
{
    trial_begin(&t);
}

static void teardown(void)
{
    trial_end(&t);
}

/* --- telling --------------------------------------------------------------- */

/* The sum of evidences from first up to before end. */
static void report(const char *what, size_t first, size_t end)
{
    struct tally all = {0};

    for (size_t i = first; i < end; i++) {
        for (unsigned worker = 0; worker < WORKERS; worker++) {
            const struct tally *one = &tallies[i][worker];

            all.tries += one->tries;
            all.accepted += one->accepted;
            all.words += one->words;
            for (unsigned code = 0; code < ATLS_E_COUNT; code++)
                all.rejected[code] += one->rejected[code];
        }
    }
    printf("# %s: %u changes, %u accepted", what, all.tries, all.accepted);
    if (all.words > 0)
        printf(" (and %u of words that no digest covers)", all.words);
    printf("; rejected for\n");
    for (unsigned code = 0; code < ATLS_E_COUNT; code++) {
        if (all.rejected[code] > 0)
            printf("# %8u %s\n", all.rejected[code],
                   atls_error_name((enum atls_error)code));
    }
}

static void begin(void)
{
    tallies = mmap(NULL, COUNT(evidences) * sizeof(*tallies),
                   PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tallies == MAP_FAILED)
        exit(EXIT_FAILURE);
}

static void end(void)
{
    report("eleven evidences", 0, WITH_BOOT_LOG);
    report("evidence with a boot log", WITH_BOOT_LOG, COUNT(evidences));
    factory_free_keys();
}

static const struct suite_test tests[] = {
    LOOP(test_E12_every_bit_and_every_cut_is_refused, 0, COUNT(evidences)),
};

SUITE(.name = "flips", .begin = begin, .end = end,
      .cases = {CASE("flips", tests, 1200, setup, teardown)});
