/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/instance.c and provider/verifier/policy.c: a policy that is replaced
 * while others go by it. Run it under ThreadSanitizer too. */
#include <check.h>
#include <malloc.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <tss2/tss2_tpm2_types.h>
#include <unistd.h>

#include "base/digest.h"
#include "instance.h"
#include "lib/factory.h"
#include "lib/factory_crl.h"
#include "lib/pidspace.h"
#include "lib/scratch.h"
#include "lib/suite.h"

#define READERS 3
#define ROUNDS 300
#define RELOADS 1000
/* What a policy is made of is some kilobytes. */
#define FLAT_OCTETS 4096

/* --- memory ---------------------------------------------------------------- */

static atomic_size_t in_use;
static _Thread_local void (*at_allocation)(void);
static _Thread_local unsigned allocations;

static void note_allocation(void)
{
    void (*hook)(void) = at_allocation;

    allocations++;
    if (hook == NULL)
        return;
    at_allocation = NULL;
    hook();
    at_allocation = hook;
}

static void *test_malloc(size_t len, const char *file, int line)
{
    void *data;

    (void)file;
    (void)line;
    note_allocation();
    data = malloc(len);
    if (data != NULL)
        atomic_fetch_add(&in_use, malloc_usable_size(data));
    return data;
}

static void test_free(void *data, const char *file, int line)
{
    (void)file;
    (void)line;
    if (data != NULL)
        atomic_fetch_sub(&in_use, malloc_usable_size(data));
    free(data);
}

static void *test_realloc(void *data, size_t len, const char *file, int line)
{
    size_t before = data != NULL ? malloc_usable_size(data) : 0;
    void *moved;

    (void)file;
    (void)line;
    note_allocation();
    moved = realloc(data, len);
    if (moved != NULL) {
        atomic_fetch_add(&in_use, malloc_usable_size(moved));
        atomic_fetch_sub(&in_use, before);
    }
    return moved;
}

/* --- policies -------------------------------------------------------------- */

static struct factory factory;

static void write_file(const char *name, const char *text)
{
    scratch_write("new", text, strlen(text), 0600);
    ck_assert_int_eq(rename(scratch_path("new"), scratch_path(name)), 0);
}

/* Two sections in two files that belong together. The evidence satisfies those
 * of a good version; of others PCR 11 begins with zeros. The component tells. */
static void write_version(const char *folder, const char *component, bool good)
{
    char pcr[2 * ATLS_SHA256_LEN + 1];
    char name[64];
    char text[2048];

    ck_assert_int_eq(mkdir(scratch_path(folder), 0700), 0);
    atls_hex(factory_pcr(&factory, TPM2_ALG_SHA256, 11), ATLS_SHA256_LEN, pcr);
    if (!good)
        memset(pcr, '0', 8);
    for (int i = 0; i < 2; i++) {
        snprintf(
            text, sizeof(text),
            "%s[%s]\nnames = %s.example\nmode = require\n"
            "trust = ../roots.pem\nmachines = any\ncertificate = any\n"
            "components = any\npcr.11 = %s\n"
            "component.%s = sha256:"
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
            "\n",
            i == 0 ? "[policy]\nservers = one two\notherwise = off\n"
                     "nameless = refuse\n.include rest.cnf\n"
                   : "",
            i == 0 ? "one" : "two", i == 0 ? "one" : "two", pcr, component);
        snprintf(name, sizeof(name), "%s/%s", folder,
                 i == 0 ? "policy.cnf" : "rest.cnf");
        write_file(name, text);
    }
}

/* All files at once: `current` is a link. */
static void publish(const char *folder)
{
    char link[4200];

    snprintf(link, sizeof(link), "%s", scratch_path("link"));
    ck_assert_int_eq(symlink(folder, link), 0);
    ck_assert_int_eq(rename(link, scratch_path("current")), 0);
}

