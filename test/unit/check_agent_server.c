/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "base/clock.h"
#include "attester/measure.h"
#include "attester/tpm.h"
#include "base/digest.h"
#include "evidence/binding.h"
#include "lib/agentcase.h"
#include "lib/measuring.h"
#include "lib/quotercase.h"
#include "lib/suite.h"

/* Users of no machine. */
#define FRIEND 3999999992
#define STRANGER 3999999991

START_TEST(test_B4_evidence_is_for_this_handshake)
{
    int fd;

    agentcase_start();
    fd = agentcase_connect();
    for (unsigned i = 0; i < 4; i++) {
        ck_assert(agentcase_ask(fd, i));
        agentcase_expect_evidence(fd, i);
    }
    close(fd);
}
END_TEST

START_TEST(test_B4_no_command_for_strangers)
{
    unsigned commands;

    agentcase_make_gate();
    agentcase_configure("allow = 3999999992\n");
    agentcase_start();
    agentcase_expect_refused(STRANGER, 1, ATLS_E_NOT_ALLOWED,
                             "user 3999999991 may not ask this agent: add it "
                             "to allow in ");
    ck_assert_uint_eq(agentcase_commands(), 0);
    agentcase_expect_served(FRIEND, 1);
    commands = agentcase_commands();
    for (unsigned i = 0; i < 20; i++)
        agentcase_expect_refused(STRANGER, 2, ATLS_E_NOT_ALLOWED,
                                 "may not ask this agent");
    ck_assert_uint_eq(agentcase_commands(), commands);
    /* They do not fill the log. */
    ck_assert_uint_le(agentcase_logged("may not ask this agent"), 4);
    ck_assert_uint_ge(agentcase_logged("refused pid"), 1);
}
END_TEST

START_TEST(test_B4_strangers_are_shown_out)
{
    const uint8_t connection[] = {1, ATLS_AGENT_CONNECTION};
    int fd;

    agentcase_configure("allow = 3999999992\n");
    agentcase_start();
    fd = agentcase_connect_as(STRANGER);
    agentcase_send(fd, connection, sizeof(connection));
    agentcase_expect_refusal(fd, ATLS_E_NOT_ALLOWED, "may not ask");
    agentcase_expect_end(fd);
    close(fd);
}
END_TEST

/* A request for evidence, octet by octet. */
static size_t write_request(uint8_t *octets)
{
    size_t len = 0;

    octets[len++] = ATLS_AGENT_VERSION;
    octets[len++] = ATLS_AGENT_EVIDENCE;
    octets[len++] = 's';
    octets[len++] = 2;
    octets[len++] = 0;
    octets[len++] = 1;
    memset(octets + len, 0x11, ATLS_CHANNEL_LEN);
    len += ATLS_CHANNEL_LEN;
    octets[len++] = 0;
    octets[len++] = 3;
    memcpy(octets + len, "der", 3);
    return len + 3;
}

static void expect_malformed(const uint8_t *octets, size_t len,
                             const char *text)
{
    int fd = agentcase_connect();

    agentcase_send(fd, octets, len);
    agentcase_expect_refusal(fd, ATLS_E_AGENT_PROTOCOL, text);
    agentcase_expect_end(fd);
    close(fd);
}

START_TEST(test_B4_malformed_requests)
{
    uint8_t octets[128];
    size_t len = write_request(octets);

    agentcase_make_gate();
    agentcase_start();
    for (size_t cut = 1; cut < len; cut++)
        expect_malformed(octets, cut, "");
    expect_malformed(octets, len + 1, "left over");
    for (unsigned version = 0; version < 256; version += 5) {
        octets[0] = (uint8_t)version; /* never 1 */
        expect_malformed(octets, len, "version");
    }
    octets[0] = ATLS_AGENT_VERSION;
    for (unsigned type = 3; type < 256; type += 4) {
        octets[1] = (uint8_t)type;
        expect_malformed(octets, len, "");
    }
    ck_assert_uint_eq(agentcase_commands(), 0);
    agentcase_expect_served(-1, 1);
}
END_TEST

