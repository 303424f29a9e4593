/* SPDX-License-Identifier: BSD-2-Clause */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <openssl/opensslv.h>
#include <openssl/x509.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tools/check/checks.h"
#include "tools/check/known.h"

#define WHAT "program"
#define CHUNK_LEN (1u << 20)

#define NAME_OF_(name, major) name ".so." #major
#define NAME_OF(name, major) NAME_OF_(name, major)
static const char our_libssl[] = NAME_OF("libssl", OPENSSL_SHLIB_VERSION);

/* Every implementation of TLS 1.3 signs this text (RFC 8446 section 4.4.3), so
 * a program that contains it contains TLS: OpenSSL, Go's or another. */
static const char inside[] = "TLS 1.3, server CertificateVerify";

/* A program with OpenSSL inside must export these for modules to work in it. */
static const char lent[] = "CRYPTO_get_ex_new_index";

/* Node.js reads this key instead of openssl_conf. */
static const char node_key[] = "nodejs_conf";

/* What a program and its libraries are. */
struct program {
    const char *path;
    char *libssl; /* path of the system's, NULL: not linked */
    char *other;  /* another TLS library */
    bool is_node;
    bool has_own; /* TLS inside it ... */
    bool lends;   /* ... which is an OpenSSL, and modules get its functions */
    struct known_program known;
};

/* ---- text in a file ---- */

/* Read in pieces: a program may have 100 MB. */
static bool has_text(const char *path, const char *text)
{
    const size_t text_len = strlen(text);
    char *buffer = malloc(CHUNK_LEN + text_len);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool found = false;
    size_t have = 0;
    ssize_t got;

    while (buffer != NULL && fd >= 0 && !found
           && (got = read(fd, buffer + have, CHUNK_LEN)) > 0) {
        size_t kept;

        have += (size_t)got;
        found = memmem(buffer, have, text, text_len) != NULL;
        kept = have < text_len ? have : text_len;
        memmove(buffer, buffer + have - kept, kept);
        have = kept;
    }
    if (fd >= 0)
        close(fd);
    free(buffer);
    return found;
}

/* ---- libraries ---- */

