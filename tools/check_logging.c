/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "checks.h"

static int access_error(const char *path, int mode)
{
    return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0 ? 0 : errno;
}

/* What opening it for appending would say, without making it: 0 or an errno. */
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

void check_logging(struct check *check)
{
    const char *path = check->configuration.log;
    char user[CHECK_USER_MAX];
    int error;

    if (path == NULL || path[0] != '/')
        return;
    error = open_error(path);
    if (error == 0)
        return;
    check_user(check, geteuid(), user);
    finding_fail(check->findings, TOOL_USAGE, "log",
                 error == ENOENT
                     ? "Make its folder, writable for that user"
                     : "Give that user the right to write it, or take syslog",
                 "%s cannot open %s for writing: %s; what it says goes to "
                 "syslog",
                 user, path, strerror(error));
}
