/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tss2/tss2_esys.h>
#include <tss2/tss2_rc.h>
#include <tss2/tss2_tctildr.h>

#include "lib/swtpm.h"

/* Through the TSS's own TCTI and blocking calls: not what is under test. */

#define GOOD_AK                                                   \
    (TPMA_OBJECT_FIXEDTPM | TPMA_OBJECT_FIXEDPARENT               \
     | TPMA_OBJECT_SENSITIVEDATAORIGIN | TPMA_OBJECT_USERWITHAUTH \
     | TPMA_OBJECT_NODA | TPMA_OBJECT_RESTRICTED | TPMA_OBJECT_SIGN_ENCRYPT)

struct connection {
    TSS2_TCTI_CONTEXT *tcti;
    ESYS_CONTEXT *esys;
};

static bool succeeded(TSS2_RC rc, const char *what)
{
    if (rc == TSS2_RC_SUCCESS)
        return true;
    fprintf(stderr, "swtpm harness: %s: %s\n", what, Tss2_RC_Decode(rc));
    return false;
}

static void disconnect(struct connection *c)
{
    if (c->esys != NULL)
        Esys_Finalize(&c->esys);
    if (c->tcti != NULL)
        Tss2_TctiLdr_Finalize(&c->tcti);
}

static bool open_connection(const struct swtpm *swtpm, struct connection *c)
{
    c->esys = NULL;
    c->tcti = NULL;
    if (succeeded(Tss2_TctiLdr_Initialize(swtpm_tcti(swtpm), &c->tcti),
                  "connect")
        && succeeded(Esys_Initialize(&c->esys, c->tcti, NULL), "connect"))
        return true;
    disconnect(c);
    return false;
}

static void describe_ecc(TPMT_PUBLIC *public, TPM2_ECC_CURVE curve,
                         TPM2_ALG_ID hash, uint8_t unique)
{
    TPMS_ECC_PARMS *parms = &public->parameters.eccDetail;

    public->type = TPM2_ALG_ECC;
    parms->symmetric.algorithm = TPM2_ALG_NULL;
    parms->kdf.scheme = TPM2_ALG_NULL;
    parms->curveID = curve;
    parms->scheme.scheme = TPM2_ALG_ECDSA;
    parms->scheme.details.ecdsa.hashAlg = hash;
    public->unique.ecc.x.size = 1;
    public->unique.ecc.x.buffer[0] = unique;
}

static void describe_rsa(TPMT_PUBLIC *public, TPM2_ALG_ID scheme,
                         uint8_t unique)
{
    TPMS_RSA_PARMS *parms = &public->parameters.rsaDetail;

    public->type = TPM2_ALG_RSA;
    parms->symmetric.algorithm = TPM2_ALG_NULL;
    parms->keyBits = 2048;
    parms->scheme.scheme = scheme;
    parms->scheme.details.anySig.hashAlg = TPM2_ALG_SHA256;
    public->unique.rsa.size = 1;
    public->unique.rsa.buffer[0] = unique;
}

static void describe(const struct swtpm_ak *ak, TPMT_PUBLIC *public)
{
    public->nameAlg = TPM2_ALG_SHA256;
    public->objectAttributes = GOOD_AK & ~ak->without;
    switch (ak->key) {
    case SWTPM_P256:
        describe_ecc(public, TPM2_ECC_NIST_P256, TPM2_ALG_SHA256, ak->unique);
        break;
    case SWTPM_P384:
        describe_ecc(public, TPM2_ECC_NIST_P384, TPM2_ALG_SHA384, ak->unique);
        break;
    case SWTPM_RSASSA:
        describe_rsa(public, TPM2_ALG_RSASSA, ak->unique);
        break;
    case SWTPM_RSAPSS:
        describe_rsa(public, TPM2_ALG_RSAPSS, ak->unique);
        break;
    }
    /* Only a restricted key must have a scheme of its own, only a signing one
     * can; a decryption key takes its place. */
    if ((ak->without & TPMA_OBJECT_SIGN_ENCRYPT) != 0) {
        public->objectAttributes |= TPMA_OBJECT_DECRYPT;
        public->objectAttributes &= ~TPMA_OBJECT_RESTRICTED;
        public->parameters.eccDetail.scheme.scheme = TPM2_ALG_NULL;
    }
}

static bool remove_key(ESYS_CONTEXT *esys, uint32_t handle)
{
    TPMS_CAPABILITY_DATA *data = NULL;
    ESYS_TR old = ESYS_TR_NONE, none = ESYS_TR_NONE;
    bool is_there;

    if (!succeeded(Esys_GetCapability(esys, ESYS_TR_NONE, ESYS_TR_NONE,
                                      ESYS_TR_NONE, TPM2_CAP_HANDLES, handle, 1,
                                      NULL, &data),
                   "TPM2_GetCapability"))
        return false;
    is_there =
        data->data.handles.count == 1 && data->data.handles.handle[0] == handle;
    Esys_Free(data);
    if (!is_there)
        return true;
    return succeeded(Esys_TR_FromTPMPublic(esys, handle, ESYS_TR_NONE,
                                           ESYS_TR_NONE, ESYS_TR_NONE, &old),
                     "TPM2_ReadPublic")
           && succeeded(Esys_EvictControl(esys, ESYS_TR_RH_OWNER, old,
                                          ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                          ESYS_TR_NONE, handle, &none),
                        "TPM2_EvictControl");
}

