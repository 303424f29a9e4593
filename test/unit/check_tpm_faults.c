/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/time.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "base/clock.h"
#include "attester/tpm.h"
#include "lib/suite.h"
#include "lib/tpmcase.h"

/* A TPM that moves its PCRs, stalls, dies, lies, or is none. */

/* A primary key always has sensitiveDataOrigin: only a lie can lack it. */
static void hide_data_origin(void *arg, uint32_t code, uint8_t *response,
                             size_t *len)
{
    (void)arg;
    if (code == TPM2_CC_ReadPublic && *len > 20)
        response[10 + 2 + 4 + 3] &= (uint8_t)~0x20;
}

START_TEST(test_E3_ak_not_made_in_the_tpm)
{
    const struct tpmproxy_hooks hooks = {.after = hide_data_origin};

    tpmcase_open(tpmcase_proxy(&hooks));
    tpmcase_expect(
        atls_tpm_load_ak(tpmcase.tpm, SWTPM_AK, NULL, 0, &tpmcase.why),
        ATLS_E_AK,
        "lacks the attribute sensitiveDataOrigin: it was not made in the TPM");
}
END_TEST

static unsigned moves_left;
static unsigned pcr_reads;

static enum tpmproxy_action move_pcr(void *arg, uint32_t code,
                                     uint8_t *response, size_t *ret_len)
{
    (void)arg;
    (void)response;
    (void)ret_len;
    pcr_reads += code == TPM2_CC_PCR_Read;
    if (code == TPM2_CC_Quote && moves_left > 0) {
        moves_left--;
        swtpm_extend(tpmcase.swtpm, 15, "moved");
    }
    return TPMPROXY_FORWARD;
}

START_TEST(test_T7_pcr_moves_between_read_and_quote)
{
    const struct tpmproxy_hooks hooks = {.before = move_pcr};

    tpmcase_open_loaded(tpmcase_proxy(&hooks));
    moves_left = 7;
    tpmcase_expect(tpmcase_quote_consistent(TPMCASE_PCRS), ATLS_OK, "");
    tpmcase_check_quote(TPMCASE_PCRS);
    ck_assert_uint_eq(moves_left, 0);
    moves_left = 1000;
    tpmcase_expect(
        tpmcase_quote_consistent(TPMCASE_PCRS), ATLS_E_PCR_UNSTABLE,
        "PCRs moved during each of 8 quotes: is something extending them");
    ck_assert_uint_eq(moves_left, 992);
    moves_left = 0;
    tpmcase_expect(tpmcase_quote_consistent(TPMCASE_PCRS), ATLS_OK, "");
    tpmcase_check_quote(TPMCASE_PCRS);
}
END_TEST

START_TEST(test_resting_pcrs_are_read_once)
{
    const struct tpmproxy_hooks hooks = {.before = move_pcr};

    moves_left = 0;
    pcr_reads = 0;
    tpmcase_open_loaded(tpmcase_proxy(&hooks));
    for (int i = 0; i < 5; i++) {
        tpmcase_expect(tpmcase_quote_consistent(TPMCASE_PCRS), ATLS_OK, "");
        tpmcase_check_quote(TPMCASE_PCRS);
    }
    ck_assert_uint_eq(pcr_reads, 2); /* 15 PCRs, 8 at a time */
    tpmcase_expect(tpmcase_quote_consistent("sha256:15"), ATLS_OK, "");
    tpmcase_check_quote("sha256:15");
    ck_assert_uint_eq(pcr_reads, 3);
}
END_TEST

static uint32_t injected;
static int injections;

static enum tpmproxy_action inject(void *arg, uint32_t code, uint8_t *response,
                                   size_t *ret_len)
{
    (void)arg;
    if (code != TPM2_CC_Quote || injections == 0)
        return TPMPROXY_FORWARD;
    injections--;
    tpmproxy_answer_code(injected, response, ret_len);
    return TPMPROXY_ANSWER;
}

