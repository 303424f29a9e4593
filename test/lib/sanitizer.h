/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATLS_TEST_SANITIZER_H
#define ATLS_TEST_SANITIZER_H

/*
 * IS_SANITIZED: built with AddressSanitizer or ThreadSanitizer. Their runtimes of
 * GCC 12 and Clang 14 have locks of their own, which no fork from a process with
 * threads leaves in order, and keep what was freed.
 */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#undef IS_SANITIZED
#define IS_SANITIZED 1
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

#endif
