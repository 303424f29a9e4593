/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TEST_PROMPT_H
#define TEST_PROMPT_H

#include <check.h>
#include <openssl/ui.h>
#include <stdbool.h>

/* A PEM block that says it is encrypted, as RFC 1421 §4.6 has it: OpenSSL asks
 * the terminal for its password unless told otherwise. */
#define ENCRYPTED_PEM(what, line_end)                                          \
    "-----BEGIN " what "-----" line_end "Proc-Type: 4,ENCRYPTED" line_end      \
    "DEK-Info: AES-256-CBC,00112233445566778899AABBCCDDEEFF" line_end line_end \
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=" line_end "-----END " what   \
    "-----" line_end

static bool was_asked;

static int note_question(UI *ui)
{
    (void)ui;
    was_asked = true;
    return 0; /* there is no terminal */
}

/* From here on a question is noted instead of asked. */
static void watch_prompts(void)
{
    static UI_METHOD *method;

    if (method == NULL)
        method = UI_create_method("noting");
    ck_assert_ptr_nonnull(method);
    ck_assert_int_eq(UI_method_set_opener(method, note_question), 0);
    UI_set_default_method(method);
    was_asked = false;
}

#endif
