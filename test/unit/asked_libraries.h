/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef TEST_ASKED_LIBRARIES_H
#define TEST_ASKED_LIBRARIES_H

#include <openssl/ssl.h>

#include "lib/hookcase.h"

/*
 * Library contexts of one process with a configuration each, for the tests of
 * provider/asked.c: begin() and end() see that each goes by its own, and so that
 * nothing of what a test did in between is left.
 */
static OSSL_LIB_CTX *plain, *open_one, *shut;
static SSL_CTX *server;

/* Contexts of each, in this order; the one that is asked first is not the last. */
static void each_goes_by_its_own(void)
{
    SSL_CTX *free_one = client_of(plain), *passing = client_of(open_one);
    SSL_CTX *refusing = client_of(shut);

    need(shake(server, free_one));
    need(shake(server, passing));
    need(!shake(server, refusing));
    need_reason("missing: cannot be opened");
    SSL_CTX_free(free_one);
    SSL_CTX_free(passing);
    SSL_CTX_free(refusing);
}

static void begin(void)
{
    plain = library("plain.cnf");
    open_one = library("open.cnf");
    shut = library("shut.cnf");
    server = server_of(plain);
    each_goes_by_its_own();
}

static void end(void)
{
    each_goes_by_its_own();
    SSL_CTX_free(server);
    OSSL_LIB_CTX_free(plain);
    OSSL_LIB_CTX_free(open_one);
    OSSL_LIB_CTX_free(shut);
}

/* A library context with attest and no algorithms. */
static OSSL_LIB_CTX *bare_library(void)
{
    write_section("bare.cnf", module_of_build(), "bare-missing", "",
                  "null = default_sect");
    return library("bare.cnf");
}

#endif