START_TEST(test_T2_transient_warnings_are_retried)
{
    static const uint32_t codes[] = {0x922 /* RETRY */, 0x908 /* YIELDED */,
                                     0x90a /* TESTING */};
    const struct tpmproxy_hooks hooks = {.before = inject};

    injected = codes[_i];
    injections = 9;
    tpmcase_open_loaded(tpmcase_proxy(&hooks));
    tpmcase_expect(tpmcase_quote_consistent(TPMCASE_PCRS), ATLS_OK, "");
    tpmcase_check_quote(TPMCASE_PCRS);
    ck_assert_int_eq(injections, 0);
}
END_TEST

START_TEST(test_T2_retries_end_at_the_deadline)
{
    const struct tpmproxy_hooks hooks = {.before = inject};
    int64_t begin = atls_now_ms();

    injected = 0x922;
    injections = 1000000;
    tpmcase_open_loaded(tpmcase_proxy(&hooks));
    atls_tpm_set_deadline(tpmcase.tpm, begin + 300, -1);
    tpmcase_expect(tpmcase_quote(), ATLS_E_TIMEOUT,
                   "TPM2_Quote: the TPM at swtpm:");
    ck_assert_int_ge(atls_now_ms() - begin, 300);
    ck_assert_int_lt(atls_now_ms() - begin, 500);
}
END_TEST

static const struct {
    uint32_t rc;
    enum atls_error code;
    const char *text;
} refusals[] = {
    {0x902, ATLS_E_TPM, "the TPM's slots are full: use its resource manager"},
    {0x100, ATLS_E_TPM,
     "TPM2_Quote: nobody started the TPM: tpm2_startup -c (0x100)"},
    {0x921, ATLS_E_TPM_AUTH, "the TPM is locked after wrong passwords"},
    {0x98e, ATLS_E_TPM_AUTH,
     "the TPM refused the AK's password: correct ak_auth"},
    {0x9a2, ATLS_E_TPM_AUTH,
     "the TPM refused the AK's password: correct ak_auth"},
    {0x101, ATLS_E_TPM,
     "TPM2_Quote: tpm:error(2.0): commands not being "
     "accepted because of a TPM failure (0x101)"},
};

/* What the TPM refuses is said, and leaves the connection usable. */
START_TEST(test_refusals_of_the_tpm)
{
    const struct tpmproxy_hooks hooks = {.before = inject};

    injected = refusals[_i].rc;
    injections = 1;
    tpmcase_open_loaded(tpmcase_proxy(&hooks));
    tpmcase_expect(tpmcase_quote(), refusals[_i].code, refusals[_i].text);
    tpmcase_expect(tpmcase_quote(), ATLS_E_AK, "no AK is loaded");
    tpmcase_expect(
        atls_tpm_load_ak(tpmcase.tpm, SWTPM_AK, NULL, 0, &tpmcase.why), ATLS_OK,
        "");
    tpmcase_expect(tpmcase_quote(), ATLS_OK, "");
}
END_TEST

static enum tpmproxy_action hang_on_quote(void *arg, uint32_t code,
                                          uint8_t *response, size_t *ret_len)
{
    (void)arg;
    (void)response;
    (void)ret_len;
    return code == TPM2_CC_Quote ? TPMPROXY_HANG : TPMPROXY_FORWARD;
}

START_TEST(test_T4_silent_tpm_meets_the_deadline)
{
    const struct tpmproxy_hooks hooks = {.before = hang_on_quote};
    int64_t begin;

    tpmcase_open_loaded(tpmcase_proxy(&hooks));
    begin = atls_now_ms();
    atls_tpm_set_deadline(tpmcase.tpm, begin + 200, -1);
    tpmcase_expect(tpmcase_quote(), ATLS_E_TIMEOUT,
                   "did not answer in time: it is silent, or busy");
    ck_assert_int_ge(atls_now_ms() - begin, 200);
    ck_assert_int_lt(atls_now_ms() - begin, 400);
}
END_TEST

/* A response that stops in the middle is as silent. */
static void cut_response(void *arg, uint32_t code, uint8_t *response,
                         size_t *len)
{
    const size_t *cut = arg;

    (void)response;
    if (code == TPM2_CC_Quote)
        *len = *cut;
}

