/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "base/clock.h"
#include "attester/quoter.h"
#include "lib/quotercase.h"
#include "lib/suite.h"
#include "base/log.h"

/* A TPM, an AK or a system that is not as it should be. */

static struct atls_reason why;

/* The evidence that was not to be had. */
static void expect_failure(unsigned number, enum atls_error code,
                           const char *text)
{
    uint8_t *cmw = NULL;
    size_t len = 0;

    quotercase_expect(&why, quotercase_obtain(number, &why, &cmw, &len), code,
                      text);
    ck_assert_ptr_null(cmw);
}

/* --- T1: no TPM, no AK, another AK ------------------------------------------ */

static void no_device(void)
{
    quotercase.config.tcti = "device:/dev/no-such-tpm";
}

static void no_swtpm(void)
{
    quotercase.config.tcti = "swtpm:host=127.0.0.1,port=1";
}

static void no_tcti(void)
{
    quotercase.config.tcti = "swtpm:port=none";
}

static void no_key(void)
{
    quotercase.config.ak = "0x81010099";
}

static void no_handle(void)
{
    quotercase.config.ak = "/etc/attest/ak.pem";
}

static void other_key(void)
{
    const struct swtpm_ak ak = {.handle = 0x81010003, .unique = 1};

    ck_assert(swtpm_make_ak(quotercase.swtpm, &ak));
    quotercase.config.ak = "0x81010003";
}

static void no_password(void)
{
    const struct swtpm_ak ak = {.auth = "secret"};

    ck_assert(swtpm_make_ak(quotercase.swtpm, &ak));
    ck_assert(swtpm_write_chain(quotercase.swtpm, SWTPM_AK_HANDLE, false,
                                quotercase.chain, NULL));
}

static void no_restriction(void)
{
    const struct swtpm_ak ak = {.without = TPMA_OBJECT_RESTRICTED};

    ck_assert(swtpm_make_ak(quotercase.swtpm, &ak));
}

static void no_bank(void)
{
    ck_assert(swtpm_remove_bank(quotercase.swtpm, TPM2_ALG_SHA384));
    quotercase.config.pcrs = "sha384:0-7";
}

static const struct {
    void (*prepare)(void);
    enum atls_error code;
    const char *text;
} unusable[] = {
    {no_device, ATLS_E_TPM_UNAVAILABLE,
     "cannot open the TPM /dev/no-such-tpm: No such file or directory"},
    {no_swtpm, ATLS_E_TPM_UNAVAILABLE, "port=1: Connection refused"},
    {no_tcti, ATLS_E_CONFIG, "expected swtpm:host=HOST,port=PORT"},
    {no_key, ATLS_E_AK, "no key at AK handle 0x81010099"},
    {no_handle, ATLS_E_CONFIG,
     "ak = /etc/attest/ak.pem: expected a persistent"},
    {other_key, ATLS_E_AK,
     "ak-chain.pem is for another key than AK 0x81010003: correct ak or"},
    {no_password, ATLS_E_TPM_AUTH, "the TPM refused the AK's password"},
    {no_restriction, ATLS_E_AK, "lacks the attribute restricted"},
    {no_bank, ATLS_E_SELECTION, "this TPM has no PCR 0 in bank sha384"},
};

START_TEST(test_T1_unusable_attester_is_named)
{
    unusable[_i].prepare();
    quotercase_start();
    expect_failure(1, unusable[_i].code, unusable[_i].text);
    /* During the back-off: the recorded reason, at once. */
    expect_failure(2, unusable[_i].code, unusable[_i].text);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_ERROR, unusable[_i].text), 1);
}
END_TEST

