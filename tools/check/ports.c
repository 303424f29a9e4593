/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "tools/check/target.h"
#include "base/digest.h"
#include "tools/common/local_evidence.h"
#include "tools/common/inspect.h"
#include "tools/common/peer.h"
#include "verifier/certificate.h"

#define PORTS_MAX 8u
#define PORT_TIMEOUT_MS 2000u
/* tcp_states.h of Linux: TCP_LISTEN, as /proc/net/tcp prints it. */
#define LISTENS 0x0au

/* Ports that its processes listen at. */
struct ports {
    const struct target *target;
    const struct process *process; /* in whose network they are */
    size_t count;
    bool are_more;
    struct peer_address items[PORTS_MAX];
};

/* ---- which ---- */

struct socket {
    uint64_t inode;
    bool is_found;
};

static bool note_inode(void *arg, int fd, uint64_t inode)
{
    struct socket *socket = arg;

    (void)fd;
    socket->is_found |= inode == socket->inode;
    return !socket->is_found;
}

static bool is_of(const struct target *target, uint64_t inode)
{
    struct socket socket = {.inode = inode};

    for (size_t i = 0; i < target->list.count && !socket.is_found; i++)
        if (tool_target_is_worker(target, i))
            (void)tool_process_visit_sockets(target->list.items[i], note_inode,
                                             &socket);
    return socket.is_found;
}

/* The address to connect to: the loopback address for a socket that listens on
 * any. The words are the address's octets, in the machine's byte order. */
static const char *host_of(const uint32_t words[4], bool is_v6)
{
    const struct in6_addr *v6 = (const struct in6_addr *)(const void *)words;

    if (!is_v6)
        return words[0] == htonl(INADDR_ANY)
                       || (ntohl(words[0]) >> IN_CLASSA_NSHIFT)
                              == IN_LOOPBACKNET
                   ? "127.0.0.1"
                   : NULL;
    return IN6_IS_ADDR_UNSPECIFIED(v6) || IN6_IS_ADDR_LOOPBACK(v6) ? "::1"
                                                                   : NULL;
}

static void add_port(struct ports *ports, const char *host, unsigned port)
{
    struct peer_address address = {.is_literal = true};

    snprintf(address.host, sizeof(address.host), "%s", host);
    snprintf(address.port, sizeof(address.port), "%u", port & 0xffffu);
    for (size_t i = 0; i < ports->count; i++)
        if (strcmp(ports->items[i].port, address.port) == 0)
            return; /* of the other family */
    if (ports->count == PORTS_MAX)
        ports->are_more = true;
    else
        ports->items[ports->count++] = address;
}

/* A line of /proc/net/tcp (proc(5)): slot, local, remote, state ... inode. */
static void take_line(const struct target *target, const char *line, bool is_v6,
                      struct ports *ports)
{
    uint32_t words[4] = {0};
    unsigned port = 0, state = 0;
    const char *host;
    uint64_t inode = 0;
    int at = 0, n;

    if (is_v6)
        n = sscanf(line, " %*u: %8x%8x%8x%8x:%4x%n", &words[0], &words[1],
                   &words[2], &words[3], &port, &at)
            - 4;
    else
        n = sscanf(line, " %*u: %8x:%4x%n", &words[0], &port, &at) - 1;
    if (n != 1 || at == 0)
        return;
    /* The remote address of IPv6 is too long for a number: skip the word. */
    line += at;
    line += strspn(line, " ");
    line += strcspn(line, " ");
    if (sscanf(line, " %x %*x:%*x %*x:%*x %*x %*u %*u %" SCNu64, &state, &inode)
            != 2
        || state != LISTENS)
        return;
    host = host_of(words, is_v6);
    if (host != NULL && is_of(target, inode))
        add_port(ports, host, port);
}

static void take_table(const struct target *target, const char *name,
                       bool is_v6, struct ports *ports)
{
    FILE *file = tool_process_open(ports->process, name);
    char line[512];

    if (file == NULL)
        return;
    while (fgets(line, sizeof(line), file) != NULL)
        take_line(target, line, is_v6, ports);
    fclose(file);
}

/* ---- what they answer ---- */

static void report_evidence(struct check *check, const char *port,
                            const struct peer_evidence *evidence)
{
    struct atls_report report;
    struct atls_reason why = {0};

    if (tool_inspect(evidence, &why, &report) == ATLS_OK)
        tool_finding_ok(check->findings, "port",
                        "%s answers with evidence of %zu octets (%s)", port,
                        evidence->cmw_len, evidence->tls);
    else
        tool_finding_fail(
            check->findings, TOOL_USAGE, "port", "attest show tells more",
            "%s answers with evidence that does not hold: %s", port, why.text);
    atls_report_clear(&report);
}

/* ---- what a port shows to clients that do not ask ---- */

struct refusal {
    const struct target *target;
    const char *port;
    const struct peer_evidence *shown; /* to those that do not ask */
};

