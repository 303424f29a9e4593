/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/allocation.h"

#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>

static atomic_size_t fail_at;
static atomic_bool fails_once;
static atomic_size_t fail_size;
static atomic_size_t count;
static atomic_size_t in_use;
static atomic_size_t in_use_before;
static atomic_size_t peak;

static int is_failing(size_t len)
{
    size_t nth = atomic_fetch_add(&count, 1) + 1;
    size_t first = atomic_load(&fail_at);
    size_t size = len;

    if (len != 0 && atomic_compare_exchange_strong(&fail_size, &size, 0))
        return 1;

    if (atomic_load(&fails_once))
        return nth == first;
    return first != 0 && nth >= first;
}

static void *account(void *data)
{
    size_t now;

    if (data == NULL)
        return NULL;
    now = atomic_fetch_add(&in_use, malloc_usable_size(data))
          + malloc_usable_size(data);
    if (now > atomic_load(&peak))
        atomic_store(&peak, now);
    return data;
}

static void *test_malloc(size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    return is_failing(len) ? NULL : account(malloc(len));
}

static void test_free(void *data, const char *file, int line)
{
    (void)file;
    (void)line;
    if (data != NULL)
        atomic_fetch_sub(&in_use, malloc_usable_size(data));
    free(data);
}

static void *test_realloc(void *data, size_t len, const char *file, int line)
{
    size_t before = data != NULL ? malloc_usable_size(data) : 0;
    void *moved;

    (void)file;
    (void)line;
    if (is_failing(len))
        return NULL;
    moved = realloc(data, len);
    if (moved != NULL) {
        atomic_fetch_sub(&in_use, before);
        account(moved);
    }
    return moved;
}

void allocation_install(void)
{
    if (!CRYPTO_set_mem_functions(test_malloc, test_realloc, test_free))
        abort();
    /* From OpenSSL 3.2 a failed allocation raises an error, and waits for itself
     * without end where that is what first makes the thread's error queue. */
    ERR_clear_error();
}

void allocation_fail_at(size_t n)
{
    atomic_store(&fails_once, false);
    atomic_store(&fail_at, n);
    atomic_store(&count, 0);
    atomic_store(&in_use_before, atomic_load(&in_use));
    atomic_store(&peak, atomic_load(&in_use));
}

void allocation_fail_only(size_t n)
{
    allocation_fail_at(n);
    atomic_store(&fails_once, true);
}

void allocation_fail_size(size_t len)
{
    atomic_store(&fail_size, len);
}

size_t allocation_count(void)
{
    return atomic_load(&count);
}

size_t allocation_in_use(void)
{
    return atomic_load(&in_use);
}

size_t allocation_peak(void)
{
    return atomic_load(&peak) - atomic_load(&in_use_before);
}
