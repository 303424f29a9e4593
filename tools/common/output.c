/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/common/output.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static enum atls_error cannot_write(const struct tool_output *output,
                                    struct atls_reason *why, int error)
{
    return atls_fail(why, ATLS_E_IO, "cannot write %s: %s",
                     output->name != NULL ? output->name : "a temporary file",
                     strerror(error));
}

enum atls_error tool_output_open(struct tool_output *output,
                                 struct atls_reason *why, FILE **ret_file)
{
    const char *folder = getenv("TMPDIR");
    FILE *file;
    int fd, n;

    if (output->name != NULL)
        n = asprintf(&output->path, "%s.XXXXXX", output->name);
    else
        n = asprintf(&output->path, "%s/attest-policy.XXXXXX",
                     folder != NULL ? folder : "/tmp");
    if (n < 0) {
        output->path = NULL;
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    }
    fd = mkostemp(output->path, O_CLOEXEC);
    file = fd < 0 ? NULL : fdopen(fd, "w");
    if (file != NULL) {
        *ret_file = file;
        return ATLS_OK;
    }
    n = errno;
    if (fd >= 0) {
        close(fd);
        unlink(output->path);
    }
    free(output->path);
    output->path = NULL;
    return cannot_write(output, why, n);
}

enum atls_error tool_output_close(struct tool_output *output, FILE *file,
                                  enum atls_error r, struct atls_reason *why)
{
    const mode_t mask = umask(022);
    int error = 0;

    umask(mask);
    if (fchmod(fileno(file), 0644 & ~mask) != 0 || fflush(file) != 0
        || fsync(fileno(file)) != 0)
        error = errno;
    /* A later flush does not report what an earlier write lost. */
    else if (ferror(file) != 0)
        error = EIO;
    fclose(file);
    if (r == ATLS_OK && error != 0)
        r = cannot_write(output, why, error);
    return r;
}

/* link(2) never replaces. */
enum atls_error tool_output_publish(struct tool_output *output, bool force,
                                    struct atls_reason *why)
{
    int failed = force ? rename(output->path, output->name)
                       : link(output->path, output->name);

    if (failed != 0 && errno == EEXIST)
        return atls_fail(why, ATLS_E_IO, "%s exists; --force writes over it",
                         output->name);
    if (failed != 0)
        return cannot_write(output, why, errno);
    return ATLS_OK;
}

enum atls_error tool_output_read(const struct tool_output *output,
                                 struct atls_reason *why, char **ret_text)
{
    FILE *file = fopen(output->path, "re");
    char *text = NULL;
    size_t room = 0;
    ssize_t len = file != NULL ? getdelim(&text, &room, '\0', file) : -1;

    if (file != NULL && ferror(file))
        len = -1;
    if (file != NULL)
        fclose(file);
    if (len < 0) {
        free(text);
        return atls_fail(why, ATLS_E_IO, "cannot read %s back", output->path);
    }
    *ret_text = text;
    return ATLS_OK;
}

void tool_output_discard(struct tool_output *output)
{
    if (output->path != NULL)
        unlink(output->path);
    free(output->path);
    output->path = NULL;
}
