/* SPDX-License-Identifier: BSD-2-Clause */
#include <getopt.h>
#include <openssl/crypto.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "attester/clock.h"
#include "attester/measure.h"
#include "conf.h"
#include "digest.h"
#include "evidence/eventlog.h"
#include "input.h"
#include "tool.h"

#define TCTI_DEFAULT "device:/dev/tpmrm0"
#define WAIT_DEFAULT_MS 5000u
#define WAIT_MAX_MS 600000u
#define TPM_TIMEOUT_MS 30000
/* PCRs 0-7 are the firmware's; 16 and 23 can be reset by anybody. */
#define PCR_MIN 8u
#define PCR_MAX 15u

static const char help[] =
    "Usage: attest measure [OPTION]... --name NAME FILE|FOLDER\n"
    "       attest measure [OPTION]... --name NAME --digest sha256:HEX\n"
    "       attest measure [OPTION]... --certificate FILE\n"
    "       attest measure [OPTION]... --authority FILE\n"
    "Extend one event into the PCR of the application and append it to the\n"
    "measured log. What the log already has is not measured again, so this "
    "may\n"
    "run before every start or reload of a server.\n"
    "\n"
    "What is measured:\n"
    "  --name NAME         a component, `component.NAME` of a policy: "
    "letters,\n"
    "                      digits and ._:@/- ; up to 64\n"
    "    FILE              SHA-256 of its octets\n"
    "    FOLDER            its tree hash: names, contents, links, and which\n"
    "                      files are executable\n"
    "    --digest DIGEST   a digest made elsewhere: dm-verity root hash, "
    "fs-verity\n"
    "                      digest, OCI image\n"
    "  --certificate FILE  the server's TLS certificate, the first one of a "
    "PEM\n"
    "                      file, or DER (policy: certificate = measured)\n"
    "  --authority FILE    a certificate authority of this server's own, "
    "whose\n"
    "                      leaves then count (certificate = measured-issuer)\n"
    "\n"
    "Options:\n"
    "  --tcti TCTI         the TPM, as tpm2-tss names it; else from `quoter`, "
    "else\n"
    "                      device:/dev/tpmrm0\n"
    "  --log FILE          measured log; else `event_log`, else systemd's "
    "where\n"
    "                      systemd keeps one, else /run/attest/events.cel\n"
    "  --pcr N             8 to 15; else `measure_pcr`, else 15\n"
    "  --wait MS           how long to wait for the log's lock (5000)\n"
    "  --conf FILE         openssl.cnf whose attester section has these keys;\n"
    "                      else OPENSSL_CONF, else the system's\n"
    "  --json              "
    "{\"pcr\":15,\"content\":\"...\",\"result\":\"measured\"}; the\n"
    "                      result may be \"already\", or \"repaired\": an\n"
    "                      interrupted measurement was completed first\n"
    "  --help              this text\n"
    "\n"
    "Exit status: 0 it is measured now, 2 usage or configuration, 3 log and "
    "PCR\n"
    "do not agree, 4 TPM unavailable or log locked.\n";

enum {
    OPT_NAME = 256,
    OPT_DIGEST,
    OPT_CERTIFICATE,
    OPT_AUTHORITY,
    OPT_TCTI,
    OPT_LOG,
    OPT_PCR,
    OPT_WAIT,
    OPT_CONF
};

static const struct option long_options[] = {
    {"name", required_argument, NULL, OPT_NAME},
    {"digest", required_argument, NULL, OPT_DIGEST},
    {"certificate", required_argument, NULL, OPT_CERTIFICATE},
    {"authority", required_argument, NULL, OPT_AUTHORITY},
    {"tcti", required_argument, NULL, OPT_TCTI},
    {"log", required_argument, NULL, OPT_LOG},
    {"pcr", required_argument, NULL, OPT_PCR},
    {"wait", required_argument, NULL, OPT_WAIT},
    {"conf", required_argument, NULL, OPT_CONF},
    {NULL, 0, NULL, 0},
};

