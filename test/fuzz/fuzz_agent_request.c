/* SPDX-License-Identifier: BSD-2-Clause */
/* What anybody on the machine may send attestd: the input is one message. */
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdint.h>
#include <string.h>

#include "attester/agent_wire.h"
#include "fuzz/standalone.h"

static void check_request(const struct atls_agent_request *request,
                          const uint8_t *data, size_t size)
{
    uintptr_t begin = (uintptr_t)data;
    uintptr_t certificate = (uintptr_t)request->certificate.data;

    fuzz_check(size <= ATLS_AGENT_REQUEST_MAX, "larger than a request can be");
    if (request->type == ATLS_AGENT_CONNECTION)
        return;
    fuzz_check(request->type == ATLS_AGENT_EVIDENCE, "type");
    fuzz_check(request->role == ATLS_ROLE_SERVER
                   || request->role == ATLS_ROLE_CLIENT,
               "role");
    fuzz_check(request->formats.count >= 1
                   && request->formats.count <= ATLS_FORMATS_MAX,
               "formats");
    fuzz_check(request->certificate.len >= 1
                   && request->certificate.len <= ATLS_AGENT_CERTIFICATE_MAX
                   && certificate > begin
                   && certificate + request->certificate.len == begin + size,
               "certificate is not the end of the message");
}

/* Written again it is the same, but for formats that nobody knows. */
static void check_encoding(const struct atls_agent_request *request,
                           size_t size)
{
    struct atls_agent_request again;
    struct atls_reason why;
    uint8_t *octets = NULL;
    size_t len = 0;

    if (atls_agent_request_write(request, &why, &octets, &len) != ATLS_OK)
        return; /* out of memory */
    fuzz_check(len <= size, "became longer");
    fuzz_check(atls_agent_request_read(octets, len, &why, &again) == ATLS_OK,
               "cannot be read again");
    fuzz_check(
        again.type == request->type && again.role == request->role
            && memcmp(again.channel, request->channel, sizeof(again.channel))
                   == 0
            && memcmp(&again.formats, &request->formats, sizeof(again.formats))
                   == 0
            && again.certificate.len == request->certificate.len,
        "another request");
    OPENSSL_free(octets);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_agent_request request;
    enum atls_error r = atls_agent_request_read(data, size, &why, &request);

    if (r != ATLS_OK) {
        fuzz_check(r == ATLS_E_AGENT_PROTOCOL && why.code == r
                       && why.text[0] != '\0',
                   "refused without a reason");
    } else {
        check_request(&request, data, size);
        check_encoding(&request, size);
    }
    fuzz_check(ERR_peek_error() == 0, "error queue not as it was");
    return 0;
}

#ifdef ATLS_FUZZ_STANDALONE

static const struct fuzz_seed seeds[] = {
    {"request-evidence-server", "message", 0, "agent.txt"},
    {"request-evidence-client", "message", 0, "agent.txt"},
    {"request-connection", "message", 0, "agent.txt"},
};

int main(int argc, char **argv)
{
    return fuzz_standalone(argc, argv, seeds, sizeof(seeds) / sizeof(seeds[0]));
}

#endif
