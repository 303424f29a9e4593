/* SPDX-License-Identifier: BSD-2-Clause */
#include "raise.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

/* Reason codes: 1..ATLS_E_COUNT-1 are the generic sentences, these the texts. */
#define FIRST_TEXT_REASON 1000

/* A text and its entry for OpenSSL's string table, which keeps pointers to both. The
 * rest may be read once `ready` is set. */
struct slot {
    atomic_bool ready;
    ERR_STRING_DATA entry[2];
    char text[ATLS_BRIEF_SIZE];
};

static struct slot slots[ATLS_RAISE_TEXTS];
static atomic_uint slots_claimed;

static ERR_STRING_DATA generic[ATLS_E_COUNT + 1];
static int library;
static CRYPTO_ONCE library_once = CRYPTO_ONCE_STATIC_INIT;

static void make_library(void)
{
    int number = ERR_get_next_error_library();

    /* Entry 0 names the library: packed here, since a zero would end the list. */
    generic[0].error = ERR_PACK(number, 0, 0);
    generic[0].string = "attest";
    for (int code = 1; code < ATLS_E_COUNT; code++) {
        generic[code].error = ERR_PACK(number, 0, code);
        generic[code].string = atls_error_sentence((enum atls_error)code);
    }
    if (ERR_load_strings(number, generic) == 1)
        library = number;
}

/* The slot of this text, claimed if there is none; -1 when all are taken. */
static int slot_of(const char *text)
{
    unsigned index;

    for (index = 0; index < ATLS_RAISE_TEXTS; index++) {
        if (!atomic_load_explicit(&slots[index].ready, memory_order_acquire))
            continue;
        if (strcmp(slots[index].text, text) == 0)
            return (int)index;
    }
    /* Checked before adding, so that the counter cannot wrap around. */
    if (atomic_load(&slots_claimed) >= ATLS_RAISE_TEXTS)
        return -1;
    index = atomic_fetch_add(&slots_claimed, 1);
    if (index >= ATLS_RAISE_TEXTS)
        return -1;
    memcpy(slots[index].text, text, strlen(text) + 1);
    slots[index].entry[0].error =
        ERR_PACK(library, 0, FIRST_TEXT_REASON + (int)index);
    slots[index].entry[0].string = slots[index].text;
    ERR_load_strings(library, slots[index].entry);
    atomic_store_explicit(&slots[index].ready, true, memory_order_release);
    return (int)index;
}

/* The reason code in our library: that of the text, or where no slot is left that of
 * the generic sentence. */
static int code_of(const struct atls_reason *reason, const char *brief)
{
    int slot = brief[0] != '\0' ? slot_of(brief) : -1;

    return slot >= 0 ? FIRST_TEXT_REASON + slot : (int)reason->code;
}

static void brief_of(const struct atls_reason *reason,
                     char ret[ATLS_BRIEF_SIZE])
{
    if (reason->brief[0] != '\0')
        memcpy(ret, reason->brief, ATLS_BRIEF_SIZE);
    else
        atls_sentence_shorten(reason->text, ret, ATLS_BRIEF_SIZE);
}

static bool has_library(void)
{
    return CRYPTO_THREAD_run_once(&library_once, make_library) && library != 0;
}

void atls_raise(const struct atls_reason *reason)
{
    char brief[ATLS_BRIEF_SIZE];
    int code;

    if (!has_library()) {
        ERR_raise_data(ERR_LIB_USER, ERR_R_OPERATION_FAIL, "attest: %s",
                       reason->text);
        return;
    }
    brief_of(reason, brief);
    code = code_of(reason, brief);
    ERR_new();
    ERR_set_debug(OPENSSL_FILE, OPENSSL_LINE, OPENSSL_FUNC);
    if (code >= FIRST_TEXT_REASON && strcmp(brief, reason->text) == 0)
        ERR_set_error(library, code, NULL);
    else
        ERR_set_error(library, code, "%s", reason->text);
}

bool atls_raise_is_last(const struct atls_reason *reason)
{
    char brief[ATLS_BRIEF_SIZE];
    unsigned long last = ERR_peek_last_error();

    if (!has_library())
        return last == ERR_PACK(ERR_LIB_USER, 0, ERR_R_OPERATION_FAIL);
    brief_of(reason, brief);
    return ERR_GET_LIB(last) == library
           && ERR_GET_REASON(last) == code_of(reason, brief);
}
