/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/check/interface.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core.h"

/* Octets of a module; what is larger is none. */
#define MODULE_MAX (64 << 20)
#define NUMBER_MAX 1000000L

/* Read a whole regular file; free() it. NULL if it is none or cannot be read. */
static char *read_file(int fd, size_t *ret_len)
{
    struct stat st;
    char *data = NULL;
    ssize_t got = -1;

    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0
        && st.st_size <= MODULE_MAX)
        data = malloc((size_t)st.st_size + 1);
    if (data != NULL)
        got = pread(fd, data, (size_t)st.st_size, 0);
    if (got < 0) {
        free(data);
        return NULL;
    }
    data[got] = '\0';
    *ret_len = (size_t)got;
    return data;
}

/* The mark is a string of its own: NUL on both sides. */
static int find_number(const char *data, size_t len)
{
    static const char prefix[] = ATLS_INTERFACE_PREFIX;
    const char *mark = memmem(data, len, prefix, sizeof(prefix) - 1);
    long number;
    char *end;

    if (mark == NULL)
        return INTERFACE_UNKNOWN;
    mark += sizeof(prefix) - 1;
    number = strtol(mark, &end, 10);
    if (end == mark || *end != '\0' || number < 0 || number > NUMBER_MAX)
        return INTERFACE_UNKNOWN;
    return (int)number;
}

int tool_interface_of_descriptor(int fd)
{
    int number = INTERFACE_UNKNOWN;
    size_t len = 0;
    char *data;

    if (fd < 0)
        return INTERFACE_UNKNOWN;
    data = read_file(fd, &len);
    if (data != NULL)
        number = find_number(data, len);
    free(data);
    close(fd);
    return number;
}

int tool_interface_of_file(const char *path)
{
    return tool_interface_of_descriptor(
        open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
}
