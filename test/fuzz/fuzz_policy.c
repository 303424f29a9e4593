/* SPDX-License-Identifier: BSD-2-Clause */
#include <err.h>
#include <openssl/err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "unit/policy_certificates.h"
#include "verifier/names.h"
#include "verifier/policy.h"

/*
 * The policy file and all it may hold. An input is a policy; `trust = 100`
 * names two certificates, as relative paths are relative to /proc/self/fd.
 *
 * With libFuzzer, or as a program of its own (-DATLS_FUZZ_STANDALONE): then it
 * runs the files it is given, or without any some changed seeds, always the
 * same.
 */

#define TRUST_FD 100

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int memory_file(const void *data, size_t len)
{
    int fd = memfd_create("fuzz_policy", MFD_CLOEXEC);

    if (fd < 0 || pwrite(fd, data, len, 0) != (ssize_t)len)
        err(1, "memfd_create");
    return fd;
}

static void check(int is_true, const char *what)
{
    if (!is_true) {
        fprintf(stderr, "fuzz_policy: %s\n", what);
        abort();
    }
}

/* Do these rules demand anything? */
static int demand(const struct atls_pcr_rule pcrs[ATLS_PCR_COUNT],
                  size_t component_count)
{
    int demands = component_count > 0;

    for (unsigned pcr = 0; pcr < ATLS_PCR_COUNT; pcr++)
        demands |= pcrs[pcr].count > 0;
    check(pcrs[16].count == 0 && pcrs[23].count == 0,
          "a resettable PCR counts");
    return demands;
}

/* What no policy may be, whatever made it. */
static void check_section(const struct atls_section *section)
{
    int demands = demand(section->pcrs, section->component_count);

    for (size_t i = 0; i < section->reference_count; i++) {
        const struct atls_reference *reference = &section->references[i];

        check(demand(reference->pcrs, reference->component_count),
              "a reference that every machine matches");
        demands = 1;
    }
    check(section->ak_eku_any || section->ak_eku_count > 0, "no EKU counts");
    check(section->measure_pcr >= 8 && section->measure_pcr <= 15,
          "measure_pcr out of range");
    for (size_t i = 0; i < section->name_count; i++)
        check(atls_name_pattern_is_legal(section->names[i]), "illegal name");
    if (section->mode == ATLS_MODE_OFF)
        return;
    check(section->trust != NULL, "no trust");
    check(section->machines_any || section->machine_count > 0, "no machines");
    if (section->mode == ATLS_MODE_REQUIRE)
        check(demands, "a section that requires nothing");
}

static void check_policy(const struct atls_policy *policy)
{
    static const char *const names[] = {"a.example", "10.0.0.1", "x"};
    const struct atls_section *section;
    struct atls_match match;

    for (size_t i = 0; (section = atls_policy_section(policy, i)) != NULL;
         i++) {
        check_section(section);
        check(atls_policy_find(policy, section->name) == section,
              "two sections of one name");
    }
    for (size_t i = 0; atls_policy_warning(policy, i) != NULL; i++)
        check(atls_policy_warning(policy, i)[0] != '\0', "empty warning");
    for (size_t count = 0; count <= sizeof(names) / sizeof(names[0]); count++) {
        atls_policy_match_server(policy, names, count, &match);
        check(match.mode == ATLS_MODE_REQUIRE || match.refusal == ATLS_OK,
              "refusal without require");
        check(match.mode != ATLS_MODE_REQUIRE || match.refusal != ATLS_OK
                  || match.count > 0,
              "require without a section");
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int trust_fd = -1;
    struct atls_reason why = {.code = ATLS_OK};
    struct atls_policy *policy = NULL;
    char path[64];
    int fd;

    if (trust_fd < 0) {
        fd = memory_file(PEM_ROOT PEM_INTERMEDIATE,
                         strlen(PEM_ROOT PEM_INTERMEDIATE));
        trust_fd = dup2(fd, TRUST_FD);
        close(fd);
    }
    fd = memory_file(data, size);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (atls_policy_load(path, &why, &policy) == ATLS_OK)
        check_policy(policy);
    else
        check(why.code != ATLS_OK && why.text[0] != '\0', "no reason");
    check(ERR_peek_error() == 0, "error queue not as it was");
    atls_policy_unref(policy);
    close(fd);
    return 0;
}

#ifdef ATLS_FUZZ_STANDALONE

#define HEX32 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static const char *const seeds[] = {
    "[policy]\nservers = a, b\notherwise = off\nnameless = refuse\n"
    "[a]\nnames = a.example *.b.example 10.0.0.0/8 2001:db8::/32\n"
    "mode = require\ntrust = 100\nmachines = m.example google:p/z/i\n"
    "pcr.0 = " HEX32 " " HEX32 "\ncomponent.x = sha256:" HEX32 "\n"
    "ak_eku = 2.23.133.8.3\nevents = machine-id:*\n"
    "[b]\nnames = \"b.example\" # x\nmode = off\n",
    "[policy]\notherwise = require\nnameless = c\n"
    "[c]\nmode = observe\ntrust = '100'\nmachines = any\nbank = sha256\n"
    "pcr.7 = 0000000000000000000000000000000000000000000000000000000000000000\n"
    "allow_zero = yes\ncertificate = any\nmeasure_pcr = 8\n"
    "expires = 2027-06-30T00:00:00Z\ncomponents = any\nak_eku = any\n",
    "[policy]\n.include 100\n.include /dev/zero\n",
};

#define ROUNDS 20000
#define ROOM 64

static uint32_t next_random(void)
{
    static uint32_t state = 2463534242u;

    /* xorshift32, Marsaglia 2003. */
    state ^= state << 13;
    state ^= state >> 17;
    state ^= state << 5;
    return state;
}

/* Replace, insert or take out some octets; some of them mean something here. */
static size_t change(char *text, size_t len, size_t size)
{
    static const char special[] = "[]=#.\"'$\\ \t\n,:*/0aZ\0\x80";
    size_t at = next_random() % len;
    char octet = special[next_random() % sizeof(special)];

    switch (next_random() % 4) {
    case 0:
        text[at] = octet;
        return len;
    case 1:
        text[at] = (char)(next_random() & 0xff);
        return len;
    case 2:
        if (len == size)
            return len;
        memmove(text + at + 1, text + at, len - at);
        text[at] = octet;
        return len + 1;
    default:
        if (len == 1)
            return len;
        memmove(text + at, text + at + 1, len - at - 1);
        return len - 1;
    }
}

static void run_changed_seeds(void)
{
    char text[4096];

    for (unsigned round = 0; round < ROUNDS; round++) {
        const char *seed = seeds[round % (sizeof(seeds) / sizeof(seeds[0]))];
        size_t len = strlen(seed);
        size_t room = len + ROOM;

        memcpy(text, seed, len);
        for (unsigned i = next_random() % 8; i > 0; i--)
            len = change(text, len, room);
        LLVMFuzzerTestOneInput((const uint8_t *)text, len);
    }
}

static void run_file(const char *path)
{
    FILE *in = fopen(path, "rb");
    char *text = malloc(2 * 1024 * 1024);
    size_t len;

    if (in == NULL || text == NULL)
        err(1, "%s", path);
    len = fread(text, 1, 2 * 1024 * 1024, in);
    fclose(in);
    LLVMFuzzerTestOneInput((const uint8_t *)text, len);
    free(text);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        run_file(argv[i]);
    if (argc < 2)
        run_changed_seeds();
    return 0;
}

#endif
