/* SPDX-License-Identifier: BSD-2-Clause */
#ifndef ATTEST_AGENT_SOCKET_H
#define ATTEST_AGENT_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/types.h>

/*
 * Connections to strangers, without ever closing a descriptor of theirs. They can
 * send some (SCM_RIGHTS) whether we want it or not, and whoever lets go of one last
 * closes it: a TCP connection with SO_LINGER set blocks its closer for as long as
 * the stranger likes. That is who receives the message without room for
 * descriptors, and who closes a socket in which it lies unread. So messages are
 * looked at before they are taken, and a socket with such a message is closed by a
 * thread that ends: the kernel lingers for no task that does. Source: unix(7),
 * socket(7); Linux, net/ipv4/af_inet.c, inet_release().
 */

/* Before anything is sent to it: a connection, or the listener of those that come.
 * False: errno. */
bool agent_socket_prepare(int fd);

/*
 * Receive a message, without waiting.
 *   ret_flags  as of recvmsg(2), MSG_TRUNC and MSG_CTRUNC. With the latter it
 *              brings descriptors, and is still there: close the socket
 *   ret_sender  who sent it, as the kernel says: its real user and group, unless
 *               it has the right to say otherwise; uid -1: that is not known
 * Returns its octets, at most size; 0: the end, or an empty message; -1: errno.
 */
ssize_t agent_socket_receive(int fd, uint8_t *octets, size_t size,
                             int *ret_flags, struct ucred *ret_sender);

/* Has the other end taken all that was sent to it? */
bool agent_socket_is_drained(int fd);

void agent_socket_close(int fd);

#endif