START_TEST(test_T8_ak_without_noDA_is_warned_about)
{
    const struct swtpm_ak ak = {.without = TPMA_OBJECT_NODA};

    ck_assert(swtpm_make_ak(quotercase.swtpm, &ak));
    ck_assert(swtpm_write_chain(quotercase.swtpm, SWTPM_AK_HANDLE, false,
                                quotercase.chain, NULL));
    quotercase_start();
    ck_assert(quotercase_serve(1, NULL));
    ck_assert(quotercase_serve(2, NULL));
    ck_assert_uint_eq(
        quotercase_logged(ATLS_LOG_WARN, "lacks the attribute noDA"), 1);
}
END_TEST

/* --- T4: silence ---------------------------------------------------------------- */

static atomic_int hangs_left;

static enum tpmproxy_action hang(void *arg, uint32_t code, uint8_t *response,
                                 size_t *ret_len)
{
    (void)arg;
    (void)response;
    (void)ret_len;
    if (code != TPM2_CC_Quote || atomic_load(&hangs_left) == 0)
        return TPMPROXY_FORWARD;
    atomic_fetch_sub(&hangs_left, 1);
    return TPMPROXY_HANG;
}

static void wait_for_recovery(unsigned number)
{
    int64_t begin = atls_now_ms();

    while (!quotercase_serve(number, NULL)) {
        ck_assert_int_lt(atls_now_ms() - begin, QUOTERCASE_PATIENCE_MS);
        usleep(50000);
    }
}

static void expect_recovery(unsigned number)
{
    wait_for_recovery(number);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_INFO, "quotes again"), 1);
}

struct waiter {
    pthread_t thread;
    unsigned number;
    enum atls_error result;
    int64_t took_ms;
};

static void *wait_for_evidence(void *arg)
{
    struct waiter *waiter = arg;
    int64_t begin = atls_now_ms();
    struct atls_reason reason;
    uint8_t *cmw = NULL;
    size_t len = 0;

    waiter->result = quotercase_obtain(waiter->number, &reason, &cmw, &len);
    waiter->took_ms = atls_now_ms() - begin;
    OPENSSL_free(cmw);
    return NULL;
}

/* The one in flight, and those that wait for their turn. */
START_TEST(test_T4_silent_tpm_meets_the_deadline)
{
    const struct tpmproxy_hooks hooks = {.before = hang};
    struct waiter waiters[8];

    atomic_store(&hangs_left, 1000);
    quotercase.config.timeout_ms = 1500;
    quotercase_proxy(&hooks);
    quotercase_start();
    for (unsigned i = 0; i < 8; i++) {
        waiters[i].number = i;
        ck_assert_int_eq(pthread_create(&waiters[i].thread, NULL,
                                        wait_for_evidence, &waiters[i]),
                         0);
        usleep(20000);
    }
    for (unsigned i = 0; i < 8; i++) {
        ck_assert_int_eq(pthread_join(waiters[i].thread, NULL), 0);
        ck_assert_int_eq(waiters[i].result, ATLS_E_TIMEOUT);
        ck_assert_int_ge(waiters[i].took_ms, 1490);
        ck_assert_int_lt(waiters[i].took_ms, 2 * 1500);
    }
    /* And when it finds its voice again: */
    atomic_store(&hangs_left, 0);
    wait_for_recovery(100);
}
END_TEST

/* A server that accepts and never answers; nothing has ever worked. */
START_TEST(test_T4_tpm_that_never_spoke)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(address);
    int64_t begin;
    char tcti[64];

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    ck_assert_int_eq(
        bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    ck_assert_int_eq(listen(fd, 1), 0);
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    snprintf(tcti, sizeof(tcti), "swtpm:host=127.0.0.1,port=%u",
             ntohs(address.sin_port));
    quotercase.config.tcti = tcti;
    quotercase.config.timeout_ms = 1000;
    quotercase_start();
    for (unsigned i = 0; i < 6; i++) { /* its backlog fills up, too */
        begin = atls_now_ms();
        ck_assert_int_ne(
            quotercase_obtain(i, &why, &(uint8_t *){NULL}, &(size_t){0}),
            ATLS_OK);
        ck_assert(why.code == ATLS_E_TIMEOUT
                  || why.code == ATLS_E_TPM_UNAVAILABLE);
        ck_assert_int_lt(atls_now_ms() - begin, 2 * 1000);
    }
    close(fd);
}
END_TEST