static struct atls_instance *instance_of(const char *policy)
{
    const struct atls_setting settings[] = {
        {"log", scratch_path("log")},
        {"log_level", "error"},
        {"verifier.policy", scratch_path(policy)}};
    struct atls_instance *instance =
        atls_instance_new(settings, sizeof(settings) / sizeof(settings[0]));

    ck_assert_ptr_nonnull(instance);
    ck_assert_int_eq(atls_instance_broken(instance)->code, ATLS_OK);
    atls_instance_set_look_interval(instance, 0);
    return instance;
}

static void set_up(void)
{
    scratch_make();
    factory_init(&factory, 0);
    factory_make(&factory);
    factory_encode(&factory);
    factory_write_certificate(scratch_path("roots.pem"), factory.root_cert);
    write_version("good", "model-weights", true);
    write_version("bad", "no-such-thing", false);
    ck_assert_int_eq(mkdir(scratch_path("broken"), 0700), 0);
    write_file("broken/policy.cnf", "[policy]\notherwise = maybe\n");
    publish("good");
}

static void tear_down(void)
{
    factory_clear(&factory);
    scratch_remove();
}

static enum atls_error appraise(const struct atls_section *section)
{
    const struct atls_appraisal in = {
        .section = section,
        .cmw = {factory.cmw, factory.cmw_len},
        .role = factory.role,
        .channel = factory.channel,
        .cert_der = factory.cert_der,
        .now = FACTORY_NOW,
    };
    struct atls_report report;
    enum atls_error r = atls_appraise(&in, &report);

    atls_report_clear(&report);
    return r;
}

/* Wholly one or wholly the other; returns which. Threads do not assert. */
static bool is_whole(const struct atls_policy *policy, bool *ret_good)
{
    const struct atls_section *one = atls_policy_find(policy, "one");
    const struct atls_section *two = atls_policy_find(policy, "two");
    bool good;

    if (one == NULL || two == NULL)
        return false;
    good = strcmp(one->components[0].name, "model-weights") == 0;
    if (good != (strcmp(two->components[0].name, "model-weights") == 0)
        || good != (one->pcrs[11].values[0][0] != 0)
        || good != (two->pcrs[11].values[0][0] != 0))
        return false;
    *ret_good = good;
    return appraise(two) == (good ? ATLS_OK : ATLS_E_COMPONENT);
}

/* --- threads --------------------------------------------------------------- */

static struct atls_instance *shared;
static atomic_bool is_over;
static atomic_uint mixed, good_ones, bad_ones, refusals, wrong_refusals;

/* As contexts do: each keeps the policy that it was made with. */
static void *read_policies(void *unused)
{
    while (!atomic_load(&is_over)) {
        struct atls_reason why = {.code = ATLS_OK};
        struct atls_policy *policy = NULL;
        bool good = false;

        if (atls_instance_policy(shared, &why, &policy) != ATLS_OK) {
            atomic_fetch_add(&refusals, 1);
            if (policy != NULL
                || strstr(why.text, "otherwise: expected require, observe or "
                                    "off in lower case, found 'maybe'")
                       == NULL)
                atomic_fetch_add(&wrong_refusals, 1);
            continue;
        }
        if (!is_whole(policy, &good))
            atomic_fetch_add(&mixed, 1);
        atomic_fetch_add(good ? &good_ones : &bad_ones, 1);
        atls_policy_unref(policy);
    }
    return unused;
}

START_TEST(test_P3_snapshots_are_whole)
{
    static const char *const folders[] = {"bad", "good", "broken", "good"};
    pthread_t threads[READERS];

    shared = instance_of("current/policy.cnf");
    for (int i = 0; i < READERS; i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, read_policies, NULL),
                         0);
    for (int i = 0; i < ROUNDS; i++) {
        const struct timespec pause = {0, 1000000L * (i % 5)};

        publish(folders[i % 4]);
        (void)nanosleep(&pause, NULL);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < READERS; i++)
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
    atls_instance_unref(shared);
    ck_assert_uint_eq(mixed, 0);
    ck_assert_uint_eq(wrong_refusals, 0);
    ck_assert_uint_gt(good_ones, 0);
    ck_assert_uint_gt(bad_ones, 0);
    ck_assert_uint_gt(refusals, 0);
}
END_TEST

