/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_REPORT_SINK_H
#define ATLS_REPORT_SINK_H

#include <stddef.h>

#include "base/descriptor.h"

/*
 * Where each verdict is printed, as ATTEST_REPORT says: "stderr", or an absolute path.
 * Ignored in a setuid program. Nothing here waits or raises SIGPIPE: without a reader
 * a report is lost.
 */
struct atls_report_sink {
    struct atls_shared_descriptor file;
    char *fifo;                 /* path of a FIFO; NULL: it is none */
    struct atls_descriptor err; /* stderr; none: not wanted */
};

/* Open it, before a program gives up rights or its root. A file that cannot be opened
 * gets no reports; a FIFO without a reader may get one later. */
void atls_report_sink_open(struct atls_report_sink *ret_sink);
void atls_report_sink_close(struct atls_report_sink *sink);

/* The descriptor to print to now, borrowed; -1: none. A FIFO is opened again until it
 * has a reader. Thread-safe. */
int atls_report_sink_get(struct atls_report_sink *sink);

/* Print one report: into a file in one piece, so that those of several processes do not
 * mix. Keeps errno. */
void atls_report_sink_write(int fd, const char *text, size_t len);

#endif
