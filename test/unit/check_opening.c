/* SPDX-License-Identifier: BSD-2-Clause */
/* provider/base/opening.h: in programs that run with standard descriptors closed (L14).
 * Each case is a child, as it closes those of its own. */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/scratch.h"
#include "lib/suite.h"
#include "base/opening.h"

/* A bit for each of 0, 1, 2. */
#define MASKS 8
#define ROUNDS 2000

static int status_of(int (*body)(unsigned), unsigned mask)
{
    int status = -1;
    pid_t pid;

    fflush(NULL);
    pid = fork();
    if (pid == 0) {
        for (int fd = 0; fd <= 2; fd++) {
            /* What is open is no terminal: nothing waits to be read. */
            int null = open("/dev/null", O_RDWR);

            if (dup2(null, fd) < 0)
                _exit(100);
            close(null > 2 ? null : -1);
        }
        closefrom(3);
        for (int fd = 0; fd <= 2; fd++)
            if ((mask >> fd & 1) != 0)
                close(fd);
        alarm(60);
        _exit(body(mask));
    }
    ck_assert_int_gt(pid, 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_msg(WIFEXITED(status), "wait status 0x%x", (unsigned)status);
    return WEXITSTATUS(status);
}

/* Of 0, 1 and 2, those that are not open. */
static unsigned closed_now(void)
{
    unsigned mask = 0;

    for (int fd = 0; fd <= 2; fd++)
        mask |= (unsigned)(fcntl(fd, F_GETFD) < 0) << fd;
    return mask;
}

/* --- each way to open ---------------------------------------------------------- */

static char path[4200];

static int open_file(void)
{
    return atls_open_file(path, O_RDWR | O_CREAT, 0600);
}

static int open_at(void)
{
    int folder = atls_open_file("/", O_RDONLY | O_DIRECTORY, 0);
    int fd = atls_open_at(folder, "dev/null", O_RDONLY);

    close(folder);
    return fd;
}

static int open_socket(void)
{
    return atls_open_socket(AF_UNIX, SOCK_SEQPACKET);
}

static int open_accepted(void)
{
    const struct sockaddr_un any = {.sun_family = AF_UNIX};
    struct sockaddr_un name;
    socklen_t len = sizeof(name);
    int listener = atls_open_socket(AF_UNIX, SOCK_STREAM);
    int client = atls_open_socket(AF_UNIX, SOCK_STREAM), fd = -1;

    /* An abstract name of the kernel's choice: unix(7). */
    if (bind(listener, (const struct sockaddr *)&any, sizeof(any.sun_family))
            == 0
        && listen(listener, 1) == 0
        && getsockname(listener, (struct sockaddr *)&name, &len) == 0
        && connect(client, (struct sockaddr *)&name, len) == 0)
        fd = atls_open_accepted(listener, SOCK_NONBLOCK);
    close(listener);
    close(client);
    return fd;
}

static int open_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    return atls_open_signals(&set);
}

static int open_copy(void)
{
    int fd = atls_open_eventfd();
    int copy = atls_open_copy(fd);

    close(fd);
    return copy;
}

static int open_pair(void)
{
    int ends[2] = {-1, -1};

    if (!atls_open_pair(SOCK_SEQPACKET, ends) || ends[1] < 3
        || fcntl(ends[1], F_GETFD) != FD_CLOEXEC)
        return -1;
    close(ends[1]);
    return ends[0];
}

static int open_stream(void)
{
    FILE *file = atls_open_stream("/proc/self/stat");
    char octets[16];
    int fd = -1;

    if (file != NULL && fread(octets, sizeof(octets), 1, file) == 1)
        fd = atls_open_copy(fileno(file));
    if (file != NULL && fileno(file) < 3)
        fd = -1;
    fclose(file);
    return fd;
}

/* What a library opens. */
static int open_in_library(void)
{
    struct atls_opening opening;
    int fd;

    atls_opening_begin(&opening);
    fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    atls_opening_end(&opening);
    return fd;
}

/* What came by another way. */
static int open_lifted(void)
{
    return atls_opening_lift(open("/dev/null", O_RDWR | O_CLOEXEC));
}

static int (*const ways[])(void) = {
    open_file,       open_at,     open_socket,       open_accepted,
    open_signals,    open_copy,   open_pair,         open_stream,
    open_in_library, open_lifted, atls_open_eventfd, atls_open_timer,
    atls_open_epoll,
};
#define WAYS (int)(sizeof(ways) / sizeof(ways[0]))

static int way;