/* The command line, then completed from the configuration. */
struct request {
    const char *name;
    const char *digest;
    const char *path; /* of the component */
    const char *certificate;
    const char *authority;
    const char *tcti;
    const char *log;
    const char *conf;
    unsigned pcr; /* 0: not given */
    unsigned wait_ms;
};

/* One option; returns false for a number that is out of range. */
static bool take_option(struct request *request, int opt)
{
    switch (opt) {
    case OPT_NAME:
        request->name = optarg;
        return true;
    case OPT_DIGEST:
        request->digest = optarg;
        return true;
    case OPT_CERTIFICATE:
        request->certificate = optarg;
        return true;
    case OPT_AUTHORITY:
        request->authority = optarg;
        return true;
    case OPT_TCTI:
        request->tcti = optarg;
        return true;
    case OPT_LOG:
        request->log = optarg;
        return true;
    case OPT_CONF:
        request->conf = optarg;
        return true;
    case OPT_PCR:
        return tool_number(optarg, PCR_MIN, PCR_MAX, &request->pcr);
    default:
        return tool_number(optarg, 0, WAIT_MAX_MS, &request->wait_ms);
    }
}

static int parse_options(int argc, char **argv,
                         const struct tool_options *options,
                         struct request *request)
{
    int opt;

    while ((opt = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
        if (opt == '?' || opt == ':')
            return tool_bad_option(options, opt, argv);
        if (!take_option(request, opt))
            return tool_usage(
                options,
                "%s is out of range: --pcr takes %u to %u, --wait "
                "milliseconds up to %u",
                optarg, PCR_MIN, PCR_MAX, WAIT_MAX_MS);
    }
    if (argc - optind > 1)
        return tool_usage(options, "one component at a time: %s is too much",
                          argv[optind + 1]);
    request->path = argv[optind];
    return TOOL_DONE;
}

/* Exactly one of the four forms. */
static int check_forms(const struct tool_options *options,
                       const struct request *request)
{
    int subjects = (request->name != NULL) + (request->certificate != NULL)
                   + (request->authority != NULL);
    int sources = (request->path != NULL) + (request->digest != NULL);

    if (subjects != 1)
        return tool_usage(options, "give one of --name, --certificate and "
                                   "--authority");
    if (request->name == NULL && sources != 0)
        return tool_usage(options, "a file, folder or --digest needs --name");
    if (request->name != NULL && sources != 1)
        return tool_usage(options,
                          "--name needs a file, a folder or --digest, one of "
                          "them");
    return TOOL_DONE;
}

static enum atls_error parse_digest(const char *text, struct atls_reason *why,
                                    uint8_t ret_digest[ATLS_SHA256_LEN])
{
    static const char prefix[] = "sha256:";
    size_t len = 0;

    if (strncmp(text, prefix, strlen(prefix)) != 0
        || !atls_unhex(text + strlen(prefix), ret_digest, ATLS_SHA256_LEN, &len)
        || len != ATLS_SHA256_LEN)
        return atls_fail(why, ATLS_E_USAGE,
                         "--digest must be sha256: and 64 hex digits, not %s",
                         text);
    return ATLS_OK;
}

static bool is_authority(X509 *cert)
{
    return X509_check_ca(cert) == 1
           && (X509_get_key_usage(cert) & KU_KEY_CERT_SIGN) != 0;
}

static enum atls_error hash_certificate(X509 *cert, struct atls_reason *why,
                                        uint8_t ret_digest[ATLS_SHA256_LEN])
{
    unsigned char *der = NULL;
    int len = i2d_X509(cert, &der);
    enum atls_error r;

    if (len < 0)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    r = atls_sha256(der, (size_t)len, ret_digest);
    OPENSSL_free(der);
    if (r != ATLS_OK)
        return atls_fail(why, r, NULL);
    return ATLS_OK;
}

static enum atls_error digest_certificate(const char *path, bool as_authority,
                                          struct atls_reason *why,
                                          uint8_t ret_digest[ATLS_SHA256_LEN])
{
    X509 *cert = NULL;
    enum atls_error r = input_certificate(path, why, &cert);

    if (r != ATLS_OK)
        return r;
    if (as_authority && !is_authority(cert))
        r = atls_fail(why, ATLS_E_USAGE,
                      "%s is no authority (CA:TRUE, keyCertSign): a server's "
                      "own certificate is measured with --certificate",
                      path);
    else
        r = hash_certificate(cert, why, ret_digest);
    X509_free(cert);
    return r;
}

/* The content line of what is to be measured. */
static enum atls_error make_content(
    const struct request *request, struct atls_reason *why,
    char ret_content[ATLS_EVENT_CONTENT_MAX + 1])
{
    struct atls_event event = {.kind = ATLS_EVENT_COMPONENT};
    enum atls_error r;
    size_t len;

    if (request->certificate != NULL) {
        event.kind = ATLS_EVENT_CERTIFICATE;
        r = digest_certificate(request->certificate, false, why, event.digest);
    } else if (request->authority != NULL) {
        event.kind = ATLS_EVENT_AUTHORITY;
        r = digest_certificate(request->authority, true, why, event.digest);
    } else if (!atls_component_name_is_legal(request->name,
                                             strlen(request->name))) {
        r = atls_fail(why, ATLS_E_USAGE,
                      "%s is no name of a component: a letter or digit, then "
                      "letters, digits and ._:@/- ; up to %u",
                      request->name, ATLS_COMPONENT_NAME_MAX);
    } else {
        memcpy(event.name, request->name, strlen(request->name));
        r = request->digest != NULL
                ? parse_digest(request->digest, why, event.digest)
                : atls_component_digest(request->path, why, event.digest);
    }
    if (r != ATLS_OK)
        return r;
    len = atls_event_format(&event, ret_content);
    ret_content[len] = '\0';
    return ATLS_OK;
}

/* The TCTI out of `quoter`; an agent has the TPM's name in its own file. */
static enum atls_error tcti_of_quoter(const struct tool_conf *conf,
                                      const char *quoter,
                                      struct atls_reason *why,
                                      const char **ret_tcti)
{
    *ret_tcti = TCTI_DEFAULT;
    if (quoter == NULL || strncmp(quoter, "unix:", 5) == 0)
        return ATLS_OK;
    if (strncmp(quoter, "tcti:", 5) != 0)
        return atls_fail(
            why, ATLS_E_CONFIG,
            "%s: [%s] quoter must begin with tcti: or unix:, is %s", conf->path,
            conf->attester, quoter);
    *ret_tcti = quoter + 5;
    return ATLS_OK;
}

/* What the command line leaves open. */
static enum atls_error complete(struct request *request,
                                const struct tool_conf *conf,
                                struct atls_reason *why)
{
    const char *pcr = tool_conf_get(conf, conf->attester, "measure_pcr");
    enum atls_error r = ATLS_OK;

