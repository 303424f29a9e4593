/* SPDX-License-Identifier: BSD-2-Clause */
#include "evidence/binding.h"

/* Separation labels of doc/PROTOCOL.md, "Binding": no live binding can be taken
 * for an epoch binding, or either for a hash made elsewhere. Without the
 * terminator. */
static const char live_label[] = "attest v1 live";
static const char epoch_label[] = "attest v1 epoch";

/* SHA-256(label || role || value || SHA-256(cert)): every part but the label
 * has a fixed length, so no two inputs run together to the same octets. */
static enum atls_error bind(struct atls_span label, enum atls_role role,
                            struct atls_span value, struct atls_span cert_der,
                            uint8_t ret[ATLS_SHA256_LEN])
{
    const uint8_t role_octet = (uint8_t)role;
    uint8_t cert_hash[ATLS_SHA256_LEN];
    const struct atls_span parts[] = {
        label,
        {&role_octet, 1},
        value,
        {cert_hash, sizeof(cert_hash)},
    };
    enum atls_error r = atls_sha256(cert_der.data, cert_der.len, cert_hash);

    if (r != ATLS_OK)
        return r;
    return atls_hash_parts("SHA2-256", parts, sizeof(parts) / sizeof(parts[0]),
                           ret, NULL);
}

enum atls_error atls_binding_live(enum atls_role role,
                                  const uint8_t channel[ATLS_CHANNEL_LEN],
                                  struct atls_span cert_der,
                                  uint8_t ret_binding[ATLS_SHA256_LEN])
{
    const struct atls_span label = {(const uint8_t *)live_label,
                                    sizeof(live_label) - 1};
    const struct atls_span value = {channel, ATLS_CHANNEL_LEN};

    return bind(label, role, value, cert_der, ret_binding);
}

enum atls_error atls_binding_epoch(enum atls_role role, uint64_t time,
                                   struct atls_span cert_der,
                                   uint8_t ret_binding[ATLS_SHA256_LEN])
{
    const struct atls_span label = {(const uint8_t *)epoch_label,
                                    sizeof(epoch_label) - 1};
    uint8_t time_be64[8];
    const struct atls_span value = {time_be64, sizeof(time_be64)};

    for (unsigned i = 0; i < sizeof(time_be64); i++)
        time_be64[i] = (uint8_t)(time >> (56 - 8 * i));
    return bind(label, role, value, cert_der, ret_binding);
}
