/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TEST_SANITIZER_H
#define ATLS_TEST_SANITIZER_H

/*
 * IS_SANITIZED: built with AddressSanitizer or ThreadSanitizer. Their runtimes of
 * GCC 12 and Clang 14 have locks of their own, which no fork from a process with
 * threads leaves in order, and keep what was freed.
 */
#ifndef __has_feature /* GCC before 14 */
#define __has_feature(feature) 0
#endif
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) \
    || defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#else
#define IS_SANITIZED 0
#endif

/* What is allocated between the two is no leak: a callback that leaves by longjmp(3)
 * leaves what OpenSSL's functions hold. */
#if __has_feature(address_sanitizer) || defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#define sanitizer_leaks_begin() __lsan_disable()
#define sanitizer_leaks_end() __lsan_enable()
#else
#define sanitizer_leaks_begin() ((void)0)
#define sanitizer_leaks_end() ((void)0)
#endif

#endif
