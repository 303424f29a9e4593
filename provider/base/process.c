/* SPDX-License-Identifier: BSD-2-Clause */
#include "base/process.h"

#include <pthread.h>
#include <stdatomic.h>

static atomic_uint generation;
static atomic_bool counts_forks;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* In the child. It only counts: whatever it might mend may be in any state. */
static void count_fork(void)
{
    atomic_fetch_add(&generation, 1);
}

static void start_counting(void)
{
    atomic_store(&counts_forks, pthread_atfork(NULL, NULL, count_fork) == 0);
}

unsigned atls_process_generation(void)
{
    (void)pthread_once(&once, start_counting);
    return atomic_load(&generation);
}

bool atls_process_counts_forks(void)
{
    (void)pthread_once(&once, start_counting);
    return atomic_load(&counts_forks);
}