/* --- what is taken up ------------------------------------------------------ */

static struct atls_policy *taken(struct atls_instance *instance)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_policy *policy = NULL;
    enum atls_error r = atls_instance_policy(instance, &why, &policy);

    ck_assert_msg(r == ATLS_OK, "%s", why.text);
    ck_assert_ptr_nonnull(policy);
    return policy;
}

/* An invalid file refuses who comes, not who is there. */
START_TEST(test_P3_invalid_policy_refuses_new_contexts)
{
    struct atls_instance *instance = instance_of("current/policy.cnf");
    struct atls_policy *old = taken(instance), *none = old, *repaired;
    struct atls_reason why = {.code = ATLS_OK};
    bool good = false;

    publish("broken");
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(atls_instance_policy(instance, &why, &none),
                         ATLS_E_POLICY);
        ck_assert_ptr_null(none);
        ck_assert_ptr_nonnull(strstr(
            why.text, "/current/policy.cnf:2: otherwise: expected require"));
    }
    ck_assert(is_whole(old, &good) && good);
    publish("bad");
    repaired = taken(instance);
    ck_assert(is_whole(repaired, &good) && !good);
    ck_assert(is_whole(old, &good) && good);
    atls_instance_unref(instance);
    /* They outlive what they came from. */
    ck_assert(is_whole(repaired, &good) && !good);
    atls_policy_unref(repaired);
    atls_policy_unref(old);
}
END_TEST

/* A log with one event of PCR 4: Spec ID, then TCG_PCR_EVENT2 (TCG PC Client
 * Platform Firmware Profile, "Event Logging"). */
static void write_boot_log(const char *name)
{
    static const uint8_t head[] = {
        0, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 33, 0, 0, 0, 'S', 'p', 'e', 'c', ' ', 'I', 'D', ' ', 'E',
        'v', 'e', 'n', 't', '0', '3', 0, 0, 0, 0, 0, 0, 2, 0, 2, 1, 0, 0, 0,
        0x0b, 0, 32, 0, 0,
        /* The event. */
        4, 0, 0, 0, 3, 0, 0, 0x80, 1, 0, 0, 0, 0x0b, 0};
    uint8_t log[sizeof(head) + ATLS_SHA256_LEN + 5] = {0};

    memcpy(log, head, sizeof(head));
    log[sizeof(head) + ATLS_SHA256_LEN] = 1;
    scratch_write(name, log, sizeof(log), 0600);
}

static void write_crl(const char *name)
{
    const struct factory_crl plan =
        factory_crl_plan(factory.root_cert, factory.root.key);

    X509_CRL *crl = factory_crl(&plan);
    FILE *out = fopen(scratch_path(name), "we");

    ck_assert(out != NULL && PEM_write_X509_CRL(out, crl) == 1);
    ck_assert_int_eq(fclose(out), 0);
    X509_CRL_free(crl);
}

/* Files change, one at a time; each change shows at the next context. */
static const char *const parts[] = {"main.cnf", "rest.cnf",    "roots.pem",
                                    "ak.crl",   "section.log", "golden.log"};

static void write_parts(void)
{
    write_file("main.cnf", "[policy]\nservers = a\notherwise = off\n"
                           ".include rest.cnf\n");
    write_file(
        "rest.cnf",
        "[a]\nnames = a\nmode = observe\ntrust = roots.pem\n"
        "machines = any\ncrl = ak.crl\nboot_log = section.log\n"
        "reference = golden\n"
        "[golden]\nboot_log = golden.log\ncomponent.x = sha256:"
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
        "\n");
    write_boot_log("section.log");
    write_boot_log("golden.log");
    write_crl("ak.crl");
}