static void report_unmeasured(struct check *check,
                              const struct refusal *refusal)
{
    const struct atls_span der = {refusal->shown->cert_der,
                                  refusal->shown->cert_len};
    char target[ATLS_SUBJECT_MAX] = "?", hex[2 * ATLS_SHA256_LEN + 1] = "?";
    uint8_t digest[ATLS_SHA256_LEN];
    X509 *cert = NULL;

    if (atls_certificate_parse(der, "it", NULL, &cert) == ATLS_OK)
        atls_certificate_subject(cert, target, sizeof(target));
    X509_free(cert);
    if (atls_sha256(der.data, der.len, digest) == ATLS_OK)
        atls_hex(digest, sizeof(digest), hex);
    tool_finding_fail(
        check->findings, TOOL_USAGE, "port",
        "Put it into [certificates] of attestd.cnf and run attest "
        "measure --all",
        "%s serves certificate %s, sha256:%s, which is not in the "
        "measured log",
        refusal->port, target, hex);
}

/* Evidence for the certificate that the port shows: the quoter reports to the
 * server what it says of that certificate. */
static enum atls_error try_certificate(struct check *check,
                                       const struct refusal *refusal,
                                       struct atls_reason *why)
{
    const struct peer_evidence *shown = refusal->shown;
    struct atls_attester *attester = NULL;
    struct peer_evidence evidence = {0};
    enum atls_error r = tool_target_read_settings(check, refusal->target, why);

    if (r == ATLS_OK)
        r = tool_sandbox_become(&refusal->target->user, why);
    if (r != ATLS_OK || tool_check_why_not_tried(check) != NULL)
        return r;
    r = tool_check_new_attester(check, why, &attester);
    if (r == ATLS_OK)
        r = tool_local_evidence(
            attester, (struct atls_span){shown->cert_der, shown->cert_len}, why,
            &evidence);
    tool_peer_evidence_clear(&evidence);
    atls_attester_free(attester);
    return r;
}

static int explain_refusal(struct check *check, const void *arg)
{
    const struct refusal *refusal = arg;
    struct atls_reason why = {0};
    enum atls_error r = try_certificate(check, refusal, &why);

    if (r == ATLS_E_CERTIFICATE_UNMEASURED)
        report_unmeasured(check, refusal);
    else
        tool_finding_fail(check->findings, TOOL_UNAVAILABLE, "port",
                          check->configuration.attester.socket != NULL
                              ? "See journalctl -u attestd and the server's log"
                              : "See the server's log",
                          "%s serves TLS but gives no evidence%s%s",
                          refusal->port, r != ATLS_OK ? ": " : "", why.text);
    return 0;
}

/* The port refuses only a client that asks for evidence, so the evidence is
 * the cause. */
static bool check_refusal(struct check *check, const struct ports *ports,
                          const struct peer_address *address)
{
    struct peer_evidence shown = {0};
    const struct refusal refusal = {
        .target = ports->target, .port = address->port, .shown = &shown};
    bool is_refusal =
        tool_peer_ask_plainly(address, PORT_TIMEOUT_MS, NULL, &shown)
        == PEER_NO_EVIDENCE;

    if (is_refusal)
        (void)tool_sandbox_run(check, explain_refusal, &refusal);
    tool_peer_evidence_clear(&shown);
    return is_refusal;
}

static void check_port(struct check *check, const struct ports *ports,
                       const struct peer_address *address)
{
    struct peer_evidence evidence = {0};
    struct atls_reason why = {0};
    const enum peer_answer answer =
        tool_peer_ask(address, PORT_TIMEOUT_MS, &why, &evidence);

    if ((answer == PEER_ALERT || answer == PEER_NO_TLS)
        && check_refusal(check, ports, address))
        return;
    switch (answer) {
    case PEER_EVIDENCE:
        report_evidence(check, address->port, &evidence);
        break;
    case PEER_NO_EVIDENCE:
        tool_finding_fail(check->findings, TOOL_USAGE, "port",
                          "What is said above tells why, or restart it",
                          "%s speaks TLS 1.3 and sends no evidence",
                          address->port);
        break;
    case PEER_OLD_TLS:
        tool_finding_fail(
            check->findings, TOOL_USAGE, "port",
            "Let it have TLS 1.3 (ssl_protocols in nginx, SSLProtocol "
            "in Apache, ssl-max-ver in HAProxy)",
            "%s speaks no TLS 1.3, which evidence needs", address->port);
        break;
    case PEER_ALERT:
        tool_finding_warn(check->findings, "port", NULL,
                          "%s breaks the handshake off: %s", address->port,
                          why.text);
        break;
    case PEER_NO_TLS:
        tool_finding_note(check->findings, "port", "%s: no TLS there (%s)",
                          address->port, why.text);
        break;
    }
    tool_peer_evidence_clear(&evidence);
}

static int ask_ports(struct check *check, const void *arg)
{
    const struct ports *ports = arg;
    struct atls_reason why = {0};

    if (tool_sandbox_enter(ports->process, SANDBOX_NETWORK, &why) != ATLS_OK) {
        tool_finding_note(check->findings, "port", "not asked: %s", why.text);
        return 0;
    }
    for (size_t i = 0; i < ports->count; i++)
        check_port(check, ports, &ports->items[i]);
    if (ports->are_more)
        tool_finding_note(check->findings, "port",
                          "only the first %u were asked", PORTS_MAX);
    return 0;
}

void tool_check_ports(struct check *check, const struct target *target)
{
    struct ports ports = {.target = target, .process = target->list.items[0]};

    take_table(target, "net/tcp", false, &ports);
    take_table(target, "net/tcp6", true, &ports);
    if (ports.count > 0)
        (void)tool_sandbox_run(check, ask_ports, &ports);
}