/* --- T5, T6: the TPM goes, and comes back ---------------------------------------- */

static atomic_int sigpipes;

static void count_sigpipe(int number)
{
    (void)number;
    atomic_fetch_add(&sigpipes, 1);
}

static enum tpmproxy_action kill_once(void *arg, uint32_t code,
                                      uint8_t *response, size_t *ret_len)
{
    (void)arg;
    (void)response;
    (void)ret_len;
    if (code != TPM2_CC_Quote || atomic_load(&hangs_left) == 0)
        return TPMPROXY_FORWARD;
    atomic_fetch_sub(&hangs_left, 1);
    kill(swtpm_pid(quotercase.swtpm), SIGKILL);
    return TPMPROXY_FORWARD;
}

START_TEST(test_T5_tpm_dies_in_mid_command)
{
    const struct tpmproxy_hooks hooks = {.before = kill_once};
    int64_t begin;

    signal(SIGPIPE, count_sigpipe);
    quotercase_proxy(&hooks);
    quotercase_start();
    ck_assert(quotercase_serve(1, NULL));
    atomic_store(&hangs_left, 1);
    begin = atls_now_ms();
    expect_failure(2, ATLS_E_TPM_UNAVAILABLE, "in the middle of a command");
    ck_assert_int_lt(atls_now_ms() - begin, 2000);
    swtpm_kill(quotercase.swtpm); /* collect it */
    ck_assert(swtpm_restart(quotercase.swtpm, true));
    expect_recovery(3);
    ck_assert_int_eq(sigpipes, 0);
}
END_TEST

/* Nobody was served meanwhile, so nobody notices. */
START_TEST(test_T5_tpm_restarts_between_quotes)
{
    quotercase_start();
    ck_assert(quotercase_serve(1, NULL));
    swtpm_kill(quotercase.swtpm);
    ck_assert(swtpm_restart(quotercase.swtpm, true));
    ck_assert(quotercase_serve(2, NULL));
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_ERROR, ""), 0);
}
END_TEST

static atomic_bool is_dead;
static atomic_int commands;

static enum tpmproxy_action refuse_when_dead(void *arg, uint32_t code,
                                             uint8_t *response, size_t *ret_len)
{
    (void)arg;
    (void)code;
    (void)response;
    (void)ret_len;
    atomic_fetch_add(&commands, 1);
    return atomic_load(&is_dead) ? TPMPROXY_CLOSE : TPMPROXY_FORWARD;
}

/* Handshakes do not queue up at a dead TPM, nobody knocks at it for each of
 * them, and the log is not flooded. */
START_TEST(test_T5_dead_tpm_fails_fast)
{
    static const char text[] = "in the middle of a command: connection closed";
    const struct tpmproxy_hooks hooks = {.before = refuse_when_dead};
    int64_t begin;

    quotercase_proxy(&hooks);
    quotercase_start();
    ck_assert(quotercase_serve(1, NULL));
    atomic_store(&is_dead, true);
    atomic_store(&commands, 0);
    begin = atls_now_ms();
    for (unsigned i = 0; i < 2000; i++)
        expect_failure(i, ATLS_E_TPM_UNAVAILABLE, text);
    ck_assert_int_lt(atls_now_ms() - begin, 2000);
    ck_assert_int_lt(commands, 20);
    ck_assert_uint_eq(quotercase_logged(ATLS_LOG_ERROR, text), 1);
    atomic_store(&is_dead, false);
    expect_recovery(3);
}
END_TEST

START_TEST(test_T6_reset_is_survived)
{
    quotercase_start();
    ck_assert(quotercase_serve(1, NULL));
    ck_assert(swtpm_extend(quotercase.swtpm, 15, "before the reset"));
    ck_assert(swtpm_reset(quotercase.swtpm));
    ck_assert(quotercase_serve(2, NULL));
}
END_TEST