START_TEST(test_T4_half_a_response_meets_the_deadline)
{
    static const size_t cuts[] = {0, 1, 9, 10, 11, 60};
    size_t cut = cuts[_i];
    const struct tpmproxy_hooks hooks = {.arg = &cut, .after = cut_response};
    int64_t begin;

    tpmcase_open_loaded(tpmcase_proxy(&hooks));
    begin = atls_now_ms();
    atls_tpm_set_deadline(tpmcase.tpm, begin + 100, -1);
    tpmcase_expect(tpmcase_quote(), ATLS_E_TIMEOUT, "did not answer in time");
    ck_assert_int_lt(atls_now_ms() - begin, 300);
}
END_TEST

START_TEST(test_wake_descriptor_ends_a_command)
{
    const struct tpmproxy_hooks hooks = {.before = hang_on_quote};
    int wake_fd = eventfd(1, EFD_CLOEXEC);
    int64_t begin;

    ck_assert_int_ge(wake_fd, 0);
    tpmcase_open_loaded(tpmcase_proxy(&hooks));
    begin = atls_now_ms();
    atls_tpm_set_deadline(tpmcase.tpm, begin + 5000, wake_fd);
    tpmcase_expect(tpmcase_quote(), ATLS_E_TIMEOUT,
                   "gave up a TPM command: the quoter is stopping");
    ck_assert_int_lt(atls_now_ms() - begin, 200);
    close(wake_fd);
}
END_TEST

static atomic_int sigpipes;

static void count_sigpipe(int number)
{
    (void)number;
    atomic_fetch_add(&sigpipes, 1);
}

static enum tpmproxy_action kill_swtpm(void *arg, uint32_t code,
                                       uint8_t *response, size_t *ret_len)
{
    const int *pid = arg;

    (void)response;
    (void)ret_len;
    if (code == TPM2_CC_Quote)
        kill(*pid, SIGKILL);
    return TPMPROXY_FORWARD;
}

START_TEST(test_T5_tpm_dies_and_comes_back)
{
    int pid = swtpm_pid(tpmcase.swtpm);
    const struct tpmproxy_hooks hooks = {.arg = &pid, .before = kill_swtpm};
    int64_t begin;

    signal(SIGPIPE, count_sigpipe);
    tpmcase_open_loaded(tpmcase_proxy(&hooks));
    begin = atls_now_ms();
    tpmcase_expect(tpmcase_quote(), ATLS_E_TPM_UNAVAILABLE,
                   "in the middle of a command: connection closed");
    ck_assert_int_lt(atls_now_ms() - begin, 2000);
    tpmcase_close();
    swtpm_kill(tpmcase.swtpm); /* collect it */
    tpmcase_expect(
        atls_tpm_open(swtpm_tcti(tpmcase.swtpm), &tpmcase.why, &tpmcase.tpm),
        ATLS_E_TPM_UNAVAILABLE, "Connection refused");
    ck_assert(swtpm_restart(tpmcase.swtpm, true));
    tpmcase_open_loaded(swtpm_tcti(tpmcase.swtpm));
    tpmcase_expect(tpmcase_quote_consistent(TPMCASE_PCRS), ATLS_OK, "");
    tpmcase_check_quote(TPMCASE_PCRS);
    ck_assert_int_eq(sigpipes, 0);
}
END_TEST

static void ignore_signal(int number)
{
    (void)number;
}

START_TEST(test_T3_signal_storm)
{
    const struct itimerval storm = {.it_interval = {.tv_usec = 200},
                                    .it_value = {.tv_usec = 200}};
    const struct itimerval calm = {.it_interval = {.tv_usec = 0}};
    const struct sigaction action = {.sa_handler = ignore_signal};

    tpmcase_open_loaded(swtpm_tcti(tpmcase.swtpm));
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &storm, NULL), 0);
    for (int i = 0; i < 200 * suite_scale(); i++)
        tpmcase_expect(tpmcase_quote_consistent(TPMCASE_PCRS), ATLS_OK, "");
    ck_assert_int_eq(setitimer(ITIMER_REAL, &calm, NULL), 0);
    tpmcase_check_quote(TPMCASE_PCRS);
}
END_TEST

static uint32_t random_state;

static uint32_t next_random(void)
{
    random_state = random_state * 1664525 + 1013904223;
    return random_state >> 8;
}

