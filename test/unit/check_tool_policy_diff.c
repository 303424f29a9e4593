/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/suite.h"
#include "unit/tool_saved.h"

#define EV_POST_CODE 0x00000001u
#define EV_SEPARATOR 0x00000004u
#define EV_EFI_ACTION 0x80000007u

/* Save twice, before and after a change, and compare. */
static void diff_after(void (*change)(void), bool certifies_anew)
{
    save("a.json");
    change();
    if (certifies_anew)
        factory_make(&factory);
    else
        factory_quote(&factory);
    save_as_made("b.json");
    RUN(false, "diff", scratch_path("a.json"), scratch_path("b.json"));
}

START_TEST(test_diff_of_the_same)
{
    json_t *object;

    save("a.json");
    RUN(false, "diff", scratch_path("a.json"), scratch_path("a.json"));
    ASSERT_STATUS(TOOL_DONE);
    ASSERT_HAS(result.out, "a.json: api.example, 2026-01-01T00:00:00Z\n");
    ASSERT_HAS(result.out,
               "same: sha256 PCRs 0 1 2 3 4 5 6 7 8 9 11 12 13 14 15, measured "
               "log, machine, AK, TLS certificate\n");
    RUN(true, "diff", scratch_path("a.json"), scratch_path("a.json"));
    ASSERT_STATUS(TOOL_DONE);
    object = verb_json(&result);
    ck_assert(json_is_true(json_object_get(object, "same")));
    ck_assert_uint_eq(json_array_size(json_object_get(object, "differences")),
                      0);
    json_decref(object);
}
END_TEST

static void change_pcr(void)
{
    memset(factory_pcr(&factory, TPM2_ALG_SHA256, 4), 0xab, 32);
}

static void quote_fewer(void)
{
    factory.selection.banks[0].mask &= ~(UINT32_C(1) << 9);
}

static void quote_other_bank(void)
{
    factory.selection.banks[0].alg = TPM2_ALG_SHA384;
}

static void change_component(void)
{
    factory.log_count = 0;
    factory_log(&factory, factory_component("model-weights", 'a'));
    factory_log(&factory, factory_component("server-code", 'c'));
    factory_log(&factory, "%");
}

static void add_events(void)
{
    factory_log(&factory, factory_component("extra", 'd'));
    factory_log(&factory, "machine-id:\x1b[31m");
}

static void remove_component(void)
{
    factory.log_count = 0;
    factory_log(&factory, factory_component("server-code", 'b'));
    factory_log(&factory, "%");
}

static void repeat_event(void)
{
    factory_log(&factory, factory_component("server-code", 'b'));
}

static void reorder(void)
{
    factory.log_count = 0;
    factory_log(&factory, factory_component("server-code", 'b'));
    factory_log(&factory, factory_component("model-weights", 'a'));
    factory_log(&factory, "%");
}

static void change_ak(void)
{
    factory.ak.key = factory_key(FACTORY_P256, 5);
}

static void renew_certificates(void)
{
    factory.ak.not_after += FACTORY_DAY;
    factory.leaf.not_after -= FACTORY_DAY;
}

