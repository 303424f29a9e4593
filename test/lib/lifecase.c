/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/lifecase.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/hookcase.h"
#include "lib/scratch.h"
#include "lib/swtpm.h"

#define DESCRIPTORS_MAX 4096

static struct swtpm *swtpm;
static const uint32_t handles[] = {SWTPM_AK_HANDLE, SWTPM_AK_HANDLE + 1};
static const char *const chains[] = {"first.pem", "second.pem"};
static const char root[] = "root.pem";
static char machines[2][2 * SHA256_DIGEST_LENGTH + 1]; /* names of the keys */

/* SHA-256 of the key in the AK certificate, as `machines` has it. */
static void name_key(const char *chain, char ret[2 * SHA256_DIGEST_LENGTH + 1])
{
    uint8_t digest[SHA256_DIGEST_LENGTH], *der = NULL;
    FILE *file = fopen(scratch_path(chain), "re");
    X509 *ak;
    int len;

    need(file != NULL);
    ak = PEM_read_X509(file, NULL, NULL, NULL);
    fclose(file);
    need(ak != NULL);
    len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(ak), &der);
    need(len > 0 && SHA256(der, (size_t)len, digest) != NULL);
    for (size_t i = 0; i < sizeof(digest); i++)
        snprintf(ret + 2 * i, 3, "%02x", digest[i]);
    OPENSSL_free(der);
    X509_free(ak);
}

void lifecase_begin(void)
{
    hookcase_begin();
    swtpm = swtpm_start();
    need(swtpm != NULL && swtpm_extend(swtpm, 0, "firmware"));
    for (unsigned i = 0; i < 2; i++) {
        const struct swtpm_ak ak = {.handle = handles[i],
                                    .unique = (uint8_t)(i + 1)};

        need(swtpm_make_ak(swtpm, &ak));
        need(swtpm_write_chain(swtpm, handles[i], false,
                               scratch_path(chains[i]), scratch_path(root)));
        name_key(chains[i], machines[i]);
    }
}

void lifecase_end(void)
{
    swtpm_stop(swtpm);
    hookcase_end();
}

static void write_policy(const char *name, enum lifecase_key trusts)
{
    char text[1024];

    snprintf(text, sizeof(text),
             "[policy]\nservers = machine\notherwise = off\nnameless = refuse\n"
             "[machine]\nnames = peer.example\nmode = require\n"
             "machines = sha256:%s\ntrust = %s\ncertificate = any\n"
             "pcr.8 = 00000000000000000000000000000000"
             "00000000000000000000000000000000\n",
             machines[trusts], root);
    write_text(name, text);
}

/* attester: its section, or "". */
static void configure(const char *name, const char *attester,
                      enum lifecase_key trusts)
{
    char text[8192], policy[128], file[128];

    snprintf(policy, sizeof(policy), "%s.policy", name);
    write_policy(policy, trusts);
    snprintf(file, sizeof(file), "%s.log", name);
    snprintf(text, sizeof(text),
             "openssl_conf = init\n[init]\nproviders = list\n"
             "[list]\ndefault = default_sect\nattest = attest_sect\n"
             "[default_sect]\nactivate = 1\n"
             "[attest_sect]\nmodule = %s\nactivate = 1\nlog = %s\n"
             "log_level = warn\nverifier = verifier_sect\n%s"
             "[verifier_sect]\npolicy = %s\n%s",
             module_of_build(), scratch_path(file),
             attester[0] != '\0' ? "attester = attester_sect\n" : "",
             scratch_path(policy), attester);
    snprintf(file, sizeof(file), "%s.cnf", name);
    write_text(file, text);
}

void lifecase_configure(const char *name, enum lifecase_key proves,
                        enum lifecase_key trusts)
{
    char attester[2048] = "";

    if (proves != LIFECASE_NO_KEY)
        snprintf(attester, sizeof(attester),
                 "[attester_sect]\nquoter = tcti:%s\nak = 0x%x\nak_chain = %s\n"
                 "timeout = 10000\n",
                 swtpm_tcti(swtpm), handles[proves],
                 scratch_path(chains[proves]));
    configure(name, attester, trusts);
}

void lifecase_configure_agent(const char *name, const char *socket)
{
    char attester[512];

    snprintf(attester, sizeof(attester), "[attester_sect]\nquoter = unix:%s\n",
             socket);
    configure(name, attester, LIFECASE_FIRST);
}

bool lifecase_shake(OSSL_LIB_CTX *libctx)
{
    SSL_CTX *server = server_of(libctx), *client = client_of(libctx);
    bool passed = shake(server, client);

    SSL_CTX_free(server);
    SSL_CTX_free(client);
    return passed;
}

long lifecase_resident_kib(void)
{
    FILE *status = fopen("/proc/self/status", "re");
    char line[256];
    long kib = -1;

    need(status != NULL);
    while (fgets(line, sizeof(line), status) != NULL)
        if (strncmp(line, "VmRSS:", 6) == 0)
            kib = strtol(line + 6, NULL, 10);
    fclose(status);
    return kib;
}

unsigned lifecase_descriptors(void)
{
    unsigned count = 0;

    for (int fd = 0; fd < DESCRIPTORS_MAX; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}
