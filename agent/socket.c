/* SPDX-License-Identifier: BSD-2-Clause */
#include "agent/socket.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <linux/sockios.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* What it does needs next to nothing; thread-local variables of libraries count. */
#define STACK_OCTETS (256u * 1024)

/*
 * A thread that closes what the loop cannot. A plain close() frees the unread message
 * and with it a stranger's TCP socket, and waits as long as that socket's SO_LINGER
 * says; SO_LINGER and shutdown(2) of our own socket change nothing there. A thread
 * that ends never lingers (agent/socket.h has the source).
 */
struct closer {
    sem_t is_ready;  /* has descriptors of its own */
    sem_t is_closed; /* in the other thread */
};

/* Credentials with each message tell an empty one from the end. */
bool agent_socket_prepare(int fd)
{
    const int on = 1;

    return setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) == 0;
}

/* The kernel puts them first. */
static struct ucred sender_of(const struct msghdr *message)
{
    struct ucred sender = {.uid = (uid_t)-1, .gid = (gid_t)-1};
    const struct cmsghdr *head = CMSG_FIRSTHDR(message);

    if (head != NULL && head->cmsg_level == SOL_SOCKET
        && head->cmsg_type == SCM_CREDENTIALS
        && head->cmsg_len == CMSG_LEN(sizeof(sender)))
        memcpy(&sender, CMSG_DATA(head), sizeof(sender));
    return sender;
}

/* There is room for credentials, and for no descriptor.
 *   ret_is_message  is there one? */
static ssize_t receive(int fd, uint8_t *octets, size_t size, int flags,
                       int *ret_flags, bool *ret_is_message,
                       struct ucred *ret_sender)
{
    union {
        struct cmsghdr head; /* for its alignment */
        char octets[CMSG_SPACE(sizeof(struct ucred))];
    } control;
    struct iovec vector = {.iov_base = octets, .iov_len = size};
    struct msghdr message = {.msg_iov = &vector,
                             .msg_iovlen = 1,
                             .msg_control = control.octets,
                             .msg_controllen = sizeof(control.octets)};
    ssize_t len = recvmsg(fd, &message, flags | MSG_DONTWAIT);

    *ret_flags = message.msg_flags;
    *ret_is_message =
        len >= 0 && (message.msg_controllen > 0 || message.msg_flags != 0);
    if (len >= 0)
        *ret_sender = sender_of(&message);
    return len;
}

ssize_t agent_socket_receive(int fd, uint8_t *octets, size_t size,
                             int *ret_flags, struct ucred *ret_sender)
{
    bool is_message;
    ssize_t len =
        receive(fd, octets, size, MSG_PEEK, ret_flags, &is_message, ret_sender);

    if (len < 0 || !is_message || (*ret_flags & MSG_CTRUNC) != 0)
        return len;
    return receive(fd, octets, size, 0, ret_flags, &is_message, ret_sender);
}

/* unix(7). */
bool agent_socket_is_drained(int fd)
{
    int unread = 0;

    return ioctl(fd, SIOCOUTQ, &unread) == 0 && unread == 0;
}

/* Does a message with descriptors lie in it? Those without are taken out; none
 * comes in any more. */
static bool holds_descriptors(int fd)
{
    bool is_message = true;
    struct ucred sender;
    uint8_t octet;
    int flags;

    (void)shutdown(fd, SHUT_RD);
    for (;;) {
        ssize_t len = receive(fd, &octet, sizeof(octet), MSG_PEEK, &flags,
                              &is_message, &sender);

        if (len < 0 || !is_message)
            return false;
        if ((flags & MSG_CTRUNC) != 0)
            return true;
        (void)receive(fd, &octet, sizeof(octet), 0, &flags, &is_message,
                      &sender);
    }
}

static void *run_closer(void *arg)
{
    struct closer *closer = arg;

    (void)unshare(CLONE_FILES); /* needs no right */
    sem_post(&closer->is_ready);
    while (sem_wait(&closer->is_closed) != 0) {
    }
    sem_destroy(&closer->is_ready);
    sem_destroy(&closer->is_closed);
    OPENSSL_free(closer);
    return NULL; /* and its copies are closed */
}

/* Detached: it may take long with other kinds of descriptors. */
static bool start_closer(struct closer *closer)
{
    pthread_attr_t attributes;
    sigset_t all, old;
    pthread_t thread;
    bool is_started;

    if (pthread_attr_init(&attributes) != 0)
        return false;
    (void)pthread_attr_setstacksize(&attributes, STACK_OCTETS);
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    is_started = pthread_create(&thread, &attributes, run_closer, closer) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    return is_started;
}

/* Close it while a thread has it open, too, which then ends. Where there is no
 * thread to be had it is closed all the same. */
static void close_later(int fd)
{
    struct closer *closer = OPENSSL_zalloc(sizeof(*closer));

    if (closer != NULL) {
        (void)sem_init(&closer->is_ready, 0, 0);
        (void)sem_init(&closer->is_closed, 0, 0);
        if (!start_closer(closer)) {
            OPENSSL_free(closer);
            closer = NULL;
        }
    }
    if (closer == NULL) {
        close(fd);
        return;
    }
    while (sem_wait(&closer->is_ready) != 0) {
    }
    close(fd);
    sem_post(&closer->is_closed);
}

void agent_socket_close(int fd)
{
    if (holds_descriptors(fd))
        close_later(fd);
    else
        close(fd);
}
