/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/attester/quoter_tree.c: what the evidence of a peer tells it of the
 * other connections in its batch. No TPM is needed. */
#include <check.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "attester/quoter_tree.h"
#include "lib/allocation.h"
#include "lib/suite.h"

/* --- a kernel that fails -------------------------------------------------------- */

static struct {
    unsigned calls;
    unsigned fail_at; /* 0: never */
    int error;        /* EINTR: once, as a signal would */
    size_t largest;   /* 0: no limit to what one call gives */
    size_t octets;    /* given so far */
} kernel;

/* In place of libc's: the linker takes the program's own. */
ssize_t getrandom(void *buffer, size_t length, unsigned int flags)
{
    ssize_t n;

    kernel.calls++;
    if (kernel.calls == kernel.fail_at) {
        errno = kernel.error;
        return -1;
    }
    if (kernel.largest > 0 && length > kernel.largest)
        length = kernel.largest;
    n = syscall(SYS_getrandom, buffer, length, flags);
    if (n > 0)
        kernel.octets += (size_t)n;
    return n;
}

/* --- a batch that no TPM has seen ------------------------------------------------ */

static struct atls_ticket tickets[ATLS_BATCH_MAX];
static struct atls_batch batch;

static enum atls_error build(size_t count)
{
    batch = (struct atls_batch){.count = count};
    TAILQ_INIT(&batch.tickets);
    for (size_t i = 0; i < count; i++) {
        memset(tickets[i].leaf, 0x1e, sizeof(tickets[i].leaf));
        memcpy(tickets[i].leaf, &i, sizeof(i));
        TAILQ_INSERT_TAIL(&batch.tickets, &tickets[i], entry);
    }
    return atls_quoter_build_tree(&batch);
}

static void uproot(void)
{
    atls_merkle_tree_free(batch.tree);
    batch.tree = NULL;
}

static bool leads_to_root(size_t leaf, const struct atls_merkle_proof *proof)
{
    uint8_t root[ATLS_SHA256_LEN];

    ck_assert_int_eq(atls_merkle_fold(tickets[leaf].leaf, proof, NULL, root),
                     ATLS_OK);
    return memcmp(root, atls_merkle_tree_root(batch.tree), sizeof(root)) == 0;
}

static const size_t sizes[] = {1, 2, 3, 5, 64, 1000, 2048, 4095, 4096};

#define SIZES ((int)(sizeof(sizes) / sizeof(sizes[0])))

/* Of each batch every ticket has a valid proof of twelve nodes, and for nobody
 * else's leaf. */
START_TEST(test_every_ticket_has_a_proof_of_full_length)
{
    size_t count = sizes[_i];
    bool is_taken[ATLS_BATCH_MAX] = {false};

    ck_assert_int_eq(build(count), ATLS_OK);
    for (size_t i = 0; i < count; i++) {
        struct atls_merkle_proof proof;

        ck_assert_uint_lt(tickets[i].place, ATLS_BATCH_MAX);
        ck_assert(!is_taken[tickets[i].place]);
        is_taken[tickets[i].place] = true;
        ck_assert_int_eq(
            atls_merkle_tree_prove(batch.tree, tickets[i].place, &proof),
            ATLS_OK);
        ck_assert_uint_eq(proof.leaf_index, tickets[i].place);
        ck_assert_uint_eq(proof.path_count, ATLS_PATH_MAX);
        ck_assert(leads_to_root(i, &proof));
        for (size_t other = 0; other < count; other += 1 + count / 8)
            ck_assert(other == i || !leads_to_root(other, &proof));
    }
    uproot();
}
END_TEST

/* --- where tickets stand ---------------------------------------------------------- */

#define BINS 64

struct histogram {
    unsigned bins[BINS];
    unsigned count;
};

static void count_in(struct histogram *h, unsigned number)
{
    h->bins[number]++;
    h->count++;
}

/*
 * Chi-square of 63 degrees of freedom has mean 63 and deviation 11: a fair one
 * is beyond 8 deviations once in ten million runs, and what is even beyond chance
 * is no chance.
 */
static void expect_uniform(const struct histogram *h, size_t count,
                           const char *what)
{
    double expected = (double)h->count / BINS;
    double chi = 0;

    for (int i = 0; i < BINS; i++)
        chi += (h->bins[i] - expected) * (h->bins[i] - expected) / expected;
    ck_assert_msg(chi > 15 && chi < 155, "batches of %zu, %s: chi-square %.1f",
                  count, what, chi);
}

static const struct {
    size_t count;
    unsigned batches;
} samples[] = {{1, 4000}, {2, 4000},  {3, 4000},
               {5, 4000}, {64, 2000}, {4096, 320}};

/* The same for every size of a batch, for who comes first and who comes last,
 * and for the distance of two peers that show each other what they were sent. */