/* Lengths, codes and contents that no TPM would send. */
static void garble(void *arg, uint32_t code, uint8_t *response, size_t *len)
{
    (void)arg;
    (void)code;
    switch (next_random() % 4) {
    case 0: /* some octets */
        for (uint32_t i = next_random() % 4 + 1; i > 0; i--)
            response[next_random() % *len] = (uint8_t)next_random();
        break;
    case 1: /* a length inside */
        if (*len > 16)
            memset(response + 10 + next_random() % (*len - 12), 0xff, 2);
        break;
    case 2: /* cut, and the header agrees */
        *len = 10 + next_random() % (*len - 9);
        response[4] = (uint8_t)(*len >> 8);
        response[5] = (uint8_t)*len;
        break;
    default:
        response[2 + next_random() % 4] = (uint8_t)next_random();
        break;
    }
}

START_TEST(test_T12_hostile_responses)
{
    const struct tpmproxy_hooks hooks = {.after = garble};
    const char *tcti = tpmcase_proxy(&hooks);
    int saved = dup(STDERR_FILENO);
    int failures = 0;

    random_state = 1;
    /* What gets past our own checks makes tpm2-tss talk. */
    ck_assert_ptr_nonnull(freopen("/dev/null", "w", stderr));
    for (int i = 0; i < 300 * suite_scale(); i++) {
        if (tpmcase.tpm == NULL)
            tpmcase_open(tcti);
        atls_tpm_set_deadline(tpmcase.tpm, atls_now_ms() + 20, -1);
        if (atls_tpm_load_ak(tpmcase.tpm, SWTPM_AK, NULL, 0, &tpmcase.why)
                != ATLS_OK
            || tpmcase_quote_consistent(TPMCASE_PCRS) != ATLS_OK) {
            failures++;
            ck_assert_uint_lt(strlen(tpmcase.why.text), ATLS_REASON_MAX - 1);
            tpmcase_close();
        }
    }
    dup2(saved, STDERR_FILENO);
    close(saved);
    ck_assert_int_gt(failures, 0);
}
END_TEST

static const struct {
    uint8_t response[12];
    size_t len;
    const char *text;
} no_responses[] = {
    {{0x00, 0xc4, 0, 0, 0, 10, 0, 0, 0, 0}, 10, "this is a TPM 1.2"},
    {{0x12, 0x34, 0, 0, 0, 10, 0, 0, 0, 0}, 10, "no TPM response: tag 0x1234"},
    {{0x80, 0x01, 0, 0, 0, 9, 0, 0, 0, 0}, 10, "its response has 9 octets"},
    {{0x80, 0x01, 0, 0, 0x10, 1, 0, 0, 0, 0}, 10, "response has 4097 octets"},
    {{0x80, 0x01, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}, 10, "4294967295 octets"},
    {{0x80, 0x01, 0, 0, 0, 10, 0, 0, 0, 0, 1}, 11, "response has 10 octets"},
    {"SSH-2.0-abc", 11, "is no TPM or speaks another protocol"},
};

static enum tpmproxy_action answer_nonsense(void *arg, uint32_t code,
                                            uint8_t *response, size_t *ret_len)
{
    const int *number = arg;

    (void)code;
    memcpy(response, no_responses[*number].response, 12);
    *ret_len = no_responses[*number].len;
    return TPMPROXY_ANSWER;
}

START_TEST(test_T12_no_tpm_at_all)
{
    const struct tpmproxy_hooks hooks = {.arg = &_i, .before = answer_nonsense};

    tpmcase_open(tpmcase_proxy(&hooks));
    tpmcase_expect(
        atls_tpm_load_ak(tpmcase.tpm, SWTPM_AK, NULL, 0, &tpmcase.why),
        ATLS_E_TPM, no_responses[_i].text);
}
END_TEST

static bool baseline[256];
static atomic_int without_cloexec;

/* In mid-command: is there a new descriptor that exec would hand on? */
static enum tpmproxy_action look_at_descriptors(void *arg, uint32_t code,
                                                uint8_t *response,
                                                size_t *ret_len)
{
    (void)arg;
    (void)code;
    (void)response;
    (void)ret_len;
    for (int fd = 0; fd < 256; fd++) {
        int flags = fcntl(fd, F_GETFD);

        if (!baseline[fd] && flags >= 0 && (flags & FD_CLOEXEC) == 0)
            atomic_fetch_add(&without_cloexec, 1);
    }
    return TPMPROXY_FORWARD;
}

