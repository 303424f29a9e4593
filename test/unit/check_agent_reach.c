/* SPDX-License-Identifier: BSD-2-Clause */
/* attester/agent_client.h where the agent cannot be reached by its path, or may not
 * be believed, or one of the two is out of something. */
#include <check.h>
#include <openssl/async.h>
#include <openssl/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "lib/agentcalls.h"
#include "lib/allocation.h"
#include "lib/fakeagent.h"
#include "lib/scratch.h"
#include "lib/suite.h"

static struct agentcalls calls;

static void setup(void)
{
    agentcalls_open(&calls, 2000);
}

static void teardown(void)
{
    agentcalls_close(&calls);
}

/* --- nobody there ------------------------------------------------------------------ */

START_TEST(test_path_must_be_absolute_and_fit)
{
    char path[110];
    struct atls_agent_client_config config = {.socket = "agent.sock",
                                              .timeout_ms = 100};
    struct atls_agent_client *client = NULL;
    struct atls_reason why;

    ck_assert_int_eq(atls_agent_client_new(&config, NULL, NULL, &why, &client),
                     ATLS_E_CONFIG);
    ck_assert_str_eq(why.text,
                     "quoter = unix:agent.sock: expected an absolute path, for "
                     "example unix:/run/attest/agent.sock");
    memset(path, 'x', sizeof(path));
    path[0] = '/';
    path[108] = '\0';
    config.socket = path;
    ck_assert_int_eq(atls_agent_client_new(&config, NULL, NULL, &why, &client),
                     ATLS_E_CONFIG);
    ck_assert_str_eq(why.text, "the path of the agent's socket has 108 octets, "
                               "a Unix socket takes 107");
    path[107] = '\0';
    ck_assert_int_eq(atls_agent_client_new(&config, NULL, NULL, &why, &client),
                     ATLS_OK);
    atls_agent_client_free(client);
}
END_TEST

static int logged_level;
static char logged[ATLS_REASON_MAX];

static void note_log(void *arg, int level, const char *text)
{
    (void)arg;
    logged_level = level;
    snprintf(logged, sizeof(logged), "%s", text);
}

/* Each curl of a machine has a client: that the agent is down when it starts is
 * not worth a line of the log, that evidence is missing is. */
START_TEST(test_an_absent_agent_is_no_error_at_start)
{
    const struct atls_agent_client_config config = {
        .socket = "/nowhere/agent.sock", .timeout_ms = 100};
    struct atls_agent_client *client = NULL;
    struct atls_reason why;

    ck_assert_int_eq(
        atls_agent_client_new(&config, note_log, NULL, &why, &client), ATLS_OK);
    ck_assert_int_eq(logged_level, 3); /* debug */
    ck_assert_str_eq(logged, "no agent at /nowhere/agent.sock (No such file or "
                             "directory): systemctl start attestd.socket");
    atls_agent_client_free(client);
    atls_agent_client_free(NULL);
}
END_TEST

static void ck_unreachable(const char *path, const char *text)
{
    const struct atls_agent_client_config config = {.socket = path,
                                                    .timeout_ms = 100};
    struct atls_agent_client *client = NULL;
    struct atls_agent_call *call = NULL;
    struct atls_reason why;

    ck_assert_int_eq(atls_agent_client_new(&config, NULL, NULL, &why, &client),
                     ATLS_OK);
    ck_assert_int_eq(agentcalls_begin_with(client, &calls, 1, &why, &call),
                     ATLS_E_AGENT_UNAVAILABLE);
    ck_assert_str_eq(why.text, text);
    atls_agent_client_free(client);
}

START_TEST(test_no_agent_at_the_path)
{
    ck_unreachable("/nowhere/a",
                   "no agent at /nowhere/a (No such file or directory): "
                   "systemctl start attestd.socket");
    ck_unreachable(
        "/nowhere",
        "no agent at /nowhere (No such file or directory): systemctl "
        "start attestd.socket");
    ck_unreachable("/dev/null/a",
                   "no agent at /dev/null/a (Not a directory): systemctl start "
                   "attestd.socket");
}
END_TEST

