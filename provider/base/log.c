/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/log.h"

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

#include "base/descriptor.h"
#include "base/opening.h"
#include "base/ratelimit.h"

/* Octets of one line with its head; longer ones are cut. */
#define LINE_MAX_OCTETS 1024
#define SYSLOG_SOCKET "/dev/log"
/* Where a container has that alone. Source: systemd, "Native Journal Protocol". */
#define JOURNAL_SOCKET "/run/systemd/journal/socket"
/* Lines that are kept while a log is held. */
#define HELD_MAX 16u

enum target {
    TARGET_NONE,
    TARGET_STDERR,
    TARGET_SYSLOG,
    TARGET_JOURNAL, /* of lines only: a log's is syslog */
    TARGET_FILE
};

/* A line to be written later. */
struct held_line {
    struct held_line *next;
    enum atls_log_level level;
    char text[LINE_MAX_OCTETS];
};

struct atls_log {
    atomic_bool is_held;
    /* One thread writes them while the log is held: it has it alone. */
    struct held_line *first_held, **last_held;
    unsigned held_count, unheld_count; /* those kept, and those behind them */
    /* Of out. Only atls_log_reopen() takes it for writing, so nobody who writes
     * lines ever waits elsewhere, nor in the child of a fork. */
    pthread_rwlock_t lock;
    char *path;             /* of a file */
    atomic_uint lost_count; /* lines that could not be written */
    enum target target;
    enum atls_log_level level;
    const char *name;                  /* of the program */
    struct atls_shared_descriptor out; /* of syslog or file */
    atomic_bool is_journal;            /* at the other end of out */
    struct atls_descriptor err;        /* the program's stderr, at the start */
    struct atls_ratelimit pace;        /* of what goes to stderr for syslog */
    bool marks_priorities;             /* on stderr */
};

/* --- targets ----------------------------------------------------------------- */

static bool is_missing(int error)
{
    return error == ENOENT || error == ENOTDIR;
}

/* No waiting: nobody has to accept, and what finds no room is not sent. */
static bool connect_to(int fd, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    memcpy(address.sun_path, path, strlen(path));
    return connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0;
}

/* False: errno; nothing is there where it is_missing(). */
static bool connect_syslog(struct atls_log *log, int fd)
{
    bool is_syslog = connect_to(fd, SYSLOG_SOCKET);

    if (!is_syslog && (!is_missing(errno) || !connect_to(fd, JOURNAL_SOCKET)))
        return false;
    atomic_store(&log->is_journal, !is_syslog);
    return true;
}

/* Connected already before a program gives up its root, if that can be. */
static void open_syslog(struct atls_log *log)
{
    int fd = atls_open_socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK);

    log->target = TARGET_SYSLOG;
    if (fd >= 0)
        (void)connect_syslog(log, fd);
    atls_shared_descriptor_put(&log->out, fd);
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
    atls_shared_descriptor_put(&log->out, fd);
    if (fd >= 0)
        return;
    open_syslog(log);
    atls_log_write(log, ATLS_LOG_ERROR, "cannot write the log %s: %s", path,
                   strerror(reason));
}

static struct atls_log *open_log(const char *target, enum atls_log_level level,
                                 bool is_held)
{
    struct atls_log *log = OPENSSL_zalloc(sizeof(*log));
    int saved = errno;

    if (log == NULL)
        return NULL;
    log->level = level;
    log->name = "attest";
    atls_stderr_note(&log->err);
    atomic_init(&log->is_held, is_held);
    log->last_held = &log->first_held;
    log->path = target != NULL ? OPENSSL_strdup(target) : NULL;
    if ((target != NULL && log->path == NULL)
        || pthread_rwlock_init(&log->lock, NULL) != 0) {
        OPENSSL_free(log->path);
        OPENSSL_free(log);
        errno = saved;
        return NULL;
    }
    if (target == NULL)
        log->target = TARGET_NONE;
    else if (strcmp(target, "stderr") == 0)
        log->target = TARGET_STDERR;
    else if (strcmp(target, "syslog") == 0)
        open_syslog(log);
    else
        open_file(log, target);
    errno = saved;
    return log;
}

