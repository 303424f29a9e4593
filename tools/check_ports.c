/* SPDX-License-Identifier: BSD-2-Clause */
#include <arpa/inet.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "check_pid.h"
#include "look.h"
#include "peer.h"

#define PORTS_MAX 8u
#define PORT_TIMEOUT_MS 2000u
/* tcp_states.h of Linux: TCP_LISTEN, as /proc/net/tcp prints it. */
#define LISTENS 0x0au

/* Ports that its processes listen at. */
struct ports {
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

static bool is_of(const struct subject *subject, uint64_t inode)
{
    struct socket socket = {.inode = inode};

    for (size_t i = 0; i < subject->list.count && !socket.is_found; i++)
        if (subject_is_worker(subject, i))
            (void)process_visit_sockets(subject->list.items[i], note_inode,
                                        &socket);
    return socket.is_found;
}

/* Where to connect: listening anywhere is listening at the loopback address.
 * The words are the address's octets, read as the machine's own numbers. */
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
static void take_line(const struct subject *subject, const char *line,
                      bool is_v6, struct ports *ports)
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
    if (host != NULL && is_of(subject, inode))
        add_port(ports, host, port);
}

static void take_table(const struct subject *subject, const char *name,
                       bool is_v6, struct ports *ports)
{
    FILE *file = process_open(ports->process, name);
    char line[512];

    if (file == NULL)
        return;
    while (fgets(line, sizeof(line), file) != NULL)
        take_line(subject, line, is_v6, ports);
    fclose(file);
}

/* ---- what they answer ---- */

static void report_evidence(struct check *check, const char *port,
                            const struct peer_evidence *evidence)
{
    struct atls_report report;
    struct atls_reason why = {0};

    if (look_at(evidence, &why, &report) == ATLS_OK)
        finding_ok(check->findings, "port",
                   "%s answers with evidence of %zu octets (%s)", port,
                   evidence->cmw_len, evidence->tls);
    else
        finding_fail(
            check->findings, TOOL_USAGE, "port", "attest show tells more",
            "%s answers with evidence that does not hold: %s", port, why.text);
    atls_report_clear(&report);
}

static void check_port(struct check *check, const struct peer_address *address)
{
    struct peer_evidence evidence = {0};
    struct atls_reason why = {0};

    switch (peer_ask(address, PORT_TIMEOUT_MS, &why, &evidence)) {
    case PEER_EVIDENCE:
        report_evidence(check, address->port, &evidence);
        break;
    case PEER_NO_EVIDENCE:
        finding_fail(check->findings, TOOL_USAGE, "port",
                     "What is said above tells why, or restart it",
                     "%s speaks TLS 1.3 and sends no evidence", address->port);
        break;
    case PEER_OLD_TLS:
        finding_fail(check->findings, TOOL_USAGE, "port",
                     "Let it have TLS 1.3 (ssl_protocols in nginx, SSLProtocol "
                     "in Apache, ssl-max-ver in HAProxy)",
                     "%s speaks no TLS 1.3, which evidence needs",
                     address->port);
        break;
    case PEER_ALERT:
        finding_warn(check->findings, "port", "Its own log may say why",
                     "%s breaks the handshake off: %s", address->port,
                     why.text);
        break;
    case PEER_NO_TLS:
        finding_note(check->findings, "port", "%s: no TLS there (%s)",
                     address->port, why.text);
        break;
    }
    peer_evidence_clear(&evidence);
}

static int ask_ports(struct check *check, const void *arg)
{
    const struct ports *ports = arg;
    struct atls_reason why = {0};

    if (place_enter(ports->process, PLACE_NETWORK, &why) != ATLS_OK) {
        finding_note(check->findings, "port", "not asked: %s", why.text);
        return 0;
    }
    for (size_t i = 0; i < ports->count; i++)
        check_port(check, &ports->items[i]);
    if (ports->are_more)
        finding_note(check->findings, "port", "only the first %u were asked",
                     PORTS_MAX);
    return 0;
}

void check_ports(struct check *check, const struct subject *subject)
{
    struct ports ports = {.process = subject->list.items[0]};

    take_table(subject, "net/tcp", false, &ports);
    take_table(subject, "net/tcp6", true, &ports);
    if (ports.count > 0)
        (void)place_run(check, ask_ports, &ports);
}
