/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/evidence_server.h"
#include "lib/scratch.h"
#include "lib/suite.h"
#include "tools/common/peer.h"
#include "tools/common/evidence_file.h"
#include "unit/prompt.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))
#define TIMEOUT_MS 5000u

static struct factory factory;
static struct evidence_server *server;
static struct peer_evidence evidence;
static struct atls_reason why;

static void setup(void)
{
    scratch_make();
    factory_init(&factory, 0);
    evidence_server_now(&factory, 30);
    factory_make(&factory);
    memset(&evidence, 0, sizeof(evidence));
    memset(&why, 0, sizeof(why));
    server = NULL;
}

static void teardown(void)
{
    if (server != NULL)
        evidence_server_stop(server);
    tool_peer_evidence_clear(&evidence);
    factory_clear(&factory);
    factory_free_keys();
    scratch_remove();
}

/* --- addresses -------------------------------------------------------------- */

static const struct {
    const char *text;
    const char *host; /* NULL: refused */
    const char *port;
    bool is_literal;
} addresses[] = {
    {"example.com", "example.com", "443", false},
    {"example.com:8443", "example.com", "8443", false},
    {"localhost:1", "localhost", "1", false},
    {"192.0.2.1", "192.0.2.1", "443", true},
    {"192.0.2.1:65535", "192.0.2.1", "65535", true},
    {"::1", "::1", "443", true},
    {"2001:db8::1", "2001:db8::1", "443", true},
    {"[2001:db8::1]", "2001:db8::1", "443", true},
    {"[::1]:8443", "::1", "8443", true},
    {"", NULL, NULL, false},
    {":443", NULL, NULL, false},
    {"[::1", NULL, NULL, false},
    {"[]", NULL, NULL, false},
    {"[::1]443", NULL, NULL, false},
    {"[example.com]:443", NULL, NULL, false},
    {"[192.0.2.1]:443", NULL, NULL, false},
    {"example.com:", NULL, NULL, false},
    {"example.com:0", NULL, NULL, false},
    {"example.com:65536", NULL, NULL, false},
    {"example.com:http", NULL, NULL, false},
    {"example.com:443x", NULL, NULL, false},
    {"example.com:-1", NULL, NULL, false},
    {"1:2:3:4", NULL, NULL, false},
    {"https://example.com/", NULL, NULL, false},
};

START_TEST(test_address)
{
    struct peer_address address;
    enum atls_error r =
        tool_peer_address_parse(addresses[_i].text, &why, &address);

    if (addresses[_i].host == NULL) {
        ck_assert_msg(r == ATLS_E_USAGE, "'%s'", addresses[_i].text);
        ck_assert_ptr_nonnull(strstr(why.text, addresses[_i].text));
        return;
    }
    ck_assert_msg(r == ATLS_OK, "'%s'", addresses[_i].text);
    ck_assert_str_eq(address.host, addresses[_i].host);
    ck_assert_str_eq(address.port, addresses[_i].port);
    ck_assert_int_eq(address.is_literal, addresses[_i].is_literal);
}
END_TEST

START_TEST(test_address_says_how)
{
    struct peer_address address;

    ck_assert_int_eq(
        tool_peer_address_parse("https://example.com:443", &why, &address),
        ATLS_E_USAGE);
    ck_assert_ptr_nonnull(strstr(why.text, "found a URL: leave out scheme"));
    ck_assert_int_eq(tool_peer_address_parse("::1:18443", &why, &address),
                     ATLS_E_USAGE);
    ck_assert_ptr_nonnull(strstr(why.text, "it is written [ADDRESS]:PORT"));
}
END_TEST

START_TEST(test_address_too_long)
{
    struct peer_address address;
    char text[300];

    memset(text, 'a', sizeof(text));
    text[sizeof(address.host)] = '\0';
    ck_assert_int_eq(tool_peer_address_parse(text, &why, &address),
                     ATLS_E_USAGE);
    text[sizeof(address.host) - 1] = '\0';
    ck_assert_int_eq(tool_peer_address_parse(text, &why, &address), ATLS_OK);
}
END_TEST

/* --- fetching --------------------------------------------------------------- */

