/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "attester/tpm.h"
#include "attester/tpm_link.h"
#include "lib/scratch.h"
#include "lib/suite.h"
#include "lib/tpmcase.h"

/* A TPM that works. What a faulty one does: check_tpm_faults.c. */

static const struct {
    const char *tcti;
    enum atls_error code;
    const char *text;
} bad_tctis[] = {
    {"device:/dev/no-such-tpm", ATLS_E_TPM_UNAVAILABLE,
     "cannot open the TPM /dev/no-such-tpm: No such file or directory; switch "
     "the TPM on"},
    {"device:dev/tpmrm0", ATLS_E_CONFIG,
     "tcti device:dev/tpmrm0: expected the absolute path of a device, such as "
     "/dev/tpmrm0"},
    {"device:/", ATLS_E_TPM_UNAVAILABLE,
     "cannot open the TPM /: Is a directory"},
    {"device", ATLS_E_TPM_UNAVAILABLE, "cannot open the TPM /dev/tpmrm0: "},
    {"swtpm:host=127.0.0.1,port=1", ATLS_E_TPM_UNAVAILABLE,
     "no TPM answers at swtpm:host=127.0.0.1,port=1: Connection refused; start "
     "swtpm there"},
    {"swtpm:host=no.such.host.invalid", ATLS_E_TPM_UNAVAILABLE,
     "host no.such.host.invalid: "},
    {"swtpm:port=70000", ATLS_E_CONFIG,
     "tcti swtpm:port=70000: expected swtpm:host=HOST,port=PORT"},
    {"swtpm:port=0", ATLS_E_CONFIG, "expected swtpm:host=HOST,port=PORT"},
    {"swtpm:port=2321x", ATLS_E_CONFIG, "expected swtpm:host=HOST,port=PORT"},
    {"swtpm:port=", ATLS_E_CONFIG, "expected swtpm:host=HOST,port=PORT"},
    {"swtpm:port=123456789", ATLS_E_CONFIG,
     "expected swtpm:host=HOST,port=PORT"},
    {"swtpm:path=/tmp/x", ATLS_E_CONFIG, "expected swtpm:host=HOST,port=PORT"},
    {"nosuchtcti:x", ATLS_E_CONFIG,
     "tpm2-tss has no TCTI \"nosuchtcti\": correct "
     "quoter, or install libtss2-tcti-nosuchtcti"},
    {"", ATLS_E_CONFIG,
     "no TCTI is named: expected one such as device:/dev/tpmrm0"},
};

START_TEST(test_T1_unreachable_tpm_is_named)
{
    tpmcase_expect(
        atls_tpm_open(bad_tctis[_i].tcti, &tpmcase.why, &tpmcase.tpm),
        bad_tctis[_i].code, bad_tctis[_i].text);
    ck_assert_ptr_null(tpmcase.tpm);
}
END_TEST

/* Nothing is written into what is no device. */
START_TEST(test_T1_a_file_is_no_tpm)
{
    static const char text[] = "not a TPM";
    struct stat before, after;
    char tcti[600];

    ck_assert_ptr_nonnull(scratch_make());
    scratch_write("tpm", text, sizeof(text) - 1, 0600);
    ck_assert_int_eq(mkfifo(scratch_path("fifo"), 0600), 0);
    ck_assert_int_eq(stat(scratch_path("tpm"), &before), 0);
    for (int i = 0; i < 2; i++) {
        snprintf(tcti, sizeof(tcti), "device:%s",
                 scratch_path(i == 0 ? "tpm" : "fifo"));
        tpmcase_expect(atls_tpm_open(tcti, &tpmcase.why, &tpmcase.tpm),
                       ATLS_E_CONFIG,
                       "is no TPM: expected a character device, such as "
                       "/dev/tpmrm0; correct quoter");
    }
    ck_assert_int_eq(stat(scratch_path("tpm"), &after), 0);
    ck_assert_int_eq(after.st_size, before.st_size);
    ck_assert_ptr_null(tpmcase.tpm);
    scratch_remove();
}
END_TEST

