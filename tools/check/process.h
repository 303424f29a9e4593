/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_CHECK_PROCESS_H
#define ATTEST_TOOLS_CHECK_PROCESS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include <time.h>

#include "base/error.h"

/*
 * A running process as proc(5) shows it. What is read belongs to one process
 * for good: the folder /proc/N is held open, and a number that is given to
 * another process does not lead there.
 */

/* Supplementary groups that are looked at (getgroups(2) knows 65536). */
#define PROCESS_GROUPS_MAX 256u
/* Octets of the environment that are read. */
#define PROCESS_ENVIRONMENT_MAX (2u << 20)
#define PROCESS_SECOND_NS INT64_C(1000000000)
/* What lies closer to a process's start is neither before nor after it: the start
 * is known to a tick, a file's time may be a file server's, and a leap second
 * sets the clock back by one. */
#define PROCESS_TOLERANCE_NS PROCESS_SECOND_NS

/* A file it has mapped. */
struct process_file {
    char *path;    /* NULL: not mapped; as in the reader's root, see maps */
    bool is_stale; /* deleted, or for certain changed since it began */
    dev_t device;  /* of a mapping; and its inode */
    ino_t inode;
    char range[48]; /* the addresses of that mapping, as in maps */
};

/* What runs as another than the file says it would, or sees other files. */
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
    /* What needs ptrace(2) rights, that is root's or the same user's. Nothing of
     * what follows is known where it is not ATLS_OK. */
    struct atls_reason hidden;
    bool is_secure; /* AT_SECURE: setuid, setgid, file capabilities, or executed
                       with real and effective ids that differ */
    struct process_file libcrypto;
    struct process_file libssl;
    struct process_file outer; /* attest.so */
    struct process_file inner; /* attest-inner.so */
    /* As it began: NAME=VALUE, each ended by NUL; NULL when the program has
     * written over it, as nginx and PostgreSQL do to show a title. */
    char *environment;
    size_t environment_len;
    /* Its root as link text, "/" or a chroot(2)'s folder. */
    char root[PATH_MAX];
    bool has_other_root;    /* not the root folder that we have */
    bool has_other_users;   /* a user namespace of its own: its root and its
                               capabilities are none here */
    bool has_other_mounts;  /* a mount namespace of its own */
    bool has_other_network; /* the same */
};

/*
 * Look at a process.
 *   ret_process  set only on success; tool_process_free() it
 * Returns ATLS_OK (also when much is hidden), ATLS_E_USAGE (there is none),
 * ATLS_E_IO, ATLS_E_NOMEM.
 */
enum atls_error tool_process_read(pid_t pid, struct atls_reason *why,
                                  struct process **ret_process) ATLS_MUST_CHECK;
void tool_process_free(struct process *process); /* NULL is fine */

/* Open what it has mapped, whatever stands under its path by now; or a file under a
 * path of its own. For reading; -1: cannot be. */
int tool_process_open_mapped(const struct process *process,
                             const struct process_file *file);
int tool_process_open_path(const struct process *process, const char *path);

/* Two clocks at one moment: starts of processes are told by the first, changes of
 * files by the second, which its administrator or NTP may set. */
struct process_clocks {
    int64_t boot_ns; /* CLOCK_BOOTTIME */
    int64_t wall_ns; /* CLOCK_REALTIME, since 1970 */
};

struct process_clocks tool_process_clocks_now(void);

enum process_change {
    PROCESS_CHANGED_BEFORE,
    PROCESS_CHANGED_SINCE,
    PROCESS_CHANGE_UNKNOWN, /* too close, or of a time that is still to come:
                               the clock was set back since */
};

/*
 * Was a file of that time changed before the process began, or since?
 *   changed  of stat(2); st_ctim, which nobody can choose, tells of owner, rights
 *            and name as well
 *   now      read after the file's time
 * A wall clock that was set forward since hides a change (BEFORE) that is younger
 * than the process by less than that. One that was set back by more than
 * PROCESS_TOLERANCE_NS shows what was changed just before the start as UNKNOWN
 * until it has caught up, and from then on as SINCE: what the clock was at the
 * start is written down nowhere.
 */
enum process_change tool_process_changed(const struct process *process,
                                         const struct timespec *changed,
                                         const struct process_clocks *now);

/* The value of a variable of its environment, or NULL. */
const char *tool_process_getenv(const struct process *process,
                                const char *name);

/* The same of NAME=VALUE texts with NUL each; NULL: none is known. */
const char *tool_process_variable(const char *environment,
                                  size_t environment_len, const char *name);

/* "/usr/sbin/nginx", or "?" where it cannot be seen. */
const char *tool_process_program(const struct process *process);

/* Do two run as the same user, with the same rights, in the same place? */
bool tool_process_is_alike(const struct process *a, const struct process *b);

/* A list of processes; grows. */
struct process_list {
    size_t count;
    struct process **items; /* owned */
};

/*
 * Add the process and all that descend from it, itself first.
 * ATLS_OK, ATLS_E_USAGE (there is no such process), ATLS_E_IO, ATLS_E_NOMEM.
 */
enum atls_error tool_process_list_add_family(struct process_list *list,
                                             pid_t pid, struct atls_reason *why)
    ATLS_MUST_CHECK;

/* Add one, unless it is there or ends just now. ATLS_OK, ATLS_E_NOMEM. */
enum atls_error tool_process_list_add(struct process_list *list, pid_t pid,
                                      struct atls_reason *why) ATLS_MUST_CHECK;
void tool_process_list_clear(struct process_list *list);

/*
 * Call for each socket it has open, with its number and inode, until visit
 * returns false. Returns false when its descriptors are hidden.
 */
typedef bool process_visitor(void *arg, int fd, uint64_t inode);
bool tool_process_visit_sockets(const struct process *process,
                                process_visitor *visit, void *arg);

/* Open a file of /proc/N for reading, as a stream; NULL with errno. */
FILE *tool_process_open(const struct process *process, const char *name);

#endif