START_TEST(test_P3_each_file_is_taken_up)
{
    const struct timespec moment = {0, 30000000};
    struct atls_instance *instance;
    struct atls_policy *before, *same, *after;
    size_t len = 0;
    char *octets;

    write_parts();
    (void)nanosleep(&moment, NULL);
    instance = instance_of("main.cnf");
    before = taken(instance);
    same = taken(instance);
    ck_assert_ptr_eq(same, before);
    octets = scratch_read(parts[_i], &len);
    scratch_write("new", octets, len, 0600);
    ck_assert_int_eq(rename(scratch_path("new"), scratch_path(parts[_i])), 0);
    after = taken(instance);
    ck_assert_ptr_ne(after, before);
    free(octets);
    atls_policy_unref(before);
    atls_policy_unref(same);
    atls_policy_unref(after);
    atls_instance_unref(instance);
}
END_TEST

/* Replaced many times within one tick of the file system's clock, by files of
 * the same size that get each other's inodes. */
START_TEST(test_P3_replaced_twice_within_a_second)
{
    static const char form[] = "[policy]\notherwise = %s\n";
    struct atls_instance *instance;
    char text[64];

    snprintf(text, sizeof(text), form, "off    ");
    write_file("simple.cnf", text);
    instance = instance_of("simple.cnf");
    for (int i = 0; i < 200; i++) {
        const char *const names[] = {"x"};
        struct atls_policy *policy;
        struct atls_match match;

        snprintf(text, sizeof(text), form, i % 2 == 0 ? "require" : "off    ");
        if (i % 4 < 2)
            write_file("simple.cnf", text);
        else
            scratch_write("simple.cnf", text, strlen(text), 0600);
        policy = taken(instance);
        atls_policy_match_server(policy, names, 1, &match);
        ck_assert_msg(match.mode
                          == (i % 2 == 0 ? ATLS_MODE_REQUIRE : ATLS_MODE_OFF),
                      "round %d", i);
        atls_policy_unref(policy);
    }
    atls_instance_unref(instance);
}
END_TEST

/* --- while it is read ------------------------------------------------------ */

/* Other files each time, as two that take turns might be back in time. */
static void publish_another(void)
{
    static unsigned count;
    char folder[32];

    snprintf(folder, sizeof(folder), "version-%u", count++);
    write_version(folder, "model-weights", true);
    publish(folder);
}

/* At the 12th allocation and then no more: between the first file and the next. */
static void flip_once(void)
{
    static unsigned count;

    count++;
    if (count == 12)
        publish("bad");
}

/* scratch_path() has eight buffers, and publishing uses them all. */
static void write_path(char ret[4200])
{
    snprintf(ret, 4200, "%s", scratch_path("current/policy.cnf"));
}

/* Main file and include are of one time, whenever the change comes. */
START_TEST(test_P3_replaced_while_it_is_read)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_policy *policy = NULL;
    char path[4200];
    bool good = true;

    write_path(path);
    at_allocation = flip_once;
    ck_assert_int_eq(atls_policy_load(path, &why, &policy), ATLS_OK);
    at_allocation = NULL;
    ck_assert(is_whole(policy, &good) && !good);
    atls_policy_unref(policy);
}
END_TEST

START_TEST(test_P3_replaced_whenever_it_is_read)
{
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_policy *policy = NULL;
    char path[4200];

    write_path(path);
    at_allocation = publish_another;
    ck_assert_int_eq(atls_policy_load(path, &why, &policy), ATLS_E_IO);
    at_allocation = NULL;
    ck_assert_ptr_null(policy);
    ck_assert_int_eq(why.code, ATLS_E_IO);
    ck_assert_msg(strstr(why.text,
                         "/current/policy.cnf: replaced, it or a file that it "
                         "names, during each of 8 readings")
                      != NULL,
                  "%s", why.text);
}
END_TEST

