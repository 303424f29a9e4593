/* SPDX-License-Identifier: BSD-2-Clause */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "descriptor.h"

/* Octets of one line with its head; longer ones are cut. */
#define LINE_MAX_OCTETS 1024
#define SYSLOG_SOCKET "/dev/log"

enum target { TARGET_NONE, TARGET_STDERR, TARGET_SYSLOG, TARGET_FILE };

struct atls_log {
    enum target target;
    enum atls_log_level level;
    const char *name;           /* of the program */
    struct atls_descriptor out; /* of syslog or file; none: not there */
    bool marks_priorities;      /* on stderr */
};

static int connect_syslog(void)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX,
                                  .sun_path = SYSLOG_SOCKET};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0
        && connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void open_file(struct atls_log *log, const char *path)
{
    int reason, fd;

    log->target = TARGET_FILE;
    fd = open(path,
              O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
              S_IRUSR | S_IWUSR | S_IRGRP);
    reason = errno;
    atls_descriptor_set(&log->out, fd);
    if (fd >= 0)
        return;
    log->target = TARGET_SYSLOG;
    atls_descriptor_set(&log->out, connect_syslog());
    atls_log_write(log, ATLS_LOG_ERROR, "cannot write the log %s: %s", path,
                   strerror(reason));
}

struct atls_log *atls_log_open(const char *target, enum atls_log_level level)
{
    struct atls_log *log = OPENSSL_zalloc(sizeof(*log));
    int saved = errno;

    if (log == NULL)
        return NULL;
    log->level = level;
    log->name = "attest";
    log->out.fd = -1;
    if (target == NULL) {
        log->target = TARGET_NONE;
    } else if (strcmp(target, "stderr") == 0) {
        log->target = TARGET_STDERR;
    } else if (strcmp(target, "syslog") == 0) {
        log->target = TARGET_SYSLOG;
        atls_descriptor_set(&log->out, connect_syslog());
    } else {
        open_file(log, target);
    }
    errno = saved;
    return log;
}

void atls_log_close(struct atls_log *log)
{
    if (log != NULL)
        atls_descriptor_close(&log->out);
    OPENSSL_free(log);
}

void atls_log_set_name(struct atls_log *log, const char *name)
{
    if (log != NULL)
        log->name = name;
}

void atls_log_mark_priorities(struct atls_log *log)
{
    if (log != NULL)
        log->marks_priorities = true;
}

/* What stands before the text: each target's own convention. */
static int write_head(const struct atls_log *log, enum atls_log_level level,
                      char *line, size_t size)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
    time_t now = time(NULL);
    struct tm utc;
    char when[32] = "";

    switch (log->target) {
    case TARGET_SYSLOG:
        return snprintf(line, size,
                        "<%d>%s[%ld]: ", LOG_DAEMON | priorities[level],
                        log->name, (long)getpid());
    case TARGET_FILE:
        if (gmtime_r(&now, &utc) != NULL)
            strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &utc);
        return snprintf(line, size, "%s %s[%ld] %s: ", when, log->name,
                        (long)getpid(), names[level]);
    case TARGET_NONE:
    case TARGET_STDERR:
        break;
    }
    if (log->marks_priorities)
        return snprintf(line, size, "<%d>%s: ", priorities[level], log->name);
    return snprintf(line, size, "%s: %s: ", log->name, names[level]);
}

void atls_log_write(struct atls_log *log, enum atls_log_level level,
                    const char *fmt, ...)
{
    char line[LINE_MAX_OCTETS];
    int saved = errno, head, body;
    size_t len;
    va_list args;
    ssize_t ignored = 0;

    if (log == NULL || log->target == TARGET_NONE || level > log->level)
        return;
    if (log->target != TARGET_STDERR && !atls_descriptor_is_ours(&log->out))
        return;
    head = write_head(log, level, line, sizeof(line));
    if (head < 0 || (size_t)head >= sizeof(line))
        return;
    va_start(args, fmt);
    body = vsnprintf(line + head, sizeof(line) - (size_t)head, fmt, args);
    va_end(args);
    len = (size_t)head + (body > 0 ? (size_t)body : 0);
    if (len > sizeof(line) - 2)
        len = sizeof(line) - 2;
    for (size_t i = (size_t)head; i < len; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    if (log->target == TARGET_SYSLOG) {
        ignored = send(log->out.fd, line, len, MSG_NOSIGNAL);
        (void)ignored; /* a log that cannot be written has no one to be told */
    } else {
        line[len++] = '\n';
        atls_descriptor_write(log->target == TARGET_STDERR ? STDERR_FILENO
                                                           : log->out.fd,
                              line, len);
    }
    errno = saved;
}
