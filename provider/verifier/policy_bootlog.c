/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/crypto.h>
#include <string.h>

#include "verifier/policy_internal.h"

/* Events without a digest of the section's bank could be compared with nothing. */
static enum atls_error check_events(const struct atls_boot_log *log,
                                    const struct atls_hash *bank,
                                    const struct atls_file *file,
                                    struct atls_reason *why)
{
    if (log->count == 0)
        return atls_fail(why, ATLS_E_POLICY,
                         "%s: no event in it; copy binary_bios_measurements of "
                         "a good machine, or write ask",
                         file->label);
    for (size_t i = 0; i < log->count; i++) {
        if (atls_boot_event_digest(&log->events[i], bank->alg) == NULL)
            return atls_fail(why, ATLS_E_POLICY,
                             "%s: event %zu has no digest of bank %s" ATLS_MORE
                             ", which the "
                             "section is about; record the log anew, or change "
                             "bank",
                             file->label, i, bank->name);
    }
    return ATLS_OK;
}

static enum atls_error parse_log(const struct atls_policy_loader *loader,
                                 const struct atls_file *file,
                                 struct atls_policy_boot_log *kept)
{
    const struct atls_span octets = {kept->octets, file->len};
    enum atls_error r = atls_boot_log_parse(octets, loader->why, &kept->log);

    if (r != ATLS_OK) {
        atls_reason_prefix(loader->why, "%s: ", file->label);
        return r;
    }
    return check_events(&kept->log, atls_hash_by_alg(loader->section->bank),
                        file, loader->why);
}

/* The text of files is let go of once the policy is loaded: the log is copied. */
static enum atls_error keep_log(struct atls_policy_loader *loader,
                                const struct atls_file *file,
                                const struct atls_boot_log **ret_log)
{
    struct atls_policy_boot_log *kept =
        OPENSSL_zalloc(sizeof(*kept) + file->len);
    enum atls_error r;

    if (kept == NULL)
        return atls_fail(loader->why, ATLS_E_NOMEM, NULL);
    kept->next = loader->policy->boot_logs;
    loader->policy->boot_logs = kept;
    memcpy(kept->octets, file->text, file->len);
    r = parse_log(loader, file, kept);
    if (r != ATLS_OK)
        return r;
    *ret_log = &kept->log;
    return ATLS_OK;
}

enum atls_error atls_policy_set_boot_log(struct atls_policy_loader *loader,
                                         const struct atls_scan_pair *pair)
{
    const struct atls_boot_log **target = loader->reference != NULL
                                              ? &loader->reference->boot_log
                                              : &loader->section->boot_log;
    const struct atls_file *file = NULL;
    enum atls_error r;

    loader->section->asks_boot_log = true;
    if (strcmp(pair->value, "ask") == 0)
        return ATLS_OK;
    r = atls_file_read(&loader->policy->files, pair->file, pair->value,
                       loader->why, &file);
    if (r != ATLS_OK)
        return r;
    return keep_log(loader, file, target);
}
