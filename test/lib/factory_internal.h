/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TEST_FACTORY_INTERNAL_H
#define ATLS_TEST_FACTORY_INTERNAL_H

#include <stdio.h>
#include <stdlib.h>

#include "lib/factory.h"

/* factory_boot.c: the plan's boot log to evidence and PCR values. */
void factory_make_boot_log(struct factory *f);

/* A factory that cannot make what a test asks for is a broken test. */
#define factory_need(condition)                                               \
    do {                                                                      \
        if (!(condition)) {                                                   \
            (void)fprintf(stderr, "%s:%d: factory: %s\n", __FILE__, __LINE__, \
                          #condition);                                        \
            abort();                                                          \
        }                                                                     \
    } while (0)

#endif
