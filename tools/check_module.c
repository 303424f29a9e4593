/* SPDX-License-Identifier: BSD-2-Clause */
#include <dlfcn.h>
#include <errno.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "checks.h"
#include "inner.h"

#ifndef ATLS_INNER_NAME
#define ATLS_INNER_NAME "attest-inner.so"
#endif

#define ENTRY_POINT "OSSL_provider_init"

/* Where OpenSSL looks for modules, and why there. */
static const char *modules_folder(const char **ret_why)
{
    const char *dir = secure_getenv("OPENSSL_MODULES");

    *ret_why = "OPENSSL_MODULES";
    if (dir != NULL)
        return dir;
    *ret_why = "OpenSSL's modules directory";
    return OPENSSL_info(OPENSSL_INFO_MODULES_DIR);
}

/* The path that OpenSSL makes of `module` (DSO_merge(): only an absolute one
 * stands alone; without the key the name of the provider and .so). */
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

/* A file that was cut off is mapped beyond its end: SIGBUS. Tried in a process
 * of its own. */
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

/* Map a shared object and find what it must export. NULL after a finding. */
static const void *load_symbol(struct check *check, const char *path,
                               const char *symbol, const char *why)
{
    const void *found;
    void *object;
    struct stat st;

    if (stat(path, &st) != 0) {
        finding_fail(check->findings, TOOL_USAGE, "module",
                     "Install attest for this OpenSSL, or correct the path",
                     "%s (%s): %s; OpenSSL runs programs without it", path, why,
                     strerror(errno));
        return NULL;
    }
    /* What somebody else can write is not run here. */
    if (!check_permissions(check, "module", path))
        return NULL;
    if (crashes_loading(path)) {
        finding_fail(check->findings, TOOL_USAGE, "module", "Reinstall attest",
                     "%s crashes whoever loads it: the file is damaged", path);
        return NULL;
    }
    object = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (object == NULL) {
        finding_fail(check->findings, TOOL_USAGE, "module",
                     "Reinstall attest, or what it lacks",
                     "cannot be loaded: %s; OpenSSL runs programs without it",
                     dlerror());
        return NULL;
    }
    found = dlsym(object, symbol);
    if (found == NULL)
        finding_fail(check->findings, TOOL_USAGE, "module",
                     "Name attest.so of the attest package",
                     "%s does not export %s: not what it should be", path,
                     symbol);
    return found;
}

/* C5, and that it is there, where its code must not run in us: of another root,
 * a container's perhaps. That it can be loaded shows in who has loaded it. */
static bool look_at_file(struct check *check, const char *path)
{
    if (!check_permissions(check, "module", path))
        return false;
    finding_ok(check->findings, "module", "%s", path);
    return true;
}

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

void check_module(struct check *check)
{
    const struct atls_inner *inner = NULL;
    const char *why = "";
    char *path = module_path(check, &why);
    char *second = path != NULL ? inner_path(path) : NULL;

    if (second == NULL)
        finding_fail(check->findings, TOOL_USAGE, "module", "Try again",
                     "out of memory");
    else if (check->runs_nothing)
        (void)(look_at_file(check, path) && look_at_file(check, second));
    else if (load_symbol(check, path, ENTRY_POINT, why) != NULL)
        inner =
            load_symbol(check, second, ATLS_INNER_SYMBOL, "beside attest.so");
    if (inner != NULL && strcmp(inner->version, ATLS_VERSION) != 0)
        finding_warn(check->findings, "module", "Install one version of attest",
                     "%s is version %s, this command " ATLS_VERSION, path,
                     inner->version);
    else if (inner != NULL)
        finding_ok(check->findings, "module", "%s, version %s", path,
                   inner->version);
    free(path);
    free(second);
}
