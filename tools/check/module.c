/* SPDX-License-Identifier: BSD-2-Clause */
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/check/interface.h"
#include "tools/check/process.h"
#include "tools/check/checks.h"
#include "core.h"

#define ENTRY_POINT "OSSL_provider_init"

/* The folder that OpenSSL searches for modules, and why. */
static const char *modules_folder(const char **ret_why)
{
    const char *dir = secure_getenv("OPENSSL_MODULES");

    *ret_why = "OPENSSL_MODULES";
    if (dir != NULL)
        return dir;
    *ret_why = "OpenSSL's modules directory";
    return OPENSSL_info(OPENSSL_INFO_MODULES_DIR);
}

/* The path that OpenSSL makes of `module` (DSO_merge()): an absolute path
 * stays; without the key it is the provider's name and .so. */
static char *module_path(const struct check *check, const char **ret_why)
{
    const char *module =
        tool_conf_get(check->conf, check->conf->provider, "module");
    const char *dir = modules_folder(ret_why);
    char *path = NULL;

    if (module == NULL)
        module = "attest.so";
    if (module[0] == '/') {
        *ret_why = "as configured";
        return strdup(module);
    }
    if (asprintf(&path, "%s/%s", dir != NULL ? dir : "", module) < 0)
        return NULL;
    return path;
}

/* Mapping a truncated file raises SIGBUS beyond its end, so a child process
 * tries it. */
static bool crashes_loading(const char *path)
{
    const struct rlimit no_core = {0, 0};
    pid_t child = fork();
    int status = 0;

    if (child == 0) {
        setrlimit(RLIMIT_CORE, &no_core);
        (void)dlopen(path, RTLD_NOW | RTLD_LOCAL);
        _exit(0);
    }
    return child > 0 && waitpid(child, &status, 0) == child
           && WIFSIGNALED(status);
}

static bool check_exists(struct check *check, const char *path, const char *why,
                         struct stat *ret_st)
{
    if (stat(path, ret_st) == 0)
        return true;
    tool_finding_fail(check->findings, TOOL_USAGE, "module",
                      "Install attest for this OpenSSL, or correct the path",
                      "%s (%s): %s; OpenSSL runs programs without it", path,
                      why, strerror(errno));
    return false;
}

/* Map a shared object and find what it must export. NULL after a finding. */
static const void *load_symbol(struct check *check, const char *path,
                               const char *symbol, const char *why)
{
    const void *found;
    void *object;
    struct stat st;

    if (!check_exists(check, path, why, &st))
        return NULL;
    /* A file that another user can write is not executed here. */
    if (!tool_check_permissions(check, "module", path))
        return NULL;
    if (crashes_loading(path)) {
        tool_finding_fail(
            check->findings, TOOL_USAGE, "module", "Reinstall attest",
            "%s crashes whoever loads it: the file is damaged", path);
        return NULL;
    }
    object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (object == NULL) {
        tool_finding_fail(
            check->findings, TOOL_USAGE, "module",
            "Reinstall attest, or what it lacks",
            "cannot be loaded: %s; OpenSSL runs programs without it",
            dlerror());
        return NULL;
    }
    found = dlsym(object, symbol);
    if (found == NULL)
        tool_finding_fail(check->findings, TOOL_USAGE, "module",
                          "Name attest.so of the attest package",
                          "%s does not export %s: not what it should be", path,
                          symbol);
    return found;
}

/* ---- of a process: looked at, never loaded ---- */

static bool is_elf(const char *path)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    char magic[SELFMAG] = "";
    bool is_one = fd >= 0 && pread(fd, magic, sizeof(magic), 0) == SELFMAG
                  && memcmp(magic, ELFMAG, SELFMAG) == 0;

    if (fd >= 0)
        close(fd);
    return is_one;
}

/* Is it the file that the process has mapped? Union file systems (overlayfs,
 * btrfs) report another device, one with major 0. A file that was replaced has
 * another inode and is reported elsewhere. */
