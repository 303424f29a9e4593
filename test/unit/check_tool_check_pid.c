/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/check/target.h"
#include "tools/check/sandbox.h"
#include "tools/check/process.h"
#include "tools/check/unit.h"
#include "tools/check/findings.h"
#include "lib/scratch.h"
#include "lib/suite.h"

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* The parts of attest check --pid that need no server: what /proc says of this
 * test itself, what systemctl says, and findings that come out of a child. */

static struct process *process;
static struct process_list list;
static struct unit *unit;
static struct check check;
static struct atls_reason why;

static void setup(void)
{
    why = (struct atls_reason){0};
    check = (struct check){.findings = tool_findings_new()};
    ck_assert_ptr_nonnull(check.findings);
    ck_assert_ptr_nonnull(scratch_make());
}

static void teardown(void)
{
    tool_process_free(process);
    process = NULL;
    tool_process_list_clear(&list);
    tool_unit_free(unit);
    unit = NULL;
    tool_findings_free(check.findings);
    scratch_remove();
}

/* ---- a process ---- */

START_TEST(test_this_process)
{
    struct stat st;

    ck_assert_int_eq(tool_process_read(getpid(), &why, &process), ATLS_OK);
    ck_assert_int_eq(process->hidden.code, ATLS_OK);
    ck_assert_int_eq(process->parent, getppid());
    ck_assert_int_eq(process->uid, geteuid());
    ck_assert_int_eq(process->gid, getegid());
    ck_assert_int_eq((int)process->group_count, getgroups(0, NULL));
    ck_assert_int_le(process->began_ns, tool_process_clocks_now().boot_ns);
    ck_assert_int_gt(process->began_ns, tool_process_clocks_now().boot_ns
                                            - 3600 * PROCESS_SECOND_NS);
    ck_assert(!process->is_secure);
    ck_assert(!process->may_have_been_root);
    ck_assert(!process->has_other_root);
    ck_assert(!process->has_other_mounts);
    ck_assert(!process->has_other_network);
    ck_assert(!process->has_other_users);
    ck_assert_str_eq(process->root, "/");
    ck_assert_ptr_nonnull(process->libcrypto.path);
    ck_assert_int_eq(stat(process->libcrypto.path, &st), 0);
    ck_assert_uint_eq(process->libcrypto.inode, st.st_ino);
    ck_assert_ptr_null(process->outer.path);
}
END_TEST

/* Milliseconds: when the process began and the file was changed, after the boot;
 * where the wall clock stood at the boot when the file was changed, and where it
 * stands now, 100 s after the boot. */
static const struct {
    const char *name;
    int64_t began, changed, clock_then, clock_now;
    enum process_change says;
} changes[] = {
    {"long before", 50000, 10000, 0, 0, PROCESS_CHANGED_BEFORE},
    {"just before", 50000, 49999, 0, 0, PROCESS_CHANGED_BEFORE},
    /* What whole seconds could not tell apart, wherever they begin. */
    {"in the second before", 50990, 50010, 125, 125, PROCESS_CHANGED_BEFORE},
    {"in the second before", 50990, 50010, 990, 990, PROCESS_CHANGED_BEFORE},
    {"in the same tick", 50000, 50005, 0, 0, PROCESS_CHANGE_UNKNOWN},
    {"just after", 50000, 51000, 0, 0, PROCESS_CHANGE_UNKNOWN},
    {"after", 50000, 51001, 0, 0, PROCESS_CHANGED_SINCE},
    {"just now", 50000, 100000, 0, 0, PROCESS_CHANGED_SINCE},
    {"before, then set forward", 50000, 49900, 0, 37000,
     PROCESS_CHANGED_BEFORE},
    {"after, then set forward by less", 50000, 90000, 0, 37000,
     PROCESS_CHANGED_SINCE},
    {"after, then set forward by more", 50000, 80000, 0, 37000,
     PROCESS_CHANGED_BEFORE},
    {"before, then set back by a leap second", 50000, 49999, 1000, 0,
     PROCESS_CHANGE_UNKNOWN},
    {"before, then set back to before it", 50000, 49900, 60000, 0,
     PROCESS_CHANGE_UNKNOWN},
    {"long before, then set back", 50000, 10000, 37000, 0,
     PROCESS_CHANGED_BEFORE},
    {"after, then set back to before it", 50000, 90000, 37000, 0,
     PROCESS_CHANGE_UNKNOWN},
    {"after, then set back by less", 50000, 60000, 37000, 0,
     PROCESS_CHANGED_SINCE},
    /* Long before the clock was right, as without a battery. */
    {"before the clock was set", 50000, 40000, 0, 1790000000000,
     PROCESS_CHANGED_BEFORE},
};

