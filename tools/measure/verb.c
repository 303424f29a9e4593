/* SPDX-License-Identifier: BSD-2-Clause */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "attester/measure.h"
#include "evidence/pcr.h"
#include "tools/measure/all.h"
#include "tools/measure/conf.h"
#include "tools/measure/content.h"
#include "tools/common/tool.h"

#define WAIT_DEFAULT_MS 5000u
#define WAIT_MAX_MS 600000u
#define TPM_TIMEOUT_MS 30000

static const char help[] =
    "Usage: attest measure [OPTION]... --name NAME FILE|FOLDER\n"
    "       attest measure [OPTION]... --name NAME --digest sha256:HEX\n"
    "       attest measure [OPTION]... --certificate FILE\n"
    "       attest measure [OPTION]... --authority FILE\n"
    "       attest measure [OPTION]... --all\n"
    "Extend events into the PCR of the application and append them to the\n"
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
    "  --all               what the configuration lists: [components] with "
    "lines\n"
    "                      NAME = PATH or NAME = DIGEST, then [authorities] "
    "and\n"
    "                      [certificates] with NAME = FILE. A file that cannot "
    "be\n"
    "                      read: nothing is measured\n"
    "\n"
    "Options:\n"
    "  --tcti TCTI         the TPM, as tpm2-tss names it; else from `quoter`, "
    "else\n"
    "                      device:/dev/tpmrm0\n"
    "  --log FILE          measured log; else `measured_log`, else systemd's "
    "where\n"
    "                      systemd keeps one, else /run/attest/events.cel\n"
    "  --pcr N             8 to 15; else `measure_pcr`, else 15\n"
    "  --wait MS           how long to wait for the log's lock (5000)\n"
    "  --conf FILE         an openssl.cnf whose attester section has these "
    "keys, or\n"
    "                      the agent's attestd.cnf; else OPENSSL_CONF or the\n"
    "                      system's where it has quoter = tcti:, else\n"
    "                      " AGENT_CONFIGURATION_PATH " where there is one\n"
    "  --json              "
    "{\"pcr\":15,\"content\":\"...\",\"result\":\"measured\"}; the\n"
    "                      result may be \"already\", or \"repaired\": an\n"
    "                      interrupted measurement was completed first. "
    "With\n"
    "                      \"changed\":true where the log has the component "
    "with\n"
    "                      another digest, too, and \"full_percent\":N from "
    "75 %\n"
    "                      of what evidence can carry\n"
    "  --help              this text\n"
    "\n"
    "Exit status: 0 it is measured now, 2 usage or configuration, 3 log and "
    "PCR\n"
    "do not agree, or evidence has no room for more, 4 TPM unavailable or log\n"
    "locked.\n";

/* The command line, then completed from the configuration. */
struct request {
    const char *name;
    const char *digest;
    const char *path; /* of the component */
    const char *certificate;
    const char *authority;
    bool is_all;
    const char *conf;
    struct measure_target target;
    unsigned wait_ms;
};

static int out_of_range(const struct tool_options *options, const char *value)
{
    return tool_usage(options,
                      "%s is out of range: --pcr takes %u to %u, --wait "
                      "milliseconds up to %u",
                      value, ATLS_MEASURE_PCR_MIN, ATLS_MEASURE_PCR_MAX,
                      WAIT_MAX_MS);
}

static int take_pcr(const struct tool_options *options, const char *value,
                    void *ret)
{
    return tool_number(value, ATLS_MEASURE_PCR_MIN, ATLS_MEASURE_PCR_MAX, ret)
               ? TOOL_DONE
               : out_of_range(options, value);
}

static int take_wait(const struct tool_options *options, const char *value,
                     void *ret)
{
    return tool_number(value, 0, WAIT_MAX_MS, ret)
               ? TOOL_DONE
               : out_of_range(options, value);
}

