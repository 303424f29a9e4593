/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/opening.h"

void atls_file_locate(struct atls_reason *why, const struct atls_file *file,
                      unsigned line)
{
    atls_reason_prefix(why, "%s:%u: ", file->label, line);
}

/* The end of a path that is too long, with a mark in front. */
static void write_label(const char *path, char ret[ATLS_FILE_LABEL_SIZE])
{
    size_t len = strlen(path);

    if (len < ATLS_FILE_LABEL_SIZE)
        memcpy(ret, path, len + 1);
    else
        (void)snprintf(ret, ATLS_FILE_LABEL_SIZE, "...%s",
                       path + len - (ATLS_FILE_LABEL_SIZE - 4));
}

/* An empty file with its path resolved. */
static struct atls_file *file_new(const struct atls_file *beside,
                                  const char *path)
{
    const char *slash = beside == NULL ? NULL : strrchr(beside->path, '/');
    size_t folder_len = 0;
    struct atls_file *file;

    if (slash != NULL && path[0] != '/')
        folder_len = (size_t)(slash - beside->path) + 1;
    file = OPENSSL_zalloc(sizeof(*file) + folder_len + strlen(path) + 1);
    if (file == NULL)
        return NULL;
    if (folder_len > 0)
        memcpy(file->path, beside->path, folder_len);
    memcpy(file->path + folder_len, path, strlen(path));
    write_label(file->path, file->label);
    return file;
}

/* Octets read, up to size; -1 with errno set. */
static ssize_t read_all(int fd, char *buffer, size_t size)
{
    size_t len = 0;

    while (len < size) {
        ssize_t got = TEMP_FAILURE_RETRY(read(fd, buffer + len, size - len));

        if (got < 0)
            return -1;
        if (got == 0)
            break;
        len += (size_t)got;
    }
    return (ssize_t)len;
}

/* File systems stamp with the clock of the kernel's ticks, which are up to 10 ms
 * long. */
#define YOUNG_NS 20000000

bool atls_file_is_young(const struct stat *st)
{
    struct timespec now;
    int64_t seconds;
    int64_t age;

    if (clock_gettime(CLOCK_REALTIME, &now) != 0)
        return false;
    seconds = (int64_t)now.tv_sec - st->st_ctim.tv_sec;
    /* Also what comes from the future, as from another machine's clock, is not
     * young: it would stay so. */
    if (seconds < 0 || seconds > 1)
        return false;
    age = seconds * 1000000000 + now.tv_nsec - st->st_ctim.tv_nsec;
    return age >= 0 && age < YOUNG_NS;
}

/* One octet more than fstat() announced is asked for, to see that the file ends
 * there: half of a file that is being written must not become a policy. */
static enum atls_error fill(struct atls_file *file, int fd,
                            struct atls_reason *why)
{
    const char *label = file->label;
    ssize_t got;

    if (fstat(fd, &file->st) != 0 || !S_ISREG(file->st.st_mode))
        return atls_fail(why, ATLS_E_IO, "%s: is not a regular file", label);
    file->is_young = atls_file_is_young(&file->st);
    if (file->st.st_size > ATLS_FILE_MAX)
        return atls_fail(why, ATLS_E_IO,
                         "%s: is larger than 1 MiB (%lld octets): name the "
                         "right file",
                         label, (long long)file->st.st_size);
    file->len = (size_t)file->st.st_size;
    file->text = OPENSSL_zalloc(file->len + 1);
    if (file->text == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    got = read_all(fd, file->text, file->len + 1);
    if (got < 0)
        return atls_fail(why, ATLS_E_IO, "%s: cannot be read: %s", label,
                         strerrordesc_np(errno));
    if ((size_t)got != file->len)
        return atls_fail(why, ATLS_E_IO,
                         "%s: changed while it was read; replace it by "
                         "renaming a complete file",
                         label);
    return ATLS_OK;
}

static enum atls_error open_and_fill(struct atls_file *file,
                                     struct atls_reason *why)
{
    /* O_NONBLOCK: opening a FIFO must not wait for its writer. */
    int fd = atls_open_file(file->path, O_RDONLY | O_NOCTTY | O_NONBLOCK, 0);
    enum atls_error r;

    if (fd < 0)
        return atls_fail(why, ATLS_E_IO, "%s: cannot be opened: %s",
                         file->label, strerrordesc_np(errno));
    r = fill(file, fd, why);
    close(fd);
    return r;
}

enum atls_error atls_file_read(struct atls_file **list,
                               const struct atls_file *beside, const char *path,
                               struct atls_reason *why,
                               const struct atls_file **ret_file)
{
    struct atls_file *file = file_new(beside, path);
    enum atls_error r;

    if (file == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    r = open_and_fill(file, why);
    if (r != ATLS_OK) {
        atls_file_free_list(file);
        return r;
    }
    while (*list != NULL)
        list = &(*list)->next;
    *list = file;
    *ret_file = file;
    return ATLS_OK;
}

void atls_file_drop_text(struct atls_file *file)
{
    OPENSSL_free(file->text);
    file->text = NULL;
    file->len = 0;
}

void atls_file_free_list(struct atls_file *list)
{
    while (list != NULL) {
        struct atls_file *next = list->next;

        OPENSSL_free(list->text);
        OPENSSL_free(list);
        list = next;
    }
}

bool atls_file_is_other(const struct stat *a, const struct stat *b)
{
    return a->st_ino != b->st_ino || a->st_dev != b->st_dev
           || a->st_size != b->st_size || a->st_ctim.tv_sec != b->st_ctim.tv_sec
           || a->st_ctim.tv_nsec != b->st_ctim.tv_nsec;
}

bool atls_file_differs(const struct atls_file *file)
{
    struct stat now;

    return stat(file->path, &now) == 0 && atls_file_is_other(&now, &file->st);
}

enum atls_file_state atls_file_look(const struct atls_file *file)
{
    struct stat now;

    if (stat(file->path, &now) != 0)
        return ATLS_FILE_GONE;
    return file->is_young || atls_file_is_other(&now, &file->st)
               ? ATLS_FILE_CHANGED
               : ATLS_FILE_SAME;
}
