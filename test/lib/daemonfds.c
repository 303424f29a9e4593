/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/daemonfds.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* More than a test has open. */
#define LIMIT 256

void daemonfds_take_over(void)
{
    for (int fd = STDERR_FILENO + 1; fd < LIMIT; fd++)
        close(fd);
    while (eventfd(0, EFD_CLOEXEC) < LIMIT - 1)
        continue;
}

bool daemonfds_are_open(void)
{
    for (int fd = STDERR_FILENO + 1; fd < LIMIT; fd++)
        if (fcntl(fd, F_GETFD) < 0)
            return false;
    return true;
}