START_TEST(test_R2_too_long_a_request)
{
    uint8_t *octets = calloc(1, ATLS_AGENT_REQUEST_MAX + 1);

    agentcase_start();
    (void)write_request(octets);
    expect_malformed(octets, ATLS_AGENT_REQUEST_MAX + 1,
                     "a request of more than ");
    free(octets);
}
END_TEST

START_TEST(test_B4_descriptors_are_not_taken)
{
    union {
        struct cmsghdr head;
        char octets[CMSG_SPACE(sizeof(int))];
    } control = {.octets = {0}};
    uint8_t octets[128];
    struct iovec vector = {.iov_base = octets};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control.octets,
                             .msg_controllen = sizeof(control.octets)};
    int fd, ends[2];
    char octet;

    agentcase_start();
    vector.iov_len = write_request(octets);
    ck_assert_int_eq(pipe(ends), 0);
    control.head.cmsg_level = SOL_SOCKET;
    control.head.cmsg_type = SCM_RIGHTS;
    control.head.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.head), &ends[1], sizeof(int));
    fd = agentcase_connect();
    ck_assert_int_gt(sendmsg(fd, &message, 0), 0);
    agentcase_expect_refusal(fd, ATLS_E_AGENT_PROTOCOL,
                             "a request that brings descriptors");
    agentcase_expect_end(fd);
    close(fd);
    /* Nobody has the pipe's end but we. */
    close(ends[1]);
    ck_assert_int_eq(read(ends[0], &octet, 1), 0);
    close(ends[0]);
}
END_TEST

START_TEST(test_one_request_at_a_time)
{
    int fd, other;

    agentcase_make_gate();
    agentcase_start();
    agentcase_close_gate();
    fd = agentcase_connect();
    other = agentcase_connect();
    ck_assert(agentcase_ask(fd, 1));
    ck_assert(agentcase_ask(other, 2));
    ck_assert(agentcase_ask(fd, 3));
    agentcase_expect_refusal(fd, ATLS_E_AGENT_PROTOCOL,
                             "while another waits on this connection");
    agentcase_expect_end(fd);
    agentcase_open_gate();
    agentcase_expect_evidence(other, 2);
    close(fd);
    close(other);
}
END_TEST

/* Ask for a further connection; -1 when none comes. */
static int ask_connection(int fd)
{
    const uint8_t request[] = {1, ATLS_AGENT_CONNECTION};
    union {
        struct cmsghdr head;
        char octets[CMSG_SPACE(sizeof(int))];
    } control = {.octets = {0}};
    uint8_t octets[64];
    struct iovec vector = {.iov_base = octets, .iov_len = sizeof(octets)};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control.octets,
                             .msg_controllen = sizeof(control.octets)};
    int passed = -1;

    agentcase_send(fd, request, sizeof(request));
    ck_assert_int_eq(recvmsg(fd, &message, 0), 2);
    ck_assert_int_eq(octets[1], ATLS_AGENT_CONNECTION);
    if (message.msg_controllen >= CMSG_LEN(sizeof(int)))
        memcpy(&passed, CMSG_DATA(&control.head), sizeof(int));
    return passed;
}

START_TEST(test_C8_connections_out_of_a_standing_connection)
{
    int standing, fd, further;

    agentcase_start();
    standing = agentcase_connect();
    ck_assert_int_eq(unlink(agentcase.socket), 0);
    fd = ask_connection(standing);
    ck_assert_int_ge(fd, 0);
    ck_assert(agentcase_ask(fd, 7));
    agentcase_expect_evidence(fd, 7);
    /* One as good as the other. */
    further = ask_connection(fd);
    close(fd);
    close(standing);
    ck_assert(agentcase_ask(further, 8));
    agentcase_expect_evidence(further, 8);
    close(further);
}
END_TEST

/* The kernel would say that they are the agent's own. */
START_TEST(test_B4_a_standing_connections_connections_are_whose_it_is)
{
    int standing, fd;

    agentcase_configure("allow = 3999999992\n");
    agentcase_start();
    standing = agentcase_connect_as(FRIEND);
    agentcase_send_as(FRIEND);
    fd = ask_connection(standing);
    ck_assert(agentcase_ask(fd, 1));
    agentcase_expect_evidence(fd, 1);
    agentcase_configure("allow = 3999999991\n");
    agent_server_reload(agentcase.server);
    agentcase_await_logged("taken up anew", 1);
    ck_assert(agentcase_ask(fd, 2));
    agentcase_expect_refusal(fd, ATLS_E_NOT_ALLOWED, "user 3999999992");
    agentcase_expect_end(fd);
    close(fd);
    close(standing);
}
END_TEST

