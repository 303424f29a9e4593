/* SPDX-License-Identifier: BSD-2-Clause */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
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
#include "opening.h"

/* Octets of one line with its head; longer ones are cut. */
#define LINE_MAX_OCTETS 1024
#define SYSLOG_SOCKET "/dev/log"

enum target { TARGET_NONE, TARGET_STDERR, TARGET_SYSLOG, TARGET_FILE };

struct atls_log {
    /* Of out. Only atls_log_reopen() takes it for writing, so nobody who writes
     * lines ever waits elsewhere, nor in the child of a fork. */
    pthread_rwlock_t lock;
    char *path;             /* of a file */
    atomic_uint lost_count; /* lines that could not be written */
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
    int fd = atls_open_socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK);

    if (fd >= 0
        && connect(fd, (struct sockaddr *)&address, sizeof(address)) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static int open_path(const char *path)
{
    return atls_open_file(path,
                          O_WRONLY | O_APPEND | O_CREAT | O_NOCTTY | O_NONBLOCK,
                          S_IRUSR | S_IWUSR | S_IRGRP);
}

static void open_file(struct atls_log *log, const char *path)
{
    int fd = open_path(path);
    int reason = errno;

    log->target = TARGET_FILE;
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
    log->path = target != NULL ? OPENSSL_strdup(target) : NULL;
    if ((target != NULL && log->path == NULL)
        || pthread_rwlock_init(&log->lock, NULL) != 0) {
        OPENSSL_free(log->path);
        OPENSSL_free(log);
        errno = saved;
        return NULL;
    }
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
    if (log == NULL)
        return;
    atls_descriptor_close(&log->out);
    pthread_rwlock_destroy(&log->lock);
    OPENSSL_free(log->path);
    OPENSSL_free(log);
}

void atls_log_reopen(struct atls_log *log)
{
    int fd;

    if (log == NULL || log->target != TARGET_FILE)
        return;
    fd = open_path(log->path);
    if (fd < 0) {
        atls_log_write(log, ATLS_LOG_ERROR, "cannot write the log %s: %s",
                       log->path, strerror(errno));
        return;
    }
    pthread_rwlock_wrlock(&log->lock);
    atls_descriptor_close(&log->out);
    atls_descriptor_set(&log->out, fd);
    pthread_rwlock_unlock(&log->lock);
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

/* The line without its end; its length. */
static size_t write_line(const struct atls_log *log, enum atls_log_level level,
                         unsigned lost_count, const char *fmt, va_list args,
                         char *line, size_t size)
{
    int head = write_head(log, level, line, size);
    int body, lost = 0;
    size_t len;

    if (head < 0 || (size_t)head >= size)
        return 0;
    if (lost_count > 0)
        lost = snprintf(line + head, size - (size_t)head,
                        "(%u lines before this one were lost) ", lost_count);
    len = (size_t)head + (lost > 0 ? (size_t)lost : 0);
    if (len >= size)
        return 0;
    body = vsnprintf(line + len, size - len, fmt, args);
    len += body > 0 ? (size_t)body : 0;
    if (len > size - 2)
        len = size - 2;
    for (size_t i = (size_t)head; i < len; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
            line[i] = '?';
    return len;
}

/* False: it is lost. The line has room for its end. */
static bool put_out(const struct atls_log *log, char *line, size_t len)
{
    int fd = log->target == TARGET_STDERR ? STDERR_FILENO : log->out.fd;

    if (log->target == TARGET_SYSLOG)
        return send(fd, line, len, MSG_NOSIGNAL) >= 0;
    line[len] = '\n';
    return atls_descriptor_write(fd, line, len + 1);
}

void atls_log_write(struct atls_log *log, enum atls_log_level level,
                    const char *fmt, ...)
{
    char line[LINE_MAX_OCTETS];
    int saved = errno;
    unsigned lost_count;
    size_t len;
    va_list args;

    if (log == NULL || log->target == TARGET_NONE || level > log->level)
        return;
    lost_count = atomic_exchange(&log->lost_count, 0);
    va_start(args, fmt);
    len = write_line(log, level, lost_count, fmt, args, line, sizeof(line));
    va_end(args);
    pthread_rwlock_rdlock(&log->lock);
    if ((log->target == TARGET_STDERR || atls_descriptor_is_ours(&log->out))
        && len > 0 && !put_out(log, line, len))
        atomic_fetch_add(&log->lost_count, lost_count + 1);
    pthread_rwlock_unlock(&log->lock);
    errno = saved;
}