    /* No extend can be undone: a file that was named by mistake must not lead to
     * this machine's own TPM and log. */
    if (request->conf != NULL && conf->attester == NULL
        && (request->tcti == NULL || request->log == NULL))
        return atls_fail(
            why, ATLS_E_CONFIG,
            "%s: no attester is configured there, to say which TPM "
            "and log; name another file, or --tcti and --log",
            conf->path);
    if (request->pcr == 0 && pcr != NULL
        && !tool_number(pcr, PCR_MIN, PCR_MAX, &request->pcr))
        return atls_fail(why, ATLS_E_CONFIG,
                         "%s: [%s] measure_pcr must be %u to %u, is %s",
                         conf->path, conf->attester, PCR_MIN, PCR_MAX, pcr);
    if (request->log == NULL)
        request->log = tool_conf_get(conf, conf->attester, "event_log");
    if (request->tcti == NULL)
        r = tcti_of_quoter(conf, tool_conf_get(conf, conf->attester, "quoter"),
                           why, &request->tcti);
    return r;
}

/* A system without an openssl.cnf is fine unless one was named. */
static enum atls_error load_conf(const struct request *request,
                                 struct atls_reason *why,
                                 struct tool_conf **ret_conf)
{
    enum atls_error r = tool_conf_load(request->conf, why, ret_conf);