/* As `attest measure` does. */
static void measure(unsigned pcr, const char *content)
{
    enum atls_measured done = ATLS_MEASURED_ALREADY;
    struct atls_reason why = {.text = ""};
    struct atls_tpm *tpm = NULL;
    enum atls_error r = atls_tpm_open(swtpm_tcti(quotercase.swtpm), &why, &tpm);

    if (r == ATLS_OK)
        r = measuring_once(tpm, quotercase.measured_log, pcr, content, 1000,
                           &why, &done);
    atls_tpm_close(tpm);
    ck_assert_msg(r == ATLS_OK, "%s", why.text);
}

static void write_event(unsigned number, const char *kind, char content[160])
{
    struct quotercase_handshake handshake;
    char hex[2 * ATLS_SHA256_LEN + 1];
    uint8_t digest[ATLS_SHA256_LEN];

    quotercase_describe(number, &handshake);
    ck_assert_int_eq(atls_sha256(handshake.certificate.data,
                                 handshake.certificate.len, digest),
                     ATLS_OK);
    atls_hex(digest, sizeof(digest), hex);
    snprintf(content, 160, "%s sha256:%s", kind, hex);
}

static void expect_unmeasured(unsigned number)
{
    char expected[300], content[160];

    write_event(number, "certificate", content);
    snprintf(expected, sizeof(expected),
             "%s was not measured: attest measure --certificate FILE; or "
             "certificate = any in attestd.cnf",
             content);
    agentcase_expect_refused(-1, number, ATLS_E_CERTIFICATE_UNMEASURED,
                             expected);
}

static void configure_measured(void)
{
    char lines[700];

    snprintf(lines, sizeof(lines),
             "certificate = measured\nmeasured_log = %s\n",
             quotercase.measured_log);
    agentcase_configure(lines);
}

START_TEST(test_B4_certificates_must_be_measured)
{
    char content[160];

    configure_measured();
    agentcase_start();
    expect_unmeasured(1); /* there is no log */
    write_event(1, "authority", content);
    measure(15, content);
    write_event(1, "component x", content);
    measure(15, content);
    write_event(1, "certificate", content);
    measure(14, content);
    expect_unmeasured(1);
    measure(15, content);
    agentcase_expect_served(-1, 1);
    expect_unmeasured(2);
    write_event(2, "certificate", content);
    measure(15, content);
    agentcase_expect_served(-1, 2);
    agentcase_expect_served(-1, 1);
}
END_TEST

static void measure_certificate(unsigned number)
{
    char content[160];

    write_event(number, "certificate", content);
    measure(15, content);
}

/* Not for want of the certificate, measured or not: for what is wrong. */
static void expect_log_refused(enum atls_error code, const char *text)
{
    agentcase_expect_refused(-1, 1, code, text);
    agentcase_expect_refused(-1, 2, code, text);
    ck_assert_uint_ge(agentcase_logged(text), 1);
}

START_TEST(test_B4_log_that_cannot_be_read)
{
    char kept[700];
    struct stat whole;
    FILE *out;

    snprintf(kept, sizeof(kept), "%s.kept", quotercase.measured_log);
    configure_measured();
    agentcase_start();
    measure_certificate(1);
    agentcase_expect_served(-1, 1);
    ck_assert_int_eq(stat(quotercase.measured_log, &whole), 0);
    out = fopen(quotercase.measured_log, "a");
    fputs("\x1e{\"pcr\":15,", out);
    fclose(out);
    expect_log_refused(ATLS_E_LOG_UNREADABLE,
                       "events.cel: record 2 is cut off");
    ck_assert_int_eq(rename(quotercase.measured_log, kept), 0);
    ck_assert_int_eq(mkdir(quotercase.measured_log, 0700), 0);
    expect_log_refused(ATLS_E_LOG_UNREADABLE,
                       "events.cel is not a regular file");
    ck_assert_int_eq(rmdir(quotercase.measured_log), 0);
    expect_log_refused(ATLS_E_LOG_MISMATCH,
                       "events.cel is not there, yet PCR 15 is not zero");
    ck_assert_int_eq(truncate(kept, (off_t)whole.st_size), 0);
    ck_assert_int_eq(rename(kept, quotercase.measured_log), 0);
    agentcase_expect_served(-1, 1);
    expect_unmeasured(2);
}
END_TEST