/* Lines, without that of PCR 15 where the log has changed. */
static const struct {
    void (*change)(void);
    const char *line;
    const char *absent;
    bool certifies_anew; /* so that each certificate is another */
} changes[] = {
    {change_pcr, " -> abababab", "PCR 5", false},
    {change_pcr, "PCR 4 sha256 (boot loader and kernel): ", "boot log", false},
    {change_pcr, "PCRs 0 1 2 3 5 6 7", "measured log:", false},
    {quote_fewer,
     "PCR 9 sha256 (initrd, files GRUB read): only in A: ", "PCR 8", false},
    {quote_other_bank, "PCR 0 sha256 (firmware code): only in A: ", "same: sh",
     false},
    {quote_other_bank, "PCR 0 sha384 (firmware code): only in B: ", "same: sh",
     false},
    {change_component,
     "component server-code: "
     "sha256:"
     "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb -> "
     "sha256:"
     "cccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccccc\n",
     "only in", false},
    {add_events, "measured log: only in B: component extra sha256:dddd",
     "server-code", false},
    {add_events, "measured log: only in B: machine-id:\\x1b[31m\n", "only in A",
     false},
    {remove_component,
     "measured log: only in A: component model-weights sha256:aaaa",
     "only in B", false},
    {repeat_event, "measured log: only in B: component server-code sha256:bb",
     "only in A", false},
    {reorder, "measured log: the same events -> in another order\n", "only in",
     false},
    {change_ak, "\nmachine: machine0.example, sha256:", "AK certificate (the",
     true},
    {change_ak, "\nAK: CN=", "AK certificate (the key", true},
    {renew_certificates,
     "\nAK certificate (the key is the same): CN=", "\nAK:", true},
    {renew_certificates, "\nTLS certificate (the key is the same): CN=",
     "\nTLS certificate:", true},
    {renew_certificates, "\nmeasured log: only in A: certificate sha256:",
     "only in B: component", true},
};

START_TEST(test_diff_of_evidence)
{
    diff_after(changes[_i].change, changes[_i].certifies_anew);
    ASSERT_STATUS(TOOL_REFUSED);
    ASSERT_HAS(result.out, changes[_i].line);
    ASSERT_HAS_NOT(result.out, changes[_i].absent);
}
END_TEST

/* Boot logs of three events of PCR 4, the second of which is what is given; NULL:
 * none. PCR 0 comes between. */
static void boot(const char *second)
{
    factory.boot_count = 0;
    factory_boot(&factory, 0, EV_POST_CODE, "code");
    factory_boot(&factory, 4, EV_EFI_ACTION, "begin");
    if (second != NULL)
        factory_boot(&factory, 4, EV_EFI_ACTION, second);
    factory_boot(&factory, 4, EV_SEPARATOR, "end");
}

START_TEST(test_diff_names_the_boot_event)
{
    boot("kernel 1");
    save("a.json");
    boot("kernel 2");
    save("b.json");
    RUN(false, "diff", scratch_path("a.json"), scratch_path("b.json"));
    ASSERT_STATUS(TOOL_REFUSED);
    ASSERT_HAS(result.out, "PCR 4 sha256 (boot loader and kernel): ");
    ASSERT_HAS(result.out,
               "\n  boot log of PCR 4: event 2 EV_EFI_ACTION kernel 1 sha256:");
    ASSERT_HAS(result.out, " -> event 2 EV_EFI_ACTION kernel 2 sha256:");
    ASSERT_HAS_NOT(result.out, "boot log of PCR 0");
}
END_TEST

START_TEST(test_diff_of_a_shorter_boot_log)
{
    boot("end");
    save("a.json");
    factory.boot_count--;
    save("b.json");
    RUN(false, "diff", scratch_path("a.json"), scratch_path("b.json"));
    ASSERT_STATUS(TOOL_REFUSED);
    ASSERT_HAS(result.out, "\n  boot log of PCR 4: event 3 EV_SEPARATOR");
    ASSERT_HAS(result.out, " -> no event\n");
}
END_TEST

/* One that does not tell its events is compared by its values. */
START_TEST(test_diff_of_two_formats)
{
    boot("kernel 1");
    save("a.json");
    factory.has_boot_log = false;
    memset(factory_pcr(&factory, TPM2_ALG_SHA256, 4), 0xab, 32);
    save("b.json");
    RUN(false, "diff", scratch_path("a.json"), scratch_path("b.json"));
    ASSERT_STATUS(TOOL_REFUSED);
    ASSERT_HAS(result.out, "PCR 4 sha256 (boot loader and kernel): ");
    ASSERT_HAS_NOT(result.out, "boot log of");
}
END_TEST

