/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_CHECK_UNIT_H
#define ATTEST_TOOLS_CHECK_UNIT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "tools/check/process.h"
#include "base/error.h"

/* Octets of a unit's name (systemd's own limit). */
#define UNIT_NAME_MAX 255u

/* What systemd knows of a service. */
struct unit {
    char name[UNIT_NAME_MAX + 1]; /* with its suffix */
    char *active;                 /* "active", "inactive", "failed" ... */
    pid_t main_pid;               /* 0: none */
    char *control_group;          /* "/system.slice/nginx.service", or "" */
    char *user;                   /* "": root */
    char *root;                   /* RootDirectory, or "" */
    char *program;                /* path of ExecStart, or "" */
    char *after;                  /* names of units, by spaces */
    bool has_private_devices;     /* no TPM in its /dev */
    /* Environment and EnvironmentFile: NAME=VALUE with NUL each. */
    char *environment;
    size_t environment_len;
};

/*
 * Ask systemd (systemctl show).
 *   name      from the user; it is checked before systemctl gets it
 *   ret_unit  set only on success; tool_unit_free() it
 * Returns ATLS_OK, ATLS_E_USAGE (no such name, no such unit, no systemd),
 * ATLS_E_NOMEM.
 */
enum atls_error tool_unit_read(const char *name, struct atls_reason *why,
                               struct unit **ret_unit) ATLS_MUST_CHECK;
void tool_unit_free(struct unit *unit); /* NULL is fine */

/* The service that a process belongs to, by its control group. Returns false
 * if there is none. */
bool tool_unit_of_process(const struct process *process,
                          char ret_name[UNIT_NAME_MAX + 1]);

/* Add the processes of its control group. Returns ATLS_OK, ATLS_E_NOMEM. */
enum atls_error tool_unit_list_processes(
    const struct unit *unit, struct process_list *list,
    struct atls_reason *why) ATLS_MUST_CHECK;

/* Does systemd know a unit of that name, installed on this machine? */
bool tool_unit_exists(const char *name);

#endif
