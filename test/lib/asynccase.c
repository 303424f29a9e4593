/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/asynccase.h"

#include <check.h>
#include <dirent.h>
#include <openssl/bio.h>
#include <openssl/err.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/quotercase.h"
#include "lib/scratch.h"
#include "lib/tlspair.h"

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

struct asynccase asynccase;

/* Certificate and key of the server, the clients' policy and context. */
static struct pair pair;

static enum tpmproxy_action delay_quote(void *arg, uint32_t code,
                                        uint8_t *response, size_t *ret_len)
{
    int ms = atomic_load(&asynccase.quote_ms);
    const struct timespec pause = {ms / 1000, ms % 1000 * 1000000L};

    (void)quotercase_hold_quote(arg, code, response, ret_len);
    if (code == TPM2_CC_Quote) {
        nanosleep(&pause, NULL);
        atomic_fetch_add(&asynccase.quotes, 1);
    }
    return TPMPROXY_FORWARD;
}

static void make_pair(void)
{
    char root[600], policy[1024];

    snprintf(root, sizeof(root), "%s/root.pem", swtpm_folder(quotercase.swtpm));
    ck_assert(swtpm_write_chain(quotercase.swtpm, SWTPM_AK_HANDLE, false,
                                quotercase.chain, root));
    snprintf(policy, sizeof(policy),
             "[policy]\nservers = lab\notherwise = off\nnameless = refuse\n"
             "[lab]\nnames = localhost\nmode = require\ntrust = %s\n"
             "machines = ak.test\ncertificate = any\nallow_zero = yes\n"
             "pcr.0 = " ZEROS "\n",
             root);
    pair_init(&pair, policy);
}

void asynccase_set_up(void)
{
    const struct tpmproxy_hooks hooks = {.before = delay_quote};

    atomic_store(&asynccase.quote_ms, 0);
    atomic_store(&asynccase.quotes, 0);
    quotercase_set_up();
    quotercase_proxy(&hooks);
    make_pair();
    asynccase_configure(NULL, NULL);
}

static void free_server(void)
{
    SSL_CTX_free(asynccase.server_ctx);
    atls_instance_unref(asynccase.instance);
    asynccase.server_ctx = NULL;
    asynccase.instance = NULL;
}

void asynccase_tear_down(void)
{
    quotercase_hold(false);
    free_server();
    pair_clear(&pair);
    quotercase_tear_down();
}

void asynccase_extend_policy(const char *text)
{
    size_t len = 0;
    char *policy = scratch_read("policy.cnf", &len);
    char longer[4096];
    int longer_len =
        snprintf(longer, sizeof(longer), "%.*s%s", (int)len, policy, text);

    free(policy);
    scratch_write("policy.cnf", longer, (size_t)longer_len, 0600);
    atls_instance_set_look_interval(pair.instance, 0);
}

void asynccase_configure(const char *timeout, const char *max_queue)
{
    struct pair server = {.instance = NULL};
    char quoter[160];
    const struct atls_setting settings[] = {
        {"log", scratch_path("server.log")},
        {"attester.quoter", quoter},
        {"attester.ak", SWTPM_AK},
        {"attester.ak_chain", quotercase.chain},
        {"attester.measured_log", "none"},
        {"attester.boot_log", "none"},
        {"attester.timeout", timeout != NULL ? timeout : "15000"},
        {"attester.max_queue", max_queue != NULL ? max_queue : "1024"},
    };

    free_server();
    snprintf(quoter, sizeof(quoter), "tcti:%s", quotercase.config.tcti);
    server.instance = atls_instance_new(settings, 8);
    ck_assert_ptr_nonnull(server.instance);
    asynccase.instance = server.instance;
    asynccase.server_ctx = SSL_CTX_new(TLS_server_method());
    ck_assert_ptr_nonnull(asynccase.server_ctx);
    ck_assert_int_eq(
        SSL_CTX_use_certificate(asynccase.server_ctx, pair.factory.leaf_cert),
        1);
    ck_assert_int_eq(
        SSL_CTX_use_PrivateKey(asynccase.server_ctx, pair.factory.leaf.key), 1);
    SSL_CTX_set_mode(asynccase.server_ctx, SSL_MODE_ASYNC);
    pair_attach(&server, asynccase.server_ctx);
}

/* --- one connection --------------------------------------------------------- */