/* The longest path there is, and all of the advice. */
static const char *longest_path(void)
{
    static char path[108];

    memset(path, 'x', sizeof(path) - 1);
    path[0] = path[60] = '/';
    return path;
}

START_TEST(test_a_long_path_leaves_the_advice)
{
    char text[ATLS_REASON_MAX];

    snprintf(text, sizeof(text),
             "no agent at %s (No such file or directory): systemctl start "
             "attestd.socket",
             longest_path());
    ck_unreachable(longest_path(), text);
}
END_TEST

static int begin_in_chroot(struct atls_agent_client *client, const char *text)
{
    struct atls_agent_call *call = NULL;
    struct atls_reason why;

    if (chroot(scratch_path("")) != 0
        || agentcalls_begin_with(client, &calls, 1, &why, &call)
               != ATLS_E_AGENT_UNAVAILABLE)
        return 1;
    return strcmp(why.text, text) == 0 ? 0 : 2;
}

START_TEST(test_a_long_path_leaves_the_advice_in_a_chroot)
{
    const struct atls_agent_client_config config = {.socket = longest_path(),
                                                    .timeout_ms = 100};
    struct atls_agent_client *client = NULL;
    char text[ATLS_REASON_MAX];
    struct atls_reason why;
    int status = -1;
    pid_t pid;
    int len = snprintf(text, sizeof(text),
                       "no agent at %s (No such file or directory) in this "
                       "chroot: bind its folder there (BindReadOnlyPaths=), or "
                       "restart this program",
                       longest_path());

    ck_assert_int_lt(len, (int)sizeof(text));
    ck_assert_int_eq(atls_agent_client_new(&config, NULL, NULL, &why, &client),
                     ATLS_OK);
    pid = fork();
    ck_assert_int_ge(pid, 0);
    if (pid == 0)
        _exit(begin_in_chroot(client, text));
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert_int_eq(status, 0);
    atls_agent_client_free(client);
}
END_TEST

START_TEST(test_nobody_listens_at_the_path)
{
    char text[ATLS_REASON_MAX];

    fakeagent_stop(calls.agent);
    calls.agent = NULL;
    snprintf(text, sizeof(text),
             "no agent listens at %s (Connection refused): see systemctl "
             "status attestd",
             calls.path);
    ck_unreachable(calls.path, text);
}
END_TEST

static void bind_at(int type, const char *path, int *ret_fd)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    *ret_fd = socket(AF_UNIX, type, 0);
    ck_assert_int_ge(*ret_fd, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    ck_assert_int_eq(
        bind(*ret_fd, (struct sockaddr *)&address, sizeof(address)), 0);
}

START_TEST(test_a_socket_of_another_type)
{
    const char *path = scratch_path("stream.sock");
    char text[ATLS_REASON_MAX];
    int fd;

    bind_at(SOCK_STREAM, path, &fd);
    ck_assert_int_eq(listen(fd, 1), 0);
    snprintf(text, sizeof(text),
             "%s is no socket of attestd, but of "
             "another program (Protocol wrong type for socket)",
             path);
    ck_unreachable(path, text);
    close(fd);
}
END_TEST

/* The rights and the user of a socket need root to be tried. */
START_TEST(test_a_socket_that_this_user_may_not_write)
{
    char text[2 * ATLS_REASON_MAX];

    ck_assert_int_eq(chmod(calls.path, 0600), 0);
    ck_assert_int_eq(seteuid(65534), 0);
    snprintf(text, sizeof(text),
             "user 65534 may not reach the agent at %s (Permission denied): it "
             "needs to search its folders and to write the socket",
             calls.path);
    ck_unreachable(calls.path, text);
    ck_assert_int_eq(seteuid(0), 0);
}
END_TEST

