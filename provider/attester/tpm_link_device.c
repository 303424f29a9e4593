/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "attester/tpm_link_kind.h"
#include "base/opening.h"

/* The kernel's resource manager: several programs can use it at once. */
#define DEFAULT_DEVICE "/dev/tpmrm0"

static const char *what_next(int error)
{
    switch (error) {
    case EACCES:
    case EPERM:
        return "use the agent (quoter = unix:...), or give this user the TPM "
               "(group tss)";
    case EBUSY:
        return "another program has it: use /dev/tpmrm0";
    default:
        return "switch the TPM on in the firmware, or name another tcti";
    }
}

/* It is opened when it is needed, in whatever folder the program is by then. */
static enum atls_error device_check(const char *tcti, struct atls_reason *why)
{
    const char *colon = strchr(tcti, ':');

    if (colon == NULL || colon[1] == '\0' || colon[1] == '/')
        return ATLS_OK;
    return atls_fail(why, ATLS_E_CONFIG,
                     "tcti %s: expected the absolute path of a device, such "
                     "as " DEFAULT_DEVICE,
                     tcti);
}

/* O_NONBLOCK makes write() return while the TPM works, so that the deadline
 * holds (Linux 4.20 and later). */
static enum atls_error device_open(struct atls_link *link,
                                   struct atls_reason *why)
{
    const char *path = link->conf[0] != '\0' ? link->conf : DEFAULT_DEVICE;
    enum atls_error r = device_check(link->tcti, why);
    struct stat st;

    if (r != ATLS_OK)
        return r;
    link->fd = atls_open_file(path, O_RDWR | O_NONBLOCK | O_NOCTTY, 0);
    if (link->fd < 0)
        return atls_fail(why, ATLS_E_TPM_UNAVAILABLE,
                         "cannot open the TPM %s: %s; %s", path,
                         strerror(errno), what_next(errno));
    atls_descriptor_set(&link->device, link->fd);
    /* A command would be written into a file. */
    if (fstat(link->fd, &st) != 0 || !S_ISCHR(st.st_mode))
        return atls_fail(
            why, ATLS_E_CONFIG,
            "%s is no TPM: expected a character device, such as " DEFAULT_DEVICE
            "; correct quoter = tcti:device:PATH",
            path);
    return ATLS_OK;
}

/* Daemons close what they do not know, and what has the number then is no TPM. */
static enum atls_error device_exchange(struct atls_link *link,
                                       struct atls_span command,
                                       uint8_t *response, size_t *ret_len,
                                       struct atls_reason *why)
{
    if (!atls_descriptor_is_ours(&link->device))
        return atls_fail(why, ATLS_E_TPM_UNAVAILABLE,
                         "the program closed descriptor %d, the TPM's",
                         link->fd);
    return atls_link_converse(link, command, response, ret_len, why);
}

static bool device_is_plain(const char *conf)
{
    (void)conf;
    return true;
}

static void device_close(struct atls_link *link)
{
    atls_descriptor_close(&link->device);
}

const struct atls_link_kind atls_link_device = {
    .name = "device",
    .check = device_check,
    .is_plain = device_is_plain,
    .open = device_open,
    .exchange = device_exchange,
    .close = device_close,
};
