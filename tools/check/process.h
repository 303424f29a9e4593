/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_CHECK_PROCESS_H
#define ATTEST_TOOLS_CHECK_PROCESS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "base/error.h"
#include "tools/check/process_age.h"

/* A running process as proc(5) shows it. The folder /proc/N is held open: all
 * that is read belongs to one process, even if its number is reused. */

/* Supplementary groups that are read (getgroups(2) knows 65536). */
#define PROCESS_GROUPS_MAX 256u
/* Octets of the environment that are read. */
#define PROCESS_ENVIRONMENT_MAX (2u << 20)

/* A file it has mapped. */
struct process_file {
    char *path;    /* NULL: not mapped; as in the reader's root, see maps */
    bool is_stale; /* deleted, or for certain changed since it began */
    dev_t device;  /* of a mapping; and its inode */
    ino_t inode;
    char range[48]; /* the addresses of that mapping, as in maps */
};

/* A process: its users, its files and its namespaces. */
struct process {
    pid_t pid;
    pid_t parent;
    int dir;          /* /proc/N */
    int64_t began_ns; /* by CLOCK_BOOTTIME, rounded down to a tick */
    uid_t uid;        /* effective, as gid: what permissions go by */
    gid_t gid;
    size_t group_count;
    gid_t groups[PROCESS_GROUPS_MAX];
    uint64_t capabilities; /* effective */
    bool has_seccomp;
    char label[128]; /* of AppArmor or SELinux; "": none, or not confined */
    bool may_have_been_root; /* no root now: may have given that up, or looks
                                as if (prctl(2), PR_SET_DUMPABLE) */
    struct process_file exe;
    /* ATLS_OK, or why the rest of this struct is unknown: it needs ptrace(2)
     * rights, that is root's or the same user's. */
    struct atls_reason hidden;
    bool is_secure; /* AT_SECURE: setuid, setgid, file capabilities, or executed
                       with real and effective ids that differ */
    struct process_file libcrypto;
    struct process_file libssl;
    struct process_file outer; /* attest.so */
    struct process_file inner; /* attest-inner.so */
    /* The environment at its start: NAME=VALUE, each ended by NUL; NULL if the
     * program has overwritten it, as nginx and PostgreSQL do to show a title. */
    char *environment;
    size_t environment_len;
    /* Its root as link text: "/" or the folder of a chroot(2). */
    char root[PATH_MAX];
    bool has_other_root;    /* not the root folder that we have */
    bool has_other_users;   /* a user namespace of its own: its root and its
                               capabilities are none here */
    bool has_other_mounts;  /* a mount namespace of its own */
    bool has_other_network; /* the same */
};

/*
 * Read a process.
 *   ret_process  set only on success; tool_process_free() it
 * Returns ATLS_OK (also when much is hidden), ATLS_E_USAGE (there is none),
 * ATLS_E_IO, ATLS_E_NOMEM.
 */
enum atls_error tool_process_read(pid_t pid, struct atls_reason *why,
                                  struct process **ret_process) ATLS_MUST_CHECK;
void tool_process_free(struct process *process); /* NULL is fine */

/* Open a file that it has mapped, whatever its path leads to now. For reading;
 * -1: cannot be opened. */
int tool_process_open_mapped(const struct process *process,
                             const struct process_file *file);

/* The same of a path as the process sees it. */
int tool_process_open_path(const struct process *process, const char *path);

/* The value of a variable of its environment, or NULL. */
const char *tool_process_getenv(const struct process *process,
                                const char *name);

/* The same in NAME=VALUE texts with NUL each; environment NULL: not known. */
const char *tool_process_variable(const char *environment,
                                  size_t environment_len, const char *name);

/* The program's path; "?" if it cannot be seen. */
const char *tool_process_program(const struct process *process);

/* Do two processes run as the same user, with the same rights, in the same
 * sandbox? */
bool tool_process_is_alike(const struct process *a, const struct process *b);

/* A list of processes; grows. */
struct process_list {
    size_t count;
    struct process **items; /* owned */
};

/*
 * Add the process and all its descendants, itself first.
 * Returns ATLS_OK, ATLS_E_USAGE (there is no such process), ATLS_E_IO,
 * ATLS_E_NOMEM.
 */
enum atls_error tool_process_list_add_family(struct process_list *list,
                                             pid_t pid, struct atls_reason *why)
    ATLS_MUST_CHECK;

/* Add one, unless it is listed or has ended. Returns ATLS_OK, ATLS_E_NOMEM. */
enum atls_error tool_process_list_add(struct process_list *list, pid_t pid,
                                      struct atls_reason *why) ATLS_MUST_CHECK;

/* Free its processes; the list is empty then. */
void tool_process_list_clear(struct process_list *list);

/* Gets the number and inode of one open socket; returns whether to go on. */
typedef bool process_visitor(void *arg, int fd, uint64_t inode);

/* Call visit for each socket that it has open, until that returns false.
 * Returns false if its descriptors are hidden. */
bool tool_process_visit_sockets(const struct process *process,
                                process_visitor *visit, void *arg);

/* Open a file of /proc/N for reading; NULL with errno. */
FILE *tool_process_open(const struct process *process, const char *name);

#endif
