/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TEST_ALLOCATION_H
#define ATLS_TEST_ALLOCATION_H

#include <stddef.h>

/*
 * Failing and counting the allocations of OpenSSL and of the provider, which
 * uses the same functions.
 */

/* Before anything of OpenSSL is used: the begin of a suite. */
void allocation_install(void);

/* From now on the allocation number n, from 1, and all after it fail; 0: none.
 * Resets the counters. */
void allocation_fail_at(size_t n);

/* The same, but only that one fails: what goes on after it is seen too. */
void allocation_fail_only(size_t n);

/* The next allocation of exactly that many octets fails; 0: none. */
void allocation_fail_size(size_t len);

/* Allocations asked for since then. */
size_t allocation_count(void);

/* Octets that are allocated now. */
size_t allocation_in_use(void);

/* The most octets that were allocated at one time since then. */
size_t allocation_peak(void);

#endif