    if (r == ATLS_E_IO && request->conf == NULL)
        return ATLS_OK;
    return r;
}

static void fill_defaults(struct request *request)
{
    if (request->tcti == NULL)
        request->tcti = TCTI_DEFAULT;
    if (request->pcr == 0)
        request->pcr = ATLS_MEASURE_PCR_DEFAULT;
    if (request->log == NULL) {
        request->log = atls_measure_default_log();
        /* Nobody else may have made our folder yet at this time of a boot; if
         * it cannot be made, opening the log says so. */
        if (strcmp(request->log, ATLS_OWN_LOG) == 0)
            (void)mkdir("/run/attest", 0755);
    }
}

static enum atls_error measure(const struct request *request,
                               const char *content, struct atls_reason *why,
                               enum atls_measured *ret_done)
{
    struct atls_tpm *tpm = NULL;
    enum atls_error r;

    r = atls_tpm_open(request->tcti, why, &tpm);
    if (r != ATLS_OK)
        return r;
    atls_tpm_set_deadline(
        tpm, atls_now_ms() + request->wait_ms + TPM_TIMEOUT_MS, -1);
    r = atls_measure(tpm, request->log, request->pcr, content, request->wait_ms,
                     why, ret_done);
    atls_tpm_close(tpm);
    return r;
}

static int print_result(const struct tool_options *options,
                        const struct request *request, const char *content,
                        enum atls_measured done)
{
    static const char *const words[] = {
        [ATLS_MEASURED_NEW] = "measured",
        [ATLS_MEASURED_ALREADY] = "already",
        [ATLS_MEASURED_REPAIRED] = "repaired",
    };
    static const char *const texts[] = {
        [ATLS_MEASURED_NEW] = "measured into",
        [ATLS_MEASURED_ALREADY] = "already measured in",
        [ATLS_MEASURED_REPAIRED] =
            "an interrupted measurement was completed; measured in",
    };

    if (options->json)
        return tool_print_json(
            options, json_pack("{s:i, s:s, s:s}", "pcr", (int)request->pcr,
                               "content", content, "result", words[done]));
    printf("%s PCR %u: %s\n", texts[done], request->pcr, content);
    return TOOL_DONE;
}

static int run(int argc, char **argv, struct tool_options *options)
{
    char content[ATLS_EVENT_CONTENT_MAX + 1];
    struct request request = {.wait_ms = WAIT_DEFAULT_MS};
    enum atls_measured done = ATLS_MEASURED_NEW;
    struct atls_reason why = {0};
    struct tool_conf *conf = NULL;
    enum atls_error r;
    int status;

    status = parse_options(argc, argv, options, &request);
    if (status == TOOL_DONE)
        status = check_forms(options, &request);
    if (status != TOOL_DONE)
        return status;

    r = make_content(&request, &why, content);
    if (r == ATLS_OK)
        r = load_conf(&request, &why, &conf);
    if (r == ATLS_OK && conf != NULL)
        r = complete(&request, conf, &why);
    if (r == ATLS_OK) {
        fill_defaults(&request);
        r = measure(&request, content, &why, &done);
    }
    if (r == ATLS_OK)
        status = print_result(options, &request, content, done);
    else
        status = tool_fail(options, &why);
    tool_conf_free(conf);
    return status;
}

const struct tool_verb tool_verb_measure = {
    .name = "measure",
    .synopsis = "extend a component or certificate into a PCR, and log it",
    .help = help,
    .run = run,
};