static enum atls_error fetch(const char *host, const char *cafile,
                             unsigned timeout_ms)
{
    struct peer_address address = {.is_literal = host[0] == '1'};

    snprintf(address.host, sizeof(address.host), "%s", host);
    snprintf(address.port, sizeof(address.port), "%u",
             evidence_server_port(server));
    return tool_peer_fetch(&address, cafile, timeout_ms, &why, &evidence);
}

START_TEST(test_fetch)
{
    server = evidence_server_start(SERVE_EVIDENCE, &factory);
    ck_assert_int_eq(fetch("127.0.0.1", NULL, TIMEOUT_MS), ATLS_OK);
    ck_assert_mem_eq(evidence.channel, evidence_server_channel(server),
                     ATLS_CHANNEL_LEN);
    ck_assert(evidence.has_channel && evidence.is_live);
    ck_assert_uint_eq(evidence.cmw_len, factory.cmw_len);
    ck_assert_mem_eq(evidence.cmw, factory.cmw, factory.cmw_len);
    ck_assert_uint_eq(evidence.cert_len, factory.cert_der.len);
    ck_assert_mem_eq(evidence.cert_der, factory.cert_der.data,
                     factory.cert_der.len);
    ck_assert_str_eq(evidence.name, "127.0.0.1");
    ck_assert_str_eq(evidence.address, "127.0.0.1");
    ck_assert_int_eq(evidence.role, ATLS_ROLE_SERVER);
    ck_assert_ptr_nonnull(strstr(evidence.tls, "TLSv1.3, TLS_"));
    ck_assert_int_le(llabs(evidence.time - (int64_t)time(NULL)), 60);
}
END_TEST

/* The certificate's own chain and name are told, not enforced. */
static const struct {
    const char *host;
    bool with_ca;
    bool valid;
    const char *pki;
} pki_cases[] = {
    {"localhost", true, false, "ostname mismatch"},
    {"127.0.0.1", true, false, "IP address mismatch"},
    {"localhost", false, false, "self-signed certificate in certificate chain"},
};

START_TEST(test_pki_is_told)
{
    const char *cafile = NULL;

    if (pki_cases[_i].with_ca) {
        cafile = scratch_path("ca.pem");
        factory_write_certificate(cafile, factory.authority_cert);
    }
    server = evidence_server_start(SERVE_EVIDENCE, &factory);
    ck_assert_int_eq(fetch(pki_cases[_i].host, cafile, TIMEOUT_MS), ATLS_OK);
    ck_assert_int_eq(evidence.pki_valid, pki_cases[_i].valid);
    ck_assert_msg(strstr(evidence.pki, pki_cases[_i].pki) != NULL, "%s",
                  evidence.pki);
}
END_TEST

START_TEST(test_pki_valid)
{
    const char *cafile = scratch_path("ca.pem");

    factory.leaf.extensions =
        FACTORY_AK_BASE_EXTENSIONS "subjectAltName=DNS:localhost,IP:127.0.0.1";
    factory_make(&factory);
    factory_write_certificate(cafile, factory.authority_cert);
    server = evidence_server_start(SERVE_EVIDENCE, &factory);
    ck_assert_int_eq(
        fetch(_i == 0 ? "localhost" : "127.0.0.1", cafile, TIMEOUT_MS),
        ATLS_OK);
    ck_assert_msg(evidence.pki_valid, "%s", evidence.pki);
    ck_assert_str_eq(evidence.pki, "ok");
}
END_TEST

START_TEST(test_cafile_is_unusable)
{
    const char *cafile = scratch_path("ca.pem");

    if (_i == 1)
        scratch_write("ca.pem", "nothing\n", 8, 0644);
    server = evidence_server_start(SERVE_EVIDENCE, &factory);
    ck_assert_int_eq(fetch("127.0.0.1", cafile, TIMEOUT_MS), ATLS_E_CONFIG);
    ck_assert_ptr_nonnull(strstr(why.text, "--cafile"));
}
END_TEST

