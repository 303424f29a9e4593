/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TEST_TOOL_SAVED_H
#define TEST_TOOL_SAVED_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_tpm2_types.h>

#include "lib/evidence_server.h"
#include "lib/scratch.h"
#include "lib/verb.h"
#include "tools/common/evidence_file.h"

/* What the tests of `attest policy check` and `diff` share: evidence of the
 * factory's in files, `attest policy` run on it, and what that printed. */

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

static struct factory factory;
static struct verb_result result;

static void setup(void)
{
    scratch_make();
    factory_init(&factory, 0);
    evidence_server_now(&factory, 30);
    memset(&result, 0, sizeof(result));
}

static void teardown(void)
{
    verb_result_clear(&result);
    factory_clear(&factory);
    factory_free_keys();
    scratch_remove();
}

/* Save the factory's evidence, made already, as from api.example. */
static void save_as_made(const char *name)
{
    char peer[] = "api.example";
    struct peer_evidence evidence = {.role = factory.role,
                                     .name = peer,
                                     .has_channel = true,
                                     .time = 1767225600};
    struct atls_reason why;

    factory_encode(&factory);
    evidence.cmw = factory.cmw;
    evidence.cmw_len = factory.cmw_len;
    evidence.cert_der = factory.leaf_octets;
    evidence.cert_len = factory.cert_der.len;
    memcpy(evidence.channel, factory.channel, ATLS_CHANNEL_LEN);
    ck_assert_msg(tool_evidence_file_write(scratch_path(name), &evidence, &why)
                      == ATLS_OK,
                  "%s", why.text);
}

/* Make it as planned, save it, and its root as roots.pem. */
static void save(const char *name)
{
    factory_make(&factory);
    factory_write_certificate(scratch_path("roots.pem"), factory.root_cert);
    save_as_made(name);
}

#define RUN(json, ...)                                       \
    do {                                                     \
        const char *const words[] = {__VA_ARGS__, NULL};     \
        verb_result_clear(&result);                          \
        verb_run(&tool_verb_policy, (json), words, &result); \
    } while (0)

#define ASSERT_HAS(text, part) \
    ck_assert_msg(strstr((text), (part)) != NULL, "%s", (text))
#define ASSERT_HAS_NOT(text, part) \
    ck_assert_msg(strstr((text), (part)) == NULL, "%s", (text))
#define ASSERT_STATUS(expected)                                     \
    ck_assert_msg(result.status == (expected), "status %d\n%s\n%s", \
                  result.status, result.out, result.err)

/* A policy file out of that evidence. */
static void write_policy(const char *from, const char *name)
{
    RUN(false, "--from", scratch_path(from), "--trust",
        scratch_path("roots.pem"), "--name", "lab", "--output",
        scratch_path(name));
    ASSERT_STATUS(TOOL_DONE);
}

/* Replace the first occurrence of a text in a file. */
static void edit(const char *name, const char *text, const char *with)
{
    char *before = scratch_read(name, NULL);
    char *at = strstr(before, text);
    char *after = NULL;

    ck_assert_msg(at != NULL, "%s: no %s", before, text);
    ck_assert_int_ge(asprintf(&after, "%.*s%s%s", (int)(at - before), before,
                              with, at + strlen(text)),
                     0);
    scratch_write(name, after, strlen(after), 0644);
    free(before);
    free(after);
}

#endif