struct atls_log *atls_log_open(const char *target, enum atls_log_level level)
{
    return open_log(target, level, false);
}

struct atls_log *atls_log_open_held(const char *target,
                                    enum atls_log_level level)
{
    return open_log(target, level, true);
}

/* Take the first one off; NULL: there is none. */
static struct held_line *take_held(struct atls_log *log)
{
    struct held_line *line = log->first_held;

    if (line != NULL)
        log->first_held = line->next;
    return line;
}

void atls_log_begin(struct atls_log *log)
{
    struct held_line *line;

    if (log == NULL || !atomic_exchange(&log->is_held, false))
        return;
    while ((line = take_held(log)) != NULL) {
        atls_log_write(log, line->level, "%s", line->text);
        OPENSSL_free(line);
    }
    atomic_fetch_add(&log->lost_count, log->unheld_count);
}

void atls_log_close(struct atls_log *log)
{
    struct held_line *line;

    if (log == NULL)
        return;
    while ((line = take_held(log)) != NULL)
        OPENSSL_free(line);
    atls_shared_descriptor_put(&log->out, -1);
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
    atls_shared_descriptor_put(&log->out, fd);
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

/* --- lines -------------------------------------------------------------------- */

/* One on its way: its head is the target's. */
struct line {
    enum atls_log_level level;
    unsigned lost_count; /* lines before it */
    char text[LINE_MAX_OCTETS];
};

/* What stands before the text: each target's own convention. */
static int write_head(const struct atls_log *log, enum target target,
                      enum atls_log_level level, char *line, size_t size)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    static const int priorities[] = {LOG_ERR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
    time_t now = time(NULL);
    struct tm utc;
    char when[32] = "";

    switch (target) {
    case TARGET_SYSLOG:
        return snprintf(line, size,
                        "<%d>%s[%ld]: ", LOG_DAEMON | priorities[level],
                        log->name, (long)getpid());
    case TARGET_JOURNAL:
        return snprintf(line, size,
                        "PRIORITY=%d\nSYSLOG_IDENTIFIER=%s\nMESSAGE=",
                        priorities[level], log->name);
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

/* The whole line without its end; its length.
 *   more  behind the text */
static size_t compose(const struct atls_log *log, enum target target,
                      const struct line *line, const char *more,
                      char ret[LINE_MAX_OCTETS])
{
    const size_t size = LINE_MAX_OCTETS;
    int head = write_head(log, target, line->level, ret, size);
    int body, lost = 0;
    size_t len;

    if (head < 0 || (size_t)head >= size)
        return 0;
    if (line->lost_count > 0)
        lost =
            snprintf(ret + head, size - (size_t)head,
                     "(%u lines before this one were lost) ", line->lost_count);
    len = (size_t)head + (lost > 0 ? (size_t)lost : 0);
    if (len >= size)
        return 0;
    body = snprintf(ret + len, size - len, "%s%s", line->text, more);
    len += body > 0 ? (size_t)body : 0;
    if (len > size - 2)
        len = size - 2;
    for (size_t i = (size_t)head; i < len; i++)
        if ((unsigned char)ret[i] < 0x20 || ret[i] == 0x7f)
            ret[i] = '?';
    return len;
}

/* These return false where the line is lost. */

static bool write_line(const struct atls_log *log, int fd, enum target target,
                       const struct line *line, const char *more)
{
    char octets[LINE_MAX_OCTETS];
    size_t len = compose(log, target, line, more, octets);

    octets[len] = '\n';
    return atls_descriptor_write(fd, octets, len + 1);
}

static bool write_stderr(const struct atls_log *log, const struct line *line,
                         const char *more)
{
    return atls_stderr_is_there(&log->err)
           && write_line(log, STDERR_FILENO, TARGET_STDERR, line, more);
}

/* A container, as a rule: what is refused there reaches somebody all the same. */
static bool write_instead_of_syslog(struct atls_log *log,
                                    const struct line *line)
{
    char more[ATLS_RATELIMIT_MORE_SIZE];

    if (line->level != ATLS_LOG_ERROR || !atls_stderr_is_there(&log->err))
        return false;
    if (atls_ratelimit_turn(&log->pace, more))
        return write_stderr(log, line, more);
    atomic_fetch_add(&log->lost_count, line->lost_count);
    return true;
}

/* A line's end belongs to the journal's protocol, and not to syslog's. */
static bool send_line(const struct atls_log *log, int fd,
                      const struct line *line)
{
    char octets[LINE_MAX_OCTETS];
    enum target target =
        atomic_load(&log->is_journal) ? TARGET_JOURNAL : TARGET_SYSLOG;
    size_t len = compose(log, target, line, "", octets);

    if (target == TARGET_JOURNAL)
        octets[len++] = '\n';
    return send(fd, octets, len, MSG_NOSIGNAL) >= 0;
}

/* The connection lasts as long as whoever was at its other end: then it is made
 * again with whoever is there now. Where that cannot be, as after a chroot, the one
 * there was stays as it is. */
static bool write_syslog(struct atls_log *log, const struct line *line)
{
    int fd = atls_shared_descriptor_get(&log->out);

    if (fd < 0) /* the program has closed it, or had none left */
        fd = atls_shared_descriptor_fill(
            &log->out, atls_open_socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK));
    if (fd < 0)
        return false;
    if (send_line(log, fd, line))
        return true;
    if (errno == EAGAIN || errno == ENOBUFS) /* it does not read */
        return false;
    if (connect_syslog(log, fd))
        return send_line(log, fd, line);
    return is_missing(errno) && write_instead_of_syslog(log, line);
}

static bool write_file(const struct atls_log *log, const struct line *line)
{
    int fd = atls_shared_descriptor_get(&log->out);

    return fd >= 0 && write_line(log, fd, TARGET_FILE, line, "");
}

static bool put_out(struct atls_log *log, const struct line *line)
{
    switch (log->target) {
    case TARGET_NONE:
        break;
    case TARGET_STDERR:
        return write_stderr(log, line, "");
    case TARGET_SYSLOG:
    case TARGET_JOURNAL:
        return write_syslog(log, line);
    case TARGET_FILE:
        return write_file(log, line);
    }
    return true;
}

/* Its head is made when it is written. */
static void hold(struct atls_log *log, enum atls_log_level level,
                 const char *fmt, va_list args)
{
    struct held_line *line = NULL;

    if (log->held_count < HELD_MAX)
        line = OPENSSL_zalloc(sizeof(*line));
    if (line == NULL) {
        log->unheld_count++;
        return;
    }
    line->level = level;
    (void)vsnprintf(line->text, sizeof(line->text), fmt, args);
    *log->last_held = line;
    log->last_held = &line->next;
    log->held_count++;
}

void atls_log_write(struct atls_log *log, enum atls_log_level level,
                    const char *fmt, ...)
{
    struct line line = {.level = level};
    int saved = errno;
    va_list args;

    if (log == NULL || log->target == TARGET_NONE || level > log->level)
        return;
    va_start(args, fmt);
    if (atomic_load(&log->is_held)) {
        hold(log, level, fmt, args);
        va_end(args);
        errno = saved;
        return;
    }
    (void)vsnprintf(line.text, sizeof(line.text), fmt, args);
    va_end(args);
    line.lost_count = atomic_exchange(&log->lost_count, 0);
    pthread_rwlock_rdlock(&log->lock);
    if (!put_out(log, &line))
        atomic_fetch_add(&log->lost_count, line.lost_count + 1);
    pthread_rwlock_unlock(&log->lock);
    errno = saved;
}