/* In a folder where all may write, somebody else can be faster than attestd. */
START_TEST(test_a_socket_of_somebody_else_is_not_believed)
{
    const char *path = scratch_path("theirs.sock");
    char folder[ATLS_REASON_MAX], text[2 * ATLS_REASON_MAX];
    int fd;

    bind_at(SOCK_SEQPACKET, path, &fd);
    ck_assert_int_eq(seteuid(65534), 0);
    ck_assert_int_eq(listen(fd, 5), 0);
    ck_assert_int_eq(seteuid(0), 0);
    snprintf(folder, sizeof(folder), "%.*s", (int)(strrchr(path, '/') - path),
             path);
    snprintf(text, sizeof(text),
             "user 65534 answers at %s, who is "
             "neither root nor the owner of its folder: is it really attestd?",
             path);
    ck_unreachable(path, text);

    /* But whom the folder belongs to may. */
    ck_assert_int_eq(chown(folder, 65534, (gid_t)-1), 0);
    {
        const struct atls_agent_client_config config = {.socket = path,
                                                        .timeout_ms = 100};
        struct atls_agent_client *client = NULL;
        struct atls_agent_call *call = NULL;
        struct atls_reason why;

        ck_assert_int_eq(
            atls_agent_client_new(&config, NULL, NULL, &why, &client), ATLS_OK);
        ck_assert_int_eq(agentcalls_begin_with(client, &calls, 1, &why, &call),
                         ATLS_OK);
        atls_agent_call_drop(call);
        atls_agent_client_free(client);
    }
    close(fd);
}
END_TEST

/* --- too many, too little
 * ------------------------------------------------------------ */

/* A backlog of one, and nobody who accepts. */
static struct atls_agent_client *make_full(int *ret_listener,
                                           unsigned timeout_ms)
{
    const char *path = scratch_path("full.sock");
    const struct atls_agent_client_config config = {.socket = path,
                                                    .timeout_ms = timeout_ms};
    struct atls_agent_client *client = NULL;
    struct atls_agent_call *call = NULL;
    struct atls_reason why;

    bind_at(SOCK_SEQPACKET, path, ret_listener);
    ck_assert_int_eq(listen(*ret_listener, 0), 0);
    ck_assert_int_eq(atls_agent_client_new(&config, NULL, NULL, &why, &client),
                     ATLS_OK); /* its standing connection fills it */
    ck_assert_int_eq(agentcalls_begin_with(client, &calls, 1, &why, &call),
                     ATLS_E_QUEUE_FULL);
    return client;
}

START_TEST(test_a_full_backlog_is_waited_for)
{
    struct atls_agent_call *call = NULL;
    char text[ATLS_REASON_MAX];
    struct atls_reason why;
    int64_t start;
    int listener;
    struct atls_agent_client *client = make_full(&listener, 200);

    start = atls_now_ms();
    ck_assert_int_eq(agentcalls_begin_with(client, &calls, 1, &why, &call),
                     ATLS_E_QUEUE_FULL);
    snprintf(text, sizeof(text),
             "the agent at %s is overloaded: it takes no more connections; see "
             "systemctl status attestd",
             scratch_path("full.sock"));
    ck_assert_str_eq(why.text, text);
    ck_assert_int_ge(atls_now_ms() - start, 190);
    ck_assert_int_lt(atls_now_ms() - start, 1500);
    atls_agent_client_free(client);
    close(listener);
}
END_TEST

struct job {
    struct atls_agent_client *client;
    enum atls_error r;
};

static int begin_in_job(void *arg)
{
    struct job *job = *(struct job **)arg;
    struct atls_agent_call *call = NULL;
    struct atls_reason why;

    job->r = agentcalls_begin_with(job->client, &calls, 1, &why, &call);
    return 1;
}

