/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/check/process.h"
#include "tools/check/checks.h"

#define SYSLOG_SOCKET "/dev/log"
#define JOURNAL_SOCKET "/run/systemd/journal/socket"

static int access_error(const char *path, int mode)
{
    return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0 ? 0 : errno;
}

/* The errno that opening the file for appending would give; 0: none. Creates
 * nothing. */
static int open_error(const char *path)
{
    int error = access_error(path, W_OK);
    char *folder;

    if (error != ENOENT)
        return error;
    folder = strndup(path, (size_t)(strrchr(path, '/') - path) + 1);
    if (folder == NULL)
        return ENOMEM;
    error = access_error(folder, W_OK | X_OK);
    free(folder);
    return error;
}

void tool_check_logging(struct check *check)
{
    const char *path = check->configuration.log;
    char user[CHECK_USER_MAX];
    int error;

    if (path == NULL || path[0] != '/')
        return;
    error = open_error(path);
    if (error == 0)
        return;
    tool_check_user(check, geteuid(), user);
    tool_finding_fail(
        check->findings, TOOL_USAGE, "log",
        error == ENOENT
            ? "Make its folder, writable for that user"
            : "Give that user the right to write it, or take syslog",
        "%s cannot open %s for writing: %s; what it says goes to "
        "syslog",
        user, path, strerror(error));
}

/* A process in another root may have connected before it went there. */
void tool_check_syslog(struct check *check)
{
    const char *log = check->configuration.log;

    if (log == NULL || strcmp(log, "syslog") != 0
        || (check->process != NULL && check->process->has_other_root)
        || access(SYSLOG_SOCKET, F_OK) == 0
        || access(JOURNAL_SOCKET, F_OK) == 0)
        return;
    tool_finding_note(check->findings, "log",
                      "log = syslog, and there is neither " SYSLOG_SOCKET
                      " nor " JOURNAL_SOCKET
                      ": refusals go to stderr, the rest nowhere");
}
