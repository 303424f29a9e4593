/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/tpmproxy.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#define HEADER_LEN 10u

struct tpmproxy {
    struct tpmproxy_hooks hooks;
    atomic_uint target_port;
    char tcti[128];
    bool is_device;
    int listen_fd; /* or the terminal's master */
    int slave_fd;  /* keeps the terminal alive between clients */
    int stop_fd;
    pthread_t thread;
};

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8
           | p[3];
}

static void put32(uint8_t *p, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        p[i] = (uint8_t)(value >> (24 - 8 * i));
}

void tpmproxy_answer_code(uint32_t rc, uint8_t *response, size_t *ret_len)
{
    response[0] = 0x80;
    response[1] = 0x01; /* TPM_ST_NO_SESSIONS */
    put32(response + 2, HEADER_LEN);
    put32(response + 6, rc);
    *ret_len = HEADER_LEN;
}

/* False when the proxy shall stop. */
static bool wait_readable(const struct tpmproxy *proxy, int fd)
{
    struct pollfd fds[2] = {{fd, POLLIN, 0}, {proxy->stop_fd, POLLIN, 0}};

    while (poll(fds, 2, -1) < 0 && errno == EINTR)
        ;
    return fds[1].revents == 0;
}

static bool read_some(const struct tpmproxy *proxy, int fd, uint8_t *p,
                      size_t len)
{
    while (len > 0) {
        ssize_t n;

        if (!wait_readable(proxy, fd))
            return false;
        n = read(fd, p, len);
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* A command or a response, whole. */
static bool read_message(const struct tpmproxy *proxy, int fd, uint8_t *message,
                         size_t *ret_len)
{
    size_t len;

    if (!read_some(proxy, fd, message, HEADER_LEN))
        return false;
    len = get32(message + 2);
    if (len < HEADER_LEN || len > TPMPROXY_OCTETS_MAX)
        return false;
    *ret_len = len;
    return read_some(proxy, fd, message + HEADER_LEN, len - HEADER_LEN);
}

static bool write_message(int fd, const uint8_t *message, size_t len)
{
    while (len > 0) {
        ssize_t n = write(fd, message, len);

        if (n <= 0)
            return false;
        message += n;
        len -= (size_t)n;
    }
    return true;
}

static struct sockaddr_in local(unsigned port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
    };

    return address;
}

static bool ask_target(const struct tpmproxy *proxy, const uint8_t *command,
                       size_t command_len, uint8_t *response, size_t *ret_len)
{
    struct sockaddr_in address = local(atomic_load(&proxy->target_port));
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answered;

    answered =
        fd >= 0
        && connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0
        && write_message(fd, command, command_len)
        && read_message(proxy, fd, response, ret_len);
    if (fd >= 0)
        close(fd);
    return answered;
}

/* One command of a client. False when the connection shall be closed. */
static bool serve_command(const struct tpmproxy *proxy, int fd)
{
    const struct tpmproxy_hooks *hooks = &proxy->hooks;
    enum tpmproxy_action action = TPMPROXY_FORWARD;
    static _Thread_local uint8_t command[TPMPROXY_OCTETS_MAX];
    static _Thread_local uint8_t response[TPMPROXY_OCTETS_MAX];
    size_t command_len, len = 0;
    uint32_t code;

    if (!read_message(proxy, fd, command, &command_len))
        return false;
    code = get32(command + 6);
    if (hooks->before != NULL)
        action = hooks->before(hooks->arg, code, response, &len);
    if (action == TPMPROXY_CLOSE)
        return false;
    if (action == TPMPROXY_HANG) /* a terminal does not tell of closing */
        return proxy->is_device || read_some(proxy, fd, response, 1);
    if (action == TPMPROXY_FORWARD
        && !ask_target(proxy, command, command_len, response, &len))
        return false;
    if (action == TPMPROXY_FORWARD && hooks->after != NULL)
        hooks->after(hooks->arg, code, response, &len);
    return write_message(fd, response, len);
}

static bool is_stopping(const struct tpmproxy *proxy)
{
    struct pollfd stop = {proxy->stop_fd, POLLIN, 0};

    return poll(&stop, 1, 0) != 0;
}

static void *run(void *arg)
{
    const struct tpmproxy *proxy = arg;

    while (!is_stopping(proxy)) {
        int fd;

        if (proxy->is_device) {
            (void)serve_command(proxy, proxy->listen_fd);
            continue;
        }
        if (!wait_readable(proxy, proxy->listen_fd))
            break;
        fd = accept4(proxy->listen_fd, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0)
            continue;
        while (serve_command(proxy, fd))
            ;
        close(fd);
    }
    return NULL;
}

static bool listen_tcp(struct tpmproxy *proxy)
{
    struct sockaddr_in address = local(0);
    socklen_t len = sizeof(address);

    proxy->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (proxy->listen_fd < 0
        || bind(proxy->listen_fd, (const struct sockaddr *)&address, len) < 0
        || listen(proxy->listen_fd, 64) < 0
        || getsockname(proxy->listen_fd, (struct sockaddr *)&address, &len) < 0)
        return false;
    snprintf(proxy->tcti, sizeof(proxy->tcti), "swtpm:host=127.0.0.1,port=%u",
             ntohs(address.sin_port));
    return true;
}

static bool open_terminal(struct tpmproxy *proxy)
{
    struct termios mode;
    char name[64];

    proxy->is_device = true;
    proxy->listen_fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (proxy->listen_fd < 0 || grantpt(proxy->listen_fd) < 0
        || unlockpt(proxy->listen_fd) < 0
        || ptsname_r(proxy->listen_fd, name, sizeof(name)) != 0)
        return false;
    proxy->slave_fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (proxy->slave_fd < 0 || tcgetattr(proxy->slave_fd, &mode) < 0)
        return false;
    cfmakeraw(&mode);
    snprintf(proxy->tcti, sizeof(proxy->tcti), "device:%s", name);
    return tcsetattr(proxy->slave_fd, TCSANOW, &mode) == 0;
}

static void free_proxy(struct tpmproxy *proxy)
{
    const int fds[] = {proxy->listen_fd, proxy->slave_fd, proxy->stop_fd};

    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    free(proxy);
}

static struct tpmproxy *start(unsigned target_port,
                              const struct tpmproxy_hooks *hooks,
                              bool (*open_listener)(struct tpmproxy *))
{
    struct tpmproxy *proxy = calloc(1, sizeof(*proxy));
    sigset_t all, old;
    bool started;

    if (proxy == NULL)
        return NULL;
    atomic_init(&proxy->target_port, target_port);
    if (hooks != NULL)
        proxy->hooks = *hooks;
    proxy->listen_fd = -1;
    proxy->slave_fd = -1;
    proxy->stop_fd = eventfd(0, EFD_CLOEXEC);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    started = proxy->stop_fd >= 0 && open_listener(proxy)
              && pthread_create(&proxy->thread, NULL, run, proxy) == 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!started) {
        free_proxy(proxy);
        return NULL;
    }
    return proxy;
}

struct tpmproxy *tpmproxy_start(unsigned target_port,
                                const struct tpmproxy_hooks *hooks)
{
    return start(target_port, hooks, listen_tcp);
}

struct tpmproxy *tpmproxy_start_device(unsigned target_port,
                                       const struct tpmproxy_hooks *hooks)
{
    return start(target_port, hooks, open_terminal);
}

void tpmproxy_stop(struct tpmproxy *proxy)
{
    const uint64_t one = 1;
    ssize_t written;

    if (proxy == NULL)
        return;
    written = write(proxy->stop_fd, &one, sizeof(one));
    (void)written;
    pthread_join(proxy->thread, NULL);
    free_proxy(proxy);
}

void tpmproxy_redirect(struct tpmproxy *proxy, unsigned target_port)
{
    atomic_store(&proxy->target_port, target_port);
}

const char *tpmproxy_tcti(const struct tpmproxy *proxy)
{
    return proxy->tcti;
}