void asynclink_new(struct asynclink *link)
{
    BIO *client_bio, *server_bio;

    link->client = SSL_new(pair.client_ctx);
    link->server = SSL_new(asynccase.server_ctx);
    ck_assert(link->client != NULL && link->server != NULL);
    ck_assert(BIO_new_bio_pair(&client_bio, 1 << 17, &server_bio, 1 << 17));
    SSL_set_bio(link->client, client_bio, client_bio);
    SSL_set_bio(link->server, server_bio, server_bio);
    ck_assert(SSL_set_tlsext_host_name(link->client, "localhost") == 1);
}

void asynclink_free(struct asynclink *link)
{
    SSL_free(link->client);
    SSL_free(link->server);
    link->client = link->server = NULL;
}

int asynclink_begin(struct asynclink *link)
{
    ck_assert_int_eq(SSL_get_error(link->client, SSL_connect(link->client)),
                     SSL_ERROR_WANT_READ);
    return SSL_get_error(link->server, SSL_accept(link->server));
}

void asynclink_begin_parked(struct asynclink *link)
{
    const bool was_held = quotercase_holds();

    quotercase_hold(true);
    ck_assert_int_eq(asynclink_begin(link), SSL_ERROR_WANT_ASYNC);
    quotercase_hold(was_held);
}

void asynclink_park(struct asynclink *link)
{
    asynclink_new(link);
    asynclink_begin_parked(link);
}

int asynclink_fd(const struct asynclink *link)
{
    OSSL_ASYNC_FD fd = -1;
    size_t count = 0;

    ck_assert_int_eq(SSL_get_all_async_fds(link->server, NULL, &count), 1);
    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq(SSL_get_all_async_fds(link->server, &fd, &count), 1);
    return fd;
}

bool asynclink_is_woken(const struct asynclink *link, int ms)
{
    struct pollfd wait = {asynclink_fd(link), POLLIN, 0};

    return poll(&wait, 1, ms) == 1 && wait.revents == POLLIN;
}

/* False once it is done or refused. */
static bool must_go_on(SSL *s, int result)
{
    const int error = result == 1 ? SSL_ERROR_NONE : SSL_get_error(s, result);

    return error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_ASYNC;
}

static bool shake(struct asynclink *link, int *ret_server)
{
    const int64_t end = atls_now_ms() + QUOTERCASE_PATIENCE_MS;
    int client = 0, server = 0;
    bool goes_on = true;

    while (goes_on && atls_now_ms() < end) {
        if (SSL_waiting_for_async(link->server)
            && !asynclink_is_woken(link, QUOTERCASE_PATIENCE_MS))
            return false;
        server = SSL_accept(link->server);
        if (server != 1 && !must_go_on(link->server, server))
            break;
        client = SSL_connect(link->client);
        goes_on = client != 1 ? must_go_on(link->client, client) : server != 1;
    }
    *ret_server = server;
    return client == 1 && server == 1;
}

static bool exchange(SSL *from, SSL *to)
{
    char octet = 0;

    return SSL_write(from, "x", 1) == 1 && SSL_read(to, &octet, 1) == 1
           && octet == 'x';
}

bool asynclink_finish(struct asynclink *link)
{
    int server;

    if (shake(link, &server))
        return exchange(link->client, link->server)
               && exchange(link->server, link->client);
    ERR_print_errors_fp(stderr);
    return false;
}

void asynclink_expect_refusal(struct asynclink *link, const char *text)
{
    char reason[512];
    int server;

    ck_assert(!shake(link, &server));
    ck_assert_int_ne(server, 1);
    ERR_error_string_n(ERR_peek_error(), reason, sizeof(reason));
    ck_assert_msg(strstr(reason, text) != NULL, "expected \"%s\" in \"%s\"",
                  text, reason);
    ERR_clear_error();
}

unsigned count_descriptors(const char *text)
{
    DIR *folder = opendir("/proc/self/fd");
    const struct dirent *entry;
    unsigned count = 0;

    ck_assert_ptr_nonnull(folder);
    while ((entry = readdir(folder)) != NULL) {
        char target[256];
        ssize_t len = readlinkat(dirfd(folder), entry->d_name, target,
                                 sizeof(target) - 1);

        if (len < 0)
            continue; /* . and .. */
        target[len] = '\0';
        count += strstr(target, text) != NULL;
    }
    closedir(folder);
    return count;
}