START_TEST(test_T16_reset_with_the_log_still_there)
{
    configure_measured();
    agentcase_start();
    measure_certificate(1);
    agentcase_expect_served(-1, 1);
    ck_assert(swtpm_reset(quotercase.swtpm));
    expect_log_refused(ATLS_E_LOG_MISMATCH, "the TPM was reset since ");
    ck_assert_int_eq(unlink(quotercase.measured_log), 0);
    expect_unmeasured(1);
    measure_certificate(1);
    agentcase_expect_served(-1, 1);
    expect_unmeasured(2);
}
END_TEST

/* For trials; no TLS peer can show it. */
START_TEST(test_stand_in_needs_no_measuring)
{
    struct atls_agent_request request = {.type = ATLS_AGENT_EVIDENCE,
                                         .role = ATLS_ROLE_SERVER,
                                         .formats = quotercase.formats};
    struct atls_agent_answer answer;
    struct atls_reason why;
    uint8_t *octets = NULL;
    size_t len = 0;
    int fd;

    configure_measured();
    agentcase_start();
    request.certificate.data = (const uint8_t *)ATLS_STAND_IN_CERTIFICATE;
    request.certificate.len = strlen(ATLS_STAND_IN_CERTIFICATE);
    ck_assert_int_eq(atls_agent_request_write(&request, &why, &octets, &len),
                     ATLS_OK);
    fd = agentcase_connect();
    agentcase_send(fd, octets, len);
    ck_assert_int_eq(agentcase_receive(fd, &answer), ATLS_OK);
    ck_assert_int_eq(answer.type, ATLS_AGENT_EVIDENCE);
    close(fd);
    OPENSSL_free(octets);
}
END_TEST

/* The AK certificate of the evidence that comes now. */
static void take_ak_digest(uint8_t ret[ATLS_SHA256_LEN])
{
    struct atls_evidence *evidence = NULL;
    struct atls_agent_answer answer;
    struct atls_reason why;
    int fd = agentcase_connect();

    ck_assert(agentcase_ask(fd, 1));
    ck_assert_msg(agentcase_receive(fd, &answer) == ATLS_OK, "%s",
                  answer.reason.text);
    ck_assert_int_eq(atls_evidence_decode(answer.cmw, &why, &evidence),
                     ATLS_OK);
    ck_assert_int_eq(
        atls_sha256(evidence->chain[0].data, evidence->chain[0].len, ret),
        ATLS_OK);
    atls_evidence_free(evidence);
    close(fd);
}

static void replace_chain(bool is_good)
{
    char fresh[700];
    FILE *out;

    snprintf(fresh, sizeof(fresh), "%s.new", quotercase.chain);
    if (is_good) {
        ck_assert(swtpm_write_chain(quotercase.swtpm, SWTPM_AK_HANDLE, false,
                                    fresh, NULL));
    } else {
        out = fopen(fresh, "w");
        fputs("no certificate\n", out);
        fclose(out);
    }
    ck_assert_int_eq(rename(fresh, quotercase.chain), 0);
}

START_TEST(test_chain_is_taken_up_without_restart)
{
    uint8_t before[ATLS_SHA256_LEN], after[ATLS_SHA256_LEN];
    int64_t end_ms;

    agentcase_start();
    take_ak_digest(before);
    /* What is wrong does not come into force, and is said once. */
    replace_chain(false);
    for (unsigned i = 0; i < 4; i++) {
        usleep(220000);
        take_ak_digest(after);
        ck_assert_mem_eq(before, after, sizeof(before));
    }
    ck_assert_uint_eq(agentcase_logged("what was in force stays so: "), 1);
    ck_assert_uint_eq(agentcase_logged("no certificate in it"), 1);
    replace_chain(true);
    end_ms = atls_now_ms() + 20000;
    do {
        take_ak_digest(after);
    } while (memcmp(before, after, sizeof(before)) == 0
             && atls_now_ms() < end_ms);
    ck_assert_mem_ne(before, after, sizeof(before));
    agentcase_await_logged("taken up anew", 1);
}
END_TEST

