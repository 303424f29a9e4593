/* SPDX-License-Identifier: BSD-2-Clause */
#include "tools/check/process.h"

#include <dirent.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define DELETED " (deleted)"

/* ---- files of /proc/N ---- */

/* Close the stream. Returns true if it was read to its end. */
static bool close_read(FILE *file)
{
    bool is_read = feof(file) && !ferror(file);

    fclose(file);
    return is_read;
}

FILE *tool_process_open(const struct process *process, const char *name)
{
    int fd = openat(process->dir, name, O_RDONLY | O_CLOEXEC);
    FILE *file = fd >= 0 ? fdopen(fd, "r") : NULL;

    if (file == NULL && fd >= 0)
        close(fd);
    return file;
}

static bool read_link(const struct process *process, const char *name,
                      char ret_text[PATH_MAX])
{
    ssize_t len = readlinkat(process->dir, name, ret_text, PATH_MAX - 1);

    ret_text[len < 0 ? 0 : len] = '\0';
    return len >= 0;
}

static bool ends_with(const char *text, const char *end)
{
    size_t len = strlen(text), end_len = strlen(end);

    return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* ---- identity ---- */

/* proc(5), /proc/pid/stat: the name in brackets may hold anything. */
static bool read_stat(struct process *process)
{
    FILE *file = tool_process_open(process, "stat");
    unsigned long long ticks = 0;
    char text[1024] = "";
    const char *after;
    size_t len = 0;

    if (file != NULL) {
        len = fread(text, 1, sizeof(text) - 1, file);
        fclose(file);
    }
    text[len] = '\0';
    after = strrchr(text, ')');
    if (after == NULL
        || sscanf(after + 1,
                  " %*c %d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d "
                  "%*d %*d %*d %*d %*d %llu",
                  &process->parent, &ticks)
               != 2)
        return false;
    process->began_ns =
        (int64_t)ticks * (PROCESS_SECOND_NS / sysconf(_SC_CLK_TCK));
    return true;
}

static void read_groups(struct process *process, const char *text)
{
    char *end;

    for (process->group_count = 0; process->group_count < PROCESS_GROUPS_MAX;
         process->group_count++, text = end) {
        gid_t group = (gid_t)strtoul(text, &end, 10);

        if (end == text)
            break;
        process->groups[process->group_count] = group;
    }
}

static bool read_status(struct process *process)
{
    FILE *file = tool_process_open(process, "status");
    bool has_uid = false, has_gid = false, is_read = false;
    unsigned seccomp = 0;
    char *line = NULL;
    size_t room = 0;

    while (file != NULL && getline(&line, &room, file) > 0) {
        has_uid |= sscanf(line, "Uid: %*u %u", &process->uid) == 1;
        has_gid |= sscanf(line, "Gid: %*u %u", &process->gid) == 1;
        (void)sscanf(line, "CapEff: %" SCNx64, &process->capabilities);
        (void)sscanf(line, "Seccomp: %u", &seccomp);
        if (strncmp(line, "Groups:", 7) == 0)
            read_groups(process, line + 7);
    }
    free(line);
    if (file != NULL)
        is_read = close_read(file);
    process->has_seccomp = seccomp != 0;
    return is_read && has_uid && has_gid;
}

/* attr/current (apparmor(7), selinux(8)): "PROFILE (MODE)" or a context. */
static void read_label(struct process *process)
{
    FILE *file = tool_process_open(process, "attr/current");

    if (file == NULL)
        return;
    if (fgets(process->label, sizeof(process->label), file) == NULL
        || strncmp(process->label, "unconfined", strlen("unconfined")) == 0)
        process->label[0] = '\0';
    process->label[strcspn(process->label, "\n")] = '\0';
    fclose(file);
}

/* A process that changes its user without execve(2) is not dumpable, and root
 * owns its files in /proc (proc(5), prctl(2)). This is a hint, not a proof:
 * any process may ask for it. */
static void read_past(struct process *process)
{
    struct stat st;

    process->may_have_been_root =
        process->uid != 0 && fstatat(process->dir, "environ", &st, 0) == 0
        && st.st_uid == 0;
}

/* ---- what is mapped ---- */

/* Open a path as the process sees it: through its own root when its mounts are
 * not ours. */
static bool stat_of(const struct process *process, const char *path,
                    struct stat *ret_st)
{
    char way[PATH_MAX + 8];

    if (!process->has_other_mounts)
        return stat(path, ret_st) == 0;
    snprintf(way, sizeof(way), "root%s", path);
    return fstatat(process->dir, way, ret_st, 0) == 0;
}

/* A file written in place has both times changed. Any user may set the time of
 * the content; the other one also changes with owner and name. */
static bool is_rewritten(const struct process *process, const struct stat *st)
{
    const struct process_clocks now = tool_process_clocks_now();

    return tool_process_changed(process->began_ns, &st->st_mtim, &now)
               == PROCESS_CHANGED_SINCE
           && tool_process_changed(process->began_ns, &st->st_ctim, &now)
                  == PROCESS_CHANGED_SINCE;
}

/* Take a path from maps or exe. The kernel marks a deleted file. */
static void take_file(const struct process *process, const char *path,
                      struct process_file *file)
{
    struct stat st;

    if (file->path != NULL)
        return;
    file->path = strdup(path);
    if (file->path == NULL)
        return;
    if (ends_with(path, DELETED)) {
        file->is_stale = true;
        file->path[strlen(path) - strlen(DELETED)] = '\0';
        return;
    }
    file->is_stale = stat_of(process, path, &st) && is_rewritten(process, &st);
}

/* `libssl.so.3`, `attest.so`: compare the name, not the folder. */
static void take_mapping(struct process *process, const char *line,
                         const char *path, dev_t device, ino_t inode)
{
    const struct {
        const char *name;
        bool has_version;
        struct process_file *file;
    } known[] = {
        {"libcrypto.so", true, &process->libcrypto},
        {"libssl.so", true, &process->libssl},
        {"attest.so", false, &process->outer},
        {"attest-inner.so", false, &process->inner},
    };
    const char *slash = strrchr(path, '/');

    for (size_t i = 0; slash != NULL && i < sizeof(known) / sizeof(known[0]);
         i++) {
        size_t len = strlen(known[i].name);
        const char *rest = slash + 1 + len;

        if (strncmp(slash + 1, known[i].name, len) == 0
            && (*rest == '\0' || strcmp(rest, DELETED) == 0
                || (known[i].has_version && *rest == '.'))
            && known[i].file->path == NULL) {
            take_file(process, path, known[i].file);
            known[i].file->device = device;
            known[i].file->inode = inode;
            (void)sscanf(line, "%47s", known[i].file->range);
        }
    }
}

static bool read_maps(struct process *process)
{
    FILE *file = tool_process_open(process, "maps");
    char *line = NULL;
    size_t room = 0;

    if (file == NULL)
        return false;
    while (getline(&line, &room, file) > 0) {
        char *path = strchr(line, '/');
        unsigned major = 0, minor = 0;
        uint64_t inode = 0;
        char may_run = '-';

        line[strcspn(line, "\n")] = '\0';
        /* proc(5): range, rights, offset, device, inode, path */
        if (path != NULL
            && sscanf(line, "%*s %*c%*c%c%*c %*s %x:%x %" SCNu64, &may_run,
                      &major, &minor, &inode)
                   == 4
            && may_run == 'x')
            take_mapping(process, line, path, makedev(major, minor),
                         (ino_t)inode);
    }
    free(line);
    return close_read(file);
}

#define OPEN_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

/* proc(5), map_files: root's. */
int tool_process_open_mapped(const struct process *process,
                             const struct process_file *file)
{
    char name[64];

    snprintf(name, sizeof(name), "map_files/%s", file->range);
    return openat(process->dir, name, OPEN_FLAGS);
}

int tool_process_open_path(const struct process *process, const char *path)
{
    char way[PATH_MAX + 8];

    if (!process->has_other_mounts)
        return open(path, OPEN_FLAGS);
    snprintf(way, sizeof(way), "root%s", path);
    return openat(process->dir, way, OPEN_FLAGS);
}

/* ---- environment ---- */

/* The auxiliary vector (getauxval(3)): pairs of words of our size, unless it
 * is a 32-bit program on a 64-bit machine. */
static bool read_auxv(struct process *process)
{
    FILE *file = tool_process_open(process, "auxv");
    unsigned long pair[2];

    if (file == NULL)
        return false;
    while (fread(pair, sizeof(pair), 1, file) == 1)
        if (pair[0] == AT_SECURE)
            process->is_secure = pair[1] != 0;
    return close_read(file);
}

/* A program that writes its title over arguments and environment leaves no
 * list of NAME=VALUE. */
static bool is_environment(const char *text, size_t len)
{
    const char *end = text + len;

    for (const char *p = text; p < end; p += strlen(p) + 1)
        if (*p == '\0' || *p == '=' || strchr(p, '=') == NULL)
            return false;
    return true;
}

static bool read_environment(struct process *process)
{
    FILE *file = tool_process_open(process, "environ");
    char *text = file != NULL ? malloc(PROCESS_ENVIRONMENT_MAX + 1) : NULL;
    bool is_read = false;
    size_t len = 0;

    if (text != NULL) {
        len = fread(text, 1, PROCESS_ENVIRONMENT_MAX, file);
        is_read = !ferror(file);
    }
    if (file != NULL)
        fclose(file);
    if (!is_read) {
        free(text);
        return false;
    }
    text[len] = '\0';
    if (is_environment(text, len)) {
        process->environment = text;
        process->environment_len = len;
    } else {
        free(text);
    }
    return true;
}

const char *tool_process_variable(const char *environment,
                                  size_t environment_len, const char *name)
{
    size_t len = strlen(name);

    for (const char *p = environment;
         p != NULL && p < environment + environment_len; p += strlen(p) + 1)
        if (strncmp(p, name, len) == 0 && p[len] == '=')
            return p + len + 1;
    return NULL;
}

const char *tool_process_getenv(const struct process *process, const char *name)
{
    return tool_process_variable(process->environment, process->environment_len,
                                 name);
}

/* ---- place ---- */

static bool is_other_namespace(const struct process *process, const char *kind)
{
    char own[PATH_MAX], theirs[PATH_MAX], name[32];
    ssize_t len;

    snprintf(name, sizeof(name), "/proc/self/ns/%s", kind);
    len = readlink(name, own, sizeof(own) - 1);
    if (len < 0)
        return false;
    own[len] = '\0';
    snprintf(name, sizeof(name), "ns/%s", kind);
    return read_link(process, name, theirs) && strcmp(own, theirs) != 0;
}

static void read_place(struct process *process)
{
    struct stat own, theirs;

    process->has_other_users = is_other_namespace(process, "user");
    process->has_other_mounts = is_other_namespace(process, "mnt");
    process->has_other_network = is_other_namespace(process, "net");
    (void)read_link(process, "root", process->root);
    process->has_other_root =
        stat("/", &own) == 0 && fstatat(process->dir, "root", &theirs, 0) == 0
        && (own.st_dev != theirs.st_dev || own.st_ino != theirs.st_ino);
}

/* ---- all of it ---- */

static void read_details(struct process *process)
{
    char exe[PATH_MAX];

    errno = 0;
    if (read_link(process, "exe", exe)) {
        read_place(process);
        take_file(process, exe, &process->exe);
    }
    if (process->exe.path == NULL || !read_auxv(process)
        || !read_environment(process) || !read_maps(process))
        (void)atls_fail(&process->hidden, ATLS_E_IO,
                        "what process %d has mapped and its environment "
                        "cannot be seen: %s",
                        process->pid, strerror(errno));
}

enum atls_error tool_process_read(pid_t pid, struct atls_reason *why,
                                  struct process **ret_process)
{
    struct process *process = calloc(1, sizeof(*process));
    char path[32];

    if (process == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    process->pid = pid;
    snprintf(path, sizeof(path), "/proc/%d", pid);
    process->dir = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (process->dir < 0 || !read_stat(process) || !read_status(process)) {
        tool_process_free(process);
        return atls_fail(why, ATLS_E_USAGE, "there is no process %d", pid);
    }
    read_past(process);
    read_label(process);
    read_details(process);
    *ret_process = process;
    return ATLS_OK;
}

void tool_process_free(struct process *process)
{
    if (process == NULL)
        return;
    if (process->dir >= 0)
        close(process->dir);
    free(process->exe.path);
    free(process->libcrypto.path);
    free(process->libssl.path);
    free(process->outer.path);
    free(process->inner.path);
    free(process->environment);
    free(process);
}

const char *tool_process_program(const struct process *process)
{
    return process->exe.path != NULL ? process->exe.path : "?";
}

bool tool_process_is_alike(const struct process *a, const struct process *b)
{
    return a->uid == b->uid && a->gid == b->gid
           && a->capabilities == b->capabilities
           && a->group_count == b->group_count
           && memcmp(a->groups, b->groups, a->group_count * sizeof(gid_t)) == 0
           && strcmp(a->root, b->root) == 0
           && a->has_other_users == b->has_other_users
           && a->has_other_mounts == b->has_other_mounts
           && a->has_other_network == b->has_other_network;
}

bool tool_process_visit_sockets(const struct process *process,
                                process_visitor *visit, void *arg)
{
    int fd = openat(process->dir, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    const struct dirent *entry;
    bool wants_more = true;

    if (dir == NULL) {
        if (fd >= 0)
            close(fd);
        return false;
    }
    while (wants_more && (entry = readdir(dir)) != NULL) {
        char link[64];
        ssize_t len = readlinkat(fd, entry->d_name, link, sizeof(link) - 1);
        uint64_t inode;

        link[len < 0 ? 0 : len] = '\0';
        if (sscanf(link, "socket:[%" SCNu64 "]", &inode) == 1)
            wants_more =
                visit(arg, (int)strtol(entry->d_name, NULL, 10), inode);
    }
    closedir(dir);
    return true;
}
