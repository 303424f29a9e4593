/* SPDX-License-Identifier: BSD-2-Clause */
#include <check.h>
#include <grp.h>
#include <openssl/crypto.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "agent/access.h"
#include "lib/scratch.h"
#include "lib/suite.h"
#include "base/scanner.h"

/* Nobody's numbers on any machine. */
#define STRANGER 3999999991u
#define FRIEND 3999999992u
#define FRIENDS 3999999993u

static struct atls_scan scan;
static struct agent_access *access_list;
static struct atls_reason why;

static enum atls_error resolve(const char *value)
{
    char text[400];

    snprintf(text, sizeof(text), "[attestd]\nallow = \"%s\"\n", value);
    scratch_write("attestd.cnf", text, strlen(text), 0600);
    ck_assert_int_eq(atls_scan_read(scratch_path("attestd.cnf"), &why, &scan),
                     ATLS_OK);
    return agent_access_new(&scan.sections[0].pairs[0], &why, &access_list);
}

static void set_up(void)
{
    scratch_make();
    access_list = NULL;
    memset(&scan, 0, sizeof(scan));
}

static void tear_down(void)
{
    agent_access_free(access_list);
    atls_scan_clear(&scan);
    scratch_remove();
}

static bool may_ask(uid_t uid, gid_t gid, gid_t *groups, size_t group_count)
{
    const struct agent_peer peer = {
        .uid = uid, .gid = gid, .groups = groups, .group_count = group_count};

    return agent_access_check(access_list, &peer, "/etc/attest/attestd.cnf",
                              &why)
           == ATLS_OK;
}

/* Lists that name FRIEND, or the group FRIENDS, and nobody else. */
static const struct {
    const char *value;
    bool user;
    bool group;
} lists[] = {
    {"3999999992", true, false},
    {"@3999999993", false, true},
    {"3999999992,@3999999993", true, true},
    {" , 3999999992 ,, @3999999993\t,", true, true},
    {"3999999993", false, false},
    {"@3999999992", false, false},
    {",", false, false},
};

START_TEST(test_users_and_groups)
{
    gid_t others[] = {1, FRIENDS, 2};

    ck_assert_int_eq(resolve(lists[_i].value), ATLS_OK);
    ck_assert_int_eq(may_ask(FRIEND, STRANGER, NULL, 0), lists[_i].user);
    ck_assert_int_eq(may_ask(STRANGER, FRIENDS, NULL, 0), lists[_i].group);
    ck_assert_int_eq(may_ask(STRANGER, STRANGER, others, 3), lists[_i].group);
    ck_assert(!may_ask(STRANGER, STRANGER, others, 1));
    ck_assert(!may_ask(STRANGER, STRANGER, NULL, 0));
    ck_assert(may_ask(0, 0, NULL, 0));
    ck_assert(may_ask(geteuid(), STRANGER, NULL, 0));
}
END_TEST

START_TEST(test_nobody_is_named)
{
    ck_assert_int_eq(agent_access_new(NULL, &why, &access_list), ATLS_OK);
    ck_assert(may_ask(0, 0, NULL, 0));
    ck_assert(may_ask(geteuid(), STRANGER, NULL, 0));
    ck_assert(!may_ask(STRANGER, 0, NULL, 0));
}
END_TEST

START_TEST(test_names_of_this_machine)
{
    const struct passwd *daemon = getpwnam("daemon");
    const struct group *mail = getgrnam("mail");

    ck_assert(daemon != NULL && mail != NULL);
    ck_assert_int_eq(resolve("daemon, @mail"), ATLS_OK);
    ck_assert(may_ask(daemon->pw_uid, STRANGER, NULL, 0));
    ck_assert(may_ask(STRANGER, mail->gr_gid, NULL, 0));
    ck_assert(!may_ask(STRANGER, STRANGER, NULL, 0));
}
END_TEST

