/* SPDX-License-Identifier: BSD-2-Clause */
#include "verifier/report_words.h"

#include <stddef.h>

#include "evidence/pcr.h"

const char *atls_pcr_name(unsigned pcr)
{
    /* UAPI Group, Linux TPM PCR Registry; 16-23: TCG PC Client Platform TPM
     * Profile. */
    static const char *const names[ATLS_PCR_COUNT] = {
        [0] = "firmware code",
        [1] = "firmware configuration",
        [2] = "option ROM code",
        [3] = "option ROM configuration",
        [4] = "boot loader and kernel",
        [5] = "boot configuration, partitions",
        [6] = "platform manufacturer",
        [7] = "Secure Boot policy",
        [8] = "GRUB commands",
        [9] = "initrd, files GRUB read",
        [10] = "IMA",
        [11] = "unified kernel image",
        [12] = "kernel command line, credentials",
        [13] = "system extensions",
        [14] = "machine owner keys (shim)",
        [15] = "system identity, components",
        [16] = "debug (resettable)",
        [17] = "dynamic launch",
        [18] = "dynamic launch",
        [19] = "dynamic launch",
        [20] = "dynamic launch",
        [21] = "dynamic launch",
        [22] = "dynamic launch",
        [23] = "application (resettable)",
    };

    return pcr < ATLS_PCR_COUNT ? names[pcr] : "";
}

#define WRITE_ANEW                                                           \
    "if this change was intended, write a new policy: attest policy --from " \
    "HOST"

struct advice {
    enum atls_error code;
    const char *text;
};

/* Words for both ends: who reads this is not always who can mend it. */
static const struct advice advices[] = {
    {ATLS_E_NO_EVIDENCE, "run `attest check` on the peer: is the provider "
                         "loaded and an attester configured there?"},
    {ATLS_E_CHAIN_EMPTY, "name the file with the AK certificate in ak_chain on "
                         "the attester"},
    {ATLS_E_CHAIN_UNTRUSTED,
     "compare the issuer of the AK certificate with the policy's trust file; "
     "is an intermediate missing in the attester's ak_chain?"},
    {ATLS_E_CHAIN_EXPIRED, "have that certificate renewed by its issuer, or "
                           "check the clock here"},
    {ATLS_E_CHAIN_NOT_YET, "check the clocks of both machines"},
    {ATLS_E_CHAIN_USAGE, "have the AK certified by a CA as RFC 5280 wants it"},
    {ATLS_E_CHAIN_EKU, "if this CA marks its AKs otherwise, name its OID in "
                       "ak_eku"},
    {ATLS_E_CHAIN_REVOKED,
     "ask the issuer why; if the machine is sound, make a "
     "new AK there and have that certified"},
    {ATLS_E_CHAIN_CRL, "fetch the CRLs of the AK's issuers anew into the file "
                       "that crl names, or check the clock here"},
    {ATLS_E_CHAIN_UNUSED, "leave AK certificate and intermediates in ak_chain, "
                          "each once, without the root"},
    {ATLS_E_MACHINE, "if this machine may serve, add its name to machines; if "
                     "not, ask who answers under this address"},
    {ATLS_E_SIGNATURE, "evidence and AK certificate are of different keys: was "
                       "the AK made anew without a new certificate?"},
    {ATLS_E_BINDING, "retry; if it stays, look for a proxy that ends TLS "
                     "between both machines, or for an attack"},
    {ATLS_E_FRESHNESS, "set evidence = live on the attester"},
    {ATLS_E_SELECTION, "quote more PCRs (pcrs on the attester), or name fewer "
                       "in the policy"},
    {ATLS_E_PCR_ZERO, "set bank in the policy and pcrs on the attester to a "
                      "bank that the firmware uses: `tpm2_pcrread` shows it"},
    {ATLS_E_LOG_REPLAY, "something extended the PCR without the log, or the "
                        "log was lost: restart the machine"},
    {ATLS_E_LOG_EVENT, WRITE_ANEW},
    {ATLS_E_LOG_FORM,
     "boot the machine for a new log, and let `attest measure` "
     "write the event: no policy can name it as it is"},
    {ATLS_E_CERTIFICATE_UNMEASURED,
     "run `attest measure --certificate PEM` before the server starts or "
     "reloads"},
    {ATLS_E_COMPONENT, WRITE_ANEW},
    {ATLS_E_PCR_VALUE, WRITE_ANEW},
    {ATLS_E_EXPIRED, "review the policy and set expires to a later date"},
};

const char *atls_report_advice(enum atls_error code)
{
    for (size_t i = 0; i < sizeof(advices) / sizeof(advices[0]); i++) {
        if (advices[i].code == code)
            return advices[i].text;
    }
    return "do not trust this peer; keep this report and run `attest check` "
           "on both machines";
}
