/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * slowtpm PORT MS: a TPM that takes MS milliseconds for each TPM2_Quote, in
 * front of the swtpm at PORT. One command goes through at a time, as with a TPM.
 * Prints "port N" and serves there until it is killed; "quote" for each that begins.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "lib/tpmproxy.h"

static struct timespec quote_time;

static enum tpmproxy_action delay_quote(void *arg, uint32_t code,
                                        uint8_t *response, size_t *ret_len)
{
    (void)arg, (void)response, (void)ret_len;
    if (code == TPM2_CC_Quote) {
        printf("quote\n");
        fflush(stdout);
        nanosleep(&quote_time, NULL);
    }
    return TPMPROXY_FORWARD;
}

static bool read_number(const char *text, long max, long *ret)
{
    char *end;

    errno = 0;
    *ret = strtol(text, &end, 10);
    return errno == 0 && end != text && *end == '\0' && *ret >= 0
           && *ret <= max;
}

int main(int argc, char **argv)
{
    const struct tpmproxy_hooks hooks = {.before = delay_quote};
    const struct tpmproxy *proxy;
    long port, ms;

    if (argc != 3 || !read_number(argv[1], 65535, &port)
        || !read_number(argv[2], 600000, &ms)) {
        fprintf(stderr, "usage: slowtpm PORT MS\n");
        return EXIT_FAILURE;
    }
    quote_time = (struct timespec){ms / 1000, ms % 1000 * 1000000L};
    proxy = tpmproxy_start((unsigned)port, &hooks);
    if (proxy == NULL) {
        fprintf(stderr, "slowtpm: cannot listen: %s\n", strerror(errno));
        return EXIT_FAILURE;
    }
    printf("port %s\n", strrchr(tpmproxy_tcti(proxy), '=') + 1);
    fflush(stdout);
    for (;;)
        pause();
}
