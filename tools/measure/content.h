/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_TOOLS_MEASURE_CONTENT_H
#define ATTEST_TOOLS_MEASURE_CONTENT_H

#include "base/error.h"
#include "evidence/eventlog.h"

/*
 * The content lines of events. All functions read files only; ret_content is set
 * only on success, with a NUL behind it. Source: design "Measuring".
 */
#define MEASURE_CONTENT_SIZE (ATLS_EVENT_CONTENT_MAX + 1)

/*
 * A component.
 *   name    ATLS_E_USAGE when it is none
 *   digest  sha256: and 64 hex digits, else ATLS_E_USAGE
 *   path    a file or folder: the errors of atls_component_digest()
 */
enum atls_error tool_measure_content_given(
    const char *name, const char *digest, struct atls_reason *why,
    char ret_content[MEASURE_CONTENT_SIZE]) ATLS_MUST_CHECK;
enum atls_error tool_measure_content_component(
    const char *name, const char *path, struct atls_reason *why,
    char ret_content[MEASURE_CONTENT_SIZE]) ATLS_MUST_CHECK;

/*
 * A TLS certificate or an authority: the first one of a PEM file, or DER.
 * Returns ATLS_OK, ATLS_E_USAGE (an authority that is none), ATLS_E_NOMEM, or
 * the errors of tool_input_certificate().
 */
enum atls_error tool_measure_content_certificate(
    const char *path, struct atls_reason *why,
    char ret_content[MEASURE_CONTENT_SIZE]) ATLS_MUST_CHECK;
enum atls_error tool_measure_content_authority(
    const char *path, struct atls_reason *why,
    char ret_content[MEASURE_CONTENT_SIZE]) ATLS_MUST_CHECK;

#endif
