/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/access.h"

#include <errno.h>
#include <grp.h>
#include <openssl/crypto.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/number.h"

#define SEPARATORS ", \t"

/* Room for the strings of one entry of passwd or group; what LDAP has more of,
 * such as the members of a group, grows it up to the limit. */
#define ENTRY_OCTETS 1024u
#define ENTRY_OCTETS_MAX (1u << 20)

/* (uid_t)-1 and (gid_t)-1 stand for "unchanged" in setresuid(2): nobody's. */
#define ID_MAX (UINT32_MAX - 1)

struct agent_access {
    size_t user_count;
    size_t group_count;
    uid_t *users;
    gid_t *groups;
};

void agent_peer_clear(struct agent_peer *peer)
{
    OPENSSL_free(peer->groups);
    *peer = (struct agent_peer){.groups = NULL};
}

enum atls_error agent_peer_of_sender(const struct agent_peer *peer,
                                     const struct ucred *sender,
                                     struct agent_peer *ret_peer)
{
    struct agent_peer found = {
        .pid = sender->pid, .uid = sender->uid, .gid = sender->gid};

    if (sender->uid == peer->uid && peer->group_count > 0) {
        found.groups =
            OPENSSL_memdup(peer->groups, peer->group_count * sizeof(gid_t));
        if (found.groups == NULL)
            return ATLS_E_NOMEM;
        found.group_count = peer->group_count;
    }
    *ret_peer = found;
    return ATLS_OK;
}

/* The kernel says how much room it wants; the groups of a connection do not
 * change, so the second answer fits. */
static enum atls_error read_groups(int fd, struct atls_reason *why,
                                   struct agent_peer *peer)
{
    socklen_t len = 0;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0)
        return ATLS_OK; /* none */
    if (errno != ERANGE)
        return atls_fail(why, ATLS_E_IO, "cannot tell the groups of a peer: %s",
                         strerror(errno));
    peer->groups = OPENSSL_malloc(len);
    if (peer->groups == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, peer->groups, &len) != 0)
        return atls_fail(why, ATLS_E_IO, "cannot tell the groups of a peer: %s",
                         strerror(errno));
    peer->group_count = len / sizeof(gid_t);
    return ATLS_OK;
}

enum atls_error agent_peer_of(int fd, struct atls_reason *why,
                              struct agent_peer *ret_peer)
{
    struct agent_peer peer = {.groups = NULL};
    struct ucred credentials;
    socklen_t len = sizeof(credentials);
    enum atls_error r;

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &len) != 0)
        return atls_fail(why, ATLS_E_IO, "cannot tell who a peer is: %s",
                         strerror(errno));
    peer.pid = credentials.pid;
    peer.uid = credentials.uid;
    peer.gid = credentials.gid;
    r = read_groups(fd, why, &peer);
    if (r != ATLS_OK) {
        agent_peer_clear(&peer);
        return r;
    }
    *ret_peer = peer;
    return ATLS_OK;
}

static bool parse_id(const char *text, uint32_t *ret_id)
{
    return atls_number_parse(text, strlen(text), 0, ID_MAX, ret_id);
}

/* getpwnam_r() or getgrnam_r() of NAME: 0 and *ret_found, or an errno. */
static int look_up(const char *name, bool is_group, char *octets, size_t size,
                   uint32_t *ret_id, bool *ret_found)
{
    struct passwd user, *found_user = NULL;
    struct group group, *found_group = NULL;
    int error;

    if (is_group) {
        error = getgrnam_r(name, &group, octets, size, &found_group);
        *ret_found = found_group != NULL;
        *ret_id = *ret_found ? group.gr_gid : 0;
    } else {
        error = getpwnam_r(name, &user, octets, size, &found_user);
        *ret_found = found_user != NULL;
        *ret_id = *ret_found ? user.pw_uid : 0;
    }
    return error;
}

static enum atls_error resolve_name(const char *name, bool is_group,
                                    struct atls_reason *why, uint32_t *ret_id)
{
    const char *kind = is_group ? "group" : "user";
    bool is_found = false;
    int error = ERANGE;

    for (size_t size = ENTRY_OCTETS;
         error == ERANGE && size <= ENTRY_OCTETS_MAX; size *= 2) {
        char *octets = OPENSSL_malloc(size);

        if (octets == NULL)
            return atls_fail(why, ATLS_E_NOMEM, NULL);
        error = look_up(name, is_group, octets, size, ret_id, &is_found);
        OPENSSL_free(octets);
    }
    if (is_found)
        return ATLS_OK;
    /* getpwnam(3): these, too, mean that there is none. */
    if (error == 0 || error == ENOENT || error == ESRCH || error == EBADF
        || error == EPERM)
        return atls_fail(why, ATLS_E_CONFIG,
                         "allow: this machine has no %s %s" ATLS_MORE
                         ": correct the name, "
                         "or install what brings it",
                         kind, name);
    return atls_fail(why, ATLS_E_CONFIG, "allow: cannot look up the %s %s: %s",
                     kind, name, strerror(error));
}