/* Others of the same thread would wait, too. */
START_TEST(test_a_full_backlog_keeps_no_job)
{
    ASYNC_WAIT_CTX *ctx = ASYNC_WAIT_CTX_new();
    ASYNC_JOB *async_job = NULL;
    struct job job = {NULL, ATLS_OK};
    struct job *arg = &job;
    int listener, result = 0;
    int64_t start;

    job.client = make_full(&listener, 2000);
    start = atls_now_ms();
    ck_assert_int_eq(ASYNC_start_job(&async_job, ctx, &result, begin_in_job,
                                     &arg, sizeof(arg)),
                     ASYNC_FINISH);
    ck_assert_int_eq(job.r, ATLS_E_QUEUE_FULL);
    ck_assert_int_lt(atls_now_ms() - start, 500);
    ASYNC_WAIT_CTX_free(ctx);
    ASYNC_cleanup_thread();
    atls_agent_client_free(job.client);
    close(listener);
}
END_TEST

START_TEST(test_R4_no_descriptors_left)
{
    struct rlimit limit, none;
    struct atls_agent_call *call = NULL;
    struct atls_reason why;
    enum atls_error r;

    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
    none = limit;
    none.rlim_cur = 3;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    r = agentcalls_begin(&calls, 1, &why, &call);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    ck_assert_int_eq(r, ATLS_E_IO);
    ck_assert_str_eq(why.text,
                     "cannot make a socket for the agent: Too many open files; "
                     "raise the limit of descriptors (LimitNOFILE=)");
    agentcalls_ck_served(&calls, 1);
}
END_TEST

/* Each allocation in turn: refused for that reason, nothing kept. */
START_TEST(test_allocation_failures)
{
    const struct atls_agent_client_config config = {.socket = calls.path,
                                                    .timeout_ms = 1000};
    enum atls_error r = ATLS_E_NOMEM;
    size_t n;

    for (n = 1; r != ATLS_OK; n++) {
        struct atls_agent_client *client = NULL;
        struct atls_agent_call *call = NULL;
        struct atls_reason why = {.code = ATLS_OK};
        uint8_t *cmw = NULL;
        size_t len = 0;

        allocation_fail_at(n);
        r = atls_agent_client_new(&config, NULL, NULL, &why, &client);
        if (r == ATLS_OK)
            r = agentcalls_begin_with(client, &calls, 1, &why, &call);
        if (r == ATLS_OK)
            r = atls_agent_call_wait(call, &why, &cmw, &len);
        allocation_fail_at(0);
        OPENSSL_free(cmw);
        atls_agent_client_free(client);
        ck_assert_int_lt((int)n, 20);
        if (r == ATLS_OK)
            break;
        ck_assert_int_eq(r, ATLS_E_NOMEM);
        ck_assert_str_eq(why.text, "out of memory");
        ck_assert_ptr_null(cmw);
    }
    ck_assert_int_ge((int)n, 6);
}
END_TEST

static int as_root;

static void begin(void)
{
    allocation_install();
    as_root = geteuid() == 0;
}

static const struct suite_test tests[] = {
    ONCE(test_path_must_be_absolute_and_fit),
    ONCE(test_an_absent_agent_is_no_error_at_start),
    ONCE(test_no_agent_at_the_path),
    ONCE(test_nobody_listens_at_the_path),
    ONCE(test_a_socket_of_another_type),
    ONCE(test_a_long_path_leaves_the_advice),
    UNTIL(test_a_long_path_leaves_the_advice_in_a_chroot, &as_root),
    UNTIL(test_a_socket_that_this_user_may_not_write, &as_root),
    UNTIL(test_a_socket_of_somebody_else_is_not_believed, &as_root),
    ONCE(test_a_full_backlog_is_waited_for),
    ONCE(test_a_full_backlog_keeps_no_job),
    ONCE(test_R4_no_descriptors_left),
    ONCE(test_allocation_failures),
};

SUITE(.name = "agent_reach", .begin = begin,
      .cases = {CASE("nobody there", tests, 0, setup, teardown)});