START_TEST(test_what_was_changed_since)
{
    const int64_t ms = PROCESS_SECOND_NS / 1000;
    const int64_t at = changes[_i].changed + changes[_i].clock_then;
    const struct process one = {.began_ns = changes[_i].began * ms};
    const struct timespec changed = {.tv_sec = at / 1000,
                                     .tv_nsec = at % 1000 * ms};
    const struct process_clocks now = {
        .boot_ns = 100000 * ms,
        .wall_ns = (100000 + changes[_i].clock_now) * ms};

    ck_assert_msg(tool_process_changed(one.began_ns, &changed, &now)
                      == changes[_i].says,
                  "%s: %d", changes[_i].name,
                  tool_process_changed(one.began_ns, &changed, &now));
}
END_TEST

START_TEST(test_there_is_none)
{
    ck_assert_int_eq(tool_process_read(0x7ffffffe, &why, &process),
                     ATLS_E_USAGE);
    ck_assert_str_eq(why.text, "there is no process 2147483646");
    ck_assert_int_eq(tool_process_list_add_family(&list, 0x7ffffffe, &why),
                     ATLS_E_USAGE);
    ck_assert_int_eq(tool_process_list_add(&list, 0x7ffffffe, &why), ATLS_OK);
    ck_assert_int_eq((int)list.count, 0);
}
END_TEST