START_TEST(test_L5_descriptors_are_cloexec)
{
    const struct tpmproxy_hooks hooks = {.before = look_at_descriptors};

    for (int fd = 0; fd < 256; fd++)
        baseline[fd] = fcntl(fd, F_GETFD) >= 0;
    if (_i == 0)
        tpmcase_open_loaded(tpmcase_proxy(&hooks));
    else
        tpmcase_open_loaded(tpmcase_proxy_device(&hooks));
    tpmcase_expect(tpmcase_quote_consistent(TPMCASE_PCRS), ATLS_OK, "");
    ck_assert_int_eq(without_cloexec, 0);
}
END_TEST

/* Refusals, a deadline, a lost and a missing TPM. */
static void fail_in_every_way(void)
{
    const struct tpmproxy_hooks hooks = {.before = inject};
    struct tpmcase *c = &tpmcase;

    injected = 0x902;
    injections = 1;
    tpmcase_open_loaded(tpmcase_proxy(&hooks));
    tpmcase_expect(tpmcase_quote(), ATLS_E_TPM, "");
    tpmcase_expect(atls_tpm_load_ak(c->tpm, "0x81010077", NULL, 0, &c->why),
                   ATLS_E_AK, "");
    tpmcase_expect(atls_tpm_load_ak(c->tpm, SWTPM_AK, NULL, 0, &c->why),
                   ATLS_OK, "");
    injected = 0x922;
    injections = 1000000;
    atls_tpm_set_deadline(c->tpm, atls_now_ms() + 30, -1);
    tpmcase_expect(tpmcase_quote(), ATLS_E_TIMEOUT, "");
    atls_tpm_set_deadline(c->tpm, 0, -1);
    swtpm_kill(c->swtpm);
    tpmcase_expect(atls_tpm_load_ak(c->tpm, SWTPM_AK, NULL, 0, &c->why),
                   ATLS_E_TPM_UNAVAILABLE, "");
    tpmcase_close();
    tpmcase_expect(atls_tpm_open("device:/dev/no-such-tpm", &c->why, &c->tpm),
                   ATLS_E_TPM_UNAVAILABLE, "");
    tpmcase_expect(atls_tpm_open("swtpm:port=1", &c->why, &c->tpm),
                   ATLS_E_TPM_UNAVAILABLE, "");
}

/* A guest in somebody's program: whatever fails, tpm2-tss must not print. */
START_TEST(test_nothing_is_printed)
{
    int saved = dup(STDERR_FILENO);
    struct pollfd printed;
    int pipe_fds[2];

    ck_assert_int_eq(pipe(pipe_fds), 0);
    unsetenv("TSS2_LOG");
    dup2(pipe_fds[1], STDERR_FILENO);
    fail_in_every_way();
    dup2(saved, STDERR_FILENO);
    printed = (struct pollfd){pipe_fds[0], POLLIN, 0};
    ck_assert_int_eq(poll(&printed, 1, 0), 0);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_E3_ak_not_made_in_the_tpm),
    ONCE(test_T7_pcr_moves_between_read_and_quote),
    ONCE(test_resting_pcrs_are_read_once),
    LOOP(test_T2_transient_warnings_are_retried, 0, 3),
    ONCE(test_T2_retries_end_at_the_deadline),
    LOOP(test_refusals_of_the_tpm, 0, sizeof(refusals) / sizeof(refusals[0])),
    ONCE(test_T4_silent_tpm_meets_the_deadline),
    LOOP(test_T4_half_a_response_meets_the_deadline, 0, 6),
    ONCE(test_wake_descriptor_ends_a_command),
    ONCE(test_T5_tpm_dies_and_comes_back),
    ONCE(test_T3_signal_storm),
    ONCE(test_T12_hostile_responses),
    LOOP(test_T12_no_tpm_at_all, 0,
         sizeof(no_responses) / sizeof(no_responses[0])),
    LOOP(test_L5_descriptors_are_cloexec, 0, 2),
    ONCE(test_nothing_is_printed),
};

SUITE(.name = "tpm_faults", .skip = swtpm_missing,
      .cases = {
          CASE("with a swtpm", tests, 60, tpmcase_set_up, tpmcase_tear_down)});