static bool create_ak(ESYS_CONTEXT *esys, const struct swtpm_ak *ak,
                      ESYS_TR *ret_key)
{
    TPM2B_SENSITIVE_CREATE sensitive = {.size = 0};
    TPM2B_AUTH *auth = &sensitive.sensitive.userAuth;
    TPM2B_PUBLIC template = {.size = 0};
    const TPML_PCR_SELECTION no_pcrs = {.count = 0};
    const TPM2B_DATA nothing = {.size = 0};

    describe(ak, &template.publicArea);
    if (ak->auth != NULL) {
        auth->size = (UINT16)strlen(ak->auth);
        memcpy(auth->buffer, ak->auth, auth->size);
    }
    return succeeded(
        Esys_CreatePrimary(esys, ESYS_TR_RH_ENDORSEMENT, ESYS_TR_PASSWORD,
                           ESYS_TR_NONE, ESYS_TR_NONE, &sensitive, &template,
                           &nothing, &no_pcrs, ret_key, NULL, NULL, NULL, NULL),
        "TPM2_CreatePrimary");
}

bool swtpm_make_ak(const struct swtpm *swtpm, const struct swtpm_ak *ak)
{
    static const struct swtpm_ak usual;
    ESYS_TR key = ESYS_TR_NONE, kept = ESYS_TR_NONE;
    struct connection c;
    uint32_t handle;
    bool made;

    if (ak == NULL)
        ak = &usual;
    handle = ak->handle != 0 ? ak->handle : SWTPM_AK_HANDLE;
    if (!open_connection(swtpm, &c))
        return false;
    made = remove_key(c.esys, handle) && create_ak(c.esys, ak, &key)
           && succeeded(Esys_EvictControl(c.esys, ESYS_TR_RH_OWNER, key,
                                          ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                          ESYS_TR_NONE, handle, &kept),
                        "TPM2_EvictControl")
           && succeeded(Esys_FlushContext(c.esys, key), "TPM2_FlushContext");
    disconnect(&c);
    return made;
}

static bool extend(const struct swtpm *swtpm, unsigned pcr, uint16_t alg,
                   const EVP_MD *md, const char *text)
{
    TPML_DIGEST_VALUES digests = {.count = 1};
    struct connection c;
    bool extended;

    digests.digests[0].hashAlg = alg;
    if (!EVP_Digest(text, strlen(text), (BYTE *)&digests.digests[0].digest,
                    NULL, md, NULL)
        || !open_connection(swtpm, &c))
        return false;
    extended =
        succeeded(Esys_PCR_Extend(c.esys, ESYS_TR_PCR0 + pcr, ESYS_TR_PASSWORD,
                                  ESYS_TR_NONE, ESYS_TR_NONE, &digests),
                  "TPM2_PCR_Extend");
    disconnect(&c);
    return extended;
}

bool swtpm_extend(const struct swtpm *swtpm, unsigned pcr, const char *text)
{
    return extend(swtpm, pcr, TPM2_ALG_SHA256, EVP_sha256(), text);
}

bool swtpm_extend_sha1(const struct swtpm *swtpm, unsigned pcr,
                       const char *text)
{
    return extend(swtpm, pcr, TPM2_ALG_SHA1, EVP_sha1(), text);
}

/* Banks that are not named stay as they are. */
bool swtpm_remove_bank(struct swtpm *swtpm, uint16_t alg)
{
    TPML_PCR_SELECTION banks = {
        .count = 1,
        .pcrSelections = {{.hash = alg, .sizeofSelect = 3}},
    };
    struct connection c;
    bool removed;
    TPMI_YES_NO done = TPM2_NO;

    if (!open_connection(swtpm, &c))
        return false;
    removed = succeeded(Esys_PCR_Allocate(c.esys, ESYS_TR_RH_PLATFORM,
                                          ESYS_TR_PASSWORD, ESYS_TR_NONE,
                                          ESYS_TR_NONE, &banks, &done, NULL,
                                          NULL, NULL),
                        "TPM2_PCR_Allocate")
              && done == TPM2_YES;
    disconnect(&c);
    return removed && swtpm_reset(swtpm);
}

bool swtpm_reset(struct swtpm *swtpm)
{
    struct connection c;
    bool reset;

    if (!swtpm_power_cycle(swtpm) || !open_connection(swtpm, &c))
        return false;
    reset = succeeded(Esys_Startup(c.esys, TPM2_SU_CLEAR), "TPM2_Startup");
    disconnect(&c);
    return reset;
}

static int count_handles(ESYS_CONTEXT *esys, uint32_t first)
{
    TPMS_CAPABILITY_DATA *data = NULL;
    int count;

    if (!succeeded(Esys_GetCapability(esys, ESYS_TR_NONE, ESYS_TR_NONE,
                                      ESYS_TR_NONE, TPM2_CAP_HANDLES, first,
                                      TPM2_MAX_CAP_HANDLES, NULL, &data),
                   "TPM2_GetCapability"))
        return -1;
    count = (int)data->data.handles.count;
    Esys_Free(data);
    return count;
}

int swtpm_count_transient(const struct swtpm *swtpm)
{
    /* Part 2, TPM_HT: transient objects, loaded and saved sessions. */
    static const uint32_t kinds[] = {0x80000000, 0x02000000, 0x03000000};
    struct connection c;
    int sum = 0;

    if (!open_connection(swtpm, &c))
        return -1;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]) && sum >= 0; i++) {
        int count = count_handles(c.esys, kinds[i]);

        sum = count < 0 ? -1 : sum + count;
    }
    disconnect(&c);
    return sum;
}