static int parse_options(int argc, char **argv,
                         const struct tool_options *options,
                         struct request *request)
{
    const struct tool_option table[] = {
        {.name = "name", .text = &request->name},
        {.name = "digest", .text = &request->digest},
        {.name = "certificate", .text = &request->certificate},
        {.name = "authority", .text = &request->authority},
        {.name = "all", .flag = &request->is_all},
        {.name = "tcti", .text = &request->target.tcti},
        {.name = "log", .text = &request->target.log},
        {.name = "pcr", .take = take_pcr, .ret = &request->target.pcr},
        {.name = "wait", .take = take_wait, .ret = &request->wait_ms},
        {.name = "conf", .text = &request->conf},
    };
    int status = tool_read_options(argc, argv, options, table,
                                   sizeof(table) / sizeof(table[0]));

    if (status != TOOL_DONE)
        return status;
    if (argc - optind > 1)
        return tool_usage(options, "one component at a time: %s is too much",
                          argv[optind + 1]);
    request->path = argv[optind];
    return TOOL_DONE;
}

/* Exactly one of the five forms. */
static int check_forms(const struct tool_options *options,
                       const struct request *request)
{
    int subjects = (request->name != NULL) + (request->certificate != NULL)
                   + (request->authority != NULL) + request->is_all;
    int sources = (request->path != NULL) + (request->digest != NULL);

    if (subjects != 1)
        return tool_usage(options, "give one of --name, --certificate, "
                                   "--authority and --all");
    if (request->is_all && sources != 0)
        return tool_usage(options, "--all takes no file and no --digest: what "
                                   "it measures stands in the configuration");
    if (request->name == NULL && sources != 0)
        return tool_usage(options, "a file, folder or --digest needs --name");
    if (request->name != NULL && sources != 1)
        return tool_usage(options,
                          "--name needs a file, a folder or --digest, one of "
                          "them");
    return TOOL_DONE;
}

/* The content line of the one event that the command line is about. */
static enum atls_error make_content(const struct request *request,
                                    struct atls_reason *why,
                                    char ret_content[MEASURE_CONTENT_SIZE])
{
    if (request->certificate != NULL)
        return tool_measure_content_certificate(request->certificate, why,
                                                ret_content);
    if (request->authority != NULL)
        return tool_measure_content_authority(request->authority, why,
                                              ret_content);
    if (request->digest != NULL)
        return tool_measure_content_given(request->name, request->digest, why,
                                          ret_content);
    return tool_measure_content_component(request->name, request->path, why,
                                          ret_content);
}

/* Warn once in a run. */
static void warn_of_room(const struct atls_log_room *room)
{
    static bool is_told;

    if (!is_told)
        fprintf(stderr,
                "attest measure: warning: the log fills %u %% of what evidence "
                "can carry (%zu of %zu events, %zu of %zu octets); plan a "
                "reboot, which begins a new log: full, it takes no renewed "
                "certificate any more\n",
                atls_log_room_percent(room), room->events, room->events_max,
                room->octets, room->octets_max);
    is_told = true;
}

static int print_result(const struct tool_options *options, unsigned pcr,
                        const char *content,
                        const struct atls_measurement *result)
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
    json_t *object;

    if (atls_log_room_is_scarce(&result->room))
        warn_of_room(&result->room);
    if (result->is_changed)
        fprintf(stderr,
                "attest measure: %.*s was measured before with another digest: "
                "policies must list both; reboot for a clean log\n",
                (int)(strrchr(content, ' ') - content), content);
    if (!options->json) {
        printf("%s PCR %u: %s\n", texts[result->done], pcr, content);
        return TOOL_DONE;
    }
    object = json_pack("{s:i, s:s, s:s}", "pcr", (int)pcr, "content", content,
                       "result", words[result->done]);
    if (result->is_changed)
        json_object_set_new(object, "changed", json_true());
    if (atls_log_room_is_scarce(&result->room))
        json_object_set_new(object, "full_percent",
                            json_integer(atls_log_room_percent(&result->room)));
    return tool_print_json(options, object);
}

/* Measure the list while the lock is held. The first failure ends it: later
 * items need a machine that has the earlier ones. */
