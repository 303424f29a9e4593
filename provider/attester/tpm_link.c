/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/tpm_link.h"

#include <openssl/crypto.h>
#include <string.h>

#include "attester/tpm_link_kind.h"

enum atls_error atls_link_pause(struct atls_link *link, unsigned pause_ms,
                                struct atls_reason *why)
{
    return atls_link_wait(link, -1, 0, (int)pause_ms, why);
}

static const struct atls_link_kind *kind_of(const char *tcti)
{
    static const struct atls_link_kind *const own[] = {&atls_link_device,
                                                       &atls_link_swtpm};
    size_t len = strcspn(tcti, ":");

    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        if (strlen(own[i]->name) == len && !strncmp(tcti, own[i]->name, len))
            return own[i];
    }
    return &atls_link_tctildr;
}

enum atls_error atls_link_check(const char *tcti, struct atls_reason *why)
{
    const struct atls_link_kind *kind = kind_of(tcti);

    return kind->check != NULL ? kind->check(tcti, why) : ATLS_OK;
}

/* What follows the name of its kind. */
static const char *conf_of(const char *tcti)
{
    const char *colon = strchr(tcti, ':');

    return colon != NULL ? colon + 1 : "";
}

bool atls_link_is_plain(const char *tcti)
{
    const struct atls_link_kind *kind = kind_of(tcti);

    return kind->is_plain != NULL && kind->is_plain(conf_of(tcti));
}

enum atls_error atls_link_open(const char *tcti, struct atls_reason *why,
                               struct atls_link **ret_link)
{
    struct atls_link *link;
    enum atls_error r;

    if (tcti[0] == '\0')
        return atls_fail(why, ATLS_E_CONFIG,
                         "no TCTI is named: expected one such as "
                         "device:/dev/tpmrm0");
    link = OPENSSL_zalloc(sizeof(*link));
    if (link == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    link->kind = kind_of(tcti);
    link->fd = -1;
    link->wake_fd = -1;
    link->device.fd = -1;
    link->tcti = OPENSSL_strdup(tcti);
    if (link->tcti == NULL) {
        atls_link_close(link);
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    }
    link->conf = conf_of(link->tcti);
    r = link->kind->open(link, why);
    if (r != ATLS_OK) {
        atls_link_close(link);
        return r;
    }
    *ret_link = link;
    return ATLS_OK;
}

void atls_link_close(struct atls_link *link)
{
    if (link == NULL)
        return;
    link->kind->close(link);
    OPENSSL_free(link->tcti);
    OPENSSL_free(link);
}

void atls_link_set_deadline(struct atls_link *link, int64_t deadline_ms,
                            int wake_fd)
{
    link->deadline_ms = deadline_ms;
    link->wake_fd = wake_fd;
}

enum atls_error atls_link_exchange(struct atls_link *link,
                                   struct atls_span command, uint8_t *response,
                                   size_t *ret_len, struct atls_reason *why)
{
    return link->kind->exchange(link, command, response, ret_len, why);
}