static int opens_above(unsigned mask)
{
    int fd;

    errno = ENOTTY;
    fd = ways[way]();
    if (fd < 3)
        return 1;
    if (fcntl(fd, F_GETFD) != FD_CLOEXEC)
        return 2;
    if (closed_now() != mask)
        return 3;
    close(fd);
    /* Nothing was left behind. */
    for (fd = 3; fd < 256; fd++)
        if (fcntl(fd, F_GETFD) >= 0)
            return 4;
    return 0;
}

START_TEST(test_L14_never_a_standard_descriptor)
{
    way = _i;
    for (unsigned mask = 0; mask < MASKS; mask++)
        ck_assert_msg(status_of(opens_above, mask) == 0,
                      "way %d with 0x%x closed: %d", way, mask,
                      status_of(opens_above, mask));
}
END_TEST

static int fails_as_found(unsigned mask)
{
    struct rlimit none = {.rlim_cur = 3, .rlim_max = 3};

    errno = 0;
    if (atls_open_file("/nonexistent", O_RDONLY, 0) != -1 || errno != ENOENT)
        return 1;
    if (closed_now() != mask)
        return 2;
    /* R4: no number is left but those that are none for us. */
    if (setrlimit(RLIMIT_NOFILE, &none) != 0)
        return 3;
    errno = 0;
    if (atls_open_eventfd() != -1 || errno != EMFILE)
        return 4;
    errno = 0;
    if (atls_open_copy(0) != -1)
        return 5;
    return closed_now() == mask ? 0 : 6;
}

START_TEST(test_L14_errors)
{
    for (unsigned mask = 0; mask < MASKS; mask++)
        ck_assert_int_eq(status_of(fails_as_found, mask), 0);
}
END_TEST

/* --- other threads of the program ----------------------------------------------- */

static atomic_bool is_over;
static atomic_uint written;

/* What a program without stderr prints there. */
static void *print(void *unused)
{
    while (!is_over)
        for (int fd = 0; fd <= 2; fd++)
            if (write(fd, "password", 8) >= 0 || errno != EBADF)
                atomic_fetch_add(&written, 1);
    return unused;
}

/* Also for the moment in which it is being opened. */
static int writes_nowhere(unsigned mask)
{
    struct stat st;
    pthread_t thread;

    (void)mask;
    if (pthread_create(&thread, NULL, print, NULL) != 0)
        return 1;
    for (int i = 0; i < ROUNDS; i++) {
        int fd = open_file();

        if (fd < 3)
            return 2;
        close(fd);
    }
    is_over = true;
    pthread_join(thread, NULL);
    if (written != 0)
        return 3;
    return stat(path, &st) == 0 && st.st_size == 0 ? 0 : 4;
}

START_TEST(test_L14_what_is_printed_meanwhile)
{
    ck_assert_int_eq(status_of(writes_nowhere, MASKS - 1), 0);
}
END_TEST

/* What the program itself puts there stays. */
static int leaves_the_programs(unsigned mask)
{
    struct atls_opening opening;
    struct stat ours, st;
    int fd;

    (void)mask;
    atls_opening_begin(&opening);
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 3 || fstat(fd, &ours) != 0 || dup2(fd, 2) != 2)
        return 1;
    atls_opening_end(&opening);
    return fstat(2, &st) == 0 && st.st_ino == ours.st_ino && closed_now() == 3
               ? 0
               : 2;
}

START_TEST(test_L14_what_the_program_puts_there)
{
    ck_assert_int_eq(status_of(leaves_the_programs, MASKS - 1), 0);
}
END_TEST

/* --- programs of ours ------------------------------------------------------------ */

static int is_standard(unsigned mask)
{
    char octet;

    if (!atls_opening_standard() || closed_now() != 0)
        return 1;
    for (int fd = 0; fd <= 2; fd++) {
        bool is_open =
            fd == 0 ? read(fd, &octet, 1) == 0 : write(fd, "", 1) == 1;

        if (is_open == ((mask >> fd & 1) != 0) || (!is_open && errno != EBADF))
            return 2;
    }
    return fcntl(3, F_GETFD) < 0 ? 0 : 3;
}

START_TEST(test_L14_standard_of_programs_of_ours)
{
    for (unsigned mask = 0; mask < MASKS; mask++)
        ck_assert_int_eq(status_of(is_standard, mask), 0);
}
END_TEST

static void setup(void)
{
    scratch_make();
    snprintf(path, sizeof(path), "%s", scratch_path("file"));
}

static const struct suite_test tests[] = {
    LOOP(test_L14_never_a_standard_descriptor, 0, WAYS),
    ONCE(test_L14_errors),
    ONCE(test_L14_what_is_printed_meanwhile),
    ONCE(test_L14_what_the_program_puts_there),
    ONCE(test_L14_standard_of_programs_of_ours),
};

SUITE(.name = "opening",
      .cases = {CASE("opening", tests, 0, setup, scratch_remove)});
