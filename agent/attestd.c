/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <getopt.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "agent/configuration.h"
#include "agent/listen.h"
#include "agent/preflight.h"
#include "agent/server.h"
#include "agent/service.h"
#include "base/error.h"
#include "base/log.h"
#include "base/opening.h"

/* attestd(8): one process owns the TPM and answers for all programs. */

/* Descriptors that are no connections: log, TPM, epoll, files being read, a
 * reserve for libraries. */
#define DESCRIPTORS_RESERVED 32
/* A connection costs some hundred octets here and two kilobytes in the kernel. */
#define CONNECTIONS_MAX 16384
#define CONNECTIONS_MIN 4
/* Fits into what a process has by default. */
#define CONNECTIONS_UNKNOWN 960

struct options {
    const char *configuration;
    const char *socket; /* NULL: the configuration's */
    bool checks_only;
};

static const char help[] =
    "usage: attestd [--config FILE] [--socket PATH] [--check]\n"
    "       attestd --help | --version\n"
    "\n"
    "Owns the TPM and makes evidence for the programs of this machine.\n"
    "\n"
    "  --config FILE   configuration (default: " AGENT_CONFIGURATION_PATH ")\n"
    "  --socket PATH   listen there, whatever the configuration says\n"
    "  --check         read the configuration and what it names, and end\n"
    "\n"
    "Exit status: 0 ended as asked, 2 usage or configuration, 4 unavailable.\n"
    "See attestd(8), attestd.cnf(5).\n";

/* From here on they come through the server's loop, until the process is gone: until
 * here they end it, as there is nothing to tidy up. */
static int open_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    (void)pthread_sigmask(SIG_BLOCK, &set, NULL);
    return atls_open_signals(&set);
}

/* Is stderr systemd's journal? systemd.exec(5), $JOURNAL_STREAM. */
static bool is_journal(void)
{
    const char *stream = getenv("JOURNAL_STREAM");
    uintmax_t device, inode;
    struct stat st;

    return stream != NULL && sscanf(stream, "%ju:%ju", &device, &inode) == 2
           && fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device
           && st.st_ino == inode;
}

static enum atls_status complain(const struct atls_reason *why)
{
    fprintf(stderr, "%sattestd: %s\n", is_journal() ? SD_ERR : "", why->text);
    return why->code == ATLS_E_CONFIG || why->code == ATLS_E_IO
               ? ATLS_STATUS_USAGE
               : ATLS_STATUS_UNAVAILABLE;
}

/* As many connections as the kernel permits, not only as the shell suggests. */
static size_t raise_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return CONNECTIONS_UNKNOWN;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    (void)getrlimit(RLIMIT_NOFILE,
                    &limit); /* a sandbox may forbid the former */
    if (limit.rlim_cur > CONNECTIONS_MAX + DESCRIPTORS_RESERVED)
        return CONNECTIONS_MAX;
    if (limit.rlim_cur < CONNECTIONS_MIN + DESCRIPTORS_RESERVED)
        return CONNECTIONS_MIN;
    return (size_t)limit.rlim_cur - DESCRIPTORS_RESERVED;
}

static enum atls_status check(const struct options *options)
{
    struct agent_service *service = NULL;
    struct atls_reason why;

    if (agent_service_load(options->configuration, NULL, &why, &service)
        != ATLS_OK)
        return complain(&why);
    if (agent_preflight(&service->configuration, &why) != ATLS_OK) {
        agent_service_unref(service);
        return complain(&why);
    }
    if (agent_preflight_boot_log(&service->configuration, &why) != ATLS_OK) {
        fprintf(stderr, "attestd: warning: %s\n", why.text);
        printf("%s: good enough to start\n", options->configuration);
    } else {
        printf("%s: no mistakes found\n", options->configuration);
    }
    agent_service_unref(service);
    return ATLS_STATUS_DONE;
}