START_TEST(test_places_are_random_whatever_the_load)
{
    struct histogram low = {.count = 0}, high = {.count = 0};
    struct histogram last = {.count = 0}, apart = {.count = 0};
    size_t count = samples[_i].count;

    for (unsigned n = 0; n < samples[_i].batches; n++) {
        unsigned first_place, last_place;

        ck_assert_int_eq(build(count), ATLS_OK);
        first_place = tickets[0].place;
        last_place = tickets[count - 1].place;
        count_in(&low, first_place % BINS);
        count_in(&high, first_place / BINS);
        count_in(&last, last_place % BINS);
        count_in(&apart, (first_place ^ last_place) / BINS);
        uproot();
    }
    expect_uniform(&low, count, "low bits of the first");
    expect_uniform(&high, count, "high bits of the first");
    expect_uniform(&last, count, "low bits of the last");
    if (count > 1)
        expect_uniform(&apart, count, "high bits between first and last");
}
END_TEST

/* Two batches of the same leaves have nothing in common. */
START_TEST(test_decoys_are_drawn_anew)
{
    struct atls_merkle_proof first, second;

    ck_assert_int_eq(build(1), ATLS_OK);
    ck_assert_int_eq(
        atls_merkle_tree_prove(batch.tree, tickets[0].place, &first), ATLS_OK);
    uproot();
    ck_assert_int_eq(build(1), ATLS_OK);
    ck_assert_int_eq(
        atls_merkle_tree_prove(batch.tree, tickets[0].place, &second), ATLS_OK);
    uproot();
    for (size_t i = 0; i < ATLS_PATH_MAX; i++) {
        for (size_t j = 0; j < ATLS_PATH_MAX; j++) {
            ck_assert_mem_ne(first.path[i], second.path[j], ATLS_SHA256_LEN);
            ck_assert(i == j
                      || memcmp(first.path[i], first.path[j], ATLS_SHA256_LEN)
                             != 0);
        }
    }
}
END_TEST

/* --- what it costs, and what fails ----------------------------------------------- */

START_TEST(test_G9_memory_and_random_octets_are_linear)
{
    ck_assert_int_eq(build(1), ATLS_OK); /* makes the library context */
    uproot();
    for (int i = 0; i < SIZES; i++) {
        size_t count = sizes[i];

        kernel.octets = 0;
        allocation_fail_at(0);
        ck_assert_int_eq(build(count), ATLS_OK);
        /* A leaf, and for each level at most a pair and a decoy beside it. */
        ck_assert_uint_le(allocation_peak(),
                          1024 + count * (2 * 34 + 12 * (66 + 32)));
        ck_assert_uint_le(allocation_peak(), 600000);
        ck_assert_uint_le(kernel.octets, count * (4 + 12 * 32));
        ck_assert_uint_le(kernel.octets, 100000);
        uproot();
    }
}
END_TEST

START_TEST(test_R4_no_random_octets)
{
    static const char text[] =
        "no random octets for a batch: getrandom: Function not implemented";

    kernel.error = ENOSYS;
    for (unsigned n = 1; n <= 2; n++) { /* places, decoys */
        kernel.calls = 0;
        kernel.fail_at = n;
        ck_assert_int_eq(build(3), ATLS_E_CRYPTO);
        ck_assert_str_eq(batch.why.text, text);
        ck_assert_int_eq(batch.why.code, ATLS_E_CRYPTO);
        ck_assert_ptr_null(batch.tree);
    }
    kernel.fail_at = 0;
    ck_assert_int_eq(build(3), ATLS_OK);
    uproot();
}
END_TEST

START_TEST(test_random_octets_in_parts)
{
    kernel.error = EINTR;
    kernel.fail_at = 2;
    kernel.largest = 7;
    kernel.calls = 0;
    ck_assert_int_eq(build(64), ATLS_OK);
    ck_assert_uint_gt(kernel.calls, 64 * 4 / 7);
    kernel.fail_at = 0;
    kernel.largest = 0;
    for (size_t i = 0; i < 64; i++) {
        struct atls_merkle_proof proof;

        ck_assert_int_eq(
            atls_merkle_tree_prove(batch.tree, tickets[i].place, &proof),
            ATLS_OK);
        ck_assert(leads_to_root(i, &proof));
    }
    uproot();
}
END_TEST

START_TEST(test_R3_every_allocation_fails)
{
    enum atls_error r;
    size_t n = 0;

    ck_assert_int_eq(build(5), ATLS_OK);
    uproot();
    do {
        allocation_fail_at(++n);
        r = build(5);
        allocation_fail_at(0);
        ck_assert(r == ATLS_OK || r == ATLS_E_NOMEM || r == ATLS_E_CRYPTO);
        ck_assert(r == ATLS_OK || batch.why.code == r);
        ck_assert(r == ATLS_OK || batch.tree == NULL);
        ck_assert_uint_lt(n, 1000);
    } while (r != ATLS_OK);
    ck_assert_uint_gt(n, 4);
    uproot();
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_every_ticket_has_a_proof_of_full_length, 0, SIZES),
    LOOP(test_places_are_random_whatever_the_load, 0,
         sizeof(samples) / sizeof(samples[0])),
    ONCE(test_decoys_are_drawn_anew),
    ONCE(test_G9_memory_and_random_octets_are_linear),
    ONCE(test_R4_no_random_octets),
    ONCE(test_random_octets_in_parts),
    ONCE(test_R3_every_allocation_fails),
};

SUITE(.name = "quoter_tree", .begin = allocation_install,
      .cases = {CASE("without a TPM", tests, 60, NULL, NULL)});
