/* SPDX-License-Identifier: BSD-2-Clause */
#include "attester/file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/opening.h"

char *atls_file_path(const char *path, const char *suffix)
{
    size_t size = strlen(path) + strlen(suffix) + 1;
    char *joined = OPENSSL_malloc(size);

    if (joined != NULL)
        snprintf(joined, size, "%s%s", path, suffix);
    return joined;
}

/* Until the end or until len octets; short only at the end of the file. */
static ssize_t read_fully(int fd, uint8_t *data, size_t len)
{
    size_t done = 0;

    while (done < len) {
        ssize_t n = pread(fd, data + done, len - done, (off_t)done);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        done += (size_t)n;
    }
    return (ssize_t)done;
}

enum atls_error atls_fd_read(int fd, const char *path, size_t max,
                             struct atls_reason *why, uint8_t **ret_data,
                             size_t *ret_len)
{
    uint8_t *data;
    struct stat st;
    ssize_t len;

    if (fstat(fd, &st) < 0)
        return atls_fail(why, ATLS_E_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return atls_fail(why, ATLS_E_IO, "%s is not a regular file", path);
    if ((uint64_t)st.st_size > max)
        return atls_fail(why, ATLS_E_LIMIT, "%s has %lld octets, at most %zu",
                         path, (long long)st.st_size, max);
    data = OPENSSL_malloc((size_t)st.st_size + 1);
    if (data == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    len = read_fully(fd, data, (size_t)st.st_size);
    if (len < 0) {
        int error = errno;

        OPENSSL_free(data);
        return atls_fail(why, ATLS_E_IO, "cannot read %s: %s", path,
                         strerror(error));
    }
    data[len] = '\0';
    *ret_data = data;
    *ret_len = (size_t)len;
    return ATLS_OK;
}

enum atls_error atls_file_write(int fd, const char *path, off_t offset,
                                const void *data, size_t len,
                                struct atls_reason *why)
{
    const char *p = data;

    while (len > 0) {
        ssize_t n = pwrite(fd, p, len, offset);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return atls_fail(why, ATLS_E_IO, "cannot write %s: %s", path,
                             strerror(errno));
        p += n;
        offset += n;
        len -= (size_t)n;
    }
    if (fsync(fd) < 0)
        return atls_fail(why, ATLS_E_IO, "cannot sync %s: %s", path,
                         strerror(errno));
    return ATLS_OK;
}

enum atls_error atls_file_sync_folder(const char *path, struct atls_reason *why)
{
    char *folder = atls_file_path(path, "");
    char *slash;
    int failed;
    int error;
    int fd;

    if (folder == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    slash = strrchr(folder, '/');
    if (slash != NULL)
        slash[slash == folder] = '\0'; /* keep the slash of the root folder */
    fd =
        atls_open_file(slash != NULL ? folder : ".", O_RDONLY | O_DIRECTORY, 0);
    failed = fd < 0 || fsync(fd) < 0;
    error = errno;
    if (fd >= 0)
        close(fd);
    OPENSSL_free(folder);
    if (failed)
        return atls_fail(why, ATLS_E_IO, "cannot sync the folder of %s: %s",
                         path, strerror(error));
    return ATLS_OK;
}
