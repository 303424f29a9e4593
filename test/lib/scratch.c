/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/scratch.h"

#include <err.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PATHS 8

static char folder[PATH_MAX / 2];

const char *scratch_make(void)
{
    const char *parent = getenv("TMPDIR");

    snprintf(folder, sizeof(folder), "%s/attest-test.XXXXXX",
             parent != NULL ? parent : "/tmp");
    if (mkdtemp(folder) == NULL)
        err(1, "%s", folder);
    return folder;
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void scratch_remove(void)
{
    if (folder[0] != '\0'
        && nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS) != 0)
        err(1, "cannot remove %s", folder);
    folder[0] = '\0';
}

const char *scratch_path(const char *name)
{
    static char paths[PATHS][PATH_MAX];
    static unsigned next;
    char *path = paths[next++ % PATHS];

    snprintf(path, PATH_MAX, "%s/%s", folder, name);
    return path;
}

void scratch_write(const char *name, const void *data, size_t len, mode_t mode)
{
    const char *path = scratch_path(name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    if (fd < 0 || write(fd, data, len) != (ssize_t)len || fchmod(fd, mode) < 0
        || close(fd) < 0)
        err(1, "%s", path);
}

char *scratch_read(const char *name, size_t *ret_len)
{
    const char *path = scratch_path(name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    char *data;

    if (fd < 0 || fstat(fd, &st) < 0)
        err(1, "%s", path);
    data = malloc((size_t)st.st_size + 1);
    if (data == NULL || read(fd, data, (size_t)st.st_size) != st.st_size)
        err(1, "%s", path);
    close(fd);
    data[st.st_size] = '\0';
    if (ret_len != NULL)
        *ret_len = (size_t)st.st_size;
    return data;
}