static const struct {
    enum evidence_server_kind kind;
    enum atls_error error;
    const char *text;
} failures[] = {
    {SERVE_NO_EVIDENCE, ATLS_E_NO_EVIDENCE, "sent no attestation evidence"},
    {SERVE_MISPLACED, ATLS_E_MISPLACED, "outside the first certificate entry"},
    {SERVE_BAD_LENGTH, ATLS_E_MALFORMED, "is no evidence"},
    {SERVE_EMPTY, ATLS_E_MALFORMED, "is no evidence"},
    {SERVE_INTERNAL_ERROR, ATLS_E_NO_EVIDENCE,
     "alert internal error; see that server's own log: a server that cannot "
     "prove itself ends like this"},
    {SERVE_TLS12, ATLS_E_VERSION, "does not speak TLS 1.3"},
    {SERVE_TEXT, ATLS_E_NO_EVIDENCE, "does not speak TLS"},
    {SERVE_HANGUP, ATLS_E_NO_EVIDENCE, "handshake with 127.0.0.1"},
    {SERVE_SILENCE, ATLS_E_NO_EVIDENCE, "timed out: --timeout"},
};

START_TEST(test_fetch_fails)
{
    unsigned timeout = failures[_i].kind == SERVE_SILENCE ? 200 : TIMEOUT_MS;

    server = evidence_server_start(failures[_i].kind, &factory);
    ck_assert_int_eq(fetch("127.0.0.1", NULL, timeout), failures[_i].error);
    ck_assert_int_eq(why.code, failures[_i].error);
    ck_assert_msg(strstr(why.text, failures[_i].text) != NULL, "%s", why.text);
    ck_assert_ptr_null(evidence.cmw);
}
END_TEST

START_TEST(test_nobody_listens)
{
    struct peer_address address = {.host = "127.0.0.1", .is_literal = true};

    server = evidence_server_start(SERVE_EVIDENCE, &factory);
    snprintf(address.port, sizeof(address.port), "%u",
             evidence_server_port(server));
    evidence_server_stop(server);
    server = NULL;
    ck_assert_int_eq(
        tool_peer_fetch(&address, NULL, TIMEOUT_MS, &why, &evidence),
        ATLS_E_NO_EVIDENCE);
    ck_assert_ptr_nonnull(strstr(why.text, "Connection refused"));
}
END_TEST

START_TEST(test_unknown_host)
{
    const struct peer_address address = {.host = "host.invalid", .port = "443"};

    ck_assert_int_eq(
        tool_peer_fetch(&address, NULL, TIMEOUT_MS, &why, &evidence),
        ATLS_E_NO_EVIDENCE);
    ck_assert_ptr_nonnull(strstr(why.text, "cannot resolve host.invalid"));
}
END_TEST

/* What is shown to those that do not ask. */
static enum peer_answer ask_plainly(enum evidence_server_kind kind)
{
    struct peer_address address = {.host = "127.0.0.1", .is_literal = true};

    server = evidence_server_start(kind, &factory);
    snprintf(address.port, sizeof(address.port), "%u",
             evidence_server_port(server));
    return tool_peer_ask_plainly(&address, TIMEOUT_MS, &why, &evidence);
}

START_TEST(test_plainly)
{
    ck_assert_int_eq(ask_plainly(SERVE_EVIDENCE), PEER_NO_EVIDENCE);
    ck_assert_ptr_null(evidence.cmw);
    ck_assert_uint_gt(evidence.cert_len, 0);
    ck_assert_ptr_nonnull(strstr(evidence.tls, "TLSv1.3"));
}
END_TEST

static const struct {
    enum evidence_server_kind kind;
    enum peer_answer answer;
} plain_answers[] = {{SERVE_TLS12, PEER_OLD_TLS},
                     {SERVE_TEXT, PEER_NO_TLS},
                     {SERVE_HANGUP, PEER_NO_TLS}};

START_TEST(test_plainly_nothing)
{
    ck_assert_int_eq(ask_plainly(plain_answers[_i].kind),
                     plain_answers[_i].answer);
    ck_assert_ptr_null(evidence.cert_der);
}
END_TEST

/* --- saved evidence --------------------------------------------------------- */