/* A child that runs until the test's end: CK_FORK's process group is ended. */
static pid_t start(void (*body)(void))
{
    int ready[2];
    pid_t child;
    char octet;

    ck_assert_int_eq(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (body != NULL)
            body();
        if (write(ready[1], "", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    ck_assert_int_gt(child, 0);
    ck_assert_int_eq((int)read(ready[0], &octet, 1), 1);
    close(ready[0]);
    close(ready[1]);
    return child;
}

static void stop(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

/* Another program, and what is seen of it once it runs. */
static pid_t execute(const char *path, char *const *argv, char *const *envp)
{
    pid_t child = fork();

    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        execve(path, argv, envp);
        _exit(1);
    }
    ck_assert_int_gt(child, 0);
    return child;
}

/* A program that is started at once after its file was written, at any part of a
 * second. */
START_TEST(test_a_file_written_just_before)
{
    char *const argv[] = {(char *)(uintptr_t) "sleep", (char *)(uintptr_t) "60",
                          NULL};
    const struct timespec pause = {.tv_nsec = 97000000};

    for (int i = 0; i < 12; i++) {
        struct process_clocks now;
        struct stat st;
        pid_t child;

        nanosleep(&pause, NULL);
        scratch_write("conf", "x", 1, 0600);
        ck_assert_int_eq(stat(scratch_path("conf"), &st), 0);
        child = execute("/bin/sleep", argv, environ);
        ck_assert_int_eq(tool_process_read(child, &why, &process), ATLS_OK);
        stop(child);
        now = tool_process_clocks_now();
        ck_assert_int_ne(
            tool_process_changed(process->began_ns, &st.st_ctim, &now),
            PROCESS_CHANGED_SINCE);
        tool_process_free(process);
        process = NULL;
    }
}
END_TEST

static void await(pid_t child, bool (*is_there)(void))
{
    for (int tries = 0; tries < 500; tries++) {
        tool_process_free(process);
        process = NULL;
        ck_assert_int_eq(tool_process_read(child, &why, &process), ATLS_OK);
        if (is_there())
            return;
        usleep(10000);
    }
    ck_abort_msg("process %d does not come so far", child);
}

static bool has_variable(void)
{
    return strstr(tool_process_program(process), "/sleep") != NULL
           && tool_process_getenv(process, "EMPTY") != NULL;
}

START_TEST(test_environment)
{
    char *const argv[] = {(char *)(uintptr_t) "sleep", (char *)(uintptr_t) "60",
                          NULL};
    char *const envp[] = {(char *)(uintptr_t) "OPENSSL_CONF=/a",
                          (char *)(uintptr_t) "EMPTY=",
                          (char *)(uintptr_t) "OPENSSL_CONF=/b", NULL};
    pid_t child = execute("/bin/sleep", argv, envp);

    await(child, has_variable);
    stop(child);
    ck_assert(!process->exe.is_stale);
    ck_assert_str_eq(tool_process_getenv(process, "OPENSSL_CONF"), "/a");
    ck_assert_str_eq(tool_process_getenv(process, "EMPTY"), "");
    ck_assert_ptr_null(tool_process_getenv(process, "OPENSSL"));
    ck_assert_ptr_null(tool_process_getenv(process, "OTHER"));
    ck_assert_ptr_null(process->libcrypto.path);
}
END_TEST

/* As nginx does it: the kernel shows what stands where the environment was. */
#define TITLE "title"
static void write_title(const char *argument) __attribute__((noreturn));
static void write_title(const char *argument)
{
    (void)argument;
    memset(environ[0], 0, strlen(environ[0]));
    for (;;)
        pause();
}

static bool has_title(void)
{
    return process->hidden.code == ATLS_OK && process->environment == NULL;
}

START_TEST(test_environment_written_over)
{
    char *const argv[] = {(char *)(uintptr_t) "self", (char *)(uintptr_t)TITLE,
                          NULL};
    char *const envp[] = {(char *)(uintptr_t) "OPENSSL_CONF=/a",
                          (char *)(uintptr_t) "MORE=x", NULL};
    char self[PATH_MAX] = "";
    pid_t child;

    ck_assert_int_gt(readlink("/proc/self/exe", self, sizeof(self) - 1), 0);
    child = execute(self, argv, envp);
    await(child, has_title);
    stop(child);
    ck_assert_ptr_null(tool_process_getenv(process, "OPENSSL_CONF"));
    ck_assert_ptr_null(tool_process_getenv(process, "MORE"));
}
END_TEST

static void give_up_rights(void)
{
    if (setgid(65534) != 0 || setuid(65534) != 0)
        _exit(1);
}

START_TEST(test_rights_given_up)
{
    struct process *own = NULL;
    pid_t child;

    if (geteuid() != 0)
        return; /* has none to give up */
    child = start(give_up_rights);
    ck_assert_int_eq(tool_process_read(child, &why, &process), ATLS_OK);
    stop(child);
    ck_assert_int_eq(process->uid, 65534);
    ck_assert(process->may_have_been_root);
    ck_assert_int_eq(tool_process_read(getpid(), &why, &own), ATLS_OK);
    ck_assert(!tool_process_is_alike(own, process));
    ck_assert(tool_process_is_alike(own, own));
    tool_process_free(own);
}
END_TEST

/* Data of that name is no library. */
START_TEST(test_mapped_and_not_run)
{
    int fd;

    scratch_write("attest.so", "data", 4, 0600);
    fd = open(scratch_path("attest.so"), O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    ck_assert_ptr_ne(mmap(NULL, 4, PROT_READ, MAP_PRIVATE, fd, 0), MAP_FAILED);
    close(fd);
    ck_assert_int_eq(tool_process_read(getpid(), &why, &process), ATLS_OK);
    ck_assert_ptr_null(process->outer.path);
}
END_TEST

START_TEST(test_family)
{
    pid_t children[3];

    for (int i = 0; i < COUNT(children); i++)
        children[i] = start(NULL);
    ck_assert_int_eq(tool_process_list_add_family(&list, getpid(), &why),
                     ATLS_OK);
    ck_assert_int_eq(tool_process_list_add(&list, children[0], &why), ATLS_OK);
    ck_assert_int_eq((int)list.count, 1 + COUNT(children));
    ck_assert_int_eq(list.items[0]->pid, getpid());
    for (int i = 0; i < COUNT(children); i++)
        stop(children[i]);
    for (size_t i = 1; i < list.count; i++)
        ck_assert_int_eq(list.items[i]->parent, getpid());
    /* What ended since is the same process still: nothing of another's. */
    ck_assert_ptr_null(tool_process_open(list.items[1], "maps"));
}
END_TEST

static bool count_sockets(void *arg, int fd, uint64_t inode)
{
    unsigned *count = arg;

    ck_assert_int_gt(fd, 2);
    ck_assert(inode != 0);
    ++*count;
    return *count < 3;
}

START_TEST(test_sockets)
{
    unsigned count = 0;
    int fds[4][2];

    for (int i = 0; i < COUNT(fds); i++)
        ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, fds[i]), 0);
    ck_assert_int_eq(tool_process_read(getpid(), &why, &process), ATLS_OK);
    ck_assert(tool_process_visit_sockets(process, count_sockets, &count));
    ck_assert_uint_eq(count, 3);
    for (int i = 0; i < COUNT(fds); i++) {
        close(fds[i][0]);
        close(fds[i][1]);
    }
}
END_TEST

/* ---- findings of a child ---- */

static int find_some(struct check *inner, const void *arg)
{
    tool_finding_ok(inner->findings, "one", "fine: %s", (const char *)arg);
    tool_finding_warn(inner->findings, "two", "Do this", "\033[31m");
    tool_finding_fail(inner->findings, TOOL_UNAVAILABLE, "three", NULL,
                      "no TPM");
    return 7;
}

static int crash(struct check *inner, const void *arg)
{
    (void)inner, (void)arg;
    raise(SIGKILL);
    return 0;
}

static int leave(struct check *inner, const void *arg)
{
    (void)inner, (void)arg;
    _exit(0);
}

/* What is printed, and its status. */
static char *print(int *ret_status)
{
    const struct tool_options options = {.verb = &tool_verb_check};
    int saved;

    fflush(stdout);
    saved = dup(STDOUT_FILENO);
    ck_assert_ptr_nonnull(freopen(scratch_path("out"), "w", stdout));
    *ret_status = tool_findings_print(check.findings, &options, false);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    return scratch_read("out", NULL);
}

START_TEST(test_findings_of_a_child)
{
    int status;
    char *text;

    tool_finding_ok(check.findings, "zero", "before");
    ck_assert_int_eq(tool_sandbox_run(&check, find_some, "yes"), 7);
    text = print(&status);
    ck_assert_str_eq(text, "ok    zero: before\n"
                           "ok    one: fine: yes\n"
                           "warn  two: ?[31m. Do this\n"
                           "FAIL  three: no TPM\n");
    ck_assert_int_eq(status, TOOL_UNAVAILABLE);
    free(text);
}
END_TEST

START_TEST(test_child_that_dies)
{
    int status;
    char *text;

    ck_assert_int_eq(tool_sandbox_run(&check, crash, NULL), -1);
    ck_assert_int_eq(tool_sandbox_run(&check, leave, NULL), -1);
    text = print(&status);
    ck_assert_ptr_nonnull(strstr(text, "ended by signal 9"));
    ck_assert_ptr_nonnull(strstr(text, "looking at it from inside failed"));
    ck_assert_int_eq(status, TOOL_USAGE);
    free(text);
}
END_TEST

/* Nobody's way back: it has no terminal, no input and cannot be traced. */
static int look_at_itself(struct check *inner, const void *arg)
{
    char octet;

    (void)inner, (void)arg;
    return getsid(0) == getpid() && read(STDIN_FILENO, &octet, 1) == 0
           && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0
           && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1;
}

static const struct sandbox_user nobody = {.uid = 65534, .gid = 65534};

static int borrow(struct check *inner, const void *arg)
{
    const char *secret = arg;
    struct sandbox_borrowed own;
    struct atls_reason reason = {0};
    bool was_open, is_open;

    (void)inner;
    if (tool_sandbox_borrow(&nobody, &reason, &own) != ATLS_OK)
        return 0;
    was_open = fopen(secret, "re") != NULL || geteuid() != 65534
               || getegid() != 65534 || getgroups(0, NULL) != 0
               || prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0;
    tool_sandbox_give_back(&own);
    is_open = fopen(secret, "re") != NULL && geteuid() == 0 && getegid() == 0
              && prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0;
    return !was_open && is_open;
}

START_TEST(test_child_is_cut_off)
{
    ck_assert_int_eq(tool_sandbox_run(&check, look_at_itself, NULL), 1);
    if (geteuid() != 0)
        return; /* has no rights to borrow */
    scratch_write("secret", "x", 1, 0600);
    ck_assert_int_eq(tool_sandbox_run(&check, borrow, scratch_path("secret")),
                     1);
}
END_TEST

/* Capabilities of another user namespace are none here. */
START_TEST(test_C2_users_of_its_own)
{
    struct process other = {.pid = 1,
                            .uid = 65534,
                            .capabilities = UINT64_MAX,
                            .has_other_users = true};

    ck_assert_uint_eq(tool_sandbox_user_of(&other).capabilities, 0);
    ck_assert_int_eq(tool_sandbox_enter(&other, SANDBOX_USER, &why), ATLS_E_IO);
    ck_assert_str_eq(why.text, "process 1 has a user namespace of its own: its "
                               "user is nobody's here");
    other.has_other_users = false;
    ck_assert_uint_eq(tool_sandbox_user_of(&other).capabilities, UINT64_MAX);
}
END_TEST

static const char *const no_findings[] = {
    "", "{", "[]", "{\"unusable\":true}",
    "{\"unusable\":true,\"unavailable\":false,\"list\":[{\"level\":1}]} x"};

START_TEST(test_findings_that_are_none)
{
    int fds[2];
    size_t len = strlen(no_findings[_i]);

    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(write(fds[1], no_findings[_i], len), (int)len);
    close(fds[1]);
    ck_assert(!tool_findings_receive(check.findings, fds[0]));
    ck_assert(!tool_findings_failed(check.findings));
    close(fds[0]);
}
END_TEST

/* ---- systemd ---- */

/* A systemctl that says this. */
static void systemctl_says(const char *text)
{
    char script[2048];

    snprintf(script, sizeof(script), "#!/bin/sh\ncat <<'END'\n%sEND\n", text);
    scratch_write("systemctl", script, strlen(script), 0755);
    snprintf(script, sizeof(script), "%s:/usr/bin:/bin", scratch_path(""));
    ck_assert_int_eq(setenv("PATH", script, 1), 0);
}

static const char *variable(const char *name)
{
    const struct process holder = {.environment = unit->environment,
                                   .environment_len = unit->environment_len};

    return tool_process_getenv(&holder, name);
}

START_TEST(test_unit)
{
    static const char file[] = "# remark\n; too\nB=file\nC=\"quoted d\"\n"
                               "D='e'\nnothing\n";
    char text[1024], fifo[512];

    scratch_write("environment", file, sizeof(file) - 1, 0644);
    snprintf(fifo, sizeof(fifo), "%s", scratch_path("fifo"));
    ck_assert_int_eq(mkfifo(fifo, 0600), 0); /* is not waited at */
    snprintf(text, sizeof(text),
             "Id=web.service\nLoadState=loaded\nActiveState=active\n"
             "MainPID=%d\nControlGroup=/x/web.service\nUser=www\n"
             "RootDirectory=/srv\nAfter=a.service b.socket\n"
             "Environment=A=1 \"B=2 3\" \"Q=\\\"\\\\\" E=\n"
             "EnvironmentFiles=%s (ignore_errors=no)\n"
             "EnvironmentFiles=%s (ignore_errors=no)\nOther=x\nno equals\n",
             getpid(), fifo, scratch_path("environment"));
    systemctl_says(text);
    ck_assert_int_eq(tool_unit_read("web", &why, &unit), ATLS_OK);
    ck_assert_str_eq(unit->name, "web.service");
    ck_assert_str_eq(unit->active, "active");
    ck_assert_int_eq(unit->main_pid, getpid());
    ck_assert_str_eq(unit->control_group, "/x/web.service");
    ck_assert_str_eq(unit->user, "www");
    ck_assert_str_eq(unit->root, "/srv");
    ck_assert_str_eq(unit->after, "a.service b.socket");
    ck_assert_str_eq(variable("A"), "1");
    ck_assert_str_eq(variable("B"), "file");
    ck_assert_str_eq(variable("C"), "quoted d");
    ck_assert_str_eq(variable("D"), "e");
    ck_assert_str_eq(variable("E"), "");
    ck_assert_str_eq(variable("Q"), "\"\\");
    ck_assert_ptr_null(variable("nothing"));
    /* A group that is not there: its processes are those that descend. */
    ck_assert_int_eq(tool_unit_list_processes(unit, &list, &why), ATLS_OK);
    ck_assert_int_eq((int)list.count, 0);
}
END_TEST

static const struct {
    const char *name;
    const char *says; /* NULL: there is no systemctl */
    const char *reason;
} no_units[] = {
    {"x y", "", "not the name of a systemd unit"},
    {"", "", "not the name of a systemd unit"},
    {"x;y", "", "not the name of a systemd unit"},
    {"../x", "", "not the name of a systemd unit"},
    {"x", "LoadState=not-found\n", "systemd has no unit x"},
    {"x", "", "systemd has no unit x"},
    {"x", NULL, "systemctl: No such file or directory"},
};

START_TEST(test_no_unit)
{
    if (no_units[_i].says != NULL)
        systemctl_says(no_units[_i].says);
    else
        ck_assert_int_eq(setenv("PATH", "/nonexistent", 1), 0);
    ck_assert_int_eq(tool_unit_read(no_units[_i].name, &why, &unit),
                     ATLS_E_USAGE);
    ck_assert_msg(strstr(why.text, no_units[_i].reason) != NULL, "%s",
                  why.text);
}
END_TEST

START_TEST(test_systemctl_fails)
{
    static const char script[] = "#!/bin/sh\necho LoadState=loaded\nexit 1\n";

    systemctl_says("");
    scratch_write("systemctl", script, sizeof(script) - 1, 0755);
    ck_assert_int_eq(tool_unit_read("x", &why, &unit), ATLS_E_USAGE);
    ck_assert_ptr_nonnull(strstr(why.text, "no systemd runs here?"));
    ck_assert(!tool_unit_exists("x"));
}
END_TEST

static const struct suite_test tests[] = {
    ONCE(test_this_process),
    LOOP(test_what_was_changed_since, 0, COUNT(changes)),
    ONCE(test_a_file_written_just_before),
    ONCE(test_there_is_none),
    ONCE(test_environment),
    ONCE(test_environment_written_over),
    ONCE(test_rights_given_up),
    ONCE(test_mapped_and_not_run),
    ONCE(test_family),
    ONCE(test_sockets),
    ONCE(test_findings_of_a_child),
    ONCE(test_child_that_dies),
    ONCE(test_child_is_cut_off),
    ONCE(test_C2_users_of_its_own),
    LOOP(test_findings_that_are_none, 0, COUNT(no_findings)),
    ONCE(test_unit),
    LOOP(test_no_unit, 0, COUNT(no_units)),
    ONCE(test_systemctl_fails),
};

SUITE(.name = "tool_check_pid", .with_argument = write_title,
      .cases = {CASE("tool_check_pid", tests, 0, setup, teardown)});
