/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_BASE_LOG_H
#define ATLS_BASE_LOG_H

/*
 * The administrator's log, over a descriptor of our own: openlog() and stderr's
 * buffering belong to the program. One line, one write.
 */

enum atls_log_level {
    ATLS_LOG_ERROR,
    ATLS_LOG_WARN,
    ATLS_LOG_INFO,
    ATLS_LOG_DEBUG
};

struct atls_log;

/*
 *   target  "stderr", "syslog", an absolute path (appended to, mode 0640), or
 *           NULL: no log
 *   level   what is less important than this is left out
 * "syslog" is /dev/log, or systemd's journal where only that has a socket. Its
 * connection is made here and again whenever whoever was there has gone. Where
 * neither is there (containers), lines of level error go to stderr, one a second.
 * A file that cannot be opened is replaced by syslog, which is then told so.
 * Nothing is written to a stderr that was closed here: see atls_stderr_is_there().
 * NULL only when out of memory. Descriptors are opened here, before a program
 * gives up rights or its root.
 */
struct atls_log *atls_log_open(const char *target, enum atls_log_level level);

/*
 * The same, for a program that may never need us: its descriptors are opened, and
 * not a line is written. The first ones are kept, to be written by
 * atls_log_begin(), once; log may be NULL there.
 */
struct atls_log *atls_log_open_held(const char *target,
                                    enum atls_log_level level);
void atls_log_begin(struct atls_log *log);

void atls_log_close(struct atls_log *log); /* NULL is fine */

/* Whose log it is, at the beginning of lines: "attest" unless told otherwise.
 *   log   may be NULL
 *   name  static */
void atls_log_set_name(struct atls_log *log, const char *name);

/* Begin lines on stderr with their priority, "<3>", as systemd's journal reads it
 * (sd-daemon(3)): for a daemon whose stderr that is. log may be NULL. */
void atls_log_mark_priorities(struct atls_log *log);

/*
 * Open the file anew, as it may have been renamed (logrotate(8)). Where that fails
 * the one that is open stays in use, and is told so. log may be NULL, and need not
 * be a file. Not while a fork is made in another thread.
 */
void atls_log_reopen(struct atls_log *log);

/*
 * log may be NULL: nothing is written. Keeps errno. Thread-safe. Never waits: while
 * whoever reads the log does not, lines are lost, and the next one says how many.
 */
void atls_log_write(struct atls_log *log, enum atls_log_level level,
                    const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif
