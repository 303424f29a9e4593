/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/syslogd.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static bool has_own_mounts(void)
{
    if (unshare(CLONE_NEWNS) != 0 && unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0)
        return false;
    return mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

bool syslogd_room(void)
{
    return has_own_mounts() && mount("dev", "/dev", "tmpfs", 0, NULL) == 0
           && mount("run", "/run", "tmpfs", 0, NULL) == 0
           && mkdir("/run/systemd", 0755) == 0
           && mkdir("/run/systemd/journal", 0755) == 0;
}

int syslogd_start(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd >= 0
        && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    perror(path);
    _exit(90);
}

void syslogd_stop(int fd, const char *path)
{
    close(fd);
    if (unlink(path) != 0)
        _exit(91);
}

bool syslogd_next(int fd, char *ret_line, size_t size)
{
    ssize_t len = recv(fd, ret_line, size - 1, MSG_DONTWAIT);

    ret_line[len < 0 ? 0 : len] = '\0';
    return len >= 0;
}

bool syslogd_says(int fd, const char *end)
{
    char line[2048], further[2048];
    bool is_there = syslogd_next(fd, line, sizeof(line));
    bool is_more = syslogd_next(fd, further, sizeof(further));
    size_t len = strlen(line), end_len = strlen(end);

    if (is_there && !is_more && len >= end_len
        && strcmp(line + len - end_len, end) == 0)
        return true;
    printf("# expected \"%s\", found \"%s\", \"%s\"\n", end, line, further);
    fflush(stdout);
    return false;
}