static bool is_mapped(const struct process_file *mapped, const struct stat *st)
{
    return mapped->is_stale
           || (mapped->inode == st->st_ino
               && (mapped->device == st->st_dev || major(mapped->device) == 0
                   || major(st->st_dev) == 0));
}

/* C5: the file exists and is safe. A process that has it mapped shows that it
 * can be loaded. */
static bool inspect_file(struct check *check, const char *path, const char *why,
                         const struct process_file *mapped)
{
    struct stat st;

    if (!check_exists(check, path, why, &st)
        || !tool_check_permissions(check, "module", path))
        return false;
    if (!S_ISREG(st.st_mode) || !is_elf(path)) {
        tool_finding_fail(check->findings, TOOL_USAGE, "module",
                          "Reinstall attest",
                          "%s is no shared object that can be read", path);
        return false;
    }
    if (mapped != NULL && mapped->path != NULL && !is_mapped(mapped, &st)) {
        tool_finding_fail(check->findings, TOOL_USAGE, "loaded",
                          "Correct module, or restart it",
                          "process %d runs %s, which is not the %s that its "
                          "configuration names",
                          check->process->pid, mapped->path, path);
        return false;
    }
    tool_finding_ok(check->findings, "module", "%s", path);
    return true;
}

/* C14: do both objects have one interface number? This command knows its own. */
static bool check_pair(struct check *check, const char *path,
                       const char *second)
{
    int outer = tool_interface_of_file(path),
        inner = tool_interface_of_file(second);

    if (outer == inner && outer != INTERFACE_UNKNOWN)
        return true;
    tool_finding_fail(
        check->findings, TOOL_USAGE, "module", "Reinstall attest",
        "%s is of another version than %s%s: no TLS context can be "
        "made",
        outer == ATLS_INTERFACE ? second : path,
        outer == ATLS_INTERFACE ? path : second,
        outer == ATLS_INTERFACE || inner == ATLS_INTERFACE ? " and this command"
                                                           : "");
    return false;
}

static void inspect_files(struct check *check, const char *path,
                          const char *second, const char *why)
{
    const struct process *process = check->process;

    if (inspect_file(check, path, why, process != NULL ? &process->outer : NULL)
        && inspect_file(check, second, "beside attest.so",
                        process != NULL ? &process->inner : NULL))
        (void)check_pair(check, path, second);
}

/* ---- */

/* attest.so takes its second part from its own folder. */
static char *inner_path(const char *path)
{
    const char *slash = strrchr(path, '/');
    char *inner = NULL;

    if (asprintf(&inner, "%.*s/" ATLS_INNER_NAME,
                 slash != NULL ? (int)(slash - path) : 0, path)
        < 0)
        return NULL;
    return inner;
}

/* Only the first member of a table is known unless its interface number is
 * ours. */
static void check_version(struct check *check, const char *path,
                          const struct atls_core *core)
{
    const char *next = "Install one version of attest";

    if (strcmp(core->interface, ATLS_INTERFACE_MARK) != 0)
        tool_finding_warn(check->findings, "module", next,
                          "%s is of another version than this command", path);
    else if (strcmp(core->version, ATLS_VERSION) != 0)
        tool_finding_warn(check->findings, "module", next,
                          "%s is version %s, this command " ATLS_VERSION, path,
                          core->version);
    else
        tool_finding_ok(check->findings, "module", "%s, version %s", path,
                        core->version);
}

void tool_check_module(struct check *check)
{
    const struct atls_core *core = NULL;
    const char *why = "";
    char *path = module_path(check, &why);
    char *second = path != NULL ? inner_path(path) : NULL;

    if (second == NULL)
        tool_finding_fail(check->findings, TOOL_USAGE, "module", "Try again",
                          "out of memory");
    else if (check->of_process)
        inspect_files(check, path, second, why);
    else if (load_symbol(check, path, ENTRY_POINT, why) != NULL)
        core = load_symbol(check, second, ATLS_CORE_SYMBOL, "beside attest.so");
    if (core != NULL && check_pair(check, path, second))
        check_version(check, path, core);
    free(path);
    free(second);
}