static int note_interpreter(struct dl_phdr_info *info, size_t size, void *arg)
{
    const char **ret = arg;

    (void)size;
    for (int i = 0; i < info->dlpi_phnum; i++)
        if (info->dlpi_phdr[i].p_type == PT_INTERP)
            *ret = (const char *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
    return 1; /* the first object is this program */
}

/* The list of the dynamic loader, which maps the libraries and runs none of
 * their code (ld.so(8), --list). NULL: it cannot be had. */
static FILE *list_libraries(const char *path, pid_t *ret_pid)
{
    const char *loader = NULL;
    char *argv[] = {NULL, (char *)(uintptr_t) "--list", (char *)(uintptr_t)path,
                    NULL};
    posix_spawn_file_actions_t actions;
    FILE *out = NULL;
    int fds[2], r;

    dl_iterate_phdr(note_interpreter, &loader);
    if (loader == NULL || pipe2(fds, O_CLOEXEC) != 0)
        return NULL;
    argv[0] = (char *)(uintptr_t)loader;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null",
                                     O_WRONLY, 0);
    r = posix_spawn(ret_pid, loader, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(fds[1]);
    if (r == 0)
        out = fdopen(fds[0], "r");
    if (out == NULL)
        close(fds[0]);
    return out;
}

static bool begins(const char *text, const char *start)
{
    return strncmp(text, start, strlen(start)) == 0;
}

static void replace(char **text, const char *by)
{
    free(*text);
    *text = strdup(by);
}

/* One line of the list: `NAME => PATH (ADDRESS)`. */
static void note_library(struct program *program, char *line)
{
    static const char *const others[] = {"libgnutls.so", "libnss3.so",
                                         "libmbedtls.so", "libwolfssl.so",
                                         "libssl.so"};
    char *name = line + strspn(line, " \t"), *path = strstr(line, " => ");

    if (path == NULL)
        return;
    *path = '\0';
    path += strlen(" => ");
    path[strcspn(path, " \n")] = '\0';
    tool_known_note(&program->known, name);
    if (begins(name, "libnode.so"))
        program->is_node |= has_text(path, node_key);
    if (strcmp(name, our_libssl) == 0) {
        replace(&program->libssl, path);
        return;
    }
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (begins(name, others[i]))
            replace(&program->other, name);
}

static void inspect_libraries(struct program *program)
{
    pid_t pid = 0;
    FILE *list = list_libraries(program->path, &pid);
    char *line = NULL;
    size_t room = 0;

    if (list == NULL)
        return;
    while (getline(&line, &room, list) > 0)
        note_library(program, line);
    free(line);
    fclose(list);
    (void)waitpid(pid, NULL, 0);
}

/* ---- findings ---- */

/* C3: a program with AT_SECURE set takes neither OPENSSL_CONF nor
 * OPENSSL_MODULES from its environment (secure_getenv(3)). */
static void check_privileges(struct check *check, const char *path,
                             const struct stat *st)
{
    const bool has_capabilities =
        getxattr(path, "security.capability", NULL, 0) > 0;
    const char *how = (st->st_mode & S_ISUID) != 0   ? "setuid"
                      : (st->st_mode & S_ISGID) != 0 ? "setgid"
                      : has_capabilities             ? "with file capabilities"
                                                     : NULL;
    char *system = NULL;

    if (how == NULL)
        return;
    if (asprintf(&system, "%s/openssl.cnf", X509_get_default_cert_area()) < 0)
        return;
    if (check->conf != NULL && strcmp(system, check->conf->path) == 0)
        tool_finding_note(
            check->findings, WHAT,
            "%s runs %s: it reads this file, whatever OPENSSL_CONF "
            "says",
            path, how);
    else
        tool_finding_fail(
            check->findings, TOOL_USAGE, WHAT,
            "Configure attest in the system's openssl.cnf, or take the "
            "right away (chmod ug-s, setcap -r)",
            "%s runs %s: OpenSSL ignores OPENSSL_CONF in it and reads "
            "%s",
            path, how, system);
    free(system);
}

/* C4, L10: the module finds only SSL_CTX objects of the libcrypto it stands on. */
static void check_library(struct check *check, const struct program *program)
{
    if (program->libssl != NULL)
        tool_finding_ok(check->findings, WHAT, "%s uses %s", program->path,
                        program->libssl);
    else if (program->lends)
        tool_finding_note(
            check->findings, WHAT,
            "%s has an OpenSSL of its own inside, which it lends to "
            "modules: attest works in it if that is OpenSSL 3",
            program->path);
    else if (program->has_own)
        tool_finding_fail(
            check->findings, TOOL_USAGE, WHAT,
            "Use a build of it that links the system's OpenSSL",
            "%s has TLS of its own inside (a static OpenSSL, Go's "
            "...), in which attest cannot work",
            program->path);
    else if (program->other != NULL)
        tool_finding_fail(check->findings, TOOL_USAGE, WHAT,
                          "Use a build of it that links the system's OpenSSL",
                          "%s uses %s: its connections are not attested",
                          program->path, program->other);
    else
        tool_finding_note(
            check->findings, WHAT,
            "%s links no libssl: it may load it later, as Python and "
            "Perl do",
            program->path);
}

/* C4: Node.js ignores openssl_conf. */
static void check_section(struct check *check, const struct program *program)
{
    const char *section;

    if (!program->is_node || check->conf == NULL)
        return;
    section = tool_conf_get(check->conf, "default", node_key);
    if (section == NULL)
        tool_finding_fail(
            check->findings, TOOL_USAGE, WHAT,
            "Write it beside openssl_conf, with the same section; or "
            "start node with --openssl-shared-config",
            "%s is Node.js, which reads the section that %s names, and "
            "%s has none",
            program->path, node_key, check->conf->path);
    else if (check->conf->init == NULL
             || strcmp(section, check->conf->init) != 0)
        tool_finding_warn(
            check->findings, WHAT, "Let both name one section",
            "%s is Node.js, and %s names [%s], which is not looked at "
            "here",
            program->path, node_key, section);
    else
        tool_finding_ok(check->findings, WHAT,
                        "%s is Node.js, and %s names [%s] too", program->path,
                        node_key, section);
}

static bool is_script(const char *path)
{
    char start[2] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    bool is_script = fd >= 0 && read(fd, start, sizeof(start)) == sizeof(start)
                     && start[0] == '#' && start[1] == '!';

    if (fd >= 0)
        close(fd);
    return is_script;
}

/* Also by the name that the user gave: Debian's psql links to a script. */
static void note_names(struct known_program *known)
{
    char *real = realpath(known->path, NULL);

    tool_known_note(known, known->path);
    if (real != NULL)
        tool_known_note(known, real);
    free(real);
}

void tool_check_program(struct check *check, const char *path)
{
    struct program program = {.path = path, .known = {.path = path}};
    struct stat st;

    if (stat(path, &st) != 0) {
        tool_finding_fail(check->findings, TOOL_USAGE, WHAT,
                          "Write its whole path", "%s: %s", path,
                          strerror(errno));
        return;
    }
    if (!S_ISREG(st.st_mode)) {
        tool_finding_fail(check->findings, TOOL_USAGE, WHAT, "Name a program",
                          "%s is not a regular file", path);
        return;
    }
    note_names(&program.known);
    if (is_script(path)) {
        tool_finding_note(check->findings, WHAT,
                          "%s is a script: look at the program that runs it",
                          path);
        tool_known_report(check, &program.known);
        return;
    }
    check_privileges(check, path, &st);
    inspect_libraries(&program);
    program.has_own = has_text(path, inside);
    program.lends = program.has_own && has_text(path, lent);
    program.is_node |= has_text(path, node_key);
    check_library(check, &program);
    check_section(check, &program);
    tool_known_report(check, &program.known);
    free(program.libssl);
    free(program.other);
}
