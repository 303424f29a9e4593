/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/common/local_evidence.h"

#include <openssl/crypto.h>
#include <openssl/rand.h>
#include <time.h>

#include "tls/channel.h"

static const uint8_t stand_in[] = ATLS_STAND_IN_CERTIFICATE;

static enum atls_error quote(struct atls_attester *attester,
                             struct atls_reason *why,
                             struct peer_evidence *evidence)
{
    const struct atls_span cert = {evidence->cert_der, evidence->cert_len};
    const struct atls_formats formats = atls_request_formats(true);
    struct atls_pending *pending = NULL;
    enum atls_error r =
        atls_attester_begin(attester, evidence->role, evidence->channel, cert,
                            &formats, why, &pending);

    if (r == ATLS_OK)
        r = atls_pending_wait(pending, why, &evidence->cmw, &evidence->cmw_len);
    return r;
}

enum atls_error tool_local_evidence(struct atls_attester *attester,
                                    struct atls_span cert_der,
                                    struct atls_reason *why,
                                    struct peer_evidence *ret)
{
    struct peer_evidence evidence = {
        .role = ATLS_ROLE_SERVER,
        .has_channel = true,
        .time = (int64_t)time(NULL),
    };
    enum atls_error r;

    if (cert_der.len == 0)
        cert_der = (struct atls_span){stand_in, sizeof(stand_in) - 1};
    evidence.cert_der = OPENSSL_memdup(cert_der.data, cert_der.len);
    evidence.cert_len = cert_der.len;
    if (evidence.cert_der == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    if (RAND_bytes_ex(atls_libctx(), evidence.channel, ATLS_CHANNEL_LEN, 0)
        == 1)
        r = quote(attester, why, &evidence);
    else
        r = atls_fail(why, ATLS_E_CRYPTO, NULL);
    if (r != ATLS_OK) {
        tool_peer_evidence_clear(&evidence);
        return r;
    }
    *ret = evidence;
    return ATLS_OK;
}