/* Another AK at the old handle: said, and served again once the chain fits. */
START_TEST(test_T6_replaced_ak_is_noticed)
{
    const struct swtpm_ak other = {.unique = 9};

    quotercase_start();
    ck_assert(quotercase_serve(1, NULL));
    ck_assert(swtpm_make_ak(quotercase.swtpm, &other));
    expect_failure(2, ATLS_E_AK, "is for another key than AK 0x81010002");
    ck_assert(swtpm_make_ak(quotercase.swtpm, NULL));
    expect_recovery(3);
}
END_TEST

static enum tpmproxy_action move_always(void *arg, uint32_t code,
                                        uint8_t *response, size_t *ret_len)
{
    (void)arg;
    (void)response;
    (void)ret_len;
    if (code == TPM2_CC_Quote && atomic_load(&hangs_left) != 0)
        swtpm_extend(quotercase.swtpm, 15, "moved");
    return TPMPROXY_FORWARD;
}

START_TEST(test_T7_unstable_pcrs_are_no_dead_tpm)
{
    const struct tpmproxy_hooks hooks = {.before = move_always};

    atomic_store(&hangs_left, 1);
    quotercase_proxy(&hooks);
    quotercase_start();
    expect_failure(1, ATLS_E_PCR_UNSTABLE,
                   "PCRs moved during each of 8 quotes");
    atomic_store(&hangs_left, 0);
    ck_assert(quotercase_serve(2, NULL)); /* no back-off */
}
END_TEST

/* --- R4: the system has nothing left ----------------------------------------------- */

/* Only processes of others are limited by RLIMIT_NPROC. */
static int fail_without_threads(void)
{
    const struct rlimit none = {0, 0};
    struct atls_ticket *ticket = NULL;

    if ((geteuid() == 0 && setuid(65534) < 0)
        || setrlimit(RLIMIT_NPROC, &none) < 0)
        return 77;
    if (quotercase_submit(1, &why, &ticket) != ATLS_E_INTERNAL)
        return 1;
    return strstr(why.text, "cannot start the quoter's thread: Resource")
                   != NULL
               ? 0
               : 2;
}

static int fail_without_descriptors(void)
{
    struct rlimit none = {0, 0};
    struct atls_ticket *ticket = NULL;

    if (setrlimit(RLIMIT_NOFILE, &none) < 0)
        return 77;
    if (quotercase_submit(1, &why, &ticket) != ATLS_E_INTERNAL)
        return 1;
    return strstr(why.text, "cannot start a quoter: Too many open files")
                   != NULL
               ? 0
               : 2;
}

START_TEST(test_R4_nothing_left)
{
    int status = 0;
    pid_t pid;

    quotercase_start();
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        _exit(_i == 0 ? fail_without_threads() : fail_without_descriptors());
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    /* 77: the limit cannot be set, as under valgrind. */
    ck_assert(WIFEXITED(status));
    ck_assert(WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 77);
    ck_assert(quotercase_serve(1, NULL));
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_T1_unusable_attester_is_named, 0,
         sizeof(unusable) / sizeof(unusable[0])),
    ONCE(test_T8_ak_without_noDA_is_warned_about),
    ONCE(test_T4_silent_tpm_meets_the_deadline),
    ONCE(test_T4_tpm_that_never_spoke),
    ONCE(test_T5_tpm_dies_in_mid_command),
    ONCE(test_T5_tpm_restarts_between_quotes),
    ONCE(test_T5_dead_tpm_fails_fast),
    ONCE(test_T6_reset_is_survived),
    ONCE(test_T6_replaced_ak_is_noticed),
    ONCE(test_T7_unstable_pcrs_are_no_dead_tpm),
    LOOP(test_R4_nothing_left, 0, 2),
};

SUITE(.name = "quoter_faults", .skip = swtpm_missing,
      .cases = {CASE("with a swtpm", tests, 60, quotercase_set_up,
                     quotercase_tear_down)});
