/* SPDX-License-Identifier: BSD-2-Clause */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/check/process.h"

static bool has(const struct process_list *list, pid_t pid)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i]->pid == pid)
            return true;
    return false;
}

static enum atls_error append(struct process_list *list,
                              struct process *process, struct atls_reason *why)
{
    struct process **items =
        realloc(list->items, (list->count + 1) * sizeof(struct process *));

    if (items == NULL) {
        tool_process_free(process);
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    }
    list->items = items;
    list->items[list->count++] = process;
    return ATLS_OK;
}

enum atls_error tool_process_list_add(struct process_list *list, pid_t pid,
                                      struct atls_reason *why)
{
    struct process *process = NULL;
    enum atls_error r;

    if (has(list, pid))
        return ATLS_OK;
    r = tool_process_read(pid, why, &process);
    if (r == ATLS_E_USAGE)
        return ATLS_OK;
    return r != ATLS_OK ? r : append(list, process, why);
}

/* A process and its parent; most processes need no more. */
struct kin {
    pid_t pid;
    pid_t parent;
};

struct kin_list {
    size_t count;
    struct kin *items;
};

/* 0 when the process has ended. proc(5): the name in brackets may hold
 * anything. */
static pid_t parent_of(pid_t pid)
{
    char path[48], text[512] = "";
    const char *after;
    pid_t parent = 0;
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    text[fread(text, 1, sizeof(text) - 1, file)] = '\0';
    fclose(file);
    after = strrchr(text, ')');
    return after != NULL && sscanf(after + 1, " %*c %d", &parent) == 1 ? parent
                                                                       : 0;
}

static enum atls_error add_kin(struct kin_list *list, pid_t pid,
                               struct atls_reason *why)
{
    struct kin *items =
        realloc(list->items, (list->count + 1) * sizeof(list->items[0]));

    if (items == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    list->items = items;
    list->items[list->count++] =
        (struct kin){.pid = pid, .parent = parent_of(pid)};
    return ATLS_OK;
}

/* The numbers in /proc: all processes of this pid namespace. */
static enum atls_error read_kin(struct kin_list *list, struct atls_reason *why)
{
    DIR *dir = opendir("/proc");
    const struct dirent *entry;
    enum atls_error r = ATLS_OK;

    if (dir == NULL)
        return atls_fail(why, ATLS_E_IO, "/proc: %s", strerror(errno));
    while (r == ATLS_OK && (entry = readdir(dir)) != NULL) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);

        if (pid > 0 && *end == '\0')
            r = add_kin(list, (pid_t)pid, why);
    }
    closedir(dir);
    return r;
}

/* Processes whose parent is in the list, until it grows no more: a child's
 * number may be smaller than its parent's. */
static enum atls_error add_children(struct process_list *list, size_t first,
                                    const struct kin_list *kin,
                                    struct atls_reason *why)
{
    for (size_t i = first; i < list->count; i++)
        for (size_t j = 0; j < kin->count; j++) {
            enum atls_error r;

            if (kin->items[j].parent != list->items[i]->pid)
                continue;
            r = tool_process_list_add(list, kin->items[j].pid, why);
            if (r != ATLS_OK)
                return r;
        }
    return ATLS_OK;
}

enum atls_error tool_process_list_add_family(struct process_list *list,
                                             pid_t pid, struct atls_reason *why)
{
    struct process *process = NULL;
    struct kin_list kin = {0};
    const size_t first = list->count;
    enum atls_error r = tool_process_read(pid, why, &process);

    if (r == ATLS_OK)
        r = append(list, process, why);
    if (r == ATLS_OK)
        r = read_kin(&kin, why);
    if (r == ATLS_OK)
        r = add_children(list, first, &kin, why);
    free(kin.items);
    return r;
}

void tool_process_list_clear(struct process_list *list)
{
    for (size_t i = 0; i < list->count; i++)
        tool_process_free(list->items[i]);
    free(list->items);
    *list = (struct process_list){0};
}
