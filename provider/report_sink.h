/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_REPORT_SINK_H
#define ATLS_REPORT_SINK_H

#include <stddef.h>

#include "base/descriptor.h"

/*
 * Where ATTEST_REPORT wants each verdict printed: "stderr", or an absolute path.
 * Never in a setuid program. Nothing here waits or raises SIGPIPE: what nobody reads
 * is lost.
 */
struct atls_report_sink {
    struct atls_shared_descriptor file;
    char *fifo;                 /* its path; NULL: it is none */
    struct atls_descriptor err; /* stderr; none: it is not asked for */
};

/* Open it, before a program gives up rights or its root. What cannot be opened
 * takes no reports, but for a FIFO: nobody may read it yet. */
void atls_report_sink_open(struct atls_report_sink *ret_sink);
void atls_report_sink_close(struct atls_report_sink *sink);

/* The descriptor to print to now, borrowed; -1: nobody wants it. A FIFO is opened
 * again until somebody reads it. Thread-safe. */
int atls_report_sink_get(struct atls_report_sink *sink);

/* Print one report: into a file at once, so that those of several processes do not
 * mix. Keeps errno. */
void atls_report_sink_write(int fd, const char *text, size_t len);

#endif
