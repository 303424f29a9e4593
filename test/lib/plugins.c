/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program without TLS that loads a plugin which makes handshakes
 * (test/lib/exits.c as a shared object) and unloads it, again and again
 * (catalogue L2, L10).
 *
 *   plugins COUNT PLUGIN CERTIFICATE KEY
 *
 * Prints how much memory and how many descriptors the second half of the cycles
 * has left behind: `grown KIB DESCRIPTORS`. Status 0, or that of the plugin.
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STATUS_OF_PLUGIN 42
#define DESCRIPTORS_MAX 1024

static long resident_kib(void)
{
    long kib = -1;
    char line[256];
    FILE *status = fopen("/proc/self/status", "re");

    while (status != NULL && fgets(line, sizeof(line), status) != NULL)
        if (strncmp(line, "VmRSS:", 6) == 0)
            kib = strtol(line + 6, NULL, 10);
    if (status != NULL)
        fclose(status);
    return kib;
}

static long count_descriptors(void)
{
    long count = 0;

    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

static int use(const char *path, const char *certificate, const char *key)
{
    void *plugin = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    int (*take)(const char *, const char *, const char *) = NULL;
    void *symbol;
    int status;

    if (plugin == NULL || (symbol = dlsym(plugin, "exits_take")) == NULL) {
        fprintf(stderr, "plugins: %s\n", dlerror());
        exit(2);
    }
    /* POSIX's way to make a function pointer of dlsym()'s result. */
    memcpy(&take, &symbol, sizeof(symbol));
    status = take("library", certificate, key);
    dlclose(plugin);
    return status;
}

int main(int argc, char **argv)
{
    long count, kib = 0, descriptors = 0;

    if (argc != 5 || (count = strtol(argv[1], NULL, 10)) < 2)
        return 2;
    for (long i = 0; i < count; i++) {
        int status = use(argv[2], argv[3], argv[4]);

        if (status != STATUS_OF_PLUGIN)
            return status;
        if (i == count / 2) {
            kib = resident_kib();
            descriptors = count_descriptors();
        }
    }
    printf("grown %ld %ld\n", resident_kib() - kib,
           count_descriptors() - descriptors);
    return 0;
}
