/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TEST_TOOL_SERVER_H
#define TEST_TOOL_SERVER_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/evidence_server.h"
#include "lib/scratch.h"
#include "lib/verb.h"

/* What the tests of "attest show" and "attest policy" share: a server of the
 * factory's, verbs run against it, and what they printed. */

static struct factory factory;
static struct evidence_server *server;
static struct verb_result result;
static char target[64]; /* 127.0.0.1:PORT */

static void setup(void)
{
    scratch_make();
    factory_init(&factory, 0);
    evidence_server_now(&factory, 30);
    memset(&result, 0, sizeof(result));
    server = NULL;
}

static void teardown(void)
{
    if (server != NULL)
        evidence_server_stop(server);
    verb_result_clear(&result);
    factory_clear(&factory);
    factory_free_keys();
    scratch_remove();
}

static void serve(enum evidence_server_kind kind)
{
    factory_make(&factory);
    factory_write_certificate(scratch_path("roots.pem"), factory.root_cert);
    server = evidence_server_start(kind, &factory);
    snprintf(target, sizeof(target), "127.0.0.1:%u",
             evidence_server_port(server));
}

#define RUN(verb, json, ...)                                 \
    do {                                                     \
        const char *const words[] = {__VA_ARGS__, NULL};     \
        verb_result_clear(&result);                          \
        verb_run(&tool_verb_##verb, (json), words, &result); \
    } while (0)

#define ASSERT_HAS(text, part) \
    ck_assert_msg(strstr((text), (part)) != NULL, "%s", (text))
#define ASSERT_HAS_NOT(text, part) \
    ck_assert_msg(strstr((text), (part)) == NULL, "%s", (text))
#define ASSERT_STATUS(expected)                                     \
    ck_assert_msg(result.status == (expected), "status %d\n%s\n%s", \
                  result.status, result.out, result.err)

static const char *member(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text != NULL ? text : "(none)";
}

#endif