START_TEST(test_diff_of_a_bare_record)
{
    save("a.json");
    scratch_write("b.cmw", factory.cmw, factory.cmw_len, 0644);
    RUN(false, "diff", scratch_path("a.json"), scratch_path("b.cmw"));
    ASSERT_STATUS(TOOL_REFUSED);
    ASSERT_HAS(result.out, "TLS certificate: only in A: CN=");
    RUN(false, "diff", scratch_path("b.cmw"), scratch_path("b.cmw"));
    ASSERT_STATUS(TOOL_DONE);
}
END_TEST

START_TEST(test_diff_json)
{
    json_t *object, *one;

    save("a.json");
    change_pcr();
    save("b.json");
    RUN(true, "diff", scratch_path("a.json"), scratch_path("b.json"));
    ASSERT_STATUS(TOOL_REFUSED);
    object = verb_json(&result);
    ck_assert(json_is_false(json_object_get(object, "same")));
    ck_assert_str_eq(json_string_value(json_object_get(object, "kind")),
                     "evidence");
    one = json_array_get(json_object_get(object, "differences"), 0);
    ASSERT_HAS(json_string_value(json_object_get(one, "what")), "PCR 4 sha256");
    ck_assert_ptr_nonnull(json_object_get(one, "a"));
    ASSERT_HAS(json_string_value(json_object_get(one, "b")), "abababab");
    json_decref(object);
}
END_TEST

/* ---- policies ---- */

static const struct {
    const char *text;
    const char *with;
    int status;
    const char *line;
} edits[] = {
    {"[policy]", "[policy]  # the same", TOOL_DONE, "same: [policy], [lab]\n"},
    {"mode        = require", "mode        = observe", TOOL_REFUSED,
     "[lab] mode: require -> observe\n"},
    {"nameless    = refuse", "nameless    = lab", TOOL_REFUSED,
     "[policy] nameless: refuse -> lab\n"},
    {"machines    = machine0.example",
     "machines    = a.example, machine0.example", TOOL_REFUSED,
     "[lab] machines: only in B: a.example\n"},
    {"pcr.4  ", "ak_eku = any\npcr.4  ", TOOL_REFUSED,
     "[lab] ak_eku: only in B: any\n"},
    {"pcr.4  ", "# pcr.4  ", TOOL_REFUSED,
     "[lab] pcr.4 (boot loader and kernel): only in A: "},
    {"component.server-code = ",
     "component.server-code = "
     "sha256:"
     "eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee ",
     TOOL_REFUSED, "[lab] component.server-code: only in B: sha256:eeee"},
    {"[lab]", "[other]\nmode = off\nnames = z.example\n[lab]", TOOL_REFUSED,
     "[other]: only in B: a section of 2 keys\n"},
};

START_TEST(test_diff_of_policies)
{
    save("a.json");
    write_policy("a.json", "a.cnf");
    write_policy("a.json", "b.cnf");
    edit("b.cnf", edits[_i].text, edits[_i].with);
    if (strstr(edits[_i].with, "[other]") != NULL)
        edit("b.cnf", "servers     = lab", "servers     = lab, other");
    RUN(false, "diff", scratch_path("a.cnf"), scratch_path("b.cnf"));
    ASSERT_STATUS(edits[_i].status);
    ASSERT_HAS(result.out, edits[_i].line);
}
END_TEST

/* The order of `servers` decides; that of other lists says nothing. */
START_TEST(test_diff_of_lists)
{
    save("a.json");
    write_policy("a.json", "a.cnf");
    edit("a.cnf", "[lab]",
         "[other]\nmode = off\nnames = y.example z.example\n[lab]");
    edit("a.cnf", "servers     = lab", "servers     = lab, other");
    scratch_write("b.cnf", "", 0, 0644);
    RUN(false, "diff", scratch_path("a.cnf"), scratch_path("b.cnf"));
    ASSERT_STATUS(TOOL_USAGE);
    write_policy("a.json", "c.cnf");
    edit("c.cnf", "[lab]",
         "[other]\nmode = off\nnames = z.example, y.example\n[lab]");
    edit("c.cnf", "servers     = lab", "servers     = lab other");
    RUN(false, "diff", scratch_path("a.cnf"), scratch_path("c.cnf"));
    ASSERT_STATUS(TOOL_REFUSED);
    ASSERT_HAS_NOT(result.out, "[other] names");
    ASSERT_HAS(result.out, "[policy] servers: lab, other -> lab other\n");
}
END_TEST

