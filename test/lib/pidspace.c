/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/pidspace.h"

#include <sched.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

/* A child that hangs. */
#define LIMIT_S 60

/* Without root it takes a user namespace. */
pid_t pidspace_fork(void)
{
    if (unshare(CLONE_NEWPID) != 0
        && unshare(CLONE_NEWUSER | CLONE_NEWPID) != 0)
        return -1;
    return fork();
}

static int nothing(void)
{
    return 0;
}

bool pidspace_run(int (*body)(void))
{
    int status = -1;
    pid_t outer, inner;

    /* What unshare(2) does to a process is for its life. */
    outer = fork();
    if (outer == 0) {
        inner = pidspace_fork();
        if (inner == 0) {
            alarm(LIMIT_S);
            _exit(body());
        }
        _exit(inner > 0 && waitpid(inner, &status, 0) == inner && status == 0
                  ? 0
                  : 1);
    }
    return outer > 0 && waitpid(outer, &status, 0) == outer && status == 0;
}

bool pidspace_is_there(void)
{
    if (pidspace_run(nothing))
        return true;
    printf("# no PID namespaces for this user\n");
    return false;
}