static void write_auth(const char *path, const char *value)
{
    FILE *out = fopen(path, "w");

    ck_assert_ptr_nonnull(out);
    fputs(value, out);
    ck_assert_int_eq(fclose(out), 0);
}

START_TEST(test_authorization_is_taken_up_without_restart)
{
    const struct swtpm_ak ak = {.auth = "right"};
    char path[600], lines[700];

    ck_assert(swtpm_make_ak(quotercase.swtpm, &ak));
    ck_assert(swtpm_write_chain(quotercase.swtpm, SWTPM_AK_HANDLE, false,
                                quotercase.chain, NULL));
    snprintf(path, sizeof(path), "%s/ak.auth", swtpm_folder(quotercase.swtpm));
    snprintf(lines, sizeof(lines), "ak_auth = file:%s\n", path);
    write_auth(path, "wrong");
    agentcase_configure(lines);
    agentcase_start();
    agentcase_expect_refused(-1, 1, ATLS_E_TPM_AUTH, "");
    write_auth(path, "right\n");
    agentcase_await_served(-1, 2);
}
END_TEST

START_TEST(test_configuration_is_taken_up_without_restart)
{
    agentcase_start();
    agentcase_expect_refused(FRIEND, 1, ATLS_E_NOT_ALLOWED, "may not ask");
    usleep(220000);
    agentcase_configure("allow = 3999999992\n");
    agentcase_expect_served(FRIEND, 1);
    /* A mistake leaves things as they are; SIGHUP says it again. */
    agentcase_configure("alow = 3999999992\n");
    usleep(220000);
    agentcase_expect_served(FRIEND, 2);
    ck_assert_uint_eq(agentcase_logged("alow: unknown key"), 1);
    agent_server_reload(agentcase.server);
    agentcase_await_logged("alow: unknown key", 2);
    agentcase_configure("allow = 3999999992\nlog_level = error\n");
    agent_server_reload(agentcase.server);
    agentcase_await_logged("change when attestd is restarted", 1);
    agentcase_expect_served(FRIEND, 3);
}
END_TEST

/* Nothing to take up: that is said once, until the file is back. */
/* As logrotate(8) does it. */
START_TEST(test_log_is_opened_anew)
{
    char renamed[sizeof(agentcase.log) + 2];

    agentcase_start();
    agentcase_expect_served(-1, 1);
    snprintf(renamed, sizeof(renamed), "%s.1", agentcase.log);
    ck_assert_int_eq(rename(agentcase.log, renamed), 0);
    agent_server_reload(agentcase.server);
    agentcase_await_logged("taken up anew", 1);
}
END_TEST

START_TEST(test_configuration_that_is_gone)
{
    char aside[sizeof(agentcase.path) + 8], text[700];

    snprintf(aside, sizeof(aside), "%s.aside", agentcase.path);
    snprintf(text, sizeof(text), "what was in force stays so: %s is gone",
             agentcase.path);
    agentcase_start();
    for (unsigned round = 1; round <= 2; round++) {
        ck_assert_int_eq(rename(agentcase.path, aside), 0);
        for (unsigned i = 0; i < 3; i++) {
            usleep(220000);
            agentcase_expect_served(-1, i);
        }
        ck_assert_uint_eq(agentcase_logged(text), round);
        ck_assert_int_eq(rename(aside, agentcase.path), 0);
        usleep(220000);
        agentcase_expect_served(-1, 4);
    }
    ck_assert_int_eq(unlink(quotercase.chain), 0);
    usleep(220000);
    agentcase_expect_served(-1, 5);
    ck_assert_uint_eq(agentcase_logged("ak-chain.pem is gone"), 1);
}
END_TEST