START_TEST(test_saved_again)
{
    struct peer_evidence again = {0};
    const char *path = scratch_path("evidence.json");

    server = evidence_server_start(SERVE_EVIDENCE, &factory);
    ck_assert_int_eq(fetch("127.0.0.1", NULL, TIMEOUT_MS), ATLS_OK);
    ck_assert_int_eq(tool_evidence_file_write(path, &evidence, &why), ATLS_OK);
    ck_assert_int_eq(tool_evidence_file_read(path, &why, &again), ATLS_OK);
    ck_assert_uint_eq(again.cmw_len, evidence.cmw_len);
    ck_assert_mem_eq(again.cmw, evidence.cmw, evidence.cmw_len);
    ck_assert_uint_eq(again.cert_len, evidence.cert_len);
    ck_assert_mem_eq(again.cert_der, evidence.cert_der, evidence.cert_len);
    ck_assert(again.has_channel && !again.is_live);
    ck_assert_mem_eq(again.channel, evidence.channel, ATLS_CHANNEL_LEN);
    ck_assert_str_eq(again.name, evidence.name);
    ck_assert_str_eq(again.address, evidence.address);
    ck_assert_int_eq(again.time, evidence.time);
    ck_assert_int_eq(again.role, evidence.role);
    tool_peer_evidence_clear(&again);
}
END_TEST

/* Every remainder of base64's groups of three. */
START_TEST(test_saved_lengths)
{
    uint8_t octets[5] = {0x82, 0, 0xff, '=', 0};
    const struct peer_evidence plain = {
        .role = ATLS_ROLE_CLIENT, .cmw = octets, .cmw_len = (size_t)_i + 1};
    const char *path = scratch_path("evidence.json");

    ck_assert_int_eq(tool_evidence_file_write(path, &plain, &why), ATLS_OK);
    ck_assert_int_eq(tool_evidence_file_read(path, &why, &evidence), ATLS_OK);
    ck_assert_uint_eq(evidence.cmw_len, plain.cmw_len);
    ck_assert_mem_eq(evidence.cmw, octets, plain.cmw_len);
    ck_assert_int_eq(evidence.role, ATLS_ROLE_CLIENT);
    ck_assert(!evidence.has_channel);
    ck_assert_ptr_null(evidence.cert_der);
    ck_assert_ptr_null(evidence.name);
}
END_TEST

START_TEST(test_bare_record)
{
    factory_encode(&factory);
    scratch_write("record", factory.cmw, factory.cmw_len, 0644);
    ck_assert_int_eq(
        tool_evidence_file_read(scratch_path("record"), &why, &evidence),
        ATLS_OK);
    ck_assert_uint_eq(evidence.cmw_len, factory.cmw_len);
    ck_assert(!evidence.has_channel);
}
END_TEST

#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

static const struct {
    const char *text;
    const char *error; /* NULL: read */
} files[] = {
    {"{\"version\":1,\"cmw\":\"ggA=\"}", NULL},
    {" \n{\"version\":1,\"cmw\":\"ggA=\",\"channel\":\"" ZEROS "\"}", NULL},
    {"", "is empty"},
    {"hello", "is neither"},
    {"[1]", "is neither"},
    {"{", "not the JSON of saved evidence"},
    {"{}", "wrong version or cmw"},
    {"{\"version\":1}", "wrong version or cmw"},
    {"{\"version\":2,\"cmw\":\"ggA=\"}", "wrong version"},
    {"{\"version\":1,\"cmw\":7}", "wrong version or cmw"},
    {"{\"version\":1,\"cmw\":\"\"}", "wrong cmw"},
    {"{\"version\":1,\"cmw\":\"gg\"}", "wrong cmw"},
    {"{\"version\":1,\"cmw\":\"====\"}", "wrong cmw"},
    {"{\"version\":1,\"cmw\":\"!!!!\"}", "wrong cmw"},
    {"{\"version\":1,\"cmw\":\"ggA=\",\"cmw\":\"ggA=\"}", "duplicate"},
    {"{\"version\":1,\"cmw\":\"ggA=\",\"role\":\"x\"}", "wrong role"},
    {"{\"version\":1,\"cmw\":\"ggA=\",\"channel\":\"00\"}", "wrong channel"},
    {"{\"version\":1,\"cmw\":\"ggA=\",\"channel\":\"zz\"}", "wrong channel"},
    {"{\"version\":1,\"cmw\":\"ggA=\",\"certificate\":\"x\"}",
     "wrong certificate"},
    {"{\"version\":1,\"cmw\":\"ggA=\",\"certificate\":\"" ENCRYPTED_PEM(
         "CERTIFICATE", "\\n") "\"}",
     "wrong certificate"},
    /* What would forge a line or reach the terminal. */
    {"{\"version\":1,\"cmw\":\"ggA=\",\"peer\":\"a\\n[lab] accepts b\"}",
     "wrong peer"},
    {"{\"version\":1,\"cmw\":\"ggA=\",\"peer\":\"a\\u001b[2J\"}", "wrong peer"},
    {"{\"version\":1,\"cmw\":\"ggA=\",\"peer\":\"a\\u202eb\"}", "wrong peer"},
    {"{\"version\":1,\"cmw\":\"ggA=\",\"address\":\"::1\\u007f\"}",
     "wrong address"},
};

