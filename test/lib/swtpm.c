/* SPDX-License-Identifier: BSD-2-Clause */
#include "lib/swtpm.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* Below the ports that the kernel gives to clients. */
#define PORT_FIRST 20000u
#define PORT_PAIRS 6000u
#define PORT_TRIES 50

#define START_LIMIT_MS 10000

struct swtpm {
    char folder[512];
    char tcti[64];
    unsigned port;
    int control_fd; /* listens on port + 1, which reserves the pair */
    pid_t pid;      /* 0: not running */
};

static void complain(const char *what)
{
    fprintf(stderr, "swtpm harness: %s: %s\n", what, strerror(errno));
}

const char *swtpm_missing(void)
{
    if (system("command -v swtpm >/dev/null 2>&1") == 0)
        return NULL;
    return "swtpm is not installed";
}

static int bind_local(unsigned port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const int on = 1;

    if (fd < 0)
        return -1;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) < 0
        || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0
        || listen(fd, 4) < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

/* swtpm opens the command port itself; it is tried here first. */
static bool reserve_ports(struct swtpm *swtpm)
{
    unsigned start = 0;

    if (getrandom(&start, sizeof(start), 0) != sizeof(start))
        return false;
    for (unsigned i = 0; i < PORT_PAIRS; i++) {
        unsigned port = PORT_FIRST + (start + i) % PORT_PAIRS * 2;
        int command_fd;

        swtpm->control_fd = bind_local(port + 1);
        if (swtpm->control_fd < 0)
            continue;
        command_fd = bind_local(port);
        if (command_fd >= 0) {
            close(command_fd);
            swtpm->port = port;
            snprintf(swtpm->tcti, sizeof(swtpm->tcti),
                     "swtpm:host=127.0.0.1,port=%u", port);
            return true;
        }
        close(swtpm->control_fd);
    }
    return false;
}

static void run(const struct swtpm *swtpm)
{
    char server[64], control[64], state[600], log[600];

    snprintf(server, sizeof(server), "type=tcp,bindaddr=127.0.0.1,port=%u",
             swtpm->port);
    snprintf(control, sizeof(control), "type=tcp,fd=%d", swtpm->control_fd);
    snprintf(state, sizeof(state), "dir=%s/state", swtpm->folder);
    snprintf(log, sizeof(log), "file=%s/log", swtpm->folder);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    fcntl(swtpm->control_fd, F_SETFD, 0);
    execlp("swtpm", "swtpm", "socket", "--tpm2", "--server", server, "--ctrl",
           control, "--tpmstate", state, "--log", log, "--flags",
           "not-need-init,startup-clear", "--seccomp", "action=none",
           (char *)NULL);
    _exit(127);
}

static int connect_local(unsigned port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons((uint16_t)port),
        .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)},
    };
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd >= 0
        && connect(fd, (const struct sockaddr *)&address, sizeof(address))
               < 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool is_listening(unsigned port)
{
    int fd = connect_local(port);

    if (fd < 0)
        return false;
    close(fd);
    return true;
}

static bool has_exited(struct swtpm *swtpm)
{
    if (waitpid(swtpm->pid, NULL, WNOHANG) == 0)
        return false;
    swtpm->pid = 0;
    return true;
}

static bool launch(struct swtpm *swtpm)
{
    const struct timespec pause = {.tv_nsec = 5000000};

    swtpm->pid = fork();
    if (swtpm->pid < 0) {
        swtpm->pid = 0;
        return false;
    }
    if (swtpm->pid == 0)
        run(swtpm);
    for (int ms = 0; ms < START_LIMIT_MS; ms += 5) {
        if (has_exited(swtpm))
            return false;
        if (is_listening(swtpm->port))
            return !has_exited(swtpm);
        nanosleep(&pause, NULL);
    }
    swtpm_kill(swtpm);
    return false;
}

static bool make_folder(struct swtpm *swtpm)
{
    const char *tmp = getenv("TMPDIR");
    char state[600];

    snprintf(swtpm->folder, sizeof(swtpm->folder), "%s/attest-swtpm.XXXXXX",
             tmp != NULL ? tmp : "/tmp");
    if (mkdtemp(swtpm->folder) == NULL)
        return false;
    snprintf(state, sizeof(state), "%s/state", swtpm->folder);
    return mkdir(state, 0700) == 0;
}

struct swtpm *swtpm_start(void)
{
    struct swtpm *swtpm = calloc(1, sizeof(*swtpm));

    if (swtpm == NULL)
        return NULL;
    swtpm->control_fd = -1;
    if (!make_folder(swtpm)) {
        complain("cannot make a folder");
        free(swtpm);
        return NULL;
    }
    for (int tries = PORT_TRIES; tries > 0 && reserve_ports(swtpm); tries--) {
        if (launch(swtpm))
            return swtpm;
        close(swtpm->control_fd);
        swtpm->control_fd = -1;
    }
    complain("swtpm does not start");
    swtpm_stop(swtpm);
    return NULL;
}

static int remove_entry(const char *path, const struct stat *st, int type,
                        struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static void remove_tree(const char *path)
{
    nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

void swtpm_kill(struct swtpm *swtpm)
{
    if (swtpm->pid == 0)
        return;
    kill(swtpm->pid, SIGKILL);
    while (waitpid(swtpm->pid, NULL, 0) < 0 && errno == EINTR)
        ;
    swtpm->pid = 0;
}

void swtpm_stop(struct swtpm *swtpm)
{
    if (swtpm == NULL)
        return;
    swtpm_kill(swtpm);
    if (swtpm->control_fd >= 0)
        close(swtpm->control_fd);
    remove_tree(swtpm->folder);
    free(swtpm);
}

bool swtpm_restart(struct swtpm *swtpm, bool with_state)
{
    char state[600];

    snprintf(state, sizeof(state), "%s/state", swtpm->folder);
    if (!with_state) {
        remove_tree(state);
        if (mkdir(state, 0700) < 0) {
            complain(state);
            return false;
        }
    }
    if (!launch(swtpm)) {
        complain("swtpm does not start again");
        return false;
    }
    return true;
}

/* CMD_INIT of swtpm's control channel, with no flags; swtpm_ioctls(3). */
bool swtpm_power_cycle(struct swtpm *swtpm)
{
    static const uint8_t init[8] = {0, 0, 0, 2, 0, 0, 0, 0};
    static const uint8_t success[4] = {0};
    uint8_t result[4] = {1};
    int fd = connect_local(swtpm->port + 1);
    bool done;

    done = fd >= 0 && write(fd, init, sizeof(init)) == sizeof(init)
           && read(fd, result, sizeof(result)) == sizeof(result)
           && memcmp(result, success, sizeof(success)) == 0;
    if (fd >= 0)
        close(fd);
    if (!done)
        complain("cannot reset swtpm");
    return done;
}

const char *swtpm_tcti(const struct swtpm *swtpm)
{
    return swtpm->tcti;
}

unsigned swtpm_port(const struct swtpm *swtpm)
{
    return swtpm->port;
}

int swtpm_pid(const struct swtpm *swtpm)
{
    return swtpm->pid;
}

const char *swtpm_folder(const struct swtpm *swtpm)
{
    return swtpm->folder;
}