static const struct {
    const char *value;
    const char *expected;
} mistakes[] = {
    {"nobody-of-that-name",
     "attestd.cnf:2: allow: this machine has no user nobody-of-that-name"},
    {"root,@no-such-group",
     "attestd.cnf:2: allow: this machine has no group no-such-group"},
    {"root @", "attestd.cnf:2: allow: @ without the name of a group"},
    {"Root", "this machine has no user Root"},
    {"-1", "this machine has no user -1"},
    {"4294967295", "this machine has no user 4294967295"},
    {"18446744073709551616", "this machine has no user 18446744073709551616"},
    {"0x21", "this machine has no user 0x21"},
};

START_TEST(test_mistakes)
{
    ck_assert_int_eq(resolve(mistakes[_i].value), ATLS_E_CONFIG);
    ck_assert_msg(strstr(why.text, mistakes[_i].expected) != NULL, "%s",
                  why.text);
    ck_assert_ptr_null(access_list);
}
END_TEST

START_TEST(test_B4_refusal_says_what_to_do)
{
    const struct agent_peer stranger = {.uid = STRANGER};

    ck_assert_int_eq(resolve("root"), ATLS_OK);
    ck_assert_int_eq(
        agent_access_check(access_list, &stranger, "/etc/a.cnf", &why),
        ATLS_E_NOT_ALLOWED);
    ck_assert_str_eq(why.text,
                     "user 3999999991 may not ask this agent: add it to allow "
                     "in /etc/a.cnf");
}
END_TEST

START_TEST(test_peer_of_a_socket)
{
    struct agent_peer peer, sender;
    struct ucred sent = {.pid = 7, .uid = geteuid(), .gid = FRIENDS};
    gid_t groups[256];
    int count = getgroups(256, groups);
    int ends[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), 0);
    ck_assert_int_eq(agent_peer_of(ends[0], &why, &peer), ATLS_OK);
    ck_assert_int_eq(peer.pid, getpid());
    ck_assert_uint_eq(peer.uid, geteuid());
    ck_assert_uint_eq(peer.gid, getegid());
    ck_assert_int_eq((int)peer.group_count, count);
    for (int i = 0; i < count; i++)
        ck_assert_uint_eq(peer.groups[i], groups[i]);
    /* Who sends has these groups if it is the same user. */
    ck_assert_int_eq(agent_peer_of_sender(&peer, &sent, &sender), ATLS_OK);
    ck_assert_int_eq(sender.pid, 7);
    ck_assert_uint_eq(sender.uid, peer.uid);
    ck_assert_uint_eq(sender.gid, FRIENDS);
    ck_assert_uint_eq(sender.group_count, peer.group_count);
    for (int i = 0; i < count; i++)
        ck_assert_uint_eq(sender.groups[i], groups[i]);
    agent_peer_clear(&sender);
    sent.uid = FRIEND;
    ck_assert_int_eq(agent_peer_of_sender(&peer, &sent, &sender), ATLS_OK);
    ck_assert_uint_eq(sender.uid, FRIEND);
    ck_assert_uint_eq(sender.group_count, 0);
    ck_assert_ptr_null(sender.groups);
    agent_peer_clear(&peer);
    close(ends[0]);
    close(ends[1]);
}
END_TEST

START_TEST(test_peer_of_what_is_no_socket)
{
    struct agent_peer peer;
    int ends[2];

    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(agent_peer_of(ends[0], &why, &peer), ATLS_E_IO);
    ck_assert_ptr_nonnull(strstr(why.text, "cannot tell who a peer is"));
    close(ends[0]);
    close(ends[1]);
}
END_TEST

static const struct suite_test tests[] = {
    LOOP(test_users_and_groups, 0, sizeof(lists) / sizeof(lists[0])),
    ONCE(test_nobody_is_named),
    ONCE(test_names_of_this_machine),
    LOOP(test_mistakes, 0, sizeof(mistakes) / sizeof(mistakes[0])),
    ONCE(test_B4_refusal_says_what_to_do),
    ONCE(test_peer_of_a_socket),
    ONCE(test_peer_of_what_is_no_socket),
};

SUITE(.name = "agent_access",
      .cases = {CASE("allow", tests, 0, set_up, tear_down)});