START_TEST(test_saved_file)
{
    watch_prompts();
    scratch_write("file", files[_i].text, strlen(files[_i].text), 0644);
    if (files[_i].error == NULL) {
        ck_assert_int_eq(
            tool_evidence_file_read(scratch_path("file"), &why, &evidence),
            ATLS_OK);
        return;
    }
    ck_assert_int_eq(
        tool_evidence_file_read(scratch_path("file"), &why, &evidence),
        ATLS_E_MALFORMED);
    ck_assert_msg(strstr(why.text, files[_i].error) != NULL, "%s", why.text);
    ck_assert(!was_asked);
}
END_TEST

START_TEST(test_saved_file_cannot_be_read)
{
    char *huge = calloc(1, EVIDENCE_FILE_MAX + 1);

    ck_assert_int_eq(
        tool_evidence_file_read(scratch_path("missing"), &why, &evidence),
        ATLS_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, "No such file"));
    ck_assert_int_eq(tool_evidence_file_read(scratch_path(""), &why, &evidence),
                     ATLS_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, "Is a directory"));
    ck_assert_int_eq(tool_evidence_file_read("/dev/zero", &why, &evidence),
                     ATLS_E_IO);
    scratch_write("huge", huge, EVIDENCE_FILE_MAX + 1, 0644);
    free(huge);
    ck_assert_int_eq(
        tool_evidence_file_read(scratch_path("huge"), &why, &evidence),
        ATLS_E_LIMIT);
    ck_assert_ptr_nonnull(strstr(why.text, "larger than 256 KiB"));
}
END_TEST

START_TEST(test_saved_cannot_be_written)
{
    uint8_t octet = 0x82;
    const struct peer_evidence plain = {
        .role = ATLS_ROLE_SERVER, .cmw = &octet, .cmw_len = 1};

    ck_assert_int_eq(
        tool_evidence_file_write(scratch_path("no/such"), &plain, &why),
        ATLS_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, "No such file"));
    ck_assert_int_eq(tool_evidence_file_write("/dev/full", &plain, &why),
                     ATLS_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, "No space left"));
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_address, 0, COUNT(addresses)),
    ONCE(test_address_says_how),
    ONCE(test_address_too_long),
    ONCE(test_fetch),
    LOOP(test_pki_is_told, 0, COUNT(pki_cases)),
    LOOP(test_pki_valid, 0, 2),
    LOOP(test_cafile_is_unusable, 0, 2),
    LOOP(test_fetch_fails, 0, COUNT(failures)),
    ONCE(test_nobody_listens),
    ONCE(test_unknown_host),
    ONCE(test_plainly),
    LOOP(test_plainly_nothing, 0, COUNT(plain_answers)),
    ONCE(test_saved_again),
    LOOP(test_saved_lengths, 0, 5),
    ONCE(test_bare_record),
    LOOP(test_saved_file, 0, COUNT(files)),
    ONCE(test_saved_file_cannot_be_read),
    ONCE(test_saved_cannot_be_written),
};

SUITE(.name = "tool_common_peer",
      .cases = {CASE("tool_common_peer", tests, 60, setup, teardown)});