static enum atls_status serve(const struct options *options,
                              const struct agent_configuration *configuration,
                              struct atls_log *log, int signals)
{
    struct agent_server_config config = {.path = options->configuration,
                                         .signals = signals,
                                         .connections_max = raise_limit(),
                                         .log = log,
                                         .peer_of = agent_peer_of};
    struct agent_listener listener;
    struct agent_server *server = NULL;
    struct atls_reason why;
    const char *path =
        options->socket != NULL ? options->socket : configuration->socket;

    if (agent_listen(path, &why, &listener) != ATLS_OK)
        return complain(&why);
    config.listener = listener.fd;
    if (agent_server_new(&config, &why, &server) != ATLS_OK) {
        agent_listener_close(&listener);
        return complain(&why);
    }
    atls_log_write(log, ATLS_LOG_INFO,
                   "version " ATLS_VERSION ", listening on %s",
                   listener.is_activated ? "systemd's socket" : path);
    agent_server_run(server);
    atls_log_write(log, ATLS_LOG_INFO, "ending");
    agent_listener_remove(&listener);
    agent_server_free(server);
    return ATLS_STATUS_DONE;
}

static enum atls_status run(const struct options *options)
{
    struct agent_configuration configuration;
    struct atls_log *log;
    struct atls_reason why;
    enum atls_status status;
    int signals;

    if (agent_configuration_load(options->configuration, &why, &configuration)
        != ATLS_OK)
        return complain(&why);
    if (agent_preflight(&configuration, &why) != ATLS_OK) {
        agent_configuration_clear(&configuration);
        return complain(&why);
    }
    log = atls_log_open(configuration.log, configuration.log_level);
    atls_log_set_name(log, "attestd");
    if (is_journal())
        atls_log_mark_priorities(log);
    signals = open_signals();
    if (signals < 0) {
        (void)atls_fail(&why, ATLS_E_IO, "cannot wait for signals: %s",
                        strerror(errno));
        status = complain(&why);
    } else {
        status = serve(options, &configuration, log, signals);
        close(signals);
    }
    atls_log_close(log);
    agent_configuration_clear(&configuration);
    return status;
}

static enum atls_status fail_usage(void)
{
    fputs("Try 'attestd --help'.\n", stderr);
    return ATLS_STATUS_USAGE;
}

static bool is_socket_path(const char *path)
{
    return path[0] == '/'
           && strlen(path) < sizeof(((struct sockaddr_un *)NULL)->sun_path);
}

/* ret_status: of a program that is to end at once. */
static bool parse(int argc, char **argv, struct options *options,
                  enum atls_status *ret_status)
{
    static const struct option known[] = {
        {"config", required_argument, NULL, 'c'},
        {"socket", required_argument, NULL, 's'},
        {"check", no_argument, NULL, 'k'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'v'},
        {NULL, 0, NULL, 0},
    };
    int option;

    *ret_status = ATLS_STATUS_DONE;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
        switch (option) {
        case 'c':
            options->configuration = optarg;
            break;
        case 's':
            options->socket = optarg;
            break;
        case 'k':
            options->checks_only = true;
            break;
        case 'h':
            fputs(help, stdout);
            return false;
        case 'v':
            puts("attestd " ATLS_VERSION);
            return false;
        default: /* getopt_long(3) has said what is wrong */
            *ret_status = fail_usage();
            return false;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "attestd: no arguments are expected, found '%s'\n",
                argv[optind]);
        *ret_status = fail_usage();
        return false;
    }
    if (options->socket != NULL && !is_socket_path(options->socket)) {
        fprintf(stderr,
                "attestd: --socket: expected an absolute path of 107 octets at "
                "most (unix(7)), found '%s'\n",
                options->socket);
        *ret_status = fail_usage();
        return false;
    }
    return true;
}

int main(int argc, char **argv)
{
    struct options options = {.configuration = AGENT_CONFIGURATION_PATH};
    enum atls_status status;

    if (!atls_opening_standard())
        return ATLS_STATUS_UNAVAILABLE;
    if (!parse(argc, argv, &options, &status))
        return (int)status;
    /* Nothing here is to be had by openssl.cnf, which may load attest itself. */
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
        return ATLS_STATUS_UNAVAILABLE;
    (void)umask(077);
    status = options.checks_only ? check(&options) : run(&options);
    return (int)status;
}
