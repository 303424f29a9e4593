/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * What a program costs from its start to its end, in turn under two
 * configurations of OpenSSL: A B A B ... Whatever slows the machine down slows
 * both of a pair.
 *
 * Not linked with OpenSSL, and no part of `bench` for that reason: a process
 * inherits the peak of memory of the one that it was before exec(), and ours
 * must be below that of what we start.
 *
 * Prints a line for each run: "plain" or "loaded" (A or B), wall time and CPU
 * time in microseconds, peak of resident memory in KiB.
 */
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAIRS_MAX 100000

static int64_t now_us(void)
{
    struct timespec ts = {0};

    clock_gettime(CLOCK_MONOTONIC, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int64_t cpu_us(const struct rusage *usage)
{
    return (int64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000
           + usage->ru_utime.tv_usec + usage->ru_stime.tv_usec;
}

/* What it prints is of no interest, its complaints are. */
static pid_t spawn(char **command)
{
    posix_spawn_file_actions_t actions;
    pid_t pid = -1;

    if (posix_spawn_file_actions_init(&actions) != 0)
        return -1;
    if (posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null",
                                         O_WRONLY, 0)
            != 0
        || posix_spawnp(&pid, command[0], &actions, NULL, command, environ)
               != 0)
        pid = -1;
    posix_spawn_file_actions_destroy(&actions);
    return pid;
}

static bool run(const char *name, const char *conf, char **command)
{
    struct rusage usage = {0};
    int64_t began, ended;
    int status = 0;
    pid_t pid;

    if (setenv("OPENSSL_CONF", conf, 1) != 0)
        return false;
    began = now_us();
    pid = spawn(command);
    if (pid < 0 || wait4(pid, &status, 0, &usage) != pid)
        return false;
    ended = now_us();
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return false;
    printf("%s %lld %lld %ld\n", name, (long long)(ended - began),
           (long long)cpu_us(&usage), usage.ru_maxrss);
    return true;
}

int main(int argc, char **argv)
{
    char *end = NULL;
    long pairs;

    if (argc < 5) {
        fputs("Usage: load PAIRS CONF-A CONF-B COMMAND [ARGUMENT]...\n",
              stderr);
        return 2;
    }
    pairs = strtol(argv[1], &end, 10);
    if (*end != '\0' || pairs < 1 || pairs > PAIRS_MAX) {
        fprintf(stderr, "load: %s is not from 1 to %d\n", argv[1], PAIRS_MAX);
        return 2;
    }
    for (long i = 0; i < pairs; i++) {
        if (!run("plain", argv[2], argv + 4)
            || !run("loaded", argv[3], argv + 4)) {
            fprintf(stderr, "load: %s does not run\n", argv[4]);
            return EXIT_FAILURE;
        }
    }
    return EXIT_SUCCESS;
}