static enum atls_error resolve(struct agent_access *access, const char *word,
                               struct atls_reason *why)
{
    bool is_group = word[0] == '@';
    const char *name = is_group ? word + 1 : word;
    uint32_t id = 0;
    enum atls_error r;

    if (*name == '\0')
        return atls_fail(why, ATLS_E_CONFIG,
                         "allow: @ without the name of a group");
    if (!parse_id(name, &id)) {
        r = resolve_name(name, is_group, why, &id);
        if (r != ATLS_OK)
            return r;
    }
    if (is_group)
        access->groups[access->group_count++] = id;
    else
        access->users[access->user_count++] = id;
    return ATLS_OK;
}

/* Cuts the copy of the value into words. */
static enum atls_error resolve_all(struct agent_access *access, char *words,
                                   struct atls_reason *why)
{
    char *rest = words;
    char *word;

    while ((word = strsep(&rest, SEPARATORS)) != NULL) {
        enum atls_error r;

        if (*word == '\0')
            continue;
        r = resolve(access, word, why);
        if (r != ATLS_OK)
            return r;
    }
    return ATLS_OK;
}

static enum atls_error take_value(struct agent_access *access,
                                  const char *value, struct atls_reason *why)
{
    /* A word and what separates it from the next are two octets at least. */
    size_t words_max = strlen(value) / 2 + 1;
    char *words = OPENSSL_strdup(value);
    enum atls_error r;

    access->users = OPENSSL_malloc(words_max * sizeof(*access->users));
    access->groups = OPENSSL_malloc(words_max * sizeof(*access->groups));
    if (words == NULL || access->users == NULL || access->groups == NULL)
        r = atls_fail(why, ATLS_E_NOMEM, NULL);
    else
        r = resolve_all(access, words, why);
    OPENSSL_free(words);
    return r;
}

enum atls_error agent_access_new(const struct atls_scan_pair *pair,
                                 struct atls_reason *why,
                                 struct agent_access **ret_access)
{
    struct agent_access *access = OPENSSL_zalloc(sizeof(*access));
    enum atls_error r = ATLS_OK;

    if (access == NULL)
        return atls_fail(why, ATLS_E_NOMEM, NULL);
    if (pair != NULL)
        r = take_value(access, pair->value, why);
    if (r != ATLS_OK) {
        if (r == ATLS_E_CONFIG)
            atls_file_locate(why, pair->file, pair->line);
        agent_access_free(access);
        return r;
    }
    *ret_access = access;
    return ATLS_OK;
}

void agent_access_free(struct agent_access *access)
{
    if (access == NULL)
        return;
    OPENSSL_free(access->users);
    OPENSSL_free(access->groups);
    OPENSSL_free(access);
}

void agent_user_name(uid_t uid, char *name, size_t size)
{
    char octets[ENTRY_OCTETS];
    struct passwd user, *found = NULL;

    if (getpwuid_r(uid, &user, octets, sizeof(octets), &found) == 0
        && found != NULL)
        snprintf(name, size, "%s", user.pw_name);
    else
        snprintf(name, size, "%lu", (unsigned long)uid);
}

static bool allows_group(const struct agent_access *access, gid_t gid)
{
    for (size_t i = 0; i < access->group_count; i++)
        if (access->groups[i] == gid)
            return true;
    return false;
}

bool agent_access_allows(const struct agent_access *access,
                         const struct agent_peer *peer)
{
    if (peer->uid == 0 || peer->uid == geteuid())
        return true;
    for (size_t i = 0; i < access->user_count; i++)
        if (access->users[i] == peer->uid)
            return true;
    if (allows_group(access, peer->gid))
        return true;
    for (size_t i = 0; i < peer->group_count; i++)
        if (allows_group(access, peer->groups[i]))
            return true;
    return false;
}

enum atls_error agent_access_check(const struct agent_access *access,
                                   const struct agent_peer *peer,
                                   const char *path, struct atls_reason *why)
{
    if (agent_access_allows(access, peer))
        return ATLS_OK;
    return atls_fail(why, ATLS_E_NOT_ALLOWED,
                     "user %lu may not ask this agent: add it to allow in %s",
                     (unsigned long)peer->uid, path);
}
