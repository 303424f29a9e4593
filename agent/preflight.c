/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/preflight.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <string.h>
#include <unistd.h>

#include "attester/quoter_setup.h"
#include "attester/tpm_link.h"
#include "base/opening.h"

/* May a file be made there? It is not: who checks is perhaps not who will write
 * to it. errno says why not. */
static bool can_make(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *folder = OPENSSL_strndup(path, (size_t)(slash - path) + 1);
    bool can;

    if (folder == NULL) {
        errno = ENOMEM;
        return false;
    }
    can = faccessat(AT_FDCWD, folder, W_OK | X_OK, AT_EACCESS) == 0;
    OPENSSL_free(folder);
    return can;
}

/* The provider's log makes do with syslog, since it is a guest and has no other
 * word in the matter; a daemon that nobody hears must not seem to run well. */
static enum atls_error check_log(const char *path, struct atls_reason *why)
{
    int fd;

    if (path[0] != '/') /* stderr, syslog */
        return ATLS_OK;
    fd = atls_open_file(path, O_WRONLY | O_APPEND | O_NOCTTY | O_NONBLOCK, 0);
    if (fd >= 0) {
        close(fd);
        return ATLS_OK;
    }
    if (errno == ENOENT && can_make(path))
        return ATLS_OK;
    return atls_fail(why, ATLS_E_CONFIG,
                     "log = %.64s: cannot be opened: %s; make the folder, or "
                     "give it to the agent's user",
                     path, strerror(errno));
}

enum atls_error agent_preflight(const struct agent_configuration *configuration,
                                struct atls_reason *why)
{
    enum atls_error r = check_log(configuration->log, why);

    if (r == ATLS_OK) {
        r = atls_link_check(configuration->quoter.tcti, why);
        if (r != ATLS_OK)
            atls_reason_prefix(why, "quoter: ");
    }
    if (r != ATLS_OK)
        agent_configuration_locate(configuration, why);
    return r;
}

enum atls_error agent_preflight_boot_log(
    const struct agent_configuration *configuration, struct atls_reason *why)
{
    struct atls_quoter_setup *setup = NULL;
    enum atls_error r =
        atls_quoter_setup_new(&configuration->quoter, why, &setup);

    if (r == ATLS_OK)
        r = atls_fail_as(why, &setup->boot_log_reason);
    atls_quoter_setup_unref(setup);
    if (r != ATLS_OK)
        agent_configuration_locate(configuration, why);
    return r;
}