static int measure_locked(const struct tool_options *options,
                          const struct measure_target *target,
                          const struct measure_list *list, struct atls_tpm *tpm,
                          struct atls_measuring *measuring)
{
    struct atls_reason why = {0};
    int status = TOOL_DONE;

    for (size_t i = 0; i < list->count; i++) {
        const struct measure_item *item = &list->items[i];
        struct atls_measurement result;
        int printed;

        atls_tpm_set_deadline(tpm, atls_now_ms() + TPM_TIMEOUT_MS, -1);
        if (atls_measuring_next(measuring, item->content, &why, &result)
            != ATLS_OK) {
            if (item->name != NULL)
                atls_reason_prefix(&why, "[%s] %s: ", item->section,
                                   item->name);
            return tool_fail(options, &why);
        }
        printed = print_result(options, target->pcr, item->content, &result);
        if (printed != TOOL_DONE)
            status = printed;
    }
    return status;
}

static int measure(const struct tool_options *options,
                   const struct request *request,
                   const struct measure_conf *conf,
                   const struct measure_list *list)
{
    const struct measure_target *target = &request->target;
    struct atls_measuring *measuring = NULL;
    struct atls_reason why = {0};
    struct atls_evidence outline;
    struct atls_tpm *tpm = NULL;
    enum atls_error r;
    int status;

    tool_measure_conf_outline(conf, target, &outline);
    r = atls_tpm_open(target->tcti, &why, &tpm);
    if (r == ATLS_OK)
        r = atls_measuring_begin(tpm, target->log, target->pcr,
                                 request->wait_ms, &outline, &why, &measuring);
    if (r == ATLS_OK)
        status = measure_locked(options, target, list, tpm, measuring);
    else
        status = tool_fail(options, &why);
    atls_measuring_end(measuring);
    atls_tpm_close(tpm);
    return status;
}

static int run_all(const struct tool_options *options, struct request *request)
{
    struct measure_conf conf = {.path = NULL};
    struct measure_list list = {.count = 0};
    struct atls_reason why = {0};
    enum atls_error r;
    int status;

    r = tool_measure_conf_load(request->conf, AGENT_CONFIGURATION_PATH, &why,
                               &conf);
    if (r == ATLS_OK)
        r = tool_measure_all_list(&conf, &why, &list);
    if (r == ATLS_OK)
        r = tool_measure_conf_complete(&conf, &request->target, &why);
    if (r == ATLS_OK)
        status = measure(options, request, &conf, &list);
    else
        status = tool_fail(options, &why);
    tool_measure_list_clear(&list);
    tool_measure_conf_clear(&conf);
    return status;
}

static int run_one(const struct tool_options *options, struct request *request)
{
    struct measure_conf conf = {.path = NULL};
    struct measure_item item = {.name = NULL};
    const struct measure_list list = {.count = 1, .items = &item};
    struct atls_reason why = {0};
    enum atls_error r;
    int status;

    r = make_content(request, &why, item.content);
    if (r == ATLS_OK)
        r = tool_measure_conf_load(request->conf, AGENT_CONFIGURATION_PATH,
                                   &why, &conf);
    if (r == ATLS_OK)
        r = tool_measure_conf_complete(&conf, &request->target, &why);
    if (r == ATLS_OK)
        status = measure(options, request, &conf, &list);
    else
        status = tool_fail(options, &why);
    tool_measure_conf_clear(&conf);
    return status;
}

static int run(int argc, char **argv, struct tool_options *options)
{
    struct request request = {.wait_ms = WAIT_DEFAULT_MS};
    int status;

    status = parse_options(argc, argv, options, &request);
    if (status == TOOL_DONE)
        status = check_forms(options, &request);
    if (status != TOOL_DONE)
        return status;
    return request.is_all ? run_all(options, &request)
                          : run_one(options, &request);
}

const struct tool_verb tool_verb_measure = {
    .name = "measure",
    .synopsis = "extend a component or certificate into a PCR, and log it",
    .help = help,
    .run = run,
};