/* What a file of roots holds, not what it is called. */
START_TEST(test_diff_of_trust)
{
    save("a.json");
    write_policy("a.json", "a.cnf");
    factory_write_certificate(scratch_path("copy.pem"), factory.root_cert);
    factory_write_certificate(scratch_path("other.pem"),
                              factory.authority_cert);
    write_policy("a.json", "b.cnf");
    edit("b.cnf", "roots.pem", "copy.pem");
    RUN(false, "diff", scratch_path("a.cnf"), scratch_path("b.cnf"));
    ASSERT_STATUS(TOOL_DONE);
    edit("b.cnf", "copy.pem", "other.pem");
    RUN(false, "diff", scratch_path("a.cnf"), scratch_path("b.cnf"));
    ASSERT_STATUS(TOOL_REFUSED);
    ASSERT_HAS(result.out, "[lab] trust: only in A: CN=");
    ASSERT_HAS(result.out, "[lab] trust: only in B: CN=");
}
END_TEST

START_TEST(test_diff_of_two_kinds)
{
    save("a.json");
    write_policy("a.json", "a.cnf");
    for (int swapped = 0; swapped < 2; swapped++) {
        RUN(false, "diff", scratch_path(swapped ? "a.json" : "a.cnf"),
            scratch_path(swapped ? "a.cnf" : "a.json"));
        ASSERT_STATUS(TOOL_USAGE);
        ASSERT_HAS(result.err, "not of one kind: attest policy check /");
        ASSERT_HAS(result.err, "/a.cnf /");
        ck_assert_str_eq(result.out, "");
    }
}
END_TEST

/* Servers are no argument, whatever policy check takes. */
START_TEST(test_diff_of_a_server)
{
    save("a.json");
    RUN(false, "diff", scratch_path("a.json"), "host.example:443");
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, "host.example:443 is no file; ");
    ASSERT_HAS(result.err, "attest show host.example:443 --save FILE");
}
END_TEST

static const struct {
    const char *words[5];
    const char *text;
} usage[] = {
    {{"diff"}, "diff: expected two policies"},
    {{"diff", "a"}, "diff: expected two policies"},
    {{"diff", "a", "b", "c"}, "diff: expected two policies"},
    {{"diff", "--bogus", "a", "b"}, "unknown option --bogus"},
};

START_TEST(test_diff_usage)
{
    verb_run(&tool_verb_policy, false, usage[_i].words, &result);
    ASSERT_STATUS(TOOL_USAGE);
    ASSERT_HAS(result.err, usage[_i].text);
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_diff_of_the_same),
    LOOP(test_diff_of_evidence, 0, COUNT(changes)),
    ONCE(test_diff_of_a_server),
    ONCE(test_diff_names_the_boot_event),
    ONCE(test_diff_of_a_shorter_boot_log),
    ONCE(test_diff_of_two_formats),
    ONCE(test_diff_of_a_bare_record),
    ONCE(test_diff_json),
    LOOP(test_diff_of_policies, 0, COUNT(edits)),
    ONCE(test_diff_of_lists),
    ONCE(test_diff_of_trust),
    ONCE(test_diff_of_two_kinds),
    LOOP(test_diff_usage, 0, COUNT(usage)),
};

SUITE(.name = "tool_policy_diff",
      .cases = {CASE("tool_policy_diff", tests, 60, setup, teardown)});
