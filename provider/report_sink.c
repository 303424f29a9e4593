/* SPDX-License-Identifier: BSD-2-Clause */
#include "report_sink.h"

#include <fcntl.h>
#include <limits.h>
#include <openssl/crypto.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/opening.h"

#define FLAGS (O_WRONLY | O_APPEND | O_NOCTTY | O_NONBLOCK)
#define MODE 0644

static bool is_fifo(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* With O_NONBLOCK opening a FIFO to write fails while it has no reader (fifo(7)). */
static void open_path(struct atls_report_sink *sink, const char *path)
{
    int fd = atls_open_file(path, FLAGS | O_CREAT, MODE);

    if (fd < 0 && is_fifo(path))
        sink->fifo = OPENSSL_strdup(path);
    atls_shared_descriptor_put(&sink->file, fd);
}

void atls_report_sink_open(struct atls_report_sink *ret_sink)
{
    const char *target = secure_getenv("ATTEST_REPORT");

    memset(ret_sink, 0, sizeof(*ret_sink));
    ret_sink->err.fd = -1;
    if (target == NULL)
        return;
    if (strcmp(target, "stderr") == 0)
        atls_stderr_note(&ret_sink->err);
    else if (target[0] == '/')
        open_path(ret_sink, target);
}

void atls_report_sink_close(struct atls_report_sink *sink)
{
    atls_shared_descriptor_put(&sink->file, -1);
    OPENSSL_free(sink->fifo);
    sink->fifo = NULL;
}

int atls_report_sink_get(struct atls_report_sink *sink)
{
    int fd = atls_shared_descriptor_get(&sink->file);

    if (fd >= 0)
        return fd;
    if (sink->fifo != NULL)
        return atls_shared_descriptor_fill(
            &sink->file, atls_open_file(sink->fifo, FLAGS, 0));
    return atls_stderr_is_there(&sink->err) ? STDERR_FILENO : -1;
}

/* The octets that a pipe takes in one piece: whole lines, unless a line is longer. */
static size_t piece_of(const char *text, size_t len)
{
    const char *end;

    if (len <= PIPE_BUF)
        return len;
    end = memrchr(text, '\n', PIPE_BUF);
    return end != NULL ? (size_t)(end - text) + 1 : PIPE_BUF;
}

void atls_report_sink_write(int fd, const char *text, size_t len)
{
    struct stat st;
    const bool is_file = fstat(fd, &st) == 0 && S_ISREG(st.st_mode);

    while (len > 0) {
        size_t piece = is_file ? len : piece_of(text, len);

        if (!atls_descriptor_write(fd, text, piece))
            return;
        text += piece;
        len -= piece;
    }
}