/* Requests live on with the service that began them. */
START_TEST(test_reload_under_a_quote)
{
    int fd;

    agentcase_make_gate();
    agentcase_start();
    agentcase_close_gate();
    fd = agentcase_connect();
    ck_assert(agentcase_ask(fd, 1));
    for (unsigned i = 1; i <= 3; i++) {
        agent_server_reload(agentcase.server);
        agentcase_await_logged("taken up anew", i);
    }
    agentcase_open_gate();
    agentcase_expect_evidence(fd, 1);
    ck_assert(agentcase_ask(fd, 2));
    agentcase_expect_evidence(fd, 2);
    close(fd);
}
END_TEST

START_TEST(test_T5_tpm_dies_and_comes_back)
{
    int64_t begin_ms;

    agentcase_start();
    agentcase_expect_served(-1, 1);
    swtpm_kill(quotercase.swtpm);
    begin_ms = atls_now_ms();
    agentcase_expect_refused(-1, 2, ATLS_E_TPM_UNAVAILABLE, "");
    ck_assert_int_lt(atls_now_ms() - begin_ms, 2000);
    ck_assert(swtpm_restart(quotercase.swtpm, true));
    agentcase_await_served(-1, 3);
}
END_TEST

START_TEST(test_T6_tpm_is_reset)
{
    agentcase_start();
    agentcase_expect_served(-1, 1);
    ck_assert(swtpm_reset(quotercase.swtpm));
    agentcase_await_served(-1, 2);
}
END_TEST

START_TEST(test_T4_silent_tpm)
{
    int64_t begin_ms;
    int fd;

    agentcase_make_gate();
    agentcase_configure("timeout = 300\n");
    agentcase_start();
    agentcase_close_gate();
    fd = agentcase_connect();
    begin_ms = atls_now_ms();
    ck_assert(agentcase_ask(fd, 1));
    agentcase_expect_refusal(fd, ATLS_E_TIMEOUT, "");
    ck_assert_int_ge(atls_now_ms() - begin_ms, 290);
    ck_assert_int_lt(atls_now_ms() - begin_ms, 2000);
    agentcase_open_gate();
    agentcase_await_served(-1, 2);
    close(fd);
}
END_TEST

START_TEST(test_ending_refuses_what_waits)
{
    int fd, idle;

    agentcase_make_gate();
    agentcase_start();
    agentcase_close_gate();
    fd = agentcase_connect();
    idle = agentcase_connect();
    ck_assert(agentcase_ask(fd, 1));
    while (agentcase_commands() == 0)
        usleep(1000);
    agentcase_stop();
    agentcase_expect_refusal(fd, ATLS_E_AGENT_UNAVAILABLE, "being stopped");
    agentcase_expect_end(idle);
    close(fd);
    close(idle);
    ck_assert_int_ne(access(agentcase.socket, F_OK), 0);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_B4_evidence_is_for_this_handshake),
    ONCE(test_B4_no_command_for_strangers),
    ONCE(test_B4_strangers_are_shown_out),
    ONCE(test_B4_malformed_requests),
    ONCE(test_R2_too_long_a_request),
    ONCE(test_B4_descriptors_are_not_taken),
    ONCE(test_one_request_at_a_time),
    ONCE(test_C8_connections_out_of_a_standing_connection),
    ONCE(test_B4_a_standing_connections_connections_are_whose_it_is),
    ONCE(test_B4_certificates_must_be_measured),
    ONCE(test_B4_log_that_cannot_be_read),
    ONCE(test_T16_reset_with_the_log_still_there),
    ONCE(test_stand_in_needs_no_measuring),
    ONCE(test_chain_is_taken_up_without_restart),
    ONCE(test_authorization_is_taken_up_without_restart),
    ONCE(test_configuration_is_taken_up_without_restart),
    ONCE(test_log_is_opened_anew),
    ONCE(test_configuration_that_is_gone),
    ONCE(test_reload_under_a_quote),
    ONCE(test_T5_tpm_dies_and_comes_back),
    ONCE(test_T6_tpm_is_reset),
    ONCE(test_T4_silent_tpm),
    ONCE(test_ending_refuses_what_waits),
};

SUITE(.name = "agent_server", .skip = swtpm_missing,
      .cases = {CASE("with a swtpm", tests, 60, agentcase_set_up,
                     agentcase_tear_down)});