static const struct {
    const char *tcti;
    bool is_plain;
} ways[] = {
    {"device", true},
    {"device:/dev/tpm0", true},
    {"swtpm:host=127.0.0.1,port=2321", true},
    {"swtpm:host=::1", true},
    {"swtpm", false}, /* localhost is a name */
    {"swtpm:port=2321", false},
    {"swtpm:host=127.0.0.1,host=tpm.example", false},
    {"swtpm:host=127.0.0.1,port=0", false},
    {"cmd:id", false},
    {"mssim:host=127.0.0.1", false},
    {"libtss2-tcti-device.so.0:/dev/tpm0", false},
    {"/tmp/device:x", false},
    {"devices:x", false},
    {"", false},
};

START_TEST(test_what_runs_nothing_foreign)
{
    ck_assert_msg(atls_link_is_plain(ways[_i].tcti) == ways[_i].is_plain, "%s",
                  ways[_i].tcti);
}
END_TEST

/* Root passes by every mode: become nobody first. */
START_TEST(test_T1_no_permission_names_the_group)
{
    char path[600], tcti[620];
    int status, fd;
    pid_t pid;

    snprintf(path, sizeof(path), "%s/tpmrm0", swtpm_folder(tpmcase.swtpm));
    snprintf(tcti, sizeof(tcti), "device:%s", path);
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0000);
    ck_assert_int_ge(fd, 0);
    close(fd);
    ck_assert_int_eq(chmod(swtpm_folder(tpmcase.swtpm), 0755), 0);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0) {
        if (geteuid() == 0 && (setgroups(0, NULL) < 0 || setuid(65534) < 0))
            _exit(3);
        if (atls_tpm_open(tcti, &tpmcase.why, &tpmcase.tpm)
            != ATLS_E_TPM_UNAVAILABLE)
            _exit(1);
        _exit(strstr(tpmcase.why.text, "Permission denied; use the agent")
                  == NULL
              || strstr(tpmcase.why.text, "group tss") == NULL);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

#define WAYS 4

static void write_way(int way, char tcti[160])
{
    switch (way) {
    case 0:
        snprintf(tcti, 160, "swtpm:port=%u,host=localhost",
                 swtpm_port(tpmcase.swtpm));
        break;
    case 1: /* our link to devices */
        snprintf(tcti, 160, "%s", tpmcase_proxy_device(NULL));
        break;
    case 2: /* a TCTI of tpm2-tss, with a handle to poll */
        snprintf(tcti, 160, "libtss2-tcti-device.so.0%s",
                 strchr(tpmcase_proxy_device(NULL), ':'));
        break;
    default: /* and one without */
        snprintf(tcti, 160, "libtss2-tcti-swtpm.so.0%s",
                 strchr(swtpm_tcti(tpmcase.swtpm), ':'));
        break;
    }
}

START_TEST(test_all_ways_to_a_tpm)
{
    char tcti[160];

    write_way(_i, tcti);
    tpmcase_open_loaded(tcti);
    for (int i = 0; i < 3; i++) {
        tpmcase_expect(tpmcase_quote_consistent(TPMCASE_PCRS), ATLS_OK, "");
        tpmcase_check_quote(TPMCASE_PCRS);
    }
}
END_TEST

/* --- L14: programs without standard descriptors ------------------------------ */

struct printing {
    atomic_bool is_over;
    atomic_uint reached;
};

/* What the program prints, and what it reads, goes nowhere. */
static void use_standard(struct printing *printing)
{
    char octet;

    while (!printing->is_over)
        for (int fd = 0; fd <= 2; fd++)
            if (write(fd, "password", 8) >= 0 || errno != EBADF
                || read(fd, &octet, 1) >= 0 || errno != EBADF)
                atomic_fetch_add(&printing->reached, 1);
    _exit(0);
}

/* Another process with the same descriptors: clone(2). Sanitizers let no thread be
 * started in the child of a process with threads. */
static pid_t start_printing(struct printing *printing)
{
    pid_t pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);

    if (pid == 0)
        use_standard(printing);
    return pid;
}

