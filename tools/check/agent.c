/* SPDX-License-Identifier: BSD-2-Clause */
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "attester/agent_socket.h"
#include "base/clock.h"
#include "tools/check/checks.h"

/* Keys that moved to attestd.cnf; a program's own are not used. */
static void check_ignored_keys(struct check *check)
{
    static const char *const ignored[] = {
        "ak",           "ak_auth",  "ak_chain",    "pcrs",
        "measured_log", "boot_log", "measure_pcr", "max_queue"};
    char found[160] = "";

    for (size_t i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++) {
        size_t len = strlen(found);

        if (tool_conf_get(check->conf, check->conf->attester, ignored[i])
            != NULL)
            snprintf(found + len, sizeof(found) - len, "%s%s",
                     len > 0 ? ", " : "", ignored[i]);
    }
    if (found[0] != '\0')
        tool_finding_warn(
            check->findings, "settings",
            "Take them out here, write them into attestd.cnf",
            "with quoter = unix:... [%s] has no say in %s: the agent "
            "reads its own configuration",
            check->conf->attester, found);
}

static STACK_OF(X509) * parse_chain(const struct atls_evidence *evidence)
{
    STACK_OF(X509) *chain = sk_X509_new_null();

    for (size_t i = 0; chain != NULL && i < evidence->chain_count; i++) {
        const unsigned char *der = evidence->chain[i].data;
        X509 *cert = d2i_X509(NULL, &der, (long)evidence->chain[i].len);

        if (cert == NULL || sk_X509_push(chain, cert) <= 0)
            X509_free(cert);
    }
    ERR_clear_error();
    return chain;
}

static void check_certificates(struct check *check,
                               const struct atls_evidence *evidence)
{
    STACK_OF(X509) *chain = parse_chain(evidence);

    if (sk_X509_num(chain) == (int)evidence->chain_count)
        tool_check_ak_chain(check, chain, "the agent's chain");
    else
        tool_finding_fail(check->findings, TOOL_USAGE, "AK chain",
                          "Correct ak_chain in attestd.cnf",
                          "a certificate that the agent sends cannot be read");
    sk_X509_pop_free(chain, X509_free);
}

/* Report the user that listens at the socket; false when nobody answers. */
static bool find_agent(const char *socket, uid_t *ret_uid)
{
    struct ucred agent;
    socklen_t len = sizeof(agent);
    bool is_known;
    int fd = -1;

    if (atls_agent_connect(socket, atls_now_ms(), NULL, &fd) != ATLS_OK)
        return false;
    is_known = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &agent, &len) == 0;
    close(fd);
    *ret_uid = agent.uid;
    return is_known;
}

/* The socket's mode says who may ask. Whoever can write or owns its folder can
 * take the agent's place. An agent started by hand owns both. */
static void check_socket(struct check *check, const char *path)
{
    char owner[CHECK_USER_MAX];
    struct stat st;
    uid_t agent = 0;

    if (lstat(path, &st) != 0 || !tool_check_folders(check, "socket", path)
        || st.st_uid == 0 || st.st_uid == geteuid()
        || (find_agent(path, &agent) && agent == st.st_uid))
        return;
    tool_check_user(check, st.st_uid, owner);
    tool_finding_warn(check->findings, "socket",
                      "Right for an agent of that user, started by hand; with "
                      "attestd.socket it is root's",
                      "%s belongs to %s", path, owner);
}

void tool_check_agent(struct check *check, struct atls_attester *attester)
{
    const char *socket = check->configuration.attester.socket;
    struct peer_evidence evidence = {0};
    struct atls_report report;

    check_ignored_keys(check);
    check_socket(check, socket);
    if (tool_check_evidence(check, attester, "the agent's", &evidence, &report))
        check_certificates(check, report.evidence);
    atls_report_clear(&report);
    tool_peer_evidence_clear(&evidence);
}
