/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/evidence/binding.c against test/vectors/binding.txt. */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "evidence/binding.h"
#include "evidence/merkle.h"
#include "lib/allocation.h"
#include "lib/suite.h"
#include "lib/vectors.h"

static const char file[] = "binding.txt";

static const char *const live_sections[] = {
    "live-server",
    "live-client",
    "live-other-channel",
    "live-other-certificate",
};

static const char *const epoch_sections[] = {"epoch-server", "epoch-client"};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static enum atls_role role_of(const char *section)
{
    const char *text = vector_text(file, section, "role");

    ck_assert_ptr_nonnull(text);
    return text[0] == 's' ? ATLS_ROLE_SERVER : ATLS_ROLE_CLIENT;
}

static void make_live(const char *section, uint8_t ret[ATLS_SHA256_LEN])
{
    struct vector channel;
    struct vector cert;

    vector_octets(file, section, "channel", &channel);
    vector_octets(file, section, "cert", &cert);
    ck_assert_uint_eq(channel.len, ATLS_CHANNEL_LEN);
    ck_assert_int_eq(atls_binding_live(role_of(section), channel.data,
                                       (struct atls_span){cert.data, cert.len},
                                       ret),
                     ATLS_OK);
}

static void make_epoch(const char *section, uint8_t ret[ATLS_SHA256_LEN])
{
    struct vector cert;

    vector_octets(file, section, "cert", &cert);
    ck_assert_int_eq(atls_binding_epoch(
                         role_of(section), vector_number(file, section, "time"),
                         (struct atls_span){cert.data, cert.len}, ret),
                     ATLS_OK);
}

START_TEST(test_live_binding_and_leaf)
{
    const char *section = live_sections[_i];
    uint8_t binding[ATLS_SHA256_LEN];
    uint8_t leaf[ATLS_SHA256_LEN];
    struct vector expected;

    make_live(section, binding);
    vector_octets(file, section, "binding", &expected);
    ck_assert_mem_eq(binding, expected.data, sizeof(binding));
    ck_assert_int_eq(atls_merkle_leaf(binding, leaf), ATLS_OK);
    vector_octets(file, section, "leaf", &expected);
    ck_assert_mem_eq(leaf, expected.data, sizeof(leaf));
}
END_TEST

START_TEST(test_epoch_binding)
{
    const char *section = epoch_sections[_i];
    uint8_t binding[ATLS_SHA256_LEN];
    struct vector expected;

    make_epoch(section, binding);
    vector_octets(file, section, "binding", &expected);
    ck_assert_mem_eq(binding, expected.data, sizeof(binding));
}
END_TEST

/* Role, channel, certificate, time and kind each change the binding. */
START_TEST(test_B8_no_two_bindings_are_equal)
{
    uint8_t all[COUNT(live_sections) + COUNT(epoch_sections)][ATLS_SHA256_LEN];
    size_t count = 0;

    for (size_t i = 0; i < COUNT(live_sections); i++)
        make_live(live_sections[i], all[count++]);
    for (size_t i = 0; i < COUNT(epoch_sections); i++)
        make_epoch(epoch_sections[i], all[count++]);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < i; j++)
            ck_assert_mem_ne(all[i], all[j], ATLS_SHA256_LEN);
    }
}
END_TEST

/* Neither hash may be skipped when there is no memory for it. */
START_TEST(test_R3_every_allocation_fails)
{
    static const uint8_t channel[ATLS_CHANNEL_LEN] = {0};
    static const struct atls_span cert = {(const uint8_t *)"cert", 4};
    uint8_t live[ATLS_SHA256_LEN];
    uint8_t again[ATLS_SHA256_LEN];
    enum atls_error r;
    size_t n = 0;

    ck_assert_int_eq(atls_binding_live(ATLS_ROLE_SERVER, channel, cert, live),
                     ATLS_OK);
    do {
        allocation_fail_at(++n);
        r = atls_binding_live(ATLS_ROLE_SERVER, channel, cert, again);
        allocation_fail_at(0);
        ck_assert(r == ATLS_OK || r == ATLS_E_CRYPTO);
        ck_assert_uint_lt(n, 100);
    } while (r != ATLS_OK);
    ck_assert_uint_gt(n, 2);
    ck_assert_mem_eq(live, again, sizeof(live));
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_live_binding_and_leaf, 0, COUNT(live_sections)),
    LOOP(test_epoch_binding, 0, COUNT(epoch_sections)),
    ONCE(test_B8_no_two_bindings_are_equal),
    ONCE(test_R3_every_allocation_fails),
};

SUITE(.name = "binding", .begin = allocation_install,
      .cases = {CASE("binding", tests, 0, NULL, NULL)});
