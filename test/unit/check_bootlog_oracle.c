/* SPDX-License-Identifier: BSD-2-Clause */
/* Boot logs of random events, other ones at every run: they replay to what
 * tpm2_eventlog says. ATTEST_TEST_SEED=N repeats a run. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "evidence/bootlog.h"
#include "lib/eventlog_oracle.h"
#include "lib/scratch.h"
#include "lib/suite.h"
#include "lib/tcglog.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))
#define LOGS 12
#define EVENTS_MAX 60u
#define DATA_MAX 200u

static const struct tcglog_algorithm algorithms[] = {
    {TPM2_ALG_SHA1, 20},   {TPM2_ALG_SHA256, 32},  {TPM2_ALG_SHA384, 48},
    {TPM2_ALG_SHA512, 64}, {TPM2_ALG_SM3_256, 32},
};

/* Whose data tpm2_eventlog takes for octets or text. Not EV_NO_ACTION, which
 * that of tpm2-tools 5.4 extends. */
static const uint32_t types[] = {
    0x00000001, 0x00000004, 0x00000005, 0x00000006, 0x0000000a,
    0x0000000c, 0x0000000d, 0x00000011, 0x00000013, 0x80000007,
    0x80000008, 0x80000009, 0x800000e1, 0x81234567,
};

static unsigned seed;
static struct tcglog made;

/* Two streams of one seed would be one. */
static void sow(int number)
{
    srandom(seed + 1000003u * (unsigned)number);
}

static unsigned below(size_t end)
{
    return (unsigned)((size_t)random() % end);
}

/* The algorithms from a random one on, in their order, so many. */
static void begin(void)
{
    struct tcglog_algorithm banks[COUNT(algorithms)];
    size_t count = 1 + below(COUNT(algorithms));
    size_t first = below(COUNT(algorithms));

    for (size_t i = 0; i < count; i++)
        banks[i] = algorithms[(first + i) % COUNT(algorithms)];
    tcglog_begin(&made, banks, count);
}

static void add_event(void)
{
    uint32_t type = types[below(COUNT(types))];
    uint8_t data[DATA_MAX];
    /* a firmware blob has at least base and length */
    size_t len = 16 + below(sizeof(data) - 16);

    for (size_t i = 0; i < len; i++)
        data[i] = (uint8_t)('!' + below(94));
    data[len - 1] = '\0';
    tcglog_event(&made, below(ATLS_PCR_COUNT), type, data, len);
}

static void make(bool is_sha1)
{
    if (is_sha1)
        tcglog_begin_sha1(&made);
    else
        begin();
    for (unsigned i = 1 + below(EVENTS_MAX); i > 0; i--)
        add_event();
    /* so that something is replayed */
    tcglog_text(&made, 7, 0x80000007, "last");
}

START_TEST(test_random_logs_replay_as_tpm2_eventlog_says)
{
    struct atls_boot_log log;
    struct atls_reason why;

    sow(_i);
    make(_i >= LOGS);
    scratch_make();
    scratch_write("log", made.octets, made.len, 0600);
    ck_assert_msg(atls_boot_log_parse((struct atls_span){made.octets, made.len},
                                      &why, &log)
                      == ATLS_OK,
                  "seed %u: %s", seed, why.text);
    eventlog_oracle_agrees(scratch_path("log"), &log);
    atls_boot_log_clear(&log);
    scratch_remove();
}
END_TEST

static void take_seed(void)
{
    const char *text = getenv("ATTEST_TEST_SEED");

    if (text != NULL)
        seed = (unsigned)strtoul(text, NULL, 10);
    else if (getentropy(&seed, sizeof(seed)) != 0)
        exit(EXIT_FAILURE);
    printf("# ATTEST_TEST_SEED=%u\n", seed);
    (void)fflush(stdout);
}

static const struct suite_test tests[] = {
    LOOP(test_random_logs_replay_as_tpm2_eventlog_says, 0, LOGS + LOGS / 2),
};

SUITE(.name = "bootlog_oracle", .skip = eventlog_oracle_missing,
      .begin = take_seed,
      .cases = {CASE("bootlog_oracle", tests, 60, NULL, NULL)});