/* A fork while another thread reads the files leaves the child without that
 * thread: the child reads them itself. */
static struct atls_instance *forked_instance;
static pid_t (*fork_as)(void) = fork;
static int child_status = -1;

static void fork_here(void)
{
    struct atls_policy *policy = NULL;
    bool good = true;
    pid_t pid;

    if (child_status >= 0)
        return;
    pid = fork_as();
    if (pid == 0)
        /* No exit: leak checkers would find what the parent still holds. */
        _exit(atls_instance_policy(forked_instance, NULL, &policy) == ATLS_OK
                      && is_whole(policy, &good) && !good
                  ? 0
                  : 1);
    ck_assert_int_gt(pid, 0);
    ck_assert_int_eq(waitpid(pid, &child_status, 0), pid);
}

static int fork_while_it_is_read(void)
{
    struct atls_instance *instance = instance_of("current/policy.cnf");

    forked_instance = instance;
    publish("bad");
    at_allocation = fork_here;
    atls_policy_unref(taken(instance));
    at_allocation = NULL;
    atls_instance_unref(instance);
    return child_status == 0 ? 0 : 1;
}

START_TEST(test_L3_fork_while_it_is_read)
{
    ck_assert_int_eq(fork_while_it_is_read(), 0);
}
END_TEST

/* Both have the number 1. */
START_TEST(test_L17_fork_while_it_is_read)
{
    fork_as = pidspace_fork;
    if (pidspace_is_there())
        ck_assert(pidspace_run(fork_while_it_is_read));
}
END_TEST

/* --- memory ---------------------------------------------------------------- */

/* Policies that nobody goes by are let go; those of contexts stay. */
START_TEST(test_L13_reloads_keep_memory_flat)
{
    struct atls_instance *instance = instance_of("current/policy.cnf");
    struct atls_policy *kept = taken(instance);
    struct atls_reason why = {.code = ATLS_OK};
    size_t before = 0;
    bool good = false;

    for (int i = 0; i < RELOADS + 8; i++) {
        static const char *const folders[] = {"good", "bad", "broken"};
        struct atls_policy *policy = NULL;

        /* After a good one, and when caches are warm. */
        if (i == 7)
            before = atomic_load(&in_use);
        publish(folders[i % 3]);
        ck_assert_int_eq(atls_instance_policy(instance, &why, &policy),
                         i % 3 == 2 ? ATLS_E_POLICY : ATLS_OK);
        atls_policy_unref(policy);
    }
    ck_assert_int_eq(RELOADS % 3, 1); /* the same one in force */
    ck_assert_uint_lt(atomic_load(&in_use), before + FLAT_OCTETS);
    ck_assert(is_whole(kept, &good) && good);
    atls_policy_unref(kept);
    atls_instance_unref(instance);
}
END_TEST

static void begin(void)
{
    if (!CRYPTO_set_mem_functions(test_malloc, test_realloc, test_free))
        exit(EXIT_FAILURE);
    ERR_clear_error();
}

static const struct suite_test tests[] = {
    ONCE(test_P3_snapshots_are_whole),
    ONCE(test_P3_invalid_policy_refuses_new_contexts),
    LOOP(test_P3_each_file_is_taken_up, 0, sizeof(parts) / sizeof(parts[0])),
    ONCE(test_P3_replaced_twice_within_a_second),
    ONCE(test_P3_replaced_while_it_is_read),
    ONCE(test_P3_replaced_whenever_it_is_read),
    ONCE(test_L3_fork_while_it_is_read),
    ONCE(test_L17_fork_while_it_is_read),
    ONCE(test_L13_reloads_keep_memory_flat),
};

SUITE(.name = "policy_reload", .begin = begin, .end = factory_free_keys,
      .cases = {CASE("policy_reload", tests, 300, set_up, tear_down)});
