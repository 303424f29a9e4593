/* SPDX-License-Identifier: BSD-2-Clause */
/* What the agent answers a program: the input is one message. */
#include <openssl/err.h>
#include <string.h>

#include "attester/agent_wire.h"
#include "fuzz/standalone.h"

/* Evidence and connections have one encoding; of a refusal the text is made
 * printable and cut. */
static void check_encoding(const struct atls_agent_answer *answer,
                           const uint8_t *data, size_t size)
{
    static uint8_t again[ATLS_AGENT_ANSWER_MAX];
    size_t len = atls_agent_answer_write(answer, again);

    fuzz_check(len <= sizeof(again), "length of an answer");
    if (answer->type != ATLS_AGENT_REFUSAL)
        fuzz_check(len == size && memcmp(again, data, len) == 0,
                   "two encodings of one answer");
}

static void check_refusal(const struct atls_reason *reason)
{
    fuzz_check(reason->code > ATLS_OK && reason->code < ATLS_E_COUNT,
               "a refusal with another code");
    fuzz_check(reason->text[0] != '\0'
                   && strlen(reason->text) < ATLS_REASON_MAX,
               "a refusal without a text");
    for (const char *p = reason->text; *p != '\0'; p++)
        fuzz_check(*p >= ' ' && *p <= '~', "a text that is not printable");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_agent_answer answer;
    enum atls_error r = atls_agent_answer_read(data, size, &why, &answer);

    if (r != ATLS_OK) {
        fuzz_check(r == ATLS_E_AGENT_PROTOCOL && why.code == r
                       && why.text[0] != '\0',
                   "refused without a reason");
    } else {
        if (answer.type == ATLS_AGENT_REFUSAL)
            check_refusal(&answer.reason);
        check_encoding(&answer, data, size);
    }
    fuzz_check(ERR_peek_error() == 0, "error queue not as it was");
    return 0;
}

#ifdef ATLS_FUZZ_STANDALONE

static const struct fuzz_seed seeds[] = {
    {"answer-evidence", "message", 0, "agent.txt"},
    {"answer-connection", "message", 0, "agent.txt"},
    {"answer-refusal", "message", 0, "agent.txt"},
    {"answer-silent", "message", 0, "agent.txt"},
};

int main(int argc, char **argv)
{
    return fuzz_standalone(argc, argv, seeds, sizeof(seeds) / sizeof(seeds[0]));
}

#endif