static int use_closed(const char *tcti)
{
    struct printing *printing =
        mmap(NULL, sizeof(*printing), PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    enum atls_error r;
    pid_t pid;

    for (int fd = 0; fd <= 2; fd++)
        close(fd);
    if (printing == MAP_FAILED || (pid = start_printing(printing)) <= 0)
        return 1;
    r = atls_tpm_open(tcti, &tpmcase.why, &tpmcase.tpm);
    if (r == ATLS_OK)
        r = atls_tpm_load_ak(tpmcase.tpm, SWTPM_AK, NULL, 0, &tpmcase.why);
    for (int i = 0; i < 3 && r == ATLS_OK; i++)
        r = tpmcase_quote_consistent(TPMCASE_PCRS);
    tpmcase_close();
    printing->is_over = true;
    if (waitpid(pid, NULL, 0) != pid || r != ATLS_OK)
        return 2;
    return printing->reached == 0 ? 0 : 3;
}

START_TEST(test_L14_all_ways_to_a_tpm)
{
    char tcti[160];
    int status = -1;
    pid_t pid;

    write_way(_i, tcti);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        _exit(use_closed(tcti));
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
}
END_TEST

static const struct {
    const char *ak;
    enum atls_error code;
    const char *text;
} bad_aks[] = {
    {"0x81010077", ATLS_E_AK,
     "no key at AK handle 0x81010077: make one, see attest(7), or correct ak"},
    {"0x80000000", ATLS_E_CONFIG, "expected a persistent handle, 0x81000000"},
    {"0x82000000", ATLS_E_CONFIG, "expected a persistent handle, 0x81000000"},
    {"0x81010002 ", ATLS_E_CONFIG, "expected a persistent handle, 0x81000000"},
    {"0x", ATLS_E_CONFIG, "expected a persistent handle, 0x81000000"},
    {"81010002", ATLS_E_CONFIG, "expected a persistent handle such as"},
    {"/etc/attest/ak.pem", ATLS_E_CONFIG, "key files are not supported"},
};

START_TEST(test_T1_wrong_ak_is_named)
{
    tpmcase_open(swtpm_tcti(tpmcase.swtpm));
    tpmcase_expect(
        atls_tpm_load_ak(tpmcase.tpm, bad_aks[_i].ak, NULL, 0, &tpmcase.why),
        bad_aks[_i].code, bad_aks[_i].text);
    tpmcase_expect(tpmcase_quote(), ATLS_E_AK, "no AK is loaded");
    /* A refused AK spoils nothing. */
    tpmcase_expect(
        atls_tpm_load_ak(tpmcase.tpm, SWTPM_AK, NULL, 0, &tpmcase.why), ATLS_OK,
        "");
    tpmcase_expect(tpmcase_quote(), ATLS_OK, "");
}
END_TEST

/* The same without a TPM. */
START_TEST(test_T1_handles)
{
    uint32_t handle = 0;

    ck_assert_int_eq(atls_tpm_parse_ak("0x81ffffff", &tpmcase.why, &handle),
                     ATLS_OK);
    ck_assert_uint_eq(handle, 0x81ffffff);
    tpmcase_expect(atls_tpm_parse_ak("0x91010002", &tpmcase.why, &handle),
                   ATLS_E_CONFIG,
                   "ak = 0x91010002: expected a persistent handle, 0x81000000");
    tpmcase_expect(atls_tpm_parse_ak("foo", &tpmcase.why, &handle),
                   ATLS_E_CONFIG, "ak = foo: expected a persistent handle");
    ck_assert_uint_eq(handle, 0x81ffffff);
}
END_TEST

static const struct {
    uint32_t without;
    const char *text;
} bad_attributes[] = {
    {TPMA_OBJECT_RESTRICTED,
     "AK 0x81010002 lacks the attribute restricted: it signs whatever it is "
     "given; make another, see attest(7)"},
    {TPMA_OBJECT_SIGN_ENCRYPT, "lacks the attribute sign: it cannot sign"},
    {TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT,
     "lacks the attribute fixedTPM: it can be copied to another TPM"},
};

START_TEST(test_E3_ak_with_wrong_attributes)
{
    const struct swtpm_ak ak = {.without = bad_attributes[_i].without};

    ck_assert(swtpm_make_ak(tpmcase.swtpm, &ak));
    tpmcase_open(swtpm_tcti(tpmcase.swtpm));
    tpmcase_expect(
        atls_tpm_load_ak(tpmcase.tpm, SWTPM_AK, NULL, 0, &tpmcase.why),
        ATLS_E_AK, bad_attributes[_i].text);
    tpmcase_expect(tpmcase_quote(), ATLS_E_AK, "no AK is loaded");
}
END_TEST

START_TEST(test_T8_noDA_is_seen)
{
    const struct swtpm_ak ak = {.without = TPMA_OBJECT_NODA};

    tpmcase_open_loaded(swtpm_tcti(tpmcase.swtpm));
    ck_assert(atls_tpm_ak_has_no_da(tpmcase.tpm));
    tpmcase_close();
    ck_assert(swtpm_make_ak(tpmcase.swtpm, &ak));
    tpmcase_open_loaded(swtpm_tcti(tpmcase.swtpm));
    ck_assert(!atls_tpm_ak_has_no_da(tpmcase.tpm));
}
END_TEST

static void load_with_auth(const char *auth)
{
    tpmcase_expect(atls_tpm_load_ak(tpmcase.tpm, SWTPM_AK,
                                    (const uint8_t *)auth, strlen(auth),
                                    &tpmcase.why),
                   ATLS_OK, "");
}

/* With noDA a wrong value locks nothing, without it the TPM counts. */
START_TEST(test_T8_ak_authorization)
{
    const struct swtpm_ak ak = {
        .auth = "secret",
        .without = _i == 0 ? 0 : TPMA_OBJECT_NODA,
    };

    ck_assert(swtpm_make_ak(tpmcase.swtpm, &ak));
    tpmcase_open(swtpm_tcti(tpmcase.swtpm));
    load_with_auth("secret");
    tpmcase_expect(tpmcase_quote(), ATLS_OK, "");
    for (int tries = 0; tries < 50; tries++) {
        load_with_auth("wrong");
        tpmcase_expect(tpmcase_quote(), ATLS_E_TPM_AUTH,
                       "TPM2_Quote: the TPM ");
        if (strstr(tpmcase.why.text, "correct ak_auth") == NULL)
            break;
    }
    load_with_auth("secret");
    if (_i == 0)
        tpmcase_expect(tpmcase_quote(), ATLS_OK, "");
    else
        tpmcase_expect(tpmcase_quote(), ATLS_E_TPM_AUTH,
                       "the TPM is locked after wrong passwords: "
                       "tpm2_dictionarylockout -c");
}
END_TEST

START_TEST(test_ak_authorization_too_long)
{
    static const uint8_t auth[65];

    tpmcase_open(swtpm_tcti(tpmcase.swtpm));
    tpmcase_expect(atls_tpm_load_ak(tpmcase.tpm, SWTPM_AK, auth, sizeof(auth),
                                    &tpmcase.why),
                   ATLS_E_CONFIG,
                   "ak_auth has 65 octets: a TPM takes at most 64");
}
END_TEST

static const enum swtpm_key key_kinds[] = {SWTPM_P256, SWTPM_P384, SWTPM_RSASSA,
                                           SWTPM_RSAPSS};

START_TEST(test_quote_verifies_for_each_kind_of_key)
{
    const struct swtpm_ak ak = {.key = key_kinds[_i]};

    ck_assert(swtpm_make_ak(tpmcase.swtpm, &ak));
    tpmcase_open_loaded(swtpm_tcti(tpmcase.swtpm));
    tpmcase_expect(tpmcase_quote_consistent(TPMCASE_PCRS), ATLS_OK, "");
    tpmcase_check_quote(TPMCASE_PCRS);
}
END_TEST

/* More than TPM2_PCR_Read gives at a time, several banks, their order kept. */
START_TEST(test_pcrs_of_several_banks)
{
    static const char pcrs[] = "sha384:0-23+sha1:15,23+sha256:15";
    struct atls_pcr_selection selection = tpmcase_selection(pcrs);
    static const uint8_t zero[ATLS_PCR_DIGEST_MAX];
    uint8_t expected[ATLS_PCR_DIGEST_MAX] = {0};
    uint8_t digest[ATLS_SHA256_LEN];

    tpmcase_open_loaded(swtpm_tcti(tpmcase.swtpm));
    ck_assert(swtpm_extend(tpmcase.swtpm, 15, "something"));
    tpmcase_expect(atls_tpm_read_pcrs(tpmcase.tpm, &selection, &tpmcase.why,
                                      &tpmcase.values),
                   ATLS_OK, "");
    ck_assert_uint_eq(tpmcase.values.count, 3);
    ck_assert_int_eq(atls_sha256("something", 9, digest), ATLS_OK);
    ck_assert_int_eq(atls_pcr_extend(TPM2_ALG_SHA256, expected, digest),
                     ATLS_OK);
    ck_assert_mem_eq(atls_pcr_value(&tpmcase.values, TPM2_ALG_SHA256, 15),
                     expected, 32);
    ck_assert_mem_eq(atls_pcr_value(&tpmcase.values, TPM2_ALG_SHA384, 15), zero,
                     48);
    memset(expected, 0xff, sizeof(expected)); /* 17 to 22 begin so */
    ck_assert_mem_eq(atls_pcr_value(&tpmcase.values, TPM2_ALG_SHA384, 17),
                     expected, 48);
    ck_assert_ptr_null(atls_pcr_value(&tpmcase.values, TPM2_ALG_SHA256, 14));
    tpmcase_expect(tpmcase_quote_consistent(pcrs), ATLS_OK, "");
    tpmcase_check_quote(pcrs);
}
END_TEST

START_TEST(test_missing_bank_is_named)
{
    struct atls_pcr_selection selection =
        tpmcase_selection("sha256:0+sha384:3-5");
    struct atls_pcr_selection banks;

    ck_assert(swtpm_remove_bank(tpmcase.swtpm, TPM2_ALG_SHA384));
    tpmcase_open_loaded(swtpm_tcti(tpmcase.swtpm));
    tpmcase_expect(atls_tpm_read_pcrs(tpmcase.tpm, &selection, &tpmcase.why,
                                      &tpmcase.values),
                   ATLS_E_SELECTION,
                   "this TPM has no PCR 3 in bank sha384: take it out of pcrs");
    tpmcase_expect(tpmcase_quote_consistent("sha384:0"), ATLS_E_SELECTION,
                   "no PCR 0 in bank");
    tpmcase_expect(atls_tpm_banks(tpmcase.tpm, 15, &tpmcase.why, &banks),
                   ATLS_OK, "");
    ck_assert_uint_eq(banks.count, 3);
    for (size_t i = 0; i < banks.count; i++) {
        ck_assert_uint_ne(banks.banks[i].alg, TPM2_ALG_SHA384);
        ck_assert_uint_eq(banks.banks[i].mask, 1u << 15);
    }
    tpmcase_expect(atls_tpm_banks(tpmcase.tpm, 24, &tpmcase.why, &banks),
                   ATLS_E_SELECTION,
                   "this TPM has no PCR 24 in any bank that we know");
}
END_TEST

START_TEST(test_extend_reaches_every_bank)
{
    static const char text[] = "component x sha256:00";
    const struct atls_span content = {(const uint8_t *)text, sizeof(text) - 1};
    struct atls_pcr_selection banks;

    tpmcase_open(swtpm_tcti(tpmcase.swtpm));
    tpmcase_expect(
        atls_tpm_extend(tpmcase.tpm, 15, content, &tpmcase.why, &banks),
        ATLS_OK, "");
    tpmcase_expect(
        atls_tpm_extend(tpmcase.tpm, 15, content, &tpmcase.why, NULL), ATLS_OK,
        "");
    ck_assert_uint_eq(banks.count, 4);
    tpmcase_expect(
        atls_tpm_read_pcrs(tpmcase.tpm, &banks, &tpmcase.why, &tpmcase.values),
        ATLS_OK, "");
    for (size_t i = 0; i < banks.count; i++) {
        const struct atls_hash *hash = atls_hash_by_alg(banks.banks[i].alg);
        uint8_t expected[ATLS_PCR_DIGEST_MAX] = {0};
        uint8_t digest[ATLS_PCR_DIGEST_MAX];

        ck_assert_int_eq(atls_hash_parts(hash->ossl, &content, 1, digest, NULL),
                         ATLS_OK);
        for (int times = 0; times < 2; times++)
            ck_assert_int_eq(atls_pcr_extend(hash->alg, expected, digest),
                             ATLS_OK);
        ck_assert_mem_eq(atls_pcr_value(&tpmcase.values, hash->alg, 15),
                         expected, hash->len);
    }
}
END_TEST

/* The same handle, another key: nobody may take the one for the other. */
START_TEST(test_T6_key_was_replaced)
{
    const struct swtpm_ak other = {.unique = 7};

    tpmcase_open_loaded(swtpm_tcti(tpmcase.swtpm));
    tpmcase_expect(tpmcase_quote_consistent(TPMCASE_PCRS), ATLS_OK, "");
    ck_assert(swtpm_make_ak(tpmcase.swtpm, &other));
    tpmcase_expect(
        tpmcase_quote_consistent(TPMCASE_PCRS), ATLS_E_AK,
        "the key at AK handle 0x81010002 is not the one that was loaded: "
        "was the TPM cleared?");
    tpmcase_expect(
        atls_tpm_load_ak(tpmcase.tpm, SWTPM_AK, NULL, 0, &tpmcase.why), ATLS_OK,
        "");
    tpmcase_expect(tpmcase_quote_consistent(TPMCASE_PCRS), ATLS_OK, "");
    tpmcase_check_quote(TPMCASE_PCRS);
}
END_TEST

START_TEST(test_T6_reset_is_noticed)
{
    tpmcase_open_loaded(swtpm_tcti(tpmcase.swtpm));
    ck_assert(swtpm_extend(tpmcase.swtpm, 15, "before the reset"));
    tpmcase_expect(tpmcase_quote_consistent(TPMCASE_PCRS), ATLS_OK, "");
    ck_assert(swtpm_reset(tpmcase.swtpm));
    tpmcase_expect(tpmcase_quote_consistent(TPMCASE_PCRS), ATLS_OK, "");
    tpmcase_check_quote(TPMCASE_PCRS);
    ck_assert_mem_eq(atls_pcr_value(&tpmcase.values, TPM2_ALG_SHA256, 15),
                     (const uint8_t[32]){0}, 32);
}
END_TEST

START_TEST(test_T10_nothing_is_left_in_the_tpm)
{
    int before = swtpm_count_transient(tpmcase.swtpm);

    tpmcase_open_loaded(swtpm_tcti(tpmcase.swtpm));
    for (int i = 0; i < 500 * suite_scale(); i++)
        tpmcase_expect(tpmcase_quote_consistent(TPMCASE_PCRS), ATLS_OK, "");
    for (int i = 0; i < 20; i++) {
        tpmcase_close();
        tpmcase_open_loaded(swtpm_tcti(tpmcase.swtpm));
        tpmcase_expect(tpmcase_quote(), ATLS_OK, "");
    }
    ck_assert_int_eq(swtpm_count_transient(tpmcase.swtpm), before);
}
END_TEST

static const struct suite_test alone_tests[] = {
    LOOP(test_T1_unreachable_tpm_is_named, 0,
         sizeof(bad_tctis) / sizeof(bad_tctis[0])),
    ONCE(test_T1_a_file_is_no_tpm),
    LOOP(test_what_runs_nothing_foreign, 0, sizeof(ways) / sizeof(ways[0])),
};

static const struct suite_test with_tpm_tests[] = {
    ONCE(test_T1_no_permission_names_the_group),
    LOOP(test_all_ways_to_a_tpm, 0, WAYS),
    LOOP(test_L14_all_ways_to_a_tpm, 0, WAYS),
    ONCE(test_T1_handles),
    LOOP(test_T1_wrong_ak_is_named, 0, sizeof(bad_aks) / sizeof(bad_aks[0])),
    LOOP(test_E3_ak_with_wrong_attributes, 0,
         sizeof(bad_attributes) / sizeof(bad_attributes[0])),
    ONCE(test_T8_noDA_is_seen),
    LOOP(test_T8_ak_authorization, 0, 2),
    ONCE(test_ak_authorization_too_long),
    LOOP(test_quote_verifies_for_each_kind_of_key, 0,
         sizeof(key_kinds) / sizeof(key_kinds[0])),
    ONCE(test_pcrs_of_several_banks),
    ONCE(test_missing_bank_is_named),
    ONCE(test_extend_reaches_every_bank),
    ONCE(test_T6_key_was_replaced),
    ONCE(test_T6_reset_is_noticed),
    ONCE(test_T10_nothing_is_left_in_the_tpm),
};

SUITE(.name = "tpm", .skip = swtpm_missing,
      .cases = {CASE("without a TPM", alone_tests, 0, NULL, NULL),
                CASE("with a swtpm", with_tpm_tests, 60, tpmcase_set_up,
                     tpmcase_tear_down)});
